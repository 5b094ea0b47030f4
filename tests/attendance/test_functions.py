"""Functions of dates: equal to DuckDB's on every day, within their interval rules, total, and refused by name."""

from __future__ import annotations

import itertools
from datetime import date

import duckdb
import pytest

from engine import tree
from engine.analysis.intervals import Range, assume, declared_environment, evaluate, holds, listed
from engine.days import FIRST, FIRST_STORED, LAST, LAST_STORED, as_date, as_days, days_of, iso
from engine.expressions import Named, Scope, convert
from engine.functions.dates import ROWS
from engine.preparation import planned
from engine.refusals import QueryRefused
from engine.source import Source
from engine.sql import sql
from engine.text import condition_of

NAMES = {
    "d": tree.Column("d", tree.DATE),
    "e": tree.Column("e", tree.DATE),
    "n": tree.Column("n", tree.INTEGER),
    "m": tree.Column("m", tree.INTEGER),
    "t": tree.Column("t", tree.TEXT),
}
TEXTS = ("2025-01-31", "2024-02-29", "2025-02-29", "", "soon", "2025-1-1", "9999-12-31", "2025-01-31 00:00:00")
KNOWN = {
    "d": Range(FIRST_STORED, LAST_STORED),
    "e": Range(days_of("2023-12-01"), days_of("2025-03-31"), None, nullable=True),
    "n": Range(-40, 40),
    "m": Range(-3, 14, None, nullable=True),
    "t": listed(TEXTS, nullable=True),
}
UNITS = ("year", "quarter", "month", "week", "day")
PARTS = ("year", "isoyear", "quarter", "month", "week", "day", "dow", "isodow", "doy")
NAMED_PARTS = ("YEAR", "QUARTER", "MONTH", "WEEK", "WEEKOFYEAR", "ISOYEAR", "DAY", "DAYOFMONTH", "DAYOFWEEK", "WEEKDAY", "ISODOW", "DAYOFYEAR")  # fmt: skip
ALIKE = [
    *(f"DATE_PART('{part}', d)" for part in PARTS),
    *(f"EXTRACT({part} FROM d)" for part in PARTS),
    *(f"{name}(d)" for name in NAMED_PARTS),
    *(f"DATE_TRUNC('{unit}', d)" for unit in UNITS),
    "DATE_TRUNC('month', CAST(d AS DATE))",
    *(f"DATE_DIFF('{unit}', DATE '2024-02-29', d)" for unit in UNITS),
    *(f"DATEDIFF('{unit}', d, DATE '2025-12-31')" for unit in UNITS),
    "LAST_DAY(d)",
    "DAYNAME(d)",
    "MONTHNAME(d)",
    "STRFTIME(d, '%Y-%m')",
    "STRFTIME(d, '%y %-m %B %b %d %-d %j %A %a %u %w %G %V 100%% it''s')",
    "CAST(d AS VARCHAR)",
    "d + 40",
    "40 + d",
    "d - 40",
    "d - DATE '2024-02-29'",
    "DATE '2024-02-29' - d",
    *(f"d {op} INTERVAL {n} {unit}" for op in "+-" for n, unit in ((1, "MONTH"), (13, "MONTHS"), (2, "YEAR"), (1, "QUARTER"), (3, "DAYS"), (2, "WEEK"))),
    "d + INTERVAL '2 month'",
    "INTERVAL 1 MONTH + d",
    "d + INTERVAL (1) MONTH",
    "DATE_ADD(d, INTERVAL 1 MONTH)",
    "CASE WHEN MONTH(d) >= 7 THEN YEAR(d) + 1 ELSE YEAR(d) END",
    "MAKE_DATE(YEAR(d), MONTH(d), 1)",
    "MAKE_DATE(YEAR(d), 1, 1) + CAST(DAYOFYEAR(d) AS INTEGER)",
    "LAST_DAY(DATE_TRUNC('quarter', d) + INTERVAL 2 MONTH)",
    "d IN ('2025-01-31', DATE '2025-02-01') OR DATE_TRUNC('month', d) = '2024-02-01'",
]  # fmt: skip


def read(text):
    """An expression over the columns here, and its source."""
    source = Source(text)
    return convert(Scope(source, [Named("", NAMES)], owner="", known=KNOWN), condition_of(source))


