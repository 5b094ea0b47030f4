"""FROM → Relation: tables, subqueries and CTEs, inner joins and LEFT JOINs, as one flat relation.

Subqueries without aggregation are merged into the question: their columns are what they stand for, their conditions
go to WHERE. So a CTE, a subquery and the same written directly are one question. A subquery that groups each
student's rows, or looks along them, becomes a step that stands among the tables. Every private table must be joined
on the owner.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import advice, tree
from engine.expressions import Named, Scope, convert
from engine.relations.base import SCANS_MAX, Room, Shape, off_of
from engine.relations.ctes import Cte, alias_of, all_used, ctes_of, many, steps_of
from engine.relations.joins import Joins
from engine.relations.known import declared_of
from engine.relations.once import Once
from engine.relations.stepped import Steps
from engine.source import nearest
from engine.tree import Relation, Scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.catalog import Catalog, Table
    from engine.source import Source

_CLAUSES = {
    "order": "ORDER BY",
    "windows": "WINDOW",
    "limit": "LIMIT",
    "offset": "OFFSET",
    "sample": "Sampling",
}
_CROSSING = {"limit", "offset", "sample"}

_OF: dict[str, type] = {
    "expressions": list,
    "from_": exp.From,
    "joins": list,
    "where": exp.Where,
    "group": exp.Group,
    "having": exp.Having,
    "qualify": exp.Qualify,
    "distinct": exp.Distinct,
    "with_": exp.With,
}
"""What each clause of a subquery is."""


@dataclass(frozen=True, slots=True)
class Read:
    """FROM and WHERE as they were read.

    Attributes:
        where: the conjuncts of WHERE and inner ON.
        scope: the names of what is asked; conditions on subqueries that are made in it join the relation.
        ctes: what WITH names.
    """

    room: Room
    catalog: Catalog
    where: tuple[tree.Expr, ...]
    scope: Scope
    ctes: Mapping[str, Cte]

    @property
    def relation(self) -> Relation:
        """What is asked of, with all that has been made in the scope so far."""
        return replace(self.room.relation, cohort=self.catalog.cohort)


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
    reader = Reader(source, catalog, qualified=many(source, node, found))
    room = Room(right=False)
    scope = reader.select(room, node, found)
    private = [scan for scan in room.scans if not catalog.is_public(scan)]
    if not private:
        raise reader.only_public(room.scans[0], node.args["from_"])
    return Read(room, catalog, tree.conjuncts(room.conjuncts), scope, found)


class Reader(Steps, Once, Joins):
    """Reads FROM and WHERE."""

    __slots__ = ()

    def select(self, room: Room, node: exp.Select, ctes: Mapping[str, Cte], outer: Scope | None = None) -> Scope:
        """Take in FROM, joins and WHERE of a SELECT; the names its expressions may use."""
        (from_this,) = self.source.consume(node.args["from_"], "this")
        earlier = set(room.persons)

        made: dict[tuple[int, exp.Expr], tree.Expr] = {}  # what is written twice, as in SELECT and GROUP BY, is one

        def subquery(scope: Scope, node: exp.Expr) -> tree.Expr:
            key = len(scope.relations), node
            if key not in made:
                made[key] = self.once(room, scope, node, ctes)
            return made[key]

        first = self.part(room, from_this, ctes)
        scope = replace(self.scope(first), outer=outer, subquery=subquery)
        for join in node.args.get("joins") or ():
            scope = self.join(room, scope, join, ctes)
        where = node.args.get("where")
        if where is not None:
            (this,) = self.source.consume(where, "this")
            room.conjuncts += self.conjuncts(room, scope, this)
        self.one_person(room, earlier, node.args["from_"])
        if len(room.scans) > SCANS_MAX:
            raise self.source.refusal(
                "too_large", "Too many tables.", node.args["from_"], accepted=f"at most {SCANS_MAX} joined"
            )
        return scope

    def part(self, room: Room, node: exp.Expr, ctes: Mapping[str, Cte]) -> Named:
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

    def scope(self, named: Named) -> Scope:
        """The names of one relation; what the whole question shares is shared."""
        owner = self.catalog.owner
        return Scope(
            self.source,
            [named],
            owner,
            written=self.written,
            known=self.known,
            look_ups=self.look_ups,
            catalog=self.catalog,
        )

    def table(self, room: Room, written: str, alias: str, node: exp.Expr) -> Named:
        """A declared table that is switched on."""
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
        name = self.fresh(table.name, node)
        scan = Scan(name, table.name, f"{name}." if self.qualified else "")
        room.scans.append(scan)
        off = frozenset(column for column, declared in table.columns.items() if not declared.on)
        columns = self.columns(room, scan, table)
        self.known.update(declared_of(columns, table))
        named = Named(alias or table.name, columns, off=off)
        if table.public:
            return named
        room.persons[name] = name
        return replace(named, owners=frozenset({catalog.owner.lower()}), person=name)

    def columns(self, room: Room, scan: Scan, table: Table) -> dict[str, tree.Expr]:
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

    def derived(
        self,
        room: Room,
        node: exp.Expr,
        name: str,
        ctes: Mapping[str, Cte],
        place: exp.Expr,
    ) -> Named:
        """A subquery under its name: its columns stand for expressions of what it is made of."""
        source = self.source
        shape, off = self.shape(room, node, ctes, place)
        columns: dict[str, tree.Expr] = {}
        owners: dict[str, Named] = {}
        for written, expression in shape:
            column = written.lower()
            if column in columns or column in owners:
                raise source.refusal(
                    "syntax", f"Two columns of a subquery are called {written}.", place, accepted="an alias for one"
                )
            if not column:
                raise source.refusal(
                    "syntax", "A column of a subquery needs a name.", place, accepted="expression AS name"
                )
            if isinstance(expression, Named):
                owners[column] = expression
            else:
                columns[column] = expression
        if any(carrier.presence is not None for carrier in owners.values()):
            raise self.left_owner(place)
        person = next((carrier.person for carrier in owners.values()), None)
        return Named(name, columns, frozenset(owners), person, None, off)

    def shape(
        self, room: Room, node: exp.Expr, ctes: Mapping[str, Cte], place: exp.Expr
    ) -> tuple[Shape, frozenset[str]]:
        """The columns of a subquery, and the names in it that are switched off."""
        source = self.source
        while isinstance(node, exp.Subquery | exp.Paren):
            (node,) = source.consume(node, "this")
        if node.args.get("with_"):
            own = ctes_of(source, node.args["with_"], ctes)
            found = self.shape_of(room, node, own, place)
            all_used(source, {name: cte for name, cte in own.items() if ctes.get(name) is not cte})
            return found
        return self.shape_of(room, node, ctes, place)

    def shape_of(
        self, room: Room, node: exp.Expr, ctes: Mapping[str, Cte], place: exp.Expr
    ) -> tuple[Shape, frozenset[str]]:
        """The same, without its parentheses and WITH."""
        source = self.source
        if isinstance(node, exp.SetOperation):
            return self.united(room, node, ctes, place)
        if type(node) is not exp.Select:
            raise source.refusal(
                "unsupported", "This is not accepted in FROM.", place, accepted="a table, or a SELECT of one"
            )
        node = self.with_windows(node, place)
        self.no_clauses(node, place)
        for clause, of in _OF.items():
            if node.args.get(clause) and not isinstance(node.args[clause], of):
                raise source.refusal("syntax", "This subquery cannot be read.", place, accepted="one SELECT")
        if node.args.get("from_") is None:
            raise source.refusal("syntax", "A subquery names no table.", place, accepted="SELECT … FROM a table")
        if steps_of(node):
            return self.stepped(room, node, ctes, place)
        expressions, *_ = source.consume(node, "expressions", "from_", "joins", "where", "with_")
        scope = self.select(room, node, ctes)
        aliases: dict[str, tree.Expr] = {}
        shape: Shape = []
        for written, expression in self.projected(replace(scope, aliases=aliases), expressions or ()):
            shape.append((written, expression))
            if not isinstance(expression, Named):
                aliases.setdefault(written.lower(), expression)
        return shape, off_of(scope)

    def with_windows(self, node: exp.Select, place: exp.Expr) -> exp.Select:
        """The same SELECT with its named windows written out."""
        windows = node.args.get("windows")
        if not windows:
            return node
        named = {}
        if not isinstance(windows, list):
            raise self.source.refusal("syntax", "WINDOW cannot be read.", place, accepted="WINDOW w AS (…)")
        for window in windows:
            if type(window) is not exp.Window or not isinstance(window.this, exp.Identifier):
                raise self.source.refusal("syntax", "WINDOW cannot be read.", place, accepted="WINDOW w AS (…)")
            if window.this.name.lower() in named:
                raise self.source.refusal(
                    "syntax",
                    f"Two windows are called {window.this.name}.",
                    place,
                    accepted="a name of its own for each",
                )
            named[window.this.name.lower()] = window
        found = node.copy()
        found.set("windows", None)
        for window in found.find_all(exp.Window):
            alias = window.args.get("alias")
            if alias is None:
                continue
            added = any(window.args.get(key) for key in ("partition_by", "order", "spec"))
            if added or alias.name.lower() not in named:
                raise self.source.refusal(
                    "unsupported",
                    f"{alias.name} is not a window of this SELECT, or more is added to it.",
                    window,
                    accepted=f"OVER {alias.name} of WINDOW {alias.name} AS (…), or the window written out",
                )
            for key in ("partition_by", "order", "spec"):
                value = named[alias.name.lower()].args.get(key)
                copied = [part.copy() for part in value] if isinstance(value, list) else value and value.copy()
                window.set(key, copied)
            window.set("alias", None)
        return found

    def no_clauses(self, node: exp.Expr, place: exp.Expr) -> None:
        """Refuse the clauses that no subquery may have."""
        distinct = node.args.get("distinct")
        if isinstance(distinct, exp.Distinct) and distinct.args.get("on"):
            raise advice.first_of_each(self.source, place, self.catalog.owner)
        for clause, what in _CLAUSES.items():
            if node.args.get(clause):
                code: Any = "crosses_students" if clause in _CROSSING else "unsupported"
                keep = f"ROW_NUMBER() OVER (PARTITION BY {self.catalog.owner} ORDER BY …) tells which to keep"
                raise self.source.refusal(
                    code,
                    f"{what} is not accepted in a subquery.",
                    place,
                    accepted=f"a subquery without it; of a student's rows, {keep}"
                    if clause in _CROSSING
                    else "a subquery without it; ORDER BY at the end of the question",
                )

    def projected(self, scope: Scope, nodes: Iterable[exp.Expr]) -> Iterator[tuple[str, tree.Expr | Named]]:
        """The columns of a subquery; a relation stands for its owner, and no name is an empty one."""
        for node in nodes:
            if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
                yield from self.everything(scope, node)
                continue
            this, alias = node, None
            if isinstance(node, exp.Alias):
                this, alias = self.source.consume(node, "this", "alias")
            unnamed = alias is None and not isinstance(this, exp.Column)
            written = "" if unnamed else this.name if alias is None else alias.name
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
