"""SQL text → Query: reads one SELECT in the DuckDB dialect, an allow-list by construction.

The text is read once and never executed. Whatever is not consumed here is refused.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from engine import tree
from engine.expressions import Scope, condition, convert, exact, fold
from engine.refusals import QueryRefused
from engine.source import Source, nearest, span_of
from engine.tree import Aggregate, Constant, Item, KeyRef, Order, Outer, OuterArithmetic, Query, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.catalog import Catalog, Table

TEXT_BYTES_MAX = 20_000
TOKENS_MAX = 4_000
DEPTH_MAX = 60
COLUMNS_MAX = 200
LIMIT_DIGITS_MAX = 9

# sqlglot logs pieces of the question at WARNING; nothing of a question goes to a log.
logging.getLogger("sqlglot").addHandler(logging.NullHandler())
logging.getLogger("sqlglot").propagate = False

_DIALECT = sqlglot.Dialect.get_or_raise("duckdb")
_OUTER_ARITHMETIC: dict[type[exp.Expr], Any] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
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
    _tokens(source)
    try:
        node = sqlglot.parse_one(text, read="duckdb", into=exp.Condition)
    except SqlglotError as error:
        raise _unreadable(source, error) from None
    return condition(Scope(source, columns, owner="", relations=frozenset()), node)


def _tokens(source: Source) -> list[Any]:
    """The tokens of a text that keeps the limits on bytes, tokens and depth."""
    text = source.text
    if "\0" in text:
        raise source.refusal("syntax", "The text has a NUL character.", Span(text.index("\0"), text.index("\0") + 1))
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        raise source.refusal("too_large", "The text is too long.", accepted=f"at most {TEXT_BYTES_MAX:,} bytes")
    try:
        text.encode("utf-8")
        tokens = list(_DIALECT.tokenize(text))
    except (SqlglotError, UnicodeEncodeError):
        raise source.refusal("syntax", "The text cannot be read as SQL.", accepted="one SELECT") from None
    if len(tokens) > TOKENS_MAX:
        raise source.refusal("too_large", "The question is too long.", accepted=f"at most {TOKENS_MAX:,} tokens")
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
    return tokens


def _unreadable(source: Source, error: SqlglotError) -> QueryRefused:
    """A syntax refusal made anew: sqlglot's own text carries pieces of the question and terminal codes."""
    first: dict[str, Any] = next(iter(getattr(error, "errors", [])), {})
    line, column, excerpt = first.get("line"), first.get("col"), first.get("highlight")
    if line is None or column is None:
        return source.refusal("syntax", "The text cannot be read as SQL.", accepted="one SELECT")
    return QueryRefused(
        "syntax",
        "The text cannot be read as SQL at this place.",
        accepted="one SELECT in the DuckDB dialect",
        line=line,
        column=max(1, column - len(excerpt or "") + 1),
        excerpt=excerpt or None,
    )


def _statement(source: Source) -> exp.Select:
    tokens = _tokens(source)
    try:
        statements = [node for node in _DIALECT.parser().parse(tokens, source.text) if node is not None]
    except SqlglotError as error:
        raise _unreadable(source, error) from None
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
    return statement


# -- the statement


@dataclass(slots=True)
class _Above:
    """What expressions above the aggregation may use."""

    scope: Scope
    table: Table
    keys: list[tree.Column]


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
    table, scope = _relation(source, from_, catalog)
    conjuncts: tuple[tree.Expr, ...] = ()
    if where is not None:
        (this,) = source.consume(where, "this")
        conjuncts = tree.conjuncts([condition(scope, this)])
    above = _Above(scope, table, [])
    selected = _selected(source, expressions)
    grouped = _group(above, group, selected)
    items = tuple(Item(name, _outer(above, value)) for name, value in selected)
    if not grouped and not any(_aggregates(item.value) for item in items):
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
        names = {alias_name.name.lower()}
    columns = {name: tree.Column(name, column.type) for name, column in table.columns.items() if column.on}
    off = frozenset(name for name, column in table.columns.items() if not column.on)
    return table, Scope(source, columns, catalog.owner, frozenset(names), off)


