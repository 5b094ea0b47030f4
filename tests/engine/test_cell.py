"""Margins of what a statement makes of estimates: carried where the error is known, and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine import combination, margins
from engine.postprocess import Draws
from engine.preparation import planned
from tests.engine.test_above import BY_BOTH, BY_SEX, SCALE, drawn
from tests.seeds import PROVE

COUNTS = [400, 300, 200, 100]
BY_YEAR = "FROM student WHERE cohort_year BETWEEN 2030 AND 2033 GROUP BY cohort_year"
YEARS = f"WITH g AS (SELECT cohort_year AS y, COUNT(*) AS n {BY_YEAR})"
BOTH = f"WITH g AS (SELECT sex, cohort_year AS y, COUNT(*) AS n {BY_BOTH})"


def errors(catalog, sql, values=COUNTS, scale=SCALE):
    """The standard errors of the column x."""
    plan, table = drawn(catalog, sql, values, scale)
    place = [output.name for output in plan.outputs].index("x")
    return [row[place] for row in table.se]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("ROUND(COUNT(*) / 4.0, 1)", [math.hypot(SCALE / 4, 0.05)] * 4),
        ("ROUND(COUNT(*), 1)", [SCALE] * 4),
        ("CAST(COUNT(*) / 4.0 AS DECIMAL(9, 2))", [math.hypot(SCALE / 4, 0.005)] * 4),
        ("CAST(COUNT(*) / 4.0 AS INTEGER)", [math.hypot(SCALE / 4, 0.5)] * 4),
        ("CAST(COUNT(*) AS DOUBLE)", [SCALE] * 4),
        ("-ROUND(COUNT(*))", [SCALE] * 4),
        ("COALESCE(COUNT(*), 0)", [SCALE] * 4),
        ("10 * ROUND(COUNT(*)) - 3", [10 * SCALE] * 4),
        ("10 * ROUND(COUNT(*) / 4.0)", [10 * math.hypot(SCALE / 4, 0.5)] * 4),
        ("cohort_year * ROUND(COUNT(*))", [SCALE * year for year in (2030, 2031, 2032, 2033)]),
        ("LAG(COUNT(*)) OVER (ORDER BY cohort_year)", [None, SCALE, SCALE, SCALE]),
        ("LEAD(COUNT(*), 2) OVER (ORDER BY cohort_year)", [SCALE, SCALE, None, None]),
        ("COUNT(*) - LAG(COUNT(*)) OVER (ORDER BY cohort_year)", [None, *[SCALE * 2**0.5] * 3]),
        ("ROUND(COUNT(*)) - LAG(COUNT(*)) OVER (ORDER BY cohort_year)", [None, *[SCALE * 2**0.5] * 3]),
        ("SUM(COUNT(*)) OVER (ORDER BY cohort_year)", [SCALE * k**0.5 for k in (1, 2, 3, 4)]),
        ("AVG(COUNT(*)) OVER (ORDER BY cohort_year)", [SCALE / k**0.5 for k in (1, 2, 3, 4)]),
    ],
)
def test_an_error_is_carried(column, expected, canonical):
    """Through roundings, which widen it, casts, factors, other rows, and sums of rows."""
    assert errors(canonical, f"SELECT cohort_year, {column} AS x {BY_YEAR}") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (f"{YEARS} SELECT SUM(n) AS x FROM g", [SCALE * 2]),
        (f"{YEARS} SELECT AVG(n) AS x FROM g WHERE y > 2030", [SCALE / 3**0.5]),
        (f"{BOTH} SELECT y, SUM(n) AS x FROM g GROUP BY y", [SCALE * 2] * 2),
        (f"{BOTH} SELECT sex, y, SUM(n) OVER (PARTITION BY sex ORDER BY y) AS x FROM g", [SCALE, SCALE * 2**0.5] * 4),
        (f"{YEARS} SELECT y, n, SUM(n) OVER () AS x FROM g", [SCALE * 2] * 4),
        (f"{YEARS} SELECT b.n / a.n AS x FROM g a JOIN g b ON b.y = a.y + 1", [SCALE / 400 * (1 + 0.75**2) ** 0.5, SCALE / 300 * (1 + (2 / 3) ** 2) ** 0.5, SCALE / 200 * (1 + 0.5**2) ** 0.5]),
        (f"{YEARS} SELECT 100 * b.n / NULLIF(a.n, 0) AS x FROM g a JOIN g b ON b.y = 2033 AND a.y = 2030", [SCALE / 4 * (1 + 0.25**2) ** 0.5]),
        (f"{YEARS} SELECT a.n * b.n AS x FROM g a JOIN g b ON b.y = 2033 AND a.y = 2030", [SCALE * (100**2 + 400**2) ** 0.5]),
        (f"{YEARS}, h AS (SELECT y, ROUND(n) AS m FROM g) SELECT b.m - a.m AS x FROM h a JOIN h b ON b.y = a.y + 3", [SCALE * 2**0.5]),
        (f"{YEARS}, h AS (SELECT y, n, LAG(n) OVER (ORDER BY y) AS was FROM g) SELECT n - was AS x FROM h WHERE y = 2031", [SCALE * 2**0.5]),
        (f"{YEARS} SELECT a.y, COALESCE(b.n, 0) AS x FROM g a LEFT JOIN g b ON b.y = a.y + 2", [SCALE, SCALE, None, None]),
    ],
)  # fmt: skip
def test_an_error_is_carried_over_released_tables(sql, expected, canonical):
    """The rows of one answer are independent; quotients and products follow by the delta method."""
    values = COUNTS if "sex" not in sql else None
    assert errors(canonical, sql, values) == pytest.approx(expected)


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT LAG(COUNT(*)) OVER (ORDER BY COUNT(*)) AS x {BY_YEAR}",
        f"SELECT LAG(COUNT(*)) OVER (PARTITION BY COUNT(*) > 250 ORDER BY cohort_year) AS x {BY_YEAR}",
        f"SELECT LAG(COUNT(*)) OVER (ORDER BY cohort_year) AS x {BY_YEAR} HAVING COUNT(*) > 50",
        f"{YEARS} SELECT SUM(n) AS x FROM g WHERE n > 50",
        f"{YEARS} SELECT n > 250, SUM(n) AS x FROM g GROUP BY 1",
        f"{YEARS} SELECT SUM(n) OVER (ORDER BY n) AS x FROM g",
        f"{YEARS}, h AS (SELECT y, n FROM g ORDER BY n DESC LIMIT 3) SELECT SUM(n) AS x FROM h",
        f"{YEARS}, h AS (SELECT y, n FROM g QUALIFY RANK() OVER (ORDER BY n) < 3) SELECT SUM(n) AS x FROM h",
        f"{YEARS}, h AS (SELECT y, n FROM g ORDER BY n DESC) SELECT LAG(n) OVER (ORDER BY y) AS x FROM h",
        f"{YEARS} SELECT SUM(n) AS x FROM (SELECT y, n FROM g WHERE y = 2030 UNION ALL SELECT y, n FROM g WHERE y > 2031 ORDER BY n LIMIT 2) u",
        f"{YEARS} SELECT y, n AS x FROM g GROUP BY y, n",
        f"{YEARS} SELECT SUM(a.n) AS x FROM g a JOIN g b ON a.n > b.n",
        f"{YEARS} SELECT SUM(a.n) AS x FROM g a CROSS JOIN g b",
        f"{YEARS} SELECT SUM(n) AS x FROM (SELECT n FROM g UNION ALL SELECT n FROM g) u",
        f"{YEARS} SELECT SUM(m) AS x FROM (SELECT SUM(n) OVER () AS m FROM g) u",
        f"{YEARS} SELECT a.n / b.n AS x FROM g a JOIN g b ON a.y = b.y",
        f"{YEARS} SELECT a.n * a.n AS x FROM g a",
        f"{YEARS} SELECT a.n / (b.n - a.n) AS x FROM g a JOIN g b ON b.y = a.y + 1",
        f"{YEARS} SELECT MAX(n) AS x FROM g",
        f"WITH g AS (SELECT cohort_year AS y, COUNT(*) / (COUNT(*) + 900) AS m {BY_YEAR}) SELECT SUM(m) AS x FROM g",
        f"WITH g AS (SELECT cohort_year AS y, COUNT(*) / (COUNT(*) + 900) AS m, COUNT(*) AS n {BY_YEAR}) SELECT a.m * b.n AS x FROM g a JOIN g b ON b.y = a.y + 1",
        f"WITH g AS (SELECT cohort_year AS y, COUNT(*) / (COUNT(*) - 395) AS m {BY_YEAR}) SELECT a.m - b.m AS x FROM g a JOIN g b ON b.y = a.y + 1 AND a.y = 2030",
        f"{YEARS}, d AS (SELECT y, n > 250 AS big FROM g EXCEPT SELECT y, FALSE FROM g) SELECT SUM(g.n) AS x FROM g JOIN d ON d.y = g.y",
        f"{YEARS}, d AS (SELECT n, y FROM g UNION SELECT n, y FROM g LIMIT 1) SELECT SUM(g.n) AS x FROM g JOIN d ON d.y = g.y",
        f"{YEARS}, d AS (SELECT n > 250 AS big, y FROM g GROUP BY 1, 2) SELECT LAG(g.n) OVER () AS x FROM d JOIN g ON g.y = d.y",
        f"{YEARS}, d AS (SELECT DISTINCT n > 250 AS big, y FROM g) SELECT LAG(g.n) OVER (ORDER BY 1) AS x FROM d JOIN g ON g.y = d.y",
        f"{YEARS}, r AS (SELECT y, n, RANK() OVER (ORDER BY n DESC) AS k FROM g) SELECT a.n + 100 * b.y AS x FROM g a JOIN r b ON b.k = 1",
        f"{YEARS} SELECT a.n + COALESCE(b.y, 0) AS x FROM g a LEFT JOIN g b ON a.y = b.y AND b.n > 250",
        f"{YEARS}, r AS (SELECT y, n, ROW_NUMBER() OVER (ORDER BY n DESC) AS k FROM g) SELECT a.n - b.n AS x FROM r a JOIN r b ON a.k = 1 AND b.k = 4",
        f"{YEARS} SELECT COALESCE(b.n, 0) AS x FROM g a LEFT JOIN g b ON b.y = a.y AND b.n > 250",
        f"{YEARS} SELECT SUM(TRY_CAST(n AS TINYINT)) AS x FROM g",
        f"{YEARS} SELECT SUM(ROUND(n / 100.0)) AS x FROM g",
        f"{YEARS} SELECT ROUND(b.n / 100.0) - ROUND(a.n / 100.0) AS x FROM g a JOIN g b ON b.y = a.y + 1",
        f"SELECT ABS(COUNT(*)) AS x {BY_SEX}",
        f"SELECT ROUND(RANK() OVER (ORDER BY COUNT(*))) AS x {BY_SEX}",
        f"SELECT CASE WHEN COUNT(*) > 5 THEN COUNT(*) ELSE 0 END AS x {BY_SEX}",
    ],
)
def test_where_noise_chose_or_draws_are_shared_there_is_no_margin(sql, canonical):
    """With a reason."""
    plan, table = drawn(canonical, sql, COUNTS)
    place = [output.name for output in plan.outputs].index("x")
    assert {row[place] for row in table.se} == {None}
    assert table.reasons[place] in (combination.COMPUTED, combination.UNSURE)


@pytest.mark.parametrize(("divisor", "firm"), [(margins.FIRM * SCALE + 1, True), (margins.FIRM * SCALE - 1, False)])
def test_a_divisor_near_nothing_gives_no_margin(divisor, firm, canonical):
    """Nor does a product of two factors near nothing."""
    sql = f"{YEARS} SELECT a.n / b.n AS x FROM g a JOIN g b ON a.y = 2030 AND b.y = 2031"
    assert (errors(canonical, sql, [5, divisor, 0, 0])[0] is not None) is firm
    assert (errors(canonical, sql.replace("/", "*"), [5, divisor, 0, 0])[0] is not None) is firm
    assert errors(canonical, sql, [5, 0, 0, 0]) == [None]


def test_a_mean_of_means_has_no_margin(canonical):
    """A mean of no rows is NULL, AVG leaves it out, and biases of ratios add up; their difference has one."""
    means = "WITH g AS (SELECT cohort_year AS y, AVG(gpa) AS m FROM student_year WHERE cohort_year IN (2030, 2031) GROUP BY 1)"
    for column in ("AVG(m)", "SUM(m)", "AVG(m) / 2"):
        plan = planned(canonical, f"{means} SELECT {column} AS a FROM g", canonical.cohorts)
        table = combination.answer(plan, Draws((np.array([500, 400]), np.array([500, 400])), (SCALE,) * 2))
        assert table.se == [(None,)]
    plan = planned(canonical, f"{means} SELECT b.m - a.m AS x FROM g a JOIN g b ON b.y = a.y + 1", canonical.cohorts)
    table = combination.answer(plan, Draws((np.array([500, 400]), np.array([500, 400])), (SCALE,) * 2))
    assert table.se[0][0] is not None


@pytest.mark.parametrize(
    ("sql", "chosen"),
    [
        (f"{YEARS} SELECT y, n FROM g JOIN (SELECT y, n > 250 AS b FROM g EXCEPT SELECT y, FALSE FROM g) d USING (y)", True),
        (f"{YEARS} SELECT y, n FROM g JOIN (SELECT y, n > 250 AS b FROM g INTERSECT SELECT y, TRUE FROM g) d USING (y)", True),
        (f"{YEARS} SELECT y, n FROM g CROSS JOIN (SELECT DISTINCT n > 250 AS b FROM g) d", True),
        (f"{YEARS} SELECT n FROM g JOIN g h USING (n)", True),
        (f"{YEARS} SELECT g.n FROM g JOIN g h ON g.n > h.n", True),
        (f"{YEARS} SELECT n FROM g UNION ALL SELECT n FROM g ORDER BY n LIMIT 1", True),
        (f"{YEARS} SELECT y FROM g UNION SELECT y FROM g", False),
        (f"{YEARS}, h AS (SELECT y, b.n FROM g a FULL JOIN g b USING (y)) SELECT y, n FROM h WHERE y > 2031", False),
        (f"{YEARS}, h AS (SELECT y + 1 AS y, n FROM g) SELECT y, g.n - h.n AS x FROM g JOIN h USING (y)", False),
    ],
)  # fmt: skip
def test_that_noise_chose_rows_is_known(sql, chosen, canonical):
    """Of which a note tells."""
    assert planned(canonical, sql, canonical.cohorts).made.chosen is chosen


def test_a_key_that_is_computed_is_a_key(canonical):
    """Of FULL JOIN … USING, and of a year moved by one; its column has no margin and needs none."""
    for sql in (
        f"{YEARS}, h AS (SELECT y, b.n FROM g a FULL JOIN g b USING (y)) SELECT y, SUM(n) AS x FROM h GROUP BY y",
        f"{YEARS}, h AS (SELECT y + 1 AS y, n FROM g) SELECT y, g.n - h.n AS x FROM g JOIN h USING (y)",
    ):
        plan, table = drawn(canonical, sql, COUNTS)
        assert [output.role for output in plan.outputs] == ["key", "estimate"]
        assert table.reasons == [None, None]
        assert all(row[1] in (SCALE, pytest.approx(SCALE * 2**0.5)) for row in table.se)


def test_a_margin_on_a_lattice_is_one_of_its_points(canonical):
    """With little noise a normal law says too little of counts, halves of them and sums of them."""
    for sql, step in (
        (f"{YEARS} SELECT AVG(n) AS x FROM g WHERE y < 2032", 0.5),
        (f"{YEARS} SELECT 100.0 * n - LAG(100.0 * n) OVER (ORDER BY y) AS x FROM g", 100),
        (f"{YEARS} SELECT b.n / 4 + a.n / 4 AS x FROM g a JOIN g b ON b.y = a.y + 1", 0.25),
        (f"{YEARS} SELECT y, SUM(n + y) AS x FROM g GROUP BY y", 1),
    ):
        plan, table = drawn(canonical, sql, COUNTS, 1.28)
        place = [output.name for output in plan.outputs].index("x")
        found = [(row[place], se[place]) for row, se in zip(table.moe90, table.se, strict=True) if se[place]]
        assert found
        assert all((moe / step).is_integer() and abs(moe - margins.Z90 * se) <= step / 2 for moe, se in found)
    _, table = drawn(canonical, f"{YEARS} SELECT b.n - a.n / 2 AS x FROM g a JOIN g b ON b.y = a.y + 1", COUNTS, 1.28)
    assert table.moe90[0][0] == pytest.approx(margins.Z90 * table.se[0][0] + 0.5)


def test_a_margin_of_whole_numbers_is_whole(canonical):
    """As that of a difference is."""
    _, table = drawn(canonical, f"SELECT COUNT(*) AS n, SUM(COUNT(*)) OVER (ORDER BY cohort_year) AS x {BY_YEAR}")
    assert all(float(row[1]).is_integer() for row in table.moe90)
    _, table = drawn(canonical, f"SELECT ROUND(COUNT(*) / 4.0, 0) AS x, COUNT(*) / 4.0 AS q {BY_YEAR}")
    assert [row[0] for row in table.moe90] == pytest.approx([row[1] + 0.5 for row in table.moe90])


# -- coverage, by simulation

TIMES = 4_000 if PROVE else 400
TRUTH = np.array([400, 300, 900, 250, 800, 350, 600, 500])
NOISE = 20.0


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("sql", "exact"),
    [
        (f"SELECT COUNT(*) - LAG(COUNT(*)) OVER (PARTITION BY sex ORDER BY cohort_year) AS x {BY_BOTH}", True),
        (f"SELECT SUM(COUNT(*)) OVER (PARTITION BY cohort_year ORDER BY sex) AS x {BY_BOTH}", True),
        (f"{BOTH} SELECT sex, AVG(n) AS x FROM g GROUP BY sex", True),
        (f"{BOTH} SELECT a.sex, 100.0 * b.n / a.n AS x FROM g a JOIN g b ON a.sex = b.sex AND b.y = a.y + 1", True),
        (f"{BOTH} SELECT a.sex, a.n * b.n AS x FROM g a JOIN g b ON a.sex = b.sex AND b.y = a.y + 1", True),
        (f"SELECT ROUND(COUNT(*) / 10.0, 1) AS x {BY_BOTH}", True),
        (f"SELECT ROUND(COUNT(*) / 10.0) AS x {BY_BOTH}", False),
        (f"SELECT ROUND(COUNT(*) / 100.0) AS x {BY_BOTH}", False),
        (f"{BOTH} SELECT ROUND(AVG(n) / 7, 0) AS x FROM g GROUP BY sex", False),
    ],
)
def test_carried_margins_cover_as_often_as_they_say(sql, exact, canonical):
    """90 % margins cover in 88 to 92 % of all draws of all groups, 95 % margins in 93.5 to 96.5 %; a rounding's no less.

    A standard error is at least the root of the mean square error, within five hundredths, and of what is not rounded
    coarsely it is no more either.
    """
    plan, table = drawn(canonical, sql, TRUTH, NOISE)
    place = [output.name for output in plan.outputs].index("x")
    unrounded = sql if exact else sql.replace("ROUND(", "(").replace(", 0)", ")")
    expected = np.array([row[place] for row in drawn(canonical, unrounded, TRUTH, NOISE)[1].rows], dtype=float)
    kept = np.array([row[place] is not None for row in table.se])
    noise = np.rint(np.random.default_rng(43).normal(scale=NOISE, size=(TIMES, len(TRUTH)))).astype(np.int64)
    found = {name: np.empty((TIMES, kept.sum())) for name in ("rows", "se", "moe90", "moe95")}
    for number, each in enumerate(noise):
        drawn_now = combination.answer(plan, Draws((TRUTH + each,), (NOISE,)))
        for name, values in found.items():
            values[number] = np.array([row[place] for row in getattr(drawn_now, name)], dtype=float)[kept]
    missed = np.abs(found["rows"] - expected[kept])
    for (low, high), name in (((0.88, 0.92), "moe90"), ((0.935, 0.965), "moe95")):
        share = (missed <= found[name] + 1e-9).mean()
        print(sql, name, share)
        assert low <= share
        assert not exact or share <= high
    ratio = np.sqrt(((missed / found["se"]) ** 2).mean())
    print(ratio)
    assert ratio <= 1.05
    assert not exact or ratio >= 0.95
