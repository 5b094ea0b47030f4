"""Joins, subqueries and CTEs: what they mean, and what one student can do to them."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from engine import tree
from engine.backends import duckdb as backend
from engine.catalog_file import catalog_of_document, resolve
from engine.compile import compile_batch
from engine.preparation import planned
from engine.refusals import QueryRefused
from tests.engine.counting import counted, plainly

QUESTIONS = [
    "SELECT s.race_ethnicity, s.sex, COUNT(*) FROM student_year y JOIN student s ON s.student_key = y.student_key WHERE y.school_year = 2025 GROUP BY s.race_ethnicity, s.sex",
    "SELECT c.school_level, COUNT(*) FROM student_year y JOIN school c ON c.school_id = y.school_id GROUP BY c.school_level",
    "SELECT c.school_level, COUNT(*) FROM school c JOIN student_year y USING (school_id) WHERE c.locale = 'city' GROUP BY 1",
    "SELECT c.locale, y.grade_level, COUNT(*) FROM school c, student_year y WHERE y.school_id = c.school_id AND y.school_year = 2025 GROUP BY 1, 2",
    "SELECT y.school_year, COUNT(*) FROM student_year y JOIN student_year z ON z.student_key = y.student_key AND z.school_year = y.school_year + 1 WHERE z.school_id <> y.school_id GROUP BY 1",
    "SELECT COUNT(*) FROM student_year y LEFT JOIN graduation g ON g.student_key = y.student_key WHERE g.student_key IS NULL AND y.school_year = 2025",
    "SELECT g.outcome, COUNT(*) FROM student s LEFT JOIN graduation g ON g.student_key = s.student_key AND g.cohort_status = 'in_cohort' GROUP BY 1",
    "SELECT COUNT(*), COUNT(p.student_key), COUNT(DISTINCT y.student_key), COUNT(DISTINCT p.student_key) FROM student_year y LEFT JOIN program p ON p.student_key = y.student_key AND p.school_year = y.school_year",
    "SELECT COUNT(DISTINCT g.student_key), COUNT(*) FROM course_grade g WHERE g.school_year = 2025",
    "SELECT s.race_ethnicity, COUNT(DISTINCT g.student_key) FROM course_grade g JOIN student s ON s.student_key = g.student_key WHERE g.course_level = 'ap_ib' GROUP BY 1",
    "WITH y AS (SELECT student_key, school_year, grade_level AS g FROM student_year WHERE has_iep) SELECT a.g, COUNT(*) FROM y AS a JOIN y AS b ON a.student_key = b.student_key AND b.school_year = a.school_year GROUP BY 1",
    "SELECT is_high, COUNT(*) FROM (SELECT y.*, CASE WHEN c.school_level = 'high' THEN 1 ELSE 0 END AS is_high FROM student_year y LEFT JOIN school c ON c.school_id = y.school_id AND c.is_charter) q WHERE school_year >= 2024 GROUP BY is_high",
    "SELECT p.cte, COUNT(*) FROM student s LEFT JOIN (SELECT student_key, 1 AS cte FROM program WHERE program_type = 'cte' AND school_year = 2025) p USING (student_key) GROUP BY 1",
    "SELECT has_iep AND english_learner, COUNT(*) FROM student_year GROUP BY 1",
    "SELECT CASE WHEN gpa >= 3 THEN 'high' WHEN gpa IS NOT NULL THEN 'low' END AS band, school_year, COUNT(*) FROM student_year GROUP BY 1, 2".replace(
        "gpa >= 3", "schools_attended >= 2"
    ).replace("gpa IS", "schools_attended IS"),
    "SELECT schools_attended, COUNT(*) FROM student_year WHERE school_year = 2025 GROUP BY 1",
    "SELECT days_enrolled, COUNT(*) FROM student_year WHERE school_year = 2025 GROUP BY 1",
    "SELECT school_year - cohort_year, COUNT(*) FROM student_year GROUP BY 1",
    "SELECT grade_level IN ('09', '10', '11', '12') AS is_high, cohort_year >= 2028 AS late, COUNT(*) FROM student_year GROUP BY 1, 2",
    "SELECT c.school_name, y.school_id, COUNT(*) FROM student_year y JOIN school c ON y.school_id = c.school_id WHERE c.is_title_i GROUP BY 1, 2",
    "SELECT y.cohort_year, g.grad_cohort, COUNT(*) FROM student_year y JOIN graduation g ON y.student_key = g.student_key JOIN student s ON s.student_key = g.student_key WHERE y.school_year = 2024 GROUP BY 1, 2",
    "SELECT COUNT(*) FROM course_grade g JOIN course_grade h ON h.student_key = g.student_key AND h.school_year = g.school_year WHERE g.course_level = 'ap_ib' AND h.course_level = 'honors'",
]


@pytest.mark.parametrize("sql", QUESTIONS)
def test_our_sql_counts_what_the_researchers_sql_counts(sql, vault):
    """Group by group the numbers before noise are those of the text as it was written."""
    assert counted(vault, sql) == plainly(vault, sql)
    assert counted(vault, sql)


def test_the_right_side_may_be_null(vault):
    """Above a LEFT JOIN every column may be NULL, and so may what is made of it; a constant of the right side too."""
    sql = "SELECT {0}, COUNT(*) FROM student s LEFT JOIN (SELECT *, 7 AS seven FROM program) p USING (student_key) GROUP BY 1"
    for column in ("p.program_type", "p.seven", "p.school_year", "p.seven + 1"):
        assert (None,) in planned(vault.catalog, sql.format(column), vault.catalog.cohorts).keys.rows


def test_on_of_a_left_join_spares_nobody(vault):
    """A left row is there whether or not ON is true of it: neither ON nor what holds on the right side narrows it."""
    (plain,), (joined,) = (
        planned(vault.catalog, f"SELECT COUNT(*) FROM student s {join}", vault.catalog.cohorts).statistics
        for join in (
            "",
            "LEFT JOIN student_year y ON y.student_key = s.student_key AND s.cohort_year = 2030 AND y.school_year = 2025",
        )
    )
    assert plain.cohorts == joined.cohorts == vault.catalog.cohorts
    sql = "SELECT s.sex, COUNT(*) FROM student s LEFT JOIN program p ON p.student_key = s.student_key AND s.sex = 'F' GROUP BY 1"
    assert len(planned(vault.catalog, sql, vault.catalog.cohorts).keys.rows) == 4
    sql = "SELECT COUNT(*) FROM student s LEFT JOIN student_year y USING (student_key) WHERE y.school_year IS NULL"
    (none,) = planned(vault.catalog, sql, vault.catalog.cohorts).statistics
    assert none.cohorts == vault.catalog.cohorts
    sql = "SELECT COUNT(*) FROM student s LEFT JOIN (SELECT * FROM student_year WHERE school_year = 2020) y USING (student_key)"
    (one,) = planned(vault.catalog, sql, vault.catalog.cohorts).statistics
    assert one.cohorts == vault.catalog.cohorts


@pytest.mark.parametrize(
    ("sql", "scans"),
    [
        (
            "SELECT COUNT(*) FROM student s JOIN student_year y USING (student_key) JOIN school c USING (school_id) WHERE y.school_year = 2025",
            2,
        ),
        (
            "SELECT COUNT(*) FROM student s LEFT JOIN (SELECT y.* FROM student_year y JOIN program p USING (student_key)) q USING (student_key) WHERE s.cohort_year = 2030",
            3,
        ),
    ],
)
def test_every_private_scan_reads_the_charged_cohorts_alone(sql, scans, vault):
    """Each table of students is restricted inside its own scan, wherever it stands in FROM."""
    plan = planned(vault.catalog, sql, (2029, 2030, 2031))
    text = compile_batch(vault.catalog, plan.statistics).sql
    (statistic,) = plan.statistics
    restricted = f'"cohort_year" BETWEEN {statistic.cohorts[0]} AND {statistic.cohorts[-1]}'
    assert text.count(restricted) == scans + 1
    assert text.count("BETWEEN") == scans + 1


def test_students_and_rows_are_two_measurements(canonical):
    """Counting students and counting rows are told apart where a student may have several."""
    sql = "SELECT COUNT(*), COUNT(DISTINCT student_key) FROM course_grade WHERE school_year = 2025"
    rows, students = planned(canonical, sql, canonical.cohorts).statistics
    assert rows.shape != students.shape
    assert replace(students, students=False).shape != students.shape
    assert (rows.l2_squared, students.l2_squared) == (256, 1)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT school_level, y.school_id, COUNT(*) FROM student_year y {} JOIN school c ON c.school_id = y.school_id GROUP BY ALL",
        "SELECT school_level, school_id, COUNT(*) FROM student_year {} JOIN school USING (school_id) GROUP BY ALL",
        "SELECT level, COUNT(*) FROM student_year {} JOIN (SELECT school_id, UPPER(school_level) AS level FROM school) c USING (school_id) GROUP BY 1",
        "SELECT school_level, COUNT(*) FROM (SELECT school_id FROM student_year) q {} JOIN (SELECT * FROM school) c ON q.school_id = c.school_id GROUP BY 1",
    ],
)
def test_a_left_join_that_always_meets_a_public_row_is_a_join(sql, canonical):
    """The schools of records are those of the public table: its groups are those of JOIN, without a NULL."""
    left, inner = (planned(canonical, sql.format(kind), canonical.cohorts) for kind in ("LEFT", "INNER"))
    assert left.digest == inner.digest
    assert left.keys.rows == inner.keys.rows


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT school_level, COUNT(*) FROM student s LEFT JOIN student_year y USING (student_key) LEFT JOIN school c ON c.school_id = y.school_id GROUP BY 1",
        "SELECT school_level, COUNT(*) FROM student_year y LEFT JOIN school c ON c.school_id = y.school_id AND c.is_charter GROUP BY 1",
        "SELECT school_level, COUNT(*) FROM student_year y LEFT JOIN (SELECT * FROM school WHERE is_charter) c ON c.school_id = y.school_id GROUP BY 1",
        "SELECT school_level, COUNT(*) FROM (SELECT student_key, SUM(schools_attended) AS n FROM student_year GROUP BY 1) y LEFT JOIN school c ON c.school_id = y.n GROUP BY 1",
        "SELECT school_level, COUNT(*) FROM (SELECT NULLIF(school_id, 1001) AS school_id FROM student_year) y LEFT JOIN school c ON c.school_id = y.school_id GROUP BY 1",
        "SELECT school_level, COUNT(*) FROM (SELECT student_key, MAX(school_id) AS school_id FROM student_year GROUP BY 1) y LEFT JOIN school c ON c.school_id = y.school_id GROUP BY 1",
    ],
)
def test_a_left_join_that_may_meet_nothing_keeps_its_rows(sql, canonical):
    """Where the left side can be NULL or of no row, NULL stays a group."""
    plan = planned(canonical, sql, canonical.cohorts)
    assert (None,) in plan.keys.rows


def test_an_equality_inside_or_ties_nothing(canonical):
    """What holds in one branch of an OR holds on no row for certain."""
    sql = "SELECT COUNT(*) FROM student_year a JOIN student_year b ON a.student_key = b.student_key AND (a.school_year = b.school_year OR a.has_iep)"
    (statistic,) = planned(canonical, sql, canonical.cohorts).statistics
    assert statistic.contribution.rows == 49


RELEASED = "WITH y AS ({}), r AS (SELECT {} COUNT(*) AS n FROM y {}) SELECT {} n FROM r WHERE n > -1000000"
INSIDE = [
    ("SELECT a.student_key, a.school_year AS k FROM student_year a JOIN student b USING (student_key)", True),
    ("SELECT c.school_level AS k FROM school c JOIN student_year a USING (school_id)", True),
    ("SELECT g.outcome AS k FROM student a LEFT JOIN graduation g USING (student_key)", True),
    ("SELECT a.student_key FROM student_year a JOIN student_year b ON a.student_key = b.student_key", False),
]


@pytest.mark.parametrize(("inside", "grouped"), INSIDE)
def test_a_join_in_a_cte_of_a_released_table_is_read_as_a_join(inside, grouped, vault):
    """Its columns keep the names of their tables: the same is proved, and read, as where the CTE stands in FROM."""
    words = ("k,", "GROUP BY k", "k,") if grouped else ("", "", "")
    sql = RELEASED.format(inside, *words)
    (released,) = planned(vault.catalog, sql, vault.catalog.cohorts).statistics
    plain = f"SELECT {words[0]} COUNT(*) AS n FROM ({inside}) AS y {words[1]}"
    (direct,) = planned(vault.catalog, plain, vault.catalog.cohorts).statistics
    assert released.shape == direct.shape
    assert released.contribution == direct.contribution
    (vector,) = backend.run(vault.cursor(), compile_batch(vault.catalog, [released]), released.keys, 1)
    found = sorted(cell for cell in vector.tolist() if cell)
    assert found == sorted(row[-1] for row in plainly(vault, plain))


def test_a_second_scan_is_not_called_like_another_table():
    """Each scan has a name of its own, whatever the tables are called."""
    columns = {"flag": {"type": "boolean"}}
    person = {"unique": ["pupil"], "columns": {"class_of": {"type": "integer"}}}
    many = {"rows_per_student_max": 3, "columns": columns}
    document = {
        "district": {"id": "us-xx-two", "name": "Two", "time_zone": "UTC"},
        "privacy": {"owner": "pupil", "cohort": "class_of", "cohorts": [2024], "delta": "1e-7", "max_students": 5000},
        "tables": {"person": person, "score": many, "score_2": many},
    }
    catalog = resolve(catalog_of_document(json.dumps(document), "two.yaml"), {})
    sql = "SELECT COUNT(*) FROM score a JOIN score b USING (pupil) JOIN score_2 c USING (pupil) WHERE b.flag AND NOT c.flag"
    (statistic,) = planned(catalog, sql, catalog.cohorts).statistics
    assert len({scan.name for scan in statistic.relation.scans}) == 3
    assert statistic.contribution.rows == 27


FORGED = (
    'SELECT p."a:exact0 program_2.b" AS k,'
    ' COUNT(*) FILTER (WHERE p.a = q."b:exact0 student_year.school_year") AS one,'
    ' SUM(CASE WHEN y.has_iep THEN 1 ELSE 3 END) FILTER (WHERE p."a:exact0 program_2.b" = y.school_year) AS two'
    " FROM student_year y LEFT JOIN (SELECT student_key, 1 + 0 * school_year AS a,"
    ' school_year + 0 AS "a:exact0 program_2.b" FROM program'
    " WHERE program_type = 'cte' AND school_year = 2025) p ON p.student_key = y.student_key"
    ' LEFT JOIN (SELECT student_key, 1 + 0 * school_year AS "b:exact0 student_year.school_year" FROM program'
    " WHERE program_type = 'cte' AND school_year = 2025) q ON q.student_key = y.student_key GROUP BY 1"
)


def test_the_name_of_a_made_column_cannot_be_read_as_another_condition(vault):
    """Two conditions have one canonical text only if they are one: else a sum runs under another's, claimed as its own."""
    statistics = planned(vault.catalog, FORGED, vault.catalog.cohorts).statistics
    texts = {tree.canonical(condition): condition for s in statistics for condition in s.conditions}
    assert len(texts) == len({condition for s in statistics for condition in s.conditions}) == 2
    two = statistics[1]
    assert (two.contribution.rows, two.bound) == (1, 1)
    compiled = compile_batch(vault.catalog, statistics)
    vectors = backend.run(vault.cursor(), compiled, two.keys, len(statistics))
    (alone,) = backend.run(vault.cursor(), compile_batch(vault.catalog, [two]), two.keys, 1)
    assert vectors[1].tolist() == alone.tolist()
    assert not any(":" in name for condition in texts.values() for name in tree.columns_of(condition))
    text = tree.canonical(tree.Column("a b", tree.TEXT))
    assert text != tree.canonical(tree.Constant("a b", tree.TEXT))


