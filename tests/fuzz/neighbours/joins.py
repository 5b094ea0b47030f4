"""Random questions over several relations: joins, LEFT JOINs, subqueries, CTEs, released tables.

A question is kept in pieces, so that a failing one can be made smaller.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine import tree
from engine.catalog import Column
from engine.statistic import NO_LIMITS, Limits

from .groups import ColumnGrammar
from .questions import Grammar

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from engine.catalog import Catalog, Table

PLAIN_TYPES = (tree.INTEGER, tree.BOOLEAN, tree.TEXT)
"""Types that the vault stores as they are, so that the researcher's own text can be run on it."""


@dataclass(frozen=True)
class Piece:
    """One relation in FROM: how it is joined, its text, and the conjuncts of its ON or the columns of its USING."""

    verb: Literal["", "JOIN", "CROSS JOIN", ",", "LEFT JOIN"]
    text: str
    alias: str
    on: tuple[str, ...] = ()
    using: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The text."""
        head = f"{self.verb} {self.text} AS {self.alias}".strip()
        if self.using:
            return f"{head} USING ({', '.join(self.using)})"
        return f"{head} ON {' AND '.join(self.on)}" if self.on else head


@dataclass(frozen=True)
class Joined:
    """A question over several relations.

    Attributes:
        cohorts: those it is asked of.
        kinds: which kinds of joins and keys it has.
        released: how it is asked: as it is, with HAVING, or in a CTE whose answer is selected from.
        plain: whether the vault itself can be asked its text.
        limits: how much of a student is asked for.
    """

    ctes: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]
    where: tuple[str, ...]
    keys: tuple[str, ...]
    outputs: tuple[str, ...]
    cohorts: tuple[int, ...]
    kinds: frozenset[str] = frozenset()
    released: Literal["", "having", "cte"] = ""
    plain: bool = False
    limits: Limits = NO_LIMITS

    @property
    def sql(self) -> str:
        """The text."""
        ctes = [f"{name} AS ({text})" for name, text in self.ctes if self.reads(name)]
        text = self.question + (" HAVING COUNT(*) > -1000000" if self.released == "having" else "")
        if self.released == "cte":
            names = [f"k{i}" for i in range(len(self.keys))] + [f"o{i}" for i in range(len(self.outputs))]
            ctes.append(f"r AS ({text})")
            text = f"SELECT {', '.join(names)} FROM r WHERE o0 > -1000000"
        return f"WITH {', '.join(ctes)} {text}" if ctes else text

    @property
    def question(self) -> str:
        """The aggregate SELECT."""
        selected = [f"{key} AS k{i}" for i, key in enumerate(self.keys)]
        selected += [f"{output} AS o{i}" for i, output in enumerate(self.outputs)]
        text = f"SELECT {', '.join(selected)} FROM {' '.join(piece.sql for piece in self.pieces)}"
        if self.where:
            text += f" WHERE {' AND '.join(f'({part})' for part in self.where)}"
        return text + (f" GROUP BY {', '.join(str(i + 1) for i in range(len(self.keys)))}" if self.keys else "")

    def reads(self, name: str) -> bool:
        """Whether a CTE is used: by the question, or by a later one that is."""
        later = dict(self.ctes[[cte for cte, _ in self.ctes].index(name) + 1 :])
        return f"{name} AS " in self.question or any(f"{name} AS " in t and self.reads(n) for n, t in later.items())


@dataclass
class Part:
    """One relation in FROM.

    Attributes:
        columns: under their names in the question.
        inner: whether its owner may be joined on.
        keys: columns of unique keys of a public table.
        public: whether it carries no owner.
    """

    alias: str
    text: str
    columns: list[Column]
    inner: bool
    public: bool


class Joiner:
    """Makes FROM and WHERE."""

    subqueries = 0.25
    """The share of private relations that are subqueries."""

    def __init__(
        self, rng: random.Random, catalog: Catalog, *, plain: bool, depth: int = 1, within: Joiner | None = None
    ) -> None:
        self.rng, self.catalog, self.owner, self.plain, self.depth = rng, catalog, catalog.owner, plain, depth
        self.parts: list[Part] = []
        self.where: list[str] = []
        self.kinds: set[str] = set() if within is None else within.kinds
        self.ctes: dict[str, tuple[str, list[Column]]] = {} if within is None else within.ctes
        self.told: set[str] = set() if within is None else within.told
        self.base: dict[str, str] = {} if within is None else within.base
        self.aliases = "abcde" if within is None else [f"{letter}{depth}" for letter in "xyz"]

    def grammar(self, columns: Sequence[Column]) -> ColumnGrammar:
        """The grammar over some columns; the owners of right sides tell whether a row matched."""
        presences = [f"{part.alias}.{self.owner}" for part in self.parts if not part.inner and not part.public]
        return ColumnGrammar(self.rng, self.catalog, columns, self.told, presences)

    # -- relations

    def named(self, alias: str, columns: Sequence[Column], table: Table | None, *, nullable: bool) -> list[Column]:
        """The columns of a relation as they are named here."""
        told = set()
        if table is not None:
            told = {part for key in (*table.unique, *(cap.per for cap in table.caps)) for part in key}
        found = []
        for column in columns:
            name = f"{alias}.{column.name}"
            self.base[name] = self.base.get(column.name, column.name)
            self.told |= {name} if column.name in told or column.name in self.told else set()
            maybe = column.nullable or nullable
            found.append(dataclasses.replace(column, name=name, nullable=maybe, default=None))
        return found

    def usable(self, table: Table) -> list[Column]:
        return [c for c in table.columns.values() if c.on and (not self.plain or c.type in PLAIN_TYPES)]

    def source(self, alias: str, *, nullable: bool) -> tuple[str, list[Column], Table | None]:
        """A private table, a subquery, or a CTE, new or used again, and its columns as they are named here."""
        rng = self.rng
        dice = rng.random()
        if self.ctes and dice < 0.15:
            name = rng.choice(sorted(self.ctes))
            self.kinds |= {"CTE twice"}
            return name, self.named(alias, self.ctes[name][1], None, nullable=nullable), None
        if dice < 0.15 + self.subqueries and self.depth:
            text, columns = self.derived()
            self.kinds |= {"subquery"}
            if rng.random() < 0.4:
                name = f"cte{len(self.ctes)}" if rng.random() < 0.8 else rng.choice(["person", "visit", "place"])
                if name not in self.ctes and f"FROM {name} " not in text:
                    self.ctes[name] = text, columns
                    self.kinds |= {"CTE"}
                    return name, self.named(alias, columns, None, nullable=nullable), None
            return f"({text})", self.named(alias, columns, None, nullable=nullable), None
        tables = [table for table in self.catalog.private_tables if table.name not in self.ctes]
        table = rng.choice(tables or self.catalog.private_tables)
        return table.name, self.named(alias, self.usable(table), table, nullable=nullable), table

    def derived(self) -> tuple[str, list[Column]]:
        """A subquery, and its columns by their own names."""
        return self.joined_subquery() if self.rng.random() < 0.5 else self.subquery()

    def subquery(self) -> tuple[str, list[Column]]:
        """Rows of one table, with a column that is computed."""
        rng = self.rng
        table = rng.choice(self.catalog.private_tables)
        columns = self.usable(table)
        inner = Grammar(rng, self.catalog, table)
        extra = ""
        if rng.random() < 0.5 and not self.plain:
            made = rng.choice([inner.known(1), inner.condition(1)])
            extra = f", {made.sql} AS made"
            kinds = {"boolean": tree.BOOLEAN}
            of = kinds.get(made.kind, tree.DOUBLE if made.scale is None else tree.Type("exact", made.scale))
            most = None if made.kind == "boolean" else made.most
            low = None if most is None else -most
            columns = [*columns, Column("made", of, low=low, high=most, nullable=True)]
        elif rng.random() < 0.4:
            extra = ", 7 AS made"
            columns = [*columns, Column("made", tree.INTEGER, values=(7,), low=7, high=7)]
        where = (
            "" if self.plain and rng.random() < 0.5 else f" WHERE {self.grammar(columns_of(table, self)).atom().sql}"
        )
        self.told |= {part for key in table.unique for part in key if part != self.owner}
        return f"SELECT *{extra} FROM {table.name}{where} ".rstrip() + " ", columns

    def joined_subquery(self) -> tuple[str, list[Column]]:
        """Rows of a join, with some of its columns under new names."""
        rng = self.rng
        inner = type(self)(rng, self.catalog, plain=self.plain, depth=self.depth - 1, within=self)
        pieces = inner.pieces(rng.choice([2, 2, 3]))
        columns = [column for part in inner.parts for column in part.columns]
        exported, selected = [], [f"{inner.owner_part().alias}.{self.owner}"]
        for i, column in enumerate(rng.sample(columns, min(len(columns), 8))):
            name = f"c{self.depth}{i}" if rng.random() < 0.95 else f'"c{i}:exact0 é.{i}"'
            selected.append(f"{column.name} AS {name}")
            self.base[name] = self.base.get(column.name, column.name)
            self.told |= {name} if column.name in self.told else set()
            exported.append(dataclasses.replace(column, name=name))
        where = f" WHERE {' AND '.join(inner.where)}" if inner.where else ""
        self.kinds |= {"joined subquery"}
        return f"SELECT {', '.join(selected)} FROM {' '.join(p.sql for p in pieces)}{where} ", exported

    def owner_part(self) -> Part:
        """A relation whose owner is every row's."""
        return self.rng.choice([part for part in self.parts if part.inner and not part.public])

    # -- joins

    def pieces(self, size: int) -> list[Piece]:
        """FROM with about so many relations."""
        rng = self.rng
        text, columns, _ = self.source(self.aliases[0], nullable=False)
        self.parts.append(Part(self.aliases[0], text, columns, inner=True, public=False))
        found = [Piece("", text, self.aliases[0])]
        for alias in self.aliases[1:size]:
            piece = self.lookup(alias) if rng.random() < 0.3 else self.another(alias)
            if piece is not None:
                found.append(piece)
        if len(found) > 1 and found[1].verb in ("JOIN", ",") and not found[1].using and rng.random() < 0.25:
            one, two = found[:2]  # the first two the other way round
            found[:2] = [dataclasses.replace(two, verb="", on=()), dataclasses.replace(one, verb=two.verb, on=two.on)]
        return found

    def another(self, alias: str) -> Piece:
        """One private relation more."""
        rng = self.rng
        left = rng.random() < 0.4
        mate = self.owner_part()
        text, columns, _ = self.source(alias, nullable=left)
        new = Part(alias, text, columns, inner=not left, public=False)
        self.kinds |= {"left private" if left else "self-join" if text == mate.text else "inner"}
        if len(self.parts) == 1 and rng.random() < 0.25:
            piece = self.using(new, text, left=left)
            self.parts.append(new)
            return piece
        on = [f"{alias}.{self.owner} = {mate.alias}.{self.owner}", *self.equalities(new, 3 if left else 2)]
        if rng.random() < 0.4:
            on.append(self.grammar(columns).atom().sql)
        if left and rng.random() < 0.3:
            ours = self.grammar(mate.columns)
            column = rng.choice([c for c in ours.told if c.values is not None] or [None])
            on.append(ours.atom().sql if column is None else f"{column.name} = {ours.value(column).sql}")
        rng.shuffle(on)
        self.kinds |= {"owner and key"} if len(on) > 1 else set()
        self.parts.append(new)
        if left:
            return Piece("LEFT JOIN", text, alias, tuple(on))
        if rng.random() < 0.15:
            self.where += on
            return Piece(rng.choice([",", "CROSS JOIN"]), text, alias)  # type: ignore[arg-type]
        kept = [c for c in on if self.owner in c or rng.random() < 0.8]
        self.where += [c for c in on if c not in kept]
        return Piece("JOIN", text, alias, tuple(kept))

    def using(self, new: Part, text: str, *, left: bool) -> Piece:
        """A join on the owner and columns of one name."""
        others = {column.name.partition(".")[2] for part in self.parts for column in part.columns}
        mine = {column.name.partition(".")[2] for column in new.columns} & others
        some = self.rng.sample(sorted(mine), min(len(mine), self.rng.choice([0, 1, 1, 2])))
        self.kinds |= {"USING"}
        return Piece("LEFT JOIN" if left else "JOIN", text, new.alias, (), (self.owner, *some))

    def equalities(self, new: Part, most: int) -> list[str]:
        """Equalities of columns of like type with those before."""
        rng, found = self.rng, []
        pairs = [
            (mine, theirs)
            for part in self.parts
            for theirs in part.columns
            for mine in new.columns
            if mine.type == theirs.type and mine.type != tree.DOUBLE and _may_meet(mine, theirs)
        ]
        alike = [pair for pair in pairs if self.base[pair[0].name] == self.base[pair[1].name]]
        for _ in range(rng.choice(range(most + 1)) if pairs else 0):
            mine, theirs = rng.choice(alike if alike and rng.random() < 0.8 else pairs)
            right = theirs.name
            if mine.type == tree.INTEGER and rng.random() < 0.25 and theirs.low is not None:
                right = f"{right} + {rng.choice([1, -1])}"
            equal = f"{mine.name} = {right}" if rng.random() < 0.5 else f"{right} = {mine.name}"
            if rng.random() < 0.15:
                equal = f"({equal} OR {rng.choice(pairs)[0].name} IS NOT NULL)"
            found.append(equal)
        return found

    def lookup(self, alias: str) -> Piece | None:
        """A public table on a key of it, or on another column, which is refused; None where nothing fits."""
        rng = self.rng
        left = rng.random() < 0.45
        table = rng.choice([t for t in self.catalog.public_tables if any(len(key) == 1 for key in t.unique)])
        keys = [key[0] for key in table.unique if len(key) == 1]
        key = rng.choice(keys) if rng.random() < 0.92 else rng.choice(sorted(table.columns))
        columns = self.named(alias, self.usable(table), None, nullable=left)
        mine = table.columns[key]
        others = [c for part in self.parts for c in part.columns if c.type == mine.type and _may_meet(c, mine)]
        alike = [c for c in others if self.base[c.name] == key]
        if not others:
            return None
        other = rng.choice(alike if alike and rng.random() < 0.85 else others)
        new = Part(alias, table.name, columns, inner=not left, public=True)
        on = [f"{alias}.{key} = {other.name}"]
        on += self.equalities(new, 1) if rng.random() < 0.2 else []
        on += [self.grammar(columns).atom().sql] if rng.random() < 0.3 else []
        self.parts.append(new)
        self.kinds |= {"left public" if left else "public"}
        text = table.name
        if rng.random() < 0.2:
            text = f"(SELECT * FROM {table.name} WHERE {key} IS NOT NULL)"
        return Piece("LEFT JOIN" if left else "JOIN", text, alias, tuple(on))


