"""What is so in every ledger at every moment, read by statements of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.stores import balances as sums

if TYPE_CHECKING:
    from budgets.ledger import Ledger

UNPAID = """
SELECT entry, cohort FROM (
  SELECT entry, cohort, nanorho, attodelta FROM charges
  UNION ALL SELECT d.entry, c.value, -d.nanorho, -d.attodelta FROM draws d, json_each(d.cohorts) c)
GROUP BY 1, 2 HAVING sum(nanorho) <> 0 OR sum(attodelta) <> 0
"""
TWICE = "SELECT entry, statistic FROM measurements GROUP BY 1, 2 HAVING count(*) > 1"
UNCHARGED = """
SELECT m.id FROM measurements m LEFT JOIN charges c USING (entry) WHERE c.entry IS NULL
UNION ALL SELECT r.id FROM releases r LEFT JOIN progress p ON p.entry = r.id WHERE p.entry IS NULL
"""
HALVES = """
SELECT p.entry FROM progress p JOIN draws d USING (entry) LEFT JOIN measurements m USING (entry, statistic)
WHERE (p.state = 'measured') <> (m.id IS NOT NULL)
"""


def assert_in_order(ledger: Ledger) -> None:
    """Balances are the sums of their charges, within their caps; every measurement belongs to one paid draw."""
    database = ledger._database
    assert sums.wrong(database) == []
    for wrong in (UNPAID, TWICE, UNCHARGED, HALVES):
        assert database.rows(wrong) == []
