"""How a cohort's lifetime is spread over the years, and who may ask in which of them.

Pure functions of whole numbers. A cohort is the class expected to graduate in the spring of year Y; budget
year B runs from 1 July B-1 to 30 June B in the district's time zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from budgets.clock import in_utc

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

Population = Literal["research", "mandated"]
"""Whose records are counted: `research` leaves out those who opted out, `mandated` does not."""

POPULATIONS: tuple[Population, ...] = ("research", "mandated")

JULY = 7

SCHOOL_SHARE = Fraction(6, 100)
"""Of the lifetime, in each budget year from Y-13 to Y+1."""

MANDATED_SHARE = Fraction(2, 100)
"""Of the lifetime, in each of Y+2 to Y+6: late graduates are still counted, by law."""

FIRST_YEAR, LAST_SCHOOL_YEAR, LAST_YEAR = -13, 1, 6

DEFAULT_SHARE = Fraction(1, 60)
"""Of the smallest budget year a question touches, spent by a question that names no accuracy."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A lifetime budget an officer can choose by name.

    Attributes:
        name: the word for it.
        epsilon: ε of a cohort's lifetime at `budgets.loss.SHOWN_DELTA`, for one person with all records.
    """

    name: str
    epsilon: float


CAREFUL = Preset("careful", 2.0)
STANDARD = Preset("standard", 4.0)
GENEROUS = Preset("generous", 8.0)

PRESETS = {preset.name: preset for preset in (CAREFUL, STANDARD, GENEROUS)}


class DistrictState(StrEnum):
    """Who is answered: in the pilot the district's own grant alone, then every grant, after closing nobody."""

    PILOT = "pilot"
    OPEN = "open"
    CLOSED = "closed"


RESEARCH_SHARE = Fraction(7, 10)
"""Of each school year of a cohort, for research."""

STATUTORY_SHARE = Fraction(3, 10)
"""Of each school year of a cohort, for mandated statistics."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for the whole district.

    Attributes:
        state: who is answered.
        research: the most that research may use of each school year of a cohort.
        mandated: the most that mandated statistics may use of it; the years after school are theirs alone.
    """

    state: DistrictState
    research: Fraction = RESEARCH_SHARE
    mandated: Fraction = STATUTORY_SHARE

    def __post_init__(self) -> None:
        if not all(isinstance(share, Fraction) and 0 < share <= 1 for share in (self.research, self.mandated)):
            raise ValueError("a population's share is a fraction of the year, above 0 and at most 1")

    def population_cap(self, year_cap: int, cohort: int, year: int, population: str) -> int:
        """The most a population may use of a cohort's budget year, in nano-rho, rounded down.

        >>> policy = Policy(DistrictState.OPEN)
        >>> [policy.population_cap(1001, 2030, 2031, each) for each in POPULATIONS]
        [700, 300]
        >>> [policy.population_cap(1001, 2030, 2032, each) for each in POPULATIONS]
        [0, 1001]
        """
        if year - cohort > LAST_SCHOOL_YEAR:
            return year_cap if population == "mandated" else 0
        share = self.mandated if population == "mandated" else self.research
        return year_cap * share.numerator // share.denominator


class Standing(StrEnum):
    """What may be asked about a cohort in a budget year."""

    NOT_YET = "not_yet"
    OPEN = "open"
    MANDATED_ONLY = "mandated_only"
    SEALED = "sealed"

    def allows(self, population: str) -> bool:
        """Whether statistics of this population may be drawn.

        >>> Standing.MANDATED_ONLY.allows("research"), Standing.OPEN.allows("research")
        (False, True)
        """
        return self is Standing.OPEN or (self is Standing.MANDATED_ONLY and population == "mandated")


def budget_year(moment: datetime, time_zone: str) -> int:
    """The budget year a moment falls into, by the calendar of `time_zone`.

    >>> from datetime import datetime, UTC
    >>> budget_year(datetime(2025, 7, 1, 3, 59, tzinfo=UTC), "America/New_York")
    2025
    >>> budget_year(datetime(2025, 7, 1, 4, 0, tzinfo=UTC), "America/New_York")
    2026

    Raises:
        ValueError: `moment` has no time zone.
        zoneinfo.ZoneInfoNotFoundError: nobody knows the time zone (a KeyError).
    """
    local = in_utc(moment).astimezone(ZoneInfo(time_zone))
    return local.year + (local.month >= JULY)


def year_share(cohort: int, year: int, *, unsealed: bool = False) -> Fraction:
    """The share of its lifetime a cohort may lose in a budget year; the shares of all years sum to 1.

    A year for which two people unsealed the cohort has the share of the last ones, within the same lifetime.

    >>> year_share(2030, 2025), year_share(2030, 2036), year_share(2030, 2037)
    (Fraction(3, 50), Fraction(1, 50), Fraction(0, 1))
    """
    age = year - cohort
    if FIRST_YEAR <= age <= LAST_SCHOOL_YEAR:
        return SCHOOL_SHARE
    if LAST_SCHOOL_YEAR < age <= LAST_YEAR or (unsealed and age > LAST_YEAR):
        return MANDATED_SHARE
    return Fraction(0)


def year_cap_nanorho(lifetime_nanorho: int, cohort: int, year: int, *, unsealed: bool = False) -> int:
    """The most a cohort may lose in a budget year, in nano-rho, rounded down.

    >>> year_cap_nanorho(255_200_009, 2030, 2025)
    15312000
    """
    share = year_share(cohort, year, unsealed=unsealed)
    return lifetime_nanorho * share.numerator // share.denominator


def last_day(cohort: int) -> date:
    """The last day of a cohort's last budget year; then it is sealed, and no load keeps its records.

    >>> last_day(2026).isoformat()
    '2032-06-30'
    """
    return date(cohort + LAST_YEAR, JULY - 1, 30)


def standing(cohort: int, year: int, *, unsealed: bool = False) -> Standing:
    """What may be asked about a cohort in a budget year, by the calendar and by whether two people unsealed it.

    >>> [str(standing(2030, year)) for year in (2016, 2031, 2032, 2037)]
    ['not_yet', 'open', 'mandated_only', 'sealed']
    """
    age = year - cohort
    if age < FIRST_YEAR:
        return Standing.NOT_YET
    if age <= LAST_SCHOOL_YEAR:
        return Standing.OPEN
    return Standing.MANDATED_ONLY if age <= LAST_YEAR or unsealed else Standing.SEALED


def default_share_nanorho(year_caps: Iterable[int]) -> int:
    """The loss of a question that names no accuracy, in nano-rho: 1/60 of the smallest year it touches.

    Args:
        year_caps: the budget years of the touched cohorts, in nano-rho.

    Raises:
        ValueError: no cohort is touched.

    >>> default_share_nanorho([15_312_000, 5_104_000])
    85066
    """
    return min(year_caps) * DEFAULT_SHARE.numerator // DEFAULT_SHARE.denominator
