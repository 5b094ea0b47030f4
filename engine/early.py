"""Whether students' rows can be counted before they are joined with public tables.

A public table says the same of every row that has its key. Where conditions and sums look at the students' own
columns, and groups at few different values of them, the rows are counted by these values first, and the counts are
joined: the sums are the same integers, and the join has hundreds of rows instead of hundreds of thousands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.catalog import Catalog, Column
    from engine.statistic import Statistic

VALUES_MAX = 10_000
"""So many combinations of values are counted by; with more there is little left to win."""


@dataclass(frozen=True, slots=True)
class Early:
    """How rows are counted before a join.

    Attributes:
        owned: the students' tables, joined with one another.
        public: the public tables, joined with the counts.
        by: names of the students' columns that are counted by.
        within: the shared conditions that look at students' columns alone.
        above: the others.
    """

    owned: tree.Relation
    public: tuple[tree.Scan, ...]
    by: tuple[str, ...]
    within: tuple[tree.Expr, ...]
    above: tuple[tree.Expr, ...]


def early(catalog: Catalog, statistics: Sequence[Statistic], common: Sequence[tree.Expr]) -> Early | None:
    """How some statistics of one relation in the same groups are counted before its join; None where they are not.

    Args:
        catalog: declares the tables.
        statistics: what is measured.
        common: the conditions they share.
    """
    relation, keys = statistics[0].relation, statistics[0].keys
    tables = tuple(scan for scan in relation.scans if isinstance(scan, tree.Scan))
    if len(tables) < len(relation.scans):
        return None  # a step has counted each student's rows already
    public = tuple(scan for scan in tables if catalog.tables[scan.table].public)
    scans = tuple(scan for scan in tables if scan not in public)
    if not public or not scans or relation.lefts or any(statistic.students for statistic in statistics):
        return None
    own = {
        f"{scan.prefix}{column.name}": _values(column)
        for scan in scans
        for column in catalog.tables[scan.table].columns.values()
        if column.on
    } | {relation.cohort: len(catalog.cohorts)}
    shared = {tree.canonical(condition) for condition in common}
    of_rows = [c for s in statistics for c in s.conditions if tree.canonical(c) not in shared]
    of_rows += [statistic.centred.arg for statistic in statistics if statistic.centred is not None]
    if not all(tree.columns_of(expr) <= own.keys() for expr in of_rows):
        return None
    within = tuple(condition for condition in common if tree.columns_of(condition) <= own.keys())
    above = tuple(condition for condition in common if condition not in within)
    if any(tree.columns_of(condition).isdisjoint(own) for condition in above):
        return None  # a condition on public rows alone: the join leaves few rows to count
    used = frozenset().union(*map(tree.columns_of, (*keys.columns, *above)))
    by = tuple(sorted(used & own.keys()))
    if math.prod(own[name] for name in by) > VALUES_MAX:
        return None
    return Early(tree.Relation(scans, (), relation.cohort), public, by, within, above)


def _values(column: Column) -> float:
    """How many values a column can have, by its declaration."""
    more = int(column.nullable)
    if column.values is not None:
        return len(column.values) + more
    if column.type == tree.BOOLEAN:
        return 2 + more
    if column.type in (tree.INTEGER, tree.DATE) and column.low is not None and column.high is not None:
        return int(column.high) - int(column.low) + 1 + more
    return math.inf
