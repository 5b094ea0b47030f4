"""A look over a district: rights on its files, ledger, catalog against vault, clock, versions.

It reads records only to see whether the vault opens, and tells nothing of them.
"""

from __future__ import annotations

import platform
import shutil
import sqlite3
import stat
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from budgets.clock import SystemClock
from budgets.ledger import Ledger, Standstill
from engine import beside
from engine.epochs import declared
from engine.folder import (
    CATALOG_FILE,
    KEYS_FOLDER,
    LEDGER_FILE,
    OWNER_KEY_BYTES,
    OWNER_KEY_FILE,
    VAULT_FOLDER,
    require_district,
)
from engine.intake.load import WORK
from engine.refusals import LedgerDamaged, Refusal
from engine.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from budgets.clock import Clock
    from budgets.ledger import Epoch

FREE_BYTES_MIN = 500 * 2**20
OTHERS_BITS = 0o077
OPEN_TO_ALL = (CATALOG_FILE,)
"""Files without a secret."""

State = Literal["good", "look", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: that was looked at.
        state: good, worth a look, or wrong.
        told: what was found.
        remedy: what to do about it; None where nothing is to be done.
    """

    what: str
    state: State
    told: str
    remedy: str | None = None


def examine(path: Path, *, clock: Clock | None = None) -> tuple[Finding, ...]:
    """Look over the folder of a district.

    Args:
        path: the folder.
        clock: tells the time; the machine's if none is given.

    Raises:
        CatalogRefused: no district is there.
    """
    require_district(path)
    path = path.resolve()
    found = [_rights(path), _key(path), _space(path)]
    epoch = None
    try:
        with Ledger.open(path / LEDGER_FILE, clock or SystemClock()) as ledger:
            found += _ledger(ledger)
            epoch = ledger.current_epoch()
    except (LedgerDamaged, Refusal) as failure:
        remedy = getattr(failure, "accepted", None) or "stop asking, and keep a copy of the folder as it is"
        found.append(Finding("ledger", "wrong", str(failure), remedy))
    return (*found, *_records(path, epoch), *_versions())


def _rights(path: Path) -> Finding:
    """Nobody but the owner of the folder may read it."""
    loose = [
        each.relative_to(path).as_posix()
        for each in (path, *sorted(path.rglob("*")))
        if each.relative_to(path).as_posix() not in OPEN_TO_ALL
        and not any(
            part.startswith(WORK) for part in each.relative_to(path).parts[:-1]
        )  # a load's own folder keeps others out by its own right
        and _open_to_others(each)
    ]
    if loose:
        told = f"Others on this machine may read {', '.join(loose[:3])}" + (" and more." if loose[3:] else ".")
        return Finding("rights", "wrong", told, f"chmod -R go-rwx {path}")
    return Finding("rights", "good", "Only the owner of the folder may read it.")


def _open_to_others(file: Path) -> bool:
    """Whether others have a right on it; a file that has gone since it was listed is none."""
    try:
        return bool(stat.S_IMODE(file.lstat().st_mode) & OTHERS_BITS)
    except FileNotFoundError:
        return False


def _key(path: Path) -> Finding:
    file = path / KEYS_FOLDER / OWNER_KEY_FILE
    if not file.is_file() or file.stat().st_size != OWNER_KEY_BYTES:
        told = "The key of the persons' hashes is missing or damaged: a load could not tell who was here before."
        return Finding("key", "wrong", told, f"{KEYS_FOLDER}/{OWNER_KEY_FILE} from a backup; it is never made anew")
    return Finding("key", "good", "The key of the persons' hashes is there.")


def _space(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    told = f"{free / 2**30:,.1f} GiB of the disk are free."
    if free < FREE_BYTES_MIN:
        return Finding("disk", "wrong", told, "more room: without it nothing can be charged, and nothing answered")
    return Finding("disk", "good", told)


def _ledger(ledger: Ledger) -> Iterator[Finding]:
    broken = ledger.faults()
    yield (
        Finding("ledger", "wrong", f"The file is damaged: {broken[0]}.", "a backup, and nobody asks until then")
        if broken
        else Finding("ledger", "good", "The file is whole, and every balance is the sum of its charges.")
    )
    yield _unfinished(ledger.standstill())
    yield Finding("policy", "good", f"The district is in the state {ledger.policy().state.value!r}.")
    leap = ledger.clock_leap()
    behind = ledger.clock_behind()
    if leap is not None:
        refused = leap.refusal()
        yield Finding("clock", "wrong", refused.message, refused.accepted)
    elif behind is not None:
        told = f"The clock is behind the newest entry of the ledger by {behind}; until then ledger time stands still."
        yield Finding("clock", "look", told, "a clock that is set right")
    else:
        yield Finding("clock", "good", f"It is {ledger.today().isoformat()}, in the budget year {ledger.year()}.")


def _unfinished(found: Standstill) -> Finding:
    told = f"{found.charged} paid and not drawn, {found.lost} lost while they were drawn."
    if found.charged or found.lost:
        remedy = "a paid one is answered for nothing under its request id; a lost one stays spent"
        return Finding("answers", "look", told, remedy)
    return Finding("answers", "good", "Every question that was paid for was answered.")


def _records(path: Path, epoch: Epoch | None) -> Iterator[Finding]:
    try:
        known = declared(path, epoch)
        if epoch is None:
            return
        file = path / VAULT_FOLDER / epoch.file
        vault = Vault.open(file, known, epoch.id)
        try:
            same = vault.catalog.digest == epoch.catalog_digest
        finally:
            vault.close()
        if same:
            beside.read(file.with_name(beside.file_of(epoch.file)), known, epoch.catalog_digest)
    except Refusal as refused:
        yield Finding("records", "wrong", refused.message, refused.accepted)
        return
    if not same:
        told = "The vault was verified against another catalog than the ledger's."
        yield Finding("records", "wrong", told, "a new load")
        return
    yield Finding("records", "good", "Catalog, vault and ledger agree.")
    others = [file.name for file in (path / VAULT_FOLDER).glob("*.duckdb") if file.name != epoch.file]
    if others:
        told = f"{len(others)} older vaults lie beside the current one."
        yield Finding("epochs", "look", told, "nothing: the next load removes them")
    if any((path / VAULT_FOLDER).glob(f"{WORK}*")):
        told = "A load is at work, or one died and left its folder."
        yield Finding("load", "look", told, "nothing: the next load removes what a dead one left")


def _versions() -> Iterator[Finding]:
    names = ("homeroom", "opendp", "duckdb", "sqlglot")
    told = ", ".join(f"{name} {version(name)}" for name in names)
    yield Finding("versions", "good", f"{told}, SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}")
