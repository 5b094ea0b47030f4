"""What must hold of a question on a database and on its neighbour."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import duckdb

from engine import tree
from engine.analysis.frames import frame_of
from engine.analysis.intervals import assume, evaluate
from engine.backends import duckdb as backend
from engine.compile import Compiled, batches, compile_batch
from engine.froms import OWNER, Scope, from_clause, owner_name, owner_of, step_sql
from engine.preparation import planned
from engine.refusals import QueryRefused
from engine.sql import sql
from engine.statistic import NO_LIMITS
from engine.vault import unscaled

from .joins import Joined
from .pairs import stored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from engine.analysis.frames import Frame
    from engine.analysis.intervals import Range
    from engine.analysis.stepping import Made
    from engine.catalog import Catalog
    from engine.keysets import KeyList
    from engine.plan import Plan
    from engine.statistic import Statistic

    from .pairs import Pairs
    from .questions import Question

Vectors = list[list[int]]

Sparse = list[dict[int, int]]
"""For each statistic the cells that are not 0, by their place in the key list."""


class BrokenError(Exception):
    """What must hold does not.

    Attributes:
        kind: which rule; a smaller case must break the same one.
    """

    def __init__(self, kind: str, told: str) -> None:
        super().__init__(f"{kind}: {told}")
        self.kind = kind


@dataclass(frozen=True)
class Asked:
    """A question, planned and compiled.

    Attributes:
        compiled: the statement that runs.
        of_rows: the one in which every row is joined before it is counted.
    """

    plan: Plan
    compiled: Compiled | None
    of_rows: Compiled | None

    @property
    def statistics(self) -> Sequence[Statistic]:
        """What is measured."""
        return self.plan.statistics

    @property
    def keys(self) -> KeyList:
        """The groups in which it is measured."""
        return self.statistics[0].keys if self.statistics else self.plan.keys


@dataclass(frozen=True)
class Reached:
    """How near some student came to the claim of one statistic: `moved` of `claim`, squared."""

    statistic: Statistic
    moved: int
    claim: int

    @property
    def fully(self) -> bool:
        """Whether the claim is reached."""
        return self.moved == self.claim

    @property
    def share(self) -> float:
        """The share of the claim."""
        return math.sqrt(self.moved / self.claim)


def ask(catalog: Catalog, question: Question | Joined) -> Asked | None:
    """A question planned and compiled; None where it is refused.

    Where a limit bears on some of what is measured and not on the rest, it is left out: all is to be one statement.

    Raises:
        BrokenError: anything but a refusal came of it.
    """
    try:
        plan = planned(catalog, question.sql, question.cohorts, question.limits)
        if len(batches(plan.statistics)) > 1:
            plan = planned(catalog, question.sql, question.cohorts)
        if not plan.statistics:
            return Asked(plan, None, None)
        with patch("engine.compile.early", return_value=None):
            of_rows = compile_batch(catalog, plan.statistics)
        return Asked(plan, compile_batch(catalog, plan.statistics), of_rows)
    except QueryRefused:
        return None
    except Exception as failure:
        raise BrokenError("planning fails", f"{type(failure).__name__}: {failure}") from failure


def run(cursor: duckdb.DuckDBPyConnection, asked: Asked) -> Vectors:
    """The exact vectors, as Python's integers."""
    if asked.compiled is None:
        return []
    try:
        found = backend.run(cursor, asked.compiled, asked.keys, len(asked.statistics))
    except Exception as failure:
        raise BrokenError("running fails", f"{type(failure).__name__}: {failure}") from failure
    vectors = [[int(cell) for cell in vector] for vector in found]
    if [len(vector) for vector in vectors] != [len(asked.keys.rows)] * len(asked.statistics):
        raise BrokenError("shape", f"{[len(vector) for vector in vectors]}")
    return vectors


# -- the rules


