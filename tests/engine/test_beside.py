"""Counts of rows that are among the rows of another count: measured beside it, where that is as safe and sharper."""

from __future__ import annotations

import pytest

from engine import margins
from engine.preparation import planned
from engine.statistic import NO_LIMITS, Limits
from engine.tree import canonical as text

FEW = "COUNT(*) FILTER (WHERE has_iep)"


def asked(catalog, columns, where="school_year = 2025", limits=NO_LIMITS):
    return planned(catalog, f"SELECT {columns} FROM student_year WHERE {where}", catalog.cohorts, limits)


def test_a_count_among_others_is_twice_as_sharp(canonical):
    """Of the same loss: variance 1 of the whole, ½ of the part; apart each would have 1."""
    plan = asked(canonical, f"COUNT(*) AS n, {FEW} AS few")
    scales = [1.0, 1.0]
    n, few = (margins.variance(output.form, scales) for output in plan.outputs)
    assert [s.l2_squared for s in plan.statistics] == [1, 1]
    assert (n, few) == pytest.approx((1.0, 0.5))


def test_the_order_in_which_they_are_asked_does_not_matter(canonical):
    """The same measurements whichever stands first, and for an average that counts its own rows."""
    one, other = (asked(canonical, columns) for columns in (f"COUNT(*), {FEW}", f"{FEW}, COUNT(*)"))
    assert {s.shape for s in one.statistics} == {s.shape for s in other.statistics}
    average = asked(canonical, "AVG(gpa) AS g, COUNT(*) AS n, COUNT(gpa) AS c")
    assert len(average.statistics) == 3
    assert sorted(average.weights) == [0.5, 0.5, 1]


@pytest.mark.parametrize(
    ("columns", "where", "limits"),
    [
        ("COUNT(*), COUNT(*) FILTER (WHERE cohort_year = 2030)", "school_year = 2025", NO_LIMITS),
        ("COUNT(*), COUNT(*) FILTER (WHERE school_year = 2025)", "school_year >= 2020", NO_LIMITS),
        (f"COUNT(*), {FEW}", "school_year >= 2020", Limits(2)),
        ("COUNT(DISTINCT student_key), COUNT(*) FILTER (WHERE has_iep)", "school_year >= 2020", NO_LIMITS),
        (f"{FEW}, COUNT(*) FILTER (WHERE econ_disadv)", "school_year = 2025", NO_LIMITS),
    ],
)
def test_what_is_not_alike_stays_apart(columns, where, limits, canonical):
    """Another class pays, a student can do less to the part, a limit cuts each by its own rows, or none is within the other."""
    plan = asked(canonical, columns, where, limits)
    assert [s.centred for s in plan.statistics] == [None, None]


def test_parts_of_parts_go_on(canonical):
    """Each count stands beside the smallest that holds it."""
    deep = "COUNT(*) FILTER (WHERE has_iep AND econ_disadv)"
    plan = asked(canonical, f"COUNT(*), {FEW}, {deep} AS deep")
    assert [margins.variance(output.form, [1.0] * 3) for output in plan.outputs] == [1.0, 0.5, 0.375]
    assert len({" ".join(map(text, s.conditions)) for s in plan.statistics}) == 2


def test_a_ratio_of_such_counts_is_foretold(canonical):
    """A share lies between 0 and 1, and one row adds 1 to its divisor, also where the divisor is the part."""
    share = asked(canonical, f"COUNT(*) AS n, {FEW} / COUNT(*) AS share").outputs[1].form
    assert (share.within, share.per_row) == ((0, 1), 1)
    mean = asked(canonical, "COUNT(*) AS n, 2 * AVG(gpa) AS g").outputs[1].form
    assert (mean.within, mean.per_row) == ((0, 10), 1)
    among = "SUM(CASE WHEN econ_disadv THEN 1 ELSE 0 END) FILTER (WHERE has_iep)"
    part = asked(canonical, f"COUNT(*) AS n, {among} / {FEW} AS r").outputs[1].form
    assert part.per_row == 1


def test_shares_of_a_class_that_cannot_be_there_are_of_nobody(canonical):
    """Nothing is measured, and nothing fails."""
    sql = "SELECT COUNT(*) FILTER (WHERE has_iep) / COUNT(*) AS r FROM student_year WHERE school_year = 2025"
    assert planned(canonical, sql, (2021,)).statistics == ()
