from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from fractions import Fraction

import opendp.prelude as dp
import pytest

from budgets.clock import FixedClock
from engine import mechanisms, pipeline
from engine.backends import duckdb as backend
from engine.compile import compile_batch
from engine.district import District
from engine.office import Office
from engine.preparation import planned
from engine.refusals import AccessRefused, BudgetRefused, InternalFailure, QueryRefused
from tests.engine.counting import exact_vectors

COUNT = "SELECT grade_level, COUNT(*) AS n FROM student_year WHERE school_year = 2025 GROUP BY grade_level"


def spent(district):
    return {cohort: balance.lifetime_spent for cohort, balance in district.balances().items()}


def test_a_charge_is_opendps_map_at_the_true_sensitivity(district):
    """What each cohort pays is the map of each draw's scale at the hand-derived sensitivity, rounded up."""
    sql = "SELECT school_year, COUNT(*) AS n, SUM(gpa) AS g FROM student_year GROUP BY school_year"
    release = district.ask(sql)
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    by_hand = {"COUNT(*)": 7, "COUNT(gpa)": 7, "SUM(gpa) centred at 2.5": 7 * 250**2}
    owed = 0
    for noise in release.noise:
        rho = dp.m.make_gaussian(*space, scale=noise.scale).map(mechanisms.d_in_of(by_hand[noise.statistic]))
        owed += -(-Fraction(rho) * 10**9 // 1)
    assert {charge.loss_nanorho for charge in release.charges} == {owed}
    assert spent(district) == {c: owed if 2020 <= c <= 2039 else 0 for c in spent(district)}


def test_a_question_on_two_cohorts_charges_those_two_alone(district):
    """Cohorts that WHERE leaves out pay nothing."""
    district.ask("SELECT COUNT(*) AS n FROM student WHERE cohort_year IN (2030, 2031)")
    assert [cohort for cohort, nanorho in spent(district).items() if nanorho] == [2030, 2031]


def test_the_default_share_is_a_sixtieth_of_the_year(district):
    """The smallest year of the touched cohorts, divided by sixty, and not a nano-ρ more."""
    caps = {cohort: balance.year_cap for cohort, balance in district.balances().items()}
    district.ask("SELECT COUNT(*) AS n FROM student WHERE cohort_year IN (2023, 2031)")
    assert caps[2023] * 3 == pytest.approx(caps[2031], abs=3)
    assert caps[2023] // 60 - 3 <= spent(district)[2031] <= caps[2023] // 60


def test_a_class_without_a_budget_is_named(folder):
    """By every verb, with the classes that could be asked."""
    with Office.open(folder) as office:
        office.lower_cap([2031], 0, "A. Officer")
    with District.open(folder) as district:
        for verb, rehearse in ((district.ask, False), (district.ask, True), (district.preview, False)):
            with pytest.raises(BudgetRefused, match="classes 2031") as caught:
                verb("SELECT COUNT(*) AS n FROM student WHERE cohort_year IN (2030, 2031)", rehearse=rehearse)
            assert caught.value.accepted == "cohorts=[2030]"
        with pytest.raises(BudgetRefused) as caught:
            district.ask("SELECT COUNT(*) AS n FROM student WHERE cohort_year = 2031")
        assert caught.value.accepted == "a question about other classes"


def test_avg_sum_and_count_of_one_column_cost_two_statistics(district):
    """They are made of one count and one centred sum."""
    release = district.ask(
        "SELECT AVG(gpa) AS a, SUM(gpa) AS s, COUNT(gpa) AS c FROM student_year WHERE school_year = 2025"
    )
    assert len(release.draws) == 2


@pytest.mark.parametrize(
    ("first", "second"), [("SUM(scale_score)", "AVG(scale_score)"), ("AVG(scale_score)", "SUM(scale_score)")]
)
def test_what_was_measured_is_free(first, second, district):
    """AVG after SUM draws nothing and charges nothing."""
    sql = "SELECT {} AS x FROM assessment WHERE school_year = 2025 AND subject = 'math'"
    district.ask(sql.format(first))
    before = spent(district)
    release = district.ask(sql.format(second))
    assert release.replayed
    assert release.charges == []
    assert spent(district) == before


def test_the_same_question_in_other_words_is_the_same_answer(district):
    """Aliases, order, LIMIT and spelling do not matter: the stored measurement answers."""
    one = district.ask(COUNT)
    sql = "select count(*) as students, y.grade_level from student_year y where 2025 = school_year group by 2 order by 2 desc"
    other = district.ask(sql)
    assert other.draws == one.draws
    assert {row[0]: row[1] for row in one.rows} == {row[1]: row[0] for row in other.rows}


def test_more_epsilon_is_a_new_draw_and_less_is_free(district):
    """A sharper repeat pays; a duller one is answered from the sharper measurement."""
    sql = "SELECT COUNT(*) AS n FROM student WHERE cohort_year = 2031"
    dull = district.ask(sql, epsilon=0.1)
    sharp = district.ask(sql, epsilon=0.3)
    again = district.ask(sql, epsilon=0.2)
    assert sharp.draws != dull.draws
    assert sharp.se[0][0] < dull.se[0][0]
    assert again.draws == sharp.draws
    assert sharp.charges[0].epsilon <= 0.3


def test_a_request_id_gives_one_answer_for_ever(district):
    """Asked again under its id, an answer is the same to the last digit and costs nothing."""
    one = district.ask(COUNT, request_id="r1")
    before = spent(district)
    again = district.ask(COUNT, request_id="r1")
    assert again.replayed
    assert not one.replayed
    assert (again.release_id, again.rows, again.charges) == (one.release_id, one.rows, one.charges)
    assert spent(district) == before


@pytest.mark.parametrize(
    "other", [{"sql": "SELECT COUNT(*) AS n FROM student"}, {"epsilon": 0.2}, {"cohorts": (2030,)}]
)
def test_a_request_id_belongs_to_one_question_at_one_accuracy(other, district):
    """The same id with another plan, accuracy or cohorts is refused, and costs nothing."""
    district.ask(COUNT, request_id="r1")
    before = spent(district)
    with pytest.raises(AccessRefused) as caught:
        district.ask(other.get("sql", COUNT), request_id="r1", **{k: v for k, v in other.items() if k != "sql"})
    assert caught.value.code == "request_id_reused"
    assert spent(district) == before


def test_a_question_nobody_can_pay_is_refused_whole(district):
    """If one cohort cannot pay, none pays, and the cohorts that could are named."""
    year = {cohort: balance.year_cap for cohort, balance in district.balances().items()}
    district.ask("SELECT COUNT(*) AS n FROM student WHERE cohort_year = 2030", epsilon=0.8)
    before = spent(district)
    with pytest.raises(BudgetRefused) as caught:
        district.ask("SELECT COUNT(*) AS n FROM student WHERE cohort_year IN (2030, 2031)", epsilon=0.6)
    assert caught.value.code == "budget_year"
    assert "2031" in caught.value.accepted
    assert "2030" not in caught.value.accepted
    assert spent(district) == before
    assert all(nanorho <= year[cohort] for cohort, nanorho in before.items())


def test_before_the_charge_no_record_is_touched(district, monkeypatch):
    """Preview, refusals and the whole plan work with the data connection closed."""
    monkeypatch.setattr(type(district._house.vault), "cursor", lambda _: pytest.fail("a record was touched"))
    foretold = district.preview(COUNT)
    assert len(foretold.charges) == 17
    assert foretold.expected[0].moe90 > 0
    assert district.explain(COUNT).statement.startswith("SELECT")
    with pytest.raises(QueryRefused):
        district.ask("SELECT MAX(gpa) FROM student_year")
    with pytest.raises(BudgetRefused):
        district.ask(COUNT, epsilon=3.0)
    assert set(spent(district).values()) == {0}


def test_a_preview_foretells_the_answer(district):
    """Charge, noise and linear margins of the preview are those of the answer."""
    foretold, release = district.preview(COUNT), district.ask(COUNT)
    assert foretold.charges == release.charges
    assert foretold.noise == release.noise
    assert foretold.plan_hash == release.plan_hash
    assert foretold.expected[0].moe90 == pytest.approx(release.moe90[0][1])


def test_a_preview_says_which_columns_will_have_no_margin(district):
    """Before anything is charged it is known what is made by more than arithmetic."""
    sql = "SELECT grade_level, COUNT(*) AS n, COUNT(*) / 2 AS half, FLOOR(AVG(gpa)) AS g FROM student_year GROUP BY 1"
    reasons = [column.moe_reason for column in district.preview(sql).columns]
    assert [reason is None for reason in reasons] == [True, True, True, False]
    assert [column.moe_reason for column in district.ask(sql).columns][3] == reasons[3]
    assert district.ask("SELECT FLOOR(COUNT(*)) AS n FROM student").rows[0][0] > 0


def test_a_question_with_a_margin_is_answered_with_it(district):
    """The answer keeps the margin it was asked with, and the preview said so."""
    assert district.preview(COUNT, moe=40).expected[0].moe90 == 40
    first = district.ask(COUNT, moe=40)
    assert {row[1] for row in first.moe90} == {40}
    assert district.ask(COUNT, moe=40).draws == first.draws
    assert not district.ask(COUNT, moe={"n": 50.0}).charges
    sharper = district.ask(COUNT, moe=35)
    assert sharper.draws != first.draws
    assert {row[1] for row in sharper.moe90} == {35}


def test_a_request_id_is_bound_to_its_margin(district):
    """Another margin under one id is another question; the same one is served again."""
    first = district.ask(COUNT, moe=40, request_id="one")
    assert district.ask(COUNT, moe={"n": 40}, request_id="other").draws == first.draws
    assert district.ask(COUNT, moe=40, request_id="one").rows == first.rows
    assert district.ask(COUNT.replace("AS n", "AS k"), moe={"k": 40}, request_id="one").rows == first.rows
    for fields in ({"moe": 41}, {"moe": 40, "moe_at_n": 50}, {"epsilon": 0.1}, {}):
        with pytest.raises(AccessRefused) as refused:
            district.ask(COUNT, request_id="one", **fields)
        assert refused.value.code == "request_id_reused"


@pytest.mark.parametrize(
    "fields",
    [
        {"moe": 10**400},
        {"epsilon": 10**400},
        {"epsilon": float("nan")},
        {"cohorts": 5},
        {"cohorts": [10**5000]},
        {"cohorts": iter([2030])},
        {"cohorts": []},
        {"cohorts": ["2030"]},
        {"grant": ["a"]},
        {"request_id": 5},
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_refused(fields, district):
    """With what would be accepted, and never as a failure inside."""
    with pytest.raises(QueryRefused) as refused:
        district.ask(COUNT, **fields)
    assert refused.value.accepted


def test_a_margin_of_nothing_is_still_a_margin_of_a_column(district):
    """Where nothing is measured an unknown column is refused all the same."""
    with pytest.raises(QueryRefused, match="zz"):
        district.preview("SELECT AVG(gpa) AS g FROM student_year WHERE FALSE", moe={"zz": 1})


def test_an_average_of_nobody_is_null(district):
    """As in SQL; nothing is drawn for it."""
    release = district.ask("SELECT AVG(gpa) AS g FROM student_year WHERE school_year = 2025 AND gpa > 9")
    assert release.rows == [(None,)]
    assert release.charges == []


@pytest.mark.parametrize("moe", [0, -1, float("nan"), float("inf"), True, "5", {}, {"n": 0}, {5: 5}, [5], 1e-300])
def test_a_margin_is_a_positive_number(moe, district):
    """Anything else is refused before anything is charged."""
    with pytest.raises(QueryRefused) as refused:
        district.ask(COUNT, moe=moe)
    assert refused.value.accepted
    assert set(spent(district).values()) == {0}


def test_the_bounds_that_could_be_narrower_are_each_sums_own(district):
    """Two CASE expressions are shown alike, and are two."""
    one = "SUM(CASE WHEN schools_attended BETWEEN 2 AND 5 THEN schools_attended END)"
    other = "SUM(CASE WHEN days_absent BETWEEN 2 AND 90 THEN days_absent END)"
    advice = district.explain(f"SELECT {one} AS a, {other} AS b FROM student_year WHERE school_year = 2025").advice
    assert any("(CASE … from 2 to 5, CASE … from 2 to 90;" in each for each in advice)


def test_an_explanation_shows_the_proof(district):
    """Pins, key, sensitivity, noise and loss of each statistic, the statement, and advice with its factor."""
    sql = "SELECT school_year, SUM(gpa) AS s FROM student_year WHERE school_year IN (2023, 2024, 2025) GROUP BY school_year"
    explained = district.explain(sql)
    assert explained.groups == 3
    total, count = explained.statistics
    assert total.pins == ["school_year has 3 of 7 values"]
    assert (total.rows, total.rows_per_group, total.groups) == (3, 1, 3)
    assert total.rows_because == "unique (student_key, school_year; school_year has 3 left)"
    assert total.sensitivity_l2 == pytest.approx(250 * 3**0.5)
    assert (total.bound, total.unit) == (250, 0.01)
    assert total.loss_nanorho + count.loss_nanorho == explained.preview.charges[0].loss_nanorho
    assert explained.advice == [
        "Asked of one school_year alone (WHERE school_year = …), margins are up to 1.73 times narrower.",
        "With half as wide bounds (gpa from 0 to 5; CASE WHEN x BETWEEN … AND … THEN x END), margins are up to 2 times narrower.",
        "Half the margins cost four times the loss: epsilon=0.121, not 0.0583, at δ 5e-08.",
    ]
    assert district.explain(sql, epsilon=0.8).advice[-1].startswith("With half as wide bounds")
    cheaper = district.explain(sql, moe=500).advice
    assert cheaper[0].endswith("it costs 3 times less.")
    assert cheaper[-1] == "Twice as wide margins cost a quarter."
    two = district.explain("SELECT COUNT(*) AS a, COUNT(gpa) AS b FROM student_year WHERE school_year = 2025").advice
    assert two[0].endswith("asked alone, margins are up to 1.41 times narrower.")
    district.ask(sql)
    assert district.explain(sql).statement is None


def test_a_preview_says_what_an_average_would_be_worth(district):
    """The foretold margin at n rows is at least the margin of an answer over n rows, and not far above."""
    sql = "SELECT AVG(CASE WHEN econ_disadv THEN 1 ELSE 0 END) AS r, COUNT(*) AS n FROM student_year WHERE school_year = 2025"
    foretold = {each.column: each for each in district.preview(sql, epsilon=0.4).expected}
    release = district.ask(sql, epsilon=0.4)
    n = release.rows[0][1]
    assert release.moe90[0][0] <= foretold["r"].moe90_at_n["100"] * 100 / n * 1.05
    assert release.moe90[0][0] >= foretold["r"].moe90_at_n["100"] * 100 / n / 1.5


@pytest.mark.parametrize("field", ["rows_per_student_max", "groups_per_student_max"])
@pytest.mark.parametrize("value", [True, 0, -1, 1.5, "3", 10_001, float("nan")])
def test_limits_that_are_no_whole_numbers_are_refused(field, value, district):
    """Nothing is ignored in silence."""
    with pytest.raises(QueryRefused) as caught:
        district.ask(COUNT, **{field: value})
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    "fields",
    [
        {"epsilon": float("nan")},
        {"epsilon": 0},
        {"epsilon": -1.0},
        {"epsilon": True},
        {"epsilon": 5e-324},
        {"epsilon": float("inf")},
        {"epsilon": "1"},
        {"request_id": ""},
        {"request_id": "a\nb"},
        {"request_id": "x" * 101},
        {"request_id": "é"},
        {"cohorts": ()},
        {"cohorts": ("2030",)},
        {"cohorts": "2030"},
        {"cohorts": (1999,)},
        {"cohorts": (True,)},
        {"rehearse": 1},
        {"rehearse": "false"},
        {"rehearse": None},
    ],
)
def test_odd_fields_are_refused(fields, district):
    """A field that is not what it should be is refused, and nothing is charged."""
    with pytest.raises(QueryRefused):
        district.ask(COUNT, **fields)
    assert set(spent(district).values()) == {0}


def test_another_grant_is_refused(district):
    """Only the built-in grant exists."""
    with pytest.raises(AccessRefused) as caught:
        district.ask(COUNT, grant="somebody")
    assert caught.value.code == "grant_missing"


def test_left_out_cohorts_are_named_and_their_cells_marked(district):
    """Asked of some cohorts, a cell in which another can occur is partial, and only such a cell."""
    sql = "SELECT school_year, COUNT(*) AS n FROM student_year WHERE school_year IN (2020, 2025) GROUP BY school_year"
    release = district.ask(sql, cohorts=(2036, 2037))
    assert [each.cohort for each in release.cohorts_left_out] == [
        c for c in range(2020, 2039) if c not in (2036, 2037)
    ]
    assert {row[0]: marked for row, marked in zip(release.rows, release.partial, strict=True)} == {
        2020: tuple(range(2020, 2034)),
        2025: tuple(c for c in range(2022, 2039) if c not in (2036, 2037)),
    }
    assert list(release.to_pandas().columns) == ["school_year", "n", "n_se", "n_moe90", "n_moe95", "partial"]


def test_a_sealed_class_is_left_out_and_named(folder):
    """Ten years later the oldest classes are sealed: they are left out, and the answer says so."""
    with District.open(folder) as district:
        later = FixedClock(district._house.ledger.now().replace(year=2030))
        district._house.ledger._clock = later
        release = district.ask("SELECT COUNT(*) AS n FROM student")
        assert {each.cohort for each in release.cohorts_left_out} == set(range(2020, 2025))
        assert all("sealed" in each.reason for each in release.cohorts_left_out)
        with pytest.raises(BudgetRefused) as caught:
            district.ask("SELECT COUNT(*) AS n FROM student", cohorts=(2020,))
        assert caught.value.code == "cohort_sealed"


A_YEAR = "FROM student_year WHERE school_year = 2025 GROUP BY grade_level"
BOTH = "WITH a AS (SELECT school_year, COUNT(*) AS n FROM student_year GROUP BY school_year) SELECT n FROM a"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (f"SELECT grade_level, COUNT(*) AS n {A_YEAR} ORDER BY n DESC LIMIT 3", True),
        (f"SELECT grade_level, COUNT(*) AS n {A_YEAR} ORDER BY n DESC", False),
        (f"SELECT grade_level, COUNT(*) AS n {A_YEAR} ORDER BY grade_level LIMIT 3", False),
        (f"SELECT grade_level, COUNT(*) AS n {A_YEAR} HAVING COUNT(*) > 20", True),
        (f"SELECT grade_level, COUNT(*) AS n {A_YEAR} QUALIFY RANK() OVER (ORDER BY n) < 4", True),
        (f"{BOTH} WHERE n > 20", True),
        (f"{BOTH} WHERE school_year = 2025", False),
        (f"{BOTH} ORDER BY n LIMIT 2", True),
    ],
)
def test_a_selection_by_noise_is_told(sql, told, district):
    """A row shown because its estimate is high or low is likely to be less extreme than it looks."""
    assert any("Noise had a part" in note for note in district.preview(sql).notes) == told


