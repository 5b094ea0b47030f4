"""Sharper repeats: what is missing is paid, what was drawn is used, and the answer is what one draw would be."""

from __future__ import annotations

import numpy as np
import pytest

from budgets.loss import nanorho_for
from engine.district import District
from engine.margins import _within
from engine.sharpening import combined, combined_scale

COUNT = "SELECT sex, COUNT(*) AS n FROM student GROUP BY sex"
BOTH = "SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE is_dropout) AS k FROM student_year WHERE school_year = 2025"


def law(scale):
    """Probabilities of a discrete Gaussian."""
    steps = np.arange(-int(14 * scale) - 3, int(14 * scale) + 4)
    weights = np.exp(-(steps**2) / (2 * scale * scale))
    return steps, weights / weights.sum()


@pytest.mark.parametrize("first", [1.0, 1.5, 3.0, 8.0, 15.0])
@pytest.mark.parametrize("times", [0.5, 0.9, 1.0, 1.5, 8.0])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_margin_of_two_draws_covers_what_it_says(first, times, level):
    """Every pair of draws, with its probability: at least the level, but for half a percent."""
    (one, p), (two, q) = law(first), law(first * times)
    scales = (first, first * times)
    pairs = np.repeat(one, len(two)), np.tile(two, len(one))
    errors = np.abs(combined(pairs, scales))
    chances = np.bincount(errors, weights=np.outer(p, q).ravel())
    margin = int(np.searchsorted(_within(combined_scale(scales)), level))
    assert chances[: margin + 1].sum() >= level - 0.005


def test_a_combination_keeps_every_digit():
    """The exact part may be as large as it gets: only the noises are weighed."""
    exact = np.array([2**61 + 1, -(2**61) - 1, 0])
    found = combined([exact + 10, exact - 30, exact], [10.0, 10.0, 5.0])
    assert (found - exact).tolist() == [-3, -3, -3]
    assert combined([exact], [3.0]) is exact


def test_more_draws_are_sharper():
    """k draws of one scale are √k times as sharp, but for the rounding."""
    assert combined_scale([100.0] * 4) == pytest.approx(50, rel=1e-4)
    assert combined_scale([100.0, 1e9]) == pytest.approx(100, rel=1e-4)


@pytest.fixture
def spent(district):
    """What class 2030 has lost so far."""
    return lambda: district.balances()[2030].lifetime_spent


def test_a_sharper_repeat_pays_the_difference(district, spent):
    """Two steps to an accuracy cost what one step would, to a few nano-ρ, and are as sharp as it."""
    dull = district.ask(COUNT, epsilon=0.1)
    sharp = district.ask(COUNT, epsilon=0.2)
    whole, paid = nanorho_for(0.2), nanorho_for(0.1)
    assert sharp.charges[0].loss_nanorho == pytest.approx(whole - paid, abs=3)
    assert spent() == pytest.approx(whole, abs=3)
    assert len(sharp.draws) == 2
    assert set(dull.draws) < set(sharp.draws)
    assert sharp.noise[0].distribution == "mean_of_discrete_gaussians"
    at_once = district.preview("SELECT COUNT(*) AS n FROM student", epsilon=0.2).noise[0].scale
    assert sharp.noise[0].scale == pytest.approx(at_once, rel=1e-2)
    assert sharp.moe90[0][1] < dull.moe90[0][1]


def test_what_was_sharpened_is_served_again_as_it_was(folder):
    """Old and new answers stay what they were, in another process too; asked again they are free."""
    with District.open(folder) as district:
        dull = district.ask(COUNT, epsilon=0.1, request_id="dull")
        sharp = district.ask(COUNT, epsilon=0.2, request_id="sharp")
    with District.open(folder) as district:
        for release, name in ((dull, "dull"), (sharp, "sharp")):
            epsilon = 0.1 if name == "dull" else 0.2
            again = district.ask(COUNT, epsilon=epsilon, request_id=name)
            assert (again.rows, again.moe90, again.draws, again.replayed) == (
                release.rows,
                release.moe90,
                release.draws,
                True,
            )
        free = district.ask(COUNT, epsilon=0.15)
        assert (free.rows, free.charges) == (sharp.rows, [])


def test_a_margin_is_met_beside_what_is_stored(district):
    """At the price of what is missing; a margin that is kept already is free."""
    whole = district.preview(BOTH, moe={"n": 25, "k": 25}).charges[0].loss_nanorho
    first = district.ask(BOTH, moe={"n": 60, "k": 60}).charges[0].loss_nanorho
    foretold = district.preview(BOTH, moe={"n": 25, "k": 25})
    release = district.ask(BOTH, moe={"n": 25, "k": 25})
    assert max(release.moe90[0]) <= 25
    assert [each.moe90 for each in foretold.expected] == list(release.moe90[0])
    assert release.charges[0].loss_nanorho == foretold.charges[0].loss_nanorho
    assert release.charges[0].loss_nanorho == pytest.approx(whole - first, rel=0.02)
    assert district.ask(BOTH, moe={"n": 27, "k": 26}).charges == []


def test_a_ratio_is_sharpened_too(district):
    """Both of its statistics, together."""
    sql = (
        "SELECT AVG(CASE WHEN english_learner THEN 1.0 ELSE 0.0 END) AS r FROM student_year WHERE school_year = 2025"
    )
    district.ask(sql, epsilon=0.2)
    release = district.ask(sql, epsilon=0.4)
    assert len(release.draws) == 4
    assert all(each.distribution == "mean_of_discrete_gaussians" for each in release.noise)
    assert release.charges[0].loss_nanorho == pytest.approx(nanorho_for(0.4) - nanorho_for(0.2), abs=8)


@pytest.mark.statistical
def test_sharpened_answers_are_right_and_cover(pristine, tmp_path):
    """In many districts: unbiased, and within the 90 % margin in 90 of 100."""
    import shutil  # noqa: PLC0415 - for this test alone

    errors, held = [], []
    with District.open(pristine) as district:
        records = district._house.vault.cursor()
        truth = dict(records.execute("SELECT sex, COUNT(*) FROM student GROUP BY sex").fetchall())
    for number in range(25):
        folder = tmp_path / str(number)
        shutil.copytree(pristine, folder)
        with District.open(folder) as district:
            for epsilon in (0.05, 0.1, 0.2, 0.4):
                release = district.ask(COUNT, epsilon=epsilon)
            assert len(release.draws) == 4
        for row, moe in zip(release.rows, release.moe90, strict=True):
            errors.append((row[1] - truth.get(row[0], 0)) / release.noise[0].scale)
            held.append(abs(row[1] - truth.get(row[0], 0)) <= moe[1])
    assert abs(np.mean(errors)) < 4 / len(errors) ** 0.5
    assert 0.7 < np.std(errors) < 1.3
    assert np.mean(held) > 0.8
