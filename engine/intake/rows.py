"""Rows of a source, read in batches: CSV, Parquet, and tables in memory.

Only the columns that are asked for are read; the rest is left behind. A file is read whole or refused: a stray
quote in one student's line must never swallow another's, so quoting is checked strictly, a quoted cell ends in the
line it begins in, and ragged lines refuse the file, by line number and never by content. No type is guessed from
records; what a cell means is decided where it is cleaned (`engine.intake.cleaning`).
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH_ROWS = 50_000
TABLE_ROWS = 500_000
_BLOCK_BYTES = 1 << 25
_CHUNK_BYTES = 1 << 22
_PARQUET = b"PAR1"
PLAIN_TEXT = "a text file in UTF-8; in Excel: Save as, CSV UTF-8"


class Rows(Protocol):
    """The rows of one source.

    Attributes:
        file: the source's name in refusals and reports.
        names: of its columns, as it writes them; not one of them twice, but for blank ones.
    """

    file: str
    names: tuple[str, ...]

    def batches(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """All rows, in the source's order: of the columns at some places, in that order, of any plain type.

        Raises:
            CatalogRefused: the source cannot be read to its end; no value of a record is told.
        """
        ...

    @property
    def share(self) -> float:
        """How much of the source the last `batches` has read, 0 to 1."""
        ...


def refusal(file: str, message: str, accepted: str, line: int | None = None) -> CatalogRefused:
    """The refusal of a source."""
    return CatalogRefused(message, file=file, line=line, accepted=accepted, load=True)


def rows_of(source: Path | pa.Table | pd.DataFrame | Rows, name: str) -> Rows:
    """The rows of a file or of a table in memory.

    Args:
        source: a CSV file (comma, UTF-8, one header line), a Parquet file, an Arrow table, a pandas frame, or rows.
        name: what a table in memory is called in refusals.

    Raises:
        CatalogRefused: the source cannot be read.
    """
    if isinstance(source, Path):
        try:
            parquet = _is_parquet(source)
        except OSError:
            raise refusal(str(source), "The file cannot be read.", "a CSV or Parquet file that is there") from None
        return ParquetRows(source) if parquet else CsvRows(source)
    if isinstance(source, pd.DataFrame):
        try:
            source = pa.Table.from_pandas(source, preserve_index=False)
        except (pa.ArrowException, ValueError, TypeError):
            raise refusal(
                f"the table {name}", "A column of the frame holds values of several kinds.", "one plain type a column"
            ) from None
    return TableRows(source, f"the table {name}") if isinstance(source, pa.Table) else source


def checked_names(file: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names of a header.

    Raises:
        CatalogRefused: there are none, or one stands twice.
    """
    filled = [name for name in names if name]
    if not filled:
        raise refusal(file, "There is no header.", "a first line with the names of the columns", line=1)
    if len(set(filled)) < len(filled):
        raise refusal(file, "A column name stands twice in the header.", "each name once", line=1)
    return tuple(names)


