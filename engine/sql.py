"""Expressions of our tree → SQL, each total: no value of a record can make it fail.

Exact numbers are BIGINT counts of their last decimal place, as the vault stores them; the analysis has proved that
each stays below 2**62, and the SQL gives NULL where it would be wrong. Dates are BIGINT numbers of days.
"""

from __future__ import annotations

from fractions import Fraction

from engine import tree
from engine.analysis.intervals import aligned
from engine.exact import MAGNITUDE_MAX
from engine.functions import NATIVE
from engine.refusals import QueryRefused

SQL_CHARACTERS_MAX = 200_000

_SQL_TYPES = {
    "exact": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "text": "VARCHAR",
    "date": "BIGINT",
    "null": "BIGINT",
}


def sql(expr: tree.Expr) -> str:
    """The SQL of one expression.

    Raises:
        QueryRefused: `too_large` where the text would grow beyond its limit.
    """
    return bounded(_sql(expr))


def bounded(text: str) -> str:
    """A text, refused where it is too long to be run."""
    if len(text) > SQL_CHARACTERS_MAX:
        raise QueryRefused("too_large", "The question is too long once it is written out.", accepted="a shorter one")
    return text


def _sql(expr: tree.Expr) -> str:  # noqa: C901, PLR0911, PLR0912 - one line for each kind of node
    match expr:
        case tree.Column(name, _):
            return quoted(name)
        case tree.Constant():
            return _constant(expr, expr.type.scale)
        case tree.Arithmetic(op, left, right, of):
            if op == "/":
                return f"({sql(left)} / NULLIF({sql(right)}, {double(0.0)}))"
            if of == tree.DOUBLE:
                return f"({sql(left)} {op} {sql(right)})"
            if op == "*":
                return _total(sql(left), op, sql(right))
            return _total(_at_scale(left, of.scale), op, _at_scale(right, of.scale))
        case tree.Compare(op, left, right, _):
            return f"({_part(expr, left)} {op} {_part(expr, right)})"
        case tree.Logic(op, args, _):
            return "(" + f" {op.upper()} ".join(sql(arg) for arg in args) + ")"
        case tree.Not(tree.IsNull(arg, _), _):
            return f"({sql(arg)} IS NOT NULL)"
        case tree.Not(arg, _):
            return f"(NOT {sql(arg)})"
        case tree.IsNull(arg, _):
            # bare, DuckDB 2.0 makes an anti join of a LEFT JOIN, and loses columns that are used elsewhere
            return f"(CASE WHEN {sql(arg)} IS NULL THEN TRUE ELSE FALSE END)"
        case tree.InList(arg, values, _):
            return f"({_part(expr, arg)} IN ({', '.join(_part(expr, value) for value in values)}))"
        case tree.Case(branches, default, _):
            written = " ".join(f"WHEN {sql(when)} THEN {_part(expr, then)}" for when, then in branches)
            return f"(CASE {written} ELSE {_part(expr, default)} END)"
        case tree.Coalesce(args, _):
            return f"COALESCE({', '.join(_part(expr, arg) for arg in args)})"
        case tree.Cast():
            return _cast(expr)
        case tree.Call(function, args, _):
            native = NATIVE[function]
            return native.sql(expr, tuple(_part(expr, arg) if native.aligned else sql(arg) for arg in args))


def _part(expr: tree.Expr, part: tree.Expr) -> str:
    """An argument, brought to the decimal places its expression works in."""
    scale = max((scale for _, scale in aligned(expr)), default=part.type.scale)
    return _at_scale(part, scale) if part.type.kind == "exact" else sql(part)


def _at_scale(expr: tree.Expr, scale: int) -> str:
    if isinstance(expr, tree.Constant):
        return _constant(expr, scale)
    factor = 10 ** (scale - expr.type.scale)
    return sql(expr) if factor == 1 else _total(sql(expr), "*", whole(factor))


def _total(left: str, op: str, right: str) -> str:
    """Arithmetic on BIGINT that cannot fail: the analysis has proved that it fits; if it were wrong, NULL."""
    if op == "*" and _ONE in (left, right):
        return right if left == _ONE else left
    return f"TRY_CAST(CAST({left} AS HUGEINT) {op} CAST({right} AS HUGEINT) AS BIGINT)"


def _cast(expr: tree.Cast) -> str:
    arg, source, of = sql(expr.arg), expr.arg.type, expr.type
    if of == tree.DOUBLE:
        as_double = f"CAST({arg} AS DOUBLE)"
        return as_double if source.scale == 0 else f"({as_double} / {double(float(10**source.scale))})"
    if source == tree.BOOLEAN and of.kind == "exact":
        return _limited(_total(f"CAST({arg} AS BIGINT)", "*", whole(10**of.scale)), expr)
    if source == tree.DOUBLE:
        limit = double(float(MAGNITUDE_MAX))
        steps = f"round({arg} * {double(float(10**of.scale))})"
        held = f"(CASE WHEN {steps} > -{limit} AND {steps} < {limit} THEN TRY_CAST({steps} AS BIGINT) END)"
        return _limited(held, expr)
    if of.kind != "exact":
        return arg
    if of.scale >= source.scale:
        return _limited(_at_scale(expr.arg, of.scale), expr)
    factor = 10 ** (source.scale - of.scale)
    away = f"(CAST({arg} AS HUGEINT) + sign({arg}) * {whole(factor // 2)})"
    return _limited(f"TRY_CAST({away} // {whole(factor)} AS BIGINT)", expr)  # // truncates toward zero


def _limited(text: str, expr: tree.Cast) -> str:
    """NULL where a number does not fit the type it is cast to."""
    if expr.low is None or expr.high is None:
        return text
    return f"(CASE WHEN {bounded(text)} BETWEEN {whole(expr.low)} AND {whole(expr.high)} THEN {text} END)"


def _constant(constant: tree.Constant, scale: int) -> str:
    match constant.value:
        case None:
            return f"CAST(NULL AS {_SQL_TYPES[constant.type.kind]})"
        case bool():
            return "TRUE" if constant.value else "FALSE"
        case str():
            return text_literal(constant.value)
        case float():
            return double(constant.value)
        case _:
            return whole(units(constant, scale))


def units(constant: tree.Constant, scale: int) -> int:
    """A constant as a whole number of its last decimal places."""
    value = Fraction(constant.value if isinstance(constant.value, int | Fraction) else 0) * 10**scale
    if value.denominator != 1:
        raise AssertionError
    return int(value)


def whole(value: int) -> str:
    """A whole number as a BIGINT literal."""
    return f"{value}::BIGINT" if value >= 0 else f"({value}::BIGINT)"


_ONE = whole(1)


def double(value: float) -> str:
    """A number as a DOUBLE literal."""
    return f"'{value!r}'::DOUBLE"


def text_literal(value: str) -> str:
    """A text as a SQL literal.

    >>> text_literal("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'
