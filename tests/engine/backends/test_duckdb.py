"""What is fetched from the database lies on the key list and on nothing else."""

from __future__ import annotations

import pytest

from engine.backends.duckdb import placed
from engine.keysets import KeyList
from engine.tree import BOOLEAN, INTEGER, TEXT, Column

KEYS = KeyList(
    (Column("grade", TEXT), Column("flag", BOOLEAN)),
    (("09", True), ("09", False), ("09", None), (None, True), ("10", False)),
)


def test_fetched_groups_lie_in_the_order_of_the_key_list():
    """Empty groups are 0, NULL is a group of its own, and a group that is not on the list is dropped."""
    fetched = [(None, True, 4, -4), ("09", None, 3, -3), ("11", True, 9, -9), ("09", True, 1, -1)]
    assert [vector.tolist() for vector in placed(fetched, KEYS, 2)] == [[1, 0, 3, 4, 0], [-1, 0, -3, -4, 0]]


def test_no_rows_are_all_zero():
    """Neighbours in an empty table have the same groups as everybody."""
    assert [vector.tolist() for vector in placed([], KEYS, 1)] == [[0] * 5]


@pytest.mark.parametrize(
    "fetched",
    [
        [("09", True, 1), ("09", True, 2)],
        [("09", True, 1.0)],
        [("09", True, None)],
        [("09", True, 1, 2)],
        [("09", True)],
    ],
)
def test_what_the_statement_did_not_promise_is_refused(fetched):
    """A group twice, a number that is no whole one, a row of another length."""
    with pytest.raises(ValueError, match=r"^$"):
        placed(fetched, KEYS, 1)


def test_whole_numbers_are_keys_too():
    """Integers match as integers."""
    keys = KeyList((Column("year", INTEGER),), ((2024,), (2025,)))
    assert placed([(2025, 7)], keys, 1)[0].tolist() == [0, 7]
