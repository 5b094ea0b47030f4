"""Why not, over HTTP: the one table from a refusal to its status, and the documents of RFC 9457.

Nothing else is ever said of a failure: no text of a library, a database or a stack passes here.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json
from starlette.responses import Response

from api.schemas import Problem
from engine.refusals import (
    AccessRefused,
    BudgetRefused,
    CatalogRefused,
    InternalFailure,
    LedgerDamaged,
    LedgerUnavailable,
    QueryRefused,
    Refusal,
)

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

MEDIA_TYPE = "application/problem+json"

STATUSES: dict[type[Exception], HTTPStatus] = {
    QueryRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    BudgetRefused: HTTPStatus.CONFLICT,
    AccessRefused: HTTPStatus.FORBIDDEN,
    CatalogRefused: HTTPStatus.SERVICE_UNAVAILABLE,
    LedgerUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    LedgerDamaged: HTTPStatus.SERVICE_UNAVAILABLE,
    InternalFailure: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""What a class of errors is over HTTP, unless its code says it better."""

CODES: dict[str, HTTPStatus] = {
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "grant_missing": HTTPStatus.NOT_FOUND,
    "release_missing": HTTPStatus.NOT_FOUND,
    "request_id_reused": HTTPStatus.CONFLICT,
    "in_progress": HTTPStatus.CONFLICT,
    "answer_lost": HTTPStatus.GONE,
    "approval": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too_many_requests": HTTPStatus.TOO_MANY_REQUESTS,
    "clock": HTTPStatus.SERVICE_UNAVAILABLE,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
    "malformed": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unreadable": HTTPStatus.BAD_REQUEST,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "not_json": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "not_acceptable": HTTPStatus.NOT_ACCEPTABLE,
    "not_found": HTTPStatus.NOT_FOUND,
    "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
}

RETRY_S = {"in_progress": 1, "busy": 1, "ledger_unavailable": 5}
"""After how many seconds the same request is worth another try."""


class NotUnderstood(Exception):  # noqa: N818 - the field's word, as of a refusal
    """A request that the server refuses before anybody reads its question.

    Attributes:
        code: one of `CODES`.
        message: what is wrong with it, without a word of what was sent.
        accepted: what would be taken.
        headers: of the reply.
    """

    def __init__(self, code: str, message: str, accepted: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.accepted = accepted
        self.headers = headers or {}


class TooManyRequests(AccessRefused):
    """A limit on questions in a time is reached.

    Attributes:
        retry_s: in how many seconds there is room again.
    """

    def __init__(self, message: str, retry_s: int) -> None:
        super().__init__("too_many_requests", message, accepted=f"the same request in {retry_s} s")
        self.retry_s = retry_s


def of(error: Exception, request_id: str | None = None) -> Response:
    """The reply to a request that is not answered.

    Args:
        error: a refusal, a failure with an incident, or a request that was not understood.
        request_id: of the question, if it was read.
    """
    status = status_of(error)
    headers = dict(error.headers) if isinstance(error, NotUnderstood) else {}
    body = _body(error)
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.retry_s)
    elif body["code"] in RETRY_S:
        headers["Retry-After"] = str(RETRY_S[body["code"]])
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="homeroom"'
    problem = Problem(
        type=f"urn:homeroom:problem:{body['code']}",
        title=status.phrase,
        status=status.value,
        detail=body["message"],
        request_id=request_id,
        **body,
    )
    return Response(to_json(problem), status, headers, MEDIA_TYPE)


def status_of(error: Exception) -> HTTPStatus:
    """The status of an error: by its code where the table has it, else by its class."""
    code = getattr(error, "code", None)
    if code in CODES:
        return CODES[code]
    return next(status for kind, status in STATUSES.items() if isinstance(error, kind))


def _body(error: Exception) -> dict[str, Any]:
    if isinstance(error, Refusal):
        return dict(error.body())
    if isinstance(error, InternalFailure):
        return {"code": "internal", "message": str(error), "incident": error.incident}
    if isinstance(error, NotUnderstood):
        return {"code": error.code, "message": error.message, "accepted": error.accepted}
    return {"code": "ledger_damaged", "message": "The district does not answer until its officer has looked."}


def misshapen(errors: list[ErrorDetails], model: type[BaseModel]) -> NotUnderstood:
    """The refusal of a body that is no request; the first fault is told, by its place, without what stood there."""
    first = errors[0]
    fields = model.model_fields
    if first["type"] == "json_invalid":
        return NotUnderstood("unreadable", "The body cannot be read as JSON.", "one JSON object")
    every = f"an object with {', '.join(fields)}"
    if not first["loc"]:
        return NotUnderstood("malformed", f"{first['msg']}.", every)
    field = str(first["loc"][0])
    if field not in fields:
        return NotUnderstood("malformed", "The body has a field that is not known here.", every)
    inside = "".join(f"[{part}]" for part in first["loc"][1:] if isinstance(part, int))
    said = fields[field].description or every
    return NotUnderstood("malformed", f"{field}{inside}: {first['msg']}.", f"{field}: {said}")
