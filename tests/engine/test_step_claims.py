"""What is claimed of steps within each student: how many rows, in how many groups, with which values, of whom."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import duckdb
import pytest

from engine.compile import compile_batch, reads
from engine.froms import OWNER, Scope, step_sql
from engine.preparation import planned
from engine.refusals import QueryRefused
from tests.engine.counting import exact_vectors

if TYPE_CHECKING:
    from engine.catalog import Catalog

PER_YEAR = "ROW_NUMBER() OVER (PARTITION BY student_key, school_year ORDER BY subject_area)"

CLAIMS = [
    # groups: one row of a student for each key, whatever caps the table has
    ("SELECT COUNT(*) FROM (SELECT student_key, COUNT(*) AS n FROM course_grade GROUP BY student_key)", (1, 1, 1)),
    ("SELECT y, COUNT(*) FROM (SELECT DISTINCT student_key, school_year AS y FROM course_grade) GROUP BY y", (7, 1, 7)),
    (
        "SELECT COUNT(*) FROM (SELECT student_key, school_year AS y, COUNT(*) AS n FROM course_grade GROUP BY ALL) WHERE y = 2025",
        (1, 1, 1),
    ),
    (
        "SELECT t, COUNT(*) FROM (SELECT DISTINCT student_key, program_type AS t FROM program) GROUP BY t",
        (6, 1, 6),
    ),
    # a right side that several rows may match is no value of the student
    (
        "SELECT COUNT(*) FROM (SELECT s.student_key, p.program_type AS t FROM student s LEFT JOIN program p ON p.student_key = s.student_key GROUP BY ALL)",
        (7, 7, 1),
    ),
    # windows: all rows stay; a number is one row's within its partition
    ("SELECT COUNT(*) FROM (SELECT student_key, school_year, " + PER_YEAR + " AS k FROM course_grade) WHERE k = 1", (7, 7, 1)),
    (
        "SELECT school_year, COUNT(*) FROM (SELECT student_key, school_year, " + PER_YEAR + " AS k FROM course_grade) WHERE k <= 2 GROUP BY 1",
        (14, 2, 7),
    ),
    (
        "SELECT COUNT(*) FROM (SELECT student_key, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year) AS k FROM course_grade) WHERE k BETWEEN 2 AND 4",
        (3, 3, 1),
    ),
    (
        "SELECT r, COUNT(*) FROM (SELECT student_key, RANK() OVER (PARTITION BY student_key ORDER BY schools_attended) AS r FROM student_year) WHERE r = 1 GROUP BY r",
        (7, 7, 1),
    ),
    # what is made of all of a student's rows is the student's; what looks along an order is not
    (
        "SELECT n, COUNT(*) FROM (SELECT student_key, COUNT(*) OVER (PARTITION BY student_key) AS n FROM student_year) GROUP BY n",
        (7, 7, 1),
    ),
    (
        "SELECT n, COUNT(*) FROM (SELECT student_key, COUNT(*) OVER (PARTITION BY student_key ORDER BY school_year) AS n FROM student_year) GROUP BY n",
        (7, 7, 7),
    ),
    # unions add up
    (
        "SELECT COUNT(*) FROM (SELECT student_key FROM program WHERE school_year = 2025 UNION ALL SELECT student_key FROM student_year WHERE school_year = 2025)",
        (7, 7, 1),
    ),
    (
        "SELECT y, COUNT(*) FROM (SELECT student_key, school_year AS y FROM program UNION ALL SELECT student_key, school_year FROM student_year) GROUP BY y",
        (49, 7, 7),
    ),
    (
        "SELECT y, COUNT(*) FROM (SELECT student_key, school_year AS y FROM program UNION SELECT student_key, school_year FROM student_year) GROUP BY y",
        (7, 1, 7),
    ),
    # joins of steps, and conditions on subqueries
    (
        "SELECT COUNT(*) FROM student_year y LEFT JOIN (SELECT student_key, school_year, COUNT(*) AS n FROM course_grade GROUP BY ALL) g ON g.student_key = y.student_key AND g.school_year = y.school_year",
        (7, 7, 1),
    ),
    (
        "SELECT COUNT(*) FROM student s LEFT JOIN (SELECT student_key, school_year FROM course_grade GROUP BY ALL) g ON g.student_key = s.student_key",
        (7, 7, 1),
    ),
    (
        "SELECT COUNT(*) FROM student s WHERE EXISTS (SELECT 1 FROM course_grade g WHERE g.student_key = s.student_key)",
        (1, 1, 1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "claim"), CLAIMS, ids=range(len(CLAIMS)))
def test_a_student_has_as_many_rows_of_a_step_as_can_be(sql, claim, canonical):
    """Neither fewer are claimed than there may be, nor more."""
    (statistic,) = planned(canonical, sql, canonical.cohorts).statistics
    found = statistic.contribution
    assert (found.rows, found.rows_per_group, found.groups) == claim


def groups(
    catalog: Catalog, made: str, table: str = "student_year", more: str = "GROUP BY student_key"
) -> list[object]:
    """The values of what is made of a student's rows, as groups."""
    sql = f"SELECT v, COUNT(*) FROM (SELECT student_key, {made} AS v FROM {table} {more}) GROUP BY v"
    return [row[0] for row in planned(catalog, sql, catalog.cohorts).keys.rows]


