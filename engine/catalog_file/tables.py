"""Tables: keys, caps, checks and the cohort column as they are declared."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from engine import tree
from engine.catalog import Cap, Column, Table
from engine.catalog_file.columns import read_column, require_name
from engine.catalog_file.document import ColumnSpec, TableSpec
from engine.catalog_file.never import never_taken, taken_as_sensitive
from engine.parse import parse_check
from engine.refusals import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.catalog_file.document import PrivacySpec
    from engine.catalog_file.reader import Reader


def read_table(reader: Reader, name: str, spec: TableSpec, privacy: PrivacySpec, cohorts: tuple[int, ...]) -> Table:
    """A table as it is declared, a private one with the cohort column."""
    path = ("tables", name)
    require_name(reader, path, name)
    columns: dict[str, Column] = {}
    for column_name, column_spec in spec.columns.items():
        column_path = (*path, "columns", column_name)
        require_name(reader, column_path, column_name)
        if column_name == privacy.owner:
            raise reader.refusal(column_path, "the owner column is implied and never declared.", "leave it out")
        columns[column_name] = read_column(reader, column_path, column_name, column_spec)
    if spec.public:
        return _public(reader, path, spec, columns)
    if privacy.cohort in columns:
        _cohort(reader, (*path, "columns", privacy.cohort), spec.columns[privacy.cohort], cohorts)
    cohort = columns.pop(privacy.cohort, Column(privacy.cohort, tree.INTEGER))
    columns[privacy.cohort] = dataclasses.replace(
        cohort, values=cohorts, low=min(cohorts), high=max(cohorts), ranges=None
    )
    return _private(reader, path, spec, columns, privacy)


def _public(reader: Reader, path: tuple[str, str], spec: TableSpec, columns: dict[str, Column]) -> Table:
    untouched = TableSpec(columns=spec.columns, public=True, unique=spec.unique)
    for key in TableSpec.model_fields:
        if getattr(spec, key) != getattr(untouched, key):
            raise reader.refusal((*path, key), "a public table takes no such setting.", "public, unique, columns")
    unique = _unique(reader, path, spec, set(columns))
    for part in (part for key in unique for part in key):
        _carries(reader, (*path, "unique"), columns, part, "a key")
    return Table(path[1], columns, public=True, unique=unique)


def _cohort(reader: Reader, path: Sequence[str | int], spec: ColumnSpec, cohorts: tuple[int, ...]) -> None:
    """The declaration of the cohort column: its list stands in privacy.cohorts, and every student has one."""
    plain = ColumnSpec(type="integer", unit=spec.unit, source=spec.source, constant=spec.constant)
    if spec != plain:
        raise reader.refusal(
            path, "the cohort is a whole number, on, never NULL, on its own list.", "{type: integer}"
        )
    if spec.constant is not None and spec.constant not in cohorts:
        raise reader.refusal((*path, "constant"), "this is not on the list of cohorts.", "one of privacy.cohorts")


def _carries(reader: Reader, path: Sequence[str | int], columns: Mapping[str, Column], part: str, what: str) -> None:
    """A column that rows are told apart by must be there in every row."""
    if part not in columns or columns[part].nullable or not columns[part].on:
        raise reader.refusal(path, f"{part} cannot carry {what}.", "columns that are on and not nullable")


def _private(
    reader: Reader, path: tuple[str, str], spec: TableSpec, columns: dict[str, Column], privacy: PrivacySpec
) -> Table:
    _minimal(reader, path, spec, columns)
    known = {*columns, privacy.owner}
    unique = _unique(reader, path, spec, known)
    for key in unique:
        if privacy.owner not in key:
            raise reader.refusal((*path, "unique"), "a key must include the owner column.", f"[{privacy.owner}, …]")
        for part in key:
            if part != privacy.owner:
                _carries(reader, (*path, "unique"), columns, part, "a key")
    for position, cap in enumerate(spec.caps):
        for part in cap.per:
            _carries(reader, (*path, "caps", position), columns, part, "a cap")
        if any(set(cap.per) == set(other.per) for other in spec.caps[:position]) or len(set(cap.per)) < len(cap.per):
            raise reader.refusal((*path, "caps", position), "columns stand there twice.", "one cap per columns")
    alone = (privacy.owner,) in unique
    if spec.rows_per_student_max is None and not alone:
        raise reader.refusal(path, "how many rows may a student have?", "rows_per_student_max: a whole number")
    on = [name for name, column in columns.items() if column.on]
    if spec.keep is not None and spec.keep.highest not in on:
        raise reader.refusal((*path, "keep"), f"there is no column {spec.keep.highest} that is on.", ", ".join(on))
    scope = {name: tree.Column(name, column.type) for name, column in columns.items() if column.on}
    return Table(
        name=path[1],
        columns=columns,
        public=False,
        unique=unique,
        rows_per_student_max=1 if alone else spec.rows_per_student_max,
        caps=tuple(Cap(cap.rows, tuple(cap.per)) for cap in spec.caps),
        checks=tuple(_check(reader, (*path, "checks", i), text, scope) for i, text in enumerate(spec.checks)),
        check_texts=tuple(spec.checks),
        keep_highest=None if spec.keep is None else spec.keep.highest,
        on=not spec.sensitive if spec.on is None else spec.on,
    )


def _minimal(reader: Reader, path: tuple[str, str], spec: TableSpec, columns: Mapping[str, Column]) -> None:
    """No column that is on is called as what is never loaded, or as what is sensitive without being declared so."""
    for name, column in columns.items():
        place, said = (*path, "columns", name), (name, column.source or name)
        if not column.on or name not in spec.columns:  # the cohort comes with every table
            continue
        if any(map(never_taken, said)):
            message = "what identifies a student, or is refused for ever, is never loaded."
            raise reader.refusal(place, message, "the catalog without this column")
        if not (spec.sensitive or spec.columns[name].sensitive) and any(map(taken_as_sensitive, (path[1], *said))):
            raise reader.refusal(place, "this is sensitive.", "sensitive: true, and on: true where it is approved")


def _unique(
    reader: Reader, path: Sequence[str | int], spec: TableSpec, known: set[str]
) -> tuple[tuple[str, ...], ...]:
    keys = spec.unique if spec.unique and isinstance(spec.unique[0], list) else [spec.unique] if spec.unique else []
    for key in keys:
        if (
            not isinstance(key, list)
            or not key
            or not all(isinstance(part, str) and part in known for part in key)
            or len(set(key)) < len(key)
        ):
            raise reader.refusal(
                (*path, "unique"), "this is not a key.", f"a list of columns among {', '.join(sorted(known))}"
            )
    return tuple(tuple(key) for key in keys)


def _check(reader: Reader, path: Sequence[str | int], text: str, scope: Mapping[str, tree.Column]) -> tree.Expr:
    try:
        return parse_check(text, scope)
    except QueryRefused as refusal:
        raise reader.refusal(path, refusal.message, refusal.accepted or "a condition such as year >= 2020") from None
