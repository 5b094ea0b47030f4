from __future__ import annotations

import pytest

from tests.engine.intake.bundles import (
    CLASSES,
    MANIFEST,
    ORGS,
    SESSIONS,
    enrolled,
    load,
    public,
    refused,
    user,
    write,
)

KEYS = ("userMasterIdentifier", "metadata.edfi.naturalKey.studentUniqueId", "identifier")


def people(tmp_path, users, **files):
    return load(tmp_path, write(tmp_path / "bundle", **public(users=users, **files)))


def test_the_person_is_the_first_id_of_the_row(tmp_path):
    """Master id, Ed-Fi id, identifier, sourcedId; a letter keeps two kinds apart."""
    cells = {"m:M1": ("M1", "U1", "I1"), "u:U2": (" ", "U2", "I2"), "i:I3": ("", "", " I3 "), "s:x3": ("", "", "")}
    rows = [user(f"x{place}", **dict(zip(KEYS, one, strict=True))) for place, one in enumerate(cells.values())]
    assert people(tmp_path, rows).of("student", "student_key") == sorted((person,) for person in cells)


@pytest.mark.slow
def test_two_kinds_of_id_never_meet(tmp_path):
    """The same text as identifier of one and sourcedId of another makes two persons."""
    made = people(tmp_path, [user("x", identifier="7"), user("7")])
    assert made.of("student", "student_key") == [("i:7",), ("s:7",)]


@pytest.mark.slow
def test_a_row_for_each_school_is_one_person(tmp_path):
    """An Ed-Fi source writes one users row for each school of a student: one student, one year, two schools."""
    rows = [user("x1", identifier="7"), user("x2", identifier="7", orgSourcedIds="b")]
    lessons = [enrolled("x1"), enrolled("x2", "c3", "b"), enrolled("x2", "c9", "b")]
    made = people(tmp_path, rows, enrollments=lessons)
    assert made.of("student", "student_key") == [("i:7",)]
    assert made.of("student_year", "student_key", "school_id", "schools_attended") == [("i:7", "12", "2")]


@pytest.mark.slow
def test_schools_with_as_many_classes_are_told_apart_by_their_id(tmp_path):
    """Neither the order of rows nor that of sourcedIds decides."""
    rows = [user("x1", identifier="7", orgSourcedIds="b"), user("x2", identifier="7", orgSourcedIds="a")]
    for order in (rows, rows[::-1]):
        made = people(tmp_path, order, enrollments=[enrolled("x1", "c3", "b"), enrolled("x2")])
        assert made.of("student_year", "school_id") == [("11",)]


@pytest.mark.slow
def test_enrolments_decide_only_where_users_rows_do_not(tmp_path):
    """A school that a users row names stays, however many classes are elsewhere; without one, the most classes count."""
    lessons = [
        enrolled(one, lesson, school) for one in "xy" for lesson, school in (("c1", "a"), ("c3", "b"), ("c4", "b"))
    ]
    made = people(tmp_path, [user("x"), user("y", orgSourcedIds="d")], enrollments=lessons)
    assert made.of("student_year", "student_key", "school_id") == [("s:x", "11"), ("s:y", "12")]


@pytest.mark.slow
def test_the_same_enrolment_twice_is_one_class(tmp_path):
    """Two classes weigh more than one that stands there three times."""
    rows = [user("x1", identifier="7"), user("x2", identifier="7", orgSourcedIds="b")]
    lessons = [enrolled("x1")] * 3 + [enrolled("x2", "c3", "b"), enrolled("x2", "c4", "b")]
    assert people(tmp_path, rows, enrollments=lessons).of("student_year", "school_id") == [("12",)]


@pytest.mark.slow
def test_a_sourced_id_of_two_persons_is_refused(tmp_path):
    """By file and rows; no id is shown."""
    one = refused(
        tmp_path,
        write(tmp_path / "bundle", **public(users=[user("q"), user("CANARY", identifier="1"), user("CANARY")])),
    )
    assert "Row 2 under the header and row 3 have one sourcedId" in one.message
    assert one.file == "bundle/users.csv"
    assert "CANARY" not in f"{one.message} {one.accepted}"


