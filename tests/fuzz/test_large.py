"""The same rules at 100,000 rows in random order, with four threads."""

from __future__ import annotations

import random

import pytest
from neighbours.cases import base_seed, prove
from neighbours.compare import BrokenError, examine, rows_of_others
from neighbours.large import THREADS, TIES, Written, large_pairs
from neighbours.questions import any_question
from neighbours.steps import any_stepped

from engine.catalog_file import read_catalog

STUDENTS = 5_000
ROWS_MIN = 100_000
QUESTIONS = 400 if prove() else 40


@pytest.fixture(scope="module")
def pairs(starter, tmp_path_factory):
    """The district, and without one student or another."""
    found = large_pairs(read_catalog(starter), STUDENTS, tmp_path_factory.mktemp("large"))
    yield found
    found.close()


@pytest.mark.slow
@pytest.mark.parametrize("sql", TIES, ids=range(len(TIES)))
def test_one_student_changes_nothing_of_others_whose_rows_are_in_doubt(sql, pairs):
    """Where an ORDER BY leaves rows in doubt, what a student brings is that student's alone."""
    assert examine(pairs, Written(sql, pairs.catalog.cohorts))


@pytest.mark.slow
def test_no_student_moves_a_vector_beyond_its_claim_at_100000_rows(pairs):
    """Neither threads nor the order of rows let one student change what another brings."""
    cursor = pairs.whole.cursor()
    assert cursor.execute("SELECT current_setting('threads')").fetchall() == [(THREADS,)]
    assert cursor.execute("SELECT COUNT(*) FROM course_grade").fetchall()[0][0] >= ROWS_MIN
    rows_of_others(pairs)
    measured = 0
    for number in range(20 * QUESTIONS):
        rng = random.Random(f"{base_seed()} large {number}")
        stepped = number % 3 == 2
        question = any_stepped(rng, pairs.catalog, depth=2, joined=1) if stepped else any_question(rng, pairs.catalog)
        try:
            measured += bool(examine(pairs, question, deep=number % 10 == 0))
        except BrokenError as broken:
            pytest.fail(f"{broken}\nHOMEROOM_SEED={base_seed()}, question {number}: {question.sql}")
        if measured == QUESTIONS:
            break
    assert measured == QUESTIONS
