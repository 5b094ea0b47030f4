"""Expressions over noisy cells: sqlglot nodes → SQL of our own, an allow-list by construction.

Nothing here can see a record: cells are columns of released tables. Every form is total: arithmetic is done in
floating point, what is not finite is NULL, and casts that cannot be done are NULL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import advice
from engine.above import divisor
from engine.cell import Cell, Kind, added, alike, arithmetic, finite, moved, rounded
from engine.days import days_of
from engine.expressions import ARITHMETIC, COMPARISONS, PRECISION_MAX, SCALE_MAX
from engine.selected import by_all
from engine.source import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.refusals import QueryRefused
    from engine.source import Source

WHOLE_DIGITS_MAX = 18
OFFSET_MAX = 1_000_000
TEXT_MAX = 200_000

_NUMBERS = ("integer", "double", "null")
_COMPARISONS: dict[type[exp.Expr], str] = {
    **COMPARISONS,
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}
_REAL: dict[type[exp.Expr], str] = {exp.Sqrt: "sqrt", exp.Ln: "ln", exp.Exp: "exp"}
_WHOLE: dict[type[exp.Expr], str] = {exp.Floor: "floor", exp.Ceil: "ceil"}
_RANKS: dict[type[exp.Expr], tuple[str, Kind]] = {
    exp.RowNumber: ("row_number", "integer"),
    exp.Rank: ("rank", "integer"),
    exp.DenseRank: ("dense_rank", "integer"),
    exp.PercentRank: ("percent_rank", "double"),
    exp.CumeDist: ("cume_dist", "double"),
}
_AGGREGATES: dict[type[exp.Expr], str] = {
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
    exp.Count: "count",
}
_TYPES: dict[str, Kind] = {
    "TINYINT": "integer",
    "SMALLINT": "integer",
    "INT": "integer",
    "BIGINT": "integer",
    "DOUBLE": "double",
    "FLOAT": "double",
    "VARCHAR": "text",
    "TEXT": "text",
    "BOOLEAN": "boolean",
    "DATE": "date",
}
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_NUMBER = re.compile(r"'(-?[0-9]{1,18}(\.[0-9]{1,9})?)'")
_ISO = re.compile(r"'([0-9]{4}-[0-9]{2}-[0-9]{2})'")
SQL_TYPES: dict[str, str] = {
    "integer": "BIGINT",
    "double": "DOUBLE",
    "text": "VARCHAR",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "null": "BIGINT",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What expressions over cells may use.

    Attributes:
        source: the researcher's text.
        cell: what a node is that stands for a cell by itself, such as an aggregate or a column; None for any other.
        aliases: what the columns of SELECT are called, for HAVING, QUALIFY and ORDER BY.
        ties: columns that put rows in one order where the question does not.
        inside: the same inside an aggregate over released rows; None where there may be none.
        windows: whether windows may.
        groups: whether columns are those of GROUP BY over students' rows.
        settled: whether no noisy number had a part in which rows are there and in which groups they are.
    """

    source: Source
    cell: Callable[[exp.Expr], Cell | None]
    aliases: Mapping[str, Cell]
    ties: Sequence[str]
    inside: Callable[[exp.Expr], Cell | None] | None = None
    windows: bool = True
    groups: bool = False
    settled: bool = False


def cell_of(desk: Desk, node: exp.Expr) -> Cell:
    """An expression over cells.

    Raises:
        QueryRefused: whatever is not on the allow-list, or does not fit together.
    """
    found = desk.cell(node)
    if found is None:
        converter = _CONVERTERS.get(type(node))
        if converter is None:
            raise _unaccepted(desk, node)
        found = converter(desk, node)
    if max(map(len, (found.sql, found.row, *(found.margins or ())))) > TEXT_MAX:
        raise desk.source.refusal(
            "too_large", "This is too long once it is written out.", node, accepted="less of it"
        )
    return found