@pytest.mark.slow
def test_a_sourced_id_of_two_persons_in_two_bundles_is_refused(tmp_path):
    """A student would be two, with a limit for each."""
    first = write(tmp_path / "first", **public(users=[user("x", identifier="1")]))
    second = write(tmp_path / "second", **public(users=[user("x", identifier="2")]))
    assert "row 1 of second/users.csv" in refused(tmp_path, first, second).message


@pytest.mark.slow
def test_a_sourced_id_of_a_student_and_another_person_is_refused(tmp_path):
    """The teacher's rows would be the student's; two teachers may share what they like."""
    rows = [user("x", identifier="1"), user("x", identifier="2", role="teacher")]
    assert "two persons" in refused(tmp_path, write(tmp_path / "bundle", **public(users=rows))).message
    rows = [user("x"), *(user("t", identifier=one, role="teacher") for one in "12")]
    assert people(tmp_path / "again", rows).of("student", "student_key") == [("s:x",)]


@pytest.mark.slow
def test_a_sourced_id_again_for_one_person_is_forgiven(tmp_path):
    """And told."""
    made = people(tmp_path, [user("x"), user("x", "10")])
    assert made.of("student_year", "student_key", "grade_level") == [("s:x", "10")]
    assert made.files["users.csv"].repaired == {"a sourcedId that stands once more for the same person": 1}


@pytest.mark.slow
def test_a_sourced_id_is_known_in_its_own_bundle(tmp_path):
    """Rows of a bundle in which nobody has their sourcedId are nobody's."""
    own = write(tmp_path / "own", **public(users=[user("x")], demographics=[{"sourcedId": "x", "sex": "male"}]))
    strays = {"demographics": [{"sourcedId": "x", "sex": "female"}], "enrollments": [enrolled("x", "c3", "b")]}
    other = write(tmp_path / "other", **public(users=[user("y")], **strays))
    made = load(tmp_path, own, other)
    assert made.one("student", student_key="s:x")["sex"] == "M"
    assert made.one("student_year", student_key="s:x")["schools_attended"] == "1"


@pytest.mark.slow
def test_a_class_is_known_in_its_own_bundle(tmp_path):
    """Next year a class of the same sourcedId may be in another school; last year's enrolment says nothing of it."""
    paths = []
    for spring, school, lessons in ((2025, "a", [enrolled("x", "c", "")]), (2026, "b", [])):
        files = {
            "classes": [{"sourcedId": "c", "schoolSourcedId": school, "termSourcedIds": "t26"}],
            "enrollments": [enrolled("q"), *lessons],
        }
        paths.append(write(tmp_path / f"{spring}", **public(users=[user("x")], **files, **year_of(spring))))
    assert load(tmp_path, *paths).of("student_year", "school_year", "school_id", "schools_attended") == [
        ("2025", "11", "1"),
        ("2026", "11", "1"),
    ]


def test_who_is_no_student_is_left_out_and_counted(tmp_path):
    """Other roles, deleted and inactive rows, rows without any id; case and space are forgiven."""
    rows = [
        user("x", role=" Student "),
        user("t", role="teacher"),
        user("o", role=""),
        user("d", status="toBeDeleted"),
        user("i", status="Inactive"),
        user("v", status="Active"),
        user(""),
    ]
    made = people(tmp_path, rows)
    assert made.of("student", "student_key") == [("s:v",), ("s:x",)]
    assert made.files["users.csv"].dropped == {
        "to be deleted or inactive": 2,
        "not a student": 2,
        "without any id": 1,
    }


@pytest.mark.slow
def test_no_student_at_all_is_refused(tmp_path):
    """A bundle of teachers is nothing to load."""
    one = refused(tmp_path, write(tmp_path / "bundle", **public(users=[user("t", role="teacher")])))
    assert "no student" in one.message


