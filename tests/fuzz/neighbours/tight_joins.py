"""Joined questions and groups by expressions whose claim a student can reach, and students who would.

For each question some students are made: with all rows that are permitted, or with all of few values, the same
in all tables. One of them should reach the claim exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import tree

from . import contents
from .catalogs import COHORT, OWNER, any_catalog
from .compare import examine
from .joins import Joined, Piece
from .pairs import dice, loaded_pairs
from .questions import literal

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.catalog import Column, Table

    from .catalogs import Declared
    from .pairs import Pairs
    from .tight import Shares

JOINS = (
    "inner on owner",
    "owner and key",
    "self-join",
    "public lookup",
    "left private",
    "left public",
    "subquery",
    "CTE",
)
KEYS = (
    "CASE",
    "comparison",
    "AND, OR",
    "arithmetic",
    "COALESCE",
    "CAST",
    "of a public table",
    "sharing columns",
    "with a bare column",
    "equated by a join",
    "of the cohort",
)
STUDENTS_MIN = 5_000
CANDIDATES = 7
FULL = 3
"""Of these candidates so many have all rows; the others all rows of few values."""

ROWS_MAX = 150
"""A student who can have more rows than this is not made for a question."""


@dataclass(frozen=True)
class Aim:
    """A question, of which kind, and the students who are made for it."""

    kind: str
    question: Joined
    students: list[contents.Rows]


class Aimer:
    """Plain joined questions."""

    def __init__(self, rng: random.Random, declared: Declared) -> None:
        self.rng, self.declared, self.catalog = rng, declared, declared.catalog
        self.tables = [t for t in self.catalog.private_tables if t.name != self.catalog.cohort_table]

    def told(self, table: Table) -> list[Column]:
        """Listed columns of a table's keys and caps."""
        names = {part for key in table.unique for part in key} | {part for cap in table.caps for part in cap.per}
        found = [table.columns[name] for name in sorted(names) if name != OWNER]
        return [column for column in found if column.type == tree.BOOLEAN or column.values is not None]

    # -- joins

    def join(self, kind: str) -> Aim | None:
        """A question with one kind of join."""
        rng = self.rng
        one, two = rng.choice(self.tables), rng.choice(self.catalog.private_tables)
        if kind == "self-join":
            two = one
        if kind in ("public lookup", "left public"):
            return self.public(kind)
        on = [f"b.{OWNER} = a.{OWNER}"]
        shared = [c for c in self.told(one) if any(c.name == d.name and c.type == d.type for d in self.told(two))]
        if kind != "inner on owner" and (kind != "left private" or rng.random() < 0.5):
            if not shared:
                return None
            on += [f"b.{c.name} = a.{c.name}" for c in rng.sample(shared, rng.randint(1, len(shared)))]
        text, ctes = two.name, ()
        pin = self.pin("", two)
        if kind in ("subquery", "CTE"):
            text = f"SELECT * FROM {two.name}" + (f" WHERE {pin[0]}" if pin else "")
            if kind == "CTE":
                text, ctes = "few", (("few", text),)
            text = text if kind == "CTE" else f"({text})"
        elif pin and kind != "left private":
            on.append(pin[0].replace(pin[1], f"b.{pin[1]}", 1))
        verb = "LEFT JOIN" if kind == "left private" else "JOIN"
        pieces = (Piece("", one.name, "a"), Piece(verb, text, "b", tuple(on)))
        pinned = {pin[1]: pin[2]} if pin and kind != "left private" else {}
        return self.aim(kind, one, pieces, pinned, ctes=ctes)

    def public(self, kind: str) -> Aim | None:
        """A lookup by place or exam."""
        ways = [
            (t, n, k) for t in self.tables for n, k in (("place", "place_id"), ("span", "exam")) if k in t.columns
        ]
        if not ways:
            return None
        table, name, key = self.rng.choice(ways)
        verb = "LEFT JOIN" if kind == "left public" else "JOIN"
        pieces = (Piece("", table.name, "a"), Piece(verb, name, "b", (f"b.{key} = a.{key}",)))
        return self.aim(kind, table, pieces, {})

    def pin(self, alias: str, table: Table) -> tuple[str, str, list[Any]] | None:
        """A pin of a key's column: its text, the column, what it leaves."""
        told = [c for c in self.told(table) if c.type != tree.BOOLEAN]
        if not told or self.rng.random() < 0.4:
            return None
        column = self.rng.choice(told)
        value = tree.told(self.rng.choice(column.values or ()), column.type)
        return f"{alias}{column.name} = {literal(value).sql}", column.name, [value]

    # -- groups

    def group(self, kind: str) -> Aim | None:  # noqa: C901 - one line for each kind
        """A question with groups by one kind of expression."""
        rng = self.rng
        tables = [t for t in self.tables if kind != "of a public table" or "place_id" in t.columns]
        table = rng.choice(tables or self.tables)
        listed = [c for c in self.told(table) if c.type != tree.BOOLEAN and 1 < len(c.values or ()) < 50]
        if not listed:
            return None
        column, other = rng.choice(listed), rng.choice(listed)
        numbers = [c for c in listed if c.type == tree.INTEGER]
        name, value, more = f"a.{column.name}", self.value(column), self.value(other)
        pieces: tuple[Piece, ...] = (Piece("", table.name, "a"),)
        match kind:
            case "CASE":
                keys = [f"CASE WHEN {name} = {value} THEN 'x' ELSE 'y' END"]
            case "comparison":
                keys = [f"{name} {rng.choice(['=', '<>'])} {value}"]
            case "AND, OR":
                keys = [f"({name} = {value} {rng.choice(['AND', 'OR'])} a.{other.name} <> {more})"]
            case "COALESCE":
                keys = [f"COALESCE(NULLIF({name}, {value}), {value})"]
            case "CAST":
                keys = [f"CAST({name} = {value} AS INTEGER)"]
            case "sharing columns":
                keys = [f"{name} = {value}", f"CASE WHEN {name} <> {value} THEN 1 ELSE 2 END"]
            case "with a bare column":
                keys = [f"{name} = {value}", f"a.{other.name}"]
            case "arithmetic" if numbers:
                keys = [
                    f"a.{rng.choice(numbers).name} {rng.choice(['+ 1', '* 2', '- a.' + rng.choice(numbers).name])}"
                ]
            case "of the cohort" if numbers:
                keys = [rng.choice([f"a.{COHORT} > {self.catalog.cohorts[0]}", f"a.{COHORT} - a.{numbers[0].name}"])]
            case "equated by a join":
                on = (f"b.{OWNER} = a.{OWNER}", f"b.{column.name} = {name}")
                pieces = (*pieces, Piece("JOIN", table.name, "b", on))
                keys = [f"b.{column.name} = {value}", f"CASE WHEN {name} = {value} THEN 1 ELSE 2 END"]
            case "of a public table" if "place_id" in table.columns:
                pieces = (*pieces, Piece("JOIN", "place", "b", ("b.place_id = a.place_id",)))
                keys = [rng.choice(["b.level = 1", "CASE WHEN b.flag THEN 'x' END", "b.year - 2020"])]
            case _:
                return None
        return self.aim(kind, table, pieces, {}, keys=tuple(keys))

    def value(self, column: Column) -> str:
        """One of a column's values."""
        return literal(tree.told(self.rng.choice(column.values or ()), column.type)).sql

    # -- students

    def aim(
        self,
        kind: str,
        table: Table,
        pieces: tuple[Piece, ...],
        pinned: dict[str, list[Any]],
        *,
        keys: tuple[str, ...] = (),
        ctes: tuple[tuple[str, str], ...] = (),
    ) -> Aim:
        """The question, with a pin of the first table or none."""
        pin = self.pin("a.", table)
        where = (pin[0],) if pin and pin[1] not in pinned else ()
        pinned = pinned | ({pin[1]: pin[2]} if pin and where else {})
        question = Joined(ctes, pieces, where, keys, ("COUNT(*)",), self.catalog.cohorts)
        return Aim(kind, question, [self.student(pinned, full=i < FULL) for i in range(CANDIDATES)])

    def student(self, pinned: dict[str, list[Any]], *, full: bool) -> contents.Rows:
        """A student with as many rows as are permitted: of all values where nothing is pinned, or of few."""
        rng = self.rng
        cohort = rng.choice(self.catalog.cohorts)
        few: dict[str, list[Any]] = {}
        found: contents.Rows = {}
        for table in contents.private_tables(self.catalog):
            told = [c.name for c in self.told(table)]
            pools = {c.name: contents.accepted(self.declared, c) for c in table.columns.values() if c.on}
            for name in told:
                few.setdefault(name, rng.sample(pools[name], rng.randint(1, min(3, len(pools[name])))))
                some = pinned.get(name) or (pools[name] if full else few[name])
                pools[name] = [value for value in pools[name] if value in some] or pools[name]
            pools[COHORT] = [cohort]
            rng.shuffle(told)
            order = [name for name in told if name != COHORT]
            found[table.name] = []
            for _ in range(3):  # columns outside the keys may break a check: try others
                others = {name: rng.choice(pool) for name, pool in pools.items()}
                rows = contents.fill(table, OWNER, self.declared.checks[table.name], pools, order, others)
                found[table.name] = max(found[table.name], rows, key=len)
        return found


