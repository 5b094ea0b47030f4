"""Margins of error: what the noise of the draws does to an estimate made of them.

Margins cover the noise, not sampling. They follow from the independent draws themselves: for linear forms on the
lattice their errors lie on, exactly where one draw is used; for ratios by Fieller's theorem (E. C. Fieller, "Some
Problems in Interval Estimation", 1954), by the delta method for other smooth functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from engine.forms import Linear, lattice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.forms import Ratio

    Vector = NDArray[np.float64]

NORMAL = NormalDist()
Z90 = NORMAL.inv_cdf(0.95)
Z95 = NORMAL.inv_cdf(0.975)
FIRM = 10.0
"""A divisor is firm where it lies at least this many standard deviations from 0: the delta method holds."""

EXACT_SCALE_MAX = 200.0
"""Up to this scale the discrete Gaussian is summed term by term; beyond it a normal law is as good."""

SMOOTH = 0.5
"""An error at least this many steps wide fills the gaps of a lattice: its law is off by less than exp(-π²/2)."""

SEARCH_STEPS = 80
MARGIN_MAX = 1e18


# -- linear forms


def variance(form: Linear, scales: Sequence[float]) -> float:
    """Variance of a linear form of independent draws with these standard deviations."""
    return sum((float(coefficient) * scales[position]) ** 2 for position, coefficient in form.terms)


def covariance(a: Linear, b: Linear, scales: Sequence[float]) -> float:
    """Covariance of two linear forms of the same draws."""
    other = dict(b.terms)
    return sum(float(c) * float(other[p]) * scales[p] ** 2 for p, c in a.terms if p in other)


def lump(form: Linear, scales: Sequence[float], groups: int = 1) -> float:
    """The step of the coarsest lattice on which the error lies in lumps, apart from its finest; 0 where it is smooth.

    The terms with the greatest coefficients lie on a lattice of their own. Where the rest of the error is narrow
    beside that lattice's step, it does not fill the gaps, and a normal law is off by up to half a step. Over several
    groups each term stands so many times; the last one's own copies fill its gaps.
    """
    terms = sorted(form.terms, key=lambda term: -abs(term[1]))
    for position in range(1, len(terms) + (groups > 1)):
        coarse = float(lattice(coefficient for _, coefficient in terms[:position]))
        rest = groups * variance(Linear(tuple(terms[position:])), scales)
        if position == len(terms):
            rest = variance(Linear(tuple(terms[-1:])), scales)
        if rest**0.5 < coarse * SMOOTH:
            return coarse
    return 0.0


@lru_cache(maxsize=128)
def _within(scale: float) -> Vector:
    """P(|N| ≤ k) for k = 0, 1, … of a discrete Gaussian N: P(N = k) is proportional to exp(-k²/2σ²)."""
    weights = np.exp(-(np.arange(int(12 * scale) + 2) ** 2) / (2 * scale * scale))
    weights[1:] *= 2
    cumulated: Vector = np.cumsum(weights) / weights.sum()
    return cumulated


def chance(form: Linear, scales: Sequence[float], margin: float) -> float:
    """The probability that the error of a linear form is at most `margin` in magnitude."""
    if not form.terms:
        return 1.0
    if len(form.terms) == 1 and scales[form.terms[0][0]] <= EXACT_SCALE_MAX:
        cumulated = _within(scales[form.terms[0][0]])
        return float(cumulated[min(_steps(margin, form.step), len(cumulated) - 1)])
    left = reach(form, margin) - lump(form, scales) / 2
    return 2 * NORMAL.cdf(left / variance(form, scales) ** 0.5) - 1


def reach(form: Linear, margin: float) -> float:
    """How far a normal error may go that stands for one on the form's lattice: half a step beyond the last point."""
    if not form.terms:
        return 0.0
    return float((_steps(margin, form.step) + Fraction(1, 2)) * form.step)


def _steps(margin: float, step: Fraction) -> int:
    """Whole steps in a margin, read as the decimal number it was written as: 0.3 has three steps of 0.1."""
    return math.floor(Fraction(repr(margin)) / step)