@pytest.fixture(scope="module")
def days():
    """Every day that a record may have, as a number and as DuckDB's own date."""
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TABLE days AS SELECT n AS d, DATE '1970-01-01' + CAST(n AS INTEGER) AS own "
            f"FROM range({FIRST_STORED}, {LAST_STORED + 1}) AS r(n)"
        )
        yield connection


def shown(expr):
    """SQL of an expression of ours as DuckDB would have it: dates are dates."""
    return as_date(sql(expr)) if expr.type == tree.DATE else sql(expr)


@pytest.mark.parametrize("text", ALIKE)
def test_every_day_has_duckdbs_own_value(text, days):
    """On all days of three centuries; DuckDB's times at midnight are our dates."""
    expr = read(text)
    theirs = f"CAST({text} AS DATE)" if expr.type == tree.DATE else f"({text})"
    differing = days.execute(
        f"SELECT ours.d, ours.v, theirs.v FROM (SELECT d, {shown(expr)} AS v FROM days) AS ours "
        f"JOIN (SELECT n, {theirs} AS v FROM (SELECT d AS n, own AS d FROM days)) AS theirs ON ours.d = theirs.n "
        "WHERE ours.v IS DISTINCT FROM theirs.v LIMIT 3"
    ).fetchall()
    assert differing == []


HOSTILE = sorted(
    {days_of(day) for day in ("2024-02-28", "2024-02-29", "2024-03-01", "2024-12-30", "2024-12-31", "2025-01-01",
                              "2026-12-31", "2027-01-01", "2020-12-31", "2100-02-28", "2000-02-29")}
    | {FIRST_STORED, FIRST_STORED + 1, LAST_STORED - 1, LAST_STORED}
)  # fmt: skip
OVER_TWO = [
    "d + INTERVAL -1 MONTH",
    "MAKE_DATE(2025, m, n)",
    "MAKE_DATE(n, m, 29)",
    "MAKE_DATE(2024 + m, 2, n)",
    "d + n",
    "d - n",
    "d - e",
    "e - 3",
    "DATE_DIFF('month', d, e)",
    "DATE_DIFF('week', e, d)",
    "DATE_TRUNC('month', e)",
    "DATE_TRUNC('week', e)",
    "LAST_DAY(e)",
    "MONTH(e)",
    "ISOYEAR(e)",
    "STRFTIME(e, '%Y-%m')",
    "STRFTIME(e, '%j')",
    "e + INTERVAL 1 MONTH",
    "CAST(t AS DATE)",
    "TRY_CAST(t AS DATE) - e",
    "COALESCE(e, d)",
    "CASE WHEN e > d THEN e ELSE d END",
    "NULLIF(e, '2024-02-29')",
    "YEAR(COALESCE(TRY_CAST(t AS DATE), e))",
]


SOME = [
    pytest.param(text, marks=() if place % 6 == 0 else pytest.mark.slow)
    for place, text in enumerate([*OVER_TWO, *ALIKE])
]


@pytest.mark.parametrize("text", SOME)
def test_no_value_leaves_its_interval_rule_and_none_fails(text):
    """For hostile days, lists, ends, NULL, and numbers beside what a month has."""
    expr = read(text)
    cells = {
        "d": HOSTILE,
        "e": [None, days_of("2023-12-01"), days_of("2024-02-29"), days_of("2024-12-31"), days_of("2025-03-31")],
        "n": [-40, -1, 0, 1, 28, 29, 30, 31, 32, 40],
        "m": [None, -3, 0, 1, 2, 12, 13, 14],
        "t": [None, *TEXTS],
    }
    used = sorted(tree.columns_of(expr))
    whole = evaluate(expr, KNOWN)
    rows = list(itertools.product(*(cells[name] for name in used)))
    with duckdb.connect() as connection:
        kinds = {"t": "VARCHAR"}
        columns = ", ".join(f"{name} {kinds.get(name, 'BIGINT')}" for name in used)
        connection.execute(f"CREATE TABLE cells ({columns})")
        connection.executemany(f"INSERT INTO cells VALUES ({', '.join('?' for _ in used)})", rows)
        found = connection.execute(f"SELECT {', '.join(used)}, {sql(expr)} FROM cells").fetchall()
    for *row, value in found:
        assert holds(whole, value), (row, value)
        at = {
            name: Range(values=frozenset(), nullable=True) if cell is None else listed([cell])
            for name, cell in zip(used, row, strict=True)
        }
        inside = evaluate(expr, KNOWN | at)
        assert holds(inside, value), (row, value, inside)


