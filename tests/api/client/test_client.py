"""How a client asks: what it sends, when it tries again, and what it never tells."""

from __future__ import annotations

import logging
import ssl
import traceback

import httpx2
import pytest

from api.client import Client, Refused, ServerFailed
from tests.api.wire import TOKEN, problem

COUNT = "SELECT COUNT(*) AS n FROM student_year WHERE school_year = 2025"
LOST = [
    httpx2.ReadError("gone"),
    httpx2.RemoteProtocolError("gone"),
    httpx2.ReadTimeout("late"),
    httpx2.Response(502),
]


@pytest.mark.parametrize("lost", LOST, ids=repr)
def test_a_lost_connection_is_tried_again_under_the_same_id(lost, wire, client, clock):
    """The answer may have been charged: nothing but the same request id keeps it from being paid twice."""
    wire.steps = [lost, lost]
    answer = client.ask(COUNT)
    ids = {body["request_id"] for body in wire.bodies()}
    assert (len(wire.seen), ids) == (3, {answer.request_id})
    assert clock == [0.25, 0.5]


def test_an_answer_that_was_lost_on_its_way_is_not_paid_twice(wire, client, clock, district):
    """The server answered, nobody heard it; the next try is answered from what was measured."""
    wire.steps = [httpx2.ReadError("gone")]
    real = wire.answered

    def answered_unheard(request):
        real(request)
        raise httpx2.ReadError("gone")

    wire.answered = answered_unheard
    with pytest.raises(ServerFailed) as lost:
        client.ask(COUNT)
    spent = {each.cohort: each.year_spent for each in district.balances().values()}
    assert any(spent.values())
    wire.answered = real
    assert client.ask(COUNT, request_id=lost.value.request_id).replayed
    assert {each.cohort: each.year_spent for each in district.balances().values()} == spent
    assert clock


@pytest.mark.parametrize("code", ["in_progress", "too_many_requests", "busy", "ledger_unavailable"])
def test_what_may_pass_is_tried_again(code, wire, client, clock):
    """Codes that speak of the moment; the server's own word on when is kept."""
    wire.steps = [problem(503, code, retry_after="7")]
    client.ask(COUNT)
    assert clock == [7.0]


@pytest.mark.parametrize(
    "code", ["budget_year", "clock", "answer_lost", "request_id_reused", "grant_expired", "internal"]
)
def test_what_will_not_pass_is_not_tried_again(code, wire, client, clock):
    """A second try would only be refused again."""
    wire.steps = [problem(409, code)]
    with pytest.raises((Refused, ServerFailed)) as refused:
        client.ask(COUNT)
    assert (len(wire.seen), clock, refused.value.code) == (1, [], code)


def test_tries_end_with_the_time(wire, client, clock):
    """Never longer than asked for, a Retry-After beyond it is not waited for, and the id stays known."""
    wire.steps = [problem(429, "too_many_requests", "Too many.", retry_after="5") for _ in range(100)]
    with pytest.raises(Refused) as refused:
        client.ask(COUNT)
    assert 50 <= sum(clock) < 60
    assert refused.value.request_id == wire.bodies()[0]["request_id"]
    assert f"request id: {refused.value.request_id} (ask again under it" in str(refused.value)
    clock.clear()
    wire.steps = [problem(429, "too_many_requests", retry_after="3600")]
    with pytest.raises(Refused):
        client.ask(COUNT)
    assert clock == []


def test_a_server_that_was_never_there_is_not_waited_for_long(wire, client, clock):
    """The address may be wrong; but once there was a connection, a new one is waited for as long as for an answer."""
    down = httpx2.ConnectError("refused")
    wire.steps = [down] * 100
    with pytest.raises(ServerFailed, match=r"No answer from https://homeroom\.example/"):
        client.schema()
    assert sum(clock) < 10
    clock.clear()
    wire.steps = [httpx2.ReadError("gone"), *[down] * 100]
    with pytest.raises(ServerFailed):
        client.ask(COUNT)
    assert sum(clock) > 40


def test_a_certificate_that_is_not_trusted_ends_it_at_once(wire, client, clock):
    """No second try makes it better, and it is said."""
    error = httpx2.ConnectError("no")
    error.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed")
    wire.steps = [error]
    with pytest.raises(ServerFailed, match="its certificate is not trusted"):
        client.ask(COUNT)
    assert clock == []


