"""Numbers: literals, casts and arithmetic, exact as far as 64 bits hold them.

Rules on expressions that are converted already; nothing here reads a node's children but a literal's and a type's.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import tree
from engine.exact import MAGNITUDE_MAX, PRECISION_MAX, SCALE_MAX, cast
from engine.expressions.dates import date_literal
from engine.tree import BOOLEAN, DATE, DOUBLE, INTEGER, NULL, TEXT, Constant, Expr, Type

if TYPE_CHECKING:
    from engine.expressions.scope import Scope

LITERAL_DIGITS_MAX = 40

_INTEGER_BITS = {
    exp.DType.TINYINT: 8,
    exp.DType.SMALLINT: 16,
    exp.DType.INT: 32,
    exp.DType.BIGINT: 64,
}


def literal(scope: Scope, node: exp.Expr) -> Constant:
    """A text or a number as it is written."""
    this, is_string = scope.source.consume(node, "this", "is_string")
    if is_string:
        return Constant(str(this), TEXT)
    try:
        if len(this) > LITERAL_DIGITS_MAX:
            raise InvalidOperation  # noqa: TRY301 - one refusal for both
        number = Decimal(this)
    except InvalidOperation:
        raise scope.source.refusal(
            "unsupported", "This number cannot be read.", node, accepted="a decimal number such as 12.5"
        ) from None
    return exact(scope, number, node)


def exact(scope: Scope, number: Decimal | Fraction, node: exp.Expr) -> Constant:
    """An exact constant with as few decimal places as it needs."""
    too_fine = scope.source.refusal(
        "too_large",
        "This number is too large or too fine.",
        node,
        accepted=f"numbers below 4.6e18 with at most {SCALE_MAX} decimal places",
    )
    if isinstance(number, Decimal) and (
        not number.is_finite() or not -LITERAL_DIGITS_MAX < number.adjusted() < LITERAL_DIGITS_MAX
    ):
        raise too_fine
    fraction = Fraction(number)
    for scale in range(SCALE_MAX + 1):
        whole = fraction * 10**scale
        if whole.denominator == 1:
            if abs(whole) >= MAGNITUDE_MAX:
                raise too_fine
            return Constant(int(fraction) if scale == 0 else fraction, Type("exact", scale))
    raise too_fine


def _arithmetic_type(scope: Scope, op: str, left: Type, right: Type, node: exp.Expr) -> Type:
    """The type of a sum, difference, product or quotient."""
    for of in (left, right):
        if not of.is_number and of != NULL:
            raise scope.source.refusal(
                "unsupported",
                f"{op} needs numbers, and this is {of}.",
                node,
                accepted="numbers" if of == DATE else "numbers, or a CAST to a number",
            )
    if "double" in (left.kind, right.kind) or op == "/":
        return DOUBLE
    scale = left.scale + right.scale if op == "*" else max(left.scale, right.scale)
    if scale > SCALE_MAX:
        raise scope.source.refusal(
            "too_large",
            f"This has {scale} decimal places.",
            node,
            accepted=f"at most {SCALE_MAX} decimal places, or a CAST to DOUBLE",
        )
    return Type("exact", scale)


def fold(op: str, left: Constant, right: Constant) -> Fraction | None:
    """The exact value of arithmetic on two exact constants, or None where it is not exact."""
    a, b = left.value, right.value
    if not isinstance(a, int | Fraction) or not isinstance(b, int | Fraction) or op == "/":
        return None
    return Fraction(a + b if op == "+" else a - b if op == "-" else a * b)


def arithmetic(scope: Scope, op: Any, left: Expr, right: Expr, node: exp.Expr) -> Expr:
    """A sum, difference, product or quotient; exact constants are folded, swappable sides ordered."""
    of = _arithmetic_type(scope, op, left.type, right.type, node)
    if NULL in (left.type, right.type):
        return Constant(None, of)
    if isinstance(left, Constant) and isinstance(right, Constant):
        folded = fold(op, left, right)
        if folded is not None:
            return exact(scope, folded, node)
    if of == DOUBLE:
        left, right = cast(left, DOUBLE), cast(right, DOUBLE)
    if op in ("+", "*") and tree.canonical(left) > tree.canonical(right):
        left, right = right, left
    return tree.Arithmetic(op, left, right, of)


_BY_VALUE = {"text": ("integer", "boolean"), **dict.fromkeys(("exact", "double", "boolean"), ("text",))}
"""From what else `engine.expressions.calls` casts, by the value list."""


def cast_to(scope: Scope, arg: Expr, to: exp.Expr, node: exp.Expr) -> Expr:
    """A cast as it is written, to a type that can hold the argument's kind."""
    target, low, high = target_of(scope, to)
    if arg.type == NULL:
        return Constant(None, target)
    if target == DATE and isinstance(arg, Constant) and isinstance(arg.value, str):
        return date_literal(scope, arg.value, node)
    allowed = {
        "exact": ("exact", "double", "boolean"),
        "double": ("exact", "double"),
        "boolean": ("boolean",),
        "text": ("text",),
        "date": ("date",),
    }[target.kind]
    if arg.type.kind not in allowed:
        raise scope.source.refusal(
            "unsupported",
            f"{arg.type} cannot be cast to {target}.",
            node,
            accepted=f"a cast to {target} from {' or '.join((*allowed, *_BY_VALUE.get(target.kind, ())))}",
        )
    return cast(arg, target, low, high)


def _is_size(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) <= len(str(PRECISION_MAX))


def target_of(scope: Scope, to: exp.Expr) -> tuple[Type, int | None, int | None]:
    """The type a cast names, and the least and greatest number of last places it holds."""
    kind, sizes, _nested = scope.source.consume(to, "this", "expressions", "nested")
    if kind in _INTEGER_BITS and not sizes:
        half = min(2 ** (_INTEGER_BITS[kind] - 1), MAGNITUDE_MAX)
        return INTEGER, -half, half - 1
    if kind == exp.DType.DECIMAL and len(sizes or ()) == 2:  # noqa: PLR2004 - DECIMAL(p, s)
        numbers = [scope.source.consume(size, "this")[0].name for size in sizes]
        precision, scale = (int(number) if _is_size(number) else -1 for number in numbers)
        if 1 <= precision <= PRECISION_MAX and 0 <= scale <= min(precision, SCALE_MAX):
            return Type("exact", scale), 1 - 10**precision, 10**precision - 1
    if kind in (exp.DType.DOUBLE, exp.DType.FLOAT) and not sizes:
        return DOUBLE, None, None
    if kind == exp.DType.BOOLEAN:
        return BOOLEAN, None, None
    if kind in (exp.DType.VARCHAR, exp.DType.TEXT) and not sizes:
        return TEXT, None, None
    if kind == exp.DType.DATE and not sizes:
        return DATE, None, None
    raise scope.source.refusal(
        "unsupported",
        "This type is not accepted in a cast.",
        to,
        accepted="TINYINT, SMALLINT, INTEGER, BIGINT, DECIMAL(p, s), DOUBLE, BOOLEAN, VARCHAR or DATE",
    )