def condition_of(desk: Desk, node: exp.Expr) -> str:
    """A condition over cells."""
    found = cell_of(desk, node)
    if found.kind not in ("boolean", "null"):
        raise desk.source.refusal(
            "unsupported",
            f"A condition is needed here, and this is {found.kind}.",
            node,
            accepted="a comparison, such as COUNT(*) > 100",
        )
    return found.sql


def _unaccepted(desk: Desk, node: exp.Expr) -> QueryRefused:
    if isinstance(node, exp.Query | exp.Subquery):
        return advice.subquery_above(desk.source, node)
    if isinstance(node, advice.LEVELS):
        return advice.levels(desk.source, node)
    name = desk.source.called(node)
    accepted = "CASE, COALESCE, CAST, ROUND, ABS, + - * /, comparisons, AND, OR, NOT, RANK and other windows"
    if desk.groups and node.find(exp.Column) and not node.find(exp.AggFunc):
        accepted = f"the same in GROUP BY, where it is worked out row by row; over the answer's numbers {accepted}"
    return desk.source.refusal(
        "unsupported", f"{name} is not accepted over the answer's numbers.", node, accepted=accepted
    )


def _needs_number(desk: Desk, found: Cell, node: exp.Expr) -> Cell:
    if found.kind not in _NUMBERS:
        raise desk.source.refusal(
            "unsupported", f"A number is needed here, and this is {found.kind}.", node, accepted="a number"
        )
    return found


def _literal(desk: Desk, node: exp.Literal) -> Cell:
    text, is_string = desk.source.consume(node, "this", "is_string")
    if is_string:
        return Cell("'" + text.replace("'", "''") + "'", "text", public=True)
    if text.isascii() and text.isdecimal() and len(text) <= WHOLE_DIGITS_MAX:
        return Cell(f"{int(text)}::BIGINT", "integer", public=True)
    try:
        return Cell(f"'{float(text)!r}'::DOUBLE", "double", public=True)
    except ValueError:
        raise desk.source.refusal("syntax", "This is no number.", node, accepted="a number such as 0.5") from None


def _paren(desk: Desk, node: exp.Expr) -> Cell:
    (this,) = desk.source.consume(node, "this")
    return cell_of(desk, this)


def _null(desk: Desk, node: exp.Expr) -> Cell:
    desk.source.consume(node)
    return Cell("NULL", "null", public=True)


def _boolean(desk: Desk, node: exp.Expr) -> Cell:
    (this,) = desk.source.consume(node, "this")
    return Cell("TRUE" if this else "FALSE", "boolean", public=True)


def _arithmetic(desk: Desk, node: exp.Expr) -> Cell:
    names = ("this", "expression", "typed", "safe") if isinstance(node, exp.Div) else ("this", "expression")
    this, other, *_ = desk.source.consume(node, *names)
    if isinstance(node, exp.Div):
        other = divisor(desk.source, other)
    left, right = (_needs_number(desk, cell_of(desk, side), side) for side in (this, other))
    return arithmetic(ARITHMETIC[type(node)], left, right, settled=desk.settled)


def _negated(desk: Desk, node: exp.Expr) -> Cell:
    (this,) = desk.source.consume(node, "this")
    arg = _needs_number(desk, cell_of(desk, this), this)
    return alike(f"(-{arg.number})", "double", arg)


def _compare(desk: Desk, node: exp.Expr) -> Cell:
    this, other = desk.source.consume(node, "this", "expression")
    left, right = cell_of(desk, this), cell_of(desk, other)
    return Cell(_compared(desk, _COMPARISONS[type(node)], left, right, node), "boolean")


def _compared(desk: Desk, op: str, left: Cell, right: Cell, node: exp.Expr) -> str:
    one, two = _alike(desk, _read(desk, [left, right], node), node)
    return f"({one} {op} {two})"


