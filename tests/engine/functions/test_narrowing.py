"""What a comparison says of an expression holds for the same expression in the branch, and nowhere else."""

from __future__ import annotations

import itertools
import math

import duckdb
import pytest

from engine.analysis.intervals import assume, evaluate
from engine.parse import parse
from engine.planning import make_plan
from engine.ranges import Range, listed
from engine.refusals import QueryRefused
from engine.source import Source
from engine.sql import sql

SUBJECTS = ["i - j", "i * j", "-i", "d + i", "x * 2", "x - i", "d / j", "i % j", "ABS(i)", "ROUND(d)", "FLOOR(x)", "SQRT(j)", "CAST(d AS INTEGER)", "CAST(x AS DECIMAL(4, 1))", "COALESCE(i, d)", "NULLIF(i, 0)", "GREATEST(i, d)", "CASE WHEN b THEN i ELSE d END", "LENGTH(t)", "UPPER(t)"]  # fmt: skip
CONDITIONS = [
    "{0} BETWEEN -2 AND 2", "{0} > 1", "{0} >= 0.5", "{0} < 0", "{0} <= -1", "{0} = 2", "{0} <> 0", "{0} IN (0, 1, 2)", "{0} IS NOT NULL", "{0} IS NULL", "NOT ({0} IS NULL)",
    "{0} > 0 AND {0} < 2", "{0} > 0 OR b", "NOT ({0} > 0)", "({0} > 0) IS TRUE", "{0} > 0 AND b", "{0} = i", "NOT ({0} BETWEEN 0 AND 1)", "{0} BETWEEN 0 AND 1 OR {0} IS NULL",
]  # fmt: skip
FORMS = [
    "CASE WHEN {when} THEN {0} END", "CASE WHEN {when} THEN {0} ELSE -({0}) END", "CASE WHEN {when} THEN {0} * 2 ELSE 1 END", "COALESCE(CASE WHEN {when} THEN {0} END, {0})",
    "CASE WHEN {when} THEN CASE WHEN b THEN {0} END ELSE {0} END", "CASE WHEN b THEN {0} WHEN {when} THEN {0} END",
]  # fmt: skip


@pytest.fixture(scope="module")
def database():
    connection = duckdb.connect()
    connection.execute("CREATE TABLE r (i BIGINT, j BIGINT, d BIGINT, x DOUBLE, b BOOLEAN, t VARCHAR)")
    cells = [
        [-3, 0, 1, 2, None],
        [1, 5],
        [-15, 0, 5, 20, None],
        [-1.5, -0.0, 0.5, 2.0, None],
        [True, False, None],
        ["a", "bb", None],
    ]
    connection.executemany("INSERT INTO r VALUES (?, ?, ?, ?, ?, ?)", list(itertools.product(*cells)))
    return connection


def known():
    return {
        "i": Range(-3, 2, None, nullable=True),
        "j": Range(1, 5),
        "d": Range(-1.5, 2, None, nullable=True),
        "x": Range(-1.5, 2.0, None, nullable=True),
        "b": listed([True, False], nullable=True),
        "t": listed(["a", "bb"], nullable=True),
    }


SOME = [
    pytest.param(subject, marks=() if place % 12 == 0 else pytest.mark.slow) for place, subject in enumerate(SUBJECTS)
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("subject", SOME)
def test_no_row_leaves_a_narrowed_range(subject, form, tools, database):
    """Every value DuckDB computes lies in the range, whatever stands around the comparison: AND, OR, NOT, another branch."""
    tried = 0
    for condition in CONDITIONS:
        text = form.format(subject, when=condition.format(subject))
        try:
            expr = tools.tree(text, known())
            claimed = evaluate(expr, known())
        except QueryRefused:
            continue
        for (value,) in database.execute(f"SELECT DISTINCT {sql(expr)} FROM r").fetchall():
            assert tools.within(tools.unscaled(value, expr.type), claimed), text
        tried += 1
    assert tried > 5 or subject == "UPPER(t)"


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("subject", SOME)
def test_no_row_of_a_where_leaves_what_is_assumed(subject, condition, tools, database):
    """What is known of an expression where a condition of WHERE is true holds on every row that it leaves."""
    try:
        where = tools.tree(condition.format(subject), known())
        expr = tools.tree(subject, known())
        narrowed = assume((where,), known())
        claimed = None if narrowed is None else evaluate(expr, narrowed)
    except QueryRefused:
        return
    values = [
        value for (value,) in database.execute(f"SELECT DISTINCT {sql(expr)} FROM r WHERE {sql(where)}").fetchall()
    ]
    assert claimed is not None or not values
    for value in values:
        assert tools.within(tools.unscaled(value, expr.type), claimed)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("CASE WHEN i - j BETWEEN -2 AND 0 THEN i - j END", -2, 0),
        ("CASE WHEN x * 2 BETWEEN 0 AND 1 THEN x * 2 END", 0, 1),
        ("CASE WHEN ABS(i) <= 1 THEN ABS(i) END", 0, 1),
        ("CASE WHEN i - j > -2 AND b THEN i - j END", -2, 1),
        ("CASE WHEN i - j >= -2 THEN CASE WHEN i - j <= 0 THEN i - j END END", -2, 0),
        ("CASE WHEN i * j IN (2, 3) THEN i * j + 1 END", 3, 4),
        ("CASE WHEN i - j > 0 OR b THEN i - j END", -8, 1),
        ("CASE WHEN i - j > 0 THEN j - i END", -1, 8),
        ("CASE WHEN i - j > 0 THEN 1 ELSE i - j END", -8, 1),
        ("CASE WHEN i - j >= -6 THEN CASE WHEN i - j > 0 THEN 1 ELSE i - j END END", -6, 1),
    ],
)
def test_bounds_are_those_of_the_branch(text, low, high, tools):
    """The same expression, by its tree, and no other: not its negative, not under OR, not in the ELSE."""
    found = evaluate(tools.tree(text, known()), known())
    assert math.isclose(float(found.low), low)
    assert math.isclose(float(found.high), high)


def planned(text, catalog):
    return make_plan(Source(text), parse(text, catalog), catalog, frozenset(catalog.cohorts))


def test_a_researcher_narrows_a_gain_in_plain_sql(canonical):
    """AVG of a difference has the noise of the bounds that the question itself gives it."""
    join = "FROM student_year a JOIN student_year b ON b.student_key = a.student_key AND b.school_year = a.school_year + 1 WHERE a.school_year = 2024"
    wide = planned(f"SELECT AVG(b.gpa - a.gpa) {join}", canonical)
    narrow = planned(
        f"SELECT AVG(CASE WHEN b.gpa - a.gpa BETWEEN -0.5 AND 0.5 THEN b.gpa - a.gpa END) {join}", canonical
    )
    below = planned(f"SELECT AVG(b.gpa - a.gpa) {join} AND b.gpa - a.gpa BETWEEN -0.5 AND 0.5", canonical)
    assert [plan.statistics[0].l2_squared for plan in (wide, narrow, below)] == [500**2, 50**2, 50**2]


def test_what_cannot_be_true_leaves_no_row(canonical):
    """A composite that never meets a constant spares the whole question: nothing is drawn."""
    assert planned("SELECT COUNT(*) FROM student_year WHERE gpa + 1 > 7", canonical).statistics == ()
