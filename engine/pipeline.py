"""The one place where effects happen, in order: charge, run, draw, store, answer.

    plan ─ measured already? ─ charged ─ exact integers ─ drawing ─ noise ─ measured ─ answer

Everything before `charged` is a function of question, catalog and ledger. `charged` is committed before a
record is read, `drawing` before the first random number, `measured` before anything else can fail. Nothing is
given back after `charged`, whatever fails, and no draw is made twice on one charge.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
import traceback
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from budgets.ledger import Draw, Question, StaleBasis, State
from budgets.loss import PrivacyLoss, epsilon_of
from budgets.policy import Standing, default_share_nanorho
from engine import accuracy, mechanisms, postprocess
from engine.backends import duckdb as backend
from engine.compile import compile_plan
from engine.forms import Ratio
from engine.mechanisms import Gaussian, d_in_of
from engine.parse import parse
from engine.plan import make_plan
from engine.refusals import AccessRefused, BudgetRefused, InternalFailure, LedgerDamaged, QueryRefused, Refusal
from engine.release import (
    ClampingBounds,
    CohortCharge,
    CohortLeftOut,
    Expected,
    Noise,
    Preview,
    Release,
    ReleaseColumn,
)
from engine.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeVar

    from budgets.ledger import Balance, Entry, Ledger, Measurement
    from engine.accuracy import Priced
    from engine.catalog import Catalog
    from engine.plan import Plan, Statistic
    from engine.request import Asked, Request
    from engine.vault import Vault

    Result = TypeVar("Result")

VERSION = version("homeroom")
WAIT_S = 30.0
POLL_S = 0.01

LEFT_OUT_REASONS = {
    Standing.SEALED: "sealed: its last budget year is over",
    Standing.NOT_YET: "not open yet: its first budget year has not begun",
    Standing.MANDATED_ONLY: "open for mandated statistics only",
}


@dataclass(frozen=True, slots=True)
class House:
    """What a question needs: the records, the ledger, and where incidents are noted."""

    vault: Vault
    ledger: Ledger
    incidents: Path

    @property
    def catalog(self) -> Catalog:
        """The catalog the vault was verified against; everything is derived from this copy."""
        return self.vault.catalog


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question understood, before anything is charged."""

    plan: Plan
    population: str
    askable: tuple[int, ...]
    left_out: tuple[tuple[int, str], ...]
    digests: tuple[str, ...]


def preview(house: House, request: Request) -> Preview:
    """What a question would cost and how sharp it would be; touches no record and charges nothing."""
    return _guarded(house, lambda: _preview(house, request.checked()))


def ask(house: House, request: Request) -> Release:
    """Answer a question.

    Raises:
        Refusal: a decision not to answer; nothing was charged unless its code is `answer_lost` or `in_progress`.
        InternalFailure: anything else; what was charged stays charged.
    """
    return _guarded(house, lambda: _ask(house, request.checked()))


