from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from ruamel.yaml import YAML

import engine
from engine.intake.demo import generate

STARTER = YAML(typ="safe").load(Path(engine.__file__).with_name("starter.yaml").read_text(encoding="utf-8"))
OWNER = STARTER["privacy"]["owner"]
ON = {name: table for name, table in STARTER["tables"].items() if table.get("on", True)}
PRIVATE = {name: table for name, table in ON.items() if not table.get("public")}
STUDENTS = 8_000

Tables = dict[str, Any]


class Sql:
    """Questions to generated tables; `one` gives the first row."""

    def __init__(self, tables: Tables) -> None:
        self.connection = duckdb.connect()
        for name, table in tables.items():
            self.connection.register(name, table)

    def one(self, text: str) -> tuple[Any, ...]:
        row = self.connection.execute(text).fetchone()
        assert row is not None
        return row

    def number(self, text: str) -> float:
        return float(self.one(text)[0])

    def pairs(self, text: str) -> dict[Any, Any]:
        return dict(self.connection.execute(text).fetchall())


@pytest.fixture(scope="module")
def tables() -> Tables:
    return generate(STUDENTS)


@pytest.fixture(scope="module")
def small() -> Tables:
    return generate(50, 1)


@pytest.fixture(scope="module")
def sql(tables: Tables) -> Sql:
    return Sql(tables)


def count(sql: Sql, name: str, condition: str) -> int:
    return int(sql.number(f"SELECT count(*) FROM {name} WHERE {condition}"))


def share(condition: str) -> str:
    return f"avg(CAST(({condition}) AS INTEGER))"


def literal(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def outside(name: str, column: str, declared: dict[str, Any]) -> list[str]:
    """Conditions that no value of a declared column may meet."""
    found = [] if declared.get("nullable") else [f"{column} IS NULL"]
    values, bounds = declared.get("values"), declared.get("bounds")
    if isinstance(values, list):
        found.append(f"{column} NOT IN ({', '.join(map(literal, values))})")
    elif values and "table" in values:
        found.append(f"{column} NOT IN (SELECT {values['column']} FROM {values['table']})")
    elif values:
        found.append(f"{column} NOT BETWEEN {values['from']} AND {values['to']}")
    if isinstance(bounds, list):
        found.append(f"{column} NOT BETWEEN {bounds[0]} AND {bounds[1]}")
    elif bounds:
        keys = ON[bounds["table"]]["unique"]
        same = " AND ".join(f"r.{key} = {name}.{key}" for key in keys)
        inside = f"{name}.{column} BETWEEN r.{bounds['low']} AND r.{bounds['high']}"
        found.append(f"NOT EXISTS (SELECT 1 FROM {bounds['table']} r WHERE {same} AND ({inside}) IS NOT FALSE)")
    return found


def assert_keeps_every_declaration(tables: Tables) -> None:
    """Columns, lists, bounds, NULLs, keys, caps and checks of the starter catalog."""
    sql = Sql(tables)
    assert set(tables) == set(ON)
    cohorts = STARTER["privacy"]["cohorts"]
    assert count(sql, "student", f"cohort_year NOT BETWEEN {cohorts['from']} AND {cohorts['to']}") == 0
    for name, table in ON.items():
        owner = [OWNER] if name in PRIVATE else []
        assert tables[name].column_names == owner + list(table["columns"])
        wrong = [f"{OWNER} IS NULL" for _ in owner]
        for column, declared in table["columns"].items():
            wrong += outside(name, column, declared)
        counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in wrong)
        found = dict(zip(wrong, sql.one(f"SELECT {counts} FROM {name}"), strict=True))
        assert not any(found.values()), (name, found)
        if table.get("unique"):
            assert_at_most(sql, name, table["unique"], 1)
        if name in PRIVATE:
            assert_at_most(sql, name, [OWNER], table["rows_per_student_max"])
        for cap in table.get("caps", ()):
            assert_at_most(sql, name, [OWNER, *cap["per"]], cap["rows"])
        for check in table.get("checks", ()):
            broken = f"SELECT count(*) FROM {name} JOIN student USING ({OWNER}) WHERE ({check}) IS NOT TRUE"
            assert sql.number(broken) == 0, (name, check)
        if name in PRIVATE:
            strangers = f"SELECT count(*) FROM {name} ANTI JOIN student USING ({OWNER})"
            assert sql.number(strangers) == 0, name


