"""Which files and columns of a OneRoster bundle are read, and the other names under which they are found.

What is not named here is never asked for: names, contacts, passwords, birth dates and birth places stay in the file.
`userProfiles.csv` holds logins, and in some exports a copy of `roles.csv`; it is not read either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.intake.header import places_called
from engine.intake.rows import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.intake.rows import Rows

EDFI_ID = "metadata.edfi.naturalKey.studentUniqueId"
RACES = {
    "american_indian": "americanIndianOrAlaskaNative",
    "asian": "asian",
    "black": "blackOrAfricanAmerican",
    "pacific": "nativeHawaiianOrOtherPacificIslander",
    "white": "white",
    "two_or_more": "demographicRaceTwoOrMoreRaces",
    "hispanic": "hispanicOrLatinoEthnicity",
}
FLAGS = {
    "econ_disadv": "economicDisadvantage",
    "english_learner": "englishLearner",
    "has_iep": "specialEducation",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What is read of one file.

    Attributes:
        file: its name in the standard, or ours for the two supplements.
        columns: our name of a column → its name in the file.
        needed: of these, what the file is worth nothing without.
        aliases: our name of a column → another name it is found under, where its own is missing.
        core: whether there is no load without the file.
        public: whether it tells of the district and of no student.
    """

    file: str
    columns: Mapping[str, str]
    needed: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    core: bool = False
    public: bool = False

    @property
    def table(self) -> str:
        """The name of the table its rows go to."""
        return f"raw_{self.member.removesuffix('.csv')}"

    @property
    def member(self) -> str:
        """Its name in small letters, by which it is found in a bundle."""
        return self.file.lower()


_KEY = {"id": "sourcedId", "status": "status"}

ORGS = Layout(
    "orgs.csv",
    {**_KEY, "name": "name", "type": "type", "identifier": "identifier", "parent": "parentSourcedId"},
    ("id", "name", "type"),
    core=True,
    public=True,
)
SESSIONS = Layout(
    "academicSessions.csv",
    {**_KEY, "type": "type", "starts": "startDate", "year": "schoolYear"},
    ("id",),
    core=True,
    public=True,
)
COURSES = Layout(
    "courses.csv",
    {**_KEY, "title": "title", "grades": "grades", "subjects": "subjects", "codes": "subjectCodes"},
    ("id",),
    (("grades", "grade"),),
    public=True,
)
CLASSES = Layout(
    "classes.csv",
    {
        **_KEY,
        "title": "title",
        "grades": "grades",
        "course": "courseSourcedId",
        "school": "schoolSourcedId",
        "terms": "termSourcedIds",
        "subjects": "subjects",
        "codes": "subjectCodes",
    },
    ("id",),
    (("grades", "grade"), ("terms", "termSourcedId")),
    public=True,
)
CATEGORIES = Layout("categories.csv", {**_KEY, "title": "title"}, ("id", "title"), public=True)
LINE_ITEMS = Layout(
    "lineItems.csv",
    {
        **_KEY,
        "title": "title",
        "class": "classSourcedId",
        "category": "categorySourcedId",
        "period": "gradingPeriodSourcedId",
        "least": "resultValueMin",
        "most": "resultValueMax",
    },
    ("id", "title", "class"),
    public=True,
)
USERS = Layout(
    "users.csv",
    {
        **_KEY,
        "role": "role",
        "orgs": "orgSourcedIds",
        "primary_org": "primaryOrgSourcedId",
        "grades": "grades",
        "identifier": "identifier",
        "master": "userMasterIdentifier",
        "edfi": EDFI_ID,
    },
    ("id", "grades"),
    (("grades", "grade"),),
    core=True,
)
ROLES = Layout(
    "roles.csv",
    {"status": "status", "user": "userSourcedId", "kind": "roleType", "role": "role", "org": "orgSourcedId"},
    ("user", "role"),
    (("user", "userId"),),
)
DEMOGRAPHICS = Layout(
    "demographics.csv",
    {**_KEY, "sex": "sex", **RACES},
    ("id",),
    (("id", "userSourcedId"), ("id", "userId"), ("pacific", "nativeAmericanOrOtherPacificIslander")),
)
ENROLLMENTS = Layout(
    "enrollments.csv",
    {
        "status": "status",
        "user": "userSourcedId",
        "class": "classSourcedId",
        "school": "schoolSourcedId",
        "role": "role",
    },
    ("user", "class"),
    (("user", "userId"),),
)
RESULTS = Layout(
    "results.csv",
    {
        "status": "status",
        "item": "lineItemSourcedId",
        "user": "studentSourcedId",
        "state": "scoreStatus",
        "score": "score",
        "text": "textScore",
    },
    ("item", "user", "state"),
)
ATTENDANCE = Layout(
    "attendance_summary.csv",
    {
        "user": "userSourcedId",
        "year": "schoolYear",
        "days_enrolled": "daysEnrolled",
        "days_absent": "daysAbsent",
        **FLAGS,
    },
    ("user", "year", "days_enrolled", "days_absent"),
)
OUTCOMES = Layout(
    "outcomes.csv",
    {
        "user": "userSourcedId",
        "grad_cohort": "gradCohort",
        "school": "schoolSourcedId",
        "cohort_status": "cohortStatus",
        "outcome": "outcome",
        "years_to_outcome": "yearsToOutcome",
    },
    ("user", "grad_cohort", "school", "cohort_status", "outcome", "years_to_outcome"),
)

PUBLIC = (ORGS, SESSIONS, COURSES, CLASSES, CATEGORIES, LINE_ITEMS)
PRIVATE = (USERS, ROLES, DEMOGRAPHICS, ENROLLMENTS, RESULTS, ATTENDANCE, OUTCOMES)
LAYOUTS = PUBLIC + PRIVATE

_MISSPELT = {
    "dataLastModified": "dateLastModified",
    "prefferedGivenName": "preferredGivenName",
    "prefferedMiddleName": "preferredMiddleName",
    "prefferedFamilyName": "preferredFamilyName",
    "stateofBirthAbbreviation": "stateOfBirthAbbreviation",
    "birthdate": "birthDate",
}
"""Names found in columns that are not read; they do no harm, and the report tells of them."""


def places(rows: Rows, layout: Layout) -> tuple[dict[str, int], dict[str, int]]:
    """Where the columns of a file stand, and what of its header had to be put right.

    A column is found under its name, else under its name in other letters, else under a known other name.

    Raises:
        CatalogRefused: a needed column is missing, or two could be meant.
    """
    found: dict[str, int] = {}
    repaired = {f"{wrong} for {right}": 1 for wrong, right in _MISSPELT.items() if wrong in rows.names}
    for column, name in layout.columns.items():
        for spelling in (name, *(other for ours, other in layout.aliases if ours == column)):
            place = _place(rows, spelling)
            if place is not None:
                found[column] = place
                if rows.names[place] != name:
                    repaired[f"{rows.names[place]} for {name}"] = 1
                break
    for column in layout.needed:
        if column not in found:
            message = f"There is no column {layout.columns[column]}."
            raise refusal(rows.file, message, f"a column {layout.columns[column]} in the header", line=1)
    if blank := sum(not name for name in rows.names):
        repaired["columns without a name, not read"] = blank
    return found, repaired


def _place(rows: Rows, name: str) -> int | None:
    alike = places_called(rows, name)
    if len(alike) > 1:
        raise refusal(rows.file, f"Two columns are called {name}, but for capital letters.", "each name once", line=1)
    return alike[0] if alike else None
