"""A disk that is full, a right that is missing, a lock, a fork: told in words, nothing lost, nothing free."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from budgets.ledger import Ledger, State
from budgets.refusals import LedgerDamaged, LedgerUnavailable
from budgets.stores import balances as sums
from budgets.stores.failures import in_words, system_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65_534
FULL_BYTES = 520_000


def told(refused: pytest.ExceptionInfo[LedgerUnavailable]) -> str:
    """What an officer reads, which holds none of the words of a database or of Python."""
    refusal = refused.value
    assert refusal.code == "ledger_unavailable"
    text = f"{refusal.message} {refusal.accepted}"
    assert not [word for word in ("sqlite", "database", "Errno", "OperationalError", "/") if word in text]
    assert refused.value.__cause__ is None
    return text


def assert_whole(ledger: Ledger, nanorho: int) -> None:
    """Balances are the sums of their charges, and so much was spent by cohort 2025."""
    assert sums.wrong(ledger._database) == []
    assert ledger._database.rows("PRAGMA integrity_check") == [("ok",)]
    assert ledger.balances("district")[2025].lifetime_spent == nanorho


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """Root may do everything: for the time being it is nobody."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextlib.contextmanager
def modes(*changed: tuple[Path, int]) -> Iterator[None]:
    """Files and folders with other modes for the time being."""
    before = [(path, stat.S_IMODE(path.stat().st_mode)) for path, _ in changed]
    for path, mode in changed:
        path.chmod(mode)
    try:
        yield
    finally:
        for path, mode in before:
            path.chmod(mode)


@pytest.fixture
def open_folder(founded: Path) -> Iterator[Path]:
    """A founded ledger, in a folder that belongs to nobody where the tests run as root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(founded, folder / "ledger.sqlite")
        if os.geteuid() == 0:
            for path in (folder, folder / "ledger.sqlite"):
                os.chown(path, NOBODY, NOBODY)
        yield folder


@contextlib.contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Somebody else has the write lock and keeps it."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


def test_a_lock_that_is_never_given_back(desk: Any, kit: Any, monkeypatch: Any) -> None:
    """Where another program keeps the write lock, each step says so after its time, and changes nothing."""
    monkeypatch.setattr("budgets.stores.sqlite.BUSY_TIMEOUT_S", 0.05)
    asked, steps = kit.question("r", kit.draw("a", 500, (2025,))), desk.open()
    with held(desk.path), pytest.raises(LedgerUnavailable) as refused:
        kit.pay(steps, asked)
    assert "Another program" in told(refused)
    assert_whole(steps, 0)
    entry = kit.pay(steps, asked)
    with held(desk.path), pytest.raises(LedgerUnavailable):
        steps.start_drawing(entry.id)
    assert steps.start_drawing(entry.id)
    for stopped in (lambda: steps.finish(entry.id, kit.noise(entry)), lambda: steps.lose(entry.id)):
        with held(desk.path), pytest.raises(LedgerUnavailable):
            stopped()
    assert steps.finish(entry.id, kit.noise(entry)).state == State.MEASURED
    assert_whole(steps, 500)


def test_a_ledger_is_read_while_it_is_locked(desk: Any, kit: Any) -> None:
    """Opening, balances and a repeated answer need no lock of writing: they do not wait."""
    kit.answer(desk.open(), kit.question("r", kit.draw("a", 500, (2025,))))
    with held(desk.path):
        other = desk.open()
        assert other.balances("district")[2025].lifetime_spent == 500
        found = other.find("district", "r")
        assert found is not None
        assert found.state == State.MEASURED


def test_a_ledger_that_is_locked_whole(desk: Any, monkeypatch: Any) -> None:
    """A program that lets nobody read is named as such when the ledger is opened."""
    monkeypatch.setattr("budgets.stores.sqlite.BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(desk.path, isolation_level=None)
    try:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable) as refused:
            desk.open()
    finally:
        other.close()
    assert "Another program" in told(refused)
    assert_whole(desk.open(), 0)


def test_a_disk_that_is_full_at_any_byte(desk: Any, kit: Any) -> None:
    """Wherever the disk ends in the log, a step is whole or did not happen; the same request goes on from there."""
    ledger, stopped = desk.open(), 0
    log = desk.path.with_name("ledger.sqlite-wal")
    steps: list[Callable[[Any], Any]] = [
        lambda asked: kit.pay(ledger, asked),
        lambda asked: ledger.start_drawing(ledger.find("district", asked.request_id).id),
        lambda asked: ledger.finish(ledger.find("district", asked.request_id).id, kit.noise(asked)),
    ]
    for number in range(3):
        asked = kit.question(f"r{number}", kit.draw(f"s{number}", 500, (2025,)))
        for step in steps:
            start = log.stat().st_size if log.exists() else 0
            for room in range(0, 200_000, 3_001):
                with no_file_beyond(start + room):
                    try:
                        step(asked)
                    except LedgerUnavailable:
                        stopped += 1
                    else:
                        break
                paid = number + (step is not steps[0])
                assert_whole(ledger, 500 * paid)
        assert ledger.find("district", asked.request_id).state == State.MEASURED
    assert stopped > 30
    ledger.close()
    assert_whole(desk.open(), 1_500)


def test_a_founding_and_an_opening_on_a_full_disk(empty_desk: Any, founded: Path) -> None:
    """No half ledger is left behind, and one that cannot be opened is not harmed."""
    with no_file_beyond(8_192), pytest.raises(LedgerUnavailable) as refused:
        empty_desk.create()
    told(refused)
    assert [*empty_desk.path.parent.iterdir()] == []
    shutil.copy(founded, empty_desk.path)
    with no_file_beyond(1_000), pytest.raises(LedgerUnavailable) as refused:
        empty_desk.open()
    told(refused)
    assert_whole(empty_desk.open(), 0)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root mounts a small disk")
def test_a_small_disk_fills_up(empty_desk: Any, founded: Path, kit: Any, tmp_path: Path) -> None:
    """On a small disk questions are paid until it is full; then it says so, and goes on where there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FULL_BYTES}", "none", disk], check=False).returncode:
        pytest.skip("no disk may be mounted here")
    try:
        shutil.copy(founded, disk / "ledger.sqlite")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(40_000))
        empty_desk.path = disk / "ledger.sqlite"
        ledger, paid = empty_desk.open(), 0

        def fill_up() -> None:
            nonlocal paid
            for paid in range(10_000):
                kit.pay(ledger, kit.question(f"r{paid}", kit.draw(f"s{paid}", 10, (2025,)), plan=f'"{"x" * 3_000}"'))

        with pytest.raises(LedgerUnavailable) as refused:
            fill_up()
        assert "The disk is full" in told(refused)
        assert paid > 3
        assert_whole(ledger, 10 * paid)
        ballast.unlink()
        kit.pay(ledger, kit.question("more", kit.draw("more", 10, (2025,))))
        ledger.close()
        assert_whole(empty_desk.open(), 10 * (paid + 1))
        empty_desk.opened.pop().close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_file_that_may_not_be_written(open_folder: Path, desk: Any, kit: Any) -> None:
    """A ledger file without the right to write is not charged; with the right back it goes on."""
    desk.path = open_folder / "ledger.sqlite"
    with without_rights():
        desk.open().close()
        with modes((desk.path, 0o400)), pytest.raises(LedgerUnavailable) as refused:
            desk.open()
        assert "not written" in told(refused)
        ledger = desk.open()
        assert_whole(ledger, 0)
        kit.pay(ledger, kit.question("r", kit.draw("a", 500, (2025,))))
        assert_whole(ledger, 500)
        for opened in desk.opened:
            opened.close()


