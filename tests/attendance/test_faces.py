"""Dates on every face of an answer, and in what is made of answers."""

from __future__ import annotations

import io
import json
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from served import grant, serving

from api import schemas
from api.cli import main
from api.client.answers import Answer, Tables
from api.media import Media
from engine.district import District
from engine.doctor import examine
from engine.office import Office
from engine.refusals import QueryRefused

DAYS = ["2025-02-03", "2025-02-04", "2025-02-05"]
SQL = (
    "SELECT event_date, COUNT(*) AS events FROM attendance_event "
    "WHERE event_date BETWEEN '2025-02-03' AND '2025-02-05' GROUP BY event_date"
)
NULLED = "SELECT left_on, COUNT(*) AS n FROM student WHERE left_on IS NULL OR left_on < '2024-07-03' GROUP BY left_on"


@pytest.fixture
def served(events_folder):
    """The attendance district with a researcher's token."""
    with Office.open(events_folder) as office:
        office.add_grant(
            grant(
                "study",
                scope=dict.fromkeys(("student", "attendance_event", "review")),
                cohorts=(2026, 2027, 2028, 2029),
            )
        )
        token = office.keyring.add("R. Searcher", "A. Officer", grant="study")
    with serving(events_folder, {"researcher": token}) as found:
        yield found


def test_a_release_has_iso_texts_and_a_table_has_days(district):
    """The wire's type is `date`; pandas has datetime64[s], Arrow date32."""
    release = district.ask(SQL)
    assert (release.columns[0].name, release.columns[0].role, release.columns[0].type) == (
        "event_date",
        "key",
        "date",
    )
    assert [row[0] for row in release.rows] == DAYS
    json.dumps(release.to_dict())
    table = release.to_pandas()
    assert str(table["event_date"].dtype) == "datetime64[s]"
    assert table["event_date"].dt.strftime("%Y-%m-%d").tolist() == DAYS
    assert release.to_arrow().schema.field("event_date").type == pa.date32()
    assert release.to_arrow().column("event_date").to_pylist() == [date.fromisoformat(day) for day in DAYS]


def test_null_is_a_date_that_is_not_there(district):
    """On every face of an answer."""
    release = district.ask(NULLED)
    assert [row[0] for row in release.rows] == ["2024-07-01", "2024-07-02", None]
    assert release.to_pandas()["left_on"].isna().tolist() == [False, False, True]
    assert release.to_arrow().column("left_on").to_pylist()[-1] is None


def test_every_form_of_an_answer_has_the_days(served):
    """JSON and CSV as ISO texts, Parquet and Arrow as date32; the client's frame as the engine's."""
    told = served.ask(SQL, request_id="one").json()
    assert told["columns"][0]["type"] == "date"
    assert [row[0] for row in told["rows"]] == DAYS
    csv, parquet, arrow = (served.ask(SQL, request_id="one", accept=form).content for form in list(Media)[1:])
    assert [line.split(",")[0] for line in csv.decode().splitlines()] == ["event_date", *DAYS]
    for table in (pq.read_table(io.BytesIO(parquet)), pa.ipc.open_stream(arrow).read_all()):
        assert table.schema.field("event_date").type == pa.date32()
        assert [day.isoformat() for day in table.column("event_date").to_pylist()] == DAYS
    answer = Answer.model_validate(told)
    with District.open(served.folder) as district:
        expected = district.ask(SQL, request_id="one", grant="study").to_pandas()
    pd.testing.assert_frame_equal(answer.to_pandas(), expected)
    assert all(day in answer._repr_html_() for day in DAYS)
    assert all(day in str(answer) for day in DAYS)


def test_the_schema_shows_dates_and_their_bounds(served):
    """As ISO texts, bounds and lists and rows of public tables alike."""
    told = served.send("GET", "/v1/schema").json()
    tables = {table["name"]: table for table in told["tables"]}
    columns = {(name, c["name"]): c for name, table in tables.items() for c in table["columns"]}
    event_date = columns["attendance_event", "event_date"]
    assert [event_date[key] for key in ("type", "values", "low", "high")] == [
        "date",
        None,
        "2024-07-01",
        "2026-06-30",
    ]
    assert columns["student", "first_day"]["values"] == ["2024-08-26", "2024-09-03", "2025-01-06"]
    assert columns["review", "held_on"]["bounded_by"] == "term_dates"
    assert tables["term_dates"]["rows"][0] == ["2024-09-03", "2025-06-20", 2025]
    frame = Tables.model_validate(told).to_pandas().set_index(["table", "column"])
    assert frame.loc[("attendance_event", "event_date"), "values"] == "2024-07-01 to 2026-06-30"
    assert schemas.Schema.model_validate(told)


