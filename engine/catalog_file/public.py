"""Public tables: the value lists and ranges that private columns take from them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from engine import tree
from engine.catalog import RangeTable
from engine.catalog_file.columns import LIST_VALUES_MAX
from engine.catalog_file.document import digest_of, document_of, every_column, is_on, is_reference
from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.catalog import Catalog, Column, Table
    from engine.catalog_file.document import ColumnSpec, Document
    from engine.catalog_file.reader import Reader


def check_references(reader: Reader, document: Document) -> None:
    """Each value list or bounds taken from a public table must name one, with a fitting key."""
    for table, name, spec in every_column(document):
        path = ("tables", table, "columns", name)
        if is_reference(spec.values, {"table", "column"}):
            target = document.tables.get(spec.values["table"])
            if target is None or not target.public or not is_on(target.columns.get(spec.values["column"])):
                raise reader.refusal(
                    (*path, "values"), "there is no such public table and column.", "{table, column}"
                )
            if target.columns[spec.values["column"]].type != spec.type:
                raise reader.refusal((*path, "values"), "the two columns differ in type.", "columns of one type")
        if is_reference(spec.bounds, {"table", "low", "high"}):
            _range_reference(reader, document, (*path, "bounds"), table, spec)


def _range_reference(
    reader: Reader, document: Document, path: Sequence[str | int], table: str, spec: ColumnSpec
) -> None:
    """Bounds by a table need one that is public, of the column's own type, unique on columns both tables have."""
    target, own = document.tables.get(spec.bounds["table"]), document.tables[table].columns
    ends = [] if target is None else [target.columns.get(spec.bounds[end]) for end in ("low", "high")]
    if target is None or not target.public or not all(map(is_on, ends)):
        raise reader.refusal(path, "there is no such public table.", "{table, low, high}")
    if spec.type in ("text", "boolean") or any(end is not None and end.type != spec.type for end in ends):
        raise reader.refusal(path, "the column and its bounds differ in type.", "numbers, or dates, of one type")
    keys = [key for key in target.unique if isinstance(key, str)]
    if not keys or not all(is_on(own.get(key)) for key in keys):
        raise reader.refusal(
            path, f"{spec.bounds['table']} must be unique on columns that {table} has too.", "unique: [column, …]"
        )
    if document.privacy.cohort in keys and not document.tables[table].public:
        # The register may give a student another class than the source, after the bounds have been held against it.
        raise reader.refusal(
            path, f"{document.privacy.cohort} cannot be a key of bounds.", "a key without the cohort"
        )
    for key in keys:
        if own[key].type != target.columns[key].type or isinstance(own[key].bounds, dict):
            raise reader.refusal(path, f"{key} differs in type, or has such bounds itself.", "columns of one type")


def resolve(catalog: Catalog, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Catalog:
    """The catalog with the value lists and ranges that its public tables give.

    Args:
        catalog: as read from its file.
        rows: the rows of each public table, by column name; typed and verified by the loader.

    Raises:
        CatalogRefused: a public table is missing, or gives no list.
    """
    document = document_of(catalog.document)
    tables = dict(catalog.tables)
    for table, name, spec in every_column(document):
        column = tables[table].columns.get(name)
        if column is None or table not in tables:
            continue
        if is_reference(spec.values, {"table", "column"}):
            listed = _public_values(catalog, spec.values["table"], spec.values["column"], rows)
            _still_listed(catalog, table, column, listed)
            ended = column.type in (tree.INTEGER, tree.DATE)
            low, high = (min(listed), max(listed)) if ended else (None, None)
            column = dataclasses.replace(column, values=listed, low=low, high=high)
        if is_reference(spec.bounds, {"table", "low", "high"}):
            column = dataclasses.replace(column, ranges=_ranges(catalog, spec.bounds, rows))
        tables[table] = dataclasses.replace(tables[table], columns={**tables[table].columns, name: column})
    for public in catalog.public_tables:
        tables[public.name] = _with_rows(tables[public.name], rows.get(public.name, ()))
    return dataclasses.replace(catalog, tables=tables, digest=digest_of(catalog.document, rows))


def _with_rows(table: Table, rows: Sequence[Mapping[str, Any]]) -> Table:
    """A public table with its rows; each column has the values that are in them, in declared or natural order."""
    on = {name for name, column in table.columns.items() if column.on}
    columns = dict(table.columns)
    for name in on:
        column, found = columns[name], {row[name] for row in rows}
        values = sorted(found - {None})
        if column.type.kind in ("text", "boolean", "date") or column.type == tree.INTEGER:
            listed = tuple(value for value in column.values or values if value in found)
            columns[name] = dataclasses.replace(column, values=listed, nullable=None in found)
        low, high = (min(values), max(values)) if column.type.has_ends and values else (column.low, column.high)
        columns[name] = dataclasses.replace(columns[name], low=low, high=high, ranges=None, nullable=None in found)
    kept = tuple({name: row[name] for name in on} for row in rows)
    return dataclasses.replace(table, columns=columns, rows=kept)


def _still_listed(catalog: Catalog, table: str, column: Column, listed: tuple[Any, ...]) -> None:
    for value in (column.default, column.constant):
        if value is not None and value not in listed:
            raise CatalogRefused(
                f"tables.{table}.columns.{column.name}: {tree.told(value, column.type)!r} is not a value of its "
                "public table.",
                file=catalog.district_id,
                accepted="a default or constant that the public table has",
            )


def _public_values(
    catalog: Catalog, table: str, column: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[Any, ...]:
    values = tuple(sorted({row[column] for row in rows.get(table, ()) if row[column] is not None}))
    if not values or len(values) > LIST_VALUES_MAX:
        raise CatalogRefused(
            f"The public table {table} gives {len(values)} values for {column}.",
            file=catalog.district_id,
            accepted=f"1 to {LIST_VALUES_MAX:,} values: --table {table}=FILE",
        )
    return values


def _ranges(
    catalog: Catalog, bounds: Mapping[str, str], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> RangeTable:
    table, low, high = bounds["table"], bounds["low"], bounds["high"]
    keys = catalog.tables[table].unique[0]
    found = []
    for row in rows.get(table, ()):
        key = tuple(row[column] for column in keys)
        if None in key or row[low] is None or row[high] is None or row[low] > row[high]:
            raise CatalogRefused(
                f"A row of the public table {table} gives no range.",
                file=catalog.district_id,
                accepted="low <= high",
            )
        found.append((key, row[low], row[high]))
    if not found:
        raise CatalogRefused(
            f"The public table {table} has no rows.",
            file=catalog.district_id,
            accepted=f"--table {table}=FILE",
        )
    return RangeTable(table, keys, low, high, tuple(sorted(found)))
