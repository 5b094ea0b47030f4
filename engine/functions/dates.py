"""Functions of dates: interval rules and total forms.

A date is a number of days (`engine.days`); the database makes a DATE of it where a function needs one. All of them
work on days alone: no clock, no time zone, no language of a machine. Constants are worked out as they are read.
"""

from __future__ import annotations

import calendar
import itertools
import math
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import tree
from engine.days import FIRST, LAST, as_date, as_days, date_of, days_of, number_of
from engine.functions.shape import Function, Made, Misfit, Native, Reading, Shown
from engine.ranges import Range, listed
from engine.tree import DATE, INTEGER, TEXT, Constant, Expr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.tree import Scalar

TABULATED_MAX = 4_000
"""Most days between two bounds that are tried one by one."""

LISTED_MAX = 20_000
"""Most beginnings of weeks, months, quarters or years between two bounds that are listed."""

MONTHS_MAX = 12 * 400
"""Most months that an interval may be."""

_SAMPLE = "DATE '2025-01-31'"
_DAY = f"a date, such as a column of dates or {_SAMPLE}"


# -- what is done with one day


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a date.

    Attributes:
        of: the part of one date.
        least: of all dates.
        most: likewise; None where the part grows with the date.
    """

    of: Callable[[date], int]
    least: int = 0
    most: int | None = None


_PARTS = {
    "year": _Part(lambda day: day.year),
    "isoyear": _Part(lambda day: day.isocalendar().year),
    "quarter": _Part(lambda day: (day.month + 2) // 3, 1, 4),
    "month": _Part(lambda day: day.month, 1, 12),
    "week": _Part(lambda day: day.isocalendar().week, 1, 53),
    "day": _Part(lambda day: day.day, 1, 31),
    "dow": _Part(lambda day: day.isoweekday() % 7, 0, 6),
    "isodow": _Part(lambda day: day.isoweekday(), 1, 7),
    "doy": _Part(lambda day: day.timetuple().tm_yday, 1, 366),
}
_NAMES = {
    "years": "year", "quarters": "quarter", "months": "month", "weeks": "week", "days": "day", "dayofmonth": "day",
    "weekofyear": "week", "dayofweek": "dow", "weekday": "dow", "dayofyear": "doy",
}  # fmt: skip
_STEPS = ("year", "quarter", "month", "week", "day")
_WEEK = 7
_MONTHS_OF = {"year": 12, "quarter": 3, "month": 1}


def trunc(unit: str, days: int) -> int:
    """The first day of the year, quarter, month or week (from Monday) that a day is in.

    >>> from engine.days import days_of, iso
    >>> [iso(trunc(unit, days_of("2025-08-17"))) for unit in ("year", "quarter", "month", "week", "day")]
    ['2025-01-01', '2025-07-01', '2025-08-01', '2025-08-11', '2025-08-17']
    """
    day = date_of(days)
    match unit:
        case "year":
            return number_of(day.replace(month=1, day=1))
        case "quarter":
            return number_of(day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1))
        case "month":
            return number_of(day.replace(day=1))
        case "week":
            return days - (day.isoweekday() - 1)
        case _:
            return days


def moved(days: int, months: int) -> int:
    """The same day so many months later, or the last day of that month where it has none.

    >>> from engine.days import days_of, iso
    >>> [iso(moved(days_of("2024-01-31"), months)) for months in (1, 13, -2)]
    ['2024-02-29', '2025-02-28', '2023-11-30']

    Raises:
        Misfit: it would leave the years 1 to 9999.
    """
    day = date_of(days)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= date.max.year:
        raise _off_the_calendar()
    last = calendar.monthrange(year, month + 1)[1]
    return number_of(date(year, month + 1, min(day.day, last)))


def last_day(days: int) -> int:
    """The last day of the month that a day is in."""
    day = date_of(days)
    return number_of(day.replace(day=calendar.monthrange(day.year, day.month)[1]))


def made(year: int, month: int, day: int) -> int | None:
    """The day of a year, month and day of the month; None where there is no such day."""
    try:
        return number_of(date(year, month, day))
    except (ValueError, OverflowError):
        return None


def apart(unit: str, one: int, other: int) -> int:
    """How many beginnings of a year, quarter or month lie between two days, or how many whole weeks, or days.

    >>> from engine.days import days_of
    >>> [apart(unit, days_of("2024-12-31"), days_of("2025-01-01")) for unit in ("year", "month", "week", "day")]
    [1, 1, 0, 1]
    """
    if unit in ("week", "day"):
        whole = abs(other - one) // (_WEEK if unit == "week" else 1)
        return whole if other >= one else -whole
    a, b = (day.year * 12 + day.month - 1 for day in map(date_of, (one, other)))
    return b // _MONTHS_OF[unit] - a // _MONTHS_OF[unit]


_DIRECTIVES: dict[str, Callable[[date], str]] = {
    "%Y": lambda day: f"{day.year:04d}",
    "%y": lambda day: f"{day.year % 100:02d}",
    "%m": lambda day: f"{day.month:02d}",
    "%-m": lambda day: str(day.month),
    "%B": lambda day: calendar.month_name[day.month],
    "%b": lambda day: calendar.month_abbr[day.month],
    "%d": lambda day: f"{day.day:02d}",
    "%-d": lambda day: str(day.day),
    "%j": lambda day: f"{day.timetuple().tm_yday:03d}",
    "%A": lambda day: calendar.day_name[day.weekday()],
    "%a": lambda day: calendar.day_abbr[day.weekday()],
    "%u": lambda day: str(day.isoweekday()),
    "%w": lambda day: str(day.isoweekday() % 7),
    "%G": lambda day: f"{day.isocalendar().year:04d}",
    "%V": lambda day: f"{day.isocalendar().week:02d}",
    "%%": lambda _: "%",
}
_OF_MONTHS = frozenset({"%Y", "%y", "%m", "%-m", "%B", "%b", "%%"})
"""What is the same on all days of a month."""

FORMAT_MAX = 60


@lru_cache(maxsize=256)
def pieces(form: str) -> tuple[str, ...]:
    """The directives and other characters of a format.

    Raises:
        Misfit: it is too long, or a directive is not accepted.
    """
    found, place = [], 0
    while place < len(form):
        size = 1 if form[place] != "%" else 3 if form[place + 1 : place + 2] == "-" else 2
        found.append(form[place : place + size])
        place += size
    strange = [piece for piece in found if piece[0] == "%" and piece not in _DIRECTIVES]
    if strange or len(form) > FORMAT_MAX or "\0" in form:
        raise Misfit(
            f"STRFTIME does not take {strange[0]} here." if strange else "This format is too long.",
            f"a format of {' '.join(_DIRECTIVES)}, such as '%Y-%m'",
        )
    return tuple(found)


def written(form: str, days: int) -> str:
    """A day in a format.

    >>> written("%A, %-d %B %Y (%V)", 0)
    'Thursday, 1 January 1970 (01)'
    """
    day = date_of(days)
    return "".join(_DIRECTIVES[piece](day) if piece in _DIRECTIVES else piece for piece in pieces(form))


# -- arguments


def _off_the_calendar() -> Misfit:
    return Misfit("A date in this question could leave the years 1 to 9999.", "a nearer one", code="too_large")


def _date(name: str, arg: Expr, position: int) -> Expr:
    """An argument that must be a date; a text that is one, and the bare NULL, are."""
    if arg.type == DATE:
        return arg
    days = days_of(arg.value) if isinstance(arg, Constant) and isinstance(arg.value, str) else None
    if days is None and arg != Constant(None, arg.type):
        raise Misfit(f"{name} needs a date, and this is {arg.type}.", _DAY, position=position)
    return Constant(days, DATE)


def _word(name: str, arg: Expr, known: Iterable[str]) -> str:
    """An argument that must be the name of a unit or part, as it is written."""
    word = arg.value.lower() if isinstance(arg, Constant) and isinstance(arg.value, str) else ""
    word = _NAMES.get(word, word)
    if word not in known:
        raise Misfit(f"{name} does not take this.", f"one of {', '.join(known)}, in quotes", position=0)
    return word


def _folded(call: tree.Call, function: Callable[..., Scalar], *args: Expr) -> Expr:
    """A call, or what it comes to where all that it is of is written out."""
    if not all(isinstance(arg, Constant) for arg in args):
        return call
    values = [arg.value for arg in args if isinstance(arg, Constant)]
    return Constant(None if None in values else function(*values), call.type)


def part_of(name: str, unit: str) -> Callable[[tuple[Expr, ...]], Expr]:
    """A part of a date."""

    def build(args: tuple[Expr, ...]) -> Expr:
        day = _date(name, args[-1], len(args) - 1)
        call = tree.Call("date_part", (Constant(unit, TEXT), day), INTEGER)
        return _folded(call, lambda days: _PARTS[unit].of(date_of(days)), day)

    return build


def _date_part(args: tuple[Expr, ...]) -> Expr:
    return part_of("DATE_PART", _word("DATE_PART", args[0], _PARTS))(args)


def _date_trunc(args: tuple[Expr, ...]) -> Expr:
    unit, day = _word("DATE_TRUNC", args[0], _STEPS), _date("DATE_TRUNC", args[1], 1)
    if unit == "day":
        return day
    call = tree.Call("date_trunc", (Constant(unit, TEXT), day), DATE)
    return _folded(call, lambda days: trunc(unit, days), day)


def _date_diff(args: tuple[Expr, ...]) -> Expr:
    unit = _word("DATE_DIFF", args[0], _STEPS)
    one, other = _date("DATE_DIFF", args[1], 1), _date("DATE_DIFF", args[2], 2)
    call = tree.Call("date_diff", (Constant(unit, TEXT), one, other), INTEGER)
    return _folded(call, lambda a, b: apart(unit, a, b), one, other)


def later(day: Expr, months: int) -> Expr:
    """A date so many months later.

    Raises:
        Misfit: that is too many.
    """
    if abs(months) > MONTHS_MAX:
        raise Misfit("This interval is too long.", f"at most {MONTHS_MAX // 12} years")
    call = tree.Call("+ interval", (day, Constant(months, INTEGER)), DATE)
    return _folded(call, lambda days: moved(days, months), day)


def _as_operator(_args: tuple[Expr, ...]) -> Expr:
    """An interval is added by an operator, and not by a call."""
    raise Misfit("This is not called by a name.", "event_date + INTERVAL 3 MONTH")


def _last_day(args: tuple[Expr, ...]) -> Expr:
    day = _date("LAST_DAY", args[0], 0)
    return _folded(tree.Call("last_day", (day,), DATE), last_day, day)


def _make_date(args: tuple[Expr, ...]) -> Expr:
    numbers = [Constant(None, INTEGER) if arg.type == tree.NULL else arg for arg in args]
    for position, arg in enumerate(numbers):
        if arg.type != INTEGER:
            message = f"MAKE_DATE takes whole numbers, and this is {arg.type}."
            raise Misfit(message, "year, month, day", position=position)
    return _folded(tree.Call("make_date", tuple(numbers), DATE), made, *numbers)


def strftime(args: tuple[Expr, ...]) -> Expr:
    """A date in a format."""
    day, form = args
    if form.type == DATE:  # DuckDB takes them either way round
        day, form = form, day
    day = _date("STRFTIME", day, 0)
    if not isinstance(form, Constant) or not isinstance(form.value, str):
        raise Misfit("STRFTIME takes a format as it is written.", "such as '%Y-%m'", position=1)
    text = form.value
    pieces(text)
    return _folded(tree.Call("strftime", (day, form), TEXT), lambda days: written(text, days), day)


def _in_format(name: str, form: str) -> Made:
    def build(args: tuple[Expr, ...]) -> Expr:
        return strftime((_date(name, args[0], 0), Constant(form, TEXT)))

    return Made(build)


# -- interval rules


def _ends(found: Range) -> tuple[int, int]:
    """Both ends of a date; every column of dates has them."""
    if found.low is None or found.high is None:
        raise Misfit("A date here has no bounds.", "a column of dates with bounds", code="bounds_missing")
    low, high = math.ceil(Fraction(found.low)), math.floor(Fraction(found.high))
    if not FIRST <= low <= high <= LAST:
        raise _off_the_calendar()
    return low, high


def _text(arg: Expr) -> str:
    """A constant argument that is a text."""
    return str(arg.value) if isinstance(arg, Constant) else ""


def _each(found: Range, function: Callable[[Any], Scalar]) -> Range:
    """The values of a function on the list of a range."""
    made_of = {function(value) for value in found.values or ()}
    return listed(made_of - {None}, nullable=found.nullable or None in made_of)


@lru_cache(maxsize=512)
def _cycle(unit: str, low: int, high: int) -> frozenset[int]:
    part = _PARTS[unit]
    if high - low >= TABULATED_MAX:
        return frozenset(range(part.least, (part.most or 0) + 1))
    return frozenset(part.of(date_of(days)) for days in range(low, high + 1))


def _part_range(call: tree.Call, args: tuple[Range, ...]) -> Range:
    unit, own = _text(call.args[0]), args[1]
    part = _PARTS[unit]
    if own.values is not None:
        return _each(own, lambda days: part.of(date_of(days)))
    low, high = _ends(own)
    if part.most is None:
        return Range(part.of(date_of(low)), part.of(date_of(high)), None, own.nullable)
    return listed(_cycle(unit, low, high), nullable=own.nullable)


@lru_cache(maxsize=512)
def beginnings(unit: str, low: int, high: int) -> frozenset[int] | None:
    """The first days of all units that have a day between two days; None where they are too many."""
    first, last = trunc(unit, low), trunc(unit, high)
    if apart(unit, low, high) >= LISTED_MAX:
        return None
    if unit == "week":
        return frozenset(range(first, last + 1, _WEEK))
    steps = range(0, apart("month", first, last) + 1, _MONTHS_OF[unit])
    return frozenset(moved(first, months) for months in steps)


def _trunc_range(call: tree.Call, args: tuple[Range, ...]) -> Range:
    unit, own = _text(call.args[0]), args[1]
    if own.values is not None:
        return _each(own, lambda days: trunc(unit, days))
    low, high = _ends(own)
    found = beginnings(unit, low, high)
    if found is None:
        return Range(trunc(unit, low), trunc(unit, high), None, own.nullable)
    return listed(found, nullable=own.nullable)


@lru_cache(maxsize=512)
def _last_days(low: int, high: int) -> frozenset[int]:
    return frozenset(map(last_day, beginnings("month", low, high) or ()))


def _last_day_range(_call: tree.Call, args: tuple[Range, ...]) -> Range:
    (own,) = args
    if own.values is not None:
        return _each(own, last_day)
    low, high = _ends(own)
    if beginnings("month", low, high) is None:
        return Range(last_day(low), last_day(high), None, own.nullable)
    return listed(_last_days(low, high), nullable=own.nullable)


def _diff_range(call: tree.Call, args: tuple[Range, ...]) -> Range:
    unit, one, other = _text(call.args[0]), *args[1:]
    (one_low, one_high), (other_low, other_high) = _ends(one), _ends(other)
    low, high = apart(unit, one_high, other_low), apart(unit, one_low, other_high)
    return Range(low, high, None, one.nullable or other.nullable)


def _later_range(call: tree.Call, args: tuple[Range, ...]) -> Range:
    own, months = args[0], _months(call)
    if own.values is not None:
        return _each(own, lambda days: moved(days, months))
    low, high = _ends(own)
    return Range(moved(low, months), moved(high, months), None, own.nullable)


def _months(call: tree.Call) -> int:
    return int(call.args[1].value or 0) if isinstance(call.args[1], Constant) else 0


def _make_range(_call: tree.Call, args: tuple[Range, ...]) -> Range:
    nullable = any(arg.nullable for arg in args)
    lists = [_whole(arg, *ends) for arg, ends in zip(args, ((1, 9999), (1, 12), (1, 31)), strict=True)]
    if not all(size for _, size in lists):
        return Range(values=frozenset(), nullable=True)
    if math.prod(size for _, size in lists) <= TABULATED_MAX:
        found = {made(*numbers) for numbers in itertools.product(*(values for values, _ in lists))}
        inside = all(_inside(arg, values) for arg, (values, _) in zip(args, lists, strict=True))
        return listed(found - {None}, nullable=nullable or None in found or not inside)
    years = lists[0][0]
    return Range(made(min(years), 1, 1), made(max(years), 12, 31), None, nullable=True)


def _whole(found: Range, least: int, most: int) -> tuple[Iterable[int], int]:
    """The whole numbers of a range between two others, and how many they are."""
    if found.values is not None:
        kept = sorted(int(value) for value in found.values if isinstance(value, int) and least <= value <= most)
        return kept, len(kept)
    low = least if found.low is None else max(least, math.ceil(Fraction(found.low)))
    high = most if found.high is None else min(most, math.floor(Fraction(found.high)))
    return range(low, high + 1), max(0, high - low + 1)


def _inside(found: Range, kept: Iterable[int]) -> bool:
    """Whether all of a range is among some numbers."""
    if found.values is not None:
        return found.values <= frozenset(kept)
    numbers = list(kept)
    return (
        found.low is not None and found.high is not None and min(numbers) <= found.low <= found.high <= max(numbers)
    )


@lru_cache(maxsize=256)
def _formatted(form: str, low: int, high: int) -> frozenset[str] | None:
    days: Iterable[int] | None = range(low, high + 1) if high - low < TABULATED_MAX else None
    if {piece for piece in pieces(form) if piece in _DIRECTIVES} <= _OF_MONTHS:
        days = beginnings("month", low, high)
    return None if days is None else frozenset(written(form, day) for day in days)


def _format_range(call: tree.Call, args: tuple[Range, ...]) -> Range:
    form, own = _text(call.args[1]), args[0]
    if own.values is not None:
        return _each(own, lambda days: written(form, days))
    found = _formatted(form, *_ends(own))
    return Range(None, None, found, own.nullable)


# -- total forms


def _of_unit(function: str) -> Callable[[tree.Call, tuple[str, ...]], str]:
    def write(call: tree.Call, args: tuple[str, ...]) -> str:
        return f"{function}('{_text(call.args[0])}', {', '.join(map(as_date, args[1:]))})"

    return write


def _trunc_sql(call: tree.Call, args: tuple[str, ...]) -> str:
    return as_days(f"CAST({_of_unit('date_trunc')(call, args)} AS DATE)")


def _later_sql(call: tree.Call, args: tuple[str, ...]) -> str:
    return as_days(f"CAST({as_date(args[0])} + to_months({_months(call)}) AS DATE)")


def _make_sql(_call: tree.Call, args: tuple[str, ...]) -> str:
    year, month, day = args
    fits = f"{year} BETWEEN 1 AND 9999 AND {month} BETWEEN 1 AND 12 AND {day} BETWEEN 1 AND 31"
    text = " || '-' || ".join(
        f"lpad(CAST({number} AS VARCHAR), {size}, '0')" for number, size in ((year, 4), (month, 2), (day, 2))
    )
    return as_days(f"TRY_CAST(CASE WHEN {fits} THEN {text} END AS DATE)")


def _format_sql(call: tree.Call, args: tuple[str, ...]) -> str:
    form = _text(call.args[1]).replace("'", "''")
    return f"strftime({as_date(args[0])}, '{form}')"


# -- the rows


def _part_row(name: str, unit: str, about: str, shown: int, node: type[exp.Expr] | None, *names: str) -> Function:
    return Function(
        name, "dates", about, f"{name}(event_date)", Made(part_of(name, unit)),
        (Shown(f"{name}({_SAMPLE})", shown), Shown(f"{name}(CAST(NULL AS DATE))", None)),
        names=names, nodes=() if node is None else (Reading(node),),
    )  # fmt: skip


ROWS = (
    Function(
        "DATE_PART", "dates", f"A part of a date: {', '.join(_PARTS)}.", "EXTRACT(month FROM event_date)",
        Native(_date_part, _part_range, _of_unit("date_part")),
        (
            Shown(f"DATE_PART('month', {_SAMPLE})", 1), Shown(f"EXTRACT(isodow FROM {_SAMPLE})", 5),
            Shown("EXTRACT(week FROM DATE '2027-01-01')", 53), Shown("DATEPART('isoyear', DATE '2027-01-01')", 2026),
        ),
        least=2, most=2, names=("DATEPART", "EXTRACT"), nodes=(Reading(exp.Extract, ("this", "expression")),),
    ),
    _part_row("YEAR", "year", "The year of a date.", 2025, exp.Year),
    _part_row("QUARTER", "quarter", "The quarter of a date, 1 to 4.", 1, exp.Quarter),
    _part_row("MONTH", "month", "The month of a date, 1 to 12.", 1, exp.Month),
    _part_row("WEEK", "week", "The ISO week of a date, 1 to 53.", 5, exp.Week),
    _part_row("WEEKOFYEAR", "week", "The same as WEEK.", 5, exp.WeekOfYear),
    _part_row("ISOYEAR", "isoyear", "The year that the ISO week of a date belongs to.", 2025, None),
    _part_row("DAY", "day", "The day of the month of a date, 1 to 31.", 31, exp.Day),
    _part_row("DAYOFMONTH", "day", "The same as DAY.", 31, exp.DayOfMonth),
    _part_row("DAYOFWEEK", "dow", "The day of the week of a date, 0 (Sunday) to 6.", 5, exp.DayOfWeek, "WEEKDAY"),
    _part_row("ISODOW", "isodow", "The day of the week of a date, 1 (Monday) to 7.", 5, exp.DayOfWeekIso),
    _part_row("DAYOFYEAR", "doy", "The day of the year of a date, 1 to 366.", 31, exp.DayOfYear),
    Function(
        "DAYNAME", "dates", "The English name of a date's day of the week.", "DAYNAME(event_date)",
        _in_format("DAYNAME", "%A"), (Shown(f"DAYNAME({_SAMPLE})", "Friday"),), nodes=(Reading(exp.Dayname),),
    ),
    Function(
        "MONTHNAME", "dates", "The English name of a date's month.", "MONTHNAME(event_date)",
        _in_format("MONTHNAME", "%B"), (Shown(f"MONTHNAME({_SAMPLE})", "January"),), nodes=(Reading(exp.Monthname),),
    ),
    Function(
        "DATE_TRUNC", "dates",
        f"The first day of a date's {', '.join(_STEPS[:-1])} (weeks begin on Monday); a date, where DuckDB's may be "
        "a time.",
        "DATE_TRUNC('month', event_date)",
        Native(_date_trunc, _trunc_range, _trunc_sql),
        (
            Shown(f"DATE_TRUNC('month', {_SAMPLE})", "2025-01-01"), Shown(f"DATE_TRUNC('week', {_SAMPLE})", "2025-01-27"),
            Shown(f"DATETRUNC('quarter', {_SAMPLE})", "2025-01-01"), Shown(f"DATE_TRUNC('day', {_SAMPLE})", "2025-01-31"),
        ),
        least=2, most=2, names=("DATETRUNC",),
        nodes=tuple(
            Reading(node, ("unit", "this"), ignored=("input_type_preserved",))
            for node in (exp.TimestampTrunc, exp.DateTrunc)  # the second where the date is written out or cast
        ),
    ),
    Function(
        "DATE_DIFF", "dates", "How many beginnings of a year, quarter or month lie between two dates, or how many whole weeks, or days.",
        "DATE_DIFF('month', DATE '2024-09-01', event_date)",
        Native(_date_diff, _diff_range, _of_unit("date_diff")),
        (
            Shown(f"DATE_DIFF('day', {_SAMPLE}, DATE '2025-03-01')", 29),
            Shown(f"DATEDIFF('month', {_SAMPLE}, DATE '2025-02-01')", 1),
            Shown(f"DATE_DIFF('year', DATE '2026-01-01', {_SAMPLE})", -1),
        ),
        least=3, most=3, names=("DATEDIFF",),
        nodes=(Reading(exp.DateDiff, ("unit", "expression", "this"), ignored=("date_part_boundary",)),),
    ),
    Function(
        "+ INTERVAL", "dates",
        "A date so many days, weeks, months, quarters or years later or earlier, in the last days of a shorter month "
        "its last; a date, where DuckDB's is a time. d + n and d - n count days, d1 - d2 the days between two dates.",
        "event_date + INTERVAL 3 MONTH",
        Native(_as_operator, _later_range, _later_sql),
        (
            Shown(f"{_SAMPLE} + INTERVAL 1 MONTH", "2025-02-28"), Shown(f"{_SAMPLE} - INTERVAL '1 year'", "2024-01-31"),
            Shown(f"{_SAMPLE} + 1", "2025-02-01"), Shown(f"{_SAMPLE} - DATE '2024-12-31'", 31),
        ),
        least=2, most=2, names=("DATE_ADD", "- INTERVAL"),
    ),
    Function(
        "LAST_DAY", "dates", "The last day of a date's month.", "LAST_DAY(event_date)",
        Native(_last_day, _last_day_range, lambda _call, args: as_days(f"last_day({as_date(args[0])})")),
        (Shown("LAST_DAY(DATE '2024-02-03')", "2024-02-29"),), nodes=(Reading(exp.LastDay),),
    ),
    Function(
        "MAKE_DATE", "dates", "The date of a year, a month and a day; NULL where there is no such day.",
        "MAKE_DATE(school_year, 6, 30)",
        Native(_make_date, _make_range, _make_sql),
        (Shown("MAKE_DATE(2024, 2, 29)", "2024-02-29"), Shown("MAKE_DATE(2025, 2, 29)", None, own=True)),
        least=3, most=3, nodes=(Reading(exp.DateFromParts, ("year", "month", "day")),),
    ),
    Function(
        "STRFTIME", "dates", f"A date as a text in a format, as it is written, of {' '.join(_DIRECTIVES)}.",
        "STRFTIME(event_date, '%Y-%m')",
        Native(strftime, _format_range, _format_sql),
        (Shown(f"STRFTIME({_SAMPLE}, '%Y-%m')", "2025-01"), Shown(f"STRFTIME({_SAMPLE}, '%A %-d %b')", "Friday 31 Jan")),
        least=2, most=2, nodes=(Reading(exp.TimeToStr, ("this", "format")),),
    ),
)  # fmt: skip
