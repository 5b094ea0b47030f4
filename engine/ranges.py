"""What an expression may be worth: the values a row can have, from public knowledge alone.

A `Range` holds at least every value that can occur; what is said here is about sets of values and knows no
expression (`engine.analysis.intervals` does).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.catalog import RangeTable
    from engine.tree import Scalar

Number = int | Fraction | float

DOUBLE_MAX = 2.0**900
"""Every double an expression can reach stays below this, so that no product of two bounds is infinite."""


@dataclass(frozen=True, slots=True)
class Range:
    """The values an expression can take.

    Attributes:
        low: least number, or day of a date; None where unbounded or neither.
        high: greatest number, likewise.
        values: the possible values other than NULL, where they can be listed.
        nullable: whether it can be NULL.
        by: of a column, the public table that bounds it by other columns of its row.
    """

    low: Number | None = None
    high: Number | None = None
    values: frozenset[Scalar] | None = None
    nullable: bool = False
    by: RangeTable | None = field(default=None, hash=False)

    @property
    def empty(self) -> bool:
        """Whether it can be nothing but NULL (or nothing at all)."""
        if self.values is not None:
            return not self.values
        return self.low is not None and self.high is not None and self.low > self.high

    @property
    def can_be_true(self) -> bool:
        """Whether a condition can be true."""
        return self.values is None or True in self.values

    @property
    def always_true(self) -> bool:
        """Whether a condition is certainly true."""
        return self.values == frozenset({True}) and not self.nullable


EMPTY: frozenset[Scalar] = frozenset()


@lru_cache(maxsize=64)
def _condition(values: frozenset[Scalar], nullable: bool) -> Range:  # noqa: FBT001 - the two facts of a condition
    return Range(None, None, values, nullable)


def outcomes(values: Iterable[bool], *, nullable: bool = False) -> Range:
    """The range of a condition."""
    return _condition(frozenset(values), nullable)


def listed(values: Iterable[Scalar], *, nullable: bool = False) -> Range:
    """The range of a value list."""
    found = frozenset(values)
    numbers = [value for value in found if isinstance(value, int | Fraction | float) and not isinstance(value, bool)]
    if numbers and len(numbers) == len(found):
        return Range(min(numbers), max(numbers), found, nullable)
    return Range(None, None, found, nullable)


def union(ranges: Iterable[Range]) -> Range:
    """The least range that holds several."""
    every = list(ranges)
    nullable = any(each.nullable for each in every)
    filled = [each for each in every if not each.empty]
    if not filled:
        return Range(values=EMPTY, nullable=nullable)
    if len(filled) == 1 and filled[0].by is None:
        return filled[0] if filled[0].nullable == nullable else replace(filled[0], nullable=nullable)
    if all(each.values is not None for each in filled):
        return listed(itertools.chain.from_iterable(each.values or EMPTY for each in filled), nullable=nullable)
    lows, highs = [each.low for each in filled], [each.high for each in filled]
    low = None if None in lows else min(value for value in lows if value is not None)
    high = None if None in highs else max(value for value in highs if value is not None)
    return Range(low, high, None, nullable)


def plain(value: Fraction) -> int | Fraction:
    """A number as an int where it is whole."""
    return int(value) if value.denominator == 1 else value
