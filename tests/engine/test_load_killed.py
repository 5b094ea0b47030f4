"""kill -9 in the middle of loads, and questions that go on meanwhile in another process."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet
import pytest

from budgets.clock import FixedClock
from engine.district import District
from engine.doctor import examine
from engine.loading import load_next
from tests.seeds import PROVE, generator

AS_OF = datetime(2025, 9, 15, 12, tzinfo=UTC)
LONGEST_S = 5
"""Between two answers, on a machine that does other things too; a question takes a hundredth of a second."""

KILLS = 100 if PROVE else 10
LOADER, ASKER = (Path(__file__).with_name(name) for name in ("loader.py", "asker.py"))
COUNT = "SELECT COUNT(*) AS n FROM student WHERE cohort_year = 2031"


@pytest.fixture
def files(tables, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, table in tables.items():
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet")
    return folder


@contextlib.contextmanager
def process(*arguments):
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def wait(running, until):
    while not until():
        assert running.poll() is None, "the process ended by itself"
        time.sleep(0.01)


@pytest.mark.slow
def test_whenever_a_load_is_killed_one_epoch_is_whole(pilot, files, tables):
    """Ten deaths (a hundred in `make prove`): the old records answer, or the new ones, and the next load works."""
    random = generator("killed loads")
    clock = FixedClock(AS_OF)
    epochs = set()
    for life in range(KILLS):
        with process(LOADER, pilot, files) as loader:
            loader.stdin.write("load\n")
            loader.stdin.flush()
            assert loader.stdout.readline() == "begins\n"
            if life % 5 == 4:
                assert loader.stdout.readline().startswith("load "), "killed after its load"
            else:
                time.sleep(random.random() * 1.5)
        with District.open(pilot, clock=clock) as district:
            release = district.ask(COUNT, epsilon=0.001)
            epochs.add(release.epoch)
        assert [each.what for each in examine(pilot, clock=clock) if each.state == "wrong"] == []
    assert len(epochs) > 1, "some load ended before its death"
    loaded = load_next(pilot, tables, clock=clock)
    left = {file.name for file in (pilot / "vault").iterdir()}
    assert left == {loaded.file, f"epoch-{loaded.epoch}.public.json"}, "nothing of the dead is left"


@pytest.mark.slow
def test_another_process_answers_during_a_load(pilot, tables):
    """Without a pause longer than a question takes; from the moment of the switch on, from the new records."""
    with process(ASKER, pilot) as asker:
        told = []

        def listen():
            told.extend((time.monotonic(), line.strip()) for line in asker.stdout)

        listener = threading.Thread(target=listen)
        listener.start()
        wait(asker, lambda: len(told) >= 3)
        begun = time.monotonic()
        loaded = [load_next(pilot, tables, clock=FixedClock(AS_OF)) for _ in range(3)]
        ended = time.monotonic()
        count = len(told)
        wait(asker, lambda: len(told) >= count + 3)
        asker.kill()
        listener.join()
    during = [moment for moment, _ in told if begun <= moment <= ended]
    assert len(during) > 3, "questions were answered while records were loaded"
    assert max(later - earlier for earlier, later in itertools.pairwise(during)) < LONGEST_S
    seen = list(dict.fromkeys(epoch for _, epoch in told))
    assert seen[-1] == loaded[-1].epoch
    assert set(seen[1:]) <= {each.epoch for each in loaded}
