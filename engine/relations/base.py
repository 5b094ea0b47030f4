"""What has been read of FROM so far, and what all that read it share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from engine import tree
from engine.tree import Derived, Left, Relation, Scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.catalog import Catalog
    from engine.expressions import LookUp, Named, Scope
    from engine.ranges import Range
    from engine.relations.ctes import Cte
    from engine.source import Source

SCANS_MAX = 6
"""Most tables that may be joined with one another on one level of a question."""

TABLES_MAX = 20
"""Most tables, steps and sides of a UNION that a question may be made of, each time they are named."""

Shape = list[tuple[str, "tree.Expr | Named"]]
"""The columns of a subquery in order; a relation stands for its owner."""


@dataclass(slots=True)
class Room:
    """What has been joined so far: the whole question, or the right side of one LEFT JOIN.

    Attributes:
        right: whether it is a right side, whose cohort column has a name of its own: it is NULL where no row matched.
        persons: of each private scan the name of the first one it is joined to on the owner.
        tied: of a correlated subquery, whether it is joined on the owner with what it stands in.
    """

    right: bool
    scans: list[Scan | Derived] = field(default_factory=list)
    lefts: list[Left] = field(default_factory=list)
    conjuncts: list[tree.Expr] = field(default_factory=list)
    persons: dict[str, str] = field(default_factory=dict)
    cohort: str | None = None
    tied: bool = False

    @property
    def relation(self) -> Relation:
        """What has been joined so far."""
        return Relation(tuple(self.scans), tuple(self.lefts), self.cohort or "")

    def link(self, one: str, other: str) -> None:
        """Two private scans are joined on the owner, and all that were joined to either."""
        first, second = self.persons[one], self.persons[other]
        self.persons = {name: first if person == second else person for name, person in self.persons.items()}


@dataclass(slots=True)
class Base:
    """Names every table and step of a question anew, and refuses what joins students with one another."""

    source: Source
    catalog: Catalog
    qualified: bool
    taken: Counter[str] = field(default_factory=Counter)
    given: set[str] = field(default_factory=set)
    written: Counter[str] = field(default_factory=Counter)
    known: dict[str, Range] = field(default_factory=dict)
    look_ups: dict[tree.Expr, LookUp] = field(default_factory=dict)

    # -- what is read further down

    def select(self, room: Room, node: exp.Select, ctes: Mapping[str, Cte], outer: Scope | None = None) -> Scope:
        """Take in FROM, joins and WHERE of a SELECT; the names its expressions may use."""
        raise NotImplementedError

    def part(self, room: Room, node: exp.Expr, ctes: Mapping[str, Cte]) -> Named:
        """A table, a CTE or a subquery, under the name it has here."""
        raise NotImplementedError

    def shape(
        self, room: Room, node: exp.Expr, ctes: Mapping[str, Cte], place: exp.Expr
    ) -> tuple[Shape, frozenset[str]]:
        """The columns of a subquery, and the names in it that are switched off."""
        raise NotImplementedError

    def scope(self, named: Named) -> Scope:
        """A scope of one relation."""
        raise NotImplementedError

    def projected(self, scope: Scope, nodes: Iterable[exp.Expr]) -> Iterator[tuple[str, tree.Expr | Named]]:
        """The columns of a SELECT; a relation stands for its owner."""
        raise NotImplementedError

    def no_clauses(self, node: exp.Expr, place: exp.Expr) -> None:
        """Refuse the clauses that no subquery may have."""
        raise NotImplementedError

    # -- names

    @property
    def cohort(self) -> tree.Column:
        """The cohort as it is known within steps: every one hands it on under its own name."""
        return tree.Column(self.catalog.cohort, tree.INTEGER)

    @property
    def reserved(self) -> set[str]:
        """Names that no made column of a step may have."""
        return {self.catalog.cohort, self.catalog.owner}

    def fresh(self, name: str, node: exp.Expr) -> str:
        """A name that no other table or step of the question has."""
        self.taken[name] += 1
        if self.taken.total() > TABLES_MAX:
            raise self.source.refusal(
                "too_large", "Too many tables and steps.", node, accepted=f"at most {TABLES_MAX} in a question"
            )
        number = self.taken[name]
        found = name if number == 1 else f"{name}_{number}"
        while found in self.given or (found in self.catalog.tables and found != name):
            found += "_"
        self.given.add(found)
        return found

    def names(self, room: Room) -> set[str]:
        """Every column name of the tables in a room."""
        return {f"{scan.prefix}{column}" for scan in room.scans for column in (*self.own(scan), self.catalog.owner)}

    def own(self, scan: Scan | Derived) -> Iterable[str]:
        """The columns of a table or a step by their own names."""
        return self.catalog.tables[scan.table].columns if isinstance(scan, Scan) else scan.types

    def inside_names(self, room: Room) -> set[str]:
        """Every name that expressions within a room may use."""
        found = self.names(room) | ({room.cohort} if room.cohort is not None else set())
        for left in room.lefts:
            found |= {name for name, _ in left.columns} if not left.once else set()
            found |= {left.presence} if left.presence is not None else set()
        return found

    def left_owner(self, place: exp.Expr) -> Exception:
        """A refusal: the owner of a LEFT JOIN's right side would be carried on."""
        return self.source.refusal(
            "owner_exposed",
            f"A subquery can carry {self.catalog.owner} of the left side of its LEFT JOIN only.",
            place,
            accepted=f"{self.catalog.owner} of the left side",
        )

    def not_joined(self, name: str, node: exp.Expr) -> Exception:
        """A refusal: a row would be of two students."""
        owner = self.catalog.owner
        return self.source.refusal(
            "crosses_students",
            f"{name} is not joined on {owner}: a row would belong to two students.",
            node,
            accepted=f"ON a.{owner} = b.{owner} AND …, between tables of students",
        )

    def only_public(self, scan: Scan | Derived, node: exp.Expr) -> Exception:
        """A refusal: no table of students is read."""
        known = ", ".join(table.name for table in self.catalog.private_tables)
        return self.source.refusal(
            "unsupported",
            f"{scan.table if isinstance(scan, Scan) else 'This'} is a public table: read it where it is published.",
            node,
            accepted=f"one of {known}, joined with it",
        )


def person_of(named: Named) -> str:
    """What a relation's rows of one student are joined by."""
    if named.person is None:
        raise AssertionError
    return named.person


def conjunct_nodes(node: exp.Expr) -> Iterator[exp.Expr]:
    """The conjuncts of a condition, in the order they are written."""
    pending = [node]
    while pending:
        part = pending.pop()
        if type(part) is exp.Paren and isinstance(part.this, exp.And | exp.Paren):
            pending.append(part.this)
        elif type(part) is exp.And:
            pending += [part.expression, part.this]
        else:
            yield part


def off_of(scope: Scope) -> frozenset[str]:
    """The names in a SELECT that are switched off."""
    return frozenset().union(*(named.off for named in scope.relations))


def plain_name(name: str) -> str:
    """A name of plain characters, for a column within a step."""
    low = name.lower()
    return low if low.isascii() and low.isidentifier() and not low.startswith("homeroom_") else "made"
