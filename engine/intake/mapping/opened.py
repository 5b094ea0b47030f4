"""One part of a mapping at work on its file: which columns are read, and what each batch of rows becomes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.cleaning import WRONG, check_ids, clean, clean_ids, plain_text
from engine.intake.header import SHOWN_NAMES_MAX, places_called
from engine.intake.mapping.cells import among, texts_of
from engine.intake.mapping.document import Cell, Fixed, Formula
from engine.intake.mapping.fit import columns_read
from engine.intake.mapping.formulas import worked_out
from engine.intake.report import FileReport
from engine.intake.rows import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import duckdb

    from engine.catalog import Column
    from engine.intake.mapping.document import Part
    from engine.intake.mapping.fit import Fitted
    from engine.intake.rows import Rows
    from engine.refusals import CatalogRefused

NOT_ACCEPTED = "not accepted"
NO_OWNER = "no owner"


UNDERSTOOD_MIN = 20
"""Of fewer rows nothing is concluded from how many cells were not understood."""


@dataclass
class Tally:
    """What was met while a part's file was read, in exact counts."""

    rows: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def met(self, what: str, cells: int) -> None:
        """Count cells that were not understood."""
        if cells:
            self.unread[what] += cells


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a part's file: those that count.

    Attributes:
        columns: their cells by source column.
        typed: the stored values of the typed names, as far as they have been worked out.
    """

    columns: Mapping[str, Any]
    rows: int
    typed: dict[str, Any] = field(default_factory=dict)


class Opened:
    """A part over the rows of its file.

    Attributes:
        fitted: the part, and the columns it fills.
        rows: of its file.
        tally: what has been met since the last `batches` began.
    """

    def __init__(self, fitted: Fitted, rows: Rows) -> None:
        """Find the part's columns in the header.

        Raises:
            CatalogRefused: one is missing, or two could be meant; with the mapping's line.
        """
        self.fitted = fitted
        self.rows = rows
        self.tally = Tally()
        self._names = columns_read(fitted.part)
        self._places = _places(fitted.part, rows, self._names)

    @property
    def part(self) -> Part:
        """The part itself."""
        return self.fitted.part

    def report(self) -> FileReport:
        """What was done with the file for this table."""
        read = {self._places[name] for name in self._names}
        left = tuple(name for place, name in enumerate(self.rows.names) if place not in read)
        return FileReport(
            file=f"{self.part.file} for {self.part.table}",
            rows=self.tally.rows,
            read=tuple(self.rows.names[place] for place in sorted(read)),
            left_behind=left,
            unread=dict(self.tally.unread),
            dropped=dict(self.tally.dropped),
        )

    def batches(self) -> Iterator[Batch]:
        """The rows that count, in the file's order.

        Raises:
            CatalogRefused: the file cannot be read to its end.
        """
        self.tally = Tally()
        places = sorted(set(self._places.values()))
        for found in self.rows.batches(places):
            columns = {name: found.column(places.index(place)) for name, place in self._places.items()}
            self.tally.rows += found.num_rows
            kept = self._counting(columns, found.num_rows)
            if kept.rows:
                yield kept
        self._check_understood()

    def _check_understood(self) -> None:
        """Refuse a file of which most cells of a column were not understood: the mapping is wrong, not the cells.

        Raises:
            CatalogRefused: so it is.
        """
        for what, cells in self.tally.unread.items():
            if self.tally.rows >= UNDERSTOOD_MIN and 2 * cells > self.tally.rows:
                message = f"Of {self.tally.rows:,} rows {cells:,} were not understood; {what}."
                accepted = "the codes, formats, bounds and lists that the cells have"
                raise self.part.place.refusal(message, accepted)

    def _counting(self, columns: Mapping[str, Any], rows: int) -> Batch:
        """The rows that have an accepted text in each column of `only`."""
        for name, accepted in self.part.only.items():
            flags = self._plainly(name, partial(among, columns[name], accepted))
            columns = {other: values.filter(flags) for other, values in columns.items()}
            left = int(flags.true_count)
            if left < rows:
                self.tally.dropped[f"{name} is none of those that count"] += rows - left
            rows = left
        return Batch(columns, rows)

    def owners(self, batch: Batch) -> Any:
        """The owner ids of a batch, as text."""
        name = str(self.part.owner)
        check_ids(self.rows.file, batch.columns[name])
        return self._plainly(name, lambda: plain_text(batch.columns[name]))

    def texts(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> dict[str, Any]:
        """What each column of the table is made of in each row of a batch, as text.

        Args:
            connection: in which the macros of `engine.intake.cleaning` have been run.
            batch: some rows of the file.
        """
        filled = self.fitted.filled
        formulas = {name: one.target.given for name, one in filled.items() if isinstance(one.target.given, Formula)}
        found = self._worked_out(connection, formulas, batch)
        for name, one in filled.items():
            match one.target.given:
                case Cell() as cell:
                    found[name] = self._cell(connection, name, cell, batch)
                case Fixed(value):
                    found[name] = pa.repeat(pa.scalar(value, pa.string()), batch.rows)
        return found

    def typed(self, connection: duckdb.DuckDBPyConnection, batch: Batch, read: str) -> Any:
        """The stored values of one typed name, worked out and counted once."""
        if read not in batch.typed:
            one = self.part.reads[read]
            texts = self._cell(connection, read, one.cell, batch)
            batch.typed[read] = self.accepted(connection, read, one.column, texts)
        return batch.typed[read]

    def accepted(self, connection: duckdb.DuckDBPyConnection, name: str, column: Column, texts: Any) -> Any:
        """The stored values of some texts; NULL where they are not accepted, which is counted."""
        chunks = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts])
        cells = self._plainly(name, lambda: clean(connection, column, chunks))
        self.tally.met(f"{name}: {NOT_ACCEPTED}", pc.sum(pc.equal(cells.statuses, WRONG)).as_py() or 0)
        return cells.values

    def ids(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> Any:
        """The owner ids of a batch without space around them; NULL where blank, which is counted."""
        owners = pa.chunked_array([self.owners(batch)])
        found = self._plainly(str(self.part.owner), lambda: clean_ids(connection, owners))
        if found.null_count:
            self.tally.dropped[NO_OWNER] += found.null_count
        return found

    def _worked_out(
        self, connection: duckdb.DuckDBPyConnection, formulas: Mapping[str, Formula], batch: Batch
    ) -> dict[str, Any]:
        if not formulas:
            return {}
        typed = {name: self.typed(connection, batch, name) for name in self.part.reads}
        return worked_out(connection, formulas, typed, batch.rows)

    def _cell(self, connection: duckdb.DuckDBPyConnection, name: str, cell: Cell, batch: Batch) -> Any:
        made = self._plainly(cell.column, lambda: texts_of(connection, cell, batch.columns[cell.column]))
        self.tally.met(f"{name}: {made.why}", made.strange)
        return made.values

    def _plainly(self, column: str, work: Callable[[], Any]) -> Any:
        """What some work makes of a column, or a refusal if its cells are no plain values."""
        try:
            return work()
        except pa.ArrowException:
            message = f"The column {column} cannot be read as plain values."
            raise refusal(self.rows.file, message, "text, numbers, dates or flags") from None


def _places(part: Part, rows: Rows, names: tuple[str, ...]) -> dict[str, int]:
    """Where each column stands: under its exact name, else under its name in other letters."""
    found: dict[str, int] = {}
    for name in names:
        alike = places_called(rows, name)
        if len(alike) > 1:
            message = f"{part.file} has two columns called {name}, but for capital letters."
            raise part.place.refusal(message, "each name once")
        if alike:
            found[name] = alike[0]
    for name, path in _mentions(part):
        if name not in found:
            raise _missing(part, rows, name, path, shown=bool(found))
        if part.owner is not None and path[-1] != "owner" and found[name] == found[part.owner]:
            message, accepted = "this is the owner's id, and no value of a column.", "another column"
            raise part.place.reader.refusal(path, message, accepted)
    return found


def _mentions(part: Part) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Each source column a part names, and the path of the setting that names it; the owner's first."""
    path = part.place.path
    if part.owner is not None:
        yield part.owner, (*path, "owner")
    for name in part.only:
        yield name, (*path, "only", name)
    for name, read in part.reads.items():
        yield read.cell.column, (*path, "read", name)
    for target in part.targets.values():
        if isinstance(target.given, Cell):
            yield target.given.column, target.place.path


def _missing(part: Part, rows: Rows, name: str, path: tuple[str | int, ...], *, shown: bool) -> CatalogRefused:
    """The refusal of a column that is not there, at the line that names it.

    Where not one is found the first line may be a record, so it is not shown.
    """
    header = ", ".join(rows.names[:SHOWN_NAMES_MAX]) + (", …" if len(rows.names) > SHOWN_NAMES_MAX else "")
    accepted = f"one of {header}" if shown else "a file whose first line has the columns' names"
    return part.place.reader.refusal(path, f"{part.file} has no column {name}.", accepted)
