"""What a step within each student can give: ranges of its columns, keys, caps, and what is one value per student.

A step becomes a table like the declared ones: steps on steps, and joins of them, are proved by the same rules.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import tree
from engine.analysis.intervals import DOUBLE_MAX, Range, evaluate, fits, how_many, listed, outcomes, union
from engine.catalog import Cap, Column, Table
from engine.expressions import MAGNITUDE_MAX
from engine.refusals import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine.analysis.intervals import Number
    from engine.catalog import Catalog
    from engine.tree import Expr, Rolling, Within

SQUARES_MAX = 2**120
"""Sums of squares and their products stay below this, which 128 bits hold."""

KEYS_MAX = 24
"""Most sets of columns that are tried as keys of a step."""


NUMBERS_MAX = 1_000
"""Most rows of a student that are numbered one by one in the proof."""


@dataclass(frozen=True, slots=True)
class Inner:
    """What is known of the rows that a step is made of.

    Attributes:
        known: of their columns, where the step's own conditions are true.
        rows: most rows of one student.
        rows_of: most rows of one student that agree on some columns.
        constant: columns that have one value per student.
        candidates: sets of columns that keys and caps of the tables within are on.
        checks: conditions that are true on every row.
        cohorts: whose rows they can be.
    """

    known: Mapping[str, Range]
    rows: int
    rows_of: Mapping[frozenset[str], int]
    constant: frozenset[str]
    candidates: tuple[frozenset[str], ...]
    checks: tuple[Expr, ...]
    cohorts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """A step as a table.

    Attributes:
        known: ranges of its columns, by their own names.
        checks: conditions over its own names that are true on every row.
        cohorts: whose rows it can have.
    """

    table: Table
    known: Mapping[str, Range]
    checks: tuple[Expr, ...]
    cohorts: tuple[int, ...]


def _passed(expr: Expr, known: Mapping[str, Range], bare: Mapping[str, str]) -> Range:
    """The range of what a step hands on; a public table still bounds it where all its keys are handed on too."""
    found = evaluate(expr, known)
    by = known[expr.name].by if isinstance(expr, tree.Column) else None
    if by is None or found.empty or not bare.keys() >= set(by.keys):
        return found
    return replace(found, by=replace(by, keys=tuple(bare[key] for key in by.keys)))


def _visible(catalog: Catalog, bare: Mapping[str, str], exprs: Iterable[Expr]) -> tuple[Expr, ...]:
    """Those conditions that speak of columns visible above alone, in the names these have there."""
    bare = {**bare, catalog.cohort: catalog.cohort}
    return tuple(tree.renamed(expr, bare) for expr in exprs if tree.columns_of(expr) <= bare.keys())


def _table(
    catalog: Catalog,
    name: str,
    types: Mapping[str, tree.Type],
    rows: int,
    keys: Mapping[frozenset[str], int],
    constants: frozenset[str],
) -> Table:
    """A table of what is made: at most `rows` rows of a student, and so many that agree on each set of columns."""
    owner = catalog.owner
    unique = [(owner, *sorted(columns)) for columns, most in keys.items() if most <= 1]
    caps = [Cap(most, tuple(sorted(columns))) for columns, most in keys.items() if 1 < most < rows and columns]
    columns = {own: Column(own, of, nullable=True) for own, of in types.items()}
    if rows <= 1:
        unique = [(owner,)]
    return Table(
        name,
        columns,
        public=False,
        unique=tuple(dict.fromkeys(unique)),
        rows_per_student_max=max(rows, 1),
        caps=tuple(caps),
        constants=frozenset(types) if rows <= 1 else constants,
    )


# -- groups


def grouped(catalog: Catalog, name: str, step: tree.Grouped, inner: Inner, types: Mapping[str, tree.Type]) -> Made:
    """One row for each student and group."""
    bare = {key.name: own for own, key in step.keys if isinstance(key, tree.Column)}
    constants = frozenset(own for own, key in step.keys if tree.columns_of(key) <= inner.constant)
    ranges = {own: _passed(key, inner.known, bare) for own, key in step.keys}
    counts = [1 if own in constants else how_many(ranges[own], key.type) for own, key in step.keys]
    reachable = math.prod(count for count in counts if count is not None) if None not in counts else math.inf
    rows = int(min(inner.rows, reachable))
    moving = frozenset(own for own, _ in step.keys) - constants
    keys = {**_carried(inner, bare, constants), moving: 1}
    each = rows_in(inner, (key for _, key in step.keys))
    known = dict(ranges)
    for own, value in step.values:
        with placed(value.span):
            known[own] = within(value, inner.known, each)
    table = _table(catalog, name, types, rows, keys, constants)
    return Made(table, known, _visible(catalog, bare, (*step.where, *inner.checks)), inner.cohorts)


def rows_in(inner: Inner, keys: Iterable[Expr]) -> int:
    """Most rows of one student that agree on some expressions."""
    fixed = frozenset(key.name for key in keys if isinstance(key, tree.Column)) | inner.constant
    return min((most for columns, most in inner.rows_of.items() if columns <= fixed), default=inner.rows)


def _carried(inner: Inner, bare: Mapping[str, str], constants: frozenset[str]) -> dict[frozenset[str], int]:
    """How many rows agree on the sets of columns that keys within are on, where these are visible above."""
    found: dict[frozenset[str], int] = {}
    for columns in inner.candidates[:KEYS_MAX]:
        needed = columns - inner.constant
        if needed <= bare.keys():
            most = inner.rows_of.get(columns, inner.rows)
            above = frozenset(bare[name] for name in needed) - constants
            found[above] = min(most, found.get(above, most))
    return found


def within(value: Within, known: Mapping[str, Range], rows: int) -> Range:
    """The range of an aggregate over at most `rows` rows of a group, of which there is at least one.

    Raises:
        QueryRefused: a sum has no bounds, or could grow too large.
    """
    filtered = value.condition is not None
    if value.arg is None:
        return Range(0 if filtered else 1, max(rows, 0 if filtered else 1))
    found = evaluate(value.arg, known)
    if value.function in ("count", "distinct"):
        most = rows
        if value.function == "distinct" and found.values is not None:
            most = min(most, len(found.values))
        least = 0 if filtered or found.nullable else 1
        return Range(least, max(most, least))
    return aggregate(value.function, value.arg, found, rows, nullable=filtered or found.nullable)


def aggregate(function: str, arg: Expr, found: Range, rows: int, *, nullable: bool) -> Range:
    """The range of an aggregate of at most `rows` values, not all of them NULL unless it is nullable itself."""
    if found.empty:
        return Range(values=frozenset(), nullable=True)
    if function in ("min", "max", "first"):
        return replace(found, nullable=nullable, by=None)
    if function in ("any", "all"):
        return outcomes((bool(each) for each in found.values or (True, False)), nullable=nullable)
    if found.low is None or found.high is None:
        raise QueryRefused(
            "bounds_missing",
            f"{tree.shown(arg)} has no declared bounds, so what is made of it per student has none.",
            accepted="bounds in the question, such as CASE WHEN x BETWEEN 0 AND 100 THEN x END, or in the catalog",
        )
    low: Number = found.low
    high: Number = found.high
    ends: tuple[Number, Number]
    if function == "sum":
        ends = (min(low, rows * low), max(high, rows * high))
        if arg.type == tree.DOUBLE:
            room = float(rows) * 2.0 ** -shift_of(found)
            summed = Range(_down(ends[0] - room), _up(ends[1] + room), None, nullable)
            steps_fit(found, rows)
            if max(abs(float(ends[0])), abs(float(ends[1]))) >= DOUBLE_MAX:
                raise too_large()
            return summed
        return fits(Range(*ends, None, nullable), arg.type)
    if arg.type == tree.DOUBLE:
        steps_fit(found, rows)
        room = 2.0 ** -shift_of(found)
        low, high = _down(float(low) - room), _up(float(high) + room)
    elif any(abs(end) * 10**arg.type.scale * rows >= MAGNITUDE_MAX for end in (low, high)):
        raise too_large()
    if function in ("avg", "median"):
        return Range(_down(float(low)), _up(float(high)), None, nullable)
    return _spread(function, arg, low, high, rows, nullable=nullable)


def _spread(function: str, arg: Expr, low: Number, high: Number, rows: int, *, nullable: bool) -> Range:
    """A variance is at most a quarter of the squared width, times n / (n − 1) ≤ 2 of a sample."""
    width = _up(float(high) - float(low))
    unit = 2.0 ** shift_of(Range(low, high)) if arg.type == tree.DOUBLE else 10.0**arg.type.scale
    if (float(rows) * max(abs(float(low)), abs(float(high))) * unit) ** 2 >= SQUARES_MAX:
        raise too_large()
    sample = function.endswith("_samp")
    most = width * width / (2 if sample else 4)
    if function.startswith("stddev"):
        most = math.sqrt(most)
    return Range(0.0, _up(_up(most)) * (1 + 1e-12), None, nullable=nullable or sample)


@contextmanager
def placed(span: tree.Span | None) -> Iterator[None]:
    """Let a refusal know where in the text it belongs."""
    try:
        yield
    except QueryRefused as refusal:
        refusal.span = refusal.span or span
        raise


def too_large() -> QueryRefused:
    """A number within a student could leave what is held exactly."""
    return QueryRefused(
        "too_large",
        "What is made of a student's rows could grow too large to be held exactly.",
        accepted="narrower bounds, such as CASE WHEN x BETWEEN 0 AND 100 THEN x END",
    )


def _down(value: float) -> float:
    return math.nextafter(math.nextafter(value, -math.inf), -math.inf)


def _up(value: float) -> float:
    return math.nextafter(math.nextafter(value, math.inf), math.inf)


STEPS = 30
"""Doubles are added within a student in steps of at most 2**-30 of their range."""


def shift_of(found: Range) -> int:
    """The number of binary places in which doubles of a range are added."""
    width = float(found.high or 0) - float(found.low or 0)
    most = max(abs(float(found.low or 0)), abs(float(found.high or 0)), width)
    return 0 if most == 0 else STEPS - math.frexp(most)[1]


def steps_fit(found: Range, rows: int) -> None:
    """Refuse doubles whose steps cannot be added exactly."""
    most = max(abs(float(found.low or 0)), abs(float(found.high or 0)))
    if abs(shift_of(found)) > 1000 or (most * 2.0 ** shift_of(found) + 1) * rows >= MAGNITUDE_MAX:  # noqa: PLR2004
        raise too_large()


# -- windows


def windowed(catalog: Catalog, name: str, step: tree.Windowed, inner: Inner, types: Mapping[str, tree.Type]) -> Made:
    """The rows themselves, with windows beside them."""
    bare = {column.name: own for own, column in step.columns if isinstance(column, tree.Column)}
    constants = frozenset(own for own, column in step.columns if tree.columns_of(column) <= inner.constant)
    known = {own: _passed(column, inner.known, bare) for own, column in step.columns}
    keys = _carried(inner, bare, constants)
    for own, value in step.windows:
        each = rows_in(inner, value.partition)
        with placed(value.span):
            known[own] = rolling(value, inner.known, each)
        moving = [part for part in value.partition if not tree.columns_of(part) <= inner.constant]
        if value.function == "row_number":
            parts = [1 if p not in moving else how_many(evaluate(p, inner.known), p.type) for p in value.partition]
            most = math.prod(part for part in parts if part is not None) if None not in parts else inner.rows
            keys[frozenset({own})] = min(most, inner.rows)
            if all(isinstance(part, tree.Column) and part.name in bare for part in moving):
                keys[frozenset({own, *(bare[p.name] for p in moving if isinstance(p, tree.Column))})] = 1
        if not value.order and not moving:
            constants |= {own}
    table = _table(catalog, name, types, inner.rows, keys, constants)
    return Made(table, known, _visible(catalog, bare, (*step.where, *inner.checks)), inner.cohorts)


def rolling(value: Rolling, known: Mapping[str, Range], rows: int) -> Range:
    """The range of a window over partitions of at most `rows` rows.

    Raises:
        QueryRefused: a sum has no bounds, or could grow too large.
    """
    most = max(rows, 1)
    match value.function:
        case "row_number" if most <= NUMBERS_MAX:
            return listed(range(1, most + 1))  # what a condition leaves of them can be counted
        case "row_number" | "rank" | "dense_rank":
            return Range(1, most)
        case "ntile":
            return Range(1, max(1, value.number))
        case "percent_rank" | "cume_dist":
            return Range(0.0, 1.0)
    inside = framed(value, most)
    if value.arg is None:
        return Range(0 if value.frame is not None else 1, inside)
    found = evaluate(value.arg, known)
    own_row = value.frame is None or ((value.frame[1] or 0) <= 0 <= (value.frame[2] or 0))
    match value.function:
        case "lag" | "lead":
            nothing = Range(values=frozenset(), nullable=True)
            other = nothing if value.default is None else listed([value.default.value])
            return union([replace(found, by=None), other])
        case "first_value" | "last_value" | "nth_value":
            return replace(found, by=None, nullable=found.nullable or not own_row or value.function == "nth_value")
        case "count":
            return Range(0, inside)
    return aggregate(value.function, value.arg, found, inside, nullable=found.nullable or not own_row)


def framed(value: Rolling, rows: int) -> int:
    """Most rows of a frame."""
    if value.frame is None or None in value.frame[1:] or value.frame[0] == "range":
        return rows
    return max(0, min(rows, (value.frame[2] or 0) - (value.frame[1] or 0) + 1))


# -- unions


def united(
    catalog: Catalog, name: str, step: tree.Union, inners: Sequence[Inner], types: Mapping[str, tree.Type]
) -> Made:
    """The rows of all sides: bounds add up, and keys are lost."""
    sides = list(zip(step.branches, inners, strict=True))
    known: dict[str, Range] = {}
    for place, own in enumerate(step.names):
        known[own] = union(replace(evaluate(b.columns[place], inner.known), by=None) for b, inner in sides)
    bares: list[dict[str, str]] = [
        {expr.name: own for own, expr in zip(step.names, b.columns, strict=True) if isinstance(expr, tree.Column)}
        for b in step.branches
    ]
    keys: dict[frozenset[str], int] = {}
    for bare, inner in zip(bares, inners, strict=True):
        for columns in inner.candidates[:KEYS_MAX]:
            if columns <= bare.keys():
                keys.setdefault(frozenset(bare[each] for each in columns), 0)
    for columns in keys:
        keys[columns] = sum(_agreeing(columns, bare, inner) for bare, inner in zip(bares, inners, strict=True))
    rows = sum(inner.rows for inner in inners)
    cohorts = tuple(sorted({cohort for inner in inners for cohort in inner.cohorts}))
    return Made(_table(catalog, name, types, rows, keys, frozenset()), known, (), cohorts)


def _agreeing(own: frozenset[str], bare: Mapping[str, str], inner: Inner) -> int:
    """Most rows of a side that agree on columns of the union."""
    fixed = frozenset(name for name, above in bare.items() if above in own) | inner.constant
    return min((most for columns, most in inner.rows_of.items() if columns <= fixed), default=inner.rows)