def _may_meet(one: Column, other: Column) -> bool:
    return one.values is None or other.values is None or not set(one.values).isdisjoint(other.values)


def columns_of(table: Table, joiner: Joiner) -> list[Column]:
    """The columns of a table under their own names, those of its keys told apart."""
    for column in table.columns:
        joiner.base.setdefault(column, column)
    return joiner.usable(table)


def any_joined(rng: random.Random, catalog: Catalog, *, plain: bool | None = None) -> Joined:
    """A random question over several relations of a catalog."""
    plain = rng.random() < 0.25 if plain is None else plain
    joiner = Joiner(rng, catalog, plain=plain)
    return asked_of(joiner, joiner.pieces(rng.choice([1, 2, 2, 2, 3, 3, 4])))


def asked_of(joiner: Joiner, pieces: list[Piece]) -> Joined:
    """A random question about what was joined."""
    rng, catalog, plain = joiner.rng, joiner.catalog, joiner.plain
    grammar = joiner.grammar([column for part in joiner.parts for column in part.columns])
    where = list(joiner.where)
    where += [grammar.pin(c).sql for c in rng.sample(grammar.told, min(len(grammar.told), rng.choice([0, 1, 1, 2])))]
    where += [(grammar.atom() if plain else grammar.condition(1)).sql for _ in range(rng.choice([0, 0, 1]))]
    keys = grammar.keys_of(rng.choice([0, 0, 1, 1, 2]), plain=plain)
    owners = [f"{part.alias}.{catalog.owner}" for part in joiner.parts if not part.public]
    outputs = [grammar.asked(owners, plain=plain) for _ in range(1 if plain else rng.choice([1, 1, 2]))]
    joiner.kinds |= {"key expression"} if any(not key.replace(".", "").isidentifier() for key in keys) else set()
    joiner.kinds |= {"students"} if any("DISTINCT" in output for output in outputs) else set()
    released = rng.choice(["", "", "", "", "having", "cte"])
    joiner.kinds |= {"released"} if released else set()
    cohorts = catalog.cohorts
    if rng.random() < 0.3 and not plain:
        cohorts = tuple(sorted(rng.sample(cohorts, rng.randint(1, len(cohorts)))))
    return Joined(
        ctes=tuple((name, text) for name, (text, _) in joiner.ctes.items()),
        pieces=tuple(pieces),
        where=tuple(where),
        keys=tuple(keys),
        outputs=tuple(outputs),
        cohorts=cohorts,
        kinds=frozenset(joiner.kinds) or frozenset({"one table"}),
        released=released,  # type: ignore[arg-type]
        plain=plain,
    )
