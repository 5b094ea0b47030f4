from __future__ import annotations

import re
import time

import duckdb
import pytest
from sqlglot.errors import ParseError

from engine.analysis.intervals import evaluate
from engine.compile import compile_batch
from engine.functions import BY_NAME, FUNCTIONS, Native
from engine.functions.page import page
from engine.parse import parse
from engine.planning import make_plan
from engine.refusals import QueryRefused
from engine.source import Source
from engine.sql import sql
from engine.tree import DATE

SHOWN = [(row, shown) for row in FUNCTIONS for shown in row.shows]
COLUMNS_A_QUESTION = 12


def question(expressions):
    counts = ", ".join(f"COUNT({text}) AS c{i}" for i, text in enumerate(expressions))
    return f"SELECT {counts} FROM student JOIN student_year USING (student_key) WHERE school_year = 2025"


def planned(text, catalog):
    return make_plan(Source(text), parse(text, catalog), catalog, frozenset(catalog.cohorts))


def test_there_are_many_and_each_tells_what_it_is():
    """Every row has a sentence, an example and at least one value; no name is another's."""
    assert len(FUNCTIONS) >= 75
    for row in FUNCTIONS:
        assert re.fullmatch(r"\S.*\.", row.about), row.name
        assert row.example
        assert row.shows, row.name
        assert all(name == name.upper() for name in (row.name, *row.names))


CANONICAL = [row for row in FUNCTIONS if row.family != "dates"]
"""The canonical schema has no dates; those are asked of the attendance district, in tests/attendance."""


@pytest.mark.parametrize("row", CANONICAL, ids=lambda row: row.name)
def test_the_example_of_each_is_accepted(row, canonical):
    """It is planned and compiled over the canonical schema."""
    plan = planned(question([row.example]), canonical)
    assert plan.statistics
    assert compile_batch(canonical, plan.statistics).sql


@pytest.mark.parametrize("place", range(0, len(CANONICAL), COLUMNS_A_QUESTION))
def test_the_examples_are_answered(place, district):
    """The records of a district give each an answer."""
    text = question([row.example for row in CANONICAL[place : place + COLUMNS_A_QUESTION]])
    (row,) = district.ask(text, epsilon=0.01).rows
    assert all(isinstance(cell, int | float) for cell in row)


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        pytest.param(
            row, shown, id=shown.text, marks=() if shown == row.shows[0] and place % 3 == 0 else pytest.mark.slow
        )
        for place, (row, shown) in enumerate(SHOWN)
    ],
)
def test_what_the_page_says_of_a_function_is_so(row, shown, tools):
    """Our SQL gives the value shown, the interval rule holds it, and DuckDB's own function agrees where it is meant to."""
    expr = tools.tree(shown.text)
    with duckdb.connect() as connection:
        ((own,),) = connection.execute(f"SELECT {sql(expr)}").fetchall()
        theirs = None if shown.own else connection.execute(f"SELECT {shown.text}").fetchall()[0][0]
    value = tools.unscaled(own, expr.type)
    assert tools.alike(value, shown.value)
    assert tools.within(own if expr.type == DATE else value, evaluate(expr, {}))
    assert shown.own or tools.alike(value, theirs), row.name


def test_native_functions_have_the_name_they_are_called_by():
    """The tree names a function by its row; one that is computed by the database is found again by that name."""
    for row in FUNCTIONS:
        if isinstance(row.how, Native):
            assert BY_NAME[row.name] is row


@pytest.fixture(scope="module")
def every_name():
    with duckdb.connect() as connection:
        names = connection.execute("SELECT DISTINCT lower(function_name) FROM duckdb_functions()").fetchall()
    return sorted(name for (name,) in names if re.fullmatch(r"[a-z_][a-z0-9_]*", name))


def test_every_function_of_duckdb_that_is_not_in_the_table_is_refused(every_name, tools):
    """By a refusal with a code and what is accepted instead, whatever it is given, and in no time."""
    assert len(every_name) > 1_000
    began = time.process_time()
    for name in every_name:
        if name.upper() in BY_NAME:
            continue
        for arguments in ("i", "t, 'a'"):
            refused = None
            try:
                tools.tree(f"{name}({arguments})")
            except QueryRefused as refusal:
                refused = refusal
            except ParseError:
                continue  # sqlglot counts some arguments itself
            assert refused is not None, name
            assert refused.code in ("unsupported", "crosses_students")
            assert refused.accepted
    assert time.process_time() - began < 30


@pytest.mark.slow
def test_every_function_of_duckdb_is_refused_anywhere_in_a_question(every_name, canonical):
    """In WHERE, among the answer's columns, in GROUP BY and in FROM: a refusal or an answer, and never a crash."""
    accepted = {"COUNT", "SUM", "AVG", "COUNT_IF", "COUNTIF", "MEAN"}
    for name in every_name:
        if name.upper() in BY_NAME or name.upper() in accepted:
            continue
        for text in (
            *(
                f"SELECT COUNT(*) FROM student_year WHERE {name}({each}) IS NULL"
                for each in ("gpa", "grade_level, 'a'")
            ),
            f"SELECT {name}(gpa), COUNT(*) FROM student_year GROUP BY 1",
            f"SELECT COUNT(*) FROM {name}('student_year')",
        ):
            with pytest.raises(QueryRefused) as caught:
                parse(text, canonical)
            assert caught.value.code in ("unsupported", "syntax", "crosses_students", "unknown_name"), text


