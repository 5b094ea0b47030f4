"""How answers, budgets and refusals look in a terminal. Every piece of foreign text is made plain first."""

from __future__ import annotations

import shlex
import shutil
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.table import Table
from rich.text import Text

from api.figures import figure, unsure, years

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from engine.explanation import ExplainedStatistic, Explanation
    from engine.refusals import Refusal
    from engine.release import Preview, Release, ReleaseColumn

NAME = "homeroom"
REHEARSAL = "REHEARSAL: invented records, not this district's"
BAR_WIDTH = 24


class YearSpent(Protocol):
    """What an answer's page must know of a class's balance, in nano-ρ."""

    @property
    def cohort(self) -> int:
        """The class."""

    @property
    def year_cap(self) -> int:
        """The most it may lose in the budget year."""

    @property
    def year_spent(self) -> int:
        """What it has lost in it."""


def plain(text: str) -> str:
    """Text without control characters, which could otherwise rewrite a terminal.

    >>> plain("a" + chr(27) + "[2Jb")
    'a·[2Jb'
    """
    return "".join(character if character.isprintable() else "·" for character in text)


def command(*arguments: str) -> str:
    """A command of ours as it can be typed: by the way this program was called, if the shell does not know it.

    A program that was called otherwise, such as from Python, is shown by its name.
    """
    called = sys.argv[0] if sys.argv and Path(sys.argv[0]).stem == NAME and shutil.which(NAME) is None else NAME
    return plain(shlex.join([called, *arguments]))


def bar(fraction: float, width: int = BAR_WIDTH) -> str:
    """A bar of fixed width, filled to a fraction.

    >>> bar(0.5), bar(0.5, 12)
    ('████████████░░░░░░░░░░░░', '██████░░░░░░')
    """
    filled = min(width, max(0, round(fraction * width)))
    return "█" * filled + "░" * (width - filled)


def _marked(console: Console, *, rehearsal: bool) -> None:
    """The first line of whatever a rehearsal shows."""
    if rehearsal:
        console.print(Text(REHEARSAL, style="bold reverse"), soft_wrap=True)


def answer(console: Console, release: Release, balances: Mapping[int, YearSpent]) -> None:
    """An answer: estimates with their 90 % margins, what it cost, and what is left where that is known."""
    _marked(console, rehearsal=release.rehearsal)
    console.print(_answer_table(release))
    console.print(Text("estimate ± 90 % margin of error", style="dim"))
    if release.charges:
        most = max(charge.epsilon for charge in release.charges)
        console.print(
            f"Charged: at most ε {most:.3g} (δ 5e-8) to each of {len(release.charges)} cohorts of students."
        )
        _bars(console, [balances[charge.cohort] for charge in release.charges if charge.cohort in balances])
    elif release.replayed and release.draws:
        console.print("Free: everything in this answer had been measured already.")
    _said(console, release)


def _answer_table(release: Release) -> Table:
    table = Table(header_style="bold")
    for column in release.columns:
        unit = f" ({plain(column.unit)})" if column.unit and column.role == "estimate" else ""
        table.add_column(Text(plain(column.name) + unit), justify="right" if column.uncertain else "left")
    partial = bool(release.cohorts_left_out)
    if partial:
        table.add_column("partial: without classes")
    for row, margins, without in zip(release.rows, release.moe90, release.partial, strict=True):
        cells = [
            _cell(value, margin, column) for value, margin, column in zip(row, margins, release.columns, strict=True)
        ]
        table.add_row(*cells, *([Text(years(without))] if partial else []))
    return table


def _cell(value: object, margin: float | None, column: ReleaseColumn) -> Text:
    if not column.uncertain:
        return Text("NULL" if value is None else plain(str(value)))
    if not isinstance(value, int | float):
        return Text("—", style="dim")
    if margin is None:
        return Text(f"{unsure(value, derived=column.role == 'derived')} ± ?", style="dim")
    return Text(f"{figure(value, margin)} ± {figure(margin, margin)}")


def _bars(console: Console, balances: Sequence[YearSpent]) -> None:
    """A bar per cohort: what is used of its budget year; neighbours with the same bar share a line."""
    shares = [
        (balance.cohort, balance.year_spent / balance.year_cap if balance.year_cap else 1.0) for balance in balances
    ]
    for share, group in groupby(shares, key=lambda each: round(each[1], 3)):
        cohorts = [cohort for cohort, _ in group]
        console.print(f"  class of {years(cohorts):<11} {bar(share)} {share:6.1%} of this year used")


def _said(console: Console, told: Release | Preview) -> None:
    """What else must be said of an answer, or of one that is foretold."""
    reasons = [f"{column.name}: {column.moe_reason}" for column in told.columns if column.moe_reason]
    for text in [*reasons, *told.notes]:
        console.print(Text(f"· {plain(text)}", style="dim"))
    for reason in sorted({each.reason for each in told.cohorts_left_out}):
        without = years(each.cohort for each in told.cohorts_left_out if each.reason == reason)
        console.print(Text(f"· left out: class of {without} ({plain(reason)})", style="dim"))


