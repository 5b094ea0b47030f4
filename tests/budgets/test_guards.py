"""The triggers: what was paid, drawn or decided is never changed and never removed, by whatever statement."""

import sqlite3
from typing import Any

import pytest

from budgets.ledger import Ledger

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
    "policy",
    "population_years",
    "grant_terms",
    "revocations",
    "decisions",
    "opt_outs",
    "tokens",
    "token_secrets",
    "token_revocations",
)
BALANCES = ("cohorts", "cohort_years", "population_years", "allowances")
IMMUTABLE = tuple(table for table in TABLES if table not in (*BALANCES, "progress", "policy"))


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
