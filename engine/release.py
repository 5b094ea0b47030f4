"""Release: an answer with its margins, its cost and where it comes from. A Preview is the same without rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa

from engine.forms import Linear
from engine.margins import margin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from budgets.policy import Population
    from engine.postprocess import Cell

REHEARSAL = "rehearsal"
SUFFIXES = ("_se", "_moe90", "_moe95")
WHOLE_MAX = 2**63


@dataclass(frozen=True, slots=True)
class ReleaseColumn:
    """One column of the answer.

    Attributes:
        role: `key` (a GROUP BY value), `estimate` (a count, sum, average or ratio), `derived` (arithmetic on those).
        type: integer, double, boolean, text or date.
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
    """The noise of one statistic: standard deviation and L2 sensitivity in its integer units.

    Attributes:
        distribution: of one draw, or of the mean of several draws, weighted by their precision.
    """

    statistic: str
    distribution: Literal["discrete_gaussian", "mean_of_discrete_gaussians"]
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
    """What a question would cost and how wide its margins would be; free, and made without any record.

    Attributes:
        rehearsal: whether it was made without what is stored either: as if nothing had been measured.
    """

    sql: str
    plan_hash: str
    engine_version: str
    epoch: str
    population: Population
    grant: str
    rehearsal: bool
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
class Difference:
    """The difference of two estimates and the error of its noise; a margin is None where one of theirs is."""

    value: float
    se: float
    moe90: float | None
    moe95: float | None


_WHOLE_DIFFERENCE = Linear(((0, Fraction(1)), (1, Fraction(-1))))


@dataclass(frozen=True, slots=True)
class Release:
    """A private answer.

    Attributes:
        rehearsal: whether its records were invented; then it cost nothing and names no draws.
        rows: shape (rows, columns); None is NULL, dates are ISO texts.
        se: standard errors of the noise, same shape.
        moe90: 90 % margins, same shape; they cover the noise, not sampling.
        moe95: 95 % margins, same shape.
        partial: for each row the left-out cohorts that can occur in it.
        independent: for each column whether its cells in different rows are made of different draws.
        draws: ids of the measurements the answer is made of, those of one statistic together.
        charges: what it cost each cohort; empty where every measurement was there already.
    """

    release_id: str
    request_id: str
    sql: str
    plan_hash: str
    engine_version: str
    epoch: str
    population: Population
    grant: str
    rehearsal: bool
    replayed: bool
    columns: list[ReleaseColumn]
    rows: list[tuple[Cell, ...]]
    se: list[tuple[float | None, ...]]
    moe90: list[tuple[float | None, ...]]
    moe95: list[tuple[float | None, ...]]
    partial: list[tuple[int, ...]]
    independent: list[bool]
    draws: list[int]
    charges: list[CohortCharge]
    cohorts_left_out: list[CohortLeftOut]
    noise: list[Noise]
    bounds: list[ClampingBounds]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The answer as it goes over the wire."""
        return asdict(self)

    def difference(self, column: str, row: int, other: int) -> Difference:
        """The difference of two cells of one column, with its error: the cell in `row` less the one in `other`.

        The cells of different groups have independent noise, so that their variances add up. Margins that need not be
        normal, as those of ratios, are combined by the square root of the sum of their squares (G. Y. Zou and A.
        Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27, 2008).

        Args:
            column: the name of an estimate.
            row: position of a row in the answer, from 0.
            other: position of another row.

        Raises:
            ValueError: the noise of the two cells is not independent, or one of them has no value or no error.
        """
        place, (one, two) = self._estimate(column), (self._row(row), self._row(other))
        if one == two or not self.independent[place]:
            raise ValueError(
                f"These two cells of {column} have noise in common, or it is not known that they have none. Take two "
                "rows of a count, sum, average or ratio, as one SELECT with GROUP BY gives them."
            )
        first, second = self.rows[one][place], self.rows[two][place]
        errors = [(each[one][place], each[two][place]) for each in (self.se, self.moe90, self.moe95)]
        if not isinstance(first, int | float) or not isinstance(second, int | float) or None in errors[0]:
            reason = self.columns[place].moe_reason or "it is NULL"
            raise ValueError(f"{column} has no value or no error there ({reason}). Take rows in which it has both.")
        se, moe90, moe95 = (None if a is None or b is None else math.hypot(a, b) for a, b in errors)
        if self.columns[place].type == "integer":
            scales = tuple(error or 0.0 for error in errors[0])
            moe90, moe95 = (margin(_WHOLE_DIFFERENCE, scales, level) for level in (0.9, 0.95))
        return Difference(first - second, se or 0.0, moe90, moe95)

    def _estimate(self, name: str) -> int:
        """The position of an estimate."""
        known = [column.name for column in self.columns if column.role != "key"]
        if name not in known:
            raise ValueError(f"There is no estimate called {name}; there is {', '.join(known) or 'none'}.")
        return [column.name for column in self.columns].index(name)

    def _row(self, position: int) -> int:
        """A position that a row has."""
        if not 0 <= position < len(self.rows):
            raise ValueError(f"There is no row {position}; there are {len(self.rows)}, counted from 0.")
        return position

    def to_pandas(self) -> pd.DataFrame:
        """The answer as a table: its columns, then for each estimate `_se`, `_moe90` and `_moe95`.

        Where cohorts were left out, a last column `partial` names those that can occur in the row. In a rehearsal,
        and only there, the very last column is `rehearsal`, true in every row. Dates are `datetime64[s]`.
        """
        table: dict[str, Any] = {}
        for position, column in enumerate(self.columns):
            cells = [row[position] for row in self.rows]
            table[column.name] = pd.Series(cells, dtype=_dtype(column, cells))
        for position, column in enumerate(self.columns):
            if column.uncertain:
                for suffix, errors in zip(SUFFIXES, (self.se, self.moe90, self.moe95), strict=True):
                    values = [row[position] for row in errors]
                    table[f"{column.name}{suffix}"] = pd.Series(values, dtype="Float64")
        if self.cohorts_left_out:
            named = [" ".join(map(str, cohorts)) for cohorts in self.partial]
            table["partial"] = pd.Series(named, dtype="string")
        if self.rehearsal:
            name = REHEARSAL
            while name in table:  # the question may have a column of this name
                name += "_"
            table[name] = pd.Series([True] * len(self.rows), dtype="boolean")
        return pd.DataFrame(table)

    def to_arrow(self) -> pa.Table:
        """The same table for Arrow and Parquet, in which dates are `date32`."""
        table = pa.Table.from_pandas(self.to_pandas(), preserve_index=False)
        for position, column in enumerate(self.columns):
            if column.type == "date":
                days = table.column(position).cast(pa.date32())
                table = table.set_column(position, column.name, days)
        return table


def _dtype(column: ReleaseColumn, cells: Sequence[Cell]) -> str:
    """The type of a column of the table; whole numbers that fit none of 64 bits are floating-point numbers."""
    if column.type == "integer" and any(isinstance(cell, int | float) and abs(cell) >= WHOLE_MAX for cell in cells):
        return "Float64"
    return _DTYPES.get(column.type, "string")


_DTYPES = {"integer": "Int64", "double": "Float64", "boolean": "boolean", "date": "datetime64[s]"}
