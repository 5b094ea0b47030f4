"""Files of other kinds as rows: Excel workbooks and Stata files beside CSV and Parquet.

A kind is told by what a file begins with, not by its name alone. No library's text and no value of a record leaves
this room: what cannot be read is refused in our own words.
"""

from __future__ import annotations

import datetime as dt
import itertools
import warnings
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from engine.intake.cleaning import number_text
from engine.intake.rows import BATCH_ROWS, CsvRows, ParquetRows, checked_names, refusal
from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.intake.rows import Rows

UNPACKED_BYTES_MAX = 2_000_000_000
SHARED_TEXT_BYTES_MAX = 300_000_000
ACCEPTED = "CSV (.csv, .txt), Parquet, Excel (.xlsx, or FILE.xlsx#Sheet) or Stata (.dta)"

_HEAD_BYTES = 8
_OTHER_KINDS = {
    b"\x1f\x8b": "a compressed file; unpack it first",
    b"BZh": "a compressed file; unpack it first",
    b"\xfd7zXZ": "a compressed file; unpack it first",
    b"\x28\xb5\x2f\xfd": "a compressed file; unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Excel file, or one with a password; save it as .xlsx without one",
    b"$FL2": "an SPSS file; save it as CSV or Stata",
    b"$FL3": "an SPSS file; save it as CSV or Stata",
    b"%PDF": "a PDF",
    b"SQLite f": "a database; export its tables as CSV",
}
_OTHER_SUFFIXES = {
    ".xls": "an old Excel file; save it as .xlsx",
    ".xlsb": "a binary Excel file; save it as .xlsx",
    ".ods": "an OpenDocument file; save it as .xlsx or CSV",
    ".sav": "an SPSS file; save it as CSV or Stata",
    ".sas7bdat": "a SAS file; export it as CSV",
    ".rds": "an R file; write it as CSV or Parquet",
    ".rdata": "an R file; write it as CSV or Parquet",
    ".json": "JSON; write it as CSV",
    ".jsonl": "JSON; write it as CSV",
    ".xml": "XML; write it as CSV",
    ".gz": "a compressed file; unpack it first",
    ".zip": "an archive; unpack it first",
    ".tsv": "separated by tabs; write it with commas",
}
_STATA_HEADS = (b"<stata_d", *(bytes([release]) for release in (113, 114, 115)))


def file_rows(path: Path) -> Rows:
    """The rows of one file, by what it holds.

    Args:
        path: of a CSV, Parquet, Excel or Stata file; `book.xlsx#Sheet` names one sheet, else the first is read.

    Raises:
        CatalogRefused: it is not there, or of another kind, or damaged.
    """
    place, sheet = file_of(path)
    try:
        with place.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        raise refusal(str(path), "The file cannot be read.", f"a file that is there: {ACCEPTED}") from None
    if head.startswith(b"PK\x03\x04") and _is_workbook(place):
        return ExcelRows(place, sheet)
    kind = _other_kind(place, head)
    if kind is not None:
        raise refusal(str(path), f"This is {kind}.", ACCEPTED)
    if sheet is not None:
        raise refusal(str(path), "Only a workbook has sheets.", ACCEPTED)
    if head.startswith(b"PAR1"):
        return ParquetRows(place)
    return StataRows(place) if place.suffix.lower() == ".dta" else CsvRows(place)


def file_of(path: Path) -> tuple[Path, str | None]:
    """The file a path means, and the sheet it names behind a #; a file that is called so comes first."""
    name, mark, sheet = path.name.rpartition("#")
    if not mark or not name or path.exists():
        return path, None
    return path.with_name(name), sheet


def _other_kind(path: Path, head: bytes) -> str | None:
    """What a file is that is not accepted."""
    suffix = path.suffix.lower()
    if head.startswith(b"PK\x03\x04"):
        return _OTHER_SUFFIXES.get(suffix, "an archive; unpack it first")
    for start, kind in _OTHER_KINDS.items():
        if head.startswith(start):
            return kind
    if suffix == ".dta" and not head.startswith(_STATA_HEADS):
        return "no Stata file of release 8 or later"
    if suffix in (".xlsx", ".xlsm"):
        return "no workbook, or a damaged one"
    return _OTHER_SUFFIXES.get(suffix)


# -- Excel


def _is_workbook(path: Path) -> bool:
    """Whether an archive is a workbook; one that is too large unpacked is refused before it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {part.filename: part.file_size for part in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    if "xl/workbook.xml" not in sizes:
        return False
    shared = sum(size for name, size in sizes.items() if "sharedstrings" in name.lower())
    if sum(sizes.values()) > UNPACKED_BYTES_MAX or shared > SHARED_TEXT_BYTES_MAX:
        raise refusal(str(path), "The workbook is too large once it is unpacked.", "the same table as CSV or Parquet")
    return True


@contextmanager
def _quietly(file: str) -> Iterator[None]:
    """Whatever a library says of a damaged file becomes one refusal, and its warnings nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except CatalogRefused:
        raise
    except Exception:  # noqa: BLE001 - a damaged file makes these libraries raise anything, and quote what it holds
        raise refusal(file, "The file is damaged, or not what its name says.", ACCEPTED) from None


ERRORS = frozenset({"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A"})
"""What stands in a cell whose formula failed (ECMA-376, part 1, 18.17.3)."""


