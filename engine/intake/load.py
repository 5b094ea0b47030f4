"""Sources to the next vault: cleaned, bounded, verified, and put in place whole or not at all.

Every rule here is a privacy rule: what is kept of one student is a function of that student's rows, the catalog,
the public tables and the register, so that one student's rows never change another's. All rules are set-based
SQL over a private in-memory database; the vault file receives finished rows alone, never a source id.

The order: cells are trimmed, typed and held against lists and bounds; rows without an owner or a needed cell go;
the cohort table tells each student's cohort (the register's, if it knows the student); then checks, unique keys,
caps and the most rows of a student.
"""
# ruff: noqa: S608 - statements are made of quoted catalog names, `engine.sql` and this package's expressions

from __future__ import annotations

import hmac
import os
import secrets
import shutil
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from engine import beside
from engine.analysis import intervals
from engine.catalog_file import resolve
from engine.compile import OWNER
from engine.intake.files import (
    ACCEPTED,
    BLANK,
    MACROS,
    SOURCE,
    WRONG,
    clean,
    clean_ids,
    literal,
    read_source,
    source_columns,
)
from engine.intake.report import OUTSIDE, Report, TableReport
from engine.refusals import CatalogRefused, QueryRefused, Refusal
from engine.sql import quoted, sql
from engine.vault import (
    FORMAT,
    META,
    Vault,
    audit,
    create_statement,
    public_rows,
    stored_columns,
    stored_tables,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from engine.catalog import Catalog, Column, Table
    from engine.intake.files import Source

    Progress = Callable[[str, float], None]

OWNER_BYTES = 16
SHOWN_CHARACTERS_MAX = 60
_ROW = "homeroom_row"
_WORK = ".loading-"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A finished vault.

    Attributes:
        epoch: its id.
        file: its name in the vault folder.
        catalog: the resolved catalog it was verified against.
        persons: owner hash (16 bytes) and cohort of everybody in it, for the register.
        report: what was done with the sources.
    """

    epoch: str
    file: str
    catalog: Catalog
    persons: tuple[tuple[bytes, int], ...]
    report: Report


def load(
    catalog: Catalog,
    sources: Mapping[str, Path | pa.Table],
    folder: Path,
    *,
    owner_key: bytes,
    known_cohorts: Mapping[bytes, int],
    progress: Progress | None = None,
    threads: int | None = None,
) -> Loaded:
    """Load sources into a new vault of a folder.

    Args:
        catalog: as declared; public tables among the sources resolve it.
        sources: one for each public table and each private table that is on.
        folder: where the vaults are; made if it is not there.
        owner_key: the district's key; the same student has the same hash under it in every load.
        known_cohorts: the register, owner hash → cohort; it prevails over the sources.
        progress: called with what is being done and how much of it, 0 to 1.
        threads: of the database; as many as the machine has if none are given. The vault does not depend on it.

    Raises:
        CatalogRefused: a source or the catalog cannot be used; nothing has changed, nothing is left behind.
    """
    _complete(catalog, sources)
    work = folder / f"{_WORK}{secrets.token_hex(16)}"
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": threads or os.cpu_count() or 1,
        "temp_directory": str(work / "spill"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        work.mkdir(mode=0o700)
        one = _Load(catalog, work, owner_key, known_cohorts)
        with duckdb.connect(":memory:", config=settings) as connection:
            loaded = one.run(connection, sources, progress or _silent)
        _put_in_place((one.beside, one.path), folder)
    except Refusal:
        raise
    except Exception:  # noqa: BLE001 - this is the wall: no text of a database or library passes it
        message, accepted = "The load failed; nothing has changed.", "readable sources and free space on the disk"
        raise CatalogRefused(message, file=folder.name, accepted=accepted, load=True) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return loaded


def _silent(_what: str, _part: float) -> None:
    pass


def _complete(catalog: Catalog, sources: Mapping[str, Path | pa.Table]) -> None:
    """Refuse unless there is one source for each table of the vault and no other."""
    wanted = {table.name for table in stored_tables(catalog)}
    for name in sorted(set(sources) - wanted):
        off = " that is on" if name in catalog.tables else ""
        raise _refusal(catalog, f"There is no table {name}{off}.", ", ".join(sorted(wanted)))
    missing = sorted(wanted - set(sources))
    if missing:
        named = f"tables {', '.join(missing)} have" if len(missing) > 1 else f"table {missing[0]} has"
        options = " ".join(f"--table {name}=FILE" for name in missing)
        raise _refusal(catalog, f"The {named} no source.", f"{options}{_switched_off(catalog, missing)}")


def _switched_off(catalog: Catalog, missing: Sequence[str]) -> str:
    """What may be done instead: every private table but the one that brings the cohorts can be off."""
    spared = [name for name in missing if not catalog.tables[name].public and name != catalog.cohort_table]
    if not spared:
        return ""
    return f"; or `on: false` in the catalog for what the district does not have, of {', '.join(spared)}"


def _refusal(catalog: Catalog, message: str, accepted: str) -> CatalogRefused:
    return CatalogRefused(message, file=catalog.district_id, accepted=accepted, load=True)


def _put_in_place(paths: Sequence[Path], folder: Path) -> None:
    """Make finished files durable under their names, all or none."""
    placed = []
    try:
        for path in paths:
            path.chmod(0o600)
            _sync(path)
            path.rename(folder / path.name)
            placed.append(folder / path.name)
        _sync(folder)
    except BaseException:
        for path in placed:
            path.unlink(missing_ok=True)
        raise


def _sync(target: Path) -> None:
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- one load


class _Load:
    """One load at work: a private in-memory database, the vault's file attached to it."""

    def __init__(self, catalog: Catalog, work: Path, owner_key: bytes, known: Mapping[bytes, int]) -> None:
        self.catalog = catalog
        self.report = Report(work.name.removeprefix(_WORK))
        self.path = work / f"epoch-{self.report.epoch}.duckdb"
        self.beside = work / beside.file_of(self.path.name)
        self._owner_key = owner_key
        self._known = known

    def run(
        self, connection: duckdb.DuckDBPyConnection, sources: Mapping[str, Path | pa.Table], progress: Progress
    ) -> Loaded:
        """Write the vault's file and the one beside it, and verify them."""
        connection.execute(MACROS)
        connection.execute("ATTACH '" + str(self.path).replace("'", "''") + "' AS vault")
        tables = (*self.catalog.public_tables, *self._private_tables())
        for table in self.catalog.public_tables:
            self.report.tables[table.name] = self._public(connection, table, sources[table.name])
        declared, self.catalog = self.catalog, self._resolved(connection)
        for table in self._private_tables():
            progress(table.name, len(self.report.tables) / (len(tables) + 1))
            self.report.tables[table.name] = self._private(connection, table, sources[table.name])
        persons = connection.execute(f"SELECT {OWNER}, homeroom_cohort FROM persons ORDER BY {OWNER}").fetchall()
        self._write_meta(connection)
        progress("verification", len(tables) / (len(tables) + 1))
        self._verify(declared)
        progress("done", 1.0)
        found = tuple((owner.bytes, cohort) for owner, cohort in persons)
        return Loaded(self.report.epoch, self.path.name, self.catalog, found, self.report)

    def _private_tables(self) -> list[Table]:
        """The private tables, the cohort table first: it tells who has rows at all."""
        return sorted(self.catalog.private_tables, key=lambda table: table.name != self.catalog.cohort_table)

    def _write_meta(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Finish the file: what the vault says of itself, then close it."""
        meta = {
            "format": str(FORMAT),
            "epoch": self.report.epoch,
            "catalog": self.catalog.document,
            "digest": self.catalog.digest,
        }
        connection.execute(f"CREATE TABLE vault.{META} (key VARCHAR NOT NULL, value VARCHAR NOT NULL)")
        connection.executemany(f"INSERT INTO vault.{META} VALUES (?, ?)", [list(pair) for pair in meta.items()])
        connection.execute("CHECKPOINT vault")
        connection.execute("DETACH vault")

    def _verify(self, declared: Catalog) -> None:
        """Open the finished files as whoever answers does, and hold them against the catalog once more."""
        vault = Vault.open(self.path, declared)
        try:
            broken = next(audit(vault.cursor(), vault.catalog), None)
        finally:
            vault.close()
        beside.write(self.beside, self.catalog)
        beside.read(self.beside, declared, self.catalog.digest)
        if broken is not None:
            message = f"The finished vault broke a rule ({broken}); nothing was loaded."
            raise _refusal(self.catalog, message, "a loader that keeps it: the fault is not in the sources")

    # -- public tables

    def _public(self, connection: duckdb.DuckDBPyConnection, table: Table, source: Path | pa.Table) -> TableReport:
        """Load one public table; every row must be accepted, and a refusal may show its value."""
        found = read_source(source, self.catalog, table)
        statuses = _stage(connection, self.catalog, table, found)
        for column in source_columns(self.catalog, table):
            _refuse_cell(found, column, statuses[column.name])
        for key in table.unique:
            twice = connection.execute(
                f"SELECT MIN({SOURCE}) AS homeroom_first, MAX({SOURCE}) FROM staged GROUP BY {_names(key)} "
                "HAVING COUNT(*) > 1 ORDER BY homeroom_first LIMIT 1"
            ).fetchone()
            if twice is not None:
                message = f"Rows {twice[0]:,} and {twice[1]:,} under the header agree on {', '.join(key)}."
                raise CatalogRefused(message, file=found.file, accepted="one row for each", load=True)
        names = _names(column.name for column in stored_columns(table))
        connection.execute(create_statement(table, "vault"))
        connection.execute(f"INSERT INTO vault.{quoted(table.name)} SELECT {names} FROM staged ORDER BY ALL")
        connection.execute("DROP TABLE staged")
        return TableReport(found.rows.num_rows, found.rows.num_rows, {}, {}, found.left_behind)

    def _resolved(self, connection: duckdb.DuckDBPyConnection) -> Catalog:
        """The catalog with the public tables in it; each check proved total, so that no record can fail it."""
        connection.execute("USE vault")
        rows = public_rows(connection, self.catalog)
        connection.execute("USE memory")
        catalog = resolve(self.catalog, rows)
        for table in catalog.public_tables:
            for column in stored_columns(table):
                strange = [row[column.name] for row in rows[table.name] if not _allowed(column, row)]
                if strange:
                    message = f"{table.name}.{column.name}: {strange[0]!r} is not in the table it refers to."
                    raise _refusal(catalog, message, "a value the other public table has")
        for table in catalog.private_tables:
            _prove_checks(catalog, table)
        return catalog

    # -- private tables

    def _private(self, connection: duckdb.DuckDBPyConnection, table: Table, source: Path | pa.Table) -> TableReport:
        found = read_source(source, self.catalog, table)
        read, left_behind = found.rows.num_rows, found.left_behind
        _stage(connection, self.catalog, table, found)
        del found
        home = table.name == self.catalog.cohort_table
        if home:
            self._enrol(connection)
        replaced = _replaced(connection, source_columns(self.catalog, table))
        dropped = _drops(connection, self.catalog, table)
        connection.execute("DROP TABLE staged")
        dropped |= _apply_rules(connection, self.catalog, table)
        kept = _write_rows(connection, self.catalog, table)
        if home:
            self._settle(connection)
        return TableReport(read, kept, {reason: n for reason, n in dropped.items() if n}, replaced, left_behind)

    def _enrol(self, connection: duckdb.DuckDBPyConnection) -> None:
        """The table `persons`: source id, owner hash, cohort, and whether the register knows the student.

        Its columns, as all of the loader's own, have names no catalog can declare.
        """
        found = connection.execute(f"SELECT DISTINCT {SOURCE} FROM staged WHERE homeroom_drop = ''").fetchall()
        hashes = {one: hmac.digest(self._owner_key, one.encode(), "sha256")[:OWNER_BYTES] for (one,) in found}
        if len(set(hashes.values())) < len(hashes):
            raise _refusal(self.catalog, "Two source ids have one hash.", "another owner column")
        owners = {
            "homeroom_id": pa.array(hashes, pa.string()),
            "homeroom_hash": pa.array([str(uuid.UUID(bytes=one)) for one in hashes.values()], pa.string()),
            "homeroom_known": pa.array([self._known.get(one) for one in hashes.values()], pa.int64()),
        }
        connection.register("owners", pa.table(owners))
        cohort = f"COALESCE(homeroom_known, MIN({quoted(self.catalog.cohort)}))"
        connection.execute(
            f"CREATE TEMP TABLE persons AS SELECT homeroom_id, CAST(homeroom_hash AS UUID) AS {OWNER}, "
            f"{cohort} AS homeroom_cohort, homeroom_known IS NOT NULL AS homeroom_registered "
            f"FROM staged JOIN owners ON {SOURCE} = homeroom_id WHERE homeroom_drop = '' "
            "GROUP BY homeroom_id, homeroom_hash, homeroom_known "
            f"HAVING {cohort} IN ({', '.join(map(str, self.catalog.cohorts))})"
        )
        connection.unregister("owners")

    def _settle(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Whoever has no row left in the cohort table has rows nowhere."""
        home = f"SELECT {OWNER} FROM vault.{quoted(self.catalog.cohort_table)}"
        connection.execute(f"DELETE FROM persons WHERE {OWNER} NOT IN ({home})")
        if _number(connection, "SELECT COUNT(*) FROM persons") > self.catalog.max_students:
            message = f"There are more students than the declared max_students, {self.catalog.max_students:,}."
            raise _refusal(self.catalog, message, "a greater max_students, declared before the load")


def _names(columns: Iterable[str]) -> str:
    return ", ".join(map(quoted, columns))


def _number(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    return int(connection.execute(statement).fetchall()[0][0])


def _prove_checks(catalog: Catalog, table: Table) -> None:
    """Refuse a check whose arithmetic some record could make too large: it would fail the load of all others."""
    known = intervals.declared_environment(table)
    for text, check in zip(table.check_texts, table.checks, strict=True):
        try:
            intervals.evaluate(check, known)
        except QueryRefused as refused:
            message = f"tables.{table.name}.checks: {text}: {refused.message}"
            raise _refusal(catalog, message, refused.accepted or "a check on smaller numbers") from None


def _allowed(column: Column, row: Mapping[str, Any]) -> bool:
    """Whether a public value is what its resolved column says."""
    value = row[column.name]
    if value is None:
        return True
    if column.ranges is not None:
        key = tuple(row[name] for name in column.ranges.keys)
        return any(own == key and low <= value <= high for own, low, high in column.ranges.rows)
    return column.values is None or value in column.values


def _refuse_cell(source: Source, column: Column, statuses: Any) -> None:
    """Refuse the first row of a public table whose cell is not accepted."""
    refused = [WRONG] if column.nullable or column.default is not None else [WRONG, BLANK]
    (wrong,) = np.nonzero(np.isin(statuses.to_numpy(), refused))
    if len(wrong):
        shown = repr(source.rows.column(column.name)[int(wrong[0])].as_py())[:SHOWN_CHARACTERS_MAX]
        raise CatalogRefused(
            f"Row {int(wrong[0]) + 1:,} under the header: {shown} is not accepted in {column.name}.",
            file=source.file,
            accepted=f"{column.type}, on the declared list and within the declared bounds",
            load=True,
        )


# -- from a source to cleaned rows


def _status(column: Column) -> str:
    return quoted(f"homeroom_status_{column.name}")


def _stage(connection: duckdb.DuckDBPyConnection, catalog: Catalog, table: Table, source: Source) -> dict[str, Any]:
    """Make the table `staged`: each source row with its cleaned cells, their statuses, and why it is dropped.

    Returns:
        The statuses by column, ranges aside.
    """
    ids = source.rows.column(SOURCE)
    rows = {SOURCE: ids if table.public else clean_ids(connection, ids)}
    statuses = {}
    columns = source_columns(catalog, table)
    for column in columns:
        try:
            cells = clean(connection, column, source.rows.column(column.name))
        except pa.ArrowException:
            message = f"The column {column.name} cannot be read as plain values."
            raise CatalogRefused(message, file=source.file, accepted="text, numbers or flags", load=True) from None
        rows |= {column.name: cells.values, f"homeroom_status_{column.name}": cells.statuses}
        statuses[column.name] = cells.statuses
    constants = [
        f"{literal(column.constant, column.type)} AS {quoted(column.name)}"
        for column in stored_columns(table)
        if column.constant is not None
    ]
    connection.register("homeroom_cleaned", pa.table(rows))
    text = f"SELECT {', '.join(['*', *constants])} FROM homeroom_cleaned"
    for column in (column for column in columns if column.ranges is not None):
        text = _ranged(column, text)
    connection.execute(
        f"CREATE TEMP TABLE staged AS SELECT *, {_reason(catalog, table)} AS homeroom_drop FROM ({text})"
    )
    connection.unregister("homeroom_cleaned")
    return statuses


def _ranged(column: Column, text: str) -> str:
    """Hold a column against the range its row's keys have; off it, or without one, the cell is not accepted."""
    ranges = column.ranges
    if ranges is None:
        raise AssertionError
    name, status = quoted(column.name), _status(column)
    matching = " AND ".join(f"cleaned.{quoted(key)} IS NOT DISTINCT FROM ranges.{quoted(key)}" for key in ranges.keys)
    inside = f"cleaned.{name} BETWEEN ranges.{quoted(ranges.low)} AND ranges.{quoted(ranges.high)}"
    wrong = f"cleaned.{status} = {ACCEPTED} AND ({inside}) IS NOT TRUE"
    instead = "NULL" if column.default is None else literal(column.default, column.type)
    return (
        f"SELECT cleaned.* REPLACE (CASE WHEN {wrong} THEN {instead} ELSE cleaned.{name} END AS {name}, "
        f"CASE WHEN {wrong} THEN {WRONG} ELSE cleaned.{status} END AS {status}) "
        f"FROM ({text}) AS cleaned LEFT JOIN vault.{quoted(ranges.table)} AS ranges ON {matching}"
    )


def _reason(catalog: Catalog, table: Table) -> str:
    """SQL: why a row is dropped for its own cells; empty where it is not."""
    if table.public:
        return "''"
    needed = [c.name for c in source_columns(catalog, table) if not c.nullable and c.name != catalog.cohort]
    whens = [f"WHEN {SOURCE} IS NULL THEN 'no owner'"]
    whens += [f"WHEN {quoted(name)} IS NULL THEN {_text('no accepted ' + name)}" for name in needed]
    return f"CASE {' '.join(whens)} ELSE '' END"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _replaced(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> dict[str, dict[str, int]]:
    """How many cells of rows with an owner were blank or not accepted, by column."""
    found: dict[str, dict[str, int]] = {}
    for column in columns:
        blank, wrong = connection.execute(
            f"SELECT COUNT(*) FILTER (WHERE {_status(column)} = {BLANK}), "
            f"COUNT(*) FILTER (WHERE {_status(column)} = {WRONG}) FROM staged WHERE {SOURCE} IS NOT NULL"
        ).fetchall()[0]
        if blank or wrong:
            found[column.name] = {"blank": blank, "not accepted": wrong}
    return found


def _drops(connection: duckdb.DuckDBPyConnection, catalog: Catalog, table: Table) -> dict[str, int]:
    """Make the table `kept`: the accepted rows of students with a cohort; how many went, by reason."""
    dropped = dict(
        connection.execute(
            "SELECT homeroom_drop, COUNT(*) FROM staged WHERE homeroom_drop <> '' GROUP BY ALL"
        ).fetchall()
    )
    columns = [
        f"persons.homeroom_cohort AS {quoted(column.name)}"
        if column.name == catalog.cohort
        else f"staged.{quoted(column.name)}"
        for column in stored_columns(table)
    ]
    home = table.name == catalog.cohort_table
    own = f" AND (persons.homeroom_registered OR staged.{quoted(catalog.cohort)} IS NOT NULL)" if home else ""
    connection.execute(
        f"CREATE TEMP TABLE kept AS SELECT row_number() OVER () AS {_ROW}, persons.{OWNER}, {', '.join(columns)} "
        f"FROM staged JOIN persons ON staged.{SOURCE} = persons.homeroom_id WHERE homeroom_drop = ''{own}"
    )
    accepted = _number(connection, "SELECT COUNT(*) FROM staged WHERE homeroom_drop = ''")
    return dropped | {OUTSIDE: accepted - _number(connection, "SELECT COUNT(*) FROM kept")}


def _apply_rules(connection: duckdb.DuckDBPyConnection, catalog: Catalog, table: Table) -> dict[str, int]:
    """Delete from `kept` what breaks a check, a unique key, a cap or the most rows of a student; how many, by rule.

    Which rows of a student go depends on that student's rows alone: ties are broken by every column, and rows
    alike in all columns are interchangeable.
    """
    every = [f"{quoted(column.name)} ASC NULLS LAST" for column in stored_columns(table)]
    best = every if table.keep_highest is None else [f"{quoted(table.keep_highest)} DESC NULLS LAST", *every]
    breaks = {
        f"check {text}": f"({sql(check)}) IS DISTINCT FROM TRUE"
        for text, check in zip(table.check_texts, table.checks, strict=True)
    }
    for key in table.unique:
        others = [part for part in key if part != catalog.owner]
        breaks[f"unique {', '.join(key)}"] = _beyond(others, best, 1)
    for cap in table.caps:
        breaks[f"cap per {', '.join(cap.per)}"] = _beyond(cap.per, every, cap.rows)
    if table.rows_per_student_max is not None:
        breaks["rows_per_student_max"] = _beyond((), every, table.rows_per_student_max)
    return {rule: _number(connection, f"DELETE FROM kept WHERE {broken}") for rule, broken in breaks.items()}


def _beyond(per: Sequence[str], order: Sequence[str], rows: int) -> str:
    """SQL: whether a row comes after the first `rows` of a student's group; only groups with more are ranked.

    Rows are named by a number of our own: a catalog may declare a column called rowid, and then the database's
    rowid is that column, and a row of one student would take others' rows with it.
    """
    group = ", ".join([OWNER, *map(quoted, per)])
    large = f"SELECT {group} FROM kept GROUP BY {group} HAVING COUNT(*) > {rows}"
    ranked = f"ROW_NUMBER() OVER (PARTITION BY {group} ORDER BY {', '.join(order)}) AS homeroom_place"
    return (
        f"{_ROW} IN (SELECT {_ROW} FROM (SELECT {_ROW}, {ranked} "
        f"FROM kept SEMI JOIN ({large}) AS large USING ({group})) WHERE homeroom_place > {rows})"
    )


def _write_rows(connection: duckdb.DuckDBPyConnection, catalog: Catalog, table: Table) -> int:
    """Write the kept rows into the vault, in an order that says nothing about the source's; how many they are."""
    connection.execute(create_statement(table, "vault"))
    names = _names((OWNER, *(column.name for column in stored_columns(table))))
    order = f"{quoted(catalog.cohort)}, {names}"
    written = _number(connection, f"INSERT INTO vault.{quoted(table.name)} SELECT {names} FROM kept ORDER BY {order}")
    connection.execute("DROP TABLE kept")
    return written
