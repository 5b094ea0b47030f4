"""Who is a student, and which rows are of one person.

The person id is made of one users row alone, of the first of these that is not blank: `m:` userMasterIdentifier, `u:`
the student's unique id of an Ed-Fi source, `i:` identifier, `s:` sourcedId. The letter keeps ids of two kinds apart.
No row is matched with another by anything else: somebody with two ids is two persons, to be mended where ids are
given. An Ed-Fi source writes one users row for each school of a student; they are one person here.

Where one of these ids stands in rows of two persons, as where a userMasterIdentifier came later, the bundles are
refused: the same child would be two. Words for nothing, such as N/A, are no id.

Other files know a person by the sourcedId of a users row of the same bundle, the supplements by one of any bundle.
Where one sourcedId stands for two persons, in one bundle or several, nobody can say whose rows those are: such
bundles are refused.

Made here: `raw_person` (a number for each student, for joins alone), `raw_pupil` (their users rows) and `raw_member`
(sourcedId → person and year). The year of a users row: of a bundle with one school year, that one; else the newest
year of the classes the student is enrolled in; else the bundle's.
"""
# ruff: noqa: S608 - statements are made of our own names and of `words`

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.intake.cleaning import no_id
from engine.intake.oneroster.layout import ENROLLMENTS, ROLES, USERS
from engine.intake.oneroster.words import grade, live, word
from engine.intake.rows import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from engine.intake.oneroster.opening import Opened

IDS = ("master", "edfi", "identifier")
"""The ids of a users row beside its sourcedId."""

ENROLLED = f"{live('e.status')} AND COALESCE({word('e.role')}, 'student') = 'student'"
"""SQL: whether an enrolment, called e, is that of a student; a blank role is."""

_STUDENT_ROLES = f"""
CREATE OR REPLACE TABLE raw_student_role AS
SELECT bundle, "user" AS id, org, COALESCE({word("kind")}, '') = 'primary' AS main
FROM raw_roles WHERE {live("status")} AND {word("role")} = 'student'
"""

_IDS = ", ".join(f"CASE WHEN NOT {no_id(name)} THEN {name} END AS {name}" for name in (*IDS, "id"))

_USERS = f"""
CREATE OR REPLACE TABLE raw_user AS
SELECT u.bundle, u.line, u.id, {live("u.status")} AS live,
    COALESCE('m:' || u.master, 'u:' || u.edfi, 'i:' || u.identifier, 's:' || u.id) AS person,
    u.master, u.edfi, u.identifier,
    CASE WHEN b.by_roles THEN r.id IS NOT NULL ELSE COALESCE({word("u.role")} = 'student', FALSE) END AS student,
    u.orgs, u.primary_org, {grade("u.grades")} AS grade
FROM (SELECT * REPLACE ({_IDS}) FROM raw_users) AS u JOIN raw_bundle AS b ON b.bundle = u.bundle
LEFT JOIN (SELECT DISTINCT bundle, id FROM raw_student_role) AS r ON r.bundle = u.bundle AND r.id = u.id
"""

_TWO_PERSONS = """
SELECT 'sourcedId', MIN({'bundle': bundle, 'line': line}) AS first, MAX({'bundle': bundle, 'line': line})
FROM raw_user WHERE live AND id IS NOT NULL
GROUP BY id HAVING MIN(person) < MAX(person) AND bool_or(student)
UNION ALL
SELECT kind, MIN({'bundle': bundle, 'line': line}), MAX({'bundle': bundle, 'line': line})
FROM (SELECT bundle, line, person, unnest(['userMasterIdentifier', 'Ed-Fi id', 'identifier']) AS kind,
             unnest([master, edfi, identifier]) AS value FROM raw_user WHERE live AND student)
WHERE value IS NOT NULL GROUP BY kind, value HAVING MIN(person) < MAX(person)
ORDER BY first LIMIT 1
"""

ROWS_OF_ONE_MAX = 20
"""So many users rows of one person may stand in one bundle: one for each school of a year and no more."""

_ONE_OF_MANY = f"""
SELECT bundle, MIN(line), MAX(line) FROM raw_user WHERE live AND student AND person IS NOT NULL
GROUP BY bundle, person HAVING COUNT(DISTINCT id) > {ROWS_OF_ONE_MAX} ORDER BY ALL LIMIT 1
"""

_PERSONS = """
CREATE OR REPLACE TABLE raw_person AS SELECT person, row_number() OVER () AS number
FROM (SELECT DISTINCT person FROM raw_user WHERE live AND student AND person IS NOT NULL)
"""

