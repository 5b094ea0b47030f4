"""What is kept of staged rows: students with a cohort, checks, unique keys, caps; and the writing of the vault.

Every rule here is a privacy rule: what is kept of one student is a function of that student's rows, the catalog,
the public tables and the register, so that one student's rows never change another's. All of them are set-based SQL.
"""
# ruff: noqa: S608 - statements are made of quoted catalog names, `engine.sql` and this package's expressions

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from engine import tree
from engine.froms import OWNER, RESEARCH
from engine.intake.report import OUTSIDE, RETIRED
from engine.intake.staging import DROPPED, ROW, STAGED, STAGED_OWNER
from engine.sql import quoted, sql
from engine.vault import create_statement, stored_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import duckdb

    from engine.catalog import Catalog, Table

BATCH_PERSONS = 100_000
PERSONS, COHORT = "homeroom_persons", "homeroom_cohort"
_REGISTERED, _KEPT = "homeroom_registered", "homeroom_kept"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the district knows of persons before a load.

    Attributes:
        register: owner hash (16 bytes) → cohort, of everybody ever seen; it prevails over the sources.
        opted_out: owner hashes of those who are in no research statistic.
        retired: cohorts whose records are no longer kept.
    """

    register: Mapping[bytes, int]
    opted_out: Collection[bytes] = ()
    retired: Collection[int] = ()


def enrol(connection: duckdb.DuckDBPyConnection, catalog: Catalog, standing: Standing) -> None:
    """Make the table of persons from the staged cohort table: owner, cohort, whether known, kept and in research.

    Its columns, as all of the loader's own, have names no catalog can declare.
    """
    known = standing.register
    _register(
        connection, "homeroom_register", {"person": [one.hex() for one in known], "cohort": list(known.values())}
    )
    _register(connection, "homeroom_out", {"person": [one.hex() for one in standing.opted_out]})
    cohort = f"COALESCE(register.cohort, MIN(staged.{quoted(catalog.cohort)}))"
    retired = ", ".join(map(str, sorted(standing.retired))) or "NULL"
    connection.execute(
        f"CREATE TABLE {PERSONS} AS SELECT staged.{STAGED_OWNER} AS {OWNER}, {cohort} AS {COHORT}, "
        f"register.cohort IS NOT NULL AS {_REGISTERED}, "
        f"COALESCE({cohort} IN ({retired}), FALSE) IS FALSE AS {_KEPT}, "
        f"gone.person IS NULL AS {RESEARCH} FROM {STAGED} AS staged "
        f"LEFT JOIN homeroom_register AS register ON staged.{STAGED_OWNER} = register.person "
        f"LEFT JOIN homeroom_out AS gone ON staged.{STAGED_OWNER} = gone.person WHERE staged.{DROPPED} = '' "
        f"GROUP BY staged.{STAGED_OWNER}, register.cohort, gone.person "
        f"HAVING {cohort} IN ({', '.join(map(str, catalog.cohorts))})"
    )


def _register(connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, list[object]]) -> None:
    """Make a table of persons given as hexadecimal text, with what belongs to each."""
    types = {"person": pa.string(), "cohort": pa.int64()}
    connection.register("homeroom_given", pa.table({key: pa.array(v, types[key]) for key, v in columns.items()}))
    rest = "".join(f", {key}" for key in columns if key != "person")
    connection.execute(f"CREATE TABLE {name} AS SELECT CAST(person AS UUID) AS person{rest} FROM homeroom_given")
    connection.unregister("homeroom_given")


def drop_rows(connection: duckdb.DuckDBPyConnection, catalog: Catalog, table: Table) -> dict[str, int]:
    """Delete the staged rows that cannot be kept for their own cells or their student; how many, by reason."""
    reasons = f"SELECT {DROPPED}, COUNT(*) FROM {STAGED} WHERE {DROPPED} <> '' GROUP BY ALL"
    dropped: dict[str, int] = dict(connection.execute(reasons).fetchall())
    _delete(connection, f"{DROPPED} <> ''")
    unknown = f"{STAGED_OWNER} NOT IN (SELECT {OWNER} FROM {PERSONS})"
    if table.name == catalog.cohort_table:
        own = f"SELECT {OWNER} FROM {PERSONS} WHERE {_REGISTERED}"
        unknown += f" OR ({quoted(catalog.cohort)} IS NULL AND {STAGED_OWNER} NOT IN ({own}))"
    dropped[OUTSIDE] = _delete(connection, unknown)
    dropped[RETIRED] = _delete(connection, f"{STAGED_OWNER} IN (SELECT {OWNER} FROM {PERSONS} WHERE NOT {_KEPT})")
    return dropped


def apply_rules(connection: duckdb.DuckDBPyConnection, catalog: Catalog, table: Table) -> dict[str, int]:
    """Delete what breaks a check, a unique key, a cap or the most rows of a student; how many, by rule.

    Which rows of a student go depends on that student's rows alone: ties are broken by every column, and rows
    alike in all columns are interchangeable.
    """
    own = [column.name for column in stored_columns(table) if column.name != catalog.cohort]
    every = [f"{quoted(name)} ASC NULLS LAST" for name in own]
    best = [f"{quoted(table.keep_highest)} DESC NULLS LAST", *every] if table.keep_highest in own else every
    breaks = {
        f"check {text}": _breaking(catalog, check, own)
        for text, check in zip(table.check_texts, table.checks, strict=True)
    }
    for key in table.unique:
        others = [part for part in key if part not in (catalog.owner, catalog.cohort)]
        breaks[f"unique {', '.join(key)}"] = _beyond(others, best, 1)
    for cap in table.caps:
        per = [name for name in cap.per if name != catalog.cohort]
        breaks[f"cap per {', '.join(cap.per)}"] = _beyond(per, every, cap.rows)
    if table.rows_per_student_max is not None:
        breaks["rows_per_student_max"] = _beyond((), every, table.rows_per_student_max)
    return {rule: _delete(connection, broken) for rule, broken in breaks.items()}


def _breaking(catalog: Catalog, check: tree.Expr, own: Sequence[str]) -> str:
    """SQL: whether a row breaks a check, with the student's frozen cohort."""
    broken = f"({sql(check)}) IS DISTINCT FROM TRUE"
    if catalog.cohort not in tree.columns_of(check):
        return broken
    columns = ", ".join([f"staged.{ROW}", *(f"staged.{quoted(name)}" for name in own)])
    joined = (
        f"SELECT {columns}, persons.{COHORT} AS {quoted(catalog.cohort)} FROM {STAGED} AS staged "
        f"JOIN {PERSONS} AS persons ON staged.{STAGED_OWNER} = persons.{OWNER}"
    )
    return f"{ROW} IN (SELECT {ROW} FROM ({joined}) WHERE {broken})"