def _guarded(house: House, work: Callable[[], Result]) -> Result:
    """Turn every failure that is no refusal into one opaque answer: its text may hold a record."""
    try:
        return work()
    except (Refusal, LedgerDamaged):
        raise
    except Exception as error:  # noqa: BLE001 - this is the wall: no text of a database or library passes it
        failure = InternalFailure()
        frames = [f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
        note = {"incident": failure.incident, "kind": type(error).__name__, "frames": frames}
    with house.incidents.open("a", encoding="utf-8") as log:
        log.write(json.dumps(note) + "\n")
    raise failure from None


# -- before the charge


def _prepare(house: House, asked: Asked, balances: Mapping[int, Balance], population: str) -> Prepared:
    """The plan of a question for the cohorts that are open to it now."""
    catalog, ledger = house.catalog, house.ledger
    if asked.cohorts is not None:
        _named_cohorts(catalog, asked.cohorts, balances, population)
    reasons: dict[int, str] = {}
    for cohort in catalog.cohorts:
        if asked.cohorts is not None and cohort not in asked.cohorts:
            reasons[cohort] = "not named in the request"
        elif not _open(balances[cohort], population):
            reasons[cohort] = LEFT_OUT_REASONS[balances[cohort].standing]
    askable = tuple(cohort for cohort in catalog.cohorts if cohort not in reasons)
    plan = _planned(house, asked.sql, askable)
    if plan.touched and not plan.cohorts:
        raise BudgetRefused(
            "cohort_sealed",
            f"No cohort that this question touches ({_years(plan.touched)}) can be asked: "
            f"{reasons[plan.touched[-1]]}.",
            accepted=f"a question about other cohorts; the budget year is {ledger.year()}",
        )
    left_out = tuple((cohort, reasons[cohort]) for cohort in plan.left_out)
    return _prepared(house, plan, population, askable, left_out)


def _prepared(
    house: House, plan: Plan, population: str, askable: tuple[int, ...], left_out: tuple[tuple[int, str], ...]
) -> Prepared:
    digests = tuple(statistic.digest(house.vault.epoch, population) for statistic in plan.statistics)
    return Prepared(plan, population, askable, left_out, digests)


def _planned(house: House, sql: str, askable: Sequence[int]) -> Plan:
    return make_plan(Source(sql), parse(sql, house.catalog), house.catalog, frozenset(askable))


def _open(balance: Balance, population: str) -> bool:
    mandated = balance.standing == Standing.MANDATED_ONLY and population == "mandated"
    return balance.standing == Standing.OPEN or mandated


def _named_cohorts(
    catalog: Catalog, named: Sequence[int], balances: Mapping[int, Balance], population: str
) -> None:
    """A request that names cohorts must name known, open ones."""
    unknown = [cohort for cohort in named if cohort not in catalog.cohorts]
    if unknown:
        raise QueryRefused(
            "unknown_name", f"There is no cohort {_years(unknown)}.", accepted=f"cohorts={_years(catalog.cohorts)}"
        )
    closed = [cohort for cohort in named if not _open(balances[cohort], population)]
    if closed:
        left = [cohort for cohort in catalog.cohorts if _open(balances[cohort], population)]
        raise BudgetRefused(
            "cohort_sealed",
            f"{_years(closed)} cannot be asked: {LEFT_OUT_REASONS[balances[closed[0]].standing]}.",
            accepted=f"cohorts={_years(left)}",
        )


def _years(cohorts: Sequence[int]) -> str:
    return ",".join(map(str, cohorts))


def _priced(asked: Asked, prepared: Prepared, balances: Mapping[int, Balance], stored: Mapping[str, Measurement]) -> Priced:
    plan = prepared.plan
    if not plan.statistics:
        return accuracy.Priced((), {})
    nanorho = asked.nanorho
    if nanorho is None:
        nanorho = default_share_nanorho(balances[cohort].year_cap for cohort in plan.cohorts)
    known = {
        position: (stored[digest].loss.nanorho, stored[digest].id)
        for position, digest in enumerate(prepared.digests)
        if digest in stored
    }
    return accuracy.price(plan, nanorho, known)


def _charges(plan: Plan, priced: Priced, year: int) -> dict[int, int]:
    """What each cohort pays: all of the loss of every statistic that scans it."""
    del year
    paid: dict[int, int] = {}
    for position, noise in priced.drawn:
        for cohort in plan.statistics[position].cohorts:
            paid[cohort] = paid.get(cohort, 0) + noise.nanorho
    return dict(sorted(paid.items()))


def _preview(house: House, asked: Asked) -> Preview:
    ledger = house.ledger
    grant = ledger.grant(asked.grant)
    balances = ledger.balances(grant.id)
    prepared = _prepare(house, asked, balances, grant.population)
    plan = prepared.plan
    stored = ledger.measured(prepared.digests)
    priced = _priced(asked, prepared, balances, stored)
    scales = _foretold_scales(prepared, priced, stored)
    charges = _charges(plan, priced, ledger.year())
    notes = _notes(plan, prepared.left_out)
    short = [cohort for cohort, nanorho in charges.items() if nanorho > balances[cohort].left]
    if short:
        notes.append(f"Asked now, it would be refused: cohorts {_years(short)} cannot pay.")
    if plan.statistics and not priced.drawn:
        notes.append("Everything it needs has been measured already: it is free.")
    return Preview(
        sql=asked.sql,
        plan_hash=plan.digest,
        engine_version=VERSION,
        epoch=house.vault.epoch,
        population=prepared.population,
        grant=grant.id,
        columns=_columns(plan, [None] * len(plan.outputs)),
        partial=[list(cohorts) for cohorts in plan.partial],
        charges=[CohortCharge(cohort, n, 0, epsilon_of(n)) for cohort, n in charges.items()],
        cohorts_left_out=[CohortLeftOut(*each) for each in prepared.left_out],
        noise=_noise(plan, scales),
        bounds=_bounds(plan),
        notes=notes,
        expected=[
            Expected(output.name, *accuracy.foretold(output.form, scales))
            for output in plan.outputs
            if output.role != "key"
        ],
    )


def _foretold_scales(prepared: Prepared, priced: Priced, stored: Mapping[str, Measurement]) -> tuple[float, ...]:
    drawn = {position: noise.scale for position, noise in priced.drawn}
    return tuple(
        drawn[position] if position in drawn else stored[digest].scale
        for position, digest in enumerate(prepared.digests)
    )


# -- the charge and after


def _ask(house: House, asked: Asked) -> Release:
    ledger = house.ledger
    grant = ledger.grant(asked.grant)
    deadline = time.monotonic() + WAIT_S
    while True:
        entry = ledger.find(grant.id, asked.request_id)
        if entry is not None:
            return _resume(house, asked, entry, deadline)
        balances = ledger.balances(grant.id)
        prepared = _prepare(house, asked, balances, grant.population)
        stored = ledger.measured(prepared.digests)
        priced = _priced(asked, prepared, balances, stored)
        wanted = [prepared.digests[position] for position, _ in priced.drawn]
        if not ledger.in_flight(wanted):
            question = _question(house, asked, prepared, priced)
            basis = {digest: stored[digest].id if digest in stored else None for digest in prepared.digests}
            try:
                entry = ledger.charge(question, basis)
            except StaleBasis:
                pass
            else:
                return _complete(house, asked, prepared, entry, deadline)
        _wait(deadline)


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
    stored_plan = {"askable": prepared.askable, "left_out": prepared.left_out}
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
        reused={prepared.digests[position]: found[1] for position, found in priced.reused.items()},
    )


