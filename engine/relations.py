"""FROM → Relation: tables, subqueries and CTEs, inner joins and LEFT JOINs, as one flat relation.

Subqueries without aggregation are merged into the question: their columns are what they stand for, their conditions
go to WHERE. So a CTE, a subquery and the same written directly are one question. A subquery that groups each
student's rows, or looks along them, becomes a step that stands among the tables. Every private table must be joined
on the owner.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import tree
from engine.analysis.intervals import declared, evaluate
from engine.expressions import LookUp, Named, Scope, cast, comparison, condition, convert
from engine.ranges import listed, union
from engine.refusals import QueryRefused
from engine.selected import resolve
from engine.source import nearest, span_of
from engine.steps import Stage, has_aggregate, has_window, own_name
from engine.tree import Branch, Derived, Grouped, Left, Relation, Scan, Union, Windowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine.catalog import Catalog, Table
    from engine.ranges import Range
    from engine.source import Source

SCANS_MAX = 6
"""Most tables that may be joined with one another on one level of a question."""

TABLES_MAX = 20
"""Most tables, steps and sides of a UNION that a question may be made of, each time they are named."""

_CLAUSES = {
    "order": "ORDER BY",
    "windows": "WINDOW",
    "limit": "LIMIT",
    "offset": "OFFSET",
    "sample": "Sampling",
}
_CROSSING = {"limit", "offset", "sample"}
_INSTEAD = {
    "RIGHT": "LEFT JOIN with the sides exchanged",
    "FULL": "LEFT JOIN from either side as a question of its own, or the rows of both under each other by UNION ALL",
    "SEMI": "EXISTS or IN in WHERE",
    "ANTI": "NOT EXISTS or NOT IN in WHERE",
    "NATURAL": "JOIN … USING the columns' names",
}
"""What is accepted instead of a join, by the word that is written before it."""

_STEPS = ("group", "having", "qualify", "distinct")
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


@dataclass(slots=True)
class _Room:
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


@dataclass(frozen=True, slots=True)
class Read:
    """FROM and WHERE as they were read.

    Attributes:
        where: the conjuncts of WHERE and inner ON.
        scope: the names of what is asked; conditions on subqueries that are made in it join the relation.
        ctes: what WITH names.
    """

    room: _Room
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
    reader = _Reader(source, catalog, qualified=_many(source, node, found))
    room = _Room(right=False)
    scope = reader.select(room, node, found)
    private = [scan for scan in room.scans if not reader.is_public(scan)]
    if not private:
        raise reader.only_public(room.scans[0], node.args["from_"])
    return Read(room, catalog, tree.conjuncts(room.conjuncts), scope, found)


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


def _many(source: Source, node: exp.Expr, ctes: Mapping[str, Cte]) -> bool:
    """Whether a SELECT reads more than one plain table, in the subqueries and CTEs it reads too."""
    top = True
    while True:
        while isinstance(node, exp.Subquery | exp.Paren):
            node = node.this
        if isinstance(node, exp.Table):
            cte = ctes.get(node.this.name.lower()) if isinstance(node.this, exp.Identifier) else None
            if cte is None:
                return False
            node, ctes, top = cte.node, cte.earlier, False
            continue
        if not isinstance(node, exp.Select) or node.args.get("from_") is None:
            return True
        own = [part for name, part in node.args.items() if name not in ("from_", "with_")]
        parts = [each for part in own for each in (part if isinstance(part, list) else [part])]
        nested = any(isinstance(part, exp.Expr) and part.find(exp.Query) is not None for part in parts)
        if node.args.get("joins") or nested or (not top and steps_of(node)):
            return True
        ctes = ctes_of(source, node.args["with_"], ctes) if node.args.get("with_") and not top else ctes
        node, top = node.args["from_"].this, False


def steps_of(node: exp.Select) -> bool:
    """Whether a subquery is made in a step of its own: it groups, looks along rows, or leaves out doubles."""
    return any(node.args.get(clause) for clause in _STEPS) or any(
        has_aggregate(part) or has_window(part) for part in node.expressions
    )


Shape = list[tuple[str, "tree.Expr | Named"]]
"""The columns of a subquery in order; a relation stands for its owner."""


@dataclass(slots=True)
class _Reader:
    """Reads FROM; names every scan anew."""

    source: Source
    catalog: Catalog
    qualified: bool
    taken: Counter[str] = field(default_factory=Counter)
    given: set[str] = field(default_factory=set)
    written: Counter[str] = field(default_factory=Counter)
    known: dict[str, Range] = field(default_factory=dict)
    look_ups: dict[tree.Expr, LookUp] = field(default_factory=dict)

    # -- clauses

    def select(self, room: _Room, node: exp.Select, ctes: Mapping[str, Cte], outer: Scope | None = None) -> Scope:
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
        name = self.fresh(table.name, node)
        scan = Scan(name, table.name, f"{name}." if self.qualified else "")
        room.scans.append(scan)
        off = frozenset(column for column, declared in table.columns.items() if not declared.on)
        columns = self.columns(room, scan, table)
        self.known.update(_declared(columns, table))
        named = Named(alias or table.name, columns, off=off)
        if table.public:
            return named
        room.persons[name] = name
        return replace(named, owners=frozenset({catalog.owner.lower()}), person=name)

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

    def is_public(self, scan: Scan | Derived) -> bool:
        """Whether it is a public table."""
        return isinstance(scan, Scan) and self.catalog.tables[scan.table].public

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

    def derived(
        self,
        room: _Room,
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

    def left_owner(self, place: exp.Expr) -> Exception:
        return self.source.refusal(
            "owner_exposed",
            f"A subquery can carry {self.catalog.owner} of the left side of its LEFT JOIN only.",
            place,
            accepted=f"{self.catalog.owner} of the left side",
        )

    def shape(
        self, room: _Room, node: exp.Expr, ctes: Mapping[str, Cte], place: exp.Expr
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
        self, room: _Room, node: exp.Expr, ctes: Mapping[str, Cte], place: exp.Expr
    ) -> tuple[Shape, frozenset[str]]:
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
        return shape, _off(scope)

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
            named[window.this.name.lower()] = window
        found = node.copy()
        found.set("windows", None)
        for window in found.find_all(exp.Window):
            alias = window.args.get("alias")
            if alias is None:
                continue
            if window.args.get("partition_by") or window.args.get("order") or alias.name.lower() not in named:
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
        for clause, what in _CLAUSES.items():
            if node.args.get(clause):
                code: Any = "crosses_students" if clause in _CROSSING else "unsupported"
                raise self.source.refusal(
                    code,
                    f"{what} is not accepted in a subquery.",
                    place,
                    accepted="a subquery without it; of a student's rows, ROW_NUMBER() OVER (PARTITION BY "
                    f"{self.catalog.owner} ORDER BY …) tells which to keep",
                )

    # -- steps within each student

    def stepped(
        self, room: _Room, node: exp.Select, ctes: Mapping[str, Cte], place: exp.Expr
    ) -> tuple[Shape, frozenset[str]]:
        """A subquery that groups each student's rows or looks along them: one, two or three steps on each other."""
        source = self.source
        names = ("expressions", "group", "having", "qualify", "distinct", "from_", "joins", "where", "with_")
        expressions, group, having, qualify, distinct, *_ = source.consume(node, *names)
        expressions = expressions or []
        inner = _Room(right=False)
        scope = self.select(inner, node, ctes)
        if not inner.persons:
            raise self.only_public(inner.scans[0], place)
        parts = [*expressions, *([] if qualify is None else [qualify])]
        grouping = group is not None or having is not None or any(map(has_aggregate, parts))
        stage = Stage(
            self.fresh("per_student", node) if grouping else None,
            self.fresh("along", node) if any(map(has_window, parts)) else None,
        )
        keys = self.group_keys(scope, stage, group, expressions, place) if grouping else ()
        aliases: dict[str, tree.Expr] = {}
        above = replace(scope, stage=stage, aliases=aliases)
        shape: Shape = []
        for written, expression in self.projected(above, expressions):
            value = expression if isinstance(expression, Named) else self.settled(stage, expression, written, place)
            if not isinstance(value, Named):
                aliases.setdefault(written.lower(), value)
            elif value.presence is not None:
                raise self.left_owner(place)
            shape.append((written, value))
        waiting = self.conditions(above, stage, having, "HAVING", windows=False)
        last = self.conditions(above, stage, qualify, "QUALIFY", windows=True)
        relation, where = inner.relation, tree.conjuncts(inner.conjuncts)
        if stage.grouped is not None:
            step = Derived(stage.grouped, Grouped(relation, where, keys, tuple(stage.values.items())), span_of(node))
            relation, where = Relation((step,), (), self.catalog.cohort), tree.conjuncts(waiting)
        if stage.windowed is not None:
            exprs = [*(e for _, e in shape if not isinstance(e, Named)), *last]
            relation, where, exprs = self.along(stage, relation, where, exprs, last, place)
            plain = iter(exprs)
            shape = [(name, e if isinstance(e, Named) else next(plain)) for name, e in shape]
        if distinct is not None:
            relation, where, shape = self.distinct(relation, where, shape, distinct, place)
        return self.placed(room, relation, where, shape), _off(scope)

    def settled(self, stage: Stage, expr: tree.Expr, written: str, place: exp.Expr) -> tree.Expr:
        """An expression above the grouping, in which no column of single rows is left."""
        found = stage.settled(expr)
        loose = stage.loose(found)
        if loose:
            raise self.source.refusal(
                "unsupported",
                f"{written or loose[0]} stands outside an aggregate and is not in GROUP BY.",
                place,
                accepted="it in GROUP BY or in an aggregate; ANY_VALUE where it is the same for a student",
            )
        return found

    def conditions(
        self, above: Scope, stage: Stage, clause: exp.Expr | None, word: str, *, windows: bool
    ) -> list[tree.Expr]:
        """The conjuncts of HAVING or QUALIFY."""
        if clause is None:
            return []
        (this,) = self.source.consume(clause, "this")
        found = []
        for part in _conjunct_nodes(this):
            made = self.settled(stage, condition(above, part), word, clause)
            along = () if stage.windowed is None else (f"{stage.windowed}.",)
            if not windows and along and any(name.startswith(along) for name in tree.columns_of(made)):
                raise self.source.refusal(
                    "unsupported", "HAVING comes before windows.", part, accepted="QUALIFY instead of HAVING"
                )
            found.append(made)
        if windows and stage.windowed is None:
            raise self.source.refusal(
                "unsupported", "QUALIFY is a condition on windows, and here is none.", clause, accepted="WHERE"
            )
        return found

    def group_keys(
        self, scope: Scope, stage: Stage, group: exp.Group | None, expressions: list[exp.Expr], place: exp.Expr
    ) -> tuple[tuple[str, tree.Expr], ...]:
        """The GROUP BY of a step: the owner, and the keys besides it under their names in the step."""
        source = self.source
        terms, everything = (None, None) if group is None else source.consume(group, "expressions", "all")
        nodes = list(terms) if isinstance(terms, list) else []
        selected = [(part.alias_or_name, part.this if isinstance(part, exp.Alias) else part) for part in expressions]
        if everything:
            nodes += [value for _, value in selected if not has_aggregate(value) and not has_window(value)]
        known = {name for named in scope.relations for name in (*named.columns, *named.owners, *named.off)}
        by_owner, by_cohort, keys = False, False, dict[tree.Expr, str]()
        for term in nodes:
            part = resolve(source, term, selected, prefer=known)
            if isinstance(part, exp.Star):
                raise source.refusal("unsupported", "* names no group.", part, accepted="the columns' names")
            carrier = scope.carrier(part)
            if carrier is not None and carrier.presence is None:
                by_owner = True
                continue
            key = convert(scope, part)
            if key == self.cohort:
                by_cohort = True
            elif key not in keys:
                hint = key.name.rpartition(".")[2] if isinstance(key, tree.Column) else "key"
                keys[key] = own_name(hint, {*keys.values(), *self.reserved})
        if not by_owner:
            raise source.refusal(
                "crosses_students",
                "This groups rows of several students, and stands where one student's rows are made.",
                place if group is None else group,
                accepted=f"GROUP BY {self.catalog.owner} and more, or the aggregate at the top of the question",
            )
        stage.keys = {key: tree.Column(f"{stage.grouped}.{name}", key.type) for key, name in keys.items()}
        if by_cohort:
            stage.keys = {**stage.keys, self.cohort: self.cohort}
        return tuple((name, key) for key, name in keys.items())

    def along(
        self,
        stage: Stage,
        relation: Relation,
        where: tuple[tree.Expr, ...],
        exprs: list[tree.Expr],
        last: list[tree.Expr],
        place: exp.Expr,
    ) -> tuple[Relation, tuple[tree.Expr, ...], list[tree.Expr]]:
        """The step with windows: what is used of the rows beside them gets names in it."""
        prefix = f"{stage.windowed}."
        types = {c.name: c.type for e in exprs for c in tree.walk(e) if isinstance(c, tree.Column)}
        names: dict[str, str] = {}
        taken = {*stage.windows, *self.reserved}
        for name in types:
            if not name.startswith(prefix) and name != self.catalog.cohort:
                own = own_name(name.rpartition(".")[2], taken)
                taken.add(own)
                names[name] = own
        columns = tuple((own, tree.Column(name, types[name])) for name, own in names.items())
        step = Derived(
            stage.windowed or "", Windowed(relation, where, columns, tuple(stage.windows.items())), span_of(place)
        )
        new = {name: f"{prefix}{names[name]}" if name in names else name for name in types}
        found = [tree.renamed(expr, new) for expr in exprs]
        cut = len(found) - len(last)
        return Relation((step,), (), self.catalog.cohort), tree.conjuncts(found[cut:]), found[:cut]

    def distinct(
        self,
        relation: Relation,
        where: tuple[tree.Expr, ...],
        shape: Shape,
        distinct: exp.Distinct | None,
        place: exp.Expr,
    ) -> tuple[Relation, tuple[tree.Expr, ...], Shape]:
        """SELECT DISTINCT: one row for each student and combination of columns."""
        if distinct is not None:
            self.source.consume(distinct)
        if not any(isinstance(expression, Named) for _, expression in shape):
            raise self.source.refusal(
                "crosses_students",
                "DISTINCT lets one student's row stand for another's.",
                place,
                accepted=f"SELECT DISTINCT {self.catalog.owner}, …",
            )
        name = self.fresh("distinct_rows", place)
        keys: dict[tree.Expr, str] = {}
        for written, expression in shape:
            if not isinstance(expression, Named) and expression != self.cohort and expression not in keys:
                keys[expression] = own_name(_plain_name(written), {*keys.values(), *self.reserved})
        step = Derived(
            name, Grouped(relation, where, tuple((own, key) for key, own in keys.items()), ()), span_of(place)
        )
        columns: Shape = [
            (written, e if isinstance(e, Named) or e == self.cohort else tree.Column(f"{name}.{keys[e]}", e.type))
            for written, e in shape
        ]
        return Relation((step,), (), self.catalog.cohort), (), columns

    def placed(self, room: _Room, relation: Relation, where: Iterable[tree.Expr], shape: Shape) -> Shape:
        """Let the last of some steps stand in a room; the owner is that step's."""
        (step,) = relation.scans
        if isinstance(step, Derived):
            self.known.update(_handed_on(step, self.known))
        room.scans.append(step)
        room.persons[step.name] = step.name
        if room.cohort is None:
            room.cohort = f"{step.name}.{self.catalog.cohort}" if room.right else self.catalog.cohort
        carrier = Named(step.name, {}, frozenset({self.catalog.owner.lower()}), step.name)
        here: Mapping[tree.Expr, tree.Expr] = {self.cohort: tree.Column(room.cohort, tree.INTEGER)}
        room.conjuncts += [tree.substituted(conjunct, here) for conjunct in where]
        return [(name, carrier if isinstance(e, Named) else tree.substituted(e, here)) for name, e in shape]

    def united(
        self, room: _Room, node: exp.SetOperation, ctes: Mapping[str, Cte], place: exp.Expr
    ) -> tuple[Shape, frozenset[str]]:
        """UNION ALL and UNION of rows that carry the owner."""
        source = self.source
        self.no_clauses(node, place)
        this, other, distinct, *_ = source.consume(node, "this", "expression", "distinct", "with_")
        if type(node) is not exp.Union:
            raise source.refusal(
                "unsupported",
                f"{source.called(node)} is not accepted between students' rows.",
                place,
                accepted="EXISTS or NOT EXISTS in WHERE",
            )
        sides = [side for each in (this, other) for side in _sides(each, distinct=bool(distinct))]
        name = self.fresh("rows", place)
        read: list[tuple[_Room, Shape]] = []
        off: frozenset[str] = frozenset()
        for side in sides:
            self.fresh("side", place)
            inner = _Room(right=False)
            shape, own_off = self.shape(inner, side, ctes, place)
            if not inner.persons:
                raise self.only_public(inner.scans[0], place)
            read.append((inner, shape))
            off |= own_off
        columns, types = self.aligned(read, place)
        taken: list[str] = []
        for written, _ in columns:
            taken.append(own_name(_plain_name(written), {*taken, *self.reserved}))
        branches = tuple(
            Branch(inner.relation, tree.conjuncts(inner.conjuncts), tuple(map(cast, plain, types)))
            for inner, shape in read
            for plain in (
                [_of_type(e, types[i]) for i, e in enumerate(x for _, x in shape if not isinstance(x, Named))],
            )
        )
        step = Derived(name, Union(tuple(taken), tuple(branches)), span_of(place))
        relation = Relation((step,), (), self.catalog.cohort)
        own = iter(zip(taken, types, strict=True))
        shape = []
        for written, *expressions in zip(
            (written for written, _ in read[0][1]), *([e for _, e in side] for _, side in read), strict=True
        ):
            if isinstance(expressions[0], Named):
                shape.append((written, expressions[0]))
                continue
            column, of = next(own)
            cohorts = all(expression == self.cohort for expression in expressions)
            shape.append((written, self.cohort if cohorts else tree.Column(f"{name}.{column}", of)))
        if distinct:
            relation, _, shape = self.distinct(relation, (), shape, None, place)
        return self.placed(room, relation, (), shape), off

    def aligned(
        self, read: Sequence[tuple[_Room, Shape]], place: exp.Expr
    ) -> tuple[list[tuple[str, tree.Expr]], list[tree.Type]]:
        """The columns of a union besides the owner by the first side's names, and their common types."""
        source = self.source
        first = read[0][1]
        for _, shape in read:
            if len(shape) != len(first):
                raise source.refusal(
                    "syntax", "The sides of UNION have different columns.", place, accepted="as many"
                )
            for (name, one), (_, other) in zip(first, shape, strict=True):
                if isinstance(one, Named) != isinstance(other, Named):
                    raise source.refusal(
                        "crosses_students",
                        f"{name} is {self.catalog.owner} on one side of UNION and not on the other.",
                        place,
                        accepted=f"{self.catalog.owner} in the same place on both sides",
                    )
                if isinstance(other, Named) and other.presence is not None:
                    raise self.left_owner(place)
        if not any(isinstance(expression, Named) for _, expression in first):
            raise source.refusal(
                "crosses_students",
                "The sides of this UNION do not carry the student.",
                place,
                accepted=f"{self.catalog.owner} among the columns of both sides",
            )
        plain = [[e for _, e in shape if not isinstance(e, Named)] for _, shape in read]
        columns = [(name, e) for name, e in first if not isinstance(e, Named)]
        types = []
        for (name, _), *exprs in zip(columns, *plain, strict=True):
            found = {expr.type for expr in exprs} - {tree.NULL}
            kinds = {of.kind for of in found}
            if not kinds:
                types.append(tree.INTEGER)
            elif kinds == {"exact"}:
                types.append(tree.Type("exact", max(of.scale for of in found)))
            elif kinds == {"exact", "double"}:
                types.append(tree.DOUBLE)
            elif len(kinds) == 1:
                types.append(next(iter(found)))
            else:
                raise source.refusal(
                    "unsupported", f"{name} differs in type on the sides of UNION.", place, accepted="one type"
                )
        return columns, types

    # -- conditions on subqueries

    def once(self, room: _Room, scope: Scope, node: exp.Expr, ctes: Mapping[str, Cte]) -> tree.Expr:
        """EXISTS, or IN over a subquery: whether some row of the right side matches, as a column of its own."""
        source = self.source
        listed = type(node) is exp.In
        inside = _Room(right=True)
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
            shape, _ = self.shape(inside, query, ctes, node)
        compared = self.compared(inside, scope, node, wanted, shape) if listed else []
        return self.matched(room, inside, node, compared)

    def compared(
        self, inside: _Room, scope: Scope, node: exp.Expr, wanted: exp.Expr, shape: Shape
    ) -> list[tree.Expr]:
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

    def matched(self, room: _Room, inside: _Room, node: exp.Expr, compared: list[tree.Expr]) -> tree.Expr:
        """The column that tells whether a row of a subquery matches."""
        private = any(not self.is_public(scan) for scan in inside.scans)
        if private and not inside.tied:
            raise self.not_joined("the subquery", node)
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

    def inside_names(self, room: _Room) -> set[str]:
        """Every name that expressions within a room may use."""
        found = self.names(room) | ({room.cohort} if room.cohort is not None else set())
        for left in room.lefts:
            found |= {name for name, _ in left.columns} if not left.once else set()
            found |= {left.presence} if left.presence is not None else set()
        return found

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
        here = self.scope(named)
        carriers = scope.carrier(column), here.carrier(column)
        if carriers[0] is not None and carriers[1] is not None:
            if carriers[0].presence is not None:
                scope.column(column)
            return carriers[0], carriers[1]
        return scope.column(column), here.column(column)

    def left_join(self, room: _Room, scope: Scope, node: exp.Join, ctes: Mapping[str, Cte]) -> Scope:
        """A LEFT JOIN: its right side is a room of its own, whose columns may be NULL above it."""
        this, on, using = node.args["this"], node.args.get("on"), node.args.get("using") or ()
        inside, whole = _Room(right=True), scope
        scope = replace(scope, subquery=None, outer=None)  # ON sees the two sides alone
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
        private = any(not self.is_public(scan) for scan in inside.scans)
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
        shared = {identifier.name.lower(): one for identifier, one, _ in pairs if not isinstance(one, Named)}
        carriers = [one for _, one, _ in pairs if isinstance(one, Named)]
        return replace(
            whole,
            relations=[*scope.relations, above],
            shared={**scope.shared, **shared},
            shared_owner=carriers[0] if carriers else scope.shared_owner,
        )

    def exposed(self, inside: _Room, within: Named) -> tuple[Named, dict[str, tree.Expr]]:
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
        self.known.update(_nullable(columns, self.known))
        presence = None
        if within.person is not None:
            presence = tree.Column(f"{within.person}.{self.catalog.owner}", tree.TEXT)
        return Named(within.name, visible, within.owners, None, presence, within.off), columns

    def names(self, room: _Room) -> set[str]:
        """Every column name of the tables in a room."""
        return {f"{scan.prefix}{column}" for scan in room.scans for column in (*self.own(scan), self.catalog.owner)}

    def own(self, scan: Scan | Derived) -> Iterable[str]:
        """The columns of a table or a step by their own names."""
        return self.catalog.tables[scan.table].columns if isinstance(scan, Scan) else scan.types

    # -- conditions

    def conjuncts(self, room: _Room, scope: Scope, node: exp.Expr) -> list[tree.Expr]:
        """The conjuncts of WHERE or ON; equalities of owners join instead."""
        found = []
        for conjunct in _conjunct_nodes(node):
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

    def only_public(self, scan: Scan | Derived, node: exp.Expr) -> Exception:
        known = ", ".join(table.name for table in self.catalog.private_tables)
        return self.source.refusal(
            "unsupported",
            f"{scan.table if isinstance(scan, Scan) else 'This'} is a public table: read it where it is published.",
            node,
            accepted=f"one of {known}, joined with it",
        )


