"""A ledger beside a model of a few lines: whatever is done in whatever order, they agree."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from budgets.ledger import Draw, Epoch, Ledger, NotDrawing, PrivacyLoss, Question, StaleBasis, State
from budgets.policy import year_cap_nanorho
from budgets.refusals import BudgetRefused
from budgets.stores import balances as sums

COHORTS = (2025, 2026, 2027)
STATISTICS = tuple("abcdef")

losses = st.builds(PrivacyLoss, st.integers(1, 2_500_000), st.integers(0, 300))
touched = st.lists(st.sampled_from(COHORTS), min_size=1, unique=True).map(tuple)
drawn = st.lists(
    st.builds(Draw, st.sampled_from(STATISTICS), st.just(1.0), losses, touched),
    min_size=1,
    max_size=3,
    unique_by=lambda draw: draw.statistic,
).map(tuple)


@dataclass
class Clock:
    at: datetime

    def now(self) -> datetime:
        return self.at


class LedgerMachine(RuleBasedStateMachine):
    """Two ledgers on one file, questions, answers, deaths, lowered caps and new years."""

    founded: ClassVar[Path]
    entries = Bundle("entries")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock(datetime(2025, 3, 1, tzinfo=UTC))
        self.path = self.folder / "ledger.sqlite"
        shutil.copy(self.founded, self.path)
        self.ledgers = [self._opened(), self._opened()]
        self.lifetime_caps = dict.fromkeys(COHORTS, 100_000_000)
        self.lifetime: Counter[int] = Counter()
        self.attodelta: Counter[int] = Counter()
        self.years: Counter[tuple[int, int]] = Counter()
        self.year_caps: dict[tuple[int, int], int] = {}
        self.states: dict[str, State] = {}
        self.holders: dict[str, Ledger] = {}

    def _opened(self) -> Ledger:
        return Ledger.open(self.path, self.clock)

    def teardown(self) -> None:
        for ledger in self.ledgers:
            ledger.close()
        shutil.rmtree(self.folder)

    def _year_cap(self, cohort: int, year: int) -> int:
        return self.year_caps.get((cohort, year), year_cap_nanorho(self.lifetime_caps[cohort], cohort, year))

    def _affordable(self, owed: Counter[int], deltas: Counter[int], year: int) -> bool:
        return all(
            self.lifetime[c] + owed[c] <= self.lifetime_caps[c]
            and self.attodelta[c] + deltas[c] <= 1_000
            and self.years[c, year] + owed[c] <= self._year_cap(c, year)
            for c in owed
        )

    @rule(target=entries, draws=drawn, which=st.integers(0, 1))
    def ask(self, draws: tuple[Draw, ...], which: int) -> str:
        """A question is paid exactly if the model can afford it."""
        ledger, name = self.ledgers[which], f"r{len(self.states)}"
        statistics = [draw.statistic for draw in draws]
        basis = {s: (found[-1].id if (found := ledger.measured([s]).get(s)) else None) for s in statistics}
        year = ledger.year()
        asked = Question("district", name, "h", "p", "{}", "epoch-1", "mandated", year, draws, {}, {}, COHORTS)
        owed: Counter[int] = Counter()
        deltas: Counter[int] = Counter()
        for draw in draws:
            for cohort in draw.cohorts:
                owed[cohort] += draw.loss.nanorho
                deltas[cohort] += draw.loss.attodelta
        flying = bool(ledger.in_flight(statistics))
        try:
            ledger.charge(asked, basis)
        except StaleBasis:
            assert flying
            return "none"
        except BudgetRefused:
            assert not self._affordable(owed, deltas, year)
            return "none"
        assert not flying
        assert self._affordable(owed, deltas, year)
        self._paid(owed, deltas, year)
        self.states[name], self.holders[name] = State.CHARGED, ledger
        return name

    def _paid(self, owed: Counter[int], deltas: Counter[int], year: int) -> None:
        for cohort in owed:
            self.year_caps[cohort, year] = self._year_cap(cohort, year)
            self.years[cohort, year] += owed[cohort]
        self.lifetime += owed
        self.attodelta += deltas

    @rule(name=entries, which=st.integers(0, 1))
    def start(self, name: str, which: int) -> None:
        """Drawing starts once, from charged."""
        if name not in self.states:
            return
        started = self.ledgers[which].start_drawing(self._id(name))
        assert started == (self.states[name] == State.CHARGED)
        if started:
            self.states[name], self.holders[name] = State.DRAWING, self.ledgers[which]

    @rule(name=entries, which=st.integers(0, 1))
    def finish(self, name: str, which: int) -> None:
        """Only who draws stores an answer."""
        if name not in self.states:
            return
        ledger = self.ledgers[which]
        entry = ledger.find("district", name)
        assert entry is not None
        values = {draw.statistic: np.arange(3) for draw in entry.draws}
        mine = self.states[name] == State.DRAWING and self.holders[name] is ledger
        try:
            ledger.finish(entry.id, values)
        except NotDrawing:
            assert not mine
        else:
            assert mine
            self.states[name] = State.MEASURED

    @rule(name=consumes(entries), which=st.integers(0, 1))
    def lose(self, name: str, which: int) -> None:
        """Only who draws gives a drawing up."""
        if name not in self.states:
            return
        self.ledgers[which].lose(self._id(name))
        if self.states[name] == State.DRAWING and self.holders[name] is self.ledgers[which]:
            self.states[name] = State.LOST

    @rule(which=st.integers(0, 1), killed=st.booleans())
    def die(self, which: int, killed: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """A ledger ends, and another is opened in its place: what it drew is lost."""
        gone = self.ledgers[which]
        if killed:
            gone._holder.drop()
        gone.close()
        self.ledgers[which] = self._opened()
        for name, holder in self.holders.items():
            if holder is gone and self.states[name] == State.DRAWING:
                self.states[name] = State.LOST

    @rule(cohort=st.sampled_from(COHORTS), part=st.integers(1, 110))
    def lower(self, cohort: int, part: int) -> None:
        """A cap falls or stays; it never rises, nor falls below what is spent."""
        cap = self.lifetime_caps[cohort] * part // 100
        allowed = self.lifetime[cohort] <= cap < self.lifetime_caps[cohort]
        try:
            self.ledgers[0].lower_cap([cohort], cap, "A. Officer")
        except BudgetRefused:
            assert not allowed
            return
        assert allowed
        self.lifetime_caps[cohort] = cap
        for year in [year for (c, year) in self.year_caps if c == cohort]:
            self.year_caps[cohort, year] = max(self.years[cohort, year], year_cap_nanorho(cap, cohort, year))

    @rule()
    def new_year(self) -> None:
        """A year passes."""
        if self.clock.at.year < 2030:
            self.clock.at = self.clock.at.replace(year=self.clock.at.year + 1)

    def _id(self, name: str) -> int:
        return int(self.ledgers[0]._database.rows("SELECT id FROM releases WHERE request_id = ?", (name,))[0][0])

    @invariant()
    def agree(self) -> None:
        """Balances are the model's, the sums of their charges, and within their caps; states are the model's."""
        ledger = self.ledgers[1]
        assert sums.wrong(ledger._database) == []
        for cohort in COHORTS:
            balance = ledger.balances("district")[cohort]
            assert balance.lifetime_spent == self.lifetime[cohort] <= balance.lifetime_cap
            assert balance.lifetime_cap == self.lifetime_caps[cohort]
            assert balance.attodelta_spent == self.attodelta[cohort] <= 1_000
            assert balance.year_spent == self.years[cohort, balance.year] <= balance.year_cap
            assert balance.year_cap == balance.allowance_cap == self._year_cap(cohort, balance.year)
        stored = ledger._database.rows("SELECT request_id, state FROM releases JOIN progress ON entry = id")
        assert dict(stored) == self.states


@pytest.mark.slow
def test_the_ledger_and_its_model_agree(founded: Path) -> None:
    """Over random histories the ledger pays, draws, loses and refuses exactly as the model says."""
    LedgerMachine.founded = founded
    test_case = LedgerMachine.TestCase
    test_case.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
    test_case().runTest()


def test_the_model_starts_where_the_ledger_starts(founded: Path) -> None:
    """The model's cohorts and caps are those of the founded ledger."""
    LedgerMachine.founded = founded
    machine = LedgerMachine()
    try:
        machine.agree()
        assert machine.ledgers[0].current_epoch() == Epoch("epoch-1", "epoch-1.duckdb", "digest")
    finally:
        machine.teardown()