GRADES = {
    "PR": ("PK", "2039"),
    "PK": ("PK", "2039"),
    "TK": ("PK", "2039"),
    "kg": ("KG", "2038"),
    "K": ("KG", "2038"),
    "1": ("01", "2037"),
    "09": ("09", "2029"),
    " 12 ": ("12", "2026"),
    "13": ("12", "2026"),
    "10,09": ("10", "2028"),
    "09, UG": ("09", "2029"),
    "UG": ("UG", None),
    "IT": (None, None),
    "PS": (None, None),
    "Other": (None, None),
    "": (None, None),
    "14": (None, None),
}


@pytest.mark.slow
def test_grades(tmp_path):
    """CEDS codes; of several the highest; UG has no class year, and infants and graduates have no grade."""
    made = people(tmp_path, [user(f"g<{grades}>", grades) for grades in GRADES])
    levels = dict(made.of("student_year", "student_key", "grade_level"))
    cohorts = dict(made.of("student", "student_key", "cohort_year"))
    assert {one: (levels[f"s:g<{one}>"], cohorts[f"s:g<{one}>"]) for one in GRADES} == GRADES


def year_of(spring):
    return {
        "academicSessions": [{**one, "schoolYear": str(spring)} for one in SESSIONS],
    }


def test_an_id_that_came_later_makes_nobody_two(tmp_path):
    """A userMasterIdentifier in the newer bundle alone would make two persons of each child: refused by rows."""
    old = write(tmp_path / "old", **public(users=[user("s1", identifier="1")]))
    new = write(tmp_path / "new", **public(users=[user("t1", identifier="1", userMasterIdentifier="m1")]))
    one = refused(tmp_path, old, new)
    assert "one identifier and stand for two persons" in one.message
    assert "Row 1" in one.message


@pytest.mark.slow
def test_a_word_for_nothing_is_no_identifier(tmp_path):
    """The sourcedId is the person's id then."""
    folder = write(tmp_path / "b", **public(users=[user(f"s{n}", identifier="N/A") for n in range(3)]))
    assert len(load(tmp_path, folder).tables["student"]) == 3


@pytest.mark.slow
def test_an_identifier_of_a_whole_school_is_refused(tmp_path):
    """Some default that a system wrote into every row."""
    folder = write(tmp_path / "b", **public(users=[user(f"s{n}", identifier="7") for n in range(21)]))
    assert "More than 20 rows" in refused(tmp_path, folder).message


@pytest.mark.slow
def test_the_class_is_that_of_first_sight(tmp_path):
    """Whoever repeats or skips a grade stays in the class, in any order of the bundles; UG is no sight of a grade."""
    grades = {2024: ("UG", "08", "08"), 2025: ("09", "08", "10"), 2026: ("09", "10", "11")}
    paths = []
    for spring, row in grades.items():
        users = [user(one, grade) for one, grade in zip("xyz", row, strict=True)]
        paths.append(write(tmp_path / f"{spring}", **public(users=users, **year_of(spring))))
    for order in (paths, paths[::-1]):
        made = load(tmp_path, *order)
        assert made.of("student", "student_key", "cohort_year", "entry_year") == [
            ("s:x", "2028", "2024"),
            ("s:y", "2028", "2024"),
            ("s:z", "2028", "2024"),
        ]
        assert len(made.tables["student_year"]) == 9
        assert made.one("student_year", student_key="s:y", school_year="2025")["grade_level"] == "08"


@pytest.mark.parametrize(
    ("cells", "spring"),
    [
        ({"schoolYear": "2025-2026"}, "2026"),
        ({"schoolYear": "2025-26"}, "2026"),
        ({"schoolYear": "1999/00"}, "2000"),
        ({"schoolYear": "2026"}, "2026"),
        ({"schoolYear": "2023", "startDate": "2022-09-01"}, "2023"),
        ({"schoolYear": "", "startDate": "2022-09-01"}, "2023"),
        ({"schoolYear": "2025-2027", "startDate": "2026-01-08T00:00:00Z"}, "2026"),
    ],
)
@pytest.mark.slow
def test_school_years(cells, spring, tmp_path):
    """The spring year, however it is written; else by the date it begins on."""
    sessions = [{"sourcedId": "y", "type": "schoolYear", **cells}]
    made = people(tmp_path, [user("x")], academicSessions=sessions)
    assert made.of("student_year", "school_year") == [(spring,)]


