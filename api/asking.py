"""What every route needs of its request: who sends it, and a body that is one of our models."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api import problems
from api.problems import NotUnderstood
from api.rights import RIGHTS
from budgets.tokens import Token, unknown
from engine.refusals import AccessRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from api.limits import Limits
    from api.settings import Settings
    from engine.district import District
    from engine.office import Office

BODY_BYTES_MAX = 256 * 1024
BODY_WAIT_S = 10.0

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes of one worker work with.

    Attributes:
        district: answers questions.
        office: knows tokens, grants and budgets.
        limits: of requests in a time.
        settings: how the server was started.
    """

    district: District
    office: Office
    limits: Limits
    settings: Settings

    def close(self) -> None:
        """Close all that is open."""
        self.district.close()
        self.office.close()
        self.limits.close()


async def desk_of(request: Request) -> Desk:
    """The desk of this worker."""
    desk: Desk = request.app.state.desk
    return desk


async def admitted(request: Request) -> Token | None:
    """Who sends a request, after the table of rights allowed it; None on a route for everybody.

    Raises:
        AccessRefused: no token, one that is not in force, or one that may not do this (`unauthenticated`,
            `forbidden`).
        TooManyRequests: this token has sent as many as it may.
        NotUnderstood: there is a query string, which no route reads.
    """
    scope = RIGHTS[request.method, request.scope["route"].path]
    if scope is None:
        return None
    desk = await desk_of(request)
    token = desk.office.keyring.holder_of(_bearer(request))
    request.state.caller = token
    if scope not in token.scopes:
        raise AccessRefused(
            "forbidden",
            f"This token, of the kind {token.role}, may not do that.",
            accepted=f"what it may do: {', '.join(sorted(token.scopes))}",
        )
    if request.url.query:
        raise NotUnderstood("malformed", "No route reads a query string.", "the route without ?…")
    desk.limits.take({f"token {token.id}": desk.settings.requests_per_minute}, "Requests of this token")
    return token


def _bearer(request: Request) -> str:
    """The token of a request, which has exactly one header of the right form.

    Raises:
        AccessRefused: it has not (`unauthenticated`).
    """
    given = request.headers.getlist("authorization")
    scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
    if scheme.lower() != "bearer":
        raise unknown("No token was sent, or not in the form of one." if given else "No token was sent.")
    return token.strip()


async def caller(token: Annotated[Token | None, Depends(admitted)]) -> Token:
    """Who sends a request, on a route that is not for everybody."""
    if token is None:
        raise AssertionError
    return token


Caller = Annotated[Token, Depends(caller)]
OneDesk = Annotated[Desk, Depends(desk_of)]


def reply(told: Any) -> Response:
    """A reply in JSON."""
    return Response(to_json(told), media_type="application/json")


def body(model: type[Model]) -> Callable[[Request, Any], Awaitable[Model]]:
    """The dependency that reads a body as a model.

    It raises NotUnderstood: the body is too long, too slow, no JSON, or no such model.
    """

    async def read(request: Request, _: Annotated[Any, Depends(admitted)]) -> Model:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise NotUnderstood("not_json", "The body is not sent as JSON.", "Content-Type: application/json")
        try:
            async with asyncio.timeout(BODY_WAIT_S):
                text = await _limited(request)
        except TimeoutError:
            raise NotUnderstood("unreadable", "The body did not come.", f"a body within {BODY_WAIT_S:g} s") from None
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            raise problems.misshapen(error.errors(include_url=False, include_input=False), model) from None

    return read


async def _limited(request: Request) -> bytes:
    found = bytearray()
    try:
        async for part in request.stream():
            found += part
            if len(found) > BODY_BYTES_MAX:
                accepted = f"at most {BODY_BYTES_MAX:,} bytes"
                raise NotUnderstood("body_too_large", "The body is too long.", accepted, {"Connection": "close"})
    except ClientDisconnect:
        raise NotUnderstood("unreadable", "The body did not come.", "the whole body") from None
    return bytes(found)
