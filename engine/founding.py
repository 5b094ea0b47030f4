"""Makes the folder of a new district: catalog, keys, ledger, and the records' first epoch.

The folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from budgets.grants import DISTRICT_YEAR_FRACTION
from budgets.ledger import Founding, Ledger
from budgets.loss import nanorho_for
from budgets.policy import STANDARD, DistrictState, Policy, Preset
from engine.catalog_file import read_catalog
from engine.folder import (
    CATALOG_FILE,
    KEYS_FOLDER,
    LEDGER_FILE,
    OWNER_KEY_BYTES,
    OWNER_KEY_FILE,
    REPORTS_FOLDER,
    VAULT_FOLDER,
)
from engine.loading import AS_BEFORE, Bringing, bring
from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from budgets.clock import Clock
    from engine.intake.load import Loaded
    from engine.intake.sources import Given, Progress, Sources
    from engine.loading import Wishes


LOCK = "beginning.lock"
"""In the folder of a district that is being made."""

PILOT = Policy(DistrictState.PILOT)
"""A real district begins with its pilot."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a district is founded.

    Attributes:
        year_fraction: how much of each cohort's budget year the district's own grant may spend.
        as_of: a fixed time; only a district of invented records may have one.
        preset: what a class may lose in its lifetime.
        policy: who is answered, and what each population may use of a year.
    """

    year_fraction: Fraction = DISTRICT_YEAR_FRACTION
    as_of: datetime | None = None
    preset: Preset = STANDARD
    policy: Policy = PILOT


INVENTED = Policy(DistrictState.OPEN, research=Fraction(1), mandated=Fraction(1))
"""A district of invented records is open from the first, and every population may use the whole year."""


def found(
    path: Path,
    catalog_file: Path,
    sources: Sources | Mapping[str, Given],
    *,
    clock: Clock,
    terms: Terms | None = None,
    wishes: Wishes = AS_BEFORE,
    progress: Progress | None = None,
) -> Loaded:
    """Make a district in a new folder.

    Args:
        path: the folder; it must not exist yet, or be empty.
        catalog_file: the declared catalog.
        sources: they bring every table of the catalog; a mapping of files and tables in memory is one.
        clock: tells the time of founding.
        terms: the terms; the ordinary ones if none are given.
        wishes: what else is to be; the catalog stands beside it.
        progress: called with what is being done and how much of it, 0 to 1.

    Raises:
        CatalogRefused: the catalog, a source or the folder cannot be used; nothing is left behind.
        AccessRefused: something sensitive was not approved; likewise.
    """
    require_new(path)
    read_catalog(catalog_file)  # refused before anything is made
    sweep_beginnings(path)
    building = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    try:
        building.mkdir(parents=True, mode=0o700)
    except OSError:
        raise CatalogRefused(
            "The folder cannot be made.", file=str(path), accepted="a place that can be written to", load=True
        ) from None
    try:
        with _alive(building):
            loaded = _build(building, catalog_file, sources, clock, terms or Terms(), wishes, progress)
            if path.exists():
                path.rmdir()
            building.rename(path)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    (path / LOCK).unlink(missing_ok=True)
    page = None if loaded.page is None else path / loaded.page.relative_to(building)
    return replace(loaded, page=page)


def sweep_beginnings(path: Path) -> None:
    """Remove what beginnings of this folder that died have left beside it: it may hold unpacked records."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with contextlib.suppress(OSError), (left / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _alive(folder: Path) -> Iterator[None]:
    """Tell others that somebody works in a folder."""
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_new(path: Path) -> None:
    """Refuse a folder with anything in it.

    Raises:
        CatalogRefused: it is not empty, or no folder.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CatalogRefused(
            "The folder is not empty: a district has one ledger, and it is never begun again.",
            file=str(path),
            accepted="a folder that does not exist yet",
            load=True,
        )


def _build(
    folder: Path,
    catalog_file: Path,
    sources: Sources | Mapping[str, Given],
    clock: Clock,
    terms: Terms,
    wishes: Wishes,
    progress: Progress | None,
) -> Loaded:
    shutil.copyfile(catalog_file, folder / CATALOG_FILE)
    catalog = read_catalog(folder / CATALOG_FILE, str(catalog_file))
    for name in (VAULT_FOLDER, KEYS_FOLDER, REPORTS_FOLDER):
        (folder / name).mkdir(mode=0o700)
    _new_key(folder / KEYS_FOLDER / OWNER_KEY_FILE)
    founding = Founding(
        district_id=catalog.district_id,
        time_zone=catalog.time_zone,
        cohorts=catalog.cohorts,
        lifetime_nanorho=nanorho_for(terms.preset.epsilon),
        lifetime_attodelta=catalog.delta_atto // 2,
        district_year_fraction=terms.year_fraction,
        policy=terms.policy,
        as_of=terms.as_of,
    )
    with Ledger.create(folder / LEDGER_FILE, founding, clock) as ledger:
        return bring(folder, ledger, Bringing(catalog), sources, wishes, progress)


def _new_key(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(OWNER_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
