"""SQL text → Query: reads one SELECT in the DuckDB dialect, an allow-list by construction.

The text is read once and never executed. Whatever is not consumed here is refused.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from engine import tree
from engine.above import Above, aggregates, outer
from engine.expressions import Scope, condition
from engine.source import Source, nearest, span_of
from engine.tree import Item, Order, Query, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.catalog import Catalog, Table
    from engine.refusals import QueryRefused

TEXT_BYTES_MAX = 20_000
TOKENS_MAX = 4_000
DEPTH_MAX = 60
BRACKETS_MAX = 60
"""No accepted question has one, and sqlglot takes seconds to read hundreds."""

LEVELS_MAX = 100
"""Every later step walks the tree by recursion; Python allows about 1,000 calls inside each other."""

COLUMNS_MAX = 200
WHOLE_DIGITS_MAX = 9

# sqlglot logs pieces of the question at WARNING; nothing of a question goes to a log.
logging.getLogger("sqlglot").disabled = True

_DIALECT = sqlglot.Dialect.get_or_raise("duckdb")
_NOT_HERE = {
    "distinct": ("DISTINCT", "the question without DISTINCT: its groups are distinct already"),
    "having": ("HAVING", "the question without HAVING; leave rows out of the answer afterwards"),
    "joins": ("A join", "a question about one table"),
    "with_": ("WITH", "a question about one table, written directly"),
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
        return _select(source, _statement(source), catalog)
    except RecursionError:
        raise source.refusal(
            "too_large", "The question is nested too deeply.", accepted=f"at most {DEPTH_MAX} levels"
        ) from None


def parse_check(text: str, columns: Mapping[str, tree.Column]) -> tree.Expr:
    """A row check of the catalog, as a condition over the table's columns."""
    source = Source(text)
    tokens = _tokens(source)
    try:
        node = sqlglot.parse_one(text, read="duckdb", into=exp.Condition)
    except SqlglotError as error:
        raise _unreadable(source, error, tokens) from None
    _check_levels(source, node)
    return condition(Scope(source, columns, owner="", relations=frozenset()), node)


def _tokens(source: Source) -> list[Any]:
    """The tokens of a text that keeps the limits on bytes, tokens and depth."""
    text = source.text
    if "\0" in text:
        nul = Span(text.index("\0"), text.index("\0") + 1)
        raise source.refusal("syntax", "The text has a NUL character.", nul, accepted="the text without it")
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        raise source.refusal("too_large", "The text is too long.", accepted=f"at most {TEXT_BYTES_MAX:,} bytes")
    try:
        text.encode("utf-8")
        tokens = list(_DIALECT.tokenize(text))
    except (SqlglotError, UnicodeEncodeError):
        raise source.refusal("syntax", "The text cannot be read as SQL.", accepted="one SELECT") from None
    if len(tokens) > TOKENS_MAX:
        raise source.refusal("too_large", "The question is too long.", accepted=f"at most {TOKENS_MAX:,} tokens")
    if sum(token.token_type == TokenType.L_BRACKET for token in tokens) > BRACKETS_MAX:
        raise source.refusal("too_large", "Too many brackets.", accepted="the question without [ and ]")
    _check_depth(source, tokens)
    return tokens


def _check_depth(source: Source, tokens: list[Any]) -> None:
    depth = 0
    for token in tokens:
        if token.token_type in (TokenType.L_PAREN, TokenType.CASE, TokenType.L_BRACKET, TokenType.L_BRACE):
            depth += 1
        elif token.token_type in (TokenType.R_PAREN, TokenType.END, TokenType.R_BRACKET, TokenType.R_BRACE):
            depth -= 1
        if depth > DEPTH_MAX:
            raise source.refusal(
                "too_large",
                "The question is nested too deeply.",
                Span(token.start, token.end + 1),
                accepted=f"at most {DEPTH_MAX} levels",
            )


def _check_levels(source: Source, statement: exp.Expr) -> None:
    """Refuse a tree that is too deep, as chains without parentheses make it.

    One chain of AND, or of OR, is one level.
    """
    pending = [(statement, 0)]
    while pending:
        node, level = pending.pop()
        if level > LEVELS_MAX:
            raise source.refusal(
                "too_large", "The question is nested too deeply.", node, accepted=f"at most {LEVELS_MAX} levels"
            )
        for child in node.iter_expressions():
            flat = isinstance(child, exp.Paren) or (isinstance(child, exp.Connector) and type(child) is type(node))
            pending.append((child, level if flat else level + 1))


def _unreadable(source: Source, error: SqlglotError, tokens: list[Any]) -> QueryRefused:
    """A syntax refusal made anew: sqlglot's own text carries pieces of the question and terminal codes.

    Its line numbers count other breaks than ours, so the place is that of the token it means.
    """
    first: dict[str, Any] = next(iter(getattr(error, "errors", [])), {})
    place = (first.get("line"), first.get("col"))
    for token in tokens:
        if (token.line, token.col) == place:
            return source.refusal(
                "syntax",
                "The text cannot be read as SQL at this place.",
                Span(token.start, token.end + 1),
                accepted="one SELECT in the DuckDB dialect",
            )
    return source.refusal("syntax", "The text cannot be read as SQL.", accepted="one SELECT")


