"""A first `district.yaml` for a district that has OneRoster bundles.

Made of public files (orgs, sessions), of the presence and headers of the others, and of constants; of the files about
students no row is read.
"""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from engine.intake.oneroster.canonical import fillable
from engine.intake.oneroster.layout import ORGS, SESSIONS
from engine.intake.oneroster.public import SCHOOL_ID_MAX, find_schools, find_years
from engine.intake.oneroster.reading import create_tables, read
from engine.intake.oneroster.sources import opened_bundles
from engine.intake.oneroster.supplements import OUTCOMES_BEST_FIRST, STATUSES
from engine.intake.rows import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GRADES = 'PK, KG, "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", UG'
_SPAN = 13  # school years from PK to grade 12
_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
_NAMED_BY = ("district", "local", "state")
_LISTED = "school_year, entry_year and privacy.cohorts (and grad_cohort, where it is)"


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the public files tell.

    Attributes:
        names: of the district, as the newest bundles have it; two or none mean it must be given.
        years: school years, by spring.
        by_identifier: whether schools are numbered by their own identifiers.
        filled: tables and columns that can be filled.
    """

    names: tuple[str, ...]
    years: tuple[int, ...]
    by_identifier: bool
    filled: Mapping[str, frozenset[str]]


def drafted_catalog(paths: Sequence[Path], *, district_id: str | None, name: str | None, time_zone: str) -> str:
    """The text of a `district.yaml` that the bundles can be loaded with.

    Args:
        paths: of the bundles.
        district_id: if the slug of the name will not do.
        name: of the district, if the bundles do not tell it.
        time_zone: such as America/New_York.

    Raises:
        CatalogRefused: a bundle cannot be used, or does not tell the district's name.
    """
    with tempfile.TemporaryDirectory() as folder:
        facts = _facts(paths, Path(folder))
    shown = ", ".join(path.name for path in paths)
    if name is None:
        if len(facts.names) != 1:
            many = "names several districts" if facts.names else "does not name the district"
            raise refusal(shown, f"orgs.csv {many}.", "the district's name, given by hand")
        name = facts.names[0]
    identity = district_id or _slug(name)
    if not _ID.fullmatch(identity):
        message = f"{json.dumps(identity, ensure_ascii=False)} cannot be the district's id."
        raise refusal(shown, message, "an id given by hand: 3 to 63 small letters, digits and -")
    return _text(facts, identity, name, time_zone)


def _facts(paths: Sequence[Path], folder: Path) -> _Facts:
    bundles = opened_bundles(paths, folder, skip_unusable=True, headers=True)
    with duckdb.connect(":memory:", config={"autoinstall_known_extensions": False}) as connection:
        create_tables(connection)
        for one in bundles:
            for layout in (ORGS, SESSIONS):
                read(connection, one.readings[layout.member], lambda _what, _share: None)
        years = find_years(connection, bundles)
        by_identifier = find_schools(connection, bundles)
        return _Facts(_names(connection), years, by_identifier, fillable(bundles))


def _names(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """The names of the district in the newest bundles: of orgs of the first of `_NAMED_BY` there are."""
    for kind in _NAMED_BY:
        found = connection.execute(
            "SELECT DISTINCT o.name FROM raw_org AS o JOIN raw_bundle AS b ON b.bundle = o.bundle "
            "WHERE o.kind = ? AND o.name IS NOT NULL AND b.year = (SELECT MAX(year) FROM raw_bundle) ORDER BY o.name",
            [kind],
        ).fetchall()
        if found:
            return tuple(name for (name,) in found)
    return ()


def _slug(name: str) -> str:
    """A name as an id.

    >>> _slug("École Unified, District 7")
    'ecole-unified-district-7'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-")


def _text(facts: _Facts, identity: str, name: str, time_zone: str) -> str:
    first, last = facts.years[0], facts.years[-1]
    district = f"{{id: {json.dumps(identity)}, name: {_quoted(name)}, time_zone: {_quoted(time_zone)}}}"
    cohorts = f"{{from: {first}, to: {last + _SPAN}}}"
    privacy = f"{{owner: student_key, cohort: cohort_year, cohorts: {cohorts}, delta: 1e-7}}"
    tables = [_school(facts.by_identifier), _student(facts), _student_year(facts)]
    if "course_grade" in facts.filled:
        tables.append(_course_grade(facts))
    if "graduation" in facts.filled:
        tables.append(_graduation(facts))
    head = _HEAD.format(first=first, last=last, youngest=last + _SPAN, listed=_LISTED)
    return f"{head}district: {district}\nprivacy: {privacy}\n\ntables:\n" + "\n".join(tables)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())


_HEAD = """\
# Drafted from a OneRoster bundle: from its orgs and school years, and from which files and columns it has. No row
# about a student was read for it. Read it, change it before anything is loaded, keep it. The district's id and time
# zone never change.
#
# Before the bundle of the next school year is loaded, extend by hand
# {listed}
# in a copy of this file, and give the copy to `homeroom load DIR BUNDLE --catalog COPY`. Questions are answered by
# the catalog of the last load; another one in this place stops them until the next.
# The classes of {first} (grade 12 in {first}) to {youngest} (preschool in {last}) are listed; next year brings one
# more. Load the bundles of all years each time: a student's class is counted from the earliest year in them.
#
# OneRoster knows no attendance, no programmes and no graduation. Put attendance_summary.csv or outcomes.csv beside
# the bundle's files; this draft has their columns where they were there. engine/starter.yaml has them all.
"""


