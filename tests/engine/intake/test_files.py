from __future__ import annotations

import csv
import hmac
import io
import json
import random
import stat
import uuid
from collections import Counter
from decimal import Decimal
from functools import lru_cache

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.catalog_file import catalog_of, owner_source
from engine.intake import files
from engine.intake import load as loading
from engine.intake.load import load
from engine.intake.report import OUTSIDE
from engine.refusals import CatalogRefused
from engine.vault import OWNER, Vault

KEY = b"k" * 32
CATALOG = """\
district: {id: us-xx-test, name: Test, time_zone: America/New_York}
privacy: {owner: sid, cohort: cls, cohorts: {from: 2020, to: 2030}, delta: 1e-7, max_students: 20_000}
tables:
  school:
    public: true
    unique: [school_id]
    columns: {school_id: {type: integer, bounds: [1, 999]}, title: {type: text}, is_open: {type: boolean, default: false}}
  cut:
    public: true
    unique: [program, grade]
    columns:
      program: {type: text, values: [sat, act]}
      grade:   {type: integer, values: {from: 9, to: 12}}
      low:     {type: "decimal(4,1)", bounds: [0, 900]}
      high:    {type: "decimal(4,1)", bounds: [0, 900]}
  pupil:
    unique: [sid]
    columns:
      cls: {type: integer}
      sex: {type: text, values: [F, M, unknown], default: unknown, source: Gender}
  year:
    unique: [sid, yr]
    rows_per_student_max: 3
    checks: ["yr BETWEEN cls - 13 AND cls + 3", "days IS NULL OR days <> 13.5"]
    columns:
      yr:     {type: integer, values: {from: 2015, to: 2030}}
      school: {type: integer, values: {table: school, column: school_id}, default: 1}
      flag:   {type: boolean, default: false}
      days:   {type: "decimal(4,1)", bounds: [0, 200], nullable: true}
      big:    {type: integer, nullable: true}
      ratio:  {type: double, nullable: true}
      note:   {type: text, nullable: true}
      fixed:  {type: text, constant: x}
      secret: {type: text, sensitive: true}
  score:
    unique: [sid, yr, program, grade]
    keep: {highest: points}
    rows_per_student_max: 5
    caps: [{rows: 2, per: [yr]}]
    columns:
      yr:      {type: integer, values: {from: 2015, to: 2030}}
      program: {type: text, values: [sat, act]}
      grade:   {type: integer, values: {from: 9, to: 12}}
      points:  {type: "decimal(4,1)", bounds: {table: cut, low: low, high: high}, nullable: true}
"""
declared = lru_cache(maxsize=None)(lambda text=CATALOG: catalog_of(text, "district.yaml"))
YEAR = ("sid", "yr", "school", "flag", "days", "big", "ratio", "note")
SCORE = ("sid", "yr", "program", "grade", "points")
SCHOOLS = [("1", "Alder", "true"), ("2", "Birch", ""), ("3", "Cedar", "no")]
CUTS = [("sat", "11", "200", "800"), ("act", "11", "1", "36.0"), ("sat", "12", "200", "400.5")]


def texts(columns, rows):
    """A source in memory, every cell as text."""
    return pa.table({name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(columns)})


def sources(pupils, years=(), scores=(), schools=SCHOOLS, cuts=CUTS):
    return {
        "school": texts(("school_id", "title", "is_open"), schools),
        "cut": texts(("program", "grade", "low", "high"), cuts),
        "pupil": texts(("sid", "cls", "Gender"), pupils),
        "year": texts(YEAR, years),
        "score": texts(SCORE, scores),
    }


def year(sid, yr="2022", **cells):
    return tuple({"sid": sid, "yr": yr, **cells}.get(name, "") for name in YEAR)


def owner(sid):
    return uuid.UUID(bytes=hmac.digest(KEY, sid.encode(), "sha256")[:16])


class Opened:
    """A load and its vault."""

    def __init__(self, folder, given, text=CATALOG, known=None, threads=2):
        self.declared = declared(text)
        self.loaded = load(self.declared, given, folder, owner_key=KEY, known_cohorts=known or {}, threads=threads)
        self.vault = Vault.open(folder / self.loaded.file, self.declared)

    def rows(self, table, *columns):
        names = ", ".join(f'"{name}"' for name in (OWNER, *columns))
        return sorted(self.vault.cursor().execute(f"SELECT {names} FROM {table}").fetchall(), key=repr)

    def of(self, sid, table, *columns):
        return [row[1:] for row in self.rows(table, *columns) if row[0] == owner(sid)]

    def everything(self):
        """Every row of every private table, with the tables' own columns."""
        found = Counter()
        for name in ("pupil", "year", "score"):
            rows = self.vault.cursor().execute(f"SELECT * FROM {name}").fetchall()
            found.update((name, *row) for row in rows)
        return found