@pytest.mark.slow
def test_a_bundle_without_a_school_year_is_refused(tmp_path):
    """Nobody's class could be told."""
    for sessions in ("sourcedId,type,schoolYear\n", [{"sourcedId": "y", "type": "schoolYear", "schoolYear": "soon"}]):
        one = refused(
            tmp_path,
            write(tmp_path / "bundle", **public(users=[user("x")], academicSessions=sessions)),
            catalog=CATALOG,
        )
        assert "No row tells a school year" in one.message
        assert "schoolYear" in one.accepted


CATALOG = """\
district: {id: us-xx-test, name: Test, time_zone: America/New_York}
privacy: {owner: student_key, cohort: cohort_year, cohorts: {from: 2020, to: 2045}, delta: 1e-7}
tables:
  student: {unique: [student_key], columns: {cohort_year: {type: integer}}}
"""


@pytest.mark.slow
def test_in_a_bundle_of_several_years_the_classes_tell_the_year(tmp_path):
    """The newest year a student has classes in; without one, the newest the bundle has classes in."""
    sessions = [
        *SESSIONS,
        {"sourcedId": "t25", "type": "term", "schoolYear": "2025"},
        {"sourcedId": "y27", "type": "schoolYear", "schoolYear": "2027"},
    ]
    classes = [*CLASSES, {"sourcedId": "old", "schoolSourcedId": "b", "termSourcedIds": "t25"}]
    rows = [user("x"), user("y"), user("z"), user("t")]
    lessons = [enrolled("x", "old", "b"), enrolled("y", "old", "b"), enrolled("y"), enrolled("t", "old", role="aide")]
    made = people(tmp_path, rows, academicSessions=sessions, classes=classes, enrollments=lessons)
    years = {"s:x": "2025", "s:y": "2026", "s:z": "2026", "s:t": "2026"}
    assert dict(made.of("student_year", "student_key", "school_year")) == years
    assert made.one("student_year", student_key="s:y")["schools_attended"] == "1", "last year's school is not counted"


ROLES = {
    "manifest": [MANIFEST[0], {"propertyName": "oneroster.version", "value": "1.2"}],
    "users": [
        {"sourcedId": "x", "grades": "09", "primaryOrgSourcedId": "b", "userMasterIdentifier": "M"},
        {"sourcedId": "y", "grades": "09", "primaryOrgSourcedId": "d"},
        {"sourcedId": "z", "grades": "09", "primaryOrgSourcedId": ""},
        {"sourcedId": "t", "grades": "09", "primaryOrgSourcedId": "a"},
    ],
    "roles": [
        {"userSourcedId": "x", "roleType": "secondary", "role": "student", "orgSourcedId": "a"},
        {"userSourcedId": "y", "roleType": "secondary", "role": "student", "orgSourcedId": "a"},
        {"userSourcedId": "y", "roleType": "primary", "role": "student", "orgSourcedId": "b"},
        {"userSourcedId": "z", "roleType": "primary", "role": "student", "orgSourcedId": "d"},
        {"userSourcedId": "t", "roleType": "primary", "role": "teacher", "orgSourcedId": "a"},
        {
            "userSourcedId": "t",
            "roleType": "primary",
            "role": "student",
            "orgSourcedId": "a",
            "status": "tobedeleted",
        },
    ],
}


@pytest.mark.slow
def test_in_1_2_the_roles_tell_who_is_a_student_and_where(tmp_path):
    """The primary org if it is a school, else the primary role's org, else another's, else the enrolments."""
    made = load(tmp_path, write(tmp_path / "bundle", **public(**ROLES, enrollments=[enrolled("z", "c3", "b")])))
    assert made.of("student_year", "student_key", "school_id", "schools_attended") == [
        ("m:M", "12", "2"),
        ("s:y", "12", "2"),
        ("s:z", "12", "1"),
    ]
    assert made.files["roles.csv"].dropped == {"deleted, inactive, or not of a student": 2}


