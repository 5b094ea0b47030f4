"""Years, shares and standings."""

from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.loss import epsilon_of, nanorho_for
from budgets.policy import (
    STANDARD,
    Standing,
    budget_year,
    default_share_nanorho,
    standing,
    year_cap_nanorho,
    year_share,
)

COHORT = 2030
AROUND = range(COHORT - 20, COHORT + 20)


def test_the_shares_of_a_lifetime_sum_to_one() -> None:
    """6 % in fifteen years and 2 % in five: the whole lifetime and no more."""
    assert sum(year_share(COHORT, year) for year in AROUND) == 1
    assert [year for year in AROUND if year_share(COHORT, year) == Fraction(6, 100)] == [*range(2017, 2032)]
    assert [year for year in AROUND if year_share(COHORT, year) == Fraction(2, 100)] == [*range(2032, 2037)]


@given(st.integers(1, 10**12))
def test_year_caps_never_exceed_the_lifetime(lifetime: int) -> None:
    """Year caps are rounded down: spent to the last nano-ρ, they stay within the lifetime."""
    caps = [year_cap_nanorho(lifetime, COHORT, year) for year in AROUND]
    assert lifetime - len(AROUND) < sum(caps) <= lifetime


def test_a_cohort_grows_up() -> None:
    """Not yet, open, open for mandated statistics only, sealed: by the calendar alone."""
    assert standing(COHORT, 2016) == Standing.NOT_YET
    assert {standing(COHORT, year) for year in range(2017, 2032)} == {Standing.OPEN}
    assert {standing(COHORT, year) for year in range(2032, 2037)} == {Standing.MANDATED_ONLY}
    assert standing(COHORT, 2037) == Standing.SEALED


def test_a_cohort_that_may_be_asked_has_a_share_and_no_other() -> None:
    """Standing and share speak of the same years."""
    for year in AROUND:
        assert standing(COHORT, year).allows("mandated") == (year_share(COHORT, year) > 0)
        assert standing(COHORT, year).allows("research") == (year_share(COHORT, year) > Fraction(2, 100))


@pytest.mark.parametrize(
    ("moment", "year"),
    [
        (datetime(2025, 6, 30, 23, 59, 59, tzinfo=ZoneInfo("America/New_York")), 2025),
        (datetime(2025, 7, 1, tzinfo=ZoneInfo("America/New_York")), 2026),
        (datetime(2025, 7, 1, 3, 59, tzinfo=UTC), 2025),
        (datetime(2025, 7, 1, 4, 0, tzinfo=UTC), 2026),
        (datetime(2025, 12, 31, tzinfo=UTC), 2026),
        (datetime(2026, 1, 1, tzinfo=UTC), 2026),
    ],
)
def test_the_budget_year_turns_on_the_first_of_july_at_home(moment: datetime, year: int) -> None:
    """Year B runs from 1 July B-1 to 30 June B by the clock on the district's wall."""
    assert budget_year(moment, "America/New_York") == year


def test_a_moment_without_a_zone_has_no_year() -> None:
    """Guessing the zone of a time would put charges into the wrong year."""
    with pytest.raises(ValueError, match="time zone"):
        budget_year(datetime(2025, 7, 1), "America/New_York")  # noqa: DTZ001 - that is the point


def test_the_default_share() -> None:
    """Sixty plain questions a year, whatever cohorts they touch."""
    assert default_share_nanorho([6_000_000, 2_000_000]) == 33_333
    assert 60 * default_share_nanorho([2_000_000]) <= 2_000_000
    with pytest.raises(ValueError, match=r"empty"):
        default_share_nanorho([])


def test_a_year_of_standard() -> None:
    """A school year under Standard is ε 0.88 or so."""
    lifetime = nanorho_for(STANDARD.epsilon)
    assert 0.85 < epsilon_of(year_cap_nanorho(lifetime, COHORT, 2025)) < 0.9
