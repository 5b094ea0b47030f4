"""The commands with which a district decides, as its officer types them."""

from __future__ import annotations

import io
import json
from datetime import date

import pytest
from rich.console import Console

from api import present_office
from budgets.cohorts import Balance
from budgets.loss import epsilon_of, nanorho_for
from budgets.outlook import outlook
from budgets.policy import Standing
from engine.district import District
from engine.office import Office
from engine.refusals import AccessRefused, BudgetRefused

COUNT = "SELECT grade_level, COUNT(*) AS n FROM student_year WHERE school_year = 2025 GROUP BY grade_level"
GRANT = {
    "--kind": "researcher",
    "--organisation": "State University",
    "--purpose": "attendance and grades",
    "--table": "student_year:grade_level,school_year",
    "--cohorts": "2028-2033",
    "--allowance": "5",
    "--expires": "2099-06-30",
    "--approved-by": "A. Officer",
}
TWO = ("--approved-by", "A. Officer", "--approved-by", "B. Board")


@pytest.fixture
def give(homeroom):
    """`homeroom grant add` with ordinary terms, unless others are given."""

    def run(folder, name="study", **others):
        options = GRANT | {f"--{key.replace('_', '-')}": value for key, value in others.items()}
        return homeroom("grant", "add", folder, name, *(part for pair in options.items() for part in pair))

    return run


@pytest.mark.slow
def test_a_real_district_goes_from_pilot_to_open_to_closed(pilot, homeroom, give):
    """Under its own grant from the first day, under others after two names, under none after closing."""
    assert give(pilot).returncode == 0
    assert homeroom("ask", pilot, COUNT).returncode == 0
    refused = homeroom("ask", pilot, COUNT, "--grant", "study")
    assert refused.returncode == 5
    assert b"district_pilot" in refused.stderr
    assert homeroom("ask", pilot, COUNT, "--grant", "study", "--rehearse").returncode == 0
    foretold = homeroom("preview", pilot, COUNT, "--grant", "study")
    assert (foretold.returncode, b"in its pilot" in foretold.stdout) == (0, True)
    assert (
        homeroom("open", pilot, "--approved-by", "A", "--approved-by", "a", "--signed-off-by", "board").returncode
        == 5
    )
    assert homeroom("open", pilot, *TWO, "--signed-off-by", "the school board").returncode == 0
    assert homeroom("ask", pilot, COUNT, "--grant", "study").returncode == 0
    assert homeroom("close", pilot, "--by", "A. Officer", "--reason", "a complaint").returncode == 0
    for grant in ("study", "district"):
        refused = homeroom("ask", pilot, COUNT, "--grant", grant)
        assert (refused.returncode, b"district_closed" in refused.stderr) == (5, True)
        assert homeroom("ask", pilot, COUNT, "--grant", grant, "--rehearse").returncode == 0
    told = homeroom("policy", pilot).stdout.decode()
    for text in ("Closed: nobody", "the school board", "a complaint", "grant_added", "opened", "55 times", "30%"):
        assert text in told
    body = json.loads(homeroom("policy", pilot, "--format", "json").stdout)
    assert (body["state"], body["mandated_share"]) == ("closed", "3/10")
    assert [event["kind"] for event in body["events"]] == ["init", "load", "grant_added", "opened", "closed"]


@pytest.mark.slow
def test_a_grant_is_given_listed_shown_and_revoked(folder, homeroom, give):
    """Every term comes back, in words and as JSON."""
    assert give(folder, ceiling_epsilon="0.05").returncode == 0
    listed = homeroom("grant", "list", folder).stdout.decode()
    assert "State University" in listed
    assert "in force" in listed
    body = json.loads(homeroom("grant", "show", folder, "study", "--format", "json").stdout)
    assert body["scope"] == {"student_year": ["grade_level", "school_year"]}
    assert (body["year_fraction"], body["cohorts"]) == ("1/20", list(range(2028, 2034)))
    assert 0.0499 < epsilon_of(body["ceiling_nanorho"]) <= 0.05
    assert homeroom("ask", folder, COUNT, "--grant", "study").returncode == 0
    assert "% of it is used" in homeroom("grant", "show", folder, "study").stdout.decode()
    revoked = homeroom("grant", "revoke", folder, "study", "--by", "A. Officer", "--reason", "it moved")
    assert revoked.returncode == 0
    refused = homeroom("ask", folder, COUNT, "--grant", "study")
    assert (refused.returncode, b"grant_expired" in refused.stderr, b"it moved" in refused.stderr) == (5, True, True)
    assert homeroom("ask", folder, COUNT, "--grant", "study", "--rehearse").returncode == 5
    everything = json.loads(homeroom("grant", "list", folder, "--format", "json").stdout)
    assert [each["state"] for each in everything["grants"]] == ["in force", "revoked"]


