"""Questions whose claim a student can reach, and for each the students who would.

A claim that nobody can reach wastes budget. Each aim is a plain question with one kind of bound, and students made
for it: as many rows as the catalog permits where the question looks, with the argument at its ends.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine import tree
from engine.analysis import contribution
from engine.analysis.intervals import assume, declared_environment

from . import contents
from .catalogs import OWNER, any_catalog
from .compare import examine
from .pairs import dice, loaded_pairs
from .questions import Node, Output, Question, column_node, literal

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.catalog import Column, Table
    from engine.statistic import Statistic

    from .catalogs import Declared
    from .compare import Reached
    from .pairs import Pairs

AGGREGATES = ("count_star", "count_x", "count_if", "sum", "avg", "filter")
PINS = ("=", "IN", "range", "boolean", "group", "pin and group", "whole table", "contradiction")
BOUNDS = ("unique key", "cap", "rows_per_student_max", "one row per student")
AIMS = 40
"""Questions of one catalog."""

STUDENTS_MIN = 5_000


@dataclass(frozen=True)
class Aim:
    """A question, and what it is an instance of.

    Attributes:
        students: made for it.
    """

    aggregate: str
    pin: str
    question: Question
    students: Sequence[contents.Rows]


@dataclass
class Shares:
    """How many claims of each bucket there were, and how many some student reached."""

    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    reached: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, bucket: tuple[str, str], told: str, *, fully: bool) -> None:
        """Count one."""
        self.tried[bucket] += 1
        self.reached[bucket] += fully
        if not fully:
            self.missed[bucket].append(told)

    def share(self, bucket: tuple[str, str]) -> float:
        """The share that was reached."""
        return self.reached[bucket] / max(1, self.tried[bucket])

    def __str__(self) -> str:
        lines = []
        for kinds in (PINS, BOUNDS):
            lines.append(" " * 12 + "".join(f"{kind:>22}" for kind in kinds))
            for aggregate in AGGREGATES:
                cells = ((aggregate, kind) for kind in kinds)
                lines.append(
                    f"{aggregate:<12}" + "".join(f"{self.share(c):>15.0%} of{self.tried[c]:>4}" for c in cells)
                )
        return "\n".join(lines)


# -- questions


class Aimer:
    """Plain questions about one table."""

    def __init__(self, rng: random.Random, declared: Declared, table: Table) -> None:
        self.rng, self.declared, self.table = rng, declared, table
        told = {part for key in table.unique for part in key} | {part for cap in table.caps for part in cap.per}
        self.columns = [c for c in table.columns.values() if c.on and c.constant is None]
        self.told = [c for c in self.columns if c.name in told]
        self.pools = {c.name: contents.accepted(declared, c) for c in table.columns.values() if c.on}

    def pinned(self, pin: str) -> tuple[list[Node], dict[str, list[Any]], list[str]] | None:
        """Conjuncts, what they leave of each column, and the GROUP BY columns; None where the table has no such."""
        rng = self.rng
        if pin == "whole table":
            return [], {}, []
        if pin in ("group", "pin and group"):
            return self._grouped(pinned=pin == "pin and group")
        flags = [c for c in self.told if c.type == tree.BOOLEAN]
        lists = [c for c in self.told if c.type != tree.BOOLEAN]
        numbers = [c for c in lists if c.type.is_number]
        fitting = {"boolean": flags, "range": numbers, "contradiction": lists}.get(pin, lists)
        if not fitting:
            return None
        column = rng.choice(fitting)
        node, left = self._conjunct(column, pin)
        return [node], {column.name: left}, []

    def _grouped(self, *, pinned: bool) -> tuple[list[Node], dict[str, list[Any]], list[str]] | None:
        listed = [c for c in self.told if c.values is not None or c.name == "place_id"]
        if not listed or (pinned and len(self.told) < 2):
            return None
        key = self.rng.choice(listed)
        if not pinned:
            return [], {}, [key.name]
        column = self.rng.choice([c for c in self.told if c != key])
        node, left = self._conjunct(
            column, "boolean" if column.type == tree.BOOLEAN else self.rng.choice(["=", "IN"])
        )
        return [node], {column.name: left}, [key.name]

    def _conjunct(self, column: Column, pin: str) -> tuple[Node, list[Any]]:
        """A conjunct on a column, and the values it leaves."""
        rng, node, pool = self.rng, column_node(column), self.pools[column.name]
        one = rng.choice(pool)
        if pin == "boolean":
            texts = ["{0}", "({0} = TRUE)"] if one else ["(NOT {0})", "({0} = FALSE)"]
            return Node("boolean", rng.choice(texts), (node,)), [one]
        if pin == "IN":
            some = rng.sample(pool, min(len(pool), rng.choice([2, 3])))
            marks = ", ".join(f"{{{i + 1}}}" for i in range(len(some)))
            return Node("boolean", f"({{0}} IN ({marks}))", (node, *map(literal, some))), some
        if pin == "range":
            low, high = sorted([one, rng.choice(pool)])
            if rng.random() < 0.5:
                both = (node, literal(low), literal(high))
                return Node("boolean", "({0} BETWEEN {1} AND {2})", both), [v for v in pool if low <= v <= high]
            return Node("boolean", "({0} >= {1})", (node, literal(low))), [v for v in pool if v >= low]
        if pin == "contradiction":
            other = rng.choice([v for v in pool if v != one] or ["nowhere" if isinstance(one, str) else 12_345])
            return Node("boolean", "({0} = {1} AND {0} = {2})", (node, literal(one), literal(other))), []
        text = rng.choice(["({0} = {1})", "({1} = {0})"])
        return Node("boolean", text, (node, literal(one))), [one]

    def aim(self, aggregate: str, pin: str) -> Aim | None:
        """A question of a kind, with students for it."""
        rng = self.rng
        found = self.pinned(pin)
        if found is None:
            return None
        where, left, keys = found
        arg, ends = self._argument(aggregate, left, keys)
        if arg is None:
            return None
        output = arg
        if aggregate == "filter" and where:
            output = dataclasses.replace(arg, condition=where[0])
            where = []
        elif aggregate == "count_if":
            condition = where[0] if where and rng.random() < 0.5 else None
            if condition is not None:
                output, where, ends = Output("COUNT_IF({0})", condition), [], {}
        question = Question(self.table.name, (output,), tuple(where), tuple(keys), self.declared.catalog.cohorts)
        return Aim(aggregate, pin, question, self._students(left, keys, ends))

    # -- arguments

    def _argument(
        self, aggregate: str, left: Mapping[str, list[Any]], keys: Sequence[str]
    ) -> tuple[Output | None, dict[str, list[Any]]]:
        """An output, and the values of its columns with which a student would reach the most."""
        rng, taken = self.rng, {*left, *keys}
        if aggregate == "filter":
            return self._argument(rng.choice(["count_star", "count_x", "sum", "avg"]), left, keys)
        if aggregate == "count_star":
            return Output("COUNT(*)"), {}
        told = {c.name for c in self.told}
        free = [c for c in self.columns if c.name not in told | taken and c.name != self.declared.catalog.cohort]
        if aggregate in ("count_x", "count_if"):
            column = rng.choice(free or self.columns)
            there = [v for v in self.pools[column.name] if v is not None]
            if column not in free:
                return Output("COUNT({0})", column_node(column)), {}
            if aggregate == "count_x":
                return Output("COUNT({0})", column_node(column)), {column.name: there[:1]}
            return Output("COUNT_IF({0} IS NOT NULL)", column_node(column)), {column.name: there[:1]}
        form = "SUM({0})" if aggregate == "sum" else "AVG({0})"
        numbers = [c for c in free if c.type == tree.BOOLEAN or self._bounded(c)]
        several_exams = "exam" in told | taken and len(left.get("exam", ())) != 1  # with ends of their own
        numbers = [c for c in numbers if c.name != "points" or not several_exams]
        if not numbers:
            return None, {}
        column = rng.choice(numbers)
        return Output(form, self._number(column)), self._ends(column, left)

    def _bounded(self, column: Column) -> bool:
        return column.type.is_number and column_node(column).most is not None

    def _number(self, column: Column) -> Node:
        node = column_node(column)
        if column.type == tree.BOOLEAN:
            texts = [
                "CAST({0} AS INTEGER)",
                "{0}",
                "CASE WHEN {0} THEN 1 ELSE 0 END",
                "CASE WHEN {0} THEN 3 ELSE -4 END",
            ]
            return Node("number", self.rng.choice(texts), (node,))
        texts = ["{0}"] * 3 + [
            "({0} + 1)",
            "(-{0})",
            "({0} * 3)",
            "CAST({0} AS DOUBLE)",
            "CAST({0} AS DECIMAL(18, 4))",
        ]
        if column.nullable:
            texts += ["CASE WHEN {0} IS NOT NULL THEN {0} END"]
        return Node("number", self.rng.choice(texts), (node,))

    def _ends(self, column: Column, left: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """The least and the greatest value of a column; with points the exam they belong to."""
        if column.name == "points":
            spans = [span for span in self.declared.spans if span[0] in left.get("exam", [span[0]])]
            low = min(spans, key=lambda span: span[1])
            high = max(spans, key=lambda span: span[2])
            return {"points": [low[1], high[2]], "exam": [low[0], high[0]]}
        there = [v for v in self.pools[column.name] if v is not None]
        return {column.name: [min(there), max(there)]}

    # -- students

    def _students(
        self, left: Mapping[str, list[Any]], keys: Sequence[str], ends: Mapping[str, list[Any]]
    ) -> list[contents.Rows]:
        """One student for each end, in the cohort that permits most rows."""
        found = []
        for end in range(max((len(values) for values in ends.values()), default=1)):
            pools = {name: list(left.get(name, pool)) for name, pool in self.pools.items()}
            if not all(pools.values()):
                continue
            at = {name: values[end] for name, values in ends.items()}
            candidates = [self._rows(pools, keys, at, cohort) for cohort in self.declared.catalog.cohorts]
            found.append(max(candidates, key=lambda rows: len(rows[self.table.name])))
        return found

    def _rows(
        self, pools: dict[str, list[Any]], keys: Sequence[str], at: Mapping[str, Any], cohort: int
    ) -> contents.Rows:
        catalog = self.declared.catalog
        told = [c.name for c in self.told]
        order = [*keys, *(name for name in told if name not in keys)]
        best: list[contents.Row] = []
        for _ in range(4):  # columns outside the keys may break a check: try others
            others = {name: self.rng.choice(pool) for name, pool in pools.items()} | dict(at)
            others[catalog.cohort] = cohort
            rows = contents.fill(self.table, OWNER, self.declared.checks[self.table.name], pools, order, others)
            best = max(best, rows, key=len)
        person: contents.Rows = {table.name: [] for table in contents.private_tables(catalog)}
        home = catalog.tables[catalog.cohort_table]
        person[home.name] = [
            {c.name: contents.accepted(self.declared, c)[0] for c in home.columns.values()} | {catalog.cohort: cohort}
        ]
        if self.table.name == home.name:
            best = [{**row, catalog.cohort: cohort} for row in best]
        return person | {self.table.name: best} if best else person


# -- one catalog


def any_aims(seed: str, folder: Path, shares: Shares) -> tuple[Pairs, list[Aim]]:
    """A catalog with aims, of kinds that were tried least so far, and one database with the students of all."""
    for attempt in itertools.count():
        rng = dice(seed)(f"tight {attempt}")
        declared = any_catalog(rng)
        if declared.catalog.max_students >= STUDENTS_MIN:
            break
    kinds = sorted(itertools.product(AGGREGATES, PINS), key=lambda kind: (shares.tried[kind], rng.random()))
    aims: list[Aim] = []
    for aggregate, pin in [*kinds, *kinds]:
        tables = rng.sample(declared.catalog.private_tables, len(declared.catalog.private_tables))
        found = (Aimer(rng, declared, table).aim(aggregate, pin) for table in tables)
        aim = next((aim for aim in found if aim is not None), None)
        if aim is not None and len(aims) < AIMS:
            aims.append(aim)
    made = [rows for aim in aims for rows in aim.students]
    students = {f"made{i}": rows for i, rows in enumerate(made)}
    students |= {f"any{i}": contents.any_student(declared, rng) for i in range(3)}
    return loaded_pairs(declared, students, [rng.choice(sorted(students))], seed, folder), aims


def measure(pairs: Pairs, aims: Sequence[Aim], shares: Shares) -> None:
    """Ask all questions of a database and count which claims some student reaches."""
    for aim in aims:
        found = examine(pairs, aim.question)
        if found is None:
            continue
        if aim.pin == "contradiction":
            shares.add((aim.aggregate, aim.pin), aim.question.sql, fully=not found)
        elif found:
            told = f"{aim.question.sql}: " + ", ".join(f"{r.statistic.label} {r.moved}/{r.claim}" for r in found)
            fully = all(reached.fully for reached in found)
            shares.add((aim.aggregate, aim.pin), told, fully=fully)
            for bound in _binding(pairs, found):
                shares.add((aim.aggregate, bound), told, fully=fully)


def _binding(pairs: Pairs, found: Sequence[Reached]) -> set[str]:
    return {binding(pairs, reached.statistic) for reached in found}


def binding(pairs: Pairs, statistic: Statistic) -> str:
    """Which of a table's declarations gives the most rows of a student."""
    catalog, table = pairs.catalog, pairs.catalog.tables[statistic.relation.scans[0].table]
    if (catalog.owner,) in table.unique:
        return "one row per student"
    known = assume(statistic.conditions, declared_environment(table)) or {}
    bare = dataclasses.replace(table, unique=(), caps=())

    def rows(**kept: Any) -> int:
        return contribution.rows_basis(catalog, dataclasses.replace(bare, **kept), known).rows

    if rows() == statistic.contribution.rows:
        return "rows_per_student_max"
    return "cap" if rows(caps=table.caps) == statistic.contribution.rows else "unique key"
