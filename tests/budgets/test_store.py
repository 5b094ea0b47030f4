"""The file: modes, durability, triggers, and what is not opened."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from typing import Any

import pytest

from budgets.ledger import Ledger
from budgets.refusals import LedgerDamaged
from budgets.stores import releases
from budgets.stores.sqlite import APPLICATION_ID, Database, migrations

BALANCES = ("cohorts", "cohort_years", "allowances")


def tamper(path: Any, *statements: str) -> None:
    """What somebody with the file and a shell does, triggers out of the way and back again."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN")
        sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        triggers = connection.execute(sql).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, text in triggers:
            connection.execute(text)
        connection.execute("COMMIT")
    finally:
        connection.close()


def test_only_the_owner_reads_the_file(lived_in: Ledger, empty_desk: Any) -> None:
    """The ledger and its write-ahead log have mode 0600."""
    files = [path for path in empty_desk.path.parent.iterdir() if path.is_file()]
    assert {path.name for path in files} == {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"}
    assert lived_in.year() == 2025
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_new_ledger_has_mode_0600(empty_desk: Any) -> None:
    """The mode is right from the first byte, whatever the umask."""
    empty_desk.create()
    assert empty_desk.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("synchronous", 2),
        ("journal_mode", "wal"),
        ("foreign_keys", 1),
        ("recursive_triggers", 1),
        ("busy_timeout", 10_000),
    ],
)
def test_how_the_file_is_opened(ledger: Ledger, pragma: str, value: object) -> None:
    """A commit is on disk when it returns; keys and triggers are in force; others are waited for."""
    assert ledger._database.rows(f"PRAGMA {pragma}") == [(value,)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cohorts SET spent_nanorho = spent_nanorho - 1 WHERE cohort = 2025",
        "UPDATE cohorts SET spent_nanorho = 1 WHERE cohort = 2030",
        "UPDATE cohorts SET spent_attodelta = 1 WHERE cohort = 2025",
        "UPDATE cohort_years SET spent_nanorho = 0",
        "UPDATE allowances SET spent_nanorho = 0",
        "UPDATE charges SET nanorho = 1",
        "UPDATE charges SET attodelta = 1",
        "DELETE FROM charges",
        "INSERT INTO cohort_years VALUES (2030, 2025, 6000000, 1)",
        "DELETE FROM allowances",
    ],
)
def test_a_balance_that_is_not_its_charges_is_noticed(lived_in: Ledger, empty_desk: Any, change: str) -> None:
    """Balances are compared with the sum of the charges at every opening; nothing is answered if they differ."""
    lived_in.close()
    tamper(empty_desk.path, change)
    with pytest.raises(LedgerDamaged, match="sum of its charges"):
        empty_desk.open()


@pytest.mark.parametrize("table", BALANCES)
def test_a_balance_beyond_its_cap_is_noticed(lived_in: Ledger, empty_desk: Any, table: str) -> None:
    """A cap below what is spent is noticed at opening, also where somebody switched the checks off."""
    lived_in.close()
    tamper(
        empty_desk.path,
        "PRAGMA ignore_check_constraints = ON",
        f"UPDATE {table} SET cap_nanorho = 1 WHERE cohort = 2025",
    )
    with pytest.raises(LedgerDamaged, match="beyond its cap"):
        empty_desk.open()


def test_a_ledger_opens_again_as_it_was(lived_in: Ledger, empty_desk: Any, kit: Any) -> None:
    """Balances, entries and measurements are there after closing, and after a copy without its log."""
    before = lived_in.balances("district"), lived_in.find("district", "r1")
    lived_in.close()
    again = empty_desk.open()
    assert (again.balances("district"), again.find("district", "r1")) == before
    assert again.measured([kit.digest("a")])[kit.digest("a")][-1].values.tolist() == [0, 1, 2, 3, 4]


def test_an_entry_that_contradicts_itself_is_not_answered(lived_in: Ledger, empty_desk: Any) -> None:
    """Charges are compared with the draws whenever an entry is read, and an answer must be whole."""
    lived_in.close()
    shutil.copy(empty_desk.path, empty_desk.path.with_suffix(".copy"))
    tamper(empty_desk.path, "UPDATE draws SET nanorho = 499")
    with pytest.raises(LedgerDamaged, match="draws"):
        empty_desk.open().find("district", "r1")
    empty_desk.path = empty_desk.path.with_suffix(".copy")
    tamper(empty_desk.path, "UPDATE progress SET state = 'drawing', holder = 'x' WHERE entry = 1")
    with pytest.raises(LedgerDamaged, match="measurements"):
        empty_desk.open().find("district", "r1")


@pytest.mark.parametrize(
    "change",
    [
        "DROP TRIGGER charges_update",
        "DROP INDEX draws_statistic",
        "CREATE TABLE more (x)",
        "CREATE TRIGGER generous AFTER UPDATE ON cohorts BEGIN SELECT 1; END",
        f"PRAGMA user_version = {len(migrations()) + 1}",
        "PRAGMA user_version = 999",
        "PRAGMA application_id = 0",
    ],
)
def test_a_foreign_or_newer_schema_is_not_opened(lived_in: Ledger, empty_desk: Any, change: str) -> None:
    """A ledger whose triggers were taken off, or that a later version wrote, is not touched."""
    lived_in.close()
    connection = sqlite3.connect(empty_desk.path)
    connection.execute(change)
    connection.commit()
    connection.close()
    with pytest.raises(LedgerDamaged):
        empty_desk.open()