def refused(tmp_path, given, text=CATALOG):
    """The refusal of a load, which leaves nothing behind."""
    folder = tmp_path / "vault"
    with pytest.raises(CatalogRefused) as caught:
        load(declared(text), given, folder, owner_key=KEY, known_cohorts={})
    assert caught.value.code == "load"
    assert not folder.exists() or not list(folder.iterdir())
    return caught.value


# -- cells

HOSTILE = [
    # column, cell, stored value (None is NULL)
    ("big", None, None),
    ("big", "5.0", 5),
    ("big", " 5 ", 5),
    ("big", "\u00a05\t", 5),
    ("big", "+5", 5),
    ("big", "-0", 0),
    ("big", "5.5", None),
    ("big", "5e2", 500),
    ("big", "15e-1", None),
    ("big", "1e300", None),
    ("big", "1e9999", None),
    ("big", "1_000", None),
    ("big", "1,000", None),
    ("big", "0x10", None),
    ("big", "٣", None),
    ("big", "NA", None),
    ("big", "NaN", None),
    ("big", "5\0", None),
    ("big", "'; DROP TABLE staged; --", None),
    ("big", "9007199254740993", 9007199254740993),
    ("big", "9007199254740993.000", 9007199254740993),
    ("big", str(2**62 - 1), 2**62 - 1),
    ("big", str(2**62), None),
    ("big", str(1 - 2**62), 1 - 2**62),
    ("big", str(-(2**62)), None),
    ("big", str(2**63), None),
    ("big", "9" * 500, None),
    ("big", "0" * 500 + "7", 7),
    ("days", "12.5", 125),
    ("days", "12.50000", 125),
    ("days", ".5", 5),
    ("days", "12.55", None),
    ("days", "200", 2000),
    ("days", "200.1", None),
    ("days", "-0.1", None),
    ("days", "-.0", 0),
    ("ratio", "NaN", None),
    ("ratio", "inf", None),
    ("ratio", "-Infinity", None),
    ("ratio", "-0.0", 0.0),
    ("ratio", "1e300", 1e300),
    ("ratio", "1e999", None),
    ("ratio", "0.1", 0.1),
    ("ratio", "5\0", None),
    ("note", "NA", "NA"),
    ("note", "NULL", "NULL"),
    ("note", 'it\'s "quoted"; --', 'it\'s "quoted"; --'),
    ("note", " 🎒 ", "🎒"),
    ("note", "a\0b", None),
    ("note", "\t \n", None),
    ("flag", "TRUE", True),
    ("flag", "y", True),
    ("flag", "0", False),
    ("flag", "No", False),
    ("flag", "1.0", False),  # not accepted: the default
    ("flag", "maybe", False),
    ("flag", "NA", False),
    ("school", "2", 2),
    ("school", "2.0", 2),
    ("school", "4", 1),  # not on the list: the default
]


# -- one load of many students, each there for one claim

