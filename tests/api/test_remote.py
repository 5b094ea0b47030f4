"""The command against a server: it shows and writes what it would of a folder."""

from __future__ import annotations

import io
import json

import httpx2
import pandas as pd
import pytest
from pydantic_core import to_json

from api import schemas
from api.client import Client
from api.remote import explanation_of, preview_of, release_of
from api.terminal import EXIT_CODES, REMOTE_EXIT_CODES, ServerRefused, exit_code
from engine.refusals import AccessRefused, BudgetRefused, QueryRefused
from tests.api.wire import TOKEN, Wire, problem

COUNT = "SELECT grade_level, COUNT(*) AS n FROM student_year WHERE school_year = 2025 GROUP BY grade_level"
URL = "https://homeroom.example"


@pytest.fixture
def wire(request, monkeypatch):
    """A server in this process, reached by every client of it."""
    wire = Wire(lambda: request.getfixturevalue("district"))
    monkeypatch.setattr("api.remote.Client", lambda url, **given: Client(url, **given, transport=wire.transport))
    monkeypatch.setattr("api.client.sending.time.sleep", lambda _: None)
    return wire


@pytest.fixture
def token(tmp_path):
    """The file a token stands in."""
    path = tmp_path / "study.token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


def test_the_wires_answers_become_the_engines_own(district):
    """Nothing is lost on the way, so that one page serves both."""
    sql = "SELECT grade_level, COUNT(*) AS n, AVG(gpa) AS gpa FROM student_year GROUP BY 1"
    for release in (district.ask(sql, cohorts=[2030, 2031]), district.ask(sql, rehearse=True)):
        assert release_of(schemas.Release.model_validate_json(to_json(release))) == release
    foretold, explained = district.preview(sql), district.explain(sql)
    assert preview_of(schemas.Preview.model_validate_json(to_json(foretold))) == foretold
    assert explanation_of(schemas.Explanation.model_validate_json(to_json(explained))) == explained


@pytest.mark.usefixtures("wire")
@pytest.mark.parametrize("words", [("preview", COUNT), ("explain", COUNT, "--moe", "40")])
@pytest.mark.parametrize("form", ["table", "json"])
def test_a_server_is_shown_as_a_folder_is(words, form, token, folder, homeroom):
    """The same bytes."""
    command, *rest = words
    there = homeroom(command, URL, *rest, "--format", form, "--token-file", token)
    here = homeroom(command, folder, *rest, "--format", form)
    assert there.returncode == 0, there.stderr.decode()
    assert there.stdout == here.stdout


@pytest.mark.usefixtures("wire")
@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_an_answer_of_a_server(form, token, folder, homeroom, tmp_path):
    """The same bytes, to a file and to the terminal, with what is left of each class's year."""
    words = (COUNT, "--request-id", "mine", "--format", form)
    first = homeroom("ask", URL, *words, "--token-file", token, "-o", tmp_path / "answer")
    assert first.returncode == 0, first.stderr.decode()
    there = homeroom("ask", URL, *words, "--token-file", token)
    here = homeroom("ask", folder, *words)
    assert there.stdout == here.stdout
    assert (b"of this year used" in there.stdout) == (form == "table")
    if form == "csv":
        frame = pd.read_csv(tmp_path / "answer")
        pd.testing.assert_frame_equal(frame, pd.read_csv(io.BytesIO(here.stdout)))


def test_the_token_may_be_named_by_the_environment(wire, token, homeroom, monkeypatch, folder):
    """Once for a session; a folder needs none, and does not mind."""
    monkeypatch.setenv("HOMEROOM_TOKEN_FILE", str(token))
    assert homeroom("preview", URL, COUNT).returncode == 0
    assert homeroom("preview", folder, COUNT).returncode == 0
    assert len(wire.seen) == 1


