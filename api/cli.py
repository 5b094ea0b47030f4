"""The `homeroom` command.

Exit codes: 0 answered, 2 usage, 3 the question, 4 the budget, 5 access, 6 catalog or load, 70 internal.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import sys
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from api import demo as demonstration
from api import intake, office, present, serving, tokens
from api.terminal import ServerUnanswering, TextFormat, classes, guarded, refused, write_json
from engine.district import District
from engine.folder import LEDGER_FILE
from engine.refusals import (
    InternalFailure,
    LedgerDamaged,
    Refusal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from api.remote import RemoteDistrict
    from engine.release import Release

USAGE = 2
FILE_VARIABLE = "HOMEROOM_TOKEN_FILE"
_HOST_PORT = re.compile(r"[\w.-]+:\d{1,5}(/.*)?")
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Private answers to SQL questions about students.",
)
app.add_typer(intake.app)
app.add_typer(office.app)
app.add_typer(serving.app)
app.add_typer(tokens.app, name="token")


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


Place = Annotated[str, typer.Argument(metavar="DIR|URL", help="The district's folder, or the address of its server.")]
TokenFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help=f"With a URL: the file your token stands in, or else {FILE_VARIABLE}."),
]
Question = Annotated[str, typer.Argument(metavar="SQL", help="One SELECT; - reads it from standard input.")]
Grant = Annotated[
    str | None, typer.Option(help="The grant to ask under; the district's own, or the token's, if none is named.")
]
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
RowsMax = Annotated[
    int | None,
    typer.Option(
        "--rows-per-student-max", help="Less noise: a student with more rows than this counts in proportion."
    ),
]
GroupsMax = Annotated[
    int | None,
    typer.Option("--groups-per-student-max", help="Likewise for a student in more groups than this."),
]
Rehearse = Annotated[
    bool,
    typer.Option("--rehearse", help="Ask invented records instead; free, and no number of it is about a student."),
]


@cache
def _command() -> Any:
    """The command as it is parsed, made once in a process."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command; a refusal goes to standard error and sets the exit code."""
    try:
        sys.exit(_command()(standalone_mode=False) or 0)
    except typer.Abort:
        sys.exit(130)
    except typer.TyperException as error:
        Console(stderr=True).print(f"{error.format_message()}\nTry {present.command('--help')}.", markup=False)
        sys.exit(USAGE)
    except (Refusal, InternalFailure, LedgerDamaged, ServerUnanswering) as error:
        sys.exit(refused(error, None))
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        sys.exit(_opaque(f"{type(error).__name__}: {error.strerror or 'the system refused'}"))
    except Exception as error:  # noqa: BLE001 - a traceback may hold a piece of a record
        sys.exit(_opaque(type(error).__name__))


def _opaque(what: str) -> int:
    Console(stderr=True).print(f"Failed inside ({what}); no more is said: it might tell of a record.", markup=False)
    return 70


