"""Accuracy ↔ loss: what a question draws, from a loss it may spend or from margins it asks for.

The loss is fixed before anything is drawn, from plan, stored measurements and public numbers; nothing is ever
redrawn to meet a margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from budgets.loss import NANO
from engine import margins
from engine.forms import Computed, Linear, Ratio, Total, used
from engine.mechanisms import Gaussian, d_in_of, gaussian_for
from engine.refusals import QueryRefused
from engine.sharpening import ROUNDING_VARIANCE, combined_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.forms import Form
    from engine.plan import Plan

    Vector = NDArray[np.float64]

FORETOLD_SIZES = (30, 100, 1000)
LEVEL = 0.9
"""A margin that is asked for is a 90 % margin."""

MULTIPLIER_STEPS = 300
SCALING_STEPS = 30
SCALING_WIDTH = 16.0
SCALING_MAX = 2.0**60
TINY = 1e-300
BEYOND = (1.0, 1.01, 1.03, 1.1, 1.3, 2.0)
"""By how much more is tried where a combination just misses a margin."""

SLACK_MIN = 1e-3
"""The least part of a margin left to what is drawn, where stored noise takes nearly all of it."""

NANORHO_MAX = 10**13
"""Dearer than this no budget is, and OpenDP's numbers stay far from their ends."""


class Stored(NamedTuple):
    """The stored measurements of a statistic, together.

    Attributes:
        nanorho: the sum of their losses.
        id: of the newest.
        scales: of each, the newest last.
    """

    nanorho: int
    id: int
    scales: tuple[float, ...]

    @property
    def scale(self) -> float:
        """The standard deviation of their combination."""
        return combined_scale(self.scales)


@dataclass(frozen=True, slots=True)
class Priced:
    """What a question draws and what it takes from earlier measurements.

    Attributes:
        drawn: (position of the statistic in the plan, its noise).
        reused: position → the stored measurements used instead.
        sharpened: position → the stored measurements that are combined with what is drawn.
    """

    drawn: tuple[tuple[int, Gaussian], ...]
    reused: Mapping[int, Stored]
    sharpened: Mapping[int, Stored] = field(default_factory=dict)

    @property
    def nanorho(self) -> int:
        """The question's loss for a cohort that every drawn statistic touches."""
        return sum(noise.nanorho for _, noise in self.drawn)

    @property
    def scales(self) -> tuple[float, ...]:
        """The standard deviation of every statistic's noise, in the order of the plan."""
        found = {
            position: combined_scale((*self.sharpened[position].scales, noise.scale))
            if position in self.sharpened
            else noise.scale
            for position, noise in self.drawn
        }
        found |= {position: stored.scale for position, stored in self.reused.items()}
        return tuple(found[position] for position in range(len(found)))

    @property
    def together(self) -> tuple[bool, ...]:
        """Whether each statistic's noise is that of several draws combined, in the order of the plan."""
        several = {position for position, stored in self.reused.items() if len(stored.scales) > 1}
        size = len(self.drawn) + len(self.reused)
        return tuple(position in several or position in self.sharpened for position in range(size))


# -- from a loss


def price(plan: Plan, nanorho: int, stored: Mapping[int, Stored]) -> Priced:
    """Share a loss over the statistics that must be drawn.

    Stored measurements are used where they are at least as sharp as what the question would buy; if all are stored
    and were together paid at least as much, all are. Where they are not, the rest is drawn and paid.

    Args:
        plan: the question's plan.
        nanorho: the loss the question may spend.
        stored: position → the stored measurements.

    Raises:
        QueryRefused: the loss is too small to buy any answer.
    """
    everyone = tuple(range(len(plan.statistics)))
    wanted = dict(_shares(plan, everyone, nanorho))
    paid = sum(stored[position].nanorho for position in everyone if position in stored)
    if len(stored) == len(everyone) and paid >= sum(noise.nanorho for noise in wanted.values()):
        return Priced((), dict(stored))
    reused = {position: found for position, found in stored.items() if found.nanorho >= wanted[position].nanorho}
    missing = tuple(position for position in everyone if position not in reused)
    return _beside(plan, _shares(plan, missing, nanorho), reused, stored)