@pytest.mark.parametrize(
    "text",
    ["YEAR(d)", "DATE_TRUNC('month', d)", "LAST_DAY(d)", "STRFTIME(d, '%Y-%m')", "DATE_DIFF('week', d, e)", "d + INTERVAL 3 MONTH", "MAKE_DATE(d, d, d)", "DAYNAME(d)"],
)  # fmt: skip
def test_the_form_fails_on_no_number_whatever(text):
    """Not even on numbers of days that no record can have, were the proof of bounds wrong."""
    expr = read(text.replace("d,", "n,").replace("d)", "n)") if "MAKE" in text else text)
    numbers = [0, FIRST, LAST, FIRST - 1, LAST + 1, 2**31, -(2**31), 2**62, -(2**62), 2**63 - 1, -(2**63), None]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE cells (d BIGINT, e BIGINT, n BIGINT)")
        connection.executemany("INSERT INTO cells VALUES (?, ?, ?)", [(n, n, n) for n in numbers])
        assert len(connection.execute(f"SELECT {sql(expr)} FROM cells").fetchall()) == len(numbers)


def test_days_and_dates_are_each_others_reverse():
    """In Python and in SQL, over the whole calendar."""
    for day in (FIRST, -1, 0, 19_782, LAST):
        assert days_of(iso(day)) == day
    with duckdb.connect() as connection:
        wrong = connection.execute(
            f"SELECT COUNT(*) FROM range({FIRST}, {LAST + 1}) AS r(n) WHERE {as_days(as_date('n'))} <> n"
        ).fetchall()
    assert wrong == [(0,)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_worth_what_it_shows(row):
    """Of constants, worked out while they are read."""
    for each in row.shows:
        found = read(each.text)
        assert isinstance(found, tree.Constant), each.text
        assert tree.told(found.value, found.type) == each.value, each.text
        if not each.own:
            with duckdb.connect() as connection:
                value = connection.execute(f"SELECT {each.text}").fetchall()[0][0]
            assert (value.isoformat()[:10] if isinstance(value, date) else value) == each.value, each.text


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("CURRENT_DATE", "unsupported", "depend on the day"),
        ("TODAY()", "unsupported", "depend on the day"),
        ("NOW()", "unsupported", "depend on the day"),
        ("CURRENT_TIMESTAMP", "unsupported", "depend on the day"),
        ("AGE(d)", "unsupported", "depend on the day"),
        ("YEAR(n)", "unsupported", "YEAR needs a date, and this is integer"),
        ("YEAR('soon')", "unsupported", "YEAR needs a date"),
        ("MONTH(t)", "unsupported", "MONTH needs a date, and this is text"),
        ("DATE_PART('hour', d)", "unsupported", "does not take this"),
        ("EXTRACT(epoch FROM d)", "unsupported", "does not take this"),
        ("DATE_PART(t, d)", "unsupported", "does not take this"),
        ("DATE_TRUNC('decade', d)", "unsupported", "does not take this"),
        ("DATE_DIFF('hour', d, e)", "unsupported", "does not take this"),
        ("DATE_TRUNC('month', n)", "unsupported", "needs a date"),
        ("DATE_TRUNC('month')", "syntax", ""),
        ("STRFTIME(d, t)", "unsupported", "as it is written"),
        ("STRFTIME(d, '%H:%M')", "unsupported", "does not take %H"),
        ("STRFTIME(d, '%')", "unsupported", "does not take %"),
        ("STRFTIME(d, '%-')", "unsupported", "does not take %-"),
        ("d + e", "unsupported", "date + date is not defined"),
        ("n - d", "unsupported", "integer - date is not defined"),
        ("d + 1.5", "unsupported", "is not defined"),
        ("d * 2", "unsupported", "date * integer is not defined"),
        ("-d", "unsupported", "needs numbers, and this is date"),
        ("d + INTERVAL 1 HOUR", "unsupported", "whole days"),
        ("d + INTERVAL (n) DAY", "unsupported", "as it is written"),
        ("d + INTERVAL '1 year 2 months'", "unsupported", "as it is written"),
        ("d + INTERVAL '1.5' MONTH", "unsupported", "whole days"),
        ("n + INTERVAL 1 DAY", "unsupported", "whole days"),
        ("INTERVAL 1 DAY", "unsupported", "INTERVAL is not accepted"),
        ("INTERVAL 1 DAY - d", "unsupported", "INTERVAL is not accepted"),
        ("d + INTERVAL 500 YEAR", "unsupported", "too long"),
        ("d + 4000000", "too_large", "leave the years"),
        ("DATE '9999-12-31' + 1", "too_large", "leaves the years"),
        ("DATE '9999-12-31' + INTERVAL 1 MONTH", "too_large", "leave the years"),
        ("MAKE_DATE(2025, 1)", "unsupported", ""),
        ("MAKE_DATE(2025, 1.5, 1)", "unsupported", "whole numbers"),
        ("LAST_DAY(n)", "unsupported", "needs a date"),
        ("STRPTIME(t, '%Y')", "unsupported", ""),
        ("d::TIMESTAMP", "unsupported", "type is not accepted"),
        ("EPOCH(d)", "unsupported", ""),
        ("CENTURY(d)", "unsupported", "CENTURY is not accepted"),
        ("TIME_BUCKET(INTERVAL 1 MONTH, d)", "unsupported", ""),
        ('"+ INTERVAL"(d, 3)', "unsupported", ""),
        ("CAST(d AS INTEGER)", "unsupported", "cannot be cast"),
        ("CAST(n AS DATE)", "unsupported", "cannot be cast"),
        ("CAST(d AS BOOLEAN)", "unsupported", "cannot be cast"),
    ],
)  # fmt: skip
def test_what_is_not_accepted_of_dates_says_so(text, code, word):
    """By name, with what would be accepted."""
    with pytest.raises(QueryRefused) as caught:
        evaluate(read(text), KNOWN)
    assert caught.value.code == code
    assert word in caught.value.message
    assert caught.value.accepted


