"""Formulas over the typed names of one row: read by the house's own rules, proved to fit, and total.

Nothing aggregates here, nothing reads another row, and what is made of a row is a text that is cleaned like a cell.
"""
# ruff: noqa: S608 - statements are made of `engine.sql` and of our own names; texts of records never stand in them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from engine import tree
from engine.analysis import intervals
from engine.days import as_date
from engine.expressions import Named, Scope, convert
from engine.refusals import QueryRefused
from engine.source import Source
from engine.sql import sql
from engine.text import DEPTH_MAX, condition_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from engine.catalog import Column
    from engine.intake.mapping.document import Formula

_TYPED = "raw_mapping_typed"
_POSITION = "homeroom_position"


def read_formula(text: str, columns: Mapping[str, Column]) -> tree.Expr:
    """The expression a text stands for.

    Args:
        text: of the formula.
        columns: what it may use, by name.

    Raises:
        QueryRefused: it is no expression over these, or some row could make its arithmetic too large.
    """
    source = Source(text)
    names = {name: tree.Column(name, column.type) for name, column in columns.items()}
    try:
        expr = convert(Scope(source, [Named("", names)], owner=""), condition_of(source))
        intervals.evaluate(expr, {name: intervals.declared(column) for name, column in columns.items()})
        sql(expr)
    except (RecursionError, LookupError, ValueError, TypeError, AttributeError):
        raise QueryRefused("syntax", "The text cannot be read.", accepted=f"at most {DEPTH_MAX} levels") from None
    return expr


def worked_out(
    connection: duckdb.DuckDBPyConnection, formulas: Mapping[str, Formula], typed: Mapping[str, Any], rows: int
) -> dict[str, Any]:
    """What each formula makes of each row, as text; NULL where it is NULL.

    Args:
        connection: a database.
        formulas: by any name.
        typed: the stored values of each typed name.
        rows: how many there are.
    """
    if not formulas:
        return {}
    # positions bind the answers to their rows, whatever order the database works in
    given = pa.table({_POSITION: pa.array(range(rows), pa.int64()), **typed})
    made = ", ".join(f"{_text(formula.expr)} AS f{place}" for place, formula in enumerate(formulas.values()))
    connection.register(_TYPED, given)
    try:
        found = connection.sql(f"SELECT {made} FROM {_TYPED} ORDER BY {_POSITION}").to_arrow_table()
    finally:
        connection.unregister(_TYPED)
    return dict(zip(formulas, found.columns, strict=True))


def _text(expr: tree.Expr) -> str:
    """SQL: a value in its own unit, as text that says it exactly."""
    return unit_text(sql(expr), expr.type)


def unit_text(value: str, of: tree.Type) -> str:
    """SQL: a stored value as text in its own unit: 125 of a decimal with one place is `125e-1`, a date is ISO."""
    if of == tree.DATE:
        return f"CAST({as_date(value)} AS VARCHAR)"
    return f"CAST({value} AS VARCHAR)" + (f" || 'e-{of.scale}'" if of.scale else "")
