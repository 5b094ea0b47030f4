"""The doctor finds what is wrong with a district, each thing by itself, and says what to do."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import duckdb
import pytest

from budgets.clock import FixedClock
from engine import doctor
from engine.district import District
from engine.doctor import examine
from engine.founding import found
from engine.refusals import CatalogRefused


def wrong(folder, **options):
    """What is not good, by name."""
    return {each.what: each for each in examine(folder, **options) if each.state != "good"}


def vault_of(folder):
    return next((folder / "vault").glob("*.duckdb"))


def test_a_sound_district_has_nothing_wrong(folder):
    """Every finding is good, and the versions are named."""
    found_all = examine(folder)
    assert {each.state for each in found_all} == {"good"}
    assert {"rights", "key", "disk", "ledger", "answers", "policy", "clock", "records", "versions"} == {
        each.what for each in found_all
    }
    assert all(each.remedy is None for each in found_all)


def test_a_folder_without_a_district_is_refused(tmp_path):
    """There is nothing to look over."""
    with pytest.raises(CatalogRefused):
        examine(tmp_path)


def loosen(folder):
    vault_of(folder).chmod(0o644)


def lose_key(folder):
    (folder / "keys" / "owner.key").unlink()


def corrupt(folder):
    with (folder / "ledger.sqlite").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 3 * 4096)


def overspend(folder):
    connection = sqlite3.connect(folder / "ledger.sqlite")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("UPDATE cohorts SET spent_nanorho = 5 WHERE cohort = 2030")
    connection.commit()
    connection.close()


def lose_vault(folder):
    vault_of(folder).unlink()


def change_catalog(folder):
    path = folder / "district.yaml"
    text = path.read_text(encoding="utf-8")
    assert "max: 5.0" in text or "high:" in text or "max_students: 200_000" in text
    path.write_text(text.replace("max_students: 200_000", "max_students: 200_001"), encoding="utf-8")


def old_epoch(folder):
    (folder / "vault" / "epoch-old.duckdb").touch(mode=0o600)


def public_of(folder):
    return next((folder / "vault").glob("*.public.json"))


def lose_public(folder):
    public_of(folder).unlink()


def damage_public(folder):
    public_of(folder).write_text('{"format": 1, "tables": {}}', encoding="utf-8")


def another_load(folder):
    connection = duckdb.connect(str(vault_of(folder)))
    connection.execute("UPDATE homeroom_meta SET value = 'another' WHERE key = 'epoch'")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "what", "state"),
    [
        (loosen, "rights", "wrong"),
        (lose_key, "key", "wrong"),
        (corrupt, "ledger", "wrong"),
        (overspend, "ledger", "wrong"),
        (lose_vault, "records", "wrong"),
        (lose_public, "records", "wrong"),
        (damage_public, "records", "wrong"),
        (another_load, "records", "wrong"),
        (change_catalog, "records", "wrong"),
        (old_epoch, "epochs", "look"),
    ],
)
def test_each_harm_is_found(harm, what, state, folder):
    """By its own name and no other, with what to do about it."""
    harm(folder)
    found_wrong = wrong(folder)
    assert {what} == set(found_wrong) - ({"records"} if what == "ledger" else set())
    assert found_wrong[what].state == state
    assert found_wrong[what].remedy


@pytest.mark.slow
def test_a_wrong_clock_is_found(starter, tables, tmp_path):
    """Behind the ledger it is worth a look; ahead into another year it is wrong."""
    folder, now = tmp_path / "real", FixedClock(datetime(2026, 3, 1, tzinfo=UTC))
    found(folder, starter, tables, clock=now)
    behind = wrong(folder, clock=FixedClock(now.now() - timedelta(days=3)))
    assert (behind["clock"].state, "3 days" in behind["clock"].told) == ("look", True)
    ahead = wrong(folder, clock=FixedClock(now.now() + timedelta(days=200)))
    assert (ahead["clock"].state, "--accept-clock" in ahead["clock"].remedy) == ("wrong", True)
    assert "clock" not in wrong(folder, clock=FixedClock(now.now() + timedelta(days=5)))


@pytest.mark.slow
def test_paid_questions_without_an_answer_are_counted(folder, monkeypatch):
    """One that was paid and not drawn, one that was lost."""
    with District.open(folder) as district:
        with monkeypatch.context() as broken:
            broken.setattr("engine.pipeline._exact", lambda *_: 1 / 0)
            with pytest.raises(Exception, match="incident"):
                district.ask("SELECT COUNT(*) AS n FROM student")
        with monkeypatch.context() as broken:
            broken.setattr("engine.mechanisms.draw", lambda *_: 1 / 0)
            with pytest.raises(Exception, match="incident"):
                district.ask("SELECT sex, COUNT(*) AS n FROM student GROUP BY sex")
    assert wrong(folder)["answers"].told == "1 paid and not drawn, 1 lost while they were drawn."


def test_a_full_disk_is_found(folder, monkeypatch):
    """Before it stops the first answer."""
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert wrong(folder)["disk"].state == "wrong"


def test_a_file_that_goes_while_it_looks_is_no_finding(folder, monkeypatch):
    """As the log of the ledger does when whoever asks is done."""
    gone = folder / "ledger.sqlite-wal"
    listed = type(folder).rglob
    monkeypatch.setattr(type(folder), "rglob", lambda self, pattern: [*listed(self, pattern), gone])
    assert wrong(folder) == {}