def test_every_function_of_dates_is_tried():
    """No row is left out of the expressions above."""
    for row in ROWS:
        names = ("+ INTERVAL", "INTERVAL") if row.name == "+ INTERVAL" else (row.name,)
        assert any(f"{name}(" in text or f"{name} " in text for name in names for text in (*ALIKE, *OVER_TWO)), (
            row.name
        )


# -- in questions


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_example_of_each_is_answered(row, exactly):
    """Over events, or reviews."""
    table = "review" if "school_year" in row.example else "attendance_event"
    ((number,),) = exactly(f"SELECT COUNT({row.example}) AS n FROM {table}").values()
    assert number > 0


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("YEAR(event_date) = 2025 AND MONTH(event_date) = 2", 28),
        ("DATE_TRUNC('month', event_date) = DATE '2025-02-01'", 28),
        ("DATE_TRUNC('month', event_date) IN ('2025-02-01', '2025-04-01')", 58),
        ("STRFTIME(event_date, '%Y-%m') = '2025-02'", 28),
        ("MONTH(event_date) = 2", 56),
        ("ISODOW(event_date) >= 6 AND event_date < '2024-09-01'", 17),
        ("event_date - 3 > '2026-06-01'", 26),
        ("event_date + INTERVAL 1 MONTH = '2025-02-28'", 4),
        ("LAST_DAY(event_date) = '2025-02-28'", 28),
        ("DATE_DIFF('day', '2025-02-01', event_date) BETWEEN 0 AND 6", 7),
        ("CASE WHEN MONTH(event_date) >= 7 THEN YEAR(event_date) + 1 ELSE YEAR(event_date) END = 2025", 365),
        ("event_date = MAKE_DATE(2025, 2, 3)", 1),
        ("MAKE_DATE(YEAR(event_date), 2, 3) = event_date", 2),
        ("YEAR(event_date) = 2031", 0),
        ("NOT (MONTH(event_date) <> 2)", 56),
        ("COALESCE(YEAR(event_date), 2025) = 2026", 181),
    ],
)
def test_a_condition_on_a_function_of_a_date_is_a_pin(condition, rows, vault, exactly):
    """It leaves a student a row for each day on which it can be true, and no student has more."""
    sql_text = f"SELECT COUNT(*) AS n FROM attendance_event WHERE {condition}"
    plan = planned(vault.catalog, sql_text, vault.catalog.cohorts)
    if not rows:
        assert plan.statistics == ()
        return
    assert plan.statistics[0].contribution.rows == rows
    table = vault.catalog.tables["attendance_event"]
    known = declared_environment(table)
    text = condition.replace("event_date", "d")
    column = {"d": tree.Column("event_date", tree.DATE)}
    left = assume((convert(Scope(Source(text), [Named("", column)], owner=""), condition_of(Source(text))),), known)
    with vault.cursor() as cursor:
        own = f"SELECT {as_date('event_date')} AS event_date FROM attendance_event"
        there = cursor.execute(f"SELECT DISTINCT {as_days('event_date')} FROM ({own}) WHERE {condition}").fetchall()
        size = cursor.execute(f"SELECT COUNT(*) FROM ({own}) WHERE {condition}").fetchall()[0][0]
    assert all(holds(left["event_date"], day) for (day,) in there)
    assert exactly(sql_text) == {(): (size,)}


