"""The researcher's text, read within limits: tokens, depth, and the one SELECT that sqlglot makes of it.

The text is read once and never executed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from engine.tree import Span

if TYPE_CHECKING:
    from engine.refusals import QueryRefused
    from engine.source import Source

TEXT_BYTES_MAX = 20_000
TOKENS_MAX = 4_000
DEPTH_MAX = 60
BRACKETS_MAX = 60
"""No accepted question has one, and sqlglot takes seconds to read hundreds."""

LEVELS_MAX = 100
"""Every later step walks the tree by recursion; Python allows about 1,000 calls inside each other."""


# sqlglot logs pieces of the question at WARNING; nothing of a question goes to a log.
logging.getLogger("sqlglot").disabled = True

DIALECT = sqlglot.Dialect.get_or_raise("duckdb")


def tokens_of(source: Source) -> list[Any]:
    """The tokens of a text that keeps the limits on bytes, tokens and depth."""
    text = source.text
    if "\0" in text:
        nul = Span(text.index("\0"), text.index("\0") + 1)
        raise source.refusal("syntax", "The text has a NUL character.", nul, accepted="the text without it")
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        raise source.refusal("too_large", "The text is too long.", accepted=f"at most {TEXT_BYTES_MAX:,} bytes")
    try:
        text.encode("utf-8")
        tokens = list(DIALECT.tokenize(text))
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


def check_levels(source: Source, statement: exp.Expr) -> None:
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


WORD_MAX = 40
_BEGINNINGS = frozenset(
    {TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.L_PAREN, TokenType.VALUES, TokenType.SEMICOLON}
)


def unreadable(source: Source, error: SqlglotError, tokens: list[Any]) -> QueryRefused:
    """A syntax refusal made anew: sqlglot's own text carries pieces of the question and terminal codes.

    Its line numbers count other breaks than ours, so the place is that of the token it means.
    """
    first: dict[str, Any] = next(iter(getattr(error, "errors", [])), {})
    place = (first.get("line"), first.get("col"))
    if len(tokens) > 1 and tokens[1].text.upper() == "TOP":
        top = Span(tokens[1].start, tokens[1].end + 1)
        return source.refusal("syntax", "TOP is not accepted.", top, accepted="LIMIT at the end of the question")
    for token in tokens:
        if (token.line, token.col) == place:
            return source.refusal(
                "syntax",
                "The text cannot be read as SQL at this place.",
                Span(token.start, token.end + 1),
                accepted="one SELECT in the DuckDB dialect",
            )
    return source.refusal("syntax", "The text cannot be read as SQL.", accepted="one SELECT")


def statement_of(source: Source) -> exp.Select | exp.SetOperation:
    """The one SELECT, or set operation of SELECTs, of a text.

    Raises:
        QueryRefused: `syntax`, `too_large`, or `unsupported` for any other statement.
    """
    tokens = tokens_of(source)
    try:
        statements = [node for node in DIALECT.parser().parse(tokens, source.text) if node is not None]
    except SqlglotError as error:
        if tokens[0].token_type not in _BEGINNINGS:
            raise source.refusal(
                "syntax",
                f"A question does not begin with {tokens[0].text[:WORD_MAX]}.",
                Span(tokens[0].start, tokens[0].end + 1),
                accepted="one SELECT in the DuckDB dialect",
            ) from None
        raise unreadable(source, error, tokens) from None
    except (ValueError, TypeError, AttributeError, KeyError, IndexError):
        raise source.refusal("syntax", "The text cannot be read as SQL.", accepted="one SELECT") from None
    if len(statements) != 1:
        raise source.refusal(
            "syntax", f"One question at a time: here are {len(statements)} statements.", accepted="one SELECT"
        )
    (statement,) = statements
    if not isinstance(statement, exp.Select | exp.SetOperation):
        first = Span(tokens[0].start, tokens[0].end + 1)
        raise source.refusal("unsupported", "This statement is not accepted.", first, accepted="one SELECT")
    check_levels(source, statement)
    _check_all(source, statement, tokens)
    return statement


def _check_all(source: Source, statement: exp.Expr, tokens: list[Any]) -> None:
    """Refuse a text in which something else of an ORDER BY is called ALL.

    sqlglot takes "all", t.all, 'all' and casts of them for the word, and keeps no place of it: so the word must be in
    the tree as often as it is in the text.
    """
    terms = statement.find_all(exp.Ordered)
    words = [term for term in terms if isinstance(term.this, exp.Var) and term.name == "ALL"]
    pairs = zip(tokens, tokens[1:], [*tokens[2:], None], strict=False)
    genuine = sum(
        before.token_type == TokenType.ORDER_BY
        and source.text[token.start : token.end + 1].upper() == "ALL"
        and (after is None or after.token_type in _AFTER_ALL or after.text.upper() in ("NULLS", "ROWS", "RANGE"))
        for before, token, after in pairs
    )
    if len(words) != genuine:
        called = [token for token in tokens if token.text.upper() == "ALL"]
        place = Span(called[-1].start, called[-1].end + 1) if called else None
        raise source.refusal(
            "unsupported", "Nothing in ORDER BY may be called all.", place, accepted="ORDER BY ALL, or another name"
        )


_AFTER_ALL = frozenset(
    {
        TokenType.ASC,
        TokenType.COMMA,
        TokenType.DESC,
        TokenType.LIMIT,
        TokenType.OFFSET,
        TokenType.R_PAREN,
        TokenType.SEMICOLON,
    }
)


def condition_of(source: Source) -> exp.Expr:
    """The one condition of a text, as a row check of the catalog is."""
    tokens = tokens_of(source)
    try:
        node = sqlglot.parse_one(source.text, read="duckdb", into=exp.Condition)
    except SqlglotError as error:
        raise unreadable(source, error, tokens) from None
    check_levels(source, node)
    return node