def _read(desk: Desk, cells: Sequence[Cell], node: exp.Expr) -> list[Cell]:
    """Cells that are compared, in which a text that is written out beside numbers or booleans is what it says."""
    kinds = {cell.kind for cell in cells} - {"null"}
    wanted = kinds - {"text"}
    if "text" not in kinds or not (wanted <= {"integer", "double"} or wanted == {"boolean"}) or not wanted:
        return list(cells)
    return [_said(desk, cell, wanted, node) if _QUOTED.fullmatch(cell.sql) else cell for cell in cells]


def _said(desk: Desk, cell: Cell, wanted: set[Kind], node: exp.Expr) -> Cell:
    """The number or the boolean that a text says."""
    if wanted == {"boolean"} and cell.sql.lower() in ("'true'", "'false'"):
        return Cell(cell.sql[1:-1].upper(), "boolean")
    number = _NUMBER.fullmatch(cell.sql)
    if wanted != {"boolean"} and number is not None and not (number[2] and wanted == {"integer"}):
        text = number[1]
        return Cell(f"'{float(text)!r}'::DOUBLE", "double") if number[2] else Cell(f"{int(text)}::BIGINT", "integer")
    what = "boolean" if wanted == {"boolean"} else "number"
    raise desk.source.refusal(
        "unsupported",
        f"{what} cannot be compared with the text {cell.sql}.",
        node,
        accepted="TRUE or FALSE without quotes" if what == "boolean" else "a number without quotes",
    )


def _alike(desk: Desk, cells: Sequence[Cell], node: exp.Expr) -> list[str]:
    """Several cells in one type."""
    kinds = {cell.kind for cell in cells} - {"null"}
    if kinds <= {"integer", "double"} and len(kinds) > 1:
        return [cell.number for cell in cells]
    if kinds == {"date", "text"}:
        return [_as_date(desk, cell, node) if cell.kind == "text" else cell.sql for cell in cells]
    if len(kinds) > 1:
        raise desk.source.refusal(
            "unsupported", f"{' and '.join(sorted(kinds))} do not go together.", node, accepted="values of one type"
        )
    return [cell.sql for cell in cells]


def _as_date(desk: Desk, cell: Cell, node: exp.Expr) -> str:
    """A text that is written out as the date it is."""
    written = _ISO.fullmatch(cell.sql)
    if written is None or days_of(written[1]) is None:
        raise desk.source.refusal(
            "unsupported", "This is not an ISO date.", node, accepted="a date such as DATE '2025-01-31'"
        )
    return f"DATE {cell.sql}"


def _kind_of(cells: Sequence[Cell]) -> Kind:
    """The type of what is one of several cells."""
    kinds = {cell.kind for cell in cells} - {"null"}
    if kinds == {"date", "text"}:
        return "date"
    if len(kinds) > 1:
        return "double"
    return next(iter(kinds), "null")


def _connective(desk: Desk, node: exp.Expr) -> Cell:
    this, other = desk.source.consume(node, "this", "expression")
    op = "AND" if isinstance(node, exp.And) else "OR"
    return Cell(f"({condition_of(desk, this)} {op} {condition_of(desk, other)})", "boolean")


def _not(desk: Desk, node: exp.Expr) -> Cell:
    (this,) = desk.source.consume(node, "this")
    return Cell(f"(NOT {condition_of(desk, this)})", "boolean")


def _is(desk: Desk, node: exp.Expr) -> Cell:
    this, other = desk.source.consume(node, "this", "expression")
    if isinstance(other, exp.Null):
        return Cell(f"({cell_of(desk, this).sql} IS NULL)", "boolean")
    if isinstance(other, exp.Boolean):
        return Cell(f"({condition_of(desk, this)} IS {'TRUE' if other.this else 'FALSE'})", "boolean")
    raise desk.source.refusal(
        "unsupported", "IS takes NULL, TRUE or FALSE.", node, accepted="IS NULL, IS NOT NULL, IS TRUE or IS FALSE"
    )


