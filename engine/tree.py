"""The engine's own frozen query tree.

Everything after `parse` works on this tree and on nothing else: what is analysed here is what is compiled
and run. The researcher's text and sqlglot's nodes do not come in.

An exact number is carried as a whole number and a decimal scale: value = whole / 10**scale. A date is carried as a
whole number of days (`engine.days`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from engine.days import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Scalar = int | Fraction | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Type:
    """The type of an expression.

    Attributes:
        kind: `exact` (integers and decimals), `double`, `boolean`, `text`, `date`, or `null` (the bare literal NULL).
        scale: decimal places of an exact number; 0 for everything else.
    """

    kind: Literal["exact", "double", "boolean", "text", "date", "null"]
    scale: int = 0

    @property
    def is_number(self) -> bool:
        """Whether arithmetic is defined on it."""
        return self.kind in ("exact", "double")

    @property
    def has_ends(self) -> bool:
        """Whether its values lie between a least and a greatest one: numbers and dates."""
        return self.is_number or self.kind == "date"

    def __str__(self) -> str:
        if self.kind == "exact":
            return "integer" if self.scale == 0 else f"decimal with {self.scale} places"
        return self.kind


INTEGER = Type("exact")
DOUBLE = Type("double")
BOOLEAN = Type("boolean")
TEXT = Type("text")
DATE = Type("date")
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
    """A constant; None is NULL. Exact numbers are int or Fraction, doubles are float, dates whole numbers of days."""

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
    """A three-valued comparison of two numbers, two texts, two dates or two booleans."""

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


@dataclass(frozen=True, slots=True)
class Call:
    """A function of `engine.functions`, by its name there."""

    function: str
    args: tuple[Expr, ...]
    type: Type


Expr = Column | Constant | Arithmetic | Compare | Logic | Not | IsNull | InList | Case | Coalesce | Cast | Call


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
class Sort:
    """One term of an ORDER BY within a student's rows."""

    value: Expr
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Within:
    """One value made of rows of one student.

    Attributes:
        function: of the non-NULL values of the argument, but for `rows` (how many rows), `first` (the value of the
            first row by `order`, NULL or not).
        arg: what it is made of; None for `rows`.
        order: of `first`.
        condition: FILTER.
        span: where it was written.
    """

    function: Literal[
        "rows", "count", "distinct", "sum", "avg", "min", "max", "any", "all", "median", "first",
        "var_samp", "var_pop", "stddev_samp", "stddev_pop",
    ]  # fmt: skip
    arg: Expr | None
    order: tuple[Sort, ...]
    condition: Expr | None
    type: Type
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rolling:
    """One value beside each row, made of the rows of the same student and partition: a window.

    Attributes:
        function: ranks, positions and distributions; values of other rows by position; aggregates over a frame.
        arg: of all but ranks and `rows`.
        number: n of NTILE, LAG, LEAD and NTH_VALUE.
        default: what LAG and LEAD give where there is no such row.
        partition: besides the owner.
        order: as it is written; where it leaves rows in doubt, the rest of what is read of a row decides.
        frame: (`rows` or `range`, first row, last row) relative to the row, None for the partition's end; None for
            all rows up to this one and its peers, or all rows where there is no order.
    """

    function: Literal[
        "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead",
        "first_value", "last_value", "nth_value",
        "rows", "count", "sum", "avg", "min", "max", "any", "all",
    ]  # fmt: skip
    arg: Expr | None
    number: int
    default: Constant | None
    partition: tuple[Expr, ...]
    order: tuple[Sort, ...]
    frame: tuple[Literal["rows", "range"], int | None, int | None] | None
    type: Type
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Grouped:
    """One row for each student and combination of keys: GROUP BY the owner and more, or DISTINCT.

    Attributes:
        where: conjuncts on the rows that are grouped.
        keys: the grouping besides the owner, by name.
        values: what is made of each group, by name.
    """

    relation: Relation
    where: tuple[Expr, ...]
    keys: tuple[tuple[str, Expr], ...]
    values: tuple[tuple[str, Within], ...]