def _beside(
    plan: Plan, wanted: Sequence[tuple[int, Gaussian]], reused: Mapping[int, Stored], stored: Mapping[int, Stored]
) -> Priced:
    """Noise as it is wanted: drawn whole, or for what is missing beside what is stored."""
    drawn, sharpened = [], {}
    for position, noise in wanted:
        found = stored.get(position)
        missing = noise.nanorho - found.nanorho if found is not None else 0
        rest = gaussian_for(plan.statistics[position].l2_squared, missing) if missing > 0 else None
        if found is not None and rest is not None:
            sharpened[position] = found
        drawn.append((position, noise if rest is None else rest))
    return Priced(tuple(drawn), dict(reused), sharpened)


def _shares(plan: Plan, positions: Sequence[int], nanorho: int) -> tuple[tuple[int, Gaussian], ...]:
    total = sum(plan.weights[position] for position in positions)
    return tuple(
        (position, _bought(plan, position, int(nanorho * plan.weights[position] / total))) for position in positions
    )


def _bought(plan: Plan, position: int, nanorho: int) -> Gaussian:
    noise = gaussian_for(plan.statistics[position].l2_squared, nanorho) if nanorho else None
    if noise is None:
        raise QueryRefused(
            "too_large",
            "This share of the budget is too small to buy an answer to so many statistics at once.",
            accepted="fewer statistics in one question, a larger epsilon, or a smaller moe",
        )
    return noise


# -- from margins


@dataclass(frozen=True, slots=True)
class Target:
    """A margin that one estimate is to keep in 90 of 100 answers.

    Attributes:
        margin: in the column's unit.
        rows: for a ratio, the least number of rows of a cell that shall keep it.
    """

    form: Linear | Ratio
    margin: float
    rows: int

    def met(self, scales: Sequence[float]) -> bool:
        """Whether noise of these standard deviations keeps the margin."""
        if isinstance(self.form, Linear):
            return margins.chance(self.form, scales, self.margin) >= LEVEL
        noise = margins.RatioNoise.of(self.form, scales)
        return noise is not None and noise.chance(self.margin, self.rows) >= LEVEL

    def limits(self) -> list[tuple[Linear, float]]:
        """Linear forms and the variances that they may have, nearly: where the least loss is looked for."""
        if isinstance(self.form, Linear):
            reach = margins.reach(self.form, self.margin)
            return [(self.form, (reach / margins.Z90) ** 2)] if self.form.terms else []
        within, per_row = self.form.within or (), self.form.per_row
        allowed = (self.margin * float(per_row) * self.rows / margins.Z90) ** 2
        return [(side, allowed) for at in within for side in margins.edges(self.form, at, Fraction(self.margin))]


def resolved(plan: Plan, moe: Sequence[tuple[str | None, float]]) -> tuple[tuple[int, float], ...]:
    """The margins asked for, by position among the plan's outputs: what they are called does not matter.

    Args:
        plan: the question's plan.
        moe: (column, margin); no column stands for the only estimate.

    Raises:
        QueryRefused: an unknown column, or no column where there are several.
    """
    positions = {
        output.name: position
        for position, output in enumerate(plan.outputs)
        if output.role != "key" and not isinstance(output.form, Computed)
    }
    known = ", ".join(positions) or "no column: the question estimates nothing"
    unknown = [name for name, _ in moe if name is not None and name not in positions]
    made = [output.name for output in plan.outputs if output.role != "key" and isinstance(output.form, Computed)]
    wanted = unknown[0] if unknown else made[0] if moe and made and not positions else None
    if wanted in made:
        raise QueryRefused(
            "unsupported",
            f"{wanted} is computed from estimates: a margin is kept for estimates as they are measured.",
            accepted=f"a moe for {known}" if positions else "what it is made of as columns of their own",
        )
    if any(name is None for name, _ in moe) and len(positions) != 1:
        raise QueryRefused(
            "unsupported", "One margin stands for one estimate.", accepted=f"a moe for each of {known}"
        )
    if unknown:
        raise QueryRefused("unknown_name", f"There is no estimate called {unknown[0]}.", accepted=f"moe for {known}")
    only = next(iter(positions.values()), 0)
    return tuple(sorted((only if name is None else positions[name], margin) for name, margin in moe))


