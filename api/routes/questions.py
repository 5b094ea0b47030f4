"""Asking: what a question would cost, why, and its answer."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import media, schemas
from api.asking import Caller, Desk, OneDesk, body, reply
from api.media import Media
from api.openapi import ANSWERED, RELEASED, asks
from api.problems import NotUnderstood, TooManyRequests
from budgets.tokens import Token
from engine.refusals import AccessRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.release import Release

router = APIRouter(tags=["questions"])
Asked = Annotated[schemas.Question, Depends(body(schemas.Question))]

PER_TOKEN = 8
"""One token has an eighth of the places for questions that are answered at once, and two at least."""

_busy = threading.Lock()
_answering: Counter[str] = Counter()


@contextmanager
def _turn(desk: Desk, token: Token) -> Iterator[None]:
    """A place among the questions that this worker answers at once."""
    most = desk.settings.questions_max
    with _busy:
        if _answering.total() >= most:
            raise NotUnderstood("busy", "Too many questions are being answered.", "the same request in a moment")
        if _answering[token.id] >= max(2, most // PER_TOKEN):
            raise TooManyRequests("So many questions of this token are being answered already.", 1)
        _answering[token.id] += 1
    try:
        yield
    finally:
        with _busy:
            _answering[token.id] -= 1


def _fields(token: Token, question: schemas.Question) -> dict[str, Any]:
    """The fields of an engine's request: always under the token's own grant."""
    if question.grant not in (None, token.grant):
        message = "A token asks under its own grant and no other."
        raise AccessRefused("grant_scope", message, accepted=f"grant={token.grant}, or none")
    return question.model_dump(exclude={"sql", "grant"}) | {"grant": token.grant}


@router.post("/v1/ask", **RELEASED, openapi_extra=asks(schemas.Question))
async def ask(request: Request, token: Caller, desk: OneDesk, question: Asked) -> Response:
    """Answer a question, charging the classes of students it touches."""
    form = media.chosen(request.headers.get("accept"))
    request_id = question.request_id or uuid.uuid4().hex
    request.state.request_id = request_id
    return await run_in_threadpool(_ask, desk, token, question.model_copy(update={"request_id": request_id}), form)


def _ask(desk: Desk, token: Token, question: schemas.Question, form: Media) -> Response:
    with _turn(desk, token):
        release = desk.district.ask(question.sql, **_fields(token, question))
        return _reply(release, form)


def _reply(release: Release, form: Media) -> Response:
    headers = {
        "Homeroom-Release-Id": release.release_id,
        "Homeroom-Request-Id": release.request_id.strip(),
        "Homeroom-Replayed": str(release.replayed).lower(),
        "Vary": "Accept",
    }
    return Response(media.written(release, form), headers=headers, media_type=form.value)


@router.post("/v1/preview", responses=ANSWERED, response_model=schemas.Preview, openapi_extra=asks(schemas.Question))
async def preview(request: Request, token: Caller, desk: OneDesk, question: Asked) -> Response:
    """Say what a question would cost and how sharp it would be. Free."""
    request.state.request_id = question.request_id
    return await run_in_threadpool(_told, desk, token, question, "preview")


@router.post(
    "/v1/explain", responses=ANSWERED, response_model=schemas.Explanation, openapi_extra=asks(schemas.Question)
)
async def explain(request: Request, token: Caller, desk: OneDesk, question: Asked) -> Response:
    """Say why a question would cost what it costs, and what would make it sharper. Free."""
    request.state.request_id = question.request_id
    return await run_in_threadpool(_told, desk, token, question, "explain")


def _told(desk: Desk, token: Token, question: schemas.Question, verb: str) -> Response:
    with _turn(desk, token):
        tell = desk.district.preview if verb == "preview" else desk.district.explain
        return reply(tell(question.sql, **_fields(token, question)))


@router.get("/v1/releases/{release_id}", **RELEASED)
async def release(request: Request, release_id: str, token: Caller, desk: OneDesk) -> Response:
    """An answer that was given, once more. Free."""
    form = media.chosen(request.headers.get("accept"))
    return await run_in_threadpool(_again, desk, token, release_id, form)


def _again(desk: Desk, token: Token, release_id: str, form: Media) -> Response:
    with _turn(desk, token):
        return _reply(desk.district.released(release_id, token.grant), form)
