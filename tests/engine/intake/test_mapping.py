"""What mappings make of real files, held against the same worked out in pandas."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from budgets.clock import FixedClock
from engine.catalog_file import catalog_of
from engine.district import District
from engine.founding import found
from engine.intake import kinds, rows
from engine.intake.mapping import Mapped
from engine.refusals import CatalogRefused
from tests.engine.intake.mapping_cases import drained, made, mapping_file, shared, tuples

HEAD = """\
district: {id: us-xx-test, name: Test, time_zone: America/New_York}
privacy: {owner: OWNER, cohort: cohort_year, cohorts: {from: 1998, to: 2039}, delta: 1e-7, max_students: 30_000}
tables:
"""
MESSY_CATALOG = (
    HEAD.replace("OWNER", "sid")
    + """\
  student:
    unique: [sid]
    columns:
      cohort_year:    {type: integer}
      sex:            {type: text, values: [F, M, unknown], default: unknown}
      race_ethnicity: {type: text, values: [AM7, AS7, BL7, HI7, MU7, PI7, WH7, unknown], default: unknown}
      entry_year:     {type: integer, values: {from: 2000, to: 2012}}
      years_seen:     {type: integer, values: {from: 1, to: 12}}
  student_year:
    unique: [sid, school_year]
    rows_per_student_max: 12
    columns: {school_year: {type: integer, values: {from: 2000, to: 2012}}}
  graduation:
    unique: [sid]
    columns:
      outcome:          {type: text, values: [regular_diploma, alt_diploma, unknown], default: unknown}
      has_diploma:      {type: boolean, default: false}
      years_to_outcome: {type: integer, values: {from: 1, to: 9}, nullable: true}
"""
)
MESSY = """\
tables:
  student:
    from: stuatt.csv
    owner: sid
    one_row_per: [student]
    read:
      grade9: {column: first_9th_school_year_reported, type: integer, bounds: [1990, 2060]}
      school_year: {type: integer}
    columns:
      cohort_year: {formula: grade9 + 3, take: lowest}
      sex: {column: male, codes: {"1": M, "0": F}, take: only}
      race_ethnicity:
        {column: race_ethnicity, codes: {A: AS7, B: BL7, H: HI7, M/O: MU7, W: WH7}, take: last, by: school_year}
      entry_year: {column: school_year, take: lowest}
      years_seen: {column: school_year, take: distinct}
  student_year:
    from: stuatt.csv
    owner: sid
    one_row_per: [student, school_year]
    columns: {school_year: school_year}
  graduation:
    from: stuatt.csv
    owner: sid
    one_row_per: [student]
    read:
      grade9: {column: first_9th_school_year_reported, type: integer, bounds: [1990, 2060]}
      left: {column: hs_diploma_date, date: "%m/%d/%Y", part: school_year}
    columns:
      outcome:
        column: hs_diploma_type
        codes: {Standard Diploma: regular_diploma, College Prep Diploma: regular_diploma, Alternative Diploma: alt_diploma}
        take: only
      has_diploma: {column: hs_diploma, take: any}
      years_to_outcome: {formula: left - grade9 + 1, take: lowest}
"""


def none(value):
    return None if pd.isna(value) else value


def one(groups):
    """The one value of each group, if its rows agree."""
    low = groups.min()
    return low.where(low == groups.max())


def told(*columns):
    """Group → the group's value in each column."""
    frame = pd.concat(columns, axis=1).astype(object)
    return {key: tuple(map(none, row)) for key, row in zip(frame.index, frame.to_numpy(), strict=True)}


def rows_by_owner(table):
    """Owner → the rest of its row, of a table with one row for each."""
    owners, *rest = table.values()
    assert len(set(owners)) == len(owners)
    return dict(zip(owners, zip(*rest, strict=True), strict=True))


