"""From what a bundle has to the columns a catalog asks for: what can be filled, and what is left blank.

A column that the bundle cannot fill is given blank where the catalog has a default for it or lets it be NULL; else
the load is refused before a row is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.catalog_file import owner_source
from engine.intake.header import source_columns
from engine.intake.oneroster.layout import (
    ATTENDANCE,
    CLASSES,
    DEMOGRAPHICS,
    FLAGS,
    LINE_ITEMS,
    OUTCOMES,
    RESULTS,
)
from engine.intake.oneroster.reading import QueryRows
from engine.intake.rows import refusal
from engine.sql import quoted
from engine.vault import stored_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from engine.catalog import Catalog, Table
    from engine.intake.oneroster.opening import Opened

BLANK = "NULL::VARCHAR"


def fillable(bundles: Sequence[Opened]) -> dict[str, frozenset[str]]:
    """The tables and columns that the files of some bundles can fill, by the files and headers alone."""
    demographics = any(one.has(DEMOGRAPHICS) for one in bundles)
    marks = any(one.has(RESULTS) and one.has(LINE_ITEMS) and one.has(CLASSES) for one in bundles)
    years = {"school_year", "school_id", "grade_level", "schools_attended"}
    years |= {flag for flag in FLAGS if any(one.has(ATTENDANCE, flag) for one in bundles)}
    if any(one.has(ATTENDANCE) for one in bundles):
        years |= {"days_enrolled", "days_absent"}
    found = {
        "school": {"school_id", "school_name", "school_level"},
        "student": {"cohort_year", "entry_year", *(("sex", "race_ethnicity") if demographics else ())},
        "student_year": years,
    }
    if marks:
        found["course_grade"] = {
            "school_year",
            "school_id",
            "subject_area",
            "course_level",
            "grade_points",
            "is_passed",
        }
    if any(one.has(OUTCOMES) for one in bundles):
        found["graduation"] = {*OUTCOMES.columns} - {"user", "school"} | {"school_id"}
    return {table: frozenset(columns) for table, columns in found.items()}


def headers(catalog: Catalog, filled: Mapping[str, frozenset[str]], file: str) -> dict[str, dict[str, str]]:
    """For each table of a catalog that can be filled: the name of a column in the source → SQL of its value.

    Raises:
        CatalogRefused: a column cannot be filled, and must not be blank.
    """
    wanted = [table for table in stored_tables(catalog) if table.name in filled]
    return {table.name: _header(catalog, table, filled[table.name], file) for table in wanted}


def _header(catalog: Catalog, table: Table, filled: frozenset[str], file: str) -> dict[str, str]:
    header = {} if table.public else {owner_source(catalog): "person"}
    for column in source_columns(catalog, table):
        if column.name not in filled and column.default is None and not column.nullable:
            raise refusal(
                file,
                f"The bundle has nothing for the column {column.name} of {table.name}.",
                "for that column `on: false`, a default, or `nullable: true` in the catalog; or no such column in it",
            )
        value = f"CAST({quoted(column.name)} AS VARCHAR)" if column.name in filled else BLANK
        header[column.source or column.name] = value
    return header


def made_rows(
    connection: duckdb.DuckDBPyConnection, wanted: Mapping[str, Mapping[str, str]], file: str
) -> dict[str, QueryRows]:
    """The rows of each table, once they are made."""
    return {
        name: QueryRows(connection.cursor(), f"raw_made_{name}", columns, f"{file}, table {name}")
        for name, columns in wanted.items()
    }
