"""A question without what nothing in it uses: columns and values of steps, and of right sides.

What is not used is not read, so that a grant on few columns is enough for a question that names few; and what orders
rows in doubt is what is used of them (see `engine.froms`), which so is a matter of the question alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine import tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.tree import Expr, Outer, Query, Relation, Step


def pruned(query: Query) -> Query:
    """The same question, in which every step makes what is used of it and no more."""
    exprs = [*query.where, *query.keys]
    for value in (*(item.value for item in query.items), *(term.value for term in query.order)):
        exprs += _asked(value)
    return replace(query, relation=_relation(query.relation, _names(exprs)))


def _asked(value: Outer) -> list[Expr]:
    """The expressions over rows in a value above the aggregation."""
    match value:
        case tree.Aggregate():
            return [expr for expr in (value.arg, value.condition) if expr is not None]
        case tree.OuterArithmetic(_, left, right):
            return [*_asked(left), *_asked(right)]
        case tree.Total():
            return _asked(value.value)
        case _:
            return []


def _names(exprs: Iterable[Expr]) -> frozenset[str]:
    return frozenset().union(*map(tree.columns_of, exprs))


def _relation(relation: Relation, used: frozenset[str]) -> Relation:
    """A relation of which some names are used above."""
    lefts = []
    for left in reversed(relation.lefts):  # ON may use what stands left of it
        used |= _names(left.on)
        columns = tuple((name, expr) for name, expr in left.columns if name in used)
        inside = _names([*left.where, *(expr for _, expr in columns)])
        lefts.append(replace(left, columns=columns, relation=_relation(left.relation, inside)))
    scans = tuple(
        replace(
            scan,
            step=_step(scan.step, frozenset(n.removeprefix(scan.prefix) for n in used if n.startswith(scan.prefix))),
        )
        if isinstance(scan, tree.Derived)
        else scan
        for scan in relation.scans
    )
    return replace(relation, scans=scans, lefts=tuple(reversed(lefts)))


def _step(step: Step, used: frozenset[str]) -> Step:
    """A step of which some columns are used above."""
    match step:
        case tree.Grouped(relation, where, keys, values):
            kept = tuple((name, value) for name, value in values if name in used)
            exprs = [*where, *(key for _, key in keys), *(p for _, value in kept for p in tree.within_parts(value))]
            return replace(step, relation=_relation(relation, _names(exprs)), values=kept)
        case tree.Windowed(relation, where, columns, windows):
            shown = tuple((name, expr) for name, expr in columns if name in used)
            along = tuple((name, value) for name, value in windows if name in used)
            exprs = [
                *where,
                *(expr for _, expr in shown),
                *(p for _, value in along for p in tree.rolling_parts(value)),
            ]
            return replace(step, relation=_relation(relation, _names(exprs)), columns=shown, windows=along)
        case tree.Union(names, branches):
            places = [place for place, name in enumerate(names) if name in used]
            sides = []
            for branch in branches:
                own = tuple(branch.columns[place] for place in places)
                relation = _relation(branch.relation, _names([*branch.where, *own]))
                sides.append(replace(branch, relation=relation, columns=own))
            return tree.Union(tuple(names[place] for place in places), tuple(sides))
