"""What a class can still be asked this year, and when it would run dry. Pure functions of balances and charges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median_low
from typing import TYPE_CHECKING

from budgets.policy import JULY, default_share_nanorho

if TYPE_CHECKING:
    from collections.abc import Sequence

    from budgets.cohorts import Balance


@dataclass(frozen=True, slots=True)
class Outlook:
    """How far a cohort's budget year will reach.

    Attributes:
        questions: that paid from it so far.
        median_nanorho: what the median one of them cost; the default share if there is none yet.
        more: how many such questions the grant can still ask of the cohort this year.
        dry: the day on which the year would be used up at the pace so far; None if it lasts.
    """

    questions: int
    median_nanorho: int
    more: int
    dry: date | None


def outlook(balance: Balance, costs: Sequence[int], today: date) -> Outlook:
    """The outlook of a cohort.

    Args:
        balance: of the cohort, in the budget year of `today`.
        costs: what each question of the year cost it, in nano-rho.
        today: by the district's calendar.
    """
    usual = median_low(costs) if costs else default_share_nanorho([balance.year_cap])
    more = max(0, balance.left) // usual if usual else 0
    return Outlook(len(costs), usual, more, _dry(balance, today))


def _dry(balance: Balance, today: date) -> date | None:
    """At the pace since 1 July; what the first day used is the pace of one day."""
    first, last = date(balance.year - 1, JULY, 1), date(balance.year, JULY - 1, 30)
    if not balance.year_spent:
        return None
    elapsed = max(1, (today - first).days + 1)
    days = elapsed * (balance.year_cap - balance.year_spent) // balance.year_spent
    end = today + timedelta(days=min(days, 366))
    return end if end < last else None
