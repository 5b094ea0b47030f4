"""Which groups may appear, from public knowledge only.

The key list of a question is made before any record is read: every combination of the values its GROUP BY
expressions can have that WHERE and the declared checks do not make certainly impossible. The answer has exactly
these rows, empty groups included. Expressions that share a column, or a row of a public table, are evaluated
together; only independent ones are crossed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, cached_property
from typing import TYPE_CHECKING

from engine import tree
from engine.analysis.cohorts import may_hold, touched
from engine.analysis.intervals import Range, assume, equated, evaluate, holds, how_many, listed
from engine.refusals import QueryRefused
from engine.source import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from engine.analysis.frames import Frame
    from engine.catalog import Value
    from engine.tree import Expr, Scan

GROUPS_MAX = 100_000
EVALUATIONS_MAX = 1_000_000
CUT_MAX = 10_000
"""Most combinations all conditions of a question are evaluated on; beyond it one more cuts nothing, which is safe."""

PARTS_MAX = 10_000
"""Most conditions on different groups that are evaluated to find which left-out cohorts occur; beyond it all may."""

BOUNDED_MAX = {"exact": 1_000, "date": 4_000}
"""Whole numbers and days between bounds are tried one by one in a key expression where they are fewer."""

STEPS_MAX = 100_000
"""Most steps (combinations of values times parts of expressions) that the keys of one question are evaluated in."""

TRIED_MAX = 300_000
"""Most values of key expressions that are noted while their columns' values are tried."""

WAYS_MAX = 10_000
"""Most combinations of column values that are kept to tell which of them lead to a group of an expression."""

Key = tuple["Value | None", ...]


@dataclass(frozen=True)
class Block:
    """GROUP BY expressions that are no bare columns and were evaluated together.

    Attributes:
        positions: of the expressions among the keys.
        reads: the columns they read.
        groups: how many different values they have together.
        ways: for each combination of the listed columns' values the values of the expressions it may lead to;
            empty where there are too many.
    """

    positions: tuple[int, ...]
    reads: frozenset[str]
    groups: int
    ways: tuple[tuple[Mapping[str, Value | None], frozenset[Key]], ...]

    @cached_property
    def led_by(self) -> dict[Key, dict[str, frozenset[Value | None]]]:
        """For each value of the expressions what the columns can be there."""
        found: dict[Key, dict[str, set[Value | None]]] = {}
        for columns, keys in self.ways:
            for key in keys:
                part = found.setdefault(key, {name: set() for name in columns})
                for name, value in columns.items():
                    part[name].add(value)
        return {key: {n: frozenset(values) for n, values in part.items()} for key, part in found.items()}

    def groups_of(self, constant: Collection[str]) -> int:
        """How many different values rows can have that agree on some columns."""
        found: dict[Key, set[Key]] = {}
        for columns, keys in self.ways:
            agreed = tuple(value for name, value in columns.items() if name in constant)
            found.setdefault(agreed, set()).update(keys)
        return max((len(keys) for keys in found.values()), default=self.groups)


