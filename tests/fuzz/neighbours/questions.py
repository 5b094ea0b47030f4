"""Random questions, typed, from a grammar of all that is accepted.

An expression is kept as a tree of texts, so that a failing question can be made smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from engine import tree
from engine.days import FIRST, LAST, iso
from engine.statistic import NO_LIMITS, Limits

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from engine.catalog import Catalog, Column, Table

Kind = Literal["number", "boolean", "text", "date"]
FITS = 4.6e18


@dataclass(frozen=True)
class Node:
    """An expression.

    Attributes:
        text: its SQL, with {0}, {1}, … for its parts; as it is where it has none.
        scale: decimal places of an exact number, None of a double.
        most: a bound of a number's magnitude, as far as it is known; guides the choice only.
    """

    kind: Kind
    text: str
    parts: tuple[Node, ...] = ()
    scale: int | None = 0
    most: float | None = None

    @property
    def sql(self) -> str:
        """The text."""
        return self.text.format(*(part.sql for part in self.parts)) if self.parts else self.text


@dataclass(frozen=True)
class Output:
    """One aggregate: `form` is COUNT({0}) or the like; `outer` is the arithmetic around it."""

    form: str
    arg: Node | None = None
    condition: Node | None = None
    outer: str = "{0}"

    @property
    def sql(self) -> str:
        """The text."""
        found = self.form.format("" if self.arg is None else self.arg.sql)
        if self.condition is not None:
            found += f" FILTER (WHERE {self.condition.sql})"
        return self.outer.format(found)


Style = Literal["names", "ordinals", "aliases", "all", "hidden"]


@dataclass(frozen=True)
class Question:
    """A question.

    Attributes:
        cohorts: those it is asked of.
        style: how GROUP BY names its columns.
        limits: how much of a student is asked for.
    """

    table: str
    outputs: tuple[Output, ...]
    where: tuple[Node, ...]
    keys: tuple[str, ...]
    cohorts: tuple[int, ...]
    style: Style = "names"
    limits: Limits = NO_LIMITS

    @property
    def sql(self) -> str:
        """The text."""
        shown = {
            "names": [*self.keys],
            "hidden": [],
            "aliases": [f"{key} AS g{i}" for i, key in enumerate(self.keys)],
        }.get(self.style, [*self.keys])
        terms = {
            "ordinals": [str(i + 1) for i in range(len(self.keys))],
            "aliases": [f"g{i}" for i in range(len(self.keys))],
            "all": ["ALL"],
        }.get(self.style, [*self.keys])
        selected = [*shown, *(f"{output.sql} AS a{i}" for i, output in enumerate(self.outputs))]
        text = f"SELECT {', '.join(selected)} FROM {self.table}"
        if self.where:
            text += f" WHERE {' AND '.join(f'({part.sql})' for part in self.where)}"
        return text + (f" GROUP BY {', '.join(terms)}" if self.keys else "")


# -- leaves


def column_node(column: Column) -> Node:
    """A column."""
    kinds: dict[str, Kind] = {"boolean": "boolean", "text": "text", "date": "date"}
    kind = kinds.get(column.type.kind, "number")
    scale = column.type.scale if column.type.kind == "exact" else None
    most = None
    if column.ranges is not None:
        most = float(max(max(abs(low), abs(high)) for _, low, high in column.ranges.rows))
    elif column.low is not None and column.high is not None:
        most = max(abs(float(column.low)), abs(float(column.high)))
    return Node(kind, column.name, (), scale if kind == "number" else 0, most)


def literal(value: object) -> Node:
    """A constant."""
    match value:
        case None:
            return Node("number", "NULL", most=0.0)
        case bool():
            return Node("boolean", str(value).upper())
        case str():
            return Node("text", "'" + value.replace("'", "''") + "'")
        case float():
            digits = f"{Fraction(value).limit_denominator(10**6)}"
            numerator, _, denominator = digits.partition("/")
            whole = Fraction(int(numerator), int(denominator or 1))
            text = f"{float(round(whole, 6)):.6f}".rstrip("0").rstrip(".")
            return Node("number", f"CAST({text} AS DOUBLE)", (), None, abs(value))
        case int() | Fraction():
            scale = next((s for s in range(10) if (Fraction(value) * 10**s).denominator == 1), 9)
            text = f"{float(value):.{scale}f}" if scale else str(int(value))
            return Node("number", text, (), scale, abs(float(value)))
    raise TypeError


ODD_NUMBERS = [
    Node("number", "4611686018427387903", (), 0, 4.6e18),
    Node("number", "-4611686018427387903", (), 0, 4.6e18),
    Node("number", "0.000000001", (), 9, 1e-9),
    Node("number", "123456789.123456789", (), 9, 1.3e8),
    Node("number", "1e15", (), 0, 1e15),
    Node("number", "2.50", (), 1, 2.5),
    Node("number", "CAST(1e18 AS DOUBLE)", (), None, 1e18),
    Node("number", "CAST(0.1 AS DOUBLE)", (), None, 0.1),
    Node("number", "9007199254740993", (), 0, 9.1e15),
    Node("number", "0", (), 0, 0.0),
    Node("number", "-0.5", (), 1, 0.5),
    Node("number", "2147483648", (), 0, 2147483648.0),
]
CASTS: list[tuple[str, int | None, float | None]] = [
    ("TINYINT", 0, 128.0),
    ("SMALLINT", 0, 32768.0),
    ("INTEGER", 0, 2.0**31),
    ("BIGINT", 0, 2.0**62),
    ("DECIMAL(1, 1)", 1, 1.0),
    ("DECIMAL(4, 2)", 2, 100.0),
    ("DECIMAL(9, 0)", 0, 1e9),
    ("DECIMAL(12, 4)", 4, 1e8),
    ("DECIMAL(18, 9)", 9, 1e9),
    ("DOUBLE", None, None),
    ("FLOAT", None, None),
]


_TEXT_PINS = (
    "({0} LIKE {1})",
    "({0} LIKE '%a%')",
    "({0} NOT LIKE '_')",
    "({0} ~ '^[a-m]')",
    "STARTS_WITH({0}, LEFT({1}, 1))",
    "(LENGTH({0}) = LENGTH({1}))",
    "(UPPER({0}) LIKE UPPER({1}))",
    "(REVERSE({0}) IS NULL)",
)
"""Conditions that are worked out on the list."""


def any_question(rng: random.Random, catalog: Catalog) -> Question:
    """A random question about one of a catalog's private tables, rarely about the cohort table."""
    tables = [table for table in catalog.private_tables if table.name != catalog.cohort_table or rng.random() < 0.3]
    return Grammar(rng, catalog, rng.choice(tables)).question()


