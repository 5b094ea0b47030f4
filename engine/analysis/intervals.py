"""Which values an expression can take, given what is known of its columns.

An abstract interpretation over `engine.tree`: each expression is mapped to a `Range` that holds every value
the expression can have on a row that agrees with the environment. Exact numbers have exact bounds; bounds of
doubles are rounded outward.
"""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine import tree
from engine.days import FIRST, LAST
from engine.exact import MAGNITUDE_MAX, as_double, rounded
from engine.functions import NATIVE, Misfit
from engine.ranges import DOUBLE_MAX, EMPTY, Number, Range, listed, outcomes, plain, union
from engine.refusals import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from engine.catalog import Column, Table
    from engine.tree import Expr, Scalar

__all__ = [
    "COMPARISONS",
    "DOUBLE_MAX",
    "EMPTY",
    "Known",
    "Number",
    "Range",
    "aligned",
    "assume",
    "declared",
    "declared_environment",
    "equated",
    "evaluate",
    "facts_of",
    "fits",
    "fitting",
    "holds",
    "listed",
    "outcomes",
    "rounded",
    "union",
    "within",
]

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@lru_cache(maxsize=4096)
def declared(column: Column) -> Range:
    """What the catalog says of a column, enforced at load."""
    if column.values is not None:
        return listed(column.values, nullable=column.nullable)
    if column.ranges is not None:
        rows = column.ranges.rows
        return Range(min(row[1] for row in rows), max(row[2] for row in rows), None, column.nullable, column.ranges)
    return Range(column.low, column.high, None, column.nullable)


def how_many(found: Range, of: tree.Type) -> int | None:
    """How many values a column of a type can have at most, NULL among them; None where it is not known.

    Only whole numbers and dates lie between two ends at distances of 1.
    """
    if found.values is not None:
        return len(found.values) + found.nullable
    if of not in (tree.INTEGER, tree.DATE) or found.low is None or found.high is None:
        return None
    return max(0, math.floor(found.high) - math.ceil(found.low) + 1) + found.nullable


def declared_environment(table: Table) -> dict[str, Range]:
    """What the catalog says of every column of a table."""
    return {name: declared(column) for name, column in table.columns.items() if column.on}


# -- evaluation


class Known(dict[str, "Range"]):
    """What is known of columns, by name, and of composite expressions too.

    A copy by `{**known}` forgets what is known of expressions, which is sound.

    Attributes:
        facts: what conditions that are true say of an expression, by its canonical text.
    """

    __slots__ = ("facts",)

    def __init__(self, columns: Mapping[str, Range], facts: Mapping[str, Range]) -> None:
        super().__init__(columns)
        self.facts = dict(facts)


def facts_of(known: Mapping[str, Range]) -> dict[str, Range]:
    """What is known of expressions that are no columns."""
    return known.facts if isinstance(known, Known) else {}


def evaluate(expr: Expr, known: Mapping[str, Range]) -> Range:
    """The range of an expression.

    Raises:
        QueryRefused: `bounds_missing` where arithmetic meets a column without bounds, `too_large` where a
            number could leave what the backend holds.
    """
    found = _evaluate(expr, known)
    if not isinstance(known, Known) or not known.facts or isinstance(expr, tree.Column | tree.Constant):
        return found
    fact = known.facts.get(tree.canonical(expr))
    return found if fact is None else _both(found, fact)


def _both(one: Range, other: Range) -> Range:
    """The values that are in two ranges, both of which hold all that can occur."""
    nullable = one.nullable and other.nullable
    if one.values is not None or other.values is not None:
        listing, rest = (one, other) if one.values is not None else (other, one)
        return listed((value for value in listing.values or EMPTY if _can_be(rest, value)), nullable=nullable)
    low = other.low if one.low is None else one.low if other.low is None else max(one.low, other.low)
    high = other.high if one.high is None else one.high if other.high is None else min(one.high, other.high)
    if low is not None and high is not None and low > high:
        return Range(values=EMPTY, nullable=nullable)
    return Range(low, high, None, nullable)


