"""The server: questions, answers in every form, refusals, limits, deadlines, and what it keeps to itself."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal
from served import BY_GRADE, COHORTS, WHOLE, grant, serving

from api import envelope, problems, schemas
from api.limits import BURST_S, Limits
from api.media import Media
from api.openapi import EXAMPLES
from api.problems import CODES, STATUSES, TooManyRequests
from api.rights import RIGHTS
from budgets.refusals import RefusalCode
from engine import explanation, release, request
from engine.district import District
from engine.office import Office
from engine.refusals import InternalFailure, LedgerUnavailable, QueryRefused

CANARY = "Zaphod-4711"


# -- answers


def test_an_answer_is_what_the_engine_says(served):
    """Field for field, and the same again under its request id, for nothing."""
    first = served.ask(BY_GRADE, request_id="one")
    assert first.status_code == 200
    told = first.json()
    assert set(told) == set(schemas.Release.model_fields) == {each.name for each in fields(release.Release)}
    assert schemas.Release.model_validate(told).grant == "study"
    assert [first.headers[f"homeroom-{name}"] for name in ("request-id", "replayed")] == ["one", "false"]
    spent = served.spent()
    again = served.ask(BY_GRADE, request_id="one")
    assert again.json() == told | {"replayed": True}
    assert served.spent() == spent > 0
    with District.open(served.folder) as district:
        same = district.ask(BY_GRADE, request_id="one", grant="study")
    assert json.loads(json.dumps(same.to_dict())) == again.json()


def test_an_answer_in_other_forms_is_the_table(served):
    """CSV, Parquet and Arrow hold what `to_pandas` holds; metadata stand in the headers."""
    sql = BY_GRADE.replace("COUNT(*) AS students", "COUNT(*) AS students, AVG(gpa) AS gpa")
    told = served.ask(sql, request_id="one").json()
    with District.open(served.folder) as district:
        table = district.ask(sql, request_id="one", grant="study").to_pandas()
    csv, parquet, arrow = (served.ask(sql, request_id="one", accept=form) for form in list(Media)[1:])
    assert_frame_equal(pd.read_csv(io.StringIO(csv.text)), pd.read_csv(io.StringIO(table.to_csv(index=False))))
    assert_frame_equal(
        pq.read_table(io.BytesIO(parquet.content)).to_pandas(types_mapper=None), table, check_dtype=False
    )
    assert pa.ipc.open_stream(arrow.content).read_all().num_rows == len(table)
    for reply, form in zip((csv, parquet, arrow), list(Media)[1:], strict=True):
        assert reply.headers["content-type"].split(";")[0] == form.value
        assert reply.headers["homeroom-release-id"] == told["release_id"]
        assert reply.headers["homeroom-replayed"] == "true"


def test_whole_numbers_beyond_64_bits_fit_every_form(shared):
    """What is paid for can be sent."""
    sql = "SELECT COUNT(*) * 1000000000000 * 1000000000 AS big FROM student_year"
    for form in Media:
        assert shared.ask(sql, accept=form.value, rehearse=True).status_code == 200


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Media.JSON),
        ("*/*", Media.JSON),
        ("text/*", Media.CSV),
        ("TEXT/CSV;header=present", Media.CSV),
        ("text/csv;q=0.5, application/json;q=0.4", Media.CSV),
        ("application/json;q=0, */*", Media.CSV),
        ("application/xml, application/vnd.apache.parquet;q=0.1", Media.PARQUET),
        ("application/xml", None),
        ("text/csv;q=0", None),
        ("text/csv;q=x", None),
        ("text/csv;q=7", None),
        (", ;;q=,", None),
    ],
)
def test_the_form_is_the_one_that_is_liked_best(shared, accept, form):
    """Or none, and then nothing is asked and nothing is paid."""
    before = shared.spent()
    reply = shared.ask(WHOLE, accept=accept, rehearse=form is not None)
    if form is None:
        assert (reply.status_code, reply.json()["code"]) == (406, "not_acceptable")
        assert shared.spent() == before
    else:
        assert reply.headers["content-type"].split(";")[0] == form.value


def test_a_preview_and_an_explanation_cost_nothing(shared):
    """And have the fields that are described."""
    before = shared.spent()
    told = shared.send("POST", "/v1/preview", json={"sql": BY_GRADE}).json()
    assert set(told) == set(schemas.Preview.model_fields) == {each.name for each in fields(release.Preview)}
    schemas.Preview.model_validate(told)
    told = shared.send("POST", "/v1/explain", json={"sql": BY_GRADE, "moe": 40}).json()
    assert (
        set(told) == set(schemas.Explanation.model_fields) == {each.name for each in fields(explanation.Explanation)}
    )
    statistics = {each.name for each in fields(explanation.ExplainedStatistic)}
    assert statistics == set(schemas.ExplainedStatistic.model_fields)
    schemas.Explanation.model_validate(told)
    assert shared.spent() == before


def test_the_schema_is_what_the_grant_covers(served):
    """Its tables and columns and the public tables, and of each column what is declared."""
    with Office.open(served.folder) as office:
        office.add_grant(grant("narrow", scope={"student_year": frozenset({"grade_level", "gpa"})}, cohorts=(2030,)))
        token = office.keyring.add("N", "A", grant="narrow")
    told = schemas.Schema.model_validate(served.send("GET", "/v1/schema", token).json())
    assert [(table.name, table.public) for table in told.tables] == [
        ("student_year", False), ("scale_range", True), ("school", True),
    ]  # fmt: skip
    assert [column.name for column in told.tables[0].columns] == ["gpa", "grade_level"]
    gpa, grade = told.tables[0].columns
    assert (grade.values[0], gpa.low, gpa.high) == ("PK", 0.0, 5.0)  # noqa: PD011 - no frame
    assert told.cohorts == [2030]
    assert told.tables[0].rows is None
    assert len(told.tables[2].rows[0]) == len(told.tables[2].columns)
    everything = schemas.Schema.model_validate(served.send("GET", "/v1/schema", "auditor").json())
    assert len(everything.tables) > len(told.tables)
    score = next(each for table in everything.tables for each in table.columns if each.name == "scale_score")
    assert (score.low, score.bounded_by) == (None, "scale_range")
    assert not any(column.name == "student_key" for table in everything.tables for column in table.columns)


def test_the_cohorts_are_those_of_the_grant(served):
    """What it has spent stands there, and what is left of its allowance."""
    served.ask(WHOLE)
    told = served.send("GET", "/v1/cohorts").json()
    assert (told["grant"], told["population"]) == ("study", "research")
    assert sum(each["allowance_spent_nanorho"] for each in told["cohorts"]) == served.spent() > 0
    assert {each["cohort"] for each in told["cohorts"]} == set(COHORTS)
    other = served.send("GET", "/v1/cohorts", "other").json()
    assert sum(each["allowance_spent_nanorho"] for each in other["cohorts"]) == 0
    assert set(told["cohorts"][0]) == set(schemas.Cohort.model_fields)


def test_an_answer_is_found_again_by_its_name(served):
    """By those of its grant, in every form, for nothing; an auditor finds all, another grant none."""
    told = served.ask(BY_GRADE).json()
    spent, path = served.spent(), f"/v1/releases/{told['release_id']}"
    for who in ("researcher", "auditor", "officer"):
        assert served.send("GET", path, who).json() == told | {"replayed": True}
    assert served.send("GET", path, headers={"Accept": "text/csv"}).text.startswith("grade_level,")
    for who, name in (
        ("other", path),
        ("agency", path),
        ("researcher", f"{path}x"),
        ("researcher", "/v1/releases/%20"),
    ):
        reply = served.send("GET", name, who)
        assert (reply.status_code, reply.json()["code"]) == (404, "release_missing")
    assert served.spent() == spent


def test_every_answer_that_is_shown_is_in_the_ledger(served):
    """Not only the ones that were paid for: a free one has its entry too."""
    paid, free = served.ask(BY_GRADE).json(), served.ask(BY_GRADE.replace("students", "n")).json()
    assert free["charges"] == []
    assert free["draws"] == paid["draws"]
    assert [each["release_id"] for each in (paid, free)] == [
        served.send("GET", f"/v1/releases/{each['release_id']}").json()["release_id"] for each in (paid, free)
    ]


def test_a_grant_sees_its_own_request_ids_alone(served):
    """The same id under another grant is another question; under the same grant it is not."""
    first = served.ask(WHOLE, request_id="mine").json()
    assert served.ask(BY_GRADE, "other", request_id="mine").json()["request_id"] == "mine"
    reply = served.ask(BY_GRADE, request_id="mine")
    assert (reply.status_code, reply.json()["code"], reply.json()["request_id"]) == (409, "request_id_reused", "mine")
    assert served.ask(WHOLE, "other").json()["draws"] != first["draws"] or first["population"] == "research"


# -- refusals


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 400, "unreadable"),
        ("{", 400, "unreadable"),
        ("[" * 100_000, 400, "unreadable"),
        ("\ud800", 400, "unreadable"),
        ('{"sql": "\\ud800"}', 400, "unreadable"),
        ("null", 422, "malformed"),
        ("[]", 422, "malformed"),
        ("{}", 422, "malformed"),
        ('{"sql": 1}', 422, "malformed"),
        ('{"sql": ""}', 422, "malformed"),
        ('{"sql": "x", "sqll": "y"}', 422, "malformed"),
        ('{"sql": "x", "epsilon": NaN}', 422, "malformed"),
        ('{"sql": "x", "epsilon": Infinity}', 422, "malformed"),
        ('{"sql": "x", "epsilon": 1e999}', 422, "malformed"),
        ('{"sql": "x", "epsilon": true}', 422, "malformed"),
        ('{"sql": "x", "epsilon": "1"}', 422, "malformed"),
        ('{"sql": "x", "epsilon": 0}', 422, "malformed"),
        ('{"sql": "x", "epsilon": 5e-324}', 422, "unsupported"),
        ('{"sql": "x", "moe": 5e-324}', 422, "malformed"),
        ('{"sql": "x", "moe": true}', 422, "malformed"),
        ('{"sql": "x", "moe": {"n": true}}', 422, "malformed"),
        ('{"sql": "x", "moe": {}}', 422, "malformed"),
        ('{"sql": "x", "moe": 1, "epsilon": 1}', 422, "unsupported"),
        ('{"sql": "x", "moe_at_n": 100}', 422, "unsupported"),
        ('{"sql": "x", "moe": 1, "moe_at_n": 1.0}', 422, "malformed"),
        ('{"sql": "x", "cohorts": [2030.0]}', 422, "malformed"),
        ('{"sql": "x", "cohorts": "2030"}', 422, "malformed"),
        ('{"sql": "x", "cohorts": []}', 422, "malformed"),
        ('{"sql": "x", "cohorts": [1' + "0" * 5000 + "]}", 400, "unreadable"),
        ('{"sql": "x", "rehearse": 1}', 422, "malformed"),
        ('{"sql": "x", "rehearse": "true"}', 422, "malformed"),
        ('{"sql": "x", "request_id": "a\\u0000b"}', 422, "malformed"),
        ('{"sql": "x", "request_id": "é"}', 422, "malformed"),
        ('{"sql": "x", "request_id": " x"}', 422, "malformed"),
        ('{"sql": "x", "request_id": "x "}', 422, "malformed"),
        ('{"sql": "x", "grant": ""}', 422, "malformed"),
        ('{"sql": "x", "grant": "other"}', 403, "grant_scope"),
        ('{"sql": "x", "rows_per_student_max": 0}', 422, "malformed"),
        ('{"sql": "SELECT \\u0000"}', 422, "syntax"),
        ('{"sql": "' + "x" * 20_001 + '"}', 422, "malformed"),
        ('{"sql": "' + "é" * 20_000 + '"}', 422, "too_large"),
        ('{"sql": "' + "x" * 300_000 + '"}', 413, "body_too_large"),
    ],
)
def test_a_body_that_is_no_request_is_refused(shared, text, status, code):
    """By its first fault, without a word of what stood there; nothing is asked and nothing paid."""
    before = shared.spent()
    reply = shared.send(
        "POST", "/v1/ask", content=text.encode("utf-8", "surrogatepass"), headers={"Content-Type": "application/json"}
    )
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    problem = schemas.Problem.model_validate(reply.json())
    assert problem.accepted
    assert problem.status == status
    assert shared.spent() == before


def test_a_refusal_repeats_no_word_of_a_body(shared):
    """Neither a value nor the name of a field that is none."""
    for body in ({"sql": WHOLE, CANARY: 1}, {"sql": [CANARY]}, {"sql": WHOLE, "moe": {CANARY: CANARY}}):
        assert CANARY not in shared.send("POST", "/v1/ask", json=body).text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_a_body_is_sent_as_json(shared, kind):
    """A form of a web page cannot be one."""
    reply = shared.send("POST", "/v1/preview", content=b'{"sql": "x"}', headers={"Content-Type": kind})
    assert (reply.status_code, reply.json()["code"]) == (415, "not_json")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/ask/", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/v1/ask", 405, "method_not_allowed"),
        ("DELETE", "/v1/grants/study", 405, "method_not_allowed"),
        ("GET", "/v1/cohorts?grant=other", 422, "malformed"),
        ("POST", "/v1/ask?x", 422, "malformed"),
    ],
)
def test_there_is_nothing_else(shared, method, path, status, code):
    """No other path, method or query; each is told in the same form."""
    reply = shared.send(method, path, json={"sql": "x"} if method == "POST" else None)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_a_refusal_points_at_the_place(shared):
    """Line, column, excerpt and what would be accepted are those of every other face."""
    told = shared.ask("SELECT COUNT(*)\nFROM student_yaer", request_id="r").json()
    assert (told["code"], told["line"], told["column"], told["excerpt"]) == ("unknown_name", 2, 6, "student_yaer")
    assert told["type"] == "urn:homeroom:problem:unknown_name"
    assert told["request_id"] == "r"
    assert "student_year" in told["accepted"]


def test_the_budget_and_the_grant_refuse(served):
    """With the status of the conflict, and nothing is spent."""
    before = served.spent()
    greedy = served.ask(WHOLE, epsilon=50)
    assert (greedy.status_code, greedy.json()["code"]) == (409, "budget_lifetime")
    outside = served.ask("SELECT COUNT(*) AS n FROM graduation")
    assert (outside.status_code, outside.json()["code"]) == (403, "grant_scope")
    with Office.open(served.folder) as office:
        office.revoke_grant("study", "A. Officer", "over")
    ended = served.ask(WHOLE)
    assert (ended.status_code, ended.json()["code"]) == (403, "grant_expired")
    assert served.spent() == before


def test_every_code_has_its_status():
    """The table is whole: no refusal falls through it, and no row of it is for nothing."""
    own = {
        "busy",
        "malformed",
        "unreadable",
        "body_too_large",
        "not_json",
        "not_acceptable",
        "not_found",
        "method_not_allowed",
    }
    assert set(CODES) - own <= set(get_args(RefusalCode))
    for code in get_args(RefusalCode):
        assert problems.status_of(QueryRefused(code, "x")).value in envelope_statuses()
    assert all(issubclass(kind, Exception) for kind in STATUSES)


def envelope_statuses() -> set[int]:
    return {400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422, 429, 500, 503}


def test_a_failure_inside_tells_nothing(served, monkeypatch):
    """One opaque answer with an incident, whether it is the engine's or the server's own; the place is noted."""

    def fails(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr("engine.pipeline.preparation.prepare", fails)
    inside = served.ask(WHOLE, request_id="r")
    monkeypatch.setattr("api.media.written", fails)
    monkeypatch.undo()
    monkeypatch.setattr("api.routes.questions._reply", fails)
    outside = served.ask(WHOLE)
    for reply in (inside, outside):
        assert (reply.status_code, reply.json()["code"]) == (500, "internal")
        assert CANARY not in reply.text
        assert "ZeroDivision" not in reply.text
    assert inside.json()["request_id"] == "r"
    notes = (served.folder / "reports" / "incidents.jsonl").read_text(encoding="utf-8")
    assert inside.json()["incident"] in notes
    assert outside.json()["incident"] in notes
    assert CANARY not in notes


def test_a_ledger_that_cannot_be_used_says_so(served, monkeypatch):
    """503, and when to try again."""

    def unavailable(*_: Any) -> Any:
        raise LedgerUnavailable("The disk is full.", "free some space")

    monkeypatch.setattr("engine.office.Office.policy", unavailable)
    reply = served.client.get("/v1/health")
    assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (503, "ledger_unavailable", "5")


# -- limits


def test_a_token_has_so_many_requests(folder):
    """Then 429 and when to come again; another token goes on; nothing was paid."""
    with serving(folder, requests_per_minute=2) as served:
        assert served.ask(WHOLE).status_code == 200
        spent = served.spent()
        assert served.send("GET", "/v1/schema").status_code == 429
        reply = served.ask(BY_GRADE)
        assert (reply.status_code, reply.json()["code"]) == (429, "too_many_requests")
        assert 1 <= int(reply.headers["retry-after"]) <= 30
        assert served.spent() == spent
        assert served.ask(BY_GRADE, "other").status_code == 200


@pytest.mark.slow
def test_a_class_is_charged_so_often(folder):
    """Over all tokens together; what is answered for nothing is not counted, and other classes go on."""
    with serving(folder, charges_per_minute=2) as served:
        assert served.ask(WHOLE, cohorts=[2030]).status_code == 200
        spent = served.spent()
        reply = served.ask(BY_GRADE, "other", cohorts=[2030, 2031])
        assert (reply.status_code, reply.json()["code"]) == (429, "too_many_requests")
        assert served.spent() == spent
        assert served.ask(WHOLE, cohorts=[2030]).json()["charges"] == []
        assert served.ask(BY_GRADE, "other", cohorts=[2031]).status_code == 200
        assert served.ask(BY_GRADE, cohorts=[2030], rehearse=True).status_code == 200


def test_limits_are_even_and_shared(tmp_path):
    """A burst, then one in each interval; all names or none; several processes on one file."""
    at = [1000.0]
    one, two = (Limits(tmp_path / "limits", lambda: at[0]) for _ in range(2))
    for _ in range(int(BURST_S / 6)):
        one.take({"a": 10}, "x")
    for limits in (one, two):
        with pytest.raises(TooManyRequests) as caught:
            limits.take({"b": 60, "a": 10}, "x")
        assert 0 < caught.value.retry_s <= 6
    two.take({"b": 60}, "x")
    at[0] += 6
    two.take({"a": 10}, "x")
    with pytest.raises(TooManyRequests):
        one.take({"a": 10}, "x")
    at[0] += 3600
    for _ in range(int(BURST_S / 6)):
        two.take({"a": 10}, "x")
    with pytest.raises(TooManyRequests):
        two.take({"a": 10}, "x")
    for limits in (one, two):
        limits.close()


def test_a_worker_answers_so_many_at_once(folder, monkeypatch):
    """The next one is told to come again, and its place is given back whatever happens."""
    with serving(folder, questions_max=1) as served:
        monkeypatch.setattr("api.routes.questions._answering", Counter(others=1))
        reply = served.ask(WHOLE)
        assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (503, "busy", "1")
        monkeypatch.setattr("api.routes.questions._answering", Counter())
        for sql in ("SELECT", WHOLE, WHOLE):
            assert served.ask(sql).status_code in (200, 422)


@pytest.mark.slow
def test_one_token_has_some_of_the_places_at_once(folder, monkeypatch):
    """Costly questions of one, free rehearsals too, leave room for those of others."""
    with serving(folder, questions_max=32) as served:
        name = served.tokens["researcher"].split("_")[1]
        monkeypatch.setattr("api.routes.questions._answering", Counter({name: 4}))
        reply = served.ask(WHOLE, rehearse=True)
        assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (
            429,
            "too_many_requests",
            "1",
        )
        assert served.ask(WHOLE, "other").status_code == 200


@pytest.mark.slow
def test_what_cannot_be_paid_takes_nothing_of_a_limit(folder):
    """Else one grant could keep a class from all others for nothing; and of what it pays it has half."""
    with serving(folder, charges_per_minute=4) as served:
        for _ in range(5):
            assert served.ask(WHOLE, cohorts=[2030], epsilon=50).status_code == 409
        assert served.ask(WHOLE, cohorts=[2030]).status_code == 200
        assert served.ask(BY_GRADE, cohorts=[2030]).json()["code"] == "too_many_requests"
        assert served.ask(BY_GRADE, "other", cohorts=[2030]).status_code == 200


# -- deadlines


@pytest.mark.slow
def test_answers_leave_on_the_grid(folder):
    """Answered, refused or failed: not before the deadline; what reads no record leaves at once."""
    with serving(folder, grid_s=(0.5, 2.0)) as served:
        for sql, who in ((WHOLE, "researcher"), ("nonsense", "researcher"), (WHOLE, "officer"), (WHOLE, "nobody")):
            began = time.monotonic()
            served.ask(sql, who)
            assert 0.5 <= time.monotonic() - began < 2.0
        began = time.monotonic()
        assert served.send("POST", "/v1/preview", json={"sql": WHOLE}).status_code == 200
        assert time.monotonic() - began < 0.5


def test_every_route_that_reads_records_is_paced():
    """Asking; everything else is made of catalog and ledger."""
    at_once = {path for (_, path), scope in RIGHTS.items() if scope != "ask"}
    assert at_once == envelope.AT_ONCE


@pytest.mark.parametrize("path", ["/v1/ask%0A", "/v1/ask%00", "/v1/ask%7F", "/v1/ask%E2%80%A8"])
def test_no_other_way_to_write_a_path_leads_to_a_route(folder, path):
    """A line's end behind it was once read as nothing by the routes and as something by the deadlines."""
    with serving(folder, grid_s=(0.2,)) as served:
        began = time.monotonic()
        reply = served.send("POST", path, json={"sql": WHOLE})
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
        assert time.monotonic() - began >= 0.2
        assert served.spent() == 0