def _statement(source: Source) -> exp.Select:
    tokens = _tokens(source)
    try:
        statements = [node for node in _DIALECT.parser().parse(tokens, source.text) if node is not None]
    except SqlglotError as error:
        raise _unreadable(source, error, tokens) from None
    except (ValueError, TypeError, AttributeError, KeyError, IndexError):
        raise source.refusal("syntax", "The text cannot be read as SQL.", accepted="one SELECT") from None
    if len(statements) != 1:
        raise source.refusal(
            "syntax", f"One question at a time: here are {len(statements)} statements.", accepted="one SELECT"
        )
    (statement,) = statements
    if type(statement) is not exp.Select:
        what = "A set operation" if isinstance(statement, exp.SetOperation) else "This statement"
        raise source.refusal("unsupported", f"{what} is not accepted.", statement, accepted="one SELECT")
    _check_levels(source, statement)
    return statement


# -- the statement


def _select(source: Source, node: exp.Select, catalog: Catalog) -> Query:
    for name, (what, accepted) in _NOT_HERE.items():
        if node.args.get(name):
            code: Any = "crosses_students" if name in ("windows", "qualify", "sample") else "unsupported"
            place = node.args[name]
            place = place[0] if isinstance(place, list) else place
            raise source.refusal(code, f"{what} is not accepted.", place, accepted=accepted)
    expressions, from_, where, group, order, limit, offset = source.consume(
        node, "expressions", "from_", "where", "group", "order", "limit", "offset"
    )
    if from_ is None:
        raise source.refusal(
            "syntax", "The question names no table.", accepted="SELECT … FROM one of the district's tables"
        )
    if not expressions:
        raise source.refusal("syntax", "The question asks for nothing.", from_, accepted="SELECT COUNT(*) FROM …")
    table, scope = _relation(source, from_, catalog)
    conjuncts: tuple[tree.Expr, ...] = ()
    if where is not None:
        (this,) = source.consume(where, "this")
        conjuncts = tree.conjuncts([condition(scope, this)])
    above = Above(scope, table, [])
    selected = _selected(source, expressions)
    grouped = _group(above, group, selected)
    items = tuple(Item(name, outer(above, value)) for name, value in selected)
    if not grouped and not any(aggregates(item.value) for item in items):
        raise source.refusal(
            "unsupported",
            "This asks for single rows, and rows never leave the district.",
            expressions[0],
            accepted="an aggregate such as COUNT(*), or GROUP BY",
        )
    orders = () if order is None else _order(above, order, selected, items)
    return Query(
        table=table.name,
        where=conjuncts,
        keys=tuple(above.keys),
        items=items,
        order=orders,
        limit=_whole(source, limit),
        offset=_whole(source, offset) or 0,
    )


def _relation(source: Source, from_: exp.From, catalog: Catalog) -> tuple[Table, Scope]:
    (node,) = source.consume(from_, "this")
    known = [table.name for table in catalog.private_tables]
    if type(node) is not exp.Table or not isinstance(node.this, exp.Identifier):
        what = "A subquery" if isinstance(node, exp.Subquery) else "This source"
        raise source.refusal(
            "unsupported", f"{what} is not accepted in FROM.", node, accepted=f"one of {', '.join(known)}"
        )
    for name in ("joins", "sample"):
        if node.args.get(name):
            code: Any = "crosses_students" if name == "sample" else "unsupported"
            raise source.refusal(code, f"{_NOT_HERE[name][0]} is not accepted.", node, accepted=_NOT_HERE[name][1])
    this, alias = source.consume(node, "this", "alias")
    table = catalog.tables.get(this.name.lower())
    if table is None:
        raise source.refusal(
            "unknown_name", f"There is no table {this.name}.", node, accepted=nearest(this.name, known)
        )
    if table.public:
        raise source.refusal(
            "unsupported",
            f"{table.name} is a public table: read it where it is published.",
            node,
            accepted=f"one of {', '.join(known)}",
        )
    if not table.on:
        raise source.refusal(
            "column_off",
            f"{table.name} is sensitive and switched off in this district.",
            node,
            accepted=f"one of {', '.join(known)}",
        )
    names = {table.name}
    if alias is not None:
        (alias_name,) = source.consume(alias, "this")
        names = names if alias_name is None else {alias_name.name.lower()}
    columns = {name: tree.Column(name, column.type) for name, column in table.columns.items() if column.on}
    off = frozenset(name for name, column in table.columns.items() if not column.on)
    return table, Scope(source, columns, catalog.owner, frozenset(names), off)


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


def _group(above: Above, group: exp.Group | None, selected: list[tuple[str, exp.Expr]]) -> bool:
    """Find the GROUP BY columns; whether there is a GROUP BY."""
    if group is None:
        return False
    source, table = above.scope.source, above.table
    terms, everything = source.consume(group, "expressions", "all")
    nodes = list(terms or ())
    if everything:
        nodes += [
            value for _, value in selected if not value.find(exp.AggFunc) and not isinstance(value, exp.Literal)
        ]
    for term in nodes:
        node = _resolve(source, term, selected, prefer=above.scope.columns)
        while isinstance(node, exp.Paren):
            (node,) = source.consume(node, "this")
        listed = [name for name, column in table.columns.items() if column.values is not None and column.on]
        if not isinstance(node, exp.Column):
            raise source.refusal(
                "keys_undeclared",
                "Groups are made by a column with a declared value list, not by an expression.",
                term,
                accepted=nearest("", listed),
            )
        key = above.scope.column(node)
        if table.columns[key.name].values is None:
            raise source.refusal(
                "keys_undeclared",
                f"{key.name} has no declared value list: which of its values occur would itself tell about students.",
                term,
                accepted=nearest(key.name, listed),
            )
        if key not in above.keys:
            above.keys.append(key)
    return True


def _resolve(
    source: Source,
    term: exp.Expr,
    selected: list[tuple[str, exp.Expr]],
    prefer: Mapping[str, tree.Column],
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
            value = outer(above, _resolve(source, this, selected, prefer={}))
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