class Grammar:
    """Random expressions over the columns of one table."""

    def __init__(self, rng: random.Random, catalog: Catalog, table: Table) -> None:
        self.rng, self.catalog, self.table = rng, catalog, table
        self.columns = [column for column in table.columns.values() if column.on]
        self.by_kind: dict[str, list[Column]] = {"number": [], "boolean": [], "text": [], "date": []}
        for column in self.columns:
            self.by_kind[column_node(column).kind].append(column)
        told = {part for key in table.unique for part in key} | {part for cap in table.caps for part in cap.per}
        self.told = [column for column in self.columns if column.name in told]
        self.listed = [column for column in self.columns if column.values is not None]

    # -- constants

    def value(self, column: Column) -> Node:
        """A constant to compare a column with: on its list, at its ends, beside them, or odd."""
        rng = self.rng
        if column.type == tree.BOOLEAN:
            return rng.choice([Node("boolean", "TRUE"), Node("boolean", "FALSE"), literal(1), literal(0)])
        if column.type == tree.TEXT:
            odd = not column.values or rng.random() < 0.02  # a value that no list holds is refused
            return literal(str(rng.choice(["O'Brien", "nowhere", ""] if odd else column.values)))
        if column.type == tree.DATE:
            return self.day(column)
        if rng.random() < 0.04:
            return rng.choice(ODD_NUMBERS)
        base: list[int | Fraction | float] = [0, 1, 2, 7]
        if column.values:
            base = [value for value in column.values if isinstance(value, int)]
        elif column.ranges is not None:
            base = [end for row in column.ranges.rows for end in row[1:]]
        elif column.low is not None and column.high is not None:
            base = [column.low, column.high, 0]
        value = rng.choice(base)
        dice = rng.random()
        if column.type == tree.DOUBLE:
            return literal(float(value)) if dice < 0.5 else literal(Fraction(float(value)).limit_denominator(1000))
        value = Fraction(value) if abs(value) < FITS else Fraction(0)
        if dice < 0.08:
            return literal(float(value))
        if dice < 0.11:
            return literal(value + Fraction(1, 2))
        if dice < 0.15:
            return literal(value + rng.choice([-1, 1]))
        return literal(value if value.denominator > 1 else int(value))

    def day(self, column: Column) -> Node:
        """A date on a column's list, at its ends or beside them, or far away, in one of the ways to write it."""
        days = [*(column.values or (column.low, column.high))]
        day = self.rng.choice([*days, *days, *days, *(day + step for day in days for step in (-1, 1)), FIRST, LAST])
        return Node("date", self.rng.choice(["DATE '{}'", "'{}'", "CAST('{}' AS DATE)"]).format(iso(day)))

    # -- numbers

    def number(self, depth: int) -> Node:
        """A number."""
        rng = self.rng
        if depth <= 0 or rng.random() < 0.25:
            return self.number_leaf()
        make = rng.choice(
            [
                self.arithmetic,
                self.arithmetic,
                self.quotient,
                self.number_case,
                self.number_case,
                self.operand_case,
                self.coalesce,
                self.nullif,
                self.cast,
                self.cast,
                self.bounded,
                self.exact_function,
                self.exact_function,
                self.double_function,
                self.text_length,
            ]
        )
        return make(depth)

    def number_leaf(self) -> Node:
        rng = self.rng
        numbers = self.by_kind["number"]
        dice = rng.random()
        if dice < 0.72:
            return column_node(rng.choice(numbers))
        if dice < 0.82 and self.by_kind["boolean"]:
            flag = column_node(rng.choice(self.by_kind["boolean"]))
            return Node("number", "CAST({0} AS INTEGER)", (flag,), 0, 1.0)
        if dice < 0.97:
            return self.value(rng.choice(numbers))
        return rng.choice(ODD_NUMBERS)

    def known(self, depth: int) -> Node:
        """A number whose magnitude is bounded."""
        for _ in range(6):
            found = self.number(depth)
            if found.most is not None and (found.scale is None or found.most * 10.0**found.scale < FITS):
                return found
        return literal(self.rng.choice([1, 2, Fraction(1, 2)]))

    def arithmetic(self, depth: int) -> Node:
        a, b = self.known(depth - 1), self.known(depth - 1)
        op = self.rng.choice(["+", "-", "*"])
        most = a.most * b.most if op == "*" else a.most + b.most  # type: ignore[operator]
        if a.scale is None or b.scale is None:
            return Node("number", f"({{0}} {op} {{1}})", (a, b), None, most)
        scale = a.scale + b.scale if op == "*" else max(a.scale, b.scale)
        if scale > 9 or max(most, a.most or 0, b.most or 0) * 10.0**scale >= FITS:
            a = Node("number", "CAST({0} AS DOUBLE)", (a,), None, a.most)
            return Node("number", f"({{0}} {op} {{1}})", (a, b), None, most)
        if self.rng.random() < 0.1:
            a = Node("number", "(-{0})", (a,), a.scale, a.most)
        return Node("number", f"({{0}} {op} {{1}})", (a, b), scale, most)

    def quotient(self, depth: int) -> Node:
        a, b = self.known(depth - 1), self.known(depth - 1)
        if b.scale is None:
            b = column_node(self.rng.choice(self.by_kind["number"]))
            if b.scale is None or b.most is None:
                b = literal(3)
        return Node("number", "({0} / {1})", (a, b), None, (a.most or 0.0) * 10.0 ** (b.scale or 0))

    def number_case(self, depth: int) -> Node:
        rng = self.rng
        if rng.random() < 0.25:
            parts = (self.condition(depth - 1), *self.alike(depth - 1, 2))
            return self.joined("IF({0}, {1}, {2})", parts, parts[1:])
        if rng.random() < 0.3:
            parts = (self.condition(depth - 1), self.number(depth - 1))
            return self.joined("CASE WHEN {0} THEN {1} END", parts, parts[1:])
        if rng.random() < 0.5:
            values = self.alike(depth - 1, 2)
            parts = (self.condition(depth - 1), *values)
            return self.joined("CASE WHEN {0} THEN {1} ELSE {2} END", parts, values)
        values = self.alike(depth - 1, 3)
        parts = (self.condition(depth - 1), values[0], self.condition(depth - 1), *values[1:])
        return self.joined("CASE WHEN {0} THEN {1} WHEN {2} THEN {3} ELSE {4} END", parts, values)

    def operand_case(self, depth: int) -> Node:
        column = self.rng.choice(self.columns)
        values = self.alike(depth - 1, 3)
        parts = (column_node(column), self.value(column), values[0], self.value(column), *values[1:])
        return self.joined("CASE {0} WHEN {1} THEN {2} WHEN {3} THEN {4} ELSE {5} END", parts, values)

    def coalesce(self, depth: int) -> Node:
        values = self.alike(depth - 1, self.rng.choice([2, 2, 3]))
        text = ", ".join(f"{{{i}}}" for i in range(len(values)))
        return self.joined(f"COALESCE({text})", values, values)

    def nullif(self, depth: int) -> Node:
        column = self.rng.choice(self.by_kind["number"])
        arg = column_node(column) if self.rng.random() < 0.6 else self.number(depth - 1)
        return Node("number", "NULLIF({0}, {1})", (arg, self.value(column)), arg.scale, arg.most)

    def cast(self, depth: int) -> Node:
        arg = self.number(depth - 1)
        to, scale, most = self.rng.choice(CASTS)
        verb = self.rng.choice(["CAST", "TRY_CAST"])
        known = arg.most if most is None else most if arg.most is None else min(most, arg.most + 1)
        return Node("number", f"{verb}({{0}} AS {to})", (arg,), scale, known)

    def bounded(self, depth: int) -> Node:
        """What a researcher writes to bound a number."""
        arg = self.number(depth - 1)
        low, high = sorted(self.rng.sample([-7, 0, 1, 3, 100, 2000], 2))
        ends = (arg, literal(low), literal(high))
        most = float(max(abs(low), abs(high)))
        if len(arg.sql) > 200:
            return arg
        return Node("number", "CASE WHEN {0} BETWEEN {1} AND {2} THEN {0} END", ends, arg.scale, most)

    def exact_function(self, depth: int) -> Node:
        """A function that leaves an exact number exact."""
        rng = self.rng
        a = self.known(depth - 1)
        dice = rng.random()
        if dice < 0.25:
            places = rng.choice([0, 0, 1, 2, -1])
            name = rng.choice(["ROUND", "TRUNC"])
            scale = None if a.scale is None else min(a.scale, max(0, places))
            return Node("number", f"{name}({{0}}, {places})", (a,), scale, (a.most or 0.0) + 10.0)
        if dice < 0.4:
            scale = None if a.scale is None else 0
            return Node("number", f"{rng.choice(['FLOOR', 'CEIL'])}({{0}})", (a,), scale, (a.most or 0.0) + 1.0)
        if dice < 0.5:
            return Node("number", "ABS({0})", (a,), a.scale, a.most)
        if dice < 0.55:
            return Node("number", "SIGN({0})", (a,), 0, 1.0)
        b = self.known(depth - 1) if rng.random() < 0.5 else literal(rng.choice([0, 2, 7, -3]))
        scale = None if a.scale is None or b.scale is None else max(a.scale, b.scale)
        most = max(a.most or 0.0, b.most or 0.0)
        if dice < 0.7 and a.scale == 0 and b.scale == 0:
            return Node("number", "({0} // {1})", (a, b), 0, a.most)
        if scale is not None and most * 10.0**scale >= FITS:
            return a
        text = "({0} % {1})" if dice < 0.8 else f"{rng.choice(['GREATEST', 'LEAST'])}({{0}}, {{1}})"
        return Node("number", text, (a, b), scale, most)

    def double_function(self, depth: int) -> Node:
        """A function of doubles."""
        a = self.known(depth - 1)
        text, most = self.rng.choice(
            [
                ("SQRT({0})", (a.most or 0.0) ** 0.5),
                ("CBRT({0})", (a.most or 0.0) + 1.0),
                ("LN({0})", 750.0),
                ("LOG2({0})", 1100.0),
                ("SIN({0})", 1.0),
                ("POWER({0}, 2)", (a.most or 0.0) ** 2),
                ("EXP({0} % 5)", 150.0),
            ]
        )
        return Node("number", text, (a,), None, most)

    def text_length(self, depth: int) -> Node:
        """A number that is worked out on the list of a text column."""
        texts = [column for column in self.by_kind["text"] if column.values]
        if not texts:
            return self.exact_function(depth)
        node = column_node(self.rng.choice(texts))
        text = self.rng.choice(
            ["LENGTH({0})", "STRPOS({0}, 'a')", "TRY_CAST({0} AS INTEGER)", "LENGTH(REPLACE({0}, 'a', ''))"]
        )
        return Node("number", text, (node,), 0, 1000.0)

    def alike(self, depth: int, size: int) -> tuple[Node, ...]:
        """Numbers that can stand beside one another."""
        found = [self.number(depth) for _ in range(size)]
        if self.rng.random() < 0.15:
            found[self.rng.randrange(size)] = literal(None)
        return tuple(found)

    def joined(self, text: str, parts: Sequence[Node], values: Sequence[Node]) -> Node:
        scales = [value.scale for value in values if value.text != "NULL"]
        mosts = [value.most for value in values]
        scale = None if None in scales else max((scale for scale in scales if scale is not None), default=0)
        most = None if None in mosts else max(most for most in mosts if most is not None)
        return Node("number", f"({text})" if text.startswith("CASE") else text, tuple(parts), scale, most)

    # -- conditions

    def condition(self, depth: int) -> Node:
        """A condition."""
        rng = self.rng
        if depth <= 0 or rng.random() < 0.35:
            return self.atom(depth)
        dice = rng.random()
        if dice < 0.3:
            op = rng.choice(["AND", "OR", "OR"])
            return Node("boolean", f"({{0}} {op} {{1}})", (self.condition(depth - 1), self.condition(depth - 1)))
        if dice < 0.45:
            return Node("boolean", "(NOT {0})", (self.condition(depth - 1),))
        if dice < 0.55:
            suffix = rng.choice(["IS TRUE", "IS FALSE", "IS NOT TRUE", "IS NULL", "IS NOT NULL"])
            return Node("boolean", f"({{0}} {suffix})", (self.condition(depth - 1),))
        if dice < 0.62:
            parts = (self.condition(depth - 1), self.condition(depth - 1), self.condition(depth - 1))
            return Node("boolean", "(CASE WHEN {0} THEN {1} ELSE {2} END)", parts)
        if dice < 0.68:
            return Node("boolean", "COALESCE({0}, {1})", (self.condition(depth - 1), self.condition(depth - 1)))
        return self.comparison(depth)

    def comparison(self, depth: int) -> Node:
        rng = self.rng
        op = rng.choice(["=", "<>", "<", "<=", ">", ">="])
        a = self.number(depth - 1)
        if rng.random() < 0.3:
            suffix = rng.choice(["IS NULL", "IS NOT NULL"])
            return Node("boolean", f"({{0}} {suffix})", (a,))
        if rng.random() < 0.2 and len(a.sql) < 300:
            parts = (a, self.value(rng.choice(self.by_kind["number"])), self.number(depth - 1))
            return Node("boolean", "({0} BETWEEN {1} AND {2})", parts)
        return Node("boolean", f"({{0}} {op} {{1}})", (a, self.number(depth - 1)))

    def atom(self, depth: int = 0) -> Node:
        """A condition on one column, often one that bounds what a student can bring."""
        rng = self.rng
        column = rng.choice(self.told) if self.told and rng.random() < 0.5 else rng.choice(self.columns)
        return self.pin(column, depth)

    def pin(self, column: Column, depth: int = 0) -> Node:
        """A condition on a column, in one of many ways."""
        rng, node = self.rng, column_node(column)
        one, two = self.value(column), self.value(column)
        if node.kind == "boolean" and rng.random() < 0.6:
            text = rng.choice(["{0}", "(NOT {0})", "({0} = TRUE)", "({0} IS TRUE)", "({0} IS FALSE)", "({0} = 1)"])
            return Node("boolean", text, (node,))
        plain = ["({0} = {1})"] * 4 + [
            "({1} = {0})",
            "({0} <> {1})",
            "(NOT {0} <> {1})",
            "(NULLIF({0}, {1}) IS NULL)",
        ]
        plain += [
            "(CASE {0} WHEN {1} THEN TRUE ELSE FALSE END)",
            "({0} = {1} OR {0} = {2})",
            "(COALESCE({0}, {2}) = {1})",
        ]
        plain += ["({0} IN ({1}, {2}))"] * 3 + [
            "({0} IN ({1}, NULL, {2}))",
            "({0} NOT IN ({1}, {2}))",
            "({0} IN ({1}))",
        ]
        plain += ["({0} IS NOT NULL)"] + ["({0} IS NULL)"] * (column.nullable or rng.random() < 0.1)
        if node.kind == "text":
            plain += ["({0} < {1})", "({0} IS DISTINCT FROM {1})", *([*_TEXT_PINS] if column.values else [])]
            return Node("boolean", rng.choice(plain), (node, one, two))
        plain += ["({0} >= {1})", "({0} < {1})", "({1} <= {0})", "({0} > {1})", "({0} BETWEEN {1} AND {2})"]
        if node.kind in ("boolean", "date"):
            return Node("boolean", rng.choice(plain), (node, one, two))
        if rng.random() < 0.25:
            return self.odd_pin(column, one, two)
        if rng.random() < 0.15:
            return Node("boolean", "({0} = {1})", (node, self.number(depth - 1)))
        return Node("boolean", rng.choice(plain), (node, one, two))

    def odd_pin(self, column: Column, one: Node, two: Node) -> Node:
        """A condition that looks like a pin, in mixed types."""
        double = Node("number", "CAST({0} AS DOUBLE)", (one,), None)
        whole = next((v for v in column.values or () if isinstance(v, int) and v), 7)
        tenfold = literal(float(whole * self.rng.choice([10, 100])))  # what it would be at another scale
        text = self.rng.choice(
            [
                "({0} IN ({1}, {2}))",
                "({0} IN ({1}, {2}, NULL))",
                "({0} = {1})",
                "({0} >= {1})",
                "(CAST({0} AS DOUBLE) = {2})",
                "(CAST({0} AS DECIMAL(9, 2)) = {2})",
                "({0} + 0 = {2})",
                "({0} IN ({1}, {2}, 0.5, 4611686018427387903))",
                "({0} IN ({2}, 0.5, {3}))",
                "({0} IN ({1}, {2}, 12.25, {3}))",
            ]
        )
        return Node("boolean", text, (column_node(column), double, two, tenfold))

    # -- the question

    def output(self) -> Output:
        """An aggregate."""
        rng = self.rng
        form = rng.choice(["COUNT(*)", "COUNT({0})", "COUNT_IF({0})", "SUM({0})", "SUM({0})", "AVG({0})"])
        depth = rng.choice([0, 1, 1, 2, 3])
        arg: Node | None = None
        if form == "COUNT_IF({0})":
            arg = self.condition(depth)
        elif form == "COUNT({0})":
            arg = self.number(depth) if rng.random() < 0.6 else column_node(rng.choice(self.columns))
        elif form != "COUNT(*)":
            arg = self.condition(1) if rng.random() < 0.1 else self.summable(depth)
        condition = self.condition(rng.choice([0, 0, 1, 2])) if rng.random() < 0.3 else None
        outer = rng.choice(["{0}"] * 7 + ["2 * {0}", "{0} / COUNT(*)", "100 * {0} - 1"])
        return Output(form, arg, condition, outer)

    def summable(self, depth: int) -> Node:
        """A number whose sum over all students can be held."""
        for _ in range(5):
            found = self.known(depth)
            if found.scale is None or (found.most or 0.0) * 10.0**found.scale < 1e11:
                return found
        return column_node(self.rng.choice(self.by_kind["number"]))

    def keys(self) -> tuple[str, ...]:
        """The GROUP BY columns."""
        size = min(len(self.listed), self.rng.choice([0, 0, 1, 1, 1, 2, 2, 3]))
        return tuple(column.name for column in self.rng.sample(self.listed, size))

    def question(self) -> Question:
        """A question."""
        rng = self.rng
        keys = self.keys()
        pinned = rng.sample(self.told, min(len(self.told), rng.choice([0, 0, 1, 1, 2])))
        where = [self.pin(column) for column in pinned]
        where += [
            self.atom() if rng.random() < 0.3 else self.condition(2) for _ in range(rng.choice([0, 0, 1, 1, 2]))
        ]
        cohorts = self.catalog.cohorts
        if rng.random() < 0.4:
            cohorts = tuple(sorted(rng.sample(cohorts, rng.randint(1, len(cohorts)))))
        styles: list[Style] = ["names", "ordinals", "aliases", "all", "hidden"]
        style = rng.choice(styles)
        return Question(
            table=self.table.name,
            outputs=tuple(self.output() for _ in range(rng.choice([1, 1, 2, 2, 3]))),
            where=tuple(where),
            keys=keys,
            cohorts=cohorts,
            style=style,
        )
