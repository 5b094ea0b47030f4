"""What the columns of tables, steps and right sides can be, as far as the text is read already."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from engine import tree
from engine.analysis.intervals import declared, evaluate
from engine.ranges import Range, listed, union
from engine.refusals import QueryRefused
from engine.tree import Derived, Grouped, Union, Windowed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.catalog import Catalog, Table


def declared_of(columns: Mapping[str, tree.Expr], table: Table) -> Iterator[tuple[str, Range]]:
    """What the catalog says of each column, by its name in the question; of a public text the rows tell it."""
    for name, column in columns.items():
        own = declared(table.columns[name])
        if table.public and column.type == tree.TEXT and own.values is None and table.rows:
            cells = {row[name] for row in table.rows}
            own = listed(cells - {None}, nullable=None in cells)
        yield from ((part, replace(own, by=None)) for part in tree.columns_of(column))


def handed_on(derived: Derived, known: Mapping[str, Range], catalog: Catalog) -> list[tuple[str, Range]]:
    """What columns of a step can be that hand on values as they are, or count rows, where that is known."""
    pairs: list[tuple[str, Sequence[tree.Expr]]] = []
    match derived.step:
        case Grouped(_, _, keys, values):
            pairs += [(name, [key]) for name, key in keys]
            pairs += [(name, [v.arg]) for name, v in values if v.arg is not None and v.function in _VALUES]
        case Windowed(_, _, columns, windows):
            pairs += [(name, [column]) for name, column in columns]
            for name, value in windows:
                if value.arg is not None and value.function in _VALUES:
                    pairs.append((name, [value.arg, *([] if value.default is None else [value.default])]))
        case Union(names, branches):
            pairs += [(name, [b.columns[place] for b in branches]) for place, name in enumerate(names)]
    found = []
    for name, exprs in pairs:
        if all(tree.columns_of(expr) <= known.keys() for expr in exprs):
            with contextlib.suppress(QueryRefused):  # arithmetic without bounds is refused where it is proved
                whole = union(evaluate(expr, known) for expr in exprs)
                found.append((f"{derived.prefix}{name}", replace(whole, nullable=True, by=None)))
    rows = None if isinstance(derived.step, Union) else _rows(derived.step.relation, catalog)
    if rows is not None:
        counts = [name for name, value in _made(derived) if value.function in _COUNTS]
        found += [(f"{derived.prefix}{name}", Range(0, rows, nullable=True)) for name in counts]
    return found


def _made(derived: Derived) -> tuple[tuple[str, tree.Within | tree.Rolling], ...]:
    match derived.step:
        case Grouped():
            return derived.step.values
        case Windowed():
            return derived.step.windows
    return ()


def _rows(relation: tree.Relation, catalog: Catalog) -> int | None:
    """Most rows of one student in joined tables, on the proof to come that public ones are joined on a unique key."""
    tables = [catalog.tables[scan.table] for scan in relation.scans if isinstance(scan, tree.Scan)]
    if relation.lefts or len(tables) < len(relation.scans):
        return None
    return math.prod(1 if table.public else table.rows_per_student_max or 1 for table in tables)


_VALUES = {"min", "max", "first", "lag", "lead", "first_value", "last_value", "nth_value"}
_COUNTS = {"rows", "count", "distinct", "row_number", "rank", "dense_rank"}


def nullable(columns: Mapping[str, tree.Expr], known: Mapping[str, Range]) -> list[tuple[str, Range]]:
    """What the columns of a right side can be above it, where that is known: they are NULL where no row matched."""
    found = []
    for name, expression in columns.items():
        if tree.columns_of(expression) <= known.keys():
            with contextlib.suppress(QueryRefused):
                found.append((name, replace(evaluate(expression, known), nullable=True)))
    return found
