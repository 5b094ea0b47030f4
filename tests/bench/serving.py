"""How many answers a second the server gives, beside a bare application that does the least, in one run.

    python tests/bench/serving.py [--seconds 180] [--students 100000] [--workers 2] [--bare-threads 1] [--clients 4,6,8]

The bare application runs the plain query, as it is asked, on plain DuckDB tables of the same records, and draws the same noise; a
second one is an expert's: the same counts from the vault's own whole numbers, by hand. All serve in as many processes, each with
as many threads for a query. Rounds alternate, so that what else the machine does meets all. Every question is new: a fresh literal makes its measurement another one. Every answer has 105 cells and the same noise.
The server charges each class in a ledger on disk; its budget is raised so that it does not end, its limits too, and
answers leave at once. Afterwards the ledger is opened, which adds up every balance anew.

The bound: at least half as many answers a second as the bare application of the plain query.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from api.serving import threads_for
from budgets.clock import FixedClock
from budgets.grants import Grant
from budgets.grants import Terms as GrantTerms
from budgets.ledger import Ledger, State
from budgets.policy import Preset
from engine.district import District
from engine.folder import LEDGER_FILE, VAULT_FOLDER
from engine.founding import INVENTED, Terms, found
from engine.intake.demo import generate
from engine.office import Office

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AS_OF = datetime(2025, 9, 15, 12, tzinfo=UTC)
RAISED = Preset("bench", 100.0)
EPSILON = 0.01
BOUND = 0.5
ROUNDS = 4
"""Of each server."""

TOKENS = 16
GRANT = "bench"
SERVE = "from api.cli import main; main()"
START_S = 60.0

ASKED = (
    "SELECT school_year, grade_level, COUNT(*) AS chronic FROM student_year "
    "WHERE days_absent >= 0.1 * days_enrolled AND days_absent <= {days:.1f} AND days_enrolled >= {least} "
    "GROUP BY school_year, grade_level"
)
PLAIN_FILE = "plain.duckdb"
BY_HAND = (
    "SELECT school_year, grade_level, COUNT(*) AS chronic FROM student_year "
    "WHERE days_absent >= days_enrolled AND days_absent <= {tenths} AND days_enrolled >= {least} "
    "GROUP BY school_year, grade_level"
)
"""The same of the vault's rows, whose absences are counted in tenths of a day."""

CELLS = 105


QUESTIONS_MAX = 100_000


def fresh(number: int) -> dict[str, float]:
    """Literals that no other number has; they leave nearly all rows."""
    least, tenths = divmod(number % QUESTIONS_MAX, 1000)
    return {"days": 100 + tenths / 10, "tenths": 1000 + tenths, "least": least}


@dataclass(frozen=True)
class Served:
    """A server that runs.

    Attributes:
        name: what is served.
        port: on this machine.
        process: that was started.
        cold_s: from its start to the first answer.
        request: path, headers and body of a question, by its number.
    """

    name: str
    port: int
    process: subprocess.Popen[str]
    cold_s: float
    request: Callable[[int], tuple[str, dict[str, str], bytes]]


