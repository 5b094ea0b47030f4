from __future__ import annotations

import hmac
import json
import random
import stat
import uuid
from collections import Counter
from decimal import Decimal
from functools import lru_cache

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from engine.catalog_file import catalog_of
from engine.intake import load as loading
from engine.intake.load import load
from engine.intake.report import OUTSIDE
from engine.intake.rules import Standing
from engine.refusals import CatalogRefused
from engine.vault import OWNER, Vault
from tests.seeds import PROVE

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
    checks: ["sex <> 'M' OR cls <> 2025"]
    columns:
      cls: {type: integer}
      sex: {type: text, values: [F, M, unknown], default: unknown, source: Gender}
  year:
    unique: [sid, yr]
    rows_per_student_max: 3
    checks: ["yr BETWEEN cls - 13 AND cls + 3", "school <> 3 OR days <> 13.5"]
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
        self.folder, self.told = folder, []
        self.loaded = load(
            declared(text), given, folder, owner_key=KEY, standing=Standing(known or {}), threads=threads,
            progress=lambda what, part: self.told.append((what, part)),
        )  # fmt: skip
        self.vault = Vault.open(folder / self.loaded.file, declared(text))

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
        load(declared(text), given, folder, owner_key=KEY, standing=Standing({}))
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
CASES["pupil"] += [("blank", "", ""), ("off", "2050", ""), ("checkedout", "2025", "M")]
CASES["year"] += [year(sid) for sid in ("several", "blank", "off", "nobody", "checkedout")]
CASES["pupil"] += [("known", "2025", ""), ("knownblank", "", ""), ("knownoff", "2024", "")]
CASES["year"] += [year(sid, "2021") for sid in ("known", "knownblank", "knownoff", "knowngone")]
KNOWN = {"known": 2021, "knownblank": 2022, "knownoff": 1990, "knowngone": 2023}
CASES["pupil"] += [("checked", "2020", "")]
CASES["year"] += [year("checked", "2023"), year("checked", "2024"), year("checked", "2022", school="3", days="13.5")]
CASES["year"] += [year("checked", "2021", school="3"), year("checked", "2020", school="3", days="2")]
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
CASES["pupil"] += [("capyear", "2024", "")]
CASES["score"] += [("capyear", "2021", "sat", g, "300") for g in ("10", "11", "12")]


CANARIES = 200
CASES["pupil"] += [(f"CANARY{i}", "2024", "CANARY") for i in range(CANARIES)]
CASES["year"] += [year(f"CANARY{i}", big=f"CANARY{i}", days="999") for i in range(CANARIES)]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """All cases in one vault, in a folder that was there before."""
    folder = tmp_path_factory.mktemp("cases") / "vault"
    folder.mkdir(mode=0o755)
    (folder / "epoch-older.duckdb").write_bytes(b"older")
    known = {owner(sid).bytes: cohort for sid, cohort in KNOWN.items()}
    one = Opened(folder, sources(*CASES.values()), known=known)
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
    assert (owner("trimmed").bytes, 2024) in cases.loaded.newcomers


def test_a_blank_or_wrong_needed_cell_drops_its_row_alone(cases):
    """Without default and NULL the row goes; its student's other rows stay."""
    assert cases.of("needed", "year", "yr") == [(2023,)]
    assert cases.of("needed", "pupil", "sex") == [("unknown",)]


def test_who_has_no_cohort_has_no_rows_anywhere(cases):
    """No row in the cohort table, none that its checks leave, no cohort there, or one off the list.

    Of several cohorts the smallest.
    """
    for sid in ("blank", "off", "nobody", "checkedout"):
        assert cases.of(sid, "pupil") == cases.of(sid, "year") == []
        assert owner(sid).bytes not in dict(cases.loaded.newcomers)
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
    assert owner("known").bytes not in dict(cases.loaded.newcomers), "the register knows it already"


