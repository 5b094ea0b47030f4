"""Which cohorts a question touches: all but those whose students certainly have no row in it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from engine import tree
from engine.analysis.intervals import assume, evaluate, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.analysis.frames import Frame
    from engine.analysis.intervals import Range
    from engine.tree import Expr


def may_hold(conditions: Iterable[Expr], known: Mapping[str, Range]) -> bool:
    """Whether some row may fulfil all conditions, as far as three-valued evaluation tells."""
    every = tree.conjuncts(conditions)
    narrowed = assume(every, known)
    return narrowed is not None and all(evaluate(condition, narrowed).can_be_true for condition in every)


def touched(frame: Frame, conditions: Iterable[Expr], known: Mapping[str, Range] | None = None) -> tuple[int, ...]:
    """The cohorts that may have a row where the conditions are true.

    Each cohort is tried with all else as the conditions leave it. The declared checks of the tables help: they
    are true on every record, as the loader enforces. The ON of a LEFT JOIN spares nobody; a step among the joined
    tables spares whom its own conditions spare, and so does EXISTS as a conjunct.

    Args:
        frame: the relation.
        conditions: conjuncts over its columns.
        known: what is known of the columns before; what is declared of them if not given.
    """
    catalog, cohort = frame.catalog, frame.relation.cohort
    every = tree.conjuncts((*conditions, *frame.checks))
    narrowed = assume(every, frame.known if known is None else known)
    if narrowed is None:
        return ()
    by_cohort = []
    for condition in every:
        used = tree.columns_of(condition)
        if cohort in used:
            by_cohort.append((condition, tuple((name, narrowed[name]) for name in sorted(used - {cohort}))))
        elif not evaluate(condition, narrowed).can_be_true:
            return ()
    left = frozenset(narrowed[cohort].values or ())
    for side, matched in zip(frame.relation.lefts, frame.lefts, strict=True):
        if side.once and tree.Column(side.presence or "", tree.BOOLEAN) in every:
            left &= frozenset(matched.cohorts)  # EXISTS and IN as a conjunct: of other students no row is left
    for condition, others in by_cohort:
        left = left & _cohorts_where(condition, cohort, catalog.cohorts, others)
    return tuple(each for each in catalog.cohorts if each in left)


@lru_cache(maxsize=4096)
def _cohorts_where(
    condition: Expr, column: str, cohorts: tuple[int, ...], others: tuple[tuple[str, Range], ...]
) -> frozenset[int]:
    """The cohorts for which a condition may be true, given what is known of its other columns."""
    known = dict(others)
    return frozenset(c for c in cohorts if evaluate(condition, {**known, column: listed([c])}).can_be_true)