def test_public_knowledge_is_free(district):
    """A condition no student can fulfil, or keys alone, cost nothing and touch nobody."""
    for sql in (
        "SELECT COUNT(*) AS n FROM student_year WHERE school_year = 1985",
        "SELECT grade_level FROM student_year GROUP BY grade_level",
    ):
        release = district.ask(sql)
        assert release.draws == []
        assert release.charges == []
    assert set(spent(district).values()) == {0}


def test_a_failure_is_opaque_and_keeps_its_charge(district, monkeypatch):
    """Database text never leaves; the charge stays, and the same request draws on it once the cause is gone."""

    def fail(*_):
        raise ValueError("CANARY-4711 of student 604821")

    monkeypatch.setattr(pipeline.backend, "run", fail)
    with pytest.raises(InternalFailure) as caught:
        district.ask(COUNT, request_id="r1")
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    paid = spent(district)
    assert any(paid.values())
    monkeypatch.undo()
    release = district.ask(COUNT, request_id="r1")
    assert not release.replayed
    assert spent(district) == paid


def test_an_incident_that_cannot_be_noted_is_told_all_the_same(district, folder, monkeypatch):
    """Its folder is gone: the failure stays opaque, and no other takes its place."""
    shutil.rmtree(folder / "reports")
    monkeypatch.setattr(pipeline.backend, "run", lambda *_: 1 / 0)
    with pytest.raises(InternalFailure) as caught:
        district.ask(COUNT)
    assert caught.value.__context__ is None


