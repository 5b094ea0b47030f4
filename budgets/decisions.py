"""What people decide about a district: opening and closing it, grants, caps, classes that are unsealed.

Each runs inside one write transaction and leaves an event. What widens the promise takes two people and a reason.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from budgets.cohorts import years_text
from budgets.founding import check_cap
from budgets.grants import DISTRICT, NAME_CHARACTERS_MAX, Grant, find_grant
from budgets.loss import SHOWN_DELTA, epsilon_above, epsilon_below, epsilon_of
from budgets.policy import DistrictState, Standing, standing, year_cap_nanorho
from budgets.refusals import AccessRefused, BudgetRefused
from budgets.stores import balances, district, governance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from budgets.stores.sqlite import Database

TEXT_CHARACTERS_MAX = 1_000

_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Letters and marks that leave no trace on a screen or on paper (Unicode: Default_Ignorable_Code_Point)."""


class Moment(NamedTuple):
    """When something is decided: ledger time in microseconds, the district's date, the budget year."""

    at_us: int
    today: date
    year: int


def named(text: str, what: str) -> str:
    """A name or a reason as it is written down.

    Raises:
        AccessRefused: there is nothing in it, or it is no plain text.
    """
    found = " ".join(text.split())
    if not _compared(found) or not found.isprintable() or len(found) > TEXT_CHARACTERS_MAX:
        message = f"{what} is missing, or is no plain text of at most {TEXT_CHARACTERS_MAX} characters."
        raise AccessRefused(
            "approval", message, accepted=f"{what.lower()} in plain words: it is written down and public"
        )
    return found


def _read(text: str) -> str:
    """A text as eyes read it: however its letters are composed, and without what leaves no trace.

    >>> _read("STUDY\ufe0f") == "study", _read("a-1") == _read("a1")
    (True, False)
    """
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", folded))


def _compared(name: str) -> str:
    """What of a name tells people apart: its letters, marks and digits, however they are written.

    >>> _compared("A. Officer") == _compared("a officer"), _compared("Jose\u0301") == _compared("Jos\u00e9")
    (True, True)
    >>> _compared("A\u034f") == _compared("A\ufe0f") == "a"
    True
    """
    return "".join(each for each in _read(name) if unicodedata.category(each)[0] in "LMN")


def two_people(by: Sequence[str]) -> tuple[str, str]:
    """Two different people.

    Raises:
        AccessRefused: not two names, or twice the same.
    """
    names = [named(name, "A name") for name in by]
    if len({_compared(name) for name in names}) != len(names) or len(names) != 2:  # noqa: PLR2004 - two people
        message = "This takes two people, and names of two different ones are needed."
        raise AccessRefused("approval", message, accepted="the names of two different people who approve it")
    return names[0], names[1]


# -- opening and closing


def open_district(database: Database, by: Sequence[str], signed_off_by: str, moment: Moment) -> None:
    """End the pilot, or open again after a closing.

    Raises:
        AccessRefused: it is open, not two people approve, or nobody signed off (`approval`).
    """
    names, group = two_people(by), named(signed_off_by, "The group that signed off")
    old = governance.policy(database).state
    if old is DistrictState.OPEN or not governance.move_state(database, old, DistrictState.OPEN):
        raise AccessRefused("approval", "The district is open already.", accepted="nothing more is needed")
    body = {"from": old, "approved_by": list(names), "signed_off_by": group}
    district.add_event(database, moment.at_us, "opened", body)


def close_district(database: Database, by: str, reason: str, moment: Moment) -> None:
    """Stop all answers.

    Raises:
        AccessRefused: it is closed, nobody is named or no reason given (`approval`).
    """
    name, why = named(by, "A name"), named(reason, "The reason")
    old = governance.policy(database).state
    if old is DistrictState.CLOSED or not governance.move_state(database, old, DistrictState.CLOSED):
        raise AccessRefused("approval", "The district is closed already.", accepted="nothing more is needed")
    district.add_event(database, moment.at_us, "closed", {"from": old, "by": name, "reason": why})


# -- grants


