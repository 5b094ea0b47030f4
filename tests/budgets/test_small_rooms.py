"""Clocks, grants, draws, wording: the values without effects."""

import re
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest

from budgets.clock import FixedClock, SystemClock
from budgets.cohorts import Balance, short_refusal, shortage, standing_refusal
from budgets.entries import Charge, charges_of
from budgets.grants import Grant, district_grant, find_grant
from budgets.loss import PrivacyLoss, nanorho_for
from budgets.policy import Standing, standing
from budgets.refusals import AccessRefused
from budgets.stores.times import from_micros, to_micros


def test_the_system_clock_knows_its_zone() -> None:
    """The machine's clock gives moments in UTC."""
    assert SystemClock().now().tzinfo is UTC


def test_a_fixed_clock_stands_still() -> None:
    """A fixed clock shows its moment, in UTC; a moment without a zone is refused."""
    at = datetime(2025, 3, 1, 7, tzinfo=timezone(timedelta(hours=-5)))
    assert FixedClock(at).now() == datetime(2025, 3, 1, 12, tzinfo=UTC)
    with pytest.raises(ValueError, match="time zone"):
        FixedClock(datetime(2025, 3, 1))  # noqa: DTZ001 - that is the point


def test_stored_moments_come_back_to_the_microsecond() -> None:
    """Moments are stored as whole microseconds and lose nothing."""
    at = datetime(2025, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC)
    assert from_micros(to_micros(at)) == at


def test_the_built_in_grant() -> None:
    """The district's grant counts everybody the law counts, with a tenth of each year."""
    assert district_grant() == Grant("district", "mandated", Fraction(1, 10))
    assert district_grant().allowance_nanorho(6_000_009) == 600_000


def test_no_other_grant() -> None:
    """An unknown name is refused with those that are known."""
    with pytest.raises(AccessRefused) as refused:
        find_grant([district_grant()], "rutgers")
    assert (refused.value.code, refused.value.accepted) == ("grant_missing", "district")


@pytest.mark.parametrize("fraction", [Fraction(0), Fraction(11, 10), 0.1, Fraction(-1, 2)])
def test_a_grant_is_a_part_of_a_year(fraction: Any) -> None:
    """A grant can neither add to a year nor be a float."""
    with pytest.raises(ValueError, match="fraction"):
        district_grant(fraction)
    with pytest.raises(ValueError, match="name"):
        Grant("", "research", Fraction(1))


@pytest.mark.parametrize(
    "fields",
    [
        {"nanorho": 0},
        {"cohorts": ()},
        {"cohorts": (2025, 2025)},
    ],
)
def test_no_draw_is_free(kit: Any, fields: dict[str, Any]) -> None:
    """A draw costs something, touches somebody, and counts nobody twice."""
    with pytest.raises(ValueError, match="a draw"):
        kit.draw("a", **fields)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_no_draw_without_noise(kit: Any, scale: float) -> None:
    """A scale of 0 would release the exact numbers."""
    one = kit.draw("a")
    with pytest.raises(ValueError, match="scale"):
        type(one)(one.statistic, scale, one.loss, one.cohorts)


def test_every_cohort_pays_for_every_draw_that_scans_it(kit: Any) -> None:
    """A cohort pays the sum over the draws that touch it, and for no other."""
    draws = [
        kit.draw("a", 5, (2030, 2031)),
        kit.draw("b", 7, (2031,), attodelta=2),
        kit.draw("c", 11, (2029, 2031)),
    ]
    assert charges_of(draws, 2025) == (
        Charge(2029, 2025, PrivacyLoss(11)),
        Charge(2030, 2025, PrivacyLoss(5)),
        Charge(2031, 2025, PrivacyLoss(23, 2)),
    )


def test_a_statistic_is_drawn_or_reused_once(kit: Any) -> None:
    """A question that names a statistic twice contradicts itself."""
    one = kit.draw("a")
    with pytest.raises(ValueError, match="once or reused"):
        kit.question("r", one, one)
    with pytest.raises(ValueError, match="once or reused"):
        kit.question("r", one, reused={one.statistic: 1})
    with pytest.raises(ValueError, match="request id"):
        kit.question("", one)


DISTRICT = district_grant()


def balance(cohort: int, **fields: int) -> Balance:
    caps = {"lifetime_cap": 1_000, "lifetime_spent": 0, "year_cap": 100, "year_spent": 0}
    rest = {"allowance_cap": 10, "allowance_spent": 0, "attodelta_cap": 5, "attodelta_spent": 0}
    rest |= {"population_cap": 1_000, "population_spent": 0}
    return Balance(cohort=cohort, year=2025, standing=Standing.OPEN, **(caps | rest | fields))


def test_what_is_left_is_the_least() -> None:
    """Lifetime, year, its part for the population and allowance all have to cover a charge."""
    assert balance(2030).left == 10
    assert balance(2030, population_cap=20, population_spent=13).left == 7
    assert balance(2030, allowance_cap=500).left == 100
    assert balance(2030, allowance_cap=500, lifetime_spent=995).left == 5