def _declared(columns: Mapping[str, tree.Expr], table: Table) -> Iterator[tuple[str, Range]]:
    """What the catalog says of each column, by its name in the question; of a public text the rows tell it."""
    for name, column in columns.items():
        own = declared(table.columns[name])
        if table.public and column.type == tree.TEXT and own.values is None and table.rows:
            cells = {row[name] for row in table.rows}
            own = listed(cells - {None}, nullable=None in cells)
        yield from ((part, replace(own, by=None)) for part in tree.columns_of(column))


def _handed_on(derived: Derived, known: Mapping[str, Range]) -> list[tuple[str, Range]]:
    """What columns of a step can be that hand on values as they are, where that is known."""
    pairs: list[tuple[str, Sequence[tree.Expr]]] = []
    match derived.step:
        case Grouped(_, _, keys, values):
            pairs += [(name, [key]) for name, key in keys]
            pairs += [(name, [v.arg]) for name, v in values if v.arg is not None and v.function in _VALUES]
        case Windowed(_, _, columns, windows):
            pairs += [(name, [column]) for name, column in columns]
            for name, value in windows:
                if value.arg is not None and value.function in _VALUES:
                    pairs.append((name, [value.arg, *([] if value.default is None else [value.default])]))
        case Union(names, branches):
            pairs += [(name, [b.columns[place] for b in branches]) for place, name in enumerate(names)]
    found = []
    for name, exprs in pairs:
        if all(tree.columns_of(expr) <= known.keys() for expr in exprs):
            with contextlib.suppress(QueryRefused):  # arithmetic without bounds is refused where it is proved
                whole = union(evaluate(expr, known) for expr in exprs)
                found.append((f"{derived.prefix}{name}", replace(whole, nullable=True, by=None)))
    return found


