"""Which groups may appear, from public knowledge only.

The key list of a question is made before any record is read: every combination of the listed values of its
GROUP BY columns that WHERE and the declared checks do not make certainly impossible. The answer has exactly
these rows, empty groups included.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from engine import tree
from engine.analysis.cohorts import may_hold, touched
from engine.analysis.intervals import Range, assume, listed
from engine.refusals import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.catalog import Catalog, Table, Value
    from engine.tree import Expr

GROUPS_MAX = 100_000
EVALUATIONS_MAX = 1_000_000
CUT_MAX = 10_000
"""Most combinations all conditions of a question are evaluated on; beyond it one more cuts nothing, which is safe."""

PARTS_MAX = 10_000
"""Most conditions on different groups that are evaluated to find which left-out cohorts occur; beyond it all may."""


@dataclass(frozen=True)
class KeyList:
    """The groups of a question.

    Attributes:
        columns: the GROUP BY columns; none for a question without groups, which has one row.
        rows: the groups in the answer's order, all distinct.
    """

    columns: tuple[tree.Column, ...]
    rows: tuple[tuple[Value | None, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of columns and rows."""
        return hashlib.sha256(json.dumps([self.names, self.rows]).encode()).hexdigest()


def key_list(
    catalog: Catalog, table: Table, query: tree.Query, known: Mapping[str, Range], cohorts: Sequence[int]
) -> KeyList:
    """The groups of a question over the cohorts it is asked of.

    Raises:
        QueryRefused: `keys_undeclared` where there would be too many.
    """
    columns = query.keys
    names = [column.name for column in columns]
    narrowed = assume(query.where, known)
    if narrowed is None:
        return KeyList(columns, () if columns else ((),))
    narrowed[catalog.cohort] = listed(set(cohorts) & set(narrowed[catalog.cohort].values or ()))
    lists = [_values(table, name, narrowed[name]) for name in names]
    size = math.prod(len(values) for values in lists)
    if size > EVALUATIONS_MAX:
        raise _too_many(size)
    rows: Iterable[tuple[Value | None, ...]] = itertools.product(*lists)
    left = CUT_MAX
    for conjunct in (*query.where, *table.checks):
        positions = _positions(conjunct, names)
        size = math.prod(len(lists[p]) for p in positions)
        if positions and size <= left:
            left -= size
            combinations = _allowed(conjunct, names, lists, positions, narrowed)
            rows = [row for row in rows if tuple(row[p] for p in positions) in combinations]
    found = tuple(rows)
    if len(found) > GROUPS_MAX:
        raise _too_many(len(found))
    if len(set(found)) != len(found):
        raise AssertionError
    return KeyList(columns, found)


def _too_many(size: int) -> QueryRefused:
    return QueryRefused(
        "keys_undeclared",
        f"The question has {size:,} groups.",
        accepted=f"at most {GROUPS_MAX:,}: fewer columns in GROUP BY, or WHERE on the listed columns",
    )


def _values(table: Table, name: str, found: Range) -> list[Value | None]:
    """The values a key column may take, in declared order, NULL last where it may be NULL."""
    declared = table.columns[name].values or ()
    left = found.values if found.values is not None else frozenset(declared)
    return [*(value for value in declared if value in left), *([None] if found.nullable else [])]


def _positions(conjunct: Expr, names: Sequence[str]) -> list[int]:
    """The key columns of a condition over key columns alone; none for any other."""
    used = tree.columns_of(conjunct)
    return [position for position, name in enumerate(names) if name in used] if used <= set(names) else []


def _allowed(
    conjunct: Expr,
    names: Sequence[str],
    lists: Sequence[Sequence[Value | None]],
    positions: Sequence[int],
    known: Mapping[str, Range],
) -> set[tuple[Value | None, ...]]:
    """The combinations of key values on which a condition may be true."""
    part = [names[p] for p in positions]
    return {
        row
        for row in itertools.product(*(lists[p] for p in positions))
        if may_hold((conjunct,), _at(known, part, row))
    }


def _at(known: Mapping[str, Range], names: Sequence[str], row: Sequence[Value | None]) -> dict[str, Range]:
    """What is known of the columns in one group."""
    fixed = {
        name: Range(values=frozenset(), nullable=True) if value is None else listed([value])
        for name, value in zip(names, row, strict=True)
    }
    return {**known, **fixed}


def partial_cells(
    catalog: Catalog,
    table: Table,
    conditions: Sequence[Expr],
    known: Mapping[str, Range],
    keys: KeyList,
    left_out: Sequence[int],
) -> tuple[tuple[int, ...], ...]:
    """For each group the left-out cohorts that can occur in it: such a cell is smaller than the whole."""
    if not left_out:
        return tuple(() for _ in keys.rows)
    every = tree.conjuncts((*conditions, *table.checks))
    used = frozenset().union(*(tree.columns_of(condition) for condition in every)) | {catalog.cohort}
    positions = [position for position, name in enumerate(keys.names) if name in used]
    if len({tuple(row[p] for p in positions) for row in keys.rows}) * len(every) > PARTS_MAX:
        return (tuple(left_out),) * len(keys.rows)
    found: dict[tuple[Value | None, ...], tuple[int, ...]] = {}
    for row in keys.rows:
        part = tuple(row[p] for p in positions)
        if part not in found:
            cell = _at(known, [keys.names[p] for p in positions], part)
            occurring = touched(catalog, table, conditions, cell)
            found[part] = tuple(cohort for cohort in left_out if cohort in occurring)
    return tuple(found[tuple(row[p] for p in positions)] for row in keys.rows)
