"""Random questions over several relations, and with groups by expressions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import tree
from engine.catalog import Column

from .questions import Grammar, Node, Output, column_node, literal

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from engine.catalog import Catalog, Table

ALIASES = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Joined:
    """A question over several relations.

    Attributes:
        sql: the text.
        cohorts: those it is asked of.
        kinds: which kinds of joins and keys it has.
    """

    sql: str
    cohorts: tuple[int, ...]
    kinds: frozenset[str]


@dataclass
class Part:
    """One relation in FROM.

    Attributes:
        columns: under their names in the question.
        inner: whether its owner may be joined on.
    """

    alias: str
    table: Table
    columns: list[Column]
    inner: bool


class Joiner:
    """Makes FROM, and lets the grammar speak about its columns."""

    def __init__(self, rng: random.Random, catalog: Catalog) -> None:
        self.rng, self.catalog, self.owner = rng, catalog, catalog.owner
        self.parts: list[Part] = []
        self.where: list[str] = []
        self.ctes: list[str] = []
        self.kinds: set[str] = set()

    # -- relations

    def source(self, table: Table, alias: str, *, nullable: bool) -> tuple[str, list[Column]]:
        """A table, a subquery of it or a CTE, and its columns as they are named here."""
        rng = self.rng
        columns = [column for column in table.columns.values() if column.on]
        text = table.name
        if not table.public and rng.random() < 0.3:
            inner = Grammar(rng, self.catalog, table)
            pin = inner.atom()
            extra = ""
            if rng.random() < 0.5:
                made = rng.choice([inner.known(1), inner.condition(1)])
                extra = f", {made.sql} AS made"
                of = (
                    tree.BOOLEAN
                    if made.kind == "boolean"
                    else tree.DOUBLE
                    if made.scale is None
                    else tree.Type("exact", made.scale)
                )
                most = None if made.kind == "boolean" else made.most
                columns = [
                    *columns,
                    Column("made", of, low=None if most is None else -most, high=most, nullable=True),
                ]
            text = f"(SELECT *{extra} FROM {table.name} WHERE {pin.sql})"
            self.kinds.add("subquery")
            if rng.random() < 0.4:
                self.ctes.append(f"cte_{alias} AS {text}")
                text = f"cte_{alias}"
                self.kinds.add("CTE")
        named = [
            dataclasses.replace(
                column, name=f"{alias}.{column.name}", nullable=column.nullable or nullable, default=None
            )
            for column in columns
        ]
        return f"{text} AS {alias}", named

    def equalities(self, new: Part, most: int) -> list[str]:
        """Equalities of columns of like type with those before."""
        rng, found = self.rng, []
        pairs = [
            (mine, theirs)
            for part in self.parts
            for theirs in part.columns
            for mine in new.columns
            if mine.type == theirs.type and mine.type != tree.DOUBLE
        ]
        alike = [pair for pair in pairs if pair[0].name.split(".")[1] == pair[1].name.split(".")[1]]
        for _ in range(rng.choice(range(most + 1))):
            pool = alike if alike and rng.random() < 0.8 else pairs
            if not pool:
                break
            mine, theirs = rng.choice(pool)
            right = theirs.name
            if mine.type == tree.INTEGER and rng.random() < 0.25 and theirs.low is not None:
                right = f"{right} + {rng.choice([1, -1])}"
            equal = f"{mine.name} = {right}" if rng.random() < 0.5 else f"{right} = {mine.name}"
            if rng.random() < 0.15:
                equal = f"({equal} OR {rng.choice(pairs)[0].name} IS NOT NULL)"
            found.append(equal)
        return found

    def first(self) -> str:
        table = self.rng.choice(self.catalog.private_tables)
        text, columns = self.source(table, "a", nullable=False)
        self.parts.append(Part("a", table, columns, inner=True))
        return text

    def another(self, alias: str) -> str | None:
        """One relation more; None where none fits."""
        rng = self.rng
        left = rng.random() < 0.4
        public = rng.random() < 0.25
        if public:
            return self.lookup(alias, left=left)
        table = rng.choice(self.catalog.private_tables)
        text, columns = self.source(table, alias, nullable=left)
        new = Part(alias, table, columns, inner=not left)
        mate = rng.choice([part for part in self.parts if part.inner and not part.table.public])
        on = [f"{alias}.{self.owner} = {mate.alias}.{self.owner}", *self.equalities(new, 3 if left else 2)]
        grammar = ColumnGrammar(rng, self.catalog, columns, table, alias)
        if rng.random() < 0.4:
            on.append(grammar.atom().sql)
        if left and rng.random() < 0.2:
            on.append(ColumnGrammar(rng, self.catalog, mate.columns, mate.table, mate.alias).atom().sql)
        rng.shuffle(on)
        self.kinds.add("left private" if left else "self-join" if table == mate.table else "inner")
        if len(on) > 1:
            self.kinds.add("owner and key")
        self.parts.append(new)
        if left:
            return f"LEFT JOIN {text} ON {' AND '.join(on)}"
        if rng.random() < 0.15:
            self.where += on
            return rng.choice([", ", "CROSS JOIN "]) + text
        if rng.random() < 0.3:
            some = rng.randrange(len(on) + 1)
            owner = next(c for c in on if self.owner in c)
            self.where += [c for c in on[:some] if c != owner]
            on = [owner, *(c for c in on[some:] if c != owner)]
        return f"JOIN {text} ON {' AND '.join(on)}"

    def lookup(self, alias: str, *, left: bool) -> str | None:
        """A public table on its key."""
        options = [
            (self.catalog.tables[name], key, column)
            for name, key in (("place", "place_id"), ("span", "exam"))
            for part in self.parts
            for column in part.columns
            if column.name.endswith(f".{key}") and (part.inner or left)
        ]
        if not options:
            return None
        table, key, column = self.rng.choice(options)
        text, columns = self.source(table, alias, nullable=left)
        self.parts.append(Part(alias, table, columns, inner=False))
        self.kinds.add("left public" if left else "public")
        return f"{'LEFT ' * left}JOIN {text} ON {alias}.{key} = {column.name}"

    # -- the question

    def question(self) -> Joined:
        rng = self.rng
        texts = [self.first()]
        for alias in ALIASES[1 : rng.choice([1, 2, 2, 2, 3, 3, 4])]:
            text = self.another(alias)
            if text is not None:
                texts.append(text)
        columns = [column for part in self.parts for column in part.columns]
        grammar = ColumnGrammar(rng, self.catalog, columns, self.parts[0].table, "a", self.parts)
        where = list(self.where)
        where += [
            grammar.pin(c).sql for c in rng.sample(grammar.told, min(len(grammar.told), rng.choice([0, 1, 1, 2])))
        ]
        where += [grammar.condition(1).sql for _ in range(rng.choice([0, 0, 1]))]
        keys = [self.key(grammar) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
        outputs = [self.output(grammar) for _ in range(rng.choice([1, 1, 2]))]
        selected = [f"{key} AS k{i}" for i, key in enumerate(keys)] + [f"{o} AS o{i}" for i, o in enumerate(outputs)]
        text = f"SELECT {', '.join(selected)} FROM {' '.join(texts).replace(' , ', ', ')}"
        if self.ctes:
            text = f"WITH {', '.join(self.ctes)} {text}"
        if where:
            text += f" WHERE {' AND '.join(f'({part})' for part in where)}"
        if keys:
            text += f" GROUP BY {', '.join(str(i + 1) for i in range(len(keys)))}"
        cohorts = self.catalog.cohorts
        if rng.random() < 0.3:
            cohorts = tuple(sorted(rng.sample(cohorts, rng.randint(1, len(cohorts)))))
        return Joined(text, cohorts, frozenset(self.kinds) or frozenset({"one table"}))

    def key(self, grammar: ColumnGrammar) -> str:
        """A GROUP BY column or expression."""
        rng = self.rng
        if grammar.listed and rng.random() < 0.5:
            return rng.choice(grammar.listed).name
        self.kinds.add("key expression")
        short = [c for c in grammar.columns if c.type == tree.INTEGER and (c.values is not None or _narrow(c))]
        listed = [c for c in grammar.listed if c.type != tree.INTEGER] or grammar.listed or grammar.columns
        told = [column for column in grammar.told if column.values is not None]
        if told and rng.random() < 0.4:
            return grammar.pin(rng.choice(told)).sql
        match rng.randrange(7):
            case 0 if short:
                return f"{rng.choice(short).name} + {rng.choice([1, 2])}"
            case 1 if short:
                return f"{rng.choice(short).name} * {rng.choice([2, 0, -1])}"
            case 2 if len(short) > 1:
                one, two = rng.sample(short, 2)
                return f"{one.name} - {two.name}"
            case 3:
                return f"CASE WHEN {grammar.atom().sql} THEN 'x' WHEN {grammar.atom().sql} THEN 'y' END"
            case 4:
                column = rng.choice(listed)
                return f"COALESCE(NULLIF({column.name}, {grammar.value(column).sql}), {column.name})"
            case 5 if short:
                return f"CAST({rng.choice(short).name} AS DECIMAL(9, 2)) > {rng.choice([1, 2, 2025])}"
            case _:
                return grammar.condition(1).sql

    def output(self, grammar: ColumnGrammar) -> str:
        """An aggregate, or one that names a student."""
        rng = self.rng
        private = [part for part in self.parts if not part.table.public]
        if rng.random() < 0.3:
            self.kinds.add("students")
            part = rng.choice(private)
            return f"COUNT({rng.choice(['DISTINCT ', 'DISTINCT ', ''])}{part.alias}.{self.owner})"
        return Output.sql.fget(grammar.output())  # type: ignore[attr-defined]


class ColumnGrammar(Grammar):
    """The grammar over columns of several relations."""

    def __init__(
        self,
        rng: random.Random,
        catalog: Catalog,
        columns: Sequence[Column],
        table: Table,
        alias: str,
        parts: Sequence[Part] = (),
    ) -> None:
        super().__init__(rng, catalog, table)
        self.columns = list(columns)
        self.by_kind = {"number": [], "boolean": [], "text": []}
        for column in self.columns:
            self.by_kind[column_node(column).kind].append(column)
        for kind, spare in (("number", tree.INTEGER), ("boolean", tree.BOOLEAN)):
            if not self.by_kind[kind]:
                self.by_kind[kind] = [Column("1" if spare == tree.INTEGER else "TRUE", spare, low=1, high=1)]
        tables = [(part.alias, part.table) for part in parts] or [(alias, table)]
        told = {
            f"{name}.{part}"
            for name, of in tables
            for key in (*of.unique, *(cap.per for cap in of.caps))
            for part in key
        }
        self.told = [column for column in self.columns if column.name in told]
        self.listed = [column for column in self.columns if column.values is not None]
        self.presences = [
            f"{part.alias}.{catalog.owner}" for part in parts if not part.inner and not part.table.public
        ]

    def atom(self, depth: int = 0) -> Node:
        """A condition on one column, or whether a right side matched."""
        if self.presences and self.rng.random() < 0.2:
            how = self.rng.choice(["IS NULL", "IS NOT NULL"])
            return Node("boolean", f"({self.rng.choice(self.presences)} {how})")
        if not self.columns:
            return literal(True)  # noqa: FBT003 - the constant
        return super().atom(depth)


def _narrow(column: Column) -> bool:
    return column.low is not None and column.high is not None and column.high - column.low < 30


def any_joined(rng: random.Random, catalog: Catalog) -> Joined:
    """A random question over several relations of a catalog."""
    return Joiner(rng, catalog).question()