def assert_at_most(sql: Sql, name: str, columns: list[str], rows: int) -> None:
    keys = ", ".join(columns)
    most = sql.one(f"SELECT max(n) FROM (SELECT count(*) AS n FROM {name} GROUP BY {keys})")[0]
    assert most is None or most <= rows, (name, columns)


def test_the_same_arguments_give_identical_tables() -> None:
    """Nothing but (students, seed) decides what is generated."""
    first, again, other = generate(300, 7), generate(300, 7), generate(300, 8)
    assert all(first[name].equals(again[name]) for name in first)
    assert not first["student_year"].equals(other["student_year"])


@pytest.mark.parametrize("students", [50, 300, STUDENTS])
def test_every_declaration_of_the_starter_catalog_holds(students: int, tables: Tables) -> None:
    """No row breaks a list, bound, NULL rule, key, cap or check, in districts of any size."""
    assert_keeps_every_declaration(tables if students == STUDENTS else generate(students, 11))


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("assessment", "scale_score", 9_999),
        ("assessment", "school_year", 2025),
        ("student_year", "school_id", 7),
        ("student_year", "days_enrolled", 201),
        ("student", "cohort_year", 2030),
        ("program", "program_type", None),
    ],
)
def test_a_broken_declaration_is_noticed(small: Tables, name: str, column: str, value: object) -> None:
    """One wrong column makes the test above fail: it does look."""
    table = small[name]
    wrong = pa.array([value] * table.num_rows, table.schema.field(column).type)
    broken = table.set_column(table.schema.get_field_index(column), column, wrong)
    with pytest.raises(AssertionError):
        assert_keeps_every_declaration({**small, name: broken})


@pytest.mark.parametrize("students", [20, 50, 300])
def test_the_last_year_has_the_students_asked_for(students: int) -> None:
    """`students` is the enrolment of 2025, within 2 percent; more persons were seen before."""
    sql = Sql(generate(students, 3))
    enrolled = sql.number("SELECT count(*) FROM student_year WHERE school_year = 2025")
    assert abs(enrolled - students) <= 0.02 * students
    assert sql.number("SELECT count(*) FROM student") > students
    assert sql.one("SELECT min(school_year), max(school_year) FROM student_year") == (2020, 2025)


def test_a_district_too_small_to_be_one_is_refused() -> None:
    """The message says the number given and the least accepted."""
    with pytest.raises(ValueError, match="students is 19; a demo district has at least 20"):
        generate(19)


def test_there_are_fewer_schools_in_a_small_district(sql: Sql) -> None:
    """25 schools from 2,000 students, some in every district, with distinct names."""
    assert sql.one("SELECT count(*), count(DISTINCT school_name) FROM school") == (25, 25)
    small = Sql(generate(300, 3)).number("SELECT count(*) FROM school")
    assert 3 <= small < 10


