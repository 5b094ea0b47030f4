"""Connections that say nothing, or too slowly, are closed; one machine has so many, and all together so many.

Else anybody who can reach the port could hold every connection there may be, without a token.
"""

from __future__ import annotations

import logging
import resource
import time
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

HEADERS_S = 10.0
"""For the head of a request, from the connection or from the end of the answer before."""

CONNECTIONS_MAX = 800
PER_ADDRESS_MAX = 200
FILES_BESIDE = 200
"""Open files that a worker needs for everything else."""

AGAIN_S, KINDS_MAX = 60.0, 100


class Connection(H11Protocol):
    """One connection of a worker."""

    addresses: ClassVar[Counter[str]] = Counter()
    waiting: ClassVar[dict[Connection, None]] = {}
    """Those of which a head is waited for, the longest one first."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or close it where there are too many."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._head: asyncio.TimerHandle | None = None
        self.addresses[self._address] += 1
        # behind a proxy every connection has its address, and the proxy keeps count
        most = PER_ADDRESS_MAX if self._address not in ("127.0.0.1", "::1", "") else CONNECTIONS_MAX
        if len(self.connections) > CONNECTIONS_MAX and self.waiting:
            next(iter(self.waiting)).drop()  # who has been silent longest makes room
        elif len(self.connections) > CONNECTIONS_MAX or self.addresses[self._address] > most:
            transport.close()
            return
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._forget()
        self.addresses[self._address] -= 1
        if not self.addresses[self._address]:
            del self.addresses[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a head that is not whole has its time."""
        super().data_received(data)
        if self._is_idle():
            self._expect()
        else:
            self._forget()

    def on_response_complete(self) -> None:
        """The next head has its time, too."""
        super().on_response_complete()
        if self._is_idle():
            self._expect()

    def _is_idle(self) -> bool:
        """Whether the head of a request is waited for."""
        return self.cycle is None or self.cycle.response_complete

    def _expect(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEADERS_S, self.drop)
            self.waiting[self] = None

    def _forget(self) -> None:
        self.waiting.pop(self, None)
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def drop(self) -> None:
        """Close it, if a head is still waited for."""
        self._forget()
        if self._is_idle() and not self.transport.is_closing():
            self.transport.close()


def raise_files() -> None:
    """Let this process have as many open files as its connections and everything else need, if the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * CONNECTIONS_MAX + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


class Quiet(logging.Filter):
    """Lets a library say that something went wrong, once a minute for each kind, and never what was sent or where."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a record of a kind that was not said lately, bare of what it was about."""
        plain = isinstance(record.msg, str) and not record.args and not record.exc_info and "\n" not in record.msg
        bare = str(record.msg) if plain else "something failed"
        kind, now = f"{record.name}: {bare}", time.monotonic()
        if now - self._said.get(kind, -AGAIN_S) < AGAIN_S or len(self._said) >= KINDS_MAX:
            return False
        self._said[kind] = now
        record.msg, record.args = kind, ()
        record.exc_info, record.exc_text, record.stack_info = None, None, None
        return True
