"""From the cells of a source column to the texts a mapping makes of them; each one by itself.

Codes and dates are worked out once for each distinct text of a batch.
"""
# ruff: noqa: S608 - statements are made of our own names; texts and formats never stand in them

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from engine.intake.cleaning import plain_text
from engine.intake.mapping.document import folded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import duckdb

    from engine.intake.mapping.document import Cell

NOT_A_CODE = "not among the codes"
NOT_A_DATE = "not a date of this format"
_GIVEN = "raw_mapping_dates"
_YEAR_MAX = 9999
_SCHOOL_YEAR_MONTH = 7


@dataclass(frozen=True, slots=True)
class Texts:
    """Cells as a mapping has them.

    Attributes:
        values: the texts; NULL where blank.
        strange: how many cells became blank for `why`.
        why: what was wrong with them.
    """

    values: Any
    strange: int = 0
    why: str = ""


def texts_of(connection: duckdb.DuckDBPyConnection, cell: Cell, values: Any) -> Texts:
    """What a mapping makes of the cells of one batch.

    Args:
        connection: a database in which the macros of `engine.intake.cleaning` have been run.
        cell: what is to be made of them.
        values: an Arrow array of any plain type.

    Raises:
        pyarrow.ArrowException: the array is of no plain type, or holds broken text.
    """
    texts = plain_text(values)
    if cell.dates:
        return _by_distinct(texts, lambda distinct: _dates(connection, cell, distinct), NOT_A_DATE)
    codes = cell.codes
    if codes is None:
        return Texts(texts)
    return _by_distinct(texts, lambda distinct: _coded(codes, cell.otherwise, distinct), NOT_A_CODE)


def among(values: Any, accepted: frozenset[str]) -> Any:
    """Whether each cell is one of some texts, as `folded`; an Arrow array of flags.

    Raises:
        pyarrow.ArrowException: as `texts_of`.
    """
    encoded = plain_text(values).dictionary_encode()
    flags = [folded(text) in accepted for text in encoded.dictionary.to_pylist()]
    return pa.array([*flags, "" in accepted], pa.bool_()).take(encoded.indices.fill_null(len(flags)))


Made = tuple[list[str | None], list[bool]]


def _by_distinct(values: Any, make: Callable[[Sequence[str]], Made], why: str) -> Texts:
    """What is made of each cell, worked out once for each distinct text; a NULL is made as a blank text is."""
    encoded = values.dictionary_encode()
    texts = [*encoded.dictionary.to_pylist(), ""]
    made, strange = make(texts)
    places = encoded.indices.fill_null(len(texts) - 1)
    flags = pa.array(strange, pa.bool_()).take(places)
    return Texts(pa.array(made, pa.string()).take(places), int(flags.true_count), why)


def _coded(codes: Mapping[str, str], otherwise: str | None, texts: Sequence[str]) -> Made:
    keys = [folded(text) for text in texts]
    made = [codes.get(key, otherwise if key else None) or None for key in keys]
    return made, [bool(key) and key not in codes and otherwise is None for key in keys]


def _dates(connection: duckdb.DuckDBPyConnection, cell: Cell, texts: Sequence[str]) -> Made:
    """A part of each text's date: TRY_STRPTIME sees one text, and is NULL where it fails."""
    given = pa.table({"position": pa.array(range(len(texts)), pa.int64()), "cell": pa.array(texts, pa.string())})
    tried = ", ".join("try_strptime(text, ?)" for _ in cell.dates)
    connection.register(_GIVEN, given)
    try:
        rows = connection.execute(
            f"SELECT CASE WHEN year(day) BETWEEN 1 AND {_YEAR_MAX} THEN {_PARTS[cell.part]} END, text IS NOT NULL "
            f"FROM (SELECT position, text, COALESCE({tried}, NULL) AS day "
            f"FROM (SELECT position, homeroom_text(cell) AS text FROM {_GIVEN})) ORDER BY position",
            list(cell.dates),
        ).fetchall()
    finally:
        connection.unregister(_GIVEN)
    return [part for part, _ in rows], [filled and part is None for part, filled in rows]


_PARTS = {
    "year": "CAST(year(day) AS VARCHAR)",
    "month": "CAST(month(day) AS VARCHAR)",
    "school_year": f"CAST(year(day) + CASE WHEN month(day) >= {_SCHOOL_YEAR_MONTH} THEN 1 ELSE 0 END AS VARCHAR)",
    "iso": "CAST(CAST(day AS DATE) AS VARCHAR)",
}
