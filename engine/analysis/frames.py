"""A relation with what the catalog says of its columns and rows: where every analysis begins."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from engine import tree
from engine.analysis import stepping
from engine.analysis.cohorts import touched
from engine.analysis.contribution import determined, proof
from engine.analysis.intervals import Range, assume, declared, evaluate, outcomes, within
from engine.analysis.stepping import Inner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.analysis.stepping import Made
    from engine.catalog import Catalog, Column, Table
    from engine.tree import Derived, Expr, Left, Relation, Scan


@dataclass(frozen=True, slots=True)
class Matched:
    """The right side of a LEFT JOIN, on rows that found a match.

    Attributes:
        frame: the right side by itself.
        known: of the names within it, where its own conditions and ON are true; None where no row can match.
        conditions: all conjuncts that are true there.
        given: the columns of what stands left of it: of one left row each has one value.
        cohorts: whose rows it can have, where it only tells if some row matches; else all.
    """

    frame: Frame
    known: Mapping[str, Range] | None
    conditions: tuple[Expr, ...]
    given: frozenset[str]
    cohorts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A relation with what the catalog says of it.

    Attributes:
        columns: the declared columns by their names in the question; expressions of a right side have none.
        known: what each column can be before any condition.
        checks: conditions that are true on every row.
        names: for each scan the names in the question of its table's columns, by their own.
        lefts: the right sides of LEFT JOINs.
        made: for each step what it makes.
        inside: for each step the frames of what it is made of.
    """

    catalog: Catalog
    relation: Relation
    columns: Mapping[str, Column]
    known: Mapping[str, Range]
    checks: tuple[Expr, ...]
    names: Mapping[str, Mapping[str, str]]
    lefts: tuple[Matched, ...] = ()
    made: Mapping[str, Made] = field(default_factory=dict)
    inside: Mapping[str, tuple[Frame, ...]] = field(default_factory=dict)

    def table(self, scan: Scan | Derived) -> Table:
        """The declared table of a scan, or what a step makes."""
        return self.made[scan.name].table if isinstance(scan, tree.Derived) else self.catalog.tables[scan.table]


def _names(catalog: Catalog, relation: Relation, scan: Scan | Derived) -> dict[str, str]:
    """The names in the question of a table's or a step's columns, by their own."""
    if isinstance(scan, tree.Derived):
        found = {name: f"{scan.prefix}{name}" for name in scan.types}
        if catalog.cohort in found:
            raise AssertionError
        return {**found, catalog.cohort: relation.cohort}
    table = catalog.tables[scan.table]
    found = {name: f"{scan.prefix}{name}" for name, column in table.columns.items() if column.on}
    if not table.public:
        found[catalog.cohort] = relation.cohort
    return found


def frame_of(catalog: Catalog, relation: Relation) -> Frame:
    """What the catalog says of a relation, and what is proved of the steps in it.

    Raises:
        QueryRefused: of what is made within a student something has no bounds or could grow too large.
    """
    columns: dict[str, Column] = {}
    known: dict[str, Range] = {}
    checks: list[Expr] = []
    made: dict[str, Made] = {}
    inside: dict[str, tuple[Frame, ...]] = {}
    all_names = {scan.name: _names(catalog, relation, scan) for scan in relation.scans}
    cohort = declared(catalog.tables[catalog.cohort_table].columns[catalog.cohort])
    for scan in relation.scans:
        names = all_names[scan.name]
        if not known.keys().isdisjoint(set(names.values()) - {relation.cohort}):
            raise AssertionError  # one name for two columns: what is proved would be of another than is read
        if isinstance(scan, tree.Derived):
            found, inside[scan.name] = _made(catalog, scan)
            made[scan.name] = found
            known |= {names[own]: _renamed(each, scan.prefix) for own, each in found.known.items()}
            checks += [tree.renamed(check, names) for check in found.checks]
            cohort = within(cohort, frozenset(found.cohorts))
            columns |= {names[name]: column for name, column in _passed(scan, inside[scan.name]).items()}
            continue
        table = catalog.tables[scan.table]
        for name, full in names.items():
            columns[full] = table.columns[name]
            known[full] = _renamed(declared(table.columns[name]), scan.prefix)
        checks += [_check(check, scan.prefix, catalog.cohort, relation.cohort) for check in table.checks]
    if not all(map(catalog.is_public, relation.scans)):
        known[relation.cohort] = cohort
        columns.setdefault(relation.cohort, catalog.tables[catalog.cohort_table].columns[catalog.cohort])
    lefts = []
    for left in relation.lefts:
        matched = _matched(catalog, left, known)
        lefts.append(matched)
        above = dict(_above(left, matched))
        if not above.keys().isdisjoint(known):
            raise AssertionError
        known |= above
        if not left.once:
            columns |= {
                name: matched.frame.columns[name] for name, _ in left.columns if name in matched.frame.columns
            }
    return Frame(catalog, relation, columns, known, tuple(checks), all_names, tuple(lefts), made, inside)