def test_only_rows_whose_checks_are_true_stay(cases):
    """A row whose check is FALSE goes, and so does one whose check is NULL."""
    assert cases.of("checked", "year", "yr") == [(2020,), (2023,)]


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
    assert cases.of("capyear", "score", "yr", "grade") == [(2021, 10), (2021, 11)]


@pytest.mark.slow
def test_the_order_of_the_vault_says_nothing_of_the_sources(tmp_path):
    """Rows stand by class, hash and value: who came first in a file, a roll or an alphabet, does not show."""
    pupils = [(sid, "2024", "F") for sid in "fdbace"]
    years = [year(sid, yr) for sid in "fdbace" for yr in ("2023", "2021", "2022")]
    stored = []
    for number, given in enumerate((sources(pupils, years), sources(pupils[::-1], years[::-1]))):
        one = Opened(tmp_path / str(number), given, threads=1)
        tables = [f"SELECT {OWNER}, * FROM {name}" for name in ("pupil", "year")]
        stored.append([one.vault.cursor().execute(text).fetchall() for text in tables])
        one.vault.close()
    assert stored[0] == stored[1]
    assert stored[0] == [sorted(rows) for rows in stored[0]]


def test_the_register_is_told_of_everybody_in_the_vault_and_of_nobody_else(cases):
    """Each with owner hash and cohort, but for those whom it knows."""
    fresh = [(one.bytes, cls) for one, cls in cases.rows("pupil", "cls") if one not in map(owner, KNOWN)]
    assert list(cases.loaded.newcomers) == sorted(fresh)


def test_the_report_counts_every_row_under_one_reason(cases):
    """Read is kept and dropped together, and each rule is named."""
    tables = cases.loaded.report.tables
    for name, report in tables.items():
        assert report.rows_read == report.rows_kept + sum(report.dropped.values()), name
    assert tables["pupil"].dropped == {
        "no owner": 3,
        OUTSIDE: 5,
        "unique sid": 1,
        "check sex <> 'M' OR cls <> 2025": 1,
    }
    assert tables["year"].dropped == {
        "no owner": 2,
        "no accepted yr": 2,
        OUTSIDE: 6,
        "check yr BETWEEN cls - 13 AND cls + 3": 1,
        "check school <> 3 OR days <> 13.5": 2,
        "unique sid, yr": 2,
    }
    assert tables["score"].dropped == {
        "unique sid, yr, program, grade": 3,
        "cap per yr": 4,
        "rows_per_student_max": 1,
    }
    assert tables["score"].replaced == {"points": {"blank": 1, "not accepted": 8}}
    assert tables["pupil"].replaced["sex"]["not accepted"] == CANARIES + 1