UNMATCHED = (
    "SELECT COUNT(*) FROM student a"
    " LEFT JOIN program b ON b.student_key = a.student_key AND b.school_year = 2025 AND b.program_type = 'cte'"
    " LEFT JOIN student_year c ON c.student_key = a.student_key AND b.student_key IS NULL"
    " AND (c.school_year = b.school_year OR c.schools_attended IS NOT NULL)"
    " JOIN student_year d ON d.student_key = a.student_key WHERE c.schools_attended IN (1, 2)"
)


def test_a_condition_on_rows_without_a_match_runs(vault):
    """DuckDB 2.0 fails on this as it is written: it drops the columns of a side it makes an anti join of."""
    apart = UNMATCHED.replace("b.student_key IS NULL", "NOT COALESCE(b.student_key IS NOT NULL, FALSE)")
    assert counted(vault, UNMATCHED) == plainly(vault, apart) != []


@pytest.mark.parametrize("step", ["x - x + x AS x", "COALESCE(x, x) AS x", "CASE WHEN x = x THEN 1 ELSE x END AS x"])
def test_what_each_subquery_doubles_is_refused_in_time(step, canonical):
    """Names that stand for expressions of names may not blow a short question up."""
    ctes = ["c0 AS (SELECT student_key, schools_attended AS x FROM student_year)"]
    ctes += [f"c{i + 1} AS (SELECT student_key, {step} FROM c{i})" for i in range(40)]
    begun = time.process_time()
    with pytest.raises(QueryRefused) as caught:
        planned(canonical, f"WITH {', '.join(ctes)} SELECT SUM(x) AS s FROM c40", canonical.cohorts)
    assert caught.value.code == "too_large"
    assert time.process_time() - begun < 2
