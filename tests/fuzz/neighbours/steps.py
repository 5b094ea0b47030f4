"""Random questions built from values made per student: groups, DISTINCT, windows, unions, EXISTS and IN.

Steps stand wherever a table may: joined, on the right of a LEFT JOIN, in CTEs used twice, under other steps.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from engine import tree
from engine.catalog import Column

from .joins import Joiner, asked_of

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from engine.catalog import Catalog

    from .groups import ColumnGrammar
    from .joins import Joined

DEPTH = 3
COUNTS = (0, 1, 2, 3)
"""Numbers that what is counted is compared with."""


@dataclasses.dataclass
class Source:
    """What one step is made of.

    Attributes:
        text: FROM and WHERE.
        owner: the student's column.
        columns: as they are named within.
    """

    text: str
    owner: str
    columns: list[Column]
    grammar: ColumnGrammar


class Stepper(Joiner):
    """Makes FROM and WHERE of steps."""

    subqueries = 0.55
    counter = 0

    def derived(self) -> tuple[str, list[Column]]:
        """A step, or a plain subquery."""
        return self.step() if self.rng.random() < 0.85 else super().derived()

    def name(self, like: str | None = None) -> str:
        """A name of its own for a column of a step, told apart like the column it is made of."""
        root: Stepper = self
        while root.outer is not None:
            root = root.outer
        root.counter += 1
        found = f"m{root.counter}"
        if like is not None:
            self.base[found] = self.base.get(like, like)
            self.told |= {found} if like in self.told else set()
        return found

    def __init__(self, rng: random.Random, catalog: Catalog, **named: object) -> None:
        within = named.get("within")
        self.outer: Stepper | None = within if isinstance(within, Stepper) else None
        super().__init__(rng, catalog, **named)  # type: ignore[arg-type]

    def step(self) -> tuple[str, list[Column]]:
        """A step and its columns by their own names."""
        make = self.rng.choice([self.groups, self.groups, self.windows, self.windows, self.union, self.distinct])
        return make()

    # -- what it is made of

    def source_of(self) -> Source:
        """FROM and WHERE of a step."""
        rng = self.rng
        columns: list[Column] = []
        for depth in (self.depth - 1, *[0] * 20):  # a step may hand on nothing but the student
            if not columns:
                inner = type(self)(rng, self.catalog, plain=self.plain, depth=depth, within=self)
                pieces = inner.pieces(rng.choice([1, 1, 1, 2]))
                columns = [column for part in inner.parts for column in part.columns]
        grammar = inner.grammar(columns)
        where = list(inner.where)
        where += [grammar.pin(c).sql for c in rng.sample(grammar.told, min(len(grammar.told), rng.choice([0, 0, 1])))]
        where += [inner.subquery_condition()] if rng.random() < 0.1 else []
        text = " ".join(piece.sql for piece in pieces) + (f" WHERE {' AND '.join(where)}" if where else "")
        return Source(text, f"{inner.owner_part().alias}.{self.owner}", columns, grammar)

    def columns_for(self, source: Source, most: int, *, least: int = 0) -> list[tuple[str, Column]]:
        """Some columns of what a step is made of, with their names above it."""
        rng, found = self.rng, []
        some = source.grammar.told + source.columns
        for column in rng.sample(source.columns, min(len(source.columns), rng.randint(least, most))):
            chosen = rng.choice(some) if rng.random() < 0.4 else column
            if chosen.name not in [text for text, _ in found]:
                found.append((chosen.name, self.above(chosen)))
        return found

    def above(self, column: Column, *, nullable: bool = False) -> Column:
        """A column under a name of its own."""
        return dataclasses.replace(column, name=self.name(column.name), nullable=column.nullable or nullable)

    # -- groups

    def groups(self) -> tuple[str, list[Column]]:
        """GROUP BY the owner and more."""
        rng, source = self.rng, self.source_of()
        keys = [pair for pair in self.columns_for(source, 2) if pair[1].type != tree.DOUBLE]
        if rng.random() < 0.25:
            keys.append((source.grammar.key(plain=True), Column(self.name(), tree.BOOLEAN, nullable=True)))
            keys[-1] = (keys[-1][0], self.typed(keys[-1]))
        values = [self.aggregate(source) for _ in range(rng.choice([0, 1, 1, 2, 3]))]
        having = ""
        if rng.random() < 0.25:
            having = (
                f" HAVING {rng.choice(['COUNT(*) > 1', 'COUNT(*) <= 2', self.aggregate(source)[0] + ' IS NOT NULL'])}"
            )
        terms = [source.owner, *(text for text, _ in keys)]
        self.kinds |= {"groups"}
        text = self.selected(source, [*keys, *values])
        return f"{text} GROUP BY {', '.join(terms)}{having} ", [column for _, column in (*keys, *values)]

    def typed(self, key: tuple[str, Column]) -> Column:
        """A key expression's column: of a plain column that column's, else a boolean or what it is compared with."""
        text, column = key
        plain = text.isidentifier() or text.replace(".", "").isidentifier()
        if plain or text.startswith(("CASE", "COALESCE", "CAST")) or " + " in text or " * " in text or " - " in text:
            return dataclasses.replace(column, type=tree.INTEGER, values=COUNTS)
        return column

    def selected(self, source: Source, columns: Sequence[tuple[str, Column]], verb: str = "SELECT") -> str:
        """SELECT of the owner and some columns."""
        shown = [source.owner, *(f"{text} AS {column.name}" for text, column in columns)]
        return f"{verb} {', '.join(shown)} FROM {source.text}"

    def aggregate(self, source: Source) -> tuple[str, Column]:  # noqa: PLR0911 - one for each kind
        """An aggregate within a student."""
        rng, grammar = self.rng, source.grammar
        keep = f" FILTER (WHERE {grammar.atom().sql})" if rng.random() < 0.25 and not self.plain else ""
        column = rng.choice(source.columns)
        other = rng.choice(source.columns)
        counted = Column(self.name(), tree.INTEGER, values=COUNTS, low=0, high=40)
        self.told |= {counted.name}
        dice = rng.randrange(14 if not self.plain else 7)
        if dice <= 1:
            return f"COUNT(*){keep}", counted
        if dice == 2:
            return f"COUNT({rng.choice(['', 'DISTINCT '])}{column.name}){keep}", counted
        if dice == 3:
            if self.plain:  # DuckDB's COUNT_IF of nothing but NULL is NULL; ours is 0
                return f"COUNT(*) FILTER (WHERE {grammar.atom().sql})", counted
            return f"COUNT_IF({grammar.atom().sql}){keep}", counted
        if dice == 4:
            text = rng.choice(["MIN", "MAX", "MIN", "MAX", "ANY_VALUE"])
            return f"{text}({column.name}){keep}", self.above(column, nullable=True)
        if dice == 5:
            made = Column(self.name(), tree.BOOLEAN, nullable=True)
            return f"{rng.choice(['BOOL_OR', 'BOOL_AND'])}({grammar.atom().sql}){keep}", made
        if dice == 6 and self.plain:
            whole = [c for c in source.columns if c.type == tree.INTEGER and c.values is not None]
            return f"SUM({rng.choice(whole).name if whole else 1})", dataclasses.replace(counted, nullable=True)
        if dice <= 8:
            number = grammar.known(rng.choice([0, 0, 1]))
            return f"SUM({number.sql}){keep}", self.number(number.scale, number.most, 8)
        if dice <= 10:
            text = rng.choice(
                ["AVG", "AVG", "MEDIAN", "STDDEV", "STDDEV_POP", "VARIANCE", "VAR_POP", "STDDEV_SAMP", "VAR_SAMP"]
            )
            number = grammar.known(0)
            return f"{text}({number.sql}){keep}", self.number(None, number.most, 1)
        made = self.above(column, nullable=True)
        if dice == 11:
            return f"{rng.choice(['ARG_MAX', 'ARG_MIN'])}({column.name}, {other.name}){keep}", made
        return f"{rng.choice(['FIRST', 'LAST'])}({column.name} ORDER BY {self.order(source)}){keep}", made

    def number(self, scale: int | None, most: float | None, times: int) -> Column:
        """A made number."""
        of = tree.DOUBLE if scale is None else tree.Type("exact", scale)
        high = None if most is None else most * times
        low = None if high is None else -high
        return Column(self.name(), of, low=low, high=high, nullable=True)

    # -- windows

    def order(self, source: Source) -> str:
        """ORDER BY columns, mostly of few values: ties are what is looked for."""
        rng = self.rng
        few = [c for c in source.columns if c.values is not None or c.type == tree.BOOLEAN] or source.columns
        terms = []
        for _ in range(rng.choice([1, 1, 2])):
            column = rng.choice(few if rng.random() < 0.7 else source.columns)
            terms.append(column.name + rng.choice(["", "", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST"]))
        return ", ".join(dict.fromkeys(terms))

    def over(self, source: Source, *, ordered: bool | None = None, frame: bool = False) -> str:
        """OVER (PARTITION BY the owner …)."""
        rng = self.rng
        parts = [source.owner]
        parts += [rng.choice(source.grammar.told or source.columns).name] if rng.random() < 0.35 else []
        order = f" ORDER BY {self.order(source)}" if ordered or (ordered is None and rng.random() < 0.7) else ""
        span = ""
        if frame and order and rng.random() < 0.7:
            unit = rng.choice(["ROWS", "ROWS", "ROWS", "RANGE"]) if not self.plain else "RANGE"
            span = f" {unit} BETWEEN {self.ends(unit)}"
        return f"OVER (PARTITION BY {', '.join(dict.fromkeys(parts))}{order}{span})"

    def ends(self, unit: str) -> str:
        """The ends of a frame."""
        if unit == "RANGE":
            return self.rng.choice(
                [
                    "UNBOUNDED PRECEDING AND CURRENT ROW",
                    "CURRENT ROW AND UNBOUNDED FOLLOWING",
                    "CURRENT ROW AND CURRENT ROW",
                ]
            )
        return self.rng.choice(
            [
                "UNBOUNDED PRECEDING AND CURRENT ROW",
                "1 PRECEDING AND CURRENT ROW",
                "UNBOUNDED PRECEDING AND 1 PRECEDING",
                "1 PRECEDING AND 1 FOLLOWING",
                "1 FOLLOWING AND 2 FOLLOWING",
                "2 PRECEDING AND 1 PRECEDING",
                "1 FOLLOWING AND UNBOUNDED FOLLOWING",
                "CURRENT ROW AND UNBOUNDED FOLLOWING",
                "UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            ]
        )

    def windows(self) -> tuple[str, list[Column]]:
        """Rows with windows beside them."""
        rng, source = self.rng, self.source_of()
        columns = self.columns_for(source, 3)
        made = [self.window(source) for _ in range(rng.choice([1, 1, 2, 2, 3]))]
        last = ""
        if rng.random() < 0.3:
            kind, over = ("RANK", "DENSE_RANK")[rng.randrange(2)], self.over(source, ordered=True)
            kind = kind if self.plain else rng.choice([kind, "ROW_NUMBER", "ROW_NUMBER"])
            last = f" QUALIFY {kind}() {over} {rng.choice(['= 1', '<= 2', 'IN (1, 3)', '> 1'])}"
        self.kinds |= {"windows"}
        return self.selected(source, [*columns, *made]) + last + " ", [column for _, column in (*columns, *made)]

    def window(self, source: Source) -> tuple[str, Column]:  # noqa: PLR0911 - one for each kind
        """A window."""
        rng, grammar = self.rng, source.grammar
        column = rng.choice(source.columns)
        counted = Column(self.name(), tree.INTEGER, values=(1, 2, 3), low=1, high=40)
        self.told |= {counted.name}
        dice = rng.randrange(4 if self.plain else 12)
        if dice == 0:
            return f"{rng.choice(['RANK', 'DENSE_RANK'])}() {self.over(source, ordered=True)}", counted
        if dice == 1:
            arg = rng.choice(["*", column.name])
            return f"COUNT({arg}) {self.over(source, frame=True)}", dataclasses.replace(counted, values=COUNTS)
        if dice == 2:
            return (
                f"{rng.choice(['MIN', 'MAX'])}({column.name}) {self.over(source, frame=True)}",
                self.above(column, nullable=True),
            )
        if dice == 3:
            made = Column(self.name(), tree.BOOLEAN, nullable=True)
            text = rng.choice(["BOOL_OR", "BOOL_AND"])
            return f"{text}({grammar.atom().sql}) {self.over(source, frame=True)}", made
        if dice <= 6:
            return f"ROW_NUMBER() {self.over(source, ordered=True)}", counted
        if dice == 7:
            default = f", 1, {grammar.value(column).sql}" if rng.random() < 0.3 else rng.choice(["", ", 2", ", 0"])
            text = f"{rng.choice(['LAG', 'LEAD'])}({column.name}{default})"
            return f"{text} {self.over(source, ordered=True)}", self.above(column, nullable=True)
        if dice == 8:
            text = rng.choice(["FIRST_VALUE({0})", "LAST_VALUE({0})", "NTH_VALUE({0}, 2)"]).format(column.name)
            return f"{text} {self.over(source, ordered=True, frame=True)}", self.above(column, nullable=True)
        if dice == 9:
            return f"NTILE({rng.choice([1, 2, 3])}) {self.over(source, ordered=True)}", counted
        if dice == 10:
            text = rng.choice(["PERCENT_RANK()", "CUME_DIST()"])
            return f"{text} {self.over(source, ordered=True)}", self.number(None, 1.0, 1)
        number = grammar.known(rng.choice([0, 0, 1]))
        text = rng.choice(["SUM", "AVG"])
        made = self.number(None if text == "AVG" else number.scale, number.most, 8)
        return f"{text}({number.sql}) {self.over(source, frame=True)}", made

    # -- unions and DISTINCT

    def distinct(self) -> tuple[str, list[Column]]:
        """SELECT DISTINCT."""
        source = self.source_of()
        columns = self.columns_for(source, 3)
        self.kinds |= {"distinct"}
        return self.selected(source, columns, "SELECT DISTINCT") + " ", [column for _, column in columns]

    def union(self) -> tuple[str, list[Column]]:
        """UNION ALL, or UNION."""
        rng = self.rng
        first = self.source_of()
        columns = self.columns_for(first, 3, least=1)
        sides = [self.selected(first, columns)]
        for _ in range(rng.choice([1, 1, 2])):
            source = self.source_of()
            terms = [source.owner]
            for _, column in columns:
                alike = [c.name for c in source.columns if c.type == column.type]
                same = [n for n in alike if self.base.get(n) == self.base.get(column.name)]
                if rng.random() < 0.15 or not alike:
                    terms.append("NULL")
                else:
                    terms.append(rng.choice(same if same and rng.random() < 0.7 else alike))
            sides.append(f"SELECT {', '.join(terms)} FROM {source.text}")
        self.kinds |= {"union"}
        verb = rng.choice([" UNION ALL ", " UNION ALL ", " UNION "])
        return verb.join(sides) + " ", [dataclasses.replace(column, nullable=True) for _, column in columns]

    # -- conditions on subqueries

    def subquery_condition(self) -> str:
        """EXISTS or IN over a table, a subquery or a step, correlated in one way or another."""
        rng = self.rng
        mate = self.owner_part()
        alias = f"e{self.depth}"
        inner = type(self)(rng, self.catalog, plain=self.plain, depth=max(0, self.depth - 1), within=self)
        text, columns, table = inner.source(alias, nullable=False)
        grammar = inner.grammar(columns)
        some_class = (
            f"{alias}.{self.catalog.cohort} {rng.choice(['=', '>', '<=', '<>'])} {rng.choice(self.catalog.cohorts)}"
        )
        pairs = [
            (mine, theirs)
            for mine in columns
            for theirs in mate.columns
            if mine.type == theirs.type and mine.type != tree.DOUBLE
        ]
        alike = [pair for pair in pairs if self.base.get(pair[0].name) == self.base.get(pair[1].name)]
        some = rng.sample(alike or pairs, min(len(alike or pairs), rng.choice([0, 1, 1, 2])))
        where = [grammar.atom().sql] if rng.random() < 0.4 else []
        where += [some_class] if table is not None and rng.random() < 0.3 else []
        self.kinds |= {"subquery condition"}
        never = rng.choice(["", "", "NOT "])
        if rng.random() < 0.45:
            shown = [f"{alias}.{self.owner}"]
            wanted = [f"{mate.alias}.{self.owner}"]
            for mine, theirs in some[:1] if rng.random() < 0.4 else []:
                shown.append(mine.name)
                wanted.append(theirs.name)
            left = wanted[0] if len(wanted) == 1 else f"({', '.join(wanted)})"
            own = f" WHERE {' AND '.join(where)}" if where else ""
            return f"{left} {never}IN (SELECT {', '.join(shown)} FROM {text} AS {alias}{own})"
        ties = [f"{alias}.{self.owner} = {mate.alias}.{self.owner}"]
        for mine, theirs in some:
            verb = rng.choice(["=", "=", "<", ">=", "<>"]) if mine.type == tree.INTEGER else rng.choice(["=", "<>"])
            ties.append(f"{mine.name} {verb} {theirs.name}")
        return f"{never}EXISTS (SELECT 1 FROM {text} AS {alias} WHERE {' AND '.join([*ties, *where])})"


def any_stepped(
    rng: random.Random, catalog: Catalog, *, plain: bool | None = None, depth: int = DEPTH, joined: int = 3
) -> Joined:
    """A random question with steps within each student, on each other to some depth, of which some are joined."""
    plain = rng.random() < 0.25 if plain is None else plain
    stepper = Stepper(rng, catalog, plain=plain, depth=min(depth, rng.choice([1, 1, 2, DEPTH])))
    pieces = stepper.pieces(min(joined, rng.choice([1, 1, 1, 2, 2, 3])))
    if rng.random() < 0.3:
        one = stepper.subquery_condition()
        if rng.random() < 0.3:
            other = stepper.grammar([c for part in stepper.parts for c in part.columns]).atom().sql
            one = rng.choice([f"({one} OR {other})", f"CASE WHEN {one} THEN {other} ELSE TRUE END", f"(NOT {one})"])
        stepper.where.append(one)
    more = stepper.subquery_condition() if rng.random() < 0.3 and not plain else None
    question = asked_of(stepper, pieces)
    if more is not None and rng.random() < 0.4:
        return dataclasses.replace(question, outputs=(*question.outputs, f"COUNT(*) FILTER (WHERE {more})"))
    if more is not None:
        return dataclasses.replace(question, keys=(*question.keys, more))
    return question