OVER = "OVER (PARTITION BY student_key ORDER BY school_year"

VALUES = [
    ("COUNT(*)", range(1, 8), ()),
    ("COUNT(*) FILTER (WHERE has_iep)", range(8), ()),
    ("COUNT(DISTINCT school_year)", range(1, 8), ()),
    ("SUM(school_year - 2019)", range(1, 50), ()),
    ("SUM(2023 - school_year)", range(-21, 22), ()),
    ("MAX(school_year) FILTER (WHERE has_iep)", range(2020, 2027), (None,)),
    ("MIN(school_year)", range(2020, 2027), ()),
]
ALONG = [
    (f"ROW_NUMBER() {OVER})", range(1, 8), ()),
    (f"COUNT(*) {OVER} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)", range(8), ()),
    (f"COUNT(*) {OVER} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)", range(3), ()),
    (f"MAX(school_year) {OVER} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)", range(2020, 2027), (None,)),
    (f"MAX(school_year) {OVER})", range(2020, 2027), ()),
    (f"LAG(school_year) {OVER})", range(2020, 2027), (None,)),
    (f"LEAD(school_year, 1, 0) {OVER})", (0, *range(2020, 2027)), ()),
    (f"NTH_VALUE(school_year, 2) {OVER})", range(2020, 2027), (None,)),
    (f"SUM(school_year - 2019) {OVER})", range(1, 50), ()),
]


@pytest.mark.parametrize(("made", "values", "nothing"), VALUES)
def test_every_value_that_can_be_made_of_a_students_rows_is_a_group(made, values, nothing, canonical):
    """Those of one to seven rows; NULL where no row may be left."""
    assert set(groups(canonical, made)) == {*values, *nothing}


@pytest.mark.parametrize(("made", "values", "nothing"), ALONG)
def test_every_value_that_a_window_can_have_is_a_group(made, values, nothing, canonical):
    """Those of frames of no to seven rows; NULL where no row may be in them."""
    assert set(groups(canonical, made, more="")) == {*values, *nothing}


# -- whose rows


GRADUATED = "EXISTS (SELECT 1 FROM graduation g WHERE g.student_key = s.student_key AND g.cohort_year = 2030)"
SPARED = [
    (GRADUATED, 1),
    (f"{GRADUATED} AND s.sex = 'F'", 1),
    (f"NOT {GRADUATED}", 20),
    (f"{GRADUATED} OR s.sex = 'F'", 20),
    (f"(CASE WHEN {GRADUATED} THEN s.sex = 'F' ELSE TRUE END)", 20),
    ("s.student_key IN (SELECT student_key FROM graduation WHERE cohort_year = 2030)", 1),
    ("s.student_key NOT IN (SELECT student_key FROM graduation WHERE cohort_year = 2030)", 20),
]


