"""Databases that differ by one student, each made by the real loader."""

from __future__ import annotations

import hmac
import random
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.intake.cleaning import OWNER_BYTES
from engine.intake.load import load
from engine.intake.rules import Standing
from engine.vault import OWNER, Vault

from . import contents
from .catalogs import any_catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from engine.catalog import Catalog

    from .catalogs import Declared

KEY = b"k" * 32
OUT_SHARE = 0.25
"""So often a student who may opt out of research has done so."""

Stored = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Neighbour:
    """The database without one student; `cohort` is that student's, None for one who was in no record."""

    source: str
    owner: uuid.UUID
    cohort: int | None
    vault: Vault


@dataclass(frozen=True)
class Pairs:
    """A database and some of its neighbours."""

    catalog: Catalog
    whole: Vault
    others: Sequence[Neighbour]
    opted_out: frozenset[uuid.UUID] = frozenset()

    @cached_property
    def cohorts(self) -> Mapping[uuid.UUID, int]:
        """The cohort of each student."""
        text = f'SELECT {OWNER}, "{self.catalog.cohort}" FROM "{self.catalog.cohort_table}"'
        return dict(self.whole.cursor().execute(text).fetchall())

    def close(self) -> None:
        """Close all vaults."""
        for vault in (self.whole, *(other.vault for other in self.others)):
            vault.close()


def owner_of(source: str) -> uuid.UUID:
    """The owner hash the loader gives a source id."""
    return uuid.UUID(bytes=hmac.digest(KEY, source.encode(), "sha256")[:OWNER_BYTES])


def vault_of(catalog: Catalog, tables: Mapping[str, Any], folder: Path, opted_out: Iterable[uuid.UUID] = ()) -> Vault:
    """Load tables, and open what was made of them."""
    standing = Standing({}, [owner.bytes for owner in opted_out])
    loaded = load(catalog, tables, folder, owner_key=KEY, standing=standing, threads=1)
    return Vault.open(folder / loaded.file, catalog)


def stored(vault: Vault) -> Stored:
    """The rows of the private tables, sorted."""
    return {table.name: rows_of(vault.cursor(), table.name) for table in vault.catalog.private_tables}


def rows_of(cursor: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    """The rows of a table, the owner first, sorted."""
    return sorted(cursor.execute(f'SELECT * FROM "{table}"').fetchall(), key=repr)


def dice(seed: str) -> Callable[[str], random.Random]:
    """Generators of random numbers, one for each text."""
    return lambda text: random.Random(f"{seed} {text}")


def any_pairs(seed: str, folder: Path) -> Pairs:
    """A random catalog, a random database under it, and four neighbours: without full, immoderate, any students."""
    rng = random.Random(f"{seed} catalog")
    declared = any_catalog(rng)
    students: dict[str, contents.Rows] = {}
    for i in range(4):
        students[f"full{i}"] = contents.full_student(declared, rng)
    for i in range(2):
        students[f"much{i}"] = contents.too_much(declared, rng)
    for i in range(rng.choice([1, 6, 12])):
        students[f"any{i}"] = contents.any_student(declared, rng)
    out = [source for source in ("full1", "any0") if rng.random() < OUT_SHARE]
    return loaded_pairs(declared, students, ["full0", "full1", "much0", "any0"], seed, folder, out)


def loaded_pairs(
    declared: Declared,
    students: Mapping[str, contents.Rows],
    dropped: Sequence[str],
    seed: str,
    folder: Path,
    out: Sequence[str] = (),
) -> Pairs:
    """A database, and what it is without each of some students, each loaded from its own shuffled sources.

    Some students may have opted `out` of research; questions are then asked about all others.
    """
    rng_of = dice(seed)
    opted_out = frozenset(map(owner_of, out))
    whole = vault_of(declared.catalog, contents.sources(declared, students, 0, rng_of), folder, opted_out)
    others = []
    for number, source in enumerate(dropped, 1):
        tables = contents.sources(declared, students, number, rng_of, left_out=source)
        others.append(neighbour(whole, source, vault_of(declared.catalog, tables, folder, opted_out)))
    return Pairs(whole.catalog, whole, others, opted_out)


def neighbour(whole: Vault, source: str, vault: Vault) -> Neighbour:
    """A neighbour, with the cohort its student has in the whole database."""
    catalog, owner = whole.catalog, owner_of(source)
    cohort = whole.cursor().execute(
        f'SELECT MIN("{catalog.cohort}") FROM "{catalog.cohort_table}" WHERE {OWNER} = ?', [owner]
    )
    return Neighbour(source, owner, cohort.fetchall()[0][0], vault)
