"""Questions over released tables: what they mean, what they cost, and what their margins are."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from engine import accuracy, combination
from engine.backends import duckdb as backend
from engine.compile import batches, compile_batch
from engine.froms import OWNER
from engine.postprocess import Draws
from engine.preparation import notes, planned
from engine.refusals import QueryRefused


def without_noise(vault, sql):
    """The answer made of the exact integers, as no one is ever shown it."""
    plan = planned(vault.catalog, sql, vault.catalog.cohorts)
    combination.check(plan)
    found = {}
    for batch in batches(plan.statistics):
        some = [plan.statistics[p] for p in batch]
        vectors = backend.run(vault.cursor(), compile_batch(vault.catalog, some), some[0].keys, len(some))
        found |= dict(zip(batch, vectors, strict=True))
    values = tuple(found[p] for p in range(len(plan.statistics)))
    return plan, combination.answer(plan, Draws(values, (1.0,) * len(values)))


GROUPS = "SELECT grade_level, COUNT(*) AS n FROM student_year WHERE school_year = 2025 GROUP BY 1"
YEARS = "SELECT school_year, COUNT(*) AS n FROM student_year WHERE school_year <= 2025 GROUP BY 1"
QUESTIONS = [
    "SELECT school_id FROM student_year GROUP BY school_id HAVING COUNT(*) BETWEEN 1 AND 200 ORDER BY 1",
    "SELECT grade_level, COUNT(*) AS n FROM student_year GROUP BY 1 HAVING n > 100 AND grade_level <> 'KG' ORDER BY n DESC, 1 LIMIT 3 OFFSET 1",
    "SELECT grade_level, RANK() OVER (ORDER BY COUNT(*) DESC) AS r, DENSE_RANK() OVER (ORDER BY COUNT(*) > 100) AS d, NTILE(3) OVER (ORDER BY grade_level) AS t FROM student_year GROUP BY 1 HAVING COUNT(*) > 0 ORDER BY 1",
    "SELECT grade_level, COUNT(*) / SUM(COUNT(*)) OVER () AS share FROM student_year GROUP BY 1 HAVING COUNT(*) > 0 ORDER BY share DESC, 1",
    "SELECT school_year, grade_level, SUM(COUNT(*)) OVER (PARTITION BY school_year ORDER BY grade_level) AS running FROM student_year GROUP BY 1, 2 HAVING COUNT(*) > 0 ORDER BY 1, 2",
    "SELECT school_year, COUNT(*) - LAG(COUNT(*)) OVER (ORDER BY school_year) AS change FROM student_year WHERE school_year <= 2025 GROUP BY 1 ORDER BY 1",
    "SELECT CASE WHEN COUNT(*) > 300 THEN 'many' WHEN grade_level IN ('PK', 'KG') THEN 'young' ELSE 'few' END AS band, grade_level FROM student_year GROUP BY grade_level HAVING COUNT(*) > 0 ORDER BY 2",
    "SELECT ROUND(100.0 * COUNT_IF(has_iep) / COUNT(*), 1) AS pct, ABS(COUNT(*) - 1000) AS far, FLOOR(COUNT(*) / 7) AS f, COALESCE(NULLIF(COUNT(*), 0), -1) AS c, GREATEST(COUNT(*), 5) AS g FROM student_year",
    "SELECT CAST(COUNT(*) AS VARCHAR) AS text, SQRT(COUNT(*)) AS root, LN(COUNT(*)) AS log, POWER(COUNT(*), 0.5) AS power, COUNT(*) > 5 AS big FROM student_year",
    f"SELECT SUM(n) AS total, AVG(n) AS mean, MIN(n) AS low, MAX(n) AS high, COUNT(*) AS grades FROM ({GROUPS}) g WHERE n > 0",
    f"SELECT n > 200 AS big, COUNT(*) AS grades, SUM(n) AS students FROM ({GROUPS}) g WHERE n > 0 GROUP BY 1 HAVING COUNT(*) > 0 ORDER BY 1",
    f"WITH y AS ({YEARS}) SELECT a.school_year, b.n - a.n AS change, a.n FROM y a JOIN y b ON b.school_year = a.school_year + 1 ORDER BY 1",
    f"WITH y AS ({YEARS}) SELECT a.school_year, b.n FROM y a LEFT JOIN y b ON b.school_year = a.school_year + 1 ORDER BY 1",
    f"WITH y AS ({YEARS}), top AS (SELECT * FROM y ORDER BY n DESC, school_year LIMIT 2) SELECT school_year FROM top ORDER BY 1",
    "SELECT COUNT(*) AS n FROM student UNION ALL SELECT COUNT(*) FROM student_year UNION ALL SELECT COUNT(*) FROM student",
    "SELECT 'F' AS who, COUNT(*) AS n FROM student WHERE sex = 'F' UNION ALL SELECT 'M', COUNT(*) FROM student WHERE sex = 'M' ORDER BY who DESC",
    f"SELECT school_year FROM ({YEARS}) a EXCEPT SELECT school_year FROM ({YEARS}) b WHERE n > 600 ORDER BY 1",
    f"SELECT DISTINCT n > 100 AS big FROM ({GROUPS}) g ORDER BY 1".replace(" ORDER BY 1", ""),
    f"SELECT school_year, n FROM ({YEARS}) y QUALIFY ROW_NUMBER() OVER (ORDER BY n DESC) <= 2 ORDER BY n",
    f"SELECT x.school_year, y.n FROM ({YEARS}) x CROSS JOIN (SELECT COUNT(*) AS n FROM student) y WHERE x.n > y.n ORDER BY 1",
    "SELECT c.school_level, COUNT(*) AS n FROM student_year y JOIN school c USING (school_id) GROUP BY 1 HAVING COUNT(*) > 10 ORDER BY 2 DESC",
    "SELECT school_year, has_iep, COUNT(*) AS n FROM student_year WHERE school_year >= '2023' AND has_iep <> 'true' GROUP BY ALL HAVING school_year IN ('2024', 2025, '2026') AND n > '3' AND has_iep = 'false' ORDER BY ALL",
    "SELECT grade_level, COUNT(*) AS n FROM student_year WHERE schools_attended BETWEEN '2' AND '3' AND has_iep IN ('false') GROUP BY ALL HAVING n > '0' ORDER BY ALL DESC",
    f"WITH y AS ({YEARS}) SELECT n > 500 AS many, school_year FROM y WHERE n / 2 BETWEEN '10.5' AND '900000' ORDER BY ALL DESC",
    f"WITH y AS ({YEARS} HAVING school_year < 2024), z AS ({YEARS} HAVING school_year > 2022) SELECT school_year, y.n, z.n AS m FROM y FULL JOIN z USING (school_year) ORDER BY 1",
    f"WITH y AS ({YEARS} HAVING school_year < 2024), z AS ({YEARS} HAVING school_year > 2022) SELECT * FROM y RIGHT JOIN z USING (school_year) ORDER BY ALL",
    f"WITH y AS ({YEARS} HAVING school_year < 2024), z AS ({YEARS} HAVING school_year > 2022) SELECT school_year, COUNT(*) AS c, SUM(z.n) AS m FROM y FULL JOIN z USING (school_year) LEFT JOIN y x USING (school_year) WHERE school_year > 2020 GROUP BY school_year ORDER BY 1",
    f"WITH y AS ({YEARS} HAVING school_year < 2024), z AS ({YEARS} HAVING school_year > 2022) SELECT y.*, z.*, y.school_year AS a FROM y FULL JOIN z USING (school_year) ORDER BY z.school_year, y.school_year",
    f"WITH y AS ({YEARS}) SELECT * FROM y a JOIN y b USING (school_year) JOIN y c ON c.school_year = a.school_year + 1 ORDER BY ALL",
    f"WITH y AS ({YEARS}) SELECT b.*, * FROM y a LEFT JOIN y b ON b.school_year = a.school_year + 1 JOIN (SELECT MAX(school_year) AS top FROM y) ON TRUE ORDER BY ALL",
    f"WITH y AS ({YEARS}) SELECT * FROM y JOIN (SELECT school_year, n FROM y) USING (school_year) ORDER BY ALL",
    f"WITH y AS ({YEARS}) SELECT ROUND(n / 100.0) AS b, COUNT(*) AS c FROM y GROUP BY b ORDER BY 1",
    f"WITH y AS ({YEARS}) SELECT n, n * 2 AS m, school_year FROM y GROUP BY school_year, n ORDER BY 3",
    "SELECT 'disjoint_0_0_0_0' AS t, sex, RANK() OVER (ORDER BY COUNT(*)) AS r FROM student GROUP BY sex ORDER BY 2",
    "SELECT sex, CASE WHEN sex = 'disjoint_9_9_9_9' THEN 1 ELSE 2 END AS t, COUNT(*) > 2 AS n FROM student GROUP BY sex ORDER BY 1",
    "SELECT has_iep, IF(has_iep, 'yes', 'no') AS word, COUNT(*) AS n FROM student_year GROUP BY has_iep ORDER BY has_iep",
]


@pytest.mark.parametrize("sql", QUESTIONS)
def test_the_statement_over_released_tables_means_what_was_written(sql, vault):
    """Without noise the answer is that of the researcher's own SQL over the records."""
    _, table = without_noise(vault, sql)
    plainly = vault.cursor().execute(sql.replace("student_key", OWNER)).fetchall()
    if "ORDER BY" not in sql.rsplit(")", 1)[-1]:
        plainly, table.rows[:] = sorted(plainly, key=repr), sorted(table.rows, key=repr)
    assert len(table.rows) == len(plainly)
    for ours, theirs in zip(table.rows, plainly, strict=True):
        assert ours == tuple(pytest.approx(float(v)) if isinstance(v, float) else v for v in theirs)


