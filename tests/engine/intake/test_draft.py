"""Drafts of mappings: from names alone, valid, the same for the same names, and never an identifier."""

from __future__ import annotations

import csv
import random
from importlib.resources import files

import pytest

from engine.catalog_file import catalog_of
from engine.intake.mapping import draft
from engine.intake.mapping.fit import columns_read
from engine.intake.mapping.reading import read_document
from tests.engine.intake.mapping_cases import made, shared

STARTER = catalog_of(files("engine").joinpath("starter.yaml").read_text(encoding="utf-8"), "starter.yaml")
HEADERS = {
    "students.csv": ["Student_ID", "First Name", "Last Name", "DOB", "Gender", "Race", "Email", "Class Of", "year"],
    "attendance.xlsx#2024": ["stu_id", "yr", "Gr", "membership", "absences", "schid", "IEP", "ELL", "FRL", "gpa"],
    "schools.csv": ["School ID", "School Name", "Level"],
    "lunch menu.csv": ["day", "dish: main", "# served"],
}


def parts_of(text):
    return {part.table: part for part in read_document("mapping.yaml", text)}


def test_a_draft_is_a_mapping():
    """It is read back without a change, with the tables something was found for."""
    text = draft(HEADERS, STARTER)
    parts = parts_of(text)
    assert set(parts) == {"school", "student", "student_year"}
    assert parts["student_year"].file == "attendance.xlsx#2024"
    read = {name: target.given.column for name, target in parts["student_year"].targets.items()}
    assert read == {
        "school_year": "yr",
        "grade_level": "Gr",
        "days_enrolled": "membership",
        "days_absent": "absences",
        "school_id": "schid",
        "has_iep": "IEP",
        "english_learner": "ELL",
        "econ_disadv": "FRL",
        "gpa": "gpa",
    }
    assert parts["student"].one_row_per == ()
    assert parts["student"].targets["sex"].take == "last"
    assert parts["student"].targets["entry_year"].take == "lowest"
    assert parts["school"].owner is None
    assert "      # is_retained: ?   # or is_retained: {blank: true}" in text.splitlines()
    assert "  # assessment: ?" in text


def test_identifiers_are_listed_and_never_read():
    """Names, e-mail and birth dates stand in a comment alone."""
    text = draft(HEADERS, STARTER)
    assert '    # never read: "First Name", "Last Name", DOB, Email' in text.splitlines()
    named = {column for part in parts_of(text).values() for column in columns_read(part)}
    assert not named & {"First Name", "Last Name", "DOB", "Email"}


def test_what_is_not_used_is_said():
    """A file nobody needs is named with its columns, on one line whatever is in them."""
    assert '# "lunch menu.csv" is not used; it has day, "dish: main", "# served"' in draft(HEADERS, STARTER)
    odd = draft({"a\nb.csv": ["tables:\n  x", "\u2028", '"\\', "sid", "gpa"]}, STARTER)
    assert set(parts_of(odd)) == {"student_year"}
    assert parts_of(odd)["student_year"].file == "a\nb.csv"


def test_the_order_of_files_does_not_matter():
    """The same names make the same text."""
    names = list(HEADERS)
    random.Random(1).shuffle(names)
    assert draft({name: HEADERS[name] for name in names}, STARTER) == draft(HEADERS, STARTER)


def test_nothing_found_is_a_mapping_of_nothing():
    """Valid too."""
    for headers in ({}, {"a.csv": []}, {"a.csv": ["x", ""]}, {"a.csv": ["sid"]}, {"a.csv": ["gpa", "sex"]}):
        assert parts_of(draft(headers, STARTER)) == {}


def test_a_list_of_schools_is_never_drafted_from_students():
    """Public tables come from declarations: a file with a person's id is a file of records."""
    assert "school" not in parts_of(draft({"a.csv": ["sid", "school_id", "school_name", "gpa"]}, STARTER))


@pytest.mark.slow
def test_any_names_make_a_valid_draft():
    """Random names, many of them meant for YAML itself."""
    rng = random.Random(4)
    pieces = [
        "sid",
        "sex",
        "gpa",
        "yr",
        "'",
        '"',
        "#",
        ": ",
        "{",
        "}",
        "[",
        "&a",
        "*a",
        "!t",
        "- ",
        "\n",
        "é",
        "🎒",
        "\x85",
        "~",
    ]
    for _ in range(200):
        header = list(dict.fromkeys("".join(rng.choices(pieces, k=rng.randrange(1, 4))) for _ in range(6)))
        file = "".join(rng.choices(pieces, k=3)).strip() + ".csv"
        parts = parts_of(draft({file: [*header, "sid", "gpa"]}, STARTER))
        assert parts["student_year"].file == file


CATALOG = catalog_of(
    """\
district: {id: us-xx-test, name: Test, time_zone: America/New_York}
privacy: {owner: sid, cohort: cohort_year, cohorts: {from: 2000, to: 2015}, delta: 1e-7}
tables:
  student:
    unique: [sid]
    columns:
      cohort_year:    {type: integer}
      sex:            {type: text, values: [F, M, unknown], default: unknown}
      race_ethnicity: {type: text, values: [AM7, AS7, BL7, HI7, MU7, PI7, WH7, unknown], default: unknown}
      entry_year:     {type: integer, values: {from: 2000, to: 2012}}
""",
    "district.yaml",
)


@pytest.mark.slow
def test_the_draft_of_a_real_file_is_loaded_after_one_line_by_hand(tmp_path):
    """The messy student-years: all but the cohort is found."""
    folder = shared("messy-student-years")
    with (folder / "stuatt.csv").open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file))
    text = draft({"stuatt.csv": header}, CATALOG)
    assert "    # never read: birth_date" in text.splitlines()
    ready = text.replace("# cohort_year: ?", "cohort_year: {value: 2008}")
    found, _ = made(tmp_path, ready, folder, CATALOG)
    assert len(set(found["student"]["sid"])) == len(found["student"]["sid"]) == 21_803
    assert set(found["student"]["sex"]) == {"F", "M"}


@pytest.mark.parametrize("name", ["oneroster-small", "star"])
def test_drafts_of_other_real_headers_are_valid(name):
    """Whatever is found in them."""
    headers = {}
    for path in sorted(shared(name).glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            headers[path.name] = next(csv.reader(file))
    assert "student" in parts_of(draft(headers, STARTER))
