"""What SQLite and the system say when the file cannot be used, in the words of an officer.

Their own texts and paths are not passed on.
"""

from __future__ import annotations

import errno
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from budgets.refusals import LedgerDamaged, LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

AGAIN = "then the same question again, under its request_id"
LOCKED = ("Another program has held it for too long.", f"waiting until that program is done, {AGAIN}")
FULL = ("The disk is full.", f"room on the disk of the district's folder, {AGAIN}")
READ_ONLY = (
    "It may be read but not written.",
    f"the right to write the ledger, its folder and the folder `locks`, {AGAIN}",
)
NOT_OPENED = (
    "Its file, or one that belongs to it, cannot be opened.",
    f"the right to read and write the district's folder, {AGAIN}",
)
FAILED = ("The disk did not take or give what it was asked for.", f"a look at the disk and its free space, {AGAIN}")
FORKED = (
    "This process is the child of one that has it open, and two such processes would overwrite each other.",
    "a process that is started afresh, not forked",
)

SQLITE_WORDS = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_PROTOCOL: LOCKED,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_PERM: NOT_OPENED,
    sqlite3.SQLITE_CANTOPEN: NOT_OPENED,
    sqlite3.SQLITE_IOERR: FAILED,
    sqlite3.SQLITE_NOLFS: FAILED,
    sqlite3.SQLITE_NOMEM: ("The machine has no memory left.", f"free memory, {AGAIN}"),
}
DAMAGES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
PRIMARY = 0xFF
"""The lower byte of an extended result code is the code itself (sqlite.org/rescode.html)."""

SYSTEM_WORDS = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: NOT_OPENED,
    errno.EPERM: NOT_OPENED,
}


@contextmanager
def in_words(name: str) -> Iterator[None]:
    """Say in words what keeps the ledger file `name` from being used; other failures pass unchanged.

    Raises:
        LedgerUnavailable: the machine stands in the way.
        LedgerDamaged: the file is not a database, or no longer one.
    """
    try:
        yield
    except sqlite3.Error as failure:
        code = getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_OK) & PRIMARY
        if code in DAMAGES:
            raise LedgerDamaged(f"{name} is no readable database") from None
        if code in SQLITE_WORDS:
            raise LedgerUnavailable(*SQLITE_WORDS[code]) from None
        raise


@contextmanager
def system_in_words() -> Iterator[None]:
    """Say in words what the system refuses where a file of the ledger is made, opened or locked.

    Raises:
        LedgerUnavailable: it does.
    """
    try:
        yield
    except OSError as failure:
        raise LedgerUnavailable(*SYSTEM_WORDS.get(failure.errno or 0, FAILED)) from None