def margin(form: Linear, scales: Sequence[float], level: float, groups: int = 1) -> float:
    """The least margin that the error of a linear form, summed over so many groups, keeps with a probability.

    >>> margin(Linear(((0, Fraction(1)),)), [5.7], 0.9)
    9.0
    >>> margin(Linear(((0, Fraction(1)),)), [5.7], 0.9, groups=4)
    19.0
    """
    if not form.terms:
        return 0.0
    if groups == 1 and len(form.terms) == 1 and scales[form.terms[0][0]] <= EXACT_SCALE_MAX:
        return float(form.step * int(np.searchsorted(_within(scales[form.terms[0][0]]), level)))
    deviation = (groups * variance(form, scales)) ** 0.5
    wide = NORMAL.inv_cdf((1 + level) / 2) * deviation + lump(form, scales, groups) / 2
    return float(form.step * max(0, math.ceil(Fraction(wide) / form.step - Fraction(1, 2))))


# -- ratios


def fieller(ratio: Vector, divisor: Vector, variances: tuple[float, float, float], z: float) -> Vector:
    """Half-width of the interval for a ratio A/D that covers it with the normal probability of ±z.

    The interval is not symmetric; its farther end is given. NaN where it is unbounded.

    Args:
        ratio: the noisy ratio, shape (cells,).
        divisor: D, shape (cells,).
        variances: of A, of D, and their covariance.
        z: quantile.
    """
    of_a, of_d, together = variances
    with np.errstate(all="ignore"):
        g = z * z * of_d / divisor**2
        bounded = np.where(g < 1, 1 - g, np.nan)
        centre = (ratio - z * z * together / divisor**2) / bounded
        spread = of_a - 2 * ratio * together + ratio**2 * of_d - g * (of_a - (together**2 / of_d if of_d else 0.0))
        half = z / np.abs(divisor) * np.sqrt(np.maximum(spread, 0.0)) / bounded
        found: Vector = np.maximum(centre + half - ratio, ratio - (centre - half))
    return found


def edges(ratio: Ratio, at: Fraction, wanted: Fraction) -> tuple[Linear, Linear]:
    """The two linear forms whose noise takes a ratio beyond a margin, above and below.

    With A = a + u and D = d + v, noise u and v, and D > 0: A/D - a/d > M where u - (a/d + M)·v > M·d, and likewise
    below.
    """
    above, below = (ratio.numerator.plus(ratio.denominator, -(at + side * wanted)) for side in (1, -1))
    return above, below


@dataclass(frozen=True, slots=True)
class RatioNoise:
    """What the noise does to a ratio of known ends: variances of its parts, and their covariance.

    Attributes:
        per_row: what one row adds to the divisor.
    """

    within: tuple[float, float]
    per_row: float
    of_numerator: float
    of_divisor: float
    together: float

    @staticmethod
    def of(ratio: Ratio, scales: Sequence[float]) -> RatioNoise | None:
        """Of draws with these standard deviations; None where the ratio's ends are unknown."""
        if ratio.within is None:
            return None
        return RatioNoise(
            within=(float(ratio.within[0]), float(ratio.within[1])),
            per_row=float(ratio.per_row),
            of_numerator=variance(ratio.numerator, scales),
            of_divisor=variance(ratio.denominator, scales),
            together=covariance(ratio.numerator, ratio.denominator, scales),
        )

    def chance(self, wanted: float, rows: int) -> float:
        """The probability that the ratio of a cell of so many rows is within a margin, whatever the ratio is."""
        reach = wanted * self.per_row * rows
        found = []
        for at in self.within:
            sides = [self._deviation(at + wanted), self._deviation(at - wanted)]
            found.append(sum(NORMAL.cdf(reach / side) if side else 1.0 for side in sides) - 1)
        return min(found)

    def _deviation(self, at: float) -> float:
        return math.sqrt(max(0.0, self.of_numerator - 2 * at * self.together + at * at * self.of_divisor))

    def margin(self, level: float, rows: int) -> float | None:
        """The margin that is kept with the probability `level`, whatever the ratio is; None where none is."""
        low, high = 0.0, MARGIN_MAX
        if self.chance(high, rows) < level:
            return None
        for _ in range(SEARCH_STEPS):
            middle = (low * high) ** 0.5 if low else high / 2**16
            if self.chance(middle, rows) < level:
                low = middle
            else:
                high = middle
            if high <= low * (1 + 1e-9):
                break
        return high