@pytest.mark.slow
def test_messy_student_years_become_one_row_per_student(tmp_path):
    """Several races, sexes, birth dates and years of one student: as an independent computation has it."""
    folder = shared("messy-student-years")
    found, reports = made(tmp_path, MESSY, folder, catalog_of(MESSY_CATALOG, "district.yaml"))
    frame = pd.read_csv(folder / "stuatt.csv", dtype=str, keep_default_na=False)
    frame["yr"] = frame.school_year.astype(int)
    frame["ninth"] = pd.to_numeric(frame.first_9th_school_year_reported)
    frame["race"] = frame.race_ethnicity.map({"A": "AS7", "B": "BL7", "H": "HI7", "M/O": "MU7", "W": "WH7"})
    frame["mf"] = frame.male.map({"1": "M", "0": "F"})
    day = pd.to_datetime(frame.hs_diploma_date, format="%m/%d/%Y")
    frame["took"] = day.dt.year + (day.dt.month >= 7) - frame.ninth + 1
    frame["kind"] = frame.hs_diploma_type.map(
        {"Standard Diploma": "regular_diploma", "College Prep Diploma": "regular_diploma"}
        | {"Alternative Diploma": "alt_diploma"}
    )
    frame.loc[~frame.took.between(1, 9), "took"] = None
    frame["done"] = frame.hs_diploma == "1"
    last = frame.dropna(subset="race").sort_values(["yr", "race"]).groupby("sid").race.last()
    by = frame.groupby("sid")
    students = told(by.ninth.min() + 3, by.yr.min(), last, one(by.mf), by.yr.nunique())
    assert list(found["student"]) == ["sid", "cohort_year", "entry_year", "race_ethnicity", "sex", "years_seen"]
    assert rows_by_owner(found["student"]) == students
    assert len(students) == 21_803
    assert rows_by_owner(found["graduation"]) == told(by.done.max(), one(by.kind), by.took.min())
    assert set(zip(*found["student_year"].values(), strict=True)) == set(zip(frame.sid, frame.yr, strict=True))
    assert len(found["student_year"]["sid"]) == len(frame) - 4  # the file has four years twice
    report = reports["stuatt.csv for student"]
    assert report.rows == 87_534
    assert "birth_date" in report.left_behind
    assert (report.unread, report.dropped) == ({}, {})


@pytest.mark.slow
@pytest.mark.parametrize("text", [MESSY])
def test_a_birth_date_is_not_even_asked_for(text, tmp_path, monkeypatch):
    """The reader of the file is told the places of the columns that are used, and no other."""
    asked = set()
    batches = rows.CsvRows.batches

    def watched(self, places):
        asked.update(self.names[place] for place in places)
        return batches(self, places)

    monkeypatch.setattr(rows.CsvRows, "batches", watched)
    made(tmp_path, text, shared("messy-student-years"), catalog_of(MESSY_CATALOG, "district.yaml"))
    assert "sid" in asked
    assert "birth_date" not in asked


STAR_CATALOG = (
    HEAD.replace("OWNER", "child_id")
    + """\
  child:
    unique: [child_id]
    columns:
      cohort_year: {type: integer}
      sex:         {type: text, values: [F, M, unknown], default: unknown}
      ethnicity:   {type: text, values: [afam, cauc, other], default: other}
      ever_small:  {type: boolean, default: false}
  child_year:
    unique: [child_id, grade]
    rows_per_student_max: 4
    columns:
      grade:   {type: text, values: [K, "1", "2", "3"]}
      klass:   {type: text, values: [small, regular, aide]}
      lunch:   {type: boolean, nullable: true}
      reading: {type: integer, bounds: [300, 800], nullable: true}
      maths:   {type: integer, bounds: [300, 800], nullable: true}
"""
)
STAR_YEAR = """
    - from: AER_STAR.csv
      owner: rownames
      only: {star%s: [small, regular, regular+aide]}
      columns:
        grade: {value: "%s"}
        klass: {column: star%s, codes: {small: small, regular: regular, regular+aide: aide}}
        lunch: {column: lunch%s, codes: {free: true, non-free: false}}
        reading: read%s
        maths: math%s
"""
STAR_WIDE = """\
tables:
  child:
    from: AER_STAR.csv
    owner: rownames
    columns:
      cohort_year: {value: 1998}
      sex: {column: gender, codes: {male: M, female: F}}
      ethnicity: {column: ethnicity, codes: {afam: afam, cauc: cauc}, else: other}
      ever_small: {blank: true}
  child_year:
""" + "".join(
    STAR_YEAR % (code, grade, code, code, code, code)
    for code, grade in (("k", "K"), ("1", "1"), ("2", "2"), ("3", "3"))
)
STAR_LONG = """\
tables:
  child:
    from: mlmRev_star_long.csv
    owner: id
    one_row_per: [student]
    read:
      small: {column: cltype, type: boolean, codes: {small: true, reg: false, reg+A: false}}
      grade: {column: gr, type: integer, codes: {K: "0", "1": "1", "2": "2", "3": "3"}}
    columns:
      cohort_year: {value: 1998}
      sex: {column: sx, codes: {M: M, F: F}, take: only}
      ethnicity: {column: eth, codes: {B: afam, W: cauc, A: other, H: other, I: other, O: other}, take: last, by: grade}
      ever_small: {formula: small, take: any}
  child_year:
    from: mlmRev_star_long.csv
    owner: id
    columns:
      grade: gr
      klass: {column: cltype, codes: {small: small, reg: regular, reg+A: aide}}
      lunch: {column: ses, codes: {F: true, N: false}}
      reading: read
      maths: math
"""


