"""The outermost layer: when a reply leaves, what it says about itself, and what is written down about it.

Answers leave on a grid of deadlines, since the time the noise takes to draw tells of its size. Nothing that fails
inside gets past here but one opaque answer. Of a request the log keeps its route, its status and its token's id:
no path, no text, no count, no time that was taken.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from bisect import bisect_left
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from api import problems
from api.settings import GRID_S, LOGGER
from engine.refusals import InternalFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger(LOGGER)

PACED = frozenset({"/v1/ask"})
"""The routes that read records."""

HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
SECURE = (b"strict-transport-security", b"max-age=31536000")


def deadline(elapsed_s: float, grid_s: Sequence[float]) -> float:
    """The first moment on the grid that has not passed, in seconds after the request came; 0 without a grid.

    >>> deadline(0.04, GRID_S), deadline(0.3, GRID_S), deadline(23.0, GRID_S), deadline(0.3, ())
    (0.05, 0.5, 30.0, 0.0)
    """
    if not grid_s:
        return 0.0
    last = grid_s[-1]
    if elapsed_s > last:
        return last * -(-elapsed_s // last)
    return grid_s[bisect_left(grid_s, elapsed_s)]


@dataclass(frozen=True, slots=True)
class Envelope:
    """The application inside its outermost layer.

    Attributes:
        app: what answers.
        noted: what is answered of a failure, after it was noted where only the district looks.
        grid_s: of the deadlines; empty for none.
        secure: whether clients reach the server over TLS.
    """

    app: ASGIApp
    noted: Callable[[Exception], InternalFailure]
    grid_s: Sequence[float] = GRID_S
    secure: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; everything else of ASGI goes through as it is."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        came = time.monotonic()
        scope.setdefault("state", {})
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        try:
            await self.app(scope, receive, hold)
        except Exception as error:  # noqa: BLE001 - this is the wall of the server
            held = await _replied(self._failure(error), scope, receive)
        if not held:
            return  # the client went away before its body was read
        start = held[0]
        start["headers"] = [*start["headers"], *HEADERS, *((SECURE,) if self.secure else ())]
        _log(scope, start["status"])
        if scope["path"] in PACED:
            await self._until(came)
        for message in held:
            await send(message)

    def _failure(self, error: Exception) -> Response:
        return problems.of(error if isinstance(error, InternalFailure) else self.noted(error))

    async def _until(self, came: float) -> None:
        """Wait for the deadline; one that passed while it was waited for is followed by the next."""
        at = came + deadline(time.monotonic() - came, self.grid_s)
        while (left := at - time.monotonic()) > 0:  # noqa: ASYNC110 - time is waited for: there is no event
            await asyncio.sleep(left)


async def _replied(response: Response, scope: Scope, receive: Receive) -> list[Message]:
    held: list[Message] = []

    async def hold(message: Message) -> None:
        held.append(message)

    await response(scope, receive, hold)
    return held


def _log(scope: Scope, status: int) -> None:
    route, caller = scope.get("route"), scope["state"].get("caller")
    line = {
        "at": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
        "method": scope["method"] if scope["method"] in ("GET", "POST") else "other",
        "route": getattr(route, "path", "none"),
        "status": HTTPStatus(status).value,
        "token": None if caller is None else caller.id,
    }
    LOG.info(json.dumps(line))