def targets(plan: Plan, moe: Sequence[tuple[int, float]], rows: int) -> list[Target]:
    """The margins asked for, as what they demand of the noise.

    Args:
        plan: the question's plan.
        moe: (position of the output, margin), as `resolved` gives them.
        rows: for ratios, see `Target`.

    Raises:
        QueryRefused: a margin that cannot be foretold, or a statistic no margin speaks of.
    """
    found = [
        _target(plan.outputs[position].name, plan.outputs[position].form, margin, rows) for position, margin in moe
    ]
    spoken = {position for target in found for position in used(target.form)}
    named = {position for position, _ in moe}
    silent = [
        output.name
        for position, output in enumerate(plan.outputs)
        if position not in named and not set(used(output.form)) <= spoken
    ]
    if silent or len(spoken) < len(plan.statistics):
        ordered = "a question whose ORDER BY, and whose other statistics, are columns of their own"
        raise QueryRefused(
            "unsupported",
            "Some of what is measured has no margin to keep.",
            accepted=f"a moe for {', '.join(silent)}" if silent else ordered,
        )
    return found


def _target(name: str, form: Form, margin: float, rows: int) -> Target:
    if not any(True for _ in used(form)):
        return Target(Linear(), margin, rows)
    if isinstance(form, Linear) or (isinstance(form, Ratio) and form.within is not None):
        return Target(form, margin, rows)
    if isinstance(form, Total):
        raise QueryRefused(
            "unsupported",
            f"{name} is a total over groups: its margin follows from theirs.",
            accepted="epsilon instead of moe, or a moe for what it adds up, in a question without the total",
        )
    raise QueryRefused(
        "unsupported",
        f"The margin of {name} cannot be foretold: it depends on numbers that are not known before.",
        accepted="epsilon instead of moe, or a moe for the sums and counts it is made of, each in a column",
    )


def price_margins(plan: Plan, wanted: Sequence[Target], stored: Mapping[int, Stored]) -> Priced:
    """The least loss that keeps every margin.

    Each statistic j with loss ρ_j has variance q_j/ρ_j, and each margin limits a sum of w_j·q_j/ρ_j. The least Σ ρ_j
    is found by its multipliers (the problem is convex), then scaled until every margin is just kept by the noise as
    it is drawn. Where what is stored of a statistic is as sharp as that, it is used; else what is missing is drawn.

    Raises:
        QueryRefused: noise that keeps them cannot be drawn at all.
    """
    everyone = frozenset(range(len(plan.statistics)))
    if len(stored) == len(everyone):
        free = Priced((), dict(stored))
        if all(target.met(free.scales) for target in wanted):
            return free
    reused: dict[int, Stored] = {}
    desired = _least(plan, wanted, reused, stored, sorted(everyone))
    while True:
        enough = {p: stored[p] for p, noise in desired if p in stored and noise.nanorho <= stored[p].nanorho}
        if not enough or len(reused) + len(enough) == len(everyone):
            break
        try:
            less = _least(plan, wanted, reused | enough, stored, sorted(everyone - reused.keys() - enough.keys()))
        except QueryRefused:
            break  # so wide a noise leaves no room for the margin
        desired, reused = less, reused | enough
    return _kept(plan, wanted, desired, reused, stored)


def _kept(
    plan: Plan,
    wanted: Sequence[Target],
    desired: Sequence[tuple[int, Gaussian]],
    reused: Mapping[int, Stored],
    stored: Mapping[int, Stored],
) -> Priced:
    """What is desired beside what is stored, a little more where their combination would just miss a margin."""
    for more in BEYOND:
        each = [(p, _bought(plan, p, min(NANORHO_MAX, math.ceil(noise.nanorho * more)))) for p, noise in desired]
        sharp = {p: stored[p] for p, noise in each if p in stored and noise.nanorho <= stored[p].nanorho}
        found = _beside(plan, [(p, noise) for p, noise in each if p not in sharp], {**reused, **sharp}, stored)
        if found.drawn and all(target.met(found.scales) for target in wanted):
            return found
    return Priced(_least(plan, wanted, {}, {}, range(len(plan.statistics))), {})


