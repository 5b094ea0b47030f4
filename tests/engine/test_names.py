"""Names that researchers choose mean nothing but what they stand for, whatever the house calls its own columns."""

from __future__ import annotations

import contextlib
import re
from importlib.resources import files

import pytest

from engine import tree
from engine.catalog_file import read_catalog
from engine.compile import compile_batch
from engine.froms import RESEARCH, scans_of
from engine.intake.load import load
from engine.intake.rules import Standing
from engine.preparation import planned
from engine.refusals import QueryRefused
from engine.vault import Vault
from tests.engine.counting import counted, plainly
from tests.engine.test_steps import QUESTIONS

CHOSEN = ["homeroom_owner", "homeroom_person", "homeroom_class", "homeroom_research", "homeroom_key0", "cohort_year",
          "student_key_", "owner", "hit", "found", "rows", "count", "k0", "c0", "along", "per_student", "student_year"]  # fmt: skip
WITHIN = [
    "SELECT a1.{n}, COUNT(*) FROM (SELECT DISTINCT student_key, school_year AS {n} FROM student_year) a1 JOIN (SELECT DISTINCT student_key, school_year AS {n} FROM student_year) a2 USING (student_key, {n}) GROUP BY 1",
    "SELECT {n}, COUNT(*) FROM (SELECT student_key, school_year AS {n}, COUNT(*) AS m FROM course_grade GROUP BY ALL) WHERE {n} >= 2024 GROUP BY 1",
    "SELECT {n}, COUNT(*) FROM (SELECT student_key, COUNT(*) AS {n} FROM student_year GROUP BY student_key) GROUP BY 1",
    "SELECT {n}, COUNT(*) FROM (SELECT student_key, school_year, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year) AS {n} FROM student_year) GROUP BY 1",
    "SELECT {n}, COUNT(*) FROM (SELECT student_key, school_year AS {n} FROM program UNION ALL SELECT student_key, school_year FROM student_year) GROUP BY 1",
    "SELECT t.{n}, COUNT(*) FROM student s LEFT JOIN (SELECT student_key, school_year + 0 AS {n}, schools_attended AS w FROM student_year WHERE school_year = 2025) t USING (student_key) GROUP BY 1",
    "SELECT t.{n}, COUNT(*) FROM student s LEFT JOIN (SELECT student_key, r + 0 AS {n} FROM (SELECT student_key, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year) AS r FROM student_year)) t USING (student_key) GROUP BY 1",
]


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("question", WITHIN)
def test_a_column_is_what_it_stands_for_whatever_it_is_called(question, name, vault):
    """The numbers are those of the text, and the measurement is that of any other name."""
    sql, plain = (question.format(n=n) for n in (name, "plain"))
    assert counted(vault, sql) == plainly(vault, plain)
    shapes = [
        {s.l2_squared for s in planned(vault.catalog, q, vault.catalog.cohorts).statistics} for q in (sql, plain)
    ]
    assert shapes[0] == shapes[1]


DOUBLED = [
    "SELECT COUNT(*) FROM ((SELECT student_key, COUNT(*) AS n FROM student GROUP BY student_key))",
    "WITH a AS ((SELECT student_key, COUNT(*) AS n FROM student GROUP BY student_key)) SELECT COUNT(*) FROM a",
    "SELECT COUNT(*) FROM ((SELECT b.student_key FROM student b JOIN (SELECT student_key FROM student WHERE sex = 'F' GROUP BY ALL) a USING (student_key)))",
    "SELECT COUNT(*) FROM ((SELECT s.student_key FROM student s JOIN graduation g USING (student_key)))",
    "SELECT COUNT(*) FROM (((SELECT * FROM student_year)))",
    "SELECT COUNT(*) FROM ((SELECT student_key FROM student_year UNION ALL SELECT student_key FROM program))",
]


@pytest.mark.parametrize("sql", [*QUESTIONS, *DOUBLED])
def test_every_private_scan_is_of_the_population(sql, vault):
    """In research each reads those alone who did not opt out, however deep it stands; parentheses change nothing."""
    plan = planned(vault.catalog, sql, vault.catalog.cohorts)
    for statistic in plan.statistics:
        text = compile_batch(vault.catalog, [statistic]).sql
        private = [s for s in scans_of(statistic.relation) if not vault.catalog.tables[s.table].public]
        assert text.count(RESEARCH) == len(re.findall(rf"WHERE [^()]*{RESEARCH}", text)) >= len(private)


