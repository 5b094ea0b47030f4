"""Random records, hostile ones among them: source tables as a district might send them.

Some students are full: they have as many rows as the catalog permits. Others send more, or the same twice.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from engine import tree
from engine.days import iso
from engine.intake.header import source_columns

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

    from engine.catalog import Catalog, Column, Table

    from .catalogs import Declared, Predicate

    Row = dict[str, Any]
    Rows = dict[str, list[Row]]

HOSTILE: list[str | None] = [
    None,
    "",
    " ",
    "NULL",
    "NA",
    "NaN",
    "nan",
    "inf",
    "-inf",
    "-0.0",
    "1e300",
    "-1e300",
    "1e309",
    "5e-324",
    "2147483648",
    "-2147483649",
    "4611686018427387903",
    "-4611686018427387903",
    "4611686018427387904",
    "9223372036854775808",
    "0.00000000001",
    "0x10",
    "1_000",
    "O'Brien",
    "Ω",
    "\u00a0sat ",
    "%s",
    "NUL\0here",
    "yes",
    "2",
    "2025-02-29",
    "2024-12-31T00:00:00Z",
    "2024-12-31 00:00:00",
]
FREE_INTEGERS = [0, 1, -1, 2**31, -(2**31), 2**62 - 1, 1 - 2**62, 10**18, 7]
FREE_DOUBLES = [0.0, 1.0, -1.5, 1e300, -1e300, 5e-324, 2.0**53 + 2, 1e18, 0.1, 1.7e308]
TRUE, FALSE = ["true", "T", "yes", "1"], ["false", "F", "no", "0"]
COMBINATIONS_MAX = 4_000
FULL_ROWS_MAX = 48


def private_tables(catalog: Catalog) -> list[Table]:
    """The private tables, the cohort table first."""
    return sorted(catalog.private_tables, key=lambda table: table.name != catalog.cohort_table)


# -- what a column may hold


def accepted(declared: Declared, column: Column) -> list[Any]:  # noqa: PLR0911 - one for each sort of column
    """Values a column accepts: its list, or its ends and some between; NULL where it may be."""
    nothing = [None] if column.nullable else []
    if column.constant is not None:
        return [column.constant]
    if column.name == declared.catalog.cohort:
        return list(declared.catalog.cohorts)
    if column.name == "place_id":
        return [*declared.places, *nothing]
    if column.type == tree.DATE:
        days = column.values or sorted({column.low, min(column.low + 1, column.high), column.high})
        return [*map(iso, days), *nothing]
    if column.values is not None:
        return [*column.values, *nothing]
    if column.name == "points":
        return [*{end for _, low, high in declared.spans for end in (low, high)}, *nothing]
    if column.type == tree.TEXT:
        return ["O'Brien", "Ω", "a", "", *nothing]
    if column.low is None or column.high is None:
        return [*(FREE_DOUBLES if column.type == tree.DOUBLE else FREE_INTEGERS), *nothing]
    low, high, unit = Fraction(column.low), Fraction(column.high), Fraction(1, 10**column.type.scale)
    if column.type == tree.DOUBLE:
        middle = math.nextafter(float(column.low), float(column.high))
        return [float(column.low), float(column.high), middle, *nothing]
    inner = {
        value for value in (low + unit, high - unit, Fraction(0), Fraction(1), Fraction(2)) if low <= value <= high
    }
    return [low, high, *sorted(inner), *nothing]


def text_of(value: Any, rng: random.Random) -> str | None:
    """A value as a cell of a source."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return rng.choice(TRUE if value else FALSE)
    if isinstance(value, Fraction):
        return _decimal(value)
    return repr(value)


def _decimal(value: Fraction) -> str:
    scale = next(scale for scale in range(19) if (value * 10**scale).denominator == 1)
    digits = f"{abs(int(value * 10**scale)):0{scale + 1}d}"
    sign = "-" if value < 0 else ""
    return sign + (digits if not scale else f"{digits[:-scale]}.{digits[-scale:]}")


# -- students


def holds(checks: Iterable[Predicate], row: Mapping[str, Any]) -> bool:
    """Whether a row keeps all checks."""
    return all(check(row) for check in checks)


def fill(
    table: Table,
    owner: str,
    checks: Sequence[Predicate],
    pools: Mapping[str, Sequence[Any]],
    order: Sequence[str],
    others: Mapping[str, Any],
) -> list[Row]:
    """As many rows as a table permits one student, with values from the pools, the first of `order` slowest.

    Args:
        table: its keys, caps and most rows are kept.
        owner: name of the owner column.
        checks: kept as well.
        pools: the values of each column in `order`.
        order: the columns that vary.
        others: the one value of each other column.
    """
    rows: list[Row] = []
    most = min(table.rows_per_student_max or 1, FULL_ROWS_MAX)
    limits = [([part for part in key if part != owner], 1) for key in table.unique]
    limits += [(list(cap.per), cap.rows) for cap in table.caps]
    used: dict[tuple[int, tuple[Any, ...]], int] = {}
    for values in itertools.islice(itertools.product(*(pools[name] for name in order)), COMBINATIONS_MAX):
        row = {**others, **dict(zip(order, values, strict=True))}
        if not holds(checks, row):
            continue
        places = [(i, tuple(row[part] for part in parts)) for i, (parts, _) in enumerate(limits)]
        while len(rows) < most and all(used.get(p, 0) < limits[p[0]][1] for p in places):
            rows.append(dict(row))
            for place in places:
                used[place] = used.get(place, 0) + 1
        if len(rows) == most:
            break
    return rows