@pytest.mark.parametrize("content", [b"", b"not a database " * 100, None])
def test_what_is_no_ledger_is_not_opened(empty_desk: Any, content: bytes | None) -> None:
    """An empty file, another file, or none at all: damaged, and never silently begun anew."""
    if content is not None:
        empty_desk.path.write_bytes(content)
    with pytest.raises(LedgerDamaged):
        empty_desk.open()
    assert (empty_desk.path.read_bytes() if empty_desk.path.exists() else None) == content


def test_a_damaged_page_is_noticed(lived_in: Ledger, empty_desk: Any) -> None:
    """A file that SQLite cannot read is reported as damaged, not as a failure of ours."""
    lived_in.close()
    content = bytearray(empty_desk.path.read_bytes())
    content[100:4096] = bytes(3996)
    empty_desk.path.write_bytes(bytes(content))
    with pytest.raises(LedgerDamaged):
        empty_desk.open()


def test_another_database_is_not_changed(empty_desk: Any) -> None:
    """A SQLite file of another program is refused as it is."""
    connection = sqlite3.connect(empty_desk.path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    before = empty_desk.path.read_bytes()
    with pytest.raises(LedgerDamaged):
        empty_desk.open()
    assert empty_desk.path.read_bytes() == before


def test_migrations_are_packaged() -> None:
    """The steps of the schema travel with the package, in their order."""
    assert len(migrations()) >= 1
    assert "CREATE TABLE cohorts" in migrations()[0]
    assert APPLICATION_ID.to_bytes(4, "big") == b"HMRM"


def test_transactions_do_not_nest(ledger: Ledger) -> None:
    """A write inside a read or a write is a mistake of ours, and is refused."""
    database: Database = ledger._database
    for outer in (database.writing, database.reading):
        with outer(), pytest.raises(RuntimeError, match="nest"), database.writing():
            pass
    with database.writing(), database.reading():
        assert database.rows("SELECT 1") == [(1,)]


def test_threads_see_no_half_of_a_transaction(ledger: Ledger) -> None:
    """While one thread is inside a transaction, the others of the process go on with what was committed before."""
    database: Database = ledger._database
    seen: list[int] = []

    def look() -> None:
        seen.append(ledger.balances("district")[2025].lifetime_spent)

    other = threading.Thread(target=look)

    def change_and_fail() -> None:
        with database.writing():
            database.change("UPDATE cohorts SET spent_nanorho = 5")
            other.start()
            other.join(5)
            assert seen == [0]
            assert database.rows("SELECT DISTINCT spent_nanorho FROM cohorts") == [(5,)]
            raise InterruptedError

    with pytest.raises(InterruptedError):
        change_and_fail()
    other.join()
    assert seen == [0]


FORK = """
import os, sys
from pathlib import Path
from budgets.clock import SystemClock
from budgets.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]), SystemClock())
token = ledger._holder.token
ready, done = os.pipe()
child = os.fork()
if child == 0:
    try:
        ledger.balances("district")
    except RuntimeError:
        os.write(done, b"refused")
    os._exit(0)
os.waitpid(child, 0)
assert os.read(ready, 7) == b"refused"
other = Ledger.open(Path(sys.argv[1]), SystemClock())
assert other._holder.lives(token)
hold, release = os.pipe()
child = os.fork()
if child == 0:
    os.close(release)
    os.write(done, b"waiting")
    os.read(hold, 1)
    os._exit(0)
os.close(hold)
assert os.read(ready, 7) == b"waiting"
ledger._holder.drop()
assert not other._holder.lives(token), "a child keeps its parent's lock"
os.close(release)
os.waitpid(child, 0)
ledger.close()
print("well")
"""


@pytest.mark.slow
def test_a_forked_child_is_not_its_parent(desk: Any) -> None:
    """A child neither uses its parent's ledger nor keeps its parent alive after it is gone."""
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(desk.path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == ("well\n", "")


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        (releases.UNFINISHED, ('["a"]',)),
        (releases.NEWEST, ('["a"]',)),
        (releases.SELECT_MEASUREMENTS, ("[1]",)),
        (releases.SELECT_MEASURED, {"entry": 1}),
        (releases.UNPAID, {"entry": 1}),
    ],
)
def test_no_question_reads_all_the_others(ledger: Ledger, sql: str, values: Any) -> None:
    """What is asked of the store for one question goes by an index, however many questions there have been."""
    plan = [step for *_, step in ledger._database.rows(f"EXPLAIN QUERY PLAN {sql}", values)]
    tables = ("p", "d", "m", "draws", "progress", "measurements", "charges", "reuses")
    assert not {f"SCAN {table}" for table in tables} & set(plan)


def test_the_drawing_are_found_by_their_index(ledger: Ledger) -> None:
    """Looking for the dead touches those who draw, not every question ever asked."""
    plan = ledger._database.rows(f"EXPLAIN QUERY PLAN {releases.DRAWING_HOLDERS}")
    assert "progress_drawing" in plan[0][-1]
