"""Interval rules and total forms of functions of numbers, over hostile values."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from fractions import Fraction

import duckdb
import pytest

from engine.analysis.intervals import aligned, evaluate, fitting
from engine.functions import FUNCTIONS, Native
from engine.parse import parse
from engine.ranges import Range, listed
from engine.refusals import QueryRefused
from engine.sql import sql

NUMBERS = ("i", "j", "h", "d", "e", "x", "y")
UNARY = ("ABS", "SIGN", "ROUND", "TRUNC", "FLOOR", "CEIL", "SQRT", "CBRT", "EXP", "LN", "LOG", "LOG2", "LOG10", "DEGREES", "RADIANS", "SIN", "COS", "ATAN", "TANH")  # fmt: skip
EXPRESSIONS = [
    *(f"{name}({column})" for name in UNARY for column in NUMBERS),
    *(f"{name}({column}, {digits})" for name in ("ROUND", "TRUNC") for column in NUMBERS for digits in (-3, -1, 0, 1, 2, 9)),
    *(f"POWER({column}, {power})" for column in NUMBERS for power in ("0", "1", "2", "3", "0.5", "1.5", "10")),
    *(f"({one} {op} {two})" for op in ("%", "//") for one, two in itertools.product(NUMBERS, NUMBERS)),
    *(f"({one} % {constant})" for one in NUMBERS for constant in ("7", "-7", "0", "2.5", "CAST(0.5 AS DOUBLE)")),
    *(f"{name}({one}, {two})" for name in ("GREATEST", "LEAST") for one, two in itertools.combinations(NUMBERS, 2)),
    *(f"{name}({column}, {constant})" for name in ("GREATEST", "LEAST") for column in NUMBERS for constant in ("0", "NULL", "0.5", "100")),
    "GREATEST(i, j, d)", "LEAST(i, NULL, d, 3)", "GREATEST(NULL, NULL)", "LN(j / 10)", "SQRT(j - 3)", "EXP(x / 100)",
    "ABS(i - d)", "ROUND(i / j, 2)", "FLOOR(d / j)", "ROUND(d * e, 1)", "ABS(CAST(b AS INTEGER) - 1)", "GREATEST(d, 0) % 3",
    "CASE WHEN SQRT(ABS(x)) < 1 THEN LN(x) END", "LOG(2, j)", "LOG(10, e)",
    "i IS DISTINCT FROM j", "i IS NOT DISTINCT FROM 2", "d IS DISTINCT FROM NULL", "x IS NOT DISTINCT FROM d", "b IS DISTINCT FROM TRUE",
]  # fmt: skip


OFTEN = {
    "CBRT(h)", "ROUND(d)", "LEAST(i, h)", "(e % 2.5)", "(j % i)", "EXP(x)", "FLOOR(d)",
    *EXPRESSIONS[::6],
}  # fmt: skip
"""What is tried whenever tests are run; all else before a change is done."""


def tried(texts):
    return [pytest.param(text, marks=() if text in OFTEN else pytest.mark.slow) for text in texts]


@pytest.fixture(scope="module")
def rows(tools):
    """Rows of hostile cells: every value of each column, in several mixtures."""
    columns = list(tools.cells.values())
    length = 120
    return [
        tuple(values[(at * (2 * place + 1) + at // 7) % len(values)] for place, values in enumerate(columns))
        for at in range(length)
    ]


@pytest.fixture(scope="module")
def database(rows):
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE r (i BIGINT, j BIGINT, h BIGINT, d BIGINT, e BIGINT, x DOUBLE, y DOUBLE, b BOOLEAN, t VARCHAR)"
    )
    connection.executemany("INSERT INTO r VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return connection


def bounded(tools):
    """What is known where numbers have ends and no list."""
    known = tools.known()
    return {
        name: own if own.low is None else Range(own.low, own.high, None, own.nullable) for name, own in known.items()
    }


def cell_known(tools, row):
    """What is known of the columns where each has one value."""
    nothing = Range(values=frozenset(), nullable=True)
    cells = zip(tools.names, row, strict=True)
    return {
        name: nothing if cell is None else listed([tools.unscaled(cell, tools.names[name].type)])
        for name, cell in cells
    }


@pytest.mark.parametrize("text", tried(EXPRESSIONS))
def test_no_row_fails_or_leaves_the_range(text, tools, database, rows):
    """DuckDB computes our SQL on every row, and the value lies in the interval rule's range: of lists, of bounds, and of the row's own cells."""
    try:
        expr = tools.tree(text)
    except QueryRefused as refused:
        assert refused.code == "unsupported"  # noqa: PT017 - // of what is no whole number
        return
    found = [
        tools.unscaled(value, expr.type)
        for (value,) in database.execute(f"SELECT {sql(expr)} FROM r ORDER BY rowid").fetchall()
    ]
    for known in (tools.known(), bounded(tools)):
        try:
            fitting(expr, known)
            claimed = evaluate(expr, known)
        except QueryRefused as refused:
            assert refused.code in ("too_large", "bounds_missing")  # noqa: PT017 - no answer is no claim
            continue
        assert not [value for value in found if not tools.within(value, claimed)]
    for row, value in zip(rows, found, strict=True):
        own = cell_known(tools, row)
        try:
            fitting(expr, own)
            claimed = evaluate(expr, own)
        except QueryRefused:
            continue
        assert tools.within(value, claimed), row
    for child, scale in aligned(expr):
        assert scale >= child.type.scale


@pytest.mark.parametrize("text", tried(text for text in EXPRESSIONS if "DISTINCT" not in text or "x" not in text))
def test_it_is_what_duckdbs_own_function_gives(text, tools, database, rows):
    """On exact decimals and doubles; where DuckDB fails or gives no finite number, ours is NULL."""
    try:
        expr = tools.tree(text)
    except QueryRefused:
        return
    natural = "SELECT i, j, h, (d * 0.1)::DECIMAL(7, 1) AS d, (e * 0.001)::DECIMAL(9, 3) AS e, x, y, b, t FROM r ORDER BY rowid"
    theirs = database.execute(f"SELECT TRY({text}) FROM ({natural}) AS r").fetchall()
    ours = database.execute(f"SELECT {sql(expr)} FROM r ORDER BY rowid").fetchall()
    for (one,), (two,), row in zip(ours, theirs, rows, strict=True):
        value, known = tools.unscaled(one, expr.type), cell_known(tools, row)
        try:
            fitting(expr, known)
            evaluate(expr, known)
        except QueryRefused:
            continue  # never asked of such a number
        if two is None or (isinstance(two, float) and not math.isfinite(two)):
            # at the largest whole numbers some of DuckDB's types overflow where ours hold
            assert value is None or "h" in text or "e" in text, text
        elif value is None:
            assert text.startswith("EXP"), text
        else:
            assert tools.alike(value, two) or (two != 0 and abs(float(value) / float(two) - 1) < 1e-9), text


def test_a_number_without_bounds_has_what_it_can_have(tools):
    """Whole numbers need no bounds for what stays exact; what goes through doubles asks for them."""
    known = {**tools.known(), "h": Range(nullable=True)}
    for text in ("ABS(h)", "SIGN(h)", "h % 7", "h // 7", "GREATEST(h, 0)", "LEAST(h, 0)", "ROUND(h, -2)"):
        assert evaluate(tools.tree(text), known) is not None
    assert evaluate(tools.tree("h % 7"), known) == Range(-6, 6, None, nullable=True)
    assert evaluate(tools.tree("GREATEST(h, 0)"), known) == Range(0, None, None, nullable=False)
    for text in ("SQRT(h)", "EXP(h)", "LN(h)", "POWER(h, 2)"):
        with pytest.raises(QueryRefused) as caught:
            evaluate(tools.tree(text), known)
        assert caught.value.code == "bounds_missing"
        assert caught.value.accepted


@pytest.mark.parametrize(
    ("text", "known", "low", "high", "nullable"),
    [
        ("ROUND(d)", Range(Fraction(-25, 10), Fraction(25, 10)), -3, 3, False),
        ("FLOOR(d)", Range(Fraction(-25, 10), Fraction(25, 10)), -3, 2, False),
        ("CEIL(d)", Range(Fraction(-25, 10), Fraction(25, 10)), -2, 3, False),
        ("TRUNC(d)", Range(Fraction(-25, 10), Fraction(25, 10)), -2, 2, False),
        ("ABS(d)", Range(-3, 2), 0, 3, False),
        ("ABS(d)", Range(-3, -2), 2, 3, False),
        ("d % 2", Range(0, 9), 0, Fraction(19, 10), False),
        ("d % 20", Range(0, 9), 0, 9, False),
        ("GREATEST(d, 1)", Range(0, 9, None, nullable=True), 1, 9, False),
        ("LEAST(d, 1)", Range(0, 9), 0, 1, False),
        ("SIGN(d)", Range(0, 9), 0, 1, False),
    ],
)
def test_the_rules_are_tight(text, known, low, high, nullable, tools):
    """Ends that occur are ends that are proved."""
    assert evaluate(tools.tree(text), {"d": known}) == Range(low, high, None, nullable)


@pytest.mark.parametrize(
    "row",
    [row for row in FUNCTIONS if isinstance(row.how, Native) and row.family != "dates"],  # in tests/attendance
    ids=lambda row: row.name,
)
def test_every_native_function_is_tried(row):
    """No row of the table is left out of the expressions above."""
    names = (row.name, *row.names)
    assert any(f"{name}(" in text or f" {name} " in text for name in names for text in EXPRESSIONS)


@pytest.mark.parametrize("name", ["SQRT", "LN", "ABS", "ROUND", "EXP", "FLOOR"])
@pytest.mark.parametrize("depth", [12, 18, 40])
def test_nesting_is_answered_or_refused(name, depth, canonical):
    """Forms that repeat their argument grow until the text is too long, and are refused then, in no time."""
    began = time.process_time()
    with contextlib.suppress(QueryRefused):
        query = parse(f"SELECT COUNT(*) FROM student_year WHERE {f'{name}(' * depth}gpa{')' * depth} > 0", canonical)
        assert len(sql(query.where[0])) <= 200_000
    assert time.process_time() - began < 2
