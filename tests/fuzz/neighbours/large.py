"""Large neighbouring databases of the invented district, their rows in random order, for four threads."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow.compute as pc

from engine.intake.demo import generate
from engine.sql import quoted
from engine.vault import META, Vault, locks, stored_tables

from .pairs import Pairs, neighbour, vault_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.catalog import Catalog

ROW_GROUP_ROWS = 8_192
"""Small, so that each thread has several to work on."""

THREADS = 4


def large_pairs(declared: Catalog, students: int, folder: Path, seed: int = 1) -> Pairs:
    """The invented district, without its busiest student, and without any one."""
    tables = generate(students, seed=seed)
    private = [table.name for table in declared.private_tables]
    counts = tables["course_grade"]["student_key"].value_counts()
    busiest = max(counts, key=lambda row: row["counts"].as_py())["values"].as_py()
    anybody = random.Random(seed).choice(tables["student"]["student_key"].to_pylist())
    whole = _shuffled(vault_of(declared, tables, folder), folder, 0)
    others = []
    for number, source in enumerate((busiest, anybody), 1):
        left = {name: _without(table, source, number) if name in private else table for name, table in tables.items()}
        others.append(neighbour(whole, source, _shuffled(vault_of(declared, left, folder), folder, number)))
    return Pairs(whole.catalog, whole, others)


def _without(table: Any, source: str, seed: int) -> Any:
    kept = table.filter(pc.not_equal(table["student_key"], source))
    return kept.take(np.random.default_rng(seed).permutation(kept.num_rows))


def _shuffled(vault: Vault, folder: Path, seed: int) -> Vault:
    """The same rows in another order, in a file of small row groups that is read by four threads."""
    path = folder / f"shuffled{seed}.duckdb"
    catalog, epoch = vault.catalog, vault.epoch
    vault.close()
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{folder / f'epoch-{epoch}.duckdb'}' AS source (READ_ONLY)")
        connection.execute(f"ATTACH '{path}' AS target (ROW_GROUP_SIZE {ROW_GROUP_ROWS})")
        for name in (META, *(table.name for table in stored_tables(catalog))):
            connection.execute(
                f"CREATE TABLE target.{quoted(name)} AS SELECT * FROM source.{quoted(name)} ORDER BY hash(rowid + {seed})"
            )
        connection.execute("CHECKPOINT target")
    settings: Mapping[str, Any] = {**locks(), "threads": str(THREADS)}
    return Vault(duckdb.connect(str(path), read_only=True, config=dict(settings)), catalog, epoch)
