# ruff: noqa: PLR2004 - the chances and marks of an invented life stand where they are used
"""Courses and programmes of the invented district.

Grades 6 to 12 take five to eight courses a year, four of them ELA, mathematics, science and social studies.
A passed course earns its credit; middle schools count credits as high schools do. Honors courses weigh half a
grade point more, AP, IB and dual-credit courses one. `gpa` is the plain mean of a year's grade points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.intake.demo_arrow import Flags, Floats, Ints, decimal, text
from engine.intake.demo_roster import DROPS_OUT
from engine.intake.demo_schools import FIRST_HIGH_GRADE, FIRST_MIDDLE_GRADE

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.intake.demo_roster import People, Years
    from engine.intake.demo_schools import Schools

SUBJECT_AREAS = ("ela", "math", "science", "social", "world_lang", "arts", "pe_health", "cte", "other")
COURSE_LEVELS = ("regular", "honors", "ap_ib", "dual_credit", "remedial")
PROGRAM_TYPES = ("cte", "gifted", "title_i_tas", "after_school", "tutoring", "bilingual")
_REGULAR, _HONORS, _AP, _DUAL, _REMEDIAL = range(5)
_CTE = SUBJECT_AREAS.index("cte")
_CORE, _SLOTS = 4, 8
_ELECTIVES = np.array([4, 5, 6, 7, 8])
_ELECTIVE_SHARE = np.array([0.24, 0.26, 0.26, 0.14, 0.1])
_HALF_CREDIT = np.isin(np.arange(len(SUBJECT_AREAS)), [6, 8])  # health and other electives last half a year
_POINTS = np.array([0, 100, 130, 170, 200, 230, 270, 300, 330, 370, 400])  # F, D, D+, C-, ... A, in hundredths
_POINT_EDGES = np.array([95, 120, 150, 185, 215, 250, 285, 315, 350, 385])
_BONUS = np.array([0, 50, 100, 100, 0])  # by course level, in hundredths


@dataclass(frozen=True, slots=True)
class Courses:
    """The table `course_grade`, and for each row of `years` the mean of its points in hundredths, or -1."""

    table: Any
    gpa: Ints


def courses(
    people: People,
    years: Years,
    absent_share: Floats,
    cte: Flags,
    common: Callable[[Years], dict[str, Any]],
    rng: np.random.Generator,
) -> Courses:
    """All courses; who is enrolled less than 20 days gets no marks."""
    rows = np.flatnonzero((years.grade >= FIRST_MIDDLE_GRADE) & (years.days >= 20))
    takers = years.take(rows)
    n = len(rows)
    ability = people.ability[takers.person]
    taken = np.arange(_SLOTS) < (5 + rng.choice(4, n, p=[0.05, 0.35, 0.42, 0.18]))[:, None]
    area = _areas(cte[rows], rng)
    level = _levels(takers.grade, ability, area, rng)
    mark = 262 + 54 * ability - 22 * people.absence[takers.person] - 420 * np.minimum(absent_share[rows] - 0.06, 0.3)
    mark += rng.normal(0, 26, n) - 95 * takers.held - 70 * (takers.exit == DROPS_OUT)
    marks = mark[:, None] + rng.normal(0, 52, (n, _SLOTS)) + 18 * (area > _CORE)
    base = _POINTS[np.searchsorted(_POINT_EDGES, marks)]
    passed = base > 0
    points = np.where(passed, base + _BONUS[level], 0)
    totals, counts = np.where(taken, points, 0).sum(axis=1), taken.sum(axis=1)
    gpa = np.full(len(years.person), -1)
    gpa[rows] = (2 * totals + counts) // (2 * counts)
    flat = taken.ravel()
    chosen = area.ravel()[flat]
    credit = np.where(_HALF_CREDIT[chosen], 50, 100)
    table = pa.table(
        {
            **common(takers.take(np.repeat(np.arange(n), counts))),
            "subject_area": text(chosen, SUBJECT_AREAS),
            "course_level": text(level.ravel()[flat], COURSE_LEVELS),
            "grade_points": decimal(points.ravel()[flat], 3, 2),
            "credits_earned": decimal(np.where(passed.ravel()[flat], credit, 0), 3, 2),
            "is_passed": passed.ravel()[flat],
        }
    )
    return Courses(table, gpa)


def _areas(cte: Flags, rng: np.random.Generator) -> Ints:
    """The subject of each course slot: four core subjects, then electives, with CTE for CTE students."""
    area = np.empty((len(cte), _SLOTS), dtype=np.int64)
    area[:, :_CORE] = np.arange(_CORE)
    area[:, _CORE:] = rng.choice(_ELECTIVES, (len(cte), _SLOTS - _CORE), p=_ELECTIVE_SHARE)
    area[:, _CORE] = np.where(cte, _CTE, area[:, _CORE])
    return area


def _levels(grade: Ints, ability: Floats, area: Ints, rng: np.random.Generator) -> Ints:
    """The level of each course, by grade and ability; the later rule wins."""
    shape = area.shape
    leaning = ability[:, None] + rng.normal(0, 0.45, shape)
    chance = rng.random(shape)
    academic, year = area <= _CORE, grade[:, None]
    level = np.full(shape, _REGULAR)
    level[academic & (year > FIRST_MIDDLE_GRADE) & (leaning > 0.75) & (chance < 0.7)] = _HONORS
    level[academic & (year > FIRST_HIGH_GRADE) & (leaning > 0.85) & (chance < 0.42)] = _AP
    level[academic & (year > FIRST_HIGH_GRADE + 1) & (leaning > 0) & (chance > 0.93)] = _DUAL
    level[(area < _CORE - 2) & (leaning < -1.1) & (chance < 0.5)] = _REMEDIAL
    return level


def memberships(people: People, years: Years, schools: Schools, rng: np.random.Generator) -> tuple[Flags, ...]:
    """For each programme type which rows of `years` take part."""
    n = len(years.person)
    grade, ability = years.grade, people.ability[years.person]
    sticky = rng.random(len(people.cohort))[years.person]  # the same leaning every year
    low = ability < -0.35
    ks = rng.random((len(PROGRAM_TYPES), n))
    return (
        (grade >= FIRST_HIGH_GRADE) & (sticky < 0.2 + 0.06 * (grade - FIRST_HIGH_GRADE)) & (ks[0] < 0.9),
        (grade > 1) & (grade < FIRST_HIGH_GRADE) & (ability + 0.6 * sticky > 1.75) & (ks[1] < 0.95),
        schools.is_title_i[years.school] & low & (ks[2] < 0.4),
        (grade >= 0) & (grade < FIRST_HIGH_GRADE) & (ks[3] < 0.08 + 0.06 * years.econ),
        (grade > 0) & (ks[4] < np.where(low, 0.16, 0.04) * np.where(years.year > 2021, 1.5, 1.0)),
        years.learner & (sticky < 0.6) & (ks[5] < 0.95),
    )


def program_table(
    years: Years, taking_part: tuple[Flags, ...], owner_and_year: Callable[[Years], dict[str, Any]]
) -> Any:
    """The table `program`: one row for each student, year and programme type."""
    parts = []
    for code, flags in enumerate(taking_part):
        columns = owner_and_year(years.take(flags))
        parts.append(pa.table({**columns, "program_type": text(np.full(int(flags.sum()), code), PROGRAM_TYPES)}))
    return pa.concat_tables(parts)
