from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import sqlite3
import sys
from pathlib import Path

import pandas as pd
import pytest

from engine import pipeline
from engine.district import District
from engine.preparation import LEFT_OUT_REASONS
from engine.refusals import AccessRefused, BudgetRefused, CatalogRefused, InternalFailure, QueryRefused, Refusal
from engine.vault import Vault

spec = importlib.util.spec_from_file_location("golden_to_rehearse", Path(__file__).parent / "golden.py")
assert spec is not None
assert spec.loader is not None
golden = importlib.util.module_from_spec(spec)
sys.modules["golden_to_rehearse"] = golden
spec.loader.exec_module(golden)

ACCEPTED, REFUSED = golden.read("accepted"), golden.read("refused")
COUNT = "SELECT grade_level, COUNT(*) AS n FROM student_year WHERE school_year = 2025 GROUP BY grade_level"
SOME = {"epsilon": 0.01}
CHOSEN = "Noise had a part"
FEWER_SCHOOLS = "questions:170"
"""Too large with the 25 schools of the golden catalog, and not with those of the small district."""


def vault_file(folder):
    (found,) = (folder / "vault").glob("*.duckdb")
    return found


def copied(pristine, folder):
    return Path(shutil.copytree(pristine, folder / "copy"))


@pytest.fixture(scope="module")
def whole(pristine, tmp_path_factory):
    """A district that is asked for real."""
    with District.open(copied(pristine, tmp_path_factory.mktemp("whole"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def untouched(pristine, tmp_path_factory):
    """A district that is never asked."""
    with District.open(copied(pristine, tmp_path_factory.mktemp("untouched"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def bare(pristine, tmp_path_factory):
    """A district whose vault file is gone."""
    folder = copied(pristine, tmp_path_factory.mktemp("bare"))
    vault_file(folder).unlink()
    with District.open(folder) as opened:
        yield opened


@pytest.fixture
def bare_folder(folder):
    """The folder of such a district."""
    vault_file(folder).unlink()
    return folder


def ledger_rows(folder):
    """Everything the ledger holds."""
    with sqlite3.connect(f"file:{folder / 'ledger.sqlite'}?mode=ro", uri=True) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}


def shape(release):
    """What of an answer depends on no record and no noise."""
    columns = [(c.name, c.role, c.type, c.unit) for c in release.columns]
    return columns, release.cohorts_left_out, release.bounds, release.plan_hash, release.epoch, release.population


def refusal(verb, sql, **fields):
    """The refusal of a question as it goes over the wire; None if it is answered."""
    try:
        verb(sql, **fields)
    except Refusal as refused:
        return refused.body()
    return None


def groups(release):
    """Each group with the cohorts left out of it, in any order."""
    keys = [k for k, column in enumerate(release.columns) if column.role == "key"]
    rows = zip(release.rows, release.partial, strict=True)
    return sorted((repr([row[k] for k in keys]), without) for row, without in rows)


# -- as the real one, without the vault


def some(cases):
    """All questions; every fifth without the mark `slow`."""
    return [
        pytest.param(case, id=case.place, marks=pytest.mark.slow if number % 5 else ())
        for number, case in enumerate(cases)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("case", some(ACCEPTED))
def test_a_rehearsal_is_the_real_answer_but_for_its_numbers(case, whole, untouched, bare):
    """The same columns, types, groups, partial marks and noise as the real answer; free, and marked."""
    real = whole.ask(case.sql, **SOME)
    told = bare.ask(case.sql, rehearse=True, **SOME)
    assert shape(told) == shape(real)
    if not any(CHOSEN in note for note in real.notes) and " LIMIT " not in case.sql.upper():
        assert groups(told) == groups(real)
    assert told.independent == real.independent or any(CHOSEN in note for note in real.notes)
    assert (told.rehearsal, told.replayed, told.draws, told.charges) == (True, False, [], [])
    assert not real.rehearsal
    assert set(real.notes) < set(told.notes)
    foretold = untouched.preview(case.sql, **SOME)
    assert told.noise == foretold.noise


@pytest.mark.parametrize("case", some(ACCEPTED))
def test_a_preview_in_rehearsal_is_the_preview_of_what_is_new(case, untouched, bare):
    """Without the vault it says what a real one says where nothing has been measured."""
    real = untouched.preview(case.sql, **SOME)
    told = bare.preview(case.sql, rehearse=True, **SOME)
    assert told.notes[2:] == real.notes
    assert dataclasses.replace(told, notes=real.notes, rehearsal=False) == real


@pytest.mark.parametrize("case", some(REFUSED))
def test_what_is_refused_is_refused_in_rehearsal(case, bare, untouched):
    """With the same code, place, words and advice, from each verb."""
    ((code, *_),) = case.expected
    real = refusal(untouched.preview, case.sql)
    assert real is None if case.place == FEWER_SCHOOLS else real["code"] == code
    for verb in (bare.preview, bare.explain, *([bare.ask] if real else [])):
        assert refusal(verb, case.sql, rehearse=True) == real


@pytest.mark.parametrize(
    ("sql", "fields", "kind"),
    [
        (COUNT, {"epsilon": 3.0}, BudgetRefused),
        (COUNT, {"moe": 0.01}, BudgetRefused),
        (COUNT, {"cohorts": (2039,), "epsilon": 50.0}, BudgetRefused),
        (COUNT, {"cohorts": (2020,)}, BudgetRefused),
        (
            "SELECT COUNT(*) AS n FROM student WHERE cohort_year = 2020",
            {"cohorts": (2020, 2030), "epsilon": 9.0},
            BudgetRefused,
        ),
        (COUNT, {"cohorts": (1999,)}, QueryRefused),
        (COUNT, {"grant": "nobody"}, AccessRefused),
        (COUNT, {"moe": {"m": 3.0}}, QueryRefused),
        (COUNT, {"moe": 3.0, "epsilon": 1.0}, QueryRefused),
        (COUNT, {"rows_per_student_max": 0}, QueryRefused),
        (COUNT, {"request_id": ""}, QueryRefused),
    ],
)
def test_budget_grant_and_fields_refuse_as_for_the_real_question(sql, fields, kind, bare, untouched):
    """A budget that cannot pay refuses a rehearsal, in the same words."""
    with pytest.raises(kind) as real:
        untouched.ask(sql, **fields)
    with pytest.raises(kind) as told:
        bare.ask(sql, rehearse=True, **fields)
    assert told.value.body() == real.value.body()


@pytest.mark.slow
def test_what_has_been_spent_counts_in_a_rehearsal(district):
    """The ledger's balances are the real ones."""
    sql = "SELECT COUNT(*) AS n FROM student WHERE cohort_year = 2030"
    district.ask(sql, epsilon=0.8, rehearse=True)
    district.ask(sql, epsilon=0.8)
    with pytest.raises(BudgetRefused) as caught:
        district.ask("SELECT COUNT(sex) AS n FROM student WHERE cohort_year = 2030", epsilon=0.6, rehearse=True)
    assert caught.value.code == "budget_year"


def test_cohorts_that_are_left_out_are_marked(bare, untouched):
    """A rehearsal names them and marks the cells, as the preview of the real question does."""
    sql = "SELECT school_year, COUNT(*) AS n FROM student_year GROUP BY school_year"
    told = bare.ask(sql, cohorts=(2030, 2031), rehearse=True)
    assert told.partial == untouched.preview(sql, cohorts=(2030, 2031)).partial
    assert any(told.partial)
    assert {each.reason for each in told.cohorts_left_out} <= {"not named in the request", *LEFT_OUT_REASONS.values()}


# -- the ledger is read and never written


def test_a_rehearsal_leaves_the_ledger_as_it_is(bare_folder):
    """Not a byte of the file and not a row of it changes, whatever is rehearsed."""
    with District.open(bare_folder) as district:
        rows, content = ledger_rows(bare_folder), (bare_folder / "ledger.sqlite").read_bytes()
        district.ask(COUNT, request_id="r1", rehearse=True)
        district.preview(COUNT, rehearse=True)
        district.explain(COUNT, moe=40, rehearse=True)
        with pytest.raises(BudgetRefused):
            district.ask(COUNT, epsilon=3.0, rehearse=True)
        assert ledger_rows(bare_folder) == rows
        assert (bare_folder / "ledger.sqlite").read_bytes() == content
    assert ledger_rows(bare_folder) == rows


@pytest.mark.slow
def test_no_stored_measurement_is_in_a_rehearsal(district):
    """What has been measured is drawn anew from invented records, with the noise of a new question, and stays out."""
    sql = "SELECT COUNT(*) AS n FROM student WHERE cohort_year = 2030"
    real = district.ask(sql, request_id="r1", epsilon=0.5)
    told = district.ask(sql, request_id="r1", epsilon=0.1, rehearse=True)
    assert told.noise[0].scale > real.noise[0].scale
    assert told.rows != real.rows
    assert (told.draws, told.replayed) == ([], False)
    foretold = district.preview(sql, epsilon=0.1, rehearse=True)
    assert foretold.noise == told.noise
    assert foretold.charges
    assert district.preview(sql, epsilon=0.1).charges == []
    assert district.ask(sql, request_id="r1", epsilon=0.5).rows == real.rows


@pytest.mark.slow
def test_a_rehearsal_is_no_measurement_and_its_request_id_is_free(district):
    """The real question after it pays in full, under the same id, and is no replay."""
    told = [district.ask(COUNT, request_id="r1", rehearse=True) for _ in range(3)]
    assert len({repr(each.rows) for each in told}) == 3
    assert len({each.release_id for each in told}) == 3
    real = district.ask(COUNT, request_id="r1")
    assert not real.replayed
    assert real.charges
    assert district.ask(COUNT, request_id="r1").rows == real.rows
    assert not district.ask(COUNT, request_id="r1", rehearse=True).replayed


def test_a_rehearsal_says_what_the_real_question_would_cost(bare, untouched):
    """In the words of ε, for the classes it would charge; nothing for a question about nobody."""
    most = max(charge.epsilon for charge in untouched.preview(COUNT).charges)
    note = bare.ask(COUNT, rehearse=True).notes[1]
    assert note.startswith(f"As a real question this would cost at most ε {most:.3g} (δ 5e-8) to each class of ")
    public = bare.ask("SELECT COUNT(*) AS n FROM student WHERE cohort_year = 2030 AND FALSE", rehearse=True)
    assert public.notes[1] == "As a real question this would cost nothing."


# -- the vault stays closed


def test_a_rehearsal_never_opens_the_vault(folder, monkeypatch):
    """Not even where it could be."""
    monkeypatch.setattr(Vault, "open", lambda *_: pytest.fail("the vault was opened"))
    with District.open(folder) as district:
        assert district.ask(COUNT, rehearse=True).rehearsal
        assert district.preview(COUNT, rehearse=True).rehearsal
        assert district.explain(COUNT, rehearse=True).preview.rehearsal
        assert district.catalog.tables["school"].rows


@pytest.mark.slow
@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_without_its_vault_a_district_rehearses_and_refuses_what_is_real(content, folder):
    """Missing or damaged: real questions of every verb are refused clearly, and cost nothing."""
    file = vault_file(folder)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with District.open(folder) as district:
        assert district.ask(COUNT, rehearse=True).rows
        before = ledger_rows(folder)
        for verb in (district.ask, district.preview, district.explain):
            with pytest.raises(CatalogRefused) as caught:
                verb(COUNT)
            assert (caught.value.code, caught.value.file) == ("load", file.name)
        assert ledger_rows(folder) == before
        assert district.ask(COUNT, rehearse=True).rows


def test_a_changed_catalog_refuses_to_open_without_the_vault(bare_folder):
    """The ledger knows the digest of the catalog that the records were verified against."""
    path = bare_folder / "district.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("rows: 16, per", "rows: 17, per"), encoding="utf-8")
    with pytest.raises(CatalogRefused) as caught:
        District.open(bare_folder)
    assert "another catalog" in caught.value.message


def test_a_district_without_public_rows_beside_its_vault_answers_but_cannot_rehearse(folder):
    """As one that was loaded before they were written: the vault is opened, and held against the catalog, at once."""
    (public,) = (folder / "vault").glob("*.public.json")
    public.unlink()
    with District.open(folder) as district:
        assert district.ask(COUNT).rows
        with pytest.raises(CatalogRefused) as caught:
            district.ask(COUNT, rehearse=True)
        assert caught.value.file == public.name
    vault_file(folder).unlink()
    with pytest.raises(CatalogRefused):
        District.open(folder)


@pytest.mark.slow
def test_invented_records_are_made_once_and_the_vault_is_opened_once(district, monkeypatch):
    """Whatever is asked, and whatever is rehearsed."""
    made = []
    real = pipeline.House.rehearsing
    monkeypatch.setattr(pipeline.House, "rehearsing", lambda house: made.append(real(house)) or made[-1])
    for _ in range(3):
        district.ask(COUNT, rehearse=True)
    assert len({id(house.vault) for house in made}) == 1
    assert made[0].vault is not district._house.vault
    assert district._house.vault is district._house.vault


def test_a_closed_district_opens_nothing(folder):
    """Closed is closed: neither the vault nor invented records come back."""
    district = District.open(folder)
    house = district._house
    district.close()
    for later in (house.records, house.invented):
        with pytest.raises(RuntimeError):
            later.opened()


# -- marked on every face


def test_a_table_of_a_rehearsal_ends_with_a_column_that_says_so(bare, whole):
    """True in every row; a real answer keeps its columns; a column of the question's own is left alone."""
    table = bare.ask(COUNT, cohorts=(2030,), rehearse=True).to_pandas()
    assert list(table.columns)[-2:] == ["partial", "rehearsal"]
    assert table["rehearsal"].dtype == "boolean"
    assert table["rehearsal"].all()
    assert len(table) == 15
    assert "rehearsal" not in whole.ask(COUNT, **SOME).to_pandas().columns
    own = bare.ask("SELECT COUNT(*) AS rehearsal FROM student", rehearse=True).to_pandas()
    assert list(own.columns) == ["rehearsal", "rehearsal_se", "rehearsal_moe90", "rehearsal_moe95", "rehearsal_"]
    assert own["rehearsal_"].tolist() == [True]
    assert isinstance(own, pd.DataFrame)


def test_a_rehearsal_that_fails_is_as_opaque_as_a_question(district, monkeypatch):
    """No text of a database or library leaves the house, and the incident is noted."""

    def broken(*_):
        raise ValueError("a text of a library")

    monkeypatch.setattr(pipeline.backend, "run", broken)
    with pytest.raises(InternalFailure) as caught:
        district.ask(COUNT, rehearse=True)
    assert caught.value.incident in district._house.incidents.read_text(encoding="utf-8")
    assert "library" not in str(caught.value) + district._house.incidents.read_text(encoding="utf-8")
