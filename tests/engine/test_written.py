"""Ways of writing that researchers are used to, and what they are the same as."""

from __future__ import annotations

import pytest

from engine.forms import Ratio
from engine.preparation import planned
from engine.refusals import QueryRefused

YEAR = "FROM student_year WHERE school_year = 2025"


def shapes(sql, catalog):
    plan = planned(catalog, sql, catalog.cohorts)
    return [s.shape for s in plan.statistics], [output.form for output in plan.outputs]


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (
            f"SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE econ_disadv) AS ed, ed / n AS share {YEAR}",
            f"SELECT COUNT(*), COUNT(*) FILTER (WHERE econ_disadv), COUNT(*) FILTER (WHERE econ_disadv) / COUNT(*) {YEAR}",
        ),
        (f"SELECT SUM(gpa) / NULLIF(COUNT(gpa), 0) AS r {YEAR}", f"SELECT SUM(gpa) / COUNT(gpa) AS r {YEAR}"),
        (f"SELECT COUNT(*)::DOUBLE / COUNT(gpa) AS r {YEAR}", f"SELECT COUNT(*) / COUNT(gpa) AS r {YEAR}"),
        (
            "SELECT COUNT(DISTINCT CASE WHEN has_iep THEN student_key END) FROM student_year",
            "SELECT COUNT(DISTINCT student_key) FILTER (WHERE has_iep) FROM student_year",
        ),
        (
            "SELECT AVG(c) FROM (SELECT student_key, gpa - LAG(gpa) OVER w AS c FROM student_year WINDOW w AS (PARTITION BY student_key ORDER BY school_year))",
            "SELECT AVG(c) FROM (SELECT student_key, gpa - LAG(gpa) OVER (PARTITION BY student_key ORDER BY school_year) AS c FROM student_year)",
        ),
        (
            "SELECT NOT has_iep AS is_passed, COUNT(*) FILTER (WHERE student_key IN (SELECT student_key FROM course_grade WHERE is_passed)) FROM student_year GROUP BY 1",
            "SELECT NOT has_iep, COUNT(*) FILTER (WHERE student_key IN (SELECT c.student_key FROM course_grade c WHERE c.is_passed)) FROM student_year GROUP BY 1",
        ),
        (
            f"SELECT often, COUNT(*) FROM (SELECT student_key, days_absent / 2 AS half, half > 9 AS often {YEAR}) GROUP BY often",
            f"SELECT often, COUNT(*) FROM (SELECT student_key, days_absent / 2 > 9 AS often {YEAR}) GROUP BY often",
        ),
    ],
)
def test_it_is_the_same_question(written, same, canonical):
    """One measurement and one form, however it is written."""
    assert shapes(written, canonical) == shapes(same, canonical)


def test_a_column_goes_before_a_name_of_another_column(canonical):
    """gpa is the column, also where an earlier column of the answer is called so."""
    one = shapes(f"SELECT COUNT(*) AS gpa, AVG(gpa) AS m {YEAR}", canonical)
    assert isinstance(one[1][1], Ratio)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        (f"SELECT {', '.join(['COUNT(*) AS a0', *(f'a{i} + a{i} AS a{i + 1}' for i in range(40))])} {YEAR}", "too_large"),
        ("SELECT COUNT(*) FROM (SELECT student_key, LAG(gpa) OVER v AS c FROM student_year WINDOW w AS (PARTITION BY student_key ORDER BY school_year))", "unsupported"),
        ("SELECT COUNT(*) FROM (SELECT student_key, RANK() OVER w AS c FROM student_year WINDOW w AS (ORDER BY gpa))", "crosses_students"),
        ("SELECT COUNT(DISTINCT CASE WHEN has_iep THEN student_key ELSE 1 END) FROM student_year", "unsupported"),
        ("SELECT COUNT(*) FROM (SELECT student_key, COUNT(*) OVER (w ROWS 1 PRECEDING) AS c FROM student_year WINDOW w AS (PARTITION BY student_key ORDER BY school_year))", "unsupported"),
        ("SELECT COUNT(*) FROM (SELECT student_key, COUNT(*) OVER w AS c FROM student_year WINDOW w AS (PARTITION BY student_key), W AS (PARTITION BY student_key, school_year))", "syntax"),
    ],
)  # fmt: skip
def test_what_is_not_the_same_is_refused(sql, code, canonical):
    """Names that double, windows that are not there or look across students, other values beside the owner."""
    with pytest.raises(QueryRefused) as caught:
        planned(canonical, sql, canonical.cohorts)
    assert caught.value.code == code


def test_explain_tells_what_fewer_rows_would_gain(district):
    """And names the bounds that could be narrower; a single row has nothing to cut."""
    advice = " ".join(district.explain("SELECT SUM(credits_earned) AS s FROM course_grade").advice)
    assert "rows_per_student_max=" in advice
    assert "credits_earned from 0 to 2" in advice
    assert "rows_per_student_max" not in " ".join(district.explain(f"SELECT COUNT(*) {YEAR}").advice)