def add_grant(database: Database, grant: Grant, moment: Moment) -> None:
    """Give a grant; its name is never given again.

    Raises:
        AccessRefused: the name is taken or too long, its last day is over, or it names a cohort that is not kept
            (`approval`).
        ValueError: a grant without terms.
    """
    if grant.terms is None:
        raise ValueError("only the built-in grant has no terms")
    if len(grant.id) > NAME_CHARACTERS_MAX or any(
        _read(each.id) == _read(grant.id) for each in governance.grants(database)
    ):
        message = f"The name {grant.id!r} is taken, or longer than {NAME_CHARACTERS_MAX} characters."
        raise AccessRefused("approval", message, accepted="a name that no grant has had")
    if grant.terms.expires < moment.today:
        message = f"The grant would have ended on {grant.terms.expires.isoformat()}."
        raise AccessRefused("approval", message, accepted=f"a last day from {moment.today.isoformat()} on")
    kept = district.cohorts(database)
    unknown = sorted(set(grant.terms.cohorts) - kept)
    if unknown:
        message = f"The district keeps no class of {years_text(unknown)}."
        raise AccessRefused("approval", message, accepted=f"classes of {years_text(kept)}")
    governance.add_grant(database, grant, moment.at_us)
    body = {"grant": grant.id, "population": grant.population, "year_fraction": str(grant.year_fraction)}
    district.add_event(database, moment.at_us, "grant_added", body | grant.terms.body())


def revoke_grant(database: Database, name: str, by: str, reason: str, moment: Moment) -> None:
    """End a grant before its last day.

    Raises:
        AccessRefused: there is none (`grant_missing`); it is the built-in one or revoked already, nobody is named, or
            no reason given (`approval`).
    """
    grant = find_grant(governance.grants(database), name)
    who, why = named(by, "A name"), named(reason, "The reason")
    if grant.id == DISTRICT:
        message = "The district's own grant is not revoked: whoever holds the folder has it."
        raise AccessRefused("approval", message, accepted="`homeroom close`, which stops all answers")
    if grant.revoked is not None:
        raise AccessRefused("approval", f"The grant {name!r} is revoked already.", accepted="nothing more is needed")
    governance.revoke(database, name, who, why, moment.at_us)
    body = {"grant": name, "by": who, "reason": why}
    district.add_event(database, moment.at_us, "grant_revoked", body)


# -- caps


def lower_caps(database: Database, cohorts: Sequence[int], lifetime_nanorho: int, by: str, moment: Moment) -> None:
    """Lower lifetime caps; years already begun and their parts follow, never below what is spent.

    Raises:
        BudgetRefused: a cap would not fall, or would fall below what is spent (`budget_lifetime`).
        AccessRefused: the name is no plain text (`approval`).
        ValueError: no cohort, one the ledger does not keep, no name, or a cap that is no whole number.
    """
    check_cap(lifetime_nanorho, least=0)
    if not by:
        raise ValueError("caps are lowered by somebody")
    decided = _kept(database, cohorts)
    before = {cohort: balances.lifetime(database, cohort) for cohort in decided}
    for cohort in before:
        if not balances.lower_lifetime(database, cohort, lifetime_nanorho):
            raise _not_lower(cohort, before)
        for year in balances.years(database, cohort):
            _move_year(database, balances.LOWERED, cohort, year, lifetime_nanorho)
    body = {"cohorts": decided, "lifetime_nanorho": lifetime_nanorho, "by": named(by, "A name")}
    district.add_event(database, moment.at_us, "cap_lowered", body)


