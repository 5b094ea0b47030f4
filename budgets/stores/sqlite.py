"""One SQLite file: durable, exact under several threads and processes, and never opened unless it is ours.

WAL with `synchronous=FULL`: a commit has reached the disk when it returns. Every write takes the write lock
first (BEGIN IMMEDIATE), so what it reads is what it changes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from budgets.refusals import LedgerDamaged, LedgerUnavailable, Refusal
from budgets.stores.failures import FORKED, PRIMARY, READ_ONLY, in_words, system_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

APPLICATION_ID = 0x484D524D
"""In the header of every ledger file: "HMRM"."""

BUSY_TIMEOUT_S = 10.0
WRITE_POLL_S = 0.0003
MODE = 0o600

PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA recursive_triggers = ON",  # else INSERT OR REPLACE removes a row without its DELETE trigger
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # where fsync alone leaves the data in the drive's cache
    "PRAGMA checkpoint_fullfsync = ON",
)

Row = tuple[Any, ...]
Values = Sequence[Any] | Mapping[str, Any]


class Database:
    """An open ledger file, shared by the threads of one process.

    Reads and writes happen inside `reading()` and `writing()`. Each has a connection of its own, so that who reads
    does not wait for a commit to reach the disk. A forked child can neither use it nor open its own: SQLite would
    take the parent's locks for the child's, and what the child commits would be lost once the parent closes.
    """

    def __init__(self, path: Path) -> None:
        if _OPEN_IN_PARENT:
            raise LedgerUnavailable(*FORKED)
        self._process = os.getpid()
        self._lock, self._reading = threading.RLock(), threading.RLock()
        self._inside = _Inside()
        self._name = path.name
        self._closed = False
        _DATABASES.add(self)
        address = f"{path.absolute().as_uri()}?mode=rw"
        self._connection = _connected(address)
        self._patience_s = BUSY_TIMEOUT_S
        self._reader: sqlite3.Connection | None = None
        for pragma in PRAGMAS:
            self._connection.execute(pragma)
        self._address = address

    @classmethod
    def found(cls, path: Path, fill: Callable[[Database], None]) -> None:
        """Make a new ledger file, complete or not at all, with mode 0600.

        Args:
            path: where it will stand.
            fill: writes the first rows, inside a transaction.

        Raises:
            Refusal: something stands there already (`load`).
            LedgerUnavailable: the machine does not let it be written.
        """
        with in_words(path.name), system_in_words():
            cls._found(path, fill)

    @classmethod
    def _found(cls, path: Path, fill: Callable[[Database], None]) -> None:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, MODE))
        try:
            cls._draft(draft, fill)
            os.link(draft, path)
        except FileExistsError:
            message = f"{path.name} exists already; a district has one ledger, for ever."
            raise Refusal("load", message, accepted="a folder without a ledger") from None
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)

    @classmethod
    def _draft(cls, path: Path, fill: Callable[[Database], None]) -> None:
        """The write-ahead log is switched on last and stays empty: the one file holds everything."""
        database = cls(path)
        try:
            database.migrate()
            with database.writing():
                fill(database)
            database.write_ahead()
        finally:
            database.close()

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open a ledger file that is ours, and bring it to the newest schema.

        Raises:
            LedgerDamaged: there is no such file, it is no ledger, its schema is newer than this program, or
                the schema is not the one its version stands for.
            LedgerUnavailable: the machine does not let it be read or written.
        """
        with in_words(path.name):
            with system_in_words():
                there = path.is_file()
            if not there:
                raise LedgerDamaged(f"there is no ledger {path.name}")
            _check_writable(path)
            return cls._opened(path)

    @classmethod
    def _opened(cls, path: Path) -> Database:
        database = cls(path)
        try:
            database.check_ours()
            database.check_schema()
            database.migrate()
            database.check_schema()
            database.write_ahead()
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close the file; what was committed is on disk already. In a forked child, leave it to the parent."""
        if os.getpid() != self._process:
            return
        with self._lock, self._reading:
            self._closed = True
            self._connection.close()
            if self._reader is not None:
                self._reader.close()

    @property
    def is_open(self) -> bool:
        """Whether it was not closed yet."""
        return not self._closed

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction that holds the write lock; committed and on disk at the end, or undone.

        Raises:
            RuntimeError: inside another transaction, or in a forked child.
            LedgerUnavailable: the machine does not let the file be read or written; nothing was changed.
        """
        with self._mine():
            if self._inside.connection is not None:
                raise RuntimeError("transactions of the ledger do not nest")
            with self._lock, self._transaction(self._connection, self._begin_writing):
                yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A view of one moment; inside a transaction, that transaction's."""
        with self._mine():
            if self._inside.connection is not None:
                yield
                return
            with self._reading, self._transaction(self._opened_reader(), _begin_reading):
                yield

    @contextmanager
    def _mine(self) -> Iterator[None]:
        if os.getpid() != self._process:
            raise RuntimeError("a ledger is not carried through a fork: open it in a process of its own")
        with in_words(self._name):
            yield

    def _opened_reader(self) -> sqlite3.Connection:
        """The connection for reading, made by the first who reads."""
        if self._reader is None:
            if self._closed:
                raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
            self._reader = _connected(self._address)
            self._reader.execute("PRAGMA query_only = ON")
        return self._reader

    def _begin_writing(self, connection: sqlite3.Connection) -> None:
        """Take the write lock; looked for often, since SQLite itself sleeps longer and longer while others write."""
        self._wait_at_most(0.0)
        give_up = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & PRIMARY != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise
                time.sleep(WRITE_POLL_S)
            else:
                return

    def _wait_at_most(self, seconds: float) -> None:
        """How long SQLite itself waits for the write lock."""
        if self._patience_s != seconds:
            self._connection.execute(f"PRAGMA busy_timeout = {int(1000 * seconds)}")
            self._patience_s = seconds

    @contextmanager
    def _transaction(
        self, connection: sqlite3.Connection, begin: Callable[[sqlite3.Connection], None]
    ) -> Iterator[None]:
        self._inside.connection = connection
        try:
            begin(connection)
            yield
            connection.execute("COMMIT")
        except BaseException:
            self._undo(connection)
            raise
        finally:
            self._inside.connection = None

    def _undo(self, connection: sqlite3.Connection) -> None:
        """Where even that fails the connection is closed, so that nothing half done can be committed later."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows of a SELECT."""
        return (self._inside.connection or self._connection).execute(sql, values).fetchall()

    def change(self, sql: str, values: Values = ()) -> int:
        """Run one INSERT or UPDATE; how many rows it changed."""
        return self._connection.execute(sql, values).rowcount

    def insert(self, sql: str, values: Values = ()) -> int:
        """Run one INSERT; the id of the new row."""
        return int(self._connection.execute(sql, values).lastrowid or 0)

    def change_each(self, sql: str, values: Iterable[Any]) -> int:
        """Run an INSERT or UPDATE once for each of `values`; how many rows were changed together."""
        if isinstance(values, list) and not values:
            return 0
        return self._connection.executemany(sql, values).rowcount

    def check_ours(self) -> None:
        """Refuse a file of another program or of a later version of this one.

        Raises:
            LedgerDamaged: it is.
        """
        if self._number("application_id") != APPLICATION_ID:
            raise LedgerDamaged("the file is not a ledger of this program")
        if self._number("user_version") > len(migrations()):
            raise LedgerDamaged("the ledger was written by a later version of this program")

    def check_schema(self) -> None:
        """Compare every table, index and trigger with those a new ledger of the same version has.

        Raises:
            LedgerDamaged: one is missing, changed or added.
        """
        if _schema(self._connection) != _schema_of_a_new_ledger(self._number("user_version")):
            raise LedgerDamaged("the tables or triggers of the ledger are not those of its version")

    def migrate(self) -> None:
        """Take the steps of the schema that were not taken yet, each in its own transaction."""
        for number, script in enumerate(migrations(), start=1):
            if self._number("user_version") < number:
                self._step(number, script)

    def _step(self, number: int, script: str) -> None:
        with self.writing():
            if self._number("user_version") < number:
                _run(self._connection, number, script)

    def write_ahead(self) -> None:
        """Switch the write-ahead log on.

        Raises:
            LedgerDamaged: the file system does not allow it.
        """
        self._wait_at_most(BUSY_TIMEOUT_S)
        if self.rows("PRAGMA journal_mode = WAL") != [("wal",)]:
            raise LedgerDamaged("the file system cannot keep a write-ahead log")

    def _number(self, pragma: str) -> int:
        return int(self.rows(f"PRAGMA {pragma}")[0][0])


