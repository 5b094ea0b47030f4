"""What a bundle tells of the district and of no student: school years, schools, where an org belongs, classes.

All of it may look at every row of these files: they are public. What is made here: `raw_bundle` (the year of each
bundle), `raw_term` (the year of a session), `raw_place` (the school of an org), `raw_made_school` (the school table)
and `raw_lesson` (year and school of a class).
"""
# ruff: noqa: S608 - statements are made of our own names and of `words`

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.intake.oneroster.layout import ORGS, SESSIONS
from engine.intake.oneroster.words import cells, grade_numbers, live, school_year, word, year_of_start
from engine.intake.rows import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from engine.intake.oneroster.opening import Opened

SCHOOL_ID_MAX = 999_999_999
_CLIMB_MAX = 10

_TERMS = f"""
CREATE OR REPLACE TABLE raw_term AS
SELECT bundle, id, MAX(spring) AS year, bool_or({word("type")} = 'schoolyear') AS whole
FROM (SELECT *, COALESCE({school_year("year")}, {year_of_start("starts")}) AS spring
      FROM raw_academicsessions WHERE {live("status")})
WHERE spring IS NOT NULL GROUP BY bundle, id
"""

_LESSON_YEARS = f"""
CREATE OR REPLACE TABLE raw_lesson_year AS
SELECT c.bundle, c.id, MAX(t.year) AS year
FROM (SELECT bundle, id, unnest({cells("terms")}) AS term FROM raw_classes WHERE {live("status")}) AS c
JOIN raw_term AS t ON t.bundle = c.bundle AND t.id = c.term GROUP BY c.bundle, c.id
"""

# The year of a bundle: the newest one it has classes in, else its newest school year, else its newest session.
_BUNDLE_YEARS = """
UPDATE raw_bundle SET year = found.year, several = found.several FROM (
    SELECT t.bundle, COALESCE(MAX(l.year), MAX(t.year) FILTER (t.whole), MAX(t.year)) AS year,
           COUNT(DISTINCT t.year) > 1 AS several
    FROM raw_term AS t LEFT JOIN raw_lesson_year AS l ON l.bundle = t.bundle GROUP BY t.bundle) AS found
WHERE found.bundle = raw_bundle.bundle
"""

_ORGS = f"""
CREATE OR REPLACE TABLE raw_org AS
SELECT bundle, id, name, COALESCE({word("type")}, '') AS kind, parent, TRY_CAST(CASE
    WHEN regexp_full_match(identifier, '[0-9]{{1,18}}') THEN identifier END AS BIGINT) AS number
FROM raw_orgs WHERE {live("status")} AND id IS NOT NULL
"""

_BY_IDENTIFIER = f"""
SELECT COALESCE(bool_and(fine), FALSE) FROM (
    SELECT COUNT(DISTINCT id) = COUNT(DISTINCT number) AND COUNT(*) = COUNT(number)
           AND MIN(number) >= 1 AND MAX(number) <= {SCHOOL_ID_MAX} AS fine
    FROM raw_org WHERE kind = 'school' GROUP BY bundle)
"""

_PLACES = f"""
CREATE OR REPLACE TABLE raw_place AS
WITH RECURSIVE climb AS (
    SELECT bundle, id AS org, id AS place, 0 AS steps FROM raw_org
    UNION
    SELECT c.bundle, c.org, o.parent, c.steps + 1
    FROM climb AS c JOIN raw_org AS o ON o.bundle = c.bundle AND o.id = c.place
    WHERE o.kind <> 'school' AND o.parent IS NOT NULL AND c.steps < {_CLIMB_MAX})
SELECT c.bundle, c.org, MIN(s.school_id) AS school_id
FROM climb AS c JOIN raw_school_of AS s ON s.bundle = c.bundle AND s.id = c.place GROUP BY c.bundle, c.org
"""

_LESSONS = """
CREATE OR REPLACE TABLE raw_lesson AS
SELECT c.bundle, c.id, MIN(y.year) AS year, MIN(p.school_id) AS school_id
FROM raw_classes AS c
LEFT JOIN raw_lesson_year AS y ON y.bundle = c.bundle AND y.id = c.id
LEFT JOIN raw_place AS p ON p.bundle = c.bundle AND p.org = c.school
WHERE c.id IS NOT NULL GROUP BY c.bundle, c.id
"""

_GRADES = f"""
SELECT p.school_id, unnest({grade_numbers("COALESCE(c.grades, k.grades)")}) AS grade
FROM raw_classes AS c JOIN raw_place AS p ON p.bundle = c.bundle AND p.org = c.school
LEFT JOIN raw_courses AS k ON k.bundle = c.bundle AND k.id = c.course WHERE {live("c.status")}
"""

# Levels by the grades a school teaches; what spans two of them is other. A renamed school has its newest name.
_SCHOOLS = f"""
CREATE OR REPLACE TABLE raw_made_school AS
SELECT s.school_id, min({{'age': -b.year, 'name': s.name}}).name AS school_name, MIN(COALESCE(g.level, 'other'))
       AS school_level
FROM raw_school_of AS s JOIN raw_bundle AS b ON b.bundle = s.bundle
LEFT JOIN (SELECT school_id, CASE WHEN MIN(grade) >= 9 THEN 'high' WHEN MIN(grade) >= 5 AND MAX(grade) <= 9
                  THEN 'middle' WHEN MAX(grade) <= 6 THEN 'elementary' ELSE 'other' END AS level
           FROM ({_GRADES}) WHERE grade >= -1 GROUP BY school_id) AS g ON g.school_id = s.school_id
GROUP BY s.school_id
"""


def find_years(connection: duckdb.DuckDBPyConnection, bundles: Sequence[Opened]) -> tuple[int, ...]:
    """The school years of the bundles, by spring; fills `raw_bundle`.

    Raises:
        CatalogRefused: a bundle tells none.
    """
    connection.execute(
        "CREATE OR REPLACE TABLE raw_bundle (bundle INTEGER, by_roles BOOLEAN, year INTEGER, several BOOLEAN)"
    )
    rows = [[one.number, one.by_roles, None, False] for one in bundles]
    connection.executemany("INSERT INTO raw_bundle VALUES (?, ?, ?, ?)", rows)
    for statement in (_TERMS, _LESSON_YEARS, _BUNDLE_YEARS):
        connection.execute(statement)
    without = {
        number for (number,) in connection.execute("SELECT bundle FROM raw_bundle WHERE year IS NULL").fetchall()
    }
    for one in bundles:
        if one.number in without:
            raise refusal(
                one.bundle.label(SESSIONS.member),
                "No row tells a school year.",
                "a row of the type schoolYear whose schoolYear is the spring year, such as 2026, or 2025-2026",
            )
    found = connection.execute("SELECT DISTINCT year FROM raw_term ORDER BY year").fetchall()
    return tuple(year for (year,) in found)


def find_schools(connection: duckdb.DuckDBPyConnection, bundles: Sequence[Opened]) -> bool:
    """Number the schools, and tell whether by their own identifiers; fills `raw_place`, after `find_years`.

    Identifiers are taken where every school has a whole number of its own; else the schools are numbered from 1 in
    the order of their sourcedIds.

    Raises:
        CatalogRefused: a bundle has no school.
    """
    connection.execute(_ORGS)
    found = connection.execute("SELECT DISTINCT bundle FROM raw_org WHERE kind = 'school'").fetchall()
    for one in bundles:
        if (one.number,) not in found:
            raise refusal(one.bundle.label(ORGS.member), "No org is a school.", "at least one org of the type school")
    ((by_identifier,),) = connection.execute(_BY_IDENTIFIER).fetchall()
    number = "number" if by_identifier else "DENSE_RANK() OVER (ORDER BY id)"
    connection.execute(
        "CREATE OR REPLACE TABLE raw_school_of AS "
        f"SELECT bundle, id, COALESCE(name, id) AS name, {number} AS school_id FROM raw_org WHERE kind = 'school'"
    )
    connection.execute(_PLACES)
    return bool(by_identifier)


def find_classes(connection: duckdb.DuckDBPyConnection) -> None:
    """Classes with year and school, and the levels of schools; after `find_schools`."""
    connection.execute(_LESSONS)
    connection.execute(_SCHOOLS)
