"""Members of a bundle → `raw_` tables of text: the columns of `layout` alone, trimmed, blank cells as NULL.

No rule about persons stands here; each row becomes one row, with the number of its bundle and its own number, which
serves messages and nothing else.
"""
# ruff: noqa: S608 - statements are made of our own table and column names

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from engine.intake.cleaning import SPACE
from engine.intake.oneroster.layout import LAYOUTS, places
from engine.intake.report import FileReport
from engine.intake.rows import BATCH_ROWS, CsvRows
from engine.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from engine.intake.oneroster.layout import Layout

    Progress = Callable[[str, float], None]

_BATCH = "raw_batch"


class RosterRows(CsvRows):
    """The rows of a CSV file in which columns without a name, at the end of the header, may be absent from rows.

    Attributes:
        short: rows from which they were absent.
    """

    def __init__(self, path: Path, file: str) -> None:
        super().__init__(path, file)
        self.short = 0
        self._named = max(place for place, name in enumerate(self.names, 1) if name)

    def fits(self, cells: int) -> bool:
        """As `CsvRows.fits`."""
        short = self._named <= cells < len(self.names)
        self.short += short
        return short or cells == len(self.names)


@dataclass
class Reading:
    """One file that has been opened, and what was found and done.

    Attributes:
        rows: of the file, once they are read.
        repaired: what was put right → how often.
        dropped: why rows were left out → how many.
    """

    layout: Layout
    source: RosterRows
    bundle: int
    places: Mapping[str, int]
    repaired: dict[str, int]
    rows: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def has_rows(self) -> bool:
        """Whether any row was read."""
        return self.rows > 0

    def report(self) -> FileReport:
        """What the officer is told of it."""
        names = self.source.names
        read = tuple(names[place] for place in sorted(self.places.values()))
        left = tuple(name for place, name in enumerate(names) if name and place not in self.places.values())
        kept = {what: count for what, count in self.repaired.items() if count}
        dropped = {why: count for why, count in self.dropped.items() if count}
        return FileReport(self.source.file, self.rows, read, left, kept, dropped)


def located(source: RosterRows, layout: Layout, bundle: int) -> Reading:
    """Find the columns of a file.

    Raises:
        CatalogRefused: its header cannot be used.
    """
    found, repaired = places(source, layout)
    name = source.file.rsplit("/", 1)[-1]
    if name != layout.file:
        repaired = {f"the file name {name} for {layout.file}": 1, **repaired}
    return Reading(layout, source, bundle, found, repaired)


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """An empty table for each file there may be."""
    for layout in LAYOUTS:
        columns = ", ".join(f"{quoted(name)} VARCHAR" for name in layout.columns)
        connection.execute(f"CREATE OR REPLACE TABLE {layout.table} (bundle INTEGER, line BIGINT, {columns})")


def drop_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Give back their room, once the tables of the catalog are made."""
    for layout in LAYOUTS:
        connection.execute(f"DROP TABLE {layout.table}")


def read(connection: duckdb.DuckDBPyConnection, reading: Reading, progress: Progress) -> None:
    """Put the rows of an opened file into its table.

    Raises:
        CatalogRefused: the file cannot be read to its end; no value of a record is told.
    """
    layout, source = reading.layout, reading.source
    columns = list(reading.places)
    trimmed = ", ".join(f"NULLIF(trim({quoted(name)}, {SPACE}), '') AS {quoted(name)}" for name in columns)
    numbered = f"{reading.bundle}::INTEGER AS bundle, line"
    statement = f"INSERT INTO {layout.table} BY NAME SELECT {numbered}, {trimmed} FROM {_BATCH}"
    progress(source.file, 0.0)
    for batch in source.batches(list(reading.places.values())):
        numbers = pa.array(np.arange(reading.rows + 1, reading.rows + batch.num_rows + 1))
        reading.rows += batch.num_rows
        connection.register(_BATCH, pa.table([*batch.columns, numbers], names=[*columns, "line"]))
        connection.execute(statement)
        connection.unregister(_BATCH)
        progress(source.file, source.share)
    progress(source.file, 1.0)
    if source.short:
        reading.repaired["rows without the columns that have no name"] = source.short


class QueryRows:
    """The rows of a finished `raw_` table, read through a cursor of their own."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], file: str
    ) -> None:
        """Begin.

        Args:
            connection: a cursor nobody else reads from.
            table: our name of it.
            columns: name in the source's header → SQL of its value.
            file: what it is called in refusals.
        """
        self.file = file
        self.names = tuple(columns)
        self.share = 0.0
        self._connection, self._table, self._values = connection, table, tuple(columns.values())

    def batches(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """As `Rows.batches`."""
        self.share, read = 0.0, 0
        ((count,),) = self._connection.execute(f"SELECT COUNT(*) FROM {self._table}").fetchall()
        wanted = ", ".join(f"{self._values[place]} AS c{place}" for place in places)
        for batch in self._connection.sql(f"SELECT {wanted} FROM {self._table}").to_arrow_reader(BATCH_ROWS):
            read += batch.num_rows
            self.share = read / max(1, count)
            yield batch
        self.share = 1.0
