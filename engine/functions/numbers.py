"""Functions of numbers: interval rules and total forms.

Exact numbers stay exact, and round half away from zero. Where DuckDB would give infinity or no number, or fail,
the value is NULL. Bounds of doubles are rounded outward by more than any library of mathematics errs.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from sqlglot import exp

from engine import tree
from engine.exact import MAGNITUDE_MAX, SCALE_MAX, cast, rounded
from engine.functions.shape import Function, Made, Misfit, Native, Reading, Shown
from engine.ranges import DOUBLE_MAX, EMPTY, Number, Range, plain
from engine.tree import DOUBLE, INTEGER, Constant, Expr, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXPONENT_MAX = 10
"""Largest exponent of POWER."""

EXP_MAX = 600.0
"""Beyond it EXP is NULL: it stays below the greatest double an expression may reach."""

_ERROR = 2.0**-40
"""How much a function of doubles may err, relative to its value; glibc's err by less than 2**-50."""

_SUBNORMAL = 5e-324
"""The least double above 0."""


# -- arguments


def _number(name: str, arg: Expr, position: int) -> Expr:
    """An argument that must be a number; the bare NULL is one."""
    if arg.type == tree.NULL:
        return Constant(None, INTEGER)
    if not arg.type.is_number:
        raise Misfit(f"{name} needs a number, and this is {arg.type}.", "a number", position=position)
    return arg


def _double(name: str) -> Callable[[tuple[Expr, ...]], Expr]:
    """A call on doubles."""

    def build(args: tuple[Expr, ...]) -> Expr:
        numbers = tuple(cast(_number(name, arg, position), DOUBLE) for position, arg in enumerate(args))
        return tree.Call(name.lower(), tuple(_as_double(arg) for arg in numbers), DOUBLE)

    return build


def _as_double(arg: Expr) -> Expr:
    return Constant(None, DOUBLE) if arg == Constant(None, INTEGER) else arg


def _kept(name: str) -> Callable[[tuple[Expr, ...]], Expr]:
    """A call whose result has the type of its argument."""

    def build(args: tuple[Expr, ...]) -> Expr:
        arg = _number(name, args[0], 0)
        return tree.Call(name.lower(), (arg,), arg.type)

    return build


def whole_constant(name: str, arg: Expr, position: int, low: int, high: int) -> int:
    """An argument that must be a whole number as it is written."""
    if not isinstance(arg, Constant) or not isinstance(arg.value, int) or arg.type != INTEGER:
        raise Misfit(
            f"{name} takes a whole number here, as it is written.",
            f"a whole number from {low} to {high}",
            position=position,
        )
    if not low <= arg.value <= high:
        raise Misfit(f"{name} takes {low} to {high} here.", f"{low} to {high}", position=position)
    return arg.value


# -- bounds


def _ends(name: str, found: Range) -> tuple[Number, Number]:
    """Both ends of an argument.

    Raises:
        Misfit: it has none.
    """
    if found.low is None or found.high is None:
        raise Misfit(
            f"The argument of {name} has no bounds, so neither has its value.",
            "a column with bounds, or CASE WHEN x BETWEEN 0 AND 100 THEN x END in its place",
            code="bounds_missing",
        )
    return found.low, found.high


def outward(low: float, high: float, *, nullable: bool) -> Range:
    """A range of doubles, widened by what their computation may err.

    Raises:
        Misfit: an end is not below what an expression may reach.
    """
    low, high = low - abs(low) * _ERROR, high + abs(high) * _ERROR
    if not (low > -DOUBLE_MAX and high < DOUBLE_MAX):
        raise Misfit("A number in this question could grow too large.", "smaller bounds", code="too_large")
    return Range(low, high, None, nullable)


def _monotone(name: str, function: Callable[[float], float]) -> Callable[[tree.Call, tuple[Range, ...]], Range]:
    """The rule of a function of doubles that never falls."""

    def rule(_call: tree.Call, args: tuple[Range, ...]) -> Range:
        low, high = _ends(name, args[0])
        return outward(function(float(low)), function(float(high)), nullable=args[0].nullable)

    return rule