def _beyond(per: Sequence[str], order: Sequence[str], rows: int) -> str:
    """SQL: whether a row comes after the first `rows` of a student's group; only groups with more are ranked.

    Rows are named by a number of our own: a catalog may declare a column called rowid, and then the database's
    rowid is that column, and a row of one student would take others' rows with it.
    """
    group = ", ".join([STAGED_OWNER, *map(quoted, per)])
    large = f"SELECT {group} FROM {STAGED} GROUP BY {group} HAVING COUNT(*) > {rows}"
    ranked = f"ROW_NUMBER() OVER (PARTITION BY {group} ORDER BY {', '.join(order) or '1'}) AS homeroom_place"
    matching = " AND ".join(
        f"staged.{name} IS NOT DISTINCT FROM large.{name}" for name in (STAGED_OWNER, *map(quoted, per))
    )
    chosen = f"SELECT staged.* FROM {STAGED} AS staged SEMI JOIN ({large}) AS large ON {matching}"
    return f"{ROW} IN (SELECT {ROW} FROM (SELECT {ROW}, {ranked} FROM ({chosen})) WHERE homeroom_place > {rows})"


def write_rows(connection: duckdb.DuckDBPyConnection, catalog: Catalog, table: Table) -> int:
    """Write the staged rows into the vault, in an order that says nothing about the source's; how many they are."""
    connection.execute(create_statement(table, "vault"))
    names = [column.name for column in stored_columns(table)]
    columns = [
        f"persons.{COHORT} AS {quoted(name)}" if name == catalog.cohort else f"staged.{quoted(name)}"
        for name in names
    ]
    order = ", ".join([quoted(catalog.cohort), OWNER, *map(quoted, names)])
    return number(
        connection,
        f"INSERT INTO vault.{quoted(table.name)} "
        f"SELECT persons.{OWNER} AS {OWNER}, persons.{RESEARCH}, {', '.join(columns)} FROM {STAGED} AS staged "
        f"JOIN {PERSONS} AS persons ON staged.{STAGED_OWNER} = persons.{OWNER} ORDER BY {order}",
    )


def settle(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> int:
    """Take from the persons whoever has no row left in the cohort table, and so has rows nowhere; how many stay."""
    home = f"SELECT {OWNER} FROM vault.{quoted(catalog.cohort_table)}"
    connection.execute(f"DELETE FROM {PERSONS} WHERE {OWNER} NOT IN ({home})")
    return number(connection, f"SELECT COUNT(*) FROM {PERSONS}")


def opted_out(connection: duckdb.DuckDBPyConnection) -> int:
    """How many persons in the vault are in no research statistic."""
    return number(connection, f"SELECT COUNT(*) FROM {PERSONS} WHERE NOT {RESEARCH}")


def newcomers(connection: duckdb.DuckDBPyConnection) -> tuple[tuple[bytes, int], ...]:
    """Owner hash and cohort of everybody in the vault whom the register does not know, in the order of the hashes."""
    text = f"SELECT CAST({OWNER} AS VARCHAR), {COHORT} FROM {PERSONS} WHERE NOT {_REGISTERED} ORDER BY {OWNER}"
    found = connection.execute(text)
    batches = iter(lambda: found.fetchmany(BATCH_PERSONS), [])
    return tuple((bytes.fromhex(owner.replace("-", "")), cohort) for batch in batches for owner, cohort in batch)


def number(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    """The one number that a statement gives."""
    return int(connection.execute(statement).fetchall()[0][0])


def name_of_database(connection: duckdb.DuckDBPyConnection) -> str:
    """The name of the database that a connection is in."""
    return str(connection.execute("SELECT current_database()").fetchall()[0][0])


def _delete(connection: duckdb.DuckDBPyConnection, broken: str) -> int:
    return number(connection, f"DELETE FROM {STAGED} WHERE {broken}")


def names_of(columns: Iterable[str]) -> str:
    """Names as SQL writes them in a list."""
    return ", ".join(map(quoted, columns))