CASES = {"pupil": [], "year": [], "score": []}
CASES["pupil"] += [(f"cell{i}", "2024", "F") for i in range(len(HOSTILE))]
CASES["year"] += [year(f"cell{i}", **{column: cell}) for i, (column, cell, _) in enumerate(HOSTILE)]
CASES["pupil"] += [(" trimmed\t", "2024", "F"), ("", "2024", "F"), (None, "2024", "F"), ("nul\0", "2024", "F")]
CASES["year"] += [year("trimmed "), year(""), year("nul\0")]
CASES["pupil"] += [("needed", "2024", "?")]
CASES["year"] += [year("needed", ""), year("needed", "1999"), year("needed", "2023")]
CASES["pupil"] += [("several", "2026", ""), ("several", "2024", "M"), ("several", "1", ""), ("several", "", "F")]
CASES["pupil"] += [("blank", "", ""), ("off", "2050", "")]
CASES["year"] += [year(sid) for sid in ("several", "blank", "off", "nobody")]
CASES["pupil"] += [("known", "2025", ""), ("knownblank", "", ""), ("knownoff", "2024", "")]
CASES["year"] += [year(sid, "2021") for sid in ("known", "knownblank", "knownoff", "knowngone")]
KNOWN = {"known": 2021, "knownblank": 2022, "knownoff": 1990, "knowngone": 2023}
CASES["pupil"] += [("checked", "2020", "")]
CASES["year"] += [year("checked", "2023"), year("checked", "2024"), year("checked", "2022", days="13.5")]
RANGED = [
    ("sat", "11", "800", 8000),
    ("sat", "11", "800.1", None),
    ("act", "11", "36", 360),
    ("act", "11", "37", None),
    ("sat", "12", "400.5", 4005),
    ("sat", "12", "401", None),
    ("act", "12", "20", None),
]
CASES["pupil"] += [(f"ranged{i}", "2024", "") for i in range(len(RANGED))]
CASES["score"] += [(f"ranged{i}", "2022", *cells[:3]) for i, cells in enumerate(RANGED)]
CASES["pupil"] += [("tied", "2024", "")]
CASES["score"] += [("tied", "2022", "sat", "11", p) for p in ("", "300", "512.5", "499")]
CASES["year"] += [year("tied", note="z"), year("tied", note="b", days="3"), year("tied", note="b", days="2")]
CASES["pupil"] += [("capped", "2024", "")]
CASES["score"] += [("capped", y, "sat", g, "300") for y in ("2021", "2022", "2023") for g in ("10", "11", "12")]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    known = {owner(sid).bytes: cohort for sid, cohort in KNOWN.items()}
    one = Opened(tmp_path_factory.mktemp("cases") / "vault", sources(*CASES.values()), known=known)
    yield one
    one.vault.close()


def test_every_hostile_cell_becomes_its_value_its_default_or_null(cases):
    """Exact numbers are never rounded, doubles are finite, texts stay as they are; no cell fails a load."""
    for i, (column, cell, value) in enumerate(HOSTILE):
        assert cases.of(f"cell{i}", "year", column) == [(value,)], (column, cell)
    zero = next(i for i, (column, cell, _) in enumerate(HOSTILE) if (column, cell) == ("ratio", "-0.0"))
    assert repr(cases.of(f"cell{zero}", "year", "ratio")) == "[(0.0,)]"


def test_source_ids_are_trimmed_and_keyed(cases):
    """The owner is the keyed hash of the trimmed id; a blank id, or one with a NUL, has no rows."""
    assert len(cases.of("trimmed", "pupil")) == len(cases.of("trimmed", "year")) == 1
    for sid in ("", " trimmed\t", "nul\0", "nul"):
        assert cases.of(sid, "pupil") == cases.of(sid, "year") == []
    assert (owner("trimmed").bytes, 2024) in cases.loaded.persons


def test_a_blank_or_wrong_needed_cell_drops_its_row_alone(cases):
    """Without default and NULL the row goes; its student's other rows stay."""
    assert cases.of("needed", "year", "yr") == [(2023,)]
    assert cases.of("needed", "pupil", "sex") == [("unknown",)]


def test_who_has_no_cohort_has_no_rows_anywhere(cases):
    """No row in the cohort table, no cohort there, or one off the list: no rows; of several the smallest."""
    for sid in ("blank", "off", "nobody"):
        assert cases.of(sid, "pupil") == cases.of(sid, "year") == []
        assert owner(sid).bytes not in dict(cases.loaded.persons)
    assert cases.of("several", "pupil", "cls", "sex") == [(2024, "M")]
    assert cases.of("several", "year", "cls") == [(2024,)]


def test_the_register_prevails_over_the_source(cases):
    """A known student keeps the old cohort, in every table, even where the source gives none.

    Not if it is off the list, and not without a row in the cohort table.
    """
    assert cases.of("known", "pupil", "cls") == cases.of("known", "year", "cls") == [(2021,)]
    assert cases.of("knownblank", "pupil", "cls") == cases.of("knownblank", "year", "cls") == [(2022,)]
    for sid in ("knownoff", "knowngone"):
        assert cases.of(sid, "year") == []
    assert dict(cases.loaded.persons)[owner("known").bytes] == 2021


def test_only_rows_whose_checks_are_true_stay(cases):
    """A row whose check is FALSE goes."""
    assert cases.of("checked", "year", "yr") == [(2023,)]


