"""The answer of a question over released tables: one statement that sees nothing but noisy numbers.

It runs in one kept, locked database in memory, apart from the vault's, on the parts' noisy tables. A repeatable,
total function of the plan and the stored draws, like every post-processing.
"""

from __future__ import annotations

import math
import os
import threading
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from engine import forms, postprocess, tree
from engine.forms import Computed
from engine.refusals import QueryRefused
from engine.released import HIDDEN
from engine.vault import ARROW, locks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.plan import Plan
    from engine.postprocess import Cell, Draws, Estimated, Table

UNSURE = "margin null where estimates share a draw or have no margin themselves, or a divisor cannot be told from 0"
COMPUTED = "no margin: computed from estimates by more than arithmetic, or over rows that noise chose"
EXACT_MAX = 2**53
MEMORY = "2GB"
"""Of the database that sees noisy numbers alone: a question that takes more fails, and not the machine."""

_LOCK = threading.Lock()
_KEPT: dict[int, duckdb.DuckDBPyConnection] = {}


def answer(plan: Plan, draws: Draws) -> Table:
    """The rows of an answer with their margins.

    Args:
        plan: the plan.
        draws: of its statistics, in their order.
    """
    if plan.made is None:
        return postprocess.answer(plan, draws)
    estimated = [[postprocess.estimated(part, output.form, draws) for output in part.outputs] for part in plan.parts]
    tables = [
        _table(query, part, columns)
        for query, part, columns in zip(plan.made.parts, plan.parts, estimated, strict=True)
    ]
    rows = _run(plan.made, tables)
    columns = plan.made.columns
    place = {name: position for position, name in enumerate(_names(plan.made))}
    margins = {
        letter: [
            [
                _float(row[place[f"{letter}{k}"]]) if column.margins and row[k] is not None else None
                for k, column in enumerate(columns)
            ]
            for row in rows
        ]
        for letter in "sab"
    }
    types = [output.type for output in plan.outputs]
    return postprocess.Table(
        rows=[tuple(_shown(row[k], of) for k, of in enumerate(types)) for row in rows],
        se=[tuple(row) for row in margins["s"]],
        moe90=[tuple(row) for row in margins["a"]],
        moe95=[tuple(row) for row in margins["b"]],
        partial=[plan.left_out for _ in rows],
        reasons=[
            _reason(column, plan.outputs[k].form, estimated) or _unsure(rows, place, column, k)
            for k, column in enumerate(columns)
        ],
        independent=[_independent(rows, place, column, k) for k, column in enumerate(columns)],
    )


def check(plan: Plan) -> None:
    """Refuse a statement that the database does not take, before anything is charged.

    Raises:
        QueryRefused: its parts do not go together.
    """
    if plan.made is None:
        return
    tables = [_table(query, part, None).slice(0, 0) for query, part in zip(plan.made.parts, plan.parts, strict=True)]
    try:
        _run(plan.made, tables)
    except (duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.InternalException):
        raise
    except duckdb.Error:
        raise QueryRefused(
            "unsupported",
            "The columns of this question do not go together.",
            accepted="GROUP BY on every column outside an aggregate, and values of one type in one column",
        ) from None


def foreseen(plan: Plan) -> list[str | None]:
    """Why columns will have no margins, as far as that is certain before anything is drawn."""
    if plan.made is None:
        return [None] * len(plan.outputs)
    return [_computed(column, output.form) for column, output in zip(plan.made.columns, plan.outputs, strict=True)]


def _computed(column: tree.Made, form: Any) -> str | None:
    if not isinstance(form, Computed) or column.public or column.margins:
        return None
    return None if column.kind in ("text", "boolean", "date", "null") else COMPUTED


def _reason(column: tree.Made, form: Any, estimated: Sequence[Sequence[Estimated]]) -> str | None:
    if column.base is None or isinstance(form, Computed):
        return _computed(column, form)
    part, item = column.base
    return estimated[part][item].reason


