"""How fast records come in, and in how much memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.seeds import PROVE

LOADING = Path(__file__).parents[1] / "bench" / "loading.py"
ROWS = 5_000_000 if PROVE else 500_000
MORE = 20_000_000 if PROVE else 1_500_000
SHARE_OF_COPY = 1 / 6
MEMORY_MIB = 2048


def loaded(folder: Path, rows: int) -> dict[str, float]:
    folder.mkdir()
    command = [sys.executable, str(LOADING), str(folder), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_load_keeps_up_with_plain_copy_in_two_gibibytes(tmp_path):
    """At least a sixth of its rows per second; three or four times the rows take that much longer, within two GiB too."""
    one, more = loaded(tmp_path / "one", ROWS), loaded(tmp_path / "more", MORE)
    assert one["load_rows_per_s"] >= SHARE_OF_COPY * one["copy_rows_per_s"]
    for found in (one, more):
        assert found["peak_mib"] < MEMORY_MIB
        assert found["steps_told"] > 4
    assert more["load_s"] < 1.5 * one["load_s"] * MORE / ROWS
