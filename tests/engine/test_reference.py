"""The SQL page says what the engine does."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from engine import reference, steps
from engine.preparation import planned
from engine.refusals import QueryRefused

PAGE = Path(__file__).parents[2] / "notebooks" / "sql.md"


def test_the_page_is_written_by_the_engine():
    """It is made anew with `python -m engine.reference > notebooks/sql.md`."""
    assert PAGE.read_text(encoding="utf-8") == reference.page()


@pytest.mark.parametrize("sql", [sql for _, sql in reference.QUESTIONS])
def test_each_question_of_the_page_is_answered(sql, canonical, district):
    """It is planned over the canonical schema, and a district answers it."""
    assert planned(canonical, sql, canonical.cohorts).statistics
    assert district.preview(sql).charges


@pytest.mark.parametrize("made", [made for made, _ in reference.AGGREGATES])
def test_each_aggregate_of_the_page_is_accepted(made, canonical):
    """As it stands, and with FILTER."""
    for text in (made, f"{made} FILTER (WHERE is_passed)"):
        sql = f"SELECT COUNT(x) FROM (SELECT student_key, {text} AS x FROM course_grade GROUP BY student_key)"
        assert planned(canonical, sql, canonical.cohorts).statistics


@pytest.mark.parametrize("made", [made for made, _ in reference.WINDOWS])
def test_each_window_of_the_page_is_accepted(made, canonical):
    """Beside a student's rows."""
    window = f"{made} OVER (PARTITION BY student_key ORDER BY school_year)"
    sql = f"SELECT COUNT(x) FROM (SELECT student_key, {window} AS x FROM student_year)"
    assert planned(canonical, sql, canonical.cohorts).statistics


def test_the_page_leaves_no_aggregate_out():
    """Each class of node that is accepted within a student stands on it."""

    def classes(rows, *, over=""):
        trees = [sqlglot.parse_one(f"SELECT {made}{over}", read="duckdb") for made, _ in rows]
        return {type(node) for each in trees for node in each.walk()}

    told = " ".join(about for _, about in reference.AGGREGATES)
    also = {exp.StddevSamp} if "STDDEV_SAMP" in told else set()
    assert classes(reference.AGGREGATES) | also >= set(steps.AGGREGATES)
    assert classes(reference.WINDOWS, over=" OVER (PARTITION BY 1)") >= {*steps.RANKS, *steps.PLACES}


@pytest.mark.parametrize("sql", reference.REFUSED)
def test_each_refusal_of_the_page_says_what_instead(sql, canonical):
    """On the canonical schema as on the page, with what would be accepted."""
    with pytest.raises(QueryRefused) as caught:
        planned(canonical, sql, canonical.cohorts)
    assert caught.value.code == reference.refusal(sql).code
    assert caught.value.accepted
