"""The questions of the bench, and for each what an expert would write by hand with DuckDB and OpenDP.

The expert knows the schema, adds noise of the same scale to the same exact integers, and keeps no ledger, no key
list, no margins and no journal: the least that a private answer can cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import opendp.prelude as dp

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class BenchQuestion:
    """One question.

    Attributes:
        name: what is asked.
        sql: with {i} where a fresh literal goes, so that nothing is answered from a stored measurement.
        expert: SQL of the same with the integers the noise is added to in columns s0, s1, …
        sensitivities: L2, of each of these.
        slack_ms: what everything but the plain query and the noise may take.
    """

    name: str
    sql: str
    expert: str
    sensitivities: tuple[float, ...]
    slack_ms: float = 15.0
    plan_ms_max: float = 3.0


CHRONIC = "days_absent >= 0.10 * days_enrolled"
YEAR = "FROM student_year WHERE school_year = 2025 AND days_enrolled >= {i}"
GRADUATE = "outcome = 'regular_diploma' AND years_to_outcome <= 4 AND grad_cohort > {i}"
IN_COHORT = "FROM graduation WHERE grad_cohort = 2025 AND cohort_status = 'in_cohort'"
JOINED = (
    "FROM student_year y JOIN student s ON s.student_key = y.student_key "
    "WHERE y.school_year = 2025 AND y.days_enrolled >= {i} GROUP BY 1, 2, 3, 4"
)

QUESTIONS = (
    BenchQuestion(
        "enrolment by grade (Q01)",
        f"SELECT grade_level, COUNT(*) AS students {YEAR} GROUP BY grade_level",
        f"SELECT grade_level, COUNT(*) AS s0 {YEAR} GROUP BY grade_level",
        (1.0,),
    ),
    BenchQuestion(
        "share disadvantaged by school (Q03)",
        f"SELECT school_id, AVG(CASE WHEN econ_disadv THEN 1.0 ELSE 0.0 END) AS share {YEAR} GROUP BY school_id",
        f"SELECT school_id, COUNT(*) AS s0, SUM(CASE WHEN econ_disadv THEN 1 ELSE -1 END)::BIGINT AS s1 {YEAR} "
        "GROUP BY school_id",
        (1.0, 1.0),
    ),
    BenchQuestion(
        "chronic absenteeism (Q04)",
        f"SELECT COUNT(*) AS students, SUM(CASE WHEN {CHRONIC} THEN 1 ELSE 0 END) AS chronic {YEAR}",
        f"SELECT COUNT(*) AS s0, SUM(CASE WHEN {CHRONIC} THEN 1 ELSE -1 END)::BIGINT AS s1 {YEAR}",
        (1.0, 1.0),
    ),
    BenchQuestion(
        "chronic rate by grade and EL (Q05)",
        f"SELECT grade_level, english_learner, AVG(CASE WHEN {CHRONIC} THEN 1.0 ELSE 0.0 END) AS rate {YEAR} "
        "GROUP BY grade_level, english_learner",
        f"SELECT grade_level, english_learner, COUNT(*) AS s0, SUM(CASE WHEN {CHRONIC} THEN 1 ELSE -1 END)::BIGINT AS s1 "
        f"{YEAR} GROUP BY grade_level, english_learner",
        (1.0, 1.0),
    ),
    BenchQuestion(
        "four-year graduation (Q10)",
        f"SELECT COUNT(*) AS cohort, SUM(CASE WHEN {GRADUATE} THEN 1 ELSE 0 END) AS graduates {IN_COHORT}",
        f"SELECT COUNT(*) AS s0, SUM(CASE WHEN {GRADUATE} THEN 1 ELSE -1 END)::BIGINT AS s1 {IN_COHORT}",
        (1.0, 1.0),
    ),
    BenchQuestion(
        "mean GPA by year and grade",
        "SELECT school_year, grade_level, AVG(gpa) AS gpa FROM student_year WHERE days_enrolled >= {i} "
        "GROUP BY school_year, grade_level",
        "SELECT school_year, grade_level, COUNT(gpa) AS s0, SUM((LEAST(GREATEST(gpa, 0), 5) * 100)::BIGINT - 250)::BIGINT "
        "AS s1 FROM student_year WHERE days_enrolled >= {i} GROUP BY school_year, grade_level",
        (math.sqrt(7), 250 * math.sqrt(7)),
    ),
    BenchQuestion(
        "mobility by school level (Q14, a join)",
        "SELECT c.school_level, AVG(CASE WHEN y.schools_attended > 1 THEN 1.0 ELSE 0.0 END) AS mobility "
        "FROM student_year y JOIN school c ON c.school_id = y.school_id "
        "WHERE y.school_year = 2025 AND y.days_enrolled >= {i} GROUP BY c.school_level",
        "SELECT c.school_level, COUNT(*) AS s0, SUM(CASE WHEN y.schools_attended > 1 THEN 1 ELSE -1 END)::BIGINT AS s1 "
        "FROM student_year y JOIN school c ON c.school_id = y.school_id "
        "WHERE y.school_year = 2025 AND y.days_enrolled >= {i} GROUP BY c.school_level",
        (1.0, 1.0),
        plan_ms_max=6.0,
    ),
    BenchQuestion(
        "school, grade, race, poverty (a join)",
        f"SELECT y.school_id, y.grade_level, s.race_ethnicity, y.econ_disadv, COUNT(*) AS students {JOINED}",
        f"SELECT y.school_id, y.grade_level, s.race_ethnicity, y.econ_disadv, COUNT(*) AS s0 {JOINED}",
        (1.0,),
        slack_ms=20.0,
        plan_ms_max=math.inf,
    ),
)


def by_hand(plain: duckdb.DuckDBPyConnection, question: BenchQuestion, i: int, rho: float) -> list[np.ndarray]:
    """The expert's answer: exact integers from DuckDB, noise from OpenDP, each statistic with half of ρ."""
    found = plain.execute(question.expert.format(i=i)).fetchnumpy()
    noisy = []
    for position, sensitivity in enumerate(question.sensitivities):
        vector = np.ma.filled(found[f"s{position}"], 0).astype(np.int64)
        space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
        scale = sensitivity / math.sqrt(2 * rho / len(question.sensitivities))
        noisy.append(np.asarray(dp.m.make_gaussian(*space, scale=scale)(vector)))
    return noisy
