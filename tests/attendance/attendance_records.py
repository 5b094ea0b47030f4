"""The invented records of the attendance district: the same on every machine."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pyarrow as pa

FIRST, LAST = date(2024, 7, 1), date(2026, 6, 30)
STUDENTS = 120
TERM_DATES = [(2025, date(2024, 9, 3), date(2025, 6, 20)), (2026, date(2025, 9, 2), date(2026, 6, 19))]


def calendar():
    """Every weekday of two school years; some are holidays."""
    days = []
    for year, first, last in TERM_DATES:
        for number in range((last - first).days + 1):
            day = first + timedelta(number)
            if day.isoweekday() <= 5:
                term = "fall" if day.month >= 7 else "spring"
                days.append((day, year, term, (day.month, day.day) not in ((12, 24), (12, 25), (1, 1))))
    return days


def records(seed=11):
    """Rows of each private table: cells as a source may have them."""
    rng = random.Random(seed)
    students, events, reviews = [], [], []
    for number in range(1, STUDENTS + 1):
        left_on = rng.choice([None, None, FIRST + timedelta(rng.randrange(730))])
        first_day = rng.choice([date(2024, 8, 26), date(2024, 9, 3), date(2025, 1, 6)])
        students.append((f"id{number}", rng.randint(2026, 2029), rng.choice("FM"), first_day, left_on))
        places = sorted(rng.sample(range((LAST - FIRST).days + 1), rng.choice([0, 3, 20, 90])))
        codes = rng.choices(["absent", "excused", "tardy"], k=len(places))
        events += [(f"id{number}", FIRST + timedelta(place), code) for place, code in zip(places, codes, strict=True)]
        for year, first, last in TERM_DATES:
            held_on = rng.choice([None, first + timedelta(rng.randrange((last - first).days + 1))])
            reviews.append((f"id{number}", year, held_on))
    return students, events, reviews


def tables():
    """The tables of the district in memory, with dates as Arrow has them."""
    students, events, reviews = records()
    return {
        "term_dates": _table(["school_year", "first_day", "last_day"], TERM_DATES),
        "calendar": _table(["day", "school_year", "term", "in_session"], calendar()),
        "student": _table(["student_key", "cohort_year", "sex", "first_day", "left_on"], students),
        "attendance_event": _table(["student_key", "event_date", "code"], events),
        "review": _table(["student_key", "school_year", "held_on"], reviews),
    }


def _table(names, rows):
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})
