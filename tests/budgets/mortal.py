"""Callers that are killed: `mortal.py ledger folder`; each line of standard input is one life, and one death.

A line is `NAME DELAY_S AIM`. A child is forked that opens the ledger, takes over what the one before it left, and
then pays, draws and finishes one question after another. As soon as it is in the step AIM it is killed, and the step
it was in is said; where AIM is `any`, so long after the opening as DELAY_S says.

In the folder, appended: `drawn`, the entry of each draw before it is made; `shown`, each answer after it was stored.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import signal
import sys
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np

from budgets.clock import FixedClock
from budgets.ledger import Draw, Entry, Ledger, PrivacyLoss, Question, StaleBasis, State

STEPS = ("opening", "charging", "reading", "starting", "drawing", "finishing", "showing")
CLOCK = FixedClock(datetime(2025, 3, 1, 12, tzinfo=UTC))

AIMED = {"any": STEPS[1:]}
READING_S = 0.001
"""Between charge and draw the records are read."""


def asked(name: str) -> Question:
    names = [hashlib.sha256(f"{name}{part}".encode()).hexdigest() for part in "ab"]
    draws = (
        Draw(names[0], 2.0, PrivacyLoss(7), (2025, 2026, 2027)),
        Draw(names[1], 2.0, PrivacyLoss(3), (2026,)),
    )
    return Question("district", name, "h", "p", "{}", "epoch-1", "mandated", 2025, draws, {}, {}, (2025, 2026, 2027))


def append(path: Path, line: str) -> None:
    """One write: it is whole in the file, or not there; and on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.fsync(descriptor)
    os.close(descriptor)


def answered(ledger: Ledger, question: Question, folder: Path, step: mmap.mmap) -> Entry | None:
    step[0] = STEPS.index("charging")
    try:
        entry = ledger.charge(question, {draw.statistic: None for draw in question.draws})
    except StaleBasis:
        return None
    step[0] = STEPS.index("reading")
    time.sleep(READING_S)
    step[0] = STEPS.index("starting")
    if entry.state is not State.CHARGED or not ledger.start_drawing(entry.id):
        return None
    step[0] = STEPS.index("drawing")
    append(folder / "drawn", f"{entry.id}\n")
    noise = np.frombuffer(os.urandom(16), dtype=np.int64)
    step[0] = STEPS.index("finishing")
    done = ledger.finish(entry.id, {draw.statistic: noise for draw in entry.draws})
    step[0] = STEPS.index("showing")
    append(folder / "shown", json.dumps([question.request_id, entry.id, noise.tolist()]) + "\n")
    return done


def live(path: Path, folder: Path, name: str, before: str | None, step: mmap.mmap) -> None:
    ledger = Ledger.open(path, CLOCK)
    if before is not None:
        answered(ledger, asked(before), folder, step)
    for number in count():
        question = f"{name}-{number}"
        (folder / "newest").write_text(question)
        answered(ledger, asked(question), folder, step)


def wait(delay_s: float, aim: str, step: mmap.mmap) -> None:
    patience = time.monotonic() + 1
    while STEPS[step[0]] not in AIMED.get(aim, (aim,)) and time.monotonic() < patience:
        time.sleep(0)
    time.sleep(delay_s)


def lived(path: Path, folder: Path, name: str, delay_s: float, aim: str, step: mmap.mmap) -> str:
    newest = folder / "newest"
    before = (newest.read_text() or None) if newest.exists() else None
    step[0] = 0
    child = os.fork()
    if child == 0:
        try:
            live(path, folder, name, before, step)
        finally:
            os._exit(99)
    wait(delay_s, aim, step)
    os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return STEPS[step[0]] if code == -signal.SIGKILL else f"ended with {code}"


def main() -> None:
    path, folder = map(Path, sys.argv[1:])
    step = mmap.mmap(-1, 1)
    for line in sys.stdin:
        name, delay_s, aim = line.split()
        print(lived(path, folder, name, float(delay_s), aim, step), flush=True)


if __name__ == "__main__":
    main()
