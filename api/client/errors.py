"""Why there is no answer.

NotAnswered
├── Refused         the server said why: the question, the budget, the access, or that it is busy
└── ServerFailed    nobody said why: the server cannot be reached, failed inside, or is no Homeroom

Nobody matches the text of an error: the fields are the interface. A token stands in none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.schemas import Problem

SHOWN_CHARACTERS_MAX = 600
LATER = frozenset({"in_progress", "too_many_requests", "busy", "ledger_unavailable"})
"""Codes of refusals that speak of the moment: the same question may be answered later, under the same request id."""


def plain(text: str) -> str:
    """Foreign text that is safe on any screen: printable, and not too long.

    >>> plain("a" + chr(27) + "[2Jb")
    'a·[2Jb'
    """
    printable = "".join(character if character.isprintable() else "·" for character in text)
    return printable if len(printable) <= SHOWN_CHARACTERS_MAX else f"{printable[:SHOWN_CHARACTERS_MAX]} …"


class NotAnswered(Exception):  # noqa: N818 - says what happened
    """There is no answer.

    Attributes:
        message: what, and why, in one or two sentences.
        code: one word for programs.
        status: of the HTTP answer; None where there was none.
        request_id: of the question, if it had one. The same question may be asked again under it: if the first
            asking was charged after all, it is not paid twice.
    """

    def __init__(self, message: str, *, code: str, status: int | None, request_id: str | None) -> None:
        self.message = plain(message)
        self.code = code
        self.status = status
        self.request_id = request_id
        super().__init__(self.message)

    def __str__(self) -> str:
        return "\n".join([self.message, *self._again()])

    def _again(self) -> list[str]:
        if self.request_id is None:
            return []
        return [f"  request id: {plain(self.request_id)} (ask again under it: nothing is paid twice)"]


class Refused(NotAnswered):
    """The server does not answer this question, and said why.

    Attributes:
        line: 1-based line of the question that the refusal points at, if any.
        column: 1-based column of that line.
        excerpt: the piece of text pointed at.
        accepted: what would be accepted instead.
        sql: the question, if there was one.
    """

    def __init__(self, problem: Problem, *, sql: str | None = None, request_id: str | None = None) -> None:
        super().__init__(
            problem.message, code=problem.code, status=problem.status, request_id=problem.request_id or request_id
        )
        self.line = problem.line
        self.column = problem.column
        self.excerpt = None if problem.excerpt is None else plain(problem.excerpt)
        self.accepted = None if problem.accepted is None else plain(problem.accepted)
        self.sql = sql

    def __str__(self) -> str:
        accepted = [f"  accepted: {self.accepted}"] if self.accepted else []
        again = self._again() if self.code in LATER else []
        return "\n".join([f"{self.message} ({plain(self.code)})", *self._place(), *accepted, *again])

    def _place(self) -> list[str]:
        """The line the refusal points at, underlined."""
        lines = (self.sql or "").split("\n")
        if self.line is None or not 1 <= self.line <= len(lines):
            return []
        column = self.column or 1
        start = max(0, column - 61)
        shown = plain(lines[self.line - 1][start : start + 110])
        offset = column - 1 - start
        width = max(1, min(len(self.excerpt or " "), len(shown) - offset))
        return [f"  line {self.line}, column {column}", f"    {shown}", "    " + " " * offset + "^" * width]


class ServerFailed(NotAnswered):
    """The server cannot be reached, failed inside, or answered what no Homeroom answers.

    Attributes:
        incident: of a failure inside, for whoever asks the district about it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int | None = None,
        request_id: str | None = None,
        incident: str | None = None,
    ) -> None:
        told = f"{message} (incident {incident})" if incident and incident not in message else message
        super().__init__(told, code=code, status=status, request_id=request_id)
        self.incident = incident
