"""The next load: records of a district are replaced whole, in one step, while questions go on.

    lock ─ new vault beside the old ─ report ─ ledger: epoch, persons, classes ─ catalog in place ─ old vault gone

Until the ledger's transaction the old records answer; from it on the new ones do. Whenever the process dies, one of
the two is whole. Budgets are not touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from budgets.cohorts import years_text
from budgets.epochs import SwitchedOn
from budgets.grants import DISTRICT
from budgets.ledger import Epoch, Ledger
from budgets.policy import Standing as MayBeAsked
from budgets.policy import last_day
from engine.beside import file_of
from engine.catalog_file import read_catalog, sensitive_on
from engine.epochs import declared, pending_file
from engine.folder import (
    CATALOG_FILE,
    LEDGER_FILE,
    LOCKS_FOLDER,
    REPORTS_FOLDER,
    VAULT_FOLDER,
    owner_key,
    require_district,
)
from engine.intake.load import load
from engine.intake.persons import owner_hashes
from engine.intake.rules import Standing
from engine.refusals import AccessRefused, CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from budgets.clock import Clock
    from engine.catalog import Catalog
    from engine.intake.load import Loaded
    from engine.intake.sources import Given, Progress, Sources

LOAD_LOCK = "load"
STRANGERS_MIN = 20
"""Of fewer students nothing is concluded from how many are new."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the officer says beside the sources of a load.

    Attributes:
        catalog: the declaration that holds from this load on; the present one if none is given.
        approved_by: two people who approve what is sensitive and switched on for the first time.
        reason: theirs.
        opted_out: ids of students who opted out of research; they stay out in every later load.
        strangers: whether most students may be new to the district.
    """

    catalog: Path | None = None
    approved_by: tuple[str, ...] = ()
    reason: str = ""
    opted_out: tuple[str, ...] = ()
    strangers: bool = False

    def switched_on(self, before: frozenset[str], catalog: Catalog) -> SwitchedOn | None:
        """What is sensitive and new in a catalog, with its approval.

        Args:
            before: what was on already.
            catalog: what is on now.

        Raises:
            AccessRefused: it was not approved by two people (`approval`).
        """
        fresh = tuple(sorted(sensitive_on(catalog.document) - before))
        if not fresh:
            return None
        if not self.approved_by and not self.reason:
            message = f"The catalog switches on what is sensitive: {', '.join(fresh)}."
            accepted = (
                "--approved-by of two people and --reason, which become public; or the catalog with `on: false`"
            )
            raise AccessRefused("approval", message, accepted=accepted)
        found = SwitchedOn(fresh, self.approved_by, self.reason)
        found.body()  # refused now, not after the load
        return found


AS_BEFORE = Wishes()


def load_next(
    path: Path,
    sources: Sources | Mapping[str, Given],
    *,
    clock: Clock,
    wishes: Wishes = AS_BEFORE,
    progress: Progress | None = None,
) -> Loaded:
    """Replace the records of a district.

    Args:
        path: its folder.
        sources: they bring every table of the catalog.
        clock: tells the time of the load.
        wishes: what else is to be.
        progress: called with what is being done and how much of it, 0 to 1.

    Raises:
        CatalogRefused: catalog or sources cannot be used, or another load is at work; the old records answer on.
        AccessRefused: the clock leapt, or something sensitive was not approved; likewise.
    """
    require_district(path)
    with _alone(path), Ledger.open(path / LEDGER_FILE, clock) as ledger:
        if ledger.identity.as_of is not None:
            message = "This is a district of invented records; no others are loaded into it."
            raise CatalogRefused(message, file=str(path), accepted="a district begun by homeroom init", load=True)
        leap = ledger.clock_leap()
        if leap is not None:
            raise leap.refusal()
        current = ledger.current_epoch()
        settle(path, current)
        before = declared(path, current)
        after = before if wishes.catalog is None else read_catalog(wishes.catalog)
        _check_same_district(ledger, before, after)
        return bring(path, ledger, sensitive_on(before.document), after, sources, wishes, progress)


def bring(
    path: Path,
    ledger: Ledger,
    before: frozenset[str],
    catalog: Catalog,
    sources: Sources | Mapping[str, Given],
    wishes: Wishes,
    progress: Progress | None,
) -> Loaded:
    """Load records and make their epoch the current one.

    Args:
        path: the folder of the district.
        ledger: its ledger.
        before: what is sensitive and was on already.
        catalog: as declared from now on.
        sources: they bring every table of it.
        wishes: what else is to be.
        progress: as of `load_next`.

    Raises:
        CatalogRefused: as `load_next`.
        AccessRefused: as `load_next`.
    """
    switched_on = wishes.switched_on(before, catalog)
    key = owner_key(path)
    opted_out = owner_hashes(wishes.opted_out, key)
    if opted_out:
        ledger.note_opt_outs([person for hashes in opted_out.values() for person in hashes], out=True)
    standing = Standing(ledger.known_cohorts(), ledger.opted_out(), _retired(ledger))
    loaded = load(catalog, sources, path / VAULT_FOLDER, owner_key=key, standing=standing, progress=progress)
    epoch = Epoch(loaded.epoch, loaded.file, loaded.catalog.digest)
    try:
        _check_strangers(loaded, standing, wishes)
        if wishes.catalog is not None:
            _keep(wishes.catalog, path / VAULT_FOLDER / pending_file(loaded.file))
        loaded.report.kept_until = {c: last_day(c).isoformat() for c in catalog.cohorts if c not in standing.retired}
        loaded.report.write(path / REPORTS_FOLDER)
        ledger.open_epoch(epoch, loaded.newcomers, cohorts=catalog.cohorts, switched_on=switched_on)
    except BaseException:
        _remove(path, ledger.current_epoch())
        raise
    settle(path, epoch)
    return replace(loaded, unknown=unknown(ledger, opted_out))


def unknown(ledger: Ledger, persons: Mapping[str, Sequence[bytes]]) -> tuple[str, ...]:
    """The ids, with the hashes they may have, of which no load has ever brought a student."""
    known = ledger.known_cohorts([one for hashes in persons.values() for one in hashes])
    return tuple(name for name, hashes in persons.items() if known.keys().isdisjoint(hashes))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One load at a time."""
    locks = path / LOCKS_FOLDER
    locks.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(locks / LOAD_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = "Another load of this district is at work."
            raise CatalogRefused(
                message, file=str(path), accepted="the same again when it has ended", load=True
            ) from None
        yield


def _check_same_district(ledger: Ledger, before: Catalog, after: Catalog) -> None:
    """Make sure that a catalog declares the district of this ledger, with all classes that can still be asked about.

    Raises:
        CatalogRefused: it does not.
    """

    def refusal(message: str, accepted: str) -> CatalogRefused:
        return CatalogRefused(message, file=after.district_id, accepted=accepted)

    identity = ledger.identity
    if (after.district_id, after.time_zone) != (identity.district_id, identity.time_zone):
        message = "The catalog is of another district, or has another time zone."
        raise refusal(message, f"{identity.district_id} in {identity.time_zone}")
    if (after.owner, after.cohort) != (before.owner, before.cohort):
        message = "The catalog has another owner or cohort column than before."
        raise refusal(message, f"owner: {before.owner}, cohort: {before.cohort}")
    kept = [c for c, balance in ledger.balances(DISTRICT).items() if balance.standing is not MayBeAsked.SEALED]
    gone = [cohort for cohort in kept if cohort in before.cohorts and cohort not in after.cohorts]
    if gone:
        message = f"The catalog no longer lists classes of {years_text(gone)}, which are not sealed yet."
        raise refusal(message, f"classes of {years_text({*gone, *after.cohorts})}")


def _retired(ledger: Ledger) -> tuple[int, ...]:
    """The classes that are sealed: their records are no longer kept."""
    balances = ledger.balances(DISTRICT)
    return tuple(cohort for cohort, balance in balances.items() if balance.standing is MayBeAsked.SEALED)


def _check_strangers(loaded: Loaded, standing: Standing, wishes: Wishes) -> None:
    """Refuse a load in which most students are new: the ids have another form, and every budget would begin anew.

    Raises:
        CatalogRefused: they are, and nobody said that it is so.
    """
    if wishes.strangers or not standing.register or loaded.persons < STRANGERS_MIN:
        return
    if 2 * len(loaded.newcomers) > loaded.persons:
        message = "Most students of these sources are new to the district: their ids have another form than before."
        accepted = "sources with the ids of the loads before; or --new-students, if most of them are new indeed"
        raise CatalogRefused(message, file=str(loaded.catalog.district_id), accepted=accepted, load=True)


def _keep(catalog: Path, pending: Path) -> None:
    """Copy a catalog beside its vault, on disk at return."""
    shutil.copyfile(catalog, pending)
    pending.chmod(0o600)
    with pending.open("rb") as file:
        os.fsync(file.fileno())


def settle(path: Path, current: Epoch | None) -> None:
    """Put the catalog of the current epoch in its place, and remove the records of all others."""
    if current is not None:
        pending = path / VAULT_FOLDER / pending_file(current.file)
        if pending.is_file():
            pending.replace(path / CATALOG_FILE)
        _remove(path, current)


def _remove(path: Path, current: Epoch | None) -> None:
    """Remove the files of every epoch but the current one; whoever still reads them reads to the end."""
    kept = set() if current is None else {current.file, file_of(current.file), pending_file(current.file)}
    for file in (path / VAULT_FOLDER).glob("epoch-*"):
        if file.name not in kept:
            file.unlink(missing_ok=True)
