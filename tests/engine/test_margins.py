"""Margins on the lattice of whole numbers, and the least loss that keeps a margin that is asked for."""

from __future__ import annotations

import itertools
import math
import os
from fractions import Fraction

import numpy as np
import pytest

from engine import accuracy, margins, mechanisms, postprocess
from engine.accuracy import Stored, price_margins, targets
from engine.forms import Linear
from engine.parse import parse
from engine.planning import make_plan
from engine.postprocess import Draws
from engine.refusals import QueryRefused
from engine.source import Source

ONE = Linear(((0, Fraction(1)),))
COUNT = "SELECT COUNT(*) AS n FROM student_year WHERE school_year = 2025"
BOTH = (
    "SELECT COUNT(*) AS n, SUM(CASE WHEN days_absent >= 10 THEN 1 ELSE 0 END) AS k FROM student_year "
    "WHERE school_year = 2025"
)
RATE = (
    "SELECT 100.0 * SUM(CASE WHEN days_absent >= 10 THEN 1 ELSE 0 END) / COUNT(*) AS r FROM student_year "
    "WHERE school_year = 2025"
)
GPA = "SELECT AVG(gpa) AS g FROM student_year WHERE school_year = 2025"


def plan_of(sql, catalog):
    return make_plan(Source(sql), parse(sql, catalog), catalog, frozenset(catalog.cohorts))


def asked(plan, moe, rows):
    return targets(plan, accuracy.resolved(plan, moe), rows)


def bought(sql, catalog, moe, rows=100, stored=None):
    plan = plan_of(sql, catalog)
    moe = [(None, moe)] if isinstance(moe, int | float) else list(moe.items())
    return plan, price_margins(plan, asked(plan, moe, rows), stored or {})


def noise_of(priced, position):
    return dict(priced.drawn)[position]


def pmf(scale):
    whole = np.arange(-int(15 * scale) - 2, int(15 * scale) + 3)
    weights = np.exp(-(whole**2) / (2 * scale**2))
    return whole, weights / weights.sum()


@pytest.mark.parametrize("scale", [0.7, 1.4, 5.7, 40.0, 199.0, 201.0, 3e6])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_margin_of_a_count_is_the_least_whole_number_that_holds(scale, level):
    """By the definition of the discrete Gaussian: P(|N| ≤ M) reaches the level, and P(|N| ≤ M - 1) does not."""
    found = margins.margin(ONE, [scale], level)
    assert found == int(found)
    if scale < 1000:
        whole, mass = pmf(scale)
        assert mass[np.abs(whole) <= found].sum() >= level > mass[np.abs(whole) <= found - 1].sum()
    assert margins.chance(ONE, [scale], found) >= level > margins.chance(ONE, [scale], found - 1)


@pytest.mark.parametrize("scales", [(1.5, 2.0), (5.7, 5.7), (60.0, 50.0)])
@pytest.mark.parametrize("coefficients", [("1", "-1"), ("1/2", "1/2"), ("1", "1/4")])
def test_the_margin_of_two_draws_is_right_on_their_lattice(scales, coefficients):
    """Against the exact convolution of two discrete Gaussians: the level is kept within half a percent."""
    form = Linear(tuple((position, Fraction(text)) for position, text in enumerate(coefficients)))
    lattice = form.step
    steps = [int(coefficient / lattice) for _, coefficient in form.terms]
    (xs, px), (ys, py) = pmf(scales[0]), pmf(scales[1])
    total = steps[0] * xs[:, None] + steps[1] * ys[None, :]
    found = margins.margin(form, scales, 0.9)
    mass = px[:, None] * py[None, :]
    held = mass[np.abs(total) * float(lattice) <= found + 1e-9].sum()
    less = mass[np.abs(total) * float(lattice) <= found - float(lattice) + 1e-9].sum()
    assert held > 0.895
    assert less < 0.905
    assert margins.chance(form, scales, found) == pytest.approx(held, abs=0.005)