@pytest.mark.slow
def test_what_was_drawn_is_seen_on_the_grid_too(folder):
    """A free preview of the same question beside it would tell when the noise was there."""
    with serving(folder, grid_s=(0.6,)) as served:
        asking = threading.Thread(target=served.ask)
        began = time.monotonic()
        asking.start()
        free = "it is free"
        while free not in served.send("POST", "/v1/preview", json={"sql": WHOLE}).text:
            assert time.monotonic() - began < 5
        assert time.monotonic() - began >= 0.3
        asking.join()


def test_a_failing_answer_waits_too(folder, monkeypatch):
    """Else a failure would be told by its time."""
    monkeypatch.setattr("api.routes.questions._ask", lambda *_: 1 / 0)
    with serving(folder, grid_s=(0.2,)) as served:
        began = time.monotonic()
        assert served.ask(WHOLE).status_code == 500
        assert time.monotonic() - began >= 0.2


# -- what the server keeps to itself


def test_the_log_tells_who_used_which_route_and_no_more(served, caplog):
    """No text of a question, no path, no name of an id, no count, no time that was taken."""
    with caplog.at_level(logging.INFO):
        served.ask(f"SELECT COUNT(*) AS n FROM student_year WHERE grade_level LIKE '{CANARY}'", request_id=CANARY)
        served.ask(f"SELECT {CANARY}")
        served.client.get(f"/{CANARY}?{CANARY}")
        served.client.request(CANARY.replace("-", ""), "/v1/health")
        served.send("GET", f"/v1/releases/{CANARY}")
    told = [each.getMessage() for each in caplog.records if each.name != "httpx2"]  # the test's own client
    assert not any(CANARY.replace("-", "").lower() in each.replace("-", "").lower() for each in told)
    lines = [json.loads(each.message) for each in caplog.records if each.name == "homeroom.requests"]
    assert [(each["route"], each["status"]) for each in lines] == [
        ("/v1/ask", 200), ("/v1/ask", 422), ("none", 404), ("/v1/health", 405), ("/v1/releases/{release_id}", 404),
    ]  # fmt: skip
    assert {name for line in lines for name in line} == {"at", "method", "route", "status", "token"}
    assert lines[0]["token"] == served.tokens["researcher"].split("_")[1]
    assert not any(served.tokens["researcher"].split("_")[2] in each for each in told)