def _evaluate(expr: Expr, known: Mapping[str, Range]) -> Range:  # noqa: C901, PLR0911 - one line for each kind of node
    """The range of an expression, by those of its parts."""
    match expr:
        case tree.Column(name, _):
            return _looked_up(known[name], known)
        case tree.Constant(value, _):
            return Range(values=EMPTY, nullable=True) if value is None else listed([value])
        case tree.Arithmetic(op, left, right, of):
            return _arithmetic(op, left, right, of, known)
        case tree.Compare(op, left, right, _):
            return _compare(op, evaluate(left, known), evaluate(right, known))
        case tree.Logic(op, args, _):
            return _logic(op, [evaluate(arg, known) for arg in args])
        case tree.Not(arg, _):
            inner = evaluate(arg, known)
            return outcomes((not value for value in inner.values or EMPTY), nullable=inner.nullable)
        case tree.IsNull(arg, _):
            inner = evaluate(arg, known)
            return outcomes([True] * inner.nullable + [False] * (not inner.empty))
        case tree.InList(arg, values_in, _):
            return _in_list(evaluate(arg, known), frozenset(constant.value for constant in values_in))
        case tree.Case(branches, default, _):
            return _case(branches, default, known)
        case tree.Coalesce(args, _):
            return _coalesce([evaluate(arg, known) for arg in args])
        case tree.Cast(arg, of, low, high):
            return _cast(evaluate(arg, known), arg.type, of, low, high)
        case tree.Call(_, args, _):
            return _call(expr, tuple(evaluate(arg, known) for arg in args))


def _call(call: tree.Call, args: tuple[Range, ...]) -> Range:
    """The range of a function's value, by its row in the table."""
    native = NATIVE[call.function]
    if native.strict and any(arg.empty for arg in args):
        return Range(values=EMPTY, nullable=True)
    try:
        found = native.range_of(call, args)
    except Misfit as misfit:
        raise QueryRefused(misfit.code, misfit.message, accepted=misfit.accepted) from None
    return fits(found, call.type) if call.type.kind == "exact" else found


def _looked_up(own: Range, known: Mapping[str, Range]) -> Range:
    """A column's range after its public table: the union over the rows whose keys can occur.

    A value that meets no row of the table is not loaded, so where none is left the column is NULL.
    """
    if own.by is None or own.low is None or own.high is None:
        return own
    rows = [
        row
        for row in own.by.rows
        if all(_can_be(known.get(name), v) for name, v in zip(own.by.keys, row[0], strict=True))
    ]
    if not rows:
        return Range(values=EMPTY, nullable=own.nullable)
    low, high = max(own.low, min(row[1] for row in rows)), min(own.high, max(row[2] for row in rows))
    return Range(low, high, None, own.nullable) if low <= high else Range(values=EMPTY, nullable=own.nullable)


def _can_be(found: Range | None, value: Scalar) -> bool:
    """Whether a column, if anything is known of it, can have a value."""
    if found is None:
        return True
    return value in found.values if found.values is not None else _within(value, found)


def holds(found: Range, value: Scalar) -> bool:
    """Whether a column may have a value; None stands for NULL."""
    return found.nullable if value is None else _can_be(found, value)


def within(own: Range, values: frozenset[Scalar]) -> Range:
    """The part of a range that is on a list; None on it stands for NULL."""
    kept = frozenset(value for value in values if value is not None and _can_be(own, value))
    return listed(kept, nullable=own.nullable and None in values)


def _arithmetic(op: str, left: Expr, right: Expr, of: tree.Type, known: Mapping[str, Range]) -> Range:
    a, b = evaluate(left, known), evaluate(right, known)
    nullable = a.nullable or b.nullable
    if a.empty or b.empty:
        return Range(values=EMPTY, nullable=True)
    if a.low is None or a.high is None or b.low is None or b.high is None:
        names = sorted(tree.columns_of(left) | tree.columns_of(right))
        unbounded = [name for name in names if known[name].low is None or known[name].high is None] or names
        raise QueryRefused(
            "bounds_missing",
            f"{', '.join(unbounded)} has no declared bounds, so arithmetic on it cannot be proved to fit.",
            accepted="a column with bounds, or the bounds declared in the catalog",
        )
    if op == "/":
        return _quotient(a, b, right)
    if op == "+":
        corners = [a.low + b.low, a.high + b.high]
    elif op == "-":
        corners = [a.low - b.high, a.high - b.low]
    else:
        corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    low, high = min(corners), max(corners)
    if of == tree.DATE and not FIRST <= low <= high <= LAST:
        message = "A date in this question could leave the years 1 to 9999."
        raise QueryRefused("too_large", message, accepted="fewer days")
    if of == tree.DOUBLE and op == "*" and low == high == 0:
        return Range(0.0, 0.0, None, nullable)
    if of == tree.DOUBLE:
        return _fits_double(Range(math.nextafter(low, -math.inf), math.nextafter(high, math.inf), None, nullable))
    return fits(Range(low, high, None, nullable), of)


