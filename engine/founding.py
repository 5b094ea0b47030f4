"""Makes the folder of a new district: catalog, keys, ledger, and the records' first epoch.

The folder appears whole or not at all.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from budgets.grants import DISTRICT_YEAR_FRACTION
from budgets.ledger import Epoch, Founding, Ledger
from budgets.loss import nanorho_for
from budgets.policy import STANDARD, DistrictState, Policy, Preset
from engine.catalog_file import read_catalog
from engine.district import CATALOG_FILE, KEYS_FOLDER, LEDGER_FILE, REPORTS_FOLDER, VAULT_FOLDER
from engine.intake.load import load
from engine.intake.rules import Standing
from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

    from budgets.clock import Clock

OWNER_KEY_FILE = "owner.key"
OWNER_KEY_BYTES = 32


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
    sources: Mapping[str, Path | pa.Table],
    *,
    clock: Clock,
    terms: Terms | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> None:
    """Make a district in a new folder.

    Args:
        path: the folder; it must not exist yet, or be empty.
        catalog_file: the declared catalog.
        sources: table name → CSV or Parquet file, or a table in memory.
        clock: tells the time of founding.
        terms: the terms; the ordinary ones if none are given.
        progress: called with what is being done and how much of it, 0 to 1.

    Raises:
        CatalogRefused: the catalog, a source or the folder cannot be used; nothing is left behind.
    """
    require_new(path)
    read_catalog(catalog_file)  # refused before anything is made
    building = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    try:
        building.mkdir(parents=True, mode=0o700)
    except OSError:
        raise CatalogRefused(
            "The folder cannot be made.", file=str(path), accepted="a place that can be written to", load=True
        ) from None
    try:
        _build(building, catalog_file, sources, clock, terms or Terms(), progress)
        if path.exists():
            path.rmdir()
        building.rename(path)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


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
    sources: Mapping[str, Path | pa.Table],
    clock: Clock,
    terms: Terms,
    progress: Callable[[str, float], None] | None,
) -> None:
    shutil.copyfile(catalog_file, folder / CATALOG_FILE)
    catalog = read_catalog(folder / CATALOG_FILE, str(catalog_file))
    for name in (VAULT_FOLDER, KEYS_FOLDER, REPORTS_FOLDER):
        (folder / name).mkdir(mode=0o700)
    owner_key = _new_key(folder / KEYS_FOLDER / OWNER_KEY_FILE)
    loaded = load(
        catalog, sources, folder / VAULT_FOLDER, owner_key=owner_key, standing=Standing({}), progress=progress
    )
    loaded.report.write(folder / REPORTS_FOLDER)
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
    ledger = Ledger.create(folder / LEDGER_FILE, founding, clock)
    try:
        ledger.open_epoch(Epoch(loaded.epoch, loaded.file, loaded.catalog.digest), loaded.newcomers)
    finally:
        ledger.close()


def _new_key(path: Path) -> bytes:
    key = secrets.token_bytes(OWNER_KEY_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key
