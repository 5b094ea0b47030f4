"""The engine's own frozen query tree.

Everything after `parse` works on this tree and on nothing else: what is analysed here is what is compiled
and run. The researcher's text and sqlglot's nodes do not come in.

An exact number is carried as a whole number and a decimal scale: value = whole / 10**scale.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Scalar = int | Fraction | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Type:
    """The type of an expression.

    Attributes:
        kind: `exact` (integers and decimals), `double`, `boolean`, `text`, or `null` (the bare literal NULL).
        scale: decimal places of an exact number; 0 for everything else.
    """

    kind: Literal["exact", "double", "boolean", "text", "null"]
    scale: int = 0

    @property
    def is_number(self) -> bool:
        """Whether arithmetic is defined on it."""
        return self.kind in ("exact", "double")

    def __str__(self) -> str:
        if self.kind == "exact":
            return "integer" if self.scale == 0 else f"decimal with {self.scale} places"
        return self.kind


INTEGER = Type("exact")
DOUBLE = Type("double")
BOOLEAN = Type("boolean")
TEXT = Type("text")
NULL = Type("null")


@dataclass(frozen=True, slots=True)
class Span:
    """Where in the researcher's text something stands: 0-based offsets, end excluded."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the scanned relation."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant; None is NULL. Exact numbers are int or Fraction, doubles are float."""

    value: Scalar
    type: Type


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left op right`; division is on doubles, and NULL where the divisor is 0."""

    op: Literal["+", "-", "*", "/"]
    left: Expr
    right: Expr
    type: Type


CompareOp = Literal["=", "<>", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Compare:
    """A three-valued comparison of two numbers, two texts or two booleans."""

    op: CompareOp
    left: Expr
    right: Expr
    type: Type = BOOLEAN


@dataclass(frozen=True, slots=True)
class Logic:
    """A three-valued AND or OR over two or more arguments."""

    op: Literal["and", "or"]
    args: tuple[Expr, ...]
    type: Type = BOOLEAN


@dataclass(frozen=True, slots=True)
class Not:
    """A three-valued NOT."""

    arg: Expr
    type: Type = BOOLEAN


@dataclass(frozen=True, slots=True)
class IsNull:
    """True where the argument is NULL; never NULL itself."""

    arg: Expr
    type: Type = BOOLEAN


@dataclass(frozen=True, slots=True)
class InList:
    """`arg IN (constants)`; no NULL among the constants, which are distinct and sorted."""

    arg: Expr
    values: tuple[Constant, ...]
    type: Type = BOOLEAN


@dataclass(frozen=True, slots=True)
class Case:
    """The value of the first branch whose condition is true, else the default."""

    branches: tuple[tuple[Expr, Expr], ...]
    default: Expr
    type: Type


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The first argument that is not NULL."""

    args: tuple[Expr, ...]
    type: Type


@dataclass(frozen=True, slots=True)
class Cast:
    """The argument as another type: rounded half away from zero, NULL where it does not fit [low, high]."""

    arg: Expr
    type: Type
    low: int | None = None
    high: int | None = None


Expr = Column | Constant | Arithmetic | Compare | Logic | Not | IsNull | InList | Case | Coalesce | Cast


@dataclass(frozen=True, slots=True)
class Scan:
    """One table as it stands in FROM.

    Attributes:
        name: unique in the question: the table's, with a number from the second on.
        prefix: what its columns' names in the question begin with; nothing in a question about one table.
    """

    name: str
    table: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """The right side of a LEFT JOIN: for each row of what stands left of it the rows that match, or one of NULLs.

    Attributes:
        relation: what it is made of; within it no name of the left side is known.
        where: conjuncts within it.
        on: conjuncts of ON besides the owner, over the names of the left side and of `columns`.
        columns: what is visible above, by name: expressions within it.
        owned: whether it is joined on the owner; a public table otherwise.
        presence: the name of its owner above, if it has one: NULL where no row matched.
    """

    relation: Relation
    where: tuple[Expr, ...]
    on: tuple[Expr, ...]
    columns: tuple[tuple[str, Expr], ...]
    owned: bool
    presence: str | None


@dataclass(frozen=True, slots=True)
class Relation:
    """What a question is asked of: tables joined with one another, then LEFT JOINs one after the other.

    All private tables among the scans are joined on the owner. Conditions of WHERE and of inner ON stand beside it;
    a LEFT JOIN may be moved behind every inner one, as the rows of one left row depend on that row alone.

    Attributes:
        cohort: the name of the cohort column; every private scan has one and the same, so it has no prefix.
    """

    scans: tuple[Scan, ...]
    lefts: tuple[Left, ...]
    cohort: str


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One statistic asked for across students.

    Attributes:
        function: `count` of rows whose argument is not NULL (of all rows without one), `students` for the number of
            students with such a row, `sum`, or `avg`.
        arg: what is aggregated; None for COUNT(*).
        condition: the FILTER, if any.
        span: where it was written.
    """

    function: Literal["count", "students", "sum", "avg"]
    arg: Expr | None
    condition: Expr | None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class KeyRef:
    """The value of a GROUP BY expression in the answer's row."""

    index: int


@dataclass(frozen=True, slots=True)
class OuterArithmetic:
    """Arithmetic above the aggregation: post-processing of noisy numbers."""

    op: Literal["+", "-", "*", "/"]
    left: Outer
    right: Outer


@dataclass(frozen=True, slots=True)
class Total:
    """The sum, or the mean, of a number over all groups of the answer that agree in some keys.

    Attributes:
        value: aggregates other than averages, added, subtracted and scaled by constants.
        keys: positions of the GROUP BY columns in which the groups agree, in order; none for all groups.
        mean: whether it is divided by how many groups these are.
    """

    value: Outer
    keys: tuple[int, ...]
    mean: bool


Outer = Aggregate | KeyRef | Constant | OuterArithmetic | Total


@dataclass(frozen=True, slots=True)
class Item:
    """One column of the answer."""

    name: str
    value: Outer


@dataclass(frozen=True, slots=True)
class Order:
    """One term of ORDER BY, on an expression above the aggregation."""

    value: Outer
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Query:
    """An aggregate question.

    Attributes:
        relation: what it is asked of.
        where: the conjuncts of WHERE and of inner ON, in canonical order.
        keys: the GROUP BY expressions.
        key_spans: where each was written.
        items: the answer's columns.
        order: ORDER BY.
        limit: LIMIT, if any.
        offset: OFFSET.
    """

    relation: Relation
    where: tuple[Expr, ...]
    keys: tuple[Expr, ...]
    key_spans: tuple[Span | None, ...] = field(compare=False)
    items: tuple[Item, ...]
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """One column of an answer that is made of released tables.

    Attributes:
        kind: integer, double, text, boolean or null.
        base: the part and the item of it that this is, unchanged; None where it was computed.
        margins: whether its standard error and margins come with it.
    """

    name: str
    kind: str
    base: tuple[int, int] | None
    margins: bool


Size = int | tuple[Literal["+", "*"], "tuple[Size, ...]"]
"""How many rows a released table may have: those of a part by its number, or of others, added up or multiplied."""


@dataclass(frozen=True, slots=True)
class Combined:
    """A question whose answer is made of one or more released tables by a statement that sees nothing else.

    Attributes:
        parts: the aggregate questions; the i-th is released as the table p<i>, its items as c0, c1, …
        sql: the statement; it gives v0, v1, … for the columns, s, a and b before their numbers for standard errors
            and 90 % and 95 % margins where they have them, and rows in order.
        columns: of the answer.
        size: how many rows the statement may have.
        chosen: whether noisy numbers may decide which rows are there.
    """

    parts: tuple[Query, ...]
    sql: str
    columns: tuple[Made, ...]
    size: Size
    chosen: bool


def parts(expr: Expr) -> tuple[Expr, ...]:
    """The direct arguments of an expression."""
    match expr:
        case Column() | Constant():
            return ()
        case Arithmetic(_, left, right, _) | Compare(_, left, right, _):
            return (left, right)
        case Logic(_, args, _) | Coalesce(args, _):
            return args
        case Case(branches, default, _):
            return (*(part for branch in branches for part in branch), default)
        case Not(arg, _) | IsNull(arg, _) | Cast(arg, _, _, _):
            return (arg,)
        case InList(arg, values, _):
            return (arg, *values)


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and everything in it."""
    yield expr
    for part in parts(expr):
        yield from walk(part)


def columns_of(expr: Expr) -> frozenset[str]:
    """Names of the columns an expression reads."""
    return frozenset(node.name for node in walk(expr) if isinstance(node, Column))


def renamed(expr: Expr, names: Mapping[str, str]) -> Expr:
    """The same expression over columns of other names."""
    match expr:
        case Column(name, of):
            return Column(names[name], of)
        case Constant():
            return expr
        case Case(branches, default, of):
            pairs = tuple((renamed(when, names), renamed(then, names)) for when, then in branches)
            return Case(pairs, renamed(default, names), of)
        case Logic() | Coalesce():
            return replace(expr, args=tuple(renamed(arg, names) for arg in expr.args))
        case Arithmetic() | Compare():
            return replace(expr, left=renamed(expr.left, names), right=renamed(expr.right, names))
        case Not() | IsNull() | Cast() | InList():
            return replace(expr, arg=renamed(expr.arg, names))


def shown(expr: Expr | None) -> str:
    """An expression in few words, for labels and messages: column names and no constants."""
    match expr:
        case Column(name, _):
            return name
        case Case():
            return "CASE …"
        case None:
            return "*"
        case _:
            names = ", ".join(sorted(columns_of(expr)))
            return f"expression of {names}" if names else "constant"


_PLAIN = re.compile(r"[a-z_][a-z0-9_.]*")


def _name(name: str) -> str:
    """A column's name so that no other text can be taken for it: of a column that is made, a researcher chooses it.

    >>> _name("visit.year"), _name("visit.a:exact0 b")
    ('visit.year', "@'visit.a:exact0 b'")
    """
    return name if _PLAIN.fullmatch(name) else f"@{name!r}"


def canonical(expr: Expr) -> str:
    """A text that two expressions share only if they are equal.

    >>> canonical(Compare("=", Column("school_year", INTEGER), Constant(2025, INTEGER)))
    '(= school_year:exact0 2025:exact0)'
    """
    match expr:
        case Column(name, of):
            return f"{_name(name)}:{of.kind}{of.scale}"
        case Constant(value, of):
            shown = (
                value.hex()
                if isinstance(value, float)
                else repr(str(value) if isinstance(value, Fraction) else value)
            )
            return f"{shown}:{of.kind}{of.scale}"
        case Cast(arg, of, low, high):
            return f"(cast {canonical(arg)} {of.kind}{of.scale} {low} {high})"
        case Arithmetic(op, _, _, of):
            head = f"{op} {of.kind}{of.scale}"
        case Compare(op, _, _, _) | Logic(op, _, _):
            head = op
        case Case(_, _, of) | Coalesce(_, of):
            head = f"{type(expr).__name__.lower()} {of.kind}{of.scale}"
        case _:
            head = type(expr).__name__.lower()
    return f"({head} {' '.join(canonical(part) for part in parts(expr))})"


def canonical_relation(relation: Relation) -> str:
    """A text that two relations share only if they are equal; of one table its name."""
    scans = " ".join(
        f"{scan.name}:{scan.table}" if scan.name != scan.table else scan.table for scan in relation.scans
    )
    if not relation.lefts:
        return scans
    lefts = [
        f"left {left.owned} {left.presence} ({canonical_relation(left.relation)}"
        f" [{' '.join(map(canonical, left.where))}] [{' '.join(map(canonical, left.on))}]"
        f" [{' '.join(f'{_name(name)}={canonical(expr)}' for name, expr in left.columns)}])"
        for left in relation.lefts
    ]
    return f"{scans} {' '.join(lefts)} {relation.cohort}"


_TRUE = Constant(value=True, type=BOOLEAN)


def conjuncts(exprs: Iterable[Expr]) -> tuple[Expr, ...]:
    """The distinct conjuncts of a conjunction, in canonical order: AND is commutative and idempotent."""
    found: dict[str, Expr] = {}
    pending = list(exprs)
    while pending:
        expr = pending.pop()
        if isinstance(expr, Logic) and expr.op == "and":
            pending.extend(expr.args)
        elif expr != _TRUE:
            found[canonical(expr)] = expr
    return tuple(found[key] for key in sorted(found))