_USER_YEARS = f"""
CREATE OR REPLACE TABLE raw_user_year AS
SELECT e.bundle, e."user" AS id, MAX(l.year) AS year FROM raw_enrollments AS e
JOIN raw_bundle AS b ON b.bundle = e.bundle AND b.several
JOIN raw_lesson AS l ON l.bundle = e.bundle AND l.id = e.class
WHERE {ENROLLED} AND l.year IS NOT NULL GROUP BY e.bundle, e."user"
"""

_PUPILS = """
CREATE OR REPLACE TABLE raw_pupil AS
SELECT u.bundle, u.line, u.id, p.number AS person, COALESCE(y.year, b.year) AS year, u.orgs, u.primary_org, u.grade
FROM raw_user AS u JOIN raw_person AS p ON p.person = u.person JOIN raw_bundle AS b ON b.bundle = u.bundle
LEFT JOIN raw_user_year AS y ON y.bundle = u.bundle AND y.id = u.id
WHERE u.live AND u.student
"""

_MEMBERS = """
CREATE OR REPLACE TABLE raw_member AS SELECT DISTINCT bundle, id, person, year FROM raw_pupil WHERE id IS NOT NULL
"""


def find_people(connection: duckdb.DuckDBPyConnection, bundles: Sequence[Opened]) -> None:
    """Find the students; after `find_classes`.

    Raises:
        CatalogRefused: there are none, or a sourcedId stands for two persons; told by row numbers.
    """
    for statement in (_STUDENT_ROLES, _USERS):
        connection.execute(statement)
    _refuse_two_persons(connection, bundles)
    for statement in (_PERSONS, _USER_YEARS, _PUPILS, _MEMBERS):
        connection.execute(statement)
    if not connection.execute("SELECT 1 FROM raw_person LIMIT 1").fetchall():
        accepted = "users with the role student, told by users.csv (OneRoster 1.1) or roles.csv (1.2)"
        raise refusal(bundles[0].bundle.label(USERS.member), "There is no student.", accepted)
    for one in bundles:
        _tell(connection, one)


def _refuse_two_persons(connection: duckdb.DuckDBPyConnection, bundles: Sequence[Opened]) -> None:
    labels = {one.number: one.bundle.label(USERS.member) for one in bundles}
    for kind, first, last in connection.execute(_TWO_PERSONS).fetchall():
        where = "" if first["bundle"] == last["bundle"] else f" of {labels[last['bundle']]}"
        raise refusal(
            labels[first["bundle"]],
            f"Row {first['line']:,} under the header and row {last['line']:,}{where} have one {kind} and stand for "
            "two persons: nobody can say whose the rows of other files are.",
            "one person for each id: the same userMasterIdentifier, Ed-Fi id or identifier in all rows",
        )
    for bundle, low, high in connection.execute(_ONE_OF_MANY).fetchall():
        raise refusal(
            labels[bundle],
            f"More than {ROWS_OF_ONE_MAX} rows, from row {low:,} under the header to row {high:,}, are of "
            "one person: their userMasterIdentifier, Ed-Fi id or identifier is the same.",
            "an id of each student's own, or a blank one",
        )


def _tell(connection: duckdb.DuckDBPyConnection, one: Opened) -> None:
    """Write into the reports which rows were left out, and what was forgiven."""
    ((deleted, others, nobody, again),) = connection.execute(
        "SELECT COUNT(*) FILTER (NOT live), COUNT(*) FILTER (live AND NOT student), "
        "COUNT(*) FILTER (live AND student AND person IS NULL), "
        "COUNT(id) FILTER (live AND student) - COUNT(DISTINCT id) FILTER (live AND student) "
        f"FROM raw_user WHERE bundle = {one.number}"
    ).fetchall()
    users = one.readings[USERS.member]
    users.dropped |= {"to be deleted or inactive": deleted, "not a student": others, "without any id": nobody}
    users.repaired["a sourcedId that stands once more for the same person"] = again
    for layout, kept in ((ROLES, f"{word('e.role')} = 'student' AND {live('e.status')}"), (ENROLLMENTS, ENROLLED)):
        if layout.member in one.readings:
            ((left,),) = connection.execute(
                f"SELECT COUNT(*) - COUNT(*) FILTER ({kept}) FROM {layout.table} AS e WHERE bundle = {one.number}"
            ).fetchall()
            one.readings[layout.member].dropped["deleted, inactive, or not of a student"] = left