@pytest.mark.parametrize("scale", [1.0, 1.2, 3.0, 6.0, 6.5, 20.0])
@pytest.mark.parametrize("fine", [Fraction(1, 1000), Fraction(1, 4), Fraction(1, 2)])
def test_an_error_that_lies_in_lumps_keeps_its_margin(scale, fine):
    """a + b/1000 lies near whole numbers: the exact chance of keeping the margin is 90 % at least, nearly."""
    form = Linear(((0, Fraction(1)), (1, fine)))
    xs, px = pmf(scale)
    total = np.abs(xs[:, None] + float(fine) * xs[None, :])
    for level in (0.9, 0.95):
        margin = margins.margin(form, (scale, scale), level)
        held = (px[:, None] * px[None, :])[total <= margin + 1e-9].sum()
        assert held >= level - 0.006
        assert margins.chance(form, (scale, scale), margin) <= held + 0.006


def test_a_margin_is_read_as_the_decimal_it_was_written_as():
    """0.3 holds three steps of 0.1, though the float 0.3 is less than three times the float 0.1."""
    tenth = Linear(((0, Fraction(1, 10)),))
    assert margins.chance(tenth, [5.0], 0.3) == margins.chance(ONE, [5.0], 3)


@pytest.mark.parametrize("moe", [1, 7, 25, 30.5, 1000])
def test_a_count_costs_the_least_loss_that_keeps_its_margin(moe, canonical):
    """Noise five in a thousand wider would no longer keep it."""
    _, priced = bought(COUNT, canonical, moe)
    ((_, noise),) = priced.drawn
    for factor, kept in ((1.0, True), (1.005, False)):
        whole, mass = pmf(noise.scale * factor)
        assert bool(mass[np.abs(whole) <= moe].sum() >= 0.9 - 1e-9) == kept


@pytest.mark.parametrize(
    "wanted", [{"n": 30, "k": 20}, {"n": 10, "k": 40}, {"n": 40, "k": 10}, {"n": 25.0, "k": 25.0}]
)
def test_several_margins_cost_the_least_loss_that_keeps_all(wanted, canonical):
    """Against a search over all splits of the loss between two statistics: at most 2 % dearer."""
    plan, priced = bought(BOTH, canonical, wanted)
    kept = asked(plan, list(wanted.items()), 100)
    assert all(target.met(priced.scales) for target in kept)
    least = math.inf
    for one, other in itertools.product(np.geomspace(0.3, 3, 60), repeat=2):
        scales = (priced.scales[0] * one, priced.scales[1] * other)
        if all(target.met(scales) for target in kept):
            least = min(least, sum(d / s**2 for d, s in zip((1.0, 1.0), scales, strict=True)))
    mine = sum(1 / scale**2 for scale in priced.scales)
    assert mine <= 1.02 * least


SHARE = "SELECT COUNT(*) FILTER (WHERE cohort_year = 2030) / COUNT(*) AS r FROM student_year WHERE school_year = 2025"
"""Of one class among others: two measurements, and an error that is not the same at both ends."""


@pytest.mark.parametrize(("sql", "moe"), [(RATE, 5), (RATE, 30), (GPA, 0.3), (GPA, 1.5), (SHARE, 0.1)])
def test_a_ratio_costs_the_least_loss_that_keeps_its_margin_in_the_worst_cell(sql, moe, canonical):
    """At the ends of its range and the least number of rows; noise one percent wider would not keep it."""
    plan, priced = bought(sql, canonical, moe, rows=60)
    (target,) = asked(plan, [(None, moe)], 60)
    assert target.met(priced.scales)
    assert not target.met([1.01 * scale for scale in priced.scales])
    foretold = margins.RatioNoise.of(target.form, priced.scales)
    assert foretold.margin(0.9, 60) == pytest.approx(moe, rel=1e-3)
    assert foretold.margin(0.9, 600) < moe / 9