def test_every_reply_has_its_headers(folder):
    """Nothing is kept on the way, framed, guessed or passed on; over TLS browsers stay there."""
    with serving(folder, secure=True) as served:
        for reply in (served.client.get("/v1/health"), served.ask(WHOLE), served.client.get("/"), served.ask("x")):
            assert reply.headers["cache-control"] == "no-store"
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in reply.headers["content-security-policy"]
            assert reply.headers["referrer-policy"] == "no-referrer"
            assert reply.headers["strict-transport-security"]
            assert "server" not in reply.headers
            assert "access-control-allow-origin" not in reply.headers


# -- deciding


def test_an_officer_gives_and_ends_grants_in_their_own_name(served):
    """Whatever the body says: who decides is the holder of the token."""
    body = EXAMPLES["NewGrant"]["a study"]
    given = served.send("POST", "/v1/grants", "officer", json=body).json()
    assert schemas.Grant.model_validate(given).approved_by == "B. Officer"
    assert (given["year_fraction"], given["state"]) == ("1/20", "in force")
    listed = schemas.Grants.model_validate(served.send("GET", "/v1/grants", "auditor").json())
    assert {each.grant for each in listed.grants} == {"district", "study", "other", "report", "absence-study"}
    path = "/v1/grants/absence-study"
    assert served.send("GET", path, "auditor").json() == given
    ended = served.send("POST", f"{path}/revocation", "officer", json={"reason": "over"}).json()
    assert (ended["state"], ended["revoked"]) == ("revoked", "over")
    events = served.send("GET", "/v1/policy", "auditor").json()["events"]
    assert [(each["kind"], each["body"].get("by")) for each in events[-1:]] == [("grant_revoked", "B. Officer")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"approved_by": "Somebody Else"}, "malformed"),
        ({"grant": "study"}, "approval"),
        ({"grant": "district"}, "approval"),
        ({"grant": "a\x1b[31m"}, "approval"),
        ({"tables": {"teacher": None}}, "approval"),
        ({"tables": {"student_year": []}}, "approval"),
        ({"tables": {}}, "malformed"),
        ({"cohorts": [1900]}, "approval"),
        ({"allowance_percent": 100.1}, "malformed"),
        ({"allowance_percent": "5"}, "malformed"),
        ({"expires": "2001-01-01"}, "approval"),
        ({"expires": "tomorrow"}, "malformed"),
        ({"expires": 1767225600}, "malformed"),
        ({"purpose": " "}, "approval"),
        ({"kind": "district"}, "malformed"),
    ],
)
def test_what_is_no_grant_is_refused(shared, changes, code):
    """And none is given."""
    reply = shared.send("POST", "/v1/grants", "officer", json=EXAMPLES["NewGrant"]["a study"] | changes)
    assert (reply.status_code, reply.json()["code"]) == (422, code)
    assert len(shared.send("GET", "/v1/grants", "officer").json()["grants"]) == 4