@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_that_may_not_be_written(open_folder: Path, desk: Any, mode: int) -> None:
    """No log or lock can be made there, or nothing be looked at: said in words, and nothing is lost."""
    desk.path = open_folder / "ledger.sqlite"
    with without_rights():
        with modes((open_folder, mode)), pytest.raises(LedgerUnavailable) as refused:
            desk.open()
        told(refused)
        assert_whole(desk.open(), 0)
        desk.opened.pop().close()


def test_locks_that_may_not_be_written(open_folder: Path, desk: Any) -> None:
    """Who cannot prove to be alive is not let in."""
    desk.path = open_folder / "ledger.sqlite"
    with without_rights():
        desk.open().close()
        with modes((open_folder / "locks", 0o500)), pytest.raises(LedgerUnavailable) as refused:
            desk.open()
        told(refused)
        ledger = desk.open()
        assert_whole(ledger, 0)
        with modes((open_folder / "locks", 0o500)):
            ledger.close()
        other = desk.open()
        assert not other._holder.lives(ledger._holder.token)
        assert len([*(open_folder / "locks").iterdir()]) == 1
        other.close()


def test_a_file_that_spoils_while_it_is_open(ledger: Ledger) -> None:
    """What SQLite finds malformed later than at the opening is called damaged, too."""
    failure = sqlite3.DatabaseError("malformed")
    failure.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    with pytest.raises(LedgerDamaged, match=r"^ledger.sqlite is no readable"), ledger._database.reading():
        raise failure


def test_other_failures_keep_their_names() -> None:
    """What is a mistake of ours is not called the machine's."""
    with pytest.raises(sqlite3.OperationalError, match="no such table"), in_words("ledger.sqlite"):
        sqlite3.connect(":memory:").execute("SELECT * FROM absent")
    with pytest.raises(ZeroDivisionError), system_in_words():
        raise ZeroDivisionError


@dataclass
class Lame:
    """A connection that cannot even undo."""

    real: sqlite3.Connection

    def execute(self, sql: str, *values: Any) -> Any:
        if sql in ("COMMIT", "ROLLBACK"):
            failure = sqlite3.OperationalError("disk I/O error")
            failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise failure
        return self.real.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def test_what_cannot_be_undone_is_closed(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Where neither commit nor undoing works, the connection ends: nothing half done is committed later."""
    ledger._database._connection = Lame(ledger._database._connection)
    with pytest.raises(LedgerUnavailable) as refused:
        kit.pay(ledger, kit.question("r", kit.draw("a", 500, (2025,))))
    told(refused)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        ledger.year()
    assert_whole(desk.open(), 0)


FORKED = """
import os, sys
from pathlib import Path
from budgets.clock import SystemClock
from budgets.ledger import Ledger
from budgets.refusals import LedgerUnavailable

def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except LedgerUnavailable as refusal:
            print(refusal.code, "afresh" in refusal.accepted, flush=True)
            os._exit(3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

path = Path(sys.argv[1])
ledger = Ledger.open(path, SystemClock())
assert in_child(lambda: Ledger.open(path, SystemClock())) == 3
assert in_child(ledger.close) == 0
ledger.balances("district")
ledger.close()
assert in_child(lambda: Ledger.open(path, SystemClock()).close()) == 0
print("well")
"""


@pytest.mark.slow
def test_a_child_opens_no_ledger_beside_its_parent(desk: Any) -> None:
    """What a forked child committed was lost when its parent closed; it is told to start afresh instead."""
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(desk.path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == ("ledger_unavailable True\nwell\n", "")
