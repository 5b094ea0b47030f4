"""Many callers at once: threads of one ledger, several ledgers, processes that are killed."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from budgets.ledger import Ledger, NotDrawing, StaleBasis, State
from budgets.refusals import BudgetRefused
from tests.budgets.order import assert_in_order
from tests.seeds import PROVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

YEAR_CAP = 6_000_000
SPENDER = Path(__file__).with_name("spender.py")
Process = subprocess.Popen[str]


def at_once(callers: int, work: Callable[[int], Any]) -> list[Any]:
    """Run `work(0) … work(callers - 1)` in threads that start together."""
    barrier = threading.Barrier(callers)

    def caller(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(caller, range(callers)))


@pytest.mark.parametrize("ledgers", [1, 4])
def test_threads_never_pass_the_cap(desk: Any, kit: Any, ledgers: int) -> None:
    """Eight threads, on one ledger or on four, pay exactly as often as the year allows, and not once more."""
    opened, nanorho = [desk.open() for _ in range(ledgers)], YEAR_CAP // 40 - 1

    def spend(caller: int) -> int:
        for number in range(100):
            name = f"{caller}-{number}"
            try:
                kit.pay(opened[caller % ledgers], kit.question(name, kit.draw(name, nanorho, (2025, 2026))))
            except BudgetRefused:
                return number
        raise AssertionError

    assert sum(at_once(8, spend)) == YEAR_CAP // nanorho
    balance = opened[0].balances("district")[2026]
    assert (balance.year_spent, balance.lifetime_spent) == (40 * nanorho, 40 * nanorho)
    assert_in_order(opened[0])


def test_one_of_two_draws(desk: Any, kit: Any) -> None:
    """Of two callers of one request, in one ledger or two, exactly one is told to draw, and one charge is paid."""
    ledgers = [desk.open(), desk.open()]
    for trial in range(20):
        asked = kit.question(f"r{trial}", kit.draw(f"s{trial}", 100, (2025,)))

        def call(caller: int, asked: Any = asked, apart: int = trial % 2) -> bool:
            ledger = ledgers[caller * apart]
            return ledger.start_drawing(kit.pay(ledger, asked).id)

        assert sorted(at_once(2, call)) == [False, True]
    assert ledgers[0].balances("district")[2025].year_spent == 20 * 100


def test_one_statistic_is_paid_once(desk: Any, kit: Any) -> None:
    """Six callers who want the same measurement pay for it once; five wait, find it and answer from it."""
    ledgers, statistic = [desk.open() for _ in range(3)], kit.digest("a")

    def ask(caller: int) -> tuple[State, int]:
        ledger, name = ledgers[caller % 3], f"r{caller}"
        while True:
            known = {name: each[-1].id for name, each in ledger.measured([statistic]).items()}
            draws = () if known else (kit.draw("a", 100, (2025,)),)
            try:
                entry = kit.pay(ledger, kit.question(name, *draws, reused=known), {statistic: known.get(statistic)})
            except StaleBasis:
                time.sleep(0.002)
                continue
            if entry.state == State.CHARGED and ledger.start_drawing(entry.id):
                entry = ledger.finish(entry.id, kit.noise(entry))
            return entry.state, entry.measurements[statistic]

    assert set(at_once(6, ask)) == {(State.MEASURED, 1)}
    assert ledgers[0].balances("district")[2025].year_spent == 100
    assert_in_order(ledgers[0])


def test_finishing_and_reaping_at_once(desk: Any, kit: Any) -> None:
    """Whoever comes first, an answer is either stored or lost, and what is lost is never stored."""
    watcher = desk.open()
    for trial in range(10):
        ledger = desk.open()
        entry = kit.pay(ledger, kit.question(f"r{trial}", kit.draw(f"s{trial}")))
        ledger.start_drawing(entry.id)

        def act(caller: int, ledger: Ledger = ledger, entry: Any = entry) -> bool:
            if caller:
                desk.die(ledger)
                return watcher.reap() == 1
            with contextlib.suppress(NotDrawing):
                return bool(ledger.finish(entry.id, kit.noise(entry)))
            return False

        finished, lost = at_once(2, act)
        found = watcher.find("district", f"r{trial}")
        assert found is not None
        assert found.state == (State.MEASURED if finished else State.LOST)
        assert finished != lost
    assert_in_order(watcher)


@contextlib.contextmanager
def started(path: Path, *words: str) -> Iterator[Process]:
    command = [sys.executable, str(SPENDER), str(path), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def told(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.slow
def test_processes_never_pass_the_cap(desk: Any) -> None:
    """Eight processes spending at once use the year up to its last nano-ρ, and not one more; all of them end well."""
    times = 4_000 if PROVE else 400
    amounts = [YEAR_CAP // times - 1, 37, 1]
    with contextlib.ExitStack() as stack:
        words = ",".join(map(str, amounts))
        racers = [stack.enter_context(started(desk.path, "race", f"p{n}", words)) for n in range(8)]
        assert {heard(racer) for racer in racers} == {"ready"}
        for racer in racers:
            told(racer)
        paid = [[int(number) for number in heard(racer).split(",")] for racer in racers]
        assert {racer.wait(60) for racer in racers} == {0}
    ledger = desk.open()
    assert sum(first for first, *_ in paid) == YEAR_CAP // amounts[0]
    assert sum(1 for first, *_ in paid if first) > 1
    assert sum(n * amount for each in paid for n, amount in zip(each, amounts, strict=True)) == YEAR_CAP
    balances = ledger.balances("district")
    for cohort in (2025, 2026, 2027):
        charged = "SELECT sum(nanorho), count(*) FROM charges WHERE cohort = ?"
        assert ledger._database.rows(charged, (cohort,)) == [(YEAR_CAP, sum(map(sum, paid)))]
        assert balances[cohort].year_spent == balances[cohort].lifetime_spent == YEAR_CAP
    assert_in_order(ledger)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed_at", "found_as"),
    [("charged", State.CHARGED), ("drawing", State.LOST), ("measured", State.MEASURED)],
)
def test_killed_between_the_steps(desk: Any, kit: Any, killed_at: str, found_as: State) -> None:
    """kill -9 after each commit: spent stays spent; a charge is taken over, a drawing is lost, an answer served."""
    watcher = desk.open()
    with started(desk.path, "stop", killed_at, "r") as process:
        assert heard(process) == "ready"
        told(process)
        assert heard(process) == killed_at
        statistic = kit.digest("r")
        assert watcher.in_flight([statistic]) == (frozenset() if killed_at == "measured" else {statistic})
        assert watcher.reap() == 0
        process.kill()
        process.wait()
    entry = watcher.find("district", "r")
    assert entry is not None
    assert entry.state == found_as
    assert watcher.in_flight([statistic]) == frozenset()
    assert watcher.start_drawing(entry.id) == (killed_at == "charged")
    if killed_at == "charged":
        entry = watcher.finish(entry.id, kit.noise(entry))
    if killed_at == "measured":
        values = watcher.measurements(entry.measurements.values())[entry.measurements[statistic]][-1].values
        assert values.tolist() == [entry.id, -entry.id]
    assert watcher.balances("district")[2025].year_spent == 1_000
    assert_in_order(watcher)


@pytest.mark.slow
def test_killed_at_any_moment(desk: Any) -> None:
    """Twelve times kill -9 in the middle of work: the ledger opens, is in order, and forgot no answer it gave."""
    generator = random.Random(7)
    for trial in range(12):
        said = -1
        with started(desk.path, "live", f"t{trial}") as process:
            assert heard(process) == "ready"
            told(process)
            said = int(heard(process))
            time.sleep(generator.random() * 0.05)
            process.kill()
            rest = process.communicate()[0].split("\n")[:-1]
        said = int(rest[-1]) if rest else said
        ledger = desk.open()
        assert_in_order(ledger)
        assert ledger._database.rows("SELECT count(*) FROM progress WHERE state = 'drawing'") == [(0,)]
        for number in range(said + 1):
            entry = ledger.find("district", f"t{trial}-{number}")
            assert entry is not None
            assert entry.state == State.MEASURED
        assert ledger.find("district", f"t{trial}-{said + 2}") is None
        ledger.close()
