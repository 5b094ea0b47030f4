from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from importlib.resources import files

import pytest

from engine.catalog_file import catalog_of, catalog_of_document, read_catalog, resolve
from engine.refusals import CatalogRefused

BASE = """\
district: {id: us-xx-test, name: Test, time_zone: America/New_York}
privacy: {owner: sid, cohort: cls, cohorts: {from: 2020, to: 2030}, delta: 1e-7, max_students: 400}
tables:
  school:
    public: true
    unique: [school_id]
    columns:
      school_id: {type: integer}
      title:     {type: text, nullable: true}
  cut:
    public: true
    unique: [grade]
    columns:
      grade: {type: integer}
      low:   {type: "decimal(4,1)"}
      high:  {type: "decimal(4,1)"}
  pupil:
    unique: [sid]
    columns:
      cls:   {type: integer}
      sex:   {type: text, values: [F, M], default: F}
  year:
    unique: [sid, yr]
    rows_per_student_max: 9
    caps: [{rows: 2, per: [grade]}]
    checks: ["yr >= cls - 13"]
    keep: {highest: points}
    columns:
      yr:     {type: integer, values: {from: 2015, to: 2030}}
      grade:  {type: integer, bounds: [9, 12]}
      school: {type: integer, values: {table: school, column: school_id}, nullable: true}
      points: {type: "decimal(4,1)", bounds: {table: cut, low: low, high: high}, nullable: true}
      days:   {type: "decimal(4,1)", bounds: [0, 99.5], nullable: true}
      ratio:  {type: double, nullable: true}
      secret: {type: text, sensitive: true}
"""
ROWS = {
    "school": [{"school_id": 3, "title": None}, {"school_id": 1, "title": "🎒"}],
    "cut": [{"grade": 9, "low": 1, "high": Fraction(25, 2)}],
}

