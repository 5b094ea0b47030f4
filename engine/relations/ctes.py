"""Common table expressions, and what can be told of a SELECT before it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from engine.steps import has_aggregate, has_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.source import Source

_STEPS = ("group", "having", "qualify", "distinct")


@dataclass(slots=True)
class Cte:
    """One common table expression.

    Attributes:
        earlier: those that it may use itself.
    """

    node: exp.Expr
    earlier: Mapping[str, Cte]
    used: bool = False


def ctes_of(source: Source, with_: exp.With | None, earlier: Mapping[str, Cte] | None = None) -> dict[str, Cte]:
    """The CTEs of a WITH by their lower-case names."""
    found: dict[str, Cte] = dict(earlier or {})
    if with_ is None:
        return found
    (nodes,) = source.consume(with_, "expressions")
    names = set()
    for node in nodes or ():
        this, alias = source.consume(node, "this", "alias")
        name = alias_of(source, alias)
        if not name or name in names:
            raise source.refusal("syntax", "Two CTEs have one name.", node, accepted="a name of its own for each")
        names.add(name)
        found[name] = Cte(this, dict(found))
    return found


def all_used(source: Source, ctes: Mapping[str, Cte]) -> None:
    """What is not used is not read, so it may not stand there."""
    for name, cte in ctes.items():
        if not cte.used:
            raise source.refusal("unsupported", f"{name} is not used.", cte.node, accepted="the question without it")


def alias_of(source: Source, node: exp.TableAlias | None) -> str:
    """The lower-case name of an alias; empty for none."""
    if node is None:
        return ""
    (this,) = source.consume(node, "this")
    return "" if this is None else str(this.name.lower())


def many(source: Source, node: exp.Expr, ctes: Mapping[str, Cte]) -> bool:
    """Whether a SELECT reads more than one plain table, in the subqueries and CTEs it reads too."""
    top = True
    while True:
        while isinstance(node, exp.Subquery | exp.Paren):
            node = node.this
        if isinstance(node, exp.Table):
            cte = ctes.get(node.this.name.lower()) if isinstance(node.this, exp.Identifier) else None
            if cte is None:
                return False
            node, ctes, top = cte.node, cte.earlier, False
            continue
        if not isinstance(node, exp.Select) or node.args.get("from_") is None:
            return True
        own = [part for name, part in node.args.items() if name not in ("from_", "with_")]
        parts = [each for part in own for each in (part if isinstance(part, list) else [part])]
        nested = any(isinstance(part, exp.Expr) and part.find(exp.Query) is not None for part in parts)
        if node.args.get("joins") or nested or (not top and steps_of(node)):
            return True
        ctes = ctes_of(source, node.args["with_"], ctes) if node.args.get("with_") and not top else ctes
        node, top = node.args["from_"].this, False


def steps_of(node: exp.Select) -> bool:
    """Whether a subquery is made in a step of its own: it groups, looks along rows, or leaves out doubles."""
    return any(node.args.get(clause) for clause in _STEPS) or any(
        has_aggregate(part) or has_window(part) for part in node.expressions
    )
