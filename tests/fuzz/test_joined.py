"""Claims about joined relations and groups by expressions are not loose: students who use them to the full reach them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from neighbours import tight_joins, tight_steps
from neighbours.cases import base_seed, prove
from neighbours.tight import Shares

TRIED_MIN = 60 if prove() else 8
"""Fewest questions of each kind."""

AIMS, CATALOGS_MAX = 12, 10 * TRIED_MIN
SHARE_MIN = 0.3
KINDS = (*tight_joins.JOINS, *tight_joins.KEYS)


@pytest.mark.fuzz
@pytest.mark.skipif("HOMEROOM_CASE" in os.environ, reason="one case is repeated")
def test_the_claim_is_reached_for_each_kind_of_join_and_of_group():
    """Exactly, in at least 30 % of the questions of each kind."""
    reached("joined", KINDS)


@pytest.mark.fuzz
@pytest.mark.skipif("HOMEROOM_CASE" in os.environ, reason="one case is repeated")
def test_the_claim_is_reached_for_each_kind_of_step():
    """Exactly, in at least 30 % of the questions of each kind."""
    reached("stepped", tight_steps.STEPS, tight_steps.StepAimer, tight_steps.StepAimer.step)


def reached(name, kinds, *aimer):
    """Ask questions of all kinds until there are enough, and demand that some student reaches the claims."""
    shares = Shares()
    for catalog in range(CATALOGS_MAX):
        with tempfile.TemporaryDirectory() as folder:
            seed = f"{base_seed()} {name} {catalog}"
            pairs, aims = tight_joins.any_aims(seed, Path(folder) / "vault", shares, AIMS, kinds, *aimer)
            try:
                tight_joins.measure(pairs, aims, shares)
            finally:
                pairs.close()
        if min(shares.tried[kind, ""] for kind in kinds) >= TRIED_MIN:
            break
    print({kind: f"{shares.share((kind, '')):.0%} of {shares.tried[kind, '']}" for kind in kinds})
    for kind in kinds:
        assert shares.tried[kind, ""] >= TRIED_MIN
        assert shares.share((kind, "")) >= SHARE_MIN, f"{shares.missed[kind, ''][:3]} HOMEROOM_SEED={base_seed()}"