# what is written instead of what, the line it is refused at, a piece of the message
REFUSED = [
    ("district: {", "district: [", 1, "not valid YAML"),
    ("district:", "a: 1\ndistrict:", 1, "not a setting"),
    ("id: us-xx-test", "id: US", 1, "district.id"),
    ("time_zone: America/New_York", "time_zone: Mars/Base", 1, "time zone"),
    ("name: Test, ", "", 1, "missing"),
    ("name: Test", "name: Test, name: Two", 1, "YAML"),
    ("owner: sid", "owner: SID", 2, "is not a name"),
    ("owner: sid", "owner: homeroom_owner", 2, "is not a name"),
    ("cohort: cls", "cohort: sid", 2, "one column"),
    ("cls:   {type: integer}", "other: {type: integer}", 2, "0 private tables"),
    ("{from: 2020, to: 2030}", "{from: 2030, to: 2020}", 2, "not a range"),
    ("{from: 2020, to: 2030}", "[2020, 2020]", 2, "twice"),
    ("{from: 2020, to: 2030}", "[20]", 2, "calendar years"),
    ("{from: 2020, to: 2030}", "[]", 2, "not a value list"),
    ("{from: 2020, to: 2030}", "{from: 1900, to: 2200}", 2, "301 cohorts"),
    *(
        ("delta: 1e-7", f"delta: {other}", 2, "privacy.delta: the promise")
        for other in ("1e-30", "1e-8", "0.1", "0", "-1")
    ),
    ("delta: 1e-7", "delta: .nan", 2, "privacy.delta"),
    ("max_students: 400", "max_students: 0", 2, "max_students"),
    ("max_students: 400", "preset: wild", 2, "preset"),
    ("max_students: 400", "epsilon: 4", 2, "not a setting"),
    ("  school:\n", "  School:\n", 4, "is not a name"),
    (
        "public: true\n    unique: [school_id]",
        "public: true\n    caps: [{rows: 1, per: [title]}]",
        6,
        "no such setting",
    ),
    ("public: true\n    unique: [school_id]", "public: true\n    on: false", 6, "no such setting"),
    ("unique: [school_id]", "unique: [title]", 6, "cannot carry a key"),
    ("unique: [school_id]", "unique: [nothing]", 6, "not a key"),
    ("school_id: {type: integer}", "school_id: {type: int}", 8, "is not a type"),
    ("school_id: {type: integer}", "school_id: {type: integer, bound: [1, 2]}", 8, "not a setting"),
    ("school_id: {type: integer}", "school_id: {type: integer, on: false}", 6, "cannot carry a key"),
    ("school_id: {type: integer}", "school_id: {type: text}", 31, "differ in type"),
    ("school_id: {type: integer}", "sid: {type: integer}", 8, "implied"),
    ("grade: {type: integer}", "grade: {type: text}", 32, "differs in type"),
    ('low:   {type: "decimal(4,1)"}', "low:   {type: integer}", 32, "differ in type"),
    ("cls:   {type: integer}", "cls:   {type: text}", 20, "whole number"),
    ("cls:   {type: integer}", "cls:   {type: integer, nullable: true}", 20, "whole number"),
    ("cls:   {type: integer}", "cls:   {type: integer, sensitive: true}", 20, "whole number"),
    ("cls:   {type: integer}", "cls:   {type: integer, values: [2020]}", 20, "whole number"),
    (
        "cls:   {type: integer}",
        "cls:   {type: integer, bounds: {table: cut, low: grade, high: grade}}",
        20,
        "whole number",
    ),
    ("cls:   {type: integer}", "cls:   {type: integer, constant: 1990}", 20, "list of cohorts"),
    ("  pupil:\n", "  pupil:\n    sensitive: true\n", 17, "is off"),
    ("ratio:  {type: double, nullable: true}", "birth_date: {type: text}", 34, "never loaded"),
    ("ratio:  {type: double, nullable: true}", "g: {type: text, source: LastName}", 34, "never loaded"),
    ("ratio:  {type: double, nullable: true}", "citizenship: {type: boolean}", 34, "never loaded"),
    ("ratio:  {type: double, nullable: true}", "homeless: {type: boolean}", 34, "sensitive"),
    ("values: [F, M], default: F", "values: [F, M], default: X", 21, "not on the value list"),
    ("values: [F, M]", "values: [F, 1]", 21, "not text"),
    ("values: [F, M]", 'values: [F, "M\\0"]', 21, "not text"),
    ("values: [F, M]", 'values: [F, "\\ud800"]', 21, "not text"),
    ("unique: [sid, yr]", "unique: [yr]", 23, "include the owner"),
    ("unique: [sid, yr]", "unique: [sid, days]", 23, "cannot carry a key"),
    ("unique: [sid, yr]", "unique: [sid, secret]", 23, "cannot carry a key"),
    ("unique: [sid, yr]", "unique: [sid, sid]", 23, "not a key"),
    ("    rows_per_student_max: 9\n", "", 22, "how many rows"),
    ("rows_per_student_max: 9", "rows_per_student_max: 0", 24, "rows_per_student_max"),
    ("caps: [{rows: 2, per: [grade]}]", "caps: [{rows: 2, per: [days]}]", 25, "cannot carry a cap"),
    ("caps: [{rows: 2, per: [grade]}]", "caps: [{rows: 2, per: [secret]}]", 25, "cannot carry a cap"),
    ("caps: [{rows: 2, per: [grade]}]", "caps: [{rows: 2, per: [grade]}, {rows: 3, per: [grade]}]", 25, "twice"),
    ("caps: [{rows: 2, per: [grade]}]", "caps: [{rows: 2, per: [yr, yr]}]", 25, "twice"),
    ("caps: [{rows: 2, per: [grade]}]", "caps: [{rows: 2, by: [grade]}]", 25, "missing"),
    ("caps: [{rows: 2, per: [grade]}]", "caps: [{rows: 2, per: [grade], by: x}]", 25, "not a setting"),
    ('"yr >= cls - 13"', '"yr >= klass"', 26, "klass"),
    ('"yr >= cls - 13"', "\"secret = 'x'\"", 26, "secret"),
    ('"yr >= cls - 13"', '"sid = 1"', 26, "sid"),
    ('"yr >= cls - 13"', '"yr + 1"', 26, "year.checks"),
    ('"yr >= cls - 13"', '"SELECT 1"', 26, "year.checks"),
    ('"yr >= cls - 13"', '"random() < 1"', 26, "year.checks"),
    ('"yr >= cls - 13"', '"yr >= cls\\0"', 26, "NUL"),
    ("keep: {highest: points}", "keep: {highest: secret}", 27, "that is on"),
    ("keep: {highest: points}", "keep: {highest: points, lowest: days}", 27, "not a setting"),
    ("{table: school, column: school_id}", "{table: schools, column: school_id}", 31, "no such public table"),
    ("{table: school, column: school_id}", "{table: pupil, column: cls}", 31, "no such public table"),
    ("{table: cut, low: low, high: high}", "{table: cut, low: low, high: top}", 32, "no such public table"),
    (
        "{table: cut, low: low, high: high}, nullable: true",
        "{table: cut, low: low, high: high}, default: 5",
        32,
        "takes none",
    ),
    ("unique: [grade]", "unique: [low]", 32, "must be unique"),
    ("bounds: [9, 12]", "bounds: {table: cut, low: grade, high: grade}", 30, "such bounds itself"),
    ("bounds: [0, 99.5]", "bounds: [99.5, 0]", 33, "above the greatest"),
    ("bounds: [0, 99.5]", "bounds: [0, 99.55]", 33, "does not fit"),
    ("bounds: [0, 99.5]", "bounds: [0, .inf]", 33, "not bounds"),
    ("bounds: [0, 99.5]", "bounds: [.nan, 1]", 33, "not bounds"),
    ("bounds: [0, 99.5]", "bounds: [0, 1, 2]", 33, "not bounds"),
    ("bounds: [0, 99.5], nullable: true", "bounds: [0, 99.5], default: 100", 33, "outside the bounds"),
    ("bounds: [0, 99.5], nullable: true", "bounds: [0, 99.5], default: 1.55", 33, "is not decimal"),
    ("bounds: [0, 99.5]", "values: [1, 2]", 33, "takes no value list"),
    ("double, nullable: true", "double, default: .nan", 34, "is not double"),
    ("double, nullable: true", "double, constant: .inf", 34, "is not double"),
    ("double, nullable: true", "double, bounds: [0, 1e300]", 34, "not bounds"),
]