@dataclass(frozen=True)
class KeyList:
    """The groups of a question.

    Attributes:
        columns: the GROUP BY expressions; none for a question without groups, which has one row.
        rows: the groups in the answer's order, all distinct.
        blocks: how the expressions among them come about.
    """

    columns: tuple[Expr, ...]
    rows: tuple[Key, ...]
    blocks: tuple[Block, ...] = field(default=(), compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The expressions in few words."""
        return tuple(tree.shown(column) for column in self.columns)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of expressions and rows."""
        columns = [key.name if isinstance(key, tree.Column) else tree.canonical(key) for key in self.columns]
        return hashlib.sha256(json.dumps([columns, self.rows]).encode()).hexdigest()


def key_list(
    frame: Frame,
    query: tree.Query,
    cohorts: Sequence[int],
    refusal: Callable[..., QueryRefused],
) -> KeyList:
    """The groups of a question over the cohorts it is asked of.

    Args:
        frame: the relation.
        query: its WHERE and GROUP BY.
        cohorts: those that are asked.
        refusal: makes a refusal of code, message and place.

    Raises:
        QueryRefused: `keys_undeclared` where a key's values cannot be listed, or there would be too many.
    """
    columns = query.keys
    narrowed = assume(query.where, frame.known)
    if narrowed is None:
        return KeyList(columns, () if columns else ((),))
    cohort = frame.relation.cohort
    narrowed[cohort] = listed(set(cohorts) & set(narrowed[cohort].values or ()))
    equals = _equals(query.where)
    maker = _Maker(frame, query, narrowed, refusal, equals)
    units = [maker.unit(positions) for positions in _units(frame, columns, equals)]
    size = math.prod(len(keys) for _, keys, _ in units)
    if size > EVALUATIONS_MAX:
        raise _too_many(size)
    home = {place: (u, i) for u, (places, _, _) in enumerate(units) for i, place in enumerate(places)}
    order = [home[place] for place in range(len(columns))]
    lists = [list(dict.fromkeys(key[i] for key in units[u][1])) for u, i in order]
    rows: Iterable[Key] = itertools.product(*lists)
    if any(len(places) > 1 for places, _, _ in units):
        crossed = itertools.product(*(keys for _, keys, _ in units))
        rows = (tuple(parts[u][i] for u, i in order) for parts in crossed)
    found = tuple(maker.cut(rows, lists))
    if len(found) > GROUPS_MAX:
        raise _too_many(len(found))
    if any(len(set(keys)) != len(keys) for _, keys, _ in units):
        raise AssertionError  # a product of distinct parts has no row twice
    return KeyList(columns, found, tuple(block for _, _, block in units if block is not None))


def _too_many(size: int) -> QueryRefused:
    return QueryRefused(
        "keys_undeclared",
        f"The question has {size:,} groups.",
        accepted=f"at most {GROUPS_MAX:,}: fewer columns in GROUP BY, or WHERE on the listed columns",
    )


def _public(frame: Frame) -> list[tuple[Scan, Mapping[str, str]]]:
    """The public tables of a relation and the names of their columns in the question."""
    scans = [scan for scan in frame.relation.scans if isinstance(scan, tree.Scan) and frame.table(scan).public]
    return [(scan, frame.names[scan.name]) for scan in scans]


def _equals(where: Sequence[Expr]) -> dict[str, frozenset[str]]:
    """Of each column that WHERE makes equal to another all that are equal to it, itself among them."""
    found: dict[str, frozenset[str]] = {}
    for conjunct in where:
        for column, other in equated(conjunct):
            if isinstance(other, tree.Column):
                one, two = (found.get(name, frozenset({name})) for name in (column.name, other.name))
                found |= dict.fromkeys(one | two, one | two)
    return found


def _units(frame: Frame, keys: Sequence[Expr], equals: Mapping[str, frozenset[str]]) -> list[tuple[int, ...]]:
    """Which keys are evaluated together: those that share a column, or a row of a public table through equal ones."""
    home = {name: scan.name for scan, names in _public(frame) for name in names.values()}
    units: list[tuple[set[str], list[int]]] = []
    for position, key in enumerate(keys):
        reads = set(tree.columns_of(key))
        reads |= {home[same] for name in reads for same in equals.get(name, {name}) if same in home}
        together = [unit for unit in units if unit[0] & reads]
        merged = (reads.union(*(unit[0] for unit in together)), [p for unit in together for p in unit[1]])
        merged[1].append(position)
        units = [unit for unit in units if unit not in together] + [merged]
    return [tuple(sorted(positions)) for _, positions in sorted(units, key=lambda unit: min(unit[1]))]


Way = dict[str, "Value | None"]
Ways = list[Way]


@dataclass(slots=True)
class _Maker:
    """Lists the values of keys."""

    frame: Frame
    query: tree.Query
    known: dict[str, Range]
    refusal: Callable[..., QueryRefused]
    equals: Mapping[str, frozenset[str]]
    left: int = CUT_MAX
    steps: int = 0

    @property
    def conjuncts(self) -> tuple[Expr, ...]:
        return (*self.query.where, *self.frame.checks)

    def unit(self, positions: tuple[int, ...]) -> tuple[tuple[int, ...], list[Key], Block | None]:
        """The values that some keys have together, in the answer's order, and how its expressions come about."""
        keys = [self.query.keys[p] for p in positions]
        for key, position in zip(keys, positions, strict=True):
            self.check(key, position)
        public = {name for _, names in _public(self.frame) for name in names.values()}
        if len(keys) == 1 and isinstance(keys[0], tree.Column) and keys[0].name not in public:
            return positions, [(value,) for value in self.values(keys[0], positions[0])], None
        reads = frozenset().union(*(tree.columns_of(key) for key in keys))
        ways = self.tried(keys, reads)
        found: dict[Key, None] = {}
        kept: list[tuple[Mapping[str, Value | None], frozenset[Key]]] = []
        own = [i for i, key in enumerate(keys) if not isinstance(key, tree.Column)]
        tried = 0
        worked_out = [self.worked_out(p, frozenset(ways[0] if ways else ())) for p in positions]
        for way in ways:
            lists = [possible(way) for possible in worked_out]
            tried += math.prod(len(values) for values in lists)
            if tried > TRIED_MAX:
                raise _too_many(tried)
            combined = list(itertools.product(*lists))
            found |= dict.fromkeys(combined)
            kept.append((way, frozenset(tuple(key[i] for i in own) for key in combined)))
        block = None
        if own:
            groups = len({tuple(key[i] for i in own) for key in found})
            expressions = frozenset().union(*(tree.columns_of(keys[i]) for i in own))
            places = tuple(positions[i] for i in own)
            block = Block(places, expressions, groups, tuple(kept) if len(kept) <= WAYS_MAX else ())
        orders = [self.order(key) for key in keys]

        def place(row: Key) -> tuple[tuple[bool, int, Value], ...]:
            cells = zip(row, orders, strict=True)
            return tuple(
                (value is None, order.get(value, 0), 0 if value is None else value) for value, order in cells
            )

        return positions, sorted(found, key=place), block

    def worked_out(self, position: int, fixed: frozenset[str]) -> Callable[[Way], list[Value | None]]:
        """The values that a key can have where some columns are fixed; worked out once for equal ones."""
        key = self.query.keys[position]
        reads = tree.columns_of(key)
        bounding = frozenset().union(*(by.keys for name in reads if (by := self.known[name].by)))
        known = {name: self.known[name] for name in reads | (bounding & self.known.keys())}
        names = tuple(sorted(fixed & known.keys()))

        @cache
        def at(values: Key) -> list[Value | None]:
            return self.possible(evaluate(key, _at(known, names, values)), position)

        return lambda way: at(tuple(way[name] for name in names))

    def check(self, key: Expr, position: int) -> None:
        if key.type.kind == "double" or key.type.scale:
            raise self.refusal(
                "keys_undeclared",
                f"{tree.shown(key)} is {key.type}: groups are made by whole numbers, texts or true and false.",
                self.query.key_spans[position],
                accepted="CAST(… AS INTEGER), or CASE WHEN … THEN … END",
            )

    def order(self, key: Expr) -> dict[Value | None, int]:
        """The declared order of a bare column's values."""
        column = self.frame.columns.get(key.name) if isinstance(key, tree.Column) else None
        return {value: place for place, value in enumerate((column and column.values) or ())}

    def values(self, key: tree.Column, position: int) -> list[Value | None]:
        """The values of a bare column: in declared order, NULL last."""
        found = self.known[key.name]
        column = self.frame.columns.get(key.name)
        if found.values is None or column is None or column.values is None:
            return self.possible(evaluate(key, self.known), position)
        return [*(value for value in column.values if value in found.values), *([None] if found.nullable else [])]

    def possible(self, found: Range, position: int) -> list[Value | None]:
        """The values a key can have, sorted, NULL last."""
        key = self.query.keys[position]
        listing = _listing(found, key.type)
        if listing is None:
            listed_columns = [name for name, column in self.frame.columns.items() if column.values is not None]
            raise self.refusal(
                "keys_undeclared",
                f"{tree.shown(key)} has no declared value list: "
                "which of its values occur would itself tell about students.",
                self.query.key_spans[position],
                accepted=nearest(tree.shown(key), listed_columns),
            )
        return [*listing, *([None] if found.nullable else [])]

    def tried(self, keys: Sequence[Expr], reads: frozenset[str]) -> Ways:
        """The combinations of values that some keys are worked out on.

        Of numbers between bounds these may be too many. Then a key is not tried on them: what it can be follows from
        their ends alone, as of a CASE whose branches are constants. That can be more, which is safe.
        """
        types = {part.name: part.type for key in keys for part in tree.walk(key) if isinstance(part, tree.Column)}
        weight = sum(1 for key in keys for _ in tree.walk(key))
        ways = None
        for bounded in (True, False):
            try:
                ways = self.ways(reads, types, bounded=bounded)
            except QueryRefused:
                if not bounded:
                    raise
                continue
            if self.steps + len(ways) * weight <= STEPS_MAX:
                self.steps += len(ways) * weight
                return ways
        raise QueryRefused(
            "keys_undeclared",
            f"What GROUP BY can come to would have to be tried on {len(ways or ()):,} combinations of values.",
            accepted="expressions of fewer columns, or of columns with shorter lists",
        )

    def ways(self, reads: frozenset[str], types: Mapping[str, tree.Type], *, bounded: bool) -> Ways:
        """The combinations of values that the listed columns among those read can have together.

        Args:
            reads: the columns.
            types: their types.
            bounded: whether whole numbers and days between bounds count as listed, where they are few.
        """
        found: Ways = [{}]
        for scan, names in _public(self.frame):
            stands_for = {n: sorted(reads & self.equals.get(full, frozenset({full}))) for n, full in names.items()}
            if any(stands_for.values()):
                found = self.joined(found, scan, stands_for)
        for name in sorted(reads - set(found[0] if found else ())):
            own = self.known[name]
            size = how_many(replace(own, nullable=False), types[name])
            if own.values is None and (not bounded or size is None or size > BOUNDED_MAX[types[name].kind]):
                continue
            listing = _listing(own, types[name])
            if listing is None:
                continue
            values = [*listing, *([None] if self.known[name].nullable else [])]
            if len(found) * len(values) > STEPS_MAX:
                raise _too_many(len(found) * len(values))
            found = [{**way, name: value} for way in found for value in values]
        for conjunct in self.conjuncts:
            used = tree.columns_of(conjunct)
            if found and used and used <= set(found[0]) and len(found) <= self.left:
                self.left -= len(found)
                found = self.held(found, conjunct, sorted(used))
        return found

    def held(self, ways: Ways, conjunct: Expr, used: Sequence[str]) -> Ways:
        """The combinations on which a condition on some columns may be true; it is tried once for equal values."""
        parts = {tuple(way[name] for name in used) for way in ways}
        allowed = {part for part in parts if may_hold((conjunct,), _at(self.known, used, part))}
        return [way for way in ways if tuple(way[name] for name in used) in allowed]

    def joined(self, ways: Ways, scan: Scan, stands_for: Mapping[str, Sequence[str]]) -> Ways:
        """The combinations with the rows of a public table that agree with them.

        Args:
            ways: the combinations.
            scan: the public table.
            stands_for: of each of its columns the columns that are read and equal to it, itself perhaps among them.
        """
        rows: dict[Key, None] = {}
        for cells in self.frame.table(scan).rows:
            if all(holds(self.known[full], cells[name]) for name, full in self.frame.names[scan.name].items()):
                rows[tuple(cells[name] for name, wanted in stands_for.items() for _ in wanted)] = None
        columns = [full for wanted in stands_for.values() for full in wanted]
        found: Ways = []
        for way, row in itertools.product(ways, rows):
            more = dict(zip(columns, row, strict=True))
            if all(way.get(name, value) == value for name, value in more.items()):
                found.append({**way, **more})
            if len(found) > STEPS_MAX:
                raise _too_many(len(found))
        return found

    def cut(self, rows: Iterable[Key], lists: Sequence[Sequence[Value | None]]) -> Iterable[Key]:
        """Without the combinations of bare keys on which a condition is certainly not true."""
        names = [key.name if isinstance(key, tree.Column) else "" for key in self.query.keys]
        for conjunct in self.conjuncts:
            used = tree.columns_of(conjunct)
            positions = [p for p, name in enumerate(names) if name in used] if used <= set(names) else []
            size = math.prod(len(lists[p]) for p in positions)
            if positions and size <= self.left:
                self.left -= size
                part = [names[p] for p in positions]
                combinations = itertools.product(*(lists[p] for p in positions))
                allowed = {each for each in combinations if may_hold((conjunct,), _at(self.known, part, each))}
                rows = [row for row in rows if tuple(row[p] for p in positions) in allowed]
        return rows


def _listing(found: Range, of: tree.Type) -> list[Value] | None:
    """The values of a range other than NULL, sorted; None where they cannot be listed.

    Only whole numbers and dates lie between two ends at distances of 1.
    """
    if found.values is not None:
        if of in (tree.INTEGER, tree.DATE):  # a condition may hold a fraction equal to a whole number, and others
            return sorted(int(value) for value in found.values if value == int(value))  # type: ignore[arg-type]
        return sorted(found.values)  # type: ignore[arg-type]
    if of not in (tree.INTEGER, tree.DATE):
        return None
    if found.low is None or found.high is None or isinstance(found.low, float) or isinstance(found.high, float):
        return None
    low, high = math.ceil(Fraction(found.low)), math.floor(Fraction(found.high))
    if high - low >= GROUPS_MAX:
        raise _too_many(high - low + 1)
    return list(range(low, high + 1))


def _at(known: Mapping[str, Range], names: Sequence[str], row: Sequence[Value | None]) -> dict[str, Range]:
    """What is known of the columns in one group."""
    fixed = {
        name: Range(values=frozenset(), nullable=True) if value is None else listed([value])
        for name, value in zip(names, row, strict=True)
    }
    return {**known, **fixed}


def partial_cells(
    frame: Frame, conditions: Sequence[Expr], keys: KeyList, left_out: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """For each group the left-out cohorts that can occur in it: such a cell is smaller than the whole.

    In groups by an expression every left-out cohort may, as far as its bare columns tell.
    """
    if not left_out:
        return ((),) * len(keys.rows)
    every = tree.conjuncts((*conditions, *frame.checks))
    used = frozenset().union(*(tree.columns_of(condition) for condition in every)) | {frame.relation.cohort}
    names = [key.name if isinstance(key, tree.Column) else "" for key in keys.columns]
    positions = [position for position, name in enumerate(names) if name in used]
    if len({tuple(row[p] for p in positions) for row in keys.rows}) * len(every) > PARTS_MAX:
        return (tuple(left_out),) * len(keys.rows)
    found: dict[Key, tuple[int, ...]] = {}
    if not positions:
        occurring = touched(frame, conditions)
        return (tuple(cohort for cohort in left_out if cohort in occurring),) * len(keys.rows)
    for row in keys.rows:
        part = tuple(row[p] for p in positions)
        if part not in found:
            cell = _at(frame.known, [names[p] for p in positions], part)
            occurring = touched(frame, conditions, cell)
            found[part] = tuple(cohort for cohort in left_out if cohort in occurring)
    return tuple(found[tuple(row[p] for p in positions)] for row in keys.rows)