def _quotient(a: Range, b: Range, divisor: Expr) -> Range:
    """A quotient of doubles; NULL where the divisor is 0.

    A divisor that was exact before its cast is 0 or at least one unit of its scale away from it.
    """
    if a.low is None or a.high is None or b.low is None or b.high is None:
        raise AssertionError
    nullable = a.nullable or b.nullable
    if b.low == b.high == 0:
        return Range(values=EMPTY, nullable=True)
    if not b.low <= 0 <= b.high:
        corners = [float(x) / float(y) for x in (a.low, a.high) for y in (b.low, b.high)]
        low, high = math.nextafter(min(corners), -math.inf), math.nextafter(max(corners), math.inf)
        return _fits_double(Range(low, high, None, nullable))
    if not isinstance(divisor, tree.Cast) or divisor.arg.type.kind != "exact":
        raise QueryRefused(
            "bounds_missing",
            "The divisor can come arbitrarily near 0, so the quotient has no bounds.",
            accepted="a divisor whose range leaves out 0, or an exact one (integer or decimal)",
        )
    most = max(abs(float(a.low)), abs(float(a.high))) * float(10**divisor.arg.type.scale)
    most = math.nextafter(most, math.inf) if most else 0.0
    return _fits_double(Range(-most, most, None, nullable=True))


def _fits_double(found: Range) -> Range:
    if found.low is None or found.high is None or found.low <= -DOUBLE_MAX or found.high >= DOUBLE_MAX:
        raise QueryRefused("too_large", "A number in this question could grow too large.", accepted="smaller bounds")
    return found


def fits(found: Range, of: tree.Type) -> Range:
    """The range of an exact number, on the proof that its whole number stays below 2**62.

    Without decimal places a column needs no bounds: the loader keeps every whole number below 2**62.
    """
    unit = 10**of.scale
    if found.empty or (of.scale == 0 and (found.low is None or found.high is None)):
        return found
    for bound in (found.low, found.high):
        if bound is None or abs(bound) * unit >= MAGNITUDE_MAX:
            raise QueryRefused(
                "too_large",
                "A number in this question could grow too large to be held exactly.",
                accepted="columns with smaller bounds, or a CAST to DOUBLE",
            )
    return found


def fitting(expr: Expr, known: Mapping[str, Range]) -> None:
    """Prove that every number in an expression fits.

    Raises:
        QueryRefused: one may not, or has no bounds.
    """
    for part in tree.walk(expr):
        if isinstance(part, tree.Arithmetic | tree.Call):
            evaluate(part, known)
        for child, scale in aligned(part):
            if scale > child.type.scale:
                fits(evaluate(child, known), tree.Type("exact", scale))


def aligned(expr: Expr) -> tuple[tuple[Expr, int], ...]:
    """The exact arguments that must be brought to more decimal places before the expression can use them.

    The analysis proves that they fit there; the compiler does it.
    """
    match expr:
        case tree.Arithmetic("+" | "-", left, right, of) if of.kind == "exact":
            return tuple((arg, of.scale) for arg in (left, right))
        case tree.Compare(_, left, right, _) if left.type.kind == "exact":
            scale = max(left.type.scale, right.type.scale)
            return ((left, scale), (right, scale))
        case tree.InList(arg, values, _) if arg.type.kind == "exact":
            scale = max(part.type.scale for part in (arg, *values))
            return tuple((part, scale) for part in (arg, *values))
        case tree.Case(branches, default, of) if of.kind == "exact":
            return tuple((part, of.scale) for part in (*(then for _, then in branches), default))
        case tree.Coalesce(args, of) if of.kind == "exact":
            return tuple((arg, of.scale) for arg in args)
        case tree.Cast(arg, of, _, _) if of.kind == arg.type.kind == "exact" and of.scale > arg.type.scale:
            return ((arg, of.scale),)
        case tree.Call(function, args, of) if of.kind == "exact" and NATIVE[function].aligned:
            return tuple((arg, of.scale) for arg in args)
    return ()


def _compare(op: str, a: Range, b: Range) -> Range:
    nullable = a.nullable or b.nullable
    if a.empty or b.empty:
        return Range(values=EMPTY, nullable=True)
    match op:
        case "=" | "<>":
            found = {op == "="} if _may_meet(a, b) else set()
            found |= set() if _one_value(a, b) else {op != "="}
        case "<":
            found = _below(a, b, strict=True)
        case "<=":
            found = _below(a, b, strict=False)
        case ">":
            found = _below(b, a, strict=True)
        case _:
            found = _below(b, a, strict=False)
    return outcomes(found, nullable=nullable)