@pytest.mark.slow
def test_a_wide_study_becomes_rows_of_years(tmp_path):
    """STAR has four years beside each other: a table of several parts puts them below each other."""
    folder = shared("star")
    found, reports = made(tmp_path, STAR_WIDE, folder, catalog_of(STAR_CATALOG, "district.yaml"))
    frame = pd.read_csv(folder / "AER_STAR.csv", dtype=str, keep_default_na=False)
    expected = []
    for code, grade in (("k", "K"), ("1", "1"), ("2", "2"), ("3", "3")):
        in_class = frame[frame[f"star{code}"] != ""]
        kinds_of = in_class[f"star{code}"].replace({"regular+aide": "aide"})
        lunch = in_class[f"lunch{code}"].map({"free": "true", "non-free": "false"})
        parts = (in_class.rownames, [grade] * len(in_class), kinds_of, lunch.map(none))
        expected += zip(*parts, in_class[f"math{code}"], in_class[f"read{code}"], strict=True)
    got = [tuple(none(cell) or "" for cell in row) for row in tuples(found["child_year"])]
    assert list(found["child_year"]) == ["child_id", "grade", "klass", "lunch", "maths", "reading"]
    assert sorted(got) == sorted(tuple(none(cell) or "" for cell in row) for row in expected)
    assert found["child"]["child_id"] == list(frame.rownames)
    assert found["child"]["sex"] == [none(v) for v in frame.gender.map({"male": "M", "female": "F"})]
    other = [{"afam": "afam", "cauc": "cauc", "": None}.get(value, "other") for value in frame.ethnicity]
    assert found["child"]["ethnicity"] == other
    assert set(found["child"]["ever_small"]) == {None}
    left = reports["AER_STAR.csv for child_year"].dropped["star3 is none of those that count"]
    assert left == (frame.star3 == "").sum()


@pytest.mark.slow
def test_a_long_study_keeps_its_rows(tmp_path):
    """Rows that stay as they are, and children made of them."""
    folder = shared("star")
    found, _ = made(tmp_path, STAR_LONG, folder, catalog_of(STAR_CATALOG, "district.yaml"))
    frame = pd.read_csv(folder / "mlmRev_star_long.csv", dtype=str, keep_default_na=False)
    year = found["child_year"]
    assert year["child_id"] == list(frame.id)
    assert year["grade"] == list(frame.gr)
    assert year["klass"] == list(frame.cltype.replace({"reg": "regular", "reg+A": "aide"}))
    assert year["lunch"] == [{"F": "true", "N": "false"}.get(value) for value in frame.ses]
    assert (year["reading"], year["maths"]) == (list(frame["read"]), list(frame.math))
    frame["eth"] = frame.eth.map(dict.fromkeys("AHIO", "other") | {"B": "afam", "W": "cauc"})
    frame["sx"] = frame.sx.replace({"": None})
    frame["year"] = frame.gr.replace({"K": "0"}).astype(int)
    frame["small"] = frame.cltype == "small"
    last = frame.dropna(subset="eth").sort_values(["year", "eth"]).groupby("id").eth.last()
    by = frame.groupby("id")
    assert rows_by_owner(found["child"]) == told(
        pd.Series("1998", by.small.max().index), last, by.small.max(), one(by.sx)
    )


