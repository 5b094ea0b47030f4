"""The researcher's text, kept only to say where a refusal points.

Nothing here is ever executed.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from engine.refusals import QueryRefused
from engine.tree import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.refusals import RefusalCode


_CALLED: dict[type[exp.Expr], str] = {
    exp.ArgMax: "ARG_MAX",
    exp.ArgMin: "ARG_MIN",
    exp.Array: "[…]",
    exp.BitwiseAnd: "&",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseNot: "~",
    exp.BitwiseOr: "|",
    exp.BitwiseRightShift: ">>",
    exp.Bracket: "[…]",
    exp.CTE: "WITH",
    exp.Concat: "CONCAT",
    exp.DPipe: "||",
    exp.GroupConcat: "STRING_AGG",
    exp.Group: "GROUP BY",
    exp.ILike: "ILIKE",
    exp.JSONExtract: "->",
    exp.JSONExtractScalar: "->>",
    exp.Lambda: "->",
    exp.Order: "ORDER BY",
    exp.Ordered: "ORDER BY",
    exp.PercentileCont: "QUANTILE_CONT",
    exp.PercentileDisc: "QUANTILE_DISC",
    exp.Placeholder: "A parameter",
    exp.Star: "*",
    exp.Struct: "{…}",
    exp.Subquery: "a subquery",
    exp.Table: "FROM",
    exp.TableAlias: "an alias",
    exp.Tuple: "A list in parentheses",
    exp.Window: "OVER",
}
"""What is called otherwise than sqlglot's class, where sqlglot does not keep how it was written."""

_CLAUSES = {
    "columns": "A list of columns",
    "db": "A schema",
    "except_": "EXCLUDE",
    "group": "GROUP BY",
    "hints": "WITH (…)",
    "joins": "JOIN",
    "laterals": "LATERAL",
    "limit_options": "PERCENT or WITH TIES",
    "locks": "FOR UPDATE",
    "order": "ORDER BY",
    "partition_by": "PARTITION BY",
    "pivots": "PIVOT",
    "sort": "SORT BY",
    "windows": "WINDOW",
}
"""What is called otherwise than sqlglot's arg."""

_INSTEAD = {
    "columns": "names given where the columns are, as in SELECT school_year AS y",
    "db": "the table's name alone",
    "hints": "the table's name alone",
    "pivots": "COUNT(*) FILTER (WHERE …) AS … for each column",
}
"""What is answered instead, where it is more than the same without it."""

WRITTEN_MAX = 200
"""Longest piece of the text that a refusal says again."""

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def span_of(node: exp.Expr) -> Span | None:
    """Where a node stands: the hull of the positions sqlglot kept in it."""
    metas = [part.meta for part in node.walk() if "start" in part.meta]
    if not metas:
        return None
    return Span(min(meta["start"] for meta in metas), max(meta["end"] for meta in metas) + 1)


