from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.contribution import Contribution, contribution, rows_basis
from engine.analysis.frames import Frame
from engine.analysis.intervals import Range, aligned, evaluate, listed, rounded
from engine.catalog import Cap, RangeTable, Table
from engine.expressions import Named, Scope, convert
from engine.keysets import KeyList
from engine.refusals import QueryRefused
from engine.source import Source
from engine.sql import sql
from engine.text import DIALECT
from engine.tree import BOOLEAN, DATE, DOUBLE, INTEGER, TEXT, Column, Relation, Scan, Type


def most_by_trying(rows, per_group, groups, bound):
    """The greatest squared norm over every way to lay a student's rows into groups."""
    ways = itertools.product(range(per_group + 1), repeat=groups)
    return max(sum((n * bound) ** 2 for n in way) for way in ways if sum(way) <= rows)


@given(st.integers(0, 7), st.integers(0, 4), st.integers(1, 4), st.integers(0, 3))
def test_the_sensitivity_is_the_worst_of_all_ways(rows, per_group, groups, bound):
    """The formula equals the maximum over every allocation of a student's rows to groups."""
    found = Contribution(rows, per_group, groups).l2_squared(bound) if rows and per_group else 0
    assert found == most_by_trying(rows, per_group, groups, bound)


def contributed(catalog, table, known, keys, groups):
    relation = Relation((Scan("t", "t"),), (), catalog.cohort)
    names = {"t": {name: name for name in table.columns}}
    catalog.tables = {"t": table}
    columns = tuple(Column(name, Type("exact")) for name in keys)
    frame = Frame(catalog, relation, {}, known, (), names)
    return contribution(frame, (), known, KeyList(columns, tuple(groups)))


def test_null_is_a_value_of_its_own_in_keys_caps_and_groups():
    """Where a column of a key, a cap or a group may be NULL, a student has rows for one value more.

    A catalog declares no such key or cap; whoever allows one day that it does must not lose this.
    """
    catalog = SimpleNamespace(owner="s", cohort="c")
    known = {"c": listed([2030]), "y": listed([1, 2], nullable=True), "k": listed([1, 2, 3], nullable=True)}
    columns = {name: Column(name, Type("exact")) for name in ("c", "y", "k")}
    keyed = Table("t", columns, public=False, unique=(("s", "y"),))
    capped = Table("t", columns, public=False, unique=(), caps=(Cap(5, ("y",)),))
    assert (rows_basis(catalog, keyed, known).rows, rows_basis(catalog, capped, known).rows) == (3, 15)
    groups = [(year,) for year in (1, 2, None)]
    assert contributed(catalog, keyed, known, ["y"], groups) == Contribution(3, 1, 3)
    both = [(year, k) for year in (1, 2, None) for k in (1, 2, 3, None)]
    assert contributed(catalog, capped, known, ["y", "k"], both) == Contribution(15, 5, 12)


def test_a_range_table_bounds_by_the_rows_that_can_occur():
    """The union over the rows whose keys can occur, and over all of them where a key is not known."""
    points = Column("points", Type("exact"))
    table = RangeTable(
        "span", ("exam", "grade"), "low", "high", ((("a", 3), 0, 9), (("a", 4), 5, 30), (("b", 3), -7, 1))
    )
    own = Range(-7, 30, None, nullable=True, by=table)
    known = {"points": own, "exam": listed(["a", "b"]), "grade": Range(3, 4)}

    def found(**narrowed):
        return evaluate(points, {**known, **narrowed})

    assert found() == Range(-7, 30, None, nullable=True)
    assert found(exam=listed(["a"])) == Range(0, 30, None, nullable=True)
    assert found(grade=Range(3, 3)) == Range(-7, 9, None, nullable=True)
    assert found(exam=listed(["a"]), points=replace(own, high=20, nullable=False)) == Range(0, 20, None)
    assert found(exam=Range(values=frozenset(), nullable=True)) == Range(values=frozenset(), nullable=True)
    assert evaluate(points, {"points": own}) == Range(-7, 30, None, nullable=True)


