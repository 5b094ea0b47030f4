"""Conditions: comparisons, lists and connectives, in canonical form so that equal questions are equal trees."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from sqlglot import exp

from engine import tree
from engine.analysis.intervals import evaluate
from engine.exact import cast
from engine.expressions.dates import as_dates
from engine.expressions.numbers import exact
from engine.refusals import QueryRefused
from engine.source import nearest
from engine.tree import BOOLEAN, DOUBLE, INTEGER, NULL, Constant, Expr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.expressions.scope import Scope

_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?")
_MIRRORED: dict[tree.CompareOp, tree.CompareOp] = {
    "=": "=",
    "<>": "<>",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
}


def as_boolean(scope: Scope, expr: Expr, node: exp.Expr) -> Expr:
    """An expression where a condition is needed."""
    if expr.type == NULL:
        return Constant(None, BOOLEAN)
    if expr.type != BOOLEAN:
        raise scope.source.refusal(
            "unsupported",
            f"A condition is needed here, and this is {expr.type}.",
            node,
            accepted="a comparison, such as gpa >= 3",
        )
    return expr


def comparison(scope: Scope, op: tree.CompareOp, left: Expr, right: Expr, node: exp.Expr) -> Expr:
    """A comparison in canonical form: a constant stands right, equal sides are ordered."""
    left, right = comparable(scope, left, right, node)
    if NULL in (left.type, right.type):
        return Constant(None, BOOLEAN)
    misspelt(scope, left, right, node, ordered=op not in ("=", "<>"))
    misspelt(scope, right, left, node, ordered=op not in ("=", "<>"))
    flip = isinstance(left, Constant) and not isinstance(right, Constant)
    if not isinstance(left, Constant) and not isinstance(right, Constant):
        flip = tree.canonical(left) > tree.canonical(right)
    return tree.Compare(_MIRRORED[op], right, left) if flip else tree.Compare(op, left, right)


def misspelt(scope: Scope, arg: Expr, value: Expr, node: exp.Expr, *, ordered: bool = False) -> None:
    """Refuse to compare a text with one that its value list does not hold: no row could be equal.

    By order texts are compared letter by letter, so that '3' stands after '12': what is not on the list is no end
    that was meant.

    Raises:
        QueryRefused: `unknown_name`, where it was written.
    """
    if not isinstance(value, Constant) or not isinstance(value.value, str) or arg.type.kind != "text":
        return
    columns, known = tree.columns_of(arg), scope.known
    if not columns or not columns <= known.keys():
        return
    try:
        values = evaluate(arg, known).values
    except QueryRefused:
        return
    if values and value.value not in values:
        written = [part for part in node.find_all(exp.Literal) if part.is_string and part.name == value.value]
        raise scope.source.refusal(
            "unknown_name",
            f"{tree.shown(arg)} has no value '{value.value}'.",
            written[0] if written else node,
            accepted=nearest(value.value, (each for each in values if isinstance(each, str)))
            + (", or IN with the values that are meant: texts stand in the order of letters" if ordered else ""),
        )


def same(scope: Scope, left: Expr, right: Expr, node: exp.Expr) -> Expr:
    """Whether two values are equal, where NULL is a value like any other; never NULL itself."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Constant) and one.value is None:
            return tree.IsNull(other)
    equal = comparison(scope, "=", left, right, node)
    if isinstance(left, Constant) or isinstance(right, Constant):
        return certainly(equal, wanted=True)
    both = connective("and", [tree.IsNull(left), tree.IsNull(right)])
    return tree.Coalesce((equal, both), BOOLEAN)


def comparable(scope: Scope, left: Expr, right: Expr, node: exp.Expr) -> tuple[Expr, Expr]:
    """Two expressions in the type in which they are compared."""
    kinds = {left.type.kind, right.type.kind} - {"null"}
    if len(kinds) <= 1:
        return left, right
    if kinds == {"boolean", "exact"}:
        left, right = (cast(arg, INTEGER) if arg.type == BOOLEAN else arg for arg in (left, right))
        return left, right
    if kinds == {"exact", "double"}:
        return cast(left, DOUBLE), cast(right, DOUBLE)
    if kinds == {"date", "text"}:
        left, right = as_dates(scope, (left, right), node)
        return left, right
    if "text" in kinds:
        one, other = said(scope, left, right.type, node), said(scope, right, left.type, node)
        if (one, other) != (left, right):
            return comparable(scope, one, other, node)
    raise scope.source.refusal(
        "unsupported",
        f"{left.type} cannot be compared with {right.type}.",
        node,
        accepted="two numbers, texts, dates or booleans; text stands in single quotes, such as grade_level = '09'",
    )


def said(scope: Scope, value: Expr, of: tree.Type, node: exp.Expr) -> Expr:
    """The number or the boolean that a text says which is written out and compared with one; anything else as it is.

    Raises:
        QueryRefused: it says none, or a number with more decimal places than it is compared with.
    """
    if not isinstance(value, Constant) or not isinstance(value.value, str) or not (of.is_number or of == BOOLEAN):
        return value
    text = value.value
    if of == BOOLEAN and text.lower() in ("true", "false"):
        return Constant(value=text.lower() == "true", type=BOOLEAN)
    if of.is_number and _NUMBER.fullmatch(text):
        number = exact(scope, Decimal(text), node)
        if of == DOUBLE or number.type.scale <= of.scale:
            return number
    written = [part for part in node.find_all(exp.Literal) if part.is_string and part.name == text]
    raise scope.source.refusal(
        "unsupported",
        f"{of} cannot be compared with the text '{text}'.",
        written[0] if written else node,
        accepted="TRUE or FALSE without quotes"
        if of == BOOLEAN
        else f"{text if _NUMBER.fullmatch(text) else 'a number'} without quotes",
    )


def connective(op: Literal["and", "or"], args: Sequence[Expr]) -> Expr:
    """AND or OR of conditions, each once and in order."""
    distinct = {tree.canonical(arg): arg for arg in args}
    if len(distinct) == 1:
        return args[0]
    return tree.Logic(op, tuple(distinct[key] for key in sorted(distinct)))


def both(one: Expr, other: Expr | None) -> Expr:
    """A condition, and another beside it if there is one."""
    return one if other is None else connective("and", [one, other])


def negation(arg: Expr) -> Expr:
    """NOT; two of them are none."""
    return arg.arg if isinstance(arg, tree.Not) else tree.Not(arg)


def certainly(arg: Expr, *, wanted: bool) -> Expr:
    """Whether a condition is TRUE, or is FALSE; unknown is neither."""
    met = arg if wanted else tree.Not(arg)
    return tree.Coalesce((met, Constant(value=False, type=BOOLEAN)), BOOLEAN)


def listed(arg: Expr, values: Sequence[Constant], *, has_null: bool) -> Expr:
    """IN: values of the argument's type, each once and in order; with a NULL, what is not found is unknown."""
    distinct = {tree.canonical(value): value for value in values}
    found: Expr
    if not distinct:
        return Constant(None, BOOLEAN)
    if len(distinct) == 1:
        (only,) = distinct.values()
        found = tree.Compare("=", arg, only)
    else:
        found = tree.InList(arg, tuple(distinct[key] for key in sorted(distinct)))
    return tree.Logic("or", (found, Constant(None, BOOLEAN))) if has_null else found
