"""One request and its answer: sent again under the same id where that may help, until the time is up.

A question is never paid twice under one request id, so that a lost connection is no reason to worry: it is sent
again, and answered from what was measured.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from api.client.errors import LATER, NotAnswered, Refused, ServerFailed
from api.schemas import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.client.place import Bearer

Answered = TypeVar("Answered", bound=BaseModel)

UNREACHABLE = "unreachable"
LOST = frozenset({502, 503, 504})
"""What a gateway says of a connection that it lost; Homeroom's own 503 names a code."""

PROBLEM = "application/problem+json"
PAUSE_FIRST_S, PAUSE_MAX_S = 0.25, 8.0
CONNECT_MAX_S = 10.0
"""So long for a connection, and so long for new tries where none was ever made: the address may be wrong."""

TRY_MIN_S = 0.05
REPLY_BYTES_MAX = 256 * 2**20
"""A hundred thousand rows with their errors are a tenth of it."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, each time the same.

    Attributes:
        body: JSON; None for a GET.
        sql: the question, for the refusal to point at.
        request_id: of a question that is charged.
    """

    method: str
    route: str
    body: bytes | None = None
    sql: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whole."""

    status: int
    headers: httpx2.Headers
    content: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """One try that brought no answer.

    Attributes:
        again: whether the same message may be answered later.
        after_s: what the server said when.
        connected: whether there was a connection at all.
    """

    error: NotAnswered
    again: bool
    after_s: float = 0.0
    connected: bool = True


class Line:
    """A connection to one server."""

    def __init__(
        self,
        url: httpx2.URL,
        auth: Bearer,
        *,
        timeout_s: float,
        trust_env: bool,
        transport: httpx2.BaseTransport | None,
    ) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._http = httpx2.Client(
            base_url=url,
            auth=auth,
            trust_env=trust_env,
            transport=transport,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},  # what is packed may be a thousand times as large
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def told(self, message: Message, kind: type[Answered]) -> Answered:
        """What the server says to a message.

        Raises:
            Refused: it says why it does not answer.
            ServerFailed: anything else.
        """
        response = self._sent(message)
        try:
            return kind.model_validate_json(response.content)
        except ValidationError:
            status = response.status
        what = f"What {self._url} answered is nothing that this client reads. Is it a Homeroom, and no newer one?"
        raise ServerFailed(what, code="not_understood", status=status, request_id=message.request_id)

    def _sent(self, message: Message) -> Reply:
        """The answer, after as many tries as the time allows."""
        start, pause = time.monotonic(), PAUSE_FIRST_S
        deadline = start + self._timeout_s
        last = min(deadline, start + CONNECT_MAX_S)
        while True:
            tried = self._tried(message, deadline)
            if isinstance(tried, Reply):
                return tried
            last = deadline if tried.connected else last
            wait = max(pause, tried.after_s)
            if not tried.again or time.monotonic() + wait >= last:
                raise tried.error
            time.sleep(wait)
            pause = min(2 * pause, PAUSE_MAX_S)

    def _tried(self, message: Message, deadline: float) -> Reply | Failed:
        left = max(TRY_MIN_S, deadline - time.monotonic())
        request = self._http.build_request(
            message.method,
            message.route,
            content=message.body,
            headers={"Accept": "application/json", **({"Content-Type": "application/json"} if message.body else {})},
            timeout=httpx2.Timeout(left, connect=min(left, CONNECT_MAX_S)),
        )
        try:
            reply = self._read(request, deadline)
        except httpx2.HTTPError as error:
            return self._lost(message, error)
        if reply is None:
            what = f"{self._url} sends more, or for longer, than an answer has."
            return Failed(
                ServerFailed(what, code="not_understood", status=None, request_id=message.request_id), again=False
            )
        return reply if 200 <= reply.status < 300 else self._failure(message, reply)  # noqa: PLR2004 - RFC 9110, 15.3

    def _read(self, request: httpx2.Request, deadline: float) -> Reply | None:
        """The whole reply as it was sent; None where it has no end in time, or is larger than an answer can be."""
        response = self._http.send(request, stream=True)
        try:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                return None
            found = bytearray()
            for part in response.iter_bytes():
                found += part
                if len(found) > REPLY_BYTES_MAX or time.monotonic() > deadline:
                    return None
            return Reply(response.status_code, response.headers, bytes(found))
        finally:
            response.close()

    def _lost(self, message: Message, error: httpx2.HTTPError) -> Failed:
        """No answer; the error is not kept, since the request that it carries holds the token."""
        causes = list(_causes(error))
        untrusted = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
        why = "its certificate is not trusted" if untrusted else _reason(causes)
        failed = ServerFailed(f"No answer from {self._url}: {why}.", code=UNREACHABLE, request_id=message.request_id)
        connected = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        return Failed(failed, again=not untrusted, connected=connected)

    def _failure(self, message: Message, response: Reply) -> Failed:
        problem = _problem(response)
        if problem is None:
            return Failed(self._strange(message, response), again=response.status in LOST)
        if problem.code == "internal":
            return Failed(_inside(problem, message), again=False)
        refused = Refused(problem, sql=message.sql, request_id=message.request_id)
        return Failed(refused, again=problem.code in LATER, after_s=_after_s(response))

    def _strange(self, message: Message, response: Reply) -> ServerFailed:
        """An answer that no Homeroom gives: of a gateway before it, or of something else."""
        status = response.status
        what = f"{self._url} answered with status {status}, and not as a Homeroom does. Is it the right address?"
        if status in REDIRECTS and "Location" in response.headers:
            target = response.headers.get("Location", "nowhere")
            what = (
                f"{self._url} sends on to {target}. The token was not sent there: give that address if it is right."
            )
        return ServerFailed(what, code="no_homeroom", status=status, request_id=message.request_id)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from, down to the system's own."""
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__ or each.__context__


def _reason(causes: list[BaseException]) -> str:
    """The system's words for it, if it has some."""
    said = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return said[-1].lower() if said else type(causes[0]).__name__


def _inside(problem: Problem, message: Message) -> ServerFailed:
    """A failure inside the server."""
    return ServerFailed(
        problem.message,
        code=problem.code,
        status=problem.status,
        request_id=problem.request_id or message.request_id,
        incident=problem.incident,
    )


def _problem(response: Reply) -> Problem | None:
    if response.headers.get("Content-Type", "").split(";")[0].strip().lower() != PROBLEM:
        return None
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return None


def _after_s(response: Reply) -> float:
    """What Retry-After says; a date, which Homeroom never sends, is not read."""
    after: Any = response.headers.get("Retry-After", "")
    return float(after) if after.isascii() and after.isdecimal() else 0.0
