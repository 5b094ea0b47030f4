"""Who may ask, about which population, and how much of a cohort's year they may use.

A grant never adds to a budget: it is an allowance inside the caps of the cohorts.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from budgets.policy import POPULATIONS, Population
from budgets.refusals import AccessRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

DISTRICT = "district"
"""The built-in grant: the district's own checks, asked by whoever holds its folder."""

DISTRICT_YEAR_FRACTION = Fraction(1, 10)
"""Of each cohort's year, for the built-in grant of a real district."""

DEMO_YEAR_FRACTION = Fraction(1)
"""A district of invented records gives its built-in grant the whole year."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission to ask.

    Attributes:
        id: the name it is asked under.
        population: whose records its statistics count.
        year_fraction: the allowance, as a part of each cohort's budget year, above 0 and at most 1.

    Raises:
        ValueError: an empty name, an unknown population, or a fraction out of range.
    """

    id: str
    population: Population
    year_fraction: Fraction

    def __post_init__(self) -> None:
        if not self.id or self.population not in POPULATIONS:
            raise ValueError("a grant has a name and a known population")
        if not isinstance(self.year_fraction, Fraction) or not 0 < self.year_fraction <= 1:
            raise ValueError("a grant's allowance is a fraction of the year, above 0 and at most 1")

    def allowance_nanorho(self, year_cap: int) -> int:
        """The most this grant may use of a cohort's year, in nano-rho, rounded down.

        >>> district_grant().allowance_nanorho(15_312_009)
        1531200
        """
        return year_cap * self.year_fraction.numerator // self.year_fraction.denominator


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
