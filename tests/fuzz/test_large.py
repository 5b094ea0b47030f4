"""The same rules at 100,000 rows in random order, with four threads."""

from __future__ import annotations

import random

import pytest
from neighbours.cases import base_seed, prove
from neighbours.compare import BrokenError, examine, rows_of_others
from neighbours.large import THREADS, large_pairs
from neighbours.questions import any_question

from engine.catalog_file import read_catalog

STUDENTS = 5_000
ROWS_MIN = 100_000
QUESTIONS = 400 if prove() else 40


@pytest.mark.slow
def test_no_student_moves_a_vector_beyond_its_claim_at_100000_rows(starter, tmp_path):
    """Neither threads nor the order of rows let one student change what another brings."""
    pairs = large_pairs(read_catalog(starter), STUDENTS, tmp_path)
    cursor = pairs.whole.cursor()
    assert cursor.execute("SELECT current_setting('threads')").fetchall() == [(THREADS,)]
    assert cursor.execute("SELECT COUNT(*) FROM course_grade").fetchall()[0][0] >= ROWS_MIN
    rows_of_others(pairs)
    measured = 0
    for number in range(20 * QUESTIONS):
        question = any_question(random.Random(f"{base_seed()} large {number}"), pairs.catalog)
        try:
            measured += bool(examine(pairs, question, deep=number % 10 == 0))
        except BrokenError as broken:
            pytest.fail(f"{broken}\nHOMEROOM_SEED={base_seed()}, question {number}: {question.sql}")
        if measured == QUESTIONS:
            break
    pairs.close()
    assert measured == QUESTIONS
