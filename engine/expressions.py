"""Scalar expressions: sqlglot nodes → our typed tree, an allow-list by construction.

A class of node that is not named here is refused, and so is any arg of a named one that is not consumed.
Every form made here is total: no value can make it fail (see `engine.compile` for the SQL).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import tree
from engine.source import nearest
from engine.tree import BOOLEAN, DOUBLE, INTEGER, NULL, TEXT, Constant, Expr, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.source import Source

SCALE_MAX = 9
"""Most decimal places an exact number may have."""

MAGNITUDE_MAX = 2**62
"""Every exact number, as a whole number of its last decimal place, stays below this."""

LITERAL_DIGITS_MAX = 40

NODES_MAX = 1_000
"""Largest expression that repeats its arguments, as NULLIF, BETWEEN and CASE with an operand do."""

PRECISION_MAX = 18
"""Most digits of a decimal: what 64 bits hold."""

_COMPARISONS: dict[type[exp.Expr], tree.CompareOp] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_MIRRORED: dict[tree.CompareOp, tree.CompareOp] = {
    "=": "=",
    "<>": "<>",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
}
_ARITHMETIC: dict[type[exp.Expr], Any] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_INTEGER_BITS = {
    exp.DType.TINYINT: 8,
    exp.DType.SMALLINT: 16,
    exp.DType.INT: 32,
    exp.DType.BIGINT: 64,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The names an expression may use.

    Attributes:
        columns: the relation's columns by lower-case name.
        owner: the owner column's name, which may not be used.
        relations: names by which the relation may be qualified.
        off: names of declared columns that are switched off.
    """

    source: Source
    columns: Mapping[str, tree.Column]
    owner: str
    relations: frozenset[str]
    off: frozenset[str] = frozenset()

    def column(self, node: exp.Column) -> tree.Column:
        """The column a name means."""
        this, table = self.source.consume(node, "this", "table")
        if not isinstance(this, exp.Identifier):
            raise self.source.refusal(
                "unsupported", "A row cannot be named as a whole.", node, accepted="a column name"
            )
        name = this.name.lower()
        if table is not None and table.name.lower() not in self.relations:
            raise self.source.refusal(
                "unknown_name",
                f"Nothing here is called {table.name}.",
                node,
                accepted=nearest(table.name, self.relations),
            )
        if name == self.owner.lower():
            raise self.source.refusal(
                "owner_exposed",
                f"{self.owner} names a student: it may not be selected, filtered or grouped by.",
                node,
                accepted="a question about groups of students, such as COUNT(*) with GROUP BY on a listed column",
            )
        if name in self.off:
            raise self.source.refusal(
                "column_off",
                f"{this.name} is sensitive and switched off in this district.",
                node,
                accepted=f"one of {', '.join(sorted(self.columns))}",
            )
        if name not in self.columns:
            raise self.source.refusal(
                "unknown_name",
                f"There is no column {this.name} here.",
                node,
                accepted=nearest(name, self.columns),
            )
        return self.columns[name]


def convert(scope: Scope, node: exp.Expr) -> Expr:
    """A scalar expression over the columns of one relation.

    Raises:
        QueryRefused: whatever is not on the allow-list, or does not fit together.
    """
    converter = _CONVERTERS.get(type(node))
    if converter is None:
        raise _unaccepted(scope, node)
    return converter(scope, node)


def condition(scope: Scope, node: exp.Expr) -> Expr:
    """An expression that must be a condition."""
    return _as_boolean(scope, convert(scope, node), node)


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
        return source.refusal(
            "unsupported",
            "An aggregate cannot stand inside WHERE, GROUP BY or another aggregate.",
            node,
            accepted="a condition on single rows; ask first, then write the number",
        )
    if isinstance(node, exp.Query | exp.Subquery):
        return source.refusal(
            "unsupported",
            "A subquery is not accepted here.",
            node,
            accepted="the question asked by itself first, then its number written in",
        )
    if isinstance(node, exp.Star):
        return source.refusal(
            "unsupported", "* stands for rows, and rows never leave the district.", node, accepted="COUNT(*)"
        )
    name = node.name.upper() if isinstance(node, exp.Anonymous) else type(node).__name__.upper()
    return source.refusal(
        "unsupported",
        f"{name} is not accepted.",
        node,
        accepted="CASE, COALESCE, NULLIF, CAST, + - * /, comparisons, BETWEEN, IN, IS NULL, AND, OR, NOT",
    )


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


