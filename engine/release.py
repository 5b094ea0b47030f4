"""Release: an answer with its margins, its cost and where it comes from. A Preview is the same without rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

if TYPE_CHECKING:
    from engine.postprocess import Cell

SUFFIXES = ("_se", "_moe90", "_moe95")


@dataclass(frozen=True, slots=True)
class ReleaseColumn:
    """One column of the answer.

    Attributes:
        role: `key` (a GROUP BY value), `estimate` (a count, sum, average or ratio), `derived` (arithmetic on those).
        type: integer, double, boolean or text.
        unit: what it counts or measures, if declared.
        moe_reason: why a value or a margin is NULL somewhere, if any is.
    """

    name: str
    role: Literal["key", "estimate", "derived"]
    type: str
    unit: str | None
    moe_reason: str | None

    @property
    def uncertain(self) -> bool:
        """Whether its values are numbers with noise in them; keys, and texts that were made of numbers, are not."""
        return self.role != "key" and self.type in ("integer", "double")


@dataclass(frozen=True, slots=True)
class CohortCharge:
    """What the question cost one cohort; ε is at δ = 5e-8."""

    cohort: int
    loss_nanorho: int
    delta_atto: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class CohortLeftOut:
    """A cohort the question touches but was not asked of."""

    cohort: int
    reason: str


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of one statistic: standard deviation and L2 sensitivity in its integer units."""

    statistic: str
    distribution: Literal["discrete_gaussian"]
    scale: float
    sensitivity_l2: float


@dataclass(frozen=True, slots=True)
class ClampingBounds:
    """The bounds within which an argument was summed."""

    expression: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Expected:
    """A margin foretold: of any cell, or of a ratio over so many rows; None where the noise leaves none."""

    column: str
    moe90: float | None
    moe90_at_n: dict[str, float | None] | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a question would cost and how wide its margins would be; free, and made without any record."""

    sql: str
    plan_hash: str
    engine_version: str
    epoch: str
    population: str
    grant: str
    columns: list[ReleaseColumn]
    partial: list[tuple[int, ...]]
    charges: list[CohortCharge]
    cohorts_left_out: list[CohortLeftOut]
    noise: list[Noise]
    bounds: list[ClampingBounds]
    notes: list[str]
    expected: list[Expected]

    def to_dict(self) -> dict[str, Any]:
        """The preview as it goes over the wire."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Release:
    """A private answer.

    Attributes:
        rows: shape (rows, columns); None is NULL.
        se: standard errors of the noise, same shape.
        moe90: 90 % margins, same shape; they cover the noise, not sampling.
        moe95: 95 % margins, same shape.
        partial: for each row the left-out cohorts that can occur in it.
        draws: ids of the measurements the answer is made of.
        charges: what it cost each cohort; empty where every measurement was there already.
    """

    release_id: str
    request_id: str
    sql: str
    plan_hash: str
    engine_version: str
    epoch: str
    population: str
    grant: str
    rehearsal: bool
    replayed: bool
    columns: list[ReleaseColumn]
    rows: list[tuple[Cell, ...]]
    se: list[tuple[float | None, ...]]
    moe90: list[tuple[float | None, ...]]
    moe95: list[tuple[float | None, ...]]
    partial: list[tuple[int, ...]]
    draws: list[int]
    charges: list[CohortCharge]
    cohorts_left_out: list[CohortLeftOut]
    noise: list[Noise]
    bounds: list[ClampingBounds]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The answer as it goes over the wire."""
        return asdict(self)

    def to_pandas(self) -> pd.DataFrame:
        """The answer as a table: its columns, then for each estimate `_se`, `_moe90` and `_moe95`.

        Where cohorts were left out, a last column `partial` names those that can occur in the row.
        """
        table: dict[str, Any] = {}
        for position, column in enumerate(self.columns):
            table[column.name] = pd.Series([row[position] for row in self.rows], dtype=_dtype(column))
        for position, column in enumerate(self.columns):
            if column.uncertain:
                for suffix, cells in zip(SUFFIXES, (self.se, self.moe90, self.moe95), strict=True):
                    values = [row[position] for row in cells]
                    table[f"{column.name}{suffix}"] = pd.Series(values, dtype="Float64")
        if self.cohorts_left_out:
            named = [" ".join(map(str, cohorts)) for cohorts in self.partial]
            table["partial"] = pd.Series(named, dtype="string")
        return pd.DataFrame(table)


def _dtype(column: ReleaseColumn) -> str:
    return {"integer": "Int64", "double": "Float64", "boolean": "boolean"}.get(column.type, "string")