def _between(desk: Desk, node: exp.Expr) -> Cell:
    this, low, high = desk.source.consume(node, "this", "low", "high")
    arg, least, most = (cell_of(desk, part) for part in (this, low, high))
    lower, upper = _compared(desk, ">=", arg, least, node), _compared(desk, "<=", arg, most, node)
    return Cell(f"({lower} AND {upper})", "boolean")


def _in(desk: Desk, node: exp.Expr) -> Cell:
    if node.args.get("query") is not None:
        raise advice.subquery_above(desk.source, node.args["query"])
    this, expressions = desk.source.consume(node, "this", "expressions")
    if not expressions:
        raise desk.source.refusal("syntax", "IN has no list.", node, accepted="a list such as IN (1, 2)")
    cells = _read(desk, [cell_of(desk, part) for part in (this, *expressions)], node)
    first, *others = _alike(desk, cells, node)
    return Cell(f"({first} IN ({', '.join(others)}))", "boolean")


def _case(desk: Desk, node: exp.Expr) -> Cell:
    this, ifs, default = desk.source.consume(node, "this", "ifs", "default")
    operand = None if this is None else cell_of(desk, this)
    conditions, values = [], []
    for branch in ifs or ():
        when, then = desk.source.consume(branch, "this", "true")
        if operand is None:
            conditions.append(condition_of(desk, when))
        else:
            conditions.append(_compared(desk, "=", operand, cell_of(desk, when), when))
        values.append(cell_of(desk, then))
    values.append(Cell("NULL", "null") if default is None else cell_of(desk, default))
    return _chosen(desk, conditions, values, node)


def _if(desk: Desk, node: exp.Expr) -> Cell:
    when, then, default = desk.source.consume(node, "this", "true", "false")
    otherwise = Cell("NULL", "null") if default is None else cell_of(desk, default)
    return _chosen(desk, [condition_of(desk, when)], [cell_of(desk, then), otherwise], node)


def _chosen(desk: Desk, conditions: Sequence[str], values: Sequence[Cell], node: exp.Expr) -> Cell:
    *thens, otherwise = _alike(desk, values, node)
    branches = " ".join(f"WHEN {when} THEN {then}" for when, then in zip(conditions, thens, strict=True))
    return Cell(f"(CASE {branches} ELSE {otherwise} END)", _kind_of(values))


def _several(desk: Desk, node: exp.Expr) -> Cell:
    """COALESCE, GREATEST, LEAST."""
    names = ("this", "expressions") if isinstance(node, exp.Coalesce) else ("this", "expressions", "ignore_nulls")
    this, expressions, *_ = desk.source.consume(node, *names)
    cells = [cell_of(desk, part) for part in (this, *(expressions or ()))]
    name = "coalesce" if isinstance(node, exp.Coalesce) else type(node).__name__.lower()
    text, kind = f"{name}({', '.join(_alike(desk, cells, node))})", _kind_of(cells)
    first, *others = cells
    if name != "coalesce" or first.margins is None or not desk.settled or not all(cell.public for cell in others):
        return Cell(text, kind, public=all(cell.public for cell in cells))
    s, a, b = (f"(CASE WHEN {first.sql} IS NOT NULL THEN {margin} END)" for margin in first.margins)
    return replace(alike(text, kind, first), margins=(s, a, b))  # what stands in for it has no error that is known


def _nullif(desk: Desk, node: exp.Expr) -> Cell:
    this, other = desk.source.consume(node, "this", "expression")
    cells = [cell_of(desk, this), cell_of(desk, other)]
    one, two = _alike(desk, cells, node)  # written out, so that copies of copies are seen to be too long
    return Cell(f"(CASE WHEN {one} = {two} THEN NULL ELSE {one} END)", _kind_of(cells))


def _round(desk: Desk, node: exp.Expr) -> Cell:
    this, decimals = desk.source.consume(node, "this", "decimals")
    arg = _needs_number(desk, cell_of(desk, this), this)
    places = 0 if decimals is None else _whole(desk, decimals, 15)
    return rounded(finite(f"round({arg.number}, {places})"), "double", arg, places)


