"""Counts and sums of one aggregate SELECT → the statistics they are made of, with what one student can do to each."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from engine import forms, tree
from engine.analysis.cohorts import touched
from engine.analysis.contribution import Contribution, contribution
from engine.analysis.intervals import Range, assume, evaluate
from engine.refusals import QueryRefused
from engine.statistic import NO_LIMITS, Centred, Limited, Limits, Statistic

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from engine.analysis.frames import Frame
    from engine.keysets import KeyList
    from engine.planning.collected import Collected

CELL_MAX = 2**62

Rows = tuple[tree.Expr, ...]
"""The conditions that some rows fulfil."""


class Measuring:
    """Makes the statistics of one aggregate SELECT.

    Args:
        collected: the statistics of the whole question, to which they are added.
        frame: what it is asked of.
        where: its WHERE.
        keys: its groups.
        askable: the cohorts that may be asked.
        limits: how much of a student is asked for.
        filters: how many conditions of FILTER the whole question has.
    """

    def __init__(
        self,
        collected: Collected,
        frame: Frame,
        where: Rows,
        keys: KeyList,
        askable: Collection[int],
        limits: Limits,
        filters: int,
    ) -> None:
        self.collected, self.frame, self.known, self.where, self.keys = collected, frame, frame.known, where, keys
        self.askable, self.limits, self.filters = askable, limits, filters
        self._pairs: dict[Rows, Rows] = {}
        self._counted: dict[forms.Linear, Rows] = {}
        self._contributions: dict[Rows, Contribution] = {}

    def count(
        self,
        conditions: Rows,
        label: str,
        *,
        explicit: bool,
        students: bool = False,
        base: Rows | None = None,
    ) -> forms.Linear:
        """A count of rows, or of students, in terms of what is measured.

        Args:
            conditions: which rows are counted.
            label: what it is.
            explicit: whether the question asks for it, not only a sum that needs it.
            students: whether each student counts once in a group.
            base: which rows a limit on rows is about, if others than those that are counted.
        """
        whole = None if students else self._pairs.get(conditions)
        if whole is not None:
            found = self._beside(conditions, whole, label)
        else:
            position = self.add(conditions, None, label, students=students, base=base)
            if position is None:
                return forms.Linear()
            if explicit:
                self.collected.explicit.add(position)
            found = forms.Linear.of({position: Fraction(1, self.parts(position))})
        if not students and found.terms:
            self._counted.setdefault(found, conditions)
        return found

    # -- counts of rows that are among the rows of another count

    def pair(self, aggregates: Sequence[tree.Aggregate]) -> None:
        """Find for each count that is asked for one of more rows that is asked for too.

        Then the fewer rows are measured as +1 or −1 beside the count of the more, which makes them twice as sharp in
        variance and leaves the other as it is: the same as measuring both exclusive parts at once. Only where one
        student can do as much to one as to the other, and the same cohorts pay.
        """
        asked = dict.fromkeys(rows for item in aggregates if (rows := self._rows_counted(item)) is not None)
        for rows in asked:
            more = [other for other in asked if set(other) < set(rows) and self._alike(other, rows)]
            if more:
                self._pairs[rows] = max(more, key=lambda other: (len(other), *map(tree.canonical, other)))

    def _rows_counted(self, asked: tree.Aggregate) -> Rows | None:
        """The conditions on the rows that an aggregate counts; None where it counts none for itself."""
        if asked.function in ("students", "sum"):
            return None
        conditions = tree.conjuncts((*self.where, *(() if asked.condition is None else (asked.condition,))))
        known = assume(conditions, self.known)
        if asked.arg is None or known is None:
            return conditions
        try:
            nullable = evaluate(asked.arg, known).nullable
        except QueryRefused:  # to be refused where it is proved
            return None
        return tree.conjuncts((*conditions, tree.Not(tree.IsNull(asked.arg)))) if nullable else conditions

    def _alike(self, one: Rows, other: Rows) -> bool:
        """Whether counts of rows touch the same cohorts, and one student can do as much to one as to the other."""
        try:
            known = [assume(conditions, self.known) for conditions in (one, other)]
            if self.limits != NO_LIMITS or None in known or touched(self.frame, one) != touched(self.frame, other):
                return False
            shares = [self._contribution(c, k) for c, k in zip((one, other), known, strict=True) if k is not None]
        except QueryRefused:
            return False
        return shares[0] == shares[1]

    def _beside(self, conditions: Rows, whole: Rows, label: str) -> forms.Linear:
        """A count by way of one of more rows: half of that, and half of what these rows are more than the others."""
        count = self.count(whole, "COUNT(*)", explicit=True)
        extra = tuple(condition for condition in conditions if condition not in whole)
        inside = extra[0] if len(extra) == 1 else tree.Logic("and", extra)
        one, nothing = tree.Constant(1, tree.INTEGER), tree.Constant(0, tree.INTEGER)
        indicator = tree.Case(((inside, one),), nothing, tree.INTEGER)
        ends = Centred.of(indicator, Range(0, 1))
        position = self.add(whole, ends, f"{label} beside COUNT(*)")
        if position is None or not count.terms:
            return forms.Linear()
        return forms.Linear.of({position: ends.unit}).plus(count, ends.offset)

    def count_in(self, divisor: forms.Linear) -> tuple[Rows, Fraction]:
        """The rows that a divisor counts, and what one adds to it; 0 where it is no multiple of one count."""
        for count, conditions in self._counted.items():
            factor = divisor.terms[0][1] / count.terms[0][1] if divisor.terms else Fraction(0)
            if count.times(factor) == divisor:
                return conditions, factor
        return (), Fraction(0)

    def parts(self, position: int) -> int:
        """How many integers of a statistic make one unit of its exact total."""
        return self.collected.statistics[position].parts

    # -- statistics

    def add(
        self,
        conditions: Rows,
        centred: Centred | None,
        label: str,
        *,
        students: bool = False,
        base: Rows | None = None,
    ) -> int | None:
        """The position of a statistic, new or known; None where it is the constant 0.

        Args:
            conditions: which rows are in it.
            centred: what a row contributes; None for 1.
            label: what it is.
            students: whether each student counts once in a group.
            base: which rows a limit on rows is about, if others than those that are in it.
        """
        every = touched(self.frame, conditions)
        self.collected.touched |= set(every)
        cohorts = tuple(cohort for cohort in every if cohort in self.askable)
        known = assume(conditions, self.known)
        if known is None or not cohorts or not self.keys.rows:
            return None
        found = self._contribution(conditions, known)
        limited = self._limited(conditions if base is None else base, students=students)
        if students and found.rows_per_group <= 1:
            students, label = False, f"COUNT(*), as {label}"  # a student has one row in a group: rows are students
        if students:
            found = found.of_students()
        if limited is not None:
            found = found.limited(limited.rows, limited.groups)
        statistic = Statistic(
            relation=self.frame.relation,
            conditions=conditions,
            centred=centred,
            cohorts=cohorts,
            contribution=found,
            keys=self.keys,
            keys_digest=self.keys.digest,
            students=students,
            label=label,
            limited=limited,
        )
        if statistic.l2_squared == 0:
            return None
        if self.frame.catalog.max_students * statistic.contribution.rows * statistic.bound >= CELL_MAX:
            raise QueryRefused(
                "too_large",
                f"{label} over {self.frame.catalog.max_students:,} students could grow too large to be held exactly.",
                accepted="narrower bounds, such as CASE WHEN x BETWEEN 0 AND 100 THEN x END",
            )
        return self.collected.add(statistic)

    def _contribution(self, conditions: Rows, known: Mapping[str, Range]) -> Contribution:
        """What one student can contribute to a statistic of all rows that fulfil some conditions, WHERE among them.

        The time for groups by expressions is spent on WHERE alone once, and shared by the filters: of fewer rows a
        student has no more than of all.
        """
        found = self._contributions.get(conditions)
        if found is None:
            all_rows = tree.conjuncts(self.where)
            everywhere = assume(all_rows, self.known)
            if conditions == all_rows or everywhere is None:
                found = contribution(self.frame, conditions, known, self.keys)
            else:
                found = contribution(self.frame, conditions, known, self.keys, 1 + self.filters)
                found = found.at_most(self._contribution(all_rows, everywhere))
            self._contributions[conditions] = found
        return found

    def _limited(self, base: Rows, *, students: bool) -> Limited | None:
        """The limits that a student can be beyond; None where there are none.

        A student counts once in a group whatever the rows, so a limit of rows leaves counts of students as they are.
        """
        if self.limits == NO_LIMITS:
            return None
        known = assume(base, self.known)
        if known is None:
            return None
        whole = self._contribution(base, known)
        rows, groups = self.limits.rows, self.limits.groups
        rows = None if rows is None or students or whole.rows <= rows else rows
        groups = None if groups is None or whole.groups <= groups else groups
        return None if rows is None and groups is None else Limited(rows, groups, base)
