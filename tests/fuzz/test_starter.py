"""The starter catalog's claims: reached exactly by some student of a small invented district."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest
from neighbours.compare import examine, rows_of_others
from neighbours.pairs import Pairs, neighbour, vault_of
from neighbours.questions import Node, Output, Question

from engine.catalog_file import read_catalog


@pytest.fixture(scope="module")
def pairs(tables, starter, tmp_path_factory):
    """The district, and the district without the student who has the most course grades."""
    declared, folder = read_catalog(starter), tmp_path_factory.mktemp("starter") / "vault"
    counts = tables["course_grade"]["student_key"].value_counts()
    busiest = max(counts, key=lambda row: row["counts"].as_py())["values"].as_py()
    left = {
        name: table if declared.tables[name].public else table.filter(pc.not_equal(table["student_key"], busiest))
        for name, table in tables.items()
    }
    whole = vault_of(declared, tables, folder)
    found = Pairs(whole.catalog, whole, [neighbour(whole, busiest, vault_of(declared, left, folder))])
    yield found
    found.close()


@pytest.mark.slow
def test_the_busiest_student_changes_nobody_elses_records(pairs):
    """The loader keeps of each student what that student alone decides."""
    rows_of_others(pairs)


COUNT = Output("COUNT({0})", Node("number", "*"))
DISADVANTAGED = Node("boolean", "econ_disadv")


@pytest.mark.parametrize(
    ("table", "output", "where", "keys"),
    [
        ("student", COUNT, None, ()),
        ("graduation", COUNT, None, ()),
        ("student_year", COUNT, "school_year = 2025", ()),
        ("student_year", COUNT, "school_year IN (2024, 2025)", ()),
        ("student_year", COUNT, "school_year IN (2024, 2025)", ("school_year",)),
        ("student_year", COUNT, "school_year = 2025", ("grade_level",)),
        ("student_year", Output("SUM(CASE WHEN {0} THEN 1 ELSE 0 END)", DISADVANTAGED), "school_year = 2025", ()),
        ("student_year", Output("AVG({0})", DISADVANTAGED), "school_year BETWEEN 2023 AND 2025", ()),
    ],
)
def test_the_claim_is_reached(pairs, table, output, where, keys):
    """Where one student can use a bound to the full, one does: the claim is not loose."""
    conjuncts = () if where is None else (Node("boolean", where),)
    found = examine(pairs, Question(table, (output,), conjuncts, keys, pairs.catalog.cohorts), again=True, deep=True)
    assert found
    assert all(reached.fully for reached in found)
