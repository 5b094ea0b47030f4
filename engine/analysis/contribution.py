"""How many rows one student can bring into a statistic, and how they can lie in its groups.

Keys, pins and caps: a unique key that includes the owner leaves at most as many rows of a student as its
other columns have values left; a cap leaves its number of rows for each.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine import tree
from engine.analysis.intervals import equated, how_many, within
from engine.refusals import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from engine.analysis.frames import Frame, Matched
    from engine.analysis.intervals import Range
    from engine.catalog import Catalog, Table
    from engine.keysets import KeyList
    from engine.tree import Derived, Expr, Left, Scan


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

    def of_students(self) -> Contribution:
        """The same where a student counts once in each group, whatever the rows."""
        return Contribution(min(self.rows, self.groups), min(self.rows_per_group, 1), self.groups)

    def at_most(self, other: Contribution) -> Contribution:
        """The same of rows that are among those of another."""
        return Contribution(
            min(self.rows, other.rows),
            min(self.rows_per_group, other.rows_per_group),
            min(self.groups, other.groups),
        )

    def limited(self, rows: int | None, groups: int | None) -> Contribution:
        """The same where a student with more rows, or in more groups, counts in proportion.

        With n rows, n_g of them in group g, and a factor f ≤ rows / n: the parts f·n_g add up to at most `rows`, and
        none is more than n_g. With f ≤ groups / G the squares of G parts of at most f·m_g add up to at most
        groups² / G · m_g² ≤ groups · m_g².
        """
        most = self.rows if rows is None else min(self.rows, rows)
        return Contribution(
            most,
            min(self.rows_per_group, most),
            self.groups if groups is None else min(self.groups, groups),
        )

    def l2_squared(self, bound: int) -> int:
        """The greatest squared L2 norm of one student's vector, each row being at most `bound` in magnitude.

        A convex function of the rows per group is greatest where as many groups as possible are full:
        q groups of m_g rows and one of the rest.
        """
        if 0 in (self.rows, self.rows_per_group, self.groups, bound):
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
        return frozenset({*table.columns, catalog.cohort})
    return frozenset({catalog.cohort}) | table.constants


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
        return 1 if name in constant else how_many(known[name], table.columns[name].type)

    def proofs() -> Iterator[Basis]:
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
        if table.rows_per_student_max is not None:  # last: of equal proofs the first is told
            yield Basis(table.rows_per_student_max, "rows_per_student_max")

    return min(proofs(), key=lambda basis: basis.rows)


def lookup_rows(table: Table, known: Mapping[str, Range], fixed: Collection[str]) -> int | None:
    """Most rows of a public table that agree on some columns: 1 where a unique key is among them, else unknown."""

    def pinned(name: str) -> bool:
        values = known[name].values
        return name in fixed or (values is not None and len(values) + known[name].nullable <= 1)

    return 1 if any(all(map(pinned, key)) for key in table.unique) else None


@dataclass(frozen=True, slots=True)
class Proof:
    """Why a student has at most so many rows in a relation.

    Attributes:
        rows: how many.
        parts: for each private table, in the order of the proof, its name and why one combination of the others'
            rows meets at most so many of its own.
        lefts: most rows of each LEFT JOIN's right side for one row of the left.
    """

    rows: int
    parts: tuple[tuple[str, Basis], ...]
    lefts: tuple[int, ...]


def proof(frame: Frame, conditions: Sequence[Expr], known: Mapping[str, Range], fixed: Collection[str] = ()) -> Proof:
    """The sharpest proof of how many rows of one student a relation has.

    The tables are taken one after another: what an equality ties to the tables before, or to the student, is fixed
    when the next is counted. The best order is found over all sets of tables.

    Args:
        frame: the relation.
        conditions: conjuncts that are true on its rows.
        known: ranges of its columns where they are.
        fixed: columns taken at one value, such as the keys of a group.

    Raises:
        QueryRefused: a public table is not joined on a unique key of it.
    """
    lefts = tuple(map(_matches, frame.lefts, frame.relation.lefts))
    scans = [_Counted(frame, scan, known) for scan in frame.relation.scans]
    best: dict[int, Proof] = {0: Proof(1, (), ())}
    ties = _ties(conditions)
    for mask in range(1 << len(scans)):
        if mask not in best:
            continue
        given = {*fixed, frame.relation.cohort}.union(*(scan.full for i, scan in enumerate(scans) if mask >> i & 1))
        for position, scan in enumerate(scans):
            basis = None if mask >> position & 1 else scan.basis(_closed(given, ties, scan.full))
            if basis is None:
                continue
            parts = best[mask].parts if scan.table.public else (*best[mask].parts, (scan.name, basis))
            longer = Proof(best[mask].rows * basis.rows, parts, lefts)
            wider = mask | 1 << position
            if wider not in best or longer.rows < best[wider].rows:
                best[wider] = longer
    whole = best.get((1 << len(scans)) - 1)
    if whole is None:
        raise _without_key(frame)
    return Proof(whole.rows * math.prod(max(1, rows) for rows in lefts), whole.parts, lefts)


def _matches(left: Matched, side: Left) -> int:
    """Most rows of a right side for one row of the left, whose columns are all fixed."""
    if side.once:
        return 1
    return 0 if left.known is None else proof(left.frame, left.conditions, left.known, left.given).rows


class _Counted:
    """One table of a relation, ready to be counted."""

    def __init__(self, frame: Frame, scan: Scan | Derived, known: Mapping[str, Range]) -> None:
        self.catalog, self.name, self.table = frame.catalog, scan.name, frame.table(scan)
        self.names = frame.names[scan.name]
        self.full = frozenset(self.names.values())
        self.known = {name: known[full] for name, full in self.names.items()}

    def basis(self, given: Collection[str]) -> Basis | None:
        """Most rows once some columns are given; None where nothing bounds them."""
        fixed = [name for name, full in self.names.items() if full in given]
        if self.table.public:
            rows = lookup_rows(self.table, self.known, fixed)
            return None if rows is None else Basis(rows, "unique")
        return rows_basis(self.catalog, self.table, self.known, fixed)


def _ties(conditions: Sequence[Expr]) -> list[tuple[str, frozenset[str]]]:
    """Columns that are a function of others on every row: `column = expression`."""
    return [(column.name, tree.columns_of(other)) for conjunct in conditions for column, other in equated(conjunct)]


def _closed(given: set[str], ties: Sequence[tuple[str, frozenset[str]]], names: frozenset[str]) -> set[str]:
    """What is fixed once some columns are: those of one table that are tied to them, and all that was given."""
    found, growing = given, bool(ties)
    while growing:
        more = {name for name, others in ties if name in names and name not in found and others <= found}
        found = found | more
        growing = bool(more)
    return found


def _without_key(frame: Frame) -> QueryRefused:
    public = [scan for scan in frame.relation.scans if frame.table(scan).public]
    keys = [f"{scan.name} on {', '.join(key)}" for scan in public for key in frame.table(scan).unique]
    return QueryRefused(
        "unsupported",
        f"{', '.join(scan.name for scan in public)} is not joined on a unique key: a student may have any number of "
        "rows.",
        accepted=f"a join of {' or '.join(keys)}",
    )


def determined(frame: Frame, conditions: Sequence[Expr], known: Mapping[str, Range]) -> frozenset[str]:
    """Columns that have one value per student, whatever the group.

    The cohort, all of a table with one row, what a step makes of all of a student's rows, and of a right side
    whose ON speaks of such columns alone whether it matches, and its columns where at most one row of it does.
    """
    ties = _ties(conditions)
    waiting = [_Counted(frame, scan, known) for scan in frame.relation.scans]
    found = {frame.relation.cohort}.union(
        *({scan.names[name] for name in scan.table.constants} for scan in waiting if not scan.table.public)
    )
    settled = waiting
    while settled:
        bases = [(scan, scan.basis(_closed(found, ties, scan.full))) for scan in waiting]
        settled = [scan for scan, basis in bases if basis is not None and basis.rows <= 1]
        waiting = [scan for scan in waiting if scan not in settled]
        found = found.union(*(scan.full for scan in settled))
    for side, matched in zip(frame.relation.lefts, frame.lefts, strict=True):
        used = frozenset().union(*map(tree.columns_of, side.on)) & matched.given
        if used <= found and _matches(matched, side) <= 1:
            found |= {side.presence} if side.presence is not None else set()
            found |= set() if side.once else {name for name, _ in side.columns}
    return frozenset(found)


ALTERNATIVES_MAX = 2_000
"""Most combinations of values of key expressions for which the rows of one group are counted, over a question."""


def contribution(
    frame: Frame, conditions: Sequence[Expr], known: Mapping[str, Range], keys: KeyList, shared_by: int = 1
) -> Contribution:
    """What one student can contribute to a statistic with these groups.

    Args:
        frame: the relation.
        conditions: the statistic's conjuncts.
        known: ranges of the columns where they are true.
        keys: the groups.
        shared_by: among how many statistics the time for groups by expressions is shared; with less of it the rows
            of one group are counted as those of all, which is safe.
    """
    scans = len(frame.relation.scans)
    alternatives_max = ALTERNATIVES_MAX // (shared_by * scans << scans - 1)
    every = (*conditions, *frame.checks)
    rows = proof(frame, every, known).rows
    constant = determined(frame, every, known)
    bare = [(p, key.name) for p, key in enumerate(keys.columns) if isinstance(key, tree.Column)]
    moving = [(p, name) for p, name in bare if name not in constant]
    reachable = math.prod(_reachable(known[name], keys, p) for p, name in moving)
    places = [p for p, _ in moving]
    for block in keys.blocks:
        if not block.reads <= constant:
            reachable *= block.groups_of(constant)
            places += block.positions
    groups = min(reachable, len(keys.rows)) if keys.columns else 1
    if len(places) < len(keys.columns) and places:
        groups = min(groups, len({tuple(row[p] for p in places) for row in keys.rows}))
    fixed = frozenset(name for _, name in bare)
    per_group = max(
        (proof(frame, every, inside, fixed).rows for inside in _inside_groups(known, keys, alternatives_max)),
        default=0,
    )
    return Contribution(rows=rows, rows_per_group=min(rows, per_group), groups=groups)


def _reachable(found: Range, keys: KeyList, position: int) -> int:
    """How many values of a GROUP BY column one student can have."""
    if found.values is None:
        return len({row[position] for row in keys.rows})
    return len(found.values) + found.nullable


def _inside_groups(known: Mapping[str, Range], keys: KeyList, most: int) -> Iterator[Mapping[str, Range]]:
    """What is known inside each group by its key expressions: their columns take only values that lead there."""
    blocks = [block for block in keys.blocks if block.led_by]
    if not blocks or math.prod(len(block.led_by) for block in blocks) > most:
        yield known
        return
    for chosen in itertools.product(*(block.led_by.values() for block in blocks)):
        inside = dict(known)
        for part in chosen:
            for name, values in part.items():
                inside[name] = within(inside[name], values)
        yield inside
