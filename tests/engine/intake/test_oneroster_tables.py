from __future__ import annotations

import re
from importlib.resources import files

import pytest

from tests.engine.intake.bundles import CLASSES, SESSIONS, draft, enrolled, load, public, refused, user, write

pytestmark = pytest.mark.slow

USERS = [user("x"), user("y")]
ITEM = {
    "sourcedId": "i",
    "title": "Final Grade",
    "classSourcedId": "c1",
    "resultValueMin": "0",
    "resultValueMax": "100",
}
RESULT = {"lineItemSourcedId": "i", "studentSourcedId": "x", "scoreStatus": "fully graded", "score": "88"}


def graded(tmp_path, items=(ITEM,), results=(RESULT,), **files):
    folder = write(tmp_path / "bundle", **public(users=USERS, lineItems=[*items], results=[*results], **files))
    return load(tmp_path, folder)


def marks_of(tmp_path, *columns, **files):
    return graded(tmp_path, **files).of("course_grade", *columns)


def test_a_final_mark(tmp_path):
    """One result of a line item for the final grade is one row, in the school and year of its class."""
    assert graded(tmp_path).tables["course_grade"] == [
        {
            "student_key": "s:x",
            "school_year": "2026",
            "school_id": "11",
            "subject_area": "other",
            "course_level": "regular",
            "grade_points": None,
            "is_passed": "true",
        }
    ]


def test_only_a_final_mark(tmp_path):
    """A quiz is none, nor is a bare "Final"; a category may say it for its line items."""
    titles = ["final GRADE", "Course Grade", "Quiz 1", "Final", "Final exam", "Marking period", "Kept apart"]
    kinds = {"Marking period": "k", "Kept apart": "gone"}
    items = [{**ITEM, "sourcedId": one, "title": one, "categorySourcedId": kinds.get(one, "")} for one in titles]
    items.append({**ITEM, "sourcedId": "deleted", "status": "tobedeleted"})
    categories = [
        {"sourcedId": "k", "title": "Term Grade", "status": ""},
        {"sourcedId": "gone", "title": "Term Grade", "status": "tobedeleted"},
    ]
    results = [{**RESULT, "lineItemSourcedId": one["sourcedId"]} for one in items]
    assert len(marks_of(tmp_path, "student_key", items=items, results=results, categories=categories)) == 3


def test_only_what_is_fully_graded(tmp_path):
    """Exempt, partial and deleted results, results of nobody here, and marks that cannot be read are left out."""
    results = [
        {**RESULT, "scoreStatus": "exempt"},
        {**RESULT, "scoreStatus": "partially graded"},
        {**RESULT, "score": "good"},
        {**RESULT, "score": "-3"},
        {**RESULT, "score": ""},
        {**RESULT, "studentSourcedId": "q"},
        {**RESULT, "status": "tobedeleted"},
    ]
    assert marks_of(tmp_path, "is_passed", results=results) == []


SCALES = {
    ("A", "", "100"): ("4.0000", "true"),
    ("b+", "", ""): ("3.3000", "true"),
    ("D-", "", ""): ("0.7000", "true"),
    ("F", "", ""): ("0.0000", "false"),
    ("P", "", ""): (None, "true"),
    ("Fail", "", ""): (None, "false"),
    ("", "B", ""): ("3.0000", "true"),
    ("60", "", "100"): (None, "true"),
    ("59.9", "", "100"): (None, "false"),
    ("3.67", "", "4"): ("3.6700", "true"),
    ("0.9", "", "5"): ("0.9000", "false"),
    ("3.5", "", ""): None,
    ("3.5", "", "0"): None,
    ("85", "A-", "100"): ("3.7000", "true"),
}


def test_scales(tmp_path):
    """Points where the scale ends at 5 or the mark is a letter; a pass where the end of the scale is known."""
    items, results = [], []
    for place, (score, text, most) in enumerate(SCALES):
        items.append({**ITEM, "sourcedId": f"{place}", "resultValueMax": most, "classSourcedId": f"c{place}"})
        results.append({**RESULT, "lineItemSourcedId": f"{place}", "score": score, "textScore": text})
    classes = [{**CLASSES[0], "sourcedId": f"c{place}", "title": f"T{place}"} for place in range(len(SCALES))]
    made = graded(tmp_path, items, results, classes=classes)
    expected = sorted((one for one in SCALES.values() if one), key=str)
    assert sorted(((r["grade_points"], r["is_passed"]) for r in made.tables["course_grade"]), key=str) == expected


