"""The discrete Gaussian's exact probabilities, and the chi-square test against them: numerics of our own.

P(k) is proportional to exp(−k²/2σ²) on the integers (Canonne, Kamath, Steinke 2020, Definition 1). Terms are
added by `math.fsum`, so each probability is right to a few parts in 10^16; what lies beyond 12 σ is below 1e-31.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

TAILS = 12
HALF_BINS = 10


@dataclass(frozen=True)
class Binned:
    """The integers cut into an odd number of bins, symmetric about 0.

    Attributes:
        edges: half-integers, rising.
        shares: exact probability of each bin, one more than edges.
    """

    edges: np.ndarray
    shares: np.ndarray

    @property
    def freedom(self) -> int:
        return len(self.shares) - 1

    def counts(self, drawn):
        return np.bincount(np.digitize(drawn, self.edges), minlength=len(self.shares))

    def chi_square(self, drawn) -> float:
        expected = drawn.size * self.shares
        return float(((self.counts(drawn) - expected) ** 2 / expected).sum())


def edges_of(scale: float) -> np.ndarray:
    """About equally likely bins; of a scale that knows few integers, each integer up to 3 σ."""
    quantile = NormalDist(0, scale).inv_cdf
    bins = 2 * HALF_BINS + 1
    half = {math.floor(quantile(0.5 + (2 * j - 1) / (2 * bins))) + 0.5 for j in range(1, HALF_BINS + 1)}
    if scale < HALF_BINS / 3:
        half = {k + 0.5 for k in range(math.ceil(3 * scale))}
    return np.array(sorted(half | {-edge for edge in half}))


def binned(edges: np.ndarray, scale: float) -> Binned:
    """The probabilities of bins at a scale."""
    integers = range(-math.ceil(TAILS * scale), math.ceil(TAILS * scale) + 1)
    parts: list[list[float]] = [[] for _ in range(len(edges) + 1)]
    for k, place in zip(integers, np.digitize(np.array(integers), edges), strict=True):
        parts[place].append(math.exp(-k * k / (2 * scale * scale)))
    sums = [math.fsum(part) for part in parts]
    return Binned(edges, np.array(sums) / math.fsum(sums))


def variance_of(scale: float) -> float:
    """The exact variance; below σ² where σ is small."""
    integers = range(-math.ceil(TAILS * scale), math.ceil(TAILS * scale) + 1)
    weights = [math.exp(-k * k / (2 * scale * scale)) for k in integers]
    return math.fsum(k * k * w for k, w in zip(integers, weights, strict=True)) / math.fsum(weights)


def chi_square_tail(x: float, freedom: int) -> float:
    """P(χ² ≥ x), exact for an even number of degrees of freedom: a Poisson sum."""
    if freedom % 2:
        raise ValueError
    half = x / 2
    return math.fsum(math.exp(i * math.log(half) - half - math.lgamma(i + 1)) for i in range(freedom // 2))


def chi_square_limit(freedom: int, tail: float) -> float:
    """The value that χ² exceeds with this probability."""
    low, high = 1e-9, 1e4
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if chi_square_tail(middle, freedom) > tail else (low, middle)
    return high
