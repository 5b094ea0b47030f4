from __future__ import annotations

import pytest

from engine.catalog_file import catalog_of
from engine.refusals import CatalogRefused
from tests.engine.intake.bundles import (
    ORGS,
    SESSIONS,
    SHARED,
    draft,
    load,
    needs_shared,
    public,
    user,
    write,
    zipped,
)

pytestmark = pytest.mark.slow

USERS = [user("x")]


def drafted(tmp_path, **files):
    return catalog_of(draft(write(tmp_path / "bundle", **public(users=USERS, **files))), "district.yaml")


def year(spring, **cells):
    return {"sourcedId": f"y{spring}", "type": "schoolYear", "schoolYear": f"{spring}", **cells}


def test_a_bare_bundle(tmp_path):
    """Schools, students and their years; no column that nothing fills."""
    found = drafted(tmp_path)
    assert {name: set(table.columns) - {"student_key"} for name, table in found.tables.items()} == {
        "school": {"school_id", "school_name", "school_level"},
        "student": {"cohort_year", "entry_year"},
        "student_year": {"cohort_year", "school_year", "school_id", "grade_level", "schools_attended"},
    }
    assert (found.district_id, found.district_name) == ("alder-district", "Alder District")
    assert (found.owner, found.cohort, found.time_zone) == ("student_key", "cohort_year", "America/New_York")


def test_more_files_bring_more_columns(tmp_path):
    """Only the columns whose files and headers are there, in any of the bundles."""
    plain = write(tmp_path / "plain", **public(users=USERS))
    files = {
        "demographics": "sourcedId,sex\n",
        "lineItems": "sourcedId,title,classSourcedId\n",
        "results": "lineItemSourcedId,studentSourcedId,scoreStatus\n",
        "attendance_summary": "userSourcedId,schoolYear,daysEnrolled,daysAbsent,englishLearner\n",
        "outcomes": "userSourcedId,gradCohort,schoolSourcedId,cohortStatus,outcome,yearsToOutcome\n",
    }
    rich = write(tmp_path / "rich", **public(users=USERS, **files))
    found = catalog_of(draft(plain, rich), "district.yaml").tables
    assert {"sex", "race_ethnicity"} < set(found["student"].columns)
    years = set(found["student_year"].columns)
    assert {"english_learner", "days_enrolled", "days_absent"} < years
    assert not years & {"econ_disadv", "has_iep", "gpa"}
    assert "subject_area" in found["course_grade"].columns
    assert "outcome" in found["graduation"].columns
    made = load(tmp_path, plain, rich)
    assert set(made.tables) == set(found)
    without = write(tmp_path / "without", **public(users=USERS, **{**files, "results": "score\n"}))
    assert "course_grade" not in catalog_of(draft(without), "district.yaml").tables


def test_years_and_classes(tmp_path):
    """From grade 12 in the oldest year to preschool in the newest; lists follow the sessions, and the text says so."""
    folder = write(
        tmp_path / "bundle",
        **public(
            users=USERS,
            academicSessions=[year(2026), year("2023-24"), year(2019, status="tobedeleted")],
            outcomes="userSourcedId,gradCohort,schoolSourcedId,cohortStatus,outcome,yearsToOutcome\n",
        ),
    )
    text = draft(folder)
    found = catalog_of(text, "district.yaml")
    assert (found.cohorts[0], found.cohorts[-1]) == (2024, 2039)
    assert found.tables["student_year"].columns["school_year"].values == (2024, 2025, 2026)
    assert found.tables["student"].columns["entry_year"].values == (2024, 2025, 2026)
    assert (found.tables["graduation"].columns["grad_cohort"].values or ())[0] == 2023
    assert (found.tables["graduation"].columns["grad_cohort"].values or ())[-1] == 2042
    assert "extend by hand\n# school_year, entry_year and privacy.cohorts" in text
    assert "The classes of 2024 (grade 12 in 2024) to 2039 (preschool in 2026)" in text


