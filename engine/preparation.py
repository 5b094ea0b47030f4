"""A question before it is charged: which cohorts it is asked of, what is measured, what it will cost.

Functions of question, catalog and ledger, never of records. What is told about a plan on every face stands
here too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from budgets.cohorts import cohorts_text, years_text
from budgets.grants import check_scope
from budgets.loss import epsilon_of
from budgets.policy import Standing, default_share_nanorho
from engine import accuracy
from engine.compile import reads
from engine.forms import Key, Ratio
from engine.parse import parse
from engine.planning import make_plan
from engine.refusals import BudgetRefused, QueryRefused
from engine.release import ClampingBounds, Noise, ReleaseColumn
from engine.source import Source
from engine.statistic import NO_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from budgets.grants import Grant
    from budgets.ledger import Balance, Measurement
    from budgets.policy import Population
    from engine.accuracy import Priced
    from engine.catalog import Catalog
    from engine.compile import Compiled
    from engine.plan import Plan
    from engine.request import Asked
    from engine.statistic import Limits

LEFT_OUT_REASONS = {
    Standing.SEALED: "sealed: its last budget year is over",
    Standing.NOT_YET: "not open yet: its first budget year has not begun",
    Standing.MANDATED_ONLY: "open for mandated statistics only",
}


@dataclass(frozen=True, slots=True)
class Books:
    """What a question needs of catalog and ledger.

    Attributes:
        catalog: the copy the vault was verified against.
        epoch: the records' epoch.
        grant: under which it is asked.
        balances: of every cohort.
    """

    catalog: Catalog
    epoch: str
    grant: Grant
    balances: Mapping[int, Balance]

    @property
    def population(self) -> Population:
        """Whose records are counted."""
        return self.grant.population

    def left(self, cohort: int) -> int:
        """The most a question may cost a cohort now, in nano-ρ."""
        left, ceiling = self.balances[cohort].left, self.grant.ceiling_nanorho
        return left if ceiling is None else min(left, ceiling)

    def barred(self, cohort: int) -> str | None:
        """Why a cohort cannot be asked about in this budget year; None if it can."""
        standing = self.balances[cohort].standing
        if not standing.allows(self.population):
            return LEFT_OUT_REASONS[standing]
        return None if self.grant.allows_cohort(cohort) else f"not in the grant {self.grant.id!r}"


Statements = tuple[tuple[tuple[int, ...], "Compiled"], ...]
"""Statements, each with the positions of the statistics it computes."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question understood, before anything is charged.

    Attributes:
        askable: the cohorts that could be asked when it was planned.
        left_out: touched cohorts it is not asked of, and why.
        digests: by which the ledger knows the plan's statistics.
        reads: the private tables it reads, each with its columns; nothing for what was charged already.
        compiled: the statements written before the charge, with the digests of what they measure.
    """

    plan: Plan
    population: Population
    askable: tuple[int, ...]
    left_out: tuple[tuple[int, str], ...]
    digests: tuple[str, ...]
    reads: Mapping[str, frozenset[str]]
    compiled: tuple[tuple[str, ...], Statements] | None = None


def prepare(asked: Asked, books: Books) -> Prepared:
    """The plan of a question for the cohorts that are open to it now.

    Raises:
        QueryRefused: the question cannot be answered as written, or names unknown cohorts.
        BudgetRefused: none of its cohorts can be asked, or a named one cannot (`cohort_sealed`).
        AccessRefused: the grant does not cover what it reads (`grant_scope`).
    """
    reasons = _reasons(asked, books)
    askable = tuple(cohort for cohort in books.catalog.cohorts if cohort not in reasons)
    plan = planned(books.catalog, asked.sql, askable, asked.limits)
    read = reads(books.catalog, plan.statistics)
    check_scope(books.grant, read, plan.cohorts)
    if plan.touched and not plan.cohorts:
        raise BudgetRefused(
            "cohort_sealed",
            f"No class that this question touches ({years(plan.touched)}) can be asked: {reasons[plan.touched[-1]]}.",
            accepted="a question about other classes",
        )
    left_out = tuple((cohort, reasons[cohort]) for cohort in plan.left_out)
    names = digests(plan, books.epoch, books.population)
    return Prepared(plan, books.population, askable, left_out, names, read)


def planned(catalog: Catalog, sql: str, askable: Sequence[int], limits: Limits = NO_LIMITS) -> Plan:
    """The plan of a text, asked of some cohorts and of no more of a student than is named."""
    return make_plan(Source(sql), parse(sql, catalog), catalog, frozenset(askable), limits)


def digests(plan: Plan, epoch: str, population: str) -> tuple[str, ...]:
    """The names of a plan's statistics in the ledger."""
    return tuple(statistic.digest(epoch, population) for statistic in plan.statistics)


