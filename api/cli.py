"""The `homeroom` command.

Exit codes: 0 answered, 2 usage, 3 the question, 4 the budget, 5 access, 6 catalog or load, 70 internal.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shutil
import stat
import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from api import demo as demonstration
from api import present
from budgets.clock import SystemClock
from budgets.cohorts import years_text
from budgets.loss import nanorho_for
from engine.catalog_file import read_catalog
from engine.district import CATALOG_FILE, LEDGER_FILE, District
from engine.founding import found
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
    from collections.abc import Callable, Iterable, Iterator

    from engine.release import Release

USAGE = 2
YEARS_MAX = 1000
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

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Private answers to SQL questions about students.",
)
budget_app = typer.Typer(no_args_is_help=True, help="What each class of students may lose, and has lost.")
app.add_typer(budget_app, name="budget")


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class TextFormat(StrEnum):
    """How a preview or a budget is written."""

    TABLE = "table"
    JSON = "json"


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The district's folder.")]
Question = Annotated[str, typer.Argument(metavar="SQL", help="One SELECT; - reads it from standard input.")]
Grant = Annotated[str | None, typer.Option(help="The grant to ask under; the district's own if none is named.")]
Cohorts = Annotated[str | None, typer.Option(help="Ask only of these classes, such as 2030,2031.")]
Epsilon = Annotated[float | None, typer.Option(help="Spend so much on this question instead of the default share.")]
Moe = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[COLUMN=]MARGIN",
        help="Spend as little as keeps this 90 % margin, in the column's unit; repeat for several estimates.",
    ),
]
MoeAtN = Annotated[
    int | None,
    typer.Option("--moe-at-n", help="Averages and ratios keep it in cells of so many rows; 100 if not given."),
]


def main() -> None:
    """Run the command; a refusal goes to standard error and sets the exit code."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except typer.Abort:
        sys.exit(130)
    except typer.TyperException as error:
        Console(stderr=True).print(f"{error.format_message()}\nTry {present.command('--help')}.", markup=False)
        sys.exit(USAGE)
    except (Refusal, InternalFailure, LedgerDamaged) as error:
        sys.exit(_refused(error, None))
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        sys.exit(_opaque(f"{type(error).__name__}: {error.strerror or 'the system refused'}"))
    except Exception as error:  # noqa: BLE001 - a traceback may hold a piece of a record
        sys.exit(_opaque(type(error).__name__))


def _opaque(what: str) -> int:
    Console(stderr=True).print(f"Failed inside ({what}); no more is said: it might tell of a record.", markup=False)
    return 70


def _refused(error: Exception, sql: str | None) -> int:
    console = Console(stderr=True)
    if isinstance(error, Refusal):
        present.refusal(console, error, sql)
    else:
        console.print(str(error), markup=False)
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def _guarded(sql: str | None, work: Callable[[], None]) -> None:
    try:
        work()
    except (Refusal, InternalFailure, LedgerDamaged) as error:
        raise typer.Exit(_refused(error, sql)) from None


def _text(sql: str) -> str:
    if sql != "-":
        return sql
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise typer.BadParameter("standard input is not UTF-8 text") from None


def _cohorts(text: str | None) -> tuple[int, ...] | None:
    """The classes of the command line; also as refusals write them, such as cohorts=[2030, 2031]."""
    if text is None:
        return None
    years: list[int] = []
    listed = text.strip().removeprefix("cohorts=")
    if listed.startswith("[") and listed.endswith("]"):
        listed = listed[1:-1]
    for part in listed.split(","):
        low, _, high = (each.strip() for each in part.partition("-"))
        if not low.isdecimal() or not (high or low).isdecimal() or not 0 <= int(high or low) - int(low) < YEARS_MAX:
            raise typer.BadParameter(f"{part!r} is no class; write 2030,2031 or 2030-2035")
        years += range(int(low), int(high or low) + 1)
    return tuple(years)


def _margins(given: list[str] | None) -> float | dict[str, float] | None:
    """The margins of the command line: one number, or COLUMN=MARGIN for each of several columns."""
    if not given:
        return None
    named: dict[str, float] = {}
    for text in given:
        name, separator, number = text.rpartition("=")
        try:
            margin = float(number)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is no margin; write 25 or students=25") from None
        if not separator and len(given) == 1:
            return margin
        if not name or name in named:
            raise typer.BadParameter("write COLUMN=MARGIN for each of several columns, each once")
        named[name] = margin
    return named


