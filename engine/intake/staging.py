"""Source rows to cleaned rows: batch by batch into a table of the load's own database, on the disk.

A source id is hashed with the district's key as it is read; it is never written anywhere. Cells are trimmed,
typed and held against lists, bounds and ranges; a row without an owner or a needed cell is marked with the reason.
"""
# ruff: noqa: S608 - statements are made of quoted catalog names, `engine.sql` and this package's expressions

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.intake.cleaning import ACCEPTED, BLANK, MACROS, WRONG, check_ids, clean, hashed, literal
from engine.intake.header import SOURCE, header_of, source_columns
from engine.intake.rows import refusal
from engine.sql import quoted, text_literal
from engine.vault import storage_type, stored_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import duckdb

    from engine.catalog import Catalog, Column, Table
    from engine.intake.rows import Rows

STAGED = "homeroom_staged"
ROW, STAGED_OWNER, DROPPED = "homeroom_row", "homeroom_person", "homeroom_drop"
_BATCH = "homeroom_batch"


class Staged:
    """One table's rows, staged.

    Attributes:
        rows: how many the source has.
        left_behind: columns of the source that were not read.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, catalog: Catalog, table: Table, ids: Callable[[Any], Any] | None
    ) -> None:
        """Make the table empty.

        Args:
            connection: the load's own database, prepared by `prepare`.
            catalog: tells what a source must have.
            table: whose rows come.
            ids: makes owners of source ids; None for a public table.
        """
        self._connection, self._table, self._ids = connection, table, ids
        self._catalog = catalog
        self._columns = source_columns(catalog, table)
        self._constants = [column for column in stored_columns(table) if column.constant is not None]
        self.rows = 0
        self.left_behind: tuple[str, ...] = ()
        owner = [] if ids is None else [f"{STAGED_OWNER} UUID"]
        layout = [f"{ROW} BIGINT", *owner]
        layout += [f"{quoted(c.name)} {storage_type(c.type)}" for c in (*self._columns, *self._constants)]
        layout += [f"{_status(column)} UTINYINT" for column in self._columns]
        connection.execute(f"DROP TABLE IF EXISTS {STAGED}")
        connection.execute(f"CREATE TABLE {STAGED} ({', '.join([*layout, f'{DROPPED} VARCHAR'])})")

    def take(self, rows: Rows, progress: Callable[[float], None]) -> None:
        """Read a source to its end.

        Raises:
            CatalogRefused: it cannot be read, or a column is missing; of a public table also a cell that is not
                accepted, which is shown.
        """
        header = header_of(rows, self._catalog, self._table)
        self.left_behind = header.left_behind
        names, places = list(header.places), list(header.places.values())
        for batch in rows.batches(places):
            if batch.num_rows:
                cells = dict(zip(names, map(_chunked, batch.columns), strict=True))
                self._stage(rows.file, cells, batch.num_rows)
                self.rows += batch.num_rows
            progress(rows.share)

    def replaced(self) -> dict[str, dict[str, int]]:
        """How many cells of rows with an owner were blank or not accepted, by column."""
        counts = ", ".join(
            f"COUNT(*) FILTER (WHERE {_status(column)} = {status})"
            for column in self._columns
            for status in (BLANK, WRONG)
        )
        if not counts:
            return {}
        text = f"SELECT {counts} FROM {STAGED} WHERE {STAGED_OWNER} IS NOT NULL"
        found = self._connection.execute(text).fetchall()[0]
        pairs = zip(self._columns, found[::2], found[1::2], strict=True)
        return {c.name: {"blank": blank, "not accepted": wrong} for c, blank, wrong in pairs if blank or wrong}

    def _stage(self, file: str, cells: Mapping[str, Any], rows: int) -> None:
        connection, columns = self._connection, self._columns
        made: dict[str, Any] = {ROW: np.arange(self.rows, self.rows + rows)}
        if self._ids is not None:
            check_ids(file, cells[SOURCE])
            made[STAGED_OWNER] = self._ids(cells[SOURCE])
        statuses = {}
        for column in columns:
            try:
                cleaned = clean(connection, column, cells[column.name])
            except pa.ArrowException:
                message = f"The column {column.name} cannot be read as plain values."
                raise refusal(file, message, "text, numbers or flags") from None
            made |= {column.name: cleaned.values, f"homeroom_status_{column.name}": cleaned.statuses}
            statuses[column.name] = cleaned.statuses
        if self._ids is None:
            self._refuse_cells(file, cells, statuses)
        connection.register(_BATCH, pa.table(made))
        constants = [f"{literal(c.constant, c.type)} AS {quoted(c.name)}" for c in self._constants]
        text = f"SELECT {', '.join(['*', *constants])} FROM {_BATCH}"
        for column in columns:
            text = _ranged(column, text)
        owner = [] if self._ids is None else [f"CAST({STAGED_OWNER} AS UUID)"]
        names = [ROW, *owner, *(quoted(c.name) for c in (*columns, *self._constants)), *map(_status, columns)]
        connection.execute(f"INSERT INTO {STAGED} SELECT {', '.join(names)}, {self._reason()} FROM ({text})")
        connection.unregister(_BATCH)

    def _refuse_cells(self, file: str, cells: Mapping[str, Any], statuses: Mapping[str, Any]) -> None:
        for column in self._columns:
            refuse_cell(file, column, cells[column.name], statuses[column.name], self.rows)

    def _reason(self) -> str:
        """SQL: why a row is dropped for its own cells; empty where it is not."""
        if self._ids is None:
            return "''"
        needed = [c.name for c in self._columns if not c.nullable and c.name != self._catalog.cohort]
        whens = [f"WHEN {STAGED_OWNER} IS NULL THEN 'no owner'"]
        whens += [f"WHEN {quoted(name)} IS NULL THEN {text_literal('no accepted ' + name)}" for name in needed]
        return f"CASE {' '.join(whens)} ELSE '' END"


def prepare(connection: duckdb.DuckDBPyConnection, owner_key: bytes) -> Callable[[Any], Any]:
    """Make a database ready for staging; what it returns makes owners of source ids, by the district's key."""
    connection.execute(MACROS)
    return lambda cells: hashed(connection, cells, owner_key)


