"""A ledger beside a model of a few lines: whatever is done in whatever order, they agree."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from budgets.grants import Grant
from budgets.ledger import Draw, Epoch, Ledger, NotDrawing, PrivacyLoss, Question, StaleBasis, State
from budgets.policy import Standing, budget_year, standing, year_cap_nanorho
from budgets.refusals import AccessRefused, BudgetRefused
from budgets.stores import balances as sums
from budgets.stores import governance
from tests.seeds import PROVE

COHORTS = (2019, 2025, 2026, 2027)
"""Of the oldest only mandated statistics are drawn in 2025, and none from 2026 on, unless it is unsealed."""
TWO = ("A. Officer", "B. Board")
STATISTICS = tuple("abcdef")
ZONE = "America/New_York"
OTHERS = tuple(Grant(name, "mandated", Fraction(2, 3)) for name in ("one", "two", "three", "four"))
"""Grants beside the built-in one, which alone may use the whole year: together they might use it 3 2/3 times."""
FRACTIONS = {"district": Fraction(1)} | {grant.id: grant.year_fraction for grant in OTHERS}
WEEK = timedelta(days=7)

losses = st.builds(PrivacyLoss, st.integers(1, 2_500_000), st.integers(0, 300))
touched = st.lists(st.sampled_from(COHORTS), min_size=1, unique=True).map(tuple)
drawn = st.lists(
    st.builds(Draw, st.sampled_from(STATISTICS), st.just(1.0), losses, touched),
    min_size=1,
    max_size=3,
    unique_by=lambda draw: draw.statistic,
).map(tuple)
grants = st.sampled_from(tuple(FRACTIONS))
days = st.sampled_from((-400, -30, -1, 1, 5, 6, 7, 8, 40, 200, 366))
hands = st.integers(0, 1)


def give_grants(path: Path) -> None:
    """Give grants beside the built-in one: the one place that knows how."""
    with Ledger.open(path, Clock()) as ledger, ledger._database.writing():
        for grant in OTHERS:
            governance.add_grant(ledger._database, grant, 0)


@dataclass
class Clock:
    at: datetime = datetime(2025, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


@dataclass
class Paid:
    """A request the model has paid for."""

    question: Question
    state: State
    holder: Ledger | None
    owed: Counter[int]
    drawn: int = 0


@dataclass
class Model:
    """What the ledger ought to hold."""

    caps: dict[int, int] = field(default_factory=lambda: dict.fromkeys(COHORTS, 100_000_000))
    highest: dict[int, int] = field(default_factory=lambda: dict.fromkeys(COHORTS, 100_000_000))
    lifetime: Counter[int] = field(default_factory=Counter)
    attodelta: Counter[int] = field(default_factory=Counter)
    years: Counter[tuple[int, int]] = field(default_factory=Counter)
    year_caps: dict[tuple[int, int], int] = field(default_factory=dict)
    used: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    allowances: dict[tuple[str, int, int], int] = field(default_factory=dict)
    unsealed: set[tuple[int, int]] = field(default_factory=set)

    def share(self, cap: int, cohort: int, year: int) -> int:
        return year_cap_nanorho(cap, cohort, year, unsealed=(cohort, year) in self.unsealed)

    def year_cap(self, cohort: int, year: int) -> int:
        return self.year_caps.get((cohort, year), self.share(self.caps[cohort], cohort, year))

    def standing(self, cohort: int, year: int) -> Standing:
        return standing(cohort, year, unsealed=(cohort, year) in self.unsealed)

    def allowance(self, grant: str, cohort: int, year: int) -> int:
        part = int(self.year_cap(cohort, year) * FRACTIONS[grant])
        return self.allowances.get((grant, cohort, year), part)

    def affords(self, grant: str, owed: Counter[int], deltas: Counter[int], year: int) -> bool:
        return all(
            self.standing(c, year).allows("mandated")
            and self.lifetime[c] + owed[c] <= self.caps[c]
            and self.attodelta[c] + deltas[c] <= 1_000
            and self.years[c, year] + owed[c] <= self.year_cap(c, year)
            and self.used[grant, c, year] + owed[c] <= self.allowance(grant, c, year)
            for c in owed
        )

    def pay(self, grant: str, owed: Counter[int], deltas: Counter[int], year: int) -> None:
        for cohort in owed:
            self.allowances[grant, cohort, year] = self.allowance(grant, cohort, year)
            self.year_caps[cohort, year] = self.year_cap(cohort, year)
            self.years[cohort, year] += owed[cohort]
            self.used[grant, cohort, year] += owed[cohort]
        self.lifetime += owed
        self.attodelta += deltas

    def lower(self, cohort: int, cap: int) -> None:
        self.caps[cohort] = cap
        for year in [year for (c, year) in self.year_caps if c == cohort]:
            of_year = self.share(cap, cohort, year)
            self.year_caps[cohort, year] = min(self.year_caps[cohort, year], max(self.years[cohort, year], of_year))
            for grant, c, y in [key for key in self.allowances if key[1:] == (cohort, year)]:
                least = max(self.used[grant, c, y], int(of_year * FRACTIONS[grant]))
                self.allowances[grant, c, y] = min(self.allowances[grant, c, y], least)

    def lift(self, cohort: int, cap: int, year: int) -> None:
        self.caps[cohort] = cap
        self.highest[cohort] = max(self.highest[cohort], cap)
        if (cohort, year) in self.year_caps:
            of_year = self.share(cap, cohort, year)
            self.year_caps[cohort, year] = max(self.year_caps[cohort, year], of_year)
            for grant, c, y in [key for key in self.allowances if key[1:] == (cohort, year)]:
                self.allowances[grant, c, y] = max(self.allowances[grant, c, y], int(of_year * FRACTIONS[grant]))


class LedgerMachine(RuleBasedStateMachine):
    """Two ledgers on one file, five grants: questions, repeats, deaths, loads, caps that move, seals, clocks that jump."""

    founded: ClassVar[Path]
    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "ledger.sqlite"
        shutil.copy(self.founded, self.path)
        give_grants(self.path)
        self.clock = Clock()
        self.newest = self.clock.at
        self.ledgers = [self._opened(), self._opened()]
        self.model = Model()
        self.epochs = ["epoch-1"]
        self.persons: dict[bytes, int] = {}
        self.paid: dict[str, Paid] = {}
        self.asked = 0

    def _opened(self) -> Ledger:
        return Ledger.open(self.path, self.clock)

    def teardown(self) -> None:
        for ledger in self.ledgers:
            ledger.close()
        shutil.rmtree(self.folder)

    @property
    def now(self) -> datetime:
        return max(self.clock.at, self.newest)

    @property
    def year(self) -> int:
        return budget_year(self.now, ZONE)

    @property
    def leapt(self) -> bool:
        return self.now - self.newest > WEEK and self.year != budget_year(self.newest, ZONE)

    def _wrote(self) -> None:
        self.newest = self.now

    def _clock_told(self, refused: AccessRefused) -> None:
        assert (refused.code, self.leapt) == ("clock", True)

    def _not_approved(self, refused: AccessRefused, *, wanting: bool) -> None:
        assert (refused.code, self.leapt or wanting) == ("clock" if self.leapt else "approval", True)

    @rule(target=names, draws=drawn, grant=grants, which=hands)
    def ask(self, draws: tuple[Draw, ...], grant: str, which: int) -> str:
        """A question is paid exactly if the model can afford it, whoever asks."""
        ledger, name = self.ledgers[which], f"r{self.asked}"
        self.asked += 1
        statistics = [draw.statistic for draw in draws]
        basis = {s: (found[-1].id if (found := ledger.measured([s]).get(s)) else None) for s in statistics}
        asked = Question(grant, name, name, "p", "{}", self.epochs[-1], "mandated", self.year, draws, {}, {}, COHORTS)
        owed: Counter[int] = Counter()
        deltas: Counter[int] = Counter()
        for draw in draws:
            for cohort in draw.cohorts:
                owed[cohort] += draw.loss.nanorho
                deltas[cohort] += draw.loss.attodelta
        flying = bool(ledger.in_flight(statistics))
        affordable = self.model.affords(grant, owed, deltas, self.year)
        try:
            ledger.charge(asked, basis)
        except StaleBasis:
            assert flying
            return name
        except AccessRefused as refused:
            self._clock_told(refused)
            return name
        except BudgetRefused:
            assert not affordable
            return name
        assert (flying, self.leapt, affordable) == (False, False, True)
        self.model.pay(grant, owed, deltas, self.year)
        self._wrote()
        self.paid[name] = Paid(asked, State.CHARGED, ledger, owed)
        return name

    @rule(name=names, which=hands, other=st.booleans())
    def repeat(self, name: str, which: int, other: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """The same request pays nothing, in whatever state, year and epoch; its id takes no other question."""
        if name not in self.paid:
            return
        paid = self.paid[name]
        basis: dict[str, int | None] = {draw.statistic: None for draw in paid.question.draws}
        if other:
            changed = {**{f: getattr(paid.question, f) for f in Question.__slots__}, "request_hash": "other"}
            with pytest.raises(AccessRefused) as refused:
                self.ledgers[which].charge(Question(**changed), basis)
            assert refused.value.code == "request_id_reused"
            return
        entry = self.ledgers[which].charge(paid.question, basis)
        assert (entry.request_id, entry.state, entry.draws) == (name, paid.state, paid.question.draws)

    @rule(name=names, which=hands)
    def start(self, name: str, which: int) -> None:
        """Drawing starts once, from charged."""
        if name not in self.paid:
            return
        paid = self.paid[name]
        started = self.ledgers[which].start_drawing(self._id(name))
        assert started == (paid.state == State.CHARGED)
        if started:
            paid.drawn += 1
            paid.state, paid.holder = State.DRAWING, self.ledgers[which]

    @rule(name=names, which=hands)
    def finish(self, name: str, which: int) -> None:
        """Only who draws stores an answer."""
        if name not in self.paid:
            return
        ledger, paid = self.ledgers[which], self.paid[name]
        mine = paid.state == State.DRAWING and paid.holder is ledger
        try:
            ledger.finish(self._id(name), {draw.statistic: np.arange(3) for draw in paid.question.draws})
        except NotDrawing:
            assert not mine
        else:
            assert mine
            paid.state = State.MEASURED

    @rule(name=consumes(names), which=hands)
    def lose(self, name: str, which: int) -> None:
        """Only who draws gives a drawing up."""
        if name not in self.paid:
            return
        self.ledgers[which].lose(self._id(name))
        if self.paid[name].state == State.DRAWING and self.paid[name].holder is self.ledgers[which]:
            self.paid[name].state = State.LOST

    @rule(name=names, which=hands)
    def let_go(self, name: str, which: int) -> None:
        """A charge that nobody holds blocks nobody, and stays a charge."""
        if name in self.paid:
            self.ledgers[which].let_go(self._id(name))

    @rule(which=hands, killed=st.booleans())
    def die(self, which: int, killed: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """A ledger ends, and another is opened in its place: what it drew is lost."""
        gone = self.ledgers[which]
        if killed:
            gone._holder.drop()
        gone.close()
        self.ledgers[which] = self._opened()
        for paid in self.paid.values():
            if paid.holder is gone and paid.state == State.DRAWING:
                paid.state = State.LOST

    @rule(cohort=st.sampled_from(COHORTS), part=st.integers(1, 110))
    def lower(self, cohort: int, part: int) -> None:
        """A cap falls or stays; it never rises, nor falls below what is spent."""
        cap = self.model.caps[cohort] * part // 100
        allowed = self.model.lifetime[cohort] <= cap < self.model.caps[cohort]
        try:
            self.ledgers[0].lower_cap([cohort], cap, "A. Officer")
        except BudgetRefused:
            assert not allowed or self.leapt
        except AccessRefused as refused:
            self._clock_told(refused)
        else:
            assert (allowed, self.leapt) == (True, False)
            self.model.lower(cohort, cap)
            self._wrote()

    @rule(cohort=st.sampled_from(COHORTS), part=st.integers(90, 150), two=st.booleans())
    def lift(self, cohort: int, part: int, two: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """A cap rises by two people alone, to what they say."""
        cap = self.model.caps[cohort] * part // 100
        try:
            self.ledgers[0].raise_cap([cohort], cap, TWO if two else TWO[:1], "a longer study")
        except BudgetRefused:
            assert cap <= self.model.caps[cohort]
        except AccessRefused as refused:
            self._not_approved(refused, wanting=not two)
        except ValueError:
            assert cap < 1
        else:
            assert (two, self.leapt, cap > self.model.caps[cohort]) == (True, False, True)
            self.model.lift(cohort, cap, self.year)
            self._wrote()

    @rule(which=hands, cohort=st.sampled_from(COHORTS), two=st.booleans())
    def unseal(self, which: int, cohort: int, two: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """A sealed class, and no other, is unsealed by two people for this year."""
        sealed = self.model.standing(cohort, self.year) is Standing.SEALED
        try:
            self.ledgers[which].unseal([cohort], TWO if two else TWO[:1], "a late report")
        except AccessRefused as refused:
            self._not_approved(refused, wanting=not (sealed and two))
        else:
            assert (sealed, two, self.leapt) == (True, True, False)
            self.model.unsealed.add((cohort, self.year))
            self._wrote()

    @rule(which=hands, persons=st.dictionaries(st.integers(0, 9), st.sampled_from(COHORTS), max_size=3))
    def load(self, which: int, persons: dict[int, int]) -> None:
        """A load adds nothing to any budget, and moves nobody to another class."""
        epoch = f"epoch-{len(self.epochs) + 1}"
        given = {hashlib.sha256(bytes([n])).digest(): cohort for n, cohort in persons.items()}
        moves = any(self.persons.get(person, cohort) != cohort for person, cohort in given.items())
        try:
            self.ledgers[which].open_epoch(Epoch(epoch, "f", "d"), given.items())
        except AccessRefused as refused:
            self._clock_told(refused)
        except ValueError:
            assert moves
        else:
            assert (moves, self.leapt) == (False, False)
            self.persons |= given
            self.epochs.append(epoch)
            self._wrote()

    @rule(by=days)
    def clock_moves(self, by: int) -> None:
        """The machine's clock goes forward, or back."""
        if 2024 <= (self.clock.at + timedelta(days=by)).year <= 2030:
            self.clock.at += timedelta(days=by)

    @rule(which=hands)
    def doctor(self, which: int) -> None:
        """A leap is accepted once, and there is nothing to accept else."""
        assert (self.ledgers[which].clock_leap() is not None) == self.leapt
        assert self.ledgers[which].accept_clock("A. Officer") == self.leapt
        if self.leapt:
            self._wrote()
        assert not self.leapt

    def _id(self, name: str) -> int:
        return int(self.ledgers[0]._database.rows("SELECT id FROM releases WHERE request_id = ?", (name,))[0][0])

    @invariant()
    def agree(self) -> None:
        """Balances are the model's, the sums of their charges, and within their caps; states are the model's."""
        ledger, model, year = self.ledgers[1], self.model, self.year
        assert sums.wrong(ledger._database) == []
        assert (ledger.now(), ledger.year()) == (self.now, year)
        for grant in FRACTIONS:
            for cohort in COHORTS:
                balance = ledger.balances(grant)[cohort]
                assert balance.lifetime_spent == model.lifetime[cohort] <= balance.lifetime_cap
                assert balance.lifetime_cap == model.caps[cohort]
                assert balance.standing is model.standing(cohort, year)
                assert balance.attodelta_spent == model.attodelta[cohort] <= 1_000
                assert balance.year_spent == model.years[cohort, year] <= balance.year_cap
                assert balance.year_cap == model.year_cap(cohort, year)
                assert balance.allowance_spent == model.used[grant, cohort, year] <= balance.allowance_cap
                assert balance.allowance_cap == model.allowance(grant, cohort, year)
        stored = ledger._database.rows("SELECT request_id, state FROM releases JOIN progress ON entry = id")
        assert dict(stored) == {name: paid.state for name, paid in self.paid.items()}
        assert ledger.known_cohorts() == self.persons

    @invariant()
    def one_charge_and_one_draw(self) -> None:
        """Each request id has one entry, one charge of each cohort, at most one draw and one measurement of each."""
        rows = self.ledgers[0]._database.rows
        assert rows("SELECT request_id FROM releases GROUP BY grant_id, request_id HAVING count(*) > 1") == []
        charges = "SELECT request_id, cohort, nanorho FROM charges JOIN releases ON id = entry"
        owed = {(name, c, paid.owed[c]) for name, paid in self.paid.items() for c in paid.owed}
        assert sorted(rows(charges)) == sorted(owed)
        assert all(paid.drawn <= 1 for paid in self.paid.values())
        measured = "SELECT request_id, m.statistic FROM measurements m JOIN releases r ON r.id = m.entry"
        answered = [(n, p) for n, p in self.paid.items() if p.state == State.MEASURED]
        assert sorted(rows(measured)) == sorted((n, draw.statistic) for n, p in answered for draw in p.question.draws)

    @invariant()
    def collusion_gains_nothing(self) -> None:
        """What all grants spent of one class, and so of one person, is within the caps of that one class."""
        rows = self.ledgers[0]._database.rows
        lifetimes = "SELECT cohort, sum(nanorho), sum(attodelta) FROM charges GROUP BY cohort"
        for cohort, nanorho, attodelta in rows(lifetimes):
            assert nanorho <= self.model.caps[cohort]
            assert attodelta <= 1_000
        for cohort, year, nanorho in rows("SELECT cohort, year, sum(nanorho) FROM charges GROUP BY cohort, year"):
            assert nanorho <= self.model.share(self.model.highest[cohort], cohort, year)
            assert nanorho <= self.model.year_cap(cohort, year)
        assert set(self.persons.values()) <= set(self.model.caps)


