"""A relation with what the catalog says of its columns and rows: where every analysis begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from engine import tree
from engine.analysis.intervals import Range, assume, declared, evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.catalog import Catalog, Column, Table
    from engine.tree import Expr, Left, Relation, Scan


@dataclass(frozen=True, slots=True)
class Matched:
    """The right side of a LEFT JOIN, on rows that found a match.

    Attributes:
        frame: the right side by itself.
        known: of the names within it, where its own conditions and ON are true; None where no row can match.
        conditions: all conjuncts that are true there.
        given: the columns of what stands left of it: of one left row each has one value.
    """

    frame: Frame
    known: Mapping[str, Range] | None
    conditions: tuple[Expr, ...]
    given: frozenset[str]


@dataclass(frozen=True, slots=True)
class Frame:
    """A relation with what the catalog says of it.

    Attributes:
        columns: the declared columns by their names in the question; expressions of a right side have none.
        known: what each column can be before any condition.
        checks: conditions that are true on every row.
        names: for each scan the names in the question of its table's columns, by their own.
        lefts: the right sides of LEFT JOINs.
    """

    catalog: Catalog
    relation: Relation
    columns: Mapping[str, Column]
    known: Mapping[str, Range]
    checks: tuple[Expr, ...]
    names: Mapping[str, Mapping[str, str]]
    lefts: tuple[Matched, ...] = ()

    def table(self, scan: Scan) -> Table:
        """The declared table of a scan."""
        return self.catalog.tables[scan.table]


def _names(catalog: Catalog, relation: Relation, scan: Scan) -> dict[str, str]:
    """The names in the question of a table's columns, by their own."""
    table = catalog.tables[scan.table]
    found = {name: f"{scan.prefix}{name}" for name, column in table.columns.items() if column.on}
    if not table.public:
        found[catalog.cohort] = relation.cohort
    return found


def frame_of(catalog: Catalog, relation: Relation) -> Frame:
    """What the catalog says of a relation."""
    columns: dict[str, Column] = {}
    known: dict[str, Range] = {}
    checks: list[Expr] = []
    all_names = {scan.name: _names(catalog, relation, scan) for scan in relation.scans}
    for scan in relation.scans:
        table = catalog.tables[scan.table]
        for name, full in all_names[scan.name].items():
            if full in columns and full != relation.cohort:
                raise AssertionError  # one name for two columns: what is proved would be of another than is read
            columns[full] = table.columns[name]
            known[full] = _renamed(declared(table.columns[name]), scan.prefix)
        checks += [_check(check, scan.prefix, catalog.cohort, relation.cohort) for check in table.checks]
    lefts = []
    for left in relation.lefts:
        matched = _matched(catalog, left, known)
        lefts.append(matched)
        above = dict(_above(left, matched))
        if not above.keys().isdisjoint(known):
            raise AssertionError
        known |= above
        columns |= {name: matched.frame.columns[name] for name, _ in left.columns if name in matched.frame.columns}
    return Frame(catalog, relation, columns, known, tuple(checks), all_names, tuple(lefts))


def _renamed(found: Range, prefix: str) -> Range:
    if found.by is None or not prefix:
        return found
    return replace(found, by=replace(found.by, keys=tuple(f"{prefix}{key}" for key in found.by.keys)))


@lru_cache(maxsize=1024)
def _check(check: Expr, prefix: str, cohort: str, cohort_here: str) -> Expr:
    """A declared check with the names its columns have in the question."""
    names = {name: cohort_here if name == cohort else f"{prefix}{name}" for name in tree.columns_of(check)}
    return tree.renamed(check, names)


def _matched(catalog: Catalog, left: Left, known: Mapping[str, Range]) -> Matched:
    frame, given = frame_of(catalog, left.relation), frozenset(known)
    conditions = tree.conjuncts((*left.where, *left.on, *frame.checks))
    inside = assume((*left.where, *frame.checks), frame.known)
    if inside is None:
        return Matched(frame, None, conditions, given)
    visible = {name: evaluate(expr, inside) for name, expr in left.columns}
    joined = assume(left.on, {**known, **inside, **visible})
    if joined is None:
        return Matched(frame, None, conditions, given)
    return Matched(frame, {name: joined[name] for name in inside}, conditions, given)


def _above(left: Left, matched: Matched) -> Iterator[tuple[str, Range]]:
    """The columns of a right side as they are seen above it: NULL where no row matched."""
    nothing = Range(values=frozenset(), nullable=True)
    for name, expr in left.columns:
        yield name, nothing if matched.known is None else replace(evaluate(expr, matched.known), nullable=True)
    if left.presence is not None:
        yield left.presence, nothing if matched.known is None else Range(nullable=True)
