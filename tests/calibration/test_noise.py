"""The noise that is drawn is the discrete Gaussian that was paid for, cell by cell and independent.

OpenDP takes no seed, so sizes are fixed and error rates stated. A right implementation fails one comparison
with a chance below 1e-7 (normal and chi-square quantiles below), and there are about 60 of them: below 1e-5 for
the whole file. Each test also shows that it would have failed: at a scale 30 % off in `make check`, 10 % off in
`make prove`, with a chance above 1 − 1e-6 that it computes.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from engine.mechanisms import THREAD_CELLS_MIN, THREADS, Gaussian, d_in_of, draw, loss_nanorho
from tests.calibration.discrete import binned, chi_square_limit, chi_square_tail, edges_of, variance_of
from tests.seeds import PROVE

pytestmark = pytest.mark.statistical

FALSE_ALARM = 1e-7
Z = -NormalDist().inv_cdf(FALSE_ALARM / 2)
WINDOW = 0.05
OFF = 0.1 if PROVE else 0.3
SHORT, LONG = 16, THREAD_CELLS_MIN
VECTORS = {SHORT: 20_000 if PROVE else 2_000, LONG: 20_000 if PROVE else 200}
SCALES = (0.8, 10.0, 300.0)
LAGS = (1, 2, 7)
WRONG_CELLS = 32_000 if PROVE else 8_000


def noise_of(scale):
    """A mechanism of this scale, for a sensitivity of 1."""
    return Gaussian(scale, d_in_of(1), loss_nanorho(scale, d_in_of(1)))


def drawn_vectors(scale, cells, vectors):
    """Noise alone, shape (vectors, cells), through the one function that draws."""
    zeros, noise = np.zeros(cells, dtype=np.int64), noise_of(scale)
    return np.array([draw(zeros, noise, 0) for _ in range(vectors)])


class Claim:
    """What noise of a scale must look like."""

    def __init__(self, scale):
        self.scale, self.variance = scale, variance_of(scale)
        self.bins = binned(edges_of(scale), scale)
        self.limit = chi_square_limit(self.bins.freedom, FALSE_ALARM)

    def variance_ratio(self, noise):
        return float((noise.astype(float) ** 2).mean() / self.variance)

    def has_variance(self, noise):
        return abs(self.variance_ratio(noise) - 1) < WINDOW

    def has_shape(self, noise):
        return self.bins.chi_square(noise.ravel()) < self.limit

    def power(self, scale, size):
        """The chances that the two tests see a noise of another scale, by the normal approximation."""
        ratio = variance_of(scale) / self.variance
        spread = ratio * math.sqrt(2 / size)
        inside = NormalDist(ratio, spread).cdf(1 + WINDOW) - NormalDist(ratio, spread).cdf(1 - WINDOW)
        shares = binned(self.bins.edges, scale).shares
        excess = size * float(((shares - self.bins.shares) ** 2 / self.bins.shares).sum())
        free = self.bins.freedom
        below = NormalDist(free + excess, math.sqrt(2 * (free + 2 * excess))).cdf(self.limit)
        return 1 - inside, 1 - below


@pytest.fixture(
    scope="module", params=[(s, c) for s in SCALES for c in (SHORT, LONG)], ids=lambda p: f"{p[0]}-{p[1]}"
)
def case(request):
    """A claim and noise that was drawn under it."""
    scale, cells = request.param
    return Claim(scale), drawn_vectors(scale, cells, VECTORS[cells])


def test_the_exact_probabilities_are_what_they_are_elsewhere():
    """The chi-square tail and the pmf agree with values known in closed form."""
    assert chi_square_tail(45.314746618125855, 20) == pytest.approx(0.001, rel=1e-9)
    assert chi_square_tail(2 * math.log(1e6), 2) == pytest.approx(1e-6, rel=1e-12)
    theta = 1 + 2 * sum(math.exp(-(k * k) / 2) for k in range(1, 40))
    assert binned(np.array([-0.5, 0.5]), 1.0).shares[1] == pytest.approx(1 / theta, rel=1e-15)
    assert variance_of(300.0) == pytest.approx(90_000, rel=1e-12)
    assert variance_of(0.3) < 0.9 * 0.3**2


def test_noise_has_the_variance_and_the_shape_it_was_paid_for(case):
    """Variance within 5 %, chi-square against the exact pmf: on short vectors, and on long ones drawn by two threads."""
    claim, noise = case
    figures = claim.variance_ratio(noise), claim.bins.chi_square(noise.ravel())
    print(
        f"scale {claim.scale:g}, {noise.size:,} cells: variance ratio {figures[0]:.4f}, chi-square p {chi_square_tail(figures[1], claim.bins.freedom):.3f}"
    )
    assert NormalDist(0, math.sqrt(2 / noise.size)).cdf(-WINDOW) < FALSE_ALARM, "too few cells for this window"
    assert claim.has_variance(noise)
    assert claim.has_shape(noise)


@pytest.mark.parametrize("cells", [SHORT, LONG])
@pytest.mark.parametrize("factor", [1 + OFF, 1 - OFF])
@pytest.mark.parametrize("scale", SCALES)
def test_noise_of_another_scale_is_noticed(scale, factor, cells):
    """The same two tests fail for noise that is wider or narrower than was paid for."""
    claim = Claim(scale)
    wrong = drawn_vectors(scale * factor, cells, WRONG_CELLS // cells)
    powers = claim.power(scale * factor, wrong.size)
    print(f"scale {scale:g} × {factor:g}, {wrong.size:,} cells: power of both {min(powers):.9f}")
    assert min(powers) > 1 - 1e-6
    assert not claim.has_variance(wrong)
    assert not claim.has_shape(wrong)


def test_a_wrong_mean_is_no_noise_of_ours(case):
    """The mean is 0 within its error; a tenth of σ more (a third in `make check`) is noticed."""
    claim, noise = case
    error = math.sqrt(claim.variance / noise.size)
    assert abs(noise.mean()) < Z * error
    assert abs(noise.mean() + OFF * claim.scale) > Z * error


def correlations(noise, variance):
    """Standardised correlations, of values and of squares: neighbours in a vector, in time, and across threads."""
    normal = noise / math.sqrt(variance)
    squares = normal**2 - (normal**2).mean()
    for name, values in (("values", normal), ("squares", squares / squares.std())):
        line, half = values.ravel(), values.shape[1] // THREADS
        pairs = {f"lag {lag}": (line[:-lag], line[lag:]) for lag in LAGS}
        pairs["the vector before"] = values[:-1].ravel(), values[1:].ravel()
        pairs["the other half"] = values[:, :half].ravel(), values[:, -half:].ravel()
        for pair, (one, other) in pairs.items():
            yield f"{name}: {pair}", float((one * other).mean() * math.sqrt(one.size))


def test_cells_vectors_and_threads_are_independent(case):
    """No correlation of values or squares at lags 1, 2, 7, from vector to vector, and between the threads' halves."""
    claim, noise = case
    found = dict(correlations(noise, claim.variance))
    assert max(map(abs, found.values())) < Z, found


def test_shared_noise_is_noticed(case):
    """Were a tenth of the cells (three in ten in `make check`) copied from one half to the other, it would show."""
    claim, noise = case
    planted, half = noise.copy(), noise.shape[1] // THREADS
    chosen = np.random.default_rng(1).random((len(noise), half)) < OFF
    planted[:, -half:][chosen] = planted[:, :half][chosen]
    found = dict(correlations(planted, claim.variance))
    assert found["values: the other half"] > Z
    assert found["squares: the other half"] > Z


@pytest.mark.parametrize("cells", [SHORT, 10 * LONG])
def test_no_two_cells_are_the_same_draw(cells):
    """At a scale of 2^50 two of 4,000 cells are equal with a chance of 2e-9: threads share no generator's state."""
    noise = drawn_vectors(2.0**50, cells, 4_000 // cells).ravel()
    assert len(np.unique(noise)) == noise.size
    assert len(np.unique(np.abs(noise))) == noise.size
