"""The fuzz can fail: wrong rules turn it red, and what it then shows is small and runs."""

from __future__ import annotations

import random
import re

import duckdb
import pytest
from neighbours import planted
from neighbours.cases import STEPPED, Tally, campaign, made_pairs, prove, question_of
from neighbours.compare import BrokenError, examine
from neighbours.questions import any_question
from neighbours.shrink import script, shrunk

SEED = "5"
CHECKED = 20_000
"""Cases of `make fuzz` in `make check`: each bug must show within so many."""

FIRST = {} if prove() else {"opt_outs_counted": 3}
"""The catalogs that are begun with, where the first ones show nothing and take long to."""

KEPT = (
    planted.PLANTED
    if prove()
    else (
        planted.in_counts_one,
        planted.mixed_lists,
        planted.expression_as_bare_key,
        planted.opt_outs_counted,
        planted.one_row_of_a_group,
    )
)
ROWS_MAX, WORDS_MAX = 9, 25


@pytest.mark.parametrize("plant", planted.PLANTED, ids=lambda plant: plant.__name__)
def test_what_a_wrong_rule_replaces_is_there(plant, monkeypatch):
    """Plants keep up with the code."""
    plant(monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("plant", KEPT, ids=lambda plant: plant.__name__)
def test_a_wrong_rule_turns_the_fuzz_red(plant, monkeypatch):
    """Five of them here, all in `make prove`."""
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="repeat: HOMEROOM_SEED") as red:
        campaign(SEED, FIRST.get(plant.__name__, 0), CHECKED, Tally())
    assert not re.search("AttributeError|TypeError|NameError", str(red.value))  # the plant itself is at fault


def first_failure(folder):
    """The first case of a seed without groups that breaks a rule."""
    pairs = made_pairs(SEED, 0, folder)
    for number in range(400):
        question = any_question(random.Random(f"{SEED} 0 question {number}"), pairs.catalog)
        if "GROUP BY" in question.sql:
            continue
        try:
            examine(pairs, question)
        except BrokenError as broken:
            return pairs, question, broken
    raise AssertionError


@pytest.mark.slow
def test_a_failure_is_shrunk_to_a_small_case_that_runs(monkeypatch, tmp_path):
    """Of a planted bug there remain one short question and the rows of one student, as SQL that shows the distance."""
    planted.in_counts_one(monkeypatch)
    pairs, question, broken = first_failure(tmp_path / "vault")
    small = shrunk(pairs, question, broken.kind)
    pairs.close()
    assert small is not None
    assert small.broken().kind == broken.kind == "sensitivity"
    assert len(small.question.sql.split()) <= min(WORDS_MAX, len(question.sql.split()))
    rows = [row for own in small.rows.values() for row in own]
    assert {row[0] for row in rows} == {small.owner}
    assert len(rows) <= ROWS_MAX
    text = script(small)
    one, two = answers(text)
    moved = sum((a - b) ** 2 for a, b in zip(one, two, strict=True))
    assert f"moved {moved}, claimed" in text


@pytest.mark.slow
def test_a_failure_within_a_step_is_shrunk_too(monkeypatch, tmp_path):
    """What a step does not need for the failure is left out of it."""
    planted.all_of_a_step_is_the_students(monkeypatch)
    small, pairs = None, made_pairs(SEED, 0, tmp_path / "vault")
    for number in range(STEPPED - 1, 3_000, STEPPED):
        question = question_of(SEED, 0, number, pairs)
        try:
            examine(pairs, question)
        except BrokenError as broken:
            if broken.kind == "sensitivity":
                small = shrunk(pairs, question, broken.kind)
                break
    pairs.close()
    assert small is not None
    assert "(SELECT" in small.question.sql
    assert len(small.question.sql) < min(400, len(question.sql))
    assert len({row[0] for own in small.rows.values() for row in own}) == 1


def answers(text):
    """What the two SELECTs of a script give; one row each, as nothing is grouped."""
    with duckdb.connect(":memory:") as connection:
        found = []
        for statement in connection.extract_statements(text):
            result = connection.execute(statement)
            if statement.type == duckdb.StatementType.SELECT:
                found.append([int(cell) for cell in result.fetchall()[0]])
    return found
