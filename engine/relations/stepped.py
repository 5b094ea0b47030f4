"""Subqueries that group each student's rows, look along them, or put them under each other: steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from engine import tree
from engine.expressions import Named, Scope, cast, condition, convert
from engine.relations.base import Base, Room, Shape, conjunct_nodes, off_of, plain_name
from engine.relations.known import handed_on
from engine.selected import resolve
from engine.source import span_of
from engine.steps import Stage, has_aggregate, has_window, own_name
from engine.tree import Branch, Derived, Grouped, Relation, Union, Windowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.relations.ctes import Cte


class Steps(Base):
    """Reads steps within each student."""

    __slots__ = ()

    def stepped(
        self, room: Room, node: exp.Select, ctes: Mapping[str, Cte], place: exp.Expr
    ) -> tuple[Shape, frozenset[str]]:
        """A subquery that groups each student's rows or looks along them: one, two or three steps on each other."""
        source = self.source
        names = ("expressions", "group", "having", "qualify", "distinct", "from_", "joins", "where", "with_")
        expressions, group, having, qualify, distinct, *_ = source.consume(node, *names)
        expressions = expressions or []
        inner = Room(right=False)
        scope = self.select(inner, node, ctes)
        if not inner.persons:
            raise self.only_public(inner.scans[0], place)
        parts = [*expressions, *([] if qualify is None else [qualify])]
        grouping = group is not None or having is not None or any(map(has_aggregate, parts))
        stage = Stage(
            self.fresh("per_student", node) if grouping else None,
            self.fresh("along", node) if any(map(has_window, parts)) else None,
            reserved=frozenset(self.reserved),
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
            relation, where = self.alone(step), tree.conjuncts(waiting)
        if stage.windowed is not None:
            exprs = [*(e for _, e in shape if not isinstance(e, Named)), *last]
            relation, where, exprs = self.along(stage, relation, where, exprs, last, place)
            plain = iter(exprs)
            shape = [(name, e if isinstance(e, Named) else next(plain)) for name, e in shape]
        if distinct is not None:
            relation, where, shape = self.distinct(relation, where, shape, distinct, place)
        return self.placed(room, relation, where, shape), off_of(scope)

    def alone(self, step: Derived) -> Relation:
        """The relation of a step and nothing else."""
        return Relation((step,), (), self.catalog.cohort)

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
        for part in conjunct_nodes(this):
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
        by_owner, by_cohort, keys = False, False, dict[tree.Expr, str]()
        for term in nodes:
            part = resolve(source, term, selected, prefer=scope.names)
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
        return self.alone(step), tree.conjuncts(found[cut:]), found[:cut]

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
                keys[expression] = own_name(plain_name(written), {*keys.values(), *self.reserved})
        step = Derived(
            name, Grouped(relation, where, tuple((own, key) for key, own in keys.items()), ()), span_of(place)
        )
        columns: Shape = [
            (written, e if isinstance(e, Named) or e == self.cohort else tree.Column(f"{name}.{keys[e]}", e.type))
            for written, e in shape
        ]
        return self.alone(step), (), columns

    def placed(self, room: Room, relation: Relation, where: Iterable[tree.Expr], shape: Shape) -> Shape:
        """Let the last of some steps stand in a room; the owner is that step's."""
        (step,) = relation.scans
        if isinstance(step, Derived):
            self.known.update(handed_on(step, self.known, self.catalog))
        room.scans.append(step)
        room.persons[step.name] = step.name
        if room.cohort is None:
            room.cohort = f"{step.name}.{self.catalog.cohort}" if room.right else self.catalog.cohort
        carrier = Named(step.name, {}, frozenset({self.catalog.owner.lower()}), step.name)
        here: Mapping[tree.Expr, tree.Expr] = {self.cohort: tree.Column(room.cohort, tree.INTEGER)}
        room.conjuncts += [tree.substituted(conjunct, here) for conjunct in where]
        return [(name, carrier if isinstance(e, Named) else tree.substituted(e, here)) for name, e in shape]

    def united(
        self, room: Room, node: exp.SetOperation, ctes: Mapping[str, Cte], place: exp.Expr
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
        read: list[tuple[Room, Shape]] = []
        off: frozenset[str] = frozenset()
        for side in sides:
            self.fresh("side", place)
            inner = Room(right=False)
            shape, own_off = self.shape(inner, side, ctes, place)
            if not inner.persons:
                raise self.only_public(inner.scans[0], place)
            read.append((inner, shape))
            off |= own_off
        columns, types = self.aligned(read, place)
        taken: list[str] = []
        for written, _ in columns:
            taken.append(own_name(plain_name(written), {*taken, *self.reserved}))
        branches = []
        for inner, shape in read:
            plain = (expression for _, expression in shape if not isinstance(expression, Named))
            cells = tuple(cast(tree.of_type(e, of), of) for e, of in zip(plain, types, strict=True))
            branches.append(Branch(inner.relation, tree.conjuncts(inner.conjuncts), cells))
        step = Derived(name, Union(tuple(taken), tuple(branches)), span_of(place))
        relation = self.alone(step)
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
        self, read: Sequence[tuple[Room, Shape]], place: exp.Expr
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
            common = tree.common_type(expr.type for expr in exprs)
            if common is None:
                raise source.refusal(
                    "unsupported", f"{name} differs in type on the sides of UNION.", place, accepted="one type"
                )
            types.append(tree.INTEGER if common == tree.NULL else common)
        return columns, types


def _sides(node: exp.Expr, *, distinct: bool) -> list[exp.Expr]:
    """The sides of a chain of unions of one kind."""
    same = type(node) is exp.Union and bool(node.args.get("distinct")) == distinct
    if same and not any(node.args.get(name) for name in ("order", "limit", "offset", "with_")):
        return [side for each in (node.this, node.expression) for side in _sides(each, distinct=distinct)]
    return [node]