def test_an_answer_is_shown_though_the_balances_are_not(wire, token, homeroom):
    """It is paid for."""
    real = wire.answered
    wire.answered = lambda request: problem(403, "forbidden") if "cohorts" in str(request.url) else real(request)
    done = homeroom("ask", URL, COUNT, "--token-file", token)
    assert done.returncode == 0
    assert " ± " in done.stdout.decode()
    assert "of this year used" not in done.stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["ask", "DIR", COUNT, "--token-file", "TOKEN"], "is a folder"),
        (["ask", URL, COUNT], "HOMEROOM_TOKEN_FILE"),
        (["ask", URL, COUNT, "--token-file", "nowhere"], "cannot be read"),
        (["ask", URL, COUNT, "--token-file", "OTHER"], "is no token"),
        (["ask", "http://homeroom.example", COUNT, "--token-file", "TOKEN"], "clear text"),
    ],
)
def test_wrong_use_says_what_to_do(arguments, word, wire, token, folder, homeroom, tmp_path):
    """A server wants a token, a folder none, and in clear text it is not sent."""
    other = tmp_path / "other"
    other.write_text("hunter2")
    other.chmod(0o600)
    places = {"DIR": folder, "TOKEN": token, "OTHER": other}
    done = homeroom(*[places.get(part, part) for part in arguments])
    assert (done.returncode, done.stdout) == (2, b"")
    assert word in done.stderr.decode().replace("\n", " ")
    assert "hunter2" not in done.stderr.decode()
    assert not wire.seen


@pytest.mark.usefixtures("wire")
def test_a_refusal_of_a_server_underlines_its_place(token, homeroom):
    """As that of a folder does."""
    done = homeroom(
        "ask", URL, "SELECT grade_level,\n  AVG(gpaa) FROM student_year GROUP BY 1", "--token-file", token
    )
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 3
    assert lines[lines.index("      AVG(gpaa) FROM student_year GROUP BY 1") + 1] == "          ^^^^"


@pytest.mark.usefixtures("wire")
@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["--epsilon", "3"], "budget_year"), (["--grant", "nobody"], "grant_missing"), (["--moe", "-5"], "moe")],
)
def test_exit_codes_are_those_of_a_folder(arguments, word, token, folder, homeroom):
    """A program need not know which of the two it asks."""
    there = homeroom("ask", URL, COUNT, *arguments, "--token-file", token)
    here = homeroom("ask", folder, COUNT, *arguments)
    assert there.returncode == here.returncode
    assert word in there.stderr.decode()


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [
        (400, "unreadable", 3),
        (401, "unauthenticated", 5),
        (403, "district_pilot", 5),
        (404, "grant_missing", 5),
        (409, "budget_lifetime", 4),
        (409, "cohort_sealed", 4),
        (409, "request_id_reused", 5),
        (409, "in_progress", 5),
        (410, "answer_lost", 5),
        (429, "too_many_requests", 5),
        (503, "busy", 70),
        (503, "clock", 5),
        (503, "ledger_unavailable", 70),
        (503, "catalog", 6),
        (500, "internal", 70),
    ],
)
def test_every_problem_has_its_exit_code(status, code, ends, wire, token, homeroom, monkeypatch):
    """By its code where that tells more than its status."""
    monkeypatch.setattr("api.client.asking.TIMEOUT_S", 0.0)
    wire.answered = lambda _: problem(status, code, "Because.", retry_after="99")
    done = homeroom("ask", URL, COUNT, "--token-file", token, "--request-id", "mine")
    assert (done.returncode, done.stdout) == (ends, b"")
    assert "Because." in done.stderr.decode()
    later = code in {"in_progress", "too_many_requests", "busy", "ledger_unavailable", "internal"}
    assert ("--request-id mine" in done.stderr.decode()) == later


def test_the_classes_of_refusals_end_alike():
    """The table of codes agrees with that of classes, for what the engine itself refuses."""
    for kind, status in ((QueryRefused, 422), (BudgetRefused, 409), (AccessRefused, 403)):
        body = kind("unsupported", "No.").body()
        assert exit_code(ServerRefused(body, status=status, request_id=None)) == EXIT_CODES[kind]
    assert set(REMOTE_EXIT_CODES.values()) <= set(EXIT_CODES.values())


def test_a_server_that_is_not_there(wire, token, homeroom):
    """The address is named, the question's id too, and nothing of the token."""
    wire.steps = [httpx2.ConnectError("no"), problem(500, "internal", "Failed.", incident="abc")]
    wire.answered = lambda _: problem(500, "internal", "Failed.", incident="abc")
    done = homeroom("ask", URL, COUNT, "--token-file", token)
    assert done.returncode == 70
    assert "incident abc" in done.stderr.decode()
    assert "--request-id " in done.stderr.decode()
    assert TOKEN[20:] not in done.stderr.decode()


@pytest.mark.usefixtures("wire")
def test_a_token_that_others_may_read_is_said(token, homeroom):
    """On standard error; the answer comes all the same."""
    token.chmod(0o644)
    done = homeroom("preview", URL, COUNT, "--token-file", token, "--format", "json")
    assert "chmod 600" in done.stderr.decode()
    assert json.loads(done.stdout)["expected"]
