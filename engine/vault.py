"""The verified records of one epoch: layout, read-only opening, the vault's own copy of the catalog, and its audit.

One DuckDB file per epoch; a load writes the next one (`engine.intake`), nobody ever changes one. Whoever reads
it opens it read-only with every lock on. What an answer may rely on comes from the catalog inside the file,
the one its records were verified against; another catalog beside it refuses to open.

Exact numbers are stored as BIGINT counts of their last decimal place, dates as BIGINT numbers of days. No text of
the database leaves this room.
"""
# ruff: noqa: S608 - statements are made of quoted catalog names and of `engine.sql`; values never stand in them

from __future__ import annotations

import functools
import math
import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import duckdb
import pyarrow as pa

from engine import tree
from engine.catalog_file import catalog_of_document, resolve
from engine.expressions import MAGNITUDE_MAX
from engine.froms import OWNER, RESEARCH
from engine.refusals import CatalogRefused
from engine.sql import quoted, sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.catalog import Catalog, Column, Table

FORMAT = 2
META = "homeroom_meta"
MEMORY_LIMIT = "4GB"
THREADS = 2

_OPTIMIZERS = (
    "build_side_probe_side",
    "expression_rewriter",
    "filter_pushdown",
    "join_order",
    "unused_columns",
)
"""What the database may still do to a statement of ours. The others win little on them, and some plan by the smallest
and largest value on record: what they get wrong, they get wrong for some records and not for their neighbours."""

_LOCKS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "python_enable_replacements": "false",
    "python_scan_all_frames": "false",
    "memory_limit": MEMORY_LIMIT,
    "threads": str(THREADS),
}


@functools.cache
def locks() -> dict[str, str | bool | int | float | list[str]]:
    """The settings of a database that answers.

    Set before the file is opened, so that a second opening in one process finds the same settings.
    """
    with duckdb.connect(":memory:") as connection:
        known = [name for (name,) in connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()]
    if not set(_OPTIMIZERS) <= set(known):
        raise RuntimeError
    others = ",".join(name for name in known if name not in _OPTIMIZERS)
    return {**_LOCKS, "disabled_optimizers": others, "lock_configuration": "true"}


ARROW = {
    "exact": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "text": pa.string(),
    "date": pa.int64(),
    "null": pa.int64(),
}
"""By which a value goes into the database, as it is stored there; of a column of NULLs any does."""

