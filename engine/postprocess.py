"""The answer's rows, made of noisy integers only: arithmetic, ORDER BY, LIMIT, standard errors, margins.

A repeatable, total function of the plan and the stored draws. No record comes in, so nothing here costs budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import forms, margins, tree
from engine.forms import Computed, Key, Linear, Ratio, Smooth, Total
from engine.totals import Partitions, errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from engine.forms import Form
    from engine.plan import Plan
    from engine.totals import Keys

    Vector = NDArray[np.float64]

WEAK_DIVISOR = "null where the noisy divisor cannot be told from 0"
NO_ROWS = "null where the noisy count of rows is not positive"
WEAK_PART = "margin null where a noisy divisor, or both noisy factors of a product, cannot be told from 0"

Cell = int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Draws:
    """The draws a plan uses, in the order of its statistics."""

    values: tuple[NDArray[np.int64], ...]
    scales: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Estimated:
    """One column of the answer in the order of the key list.

    Attributes:
        cells: the values; None is NULL.
        se: standard errors of the noise, shape (cells,), NaN where unknown.
        moe90: 90 % margins, likewise.
        moe95: 95 % margins, likewise.
        reason: why some cells or margins are NULL.
    """

    cells: Sequence[Cell]
    se: Vector
    moe90: Vector
    moe95: Vector
    reason: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """The answer's rows, in the order asked for.

    Attributes:
        independent: for each column whether its cells in different rows are made of different draws.
    """

    rows: list[tuple[Cell, ...]]
    se: list[tuple[float | None, ...]]
    moe90: list[tuple[float | None, ...]]
    moe95: list[tuple[float | None, ...]]
    partial: list[tuple[int, ...]]
    reasons: list[str | None]
    independent: list[bool]


def answer(plan: Plan, draws: Draws) -> Table:
    """The rows of the answer with their margins."""
    forms_used = {output.form for output in plan.outputs} | {term.form for term in plan.order}
    found = {form: estimated(plan, form, draws) for form in forms_used}
    columns = [found[output.form] for output in plan.outputs]
    chosen = _ordered(plan, found)[plan.offset :][: plan.limit]
    return Table(
        rows=_rows([column.cells for column in columns], chosen),
        se=_rows([_floats(column.se) for column in columns], chosen),
        moe90=_rows([_floats(column.moe90) for column in columns], chosen),
        moe95=_rows([_floats(column.moe95) for column in columns], chosen),
        partial=[plan.partial[row] for row in chosen],
        reasons=[column.reason for column in columns],
        independent=[not forms.totals(output.form) for output in plan.outputs],
    )


def _rows(columns: Sequence[Sequence[Any]], chosen: Sequence[int]) -> list[tuple[Any, ...]]:
    """Columns as rows, those that were chosen."""
    if chosen != list(range(len(columns[0]))):
        columns = [[column[row] for row in chosen] for column in columns]
    return list(zip(*columns, strict=True))


def _floats(vector: Vector) -> list[float | None]:
    """Floating-point numbers, None for what is none."""
    finite = np.isfinite(vector)
    values: list[float] = vector.tolist()
    if finite.all():
        return list(values)
    if not finite.any():
        return [None] * len(vector)
    return [value if there else None for value, there in zip(values, finite.tolist(), strict=True)]


def _ordered(plan: Plan, found: Mapping[Form, Estimated]) -> list[int]:
    """Positions in the key list in the order asked for; ties keep the key list's order."""
    rows = list(range(len(plan.keys.rows)))
    for term in reversed(plan.order):
        cells = found[term.form].cells
        present = [row for row in rows if cells[row] is not None]
        absent = [row for row in rows if cells[row] is None]
        present.sort(key=lambda row: cells[row], reverse=term.descending)  # type: ignore[arg-type,return-value]
        rows = absent + present if term.nulls_first else present + absent
    return rows


