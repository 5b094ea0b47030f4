"""SQL of what cohorts may lose and have lost: lifetimes, budget years, allowances."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from budgets.stores.sqlite import Database

SQL_INTEGER_MAX = 2**63 - 1
"""The greatest number a column holds. Caps are far below: a cost cut down to it is still beyond them."""

SELECT_BALANCES = """
SELECT c.cohort, c.cap_nanorho, c.spent_nanorho, c.cap_attodelta, c.spent_attodelta,
  y.cap_nanorho, coalesce(y.spent_nanorho, 0), a.cap_nanorho, coalesce(a.spent_nanorho, 0)
FROM cohorts c
LEFT JOIN cohort_years y ON y.cohort = c.cohort AND y.year = :year
LEFT JOIN allowances a ON a.cohort = c.cohort AND a.year = :year AND a.grant_id = :grant
ORDER BY c.cohort
"""

OPEN_YEAR = """
INSERT INTO cohort_years (cohort, year, cap_nanorho) VALUES (?, ?, ?) ON CONFLICT (cohort, year) DO NOTHING
"""

OPEN_ALLOWANCE = """
INSERT INTO allowances (grant_id, cohort, year, cap_nanorho) VALUES (?, ?, ?, ?)
ON CONFLICT (grant_id, cohort, year) DO NOTHING
"""

SPEND_LIFETIME = """
UPDATE cohorts SET spent_nanorho = spent_nanorho + :nanorho, spent_attodelta = spent_attodelta + :attodelta
WHERE cohort = :cohort AND spent_nanorho + :nanorho <= cap_nanorho
  AND spent_attodelta + :attodelta <= cap_attodelta
"""

SPEND_YEAR = """
UPDATE cohort_years SET spent_nanorho = spent_nanorho + :nanorho
WHERE cohort = :cohort AND year = :year AND spent_nanorho + :nanorho <= cap_nanorho
"""

SPEND_ALLOWANCE = """
UPDATE allowances SET spent_nanorho = spent_nanorho + :nanorho
WHERE grant_id = :grant AND cohort = :cohort AND year = :year AND spent_nanorho + :nanorho <= cap_nanorho
"""

WRONG_LIFETIMES = """
SELECT cohort FROM (
  SELECT cohort, spent_nanorho AS nanorho, spent_attodelta AS attodelta FROM cohorts
  UNION ALL SELECT cohort, -nanorho, -attodelta FROM charges)
GROUP BY cohort HAVING sum(nanorho) <> 0 OR sum(attodelta) <> 0
"""

WRONG_YEARS = """
SELECT cohort FROM (
  SELECT cohort, year, spent_nanorho AS nanorho FROM cohort_years
  UNION ALL SELECT cohort, year, -nanorho FROM charges)
GROUP BY cohort, year HAVING sum(nanorho) <> 0
"""

WRONG_ALLOWANCES = """
SELECT cohort FROM (
  SELECT grant_id, cohort, year, spent_nanorho AS nanorho FROM allowances
  UNION ALL SELECT r.grant_id, c.cohort, c.year, -c.nanorho FROM charges c JOIN releases r ON r.id = c.entry)
GROUP BY grant_id, cohort, year HAVING sum(nanorho) <> 0
"""

WRONG_CAPS = """
SELECT cohort FROM cohorts WHERE NOT (spent_nanorho BETWEEN 0 AND cap_nanorho)
  OR NOT (spent_attodelta BETWEEN 0 AND cap_attodelta)
