"""Ledgers of earlier schemas, kept as text: they open, nothing in them is lost or freed, and they go on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from budgets.policy import DistrictState
from budgets.refusals import AccessRefused, BudgetRefused, LedgerDamaged
from budgets.stores.sqlite import APPLICATION_ID, migrations

if TYPE_CHECKING:
    from budgets.ledger import Ledger

GOLDEN = Path(__file__).with_name("golden")
OLD = [f"schema-{number}" for number in range(1, len(migrations()))]


def written(path: Path, schema: str) -> None:
    """The file as the old program left it."""
    connection = sqlite3.connect(path)
    connection.executescript((GOLDEN / f"{schema}.sql").read_text(encoding="utf-8"))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema.removeprefix('schema-')}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


@pytest.fixture(params=OLD)
def old(request: pytest.FixtureRequest, empty_desk: Any) -> Ledger:
    written(empty_desk.path, request.param)
    ledger: Ledger = empty_desk.open()
    return ledger


def test_every_old_schema_has_a_golden_ledger() -> None:
    """A new step of the schema comes with a ledger of the one before it."""
    assert sorted(file.stem for file in GOLDEN.glob("*.sql")) == OLD


def test_what_was_spent_stays_spent(old: Ledger) -> None:
    """Lifetime, year, allowance and population have what the charges say."""
    found = old.balances("district", 2025)
    spent = {2018: 0, 2022: 300_000, 2025: 2_500_007, 2026: 2_500_000}
    assert {cohort: balance.lifetime_spent for cohort, balance in found.items()} == spent
    assert {cohort: balance.year_spent for cohort, balance in found.items()} == spent
    assert {cohort: balance.allowance_spent for cohort, balance in found.items()} == spent
    assert {cohort: balance.population_spent for cohort, balance in found.items()} == spent
    assert found[2026].lifetime_cap == 90_000_000


def test_no_part_of_a_year_has_more_than_the_policy_gives(old: Ledger) -> None:
    """What was spent beyond a population's part is all it has; a late year is whole."""
    found = old.balances("district", 2025)
    assert (found[2025].population_cap, found[2022].population_cap) == (2_500_007, 2_000_000)
    assert old.balances("district", 2026)[2025].population_cap == 1_800_000


def test_answers_are_kept_and_drawings_of_the_dead_are_lost(old: Ledger, kit: Any) -> None:
    """The old measurement answers; what was being drawn is not drawn again; what was only charged is."""
    assert old.find("district", "drawing").state == "lost"
    answered = old.find("district", "answered")
    assert list(old.measurements(answered.measurements.values())) == [1]
    again = kit.question("again", reused=answered.measurements, epoch="epoch-2")
    kit.pay(old, again, answered.measurements)
    assert old.start_drawing(old.find("district", "late").id)


def test_a_real_district_is_in_its_pilot(old: Ledger, kit: Any) -> None:
    """It goes on under its own grant, and within what is left."""
    assert old.policy().state is DistrictState.PILOT
    old.add_grant(kit.grant("study", cohorts=(2025, 2026)))
    with pytest.raises(AccessRefused):
        old.admit("study")
    kit.pay(old, kit.question("new", kit.draw("n", 600_000, (2022,)), epoch="epoch-2", cohorts=(2022,)))
    with pytest.raises(BudgetRefused):
        kit.pay(old, kit.question("more", kit.draw("m", 1, (2025,)), epoch="epoch-2"))
    assert [event.kind for event in old.events()] == ["init", "load", "load", "cap_lowered", "grant_added"]


def test_its_events_stay_and_new_kinds_are_known(old: Ledger, empty_desk: Any) -> None:
    """Row for row what they were; and what later versions decide can be written down."""
    assert [event.seq for event in old.events()] == [1, 2, 3, 4]
    empty_desk.clock.at = empty_desk.clock.at.replace(month=9)
    assert old.accept_clock("A. Officer")
    assert old.events()[-1].kind == "clock_accepted"


@pytest.mark.parametrize("schema", OLD)
def test_a_tampered_older_ledger_is_not_brought_up_to_date(schema: str, empty_desk: Any) -> None:
    """Its tables are looked at before a step of the schema touches them."""
    written(empty_desk.path, schema)
    connection = sqlite3.connect(empty_desk.path)
    connection.execute("DROP TRIGGER events_update")
    connection.close()
    with pytest.raises(LedgerDamaged):
        empty_desk.open()
    connection = sqlite3.connect(empty_desk.path)
    assert connection.execute("PRAGMA user_version").fetchone() == (int(schema.removeprefix("schema-")),)
    connection.close()