ROSTER_CATALOG = (
    HEAD.replace("OWNER", "student_key")
    + """\
  student:
    unique: [student_key]
    columns:
      cohort_year: {type: integer}
      entry_year:  {type: integer, values: {from: 2020, to: 2030}}
  who:
    unique: [student_key]
    columns:
      sex:      {type: text, values: [F, M, X, unknown], default: unknown}
      is_white: {type: boolean, default: false}
  student_year:
    unique: [student_key, school_year]
    rows_per_student_max: 15
    columns:
      school_year: {type: integer, values: {from: 2020, to: 2030}}
      grade_level: {type: text, values: [PK, KG, "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"]}
"""
)
GRADES = {"KG": 0, **{f"{grade:02}": grade for grade in range(1, 13)}}
ROSTER = """\
tables:
  student:
    from: users.csv
    owner: sourcedId
    only: {role: [Student], status: [active]}
    read:
      grade: {column: grades, type: integer, bounds: [0, 12], codes: {KG: "0", CODES}}
    columns:
      cohort_year: {formula: 2026 + 12 - grade}
      entry_year: {value: 2026}
  who:
    from: demographics.csv
    owner: sourcedId
    columns:
      sex: {column: sex, codes: {female: F, male: M, other: X}}
      is_white: white
  student_year:
    from: users.csv
    owner: sourcedId
    only: {role: [student]}
    columns: {school_year: {value: 2026}, grade_level: grades}
""".replace("CODES", ", ".join(f'"{text}": "{grade}"' for text, grade in GRADES.items() if text != "KG"))


def test_a_roster_by_hand(tmp_path):
    """OneRoster's files through a mapping: students alone, sexes by code, one school year."""
    folder = shared("oneroster-small")
    found, reports = made(tmp_path, ROSTER, folder, catalog_of(ROSTER_CATALOG, "district.yaml"))
    users = pd.read_csv(folder / "users.csv", dtype=str, keep_default_na=False)
    people = pd.read_csv(folder / "demographics.csv", dtype=str, keep_default_na=False)
    students = users[users.role == "student"]
    assert found["student_year"] == {
        "student_key": list(students.sourcedId),
        "grade_level": list(students.grades),
        "school_year": ["2026"] * len(students),
    }
    assert found["student"]["cohort_year"] == [str(2038 - GRADES[grade]) for grade in students.grades]
    assert found["who"]["sex"] == list(people.sex.map({"female": "F", "male": "M"}))
    assert found["who"]["is_white"] == list(people.white)
    report = reports["users.csv for student_year"]
    assert report.read == ("sourcedId", "role", "grades")
    assert report.dropped == {"role is none of those that count": len(users) - len(students)}
    assert {"givenName", "email", "password", "phone"} <= set(report.left_behind)


# -- single rules

CATALOG = (
    HEAD.replace("OWNER", "sid")
    + """\
  pupil:
    unique: [sid]
    columns:
      cohort_year: {type: integer}
      kind:  {type: text, nullable: true}
      days:  {type: "decimal(4,1)", bounds: [0, 200], nullable: true}
      ratio: {type: double, nullable: true}
      flag:  {type: boolean, nullable: true}
      seen:  {type: integer, nullable: true}
"""
)
DECLARED = catalog_of(CATALOG, "district.yaml")
REST = {"cohort_year": "{value: 2020}"} | dict.fromkeys(("kind", "days", "ratio", "seen"), "{blank: true}")


