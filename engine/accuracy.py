"""Margin of error ↔ loss: how a question's loss is shared over its statistics, and what margin that gives.

Margins cover the noise, not sampling. They follow from the independent draws themselves: exactly for linear
forms, by Fieller's theorem for ratios (E. C. Fieller, "Some Problems in Interval Estimation", 1954), by the
delta method for other smooth functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from engine.forms import Linear, Ratio
from engine.mechanisms import Gaussian, gaussian_for
from engine.refusals import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from engine.forms import Form
    from engine.plan import Plan

    Vector = NDArray[np.float64]

Z90 = NormalDist().inv_cdf(0.95)
Z95 = NormalDist().inv_cdf(0.975)
FIRM = 10.0
"""A divisor is firm where it lies at least this many standard deviations from 0: the delta method holds."""

FORETOLD_SIZES = (30, 100, 1000)


@dataclass(frozen=True, slots=True)
class Priced:
    """What a question draws and what it takes from earlier measurements.

    Attributes:
        drawn: (position of the statistic in the plan, its noise).
        reused: position → the loss and id of the stored measurement used instead.
    """

    drawn: tuple[tuple[int, Gaussian], ...]
    reused: Mapping[int, tuple[int, int]]

    @property
    def nanorho(self) -> int:
        """The question's loss for a cohort that every drawn statistic touches."""
        return sum(noise.nanorho for _, noise in self.drawn)


def price(plan: Plan, nanorho: int, stored: Mapping[int, tuple[int, int]]) -> Priced:
    """Share a loss over the statistics that must be drawn.

    A stored measurement is used where it is at least as sharp as what the question would buy; if all are stored
    and were together paid at least as much, all are.

    Args:
        plan: the question's plan.
        nanorho: the loss the question may spend.
        stored: position → (loss in nano-ρ, measurement id) of the sharpest stored measurement.

    Raises:
        QueryRefused: the loss is too small to buy any answer.
    """
    everyone = tuple(range(len(plan.statistics)))
    wanted = dict(_shares(plan, everyone, nanorho))
    paid = sum(stored[position][0] for position in everyone if position in stored)
    if len(stored) == len(everyone) and paid >= sum(noise.nanorho for noise in wanted.values()):
        return Priced((), dict(stored))
    reused = {position: found for position, found in stored.items() if found[0] >= wanted[position].nanorho}
    missing = tuple(position for position in everyone if position not in reused)
    return Priced(_shares(plan, missing, nanorho), reused)


def _shares(plan: Plan, positions: Sequence[int], nanorho: int) -> tuple[tuple[int, Gaussian], ...]:
    total = sum(plan.weights[position] for position in positions)
    found = []
    for position in positions:
        share = int(nanorho * plan.weights[position] / total)
        noise = gaussian_for(plan.statistics[position].l2_squared, share) if share else None
        if noise is None:
            raise QueryRefused(
                "too_large",
                "This share of the budget is too small to buy an answer to so many statistics at once.",
                accepted="fewer statistics in one question, or a larger epsilon",
            )
        found.append((position, noise))
    return tuple(found)


def variance(form: Linear, scales: Sequence[float]) -> float:
    """Variance of a linear form of independent draws with these standard deviations."""
    return sum((float(coefficient) * scales[position]) ** 2 for position, coefficient in form.terms)


def covariance(a: Linear, b: Linear, scales: Sequence[float]) -> float:
    """Covariance of two linear forms of the same draws."""
    other = dict(b.terms)
    return sum(float(c) * float(other[p]) * scales[p] ** 2 for p, c in a.terms if p in other)


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


def foretold(form: Form, scales: Sequence[float]) -> tuple[float | None, dict[str, float] | None]:
    """The 90 % margin before the draw: of any cell (linear), or of an average over n rows at most."""
    if isinstance(form, Linear):
        return Z90 * variance(form, scales) ** 0.5, None
    if isinstance(form, Ratio) and form.spread is not None:
        counts = {position for position, _ in form.denominator.terms}
        rest = Linear(tuple(term for term in form.numerator.terms if term[0] not in counts))
        most = variance(rest, scales) + float(form.spread) ** 2 * variance(form.denominator, scales)
        return None, {str(n): Z90 * most**0.5 / n for n in FORETOLD_SIZES}
    return None, None
