"""Privacy loss in whole numbers, and what it means to people.

The ledger counts rho of zero-concentrated differential privacy in nano-rho and δ in atto-δ: integers only,
charges rounded up, caps rounded down. The only module of this package that imports opendp, and only for the
privacy profile that turns rho into the ε shown to people. No balance is ever computed from an ε.

Source: Bun and Steinke, "Concentrated Differential Privacy: Simplifications, Extensions, and Lower Bounds"
(2016), for rho and its addition under adaptive composition (Lemma 2.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

import opendp.prelude as dp

dp.enable_features("contrib")

NANO = 10**9
"""Nano-rho in one rho."""

ATTO = 10**18
"""Atto-δ in one δ."""

SHOWN_DELTA = 5e-8
"""Every ε shown is at half of the district's δ of 1e-7; the other half is for thresholds."""

EPSILON_MAX = 100.0
PROFILE_NANORHO_MAX = 1_000 * NANO
"""OpenDP's profile overflows somewhere above; a loss this large is shown by the closed bound."""


@dataclass(frozen=True, order=False, slots=True)
class PrivacyLoss:
    """What one release may cost a cohort: (rho, δ)-approximate zCDP, in whole numbers.

    Losses add up under adaptive composition, rho to rho and δ to δ. They have no order: the smaller rho may
    come with the larger δ.

    >>> PrivacyLoss(3) + PrivacyLoss(4, 1)
    PrivacyLoss(nanorho=7, attodelta=1)

    Attributes:
        nanorho: rho in 1e-9.
        attodelta: δ in 1e-18.

    Raises:
        ValueError: a part that is not a whole number, or is negative.
    """

    nanorho: int
    attodelta: int = 0

    def __post_init__(self) -> None:
        for part in (self.nanorho, self.attodelta):
            if type(part) is not int or part < 0:
                raise ValueError("a privacy loss is made of whole numbers that are not negative")

    def __add__(self, other: PrivacyLoss) -> PrivacyLoss:
        return PrivacyLoss(self.nanorho + other.nanorho, self.attodelta + other.attodelta)


ZERO = PrivacyLoss(0)


def charge_nanorho(rho: float) -> int:
    """The nano-rho charged for a loss of `rho`: the exact value of the float, rounded up.

    >>> charge_nanorho(1e-12), charge_nanorho(0.0), charge_nanorho(2.0)
    (1, 0, 2000000000)

    Raises:
        ValueError: `rho` is negative, infinite or not a number.
    """
    return math.ceil(_exact(rho) * NANO)


def cap_nanorho(rho: float) -> int:
    """The nano-rho granted by a cap of `rho`: the exact value of the float, rounded down.

    >>> cap_nanorho(0.25), cap_nanorho(1e-12)
    (250000000, 0)

    Raises:
        ValueError: `rho` is negative, infinite or not a number.
    """
    return math.floor(_exact(rho) * NANO)


def _exact(rho: float) -> Fraction:
    if isinstance(rho, bool) or not math.isfinite(rho) or rho < 0:
        raise ValueError("rho is a finite number that is not negative")
    return Fraction(rho)


@lru_cache(maxsize=1)
def _profiles() -> Any:
    """Any zCDP measurement will do: its map takes d_in to d_in²/2, and the profile depends on that alone."""
    space = dp.atom_domain(T=float, nan=False), dp.absolute_distance(T=float)
    return dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale=1.0))


def _epsilon(nanorho: int, delta: float) -> float:
    if nanorho == 0:
        return 0.0
    if nanorho > PROFILE_NANORHO_MAX:
        return _epsilon_bound(nanorho, delta)
    d_in = math.nextafter(math.sqrt(2 * nanorho / NANO), math.inf)
    return float(_profiles().map(d_in).epsilon(delta))


def _epsilon_bound(nanorho: int, delta: float) -> float:
    """An upper bound: ε ≤ rho + 2·sqrt(rho·ln(1/δ)) (Bun and Steinke 2016, Proposition 1.3)."""
    try:
        rho = nanorho / NANO
    except OverflowError:
        return math.inf
    return rho + 2 * math.sqrt(rho) * math.sqrt(-math.log(delta))


