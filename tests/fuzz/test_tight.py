"""Claims are not loose: where a student can use a bound to the full, some student does."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path

import pytest
from neighbours import tight
from neighbours.cases import base_seed, prove

from engine.analysis import contribution

TRIED_MIN = 60 if prove() else 12
"""Fewest questions of each aggregate and each kind of pin and bound."""

FEW = 4
SHARE_MIN = 0.3
CATALOGS_MAX = 20 * TRIED_MIN
BUCKETS = [(aggregate, kind) for aggregate in tight.AGGREGATES for kind in (*tight.PINS, *tight.BOUNDS)]


def shares_of(seed: str, enough: int, catalogs: int = CATALOGS_MAX) -> tight.Shares:
    """What is reached in each bucket, with at least so many questions in each, or of so many catalogs."""
    shares = tight.Shares()
    for catalog in range(catalogs):
        with tempfile.TemporaryDirectory() as folder:
            pairs, aims = tight.any_aims(f"{seed} {catalog}", Path(folder) / "vault", shares)
            try:
                tight.measure(pairs, aims, shares)
            finally:
                pairs.close()
        if min(shares.tried[bucket] for bucket in BUCKETS) >= enough:
            break
    return shares


@pytest.mark.fuzz
@pytest.mark.skipif("HOMEROOM_CASE" in os.environ, reason="one case is repeated")
def test_the_claim_is_reached_for_each_aggregate_and_each_kind_of_bound():
    """Exactly, in at least 30 % of the questions of each kind."""
    shares = shares_of(base_seed(), TRIED_MIN)
    print(shares)
    for bucket in BUCKETS:
        assert shares.tried[bucket] >= TRIED_MIN
        assert shares.share(bucket) >= SHARE_MIN, f"{bucket} {shares.missed[bucket][:3]} HOMEROOM_SEED={base_seed()}"


@pytest.mark.slow
def test_a_loose_claim_is_noticed(monkeypatch):
    """Were unique keys not used, some kind of claim would hardly ever be reached."""
    real = contribution.rows_basis

    def keyless(catalog, table, known, fixed=()):
        basis = real(catalog, table, known, fixed)
        return dataclasses.replace(basis, rows=max(basis.rows, min(table.rows_per_student_max or 1, 40)))

    monkeypatch.setattr(contribution, "rows_basis", keyless)
    shares = shares_of("1", TRIED_MIN, catalogs=6)
    assert any(shares.tried[bucket] >= FEW and shares.share(bucket) < SHARE_MIN for bucket in BUCKETS)