_VALUES = {"min", "max", "first", "lag", "lead", "first_value", "last_value", "nth_value"}


def _nullable(columns: Mapping[str, tree.Expr], known: Mapping[str, Range]) -> list[tuple[str, Range]]:
    """What the columns of a right side can be above it, where that is known: they are NULL where no row matched."""
    found = []
    for name, expression in columns.items():
        if tree.columns_of(expression) <= known.keys():
            with contextlib.suppress(QueryRefused):
                found.append((name, replace(evaluate(expression, known), nullable=True)))
    return found


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


def _off(scope: Scope) -> frozenset[str]:
    """The names in a SELECT that are switched off."""
    return frozenset().union(*(named.off for named in scope.relations))


def _plain_name(name: str) -> str:
    """A name of plain characters, for a column within a step."""
    low = name.lower()
    return low if low.isascii() and low.isidentifier() and not low.startswith("homeroom_") else "made"


def _of_type(expr: tree.Expr, of: tree.Type) -> tree.Expr:
    """NULL as a constant of a type; anything else as it is."""
    return tree.Constant(None, of) if expr.type == tree.NULL else expr


def _sides(node: exp.Expr, *, distinct: bool) -> list[exp.Expr]:
    """The sides of a chain of unions of one kind."""
    same = type(node) is exp.Union and bool(node.args.get("distinct")) == distinct
    if same and not any(node.args.get(name) for name in ("order", "limit", "offset", "with_")):
        return [side for each in (node.this, node.expression) for side in _sides(each, distinct=distinct)]
    return [node]
