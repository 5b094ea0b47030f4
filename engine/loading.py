"""The next load: records of a district are replaced whole, in one step, while questions go on.

    lock ─ new vault beside the old ─ report ─ ledger: epoch, persons, classes ─ catalog in place ─ old vault gone

Until the ledger's transaction the old records answer; from it on the new ones do. Whenever the process dies, one of
the two is whole. Budgets are not touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from budgets.epochs import EpochTerms, SwitchedOn
from budgets.grants import DISTRICT
from budgets.ledger import Epoch, Ledger
from budgets.policy import Standing as MayBeAsked
from budgets.policy import last_day
from engine.beside import file_of
from engine.catalog_file import catalog_of, columns_on, sensitive_off, sensitive_on
from engine.epochs import pending_file
from engine.folder import (
    CATALOG_FILE,
    LEDGER_FILE,
    LOCKS_FOLDER,
    REPORTS_FOLDER,
    VAULT_FOLDER,
    owner_key,
    require_district,
)
from engine.intake.former import former_catalog
from engine.intake.load import load, sweep, sync
from engine.intake.persons import owner_hashes
from engine.intake.report import REPORT_NAME
from engine.intake.rules import Standing
from engine.load_checks import check_no_free_text, check_opted_out, check_same_district, check_students
from engine.refusals import AccessRefused, CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from budgets.clock import Clock
    from engine.catalog import Catalog
    from engine.intake.load import Loaded
    from engine.intake.sources import Given, Progress, Sources

LOAD_LOCK = "load"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the officer says beside the sources of a load.

    Attributes:
        catalog: the declaration that holds from this load on; the present one if none is given.
        approved_by: two people who approve what is sensitive and switched on for the first time.
        reason: theirs.
        opted_out: ids of students who opted out of research; they stay out in every later load.
        strangers: whether most students may be new to the district.
        fewer: whether most students of before may be gone.
        opt_outs_left: whether students who opted out may be gone.
    """

    catalog: Path | None = None
    approved_by: tuple[str, ...] = ()
    reason: str = ""
    opted_out: tuple[str, ...] = ()
    strangers: bool = False
    fewer: bool = False
    opt_outs_left: bool = False

    def switched_on(self, before: frozenset[str], known: frozenset[str], catalog: Catalog) -> SwitchedOn | None:
        """What is sensitive and new in a catalog, with its approval.

        Args:
            before: what was on and approved already.
            known: what was ever called sensitive, whatever the catalog calls it now.
            catalog: what is on now.

        Raises:
            AccessRefused: it was not approved by two people (`approval`).
        """
        fresh = tuple(sorted(sensitive_on(catalog.document, known) - before))
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
        settle(path, ledger)
        vault = None if current is None else path / VAULT_FOLDER / current.file
        former = None if vault is None else former_catalog(vault)
        file = path / CATALOG_FILE if wishes.catalog is None else wishes.catalog
        text = text_of(file)
        catalog = catalog_of(text, str(file))
        check_same_district(ledger, former, catalog)
        on = frozenset() if former is None else columns_on(former.document)
        bringing = Bringing(catalog, text, on, former, vault)
        return bring(path, ledger, bringing, sources, wishes, progress)


@dataclass(frozen=True, slots=True)
class Bringing:
    """What a load brings, and what it takes the place of.

    Attributes:
        catalog: as declared from now on.
        text: its text, which is kept as it was verified.
        on: what is sensitive and was on in the records of before, as `table.column`.
        former: the catalog of the records of before, if there are any that can be read.
        vault: their file.
    """

    catalog: Catalog
    text: str | None = None
    on: frozenset[str] = frozenset()
    former: Catalog | None = None
    vault: Path | None = None

    @property
    def known(self) -> frozenset[str]:
        """What the catalog of before called sensitive, on or off."""
        if self.former is None:
            return frozenset()
        return sensitive_on(self.former.document) | sensitive_off(self.former.document)


def bring(
    path: Path,
    ledger: Ledger,
    bringing: Bringing,
    sources: Sources | Mapping[str, Given],
    wishes: Wishes,
    progress: Progress | None,
) -> Loaded:
    """Load records and make their epoch the current one.

    Args:
        path: the folder of the district.
        ledger: its ledger.
        bringing: the catalog, and what was there before.
        sources: they bring every table of it.
        wishes: what else is to be.
        progress: as of `load_next`.

    Raises:
        CatalogRefused: as `load_next`.
        AccessRefused: as `load_next`.
    """
    catalog = bringing.catalog
    check_no_free_text(catalog)
    approved = ledger.approved_names()
    switched_on = wishes.switched_on(approved & bringing.on, approved | bringing.known, catalog)
    key = owner_key(path)
    wanted = owner_hashes(wishes.opted_out, key)
    if wanted:
        ledger.note_opt_outs([person for hashes in wanted.values() for person in hashes], out=True)
    opted_out = ledger.opted_out()
    standing = Standing(ledger.known_cohorts(), opted_out, _retired(ledger))
    loaded = load(catalog, sources, path / VAULT_FOLDER, owner_key=key, standing=standing, progress=progress)
    try:
        vault = path / VAULT_FOLDER / loaded.file
        check_students(vault, loaded, standing, bringing, wishes)
        missing = check_opted_out(vault, loaded, standing, ledger.left(), wishes)
        if bringing.text is not None:
            _keep(bringing.text, path / VAULT_FOLDER / pending_file(loaded.file))
        loaded.report.day = ledger.today().isoformat()
        loaded.report.kept_until = {c: last_day(c).isoformat() for c in catalog.cohorts if c not in standing.retired}
        page = loaded.report.write(path / REPORTS_FOLDER)
        epoch = Epoch(loaded.epoch, loaded.file, loaded.catalog.digest)
        ledger.open_epoch(epoch, loaded.newcomers, EpochTerms(catalog.cohorts, switched_on, opted_out, *missing))
    finally:
        settle(path, ledger)
    return replace(loaded, unknown=unknown(ledger, wanted), page=page)


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


def _retired(ledger: Ledger) -> tuple[int, ...]:
    """The classes that are sealed: their records are no longer kept."""
    balances = ledger.balances(DISTRICT)
    return tuple(cohort for cohort, balance in balances.items() if balance.standing is MayBeAsked.SEALED)


def text_of(file: Path) -> str:
    """The text of a catalog.

    Raises:
        CatalogRefused: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise CatalogRefused("The file cannot be read.", file=str(file), accepted="a YAML file in UTF-8") from None


def _keep(text: str, pending: Path) -> None:
    """Write the catalog that was verified beside its vault, on disk at return."""
    with os.fdopen(os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sync(pending.parent)


def settle(path: Path, ledger: Ledger) -> None:
    """Put the catalog of the current epoch in its place; remove the records of all others, and reports of none.

    Whoever still reads records that were replaced reads them to the end.
    """
    sweep(path / VAULT_FOLDER)
    current, known = ledger.current_epoch(), ledger.epochs()
    kept = set()
    if current is not None:
        kept = {current.file, file_of(current.file)}
        pending = path / VAULT_FOLDER / pending_file(current.file)
        if pending.is_file():
            pending.replace(path / CATALOG_FILE)
    for file in (path / VAULT_FOLDER).glob("epoch-*"):
        if file.name not in kept:
            file.unlink(missing_ok=True)
    for file in (path / REPORTS_FOLDER).iterdir():
        named = REPORT_NAME.fullmatch(file.name)
        if named is not None and named[1] not in known:
            file.unlink(missing_ok=True)