def _abs(desk: Desk, node: exp.Expr) -> Cell:
    (this,) = desk.source.consume(node, "this")
    return Cell(f"abs({_needs_number(desk, cell_of(desk, this), this).number})", "double")


def _function(desk: Desk, node: exp.Expr) -> Cell:
    (this,) = desk.source.consume(node, "this")
    name = {**_REAL, **_WHOLE}[type(node)]
    return Cell(finite(f"{name}({_needs_number(desk, cell_of(desk, this), this).number})"), "double")


def _power(desk: Desk, node: exp.Expr) -> Cell:
    this, other = desk.source.consume(node, "this", "expression")
    left, right = (_needs_number(desk, cell_of(desk, side), side) for side in (this, other))
    return Cell(finite(f"pow({left.number}, {right.number})"), "double")


def _cast(desk: Desk, node: exp.Expr) -> Cell:
    this, to, _safe = desk.source.consume(node, "this", "to", "safe")
    name, sizes, _nested = desk.source.consume(to, "this", "expressions", "nested")
    written = getattr(name, "value", str(name))
    kind = _TYPES.get(written) if not sizes else None
    arg = cell_of(desk, this)
    if written == "DECIMAL" and len(sizes or ()) == 2:  # noqa: PLR2004 - DECIMAL(p, s)
        return _decimal(desk, arg, *(desk.source.consume(size, "this")[0] for size in sizes))
    if kind is None:
        raise desk.source.refusal(
            "unsupported",
            "This type is not accepted here.",
            node,
            accepted="TINYINT, SMALLINT, INTEGER, BIGINT, DECIMAL(p, s), DOUBLE, BOOLEAN, VARCHAR or DATE",
        )
    if kind == "date" and arg.kind in ("text", "date"):
        return Cell(_as_date(desk, arg, node) if arg.kind == "text" else arg.sql, kind, public=arg.public)
    if arg.kind != "null" and "date" in (arg.kind, kind) and kind != "text":
        raise desk.source.refusal(
            "unsupported", f"{arg.kind} cannot be cast to {kind}.", node, accepted="a date, or CAST(… AS VARCHAR)"
        )
    if kind == "double":
        return alike(finite(f"TRY_CAST({arg.sql} AS DOUBLE)"), kind, arg)
    if kind != "integer":
        return Cell(f"TRY_CAST({arg.sql} AS {SQL_TYPES[kind]})", kind, public=arg.public)
    whole = f"round({arg.sql})" if arg.kind == "double" else arg.sql  # a cast alone would round half to even
    return rounded(f"CAST(TRY_CAST({whole} AS {written}) AS BIGINT)", kind, arg, 0)


def _decimal(desk: Desk, arg: Cell, precision: exp.Expr, scale: exp.Expr) -> Cell:
    """A number with so many decimal places; NULL where it has too many digits before them."""
    digits, places = _whole(desk, precision, PRECISION_MAX), _whole(desk, scale, SCALE_MAX)
    if not places <= digits or not digits:
        raise desk.source.refusal(
            "unsupported", "This type is not accepted here.", precision, accepted="such as DECIMAL(9, 2)"
        )
    short = f"round({arg.sql}, {places})" if arg.kind == "double" else arg.sql
    return rounded(f"CAST(TRY_CAST({short} AS DECIMAL({digits}, {places})) AS DOUBLE)", "double", arg, places)


def _whole(desk: Desk, node: exp.Expr, most: int) -> int:
    text = node.name if isinstance(node, exp.Literal) and not node.is_string else ""
    if not (text.isascii() and text.isdecimal() and len(text) <= WHOLE_DIGITS_MAX and int(text) <= most):
        raise desk.source.refusal(
            "unsupported", "A whole number is needed here.", node, accepted=f"a number from 0 to {most:,}"
        )
    return int(text)


# -- windows and aggregates over released rows


