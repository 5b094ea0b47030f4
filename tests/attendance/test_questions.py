"""Questions about dates, beside the same worked out in Python."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest
from attendance_records import FIRST, LAST, calendar, records

from engine.catalog_file import catalog_of, resolve
from engine.days import days_of, iso
from engine.preparation import planned
from engine.refusals import QueryRefused

STUDENTS, EVENTS, REVIEWS = records()
DAYS = [event_date for _, event_date, _ in EVENTS]
COUNT = "SELECT COUNT(*) AS n FROM attendance_event WHERE "


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("event_date = DATE '2025-02-03'", lambda d: d == date(2025, 2, 3)),
        ("event_date <> '2025-02-03'", lambda d: d != date(2025, 2, 3)),
        ("'2025-02-03' < event_date", lambda d: d > date(2025, 2, 3)),
        ("event_date >= '2025-02-28'::DATE", lambda d: d >= date(2025, 2, 28)),
        ("event_date BETWEEN DATE '2024-12-31' AND '2025-01-01'", lambda d: date(2024, 12, 31) <= d <= date(2025, 1, 1)),
        ("event_date NOT BETWEEN '2024-12-31' AND DATE '2025-11-01'", lambda d: not date(2024, 12, 31) <= d <= date(2025, 11, 1)),
        ("event_date IN ('2025-02-03', DATE '2025-02-04', NULL)", lambda d: d in (date(2025, 2, 3), date(2025, 2, 4))),
        ("event_date IN ('1999-02-03', '0001-01-01')", lambda _: False),
        ("event_date < DATE '9999-12-31'", lambda _: True),
        ("event_date IS NULL", lambda _: False),
        ("CASE WHEN code = 'tardy' THEN NULL ELSE event_date END IS NOT NULL AND code <> 'tardy' AND event_date > '2025-01-01'", None),
        ("COALESCE(NULLIF(event_date, '2025-02-03'), '2026-01-01') >= '2025-12-31'", lambda d: d >= date(2025, 12, 31) or d == date(2025, 2, 3)),
        ("TRY_CAST('2025-02-03' AS DATE) = event_date", lambda d: d == date(2025, 2, 3)),
        ("CAST(event_date AS DATE) = '2025-02-03'", lambda d: d == date(2025, 2, 3)),
    ],
)  # fmt: skip
def test_conditions_on_dates_count_what_python_counts(condition, holds, exactly):
    """Comparisons, lists, ranges and choices, with dates and with texts that are dates."""
    if holds is None:
        expected = sum(code != "tardy" and day > date(2025, 1, 1) for _, day, code in EVENTS)
    else:
        expected = sum(map(holds, DAYS))
    found = exactly(COUNT + condition) if expected else {(): (expected,)}
    assert found == {(): (expected,)}


@pytest.mark.parametrize(
    ("sql", "word", "at"),
    [
        (COUNT + "event_date = '2025-2-3'", "ISO date", (1, 50)),
        (COUNT + "event_date = DATE '2025-02-29'", "ISO date", (1, 68)),
        (COUNT + "event_date >= DATE '2025-02-03T00:00:00+02:00'", "ISO date", None),
        (COUNT + "event_date = TIMESTAMP '2025-02-03 00:00:00'", "type is not accepted", None),
        (COUNT + "event_date = code", "column of texts", None),
        (COUNT + "event_date = 20250203", "date cannot be compared with integer", None),
        (COUNT + "event_date", "condition is needed", None),
        (COUNT + "event_date IN ('2025-02-03', 'soon')", "ISO date", None),
        ("SELECT SUM(event_date) FROM attendance_event", "SUM needs a number, and this is date", None),
        ("SELECT AVG(event_date) FROM attendance_event", "AVG needs a number, and this is date", None),
        ("SELECT COUNT(*) FROM attendance_event WHERE event_date * 2 > 3", "date * integer is not defined", None),
        ("SELECT MIN(event_date) FROM attendance_event", "MIN is the value of a single student", None),
        ("SELECT COUNT(*) FROM attendance_event WHERE CAST(event_date AS INTEGER) > 3", "cannot be cast", None),
        ("SELECT event_date + 1 AS d, COUNT(*) FROM attendance_event GROUP BY event_date", "this is date", None),
        ("SELECT CASE WHEN code = 'tardy' THEN event_date ELSE code END AS d, COUNT(*) FROM attendance_event GROUP BY 1",
         "column of texts", None),
    ],
)  # fmt: skip
def test_what_is_not_defined_on_dates_is_refused(sql, word, at, vault):
    """With words that say why, and the place."""
    with pytest.raises(QueryRefused) as caught:
        planned(vault.catalog, sql, vault.catalog.cohorts)
    assert word in caught.value.message
    assert caught.value.code == "unsupported"
    assert caught.value.accepted
    assert (caught.value.line, caught.value.column) == at if at else True


def test_a_date_between_bounds_is_a_key_day_by_day(exactly):
    """Every day that WHERE leaves is a group, in order, whether anybody was absent or not."""
    sql = "SELECT event_date, COUNT(*) FROM attendance_event WHERE event_date BETWEEN '2025-02-25' AND '2025-03-05' GROUP BY 1"
    found = exactly(sql)
    expected = Counter(DAYS)
    days = [date(2025, 2, 25) + timedelta(number) for number in range(9)]
    assert list(found.items()) == [((days_of(day.isoformat()),), (expected[day],)) for day in days]


def test_a_listed_date_is_a_key_in_the_order_of_its_list(exactly):
    """With NULL last where it may be NULL."""
    found = exactly("SELECT first_day, COUNT(*) FROM student GROUP BY first_day")
    expected = Counter(first_day.isoformat() for *_, first_day, _ in STUDENTS)
    assert {iso(day): number for (day,), (number,) in found.items()} == expected
    left_on = exactly("SELECT left_on, COUNT(*) FROM student GROUP BY left_on")
    assert len(left_on) == (LAST - FIRST).days + 2
    assert list(left_on)[-1] == (None,)
    assert left_on[None,] == (sum(left is None for *_, left in STUDENTS),)


def wide(catalog_file):
    """The attendance catalog with events of three centuries."""
    text = catalog_file.read_text().replace("['2024-07-01', '2026-06-30']", "['1900-01-01', '2199-12-31']")
    return resolve(catalog_of(text, "wide.yaml"), {
        "term_dates": [{"school_year": 2025, "first_day": 20_000, "last_day": 20_100}],
        "calendar": [{"day": 20_000, "school_year": 2025, "term": "fall", "in_session": True}],
    })  # fmt: skip


def test_too_many_days_are_not_listed(catalog_file):
    """Groups are at most 100,000; three centuries have more days."""
    catalog = wide(catalog_file)
    with pytest.raises(QueryRefused) as caught:
        planned(catalog, "SELECT event_date, COUNT(*) FROM attendance_event GROUP BY event_date", catalog.cohorts)
    assert caught.value.code == "keys_undeclared"


@pytest.mark.parametrize(
    ("sql", "rows", "per_group", "groups"),
    [
        (COUNT + "event_date = DATE '2025-02-03'", 1, 1, 1),
        (COUNT + "event_date IN ('2025-02-03', '2025-02-04', '2025-02-05')", 3, 3, 1),
        (COUNT + "event_date BETWEEN DATE '2025-02-01' AND DATE '2025-02-28'", 28, 28, 1),
        (COUNT + "event_date >= '2026-06-01'", 30, 30, 1),
        (COUNT + "event_date > '2026-06-01' AND '2026-06-11' > event_date", 9, 9, 1),
        (COUNT + "event_date > '2020-01-01'", 400, 400, 1),
        ("SELECT event_date, COUNT(*) FROM attendance_event GROUP BY 1", 400, 1, 730),
        ("SELECT event_date, COUNT(*) FROM attendance_event WHERE event_date < '2024-07-15' GROUP BY 1", 14, 1, 14),
        ("SELECT code, COUNT(*) FROM attendance_event WHERE event_date < '2024-07-15' GROUP BY 1", 14, 14, 3),
    ],
)  # fmt: skip
def test_a_condition_on_a_date_is_a_pin(sql, rows, per_group, groups, vault):
    """A key or cap by days leaves a student as many rows as the condition leaves days."""
    (statistic,) = planned(vault.catalog, sql, vault.catalog.cohorts).statistics
    found = statistic.contribution
    assert (found.rows, found.rows_per_group, found.groups) == (rows, per_group, groups)


def test_a_public_calendar_counts_days_in_session(exactly):
    """Events joined with the calendar on the day, grouped by what the calendar says of it."""
    sql = (
        "SELECT c.school_year, c.term, COUNT(*) FROM attendance_event e JOIN calendar c ON c.day = e.event_date "
        "WHERE c.in_session AND e.code = 'absent' GROUP BY ALL"
    )
    days = {day: (year, term, in_session) for day, year, term, in_session in calendar()}
    expected = Counter(days[day][:2] for _, day, code in EVENTS if code == "absent" and day in days and days[day][2])
    assert {key: number for key, (number,) in exactly(sql).items()} == expected


def test_bounds_by_a_table_of_dates_hold_for_every_row(exactly, vault):
    """What the catalog looks up in a public table is what the analysis relies on."""
    sql = "SELECT COUNT(*) FROM review WHERE school_year = 2026 AND held_on < '2025-09-10'"
    assert exactly(sql) == {(): (sum(y == 2026 and h is not None and h < date(2025, 9, 10) for _, y, h in REVIEWS),)}
    sql = "SELECT held_on, COUNT(*) FROM review WHERE school_year = 2026 AND held_on <= '2025-09-10' GROUP BY held_on"
    plan = planned(vault.catalog, sql, vault.catalog.cohorts)
    assert iso(plan.keys.rows[-1][0]) == "2025-09-10"


def test_a_date_of_the_right_side_of_a_left_join_may_be_null(exactly):
    """NULL joins its days in the list of groups."""
    sql = (
        "SELECT e.event_date, COUNT(*) FROM student s LEFT JOIN attendance_event e ON e.student_key = s.student_key "
        "AND e.event_date BETWEEN '2025-02-03' AND '2025-02-04' GROUP BY e.event_date"
    )
    found = {key: number for (key,), (number,) in exactly(sql).items()}
    days = {day: days_of(day) for day in ("2025-02-03", "2025-02-04")}
    there = Counter(event_date.isoformat() for event_date in DAYS)
    assert {day: found[number] for day, number in days.items()} == {day: there[day] for day in days}
    without = STUDENTS and {key for key, *_ in STUDENTS} - {k for k, day, _ in EVENTS if day.isoformat() in days}
    assert found[None] == len(without)