def test_a_refusal_says_what_where_and_what_instead(client):
    """Fields for programs, and a text that helps a person."""
    sql = "SELECT grade_level,\n  AVG(gpaa) FROM student_year GROUP BY 1"
    with pytest.raises(Refused) as caught:
        client.ask(sql, request_id="mine")
    refused = caught.value
    assert (refused.code, refused.status, refused.line, refused.column) == ("unknown_name", 422, 2, 7)
    assert (refused.excerpt, refused.request_id) == ("gpaa", "mine")
    lines = str(refused).splitlines()
    assert lines[1:4] == ["  line 2, column 7", "      AVG(gpaa) FROM student_year GROUP BY 1", "          ^^^^"]
    assert any(line.startswith("  accepted: ") and "gpa" in line for line in lines)
    assert not any("request id" in line for line in lines)


def test_foreign_text_cannot_rewrite_a_terminal(wire, client):
    """What a server says is made printable before it is kept."""
    wire.steps = [problem(403, "forbidden", "a\x1b[2Jb", accepted="c\x1b[0m")]
    with pytest.raises(Refused) as refused:
        client.ask(COUNT)
    assert "\x1b" not in str(refused.value)


def test_a_failure_inside_names_its_incident(wire, client):
    """Whoever asks the district about it needs it."""
    wire.steps = [problem(500, "internal", "The district could not answer.", incident="abc123")]
    with pytest.raises(ServerFailed, match="incident abc123") as failed:
        client.ask(COUNT, request_id="r")
    assert (failed.value.incident, failed.value.status, failed.value.request_id) == ("abc123", 500, "r")


@pytest.mark.parametrize(
    "strange",
    [
        httpx2.Response(404, text="<html>no</html>"),
        httpx2.Response(200, text="<html>welcome</html>"),
        httpx2.Response(200, json={"unlike": "anything"}),
        httpx2.Response(403, content=b"{", headers={"Content-Type": "application/problem+json"}),
    ],
    ids=["404", "page", "json", "broken problem"],
)
def test_what_is_no_homeroom_is_told(strange, wire, client):
    """A wrong address answers too; its page is not shown."""
    wire.steps = [strange]
    with pytest.raises(ServerFailed, match="Is it") as failed:
        client.ask(COUNT)
    assert "html" not in str(failed.value)


def test_a_redirection_is_not_followed(wire, client):
    """The token goes to the address that was given, and nowhere else."""
    wire.steps = [httpx2.Response(307, headers={"Location": "https://elsewhere.example/v1/ask"})]
    with pytest.raises(ServerFailed, match=r"sends on to https://elsewhere\.example"):
        client.ask(COUNT)
    assert [request.url.host for request in wire.seen] == ["homeroom.example"]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"moo": 5}, "no moo"),
        ({"epsilon": -1}, "epsilon"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"moe": "40"}, "moe"),
        ({"moe": {"n": 0}}, "moe"),
        ({"cohorts": "2030"}, "cohorts"),
        ({"cohorts": []}, "cohorts"),
        ({"request_id": ""}, "request_id"),
        ({"rehearse": "yes"}, "rehearse"),
    ],
)
def test_a_wrong_field_is_refused_before_anything_is_sent(fields, word, wire, client):
    """A slip in a name would otherwise ask another question, and pay for it."""
    with pytest.raises(ValueError, match=word):
        client.ask(COUNT, **fields)
    assert not wire.seen


def test_only_what_was_named_is_sent(wire, client):
    """An older server may not know a field that nobody used."""
    client.preview(COUNT, cohorts=range(2030, 2032))
    assert wire.bodies() == [{"sql": COUNT, "cohorts": [2030, 2031], "rehearse": False}]
    assert wire.seen[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_an_earlier_answer_by_its_id(wire, client):
    """The id is one piece of the path, whatever stands in it."""
    wire.steps = [httpx2.Response(404, json={})]
    with pytest.raises(ServerFailed):
        client.release("../ask?")
    assert wire.seen[0].url.raw_path == b"/v1/releases/..%2Fask%3F"


def test_the_token_is_told_to_nobody(wire, client, caplog):
    """Not by the client's representation, an error, what an error came from, or a log."""
    caplog.set_level(logging.DEBUG)
    secret = TOKEN[20:]
    wire.steps = [problem(401, "unauthenticated", "Who are you?")]
    with pytest.raises(Refused) as refused:
        client.ask(COUNT)
    wire.steps = [httpx2.ConnectError("no")] * 99
    with Client("https://homeroom.example", TOKEN, transport=wire.transport, timeout_s=0.01) as other:
        with pytest.raises(ServerFailed) as failed:
            other.ask(COUNT)
        shown = [repr(other), str(vars(other)), repr(vars(other._line))]
    assert failed.value.__context__ is None
    assert failed.value.__cause__ is None
    shown += [caplog.text, *traceback.format_exception(refused.value), *traceback.format_exception(failed.value)]
    shown += [str(vars(error.value)) for error in (refused, failed)]
    assert not [text for text in shown if secret in text]


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://homeroom.example", "clear text"),
        ("http://127.0.0.1.example", "clear text"),
        ("http://10.0.0.1:8000", "clear text"),
        ("ftp://homeroom.example", "no address"),
        ("homeroom.example", "no address"),
        ("https://", "no address"),
        ("https://user:word@homeroom.example", "no address"),
        ("https://homeroom.example/?a=b", "no address"),
    ],
)
def test_an_address_that_would_tell_the_token(url, word):
    """In clear text it goes to this machine alone."""
    with pytest.raises(ValueError, match=word) as refused:
        Client(url, TOKEN)
    assert "word@" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:8000", "http://127.0.0.1:8000/", "http://[::1]:8000", "https://a/b"]
)
def test_addresses_that_are_taken(url, wire):
    """This machine, an encrypted way, and a path before the routes."""
    with Client(url, TOKEN, transport=wire.transport) as client:
        client.budget()
    assert str(wire.seen[0].url) == url.rstrip("/") + "/v1/cohorts"


