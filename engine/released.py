"""Questions over released tables: HAVING, CASE and windows over estimates, joins and unions of answers.

Every aggregate SELECT in such a question becomes a part that is measured like any other question; the rest becomes
one statement over the parts' noisy tables. What is private never meets it: it sees nothing but noisy numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import advice, tree
from engine.above import Above, outer, totals
from engine.cell import SHARED, Cell, met
from engine.cells import SQL_TYPES, Desk, cell_of, condition_of, order_terms, unknown
from engine.pruned import pruned
from engine.refusals import QueryRefused
from engine.relations import Cte, alias_of, all_used, ctes_of, read
from engine.selected import group_keys, resolve, selected_columns, whole_number, with_aliases
from engine.source import nearest
from engine.steps import has_aggregate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.catalog import Catalog
    from engine.source import Source

PARTS_MAX = 20
"""Most aggregate SELECTs in one question."""

TEXT_MAX = 200_000
STARRED = "homeroom_starred"
"""Under which a column of * says which cell it is."""

HIDDEN = "sabrl"
"""Letters of the columns that go with one that has margins: its standard error, margins, its row in its part, and the
step of its error's lattice."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """A released relation.

    Attributes:
        sql: a SELECT that gives v0, v1, …, margins where columns have them, and i, by which it is ordered.
        size: how many rows it may have.
    """

    sql: str
    columns: tuple[tree.Made, ...]
    size: tree.Size


def combined(source: Source, node: exp.Expr, catalog: Catalog) -> tree.Combined:
    """The question of a statement over released tables.

    Raises:
        QueryRefused: with code, place, reason, and what would be accepted.
    """
    reader = _Reader(source, catalog)
    shape = reader.relation(node, {})
    if not reader.parts:
        raise source.refusal("unsupported", "This asks for nothing.", node, accepted="an aggregate such as COUNT(*)")
    return tree.Combined(tuple(reader.parts), shape.sql, shape.columns, shape.size, reader.chosen, reader.weighed)


@dataclass(slots=True)
class _Reader:
    source: Source
    catalog: Catalog
    parts: list[tree.Query] = field(default_factory=list)
    shapes: dict[int, _Shape] = field(default_factory=dict)
    known: dict[int, frozenset[str] | None] = field(default_factory=dict)
    chosen: bool = False
    unsettled: bool = False
    weighed: bool = False

    # -- what is released

    def is_released(self, node: exp.Expr, ctes: Mapping[str, Cte]) -> bool:
        """Whether a relation consists of noisy numbers."""
        return self.carried(node, ctes) is None

    def carried(self, node: exp.Expr, ctes: Mapping[str, Cte]) -> frozenset[str] | None:
        """Names under which a relation may carry the owner; None for one of noisy numbers.

        What groups by the owner is made within each student; what groups without it is measured.
        """
        if isinstance(node, exp.Table):
            cte = ctes.get(node.name.lower())
            if cte is None:
                return frozenset({self.catalog.owner.lower()})
            if id(cte.node) not in self.known:
                self.known[id(cte.node)] = self.carried(cte.node, cte.earlier)
            return self.known[id(cte.node)]
        if isinstance(node, exp.Query) and node.args.get("with_"):
            ctes = ctes_of(self.source, node.args["with_"], ctes)
        if isinstance(node, exp.Subquery):
            return self.carried(node.this, ctes)
        if isinstance(node, exp.SetOperation):
            sides = [self.carried(side, ctes) for side in (node.this, node.expression)]
            return None if None in sides else sides[0]
        if not isinstance(node, exp.Select):
            return frozenset()
        sources = [self.carried(each, ctes) for each in _sources(node)]
        if None in sources:
            return None
        names = frozenset().union(*(each for each in sources if each is not None))
        projected = {
            part.alias_or_name.lower(): part.unalias().name.lower()
            for part in node.expressions
            if isinstance(part.unalias(), exp.Column)
        }
        group = node.args.get("group")
        if group is not None or any(map(has_aggregate, node.expressions)):
            terms = [*(group.expressions if group is not None else ())]
            if group is not None and group.args.get("all"):
                terms += [part.unalias() for part in node.expressions]
            terms = [_pointed(node, term) for term in terms]
            columns = {term.name.lower() for term in terms if isinstance(term, exp.Column)}
            if not (columns | {projected.get(name, "") for name in columns}) & names:
                return None
        star = any(part.is_star for part in node.expressions)
        return frozenset({name for name, column in projected.items() if column in names} | (names if star else set()))

    def relation(self, node: exp.Expr, ctes: Mapping[str, Cte]) -> _Shape:
        """A SELECT or a set operation over released tables, or a part."""
        own = ctes_of(self.source, node.args.get("with_"), ctes)
        if isinstance(node, exp.SetOperation):
            shape = self.set_operation(node, own)
        elif isinstance(node, exp.Select):
            released = [self.is_released(each, own) for each in _sources(node)]
            if released and not any(released):
                shape = self.part(node, own)
            elif not released:
                raise advice.no_table(self.source, node)
            elif all(released):
                shape = self.select(node, own)
            else:
                raise self.mixed([each for each, noisy in zip(_sources(node), released, strict=True) if not noisy])
        else:
            raise self.source.refusal("unsupported", "This is not accepted here.", node, accepted="one SELECT")
        all_used(self.source, {name: cte for name, cte in own.items() if name not in ctes or cte is not ctes[name]})
        if len(shape.sql) > TEXT_MAX:
            raise self.source.refusal(
                "too_large", "The question is too long once it is written out.", node, accepted="a shorter one"
            )
        return shape

    def mixed(self, nodes: Sequence[exp.Expr]) -> QueryRefused:
        """A refusal of records, or of a public table, beside answers in FROM."""
        tables = [self.catalog.tables.get(each.name.lower()) for each in nodes if isinstance(each, exp.Table)]
        if len(tables) == len(nodes) and all(table is not None and table.public for table in tables):
            name = nodes[0].name
            return self.source.refusal(
                "unsupported",
                f"Answers cannot be joined with {name}, a public table.",
                nodes[0],
                accepted=f"JOIN {name} among the records that are counted, and its columns in GROUP BY there",
            )
        return self.source.refusal(
            "unsupported",
            "Answers cannot be joined with records.",
            nodes[0],
            accepted="the question asked by itself first, then its number written in",
        )

    # -- one aggregate SELECT over records

    def part(self, node: exp.Select, ctes: Mapping[str, Cte]) -> _Shape:
        """An aggregate SELECT: its aggregates and keys are measured, the rest is computed from the noisy table."""
        source = self.source
        if len(self.parts) >= PARTS_MAX:
            raise source.refusal("too_large", "Too many questions in one.", node, accepted=f"at most {PARTS_MAX}")
        expressions, group, having, qualify, *_ = source.consume(
            node, "expressions", "group", "having", "qualify", *_TAIL, "from_", "joins", "where", "with_"
        )
        asked = read(source, node, self.catalog, ctes)
        above = Above(asked.scope, [], totals=having is None)
        selected = with_aliases(source, selected_columns(source, expressions or []), asked.scope.names)
        spans = group_keys(above, group, selected)
        number = len(self.parts)
        items: list[tree.Item] = []
        found: dict[tree.Outer, Cell] = {}

        def cell(part: exp.Expr) -> Cell | None:
            value = _outer(above, part)
            if value is None:
                return None
            if value not in found:
                found[value] = _base(above, value, number, len(items))
                items.append(tree.Item(f"c{len(items)}", value))
            return found[value]

        query = tree.Query(asked.relation, asked.where, (), (), ())
        self.parts.append(query)
        desk = Desk(source, cell, {}, ("i",), groups=True, settled=having is None)
        sql, columns = self.made(node, desk, f"p{number}", selected, (having, qualify))
        if not items and group is None:
            raise source.refusal(
                "unsupported",
                "This asks for single rows, and rows never leave the district.",
                node,
                accepted="an aggregate such as COUNT(*), or GROUP BY",
            )
        if not items:
            items.append(tree.Item("c0", tree.KeyRef(0)))
        query = tree.Query(asked.relation, asked.where, tuple(above.keys), tuple(spans), tuple(items))
        self.parts[number] = pruned(query)
        return _Shape(sql, columns, number)

    # -- SELECT over released tables

    def select(self, node: exp.Select, ctes: Mapping[str, Cte]) -> _Shape:
        source = self.source
        expressions, from_, joins, where, group, having, qualify, *_ = source.consume(
            node, "expressions", "from_", "joins", "where", "group", "having", "qualify", *_TAIL, "with_"
        )
        (first,) = source.consume(from_, "this")
        tables = [self.table(first, ctes, 0)]
        text = tables[0].sql
        for position, join in enumerate(joins or (), 1):
            tables, text = self.join(tables, text, join, self.table(join.this, ctes, position))
        names = [table.name for table in tables if table.name]
        if len(set(names)) < len(names):
            raise source.refusal("syntax", "Two relations have one name.", node, accepted="an alias for one of them")

        def plain(part: exp.Expr) -> Cell | None:
            return self.column(tables, part) if isinstance(part, exp.Column) else None

        ties = tuple(f"t{position}.i" for position in range(len(tables)))
        if where is not None:
            (this,) = source.consume(where, "this")
            self.choose(tables, this)
            text += f" WHERE {condition_of(Desk(source, plain, {}, ties, windows=False), this)}"
        desk = Desk(source, plain, {}, ties, settled=having is None and self.settled)
        known = {column.name.lower() for table in tables for column in table.shape.columns}
        selected = with_aliases(source, self.everything(tables, expressions or []), known)
        if group is not None or any(has_aggregate(value) for _, value in selected):
            desk, clause = self.grouped(desk, group, selected)
            text += clause
            found = [part for _, value in selected for part in value.find_all(exp.AggFunc)]
            self.weighed |= not all(isinstance(part, exp.Sum) for part in found)
        sql, columns = self.made(node, desk, text, selected, (having, qualify))
        return _Shape(sql, columns, ("*", tuple(table.shape.size for table in tables)))

    def table(self, node: exp.Expr, ctes: Mapping[str, Cte], position: int) -> _Table:
        """A released CTE or subquery in FROM."""
        source = self.source
        this, alias = source.consume(node, "this", "alias")
        name = alias_of(source, alias)
        if isinstance(node, exp.Table):
            cte = ctes[this.name.lower()]
            cte.used = True
            if id(cte.node) not in self.shapes:
                self.shapes[id(cte.node)] = self.relation(cte.node, cte.earlier)
            shape, name = self.shapes[id(cte.node)], name or this.name.lower()
        else:
            shape = self.relation(this, ctes)
        return _Table(name, shape, f"({shape.sql}) AS t{position}", position)

    def join(self, tables: list[_Table], text: str, node: exp.Join, table: _Table) -> tuple[list[_Table], str]:
        source = self.source
        names = ("this", "side", "kind", "on", "using", "method")
        _, side, kind, on, using, method = source.consume(node, *names)
        if (
            method
            or side not in (None, "", "LEFT", "RIGHT", "FULL")
            or kind not in (None, "", "INNER", "CROSS", "OUTER")
        ):
            raise source.refusal(
                "unsupported", "This join is not accepted.", node, accepted="JOIN … ON, LEFT JOIN … ON"
            )
        both = [*tables, table]
        conditions = []
        for identifier in using or ():
            left = self.column(tables, exp.Column(this=identifier.copy()))
            right = self.column([table], exp.Column(this=identifier.copy()))
            self.chosen |= self.is_noisy(left) or self.is_noisy(right)
            conditions.append(f"{left.sql} = {right.sql}")
            one = {"RIGHT": right, "FULL": met(left, right)}.get(side or "", left)
            table.using[identifier.name.lower()] = one
        if on is not None:
            desk = Desk(
                source,
                lambda part: self.column(both, part) if isinstance(part, exp.Column) else None,
                {},
                (),
                windows=False,
            )
            self.choose(both, on)
            conditions.append(condition_of(desk, on))
        if side and not conditions:
            raise source.refusal("syntax", "An outer join needs ON.", node, accepted="LEFT JOIN … ON")
        return both, f"{text} {side or ''} JOIN {table.sql} ON {' AND '.join(conditions) or 'TRUE'}"

    def column(self, tables: Sequence[_Table], node: exp.Column) -> Cell:
        """The released column of a name."""
        this, qualifier = self.source.consume(node, "this", "table")
        if not isinstance(this, exp.Identifier):
            raise self.source.refusal("unsupported", "* stands for columns of SELECT.", node, accepted="a column")
        name = this.name.lower()
        wanted = None if qualifier is None else qualifier.name.lower()
        self.known_table(tables, wanted, node)
        last = _joined_last(tables, name)
        merged = [] if wanted is not None or last < 0 else [tables[last].using[name]]
        starred = node.meta.get(STARRED)
        found = (
            [starred]
            if starred is not None
            else merged
            + [
                table.cell(position)
                for table in (tables[last + 1 :] if merged else tables)
                if wanted in (None, table.name)
                for position, column in enumerate(table.shape.columns)
                if column.name.lower() == name
            ]
        )
        if not found:
            known = [column.name for table in tables for column in table.shape.columns]
            raise unknown(self.source, node, known)
        if len(found) > 1:
            raise self.source.refusal(
                "unknown_name",
                f"{node.name} could be several columns here.",
                node,
                accepted="a table's name before it",
            )
        return replace(found[0], public=self.settled and not self.is_noisy(found[0]))

    def known_table(self, tables: Sequence[_Table], name: str | None, node: exp.Expr) -> None:
        """Refuse a name before a column that no table has."""
        names = [table.name for table in tables if table.name]
        if name and name not in names:
            raise self.source.refusal(
                "unknown_name", f"Nothing here is called {name}.", node, accepted=nearest(name, names)
            )

    def choose(self, tables: Sequence[_Table], condition: exp.Expr) -> None:
        """Note whether a condition that decides which rows there are reads a noisy number."""
        columns = condition.find_all(exp.Column)
        self.chosen |= any(self.is_noisy(self.column(tables, column.copy())) for column in columns)

    @property
    def settled(self) -> bool:
        """Whether no noisy number had a part so far in which rows there are, in which groups, or in which order."""
        return not self.chosen and not self.unsettled

    def is_noisy(self, cell: Cell) -> bool:
        """Whether a cell may be other than a key of its part, unchanged, or one of several such."""
        if cell.public:
            return False
        return cell.base is None or not isinstance(self.parts[cell.base[0]].items[cell.base[1]].value, tree.KeyRef)

    def everything(self, tables: Sequence[_Table], nodes: list[exp.Expr]) -> list[tuple[str, exp.Expr]]:
        """The columns of SELECT, with * written out."""
        found: list[exp.Expr] = []
        for node in nodes:
            star = node.this if isinstance(node, exp.Column) and isinstance(node.this, exp.Star) else node
            if not isinstance(star, exp.Star):
                found.append(node)
                continue
            self.source.consume(star)
            wanted = node.table.lower() if isinstance(node, exp.Column) else ""
            self.known_table(tables, wanted, node)
            written: set[str] = set()
            for place, table in enumerate(tables):
                for position, column in enumerate(table.shape.columns if wanted in ("", table.name) else ()):
                    name = column.name.lower()
                    last = -1 if wanted else _joined_last(tables, name)
                    if place <= last and name in written:
                        continue
                    written |= {name} if place <= last else set()
                    part = exp.column(exp.to_identifier(column.name, quoted=True))
                    part.meta[STARRED] = tables[last].using[name] if place <= last else table.cell(position)
                    found.append(part)
        return selected_columns(self.source, found)

    def grouped(self, desk: Desk, group: exp.Group | None, selected: list[tuple[str, exp.Expr]]) -> tuple[Desk, str]:
        """What may stand beside aggregates over released rows, and the GROUP BY clause."""
        source = self.source
        keys: list[Cell] = []  # a group of one estimate's value is not that estimate, so it has no margin
        if group is not None:
            terms, everything = source.consume(group, "expressions", "all")
            nodes = list(terms or ()) + ([v for _, v in selected if not has_aggregate(v)] if everything else [])
            cells = [cell_of(desk, resolve(source, term, selected, prefer=())) for term in nodes]
            keys = [replace(cell, margins=None) for cell in cells]
        written = {key.sql: key for key in keys}

        def cell(part: exp.Expr) -> Cell | None:
            if has_aggregate(part) or isinstance(part, exp.Literal):
                return None
            try:
                found = written.get(cell_of(desk, part).sql)
            except QueryRefused:
                found = None
            if found is None and isinstance(part, exp.Column):
                desk.cell(part)
                raise source.refusal(
                    "unsupported",
                    f"{part.name} stands outside an aggregate and is not in GROUP BY.",
                    part,
                    accepted=f"{part.name} in GROUP BY, or in an aggregate",
                )
            return found

        clause = f" GROUP BY {', '.join(written)}" if written else ""
        self.unsettled |= not all(key.public for key in keys)
        settled = desk.settled and self.settled
        return Desk(source, cell, {}, tuple(written), inside=desk.cell, settled=settled), clause

    # -- what both have in common

    def made(
        self,
        node: exp.Select,
        desk: Desk,
        text: str,
        selected: Sequence[tuple[str, exp.Expr]],
        clauses: tuple[exp.Expr | None, exp.Expr | None],
    ) -> tuple[str, tuple[tree.Made, ...]]:
        """SELECT … FROM `text`, with HAVING, QUALIFY, DISTINCT, ORDER BY and LIMIT."""
        source = self.source
        having, qualify = clauses
        self.chosen |= any(node.args.get(name) for name in ("having", "qualify", "limit", "offset"))
        distinct, order, limit, offset = source.consume(node, *_TAIL, *(k for k in node.args if k not in _TAIL))[:4]
        cells = [cell_of(desk, value) for _, value in selected]
        aliases = {name.lower(): cell for (name, _), cell in zip(selected, cells, strict=True)}
        named = Desk(source, _named(desk, aliases), aliases, desk.ties, desk.inside, desk.windows)
        if having is not None:
            (this,) = source.consume(having, "this")
            _without_windows(source, this, selected)
            still = Desk(source, named.cell, aliases, named.ties, named.inside, windows=False)
            text += f" {'HAVING' if desk.inside is not None else 'WHERE'} {condition_of(still, this)}"
        if qualify is not None:
            (this,) = source.consume(qualify, "this")
            if not any(part.find(exp.Window) for part in (this, *(value for _, value in selected))):
                raise source.refusal(
                    "unsupported", "QUALIFY is a condition on windows, and here is none.", this, accepted="HAVING"
                )
            # a total over groups is a column of its part already, and QUALIFY without any window is an error
            text += f" QUALIFY {condition_of(named, this)} AND count(*) OVER () > 0"
        terms = [] if order is None else order_terms(named, order, cells)
        self.unsettled |= not all(cell.public for cell, _ in terms)
        self.chosen |= bool(distinct) and not all(cell.public for cell in cells)
        columns = tuple(
            tree.Made(name, cell.kind, cell.base, cell.margins is not None and not distinct, cell.draw, cell.public)
            for (name, _), cell in zip(selected, cells, strict=True)
        )
        written = [f"{cell.sql} AS v{position}" for position, cell in enumerate(cells)]
        kept = [f"v{position}" for position in range(len(cells))]
        if distinct:
            source.consume(distinct)
            if terms:
                raise source.refusal(
                    "unsupported",
                    "ORDER BY is not accepted beside DISTINCT.",
                    order,
                    accepted="GROUP BY for DISTINCT",
                )
            inner, ties = f"SELECT DISTINCT {', '.join(written)} FROM {text}", list(kept)
        else:
            for position, cell in enumerate(cells):
                if cell.margins is not None:
                    hidden = zip(HIDDEN, (*cell.margins, cell.row, cell.step), strict=True)
                    written += [f"{text} AS {letter}{position}" for letter, text in hidden]
                    kept += [f"{letter}{position}" for letter in HIDDEN]
            sorting = [(f"o{k}", how) for k, (_, how) in enumerate(terms)] + [
                (f"q{k}", "") for k in range(len(desk.ties))
            ]
            written += [f"{cell.sql} AS o{k}" for k, (cell, _) in enumerate(terms)]
            written += [f"{tie} AS q{k}" for k, tie in enumerate(desk.ties)]
            inner, ties = f"SELECT {', '.join(written)} FROM {text}", [f"{name}{how}" for name, how in sorting]
        by = f"ORDER BY {', '.join(ties)}" if ties else ""
        sql = f"SELECT {', '.join(kept)}, row_number() OVER ({by}) AS i FROM ({inner}) AS m"
        sql = _cut(sql, whole_number(source, limit), whole_number(source, offset))
        return sql, columns

    def set_operation(self, node: exp.SetOperation, ctes: Mapping[str, Cte]) -> _Shape:
        source = self.source
        words = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}
        word = words.get(type(node))
        this, other, distinct, order, limit, offset, *_ = source.consume(
            node, "this", "expression", "distinct", "order", "limit", "offset", "with_"
        )
        if word is None:
            raise source.refusal("unsupported", "This set operation is not accepted.", node, accepted="UNION ALL")
        sides = [self.relation(_unwrapped(source, side), ctes) for side in (this, other)]
        self.chosen |= limit is not None or offset is not None
        left, right = sides
        public = all(column.public for side in sides for column in side.columns)
        self.chosen |= (word != "UNION" or bool(distinct)) and not public
        if len(left.columns) != len(right.columns):
            raise source.refusal("syntax", f"The sides of {word} have different columns.", node, accepted="as many")
        every = word == "UNION" and not distinct
        columns = []
        for one, two in zip(left.columns, right.columns, strict=True):
            kinds = {one.kind, two.kind} - {"null"}
            if len(kinds) > 1 and not kinds <= {"integer", "double"}:
                raise source.refusal(
                    "unsupported", f"{one.name} differs in type on the sides of {word}.", node, accepted="one type"
                )
            kind = "double" if len(kinds) > 1 else next(iter(kinds), "null")
            base = one.base if one.base == two.base else None
            draw = one.draw if one.draw == two.draw else None
            margins = every and one.margins and two.margins
            columns.append(tree.Made(one.name, kind, base, margins, draw, one.public and two.public))
        texts = [_side(shape, columns, number) for number, shape in enumerate(sides)]
        plain = ", ".join(f"v{position}" for position in range(len(columns)))
        if every:
            joined = f"{texts[0]} UNION ALL {texts[1]}"
            hidden = [f"{letter}{position}" for position, c in enumerate(columns) if c.margins for letter in HIDDEN]
            listed, ties = ", ".join([plain, *hidden]), "side, i"
        else:
            bare = [f"SELECT {plain} FROM ({text}) AS e" for text in texts]
            joined = f"{bare[0]} {word}{'' if distinct else ' ALL'} {bare[1]}"
            listed, ties = plain, plain
        cells = [Cell(f"v{k}", column.kind, public=column.public) for k, column in enumerate(columns)]  # type: ignore[arg-type]
        aliases = {column.name.lower(): cell for column, cell in zip(columns, cells, strict=True)}
        desk = Desk(source, lambda _: None, aliases, (), windows=False)
        terms = [] if order is None else order_terms(desk, order, cells)
        self.unsettled |= not all(cell.public for cell, _ in terms)
        by = ", ".join([*(f"{cell.sql}{how}" for cell, how in terms), ties])
        sql = f"SELECT {listed}, row_number() OVER (ORDER BY {by}) AS i FROM ({joined}) AS u"
        sql = _cut(sql, whole_number(source, limit), whole_number(source, offset))
        return _Shape(sql, tuple(columns), ("+", (left.size, right.size)))


_TAIL = ("distinct", "order", "limit", "offset")


@dataclass(slots=True)
class _Table:
    """A released relation under its name in FROM.

    Attributes:
        using: what the columns stand for without a table's name on which USING joined it with those before it.
    """

    name: str
    shape: _Shape
    sql: str
    position: int
    using: dict[str, Cell] = field(default_factory=dict)

    def cell(self, position: int) -> Cell:
        """One of its columns."""
        column = self.shape.columns[position]
        value, kind = f"t{self.position}.v{position}", column.kind
        if not column.margins:
            return Cell(value, kind, column.base, public=column.public)  # type: ignore[arg-type]
        s, a, b, row, step = (f"t{self.position}.{letter}{position}" for letter in HIDDEN)
        return Cell(value, kind, column.base, (s, a, b), row, column.draw, step)  # type: ignore[arg-type]


def _joined_last(tables: Sequence[_Table], name: str) -> int:
    """The place of the last table that USING joined on a column; -1 for none."""
    return max((place for place, table in enumerate(tables) if name in table.using), default=-1)


def _pointed(node: exp.Select, term: exp.Expr) -> exp.Expr:
    """What an ordinal of GROUP BY points at."""
    if isinstance(term, exp.Literal) and term.name.isdecimal() and 1 <= int(term.name[:9]) <= len(node.expressions):
        pointed: exp.Expr = node.expressions[int(term.name[:9]) - 1].unalias()
        return pointed
    return term


def _sources(node: exp.Select) -> list[exp.Expr]:
    """What stands in FROM."""
    from_ = node.args.get("from_")
    return ([] if from_ is None else [from_.this]) + [join.this for join in node.args.get("joins") or ()]


def _outer(above: Above, node: exp.Expr) -> tree.Outer | None:
    """What a node asks of the records; None where it is made of such by something else."""
    if isinstance(node, exp.Literal | exp.Boolean | exp.Null | exp.Paren):
        return None
    try:
        value = outer(above, node)
    except QueryRefused:
        if isinstance(node, exp.Column | exp.AggFunc | exp.WithinGroup | exp.Filter | exp.Star):
            raise
        return None
    return None if isinstance(value, tree.Constant) else value


def _base(above: Above, value: tree.Outer, part: int, item: int) -> Cell:
    if isinstance(value, tree.KeyRef):
        kind: Any = {"exact": "integer"}.get(above.keys[value.index].type.kind, above.keys[value.index].type.kind)
        return Cell(f"c{item}", kind, (part, item), public=True)
    whole = isinstance(value, tree.Aggregate) and value.function in ("count", "students")
    margins = (f"s{item}", f"a{item}", f"b{item}")
    row = SHARED if totals(value) else "i"
    return Cell(f"c{item}", "integer" if whole else "double", (part, item), margins, row, (part, item), f"l{item}")


def _without_windows(source: Source, having: exp.Expr, selected: Sequence[tuple[str, exp.Expr]]) -> None:
    """Refuse a HAVING on a window that SELECT gives a name: windows are over the groups that HAVING leaves."""
    windows = {name.lower() for name, value in selected if value.find(exp.Window)}
    for column in having.find_all(exp.Column):
        if not column.table and column.name.lower() in windows:
            raise source.refusal(
                "unsupported",
                f"{column.name} is a window, and HAVING comes before windows.",
                column,
                accepted="QUALIFY instead of HAVING",
            )


def _named(desk: Desk, aliases: Mapping[str, Cell]) -> Any:
    """Names of HAVING, QUALIFY and ORDER BY: a column first, then an alias of SELECT."""

    def cell(node: exp.Expr) -> Cell | None:
        try:
            return desk.cell(node)
        except QueryRefused:
            found = aliases.get(node.name.lower()) if isinstance(node, exp.Column) and not node.table else None
            if found is None:
                raise
            return found

    return cell


def _unwrapped(source: Source, node: exp.Expr) -> exp.Expr:
    """A side of a set operation without its parentheses."""
    while isinstance(node, exp.Subquery | exp.Paren):
        (node,) = source.consume(node, "this")
    return node


def _cut(sql: str, most: int | None, skipped: int | None) -> str:
    """The rows that LIMIT and OFFSET leave."""
    if most is None and not skipped:
        return sql
    limit = "" if most is None else f" LIMIT {most}"
    return f"SELECT * FROM ({sql}) AS l ORDER BY i{limit} OFFSET {skipped or 0}"


def _side(shape: _Shape, columns: Sequence[tree.Made], number: int) -> str:
    """One side of a UNION ALL, its columns in the types of the whole."""
    types = [SQL_TYPES[column.kind] for column in columns]
    listed = [f"CAST(v{position} AS {of}) AS v{position}" for position, of in enumerate(types)]
    listed += [
        f"{letter}{position}" for position, column in enumerate(columns) if column.margins for letter in HIDDEN
    ]
    return f"SELECT {', '.join(listed)}, {number} AS side, i FROM ({shape.sql}) AS u{number}"