def _may_meet(a: Range, b: Range) -> bool:
    if a.values is not None and b.values is not None:
        return not a.values.isdisjoint(b.values)
    below = a.high is not None and b.low is not None and a.high < b.low
    above = a.low is not None and b.high is not None and a.low > b.high
    return not (below or above)


def _one_value(a: Range, b: Range) -> bool:
    return a.values is not None and b.values is not None and len(a.values) == 1 and a.values == b.values


def _below(a: Range, b: Range, *, strict: bool) -> set[bool]:
    """The outcomes of a < b (or a <= b): by the ends of the ranges, or by the listed texts and booleans."""
    a_low, a_high, b_low, b_high = *_ends(a), *_ends(b)
    found: set[bool] = set()
    if a_low is None or b_high is None or a_low < b_high or (not strict and a_low == b_high):
        found |= {True}
    if a_high is None or b_low is None or a_high > b_low or (strict and a_high == b_low):
        found |= {False}
    return found


def _ends(a: Range) -> tuple[Number | None, Number | None]:
    """Ends that compare with one another; texts have none, as collations differ."""
    if a.low is None and a.high is None and a.values and all(isinstance(value, bool) for value in a.values):
        return int(min(a.values)), int(max(a.values))  # type: ignore[type-var,arg-type]
    return a.low, a.high


def _logic(op: str, args: list[Range]) -> Range:
    """Three-valued AND, OR over independent arguments, by all combinations of outcomes."""
    dominant = op == "or"
    found: set[bool | None] = {not dominant}
    for arg in args:
        own: set[bool | None] = {bool(value) for value in (arg.values if arg.values is not None else (True, False))}
        own |= {None} if arg.nullable else set()
        found = {
            dominant if dominant in (a, b) else None if None in (a, b) else not dominant
            for a, b in itertools.product(found, own)
        }
    return outcomes((value for value in found if value is not None), nullable=None in found)


def _in_list(arg: Range, constants: frozenset[Scalar]) -> Range:
    if arg.empty:
        return Range(values=EMPTY, nullable=True)
    if arg.values is not None:
        found = [True] * (not arg.values.isdisjoint(constants)) + [False] * (not arg.values <= constants)
        return outcomes(found, nullable=arg.nullable)
    return outcomes([True, False] if _may_meet(arg, listed(constants)) else [False], nullable=arg.nullable)


def _case(branches: Iterable[tuple[Expr, Expr]], default: Expr, known: Mapping[str, Range]) -> Range:
    found = []
    for when, then in branches:
        outcome = evaluate(when, known)
        inside = assume((when,), known) if outcome.can_be_true else None
        if inside is not None:
            found.append(evaluate(then, inside))
        if outcome.always_true:
            return union(found)
    return union([*found, evaluate(default, known)])


def _coalesce(args: list[Range]) -> Range:
    reached = list(itertools.takewhile(lambda arg: arg.nullable, args))
    last = args[len(reached) : len(reached) + 1]
    found = union([*(replace(arg, nullable=False) for arg in reached), *last])
    return found if last else replace(found, nullable=True)


def _cast(arg: Range, source: tree.Type, of: tree.Type, low: int | None, high: int | None) -> Range:
    if arg.empty:
        return Range(values=EMPTY, nullable=True)
    if source == tree.BOOLEAN and of.kind == "exact":
        return _cast_boolean(arg, of, low, high)
    if of == tree.DOUBLE:
        if arg.values is not None:
            return listed([as_double(value, source) for value in arg.values], nullable=arg.nullable)
        low_end, high_end = (None if end is None else as_double(end, source) for end in (arg.low, arg.high))
        return Range(low_end, high_end, None, arg.nullable)
    if of.kind != "exact":
        return arg
    unit = 10**of.scale
    least, most = (rounded(end, of.scale) if end is not None else None for end in (arg.low, arg.high))
    if source == tree.DOUBLE and of.scale and least is not None and most is not None:
        least, most = least - 1, most + 1  # the product with 10**scale is itself rounded
    nullable = arg.nullable
    if low is not None and (least is None or least < low):
        least, nullable = low, True
    if high is not None and (most is None or most > high):
        most, nullable = high, True
    exact_low, exact_high = (end if end is None else plain(Fraction(end, unit)) for end in (least, most))
    return Range(exact_low, exact_high, None, nullable)


