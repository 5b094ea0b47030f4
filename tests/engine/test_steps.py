"""Questions built from one value per student."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.parse import parse
from engine.plan import make_plan
from engine.source import Source

OWN = Path(__file__).parents[1] / "questions" / "per_student.sql"


def questions(path: Path) -> list[tuple[str, str]]:
    found, name = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("--"):
            name = line[3:].split(" | ")[0]
        elif line:
            found.append((name, line.removesuffix(";")))
    return found


@pytest.mark.parametrize(("name", "sql"), questions(OWN))
def test_questions_built_from_one_value_per_student_are_planned(name, sql, canonical):
    """Each of our own questions has a plan."""
    plan = make_plan(Source(sql), parse(sql, canonical), canonical, frozenset(canonical.cohorts))
    print(name, [(s.label, s.l2_squared, s.contribution, len(s.cohorts)) for s in plan.statistics])
    assert plan.statistics