def test_clear_text_on_purpose(wire):
    """Inside a network that is trusted it may be asked for."""
    with Client("http://10.0.0.1", TOKEN, insecure=True, transport=wire.transport) as client:
        assert client.budget().cohorts


def test_a_question_to_this_machine_goes_past_every_proxy(monkeypatch):
    """A proxy of the environment would read the token; an encrypted way may go through it."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Client("http://127.0.0.1:8000", TOKEN) as here, Client("https://homeroom.example", TOKEN) as there:
        assert not here._line._http._mounts
        assert there._line._http._mounts


def test_a_token_from_its_file(wire, tmp_path):
    """The first line; what is no token is not shown, and who else may read it is said."""
    path = tmp_path / "study.token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    with Client("https://homeroom.example", token_file=path, transport=wire.transport) as client:
        assert client.budget().cohorts
    path.chmod(0o644)
    with pytest.warns(UserWarning, match="chmod 600"):
        Client("https://homeroom.example", token_file=path).close()
    path.write_text("hunter2\n")
    path.chmod(0o600)
    with pytest.raises(ValueError, match="is no token") as refused:
        Client("https://homeroom.example", token_file=path)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("given", [{}, {"token": TOKEN, "token_file": "x"}, {"token": "hr_short"}])
def test_one_token_in_one_way(given):
    """Neither none nor two, and of the right shape."""
    with pytest.raises(ValueError, match="token"):
        Client("https://homeroom.example", **given)


def test_a_wire_is_a_wire(wire):
    """The fake server refuses another token, so that the tests above mean something."""
    other = TOKEN[:-1] + "0"
    with (
        Client("https://homeroom.example", other, transport=wire.transport) as client,
        pytest.raises(Refused) as no,
    ):
        client.budget()
    assert (no.value.status, no.value.code) == (401, "unauthenticated")


class Endless(httpx2.SyncByteStream):
    """A body that does not end, or not soon."""

    def __init__(self, part, pause=None):
        self.part, self.pause, self.closed = part, pause, False

    def __iter__(self):
        while True:
            if self.pause is not None:
                self.pause()
            yield self.part

    def close(self):
        self.closed = True


@pytest.mark.parametrize(
    ("part", "pause_s", "headers"), [(b"x" * 2**22, 0, {}), (b"x", 7, {}), (b"x", 0, {"Content-Encoding": "gzip"})]
)
def test_a_reply_without_an_end_is_not_waited_for(part, pause_s, headers, wire, client, clock, monkeypatch):
    """Neither one that is too large, nor one that comes byte by byte, nor one that would grow when it is unpacked."""
    monkeypatch.setattr("api.client.sending.REPLY_BYTES_MAX", 2**24)
    body = Endless(part, lambda: clock.append(pause_s))
    wire.steps = [httpx2.Response(200, stream=body, headers=headers)]
    with pytest.raises(ServerFailed) as caught:
        client.ask(COUNT)
    assert caught.value.code == "not_understood"
    assert caught.value.request_id
    assert body.closed
    assert len(wire.seen) == 1


def test_an_evil_server_cannot_rewrite_a_terminal(wire, client):
    """Nor by the names of columns, groups or tables, wherever they are shown as text."""
    evil = "\x1b]0;owned\x07"
    told = client.ask(COUNT).model_dump(mode="json")
    told["columns"][0]["name"] = evil
    wire.steps = [httpx2.Response(200, json=told)]
    answer = client.ask(COUNT)
    for text in (repr(answer), str(answer)):
        assert "\x1b" not in text
        assert "\x07" not in text