def _cast_boolean(arg: Range, of: tree.Type, low: int | None, high: int | None) -> Range:
    """0 or 1 in the type's units; NULL where the type cannot hold it, as DECIMAL(1, 1) cannot hold 1."""
    flags = [int(value) for value in arg.values or EMPTY if isinstance(value, bool)]
    kept = [flag for flag in flags if (low is None or high is None or low <= flag * 10**of.scale <= high)]
    return listed(kept, nullable=arg.nullable or len(kept) < len(flags))


# -- assumptions


PASSES_MAX = 3
"""How often equalities of columns hand on what is known of one to the other."""


def assume(conditions: Iterable[Expr], known: Mapping[str, Range]) -> dict[str, Range] | None:
    """What is known of the columns on rows where the conditions are true; None where there are none.

    Conjuncts that compare a bare column with a constant or with another expression narrow its range, and those that
    compare a composite expression with a constant narrow that of the same expression wherever it stands; all others
    are left out, which is sound.
    """
    every = tree.conjuncts(conditions)
    found = dict(known)
    for conjunct in every:
        narrowed = _narrow(conjunct, found) or _by_day(conjunct, found)
        if narrowed is None:
            continue
        name, left = narrowed
        if left.empty and not left.nullable:
            return None
        found[name] = left
    facts = facts_of(known)
    composite = [conjunct for conjunct in every if _subject(conjunct) is not None]
    if composite or facts:
        stated = _stated(composite, Known(found, facts))
        if stated is None:
            return None
        found = stated
    equal = [side for conjunct in every for side in equated(conjunct)]
    for _ in range(PASSES_MAX):
        before = dict(found)
        for column, other in equal:
            left = _meet(found[column.name], other, found)
            if left.empty:
                return None
            found[column.name] = left
        if found == before:
            break
    return found


def _stated(conjuncts: Iterable[Expr], known: Known) -> Known | None:
    """With what conjuncts say of composite expressions; None where one cannot be true."""
    for conjunct in conjuncts:
        subject = _subject(conjunct)
        if subject is None:
            continue
        try:
            own = evaluate(subject, known)
        except QueryRefused:
            continue  # whoever uses the expression is told
        left = _kept(conjunct, own)
        if left.empty and not left.nullable:
            return None
        known.facts[tree.canonical(subject)] = left
    return known


def _subject(conjunct: Expr) -> Expr | None:
    """The composite expression that a conjunct compares with constants."""
    match conjunct:
        case tree.Compare(_, arg, tree.Constant(), _) | tree.InList(arg, _, _):
            pass
        case tree.IsNull(arg, _) | tree.Not(tree.IsNull(arg, _), _):
            pass
        case _:
            return None
    return None if isinstance(arg, tree.Column | tree.Constant) else arg


def _kept(conjunct: Expr, own: Range) -> Range:
    """The part of an expression's range on which a conjunct about it is true."""
    match conjunct:
        case tree.Compare(op, left, tree.Constant(value, _), _):
            op, value = _day_kept(op, value, left.type)
            return _keep(op, own, value)
        case tree.InList(_, constants, _):
            return _among(own, frozenset(constant.value for constant in constants))
        case tree.IsNull():
            return Range(values=EMPTY, nullable=own.nullable)
    return replace(own, nullable=False)


def _among(own: Range, wanted: frozenset[Scalar]) -> Range:
    """The part of a range that is on a list of constants."""
    kept = wanted if own.values is None else own.values & wanted
    return listed(value for value in kept if _within(value, own))


def equated(conjunct: Expr) -> Iterator[tuple[tree.Column, Expr]]:
    """The columns that a conjunct makes equal to another expression, which is no constant."""
    if isinstance(conjunct, tree.Compare) and conjunct.op == "=":
        for column, other in ((conjunct.left, conjunct.right), (conjunct.right, conjunct.left)):
            if isinstance(column, tree.Column) and not isinstance(other, tree.Constant):
                yield column, other


