"""What is measured: one vector of exact integers, how much of it is one student's, and in which unit it is."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from engine import tree
from engine.analysis.intervals import rounded
from engine.refusals import QueryRefused

if TYPE_CHECKING:
    from engine.analysis.contribution import Contribution
    from engine.analysis.intervals import Range
    from engine.keysets import KeyList

WIDTH_MIN = 2.0**-200
"""The narrowest range of doubles that is measured."""

DOUBLE_STEPS = 20
"""A sum of doubles is measured in steps of at most 2**-20 of the declared range."""


@dataclass(frozen=True, slots=True)
class Centred:
    """The exact integer one row contributes to a sum; NULL contributes 0, after centring.

    The value is `multiplier · clamp(whole) − centre` for exact numbers, `floor((x − centre)·2**shift + 0.5)`
    for doubles, clamped to ±bound.

    Attributes:
        low: least whole number (exact) or number (double) of the argument.
        high: greatest, likewise.
        unit: size of one integer step in the column's unit.
        offset: the centre in the column's unit: argument = integer · unit + offset.
        bound: B, the greatest magnitude of the integer.
    """

    arg: tree.Expr
    low: int | float
    high: int | float
    multiplier: int
    centre: int | float
    shift: int
    unit: Fraction
    offset: Fraction
    bound: int

    @classmethod
    def of(cls, arg: tree.Expr, found: Range) -> Centred:
        """The integers of an argument that lies in a range with both ends.

        Raises:
            QueryRefused: the range of doubles is too narrow to be told from 0.
        """
        return _double(arg, found) if arg.type == tree.DOUBLE else _exact(arg, found)


FINE = 2**10
"""What a limit leaves of a student's total is measured in so many parts of its unit, so rounding loses little."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a student a question asks for, where that is less than all.

    Attributes:
        rows: most rows of one student; who has more counts in proportion.
        groups: most groups of one student, likewise.
    """

    rows: int | None = None
    groups: int | None = None


NO_LIMITS = Limits()
"""All of every student."""


@dataclass(frozen=True, slots=True)
class Limited:
    """A limit that bears on a statistic: a student beyond it contributes that part of each exact total.

    Attributes:
        rows: c; None where no student can have more rows.
        groups: likewise.
        base: the conditions on the rows and groups that are counted for it: those of the statistic, but for that its
            argument is there, so that a sum and its count shrink alike.
    """

    rows: int | None
    groups: int | None
    base: tuple[tree.Expr, ...]


@dataclass(frozen=True)
class Statistic:
    """One vector of exact integers, one for each group, measured once.

    Attributes:
        conditions: the conjuncts a row must fulfil (WHERE, FILTER, and for counts that the argument is there).
        centred: what a row contributes; None for 1.
        cohorts: the cohorts whose rows are scanned, and which are charged.
        contribution: what one student can bring.
        keys: the groups it is counted in.
        students: whether each student counts once in a group, whatever the rows.
        limited: the part of a student that is asked for; then the integers are in parts of `FINE`.
        label: what it is, in words a researcher knows.
    """

    relation: tree.Relation
    conditions: tuple[tree.Expr, ...]
    centred: Centred | None
    cohorts: tuple[int, ...]
    contribution: Contribution
    keys: KeyList = field(compare=False)
    keys_digest: str
    students: bool
    label: str = field(compare=False)
    limited: Limited | None = None

    @property
    def bound(self) -> int:
        """B, the greatest magnitude of one row's integer."""
        return (1 if self.centred is None else self.centred.bound) * self.parts

    @property
    def parts(self) -> int:
        """How many integers make one unit of the exact total."""
        return 1 if self.limited is None else FINE

    @cached_property
    def l2_squared(self) -> int:
        """The squared L2 sensitivity; 0 means the vector is the constant 0."""
        return self.contribution.l2_squared(self.bound) if self.cohorts else 0

    @cached_property
    def shape(self) -> str:
        """A text that two statistics share only if they measure the same over the same cohorts, under one claim.

        What can be proved in the time there is may depend on what else is asked; noise that was drawn for one claim
        is not taken for another's.
        """
        measure = "student" if self.students else "1"
        if self.centred is not None:
            c = self.centred
            measure = f"{tree.canonical(c.arg)} {c.low!r} {c.high!r} {c.multiplier} {c.centre!r} {c.shift} {c.bound}"
        conditions = " ".join(tree.canonical(condition) for condition in self.conditions)
        if self.limited is not None:
            base = " ".join(tree.canonical(condition) for condition in self.limited.base)
            measure += f" of {FINE} at most {self.limited.rows} {self.limited.groups} of [{base}]"
        made_of = f"{tree.canonical_relation(self.relation)} [{conditions}] <{measure}> {self.keys_digest}"
        return f"{made_of} {self.cohorts} {self.l2_squared}"

    def digest(self, epoch: str, population: str) -> str:
        """SHA-256 by which the ledger knows the measurement."""
        return hashlib.sha256(f"{self.shape} {epoch} {population}".encode()).hexdigest()


def _exact(arg: tree.Expr, found: Range) -> Centred:
    unit = 10**arg.type.scale
    low, high = (math.floor(Fraction(found.low or 0) * unit), math.ceil(Fraction(found.high or 0) * unit))
    multiplier = 1 if (low + high) % 2 == 0 else 2
    centre = (low + high) * multiplier // 2
    step = Fraction(1, unit * multiplier)
    return Centred(arg, low, high, multiplier, centre, 0, step, centre * step, (high - low) * multiplier // 2)


def _double(arg: tree.Expr, found: Range) -> Centred:
    low, high = float(found.low or 0), float(found.high or 0)
    centre = low + (high - low) / 2
    width = high - low
    if 0 < width < WIDTH_MIN:
        raise QueryRefused("too_large", "These numbers are too close to 0 to be summed.", accepted="larger numbers")
    shift = DOUBLE_STEPS - math.floor(math.log2(width)) if width > 0 else 0
    unit = Fraction(2) ** -shift
    half = max(Fraction(high) - Fraction(centre), Fraction(centre) - Fraction(low))
    return Centred(arg, low, high, 1, centre, shift, unit, Fraction(centre), rounded(half / unit, 0))
