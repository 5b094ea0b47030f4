"""The given questions and our own beside the best plans written by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.preparation import planned
from engine.refusals import QueryRefused

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "bench"))
from errors import BY_HAND, compared, questions  # noqa: E402

OWN = TESTS / "questions" / "per_student.sql"
GIVEN = TESTS.parents[1] / "shared" / "queries" / "real_questions.sql"
ALL = [*questions(OWN), *(questions(GIVEN) if GIVEN.is_file() else [])]
PLANNED = [(name, sql) for name, sql in ALL if name in BY_HAND]
REFUSED = [(name, sql) for name, sql in ALL if name not in BY_HAND]


@pytest.mark.parametrize(("name", "sql"), PLANNED, ids=[name for name, _ in PLANNED])
def test_standard_errors_are_those_of_the_best_plan_by_hand(name, sql, canonical):
    """From the same loss no estimate is more than a tenth less sharp than an expert's."""
    assert all(ratio <= 1.1 for ratio in compared(canonical, name, sql).values()), compared(canonical, name, sql)


@pytest.mark.parametrize("sql", [sql for _, sql in REFUSED], ids=[name for name, _ in REFUSED])
def test_what_is_not_answered_yet_is_refused_clearly(sql, canonical):
    """Quantiles over students: by name, with what can be asked instead."""
    with pytest.raises(QueryRefused) as caught:
        planned(canonical, sql, canonical.cohorts)
    assert "QUANTILE_CONT" in caught.value.message
    assert "CASE WHEN" in (caught.value.accepted or "")


@pytest.mark.skipif(not GIVEN.is_file(), reason="the given questions are not beside this checkout")
def test_every_given_question_is_compared():
    """None is left out but those of quantiles."""
    assert {name for name, _ in questions(GIVEN)} - BY_HAND.keys() == {"Q16"}