def test_a_range_depends_on_the_rows_own_keys(cases):
    """Within the range of its own program and grade; a key without a range accepts nothing."""
    for i, (*cells, value) in enumerate(RANGED):
        assert cases.of(f"ranged{i}", "score", "points") == [(value,)], cells


def test_of_rows_with_one_key_the_highest_stays_and_ties_are_broken_by_every_column(cases):
    """A function of the student's rows alone."""
    assert cases.of("tied", "score", "points") == [(5125,)]
    assert cases.of("tied", "year", "days", "note") == [(20, "b")]


def test_caps_keep_the_first_rows_in_the_order_of_every_column(cases):
    """First the cap per year, then the most rows ever."""
    kept = [(2021, 10), (2021, 11), (2022, 10), (2022, 11), (2023, 10)]
    assert cases.of("capped", "score", "yr", "grade") == kept


def test_the_report_counts_every_row_under_one_reason(cases):
    """Read is kept and dropped together, and each rule is named."""
    tables = cases.loaded.report.tables
    for name, report in tables.items():
        assert report.rows_read == report.rows_kept + sum(report.dropped.values()), name
    assert tables["pupil"].dropped == {"no owner": 3, OUTSIDE: 5, "unique sid": 1}
    assert tables["year"].dropped == {
        "no owner": 2,
        "no accepted yr": 2,
        OUTSIDE: 5,
        "check yr BETWEEN cls - 13 AND cls + 3": 1,
        "check days IS NULL OR days <> 13.5": 1,
        "unique sid, yr": 2,
    }
    assert tables["score"].dropped == {
        "unique sid, yr, program, grade": 3,
        "cap per yr": 3,
        "rows_per_student_max": 1,
    }
    assert tables["score"].replaced == {"points": {"blank": 1, "not accepted": 7}}


def test_cells_of_any_plain_arrow_type_mean_what_they_say(tmp_path):
    """Decimals, whole numbers, flags, floats and dictionaries are read without loss."""
    given = sources([("a", "2024", "F"), ("b", "2024", "M")])
    given["year"] = pa.table(
        {
            "sid": pa.array(["a", "b"]).dictionary_encode(),
            "yr": pa.array([2022, 2023], pa.int16()),
            "school": pa.array([2.0, None], pa.float64()),
            "flag": pa.array([True, None], pa.bool_()),
            "days": pa.array([Decimal("12.5"), None], pa.decimal128(9, 3)),
            "big": pa.array([2**60 + 1, -3], pa.int64()),
            "ratio": pa.array([0.1, float("nan")], pa.float64()),
            "note": pa.nulls(2),
        }
    )
    one = Opened(tmp_path / "v", given)
    columns = ("yr", "school", "flag", "days", "big", "ratio", "note", "fixed")
    assert one.of("a", "year", *columns) == [(2022, 2, True, 125, 2**60 + 1, 0.1, None, "x")]
    assert one.of("b", "year", *columns) == [(2023, 1, False, None, -3, None, None, "x")]
    one.vault.close()


def test_parquet_is_read_as_the_same_table_in_memory(tmp_path):
    """Types and values come through a file unchanged, and so do the columns left behind."""
    given = pa.table({"sid": ["a"], "cls": pa.array([2024], pa.int16()), "gender": ["F"], "nickname": ["x"]})
    path = tmp_path / "pupil.parquet"
    pyarrow.parquet.write_table(given, path)
    one, other = (files.read_source(source, declared(), declared().tables["pupil"]) for source in (given, path))
    assert one.rows.equals(other.rows)
    assert one.left_behind == other.left_behind == ("nickname",)


def test_rows_alike_in_all_columns_count_up_to_the_cap(tmp_path):
    """A table without a unique key keeps true duplicates."""
    text = CATALOG.replace("    unique: [sid, yr, program, grade]\n", "")
    one = Opened(tmp_path / "v", sources([("a", "2024", "")], (), [("a", "2022", "sat", "11", "300")] * 9), text)
    assert one.of("a", "score", "points") == [(3000,), (3000,)]
    one.vault.close()


# -- one student's rows never change another's