def _within(least: float, most: float) -> Callable[[tree.Call, tuple[Range, ...]], Range]:
    """The rule of a function that never leaves two ends."""

    def rule(_call: tree.Call, args: tuple[Range, ...]) -> Range:
        return outward(least, most, nullable=any(arg.nullable for arg in args))

    return rule


def _plainly(form: str) -> Callable[[tree.Call, tuple[str, ...]], str]:
    """A form with {0}, {1}, … for the arguments."""

    def write(_call: tree.Call, args: tuple[str, ...]) -> str:
        return form.format(*args)

    return write


def _mapped(end: Number | None, function: Callable[[Number], Number]) -> Number | None:
    return None if end is None else function(end)


def _of(of: Type, value: Number) -> Number:
    """A bound in its type: doubles are floats."""
    return float(value) if of == DOUBLE else plain(Fraction(value))


# -- magnitude and sign


def _size(value: Number) -> Number:
    return value if value >= 0 else -value


def _abs_range(call: tree.Call, args: tuple[Range, ...]) -> Range:
    (a,) = args
    ends = [end for end in (a.low, a.high) if end is not None]
    spans = (a.low is None or a.low <= 0) and (a.high is None or a.high >= 0)
    sizes = [_size(end) for end in ends]
    low = _of(call.type, 0) if spans or not ends else min(sizes)
    return Range(low, max(sizes) if len(sizes) > 1 else None, None, a.nullable)


def _abs_sql(call: tree.Call, args: tuple[str, ...]) -> str:
    return f"abs({args[0]})" if call.type == DOUBLE else f"TRY_CAST(abs(CAST({args[0]} AS HUGEINT)) AS BIGINT)"


def _sign(args: tuple[Expr, ...]) -> Expr:
    return tree.Call("sign", (_number("SIGN", args[0], 0),), INTEGER)


def _sign_range(_call: tree.Call, args: tuple[Range, ...]) -> Range:
    (a,) = args
    low = -1 if a.low is None or a.low < 0 else 0 if a.low == 0 else 1
    high = 1 if a.high is None or a.high > 0 else 0 if a.high == 0 else -1
    return Range(low, high, None, a.nullable)


# -- rounding


def _places(name: str, args: tuple[Expr, ...]) -> Expr:
    """A call of ROUND or TRUNC: (number, decimal places kept); nothing is left to do where all are kept."""
    arg = _number(name, args[0], 0)
    digits = 0 if len(args) == 1 else whole_constant(name, args[1], 1, -SCALE_MAX, SCALE_MAX)
    if arg.type == DOUBLE:
        return tree.Call(name.lower(), (arg, Constant(digits, INTEGER)), DOUBLE)
    if digits >= arg.type.scale:
        return arg
    return tree.Call(name.lower(), (arg, Constant(digits, INTEGER)), Type("exact", max(0, digits)))


def _digits(call: tree.Call) -> int:
    digits = call.args[1]
    if isinstance(digits, Constant) and isinstance(digits.value, int):
        return digits.value
    raise AssertionError


def _cut(value: Number, digits: int) -> int:
    """A number as a whole number of units 10**-digits, cut toward zero."""
    return math.trunc(Fraction(value) * Fraction(10) ** digits)


def _double_steps(value: float, digits: int, cut: Callable[[Number, int], int]) -> float:
    """A double rounded by the very operations DuckDB does."""
    factor = float(10 ** abs(digits))
    return float(cut(value * factor, 0)) / factor if digits >= 0 else float(cut(value / factor, 0)) * factor


def _stepped(cut: Callable[[Number, int], int]) -> Callable[[tree.Call, tuple[Range, ...]], Range]:
    """The rule of a function that rounds to a number of decimal places and never falls."""

    def rule(call: tree.Call, args: tuple[Range, ...]) -> Range:
        digits, nullable = _digits(call), args[0].nullable
        if call.type == DOUBLE:
            low, high = _ends(call.function.upper(), args[0])
            return outward(
                _double_steps(float(low), digits, cut), _double_steps(float(high), digits, cut), nullable=nullable
            )
        unit = Fraction(10) ** -digits
        low_end, high_end = (
            _mapped(end, lambda value: plain(cut(value, digits) * unit)) for end in (args[0].low, args[0].high)
        )
        return Range(low_end, high_end, None, nullable)

    return rule