def preview(console: Console, foretold: Preview) -> None:
    """What a question would cost and how sharp it would be."""
    _marked(console, rehearsal=foretold.rehearsal)
    _foretold(console, foretold)


def _foretold(console: Console, foretold: Preview) -> None:
    table = Table(header_style="bold")
    for title in ("column", "90 % margin", "at 30 rows", "at 100 rows", "at 1,000 rows"):
        table.add_column(title, justify="left" if title == "column" else "right")
    for each in foretold.expected:
        margin = "—" if each.moe90 is None else f"± {figure(each.moe90, each.moe90)}"
        sizes = each.moe90_at_n or {}
        at_n = [_at_n(sizes[n]) if n in sizes else "—" for n in ("30", "100", "1000")]
        table.add_row(Text(plain(each.column)), margin, *at_n)
    console.print(table)
    if foretold.charges:
        most = max(charge.epsilon for charge in foretold.charges)
        charged = years(charge.cohort for charge in foretold.charges)
        console.print(f"Would charge at most ε {most:.3g} (δ 5e-8) to each class of {charged}.")
    _said(console, foretold)


def _at_n(margin: float | None) -> str:
    return "± ?" if margin is None else f"± {figure(margin, margin)}"


def explanation(console: Console, explained: Explanation) -> None:
    """Why a question would cost what it costs, and what would make it sharper."""
    _marked(console, rehearsal=explained.preview.rehearsal)
    keys = f" by {', '.join(map(plain, explained.keys))}" if explained.keys else ""
    console.print(f"Groups: {explained.groups:,}{keys}, from public knowledge alone.", markup=False)
    for number, each in enumerate(explained.statistics, 1):
        _explained(console, number, each)
    if explained.statement is not None:
        console.print("\nThe statement that runs on the records, its exact integers are never shown:", style="bold")
        if explained.early:
            console.print("Students' rows are counted first, and the counts joined with the public tables.")
        console.print(Text(plain(explained.statement)), soft_wrap=True)
    console.print("\nWhat it would cost, and how sharp it would be:", style="bold")
    _foretold(console, explained.preview)
    console.print("\nWhat would make it sharper:", style="bold")
    for text in explained.advice:
        console.print(f"· {plain(text)}", markup=False)


def _explained(console: Console, number: int, each: ExplainedStatistic) -> None:
    console.print(Text(f"\nStatistic {number}: {plain(each.statistic)}", style="bold"))
    unit = f", in steps of {each.unit:.6g}" if each.unit != 1 else ""
    lines = [
        ("cohorts", f"class of {years(each.cohorts)}"),
        ("pins", ", ".join(each.pins) or "none"),
        ("rows of one student", f"at most {each.rows:,}: {each.rows_because}"),
        ("in one group", f"at most {each.rows_per_group:,}: {each.rows_per_group_because}"),
        ("groups of one student", f"at most {each.groups:,}"),
        ("one row is worth", f"at most {each.bound:,}{unit}"),
        *(("besides noise", text) for text in each.clamping),
        ("sensitivity (L2)", f"{each.sensitivity_l2:,.6g}"),
        ("noise", f"discrete Gaussian, standard deviation {each.scale:,.6g}"),
        ("loss", f"{each.loss_nanorho:,} nano-ρ" if each.loss_nanorho else "none: a stored measurement is used"),
    ]
    for name, text in lines:
        console.print(Text(f"  {name:<22}{plain(text)}"))


def refusal(console: Console, refused: Refusal, sql: str | None) -> None:
    """A refusal: what, where with the excerpt underlined, and what would be accepted."""
    file = getattr(refused, "file", None)
    console.print(Text(f"Refused ({refused.code}): ", style="bold red") + Text(plain(refused.message)))
    if file is not None:
        console.print(Text(f"  in {plain(file)}" + (f", line {refused.line}" if refused.line else "")))
    elif sql is not None and refused.line is not None:
        _underlined(console, refused, sql)
    if refused.accepted:
        console.print(Text("  accepted: ", style="bold") + Text(plain(refused.accepted)))


def _underlined(console: Console, refused: Refusal, sql: str) -> None:
    lines = sql.split("\n")
    number, column = refused.line or 1, refused.column or 1
    if not 1 <= number <= len(lines):
        return
    start = max(0, column - 1 - 60)
    shown = plain(lines[number - 1])[start : start + 110]
    width = max(1, min(len(refused.excerpt or " "), len(shown) - (column - 1 - start)))
    console.print(Text(f"  line {number}, column {column}", style="dim"))
    console.print(Text(f"    {shown}"), soft_wrap=True)
    console.print(Text("    " + " " * (column - 1 - start) + "^" * width, style="bold red"), soft_wrap=True)
