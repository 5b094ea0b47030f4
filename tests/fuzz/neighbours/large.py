"""Large neighbouring databases of the invented district, their rows in random order, for four threads."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow.compute as pc

from engine.intake.demo import generate
from engine.sql import quoted
from engine.statistic import NO_LIMITS, Limits
from engine.vault import META, Vault, locks, stored_tables

from .pairs import Pairs, neighbour, vault_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.catalog import Catalog

ROW_GROUP_ROWS = 8_192
"""Small, so that each thread has several to work on."""

THREADS = 4

_OVER = "OVER (PARTITION BY student_key"
TIES = [
    f"SELECT subject_area, COUNT(*) FROM (SELECT student_key, subject_area, ROW_NUMBER() {_OVER} ORDER BY school_year) AS k FROM course_grade) WHERE k = 1 GROUP BY 1",
    f"SELECT COUNT(*) FROM (SELECT student_key, ROW_NUMBER() {_OVER} ORDER BY subject_area) AS a, ROW_NUMBER() {_OVER} ORDER BY subject_area DESC) AS b FROM course_grade) WHERE a = b",
    f"SELECT COUNT(*) FROM (SELECT student_key, ROW_NUMBER() {_OVER} ORDER BY school_year) AS a, ROW_NUMBER() {_OVER}, school_year ORDER BY school_year DESC) AS b FROM course_grade) WHERE a = b",
    f"SELECT COUNT(*) FROM (SELECT student_key, ROW_NUMBER() {_OVER} ORDER BY school_year) AS a, LAG(school_year) {_OVER} ORDER BY school_year DESC) AS b FROM course_grade) WHERE a IN (1, 2, 3, 4) AND b IS NULL",
    f"SELECT subject_area = before, COUNT(*) FROM (SELECT student_key, subject_area, LAG(subject_area) {_OVER} ORDER BY school_year) AS before FROM course_grade) GROUP BY 1",
    f"SELECT f, l, COUNT(*) FROM (SELECT student_key, FIRST_VALUE(subject_area) {_OVER} ORDER BY course_level) AS f, LAST_VALUE(course_level) {_OVER} ORDER BY school_year ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING) AS l FROM course_grade) GROUP BY ALL",
    f"SELECT COUNT_IF(s > 0.5), AVG(a) FROM (SELECT student_key, SUM(credits_earned) {_OVER} ORDER BY school_year ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s, AVG(grade_points) {_OVER} ORDER BY is_passed ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) AS a FROM course_grade)",
    f"SELECT n, k > 3, COUNT(*) FROM (SELECT student_key, NTILE(3) {_OVER} ORDER BY school_id) AS n, ROW_NUMBER() {_OVER}, is_passed ORDER BY subject_area) AS k FROM course_grade) GROUP BY ALL",
    "SELECT x = y, COUNT(*) FROM (SELECT student_key, ARG_MAX(subject_area, school_year) AS x, LAST(subject_area ORDER BY school_year) AS y FROM course_grade GROUP BY student_key) GROUP BY 1",
    "SELECT COUNT_IF(v > 0.2), SUM(a) FROM (SELECT student_key, VARIANCE(grade_points) AS v, AVG(grade_points) AS a, MEDIAN(grade_points) AS m FROM course_grade GROUP BY student_key)",
    f"WITH w AS (SELECT student_key, subject_area, ROW_NUMBER() {_OVER} ORDER BY school_year) AS k FROM course_grade) SELECT a.subject_area, COUNT(*) FROM w a JOIN w b ON b.student_key = a.student_key AND b.k = a.k + 1 AND b.subject_area = a.subject_area WHERE a.k <= 5 GROUP BY 1",
    f"SELECT k, COUNT(*) FROM (SELECT student_key, k, ROW_NUMBER() {_OVER} ORDER BY k) AS j FROM (SELECT student_key, ROW_NUMBER() {_OVER} ORDER BY school_year) AS k FROM course_grade)) WHERE j = 2 GROUP BY 1",
    f"SELECT COUNT(*) FROM student s WHERE EXISTS (SELECT 1 FROM (SELECT student_key, is_passed, ROW_NUMBER() {_OVER} ORDER BY school_year) AS k FROM course_grade) g WHERE g.student_key = s.student_key AND g.k = 2 AND NOT g.is_passed)",
]  # fmt: skip
"""Questions in which an order leaves rows in doubt: many courses of a student are of one year."""


@dataclass(frozen=True)
class Written:
    """A question as it is written."""

    sql: str
    cohorts: tuple[int, ...]
    limits: Limits = NO_LIMITS


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
