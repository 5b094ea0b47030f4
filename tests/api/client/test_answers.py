"""What a client makes of an answer."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pandas as pd
import pytest
from pydantic_core import to_json

from api.client import Answer

YEAR = "FROM student_year WHERE school_year = 2025"
KINDS = {
    "text": (f"SELECT grade_level, COUNT(*) AS n, AVG(gpa) AS gpa {YEAR} GROUP BY grade_level", {}),
    "bool": (f"SELECT english_learner, COUNT(*) AS n {YEAR} GROUP BY english_learner", {}),
    "int": ("SELECT school_year, COUNT(*) AS n FROM student_year GROUP BY school_year", {}),
    "null key": (f"SELECT schools_attended, COUNT(*) AS n {YEAR} GROUP BY schools_attended", {}),
    "no key": (f"SELECT COUNT(*) AS n, SUM(gpa) AS s {YEAR}", {}),
    "derived text": (
        f"SELECT grade_level, IF(COUNT(*) > 20, 'many', 'few') AS size, COUNT(*) > 20 AS large {YEAR} GROUP BY 1",
        {},
    ),
    "derived number": (f"SELECT COUNT(*) AS n, ROUND(SQRT(COUNT(*)), 1) AS root, COUNT(*) / 2 AS half {YEAR}", {}),
    "null estimate": (f"SELECT grade_level, AVG(gpa) AS gpa {YEAR} AND grade_level = 'PK' GROUP BY grade_level", {}),
    "few classes": ("SELECT grade_level, COUNT(*) AS n FROM student_year GROUP BY 1", {"cohorts": (2030, 2031)}),
    "rehearsal": ("SELECT sex AS rehearsal, COUNT(*) AS n FROM student GROUP BY sex", {"rehearse": True}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_the_engines_own(kind, district):
    """Over the wire an answer becomes the same frame, to the dtype, as beside the records."""
    sql, fields = KINDS[kind]
    release = district.ask(sql, **fields)
    answer = Answer.model_validate_json(to_json(release))
    pd.testing.assert_frame_equal(answer.to_pandas(), release.to_pandas())
    assert bool(release.cohorts_left_out) == (kind == "few classes")
    assert bool(release.rehearsal) == (kind == "rehearsal")


def test_a_page_shows_margins_cost_and_notes(client):
    """In a notebook an answer is a table of estimates with margins; foreign text is escaped."""
    page = client.ask(f'SELECT grade_level AS "<b>", COUNT(*) AS n {YEAR} GROUP BY 1')._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert " ± " in page
    assert "Charged: at most ε" in page
    rehearsed = client.ask(f"SELECT COUNT(*) AS n {YEAR}", rehearse=True)
    assert "REHEARSAL" in rehearsed._repr_html_()
    assert repr(rehearsed).startswith("Answer(rehearsal, 1 rows of n; request_id=")
    client.ask(f"SELECT COUNT(*) AS n {YEAR}", request_id="a")
    assert "nothing this time" in client.ask(f"SELECT COUNT(*) AS n {YEAR}", request_id="a")._repr_html_()
    assert "Free: everything" in client.ask(f"SELECT COUNT(*) AS n {YEAR}", request_id="b")._repr_html_()


def test_a_long_page_is_cut(district):
    """A browser is not filled with thousands of rows; the table says how many there are."""
    release = district.ask(f"SELECT school_id, grade_level, COUNT(*) AS n {YEAR} GROUP BY 1, 2", rehearse=True)
    page = Answer.model_validate_json(to_json(release))._repr_html_()
    assert f"… and {len(release.rows) - 60} more rows" in page


def test_preview_budget_and_schema_are_tables_too(client):
    """Each is a frame for programs and a page for people."""
    foretold = client.preview(f"SELECT AVG(gpa) AS gpa, COUNT(*) AS n {YEAR}", epsilon=0.3)
    frame = foretold.to_pandas()
    assert list(frame.columns) == ["column", "moe90", "moe90_at_30", "moe90_at_100", "moe90_at_1000"]
    assert frame.loc[0, "moe90_at_1000"] < frame.loc[0, "moe90_at_100"]
    assert "Would charge at most ε" in foretold._repr_html_()
    assert "classes" in repr(foretold)
    budget = client.budget()
    assert budget.to_pandas().query("cohort == 2030")["more_questions"].item() == 12
    assert "Spent in the budget year" in budget._repr_html_()
    assert "classes" in repr(budget)
    tables = client.schema()
    assert tables.to_pandas()["values"].tolist() == ["KG, 01", "0 to 5"]
    assert "Demo &lt;Unified&gt;" in tables._repr_html_()
    assert client.explain(f"SELECT COUNT(*) AS n {YEAR}").advice


def test_an_empty_budget_is_a_table(client):
    """A grant without classes has no rows, and the same columns."""
    full = client.budget()
    empty = full.model_copy(update={"cohorts": []}).to_pandas()
    assert set(empty.columns) == set(full.to_pandas().columns)


@pytest.mark.slow
def test_the_chart_shows_margins(client):
    """Points in the order of the answer, a bar where the margin is known, none where it is not."""
    answer = client.ask(
        f"SELECT grade_level, english_learner, COUNT(*) AS n, AVG(gpa) AS gpa {YEAR} GROUP BY ALL", rehearse=True
    )
    spec = answer.plot().to_dict()
    assert spec["title"]["text"] == "90 % margin of the noise added for privacy"
    bars, points = spec["layer"]
    assert (bars["mark"]["type"], points["mark"]["type"]) == ("rule", "point")
    assert bars["transform"] == [{"filter": "isValid(datum.low)"}]
    records = spec["data"]["values"] if "values" in spec["data"] else next(iter(spec["datasets"].values()))
    assert [each["x"] for each in records[:3]] == [str(row[0]) for row in answer.rows[:3]]
    assert all(("low" in each) == (each["margin"] != "not known") for each in records)
    assert points["encoding"]["color"]["title"] == "english_learner"
    assert answer.plot(y="gpa").to_dict()["layer"][1]["encoding"]["y"]["title"] == "gpa (grade points)"


@pytest.mark.slow
def test_a_chart_of_a_null_margin_and_of_a_rehearsal(client):
    """A margin that is not known draws no bar; a rehearsal says so in its title."""
    answer = client.ask(KINDS["derived number"][0], rehearse=True)
    spec = answer.plot(y="root").to_dict()
    (record,) = spec["data"]["values"] if "values" in spec["data"] else next(iter(spec["datasets"].values()))
    assert record["margin"] == "not known"
    assert "low" not in record
    assert spec["title"]["subtitle"] == ["REHEARSAL: invented records, not this district's"]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{"x": "n"}, {"y": "grade_level"}, {"color": "nobody"}])
def test_a_chart_of_columns_there_are_not(wrong, client):
    """The error names those there are."""
    answer = client.ask(KINDS["text"][0], rehearse=True)
    with pytest.raises(ValueError, match="Accepted: "):
        answer.plot(**wrong)


def test_without_altair_the_error_says_what_to_install(client, monkeypatch):
    """A chart is the only thing that needs it."""
    answer = client.ask(KINDS["text"][0], rehearse=True)
    real = builtins.__import__

    def without(name, *given, **more):
        if name == "altair":
            raise ImportError(name)
        return real(name, *given, **more)

    monkeypatch.delitem(sys.modules, "api.client.chart", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'homeroom\[plot\]'"):
        answer.plot()


@pytest.mark.slow
def test_the_client_loads_nothing_else_of_the_house():
    """Whoever imports it gets neither the engine nor a database; pandas only where a table is asked for."""
    asked = "import sys, api.client; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {name for name in loaded if name.split(".")[0] in {"engine", "budgets", "duckdb", "pandas", "opendp"}}
    assert {name for name in loaded if name.startswith("api.") and not name.startswith("api.client")} == {
        "api.schemas",
        "api.figures",
    }