SHOWN_CHARACTERS_MAX = 60


def refuse_cell(file: str, column: Column, cells: Any, statuses: Any, before: int) -> None:
    """Refuse the first row of a public table whose cell is not accepted; it is public, and shown."""
    refused = [WRONG] if column.nullable or column.default is not None else [WRONG, BLANK]
    (wrong,) = np.nonzero(np.isin(statuses.to_numpy(), refused))
    if len(wrong):
        shown = repr(cells[int(wrong[0])].as_py())[:SHOWN_CHARACTERS_MAX]
        raise refusal(
            file,
            f"Row {before + int(wrong[0]) + 1:,} under the header: {shown} is not accepted in {column.name}.",
            f"{column.type}, on the declared list and within the declared bounds",
        )


def _chunked(cells: Any) -> Any:
    return cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells])


def _status(column: Column) -> str:
    return quoted(f"homeroom_status_{column.name}")


def _ranged(column: Column, text: str) -> str:
    """Hold a column against the range its row's keys have; off it, or without one, the cell is not accepted."""
    ranges = column.ranges
    if ranges is None:
        return text
    name, status = quoted(column.name), _status(column)
    matching = " AND ".join(f"cleaned.{quoted(key)} IS NOT DISTINCT FROM ranges.{quoted(key)}" for key in ranges.keys)
    inside = f"cleaned.{name} BETWEEN ranges.{quoted(ranges.low)} AND ranges.{quoted(ranges.high)}"
    wrong = f"cleaned.{status} = {ACCEPTED} AND ({inside}) IS NOT TRUE"
    instead = "NULL" if column.default is None else literal(column.default, column.type)
    return (
        f"SELECT cleaned.* REPLACE (CASE WHEN {wrong} THEN {instead} ELSE cleaned.{name} END AS {name}, "
        f"CASE WHEN {wrong} THEN {WRONG} ELSE cleaned.{status} END AS {status}) "
        f"FROM ({text}) AS cleaned LEFT JOIN vault.{quoted(ranges.table)} AS ranges ON {matching}"
    )
