"""kill -9 of workers under load: what was shown is kept, what was paid is drawn once at most, and it goes on."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from served import give

from budgets.clock import FixedClock
from budgets.ledger import Ledger, State
from engine.folder import LEDGER_FILE
from tests.conftest import AS_OF
from tests.seeds import PROVE, generator

MORTAL = Path(__file__).with_name("mortal_server.py")
KILLS = 100 if PROVE else 10
CLIENTS = 6
LONGEST_S = 1.0
"""Between the return of both workers and the next kill."""

PATIENCE_S = 60
REPLAYS = 3_000
AGAIN = {(409, "in_progress"), (429, "too_many_requests"), (503, "busy"), (503, "ledger_unavailable")}
"""Refusals after which a client asks for the same again."""

QUESTION = (
    "SELECT grade_level, COUNT(*) AS students, AVG(CASE WHEN econ_disadv THEN 1.0 ELSE 0.0 END) AS poor "
    "FROM student_year WHERE school_year = 2025 AND days_absent <= {tenths}.5 AND days_enrolled >= {least} "
    "GROUP BY grade_level"
)


@dataclass
class Seen:
    """What clients saw, by request id.

    Attributes:
        answers: each as it was first shown.
        lost: ids whose answer is lost.
        wrong: everything that should not have come.
        tries: how many requests were sent, and how many connections broke.
    """

    answers: dict[str, dict] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    tries: Counter = field(default_factory=Counter)


class Client:
    """One client: a connection that it keeps, made anew when it breaks."""

    def __init__(self, port, token, seen):
        self.port, self.seen, self.connection = port, seen, None
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def sent(self, number):
        """Status and body, or None where the connection broke."""
        least, tenths = divmod(number, 200)
        body = {"sql": QUESTION.format(tenths=tenths, least=least), "request_id": f"q{number}", "epsilon": 0.001}
        self.seen.tries["sent"] += 1
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
            self.connection.request("POST", "/v1/ask", json.dumps(body), self.headers)
            response = self.connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException):
            self.seen.tries["broken"] += 1
            self.close()
            return None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def ask(self, number):
        """Ask one question under one id until it has come to an end."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            came = self.sent(number)
            if came is None:
                continue
            status, body = came
            if status == 200:
                self.seen.answers[body["request_id"]] = body
                return
            if (status, body["code"]) == (410, "answer_lost"):
                self.seen.lost.add(f"q{number}")
                return
            if (status, body["code"]) not in AGAIN:
                self.seen.wrong.append(f"q{number}: {status} {body}")
                return
            time.sleep(0.02)
        self.seen.wrong.append(f"q{number}: no end")


@contextmanager
def served(folder, drawn):
    """Two workers: the supervisor and its port."""
    options = ("--workers", "2", "--port", "0", "--deadlines", "none")
    limits = ("--requests-per-minute", "1000000", "--charges-per-minute", "1000000")
    command = (sys.executable, MORTAL, drawn, "serve", folder, *options, *limits)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process, int(re.search(r":(\d+) ", process.stdout.readline())[1])
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def workers_of(process):
    found = []
    for child in psutil.Process(process.pid).children():
        try:
            if child.status() != psutil.STATUS_ZOMBIE and any("spawn_main" in part for part in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def both(process, but=None):
    """Both workers, as soon as they are there; `but` is not one of them any more."""
    deadline = time.monotonic() + PATIENCE_S
    while len(found := [each for each in workers_of(process) if each.pid != but]) < 2:
        assert time.monotonic() < deadline, "a worker did not come back"
        time.sleep(0.02)
    return found


def killing(process, seen):
    """Kill a worker at a moment of chance, again and again: after some answers came since the one before."""
    random = generator("killed workers")
    dead = None
    for _ in range(KILLS):
        victims, shown = both(process, dead), len(seen.answers)
        deadline = time.monotonic() + PATIENCE_S
        while len(seen.answers) < shown + CLIENTS and not seen.wrong:
            assert time.monotonic() < deadline, "nothing is answered"
            time.sleep(0.005)
        time.sleep(random.random() * LONGEST_S)
        victim = random.choice(victims)
        victim.kill()
        dead = victim.pid
    both(process, dead)


def loaded(process, port, token, seen):
    """Load and kills; the clients end what they have begun. How many questions were asked."""
    numbers, enough = itertools.count(), threading.Event()

    def client():
        mine = Client(port, token, seen)
        while not enough.is_set() and not seen.wrong:
            mine.ask(next(numbers))
        mine.close()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        killing(process, seen)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    return next(numbers)


def replayed(port, token, seen):
    """Asked again, what was shown is shown again, number for number."""
    again = Seen()
    mine = Client(port, token, again)
    for name in generator("replays").sample(sorted(seen.answers), min(REPLAYS, len(seen.answers))):
        mine.ask(int(name[1:]))
        assert again.answers[name] | {"replayed": None} == seen.answers[name] | {"replayed": None}
        assert again.answers[name]["replayed"]
    mine.close()


def assert_kept(ledger, seen, asked, drawn):
    """Every id has come to one end; shown answers are measured; each charge was drawn once at most."""
    assert seen.answers.keys() | seen.lost == {f"q{number}" for number in range(asked)}
    assert not seen.answers.keys() & seen.lost
    for name, answer in seen.answers.items():
        entry = ledger.find("study", name)
        assert (entry.state, entry.release_id) == (State.MEASURED, answer["release_id"])
        assert sorted(entry.measurements.values()) == sorted(answer["draws"])
        assert drawn[entry.id] == len(entry.draws) == 2
    for name in seen.lost:
        entry = ledger.find("study", name)
        assert (entry.state, entry.measurements) == (State.LOST, {})
        assert drawn[entry.id] <= len(entry.draws)
    assert ledger.standstill().charged == 0


def assert_paid(ledger):
    """The balances are the sums of the charges, and no charge has two measurements."""
    with ledger._database.reading():
        rows = ledger._database.rows
        paid = dict(rows("SELECT cohort, sum(nanorho) FROM charges GROUP BY cohort"))
        most = rows("SELECT max(n) FROM (SELECT count(*) AS n FROM measurements GROUP BY entry, statistic)")
        entries = rows("SELECT count(*), count(DISTINCT request_id) FROM releases")
    assert {c: b.lifetime_spent for c, b in ledger.balances("study").items() if b.lifetime_spent} == paid
    assert most == [(1,)]
    assert entries[0][0] == entries[0][1]


@pytest.mark.slow
def test_killed_workers_lose_nothing_that_was_shown(folder, tmp_path):
    """Ten kills (a hundred in `make prove`): each id ends as one answer, for ever the same, or as lost and spent.

    No charge is drawn a second time, both workers come back after each kill, and balances are the sums of charges.
    """
    token, drawn, seen = give(folder)["researcher"], tmp_path / "drawn", Seen()
    with served(folder, drawn) as (process, port):
        asked = loaded(process, port, token, seen)
        assert not seen.wrong
        replayed(port, token, seen)
    lines = [tuple(map(int, line.split())) for line in drawn.read_text(encoding="ascii").splitlines()]
    assert max(Counter(lines).values()) == 1
    with Ledger.open(folder / LEDGER_FILE, FixedClock(AS_OF)) as ledger:
        assert_kept(ledger, seen, asked, Counter(entry for entry, _ in lines))
        assert_paid(ledger)
    print(f"{KILLS} kills: {len(seen.answers)} answers, {len(seen.lost)} lost, {dict(seen.tries)}")
    assert seen.tries["broken"] >= KILLS // 2
