from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from engine import accuracy, margins, postprocess
from engine.accuracy import Stored
from engine.forms import Key, Linear, Ratio, Smooth, combine
from engine.parse import parse
from engine.planning import make_plan
from engine.postprocess import Draws
from engine.refusals import QueryRefused
from engine.source import Source

COUNT, SUM = Linear(((0, Fraction(1)),)), Linear(((1, Fraction(1, 100)),), Fraction(2))
CHRONIC = "SELECT COUNT(*) AS n, SUM(CASE WHEN days_absent >= 10 THEN 1 ELSE 0 END) AS k FROM student_year WHERE school_year = 2025"


def plan_of(sql, catalog):
    return make_plan(Source(sql), parse(sql, catalog), catalog, frozenset(catalog.cohorts))


def answer(plan, values, scales):
    vectors = tuple(np.array(v, dtype=np.int64) for v in values)
    return postprocess.answer(plan, Draws(vectors, tuple(scales)))


def test_linear_arithmetic_stays_linear():
    """Sums, differences and constant multiples of estimates have exact coefficients."""
    form = combine(
        "-", combine("*", Linear(constant=Fraction(3)), COUNT), combine("/", SUM, Linear(constant=Fraction(2)))
    )
    assert form == Linear(((0, Fraction(3)), (1, Fraction(-1, 200))), Fraction(-1))


def test_a_percentage_is_a_ratio():
    """100.0 * k / n, 100.0 * (k / n) and (k / n) * 100.0 are one ratio."""
    hundred = Linear(constant=Fraction(100))
    forms = [
        combine("/", combine("*", hundred, SUM), COUNT),
        combine("*", hundred, combine("/", SUM, COUNT)),
        combine("*", combine("/", SUM, COUNT), hundred),
    ]
    assert forms == [Ratio(SUM.times(Fraction(100)), COUNT)] * 3


def test_one_minus_a_rate_is_a_ratio():
    """1 - k / n is (n - k) / n."""
    assert combine("-", Linear(constant=Fraction(1)), combine("/", SUM, COUNT)) == Ratio(COUNT.plus(SUM, -1), COUNT)


def test_other_arithmetic_is_smooth():
    """A product of two estimates is neither linear nor a ratio."""
    assert combine("*", COUNT, SUM) == Smooth("*", COUNT, SUM)


def test_counts_are_shown_as_drawn_negative_ones_too(canonical):
    """Noise is not hidden: clamping a count at 0 would bias it."""
    plan = plan_of("SELECT COUNT(*) AS n FROM student", canonical)
    table = answer(plan, [[-7]], [10.0])
    assert table.rows == [(-7,)]
    assert table.se == [(10.0,)]
    assert table.moe90[0][0] == 16  # P(|N| ≤ 16) = 0.901, P(|N| ≤ 15) = 0.879
    assert table.moe95[0][0] == 20  # P(|N| ≤ 20) = 0.960, P(|N| ≤ 19) = 0.949


def test_a_centred_sum_is_put_back_together(canonical):
    """k = n/2 + s/2, and its variance is a quarter of the sum of both."""
    table = answer(plan_of(CHRONIC, canonical), [[1000], [-600]], [30.0, 40.0])
    assert table.rows == [(1000, 200.0)]
    assert table.se == [(30.0, 25.0)]


def test_a_draw_in_both_sides_of_a_ratio_is_one_draw(canonical):
    """k / n with k = n/2 + s/2: of n its error reaches the ratio by 1/2 − k/n only."""
    plan = plan_of(CHRONIC.replace("COUNT(*) AS n, ", "").replace("AS k", "/ COUNT(*) AS k"), canonical)
    by_label = {statistic.label: position for position, statistic in enumerate(plan.statistics)}
    values, scales = [[0], [0]], [0.0, 0.0]
    count = by_label["COUNT(*)"]
    values[count], values[1 - count] = [1000], [-600]
    scales[count], scales[1 - count] = 30.0, 40.0
    table = answer(plan, values, scales)
    assert table.rows == [(0.2,)]
    assert table.se[0][0] == pytest.approx(((30 * (0.5 - 0.2)) ** 2 + (40 / 2) ** 2) ** 0.5 / 1000)


def test_a_smooth_function_knows_which_draws_it_repeats(canonical):
    """n · c / n has the error of c alone."""
    n, c = "COUNT(*) FILTER (WHERE has_iep)", "COUNT(*) FILTER (WHERE NOT has_iep)"
    sql = f"SELECT {n} * {c} / {n} AS c FROM student_year WHERE school_year = 2025"
    table = answer(plan_of(sql, canonical), [[1000], [400]], [30.0, 40.0])
    assert isinstance(plan_of(sql, canonical).outputs[0].form, Smooth)
    assert table.rows == [(400.0,)]
    assert table.se[0][0] == pytest.approx(40.0)