MESS = {
    "cls": ("2024", "2024", "2025", "2050", "", "x", "2024.0"),
    "sex": ("F", "M", "", "F ", "?"),
    "yr": ("2020", "2021", "2022", "2022", "2022.0", "2030", "", "NA"),
    "school": ("1", "2", "3", "9", ""),
    "flag": ("yes", "0", "", "x"),
    "days": ("1", "2.5", "2.50", "13.5", "999", "", "NaN"),
    "big": ("1", "1.0", str(2**62), "", "x"),
    "ratio": ("0.0", "-0.0", "1e300", "inf", ""),
    "note": ("a", "b", "", "NA", 'q"q', "a\0"),
    "program": ("sat", "act", "ib"),
    "grade": ("11", "12", "11.0", "10"),
    "points": ("300", "300.0", "20", "801", "", "350"),
}


def mess(rng, students):
    """Rows of students made messy on purpose: duplicates, ties, wrong and blank cells."""

    def cells(sid, names, count):
        return [(sid, *(rng.choice(MESS[name]) for name in names)) for _ in range(count)]

    found = {"pupil": [], "year": [], "score": []}
    for number in range(students):
        sid = f"s{number}"
        found["pupil"] += cells(sid, ("cls", "sex"), rng.choice((0, 1, 1, 1, 2, 3)))
        found["year"] += cells(sid, YEAR[1:], rng.randrange(9))
        found["score"] += cells(sid, SCORE[1:], rng.randrange(12))
    return found


def neighbours(seed, folder, students, removed):
    """Load a district and the same without some students, shuffled anew; compare all other students' rows."""
    rng = random.Random(seed)
    rows = mess(rng, students)
    known = {owner(f"s{i}").bytes: 2021 for i in range(0, students, 7)}
    whole = Opened(folder / f"{seed}", sources(rows["pupil"], rows["year"], rows["score"]), known=known, threads=4)
    before = whole.everything()
    whole.vault.close()
    for sid in rng.sample([f"s{i}" for i in range(students)], removed):
        rest = {name: [row for row in table if row[0] != sid] for name, table in rows.items()}
        for table in rest.values():
            rng.shuffle(table)
        fewer = Opened(
            folder / f"{seed}-{sid}", sources(rest["pupil"], rest["year"], rest["score"]), known=known, threads=4
        )
        after = fewer.everything()
        fewer.vault.close()
        gone = before - after
        assert not after - before, "no row appeared or changed"
        assert all(owner(sid) in row for row in gone)
        assert gone == Counter({row: n for row, n in before.items() if owner(sid) in row})
        assert (owner(sid).bytes in dict(whole.loaded.persons)) == bool(gone)


@pytest.mark.parametrize("seed", range(2))
def test_without_one_student_all_others_keep_their_rows(seed, tmp_path):
    """Removing a student's source rows changes nothing but that student's vault rows (4 threads, shuffled)."""
    neighbours(seed, tmp_path, 60, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 130))
def test_without_one_student_all_others_keep_their_rows_at_length(seed, tmp_path):
    """The same, thirty times over, with more students."""
    neighbours(seed, tmp_path, 300, 1)


@pytest.mark.slow
def test_without_one_student_a_hundred_thousand_rows_stay(tmp_path):
    """Ties are broken the same over more rows than one thread takes at a time."""
    neighbours(7, tmp_path, 12_000, 1)


NAMES = ("rowid", "known", "owner", "source", "cohort", "place", "first", "value", "large", "kept", "select")


def test_no_column_name_confuses_the_rules(tmp_path):
    """A column may be called as the database or the loader call things: rows of others still stay.

    With the database's own rowid, the student with two rows took every row with an equal `rowid` along.
    """
    columns = "".join(f"      {name}: {{type: integer, nullable: true}}\n" for name in NAMES)
    text = CATALOG.replace("  year:\n", f"  persons:\n    rows_per_student_max: 1\n    columns:\n{columns}  year:\n")
    text = text.replace("      cls: {type: integer}\n", "      cls: {type: integer}\n" + columns)
    pupils = [(sid, "2024", "", *["1"] * len(NAMES)) for sid in "abc"]
    more = [(sid, *["1"] * len(NAMES)) for sid in "aabc"] + [("a", *["2"] * len(NAMES))]
    given = {
        **sources([]),
        "pupil": texts(("sid", "cls", "Gender", *NAMES), [*pupils, pupils[0]]),
        "persons": texts(("sid", *NAMES), more),
    }
    one = Opened(tmp_path / "v", given, text)
    for table in ("pupil", "persons"):
        for sid in "abc":
            assert one.of(sid, table, *NAMES) == [(1,) * len(NAMES)], (table, sid)
    one.vault.close()


# -- files