class TableRows:
    """The rows of a table in memory."""

    def __init__(self, table: pa.Table, file: str) -> None:
        self.file = file
        self.names = checked_names(file, [str(name) for name in table.column_names])
        self.share = 0.0
        self._table = table

    def batches(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """As `Rows.batches`."""
        chosen = pa.table([self._table.column(place) for place in places], names=[f"c{place}" for place in places])
        for start in range(0, chosen.num_rows, TABLE_ROWS):
            self.share = start / chosen.num_rows
            yield from chosen.slice(start, TABLE_ROWS).combine_chunks().to_batches()
        self.share = 1.0


class ParquetRows:
    """The rows of a Parquet file."""

    def __init__(self, path: Path) -> None:
        self.file = str(path)
        self.share = 0.0
        self._path = path
        try:
            self.names = checked_names(self.file, [str(name) for name in pyarrow.parquet.read_schema(path).names])
        except (pa.ArrowException, OSError):
            raise self._unreadable() from None

    def batches(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """As `Rows.batches`."""
        self.share, read = 0.0, 0
        names = [self.names[place] for place in places]
        try:
            with pyarrow.parquet.ParquetFile(self._path) as file:
                for batch in file.iter_batches(batch_size=TABLE_ROWS, columns=names):
                    read += batch.num_rows
                    self.share = read / max(1, file.metadata.num_rows)
                    yield batch.select(names)
        except (pa.ArrowException, OSError):
            raise self._unreadable() from None

    def _unreadable(self) -> CatalogRefused:
        return refusal(self.file, "The file cannot be read.", "a CSV or Parquet file that is there")


class CsvRows:
    """The rows of a CSV file: by Arrow where no reading of the quotes is in doubt, else line by line."""

    def __init__(self, path: Path, file: str | None = None) -> None:
        """Open a file.

        Args:
            path: of the file; blank cells and cells in quotes are read as text, as all others.
            file: its name in refusals, if not the path.

        Raises:
            CatalogRefused: it is not plain text in UTF-8, or has no header.
        """
        self.file = str(path) if file is None else file
        self.share = 0.0
        self._path = path
        try:
            self._well_quoted = self._scan()
            self.names = checked_names(self.file, [name.strip() for name in next(self._lines(), [])])
        except OSError:
            raise self._unreadable() from None

    def batches(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """As `Rows.batches`."""
        self.share, read = 0.0, 0
        if self._well_quoted:
            try:
                for batch in self._arrow(places):
                    yield batch
                    read += batch.num_rows
            except pa.ArrowInvalid:
                pass  # the strict reader finds the line
            except (pa.ArrowException, OSError):
                raise self._unreadable() from None
            else:
                self.share = 1.0
                return
        yield from self._strict(places, read)

    def fits(self, cells: int) -> bool:
        """Whether a row with so many cells is taken."""
        return cells == len(self.names)

    def _unreadable(self) -> CatalogRefused:
        return refusal(self.file, "The file cannot be read.", "a CSV or Parquet file that is there")

    def _arrow(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        names = [f"c{place}" for place in range(len(self.names))]
        wanted = [names[place] for place in places]
        with self._path.open("rb") as raw, _Counted(raw, self._path.stat().st_size) as counted:
            reader = pyarrow.csv.open_csv(
                counted,
                read_options=pyarrow.csv.ReadOptions(
                    column_names=names, skip_rows_after_names=1, block_size=_BLOCK_BYTES
                ),
                parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), include_columns=wanted, strings_can_be_null=False
                ),
            )
            for batch in reader:
                self.share = counted.share
                yield batch

    def _scan(self) -> bool:
        """Refuse what is not plain UTF-8 text, by line; whether every quote opens a whole cell, closes or is doubled.

        Arrow reads other quotes leniently.
        """
        decoder = codecs.getincrementaldecoder("utf-8")()
        line, fine = 1, True
        quotes = _Quotes()
        with self._path.open("rb") as file:
            if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                file.seek(0)
            for chunk in itertools.chain(iter(lambda: file.read(_CHUNK_BYTES), b""), [b""]):
                if b"\0" in chunk:
                    line += chunk[: chunk.index(b"\0")].count(b"\n")
                    raise refusal(
                        self.file,
                        "The file has a NUL byte.",
                        PLAIN_TEXT,
                        line=line,
                    )
                try:
                    decoder.decode(chunk, final=not chunk)
                except UnicodeDecodeError as error:
                    line += bytes(error.object[: error.start]).count(b"\n")
                    raise refusal(
                        self.file,
                        "The file is not in UTF-8.",
                        PLAIN_TEXT,
                        line=line,
                    ) from None
                line += chunk.count(b"\n")
                fine = fine and quotes.fine(chunk)
        return fine and not quotes.open and not quotes.over_lines

    def _lines(self) -> Iterator[list[str]]:
        """Every line of cells, strictly: a wrong quote refuses the file."""
        with self._path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            read = before = 0
            try:
                for cells in lines:
                    if lines.line_num - before > 1:
                        message = (
                            "A cell in quotes goes on in the next line: a stray quote would swallow others' lines."
                        )
                        raise refusal(self.file, message, "every row on one line", before + 1)
                    before = lines.line_num
                    yield cells
                    read += bool(cells)
            except csv.Error as error:
                if "field limit" in str(error):  # the error has nothing but its text
                    raise self._too_long(read) from None
                message, accepted = "The quotes of a line do not match.", 'quotes around a whole cell, "" inside'
                raise refusal(self.file, message, accepted, lines.line_num) from None

    def _too_long(self, row: int) -> CatalogRefused:
        """The refusal of a row under the header, or of the header."""
        where, limit = f"Row {row:,} under the header" if row else "The header", csv.field_size_limit()
        return refusal(
            self.file,
            f"{where} has a cell of more than {limit:,} characters.",
            "shorter cells; a quote that is never closed makes one cell of all that follows",
            None if row else 1,
        )

    def _strict(self, places: Sequence[int], skipped: int) -> Iterator[pa.RecordBatch]:
        """The rows behind some that have been read already."""
        lines = self._lines()
        next(lines)
        numbered = enumerate((cells for cells in lines if cells), 1)
        names = [f"c{place}" for place in places]
        while batch := list(itertools.islice(numbered, BATCH_ROWS)):
            for number, cells in batch:
                if not self.fits(len(cells)):
                    message = f"Row {number:,} under the header has {len(cells)} cells."
                    raise refusal(self.file, message, f"{len(self.names)} cells, as the header")
            kept = [cells for number, cells in batch if number > skipped]
            parts = [pa.array([cells[place] for cells in kept], pa.string()) for place in places]
            yield pa.record_batch(parts, names=names)
        self.share = 1.0


class _Counted(io.RawIOBase):
    """A file that tells how much of it has been read."""

    def __init__(self, raw: Any, size: int) -> None:
        self._raw, self._size, self._read = raw, max(1, size), 0

    @property
    def share(self) -> float:
        return min(1.0, self._read / self._size)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        found: bytes = self._raw.read(size)
        self._read += len(found)
        return found


class _Quotes:
    """Whether the quotes of a text, given in chunks, open whole cells, close them, or are doubled inside one."""

    def __init__(self) -> None:
        self.open = False
        self.over_lines = False
        self._held = b""
        self._before = b"\n"

    def fine(self, chunk: bytes) -> bool:
        """Take the next chunk, and b"" at the end; what follows a quote must be known before it is judged."""
        text, self._held = (self._held + chunk[:-1], chunk[-1:]) if chunk else (self._held, b"\n")
        if not text:
            return True
        seen = np.frombuffer(self._before + text + self._held, np.uint8)
        quotes = np.flatnonzero(seen[1:-1] == ord('"')) + 1
        opening, closing = quotes[int(self.open) :: 2], quotes[int(not self.open) :: 2]
        ends = np.flatnonzero(np.isin(seen[1:-1], _ENDS)) + 1
        self.over_lines |= bool((np.searchsorted(quotes, ends) % 2 != int(self.open)).any())
        self._before, self.open = text[-1:], self.open ^ bool(len(quotes) % 2)
        return bool(np.isin(seen[opening - 1], _BESIDE).all() and np.isin(seen[closing + 1], _BESIDE).all())


_ENDS = np.frombuffer(b"\r\n", np.uint8)
_BESIDE = np.frombuffer(b',\r\n"', np.uint8)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET
