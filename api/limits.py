"""How many requests a token may send, and how many questions may charge a class, in a time; over all workers.

The generic cell rate algorithm (ITU-T I.371, Annex A): each name has a moment at which its next cell is due; one
that comes earlier than its tolerance is refused. The moments stand in a small file that the workers share and nobody
keeps.
"""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from api.problems import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

BURST_S = 30.0
"""A limit may be used up at once for so many seconds, and is even from there on."""

CREATE = "CREATE TABLE IF NOT EXISTS due (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID"
SELECT = "SELECT name, at FROM due WHERE name IN (SELECT value FROM json_each(?))"
UPSERT = """
INSERT INTO due (name, at) SELECT key, value FROM json_each(?) WHERE true
ON CONFLICT (name) DO UPDATE SET at = excluded.at
"""


class Limits:
    """Limits that all workers of a server share."""

    def __init__(self, file: Path, now: Callable[[], float] = time.monotonic) -> None:
        """Open the workers' file, made by whoever comes first.

        Args:
            file: in a folder that nobody else can read.
            now: seconds on a clock that all processes of the machine share.
        """
        self._lock = threading.Lock()
        self._now = now
        self._connection = sqlite3.connect(file, timeout=5.0, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")  # what is forgotten at a power cut is a minute old
        self._connection.execute(CREATE)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def take(self, rates: Mapping[str, int], what: str) -> None:
        """Count one request for all of some names, or for none of them.

        Args:
            rates: who is limited, and how many each may have in a minute.
            what: is limited, for the refusal.

        Raises:
            TooManyRequests: one of them has had as many.
        """
        intervals = {name: 60.0 / per_minute for name, per_minute in rates.items()}
        with self._lock, self._writing():
            now = self._now()
            known = dict(self._connection.execute(SELECT, (json.dumps(list(rates)),)))
            due = {name: max(now, known.get(name, 0.0)) for name in rates}
            early = {name: at - now - max(0.0, BURST_S - intervals[name]) for name, at in due.items()}
            last = max(early, key=lambda name: early[name])
            if early[last] <= 0:
                later = {name: at + intervals[name] for name, at in due.items()}
                self._connection.execute(UPSERT, (json.dumps(later),))
        if early[last] > 0:
            message = f"{what}: {rates[last]} in a minute is the limit."
            raise TooManyRequests(message, math.ceil(early[last]))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")
