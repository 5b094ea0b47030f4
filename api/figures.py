"""How numbers, margins and years are written, the same in a terminal and on a page."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FIGURES = 10
"""Two figures of a margin are shown: from ten upwards it needs no decimal place."""

PLACES_MAX = 6


def figure(value: float, margin: float) -> str:
    """As many decimal places as the margin makes meaningful: two figures of it, and none where both are whole.

    >>> figure(1520.0, 37.0), figure(0.31382, 0.01249)
    ('1,520', '0.314')
    """
    if float(value).is_integer() and float(margin).is_integer():
        return f"{value:,.0f}"
    places = 0
    while 0 < margin * 10**places < FIGURES and places < PLACES_MAX:
        places += 1
    return f"{value:,.{places}f}"


def unsure(value: float, *, derived: bool) -> str:
    """A number whose margin is not known; more figures where it was computed on purpose.

    >>> unsure(1234.567, derived=False), unsure(0.123456789, derived=True)
    ('1.2e+03', '0.123457')
    """
    return f"{value:,.{6 if derived else 2}g}"


def years(cohorts: Iterable[int]) -> str:
    """Years in few words.

    >>> years([2020, 2021, 2022, 2025])
    '2020-2022, 2025'
    """
    return ", ".join(_runs(sorted(cohorts)))


def _runs(years: Sequence[int]) -> Iterator[str]:
    for _, group in groupby(enumerate(years), key=lambda pair: pair[1] - pair[0]):
        run = [year for _, year in group]
        yield str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"