class ExcelRows:
    """The rows of one sheet of a workbook: its first row names the columns, blank rows are passed over.

    Formulas count by the values the workbook was saved with; errors such as #N/A are blank. Dates are ISO texts,
    whole numbers have no decimal point, flags are true and false.
    """

    def __init__(self, path: Path, sheet: str | None = None) -> None:
        """Open a sheet.

        Args:
            path: of the workbook.
            sheet: its name; the first one if none is given.

        Raises:
            CatalogRefused: the workbook is damaged, or has no such sheet or no header.
        """
        self.file = str(path) if sheet is None else f"{path}#{sheet}"
        self.share = 0.0
        self._path = path
        self._sheet = sheet
        header = next(self._cells(), [])
        while header and not header[-1]:
            header.pop()
        self.names = checked_names(self.file, [(name or "").strip() for name in header])

    def batches(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """As `Rows.batches`."""
        self.share = 0.0
        rows = itertools.islice(self._cells(), 1, None)
        numbered = ((number, cells) for number, cells in enumerate(rows, 1) if any(cells))
        names = [f"c{place}" for place in places]
        while batch := list(itertools.islice(numbered, BATCH_ROWS)):
            for number, cells in batch:
                if any(cells[len(self.names) :]):
                    message = f"Row {number:,} under the header has cells beyond it."
                    raise refusal(self.file, message, f"{len(self.names)} cells, as the header")
                cells.extend([None] * (len(self.names) - len(cells)))
            parts = [pa.array([cells[place] for _, cells in batch], pa.string()) for place in places]
            yield pa.record_batch(parts, names=names)
        self.share = 1.0

    def _cells(self) -> Iterator[list[str | None]]:
        """Every row of the sheet as texts."""
        import openpyxl  # noqa: PLC0415 - nobody but a workbook waits for it

        with _quietly(self.file):
            book = openpyxl.load_workbook(self._path, read_only=True, data_only=True, keep_links=False)
            try:
                sheet = self._chosen(book)
                sheet.reset_dimensions()  # what a file says of its own size is not relied on
                rows = sheet.iter_rows(values_only=True)
            except BaseException:
                book.close()
                raise
        try:
            while (row := self._next(rows)) is not None:
                yield [cell_text(value) for value in row]
        finally:
            book.close()

    def _next(self, rows: Iterator[Any]) -> Any:
        with _quietly(self.file):
            return next(rows, None)

    def _chosen(self, book: Any) -> Any:
        sheets = {sheet.title: sheet for sheet in book.worksheets}
        if not sheets or (self._sheet is not None and self._sheet not in sheets):
            message = "The workbook has no sheet with rows." if not sheets else f"There is no sheet {self._sheet}."
            raise refusal(self.file, message, f"one of its sheets: {', '.join(sheets)}" if sheets else ACCEPTED)
        return next(iter(sheets.values())) if self._sheet is None else sheets[self._sheet]


_MIDNIGHT = dt.time()


EXACT_MAX = 10**15
"""Workbooks keep fifteen digits of a number."""

FLOAT_EXACT_MAX = 2**24
"""Whole numbers are exact below it in a float of four bytes."""


def cell_text(value: Any) -> str | None:
    """The value of a cell as text; None where it is blank or an error.

    >>> [cell_text(value) for value in (12.0, 0.1, True, "#N/A", dt.datetime(2025, 6, 30), float("inf"))]
    ['12', '0.1', 'true', None, '2025-06-30', None]
    """
    match value:
        case bool():
            return str(value).lower()
        case str():
            return None if value in ERRORS else value.encode("utf-8", "replace").decode()
        case int() | float() if abs(value) >= EXACT_MAX:
            return f"{value:.14e}" if np.isfinite(value) else None  # so written that it is never taken for an id
        case float():
            return number_text(value)
        case dt.datetime() if value.time() == _MIDNIGHT:
            return value.date().isoformat()
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case _:
            return None if value is None else str(value)


# -- Stata


class StataRows:
    """The rows of a Stata file.

    Codes stay the numbers they are: labels are written for people, and may be missing for some codes or stand
    twice. Missing values are blank, dates ISO texts, whole numbers have no decimal point.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            CatalogRefused: it is damaged.
        """
        self.file = str(path)
        self.share = 0.0
        self._path = path
        with _quietly(self.file), self._reader() as reader:
            names = list(reader.variable_labels())
        self.names = checked_names(self.file, names)

    def batches(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """As `Rows.batches`."""
        self.share, read = 0.0, 0
        wanted = [self.names[place] for place in places]
        with _quietly(self.file):
            reader = self._reader(wanted)
        with reader:
            while (frame := self._next(reader)) is not None:
                parts = [self._texts(frame[name]) for name in wanted]
                read += len(frame)
                yield pa.record_batch(parts, names=[f"c{place}" for place in places])
        self.share = 1.0

    def _reader(self, columns: list[str] | None = None) -> Any:
        return pd.read_stata(
            self._path, iterator=True, chunksize=BATCH_ROWS, convert_categoricals=False, columns=columns
        )

    def _next(self, reader: Any) -> Any:
        with _quietly(self.file):
            return next(reader, None)

    def _texts(self, column: Any) -> pa.Array:
        with _quietly(self.file):
            if pd.api.types.is_float_dtype(column.dtype):
                return pa.array([_stata_number(value) for value in column.to_numpy()], pa.string())
            return pa.array([None if pd.isna(value) else cell_text(value) for value in column], pa.string())


def _stata_number(value: Any) -> str | None:
    """A number as text; of a float with four bytes as many digits as it has, so that 0.1 stays 0.1."""
    if not np.isfinite(value):
        return None
    if value != int(value):
        return str(value)
    rounded = isinstance(value, np.float32) and abs(value) >= FLOAT_EXACT_MAX
    return f"{float(value):.8e}" if rounded else number_text(float(value))