def _round_sql(call: tree.Call, args: tuple[str, ...]) -> str:
    digits = _digits(call)
    if call.type == DOUBLE:
        return f"round({args[0]}, {digits})"
    factor, unit = _factors(call)
    return _units(f"(CAST({args[0]} AS HUGEINT) + sign({args[0]}) * {factor // 2}::BIGINT) // {factor}::BIGINT", unit)


def _trunc_sql(call: tree.Call, args: tuple[str, ...]) -> str:
    digits = _digits(call)
    if call.type == DOUBLE:
        return f"trunc({args[0]}, {digits})"
    factor, unit = _factors(call)
    return _units(f"CAST({args[0]} AS HUGEINT) // {factor}::BIGINT", unit)


def _factors(call: tree.Call) -> tuple[int, int]:
    """By how much a stored number is divided, and by how much it is multiplied again."""
    digits = _digits(call)
    return 10 ** (call.args[0].type.scale - digits), 10 ** max(0, -digits)


def _units(text: str, unit: int) -> str:
    return f"TRY_CAST(({text}) * {unit}::BIGINT AS BIGINT)" if unit > 1 else f"TRY_CAST({text} AS BIGINT)"


def _whole(name: str) -> Callable[[tuple[Expr, ...]], Expr]:
    """FLOOR or CEIL: of an exact number a whole one."""

    def build(args: tuple[Expr, ...]) -> Expr:
        arg = _number(name, args[0], 0)
        if arg.type == INTEGER:
            return arg
        return tree.Call(name.lower(), (arg,), DOUBLE if arg.type == DOUBLE else INTEGER)

    return build


def _whole_range(function: Callable[[Number], int]) -> Callable[[tree.Call, tuple[Range, ...]], Range]:
    def rule(call: tree.Call, args: tuple[Range, ...]) -> Range:
        low, high = _ends(call.function.upper(), args[0])
        return Range(_of(call.type, function(low)), _of(call.type, function(high)), None, args[0].nullable)

    return rule


def _floor_sql(call: tree.Call, args: tuple[str, ...]) -> str:
    if call.type == DOUBLE:
        return f"floor({args[0]})"
    factor, lift = _lift(call)
    return f"TRY_CAST((CAST({args[0]} AS HUGEINT) + {lift * factor}::HUGEINT) // {factor}::BIGINT - {lift}::BIGINT AS BIGINT)"


def _ceil_sql(call: tree.Call, args: tuple[str, ...]) -> str:
    if call.type == DOUBLE:
        return f"ceil({args[0]})"
    factor, lift = _lift(call)
    return f"TRY_CAST({lift}::BIGINT - ({lift * factor}::HUGEINT - CAST({args[0]} AS HUGEINT)) // {factor}::BIGINT AS BIGINT)"


def _lift(call: tree.Call) -> tuple[int, int]:
    """A divisor, and what to add to its quotients so that none is negative: // cuts toward zero."""
    factor = 10 ** call.args[0].type.scale
    return factor, 2 * MAGNITUDE_MAX // factor + 1


# -- division


def _modulo(args: tuple[Expr, ...]) -> Expr:
    numbers = [_number("MOD", arg, position) for position, arg in enumerate(args)]
    if DOUBLE in (numbers[0].type, numbers[1].type):
        return tree.Call("mod", tuple(_as_double(cast(arg, DOUBLE)) for arg in numbers), DOUBLE)
    return tree.Call("mod", tuple(numbers), Type("exact", max(arg.type.scale for arg in numbers)))