def test_progress_runs_from_nothing_to_one() -> None:
    """Shares never fall, end at 1, and name tables."""
    told: list[tuple[str, float]] = []
    tables = generate(200, progress=lambda stage, share: told.append((stage, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert {stage for stage, _ in told} <= set(tables)


def test_the_cohort_is_fixed_at_first_sight(sql: Sql) -> None:
    """cohort_year = spring year of the first row + 12 - grade, and entry_year is that year."""
    grade = "CASE grade_level WHEN 'PK' THEN -1 WHEN 'KG' THEN 0 ELSE try_cast(grade_level AS INTEGER) END"
    wrong = sql.number(
        f"SELECT count(*) FROM (SELECT student_key, min(school_year) AS first,"
        f" arg_min({grade}, school_year) AS grade"
        " FROM student_year GROUP BY student_key) JOIN student USING (student_key)"
        " WHERE cohort_year <> first + 12 - grade OR entry_year <> first"
    )
    assert wrong == 0
    assert sql.number("SELECT count(*) FROM student ANTI JOIN student_year USING (student_key)") == 0


def test_rows_agree_with_each_other(sql: Sql) -> None:
    """Absence within enrolment, one school a year in all tables, no score without taking part."""
    assert sql.number("SELECT count(*) FROM student_year WHERE days_absent > days_enrolled") == 0
    for name in ("course_grade", "assessment"):
        strange = (
            f"SELECT count(*) FROM {name} t ANTI JOIN student_year y ON y.student_key = t.student_key"
            " AND y.school_year = t.school_year AND y.school_id = t.school_id"
        )
        assert sql.number(strange) == 0
    assert count(sql, "assessment", "participated = (scale_score IS NULL)") == 0
    assert count(sql, "assessment", "participated = (performance_level IS NULL)") == 0
    assert count(sql, "assessment", "is_proficient <> coalesce(performance_level >= 4, false)") == 0


def test_levels_follow_public_cuts(sql: Sql) -> None:
    """Within one test, subject and grade a higher level never has a lower score."""
    overlaps = sql.number(
        "WITH l AS (SELECT test_program, subject, grade_tested, performance_level AS level,"
        " min(scale_score) AS low, max(scale_score) AS high FROM assessment WHERE participated GROUP BY ALL)"
        " SELECT count(*) FROM l a JOIN l b USING (test_program, subject, grade_tested)"
        " WHERE a.level < b.level AND a.high >= b.low"
    )
    assert overlaps == 0


def test_gpa_is_the_mean_of_the_years_grade_points(sql: Sql) -> None:
    """Grades 9 to 12 with courses have a GPA, nobody else has; courses are 5 to 8 a year from grade 6."""
    wrong = sql.number(
        "SELECT count(*) FROM student_year y LEFT JOIN (SELECT student_key, school_year, count(*) AS n,"
        " avg(grade_points) AS points FROM course_grade GROUP BY ALL) c USING (student_key, school_year)"
        " WHERE c.n NOT BETWEEN 5 AND 8 OR (c.n > 0 AND grade_level NOT BETWEEN '06' AND '12')"
        " OR (grade_level BETWEEN '09' AND '12' AND c.n > 0) <> (gpa IS NOT NULL)"
        " OR abs(gpa - points) > 0.0051"
    )
    assert wrong == 0


def test_credits_are_earned_by_passing(sql: Sql) -> None:
    """A failed course has no points and no credit, a passed one has both."""
    assert count(sql, "course_grade", "is_passed <> (credits_earned > 0)") == 0
    assert count(sql, "course_grade", "is_passed <> (grade_points > 0)") == 0
    assert 0.02 < sql.number(f"SELECT {share('NOT is_passed')} FROM course_grade") < 0.09


def test_dropouts_are_the_same_persons_in_both_tables(sql: Sql) -> None:
    """Who drops out in a year is never seen again, and has that outcome, dated from the first grade 9."""
    wrong = sql.number(
        "SELECT count(*) FROM (SELECT student_key, max(school_year) AS year FROM student_year"
        " WHERE is_dropout GROUP BY student_key) d"
        " FULL JOIN (SELECT * FROM graduation WHERE outcome = 'dropout') g"
        " USING (student_key) WHERE (g.grad_cohort + years_to_outcome - 4 = d.year) IS NOT TRUE"
    )
    assert wrong == 0
    back = (
        "SELECT count(*) FROM student_year d JOIN student_year y USING (student_key)"
        " WHERE d.is_dropout AND y.school_year > d.school_year"
    )
    assert sql.number(back) == 0


def test_the_graduation_cohort_counts_from_the_first_grade_nine(sql: Sql) -> None:
    """grad_cohort = spring year of first grade 9 + 3; every cohort due by 2025 is complete."""
    wrong = sql.number(
        "SELECT count(*) FROM (SELECT student_key, min(school_year) AS ninth FROM student_year"
        " WHERE grade_level = '09' GROUP BY student_key) LEFT JOIN graduation g USING (student_key)"
        " WHERE g.grad_cohort <> ninth + 3 OR (g.grad_cohort IS NULL AND ninth + 3 <= 2025)"
    )
    assert wrong == 0
    early = "SELECT count(*) FROM graduation WHERE grad_cohort > 2025 AND outcome = 'still_enrolled'"
    assert sql.number(early) == 0


def test_the_demography_is_plausible(sql: Sql) -> None:
    """Shares of the district, clustered poverty, language support that falls with the grade."""
    econ, learner, iep, mobile, retained = sql.one(
        f"SELECT {share('econ_disadv')}, {share('english_learner')}, {share('has_iep')},"
        f" {share('schools_attended > 1')}, {share('is_retained')} FROM student_year"
    )
    assert 0.39 < econ < 0.52
    assert 0.09 < learner < 0.15
    assert 0.11 < iep < 0.16
    assert 0.065 < mobile < 0.095
    assert 0.02 < retained < 0.04
    by_grade = sql.pairs(f"SELECT grade_level, {share('english_learner')} FROM student_year GROUP BY 1")
    assert by_grade["KG"] > 1.5 * by_grade["08"]
    by_school = sql.pairs(f"SELECT school_id, {share('econ_disadv')} FROM student_year GROUP BY 1").values()
    assert max(by_school) - min(by_school) > 0.3
    leavers = sql.number(
        f"SELECT {share('b.student_key IS NULL')} FROM student_year a LEFT JOIN student_year b ON"
        " b.student_key = a.student_key AND b.school_year = a.school_year + 1"
        " WHERE a.school_year < 2025 AND a.grade_level <> '12'"
    )
    assert 0.045 < leavers < 0.08


def test_chronic_absence_is_plausible(sql: Sql) -> None:
    """15 to 25 percent, most in 2022, higher where families are poor, persistent from year to year."""
    chronic = f"{share('days_absent >= 0.1 * days_enrolled')} FILTER (days_enrolled >= 10)"
    by_year = sql.pairs(f"SELECT school_year, {chronic} FROM student_year GROUP BY 1")
    assert all(0.13 < rate < 0.27 for rate in by_year.values())
    assert max(by_year, key=by_year.__getitem__) == 2022
    by_econ = sql.pairs(f"SELECT econ_disadv, {chronic} FROM student_year GROUP BY 1")
    assert by_econ[True] - by_econ[False] > 0.08
    persistence = sql.number(
        "SELECT corr(a.days_absent / a.days_enrolled, b.days_absent / b.days_enrolled) FROM student_year a"
        " JOIN student_year b ON b.student_key = a.student_key AND b.school_year = a.school_year + 1"
    )
    assert 0.45 < persistence < 0.75


def test_scores_are_plausible(sql: Sql) -> None:
    """Participation of 97 percent, last year's score says much about this one, gaps, growth."""
    participation = sql.number(f"SELECT {share('participated')} FROM assessment")
    assert 0.955 < participation < 0.985
    years = sql.number(
        "SELECT corr(a.scale_score, b.scale_score) FROM assessment a JOIN assessment b ON"
        " b.student_key = a.student_key AND b.school_year = a.school_year + 1 AND b.subject = a.subject"
        " AND b.test_program = a.test_program WHERE a.subject = 'math' AND a.grade_tested = '05'"
        " AND b.grade_tested = '06'"
    )
    assert 0.74 < years < 0.88
    subjects = sql.number(
        "SELECT corr(a.scale_score, b.scale_score) FROM assessment a JOIN assessment b ON"
        " b.student_key = a.student_key AND b.school_year = a.school_year"
        " WHERE a.subject = 'math' AND b.subject = 'ela' AND a.grade_tested = '05'"
    )
    assert 0.65 < subjects < 0.85
    fifth = (
        " avg(scale_score) FROM assessment JOIN student_year USING (student_key, school_year)"
        " WHERE subject = 'ela' AND grade_tested = '05' GROUP BY 1"
    )
    by_econ = sql.pairs(f"SELECT econ_disadv,{fifth}")
    assert 15 < by_econ[False] - by_econ[True] < 35
    by_learner = sql.pairs(f"SELECT english_learner,{fifth}")
    assert 20 < by_learner[False] - by_learner[True] < 50
    growth = sql.pairs("SELECT grade_tested, avg(scale_score) FROM assessment WHERE subject = 'math' GROUP BY 1")
    assert [growth[grade] for grade in sorted(growth)] == sorted(growth.values())


def test_graduation_rates_are_plausible(sql: Sql) -> None:
    """About 86 percent in four years, a few more in five, fewer where families are poor or absent."""
    four = share("outcome = 'regular_diploma' AND years_to_outcome <= 4")
    by_cohort = sql.pairs(
        f"SELECT grad_cohort, {four} FROM graduation WHERE cohort_status = 'in_cohort' "
        " AND grad_cohort <= 2025 GROUP BY 1"
    )
    assert sorted(by_cohort) == list(range(2020, 2026))
    assert all(0.79 < rate < 0.92 for rate in by_cohort.values())
    later = sql.number(
        f"SELECT {share('years_to_outcome > 4')} FROM graduation WHERE grad_cohort <= 2023"
        " AND outcome = 'regular_diploma'"
    )
    assert 0.02 < later < 0.08
    ninth = (
        " FROM graduation g JOIN student_year y USING (student_key) WHERE grade_level = '09'"
        " AND cohort_status = 'in_cohort' AND grad_cohort <= 2025 GROUP BY 1"
    )
    by_econ = sql.pairs(f"SELECT econ_disadv, {four}{ninth}")
    assert by_econ[False] - by_econ[True] > 0.04
    by_absence = sql.pairs(f"SELECT days_absent >= 0.1 * days_enrolled, {four}{ninth}")
    assert by_absence[False] - by_absence[True] > 0.08


def test_the_starter_catalog_keeps_discipline_off() -> None:
    """The sensitive table is declared whole, off, and not invented."""
    discipline = STARTER["tables"]["discipline"]
    assert discipline["sensitive"] is True
    assert discipline["on"] is False
    assert set(discipline["columns"]) == {"school_year", "iss_days", "oss_days", "is_expelled"}


def test_grade_names_of_the_starter_catalog_are_text() -> None:
    """An unquoted 01 would be a number in YAML."""
    for table, column in (
        ("student_year", "grade_level"),
        ("assessment", "grade_tested"),
        ("scale_range", "grade_tested"),
    ):
        assert all(isinstance(value, str) for value in STARTER["tables"][table]["columns"][column]["values"])


@pytest.mark.slow
def test_a_hundred_thousand_students_take_less_than_a_minute() -> None:
    """The largest demo is quick, keeps every declaration, and has no high school much above 2,000."""
    start = time.monotonic()
    tables = generate(100_000)
    assert time.monotonic() - start < 60
    assert sum(table.nbytes for table in tables.values()) < 500_000_000
    assert_keeps_every_declaration(tables)
    largest = Sql(tables).number(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM student_year JOIN school USING (school_id)"
        " WHERE school_level = 'high' GROUP BY school_id, school_year)"
    )
    assert largest < 2_100
