"""The names an expression may use."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from engine import tree
from engine.source import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.catalog import Catalog, Table
    from engine.ranges import Range
    from engine.refusals import QueryRefused
    from engine.source import Source


_TYPES = {
    "BIGINT",
    "BIT",
    "BOOLEAN",
    "CHAR",
    "DATE",
    "DECIMAL",
    "DOUBLE",
    "FLOAT",
    "INT",
    "INTEGER",
    "NUMERIC",
    "VARCHAR",
}

WRITTEN_MAX = 10_000
"""Most nodes of all that a question's names stand for: each CTE may double what the one before it makes."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """What an expression is worth for each value of the one column it reads.

    Attributes:
        values: by the column's value; None is NULL.
    """

    column: tree.Column
    values: Mapping[tree.Scalar, tree.Scalar]


@dataclass(frozen=True, slots=True)
class Named:
    """One relation as FROM names it.

    Attributes:
        name: by which it may be qualified, in small letters; empty for none.
        columns: what each of its columns stands for, by lower-case name.
        owners: lower-case names under which it carries the owner.
        person: what its rows of one student are joined by: the private tables that carry one owner share it.
        presence: of the right side of a LEFT JOIN its owner, which is NULL where a row found no match.
        off: names of declared columns that are switched off.
    """

    name: str
    columns: Mapping[str, tree.Expr]
    owners: frozenset[str] = frozenset()
    person: str | None = None
    presence: tree.Column | None = None
    off: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scope:
    """The names an expression may use.

    Attributes:
        relations: what stands in FROM.
        owner: the owner column's name, which may not be used.
        shared: columns that USING made one, by lower-case name.
        shared_owner: the relation whose owner USING made the owner of all.
        aliases: of a SELECT, what its columns stand for that are converted already; a relation's column goes first.
        outer: what a correlated subquery sees besides its own names.
        stage: makes a column of an aggregate or a window within each student; None for what it does not accept.
        subquery: makes a condition of EXISTS and of IN over a subquery.
        written: under `nodes` how much names have stood for so far, in the whole question, and under `steps` how much
            work functions of texts have been.
        known: what each column can be, by the name it has in the tree: at least all that it is on any row of the
            question; a column of which nothing is known is absent.
        look_ups: the look-ups made so far, by what they became.
        catalog: tells where else a name is that is not here; None for a condition of the catalog itself.
    """

    source: Source
    relations: Sequence[Named]
    owner: str
    shared: Mapping[str, tree.Expr] = field(default_factory=dict)
    shared_owner: Named | None = None
    aliases: Mapping[str, tree.Expr] = field(default_factory=dict)
    outer: Scope | None = None
    stage: Callable[[Scope, exp.Expr], tree.Expr | None] | None = None
    subquery: Callable[[Scope, exp.Expr], tree.Expr] | None = None
    written: Counter[str] = field(default_factory=Counter)
    known: Mapping[str, Range] = field(default_factory=dict)
    look_ups: dict[tree.Expr, LookUp] = field(default_factory=dict)
    catalog: Catalog | None = None

    def column(self, node: exp.Column) -> tree.Expr:
        """What a column's name stands for.

        Raises:
            QueryRefused: there is no such column, or more than one, or it is the owner or switched off.
        """
        if self.outer is not None and not self._knows(node):
            return self.outer.column(node)
        name, within = self._within(node)
        carrier = self.carrier(node)
        if carrier is not None and carrier.presence is not None:
            raise self.source.refusal(
                "owner_exposed",
                f"{name} of {carrier.name or 'the right side'} is there only to tell whether a row found a match.",
                node,
                accepted=f"IS NULL or IS NOT NULL on it, or {self.owner} of the left side",
            )
        if carrier is not None or (name == self.owner.lower() and name):
            raise self.source.refusal(
                "owner_exposed",
                f"{self.owner} names a student: it may not be selected, filtered or grouped by.",
                node,
                accepted="a question about groups of students, such as COUNT(*) with GROUP BY on a listed column",
            )
        if name in self.shared and not node.table:
            return self._written_out(self.shared[name], node)
        found = {expr: None for named in within if (expr := named.columns.get(name)) is not None}
        if len(found) == 1:
            return self._written_out(next(iter(found)), node)
        if not found and name in self.aliases and not node.table:
            return self._written_out(self.aliases[name], node)
        raise self._unknown(node, name, within, ambiguous=bool(found))

    def _written_out(self, expr: tree.Expr, node: exp.Column) -> tree.Expr:
        """What a name stands for, refused where all names together stand for too much."""
        if not isinstance(expr, tree.Column):
            self.written["nodes"] += sum(1 for _ in itertools.islice(tree.walk(expr), WRITTEN_MAX))
            if self.written["nodes"] > WRITTEN_MAX:
                raise self.source.refusal(
                    "too_large",
                    "This is too much once it is written out.",
                    node,
                    accepted="fewer levels of subqueries",
                )
        return expr

    def carrier(self, node: exp.Expr) -> Named | None:
        """The relation whose owner a name stands for; None where it is no owner's name."""
        while isinstance(node, exp.Paren):
            (node,) = self.source.consume(node, "this")
        if not isinstance(node, exp.Column):
            return None
        if self.outer is not None and not self._knows(node):
            return self.outer.carrier(node)
        name, within = self._within(node)
        if name == self.owner.lower() and self.shared_owner is not None and not node.table:
            return self.shared_owner
        found = [named for named in within if name in named.owners]
        if len(found) > 1:
            raise self._unknown(node, name, found, ambiguous=True)
        return found[0] if found else None

    @property
    def names(self) -> frozenset[str]:
        """Lower-case names of all columns that may be named here, however they may be used."""
        return frozenset(name for named in self.relations for name in (*named.columns, *named.owners, *named.off))

    def step(self, node: exp.Expr) -> tree.Expr | None:
        """What a node stands for that is made of more rows than one; None for any other node."""
        if self.subquery is not None and (
            type(node) is exp.Exists or (type(node) is exp.In and node.args.get("query") is not None)
        ):
            return self.subquery(self, node)
        return None if self.stage is None else self.stage(self, node)

    def _knows(self, node: exp.Column) -> bool:
        """Whether a name is one of this scope's own, however it may be used."""
        if not isinstance(node.this, exp.Identifier):
            return True
        name, table = node.name.lower(), node.table.lower()
        within = [named for named in self.relations if not table or named.name == table]
        return bool(table and within) or any(name in {*named.columns, *named.owners, *named.off} for named in within)

    def _within(self, node: exp.Column) -> tuple[str, list[Named]]:
        """A column's name, and the relations it may be in."""
        this, table = self.source.consume(node, "this", "table")
        if not isinstance(this, exp.Identifier):
            raise self.source.refusal(
                "unsupported", "A row cannot be named as a whole.", node, accepted="a column name"
            )
        if table is None:
            return this.name.lower(), list(self.relations)
        within = [named for named in self.relations if named.name == table.name.lower()]
        if not within:
            raise self.source.refusal(
                "unknown_name",
                f"Nothing here is called {table.name}.",
                node,
                accepted=nearest(table.name, (named.name for named in self.relations if named.name)),
            )
        return this.name.lower(), within

    def _unknown(self, node: exp.Column, name: str, within: Sequence[Named], *, ambiguous: bool) -> QueryRefused:
        known = {column for named in within for column in named.columns}
        if any(name in named.off for named in within) and not ambiguous:
            return self.source.refusal(
                "column_off",
                f"{node.name} is sensitive and switched off in this district.",
                node,
                accepted=f"one of {', '.join(sorted(known))}",
            )
        if ambiguous:
            several = sorted(f"{named.name}.{name}" for named in within if name in {*named.columns, *named.owners})
            return self.source.refusal(
                "unknown_name",
                f"{node.name} could be several columns here.",
                node,
                accepted=f"one of {', '.join(several)}",
            )
        message, accepted = f"There is no column {node.name} here.", nearest(name, known)
        valued = self._valued(node, within)
        beside = [other.name for other in self.relations if other.name and name in other.columns]
        elsewhere = self._elsewhere(name)
        if valued is not None:
            accepted = f"'{node.name}' in single quotes, which is a value of {valued}"
        elif node.name.upper() in _TYPES and not node.table:
            message, accepted = f"{node.name} is a type.", f"CAST(… AS {node.name}), the type behind what is cast"
        elif node.table and beside:
            message = f"There is no column {node.name} in {node.table}; {beside[0]} has it."
            accepted = f"{beside[0]}.{node.name}"
        elif elsewhere:
            names = [table.name for table in elsewhere]
            message = f"{message[:-1]}; {' and '.join(names)} {'has' if len(names) == 1 else 'have'} it."
            accepted = self._joined(elsewhere[0])
        elif node.this.quoted:
            accepted += f"; a text stands in single quotes: '{node.name}'"
        return self.source.refusal("unknown_name", message, node, accepted=accepted)

    def _valued(self, node: exp.Column, within: Sequence[Named]) -> str | None:
        """The column one of whose values an unknown name is, where there is one."""
        if node.table:
            return None
        for named in within:
            for name, expr in named.columns.items():
                found = self.known.get(expr.name) if isinstance(expr, tree.Column) else None
                if found is not None and found.values is not None and node.name in found.values:
                    return name
        return None

    def _elsewhere(self, name: str) -> list[Table]:
        """The tables that have a column of this name."""
        tables = () if self.catalog is None else self.catalog.tables.values()
        return [table for table in tables if table.on and name in table.columns and table.columns[name].on]

    def _joined(self, table: Table) -> str:
        """How a table is joined with what is here: on what it is unique on, as far as that is here too."""
        here = {name for named in self.relations for name in (*named.columns, *named.owners)}
        keys = [name for key in table.unique[:1] for name in key if name.lower() in here]
        whole = bool(keys) and (not table.public or len(keys) == len(table.unique[0]))
        return f"JOIN {table.name} USING ({', '.join(keys)})" if whole else f"a join with {table.name}"