def test_an_officer_closes_the_district_and_lowers_budgets(served):
    """At once and for everybody; opening again and raising have no route: they take two people."""
    lowered = served.send("POST", "/v1/policy/lowering", "officer", json={"cohorts": [2030], "lifetime_epsilon": 1.0})
    assert lowered.status_code == 200
    raised = served.send("POST", "/v1/policy/lowering", "officer", json={"cohorts": [2030], "lifetime_epsilon": 2.0})
    assert (raised.status_code, raised.json()["code"]) == (409, "budget_lifetime")
    unknown = served.send("POST", "/v1/policy/lowering", "officer", json={"cohorts": [1], "lifetime_epsilon": 1.0})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "approval")
    closed = served.send("POST", "/v1/policy/closing", "officer", json={"reason": "a complaint"}).json()
    assert schemas.Policy.model_validate(closed).state == "closed"
    assert served.ask(WHOLE).json()["code"] == "district_closed"
    answered = served.send("GET", "/v1/releases/" + "0" * 32).json()["code"]
    assert answered in ("release_missing", "district_closed")
    assert not [path for _, path in RIGHTS if any(word in path for word in ("open", "rais", "unseal", "sensitive"))]


def test_a_closed_district_does_not_write_its_answers_out_again(served):
    """Neither new questions nor old ones."""
    told = served.ask(WHOLE).json()
    served.send("POST", "/v1/policy/closing", "officer", json={"reason": "a complaint"})
    for who in ("researcher", "auditor", "officer"):
        reply = served.send("GET", f"/v1/releases/{told['release_id']}", who)
        assert (reply.status_code, reply.json()["code"]) == (403, "district_closed")


