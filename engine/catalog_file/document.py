"""The document: the shape of what an officer declares, before anything in it is checked against anything else.

It comes from YAML and is kept as canonical JSON, which a vault carries.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal  # noqa: TC003 - pydantic reads the annotation
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STUDENTS_MAX = 2**24


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DistrictSpec(_Strict):
    """Who declares."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{2,62}$")
    name: str = Field(min_length=1, max_length=200)
    time_zone: str


class PrivacySpec(_Strict):
    """Whose privacy is kept, in which classes, how well."""

    owner: str
    cohort: str
    cohorts: Any
    delta: Decimal
    max_students: int = Field(gt=0, le=STUDENTS_MAX, default=STUDENTS_MAX)
    owner_source: str | None = None
    preset: str = "standard"


class ColumnSpec(_Strict):
    """One column of a table."""

    type: str
    values: Any = None
    bounds: Any = None
    nullable: bool = False
    default: Any = None
    constant: Any = None
    unit: str | None = None
    source: str | None = None
    sensitive: bool = False
    on: bool | None = None


class CapSpec(_Strict):
    """At most so many rows of a student for each value of some columns."""

    rows: int = Field(gt=0, le=1_000_000)
    per: list[str] = Field(min_length=1)


class KeepSpec(_Strict):
    """Which rows of a student stay when there are too many."""

    highest: str


class TableSpec(_Strict):
    """One table, public or of students."""

    columns: dict[str, ColumnSpec] = Field(min_length=1)
    public: bool = False
    unique: list[Any] = Field(default_factory=list)
    rows_per_student_max: int | None = Field(default=None, gt=0, le=1_000_000)
    caps: list[CapSpec] = Field(default_factory=list)
    checks: list[str] = Field(default_factory=list)
    keep: KeepSpec | None = None
    sensitive: bool = False
    on: bool | None = None


class Document(_Strict):
    """The whole file."""

    district: DistrictSpec
    privacy: PrivacySpec
    tables: dict[str, TableSpec] = Field(min_length=1)


def is_reference(declared: Any, keys: set[str]) -> bool:
    """Whether a declaration names a public table and columns of it, by just these keys."""
    return isinstance(declared, dict) and set(declared) == keys and all(isinstance(v, str) for v in declared.values())


def is_on(column: ColumnSpec | None) -> bool:
    """Whether a declared column may be used: a sensitive one is off until it is switched on."""
    return column is not None and (not column.sensitive if column.on is None else column.on)


def every_column(document: Document) -> Iterator[tuple[str, str, ColumnSpec]]:
    """Each declared column with the names of its table and its own."""
    for table, spec in document.tables.items():
        for name, column in spec.columns.items():
            yield table, name, column


def columns_on(structure: str) -> frozenset[str]:
    """Every column of students that is on, as `table.column`."""
    found = set()
    for name, table in document_of(structure).tables.items():
        if not table.public and (not table.sensitive if table.on is None else table.on):
            found |= {f"{name}.{column}" for column, spec in table.columns.items() if is_on(spec)}
    return frozenset(found)


def sensitive_on(structure: str, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """Every column that is on and sensitive, or in a sensitive table, or `known` as sensitive; as `table.column`."""
    tables = document_of(structure).tables
    on = columns_on(structure)
    declared = {
        f"{name}.{column}"
        for name, table in tables.items()
        for column, spec in table.columns.items()
        if spec.sensitive or table.sensitive
    }
    return on & (known | declared)


def sensitive_off(structure: str) -> frozenset[str]:
    """The sensitive columns that are declared and not switched on, as `table.column`."""
    on = columns_on(structure)
    return frozenset(
        f"{name}.{column}"
        for name, table in document_of(structure).tables.items()
        for column, spec in table.columns.items()
        if (spec.sensitive or table.sensitive) and f"{name}.{column}" not in on
    )


def structure_of(document: Document) -> str:
    """The document as canonical JSON."""
    return json.dumps(document.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)


def document_of(structure: str) -> Document:
    """The document a structure came from."""
    return Document.model_validate(json.loads(structure))


def digest_of(structure: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A hash of all that a resolved catalog says: its document and the rows of its public tables."""
    content = json.dumps([structure, {name: list(rows[name]) for name in sorted(rows)}], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()
