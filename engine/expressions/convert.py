"""Scalar expressions: sqlglot nodes → our typed tree, an allow-list by construction.

Each converter names every arg it consumes, converts the children and hands them to the rules of its room:
`comparisons`, `numbers`, `choices`.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import advice, tree
from engine.expressions.calls import called, read_as, settled
from engine.expressions.choices import choice, coalesce, nullif
from engine.expressions.comparisons import (
    as_boolean,
    certainly,
    comparable,
    comparison,
    connective,
    listed,
    misspelt,
    negation,
    same,
)
from engine.expressions.dates import date_arithmetic, moved_by
from engine.expressions.numbers import arithmetic, cast_to, literal, target_of
from engine.functions import BY_NAME, BY_NODE, Function, Syntax
from engine.functions.dates import strftime
from engine.tree import BOOLEAN, DATE, INTEGER, NULL, TEXT, Constant, Expr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.expressions.scope import Scope

NODES_MAX = 1_000
"""Largest expression that repeats its arguments, as NULLIF, BETWEEN and CASE with an operand do."""

COMPARISONS: dict[type[exp.Expr], tree.CompareOp] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
ARITHMETIC: dict[type[exp.Expr], Any] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}


def convert(scope: Scope, node: exp.Expr) -> Expr:
    """A scalar expression over the columns of one relation.

    Raises:
        QueryRefused: whatever is not on the allow-list, or does not fit together.
    """
    step = scope.step(node)
    if step is not None:
        return step
    converter = _CONVERTERS.get(type(node))
    if converter is not None:
        return converter(scope, node)
    if type(node) in BY_NODE:
        return _function(scope, node)
    if type(node) is exp.Anonymous:
        return _named(scope, node)
    raise _unaccepted(scope, node)


def condition(scope: Scope, node: exp.Expr) -> Expr:
    """An expression that must be a condition."""
    return as_boolean(scope, convert(scope, node), node)


def _unaccepted(scope: Scope, node: exp.Expr) -> Exception:
    source = scope.source
    if isinstance(node, exp.Window):
        return source.refusal(
            "crosses_students",
            "A window lets one student's row change another's.",
            node,
            accepted="an aggregate with GROUP BY",
        )
    if isinstance(node, exp.AggFunc | exp.Filter):
        return advice.before_groups(source, node)
    if isinstance(node, exp.Query | exp.Subquery):
        return _subquery(scope, node)
    if isinstance(node, advice.LEVELS):
        return advice.levels(source, node)
    name = source.called(node)
    now = isinstance(node, exp.CurrentDate | exp.CurrentTimestamp | exp.CurrentTime)
    if now or (name in _CLOCKS and len(node.expressions) <= 1):
        return source.refusal(
            "unsupported",
            "An answer must not depend on the day it is asked.",
            node,
            accepted="the date as it is written, such as DATE '2025-01-31'",
        )
    if isinstance(node, exp.Star):
        return source.refusal(
            "unsupported", "* stands for rows, and rows never leave the district.", node, accepted="COUNT(*)"
        )
    accepted = advice.FOREIGN.get(name) or _nearest(name)
    return source.refusal("unsupported", f"{name} is not accepted.", node, accepted=accepted)


def _subquery(scope: Scope, node: exp.Expr) -> Exception:
    """A subquery where a value stands; the greatest value of a column is public where its list is."""
    column = advice.extreme(node)
    if column is not None:
        for named in scope.relations:
            found = named.columns.get(column.name.lower())
            plain = isinstance(found, tree.Column) and found.type in (INTEGER, TEXT)
            known = scope.known.get(found.name) if plain and isinstance(found, tree.Column) else None
            if known is not None and known.values:
                values = sorted(known.values)  # type: ignore[type-var]
                return advice.listed(scope.source, node, column, values)
    return advice.subquery(scope.source, node, scope.owner)


def _nearest(name: str) -> str:
    """The accepted functions whose names are nearest, then those that are used most."""
    close = get_close_matches(name, BY_NAME, n=3)
    return f"one of {', '.join(dict.fromkeys([*close, *_USED]))}"


_CLOCKS = frozenset({"NOW", "TODAY", "AGE", "GET_CURRENT_TIMESTAMP", "TRANSACTION_TIMESTAMP", "GET_CURRENT_TIME"})
_USED = ("CASE", "COALESCE", "NULLIF", "CAST", "ROUND", "GREATEST", "LIKE", "SUBSTRING", "BETWEEN", "IN")


def _small(scope: Scope, expr: Expr, node: exp.Expr) -> Expr:
    """An expression that holds an argument several times, refused where nesting has made it large."""
    if sum(1 for _ in tree.walk(expr)) > NODES_MAX:
        raise scope.source.refusal(
            "too_large", "This is nested too deeply once it is written out.", node, accepted="fewer levels"
        )
    return expr


# -- names and constants


def _column(scope: Scope, node: exp.Column) -> Expr:
    return scope.column(node)


def _paren(scope: Scope, node: exp.Expr) -> Expr:
    (this,) = scope.source.consume(node, "this")
    return convert(scope, this)


def _null(scope: Scope, node: exp.Expr) -> Expr:
    scope.source.consume(node)
    return Constant(None, NULL)


def _boolean(scope: Scope, node: exp.Expr) -> Expr:
    (this,) = scope.source.consume(node, "this")
    return Constant(bool(this), BOOLEAN)


# -- conditions


def _connective(scope: Scope, node: exp.Expr) -> Expr:
    args: list[Expr] = []
    pending: list[exp.Expr] = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, exp.Paren) and isinstance(part.this, type(node)):
            (part,) = scope.source.consume(part, "this")
        if type(part) is type(node):
            pending.extend(scope.source.consume(part, "this", "expression"))
        else:
            args.append(condition(scope, part))
    return connective("and" if isinstance(node, exp.And) else "or", args)


def _not(scope: Scope, node: exp.Expr) -> Expr:
    (this,) = scope.source.consume(node, "this")
    return negation(condition(scope, this))


def _is(scope: Scope, node: exp.Expr) -> Expr:
    this, other = scope.source.consume(node, "this", "expression")
    carrier = scope.carrier(this) if isinstance(other, exp.Null) else None
    if carrier is not None and carrier.presence is not None:
        return tree.IsNull(carrier.presence)
    arg = convert(scope, this)
    if isinstance(other, exp.Null):
        return tree.IsNull(arg)
    if isinstance(other, exp.Boolean):
        inner = as_boolean(scope, arg, this)
        return certainly(inner, wanted=_boolean(scope, other) == Constant(value=True, type=BOOLEAN))
    raise scope.source.refusal(
        "unsupported",
        "IS takes NULL, TRUE or FALSE.",
        node,
        accepted="IS NULL, IS NOT NULL, IS TRUE or IS FALSE",
    )


def _compare(scope: Scope, node: exp.Expr) -> Expr:
    this, other = scope.source.consume(node, "this", "expression")
    return settled(
        scope, comparison(scope, COMPARISONS[type(node)], convert(scope, this), convert(scope, other), node)
    )


def _distinct(scope: Scope, node: exp.Expr) -> Expr:
    """IS [NOT] DISTINCT FROM."""
    this, other = scope.source.consume(node, "this", "expression")
    found = _small(scope, same(scope, convert(scope, this), convert(scope, other), node), node)
    return negation(found) if type(node) is exp.NullSafeNEQ else found


def _between(scope: Scope, node: exp.Expr) -> Expr:
    this, low, high = scope.source.consume(node, "this", "low", "high")
    arg = convert(scope, this)
    lower = settled(scope, comparison(scope, ">=", arg, convert(scope, low), node))
    upper = settled(scope, comparison(scope, "<=", arg, convert(scope, high), node))
    return _small(scope, tree.Logic("and", tuple(sorted((lower, upper), key=tree.canonical))), node)


def _in(scope: Scope, node: exp.Expr) -> Expr:
    if node.args.get("query") is not None:
        raise _unaccepted(scope, node.args["query"])
    this, expressions = scope.source.consume(node, "this", "expressions")
    if not expressions:
        raise scope.source.refusal("syntax", "IN has no list.", node, accepted="a list such as IN ('09', '10')")
    arg = convert(scope, this)
    constants = [(element, convert(scope, element)) for element in expressions]
    for element, constant in constants:
        if not isinstance(constant, Constant):
            raise scope.source.refusal(
                "unsupported", "IN takes constants.", element, accepted="a list such as IN ('09', '10')"
            )
    present = [(element, constant) for element, constant in constants if constant.type != NULL]
    for element, constant in present:
        misspelt(scope, arg, constant, element)
    for element, constant in present:  # first the type in which all are compared, then all in this type
        arg, _ = comparable(scope, arg, constant, element)
    values: list[Constant] = []
    for element, constant in present:
        _, value = comparable(scope, arg, constant, element)
        if not isinstance(value, Constant) or value.type.kind != arg.type.kind:
            raise _unaccepted(scope, element)
        values.append(value)
    return settled(scope, listed(arg, values, has_null=len(present) < len(constants)))


# -- numbers


def _arithmetic(scope: Scope, node: exp.Expr) -> Expr:
    names = ("this", "expression", "typed", "safe") if isinstance(node, exp.Div) else ("this", "expression")
    this, other, *_ = scope.source.consume(node, *names)
    op = ARITHMETIC[type(node)]
    if type(other) is exp.Interval and op in ("+", "-"):
        return moved_by(scope, op, convert(scope, this), other, node)
    if type(this) is exp.Interval and op == "+":
        return moved_by(scope, op, convert(scope, other), this, node)
    left, right = convert(scope, this), convert(scope, other)
    if DATE in (left.type, right.type):
        return date_arithmetic(scope, op, left, right, node)
    return arithmetic(scope, op, left, right, node)


def _date_add(scope: Scope, node: exp.Expr) -> Expr:
    """DATE_ADD with an interval, or with days."""
    this, other = scope.source.consume(node, "this", "expression")
    if type(other) is exp.Interval:
        return moved_by(scope, "+", convert(scope, this), other, node)
    return date_arithmetic(scope, "+", convert(scope, this), convert(scope, other), node)


def _negate(scope: Scope, node: exp.Expr) -> Expr:
    (this,) = scope.source.consume(node, "this")
    return arithmetic(scope, "-", Constant(0, INTEGER), convert(scope, this), node)


def _cast(scope: Scope, node: exp.Expr) -> Expr:
    this, to, _safe = scope.source.consume(node, "this", "to", "safe")
    arg = convert(scope, this)
    target, low, high = target_of(scope, to)
    if DATE in (arg.type, target):
        return _cast_date(scope, arg, target, to, node)
    by_value = arg.type in (INTEGER, BOOLEAN) if target == TEXT else arg.type == TEXT
    return read_as(scope, arg, target, low, high, node) if by_value else cast_to(scope, arg, to, node)


def _cast_date(scope: Scope, arg: Expr, target: tree.Type, to: exp.Expr, node: exp.Expr) -> Expr:
    """A date as a text, by the functions of dates; or a text as a date, by the list of values."""
    if arg.type == DATE and target == TEXT:
        return strftime((arg, Constant("%Y-%m-%d", TEXT)))
    if arg.type == TEXT and not isinstance(arg, Constant):
        return read_as(scope, arg, target, None, None, node)
    return cast_to(scope, arg, to, node)


# -- functions of the table


def _function(scope: Scope, node: exp.Expr) -> Expr:
    """A class of sqlglot that the table knows."""
    fitting = (
        (reading, function)
        for reading, function in BY_NODE[type(node)]
        if all((node.args.get(name) or None) == value for name, value in reading.fixed.items())
    )
    reading, function = next(fitting, (None, None))
    if reading is None or function is None:
        raise _unaccepted(scope, node)
    names = (*reading.args, *reading.fixed, *reading.ignored, *([reading.negates] if reading.negates else []))
    scope.source.consume(node, *names)
    nodes = [part for name in reading.args for part in _parts(node.args.get(name))]
    found = _called(scope, function, nodes, node)
    return negation(found) if reading.negates and _negated(scope, node, reading.negates) else found


def _negated(scope: Scope, node: exp.Expr, name: str) -> bool:
    """Whether a node is its own negation, as NOT LIKE is."""
    value = node.args.get(name)
    if value not in (None, False, True):
        raise _unaccepted(scope, node)
    return bool(value)


def _parts(value: Any) -> list[exp.Expr]:
    """The nodes of an arg."""
    parts = value if isinstance(value, list) else [value]
    return [part for part in parts if isinstance(part, exp.Expr)]


def _named(scope: Scope, node: exp.Anonymous) -> Expr:
    """A function that sqlglot does not know, by its name."""
    function = BY_NAME.get(node.name.upper())
    if function is None or isinstance(function.how, Syntax):
        raise _unaccepted(scope, node)
    _, expressions = scope.source.consume(node, "this", "expressions")
    return _called(scope, function, expressions or (), node)


def _called(scope: Scope, function: Function, nodes: Sequence[exp.Expr], node: exp.Expr) -> Expr:
    args = [_unit(part) if type(part) is exp.Var else convert(scope, part) for part in nodes]
    return _small(scope, called(scope, function, args, nodes, node), node)


def _unit(node: exp.Var) -> Expr:
    """The bare word of a unit, as in EXTRACT(month FROM …)."""
    return Constant(node.name, TEXT)


def _escape(scope: Scope, node: exp.Expr) -> Expr:
    """LIKE with ESCAPE."""
    inner, escape = scope.source.consume(node, "this", "expression")
    if type(inner) is not exp.Like or escape is None:
        raise scope.source.refusal(
            "unsupported", "ESCAPE is accepted after LIKE.", node, accepted="LIKE … ESCAPE '!'"
        )
    this, pattern, _ = scope.source.consume(inner, "this", "expression", "negate")
    found = _called(scope, BY_NAME["LIKE"], _parts([this, pattern, escape]), node)
    return negation(found) if _negated(scope, inner, "negate") else found


# -- choices


def _otherwise(scope: Scope, default: exp.Expr | None) -> Expr:
    return Constant(None, NULL) if default is None else convert(scope, default)


def _case(scope: Scope, node: exp.Expr) -> Expr:
    this, ifs, default = scope.source.consume(node, "this", "ifs", "default")
    operand = None if this is None else convert(scope, this)
    conditions, values = [], []
    for branch in ifs:
        when, then = scope.source.consume(branch, "this", "true")
        if operand is None:
            conditions.append(condition(scope, when))
        else:
            conditions.append(settled(scope, comparison(scope, "=", operand, convert(scope, when), when)))
        values.append(convert(scope, then))
    return _small(scope, choice(scope, conditions, values, _otherwise(scope, default), node), node)


def _if(scope: Scope, node: exp.Expr) -> Expr:
    when, then, default = scope.source.consume(node, "this", "true", "false")
    otherwise = _otherwise(scope, default)
    return choice(scope, [condition(scope, when)], [convert(scope, then)], otherwise, node)


def _coalesce(scope: Scope, node: exp.Expr) -> Expr:
    this, expressions = scope.source.consume(node, "this", "expressions")
    return coalesce(scope, [convert(scope, part) for part in (this, *(expressions or ()))], node)


def _nullif(scope: Scope, node: exp.Expr) -> Expr:
    this, other = scope.source.consume(node, "this", "expression")
    arg = convert(scope, this)
    same = comparison(scope, "=", arg, convert(scope, other), node)
    return arg if arg.type == NULL else _small(scope, nullif(arg, same), node)


_CONVERTERS: dict[type[exp.Expr], Callable[[Scope, Any], Expr]] = {
    exp.Column: _column,
    exp.Literal: literal,
    exp.Paren: _paren,
    exp.And: _connective,
    exp.Or: _connective,
    exp.Not: _not,
    **dict.fromkeys(COMPARISONS, _compare),
    exp.NullSafeEQ: _distinct,
    exp.NullSafeNEQ: _distinct,
    exp.Escape: _escape,
    exp.Between: _between,
    exp.In: _in,
    exp.Is: _is,
    exp.Null: _null,
    exp.Boolean: _boolean,
    **dict.fromkeys(ARITHMETIC, _arithmetic),
    exp.DateAdd: _date_add,
    exp.Neg: _negate,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Case: _case,
    exp.If: _if,
    exp.Coalesce: _coalesce,
    exp.Nullif: _nullif,
}
"""Exact classes only: a subclass that sqlglot adds is another construct until someone has thought about it."""
