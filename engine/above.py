"""Expressions above the aggregation: post-processing of noisy numbers, and the aggregates they are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import advice, tree
from engine.expressions import ARITHMETIC, Scope, both, condition, convert, exact, fold
from engine.refusals import QueryRefused
from engine.source import span_of
from engine.tree import Aggregate, Constant, KeyRef, Outer, OuterArithmetic, Total

if TYPE_CHECKING:
    from engine.expressions import Named
    from engine.source import Source


@dataclass(slots=True)
class Above:
    """What expressions above the aggregation may use.

    Attributes:
        scope: names below the aggregation.
        keys: the GROUP BY expressions, filled in before any other is converted.
        totals: whether totals over groups are taken here: over all of them, so not where HAVING leaves some out.
    """

    scope: Scope
    keys: list[tree.Expr]
    totals: bool = True


def aggregates(value: Outer) -> bool:
    """Whether an expression has an aggregate in it."""
    match value:
        case Aggregate() | Total():
            return True
        case OuterArithmetic(_, left, right):
            return aggregates(left) or aggregates(right)
        case _:
            return False


def totals(value: Outer) -> bool:
    """Whether an expression has a total over groups in it."""
    match value:
        case Total():
            return True
        case OuterArithmetic(_, left, right):
            return totals(left) or totals(right)
        case _:
            return False


def outer(above: Above, node: exp.Expr) -> Outer:
    """An expression above the aggregation.

    Raises:
        QueryRefused: whatever is neither an aggregate, a GROUP BY column, a number nor arithmetic on these.
    """
    source = above.scope.source
    if type(node) in _AGGREGATES or isinstance(node, exp.Filter):
        return _aggregate(above.scope, node, None)
    key = _key(above, node)
    if key is not None:
        return KeyRef(key)
    if isinstance(node, exp.Column):
        above.scope.column(node)
        raise source.refusal(
            "unsupported",
            f"{node.name} stands outside an aggregate and is not in GROUP BY.",
            node,
            accepted=f"{node.name} in GROUP BY, or in an aggregate, such as AVG",
        )
    if type(node) is exp.Paren:
        (this,) = source.consume(node, "this")
        return outer(above, this)
    if type(node) is exp.Literal and not node.is_string:
        return _constant(above.scope, node)
    if type(node) is exp.Neg:
        (this,) = source.consume(node, "this")
        return _outer_arithmetic(above, "-", Constant(0, tree.INTEGER), outer(above, this), node)
    if type(node) in ARITHMETIC:
        names = ("this", "expression", "typed", "safe") if type(node) is exp.Div else ("this", "expression")
        this, other, *_ = source.consume(node, *names)
        op = ARITHMETIC[type(node)]
        if op == "/":
            other = divisor(source, other)
        left, right = (outer(above, _as_double(source, side)) for side in (this, other))
        return _outer_arithmetic(above, op, left, right, node)
    total = _total(above, node) if isinstance(node, exp.Window) and above.totals else None
    if total is not None:
        return total
    raise _noouter(source, node)


def divisor(source: Source, node: exp.Expr) -> exp.Expr:
    """A divisor: NULLIF(x, 0) is x, as a quotient by 0 is NULL anyway."""
    inner = node.unnest()
    if type(inner) is exp.Nullif and isinstance(inner.expression, exp.Literal) and inner.expression.name == "0":
        (this, _) = source.consume(inner, "this", "expression")
        return this  # type: ignore[no-any-return]
    return node


def _as_double(source: Source, node: exp.Expr) -> exp.Expr:
    """An operand: x::DOUBLE is x, as arithmetic above the aggregation is on doubles anyway."""
    inner = node.unnest()
    if type(inner) in (exp.Cast, exp.TryCast) and inner.args["to"].this in (exp.DType.DOUBLE, exp.DType.FLOAT):
        this, to, _ = source.consume(inner, "this", "to", "safe")
        source.consume(to, "this", "nested")
        return this  # type: ignore[no-any-return]
    return node


def _total(above: Above, node: exp.Window) -> Total | None:
    """SUM or AVG, over all groups that agree in some keys, of what is linear in draws; None for any other window."""
    source = above.scope.source
    this, partition, _over = source.consume(node, "this", "partition_by", "over")
    if type(this) not in (exp.Sum, exp.Avg):
        return None
    (argument,) = source.consume(this, "this")
    value = outer(replace(above, totals=False), argument)
    agreed = [outer(above, part) for part in partition or ()]
    keys = {part.index for part in agreed if isinstance(part, KeyRef)}
    if not _linear(value) or not all(isinstance(part, KeyRef) for part in agreed):
        return None
    return Total(value, tuple(sorted(keys)), mean=type(this) is exp.Avg)


def _linear(value: Outer) -> bool:
    """Whether a value is made of counts and sums by addition, subtraction and constant factors."""
    match value:
        case Aggregate(function, _, _):
            return function != "avg"
        case OuterArithmetic("+" | "-", left, right):
            sides = [side for side in (left, right) if not isinstance(side, Constant)]
            return bool(sides) and all(_linear(side) for side in sides)
        case OuterArithmetic("*", Constant(), other) | OuterArithmetic("*", other, Constant()):
            return _linear(other)
        case OuterArithmetic("/", other, Constant(by, _)):
            return bool(by) and _linear(other)
        case _:
            return False


def _key(above: Above, node: exp.Expr) -> int | None:
    """The position of the GROUP BY expression that a node is, if it is one."""
    if isinstance(node, exp.Literal) or not above.keys or node.find(exp.AggFunc, exp.Window):
        return None
    try:
        return above.keys.index(convert(above.scope, node))
    except (QueryRefused, ValueError):
        return None


def _constant(scope: Scope, node: exp.Expr) -> Constant:
    value = convert(scope, node)
    if not isinstance(value, Constant):
        raise _noouter(scope.source, node)
    return value


def _outer_arithmetic(above: Above, op: Any, left: Outer, right: Outer, node: exp.Expr) -> Outer:
    for side in (left, right):
        if isinstance(side, KeyRef) and not above.keys[side.index].type.is_number:
            raise above.scope.source.refusal(
                "unsupported",
                f"{op} needs numbers, and {tree.shown(above.keys[side.index])} is not one.",
                node,
                accepted="arithmetic on aggregates and on GROUP BY columns that are numbers",
            )
    if isinstance(left, Constant) and isinstance(right, Constant):
        folded = fold(op, left, right)
        if folded is not None:
            return exact(above.scope, folded, node)
    return OuterArithmetic(op, left, right)


def _noouter(source: Source, node: exp.Expr) -> QueryRefused:
    if isinstance(node, exp.Max | exp.Min):
        return advice.single(source, node)
    if isinstance(node, advice.SPREADS):
        return advice.spread(source, node)
    if isinstance(node, exp.Window):
        return source.refusal(
            "crosses_students",
            "A window lets one student's row change another's.",
            node,
            accepted="an aggregate with GROUP BY",
        )
    if isinstance(node, exp.Star):
        return source.refusal(
            "unsupported", "* stands for rows, and rows never leave the district.", node, accepted="COUNT(*)"
        )
    name = source.called(node)
    return source.refusal(
        "unsupported",
        f"{name} is not accepted in the answer's columns.",
        node,
        accepted="COUNT, SUM and AVG, with FILTER, GROUP BY columns, and + - * / over them",
    )


def _aggregate(scope: Scope, node: exp.Expr, where: tree.Expr | None) -> Aggregate:
    source = scope.source
    if isinstance(node, exp.Filter):
        this, clause = source.consume(node, "this", "expression")
        (this_where,) = source.consume(clause, "this")
        if type(this) not in _AGGREGATES:
            raise _noouter(source, this)
        return _aggregate(scope, this, condition(scope, this_where))
    this, _big = source.consume(node, "this", "big_int")
    if isinstance(this, exp.Distinct):
        return _students(scope, node, this, where)
    function = _AGGREGATES[type(node)]
    span = span_of(node)
    if function == "count" and (isinstance(this, exp.Star) or this is None):
        if this is not None:
            source.consume(this)
        return Aggregate("count", None, where, span)
    carrier = scope.carrier(this) if function == "count" and type(node) is exp.Count else None
    if carrier is not None:
        return Aggregate("count", None, _present(carrier, where), span)
    if type(node) is exp.CountIf:
        return Aggregate("count", None, both(condition(scope, this), where), span)
    arg = convert(scope, this)
    if function != "count":
        if arg.type == tree.BOOLEAN:
            arg = tree.Cast(arg, tree.INTEGER)
        if not arg.type.is_number:
            raise source.refusal(
                "unsupported",
                f"{function.upper()} needs a number, and this is {arg.type}.",
                this,
                accepted="COUNT",
            )
    return Aggregate(function, arg, where, span)


def _students(scope: Scope, node: exp.Expr, distinct: exp.Distinct, where: tree.Expr | None) -> Aggregate:
    """COUNT(DISTINCT owner): how many students have such a row."""
    (expressions,) = scope.source.consume(distinct, "expressions")
    only = expressions[0] if expressions and len(expressions) == 1 else None
    if type(only) is exp.Case:
        only, where = _case(scope, only, where)
    carrier = scope.carrier(only) if only is not None and type(node) is exp.Count else None
    if carrier is None:
        raise advice.distinct(scope.source, node, scope.owner)
    return Aggregate("students", None, _present(carrier, where), span_of(node))


def _case(scope: Scope, node: exp.Case, where: tree.Expr | None) -> tuple[exp.Expr | None, tree.Expr | None]:
    """CASE WHEN condition THEN owner END: the owner, and the condition beside FILTER's."""
    this, ifs, default = scope.source.consume(node, "this", "ifs", "default")
    if this is not None or len(ifs or ()) != 1 or not (default is None or isinstance(default, exp.Null)):
        return None, where
    when, then = scope.source.consume(ifs[0], "this", "true")
    if scope.carrier(then) is None:
        return None, where
    return then, both(condition(scope, when), where)


def _present(carrier: Named, where: tree.Expr | None) -> tree.Expr | None:
    """A condition, and that a right side's row was matched."""
    return where if carrier.presence is None else both(tree.Not(tree.IsNull(carrier.presence)), where)


_AGGREGATES: dict[type[exp.Expr], Any] = {
    exp.Count: "count",
    exp.CountIf: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
}