LINES = "sid,cls,Gender,nickname\na,2024,F,x\nb,2025,M,y\n"


def csv_file(tmp_path, text, name="pupil.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def pupil_of(tmp_path, text):
    catalog = declared()
    return files.read_source(csv_file(tmp_path, text), catalog, catalog.tables["pupil"])


@pytest.mark.parametrize(
    "text",
    [
        LINES,
        "\ufeff" + LINES,
        LINES.replace("\n", "\r\n"),
        LINES.removesuffix("\n"),
        LINES + "\n\n",
        '"sid","cls","Gender","nickname"\n"a","2024","F","x, ""y""\nz"\n"b",2025,"M",\n',
        'sid,cls,Gender,nickname\na,2024,F,6" tall\nb,2025,M,\n',
        "nickname,CLS,gender,SID\n,2024,F,a\n,2025,M,b\n",
        " sid ,cls,Gender,\na,2024,F,\nb,2025,M,\n",
    ],
    ids=["plain", "bom", "crlf", "no last newline", "blank lines", "quoted", "inch", "letters", "unnamed"],
)
def test_csv_as_it_is_found(text, tmp_path):
    """A byte-order mark, either newline, quoted newlines and quotes, other capital letters and extra columns."""
    found = pupil_of(tmp_path, text)
    assert [column.to_pylist() for column in found.rows.columns] == [["a", "b"], ["2024", "2025"], ["F", "M"]]
    assert len(found.left_behind) == 1


REFUSED = {
    "": ("no header", 1),
    "\n": ("no header", 1),
    "sid,cls,cls,Gender\n": ("twice", 1),
    "sid,CLS,Cls,Gender\n": ("capital letters", None),
    "sid,Gender,Zebra\nCANARY,F,1\n": ("sid, Gender, Zebra", 1),
    "cls,Gender\n2024,F\n": ("owner column", 1),
    "CANARY,2024,F\nb,2024,M\n": ("first line names none", 1),
    "sid;cls;Gender\nCANARY;2024;F\n": ("first line names none", 1),
    "sid,cls,Gender\na,2024\nCANARY,2024,F\n": ("Row 1 ", None),
    "sid,cls,Gender\na,2024,F\nCANARY,2024,F,x\n": ("Row 2 ", None),
    'sid,cls,Gender\na,2024,"F\nCANARY,2024,M\n': ("quotes", 3),
    'sid,cls,Gender\na,2024,"F"x\nCANARY,2024,M\n': ("quotes", 2),
    'sid,cls,Gender\na,"20"24","F"\nCANARY,2024,M\n': ("quotes", 2),
    "sid,cls,Gender\na,2024,F\nCANARY,20\x0024,M\n": ("NUL", 3),
    b"sid,cls,Gender\na,2024,\xe9\nCANARY,2024,M\n": ("UTF-8", 2),
    b"sid,cls,Gender\na,2024,\xe2\x82": ("UTF-8", 2),
    b"PAR1 this is no Parquet file": ("cannot be read", None),
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:30])
def test_a_file_that_cannot_be_trusted_is_refused_whole(text, tmp_path):
    """By line or row, with what the header has, and never with a value of a record."""
    part, line = REFUSED[text]
    with pytest.raises(CatalogRefused) as caught:
        pupil_of(tmp_path, text)
    one = caught.value
    assert part in one.message
    assert (one.code, one.line, one.file) == ("load", line, str(tmp_path / "pupil.csv"))
    assert one.accepted
    assert "CANARY" not in f"{one.message} {one.accepted}"


LONGEST = 131_072


@pytest.mark.parametrize(
    ("text", "part", "line"),
    [
        ('sid,cls,Gender\na,2024,6" tall\n\nCANARY,2025,' + "x" * (LONGEST + 1), "Row 2 under the header has", None),
        (
            'sid,cls,Gender\na,2024,F\nCANARY,2024,"F\n' + "CANARY,2024,M\n" * 10_000,
            "Row 2 under the header has",
            None,
        ),
        ("sid,cls," + "x" * (LONGEST + 1) + "\n", "The header has", 1),
    ],
    ids=["long", "open quote", "header"],
)
def test_a_cell_too_long_for_the_reader_is_called_that(text, part, line, tmp_path):
    """By row; an open quote in a large file makes such a cell too, and is hinted at."""
    with pytest.raises(CatalogRefused) as caught:
        pupil_of(tmp_path, text)
    assert f"{part} a cell of more than 131,072 characters." in caught.value.message
    assert "quote that is never closed" in caught.value.accepted
    assert caught.value.line == line
    assert "CANARY" not in f"{caught.value.message} {caught.value.accepted}"