def join_or_group(aimer: Aimer, kind: str) -> Aim | None:
    """A question of a kind of join or of group."""
    return aimer.join(kind) if kind in JOINS else aimer.group(kind)


def any_aims(
    seed: str,
    folder: Path,
    shares: Shares,
    size: int,
    kinds: Sequence[str] = (*JOINS, *KEYS),
    aimer_of: Callable[[random.Random, Declared], Any] = Aimer,
    ask: Callable[[Any, str], Aim | None] = join_or_group,
) -> tuple[Pairs, list[Aim]]:
    """A catalog with aims of the kinds that were tried least, and one database with the students of all."""
    for attempt in range(1_000):
        rng = dice(seed)(f"tight {attempt}")
        declared = any_catalog(rng)
        if declared.catalog.max_students >= STUDENTS_MIN and len(declared.places) < ROWS_MAX:
            break
    aimer = aimer_of(rng, declared)
    aims: list[Aim] = []
    for kind in sorted(kinds, key=lambda kind: (shares.tried[kind, ""], rng.random())):
        for _ in range(4):
            aim = ask(aimer, kind)
            if aim is not None:
                aims.append(aim)
                break
        if len(aims) == size:
            break
    students = {f"made{i}.{j}": rows for i, aim in enumerate(aims) for j, rows in enumerate(aim.students)}
    students |= {f"any{i}": contents.any_student(declared, rng) for i in range(3)}
    return loaded_pairs(declared, students, [rng.choice(sorted(students))], seed, folder), aims


def measure(pairs: Pairs, aims: list[Aim], shares: Shares) -> None:
    """Ask all questions of a database and count which claims some student reaches."""
    for aim in aims:
        for reached in examine(pairs, aim.question) or ():
            if reached.statistic.contribution.rows <= ROWS_MAX:
                told = f"{aim.question.sql}: {reached.moved}/{reached.claim} {reached.statistic.contribution}"
                shares.add((aim.kind, ""), told, fully=reached.fully)
