"""The records that a load takes the place of: what they were declared as, and who of them is gone.

Reads two finished vaults, of students' hashes alone, and counts.
"""
# ruff: noqa: S608 - statements are made of quoted catalog names

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import duckdb
import pyarrow as pa

from engine.catalog_file import catalog_of_document
from engine.froms import OWNER
from engine.sql import quoted, text_literal
from engine.vault import META

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from engine.catalog import Catalog


class Change(NamedTuple):
    """How the records of two loads differ.

    Attributes:
        before: how many students there were.
        gone: those of them who are there no more.
        rows: table → its rows before and now, of the tables that both have.
    """

    before: int
    gone: int
    rows: dict[str, tuple[int, int]]


def former_catalog(vault: Path) -> Catalog | None:
    """The catalog that a vault was verified against; None where the vault is gone or of another version."""
    if not vault.is_file():
        return None
    try:
        with duckdb.connect(str(vault), read_only=True) as connection:
            found = connection.execute(f"SELECT value FROM {META} WHERE key = 'catalog'").fetchall()
    except (duckdb.Error, OSError):
        return None
    return catalog_of_document(found[0][0], vault.name) if found else None


def change(former: Path, before: Catalog, vault: Path, now: Catalog) -> Change | None:
    """How the records of two vaults differ; None where the former cannot be read.

    Args:
        former: the vault of before.
        before: its catalog.
        vault: the vault of now.
        now: its catalog.
    """
    owners = f"SELECT DISTINCT {OWNER} FROM {{}}.{{}}"
    names = {table.name for table in before.private_tables} & {table.name for table in now.private_tables}
    try:
        with duckdb.connect() as connection:
            for name, file in (("former", former), ("present", vault)):
                connection.execute(f"ATTACH {text_literal(str(file))} AS {name} (READ_ONLY)")
            gone = connection.execute(
                f"SELECT COUNT(*), COUNT(*) FILTER (p.{OWNER} IS NULL) "
                f"FROM ({owners.format('former', quoted(before.cohort_table))}) AS f "
                f"LEFT JOIN ({owners.format('present', quoted(now.cohort_table))}) AS p ON f.{OWNER} = p.{OWNER}"
            ).fetchall()[0]
            rows = {name: (_rows(connection, "former", name), _rows(connection, "present", name)) for name in names}
    except (duckdb.Error, OSError):
        return None
    return Change(int(gone[0]), int(gone[1]), rows)


def _rows(connection: duckdb.DuckDBPyConnection, vault: str, table: str) -> int:
    return int(connection.execute(f"SELECT COUNT(*) FROM {vault}.{quoted(table)}").fetchall()[0][0])


def present(vault: Path, home: str, persons: Collection[bytes]) -> frozenset[bytes]:
    """Those of some persons who have a row in a vault's cohort table."""
    given = pa.table({"person": pa.array([person.hex() for person in persons], pa.string())})
    with duckdb.connect(str(vault), read_only=True) as connection:
        connection.register("homeroom_asked", given)
        found = connection.execute(
            f"SELECT person FROM homeroom_asked WHERE CAST(person AS UUID) IN (SELECT {OWNER} FROM {quoted(home)})"
        ).fetchall()
    return frozenset(bytes.fromhex(person) for (person,) in found)