def cells_of(tmp_path, lines, column, declared, *, settings=""):
    """What one column becomes."""
    (tmp_path / "f.csv").write_text(lines, encoding="utf-8")
    columns = {**REST, "flag": "{blank: true}", column: declared}
    text = f"tables:\n  pupil:\n    from: f.csv\n    owner: sid\n{settings}    columns:\n"
    text += "".join(f"      {name}: {what}\n" for name, what in columns.items())
    found, reports = made(tmp_path, text, tmp_path, DECLARED)
    return found["pupil"][column], reports["f.csv for pupil"]


def test_codes_forgive_case_and_space_and_nothing_else(tmp_path):
    """Blank stays blank unless it has a code; what is not among the codes is blank and counted, or what else says."""
    lines = "sid,x\n1, yes\n2,YES\xa0\n3,no\n4,maybe\n5,\n6, \n"
    declared = '{column: x, codes: {Yes: "1", "NO ": "0"}}'
    found, report = cells_of(tmp_path, lines, "kind", declared)
    assert found == ["1", "1", "0", None, None, None]
    assert report.unread == {"kind: not among the codes": 1}
    found, report = cells_of(tmp_path, lines, "kind", '{column: x, codes: {yes: "1", "": none, no: ""}, else: other}')
    assert found == ["1", "1", None, "other", "none", "none"]
    assert report.unread == {}


def test_a_mapping_that_understands_few_cells_is_refused(tmp_path):
    """The mapping is wrong then, as where the day comes first; told with how many, and never silently blank."""
    lines = "sid,a\n" + "".join(f"{n},{n % 12 + 1:02}/25/2026\n" for n in range(30))
    with pytest.raises(CatalogRefused, match="Of 30 rows 30 were not understood"):
        cells_of(tmp_path, lines, "kind", '{column: a, date: "%d/%m/%Y", part: iso}')


def test_dates_are_parts_or_blank(tmp_path):
    """From July on a day belongs to the next spring; no text makes a date fail."""
    days = ["6/30/2024", "7/1/2024", "2024-01-02", "2/30/2024", "CANARY", "", "1/1/0000", "9" * 40, "12/31/9999"]
    lines = "sid,x\n" + "".join(f"{place},{day}\n" for place, day in enumerate(days))
    declared = '{{column: x, date: ["%m/%d/%Y", "%Y-%m-%d"], part: {}}}'
    expected = {
        "year": ["2024", "2024", "2024", None, None, None, None, None, "9999"],
        "month": ["6", "7", "1", None, None, None, None, None, "12"],
        "school_year": ["2024", "2025", "2024", None, None, None, None, None, "10000"],
        "iso": ["2024-06-30", "2024-07-01", "2024-01-02", None, None, None, None, None, "9999-12-31"],
    }
    for part, texts in expected.items():
        found, report = cells_of(tmp_path, lines, "kind", declared.format(part))
        assert found == texts
        assert report.unread == {"kind: not a date of this format": 4}


READS = "    read:\n      a: {type: 'decimal(3,1)'}\n      b: {column: b, type: integer, bounds: [0, 9]}\n"


def test_a_column_that_is_not_used_is_not_asked_for(tmp_path, monkeypatch):
    """Whatever stands beside it in the file."""
    asked = set()
    batches = rows.CsvRows.batches

    def watched(self, places):
        asked.update(self.names[place] for place in places)
        return batches(self, places)

    monkeypatch.setattr(rows.CsvRows, "batches", watched)
    cells_of(tmp_path, "sid,a,b,secret\n1,2.5,4,CANARY\n", "days", '{formula: "a + b"}', settings=READS)
    assert asked == {"sid", "a", "b"}


def test_formulas_see_typed_values_and_give_their_own_unit(tmp_path):
    """Decimals, doubles, flags and texts; what is not accepted is NULL, and so is what is made of it."""
    lines = "sid,a,b\n1,2.5,4\n2,x,4\n3,7,0\n4,,\n"
    asked = {
        ("days", "a + b"): ["65e-1", None, "70e-1", None],
        ("ratio", "a / b"): ["0.625", None, None, None],
        ("flag", "a > b"): ["false", None, "true", None],
        ("kind", "CASE WHEN a > 3 THEN 'it''s' ELSE 'no' END"): ["no", "no", "it's", "no"],
    }
    for (column, formula), expected in asked.items():
        found, report = cells_of(tmp_path, lines, column, f'{{formula: "{formula}"}}', settings=READS)
        assert found == expected
        assert report.unread == {"a: not accepted": 1}