def _school(by_identifier: bool) -> str:  # noqa: FBT001 - one fact
    how = (
        "the identifiers that the orgs have in the bundle"
        if by_identifier
        else "numbered from 1 in the order of their sourcedIds, since not every school has a whole\n"
        "  # number of its own as identifier; a school that is added may change the numbers of others"
    )
    return f"""\
  # Public. School ids are {how}.
  school:
    public: true
    unique: [school_id]
    columns:
      school_id:    {{type: integer, bounds: [1, {SCHOOL_ID_MAX}]}}
      school_name:  {{type: text}}
      school_level: {{type: text, values: [elementary, middle, high, other]}}   # by the grades of its classes
"""


def _columns(lines: Mapping[str, str], filled: frozenset[str]) -> str:
    width = max(map(len, lines)) + 1
    return "".join(f"      {f'{name}:':<{width}} {spec}\n" for name, spec in lines.items() if name in filled)


def _years(facts: _Facts) -> str:
    return f"{{from: {facts.years[0]}, to: {facts.years[-1]}}}"


_SCHOOL_ID = "{type: integer, values: {table: school, column: school_id}}"
_FLAG = "{type: boolean, default: false}"
_SAID = "{type: boolean, nullable: true}"  # unknown is not no
_CHECK = 'checks: ["school_year BETWEEN cohort_year - 13 AND cohort_year + 3"]'


def _student(facts: _Facts) -> str:
    lines = {
        "cohort_year": "{type: integer}   # spring year of first sight + 12 - grade, then frozen",
        "sex": "{type: text, values: [F, M, X, unknown], default: unknown}",
        "race_ethnicity": "{type: text, values: [AM7, AS7, BL7, HI7, MU7, PI7, WH7, unknown], default: unknown}",
        "entry_year": f"{{type: integer, values: {_years(facts)}}}   # first school year in the bundles",
    }
    return f"""\
  student:
    unique: [student_key]
    rows_per_student_max: 1
    columns:
{_columns(lines, facts.filled["student"])}"""


def _student_year(facts: _Facts) -> str:
    lines = {
        "school_year": f"{{type: integer, values: {_years(facts)}}}   # the spring: 2025 is 2024-25",
        "school_id": _SCHOOL_ID,
        "grade_level": f"{{type: text, values: [{_GRADES}]}}",
        "econ_disadv": _SAID,
        "english_learner": _SAID,
        "has_iep": _SAID,
        "days_enrolled": "{type: integer, bounds: [0, 200], nullable: true, unit: days}",
        "days_absent": '{type: "decimal(4,1)", bounds: [0, 200], nullable: true, unit: days}',
        "schools_attended": "{type: integer, values: {from: 1, to: 6}, nullable: true, unit: schools}",
    }
    return f"""\
  student_year:
    unique: [student_key, school_year]
    rows_per_student_max: 15
    {_CHECK}
    columns:
{_columns(lines, facts.filled["student_year"])}"""


def _course_grade(facts: _Facts) -> str:
    subjects = "[ela, math, science, social, world_lang, arts, pe_health, cte, other]"
    lines = {
        "school_year": f"{{type: integer, values: {_years(facts)}}}",
        "school_id": _SCHOOL_ID,
        "subject_area": f"{{type: text, values: {subjects}, default: other}}",
        "course_level": "{type: text, values: [regular, honors, ap_ib, dual_credit, remedial]}",
        "grade_points": '{type: "decimal(3,2)", bounds: [0, 5], nullable: true, unit: grade points}',
        "is_passed": _FLAG,
    }
    return f"""\
  # Final marks alone: line items, or categories, titled so (final grade, course grade, term grade, ...).
  course_grade:
    rows_per_student_max: 240
    caps: [{{rows: 16, per: [school_year]}}]
    {_CHECK}
    columns:
{_columns(lines, facts.filled["course_grade"])}"""


def _graduation(facts: _Facts) -> str:
    first, last = facts.years[0] - 1, facts.years[-1] + _SPAN + 3
    lines = {
        "grad_cohort": f"{{type: integer, values: {{from: {first}, to: {last}}}}}   # spring of first grade 9, + 3",
        "school_id": _SCHOOL_ID,
        "cohort_status": f"{{type: text, values: [{', '.join(STATUSES)}]}}",
        "outcome": f"{{type: text, values: [{', '.join(OUTCOMES_BEST_FIRST)}], default: unknown}}",
        "years_to_outcome": "{type: integer, values: {from: 1, to: 7}, nullable: true, unit: years}",
    }
    return f"""\
  graduation:
    unique: [student_key]
    rows_per_student_max: 1
    checks: ["grad_cohort BETWEEN cohort_year - 1 AND cohort_year + 3"]
    columns:
{_columns(lines, facts.filled["graduation"])}"""
