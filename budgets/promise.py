"""The sentences an officer signs: computed from the caps, rounded up, never typed."""

from __future__ import annotations

import math
from statistics import NormalDist

from budgets.loss import NANO, odds
from budgets.policy import DEFAULT_SHARE, default_share_nanorho

Z90 = NormalDist().inv_cdf(0.95)
"""Standard deviations that hold 90 % of a normal law."""

SUBSTITUTION = 4
"""A yes/no fact about a child known to be there changes records for others: one removed and one added, 4 ρ."""


def times(nanorho: int) -> str:
    """The odds of a loss in words that do not pretend to precision.

    >>> times(255_203_395), times(10**12)
    ('55 times', 'more than a million times')
    """
    found = odds(nanorho)
    return "more than a million times" if found > 1e6 else f"{found:,g} times"  # noqa: PLR2004 - the number said


def promise(lifetime_nanorho: int, year_nanorho: int) -> tuple[str, ...]:
    """What holds for every child of a class with these caps.

    Args:
        lifetime_nanorho: the cap of its lifetime.
        year_nanorho: the greatest cap of one of its years.

    >>> promise(255_203_395, 15_312_203)[2]
    'What is true of a class in general can be learnt either way.'
    """
    whatever = (
        "Whatever is looked for in all answers until the class is sealed, it is at most "
        f"{times(lifetime_nanorho)} as likely with your child's records as without, or without as with, plus at most "
        f"one chance in ten million; for the answers of one year alone, {times(year_nanorho)}, plus the same."
    )
    facts = times(SUBSTITUTION * lifetime_nanorho)
    known = f"A yes or no about a child who is known to be in the records: at most {facts}, plus the same."
    return whatever, known, "What is true of a class in general can be learnt either way."


def bought(year_nanorho: int) -> str:
    """What a year of a class buys.

    >>> bought(15_312_203)
    'A year buys about 60 questions of one count, each good to ± 73 students (90 %).'
    """
    share = default_share_nanorho([year_nanorho])
    if share == 0:
        return "A year buys no question."
    questions = DEFAULT_SHARE.denominator // DEFAULT_SHARE.numerator
    good_to = math.ceil(Z90 / math.sqrt(2 * share / NANO))
    return f"A year buys about {questions} questions of one count, each good to ± {good_to} students (90 %)."