def test_a_cell_that_is_used_twice_is_counted_once(tmp_path):
    """A typed name may stand in a formula and order rows too."""
    lines = "sid,x\n1,2\n1,z\n2,z\n"
    settings = "    one_row_per: [student]\n    read: {x: {type: integer, bounds: [0, 9]}}\n"
    found, report = cells_of(tmp_path, lines, "days", "{formula: x + x, take: last, by: x}", settings=settings)
    assert sorted(map(str, found)) == ["40e-1", "None"]
    assert report.unread == {"x: not accepted": 2}


def test_grouped_decimals_come_in_their_own_unit(tmp_path):
    """As text with a power of ten, which the loader takes exactly."""
    lines = "sid,x\n1,2.5\n1,12\n 1 ,0.5\n2,1\n,9\n"
    for take, expected in {"sum": {"150e-1", "10e-1"}, "highest": {"120e-1", "10e-1"}}.items():
        settings = "    one_row_per: [student]\n"
        found, report = cells_of(tmp_path, lines, "days", f"{{column: x, take: {take}}}", settings=settings)
        assert set(found) == expected
        assert report.dropped == {"no owner": 1}


BY_HAND = {
    # of the decimals 2.5, 12, 12, a text and a blank
    ("days", "lowest"): "25e-1",
    ("days", "highest"): "120e-1",
    ("days", "only"): None,
    ("days", "sum"): "265e-1",
    ("seen", "count"): 4,
    ("seen", "distinct"): 3,
    ("kind", "lowest"): "12",
    ("kind", "highest"): "x",
    ("ratio", "highest"): 12.0,
}


@pytest.mark.parametrize(("column", "take"), BY_HAND)
def test_each_take_by_hand(column, take, tmp_path):
    """What is not accepted is passed over, and counts only where cells are counted."""
    lines = "sid,x\n1,2.5\n1,12\n1, 12\n1,x\n1,\n"
    settings = "    one_row_per: [student]\n"
    assert cells_of(tmp_path, lines, column, f"{{column: x, take: {take}}}", settings=settings)[0] == [
        BY_HAND[column, take]
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("yn", (True, False, None)),
        ("yy-", (True, True, True)),
        ("n?", (False, False, False)),
        ("-", (None, None, None)),
    ],
)
def test_flags_are_any_all_or_only(flags, found, tmp_path):
    """Blank and strange cells are passed over; where no cell is left the answer is blank."""
    lines = "sid,x\n" + "".join(f"1,{flag.strip('-')}\n" for flag in flags)
    settings = "    one_row_per: [student]\n"
    for take, expected in zip(("any", "all", "only"), found, strict=True):
        assert cells_of(tmp_path, lines, "flag", f"{{column: x, take: {take}}}", settings=settings)[0] == [expected]


@pytest.mark.slow
def test_numbers_are_compared_as_numbers(tmp_path):
    """9 is below 10, as a value and as what orders rows."""
    lines = "sid,x,n\n1,9,10\n1,10,9\n"
    settings = "    one_row_per: [student]\n    read: {n: {type: integer}}\n"
    for take, expected in {
        "lowest": "90e-1",
        "highest": "100e-1",
        "first, by: n": "100e-1",
        "last, by: n": "90e-1",
    }.items():
        found, _ = cells_of(tmp_path, lines, "days", f"{{column: x, take: {take}}}", settings=settings)
        assert found == [expected]