def test_a_key_column_without_a_list_or_ends_bounds_nothing():
    """What a key leaves of a student's rows is counted from lists, whole numbers and days; else the own cap stands."""
    catalog = SimpleNamespace(owner="s", cohort="c")
    known = {"c": listed([2030]), "u": Range(1, 9)}

    def rows(of, found):
        columns = {"c": Column("c", INTEGER), "u": Column("u", of)}
        table = Table("t", columns, public=False, unique=(("s", "u"),), rows_per_student_max=40)
        return rows_basis(catalog, table, {**known, "u": found}).rows

    assert rows(INTEGER, Range(1)) == rows(DOUBLE, Range(1, 9)) == rows(Type("exact", 1), Range(1, 9)) == 40
    assert rows(INTEGER, listed([4])) == 1
    assert rows(INTEGER, Range(1, 9)) == rows(DATE, Range(19_001, 19_009)) == 9
    assert rows(INTEGER, Range(Fraction(1, 2), 9)) == 9
    assert rows(DATE, Range(19_001, 19_009, None, nullable=True)) == 10


NAMES = {
    "i": Column("i", Type("exact")),
    "j": Column("j", Type("exact")),
    "d": Column("d", Type("exact", 1)),
    "x": Column("x", DOUBLE),
    "b": Column("b", BOOLEAN),
    "t": Column("t", TEXT),
}
VALUES = {
    "i": [-3, 0, 2, None],
    "j": [1, 5],
    "d": [-15, 0, 25, None],
    "x": [-1.5, 0.0, 2.25, None],
    "b": [True, False, None],
    "t": ["a", "b", None],
}
EXPRESSIONS = [
    "i + j", "i - d", "i * j * d", "-i", "d / j", "i / d", "x * i", "x - 0.5", "i + NULL",
    "CAST(d AS INTEGER)", "CAST(x AS INTEGER)", "CAST(x AS DECIMAL(4, 2))", "CAST(i AS DECIMAL(3, 2))", "CAST(i AS DOUBLE)",
    "CAST(b AS INTEGER)", "CAST(d AS TINYINT) * 3", "CAST(1000 * j AS TINYINT)",
    "COALESCE(i, d, 7)", "COALESCE(i, 0)", "NULLIF(i, 0)", "NULLIF(j, 5)", "IF(b, i, d)", "IF(b IS NULL, 1, 2)",
    "CASE WHEN i > 0 THEN i WHEN b THEN d ELSE j END", "CASE t WHEN 'a' THEN 1 WHEN 'b' THEN 2 END",
    "CASE WHEN d BETWEEN 0 AND 2 THEN d END", "CASE WHEN x BETWEEN 0 AND 2 THEN x END",
    "i < j", "i <= d", "d = 2.5", "d <> 2.5", "i = j", "t = 'a'", "t <> 'c'", "t < 'b'", "b = TRUE", "x > 2", "d >= 0.05",
    "i IN (0, 2)", "i IN (1.5, 2)", "t IN ('a', 'z')", "i IN (9)", "i IN (0, NULL)", "NOT b", "NOT (i < 0)", "b AND i > 0",
    "b OR i > 0", "i IS NULL", "x IS NOT NULL", "b IS TRUE", "b IS FALSE", "i BETWEEN -1 AND j", "b = 1", "NULL = 1",
    "CASE WHEN i > -5 THEN 1 ELSE 2 END", "CAST(-100 * j AS TINYINT)", "COALESCE(i, d)", "j < x", "j > i", "i / (d - 2.4)", "j / (j - 1)", "t = 'it''s'", "t IN ('a', 'a''b')", "CAST(b AS DECIMAL(4, 2))", "i IN (-3, 0)", "i <= -3", "i < 3",
    "(i > 5 AND b) OR (d < 0 AND NOT b)", "i > 100 AND b", "i > 100 OR TRUE",
]  # fmt: skip


@pytest.fixture(scope="module")
def database():
    connection = duckdb.connect()
    connection.execute("CREATE TABLE r (i BIGINT, j BIGINT, d BIGINT, x DOUBLE, b BOOLEAN, t VARCHAR)")
    rows = list(itertools.product(*VALUES.values()))
    connection.executemany("INSERT INTO r VALUES (?, ?, ?, ?, ?, ?)", rows)
    return connection


def tree_of(text):
    source = Source(text)
    (statement,) = DIALECT.parser().parse(list(DIALECT.tokenize(f"SELECT {text}")), f"SELECT {text}")
    return convert(Scope(source, [Named("", NAMES)], owner=""), statement.expressions[0])


def ranges():
    known = {
        name: listed([v for v in values if v is not None], nullable=None in values) for name, values in VALUES.items()
    }
    known["d"] = listed([Fraction(v, 10) for v in VALUES["d"] if v is not None], nullable=True)
    return known


def bounded():
    """The same where numbers have ends and no list."""
    return {name: own if own.low is None else replace(own, values=None) for name, own in ranges().items()}


