"""Which records answer: those of the ledger's current epoch, opened when first needed and anew after each load.

A question that has begun keeps the records it began with, though a load put others in their place meanwhile.
"""

from __future__ import annotations

import threading
from pathlib import PurePath
from typing import TYPE_CHECKING

from engine import beside, rehearsal
from engine.catalog_file import read_catalog
from engine.folder import CATALOG_FILE, VAULT_FOLDER
from engine.refusals import CatalogRefused
from engine.vault import THREADS, Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from budgets.ledger import Epoch, Ledger
    from engine.catalog import Catalog


def pending_file(vault: str) -> str:
    """The name of the catalog that a load brings, beside its vault, until it stands in the district's own place.

    >>> pending_file("epoch-1f.duckdb")
    'epoch-1f.yaml'
    """
    return PurePath(vault).stem + ".yaml"


def declared(path: Path, epoch: Epoch | None) -> Catalog:
    """The catalog an epoch was declared with: the load's own while it is not in its place, else the district's.

    Raises:
        CatalogRefused: there is none, or it cannot be read.
    """
    pending = None if epoch is None else path / VAULT_FOLDER / pending_file(epoch.file)
    if pending is not None and pending.is_file():
        try:
            return read_catalog(pending)
        except CatalogRefused:
            if pending.is_file():  # else it was put in its place meanwhile
                raise
    return read_catalog(path / CATALOG_FILE)


class Following:
    """The vault of the current epoch: opened by whichever thread comes first after a load."""

    def __init__(self, current: Callable[[], Epoch], make: Callable[[Epoch], Vault]) -> None:
        """Open nothing yet.

        Args:
            current: tells the epoch that answers now.
            make: opens its vault.
        """
        self._lock = threading.Lock()
        self._current = current
        self._make: Callable[[Epoch], Vault] | None = make
        self._vault: Vault | None = None
        self._epoch: Epoch | None = None

    def opened(self) -> Vault:
        """The vault; the one of an epoch before is closed when the last question that uses it lets it go.

        Raises:
            CatalogRefused: it cannot be opened; it is tried again the next time.
            RuntimeError: it was closed.
        """
        with self._lock:
            if self._make is None:
                raise RuntimeError
            epoch = self._current()
            while self._vault is None or epoch != self._epoch:
                try:
                    self._vault, self._epoch = self._make(epoch), epoch
                except CatalogRefused:
                    later = self._current()
                    if later == epoch:
                        raise
                    epoch = later  # a load took the place of the file that was to be opened
            return self._vault

    def close(self) -> None:
        """Close the vault, if it was opened, and never open it again."""
        with self._lock:
            self._make = None
            if self._vault is not None:
                self._vault.close()


class Epochs:
    """The records of a district's folder, real and invented, and the catalog they were verified against."""

    def __init__(self, path: Path, ledger: Ledger, threads: int = THREADS) -> None:
        """Open nothing yet.

        Args:
            path: the folder of the district.
            ledger: knows which epoch is the current one.
            threads: that the database of records takes for one question.
        """
        self._path = path
        self._ledger = ledger
        self._threads = threads
        self._known: tuple[Epoch, Catalog] | None = None
        self.records = Following(self.current, self._opened)
        self.invented = Following(self.current, lambda epoch: rehearsal.invented(self._beside(epoch), epoch.id))

    def current(self) -> Epoch:
        """The epoch that answers now.

        Raises:
            CatalogRefused: nothing has been loaded.
        """
        epoch = self._ledger.current_epoch()
        if epoch is None:
            message = "No records have been loaded."
            raise CatalogRefused(message, file=str(self._path), accepted="homeroom init", load=True)
        return epoch

    def catalog(self) -> Catalog:
        """The catalog the current records were verified against, without opening them where that can be.

        Raises:
            CatalogRefused: it is not the declared one, or cannot be read.
        """
        epoch = self.current()
        if self._known is None or self._known[0] != epoch:
            there = self._file(epoch).with_name(beside.file_of(epoch.file)).is_file()
            self._known = epoch, (self._beside(epoch) if there else self.records.opened().catalog)
        return self._known[1]

    def close(self) -> None:
        """Close all that is open."""
        self.records.close()
        self.invented.close()

    def _file(self, epoch: Epoch) -> Path:
        return self._path / VAULT_FOLDER / epoch.file

    def _beside(self, epoch: Epoch) -> Catalog:
        file = self._file(epoch).with_name(beside.file_of(epoch.file))
        return beside.read(file, declared(self._path, epoch), epoch.catalog_digest)

    def _opened(self, epoch: Epoch) -> Vault:
        return Vault.open(self._file(epoch), declared(self._path, epoch), epoch.id, threads=self._threads)