def test_a_charge_may_use_the_last_nanorho() -> None:
    """What is left may be spent to the end, and not one nano-ρ further."""
    full = balance(2030, lifetime_cap=10, year_cap=10)
    assert shortage(full, Charge(2030, 2025, PrivacyLoss(10, 5)), None) is None
    for fields, loss, kind in [
        ({"lifetime_cap": 9}, PrivacyLoss(10), "lifetime"),
        ({}, PrivacyLoss(1, 6), "delta"),
        ({"year_cap": 9}, PrivacyLoss(10), "year"),
        ({"population_cap": 9}, PrivacyLoss(10), "population"),
        ({"allowance_cap": 9}, PrivacyLoss(10), "allowance"),
        ({}, PrivacyLoss(10), "ceiling"),
    ]:
        short = shortage(balance(2030, **fields), Charge(2030, 2025, loss), 9 if kind == "ceiling" else 10)
        assert short is not None
        assert short.kind == kind


def test_a_refusal_says_who_what_and_what_else() -> None:
    """It names the cohorts, the budget in shares and ε with its δ, and the cohorts that could pay."""
    balances = {c: balance(c) for c in (2030, 2031, 2032)} | {2033: balance(2033, allowance_cap=90)}
    charges = [Charge(c, 2025, PrivacyLoss(20)) for c in balances]
    refusal = short_refusal(balances, charges, DISTRICT)
    assert refusal is not None
    assert refusal.code == "budget_year"
    assert refusal.accepted == "cohorts=[2033]"
    assert "Cohorts 2030, 2031 and 2032" in refusal.message
    assert "grant 'district'" in refusal.message
    assert "200.0 %" in refusal.message
    assert "δ 5e-08" in refusal.message


def test_the_longest_budget_is_named_first() -> None:
    """Who can never pay again is told so, not to wait for July."""
    balances = {2030: balance(2030), 2031: balance(2031, lifetime_cap=15)}
    refusal = short_refusal(balances, [Charge(c, 2025, PrivacyLoss(20)) for c in balances], DISTRICT)
    assert refusal is not None
    assert refusal.code == "budget_lifetime"
    assert refusal.accepted == "a smaller epsilon: at most 0.000477 at δ 5e-08, or margins at least 1.5 times as wide"
    assert "Cohort 2031 cannot" in refusal.message


@pytest.mark.parametrize("left", [1, 7, 10, 1_531_200, 15_312_000, 255_203_395])
def test_the_smaller_loss_that_is_advised_can_be_paid(left: int) -> None:
    """It fits the least of all remainders, not only the budget that is named, and so do the wider margins."""
    roomy = {"lifetime_cap": 10**10, "year_cap": 10**9, "population_cap": 10**9, "allowance_cap": left}
    balances = {2030: balance(2030, **roomy), 2031: balance(2031, **roomy | {"lifetime_cap": left + 5})}
    asked = 10**9 + 1
    refusal = short_refusal(balances, [Charge(c, 2025, PrivacyLoss(asked)) for c in balances], DISTRICT)
    assert refusal is not None
    assert refusal.code == "budget_lifetime"
    assert refusal.accepted is not None
    advised = re.search(r"at most ([\d.e-]+) at", refusal.accepted)
    if advised is None:
        assert left == 1
        return
    assert 0.97 * left - 1 < nanorho_for(float(advised[1])) <= left
    wider = re.search(r"at least ([\d.]+) times", refusal.accepted)
    assert (wider is None) == (left < 1000)
    if wider is not None:
        assert asked / float(wider[1]) ** 2 <= left


def test_years_in_a_row_are_folded() -> None:
    """Nineteen classes are named in one word, not nineteen."""
    balances = {c: balance(c) for c in (*range(2020, 2039), 2040)}
    refusal = short_refusal(balances, [Charge(c, 2025, PrivacyLoss(20)) for c in balances], DISTRICT)
    assert refusal is not None
    assert refusal.message.startswith("Cohorts 2020-2038 and 2040 cannot pay")


@pytest.mark.parametrize("amount", [21, 10**30, 10**400])
def test_no_cost_is_too_large_to_be_refused(amount: int) -> None:
    """An absurd accuracy gets a sentence, not a failure."""
    balances = {2030: balance(2030, year_cap=0, lifetime_cap=20)}
    refusal = short_refusal(balances, [Charge(2030, 2025, PrivacyLoss(amount))], DISTRICT)
    assert refusal is not None
    assert refusal.code == "budget_lifetime"


def test_delta_is_refused_in_its_own_unit() -> None:
    """A threshold budget is a probability, not an ε."""
    refusal = short_refusal({2030: balance(2030)}, [Charge(2030, 2025, PrivacyLoss(1, 6))], DISTRICT)
    assert refusal is not None
    assert refusal.code == "budget_lifetime"
    assert "δ 6e-18" in refusal.message
    assert "ε" not in refusal.message


def test_closed_cohorts_are_named_with_their_reason() -> None:
    """Not yet, sealed, mandated only: each has its sentence, and the others are offered."""
    refusal = standing_refusal({c: standing(c, 2025) for c in (2018, 2022, 2030, 2039)}, 2025, "research")
    assert refusal is not None
    assert (refusal.code, refusal.accepted) == ("cohort_sealed", "cohorts=[2030]")
    assert "Cohort 2018 was sealed at the end of the budget year 2024." in refusal.message
    assert "Of cohort 2022 only mandated statistics" in refusal.message
    assert "Cohort 2039 opens with the budget year 2026." in refusal.message
    assert standing_refusal({c: standing(c, 2025) for c in (2022, 2030)}, 2025, "mandated") is None
