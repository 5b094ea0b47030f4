"""Choices: alternatives brought to one type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import tree
from engine.exact import cast
from engine.expressions.dates import as_dates
from engine.tree import DATE, DOUBLE, NULL, TEXT, Constant, Expr, Type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlglot import exp

    from engine.expressions.scope import Scope


def _unify(scope: Scope, args: Sequence[Expr], node: exp.Expr) -> tuple[tuple[Expr, ...], Type]:
    """The common type of alternatives, and the alternatives as that type."""
    types = {arg.type for arg in args} - {NULL}
    common = tree.common_type(types)
    if types == {DATE, TEXT}:
        args, common = as_dates(scope, args, node), DATE
    if common is None:
        shown = " and ".join(sorted(str(of) for of in types))
        raise scope.source.refusal(
            "unsupported", f"The alternatives are {shown}.", node, accepted="alternatives of one type"
        )
    if common == DOUBLE:
        args = [arg if arg.type == NULL else cast(arg, DOUBLE) for arg in args]
    return tuple(tree.of_type(arg, common) for arg in args), common


def choice(scope: Scope, conditions: Sequence[Expr], values: Sequence[Expr], default: Expr, node: exp.Expr) -> Expr:
    """CASE: the value of the first condition that is met, else the default."""
    alternatives, common = _unify(scope, (*values, default), node)
    if common == NULL:
        return Constant(None, NULL)
    return tree.Case(tuple(zip(conditions, alternatives[:-1], strict=True)), alternatives[-1], common)


def coalesce(scope: Scope, args: Sequence[Expr], node: exp.Expr) -> Expr:
    """The first alternative that is not NULL."""
    alternatives, common = _unify(scope, args, node)
    if common == NULL:
        return Constant(None, NULL)
    return alternatives[0] if len(alternatives) == 1 else tree.Coalesce(alternatives, common)


def nullif(arg: Expr, same: Expr) -> Expr:
    """NULL where a comparison is met, else the argument."""
    return tree.Case(((same, Constant(None, arg.type)),), arg, arg.type)
