"""The file: modes, durability, triggers, and what is not opened."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from budgets.clock import FixedClock
from budgets.ledger import Epoch, Ledger
from budgets.refusals import LedgerDamaged
from budgets.stores.sqlite import APPLICATION_ID, Database, migrations

TABLES = (
    "identity",
    "cohorts",
    "cohort_years",
    "grants",
    "allowances",
    "epochs",
    "register",
    "events",
    "releases",
    "progress",
    "charges",
    "draws",
    "measurements",
    "reuses",
)
BALANCES = ("cohorts", "cohort_years", "allowances")
IMMUTABLE = tuple(table for table in TABLES if table not in (*BALANCES, "progress"))


@pytest.fixture(scope="session")
def lived(founded: Path, kit: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a row in every table: 500 nano-rho spent by cohort 2025."""
    path = tmp_path_factory.mktemp("lived") / "ledger.sqlite"
    shutil.copy(founded, path)
    with Ledger.open(path, FixedClock(datetime(2025, 3, 1, 12, tzinfo=UTC))) as ledger:
        ledger.open_epoch(Epoch("epoch-2", "f", "d"), [(bytes(32), 2030)])
        first = kit.answer(ledger, kit.question("r1", kit.draw("a", 500, (2025,)), epoch="epoch-2"))
        kit.pay(ledger, kit.question("r2", reused=first.measurements, epoch="epoch-2"), first.measurements)
    return path


@pytest.fixture
def lived_in(empty_desk: Any, lived: Path) -> Ledger:
    shutil.copy(lived, empty_desk.path)
    opened: Ledger = empty_desk.open()
    return opened