@dataclass
class Round:
    """What clients saw in one stretch of time."""

    seconds: float = 0.0
    times_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    replayed: int = 0

    @property
    def rate(self) -> float:
        return len(self.times_ms) / self.seconds

    def quantile(self, share: float) -> float:
        ordered = sorted(self.times_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def made(scratch: Path, students: int) -> tuple[Path, list[str]]:
    """An invented district whose budget does not end, and tokens of it: one alone has few questions at once.

    Beside it its tables as plain DuckDB ones.
    """
    catalog, folder = scratch / "district.yaml", scratch / "district"
    catalog.write_bytes(files("engine").joinpath("starter.yaml").read_bytes())
    terms = Terms(Fraction(1), AS_OF, preset=RAISED, policy=INVENTED)
    tables = generate(students, seed=2025)
    found(folder, catalog, tables, clock=FixedClock(AS_OF), terms=terms)
    with duckdb.connect(str(scratch / PLAIN_FILE)) as plain:
        plain.register("arriving", tables["student_year"])
        plain.execute("CREATE TABLE student_year AS SELECT * FROM arriving")
    with Office.open(folder) as office:
        cohorts = office.catalog.cohorts
        given = GrantTerms("agency", "Bench", "bench", {"student_year": None}, cohorts, None, date(2099, 1, 1), "A")
        office.add_grant(Grant(GRANT, "mandated", Fraction(1), given))
        return folder, [office.keyring.add(f"R{each}", "A", grant=GRANT) for each in range(TOKENS)]


def asked_of(tokens: list[str]) -> Callable[[int], tuple[str, dict[str, str], bytes]]:
    def request(number: int) -> tuple[str, dict[str, str], bytes]:
        headers = {"Authorization": f"Bearer {tokens[number % TOKENS]}", "Content-Type": "application/json"}
        question = {"sql": ASKED.format(**fresh(number)), "request_id": f"q{number}", "epsilon": EPSILON}
        return "/v1/ask", headers, json.dumps(question).encode()

    return request


def asked_bare(query: str, scale: float) -> Callable[[int], tuple[str, dict[str, str], bytes]]:
    def request(number: int) -> tuple[str, dict[str, str], bytes]:
        question = {"sql": query.format(**fresh(number)), "cells": CELLS, "scale": scale}
        return "/ask", {"Content-Type": "application/json"}, json.dumps(question).encode()

    return request


@contextmanager
def started(
    name: str, command: list[str], request: Callable[[int], tuple[str, dict[str, str], bytes]], number: int
) -> Iterator[Served]:
    """A server as a process of its own, from its first answer on."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as log, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | {"COLUMNS": "200"}
    ) as process:  # fmt: skip
        try:
            port = None
            while port is None:
                line = process.stdout.readline()
                if not line:
                    log.seek(0)
                    raise RuntimeError(log.read().decode())
                told = re.search(r"127\.0\.0\.1:(\d+)", line)
                port = None if told is None else int(told[1])
            answer = _first(port, request(number))
            if len(answer["rows"]) != CELLS:
                raise RuntimeError(f"{name} answers {len(answer['rows'])} cells")
            yield Served(name, port, process, time.perf_counter() - start, request)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _first(port: int, request: tuple[str, dict[str, str], bytes]) -> dict:
    path, headers, body = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    if response.status != 200:
        raise RuntimeError(text.decode())
    return json.loads(text)


def loaded(served: Served, numbers: Iterator[int], clients: int, seconds: float) -> Round:
    """Questions of some clients, each with a connection that it keeps, for so long or as long as there are numbers."""
    done = Round()
    lock, start = threading.Lock(), time.perf_counter()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        while time.perf_counter() < start + seconds:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            path, headers, body = served.request(number)
            began = time.perf_counter()
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            response.read()
            took = (time.perf_counter() - began) * 1000
            with lock:
                done.times_ms.append(took)
                done.statuses[response.status] = done.statuses.get(response.status, 0) + 1
                done.replayed += response.getheader("Homeroom-Replayed") == "true"
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.seconds = time.perf_counter() - start
    return done


def together(rounds: list[Round]) -> Round:
    """Several rounds as one."""
    whole = Round()
    for each in rounds:
        whole.seconds += each.seconds
        whole.times_ms += each.times_ms
        whole.replayed += each.replayed
        for status, count in each.statuses.items():
            whole.statuses[status] = whole.statuses.get(status, 0) + count
    return whole


def best_of(served: Served, numbers: Iterator[int], choices: list[int], seconds: float) -> int:
    """The number of clients with which most is answered."""
    rates = {clients: loaded(served, numbers, clients, seconds).rate for clients in choices}
    print(f"{served.name:<10} answers a second by clients: " + ", ".join(f"{c}: {r:.0f}" for c, r in rates.items()))
    return max(rates, key=rates.__getitem__)


def memories_mb(process: subprocess.Popen[str]) -> list[int]:
    """The most memory that each worker had, in MB; what uvicorn starts beside them is left out."""
    found = []
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split():
        status = Path(f"/proc/{child}/status").read_text(encoding="ascii")
        peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"resource_tracker" not in command:
            found.append(peak)
    return found


def audited(folder: Path, answered: int) -> None:
    """The ledger's own sums hold, and as many questions were charged and measured as were answered."""
    with Ledger.open(folder / LEDGER_FILE, FixedClock(AS_OF)) as ledger:
        with ledger._database.reading():
            states = dict(ledger._database.rows("SELECT state, count(*) FROM progress GROUP BY state"))
            charged = ledger._database.rows(
                "SELECT count(*), sum(n) FROM (SELECT count(*) AS n FROM draws GROUP BY entry)"
            )
        overspent = [b.cohort for b in ledger.balances(GRANT).values() if b.year_spent > b.year_cap]
    if states != {State.MEASURED: answered} or charged != [(answered, answered)] or overspent:
        raise RuntimeError(f"{answered} answers, and the ledger has {states}, {charged}, {overspent}")
    print(
        f"ledger: {answered:,} answers, {answered:,} charges, each measured once; balances are their sums and below their caps"
    )


def report(served: Served, done: Round, clients: int) -> None:
    errors = sum(count for status, count in done.statuses.items() if status != 200)
    print(f"{served.name:<10}{clients:>8}{len(done.times_ms):>9}{done.rate:>10.1f}{done.quantile(0.5):>9.1f}"
          f"{done.quantile(0.99):>9.1f}{errors:>8}{served.cold_s:>9.2f}  {memories_mb(served.process)}", flush=True)  # fmt: skip


def main(given: argparse.Namespace) -> bool:
    """Whether the bound is kept."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder, tokens = made(Path(scratch), given.students)
        numbers = itertools.count()
        with District.open(folder) as district:
            scale = (
                district.preview(ASKED.format(**fresh(next(numbers))), epsilon=EPSILON, grant=GRANT).noise[0].scale
            )
        unlimited = ["--deadlines", "none", "--requests-per-minute", "1000000", "--charges-per-minute", "1000000"]
        serve = [sys.executable, "-c", SERVE, "serve", str(folder), "--port", "0", "--workers", str(given.workers)]
        vault = next((folder / VAULT_FOLDER).glob("*.duckdb"))
        threads = str(given.bare_threads or threads_for(given.workers))
        first = next(numbers)
        ours = stack.enter_context(started("homeroom", serve + unlimited, asked_of(tokens), first))
        others = [
            stack.enter_context(
                started(
                    name,
                    [
                        sys.executable,
                        str(Path(__file__).with_name("bare.py")),
                        str(file),
                        threads,
                        str(given.workers),
                    ],
                    asked_bare(query, scale),
                    first,
                )
            )
            for name, file, query in (("bare", Path(scratch) / PLAIN_FILE, ASKED), ("expert", vault, BY_HAND))
        ]
        pair = (*others, ours)
        warm = max(1.0, given.seconds / 40)
        clients = {each.name: best_of(each, numbers, given.clients, warm) for each in pair}
        stretch = max(1.0, (given.seconds - 3 * len(given.clients) * warm) / (3 * ROUNDS))
        rounds: dict[str, list[Round]] = {each.name: [] for each in pair}
        for _ in range(ROUNDS):
            for each in pair:
                rounds[each.name].append(loaded(each, numbers, clients[each.name], stretch))
        done = {name: together(each) for name, each in rounds.items()}
        print(
            f"{'':<10}{'clients':>8}{'answers':>9}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}{'cold s':>9}  memory MB"
        )
        for each in pair:
            report(each, done[each.name], clients[each.name])
        with Ledger.open(folder / LEDGER_FILE, FixedClock(AS_OF)) as ledger, ledger._database.reading():
            asked = [int(name[1:]) for (name,) in ledger._database.rows("SELECT request_id FROM releases")]
        again = loaded(ours, iter(asked[-500:]), clients[ours.name], 60)
        print(
            f"replays: {again.rate:.0f} a second, p50 {again.quantile(0.5):.1f} ms, {again.replayed} of {len(again.times_ms)} replayed"
        )
        for other in others:
            ratios = [o.rate / t.rate for o, t in zip(rounds[ours.name], rounds[other.name], strict=True)]
            ratio = done[ours.name].rate / done[other.name].rate
            print(f"beside {other.name}: {ratio:.2f} (rounds {', '.join(f'{each:.2f}' for each in ratios)}, median {statistics.median(ratios):.2f})")  # fmt: skip
        ratio = done[ours.name].rate / done["bare"].rate
        print(f"bound {BOUND}{'' if ratio >= BOUND else ': below it'}")
        audited(folder, len(asked))
        errors = sum(count for each in done.values() for status, count in each.statuses.items() if status != 200)
        return ratio >= BOUND and not errors and again.replayed == len(again.times_ms)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--students", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--bare-threads", type=int, default=0)
    parser.add_argument("--clients", type=lambda text: [int(part) for part in text.split(",")], default=[4, 6, 8])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(0 if main(parsed()) else 1)
