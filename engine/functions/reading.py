"""Texts read as numbers and truth values, as a CAST of DuckDB reads them; where that is not certain, refused."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from engine.exact import rounded
from engine.functions.shape import Misfit

_NUMBER = re.compile(r" *(-?[0-9]{1,18}(\.[0-9]{1,18})?) *")
_DOUBTFUL = re.compile(r"[\s0-9a-fA-FxXoO._+\-eE']*")
"""What DuckDB may read as a number in some way: 0x10, 1e3, 1_000, +5."""

_TRUE = frozenset({"true", "t", "1", "yes", "y"})
_FALSE = frozenset({"false", "f", "0", "no", "n"})


def number(text: str) -> Fraction | None:
    """The number a text says, None where it says none.

    Raises:
        Misfit: it could be read in more than one way.

    >>> number(" 07"), number("2.5"), number("KG")
    (Fraction(7, 1), Fraction(5, 2), None)
    """
    plain = _NUMBER.fullmatch(text)
    if plain:
        return Fraction(Decimal(plain[1]))
    if any(char.isdecimal() for char in text) and _DOUBTFUL.fullmatch(text):
        raise Misfit(f"It is not certain which number {text!r} is.", "CASE with the values written out")
    return None


def exact(text: str, scale: int, low: int, high: int) -> Fraction | None:
    """A text as an exact number of so many places, None where it is none or leaves [low, high] in its last place."""
    found = number(text)
    if found is None:
        return None
    units = rounded(found, scale)
    return Fraction(units, 10**scale) if low <= units <= high else None


def double(text: str) -> float | None:
    """A text as a double; what is not finite is None."""
    found = number(text)
    return None if found is None else float(found)


def boolean(text: str) -> bool | None:
    """A text as a truth value.

    >>> boolean("Yes"), boolean("0"), boolean("maybe")
    (True, False, None)
    """
    word = text.lower()
    return True if word in _TRUE else False if word in _FALSE else None
