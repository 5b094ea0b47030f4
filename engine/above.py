"""Expressions above the aggregation: post-processing of noisy numbers, and the aggregates they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import tree
from engine.expressions import Scope, condition, convert, exact, fold
from engine.source import span_of
from engine.tree import Aggregate, Constant, KeyRef, Outer, OuterArithmetic

if TYPE_CHECKING:
    from engine.catalog import Table
    from engine.refusals import QueryRefused
    from engine.source import Source

_OUTER_ARITHMETIC: dict[type[exp.Expr], Any] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}


@dataclass(slots=True)
class Above:
    """What expressions above the aggregation may use.

    Attributes:
        scope: names below the aggregation.
        table: the scanned table.
        keys: the GROUP BY columns, filled in before any expression is converted.
    """

    scope: Scope
    table: Table
    keys: list[tree.Column]


def aggregates(value: Outer) -> bool:
    """Whether an expression has an aggregate in it."""
    match value:
        case Aggregate():
            return True
        case OuterArithmetic(_, left, right):
            return aggregates(left) or aggregates(right)
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
    if isinstance(node, exp.Column):
        column = above.scope.column(node)
        if column not in above.keys:
            listed = above.table.columns[column.name].values is not None
            instead = "in GROUP BY, or in an aggregate" if listed else "in an aggregate, such as AVG"
            raise source.refusal(
                "unsupported",
                f"{column.name} stands outside an aggregate and is not in GROUP BY.",
                node,
                accepted=f"{column.name} {instead}",
            )
        return KeyRef(above.keys.index(column))
    if type(node) is exp.Paren:
        (this,) = source.consume(node, "this")
        return outer(above, this)
    if type(node) is exp.Literal and not node.is_string:
        return _constant(above.scope, node)
    if type(node) is exp.Neg:
        (this,) = source.consume(node, "this")
        return _outer_arithmetic(above, "-", Constant(0, tree.INTEGER), outer(above, this), node)
    if type(node) in _OUTER_ARITHMETIC:
        names = ("this", "expression", "typed", "safe") if type(node) is exp.Div else ("this", "expression")
        this, other, *_ = source.consume(node, *names)
        op = _OUTER_ARITHMETIC[type(node)]
        return _outer_arithmetic(above, op, outer(above, this), outer(above, other), node)
    raise _noouter(source, node)


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
                f"{op} needs numbers, and {above.keys[side.index].name} is not one.",
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
        return source.refusal(
            "unsupported",
            f"{type(node).__name__.upper()} is the value of a single student.",
            node,
            accepted="a share beyond a threshold, such as AVG(CASE WHEN gpa >= 3.5 THEN 1 ELSE 0 END)",
        )
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
    name = node.name.upper() if isinstance(node, exp.Anonymous) else type(node).__name__.upper()
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
        if any(column.name.lower() == scope.owner.lower() for column in this.find_all(exp.Column)):
            raise source.refusal(
                "unsupported",
                "Students cannot be counted one by one here.",
                node,
                accepted="COUNT(*) of a table with one row per student, or of one school year",
            )
        raise source.refusal(
            "unsupported",
            "DISTINCT inside an aggregate is not accepted.",
            node,
            accepted="the aggregate without it",
        )
    function = _AGGREGATES[type(node)]
    span = span_of(node)
    if function == "count" and (isinstance(this, exp.Star) or this is None):
        if this is not None:
            source.consume(this)
        return Aggregate("count", None, where, span)
    if type(node) is exp.CountIf:
        both = [condition(scope, this)] if where is None else [condition(scope, this), where]
        return Aggregate("count", None, tree.Logic("and", tuple(both)) if len(both) > 1 else both[0], span)
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


_AGGREGATES: dict[type[exp.Expr], Any] = {
    exp.Count: "count",
    exp.CountIf: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
}