def _literal(scope: Scope, node: exp.Expr) -> Expr:
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


# -- logic


def _as_boolean(scope: Scope, expr: Expr, node: exp.Expr) -> Expr:
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


def _connective(scope: Scope, node: exp.Expr) -> Expr:
    op: Any = "and" if isinstance(node, exp.And) else "or"
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
    distinct = {tree.canonical(arg): arg for arg in args}
    if len(distinct) == 1:
        return args[0]
    return tree.Logic(op, tuple(distinct[key] for key in sorted(distinct)))


def _not(scope: Scope, node: exp.Expr) -> Expr:
    (this,) = scope.source.consume(node, "this")
    inner = condition(scope, this)
    return inner.arg if isinstance(inner, tree.Not) else tree.Not(inner)


def _is(scope: Scope, node: exp.Expr) -> Expr:
    this, other = scope.source.consume(node, "this", "expression")
    arg = convert(scope, this)
    if isinstance(other, exp.Null):
        return tree.IsNull(arg)
    if isinstance(other, exp.Boolean):
        inner = _as_boolean(scope, arg, this)
        wanted = inner if _boolean(scope, other) == Constant(value=True, type=BOOLEAN) else tree.Not(inner)
        return tree.Coalesce((wanted, Constant(value=False, type=BOOLEAN)), BOOLEAN)
    raise scope.source.refusal(
        "unsupported",
        "IS takes NULL, TRUE or FALSE.",
        node,
        accepted="IS NULL, IS NOT NULL, IS TRUE or IS FALSE",
    )


# -- comparisons


def comparison(scope: Scope, op: tree.CompareOp, left: Expr, right: Expr, node: exp.Expr) -> Expr:
    """A comparison in canonical form: a constant stands right, equal sides are ordered."""
    left, right = _comparable(scope, left, right, node)
    if NULL in (left.type, right.type):
        return Constant(None, BOOLEAN)
    flip = isinstance(left, Constant) and not isinstance(right, Constant)
    if not isinstance(left, Constant) and not isinstance(right, Constant):
        flip = tree.canonical(left) > tree.canonical(right)
    return tree.Compare(_MIRRORED[op], right, left) if flip else tree.Compare(op, left, right)


def _comparable(scope: Scope, left: Expr, right: Expr, node: exp.Expr) -> tuple[Expr, Expr]:
    kinds = {left.type.kind, right.type.kind} - {"null"}
    if len(kinds) <= 1:
        return left, right
    if kinds == {"boolean", "exact"}:
        left, right = (cast(arg, INTEGER) if arg.type == BOOLEAN else arg for arg in (left, right))
        return left, right
    if kinds == {"exact", "double"}:
        return cast(left, DOUBLE), cast(right, DOUBLE)
    raise scope.source.refusal(
        "unsupported",
        f"{left.type} cannot be compared with {right.type}.",
        node,
        accepted="two numbers, two texts or two booleans; text stands in single quotes, such as grade_level = '09'",
    )


def _compare(scope: Scope, node: exp.Expr) -> Expr:
    this, other = scope.source.consume(node, "this", "expression")
    return comparison(scope, _COMPARISONS[type(node)], convert(scope, this), convert(scope, other), node)