@pytest.mark.parametrize(("old", "new", "line", "part"), REFUSED, ids=[new.strip()[:40] for _, new, _, _ in REFUSED])
def test_a_wrong_declaration_is_refused_by_file_and_line(old, new, line, part):
    """What, where, and what would be accepted."""
    assert old in BASE
    with pytest.raises(CatalogRefused) as caught:
        catalog_of(BASE.replace(old, new, 1), "district.yaml")
    refused = caught.value
    assert (refused.code, refused.file) == ("catalog", "district.yaml")
    assert part in refused.message
    assert refused.line == line
    assert refused.accepted


@pytest.mark.parametrize("cohort", ["cls", "grade, cls"])
def test_bounds_by_a_public_table_may_not_depend_on_the_cohort(cohort):
    """The register may give a student another class than the one its source was held against."""
    text = BASE.replace("grade: {type: integer}\n", "grade: {type: integer}\n      cls:   {type: integer}\n")
    text = text.replace("unique: [grade]", f"unique: [{cohort}]")
    mark = '      grade: {type: integer}\n      mark:  {type: "decimal(4,1)", bounds: {table: cut, low: low, high: high}}\n'
    text = text.replace("  year:\n", mark + "  year:\n").replace(
        "bounds: {table: cut, low: low, high: high}, nullable", "nullable"
    )
    with pytest.raises(CatalogRefused, match="cls cannot be a key of bounds") as caught:
        catalog_of(text, "district.yaml")
    assert (caught.value.file, caught.value.line) == ("district.yaml", text[: text.index("mark:")].count("\n") + 1)
    assert caught.value.accepted