def test_the_margin_of_a_weak_ratio_is_its_farther_end():
    """Fieller's interval of 40 ± 10 over 50 ± 10, by the roots of its quadratic, is not symmetric."""
    z, a, d, of = margins.Z90, 40.0, 50.0, 100.0
    middle, square = a * d, d**2 - z**2 * of
    root = (middle**2 - square * (a**2 - z**2 * of)) ** 0.5
    ends = (middle - root) / square, (middle + root) / square
    found = margins.fieller(np.array([a / d]), np.array([d]), (of, of, 0.0), z)
    assert found[0] == pytest.approx(max(ends[1] - a / d, a / d - ends[0]))
    assert found[0] > 1.3 * min(ends[1] - a / d, a / d - ends[0])


def test_an_average_without_rows_is_null_with_a_reason(canonical):
    """AVG is NULL where the noisy count is not positive, and the column says so."""
    plan = plan_of("SELECT AVG(gpa) AS g FROM student_year WHERE school_year = 2025", canonical)
    for count in (0, -3):
        table = answer(plan, [[5], [count]], [1, 1])
        assert table.rows == [(None,)]
        assert table.reasons == [postprocess.NO_ROWS]
        assert table.moe90 == [(None,)]


def test_order_and_limit_act_on_noisy_numbers(canonical):
    """ORDER BY sorts what is shown; ties keep the key list's order; LIMIT and OFFSET cut."""
    sql = "SELECT sex, COUNT(*) AS n FROM student GROUP BY sex ORDER BY n DESC LIMIT 2 OFFSET 1"
    table = answer(plan_of(sql, canonical), [[5, 9, 5, 1]], [1.0])
    assert table.rows == [("F", 5), ("X", 5)]


def test_nulls_are_sorted_as_duckdb_does(canonical):
    """NULLS LAST unless the question says otherwise."""
    sql = "SELECT sex, AVG(cohort_year) AS c FROM student GROUP BY sex ORDER BY c {}"
    values = [[0, 0, 0, 0], [10, 0, 5, 20]]
    last = answer(plan_of(sql.format("DESC"), canonical), values, [1, 1]).rows
    first = answer(plan_of(sql.format("NULLS FIRST"), canonical), values, [1, 1]).rows
    assert last[-1] == ("M", None)
    assert first[0] == ("M", None)


def test_shares_of_a_loss_add_up_to_it(canonical):
    """The parts never exceed the loss, and leave almost nothing."""
    plan = plan_of(CHRONIC, canonical)
    for nanorho in (10**6, 10**6 + 1):
        priced = accuracy.price(plan, nanorho, {})
        assert nanorho - 4 <= priced.nanorho <= nanorho
        assert len(priced.drawn) == 2


def test_a_loss_too_small_for_any_answer_is_refused(canonical):
    """One nano-ρ shared over two statistics buys nothing."""
    with pytest.raises(QueryRefused):
        accuracy.price(plan_of(CHRONIC, canonical), 1, {})


def test_stored_measurements_are_used_where_they_are_sharp_enough(canonical):
    """A sharper stored statistic is used and the other gets the whole loss; a duller one is drawn again."""
    plan = plan_of(CHRONIC, canonical)
    sharp = accuracy.price(plan, 10**6, {0: Stored(600_000, 7, (1.0,))})
    assert sharp.reused == {0: Stored(600_000, 7, (1.0,))}
    assert sharp.nanorho > 999_990
    dull = accuracy.price(plan, 10**6, {0: Stored(400_000, 7, (1.0,))})
    assert dull.reused == {}
    assert [noise.nanorho for _, noise in dull.drawn] == pytest.approx([100_000, 500_000], abs=2)
    together = accuracy.price(plan, 10**6, {0: Stored(300_000, 7, (1.0,)), 1: Stored(700_000, 8, (1.0,))})
    assert together.drawn == ()


PRODUCT = (
    "SELECT COUNT(*) FILTER (WHERE has_iep) * COUNT(*) FILTER (WHERE NOT has_iep) AS x FROM student_year "
    "WHERE school_year = 2025"
)


@pytest.mark.parametrize(("counts", "given"), [((9, 9), False), ((10, 0), True), ((-3, -10), True), ((1, -2), False)])
def test_a_product_has_a_margin_where_one_factor_is_apart_from_zero(counts, given, canonical):
    """With both factors within ten deviations of 0 the slopes understate the error: no margin, and the column says why."""
    table = answer(plan_of(PRODUCT, canonical), [[100 * counts[0]], [100 * counts[1]]], [100.0, 100.0])
    assert table.rows == [(float(10_000 * counts[0] * counts[1]),)]
    assert (table.moe90[0][0] is not None) == given
    assert table.reasons == [None if given else postprocess.WEAK_PART]


def test_a_key_has_no_margin(canonical):
    """GROUP BY values are public."""
    plan = plan_of("SELECT sex, COUNT(*) FROM student GROUP BY sex", canonical)
    assert plan.outputs[0].form == Key(0)
    assert answer(plan, [[1, 2, 3, 4]], [1.0]).se[0] == (None, 1.0)
