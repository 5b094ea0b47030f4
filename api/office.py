"""Commands with which a district decides: opening and closing, budgets, grants."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from api import present, present_office
from api.terminal import Folder, PresetName, TextFormat, classes, day, guarded, write_json
from budgets.cohorts import years_text
from budgets.grants import DISTRICT, Grant, Terms
from budgets.loss import EPSILON_MAX, nanorho_for
from budgets.policy import PRESETS
from engine.doctor import examine
from engine.office import Office

if TYPE_CHECKING:
    from collections.abc import Callable

UNWELL = 6
"""Exit code where the doctor finds something wrong."""

PERCENT_MIN, PERCENT_MAX = Decimal("1e-7"), Decimal(100)
"""Of a budget year; a finer allowance has too long a denominator."""

app = typer.Typer(no_args_is_help=True)
budget_app = typer.Typer(no_args_is_help=True, help="What each class of students may lose, and has lost.")
grant_app = typer.Typer(no_args_is_help=True, help="Who may ask, what for, how much, and until when.")
app.add_typer(budget_app, name="budget")
app.add_typer(grant_app, name="grant")


class Kind(StrEnum):
    """Whose grant it is."""

    RESEARCHER = "researcher"
    AGENCY = "agency"


class Counted(StrEnum):
    """Whose records are counted."""

    RESEARCH = "research"
    MANDATED = "mandated"


Form = Annotated[TextFormat, typer.Option("--format")]
By = Annotated[str, typer.Option(help="Who decides this; it is written down.")]
Approvers = Annotated[
    list[str], typer.Option("--approved-by", help="Who approves it; two different people, so twice. Written down.")
]
Reason = Annotated[str, typer.Option(help="Why; it is written down.")]
Classes = Annotated[str, typer.Option("--cohorts", help="The classes, such as 2030-2042.")]
Asker = Annotated[str, typer.Option("--grant", help="The grant whose allowance is shown.")]


def _decided(folder: Folder, decide: Callable[[Office], None], told: str) -> None:
    """Carry out a decision, and say so."""

    def work() -> None:
        with Office.open(folder) as office:
            decide(office)
        Console().print(told, markup=False)

    guarded(None, work)


# -- opening and closing


@app.command("open")
def open_(
    folder: Folder,
    approved_by: Approvers,
    signed_off_by: Annotated[str, typer.Option(help="The group that signed off, such as the school board.")],
) -> None:
    """End the pilot, or open again: from now on every grant is answered."""
    told = "The district is open: every grant is answered, within its terms."
    _decided(folder, lambda office: office.open_district(approved_by, signed_off_by), told)


@app.command()
def close(folder: Folder, by: By, reason: Reason) -> None:
    """Stop all answers, at once and for everybody. Rehearsals go on."""
    told = "The district is closed: nobody is answered until two people open it again."
    _decided(folder, lambda office: office.close_district(by, reason), told)


@app.command()
def doctor(
    folder: Folder,
    *,
    accept_clock: Annotated[
        bool, typer.Option("--accept-clock", help="The machine's clock is right; open the new budget year.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="Who looked at it; your user name if nobody is named.")] = None,
    form: Form = TextFormat.TABLE,
) -> None:
    """Look over a district: rights, ledger, catalog against vault, clock, versions."""
    named = by
    if accept_clock and named is None:
        try:
            named = getpass.getuser()
        except (OSError, KeyError):  # KeyError up to Python 3.12
            named = ""  # the machine has no name for this user
    if named is not None and not present.plain(named).strip():
        raise typer.BadParameter("nobody is named. Accepted: the name of whoever looked", param_hint="--by")
    console = Console()

    def work() -> None:
        if accept_clock and named is not None:
            with Office.open(folder) as office:
                if office.accept_clock(named):
                    console.print(f"The clock is accepted; it is the budget year {office.budget_year()}.")
        found = examine(folder)
        if form is TextFormat.JSON:
            write_json({"findings": [asdict(each) for each in found]})
        else:
            present_office.findings(console, found)
        if any(each.state == "wrong" for each in found):
            raise typer.Exit(UNWELL)

    guarded(None, work)


@app.command()
def policy(folder: Folder, form: Form = TextFormat.TABLE) -> None:
    """Who is answered, what is promised to each child, and everything that was decided."""

    def work() -> None:
        with Office.open(folder) as office:
            found = office.policy(), office.balances(), office.events()
        if form is TextFormat.JSON:
            write_json(present_office.policy_json(*found))
        else:
            present_office.policy(Console(), *found)

    guarded(None, work)


# -- budgets


def _named(cohorts: str, office: Office) -> tuple[int, ...]:
    """The classes of the command line; the district keeps all of them."""
    named, kept = classes(cohorts) or (), office.balances()
    unknown = set(named) - set(kept)
    if unknown:
        message = f"the district keeps no class of {years_text(unknown)}. Accepted: classes of {years_text(kept)}"
        raise typer.BadParameter(message, param_hint="--cohorts")
    return named


def _show_budget(office: Office, form: TextFormat, grant: str = DISTRICT) -> None:
    balances, outlooks, year = office.balances(grant), office.outlooks(grant), office.budget_year()
    if form is TextFormat.JSON:
        write_json(present_office.budget_json(balances, outlooks, year))
    else:
        present_office.budget(Console(), balances, outlooks, year, grant)


@budget_app.command("show")
def budget_show(folder: Folder, grant: Asker = DISTRICT, form: Form = TextFormat.TABLE) -> None:
    """What each class has spent and has left, this budget year and in its lifetime."""

    def work() -> None:
        with Office.open(folder) as office:
            _show_budget(office, form, grant)

    guarded(None, work)


@budget_app.command("set")
def budget_set(
    folder: Folder,
    lifetime_epsilon: Annotated[
        float, typer.Option(min=0.0, max=EPSILON_MAX, help="The new lifetime ε (at δ 5e-8).")
    ],
    by: By,
    cohorts: Classes,
) -> None:
    """Lower the lifetime budget of some classes."""
    if not present.plain(by).strip():
        raise typer.BadParameter("nobody is named. Accepted: the name of whoever decides", param_hint="--by")
    nanorho = nanorho_for(lifetime_epsilon) if lifetime_epsilon > 0 else 0

    def work() -> None:
        with Office.open(folder) as office:
            office.lower_cap(_named(cohorts, office), nanorho, by)
            _show_budget(office, TextFormat.TABLE)

    guarded(None, work)


@budget_app.command("raise")
def budget_raise(
    folder: Folder,
    cohorts: Classes,
    approved_by: Approvers,
    reason: Reason,
    preset: Annotated[PresetName | None, typer.Option(help="The new lifetime, by its name.")] = None,
    lifetime_epsilon: Annotated[
        float | None, typer.Option(min=0.0, max=EPSILON_MAX, help="Or the new lifetime ε (at δ 5e-8).")
    ] = None,
) -> None:
    """Raise the lifetime budget of some classes. It ends the promise given before, and everybody can see it."""
    if (preset is None) == (lifetime_epsilon is None):
        raise typer.BadParameter("name either a preset or an ε", param_hint="--preset")
    epsilon = PRESETS[preset.value].epsilon if preset is not None else lifetime_epsilon or 0.0

    def work() -> None:
        with Office.open(folder) as office:
            office.raise_cap(_named(cohorts, office), nanorho_for(epsilon) if epsilon > 0 else 1, approved_by, reason)
            _show_budget(office, TextFormat.TABLE)

    guarded(None, work)


@budget_app.command("unseal")
def budget_unseal(folder: Folder, cohorts: Classes, approved_by: Approvers, reason: Reason) -> None:
    """Let mandated statistics of sealed classes be drawn until the end of this budget year, within their lifetime."""
    told = "They are open for mandated statistics until 30 June."
    _decided(folder, lambda office: office.unseal(_named(cohorts, office), approved_by, reason), told)


# -- grants


def _fraction(text: str) -> Fraction:
    try:
        percent = Decimal(text.strip().removesuffix("%").strip())
        # a Fraction of 1e-999999999 would have a thousand million digits
        found = Fraction(percent) / 100 if PERCENT_MIN <= percent <= PERCENT_MAX else Fraction(0)
    except InvalidOperation:
        found = Fraction(0)
    if not 0 < found <= 1 or found.denominator > 10**9:
        message = (
            f"{present.plain(text)!r} is no part of a year. Accepted: a percentage such as 5, above 0, at most 100"
        )
        raise typer.BadParameter(message, param_hint="--allowance")
    return found


def _scope(given: list[str]) -> dict[str, frozenset[str] | None]:
    scope: dict[str, frozenset[str] | None] = {}
    for text in given:
        name, separator, listed = (part.strip() for part in text.partition(":"))
        columns = frozenset(column.strip() for column in listed.split(",")) if separator else None
        if not name or name in scope or (columns is not None and "" in columns):
            message = f"{present.plain(text)!r} is no table. Accepted: TABLE or TABLE:column,column, each table once"
            raise typer.BadParameter(message, param_hint="--table")
        scope[name] = columns
    return scope


def _filled(text: str, option: str) -> str:
    if not text.strip() or not text.isprintable():
        raise typer.BadParameter("nothing is written there. Accepted: plain words", param_hint=option)
    return text.strip()


@grant_app.command("add")
def grant_add(  # noqa: PLR0913, PLR0917 - one for each term of a grant
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is asked under; never given again.")],
    kind: Annotated[Kind, typer.Option(help="A researcher's or an agency's.")],
    organisation: Annotated[str, typer.Option(help="Who answers for the asker.")],
    purpose: Annotated[str, typer.Option(help="What the answers are for; everybody may read it.")],
    table: Annotated[list[str], typer.Option(metavar="TABLE[:COLUMN,…]", help="What it may read; repeat.")],
    cohorts: Classes,
    allowance: Annotated[str, typer.Option(metavar="PERCENT", help="Of each class's budget year.")],
    expires: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Its last day.")],
    approved_by: Annotated[str, typer.Option(help="Who gives it; it is written down.")],
    population: Annotated[Counted, typer.Option(help="Whose records are counted.")] = Counted.RESEARCH,
    ceiling_epsilon: Annotated[
        float | None, typer.Option(min=0.0, max=EPSILON_MAX, help="The most one question may cost a class (ε).")
    ] = None,
) -> None:
    """Give a grant."""
    ceiling = None if ceiling_epsilon is None else max(1, nanorho_for(ceiling_epsilon) if ceiling_epsilon else 1)
    given = Grant(
        _filled(name, "NAME"),
        population.value,
        _fraction(allowance),
        Terms(
            kind=kind.value,
            organisation=_filled(organisation, "--organisation"),
            purpose=_filled(purpose, "--purpose"),
            scope=_scope(table),
            cohorts=tuple(dict.fromkeys(classes(cohorts) or ())),
            ceiling_nanorho=ceiling,
            expires=day(expires),
            approved_by=_filled(approved_by, "--approved-by"),
        ),
    )

    def work() -> None:
        with Office.open(folder) as office:
            office.add_grant(given)
            present_office.grant(Console(), office.grant(given.id), office.balances(given.id), office.today())

    guarded(None, work)


@grant_app.command("list")
def grant_list(folder: Folder, form: Form = TextFormat.TABLE) -> None:
    """All grants there are and were."""

    def work() -> None:
        with Office.open(folder) as office:
            today = office.today()
            if form is TextFormat.JSON:
                found = [present_office.grant_json(each, office.balances(each.id), today) for each in office.grants()]
                write_json({"grants": found})
            else:
                present_office.grants(Console(), office.grants(), today)

    guarded(None, work)


@grant_app.command("show")
def grant_show(
    folder: Folder, name: Annotated[str, typer.Argument(metavar="NAME")], form: Form = TextFormat.TABLE
) -> None:
    """One grant with its terms, and what it has used this year."""

    def work() -> None:
        with Office.open(folder) as office:
            found = office.grant(name), office.balances(name), office.today()
        if form is TextFormat.JSON:
            write_json(present_office.grant_json(*found))
        else:
            present_office.grant(Console(), *found)

    guarded(None, work)


@grant_app.command("revoke")
def grant_revoke(
    folder: Folder, name: Annotated[str, typer.Argument(metavar="NAME")], by: By, reason: Reason
) -> None:
    """End a grant before its last day, from the next question on."""
    told = f"The grant {present.plain(name)!r} is revoked."
    _decided(folder, lambda office: office.revoke_grant(name, by, reason), told)