def test_the_command_shows_dates(events_folder, monkeypatch, capfdbinary, tmp_path):
    """As a table, as JSON, as CSV and as Parquet."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["homeroom", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capfdbinary.readouterr().out.decode()

    shown = run("ask", events_folder, SQL)
    assert all(day in shown for day in DAYS)
    assert [row[0] for row in json.loads(run("ask", events_folder, SQL, "--format", "json"))["rows"]] == DAYS
    assert run("ask", events_folder, SQL, "--format", "csv").splitlines()[1].startswith(f"{DAYS[0]},")
    run("ask", events_folder, SQL, "--format", "parquet", "--output", tmp_path / "a.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").field("event_date").type == pa.date32()
    assert "event_date from 2025-02-03 to 2025-02-05" in run("explain", events_folder, SQL)


def test_an_answer_by_days_is_replayed_and_sharpened_like_any_other(district):
    """The key list of days has one digest, whoever asks and however it is written."""
    first = district.ask(SQL, request_id="one")
    again = district.ask(SQL.replace("'2025-02-03'", "DATE '2025-02-03'"), request_id="two")
    assert again.rows == first.rows
    assert not again.charges
    assert district.ask(SQL, request_id="one").rows == first.rows
    other = district.ask(SQL.replace("'2025-02-05'", "'2025-02-06'"))
    assert other.charges


def test_answers_by_days_are_ordered_cut_joined_and_united(district):
    """Over released tables a date is a date."""
    newest = district.ask(f"{SQL} ORDER BY event_date DESC LIMIT 2")
    assert [row[0] for row in newest.rows] == DAYS[:0:-1]
    joined = district.ask(
        f"WITH a AS ({SQL}), b AS ({SQL.replace('AS events', 'AS others')}) "
        "SELECT a.event_date, events, others FROM a JOIN b ON b.event_date = a.event_date "
        "WHERE a.event_date >= '2025-02-04' AND a.event_date <> DATE '2025-02-05'"
    )
    assert [row[0] for row in joined.rows] == ["2025-02-04"]
    assert joined.columns[0].type == "date"
    united = district.ask(f"WITH a AS ({SQL}) SELECT event_date FROM a UNION ALL SELECT MAX(event_date) FROM a")
    assert [row[0] for row in united.rows] == [*DAYS, DAYS[-1]]
    having = district.ask(f"{SQL} HAVING COUNT(*) > -1000 AND event_date IN ('2025-02-03', '2025-02-05')")
    assert [row[0] for row in having.rows] == [DAYS[0], DAYS[2]]
    case = district.ask(
        f"WITH a AS ({SQL}) SELECT CASE WHEN events > -1000 THEN event_date ELSE '2025-01-01' END AS d, "
        "CAST(event_date AS VARCHAR) AS t, COALESCE(NULL, event_date) AS c FROM a"
    )
    assert [column.type for column in case.columns] == ["date", "text", "date"]
    assert list(case.rows) == [(day, day, day) for day in DAYS]
    lagged = district.ask(
        f"WITH a AS ({SQL}) SELECT event_date, LAG(event_date) OVER (ORDER BY event_date) AS before FROM a"
    )
    assert [row[1] for row in lagged.rows] == [None, *DAYS[:-1]]
    lasting = district.ask(f"{NULLED} HAVING COUNT(*) > -1000 ORDER BY left_on NULLS FIRST")
    assert [row[0] for row in lasting.rows] == [None, "2024-07-01", "2024-07-02"]


@pytest.mark.parametrize(
    "select",
    [
        "event_date + 1",
        "event_date * 2",
        "SUM(event_date)",
        "CAST(event_date AS BIGINT)",
        "CAST(events AS DATE)",
        "event_date = 3",
        "event_date = 'soon'",
        "event_date < '2025-02-30'",
        "CASE WHEN TRUE THEN event_date ELSE 3 END",
        "CAST(CAST(event_date AS VARCHAR) AS DATE)",
        "ROUND(event_date)",
    ],
)
def test_what_is_not_defined_on_released_dates_is_refused(select, district):
    """Before anything is charged."""
    with pytest.raises(QueryRefused) as caught:
        district.preview(f"WITH a AS ({SQL}) SELECT {select} AS x FROM a")
    assert caught.value.code == "unsupported"


def test_a_rehearsal_and_a_doctor_know_dates(served, events_folder):
    """Both look at every column."""
    told = served.ask(SQL, rehearse=True).json()
    assert [row[0] for row in told["rows"]] == DAYS
    assert [finding for finding in examine(events_folder) if finding.state == "wrong"] == []
