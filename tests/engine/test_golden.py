from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.parse import parse
from engine.planning import make_plan
from engine.refusals import QueryRefused
from engine.source import Source

if TYPE_CHECKING:
    from fractions import Fraction

    from engine.catalog import Catalog
    from engine.plan import Plan
    from engine.statistic import Statistic

spec = importlib.util.spec_from_file_location("golden", Path(__file__).parent / "golden.py")
assert spec is not None
assert spec.loader is not None
golden = importlib.util.module_from_spec(spec)
import sys  # noqa: E402

sys.modules["golden"] = golden
spec.loader.exec_module(golden)

ACCEPTED, REFUSED = golden.read("accepted"), golden.read("refused")


def plan_of(sql: str, catalog: Catalog) -> Plan:
    return make_plan(Source(sql), parse(sql, catalog), catalog, frozenset(catalog.cohorts))


def described(statistic: Statistic, weight: Fraction) -> tuple[str, ...]:
    years = f"{statistic.cohorts[0]}-{statistic.cohorts[-1]}"
    assert list(statistic.cohorts) == list(range(statistic.cohorts[0], statistic.cohorts[-1] + 1))
    return statistic.label, str(statistic.l2_squared), years, str(weight)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.place)
def test_an_accepted_question_measures_what_stands_over_it(case, canonical):
    """The statistics, sensitivities and cohorts of each golden question are those derived by hand."""
    plan = plan_of(case.sql, canonical)
    found = sorted(described(s, w) for s, w in zip(plan.statistics, plan.weights, strict=True))
    assert found == sorted(case.expected)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.place)
def test_a_refused_question_says_what_where_and_what_instead(case, canonical):
    """Each refusal has its code, its place, and what would be accepted."""
    with pytest.raises(QueryRefused) as caught:
        plan_of(case.sql, canonical)
    refusal = caught.value
    place = "-" if refusal.line is None else f"{refusal.line}:{refusal.column}"
    ((code, where, accepted),) = case.expected
    assert (refusal.code, place) == (code, where)
    assert accepted in (refusal.accepted or "")
