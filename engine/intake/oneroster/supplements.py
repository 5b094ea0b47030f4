"""Our two supplements, for what OneRoster does not have, as files beside those of the bundle.

- `attendance_summary.csv`: userSourcedId, schoolYear, daysEnrolled, daysAbsent, and if there are such
  economicDisadvantage, englishLearner, specialEducation (true or false).
- `outcomes.csv`: userSourcedId, gradCohort, schoolSourcedId, cohortStatus, outcome, yearsToOutcome, in the words of
  the canonical lists.

A row names a student by the sourcedId of a users row, in its own bundle or in another: who has left is no longer in
the newest one, and no sourcedId stands for two persons.

- **Attendance**: rows of one person and year are added up, one for each school or term; a row that stands there
  again, cell by cell, counts once. Days are unknown where a cell of theirs is blank or no number. Absent days are
  rounded to tenths, enrolled days to whole ones. Where several bundles tell of one year, the days are those of the
  newest bundle, then the larger ones. A flag is true if any row says so, and unknown where
  none says anything. A blank schoolYear is that of the bundle.
- **Outcomes**: of several rows of a person the one with the best outcome stays (a diploma before a certificate, then
  still enrolled, then dropout), then by status and the lowest other values.
"""
# ruff: noqa: S608 - statements are made of our own names and of `words`

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.intake.oneroster.layout import ATTENDANCE, FLAGS, OUTCOMES
from engine.intake.oneroster.words import number, said, school_year
from engine.intake.rows import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from engine.intake.oneroster.layout import Layout
    from engine.intake.oneroster.opening import Opened

OUTCOMES_BEST_FIRST = (
    "regular_diploma",
    "alt_diploma",
    "equivalency",
    "certificate",
    "still_enrolled",
    "dropout",
    "unknown",
)
STATUSES = ("in_cohort", "transferred_out", "emigrated", "prison", "deceased")

_KNOWN = "CREATE OR REPLACE TABLE raw_known AS SELECT DISTINCT id, person FROM raw_member"

_FLAGS = ", ".join(f"bool_or({flag}) AS {flag}" for flag in FLAGS)
_FLAG_CELLS = ", ".join(f"{said(f'a.{flag}')} AS {flag}" for flag in FLAGS)

_CELLS = f"""
SELECT DISTINCT m.person, b.bundle, b.year AS age, m.id,
    CASE WHEN a.year IS NULL THEN b.year ELSE {school_year("a.year")} END AS year,
    {number("a.days_enrolled")} AS enrolled, {number("a.days_absent")} AS absent, {_FLAG_CELLS}
FROM raw_attendance_summary AS a JOIN raw_known AS m ON m.id = a."user"
JOIN raw_bundle AS b ON b.bundle = a.bundle
"""

_SUMS = f"""
SELECT person, year, age, {_FLAGS},
    CASE WHEN COUNT(*) = COUNT(enrolled) THEN round(SUM(enrolled), 0) END AS enrolled,
    CASE WHEN COUNT(*) = COUNT(absent) THEN round(SUM(absent), 1) END AS absent
FROM ({_CELLS}) WHERE year IS NOT NULL GROUP BY person, year, bundle, age
"""

_DAYS = f"""
CREATE OR REPLACE TABLE raw_days AS SELECT person, year, {_FLAGS},
    MAX({{'age': age, 'enrolled': COALESCE(enrolled, -1), 'absent': COALESCE(absent, -1)}}) AS days
FROM ({_SUMS}) GROUP BY person, year
"""


def _place_in(text: str, values: tuple[str, ...]) -> str:
    cases = " ".join(f"WHEN '{value}' THEN {place}" for place, value in enumerate(values))
    return f"CASE {text} {cases} ELSE {len(values)} END"


def _code(text: str) -> str:
    """SQL: a value in the spelling of our lists: small letters, `_` between words."""
    return f"regexp_replace(lower({text}), '[ _-]+', '_', 'g')"


_OUTCOMES = f"""
CREATE OR REPLACE TABLE raw_made_graduation AS
SELECT p.person, best.grad_cohort, best.school_id, best.cohort_status, best.outcome, best.years_to_outcome
FROM (SELECT m.person, MIN({{
             'rank': {_place_in(_code("o.outcome"), OUTCOMES_BEST_FIRST)},
             'standing': {_place_in(_code("o.cohort_status"), STATUSES)},
             'grad_cohort': {school_year("o.grad_cohort")}, 'school_id': s.school_id,
             'cohort_status': {_code("o.cohort_status")}, 'outcome': {_code("o.outcome")},
             'years_to_outcome': o.years_to_outcome}}) AS best
      FROM raw_outcomes AS o JOIN raw_known AS m ON m.id = o."user"
      LEFT JOIN raw_place AS s ON s.bundle = o.bundle AND s.org = o.school
      GROUP BY m.person) AS chosen
JOIN raw_person AS p ON p.number = chosen.person
"""


def make_supplements(connection: duckdb.DuckDBPyConnection, bundles: Sequence[Opened]) -> None:
    """Make `raw_days` and `raw_made_graduation`; after `find_people`.

    Raises:
        CatalogRefused: no row of a supplement is of a student.
    """
    for statement in (_KNOWN, _DAYS, _OUTCOMES):
        connection.execute(statement)
    for one in bundles:
        for layout in (ATTENDANCE, OUTCOMES):
            if layout.member in one.readings:
                _tell(connection, one, layout)


def _tell(connection: duckdb.DuckDBPyConnection, one: Opened, layout: Layout) -> None:
    """Write into the report which rows are of nobody, or of no school year."""
    reading = one.readings[layout.member]
    no_year = f"year IS NOT NULL AND {school_year('year')} IS NULL" if layout is ATTENDANCE else "FALSE"
    ((strange, undated),) = connection.execute(
        f"SELECT COUNT(*) FILTER (NOT known), COUNT(*) FILTER (known AND {no_year}) FROM (SELECT *, EXISTS "
        f'(SELECT 1 FROM raw_known AS k WHERE k.id = s."user") AS known FROM {layout.table} AS s '
        f"WHERE bundle = {one.number})"
    ).fetchall()
    if strange and strange == reading.rows:
        message = "No row is of a student: userSourcedId must be a sourcedId of users.csv."
        raise refusal(reading.source.file, message, "the sourcedIds of students, not their identifiers")
    reading.dropped |= {"of no student in users.csv": strange, "of no school year": undated}
