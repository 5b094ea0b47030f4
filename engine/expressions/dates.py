"""Dates: literals, texts that stand where a date does, and arithmetic with days and intervals.

Rules on expressions that are converted already.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from engine import tree
from engine.days import FIRST, LAST, days_of
from engine.functions import Misfit
from engine.functions.dates import later
from engine.tree import DATE, INTEGER, NULL, TEXT, Constant, Expr, Type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.expressions.scope import Scope

EXAMPLE = "a date such as DATE '2025-01-31'"


def date_literal(scope: Scope, text: str, node: exp.Expr) -> Constant:
    """The date that a text is: a day of the calendar and nothing else, without time or zone."""
    days = days_of(text)
    if days is None:
        raise scope.source.refusal("unsupported", "This is not an ISO date.", node, accepted=EXAMPLE)
    return Constant(days, DATE)


def as_dates(scope: Scope, args: Sequence[Expr], node: exp.Expr) -> tuple[Expr, ...]:
    """Dates and texts, all as dates: a text is one where it is written out, as in event_date >= '2025-01-31'."""
    found: list[Expr] = []
    for arg in args:
        if arg.type != TEXT:
            found.append(arg)
        elif isinstance(arg, Constant) and isinstance(arg.value, str):
            found.append(date_literal(scope, arg.value, node))
        elif isinstance(arg, Constant):
            found.append(Constant(None, DATE))
        else:
            raise scope.source.refusal(
                "unsupported", "A date cannot be compared with a column of texts.", node, accepted=EXAMPLE
            )
    return tuple(found)


def date_arithmetic(scope: Scope, op: str, left: Expr, right: Expr, node: exp.Expr) -> Expr:
    """A date some whole number of days later or earlier, or the days between two dates."""
    if op == "-" and {left.type, right.type} <= {DATE, TEXT}:
        left, right = as_dates(scope, (left, right), node)
    kinds = (left.type, right.type)
    if kinds in ((NULL, DATE), (DATE, NULL)):
        return Constant(None, DATE)
    if op == "-" and kinds == (DATE, DATE):
        of = INTEGER
    elif (op == "+" and set(kinds) == {DATE, INTEGER}) or (op == "-" and kinds == (DATE, INTEGER)):
        of = DATE
    else:
        raise scope.source.refusal(
            "unsupported",
            f"{left.type} {op} {right.type} is not defined.",
            node,
            accepted="date + whole number, date - whole number, date - date, date + INTERVAL 1 MONTH",
        )
    if isinstance(left, Constant) and isinstance(right, Constant):
        return _folded(scope, op, left, right, of, node)
    if op == "+" and tree.canonical(left) > tree.canonical(right):
        left, right = right, left
    return tree.Arithmetic("+" if op == "+" else "-", left, right, of)


def _folded(scope: Scope, op: str, left: Constant, right: Constant, of: Type, node: exp.Expr) -> Constant:
    a, b = left.value, right.value
    if not isinstance(a, int) or not isinstance(b, int):
        return Constant(None, of)
    days = a + b if op == "+" else a - b
    if of == DATE and not FIRST <= days <= LAST:
        raise scope.source.refusal("too_large", "This leaves the years 1 to 9999.", node, accepted="fewer days")
    return Constant(days, of)


_UNITS = {"DAY": (0, 1), "WEEK": (0, 7), "MONTH": (1, 0), "QUARTER": (3, 0), "YEAR": (12, 0)}
"""Months and days of each unit of an interval."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,6}")


def moved_by(scope: Scope, op: str, day: Expr, interval: exp.Interval, node: exp.Expr) -> Expr:
    """A date and an interval that is written out: so many days, weeks, months, quarters or years."""
    count, unit = scope.source.consume(interval, "this", "unit")
    text, sign = _count(scope, count), -1 if op == "-" else 1
    months, days = _UNITS.get(unit.name.upper().removesuffix("S") if unit is not None else "", (0, 0))
    (day,) = as_dates(scope, (day,), node) if day.type == TEXT else (day,)
    day = Constant(None, DATE) if day.type == NULL else day
    if not _NUMBER.fullmatch(text) or not (months or days) or day.type != DATE:
        raise scope.source.refusal(
            "unsupported",
            "A date takes one interval of whole days, weeks, months, quarters or years, as it is written.",
            node,
            accepted="event_date + INTERVAL 3 MONTH, or event_date + n for n days",
        )
    number = sign * int(text)
    if days:
        return date_arithmetic(scope, "+", day, Constant(number * days, INTEGER), node)
    try:
        return later(day, number * months)
    except Misfit as misfit:
        raise scope.source.refusal(misfit.code, misfit.message, node, accepted=misfit.accepted) from None


def _count(scope: Scope, node: exp.Expr | None) -> str:
    """The number of an interval as it is written; nothing where it is no number."""
    while type(node) is exp.Paren:
        (node,) = scope.source.consume(node, "this")
    if type(node) is exp.Neg:
        (node,) = scope.source.consume(node, "this")
        return f"-{_count(scope, node)}"
    return str(scope.source.consume(node, "this", "is_string")[0]) if type(node) is exp.Literal else ""