@pytest.mark.parametrize("sql", QUESTIONS)
def test_whatever_is_drawn_is_answered_and_answered_again(sql, canonical):
    """No number that noise can give makes the statement fail, or answer otherwise a second time."""
    plan = planned(canonical, sql, canonical.cohorts)
    odd = [0, 1, -1, 7, -400, 2**40, -(2**62), 2**62]
    for shift in range(3):
        values = tuple(
            np.array([odd[(i * 5 + shift) % len(odd)] for i in range(len(s.keys.rows))], dtype=np.int64)
            for s in plan.statistics
        )
        draws = Draws(values, (3.0,) * len(values))
        once = combination.answer(plan, draws)
        assert once == combination.answer(plan, draws)
        assert all(v is None or not isinstance(v, float) or math.isfinite(v) for row in once.rows for v in row)


def answered(catalog, sql, values, scales):
    plan = planned(catalog, sql, catalog.cohorts)
    assert len(plan.statistics) == len(values)
    return combination.answer(plan, Draws(tuple(np.array(v, dtype=np.int64) for v in values), tuple(scales)))


def test_having_acts_on_the_noisy_numbers(canonical):
    """A group is left out by what was drawn for it, whatever its true size."""
    sql = "SELECT sex, COUNT(*) AS n FROM student GROUP BY sex HAVING COUNT(*) > 10"
    table = answered(canonical, sql, [[11, -5, 10, 300]], [4.0])
    assert table.rows == [("F", 11), ("unknown", 300)]
    assert table.se == [(None, 4.0), (None, 4.0)]


