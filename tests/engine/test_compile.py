"""The statement that runs: which rows it reads, and what a row adds, whatever it holds."""

from __future__ import annotations

import duckdb
import pytest

from engine.analysis.intervals import Range
from engine.backends import duckdb as backend
from engine.compile import centred, compile_batch, folded
from engine.preparation import planned
from engine.statistic import Centred
from engine.tree import BOOLEAN, DOUBLE, INTEGER, NULL, Case, Column, Constant, Type


def integers(measure, kind, values):
    """What the SQL of a measure makes of values."""
    statement = f"SELECT {centred(measure, 'x')} FROM (SELECT unnest($1::{kind}[]) AS x)"
    with duckdb.connect() as connection:
        return [row[0] for row in connection.execute(statement, [values]).fetchall()]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 4), (0, 5), (7, 7), (-9, -2)])
def test_no_exact_number_adds_more_than_its_bound(low, high):
    """Beyond its range a number counts as the range's end; an odd range is doubled, and so is its bound."""
    measure = Centred.of(Column("x", INTEGER), Range(low, high))
    values = [low - 10**9, low - 1, low, high, high + 1, 10**15]
    found = integers(measure, "BIGINT", values)
    assert max(map(abs, found)) == measure.bound
    clamped = [min(max(value, low), high) for value in values]
    assert [n * measure.unit + measure.offset for n in found] == clamped


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.1, 0.7), (1e6, 1e6 + 3), (-5e-7, 2e-9), (2.5, 2.5)])
def test_no_double_adds_more_than_its_bound(low, high):
    """Neither beyond its range, nor where it is infinite or not a number."""
    measure = Centred.of(Column("x", DOUBLE), Range(low, high))
    values = [low - 1e9, low, high, high + 1e9, float("inf"), float("-inf"), float("nan"), 1e300]
    found = integers(measure, "DOUBLE", values)
    assert max(map(abs, found)) <= measure.bound
    assert float(found[1] * measure.unit + measure.offset) == pytest.approx(low, abs=float(measure.unit))
    assert float(found[2] * measure.unit + measure.offset) == pytest.approx(high, abs=float(measure.unit))


def test_null_adds_nothing_after_centring():
    """Not the centre, not minus the centre: 0."""
    assert integers(Centred.of(Column("x", INTEGER), Range(0, 5, nullable=True)), "BIGINT", [None]) == [0]
    assert integers(Centred.of(Column("x", DOUBLE), Range(0.0, 5.0, nullable=True)), "DOUBLE", [None]) == [0]


def test_a_folded_case_adds_what_it_would_unfolded():
    """Each branch and the ELSE, NULL among them, add their own centred integer."""
    flag, tenths = Column("b", BOOLEAN), Type("exact", 1)
    cases = [
        (Constant(4, INTEGER), Constant(10, INTEGER), INTEGER),
        (Constant(1, tenths), Constant(None, NULL), tenths),
        (Constant(None, NULL), Constant(9, tenths), tenths),
    ]
    for then, other, of in cases:
        case = Case(((flag, then),), other, of)
        measure = Centred.of(case, Range(1, 10, nullable=True))
        with duckdb.connect() as connection:
            rows = connection.execute(f"SELECT {folded(measure)} FROM (VALUES (TRUE), (FALSE)) AS t(b)").fetchall()
        plain = [None if one.value is None else one.value * 10**of.scale for one in (then, other)]
        assert [row[0] for row in rows] == integers(measure, "BIGINT", plain)


@pytest.fixture
def counted(canonical):
    """What a question's statement gives over a few student years, with the label of each statistic."""
    rows = [
        (2022, 2020, 1, 400),
        (2022, 2025, None, 300),
        (2030, 2025, 2, None),
        (2037, 2025, 1, 100),
        (2037, 2025, None, 0),
    ]
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE student_year (cohort_year BIGINT, school_year BIGINT, schools_attended BIGINT, "
            "gpa BIGINT, homeroom_research BOOLEAN DEFAULT TRUE)"
        )
        connection.executemany("INSERT INTO student_year VALUES (?, ?, ?, ?, TRUE)", rows)

        def run(sql, cohorts):
            plan = planned(canonical, sql, cohorts)
            compiled = compile_batch(canonical, plan.statistics)
            vectors = backend.run(connection, compiled, plan.keys, len(plan.statistics))
            found = sorted((s.label, vector.tolist()) for s, vector in zip(plan.statistics, vectors, strict=True))
            return found, compiled.sql, plan.keys.rows

        yield run


def test_each_statistic_keeps_its_own_filter(counted):
    """A FILTER leaves out rows for its own statistic, a count or a sum, and for no other; the order does not matter."""
    parts = [
        "COUNT(*) FILTER (WHERE school_year = 2020) AS a",
        "SUM(gpa) FILTER (WHERE school_year = 2025 AND gpa IS NOT NULL) AS b",
        "COUNT(gpa) AS c",
    ]
    for chosen in (parts, parts[::-1]):
        found, *_ = counted(f"SELECT {', '.join(chosen)} FROM student_year", range(2020, 2040))
        of_sum = [("COUNT(*)", [3]), ("SUM(gpa) centred at 2.5", [50 - 150 - 250])]
        assert found == sorted([("COUNT(*)", [1]), ("COUNT(gpa)", [4]), *of_sum])


