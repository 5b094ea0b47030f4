"""The invented demo district: believable school records about nobody, in the canonical schema.

Every number is drawn from one seeded generator; no record, real or published, comes in. The rooms beside
this one hold the schools (`demo_schools`), who is there when (`demo_roster`), tests (`demo_scores`), courses
and programmes (`demo_courses`); here the years become tables. Discipline is sensitive and off: it is not
invented.

`is_retained` says that the student repeats the grade of the year before. `graduation` has every student of
high school whose cohort is due by 2025, and of later cohorts those whose outcome is already known.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.intake import demo_courses, demo_roster, demo_schools, demo_scores
from engine.intake.demo_arrow import Ints, decimal, grade_text, text, whole
from engine.intake.demo_roster import RACES, SEXES, YEARS

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.intake.demo_roster import People, Years
    from engine.intake.demo_schools import Schools

STUDENTS_MIN = 20

_COHORT_STATUS = ("in_cohort", "transferred_out", "emigrated", "prison", "deceased")
_OUTCOMES = (
    "regular_diploma",
    "alt_diploma",
    "equivalency",
    "certificate",
    "still_enrolled",
    "dropout",
    "unknown",
)
# By the way the last year ended: cohort status, outcome, and whether the year of the outcome is known.
_ENDINGS = {
    demo_roster.STAYS: ("in_cohort", "still_enrolled", False),
    demo_roster.LEAVES: ("transferred_out", "unknown", False),
    demo_roster.DROPS_OUT: ("in_cohort", "dropout", True),
    demo_roster.DIPLOMA: ("in_cohort", "regular_diploma", True),
    demo_roster.ALT_DIPLOMA: ("in_cohort", "alt_diploma", True),
    demo_roster.EQUIVALENCY: ("in_cohort", "equivalency", True),
    demo_roster.CERTIFICATE: ("in_cohort", "certificate", True),
    demo_roster.EMIGRATES: ("emigrated", "unknown", False),
    demo_roster.PRISON: ("prison", "unknown", False),
    demo_roster.DIES: ("deceased", "unknown", False),
    demo_roster.LOST: ("in_cohort", "unknown", False),
}
_ABSENCE_BY_YEAR = np.array([0.0, 0.13, 0.25, 0.15, 0.09, 0.05])  # from 2020, log scale


def generate(
    students: int = 20_000, seed: int = 2025, *, progress: Callable[[str, float], None] | None = None
) -> dict[str, pa.Table]:
    """An invented district of the school years 2020 to 2025: one Arrow table for each table of the schema.

    The same arguments give the same tables, on one version of numpy.

    Args:
        students: persons enrolled in the last year, at least 20; persons ever seen are 1.6 times as many.
        seed: of the generator.
        progress: called with the table being made and the share of the work done, from 0 to 1.

    Raises:
        ValueError: for fewer than 20 students.
    """
    if students < STUDENTS_MIN:
        raise ValueError(f"students is {students}; a demo district has at least {STUDENTS_MIN}")
    report = progress or (lambda _stage, _share: None)
    rng = np.random.default_rng(seed)
    schools = demo_schools.build(students, rng)
    people, years = demo_roster.walk(schools, students, rng, lambda share: report("student", 0.25 * share))
    keys = _keys(len(people.cohort), rng)
    common = partial(_common, keys, schools)
    absent = _absences(people, years, rng)
    absent_share = absent / (2 * years.days)
    taking_part = demo_courses.memberships(people, years, schools, rng)
    report("course_grade", 0.3)
    courses = demo_courses.courses(people, years, absent_share, taking_part[0], common, rng)
    report("assessment", 0.7)
    assessment = demo_scores.table(people, years, absent_share, common, rng)
    report("graduation", 0.95)
    tables = {
        "school": schools.table(),
        "scale_range": demo_scores.range_table(),
        "student": _student(people, keys),
        "student_year": _student_year(years, absent, courses.gpa, common),
        "course_grade": courses.table,
        "assessment": assessment,
        "program": demo_courses.program_table(years, taking_part, partial(_owner_and_year, keys)),
        "graduation": _graduation(people, years, keys, schools),
    }
    report("graduation", 1.0)
    return tables


def _keys(count: int, rng: np.random.Generator) -> Any:
    """Source ids in no order of anything, such as D000123."""
    return pa.array([f"D{number:06}" for number in (rng.permutation(count) + 1).tolist()], pa.string())


def _owner_and_year(keys: Any, years: Years) -> dict[str, Any]:
    """The columns every yearly table begins with."""
    return {"student_key": keys.take(pa.array(years.person)), "school_year": whole(years.year, pa.int16())}


def _common(keys: Any, schools: Schools, years: Years) -> dict[str, Any]:
    """As `_owner_and_year`, with the school."""
    return {**_owner_and_year(keys, years), "school_id": pa.array(schools.ids[years.school])}


def _absences(people: People, years: Years, rng: np.random.Generator) -> Ints:
    """Absent half days: skewed, much alike from year to year, never more than the days enrolled.

    A log-normal share of the days: the person's leaning, the year's bad luck, more in kindergarten and in
    grades 9 to 12, most in 2022.
    """
    grade = years.grade
    by_grade = np.select([grade < 1, grade < 9, grade > 11], [0.2, -0.1, 0.22], 0.12)  # noqa: PLR2004 - grades
    share = -3.2 + people.absence[years.person] + by_grade + _ABSENCE_BY_YEAR[years.year - YEARS[0]]
    share += 0.14 * years.econ + rng.normal(0, 0.46, len(grade)) + 0.4 * (years.exit == demo_roster.DROPS_OUT)
    halves = np.exp(share) * 2 * years.days + rng.random(len(grade)) - 0.5
    return np.asarray(np.clip(np.round(halves), 0, 1.8 * years.days), dtype=np.int64)


def _student(people: People, keys: Any) -> pa.Table:
    """The table `student`."""
    return pa.table(
        {
            "student_key": keys,
            "cohort_year": whole(people.cohort, pa.int16()),
            "sex": text(people.sex, SEXES),
            "race_ethnicity": text(people.race, RACES),
            "entry_year": whole(people.entry_year, pa.int16()),
        }
    )


def _student_year(years: Years, absent: Ints, gpa: Ints, common: Callable[[Years], dict[str, Any]]) -> pa.Table:
    """The table `student_year`."""
    ungraded = (gpa < 0) | (years.grade < demo_schools.FIRST_HIGH_GRADE)
    return pa.table(
        {
            **common(years),
            "grade_level": grade_text(years.grade),
            "econ_disadv": years.econ,
            "english_learner": years.learner,
            "has_iep": years.iep,
            "days_enrolled": whole(years.days, pa.int16()),
            "days_absent": decimal(5 * absent, 4, 1),
            "schools_attended": whole(years.schools_attended, pa.int16()),
            "is_retained": years.repeats,
            "is_dropout": years.exit == demo_roster.DROPS_OUT,
            "gpa": decimal(gpa, 3, 2, ungraded),
        }
    )


def _graduation(people: People, years: Years, keys: Any, schools: Schools) -> pa.Table:
    """The table `graduation`, from the last year of everyone who reached grade 9."""
    last = np.full(len(people.cohort), -1)
    last[years.person] = np.arange(len(years.person))  # years come in order, so the last one stays
    end = years.take(last)
    cohort = end.first_ninth + 3
    due = (end.first_ninth > 0) & ((cohort <= YEARS[-1]) | (end.exit != demo_roster.STAYS))
    end, cohort = end.take(due), cohort[due]
    status, outcome, dated = (np.array(column) for column in zip(*map(_ending, range(len(_ENDINGS))), strict=True))
    return pa.table(
        {
            "student_key": keys.take(pa.array(end.person)),
            "grad_cohort": whole(cohort, pa.int16()),
            "school_id": pa.array(schools.ids[end.school]),
            "cohort_status": text(status[end.exit], _COHORT_STATUS),
            "outcome": text(outcome[end.exit], _OUTCOMES),
            "years_to_outcome": whole(end.year - end.first_ninth + 1, pa.int16(), ~dated[end.exit]),
        }
    )


def _ending(way: int) -> tuple[int, int, bool]:
    """Codes of cohort status and outcome, and whether the year is known."""
    status, outcome, dated = _ENDINGS[way]
    return _COHORT_STATUS.index(status), _OUTCOMES.index(outcome), dated