def test_a_scale_that_begins_elsewhere_is_not_read(tmp_path):
    """1 to 5 with 1 as the best, as in some countries, would turn a pass into a fail."""
    assert marks_of(tmp_path, "is_passed", items=[{**ITEM, "resultValueMin": "1", "resultValueMax": "5"}]) == []


def test_of_several_results_of_one_line_item_the_best_stays(tmp_path):
    """By value, in any order."""
    results = [{**RESULT, "score": one} for one in ("C", "A", "F")]
    for order in (results, results[::-1]):
        assert marks_of(tmp_path, "grade_points", results=order) == [("4.0000",)]


SUBJECTS = [
    ({"subjectCodes": "02052"}, {}, "math"),
    ({"subjectCodes": "local, 54001"}, {}, "social"),
    ({"subjectCodes": "0201"}, {}, "other"),
    ({"subjectCodes": "0191100"}, {}, "other"),
    ({"subjects": "English Language Arts"}, {}, "ela"),
    ({"subjects": "Social Science"}, {}, "social"),
    ({"subjects": "Computer Science"}, {}, "cte"),
    ({"subjects": "Visual Arts"}, {}, "arts"),
    ({"subjects": "Partial credit"}, {}, "other"),
    ({"subjects": ""}, {"subjects": "Spanish"}, "world_lang"),
    ({"subjects": "PE"}, {"subjectCodes": "03001"}, "science"),
    ({"subjects": "Homeroom"}, {"subjects": "Physics"}, "science"),
]
LEVELS = [
    ("AP Biology", "ap_ib"),
    ("Biology (Honors)", "honors"),
    ("Dual Credit English", "dual_credit"),
    ("Remedial Reading", "remedial"),
    ("Maps and apples", "regular"),
]


def test_subjects_and_levels(tmp_path):
    """SCED codes of five digits before words, the class before its course; levels by whole words of the titles."""
    cases = [*SUBJECTS, *(({"title": title}, {"title": ""}, level) for title, level in LEVELS)]
    lessons, courses, items = [], [], []
    for place, (lesson, course, _) in enumerate(cases):
        plain = {"title": "", "schoolSourcedId": "a", "termSourcedIds": "t26", "subjects": "", "subjectCodes": ""}
        lessons.append({"sourcedId": f"c{place}", "courseSourcedId": f"k{place}", **plain, **lesson})
        courses.append({"sourcedId": f"k{place}", "title": "", "subjects": "", "subjectCodes": "", **course})
        items.append({**ITEM, "sourcedId": f"i{place:02}", "classSourcedId": f"c{place}"})
    names = [item["sourcedId"] for item in items]
    users = [user(name) for name in names]
    results = [{**RESULT, "lineItemSourcedId": name, "studentSourcedId": name} for name in names]
    files = public(users=users, lineItems=items, results=results, classes=lessons, courses=courses)
    rows = load(tmp_path, write(tmp_path / "bundle", **files)).of(
        "course_grade", "student_key", "subject_area", "course_level"
    )
    count = len(SUBJECTS)
    assert [one[1] for one in rows[:count]] == [subject for _, _, subject in SUBJECTS]
    assert [one[2] for one in rows[count:]] == [level for _, level in LEVELS]


def test_the_year_of_a_mark(tmp_path):
    """That of the line item's period, else of the class, else of the student."""
    sessions = [*SESSIONS, {"sourcedId": "t25", "type": "term", "schoolYear": "2025"}]
    classes = [*CLASSES, {"sourcedId": "old", "termSourcedIds": "t25"}, {"sourcedId": "bare"}]
    items = [
        {**ITEM, "sourcedId": "1", "gradingPeriodSourcedId": "t25"},
        {**ITEM, "sourcedId": "2", "classSourcedId": "old"},
        {**ITEM, "sourcedId": "3", "classSourcedId": "bare"},
    ]
    results = [{**RESULT, "lineItemSourcedId": one["sourcedId"]} for one in items]
    files = {"academicSessions": sessions, "classes": classes}
    assert marks_of(tmp_path, "school_year", items=items, results=results, **files) == [
        ("2025",),
        ("2025",),
        ("2026",),
    ]


