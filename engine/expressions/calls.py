"""Calls of the functions in the table: their arguments are held against the row, then the row makes the expression.

Functions of texts are worked out here, once for each value that the columns they read can have, and become a look-up
of the value: nothing is computed from a text of a record.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from engine import tree
from engine.analysis.intervals import COMPARISONS, evaluate
from engine.days import days_of
from engine.expressions.comparisons import connective, listed, negation
from engine.expressions.scope import LookUp
from engine.functions import Function, Made, Misfit, Native, Tabulated, reading
from engine.functions.texts import as_text
from engine.ranges import EMPTY, Range
from engine.ranges import listed as range_of
from engine.refusals import QueryRefused
from engine.tree import BOOLEAN, DATE, DOUBLE, NULL, TEXT, Constant, Expr, Scalar, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlglot import exp

    from engine.expressions.scope import Scope

VALUES_MAX = 1_000
"""Longest list, or most whole numbers between two bounds, that a function of texts is worked out on."""

COMBINATIONS_MAX = 200
"""Most combinations of several columns' values, likewise."""

STEPS_MAX = 400_000
"""Most work that all functions of texts of one question may be."""


def called(scope: Scope, function: Function, args: Sequence[Expr], nodes: Sequence[exp.Expr], node: exp.Expr) -> Expr:
    """A function of some arguments.

    Args:
        scope: the names.
        function: its row.
        args: converted.
        nodes: where each was written.
        node: where the whole was written.

    Raises:
        QueryRefused: they do not fit it.
    """
    if len(args) < function.least or (function.most is not None and len(args) > function.most):
        raise scope.source.refusal(
            "unsupported",
            f"{function.name} takes {_count(function)}, and here it has {len(args)}.",
            node,
            accepted=function.example,
        )
    try:
        if isinstance(function.how, Tabulated):
            return _tabulated(scope, function.name, function.how, args, node)
        if isinstance(function.how, Made | Native):
            return function.how.build(tuple(args))
    except Misfit as misfit:
        place = node if misfit.position is None else nodes[misfit.position]
        raise scope.source.refusal(misfit.code, misfit.message, place, accepted=misfit.accepted) from None
    raise AssertionError(function.name)


def _count(function: Function) -> str:
    if function.most is None:
        return f"{function.least} or more arguments"
    if function.most == function.least:
        return "no arguments" if not function.least else f"{function.least} argument{'s'[: function.least - 1]}"
    return f"{function.least} to {function.most} arguments"


# -- functions of texts


def _tabulated(scope: Scope, name: str, how: Tabulated, args: Sequence[Expr], node: exp.Expr) -> Expr:
    """A function of texts, worked out on the values of the columns it reads."""
    for position, arg in enumerate(args):
        kinds = how.takes[min(position, len(how.takes) - 1)].split()
        if arg.type != NULL and (arg.type.kind not in kinds or arg.type.scale):
            wanted = " or ".join("whole number" if kind == "exact" else kind for kind in kinds)
            raise Misfit(f"{name} takes a {wanted} here, and this is {arg.type}.", f"a {wanted}", position=position)
        if position in how.constants and not isinstance(arg, Constant):
            raise Misfit(f"{name} takes a constant here.", "a value as it is written", position=position)

    def apply(*values: Scalar) -> Scalar:
        if how.strict and None in values:
            return None
        scope.written["steps"] += 1 if how.steps is None else how.steps(*values)
        return how.value(*values)

    return worked_out(scope, apply, args, how.gives, node)


def worked_out(
    scope: Scope, function: Callable[..., Scalar], args: Sequence[Expr], gives: Type, node: exp.Expr
) -> Expr:
    """A function of any arguments, as a look-up over the values of the columns they read.

    Args:
        scope: the names, and what is known of them.
        function: of one value for each argument; None is NULL.
        args: expressions.
        gives: the type of the result.
        node: where it was written.

    Raises:
        QueryRefused: a column has no list, or there are too many values.
        Misfit: the function does not take a value.
    """
    columns = {part.name: part for arg in args for part in tree.walk(arg) if isinstance(part, tree.Column)}
    lists = {name: _values(scope, column, node) for name, column in sorted(columns.items())}
    size = math.prod(len(values) for values in lists.values())
    if size > (VALUES_MAX if len(lists) <= 1 else COMBINATIONS_MAX):
        raise scope.source.refusal(
            "too_large",
            f"This would have to be worked out for {size:,} combinations of values.",
            node,
            accepted=f"at most {VALUES_MAX:,} values of one column, or {COMBINATIONS_MAX} combinations of several",
        )
    table: dict[tuple[Scalar, ...], Scalar] = {}
    weight = sum(1 for arg in args if arg not in scope.look_ups for _ in tree.walk(arg))
    for row in itertools.product(*lists.values()):
        scope.written["steps"] += weight
        if scope.written["steps"] > STEPS_MAX:
            raise scope.source.refusal(
                "too_large",
                "The functions of texts here are too much work.",
                node,
                accepted="shorter lists or patterns",
            )
        table[row] = function(*(_value(scope, arg, lists, row, node) for arg in args))
    if not lists:
        return Constant(table[()], gives)
    if len(lists) > 1:
        return _combined([columns[name] for name in lists], table, gives)
    (column,) = (columns[name] for name in lists)
    return looked_up(scope, column, {row[0]: value for row, value in table.items()}, gives)