def test_the_draft_is_that_of_a_zip_too(tmp_path):
    """And depends on no path and no order."""
    folder = write(tmp_path / "bundle", **public(users=USERS))
    other = write(tmp_path / "other", **public(users=USERS, academicSessions=[year(2025)]))
    assert draft(folder) == draft(zipped(folder, tmp_path / "bundle.zip"))
    assert draft(folder, other) == draft(other, folder)


NAMES = [
    ([{"type": "district", "name": "One"}, {"type": "local", "name": "Two"}], "One"),
    ([{"type": "local", "name": "Two"}, {"type": "state", "name": "Three"}], "Two"),
    ([{"type": "state", "name": 'The "Third": {x} École #3'}], 'The "Third": {x} École #3'),
    ([{"type": "district", "name": "Gone", "status": "tobedeleted"}, {"type": "state", "name": "Four"}], "Four"),
]


@pytest.mark.parametrize(("orgs", "name"), NAMES)
def test_the_name_of_the_district(orgs, name, tmp_path):
    """Of the org of type district, else local, else state; whatever stands in it."""
    rows = [ORGS[1], *({"sourcedId": f"o{place}", **one} for place, one in enumerate(orgs))]
    folder = write(tmp_path / "bundle", **public(users=USERS, orgs=rows))
    found = catalog_of(draft(folder, district_id="us-xx-1"), "district.yaml")
    assert (found.district_name, found.district_id) == (name, "us-xx-1")


def test_a_district_without_a_name_or_with_two_is_asked_for(tmp_path):
    """A name given by hand is taken; so is an id where the name makes none."""
    nameless = write(tmp_path / "none", **public(users=USERS, orgs=[ORGS[1]]))
    two = [{**ORGS[0], "sourcedId": "e", "name": "Elm"}, *ORGS]
    several = write(tmp_path / "two", **public(users=USERS, orgs=two))
    for folder, words in ((nameless, "does not name the district"), (several, "names several districts")):
        with pytest.raises(CatalogRefused, match=words) as caught:
            draft(folder)
        assert "by hand" in caught.value.accepted
        assert catalog_of(draft(folder, name="Given"), "district.yaml").district_name == "Given"
    with pytest.raises(CatalogRefused, match="cannot be the district's id"):
        draft(several, name="東京")
    assert catalog_of(draft(several, name="東京", district_id="tokyo"), "district.yaml").district_name == "東京"


@pytest.mark.parametrize(
    ("identifiers", "ids"),
    [
        (("11", "12"), ("11", "12")),
        (("0011", "12"), ("11", "12")),
        (("11", ""), ("1", "2")),
        (("11", "B2"), ("1", "2")),
        (("11", "11"), ("1", "2")),
        (("11", "011"), ("1", "2")),
        (("0", "12"), ("1", "2")),
        (("11", "1000000000"), ("1", "2")),
        (("11", "9" * 30), ("1", "2")),
    ],
)
def test_school_ids(identifiers, ids, tmp_path):
    """The identifiers, if every school has a whole number of its own; else by the order of sourcedIds. Told."""
    orgs = [ORGS[0], *({**one, "identifier": value} for one, value in zip(ORGS[1:3], identifiers, strict=True))]
    for order in (orgs, orgs[::-1]):
        folder = write(tmp_path / "bundle", **public(users=USERS, orgs=order))
        made = load(tmp_path, folder)
        assert made.of("school", "school_id", "school_name") == [(ids[0], "Ash High"), (ids[1], "Birch Middle")]
        assert ("numbered from 1" in draft(folder)) == (ids == ("1", "2"))


