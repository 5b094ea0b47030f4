"""A column or an expression of released tables, and the margins it has of those that it is made of.

Margins are SQL, as values are. An error is carried where it can be: unchanged, scaled, into another row, into a sum
of independent ones; by the delta method into products and quotients; a rounding widens it. Two cells have independent
noise unless both are made of one draw: of one statistic, in one row of its groups. Where noise chose what is taken
there is no margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.margins import FIRM, Z90, Z95

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["integer", "double", "text", "boolean", "date", "null"]
Margins = tuple[str, str, str]

SHARED = "NULL::BIGINT"
"""The row of what is made of the draws of several rows, or of no one row."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A column or expression of released tables.

    Attributes:
        sql: how it is written.
        kind: its type.
        base: the part and the column of it that this is, unchanged; None for anything that was computed.
        margins: how its standard error and its 90 % and 95 % margins are written, where it has them; they mean
            something where the value is not NULL.
        row: how the row of its part is written whose draws are in it; empty where these are of several rows.
        draw: the part and the column of it whose draws in that row are in it, and no others.
        public: whether it follows from keys and constants of its row alone.
    """

    sql: str
    kind: Kind
    base: tuple[int, int] | None = None
    margins: Margins | None = None
    row: str = SHARED
    draw: tuple[int, int] | None = None
    public: bool = False

    @property
    def number(self) -> str:
        """It as a floating-point number."""
        return self.sql if self.kind == "double" else f"CAST({self.sql} AS DOUBLE)"


def finite(text: str) -> str:
    """A floating-point expression, NULL where it is no finite number.

    The expression is written once: the database's NULLIF is a macro that copies it, so that twenty of them inside
    each other are a million.
    """
    return f"list_filter([{text}], lambda number: isfinite(number))[1]"


def disjoint(one: tuple[int, int], other: tuple[int, int]) -> str:
    """A place for TRUE or FALSE: whether two columns of parts share no statistic, which the plan knows."""
    return f"disjoint_{one[0]}_{one[1]}_{other[0]}_{other[1]}"


def arithmetic(op: str, left: Cell, right: Cell) -> Cell:
    """Arithmetic on two numbers: by zero, and where it is no number, NULL."""
    text = finite(f"({left.number} {op} {right.number})")  # by zero it is infinite, or no number
    if left.public and right.public:
        return Cell(text, "double", public=True)
    if left.public or right.public:
        cell, constant = (right, left) if left.public else (left, right)
        margins = cell.margins
        if margins is None or (op == "/" and left.public):
            return Cell(text, "double")
        if op in ("*", "/"):
            s, a, b = (finite(f"abs({margin} {op} {constant.number})") for margin in margins)
            margins = s, a, b
        return Cell(text, "double", margins=margins, row=cell.row, draw=cell.draw)
    return Cell(text, "double", margins=_of_both(op, left, right))


def _of_both(op: str, left: Cell, right: Cell) -> Margins | None:
    """The margins of what is made of two estimates; NULL where they are not independent, or the law is not known."""
    if left.margins is None or right.margins is None or left.draw is None or right.draw is None:
        return None
    apart = f"({left.row} <> {right.row} OR {disjoint(left.draw, right.draw)})"
    s, t, a, b = left.margins[0], right.margins[0], left.number, right.number
    if op in ("+", "-"):
        return _widths(f"sqrt({s} * {s} + {t} * {t})", apart, whole=left.kind == right.kind == "integer")
    firm = f"abs({b}) >= {FIRM!r} * {t}"  # else the product or quotient of the errors outweighs what slopes see
    if op == "*":
        spread = f"sqrt({b} * {b} * {s} * {s} + {a} * {a} * {t} * {t})"
        return _widths(spread, f"{apart} AND ({firm} OR abs({a}) >= {FIRM!r} * {s})", whole=False)
    ratio = f"({a} / {b})"
    spread = f"sqrt({s} * {s} + {ratio} * {ratio} * {t} * {t}) / abs({b})"
    return _widths(spread, f"{apart} AND {firm} AND {b} <> 0", whole=False)


def _widths(spread: str, known: str, *, whole: bool) -> Margins:
    """A standard error and normal margins, NULL where something is not known to hold."""
    widths = [f"{z!r}::DOUBLE * {spread}" for z in (1.0, Z90, Z95)]
    if whole:  # as in margins.margin: the least whole number that is wide enough
        widths[1:] = [f"greatest(0, ceil({width} - 0.5))" for width in widths[1:]]
    s, a, b = (f"(CASE WHEN {known} THEN {finite(width)} END)" for width in widths)
    return s, a, b


def rounded(text: str, kind: Kind, cell: Cell, places: int) -> Cell:
    """A number rounded to so many decimal places: by up to half a unit of the last one."""
    if cell.public:
        return Cell(text, kind, public=True)
    margins = cell.margins
    if margins is not None and cell.kind != "integer":
        half = f"{0.5 * 10.0**-places!r}::DOUBLE"
        s, a, b = margins
        margins = f"sqrt({s} * {s} + {half} * {half})", f"({a} + {half})", f"({b} + {half})"
    return Cell(text, kind, margins=margins, row=cell.row, draw=cell.draw)


def alike(text: str, kind: Kind, cell: Cell) -> Cell:
    """Another form of a cell that is off by as much: its negative, or its value where it has one."""
    return Cell(text, kind, margins=cell.margins, row=cell.row, draw=cell.draw, public=cell.public)


def moved(text: str, cell: Cell, out_of: Callable[[str], str]) -> Cell:
    """A cell of another row, which public columns decide.

    Args:
        text: it.
        cell: what it is in its own row.
        out_of: writes a column of that other row.
    """
    if cell.margins is None:
        return Cell(text, cell.kind)
    s, a, b = map(out_of, cell.margins)
    return Cell(text, cell.kind, margins=(s, a, b), row=out_of(cell.row), draw=cell.draw)


def added(text: str, kind: Kind, cell: Cell, over: Callable[[str], str], *, mean: bool) -> Cell:
    """The sum or mean of a cell over rows that public columns decide.

    Args:
        text: it.
        kind: its type.
        cell: what is added.
        over: writes an aggregate over the same rows.
        mean: whether it is their mean.
    """
    if cell.margins is None:
        return Cell(text, kind)
    s, there = cell.margins[0], f"{cell.sql} IS NOT NULL"
    many = over(f"count({cell.sql})")
    rows = over(f"count(DISTINCT CASE WHEN {there} THEN {cell.row} END)")
    sure = over(f"count(CASE WHEN {there} THEN {s} END)")
    spread = f"sqrt({over(f'sum(CASE WHEN {there} THEN {s} * {s} END)')})"
    known = f"{rows} = {many} AND {sure} = {many}"
    return Cell(text, kind, margins=_widths(f"{spread} / {many}" if mean else spread, known, whole=kind == "integer"))