def tamper(path: Any, *statements: str) -> None:
    """What somebody with the file and a shell does, triggers out of the way and back again."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        triggers = connection.execute(sql).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, text in triggers:
            connection.execute(text)
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


def test_every_table_is_strict_and_guarded(lived_in: Ledger) -> None:
    """No table takes a text for a number, and none is without its triggers: a new one cannot be forgotten."""
    rows = lived_in._database.rows
    listed = rows("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'")
    assert dict(listed) == dict.fromkeys(TABLES, 1)
    triggers = {
        (table, name) for table, name in rows("SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'")
    }
    for table in TABLES:
        assert {(table, f"{table}_update"), (table, f"{table}_delete")} <= triggers
        assert rows(f"SELECT count(*) > 0 FROM {table}") == [(1,)]


@pytest.mark.parametrize("table", TABLES)
def test_nothing_is_ever_removed(lived_in: Ledger, table: str) -> None:
    """DELETE is refused on every table, and so is REPLACE, which deletes on the quiet."""
    with pytest.raises(sqlite3.IntegrityError, match=r"immutable|never removed"):
        lived_in._database.change(f"DELETE FROM {table}")
    with pytest.raises(sqlite3.IntegrityError):
        lived_in._database.change(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")


@pytest.mark.parametrize("table", IMMUTABLE)
def test_nothing_written_is_ever_changed(lived_in: Ledger, table: str) -> None:
    """UPDATE is refused on every column of what was paid, drawn, registered or decided."""
    for _, column, *_ in lived_in._database.rows(f"PRAGMA table_info({table})"):
        with pytest.raises(sqlite3.IntegrityError, match="immutable"):
            lived_in._database.change(f"UPDATE {table} SET {column} = {column}")


@pytest.mark.parametrize("table", BALANCES)
@pytest.mark.parametrize(
    "change",
    [
        "spent_nanorho = spent_nanorho - 1 WHERE spent_nanorho > 0",
        "cap_nanorho = cap_nanorho + 1",
        "spent_nanorho = cap_nanorho + 1",
        "cap_nanorho = spent_nanorho - 1",
        "cohort = cohort + 1000",
    ],
)
def test_balances_only_grow_and_caps_only_fall(lived_in: Ledger, table: str, change: str) -> None:
    """No statement pays anything back, raises a cap, or spends beyond it."""
    with pytest.raises(sqlite3.IntegrityError):
        lived_in._database.change(f"UPDATE {table} SET {change}")


@pytest.mark.parametrize("change", ["attodelta = spent_attodelta - 1", "attodelta = cap_attodelta + 1"])
def test_delta_is_guarded_likewise(ledger: Ledger, kit: Any, change: str) -> None:
    """Nor is any δ paid back or overspent."""
    kit.pay(ledger, kit.question("r", kit.draw("a", 1, (2025,), attodelta=5)))
    with pytest.raises(sqlite3.IntegrityError):
        ledger._database.change(f"UPDATE cohorts SET spent_{change} WHERE cohort = 2025")


@pytest.mark.parametrize("was", ["charged", "drawing", "measured", "lost"])
def test_the_state_of_a_question_never_goes_back(ledger: Ledger, kit: Any, was: str) -> None:
    """charged → drawing → measured or lost; the database refuses every other step."""
    entry = kit.pay(ledger, kit.question("r", kit.draw("a")))
    if was != "charged":
        ledger.start_drawing(entry.id)
    if was == "measured":
        ledger.finish(entry.id, kit.noise(entry))
    if was == "lost":
        ledger.lose(entry.id)
    allowed = {"charged": {"charged", "drawing"}, "drawing": {"measured", "lost"}}.get(was, set())
    for state in {"charged", "drawing", "measured", "lost", "new"} - allowed:
        with pytest.raises(sqlite3.IntegrityError):
            ledger._database.change("UPDATE progress SET state = ?", (state,))
    if was == "drawing":
        with pytest.raises(sqlite3.IntegrityError):
            ledger._database.change("UPDATE progress SET state = 'measured', holder = 'somebody else'")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("INSERT INTO draws SELECT entry, 'x', scale, nanorho, 0, cohorts, 9 FROM draws", "entered already"),
        ("INSERT INTO charges SELECT entry, 2024, year, nanorho, 0 FROM charges", "entered already"),
        ("INSERT INTO reuses SELECT entry, 'other', measurement FROM reuses", "entered already"),
        ("INSERT INTO measurements (entry, statistic, vector) SELECT entry, statistic, x'' FROM draws", "UNIQUE"),
        ("INSERT INTO progress SELECT id + 5, 'drawing', 'x' FROM releases", "starts charged"),
        ("INSERT INTO identity SELECT 2, district_id, ledger_id, time_zone, 0 FROM identity", "CHECK"),
        ("UPDATE cohorts SET spent_nanorho = 0.5", "cannot store REAL"),
        ("INSERT INTO cohorts (cohort, cap_nanorho, cap_attodelta) VALUES (2050, 'much', 0)", "cannot store TEXT"),
        ("INSERT INTO register VALUES (x'00', 2030)", "CHECK"),
        ("INSERT INTO register VALUES (zeroblob(32), 1999)", "FOREIGN KEY|UNIQUE"),
        ("INSERT INTO events (at_us, kind, body) VALUES (0, 'refund', '{}')", "CHECK"),
    ],
)
def test_nothing_is_slipped_in(lived_in: Ledger, sql: str, reason: str) -> None:
    """Nothing is added to a question that was entered, and no row is of a kind the ledger does not know."""
    with pytest.raises(sqlite3.IntegrityError, match=reason):
        lived_in._database.change(sql)


def test_no_measurement_without_its_drawing(ledger: Ledger, kit: Any) -> None:
    """A measurement enters with the end of its drawing, and only of a statistic that was paid for."""
    entry = kit.pay(ledger, kit.question("r", kit.draw("a")))
    for begun in (False, True):
        if begun:
            ledger.start_drawing(entry.id)
        with pytest.raises(sqlite3.IntegrityError):
            ledger._database.change(
                "INSERT INTO measurements (entry, statistic, vector) VALUES (?, ?, x'')", (entry.id, kit.digest("a"))
            )


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
    assert again.measured([kit.digest("a")])[kit.digest("a")].values.tolist() == [0, 1, 2, 3, 4]


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


def test_threads_take_turns(ledger: Ledger) -> None:
    """While one thread is inside a transaction, no other thread of the process looks into it."""
    database: Database = ledger._database
    seen: list[int] = []

    def look() -> None:
        seen.append(ledger.balances("district")[2025].lifetime_spent)

    other = threading.Thread(target=look)

    def change_and_fail() -> None:
        with database.writing():
            database.change("UPDATE cohorts SET spent_nanorho = 5")
            other.start()
            other.join(0.05)
            assert seen == []
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