def _request_hash(asked: Asked, plan: Plan) -> str:
    """What a request id is bound to: the plan and the accuracy asked for."""
    return hashlib.sha256(json.dumps([plan.digest, asked.cohorts, asked.nanorho]).encode()).hexdigest()


def _resume(house: House, asked: Asked, entry: Entry, deadline: float) -> Release:
    """Answer under an id that is known: with the cohorts and the epoch stored at its charge, never new ones."""
    if entry.epoch != house.vault.epoch:
        raise AccessRefused(
            "answer_lost",
            "This request was charged on records that have been replaced since.",
            accepted="the question under a new request id",
        )
    stored = json.loads(entry.plan)
    plan = _planned(house, asked.sql, stored["askable"])
    if _request_hash(asked, plan) != entry.request_hash:
        raise AccessRefused(
            "request_id_reused",
            "This request id belongs to another question, or to another accuracy.",
            accepted="a new request id",
        )
    left_out = tuple((cohort, reason) for cohort, reason in stored["left_out"])
    prepared = _prepared(house, plan, entry.population, tuple(stored["askable"]), left_out)
    return _complete(house, asked, prepared, entry, deadline)


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
    _assert_paid(entry, statistics, noises)
    compiled = compile_plan(prepared.plan, house.catalog, statistics)
    exact = backend.run(house.vault.cursor(), compiled, prepared.plan.keys, len(statistics))
    if not house.ledger.start_drawing(entry.id):
        return None
    try:
        noisy = {
            draw.statistic: mechanisms.draw(vector, noise, _limit(house.catalog, statistic))
            for draw, vector, noise, statistic in zip(entry.draws, exact, noises, statistics, strict=True)
        }
        return house.ledger.finish(entry.id, noisy)
    except BaseException:
        house.ledger.lose(entry.id)
        raise


