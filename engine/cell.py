"""A column or an expression of released tables, and the margins it has of those that it is made of.

Margins are SQL, as values are. An error is carried where it can be: unchanged, scaled, into another row, into a sum
of independent ones; by the delta method into products and quotients; a rounding widens it. Two cells have independent
noise unless both are made of one draw: of one statistic, in one row of its groups. Where noise chose what is taken
there is no margin. The margin of a rounded number speaks of the number that was rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from engine.margins import FIRM, Z90, Z95

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Kind = Literal["integer", "double", "text", "boolean", "date", "null"]
Margins = tuple[str, str, str]

SHARED = "NULL::BIGINT"
"""The row of what is made of the draws of several rows, or of no one row."""

SMOOTH = "0::DOUBLE"
"""The step of an error that lies on no lattice."""


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
        step: how the step of the lattice is written on which its error lies; 0 for none.
        public: whether it follows from keys and constants of its row alone, in rows that noise did not choose.
    """

    sql: str
    kind: Kind
    base: tuple[int, int] | None = None
    margins: Margins | None = None
    row: str = SHARED
    draw: tuple[int, int] | None = None
    step: str = SMOOTH
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


def arithmetic(op: str, left: Cell, right: Cell, *, settled: bool) -> Cell:
    """Arithmetic on two numbers: by zero, and where it is no number, NULL.

    Args:
        op: which.
        left: the first.
        right: the second.
        settled: whether noise had no part in which rows meet; two numbers of one row did not meet.
    """
    text = finite(f"({left.number} {op} {right.number})")  # by zero it is infinite, or no number
    if left.public and right.public:
        return Cell(text, "double", public=True)
    if left.public or right.public:
        cell, constant = (right, left) if left.public else (left, right)
        if cell.margins is None or (op == "/" and left.public):
            return Cell(text, "double")
        if op in ("+", "-"):
            return alike(text, "double", cell)
        s, a, b, step = (finite(f"abs({each} {op} {constant.number})") for each in (*cell.margins, cell.step))
        return replace(alike(text, "double", cell), margins=(s, a, b), step=step)
    margins = _of_both(op, left, right) if settled or left.row == right.row != SHARED else None
    return Cell(text, "double", margins=margins)


def _of_both(op: str, left: Cell, right: Cell) -> Margins | None:
    """The margins of what is made of two estimates; NULL where they are not independent, or the law is not known."""
    if left.margins is None or right.margins is None or left.draw is None or right.draw is None:
        return None
    apart = f"({left.row} <> {right.row} OR {disjoint(left.draw, right.draw)})"
    s, t, a, b = left.margins[0], right.margins[0], left.number, right.number
    if op in ("+", "-"):
        known = f"{apart} AND {left.margins[2]} IS NOT NULL AND {right.margins[2]} IS NOT NULL"
        return _widths(f"sqrt({s} * {s} + {t} * {t})", known, (left.step, right.step))
    apart += f" AND {left.step} > 0 AND {right.step} > 0"  # a ratio's own bias is not known to be small beside this
    firm = f"abs({b}) >= {FIRM!r} * {t}"  # else the product or quotient of the errors outweighs what slopes see
    if op == "*":
        spread = f"sqrt({b} * {b} * {s} * {s} + {a} * {a} * {t} * {t})"
        return _widths(
            spread,
            f"{apart} AND ({firm} OR abs({a}) >= {FIRM!r} * {s})",
            (f"abs({b}) * {left.step}", f"abs({a}) * {right.step}"),
        )
    ratio = f"({a} / {b})"
    spread = f"sqrt({s} * {s} + {ratio} * {ratio} * {t} * {t}) / abs({b})"
    steps = f"{left.step} / abs({b})", f"abs({ratio}) * {right.step} / abs({b})"
    return _widths(spread, f"{apart} AND {firm} AND {b} <> 0", steps)


def _widths(spread: str, known: str, steps: Sequence[str]) -> Margins:
    """A standard error and normal margins, NULL where something is not known to hold.

    On one lattice a margin is the least of its points that is wide enough, as in `margins.margin`; where errors on
    several are added, a normal law is off by up to half the coarsest one's step.
    """
    least, most = f"least({', '.join(steps)})", f"greatest({', '.join(steps)})"
    s, *widths = (f"{z!r}::DOUBLE * {spread}" for z in (1.0, Z90, Z95))
    a, b = (
        f"CASE WHEN {least} = {most} AND {most} > 0 THEN {most} * greatest(0, ceil({width} / {most} - 0.5)) "
        f"ELSE {width} + {most} / 2 END"
        for width in widths
    )
    s, a, b = (f"(CASE WHEN {known} THEN {finite(width)} END)" for width in (s, a, b))
    return s, a, b


def rounded(text: str, kind: Kind, cell: Cell, places: int) -> Cell:
    """A number rounded to so many decimal places: by up to half a unit of the last one.

    What several roundings do together is not known, so what was rounded is added to nothing.
    """
    if cell.margins is None or cell.kind == "integer":
        return alike(text, kind, cell)
    half, (s, a, b) = f"{0.5 * 10.0**-places!r}::DOUBLE", cell.margins
    return Cell(text, kind, margins=(f"sqrt({s} * {s} + {half} * {half})", f"({a} + {half})", f"({b} + {half})"))


def alike(text: str, kind: Kind, cell: Cell) -> Cell:
    """Another form of a cell that is off by as much: its negative, or its value where it has one."""
    return replace(cell, sql=text, kind=kind, base=None)


def met(left: Cell, right: Cell) -> Cell:
    """The one of two equal cells that is there, as FULL JOIN … USING has it."""
    public = left.public and right.public
    if left.kind == right.kind:
        return Cell(f"coalesce({left.sql}, {right.sql})", left.kind, public=public)
    return Cell(f"coalesce({left.number}, {right.number})", "double", public=public)


def moved(text: str, cell: Cell, out_of: Callable[[str], str]) -> Cell:
    """A cell of another row, which public columns decide.

    Args:
        text: it.
        cell: what it is in its own row.
        out_of: writes a column of that other row.
    """
    if cell.margins is None:
        return Cell(text, cell.kind)
    s, a, b, row, step = map(out_of, (*cell.margins, cell.row, cell.step))
    return Cell(text, cell.kind, margins=(s, a, b), row=row, draw=cell.draw, step=step)


def added(text: str, kind: Kind, cell: Cell, over: Callable[[str], str], *, mean: bool) -> Cell:
    """The sum or mean of a cell over rows that public columns decide; biases of ratios would add up in it.

    Args:
        text: it.
        kind: its type.
        cell: what is added.
        over: writes an aggregate over the same rows.
        mean: whether it is their mean.
    """
    if cell.margins is None:
        return Cell(text, kind)
    s, many = cell.margins[0], over("count(*)")
    counts = over(f"count(DISTINCT {cell.row})"), over(f"count({cell.sql})"), over(f"count({s})")
    known = " AND ".join(f"{count} = {many}" for count in counts)  # a sum leaves out what noise made NULL
    spread, steps = f"sqrt({over(f'sum({s} * {s})')})", [over(f"{least}({cell.step})") for least in ("min", "max")]
    known += f" AND {steps[0]} > 0"
    if mean:
        spread, steps = f"{spread} / {many}", [f"{step} / {many}" for step in steps]
    return Cell(text, kind, margins=_widths(spread, known, steps))