def test_an_estimate_keeps_its_margin_wherever_it_goes(canonical):
    """Through CTEs, joins, unions and order; what is computed from it by more than arithmetic has none, with a reason."""
    sql = (
        "WITH g AS (SELECT sex, COUNT(*) AS n FROM student GROUP BY sex) SELECT a.n, RANK() OVER (ORDER BY a.n) AS r, FLOOR(a.n) AS x"
        " FROM g a WHERE a.n > 0 UNION ALL SELECT n, 0, 0 FROM g WHERE n = 7 ORDER BY 1 DESC"
    )
    table = answered(canonical, sql, [[5, -1, 7, 9]], [2.0])
    assert [row[0] for row in table.rows] == [9, 7, 7, 5]
    assert table.se == [(2.0, None, None)] * 4
    assert table.reasons[0] is None
    assert table.reasons[1] == table.reasons[2] == combination.COMPUTED
    sql = "SELECT ABS(COUNT(*)) AS x, FLOOR(COUNT(*)) AS y FROM student"
    assert answered(canonical, sql, [[5]], [2.0]).se == [(None, None)]


def test_a_difference_of_two_cells_has_the_error_of_both(canonical):
    """Independent draws add their variances; of one draw taken twice nothing is said."""
    sql = (
        "WITH g AS (SELECT cohort_year AS y, COUNT(*) AS n FROM student WHERE cohort_year IN (2030, 2031) GROUP BY 1)"
        " SELECT b.n - a.n AS change, 2 * b.n AS twice, b.n / 4.0 AS quarter FROM g a JOIN g b ON {0} ORDER BY b.y"
    )
    (change, twice, quarter), *_ = answered(canonical, sql.format("b.y = a.y + 1"), [[10, 30]], [3.0]).se
    assert (change, twice, quarter) == (pytest.approx(3 * math.sqrt(2)), 6.0, 0.75)
    table = answered(canonical, sql.format("b.y = a.y"), [[10, 30]], [3.0])
    assert [row[0] for row in table.rows] == [0.0, 0.0]
    assert [row[0] for row in table.se] == [None, None]


