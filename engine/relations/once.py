"""Conditions on subqueries: EXISTS, and IN over a SELECT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from engine import tree
from engine.expressions import Named, Scope, comparison, convert
from engine.relations.base import Base, Room, Shape
from engine.relations.ctes import Cte, steps_of
from engine.source import span_of
from engine.tree import Left

if TYPE_CHECKING:
    from collections.abc import Mapping


class Once(Base):
    """Reads subqueries that only tell whether some row of them matches."""

    __slots__ = ()

    def once(self, room: Room, scope: Scope, node: exp.Expr, ctes: Mapping[str, Cte]) -> tree.Expr:
        """EXISTS, or IN over a subquery: whether some row of the right side matches, as a column of its own."""
        source = self.source
        listed = type(node) is exp.In
        inside = Room(right=True)
        if listed:
            wanted, query = source.consume(node, "this", "query")
        else:
            (query,) = source.consume(node, "this")
        while isinstance(query, exp.Subquery | exp.Paren):
            (query,) = source.consume(query, "this")
        if not isinstance(query, exp.Query):
            raise source.refusal("syntax", "A subquery is needed here.", node, accepted="IN (SELECT … FROM …)")
        shape: Shape = []
        if isinstance(query, exp.Select) and not steps_of(query) and query.args.get("from_") is not None:
            self.no_clauses(query, query)
            expressions, *_ = source.consume(query, "expressions", "from_", "joins", "where")
            within = self.select(inside, query, ctes, outer=scope)
            if listed:
                shape = list(self.projected(within, expressions or ()))
        else:
            self.not_outward(scope, query)
            shape, _ = self.shape(inside, query, ctes, node)
        compared = self.compared(inside, scope, node, wanted, shape) if listed else []
        return self.matched(room, inside, node, compared)

    def not_outward(self, scope: Scope, query: exp.Query) -> None:
        """Refuse a subquery made in steps that names what stands outside it."""
        own = {part.alias_or_name.lower() for part in query.find_all(exp.Table, exp.Subquery)}
        outside = {named.name for named in scope.relations} - own - {""}
        for column in query.find_all(exp.Column):
            if column.table.lower() in outside:
                owner = self.catalog.owner
                raise self.source.refusal(
                    "unsupported",
                    "A subquery with GROUP BY, DISTINCT, a window or UNION cannot name what stands outside it.",
                    column,
                    accepted=f"{owner} IN (SELECT {owner} FROM … GROUP BY {owner} HAVING …)",
                )

    def compared(self, inside: Room, scope: Scope, node: exp.Expr, wanted: exp.Expr, shape: Shape) -> list[tree.Expr]:
        """The comparisons of IN; that of owners ties the subquery to what it stands in."""
        source = self.source
        while isinstance(wanted, exp.Paren):
            (wanted,) = source.consume(wanted, "this")
        parts = source.consume(wanted, "expressions")[0] or [] if isinstance(wanted, exp.Tuple) else [wanted]
        if len(parts) != len(shape):
            raise source.refusal(
                "syntax", "IN compares with a subquery of other columns.", node, accepted=f"{len(parts)} columns"
            )
        found = []
        for part, (_, expression) in zip(parts, shape, strict=True):
            carrier = scope.carrier(part)
            if carrier is not None and carrier.presence is not None:
                scope.column(part.unnest())
            if carrier is not None and isinstance(expression, Named):
                if expression.presence is not None:
                    raise self.left_owner(node)
                inside.tied = True
            elif carrier is not None or isinstance(expression, Named):
                raise source.refusal(
                    "owner_exposed",
                    f"{self.catalog.owner} can only be compared with {self.catalog.owner}.",
                    node,
                    accepted=f"{self.catalog.owner} IN (SELECT {self.catalog.owner} FROM …)",
                )
            else:
                found.append(comparison(scope, "=", convert(scope, part), expression, node))
        return found

    def matched(self, room: Room, inside: Room, node: exp.Expr, compared: list[tree.Expr]) -> tree.Expr:
        """The column that tells whether a row of a subquery matches."""
        private = any(not self.catalog.is_public(scan) for scan in inside.scans)
        if private and not inside.tied:
            raise self.source.refusal(
                "crosses_students",
                "This subquery is not tied to the student: rows of others would decide.",
                node,
                accepted=f"x.{self.catalog.owner} = y.{self.catalog.owner} AND … in its WHERE",
            )
        own = self.inside_names(inside)
        within = [c for c in inside.conjuncts if tree.columns_of(c) <= own]
        on = [*(c for c in inside.conjuncts if not tree.columns_of(c) <= own), *compared]
        if not frozenset().union(*map(tree.columns_of, on)) <= own | self.inside_names(room):
            raise self.source.refusal(
                "unsupported",
                "A subquery can use names of the SELECT it stands in, and not of one further out.",
                node,
                accepted="a join in the subquery",
            )
        columns = {
            part.name: part
            for conjunct in on
            for part in tree.walk(conjunct)
            if isinstance(part, tree.Column) and part.name in own
        }
        first = inside.scans[0]
        presence = f"{first.name}.found"
        while presence in own:
            presence += "_"
        left = Left(
            relation=inside.relation,
            where=tree.conjuncts(within),
            on=tree.conjuncts(on),
            columns=tuple(sorted(columns.items())),
            owned=private,
            presence=presence,
            once=True,
            never_null=tuple(compared),
            span=span_of(node),
        )
        room.lefts.append(left)
        return tree.Column(presence, tree.BOOLEAN)