@dataclass(frozen=True, slots=True)
class Source:
    """One text, and refusals that point into it."""

    text: str

    def refusal(
        self,
        code: RefusalCode,
        message: str,
        at: exp.Expr | Span | None = None,
        *,
        accepted: str | None = None,
    ) -> QueryRefused:
        """A refusal with line, column and excerpt of the place `at`."""
        span = self.place(at) if isinstance(at, exp.Expr) else at if isinstance(at, Span) else None
        if span is None:
            return QueryRefused(code, message, accepted=accepted)
        before = self.text[: span.start]
        line = before.count("\n") + 1
        column = span.start - (before.rfind("\n") + 1) + 1
        # sqlglot places what it adds itself, as the * of FROM x, at the start of the text
        first = self._closed(span).split("\n")[0]
        excerpt = first if first.strip() else None
        return QueryRefused(code, message, accepted=accepted, line=line, column=column, excerpt=excerpt)

    @contextmanager
    def placing(self, span: Span | None = None) -> Iterator[None]:
        """Let a refusal from within say where in the text it belongs: where it knows itself, else at `span`."""
        try:
            yield
        except QueryRefused as refusal:
            at = refusal.span or span
            raise self.refusal(refusal.code, refusal.message, at, accepted=refusal.accepted) from None

    def place(self, node: exp.Expr) -> Span | None:
        """Where a node stands; of one that sqlglot keeps no position of, its word, or what it stands in."""
        span = span_of(node) or next(filter(None, map(self._word, node.walk())), None)
        above = node.parent
        while span is None and above is not None:
            span, above = span_of(above), above.parent
        return span

    def _word(self, node: exp.Expr) -> Span | None:
        """Where the word of a node that is nothing but a word, such as CURRENT_DATE, stands first."""
        if isinstance(node, exp.Placeholder):
            words = {"?", "$"}
        elif isinstance(node, exp.Var | exp.Func) and next(node.iter_expressions(), None) is None:
            words = {self.called(node)}
        else:
            return None
        try:
            tokens = sqlglot.tokenize(self.text, read="duckdb")
        except SqlglotError:
            return None
        for token in tokens:
            if self.text[token.start : token.end + 1].upper() in words:
                return Span(token.start, token.end + 1)
        return None

    def called(self, node: exp.Expr | str) -> str:
        """What a construct is called by who writes it: the word that was written, where sqlglot keeps its place."""
        if not isinstance(node, exp.Expr):
            return "A bare word"
        if isinstance(node, exp.Anonymous | exp.Var):
            return str(node.name.upper())
        start, end = node.meta.get("start"), node.meta.get("end")
        written = "" if start is None or end is None else self.text[start : end + 1]
        if isinstance(node, exp.Literal) or (isinstance(node, exp.Func) and written.isidentifier()):
            return written.upper() or "A constant"
        if isinstance(node, exp.Func):
            return _CALLED.get(type(node), node.sql_name())
        return _CALLED.get(type(node), _CAMEL.sub(" ", type(node).__name__).upper())

    def written(self, node: exp.Expr) -> str | None:
        """The text of a table or of a short expression; None where the places sqlglot keeps do not tell it whole.

        No word has a place, such as CASE and END: what the text is read as must be the node again.
        """
        span = span_of(node)
        text = "" if span is None else self._closed(span)
        if type(node) is exp.Table:
            return text if isinstance(node.this, exp.Identifier) else None
        try:
            whole = 0 < len(text) <= WRITTEN_MAX and sqlglot.parse_one(text, read="duckdb") == node
        except (SqlglotError, ValueError, TypeError, AttributeError, KeyError, IndexError):  # as of the whole text
            whole = False
        return text if whole else None

    def _closed(self, span: Span) -> str:
        """The text of a span, with the closing parentheses that sqlglot keeps no position of."""
        end = span.end
        written = self.text[span.start : end]
        missing = written.count("(") - written.count(")")
        while missing > 0 and self.text[end : end + 1] in (")", " "):
            missing -= self.text[end] == ")"
            end += 1
        return self.text[span.start : end]

    def consume(self, node: exp.Expr, *names: str) -> tuple[Any, ...]:
        """The named args of a node, on the promise that it has no other: any other non-empty arg refuses.

        A handled class is not a handled node: TABLESAMPLE, DISTINCT ON and the like hang on args of nodes
        that are handled already.
        """
        if not isinstance(node, exp.Expr):
            raise self.refusal("syntax", "The text cannot be read as SQL at this place.", accepted="one SELECT")
        for key, value in node.args.items():
            if isinstance(value, exp.Identifier):
                self.consume(value, "this", "quoted")
            if key not in names and value not in (None, False, [], (), ""):
                shown = _CLAUSES.get(key, key.strip("_").replace("_", " ").upper())
                raise self.refusal(
                    "unsupported",
                    f"{shown} is not accepted in {self.called(node)}.",
                    node,
                    accepted=_INSTEAD.get(key, f"the same without {shown}"),
                )
        return tuple(node.args.get(name) for name in names)


def nearest(word: str, known: Iterable[str]) -> str:
    """What would be accepted instead of an unknown word: the nearest names first."""
    names = sorted(known)
    close = get_close_matches(word.lower(), names, n=3)
    return f"one of {', '.join(close or names[:20])}"
