"""Random GROUP BY expressions and aggregates over the columns of several relations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import tree
from engine.catalog import Column

from .questions import Grammar, Node, column_node, literal

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Sequence

    from engine.catalog import Catalog

NARROW = 30
"""Bounds without a list that are near enough to be listed."""


class ColumnGrammar(Grammar):
    """The grammar over columns of several relations."""

    def __init__(
        self,
        rng: random.Random,
        catalog: Catalog,
        columns: Sequence[Column],
        told: Collection[str],
        presences: Sequence[str] = (),
    ) -> None:
        super().__init__(rng, catalog, catalog.private_tables[0])
        self.columns = list(columns)
        self.by_kind = {"number": [], "boolean": [], "text": [], "date": []}
        for column in self.columns:
            self.by_kind[column_node(column).kind].append(column)
        for kind, spare in (("number", tree.INTEGER), ("boolean", tree.BOOLEAN)):
            if not self.by_kind[kind]:
                self.by_kind[kind] = [Column("1" if spare == tree.INTEGER else "TRUE", spare, low=1, high=1)]
        self.told = [column for column in self.columns if column.name in told]
        self.listed = [column for column in self.columns if column.values is not None]
        self.listed += [column for column in self.by_kind["boolean"] if column in self.columns]
        self.presences = presences

    def atom(self, depth: int = 0) -> Node:
        """A condition on one column, or whether a right side matched."""
        if self.presences and self.rng.random() < 0.2:
            how = self.rng.choice(["IS NULL", "IS NOT NULL"])
            return Node("boolean", f"({self.rng.choice(self.presences)} {how})")
        if not self.columns:
            return literal(True)  # noqa: FBT003 - the constant
        return super().atom(depth)

    def keys_of(self, size: int, *, plain: bool) -> list[str]:
        """GROUP BY columns and expressions, some of which share columns."""
        rng = self.rng
        found: list[str] = []
        columns, listed = self.columns, self.listed
        for _ in range(size):
            key = self.key(plain=plain)
            if key in found:
                continue
            found.append(key)
            used = [column for column in columns if column.name in key]
            if used and rng.random() < 0.4:  # the next one is of the same columns
                self.listed = [column for column in used if column in listed] or listed
        self.listed = listed
        return found

    def key(self, *, plain: bool) -> str:
        """A GROUP BY column or expression."""
        rng = self.rng
        if not self.listed:
            return self.atom().sql
        if rng.random() < 0.4:
            return rng.choice(self.listed).name
        told = [column for column in self.told if column.values is not None]
        if told and rng.random() < 0.3:
            return self.pin(rng.choice(told)).sql
        return self.expression(plain=plain)

    def expression(self, *, plain: bool) -> str:  # noqa: PLR0911 - one line for each kind
        """A GROUP BY expression."""
        rng = self.rng
        short = [c for c in self.columns if c.type == tree.INTEGER and (c.values is not None or _narrow(c))]
        own = [c for c in short if c in self.listed] or short
        listed = [c for c in self.listed if c.type != tree.INTEGER] or self.listed
        one, two, three = (rng.choice(self.listed) for _ in range(3))
        match rng.randrange(10):
            case 0 if own:
                return f"{rng.choice(own).name} + {rng.choice([1, 2])}"
            case 1 if own:
                return f"{rng.choice(own).name} * {rng.choice([2, 0, -1])}"
            case 2 if len(short) > 1:
                return f"{rng.choice(own).name} {rng.choice('-+')} {rng.choice(short).name}"
            case 3:
                return f"CASE WHEN {self.pin(one).sql} THEN 'x' WHEN {self.pin(two).sql} THEN 'y' END"
            case 4:
                column = rng.choice(listed)
                return f"COALESCE(NULLIF({column.name}, {self.value(column).sql}), {column.name})"
            case 5 if own and not plain:
                return f"CAST({rng.choice(own).name} AS DECIMAL(9, 2)) > {rng.choice([1, 2, 2025])}"
            case 6:
                return f"({self.pin(one).sql} {rng.choice(['AND', 'OR'])} {self.pin(three).sql})"
            case 7:
                return f"CAST({self.pin(two).sql} AS INTEGER)"
            case 8 if own:
                column = rng.choice(own)
                return f"CASE WHEN {self.pin(one).sql} THEN {column.name} ELSE {self.value(column).sql} END"
            case _:
                return self.pin(one).sql if plain else self.condition(1).sql

    def asked(self, owners: Sequence[str], *, plain: bool) -> str:
        """An aggregate, or one that names students."""
        rng = self.rng
        if rng.random() < 0.3:
            return f"COUNT({rng.choice(['DISTINCT ', 'DISTINCT ', ''])}{rng.choice(owners)})"
        if not plain and self.columns:
            return self.output().sql
        if rng.random() < 0.3 and self.columns:
            return f"COUNT({rng.choice(self.columns).name})"
        return "COUNT(*)"


def _narrow(column: Column) -> bool:
    return column.low is not None and column.high is not None and column.high - column.low < NARROW
