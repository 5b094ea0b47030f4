"""Claims about joined relations and groups by expressions are not loose: students who use them to the full reach them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from neighbours import tight_joins
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
    shares = Shares()
    for catalog in range(CATALOGS_MAX):
        with tempfile.TemporaryDirectory() as folder:
            seed = f"{base_seed()} joined {catalog}"
            pairs, aims = tight_joins.any_aims(seed, Path(folder) / "vault", shares, AIMS)
            try:
                tight_joins.measure(pairs, aims, shares)
            finally:
                pairs.close()
        if min(shares.tried[kind, ""] for kind in KINDS) >= TRIED_MIN:
            break
    print({kind: f"{shares.share((kind, '')):.0%} of {shares.tried[kind, '']}" for kind in KINDS})
    for kind in KINDS:
        assert shares.tried[kind, ""] >= TRIED_MIN
        assert shares.share((kind, "")) >= SHARE_MIN, f"{shares.missed[kind, ''][:3]} HOMEROOM_SEED={base_seed()}"
