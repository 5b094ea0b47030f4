"""How many rows one student can bring into a statistic, and how they can lie in its groups.

Keys, pins and caps: a unique key that includes the owner leaves at most as many rows of a student as its
other columns have values left; a cap leaves its number of rows for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from engine.analysis.intervals import Range
    from engine.catalog import Catalog, Table, Value


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one student can contribute to the vector of a statistic.

    Attributes:
        rows: m, most rows of one student in all groups together.
        rows_per_group: m_g, most rows of one student in one group.
        groups: g, most groups one student can be in.
    """

    rows: int
    rows_per_group: int
    groups: int

    def l2_squared(self, bound: int) -> int:
        """The greatest squared L2 norm of one student's vector, each row being at most `bound` in magnitude.

        A convex function of the rows per group is greatest where as many groups as possible are full:
        q groups of m_g rows and one of the rest.
        """
        if self.rows == 0 or bound == 0 or self.groups == 0:
            return 0
        per_group = min(self.rows_per_group, self.rows)
        full, rest = divmod(self.rows, per_group)
        if full >= self.groups:
            return bound * bound * self.groups * per_group * per_group
        return bound * bound * (full * per_group * per_group + rest * rest)


@dataclass(frozen=True, slots=True)
class Basis:
    """Why a student has at most so many rows.

    Attributes:
        rows: how many.
        kind: `unique` key, `cap` per key value, `rows_per_student_max`, or `contradiction` (no row at all).
        columns: of the key or cap, without the owner.
        values_left: how many values the conditions leave each of them, 1 for what is fixed or the student's own.
    """

    rows: int
    kind: Literal["unique", "cap", "rows_per_student_max", "contradiction"]
    columns: tuple[str, ...] = ()
    values_left: tuple[int, ...] = ()


def student_columns(catalog: Catalog, table: Table) -> frozenset[str]:
    """Columns that have one value per student: the cohort, and all of a table with one row per student."""
    if (catalog.owner,) in table.unique:
        return frozenset(table.columns)
    return frozenset({catalog.cohort})


def rows_basis(catalog: Catalog, table: Table, known: Mapping[str, Range], fixed: Collection[str] = ()) -> Basis:
    """The sharpest proof of how many rows of one student there can be, given what is known of the columns.

    Args:
        catalog: declares the owner and the cohort.
        table: the scanned table with its unique keys and caps.
        known: ranges of the columns, narrowed by the pins; an empty one means no row at all.
        fixed: columns taken at one value, such as the keys of a group.
    """
    if any(found.empty and not found.nullable for found in known.values()):
        return Basis(0, "contradiction")
    constant = student_columns(catalog, table) | {catalog.owner} | set(fixed)

    def left(name: str) -> int | None:
        if name in constant:
            return 1
        values = known[name].values
        return None if values is None else len(values) + known[name].nullable

    def proofs() -> Iterator[Basis]:
        if table.rows_per_student_max is not None:
            yield Basis(table.rows_per_student_max, "rows_per_student_max")
        keys: list[tuple[Literal["unique", "cap"], int, tuple[str, ...]]] = [
            *(("unique", 1, key) for key in table.unique),
            *(("cap", cap.rows, cap.per) for cap in table.caps),
        ]
        for kind, each, key in keys:
            columns = tuple(name for name in key if name != catalog.owner)
            counts = [left(name) for name in columns]
            values_left = tuple(count for count in counts if count is not None)
            if len(values_left) == len(columns):
                yield Basis(each * math.prod(values_left), kind, columns, values_left)

    return min(proofs(), key=lambda basis: basis.rows)


def rows_max(catalog: Catalog, table: Table, known: Mapping[str, Range], fixed: Collection[str] = ()) -> int:
    """Most rows of one student, as `rows_basis` proves it."""
    return rows_basis(catalog, table, known, fixed).rows


def contribution(
    catalog: Catalog,
    table: Table,
    known: Mapping[str, Range],
    keys: Sequence[str],
    key_rows: Sequence[tuple[Value | None, ...]],
) -> Contribution:
    """What one student can contribute to a statistic with these groups.

    Args:
        catalog: declares the owner and the cohort.
        table: the scanned table.
        known: ranges of the columns where the statistic's conditions are true.
        keys: the GROUP BY columns.
        key_rows: the key list.
    """
    rows = rows_max(catalog, table, known)
    constant = student_columns(catalog, table)
    moving = [position for position, name in enumerate(keys) if name not in constant]
    reachable = math.prod(
        len(values) + known[keys[p]].nullable for p in moving if (values := known[keys[p]].values) is not None
    )
    groups = min(reachable, len(key_rows)) if keys else 1
    if len(moving) < len(keys) and len(moving) > 0:
        groups = min(groups, len({tuple(row[p] for p in moving) for row in key_rows}))
    return Contribution(
        rows=rows,
        rows_per_group=min(rows, rows_max(catalog, table, known, fixed=frozenset(keys))),
        groups=groups,
    )