def within(statistic: Statistic, difference: Collection[int], cohort: int | None) -> int:
    """The squared length of a difference, which must be within the claim and all that it rests on.

    Args:
        statistic: its claim.
        difference: what a vector and the vector without one student differ by, where they differ.
        cohort: the cohort of that student.
    """
    moved = sum(d * d for d in difference)
    if not moved:
        return 0
    claim, c, bound = statistic.l2_squared, statistic.contribution, statistic.bound
    if moved > claim:
        raise BrokenError("sensitivity", f"{statistic.label} moved {moved}, claimed {claim}")
    if cohort not in statistic.cohorts:
        raise BrokenError("cohorts", f"{statistic.label} of {statistic.cohorts} moved by one of {cohort}")
    if sum(map(abs, difference)) > c.rows * bound or max(map(abs, difference)) > c.rows_per_group * bound:
        raise BrokenError("contribution", f"{statistic.label}: {c} of ±{bound}, moved by {list(difference)}")
    in_proportion = statistic.limited is not None and statistic.limited.groups is not None
    if len(difference) > c.groups and not in_proportion:
        raise BrokenError("groups", f"{statistic.label}: {c}, moved by {list(difference)}")
    return moved


def fits(catalog: Catalog, asked: Asked, vectors: Vectors) -> None:
    """No cell is beyond what the public numbers say."""
    for statistic, vector in zip(asked.statistics, vectors, strict=True):
        most = catalog.max_students * statistic.contribution.rows * statistic.bound
        if any(abs(cell) > most for cell in vector):
            raise BrokenError("magnitude", f"{statistic.label}: a cell beyond {most}")


def neighbours(pairs: Pairs, asked: Asked, question: Question | Joined, *, again: bool) -> list[int]:
    """The greatest squared distance of each statistic over the loaded neighbours."""
    mine = run(pairs.whole.cursor(), asked)
    fits(pairs.catalog, asked, mine)
    by_student = students(pairs.whole.cursor(), pairs.catalog, asked)
    if not pairs.opted_out.isdisjoint(by_student):
        raise BrokenError("opted out", "a student who opted out is counted in research")
    greatest = each_student(asked, mine, by_student, pairs.cohorts)
    for other in pairs.others:
        if again:
            same = ask(other.vault.catalog, question)
            if same is None or same.plan.digest != asked.plan.digest:
                raise BrokenError("plan", f"another plan without {other.source}")
        theirs = run(other.vault.cursor(), asked)
        for i, statistic in enumerate(asked.statistics):
            pairs_of_cells = enumerate(zip(mine[i], theirs[i], strict=True))
            difference = {place: one - two for place, (one, two) in pairs_of_cells if one != two}
            greatest[i] = max(greatest[i], within(statistic, difference.values(), other.cohort))
            if difference != (by_student[other.owner][i] if other.owner in by_student else {}):
                raise BrokenError("others", f"{statistic.label}: without {other.source} others count differently")
    return greatest


def examine(
    pairs: Pairs, question: Question | Joined, *, again: bool = False, deep: bool = False
) -> list[Reached] | None:
    """Ask a question of a database and its neighbours, and demand all that must hold.

    Args:
        pairs: the databases.
        question: what is asked.
        again: plan it anew on each neighbour.
        deep: hold the records against what the analysis says of every expression, too.

    Returns:
        How near to each claim any student came; None where the question is refused.

    Raises:
        BrokenError: a rule is broken.
    """
    asked = ask(pairs.catalog, question)
    if asked is None:
        return None
    if isinstance(question, Joined):
        as_written(pairs, question, asked)
    if asked.compiled is None:
        return []
    for statistic in asked.statistics:
        if not set(statistic.cohorts) <= set(question.cohorts):
            raise BrokenError("cohorts", f"{statistic.label} scans {statistic.cohorts}")
    greatest = neighbours(pairs, asked, question, again=again)
    if deep:
        spared(pairs.whole.cursor(), pairs.catalog, asked, question.cohorts)
        ranges(pairs.whole.cursor(), pairs.catalog, asked)
        made(pairs.whole.cursor(), pairs.catalog, asked)
    return [
        Reached(statistic, moved, statistic.l2_squared)
        for statistic, moved in zip(asked.statistics, greatest, strict=True)
    ]