def test_a_cell_as_long_as_the_reader_takes_is_read(tmp_path):
    """No character less."""
    found = pupil_of(tmp_path, 'sid,cls,Gender\na,2024,6" tall\nb,2025,' + "x" * LONGEST)
    assert found.rows.column("sex").to_pylist() == ['6" tall', "x" * LONGEST]


def test_a_refused_file_leaves_nothing_behind(tmp_path):
    """Neither a vault nor a piece of one."""
    path = csv_file(tmp_path, 'sid,cls,Gender\na,2024,"F\n')
    assert refused(tmp_path, {**sources([]), "pupil": path}).file == str(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    """Without a traceback of the system."""
    for path in (tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(CatalogRefused, match="cannot be read"):
            files.read_source(path, declared(), declared().tables["pupil"])


def test_both_ways_of_reading_csv_agree(tmp_path, monkeypatch):
    """Whichever reader a file gets, because of whatever line in it, all other lines are read the same."""
    rng = random.Random(5)
    monkeypatch.setattr(files, "_CHUNK_BYTES", 7)
    for _ in range(40):
        rows = [
            [rng.choice(("a", "", " b", "x,y", 'q"', '""', "n\nl", "r\r\nl", "é", "🎒")) for _ in range(3)]
            for _ in range(4)
        ]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n", quoting=rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
        writer.writerows([["h0", "h1", "h2"], *rows])
        path = csv_file(tmp_path, text.getvalue())
        strict = files._Reader("f")._strict_csv(path, 3, range(3))
        assert files._well_quoted(path)
        fast = files._arrow_csv(path, 3, range(3))
        assert (
            [c.to_pylist() for c in fast]
            == [c.to_pylist() for c in strict]
            == [list(c) for c in zip(*rows, strict=True)]
        )


def test_quotes_are_well_placed_only_where_both_readers_agree(tmp_path, monkeypatch):
    """Random quotes: whatever passes is read by the strict reader, to the same cells."""
    rng = random.Random(6)
    passed = 0
    for chunk in (3, 1 << 20):
        monkeypatch.setattr(files, "_CHUNK_BYTES", chunk)
        for _ in range(120):
            body = "".join(rng.choice('"""a,,\n') for _ in range(rng.randrange(14)))
            path = csv_file(tmp_path, f"h0,h1\n{body}")
            if not files._well_quoted(path):
                continue
            lines = list(csv.reader(io.StringIO(f"h0,h1\n{body}"), strict=True))[1:]
            if all(len(line) in (0, 2) for line in lines):
                passed += 1
                cells = [line for line in lines if line]
                fast = files._arrow_csv(path, 2, range(2))
                assert [c.to_pylist() for c in fast] == [[row[i] for row in cells] for i in range(2)], body
    assert passed > 5


def test_the_owner_may_have_another_name_in_the_sources():
    """privacy.owner_source names it for every file."""
    other = declared(CATALOG.replace("owner: sid,", "owner: sid, owner_source: rownames,"))
    assert (owner_source(other), owner_source(declared())) == ("rownames", "sid")
    given = texts(("rownames", "cls", "Gender"), [("a", "2024", "")])
    assert files.read_source(given, other, other.tables["pupil"]).rows.column(files.SOURCE).to_pylist() == ["a"]


# -- the whole load


def test_a_table_too_many_or_too_few_is_refused(tmp_path):
    """By name."""
    given = sources([])
    assert "There is no table staff" in refused(tmp_path, {**given, "staff": given["pupil"]}).message
    del given["year"]
    assert "The table year has no source" in refused(tmp_path, given).message


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"schools": [("1", "Alder", "true"), ("x7", "Birch", "")]}, "Row 2 under the header: 'x7'"),
        ({"schools": [("1", "", "")]}, "is not accepted in title"),
        ({"schools": [("1", "Alder", "perhaps")]}, "'perhaps' is not accepted in is_open"),
        ({"schools": [("1", "Alder", ""), ("2", "B", ""), ("1.0", "C", "")]}, "Rows 1 and 3"),
        ({"schools": []}, "gives 0 values"),
        ({"cuts": [("sat", "11", "800", "200")]}, "gives no range"),
        ({"cuts": [("sat", "11", "200", "901")]}, "is not accepted in high"),
    ],
)
def test_a_public_row_that_is_not_accepted_is_refused_and_shown(changed, part, tmp_path):
    """Public tables hold nothing about students, so the value may be shown."""
    with pytest.raises(CatalogRefused) as caught:
        load(declared(), sources([], **changed), tmp_path / "v", owner_key=KEY, known_cohorts={})
    assert part in caught.value.message
    assert not list((tmp_path / "v").iterdir())


