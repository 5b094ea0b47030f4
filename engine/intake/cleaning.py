"""From text to values: what the text of a cell means for a declared column.

No type is guessed from records; every cell is text until it is cleaned, by expressions that are total and see one
cell.
"""

# ruff: noqa: S608 - statements are made of the expressions below and of `engine.sql`; texts never stand in them

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import tree
from engine.expressions import MAGNITUDE_MAX
from engine.refusals import CatalogRefused
from engine.sql import sql
from engine.vault import storage_type

if TYPE_CHECKING:
    import duckdb

    from engine.catalog import Column

ACCEPTED, BLANK, WRONG = 0, 1, 2
OWNER_BYTES = 16
WHOLE_MAX = 2.0**53
_BLOCK_BYTES = 64


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
        f"FROM (SELECT position, text, {_as_listed(_value_of('text', column.type), column)} AS value "
        f"FROM (SELECT position, {blank} AS text FROM homeroom_cells))) ORDER BY position"
    )
    return Cells(*_by_distinct_text(connection, cells, statement, {"homeroom_list": lists}))


def clean_ids(connection: duckdb.DuckDBPyConnection, cells: Any) -> Any:
    """Source ids without space around them; NULL where there is none, or one with a NUL in it."""
    statement = "SELECT homeroom_id(cell) AS id FROM homeroom_cells ORDER BY position"
    return _by_distinct_text(connection, cells, statement, {})[0]


def hashed(connection: duckdb.DuckDBPyConnection, cells: Any, key: bytes) -> Any:
    """The owner of each source id: half of its HMAC-SHA-256 under a key (RFC 2104), as the text of a UUID.

    Space around an id does not count; NULL where there is none, or one with a NUL in it.

    Args:
        connection: a database in which `MACROS` have been run.
        cells: a chunked Arrow array of any plain type.
        key: at most one block of the hash.

    Raises:
        ValueError: the key is longer.
        pyarrow.ArrowException: the array is of no plain type, or holds broken text.
    """
    if len(key) > _BLOCK_BYTES:
        raise ValueError
    padded = key.ljust(_BLOCK_BYTES, b"\0")
    for name, mask in (("homeroom_inner", 0x36), ("homeroom_outer", 0x5C)):
        connection.execute(f"SET VARIABLE {name} = ?::BLOB", [bytes(byte ^ mask for byte in padded)])
    inner = "sha256(getvariable('homeroom_inner') || encode(id))"
    statement = (
        f"SELECT left(sha256(getvariable('homeroom_outer') || unhex({inner})), {2 * OWNER_BYTES}) AS owner FROM "
        "(SELECT position, homeroom_id(cell) AS id FROM homeroom_cells) ORDER BY position"
    )
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
                "position": pa.array(np.arange(len(texts) + 1)),
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
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_floating(cells.type):
        return pa.chunked_array([plain_text(chunk) for chunk in cells.chunks], pa.string())
    return cells.cast(pa.string()) if pa.types.is_null(cells.type) else cells


def plain_text(values: Any) -> Any:
    """Cells of any plain type as text: whole numbers without a decimal point or power of ten.

    >>> plain_text(pa.array([12.0, 1.5, 123456789012.0, None])).to_pylist()
    ['12', '1.5', '123456789012', None]

    Raises:
        pyarrow.ArrowException: they are of no plain type, or hold broken text.
    """
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_floating(values.type):
        encoded = values.dictionary_encode()
        return pa.array(map(number_text, encoded.dictionary.to_pylist()), pa.string()).take(encoded.indices)
    found = values.cast(pa.string())
    found.validate(full=True)
    return found


def number_text(value: float | None) -> str | None:
    """A number as text, whole ones without a decimal point or power of ten; None where it is no finite one.

    >>> number_text(12.0), number_text(0.5), number_text(float("nan")), number_text(-0.0)
    ('12', '0.5', None, '0')
    """
    if value is None or not np.isfinite(value):
        return None
    if abs(value) >= WHOLE_MAX:
        return f"{float(value):.16e}"  # rounded, and so written that it is never taken for an id
    return str(int(value)) if value == int(value) else repr(float(value))