_STORAGE = {"exact": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN", "text": "VARCHAR", "date": "BIGINT"}


# -- layout


def storage_type(of: tree.Type) -> str:
    """The database's type for values of a declared type.

    >>> storage_type(tree.Type("exact", 1))
    'BIGINT'
    """
    return _STORAGE[of.kind]


def stored_columns(table: Table) -> tuple[Column, ...]:
    """The declared columns that are switched on, in the order they are stored in: by name.

    The order of a declaration is lost in the vault's own copy of it.
    """
    return tuple(sorted((column for column in table.columns.values() if column.on), key=lambda column: column.name))


def stored_tables(catalog: Catalog) -> tuple[Table, ...]:
    """The tables a vault has: the public ones, then the private ones that are on."""
    return (*catalog.public_tables, *catalog.private_tables)


def create_statement(table: Table, schema: str) -> str:
    """The CREATE TABLE of one table of the vault."""
    columns = [f"{name} {of}{'' if nullable else ' NOT NULL'}" for name, of, nullable in _layout(table)]
    return f"CREATE TABLE {quoted(schema)}.{quoted(table.name)} ({', '.join(columns)})"


def _layout(table: Table) -> list[tuple[str, str, bool]]:
    """Quoted name, type and whether NULL may stand there, of every stored column."""
    owner = [] if table.public else [(OWNER, "UUID", False), (RESEARCH, "BOOLEAN", False)]
    return owner + [(quoted(c.name), storage_type(c.type), c.nullable) for c in stored_columns(table)]


def unscaled(value: Any, of: tree.Type) -> Any:
    """A stored value in its column's own unit.

    >>> unscaled(125, tree.Type("exact", 1)), unscaled(120, tree.Type("exact", 1))
    (Fraction(25, 2), 12)
    """
    if value is None or of.scale == 0:
        return value
    whole = Fraction(value, 10**of.scale)
    return int(whole) if whole.denominator == 1 else whole


def scaled(value: Any, of: tree.Type) -> Any:
    """A value in its column's own unit as it is stored; the reverse of `unscaled`.

    >>> scaled(Fraction(25, 2), tree.Type("exact", 1)), scaled(12, tree.Type("exact", 1))
    (125, 120)
    """
    if value is None or of.scale == 0:
        return value
    return int(Fraction(str(value)) * 10**of.scale)


def public_rows(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, list[dict[str, Any]]]:
    """The rows of the public tables, in one order, each value in its column's own unit."""
    found = {}
    for table in catalog.public_tables:
        columns = stored_columns(table)
        names = ", ".join(quoted(column.name) for column in columns)
        rows = connection.execute(f"SELECT {names} FROM {quoted(table.name)} ORDER BY ALL NULLS LAST").fetchall()
        found[table.name] = [
            {column.name: unscaled(value, column.type) for column, value in zip(columns, row, strict=True)}
            for row in rows
        ]
    return found


# -- reading


class Vault:
    """The records of one epoch, opened read-only; close it when done.

    Attributes:
        catalog: the resolved catalog the records were verified against.
        epoch: the id of the epoch.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, catalog: Catalog, epoch: str) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.catalog = catalog
        self.epoch = epoch

    @classmethod
    def open(
        cls,
        path: Path,
        declared: Catalog,
        epoch: str | None = None,
        *,
        memory_limit: str = MEMORY_LIMIT,
        threads: int = THREADS,
        spill: Path | None = None,
    ) -> Self:
        """Open a vault.

        Args:
            path: the file of an epoch.
            declared: the catalog beside the vault; it must be the one the records were verified against.
            epoch: the epoch that the ledger knows the file by; any if none is given.
            memory_limit: of the database.
            threads: that the database takes for one statement.
            spill: a folder for what does not fit; without one a question that needs more fails.

        Raises:
            CatalogRefused: the file is missing or is no vault, the catalogs differ, or it is of another epoch.
        """
        if not path.is_file():
            raise _refusal(path, "The vault file is missing.", "the file the ledger names, or a new load")
        try:
            config = locks() | {"memory_limit": memory_limit, "threads": str(threads)}
            config |= {} if spill is None else {"temp_directory": str(spill)}
            connection = duckdb.connect(str(path), read_only=True, config=config)
        except (duckdb.Error, OSError):
            raise _unreadable(path) from None
        try:
            return cls(connection, *_own_catalog(connection, path, declared, epoch))
        except (duckdb.Error, ValueError, KeyError, TypeError):
            connection.close()
            raise _unreadable(path) from None
        except BaseException:
            connection.close()
            raise

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A fresh cursor, for one thread."""
        with self._lock:
            return self._connection.cursor()

    def close(self) -> None:
        """Close the file; cursors that are still open keep it until they are closed."""
        with self._lock:
            self._connection.close()


def _refusal(path: Path, message: str, accepted: str) -> CatalogRefused:
    return CatalogRefused(message, file=path.name, accepted=accepted, load=True)


def _unreadable(path: Path) -> CatalogRefused:
    return _refusal(path, "The vault file cannot be read: it is damaged, or no vault.", "a new load")


def _own_catalog(
    connection: duckdb.DuckDBPyConnection, path: Path, declared: Catalog, epoch: str | None
) -> tuple[Catalog, str]:
    """The resolved catalog and the epoch that a vault carries."""
    meta = dict(connection.execute(f"SELECT key, value FROM {META}").fetchall())
    if meta["format"] != str(FORMAT):
        raise _refusal(path, "The vault was written by another version of Homeroom.", "a new load")
    if epoch not in (None, meta["epoch"]):
        raise _refusal(path, "The vault file is of another load than the ledger's.", "the file of that load")
    if declared.document != meta["catalog"]:
        raise CatalogRefused(
            "The vault was verified against another catalog: the declaration has changed since the load.",
            file=path.name,
            accepted="load again, or the catalog as it was at the load",
            load=True,
        )
    stored = catalog_of_document(meta["catalog"], path.name)  # as tables are made; resolved, fewer may be nullable
    own = resolve(stored, public_rows(connection, stored))
    if own.digest != meta["digest"] or own.document != meta["catalog"]:
        raise _refusal(path, "The vault was verified against another catalog than the one in it.", "load again")
    if _described(connection) != {table.name: _layout(table) for table in stored_tables(stored)}:
        raise _unreadable(path)
    return own, meta["epoch"]


def _described(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[str, str, bool]]]:
    """The layout the file has, table by table."""
    found: dict[str, list[tuple[str, str, bool]]] = {}
    rows = connection.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE NOT internal AND database_name = current_database() ORDER BY table_oid, column_index"
    ).fetchall()
    for table, column, of, nullable in rows:
        if table != META:
            name = column if column in (OWNER, RESEARCH) else quoted(column)
            found.setdefault(table, []).append((name, of, nullable))
    return found


# -- audit