def as_written(pairs: Pairs, question: Joined, asked: Asked) -> None:
    """The counts before the noise are what the researcher's own text counts on the vault."""
    if (
        pairs.opted_out
        or not question.plain
        or question.released == "having"
        or question.limits != NO_LIMITS
        or tuple(question.cohorts) != pairs.catalog.cohorts
    ):
        return
    text = re.sub(rf"\b{pairs.catalog.owner}\b", OWNER, dataclasses.replace(question, released="").sql)
    text = text.replace("ANY_VALUE(", "MIN(")  # which of several values DuckDB takes is not said; ours is the least
    try:
        rows = pairs.whole.cursor().execute(text).fetchall()
    except duckdb.Error:
        return  # what ours says NULL of
    width = len(question.keys)
    if width != len(asked.keys.columns):
        return  # two of its keys are one column, as the cohort of two tables is
    wanted = {tuple(row[:width]): row[width] for row in rows if row[width]}
    vectors = run(pairs.whole.cursor(), asked) or [[0] * len(asked.keys.rows)]
    found = {key: cell for key, cell in zip(asked.keys.rows, vectors[0], strict=True) if cell}
    if found != wanted:
        differing = {k: (found.get(k), wanted.get(k)) for k in (found | wanted) if found.get(k) != wanted.get(k)}
        raise BrokenError("as written", f"{dict(list(differing.items())[:4])} by {text}")


# -- every student at once


def students(cursor: duckdb.DuckDBPyConnection, catalog: Catalog, asked: Asked) -> dict[Any, Sparse]:
    """The vectors each student would have alone, by one run of the same statement grouped by the owner as well."""
    width, size = len(asked.keys.columns), len(asked.statistics)
    places = {row: i for i, row in enumerate(asked.keys.rows)}
    found: dict[Any, Sparse] = {}
    if asked.of_rows is None:
        return found
    for owner, *row in cursor.execute(
        by_owner(
            asked.of_rows,
            owner_of(catalog, asked.statistics[0].relation),
            width,
            limited=asked.statistics[0].limited is not None,
        )
    ).fetchall():
        place = places.get(tuple(row[:width]))
        if place is None:
            raise BrokenError("keys", f"{row[:width]} is not among the groups")
        own = found.setdefault(owner, [{} for _ in range(size)])
        for i, cell in enumerate(row[width:]):
            if cell:
                own[i][place] = cell
    return found


def by_owner(compiled: Compiled, owner: str, keys: int, *, limited: bool) -> str:
    """A compiled statement with the owner before its columns, and in its groups."""
    text = compiled.sql
    if compiled.layout == "placed":
        text = text.partition(" LEFT JOIN (")[2].rpartition(") AS counted ON")[0]
    names = ", ".join(["person", *(f"k{i}" for i in range(keys))])
    if limited:
        head, rest = text.removeprefix("SELECT ").split(" FROM (SELECT *, ", 1)
        inner = rest.rpartition(") AS limited")[0]
        return f"SELECT owner AS person, {head} FROM (SELECT *, {inner}) AS limited GROUP BY {names}"
    head, scan, inner = text.partition(" FROM (SELECT ")
    inner = inner.rpartition(") AS scan")[0]
    return f"SELECT person, {head.removeprefix('SELECT ')}{scan}{owner} AS person, {inner}) AS scan GROUP BY {names}"


def each_student(
    asked: Asked, mine: Vectors, by_student: Mapping[Any, Sparse], cohorts: Mapping[Any, int]
) -> list[int]:
    """The greatest squared distance of each statistic over all students of the database.

    What the students bring must add up to the whole: then each student's share is the distance to the database
    without that student.
    """
    greatest = [0] * len(mine)
    left = [list(vector) for vector in mine]
    for owner, own in by_student.items():
        for i, statistic in enumerate(asked.statistics):
            greatest[i] = max(greatest[i], within(statistic, own[i].values(), cohorts.get(owner)))
            for place, cell in own[i].items():
                left[i][place] -= cell
    if any(cell for vector in left for cell in vector):
        raise BrokenError("others", "what the students bring does not add up to the whole")
    return greatest