def _text(sql: str) -> str:
    if sql != "-":
        return sql
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise typer.BadParameter("standard input is not UTF-8 text") from None


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
    grant: str | None,
    cohorts: str | None,
    epsilon: float | None,
    moe: list[str] | None,
    moe_at_n: int | None,
    rows: int | None,
    groups: int | None,
    *,
    rehearse: bool,
) -> dict[str, Any]:
    """The fields of a request that all commands share."""
    return {
        "grant": grant,
        "cohorts": classes(cohorts),
        "epsilon": epsilon,
        "moe": _margins(moe),
        "moe_at_n": moe_at_n,
        "rows_per_student_max": rows,
        "groups_per_student_max": groups,
        "rehearse": rehearse,
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
            told = f"{folder} is a district already: its budget stays spent and its answers stay the same.\n"
            console.print(told, markup=False)
        else:
            demonstration.make(console, folder, students, seed)
        demonstration.show(console, folder)

    guarded(None, work)


@app.command()
def preview(  # noqa: PLR0913, PLR0917 - one for each option of the command
    place: Place,
    sql: Question,
    grant: Grant = None,
    cohorts: Cohorts = None,
    epsilon: Epsilon = None,
    moe: Moe = None,
    moe_at_n: MoeAtN = None,
    rows_per_student_max: RowsMax = None,
    groups_per_student_max: GroupsMax = None,
    rehearse: Rehearse = False,  # noqa: FBT002 - an option of the command
    token_file: TokenFile = None,
    form: Annotated[TextFormat, typer.Option("--format")] = TextFormat.TABLE,
) -> None:
    """Say what a question would cost and how sharp it would be. Free."""
    most = (rows_per_student_max, groups_per_student_max)
    text, fields = _text(sql), _fields(grant, cohorts, epsilon, moe, moe_at_n, *most, rehearse=rehearse)

    def work() -> None:
        with _district(place, token_file) as district:
            foretold = district.preview(text, **fields)
        if form is TextFormat.JSON:
            write_json(foretold.to_dict())
        else:
            present.preview(Console(), foretold)

    guarded(text, work)


@app.command()
def explain(  # noqa: PLR0913, PLR0917 - one for each option of the command
    place: Place,
    sql: Question,
    grant: Grant = None,
    cohorts: Cohorts = None,
    epsilon: Epsilon = None,
    moe: Moe = None,
    moe_at_n: MoeAtN = None,
    rows_per_student_max: RowsMax = None,
    groups_per_student_max: GroupsMax = None,
    rehearse: Rehearse = False,  # noqa: FBT002 - an option of the command
    token_file: TokenFile = None,
    form: Annotated[TextFormat, typer.Option("--format")] = TextFormat.TABLE,
) -> None:
    """Say why a question would cost what it costs, and what would make it sharper. Free."""
    most = (rows_per_student_max, groups_per_student_max)
    text, fields = _text(sql), _fields(grant, cohorts, epsilon, moe, moe_at_n, *most, rehearse=rehearse)

    def work() -> None:
        with _district(place, token_file) as district:
            explained = district.explain(text, **fields)
        if form is TextFormat.JSON:
            write_json(explained.to_dict())
        else:
            present.explanation(Console(), explained)

    guarded(text, work)


@app.command()
def ask(  # noqa: PLR0913, PLR0917 - one for each option of the command
    place: Place,
    sql: Question,
    request_id: Annotated[
        str | None, typer.Option(help="Your own id: asking again under it gives the same answer for free.")
    ] = None,
    grant: Grant = None,
    cohorts: Cohorts = None,
    epsilon: Epsilon = None,
    moe: Moe = None,
    moe_at_n: MoeAtN = None,
    rows_per_student_max: RowsMax = None,
    groups_per_student_max: GroupsMax = None,
    rehearse: Rehearse = False,  # noqa: FBT002 - an option of the command
    token_file: TokenFile = None,
    form: Annotated[Format, typer.Option("--format")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
) -> None:
    """Answer a question, charging the classes of students it touches."""
    most = (rows_per_student_max, groups_per_student_max)
    text, fields = _text(sql), _fields(grant, cohorts, epsilon, moe, moe_at_n, *most, rehearse=rehearse)
    if form is Format.PARQUET and output is None and sys.stdout.isatty():
        raise typer.BadParameter("parquet is binary: name a file with --output", param_hint="--format")

    def work() -> None:
        folder = None if _is_address(place) else Path(place)
        with _opened(output, folder) as target, _district(place, token_file) as district:
            release = district.ask(text, request_id=request_id, **fields)
            if form is Format.TABLE:
                balances = district.balances() if release.charges else {}
                _to_file_or_terminal(target, lambda console: present.answer(console, release, balances))
            else:
                _write(release, form, target)

    guarded(text, work)


def _is_address(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))


def _district(place: str, token_file: str | None) -> District | RemoteDistrict:
    """The district in a folder or behind a server.

    Raises:
        typer.BadParameter: a token for a folder, or a server without one.
    """
    if not _is_address(place):
        if token_file is not None:
            what = (
                f"A token goes to a server, and {present.plain(place)} is a folder. Accepted: https://…, or no token"
            )
            raise typer.BadParameter(what, param_hint="--token-file")
        if _HOST_PORT.fullmatch(place) and not Path(place).exists():
            raise typer.BadParameter(f"Did you mean http://{place}?", param_hint="DIR|URL")
        return District.open(Path(place))
    from api.remote import RemoteDistrict  # noqa: PLC0415 - a folder is asked without loading HTTP

    given = token_file or os.environ.get(FILE_VARIABLE)
    if not given:
        what = f"A server wants your token. Name the file that it stands in, here or in {FILE_VARIABLE}"
        raise typer.BadParameter(what, param_hint="--token-file")
    return RemoteDistrict.open(place, given)


@contextmanager
def _opened(output: Path | None, folder: Path | None) -> Iterator[Path | None]:
    """Where to write, made before anything is charged; it takes the name of `output` when all is written.

    A device or a pipe is written to as it is. Nothing is written into the district's `folder`, if it is one: an
    answer under the name of the ledger would be the end of it.
    """
    if output is None or _is_special(output):
        yield output
        return
    target = output.resolve()
    if (
        folder is not None
        and folder.exists()
        and any(parent.exists() and parent.samefile(folder) for parent in target.parents)
    ):
        raise typer.BadParameter(
            f"{present.plain(str(output))} is in the folder of the district; nothing was asked. Accepted: a file "
            "anywhere else",
            param_hint="--output",
        )
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
        write_json(release.to_dict(), output)
    elif form is Format.CSV:
        release.to_pandas().to_csv(output or sys.stdout, index=False)
    else:
        import pyarrow.parquet  # noqa: PLC0415 - nobody but who wants a file waits for it

        pyarrow.parquet.write_table(release.to_arrow(), output or sys.stdout.buffer)
