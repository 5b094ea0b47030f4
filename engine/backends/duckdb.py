"""Runs a compiled statement over the vault and gives back exact integers, never shown to anybody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from engine.compile import KEYS_TABLE
from engine.vault import ARROW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.compile import Compiled
    from engine.keysets import KeyList

_WHOLE = re.compile(r"(?<![\w'\"])\d+::BIGINT")
"""A whole number as `engine.sql` writes it, outside names and texts."""

SHAPES_MAX = 4096
_RELATIONS: dict[str, frozenset[str]] = {}
"""What was found of statements that differ in whole numbers alone."""


def run(
    cursor: duckdb.DuckDBPyConnection, compiled: Compiled, keys: KeyList, statistics: int
) -> Sequence[NDArray[np.int64]]:
    """The exact vectors of a statement.

    Args:
        cursor: a cursor of this thread on the locked vault.
        compiled: the statement.
        keys: the key list, registered as an input of the statement.
        statistics: how many vectors the statement gives.

    Returns:
        One vector for each statistic, shape (groups,).

    Raises:
        ValueError: the database did not give what the statement promises.
    """
    statement = _second_opinion(cursor, compiled)
    if compiled.layout == "loose":
        return placed(cursor.execute(statement).fetchall(), keys, statistics)
    if compiled.layout == "placed":
        cursor.register(KEYS_TABLE, _arrow(keys))
    try:
        found = cursor.execute(statement).fetchnumpy()
    finally:
        if compiled.layout == "placed":
            cursor.unregister(KEYS_TABLE)
    return [_vector(found[f"s{position}"], len(keys.rows)) for position in range(statistics)]


def placed(fetched: Sequence[tuple[Any, ...]], keys: KeyList, statistics: int) -> list[NDArray[np.int64]]:
    """Vectors over the key list, of fetched rows in any order: exactly its groups, in its order.

    A group without a row is 0; a row whose group is not on the list is dropped.

    Args:
        fetched: (key values …, one integer per statistic …), no two rows of one group.
        keys: the key list.
        statistics: how many integers a row ends with.

    Raises:
        ValueError: two rows of one group, a row of another length, or a number that is no whole one.
    """
    width = len(keys.columns)
    rows = {row[:width]: row[width:] for row in fetched}
    if len(rows) != len(fetched):
        raise ValueError
    nothing = (0,) * statistics
    found = [rows.get(key, nothing) for key in keys.rows]
    if not all(len(row) == statistics and all(type(cell) is int for cell in row) for row in found):
        raise ValueError
    return [np.array([row[position] for row in found], dtype=np.int64) for position in range(statistics)]


def _vector(found: Any, groups: int) -> NDArray[np.int64]:
    whole = isinstance(found, np.ndarray) and not isinstance(found, np.ma.MaskedArray)
    if not whole or found.dtype != np.int64 or found.shape != (groups,):
        raise ValueError
    vector: NDArray[np.int64] = found
    return vector


def _second_opinion(cursor: duckdb.DuckDBPyConnection, compiled: Compiled) -> duckdb.Statement:
    """What runs: the database's own parser must agree that it is one SELECT over the relations we mean."""
    statements = cursor.extract_statements(compiled.sql)
    allowed = compiled.tables | ({KEYS_TABLE} if compiled.layout == "placed" else set())
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ValueError
    if _relations(cursor, compiled.sql) != allowed:
        raise ValueError
    return statements[0]


def _relations(cursor: duckdb.DuckDBPyConnection, sql: str) -> frozenset[str]:
    """The relations that a statement reads, by the database's parser; the same whatever its whole numbers are."""
    shape = _WHOLE.sub("0::BIGINT", sql)
    found = _RELATIONS.get(shape)
    if found is None:
        found = frozenset(name.strip('"') for name in cursor.get_table_names(sql))
        if len(_RELATIONS) >= SHAPES_MAX:
            _RELATIONS.clear()
        _RELATIONS[shape] = found
    return found


def _arrow(keys: KeyList) -> pa.Table:
    columns = {"i": pa.array(np.arange(len(keys.rows)), pa.int64())}
    for position, column in enumerate(keys.columns):
        columns[f"k{position}"] = pa.array([row[position] for row in keys.rows], ARROW[column.type.kind])
    return pa.table(columns)