# -- supplements


def day(who="x", year="2026", enrolled_days="90", absent="4.5", **cells):
    return {"userSourcedId": who, "schoolYear": year, "daysEnrolled": enrolled_days, "daysAbsent": absent, **cells}


def attended(tmp_path, *rows, **files):
    return load(tmp_path, write(tmp_path / "bundle", **public(users=USERS, attendance_summary=[*rows], **files)))


DAYS = ("days_enrolled", "days_absent")


def test_attendance(tmp_path):
    """Days and flags of a student and year; a student without a row has none; a blank year is the bundle's."""
    made = attended(tmp_path, day(year="2025-26", economicDisadvantage="true", specialEducation="no"))
    flags = ("econ_disadv", "has_iep")
    assert [made.one("student_year", student_key="s:x")[name] for name in (*DAYS, *flags)] == [
        "90",
        "4.5",
        "true",
        "false",
    ]
    assert [made.one("student_year", student_key="s:y")[name] for name in (*DAYS, *flags)] == [None] * 4
    assert "english_learner" not in made.tables["student_year"][0]
    made = attended(tmp_path / "blank", day(year=""), day("y", year="2024"), day("y", year="soon"), day("q"))
    assert made.of("student_year", "student_key", *DAYS) == [("s:x", "90", "4.5"), ("s:y", None, None)]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([day(), day(enrolled_days="80", absent="1")], ("170", "5.5")),
        ([day(), day()], ("90", "4.5")),
        ([day(), day(absent="")], ("180", None)),
        ([day(), day(enrolled_days="80", absent="many")], ("170", None)),
        ([day(absent="-1")], ("90", None)),
        ([day(absent="3.14")], ("90", "3.1")),
        ([day(absent="0.25"), day(enrolled_days="1", absent="0.3")], ("91", "0.6")),
        ([day(enrolled_days="1e2")], (None, "4.5")),
    ],
)
def test_attendance_of_several_rows_is_added_up(rows, found, tmp_path):
    """Rows that are the same count once; what is blank or no number makes the sum unknown; tenths of a day."""
    made = attended(tmp_path, *rows)
    row = made.one("student_year", student_key="s:x")
    plain = tuple(None if row[name] is None else f"{float(row[name]):g}" for name in DAYS)
    assert plain == found


def test_flags_are_true_if_any_row_says_so(tmp_path):
    """Ever in the year."""
    made = attended(tmp_path, day(englishLearner="false"), day(enrolled_days="1", englishLearner="Yes"))
    assert made.one("student_year", student_key="s:x")["english_learner"] == "true"


def test_attendance_in_two_bundles_is_not_added_up(tmp_path):
    """The newest bundle tells of an earlier year; of two of one year, the larger days count."""
    old = [{**one, "schoolYear": "2025"} for one in SESSIONS]
    paths = [
        write(tmp_path / "25", **public(users=USERS, academicSessions=old, attendance_summary=[day(year="2025")])),
        write(
            tmp_path / "26", **public(users=USERS, attendance_summary=[day(year="2025", enrolled_days="88"), day()])
        ),
        write(tmp_path / "26-late", **public(users=USERS, attendance_summary=[day(enrolled_days="170", absent="9")])),
    ]
    for order in (paths, paths[::-1]):
        made = load(tmp_path, *order)
        assert made.one("student_year", student_key="s:x", school_year="2025")["days_enrolled"] == "88"
        assert made.one("student_year", student_key="s:x", school_year="2026")["days_enrolled"] == "170"


def outcome(who="x", result="regular_diploma", **cells):
    plain = {"gradCohort": "2029", "schoolSourcedId": "a", "cohortStatus": "In cohort", "yearsToOutcome": "4"}
    return {"userSourcedId": who, "outcome": result, **plain, **cells}


def finished(tmp_path, *rows):
    return load(tmp_path, write(tmp_path / "bundle", **public(users=USERS, outcomes=[*rows])))


def test_outcomes(tmp_path):
    """One row for a student, in the spelling of the lists."""
    made = finished(tmp_path, outcome(), outcome("q"))
    assert made.tables["graduation"] == [
        {
            "student_key": "s:x",
            "grad_cohort": "2029",
            "school_id": "11",
            "cohort_status": "in_cohort",
            "outcome": "regular_diploma",
            "years_to_outcome": "4",
        }
    ]


