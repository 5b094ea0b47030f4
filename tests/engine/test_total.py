"""What an attacker found once: questions whose SQL failed, or whose meaning changed, by a record's value."""

from __future__ import annotations

import contextlib
import time

import pytest

from engine.preparation import planned
from engine.refusals import QueryRefused
from tests.engine.counting import exact_vectors

BIG = "400000000000000000.0"
ORACLES = [
    "COALESCE(CAST(({cond}) AS DECIMAL(1, 1)), " + BIG + ") * school_year <> 5",
    (
        "(CASE WHEN school_year IN (202.5, CAST(3000 AS DOUBLE)) AND ({cond}) THEN 4000000000000000000 ELSE 0 END)"
        " * school_year <> 5"
    ),
    (
        "(CASE WHEN CAST((CASE WHEN school_year = 2025 THEN school_year ELSE 2025 END) * 1531701.701925027 AS DOUBLE)"
        " > CAST(2025 * 1531701.701925027 AS DOUBLE) AND ({cond}) THEN 4000000000000000000 ELSE 0 END)"
        " * school_year <> 5"
    ),
]


@pytest.mark.parametrize("oracle", ORACLES)
def test_whether_a_question_fails_tells_nothing_of_a_record(oracle, district):
    """A condition that some record meets and one that none meets end the same way."""
    ends = []
    for cond in ("school_year = 2025 AND econ_disadv", "school_year = 2025 AND grade_level = 'PK' AND is_dropout"):
        try:
            district.ask(f"SELECT COUNT(*) AS n FROM student_year WHERE {oracle.format(cond=cond)}", epsilon=0.01)
            ends.append("answered")
        except QueryRefused as refusal:
            ends.append(refusal.code)
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT SUM(CAST(gpa AS DOUBLE) * 0) AS s FROM student_year",
        "SELECT SUM(0 / days_enrolled) AS s FROM student_year",
        "SELECT COUNT(*) AS n FROM student_year WHERE school_year IN (202.5, CAST(2024 AS DOUBLE))",
        "SELECT COUNT(*) AS n FROM student_year WHERE is_dropout IN (1, 0)",
        "SELECT COUNT(*) * 0 AS n, 1 / COUNT(*) AS r, COUNT(*) * COUNT(gpa) AS s FROM student_year",
    ],
)
def test_odd_but_sound_questions_are_answered(sql, district):
    """They neither crash nor are refused."""
    assert district.ask(sql, epsilon=0.01).rows


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT SUM(gpa" + " * CAST(0.000000001 AS DOUBLE)" * 34 + ") AS s FROM student_year",
        "SELECT COUNT(*)" + " * 4000000000000000000" * 20 + " AS n FROM graduation",
        "SELECT COUNT(*) AS n FROM student_year WHERE " + "NULLIF(" * 14 + "gpa" + ", 1)" * 14 + " > 0",
        "SELECT COUNT(*) AS n FROM student_year WHERE "
        + "CAST(CAST(" * 12
        + "gpa"
        + " AS DOUBLE) AS DECIMAL(18, 2))" * 12
        + " > 0",
        "SELECT COUNT(*) AS n FROM student_year WHERE CAST(gpa AS DECIMAL(²,1)) > 0",
        "SELECT COUNT(*) AS n FROM student_year WHERE is_dropout IN (TRUE, 1)",
    ],
)
def test_what_cannot_be_answered_is_refused_before_it_is_charged(sql, district):
    """A refusal costs nothing."""
    with pytest.raises(QueryRefused):
        district.ask(sql)
    assert {balance.lifetime_spent for balance in district.balances().values()} == {0}


def test_mixed_lists_mean_what_their_parts_mean(district):
    """x IN (a, b) counts as x = a OR x = b, whatever the types of a and b."""
    one = district.preview("SELECT COUNT(*) AS n FROM student_year WHERE gpa IN (3.5, CAST(9 AS DOUBLE))")
    assert one.charges
    counts = []
    for condition in ("gpa IN (3.5, CAST(9 AS DOUBLE))", "gpa = 3.5 OR gpa = CAST(9 AS DOUBLE)", "gpa = 3.5"):
        plan = planned(
            district.catalog, f"SELECT COUNT(*) FROM student_year WHERE {condition}", district.catalog.cohorts
        )
        counts.append(exact_vectors(district._house.vault, plan)[0].tolist())
    assert counts[0] == counts[1] == counts[2]
    assert counts[0][0] > 0


