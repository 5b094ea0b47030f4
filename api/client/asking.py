"""The client: a server's routes as methods."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from pydantic import ValidationError

from api.client.answers import Answer, Budget, Foretold, Reasons, Tables
from api.client.place import address, bearer, is_loopback
from api.client.sending import Line, Message
from api.schemas import Question

if TYPE_CHECKING:
    import os
    from types import TracebackType

    import httpx2

TIMEOUT_S = 60.0


class Client:
    """Asks one server, under the grant of one token.

    Example:
        `with Client("https://…", token_file="study.token") as homeroom: homeroom.ask("SELECT COUNT(*) FROM student")`

    Args:
        url: of the server.
        token: what the district gave you; better, `token_file`, the file that it stands in.
        timeout_s: how long one method tries for an answer, all its tries together.
        insecure: send the token in clear text to another machine; only where the network itself is trusted.
        transport: another way to the server, for tests.

    Raises:
        ValueError: the address or the token cannot be used; nothing was sent.
        OSError: the token's file cannot be read.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        token_file: str | os.PathLike[str] | None = None,
        timeout_s: float = TIMEOUT_S,
        insecure: bool = False,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._url = address(url, insecure=insecure)
        # What stays on this machine goes past no proxy, which would read the token.
        trust_env = not is_loopback(self._url)
        auth = bearer(token, token_file)
        self._line = Line(self._url, auth, timeout_s=timeout_s, trust_env=trust_env, transport=transport)

    def ask(self, sql: str, **fields: object) -> Answer:
        """Answer a question, charging the classes of students it touches; a rehearsal is free.

        A lost connection is tried again under the same request id, under which nothing is paid twice.

        Args:
            sql: one SELECT.
            **fields: the others of `api.schemas.Question`: request_id, cohorts, moe, moe_at_n, epsilon,
                rows_per_student_max, groups_per_student_max, rehearse.

        Raises:
            ValueError: a field is not what it should be; nothing was sent.
            Refused: the server says why it does not answer.
            ServerFailed: there is no answer, and nobody knows why. Both name the request id.
        """
        named = fields if fields.get("request_id") is not None else {**fields, "request_id": uuid.uuid4().hex}
        question = _question(sql, named)
        return self._line.told(_posted("v1/ask", question), Answer)

    def preview(self, sql: str, **fields: object) -> Foretold:
        """What a question would cost and how wide its margins would be; free. Takes and raises what `ask` does."""
        return self._line.told(_posted("v1/preview", _question(sql, fields)), Foretold)

    def explain(self, sql: str, **fields: object) -> Reasons:
        """Why a question would cost that, and what would make it sharper; free. Takes and raises what `ask` does."""
        return self._line.told(_posted("v1/explain", _question(sql, fields)), Reasons)

    def release(self, release_id: str) -> Answer:
        """An earlier answer, by the id that it has."""
        return self._line.told(Message("GET", f"v1/releases/{quote(release_id, safe='')}"), Answer)

    def schema(self) -> Tables:
        """What may be asked about: tables, columns and the values they can have."""
        return self._line.told(Message("GET", "v1/schema"), Tables)

    def budget(self) -> Budget:
        """What each class of students has spent and has left under the grant."""
        return self._line.told(Message("GET", "v1/cohorts"), Budget)

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({str(self._url)!r})"


def _posted(route: str, question: Question) -> Message:
    body = question.model_dump_json(exclude_none=True).encode()
    return Message("POST", route, body, question.sql, question.request_id)


def _question(sql: str, fields: dict[str, object]) -> Question:
    """The question as it is sent, judged before it is.

    Raises:
        ValueError: a field that there is not, or that is not what it should be.
    """
    unknown = sorted(set(fields) - set(Question.model_fields))
    if unknown:
        known = [name for name in Question.model_fields if not name.endswith("_per_student_max")]
        raise ValueError(f"There is no {unknown[0]} to a question. Accepted: {', '.join(known)}.")
    given: dict[str, Any] = {"sql": sql, **fields}
    if isinstance(given.get("cohorts"), tuple | range):
        given["cohorts"] = list(given["cohorts"])
    try:
        return Question.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field, *_ = map(str, first["loc"])
    means = Question.model_fields[field].description or ""
    raise ValueError(f"This {field} cannot be sent: {first['msg']}. {means}".strip())
