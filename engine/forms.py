"""How an answer is made from raw draws: linear forms, ratios of them, and smooth functions of those.

A form is a fact about the plan: it says which draws an estimate uses and with which exact coefficients, so
that its margin of error follows from the draws' known, independent noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Op = Literal["+", "-", "*", "/"]


@dataclass(frozen=True, slots=True)
class Linear:
    """A constant plus exact multiples of draws.

    Attributes:
        terms: (position of the statistic in the plan, coefficient), by position, no zero coefficient.
        constant: the constant.
    """

    terms: tuple[tuple[int, Fraction], ...] = ()
    constant: Fraction = Fraction(0)

    @staticmethod
    def of(terms: Mapping[int, Fraction], constant: Fraction | int = 0) -> Linear:
        """A linear form without zero terms."""
        return Linear(tuple(sorted((p, c) for p, c in terms.items() if c)), Fraction(constant))

    def plus(self, other: Linear, factor: Fraction | int = 1) -> Linear:
        """Add factor · other."""
        terms = dict(self.terms)
        for position, coefficient in other.terms:
            terms[position] = terms.get(position, Fraction(0)) + factor * coefficient
        return Linear.of(terms, self.constant + factor * other.constant)

    def times(self, factor: Fraction) -> Linear:
        """Multiply by a factor."""
        return Linear().plus(self, factor)

    @property
    def step(self) -> Fraction:
        """The lattice on which its error lies, as draws are whole numbers; 0 without draws.

        >>> Linear(((0, Fraction(1, 2)), (1, Fraction(3, 4)))).step
        Fraction(1, 4)
        """
        return lattice(coefficient for _, coefficient in self.terms)


def lattice(coefficients: Iterable[Fraction]) -> Fraction:
    """The greatest number of which all coefficients are whole multiples; 0 for none."""
    every = list(coefficients)
    denominator = math.lcm(*(c.denominator for c in every))
    return Fraction(math.gcd(*(int(c * denominator) for c in every)), denominator)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quotient of two linear forms.

    Attributes:
        of_count: the ratio is an average: it is NULL where the count of rows that divides is not positive.
        within: least and greatest value it can have without noise, where the divisor is a positive multiple of one
            count of rows and these are known; used to foretell margins.
        per_row: what one row that is counted adds to the divisor, where these are known.
    """

    numerator: Linear
    denominator: Linear
    of_count: bool = False
    within: tuple[Fraction, Fraction] | None = None
    per_row: Fraction = field(default=Fraction(1), repr=False)


@dataclass(frozen=True, slots=True)
class Key:
    """The value of a GROUP BY column."""

    index: int


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of a linear form over all groups that agree in some keys, or its mean.

    Attributes:
        of: the form that is added up; the draws of different groups are independent.
        keys: positions of the GROUP BY columns in which the groups agree.
        mean: whether it is divided by how many groups these are.
        sizes: the fewest and the most groups that are added up anywhere in the answer.
    """

    of: Linear
    keys: tuple[int, ...]
    mean: bool
    sizes: tuple[int, int]

    def times(self, factor: Fraction) -> Total:
        """Multiply by a factor."""
        return Total(self.of.times(factor), self.keys, self.mean, self.sizes)


@dataclass(frozen=True, slots=True)
class Smooth:
    """Arithmetic that is neither linear nor a ratio."""

    op: Op
    left: Form
    right: Form


@dataclass(frozen=True, slots=True)
class Computed:
    """A column that a statement over released tables computed; it has no margin."""

    position: int


Form = Linear | Ratio | Total | Key | Smooth | Computed


def step_of(form: Form) -> float:
    """The lattice on which a form's error lies; 0 for none."""
    match form:
        case Linear():
            return float(form.step)
        case Total(of, _, mean, sizes):
            return float(of.step) / (sizes[0] if mean else 1)
        case _:
            return 0.0


