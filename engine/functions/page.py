"""The part of the SQL page that tells of functions, written from the table (see `engine.reference`)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from engine.functions.shape import Native, Tabulated
from engine.functions.table import FUNCTIONS

if TYPE_CHECKING:
    from engine.functions.shape import Family, Function
    from engine.tree import Scalar

_HEADS: dict[Family, str] = {
    "conditions": "Conditions",
    "choices": "Choices and casts",
    "numbers": "Numbers",
    "texts": "Texts",
    "dates": "Dates",
}
_INTRODUCTION = """# Functions and operators

Every scalar function and operator that a question may use; this page is written from the table that the engine reads.
Whatever is not here is refused by its name, with the nearest that is.

- Nothing fails because of a value: where DuckDB would fail, or give infinity or no number, the value is NULL.
- Whole numbers and decimals stay exact and round half away from zero. Every function has a proved range of values, so bounds
  flow through it. What a question says of an expression holds for the same expression:
  `AVG(CASE WHEN b.gpa - a.gpa BETWEEN -1 AND 1 THEN b.gpa - a.gpa END)` has the noise of these bounds.
- Functions of texts are worked out while the question is read, once for each value on the column's value list (or each whole
  number between close bounds), and become a look-up. Nothing is computed from a record's text, so a column without a list is refused.
- A text that no value list holds, as in `sex = 'Female'`, is refused with the nearest values.
"""


def page() -> str:
    """The page, in Markdown."""
    parts = [_INTRODUCTION]
    for family, head in _HEADS.items():
        rows = [row for row in FUNCTIONS if row.family == family]
        if rows:
            parts.append(
                f"## {head}\n\n| | what it is | for example | worth |\n|---|---|---|---|\n{''.join(map(_line, rows))}"
            )
    return "\n".join(parts)


def _line(row: Function) -> str:
    names = ", ".join(_code(name) for name in (row.name, *row.names))
    worth = "; ".join(f"{_code(shown.text)} is {_code(_value(shown.value))}" for shown in row.shows)
    where = {Native: " Computed on each row.", Tabulated: " Worked out on the list."}.get(type(row.how), "")
    return f"| {names} | {row.about.replace('|', chr(92) + '|')}{where} | {_code(row.example)} | {worth} |\n"


def _code(text: str) -> str:
    """A piece of SQL inside a cell of a table."""
    return f"`{text.replace('|', chr(92) + '|')}`"


def _value(value: Scalar) -> str:
    """A constant as SQL writes it."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case str():
            return f"'{value}'"
        case Fraction():
            return f"{float(value):g}"
    return str(value)
