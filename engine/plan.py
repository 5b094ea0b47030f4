"""A plan: which statistics are measured, and how the answer is made of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fractions import Fraction

    from engine import tree
    from engine.analysis.intervals import Number
    from engine.forms import Form
    from engine.keysets import KeyList
    from engine.statistic import Statistic


@dataclass(frozen=True, slots=True)
class Output:
    """One column of the answer."""

    name: str
    role: Literal["key", "estimate", "derived"]
    type: str
    unit: str | None
    form: Form


@dataclass(frozen=True, slots=True)
class Sorting:
    """One term of ORDER BY over forms."""

    form: Form
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """Clamping bounds that were used, in the column's unit."""

    expression: str
    low: Number
    high: Number


@dataclass(frozen=True)
class Plan:
    """How a question is answered.

    Attributes:
        statistics: what is measured; one of sensitivity 0 is the constant 0 and stands in no plan.
        weights: relative shares of the loss, one for each statistic.
        touched: every cohort the question touches, asked or not.
        cohorts: those it is asked of.
        partial: for each group the left-out cohorts that can occur in it.
        parts: of a question over released tables the plans of these, whose forms use the statistics of the whole.
        made: how its answer is made of them.
    """

    relation: tree.Relation
    keys: KeyList
    statistics: tuple[Statistic, ...]
    weights: tuple[Fraction, ...]
    outputs: tuple[Output, ...]
    order: tuple[Sorting, ...]
    limit: int | None
    offset: int
    touched: tuple[int, ...]
    cohorts: tuple[int, ...]
    partial: tuple[tuple[int, ...], ...]
    bounds: tuple[Bounds, ...]
    parts: tuple[Plan, ...] = ()
    made: tree.Combined | None = None

    @property
    def left_out(self) -> tuple[int, ...]:
        """Touched cohorts the question is not asked of."""
        return tuple(cohort for cohort in self.touched if cohort not in self.cohorts)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what is measured and how the answer is made of it; names of columns do not matter."""
        made: list[object] = [[output.form for output in self.outputs], self.order, self.limit, self.offset]
        if self.made is not None:
            parts = [([output.form for output in part.outputs], part.keys.digest) for part in self.parts]
            made += [self.made.sql, parts]
        return hashlib.sha256(repr([[s.shape for s in self.statistics], self.keys.digest, made]).encode()).hexdigest()