@dataclass(frozen=True, slots=True)
class Windowed:
    """The rows of a relation with windows beside them, PARTITION BY the owner and more.

    Attributes:
        where: conjuncts on the rows that windows see.
        columns: what is visible above of the rows themselves, by name.
        windows: by name.
    """

    relation: Relation
    where: tuple[Expr, ...]
    columns: tuple[tuple[str, Expr], ...]
    windows: tuple[tuple[str, Rolling], ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """One side of a UNION ALL.

    Attributes:
        columns: in the order of the union's names.
    """

    relation: Relation
    where: tuple[Expr, ...]
    columns: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """The rows of several relations under each other."""

    names: tuple[str, ...]
    branches: tuple[Branch, ...]


Step = Grouped | Windowed | Union


@dataclass(frozen=True, slots=True)
class Derived:
    """A step within each student, as it stands in FROM among the tables: it carries the owner and the cohort.

    Attributes:
        name: unique in the question.
        step: how its rows are made; its names are known inside it alone.
        span: where it was written.
    """

    name: str
    step: Step
    span: Span | None = field(default=None, compare=False)

    @property
    def prefix(self) -> str:
        """What its columns' names in the question begin with."""
        return f"{self.name}."

    @property
    def types(self) -> dict[str, Type]:
        """The types of its columns by their own names."""
        match self.step:
            case Grouped(_, _, keys, values):
                return {name: each.type for name, each in (*keys, *values)}
            case Windowed(_, _, columns, windows):
                return {name: each.type for name, each in (*columns, *windows)}
            case Union(names, branches):
                return {name: each.type for name, each in zip(names, branches[0].columns, strict=True)}


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
        once: whether it only tells if some row matches (EXISTS, IN): then no column of it is visible above but
            `presence`, which is true or false.
        never_null: comparisons of IN, which must not be unknown.
        span: where it was written.
    """

    relation: Relation
    where: tuple[Expr, ...]
    on: tuple[Expr, ...]
    columns: tuple[tuple[str, Expr], ...]
    owned: bool
    presence: str | None
    once: bool = False
    never_null: tuple[Expr, ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Relation:
    """What a question is asked of: tables joined with one another, then LEFT JOINs one after the other.

    All private tables and steps among the scans are joined on the owner. Conditions of WHERE and of inner ON stand
    beside it; a LEFT JOIN may be moved behind every inner one, as the rows of one left row depend on that row alone.

    Attributes:
        cohort: the name of the cohort column; every private scan has one and the same, so it has no prefix.
    """

    scans: tuple[Scan | Derived, ...]
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
        kind: integer, double, text, boolean, date or null.
        base: the part and the item of it that this is, unchanged; None where it was computed.
        margins: whether its standard error and margins come with it.
        draw: the part and the item of it whose draws, of one row, are in it, and no others.
        public: whether it follows from keys and constants alone, in rows that noise did not choose.
    """

    name: str
    kind: str
    base: tuple[int, int] | None
    margins: bool
    draw: tuple[int, int] | None = None
    public: bool = False


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
        weighed: whether groups without a student count too in what is made of groups, other than sums.
    """

    parts: tuple[Query, ...]
    sql: str
    columns: tuple[Made, ...]
    size: Size
    chosen: bool
    weighed: bool = False


def told(value: Scalar, of: Type) -> Scalar:
    """A value as people and programs outside read it: a date is its ISO text.

    >>> told(19782, DATE), told(19782, INTEGER), told(None, DATE)
    ('2024-02-29', 19782, None)
    """
    return iso(value) if of == DATE and isinstance(value, int) else value


def parts(expr: Expr) -> tuple[Expr, ...]:
    """The direct arguments of an expression."""
    match expr:
        case Column() | Constant():
            return ()
        case Arithmetic(_, left, right, _) | Compare(_, left, right, _):
            return (left, right)
        case Logic(_, args, _) | Coalesce(args, _) | Call(_, args, _):
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


def rebuilt(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The same expression with its direct arguments changed; constants of a list are none."""
    match expr:
        case Column() | Constant():
            return expr
        case Case(branches, default, of):
            return Case(tuple((change(when), change(then)) for when, then in branches), change(default), of)
        case Logic() | Coalesce() | Call():
            return replace(expr, args=tuple(map(change, expr.args)))
        case Arithmetic() | Compare():
            return replace(expr, left=change(expr.left), right=change(expr.right))
        case Not() | IsNull() | Cast() | InList():
            return replace(expr, arg=change(expr.arg))


def common_type(types: Iterable[Type]) -> Type | None:
    """The type that values of some types have together: NULL of none but NULL, None where none fits."""
    found = set(types) - {NULL}
    kinds = {of.kind for of in found}
    if kinds == {"exact"}:
        return Type("exact", max(of.scale for of in found))
    if kinds and kinds <= {"exact", "double"}:
        return DOUBLE
    return NULL if not found else found.pop() if len(found) == 1 else None


def of_type(expr: Expr, of: Type) -> Expr:
    """NULL as a constant of a type; anything else as it is."""
    return Constant(None, of) if expr.type == NULL else expr


def renamed(expr: Expr, names: Mapping[str, str]) -> Expr:
    """The same expression over columns of other names."""
    if isinstance(expr, Column):
        return Column(names[expr.name], expr.type)
    return rebuilt(expr, lambda part: renamed(part, names))


def substituted(expr: Expr, found: Mapping[Expr, Expr]) -> Expr:
    """The same expression with others in the place of some: the outermost that are known."""
    if expr in found:
        return found[expr]
    return rebuilt(expr, lambda part: substituted(part, found))


def within_parts(value: Within) -> tuple[Expr, ...]:
    """The expressions over rows that a student's value is made of."""
    found = (value.arg, *(term.value for term in value.order), value.condition)
    return tuple(part for part in found if part is not None)


def rolling_parts(value: Rolling) -> tuple[Expr, ...]:
    """The expressions over rows that a window is made of."""
    found = (value.arg, value.default, *value.partition, *(term.value for term in value.order))
    return tuple(part for part in found if part is not None)


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
        case Call(function, _, of):
            head = f"call {function} {of.kind}{of.scale}"
        case Compare(op, _, _, _) | Logic(op, _, _):
            head = op
        case Case(_, _, of) | Coalesce(_, of):
            head = f"{type(expr).__name__.lower()} {of.kind}{of.scale}"
        case _:
            head = type(expr).__name__.lower()
    return f"({head} {' '.join(canonical(part) for part in parts(expr))})"


def canonical_relation(relation: Relation) -> str:
    """A text that two relations share only if they are equal; of one table its name."""
    scans = " ".join(_canonical_scan(scan) for scan in relation.scans)
    if not relation.lefts:
        return scans
    lefts = [
        f"{'once' if left.once else 'left'} {left.owned} {left.presence} ({canonical_relation(left.relation)}"
        f" {_every(left.where)} {_every(left.on)} {_named(left.columns)})"
        for left in relation.lefts
    ]
    return f"{scans} {' '.join(lefts)} {relation.cohort}"


def _canonical_scan(scan: Scan | Derived) -> str:
    if isinstance(scan, Scan):
        return f"{scan.name}:{scan.table}" if scan.name != scan.table else scan.table
    match scan.step:
        case Grouped(relation, where, keys, values):
            made = " ".join(f"{_name(name)}={_canonical_within(value)}" for name, value in values)
            return f"{scan.name}:(grouped ({canonical_relation(relation)}) {_every(where)} {_named(keys)} [{made}])"
        case Windowed(relation, where, columns, windows):
            made = " ".join(f"{_name(name)}={_canonical_rolling(value)}" for name, value in windows)
            shown = f"({canonical_relation(relation)}) {_every(where)} {_named(columns)} [{made}]"
            return f"{scan.name}:(windowed {shown})"
        case Union(names, branches):
            sides = [
                f"({canonical_relation(side.relation)}) {_every(side.where)} {_every(side.columns)}"
                for side in branches
            ]
            return f"{scan.name}:(union {' '.join(map(_name, names))} {' '.join(sides)})"


def _every(exprs: Iterable[Expr]) -> str:
    return f"[{' '.join(map(canonical, exprs))}]"


def _named(exprs: Iterable[tuple[str, Expr]]) -> str:
    return f"[{' '.join(f'{_name(name)}={canonical(expr)}' for name, expr in exprs)}]"


def _optional(expr: Expr | None) -> str:
    return "-" if expr is None else canonical(expr)


def _sorted(order: Iterable[Sort]) -> str:
    return f"[{' '.join(f'{canonical(s.value)} {s.descending} {s.nulls_first}' for s in order)}]"


def _canonical_within(value: Within) -> str:
    parts = f"{_optional(value.arg)} {_sorted(value.order)} {_optional(value.condition)}"
    return f"({value.function} {parts} {value.type.kind}{value.type.scale})"


def _canonical_rolling(value: Rolling) -> str:
    parts = f"{_optional(value.arg)} {value.number} {_optional(value.default)} {_every(value.partition)}"
    return f"({value.function} {parts} {_sorted(value.order)} {value.frame} {value.type.kind}{value.type.scale})"


_TRUE = Constant(value=True, type=BOOLEAN)


def conjuncts(exprs: Iterable[Expr]) -> tuple[Expr, ...]:
    """The distinct conjuncts of a conjunction, in canonical order: AND is commutative and idempotent."""
    flat: list[Expr] = []
    pending = list(exprs)
    while pending:
        expr = pending.pop()
        if isinstance(expr, Logic) and expr.op == "and":
            pending.extend(expr.args)
        elif expr != _TRUE:
            flat.append(expr)
    if len(flat) < 2:  # noqa: PLR2004 - one has no order; this is asked for each combination of key values
        return tuple(flat)
    found = {canonical(expr): expr for expr in flat}
    return tuple(found[key] for key in sorted(found))