def _reasons(asked: Asked, books: Books) -> dict[int, str]:
    """The cohorts that are not asked, and why; a request that names cohorts must name known, open ones."""
    listed = books.catalog.cohorts
    if asked.cohorts is not None:
        unknown = [cohort for cohort in asked.cohorts if cohort not in listed]
        if unknown:
            raise QueryRefused(
                "unknown_name", f"There is no class {years(unknown)}.", accepted=f"cohorts={years(listed)}"
            )
        check_scope(books.grant, {}, asked.cohorts)
        closed = [cohort for cohort in asked.cohorts if books.barred(cohort)]
        if closed:
            left = [cohort for cohort in listed if not books.barred(cohort)]
            raise BudgetRefused(
                "cohort_sealed",
                f"{years(closed)} cannot be asked: {books.barred(closed[0])}.",
                accepted=f"cohorts={years(left)}",
            )
    found = {}
    for cohort in listed:
        unnamed = asked.cohorts is not None and cohort not in asked.cohorts
        reason = "not named in the request" if unnamed else books.barred(cohort)
        if reason is not None:
            found[cohort] = reason
    return found


def years(cohorts: Sequence[int]) -> str:
    """Cohorts as a request names them."""
    return ",".join(map(str, cohorts))


def price(asked: Asked, prepared: Prepared, books: Books, stored: Mapping[str, tuple[Measurement, ...]]) -> Priced:
    """What the question draws and what it takes from stored measurements.

    Without an accuracy it may spend the default share: the same part of the year for every question, so that a
    class lasts the year; and no more than its grant allows for one question.
    """
    plan = prepared.plan
    moe = accuracy.resolved(plan, asked.moe)
    if not plan.statistics:
        return accuracy.Priced((), {})
    known = {
        position: accuracy.Stored(
            sum(each.loss.nanorho for each in stored[digest]),
            stored[digest][-1].id,
            tuple(each.scale for each in stored[digest]),
        )
        for position, digest in enumerate(prepared.digests)
        if digest in stored
    }
    if asked.moe:
        return accuracy.price_margins(plan, accuracy.targets(plan, moe, asked.moe_at_n), known)
    nanorho = asked.nanorho
    if nanorho is None:
        shares = {cohort: default_share_nanorho([books.balances[cohort].year_cap]) for cohort in plan.cohorts}
        if not all(shares.values()):
            raise _penniless(shares)
        nanorho = min(shares.values())
        ceiling = books.grant.ceiling_nanorho
        nanorho = nanorho if ceiling is None else min(nanorho, ceiling)
    return accuracy.price(plan, nanorho, known)


def _penniless(shares: Mapping[int, int]) -> BudgetRefused:
    """The refusal where some classes have no budget year to share out, as after their lifetime was set to 0."""
    without = [cohort for cohort, share in shares.items() if not share]
    return BudgetRefused(
        "budget_year",
        f"Of classes {years_text(without)} no question can be asked this year: their budget is too small.",
        accepted=cohorts_text(cohort for cohort, share in shares.items() if share)
        or "a question about other classes",
    )