@pytest.mark.parametrize(
    ("old", "new", "part", "accepted"),
    [
        ("type: double", "type: 5", "valid string", "a text"),
        ("ratio:  {type: double, nullable: true}", "ratio: 5", "no list of settings", "some of type, values"),
        ("keep: {highest: points}", "keep: points", "no list of settings", "some of highest"),
        ("keep: {highest: points}", "caps: 5", "YAML", "once"),
        ("caps: [{rows: 2, per: [grade]}]", "caps: 5", "valid list", "a list"),
        ("caps: [{rows: 2, per: [grade]}]", "caps: [5]", "no list of settings", "some of rows, per"),
        ("caps: [{rows: 2, per: [grade]}]", "caps: [{rows: 2, per: []}]", "at least 1", "limits"),
        (
            "district: {id: us-xx-test, name: Test, time_zone: America/New_York}",
            "district: 5",
            "settings",
            "some of id",
        ),
        ("max_students: 400", "max_students: many", "valid integer", "whole number"),
        ("delta: 1e-7", "delta: small", "valid decimal", "such as 1e-7"),
        ("delta: 1e-7", "delta: 1e-6", "one chance in ten million", "1e-7"),
        ("unique: [sid]\n", "unique: [sid]\n    public: perhaps\n", "valid boolean", "true or false"),
        ("  school:\n    public: true\n", "  sky: 5\n  school:\n    public: true\n", "settings", "some of columns"),
    ],
)
def test_a_wrong_shape_is_refused_in_the_catalogs_own_words(old, new, part, accepted):
    """No class of ours or of a library is named, and what would be accepted is."""
    assert old in BASE
    with pytest.raises(CatalogRefused) as caught:
        catalog_of(BASE.replace(old, new, 1), "f")
    assert part in caught.value.message
    assert accepted in str(caught.value.accepted)
    assert "instance" not in caught.value.message


def test_what_is_accepted_names_the_settings_of_that_place():
    """An unknown key is answered with the keys there are."""
    for old, new, names in (
        ("public: true", "public: true, x: 1".replace(", ", "\n    "), "columns, public, unique"),
        ("keep: {highest: points}", "keep: {highest: points, x: 1}", "one of highest"),
        ("caps: [{rows: 2, per: [grade]}]", "caps: [{rows: 2, per: [grade], x: 1}]", "one of rows, per"),
        ("name: Test", "name: Test, x: 1", "one of id, name, time_zone"),
        ("delta: 1e-7", "delta: 1e-7, x: 1", "owner_source"),
        ("type: double", "type: double, x: 1", "nullable"),
        ("tables:", "x: 1\ntables:", "one of district, privacy, tables"),
    ):
        with pytest.raises(CatalogRefused, match="not a setting") as caught:
            catalog_of(BASE.replace(old, new, 1), "f")
        assert names in str(caught.value.accepted)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "x", "a: b: c", "district: *x", "a: &a [*a]", "\ud800", "a: 1\n---\nb: 2", "a:\0", "%YAML 9.9\n--- a"],
)
def test_no_text_is_a_traceback(text):
    """Whatever the file holds, it is refused by name."""
    with pytest.raises(CatalogRefused) as caught:
        catalog_of(text, "district.yaml")
    assert caught.value.file == "district.yaml"
    assert caught.value.accepted


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    """Missing, a folder, or not in UTF-8."""
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(BASE.replace("name: Test", "name: Mus\u00e9e").encode("latin-1"))
    for path in (tmp_path / "nowhere.yaml", tmp_path, latin):
        with pytest.raises(CatalogRefused, match="cannot be read"):
            read_catalog(path)


# -- the vault's copy

