"""From a mapping's text to its document: each setting known, each formula proved, or refused with its line."""

from __future__ import annotations

import dataclasses
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from engine.catalog_file.columns import read_column, require_name
from engine.catalog_file.document import ColumnSpec
from engine.catalog_file.never import never_taken
from engine.intake.mapping.document import (
    ORDERED,
    PARTS,
    STUDENT,
    TAKES,
    Cell,
    Fixed,
    Formula,
    Part,
    Read,
    Target,
    folded,
)
from engine.intake.mapping.formulas import read_formula
from engine.intake.mapping.identifiers import never_read
from engine.intake.mapping.place import opened
from engine.refusals import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.catalog import Column
    from engine.intake.mapping.place import Place

_CELL = ("column", "codes", "else", "date", "part")
_TYPE = ("type", "bounds", "values")
_DIRECTIVE = re.compile(r"%([A-Za-z%-]?)")
_DIRECTIVES = frozenset("YymdbBjHIMSpf%")
_YEARS = [1900, 2199]
_BOUNDS = {"year": _YEARS, "school_year": _YEARS, "month": [1, 12]}


def read_document(file: str, text: str) -> tuple[Part, ...]:
    """The parts of a mapping, in its order.

    Args:
        file: the mapping's name in refusals.
        text: what it says.

    Raises:
        CatalogRefused: with the line, and what would be accepted.
    """
    root = opened(file, text)
    tables = root.settings(("tables",), ("tables",))["tables"]
    parts = tuple(part for name, place in tables.names() for part in _parts(name, place))
    of_students = {part.file for part in parts if part.owner is not None}
    for part in parts:
        if part.owner is None and part.file in of_students:
            message = "a file about students makes no public table: what stands in one, everybody may read."
            raise part.place.at("from").refusal(message, "a file of its own for each public table")
    return parts


def _parts(table: str, place: Place) -> list[Part]:
    if not isinstance(place.value, list):
        return [_part(table, place)]
    if not place.value:
        raise place.refusal("this list is empty.", "one part for each file, or no such table")
    return [_part(table, place.at(position)) for position in range(len(place.value))]


def _part(table: str, place: Place) -> Part:
    found = place.settings(("from", "owner", "only", "one_row_per", "read", "columns"), ("from", "columns"))
    owner = found["owner"].text() if "owner" in found else None
    per = _one_row_per(found["one_row_per"], owner) if "one_row_per" in found else None
    private = owner is not None
    only = {name: _accepted(at, name, private=private) for name, at in _names(found.get("only"))}
    reads = {name: _read(at, name, private=private) for name, at in _names(found.get("read"))}
    for name in per or ():
        if found["columns"].at(name).value is None:
            known = ", ".join((STUDENT, *(column for column, _ in found["columns"].names())))
            raise found["one_row_per"].refusal(f"{name} is not among the columns.", known)
    targets = {name: _target(at, name, reads, per, private=private) for name, at in found["columns"].names()}
    return Part(table, _file(found["from"]), owner, per, only, reads, targets, place)


def _names(place: Place | None) -> list[tuple[str, Place]]:
    return [] if place is None else list(place.names())


def _file(place: Place) -> str:
    name = place.text()
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise place.refusal("this leads out of the source.", "a file in the source's folder")
    return name


def _one_row_per(place: Place, owner: str | None) -> tuple[str, ...]:
    names = place.texts()
    if owner is None:
        raise place.refusal("rows without an owner are no student's.", "owner: the column with the person's id")
    if names[0] != STUDENT:
        raise place.refusal(
            f"the first must be {STUDENT}: rows of several students never become one.",
            f"[{STUDENT}], or [{STUDENT}, and columns of this table]",
        )
    return names[1:]


def _column_name(place: Place, name: str, *, private: bool) -> str:
    """A source column that may be read."""
    if never_read(name) if private else never_taken(name):
        raise place.refusal(
            f"{name} identifies a person, and is never read.", "another column; an id may stand under owner: alone"
        )
    return name


def _accepted(place: Place, name: str, *, private: bool) -> frozenset[str]:
    """The texts that count in a column; "" stands for a blank cell."""
    _column_name(place, name, private=private)
    return frozenset(map(folded, place.texts(blank=True)))


# -- cells


def _cell(settings: Mapping[str, Place], place: Place, default: str | None, *, private: bool) -> Cell:
    """The cell that some settings describe; `default` is the column's name if they do not tell it."""
    named = settings.get("column")
    if named is None and default is None:
        raise place.refusal("what is it made of?", "column:, formula:, value: or blank: true")
    column = _column_name(named or place, named.text() if named else str(default), private=private)
    if "date" in settings and "codes" in settings:
        raise place.refusal("a date has no codes.", "date: or codes:")
    if "part" in settings and "date" not in settings:
        raise settings["part"].refusal("a part of what?", 'date: its format, as "%m/%d/%Y"')
    if "else" in settings and "codes" not in settings:
        raise settings["else"].refusal("other than what?", "codes: each text and what it becomes")
    return Cell(
        column=column,
        codes=_codes(settings["codes"]) if "codes" in settings else None,
        otherwise=_value(settings["else"]) if "else" in settings else None,
        dates=_dates(settings["date"]) if "date" in settings else (),
        part=settings["part"].word(PARTS) if "part" in settings else "iso",
    )