def test_a_school_in_two_bundles_is_one(tmp_path):
    """Under its newest name, even if its sourcedId has changed; a school of one bundle alone is there too."""
    old = [
        {**ORGS[1], "sourcedId": "z", "name": "Old Ash"},
        ORGS[2],
        {**ORGS[1], "sourcedId": "q", "identifier": "99"},
    ]
    paths = [
        write(tmp_path / "25", **public(users=USERS, orgs=old, academicSessions=[year(2025)])),
        write(tmp_path / "26", **public(users=USERS)),
    ]
    for order in (paths, paths[::-1]):
        made = load(tmp_path, *order)
        assert made.of("school", "school_id", "school_name") == [
            ("11", "Ash High"),
            ("12", "Birch Middle"),
            ("99", "Ash High"),
        ]


LEVELS = {
    ("KG,05",): "elementary",
    ("KG", "06"): "elementary",
    ("06,07,08",): "middle",
    ("05", "09"): "middle",
    ("09", "12"): "high",
    ("07", "12"): "other",
    ("KG", "08"): "other",
    ("UG", ""): "other",
    (): "other",
}


def test_the_level_of_a_school_is_that_of_its_classes(tmp_path):
    """Or of their courses where classes have no grades; what spans two levels is other."""
    orgs, classes, courses = [ORGS[0]], [], []
    for place, grades in enumerate(LEVELS):
        orgs.append({"sourcedId": f"s{place}", "name": f"{grades}", "type": "school", "identifier": f"{place + 1}"})
        for grade in grades:
            one = {
                "sourcedId": f"{len(classes)}",
                "courseSourcedId": f"k{len(classes)}",
                "schoolSourcedId": f"s{place}",
            }
            classes.append({**one, "grades": grade})
            courses.append({"sourcedId": f"k{len(courses)}", "grades": grade})
    theirs = [{**one, "grades": ""} for one in classes]
    blank = [{**one, "grades": ""} for one in courses]
    for name, (ours, others) in {"own": (classes, blank), "theirs": (theirs, courses)}.items():
        files = public(users=USERS, orgs=orgs, classes=ours, courses=others)
        made = load(tmp_path, write(tmp_path / name, **files))
        assert dict(made.of("school", "school_name", "school_level")) == {f"{k}": v for k, v in LEVELS.items()}


def test_a_school_has_one_number_in_all_bundles(tmp_path):
    """Where schools are numbered: by the sourcedIds of all bundles together."""
    bare = [{**one, "identifier": ""} for one in ORGS]
    more = [{**bare[1], "sourcedId": "A", "name": "Alder High"}]
    paths = [
        write(tmp_path / "25", **public(users=USERS, orgs=bare[:2], academicSessions=[year(2025)])),
        write(tmp_path / "26", **public(users=USERS, orgs=[*bare, *more])),
    ]
    for order in (paths, paths[::-1]):
        made = load(tmp_path, *order)
        assert made.of("school", "school_id", "school_name") == [
            ("1", "Alder High"),
            ("2", "Ash High"),
            ("3", "Birch Middle"),
        ]
        assert {row["school_id"] for row in made.tables["student_year"]} == {"2"}


@needs_shared
@pytest.mark.parametrize(("name", "schools"), [("oneroster-small", 3), ("oneroster-large", 20)])
def test_the_draft_of_a_generated_district(name, schools, tmp_path):
    """Its years and classes, and its schools by their identifiers; it loads what it was drafted from."""
    text = draft(SHARED / name)
    found = catalog_of(text, "district.yaml")
    assert found.district_id == "crimson-summit-county-schools"
    assert (found.cohorts[0], found.cohorts[-1]) == (2026, 2039)
    made = load(tmp_path, SHARED / name)
    assert len(made.tables["school"]) == schools
    assert {row["school_level"] for row in made.tables["school"]} == {"elementary", "middle", "high"}
    assert min(int(row["school_id"]) for row in made.tables["school"]) == 1001


def test_without_sessions_there_is_no_draft(tmp_path):
    """The lists of years would be empty."""
    folder = write(
        tmp_path / "bundle",
        **public(users=USERS, academicSessions=[{**SESSIONS[0], "schoolYear": "", "startDate": ""}]),
    )
    with pytest.raises(CatalogRefused, match="No row tells a school year"):
        draft(folder)