def test_a_pin_by_a_function_keeps_null_where_it_may_be_true():
    """A condition that is true of NULL leaves NULL; any other does not."""
    known = {"e": KNOWN["e"]}
    assert assume((read("COALESCE(YEAR(e), 2025) = 2025"),), known)["e"].nullable
    assert not assume((read("YEAR(e) = 2025"),), known)["e"].nullable
    assert assume((read("YEAR(e) IS NULL"),), known)["e"] == listed([], nullable=True)


KEYS = [
    ("DATE_TRUNC('month', event_date)", 24, 31),
    ("DATE_TRUNC('year', event_date)", 3, 365),
    ("DATE_TRUNC('week', event_date)", 105, 7),
    ("STRFTIME(event_date, '%Y-%m')", 24, 31),
    ("MONTH(event_date)", 12, 62),
    ("DAYNAME(event_date)", 7, 105),
    ("ISODOW(event_date) >= 6", 2, 400),
    ("CASE WHEN MONTH(event_date) >= 7 THEN YEAR(event_date) + 1 ELSE YEAR(event_date) END", 2, 365),
    ("LAST_DAY(event_date)", 24, 31),
    ("EXTRACT(week FROM event_date)", 52, 16),
]


@pytest.mark.parametrize(("key", "groups", "per_group"), KEYS)
def test_groups_by_a_function_of_a_date_are_listed(key, groups, per_group, vault, exactly):
    """All that can be, each once; every event is in one; a student has as many rows in it as days lead there."""
    sql_text = f"SELECT {key} AS k, COUNT(*) FROM attendance_event GROUP BY k"
    (statistic,) = planned(vault.catalog, sql_text, vault.catalog.cohorts).statistics
    assert (len(statistic.keys.rows), statistic.contribution.rows_per_group) == (groups, per_group)
    found = exactly(sql_text)
    with vault.cursor() as cursor:
        own = f"SELECT {as_date('event_date')} AS event_date FROM attendance_event"
        expected = dict(cursor.execute(f"SELECT {key} AS k, COUNT(*) FROM ({own}) GROUP BY k").fetchall())
    days = {k if not isinstance(k, date) else days_of(k.isoformat()[:10]): n for k, n in expected.items()}
    assert {k: n for (k,), (n,) in found.items() if n} == days


def test_a_question_by_month_keeps_only_the_months_that_where_leaves(exactly):
    """The first and the last month among them."""
    sql_text = (
        "SELECT DATE_TRUNC('month', event_date) AS m, COUNT(*) FROM attendance_event "
        "WHERE event_date BETWEEN '2024-12-31' AND '2025-03-01' GROUP BY m"
    )
    assert [iso(month) for (month,) in exactly(sql_text)] == ["2024-12-01", "2025-01-01", "2025-02-01", "2025-03-01"]


def test_months_of_centuries_are_listed_without_their_days(catalog_file):
    """Beyond some thousand days the months come from the ends; weeks of three centuries are still listed."""
    from test_questions import wide  # noqa: PLC0415

    catalog = wide(catalog_file)
    for key, groups in (("DATE_TRUNC('month', event_date)", 3600), ("YEAR(event_date)", 300), ("MONTH(event_date)", 12), ("DATE_TRUNC('week', event_date)", 15_654)):  # fmt: skip
        plan = planned(catalog, f"SELECT {key} AS k, COUNT(*) FROM attendance_event GROUP BY k", catalog.cohorts)
        assert len(plan.keys.rows) == groups
        assert plan.statistics[0].contribution.rows_per_group == 400
    with pytest.raises(QueryRefused) as caught:
        planned(
            catalog,
            "SELECT STRFTIME(event_date, '%j') AS k, COUNT(*) FROM attendance_event GROUP BY k",
            catalog.cohorts,
        )
    assert caught.value.code == "keys_undeclared"