def _modulo_range(call: tree.Call, args: tuple[Range, ...]) -> Range:
    """The remainder has the sign of the dividend; it is smaller than the divisor and no larger than the dividend."""
    a, b = args
    nullable = a.nullable or b.nullable or _may_be_zero(b)
    single = _single(a), _single(b)
    if single[1] == 0:
        return Range(values=EMPTY, nullable=True)
    if call.type != DOUBLE and single[0] is not None and single[1] is not None:
        one, other = Fraction(single[0]), Fraction(single[1])
        rest = plain(one - other * math.trunc(one / other))
        return Range(rest, rest, None, nullable)
    step = 0 if call.type == DOUBLE else Fraction(1, 10**call.type.scale)
    most = None if b.low is None or b.high is None else _of(call.type, max(_size(b.low), _size(b.high)) - step)
    high = _least(a.high, most)
    low = _least(None if a.low is None else -a.low, most)
    zero = _of(call.type, 0)
    return Range(
        zero if a.low is not None and a.low >= 0 else None if low is None else -low,
        zero if a.high is not None and a.high <= 0 else high,
        None,
        nullable,
    )


def _least(one: Number | None, other: Number | None) -> Number | None:
    return other if one is None else one if other is None else min(one, other)


def _may_be_zero(found: Range) -> bool:
    if found.values is not None:
        return 0 in found.values
    return (found.low is None or found.low <= 0) and (found.high is None or found.high >= 0)


def _single(found: Range) -> Number | None:
    """The one value a range holds, if it is one."""
    return found.low if found.low is not None and found.low == found.high else None


def _modulo_sql(call: tree.Call, args: tuple[str, ...]) -> str:
    if call.type == DOUBLE:
        return f"({args[0]} % NULLIF({args[1]}, '0.0'::DOUBLE))"
    return f"TRY_CAST(CAST({args[0]} AS HUGEINT) % NULLIF({args[1]}, 0::BIGINT) AS BIGINT)"


def _divide(args: tuple[Expr, ...]) -> Expr:
    numbers = [_number("//", arg, position) for position, arg in enumerate(args)]
    for position, arg in enumerate(numbers):
        if arg.type != INTEGER:
            raise Misfit(
                f"// divides whole numbers, and this is {arg.type}.",
                "FLOOR(a / b), or a CAST to INTEGER",
                position=position,
            )
    return tree.Call("//", tuple(numbers), INTEGER)


def _divide_range(_call: tree.Call, args: tuple[Range, ...]) -> Range:
    """Toward zero; a divisor other than 0 is at least 1 in magnitude."""
    a, b = args
    nullable = a.nullable or b.nullable or _may_be_zero(b)
    if _single(b) == 0:
        return Range(values=EMPTY, nullable=True)
    if a.low is None or a.high is None:
        return Range(None, None, None, nullable)
    divisors: list[Number] = [1, -1]
    if b.low is not None and b.low > 0:
        divisors = [b.low] if b.high is None else [b.low, b.high]
    elif b.high is not None and b.high < 0:
        divisors = [b.high] if b.low is None else [b.low, b.high]
    corners = [math.trunc(Fraction(x) / Fraction(y)) for x in (a.low, a.high) for y in divisors]
    unbounded = b.low is None or b.high is None
    corners += [0] if unbounded else []
    return Range(min(corners), max(corners), None, nullable)


# -- roots, powers, logarithms


def _sqrt_range(_call: tree.Call, args: tuple[Range, ...]) -> Range:
    (a,) = args
    low, high = _ends("SQRT", a)
    if high < 0:
        return Range(values=EMPTY, nullable=True)
    return outward(math.sqrt(max(0.0, float(low))), math.sqrt(float(high)), nullable=a.nullable or low < 0)


def _cbrt(value: float) -> float:
    return math.copysign(abs(value) ** (1 / 3), value)


def _power(args: tuple[Expr, ...]) -> Expr:
    base, exponent = (_number("POWER", arg, position) for position, arg in enumerate(args))
    number = exponent.value if isinstance(exponent, Constant) else None
    if not isinstance(number, int | Fraction | float) or not 0 <= number <= EXPONENT_MAX:
        raise Misfit(
            "POWER takes its exponent as a number that is written out.",
            f"a number from 0 to {EXPONENT_MAX}, such as POWER(gpa, 2)",
            position=1,
        )
    return tree.Call("power", (_as_double(cast(base, DOUBLE)), Constant(float(number), DOUBLE)), DOUBLE)