@pytest.mark.parametrize(("condition", "cohorts"), SPARED)
def test_a_subquery_spares_a_class_only_where_all_rows_must_match(condition, cohorts, canonical):
    """Under NOT, OR and CASE students of other classes have rows too."""
    (statistic,) = planned(
        canonical, f"SELECT COUNT(*) FROM student s WHERE {condition}", canonical.cohorts
    ).statistics
    assert len(statistic.cohorts) == cohorts


SCANS = [
    "SELECT n, COUNT(*) FROM (SELECT student_key, COUNT(*) AS n FROM course_grade GROUP BY student_key) GROUP BY n",
    "SELECT COUNT(*) FROM (SELECT student_key, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year) AS k FROM course_grade) WHERE k = 1",
    "SELECT COUNT(*) FROM (SELECT student_key FROM program UNION ALL SELECT student_key FROM assessment)",
    "SELECT COUNT(*) FROM student s WHERE NOT EXISTS (SELECT 1 FROM program p WHERE p.student_key = s.student_key)",
    "SELECT COUNT(*) FROM student s LEFT JOIN (SELECT student_key, MAX(school_year) AS y FROM program GROUP BY ALL) p ON p.student_key = s.student_key",
    "SELECT COUNT(*) FROM (SELECT student_key, MAX(n) AS n FROM (SELECT student_key, school_year, COUNT(*) AS n FROM course_grade c WHERE student_key IN (SELECT student_key FROM graduation) GROUP BY ALL) GROUP BY student_key)",
]


@pytest.mark.parametrize("sql", SCANS)
def test_every_table_within_a_step_is_read_of_those_who_are_charged(sql, canonical):
    """Of the classes that pay, and of them those who have not opted out."""
    plan = planned(canonical, sql, (2030, 2031))
    text = compile_batch(canonical, plan.statistics).sql
    tables = "|".join(table.name for table in canonical.private_tables)
    read = re.findall(rf'FROM "(?:{tables})"', text)
    kept = re.findall(rf'FROM "(?:{tables})" WHERE "cohort_year" BETWEEN 2030 AND 2031 AND homeroom_research\)', text)
    assert read
    assert len(kept) == len(read)


READS = [
    (
        "SELECT n, COUNT(*) FROM (SELECT student_key, COUNT(DISTINCT subject_area) AS n FROM course_grade WHERE is_passed GROUP BY student_key) GROUP BY n",
        {"course_grade": {"subject_area", "is_passed"}},
    ),
    (
        "SELECT COUNT(*) FROM student s WHERE EXISTS (SELECT 1 FROM (SELECT student_key, MAX(school_year) AS y FROM program GROUP BY ALL) p WHERE p.student_key = s.student_key AND p.y > 2022)",
        {"student": set(), "program": {"school_year"}},
    ),
    (
        "SELECT COUNT(*) FROM (SELECT student_key, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY grade_points) AS k FROM course_grade QUALIFY k = 1)",
        {"course_grade": {"grade_points"}},
    ),
    (
        "SELECT t, COUNT(*) FROM (SELECT student_key, program_type AS t FROM program UNION ALL SELECT student_key, subject FROM assessment WHERE participated) GROUP BY t",
        {"program": {"program_type"}, "assessment": {"subject", "participated"}},
    ),
]


@pytest.mark.parametrize(("sql", "columns"), READS)
def test_what_is_read_within_a_step_must_be_granted(sql, columns, canonical):
    """A grant sees the tables and columns inside, conditions and orders too."""
    assert reads(canonical, planned(canonical, sql, canonical.cohorts).statistics) == columns


