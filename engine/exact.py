"""Exact numbers: how large and how fine they may be, how they round, and what they are as doubles."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from engine import tree
from engine.tree import DOUBLE, Constant, Expr, Type

if TYPE_CHECKING:
    from engine.ranges import Number

SCALE_MAX = 9
"""Most decimal places an exact number may have."""

MAGNITUDE_MAX = 2**62
"""Every exact number, as a whole number of its last decimal place, stays below this."""

PRECISION_MAX = 18
"""Most digits of a decimal: what 64 bits hold."""


def cast(expr: Expr, to: Type, low: int | None = None, high: int | None = None) -> Expr:
    """A cast; constants are folded to DOUBLE at once."""
    if expr.type == to and low is None:
        return expr
    if isinstance(expr, Constant) and to == DOUBLE and isinstance(expr.value, int | Fraction):
        return Constant(as_double(expr.value, expr.type), DOUBLE)
    return tree.Cast(expr, to, low, high)


def as_double(value: tree.Scalar, of: Type) -> float:
    """An exact number as a double, by the very two operations the generated SQL does."""
    return float(Fraction(value or 0) * 10**of.scale) / float(10**of.scale)


def rounded(value: Number | str, scale: int) -> int:
    """A number as a whole number of units 10**-scale, rounded half away from zero.

    >>> rounded(2.5, 0), rounded(-2.5, 0), rounded(Fraction(5, 4), 1)
    (3, -3, 13)
    """
    units = abs(Fraction(value) * Fraction(10) ** scale)
    whole = math.floor(units + Fraction(1, 2))
    return whole if Fraction(value) >= 0 else -whole