def _fields(
    grant: str | None, cohorts: str | None, epsilon: float | None, moe: list[str] | None, moe_at_n: int | None
) -> dict[str, Any]:
    """The fields of a request that all commands share."""
    return {
        "grant": grant,
        "cohorts": _cohorts(cohorts),
        "epsilon": epsilon,
        "moe": _margins(moe),
        "moe_at_n": moe_at_n,
    }


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where to make the district.")] = Path(
        "homeroom-demo"
    ),
    students: Annotated[int, typer.Option(min=50, max=190_000, help="Students in the newest school year.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same district.")] = 2025,
) -> None:
    """Make an invented district and ask it real questions."""
    console = Console()

    def work() -> None:
        if (folder / LEDGER_FILE).is_file():
            console.print(f"{folder} is a district already: its budget stays spent and its answers stay the same.\n")
        else:
            demonstration.make(console, folder, students, seed)
        demonstration.show(console, folder)

    _guarded(None, work)


@app.command()
def init(
    folder: Folder,
    catalog: Annotated[Path, typer.Option(help="The district's catalog (YAML).")],
    table: Annotated[list[str], typer.Option(metavar="NAME=PATH", help="A table's CSV or Parquet file; repeat.")],
) -> None:
    """Start a district from its own files; records stay in the folder."""
    console = Console(stderr=True)
    sources: dict[str, Path] = {}
    for given in table:
        name, separator, path = given.partition("=")
        if not separator or not name or not path or name in sources:
            raise typer.BadParameter(f"{given!r} is not NAME=PATH, each name once")
        sources[name] = Path(path)

    def work() -> None:
        with demonstration.progress_bar(console) as step:
            found(folder, catalog, sources, clock=SystemClock(), progress=step)
        console.print(f"The district is in {folder}. What was taken and what was not: {folder / 'reports'}")
        home = read_catalog(folder / CATALOG_FILE).cohort_table
        question = f"SELECT COUNT(*) AS students FROM {home}"  # noqa: S608 - shown, not run
        console.print("What a first question would cost, for free:")
        console.print(
            present.command("preview", str(folder), question), markup=False, highlight=False, soft_wrap=True
        )

    _guarded(None, work)


@app.command()
def preview(
    folder: Folder,
    sql: Question,
    grant: Grant = None,
    cohorts: Cohorts = None,
    epsilon: Epsilon = None,
    moe: Moe = None,
    moe_at_n: MoeAtN = None,
    form: Annotated[TextFormat, typer.Option("--format")] = TextFormat.TABLE,
) -> None:
    """Say what a question would cost and how sharp it would be. Free."""
    text, fields = _text(sql), _fields(grant, cohorts, epsilon, moe, moe_at_n)

    def work() -> None:
        with District.open(folder) as district:
            foretold = district.preview(text, **fields)
        if form is TextFormat.JSON:
            _write_json(foretold.to_dict())
        else:
            present.preview(Console(), foretold)

    _guarded(text, work)


@app.command()
def explain(
    folder: Folder,
    sql: Question,
    grant: Grant = None,
    cohorts: Cohorts = None,
    epsilon: Epsilon = None,
    moe: Moe = None,
    moe_at_n: MoeAtN = None,
    form: Annotated[TextFormat, typer.Option("--format")] = TextFormat.TABLE,
) -> None:
    """Say why a question would cost what it costs, and what would make it sharper. Free."""
    text, fields = _text(sql), _fields(grant, cohorts, epsilon, moe, moe_at_n)

    def work() -> None:
        with District.open(folder) as district:
            explained = district.explain(text, **fields)
        if form is TextFormat.JSON:
            _write_json(explained.to_dict())
        else:
            present.explanation(Console(), explained)

    _guarded(text, work)