def test_what_may_be_null_is_not_compared_by_not_in(canonical):
    """Such a NOT IN is true of nobody who has a NULL, and the text does not look so."""
    sql = "SELECT COUNT(*) FROM graduation WHERE (student_key, years_to_outcome) NOT IN (SELECT student_key, performance_level FROM assessment)"
    with pytest.raises(QueryRefused) as refused:
        planned(canonical, sql, canonical.cohorts)
    assert "EXISTS" in (refused.value.accepted or "")


@pytest.mark.parametrize(
    "inside",
    [
        "course_grade a JOIN course_grade b ON a.student_key = b.student_key JOIN course_grade c ON c.student_key = b.student_key WHERE a.student_key = s.student_key",
        "course_grade a LEFT JOIN course_grade b ON a.student_key = b.student_key LEFT JOIN course_grade c ON c.student_key = a.student_key WHERE a.student_key = s.student_key",
        "program a, school b WHERE a.student_key = s.student_key",
    ],
)  # fmt: skip
def test_what_exists_looks_among_is_not_too_much(inside, canonical):
    """One match is enough, and yet all rows that a join makes have to be made."""
    with pytest.raises(QueryRefused):
        planned(canonical, f"SELECT COUNT(*) FROM student s WHERE EXISTS (SELECT 1 FROM {inside})", (2030,))


@pytest.mark.parametrize("cohort", ["owner", "cohort", "k0", "rows", "hit", "one"])
def test_a_cohort_may_be_called_what_our_own_statement_calls_things(cohort, canonical):
    """What stands within a step besides the records has names that no catalog can declare."""
    sql = "SELECT y, COUNT(*) FROM (SELECT student_key, school_year AS y FROM program GROUP BY ALL) GROUP BY y"
    (statistic,) = planned(canonical, sql, canonical.cohorts).statistics
    text = step_sql(canonical, statistic.relation.scans[0], None, Scope((2030,), "research"), None)
    text = text.replace('"cohort_year"', f'"{cohort}"')
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            f'CREATE TABLE program AS SELECT 1 AS {OWNER}, 2030 AS "{cohort}", TRUE AS homeroom_research, '
            "unnest([2024, 2025, 2025]) AS school_year, 'cte' AS program_type"
        )
        assert sorted(row[-1] for row in connection.execute(text).fetchall()) == [2024, 2025]


# -- rows in doubt


def counted(vault, sql):
    plan = planned(vault.catalog, sql, vault.catalog.cohorts)
    (vector,) = exact_vectors(vault, plan)
    return {key: cell for key, cell in zip(plan.keys.rows, vector.tolist(), strict=True) if cell}


def test_what_is_used_of_rows_decides_which_one_is_first(vault):
    """Of courses of one year the first is that whose subject is: not that which was loaded first."""
    first = "SELECT subject_area, COUNT(*) FROM (SELECT student_key, subject_area, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY {0}) AS k FROM course_grade) WHERE k = 1 GROUP BY subject_area"
    told = first.format("school_year, subject_area").replace("student_key", OWNER)
    assert counted(vault, first.format("school_year")) == {
        (subject,): n for subject, n in vault.cursor().execute(told).fetchall()
    }


def test_two_windows_take_equal_rows_in_one_order(vault):
    """Courses of a year are alike where the year alone is used: their numbers in it and in all run together.

    Had each window an order of its own, what the two say of one row would depend on threads and other students.
    """
    sql = """SELECT COUNT(*) FROM (SELECT student_key,
        ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year) AS a,
        ROW_NUMBER() OVER (PARTITION BY student_key, school_year ORDER BY school_year DESC) AS b
        FROM course_grade) WHERE a = b"""
    told = f"""SELECT COUNT(*) FROM course_grade JOIN (SELECT {OWNER}, MIN(school_year) AS school_year
        FROM course_grade GROUP BY {OWNER}) USING ({OWNER}, school_year)"""
    assert [*counted(vault, sql).values()] == [vault.cursor().execute(told).fetchall()[0][0]]
