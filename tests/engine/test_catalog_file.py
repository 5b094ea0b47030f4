from __future__ import annotations

from importlib.resources import files

import pytest

from engine.catalog_file import catalog_of, catalog_of_document
from engine.refusals import CatalogRefused

STARTER = files("engine").joinpath("starter.yaml").read_text(encoding="utf-8")
SEX = "sex:            {type: text, values: [F, M, X, unknown], default: unknown}"
ABSENT = 'days_absent:      {type: "decimal(4,1)", bounds: [0, 200], nullable: true, unit: days}'
GRADE = 'grade_level:      {type: text, values: [PK, KG, "01",'
CHECK = '["grad_cohort BETWEEN cohort_year - 1 AND cohort_year + 3"]'
ENTRY = "entry_year:     {type: integer, values: {from: 2007, to: 2026}}"

REFUSED = {
    "unknown setting": ("days_enrolled:    {type", "days_enrolled:    {kind: x, type", "not a setting"),
    "unknown section": ("district: {id", "colour: blue\ndistrict: {id", "not a setting"),
    "unknown type": (SEX, "sex: {type: varchar}", "not a type"),
    "too many decimals": ('"decimal(4,1)"', '"decimal(4,19)"', "not a type"),
    "no owner": ("owner: student_key, ", "", "missing"),
    "no cohort": ("cohort: cohort_year, ", "", "missing"),
    "owner not a name": ("owner: student_key", "owner: Student Key", "not a name"),
    "key twice": (SEX, f"{SEX}\n      {SEX}", "YAML"),
    "number on a text list": (GRADE, GRADE.replace('"01"', "01"), "not text"),
    "bounds reversed": (ABSENT, ABSENT.replace("[0, 200]", "[200, 0]"), "above"),
    "bound between decimals": (ABSENT, ABSENT.replace("[0, 200]", "[0, 0.25]"), "does not fit"),
    "bound of 400 digits": (ABSENT, ABSENT.replace("[0, 200]", f"[0, {'9' * 400}]"), "bound"),
    "double bound of 400 digits": (ABSENT, f"days_absent: {{type: double, bounds: [0, {'9' * 400}]}}", "bounds"),
    "infinite bound": (ABSENT, ABSENT.replace("[0, 200]", "[0, .inf]"), "bounds"),
    "default off the list": (SEX, SEX.replace("default: unknown", "default: other"), "value list"),
    "default outside the bounds": (ABSENT, ABSENT.replace("unit: days", "default: 201"), "outside"),
    "unknown time zone": ("America/New_York", "America/Atlantis", "time zone"),
    "key without owner": ("unique: [student_key, school_year, program_type]", "unique: [school_year]", "owner"),
    "key of lists": (
        "unique: [student_key, school_year, program_type]",
        "unique: [student_key, [school_year]]",
        "not a key",
    ),
    "nullable key column": (
        "unique: [student_key, school_year]\n    rows_per_student_max: 15\n    checks",
        "unique: [student_key, school_year, gpa]\n    rows_per_student_max: 15\n    checks",
        "cannot carry a key",
    ),
    "cap on a nullable column": ("{rows: 16, per: [school_year]}", "{rows: 16, per: [grade_points]}", "carry a cap"),
    "cap of nothing": ("{rows: 16, per: [school_year]}", "{rows: 0, per: [school_year]}", "greater than 0"),
    "no rows_per_student_max": ("    rows_per_student_max: 240\n", "", "how many rows"),
    "check not SQL": (CHECK, '["grad_cohort BETWEEN"]', "SQL"),
    "check of an unknown column": (CHECK, '["shoe_size > 1"]', "shoe_size"),
    "cohort in two tables": (
        "grad_cohort:      {type",
        "cohort_year: {type: integer}\n      grad_cohort:      {type",
        "2 private tables",
    ),
    "cohorts no years": ("{from: 2020, to: 2039}", "[1, 2]", "calendar years"),
    "list of a missing table": (
        "grad_cohort:      {type: integer, values: {from: 2019, to: 2042}}",
        "grad_cohort: {type: integer, values: {table: campus, column: school_id}}",
        "no such public table",
    ),
    "bounds of a missing table": ("{table: scale_range, low", "{table: scale, low", "no such public table"),
    "empty list": (ENTRY, ENTRY.replace("{from: 2007, to: 2026}", "[]"), "not a value list"),
    "list with a value twice": (ENTRY, ENTRY.replace("{from: 2007, to: 2026}", "[1, 1]"), "twice"),
    "range reversed": (ENTRY, ENTRY.replace("{from: 2007, to: 2026}", "{from: 9, to: 1}"), "range"),
    "owner declared": (SEX, f"student_key: {{type: text}}\n      {SEX}", "never declared"),
    "reserved name": (SEX, f"homeroom_x: {{type: text}}\n      {SEX}", "not a name"),
    "max_students too large": ("max_students: 200_000", "max_students: 16777217", "less than or equal"),
    "δ too large": ("delta: 1e-7", "delta: 1e-4", "less than or equal"),
    "δ too small": ("delta: 1e-7", "delta: 1e-19", "too small"),
    "unknown preset": ("delta: 1e-7", "delta: 1e-7, preset: lax", "preset"),
    "cap in a public table": (
        "    unique: [school_id]\n",
        "    unique: [school_id]\n    caps: [{rows: 1, per: [school_id]}]\n",
        "public",
    ),
    "keep by an unknown column": ("{highest: scale_score}", "{highest: luck}", "no column luck"),
    "cohort table off": ("  student:\n", "  student:\n    on: false\n", "is off"),
    "not YAML": ("district: {id", "district: {{id", "YAML"),
}
WITHOUT_ACCEPTED = {"no owner", "no cohort", "cap of nothing", "max_students too large", "δ too large"}


