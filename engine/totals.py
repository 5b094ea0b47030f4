"""Totals over groups of the answer: which groups agree in some keys, and what the noise does to their sums.

Groups and keys are public, and the draws of different groups are independent: a sum over k groups has k times the
variance of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from engine import margins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from engine.forms import Linear
    from engine.keysets import KeyList

    Vector = NDArray[np.float64]

Keys = tuple[int, ...] | None
"""Positions of the keys in which groups agree; None for one group alone."""


@dataclass(frozen=True, slots=True)
class Partitions:
    """The groups of an answer, put together by some of their keys."""

    groups: KeyList
    found: dict[Keys, NDArray[np.int64]] = field(default_factory=dict)

    def numbers(self, keys: Keys) -> NDArray[np.int64]:
        """For each group the number of the partition it is in, shape (groups,)."""
        if keys not in self.found:
            places: dict[tuple[object, ...], int] = {}
            rows = self.groups.rows
            each = range(len(rows)) if keys is None else (
                places.setdefault(tuple(row[key] for key in keys), len(places)) for row in rows
            )  # fmt: skip
            self.found[keys] = np.fromiter(each, dtype=np.int64, count=len(rows))
        return self.found[keys]

    def sizes(self, keys: Keys) -> Vector:
        """For each group how many groups are in its partition, shape (groups,)."""
        numbers = self.numbers(keys)
        found: Vector = np.bincount(numbers)[numbers].astype(np.float64)
        return found

    def sums(self, values: Sequence[float], keys: Keys) -> list[float]:
        """For each group the sum over its partition; whole numbers are added up exactly."""
        numbers = self.numbers(keys).tolist()
        added: dict[int, float] = {}
        for number, value in zip(numbers, values, strict=True):
            added[number] = added.get(number, 0) + value
        return [added[number] for number in numbers]

    def variance(self, slopes: Mapping[tuple[int, Keys], Vector], scales: Sequence[float]) -> Vector:
        """The variance of numbers with these derivatives by the total of a statistic's noise over a partition.

        Two totals of one statistic have the variance of one draw in common for each group that is in both:
        Var = Σ_j σ_j² Σ_P Σ_Q s_jP s_jQ |P ∩ Q|.

        Args:
            slopes: derivatives by (statistic, keys of the partitions), each of shape (groups,).
            scales: standard deviation of each statistic's noise.
        """
        found: Vector = np.zeros(len(self.groups.rows))
        for (one, keys), slope in slopes.items():
            for (other, others), another in slopes.items():
                if one == other:
                    both = None if keys is None or others is None else tuple(sorted({*keys, *others}))
                    common = 1.0 if both is None else self.sizes(both)
                    found = found + slope * another * common * scales[one] ** 2
        return np.maximum(found, 0.0)


def errors(of: Linear, scales: Sequence[float], sizes: Vector) -> tuple[Vector, Vector, Vector]:
    """Standard errors and 90 % and 95 % margins of sums of a linear form over so many groups, shape (groups,)."""
    counts, places = np.unique(sizes.astype(np.int64), return_inverse=True)
    each = counts.tolist()
    se = np.array([(count * margins.variance(of, scales)) ** 0.5 for count in each])
    moe90, moe95 = (np.array([margins.margin(of, scales, level, count) for count in each]) for level in (0.9, 0.95))
    return se[places], moe90[places], moe95[places]
