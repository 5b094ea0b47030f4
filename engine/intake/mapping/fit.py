"""A mapping held against a catalog: each part with its table, each target with the column it fills."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import tree
from engine.catalog import Column
from engine.catalog_file import sensitive_on
from engine.catalog_file.never import taken_as_sensitive
from engine.intake.header import SHOWN_NAMES_MAX, source_columns
from engine.intake.mapping.document import Cell, Fixed, Formula
from engine.vault import stored_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.catalog import Catalog, Table
    from engine.intake.mapping.document import Part, Target
    from engine.intake.mapping.place import Place

_COUNTS = ("count", "distinct")


@dataclass(frozen=True, slots=True)
class Filled:
    """One column of a table and what fills it.

    Attributes:
        target: as the mapping has it.
        column: as the catalog has it.
        cleaned: what is accepted of a cell before one is taken of several.
    """

    target: Target
    column: Column
    cleaned: Column


@dataclass(frozen=True, slots=True)
class Fitted:
    """One part of a mapping that fits its table.

    Attributes:
        filled: by the column's name in the catalog, in the order of the catalog's columns.
    """

    part: Part
    table: Table
    filled: Mapping[str, Filled]


def fitted(parts: Sequence[Part], catalog: Catalog) -> tuple[Fitted, ...]:
    """Each part with its table.

    Raises:
        CatalogRefused: a table or column is unknown, missing, off, or does not fit; with the mapping's line.
    """
    return tuple(_fit(part, catalog) for part in parts)


def _fit(part: Part, catalog: Catalog) -> Fitted:
    table = _table(part, catalog)
    if not table.public and part.owner is None:
        raise part.place.refusal("whose rows are they?", "owner: the column with the person's id")
    if table.public and part.owner is not None:
        raise part.place.at("owner").refusal("a public table has no owner.", "leave it out")
    wanted = {column.name: column for column in source_columns(catalog, table)}
    for target in part.targets.values():
        if target.name not in wanted:
            why = _why_not(target.name, catalog, table)
            raise target.place.refusal(f"{why}.", f"columns of {table.name}: {', '.join(wanted)}")
    missing = [name for name in wanted if name not in part.targets]
    if missing:
        raise part.place.at("columns").refusal(
            f"nothing is said of {', '.join(missing)}.",
            f"a line for each; {missing[0]}: {{blank: true}} if there is none",
        )
    _hold_sensitive(part, catalog)
    return Fitted(part, table, {name: _fill(part.targets[name], column) for name, column in wanted.items()})


def _hold_sensitive(part: Part, catalog: Catalog) -> None:
    """Refuse what is sensitive by its name in the source, and comes where the catalog says nothing of it."""
    sensitive = {name for name in sensitive_on(catalog.document) if name.startswith(f"{part.table}.")}
    accepted = "a column that the catalog calls sensitive, and two people have switched on"
    for target in part.targets.values():
        named = isinstance(target.given, Cell) and taken_as_sensitive(target.given.column)
        if named and f"{part.table}.{target.name}" not in sensitive:
            raise target.place.refusal("what it is made of is sensitive.", accepted)
    for column in (*part.only, *(read.cell.column for read in part.reads.values())):
        if not sensitive and part.owner is not None and taken_as_sensitive(column):
            raise part.place.refusal(f"{column} is sensitive.", accepted)


def _table(part: Part, catalog: Catalog) -> Table:
    known = {table.name: table for table in stored_tables(catalog)}
    if part.table not in known:
        off = " that is on" if part.table in catalog.tables else ""
        raise part.place.refusal(f"the catalog has no such table{off}.", ", ".join(sorted(known)))
    return known[part.table]


def _why_not(name: str, catalog: Catalog, table: Table) -> str:
    """Why a column is none that a source fills."""
    column = table.columns.get(name)
    if name == catalog.owner:
        return "the owner is named under owner"
    if column is None:
        return f"{table.name} has no such column"
    if name == catalog.cohort:
        return f"the cohort comes from the table {catalog.cohort_table} alone"
    return "it is switched off" if not column.on else "the catalog gives it a constant"


def _fill(target: Target, column: Column) -> Filled:
    of, given = column.type, target.given
    if isinstance(given, Fixed):
        _fits_value(target, column)
    if isinstance(given, Cell) and target.take not in _COUNTS:
        _listed(target.place, [*(given.codes or {}).values(), given.otherwise or ""], column)
    if isinstance(given, Formula) and target.take not in _COUNTS and not _compatible(given.expr.type, of):
        raise target.place.refusal(f"the formula gives {given.expr.type}, the column is {of}.", f"a formula of {of}")
    if target.take in ("any", "all") and of != tree.BOOLEAN:
        raise target.place.at("take").refusal(f"the column is {of}.", "any and all of a yes-or-no column")
    if target.take in _COUNTS and of != tree.INTEGER:
        raise target.place.at("take").refusal(f"the column is {of}.", "count and distinct of an integer column")
    if target.take == "sum" and of.kind != "exact":
        raise target.place.at("take").refusal(
            f"the column is {of}, and such a sum would depend on the order of its rows.",
            "sum of integers or decimals",
        )
    return Filled(target, column, _cleaned(target, column))


def _cleaned(target: Target, column: Column) -> Column:
    """What is accepted of a cell: what the column takes, where a cell not accepted is NULL and passed over."""
    if target.take in _COUNTS:
        return Column(column.name, tree.TEXT, nullable=True)
    return dataclasses.replace(column, default=None, nullable=True)


def _compatible(given: tree.Type, of: tree.Type) -> bool:
    """Whether a formula's value can be a column's; NULL can be any."""
    return given == tree.NULL or given.kind == of.kind or (given.is_number and of.is_number)


def _fits_value(target: Target, column: Column) -> None:
    place = target.place.at("value")
    if place.value is None:
        if not column.nullable and column.default is None:
            raise target.place.refusal("the catalog wants a value here.", "column:, formula: or value:")
        return
    number = isinstance(place.value, int) and not isinstance(place.value, bool)
    if column.type == tree.TEXT and number:
        raise place.refusal("this must be text.", f'"{place.value}" in quotes, with all its digits')
    _listed(place, [str(target.given.value)] if isinstance(target.given, Fixed) else [], column)


def _listed(place: Place, texts: Iterable[str], column: Column) -> None:
    """Refuse a value the mapping gives that is not on the column's list: every row would lose it."""
    if column.values is None or column.type == tree.BOOLEAN:
        return
    values = [str(tree.told(value, column.type)) for value in column.values]
    known = set(values)
    for text in texts:
        if text and text not in known:
            shown = ", ".join(values[:SHOWN_NAMES_MAX])
            raise place.refusal(f"{text} is not on the list of {column.name}.", shown)


def columns_read(part: Part) -> tuple[str, ...]:
    """The source columns a part reads, the owner's first, each one once."""
    cells = [read.cell for read in part.reads.values()]
    cells += [target.given for target in part.targets.values() if isinstance(target.given, Cell)]
    named = [part.owner] if part.owner is not None else []
    return tuple(dict.fromkeys([*named, *part.only, *(cell.column for cell in cells)]))
