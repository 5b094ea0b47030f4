"""Claims about joined relations and groups by expressions are not loose: some student often uses them to the full."""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from neighbours.cases import base_seed, made_pairs, prove
from neighbours.compare import examine
from neighbours.joins import any_joined

KINDS = (
    "one table",
    "inner",
    "owner and key",
    "self-join",
    "public",
    "left private",
    "left public",
    "subquery",
    "CTE",
    "key expression",
    "students",
)
CATALOGS, QUESTIONS = (40, 300) if prove() else (6, 120)
TRIED_MIN = 300 if prove() else 15
SHARE_MIN = 0.12
"""Of random questions, which look where no student has all rows that are permitted."""


@pytest.mark.fuzz
@pytest.mark.skipif("HOMEROOM_CASE" in os.environ, reason="one case is repeated")
def test_claims_are_reached_for_each_kind_of_join_and_key():
    """Exactly, by some student of a random database."""
    tried: Counter[str] = Counter()
    reached: Counter[str] = Counter()
    for catalog in range(CATALOGS):
        with tempfile.TemporaryDirectory() as folder:
            pairs = made_pairs(f"{base_seed()} joined", catalog, Path(folder) / "vault")
            try:
                for number in range(QUESTIONS):
                    question = any_joined(random.Random(f"{base_seed()} {catalog} {number}"), pairs.catalog)
                    for found in examine(pairs, question) or ():
                        tried.update(question.kinds)
                        reached.update(question.kinds if found.fully else ())
            finally:
                pairs.close()
    print({kind: f"{reached[kind]} of {tried[kind]}" for kind in KINDS})
    for kind in KINDS:
        assert tried[kind] >= TRIED_MIN
        assert reached[kind] >= SHARE_MIN * tried[kind], f"{kind} HOMEROOM_SEED={base_seed()}"