def _exponent(call: tree.Call) -> float:
    exponent = call.args[1]
    if isinstance(exponent, Constant) and isinstance(exponent.value, float):
        return exponent.value
    raise AssertionError


def _power_range(call: tree.Call, args: tuple[Range, ...]) -> Range:
    a, exponent = args[0], _exponent(call)
    low, high = (float(end) for end in _ends("POWER", a))
    nullable = a.nullable
    if not exponent.is_integer():
        if high < 0:
            return Range(values=EMPTY, nullable=True)
        nullable, low = nullable or low < 0, max(0.0, low)
    try:
        corners = [low**exponent, high**exponent]
    except OverflowError:
        corners = [DOUBLE_MAX]
    if low < 0 < high:
        corners.append(0.0 if exponent else 1.0)
    return outward(min(corners), max(corners), nullable=nullable)


def _power_sql(call: tree.Call, args: tuple[str, ...]) -> str:
    text = f"power({args[0]}, {args[1]})"
    return text if _exponent(call).is_integer() else f"(CASE WHEN {args[0]} >= '0.0'::DOUBLE THEN {text} END)"


def _exp_range(_call: tree.Call, args: tuple[Range, ...]) -> Range:
    (a,) = args
    low, high = _ends("EXP", a)
    if low > EXP_MAX:
        return Range(values=EMPTY, nullable=True)
    found = outward(math.exp(low), math.exp(min(high, EXP_MAX)), nullable=a.nullable or high > EXP_MAX)
    return Range(max(0.0, found.low or 0.0), found.high, None, found.nullable)


def _logarithm(name: str, function: Callable[[float], float]) -> Native:
    """LN, LOG2 or LOG10: NULL for what is not above 0."""

    def rule(call: tree.Call, args: tuple[Range, ...]) -> Range:
        (a,) = args
        low, high = _ends(name, a)
        if high <= 0:
            return Range(values=EMPTY, nullable=True)
        least = max(float(low), _least_positive(call.args[0]))
        return outward(function(least), function(float(high)), nullable=a.nullable or low <= 0)

    form = f"(CASE WHEN {{0}} > '0.0'::DOUBLE THEN {name.lower()}({{0}}) END)"
    return Native(_double(name), rule, _plainly(form))


def _least_positive(arg: Expr) -> float:
    """The least number above 0 that an argument can be: one unit, where it was exact before its cast."""
    if isinstance(arg, tree.Cast) and arg.arg.type.kind == "exact":
        return math.nextafter(1 / 10**arg.arg.type.scale, 0.0)
    return _SUBNORMAL


def _log(args: tuple[Expr, ...]) -> Expr:
    """LOG(x) is of base 10; LOG(b, x) of base b, 2 or 10."""
    base = 10 if len(args) == 1 else args[0].value if isinstance(args[0], Constant) else None
    if base not in (2, 10):
        raise Misfit("LOG takes base 2 or 10.", "LOG(2, x), LOG(10, x), LOG(x), or LN(x) / LN(b)", position=0)
    return _double("LOG2" if base == 2 else "LOG10")(args[-1:])  # noqa: PLR2004 - the base


# -- several


def _several(name: str) -> Callable[[tuple[Expr, ...]], Expr]:
    """GREATEST or LEAST of numbers of one type."""

    def build(args: tuple[Expr, ...]) -> Expr:
        numbers = [_number(name, arg, position) for position, arg in enumerate(args)]
        if len(numbers) == 1:
            return numbers[0]
        if any(arg.type == DOUBLE for arg in numbers):
            return tree.Call(name.lower(), tuple(_as_double(cast(arg, DOUBLE)) for arg in numbers), DOUBLE)
        return tree.Call(name.lower(), tuple(numbers), Type("exact", max(arg.type.scale for arg in numbers)))

    return build