@pytest.mark.parametrize(
    ("others", "code", "told"),
    [
        ({"table": "students"}, 5, "student_year"),
        ({"table": "school"}, 5, "student_year"),
        ({"table": "student_year:gpa,height"}, 5, "height"),
        ({"table": "student_year:"}, 2, "TABLE:column"),
        ({"allowance": "0"}, 2, "percentage"),
        ({"allowance": "101"}, 2, "percentage"),
        ({"allowance": "nan"}, 2, "percentage"),
        ({"allowance": "1e-400"}, 2, "percentage"),
        ({"allowance": "1e-999999999"}, 2, "percentage"),
        ({"allowance": "1e999999999"}, 2, "percentage"),
        ({"allowance": "-inf"}, 2, "percentage"),
        ({"cohorts": "9" * 5_000}, 2, "no class"),
        ({"expires": "30 June"}, 2, "2027-06-30"),
        ({"expires": "2020-06-30"}, 5, "last day"),
        ({"cohorts": "1999"}, 5, "1999"),
        ({"cohorts": "soon"}, 2, "no class"),
        ({"purpose": " "}, 2, "plain words"),
        ({"kind": "vendor"}, 2, "vendor"),
        ({"population": "all"}, 2, "all"),
        ({"name": "District"}, 5, "taken"),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(folder, homeroom, give, others, code, told):
    """What, where, what would be accepted; and nothing is written."""
    before = homeroom("policy", folder, "--format", "json").stdout
    refused = give(folder, **others)
    assert refused.returncode == code
    assert told in refused.stderr.decode()
    assert homeroom("policy", folder, "--format", "json").stdout == before


@pytest.mark.slow
def test_a_question_stays_inside_its_grant(folder, give):
    """Its columns, in whatever clause they stand; its tables; its classes, which leave others out, marked."""
    give(folder)
    with District.open(folder) as district:
        for sql in (
            "SELECT AVG(gpa) AS g FROM student_year",
            "SELECT COUNT(*) AS n FROM student_year WHERE days_absent > 3",
            "SELECT COUNT(*) FILTER (WHERE days_absent > 3) AS n FROM student_year",
            "SELECT COUNT(*) AS n FROM student_year GROUP BY english_learner",
            "SELECT SUM(CASE WHEN econ_disadv THEN 1 ELSE 0 END) AS n FROM student_year",
            "SELECT COUNT(*) AS n FROM student_year y JOIN student s ON s.student_key = y.student_key",
            "SELECT COUNT(*) AS n FROM student_year y LEFT JOIN assessment a ON a.student_key = y.student_key",
            "SELECT COUNT(*) AS n FROM student_year y JOIN school c ON c.school_id = y.school_id",
            "WITH a AS (SELECT COUNT(*) AS n FROM student_year WHERE days_absent > 3) SELECT n + 1 AS m FROM a",
        ):
            for verb, rehearse in ((district.ask, False), (district.ask, True), (district.preview, False)):
                with pytest.raises(AccessRefused) as caught:
                    verb(sql, grant="study", rehearse=rehearse)
                assert caught.value.code == "grant_scope", sql
        with pytest.raises(AccessRefused) as caught:
            district.ask(COUNT, grant="study", cohorts=(2034,))
        assert caught.value.code == "grant_scope"
        release = district.ask(COUNT, grant="study")
        assert release.population == "research"
        assert {charge.cohort for charge in release.charges} == set(range(2028, 2034))
        reasons = {each.cohort: each.reason for each in release.cohorts_left_out}
        assert reasons[2034] == "not in the grant 'study'"
        assert all(2034 in marked for marked in release.partial)


def test_another_grants_answer_is_no_way_around(folder, give):
    """What is measured already is free inside a grant, and refused outside of it."""
    give(folder, name="wide", table="student_year", cohorts="2020-2039")
    give(folder)
    sql = "SELECT COUNT(*) AS n FROM student_year WHERE days_absent > 3"
    with District.open(folder) as district:
        district.ask(sql, grant="wide", cohorts=(2030,))
        with pytest.raises(AccessRefused):
            district.ask(sql, grant="study", cohorts=(2030,))
        wide = district.ask(COUNT, grant="wide", cohorts=(2030,))
        narrow = district.ask(COUNT, grant="study", cohorts=(2030,))
        assert (narrow.rows, narrow.charges) == (wide.rows, [])


def test_a_ceiling_holds_for_default_and_named_accuracy(folder, give):
    """A question without an accuracy keeps to it by itself; one that asks for more is refused."""
    give(folder, ceiling_epsilon="0.02")
    with District.open(folder) as district:
        release = district.ask(COUNT, grant="study")
        assert max(charge.loss_nanorho for charge in release.charges) <= nanorho_for(0.02)
        with pytest.raises(BudgetRefused) as caught:
            district.ask(COUNT, grant="study", epsilon=0.03, cohorts=(2030,))
        assert "one question under the grant 'study'" in caught.value.message
        assert any("would be refused" in note for note in district.preview(COUNT, grant="study", epsilon=0.03).notes)


@pytest.mark.slow
def test_five_grants_gain_nothing(folder, give):
    """Together they cannot spend more of a class than one: what one used is gone for all."""
    names = [f"study-{number}" for number in range(5)]
    for name in names:
        give(folder, name=name, allowance="100", cohorts="2030")
    with District.open(folder) as district:
        refused = 0
        for number in range(40):
            sql = f"SELECT COUNT(*) AS n FROM student_year WHERE school_year > {1990 + number}"
            try:
                district.ask(sql, grant=names[number % 5], epsilon=0.3)
            except BudgetRefused:
                refused += 1
        balance = district.balances()[2030]
        assert refused > 20
        assert balance.year_spent <= balance.year_cap
        assert balance.year_spent == sum(district.balances(name)[2030].allowance_spent for name in names)


def test_caps_are_lowered_by_one_and_raised_by_two(folder, homeroom):
    """Each leaves its event; one person, or no reason, raises nothing."""
    assert (
        homeroom("budget", "set", folder, "--lifetime-epsilon", "2", "--by", "A", "--cohorts", "2030").returncode == 0
    )
    raising = ("budget", "raise", folder, "--cohorts", "2030", "--preset", "generous")
    assert homeroom(*raising, "--approved-by", "A", "--reason", "why").returncode == 5
    assert homeroom(*raising, *TWO, "--reason", " ").returncode == 5
    assert homeroom(*raising, "--lifetime-epsilon", "3", *TWO, "--reason", "why").returncode == 2
    assert homeroom(*raising, *TWO, "--reason", "a longer study").returncode == 0
    assert homeroom(*raising, *TWO, "--reason", "again").returncode == 4
    assert (
        homeroom(
            "budget", "raise", folder, "--cohorts", "1999", "--preset", "generous", *TWO, "--reason", "x"
        ).returncode
        == 2
    )
    with Office.open(folder) as office:
        assert epsilon_of(office.balances()[2030].lifetime_cap) == pytest.approx(8, abs=1e-6)
        assert [event.kind for event in office.events()] == ["init", "load", "cap_lowered", "cap_raised"]


def test_only_a_sealed_class_is_unsealed(folder, homeroom):
    """One that is open is refused."""
    refused = homeroom("budget", "unseal", folder, "--cohorts", "2030", *TWO, "--reason", "a report")
    assert (refused.returncode, b"not sealed" in refused.stderr) == (5, True)


def test_decisions_need_no_records(folder, homeroom):
    """With the vault gone an officer can still read, close and decide."""
    for file in (folder / "vault").iterdir():
        file.unlink()
    assert homeroom("budget", "show", folder).returncode == 0
    assert homeroom("close", folder, "--by", "A. Officer", "--reason", "a disk").returncode == 0


def balance(cohort=2030, **fields):
    cap, year_cap = 255_203_395, 15_312_203
    whole = {
        "standing": Standing.OPEN,
        "lifetime_cap": cap,
        "lifetime_spent": 0,
        "year_cap": year_cap,
        "year_spent": 0,
        "allowance_cap": year_cap // 10,
        "allowance_spent": 0,
        "attodelta_cap": 0,
        "attodelta_spent": 0,
        "population_cap": year_cap,
        "population_spent": 0,
    }
    return Balance(cohort=cohort, year=2025, **whole | fields)


def test_a_budget_fits_eighty_columns():
    """Also where everything is spent; it says what the grant may use, and how many questions that is."""
    full = balance(lifetime_spent=255_203_395, year_spent=15_312_203, allowance_spent=1_531_220)
    balances = {
        2030: full,
        2031: balance(2031),
        2039: balance(2039, standing=Standing.NOT_YET, year_cap=0, allowance_cap=0, population_cap=0),
    }
    shown = {}
    for classes in ((2030, 2031, 2039), (2031, 2039)):
        file = io.StringIO()
        chosen = {c: balances[c] for c in classes}
        outlooks = {c: outlook(each, [], date(2025, 3, 1)) for c, each in chosen.items()}
        present_office.budget(Console(file=file, width=80), chosen, outlooks, 2025)
        shown[len(classes)] = " ".join(file.getvalue().split())
        assert max(map(len, file.getvalue().splitlines())) <= 80
    assert "…" not in shown[3]
    for text in ("████████████", "100.0%", "0.89/0.89", "0.26/0.26", "4.00/4.00", "not open yet", "ε of grant"):
        assert text in shown[3]
    assert "'district' can ask about 0 more questions at the default share of class 2030" in shown[3]
    assert "At this pace it runs dry: class 2030 on 1 March 2025." in shown[3]
    assert "'district' can ask about 6 more questions at the default share of each class" in shown[2]
    assert "every class lasts the year" in shown[2]


@pytest.mark.parametrize(
    ("spent", "today", "dry"),
    [
        (0, date(2025, 3, 1), None),
        (100, date(2024, 7, 1), date(2024, 7, 10)),
        (500, date(2024, 7, 10), date(2024, 7, 20)),
        (500, date(2024, 12, 30), date(2025, 6, 30)),
        (490, date(2024, 12, 30), None),
        (1000, date(2025, 2, 1), date(2025, 2, 1)),
    ],
)
def test_when_a_class_runs_dry(spent, today, dry):
    """At the pace since 1 July; a class that lasts the year says so."""
    found = outlook(balance(year_cap=1000, year_spent=spent), [7, 9, 100], today)
    last = date(2025, 6, 30)
    assert found.dry == (None if dry == last else dry)
    assert found.median_nanorho == 9


def test_a_budget_for_programs(folder, homeroom):
    """What is spent, what the median question costs, and how many more there are."""
    homeroom("ask", folder, COUNT)
    body = json.loads(homeroom("budget", "show", folder, "--format", "json").stdout)
    of_2030 = next(each for each in body["cohorts"] if each["cohort"] == 2030)
    assert of_2030["questions_this_year"] == 1
    assert of_2030["median_question_nanorho"] == of_2030["year_spent_nanorho"] > 0
    assert of_2030["more_questions"] == (of_2030["year_cap_nanorho"] // of_2030["year_spent_nanorho"]) - 1
    assert of_2030["dry_on"] is None


def test_the_doctor_asks_for_no_name_it_does_not_need(folder, homeroom, monkeypatch):
    """A user whom the machine has no name for looks over a district; to vouch for a clock takes a name."""

    def nobody():
        raise OSError

    monkeypatch.setattr("api.office.getpass.getuser", nobody)
    assert homeroom("doctor", folder).returncode == 0
    refused = homeroom("doctor", folder, "--accept-clock")
    assert (refused.returncode, b"--by" in refused.stderr) == (2, True)
    assert homeroom("doctor", folder, "--accept-clock", "--by", "A. Officer").returncode == 0


def test_brackets_are_brackets(folder, homeroom, give):
    """A grant with brackets in its names, which might be taken for markup, is told as it was written."""
    assert (
        give(folder, "[/study]", organisation="[/State University]", purpose="[red]", approved_by="[/A]").returncode
        == 0
    )
    told = homeroom("grant", "list", folder)
    assert (told.returncode, b"[/study]" in told.stdout, b"[/State University]" in told.stdout) == (0, True, True)
    for command in (("grant", "show", folder, "[/study]"), ("policy", folder)):
        told = homeroom(*command)
        assert (told.returncode, b"[red]" in told.stdout, b"[/A]" in told.stdout) == (0, True, True)