@lru_cache(maxsize=16_384)
def epsilon_of(nanorho: int, delta: float = SHOWN_DELTA) -> float:
    """The ε at which a loss of `nanorho` is (ε, δ)-differentially private, for one person of the cohort.

    For people only; charges and caps are rho. Above 1,000 rho a closed upper bound stands in for the
    profile.

    Args:
        nanorho: rho in 1e-9.
        delta: the δ beside it, between 0 and 1.

    Raises:
        ValueError: a negative loss, or a δ that is not between 0 and 1.
    """
    if type(nanorho) is not int or nanorho < 0 or not 0 < delta < 1:
        raise ValueError("ε is known for a loss in whole nano-rho at a δ between 0 and 1")
    return _epsilon(nanorho, delta)


@lru_cache(maxsize=1_024, typed=True)  # else True would be answered as 1.0 was
def nanorho_for(epsilon: float, delta: float = SHOWN_DELTA) -> int:
    """The greatest whole nano-rho whose ε at `delta` is no more than `epsilon`.

    >>> nanorho_for(4.0) // 10**5 / 10**4
    0.2552

    Raises:
        ValueError: an ε that is not above 0 and at most 100, or a δ that is not between 0 and 1.
    """
    if isinstance(epsilon, bool) or not 0 < epsilon <= EPSILON_MAX or not 0 < delta < 1:
        raise ValueError(f"ε is a number above 0 and at most {EPSILON_MAX:g}, at a δ between 0 and 1")
    low, high = 0, NANO
    while _epsilon(high, delta) <= epsilon:
        low, high = high, high * 2
    return _last_within(epsilon, delta, low, high)


def _last_within(epsilon: float, delta: float, low: int, high: int) -> int:
    """The greatest number whose ε is within `epsilon`, between `low`, which is, and `high`, which is not.

    Two guesses in three follow the curve, one a little above it and one below, so that both ends close in; the
    third is the middle, which ends the search whatever the curve looks like.
    """
    at_low, at_high = _epsilon(low, delta), _epsilon(high, delta)
    turn = 0
    while high - low > 1:
        guess = (low + high) // 2
        if turn % 3:
            part = (epsilon - at_low) / (at_high - at_low)
            nudge = max(1, (high - low) >> 12) * (1 if turn % 3 == 1 else -1)
            guess = min(max(low + int((high - low) * part) + nudge, low + 1), high - 1)
        at_guess = _epsilon(guess, delta)
        if at_guess <= epsilon:
            low, at_low = guess, at_guess
        else:
            high, at_high = guess, at_guess
        turn += 1
    return low


def epsilon_below(nanorho: int, digits: int = 3) -> float:
    """The ε of a loss rounded down: whoever asks for this number gets no more than the loss.

    >>> epsilon_below(255_203_395), nanorho_for(epsilon_below(255_203_395)) <= 255_203_395
    (3.99, True)
    """
    return _rounded(epsilon_of(nanorho), digits, ROUND_FLOOR)


def epsilon_above(nanorho: int, digits: int = 3) -> float:
    """The ε of a loss rounded up: a cap of this number covers the loss.

    >>> epsilon_above(255_199), nanorho_for(epsilon_above(255_199)) >= 255_199
    (0.104, True)
    """
    return _rounded(epsilon_of(nanorho), digits, ROUND_CEILING)


def _rounded(number: float, digits: int, rounding: str) -> float:
    return float(Context(prec=digits, rounding=rounding).create_decimal(Decimal(number)))


def odds(nanorho: int) -> float:
    """How many times as likely anything seen is with a person's records as without: e^ε, for people.

    Rounded up to two significant digits; infinite where no float is large enough. Beside it stands always:
    plus at most `SHOWN_DELTA`.

    >>> odds(0), odds(nanorho_for(4.0))
    (1.0, 55.0)
    """
    epsilon = epsilon_of(nanorho)
    if epsilon == 0:
        return 1.0
    try:
        factor = math.nextafter(math.exp(epsilon), math.inf)
    except OverflowError:
        return math.inf
    return _rounded(factor, 2, ROUND_CEILING)