def _values(scope: Scope, column: tree.Column, node: exp.Expr) -> list[Scalar]:
    """The values a column can have, in order, NULL last where it can be that."""
    found = scope.known.get(column.name)
    values: list[Scalar] | None = None
    if found is not None and found.values is not None:
        values = sorted(found.values)  # type: ignore[type-var]
    elif column.type == BOOLEAN:
        values = [False, True]
    elif found is not None and column.type == tree.INTEGER and found.low is not None and found.high is not None:
        low, high = math.ceil(Fraction(found.low)), math.floor(Fraction(found.high))
        values = [*range(low, high + 1)] if high - low < VALUES_MAX else None
    if values is None:
        raise scope.source.refusal(
            "keys_undeclared",
            f"{column.name} has no declared value list, and functions of texts are worked out on the list: "
            "what a record's text is like would itself tell about a student.",
            node,
            accepted="a column with a value list, or with close bounds",
        )
    return [*values, None] if found is None or found.nullable else values


def _value(scope: Scope, arg: Expr, lists: Mapping[str, object], row: tuple[Scalar, ...], node: exp.Expr) -> Scalar:
    """What an argument is worth where the columns have some values."""
    if isinstance(arg, Constant):
        return arg.value
    if isinstance(arg, tree.Column):
        return row[list(lists).index(arg.name)]
    if len(row) == 1 and arg in scope.look_ups:
        return scope.look_ups[arg].values[row[0]]
    fixed = zip(lists, row, strict=True)
    known = {name: Range(values=EMPTY, nullable=True) if cell is None else range_of([cell]) for name, cell in fixed}
    try:
        found = evaluate(arg, known)
    except QueryRefused as refused:
        raise scope.source.refusal(refused.code, refused.message, node, accepted=refused.accepted) from None
    if found.empty:
        return None
    if not found.nullable and found.values is not None and len(found.values) == 1:
        return next(iter(found.values))
    if not found.nullable and arg.type.kind == "exact" and found.low is not None and found.low == found.high:
        return found.low
    raise scope.source.refusal(
        "unsupported",
        "This cannot be worked out for each value of the list.",
        node,
        accepted="texts, whole numbers and conditions of listed columns",
    )


def looked_up(scope: Scope, column: tree.Column, table: Mapping[Scalar, Scalar], gives: Type) -> Expr:
    """A look-up of a column's value."""
    if len(set(table.values())) <= 1:
        return Constant(next(iter(table.values()), None), gives)
    at_null = table.get(None)
    filled = {value: result for value, result in table.items() if value is not None}
    if gives == BOOLEAN and at_null is None and None not in filled.values():
        met = [value for value, result in filled.items() if result]
        among = met or list(filled)
        found = listed(column, [Constant(value, column.type) for value in among], has_null=False)
        found = found if met else negation(found)
    else:
        by_result: dict[Scalar, list[Scalar]] = {}
        for value, result in filled.items():
            if result is not None:
                by_result.setdefault(result, []).append(value)
        branches: list[tuple[Expr, Expr]] = [
            (
                listed(column, [Constant(value, column.type) for value in values], has_null=False),
                Constant(result, gives),
            )
            for result, values in by_result.items()
        ]
        if at_null is not None:
            branches.append((tree.IsNull(column), Constant(at_null, gives)))
        found = tree.Case(tuple(branches), Constant(None, gives), gives)
    scope.look_ups[found] = LookUp(column, table)
    return found


def _combined(columns: Sequence[tree.Column], table: Mapping[tuple[Scalar, ...], Scalar], gives: Type) -> Expr:
    """A look-up of several columns' values."""
    branches: list[tuple[Expr, Expr]] = []
    for row, result in table.items():
        if result is not None:
            parts: list[Expr] = [
                tree.IsNull(column) if cell is None else tree.Compare("=", column, Constant(cell, column.type))
                for column, cell in zip(columns, row, strict=True)
            ]
            branches.append((connective("and", parts), Constant(result, gives)))
    return tree.Case(tuple(branches), Constant(None, gives), gives) if branches else Constant(None, gives)


def settled(scope: Scope, expr: Expr) -> Expr:
    """A comparison of a look-up with constants, as a look-up itself: so it pins the column as a list does."""
    met: Callable[[Scalar], bool]
    match expr:
        case tree.Compare(op, arg, Constant(value, _), _) if arg in scope.look_ups and value is not None:
            if isinstance(value, str) and op not in ("=", "<>"):
                return expr  # how texts are ordered is the backend's business
            met = partial(_compared, op, value)
        case tree.InList(arg, constants, _) if arg in scope.look_ups:
            met = frozenset(constant.value for constant in constants).__contains__
        case _:
            return expr
    table = scope.look_ups[arg]
    outcomes = {cell: None if each is None else met(each) for cell, each in table.values.items()}
    return looked_up(scope, table.column, outcomes, BOOLEAN)


def _compared(op: str, right: Scalar, left: Scalar) -> bool:
    return COMPARISONS[op](left, right)


# -- casts of texts, and to texts


def read_as(scope: Scope, arg: Expr, to: Type, low: int | None, high: int | None, node: exp.Expr) -> Expr:
    """A CAST from a text, or to one, by the list of values; NULL where a value is nothing of the type."""

    def read(value: Scalar) -> Scalar:
        if value is None or to == TEXT:
            return None if value is None else as_text(value)
        text = str(value)
        if to == BOOLEAN:
            return reading.boolean(text)
        if to == DOUBLE:
            return reading.double(text)
        if to == DATE:
            return days_of(text)
        if low is None or high is None:
            raise AssertionError
        found = reading.exact(text, to.scale, low, high)
        return found if found is None or to.scale else int(found)

    try:
        return worked_out(scope, read, [arg], to, node)
    except Misfit as misfit:
        raise scope.source.refusal(misfit.code, misfit.message, node, accepted=misfit.accepted) from None
