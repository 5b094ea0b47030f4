"""The one place where effects happen, in order: charge, run, draw, store, answer.

    plan ─ measured already? ─ charged ─ exact integers ─ drawing ─ noise ─ measured ─ answer

Everything before `charged` is a function of question, catalog and ledger. `charged` is committed before a
record is read, `drawing` before the first random number, `measured` before anything else can fail. Nothing is
given back after `charged`, whatever fails, and no draw is made twice on one charge.

A rehearsal goes the same way on invented records, from the plan to the answer, and past the ledger: it reads there
who may ask and what is left, and neither writes to it nor takes a measurement from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import traceback
import uuid
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from budgets.grants import DISTRICT
from budgets.ledger import Draw, Question, StaleBasis, State
from budgets.loss import PrivacyLoss, epsilon_of
from engine import accuracy, combination, explanation, mechanisms, pacing, postprocess, preparation
from engine.backends import duckdb as backend
from engine.compile import batches, compile_batch
from engine.mechanisms import Gaussian, d_in_of
from engine.preparation import Books, Prepared
from engine.refusals import AccessRefused, InternalFailure, LedgerDamaged, Refusal
from engine.release import CohortCharge, CohortLeftOut, Expected, Preview, Release
from engine.request import Request
from engine.sharpening import combined, combined_scale
from engine.statistic import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TypeVar

    import numpy as np
    from numpy.typing import NDArray

    from budgets.grants import Grant
    from budgets.ledger import Entry, Ledger, Measurement
    from budgets.policy import Population
    from engine.accuracy import Priced
    from engine.catalog import Catalog
    from engine.epochs import Following
    from engine.explanation import Explanation
    from engine.plan import Plan
    from engine.preparation import Statements
    from engine.request import Asked
    from engine.statistic import Statistic
    from engine.vault import Vault

    Result = TypeVar("Result")

VERSION = version("homeroom")
WAIT_S = 30.0
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class House:
    """What a question needs: records, the ledger, and where incidents are noted.

    Attributes:
        records: the vault of the current epoch, which is asked; opened by the first question that needs it.
        invented: the vault of invented records that rehearsals ask instead.
        kept: the vault of the question that is answered, from its beginning to its end.
        came: when it came, on the monotonic clock.
        gate: called with the grant and the cohorts of a question that would be charged, before it is; it may refuse.
        grid_s: when a measurement may be seen, in seconds after its question came; empty for at once.
    """

    records: Following
    invented: Following
    ledger: Ledger
    incidents: Path
    kept: Vault | None = None
    came: float = 0.0
    gate: Callable[[str, Sequence[int]], None] = lambda _, __: None
    grid_s: tuple[float, ...] = ()

    @property
    def vault(self) -> Vault:
        """The vault that is asked."""
        return self.records.opened() if self.kept is None else self.kept

    def at_now(self) -> House:
        """The same house for one question: its records are those of this moment, whatever is loaded meanwhile."""
        return replace(self, kept=self.records.opened())

    def beginning(self) -> House:
        """The same house for a question that comes at this moment."""
        return replace(self, came=time.monotonic())

    def rehearsing(self) -> House:
        """The same house with invented records alone; the district's cannot be reached from it."""
        return replace(self, records=self.invented)

    @property
    def catalog(self) -> Catalog:
        """The catalog the vault was verified against; everything is derived from this copy."""
        return self.vault.catalog


def preview(house: House, request: Request) -> Preview:
    """What a question would cost and how sharp it would be; touches no record and charges nothing."""
    return _guarded(house, lambda: _preview(*_chosen(house, request)))


def explain(house: House, request: Request) -> Explanation:
    """Why a question would cost what it costs, and what would make it sharper; free, and touches no record."""
    return _guarded(house, lambda: _explain(*_chosen(house, request)))


def ask(house: House, request: Request) -> Release:
    """Answer a question.

    Raises:
        Refusal: a decision not to answer; nothing was charged unless its code is `answer_lost`, `in_progress` or
            `ledger_unavailable`; then the same request id asks for what was paid.
        InternalFailure: anything else; what was charged stays charged.
    """
    return _guarded(house, lambda: _answered(*_chosen(house, request)))


def released(house: House, release_id: str, grant: str | None) -> Release:
    """An answer that was given, written out again from what is stored; free, and touches no record.

    Args:
        house: where it was given.
        release_id: its public name.
        grant: whose answers are looked at; None for all.

    Raises:
        AccessRefused: there is none of this name (`release_missing`), it cannot be written out again
            (`answer_lost`), or the grant is not answered now.
    """
    return _guarded(house, lambda: _again(house, release_id, grant))


