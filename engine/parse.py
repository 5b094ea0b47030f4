"""SQL text → Query: reads one SELECT in the DuckDB dialect, an allow-list by construction.

The text is read once and never executed. Whatever is not consumed here is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from engine import advice
from engine.above import Above, aggregates, outer
from engine.expressions import Named, Scope, condition
from engine.pruned import pruned
from engine.refusals import QueryRefused
from engine.relations import all_used, read
from engine.released import combined
from engine.selected import by_all, group_keys, resolve, selected_columns, whole_number, with_aliases
from engine.source import Source
from engine.text import DEPTH_MAX, condition_of, statement_of
from engine.tree import Item, Order, Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import tree
    from engine.catalog import Catalog
    from engine.tree import Combined


def parse(text: str, catalog: Catalog) -> Query | Combined:
    """The question a text asks: one aggregate SELECT, or a statement over several.

    Raises:
        QueryRefused: with code, place, reason, and what would be accepted.
    """
    source = Source(text)
    try:
        return _question(source, statement_of(source), catalog)
    except RecursionError:
        raise source.refusal(
            "too_large", "The question is nested too deeply.", accepted=f"at most {DEPTH_MAX} levels"
        ) from None


def parse_check(text: str, columns: Mapping[str, tree.Column]) -> tree.Expr:
    """A row check of the catalog, as a condition over the table's columns."""
    source = Source(text)
    return condition(Scope(source, [Named("", columns)], owner=""), condition_of(source))


# -- the statement


def _question(source: Source, node: exp.Select | exp.SetOperation, catalog: Catalog) -> Query | Combined:
    """One SELECT of names and arithmetic where it is that; otherwise what its aggregates release is worked on."""
    if node.args.get("sample"):
        raise source.refusal(
            "crosses_students",
            "Sampling is not accepted.",
            node.args["sample"],
            accepted="the question about all rows",
        )
    if isinstance(node, exp.Select) and not any(node.args.get(clause) for clause in _RELEASED):
        try:
            return _select(source, node, catalog)
        except QueryRefused as refused:
            if refused.code not in _RETRIED:
                raise
    return combined(source, node, catalog)


_RELEASED = ("having", "qualify", "distinct")
_RETRIED = ("unsupported", "crosses_students", "unknown_name")
"""Refusals of what may be accepted over released tables."""


def _select(source: Source, node: exp.Select, catalog: Catalog) -> Query:
    expressions, from_, group, order, limit, offset, *_ = source.consume(
        node, "expressions", "from_", "group", "order", "limit", "offset", "joins", "with_", "where"
    )
    if from_ is None:
        raise advice.no_table(source, node)
    if not expressions:
        raise source.refusal("syntax", "The question asks for nothing.", from_, accepted="SELECT COUNT(*) FROM …")
    asked = read(source, node, catalog)
    above = Above(asked.scope, [])
    selected = with_aliases(source, selected_columns(source, expressions), asked.scope.names)
    spans = group_keys(above, group, selected)
    items = tuple(Item(name, outer(above, value)) for name, value in selected)
    if group is None and not any(aggregates(item.value) for item in items):
        raise source.refusal(
            "unsupported",
            "This asks for single rows, and rows never leave the district.",
            expressions[0],
            accepted="an aggregate such as COUNT(*), or GROUP BY",
        )
    orders = () if order is None else _order(above, order, selected, items)
    all_used(source, asked.ctes)
    query = Query(
        relation=asked.relation,
        where=asked.where,
        keys=tuple(above.keys),
        key_spans=tuple(spans),
        items=items,
        order=orders,
        limit=whole_number(source, limit),
        offset=whole_number(source, offset) or 0,
    )
    return pruned(query)


def _order(
    above: Above, order: exp.Order, selected: list[tuple[str, exp.Expr]], items: tuple[Item, ...]
) -> tuple[Order, ...]:
    source = above.scope.source
    (terms,) = source.consume(order, "expressions")
    if (every := by_all(source, terms)) is not None:
        this, descending, nulls_first = source.consume(every, "this", "desc", "nulls_first")
        source.consume(this, "this")
        return tuple(Order(item.value, bool(descending), bool(nulls_first)) for item in items)
    found = []
    for term in terms:
        this, descending, nulls_first = source.consume(term, "this", "desc", "nulls_first")
        names = {name.lower(): item for (name, _), item in zip(selected, items, strict=True)}
        if isinstance(this, exp.Column) and not this.table and this.name.lower() in names:
            source.consume(this, "this")
            value = names[this.name.lower()].value
        else:
            value = outer(above, resolve(source, this, selected, prefer=()))
        found.append(Order(value, bool(descending), bool(nulls_first)))
    return tuple(found)
