"""Tests of the invented district: public score ranges and cuts, and the scores of each student.

The state test has a vertical scale: the mean grows with the grade. Level 4 of 5 is proficient. The SAT is
given as its composite; its levels are cuts too, and level 4 is the college-readiness benchmark of 1010.
Tests are given in every year, 2020 included: an invented state had no reason to cancel them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.intake.demo_arrow import Flags, Floats, Ints, grade_text, text, whole
from engine.intake.demo_roster import YEARS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.intake.demo_roster import People, Years

PROGRAMS = ("state_summative", "sat")
SUBJECTS = ("math", "ela", "science", "composite")
PROFICIENT_LEVEL = 4
_STATE, _SAT = range(len(PROGRAMS))
_COMPOSITE = SUBJECTS.index("composite")
_CORE_GRADES = (3, 4, 5, 6, 7, 8, 11)
_GRADES = (_CORE_GRADES, _CORE_GRADES, (5, 8, 11))  # of the state test, by subject
_MEAN = {3: 425, 4: 449, 5: 470, 6: 486, 7: 500, 8: 512, 11: 536}  # of the state test, by grade
_LEVEL = (0, 5, -10)  # added to the mean, by subject
_STATE_CUTS = (-1.25, -0.55, 0.1, 1.1)  # of levels 2 to 5, in standard deviations
_SAT_CUTS = (800, 900, 1010, 1200)
_LEARNER_GAP = (0.4, 0.75, 0.55)  # in standard deviations, by subject
_YEAR_SHIFT = np.array([0.0, -0.16, -0.13, -0.08, -0.05, -0.03])  # by year from 2020
_SAT_SHARE = {11: 0.55, 12: 0.18}


@dataclass(frozen=True, slots=True)
class Scale:
    """The public scale of one test, subject and grade; `cuts` are the least scores of levels 2 to 5."""

    program: int
    subject: int
    grade: int
    mean: float
    spread: float
    step: int
    low: int
    high: int
    cuts: tuple[int, ...]


def scales() -> Iterator[Scale]:
    """Every scale there is."""
    for subject, grades in enumerate(_GRADES):
        for grade in grades:
            mean, spread = _MEAN[grade] + _LEVEL[subject], 40 + grade // 2
            low, high = (5 * round((mean + sign * 3 * spread) / 5) for sign in (-1, 1))
            cuts = tuple(round(mean + cut * spread) for cut in _STATE_CUTS)
            yield Scale(_STATE, subject, grade, mean, spread, 1, low, high, cuts)
    for grade in _SAT_SHARE:
        yield Scale(_SAT, _COMPOSITE, grade, 985 + 15 * (grade - 11), 190, 10, 400, 1600, _SAT_CUTS)


def range_table() -> Any:
    """The public table `scale_range`."""
    every = list(scales())
    return pa.table(
        {
            "test_program": text(np.array([scale.program for scale in every]), PROGRAMS),
            "subject": text(np.array([scale.subject for scale in every]), SUBJECTS),
            "grade_tested": grade_text(np.array([scale.grade for scale in every])),
            "low": pa.array([scale.low for scale in every], pa.int16()),
            "high": pa.array([scale.high for scale in every], pa.int16()),
        }
    )


def table(
    people: People,
    years: Years,
    absent_share: Floats,
    common: Callable[[Years], dict[str, Any]],
    rng: np.random.Generator,
) -> Any:
    """The table `assessment`; `common` gives the columns that every yearly table begins with."""
    taste = 0.28 * rng.normal(size=(len(people.cohort), len(SUBJECTS)))
    standing = 0.9 * people.ability[years.person] + _YEAR_SHIFT[years.year - YEARS[0]]
    standing += -1.6 * np.minimum(absent_share - 0.06, 0.25)
    parts = []
    for scale in scales():
        rows = _tested(scale, years, standing, rng)
        gap = _LEARNER_GAP[scale.subject] if scale.program == _STATE else 0.5
        z = standing[rows] + taste[years.person[rows], scale.subject] - gap * years.learner[rows]
        z += rng.normal(0, 0.44, len(rows))
        parts.append(_sitting(scale, years.take(rows), z, common, rng))
    return pa.concat_tables(parts)


def _tested(scale: Scale, years: Years, standing: Floats, rng: np.random.Generator) -> Ints:
    """The rows of `years` that are to take the test."""
    here = (years.grade == scale.grade) & (years.days >= 30)  # noqa: PLR2004 - gone before the testing weeks
    if scale.program == _SAT:
        share = _SAT_SHARE[scale.grade] / (1 + np.exp(-1.2 * standing)) * 1.9
        here &= rng.random(len(here)) < share
    return np.flatnonzero(here)


def _sitting(
    scale: Scale, sat: Years, z: Floats, common: Callable[[Years], dict[str, Any]], rng: np.random.Generator
) -> Any:
    """One test of one grade; who did not take part has no score, no level, and is not proficient."""
    n = len(z)
    away: Flags = rng.random(n) < 0.022 + 0.02 * sat.econ
    raw = scale.mean + scale.spread * z
    score = np.clip(np.round(raw / scale.step).astype(np.int64) * scale.step, scale.low, scale.high)
    level = 1 + np.searchsorted(scale.cuts, score, side="right")
    return pa.table(
        {
            **common(sat),
            "test_program": text(np.full(n, scale.program), PROGRAMS),
            "subject": text(np.full(n, scale.subject), SUBJECTS),
            "grade_tested": grade_text(sat.grade),
            "participated": ~away,
            "scale_score": whole(score, pa.int16(), away),
            "performance_level": whole(level, pa.int16(), away),
            "is_proficient": (level >= PROFICIENT_LEVEL) & ~away,
        }
    )
