"""Standard errors beside the best plan an expert would write by hand from the same loss.

    python tests/bench/errors.py [FILE.sql …]

For each question the expert knows the schema and measures the fewest integer vectors: of a count and a part of it
the two exclusive parts as one vector, of an average the sum about the middle of its bounds and the count; the loss is
shared equally. Errors are exact functions of the plans (no record, no draw), in a cell of a thousand rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine import forms, margins
from engine.preparation import planned

if TYPE_CHECKING:
    from engine.catalog import Catalog
    from engine.plan import Plan

ROWS = 1_000
Hand = dict[str, Callable[[], float]]


def draw(sensitivity: float, share: float) -> float:
    """The variance of a Gaussian of this L2 sensitivity for a share of ρ = 1."""
    return sensitivity**2 / (2 * share)


def rate(p: float, share: float = 1.0) -> float:
    """Of a share p of the rows, by a vector of those in it and those not."""
    return ((1 - p) ** 2 + p**2) * draw(1, share) / ROWS**2


def mean(about: float, half: float, count: float, share: float) -> float:
    """Of an average `about` from the middle of bounds ± half, its count of variance `count`."""
    return (draw(half, share) + about**2 * count) / ROWS**2


@dataclass(frozen=True)
class Expected:
    """What an expert gets: the variance of a column, and the value it is meant at."""

    variance: float
    value: float = 0.0


COUNT = Expected(draw(1, 1))
WHOLE, PART = Expected(2 * draw(1, 1)), Expected(draw(1, 1))
SHARED_WHOLE = Expected(2 * draw(1, 1 / 2))

BY_HAND: dict[str, dict[str, Expected]] = {
    "Q01": {"students": COUNT},
    "Q02": {"students": COUNT},
    "Q03": {"pct_econ": Expected(rate(0.4), 0.4)},
    "Q04": {"students": WHOLE, "chronically_absent": PART},
    "Q05": {"chronic_rate": Expected(rate(0.2), 0.2)},
    "Q07": {"tested": WHOLE, "proficient": PART},
    "Q08": {"n": COUNT},
    "Q10": {"cohort": WHOLE, "graduates": PART},
    "Q11": {"cohort": WHOLE, "graduates": PART},
    "Q14": {"mobility": Expected(rate(0.1), 0.1)},
    "Q17": {"ap_students": COUNT},
    "Q19": {"cohort": WHOLE, "graduates": PART},
    "Q22": {"mean_gain": Expected(mean(10, 500, draw(1, 1 / 2), 1 / 2), 10.0), "n": SHARED_WHOLE},
    "Q23": {"n": WHOLE, "grads": PART},
    "P01": {"students": WHOLE, "ever_proficient": PART},
    "P02": {"students": WHOLE, "persistently_absent": PART},
    "P03": {"mean_change": Expected(mean(0.5, 60, draw(1, 1 / 2), 1 / 2), 0.5)},
    "P04": {"students": COUNT},
    "P05": {"students": SHARED_WHOLE, "mean_gain": Expected(mean(20, 150, draw(1, 1 / 2), 1 / 2), 20.0)},
    "P06": {"cohort": WHOLE, "rate": Expected(rate(0.8), 0.8)},
    "P07": {"students": COUNT},
    "P08": {"days_absent": Expected(mean(10 - 100, 100, draw(1, 1 / 2), 1 / 2), 10.0)},
    "P09": {
        "mean_of_means": Expected(mean(3 - 2.5, 2.5 * 3, draw(3, 1 / 4), 1 / 4), 3.0),
        "mean_spread": Expected(mean(0.5 - 1, 1 * 3, draw(3, 1 / 4), 1 / 4), 0.5),
    },
    "P10": {"students": COUNT},
}
"""Question → column → what a student can move is 1, or in nine subject areas 3; scores and changes by their bounds."""


def questions(path: Path) -> list[tuple[str, str]]:
    """The questions of a file by their names."""
    found, name = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("--"):
            name = line[3:].split(" | ")[0]
        elif line:
            found.append((name, line.removesuffix(";")))
    return found


def variances(plan: Plan, expected: dict[str, Expected]) -> dict[str, float]:
    """The variance of each estimate from ρ = 1, at the values an expert's is meant at."""
    total = sum(plan.weights)
    scales = [
        (s.l2_squared / (2 * float(weight / total))) ** 0.5
        for s, weight in zip(plan.statistics, plan.weights, strict=True)
    ]
    found = {}
    for output in plan.outputs:
        if isinstance(output.form, forms.Linear):
            found[output.name] = margins.variance(output.form, scales)
        elif isinstance(output.form, forms.Ratio):
            at = expected[output.name].value
            above = margins.variance(output.form.numerator, scales)
            below = margins.variance(output.form.denominator, scales)
            both = margins.covariance(output.form.numerator, output.form.denominator, scales)
            found[output.name] = (above - 2 * at * both + at * at * below) / ROWS**2
    return found


def compared(catalog: Catalog, name: str, sql: str) -> dict[str, float]:
    """Column → our standard error divided by the expert's."""
    expected = BY_HAND[name]
    ours = variances(planned(catalog, sql, catalog.cohorts), expected)
    return {column: (ours[column] / each.variance) ** 0.5 for column, each in expected.items()}


def main() -> None:
    """Print the comparison for the questions of some files."""
    from importlib.resources import files  # noqa: PLC0415 - only here

    from engine.catalog_file import catalog_of, resolve  # noqa: PLC0415 - only here

    sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
    from conftest import RANGES, SCHOOLS  # noqa: PLC0415 - only here

    text = files("engine").joinpath("starter.yaml").read_text(encoding="utf-8")
    catalog = resolve(catalog_of(text, "starter.yaml"), {"school": SCHOOLS, "scale_range": RANGES})
    for path in map(Path, sys.argv[1:] or [str(Path(__file__).parents[1] / "questions" / "per_student.sql")]):
        for name, sql in questions(path):
            if name in BY_HAND:
                told = ", ".join(f"{column} {ratio:.2f}" for column, ratio in compared(catalog, name, sql).items())
                print(f"{name}: {told}")


if __name__ == "__main__":
    main()