STARTER = files("engine").joinpath("starter.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        BASE,
        STARTER,
        BASE.replace("[F, M], default: F", '[🎒, "é", " \\" ", "yes", "01"], default: 🎒'),
        BASE.replace("bounds: [0, 99.5], nullable: true", "bounds: [-0.5, 1_000], default: 12.5"),
        BASE.replace("delta: 1e-7", "delta: 0.0000001, owner_source: rownames"),
    ],
    ids=["base", "starter", "unicode", "decimals", "delta"],
)
def test_the_document_gives_the_catalog_it_came_from(text):
    """All that the YAML declares comes back from the JSON, and again from that one's."""
    declared = catalog_of(text, "district.yaml")
    again = catalog_of_document(declared.document, "vault")
    assert again == declared
    assert again.document == declared.document


def test_a_damaged_document_is_refused():
    """Through the same checks as YAML; line numbers mean nothing there."""
    document = json.loads(catalog_of(BASE, "f").document)
    for damaged in ("", "{", "[]", "null", '{"a": 1}', "[" * 5000, json.dumps({**document, "tables": {}})):
        with pytest.raises(CatalogRefused) as caught:
            catalog_of_document(damaged, "vault")
        assert caught.value.accepted
    document["tables"]["year"]["columns"]["days"]["bounds"] = [0, float("inf")]
    with pytest.raises(CatalogRefused, match="not bounds"):
        catalog_of_document(json.dumps(document), "vault")


# -- public tables


def test_public_tables_resolve_lists_and_ranges():
    """Values sorted, ranges by key; the declared catalog stays as it was."""
    declared = catalog_of(BASE, "f")
    found = resolve(declared, ROWS)
    assert declared.tables["year"].columns["school"].values is None
    school, points = (found.tables["year"].columns[name] for name in ("school", "points"))
    assert (school.values, school.low, school.high) == ((1, 3), 1, 3)
    assert points.ranges is not None
    assert points.ranges.rows == (((9,), 1, Fraction(25, 2)),)
    assert found.document == declared.document
    assert len(found.digest) == 64


def test_the_digest_is_of_declaration_and_public_rows():
    """Equal for equal ones, another one for any change."""
    declared = catalog_of(BASE, "f")
    digest = resolve(declared, ROWS).digest
    assert resolve(catalog_of_document(declared.document, "f"), ROWS).digest == digest
    changed = {**ROWS, "cut": [{"grade": 9, "low": 1, "high": 12}]}
    other = catalog_of(BASE.replace("rows: 2", "rows: 3"), "f")
    assert len({digest, resolve(declared, changed).digest, resolve(other, ROWS).digest}) == 3


@pytest.mark.parametrize(
    ("rows", "text", "part"),
    [
        ({**ROWS, "school": []}, BASE, "gives 0 values"),
        ({"cut": ROWS["cut"]}, BASE, "gives 0 values"),
        ({**ROWS, "cut": []}, BASE, "has no rows"),
        ({**ROWS, "cut": [{"grade": None, "low": 1, "high": 2}]}, BASE, "gives no range"),
        ({**ROWS, "cut": [{"grade": 9, "low": None, "high": 2}]}, BASE, "gives no range"),
        ({**ROWS, "cut": [{"grade": 9, "low": 3, "high": 2}]}, BASE, "gives no range"),
        (
            ROWS,
            BASE.replace("column: school_id}, nullable: true", "column: school_id}, default: 2"),
            "not a value of",
        ),
        (
            ROWS,
            BASE.replace("column: school_id}, nullable: true", "column: school_id}, constant: 2"),
            "not a value of",
        ),
    ],
)
def test_public_rows_that_give_no_list_or_range_are_refused(rows, text, part):
    """With what would be accepted."""
    with pytest.raises(CatalogRefused) as caught:
        resolve(catalog_of(text, "f"), rows)
    assert part in caught.value.message
    assert caught.value.accepted


def test_a_catalog_is_frozen():
    """Nobody changes a bound after the proof."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalog_of(BASE, "f").max_students = 1  # type: ignore[misc]
