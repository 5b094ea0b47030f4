"""The records that a load takes the place of: what they were declared as, and who of them is gone.

Reads two finished vaults, of students' hashes alone, and counts.
"""
# ruff: noqa: S608 - statements are made of quoted catalog names

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import duckdb

from engine.catalog_file import catalog_of_document
from engine.compile import OWNER, RESEARCH
from engine.sql import quoted
from engine.vault import META

if TYPE_CHECKING:
    from pathlib import Path

    from engine.catalog import Catalog


class Change(NamedTuple):
    """How the students of two loads differ.

    Attributes:
        before: how many there were.
        gone: those of them who are there no more.
        fresh: who was not there before.
        opted_out_gone: those gone who had opted out.
    """

    before: int
    gone: int
    fresh: int
    opted_out_gone: int


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


def change(former: Path, former_home: str, vault: Path, home: str) -> Change | None:
    """How the students of two vaults differ; None where the former cannot be read.

    Args:
        former: the vault of before.
        former_home: its cohort table.
        vault: the vault of now.
        home: its cohort table.
    """
    owners = f"SELECT {OWNER}, bool_and({RESEARCH}) AS takes_part FROM {{}}.{{}} GROUP BY {OWNER}"
    try:
        with duckdb.connect() as connection:
            for name, file in (("former", former), ("present", vault)):
                connection.execute("ATTACH '" + str(file).replace("'", "''") + f"' AS {name} (READ_ONLY)")
            counts = connection.execute(
                f"SELECT COUNT(f.{OWNER}), COUNT(*) FILTER (p.{OWNER} IS NULL), COUNT(*) FILTER (f.{OWNER} IS NULL), "
                f"COUNT(*) FILTER (p.{OWNER} IS NULL AND NOT f.takes_part) "
                f"FROM ({owners.format('former', quoted(former_home))}) AS f "
                f"FULL JOIN ({owners.format('present', quoted(home))}) AS p ON f.{OWNER} = p.{OWNER}"
            ).fetchall()[0]
    except (duckdb.Error, OSError):
        return None
    return Change(*map(int, counts))