# -- what the claims rest on


def spared(cursor: duckdb.DuckDBPyConnection, catalog: Catalog, asked: Asked, cohorts: Sequence[int]) -> None:
    """The cohorts a statistic does not touch have no row in it: scanning them changes nothing."""
    if all(set(statistic.cohorts) == set(cohorts) for statistic in asked.statistics):
        return
    wider = [dataclasses.replace(statistic, cohorts=tuple(sorted(cohorts))) for statistic in asked.statistics]
    compiled = compile_batch(catalog, wider)
    for statistic, one, two in zip(
        asked.statistics, run(cursor, asked), run(cursor, Asked(asked.plan, compiled, None)), strict=True
    ):
        if one != two:
            raise BrokenError("touched", f"{statistic.label} of {statistic.cohorts} has rows of other cohorts")


def ranges(cursor: duckdb.DuckDBPyConnection, catalog: Catalog, asked: Asked) -> None:
    """Every value on record lies in the range the analysis gives its expression."""
    frame = frame_of(catalog, asked.statistics[0].relation)
    known = frame.known
    source = from_clause(catalog, asked.statistics[0].relation, Scope(catalog.cohorts, "mandated"))
    parts = {
        tree.canonical(part): part
        for statistic in asked.statistics
        for condition in statistic.conditions
        for part in tree.walk(condition)
        if isinstance(part, tree.Arithmetic | tree.Cast | tree.Case | tree.Call) or part.type == tree.BOOLEAN
    }
    _observe(cursor, source, [(part, evaluate(part, known)) for part in parts.values()], ())
    for statistic in asked.statistics:
        narrowed = assume(statistic.conditions, known)
        if narrowed is None:
            raise BrokenError("range", f"{statistic.label} is measured, though no row can be in it")
        claimed: list[tuple[tree.Expr, Range]] = [
            (tree.Column(name, frame.columns[name].type), found)
            for name, found in narrowed.items()
            if name in frame.columns
        ]
        if statistic.centred is not None:
            claimed.append((statistic.centred.arg, evaluate(statistic.centred.arg, narrowed)))
        _observe(cursor, source, claimed, statistic.conditions)


def made(cursor: duckdb.DuckDBPyConnection, catalog: Catalog, asked: Asked) -> None:
    """What is claimed of every step is true of what it really makes: ranges, keys, caps, constants, rows, cohorts."""
    relations = {tree.canonical_relation(s.relation): s.relation for s in asked.statistics}
    for relation in relations.values():
        for step, claim in _steps(frame_of(catalog, relation)):
            _made(cursor, catalog, step, claim)


def _steps(frame: Frame) -> Iterator[tuple[tree.Derived, Made]]:
    """Every step of a relation, those within others too."""
    for scan in frame.relation.scans:
        if isinstance(scan, tree.Derived):
            yield scan, frame.made[scan.name]
            for inside in frame.inside[scan.name]:
                yield from _steps(inside)
    for left in frame.lefts:
        yield from _steps(left.frame)