def _codes(place: Place) -> dict[str, str]:
    """Each text and what it becomes; "" stands for a blank cell on either side."""
    found: dict[str, str] = {}
    for text, at in place.names():
        if folded(text) in found:
            raise at.refusal("this code stands twice: case and space around it do not count.", "each code once")
        found[folded(text)] = "" if at.value == "" else _value(at, numbers=False)
    if not found:
        raise place.refusal("there are no codes.", 'each text and what it becomes: {"1": M, "0": F}')
    return found


def _value(place: Place, *, numbers: bool = True) -> str:
    """A value that the mapping itself gives, as text: true and false are no other texts than these."""
    if isinstance(place.value, bool):
        return str(place.value).lower()
    if numbers and isinstance(place.value, int):
        return str(int(place.value))
    return place.text()


def _dates(place: Place) -> tuple[str, ...]:
    formats = place.texts()
    for one in formats:
        directives = _DIRECTIVE.findall(one)
        if not directives or not _DIRECTIVES.issuperset(directives):
            raise place.refusal(
                "this is no format of a date.", f'such as "%m/%d/%Y", of {" ".join("%" + d for d in "YymdbBjHIMSpf")}'
            )
    return formats


def _read(place: Place, name: str, *, private: bool) -> Read:
    require_name(place.reader, place.path, name)
    settings = place.settings((*_CELL, *_TYPE))
    cell = _cell(settings, place, name, private=private)
    part = cell.part if cell.dates else None
    declared = {key: settings[key].value for key in _TYPE if key in settings}
    if part in _BOUNDS:
        declared = {"type": "integer", "bounds": _BOUNDS[part], **declared}
    elif part == "iso":
        declared = {"type": "text", **declared}
    if "type" not in declared:
        raise place.refusal("its type is missing.", "type: integer, decimal(4,1), boolean, text, date or double")
    try:
        spec = ColumnSpec(**declared, nullable=True)
    except ValidationError:
        raise place.at("type").refusal(
            "this is not a type.", "integer, decimal(4,1), boolean, text, date or double"
        ) from None
    return Read(cell, dataclasses.replace(read_column(place.reader, place.path, name, spec), default=None))


# -- targets


def _target(
    place: Place, name: str, reads: Mapping[str, Read], per: tuple[str, ...] | None, *, private: bool
) -> Target:
    if not isinstance(place.value, dict):
        column = _column_name(place, place.text(), private=private)
        return _grouped(Target(name, Cell(column), None, None, place), reads, per)
    settings = place.settings((*_CELL, "formula", "value", "blank", "take", "by"))
    _one_origin(place, settings)
    given: Cell | Formula | Fixed
    if "formula" in settings:
        given = _formula(settings["formula"], {name: read.column for name, read in reads.items()})
    elif "value" in settings:
        given = Fixed(_value(settings["value"]))
    elif "blank" in settings:
        if settings["blank"].value is not True:
            raise settings["blank"].refusal("a column is blank, or is made of something.", "blank: true")
        given = Fixed(None)
    else:
        given = _cell(settings, place, None, private=private)
    take = settings["take"].word(TAKES) if "take" in settings else None
    by = settings["by"].text() if "by" in settings else None
    return _grouped(Target(name, given, take, by, place), reads, per)


def _one_origin(place: Place, settings: Mapping[str, Place]) -> None:
    """Refuse two answers to what a column is made of."""
    origins = [name for name in ("column", "formula", "value", "blank") if name in settings]
    if len(origins) > 1:
        raise place.refusal(f"it cannot be made of {' and '.join(origins)}.", "one of them")
    if origins and origins != ["column"]:
        for name in _CELL[1:]:
            if name in settings:
                raise settings[name].refusal(f"{name} goes with column alone.", f"leave out {name}")


def _formula(place: Place, columns: Mapping[str, Column]) -> Formula:
    text = str(place.value) if type(place.value) is int else place.text()
    try:
        return Formula(text, read_formula(text, columns))
    except QueryRefused as refused:
        known = f"names under read: {', '.join(columns)}" if columns else "names declared under read:"
        raise place.refusal(f"{text}: {refused.message}", f"{refused.accepted or 'grade9 + 3'} ({known})") from None


def _grouped(target: Target, reads: Mapping[str, Read], per: tuple[str, ...] | None) -> Target:
    """A target whose way of making one row of several is said, just where there are several."""
    place = target.place
    taken = per is not None and target.name not in per and not isinstance(target.given, Fixed)
    if taken and target.take is None:
        raise place.refusal("which of a student's rows is it taken from?", f"take: {', '.join(TAKES)}")
    if not taken and target.take is not None:
        why = "its rows stay as they are" if per is None else "it is the same in all of them"
        raise place.at("take").refusal(f"nothing is taken here: {why}.", "leave it out")
    if (target.take in ORDERED) != (target.by is not None):
        raise place.refusal(f"{' and '.join(ORDERED)} need `by`, and nothing else does.", "by: a name under read")
    if target.by is not None and target.by not in reads:
        raise place.at("by").refusal(
            f"{target.by} is not declared.", f"a name under read: {', '.join(reads) or 'none'}"
        )
    return target
