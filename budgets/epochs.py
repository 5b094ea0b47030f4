"""How records come in: an epoch opens, persons and classes are entered, and who opted out is noted.

Each runs inside one write transaction. Events never count students, and an opt-out leaves none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from budgets.decisions import named, two_people
from budgets.refusals import AccessRefused
from budgets.stores import balances, district

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from budgets.entries import Epoch
    from budgets.stores.sqlite import Database


@dataclass(frozen=True, slots=True)
class SwitchedOn:
    """Sensitive tables and columns that come with a load for the first time, and who approved it.

    Attributes:
        names: of tables, and of columns as `table.column`.
        approved_by: two different people.
        reason: why.
    """

    names: tuple[str, ...]
    approved_by: tuple[str, ...]
    reason: str

    def body(self) -> dict[str, object]:
        """What is written down of it.

        Raises:
            AccessRefused: not two people, or no reason (`approval`).
        """
        by = two_people(self.approved_by)
        return {"names": list(self.names), "approved_by": list(by), "reason": named(self.reason, "The reason")}


@dataclass(frozen=True, slots=True)
class EpochTerms:
    """What an epoch comes with.

    Attributes:
        cohorts: all that the catalog has; the new ones begin now.
        switched_on: what is sensitive and new in it.
        opted_out: whom its records leave out of research; None where nobody looked.
        left: those of them who were said to have left.
        back: those who were said so before, and are there again.
    """

    cohorts: tuple[int, ...] = ()
    switched_on: SwitchedOn | None = None
    opted_out: frozenset[bytes] | None = None
    left: frozenset[bytes] = frozenset()
    back: frozenset[bytes] = frozenset()


PLAIN_TERMS = EpochTerms()


def approved_names(database: Database) -> frozenset[str]:
    """Everything sensitive that two people ever switched on."""
    events = district.events(database)
    return frozenset(name for _, _, kind, body in events if kind == "sensitive_on" for name in body["names"])


def open_epoch(
    database: Database,
    epoch: Epoch,
    persons: Iterable[tuple[bytes, int]],
    terms: EpochTerms,
    at_us: int,
) -> None:
    """Append an epoch, which makes it current, its new classes, and the persons the register does not know.

    A new class may lose what the classes of the founding might, and no more than any class may now.

    Raises:
        ValueError: the epoch is known, a person has another cohort in the register, or a cohort is not kept.
        AccessRefused: what is sensitive was not approved by two people, or somebody opted out since the records were
            read (`approval`).
    """
    if district.epoch(database, epoch.id) is not None:
        raise ValueError("an epoch is opened once")
    if terms.opted_out is not None and terms.opted_out != district.opted_out(database):
        message = "Somebody opted out, or took it back, while the records were loaded; they were not put in place."
        raise AccessRefused("approval", message, accepted="the same load again")
    if terms.switched_on is not None:
        district.add_event(database, at_us, "sensitive_on", terms.switched_on.body())
    fresh = sorted(set(terms.cohorts) - district.cohorts(database))
    if fresh:
        nanorho, attodelta = balances.newcomers_caps(database)
        balances.add_cohorts(database, fresh, nanorho, attodelta)
        district.add_event(database, at_us, "classes_added", {"cohorts": fresh, "lifetime_nanorho": nanorho})
    note_left(database, sorted(terms.left), sorted(terms.back))
    district.add_persons(database, _unknown(database, persons))
    district.add_epoch(database, epoch)
    body = {"epoch": epoch.id, "file": epoch.file, "catalog_digest": epoch.catalog_digest}
    district.add_event(database, at_us, "load", body)


def _unknown(database: Database, persons: Iterable[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    """Who is not in the register, by key. A dict keeps its order, so the new stand behind the known."""
    register = district.known_cohorts(database)
    registered = len(register)
    for person, cohort in persons:
        if register.setdefault(person, cohort) != cohort:
            raise ValueError("a person keeps the cohort of the first sight")
    fresh = sorted(islice(register.items(), registered, None))
    if not {cohort for _, cohort in fresh} <= district.cohorts(database):
        raise ValueError("a person has a cohort that the ledger does not keep")
    return fresh


def note_opt_outs(database: Database, persons: Sequence[bytes], *, out: bool) -> None:
    """Note that persons opted out of research, or that they take part again; from the next load on.

    Raises:
        AccessRefused: nobody is named (`approval`).
    """
    if not persons:
        raise AccessRefused("approval", "Nobody is named.", accepted="the ids of students as the source has them")
    district.add_opt_outs(database, persons, out=out)


def note_left(database: Database, gone: Iterable[bytes], back: Iterable[bytes]) -> None:
    """Note of whom that opted out somebody said that they have left, and who of those is back; they stay out."""
    district.add_opt_outs(database, gone, out=True, left=True)
    district.add_opt_outs(database, back, out=True)
