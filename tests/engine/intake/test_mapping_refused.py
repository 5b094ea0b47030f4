"""Mappings that are refused: where, why, and what would be accepted."""

from __future__ import annotations

import re
import textwrap
import zipfile

import pytest

from engine.catalog_file import catalog_of
from engine.intake.mapping import document
from engine.intake.mapping.reading import read_document
from engine.refusals import CatalogRefused
from tests.engine.intake.mapping_cases import made
from tests.seeds import PROVE, generator

CATALOG = catalog_of(
    """\
district: {id: us-xx-test, name: Test, time_zone: America/New_York}
privacy: {owner: sid, cohort: cohort_year, cohorts: {from: 2020, to: 2039}, delta: 1e-7}
tables:
  school:
    public: true
    unique: [school_id]
    columns: {school_id: {type: integer, bounds: [1, 99]}}
  pupil:
    unique: [sid]
    columns:
      cohort_year: {type: integer}
      sex:    {type: text, values: [F, M]}
      days:   {type: "decimal(4,1)", bounds: [0, 200], nullable: true}
      ratio:  {type: double, nullable: true}
      fixed:  {type: text, constant: x}
      secret: {type: text, sensitive: true}
  year:
    unique: [sid, yr]
    rows_per_student_max: 3
    columns:
      yr: {type: integer, values: {from: 2020, to: 2030}}
  off:
    on: false
    unique: [sid]
    columns: {x: {type: integer}}
""",
    "district.yaml",
)
GOOD = """\
tables:
  pupil:
    from: pupils.csv
    owner: id
    read:
      n: {column: n, type: integer, bounds: [0, 9]}
      free: {column: n, type: integer}
    columns:
      cohort_year: {value: 2024}
      sex: {column: s, codes: {"1": F, "2": M}}
      days: {formula: n + 1}
      ratio: {blank: true}
"""
PUPILS = "id,n,s,first_name,dob\nCANARY,1,1,CANARY,CANARY\n"


def refused(tmp_path, text, source=None):
    (tmp_path / "pupils.csv").write_text(PUPILS, encoding="utf-8")
    with pytest.raises(CatalogRefused) as caught:
        made(tmp_path, text, source or tmp_path, CATALOG)
    one = caught.value
    assert one.accepted
    assert "CANARY" not in f"{one.message} {one.accepted}"
    return one


def grouped(text):
    return text.replace("    read:", "    one_row_per: [student]\n    read:")