def _least(
    plan: Plan,
    wanted: Sequence[Target],
    reused: Mapping[int, Stored],
    stored: Mapping[int, Stored],
    positions: Sequence[int],
) -> tuple[tuple[int, Gaussian], ...]:
    rho = _allocated(plan, wanted, reused, positions)
    rounded = [position for position in positions if position in stored]

    def kept(times: float) -> bool:
        scales = _scales(plan, rho * times, reused, positions)
        for position in rounded:
            scales[position] = math.hypot(scales[position], ROUNDING_VARIANCE**0.5)
        return all(target.met(scales) for target in wanted)

    factor = _scaling(kept)
    return tuple(
        (position, _bought(plan, position, math.ceil(min(NANORHO_MAX, each * factor * NANO))))
        for position, each in zip(positions, rho, strict=True)
    )


def _scaling(kept: Callable[[float], bool]) -> float:
    """The least factor on all losses with which the margins are kept."""
    high = 1.0
    while not kept(high):
        if high >= SCALING_MAX:
            raise QueryRefused(
                "too_large", "No noise keeps this margin.", accepted="a larger moe, or epsilon instead"
            )
        high *= 2
    low = high / SCALING_WIDTH
    for _ in range(SCALING_STEPS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if kept(middle) else (middle, high)
    return high


def _allocated(
    plan: Plan, wanted: Sequence[Target], reused: Mapping[int, Stored], positions: Sequence[int]
) -> Vector:
    """The losses ρ_j, nearly: by multiplicative steps of the margins' multipliers."""
    index = {position: column for column, position in enumerate(positions)}
    half_squares = np.array([d_in_of(plan.statistics[position].l2_squared) ** 2 / 2 for position in positions])
    rows, allowed = [], []
    for form, limit in (each for target in wanted for each in target.limits()):
        weights, taken = np.zeros(len(positions)), 0.0
        for position, coefficient in form.terms:
            if position in index:
                weights[index[position]] = float(coefficient) ** 2
            else:
                taken += (float(coefficient) * reused[position].scale) ** 2
        rows.append(weights * half_squares)
        allowed.append(max(limit - taken, limit * SLACK_MIN))
    matrix, limits = np.array(rows), np.array(allowed)
    multipliers = np.ones(len(limits)) / limits
    for _ in range(MULTIPLIER_STEPS):
        rho = np.sqrt(np.maximum(multipliers @ matrix, TINY))
        multipliers *= (matrix @ (1 / rho)) / limits
    rho = np.sqrt(np.maximum(multipliers @ matrix, TINY))
    found: Vector = rho * np.max((matrix @ (1 / rho)) / limits)
    return found


def _scales(plan: Plan, rho: Vector, reused: Mapping[int, Stored], positions: Sequence[int]) -> list[float]:
    found = [0.0] * len(plan.statistics)
    for position, each in zip(positions, rho, strict=True):
        found[position] = d_in_of(plan.statistics[position].l2_squared) / math.sqrt(2 * each)
    for position, stored in reused.items():
        found[position] = stored.scale
    return found


# -- foretold


def foretold(form: Form, scales: Sequence[float]) -> tuple[float | None, dict[str, float | None] | None]:
    """The 90 % margin before the draw: of any cell (linear), or of a ratio over n rows at most."""
    if isinstance(form, Linear):
        return margins.margin(form, scales, LEVEL), None
    if isinstance(form, Total):
        each = [margins.margin(form.of, scales, LEVEL, size) / (size if form.mean else 1) for size in form.sizes]
        return max(each), None
    noise = margins.RatioNoise.of(form, scales) if isinstance(form, Ratio) else None
    if noise is None:
        return None, None
    return None, {str(rows): noise.margin(LEVEL, rows) for rows in FORETOLD_SIZES}
