"""How budgets, policy, grants and findings look in a terminal, and the same for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from api.present import bar, plain
from budgets.cohorts import years_text
from budgets.grants import DISTRICT
from budgets.loss import epsilon_of
from budgets.policy import Standing
from budgets.promise import bought, promise, times

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from fractions import Fraction

    from rich.console import Console

    from budgets.grants import Grant
    from budgets.ledger import Balance, Event, Outlook, Policy
    from engine.doctor import Finding

BAR_WIDTH = 12
STANDING_WORDS = {
    Standing.OPEN: "open",
    Standing.MANDATED_ONLY: "mandated statistics only",
    Standing.NOT_YET: "not open yet",
    Standing.SEALED: "sealed",
}
STATE_WORDS = {
    "pilot": "pilot: the district's own grant is answered, every other one gets rehearsals on invented records",
    "open": "open: every grant is answered",
    "closed": "closed: nobody is answered",
}


# -- budgets


def budget(
    console: Console,
    balances: Mapping[int, Balance],
    outlooks: Mapping[int, Outlook],
    year: int,
    grant: str = DISTRICT,
) -> None:
    """What each cohort has spent and has left, and how long it lasts; 80 characters wide."""
    console.print(_budget_table(balances, year))
    console.print("ε spent / granted, at δ 5e-8. What is used is counted in ρ, which adds up; ε does not.")
    open_now = {cohort: outlooks[cohort] for cohort, balance in balances.items() if balance.population_cap}
    if open_now:
        console.print(Text(_more(open_now, grant)))
        console.print(Text(_lasting(open_now)))
    most = max(balances.values(), key=lambda balance: balance.lifetime_spent, default=None)
    if most is not None and most.lifetime_spent:
        year_spent = max(balance.year_spent for balance in balances.values())
        console.print(
            f"So far, whatever is looked for in all answers is at most {times(most.lifetime_spent)} as likely with a "
            f"child's records as without (class {most.cohort}); for the answers of this year, {times(year_spent)}."
        )
    console.print(
        promise(
            max((balance.lifetime_cap for balance in balances.values()), default=0),
            max((balance.year_cap for balance in balances.values()), default=0),
        )[0]
    )


def _budget_table(balances: Mapping[int, Balance], year: int) -> Table:
    table = Table(title=f"Budget year {year} (1 July {year - 1} to 30 June {year})", header_style="bold")
    table.add_column("class")
    table.add_column("year")
    for title in ("used", "ε of year", "ε of grant", "used", "ε of life"):
        table.add_column(title, justify="right")
    for balance in balances.values():
        table.add_row(
            str(balance.cohort),
            bar(balance.year_spent / balance.year_cap, BAR_WIDTH)
            if balance.year_cap
            else STANDING_WORDS[balance.standing],
            _share(balance.year_spent, balance.year_cap),
            _of(balance.year_spent, balance.year_cap),
            _of(balance.allowance_spent, balance.allowance_cap),
            _share(balance.allowance_spent, balance.allowance_cap),
            _of(balance.lifetime_spent, balance.lifetime_cap),
        )
    return table


def _share(spent: int, cap: int) -> str:
    return f"{spent / cap:.1%}" if cap else "—"


def _of(spent: int, cap: int) -> str:
    return f"{epsilon_of(spent):.2f}/{epsilon_of(cap):.2f}"


def _more(outlooks: Mapping[int, Outlook], grant: str) -> str:
    """How many questions like the median one can still be asked, of which classes."""
    least = min(outlooks.values(), key=lambda each: each.more)
    scarce = [cohort for cohort, each in outlooks.items() if each.more == least.more]
    like = "like this year's median one" if least.questions else "at the default share"
    most = max(each.more for each in outlooks.values())
    told = f"The grant {plain(grant)!r} can ask about {least.more:,} more questions {like}"
    if most == least.more:
        return f"{told} of each class this year."
    return f"{told} of class {years_text(scarce)} this year, and up to {most:,} of others."


def _lasting(outlooks: Mapping[int, Outlook]) -> str:
    dry: dict[date, list[int]] = {}
    for cohort, each in outlooks.items():
        if each.dry is not None:
            dry.setdefault(each.dry, []).append(cohort)
    if not dry:
        return "At this pace every class lasts the year."
    told = [f"class {years_text(cohorts)} on {day:%-d %B %Y}" for day, cohorts in sorted(dry.items())]
    return f"At this pace it runs dry: {', '.join(told)}."


def budget_json(balances: Mapping[int, Balance], outlooks: Mapping[int, Outlook], year: int) -> dict[str, Any]:
    """The same for programs; losses in nano-ρ."""
    return {"budget_year": year, "cohorts": [_cohort_json(each, outlooks[each.cohort]) for each in balances.values()]}


def _cohort_json(balance: Balance, foreseen: Outlook) -> dict[str, Any]:
    return {
        "cohort": balance.cohort,
        "standing": balance.standing.value,
        "year_cap_nanorho": balance.year_cap,
        "year_spent_nanorho": balance.year_spent,
        "lifetime_cap_nanorho": balance.lifetime_cap,
        "lifetime_spent_nanorho": balance.lifetime_spent,
        "allowance_cap_nanorho": balance.allowance_cap,
        "allowance_spent_nanorho": balance.allowance_spent,
        "population_cap_nanorho": balance.population_cap,
        "population_spent_nanorho": balance.population_spent,
        "year_epsilon_spent": epsilon_of(balance.year_spent),
        "lifetime_epsilon_spent": epsilon_of(balance.lifetime_spent),
        "questions_this_year": foreseen.questions,
        "median_question_nanorho": foreseen.median_nanorho,
        "more_questions": foreseen.more,
        "dry_on": None if foreseen.dry is None else foreseen.dry.isoformat(),
    }


# -- policy


def policy(console: Console, found: Policy, balances: Mapping[int, Balance], events: Iterable[Event]) -> None:
    """The state of the district, the sentences its officer signs, and everything that was decided."""
    console.print(Text(STATE_WORDS[found.state].capitalize() + "."))
    console.print(
        f"Of each school year of a class, research may use {_percent(found.research)} and mandated statistics "
        f"{_percent(found.mandated)}; the five years after school are for mandated statistics alone."
    )
    caps: dict[int, list[int]] = {}
    for cohort, balance in balances.items():
        caps.setdefault(balance.lifetime_cap, []).append(cohort)
    for cap, cohorts in sorted(caps.items()):
        year = max(balances[cohort].year_cap for cohort in cohorts)
        console.print(Text(f"\nClasses {years_text(cohorts)}: ε {epsilon_of(cap):.2f} in a lifetime.", style="bold"))
        for sentence in (*promise(cap, year), bought(year)):
            console.print(Text(f"  {sentence}"))
    console.print(Text("\nWhat was decided", style="bold"))
    for event in events:
        console.print(
            Text(f"  {event.at:%Y-%m-%d %H:%M} UTC  {event.kind:<14} {plain(_told(event))}"), soft_wrap=True
        )


def _percent(share: Fraction) -> str:
    """A part of a year in percent, with as many digits as it has.

    >>> from fractions import Fraction
    >>> _percent(Fraction(3, 10)), _percent(Fraction(1, 200))
    ('30%', '0.5%')
    """
    return f"{float(100 * share):g}%"


def _told(event: Event) -> str:
    """An event's body in one line."""
    body = {name: value for name, value in event.body.items() if value is not None}
    if isinstance(body.get("cohorts"), list):
        body["cohorts"] = years_text(body["cohorts"])
    if isinstance(body.get("lifetime_nanorho"), int):
        body["lifetime_epsilon"] = f"{epsilon_of(body.pop('lifetime_nanorho')):.3g}"
    return ", ".join(f"{name} {_plainly(value)}" for name, value in body.items())


