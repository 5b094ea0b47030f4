"""Which groups an answer has, and which measurements are the same."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from importlib.resources import files

import pytest

from engine.catalog_file import catalog_of, resolve
from engine.preparation import planned
from engine.refusals import QueryRefused

RANGES = [{"test_program": "sat", "subject": "math", "grade_tested": "11", "low": 200, "high": 800}]

YEARS = tuple(range(2020, 2027))


def groups(catalog, sql, cohorts=None):
    return planned(catalog, sql, catalog.cohorts if cohorts is None else cohorts).keys.rows


@pytest.mark.parametrize(
    ("key", "where", "expected"),
    [
        ("has_iep", "NOT has_iep", (False,)),
        ("has_iep", "has_iep", (True,)),
        ("schools_attended", "TRUE", (1, 2, 3, 4, 5, 6, None)),
        ("schools_attended", "schools_attended <= 2", (1, 2)),
        ("schools_attended", "schools_attended IS NULL", (None,)),
        ("schools_attended", "schools_attended IS NOT NULL", (1, 2, 3, 4, 5, 6)),
        ("schools_attended", "schools_attended = 6 OR schools_attended IS NULL", (6, None)),
        ("school_year", "school_year NOT IN (2020, 2023)", (2021, 2022, 2024, 2025, 2026)),
        ("school_year", "school_year > 2024", (2025, 2026)),
        ("school_year", "2021 >= school_year", (2020, 2021)),
        ("school_year", "school_year = 2020 OR school_year + 1 = 2026", (2020, 2025)),
        ("school_year", "school_year = 2020 OR gpa > 3", YEARS),
        ("cohort_year", "school_year = 2020 AND cohort_year > 2031", (2032, 2033)),
        ("days_enrolled", "days_enrolled = 2.5", []),
        ("days_enrolled", "days_enrolled IN (2.0, 2.5, 3)", [2, 3]),
    ],
)
def test_groups_are_all_that_may_hold_and_no_others(key, where, expected, canonical):
    """WHERE, the declared checks and NULL decide which of the listed values are groups."""
    sql = f"SELECT {key}, COUNT(*) FROM student_year WHERE {where} GROUP BY {key}"
    assert groups(canonical, sql) == tuple((value,) for value in expected)


SCHOOLS = (*range(1, 7), None)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (
            "school_year + 10000 * schools_attended",
            {None if s is None else y + 10000 * s for y in YEARS for s in SCHOOLS},
        ),
        ("COALESCE(schools_attended, school_year)", {*SCHOOLS[:-1], *YEARS}),
        ("CASE WHEN school_year > 2024 THEN schools_attended ELSE 0 END", {*SCHOOLS, 0}),
        ("CASE WHEN gpa > 3 THEN 3 END", {3, None}),
        ("CASE WHEN has_iep THEN schools_attended END", set(SCHOOLS)),
        ("NULLIF(school_year, 2020)", {*YEARS[1:], None}),
    ],
)
def test_an_expression_has_a_group_for_each_way_its_columns_can_go_together(key, expected, canonical):
    """None is left out, and none is there that no values lead to."""
    found = groups(canonical, f"SELECT {key}, COUNT(*) FROM student_year GROUP BY 1")
    assert len(found) == len(expected)
    assert {value for (value,) in found} == expected


def test_cohorts_that_are_not_asked_have_no_groups(canonical):
    """A group nobody is counted in would look empty."""
    sql = "SELECT cohort_year, COUNT(*) FROM student GROUP BY 1"
    assert groups(canonical, sql, (2030, 2033)) == ((2030,), (2033,))


def test_a_measurement_belongs_to_its_groups(canonical):
    """The same condition in WHERE and in FILTER counts the same rows in other groups: two measurements."""
    inside = "SELECT school_year, COUNT(*) FROM student_year WHERE school_year = 2025 GROUP BY 1"
    beside = "SELECT school_year, COUNT(*) FILTER (WHERE school_year = 2025) FROM student_year GROUP BY 1"
    (one,), (other,) = (planned(canonical, sql, canonical.cohorts).statistics for sql in (inside, beside))
    assert one.conditions == other.conditions
    assert one.shape != other.shape


def test_a_measurement_belongs_to_its_table(canonical):
    """Equal conditions on two tables are two measurements."""
    (one,), (other,) = (
        planned(canonical, f"SELECT COUNT(*) FROM {table} WHERE cohort_year <= 2030", canonical.cohorts).statistics
        for table in ("student", "graduation")
    )
    assert (one.conditions, one.cohorts, one.keys_digest) == (other.conditions, other.cohorts, other.keys_digest)
    assert one.l2_squared == other.l2_squared
    assert one.shape != other.shape


def test_a_measurement_belongs_to_its_claim(canonical):
    """Noise that was drawn for one claim is not taken for what another says a student can do."""
    sql = "SELECT school_year % 100 AS y, COUNT(*) AS n FROM course_grade GROUP BY y"
    (one,) = planned(canonical, sql, canonical.cohorts).statistics
    other = replace(one, contribution=replace(one.contribution, rows_per_group=one.contribution.rows))
    assert other.l2_squared > one.l2_squared
    assert one.shape != other.shape


def test_what_is_claimed_is_the_same_whatever_else_is_asked(canonical):
    """Filters share the time there is to look into groups by expressions; the whole has its own, and bounds them."""
    joined = "".join(
        f" JOIN {table} USING (student_key)" for table in ("student s", "graduation g", "student o", "student p")
    )
    filters = "".join(f", COUNT(*) FILTER (WHERE y.gpa > {gpa}) AS n{place}" for place, gpa in enumerate((1, 2, 3)))
    ask = f"SELECT y.school_year % 100 AS k, COUNT(*) AS n{{}} FROM student_year y{joined} GROUP BY k"
    alone, beside = (planned(canonical, ask.format(more), canonical.cohorts).statistics for more in ("", filters))
    assert beside[0] == alone[0]
    assert {each.contribution for each in beside} == {alone[0].contribution}
    assert alone[0].contribution.rows_per_group == 1


def test_a_measurement_belongs_to_its_records_and_population(canonical):
    """After a load, or counted for others, it is measured anew."""
    (statistic,) = planned(canonical, "SELECT COUNT(*) FROM student", canonical.cohorts).statistics
    digests = {statistic.digest(epoch, whose) for epoch in ("e1", "e2") for whose in ("research", "mandated")}
    assert len(digests) == 4


def test_a_question_touches_what_any_of_its_statistics_touches(canonical):
    """Whatever the order they are asked in."""
    parts = ["COUNT(*) FILTER (WHERE cohort_year = 2030)", "COUNT(*) FILTER (WHERE cohort_year = 2033)"]
    for chosen in (parts, parts[::-1]):
        plan = planned(canonical, f"SELECT {', '.join(chosen)} FROM student", canonical.cohorts)
        assert plan.touched == plan.cohorts == (2030, 2033)


def test_a_key_without_a_list_is_refused():
    """Which of its values occur would tell about students; what is made of it has values of its own."""
    text = files("engine").joinpath("starter.yaml").read_text(encoding="utf-8")
    free = catalog_of(
        text.replace("sex:            {type: text, values: [F, M, X, unknown]", "sex:            {type: text"),
        "starter.yaml",
    )
    free = resolve(
        free,
        {
            "school": [{"school_id": 1, **dict.fromkeys(free.tables["school"].columns)} | {"school_id": 1}],
            "scale_range": RANGES,
        },
    )
    for key in ("sex", "COALESCE(sex, 'F')"):
        with pytest.raises(QueryRefused) as caught:
            groups(free, f"SELECT {key}, COUNT(*) FROM student GROUP BY 1")
        assert caught.value.code == "keys_undeclared"
    assert groups(free, "SELECT sex = 'F', COUNT(*) FROM student GROUP BY 1") == ((False,), (True,))
    assert groups(free, "SELECT CASE sex WHEN 'F' THEN 'girl' END, COUNT(*) FROM student GROUP BY 1") == (
        ("girl",),
        (None,),
    )


def test_between_two_decimals_lie_more_than_whole_numbers(canonical):
    """A key expression of a bounded decimal is not tried on whole numbers alone: rows between them are there too."""
    sql = "SELECT days_absent IN (0.5, 1.5), COUNT(*) FROM student_year WHERE school_year IN (2024, 2025) GROUP BY 1"
    plan = planned(canonical, sql, canonical.cohorts)
    assert plan.keys.rows == ((False,), (True,), (None,))
    assert plan.statistics[0].contribution.rows_per_group == 2
    sql = "SELECT days_absent >= 1 AND school_year = 2025, COUNT(*) FROM student_year GROUP BY 1"
    assert planned(canonical, sql, canonical.cohorts).statistics[0].contribution.rows_per_group == 7


@pytest.mark.parametrize(
    "keys",
    [
        "grade_level, COALESCE(scale_score, 7 * scale_score), NULLIF(scale_score, 3) + 1",
        "scale_score * 7, scale_score * 11 - performance_level",
        "CASE WHEN subject = 'math' THEN scale_score * 9 ELSE -scale_score END, CASE WHEN subject = 'ela' THEN scale_score * 9 END",
        "scale_score * scale_score",
    ],
)
def test_keys_that_could_be_anything_are_refused_in_little_room(keys, canonical):
    """Two wide expressions of one column are not multiplied out in memory first."""
    sql = f"SELECT COUNT(*) FROM assessment WHERE school_year = 2025 GROUP BY {keys.replace('grade_level, ', '')}"
    tracemalloc.start()
    try:
        with pytest.raises(QueryRefused) as caught:
            groups(canonical, sql)
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
    assert caught.value.code == "keys_undeclared"