def test_the_epoch_is_private_and_the_report_too(cases, tmp_path):
    """Folder 0700, files 0600; older epochs stay as they are; no source id or refused cell is in the file."""
    folder, epoch = cases.folder, cases.loaded.epoch
    assert {path.name for path in folder.iterdir()} == {
        f"epoch-{epoch}.duckdb", f"epoch-{epoch}.public.json", "epoch-older.duckdb",
    }  # fmt: skip
    assert (folder / "epoch-older.duckdb").read_bytes() == b"older"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.glob(f"epoch-{epoch}.*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(cases.of("CANARY0", "year", "big")) == 1
    assert b"CANARY" not in (folder / cases.loaded.file).read_bytes()
    path = cases.loaded.report.write(tmp_path / "reports")
    assert path.name == f"load-{epoch}.html"
    assert [stat.S_IMODE(part.stat().st_mode) for part in (path, path.parent)] == [0o600, 0o700]
    text = path.with_suffix(".json").read_text(encoding="utf-8")
    assert "CANARY" not in text + path.read_text(encoding="utf-8")
    assert json.loads(text)["tables"]["year"]["replaced"]["days"]["not accepted"] >= CANARIES


def test_progress_goes_from_nought_to_one(cases):
    """What is being done, and how much of it."""
    parts = [part for _, part in cases.told]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert {what for what, _ in cases.told} >= {"pupil", "year", "score", "verification"}


# -- a second load, of what is unusual: typed columns, a table without a key, names the database and the loader use

NAMES = ("rowid", "known", "owner", "source", "cohort", "place", "first", "value", "large", "kept", "select")
TYPED = {
    "sid": pa.array(["a", "b"]).dictionary_encode(),
    "yr": pa.array([2022, 2023], pa.int16()),
    "school": pa.array([2.0, None], pa.float64()),
    "flag": pa.array([True, None], pa.bool_()),
    "days": pa.array([Decimal("12.5"), None], pa.decimal128(9, 3)),
    "big": pa.array([2**60 + 1, -3], pa.int64()),
    "ratio": pa.array([0.1, float("nan")], pa.float64()),
    "note": pa.nulls(2),
}


@pytest.fixture(scope="module")
def unusual(tmp_path_factory):
    columns = "".join(f"      {name}: {{type: integer, nullable: true}}\n" for name in NAMES)
    text = CATALOG.replace("  year:\n", f"  persons:\n    rows_per_student_max: 1\n    columns:\n{columns}  year:\n")
    text = text.replace("      cls: {type: integer}\n", "      cls: {type: integer}\n" + columns)
    text = text.replace("    unique: [sid, yr, program, grade]\n", "")
    pupils = [(sid, "2024", "", *["1"] * len(NAMES)) for sid in "abc"]
    more = [(sid, *["1"] * len(NAMES)) for sid in "aabc"] + [("a", *["2"] * len(NAMES))]
    given = {
        **sources([], (), [("a", "2022", "sat", "11", "300")] * 9),
        "pupil": texts(("sid", "cls", "Gender", *NAMES), [*pupils, pupils[0]]),
        "year": pa.table(TYPED),
        "persons": texts(("sid", *NAMES), more),
    }
    one = Opened(tmp_path_factory.mktemp("unusual") / "vault", given, text)
    yield one
    one.vault.close()


def test_cells_of_any_plain_arrow_type_mean_what_they_say(unusual):
    """Decimals, whole numbers, flags, floats and dictionaries are read without loss; a constant is filled in."""
    columns = ("yr", "school", "flag", "days", "big", "ratio", "note", "fixed")
    assert unusual.of("a", "year", *columns) == [(2022, 2, True, 125, 2**60 + 1, 0.1, None, "x")]
    assert unusual.of("b", "year", *columns) == [(2023, 1, False, None, -3, None, None, "x")]


def test_rows_alike_in_all_columns_count_up_to_the_cap(unusual):
    """A table without a unique key keeps true duplicates."""
    assert unusual.of("a", "score", "points") == [(3000,), (3000,)]


def test_no_column_name_confuses_the_rules(unusual):
    """A column may be called as the database or the loader call things: rows of others still stay.

    With the database's own rowid, the student with two rows took every row with an equal `rowid` along.
    """
    for table in ("pupil", "persons"):
        for sid in "abc":
            assert unusual.of(sid, table, *NAMES) == [(1,) * len(NAMES)], (table, sid)


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
    """Load a district and the same without some students, shuffled anew, on other threads; compare all others' rows."""
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
        given = sources(rest["pupil"], rest["year"], rest["score"], SCHOOLS[::-1], CUTS[::-1])
        fewer = Opened(folder / f"{seed}-{sid}", given, known=known, threads=3)
        after = fewer.everything()
        fewer.vault.close()
        gone = before - after
        assert not after - before, "no row appeared or changed"
        assert all(owner(sid) in row for row in gone)
        assert gone == Counter({row: n for row, n in before.items() if owner(sid) in row})
        assert (owner(sid).bytes in dict(whole.loaded.newcomers)) == (bool(gone) and owner(sid).bytes not in known)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_without_one_student_all_others_keep_their_rows(seed, tmp_path):
    """Removing a student's source rows changes nothing but that student's vault rows (3 or 4 threads, shuffled)."""
    neighbours(seed, tmp_path, 60, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 130 if PROVE else 106))