def test_a_note_of_an_incident_says_where_and_nothing_of_what(district, folder, monkeypatch):
    """Neither the text of the failure nor of its causes, nor its class: an overflow tells of a great value."""

    def fail(*_):
        try:
            int("CANARY-4711")
        except ValueError as error:
            error.add_note("CANARY-4712")
            raise OverflowError("CANARY-4713") from error

    monkeypatch.setattr(pipeline.backend, "run", fail)
    with pytest.raises(InternalFailure) as caught:
        district.ask(COUNT)
    text = (folder / "reports" / "incidents.jsonl").read_text()
    (note,) = map(json.loads, text.splitlines())
    assert set(note) == {"incident", "frames"}
    assert note["incident"] == caught.value.incident
    assert any(frame.startswith("pipeline.py:") for frame in note["frames"])
    assert all(re.fullmatch(r"[\w.]+:\d+", frame) for frame in note["frames"])
    assert not any(word in text for word in ("CANARY", "Error"))


def test_a_failure_while_drawing_loses_the_answer(district, monkeypatch):
    """Once drawing has begun nothing is drawn a second time on that charge: spent, no answer."""
    monkeypatch.setattr(mechanisms, "draw", lambda *_: 1 // 0)
    with pytest.raises(InternalFailure):
        district.ask(COUNT, request_id="r1")
    monkeypatch.undo()
    paid = spent(district)
    with pytest.raises(AccessRefused) as caught:
        district.ask(COUNT, request_id="r1")
    assert caught.value.code == "answer_lost"
    assert spent(district) == paid
    district.ask(COUNT, request_id="r2")
    assert all(
        after in (0, 2 * before)
        for (_, before), (_, after) in zip(paid.items(), spent(district).items(), strict=True)
    )


def test_what_cannot_be_stored_is_not_drawn_again(district, monkeypatch):
    """Where a measurement cannot be written down, it is lost: one draw, one charge, no answer."""
    drawn, real_draw = [], mechanisms.draw
    monkeypatch.setattr(mechanisms, "draw", lambda *given: (drawn.append(1), real_draw(*given))[1])
    monkeypatch.setattr(type(district._house.ledger), "finish", lambda *_: 1 // 0)
    with pytest.raises(InternalFailure):
        district.ask(COUNT, request_id="r1")
    monkeypatch.undo()
    assert drawn == [1]
    with pytest.raises(AccessRefused) as caught:
        district.ask(COUNT, request_id="r1")
    assert caught.value.code == "answer_lost"


def test_an_interrupted_draw_is_lost_at_once(district, monkeypatch):
    """Ctrl-C while drawing: nobody waits for an answer that will never come."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "WAIT_S", 0.05)
    monkeypatch.setattr(mechanisms, "draw", interrupt)
    with pytest.raises(KeyboardInterrupt):
        district.ask(COUNT, request_id="r1")
    with pytest.raises(AccessRefused) as caught:
        district.ask(COUNT, request_id="r1")
    assert caught.value.code == "answer_lost"


@pytest.mark.parametrize("others", ["as they are", "paid more"])
def test_a_cohort_that_did_not_pay_is_not_scanned(others, district, monkeypatch):
    """Whatever went wrong with a charge: before the draw each cohort of the scan is held against its own maps."""
    ledger = type(district._house.ledger)
    charge = ledger.charge

    def forgetful(*given):
        entry = charge(*given)
        kept = [replace(c, loss=c.loss + c.loss if others == "paid more" else c.loss) for c in entry.charges[1:]]
        return replace(entry, charges=tuple(kept))

    monkeypatch.setattr(ledger, "charge", forgetful)
    monkeypatch.setattr(pipeline.backend, "run", lambda *_: pytest.fail("a record was touched"))
    with pytest.raises(InternalFailure):
        district.ask(COUNT)


def test_a_repeated_request_is_answered_for_the_cohorts_that_paid(district):
    """Five years on its oldest classes are sealed; under its id the answer stays what it was."""
    one = district.ask("SELECT COUNT(*) AS n FROM student", request_id="r1")
    district._house.ledger._clock = FixedClock(district._house.ledger.now().replace(year=2030))
    again = district.ask("SELECT COUNT(*) AS n FROM student", request_id="r1")
    assert (again.rows, again.draws, again.cohorts_left_out) == (one.rows, one.draws, [])


@pytest.mark.parametrize("finished", [True, False])
def test_a_request_keeps_to_the_records_it_was_charged_on(finished, district, monkeypatch):
    """Once they have been replaced, its id neither draws from the new ones nor answers for them."""
    if not finished:
        monkeypatch.setattr(pipeline.backend, "run", lambda *_: 1 // 0)
        with pytest.raises(InternalFailure):
            district.ask(COUNT, request_id="r1")
        monkeypatch.undo()
    else:
        district.ask(COUNT, request_id="r1")
    district._house.vault.epoch = "another"
    with pytest.raises(AccessRefused) as caught:
        district.ask(COUNT, request_id="r1")
    assert caught.value.code == "answer_lost"


KILL = """
import os, signal, sys
from pathlib import Path
from engine import mechanisms, postprocess, pipeline
from engine.district import District
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
where, folder, sql = sys.argv[1:]
if where == "charged":
    pipeline.backend.run = die
elif where == "drawing":
    mechanisms.draw = die
elif where == "drawn":
    from budgets.ledger import Ledger
    Ledger.finish = die
else:
    postprocess.answer = die
District.open(Path(folder)).ask(sql, request_id="r1")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "expected"),
    [("charged", "answered"), ("drawing", "answer_lost"), ("drawn", "answer_lost"), ("measured", "replayed")],
)
def test_kill_9_never_gives_budget_back_nor_draws_twice(where, expected, folder):
    """At each state: the charge stays; `charged` is taken up, `measured` served again, `drawing` lost for good."""
    child = subprocess.run([sys.executable, "-c", KILL, where, str(folder), COUNT], check=False)
    assert child.returncode == -signal.SIGKILL
    with District.open(folder) as district:
        paid = spent(district)
        assert any(paid.values())
        for _ in range(2):
            if expected == "answer_lost":
                with pytest.raises(AccessRefused) as caught:
                    district.ask(COUNT, request_id="r1")
                assert caught.value.code == "answer_lost"
            else:
                assert district.ask(COUNT, request_id="r1").replayed == (expected == "replayed")
                expected = "replayed"
        assert spent(district) == paid