def charges(plan: Plan, priced: Priced) -> dict[int, int]:
    """What each cohort pays, in nano-ρ: all of the loss of every statistic that scans it."""
    paid: dict[int, int] = {}
    for position, noise in priced.drawn:
        for cohort in plan.statistics[position].cohorts:
            paid[cohort] = paid.get(cohort, 0) + noise.nanorho
    return dict(sorted(paid.items()))


# -- what is told about a plan


def columns(plan: Plan, reasons: Sequence[str | None]) -> list[ReleaseColumn]:
    """The answer's columns."""
    return [
        ReleaseColumn(output.name, output.role, output.type, output.unit, reason)
        for output, reason in zip(plan.outputs, reasons, strict=True)
    ]


def noise(plan: Plan, scales: Sequence[float], together: Sequence[bool]) -> list[Noise]:
    """The noise of each statistic, given its standard deviation and whether several draws are combined in it."""
    return [
        Noise(
            statistic.label,
            "mean_of_discrete_gaussians" if several else "discrete_gaussian",
            scale,
            math.sqrt(statistic.l2_squared),
        )
        for statistic, scale, several in zip(plan.statistics, scales, together, strict=True)
    ]


def bounds(plan: Plan) -> list[ClampingBounds]:
    """The bounds of each summed argument."""
    return [ClampingBounds(bound.expression, float(bound.low), float(bound.high)) for bound in plan.bounds]


def notes(plan: Plan, left_out: Sequence[tuple[int, str]], population: Population) -> list[str]:
    """What must be said beside the answer."""
    found = []
    if plan.statistics:
        found.append("Margins cover the noise added for privacy, not sampling.")
        if population == "mandated":
            found.append("Mandated statistics count every student, also those who opted out of research.")
    else:
        found.append("No student can be in this answer: it is made of public knowledge and costs nothing.")
    found += limit_notes(plan)
    if any(isinstance(output.form, Ratio) for output in plan.outputs):
        found.append("A ratio is biased by about the square of its divisor's relative standard error.")
    if _chosen_by_noise(plan):
        found.append(
            "Noise had a part in which rows are shown: one that is shown for a high or low estimate is likely to be "
            "less extreme than it looks, and its margin does not cover that."
        )
    if plan.made is not None and plan.made.weighed:
        found.append(
            "An average, a count, the least and the greatest of groups are over every group there can be, those "
            "without a student too: which groups have students is not told."
        )
    if left_out:
        found.append("Some cohorts were left out; cells in which they can occur are marked partial.")
    return found


def limit_notes(plan: Plan) -> list[str]:
    """What a limit on a student's rows or groups does, which no margin covers."""
    limits = [statistic.limited for statistic in plan.statistics if statistic.limited is not None]
    rows = max((limit.rows for limit in limits if limit.rows is not None), default=None)
    groups = max((limit.groups for limit in limits if limit.groups is not None), default=None)
    return [
        f"A student with more than {most} {what} counts in proportion, as if with {most}: counts and sums are "
        "smaller by what that cuts off, which is no noise and in no margin; averages weigh such students less."
        for most, what in ((rows, "rows"), (groups, "groups"))
        if most is not None
    ]


def rehearsal_notes(charged: Mapping[int, int]) -> list[str]:
    """What must be said beside a rehearsal.

    Args:
        charged: cohort → nano-ρ that the question would take, were nothing measured yet.
    """
    cost = "nothing"
    if charged:
        most = f"at most ε {epsilon_of(max(charged.values())):.3g} (δ 5e-8) to each class of {years_text(charged)}"
        cost = f"{most}, less for what has been measured already"
    return [
        "A rehearsal: its records are invented from the catalog alone, and no number in it is about a student.",
        f"As a real question this would cost {cost}.",
    ]


def _chosen_by_noise(plan: Plan) -> bool:
    """Whether HAVING, QUALIFY or LIMIT by an estimate may leave out a row."""
    if plan.made is not None:
        return plan.made.chosen
    by_estimate = any(not isinstance(term.form, Key) for term in plan.order)
    return by_estimate and (plan.limit is not None or plan.offset > 0)