def raise_caps(
    database: Database, cohorts: Sequence[int], lifetime_nanorho: int, by: Sequence[str], reason: str, moment: Moment
) -> None:
    """Raise lifetime caps; this budget year and its parts follow. It ends the promise that was given before.

    Raises:
        BudgetRefused: a cap would not rise (`budget_lifetime`).
        AccessRefused: not two people approve, or no reason is given (`approval`).
        ValueError: no cohort, one the ledger does not keep, or a cap that is no whole number.
    """
    check_cap(lifetime_nanorho, least=1)
    names, why = two_people(by), named(reason, "The reason")
    decided = _kept(database, cohorts)
    for cohort in decided:
        before, _ = balances.lifetime(database, cohort)
        governance.add_decision(
            database, "cap_raised", cohort, moment.year, lifetime_nanorho, names, why, moment.at_us
        )
        if not balances.raise_lifetime(database, cohort, lifetime_nanorho):
            message = (
                f"The lifetime budget of cohort {cohort} is ε {epsilon_of(before):.3g} at δ {SHOWN_DELTA:g} already."
            )
            raise BudgetRefused("budget_lifetime", message, accepted=f"ε above {epsilon_above(before):g}")
        if moment.year in balances.years(database, cohort):
            _move_year(database, balances.RAISED, cohort, moment.year, lifetime_nanorho)
    body = {"cohorts": decided, "lifetime_nanorho": lifetime_nanorho, "by": list(names), "reason": why}
    district.add_event(database, moment.at_us, "cap_raised", body)


def unseal(database: Database, cohorts: Sequence[int], by: Sequence[str], reason: str, moment: Moment) -> None:
    """Let mandated statistics of sealed cohorts be drawn for the rest of this budget year, within their lifetime.

    Raises:
        AccessRefused: a cohort is not sealed, not two people approve, or no reason is given (`approval`).
        ValueError: no cohort, or one the ledger does not keep.
    """
    names, why = two_people(by), named(reason, "The reason")
    decided = _kept(database, cohorts)
    for cohort in decided:
        open_already = governance.unsealed(database, cohort, moment.year)
        if standing(cohort, moment.year, unsealed=open_already) is not Standing.SEALED:
            message = f"Class {cohort} is not sealed in the budget year {moment.year}."
            raise AccessRefused("approval", message, accepted="classes that are sealed")
        cap, _ = balances.lifetime(database, cohort)
        governance.add_decision(database, "unsealed", cohort, moment.year, cap, names, why, moment.at_us)
    body = {"cohorts": decided, "year": moment.year, "by": list(names), "reason": why}
    district.add_event(database, moment.at_us, "unsealed", body)


def _kept(database: Database, cohorts: Sequence[int]) -> list[int]:
    """The cohorts that are decided about, each once, in order.

    Raises:
        ValueError: none, or one the ledger does not keep.
    """
    if not cohorts or not set(cohorts) <= district.cohorts(database):
        raise ValueError("caps and seals are those of known cohorts")
    return sorted(set(cohorts))


def _move_year(database: Database, how: str, cohort: int, year: int, lifetime_nanorho: int) -> None:
    """Give a budget year and its parts the caps that follow from a lifetime cap."""
    policy = governance.policy(database)
    cap = year_cap_nanorho(lifetime_nanorho, cohort, year, unsealed=governance.unsealed(database, cohort, year))
    balances.move_year(database, how, cohort, year, cap)
    populations, paid_under = balances.parts(database, cohort, year)
    for population in populations:
        part = policy.population_cap(cap, cohort, year, population)
        balances.move_population(database, how, population, cohort, year, part)
    for grant in governance.grants(database):
        if grant.id in paid_under:
            balances.move_allowance(database, how, grant.id, cohort, year, grant.allowance_nanorho(cap))


def _not_lower(cohort: int, before: Mapping[int, tuple[int, int]]) -> BudgetRefused:
    """The refusal for one of some cohorts, of each of which cap and spent are given; accepted is what suits all."""
    cap, spent = before[cohort]
    message = (
        f"The lifetime budget of cohort {cohort} is ε {epsilon_of(cap):.3g} at δ {SHOWN_DELTA:g}, of which "
        f"ε {epsilon_above(spent):g} is spent. It may only be lowered, and not below what is spent."
    )
    accepted = _between(max(spent for _, spent in before.values()), min(cap for cap, _ in before.values()) - 1)
    return BudgetRefused("budget_lifetime", message, accepted=accepted)


def _between(least: int, most: int) -> str | None:
    """ε from one nano-rho to another, in as few digits as leave something between them; None for nothing."""
    for digits in range(3, 10):
        low, high = (epsilon_above(least, digits), epsilon_below(most, digits)) if least <= most else (1.0, 0.0)
        if low <= high:
            return f"ε from {low:.{digits}g} to {high:.{digits}g} at δ {SHOWN_DELTA:g}"
    return None
