"""Who may ask, for what, about which records, how much, and until when.

A grant never adds to a budget: it is an allowance inside the caps of the cohorts.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from budgets.policy import POPULATIONS, Population
from budgets.refusals import AccessRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import date

DISTRICT = "district"
"""The built-in grant: the district's own checks, asked by whoever holds its folder."""

DISTRICT_YEAR_FRACTION = Fraction(1, 10)
"""Of each cohort's year, for the built-in grant of a real district."""

DEMO_YEAR_FRACTION = Fraction(1)
"""A district of invented records gives its built-in grant the whole year."""

NAME_CHARACTERS_MAX = 60

Kind = Literal["researcher", "agency"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a grant was given for, and its limits.

    Attributes:
        kind: a researcher's, or an agency's.
        organisation: who answers for the asker.
        purpose: what the answers are for, in words that everybody may read.
        scope: the private tables it may read, each with its columns; None for all columns of the table.
        cohorts: those it may ask about, each once.
        ceiling_nanorho: the most one question may cost a cohort; None for no ceiling of its own.
        expires: its last day, by the district's calendar.
        approved_by: who gave it.

    Raises:
        ValueError: something of it is empty, or contradicts itself.
    """

    kind: Kind
    organisation: str
    purpose: str
    scope: Mapping[str, frozenset[str] | None]
    cohorts: tuple[int, ...]
    ceiling_nanorho: int | None
    expires: date
    approved_by: str

    def __post_init__(self) -> None:
        if self.kind not in ("researcher", "agency"):
            raise ValueError("a grant is a researcher's or an agency's")
        if not all(text.strip() for text in (self.organisation, self.purpose, self.approved_by)):
            raise ValueError("a grant names an organisation, a purpose and who approved it")
        if not self.scope or any(columns is not None and not columns for columns in self.scope.values()):
            raise ValueError("a grant names tables, and of each all columns or some")
        if not self.cohorts or len(set(self.cohorts)) < len(self.cohorts):
            raise ValueError("a grant names cohorts, each once")
        if self.ceiling_nanorho is not None and self.ceiling_nanorho < 1:
            raise ValueError("a ceiling is at least one nano-rho")

    def listed(self) -> dict[str, list[str] | None]:
        """The tables in their order, each with its columns in theirs; None for all columns."""
        return {table: None if names is None else sorted(names) for table, names in sorted(self.scope.items())}

    def body(self) -> dict[str, Any]:
        """The terms as they are told to everybody."""
        return {
            "kind": self.kind,
            "organisation": self.organisation,
            "purpose": self.purpose,
            "scope": self.listed(),
            "cohorts": sorted(self.cohorts),
            "ceiling_nanorho": self.ceiling_nanorho,
            "expires": self.expires.isoformat(),
            "approved_by": self.approved_by,
        }


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission to ask.

    Attributes:
        id: the name it is asked under.
        population: whose records its statistics count.
        year_fraction: the allowance, as a part of each cohort's budget year, above 0 and at most 1.
        terms: None for the built-in grant, which may ask everything within its allowance.
        revoked: the reason for which it was ended before its last day; None if it was not.

    Raises:
        ValueError: no printable name, an unknown population, or a fraction out of range.
    """

    id: str
    population: Population
    year_fraction: Fraction
    terms: Terms | None = None
    revoked: str | None = None

    def __post_init__(self) -> None:
        if not self.id or not self.id.isprintable() or self.population not in POPULATIONS:
            raise ValueError("a grant has a name and a known population")
        if not isinstance(self.year_fraction, Fraction) or not 0 < self.year_fraction <= 1:
            raise ValueError("a grant's allowance is a fraction of the year, above 0 and at most 1")

    def allowance_nanorho(self, year_cap: int) -> int:
        """The most this grant may use of a cohort's year, in nano-rho, rounded down.

        >>> district_grant().allowance_nanorho(15_312_009)
        1531200
        """
        return year_cap * self.year_fraction.numerator // self.year_fraction.denominator

    @property
    def ceiling_nanorho(self) -> int | None:
        """The most one question may cost a cohort; None for no ceiling."""
        return None if self.terms is None else self.terms.ceiling_nanorho

    def allows_cohort(self, cohort: int) -> bool:
        """Whether it may ask about a cohort."""
        return self.terms is None or cohort in self.terms.cohorts

    def is_over(self, today: date) -> bool:
        """Whether its last day is over."""
        return self.terms is not None and today > self.terms.expires


def district_grant(year_fraction: Fraction = DISTRICT_YEAR_FRACTION) -> Grant:
    """The built-in grant; it counts the mandated population."""
    return Grant(DISTRICT, "mandated", year_fraction)


def find_grant(grants: Iterable[Grant], name: str) -> Grant:
    """The grant of this name.

    Raises:
        AccessRefused: there is none (`grant_missing`); `accepted` lists those there are.
    """
    known = {grant.id: grant for grant in grants}
    if name not in known:
        message = f"No grant is called {name!r}."
        raise AccessRefused("grant_missing", message, accepted=", ".join(sorted(known)))
    return known[name]


def check_standing(grant: Grant, today: date) -> None:
    """Make sure that a grant may still ask.

    Raises:
        AccessRefused: its last day is over, or it was revoked (`grant_expired`).
    """
    accepted = "another grant; the district decides about new ones"
    if grant.revoked is not None:
        raise AccessRefused(
            "grant_expired", f"The grant {grant.id!r} was revoked: {grant.revoked}", accepted=accepted
        )
    if grant.terms is not None and grant.is_over(today):
        message = f"The last day of the grant {grant.id!r} was {grant.terms.expires.isoformat()}."
        raise AccessRefused("grant_expired", message, accepted=accepted)


def check_scope(grant: Grant, reads: Mapping[str, Collection[str]], cohorts: Iterable[int]) -> None:
    """Make sure that a question stays inside its grant.

    Args:
        grant: the grant.
        reads: the private tables the question reads, each with its columns.
        cohorts: those it is asked of.

    Raises:
        AccessRefused: it reads a table or a column the grant does not have, or asks about another cohort
            (`grant_scope`).
    """
    if grant.terms is None:
        return
    for table, columns in sorted(reads.items()):
        if table not in grant.terms.scope:
            message = f"The grant {grant.id!r} does not cover the table {table}."
            raise AccessRefused("grant_scope", message, accepted=f"tables: {', '.join(sorted(grant.terms.scope))}")
        allowed = grant.terms.scope[table]
        if allowed is None:
            continue
        outside = sorted(set(columns) - allowed)
        if outside:
            message = f"The grant {grant.id!r} does not cover {', '.join(f'{table}.{name}' for name in outside)}."
            accepted = f"columns of {table}: {', '.join(sorted(allowed))}"
            raise AccessRefused("grant_scope", message, accepted=accepted)
    barred = sorted(set(cohorts) - set(grant.terms.cohorts))
    if barred:
        message = f"The grant {grant.id!r} does not cover class {barred[0]}."
        raise AccessRefused("grant_scope", message, accepted=f"cohorts={sorted(grant.terms.cohorts)}")