def estimated(plan: Plan, form: Form, draws: Draws) -> Estimated:
    """One column of a part's answer."""
    size = len(plan.keys.rows)
    nothing = np.full(size, np.nan)
    match form:
        case Key(index):
            of = plan.keys.columns[index].type
            cells = [tree.told(row[index], of) for row in plan.keys.rows]
            return Estimated(cells, nothing, nothing, nothing, None)  # type: ignore[arg-type]
        case Linear():
            se = np.full(size, margins.variance(form, draws.scales) ** 0.5)
            moe90, moe95 = (np.full(size, margins.margin(form, draws.scales, level)) for level in (0.9, 0.95))
            return Estimated(_linear_cells(form, draws, size), se, moe90, moe95, None)
        case Ratio():
            return _ratio(form, draws, size)
        case Total():
            return _total(plan, form, draws)
        case Smooth():
            return _smooth(plan, form, draws)
        case Computed():
            raise AssertionError


def _linear_cells(form: Linear, draws: Draws, size: int) -> list[Cell]:
    """Whole numbers stay exact; the rest becomes floating point at the end."""
    coefficients = [coefficient for _, coefficient in form.terms]
    if form.constant.denominator == 1 and all(c.denominator == 1 for c in coefficients):
        if len(form.terms) == 1 and form.terms[0][1] == 1 and not form.constant:
            return list(draws.values[form.terms[0][0]].tolist())
        vectors = [(int(c), draws.values[p].tolist()) for p, c in form.terms]
        return [int(form.constant) + sum(c * vector[row] for c, vector in vectors) for row in range(size)]
    return [float(value) for value in _linear(form, draws, size)]


def _linear(form: Linear, draws: Draws, size: int) -> Vector:
    total: Vector = np.full(size, float(form.constant))
    for position, coefficient in form.terms:
        total += draws.values[position] * float(coefficient)
    return total


def _ratio(form: Ratio, draws: Draws, size: int) -> Estimated:
    numerator, divisor = _linear(form.numerator, draws, size), _linear(form.denominator, draws, size)
    absent = divisor <= 0 if form.of_count else divisor == 0
    with np.errstate(all="ignore"):
        ratio = np.where(absent, np.nan, numerator / divisor)
    of_a, of_d = (margins.variance(part, draws.scales) for part in (form.numerator, form.denominator))
    together = margins.covariance(form.numerator, form.denominator, draws.scales)
    with np.errstate(all="ignore"):
        delta = np.sqrt(np.maximum(of_a - 2 * ratio * together + ratio**2 * of_d, 0.0)) / np.abs(divisor)
        firm = np.abs(divisor) >= margins.FIRM * of_d**0.5
    moe90, moe95 = (
        np.where(firm, z * delta, margins.fieller(ratio, divisor, (of_a, of_d, together), z))
        for z in (margins.Z90, margins.Z95)
    )
    reason = None
    if absent.any():
        reason = NO_ROWS if form.of_count else WEAK_DIVISOR
    elif not np.isfinite(moe95).all():
        reason = f"margin {WEAK_DIVISOR}"
    return Estimated(_floats(ratio), delta, moe90, moe95, reason)


def _total(plan: Plan, form: Total, draws: Draws) -> Estimated:
    partitions = Partitions(plan.keys)
    sizes = partitions.sizes(form.keys)
    sums = partitions.sums(_linear_cells(form.of, draws, len(plan.keys.rows)), form.keys)  # type: ignore[arg-type]
    found = errors(form.of, draws.scales, sizes)
    if not form.mean:
        return Estimated(sums, *found, None)
    se, moe90, moe95 = (error / sizes for error in found)
    return Estimated([total / size for total, size in zip(sums, sizes.tolist(), strict=True)], se, moe90, moe95, None)


# -- smooth functions, by forward differentiation (the delta method: G. Casella and R. L. Berger, "Statistical
#    Inference", 2nd edition, section 5.5.4). A cell and a total that it is part of share its draw: `Partitions`.


