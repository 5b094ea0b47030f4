"""The folder of a district: what stands where in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from pathlib import Path

CATALOG_FILE = "district.yaml"
MAPPING_FILE = "mapping.yaml"
LEDGER_FILE = "ledger.sqlite"
VAULT_FOLDER = "vault"
REPORTS_FOLDER = "reports"
KEYS_FOLDER = "keys"
LOCKS_FOLDER = "locks"
INCIDENTS_FILE = "incidents.jsonl"
OWNER_KEY_FILE = "owner.key"
OWNER_KEY_BYTES = 32


def require_district(path: Path) -> None:
    """Make sure that a folder has a district.

    Raises:
        CatalogRefused: it has none.
    """
    if not (path / LEDGER_FILE).is_file():
        raise CatalogRefused(
            "There is no district in this folder.",
            file=str(path),
            accepted="a folder made by `homeroom demo` or `homeroom init`",
            load=True,
        )


def owner_key(path: Path) -> bytes:
    """The key by which a district tells its students apart.

    Raises:
        CatalogRefused: it is missing or damaged.
    """
    file = path / KEYS_FOLDER / OWNER_KEY_FILE
    try:
        key = file.read_bytes()
    except OSError:
        key = b""
    if len(key) != OWNER_KEY_BYTES:
        message = "The key of the persons' hashes is missing or damaged: nobody could tell who was here before."
        raise CatalogRefused(message, file=str(file), accepted="the key from a backup", load=True)
    return key
