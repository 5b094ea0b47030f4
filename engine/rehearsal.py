"""Invented records for any catalog: a vault in memory, made of the declarations alone.

A rehearsal asks these records instead of the district's. They keep all that the catalog promises of records: value
lists, bounds, checks, keys, caps, one cohort per student. Nothing else is true of them, and nothing in them comes
from a record. The same catalog gives the same records on every machine.

What is drawn here is no noise: it is cut from SHAKE-256 of the catalog's digest.
"""

# ruff: noqa: S608 - statements are made of quoted catalog names and of `engine.sql`; values never stand in them

from __future__ import annotations

import hashlib
import math
import uuid
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from engine import tree
from engine.analysis.intervals import assume, declared_environment, evaluate, holds, listed
from engine.expressions import MAGNITUDE_MAX
from engine.froms import OWNER
from engine.sql import quoted, sql
from engine.vault import ARROW, Vault, create_statement, locks, scaled, stored_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.analysis.intervals import Number, Range
    from engine.catalog import Catalog, Column, RangeTable, Table

STUDENTS = 1_000
TRIED_ROWS = 8
"""At most so many rows are tried of a student in a table; those that break a rule go."""

ONE_IN_NULL = 10
"""Every so-manieth cell that may be NULL is."""

ONE_IN_OFF_RANGE = 4
"""Every so-manieth row has other keys than those of a row of the public table that bounds it."""

OPEN_ENDED = 1_000
"""Numbers without a declared end lie within so much of the other one, or of 0."""

NARROWED_MAX = 1_000
"""Longer value lists are not tried value by value against the checks."""

DRAWN = 2**64 - 1
"""Numbers are made of draws below it."""

_TEXTS = tuple(f"invented {number}" for number in range(1, 10))
_ROW = "homeroom_row"
_CANDIDATES = "homeroom_candidates"


def invented(catalog: Catalog, epoch: str) -> Vault:
    """A vault of invented records, in memory, under the locks of a real one; close it when done.

    Args:
        catalog: resolved; the vault has its public tables as they are, and about 1,000 students over all cohorts.
        epoch: the id of the epoch whose records it stands for.
    """
    connection = duckdb.connect(":memory:", config=locks())
    try:
        _fill(connection, catalog)
    except BaseException:
        connection.close()
        raise
    return Vault(connection, catalog, epoch)