def first_changed_line(before, after):
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return next(number for number, (one, other) in enumerate(pairs, 1) if one != other)


def test_the_starter_is_accepted():
    """The starter catalog reads, and reads the same again from the vault's own copy of it."""
    catalog = catalog_of(STARTER, "starter.yaml")
    assert catalog.cohort_table == "student"
    assert catalog_of_document(catalog.document, "copy") == catalog


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_catalog_is_refused(name):
    """Each mistake in a catalog is refused with the file, a line near it and what would be accepted."""
    old, new, said = REFUSED[name]
    assert old in STARTER
    text = STARTER.replace(old, new, 1)
    with pytest.raises(CatalogRefused, match=said) as refused:
        catalog_of(text, "district.yaml")
    error = refused.value
    assert (error.code, error.file) == ("catalog", "district.yaml")
    assert error.line is not None
    assert 1 <= error.line <= len(text.splitlines())
    assert error.accepted or name in WITHOUT_ACCEPTED


@pytest.mark.parametrize(
    "name",
    [
        "unknown setting",
        "bounds reversed",
        "default off the list",
        "check not SQL",
        "unknown time zone",
        "empty list",
    ],
)
def test_a_refusal_names_the_line(name):
    """The line of a refusal is the line of the mistake."""
    old, new, _ = REFUSED[name]
    text = STARTER.replace(old, new, 1)
    with pytest.raises(CatalogRefused) as refused:
        catalog_of(text, "district.yaml")
    assert refused.value.line == first_changed_line(STARTER, text)


@pytest.mark.parametrize("text", ["", "[]", "just text", STARTER + "\0", "&a {district: *a}"])
def test_what_is_no_catalog_is_refused(text):
    """A text that is no catalog at all is refused and never a traceback."""
    with pytest.raises(CatalogRefused) as refused:
        catalog_of(text, "district.yaml")
    assert refused.value.file == "district.yaml"


@pytest.mark.parametrize("document", ["", "{", "[]", "[" * 100_000, '{"district": 1}'])
def test_a_damaged_copy_is_refused(document):
    """A damaged copy of a catalog is refused and never a traceback."""
    with pytest.raises(CatalogRefused):
        catalog_of_document(document, "copy")
