"""The statistics of a whole question, each measured once, and how its loss is shared among them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.statistic import Statistic


class Collected:
    """What a question measures, in the order it is asked for.

    Attributes:
        statistics: what is measured.
        touched: every cohort the question touches, asked or not.
        sums: of each sum with a count that undoes its centring |centre| in units of its half width h.
        explicit: the counts that are asked for themselves.
    """

    def __init__(self) -> None:
        self.statistics: list[Statistic] = []
        self.touched: set[int] = set()
        self.sums: dict[tuple[int, int], Fraction] = {}
        self.explicit: set[int] = set()
        self._places: dict[str, int] = {}

    def add(self, statistic: Statistic) -> int:
        """The position of a statistic, new or known."""
        place = self._places.setdefault(statistic.shape, len(self.statistics))
        if place == len(self.statistics):
            self.statistics.append(statistic)
        return place

    def weights(self) -> tuple[Fraction, ...]:
        """Equal shares, but for a count that only serves to undo a sum's centring.

        Such a count and its sum share |c| : h, which gives the sum the noise it would have had uncentred. A count and
        the only one that is measured beside it are together one: two exclusive parts of the same rows.
        """
        weights = [Fraction(1)] * len(self.statistics)
        implicit: dict[int, Fraction] = {}
        for (total, count), ratio in self.sums.items():
            if count not in self.explicit:
                weights[total] = 2 / (1 + ratio)
                implicit[count] = max(implicit.get(count, Fraction(0)), 2 - weights[total])
        for one, other in self._halves():
            weights[one] = weights[other] = Fraction(1, 2)
        return tuple(implicit.get(position, weight) for position, weight in enumerate(weights))

    def _halves(self) -> list[tuple[int, int]]:
        """Counts with the only statistic that is measured beside them, where there are others to share with."""
        if len(self.statistics) <= 2:  # noqa: PLR2004 - the two share equally
            return []
        found = []
        for position in self.explicit:
            rows = self.statistics[position]
            beside = [
                other
                for other, each in enumerate(self.statistics)
                if each.centred is not None
                and each.bound == each.parts
                and each.centred.multiplier == 2  # noqa: PLR2004 - 0 or 1, centred to ±1
                and (each.conditions, each.relation, each.keys_digest)
                == (rows.conditions, rows.relation, rows.keys_digest)
            ]
            if len(beside) == 1 and position not in {count for _, count in self.sums if count not in self.explicit}:
                found.append((position, beside[0]))
        return found