def _greatest_range(_call: tree.Call, args: tuple[Range, ...]) -> Range:
    """The greatest of those that are not NULL: some argument's value, and none below one that is never NULL."""
    filled = [arg for arg in args if not arg.empty]
    nullable = all(arg.nullable for arg in args)
    if not filled:
        return Range(values=EMPTY, nullable=True)
    lows = [-math.inf if arg.low is None else arg.low for arg in filled]
    sure = [low for arg, low in zip(filled, lows, strict=True) if not arg.nullable]
    low = max([min(lows), *sure])
    highs = [math.inf if arg.high is None else arg.high for arg in filled]
    return _finite(low, max(highs), nullable=nullable)


def _least_range(call: tree.Call, args: tuple[Range, ...]) -> Range:
    """The greatest of the negated, negated."""
    found = _greatest_range(call, tuple(_negated(arg) for arg in args))
    return found if found.values is not None else _negated(found)


def _negated(found: Range) -> Range:
    if found.empty:
        return found
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return Range(low, high, None, found.nullable)


def _finite(low: Number, high: Number, *, nullable: bool) -> Range:
    least, most = (None if isinstance(end, float) and math.isinf(end) else end for end in (low, high))
    return Range(least, most, None, nullable)


def _joined(name: str) -> Callable[[tree.Call, tuple[str, ...]], str]:
    def write(_call: tree.Call, args: tuple[str, ...]) -> str:
        return f"{name.lower()}({', '.join(args)})"

    return write


def _pi(_args: tuple[Expr, ...]) -> Expr:
    return Constant(math.pi, DOUBLE)


def _smooth(
    name: str, about: str, example: str, native: Native, shows: Sequence[Shown], node: type[exp.Expr]
) -> Function:
    """A row of a function of one double."""
    return Function(name, "numbers", about, example, native, tuple(shows), nodes=(Reading(node),))


_DIGITS = Reading(exp.Round, ("this", "decimals"))