def _window(desk: Desk, node: exp.Window) -> Cell:
    if node.args.get("spec"):
        raise desk.source.refusal(
            "unsupported",
            "A window's frame is not accepted.",
            node,
            accepted="the window without ROWS, RANGE or GROUPS",
        )
    this, partition, order, over = desk.source.consume(node, "this", "partition_by", "order", "over")
    if not desk.windows or str(over or "OVER").upper() != "OVER":
        raise desk.source.refusal(
            "unsupported", "A window is not accepted here.", node, accepted="a window in SELECT, QUALIFY or ORDER BY"
        )
    inner = replace(desk, windows=False)
    by = [cell_of(inner, part) for part in partition or ()]
    ordered = [] if order is None else order_terms(inner, order)
    function, kind, needs_order, arg = _windowed(inner, this)
    terms = [f"{cell.sql}{how}" for cell, how in ordered] + [*desk.ties] * needs_order
    spec = f"PARTITION BY {', '.join(cell.sql for cell in by)}" if by else ""
    spec += f" ORDER BY {', '.join(terms)}" if terms else ""
    over = f" OVER ({spec.strip()})"
    text = _total(this, f"{function}{over}", kind)
    if arg is None or not desk.settled or not all(cell.public for cell in (*by, *(cell for cell, _ in ordered))):
        return Cell(text, kind)
    if isinstance(this, exp.Lag | exp.Lead):
        shift = _shift(inner, this)
        return moved(text, arg, lambda column: shift(column) + over)
    return _added(text, kind, this, arg, lambda aggregate: aggregate + over)


def _windowed(desk: Desk, node: exp.Expr) -> tuple[str, Kind, bool, Cell | None]:
    """A window function, its type, whether rows must stand in one order for it, and its argument.

    A running total needs none: its frame takes equal rows together, so that they share one value.
    """
    source = desk.source
    if type(node) in _RANKS:
        source.consume(node)
        name, kind = _RANKS[type(node)]
        return f"{name}()", kind, name == "row_number", None
    if isinstance(node, exp.Ntile):
        (this,) = source.consume(node, "this")
        return f"ntile({max(1, _whole(desk, this, OFFSET_MAX))})", "integer", True, None
    if isinstance(node, exp.Lag | exp.Lead):
        this, _offset = source.consume(node, "this", "offset")
        arg = cell_of(desk, this)
        return _shift(desk, node)(arg.sql), arg.kind, True, arg
    if type(node) in _AGGREGATES:
        text, kind, added_up = _aggregated(desk, desk, node)
        return text, kind, False, added_up
    raise _unaccepted(desk, node)


def _shift(desk: Desk, node: exp.Lag | exp.Lead) -> Callable[[str], str]:
    """Writes LAG or LEAD of a column."""
    offset = node.args.get("offset")
    rows = 1 if offset is None else _whole(desk, offset, OFFSET_MAX)
    return lambda column: f"{type(node).__name__.lower()}({column}, {rows})"


def _total(node: exp.Expr, text: str, kind: Kind) -> str:
    """A function of several rows, NULL where a sum of whole numbers is too large or a number is not finite."""
    if isinstance(node, exp.Sum) and kind == "integer":
        return f"TRY_CAST({text} AS BIGINT)"
    return finite(text) if kind == "double" else text


def _aggregated(desk: Desk, inner: Desk, node: exp.Expr) -> tuple[str, Kind, Cell | None]:
    """An aggregate whose argument `inner` understands, its type, and its argument."""
    this, _big = desk.source.consume(node, "this", "big_int")
    if isinstance(node, exp.Count) and (this is None or isinstance(this, exp.Star)):
        return "count(*)", "integer", None
    name = _AGGREGATES[type(node)]
    arg = cell_of(inner, this)
    if name == "count":
        return f"count({arg.sql})", "integer", None
    if name in ("sum", "avg"):
        _needs_number(desk, arg, this)
        return f"{name}({arg.sql})", "double" if name == "avg" or arg.kind == "double" else "integer", arg
    return f"{name}({arg.sql})", arg.kind, arg


