"""The client and the real server understand each other."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from api.client import Client, Refused

BY_GRADE = "SELECT grade_level, COUNT(*) AS students FROM student_year WHERE school_year = 2025 GROUP BY grade_level"


@pytest.fixture
def transport(shared):
    """The way to the real server, in this process."""
    return shared.client._transport


@pytest.fixture
def client(shared, transport):
    """A researcher's client of it."""
    with Client("https://testserver", shared.tokens["researcher"], transport=transport) as opened:
        yield opened


def test_a_question_from_preview_to_its_second_answer(client):
    """Foretold, paid for, served again by both of its names."""
    foretold = client.preview(BY_GRADE)
    answer = client.ask(BY_GRADE, request_id="by grade")
    assert foretold.expected[0].moe90 == answer.moe90[0][1]
    assert [each.loss_nanorho for each in foretold.charges] == [each.loss_nanorho for each in answer.charges]
    again = client.ask(BY_GRADE, request_id="by grade")
    assert (again.replayed, again.rows) == (True, answer.rows)
    assert client.release(answer.release_id).rows == answer.rows
    spent = client.budget().to_pandas().set_index("cohort")["grant_spent"]
    assert all(spent[each.cohort] > 0 for each in answer.charges)
    assert client.explain(BY_GRADE).statistics


def test_the_table_is_that_of_the_csv(client, shared):
    """Whoever reads the CSV with R has the same numbers."""
    answer = client.ask(BY_GRADE, request_id="csv").to_pandas()
    text = shared.ask(BY_GRADE, accept="text/csv", request_id="csv").text
    read = pd.read_csv(io.StringIO(text), dtype={"grade_level": str})
    assert read.columns.tolist() == answer.columns.tolist()
    assert read.to_numpy().tolist() == answer.astype(read.dtypes.to_dict()).to_numpy().tolist()


def test_the_schema_lists_what_a_grant_covers(client):
    """Tables and all the values there can be."""
    tables = client.schema().to_pandas().set_index(["table", "column"])
    assert "assessment" not in tables.index.get_level_values("table")
    assert "KG, 01" in tables.loc[("student_year", "grade_level"), "values"]


@pytest.mark.parametrize(
    ("sql", "fields", "status", "code"),
    [
        ("SELECT MEDIAN(gpa) FROM student_year", {}, 422, "unsupported"),
        ("SELECT AVG(scale_score) FROM assessment", {}, 403, "grant_scope"),
        (BY_GRADE, {"epsilon": 3.0}, 409, "budget_year"),
        (BY_GRADE, {"grant": "other"}, 403, "grant_scope"),
    ],
)
def test_refusals_come_as_they_were_meant(sql, fields, status, code, client):
    """With code, status and what would be accepted."""
    with pytest.raises(Refused) as refused:
        client.ask(sql, **fields)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert refused.value.accepted


def test_another_token_is_nobodys(transport):
    """A token of the right shape that nobody was given."""
    with (
        Client("https://testserver", "hr_" + "0" * 12 + "_" + "0" * 64, transport=transport) as client,
        pytest.raises(Refused) as refused,
    ):
        client.budget()
    assert (refused.value.status, refused.value.code) == (401, "unauthenticated")
