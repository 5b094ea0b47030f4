"""Plain files to text and text to values: reading CSV, Parquet and Arrow tables, and what a cell's text means.

Reading takes the catalogued columns and leaves the rest behind. A file is read whole or refused: a stray quote
in one student's line must never swallow another's, so quoting is checked strictly and ragged lines refuse the
file, by line number and never by content. No type is guessed from records; every cell is text until it is
cleaned, by expressions that are total and see one cell.
"""

# ruff: noqa: S608 - statements are made of the expressions below and of `engine.sql`; texts never stand in them

from __future__ import annotations

import codecs
import csv
import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from engine import tree
from engine.catalog_file import owner_source
from engine.expressions import MAGNITUDE_MAX
from engine.refusals import CatalogRefused
from engine.sql import sql
from engine.vault import storage_type, stored_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from engine.catalog import Catalog, Column, Table

SOURCE = "homeroom_source"
"""The owner's source id, and the number of a public row, in a table read from a source."""

ACCEPTED, BLANK, WRONG = 0, 1, 2
SHOWN_NAMES_MAX = 30
_BATCH_ROWS = 50_000
_CHUNK_BYTES = 1 << 22
_PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True)
class Source:
    """One source, read.

    Attributes:
        file: its name in refusals.
        rows: the catalogued columns under their catalog names, and `homeroom_source` first.
        left_behind: names of the columns that were not read.
    """

    file: str
    rows: pa.Table
    left_behind: tuple[str, ...]


def source_columns(catalog: Catalog, table: Table) -> tuple[Column, ...]:
    """The columns a source must have, the owner aside: no constants, and the cohort in the cohort table alone."""
    given = table.public or table.name == catalog.cohort_table
    columns = (column for column in stored_columns(table) if column.constant is None)
    return tuple(column for column in columns if given or column.name != catalog.cohort)


def read_source(source: Path | pa.Table, catalog: Catalog, table: Table) -> Source:
    """Read the catalogued columns of one table.

    Args:
        source: a CSV file (comma, UTF-8, one header line), a Parquet file, or a table in memory.
        catalog: tells the name of the owner column.
        table: what to read; its constants need no column.

    Raises:
        CatalogRefused: the source cannot be read, or a column is missing; no value of a record is told.
    """
    file = str(source) if isinstance(source, Path) else f"the table {table.name}"
    reader = _Reader(file)
    names = reader.names(source)
    wanted = {c.name: c.source or c.name for c in source_columns(catalog, table)}
    if not table.public:
        wanted = {SOURCE: owner_source(catalog), **wanted}
    places = _places(reader, names, wanted)
    found = reader.read(source, names, sorted(set(places.values())))
    if table.public:
        places, found = {SOURCE: len(names), **places}, {**found, len(names): pa.array(range(1, reader.rows + 1))}
    left = tuple(name for place, name in enumerate(names) if place not in places.values())
    return Source(file, pa.table({name: found[place] for name, place in places.items()}), left)


def _places(reader: _Reader, names: Sequence[str], wanted: dict[str, str]) -> dict[str, int]:
    """Where each catalogued column stands: under its exact name, else under its name in other letters."""
    found: dict[str, int] = {}
    missing: dict[str, str] = {}
    for column, name in wanted.items():
        same = [place for place, other in enumerate(names) if other == name]
        alike = same or [place for place, other in enumerate(names) if other.lower() == name.lower()]
        if len(alike) > 1:
            raise reader.refusal(f"Two columns are called {name}, but for capital letters.", "each name once")
        if alike:
            found[column] = alike[0]
        else:
            missing[column] = name
    if not found:
        # What stands in the first line may then be a record, so it is not shown.
        raise reader.refusal(
            "The first line names none of the table's columns.",
            f"a header with {', '.join(list(wanted.values())[:SHOWN_NAMES_MAX])}",
            line=1,
        )
    for column, name in missing.items():
        title = "the owner column" if column == SOURCE else f"the column {column}"
        more = ", …" if len(names) > SHOWN_NAMES_MAX else ""
        has = ", ".join(names[:SHOWN_NAMES_MAX]) + more
        raise reader.refusal(f"There is no {name} for {title}; the header has {has}.", f"a column {name}", line=1)
    return found