def test_a_grant_that_has_ended_reads_nothing(served):
    """Neither what it could ask nor what is left of it."""
    with Office.open(served.folder) as office:
        office.revoke_grant("study", "A. Officer", "over")
    for path in ("/v1/schema", "/v1/cohorts", "/v1/releases/x"):
        assert served.send("GET", path).json()["code"] in ("grant_expired", "release_missing")


# -- the description


@pytest.mark.slow
def test_the_description_is_whole_and_its_examples_are_taken(served):
    """Every route with its body, its statuses and its examples, each of which is sent."""
    told = served.client.get("/openapi.json").json()
    assert {(method.upper(), path) for path, item in told["paths"].items() for method in item} == set(RIGHTS)
    for path, item in told["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for example in content.get("examples", {}).values():
                who = "officer" if RIGHTS[method.upper(), path] == "decide" else "researcher"
                if path == "/v1/policy/closing":
                    continue
                filled = path.replace("{name}", "other")
                reply = served.send(method.upper(), filled, who, json=example["value"])
                assert reply.status_code == 200, (path, reply.text)
                assert str(reply.status_code) in operation["responses"]
    assert (
        served.send("POST", "/v1/policy/closing", "officer", json=EXAMPLES["Closing"]["a complaint"]).status_code
        == 200
    )


def test_the_models_keep_the_limits_of_the_engine():
    """They import nothing of it, so that this is what keeps them alike."""
    assert set(schemas.Question.model_fields) == {each.name for each in fields(request.Request)}
    assert schemas.COHORTS_MAX == request.COHORTS_MAX
    assert schemas.COLUMNS_MAX == request.COLUMNS_MAX
    assert schemas.YEAR_MAX == request.YEAR_MAX - 1
    text = Path(schemas.__file__).read_text(encoding="utf-8")
    assert f"ge={request.MOE_MIN:g}".replace("e-09", "e-9") in text
    assert f"le=10**{len(str(request.MOE_AT_N_MAX)) - 1}" in text


def test_the_incident_is_the_one_of_the_engine():
    """A failure that has its number already is not noted twice."""
    failure = InternalFailure()
    assert json.loads(bytes(problems.of(failure).body))["incident"] == failure.incident
