"""The tree of errors, all of it.

Exception
├── Refusal              safe to show: made from the question, the catalog and the ledger, never from a record
│   ├── BudgetRefused    the cohorts' budget or the grant's allowance does not cover the question
│   ├── AccessRefused    the asker, or the state of the district, does not allow the question
│   ├── LedgerUnavailable  the machine does not let the ledger be read or written now
│   ├── QueryRefused     the SQL cannot be answered as written          (engine.refusals)
│   └── CatalogRefused   a catalog or a source file cannot be used      (engine.refusals)
├── InternalFailure      anything else: one opaque answer with an incident id (engine.refusals)
├── LedgerDamaged        the ledger contradicts itself, or is not one of ours: nothing is answered from it
├── StaleBasis           the plan rests on what is no longer so: plan again, nothing was charged
└── NotDrawing           this ledger instance does not draw for the entry: throw the noise away

Nobody matches the text of an error: the fields are the interface. A refusal says what, where, and what would
be accepted.
"""

from __future__ import annotations

from typing import Literal, TypedDict

RefusalCode = Literal[
    "syntax",
    "unsupported",
    "unknown_name",
    "bounds_missing",
    "keys_undeclared",
    "too_large",
    "owner_exposed",
    "crosses_students",
    "budget_year",
    "budget_lifetime",
    "cohort_sealed",
    "grant_missing",
    "grant_expired",
    "grant_scope",
    "column_off",
    "district_pilot",
    "district_closed",
    "request_id_reused",
    "in_progress",
    "answer_lost",
    "release_missing",
    "unauthenticated",
    "forbidden",
    "too_many_requests",
    "approval",
    "clock",
    "ledger_unavailable",
    "catalog",
    "load",
]


class RefusalBody(TypedDict):
    """A refusal on the wire."""

    code: RefusalCode
    message: str
    line: int | None
    column: int | None
    excerpt: str | None
    accepted: str | None


SHOWN_CHARACTERS_MAX = 600
"""A message or an excerpt is cut here: names in a question may be as long as the question."""


def shown(text: str) -> str:
    """A text that is safe on any screen: printable, and not too long.

    >>> shown("There is no column a" + chr(27) + "[31m here.")
    'There is no column a·[31m here.'
    """
    printable = "".join(character if character.isprintable() else "·" for character in text)
    if len(printable) <= SHOWN_CHARACTERS_MAX:
        return printable
    part = SHOWN_CHARACTERS_MAX // 2
    return f"{printable[:part]} … {printable[-part:]}"


class Refusal(Exception):  # noqa: N818 - the field's word: a refusal is a decision, not an error of ours
    """A decision not to answer, with its reason.

    Pieces of a question in it are made printable and short.

    Attributes:
        code: one word for programs.
        message: one or two sentences for people: what, and why.
        line: 1-based line of the question (or catalog) the refusal points at, if any.
        column: 1-based column of that line.
        excerpt: the piece of text pointed at.
        accepted: what would be accepted instead.
    """

    def __init__(
        self,
        code: RefusalCode,
        message: str,
        *,
        accepted: str | None = None,
        line: int | None = None,
        column: int | None = None,
        excerpt: str | None = None,
    ) -> None:
        self.message = shown(message)
        super().__init__(self.message)
        self.code: RefusalCode = code
        self.accepted = None if accepted is None else shown(accepted)
        self.line = line
        self.column = column
        self.excerpt = None if excerpt is None else shown(excerpt)

    def body(self) -> RefusalBody:
        """The refusal as it goes over the wire."""
        return {
            "code": self.code,
            "message": self.message,
            "line": self.line,
            "column": self.column,
            "excerpt": self.excerpt,
            "accepted": self.accepted,
        }


class BudgetRefused(Refusal):
    """The budget of a cohort, or the allowance of a grant, does not cover the question."""


class AccessRefused(Refusal):
    """The asker or the state of the district does not allow the question."""


class LedgerUnavailable(Refusal):
    """The machine does not let the ledger be read or written now: a full disk, a lock, a right that is missing.

    The step it stopped changed nothing; what was charged before it stays charged.

    Args:
        what: what stands in the way, as a sentence.
        accepted: what an officer may do about it.
    """

    def __init__(self, what: str, accepted: str) -> None:
        message = f"The ledger cannot be used now. {what} Nothing was lost, and what was charged stays charged."
        super().__init__("ledger_unavailable", message, accepted=accepted)


class LedgerDamaged(Exception):  # noqa: N818 - says what happened
    """The ledger contradicts itself; nothing may be answered from it until a person has looked."""


class StaleBasis(Exception):  # noqa: N818 - says what happened
    """What the plan was made from has changed: another measurement, another budget year, another epoch.

    Nothing was charged. Whoever planned waits, plans again and tries again; it is never shown.

    Attributes:
        reason: what has changed.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotDrawing(Exception):  # noqa: N818 - says what happened
    """The entry is not being drawn by this ledger instance: what was drawn for it must be thrown away."""