def test_without_one_student_all_others_keep_their_rows_at_length(seed, tmp_path):
    """The same with more students, thirty times over in `make prove`."""
    neighbours(seed, tmp_path, 300, 1)


@pytest.mark.slow
def test_without_one_student_a_hundred_thousand_rows_stay(tmp_path):
    """Ties are broken the same over more rows than one thread takes at a time."""
    neighbours(7, tmp_path, 12_000, 1)


# -- the whole load


@pytest.mark.slow
def test_one_vault_from_every_format(tmp_path):
    """CSV, Parquet and tables in memory give the same rows, with every mess there may be in them."""
    given = sources(*mess(random.Random(99), 60).values())
    csvs, parquets = {}, {}
    for name, table in given.items():
        csvs[name], parquets[name] = tmp_path / f"{name}.csv", tmp_path / f"{name}.parquet"
        plain = table if name != "year" else without_nul(table)
        given[name] = plain
        pa.csv.write_csv(plain, csvs[name])
        pa.parquet.write_table(plain, parquets[name])
    found = []
    for number, each in enumerate((given, csvs, parquets)):
        one = Opened(tmp_path / str(number), each)
        found.append(one.everything())
        one.vault.close()
    assert found[0]
    assert found[0] == found[1] == found[2]


def without_nul(table):
    """No CSV file may have a NUL in it."""
    notes = [note.replace("\0", "") for note in table["note"].to_pylist()]
    return table.set_column(table.schema.get_field_index("note"), "note", pa.array(notes))


def test_a_refused_file_leaves_nothing_behind(tmp_path):
    """Neither a vault nor a piece of one, in the middle of the load; and no value of a record is told."""
    path = tmp_path / "year.csv"
    path.write_text("sid,yr,school,flag,days,big,ratio,note\nCANARY,2022\n", encoding="utf-8")
    one = refused(tmp_path, {**sources([("a", "2024", "F")]), "year": path})
    assert one.file == str(path)
    assert "CANARY" not in f"{one.message} {one.accepted}"


def test_ids_that_were_rounded_are_refused(tmp_path):
    """A blank id makes numbers of a column of ids; large ones then stand for several students."""
    ids = pa.array([9_007_199_254_740_993.0, None])
    given = sources([]) | {"pupil": pa.table({"sid": ids, "cls": ["2024", "2024"], "Gender": ["F", "F"]})}
    assert "rounded" in refused(tmp_path, given).message


@pytest.mark.slow
def test_whole_numbers_are_ids_however_they_are_stored(tmp_path):
    """Of two tables in one of which an id is blank."""
    pupil = pa.table(
        {"sid": pa.array([20_000_000_001, 20_000_000_002]), "cls": ["2024", "2024"], "Gender": ["F", "F"]}
    )
    cells = {name: pa.array(["2022", "2022", ""] if name == "yr" else [""] * 3) for name in YEAR[1:]}
    years = pa.table({"sid": pa.array([20_000_000_001.0, 20_000_000_002.0, None]), **cells})
    one = Opened(tmp_path / "v", sources([]) | {"pupil": pupil, "year": years})
    assert len(one.of("20000000001", "year")) == len(one.of("20000000002", "year")) == 1
    one.vault.close()


@pytest.mark.slow
def test_a_word_for_nothing_is_no_id(tmp_path):
    """Else all who have none would be one student."""
    words = ("NA", "n/a", "NULL", "none", " - ", "nan")
    one = Opened(tmp_path / "v", sources([("a", "2024", ""), *((word, "2024", "") for word in words)]))
    assert len(one.rows("pupil")) == 1
    assert one.loaded.report.tables["pupil"].dropped == {"no owner": len(words)}
    one.vault.close()


def test_a_students_id_is_no_value(tmp_path):
    """Whatever a catalog calls it."""
    text = CATALOG.replace(
        "      big:    {type: integer, nullable: true}", "      big:    {type: integer, nullable: true, source: sid}"
    )
    assert "would be the students' ids" in refused(tmp_path, sources([("a", "2024", "")]), text).message


