"""Joins, subqueries and CTEs: what they mean, and what one student can do to them."""

from __future__ import annotations

import pytest

from engine.backends import duckdb as backend
from engine.compile import OWNER, compile_plan
from engine.preparation import planned
from engine.refusals import QueryRefused
from engine.source import Source  # noqa: F401
from engine.vault import Vault
from engine.catalog_file import read_catalog


@pytest.fixture(scope="module")
def vault(loaded, starter):
    opened = Vault.open(loaded[0], read_catalog(starter))
    yield opened
    opened.close()


def counted(vault, sql):
    """The groups that have records and their exact counts, as our statement finds them."""
    plan = planned(vault.catalog, sql, vault.catalog.cohorts)
    compiled = compile_plan(plan, vault.catalog, plan.statistics)
    vectors = backend.run(vault.cursor(), compiled, plan.keys, len(plan.statistics))
    rows = zip(plan.keys.rows, *(vector.tolist() for vector in vectors), strict=True)
    return sorted(((*key, *cells) for key, *cells in rows if any(cells)), key=repr)


def plainly(vault, sql):
    """The same by the researcher's own SQL."""
    rows = vault.cursor().execute(sql.replace("student_key", OWNER)).fetchall()
    return sorted((row for row in rows if any(row)), key=repr)


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
    "SELECT CASE WHEN gpa >= 3 THEN 'high' WHEN gpa IS NOT NULL THEN 'low' END AS band, school_year, COUNT(*) FROM student_year GROUP BY 1, 2".replace("gpa >= 3", "schools_attended >= 2").replace("gpa IS", "schools_attended IS"),
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