def _fill(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
    for table in catalog.public_tables:
        columns = stored_columns(table)
        cells = {c.name: [scaled(row[c.name], c.type) for row in table.rows] for c in columns}
        _write(connection, table, cells, _names(columns))
    students = _students(catalog)
    for table in sorted(catalog.private_tables, key=lambda each: each.name != catalog.cohort_table):
        dice = _Dice(f"{catalog.digest} {table.name}")
        cells = _Inventor(catalog, table, dice).cells(students)
        _write(connection, table, cells, _kept(catalog, table))
        if table.name == catalog.cohort_table:  # whoever has no row in it has rows nowhere
            found = connection.execute(f"SELECT DISTINCT {OWNER} FROM {quoted(table.name)}").fetchall()
            there = {owner for (owner,) in found}
            students = {cohort: [owner for owner in owners if owner in there] for cohort, owners in students.items()}


def _students(catalog: Catalog) -> dict[int, list[uuid.UUID]]:
    """The owners of each cohort, as many in one as in another."""
    size = min(STUDENTS, catalog.max_students)
    text = hashlib.shake_256(f"{catalog.digest} owners".encode()).digest(16 * size)
    owners = [uuid.UUID(bytes=text[16 * i : 16 * i + 16]) for i in range(size)]
    fixed = catalog.tables[catalog.cohort_table].columns[catalog.cohort].constant
    cohorts = catalog.cohorts if fixed is None else (int(fixed),)
    return {cohort: owners[place :: len(cohorts)] for place, cohort in enumerate(cohorts)}


@dataclass(slots=True)
class _Dice:
    """Numbers that a name fixes."""

    seed: str
    thrown: int = 0

    def below(self, ends: int, size: int) -> list[int]:
        """So many whole numbers from 0, each below `ends`."""
        self.thrown += 1
        text = hashlib.shake_256(f"{self.seed} {self.thrown}".encode()).digest(8 * size)
        found: list[int] = (np.frombuffer(text, dtype="<u8") % np.uint64(ends)).tolist()
        return found


# -- the cells of one table


@dataclass(slots=True)
class _Inventor:
    """Invents the rows that are tried for one private table; every value as the vault stores it."""

    catalog: Catalog
    table: Table
    dice: _Dice
    found: dict[str, list[Any]] = field(default_factory=dict)
    declared: dict[str, Range] = field(default_factory=dict)
    keys: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def cells(self, students: Mapping[int, Sequence[uuid.UUID]]) -> dict[str, list[Any]]:
        """The owner and all columns of the rows that are tried."""
        columns = stored_columns(self.table)
        self.declared = declared_environment(self.table)
        self.found = {OWNER: [], **{column.name: [] for column in columns}}
        for cohort, owners in students.items():
            known = self.known(cohort)
            if known is not None and owners:
                tried = [
                    owner for owner, rows in zip(owners, self.tried(len(owners)), strict=True) for _ in range(rows)
                ]
                self.found[OWNER] += map(str, tried)
                self.rows(columns, known, len(tried))
        for column in columns:
            if column.ranges is not None:
                self.place(column)
        return self.found

    def tried(self, students: int) -> list[int]:
        """How many rows are tried of each student of a cohort."""
        if self.table.rows_per_student_max == 1:
            return [TRIED_ROWS if self.table.checks else 1] * students
        return [rows + 1 for rows in self.dice.below(TRIED_ROWS, students)]

    def known(self, cohort: int) -> dict[str, Range] | None:
        """What rows of a cohort can hold, as far as the checks tell; None where there can be none."""
        own = self.declared | {self.catalog.cohort: listed([cohort])}
        for column in stored_columns(self.table):
            if column.constant is not None and column.name != self.catalog.cohort:
                own[column.name] = listed([column.constant])
        known = assume(self.table.checks, own)
        if known is None:
            return None
        for check in tree.conjuncts(self.table.checks):
            used = tree.columns_of(check)
            for name in sorted(used - {self.catalog.cohort}):
                values = known[name].values
                if values is None or len(values) > NARROWED_MAX or known[name].nullable:
                    continue
                left = _possible(check, name, values, tuple((other, known[other]) for other in sorted(used - {name})))
                if left.empty:
                    return None
                known[name] = left
        return known

    def rows(self, columns: Sequence[Column], known: Mapping[str, Range], size: int) -> None:
        """Add so many rows of one cohort."""
        cells = {column.name: self.column(column, known[column.name], size) for column in columns}
        for ranges in {column.ranges.table: column.ranges for column in columns if column.ranges}.values():
            self.move(ranges, known, cells)
        for name, values in cells.items():
            self.found[name] += values

    def column(self, column: Column, known: Range, size: int) -> list[Any]:
        """Cells of one column, its bounds by a public table aside."""
        cells = self.values(column.type, known, size)
        if not known.nullable:
            return cells
        return [
            None if none == 0 else cell for cell, none in zip(cells, self.dice.below(ONE_IN_NULL, size), strict=True)
        ]

    def values(self, of: tree.Type, known: Range, size: int) -> list[Any]:
        """Values of a range, as they are stored."""
        if known.values is not None:
            choices = _choices(known.values, of)
        elif of == tree.TEXT:
            choices = _TEXTS
        else:
            return self.numbers(of, *_ends(known), size)
        return [choices[place] for place in self.dice.below(len(choices), size)]

    def numbers(self, of: tree.Type, low: Number, high: Number, size: int) -> list[Any]:
        """Numbers from one end to the other, both in the column's unit, as they are stored."""
        return [_between(draw, of, low, high) for draw in self.dice.below(DRAWN, size)]

    def move(self, ranges: RangeTable, known: Mapping[str, Range], cells: dict[str, list[Any]]) -> None:
        """Give most rows the keys of some row of the public table that bounds a column of theirs."""
        narrowed = [(place, known[key]) for place, key in enumerate(ranges.keys) if known[key] != self.declared[key]]
        every = self.stored_keys(ranges)
        rows = every
        if narrowed:
            fit = [all(holds(found, own[place]) for place, found in narrowed) for own, _, _ in ranges.rows]
            rows = [row for row, fits in zip(every, fit, strict=True) if fits]
        size = len(cells[ranges.keys[0]])
        if not rows:
            return
        chosen, stays = self.dice.below(len(rows), size), self.dice.below(ONE_IN_OFF_RANGE, size)
        for position, key in enumerate(ranges.keys):
            cells[key] = [
                cell if stay == 0 else rows[row][position]
                for cell, row, stay in zip(cells[key], chosen, stays, strict=True)
            ]

    def stored_keys(self, ranges: RangeTable) -> list[tuple[Any, ...]]:
        """The keys of a public table of bounds as they are stored, row by row."""
        if ranges.table not in self.keys:
            types = [self.table.columns[key].type for key in ranges.keys]
            self.keys[ranges.table] = [
                tuple(_stored(value, of) for value, of in zip(own, types, strict=True)) for own, _, _ in ranges.rows
            ]
        return self.keys[ranges.table]

    def place(self, column: Column) -> None:
        """Move a column into the range that its row's keys have; without one it is NULL."""
        ranges = column.ranges
        if ranges is None:
            raise AssertionError
        ends = dict(zip(self.stored_keys(ranges), (row[1:] for row in ranges.rows), strict=True))
        cells = self.found
        keys = zip(*(cells[key] for key in ranges.keys), strict=True)
        old, draws = cells[column.name], self.dice.below(DRAWN, len(cells[column.name]))
        cells[column.name] = [
            None if cell is None or key not in ends else _between(draw, column.type, *ends[key])
            for key, cell, draw in zip(keys, old, draws, strict=True)
        ]


def _stored(value: Any, of: tree.Type) -> Any:
    """A catalog's value as it is stored; a DOUBLE never as −0.0."""
    if of == tree.DOUBLE and value is not None:
        return float(value) or 0.0
    return scaled(value, of)


@lru_cache(maxsize=4096)
def _possible(
    check: tree.Expr, column: str, values: frozenset[tree.Scalar], others: tuple[tuple[str, Range], ...]
) -> Range:
    """Which values of a column may keep a check, given what is known of the check's other columns."""
    known = dict(others)
    return listed(value for value in values if evaluate(check, {**known, column: listed([value])}).can_be_true)


@lru_cache(maxsize=256)
def _choices(values: frozenset[tree.Scalar], of: tree.Type) -> tuple[Any, ...]:
    """The values of a list as they are stored, in one order; NULL where there is none."""
    return tuple(_stored(value, of) for value in sorted(values)) or (None,)  # type: ignore[type-var]


def _between(draw: int, of: tree.Type, low: Number, high: Number) -> Any:
    """A number between two ends in the column's unit, as it is stored; None where the vault can hold none."""
    if of == tree.DOUBLE:
        least, most, part = float(low), float(high), draw / DRAWN
        return min(max(least * (1 - part) + most * part, least), most) or 0.0
    first, last = _whole_ends(low, high, of)
    return first + draw % (last - first + 1) if first <= last else None


def _ends(known: Range) -> tuple[Number, Number]:
    """The ends between which numbers are drawn."""
    low, high = known.low, known.high
    if low is None:
        low = 0 if high is None else high - OPEN_ENDED
    return low, low + OPEN_ENDED if high is None else high


@lru_cache(maxsize=4096)
def _whole_ends(low: Number, high: Number, of: tree.Type) -> tuple[int, int]:
    """The ends in units of the last decimal place, where they fit a vault."""
    unit = 10**of.scale
    least, most = math.ceil(Fraction(low) * unit), math.floor(Fraction(high) * unit)
    return max(least, 1 - MAGNITUDE_MAX), min(most, MAGNITUDE_MAX - 1)


# -- into the vault


def _names(columns: Sequence[Column]) -> str:
    return f"SELECT {', '.join(quoted(column.name) for column in columns)} FROM {_CANDIDATES}"


def _kept(catalog: Catalog, table: Table) -> str:
    """SQL: of the rows that were tried those that together keep every rule of the table."""
    columns = stored_columns(table)
    rules = [f"({sql(check)}) IS TRUE" for check in table.checks]
    rules += [f"{quoted(column.name)} IS NOT NULL" for column in columns if not column.nullable]
    text = f"SELECT * FROM {_CANDIDATES} WHERE {' AND '.join(rules or ['TRUE'])}"
    limits = [([part for part in key if part != catalog.owner], 1) for key in table.unique]
    limits += [([*cap.per], cap.rows) for cap in table.caps]
    limits += [([], table.rows_per_student_max)] if table.rows_per_student_max is not None else []
    for per, most in limits:
        group = ", ".join([OWNER, *map(quoted, per)])
        place = f"ROW_NUMBER() OVER (PARTITION BY {group} ORDER BY {_ROW})"
        text = f"SELECT * FROM ({text}) AS tried QUALIFY {place} <= {most}"
    names = ", ".join(quoted(column.name) for column in columns)
    return f"SELECT CAST({OWNER} AS UUID), TRUE, {names} FROM ({text}) AS kept ORDER BY {_ROW}"


def _write(
    connection: duckdb.DuckDBPyConnection, table: Table, cells: Mapping[str, Sequence[Any]], statement: str
) -> None:
    """Make a table of the vault of rows in memory."""
    types = {name: ARROW[column.type.kind] for name, column in table.columns.items()}
    arrays = {name: pa.array(values, types.get(name, pa.string())) for name, values in cells.items()}
    size = len(next(iter(cells.values())))
    arrays[_ROW] = pa.array(np.arange(size), pa.int64())
    connection.execute(create_statement(table, "main"))
    connection.register(_CANDIDATES, pa.table(arrays))
    connection.execute(f"INSERT INTO {quoted(table.name)} {statement}")
    connection.unregister(_CANDIDATES)
