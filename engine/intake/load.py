"""Sources to the next vault: cleaned, bounded, verified, and put in place whole or not at all.

The order: cells are trimmed, typed and held against lists and bounds (`staging`); rows without an owner or a needed
cell go; the cohort table tells each student's cohort (the register's, if it knows the student); then checks, unique
keys, caps and the most rows of a student (`rules`). Work is done in a database on the disk, in a folder that is
removed at the end; the vault file receives finished rows alone. Source ids are hashed as they are read; only where
bundles and mappings join and group rows by them do they stand in that folder, until its end.
"""
# ruff: noqa: S608 - statements are made of quoted catalog names, `engine.sql` and this package's expressions

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from engine import beside
from engine.analysis import intervals
from engine.catalog_file import resolve, sensitive_off
from engine.intake import rules
from engine.intake.report import Report, Students, TableReport
from engine.intake.sources import Plain
from engine.intake.staging import ROW, STAGED, Staged, prepare
from engine.refusals import CatalogRefused, QueryRefused, Refusal
from engine.sql import quoted, text_literal
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
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.catalog import Catalog, Column, Table
    from engine.intake.rows import Rows
    from engine.intake.rules import Standing
    from engine.intake.sources import Given, Progress, Sources

MEMORY_LIMIT = "1GB"
"""Of the database at work; what does not fit goes to its own folder on the disk."""

WORK = ".loading-"
"""What the name of a load's own folder begins with."""

