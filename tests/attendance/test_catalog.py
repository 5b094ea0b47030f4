"""How dates are declared, loaded, verified and invented."""

from __future__ import annotations

import csv
import datetime as dt
from datetime import date, datetime

import duckdb
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from attendance_records import records, tables

from engine.analysis.intervals import Range, declared, listed
from engine.catalog_file import catalog_of, read_catalog
from engine.days import days_of, iso
from engine.intake.kinds import cell_text, file_rows
from engine.intake.load import load
from engine.intake.mapping.mapped import Mapped
from engine.intake.rules import Standing
from engine.refusals import CatalogRefused
from engine.rehearsal import invented
from engine.vault import Vault, audit

EVENT_DATE = "event_date:  {type: date, bounds: ['2024-07-01', '2026-06-30']}"
KEY = b"k" * 32


def loaded(catalog, sources, folder):
    return load(catalog, sources, folder, owner_key=KEY, standing=Standing({}))


def stored(folder, done, column="event_date", table="attendance_event"):
    """The values of a column in a vault, as dates."""
    with duckdb.connect(str(folder / done.file), read_only=True) as connection:
        found = connection.execute(f"SELECT {column} FROM {table}").fetchall()
    return sorted("" if day is None else iso(day) for (day,) in found)


def test_a_date_is_held_as_a_number_of_days(catalog_file):
    """Bounds, lists, defaults and constants alike; a list keeps its order and gives the ends."""
    catalog = read_catalog(catalog_file)
    days = tuple(map(days_of, ("2024-08-26", "2024-09-03", "2025-01-06")))
    found = catalog.tables["student"].columns["first_day"]
    assert declared(found) == listed(days)
    assert (found.low, found.high, found.default) == (days[0], days[2], days[1])
    event_date = catalog.tables["attendance_event"].columns["event_date"]
    assert declared(event_date) == Range(days_of("2024-07-01"), days_of("2026-06-30"))


def test_yaml_dates_without_quotes_are_the_same_declaration(catalog_file):
    """YAML reads a bare date as a date; a district need not know."""
    text = catalog_file.read_text()
    bare = text.replace("['2024-07-01', '2026-06-30']", "[2024-07-01, 2026-06-30]")
    assert bare != text
    assert catalog_of(bare, "a").document == catalog_of(text, "a").document


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{type: date}", "between which dates"),
        ("{type: date, bounds: ['2024-07-01']}", "these are not bounds"),
        ("{type: date, bounds: ['2026-07-01', '2024-07-01']}", "these are not bounds"),
        ("{type: date, bounds: ['1899-12-31', '2024-07-01']}", "'1899-12-31' is not date"),
        ("{type: date, bounds: ['2024-07-01', '2200-01-01']}", "'2200-01-01' is not date"),
        ("{type: date, bounds: ['2024-07-01', '2025-02-29']}", "'2025-02-29' is not date"),
        ("{type: date, bounds: ['2024-07-01', '2025-2-9']}", "'2025-2-9' is not date"),
        ("{type: date, bounds: [20240701, 20250701]}", "20240701 is not date"),
        ("{type: date, values: ['2024-07-01', '2024-07-01']}", "stands there twice"),
        ("{type: date, values: {from: 2020, to: 2021}}", "2020 is not date"),
        ("{type: date, values: ['2024-07-01'], default: '2024-07-02'}", "not on the value list"),
        ("{type: date, bounds: ['2024-07-01', '2024-07-05'], constant: '2024-07-06'}", "outside the bounds"),
        ("{type: date, bounds: {table: calendar, low: school_year, high: school_year}}", "differ in type"),
        ("{type: integer, values: {table: calendar, column: day}}", "differ in type"),
    ],
)
def test_a_date_that_is_not_declared_well_is_refused(written, message, catalog_file):
    """With the line, and what would be accepted."""
    text = catalog_file.read_text()
    with pytest.raises(CatalogRefused) as caught:
        catalog_of(text.replace(EVENT_DATE, f"event_date: {written}"), "district.yaml")
    assert message in caught.value.message
    assert caught.value.line is not None
    assert caught.value.accepted


@pytest.mark.parametrize("name", ["birth_date", "date_of_birth", "birthday", "dob"])
def test_birth_dates_are_never_loaded(name, catalog_file):
    """A type of its own opens no door."""
    text = catalog_file.read_text().replace("event_date:", f"{name}:").replace("event_date]", f"{name}]")
    with pytest.raises(CatalogRefused, match="never loaded"):
        catalog_of(text, "district.yaml")


