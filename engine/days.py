"""Dates as the engine holds them: whole numbers of days since 1970-01-01, written as ISO texts.

A whole number is compared, bounded, listed and proved like any other, and no number of days is infinite or beyond
the database's calendar, as a DATE can be. Nothing here knows a clock or a time zone.
"""

from __future__ import annotations

import re
from datetime import date

_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = date(1970, 1, 1).toordinal()

FIRST = date.min.toordinal() - _EPOCH
"""0001-01-01: no date of a question is before it."""

LAST = date.max.toordinal() - _EPOCH
"""9999-12-31: no date of a question is after it."""


def days_of(text: str) -> int | None:
    """The number of an ISO date; None where the text is none.

    >>> days_of("1970-01-01"), days_of("2024-02-29"), days_of("2025-02-29"), days_of("2025-1-1")
    (0, 19782, None, None)
    """
    if not _ISO.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        return None


def date_of(days: int) -> date:
    """The date of a number of days, within the years 1 to 9999.

    >>> date_of(19782)
    datetime.date(2024, 2, 29)
    """
    return date.fromordinal(days + _EPOCH)


def number_of(day: date) -> int:
    """The number of a date."""
    return day.toordinal() - _EPOCH


def iso(days: int) -> str:
    """The ISO text of a number of days.

    >>> iso(0), iso(-1), iso(FIRST), iso(LAST)
    ('1970-01-01', '1969-12-31', '0001-01-01', '9999-12-31')
    """
    return date_of(days).isoformat()


FIRST_STORED, LAST_STORED = number_of(date(1900, 1, 1)), number_of(date(2199, 12, 31))
"""Every date of a record lies between these."""


# -- in SQL

_SPAN = LAST - FIRST + 1


def as_date(days: str) -> str:
    """SQL: a number of days as the database's DATE, written once, and total.

    The remainder keeps any number in the database's calendar; every date that is proved lies in the years 1 to 9999,
    where it is the number itself.

    >>> as_date("d")
    "(DATE '1970-01-01' + CAST((d) % 3652059 AS INTEGER))"
    """
    return f"(DATE '1970-01-01' + CAST(({days}) % {_SPAN} AS INTEGER))"


def as_days(day: str) -> str:
    """SQL: the number of days of a DATE."""
    return f"({day} - DATE '1970-01-01')"
