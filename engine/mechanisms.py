"""The one source of noise: OpenDP's discrete Gaussian on exact integers.

The only module of the engine that imports opendp. A privacy loss is always what OpenDP's own map says of the
measurement that is run; no formula of ours stands in for it. Bounding, clamping and grouping have happened
before: the integers that come in differ between neighbouring databases by at most the given L2 norm.

Source: Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (2020), Theorem 14, for the
mechanism; OpenDP computes the map with exact rationals, rounded up.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import opendp.prelude as dp

from budgets.loss import NANO, charge_nanorho

if TYPE_CHECKING:
    from numpy.typing import NDArray

dp.enable_features("contrib")

THREADS = 2
THREAD_CELLS_MIN = 200
"""Vectors at least this long are split over threads."""

SCALE_MAX = 2.0**55
STEPS_MAX = 60


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A discrete Gaussian chosen for one statistic.

    Attributes:
        scale: standard deviation of the noise, in units of the integer statistic.
        d_in: L2 sensitivity, rounded up.
        nanorho: the zCDP loss by OpenDP's map, in 1e-9, rounded up.
    """

    scale: float
    d_in: float
    nanorho: int


def d_in_of(l2_squared: int) -> float:
    """The L2 sensitivity as a float that is never too small.

    >>> d_in_of(4) > 2.0
    True
    """
    return math.nextafter(math.sqrt(l2_squared), math.inf)


@lru_cache(maxsize=4096)
def _measurement(scale: float) -> Any:
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    return dp.m.make_gaussian(*space, scale=scale)


@lru_cache(maxsize=65_536)
def loss_nanorho(scale: float, d_in: float) -> int:
    """The loss of a discrete Gaussian, in nano-ρ rounded up, as OpenDP's map gives it for exactly these numbers.

    Raises:
        ValueError: a scale or a map that is not finite and positive (OpenDP itself accepts scale 0, which
            would release the exact numbers).
    """
    if not (0 < scale <= SCALE_MAX and 0 < d_in < math.inf):
        raise ValueError
    rho = _measurement(scale).map(d_in)
    if not (math.isfinite(rho) and rho > 0):
        raise ValueError
    return charge_nanorho(rho)


@lru_cache(maxsize=65_536)
def gaussian_for(l2_squared: int, nanorho: int) -> Gaussian | None:
    """The least noise whose loss, by OpenDP's map, is at most `nanorho`; None where none is that cheap."""
    if l2_squared <= 0 or nanorho <= 0:
        raise ValueError
    d_in = d_in_of(l2_squared)
    scale = d_in / math.sqrt(2 * Fraction(nanorho, NANO))
    for _ in range(STEPS_MAX):
        if scale > SCALE_MAX:
            return None
        loss = loss_nanorho(scale, d_in)
        if loss <= nanorho:
            return Gaussian(scale, d_in, loss)
        scale = math.nextafter(scale * (1 + 2.0**-50), math.inf)
    return None


def draw(values: NDArray[np.int64], noise: Gaussian, limit: int) -> NDArray[np.int64]:
    """One draw of the mechanism on a vector of exact integers.

    Args:
        values: shape (cells,), int64; every magnitude at most `limit`.
        noise: the mechanism; its loss is computed again from OpenDP's map before anything is drawn.
        limit: what the public sizes allow a cell to be, below 2**62.

    Returns:
        The noisy integers, shape (cells,).

    Raises:
        ValueError: an input or an output that breaks what was promised.
    """
    if values.dtype != np.int64 or values.ndim != 1 or not 0 <= limit < 2**62:
        raise ValueError
    if values.size and (int(values.min()) < -limit or int(values.max()) > limit):
        raise ValueError
    if loss_nanorho(noise.scale, noise.d_in) > noise.nanorho:
        raise ValueError
    measurement = _measurement(noise.scale)
    if values.size < THREAD_CELLS_MIN:
        drawn = measurement(values) if values.size else []
    else:
        with ThreadPoolExecutor(THREADS) as pool:
            drawn = [cell for part in pool.map(measurement, np.array_split(values, THREADS)) for cell in part]
    if len(drawn) != values.size or not set(map(type, drawn)) <= {int}:
        raise ValueError
    return np.asarray(drawn, dtype=np.int64)
