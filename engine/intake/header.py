"""The header of a source: where the catalogued columns stand in it, and what is left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.catalog_file import owner_source
from engine.intake.rows import refusal
from engine.vault import stored_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.catalog import Catalog, Column, Table
    from engine.intake.rows import Rows

SOURCE = "homeroom_source"
"""The owner's source id, and the number of a public row, in a table read from a source."""

SHOWN_NAMES_MAX = 30


@dataclass(frozen=True, slots=True)
class Header:
    """Where a table's columns stand in its source.

    Attributes:
        places: catalog name → place in the source; the owner's is under `homeroom_source`.
        left_behind: names of the columns that are not read.
    """

    places: Mapping[str, int]
    left_behind: tuple[str, ...]


def source_columns(catalog: Catalog, table: Table) -> tuple[Column, ...]:
    """The columns a source must have, the owner aside: no constants, and the cohort in the cohort table alone."""
    given = table.public or table.name == catalog.cohort_table
    columns = (column for column in stored_columns(table) if column.constant is None)
    return tuple(column for column in columns if given or column.name != catalog.cohort)


def header_of(rows: Rows, catalog: Catalog, table: Table) -> Header:
    """Where the catalogued columns of one table stand.

    Args:
        rows: the source.
        catalog: tells the name of the owner column.
        table: what is read; its constants need no column.

    Raises:
        CatalogRefused: a column is missing, or two could be meant; no value of a record is told.
    """
    wanted = {c.name: c.source or c.name for c in source_columns(catalog, table)}
    if not table.public:
        wanted = {SOURCE: owner_source(catalog), **wanted}
    places = places_of(rows, wanted)
    for name, place in places.items():
        if name != SOURCE and place == places.get(SOURCE):
            message = f"The column {name} would be the students' ids."
            raise refusal(rows.file, message, "another column; an id is never loaded as a value")
    left = tuple(name for place, name in enumerate(rows.names) if place not in places.values())
    return Header(places, left)


def places_called(rows: Rows, name: str) -> list[int]:
    """The places of the columns called so, exactly or else in other letters."""
    same = [place for place, other in enumerate(rows.names) if other == name]
    return same or [place for place, other in enumerate(rows.names) if other.lower() == name.lower()]


def places_of(rows: Rows, wanted: Mapping[str, str]) -> dict[str, int]:
    """Where each wanted column stands: under its exact name, else under its name in other letters.

    Args:
        rows: the source.
        wanted: what each column is called in refusals → its name in the source.

    Raises:
        CatalogRefused: a column is missing, or two could be meant.
    """
    found: dict[str, int] = {}
    missing: dict[str, str] = {}
    for column, name in wanted.items():
        alike = places_called(rows, name)
        if len(alike) > 1:
            raise refusal(rows.file, f"Two columns are called {name}, but for capital letters.", "each name once")
        if alike:
            found[column] = alike[0]
        else:
            missing[column] = name
    if not found:
        # What stands in the first line may then be a record, so it is not shown.
        raise refusal(
            rows.file,
            f"The first line names none of the table's columns.{_separated(rows.names)}",
            f"a header with {', '.join(list(wanted.values())[:SHOWN_NAMES_MAX])}",
            line=1,
        )
    for column, name in missing.items():
        title = "the owner column" if column == SOURCE else f"the column {column}"
        told = f"; the header has {_shown(rows.names)}" if 2 * len(found) >= len(wanted) else ""
        message = f"There is no {name} for {title}{told}."
        raise refusal(rows.file, message, f"a column {name}", line=1)
    return found


def _separated(names: Sequence[str]) -> str:
    """What is likely to be the matter with a header that is one name."""
    other = next(
        (word for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")) if mark in names[0]), None
    )
    if len(names) > 1 or other is None:
        return ""
    return f" It has {other} and no commas: save the file with commas between the cells."


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN_NAMES_MAX]) + (", …" if len(names) > SHOWN_NAMES_MAX else "")