def _passed(step: Derived, inside: tuple[Frame, ...]) -> dict[str, Column]:
    """The declared columns that a step hands on as they are, by its own names: they keep order and unit."""
    match step.step:
        case tree.Grouped(_, _, exprs, _) | tree.Windowed(_, _, exprs, _):
            (frame,) = inside
            return {
                own: frame.columns[expr.name]
                for own, expr in exprs
                if isinstance(expr, tree.Column) and expr.name in frame.columns
            }
    return {}


def _made(catalog: Catalog, derived: Derived) -> tuple[Made, tuple[Frame, ...]]:
    """What a step makes, and the frames of what it is made of."""
    match derived.step:
        case tree.Grouped() as step:
            frame, inner = _inner(catalog, step.relation, step.where)
            return stepping.grouped(catalog, derived.name, step, inner, derived.types), (frame,)
        case tree.Windowed() as step:
            frame, inner = _inner(catalog, step.relation, step.where)
            return stepping.windowed(catalog, derived.name, step, inner, derived.types), (frame,)
        case tree.Union() as step:
            sides = [_inner(catalog, branch.relation, branch.where) for branch in step.branches]
            made = stepping.united(catalog, derived.name, step, [inner for _, inner in sides], derived.types)
            return made, tuple(frame for frame, _ in sides)


def _inner(catalog: Catalog, relation: Relation, where: tuple[Expr, ...]) -> tuple[Frame, Inner]:
    """What is known of the rows that a step is made of."""
    frame = frame_of(catalog, relation)
    every = (*where, *frame.checks)
    known = assume(every, frame.known)
    if known is None:
        nothing = {name: Range(values=frozenset()) for name in frame.known}
        return frame, Inner(nothing, 0, {}, frozenset(), (), frame.checks, ())
    constant = determined(frame, every, known)
    candidates = _candidates(frame)
    rows_of = {columns: proof(frame, every, known, columns).rows for columns in candidates if not columns <= constant}
    rows = proof(frame, every, known).rows
    cohorts = touched(frame, where)
    return frame, Inner(known, rows, rows_of, constant, candidates, frame.checks, cohorts)


def _candidates(frame: Frame) -> tuple[frozenset[str], ...]:
    """Sets of columns that keys and caps of the tables in a relation are on, and what joins make of them."""
    found: dict[frozenset[str], None] = {}
    owner = frame.catalog.owner
    for scan in frame.relation.scans:
        table, names = frame.table(scan), frame.names[scan.name]
        if not table.public:
            for columns in (*table.unique, *(cap.per for cap in table.caps)):
                found[frozenset(names[name] for name in columns if name != owner)] = None
    ordered = sorted(found, key=lambda columns: (len(columns), sorted(columns)))
    return tuple(columns for columns in ordered if columns)


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
    cohorts = touched(frame, left.where) if left.owned and left.once else catalog.cohorts
    inside = assume((*left.where, *frame.checks), frame.known)
    if inside is None:
        return Matched(frame, None, conditions, given, ())
    if any(name in inside and expr != tree.Column(name, expr.type) for name, expr in left.columns):
        raise AssertionError  # one name for two columns: what is proved of one would be believed of the other
    visible = {name: evaluate(expr, inside) for name, expr in left.columns}
    joined = assume(left.on, {**known, **inside, **visible})
    if joined is None:
        return Matched(frame, None, conditions, given, ())
    return Matched(frame, {name: joined[name] for name in inside}, conditions, given, cohorts)


def _above(left: Left, matched: Matched) -> Iterator[tuple[str, Range]]:
    """The columns of a right side as they are seen above it: NULL where no row matched."""
    if left.once:
        yield left.presence or "", outcomes([False] + [True] * (matched.known is not None))
        return
    nothing = Range(values=frozenset(), nullable=True)
    for name, expr in left.columns:
        yield name, nothing if matched.known is None else replace(evaluate(expr, matched.known), nullable=True)
    if left.presence is not None:
        yield left.presence, nothing if matched.known is None else Range(nullable=True)
