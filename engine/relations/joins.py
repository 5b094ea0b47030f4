"""Inner joins and LEFT JOINs, and the conditions that tie students' rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from engine import tree
from engine.expressions import Named, Scope, comparison, condition
from engine.relations.base import Base, Room, conjunct_nodes, person_of
from engine.relations.known import nullable
from engine.source import span_of
from engine.tree import Left

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.relations.ctes import Cte

_INSTEAD = {
    "RIGHT": "LEFT JOIN with the sides exchanged",
    "FULL": "LEFT JOIN from either side as a question of its own, or the rows of both under each other by UNION ALL",
    "SEMI": "EXISTS or IN in WHERE",
    "ANTI": "NOT EXISTS or NOT IN in WHERE",
    "NATURAL": "JOIN … USING the columns' names",
}
"""What is accepted instead of a join, by the word that is written before it."""


class Joins(Base):
    """Reads joins: of students each to none but themselves."""

    __slots__ = ()

    def join(self, room: Room, scope: Scope, node: exp.Join, ctes: Mapping[str, Cte]) -> Scope:
        """Take in one JOIN; the names that may be used after it."""
        source = self.source
        names = ("this", "side", "kind", "on", "using", "method")
        this, side, kind, on, using, method = source.consume(node, *names)
        if method or side not in (None, "", "LEFT") or kind not in (None, "", "INNER", "CROSS", "OUTER"):
            raise source.refusal(
                "unsupported",
                f"{' '.join(filter(None, (method, side, kind)))} JOIN is not accepted.",
                node,
                accepted=_INSTEAD.get(str(method or side or kind), "JOIN … ON, or LEFT JOIN … ON"),
            )
        if side == "LEFT":
            return self.left_join(room, scope, node, ctes)
        named = self.part(room, this, ctes)
        self.new_name(scope, named, this)
        both = replace(scope, relations=[*scope.relations, named])
        if using:
            return self.using(room, scope, named, using)
        if on is not None:
            room.conjuncts += self.conjuncts(room, both, on)
        return both

    def new_name(self, scope: Scope, named: Named, node: exp.Expr) -> None:
        """Refuse a name that another relation has."""
        if named.name and named.name in {other.name for other in scope.relations}:
            raise self.source.refusal(
                "syntax", f"Two relations are called {named.name}.", node, accepted="an alias for one of them"
            )

    def using(self, room: Room, scope: Scope, named: Named, nodes: Sequence[exp.Identifier]) -> Scope:
        """An inner join on columns of one name."""
        shared, shared_owner = dict(scope.shared), scope.shared_owner
        for node in nodes:
            one, other = self.pair(scope, named, node)
            if isinstance(one, Named) and isinstance(other, Named):
                room.link(person_of(one), person_of(other))
                shared_owner = one
            elif not isinstance(one, Named) and not isinstance(other, Named):
                shared[node.name.lower()] = one
                room.conjuncts.append(comparison(scope, "=", one, other, node))
        relations = [*scope.relations, named]
        return replace(scope, relations=relations, shared=shared, shared_owner=shared_owner)

    def pair(self, scope: Scope, named: Named, node: exp.Identifier) -> tuple[tree.Expr | Named, tree.Expr | Named]:
        """What a column of USING is on either side."""
        column = exp.Column(this=node.copy())
        here = self.scope(named)
        carriers = scope.carrier(column), here.carrier(column)
        if carriers[0] is not None and carriers[1] is not None:
            if carriers[0].presence is not None:
                scope.column(column)
            return carriers[0], carriers[1]
        return scope.column(column), here.column(column)

    def left_join(self, room: Room, scope: Scope, node: exp.Join, ctes: Mapping[str, Cte]) -> Scope:
        """A LEFT JOIN: its right side is a room of its own, whose columns may be NULL above it."""
        this, on, using = node.args["this"], node.args.get("on"), node.args.get("using") or ()
        inside, whole = Room(right=True), scope
        scope = replace(scope, subquery=None, outer=None)  # ON sees the two sides alone
        within = self.part(inside, this, ctes)
        self.new_name(scope, within, this)
        known = {**self.known}
        above, columns = self.exposed(inside, within)
        matched = replace(above, presence=None, person=within.person)  # inside ON the right side is there
        pairs = [(identifier, *self.pair(scope, matched, identifier)) for identifier in using]
        owned = any(isinstance(one, Named) for _, one, _ in pairs)
        conjuncts = [
            comparison(scope, "=", one, other, identifier)
            for identifier, one, other in pairs
            if not isinstance(one, Named) and not isinstance(other, Named)
        ]
        both = replace(scope, relations=[*scope.relations, matched])
        for conjunct in () if on is None else conjunct_nodes(on):
            link = self.link(both, conjunct)
            if link is None:
                conjuncts.append(condition(both, conjunct))
            else:
                owned = owned or len({person in room.persons for person in link}) > 1
        if not room.persons:
            raise self.source.refusal(
                "crosses_students",
                "The left side of this LEFT JOIN has no students.",
                node,
                accepted="JOIN: groups of a public table are in the answer even where no student is in them",
            )
        shared = {identifier.name.lower(): one for identifier, one, _ in pairs if not isinstance(one, Named)}
        carriers = [one for _, one, _ in pairs if isinstance(one, Named)]
        after = replace(
            whole,
            relations=[*scope.relations, above],
            shared={**scope.shared, **shared},
            shared_owner=carriers[0] if carriers else scope.shared_owner,
        )
        if self.always_met(inside, conjuncts):
            self.known.update((name, known[name]) for name in columns if name in known)
            room.scans += inside.scans
            room.conjuncts += conjuncts
            return replace(after, relations=[*scope.relations, within])
        private = any(not self.catalog.is_public(scan) for scan in inside.scans)
        if private and (within.person is None or not owned):
            raise self.not_joined(within.name or "the right side", node)
        room.lefts.append(
            Left(
                relation=inside.relation,
                where=tree.conjuncts(inside.conjuncts),
                on=tree.conjuncts(conjuncts),
                columns=tuple(columns.items()),
                owned=private,
                presence=None if above.presence is None else above.presence.name,
                span=span_of(node),
            )
        )
        return after

    def always_met(self, inside: Room, on: Sequence[tree.Expr]) -> bool:
        """Whether every left row meets a row of a public table: then LEFT JOIN is JOIN, and its groups are fewer.

        The columns must be equal by the table's key, and the left one is always on the list of the key's values.
        """
        match inside.scans, on:
            case [tree.Scan(_, name, prefix)], [tree.Compare("=", tree.Column(one, _), tree.Column(other, _))]:
                table = self.catalog.tables[name]
            case _:
                return False
        right, left = (one, other) if one.startswith(prefix) else (other, one)
        if not right.startswith(prefix) or left.startswith(prefix):
            return False
        key = right.removeprefix(prefix)
        listed = self.known.get(left)
        if not table.public or inside.conjuncts or inside.lefts or (key,) not in table.unique:
            return False
        if listed is None or listed.nullable or listed.values is None:
            return False
        return listed.values <= {row[key] for row in table.rows}

    def exposed(self, inside: Room, within: Named) -> tuple[Named, dict[str, tree.Expr]]:
        """The right side as it is named above, and what its columns are within it."""
        columns: dict[str, tree.Expr] = {}
        visible: dict[str, tree.Expr] = {}
        taken = self.inside_names(inside)
        for name, expression in within.columns.items():
            if isinstance(expression, tree.Column):
                own = expression.name
            else:
                plain = name.isascii() and name.isidentifier()  # how others are told apart, Unicode decides, by year
                own = f"{inside.scans[0].prefix}{name if plain else 'made'}"
                while own in taken:
                    own += "_"
                taken.add(own)
            columns[own] = expression
            visible[name] = tree.Column(own, expression.type)
        self.known.update(nullable(columns, self.known))
        presence = None
        if within.person is not None:
            presence = tree.Column(f"{within.person}.{self.catalog.owner}", tree.TEXT)
        return Named(within.name, visible, within.owners, None, presence, within.off), columns

    def conjuncts(self, room: Room, scope: Scope, node: exp.Expr) -> list[tree.Expr]:
        """The conjuncts of WHERE or ON; equalities of owners join instead."""
        found = []
        for conjunct in conjunct_nodes(node):
            link = self.link(scope, conjunct)
            if link is None:
                found.append(condition(scope, conjunct))
            elif all(person in room.persons for person in link):
                room.link(*link)
            elif any(person in room.persons for person in link):
                room.tied = True
            else:
                raise self.source.refusal(
                    "unsupported",
                    "This compares nothing of the subquery.",
                    conjunct,
                    accepted="the condition outside",
                )
        return found

    def link(self, scope: Scope, node: exp.Expr) -> tuple[str, str] | None:
        """The persons that `owner = owner` makes one."""
        while isinstance(node, exp.Paren):
            (node,) = self.source.consume(node, "this")
        if type(node) is not exp.EQ:
            return None
        sides = self.source.consume(node, "this", "expression")
        carriers = [scope.carrier(side) for side in sides]
        if None in carriers:
            return None
        for side, carrier in zip(sides, carriers, strict=True):
            if carrier is not None and carrier.presence is not None:
                scope.column(side.unnest())
        one, other = carriers
        if one is None or other is None:
            raise AssertionError
        return person_of(one), person_of(other)

    def one_person(self, room: Room, earlier: set[str], node: exp.Expr) -> None:
        """Refuse private tables that are not joined on the owner: a row would be of two students."""
        persons = dict.fromkeys(person for name, person in room.persons.items() if name not in earlier)
        if len(persons) > 1:
            raise self.not_joined(list(persons)[1], node)