def _made(cursor: duckdb.DuckDBPyConnection, catalog: Catalog, step: tree.Derived, claim: Made) -> None:
    """Hold the rows of one step against what is claimed of them."""
    table, types = claim.table, step.types
    text = step_sql(catalog, step, catalog.cohort, Scope(catalog.cohorts, "mandated"), None)
    shown = [f'"{owner_name(step.name)}" AS "{catalog.owner}"', f'"{catalog.cohort}"']
    shown += [f'"{step.prefix}{name}" AS "{name}"' for name in types]
    rows = f"(SELECT {', '.join(shown)} FROM ({text}) AS step)"
    _observe(cursor, rows, [(tree.Column(name, of), claim.known[name]) for name, of in types.items()], ())
    limits = [(key, 1) for key in table.unique]
    limits += [((catalog.owner, *cap.per), cap.rows) for cap in table.caps]
    limits += [((catalog.owner,), table.rows_per_student_max or 1)]
    for key, most in limits:
        names = ", ".join(f'"{name}"' for name in key)
        found = _one(cursor, f"SELECT max(n) FROM (SELECT COUNT(*) AS n FROM {rows} GROUP BY {names})")
        if found is not None and found > most:
            raise BrokenError("made rows", f"{step.name}: {found} rows agree in {key}, claimed {most}")
    for name in sorted(table.constants - {catalog.cohort}):
        each = f'COUNT(DISTINCT "{name}") + MAX(CAST("{name}" IS NULL AS INTEGER)) AS n'
        found = _one(cursor, f'SELECT max(n) FROM (SELECT {each} FROM {rows} GROUP BY "{catalog.owner}")')
        if found is not None and found > 1:
            raise BrokenError("made constants", f"{step.name}.{name} has {found} values of one student")
    cohorts = _one(cursor, f'SELECT list(DISTINCT "{catalog.cohort}") FROM {rows}')
    if not set(cohorts or ()) <= set(claim.cohorts):
        raise BrokenError("made cohorts", f"{step.name}: {cohorts}, claimed {claim.cohorts}")
    for check in claim.checks:
        if _one(cursor, f"SELECT COUNT(*) FROM {rows} WHERE ({sql(check)}) IS NOT TRUE"):
            raise BrokenError("made checks", f"{step.name}: {tree.canonical(check)} is not true of every row")


def _one(cursor: duckdb.DuckDBPyConnection, text: str) -> Any:
    try:
        return cursor.execute(text).fetchall()[0][0]
    except Exception as failure:
        raise BrokenError("running fails", f"{type(failure).__name__}: {failure}") from failure


def _observe(
    cursor: duckdb.DuckDBPyConnection,
    source: str,
    claimed: Sequence[tuple[tree.Expr, Range]],
    conditions: Sequence[tree.Expr],
) -> None:
    """Hold what the records have where the conditions are true against what is claimed of it."""
    if not claimed:
        return
    try:
        where = " AND ".join(sql(condition) for condition in conditions) or "TRUE"
        each = [f"{sql(expr)} AS e{i}" for i, (expr, _) in enumerate(claimed)]
    except QueryRefused:
        return  # too long to be written out
    found = ", ".join(f"list(DISTINCT e{i}), coalesce(bool_or(e{i} IS NULL), FALSE)" for i in range(len(each)))
    try:
        text = f"SELECT {found} FROM (SELECT {', '.join(each)} FROM {source} WHERE {where})"
        ((*cells,),) = cursor.execute(text).fetchall()
    except Exception as failure:
        raise BrokenError("running fails", f"{type(failure).__name__}: {failure}") from failure
    for (expr, claim), values, null in zip(claimed, cells[::2], cells[1::2], strict=True):
        seen = {value for value in values or () if value is not None} | ({None} if null else set())
        for outside in _outside([unscaled(value, expr.type) for value in seen], claim):
            raise BrokenError("range", f"{tree.canonical(expr)[:200]} is {outside!r}, claimed {claim}")


def _outside(values: Sequence[Any], claimed: Range) -> Iterator[Any]:
    for value in values:
        if value is None:
            if not claimed.nullable:
                yield value
        elif claimed.values is not None:
            if value not in claimed.values:
                yield value
        elif (
            (isinstance(value, float) and not math.isfinite(value))
            or (claimed.low is not None and value < claimed.low)
            or (claimed.high is not None and value > claimed.high)
        ):
            yield value


# -- the loader


def rows_of_others(pairs: Pairs) -> None:
    """Dropping a student leaves every other student's rows as they were, and none of that student's."""
    whole = stored(pairs.whole)
    for other in pairs.others:
        theirs = stored(other.vault)
        for name, rows in whole.items():
            kept = [row for row in rows if row[0] != other.owner]
            if theirs[name] != kept:
                gone = [row for row in kept if row not in theirs[name]]
                new = [row for row in theirs[name] if row not in kept]
                raise BrokenError("loader", f"without {other.source}, {name} lacks {gone[:5]} and has {new[:5]}")
        if other.vault.catalog != pairs.catalog:
            raise BrokenError("loader", f"without {other.source} the catalog is another")
