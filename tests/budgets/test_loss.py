"""Whole numbers: charges up, caps down; ε only for people."""

import math
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from budgets.loss import (
    NANO,
    SHOWN_DELTA,
    ZERO,
    PrivacyLoss,
    cap_nanorho,
    charge_nanorho,
    epsilon_of,
    nanorho_for,
    odds,
)


def test_losses_add_up_part_by_part() -> None:
    """The loss of two releases is the sum of their losses, in ρ and in δ."""
    assert PrivacyLoss(3, 5) + PrivacyLoss(4, 1) == PrivacyLoss(7, 6)
    assert PrivacyLoss(3) + ZERO == PrivacyLoss(3)


def test_losses_have_no_order() -> None:
    """Comparing two losses is refused: a smaller ρ may come with a larger δ."""
    with pytest.raises(TypeError):
        assert PrivacyLoss(1) < PrivacyLoss(2)  # type: ignore[operator]


@pytest.mark.parametrize("bad", [-1, 1.0, True, None, "1"])
def test_a_loss_is_made_of_whole_numbers(bad: object) -> None:
    """Floats, booleans and negative numbers never become a loss."""
    with pytest.raises(ValueError, match="whole numbers"):
        PrivacyLoss(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="whole numbers"):
        PrivacyLoss(0, bad)  # type: ignore[arg-type]


@given(st.floats(min_value=0, max_value=1e12))
@example(0.1)
@example(5e-324)
@example(1e-9)
def test_charges_round_up_and_caps_round_down(rho: float) -> None:
    """The charge is the least whole nano-ρ not below the exact float, the cap the greatest not above it."""
    exact = Fraction(rho) * NANO
    assert charge_nanorho(rho) - 1 < exact <= charge_nanorho(rho)
    assert cap_nanorho(rho) <= exact < cap_nanorho(rho) + 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e-300, True])
def test_no_loss_that_is_no_number(bad: float) -> None:
    """A map that overflowed, or went below 0, is never charged."""
    with pytest.raises(ValueError, match="finite"):
        charge_nanorho(bad)
    with pytest.raises(ValueError, match="finite"):
        cap_nanorho(bad)


@pytest.mark.parametrize(("epsilon", "rho"), [(2.0, 0.0708), (4.0, 0.2552), (8.0, 0.8854)])
def test_the_presets(epsilon: float, rho: float) -> None:
    """ε 2, 4 and 8 at δ 5e-8 are ρ 0.0708, 0.2552 and 0.8854."""
    assert round(nanorho_for(epsilon) / NANO, 4) == rho


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 0.88, 4.0, 8.0, 100.0])
def test_the_greatest_loss_of_an_epsilon(epsilon: float) -> None:
    """One nano-ρ more than `nanorho_for(ε)` is more than ε."""
    nanorho = nanorho_for(epsilon)
    assert epsilon_of(nanorho) <= epsilon < epsilon_of(nanorho + 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0, 100.1, True])
def test_no_budget_for_an_impossible_epsilon(bad: float) -> None:
    """ε that is no number, not above 0, or so large that it protects nobody, is refused."""
    nanorho_for(1.0)  # a cached answer is not that of True
    with pytest.raises(ValueError, match="ε"):
        nanorho_for(bad)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-9, math.nan])
def test_no_epsilon_without_a_delta(delta: float) -> None:
    """ε of a ρ is only known beside a δ between 0 and 1."""
    with pytest.raises(ValueError, match="δ"):
        epsilon_of(1, delta)
    with pytest.raises(ValueError, match="δ"):
        nanorho_for(1.0, delta)


def test_nothing_lost_is_nothing_shown() -> None:
    """A loss of 0 is ε 0 and odds of 1."""
    assert epsilon_of(0) == 0.0
    assert odds(0) == 1.0


def _profile_delta(rho: float, epsilon: float) -> float:
    """δ(ε) of a Gaussian with μ = sqrt(2ρ): Balle and Wang 2018, Theorem 8, by the error function alone."""
    mu = math.sqrt(2 * rho)
    upper = math.erfc((epsilon / mu - mu / 2) / math.sqrt(2)) / 2
    return upper - math.exp(epsilon) * math.erfc((epsilon / mu + mu / 2) / math.sqrt(2)) / 2


@pytest.mark.parametrize("nanorho", [10_000, 15_312_000, 255_200_000, 885_400_000])
def test_shown_epsilon_is_at_least_that_of_the_gaussian(nanorho: float) -> None:
    """ε of a ρ covers every mechanism with that ρ; that of the Gaussian alone is a little smaller."""
    epsilon = epsilon_of(int(nanorho))
    assert _profile_delta(nanorho / NANO, epsilon) <= SHOWN_DELTA
    assert _profile_delta(nanorho / NANO, 0.8 * epsilon) > SHOWN_DELTA


@settings(max_examples=30)
@given(st.integers(1, 10**30), st.integers(0, 10**12))
@example(1_000 * NANO, 1)
def test_more_loss_is_more_epsilon(nanorho: int, more: int) -> None:
    """ε never falls when ρ grows, and is known for losses beyond all measure too."""
    assert epsilon_of(nanorho) <= epsilon_of(nanorho + more)


def test_epsilon_of_the_unimaginable() -> None:
    """No loss is so large that showing it fails."""
    assert epsilon_of(10**400) == math.inf
    assert odds(10**400) == math.inf
    assert odds(10**21) == math.inf
    with pytest.raises(ValueError, match="nano"):
        epsilon_of(-1)


def test_odds_are_rounded_up() -> None:
    """Standard is 55 for a lifetime and 2.5 for a year: never less than e^ε, two digits."""
    standard = nanorho_for(4.0)
    assert odds(standard) == 55.0
    assert odds(standard * 6 // 100) == 2.5
    for nanorho in (1, 1_000, 10**6, 10**9):
        assert math.exp(epsilon_of(nanorho)) <= odds(nanorho) <= 1.11 * math.exp(epsilon_of(nanorho))
