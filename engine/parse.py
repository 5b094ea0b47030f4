"""SQL text → Query: reads one SELECT in the DuckDB dialect, an allow-list by construction.

The text is read once and never executed. Whatever is not consumed here is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine.above import Above, aggregates, outer
from engine.expressions import Named, Scope, condition, convert
from engine.relations import read
from engine.source import Source, span_of
from engine.text import DEPTH_MAX, condition_of, statement_of
from engine.tree import Item, Order, Query

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine import tree
    from engine.catalog import Catalog
    from engine.tree import Span

COLUMNS_MAX = 200
WHOLE_DIGITS_MAX = 9

_NOT_HERE = {
    "distinct": ("DISTINCT", "the question without DISTINCT: its groups are distinct already"),
    "having": ("HAVING", "the question without HAVING; leave rows out of the answer afterwards"),
    "windows": ("WINDOW", "an aggregate with GROUP BY"),
    "qualify": ("QUALIFY", "an aggregate with GROUP BY"),
    "sample": ("Sampling", "the question about all rows"),
    "into": ("INTO", "a question only"),
}


def parse(text: str, catalog: Catalog) -> Query:
    """The question a text asks.

    Raises:
        QueryRefused: with code, place, reason, and what would be accepted.
    """
    source = Source(text)
    try:
        return _select(source, statement_of(source), catalog)
    except RecursionError:
        raise source.refusal(
            "too_large", "The question is nested too deeply.", accepted=f"at most {DEPTH_MAX} levels"
        ) from None


def parse_check(text: str, columns: Mapping[str, tree.Column]) -> tree.Expr:
    """A row check of the catalog, as a condition over the table's columns."""
    source = Source(text)
    return condition(Scope(source, [Named("", columns)], owner=""), condition_of(source))


# -- the statement


def _select(source: Source, node: exp.Select, catalog: Catalog) -> Query:
    for name, (what, accepted) in _NOT_HERE.items():
        if node.args.get(name):
            code: Any = "crosses_students" if name in ("windows", "qualify", "sample") else "unsupported"
            place = node.args[name]
            place = place[0] if isinstance(place, list) else place
            raise source.refusal(code, f"{what} is not accepted.", place, accepted=accepted)
    expressions, from_, group, order, limit, offset, *_ = source.consume(
        node, "expressions", "from_", "group", "order", "limit", "offset", "joins", "with_", "where"
    )
    if from_ is None:
        raise source.refusal(
            "syntax", "The question names no table.", accepted="SELECT … FROM one of the district's tables"
        )
    if not expressions:
        raise source.refusal("syntax", "The question asks for nothing.", from_, accepted="SELECT COUNT(*) FROM …")
    asked = read(source, node, catalog)
    above = Above(asked.scope, [])
    selected = _selected(source, expressions)
    spans = _group(above, group, selected)
    items = tuple(Item(name, outer(above, value)) for name, value in selected)
    if group is None and not any(aggregates(item.value) for item in items):
        raise source.refusal(
            "unsupported",
            "This asks for single rows, and rows never leave the district.",
            expressions[0],
            accepted="an aggregate such as COUNT(*), or GROUP BY",
        )
    orders = () if order is None else _order(above, order, selected, items)
    return Query(
        relation=asked.relation,
        where=asked.where,
        keys=tuple(above.keys),
        key_spans=tuple(spans),
        items=items,
        order=orders,
        limit=_whole(source, limit),
        offset=_whole(source, offset) or 0,
    )


def _selected(source: Source, expressions: list[exp.Expr]) -> list[tuple[str, exp.Expr]]:
    """The answer's columns: distinct names, and what is asked for."""
    if len(expressions) > COLUMNS_MAX:
        raise source.refusal("too_large", "Too many columns.", accepted=f"at most {COLUMNS_MAX}")
    taken = {"partial"}  # a column of the answer's table where cohorts are left out
    selected = []
    for node in expressions:
        name, value = _named(source, node)
        base, number = name, 2
        while not taken.isdisjoint(_columns_of(name)):
            name, number = f"{base}_{number}", number + 1
        taken |= _columns_of(name)
        selected.append((name, value))
    return selected