def test_more_students_than_declared_are_refused_without_a_count(tmp_path):
    """The message has the declared number only."""
    text = CATALOG.replace("max_students: 20_000", "max_students: 2")
    one = refused(tmp_path, sources([(s, "2024", "") for s in "abcdefg"]), text)
    assert "max_students, 2" in one.message
    assert "7" not in one.message


def test_a_check_some_record_could_overflow_is_refused_before_any_is_read(tmp_path):
    """Else one student's number could fail the load of all others."""
    text = CATALOG.replace('"days IS NULL OR days <> 13.5"', '"big * big > 3"')
    one = refused(tmp_path, sources([("a", "2024", "")], [year("a", big=str(2**61))]), text)
    assert "tables.year.checks" in one.message


def test_two_ids_with_one_hash_are_refused(tmp_path, monkeypatch):
    """Two students must never become one."""
    monkeypatch.setattr(loading.hmac, "digest", lambda *_: bytes(32))
    assert "one hash" in refused(tmp_path, sources([("a", "2024", ""), ("b", "2024", "")])).message


def test_a_vault_that_breaks_a_rule_is_not_kept(tmp_path, monkeypatch):
    """The finished file is audited by other statements than those that made it."""
    monkeypatch.setattr(loading, "_apply_rules", lambda *_: {})
    one = refused(tmp_path, sources([("a", "2024", "")], [year("a"), year("a")]))
    assert "year: unique sid, yr" in one.message


def test_whatever_fails_leaves_nothing_and_tells_nothing(tmp_path, monkeypatch):
    """No text of the database or of a library is passed on."""

    def fails(*_):
        raise duckdb.ConversionException("Could not convert CANARY")

    for at in ("_stage", "_write_rows"):
        with monkeypatch.context() as patch:
            patch.setattr(loading, at, fails)
            one = refused(tmp_path, sources([("a", "2024", "")]))
            assert "CANARY" not in f"{one.message} {one.accepted} {one}"
            assert one.__suppress_context__


def test_the_epoch_is_private_and_the_report_too(tmp_path):
    """Folder 0700, files 0600; older epochs stay as they are; no source id or refused cell is in the file."""
    folder = tmp_path / "vault"
    folder.mkdir(mode=0o755)
    (folder / "epoch-older.duckdb").write_bytes(b"older")
    pupils = [(f"CANARY{i}", "2024", "CANARY") for i in range(200)] + [("b", "", "")]
    years = [year(f"CANARY{i}", big="CANARY", days="999") for i in range(200)]
    one = Opened(folder, sources(pupils, years))
    one.vault.close()
    assert {path.name for path in folder.iterdir()} == {f"epoch-{one.loaded.epoch}.duckdb", "epoch-older.duckdb"}
    assert (folder / "epoch-older.duckdb").read_bytes() == b"older"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / one.loaded.file).stat().st_mode) == 0o600
    assert b"CANARY" not in (folder / one.loaded.file).read_bytes()
    path = one.loaded.report.write(tmp_path / "reports")
    assert path.name == f"load-{one.loaded.epoch}.json"
    assert [stat.S_IMODE(part.stat().st_mode) for part in (path, path.parent)] == [0o600, 0o700]
    tables = json.loads(path.read_text(encoding="utf-8"))["tables"]
    assert tables["year"]["replaced"]["days"] == {"blank": 0, "not accepted": 200}
    assert (tables["pupil"]["rows_read"], tables["pupil"]["rows_kept"]) == (201, 200)


def test_progress_goes_from_nought_to_one(tmp_path):
    """What is being done, and how much of it."""
    told = []
    load(
        declared(), sources([("a", "2024", "")]), tmp_path / "v", owner_key=KEY, known_cohorts={},
        progress=lambda what, part: told.append((what, part)),
    )  # fmt: skip
    parts = [part for _, part in told]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert {what for what, _ in told} >= {"pupil", "year", "score", "verification"}