def _selected(source: Source, expressions: list[exp.Expr]) -> list[tuple[str, exp.Expr]]:
    """The answer's columns: distinct names, and what is asked for."""
    if len(expressions) > COLUMNS_MAX:
        raise source.refusal("too_large", "Too many columns.", accepted=f"at most {COLUMNS_MAX}")
    taken: set[str] = set()
    selected = []
    for node in expressions:
        name, value = _named(source, node)
        base, number = name, 2
        while name.lower() in taken:
            name, number = f"{base}_{number}", number + 1
        taken |= {f"{name}{suffix}".lower() for suffix in ("", "_se", "_moe90", "_moe95")}
        selected.append((name, value))
    return selected


def _named(source: Source, node: exp.Expr) -> tuple[str, exp.Expr]:
    if isinstance(node, exp.Alias):
        this, alias = source.consume(node, "this", "alias")
        return alias.name, this
    if isinstance(node, exp.Column):
        return node.name, node
    span = span_of(node)
    if isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
        return "count_star", node
    written = type(node).__name__.lower() if span is None else source.text[span.start : span.end]
    words = "".join(character if character.isalnum() else " " for character in written).split()
    return "_".join(words)[:60].lower() or "column", node


def _group(above: _Above, group: exp.Group | None, selected: list[tuple[str, exp.Expr]]) -> bool:
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
        if not term.name.isdigit() or not 1 <= int(term.name) <= len(selected):
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
                return value
    return term


def _order(
    above: _Above, order: exp.Order, selected: list[tuple[str, exp.Expr]], items: tuple[Item, ...]
) -> tuple[Order, ...]:
    source = above.scope.source
    (terms,) = source.consume(order, "expressions")
    found = []
    for term in terms:
        this, descending, nulls_first = source.consume(term, "this", "desc", "nulls_first")
        names = {name.lower(): item for (name, _), item in zip(selected, items, strict=True)}
        if isinstance(this, exp.Column) and not this.table and this.name.lower() in names:
            value = names[this.name.lower()].value
        else:
            value = _outer(above, _resolve(source, this, selected, prefer={}))
        found.append(Order(value, bool(descending), bool(nulls_first)))
    return tuple(found)


def _whole(source: Source, node: exp.Limit | exp.Offset | None) -> int | None:
    if node is None:
        return None
    (value,) = source.consume(node, "expression")
    if (
        not isinstance(value, exp.Literal)
        or value.is_string
        or not value.name.isdigit()
        or len(value.name) > LIMIT_DIGITS_MAX
    ):
        raise source.refusal(
            "unsupported", "LIMIT and OFFSET take a whole number.", node, accepted="such as LIMIT 10"
        )
    return int(value.name)


# -- above the aggregation


def _aggregates(value: Outer) -> bool:
    match value:
        case Aggregate():
            return True
        case OuterArithmetic(_, left, right):
            return _aggregates(left) or _aggregates(right)
        case _:
            return False


def _outer(above: _Above, node: exp.Expr) -> Outer:
    source = above.scope.source
    if type(node) in _AGGREGATES or isinstance(node, exp.Filter):
        return _aggregate(above.scope, node, None)
    if isinstance(node, exp.Column):
        column = above.scope.column(node)
        if column not in above.keys:
            listed = above.table.columns[column.name].values is not None
            instead = "in GROUP BY, or in an aggregate" if listed else "in an aggregate, such as AVG"
            raise source.refusal(
                "unsupported",
                f"{column.name} stands outside an aggregate and is not in GROUP BY.",
                node,
                accepted=f"{column.name} {instead}",
            )
        return KeyRef(above.keys.index(column))
    if type(node) is exp.Paren:
        (this,) = source.consume(node, "this")
        return _outer(above, this)
    if type(node) is exp.Literal and not node.is_string:
        return _constant(above.scope, node)
    if type(node) is exp.Neg:
        (this,) = source.consume(node, "this")
        return _outer_arithmetic(above, "-", Constant(0, tree.INTEGER), _outer(above, this), node)
    if type(node) in _OUTER_ARITHMETIC:
        names = ("this", "expression", "typed", "safe") if type(node) is exp.Div else ("this", "expression")
        this, other, *_ = source.consume(node, *names)
        op = _OUTER_ARITHMETIC[type(node)]
        return _outer_arithmetic(above, op, _outer(above, this), _outer(above, other), node)
    raise _no_outer(source, node)