@pytest.mark.parametrize(
    "operator", ["a & b", "a | b", "xor(a, b)", "a << 1", "a >> 1", "~a", "a -> 1", "a <-> b", "a @> b", "a && b", "a[1]", "a[1:2]", "[a]", "{'x': a}", "a GLOB 'x'", "a COLLATE nocase", "a BETWEEN SYMMETRIC 1 AND 2", "x -> x + 1", "INTERVAL 1 DAY", "ARRAY[a]", "MAP {a: b}", "(a, b)", "ROW(a, b)", "a IS NOT NULL OVER ()", "EXTRACT(hour FROM a)", "a AT TIME ZONE 'UTC'", "$1", "?", "TIMESTAMP '2020-01-01'", "TIME '12:00'", "b'1'", "x'00'", "@a!", "#1", "a!"],
)  # fmt: skip
def test_every_other_operator_is_refused(operator, canonical):
    """What stands in no row is accepted nowhere."""
    text = re.sub(r"\ba\b", "schools_attended", re.sub(r"\bb\b", "days_enrolled", operator))
    with pytest.raises(QueryRefused):
        parse(f"SELECT COUNT(*) FROM student_year WHERE ({text}) IS NULL", canonical)


@pytest.mark.parametrize(
    ("text", "near"),
    [("ROUNDED(i)", "ROUND"), ("SUBSTR_INDEX(t, 'a', 1)", "SUBSTRING"), ("POWR(i, 2)", "POWER"), ("CEILING_OF(d)", "CEIL"), ("REGEXP_MATCH(t, 'a')", "REGEXP_MATCHES")],
)  # fmt: skip
def test_a_refusal_names_the_nearest(text, near, tools):
    """What is accepted instead begins with what the name is like."""
    with pytest.raises(QueryRefused) as caught:
        tools.tree(text)
    assert near in caught.value.accepted.split(",")[0] or near in caught.value.accepted


WRONG = {
    "ABS": ["ABS(t)", "ABS(b)", "ABS(i, i)", "ABS()"],
    "MOD": ["t % 2", "MOD(i)", "MOD(i, b)"],
    "//": ["d // 2", "i // x", "t // 2"],
    "ROUND": ["ROUND(t)", "ROUND(d, i)", "ROUND(d, 10)", "ROUND(d, 1.5)", "ROUND(d, 1, 1)"],
    "POWER": ["POWER(i, j)", "POWER(2, i)", "POWER(i, 11)", "POWER(i, -1)", "i ** t"],
    "LOG": ["LOG(3, i)", "LOG(i, i)", "LOG(t)"],
    "GREATEST": ["GREATEST(i, t)", "GREATEST(b, b)", "GREATEST(t, 'a')"],
    "LIKE": ["i LIKE '1'", "t LIKE t", "t LIKE i", "t LIKE 'a' ESCAPE 'bb'", "t LIKE 'a!' ESCAPE '!'", "t ILIKE 'a' ESCAPE '!'"],
    "REGEXP": ["t ~ t", "t ~ '('", "t ~ 'a**'", "t ~ '(?i)a'", r"t ~ '\b'", r"t ~ '(a)\1'", "t ~ '(?=a)'", "t ~ '[[:alpha:]]'", "t ~ 'a{99}'", "t ~ '(a{50}){50}'", "REGEXP_EXTRACT(t, 'a', 1)", r"REGEXP_REPLACE(t, 'a', '\1')", "REGEXP_REPLACE(t, 'a', 'b', 'g')", "REGEXP_MATCHES(t, 'a', 'i')", "t ~ '(|a)*'", "t ~ '^*'"],
    "LEFT": ["LEFT(t, d)", "LEFT(i, 1)", "LEFT(t, 100000)", "SUBSTRING(t, 0)", "SUBSTRING(t, -2)", "SUBSTRING(t, 1, -1)"],
    "LPAD": ["LPAD(t, 1000000, 'x')", "LPAD(t, -1, 'x')", "LPAD(t, 3, '')"],
    "REPLACE": ["REPLACE(t, 'a', i)", "REPEAT(t, 3)", "TRANSLATE(t, 'aa', 'bc')", "SPLIT_PART(t, '', 1)", "SPLIT_PART(t, 'a', -1)"],
    "CONCAT": ["CONCAT(x, t)", "CONCAT(d, t)", "t || x", "CONCAT_WS(t)", "CONCAT()"],
    "CAST": ["CAST(d AS VARCHAR)", "CAST(x AS VARCHAR)", "CAST('0x10' AS INTEGER)", "CAST('1e3' AS INTEGER)", "CAST(h AS DATE)"],
}  # fmt: skip


@pytest.mark.parametrize("text", [text for texts in WRONG.values() for text in texts])
def test_arguments_that_do_not_fit_are_refused(text, tools):
    """A wrong type, a wrong number, a wrong constant: each is told with what would be accepted."""
    try:
        tools.tree(text)
    except ParseError:
        return  # sqlglot counts some arguments itself
    except QueryRefused as refused:
        told = refused
    else:
        raise AssertionError(text)
    assert told.code in ("unsupported", "too_large")
    assert told.accepted


def test_the_page_of_functions_is_that_of_the_table():
    """It has a line for each row."""
    assert sum(line.startswith("| `") for line in page().splitlines()) == len(FUNCTIONS)
