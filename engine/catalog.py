"""The declared schema of one district, frozen: what the analysis may rely on.

Everything here is public knowledge: it comes from the officer's declarations and from public tables, never
from a record. `engine.catalog_file` reads it from `district.yaml`; the vault keeps its own copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.tree import Derived

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from engine.tree import Expr, Scan, Type

Value = int | str | bool


@dataclass(frozen=True, slots=True)
class RangeTable:
    """Bounds looked up in a public table by columns of the same row.

    Attributes:
        table: the public table.
        keys: columns that both tables have; the public table is unique on them.
        low: its column of least values.
        high: its column of greatest values.
        rows: one (key values, low, high) for each row of the public table.
    """

    table: str
    keys: tuple[str, ...]
    low: str
    high: str
    rows: tuple[tuple[tuple[Value, ...], int | Fraction | float, int | Fraction | float], ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column.

    Attributes:
        values: its value list, if it has one; a record's value is always on it (or NULL if nullable).
        low: least value, in the column's unit, if declared; enforced at load. Dates are numbers of days.
        high: greatest value, likewise.
        ranges: bounds by a public table instead, enforced at load.
        nullable: whether a record may have NULL here.
        default: the value taken at load where the source is blank or not accepted.
        constant: the value every row has; the source has no such column.
        source: the name of the column in the source file.
        on: whether it is loaded at all; sensitive columns are off until switched on.
    """

    name: str
    type: Type
    values: tuple[Value, ...] | None = None
    low: int | Fraction | float | None = None
    high: int | Fraction | float | None = None
    ranges: RangeTable | None = None
    nullable: bool = False
    default: Value | None = None
    constant: Value | None = None
    unit: str | None = None
    source: str | None = None
    on: bool = True


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `rows` rows per student for each value of the columns `per`."""

    rows: int
    per: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One declared table.

    Attributes:
        unique: sets of columns on which no two rows agree; of a private table each includes the owner.
        rows_per_student_max: most rows of one student, ever; None only where a unique key is the owner alone.
        caps: further caps per key value.
        checks: row conditions that every record fulfils (they are TRUE, not NULL).
        keep_highest: among rows with one unique key the one with the highest value here stays.
        on: whether the table is loaded at all.
        constants: of what is made of a student's rows, columns that have one value per student.
        rows: of a resolved public table its rows, by column name.
    """

    name: str
    columns: Mapping[str, Column]
    public: bool
    unique: tuple[tuple[str, ...], ...]
    rows_per_student_max: int | None = None
    caps: tuple[Cap, ...] = ()
    checks: tuple[Expr, ...] = ()
    check_texts: tuple[str, ...] = ()
    keep_highest: str | None = None
    on: bool = True
    constants: frozenset[str] = frozenset()
    rows: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """The declared schema of one district.

    Attributes:
        owner: the column that names the student (the privacy unit) in every private table.
        cohort: the column that names the student's budget cohort; the vault has it in every private table.
        cohort_table: the private table that brings the cohort from the source.
        cohorts: every cohort there may be.
        delta_atto: the δ of the promise, in units of 1e-18.
        max_students: most students the vault may hold; a public number.
        digest: SHA-256 of the structural declaration, public tables included once they are resolved.
        document: the structural declaration as canonical JSON.
    """

    district_id: str
    district_name: str
    time_zone: str
    owner: str
    cohort: str
    cohort_table: str
    cohorts: tuple[int, ...]
    delta_atto: int
    max_students: int
    tables: Mapping[str, Table]
    document: str
    digest: str

    def is_public(self, scan: Scan | Derived) -> bool:
        """Whether it is a public table; a step never is."""
        return not isinstance(scan, Derived) and self.tables[scan.table].public

    @property
    def private_tables(self) -> tuple[Table, ...]:
        """The private tables that are switched on."""
        return tuple(table for table in self.tables.values() if not table.public and table.on)

    @property
    def public_tables(self) -> tuple[Table, ...]:
        """The public tables."""
        return tuple(table for table in self.tables.values() if table.public)