class _Reader:
    """Reads one source, and refuses it by name."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.rows = 0

    def refusal(self, message: str, accepted: str, line: int | None = None) -> CatalogRefused:
        """A refusal of the source."""
        return CatalogRefused(message, file=self.file, line=line, accepted=accepted, load=True)

    def names(self, source: Path | pa.Table) -> list[str]:
        """The names of the source's columns; not one of them twice."""
        names = self._file_names(source) if isinstance(source, Path) else [str(name) for name in source.column_names]
        filled = [name for name in names if name]
        if not filled:
            raise self.refusal("There is no header.", "a first line with the names of the columns", line=1)
        if len(set(filled)) < len(filled):
            raise self.refusal("A column name stands twice in the header.", "each name once", line=1)
        return names

    def read(self, source: Path | pa.Table, names: Sequence[str], places: Sequence[int]) -> dict[int, Any]:
        """The columns at some places."""
        try:
            if not isinstance(source, Path):
                found = [source.column(place) for place in places]
                self.rows = source.num_rows
            elif _is_parquet(source):
                whole = pyarrow.parquet.ParquetFile(source).read(columns=[names[place] for place in places])
                found = [whole.column(names[place]) for place in places]
                self.rows = whole.num_rows
            else:
                found = self._csv(source, len(names), places)
                self.rows = len(found[0])
        except (pa.ArrowException, OSError):
            raise self.refusal("The file cannot be read.", "a CSV or Parquet file") from None
        return dict(zip(places, found, strict=True))

    def _file_names(self, path: Path) -> list[str]:
        try:
            if _is_parquet(path):
                return [str(name) for name in pyarrow.parquet.read_schema(path).names]
            self._scan(path)
            return [name.strip() for name in next(self._lines(path), [])]
        except (pa.ArrowException, OSError):
            raise self.refusal("The file cannot be read.", "a CSV or Parquet file that is there") from None

    def _scan(self, path: Path) -> None:
        """Refuse what is not plain UTF-8 text, by the number of the line."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        line = 1
        with path.open("rb") as file:
            for chunk in itertools.chain(iter(lambda: file.read(_CHUNK_BYTES), b""), [b""]):
                if b"\0" in chunk:
                    line += chunk[: chunk.index(b"\0")].count(b"\n")
                    raise self.refusal("The file has a NUL byte.", "a text file in UTF-8", line=line)
                try:
                    decoder.decode(chunk, final=not chunk)
                except UnicodeDecodeError as error:
                    line += bytes(error.object[: error.start]).count(b"\n")
                    raise self.refusal("The file is not in UTF-8.", "a text file in UTF-8", line=line) from None
                line += chunk.count(b"\n")

    def _lines(self, path: Path) -> Iterator[list[str]]:
        """Every line of cells, strictly: a wrong quote refuses the file."""
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            read = 0
            try:
                for cells in lines:
                    yield cells
                    read += bool(cells)
            except csv.Error as error:
                if "field limit" in str(error):  # the error has nothing but its text
                    raise self._too_long(read) from None
                raise self.refusal(
                    "The quotes of a line do not match.", 'quotes around a whole cell, "" inside', lines.line_num
                ) from None

    def _too_long(self, row: int) -> CatalogRefused:
        """The refusal of a row under the header, or of the header."""
        where, limit = f"Row {row:,} under the header" if row else "The header", csv.field_size_limit()
        return self.refusal(
            f"{where} has a cell of more than {limit:,} characters.",
            "shorter cells; a quote that is never closed makes one cell of all that follows",
            None if row else 1,
        )

    def _csv(self, path: Path, width: int, places: Sequence[int]) -> list[Any]:
        """The columns of a CSV file: by Arrow where no reading of the quotes is in doubt, else line by line."""
        if _well_quoted(path):
            try:
                return _arrow_csv(path, width, places)
            except pa.ArrowInvalid:
                pass  # the strict reader finds the line
        return self._strict_csv(path, width, places)

    def _strict_csv(self, path: Path, width: int, places: Sequence[int]) -> list[Any]:
        parts: list[list[Any]] = [[] for _ in places]
        lines = self._lines(path)
        next(lines)
        numbered = enumerate((cells for cells in lines if cells), 1)
        while batch := list(itertools.islice(numbered, _BATCH_ROWS)):
            for number, cells in batch:
                if len(cells) != width:
                    raise self.refusal(
                        f"Row {number:,} under the header has {len(cells)} cells.", f"{width} cells, as the header"
                    )
            for part, place in zip(parts, places, strict=True):
                part.append(pa.array([cells[place] for _, cells in batch], pa.string()))
        return [pa.chunked_array(part, pa.string()) for part in parts]


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET


def _arrow_csv(path: Path, width: int, places: Sequence[int]) -> list[Any]:
    names = [f"c{place}" for place in range(width)]
    wanted = [names[place] for place in places]
    found = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows_after_names=1),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), include_columns=wanted, strings_can_be_null=False
        ),
    )
    return [found.column(name) for name in wanted]


def _well_quoted(path: Path) -> bool:
    """Whether every quote opens a whole cell, closes one, or is doubled inside one; Arrow reads others leniently."""
    before, odd = ord("\n"), False
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        chunk = file.read(_CHUNK_BYTES)
        while chunk:
            following = file.read(_CHUNK_BYTES)
            text = np.frombuffer(bytes([before]) + chunk + (following[:1] or b"\n"), np.uint8)
            quotes = np.flatnonzero(text[1:-1] == ord('"')) + 1
            opening, closing = quotes[int(odd) :: 2], quotes[int(not odd) :: 2]
            fine = np.isin(text[opening - 1], _BESIDE).all() and np.isin(text[closing + 1], _BESIDE).all()
            if not fine:
                return False
            before, odd, chunk = chunk[-1], odd ^ bool(len(quotes) % 2), following
    return not odd


_BESIDE = np.frombuffer(b',\r\n"', np.uint8)


# -- from text to values


@dataclass(frozen=True, slots=True)
class Cells:
    """One column, cleaned.

    Attributes:
        values: stored values; where a cell is not accepted, the column's default, or NULL.
        statuses: for each cell ACCEPTED, BLANK or WRONG.
    """

    values: Any
    statuses: Any


def clean(connection: duckdb.DuckDBPyConnection, column: Column, cells: Any) -> Cells:
    """Clean a column: trim, type, hold against list and bounds, fill in the default. Ranges come later.

    Args:
        connection: a database in which `MACROS` have been run.
        column: what is accepted.
        cells: a chunked Arrow array of any plain type.

    Raises:
        pyarrow.ArrowException: the array is of no plain type, or holds broken text.
    """
    accepted, lists = _accepted(column)
    instead = "NULL" if column.default is None else literal(column.default, column.type)
    blank = f"NULLIF(homeroom_text(cell), '{'' if column.type == tree.TEXT else 'NA'}')"
    statement = (
        f"SELECT CAST(CASE WHEN status = {ACCEPTED} THEN value ELSE {instead} END AS {storage_type(column.type)}) "
        "AS value, status FROM (SELECT position, value, CAST(CASE "
        f"WHEN text IS NULL THEN {BLANK} WHEN {accepted} THEN {ACCEPTED} ELSE {WRONG} END AS UTINYINT) AS status "
        f"FROM (SELECT position, text, {_value_of('text', column.type)} AS value "
        f"FROM (SELECT position, {blank} AS text FROM homeroom_cells))) ORDER BY position"
    )
    return Cells(*_by_distinct_text(connection, cells, statement, {"homeroom_list": lists}))


def clean_ids(connection: duckdb.DuckDBPyConnection, cells: Any) -> Any:
    """Source ids without space around them; NULL where blank, or with a NUL in it."""
    statement = "SELECT homeroom_clean(homeroom_text(cell)) AS id FROM homeroom_cells ORDER BY position"
    return _by_distinct_text(connection, cells, statement, {})[0]


def _by_distinct_text(
    connection: duckdb.DuckDBPyConnection, cells: Any, statement: str, relations: dict[str, pa.Table]
) -> list[Any]:
    """What a statement makes of each cell, run once for each distinct one; the last one is NULL."""
    encoded = _plain(cells).dictionary_encode().unify_dictionaries()
    texts = (encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())).cast(pa.string())
    texts.validate(full=True)
    relations |= {
        "homeroom_cells": pa.table(
            {
                "position": pa.array(range(len(texts) + 1), pa.int64()),
                "cell": pa.chunked_array([texts, pa.nulls(1, pa.string())]),
            }
        )
    }
    for name, relation in relations.items():
        connection.register(name, relation)
    made = connection.sql(statement).to_arrow_table().combine_chunks()
    for name in relations:
        connection.unregister(name)
    places = pa.chunked_array([chunk.indices.fill_null(len(texts)) for chunk in encoded.chunks], pa.int32())
    return [column.take(places) for column in made.columns]


def _plain(cells: Any) -> Any:
    if pa.types.is_dictionary(cells.type):
        return cells.cast(cells.type.value_type)
    return cells.cast(pa.string()) if pa.types.is_null(cells.type) else cells


def literal(value: Any, of: tree.Type) -> str:
    """A catalog value as SQL, in stored units."""
    if of.kind == "exact":
        value = Fraction(str(value))
    elif of == tree.DOUBLE:
        value = float(value) or 0.0
    return sql(tree.Constant(value, of))


def _accepted(column: Column) -> tuple[str, pa.Table]:
    """SQL: whether a typed value is on the column's list and within its bounds; and the list, as a relation."""
    of, values, terms = column.type, pa.table({"value": []}), ["value IS NOT NULL"]
    if column.values is not None and of != tree.BOOLEAN:
        values = pa.table({"value": list(column.values)})
        terms.append("value IN (SELECT value FROM homeroom_list)")
    if column.low is not None:
        terms.append(f"value >= {literal(column.low, of)}")
    if column.high is not None:
        terms.append(f"value <= {literal(column.high, of)}")
    return f"COALESCE({' AND '.join(terms)}, FALSE)", values


