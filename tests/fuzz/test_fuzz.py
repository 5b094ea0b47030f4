"""Neighbouring districts, before the noise: no student moves a vector by more than is claimed.

Random catalogs, random records sent through the real loader, random questions; the real planner, compiler and
backend run over databases that differ by one student. `HOMEROOM_SEED` repeats a run, with `HOMEROOM_CASE` one case.
"""

from __future__ import annotations

import os

import pytest
from neighbours.cases import Tally, base_seed, campaign, made_pairs, one, prove, records

SEED = base_seed()
CASE = os.environ.get("HOMEROOM_CASE")
CASES = 500_000 if prove() else 20_000
PARTS = 100 if prove() else 8
FEW = 30


def test_no_student_moves_a_vector_beyond_its_claim():
    """A few cases; `make fuzz` runs 20,000, `make prove` 500,000.

    A tenth of the questions is refused. Of the dozen that are asked here half are in one run of ten thousand; the
    many are held to a fifth.
    """
    tally = Tally()
    campaign(SEED, 900_000, FEW, tally, questions=60)
    assert tally.refused < tally.questions / 2
    assert tally.cases >= FEW


@pytest.mark.fuzz
@pytest.mark.skipif(CASE is not None, reason="one case is repeated")
@pytest.mark.parametrize("part", range(PARTS))
def test_no_student_moves_a_vector_beyond_its_claim_in_many_cases(part, record_property):
    """All cases; their seed comes from the commit."""
    tally = Tally()
    campaign(SEED, part * 1_000, CASES // PARTS, tally)
    print(tally)
    record_property("tally", str(tally))
    assert tally.refused < tally.questions / 5


@pytest.mark.fuzz
@pytest.mark.skipif(CASE is None, reason="no case is named")
def test_one_case_again(tmp_path):
    """`HOMEROOM_SEED=… HOMEROOM_CASE=catalog.question` runs that one."""
    catalog, number = map(int, (CASE or "0.0").split("."))
    pairs = made_pairs(SEED, catalog, tmp_path / "vault")
    try:
        records(SEED, catalog, pairs)
        one(SEED, catalog, number, pairs, Tally())
    finally:
        pairs.close()
