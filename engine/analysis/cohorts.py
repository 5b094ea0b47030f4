"""Which cohorts a question touches: all but those whose students certainly have no row in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.analysis.intervals import assume, evaluate, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.analysis.intervals import Range
    from engine.catalog import Catalog, Table
    from engine.tree import Expr


def may_hold(conditions: Iterable[Expr], known: Mapping[str, Range]) -> bool:
    """Whether some row may fulfil all conditions, as far as three-valued evaluation tells."""
    every = tuple(conditions)
    narrowed = assume(every, known)
    return narrowed is not None and all(evaluate(condition, narrowed).can_be_true for condition in every)


def in_cohort(catalog: Catalog, known: Mapping[str, Range], cohort: int) -> dict[str, Range]:
    """What is known of the columns of one cohort's rows."""
    return {**known, catalog.cohort: listed([cohort])}


def touched(
    catalog: Catalog, table: Table, conditions: Iterable[Expr], known: Mapping[str, Range]
) -> tuple[int, ...]:
    """The cohorts that may have a row where the conditions are true.

    The declared checks of the table help: they are true on every record, as the loader enforces.
    """
    every = (*conditions, *table.checks)
    return tuple(c for c in catalog.cohorts if may_hold(every, in_cohort(catalog, known, c)))
