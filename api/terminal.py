"""What every command shares: its folder, its formats, refusals and their exit codes."""

from __future__ import annotations

import json
import sys
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from api import present
from budgets.refusals import shown
from engine.refusals import (
    AccessRefused,
    BudgetRefused,
    CatalogRefused,
    InternalFailure,
    LedgerDamaged,
    LedgerUnavailable,
    QueryRefused,
    Refusal,
    RefusalBody,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class ServerRefused(Refusal):
    """A server does not answer, and said why.

    Attributes:
        status: of its answer.
        request_id: of the question, if it had one.
    """

    def __init__(self, body: RefusalBody, *, status: int | None, request_id: str | None) -> None:
        super().__init__(
            body["code"],
            body["message"],
            accepted=body["accepted"],
            line=body["line"],
            column=body["column"],
            excerpt=body["excerpt"],
        )
        self.status = status
        self.request_id = request_id


class ServerUnanswering(Exception):  # noqa: N818 - says what happened
    """A server cannot be reached, or failed inside; its words are safe to show.

    Attributes:
        request_id: of the question, if it had one.
    """

    def __init__(self, message: str, *, request_id: str | None) -> None:
        super().__init__(message)
        self.request_id = request_id


YEARS_MAX = 1000
YEAR_DIGITS_MAX = 6
EXIT_CODES: dict[type[Exception], int] = {
    QueryRefused: 3,
    BudgetRefused: 4,
    AccessRefused: 5,
    CatalogRefused: 6,
    LedgerUnavailable: 70,
    LedgerDamaged: 70,
    InternalFailure: 70,
    ServerUnanswering: 70,
    Refusal: 6,  # the ledger's own, of a file that stands there already
}

REMOTE_EXIT_CODES: dict[str | int, int] = {
    # By the code of a problem, where its status alone does not tell what the command here would end with.
    "approval": 5,
    "grant_missing": 5,
    "request_id_reused": 5,
    "in_progress": 5,
    "clock": 5,
    "catalog": 6,
    "load": 6,
    # By the status of an HTTP answer.
    401: 5,
    403: 5,
    409: 4,
    410: 5,
    429: 5,
    500: 70,
    503: 70,
}
QUESTION = 3
"""Any other status speaks of the question as it was sent."""


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The district's folder.")]


class TextFormat(StrEnum):
    """How a preview or a budget is written."""

    TABLE = "table"
    JSON = "json"


class PresetName(StrEnum):
    """What a class may lose in its lifetime, by a name."""

    CAREFUL = "careful"
    STANDARD = "standard"
    GENEROUS = "generous"


def refused(error: Exception, sql: str | None) -> int:
    """Say on standard error why not; the exit code."""
    console = Console(stderr=True)
    if isinstance(error, Refusal):
        present.refusal(console, error, sql)
    else:
        console.print(str(error), markup=False)
    request_id = getattr(error, "request_id", None)
    if request_id is not None:
        again = f"  ask again under --request-id {present.plain(request_id)}: nothing is paid twice under one id"
        console.print(again, markup=False, style="dim", soft_wrap=True)
    return exit_code(error)


def exit_code(error: Exception) -> int:
    """The exit code of a refusal or a failure, the same whether the district is a folder or a server."""
    if isinstance(error, ServerRefused):
        of_status = REMOTE_EXIT_CODES.get(error.status or 0, QUESTION)
        return REMOTE_EXIT_CODES.get(error.code, of_status)
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def guarded(sql: str | None, work: Callable[[], None]) -> None:
    """Run the work of a command; a refusal ends it with its exit code.

    Raises:
        typer.Exit: it was refused.
    """
    try:
        work()
    except (Refusal, InternalFailure, LedgerDamaged, ServerUnanswering) as error:
        raise typer.Exit(refused(error, sql)) from None


def classes(text: str | None) -> tuple[int, ...] | None:
    """The classes of the command line; also as refusals write them, such as cohorts=[2030, 2031].

    Raises:
        typer.BadParameter: they are no years.
    """
    if text is None:
        return None
    years: list[int] = []
    listed = text.strip().removeprefix("cohorts=")
    if listed.startswith("[") and listed.endswith("]"):
        listed = listed[1:-1]
    for part in listed.split(","):
        low, _, high = (each.strip() for each in part.partition("-"))
        plain = all(year.isdecimal() and len(year) <= YEAR_DIGITS_MAX for year in (low, high or low))
        if not plain or not 0 <= int(high or low) - int(low) < YEARS_MAX:
            raise typer.BadParameter(f"{shown(part)!r} is no class; write 2030,2031 or 2030-2035")
        years += range(int(low), int(high or low) + 1)
    return tuple(years)


def day(text: str) -> date:
    """A day of the command line.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f"{shown(text)!r} is no day. Accepted: a day such as 2027-06-30"
        raise typer.BadParameter(message, param_hint="--expires") from None


def write_json(body: dict[str, Any], output: Path | None = None) -> None:
    """Write for programs, to a file or to standard output."""
    text = json.dumps(body, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
