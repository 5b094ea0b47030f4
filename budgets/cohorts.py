"""What a cohort has left, and how to say that it is not enough.

Pure: balances come in, a decision or a refusal goes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from math import isqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

from budgets.loss import ATTO, SHOWN_DELTA, epsilon_below, epsilon_of, nanorho_for
from budgets.policy import FIRST_YEAR, LAST_YEAR, Standing, standing, year_cap_nanorho
from budgets.refusals import BudgetRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from budgets.entries import Charge
    from budgets.grants import Grant
    from budgets.policy import Policy
    from budgets.stores.balances import BalanceRow


@dataclass(frozen=True, slots=True)
class Balance:
    """What one cohort may lose and has lost, under one grant in one budget year; in nano-rho.

    Attributes:
        cohort: graduation year by which the cohort is known.
        year: the budget year.
        standing: what may be asked about the cohort in it.
        lifetime_cap: the most it may lose, ever.
        lifetime_spent: what it has lost, ever.
        year_cap: the most it may lose in the year.
        year_spent: what it has lost in the year.
        allowance_cap: the most the grant may use of the year.
        allowance_spent: what the grant has used of it.
        attodelta_cap: the most δ it may lose, ever, in 1e-18.
        attodelta_spent: the δ it has lost, ever, in 1e-18.
        population_cap: the most the grant's population may use of the year.
        population_spent: what it has used of it.
    """

    cohort: int
    year: int
    standing: Standing
    lifetime_cap: int
    lifetime_spent: int
    year_cap: int
    year_spent: int
    allowance_cap: int
    allowance_spent: int
    attodelta_cap: int
    attodelta_spent: int
    population_cap: int
    population_spent: int

    @property
    def left(self) -> int:
        """What the grant may still use this year, in nano-rho: the least of the four remainders."""
        return min(
            self.lifetime_cap - self.lifetime_spent,
            self.year_cap - self.year_spent,
            self.population_cap - self.population_spent,
            self.allowance_cap - self.allowance_spent,
        )


def balance_of(row: BalanceRow, grant: Grant, policy: Policy, year: int) -> Balance:
    """A stored cohort as a balance; caps of a year nobody paid from yet follow from the lifetime cap."""
    year_cap = row.year_cap
    if year_cap is None:
        year_cap = year_cap_nanorho(row.lifetime_cap, row.cohort, year, unsealed=bool(row.unsealed))
    population_cap = row.population_cap
    if population_cap is None:
        population_cap = policy.population_cap(year_cap, row.cohort, year, grant.population)
    allowance_cap = row.allowance_cap
    if allowance_cap is None:
        allowance_cap = grant.allowance_nanorho(year_cap)
    return Balance(
        cohort=row.cohort,
        year=year,
        standing=standing(row.cohort, year, unsealed=bool(row.unsealed)),
        lifetime_cap=row.lifetime_cap,
        lifetime_spent=row.lifetime_spent,
        year_cap=year_cap,
        year_spent=row.year_spent,
        allowance_cap=allowance_cap,
        allowance_spent=row.allowance_spent,
        attodelta_cap=row.attodelta_cap,
        attodelta_spent=row.attodelta_spent,
        population_cap=population_cap,
        population_spent=row.population_spent,
    )


MARGIN_TENTHS_MAX = 10_000
"""A margin a thousand times as wide is no advice."""


class Shortage(NamedTuple):
    """The budget of one cohort that does not cover its charge.

    Attributes:
        cohort: whose it is.
        kind: which budget.
        asked: in nano-rho, or in atto-δ for `delta`.
        left: of it, in the same unit.
        cap: of it, in the same unit.
    """

    cohort: int
    kind: Literal["lifetime", "delta", "year", "population", "allowance", "ceiling"]
    asked: int
    left: int
    cap: int


def shortage(balance: Balance, charge: Charge, ceiling: int | None) -> Shortage | None:
    """The first budget that does not cover the charge, the longest-lived first; None if all do."""
    b, rho, delta = balance, charge.loss.nanorho, charge.loss.attodelta
    if rho > b.lifetime_cap - b.lifetime_spent:
        return Shortage(b.cohort, "lifetime", rho, b.lifetime_cap - b.lifetime_spent, b.lifetime_cap)
    if delta > b.attodelta_cap - b.attodelta_spent:
        return Shortage(b.cohort, "delta", delta, b.attodelta_cap - b.attodelta_spent, b.attodelta_cap)
    if rho > b.year_cap - b.year_spent:
        return Shortage(b.cohort, "year", rho, b.year_cap - b.year_spent, b.year_cap)
    if rho > b.population_cap - b.population_spent:
        return Shortage(b.cohort, "population", rho, b.population_cap - b.population_spent, b.population_cap)
    if rho > b.allowance_cap - b.allowance_spent:
        return Shortage(b.cohort, "allowance", rho, b.allowance_cap - b.allowance_spent, b.allowance_cap)
    if ceiling is not None and rho > ceiling:
        return Shortage(b.cohort, "ceiling", rho, ceiling, ceiling)
    return None


ORDER = ("lifetime", "delta", "year", "population", "allowance", "ceiling")


def short_refusal(balances: Mapping[int, Balance], charges: Sequence[Charge], grant: Grant) -> BudgetRefused | None:
    """The refusal of a question that some of its cohorts cannot pay; None if all of them can.

    It names those of the longest-lived budget that falls short, and as `accepted` the cohorts that can pay.
    """
    ceiling = grant.ceiling_nanorho
    found = [short for c in charges if (short := shortage(balances[c.cohort], c, ceiling)) is not None]
    if not found:
        return None
    worst = min(found, key=lambda short: ORDER.index(short.kind)).kind
    named = [short for short in found if short.kind == worst]
    broke = {short.cohort for short in found}
    message = _short_message(named, charges[0].year, grant)
    others = cohorts_text(c.cohort for c in charges if c.cohort not in broke)
    accepted = others or _smaller(balances, charges, ceiling)
    return BudgetRefused("budget_lifetime" if worst in ORDER[:2] else "budget_year", message, accepted=accepted)


def _short_message(named: Sequence[Shortage], year: int, grant: Grant) -> str:
    least = min(named, key=lambda short: (short.left, short.cohort))
    budget = {
        "lifetime": "its lifetime budget",
        "delta": "its lifetime budget for thresholds",
        "year": f"its budget of the year {year}",
        "population": f"what {grant.population} statistics may use of its budget of the year {year}",
        "allowance": f"what the grant {grant.id!r} may use of its budget of the year {year}",
        "ceiling": f"what one question under the grant {grant.id!r} may cost",
    }[least.kind]
    return (
        f"{_cohorts(short.cohort for short in named)} cannot pay for this question. For cohort {least.cohort} "
        f"it takes {_share(least.asked, least.cap)} of {budget} ({_loss(least.asked, least)}); "
        f"{_share(least.left, least.cap)} of it is left ({_loss(least.left, least)})."
    )


def _smaller(balances: Mapping[int, Balance], charges: Sequence[Charge], ceiling: int | None) -> str:
    """What is accepted where no cohort can pay: less, of each of their budgets."""
    asked = [(balances[charge.cohort], charge.loss) for charge in charges]
    lefts = {b.cohort: b.left if ceiling is None else min(b.left, ceiling) for b, _ in asked}
    epsilon = epsilon_below(max(0, min(lefts.values())))
    of_delta = any(loss.attodelta > b.attodelta_cap - b.attodelta_spent for b, loss in asked)
    if of_delta or epsilon == 0 or nanorho_for(epsilon) == 0:
        return "a question about other cohorts, or in another budget year"
    # The law of Gaussian noise: noise of scale σ costs in proportion to 1/σ², and a margin is a multiple of σ, so
    # that N times the margin costs 1/N². The margin of a ratio may grow faster than σ: there it takes more.
    tenths = max(isqrt(100 * loss.nanorho // lefts[balance.cohort]) + 1 for balance, loss in asked)
    wider = f", or margins at least {tenths / 10:g} times as wide" if tenths < MARGIN_TENTHS_MAX else ""
    return f"a smaller epsilon: at most {epsilon:g} at δ {SHOWN_DELTA:g}{wider}"


def _share(amount: int, cap: int) -> str:
    """A part of a cap; an amount too large to be told apart from others is not spelled out."""
    if amount > 100 * cap:
        return "more than a hundred times all"
    return f"{100 * amount / cap:,.1f} %" if cap else "0 %"


def _loss(amount: int, of: Shortage) -> str:
    if of.kind == "delta":
        return f"δ {amount / ATTO:.3g}"
    return f"ε {epsilon_of(amount):.3g} at δ {SHOWN_DELTA:g}"


def standing_refusal(standings: Mapping[int, Standing], year: int, population: str) -> BudgetRefused | None:
    """The refusal of a question about cohorts that may not be asked about in `year`; None if all may.

    The code is `cohort_sealed`, also for those whose first year has not come and for those of which only
    mandated statistics are drawn any more.
    """
    barred = [cohort for cohort, found in standings.items() if not found.allows(population)]
    if not barred:
        return None
    reasons = " ".join(_barred(cohort, standings[cohort], year) for cohort in barred)
    accepted = cohorts_text(cohort for cohort in standings if cohort not in set(barred))
    return BudgetRefused("cohort_sealed", reasons, accepted=accepted)


def _barred(cohort: int, found: Standing, year: int) -> str:
    match found:
        case Standing.NOT_YET:
            return f"Cohort {cohort} opens with the budget year {cohort + FIRST_YEAR}."
        case Standing.MANDATED_ONLY:
            return f"Of cohort {cohort} only mandated statistics are drawn in the budget year {year}."
        case _:
            return f"Cohort {cohort} was sealed at the end of the budget year {cohort + LAST_YEAR}."


FOLDED_MIN = 4
"""Fewer years in a row are written out."""


def cohorts_text(cohorts: Iterable[int]) -> str | None:
    """The cohorts as they are written in a request; None for none.

    >>> cohorts_text([2030, 2031])
    'cohorts=[2030, 2031]'
    """
    listed = list(cohorts)
    return f"cohorts={listed}" if listed else None


def years_text(years: Iterable[int]) -> str:
    """Years in few words: four in a row and more are folded.

    >>> years_text([2018, 2020, 2021, 2022, 2023, 2025])
    '2018, 2020-2023, 2025'
    """
    return ", ".join(_folded(years))


def _folded(years: Iterable[int]) -> list[str]:
    parts: list[str] = []
    for _, group in groupby(enumerate(sorted(years)), key=lambda pair: pair[1] - pair[0]):
        run = [year for _, year in group]
        parts += [f"{run[0]}-{run[-1]}"] if len(run) >= FOLDED_MIN else map(str, run)
    return parts


def _cohorts(cohorts: Iterable[int]) -> str:
    listed = list(cohorts)
    *most, last = _folded(listed)
    named = f"{', '.join(most)} and {last}" if most else last
    return f"Cohorts {named}" if len(listed) > 1 else f"Cohort {named}"