@pytest.mark.slow
def test_in_1_1_roles_are_not_asked(tmp_path):
    """A stray roles.csv makes nobody a student."""
    made = people(tmp_path, [user("x"), user("t", role="teacher")], roles=ROLES["roles"])
    assert made.of("student", "student_key") == [("s:x",)]


@pytest.mark.slow
def test_an_org_that_is_no_school_lies_in_one(tmp_path):
    """The first that is a school or lies in one; a district, or an org that is not there, is no school."""
    schools = {"a": "11", "d,b,a": "12", "a-art": "11", "d": None, "gone": None, "gone, b": "12"}
    made = people(tmp_path, [user(f"<{orgs}>", orgSourcedIds=orgs) for orgs in schools])
    assert dict(made.of("student_year", "student_key", "school_id")) == {f"s:<{k}>": v for k, v in schools.items()}


@pytest.mark.slow
def test_orgs_in_a_circle_lie_in_no_school(tmp_path):
    """The climb ends."""
    circle = [{"sourcedId": one, "name": one, "type": "local", "parentSourcedId": two} for one, two in ("pq", "qp")]
    made = people(tmp_path, [user("x", orgSourcedIds="p,q")], orgs=[*ORGS, *circle])
    assert made.of("student_year", "school_id") == [(None,)]


DEMOGRAPHICS = [
    ([{"sex": "male", "white": "true"}], "M", "WH7"),
    ([{"sex": "Female", "asian": "TRUE"}], "F", "AS7"),
    ([{"sex": "other", "blackOrAfricanAmerican": "true"}], "X", "BL7"),
    ([{"sex": "unspecified", "americanIndianOrAlaskaNative": "true"}], "unknown", "AM7"),
    ([{"sex": "", "nativeHawaiianOrOtherPacificIslander": "true"}], "unknown", "PI7"),
    ([{"white": "true", "asian": "true"}], "unknown", "MU7"),
    ([{"demographicRaceTwoOrMoreRaces": "true"}], "unknown", "MU7"),
    (
        [{"white": "true", "demographicRaceTwoOrMoreRaces": "true", "hispanicOrLatinoEthnicity": "true"}],
        "unknown",
        "HI7",
    ),
    ([{"white": "false", "asian": "perhaps"}], "unknown", "unknown"),
    ([{"sex": "male", "white": "true"}, {"sex": "", "asian": "true"}], "M", "MU7"),
    ([{"sex": "male"}, {"sex": "female"}], "unknown", "unknown"),
    ([{"sex": "male"}, {"sex": "female", "status": "tobedeleted", "white": "true"}], "M", "unknown"),
    ([], "unknown", "unknown"),
]


def test_sex_and_race(tmp_path):
    """The federal roll-up of the union of a person's flags; a sex only if all rows that say one agree."""
    cells = [{"sourcedId": f"p{place:02}", **row} for place, (rows, _, _) in enumerate(DEMOGRAPHICS) for row in rows]
    made = people(tmp_path, [user(f"p{place:02}") for place in range(len(DEMOGRAPHICS))], demographics=cells)
    found = made.of("student", "student_key", "sex", "race_ethnicity")
    assert [one[1:] for one in found] == [(sex, race) for _, sex, race in DEMOGRAPHICS]


@pytest.mark.slow
def test_enrolments_of_others_say_nothing(tmp_path):
    """Deleted enrolments, and those of a teacher's kind."""
    lessons = [
        enrolled("x", "c3", "b", status="tobedeleted"),
        enrolled("x", "c3", "b", role="teacher"),
        enrolled("q"),
    ]
    made = people(tmp_path, [user("x")], enrollments=lessons)
    assert made.of("student_year", "school_id", "schools_attended") == [("11", "1")]
    assert made.files["enrollments.csv"].dropped == {"deleted, inactive, or not of a student": 2}
