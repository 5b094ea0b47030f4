"""SQL of what a district decides: its state, grants and their ends, what two people decide about a cohort."""

from __future__ import annotations

import json
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from budgets.grants import Grant, Terms
from budgets.policy import DistrictState, Policy

if TYPE_CHECKING:
    from budgets.stores.sqlite import Database

SELECT_GRANTS = """
SELECT g.id, g.population, g.year_numerator, g.year_denominator,
  t.kind, t.organisation, t.purpose, t.scope, t.cohorts, t.ceiling_nanorho, t.expires, t.approved_by, r.reason
FROM grants g LEFT JOIN grant_terms t ON t.grant_id = g.id LEFT JOIN revocations r ON r.grant_id = g.id
"""

INSERT_TERMS = """
INSERT INTO grant_terms
  (grant_id, kind, organisation, purpose, scope, cohorts, ceiling_nanorho, expires, approved_by, at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

INSERT_POLICY = """
INSERT INTO policy (only, state, research_numerator, research_denominator, mandated_numerator, mandated_denominator)
VALUES (1, ?, ?, ?, ?, ?)
"""

INSERT_DECISION = """
INSERT INTO decisions (kind, cohort, year, cap_nanorho, first, second, reason, at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


def add_policy(database: Database, policy: Policy) -> None:
    """Write down what holds for the district; once."""
    research, mandated = policy.research, policy.mandated
    values = (research.numerator, research.denominator, mandated.numerator, mandated.denominator)
    database.change(INSERT_POLICY, (policy.state, *values))


def policy(database: Database) -> Policy:
    """What holds for the district."""
    ((state, *parts),) = database.rows(
        "SELECT state, research_numerator, research_denominator, mandated_numerator, mandated_denominator FROM policy"
    )
    return Policy(DistrictState(state), Fraction(*parts[:2]), Fraction(*parts[2:]))


def move_state(database: Database, old: DistrictState, new: DistrictState) -> bool:
    """Compare-and-set of the district's state; False where it is not `old`."""
    return database.change("UPDATE policy SET state = ? WHERE state = ?", (new, old)) == 1


def add_grant(database: Database, grant: Grant, at_us: int) -> None:
    """Write down a grant; it is never changed."""
    sql = "INSERT INTO grants (id, population, year_numerator, year_denominator) VALUES (?, ?, ?, ?)"
    fraction = grant.year_fraction
    database.change(sql, (grant.id, grant.population, fraction.numerator, fraction.denominator))
    terms = grant.terms
    if terms is None:
        return
    lists = json.dumps(terms.listed()), json.dumps(sorted(terms.cohorts))
    written = (terms.kind, terms.organisation, terms.purpose, *lists)
    ends = (terms.ceiling_nanorho, terms.expires.isoformat(), terms.approved_by)
    database.change(INSERT_TERMS, (grant.id, *written, *ends, at_us))


def grants(database: Database) -> tuple[Grant, ...]:
    """All grants by name, with their terms and their ends."""
    return tuple(_grant(*row) for row in database.rows(f"{SELECT_GRANTS} ORDER BY g.id"))


def grant(database: Database, name: str) -> Grant | None:
    """The grant of this name, with its terms and its end."""
    rows = database.rows(f"{SELECT_GRANTS} WHERE g.id = ?", (name,))
    return _grant(*rows[0]) if rows else None


def _grant(name: str, population: Any, over: int, under: int, *rest: Any) -> Grant:
    kind, organisation, purpose, scope, cohorts, ceiling, expires, approved_by, revoked = rest
    fraction = Fraction(over, under)
    if kind is None:
        return Grant(name, population, fraction)
    allowed = {table: None if columns is None else frozenset(columns) for table, columns in json.loads(scope).items()}
    terms = Terms(
        kind=kind,
        organisation=organisation,
        purpose=purpose,
        scope=allowed,
        cohorts=tuple(json.loads(cohorts)),
        ceiling_nanorho=ceiling,
        expires=date.fromisoformat(expires),
        approved_by=approved_by,
    )
    return Grant(name, population, fraction, terms, revoked)


def revoke(database: Database, grant: str, by: str, reason: str, at_us: int) -> None:
    """End a grant; once."""
    sql = "INSERT INTO revocations (grant_id, by_whom, reason, at_us) VALUES (?, ?, ?, ?)"
    database.change(sql, (grant, by, reason, at_us))


def add_decision(
    database: Database, kind: str, cohort: int, year: int, cap: int, by: tuple[str, str], reason: str, at_us: int
) -> None:
    """Write down what two people decided about a cohort."""
    database.change(INSERT_DECISION, (kind, cohort, year, cap, *by, reason, at_us))


def unsealed(database: Database, cohort: int, year: int) -> bool:
    """Whether a cohort was unsealed for a budget year."""
    sql = "SELECT 1 FROM decisions WHERE kind = 'unsealed' AND cohort = ? AND year = ?"
    return bool(database.rows(sql, (cohort, year)))