def combine(op: Op, left: Form, right: Form) -> Form:
    """Arithmetic on forms, kept as simple as it is."""
    if isinstance(left, Linear) and isinstance(right, Linear):
        return _linear(op, left, right)
    if isinstance(left, Ratio) and _constant(right) is not None:
        return _ratio_constant(op, left, _constant(right) or Fraction(0))
    if isinstance(right, Ratio) and _constant(left) is not None and op != "/":
        constant = _constant(left) or Fraction(0)
        if op == "-":
            return _ratio_constant("+", _scaled(right, Fraction(-1)), constant)
        return _ratio_constant(op, right, constant)
    return _total(op, left, right) or Smooth(op, left, right)


def _total(op: Op, left: Form, right: Form) -> Total | None:
    """A total times, or divided by, a constant; None for anything else."""
    a, b = _constant(left), _constant(right)
    if isinstance(left, Total) and b and op in ("*", "/"):
        return left.times(b if op == "*" else 1 / b)
    if isinstance(right, Total) and (a == 0 if op == "-" else a and op == "*"):
        return right.times(Fraction(-1) if op == "-" else a or Fraction(0))
    return None


def _constant(form: Form) -> Fraction | None:
    return form.constant if isinstance(form, Linear) and not form.terms else None


def _linear(op: Op, left: Linear, right: Linear) -> Form:
    a, b = _constant(left), _constant(right)
    if op in ("+", "-"):
        return left.plus(right, 1 if op == "+" else -1)
    if op == "*" and b is not None:
        return left.times(b)
    if op == "*" and a is not None:
        return right.times(a)
    if op == "/" and b:
        return left.times(1 / b)
    if op == "/" and b is None:
        return Ratio(left, right)
    return Smooth(op, left, right)


def _ratio_constant(op: Op, ratio: Ratio, constant: Fraction) -> Form:
    if op in ("+", "-"):
        shift = constant if op == "+" else -constant
        ends = None if ratio.within is None else (ratio.within[0] + shift, ratio.within[1] + shift)
        return replace(ratio, numerator=ratio.numerator.plus(ratio.denominator, shift), within=ends)
    if not constant:
        return Smooth(op, ratio, Linear(constant=constant))
    return _scaled(ratio, constant if op == "*" else 1 / constant)


def _scaled(ratio: Ratio, factor: Fraction) -> Ratio:
    ends = None
    if ratio.within is not None:
        least, greatest = sorted(end * factor for end in ratio.within)
        ends = (least, greatest)
    return replace(ratio, numerator=ratio.numerator.times(factor), within=ends)


def used(form: Form) -> Iterator[int]:
    """Positions of the statistics a form uses."""
    match form:
        case Linear(terms, _):
            yield from (position for position, _ in terms)
        case Ratio(numerator, denominator, _, _):
            yield from used(numerator)
            yield from used(denominator)
        case Total(of, _, _, _):
            yield from used(of)
        case Smooth(_, left, right):
            yield from used(left)
            yield from used(right)
        case Key() | Computed():
            return


def extent(form: Form) -> tuple[Fraction, Fraction]:
    """The finest step, and the greatest factor or constant, of the linear forms in a form."""
    match form:
        case Linear(terms, constant):
            greatest = max((abs(constant), *(abs(c) for _, c in terms)))
            return (min(Fraction(1), form.step) if terms else Fraction(1)), greatest
        case Ratio(left, right, _, _) | Smooth(_, left, right):
            (fine, great), (finer, greater) = extent(left), extent(right)
            return min(fine, finer), max(great, greater)
        case Total(of, _, _, _):
            return extent(of)
        case Key() | Computed():
            return Fraction(1), Fraction(0)


def totals(form: Form) -> bool:
    """Whether a form adds up draws of several groups, so that its cells in different rows share draws."""
    match form:
        case Total():
            return True
        case Smooth(_, left, right):
            return totals(left) or totals(right)
        case _:
            return False
