"""The attendance questions as they are kept, asked of the exact records and of the district."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from attendance_records import calendar, records

from engine.days import days_of
from engine.preparation import planned
from engine.refusals import QueryRefused

QUESTIONS = [
    line.rstrip(";")
    for line in (Path(__file__).parent / "chronic_absence.sql").read_text().splitlines()
    if not line.startswith("--")
]
STUDENTS, EVENTS, _ = records()


def test_chronic_absence_is_counted_from_events(without_noise):
    """One value for each student: the days in session on which there was an absence."""
    days = {day for day, year, _, in_session in calendar() if year == 2025 and in_session}
    absent = Counter(key for key, day, code in EVENTS if day in days and code in ("absent", "excused"))
    expected = Counter(sex for key, _, sex, *_ in STUDENTS if absent[key] >= 18)
    everybody = Counter(sex for _, _, sex, *_ in STUDENTS)
    assert sum(expected.values()) > 5
    assert without_noise(QUESTIONS[0]) == [(sex, everybody[sex], expected[sex]) for sex in "FM"]


def test_events_by_month_and_by_school_year(exactly):
    """Months are dates, school years are plain SQL."""
    inside = [(day, code) for _, day, code in EVENTS if date(2024, 9, 1) <= day <= date(2025, 6, 30)]
    expected = Counter((days_of(day.replace(day=1).isoformat()), code) for day, code in inside)
    assert {key: n for key, (n, _) in exactly(QUESTIONS[1]).items() if n} == expected
    years = Counter(day.year + (day.month >= 7) for _, day, _ in EVENTS)
    assert exactly(QUESTIONS[2]) == {(2025,): (years[2025],), (2026,): (years[2026],)}


def test_months_are_ordered_and_joined_in_what_is_made_of_answers(district):
    """Two answers by month, side by side, newest first."""
    by_month = "SELECT DATE_TRUNC('month', event_date) AS month, COUNT(*) AS {} FROM attendance_event WHERE code = '{}' AND event_date >= '2026-04-01' GROUP BY 1"
    release = district.ask(
        f"WITH a AS ({by_month.format('absent', 'absent')}), t AS ({by_month.format('tardy', 'tardy')}) "
        "SELECT a.month, absent, tardy FROM a JOIN t ON t.month = a.month ORDER BY month DESC LIMIT 2"
    )
    assert [row[0] for row in release.rows] == ["2026-06-01", "2026-05-01"]
    assert release.columns[0].type == "date"
    plain = district.ask(by_month.format("n", "absent") + " ORDER BY month DESC")
    assert [row[0] for row in plain.rows] == ["2026-06-01", "2026-05-01", "2026-04-01"]


@pytest.mark.parametrize("sql", QUESTIONS)
def test_every_question_can_be_rehearsed(sql, district):
    """Records are invented for all of them."""
    assert district.ask(sql, rehearse=True).rows


def test_a_question_by_the_day_it_is_asked_is_refused_with_its_reason(vault):
    """An answer is the same whenever it is asked."""
    with pytest.raises(QueryRefused, match="must not depend on the day"):
        planned(
            vault.catalog, "SELECT COUNT(*) FROM attendance_event WHERE event_date < TODAY()", vault.catalog.cohorts
        )
