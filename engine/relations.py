"""FROM → Relation: tables, subqueries and CTEs without aggregation, inner joins and LEFT JOINs, as one flat relation.

Subqueries are merged into the question: their columns are what they stand for, their conditions go to WHERE. So a
CTE, a subquery and the same written directly are one question. Every private table must be joined on the owner.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import tree
from engine.expressions import Named, Scope, comparison, condition, convert
from engine.source import nearest
from engine.tree import Left, Relation, Scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine.catalog import Catalog, Table
    from engine.source import Source

SCANS_MAX = 6
"""Most tables one question may join."""

_CLAUSES = {
    "distinct": "DISTINCT",
    "having": "HAVING",
    "group": "GROUP BY",
    "order": "ORDER BY",
    "windows": "WINDOW",
    "qualify": "QUALIFY",
    "limit": "LIMIT",
    "offset": "OFFSET",
    "sample": "Sampling",
    "with_": "WITH",
}
_CROSSING = {"distinct", "windows", "qualify", "limit", "offset", "sample"}


@dataclass(slots=True)
class _Room:
    """What has been joined so far: the whole question, or the right side of one LEFT JOIN.

    Attributes:
        right: whether it is a right side, whose cohort column has a name of its own: it is NULL where no row matched.
        persons: of each private scan the name of the first one it is joined to on the owner.
    """

    right: bool
    scans: list[Scan] = field(default_factory=list)
    lefts: list[Left] = field(default_factory=list)
    conjuncts: list[tree.Expr] = field(default_factory=list)
    persons: dict[str, str] = field(default_factory=dict)
    cohort: str | None = None

    def link(self, one: str, other: str) -> None:
        """Two private scans are joined on the owner, and all that were joined to either."""
        first, second = self.persons[one], self.persons[other]
        self.persons = {name: first if person == second else person for name, person in self.persons.items()}


@dataclass(frozen=True, slots=True)
class Read:
    """FROM and WHERE as they were read.

    Attributes:
        where: the conjuncts of WHERE and inner ON.
    """

    relation: Relation
    where: tuple[tree.Expr, ...]
    scope: Scope


def read(source: Source, node: exp.Select, catalog: Catalog, known: Mapping[str, Cte] | None = None) -> Read:
    """What a SELECT is asked of.

    Args:
        source: the researcher's text.
        node: the SELECT; its `from_`, `joins`, `where`, and `with_` where `known` is not given, are consumed here.
        catalog: declares the tables.
        known: the CTEs it may use.

    Raises:
        QueryRefused: whatever is not accepted in FROM, or joins students with one another.
    """
    found = ctes_of(source, node.args.get("with_")) if known is None else known
    reader = _Reader(source, catalog, qualified=_joins(node, found))
    room = _Room(right=False)
    scope = reader.select(room, node, found)
    if known is None:
        all_used(source, found)
    private = [scan for scan in room.scans if not catalog.tables[scan.table].public]
    if not private:
        raise reader.only_public(room.scans[0], node.args["from_"])
    relation = Relation(tuple(room.scans), tuple(room.lefts), catalog.cohort)
    return Read(relation, tree.conjuncts(room.conjuncts), scope)


@dataclass(slots=True)
class Cte:
    """One common table expression.

    Attributes:
        earlier: those that it may use itself.
    """

    node: exp.Expr
    earlier: Mapping[str, Cte]
    used: bool = False


def ctes_of(source: Source, with_: exp.With | None, earlier: Mapping[str, Cte] | None = None) -> dict[str, Cte]:
    """The CTEs of a WITH by their lower-case names."""
    found: dict[str, Cte] = dict(earlier or {})
    if with_ is None:
        return found
    (nodes,) = source.consume(with_, "expressions")
    names = set()
    for node in nodes or ():
        this, alias = source.consume(node, "this", "alias")
        name = alias_of(source, alias)
        if not name or name in names:
            raise source.refusal("syntax", "Two CTEs have one name.", node, accepted="a name of its own for each")
        names.add(name)
        found[name] = Cte(this, dict(found))
    return found


def all_used(source: Source, ctes: Mapping[str, Cte]) -> None:
    """What is not used is not read, so it may not stand there."""
    for name, cte in ctes.items():
        if not cte.used:
            raise source.refusal("unsupported", f"{name} is not used.", cte.node, accepted="the question without it")


def alias_of(source: Source, node: exp.TableAlias | None) -> str:
    """The lower-case name of an alias; empty for none."""
    if node is None:
        return ""
    (this,) = source.consume(node, "this")
    return "" if this is None else str(this.name.lower())


def _joins(node: exp.Expr, ctes: Mapping[str, Cte]) -> bool:
    """Whether a SELECT joins anything, in the subqueries and CTEs it reads too: if not, it reads one table."""
    while isinstance(node, exp.Select) and node.args.get("from_") is not None:
        if node.args.get("joins"):
            return True
        this = node.args["from_"].this
        cte = ctes.get(this.name.lower()) if isinstance(this, exp.Table) else None
        node, ctes = (this.this, ctes) if cte is None else (cte.node, cte.earlier)
    return False


@dataclass(slots=True)
class _Reader:
    """Reads FROM; names every scan anew."""

    source: Source
    catalog: Catalog
    qualified: bool
    taken: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    # -- clauses

    def select(self, room: _Room, node: exp.Select, ctes: Mapping[str, Cte]) -> Scope:
        """Take in FROM, joins and WHERE of a SELECT; the names its expressions may use."""
        (from_this,) = self.source.consume(node.args["from_"], "this")
        earlier = set(room.persons)
        scope = Scope(self.source, [self.part(room, from_this, ctes)], self.catalog.owner, written=self.written)
        for join in node.args.get("joins") or ():
            scope = self.join(room, scope, join, ctes)
        where = node.args.get("where")
        if where is not None:
            (this,) = self.source.consume(where, "this")
            room.conjuncts += self.conjuncts(room, scope, this)
        self.one_person(room, earlier, node.args["from_"])
        return scope

    # -- one relation

    def part(self, room: _Room, node: exp.Expr, ctes: Mapping[str, Cte]) -> Named:
        """A table, a CTE or a subquery, under the name it has here."""
        if isinstance(node, exp.Subquery):
            this, alias = self.source.consume(node, "this", "alias")
            return self.derived(room, this, alias_of(self.source, alias), ctes, node)
        if type(node) is not exp.Table or not isinstance(node.this, exp.Identifier):
            known = ", ".join(table.name for table in self.catalog.private_tables)
            raise self.source.refusal(
                "unsupported", "This source is not accepted in FROM.", node, accepted=f"one of {known}"
            )
        if node.args.get("sample"):
            raise self.source.refusal(
                "crosses_students", "Sampling is not accepted.", node, accepted="the question about all rows"
            )
        this, alias = self.source.consume(node, "this", "alias")
        name = this.name.lower()
        cte = ctes.get(name)
        if cte is not None:
            cte.used = True
            return self.derived(room, cte.node, alias_of(self.source, alias) or name, cte.earlier, node)
        return self.table(room, this.name, alias_of(self.source, alias), node)

    def table(self, room: _Room, written: str, alias: str, node: exp.Expr) -> Named:
        catalog = self.catalog
        table = catalog.tables.get(written.lower())
        names = [each.name for each in (*catalog.private_tables, *catalog.public_tables)]
        if table is None:
            raise self.source.refusal(
                "unknown_name", f"There is no table {written}.", node, accepted=nearest(written, names)
            )
        if not table.on:
            raise self.source.refusal(
                "column_off",
                f"{table.name} is sensitive and switched off in this district.",
                node,
                accepted=f"one of {', '.join(names)}",
            )
        self.taken[table.name] += 1
        number = self.taken[table.name]
        if self.taken.total() > SCANS_MAX:
            raise self.source.refusal("too_large", "Too many tables.", node, accepted=f"at most {SCANS_MAX}")
        name = table.name if number == 1 else f"{table.name}_{number}"
        while number > 1 and name in catalog.tables:
            name += "_"
        scan = Scan(name, table.name, f"{name}." if self.qualified else "")
        room.scans.append(scan)
        off = frozenset(column for column, declared in table.columns.items() if not declared.on)
        columns = self.columns(room, scan, table)
        named = Named(alias or table.name, columns, off=off)
        if table.public:
            return named
        room.persons[name] = name
        return replace(named, owners=frozenset({catalog.owner.lower()}), person=name)

    def columns(self, room: _Room, scan: Scan, table: Table) -> dict[str, tree.Expr]:
        """The columns of a scan; the cohort of all private scans of a room is one column."""
        found: dict[str, tree.Expr] = {
            name: tree.Column(f"{scan.prefix}{name}", column.type)
            for name, column in table.columns.items()
            if column.on
        }
        if not table.public:
            if room.cohort is None:
                room.cohort = f"{scan.prefix}{self.catalog.cohort}" if room.right else self.catalog.cohort
            found[self.catalog.cohort] = tree.Column(room.cohort, tree.INTEGER)
        return found

    def derived(self, room: _Room, node: exp.Expr, name: str, ctes: Mapping[str, Cte], place: exp.Expr) -> Named:
        """A subquery without aggregation: its columns stand for expressions of the tables in it."""
        source = self.source
        if type(node) is not exp.Select:
            raise source.refusal(
                "unsupported", "This is not accepted in FROM.", place, accepted="a table, or a SELECT of one"
            )
        for clause, what in _CLAUSES.items():
            if node.args.get(clause):
                code: Any = "crosses_students" if clause in _CROSSING else "unsupported"
                raise source.refusal(
                    code,
                    f"{what} is not accepted in a subquery.",
                    place,
                    accepted="a subquery with SELECT, FROM, joins and WHERE alone",
                )
        expressions, *_ = source.consume(node, "expressions", "from_", "joins", "where")
        if node.args.get("from_") is None:
            raise source.refusal("syntax", "A subquery names no table.", place, accepted="SELECT … FROM a table")
        scope = self.select(room, node, ctes)
        columns: dict[str, tree.Expr] = {}
        owners: dict[str, Named] = {}
        for written, expression in self.projected(scope, expressions or ()):
            column = written.lower()
            if column in columns or column in owners:
                raise source.refusal(
                    "syntax", f"Two columns of a subquery are called {written}.", place, accepted="an alias for one"
                )
            if isinstance(expression, Named):
                owners[column] = expression
            else:
                columns[column] = expression
        if any(carrier.presence is not None for carrier in owners.values()):
            raise source.refusal(
                "owner_exposed",
                f"A subquery can carry {self.catalog.owner} of the left side of its LEFT JOIN only.",
                place,
                accepted=f"{self.catalog.owner} of the left side",
            )
        person = next((carrier.person for carrier in owners.values()), None)
        off = frozenset().union(*(named.off for named in scope.relations))
        return Named(name, columns, frozenset(owners), person, None, off)

    def projected(self, scope: Scope, nodes: Iterable[exp.Expr]) -> Iterator[tuple[str, tree.Expr | Named]]:
        """The columns of a subquery; a relation stands for its owner."""
        for node in nodes:
            if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
                yield from self.everything(scope, node)
                continue
            this, alias = node, None
            if isinstance(node, exp.Alias):
                this, alias = self.source.consume(node, "this", "alias")
            if alias is None and not isinstance(this, exp.Column):
                raise self.source.refusal(
                    "syntax", "A column of a subquery needs a name.", node, accepted="expression AS name"
                )
            written = this.name if alias is None else alias.name
            carrier = scope.carrier(this)
            yield written, convert(scope, this) if carrier is None else carrier

    def everything(self, scope: Scope, node: exp.Expr) -> Iterator[tuple[str, tree.Expr | Named]]:
        """What * stands for; of two columns with one name that are one column, one."""
        wanted = None
        if isinstance(node, exp.Column):
            star, table = self.source.consume(node, "this", "table")
            self.source.consume(star)
            wanted = None if table is None else table.name.lower()
        else:
            self.source.consume(node)
        seen: dict[str, tree.Expr | None] = {}
        for named in scope.relations:
            if wanted is not None and named.name != wanted:
                continue
            carried: dict[str, tree.Expr | Named] = {**dict.fromkeys(sorted(named.owners), named), **named.columns}
            for name, expression in carried.items():
                one = None if isinstance(expression, Named) else expression
                if named.presence is not None and one is None:
                    continue
                if name in seen and (seen[name] == one or name in scope.shared):
                    continue
                seen[name] = one
                yield name, expression

    # -- joins

    def join(self, room: _Room, scope: Scope, node: exp.Join, ctes: Mapping[str, Cte]) -> Scope:
        source = self.source
        names = ("this", "side", "kind", "on", "using", "method")
        this, side, kind, on, using, method = source.consume(node, *names)
        if method or side not in (None, "", "LEFT") or kind not in (None, "", "INNER", "CROSS", "OUTER"):
            raise source.refusal(
                "unsupported",
                f"{' '.join(filter(None, (method, side, kind)))} JOIN is not accepted.",
                node,
                accepted="JOIN … ON, or a LEFT JOIN with the sides exchanged",
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
        if named.name and named.name in {other.name for other in scope.relations}:
            raise self.source.refusal(
                "syntax", f"Two relations are called {named.name}.", node, accepted="an alias for one of them"
            )

    def using(self, room: _Room, scope: Scope, named: Named, nodes: Sequence[exp.Identifier]) -> Scope:
        """An inner join on columns of one name."""
        shared, shared_owner = dict(scope.shared), scope.shared_owner
        for node in nodes:
            one, other = self.pair(scope, named, node)
            if isinstance(one, Named) and isinstance(other, Named):
                room.link(_person(one), _person(other))
                shared_owner = one
            elif not isinstance(one, Named) and not isinstance(other, Named):
                shared[node.name.lower()] = one
                room.conjuncts.append(comparison(scope, "=", one, other, node))
        relations = [*scope.relations, named]
        return replace(scope, relations=relations, shared=shared, shared_owner=shared_owner)

    def pair(self, scope: Scope, named: Named, node: exp.Identifier) -> tuple[tree.Expr | Named, tree.Expr | Named]:
        """What a column of USING is on either side."""
        column = exp.Column(this=node.copy())
        here = Scope(self.source, [named], self.catalog.owner, written=self.written)
        carriers = scope.carrier(column), here.carrier(column)
        if carriers[0] is not None and carriers[1] is not None:
            if carriers[0].presence is not None:
                scope.column(column)
            return carriers[0], carriers[1]
        return scope.column(column), here.column(column)

    def left_join(self, room: _Room, scope: Scope, node: exp.Join, ctes: Mapping[str, Cte]) -> Scope:
        """A LEFT JOIN: its right side is a room of its own, whose columns may be NULL above it."""
        this, on, using = node.args["this"], node.args.get("on"), node.args.get("using") or ()
        inside = _Room(right=True)
        within = self.part(inside, this, ctes)
        self.new_name(scope, within, this)
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
        for conjunct in () if on is None else _conjunct_nodes(on):
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
        private = any(not self.catalog.tables[scan.table].public for scan in inside.scans)
        if private and (within.person is None or not owned):
            raise self.not_joined(within.name or "the right side", node)
        room.lefts.append(
            Left(
                relation=Relation(tuple(inside.scans), tuple(inside.lefts), inside.cohort or ""),
                where=tree.conjuncts(inside.conjuncts),
                on=tree.conjuncts(conjuncts),
                columns=tuple(columns.items()),
                owned=private,
                presence=None if above.presence is None else above.presence.name,
            )
        )
        shared = {identifier.name.lower(): one for identifier, one, _ in pairs if not isinstance(one, Named)}
        carriers = [one for _, one, _ in pairs if isinstance(one, Named)]
        return replace(
            scope,
            relations=[*scope.relations, above],
            shared={**scope.shared, **shared},
            shared_owner=carriers[0] if carriers else scope.shared_owner,
        )

    def exposed(self, inside: _Room, within: Named) -> tuple[Named, dict[str, tree.Expr]]:
        """The right side as it is named above, and what its columns are within it."""
        columns: dict[str, tree.Expr] = {}
        visible: dict[str, tree.Expr] = {}
        taken = self.names(inside)
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
        presence = None
        if within.person is not None:
            presence = tree.Column(f"{within.person}.{self.catalog.owner}", tree.TEXT)
        return Named(within.name, visible, within.owners, None, presence, within.off), columns

    def names(self, room: _Room) -> set[str]:
        """Every column name of the tables in a room."""
        return {
            f"{scan.prefix}{column}"
            for scan in room.scans
            for column in (*self.catalog.tables[scan.table].columns, self.catalog.owner)
        }

    # -- conditions

    def conjuncts(self, room: _Room, scope: Scope, node: exp.Expr) -> list[tree.Expr]:
        """The conjuncts of WHERE or ON; equalities of owners join instead."""
        found = []
        for conjunct in _conjunct_nodes(node):
            link = self.link(scope, conjunct)
            if link is None:
                found.append(condition(scope, conjunct))
            else:
                room.link(*link)
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
        return _person(one), _person(other)

    def one_person(self, room: _Room, earlier: set[str], node: exp.Expr) -> None:
        """Refuse private tables that are not joined on the owner: a row would be of two students."""
        persons = dict.fromkeys(person for name, person in room.persons.items() if name not in earlier)
        if len(persons) > 1:
            raise self.not_joined(list(persons)[1], node)

    def not_joined(self, name: str, node: exp.Expr) -> Exception:
        owner = self.catalog.owner
        return self.source.refusal(
            "crosses_students",
            f"{name} is not joined on {owner}: a row would belong to two students.",
            node,
            accepted=f"ON a.{owner} = b.{owner} AND …, between tables of students",
        )

    def only_public(self, scan: Scan, node: exp.Expr) -> Exception:
        known = ", ".join(table.name for table in self.catalog.private_tables)
        return self.source.refusal(
            "unsupported",
            f"{scan.table} is a public table: read it where it is published.",
            node,
            accepted=f"one of {known}, joined with it",
        )


def _person(named: Named) -> str:
    if named.person is None:
        raise AssertionError
    return named.person


def _conjunct_nodes(node: exp.Expr) -> Iterator[exp.Expr]:
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
