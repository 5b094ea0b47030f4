"""rows_per_student_max and groups_per_student_max: what a student beyond a limit contributes, and what it costs."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import trunc

import pytest

from engine.froms import OWNER
from engine.preparation import planned
from engine.statistic import FINE, NO_LIMITS, Limits
from tests.engine.counting import exact_vectors

COUNT = "SELECT subject_area, COUNT(*) AS n FROM course_grade GROUP BY subject_area"
COUNTED = "SELECT {owner}, subject_area, COUNT(*), COALESCE(SUM(COALESCE(credits_earned, 0)), 0) FROM course_grade WHERE {where} GROUP BY ALL"


def exact(vault, sql, limits):
    """The statistics of a question and their exact vectors, by key."""
    plan = planned(vault.catalog, sql, vault.catalog.cohorts, limits)
    vectors = exact_vectors(vault, plan)
    return plan, [dict(zip(plan.keys.rows, vector.tolist(), strict=True)) for vector in vectors]


def cut(vault, limits, where="TRUE"):
    """The same by hand: of each student's counts the part that the limits leave, in whole parts."""
    rows = vault.cursor().execute(COUNTED.format(owner=OWNER, where=where)).fetchall()
    counts, found = {}, {}
    for owner, _, count, _ in rows:
        n, groups = counts.get(owner, (0, 0))
        counts[owner] = n + count, groups + 1
    for owner, subject, count, _ in rows:
        n, groups = counts[owner]
        part = min(
            Fraction(1),
            Fraction(limits.rows, n) if limits.rows else Fraction(1),
            Fraction(limits.groups, groups) if limits.groups else Fraction(1),
        )
        found[subject,] = found.get((subject,), 0) + trunc(FINE * count * part)
    return found


@pytest.mark.parametrize("limits", [Limits(3), Limits(None, 2), Limits(5, 3), Limits(1, 1), Limits(40, 2)])
def test_a_student_beyond_a_limit_counts_in_proportion(vault, limits):
    """Each student's exact total times c / n, in whole parts, rounded toward zero."""
    plan, (counts,) = exact(vault, COUNT, limits)
    assert {key: count for key, count in counts.items() if count} == cut(vault, limits)
    (statistic,) = plan.statistics
    m, g = (x or y for x, y in ((limits.rows, 112), (limits.groups, 9)))
    assert (statistic.contribution.rows, statistic.contribution.groups) == (m, g)
    assert statistic.bound == FINE


def test_a_limit_that_nobody_can_be_beyond_is_no_limit(canonical):
    """The same measurement, which may be stored already."""
    (plain,) = planned(canonical, COUNT, canonical.cohorts).statistics
    (same,) = planned(canonical, COUNT, canonical.cohorts, Limits(112, 9)).statistics
    (less,) = planned(canonical, COUNT, canonical.cohorts, Limits(111, 9)).statistics
    assert plain.digest("e", "research") == same.digest("e", "research") != less.digest("e", "research")
    assert less.l2_squared < FINE**2 * plain.l2_squared


def test_a_sum_and_its_count_shrink_alike(vault):
    """So an average keeps its meaning, and FILTER counts its own rows alone."""
    where = "course_level = 'regular'"
    sql = (
        f"SELECT subject_area, AVG(grade_points) FILTER (WHERE {where}) AS m FROM course_grade GROUP BY subject_area"
    )
    plan, vectors = exact(vault, sql, Limits(2))
    bases = {statistic.limited.base for statistic in plan.statistics}
    assert len(plan.statistics) == 2
    assert len(bases) == 1
    counted = next(v for s, v in zip(plan.statistics, vectors, strict=True) if s.centred is None)
    assert {key: n for key, n in counted.items() if n} == cut(vault, Limits(2), where)


def under_limits(vault, sql):
    """What is measured without a limit, with one of rows, and with one of groups."""
    limits = NO_LIMITS, Limits(1), Limits(None, 2)
    return [
        *itertools.chain(*(planned(vault.catalog, sql, vault.catalog.cohorts, each).statistics for each in limits))
    ]


def test_students_are_counted_once_whatever_the_limit_of_rows(vault):
    """A limit of rows leaves counts of students as they are; one of groups does not."""
    sql = "SELECT subject_area, COUNT(DISTINCT student_key) AS n FROM course_grade GROUP BY subject_area"
    plain, rows, groups = under_limits(vault, sql)
    assert rows == plain
    assert (groups.contribution.rows, groups.contribution.groups, groups.l2_squared) == (9, 2, 2 * FINE**2)


def test_students_whose_rows_in_a_group_are_one_are_counted_alike(vault):
    """Where the catalog's key says so they are counted as rows, and a limit of rows is still none of students."""
    sql = "SELECT school_year, COUNT(DISTINCT student_key) AS n FROM student_year GROUP BY school_year"
    plain, rows, groups = under_limits(vault, sql)
    assert rows == plain
    assert (groups.limited.rows, groups.limited.groups, groups.l2_squared) == (None, 2, 2 * FINE**2)


def test_an_answer_under_a_limit_says_so(district):
    """Estimates are in the question's own unit, the notes say what is cut off, and explain tells it from noise."""
    limited = district.ask(COUNT, rows_per_student_max=8, epsilon=0.3, request_id="limited")
    whole = district.preview(COUNT, epsilon=0.3)
    assert limited.moe90[0][1] < whole.expected[0].moe90 / 5
    assert limited.columns[1].type == "double"
    assert any("in proportion" in note for note in limited.notes)
    (told,) = district.explain(COUNT, rows_per_student_max=8, epsilon=0.2).statistics
    assert told.clamping == ["of up to 112 rows of one student 8 count: who has more counts in proportion"]
    again = district.ask(COUNT, rows_per_student_max=8, epsilon=0.3, request_id="limited")
    assert (again.rows, again.replayed) == (limited.rows, True)
    assert district.released(limited.release_id).rows == limited.rows


def test_what_else_is_asked_moves_no_limited_number(vault):
    """One measurement is one number: the rows that a limit counts are those of its own base."""
    where = "FROM student_year WHERE school_year >= 2021"
    one, (number,) = exact(vault, f"SELECT COUNT(gpa) AS n {where}", Limits(1))
    (alone,) = one.statistics
    plan, vectors = exact(vault, f"SELECT COUNT(gpa) AS n, COUNT(*) AS m, AVG(gpa) AS a {where}", Limits(1))
    beside = [v for s, v in zip(plan.statistics, vectors, strict=True) if s.shape == alone.shape]
    assert beside == [number]


def test_without_where_a_sum_and_its_count_shrink_alike_too(canonical):
    """No condition is a base as well: all of a student's rows."""
    plan = planned(canonical, "SELECT AVG(gpa) AS m FROM student_year", canonical.cohorts, Limits(2))
    assert {statistic.limited.base for statistic in plan.statistics} == {()}
