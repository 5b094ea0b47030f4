"""What a row adds to a sum, whatever the row holds."""

from __future__ import annotations

import duckdb
import pytest

from engine.analysis.intervals import Range
from engine.compile import centred, folded
from engine.plan import _centred_double, _centred_exact
from engine.tree import BOOLEAN, DOUBLE, INTEGER, NULL, Case, Column, Constant, Type


def integers(measure, kind, values):
    """What the SQL of a measure makes of values."""
    statement = f"SELECT {centred(measure, 'x')} FROM (SELECT unnest($1::{kind}[]) AS x)"
    with duckdb.connect() as connection:
        return [row[0] for row in connection.execute(statement, [values]).fetchall()]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 4), (0, 5), (7, 7), (-9, -2)])
def test_no_exact_number_adds_more_than_its_bound(low, high):
    """Beyond its range a number counts as the range's end; an odd range is doubled, and so is its bound."""
    measure = _centred_exact(Column("x", INTEGER), Range(low, high))
    values = [low - 10**9, low - 1, low, high, high + 1, 10**15]
    found = integers(measure, "BIGINT", values)
    assert max(map(abs, found)) == measure.bound
    clamped = [min(max(value, low), high) for value in values]
    assert [n * measure.unit + measure.offset for n in found] == clamped


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.1, 0.7), (1e6, 1e6 + 3), (-5e-7, 2e-9), (2.5, 2.5)])
def test_no_double_adds_more_than_its_bound(low, high):
    """Neither beyond its range, nor where it is infinite or not a number."""
    measure = _centred_double(Column("x", DOUBLE), Range(low, high))
    values = [low - 1e9, low, high, high + 1e9, float("inf"), float("-inf"), float("nan"), 1e300]
    found = integers(measure, "DOUBLE", values)
    assert max(map(abs, found)) <= measure.bound
    assert float(found[1] * measure.unit + measure.offset) == pytest.approx(low, abs=float(measure.unit))
    assert float(found[2] * measure.unit + measure.offset) == pytest.approx(high, abs=float(measure.unit))


def test_null_adds_nothing_after_centring():
    """Not the centre, not minus the centre: 0."""
    assert integers(_centred_exact(Column("x", INTEGER), Range(0, 5, nullable=True)), "BIGINT", [None]) == [0]
    assert integers(_centred_double(Column("x", DOUBLE), Range(0.0, 5.0, nullable=True)), "DOUBLE", [None]) == [0]


def test_a_folded_case_adds_what_it_would_unfolded():
    """Each branch and the ELSE, NULL among them, add their own centred integer."""
    flag, tenths = Column("b", BOOLEAN), Type("exact", 1)
    cases = [
        (Constant(4, INTEGER), Constant(10, INTEGER), INTEGER),
        (Constant(1, tenths), Constant(None, NULL), tenths),
        (Constant(None, NULL), Constant(9, tenths), tenths),
    ]
    for then, other, of in cases:
        case = Case(((flag, then),), other, of)
        measure = _centred_exact(case, Range(1, 10, nullable=True))
        with duckdb.connect() as connection:
            rows = connection.execute(f"SELECT {folded(measure)} FROM (VALUES (TRUE), (FALSE)) AS t(b)").fetchall()
        plain = [None if one.value is None else one.value * 10**of.scale for one in (then, other)]
        assert [row[0] for row in rows] == integers(measure, "BIGINT", plain)