def test_two_questions_about_one_thing_measure_it_once(canonical):
    """A union or join of a question with itself costs what the question costs, and its draws are not independent."""
    sql = "SELECT x.n - y.n AS none FROM (SELECT COUNT(*) AS n FROM student) x, (SELECT COUNT(*) AS n FROM student) y"
    table = answered(canonical, sql, [[1000]], [5.0])
    assert (table.rows, table.se) == ([(0.0,)], [(None,)])
    sql = "SELECT x.n - y.n AS some FROM (SELECT COUNT(*) AS n FROM student) x, (SELECT COUNT(*) AS n FROM student_year) y"
    (se,) = answered(canonical, sql, [[1000], [50]], [3.0, 4.0]).se
    assert se == (pytest.approx(5.0),)


def test_odd_numbers_become_null(canonical):
    """Division by zero, roots and logarithms of what has none, and what is too large: NULL, never a failure."""
    sql = "SELECT CASE WHEN TRUE THEN COUNT(*) END / 0 AS a, SQRT(COUNT(*)) AS b, LN(COUNT(*)) AS c, EXP(COUNT(*) * -1000) AS d, POWER(COUNT(*), 0.5) AS e, CAST('x' AS INTEGER) AS f FROM student"
    assert answered(canonical, sql, [[-4]], [1.0]).rows == [(None,) * 6]


