from __future__ import annotations

import math
from datetime import date
from fractions import Fraction

import pytest

from engine.expressions import Named, Scope, convert
from engine.ranges import Range, listed
from engine.source import Source
from engine.text import DIALECT
from engine.tree import BOOLEAN, DATE, DOUBLE, INTEGER, TEXT, Column, Type, told

NAMES = {
    "i": Column("i", INTEGER),
    "j": Column("j", INTEGER),
    "h": Column("h", INTEGER),
    "d": Column("d", Type("exact", 1)),
    "e": Column("e", Type("exact", 3)),
    "x": Column("x", DOUBLE),
    "y": Column("y", DOUBLE),
    "b": Column("b", BOOLEAN),
    "t": Column("t", TEXT),
}
CELLS = {
    "i": [-25, -3, 0, 2, 15, None],
    "j": [1, 5, 10],
    "h": [-(2**62) + 1, -1, 0, 2**62 - 1, None],
    "d": [-155, -25, -5, 0, 4, 5, 25, 1249, None],
    "e": [-2_500, -1, 0, 499, 500, 1_005, 2_345],
    "x": [-2.5, -0.5, -0.0, 0.0, 0.49999999999999994, 1.005, 2.5, 600.5, None],
    "y": [-1e200, -4503599627370497.5, -5e-324, 1e-300, 0.1, 9007199254740993.0, 1e200, None],
    "b": [True, False, None],
    "t": ["a", "7", "07", "KG", None],
}
"""Stored values: counts of the last decimal place."""


def unscaled(value, of):
    """A stored value in its unit; a date as its ISO text."""
    if of == DATE:
        return told(value, of)
    return Fraction(value, 10**of.scale) if of.kind == "exact" and value is not None else value


def all_known():
    """What is known of the columns: their lists."""
    return {
        name: listed(
            [unscaled(value, NAMES[name].type) for value in values if value is not None], nullable=None in values
        )
        for name, values in CELLS.items()
    }


def convert_text(text, known=None):
    """The tree of an expression over the columns above."""
    whole = f"SELECT {text}"
    (statement,) = DIALECT.parser().parse(list(DIALECT.tokenize(whole)), whole)
    scope = Scope(Source(whole), [Named("", NAMES)], owner="", known=all_known() if known is None else known)
    return convert(scope, statement.expressions[0])


def is_within(value, found: Range):
    """Whether a value, in its unit, lies in a range."""
    if value is None:
        return found.nullable
    if found.values is not None:
        return value in found.values
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return (found.low is None or found.low <= value) and (found.high is None or value <= found.high)


def is_alike(one, two):
    """Whether two values of a database are the same but for the last digits of doubles, and the midnight of a date."""
    if isinstance(two, date):
        two = two.isoformat()[:10]
    if one is None or two is None or isinstance(one, str | bool):
        return one == two
    return float(one) == float(two) or math.isclose(float(one), float(two), rel_tol=1e-12)


@pytest.fixture(scope="session")
def tools():
    """What the tests of functions share."""
    return _Tools


class _Tools:
    names, cells = NAMES, CELLS
    known, tree, unscaled = staticmethod(all_known), staticmethod(convert_text), staticmethod(unscaled)
    within, alike = staticmethod(is_within), staticmethod(is_alike)