def test_any_kind_of_file_is_mapped(tmp_path):
    """A workbook's sheet, a Parquet file with whole numbers as floats and a Stata file give the same rows."""
    frame = pd.DataFrame({"sid": [123456789012.0, 7.0], "x": [1.5, 2.0]})
    with pd.ExcelWriter(tmp_path / "b.xlsx") as book:
        pd.DataFrame({"no": [1]}).to_excel(book, sheet_name="First", index=False)
        frame.to_excel(book, sheet_name="Two", index=False)
    pyarrow.parquet.write_table(pa.Table.from_pandas(frame), tmp_path / "b.parquet")
    frame.to_stata(tmp_path / "b.dta", write_index=False)
    text = "tables:\n  pupil:\n    from: {}\n    owner: SID\n    columns: {{{}}}\n"
    columns = ", ".join(f"{name}: {what}" for name, what in {**REST, "flag": "{blank: true}", "days": "x"}.items())
    for file in ("'b.xlsx#Two'", "b.parquet", "b.dta"):
        found, _ = made(tmp_path, text.format(file, columns), tmp_path, DECLARED)
        assert (found["pupil"]["sid"], found["pupil"]["days"]) == (["123456789012", "7"], ["1.5", "2"])
        single = tmp_path / file.strip("'").split("#")[0]
        assert made(tmp_path, text.format(file, columns), single, DECLARED)[0] == found


def test_columns_have_the_names_the_catalog_gives_their_sources(tmp_path):
    """As the loader looks for them."""
    declared = catalog_of(CATALOG.replace("days:  {", "days:  {source: Days Away, "), "district.yaml")
    (tmp_path / "f.csv").write_text("sid,x\n1,2\n", encoding="utf-8")
    columns = ", ".join(f"{name}: {what}" for name, what in {**REST, "flag": "{blank: true}", "days": "x"}.items())
    text = f"tables:\n  pupil:\n    from: f.csv\n    owner: sid\n    columns: {{{columns}}}\n"
    found, _ = made(tmp_path, text, tmp_path, declared)
    assert found["pupil"]["Days Away"] == ["2"]


def test_only_the_columns_asked_for_are_made(tmp_path):
    """In the order in which they are asked for."""
    import duckdb  # noqa: PLC0415

    from engine.intake.mapping import Mapped  # noqa: PLC0415

    (tmp_path / "f.csv").write_text("sid,x\n1,2\n", encoding="utf-8")
    columns = ", ".join(f"{name}: {what}" for name, what in {**REST, "flag": "{blank: true}", "days": "x"}.items())
    text = f"tables:\n  pupil:\n    from: f.csv\n    owner: sid\n    columns: {{{columns}}}\n"
    mapped = Mapped.read(mapping_file(tmp_path, text), tmp_path)
    with duckdb.connect() as connection:
        found = mapped.tables(DECLARED, connection, tmp_path, lambda *_: None)["pupil"]
        place = found.names.index("days")
        batch = next(iter(found.batches([place, 0])))
        assert [column.to_pylist() for column in batch.columns] == [["2"], ["1"]]
        assert drained(found)["days"] == ["2"]
    assert kinds.file_rows(tmp_path / "f.csv").names == ("sid", "x")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "mapping", "catalog", "year", "students"),
    [
        ("messy-student-years", MESSY, MESSY_CATALOG, 2009, 21_803),
        ("star", STAR_WIDE, STAR_CATALOG, 1990, 11_598),
        ("star", STAR_LONG, STAR_CATALOG, 1990, 11_598),
    ],
    ids=["messy", "star wide", "star long"],
)
def test_real_files_become_a_district_that_answers(folder, mapping, catalog, year, students, tmp_path):
    """By a catalog of their own and a mapping, as they are; one person for each child, and an answer with its margin."""
    (tmp_path / "catalog.yaml").write_text(catalog, encoding="utf-8")
    clock = FixedClock(datetime(year, 3, 1, tzinfo=UTC))
    sources = Mapped.read(mapping_file(tmp_path, mapping), shared(folder))
    loaded = found(tmp_path / "d", tmp_path / "catalog.yaml", sources, clock=clock)
    home = loaded.catalog.cohort_table
    assert loaded.report.tables[home].rows_read == students
    assert loaded.persons > 0.85 * students
    with District.open(tmp_path / "d", clock=clock) as district:
        release = district.ask(f"SELECT sex, COUNT(*) AS n FROM {home} GROUP BY sex")
        assert sum(row[1] for row in release.rows) > 0.8 * students
        assert all(se[1] > 0 for se in release.se)
