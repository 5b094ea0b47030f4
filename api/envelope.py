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
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from api import problems
from api.problems import NotUnderstood
from api.settings import GRID_S, LOGGER
from engine.pacing import deadline
from engine.refusals import InternalFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger(LOGGER)

AT_ONCE = frozenset(
    {
        "/v1/preview",
        "/v1/explain",
        "/v1/schema",
        "/v1/cohorts",
        "/v1/releases/{release_id}",
        "/v1/policy",
        "/v1/policy/closing",
        "/v1/policy/lowering",
        "/v1/grants",
        "/v1/grants/{name}",
        "/v1/grants/{name}/revocation",
        "/v1/health",
    }
)
"""The routes that read no record: what they say leaves at once. Everything else waits for its deadline."""

HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
SECURE = (b"strict-transport-security", b"max-age=31536000")


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
            strange = _strange(scope)
            if strange is None:
                await self.app(scope, receive, hold)
            else:
                held = await _replied(problems.of(strange), scope, receive)
        except Exception as error:  # noqa: BLE001 - this is the wall of the server
            held = await _replied(self._failure(error), scope, receive)
        if not held:
            return  # the client went away before its body was read
        start = held[0]
        start["headers"] = [*start["headers"], *HEADERS, *((SECURE,) if self.secure else ())]
        _log(scope, start["status"])
        if getattr(scope.get("route"), "path", None) not in AT_ONCE:
            await self._until(came)
        try:
            for message in held:
                await send(message)
        except Exception as error:  # noqa: BLE001 - as above; what was begun cannot be taken back
            self.noted(error)

    def _failure(self, error: Exception) -> Response:
        return problems.of(error if isinstance(error, InternalFailure) else self.noted(error))

    async def _until(self, came: float) -> None:
        """Wait for the deadline; one that passed while it was waited for is followed by the next."""
        at = came + deadline(time.monotonic() - came, self.grid_s)
        while (left := at - time.monotonic()) > 0:  # noqa: ASYNC110 - time is waited for: there is no event
            await asyncio.sleep(left)


def _strange(scope: Scope) -> NotUnderstood | None:
    """Why a request is not even looked at: a path that programs read differently, or two ways to end a body."""
    if not scope["path"].isprintable():
        return NotUnderstood("not_found", "There is nothing at this path.", "a path of /openapi.json")
    names = [name for name, _ in scope["headers"]]
    if b"transfer-encoding" in names and b"content-length" in names:
        accepted = "Content-Length, or Transfer-Encoding"
        return NotUnderstood("unreadable", "The body ends in two ways.", accepted, {"Connection": "close"})
    return None


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