CHAINS = {
    "is true": lambda n: f"SELECT COUNT(*) AS n FROM student_year WHERE has_iep{' IS TRUE' * n}",
    "casts": lambda n: f"SELECT SUM(gpa{'::DOUBLE::DECIMAL(5,2)' * n}) AS n FROM student_year",
    "products": lambda n: f"SELECT {'*'.join(['COUNT(*)'] * n)} AS n FROM student_year",
    "quotients": lambda n: f"SELECT {'/'.join(['COUNT(*)'] * n)} AS n FROM student_year",
    "sums": lambda n: f"SELECT SUM({'+'.join(['days_absent'] * n)}) AS n FROM student_year",
    "signs": lambda n: f"SELECT SUM({'- ' * n}gpa) AS n FROM student_year",
    "nots": lambda n: f"SELECT COUNT(*) AS n FROM student_year WHERE {'NOT ' * n}has_iep",
    "tiny": lambda n: f"SELECT COUNT(*){'*0.000000001' * n} + COUNT(gpa) AS n FROM student_year",
    "tiny divisors": lambda n: f"SELECT COUNT(*)/(COUNT(*){'*0.000000001' * n}) AS n FROM student_year",
}


@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize("size", [30, *(pytest.param(size, marks=pytest.mark.slow) for size in (6, 95, 180, 400))])
def test_a_chain_is_answered_or_refused_before_it_is_charged(kind, size, district):
    """However long it is: no failure inside, and nothing is paid for a refusal."""
    before = sum(balance.lifetime_spent for balance in district.balances().values())
    try:
        rows = district.ask(CHAINS[kind](size), epsilon=0.002).rows
    except QueryRefused as refused:
        after = sum(balance.lifetime_spent for balance in district.balances().values())
        rows = [refused.accepted] if after == before else []
    assert all(rows)


OVER_NOISE = {
    "products": lambda n: "*".join(["n"] * n),
    "sums": lambda n: "+".join(["n*1.5"] * n),
    "quotients": lambda n: f"{'(1/' * n}n{')' * n}",
    "roots": lambda n: f"{'SQRT(' * n}n{')' * n}",
    "powers": lambda n: f"{'POWER(' * n}n{', 1)' * n}",
    "nulls": lambda n: f"{'NULLIF(' * n}n{', 1)' * n}",
    "divisors": lambda n: f"{'n/NULLIF(' * n}n{', 0)' * n}",
    "roundings": lambda n: f"{'ROUND(' * n}n{')' * n}",
    "casts": lambda n: f"n{'::DOUBLE' * n}",
    "cases": lambda n: f"{'CASE WHEN n > 1 THEN ' * n}n{' ELSE 0.5 END' * n}",
    "coalesced": lambda n: f"{'COALESCE(' * n}n{', 0.5)' * n}",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OVER_NOISE)
@pytest.mark.parametrize(
    "written",
    [
        "WITH a AS (SELECT COUNT(*) AS n FROM student_year) SELECT {0} AS x FROM a",
        pytest.param(
            "SELECT grade_level, COUNT(*) AS n FROM student_year GROUP BY 1 HAVING {0} > 1", marks=pytest.mark.slow
        ),
        pytest.param(
            "SELECT grade_level, COUNT(*) AS n FROM student_year GROUP BY 1 ORDER BY {0}", marks=pytest.mark.slow
        ),
    ],
)
def test_arithmetic_on_noisy_numbers_takes_no_time(kind, written, district):
    """No function of the database copies what is inside it, so that depth costs no powers of two."""
    began = time.process_time()
    with contextlib.suppress(QueryRefused):
        district.preview(written.format(OVER_NOISE[kind](24)))
    assert time.process_time() - began < 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) AS n FROM student_year WHERE "
        + " AND ".join(f"(school_id <> {i} OR grade_level = '01')" for i in range(200))
        + " GROUP BY school_id, grade_level, econ_disadv, has_iep, is_retained, is_dropout",
        "SELECT COUNT(*) AS n FROM student_year WHERE econ_disadv OR has_iep GROUP BY school_id, school_year, econ_disadv, has_iep",
        "SELECT "
        + ", ".join(f"COUNT(*) AS n{i}" for i in range(200))
        + " FROM student_year GROUP BY school_id, grade_level, schools_attended, econ_disadv, has_iep",
    ],
)
def test_a_question_of_many_groups_is_foretold_soon(sql, district):
    """Within three seconds of work, also where cohorts are left out."""
    start = time.process_time()
    with contextlib.suppress(QueryRefused):
        district.preview(sql, cohorts=[2030], epsilon=0.001)
    assert time.process_time() - start < 3