def _meet(own: Range, other: Expr, known: Mapping[str, Range]) -> Range:
    """The part of a column's range that the range of an expression meets."""
    try:
        found = evaluate(other, known)
    except QueryRefused:
        return replace(own, nullable=False)
    values = own.values
    if values is not None:
        values = frozenset(value for value in values if _can_be(found, value))
    elif found.values is not None:
        values = frozenset(value for value in found.values if _within(value, own))
    if values is not None:
        return listed(values)
    if found.empty:
        return Range(values=EMPTY)
    low = found.low if own.low is None else own.low if found.low is None else max(own.low, found.low)
    high = found.high if own.high is None else own.high if found.high is None else min(own.high, found.high)
    if low is not None and high is not None and low > high:
        return Range(values=EMPTY)
    return Range(low, high, None, nullable=False, by=own.by)


def _narrow(conjunct: Expr, known: Mapping[str, Range]) -> tuple[str, Range] | None:
    match conjunct:
        case tree.Compare(_, tree.Column(name, _), tree.Constant(), _) | tree.InList(tree.Column(name, _), _, _):
            return name, _kept(conjunct, known[name])
        case tree.IsNull(tree.Column(name, _), _) | tree.Not(tree.IsNull(tree.Column(name, _), _), _):
            return name, _kept(conjunct, known[name])
        case tree.Column(name, _):
            return name, _keep("=", known[name], value=True)
        case tree.Not(tree.Column(name, _), _):
            return name, _keep("=", known[name], value=False)
    return None


DAY_STEPS_MAX = 60_000
"""Most steps (days times parts of an expression) in which a condition on one column of dates is tried day by day."""


def _by_day(conjunct: Expr, known: Mapping[str, Range]) -> tuple[str, Range] | None:
    """The days of a column on which a condition on that column alone can be true, as MONTH(event_date) = 2 is."""
    reads = list(tree.walk(conjunct))
    columns = {part for part in reads if isinstance(part, tree.Column)}
    if len(columns) != 1 or next(iter(columns)).type != tree.DATE:
        return None
    (column,) = columns
    own = known[column.name]
    size = how_many(own, tree.DATE)
    if size is None or size * len(reads) > DAY_STEPS_MAX:
        return None
    left = _days_left(conjunct, column.name, replace(own, by=None))
    return column.name, left if left.values is not None else replace(left, by=own.by)


@lru_cache(maxsize=1024)
def _days_left(conjunct: Expr, name: str, own: Range) -> Range:
    try:
        days = _days_of(own)
        kept = [day for day in days if evaluate(conjunct, {name: listed([day])}).can_be_true]
        absent = own.nullable and evaluate(conjunct, {name: Range(values=EMPTY, nullable=True)}).can_be_true
    except QueryRefused:
        return own  # whoever uses the expression is told
    if own.values is None and kept and kept[-1] - kept[0] == len(kept) - 1:
        return Range(kept[0], kept[-1], None, absent)
    return listed(kept, nullable=absent)


def _days_of(own: Range) -> list[int]:
    """The days of a range, in order."""
    if own.values is not None:
        return sorted(day for day in own.values if isinstance(day, int))
    if own.low is None or own.high is None:
        raise AssertionError
    return list(range(math.ceil(own.low), math.floor(own.high) + 1))


def _within(value: Scalar, own: Range) -> bool:
    if not isinstance(value, int | Fraction | float) or isinstance(value, bool):
        return True
    return not ((own.low is not None and value < own.low) or (own.high is not None and value > own.high))


def _day_kept(op: tree.CompareOp, value: Scalar, of: tree.Type) -> tuple[tree.CompareOp, Scalar]:
    """A comparison with a day as the last or first day it leaves: before one day is up to the day before it."""
    if of == tree.DATE and isinstance(value, int) and op in ("<", ">"):
        return ("<=", value - 1) if op == "<" else (">=", value + 1)
    return op, value


def _keep(op: str, own: Range, value: Scalar) -> Range:
    """The part of a range on which `op value` is true."""
    if value is None:
        return Range(values=EMPTY)
    if own.values is not None:
        holds = COMPARISONS[op]
        if isinstance(value, str) and op not in ("=", "<>"):
            return replace(own, nullable=False)  # how texts are ordered is the backend's business
        return listed(kept for kept in own.values if holds(kept, value))
    if op == "=":
        return listed([value]) if _within(value, own) else Range(values=EMPTY)
    if op == "<>" or not isinstance(value, int | Fraction | float) or isinstance(value, bool):
        return replace(own, nullable=False)
    low, high = own.low, own.high
    if op in ("<", "<="):
        high = value if high is None else min(high, value)
    else:
        low = value if low is None else max(low, value)
    if low is not None and high is not None and low > high:
        return Range(values=EMPTY)
    return Range(low, high, None, nullable=False, by=own.by)