def _aggregate(desk: Desk, node: exp.Expr) -> Cell:
    if desk.inside is None:
        raise _unaccepted(desk, node)
    function, kind, arg = _aggregated(desk, replace(desk, cell=desk.inside, inside=None, windows=False), node)
    text = _total(node, function, kind)
    return _added(text, kind, node, arg, str) if arg is not None and desk.settled else Cell(text, kind)


def _added(text: str, kind: Kind, node: exp.Expr, arg: Cell, over: Callable[[str], str]) -> Cell:
    """An aggregate over rows that public columns decide; sums and means alone have margins."""
    if not isinstance(node, exp.Sum | exp.Avg):
        return Cell(text, kind)
    return added(text, kind, arg, over, mean=isinstance(node, exp.Avg))


def order_terms(desk: Desk, order: exp.Order, selected: Sequence[Cell] = ()) -> list[tuple[Cell, str]]:
    """The terms of an ORDER BY, and how each is sorted: a column by name or position, or an expression."""
    (terms,) = desk.source.consume(order, "expressions")
    if selected and (every := by_all(desk.source, terms)) is not None:
        this, how = _sorted(desk, every)
        desk.source.consume(this, "this")
        return [(cell, how) for cell in selected]
    found = []
    for term in terms:
        this, how = _sorted(desk, term)
        found.append((pointed(desk, this, selected) or cell_of(desk, this), how))
    return found


def _sorted(desk: Desk, term: exp.Expr) -> tuple[exp.Expr, str]:
    """What a term of ORDER BY sorts by, and how."""
    this, descending, nulls_first = desk.source.consume(term, "this", "desc", "nulls_first")
    return this, f"{' DESC' if descending else ''} NULLS {'FIRST' if nulls_first else 'LAST'}"


def pointed(desk: Desk, node: exp.Expr, selected: Sequence[Cell]) -> Cell | None:
    """The column of SELECT that an ordinal or an alias means."""
    if selected and isinstance(node, exp.Literal) and not node.is_string:
        place = _whole(desk, node, len(selected))
        if place < 1:
            raise desk.source.refusal(
                "syntax", "There is no such column to point at.", node, accepted=f"1 to {len(selected)}"
            )
        return selected[place - 1]
    if isinstance(node, exp.Column) and not node.table:
        return desk.aliases.get(node.name.lower())
    return None


def unknown(source: Source, node: exp.Column, known: Sequence[str]) -> QueryRefused:
    """A refusal of a name that no released table has."""
    quoted = isinstance(node.this, exp.Identifier) and node.this.quoted
    text = f"; a text stands in single quotes: '{node.name}'" if quoted else ""
    return source.refusal(
        "unknown_name", f"There is no column {node.name} here.", node, accepted=nearest(node.name, known) + text
    )


_CONVERTERS: dict[type[exp.Expr], Callable[[Desk, Any], Cell]] = {
    exp.Literal: _literal,
    exp.Paren: _paren,
    exp.Null: _null,
    exp.Boolean: _boolean,
    **dict.fromkeys(ARITHMETIC, _arithmetic),
    exp.Neg: _negated,
    **dict.fromkeys(_COMPARISONS, _compare),
    exp.And: _connective,
    exp.Or: _connective,
    exp.Not: _not,
    exp.Is: _is,
    exp.Between: _between,
    exp.In: _in,
    exp.Case: _case,
    exp.If: _if,
    exp.Coalesce: _several,
    exp.Greatest: _several,
    exp.Least: _several,
    exp.Nullif: _nullif,
    exp.Round: _round,
    exp.Abs: _abs,
    **dict.fromkeys((*_REAL, *_WHOLE), _function),
    exp.Pow: _power,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Window: _window,
    **dict.fromkeys(_AGGREGATES, _aggregate),
}
