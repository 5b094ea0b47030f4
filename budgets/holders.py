"""Who is still there: a ledger instance proves that it lives by holding a lock on a file of its own.

The operating system lets go of the lock when the process ends, however it ends, so a `kill -9` needs no
time-out. A token is never used twice: once dead, a holder stays dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from typing import TYPE_CHECKING
from weakref import WeakSet

from budgets.stores.failures import system_in_words

if TYPE_CHECKING:
    from pathlib import Path


class Holder:
    """The proof that this ledger instance lives.

    Attributes:
        token: its name in the ledger's rows, never used again.

    Raises:
        LedgerUnavailable: from every method, where the system refuses to make, open or lock a file.
    """

    @system_in_words()
    def __init__(self, folder: Path) -> None:
        """Take a new token and lock its file in `folder`, which is made if need be (mode 0700)."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self.token = uuid.uuid4().hex
        self._folder = folder
        self._path = folder / self.token
        self._descriptor: int | None = self._locked()
        _HOLDERS.add(self)

    def _locked(self) -> int:
        """The file appears under its name only once it is locked: nobody ever finds it unlocked and alive."""
        fresh = self._folder / f"new-{self.token}"
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.rename(self._path)
        return descriptor

    @system_in_words()
    def lives(self, token: str | None) -> bool:
        """Whether the holder of this token is alive, in whatever process."""
        if token is None:
            return False
        if token == self.token:
            return self._descriptor is not None
        return _locked_by_someone(self._folder / token)

    @system_in_words()
    def sweep(self) -> None:
        """Remove the files of the dead."""
        for path in self._folder.iterdir():
            if not path.name.startswith("new-") and not self.lives(path.name):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Be dead from now on; may be called twice."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # who opens the ledger next removes the files of the dead
            self._path.unlink()
        self.drop()

    def drop(self) -> None:
        """Close the file, and leave the lock to whoever else has it open (the parent of a fork)."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _locked_by_someone(path: Path) -> bool:
    """A shared lock is tried: it fails beside the holder's exclusive one, and two who ask do not meet."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


_HOLDERS: WeakSet[Holder] = WeakSet()


def _after_fork() -> None:
    """A forked child is not the holder, and must not keep it alive after its parent has died."""
    for holder in _HOLDERS:
        with contextlib.suppress(OSError):
            holder.drop()


os.register_at_fork(after_in_child=_after_fork)