def audit(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> Iterator[str]:
    """The rules of a catalog that a finished vault breaks, by name; nothing where it keeps them all.

    Asked of the stored rows alone, in other terms than the loader's: ends and distinct values are compared in
    Python, in the columns' own units.
    """
    for table in stored_tables(catalog):
        for rule in _broken(connection, catalog, table):
            yield f"{table.name}: {rule}"
    yield from _broken_cohorts(connection, catalog)


def _broken(connection: duckdb.DuckDBPyConnection, catalog: Catalog, table: Table) -> Iterator[str]:
    for column in stored_columns(table):
        yield from (f"{column.name} {rule}" for rule in _broken_column(connection, table, column))
    name = quoted(table.name)
    for key in table.unique:
        if _exceeded(connection, name, (OWNER if part == catalog.owner else quoted(part) for part in key), 1):
            yield f"unique {', '.join(key)}"
    for cap in table.caps:
        if _exceeded(connection, name, (OWNER, *map(quoted, cap.per)), cap.rows):
            yield f"cap per {', '.join(cap.per)}"
    if table.rows_per_student_max is not None and _exceeded(connection, name, (OWNER,), table.rows_per_student_max):
        yield "rows_per_student_max"
    for check, text in zip(table.checks, table.check_texts, strict=True):
        if _number(connection, f"SELECT COUNT(*) FROM {name} WHERE ({sql(check)}) IS DISTINCT FROM TRUE"):
            yield f"check {text}"


def _exceeded(connection: duckdb.DuckDBPyConnection, name: str, per: Iterable[str], rows: int) -> bool:
    grouped = f"SELECT 1 FROM {name} GROUP BY {', '.join(per)} HAVING COUNT(*) > {rows}"
    return bool(connection.execute(f"{grouped} LIMIT 1").fetchall())


def _number(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    return int(connection.execute(statement).fetchall()[0][0])


def _broken_column(connection: duckdb.DuckDBPyConnection, table: Table, column: Column) -> Iterator[str]:
    name, of = quoted(column.name), column.type
    rows = f"FROM {quoted(table.name)}"
    if not column.nullable and _number(connection, f"SELECT COUNT(*) - COUNT({name}) {rows}"):
        yield "not null"
    if column.values is not None:
        found = connection.execute(f"SELECT DISTINCT {name} {rows} WHERE {name} IS NOT NULL").fetchall()
        if not {unscaled(value, of) for (value,) in found} <= set(column.values):
            yield "value list"
    if of.has_ends:
        ends = connection.execute(f"SELECT MIN({name}), MAX({name}) {rows}").fetchall()[0]
        if ends[0] is not None and not _within(ends, of, column.low, column.high):
            yield "bounds"
    if of == tree.DOUBLE and _number(connection, f"SELECT COUNT(*) {rows} WHERE {name} = 0 AND signbit({name})"):
        yield "negative zero"
    if of == tree.TEXT and _number(connection, f"SELECT COUNT(*) {rows} WHERE contains({name}, chr(0))"):
        yield "NUL"
    if column.ranges is not None and not _in_ranges(connection, table, column):
        yield "range"


def _within(ends: Sequence[Any], of: tree.Type, low: Any, high: Any) -> bool:
    """Whether stored values from one end to the other are finite, fit, and lie in [low, high]."""
    if of == tree.DOUBLE:
        if not all(map(math.isfinite, ends)):  # NaN sorts above everything
            return False
    elif not -MAGNITUDE_MAX < ends[0] <= ends[1] < MAGNITUDE_MAX:
        return False
    least, most = (unscaled(end, of) for end in ends)
    return (low is None or least >= low) and (high is None or most <= high)


def _in_ranges(connection: duckdb.DuckDBPyConnection, table: Table, column: Column) -> bool:
    ranges = column.ranges
    if ranges is None:
        raise AssertionError
    allowed: Mapping[tuple[Any, ...], tuple[Any, Any]] = {key: (low, high) for key, low, high in ranges.rows}
    name, keys = quoted(column.name), ", ".join(map(quoted, ranges.keys))
    found = connection.execute(
        f"SELECT {keys}, MIN({name}), MAX({name}) FROM {quoted(table.name)} WHERE {name} IS NOT NULL GROUP BY {keys}"
    ).fetchall()
    types = [table.columns[key].type for key in ranges.keys]
    for *key, least, most in found:
        own = tuple(unscaled(value, of) for value, of in zip(key, types, strict=True))
        if own not in allowed or not _within((least, most), column.type, *allowed[own]):
            return False
    return True


def _broken_cohorts(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> Iterator[str]:
    """One cohort and population per student in all tables; nobody without a row in the cohort table; not too many."""
    cohort = quoted(catalog.cohort)
    home = f"SELECT DISTINCT {OWNER}, {cohort}, {RESEARCH} FROM {quoted(catalog.cohort_table)}"
    if _number(connection, f"SELECT COUNT(*) - COUNT(DISTINCT {OWNER}) FROM ({home})"):
        yield "one cohort and population per student"
    for table in catalog.private_tables:
        others = f"SELECT DISTINCT {OWNER}, {cohort}, {RESEARCH} FROM {quoted(table.name)} EXCEPT ({home})"
        if _number(connection, f"SELECT COUNT(*) FROM ({others})"):
            yield f"{table.name}: every row of a student in the student's cohort and population"
    if _number(connection, f"SELECT COUNT(*) FROM (SELECT DISTINCT {OWNER} FROM ({home}))") > catalog.max_students:
        yield "max_students"