def _limit(catalog: Catalog, statistic: Statistic) -> int:
    """The greatest magnitude a cell can have, from public sizes."""
    return catalog.max_students * statistic.contribution.rows * statistic.bound


def _assert_paid(entry: Entry, statistics: Sequence[Statistic], noises: Sequence[Gaussian]) -> None:
    """Each cohort that is scanned has been charged at least the maps of the statistics that scan it."""
    owed: dict[int, int] = {}
    for statistic, noise in zip(statistics, noises, strict=True):
        for cohort in statistic.cohorts:
            owed[cohort] = owed.get(cohort, 0) + mechanisms.loss_nanorho(noise.scale, noise.d_in)
    paid = {charge.cohort: charge.loss.nanorho for charge in entry.charges}
    if any(paid.get(cohort, 0) < nanorho for cohort, nanorho in owed.items()):
        raise AssertionError


def _release(house: House, asked: Asked, prepared: Prepared, entry: Entry, *, replayed: bool) -> Release:
    plan = prepared.plan
    ids = [entry.measurements[digest] for digest in prepared.digests]
    found = house.ledger.measurements(ids)
    draws = postprocess.Draws(tuple(found[i].values for i in ids), tuple(found[i].scale for i in ids))
    table = postprocess.answer(plan, draws)
    return Release(
        release_id=entry.release_id,
        request_id=entry.request_id,
        sql=asked.sql,
        plan_hash=plan.digest,
        engine_version=VERSION,
        epoch=entry.epoch,
        population=entry.population,
        grant=entry.grant,
        rehearsal=False,
        replayed=replayed,
        columns=_columns(plan, table.reasons),
        rows=table.rows,
        se=table.se,
        moe90=table.moe90,
        moe95=table.moe95,
        partial=table.partial,
        draws=ids,
        charges=[
            CohortCharge(c.cohort, c.loss.nanorho, c.loss.attodelta, epsilon_of(c.loss.nanorho)) for c in entry.charges
        ],
        cohorts_left_out=[CohortLeftOut(*each) for each in prepared.left_out],
        noise=_noise(plan, draws.scales),
        bounds=_bounds(plan),
        notes=_notes(plan, prepared.left_out),
    )


# -- what is told about a plan


def _columns(plan: Plan, reasons: Sequence[str | None]) -> list[ReleaseColumn]:
    return [
        ReleaseColumn(output.name, output.role, output.type, output.unit, reason)
        for output, reason in zip(plan.outputs, reasons, strict=True)
    ]


def _noise(plan: Plan, scales: Sequence[float]) -> list[Noise]:
    return [
        Noise(statistic.label, "discrete_gaussian", scale, math.sqrt(statistic.l2_squared))
        for statistic, scale in zip(plan.statistics, scales, strict=True)
    ]


def _bounds(plan: Plan) -> list[ClampingBounds]:
    return [ClampingBounds(bound.expression, float(bound.low), float(bound.high)) for bound in plan.bounds]


def _notes(plan: Plan, left_out: Sequence[tuple[int, str]]) -> list[str]:
    notes = []
    if plan.statistics:
        notes.append("Margins cover the noise added for privacy, not sampling.")
    else:
        notes.append("No student can be in this answer: it is made of public knowledge and costs nothing.")
    if any(isinstance(output.form, Ratio) for output in plan.outputs):
        notes.append("A ratio is biased by about the square of its divisor's relative standard error.")
    if left_out:
        notes.append("Some cohorts were left out; cells in which they can occur are marked partial.")
    return notes
