"""The transaction that pays for a question: all cohorts and the grant, or nobody.

Runs inside one write transaction of the store; whatever it raises undoes all of it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from budgets.cohorts import Balance, balance_of, short_refusal, standing_refusal
from budgets.entries import Charge, Entry, Question, State, charges_of
from budgets.refusals import AccessRefused, LedgerDamaged, StaleBasis
from budgets.stores import balances, district, releases
from budgets.stores.balances import BalanceRow, Cost, Payer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from budgets.grants import Grant
    from budgets.holders import Holder
    from budgets.policy import Policy
    from budgets.stores.sqlite import Database


class Short(Exception):  # noqa: N818 - a decision inside this package, made into a refusal before it leaves it
    """Some balance does not cover its charge; carries what the refusal is made of."""

    def __init__(self, balances: Mapping[int, Balance], charges: Sequence[Charge]) -> None:
        super().__init__()
        self.balances = balances
        self.charges = charges


def repeated(database: Database, question: Question) -> Entry | None:
    """The entry the same request has already, in whatever state; None if the request is new.

    Raises:
        AccessRefused: the id was used for another question (`request_id_reused`).
    """
    number = releases.find(database, question.grant, question.request_id)
    if number is None:
        return None
    entry = releases.entry(database, number)
    if entry.request_hash != question.request_hash:
        message = f"The request id {question.request_id!r} was used for another question."
        raise AccessRefused("request_id_reused", message, accepted="a new request_id")
    return entry


def check_basis(
    database: Database, holder: Holder, question: Question, basis: Mapping[str, int | None], year: int
) -> None:
    """Make sure that the plan rests on what is so at this moment.

    Raises:
        StaleBasis: it does not.
        ValueError: a statistic is to be drawn of which the basis says nothing, or a reused measurement is not
            one of its statistic.
    """
    drawn = {draw.statistic for draw in question.draws}
    if not drawn <= basis.keys():
        raise ValueError("the basis says of every statistic to be drawn what is measured of it")
    if question.year != year:
        raise StaleBasis(f"the budget year is {year}, not {question.year}")
    current = district.current_epoch(database)
    if current is None or current.id != question.epoch:
        raise StaleBasis("the epoch is not the current one")
    newest = releases.newest(database, list(basis))
    if any(newest.get(statistic) != believed for statistic, believed in basis.items()):
        raise StaleBasis("a statistic was measured since")
    if in_flight(database, holder, drawn):
        raise StaleBasis("a statistic is being measured")
    _check_reused(database, question.reused)


def _check_reused(database: Database, reused: Mapping[str, int]) -> None:
    stored = releases.statistics_of(database, list(reused.values()))
    for statistic, number in reused.items():
        if stored.get(number) != statistic:
            raise ValueError("a reused measurement is one of its statistic")


def in_flight(database: Database, holder: Holder, statistics: Collection[str]) -> frozenset[str]:
    """Those of the statistics that are paid for and not measured yet, by somebody who lives."""
    rows = releases.unfinished(database, statistics)
    alive = {token for token in {token for _, token in rows} if holder.lives(token)}
    return frozenset(statistic for statistic, token in rows if token in alive)


def enter(database: Database, holder: Holder, grant: Grant, policy: Policy, question: Question, at_us: int) -> Entry:
    """Pay for the question and enter it: `charged`, or `measured` if nothing has to be drawn.

    Raises:
        BudgetRefused: a cohort may not be asked about in this year (`cohort_sealed`).
        Short: a cohort, its year, its population's part of it, the grant's allowance or its ceiling cannot pay.
        ValueError: a cohort the ledger does not keep.
        LedgerDamaged: what was written is not what the draws cost.
    """
    charges = charges_of(question.draws, question.year)
    if charges:
        _pay(database, grant, policy, charges)
    release_id = uuid.uuid4().hex
    number = releases.insert(database, question, release_id, at_us)
    releases.add_charges(database, number, charges)
    state = State.CHARGED if charges else State.MEASURED
    releases.begin(database, number, state, holder.token if charges else None)
    return releases.entered(database, number, question, charges, release_id, at_us)


def _pay(database: Database, grant: Grant, policy: Policy, charges: Sequence[Charge]) -> None:
    """The database decides, by conditional updates; the balances read before serve the refusal."""
    payer, year = Payer(grant.id, grant.population), charges[0].year
    rows = {row.cohort: row for row in balances.select(database, payer, year)}
    unknown = [charge.cohort for charge in charges if charge.cohort not in rows]
    if unknown:
        raise ValueError(f"the ledger keeps no cohort {unknown[0]}")
    known = {c.cohort: balance_of(rows[c.cohort], grant, policy, year) for c in charges}
    refusal = standing_refusal({c.cohort: known[c.cohort].standing for c in charges}, year, grant.population)
    if refusal is not None:
        raise refusal
    ceiling = grant.ceiling_nanorho
    too_dear = ceiling is not None and any(charge.loss.nanorho > ceiling for charge in charges)
    costs = [_cost(charge, rows[charge.cohort], known[charge.cohort]) for charge in charges]
    if too_dear or not balances.spend(database, payer, costs):
        raise Short(known, charges)


def _cost(charge: Charge, row: BalanceRow, balance: Balance) -> Cost:
    return Cost(
        charge.cohort,
        charge.year,
        charge.loss.nanorho,
        charge.loss.attodelta,
        balance.year_cap if row.year_cap is None else None,
        balance.population_cap if row.population_cap is None else None,
        balance.allowance_cap if row.allowance_cap is None else None,
    )


def refusal_of(short: Short, grant: Grant) -> Exception:
    """What to tell the asker; a ledger that refuses without a reason is damaged."""
    refusal = short_refusal(short.balances, short.charges, grant)
    return refusal or LedgerDamaged("a balance refused a charge that it covers")