CELLS = [
    ("2024-07-01", "2024-07-01"),
    (" 2026-06-30 ", "2026-06-30"),
    ("2025-02-28 00:00:00", "2025-02-28"),
    ("2025-02-27T00:00", "2025-02-27"),
    ("2024-06-30", None),  # the day before the first
    ("2026-07-01", None),  # the day after the last
    ("2025-02-29", None),
    ("2025-02-28 00:00:01", None),
    ("2025-02-28T23:00:00-02:00", None),
    ("2025-02-28T00:00:00Z", None),
    ("02/28/2025", None),
    ("2025-2-28", None),
    ("45716", None),
    ("infinity", None),
    ("epoch", None),
    ("9999999-01-01", None),
    ("2025-02-28 (BC)", None),
    ("", None),
    ("NA", None),
]


def test_a_cell_is_an_iso_date_within_the_bounds_or_not_accepted(catalog_file, tmp_path):
    """What is no date, has an hour or a zone, or lies a day outside is dropped and counted, as of any other type."""
    catalog = read_catalog(catalog_file)
    rows = [(f"id{number}", cell, "absent") for number, (cell, _) in enumerate(CELLS, 1)]
    path = tmp_path / "events.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("student_key", "event_date", "code"), *rows])
    done = loaded(catalog, tables() | {"attendance_event": path}, tmp_path)
    kept = sorted(day for _, day in CELLS if day is not None)
    assert stored(tmp_path, done) == kept
    report = done.report.tables["attendance_event"]
    assert report.dropped == {"no accepted event_date": len(CELLS) - len(kept)}
    assert report.replaced == {"event_date": {"blank": 2, "not accepted": len(CELLS) - len(kept) - 2}}


def _excel(table, path):
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [table.column_names, *zip(*(column.to_pylist() for column in table.columns), strict=True)]:
        sheet.append(row)
    book.save(path)


def _csv(table, path):
    table.to_pandas().to_csv(path, index=False)


def _stata(table, path):
    frame = table.to_pandas()
    frame["event_date"] = pd.to_datetime(frame["event_date"])
    frame.to_stata(path, write_index=False, convert_dates={"event_date": "td"})


def _timestamps(table, path):
    days = table.column("event_date").cast(pa.timestamp("us"))
    pyarrow.parquet.write_table(table.set_column(1, "event_date", days), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.xlsx", _excel),
        ("a.csv", _csv),
        ("a.dta", _stata),
        ("a.parquet", pyarrow.parquet.write_table),
        ("b.parquet", _timestamps),
    ],
)
def test_every_kind_of_file_brings_its_dates(name, write, catalog_file, tmp_path):
    """Cells that are dates, or the midnights they begin with, are the days they are, in whatever zone this runs."""
    write(tables()["attendance_event"], tmp_path / name)
    sources = tables() | {"attendance_event": file_rows(tmp_path / name)}
    done = loaded(read_catalog(catalog_file), sources, tmp_path)
    assert stored(tmp_path, done) == sorted(day.isoformat() for _, day, _ in records()[1])


def test_an_instant_in_a_zone_is_no_date(catalog_file, tmp_path):
    """What day it is depends on who asks: it is not accepted, not even at midnight."""
    table = tables()["attendance_event"]
    zoned = table.column("event_date").cast(pa.timestamp("us")).cast(pa.timestamp("us", "America/New_York"))
    done = loaded(
        read_catalog(catalog_file),
        tables() | {"attendance_event": table.set_column(1, "event_date", zoned)},
        tmp_path,
    )
    assert stored(tmp_path, done) == []


def test_a_date_outside_its_table_of_bounds_is_not_loaded(catalog_file, tmp_path):
    """Bounds by a public table are enforced at load, day by day."""
    held = [("id1", 2025, "2024-09-02"), ("id2", 2025, "2024-09-03"), ("id3", 2025, "2025-06-21")]
    review = pa.table(dict(zip(("student_key", "school_year", "held_on"), zip(*held, strict=True), strict=True)))
    done = loaded(read_catalog(catalog_file), tables() | {"review": review}, tmp_path)
    assert stored(tmp_path, done, "held_on", "review") == ["", "", "2024-09-03"]


def test_defaults_and_lists_of_dates(catalog_file, tmp_path):
    """A date that is not on the list becomes the default; one that may be NULL is NULL."""
    students = [("id1", 2026, "F", "2025-01-06", "2025-01-01"), ("id2", 2026, "M", "2025-01-07", "never")]
    names = ("student_key", "cohort_year", "sex", "first_day", "left_on")
    student = pa.table(dict(zip(names, zip(*students, strict=True), strict=True)))
    done = loaded(read_catalog(catalog_file), tables() | {"student": student}, tmp_path)
    assert stored(tmp_path, done, "first_day", "student") == ["2024-09-03", "2025-01-06"]
    assert stored(tmp_path, done, "left_on", "student") == ["", "2025-01-01"]


