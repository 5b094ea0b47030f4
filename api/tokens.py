"""Commands about tokens: who may ask over the server."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api import present
from api.present_office import standing_of
from api.terminal import Folder, TextFormat, day, guarded, write_json
from budgets.tokens import parts
from engine.office import Office

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import date
    from typing import Any

    from budgets.tokens import Token

app = typer.Typer(no_args_is_help=True, help="Who may ask over the server.")


To = Annotated[
    Path | None,
    typer.Option("--to", metavar="FILE", help="Write it to this new file, for you alone, instead of showing it."),
]
Named = Annotated[str, typer.Argument(metavar="ID", help="The token's id: what stands between hr_ and the next _.")]
By = Annotated[str, typer.Option(help="Who decides this; it is written down.")]


def _given(folder: Folder, to: Path | None, give: Callable[[Office], str]) -> None:
    """Make a token and show it once; where it cannot be written, none is made."""

    def work() -> None:
        target = None if to is None else _new_file(to)
        try:
            with Office.open(folder) as office:
                token = give(office)
        except BaseException:
            if to is not None and target is not None:
                os.close(target)
                to.unlink(missing_ok=True)
            raise
        if to is None or target is None:
            typer.echo(token)
            Console(stderr=True).print("It is shown this once: the district keeps only a hash of it.", markup=False)
            return
        with os.fdopen(target, "w", encoding="ascii") as file:
            file.write(token + "\n")
        where = present.plain(str(to))
        told = f"The token {token.split('_')[1]} is in {where}; the district keeps only a hash of it."
        Console().print(told, markup=False, soft_wrap=True)

    guarded(None, work)


def _id(name: str) -> str:
    """The id of a token; of one that was typed whole, so that its secret is shown nowhere."""
    found = parts(name.strip())
    return name if found is None else found[0]


def _new_file(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        message = f"{present.plain(str(path))} cannot be made; no token was given. Accepted: a file that is not there"
        raise typer.BadParameter(message, param_hint="--to") from None


@app.command("add")
def add(
    folder: Folder,
    holder: Annotated[str, typer.Option(help="The person who gets it.")],
    approved_by: Annotated[str, typer.Option(help="Who gives it; it is written down.")],
    grant: Annotated[str | None, typer.Option(help="The grant it asks under.")] = None,
    role: Annotated[
        Literal["officer", "auditor"] | None, typer.Option(help="Or: for an officer, or an auditor who only reads.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="SCOPE", help="Only this, of what its role may: read, preview, ask, audit, decide."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Its last day; the grant's, or a year, if not named.")
    ] = None,
    to: To = None,
) -> None:
    """Give a token. It is shown once."""
    last = None if expires is None else day(expires)

    def give(office: Office) -> str:
        return office.keyring.add(holder, approved_by, grant=grant, role=role, scopes=scope or None, expires=last)

    _given(folder, to, give)


@app.command("rotate")
def rotate(
    folder: Folder,
    name: Named,
    by: By,
    overlap_hours: Annotated[
        float, typer.Option(min=0.0, max=744.0, help="How long the old secret goes on beside the new one.")
    ] = 0.0,
    to: To = None,
) -> None:
    """Give a token a new secret; the old one ends."""
    _given(folder, to, lambda office: office.keyring.rotate(_id(name), by, timedelta(hours=overlap_hours)))


@app.command("revoke")
def revoke(
    folder: Folder, name: Named, by: By, reason: Annotated[str, typer.Option(help="Why; it is written down.")]
) -> None:
    """End a token, from the next request on."""

    def work() -> None:
        with Office.open(folder) as office:
            office.keyring.revoke(_id(name), by, reason)
        Console().print(f"The token {present.plain(_id(name))} is revoked.", markup=False)

    guarded(None, work)


@app.command("list")
def listed(folder: Folder, form: Annotated[TextFormat, typer.Option("--format")] = TextFormat.TABLE) -> None:
    """All tokens there are and were; never a secret."""

    def work() -> None:
        with Office.open(folder) as office:
            found, today = office.keyring.tokens(), office.today()
            over = {grant.id for grant in office.grants() if standing_of(grant, today) != "in force"}
        states = [_standing(token, today, over) for token in found]
        if form is TextFormat.JSON:
            write_json({"tokens": [_json(*each) for each in zip(found, states, strict=True)]})
        else:
            Console().print(_table(found, states))

    guarded(None, work)


def _standing(token: Token, today: date, over: Collection[str]) -> str:
    """Whether a token is in force, given the grants that are no longer."""
    if token.revoked is not None:
        return "revoked"
    if today > token.expires:
        return "ended"
    return "its grant has ended" if token.grant in over else "in force"


def _json(token: Token, state: str) -> dict[str, Any]:
    return {
        "token": token.id,
        "state": state,
        "role": token.role,
        "grant": token.grant,
        "holder": token.holder,
        "scopes": sorted(token.scopes),
        "expires": token.expires.isoformat(),
        "approved_by": token.approved_by,
        "revoked": token.revoked,
    }


def _table(found: Sequence[Token], states: Sequence[str]) -> Table:
    table = Table(header_style="bold")
    table.add_column("token", no_wrap=True)
    for title in ("holder", "for", "may"):
        table.add_column(title)
    table.add_column("until", no_wrap=True)
    table.add_column("state")
    for token, state in zip(found, states, strict=True):
        texts = token.id, present.plain(token.holder), present.plain(token.grant or token.role)
        table.add_row(*map(Text, texts), ", ".join(sorted(token.scopes)), token.expires.isoformat(), state)
    return table