ROWS = (
    Function(
        "ABS", "numbers", "The magnitude of a number.", "ABS(days_absent - 10)",
        Native(_kept("ABS"), _abs_range, _abs_sql),
        (Shown("ABS(-2.5)", Fraction(5, 2)), Shown("ABS(7)", 7), Shown("ABS(CAST(-0.5 AS DOUBLE))", 0.5)),
        names=("@",), nodes=(Reading(exp.Abs),),
    ),
    Function(
        "SIGN", "numbers", "-1, 0 or 1, as a number is below, at or above 0.", "SIGN(gpa - 2)",
        Native(_sign, _sign_range, _plainly("CAST(sign({0}) AS BIGINT)")),
        (Shown("SIGN(-2.5)", -1), Shown("SIGN(0)", 0), Shown("SIGN(CAST(3 AS DOUBLE))", 1)),
        nodes=(Reading(exp.Sign),),
    ),
    Function(
        "ROUND", "numbers", "A number rounded half away from zero, to so many decimal places.", "ROUND(gpa, 1)",
        Native(lambda args: _places("ROUND", args), _stepped(rounded), _round_sql),
        (
            Shown("ROUND(2.5)", 3), Shown("ROUND(-2.5)", -3), Shown("ROUND(2.345, 2)", Fraction(235, 100)),
            Shown("ROUND(1250, -2)", 1300), Shown("ROUND(CAST(2.5 AS DOUBLE))", 3.0),
            Shown("ROUND(CAST(1.005 AS DOUBLE), 2)", 1.0),
        ),
        most=2, nodes=(_DIGITS,),
    ),
    Function(
        "TRUNC", "numbers", "A number cut toward zero, to so many decimal places.", "TRUNC(gpa, 1)",
        Native(lambda args: _places("TRUNC", args), _stepped(_cut), _trunc_sql),
        (
            Shown("TRUNC(-2.5)", -2), Shown("TRUNC(2.567, 2)", Fraction(256, 100)), Shown("TRUNC(-1299, -2)", -1200),
            Shown("TRUNC(CAST(-2.5 AS DOUBLE))", -2.0),
        ),
        most=2, nodes=(Reading(exp.Trunc, ("this", "decimals")),),
    ),
    Function(
        "FLOOR", "numbers", "The greatest whole number that is not above a number.", "FLOOR(gpa)",
        Native(_whole("FLOOR"), _whole_range(math.floor), _floor_sql),
        (Shown("FLOOR(-2.5)", -3), Shown("FLOOR(2.5)", 2), Shown("FLOOR(CAST(-2.5 AS DOUBLE))", -3.0)),
        nodes=(Reading(exp.Floor),),
    ),
    Function(
        "CEIL", "numbers", "The least whole number that is not below a number.", "CEIL(gpa)",
        Native(_whole("CEIL"), _whole_range(math.ceil), _ceil_sql),
        (Shown("CEIL(-2.5)", -2), Shown("CEILING(2.1)", 3), Shown("CEIL(CAST(2.1 AS DOUBLE))", 3.0)),
        names=("CEILING",), nodes=(Reading(exp.Ceil),),
    ),
    Function(
        "MOD", "numbers", "What a division leaves, with the sign of the dividend; NULL where the divisor is 0.",
        "school_year % 10",
        Native(_modulo, _modulo_range, _modulo_sql, aligned=True),
        (
            Shown("7 % 4", 3), Shown("MOD(-7, 4)", -3), Shown("MOD(5.5, 2)", Fraction(3, 2)),
            Shown("MOD(7, 0)", None, own=True), Shown("MOD(CAST(5.5 AS DOUBLE), 2)", 1.5),
        ),
        least=2, most=2, names=("%",), nodes=(Reading(exp.Mod, ("this", "expression")),),
    ),
    Function(
        "//", "numbers", "Division of whole numbers, cut toward zero; NULL where the divisor is 0.",
        "days_enrolled // 10",
        Native(_divide, _divide_range, _plainly("TRY_CAST(CAST({0} AS HUGEINT) // NULLIF({1}, 0::BIGINT) AS BIGINT)")),
        (Shown("7 // 2", 3), Shown("(-7) // 2", -3), Shown("7 // 0", None, own=True)),
        least=2, most=2, nodes=(Reading(exp.IntDiv, ("this", "expression")),),
    ),
    _smooth(
        "SQRT", "The square root; NULL of a number below 0.", "SQRT(days_absent)",
        Native(_double("SQRT"), _sqrt_range, _plainly("(CASE WHEN {0} >= '0.0'::DOUBLE THEN sqrt({0}) END)")),
        [Shown("SQRT(2.25)", 1.5), Shown("SQRT(-1)", None, own=True)], exp.Sqrt,
    ),
    _smooth(
        "CBRT", "The cube root.", "CBRT(days_absent)",
        Native(_double("CBRT"), _monotone("CBRT", _cbrt), _plainly("cbrt({0})")), [Shown("CBRT(-27)", -3.0)], exp.Cbrt,
    ),
    Function(
        "POWER", "numbers",
        f"A number to the power of a constant from 0 to {EXPONENT_MAX}; NULL where that is no number.",
        "POWER(gpa, 2)",
        Native(_power, _power_range, _power_sql),
        (Shown("POWER(3, 2)", 9.0), Shown("2 ** 3", 8.0), Shown("POWER(-2, 0.5)", None, own=True), Shown("0 ^ 0", 1.0)),
        least=2, most=2, names=("POW", "**", "^"), nodes=(Reading(exp.Pow, ("this", "expression")),),
    ),
    _smooth(
        "EXP", f"e to the power of a number; NULL beyond {EXP_MAX:g}.", "EXP(gpa)",
        Native(_double("EXP"), _exp_range, _plainly(f"(CASE WHEN {{0}} <= '{EXP_MAX!r}'::DOUBLE THEN exp({{0}}) END)")),
        [Shown("EXP(0)", 1.0), Shown("EXP(1000)", None, own=True)], exp.Exp,
    ),
    _smooth(
        "LN", "The natural logarithm; NULL of a number that is not above 0.", "LN(days_enrolled)",
        _logarithm("LN", math.log), [Shown("LN(1)", 0.0), Shown("LN(0)", None, own=True)], exp.Ln,
    ),
    Function(
        "LOG", "numbers", "The logarithm to base 10, or with two arguments to base 2 or 10.", "LOG(days_enrolled)",
        Made(_log), (Shown("LOG(100)", 2.0), Shown("LOG(2, 8)", 3.0), Shown("LOG(-1)", None, own=True)),
        most=2, nodes=(Reading(exp.Log, ("this", "expression")),),
    ),
    Function(
        "LOG2", "numbers", "The logarithm to base 2; NULL of a number that is not above 0.", "LOG2(days_enrolled)",
        _logarithm("LOG2", math.log2), (Shown("LOG2(8)", 3.0),),
    ),
    Function(
        "LOG10", "numbers", "The logarithm to base 10; NULL of a number that is not above 0.", "LOG10(days_enrolled)",
        _logarithm("LOG10", math.log10), (Shown("LOG10(1000)", 3.0),),
    ),
    Function(
        "GREATEST", "numbers", "The greatest of numbers; NULLs are passed over, so GREATEST(NULL, 0) is 0.",
        "GREATEST(days_absent, 10)",
        Native(_several("GREATEST"), _greatest_range, _joined("GREATEST"), aligned=True, strict=False),
        (Shown("GREATEST(1, 2.5)", Fraction(5, 2)), Shown("GREATEST(NULL, 0)", 0)),
        most=None, nodes=(Reading(exp.Greatest, ("this", "expressions"), ignored=("ignore_nulls",)),),
    ),
    Function(
        "LEAST", "numbers", "The least of numbers; NULLs are passed over.", "LEAST(days_absent, 10)",
        Native(_several("LEAST"), _least_range, _joined("LEAST"), aligned=True, strict=False),
        (Shown("LEAST(1, 2.5)", Fraction(1)), Shown("LEAST(NULL, 2, 3)", 2)),
        most=None, nodes=(Reading(exp.Least, ("this", "expressions"), ignored=("ignore_nulls",)),),
    ),
    Function(
        "PI", "numbers", "The number π.", "gpa * PI()", Made(_pi), (Shown("PI()", math.pi),),
        least=0, most=0, nodes=(Reading(exp.Pi, ()),),
    ),
    _smooth(
        "DEGREES", "An angle in degrees.", "DEGREES(gpa)",
        Native(_double("DEGREES"), _monotone("DEGREES", math.degrees), _plainly("degrees({0})")),
        [Shown("DEGREES(PI())", 180.0)], exp.Degrees,
    ),
    _smooth(
        "RADIANS", "An angle in radians.", "RADIANS(gpa)",
        Native(_double("RADIANS"), _monotone("RADIANS", math.radians), _plainly("radians({0})")),
        [Shown("RADIANS(180)", math.pi)], exp.Radians,
    ),
    _smooth(
        "SIN", "The sine.", "SIN(2 * PI() * days_enrolled / 365)",
        Native(_double("SIN"), _within(-1.0, 1.0), _plainly("sin({0})")), [Shown("SIN(0)", 0.0)], exp.Sin,
    ),
    _smooth(
        "COS", "The cosine.", "COS(2 * PI() * days_enrolled / 365)",
        Native(_double("COS"), _within(-1.0, 1.0), _plainly("cos({0})")), [Shown("COS(0)", 1.0)], exp.Cos,
    ),
    _smooth(
        "ATAN", "The arc tangent.", "ATAN(gpa)",
        Native(_double("ATAN"), _monotone("ATAN", math.atan), _plainly("atan({0})")), [Shown("ATAN(0)", 0.0)], exp.Atan,
    ),
    _smooth(
        "TANH", "The hyperbolic tangent.", "TANH(gpa)",
        Native(_double("TANH"), _monotone("TANH", math.tanh), _plainly("tanh({0})")), [Shown("TANH(0)", 0.0)], exp.Tanh,
    ),
)  # fmt: skip