@app.command()
def ask(  # noqa: PLR0913, PLR0917 - one for each option of the command
    folder: Folder,
    sql: Question,
    request_id: Annotated[
        str | None, typer.Option(help="Your own id: asking again under it gives the same answer for free.")
    ] = None,
    grant: Grant = None,
    cohorts: Cohorts = None,
    epsilon: Epsilon = None,
    moe: Moe = None,
    moe_at_n: MoeAtN = None,
    form: Annotated[Format, typer.Option("--format")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
) -> None:
    """Answer a question, charging the classes of students it touches."""
    text, fields = _text(sql), _fields(grant, cohorts, epsilon, moe, moe_at_n)
    if form is Format.PARQUET and output is None and sys.stdout.isatty():
        raise typer.BadParameter("parquet is binary: name a file with --output", param_hint="--format")

    def work() -> None:
        with _opened(output) as target, District.open(folder) as district:
            release = district.ask(text, request_id=request_id, **fields)
            if form is Format.TABLE:
                _to_file_or_terminal(target, lambda console: present.answer(console, release, district.balances()))
            else:
                _write(release, form, target)

    _guarded(text, work)


@contextmanager
def _opened(output: Path | None) -> Iterator[Path | None]:
    """Where to write, made before anything is charged; it takes the name of `output` when all is written.

    A device or a pipe is written to as it is.
    """
    if output is None or _is_special(output):
        yield output
        return
    target = output.resolve()
    beside = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
    try:
        beside.open("x").close()
        if target.exists():
            shutil.copymode(target, beside)
    except OSError:
        beside.unlink(missing_ok=True)
        raise _unwritable(output) from None
    try:
        yield beside
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _is_special(output: Path) -> bool:
    """Whether it is there and no ordinary file; a folder, and what cannot be written to, is refused."""
    try:
        mode = output.stat().st_mode
    except FileNotFoundError:
        return False
    except OSError:
        raise _unwritable(output) from None
    if stat.S_ISDIR(mode) or not os.access(output, os.W_OK):
        raise _unwritable(output)
    return not stat.S_ISREG(mode)


def _unwritable(output: Path) -> typer.BadParameter:
    return typer.BadParameter(
        f"{present.plain(str(output))} cannot be written; nothing was asked. Accepted: a file in a folder that is "
        "there and can be written to",
        param_hint="--output",
    )


def _to_file_or_terminal(output: Path | None, show: Callable[[Console], None]) -> None:
    if output is None:
        show(Console())
        return
    with output.open("w", encoding="utf-8") as file:
        show(Console(file=file, width=160))


def _write(release: Release, form: Format, output: Path | None) -> None:
    if form is Format.JSON:
        _write_json(release.to_dict(), output)
    elif form is Format.CSV:
        release.to_pandas().to_csv(output or sys.stdout, index=False)
    else:
        release.to_pandas().to_parquet(output or sys.stdout.buffer, index=False)


def _write_json(body: dict[str, Any], output: Path | None = None) -> None:
    text = json.dumps(body, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


@app.command()
def doctor(
    folder: Folder,
    *,
    accept_clock: Annotated[
        bool, typer.Option("--accept-clock", help="The machine's clock is right; open the new budget year.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="Who looked at it; your user name if nobody is named.")] = None,
) -> None:
    """Look after a district: whether its ledger is in order, and its clock right."""
    named = getpass.getuser() if by is None else by
    if not present.plain(named).strip():
        raise typer.BadParameter("nobody is named. Accepted: the name of whoever looked", param_hint="--by")

    def work() -> None:
        with District.open(folder) as district:
            if accept_clock and district.accept_clock(named):
                console.print(f"The clock is accepted; it is the budget year {district.budget_year()}.")
            leap = district.clock_leap()
        if leap is not None:
            raise leap.refusal()
        console.print("The ledger is in order, and so is the clock.")

    console = Console()
    _guarded(None, work)


@budget_app.command("show")
def budget_show(folder: Folder, form: Annotated[TextFormat, typer.Option("--format")] = TextFormat.TABLE) -> None:
    """What each class has spent and has left, this budget year and in its lifetime."""

    def work() -> None:
        with District.open(folder) as district:
            balances, year = district.balances(), district.budget_year()
        if form is TextFormat.JSON:
            _write_json(present.budget_json(balances, year))
        else:
            present.budget(Console(), balances, year)

    _guarded(None, work)


@budget_app.command("set")
def budget_set(
    folder: Folder,
    lifetime_epsilon: Annotated[float, typer.Option(min=0.0, max=100.0, help="The new lifetime ε (at δ 5e-8).")],
    by: Annotated[str, typer.Option(help="Who decides this; it is written down.")],
    cohorts: Annotated[str, typer.Option(help="The classes, such as 2030-2042.")],
) -> None:
    """Lower the lifetime budget of some classes. It can only be lowered."""
    named = _cohorts(cohorts) or ()
    if not present.plain(by).strip():
        raise typer.BadParameter("nobody is named. Accepted: the name of whoever decides", param_hint="--by")
    nanorho = nanorho_for(lifetime_epsilon) if lifetime_epsilon > 0 else 0

    def work() -> None:
        with District.open(folder) as district:
            _check_kept(named, district.balances())
            district.lower_cap(named, nanorho, by)
            present.budget(Console(), district.balances(), district.budget_year())

    _guarded(None, work)


def _check_kept(cohorts: Iterable[int], kept: Iterable[int]) -> None:
    unknown = set(cohorts) - set(kept)
    if unknown:
        raise typer.BadParameter(
            f"the district keeps no class of {years_text(unknown)}. Accepted: classes of {years_text(kept)}",
            param_hint="--cohorts",
        )