def _constant(scope: Scope, node: exp.Expr) -> Constant:
    value = convert(scope, node)
    if not isinstance(value, Constant):
        raise _no_outer(scope.source, node)
    return value


def _outer_arithmetic(above: _Above, op: Any, left: Outer, right: Outer, node: exp.Expr) -> Outer:
    for side in (left, right):
        if isinstance(side, KeyRef) and not above.keys[side.index].type.is_number:
            raise above.scope.source.refusal(
                "unsupported", f"{op} needs numbers, and {above.keys[side.index].name} is not one.", node
            )
    if isinstance(left, Constant) and isinstance(right, Constant):
        folded = fold(op, left, right)
        if folded is not None:
            return exact(above.scope, folded, node)
    return OuterArithmetic(op, left, right)


def _no_outer(source: Source, node: exp.Expr) -> QueryRefused:
    if isinstance(node, exp.Max | exp.Min):
        return source.refusal(
            "unsupported",
            f"{type(node).__name__.upper()} is the value of a single student.",
            node,
            accepted="a share beyond a threshold, such as AVG(CASE WHEN gpa >= 3.5 THEN 1 ELSE 0 END)",
        )
    if isinstance(node, exp.Window):
        return source.refusal(
            "crosses_students",
            "A window lets one student's row change another's.",
            node,
            accepted="an aggregate with GROUP BY",
        )
    if isinstance(node, exp.Star):
        return source.refusal(
            "unsupported", "* stands for rows, and rows never leave the district.", node, accepted="COUNT(*)"
        )
    name = node.name.upper() if isinstance(node, exp.Anonymous) else type(node).__name__.upper()
    return source.refusal(
        "unsupported",
        f"{name} is not accepted in the answer's columns.",
        node,
        accepted="COUNT, SUM and AVG, with FILTER, GROUP BY columns, and + - * / over them",
    )


def _aggregate(scope: Scope, node: exp.Expr, where: tree.Expr | None) -> Aggregate:
    source = scope.source
    if isinstance(node, exp.Filter):
        this, clause = source.consume(node, "this", "expression")
        (this_where,) = source.consume(clause, "this")
        if type(this) not in _AGGREGATES:
            raise _no_outer(source, this)
        return _aggregate(scope, this, condition(scope, this_where))
    this, _big = source.consume(node, "this", "big_int")
    if isinstance(this, exp.Distinct):
        if any(column.name.lower() == scope.owner.lower() for column in this.find_all(exp.Column)):
            raise source.refusal(
                "unsupported",
                "Students cannot be counted one by one here.",
                node,
                accepted="COUNT(*) of a table with one row per student, or of one school year",
            )
        raise source.refusal(
            "unsupported",
            "DISTINCT inside an aggregate is not accepted.",
            node,
            accepted="the aggregate without it",
        )
    function = _AGGREGATES[type(node)]
    span = span_of(node)
    if function == "count" and (isinstance(this, exp.Star) or this is None):
        if this is not None:
            source.consume(this)
        return Aggregate("count", None, where, span)
    if type(node) is exp.CountIf:
        both = [condition(scope, this)] if where is None else [condition(scope, this), where]
        return Aggregate("count", None, tree.Logic("and", tuple(both)) if len(both) > 1 else both[0], span)
    arg = convert(scope, this)
    if function != "count":
        if arg.type == tree.BOOLEAN:
            arg = tree.Cast(arg, tree.INTEGER)
        if not arg.type.is_number:
            raise source.refusal(
                "unsupported",
                f"{function.upper()} needs a number, and this is {arg.type}.",
                this,
                accepted="COUNT",
            )
    return Aggregate(function, arg, where, span)


_AGGREGATES: dict[type[exp.Expr], Any] = {
    exp.Count: "count",
    exp.CountIf: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
}