def test_who_has_left_is_known_from_an_earlier_bundle(tmp_path):
    """The newest bundle no longer has their users row, and tells how they have ended."""
    old = [{**one, "schoolYear": "2025"} for one in SESSIONS]
    first = write(tmp_path / "25", **public(users=USERS, academicSessions=old))
    ends = {"outcomes": [outcome(), outcome("q")], "attendance_summary": [day(year="2025")]}
    second = write(tmp_path / "26", **public(users=[user("y")], **ends))
    for order in ((first, second), (second, first)):
        made = load(tmp_path, *order)
        assert made.of("graduation", "student_key", "school_id") == [("s:x", "11")]
        assert made.one("student_year", student_key="s:x")["days_enrolled"] == "90"


def test_of_several_outcomes_the_best_stays(tmp_path):
    """By value, in any order."""
    rows = [
        outcome(result="dropout"),
        outcome(result="Still-enrolled"),
        outcome(result="odd"),
        outcome(result="dropout"),
    ]
    for order in (rows, rows[::-1]):
        assert finished(tmp_path, *order).of("graduation", "outcome") == [("still_enrolled",)]
    rows = [outcome(gradCohort="2030"), outcome(gradCohort="2029-30"), outcome(gradCohort="2029")]
    for order in (rows, rows[::-1]):
        assert finished(tmp_path, *order).of("graduation", "grad_cohort") == [("2029",)]


# -- what a catalog asks for


def test_what_cannot_be_filled_is_blank_or_refused(tmp_path):
    """A column with a default or NULL is given blank; another is refused before a row is read."""
    folder = write(tmp_path / "bundle", **public(users=USERS, enrollments=[enrolled("x")]))
    text = draft(folder)
    wanted = text.replace("    columns:\n      school_year:", "    columns:\n      EXTRA\n      school_year:")
    blank = wanted.replace(
        "EXTRA", 'gpa: {type: "decimal(3,2)", nullable: true}\n      is_retained: {type: boolean, default: false}'
    )
    made = load(tmp_path, folder, catalog=blank)
    assert made.of("student_year", "gpa", "is_retained") == [(None, None)] * 2
    one = refused(tmp_path, folder, catalog=wanted.replace("EXTRA", "is_retained: {type: boolean}"))
    assert "nothing for the column is_retained of student_year" in one.message
    assert "on: false" in one.accepted
    off = wanted.replace("EXTRA", "is_retained: {type: boolean, on: false}")
    assert "is_retained" not in load(tmp_path, folder, catalog=off).tables["student_year"][0]


def test_columns_have_the_name_the_catalog_reads_them_by(tmp_path):
    """Owner and columns under the names of the source, if the catalog gives some."""
    folder = write(tmp_path / "bundle", **public(users=USERS))
    text = draft(folder).replace("owner: student_key,", "owner: student_key, owner_source: Pupil,")
    text = re.sub(r"entry_year: +{", "entry_year: {source: First, ", text)
    made = load(tmp_path, folder, catalog=text)
    assert made.of("student", "Pupil", "First") == [("s:x", "2026"), ("s:y", "2026")]


def test_tables_the_bundle_cannot_fill_are_not_returned(tmp_path):
    """The loader says so, in its own words; nor are tables the catalog does not want."""
    folder = write(tmp_path / "bundle", **public(users=USERS))
    text = draft(folder) + (
        "\n  program:\n    rows_per_student_max: 90\n    columns:\n"
        "      school_year: {type: integer, values: [2026]}\n"
    )
    made = load(tmp_path, folder, catalog=text)
    assert set(made.tables) == {"school", "student", "student_year"}
    only = text[: text.index("  student_year:")]
    assert set(load(tmp_path, folder, catalog=only).tables) == {"school", "student"}


def test_the_canonical_catalog_asks_for_what_no_bundle_has(tmp_path):
    """The first column that nothing fills is named, with what would be accepted."""
    folder = write(tmp_path / "bundle", **public(users=USERS))
    starter = files("engine").joinpath("starter.yaml").read_text()
    one = refused(tmp_path, folder, catalog=starter)
    assert "nothing for the column locale of school" in one.message
