"""kill -9 at any moment of a life, many times on one ledger: nothing is lost, nothing is free, nothing drawn twice."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from budgets.ledger import Ledger, State
from tests.budgets.order import assert_in_order
from tests.seeds import PROVE, generator

MORTAL = Path(__file__).with_name("mortal.py")
KILLS = 1_000 if PROVE else 100
LONGEST_S = 0.02
STEPS = ("opening", "charging", "reading", "starting", "drawing", "finishing", "showing")
LEAST = KILLS // 20
"""Each step is hit at least so often: half of the deaths are at a random moment, half are aimed at each in turn."""

Process = subprocess.Popen[str]


def states(path: Path) -> dict[int, str]:
    """As they are in the file, before anybody who opens the ledger changes them."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT entry, state FROM progress"))


def killed(process: Process, name: str, delay_s: float, aim: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{name} {delay_s} {aim}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def assert_shown(ledger: Ledger, lines: list[str]) -> None:
    """What was shown to anybody is measured, with these numbers, and is answered again."""
    for name, number, values in map(json.loads, lines):
        entry = ledger.find("district", name)
        assert entry is not None
        assert (entry.id, entry.state) == (number, State.MEASURED)
        stored = ledger.measurements(entry.measurements.values())
        assert [one.values.tolist() for (one,) in stored.values()] == [values, values]


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.mark.slow
def test_killed_in_every_step(desk: Any, tmp_path: Path) -> None:
    """A hundred deaths (a thousand in `make prove`), spread over all steps and all states; checked after each."""
    folder = tmp_path / "life"
    folder.mkdir()
    random = generator("killed")
    steps: Counter[str] = Counter()
    left: Counter[str] = Counter()
    known: dict[int, str] = {}
    checked = 0
    command = [sys.executable, str(MORTAL), str(desk.path), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for life in range(KILLS):
            aim = STEPS[life // 2 % len(STEPS)] if life % 2 else "any"
            delay_s = random.random() * (0.01 if aim == "opening" else 0 if life % 2 else LONGEST_S)
            steps[killed(process, f"life{life}", delay_s, aim)] += 1
            before = states(desk.path)
            left.update(before[entry] for entry in before if known.get(entry) != before[entry])
            with Ledger.open(desk.path, desk.clock) as ledger:
                known = states(desk.path)
                assert known == {entry: "lost" if was == "drawing" else was for entry, was in before.items()}
                assert_in_order(ledger)
                drawn = Counter(map(int, lines_of(folder / "drawn")))
                assert set(drawn.values()) <= {1}
                assert {entry for entry, state in known.items() if state == "measured"} <= drawn.keys()
                assert {entry for entry, state in known.items() if state == "charged"}.isdisjoint(drawn)
                shown = lines_of(folder / "shown")
                assert_shown(ledger, shown[checked:])
                checked = len(shown)
                balances = ledger.balances("district")
                assert (balances[2025].year_spent, balances[2026].year_spent) == (7 * len(known), 10 * len(known))
    print(f"killed while {dict(steps)}; entries changed to {dict(left)}; {len(known)} entries, {checked} shown")
    assert set(steps) == set(STEPS)
    assert min(steps.values()) >= LEAST
    assert set(left) == {"charged", "drawing", "measured"}
    assert min(left.values()) >= LEAST
    with Ledger.open(desk.path, desk.clock) as ledger:
        assert_shown(ledger, lines_of(folder / "shown"))