def _columns_of(name: str) -> set[str]:
    """The columns an estimate has in the answer's table."""
    return {f"{name}{suffix}".lower() for suffix in ("", "_se", "_moe90", "_moe95")}


def _named(source: Source, node: exp.Expr) -> tuple[str, exp.Expr]:
    if isinstance(node, exp.Alias):
        this, alias = source.consume(node, "this", "alias")
        return (alias.name, this) if alias is not None else _named(source, this)
    if isinstance(node, exp.Column):
        return node.name, node
    span = span_of(node)
    if isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
        return "count_star", node
    written = type(node).__name__.lower() if span is None else source.text[span.start : span.end]
    words = "".join(character if character.isalnum() else " " for character in written).split()
    return "_".join(words)[:60].lower() or "column", node


def _group(above: Above, group: exp.Group | None, selected: list[tuple[str, exp.Expr]]) -> list[Span | None]:
    """Find the GROUP BY expressions; where each was written."""
    if group is None:
        return []
    source, scope = above.scope.source, above.scope
    terms, everything = source.consume(group, "expressions", "all")
    nodes = list(terms or ())
    if everything:
        nodes += [
            value for _, value in selected if not value.find(exp.AggFunc) and not isinstance(value, exp.Literal)
        ]
    names = {name for named in scope.relations for name in (*named.columns, *named.owners, *named.off)}
    spans = []
    for term in nodes:
        key = convert(scope, _resolve(source, term, selected, prefer=names))
        if key not in above.keys:
            above.keys.append(key)
            spans.append(span_of(term))
    return spans


def _resolve(
    source: Source,
    term: exp.Expr,
    selected: list[tuple[str, exp.Expr]],
    prefer: Collection[str],
) -> exp.Expr:
    """What an ordinal or an alias stands for; in GROUP BY a column's name goes before an alias."""
    if isinstance(term, exp.Literal) and not term.is_string:
        if not _is_whole(term.name) or not 1 <= int(term.name) <= len(selected):
            raise source.refusal(
                "syntax",
                "There is no such column to point at.",
                term,
                accepted=f"a number from 1 to {len(selected)}",
            )
        return selected[int(term.name) - 1][1]
    if isinstance(term, exp.Column) and not term.table and term.name.lower() not in prefer:
        for name, value in selected:
            if name.lower() == term.name.lower():
                source.consume(term, "this")
                return value
    return term


def _order(
    above: Above, order: exp.Order, selected: list[tuple[str, exp.Expr]], items: tuple[Item, ...]
) -> tuple[Order, ...]:
    source = above.scope.source
    (terms,) = source.consume(order, "expressions")
    found = []
    for term in terms:
        this, descending, nulls_first = source.consume(term, "this", "desc", "nulls_first")
        names = {name.lower(): item for (name, _), item in zip(selected, items, strict=True)}
        if isinstance(this, exp.Column) and not this.table and this.name.lower() in names:
            source.consume(this, "this")
            value = names[this.name.lower()].value
        else:
            value = outer(above, _resolve(source, this, selected, prefer=()))
        found.append(Order(value, bool(descending), bool(nulls_first)))
    return tuple(found)


def _is_whole(text: str) -> bool:
    """Whether a text is a whole number that is read in a moment."""
    return text.isascii() and text.isdecimal() and len(text) <= WHOLE_DIGITS_MAX


def _whole(source: Source, node: exp.Limit | exp.Offset | None) -> int | None:
    if node is None:
        return None
    (value,) = source.consume(node, "expression")
    if not isinstance(value, exp.Literal) or value.is_string or not _is_whole(value.name):
        raise source.refusal(
            "unsupported", "LIMIT and OFFSET take a whole number.", node, accepted="such as LIMIT 10"
        )
    return int(value.name)
