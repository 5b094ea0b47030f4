"""The ledger of a district: every question is paid for here before anything is drawn, once and for ever.

The rooms behind it: `budgets.charging` (the transaction that pays), `budgets.holders` (who is alive),
`budgets.stores` (the file). Charges are whole numbers; nothing is ever given back.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

import numpy as np

from budgets import charging, decisions
from budgets.clock import Clock, FixedClock, in_utc
from budgets.cohorts import Balance, balance_of, short_refusal, standing_refusal
from budgets.decisions import Moment
from budgets.entries import Charge, Draw, Entry, Epoch, Measurement, Question, State, charges_of
from budgets.epochs import PLAIN_TERMS, EpochTerms, approved_names, note_opt_outs, open_epoch
from budgets.founding import Founding, write_founding
from budgets.grants import DISTRICT, check_scope, check_standing, find_grant
from budgets.holders import Holder
from budgets.keyring import Keyring
from budgets.leaps import leap
from budgets.loss import PrivacyLoss
from budgets.outlook import Outlook, outlook
from budgets.policy import DistrictState, Policy, budget_year
from budgets.refusals import AccessRefused, LedgerDamaged, NotDrawing, StaleBasis
from budgets.stores import balances, district, governance, releases
from budgets.stores.balances import Payer
from budgets.stores.sqlite import Database
from budgets.stores.times import from_micros, to_micros

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from budgets.grants import Grant
    from budgets.leaps import Leap

__all__ = [
    "Balance",
    "Charge",
    "Draw",
    "Entry",
    "Epoch",
    "Event",
    "Founding",
    "Identity",
    "Ledger",
    "Measurement",
    "NotDrawing",
    "Outlook",
    "Policy",
    "PrivacyLoss",
    "Question",
    "StaleBasis",
    "Standstill",
    "State",
]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a ledger is.

    Attributes:
        district_id: of the district it belongs to.
        ledger_id: random, given at the founding.
        time_zone: IANA name; budget years begin by its calendar.
        as_of: the moment a district of invented records lives in; None for a real one.
    """

    district_id: str
    ledger_id: str
    time_zone: str
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was decided, or a load.

    Attributes:
        seq: its number.
        at: ledger time, in UTC.
        kind: which.
        body: what was decided, by whom, and why; it never counts students.
    """

    seq: int
    at: datetime
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standstill:
    """Questions that were paid for and have no answer.

    Attributes:
        charged: not drawn yet; the same request draws and answers.
        lost: while they were drawn, for good.
    """

    charged: int
    lost: int


class Ledger:
    """An open ledger, shared by the threads of one process; other processes open their own on the same file.

    Build it with `create` or `open`. Methods that read or charge may be called from several threads at once.
    """

    def __init__(self, database: Database, holder: Holder, clock: Clock) -> None:
        self._database = database
        self._holder = holder
        with database.reading():
            row = district.identity(database)
        if row is None:
            raise LedgerDamaged("the ledger does not say whose it is")
        as_of = None if row.as_of_us is None else from_micros(row.as_of_us)
        self._identity = Identity(row.district_id, row.ledger_id, row.time_zone, as_of)
        self._clock = clock if as_of is None else FixedClock(as_of)

    @classmethod
    def create(cls, path: Path, terms: Founding, clock: Clock) -> Self:
        """Found the ledger of a district, and open it.

        Args:
            path: where the file will stand; its folder exists.
            terms: cohorts and caps it starts with.
            clock: what time it is, unless the terms fix it.

        Raises:
            Refusal: a file stands there already (`load`).
        """
        at_us = to_micros(terms.as_of or clock.now())
        ledger_id = uuid.uuid4().hex
        Database.found(path, lambda database: write_founding(database, terms, ledger_id, at_us))
        return cls.open(path, clock)

    @classmethod
    def open(cls, path: Path, clock: Clock) -> Self:
        """Open a ledger, check it, and give up the drawings of the dead.

        Raises:
            LedgerDamaged: the file is no ledger of this version, or a balance is not the sum of its charges.
            LedgerUnavailable: the machine does not let it be read or written.
        """
        path = path.resolve()
        database = Database.open(path)
        holder = None
        try:
            _check_balances(database)
            holder = Holder(path.parent / "locks")
            ledger = cls(database, holder, clock)
            ledger.reap()
            holder.sweep()
        except BaseException:
            database.close()
            if holder is not None:
                holder.close()
            raise
        return ledger

    def close(self) -> None:
        """Close the file and be dead: what this instance was drawing is lost."""
        self._database.close()
        self._holder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def identity(self) -> Identity:
        """Who this ledger is."""
        return self._identity

    @property
    def keyring(self) -> Keyring:
        """The tokens of those who ask over a server."""
        return Keyring(self._database, self._moment, lambda: (now := self.now(), self._date(now)))

    def grant(self, name: str) -> Grant:
        """The grant of this name.

        Raises:
            AccessRefused: there is none (`grant_missing`).
        """
        with self._database.reading():
            return self._grant(name)

    def grants(self) -> tuple[Grant, ...]:
        """All grants there are and were, by name."""
        with self._database.reading():
            return governance.grants(self._database)

    def policy(self) -> Policy:
        """What holds for the whole district."""
        with self._database.reading():
            return governance.policy(self._database)

    def events(self) -> tuple[Event, ...]:
        """Everything that was decided or loaded, in order."""
        with self._database.reading():
            rows = district.events(self._database)
        return tuple(Event(seq, from_micros(at_us), kind, body) for seq, at_us, kind, body in rows)

    def admit(self, name: str) -> Grant:
        """The grant of this name, if questions under it are answered at this moment.

        Raises:
            AccessRefused: there is none, it has ended, the district is in its pilot or closed (`grant_missing`,
                `grant_expired`, `district_pilot`, `district_closed`).
        """
        with self._database.reading():
            return self._admitted(name, self.now(), governance.policy(self._database))

    def _admitted(self, name: str, now: datetime, policy: Policy) -> Grant:
        grant = self._grant(name)
        check_standing(grant, self._date(now))
        _check_state(policy.state, grant)
        return grant

    def _grant(self, name: str) -> Grant:
        known = governance.grant(self._database, name) if name.isprintable() else None
        return known or find_grant(governance.grants(self._database), name)

    def now(self) -> datetime:
        """Ledger time in UTC: the clock's, never earlier than the newest row."""
        return max(in_utc(self._clock.now()), self._newest())

    def year(self) -> int:
        """The budget year of this moment."""
        return budget_year(self.now(), self._identity.time_zone)

    def today(self) -> date:
        """The date of this moment by the district's calendar."""
        return self._date(self.now())

    def _date(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(self._identity.time_zone)).date()

    def _moment(self) -> Moment:
        """The moment of a decision, inside its transaction.

        Raises:
            AccessRefused: the clock leapt (`clock`).
        """
        now = self.now()
        self._check_clock(now)
        return Moment(to_micros(now), self._date(now), budget_year(now, self._identity.time_zone))

    def clock_leap(self) -> Leap | None:
        """How the clock leapt ahead of the newest row, into another budget year; None if it did not.

        While it is so, nothing dated is written but `accept_clock`. A clock that stands still never leaps.
        """
        return self._leap(self.now())

    def accept_clock(self, by: str) -> bool:
        """Vouch for a clock that leapt; leaves an event. False if there is nothing to vouch for.

        Raises:
            ValueError: nobody vouches.
            AccessRefused: the name is no plain text (`approval`).
        """
        if not by:
            raise ValueError("a clock is accepted by somebody")
        name = decisions.named(by, "A name")
        with self._database.writing():
            now = self.now()
            if self._leap(now) is None:
                return False
            district.add_event(self._database, to_micros(now), "clock_accepted", {"by": name})
        return True

    def clock_behind(self) -> timedelta | None:
        """How far the clock is behind the newest row, in whole minutes; None if it is not."""
        minutes = (self._newest() - in_utc(self._clock.now())) // timedelta(minutes=1)
        return timedelta(minutes=minutes) if minutes > 0 else None

    def faults(self) -> tuple[str, ...]:
        """What the database finds wrong with its file; empty for a whole one."""
        with self._database.reading():
            found = [text for (text,) in self._database.rows("PRAGMA integrity_check(10)") if text != "ok"]
            loose = self._database.rows("PRAGMA foreign_key_check")
        return (*found, *(f"a row of {table} belongs to nothing" for table, *_ in loose))

    def standstill(self) -> Standstill:
        """How many questions were paid for and not answered."""
        with self._database.reading():
            found = releases.states(self._database)
        return Standstill(found.get(State.CHARGED, 0), found.get(State.LOST, 0))

    def _leap(self, now: datetime) -> Leap | None:
        if self._identity.as_of is not None:
            return None
        return leap(now, self._newest(), self._identity.time_zone)

    def _newest(self) -> datetime:
        with self._database.reading():
            return from_micros(district.newest_us(self._database))

    def _check_clock(self, now: datetime) -> None:
        found = self._leap(now)
        if found is not None:
            raise found.refusal()

    def balances(self, grant_id: str, year: int | None = None) -> dict[int, Balance]:
        """What every cohort has left under a grant, in a budget year (this one, unless named).

        Raises:
            AccessRefused: there is no such grant (`grant_missing`).
        """
        grant = self.grant(grant_id)
        with self._database.reading():
            asked = self.year() if year is None else year
            policy = governance.policy(self._database)
            rows = balances.select(self._database, Payer(grant.id, grant.population), asked)
        return {row.cohort: balance_of(row, grant, policy, asked) for row in rows}

    def outlooks(self, grant_id: str) -> dict[int, Outlook]:
        """How far the present budget year of every cohort will reach, under a grant.

        Raises:
            AccessRefused: there is no such grant (`grant_missing`).
        """
        with self._database.reading():
            paid: dict[int, list[int]] = {}
            for cohort, nanorho in balances.costs(self._database, self.year()):
                paid.setdefault(cohort, []).append(nanorho)
            today = self.today()
            found = self.balances(grant_id)
        return {cohort: outlook(balance, paid.get(cohort, []), today) for cohort, balance in found.items()}

    def known_cohorts(self, persons: Sequence[bytes] | None = None) -> dict[bytes, int]:
        """The register: keyed hash of a person → cohort, of all or of the known among `persons`."""
        with self._database.reading():
            return district.known_cohorts(self._database, persons)

    def open_epoch(
        self,
        epoch: Epoch,
        persons: Iterable[tuple[bytes, int]],
        terms: EpochTerms = PLAIN_TERMS,
    ) -> None:
        """Make `epoch` the current one and register its persons, in one transaction.

        Args:
            epoch: of the records.
            persons: keyed hash and cohort; those whom the register knows already may be left out.
            terms: what it comes with.

        Raises:
            ValueError: the epoch is known, a person has another cohort in the register, or a cohort is not
                kept.
            AccessRefused: the clock leapt, what is sensitive was not approved, or somebody opted out since the
                records were read (`clock`, `approval`).
        """
        with self._database.writing():
            open_epoch(self._database, epoch, persons, terms, self._moment().at_us)

    def left(self) -> frozenset[bytes]:
        """Keyed hashes of those who opted out and were said to have left."""
        with self._database.reading():
            return district.left(self._database)

    def approved_names(self) -> frozenset[str]:
        """Everything sensitive that two people ever switched on, as `table.column`."""
        with self._database.reading():
            return approved_names(self._database)

    def epochs(self) -> frozenset[str]:
        """The ids of all epochs there were."""
        with self._database.reading():
            return district.epochs(self._database)

    def note_opt_outs(self, persons: Sequence[bytes], *, out: bool) -> None:
        """Note that persons opted out of research, or that they take part again; from the next load on.

        Args:
            persons: keyed hashes, known to the register or not.
            out: whether they are out.

        Raises:
            AccessRefused: nobody is named (`approval`).
        """
        with self._database.writing():
            note_opt_outs(self._database, persons, out=out)

    def opted_out(self) -> frozenset[bytes]:
        """Keyed hashes of those who are in no research statistic from the next load on."""
        with self._database.reading():
            return district.opted_out(self._database)

    def current_epoch(self) -> Epoch | None:
        """The epoch questions are answered from; None before the first load."""
        with self._database.reading():
            return district.current_epoch(self._database)

    def epoch(self, epoch_id: str) -> Epoch | None:
        """An epoch by its id; None if there was none."""
        with self._database.reading():
            return district.epoch(self._database, epoch_id)

    def find(self, grant: str, request_id: str) -> Entry | None:
        """The entry of a request; drawings of the dead are given up first."""
        self.reap()
        with self._database.reading():
            number = releases.find(self._database, grant, request_id)
            return None if number is None else releases.entry(self._database, number)

    def released(self, release_id: str) -> Entry | None:
        """The entry of an answer, by its public name; None if there is none."""
        with self._database.reading():
            number = releases.find_release(self._database, release_id)
            return None if number is None else releases.entry(self._database, number)

    def measured(self, statistics: Sequence[str]) -> dict[str, tuple[Measurement, ...]]:
        """All stored measurements of each statistic that has one, the newest last."""
        with self._database.reading():
            newest = releases.newest(self._database, statistics)
            stored = releases.measurements(self._database, list(newest.values()))
        return {statistic: stored[number] for statistic, number in newest.items()}

    def measurements(self, ids: Collection[int]) -> dict[int, tuple[Measurement, ...]]:
        """Stored measurements by id, each behind the older ones of its statistic: what an answer is made of."""
        with self._database.reading():
            return releases.measurements(self._database, ids)

    def in_flight(self, statistics: Collection[str]) -> frozenset[str]:
        """Those of the statistics that are paid for and not measured yet, by somebody who lives."""
        with self._database.reading():
            return charging.in_flight(self._database, self._holder, statistics)

    def charges(self, entry_id: int) -> tuple[Charge, ...]:
        """What each cohort paid for an entry."""
        with self._database.reading():
            return releases.charges(self._database, entry_id)

    def charge(self, question: Question, basis: Mapping[str, int | None]) -> Entry:
        """Pay for a question: every touched cohort and the grant, in one transaction, on disk at return.

        A request that was charged before is returned as it stands and pays nothing. One that draws nothing is
        entered as `measured`.

        Args:
            question: what is asked for.
            basis: statistic → the newest stored measurement the plan knew of, None for none; of every
                statistic to be drawn.

        Raises:
            StaleBasis: plan again; nothing was charged.
            BudgetRefused: a cohort, a part of its year or the allowance cannot pay (`budget_lifetime`,
                `budget_year`), or a cohort may not be asked about (`cohort_sealed`); `accepted` names the cohorts
                that could pay.
            AccessRefused: no such grant, one that has ended or does not cover the question, a district that does
                not answer under it, a request id that was used for another question, or a clock that leapt
                (`grant_missing`, `grant_expired`, `grant_scope`, `district_pilot`, `district_closed`,
                `request_id_reused`, `clock`).
            ValueError: a question that contradicts itself or names what the ledger does not keep.
        """
        with self._database.writing():
            now, policy = self.now(), governance.policy(self._database)
            grant = self._admitted(question.grant, now, policy)
            try:
                known = charging.repeated(self._database, question)
                return known or self._enter(grant, policy, question, basis, now)
            except charging.Short as short:
                raise charging.refusal_of(short, grant) from None

    def _enter(
        self, grant: Grant, policy: Policy, question: Question, basis: Mapping[str, int | None], now: datetime
    ) -> Entry:
        if question.population != grant.population:
            message = f"The grant {grant.id!r} counts the {grant.population} population."
            raise AccessRefused("grant_scope", message, accepted=f"population={grant.population}")
        check_scope(grant, question.reads, question.cohorts)
        year = budget_year(now, self._identity.time_zone)
        charging.check_basis(self._database, self._holder, question, basis, year)
        self._check_clock(now)
        return charging.enter(self._database, self._holder, grant, policy, question, to_micros(now))

    def require_payable(self, question: Question) -> None:
        """Refuse what `charge` would refuse of the grant or for want of budget at this moment; nothing is written.

        Args:
            question: what would be asked for, in a pilot or of a closed district too.

        Raises:
            BudgetRefused: as `charge` would.
            AccessRefused: there is no such grant, it has ended or does not cover the question (`grant_missing`,
                `grant_expired`, `grant_scope`).
        """
        charges = charges_of(question.draws, question.year)
        with self._database.reading():
            grant = self.grant(question.grant)
            check_standing(grant, self.today())
            check_scope(grant, question.reads, question.cohorts)
            now = self.balances(grant.id, question.year)
        standings = {charge.cohort: now[charge.cohort].standing for charge in charges}
        refusal = standing_refusal(standings, question.year, question.population)
        refusal = refusal or short_refusal(now, charges, grant)
        if refusal is not None:
            raise refusal

    def start_drawing(self, entry_id: int) -> bool:
        """Take a charged entry for drawing, on disk at return; True for one caller only, ever.

        False: somebody else draws or has drawn. Without True no random number may be drawn.
        """
        with self._database.writing():
            return releases.move(self._database, releases.START, entry_id, self._holder.token)

    def finish(self, entry_id: int, values: Mapping[str, NDArray[np.int64]]) -> Entry:
        """Store what was drawn for an entry, and end its drawing, on disk at return.

        Args:
            entry_id: of an entry this instance draws.
            values: statistic → noisy integers, shape (groups,), of all its draws and no other.

        Raises:
            NotDrawing: this instance does not draw for the entry (any more); nothing was stored.
            ValueError: other statistics than were paid for, or no vectors of int64; nothing was stored.
        """
        if not all(vector.dtype == np.int64 and vector.ndim == 1 for vector in values.values()):
            raise ValueError("a measurement is a vector of int64")
        with self._database.writing():
            if not releases.move(self._database, releases.FINISH, entry_id, self._holder.token):
                raise NotDrawing(f"entry {entry_id} is not being drawn here")
            if {draw.statistic for draw in releases.draws(self._database, entry_id)} != set(values):
                raise ValueError("all statistics that were paid for are stored, and no other")
            releases.add_measurements(self._database, entry_id, values)
            return releases.entry(self._database, entry_id)

    def lose(self, entry_id: int) -> None:
        """Give up a drawing of this instance, for good: spent, no answer. Other entries stay as they are."""
        with self._database.writing():
            releases.move(self._database, releases.LOSE, entry_id, self._holder.token)

    def let_go(self, entry_id: int) -> None:
        """Stop holding a charged entry that is not drawn now; it stays paid, and its request can be repeated.

        While it is held, others wait for its statistics.
        """
        with self._database.writing():
            releases.move(self._database, releases.LET_GO, entry_id, self._holder.token)

    def reap(self) -> int:
        """Make the drawings of the dead `lost`; how many there were. What they paid stays paid."""
        with self._database.reading():
            holders = releases.drawing_holders(self._database)
        dead = [holder for holder in holders if not self._holder.lives(holder)]
        if not dead:
            return 0
        with self._database.writing():
            return releases.lose_all(self._database, dead)

    # -- what people decide

    def lower_cap(self, cohorts: Sequence[int], lifetime_nanorho: int, by: str) -> None:
        """Lower the lifetime caps of cohorts, and with them their years and parts; see `budgets.decisions`."""
        with self._database.writing():
            decisions.lower_caps(self._database, cohorts, lifetime_nanorho, by, self._moment())

    def raise_cap(self, cohorts: Sequence[int], lifetime_nanorho: int, by: Sequence[str], reason: str) -> None:
        """Raise the lifetime caps of cohorts: two people and a reason; see `budgets.decisions`."""
        with self._database.writing():
            decisions.raise_caps(self._database, cohorts, lifetime_nanorho, by, reason, self._moment())

    def unseal(self, cohorts: Sequence[int], by: Sequence[str], reason: str) -> None:
        """Unseal cohorts for this budget year: two people and a reason; see `budgets.decisions`."""
        with self._database.writing():
            decisions.unseal(self._database, cohorts, by, reason, self._moment())

    def open_district(self, by: Sequence[str], signed_off_by: str) -> None:
        """End the pilot, or open again: two people, and the group that signed off; see `budgets.decisions`."""
        with self._database.writing():
            decisions.open_district(self._database, by, signed_off_by, self._moment())

    def close_district(self, by: str, reason: str) -> None:
        """Stop all answers; see `budgets.decisions`."""
        with self._database.writing():
            decisions.close_district(self._database, by, reason, self._moment())

    def add_grant(self, grant: Grant) -> None:
        """Give a grant; see `budgets.decisions`."""
        with self._database.writing():
            decisions.add_grant(self._database, grant, self._moment())

    def revoke_grant(self, name: str, by: str, reason: str) -> None:
        """End a grant before its last day; see `budgets.decisions`."""
        with self._database.writing():
            decisions.revoke_grant(self._database, name, by, reason, self._moment())


def _check_state(state: DistrictState, grant: Grant) -> None:
    if state is DistrictState.CLOSED:
        message = "The district is closed: it answers no questions."
        raise AccessRefused("district_closed", message, accepted="a rehearsal on invented records: rehearse=true")
    if state is DistrictState.PILOT and grant.id != DISTRICT:
        message = "The district is in its pilot: under this grant it answers rehearsals only."
        raise AccessRefused("district_pilot", message, accepted="a rehearsal on invented records: rehearse=true")


def _check_balances(database: Database) -> None:
    with database.reading():
        wrong = balances.wrong(database)
    if wrong:
        raise LedgerDamaged(f"of cohorts {wrong} a balance is not the sum of its charges, or is beyond its cap")