def _plainly(value: object) -> str:
    if isinstance(value, list):
        return " and ".join(map(str, value))
    if isinstance(value, dict):
        return " ".join(name if columns is None else f"{name}:{'+'.join(columns)}" for name, columns in value.items())
    return str(value)


def policy_json(found: Policy, balances: Mapping[int, Balance], events: Iterable[Event]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "state": found.state.value,
        "research_share": str(found.research),
        "mandated_share": str(found.mandated),
        "promises": [
            {"cohort": cohort, "sentences": list(promise(balance.lifetime_cap, balance.year_cap))}
            for cohort, balance in balances.items()
        ],
        "events": [
            {"seq": each.seq, "at": each.at.isoformat(), "kind": each.kind, "body": dict(each.body)}
            for each in events
        ],
    }


# -- grants


def grants(console: Console, found: Sequence[Grant], today: date) -> None:
    """All grants, one line each."""
    table = Table(header_style="bold")
    for title in ("grant", "for", "population", "of each year", "until", "state"):
        table.add_column(title)
    for grant in found:
        terms = grant.terms
        table.add_row(
            Text(plain(grant.id)),
            Text("the district itself" if terms is None else plain(terms.organisation)),
            grant.population,
            _percent(grant.year_fraction),
            "—" if terms is None else terms.expires.isoformat(),
            standing_of(grant, today),
        )
    console.print(table)