@pytest.mark.parametrize("sql", DOUBLED)
def test_parentheses_change_nothing(sql, vault):
    """The same measurement as without them, and the same number as the database's own."""
    single = re.sub(r"\(\((SELECT.*)\)\)", r"(\1)", sql).replace("(((", "(").replace(")))", ")")
    one, other = (planned(vault.catalog, q, vault.catalog.cohorts).statistics for q in (sql, single))
    assert [s.shape for s in one] == [s.shape for s in other]
    assert counted(vault, sql) == plainly(vault, sql)


def test_one_name_for_two_columns_is_told_apart(vault):
    """The cohort's own name on the right side of a LEFT JOIN of a step: each column keeps its range."""
    sql = """SELECT COUNT(*) FROM (SELECT s.student_key, t.w FROM student s LEFT JOIN (
      SELECT student_key, 1 + (r - r) AS cohort_year, r * (cohort_year // 1000) AS w
      FROM (SELECT student_key, cohort_year, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year) AS r FROM course_grade)
    ) t USING (student_key) WHERE t.cohort_year > -1000 GROUP BY s.student_key, t.w)"""
    (statistic,) = planned(vault.catalog, sql, vault.catalog.cohorts).statistics
    (rows,) = {s.contribution.rows for s in [statistic]}
    most = (
        vault.cursor()
        .execute("SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM course_grade GROUP BY homeroom_owner)")
        .fetchall()[0][0]
    )
    assert rows >= most


@pytest.mark.parametrize(
    "window",
    ["PARTITION BY p.student_key ORDER BY p.school_year", "PARTITION BY s.student_key ORDER BY p.student_key"],
)
def test_the_right_sides_owner_orders_and_parts_nothing(window, canonical):
    """It is NULL where no row matched; the left side's is the owner."""
    sql = f"SELECT COUNT(*) FROM (SELECT s.student_key, RANK() OVER ({window}) AS r FROM student s LEFT JOIN program p USING (student_key))"
    with pytest.raises(QueryRefused) as caught:
        planned(canonical, sql.replace("USING (student_key)", "ON p.student_key = s.student_key"), canonical.cohorts)
    assert caught.value.code == "owner_exposed"


def test_a_group_that_nobody_can_be_in_adds_nothing(canonical):
    """Rows but none in a group: the constant 0, and no division by it."""
    sql = """SELECT school_year + schools_attended AS k, COUNT(*), COUNT(*) FILTER (WHERE school_year = 2022) FROM student_year
    WHERE (school_year - 2020) * (school_year - 2020) = schools_attended * 3 GROUP BY 1"""
    assert isinstance(planned(canonical, sql, canonical.cohorts).statistics, tuple)
    assert tree.INTEGER.kind == "exact"


@pytest.mark.parametrize(
    "cohort", ["n0", "x0", "x1", "f1", "k0", "s0", "hit", "rows", "found", "owner", "t0", "count"]
)
def test_a_catalog_may_call_its_cohort_what_it_likes(cohort, tables, tmp_path):
    """The one column that has no table's name before it is told from all that a statement makes for itself."""
    text = files("engine").joinpath("starter.yaml").read_text(encoding="utf-8").replace("cohort_year", cohort)
    starter = tmp_path / "district.yaml"
    starter.write_text(text, encoding="utf-8")
    renamed = {
        name: table.rename_columns([cohort if column == "cohort_year" else column for column in table.column_names])
        for name, table in tables.items()
    }
    done = load(read_catalog(starter), renamed, tmp_path, owner_key=b"k" * 32, standing=Standing({}))
    with contextlib.closing(Vault.open(tmp_path / done.file, read_catalog(starter))) as held:
        for sql in (
            f"SELECT {cohort}, school_level, COUNT(*), COUNT(*) FILTER (WHERE has_iep) FROM student_year y JOIN school USING (school_id) GROUP BY ALL",
            f"SELECT {cohort}, school_level, SUM(schools_attended) FROM student_year y JOIN school USING (school_id) GROUP BY ALL",
            f"SELECT {cohort}, COUNT(*) FROM student s WHERE EXISTS (SELECT 1 FROM program p WHERE p.student_key = s.student_key) GROUP BY 1",
            f"SELECT {cohort}, n, COUNT(*) FROM (SELECT student_key, {cohort}, COUNT(*) AS n FROM student_year GROUP BY ALL) GROUP BY ALL",
        ):
            assert counted(held, sql) == plainly(held, sql)