def check_ids(file: str, cells: Any) -> None:
    """Refuse source ids that are rounded numbers, as whole ones become in some programs where one of them is blank.

    Raises:
        CatalogRefused: there is one.
    """
    of = cells.type
    if not pa.types.is_floating(of) or len(cells) == cells.null_count:
        return
    exact = 2.0 ** (53 if pa.types.is_float64(of) else 24 if pa.types.is_float32(of) else 11)
    finite = pc.filter(cells, pc.fill_null(pc.is_finite(cells), False))  # noqa: FBT003 - what a NULL counts as
    greatest = pc.max(pc.abs(finite)).as_py()
    if greatest is not None and greatest >= exact:
        message = "The students' ids are numbers that were rounded: several students would be one."
        raise CatalogRefused(
            message, file=file, accepted="ids as text, or as whole numbers without a blank", load=True
        )


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


def _as_listed(value: str, column: Column) -> str:
    """SQL: a text as the list writes it, where only leading zeros were lost, as 9 for 09 in a spreadsheet."""
    if column.type != tree.TEXT or column.values is None:
        return value
    listed = set(map(str, column.values))
    short = {one.lstrip("0"): one for one in sorted(listed) if one.isascii() and one.isdigit() and one[0] == "0"}
    whens = [
        f"WHEN {literal(given, tree.TEXT)} THEN {literal(one, tree.TEXT)}"
        for given, one in short.items()
        if given and given not in listed
    ]
    return f"CASE {value} {' '.join(whens)} ELSE {value} END" if whens else value


def _value_of(text: str, of: tree.Type) -> str:
    """SQL: the stored value a text stands for; NULL where it stands for none. Total, and never rounded."""
    if of.kind == "exact":
        return f"homeroom_exact({text}, {of.scale})"
    return f"{_MACRO_OF[of.kind]}({text})"


_MACRO_OF = {
    "text": "homeroom_clean",
    "boolean": "homeroom_boolean",
    "double": "homeroom_double",
    "date": "homeroom_date",
}
SPACE = "chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(32) || chr(160)"
_WHOLE = "[+-]?[0-9]{1,18}"
_NUMBER = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,4})?"
_PARTS = "^([+-]?)([0-9]*)[.]?([0-9]*)(?:[eE]([+-]?[0-9]{1,4}))?$"
_TRUE, _FALSE = "'true', 't', 'yes', 'y', '1'", "'false', 'f', 'no', 'n', '0'"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]00:00(:00([.]0+)?)?)?"
"""An ISO date, or the midnight it begins with, as cells of dates are written; a zone or another hour is neither."""

_NOBODY = (
    "'na', 'n/a', 'n.a.', 'nan', 'nat', 'nil', 'null', 'none', 'unknown', 'undefined', 'missing', 'tbd', '\\n', "
    "'<na>', '<null>', '(null)'"
)
_NO_ID = "[0[:punct:][:space:]]*|#.*[!?A]|[+-]?[0-9]+([.][0-9]*)?[eE][+]?[0-9]+"
"""Only zeros and signs, an error of a spreadsheet, or a number that a spreadsheet or a small float has rounded."""


def no_id(text: str) -> str:
    """SQL: whether a text is what programs write where there is no id, or no whole one.

    Whoever had such an id would be one person with all others who have it.
    """
    return f"(lower({text}) IN ({_NOBODY}) OR regexp_full_match({text}, '{_NO_ID}'))"


_LONGEST = len(str(MAGNITUDE_MAX))

# Every CAST is a TRY_CAST: the database may evaluate a branch of CASE on rows of another branch.
MACROS = f"""
CREATE TEMP MACRO homeroom_text(x) AS NULLIF(trim(x, {SPACE}), '');
CREATE TEMP MACRO homeroom_clean(x) AS CASE WHEN NOT contains(x, chr(0)) THEN x END;
CREATE TEMP MACRO homeroom_id(x) AS
    CASE WHEN NOT {no_id("homeroom_text(x)")} THEN homeroom_clean(homeroom_text(x)) END;
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
CREATE TEMP MACRO homeroom_date(x) AS
    CASE WHEN regexp_full_match(x, '{_DATE}') THEN TRY_CAST(left(x, 10) AS DATE) - DATE '1970-01-01' END;
"""
"""What `clean` calls, to be created once in a database; each sees one text and is total."""