def test_a_mapping_brings_dates(catalog_file, tmp_path):
    """Dates of another format, the first and last of several, and formulas over them."""
    students, events, _ = records()
    lines = [("pupil", "when", "what"), *((key, f"{day:%m/%d/%Y}", code) for key, day, code in events)]
    people = [("pupil", "class", "sex"), *((key, cohort, sex) for key, cohort, sex, *_ in students)]
    for name, rows in (("events.csv", lines), ("people.csv", people)):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    for name in ("term_dates", "calendar"):
        pyarrow.csv.write_csv(tables()[name], tmp_path / f"{name}.csv")
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("""
tables:
  term_dates: {from: term_dates.csv, columns: {school_year: school_year, first_day: first_day, last_day: last_day}}
  calendar:
    from: calendar.csv
    columns: {day: day, school_year: school_year, term: term, in_session: in_session}
  student:
    from: people.csv
    owner: pupil
    columns: {cohort_year: class, sex: sex, first_day: {value: '2025-01-06'}, left_on: {blank: true}}
  attendance_event:
    from: events.csv
    owner: pupil
    columns: {event_date: {column: when, date: '%m/%d/%Y'}, code: what}
  review:
    from: events.csv
    owner: pupil
    one_row_per: [student, school_year]
    read:
      day: {column: when, date: '%m/%d/%Y', type: date, bounds: ['2024-07-01', '2026-06-30']}
    columns:
      school_year: {column: when, date: '%m/%d/%Y', part: school_year}
      held_on: {formula: "CASE WHEN day >= '2025-09-02' OR day BETWEEN '2024-09-03' AND '2025-06-20' THEN day END", take: lowest}
""")  # fmt: skip
    done = loaded(read_catalog(catalog_file), Mapped.read(mapping, tmp_path), tmp_path)
    assert stored(tmp_path, done) == sorted(day.isoformat() for _, day, _ in events)
    firsts = {}
    for key, day, _ in events:
        year = day.year + (day.month >= 7)
        inside = day >= date(2025, 9, 2) or date(2024, 9, 3) <= day <= date(2025, 6, 20)
        held = [firsts.get((key, year)), day if inside else None]
        firsts[key, year] = min((one for one in held if one is not None), default=None)
    ends = {2025: date(2025, 6, 20), 2026: date(2026, 6, 19)}
    expected = ["" if held is None or held > ends[year] else held.isoformat() for (_, year), held in firsts.items()]
    assert stored(tmp_path, done, "held_on", "review") == sorted(expected)


def test_the_audit_holds_stored_dates_against_their_bounds(catalog_file, tmp_path):
    """A day beyond them, or off the list, is found in a finished vault."""
    catalog = read_catalog(catalog_file)
    done = loaded(catalog, tables(), tmp_path)
    with duckdb.connect(str(tmp_path / done.file)) as connection:
        assert list(audit(connection, done.catalog)) == []
        beyond, unlisted = days_of("2026-07-01"), days_of("2024-09-04")
        connection.execute(
            f"UPDATE attendance_event SET event_date = {beyond} WHERE event_date = (SELECT MAX(event_date) FROM attendance_event)"
        )
        connection.execute(
            f"UPDATE student SET first_day = {unlisted} WHERE first_day = (SELECT MAX(first_day) FROM student)"
        )
        connection.execute(f"UPDATE review SET held_on = {unlisted} WHERE school_year = 2026 AND held_on IS NOT NULL")
        found = list(audit(connection, done.catalog))
    assert {"attendance_event: event_date bounds", "student: first_day value list", "review: held_on range"} <= set(
        found
    )


def test_a_vault_with_other_bounds_of_dates_does_not_open(catalog_file, tmp_path):
    """Its records were verified against those it carries."""
    done = loaded(read_catalog(catalog_file), tables(), tmp_path)
    changed = catalog_of(
        catalog_file.read_text().replace("'2024-07-01', '2026-06-30'", "'2024-07-01', '2027-06-30'"), "x"
    )
    with pytest.raises(CatalogRefused, match="another catalog"):
        Vault.open(tmp_path / done.file, changed)


def test_rehearsals_invent_dates(vault):
    """Within bounds, on lists, under keys and caps, and within the bounds that a public table gives."""
    rehearsed = invented(vault.catalog, "epoch")
    try:
        with rehearsed.cursor() as cursor:
            assert list(audit(cursor, vault.catalog)) == []
            low, high, size = cursor.execute(
                "SELECT MIN(event_date), MAX(event_date), COUNT(*) FROM attendance_event"
            ).fetchone()
            held = cursor.execute("SELECT COUNT(held_on) FROM review").fetchone()[0]
    finally:
        rehearsed.close()
    assert days_of("2024-07-01") <= low < high <= days_of("2026-06-30")
    assert size > 1_000
    assert held > 100


def test_times_are_not_dates():
    """A cell of a workbook that has an hour keeps it, and is then not accepted."""
    assert cell_text(datetime(2025, 2, 28, 8)) == "2025-02-28T08:00:00"  # noqa: DTZ001 - as workbooks have it
    assert cell_text(dt.date(2025, 2, 28)) == cell_text(datetime(2025, 2, 28)) == "2025-02-28"  # noqa: DTZ001
