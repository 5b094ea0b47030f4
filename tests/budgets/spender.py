"""A caller in a process of its own: `spender.py ledger what …`; tests start it and may kill it.

Says `ready` when its ledger is open, waits for a line on standard input, and then:
    race NAME AMOUNTS   pays for questions of its own until it is refused, for each nano-ρ of a list; says how many
    stop STATE NAME     brings one question to that state, says so, and waits to be killed
    live NAME           asks one question after another until it is killed
"""

from __future__ import annotations

import hashlib
import sys
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from budgets.clock import FixedClock
from budgets.ledger import Draw, Ledger, PrivacyLoss, Question
from budgets.refusals import BudgetRefused

if TYPE_CHECKING:
    from budgets.ledger import Entry

COHORTS = (2025, 2026, 2027)


def asked(name: str, nanorho: int, year: int) -> Question:
    statistic = hashlib.sha256(name.encode()).hexdigest()
    draw = Draw(statistic, 2.0, PrivacyLoss(nanorho), COHORTS)
    return Question("district", name, "h", "p", "{}", "epoch-1", "mandated", year, (draw,), {}, {}, draw.cohorts)


def pay(ledger: Ledger, name: str, nanorho: int) -> Entry:
    question = asked(name, nanorho, ledger.year())
    return ledger.charge(question, {question.draws[0].statistic: None})


def noise(entry: Entry) -> dict[str, np.ndarray]:
    return {draw.statistic: np.array([entry.id, -entry.id]) for draw in entry.draws}


def race(ledger: Ledger, name: str, amounts: str) -> None:
    paid = []
    for nanorho in amounts.split(","):
        for number in count():
            try:
                pay(ledger, f"{name}-{nanorho}-{number}", int(nanorho))
            except BudgetRefused:
                paid.append(str(number))
                break
    say(",".join(paid))


def stop(ledger: Ledger, state: str, name: str) -> None:
    entry = pay(ledger, name, 1_000)
    if state in ("drawing", "measured"):
        assert ledger.start_drawing(entry.id)
    if state == "measured":
        ledger.finish(entry.id, noise(entry))
    say(state)
    time.sleep(600)


def live(ledger: Ledger, name: str) -> None:
    for number in count():
        entry = pay(ledger, f"{name}-{number}", 7)
        ledger.start_drawing(entry.id)
        ledger.finish(entry.id, noise(entry))
        say(str(number))


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    path, what, *rest = sys.argv[1:]
    ledger = Ledger.open(Path(path), FixedClock(datetime(2025, 3, 1, 12, tzinfo=UTC)))
    say("ready")
    sys.stdin.readline()
    {"race": race, "stop": stop, "live": live}[what](ledger, *rest)


if __name__ == "__main__":
    main()
