"""Makes a failing case small, and writes it as plain SQL.

First the question (outputs, conjuncts, keys, subexpressions), then the records (students, rows), as long as the
same rule is broken. The real planner, compiler and backend run on the vault's rows in a database in memory.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import sqlglot
from sqlglot import exp

from engine.compile import KEYS_TABLE
from engine.refusals import QueryRefused
from engine.sql import quoted
from engine.vault import OWNER, create_statement, stored_columns

from .compare import BrokenError, ask, examine
from .joins import Joined
from .pairs import Neighbour, Pairs, stored
from .questions import Node

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Iterator, Sequence

    from engine.catalog import Catalog, Table

    from .pairs import Stored
    from .questions import Output, Question

TRIES_MAX = 1_500


class Held:
    """Stored rows in a database in memory, in a vault's place."""

    def __init__(self, catalog: Catalog, rows: Stored) -> None:
        self.catalog = catalog
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        for table in (*catalog.public_tables, *catalog.private_tables):
            own = _public_rows(table) if table.public else rows[table.name]
            self._connection.execute(create_statement(table, "main"))
            if own:
                marks = ", ".join("?" for _ in own[0])
                self._connection.executemany(f"INSERT INTO {quoted(table.name)} VALUES ({marks})", own)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor."""
        return self._connection.cursor()

    def close(self) -> None:
        """Forget the rows."""
        self._connection.close()


def _public_rows(table: Table) -> list[tuple[Any, ...]]:
    """The rows of a public table as they are stored; those of the fuzz have no decimals."""
    return [tuple(row[column.name] for column in stored_columns(table)) for row in table.rows]


def tables_of(question: Question | Joined, catalog: Catalog) -> list[Table]:
    """The tables a question reads."""
    if isinstance(question, Joined):
        return [table for table in catalog.tables.values() if re.search(rf"\b{table.name}\b", question.sql)]
    return [catalog.tables[question.table]]


@dataclass(frozen=True)
class Case:
    """A failing case: a question on these rows, and on these rows without `owner`."""

    catalog: Catalog
    rows: Stored
    question: Question | Joined
    owner: uuid.UUID

    @property
    def fewer(self) -> Stored:
        """The rows without the student."""
        return {name: [row for row in rows if row[0] != self.owner] for name, rows in self.rows.items()}

    def broken(self) -> BrokenError | None:
        """The rule it breaks."""
        whole, other = Held(self.catalog, self.rows), Held(self.catalog, self.fewer)
        cohorts = set()
        for table in tables_of(self.question, self.catalog):
            if not table.public:
                place = 1 + [c.name for c in stored_columns(table)].index(self.catalog.cohort)
                cohorts |= {row[place] for row in self.rows[table.name] if row[0] == self.owner}
        neighbour: Any = Neighbour("student", self.owner, min(cohorts, default=None), other)  # type: ignore[arg-type]
        pairs = Pairs(self.catalog, whole, [neighbour])  # type: ignore[arg-type]
        try:
            examine(pairs, self.question, again=True, deep=True)
        except BrokenError as broken:
            return broken
        finally:
            pairs.close()
        return None


def shrunk(pairs: Pairs, question: Question | Joined, kind: str) -> Case | None:
    """The smallest case found that breaks the same rule; None where it does not show on the rows in memory."""
    rows = stored(pairs.whole)
    owners = [other.owner for other in pairs.others]
    owners += sorted(set(pairs.cohorts) - set(owners), key=str)

    def fails(case: Case) -> bool:
        if not any(row[0] == case.owner for own in case.rows.values() for row in own):
            return False  # the student who is taken away must be there
        broken = case.broken()
        return broken is not None and broken.kind == kind

    alone = ({name: [row for row in own if row[0] == owner] for name, own in rows.items()} for owner in owners)
    cases = [Case(pairs.catalog, own, question, owner) for owner, own in zip(owners, alone, strict=True)]
    cases += [Case(pairs.catalog, rows, question, owner) for owner in owners]
    first = next((case for case in cases if fails(case)), None)
    return None if first is None else smallest(first, fails)


def smallest(case: Case, fails: Callable[[Case], bool]) -> Case:
    """The smallest case that still fails, found step by step."""
    case = _with_fewer_rows(case, fails, _students(case))
    case = _with_smaller_question(case, fails)
    case = _with_fewer_rows(case, fails, _students(case))
    return _with_fewer_rows(case, fails, _single_rows(case))


# -- the question


def _with_smaller_question(case: Case, fails: Callable[[Case], bool]) -> Case:
    tries = 0
    again = True
    while again and tries < TRIES_MAX:
        again = False
        for question in smaller_questions(case.question, case.catalog):
            tries += 1
            candidate = dataclasses.replace(case, question=question)
            if fails(candidate):
                case, again = candidate, True
                break
            if tries >= TRIES_MAX:
                break
    return case


def _smaller_joined(question: Joined, catalog: Catalog) -> Iterator[Joined]:
    """With one relation, condition, group or aggregate less; what is then not understood is refused."""
    replace = dataclasses.replace
    for name, least in (("pieces", 1), ("where", 0), ("keys", 0), ("outputs", 1)):
        parts = getattr(question, name)
        if len(parts) > least:
            yield from (replace(question, **{name: _without(parts, i)}) for i in reversed(range(least, len(parts))))
    if question.released:
        yield replace(question, released="")
    if question.cohorts != catalog.cohorts:
        yield replace(question, cohorts=catalog.cohorts)
    for i, piece in enumerate(question.pieces):
        fewer = [replace(piece, on=_without(piece.on, j)) for j in range(len(piece.on)) if len(piece.on) > 1]
        fewer += [replace(piece, text=text) for text in smaller_texts(piece.text)]
        yield from (replace(question, pieces=(*question.pieces[:i], p, *question.pieces[i + 1 :])) for p in fewer)
    for i, (cte, text) in enumerate(question.ctes):
        for other in smaller_texts(text):
            yield replace(question, ctes=(*question.ctes[:i], (cte, other), *question.ctes[i + 1 :]))
    for i, part in enumerate(question.where):
        for other in smaller_texts(part):
            yield replace(question, where=(*question.where[:i], other, *question.where[i + 1 :]))


LISTS = ("expressions", "joins", "partition_by")
CLAUSES = ("where", "having", "qualify", "distinct", "order", "spec", "group")


def smaller_texts(text: str) -> Iterator[str]:
    """Texts of subqueries, or of conditions on them, with one thing less."""
    if "SELECT" not in text:
        return
    root = sqlglot.parse_one(text, read="duckdb")
    for place, node in enumerate(root.walk()):
        for change in _changes(node):
            other = root.copy()
            found = change(next(itertools.islice(other.walk(), place, None)))
            yield (other if found is None else found).sql("duckdb")


def _changes(node: exp.Expr) -> Iterator[Callable[[Any], exp.Expr | None]]:
    """What can be left out of a node; a change returns what stands in the place of the whole, if that is changed."""

    def put(name: str) -> Callable[[Any], exp.Expr | None]:
        def change(node: Any) -> exp.Expr | None:
            part = node.args[name].copy()
            if node.parent is None:
                return part  # type: ignore[no-any-return]
            node.replace(part)
            return None

        return change

    def drop(name: str, place: int | None = None) -> Callable[[Any], None]:
        def change(node: Any) -> None:
            every = node.args[name]
            node.set(name, None if place is None else [*every[:place], *every[place + 1 :]])

        return change

    if isinstance(node, exp.And | exp.Or | exp.SetOperation):
        yield from (put("this"), put("expression"))
    if isinstance(node, exp.Paren | exp.Not | exp.Filter):
        yield put("this")
    yield from (drop(name) for name in CLAUSES if node.args.get(name))
    for name in LISTS:
        parts = node.args.get(name)
        if isinstance(parts, list):
            yield from (drop(name, place) for place in reversed(range(len(parts))))


def smaller_questions(question: Question | Joined, catalog: Catalog) -> Iterator[Question | Joined]:
    """Questions with one thing less, the greatest first."""
    if isinstance(question, Joined):
        yield from _smaller_joined(question, catalog)
        return
    replace = dataclasses.replace
    for name, parts in (("outputs", question.outputs), ("where", question.where), ("keys", question.keys)):
        if len(parts) > (name == "outputs"):
            yield from (replace(question, **{name: _without(parts, i)}) for i in range(len(parts)))
    if question.cohorts != catalog.cohorts:
        yield replace(question, cohorts=catalog.cohorts)
    if question.style != "names":
        yield replace(question, style="names")
    for i, output in enumerate(question.outputs):
        for other in _smaller_outputs(output):
            yield replace(question, outputs=(*question.outputs[:i], other, *question.outputs[i + 1 :]))
    for i, conjunct in enumerate(question.where):
        for node in smaller_nodes(conjunct):
            yield replace(question, where=(*question.where[:i], node, *question.where[i + 1 :]))


def _without(parts: Sequence[Any], place: int) -> tuple[Any, ...]:
    return (*parts[:place], *parts[place + 1 :])


def _smaller_outputs(output: Output) -> Iterator[Output]:
    replace = dataclasses.replace
    if output.outer != "{0}":
        yield replace(output, outer="{0}")
    if output.condition is not None:
        yield replace(output, condition=None)
        yield from (replace(output, condition=node) for node in smaller_nodes(output.condition))
    if output.arg is not None:
        yield from (replace(output, arg=node) for node in smaller_nodes(output.arg))


PLAIN = {"number": ("1", "0"), "boolean": ("TRUE",), "text": ("''",)}


def smaller_nodes(node: Node) -> Iterator[Node]:
    """The expression with a part in its place, a constant, or a smaller part."""
    yield from (part for part in node.parts if part.kind == node.kind)
    if node.parts:
        yield from (Node(node.kind, text) for text in PLAIN[node.kind])
    for i, part in enumerate(node.parts):
        for other in smaller_nodes(part):
            yield dataclasses.replace(node, parts=(*node.parts[:i], other, *node.parts[i + 1 :]))


# -- the records

Chosen = set[tuple[str, int]]


def _students(case: Case) -> list[Chosen]:
    """The rows of each other student, and the rows of tables that are not asked."""
    groups: dict[Any, Chosen] = {}
    asked = {table.name for table in tables_of(case.question, case.catalog)}
    for name, rows in case.rows.items():
        for place, row in enumerate(rows):
            group = row[0] if name in asked else name
            if group != case.owner:
                groups.setdefault(group, set()).add((name, place))
    return list(groups.values())


def _single_rows(case: Case) -> list[Chosen]:
    return [{(name, place)} for name, rows in case.rows.items() for place in range(len(rows))]


def _with_fewer_rows(case: Case, fails: Callable[[Case], bool], groups: Sequence[Chosen]) -> Case:
    """Leave out groups of rows: all together, then halves, then one by one."""
    rows, left = case.rows, list(groups)
    gone: Chosen = set()
    size = len(left)
    while size:
        for start in range(0, len(left), size):
            tried = gone.union(*left[start : start + size])
            candidate = dataclasses.replace(case, rows=_leaving(rows, tried))
            if tried != gone and fails(candidate):
                gone = tried
        left = [group for group in left if not group <= gone]
        size //= 2
    return dataclasses.replace(case, rows=_leaving(rows, gone))


def _leaving(rows: Stored, gone: Chosen) -> Stored:
    return {name: [row for i, row in enumerate(own) if (name, i) not in gone] for name, own in rows.items()}


# -- as plain SQL


def script(case: Case) -> str:
    """The case as plain SQL that runs, with what is claimed and what happened."""
    question, tables = case.question, tables_of(case.question, case.catalog)
    lines = [f"-- {case.broken()}"]
    for table in tables:
        lines += [
            f"-- keys {table.unique}, at most {table.rows_per_student_max} rows of a student,",
            f"-- caps {[(cap.rows, cap.per) for cap in table.caps]}, checks {table.check_texts}",
            create_statement(table, "main") + ";",
        ]
        rows = _public_rows(table) if table.public else case.rows[table.name]
        lines += [_insert(table.name, row) for row in rows]
    lines += [
        "-- the question" + f", of the cohorts {question.cohorts}",
        *(f"-- {x}" for x in question.sql.split("\n")),
    ]
    asked = _planned(case)
    if asked is None or asked.compiled is None:
        return "\n".join(lines)
    for s in asked.statistics:
        lines += [f"-- claim: {s.label} moves by at most {s.l2_squared}, squared; {s.contribution}, ±{s.bound}"]
        lines += [f"--        of the cohorts {s.cohorts}"]
    if asked.compiled.layout == "placed":
        lines += _keys(asked)
    lines += [asked.compiled.sql + ";", "-- without the student"]
    student = f"WHERE {OWNER} = {_literal(case.owner)}"
    lines += [f"DELETE FROM {quoted(table.name)} {student};" for table in tables if not table.public]
    return "\n".join([*lines, asked.compiled.sql + ";"])


def _planned(case: Case) -> Any:
    try:
        return ask(case.catalog, case.question)
    except (BrokenError, QueryRefused):
        return None


def _insert(table: str, row: Sequence[Any]) -> str:
    return f"INSERT INTO {quoted(table)} VALUES ({', '.join(map(_literal, row))});"


def _keys(asked: Any) -> list[str]:
    names = ["i", *(f"k{i}" for i in range(len(asked.keys.columns)))]
    rows = [f"({', '.join(map(_literal, (i, *row)))})" for i, row in enumerate(asked.keys.rows)]
    return [f"CREATE TABLE {KEYS_TABLE} AS SELECT * FROM (VALUES {', '.join(rows)}) AS t({', '.join(names)});"]


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int():
            return str(value)
        case float():
            return f"'{value!r}'::DOUBLE"
    return "'" + str(value).replace("'", "''") + "'"
