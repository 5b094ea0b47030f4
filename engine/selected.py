"""The columns of a SELECT and of its GROUP BY: their names, and what ordinals and aliases point at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from engine.expressions import convert
from engine.source import span_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from engine.above import Above
    from engine.source import Source
    from engine.tree import Span

COLUMNS_MAX = 200
NODES_MAX = 10_000
"""Largest list of columns once names of earlier ones are written out."""

WHOLE_DIGITS_MAX = 9


def selected_columns(source: Source, expressions: list[exp.Expr]) -> list[tuple[str, exp.Expr]]:
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


def with_aliases(
    source: Source, selected: list[tuple[str, exp.Expr]], known: Collection[str]
) -> list[tuple[str, exp.Expr]]:
    """The answer's columns, in which a column's name of an earlier one stands for what that is.

    Args:
        source: the researcher's text.
        selected: names and what is asked for.
        known: lower-case names of columns in FROM, which go before.
    """
    earlier: dict[str, tuple[exp.Expr, int]] = {}
    found, size = [], 0
    for name, node in selected:
        value = node.copy()
        for part in list(value.walk(prune=lambda each: isinstance(each, exp.Query))):  # a subquery has its own names
            written = _alias(part, earlier, known)
            if written is None:
                continue
            size += written[1]
            if size > NODES_MAX:
                raise source.refusal(
                    "too_large",
                    "This is too much once it is written out.",
                    node,
                    accepted="fewer columns made of other columns",
                )
            other = exp.Paren(this=written[0].copy())
            value = other if part is value else (part.replace(other), value)[1]
        found.append((name, value))
        if not isinstance(value, exp.Column | exp.Literal) and name.lower() not in known:
            earlier.setdefault(name.lower(), (value, sum(1 for _ in value.walk())))
    return found


def _alias(
    part: exp.Expr, earlier: Mapping[str, tuple[exp.Expr, int]], known: Collection[str]
) -> tuple[exp.Expr, int] | None:
    """What a name stands for that is an earlier column's, and how large that is."""
    if isinstance(part, exp.Column) and not part.table and isinstance(part.this, exp.Identifier):
        name = part.name.lower()
        return earlier.get(name) if name not in known else None
    return None


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
    if isinstance(node, exp.AggFunc) and "(" not in written:
        written = f"{type(node).__name__} {written}"  # sqlglot keeps no position of some functions' names
    words = "".join(character if character.isalnum() else " " for character in written).split()
    return "_".join(words)[:60].lower() or "column", node


def group_keys(above: Above, group: exp.Group | None, selected: list[tuple[str, exp.Expr]]) -> list[Span | None]:
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
    spans = []
    for term in nodes:
        key = convert(scope, resolve(source, term, selected, prefer=scope.names))
        if key not in above.keys:
            above.keys.append(key)
            spans.append(span_of(term))
    return spans


def resolve(
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


def by_all(source: Source, terms: Sequence[exp.Ordered]) -> exp.Ordered | None:
    """The one term of ORDER BY ALL, which is by all columns in their order; None of any other ORDER BY.

    Raises:
        QueryRefused: ALL stands beside other terms.
    """
    found = [term for term in terms if isinstance(term, exp.Ordered) and _is_all(term.this)]
    if found and len(terms) > 1:
        raise source.refusal(
            "syntax",
            "ORDER BY ALL is by all columns, and stands alone.",
            found[0].this,
            accepted="ORDER BY ALL, or the columns in order",
        )
    return found[0] if found else None


def _is_all(node: exp.Expr) -> bool:
    """Whether a node is the bare word ALL."""
    return isinstance(node, exp.Var) and node.name.upper() == "ALL"


def _is_whole(text: str) -> bool:
    """Whether a text is a whole number that is read in a moment."""
    return text.isascii() and text.isdecimal() and len(text) <= WHOLE_DIGITS_MAX


def whole_number(source: Source, node: exp.Limit | exp.Fetch | exp.Offset | None) -> int | None:
    """The number of a LIMIT, FETCH FIRST … ROWS ONLY or OFFSET."""
    if node is None:
        return None
    if isinstance(node, exp.Fetch):
        _, value, options = source.consume(node, "direction", "count", "limit_options")
        source.consume(options, "rows")
    else:
        (value,) = source.consume(node, "expression")
    if not isinstance(value, exp.Literal) or value.is_string or not _is_whole(value.name):
        raise source.refusal(
            "unsupported", "LIMIT and OFFSET take a whole number.", node, accepted="such as LIMIT 10"
        )
    return int(value.name)
