"""Sources to the next vault: cleaned, bounded, verified, and put in place whole or not at all.

Every rule here is a privacy rule: what is kept of one student is a function of that student's rows, the catalog,
the public tables and the register, so that one student's rows never change another's. All rules are set-based
SQL over a private in-memory database; the vault file receives finished rows alone, never a source id.

The order: cells are trimmed, typed and held against lists and bounds; rows without an owner or a needed cell go;
the cohort table tells each student's cohort (the register's, if it knows the student); then checks, unique keys,
caps and the most rows of a student.
"""
# ruff: noqa: S608 - statements are made of quoted catalog names, `engine.compile` and this package's expressions

from __future__ import annotations

import hmac
import os
import secrets
import shutil
import uuid
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from engine import tree
from engine.analysis import intervals
from engine.catalog_file import resolve
from engine.compile import quoted, sql
from engine.intake.files import SOURCE, read_source, trimmed, typed
from engine.intake.report import Report, TableReport
from engine.refusals import CatalogRefused, QueryRefused, Refusal
from engine.vault import (
    FORMAT,
    META,
    OWNER,
    Vault,
    audit,
    create_statement,
    public_rows,
    storage_type,
    stored_columns,
    stored_tables,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine.catalog import Catalog, Column, Table
    from engine.intake.files import Source

    Progress = Callable[[str, float], None]

OWNER_BYTES = 16
LISTED_INLINE_MAX = 200
"""Value lists up to this long are written into the statement; longer ones are registered as a relation."""

_BLANK, _WRONG = 1, 2
_SHOWN_MAX = 60


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
    epoch = secrets.token_hex(16)
    work = folder / f".loading-{epoch}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        work.mkdir(mode=0o700)
        loaded = _Load(catalog, work, owner_key, known_cohorts, progress or _silent, threads).run(sources, epoch)
        _put_in_place(work / loaded.file, folder)
    except (duckdb.Error, pa.ArrowException, OSError):
        raise CatalogRefused(
            "The load failed; nothing has changed.", file=str(folder), accepted="free disk space and readable sources",
            load=True,
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return loaded


def _silent(_what: str, _part: float) -> None:
    pass


def _complete(catalog: Catalog, sources: Mapping[str, Path | pa.Table]) -> None:
    """Refuse unless there is one source for each table of the vault and no other."""
    wanted = {table.name for table in stored_tables(catalog)}
    for name in sorted(set(sources) | wanted):
        if name not in wanted:
            off = " that is on" if name in catalog.tables else ""
            raise _refusal(catalog, f"There is no table {name}{off}.", ", ".join(sorted(wanted)))
        if name not in sources:
            raise _refusal(catalog, f"The table {name} has no source.", f"--table {name}=FILE")


def _refusal(catalog: Catalog, message: str, accepted: str | None = None) -> CatalogRefused:
    return CatalogRefused(message, file=catalog.district_id, accepted=accepted, load=True)


def _put_in_place(path: Path, folder: Path) -> None:
    """Make a finished file durable under its name."""
    path.chmod(0o600)
    for target in (path, folder):
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            if target == path:
                path.rename(folder / path.name)
        finally:
            os.close(descriptor)


# -- what a column's cell becomes


def _literal(value: Any, of: tree.Type) -> str:
    """A catalog value as SQL, in stored units."""
    if of.kind == "exact":
        value = Fraction(str(value))
    elif of == tree.DOUBLE:
        value = float(value) or 0.0
    return sql(tree.Constant(value, of))


def _accepted(column: Column, lists: dict[str, pa.Table]) -> str:
    """SQL: whether a typed value (`v_…`) is on its list and within its bounds."""
    value = quoted(f"v_{column.name}")
    terms = [f"{value} IS NOT NULL"]
    if column.values is not None and column.type != tree.BOOLEAN:
        if len(column.values) <= LISTED_INLINE_MAX:
            terms.append(f"{value} IN ({', '.join(_literal(one, column.type) for one in column.values)})")
        else:
            name = f"list_{column.name}"
            lists[name] = pa.table({"value": list(column.values)})
            terms.append(f"{value} IN (SELECT value FROM {quoted(name)})")
    if column.low is not None:
        terms.append(f"{value} >= {_literal(column.low, column.type)}")
    if column.high is not None:
        terms.append(f"{value} <= {_literal(column.high, column.type)}")
    return f"COALESCE({' AND '.join(terms)}, FALSE)"