def test_a_table_too_many_or_too_few_is_refused(tmp_path):
    """By name."""
    given = sources([])
    assert "There is no table staff" in refused(tmp_path, {**given, "staff": given["pupil"]}).message
    del given["year"]
    assert "The table year has no source" in refused(tmp_path, given).message


@pytest.mark.slow
def test_all_missing_tables_are_named_at_once(tmp_path):
    """With the options to add, and with those that can be switched off instead; `on: false` is then accepted."""
    given = sources([("a", "2024", "F")])
    one = refused(tmp_path, {"pupil": given["pupil"]})
    assert one.message == "The tables cut, school, score, year have no source."
    assert one.accepted == (
        "--table cut=FILE --table school=FILE --table score=FILE --table year=FILE; "
        "or `on: false` in the catalog for what the district does not have, of score, year"
    )
    assert (
        refused(tmp_path, {name: given[name] for name in given if name != "pupil"}).accepted == "--table pupil=FILE"
    )
    without = CATALOG.replace("  score:\n", "  score:\n    on: false\n").replace(
        "  year:\n", "  year:\n    on: false\n"
    )
    kept = {name: given[name] for name in ("pupil", "school", "cut")}
    assert Opened(tmp_path, kept, without).rows("pupil", "cls") == [(owner("a"), 2024)]


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"schools": [("1", "Alder", "true"), ("x7", "Birch", "")]}, "Row 2 under the header: 'x7'"),
        ({"schools": [("1", "", "")]}, "is not accepted in title"),
        ({"schools": [("1", "Alder", "perhaps")]}, "'perhaps' is not accepted in is_open"),
        ({"schools": [("1", "Alder", ""), ("2", "B", ""), ("1.0", "C", "")]}, "Rows 1 and 3"),
        ({"schools": []}, "gives 0 values"),
        ({"cuts": []}, "has no rows"),
        ({"cuts": [("sat", "11", "200", "800"), ("sat", "11", "200", "900")]}, "Rows 1 and 2"),
        ({"cuts": [("gre", "11", "200", "800")]}, "'gre' is not accepted in program"),
        ({"cuts": [("sat", "11", "800", "200")]}, "gives no range"),
        ({"cuts": [("sat", "11", "200", "901")]}, "is not accepted in high"),
    ],
)
def test_a_public_row_that_is_not_accepted_is_refused_and_shown(changed, part, tmp_path):
    """Public tables hold nothing about students, so the value may be shown."""
    with pytest.raises(CatalogRefused) as caught:
        load(declared(), sources([], **changed), tmp_path / "v", owner_key=KEY, standing=Standing({}))
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
    text = CATALOG.replace('"school <> 3 OR days <> 13.5"', '"big * big > 3"')
    one = refused(tmp_path, sources([("a", "2024", "")], [year("a", big=str(2**61))]), text)
    assert "tables.year.checks" in one.message


@pytest.mark.slow
def test_a_vault_that_breaks_a_rule_is_not_kept(tmp_path, monkeypatch):
    """The finished file is audited by other statements than those that made it."""
    monkeypatch.setattr(loading.rules, "apply_rules", lambda *_: {})
    one = refused(tmp_path, sources([("a", "2024", "")], [year("a"), year("a")]))
    assert "year: unique sid, yr" in one.message


def test_whatever_fails_leaves_nothing_and_tells_nothing(tmp_path, monkeypatch):
    """No text of the database or of a library is passed on."""

    def fails(*_):
        raise duckdb.ConversionException("Could not convert CANARY")

    for room, at in ((loading.Staged, "take"), (loading.rules, "write_rows")):
        with monkeypatch.context() as patch:
            patch.setattr(room, at, fails)
            one = refused(tmp_path, sources([("a", "2024", "")]))
            assert "CANARY" not in f"{one.message} {one.accepted} {one}"
            assert one.__suppress_context__
