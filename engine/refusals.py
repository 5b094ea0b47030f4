"""Errors of the engine; the whole tree stands in `budgets.refusals`."""

from __future__ import annotations

import uuid
from typing import Any

from budgets.refusals import (
    AccessRefused,
    BudgetRefused,
    LedgerDamaged,
    LedgerUnavailable,
    Refusal,
    RefusalBody,
    RefusalCode,
)

__all__ = [
    "AccessRefused",
    "BudgetRefused",
    "CatalogRefused",
    "InternalFailure",
    "LedgerDamaged",
    "LedgerUnavailable",
    "QueryRefused",
    "Refusal",
    "RefusalBody",
    "RefusalCode",
]


class QueryRefused(Refusal):
    """The SQL cannot be answered as written; the question cost nothing.

    Attributes:
        span: where in the text it belongs, as long as it does not say so itself.
    """

    span: Any = None


class CatalogRefused(Refusal):
    """A catalog or a source file cannot be used.

    Attributes:
        file: the file the refusal speaks of.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str,
        accepted: str,
        line: int | None = None,
        load: bool = False,
    ) -> None:
        super().__init__("load" if load else "catalog", message, accepted=accepted, line=line)
        self.file = file


class InternalFailure(Exception):  # noqa: N818 - says what happened
    """Something failed that is nobody's question; nothing about it is told but an incident id.

    What was charged stays charged.
    """

    def __init__(self) -> None:
        self.incident = uuid.uuid4().hex[:12]
        super().__init__(f"The district could not answer (incident {self.incident}). What was charged stays charged.")
