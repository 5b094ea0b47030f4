"""The tables `student` and `student_year`: every rule sees the rows of one person, and public rows.

- **sex**: where all rows of a person that say one say the same; else unknown. **race_ethnicity**: the federal roll-up
  of the union of all flags: Hispanic first, then two or more races, then the one.
- **cohort_year**: spring + 12 − grade of the person's earliest year that has a grade; UG has none. Of several grades
  of one person in one year, in one cell or in several rows, the highest counts. **entry_year**: the earliest year.
- **school_id**: each users row names one school (1.2: primaryOrgSourcedId, then the org of the primary role, then of
  another; 1.1: the first of orgSourcedIds that is a school or lies in one). Of several, the one in which the person
  has most classes in that year, then the lowest id. Where no users row names one, the enrolments alone decide so.
- **schools_attended**: schools among all orgs of the person's users rows, roles and enrolments of that year.
"""
# ruff: noqa: S608 - statements are made of our own names and of `words`

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.intake.oneroster.layout import RACES
from engine.intake.oneroster.people import ENROLLED
from engine.intake.oneroster.words import cells, grade_code, live, sex, truth

if TYPE_CHECKING:
    import duckdb

_ATTENDED = f"""
CREATE OR REPLACE TABLE raw_attended AS
SELECT person, year, school_id, COUNT(*) AS classes FROM (
    SELECT DISTINCT m.person, COALESCE(l.year, m.year) AS year, COALESCE(p.school_id, l.school_id) AS school_id,
           e.class
    FROM raw_enrollments AS e
    JOIN raw_member AS m ON m.bundle = e.bundle AND m.id = e."user"
    LEFT JOIN raw_lesson AS l ON l.bundle = e.bundle AND l.id = e.class
    LEFT JOIN raw_place AS p ON p.bundle = e.bundle AND p.org = e.school
    WHERE {ENROLLED})
WHERE school_id IS NOT NULL GROUP BY person, year, school_id
"""

# Every org a users row or a role names, in the order in which it is believed.
_STANDS = f"""
CREATE OR REPLACE TABLE raw_stand AS
SELECT s.bundle, s.line, s.person, s.year, s.rank, p.school_id FROM (
    SELECT bundle, line, person, year, 0 AS rank, primary_org AS org FROM raw_pupil
    UNION ALL
    SELECT u.bundle, u.line, u.person, u.year, CASE WHEN r.main THEN 1 ELSE 2 END, r.org
    FROM raw_pupil AS u JOIN raw_bundle AS b ON b.bundle = u.bundle AND b.by_roles
    JOIN raw_student_role AS r ON r.bundle = u.bundle AND r.id = u.id
    UNION ALL
    SELECT bundle, line, person, year, 2 + generate_subscripts({cells("orgs")}, 1), unnest({cells("orgs")})
    FROM raw_pupil) AS s
JOIN raw_place AS p ON p.bundle = s.bundle AND p.org = s.org
"""

_HOMES = """
CREATE OR REPLACE TABLE raw_home AS
SELECT person, year, MIN({'level': level, 'less': -classes, 'school_id': school_id}).school_id AS school_id
FROM (SELECT h.person, h.year, h.school_id, 0 AS level, COALESCE(a.classes, 0) AS classes
      FROM (SELECT person, year, MIN({'rank': rank, 'school_id': school_id}).school_id AS school_id
            FROM raw_stand GROUP BY bundle, line, person, year) AS h
      LEFT JOIN raw_attended AS a ON a.person = h.person AND a.year = h.year AND a.school_id = h.school_id
      UNION ALL
      SELECT person, year, school_id, 1, classes FROM raw_attended)
GROUP BY person, year
"""

_YEARS = """
CREATE OR REPLACE TABLE raw_year AS SELECT person, year, MAX(grade) AS grade FROM raw_pupil GROUP BY person, year
"""

_MOVES = """
SELECT person, year, COUNT(*) AS schools FROM (
    SELECT person, year, school_id FROM raw_stand UNION SELECT person, year, school_id FROM raw_attended)
GROUP BY person, year
"""

_STUDENT_YEARS = f"""
CREATE OR REPLACE TABLE raw_made_student_year AS
SELECT p.person, y.year AS school_year, h.school_id, {grade_code("y.grade")} AS grade_level,
    d.econ_disadv, d.english_learner, d.has_iep, NULLIF(d.days.enrolled, -1) AS days_enrolled,
    NULLIF(d.days.absent, -1) AS days_absent, v.schools AS schools_attended
FROM raw_year AS y JOIN raw_person AS p ON p.number = y.person
LEFT JOIN raw_home AS h ON h.person = y.person AND h.year = y.year
LEFT JOIN ({_MOVES}) AS v ON v.person = y.person AND v.year = y.year
LEFT JOIN raw_days AS d ON d.person = y.person AND d.year = y.year
"""

_UNION = ", ".join(f"bool_or({truth(f'd.{flag}')}) AS {flag}" for flag in RACES)
_RACES_SEEN = " + ".join(f"{flag}::INTEGER" for flag in RACES if flag not in {"two_or_more", "hispanic"})
_RACE = f"""
CASE WHEN hispanic THEN 'HI7' WHEN two_or_more OR {_RACES_SEEN} > 1 THEN 'MU7' WHEN american_indian THEN 'AM7'
    WHEN asian THEN 'AS7' WHEN black THEN 'BL7' WHEN pacific THEN 'PI7' WHEN white THEN 'WH7' ELSE 'unknown' END
"""

_TRAITS = f"""
CREATE OR REPLACE TABLE raw_trait AS SELECT person, sex, {_RACE} AS race FROM (
    SELECT m.person, {_UNION},
           CASE WHEN MIN({sex("d.sex")}) = MAX({sex("d.sex")}) THEN MIN({sex("d.sex")}) ELSE 'unknown' END AS sex
    FROM raw_demographics AS d JOIN raw_member AS m ON m.bundle = d.bundle AND m.id = d.id
    WHERE {live("d.status")} GROUP BY m.person)
"""

_STUDENTS = """
CREATE OR REPLACE TABLE raw_made_student AS
SELECT p.person, MIN({'year': y.year, 'cohort': y.year + 12 - y.grade}) FILTER (y.grade >= -1).cohort AS cohort_year,
    COALESCE(ANY_VALUE(t.sex), 'unknown') AS sex, COALESCE(ANY_VALUE(t.race), 'unknown') AS race_ethnicity,
    MIN(y.year) AS entry_year
FROM raw_year AS y JOIN raw_person AS p ON p.number = y.person LEFT JOIN raw_trait AS t ON t.person = y.person
GROUP BY p.person
"""


def make_roster(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `raw_made_student` and `raw_made_student_year`; after `find_people` and `make_supplements`."""
    for statement in (_ATTENDED, _STANDS, _HOMES, _YEARS, _STUDENT_YEARS, _TRAITS, _STUDENTS):
        connection.execute(statement)