@pytest.mark.parametrize(("sql", "moe"), [(RATE, 5), (GPA, 0.3), (SHARE, 0.1)])
def test_a_margin_of_a_ratio_holds_in_the_worst_cell(sql, moe, canonical):
    """Simulated without the formula: at both ends of the range at least 90 %, and at one of them hardly more."""
    plan, priced = bought(sql, canonical, moe, rows=60)
    form = plan.outputs[0].form
    noise = np.random.default_rng(60).normal(size=(200_000, 2)) * priced.scales
    above, below = (sum(float(c) * noise[:, p] for p, c in part.terms) for part in (form.numerator, form.denominator))
    held = [np.mean(np.abs((float(at) * 60 + above) / (60 + below) - float(at)) <= moe) for at in form.within]
    assert min(held) == pytest.approx(0.9, abs=0.004)


def test_a_rate_written_in_many_ways_has_the_same_ends(canonical):
    """A share is between 0 and 1, a percentage between 0 and 100, an average between its bounds."""
    for sql, ends in (
        (RATE, (0, 100)),
        ("SELECT COUNT(*) FILTER (WHERE is_dropout) / COUNT(*) AS r FROM student_year", (0, 1)),
        ("SELECT 1 - SUM(CASE WHEN is_dropout THEN 1 ELSE 0 END) / COUNT(*) AS r FROM student_year", (0, 1)),
        (GPA, (0, 5)),
        ("SELECT 10 - 2 * AVG(gpa) AS g FROM student_year", (0, 10)),
    ):
        assert plan_of(sql, canonical).outputs[0].form.within == ends
    unlike = "SELECT COUNT(*) / COUNT(*) FILTER (WHERE is_dropout) AS r FROM student_year"
    assert plan_of(unlike, canonical).outputs[0].form.within is None