def test_a_scan_reads_no_cohort_between_those_that_pay(counted):
    """Classes that follow one another are a range; others are a list, and those in the gap are not read."""
    count = "SELECT COUNT(*) FROM student_year WHERE school_year = 2025"
    assert counted(count, (2022, 2037))[0] == [("COUNT(*)", [3])]
    assert counted(count, (2036, 2037))[0] == [("COUNT(*)", [2])]


def test_groups_placed_by_the_database_lie_in_the_order_of_the_key_list(counted, monkeypatch):
    """NULL is a group of its own, an empty group is 0, and the order is written down, not left to a join."""
    monkeypatch.setattr("engine.compile.PLACED_GROUPS_MAX", 0)
    found, text, groups = counted("SELECT schools_attended, COUNT(*) FROM student_year GROUP BY 1", range(2020, 2040))
    assert dict(zip(groups, found[0][1], strict=True)) == {
        (1,): 2, (2,): 1, (3,): 0, (4,): 0, (5,): 0, (6,): 0, (None,): 2
    }  # fmt: skip
    assert text.endswith(" ORDER BY wanted.i")


YEARS = "FROM student_year y JOIN school c ON c.school_id = y.school_id"


@pytest.mark.parametrize(
    ("sql", "early"),
    [
        (f"SELECT c.school_level, COUNT(*) AS n, AVG(y.gpa) AS g {YEARS} GROUP BY c.school_level", True),
        (
            f"SELECT c.locale, y.school_year, SUM(y.days_absent) AS d {YEARS} WHERE y.grade_level > '05' GROUP BY 1, 2",
            True,
        ),
        (f"SELECT COUNT(*) FILTER (WHERE y.econ_disadv) AS k, COUNT(y.gpa) AS n {YEARS}", True),
        (
            f"SELECT CASE WHEN c.is_charter THEN y.grade_level ELSE c.locale END AS k, COUNT(*) AS n {YEARS} GROUP BY 1",
            True,
        ),
        (
            f"SELECT s.sex, c.locale, COUNT(*) AS n {YEARS} JOIN student s ON s.student_key = y.student_key GROUP BY 1, 2",
            True,
        ),
        (f"SELECT y.cohort_year, c.locale, COUNT(*) AS n {YEARS} GROUP BY 1, 2", True),
        (f"SELECT COUNT(*) AS n {YEARS} WHERE c.locale = 'city'", False),
        (f"SELECT COUNT(DISTINCT y.student_key) AS n {YEARS}", False),
        (f"SELECT COUNT(*) FILTER (WHERE c.locale = 'city') AS n, COUNT(*) AS m {YEARS}", False),
        ("SELECT COUNT(*) AS n FROM student_year y LEFT JOIN school c ON c.school_id = y.school_id", True),
        (
            "SELECT COUNT(*) AS n FROM student_year y LEFT JOIN school c ON c.school_id = y.school_id AND c.is_charter",
            False,
        ),
        ("SELECT school_id, COUNT(*) AS n FROM student_year GROUP BY school_id", False),
    ],
)
def test_rows_counted_before_a_join_are_the_same_integers(sql, early, district, monkeypatch):
    """By whatever groups, filters and sums; where public rows are chosen, or students counted, rows are joined first."""
    vault = district._house.vault
    plan = planned(vault.catalog, sql, vault.catalog.cohorts)
    found = compile_batch(vault.catalog, plan.statistics)
    assert found.early == early
    assert district.explain(sql).early == early
    monkeypatch.setattr("engine.compile.early", lambda *_: None)
    joined = compile_batch(vault.catalog, plan.statistics)
    vectors = [
        [v.tolist() for v in backend.run(vault.cursor(), each, plan.statistics[0].keys, len(plan.statistics))]
        for each in (found, joined)
    ]
    assert vectors[0] == vectors[1]
    assert any(any(vector) for vector in vectors[0])


def test_rows_counted_early_are_of_those_that_pay(district):
    """Asked of one class, the counts before the join are of that class alone."""
    vault = district._house.vault
    sql = f"SELECT c.locale, COUNT(*) AS n {YEARS} GROUP BY c.locale"
    plan = planned(vault.catalog, sql, (2030,))
    found = compile_batch(vault.catalog, plan.statistics)
    assert found.early
    (vector,) = backend.run(vault.cursor(), found, plan.statistics[0].keys, 1)
    rows = vault.cursor().execute("SELECT COUNT(*) FROM student_year WHERE cohort_year = 2030").fetchall()
    assert sum(vector.tolist()) == rows[0][0] > 0