def _unsure(rows: Sequence[tuple[Any, ...]], place: Mapping[str, int], column: tree.Made, k: int) -> str | None:
    """Why a computed column with margins lacks some."""
    if column.base is not None or not column.margins:
        return None
    value, error = place[f"v{k}"], place[f"s{k}"]
    return UNSURE if any(row[value] is not None and row[error] is None for row in rows) else None


def _independent(rows: Sequence[tuple[Any, ...]], place: Mapping[str, int], column: tree.Made, k: int) -> bool:
    """Whether the cells of a column are an estimate of a part as it is, each in another row of the part."""
    if column.base is None or not column.margins:
        return False
    origins = {row[place[f"r{k}"]] for row in rows}
    return len(origins) == len(rows) and None not in origins


def _names(made: tree.Combined) -> list[str]:
    """The columns that are fetched."""
    names = [f"v{k}" for k in range(len(made.columns))]
    fetched = HIDDEN[:-1]  # a lattice's step is of use to the statement alone
    return names + [f"{letter}{k}" for letter in fetched for k, column in enumerate(made.columns) if column.margins]


def _table(query: tree.Query, part: Plan, columns: Sequence[Estimated] | None) -> pa.Table:
    """The noisy table of a part; without numbers where none are given."""
    size = len(part.keys.rows) if columns is not None else 0
    found = {"i": pa.array(np.arange(size), pa.int64())}
    for position, item in enumerate(query.items):
        cells = [] if columns is None else columns[position].cells
        if isinstance(item.value, tree.KeyRef):
            of = part.keys.columns[item.value.index].type
            if of == tree.DATE:  # the database's own here, made of the texts that answers have
                found[f"c{position}"] = pa.array(cells, pa.string()).cast(pa.date32())
            else:
                found[f"c{position}"] = pa.array(cells, ARROW[of.kind])
            continue
        whole = isinstance(item.value, tree.Aggregate) and item.value.function in ("count", "students")
        numbers = cells if whole else [None if cell is None else _float(cell) for cell in cells]
        found[f"c{position}"] = pa.array(numbers, pa.int64() if whole else pa.float64())
        for letter, kind in zip("sab", ("se", "moe90", "moe95"), strict=True):
            values = np.empty(0) if columns is None else getattr(columns[position], kind)
            found[f"{letter}{position}"] = pa.array(values, pa.float64(), from_pandas=True)
        step = forms.step_of(part.outputs[position].form)
        found[f"l{position}"] = pa.array(np.full(size, step), pa.float64())
    return pa.table(found)


def _float(value: Any) -> float | None:
    """A finite floating-point number, or nothing."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _shown(value: Any, of: str) -> Cell:
    """A fetched value in the type that its column is said to have."""
    if value is None:
        return None
    if of == "double":
        return _float(value)
    if isinstance(value, date):
        return value.isoformat()
    if of == "integer" and isinstance(value, float):
        return round(value) if abs(value) < EXACT_MAX else value
    return value  # type: ignore[no-any-return]


def _run(made: tree.Combined, tables: Sequence[pa.Table]) -> list[tuple[Any, ...]]:
    cursor = _cursor()
    try:
        for position, table in enumerate(tables):
            cursor.register(f"p{position}", table)
        listed = ", ".join(_names(made))
        return cursor.execute(f"SELECT {listed} FROM ({made.sql}) AS answer ORDER BY i").fetchall()
    finally:
        cursor.close()


def _cursor() -> duckdb.DuckDBPyConnection:
    """A cursor on the kept database; one for each process."""
    with _LOCK:
        kept = _KEPT.get(os.getpid())
        if kept is None:
            kept = _KEPT[os.getpid()] = duckdb.connect(
                ":memory:", config={**locks(), "threads": "1", "memory_limit": MEMORY}
            )
        return kept.cursor()