@pytest.mark.parametrize(
    ("sql", "code", "accepted"),
    [
        ("SELECT g.n FROM (SELECT COUNT(*) AS n FROM student) g JOIN student s ON TRUE", "unsupported", "asked by itself"),
        ("SELECT COUNT(*) FROM (SELECT student_key, STRING_AGG(subject_area) AS n FROM course_grade GROUP BY student_key) c JOIN student s USING (student_key)", "unsupported", "COUNT(DISTINCT"),
        ("SELECT g.n FROM (SELECT COUNT(*) AS n FROM student) g JOIN (SELECT student_key FROM student GROUP BY student_key) s ON TRUE", "unsupported", "asked by itself"),
        ("SELECT RANK() OVER (ORDER BY gpa) FROM student_year", "unsupported", "in GROUP BY"),
        ("SELECT MAX(gpa) OVER () FROM student_year", "unsupported", "in GROUP BY"),
        ("SELECT grade_level, gpa FROM student_year GROUP BY grade_level HAVING COUNT(*) > 5", "unsupported", "in GROUP BY"),
        ("SELECT COUNT(*) FROM student HAVING MAX(cohort_year) > 2030", "unsupported", "share beyond"),
        ("SELECT n, COUNT(*) FROM (SELECT COUNT(*) AS n FROM student) g", "unsupported", "n in GROUP BY"),
        ("SELECT SUM(SUM(n)) FROM (SELECT COUNT(*) AS n FROM student) g", "unsupported", "CASE"),
        ("SELECT m FROM (SELECT COUNT(*) AS n FROM student) g", "unknown_name", "n"),
        ("SELECT COUNT(*) FROM student UNION ALL SELECT sex, COUNT(*) FROM student GROUP BY 1", "syntax", "as many"),
        ("SELECT sex FROM student UNION ALL SELECT 'x'", "unsupported", "in GROUP BY"),
        ("SELECT COUNT(*) FROM student HAVING 'x'", "unsupported", "COUNT(*) > 100"),
        ("SELECT COUNT(*) FROM student HAVING COUNT(*) > (SELECT COUNT(*) FROM student)", "unsupported", "CROSS JOIN"),
        ("WITH g AS (SELECT sex, COUNT(*) AS n FROM student GROUP BY sex) SELECT sex, n / (SELECT SUM(n) FROM g) AS share FROM g", "unsupported", "CROSS JOIN"),
        ("WITH g AS (SELECT sex, COUNT(*) AS n FROM student GROUP BY sex) SELECT z.* FROM g", "unknown_name", "g"),
        ("WITH g AS (SELECT sex, COUNT(*) AS n FROM student GROUP BY sex) SELECT h.n FROM g", "unknown_name", "g"),
        ("SELECT READ_CSV(COUNT(*)) FROM student HAVING TRUE", "unsupported", "CASE"),
        ("SELECT a.n FROM (SELECT cohort_year, school_year, grade_level, COUNT(*) AS n FROM student_year GROUP BY ALL) a, (SELECT cohort_year, school_year, grade_level, COUNT(*) AS n FROM student_year GROUP BY ALL) b", "too_large", "fewer groups"),
        ("WITH RECURSIVE r AS (SELECT COUNT(*) AS n FROM student UNION ALL SELECT n FROM r) SELECT n FROM r", "unsupported", ""),
        ("SELECT COUNT(*) AS n FROM student ORDER BY 7", "syntax", "1"),
    ],
)  # fmt: skip
def test_what_is_not_accepted_says_what_is(sql, code, accepted, canonical):
    """Each refusal has a code and says what would be accepted, before anything is charged."""
    with pytest.raises(QueryRefused) as caught:
        combination.check(planned(canonical, sql, canonical.cohorts))
    assert caught.value.code == code
    assert accepted in (caught.value.accepted or "")


def test_a_margin_is_asked_for_where_there_can_be_one(canonical):
    """A rank has none to keep; the only estimate beside it needs no name."""
    sql = "SELECT sex, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*)) AS r FROM student GROUP BY sex"
    plan = planned(canonical, sql, canonical.cohorts)
    assert accuracy.resolved(plan, [(None, 40.0)]) == ((1, 40.0),)
    with pytest.raises(QueryRefused, match="r is computed from estimates") as refused:
        accuracy.resolved(plan, [("r", 40.0)])
    assert refused.value.accepted == "a moe for n"
    rounded = planned(canonical, "SELECT ROUND(COUNT(*)) AS r FROM student", canonical.cohorts)
    for name in ("r", None):
        with pytest.raises(QueryRefused, match="r is computed from estimates"):
            accuracy.resolved(rounded, [(name, 40.0)])
    with pytest.raises(QueryRefused, match="no estimate called x"):
        accuracy.resolved(plan, [("x", 40.0)])