UNION ALL SELECT cohort FROM cohort_years WHERE NOT (spent_nanorho BETWEEN 0 AND cap_nanorho)
UNION ALL SELECT cohort FROM allowances WHERE NOT (spent_nanorho BETWEEN 0 AND cap_nanorho)
"""

LOWER_LIFETIME = """
UPDATE cohorts SET cap_nanorho = :cap
WHERE cohort = :cohort AND cap_nanorho > :cap AND spent_nanorho <= :cap
"""


class BalanceRow(NamedTuple):
    """One cohort as stored; a budget year nobody paid from yet has no caps of its own."""

    cohort: int
    lifetime_cap: int
    lifetime_spent: int
    attodelta_cap: int
    attodelta_spent: int
    year_cap: int | None
    year_spent: int
    allowance_cap: int | None
    allowance_spent: int


class Cost(NamedTuple):
    """What a cohort is to pay, and the caps of its budget year and allowance where this payment opens them."""

    cohort: int
    year: int
    nanorho: int
    attodelta: int
    year_cap: int | None
    allowance_cap: int | None


def add_cohorts(database: Database, cohorts: Iterable[int], nanorho: int, attodelta: int) -> None:
    """Enter cohorts with their lifetime caps, nothing spent."""
    sql = "INSERT INTO cohorts (cohort, cap_nanorho, cap_attodelta) VALUES (?, ?, ?)"
    database.change_each(sql, [(cohort, nanorho, attodelta) for cohort in cohorts])


def select(database: Database, grant: str, year: int) -> list[BalanceRow]:
    """All cohorts in their order, with their budget year and the grant's allowance in it."""
    return [BalanceRow(*row) for row in database.rows(SELECT_BALANCES, {"grant": grant, "year": year})]


def spend(database: Database, grant: str, costs: list[Cost]) -> bool:
    """Add the costs to every balance they touch; False if one of them does not cover its cost.

    Where it says False the balances are half changed: the transaction must be undone.
    """
    years = [(cost.cohort, cost.year, cost.year_cap) for cost in costs if cost.year_cap is not None]
    database.change_each(OPEN_YEAR, years)
    opened = [cost for cost in costs if cost.allowance_cap is not None]
    allowances = [(grant, cost.cohort, cost.year, cost.allowance_cap) for cost in opened]
    database.change_each(OPEN_ALLOWANCE, allowances)
    values = [_values(grant, cost) for cost in costs]
    updates = (SPEND_LIFETIME, SPEND_YEAR, SPEND_ALLOWANCE)
    return all(database.change_each(update, values) == len(costs) for update in updates)


def _values(grant: str, cost: Cost) -> dict[str, int | str]:
    return {
        "grant": grant,
        "cohort": cost.cohort,
        "year": cost.year,
        "nanorho": min(cost.nanorho, SQL_INTEGER_MAX),
        "attodelta": min(cost.attodelta, SQL_INTEGER_MAX),
    }


def wrong(database: Database) -> list[int]:
    """The cohorts of which a balance is not the sum of its charges, or is beyond its cap."""
    checks = (WRONG_LIFETIMES, WRONG_YEARS, WRONG_ALLOWANCES, WRONG_CAPS)
    return sorted({cohort for check in checks for (cohort,) in database.rows(check)})


def lower_lifetime(database: Database, cohort: int, nanorho: int) -> bool:
    """Lower a lifetime cap; False if it is not above `nanorho`, or more than that is spent."""
    return database.change(LOWER_LIFETIME, {"cohort": cohort, "cap": nanorho}) == 1


def lifetime(database: Database, cohort: int) -> tuple[int, int]:
    """Lifetime cap and what is spent of it, in nano-rho."""
    sql = "SELECT cap_nanorho, spent_nanorho FROM cohorts WHERE cohort = ?"
    ((cap, spent),) = database.rows(sql, (cohort,))
    return cap, spent


def years(database: Database, cohort: int) -> list[int]:
    """The budget years the cohort has paid from."""
    return [year for (year,) in database.rows("SELECT year FROM cohort_years WHERE cohort = ?", (cohort,))]


def lower_year(database: Database, cohort: int, year: int, nanorho: int) -> None:
    """Lower the cap of a budget year, to what is spent at least."""
    sql = "UPDATE cohort_years SET cap_nanorho = max(spent_nanorho, ?) WHERE cohort = ? AND year = ?"
    database.change(sql, (nanorho, cohort, year))


def lower_allowance(database: Database, grant: str, cohort: int, year: int, nanorho: int) -> None:
    """Lower a grant's allowance, to what is used at least."""
    sql = """
    UPDATE allowances SET cap_nanorho = max(spent_nanorho, ?) WHERE grant_id = ? AND cohort = ? AND year = ?
    """
    database.change(sql, (nanorho, grant, cohort, year))
