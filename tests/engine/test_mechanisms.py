from __future__ import annotations

import math
import os
from fractions import Fraction

import numpy as np
import opendp.prelude as dp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opendp.mod import GLOBAL_FEATURES

from engine.mechanisms import Gaussian, draw, gaussian_for, loss_nanorho


@given(st.integers(1, 2**80), st.integers(10, 10**9))
def test_noise_never_costs_more_than_it_was_bought_for(l2_squared, nanorho):
    """For any sensitivity and price, OpenDP's own map of the chosen noise is at most the price."""
    noise = gaussian_for(l2_squared, nanorho)
    if noise is None:
        return
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    rho = dp.m.make_gaussian(*space, scale=noise.scale).map(noise.d_in)
    assert Fraction(rho) <= Fraction(noise.nanorho, 10**9) <= Fraction(nanorho, 10**9)
    assert Fraction(noise.d_in) ** 2 > l2_squared


def test_noise_is_as_small_as_its_price_allows():
    """The scale is within a part in a million of the least that the price buys."""
    noise = gaussian_for(7, 85_066)
    assert noise is not None
    assert noise.nanorho >= 85_065
    assert noise.scale == pytest.approx(math.sqrt(7 / (2 * 85_066e-9)), rel=1e-6)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf, 2.0**60])
def test_a_scale_that_would_release_exact_numbers_is_refused(scale):
    """OpenDP accepts scale 0 and releases the exact numbers; we do not."""
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is a guard
        loss_nanorho(scale, 1.0)


def _noise(l2_squared=1, nanorho=10**6):
    noise = gaussian_for(l2_squared, nanorho)
    assert noise is not None
    return noise


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.0, 2.0]),
        np.array([True, False]),
        np.array([1], dtype=np.int32),
        np.array([[1]], dtype=np.int64),
        np.array([101], dtype=np.int64),
        np.array([-101], dtype=np.int64),
        np.array([-(2**63)], dtype=np.int64),
    ],
)
def test_values_that_break_the_promise_are_not_drawn(values):
    """Only vectors of int64 within the public limit reach OpenDP, which checks none of this."""
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is a guard
        draw(values, _noise(), limit=100)


def test_a_mechanism_that_costs_more_than_its_charge_is_not_drawn():
    """The loss is computed again from the map before anything is drawn."""
    noise = _noise()
    cheap = Gaussian(noise.scale, noise.d_in, noise.nanorho - 1)
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is a guard
        draw(np.array([5], dtype=np.int64), cheap, limit=100)


def test_a_long_vector_is_drawn_whole_and_in_order():
    """Splitting over threads keeps length and order."""
    values = np.arange(5000, dtype=np.int64) * 10**9
    noisy = draw(values, _noise(), limit=2**60)
    assert noisy.shape == values.shape
    assert np.abs(noisy - values).max() < 10**6
    assert (noisy != values).mean() > 0.9


def test_the_threads_of_a_long_vector_draw_noise_of_their_own():
    """Else the difference of two groups, one in each part, would be exact."""
    noisy = draw(np.zeros(5000, dtype=np.int64), _noise(), 1)
    halves = noisy[:2500], noisy[2500:]
    assert (halves[0] != halves[1]).mean() > 0.9
    assert abs(np.corrcoef(*halves)[0, 1]) < 0.12  # six standard errors


def test_two_draws_differ():
    """No draw is the repetition of another."""
    values = np.zeros(50, dtype=np.int64)
    assert (draw(values, _noise(), 1) != draw(values, _noise(), 1)).any()


def test_a_forked_child_draws_other_noise():
    """Parent and child do not share the state of a generator."""
    values = np.zeros(20, dtype=np.int64)
    draw(values, _noise(), 1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, draw(values, _noise(), 1).tobytes())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    theirs = np.frombuffer(os.read(read, 10_000), dtype=np.int64)
    os.close(read)
    assert (theirs != draw(values, _noise(), 1)).any()


def test_only_contrib_is_enabled():
    """Neither honest-but-curious nor idealized numerics is ever switched on."""
    assert set(GLOBAL_FEATURES) == {"contrib"}