def test_names_do_not_matter_and_the_statement_does(canonical):
    """One digest for one meaning: other names are the same plan, another HAVING is another."""
    digests = [
        planned(canonical, sql, canonical.cohorts).digest
        for sql in (
            "SELECT sex, COUNT(*) AS n FROM student GROUP BY sex HAVING COUNT(*) > 5",
            "SELECT sex AS s, COUNT(*) AS many FROM student GROUP BY 1 HAVING many > 5",
            "SELECT sex, COUNT(*) AS n FROM student GROUP BY sex HAVING COUNT(*) > 6",
        )
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "first", ["SELECT student_key, sex FROM student", "SELECT student_key, COUNT(*) AS sex FROM student"]
)
def test_ctes_that_double_are_refused_soon(first, canonical):
    """Each CTE that names the one before twice is read once; what is written out grows, and is refused."""
    chain = [
        f"c{i} AS (SELECT a.sex, a.student_key FROM c{i - 1} a JOIN c{i - 1} b USING (student_key))"
        for i in range(1, 30)
    ]
    sql = f"WITH c0 AS ({first}), {', '.join(chain)} SELECT COUNT(*) FROM c29 HAVING COUNT(*) > 1"
    start = time.perf_counter()
    with pytest.raises(QueryRefused):
        planned(canonical, sql, canonical.cohorts)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "statement",
    ["SET threads = 4", "SELECT * FROM read_csv('/etc/passwd')", "ATTACH '/tmp/x.db' AS x", "SELECT * FROM beside", "INSTALL httpfs"],
)  # fmt: skip
def test_the_database_of_noisy_numbers_is_locked(statement):
    """It sees the tables it is given, and can neither be opened wider nor reach a file or a variable."""
    beside = pa.table({"secret": [1]})
    with pytest.raises(duckdb.Error):
        combination._cursor().execute(statement)
    assert beside.num_rows == 1


def test_threads_answer_beside_one_another(canonical):
    """Each on a cursor of its own, with the same names for other tables."""
    sql = "SELECT sex, COUNT(*) AS n FROM student GROUP BY sex HAVING COUNT(*) > 0"

    def asked(size):
        return answered(canonical, sql, [[size, size, size, size]], [2.0]).rows

    with ThreadPoolExecutor(4) as pool:
        for size, rows in zip(range(1, 60), pool.map(asked, range(1, 60)), strict=True):
            assert {n for _, n in rows} == {size}


def test_joins_of_unions_are_bounded_before_anything_is_multiplied_out(canonical):
    """A union of twenty answers joined five times with itself has 64 million rows: refused, at once and in little room."""
    parts = " UNION ALL ".join(f"SELECT COUNT(*) AS n FROM student_year WHERE days_enrolled > {i}" for i in range(20))
    sql = f"WITH u AS ({parts}) SELECT a.n FROM u a, u b, u c, u d, u e, u f"
    start = time.perf_counter()
    with pytest.raises(QueryRefused) as caught:
        planned(canonical, sql, canonical.cohorts)
    assert (caught.value.code, time.perf_counter() - start < 2) == ("too_large", True)
    assert "64,000,000" in caught.value.message


@pytest.mark.parametrize(
    ("made", "said"),
    [("AVG(n)", True), ("COUNT(*)", True), ("MIN(n), SUM(n)", True), ("SUM(n)", False), ("SUM(n) / 7", False)],
)
def test_that_groups_without_students_count_in_an_average_is_said(made, said, canonical):
    """Which groups have students is not told, so an average of groups is over all of them; a sum does not mind."""
    sql = f"SELECT grade_level, {made} FROM (SELECT school_year, grade_level, COUNT(*) AS n FROM student_year GROUP BY 1, 2) GROUP BY 1"
    told = notes(planned(canonical, sql, canonical.cohorts), [], "research")
    assert any("without a student" in note for note in told) == said
