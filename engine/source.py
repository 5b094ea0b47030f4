"""The researcher's text, kept only to say where a refusal points.

Nothing here is ever executed.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine.refusals import QueryRefused
from engine.tree import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.refusals import RefusalCode


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
        span = span_of(at) if isinstance(at, exp.Expr) else at if isinstance(at, Span) else None
        if span is None:
            return QueryRefused(code, message, accepted=accepted)
        before = self.text[: span.start]
        line = before.count("\n") + 1
        column = span.start - (before.rfind("\n") + 1) + 1
        # sqlglot places what it adds itself, as the * of FROM x, at the start of the text
        first = self._closed(span).split("\n")[0]
        excerpt = first if first.strip() else None
        return QueryRefused(code, message, accepted=accepted, line=line, column=column, excerpt=excerpt)

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
                shown = key.strip("_").replace("_", " ").upper()
                raise self.refusal(
                    "unsupported",
                    f"{shown} is not accepted in {type(node).__name__.upper()}.",
                    node,
                    accepted=f"the same without {shown}",
                )
        return tuple(node.args.get(name) for name in names)


def nearest(word: str, known: Iterable[str]) -> str:
    """What would be accepted instead of an unknown word: the nearest names first."""
    names = sorted(known)
    close = get_close_matches(word.lower(), names, n=3)
    return f"one of {', '.join(close or names[:20])}"