def standing_of(grant: Grant, today: date) -> str:
    """Whether a grant is in force."""
    if grant.revoked is not None:
        return "revoked"
    return "ended" if grant.is_over(today) else "in force"


def grant(console: Console, found: Grant, balances: Mapping[int, Balance], today: date) -> None:
    """One grant with all of its terms, and what it has used."""
    lines = [("grant", found.id), ("state", standing_of(found, today)), ("population", found.population)]
    terms = found.terms
    if terms is not None:
        lines += [
            ("kind", terms.kind),
            ("organisation", terms.organisation),
            ("purpose", terms.purpose),
            ("tables", "; ".join(_scope_text(name, columns) for name, columns in terms.listed().items())),
            ("classes", years_text(terms.cohorts)),
            ("a question", "no ceiling" if terms.ceiling_nanorho is None else _at_most(terms.ceiling_nanorho)),
            ("last day", terms.expires.isoformat()),
            ("approved by", terms.approved_by),
        ]
    if found.revoked is not None:
        lines.append(("revoked", found.revoked))
    lines.append(("of each year", f"at most {_percent(found.year_fraction)} of every class"))
    used = [each for each in balances.values() if each.allowance_spent]
    for each in used:
        lines.append((f"class {each.cohort}", f"{_share(each.allowance_spent, each.allowance_cap)} of it is used"))
    for name, text in lines:
        console.print(Text(f"{name:<14}{plain(text)}"), soft_wrap=True)


def _scope_text(table: str, columns: list[str] | None) -> str:
    return table if columns is None else f"{table} ({', '.join(columns)})"


def _at_most(nanorho: int) -> str:
    return f"at most ε {epsilon_of(nanorho):.3g}"


def grant_json(found: Grant, balances: Mapping[int, Balance], today: date) -> dict[str, Any]:
    """The same for programs."""
    body: dict[str, Any] = {
        "grant": found.id,
        "state": standing_of(found, today),
        "population": found.population,
        "year_fraction": str(found.year_fraction),
        "revoked": found.revoked,
        "used": [
            {
                "cohort": each.cohort,
                "allowance_cap_nanorho": each.allowance_cap,
                "spent_nanorho": each.allowance_spent,
            }
            for each in balances.values()
            if each.allowance_spent
        ],
    }
    return body if found.terms is None else body | found.terms.body()


# -- findings


def findings(console: Console, found: Iterable[Finding]) -> None:
    """What a look over the district found."""
    marks = {"good": ("✓", "green"), "look": ("•", "yellow"), "wrong": ("✗", "bold red")}
    for each in found:
        mark, style = marks[each.state]
        console.print(Text(f"{mark} ", style=style) + Text(f"{each.what:<9}{plain(each.told)}"), soft_wrap=True)
        if each.remedy is not None:
            console.print(Text(f"  {'':<9}what to do: {plain(each.remedy)}"), soft_wrap=True)
