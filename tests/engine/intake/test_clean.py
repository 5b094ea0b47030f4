"""What one cell becomes, without a load around it."""

from __future__ import annotations

import math

import duckdb
import pyarrow as pa
import pytest

from engine.catalog import Column
from engine.intake.cleaning import ACCEPTED, BLANK, MACROS, WRONG, clean
from engine.tree import DOUBLE, TEXT, Type


def cleaned(column, texts):
    with duckdb.connect() as connection:
        connection.execute(MACROS)
        cells = clean(connection, column, pa.chunked_array([pa.array(texts, pa.string())]))
    return list(zip(cells.values.to_pylist(), cells.statuses.to_pylist(), strict=True))


@pytest.mark.parametrize("text", ["1e400", "-1e999", "nan", "NaN", "inf", "-Infinity", "1e", "0x10", "1_0", "1 0"])
def test_a_double_that_is_no_finite_number_is_not_accepted(text):
    """Infinity passes every sum on, and NaN every clamp."""
    assert cleaned(Column("x", DOUBLE, nullable=True), [text]) == [(None, WRONG)]


def test_a_text_that_lost_its_zeros_is_as_the_list_has_it():
    """9 is 09 where the list has no 9; nothing else is guessed."""
    column = Column("grade", TEXT, ("09", "10", "KG", "1", "01"), nullable=True)
    found = cleaned(column, ["9", "09", "009", "1", "10", "kg"])
    assert [value for value, _ in found] == ["09", "09", None, "1", "10", None]


def test_a_double_has_one_zero():
    """Minus nought is nought, so that equal numbers are equal rows; what is too small to be held is nought too."""
    found = cleaned(Column("x", DOUBLE), ["-0", "-0.0", "0", "-1e-400"])
    assert [status for _, status in found] == [ACCEPTED] * 4
    assert [math.copysign(1, value) for value, _ in found] == [1.0] * 4


def test_an_exact_number_is_never_rounded():
    """More places than are declared are accepted only where they say nothing."""
    column = Column("d", Type("exact", 1), nullable=True)
    texts = ["1.5", "1.50", "1.54", "15e-1", "0.05", "", None]
    values = [
        (15, ACCEPTED),
        (15, ACCEPTED),
        (None, WRONG),
        (15, ACCEPTED),
        (None, WRONG),
        (None, BLANK),
        (None, BLANK),
    ]
    assert cleaned(column, texts) == values