_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A finished vault.

    Attributes:
        epoch: its id.
        file: its name in the vault folder.
        catalog: the resolved catalog it was verified against.
        persons: how many there are in it.
        newcomers: owner hash (16 bytes) and cohort of everybody in it whom the register does not know.
        report: what was done with the sources.
        unknown: ids of this load's opt-outs of which no load has ever brought a student.
        page: the report, once it is written.
    """

    epoch: str
    file: str
    catalog: Catalog
    persons: int
    newcomers: tuple[tuple[bytes, int], ...]
    report: Report
    unknown: tuple[str, ...] = ()
    page: Path | None = None


def load(
    catalog: Catalog,
    sources: Sources | Mapping[str, Given],
    folder: Path,
    *,
    owner_key: bytes,
    standing: Standing,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Loaded:
    """Load sources into a new vault of a folder.

    Args:
        catalog: as declared; public tables among the sources resolve it.
        sources: they bring each public table and each private table that is on; a mapping of files and tables in
            memory is one.
        folder: where the vaults are; made if it is not there.
        owner_key: the district's key; the same student has the same hash under it in every load.
        standing: what is known of persons already.
        progress: called with what is being done and how much of it, 0 to 1.
        threads: of the database; as many as the machine has if none are given. The vault does not depend on it.

    Raises:
        CatalogRefused: a source or the catalog cannot be used; nothing has changed, nothing is left behind.
    """
    chosen: Sources = Plain(sources) if isinstance(sources, Mapping) else sources
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        sweep(folder)
        with _workplace(folder) as work:
            one = _Load(catalog, work, owner_key, standing)
            with duckdb.connect(str(work / "work.duckdb"), config=_settings(work, threads)) as connection:
                loaded = one.run(connection, chosen, progress or _silent)
            _put_in_place((one.beside, one.path), folder)
    except Refusal:
        raise
    except Exception:  # noqa: BLE001 - this is the wall: no text of a database or library passes it
        message, accepted = "The load failed; nothing has changed.", "readable sources and free space on the disk"
        raise CatalogRefused(message, file=folder.name, accepted=accepted, load=True) from None
    return loaded


def _silent(_what: str, _part: float) -> None:
    pass


def _settings(work: Path, threads: int | None) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": threads or os.cpu_count() or 1,
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(work / "spill"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }


@contextlib.contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A folder for one load, removed when it ends; its lock tells others that somebody works in it."""
    work = folder / f"{WORK}{secrets.token_hex(16)}"
    work.mkdir(mode=0o700)
    try:
        with (work / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what loads that died have left behind."""
    for work in folder.glob(f"{WORK}*"):
        with contextlib.suppress(OSError), (work / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(work, ignore_errors=True)


def _complete(catalog: Catalog, given: Mapping[str, Rows]) -> None:
    """Refuse unless there is one source for each table of the vault and no other."""
    wanted = {table.name for table in stored_tables(catalog)}
    for name in sorted(set(given) - wanted):
        off = " that is on" if name in catalog.tables else ""
        raise _refusal(catalog, f"There is no table {name}{off}.", ", ".join(sorted(wanted)))
    missing = sorted(wanted - set(given))
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
            sync(path)
            path.rename(folder / path.name)
            placed.append(folder / path.name)
        sync(folder)
    except BaseException:
        for path in placed:
            path.unlink(missing_ok=True)
        raise


def sync(target: Path) -> None:
    """Make a file or folder durable."""
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Load:
    """One load at work: a private database, the vault's file attached to it."""

    def __init__(self, catalog: Catalog, work: Path, owner_key: bytes, standing: Standing) -> None:
        self.catalog = catalog
        self.report = Report(work.name.removeprefix(WORK), catalog.district_name)
        self.path = work / f"epoch-{self.report.epoch}.duckdb"
        self.beside = work / beside.file_of(self.path.name)
        self._work = work
        self._owner_key = owner_key
        self._standing = standing
        self._persons = 0

    def run(self, connection: duckdb.DuckDBPyConnection, sources: Sources, progress: Progress) -> Loaded:
        """Write the vault's file and the one beside it, and verify them."""
        owners = prepare(connection, self._owner_key)
        connection.execute(f"ATTACH {text_literal(str(self.path))} AS vault")
        given = sources.tables(self.catalog, connection, self._work, progress)
        _complete(self.catalog, given)
        for table in self.catalog.public_tables:
            self.report.tables[table.name] = self._public(connection, table, given[table.name])
        declared, self.catalog = self.catalog, self._resolved(connection)
        tables = self._private_tables()
        for position, table in enumerate(tables):
            step = _part(progress, table.name, position / (len(tables) + 1), 1 / (len(tables) + 1))
            self.report.tables[table.name] = self._private(connection, table, given[table.name], owners, step)
        self.report.files.extend(sources.files())
        self.report.taken = {table.name: _taken(self.catalog, table) for table in stored_tables(self.catalog)}
        self.report.off = tuple(sorted(sensitive_off(self.catalog.document)))
        newcomers = rules.newcomers(connection)
        self.report.students = Students(self._persons, len(newcomers), rules.opted_out(connection))
        self._write_meta(connection)
        progress("verification", len(tables) / (len(tables) + 1))
        self._verify(declared)
        progress("done", 1.0)
        return Loaded(self.report.epoch, self.path.name, self.catalog, self._persons, newcomers, self.report)

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
        vault = Vault.open(self.path, declared, memory_limit=MEMORY_LIMIT, spill=self._work / "spill")
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

    def _public(self, connection: duckdb.DuckDBPyConnection, table: Table, rows: Rows) -> TableReport:
        """Load one public table; every row must be accepted, and a refusal may show its value."""
        staged = Staged(connection, self.catalog, table, None)
        staged.take(rows, lambda _share: None)
        for key in table.unique:
            twice = connection.execute(
                f"SELECT MIN({ROW}) + 1 AS homeroom_first, MAX({ROW}) + 1 FROM {STAGED} "
                f"GROUP BY {rules.names_of(key)} HAVING COUNT(*) > 1 ORDER BY homeroom_first LIMIT 1"
            ).fetchone()
            if twice is not None:
                message = f"Rows {twice[0]:,} and {twice[1]:,} under the header agree on {', '.join(key)}."
                raise CatalogRefused(message, file=rows.file, accepted="one row for each", load=True)
        names = rules.names_of(column.name for column in stored_columns(table))
        connection.execute(create_statement(table, "vault"))
        connection.execute(f"INSERT INTO vault.{quoted(table.name)} SELECT {names} FROM {STAGED} ORDER BY ALL")
        return TableReport(staged.rows, staged.rows, {}, {}, staged.left_behind)

    def _resolved(self, connection: duckdb.DuckDBPyConnection) -> Catalog:
        """The catalog with the public tables in it; each check proved total, so that no record can fail it."""
        own = rules.name_of_database(connection)
        connection.execute("USE vault")
        rows = public_rows(connection, self.catalog)
        connection.execute(f"USE {quoted(own)}")
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

    def _private(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: Table,
        rows: Rows,
        owners: Callable[[Any], Any],
        progress: Callable[[float], None],
    ) -> TableReport:
        staged = Staged(connection, self.catalog, table, owners)
        staged.take(rows, lambda share: progress(share / 2))
        home = table.name == self.catalog.cohort_table
        if home:
            rules.enrol(connection, self.catalog, self._standing)
        replaced = staged.replaced()
        dropped = rules.drop_rows(connection, self.catalog, table)
        dropped |= rules.apply_rules(connection, self.catalog, table)
        progress(0.75)
        kept = rules.write_rows(connection, self.catalog, table)
        if home:
            self._persons = rules.settle(connection, self.catalog)
        if self._persons > self.catalog.max_students:
            message = f"There are more students than the declared max_students, {self.catalog.max_students:,}."
            raise _refusal(self.catalog, message, "a greater max_students, declared before the load")
        found = {reason: rows for reason, rows in dropped.items() if rows}
        return TableReport(staged.rows, kept, found, replaced, staged.left_behind)


def _part(progress: Progress, what: str, start: float, size: float) -> Callable[[float], None]:
    """Progress of one step, from its own share."""
    return lambda share: progress(what, start + size * share)


def _taken(catalog: Catalog, table: Table) -> tuple[str, ...]:
    """The columns a vault has of a table, but for those that say nothing of a row and the cohort, which all have."""
    columns = (column for column in stored_columns(table) if column.constant is None)
    home = table.name == catalog.cohort_table
    return tuple(column.name for column in columns if home or table.public or column.name != catalog.cohort)


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