CASES = {
    # what is changed in GOOD → into what, the line, what the message has
    "unknown setting": ("    owner: id", "    owner: id\n    keep: all", 5, "keep: this is not a setting"),
    "no owner setting": ("    owner: id\n", "", 2, "whose rows are they?"),
    "unknown table": ("  pupil:", "  pupils:", 2, "the catalog has no such table"),
    "table off": ("  pupil:", "  off:", 2, "no such table that is on"),
    "unknown column": ("      ratio:", "      shoe:", 12, "pupil has no such column"),
    "missing column": ("      ratio: {blank: true}\n", "", 8, "nothing is said of ratio"),
    "constant column": ("      ratio:", "      fixed: {value: x}\n      ratio:", 12, "gives it a constant"),
    "column off": ("      ratio:", "      secret: s\n      ratio:", 12, "it is switched off"),
    "owner as column": ("      ratio:", "      sid: s\n      ratio:", 12, "the owner is named under owner"),
    "two origins": ("{formula: n + 1}", "{formula: n + 1, column: n}", 11, "column and formula"),
    "no origin": ("{formula: n + 1}", "{take: lowest}", 11, "what is it made of"),
    "not blank": ("{blank: true}", "{blank: no}", 12, "is blank, or is made of something"),
    "blank where a value is needed": ("      sex: {", "      sex: {blank: true}\n    #", 10, "wants a value"),
    "value off the list": ('{column: s, codes: {"1": F, "2": M}}', "{value: X}", 10, "X is not on the list of sex"),
    "number for text": ('{column: s, codes: {"1": F, "2": M}}', "{value: 1}", 10, "this must be text"),
    "code not text": ('"1": F', "1: F", 10, "a name here must be text"),
    "what it becomes not text": ('"1": F', '"1": 09', 10, "this must be text"),
    "code twice": ('"1": F', '"1": F, " 1": M', 10, "this code stands twice"),
    "code off the list": ('"1": F', '"1": Female', 10, "Female is not on the list of sex"),
    "else without codes": ("{formula: n + 1}", "{column: n, else: x}", 11, "other than what"),
    "part without date": ("{formula: n + 1}", "{column: n, part: year}", 11, "a part of what"),
    "unknown part": ("{formula: n + 1}", '{column: n, date: "%Y", part: week}', 11, "not one of the words"),
    "bad format": ("{formula: n + 1}", '{column: n, date: "%Q"}', 11, "no format of a date"),
    "no format": ("{formula: n + 1}", "{column: n, date: iso}", 11, "no format of a date"),
    "date and codes": ("{formula: n + 1}", '{column: n, date: "%Y", codes: {a: "1"}}', 11, "a date has no codes"),
    "take of rows that stay": ("{formula: n + 1}", "{formula: n + 1, take: lowest}", 11, "nothing is taken here"),
    "unknown name": ("n + 1", "m + 1", 11, "There is no column m"),
    "aggregate": ("n + 1", "max(n)", 11, "An aggregate cannot stand"),
    "window": ("n + 1", "lag(n) OVER ()", 11, "A window lets one student"),
    "subquery": ("n + 1", "(SELECT 1)", 11, "A subquery is not accepted"),
    "function": ("n + 1", "read_csv(n)", 11, "is not accepted"),
    "no formula": ("n + 1", "n +", 11, "cannot be read"),
    "unbounded": ("n + 1", "free + 1", 11, "no declared bounds"),
    "too large": ("n + 1", "n * 4000000000000000000", 11, "n * 4000000000000000000: "),
    "wrong kind of formula": ("n + 1", "n = 1", 11, "gives boolean"),
    "read without type": ("type: integer, bounds", "bounds", 6, "its type is missing"),
    "read of no type": ("type: integer}", "type: [a]}", 7, "this is not a type"),
    "read of unknown type": ("type: integer}", "type: number}", 7, "not a type"),
    "bounds the wrong way": ("[0, 9]", "[9, 0]", 6, "above the greatest"),
    "name of a read": ("      free:", "      Free Lunch:", 7, "not a name"),
    "reserved name": ("      free:", "      homeroom_x:", 7, "not a name"),
    "identifier": ("{formula: n + 1}", "first_name", 11, "first_name identifies a person"),
    "identifier read": ("free: {column: n", "free: {column: dob", 7, "dob identifies a person"),
    "identifier filtered": ("    read:", "    only: {dob: [x]}\n    read:", 5, "dob identifies a person"),
    "id of a student": ("{formula: n + 1}", "{column: Student_ID}", 11, "Student_ID identifies a person"),
    "the owner's id": ("{formula: n + 1}", "id", 11, "this is the owner's id"),
    "the owner's id in other letters": ("free: {column: n", "free: {column: ID", 7, "this is the owner's id"),
    "the owner's id as a filter": ("    read:", "    only: {id: [x]}\n    read:", 5, "this is the owner's id"),
    "missing source column": ("{formula: n + 1}", "absent", 11, "pupils.csv has no column absent"),
    "missing owner column": ("owner: id", "owner: nobody", 4, "pupils.csv has no column nobody"),
    "missing filter column": ("    read:", "    only: {role: [x]}\n    read:", 5, "no column role"),
    "empty filter": ("    read:", "    only: {s: []}\n    read:", 5, "empty"),
    "missing file": ("from: pupils.csv", "from: nowhere.csv", 3, "no such file"),
    "file elsewhere": ("from: pupils.csv", "from: ../pupils.csv", 3, "leads out of the source"),
    "absolute file": ("from: pupils.csv", "from: /etc/passwd", 3, "leads out of the source"),
    "no file": ("    from: pupils.csv\n", "", 2, "from is missing"),
    "no columns": ("    columns:", "    nothing:", 8, "this is not a setting"),
    "name twice": ("    owner: id", "    owner: id\n    owner: n", 5, "not valid YAML"),
    "anchor": ("owner: id", "owner: &a id", 4, "Anchors"),
    "alias": ("owner: id", "owner: *a", 4, "not"),
    "recursion": ("    read:", "    only: &x {s: *x}\n    read:", 5, "Anchors"),
    "tag": ("owner: id", "owner: !!str id", 4, "Tags"),
    "merge": ("    owner: id", "    <<: {owner: id}", 4, "Merges"),
    "deep": ("owner: id", "owner: " + "[" * 40 + "]" * 40, 4, "nested too deeply"),
    "very deep": ("owner: id", "owner: " + "[" * 5000, 4, "nested too deeply"),
    "no YAML": ("owner: id", "owner: 'id", None, "not valid YAML"),
    "NUL": ("owner: id", "owner: i\0d", None, "NUL"),
    "empty parts": ("    from: pupils.csv", "    []\n  year:\n    from: pupils.csv", 2, "empty"),
    "a public table's owner": ("  pupil:", "  school:", 4, "a public table has no owner"),
    "the cohort elsewhere": ("  pupil:", "  year:", 9, "the cohort comes from the table pupil"),
}  # fmt: skip
GROUPED = {
    "no take": ("    #", "    #", 12, "which of a student's rows"),
    "unknown take": ("{formula: n + 1}", "{formula: n + 1, take: mode}", 12, "not one of the words"),
    "first by nothing": ("{formula: n + 1}", "{formula: n + 1, take: first}", 12, "need `by`"),
    "lowest by something": ("{formula: n + 1}", "{formula: n + 1, take: lowest, by: n}", 12, "need `by`"),
    "by an unknown name": ("{formula: n + 1}", "{formula: n + 1, take: last, by: s}", 12, "s is not declared"),
    "any of numbers": ("{formula: n + 1}", "{formula: n + 1, take: any}", 12, "the column is decimal"),
    "count in decimals": ("{formula: n + 1}", "{column: n, take: count}", 12, "the column is decimal"),
    "sum of doubles": (
        "{formula: n + 1}\n      ratio: {blank: true}",
        "{blank: true}\n      ratio: {column: n, take: sum}",
        13,
        "order of its rows",
    ),
    "take of a value": ("{value: 2024}", "{value: 2024, take: lowest}", 10, "nothing is taken here"),
    "rows of several students": ("[student]", "[cohort_year]", 5, "the first must be student"),
    "per an unknown column": ("[student]", "[student, school]", 5, "school is not among the columns"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_wrong_mapping_is_refused_with_its_line(name, tmp_path):
    """What is wrong, where, and what would be accepted."""
    old, new, line, part = CASES[name]
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    one = refused(tmp_path, text)
    assert part in one.message
    assert one.file == str(tmp_path / "mapping.yaml")
    assert line in (None, one.line)


@pytest.mark.parametrize("name", GROUPED)
def test_a_wrong_way_of_making_one_row_is_refused(name, tmp_path):
    """Each take where it is total and depends on no order, and only there."""
    old, new, line, part = GROUPED[name]
    text = grouped(GOOD).replace('"2": M}}', '"2": M}, take: only}').replace(old, new, 1)
    one = refused(tmp_path, text)
    assert part in one.message
    assert one.line == line


def test_the_mapping_they_are_made_from_is_accepted(tmp_path):
    """So that each refusal is for the change alone."""
    (tmp_path / "pupils.csv").write_text(PUPILS, encoding="utf-8")
    found, _ = made(tmp_path, GOOD, tmp_path, CATALOG)
    assert found["pupil"] == {
        "sid": ["CANARY"],
        "cohort_year": ["2024"],
        "days": ["2"],
        "ratio": [None],
        "sex": ["F"],
    }
    text = grouped(GOOD).replace('"2": M}}', '"2": M}, take: only}').replace("n + 1}", "n + 1, take: lowest}")
    assert made(tmp_path, text, tmp_path, CATALOG)[0]["pupil"]["days"] == ["20e-1"]


def test_a_huge_mapping_is_not_read(tmp_path):
    """A limit before anything is parsed."""
    assert "too large" in refused(tmp_path, GOOD + "#" * 1_000_001).message


def test_not_a_mapping_at_all(tmp_path):
    """Lists, single values, nothing."""
    for text in ("", "tables", "- a", "tables:\n  pupil: 3", "tables: []", "1: 2", "tables: {pupil: {from: 1}}"):
        assert refused(tmp_path, text).line == (2 if "\n" in text else 1)


def test_a_header_that_may_be_a_record_is_not_shown(tmp_path):
    """Where none of the columns is found, the first line may be somebody's."""
    (tmp_path / "other.csv").write_text("CANARY,CANARY2\n", encoding="utf-8")
    one = refused(tmp_path, GOOD.replace("pupils.csv", "other.csv"))
    assert "whose first line has the columns' names" in one.accepted
    assert one.line == 4


def test_two_columns_but_for_capital_letters(tmp_path):
    """It is not guessed which one is meant."""
    (tmp_path / "other.csv").write_text("id,N,n,S,s\n", encoding="utf-8")
    text = GOOD.replace("pupils.csv", "other.csv")
    assert made(tmp_path, text, tmp_path, CATALOG)[0]["pupil"]["sid"] == []
    (tmp_path / "other.csv").write_text("Id,ID,n,s\n", encoding="utf-8")
    assert "but for capital letters" in refused(tmp_path, text).message


def test_a_file_about_students_makes_no_public_table(tmp_path):
    """Everybody may read what stands in one, and refusals show its cells."""
    text = GOOD + "  school:\n    from: pupils.csv\n    columns: {school_id: n}\n"
    assert "makes no public table" in refused(tmp_path, text).message
    named = "tables:\n  school:\n    from: schools.csv\n    columns: {school_id: LastName}\n"
    assert "identifies a person" in refused(tmp_path, named).message


def test_what_is_sensitive_does_not_come_under_another_name(tmp_path):
    """By the source's own word for it, as a value, in a formula or to choose rows."""
    for old, new in (
        ("{column: s, codes", "{column: Homeless_Status, codes"),
        ("n: {column: n, type", "n: {column: Suspensions, type"),
        ("    owner: id\n", "    owner: id\n    only: {migrant: ['yes']}\n"),
    ):
        assert "sensitive" in refused(tmp_path, GOOD.replace(old, new)).message, new


def test_the_source_is_a_folder_or_the_one_file(tmp_path):
    """Another file, an archive or nothing is refused in words."""
    other = tmp_path / "other.csv"
    other.write_text(PUPILS, encoding="utf-8")
    body = GOOD.removeprefix("tables:\n  pupil:\n")
    parts = "".join("  " + line for line in body.splitlines(keepends=True)).replace("      from:", "    - from:", 1)
    several = f"tables:\n  pupil:\n{parts}{parts.replace('pupils.csv', 'years.csv')}"
    assert "names 2 files, and the source is one" in refused(tmp_path, several, other).message
    assert "no such file or folder" in refused(tmp_path, GOOD, tmp_path / "nowhere").message
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("pupils.csv", PUPILS)
    assert "an archive; unpack it first" in refused(tmp_path, GOOD.replace("pupils.csv", "all.zip"), archive).message


def test_cells_of_no_plain_type_are_refused(tmp_path):
    """A Parquet file may hold lists; they are no cells."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet  # noqa: PLC0415

    table = pa.table({"id": ["CANARY"], "n": [1], "s": [["CANARY"]]})
    pyarrow.parquet.write_table(table, tmp_path / "p.parquet")
    one = refused(tmp_path, GOOD.replace("pupils.csv", "p.parquet"))
    assert "The column s cannot be read as plain values" in one.message


def test_the_examples_of_the_document_are_mappings():
    """What the module shows is read as it stands."""
    blocks = re.findall(r"(?m)^    tables:\n(?:(?:     .*)?(?:\n|$))+", document.__doc__)
    assert len(blocks) == 2
    parts = [part for block in blocks for part in read_document("example", textwrap.dedent(block))]
    assert [part.table for part in parts] == ["student", "child_year", "child_year"]


@pytest.mark.slow
def test_no_text_makes_a_traceback():
    """Mappings with pieces changed, left out and doubled are read or refused with a sentence."""
    rng = generator("mappings by mistake")
    pieces = [
        *"{}[]:,#&*!|>-'\"%@`?\n\t 0",
        "~",
        "true",
        "1e9",
        "0x1",
        "2024-01-01",
        "<<",
        "\ufeff",
        "é",
        "\x85",
        "NULL",
        "CASE",
    ]
    refusals = 0
    for _ in range(3_000 if PROVE else 400):
        text = list(grouped(GOOD))
        for _ in range(rng.randrange(1, 5)):
            place = rng.randrange(len(text))
            text[place : place + rng.randrange(3)] = rng.choice(pieces)
        try:
            read_document("mapping.yaml", "".join(text))
        except CatalogRefused as one:
            refusals += 1
            assert one.accepted  # noqa: PT017
    assert refusals > 100
