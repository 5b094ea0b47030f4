"""The names an expression may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from engine.source import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import tree
    from engine.source import Source


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