def _value_of(text: str, of: tree.Type) -> str:
    """SQL: the stored value a text stands for; NULL where it stands for none. Total, and never rounded."""
    if of.kind == "exact":
        return f"homeroom_exact({text}, {of.scale})"
    return f"{_MACRO_OF[of.kind]}({text})"


_MACRO_OF = {"text": "homeroom_clean", "boolean": "homeroom_boolean", "double": "homeroom_double"}
_SPACE = "chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(32) || chr(160)"
_WHOLE = "[+-]?[0-9]{1,18}"
_NUMBER = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,4})?"
_PARTS = "^([+-]?)([0-9]*)[.]?([0-9]*)(?:[eE]([+-]?[0-9]{1,4}))?$"
_TRUE, _FALSE = "'true', 't', 'yes', 'y', '1'", "'false', 'f', 'no', 'n', '0'"
_LONGEST = len(str(MAGNITUDE_MAX))

# Every CAST is a TRY_CAST: the database may evaluate a branch of CASE on rows of another branch.
MACROS = f"""
CREATE TEMP MACRO homeroom_text(x) AS NULLIF(trim(x, {_SPACE}), '');
CREATE TEMP MACRO homeroom_clean(x) AS CASE WHEN NOT contains(x, chr(0)) THEN x END;
CREATE TEMP MACRO homeroom_boolean(x) AS
    CASE WHEN lower(x) IN ({_TRUE}) THEN TRUE WHEN lower(x) IN ({_FALSE}) THEN FALSE END;
CREATE TEMP MACRO homeroom_finite(d) AS CASE WHEN d = 0 THEN 0::DOUBLE WHEN isfinite(d) THEN d END;
CREATE TEMP MACRO homeroom_double(x) AS
    CASE WHEN regexp_full_match(x, '{_NUMBER}') THEN homeroom_finite(TRY_CAST(x AS DOUBLE)) END;
CREATE TEMP MACRO homeroom_fitting(w) AS
    CASE WHEN w > -{MAGNITUDE_MAX} AND w < {MAGNITUDE_MAX} THEN TRY_CAST(w AS BIGINT) END;
CREATE TEMP MACRO homeroom_shifted(digits, shift) AS CASE
    WHEN digits = '' THEN '0'
    WHEN length(digits) + shift NOT BETWEEN 1 AND {_LONGEST} THEN NULL
    WHEN shift >= 0 THEN digits || repeat('0', shift)
    WHEN rtrim(right(digits, -shift), '0') = '' THEN left(digits, length(digits) + shift) END;
CREATE TEMP MACRO homeroom_units(x, scale) AS list_transform(list_transform(
    [regexp_extract(x, '{_PARTS}', ['sign', 'whole', 'places', 'power'])],
    lambda p: {{'sign': p.sign, 'digits': ltrim(p.whole || p.places, '0'),
        'shift': scale - length(p.places) + COALESCE(TRY_CAST(NULLIF(p.power, '') AS INTEGER), 0)}}),
    lambda p: homeroom_fitting(TRY_CAST(p.sign || homeroom_shifted(p.digits, p.shift) AS HUGEINT)))[1];
CREATE TEMP MACRO homeroom_exact(x, scale) AS CASE
    WHEN scale = 0 AND regexp_full_match(x, '{_WHOLE}') THEN TRY_CAST(x AS BIGINT)
    WHEN regexp_full_match(x, '{_NUMBER}') THEN homeroom_units(x, scale) END;
"""
"""What `clean` calls, to be created once in a database; each sees one text and is total."""