@pytest.mark.slow
def test_the_ledger_and_its_model_agree(founded: Path) -> None:
    """Over random histories the ledger pays, draws, loses and refuses exactly as the model says."""
    LedgerMachine.founded = founded
    test_case = LedgerMachine.TestCase
    test_case.settings = settings(
        max_examples=2_000 if PROVE else 60,
        stateful_step_count=60 if PROVE else 30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    test_case().runTest()


def test_the_model_starts_where_the_ledger_starts(founded: Path) -> None:
    """The model's cohorts and caps are those of the founded ledger."""
    LedgerMachine.founded = founded
    machine = LedgerMachine()
    try:
        machine.agree()
        machine.one_charge_and_one_draw()
        assert machine.ledgers[0].current_epoch() == Epoch("epoch-1", "epoch-1.duckdb", "digest")
    finally:
        machine.teardown()


def test_five_grants_together_stop_at_the_year(founded: Path) -> None:
    """Five who ask in turn until all are refused have spent one year's cap, not a nano-ρ more, and then nothing."""
    LedgerMachine.founded = founded
    machine = LedgerMachine()
    try:
        spent: Counter[str] = Counter()
        for nanorho in (700_001, 40_000, 3_000, 200, 13, 1):
            number, refused = 0, set[str]()
            while refused != set(FRACTIONS):
                for grant in FRACTIONS:
                    number += 1
                    name = f"{grant}-{nanorho}-{number}"
                    draw = Draw(name, 1.0, PrivacyLoss(nanorho), (2026,))
                    asked = Question(
                        grant, name, name, "p", "{}", "epoch-1", "mandated", 2025, (draw,), {}, {}, draw.cohorts
                    )
                    try:
                        machine.ledgers[number % 2].charge(asked, {name: None})
                    except BudgetRefused:
                        refused.add(grant)
                    else:
                        spent[grant] += nanorho
        balance = machine.ledgers[0].balances("one")[2026]
        assert sum(spent.values()) == balance.year_spent == balance.lifetime_spent == 6_000_000
        assert min(spent.values()) > 0
    finally:
        machine.teardown()