def full_student(declared: Declared, rng: random.Random) -> Rows:
    """A student with as many rows as the catalog permits, with values at the ends of what is accepted."""
    cohort = rng.choice(declared.catalog.cohorts)
    found: Rows = {}
    for table in private_tables(declared.catalog):
        pools = {column.name: accepted(declared, column) for column in table.columns.values() if column.on}
        for pool in pools.values():
            rng.shuffle(pool)
        pools[declared.catalog.cohort] = [cohort]
        told = {part for key in table.unique for part in key} | {part for cap in table.caps for part in cap.per}
        order = [name for name in pools if name in told and name != declared.catalog.cohort]
        rng.shuffle(order)
        found[table.name] = []
        for _ in range(3):  # values outside the keys may break a check: try others
            others = {name: rng.choice(pool) for name, pool in pools.items()}
            rows = fill(table, declared.catalog.owner, declared.checks[table.name], pools, order, others)
            found[table.name] = max(found[table.name], rows, key=len)
        _vary(found[table.name], pools, told, declared.checks[table.name], rng)
    return found


def _vary(
    rows: list[Row],
    pools: Mapping[str, Sequence[Any]],
    told: set[str],
    checks: Sequence[Predicate],
    rng: random.Random,
) -> None:
    """Give some of a student's rows other values in the columns that are in no key and no cap."""
    free = [name for name in pools if name not in told]
    for row in rows:
        if free and rng.random() < 0.3:
            name = rng.choice(free)
            if holds(checks, other := {**row, name: rng.choice(pools[name])}):
                row.update(other)


def any_student(declared: Declared, rng: random.Random) -> Rows:
    """A student with random rows, some cells of which no catalog accepts."""
    found: Rows = {}
    cohort = rng.choice(declared.catalog.cohorts)
    for table in private_tables(declared.catalog):
        home = table.name == declared.catalog.cohort_table
        pools = {column.name: accepted(declared, column) for column in table.columns.values() if column.on}
        pools[declared.catalog.cohort] = [cohort]
        size = 1 if home else rng.choice([0, 1, 2, 4, 9])
        found[table.name] = [
            {name: rng.choice(HOSTILE) if rng.random() < 0.06 else rng.choice(pool) for name, pool in pools.items()}
            for _ in range(size)
        ]
        if home and rng.random() < 0.1:
            found[table.name].append({name: rng.choice(pool) for name, pool in pools.items()})
    return found


def too_much(declared: Declared, rng: random.Random) -> Rows:
    """A student who sends more than the catalog permits, most of it twice."""
    full, more = full_student(declared, rng), full_student(declared, rng)
    cohort = full[declared.catalog.cohort_table][0][declared.catalog.cohort]
    found = {
        name: [*rows, *({**row, declared.catalog.cohort: cohort} for row in (*more[name], *rows))]
        for name, rows in full.items()
    }
    for rows in found.values():
        rng.shuffle(rows)
    return found


# -- sources


def public_sources(declared: Declared) -> dict[str, pa.Table]:
    """The public tables."""
    exams, lows, highs = zip(*declared.spans, strict=True)
    return {
        "span": pa.table({"exam": pa.array(exams), "low": pa.array(lows), "high": pa.array(highs)}),
        "place": pa.Table.from_pylist(
            [{"place_id": place, **more} for place, more in zip(declared.places, declared.attributes, strict=True)]
        ),
    }


def sources(
    declared: Declared, students: Mapping[str, Rows], seed: int, rng_of: Any, left_out: str | None = None
) -> dict[str, pa.Table]:
    """The source tables of some students, without one of them, in shuffled order.

    The cells of a student are written the same way whoever else is there.

    Args:
        declared: the catalog.
        students: rows by source id and table.
        seed: of the order of the rows.
        rng_of: a function from a text to a generator of random numbers.
        left_out: the source id of who is not there.
    """
    found = public_sources(declared)
    for table in private_tables(declared.catalog):
        names = [column.name for column in source_columns(declared.catalog, table)]
        rows: list[list[str | None]] = []
        for source, own in students.items():
            if source == left_out:
                continue
            writer = rng_of(f"{source} {table.name}")
            written = ["\u00a0" + source, source] if writer.random() < 0.2 else [source]
            rows += [
                [writer.choice(written), *(text_of(row[name], writer) for name in names)] for row in own[table.name]
            ]
        rng_of(f"{seed} {table.name}").shuffle(rows)
        rows += [[owner, *("1" for _ in names)] for owner in (None, "", "nobody") if table.name != "person"]
        found[table.name] = _arrow([declared.catalog.owner, *names], rows, table)
    return found


def _arrow(names: Sequence[str], rows: Sequence[Sequence[str | None]], table: Table) -> pa.Table:
    """Texts, but for a double column named `wild`: floats, as a Parquet file would have them."""
    columns = {}
    for position, name in enumerate(names):
        cells = [row[position] for row in rows]
        if name == "wild" and table.columns[name].nullable:
            columns[name] = pa.array([_float(cell) for cell in cells], pa.float64())
        else:
            columns[name] = pa.array(cells, pa.string())
    return pa.table(columns)


def _float(cell: str | None) -> float | None:
    try:
        return None if cell is None else float(cell)
    except ValueError:
        return None