@dataclass(frozen=True, slots=True)
class _Dual:
    """Values, their derivatives by the total of each draw over a partition, and where these may be trusted."""

    values: Vector
    slopes: Mapping[tuple[int, Keys], Vector]
    firm: NDArray[np.bool_]


def _smooth(plan: Plan, form: Smooth, draws: Draws) -> Estimated:
    partitions = Partitions(plan.keys)
    dual = _dual(partitions, form, draws)
    se = np.where(dual.firm, _deviation(partitions, dual, draws), np.nan)
    reason = None if dual.firm.all() else WEAK_PART
    cells = _floats(dual.values)
    return Estimated(cells, se, se * margins.Z90, se * margins.Z95, reason)


def _dual(partitions: Partitions, form: Form, draws: Draws) -> _Dual:
    rows = partitions.groups.rows
    size = len(rows)
    match form:
        case Key(index):
            values = np.array([np.nan if row[index] is None else float(row[index]) for row in rows])  # type: ignore[arg-type]
            return _Dual(values, {}, np.ones(size, dtype=bool))
        case Linear(terms, _):
            slopes: dict[tuple[int, Keys], Vector] = {(p, None): np.full(size, float(c)) for p, c in terms}
            return _Dual(_linear(form, draws, size), slopes, np.ones(size, dtype=bool))
        case Total(of, keys, mean, _):
            parts = partitions.sizes(keys) if mean else np.ones(size)
            sums = np.array(partitions.sums(_linear(of, draws, size).tolist(), keys)) / parts
            return _Dual(sums, {(p, keys): float(c) / parts for p, c in of.terms}, np.ones(size, dtype=bool))
        case Ratio(numerator, denominator, of_count, _):
            sides = _dual(partitions, numerator, draws), _dual(partitions, denominator, draws)
            found = _combined(partitions, "/", sides, draws)
            if not of_count:
                return found
            positive = _linear(denominator, draws, size) > 0
            return _Dual(np.where(positive, found.values, np.nan), found.slopes, found.firm & positive)
        case Computed():
            raise AssertionError
        case Smooth(op, left, right):
            sides = _dual(partitions, left, draws), _dual(partitions, right, draws)
            return _combined(partitions, op, sides, draws)


def _deviation(partitions: Partitions, dual: _Dual, draws: Draws) -> Vector:
    """The standard deviation of the values, to first order."""
    with np.errstate(all="ignore"):
        found: Vector = np.sqrt(partitions.variance(dual.slopes, draws.scales))
    return found


def _apart_from_zero(partitions: Partitions, dual: _Dual, draws: Draws) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):
        found: NDArray[np.bool_] = np.abs(dual.values) >= margins.FIRM * _deviation(partitions, dual, draws)
    return found


def _combined(partitions: Partitions, op: forms.Op, sides: tuple[_Dual, _Dual], draws: Draws) -> _Dual:
    a, b = sides
    firm = a.firm & b.firm
    zero = np.zeros(len(a.values))
    positions = list(dict.fromkeys([*a.slopes, *b.slopes]))
    with np.errstate(all="ignore"):
        if op in ("+", "-"):
            sign = 1.0 if op == "+" else -1.0
            values, by_a, by_b = a.values + sign * b.values, np.ones(len(zero)), np.full(len(zero), sign)
        elif op == "*":
            values, by_a, by_b = a.values * b.values, b.values, a.values
            # with both factors near 0 the product of their errors outweighs what the slopes see
            firm = firm & (_apart_from_zero(partitions, a, draws) | _apart_from_zero(partitions, b, draws))
        else:
            divisor = np.where(b.values == 0, np.nan, b.values)
            values, by_a, by_b = a.values / divisor, 1 / divisor, -a.values / divisor**2
            firm = firm & _apart_from_zero(partitions, b, draws)
        slopes = {p: by_a * a.slopes.get(p, zero) + by_b * b.slopes.get(p, zero) for p in positions}
    return _Dual(values, slopes, firm & np.isfinite(values))