def test_two_callers_of_one_id_draw_once(district, monkeypatch):
    """Ten threads ask under one id at once: one draw, one charge, ten equal answers."""
    drawn, found, gate = [], [], threading.Barrier(10)
    real_draw, real_run = mechanisms.draw, backend.run
    monkeypatch.setattr(mechanisms, "draw", lambda *given: (drawn.append(1), real_draw(*given))[1])

    def slow_run(*given):
        exact = real_run(*given)
        threading.Event().wait(0.05)
        return exact

    monkeypatch.setattr(pipeline.backend, "run", slow_run)

    def caller():
        gate.wait()
        found.append(district.ask(COUNT, request_id="r1"))

    threads = [threading.Thread(target=caller) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 10
    assert len(drawn) == 1
    assert len({json.dumps(release.rows) for release in found}) == 1
    assert sum(not release.replayed for release in found) == 1
    assert {n for n in spent(district).values() if n} == {found[0].charges[0].loss_nanorho}


def test_the_same_question_at_once_is_paid_once(district):
    """Different ids, one question: the second waits for the first measurement and is free."""
    found, gate = [], threading.Barrier(4)

    def caller(name):
        gate.wait()
        found.append(district.ask(COUNT, request_id=name))

    threads = [threading.Thread(target=caller, args=(f"r{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(release.draws) for release in found}) == 1
    assert sum(bool(release.charges) for release in found) == 1


ASK = """
import sys
from pathlib import Path
from engine.district import District
print(District.open(Path(sys.argv[1])).ask(sys.argv[2], request_id="r1").to_dict()["rows"])
"""


@pytest.mark.slow
def test_two_processes_with_one_id_draw_once(folder):
    """Two processes on one district, one id: both get the one answer."""
    command = [sys.executable, "-c", ASK, str(folder), COUNT]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert outputs[0] == outputs[1]
    with District.open(folder) as district:
        assert district.ask(COUNT).replayed


def exact(district, sql, cohorts):
    """The integers before the noise, by label."""
    house = district._house
    plan = planned(house.catalog, sql, cohorts)
    vectors = exact_vectors(house.vault, plan)
    return {s.label: vector.tolist() for s, vector in zip(plan.statistics, vectors, strict=True)}


def rows(tables, name, *columns):
    """Rows of an invented table with their student's class."""
    classes = dict(zip(*(tables["student"][c].to_pylist() for c in ("student_key", "cohort_year")), strict=True))
    table = tables[name]
    for row in zip(*(table[column].to_pylist() for column in ("student_key", *columns)), strict=True):
        yield classes[row[0]], *row[1:]


def test_only_charged_cohorts_are_scanned(district, tables):
    """A question asked of some cohorts counts their rows alone, and so does a FILTER that spares some."""
    sql = (
        "SELECT COUNT(*) AS a, COUNT(gpa) FILTER (WHERE school_year = 2020) AS b, "
        "SUM(gpa) FILTER (WHERE school_year = 2020) AS s FROM student_year WHERE school_year IN (2020, 2025)"
    )
    found = exact(district, sql, (2022, 2037))
    years = [row for row in rows(tables, "student_year", "school_year", "gpa") if row[0] in (2022, 2037)]
    assert found["COUNT(*)"] == [sum(year in (2020, 2025) for _, year, _ in years)]
    assert found["COUNT(gpa)"] == [sum(year == 2020 and gpa is not None for _, year, gpa in years)]
    gpas = [int(gpa * 100) - 250 for _, year, gpa in years if year == 2020 and gpa is not None]
    assert found["SUM(gpa) centred at 2.5"] == [sum(gpas)]
    plan = planned(district.catalog, sql, (2022, 2037))
    assert {s.label: s.cohorts for s in plan.statistics} == {
        "COUNT(*)": (2022, 2037),
        "COUNT(gpa)": (2022,),
        "SUM(gpa) centred at 2.5": (2022,),
    }
    text = compile_batch(district.catalog, plan.statistics).sql
    assert text.count('"cohort_year" BETWEEN 2022 AND 2022') == 2
    assert text.count('"cohort_year" IN (2022, 2037)') == 1


def test_groups_placed_after_the_fetch_are_those_the_database_places(district, monkeypatch):
    """Few groups are placed by us and many by a join: the vectors are the same."""
    sql = (
        "SELECT grade_level, school_id, COUNT(*) AS n, SUM(gpa) AS s, COUNT(*) FILTER (WHERE is_dropout) AS d "
        "FROM student_year WHERE school_year = 2025 AND grade_level <> '03' GROUP BY 1, 2"
    )
    ours = exact(district, sql, range(2020, 2040))
    monkeypatch.setattr("engine.compile.PLACED_GROUPS_MAX", 0)
    assert exact(district, sql, range(2020, 2040)) == ours


def test_exact_integers_are_the_definition(district, tables):
    """Counts and centred sums are what the plan says they are; NULL contributes 0, after centring."""
    found = exact(
        district,
        "SELECT COUNT(gpa) AS c, SUM(gpa) AS s FROM student_year WHERE school_year = 2025",
        range(2020, 2040),
    )
    gpas = [
        gpa for _, year, gpa in rows(tables, "student_year", "school_year", "gpa") if year == 2025 and gpa is not None
    ]
    assert found["COUNT(gpa)"] == [len(gpas)]
    assert found["SUM(gpa) centred at 2.5"] == [sum(int(gpa * 100) - 250 for gpa in gpas)]


def test_a_measurement_belongs_to_its_cohorts(district):
    """The same question of other cohorts is another measurement, and pays."""
    sql = "SELECT COUNT(*) AS n FROM student_year WHERE school_year = 2025"
    one, other = district.ask(sql, cohorts=(2030,)), district.ask(sql, cohorts=(2031,))
    assert one.draws != other.draws
    assert [charge.cohort for charge in other.charges] == [2031]
