"""When what was drawn may be seen: at the moments of a grid, since the time that noise takes tells of its size."""

from __future__ import annotations

import time
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def deadline(elapsed_s: float, grid_s: Sequence[float]) -> float:
    """The first moment of a grid that has not passed, in seconds after a beginning; 0 without a grid.

    After the last one every multiple of it is a moment, too.

    >>> grid = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
    >>> deadline(0.04, grid), deadline(0.3, grid), deadline(23.0, grid), deadline(0.3, ())
    (0.05, 0.5, 30.0, 0.0)
    """
    if not grid_s:
        return 0.0
    last = grid_s[-1]
    if elapsed_s > last:
        return last * -(-elapsed_s // last)
    return grid_s[bisect_left(grid_s, elapsed_s)]


def wait(began: float, grid_s: Sequence[float]) -> None:
    """Sleep until the next moment of a grid.

    Args:
        began: the beginning, on the monotonic clock.
        grid_s: moments in seconds after it.
    """
    at = began + deadline(time.monotonic() - began, grid_s)
    while (left := at - time.monotonic()) > 0:
        time.sleep(left)