class _Inside(threading.local):
    """The connection of the transaction that this thread is in."""

    connection: sqlite3.Connection | None = None


def _connected(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _begin_reading(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")


@cache
def migrations() -> tuple[str, ...]:
    """The steps of the schema in their order, as SQL text."""
    folder = resources.files("budgets.stores") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple((folder / name).read_text("utf-8") for name in names)


def _run(connection: sqlite3.Connection, number: int, script: str) -> None:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {number}")


def _schema(connection: sqlite3.Connection) -> frozenset[Row]:
    return frozenset(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))


@cache
def _schema_of_a_new_ledger(version: int) -> frozenset[Row]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for number, script in enumerate(migrations()[:version], start=1):
            _run(connection, number, script)
        return _schema(connection)
    finally:
        connection.close()


def _check_writable(path: Path) -> None:
    """SQLite would open a file that may only be read, and leave a log behind that may only be read, too.

    The file is not opened to find out: closing it again would give up this process's locks on it.
    """
    effective = os.access in os.supports_effective_ids
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if file.exists() and not os.access(file, os.W_OK, effective_ids=effective):
            raise LedgerUnavailable(*READ_ONLY)


def _sync_folder(folder: Path) -> None:
    """A new name survives a power cut only once its folder has reached the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_DATABASES: WeakSet[Database] = WeakSet()
_OPEN_IN_PARENT: list[Database] = []
"""In a forked child: what its parent has open. They are kept, so that the child never closes them."""


def _after_fork() -> None:
    _OPEN_IN_PARENT.extend(database for database in _DATABASES if database.is_open)


os.register_at_fork(after_in_child=_after_fork)