def _chosen(house: House, request: Request) -> tuple[House, Asked]:
    """Whose records are asked, and what."""
    asked = request.checked()
    return (house.rehearsing() if asked.rehearse else house), asked


def _answered(house: House, asked: Asked) -> Release:
    return _rehearse(house, asked) if asked.rehearse else _ask(house, asked)


def _guarded(house: House, work: Callable[[], Result]) -> Result:
    """Turn every failure that is no refusal into one opaque answer.

    Its text may hold a record, and its class may tell of one, as an overflow does: the note says where.
    """
    try:
        return work()
    except (Refusal, LedgerDamaged):
        raise
    except Exception as error:  # noqa: BLE001 - this is the wall: no text of a database or library passes it
        failure = noted(house.incidents, error)
    raise failure from None


def noted(incidents: Path, error: Exception) -> InternalFailure:
    """What is answered of a failure; where it happened is appended to the notes, if the folder still takes it."""
    failure = InternalFailure()
    frames = [f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
    note = {"incident": failure.incident, "frames": frames}
    with contextlib.suppress(OSError):
        descriptor = os.open(incidents, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as log:
            log.write(json.dumps(note) + "\n")
    return failure


# -- before the charge


def _books(house: House, grant: Grant) -> Books:
    return Books(house.catalog, house.vault.epoch, grant, house.ledger.balances(grant.id))


def _foreseen(house: House, name: str) -> tuple[Grant, list[str]]:
    """A grant that a question may be foretold under, and what is said where it would not be answered now."""
    try:
        return house.ledger.admit(name), []
    except AccessRefused as refused:
        if refused.code not in ("district_pilot", "district_closed"):
            raise
        return house.ledger.grant(name), [f"Asked now, it would be refused: {refused.message}"]


def _stored(house: House, asked: Asked, prepared: Prepared) -> dict[str, tuple[Measurement, ...]]:
    """What has been measured of a question already; to a rehearsal everything is new."""
    return {} if asked.rehearse else house.ledger.measured(prepared.digests)


def _preview(house: House, asked: Asked) -> Preview:
    return _foretold(house.at_now(), asked)[2]


def _explain(house: House, asked: Asked) -> Explanation:
    house = house.at_now()
    plan, priced, foretold = _foretold(house, asked)
    books = _books(house, house.ledger.grant(foretold.grant))
    left = min((books.left(charge.cohort) for charge in foretold.charges), default=0)
    terms = explanation.Terms(moe=bool(asked.moe), left_nanorho=left)
    return explanation.explain(house.catalog, plan, priced, foretold, terms)


def _foretold(house: House, asked: Asked) -> tuple[Plan, Priced, Preview]:
    grant, answered = _foreseen(house, asked.grant)
    books = _books(house, grant)
    prepared = preparation.prepare(asked, books)
    stored = _stored(house, asked, prepared)
    priced = preparation.price(asked, prepared, books, stored)
    _compiled(house, prepared, priced)
    plan, scales = prepared.plan, priced.scales
    charges = preparation.charges(plan, priced)
    notes = preparation.notes(plan, prepared.left_out, prepared.population)
    if asked.rehearse:
        notes = [*preparation.rehearsal_notes(charges), *notes]
    else:
        notes += answered
    short = [cohort for cohort, nanorho in charges.items() if nanorho > books.left(cohort)]
    if short:
        notes.append(f"Asked now, it would be refused: classes {preparation.years(short)} cannot pay.")
        affordable = min(books.left(cohort) / charges[cohort] for cohort in short)
        if affordable > 0:
            notes.append(f"Margins {affordable**-0.5:.3g} times as wide could be paid for.")
    if plan.statistics and not priced.drawn:
        notes.append("Everything it needs has been measured already: it is free.")
    foretold = Preview(
        sql=asked.sql,
        plan_hash=plan.digest,
        engine_version=VERSION,
        epoch=house.vault.epoch,
        population=prepared.population,
        grant=grant.id,
        rehearsal=asked.rehearse,
        columns=preparation.columns(plan, combination.foreseen(plan)),
        partial=list(plan.partial),
        charges=[CohortCharge(cohort, n, 0, epsilon_of(n)) for cohort, n in charges.items()],
        cohorts_left_out=[CohortLeftOut(*each) for each in prepared.left_out],
        noise=preparation.noise(plan, scales, priced.together),
        bounds=preparation.bounds(plan),
        notes=notes,
        expected=[
            Expected(output.name, *accuracy.foretold(output.form, scales))
            for output in plan.outputs
            if output.role != "key"
        ],
    )
    return plan, priced, foretold


# -- the charge and after


def _ask(house: House, asked: Asked) -> Release:
    ledger = house.ledger
    grant = ledger.admit(asked.grant)
    house, gated = house.beginning(), False
    deadline = time.monotonic() + WAIT_S
    while True:
        house = house.at_now()
        entry = ledger.find(grant.id, asked.request_id)
        if entry is not None:
            return _resume(house, asked, entry, deadline)
        books = _books(house, grant)
        prepared = preparation.prepare(asked, books)
        stored = ledger.measured(prepared.digests)
        priced = preparation.price(asked, prepared, books, stored)
        wanted = [prepared.digests[position] for position, _ in priced.drawn]
        if not ledger.in_flight(wanted):
            compiled = _compiled(house, prepared, priced)
            question = _question(house, asked, prepared, priced)
            if not gated and _payable(prepared, priced, books):  # what cannot be paid counts for nobody's limit
                house.gate(grant.id, prepared.plan.cohorts)
                gated = True
            basis = {digest: stored[digest][-1].id if digest in stored else None for digest in prepared.digests}
            try:
                entry = ledger.charge(question, basis)
            except StaleBasis:
                pass
            else:
                return _complete(house, asked, replace(prepared, compiled=compiled), entry, deadline)
        _wait(deadline)


def _payable(prepared: Prepared, priced: Priced, books: Books) -> bool:
    """Whether a question costs something that, by what is known, can be paid; the ledger decides."""
    costs = preparation.charges(prepared.plan, priced)
    return bool(costs) and all(nanorho <= books.left(cohort) for cohort, nanorho in costs.items())


def _compiled(house: House, prepared: Prepared, priced: Priced) -> tuple[tuple[str, ...], Statements]:
    """The statements for what is drawn, and its statistics: what cannot be written out is refused before a charge."""
    combination.check(prepared.plan)
    statistics = [prepared.plan.statistics[position] for position, _ in priced.drawn]
    return tuple(prepared.digests[position] for position, _ in priced.drawn), _statements(
        house.catalog, statistics, prepared.population
    )


def _statements(catalog: Catalog, statistics: Sequence[Statistic], population: Population) -> Statements:
    """The statements that compute some statistics of a population, each with the positions of its own."""
    return tuple(
        (batch, compile_batch(catalog, [statistics[p] for p in batch], population)) for batch in batches(statistics)
    )


def _wait(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise AccessRefused(
            "in_progress",
            "Another caller is being answered; this question waits for the same measurement.",
            accepted="the same request again in a moment",
        )
    time.sleep(POLL_S)


def _question(house: House, asked: Asked, prepared: Prepared, priced: Priced) -> Question:
    plan = prepared.plan
    stored_plan: dict[str, object] = {
        "sql": asked.sql,
        "askable": prepared.askable,
        "left_out": prepared.left_out,
        "limits": [asked.limits.rows, asked.limits.groups],
    }
    return Question(
        grant=asked.grant,
        request_id=asked.request_id,
        request_hash=_request_hash(asked, plan),
        plan_hash=plan.digest,
        plan=json.dumps(stored_plan),
        epoch=house.vault.epoch,
        population=prepared.population,
        year=house.ledger.year(),
        draws=tuple(
            Draw(
                statistic=prepared.digests[position],
                scale=noise.scale,
                loss=PrivacyLoss(noise.nanorho),
                cohorts=plan.statistics[position].cohorts,
            )
            for position, noise in priced.drawn
        ),
        reused={prepared.digests[position]: found.id for position, found in priced.reused.items()},
        reads=prepared.reads,
        cohorts=plan.cohorts,
    )


def _request_hash(asked: Asked, plan: Plan) -> str:
    """What a request id is bound to: the plan and the accuracy asked for."""
    accuracy_asked = [asked.nanorho, accuracy.resolved(plan, asked.moe), asked.moe_at_n]
    return hashlib.sha256(json.dumps([plan.digest, asked.cohorts, accuracy_asked]).encode()).hexdigest()


def _resume(house: House, asked: Asked, entry: Entry, deadline: float) -> Release:
    """Answer under an id that is known: with the cohorts and the epoch stored at its charge, never new ones."""
    if entry.epoch != house.vault.epoch:
        raise AccessRefused(
            "answer_lost",
            "This request was charged on records that have been replaced since.",
            accepted="the question under a new request id",
        )
    stored = json.loads(entry.plan)
    plan = preparation.planned(house.catalog, asked.sql, stored["askable"], asked.limits)
    if _request_hash(asked, plan) != entry.request_hash:
        raise AccessRefused(
            "request_id_reused",
            "This request id belongs to another question, or to another accuracy.",
            accepted="a new request id",
        )
    left_out = tuple((cohort, reason) for cohort, reason in stored["left_out"])
    digests = preparation.digests(plan, entry.epoch, entry.population)
    prepared = Prepared(plan, entry.population, tuple(stored["askable"]), left_out, digests, {})
    return _complete(house, asked, prepared, entry, deadline)


def _again(house: House, release_id: str, grant: str | None) -> Release:
    """An answer from its stored measurements: never drawn, never charged, whatever records there are now."""
    entry = house.ledger.released(release_id)
    if entry is None or entry.state != State.MEASURED or (grant is not None and entry.grant != grant):
        raise AccessRefused("release_missing", "There is no such answer.", accepted="the release_id of an answer")
    house.ledger.admit(grant or DISTRICT)  # under the district's own, whatever is asked for of all is: but closed
    stored = json.loads(entry.plan)
    lost = AccessRefused(
        "answer_lost",
        "This answer cannot be written out again: the catalog, or this program, has changed since it was given.",
        accepted="the question under a new request id",
    )
    if "sql" not in stored:
        raise lost
    house = house.at_now()
    try:
        limits = Limits(*stored.get("limits", ()))
        plan = preparation.planned(house.catalog, stored["sql"], stored["askable"], limits)
    except Refusal:
        raise lost from None
    digests = preparation.digests(plan, entry.epoch, entry.population)
    if plan.digest != entry.plan_hash or set(digests) != set(entry.measurements):
        raise lost
    left_out = tuple((cohort, reason) for cohort, reason in stored["left_out"])
    prepared = Prepared(plan, entry.population, tuple(stored["askable"]), left_out, digests, {})
    asked = Request(stored["sql"], request_id=entry.request_id, grant=entry.grant).checked()
    return replace(_release(house, asked, prepared, entry, replayed=True), epoch=entry.epoch)


def _complete(house: House, asked: Asked, prepared: Prepared, entry: Entry, deadline: float) -> Release:
    """Bring an entry to `measured`, or wait for whoever does, and answer."""
    drawn_here = False
    while entry.state != State.MEASURED:
        if entry.state == State.LOST:
            raise AccessRefused(
                "answer_lost",
                "The answer was lost while its noise was drawn. Its budget is spent, and it is never drawn again.",
                accepted="the question under a new request id, which pays again",
            )
        if entry.state == State.CHARGED:
            finished = _measure(house, prepared, entry)
            if finished is not None:
                entry, drawn_here = finished, True
                continue
        found = house.ledger.find(entry.grant, entry.request_id)
        if found is None:
            raise AssertionError
        if found.state == State.DRAWING:
            _wait(deadline)
        entry = found
    return _release(house, asked, prepared, entry, replayed=not drawn_here)


def _measure(house: House, prepared: Prepared, entry: Entry) -> Entry | None:
    """Run, then draw; None where another caller draws on this charge."""
    by_digest = dict(zip(prepared.digests, prepared.plan.statistics, strict=True))
    statistics = [by_digest[draw.statistic] for draw in entry.draws]
    noises = [
        Gaussian(draw.scale, d_in_of(statistic.l2_squared), draw.loss.nanorho)
        for draw, statistic in zip(entry.draws, statistics, strict=True)
    ]
    try:
        _assert_paid(entry, statistics, noises)
        names, statements = prepared.compiled or ((), ())
        if names != tuple(draw.statistic for draw in entry.draws):
            statements = _statements(house.catalog, statistics, prepared.population)
        exact = _exact(house, statements, statistics)
    except BaseException:
        house.ledger.let_go(entry.id)
        raise
    if not house.ledger.start_drawing(entry.id):
        return None
    try:
        noisy = {
            draw.statistic: mechanisms.draw(vector, noise, _limit(house.catalog, statistic))
            for draw, vector, noise, statistic in zip(entry.draws, exact, noises, statistics, strict=True)
        }
        pacing.wait(house.came, house.grid_s)  # from here on others see that it was drawn
        return house.ledger.finish(entry.id, noisy)
    except BaseException:
        house.ledger.lose(entry.id)
        raise


def _exact(house: House, statements: Statements, statistics: Sequence[Statistic]) -> list[NDArray[np.int64]]:
    """The exact integers of each statistic, never shown to anybody."""
    found: dict[int, NDArray[np.int64]] = {}
    for batch, compiled in statements:
        vectors = backend.run(house.vault.cursor(), compiled, statistics[batch[0]].keys, len(batch))
        found |= dict(zip(batch, vectors, strict=True))
    return [found[position] for position in range(len(statistics))]


def _limit(catalog: Catalog, statistic: Statistic) -> int:
    """The greatest magnitude a cell can have, from public sizes."""
    return catalog.max_students * statistic.contribution.rows * statistic.bound


def _assert_paid(entry: Entry, statistics: Sequence[Statistic], noises: Sequence[Gaussian]) -> None:
    """Each cohort that is scanned has been charged at least the maps of the statistics that scan it."""
    owed: dict[int, int] = {}
    for statistic, noise in zip(statistics, noises, strict=True):
        loss = mechanisms.loss_nanorho(noise.scale, noise.d_in)
        for cohort in statistic.cohorts:
            owed[cohort] = owed.get(cohort, 0) + loss
    paid = {charge.cohort: charge.loss.nanorho for charge in entry.charges}
    if any(paid.get(cohort, 0) < nanorho for cohort, nanorho in owed.items()):
        raise AssertionError


def _release(house: House, asked: Asked, prepared: Prepared, entry: Entry, *, replayed: bool) -> Release:
    ids = [entry.measurements[digest] for digest in prepared.digests]
    found = house.ledger.measurements(ids)
    values = tuple(combined([m.values for m in found[i]], [m.scale for m in found[i]]) for i in ids)
    draws = postprocess.Draws(values, tuple(combined_scale([m.scale for m in found[i]]) for i in ids))
    charges = [
        CohortCharge(c.cohort, c.loss.nanorho, c.loss.attodelta, epsilon_of(c.loss.nanorho)) for c in entry.charges
    ]
    answer = _answer(house, asked, prepared, draws, entry.release_id)
    return replace(
        answer,
        replayed=replayed,
        draws=[measurement.id for i in ids for measurement in found[i]],
        charges=charges,
        noise=preparation.noise(prepared.plan, draws.scales, [len(found[i]) > 1 for i in ids]),
    )


def _answer(house: House, asked: Asked, prepared: Prepared, draws: postprocess.Draws, release_id: str) -> Release:
    """What noisy numbers come to; what it cost, and the draws it is made of, are still to be told."""
    plan = prepared.plan
    table = combination.answer(plan, draws)
    return Release(
        release_id=release_id,
        request_id=asked.request_id,
        sql=asked.sql,
        plan_hash=plan.digest,
        engine_version=VERSION,
        epoch=house.vault.epoch,
        population=prepared.population,
        grant=asked.grant,
        rehearsal=asked.rehearse,
        replayed=False,
        columns=preparation.columns(plan, table.reasons),
        rows=table.rows,
        se=table.se,
        moe90=table.moe90,
        moe95=table.moe95,
        partial=table.partial,
        independent=table.independent,
        draws=[],
        charges=[],
        cohorts_left_out=[CohortLeftOut(*each) for each in prepared.left_out],
        noise=preparation.noise(plan, draws.scales, [False] * len(draws.scales)),
        bounds=preparation.bounds(plan),
        notes=preparation.notes(plan, prepared.left_out, prepared.population),
    )


# -- a rehearsal


def _rehearse(house: House, asked: Asked) -> Release:
    """Answer a question from invented records, with the noise that it would be given; free, and kept nowhere.

    Args:
        house: the one that rehearses.
        asked: the question; its request id binds nothing.
    """
    grant = house.ledger.grant(asked.grant)
    house = house.at_now()
    books = _books(house, grant)
    prepared = preparation.prepare(asked, books)
    plan = prepared.plan
    priced = preparation.price(asked, prepared, books, _stored(house, asked, prepared))
    _, statements = _compiled(house, prepared, priced)
    house.ledger.require_payable(_question(house, asked, prepared, priced))
    statistics = [plan.statistics[position] for position, _ in priced.drawn]
    exact = _exact(house, statements, statistics)
    noisy = {
        position: mechanisms.draw(vector, noise, _limit(house.catalog, statistic))
        for (position, noise), vector, statistic in zip(priced.drawn, exact, statistics, strict=True)
    }
    draws = postprocess.Draws(tuple(noisy[position] for position in range(len(noisy))), priced.scales)
    answer = _answer(house, asked, prepared, draws, f"rehearsal-{uuid.uuid4().hex}")
    return replace(answer, notes=[*preparation.rehearsal_notes(preparation.charges(plan, priced)), *answer.notes])
