"""Several draws of one statistic, combined by inverse variance into what one draw of their whole loss would be.

A sharper repeat draws anew for the loss that is missing, and what was drawn before is used as well. Each draw is
stored as it was; the combination is made of them again for every answer, the same each time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROUNDING_VARIANCE = 0.25
"""The mean of whole numbers is rounded to one: it moves by at most a half."""


def combined_scale(scales: Sequence[float]) -> float:
    """The standard deviation of the noise of a combination.

    >>> combined_scale([3.0]), round(combined_scale([10.0, 10.0]), 3)
    (3.0, 7.089)
    """
    if len(scales) == 1:
        return scales[0]
    return math.sqrt(1 / math.fsum(scale**-2 for scale in scales) + ROUNDING_VARIANCE)


def combined(values: Sequence[NDArray[np.int64]], scales: Sequence[float]) -> NDArray[np.int64]:
    """The combination of noisy integers, rounded to integers.

    Args:
        values: of each draw, shape (groups,).
        scales: of each draw.
    """
    first, rest = values[0], values[1:]
    if not rest:
        return first
    weights = [scale**-2 for scale in scales]
    total = math.fsum(weights)
    moved = np.zeros(len(first))
    for vector, weight in zip(rest, weights[1:], strict=True):
        moved += (vector - first) * (weight / total)  # the exact part is the same in all: a difference of noises
    return first + np.rint(moved).astype(np.int64)
