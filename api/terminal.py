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
)

if TYPE_CHECKING:
    from collections.abc import Callable

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
    Refusal: 6,  # the ledger's own, of a file that stands there already
}

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
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def guarded(sql: str | None, work: Callable[[], None]) -> None:
    """Run the work of a command; a refusal ends it with its exit code.

    Raises:
        typer.Exit: it was refused.
    """
    try:
        work()
    except (Refusal, InternalFailure, LedgerDamaged) as error:
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