def unbounded():
    """The same where nothing is known of one number."""
    return {**bounded(), "i": Range(nullable=True)}


@pytest.mark.parametrize("known", [ranges, bounded, unbounded])
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_no_row_leaves_the_range_that_was_proved(text, known, database):
    """Every value DuckDB computes from our SQL, over all combinations of cells, lies in the abstract range."""
    expr = tree_of(text)
    try:
        found = evaluate(expr, known())
    except QueryRefused as refusal:
        assert (known, refusal.code) == (unbounded, "bounds_missing")  # noqa: PT017 - where it is not refused, it is proved
        return
    values = {row[0] for row in database.execute(f"SELECT DISTINCT {sql(expr)} FROM r").fetchall()}
    unit = 10**expr.type.scale if expr.type.kind == "exact" else 1
    assert None not in values or found.nullable
    for value in values - {None}:
        own = value if isinstance(value, bool | str | float) else Fraction(value, unit)
        assert found.values is None or own in found.values
        if not isinstance(value, bool | str):
            assert found.low is None or found.low <= own
            assert found.high is None or own <= found.high
    for child, scale in aligned(expr):
        assert scale >= child.type.scale


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_our_sql_means_what_the_researchers_sql_means(text, database):
    """Our SQL over scaled integers gives what DuckDB gives for the original text over natural columns."""
    expr = tree_of(text)
    scale = 10**expr.type.scale if expr.type.kind == "exact" else None
    ours = database.execute(f"SELECT {sql(expr)} FROM r ORDER BY rowid").fetchall()
    natural = "SELECT i, j, (d * 0.1)::DECIMAL(4, 1) AS d, x, b, t FROM r ORDER BY rowid"
    try:
        theirs = database.execute(f"SELECT {text} FROM ({natural}) AS r").fetchall()
    except Exception:  # noqa: BLE001 - where DuckDB fails on a value, ours is NULL
        return
    for (one,), (two,) in zip(ours, theirs, strict=True):
        if one is None and isinstance(two, float) and not math.isfinite(two):
            continue  # DuckDB divides decimals by 0 to infinity; ours is NULL, as with integers
        if one is None or two is None:
            assert one is None and two is None, text  # noqa: PT018 - both or neither
        elif isinstance(one, bool | str):
            assert one == two
        elif "AS INTEGER" in text and "x" in text:
            assert abs(one - two) <= 1  # DuckDB rounds a DOUBLE half to even, we round half away from zero
        else:
            assert (one / scale if scale else one) == pytest.approx(float(two), abs=1e-9)


def test_a_double_is_cast_as_the_database_multiplies():
    """1.115 is a little less than its text and its product with 100 is 111.5, rounded: the range holds 112."""
    expr = tree_of("CAST(x AS DECIMAL(4, 2))")
    found = evaluate(expr, {"x": listed([1.115])})
    with duckdb.connect() as connection:
        ((units,),) = connection.execute(f"SELECT {sql(expr)} FROM (SELECT 1.115::DOUBLE AS x)").fetchall()
    assert units == 112
    assert found.low <= Fraction(units, 100) <= found.high


def test_a_double_that_is_no_whole_number_is_null():
    """Too large either way, infinite or not a number: NULL, and no failure that would tell of the record."""
    statement = f"SELECT {sql(tree_of('CAST(x AS BIGINT)'))} FROM (SELECT unnest($1::DOUBLE[]) AS x)"
    doubles = [1e300, -1e300, 2.0**62, -(2.0**62), math.inf, -math.inf, math.nan, 1.5, None]
    with duckdb.connect() as connection:
        found = connection.execute(statement, [doubles]).fetchall()
    assert [row[0] for row in found] == [None] * 7 + [2, None]


def test_arithmetic_that_does_not_fit_is_null():
    """The analysis proves that it fits; were it wrong, a record's number would be NULL and fail nobody's question."""
    statement = f"SELECT {sql(tree_of('i * j + j'))} FROM (SELECT unnest($1::BIGINT[]) AS i, 4 AS j)"
    with duckdb.connect() as connection:
        found = connection.execute(statement, [[2**62, -(2**62), 2, None]]).fetchall()
    assert [row[0] for row in found] == [None, None, 12, None]


def test_rounding_is_half_away_from_zero():
    """Casts and bounds round alike."""
    assert [rounded(value, 0) for value in (2.5, -2.5, 1.4999, -0.5)] == [3, -3, 1, -1]