def test_stored_measurements_are_used_and_leave_less_to_buy(canonical):
    """A stored statistic that is sharp enough is used, and all of them free where they keep the margins together."""
    wanted = {"n": 30, "k": 20}
    plan, priced = bought(BOTH, canonical, wanted)
    sharp = {0: Stored(10**9, 7, (1.0,))}
    _, fewer = bought(BOTH, canonical, wanted, stored=sharp)
    assert fewer.reused == sharp
    assert fewer.nanorho < priced.nanorho
    assert all(target.met(fewer.scales) for target in asked(plan, list(wanted.items()), 100))
    everything = {p: Stored(noise.nanorho, p, (noise.scale,)) for p, noise in priced.drawn}
    assert bought(BOTH, canonical, wanted, stored=everything)[1].drawn == ()
    assert bought(BOTH, canonical, {"n": 60, "k": 60}, stored=everything)[1].drawn == ()
    assert bought(BOTH, canonical, {"n": 29, "k": 19}, stored=everything)[1].drawn
    dull = {0: Stored(1, 7, (1e5,))}
    cheaper = {0: Stored(noise_of(priced, 0).nanorho * 3 // 4, 7, (noise_of(priced, 0).scale * (4 / 3) ** 0.5,))}
    total = "SELECT COUNT(*) + COUNT(gpa) AS t FROM student_year WHERE school_year = 2025"
    alone = bought(total, canonical, 40)[1]
    halves = {0: Stored(noise_of(alone, 0).nanorho * 3 // 4, 7, (noise_of(alone, 0).scale * (4 / 3) ** 0.5,))}
    assert bought(total, canonical, 40, stored=halves)[1].nanorho < 0.8 * alone.nanorho
    assert bought(BOTH, canonical, wanted, stored=cheaper)[1].nanorho <= priced.nanorho
    assert bought(BOTH, canonical, wanted, stored=dull)[1].reused == {}


@pytest.mark.parametrize(
    ("sql", "moe", "code", "word"),
    [
        (BOTH, [(None, 5.0)], "unsupported", "n, k"),
        (BOTH, [("n", 5.0)], "unsupported", "moe for k"),
        (BOTH, [("n", 5.0), ("z", 5.0)], "unknown_name", "n, k"),
        ("SELECT COUNT(*) * COUNT(*) AS q FROM student", [(None, 5.0)], "unsupported", "epsilon instead"),
        ("SELECT COUNT(*) AS n FROM student ORDER BY AVG(cohort_year)", [(None, 5.0)], "unsupported", "ORDER BY"),
    ],
)
def test_a_margin_that_cannot_be_kept_is_refused(sql, moe, code, word, canonical):
    """With what would be accepted."""
    with pytest.raises(QueryRefused) as refused:
        asked(plan_of(sql, canonical), moe, 100)
    assert refused.value.code == code
    assert word in refused.value.accepted


def test_a_margin_for_all_but_a_part_is_enough(canonical):
    """What is made of the same draws needs no margin of its own; a column that is certainly 0 needs none either."""
    sql = BOTH.replace(" FROM", ", COUNT(*) - 5 AS m, COUNT(*) FILTER (WHERE school_year = 2024) AS z FROM")
    assert len(bought(sql, canonical, {"n": 30, "k": 20})[1].drawn) == 2
    assert len(bought(sql, canonical, {"n": 30, "k": 20, "z": 1})[1].drawn) == 2


DRAWS = 20_000 if os.environ.get("HOMEROOM_PROVE") else 5_000
LEEWAY = 0.01 if os.environ.get("HOMEROOM_PROVE") else 0.018
"""Four standard deviations of the share at least: a right margin fails less than once in 10,000 runs."""


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("sql", "moe", "truth"),
    [
        (COUNT, 25, {"rows": 400}),
        ("SELECT SUM(gpa) AS s FROM student_year WHERE school_year = 2025", 120, {"rows": 400, "mean": 2.0}),
        (GPA, 0.3, {"rows": 100, "mean": 5.0}),
        (GPA, 0.3, {"rows": 100, "mean": 0.0}),
        (RATE, 8, {"rows": 100, "mean": 100.0}),
    ],
)
def test_a_margin_that_was_asked_for_is_kept_in_90_of_100_answers(sql, moe, truth, canonical):
    """Over thousands of draws; noise a tenth wider keeps it too seldom, a tenth narrower too often."""
    plan, priced = bought(sql, canonical, moe)
    rows, mean = truth["rows"], truth.get("mean", 0.0)
    exact = []
    for statistic in plan.statistics:
        centred = statistic.centred
        value = mean if sql != RATE else 1.0
        exact.append(rows if centred is None else round(rows * (value - float(centred.offset)) / float(centred.unit)))
    expected = {COUNT: rows, GPA: mean, RATE: mean}.get(sql, rows * mean)

    def kept(factor):
        noisy = []
        for position, (integer, statistic) in enumerate(zip(exact, plan.statistics, strict=True)):
            scale = priced.scales[position] * factor
            d_in = mechanisms.d_in_of(statistic.l2_squared)
            noise = mechanisms.Gaussian(scale, d_in, mechanisms.loss_nanorho(scale, d_in))
            noisy.append(mechanisms.draw(np.full(DRAWS, integer), noise, 2**61))
        values = [postprocess.answer(plan, Draws(tuple(np.array([v]) for v in one), priced.scales)).rows[0][0]
                  for one in zip(*noisy, strict=True)]  # fmt: skip
        return np.mean([abs(value - expected) <= moe + 1e-9 for value in values])

    assert abs(kept(1.0) - 0.9) <= LEEWAY
    assert kept(1.1) < 0.9 - LEEWAY
    assert kept(0.9) > 0.9 + LEEWAY


def test_foretold_is_what_was_asked(canonical):
    """The margin that preview shows is the one that was asked for."""
    plan, priced = bought(COUNT, canonical, 25)
    assert accuracy.foretold(plan.outputs[0].form, priced.scales) == (25.0, None)