def _between(scope: Scope, node: exp.Expr) -> Expr:
    this, low, high = scope.source.consume(node, "this", "low", "high")
    arg = convert(scope, this)
    lower = comparison(scope, ">=", arg, convert(scope, low), node)
    upper = comparison(scope, "<=", arg, convert(scope, high), node)
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
    has_null = any(constant.type == NULL for _, constant in constants)
    present = [(element, constant) for element, constant in constants if constant.type != NULL]
    for element, constant in present:  # first the type in which all are compared, then all in this type
        arg, _ = _comparable(scope, arg, constant, element)
    values: dict[str, Constant] = {}
    for element, constant in present:
        _, value = _comparable(scope, arg, constant, element)
        if not isinstance(value, Constant) or value.type.kind != arg.type.kind:
            raise _unaccepted(scope, element)
        values[tree.canonical(value)] = value
    listed = tree.InList(arg, tuple(values[key] for key in sorted(values)))
    if not values:
        return Constant(None, BOOLEAN)
    if len(values) == 1:
        found: Expr = tree.Compare("=", arg, listed.values[0])
    else:
        found = listed
    return tree.Logic("or", (found, Constant(None, BOOLEAN))) if has_null else found


# -- numbers


def cast(expr: Expr, to: Type, low: int | None = None, high: int | None = None) -> Expr:
    """A cast; constants are folded to DOUBLE at once."""
    if expr.type == to and low is None:
        return expr
    if isinstance(expr, Constant) and to == DOUBLE and isinstance(expr.value, int | Fraction):
        return Constant(as_double(expr.value, expr.type), DOUBLE)
    return tree.Cast(expr, to, low, high)


def as_double(value: tree.Scalar, of: Type) -> float:
    """An exact number as a double, by the very two operations the generated SQL does."""
    return float(Fraction(value or 0) * 10**of.scale) / float(10**of.scale)


def _small(scope: Scope, expr: Expr, node: exp.Expr) -> Expr:
    """An expression that holds an argument several times, refused where nesting has made it large."""
    if sum(1 for _ in tree.walk(expr)) > NODES_MAX:
        raise scope.source.refusal(
            "too_large", "This is nested too deeply once it is written out.", node, accepted="fewer levels"
        )
    return expr


