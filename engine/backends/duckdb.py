"""Runs a compiled statement over the vault and gives back exact integers, never shown to anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from engine.compile import KEYS_TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.compile import Compiled
    from engine.keysets import KeyList

_ARROW = {"exact": pa.int64(), "boolean": pa.bool_(), "text": pa.string()}


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
    _second_opinion(cursor, compiled)
    if compiled.keyed:
        cursor.register(KEYS_TABLE, _arrow(keys))
    try:
        found = cursor.execute(compiled.sql).fetchnumpy()
    finally:
        if compiled.keyed:
            cursor.unregister(KEYS_TABLE)
    return [_vector(found[f"s{position}"], len(keys.rows)) for position in range(statistics)]


def _vector(found: Any, groups: int) -> NDArray[np.int64]:
    whole = isinstance(found, np.ndarray) and not isinstance(found, np.ma.MaskedArray)
    if not whole or found.dtype != np.int64 or found.shape != (groups,):
        raise ValueError
    vector: NDArray[np.int64] = found
    return vector


def _second_opinion(cursor: duckdb.DuckDBPyConnection, compiled: Compiled) -> None:
    """The database's own parser must agree that this is one SELECT over the relations we mean."""
    statements = cursor.extract_statements(compiled.sql)
    allowed = compiled.tables | ({KEYS_TABLE} if compiled.keyed else set())
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ValueError
    if {name.strip('"') for name in cursor.get_table_names(compiled.sql)} != allowed:
        raise ValueError


def _arrow(keys: KeyList) -> pa.Table:
    columns = {"i": pa.array(range(len(keys.rows)), pa.int64())}
    for position, column in enumerate(keys.columns):
        columns[f"k{position}"] = pa.array([row[position] for row in keys.rows], _ARROW[column.type.kind])
    return pa.table(columns)
