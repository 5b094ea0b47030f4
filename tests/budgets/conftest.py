"""A founded ledger, copied for every test: round caps, a clock that moves only when told."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from budgets.grants import Grant, Terms
from budgets.ledger import Draw, Entry, Epoch, Founding, Ledger, PrivacyLoss, Question
from budgets.policy import DistrictState, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MARCH_2025 = datetime(2025, 3, 1, 12, tzinfo=UTC)
LIFETIME = 100_000_000
TERMS: dict[str, Any] = {
    "district_id": "us-xx-test",
    "time_zone": "America/New_York",
    "cohorts": tuple(range(2018, 2040)),
    "lifetime_nanorho": LIFETIME,
    "lifetime_attodelta": 1_000,
    "district_year_fraction": Fraction(1),
    "policy": Policy(DistrictState.OPEN, Fraction(1), Fraction(1)),
    "as_of": None,
}


@dataclass
class MovableClock:
    at: datetime = MARCH_2025

    def now(self) -> datetime:
        return self.at


@dataclass
class Desk:
    """Opens ledgers on one file, and puts questions together."""

    path: Path
    clock: MovableClock
    opened: list[Ledger] = field(default_factory=list)

    def open(self) -> Ledger:
        ledger = Ledger.open(self.path, self.clock)
        self.opened.append(ledger)
        return ledger

    def create(self, **terms: object) -> Ledger:
        ledger = Ledger.create(self.path, Founding(**(TERMS | terms)), self.clock)
        self.opened.append(ledger)
        ledger.open_epoch(Epoch("epoch-1", "epoch-1.duckdb", "digest"), [])
        return ledger

    @staticmethod
    def die(ledger: Ledger) -> None:
        """What the operating system does for a process that is killed: the lock goes, the file stays."""
        ledger._holder.drop()


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def draw(name: str, nanorho: int = 1_000, cohorts: Sequence[int] = (2025, 2026), attodelta: int = 0) -> Draw:
    return Draw(digest(name), 3.5, PrivacyLoss(nanorho, attodelta), tuple(cohorts))


def question(request_id: str, *draws: Draw, **fields: object) -> Question:
    """A question drawing `draws`, in the budget year 2025 unless the fields say otherwise."""
    given: dict[str, Any] = {
        "grant": "district",
        "request_id": request_id,
        "request_hash": digest(request_id),
        "plan_hash": digest("plan"),
        "plan": json.dumps({"sql": "SELECT"}),
        "epoch": "epoch-1",
        "population": "mandated",
        "year": 2025,
        "draws": draws,
        "reused": {},
        "reads": {},
        "cohorts": tuple(sorted({cohort for each in draws for cohort in each.cohorts})),
    }
    return Question(**(given | fields))


def grant(name: str, **fields: Any) -> Grant:
    """A researcher's grant for everything, half of each year, until 2026."""
    terms: dict[str, Any] = {
        "kind": "researcher",
        "organisation": "State University",
        "purpose": "attendance and grades",
        "scope": {"student": None, "student_year": frozenset({"grade_level", "gpa"})},
        "cohorts": TERMS["cohorts"],
        "ceiling_nanorho": None,
        "expires": date(2026, 6, 30),
        "approved_by": "A. Officer",
    }
    outer = {"population": "research", "year_fraction": Fraction(1, 2)} | {
        name: value for name, value in fields.items() if name not in terms
    }
    inner = terms | {name: value for name, value in fields.items() if name in terms}
    return Grant(name, **outer, terms=Terms(**inner))


def nothing_known(asked: Question) -> dict[str, int | None]:
    return {each.statistic: None for each in asked.draws}


def pay(ledger: Ledger, asked: Question, basis: Mapping[str, int | None] | None = None) -> Entry:
    return ledger.charge(asked, nothing_known(asked) if basis is None else basis)


def noise(entry: Entry) -> dict[str, NDArray[np.int64]]:
    return {each.statistic: np.arange(5) + i for i, each in enumerate(entry.draws)}


def answer(ledger: Ledger, asked: Question, basis: Mapping[str, int | None] | None = None) -> Entry:
    entry = pay(ledger, asked, basis)
    assert ledger.start_drawing(entry.id)
    return ledger.finish(entry.id, noise(entry))


class Kit:
    """The functions above, for tests, which cannot import their neighbours."""

    digest = staticmethod(digest)
    draw = staticmethod(draw)
    question = staticmethod(question)
    grant = staticmethod(grant)
    nothing_known = staticmethod(nothing_known)
    pay = staticmethod(pay)
    noise = staticmethod(noise)
    answer = staticmethod(answer)


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = Desk(tmp_path_factory.mktemp("founded") / "ledger.sqlite", MovableClock())
    desk.create().close()
    return desk.path


@pytest.fixture
def empty_desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "ledger.sqlite", MovableClock())
    yield desk
    for ledger in desk.opened:
        ledger.close()


@pytest.fixture
def desk(empty_desk: Desk, founded: Path) -> Desk:
    shutil.copy(founded, empty_desk.path)
    return empty_desk


@pytest.fixture
def ledger(desk: Desk) -> Ledger:
    return desk.open()


@pytest.fixture(scope="session")
def lived(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a row in every table: 500 nano-rho spent by cohort 2025."""
    path = tmp_path_factory.mktemp("lived") / "ledger.sqlite"
    shutil.copy(founded, path)
    with Ledger.open(path, MovableClock()) as ledger:
        ledger.open_epoch(Epoch("epoch-2", "f", "d"), [(bytes(32), 2030)])
        ledger.note_opt_outs([bytes(32)], out=True)
        first = answer(ledger, question("r1", draw("a", 500, (2025,)), epoch="epoch-2"))
        pay(ledger, question("r2", reused=first.measurements, epoch="epoch-2"), first.measurements)
        ledger.add_grant(grant("ended"))
        ledger.revoke_grant("ended", "A. Officer", "the study ended")
        token = ledger.keyring.add("P. Auditor", "A. Officer", role="auditor")
        ledger.keyring.revoke(token.split("_")[1], "A. Officer", "the audit ended")
        ledger.raise_cap((2039,), LIFETIME + 1, ("A. Officer", "B. Board"), "a longer study")
    return path


@pytest.fixture
def lived_in(empty_desk: Desk, lived: Path) -> Ledger:
    shutil.copy(lived, empty_desk.path)
    return empty_desk.open()