def arithmetic_type(scope: Scope, op: str, left: Type, right: Type, node: exp.Expr) -> Type:
    """The type of a sum, difference, product or quotient."""
    for of in (left, right):
        if not of.is_number and of != NULL:
            raise scope.source.refusal(
                "unsupported",
                f"{op} needs numbers, and this is {of}.",
                node,
                accepted="numbers, or a CAST to a number",
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


def _arithmetic(scope: Scope, node: exp.Expr) -> Expr:
    names = ("this", "expression", "typed", "safe") if isinstance(node, exp.Div) else ("this", "expression")
    this, other, *_ = scope.source.consume(node, *names)
    op = _ARITHMETIC[type(node)]
    return _combine(scope, op, convert(scope, this), convert(scope, other), node)


def _combine(scope: Scope, op: Any, left: Expr, right: Expr, node: exp.Expr) -> Expr:
    of = arithmetic_type(scope, op, left.type, right.type, node)
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


def _negate(scope: Scope, node: exp.Expr) -> Expr:
    (this,) = scope.source.consume(node, "this")
    return _combine(scope, "-", Constant(0, INTEGER), convert(scope, this), node)


def _cast(scope: Scope, node: exp.Expr) -> Expr:
    this, to, _safe = scope.source.consume(node, "this", "to", "safe")
    arg = convert(scope, this)
    target, low, high = _target(scope, to)
    if arg.type == NULL:
        return Constant(None, target)
    allowed = {
        "exact": ("exact", "double", "boolean"),
        "double": ("exact", "double"),
        "boolean": ("boolean",),
        "text": ("text",),
    }[target.kind]
    if arg.type.kind not in allowed:
        raise scope.source.refusal(
            "unsupported",
            f"{arg.type} cannot be cast to {target}.",
            node,
            accepted=f"a cast to {target} from {' or '.join(allowed)}",
        )
    return cast(arg, target, low, high)


def _is_size(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) <= len(str(PRECISION_MAX))


def _target(scope: Scope, to: exp.Expr) -> tuple[Type, int | None, int | None]:
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
    raise scope.source.refusal(
        "unsupported",
        "This type is not accepted in a cast.",
        to,
        accepted="TINYINT, SMALLINT, INTEGER, BIGINT, DECIMAL(p, s), DOUBLE, BOOLEAN or VARCHAR",
    )


# -- choices


def _unify(scope: Scope, args: Sequence[Expr], node: exp.Expr) -> tuple[tuple[Expr, ...], Type]:
    """The common type of alternatives, and the alternatives as that type."""
    types = {arg.type for arg in args} - {NULL}
    kinds = {of.kind for of in types}
    if not kinds:
        common = NULL
    elif kinds == {"exact"}:
        common = Type("exact", max(of.scale for of in types))
    elif kinds <= {"exact", "double"}:
        common = DOUBLE
    elif len(kinds) == 1:
        (common,) = types
    else:
        shown = " and ".join(sorted(str(of) for of in types))
        raise scope.source.refusal(
            "unsupported", f"The alternatives are {shown}.", node, accepted="alternatives of one type"
        )
    if common == DOUBLE:
        args = [arg if arg.type == NULL else cast(arg, DOUBLE) for arg in args]
    return tuple(Constant(None, common) if arg.type == NULL else arg for arg in args), common


def _choice(scope: Scope, conditions: Sequence[Expr], values: Sequence[Expr], default: Expr, node: exp.Expr) -> Expr:
    alternatives, common = _unify(scope, (*values, default), node)
    if common == NULL:
        return Constant(None, NULL)
    return tree.Case(tuple(zip(conditions, alternatives[:-1], strict=True)), alternatives[-1], common)


def _case(scope: Scope, node: exp.Expr) -> Expr:
    this, ifs, default = scope.source.consume(node, "this", "ifs", "default")
    operand = None if this is None else convert(scope, this)
    conditions, values = [], []
    for branch in ifs:
        when, then = scope.source.consume(branch, "this", "true")
        if operand is None:
            conditions.append(condition(scope, when))
        else:
            conditions.append(comparison(scope, "=", operand, convert(scope, when), when))
        values.append(convert(scope, then))
    otherwise = Constant(None, NULL) if default is None else convert(scope, default)
    return _small(scope, _choice(scope, conditions, values, otherwise, node), node)


def _if(scope: Scope, node: exp.Expr) -> Expr:
    when, then, default = scope.source.consume(node, "this", "true", "false")
    otherwise = Constant(None, NULL) if default is None else convert(scope, default)
    return _choice(scope, [condition(scope, when)], [convert(scope, then)], otherwise, node)


def _coalesce(scope: Scope, node: exp.Expr) -> Expr:
    this, expressions = scope.source.consume(node, "this", "expressions")
    args = [convert(scope, part) for part in (this, *(expressions or ()))]
    unified, common = _unify(scope, args, node)
    if common == NULL:
        return Constant(None, NULL)
    return unified[0] if len(unified) == 1 else tree.Coalesce(unified, common)


def _nullif(scope: Scope, node: exp.Expr) -> Expr:
    this, other = scope.source.consume(node, "this", "expression")
    arg = convert(scope, this)
    same = comparison(scope, "=", arg, convert(scope, other), node)
    if arg.type == NULL:
        return arg
    return _small(scope, tree.Case(((same, Constant(None, arg.type)),), arg, arg.type), node)


_CONVERTERS: dict[type[exp.Expr], Callable[[Scope, Any], Expr]] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Paren: _paren,
    exp.And: _connective,
    exp.Or: _connective,
    exp.Not: _not,
    **dict.fromkeys(_COMPARISONS, _compare),
    exp.Between: _between,
    exp.In: _in,
    exp.Is: _is,
    exp.Null: _null,
    exp.Boolean: _boolean,
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    exp.Neg: _negate,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Case: _case,
    exp.If: _if,
    exp.Coalesce: _coalesce,
    exp.Nullif: _nullif,
}
"""Exact classes only: a subclass that sqlglot adds is another construct until someone has thought about it."""
