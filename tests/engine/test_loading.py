"""One load after another: who is counted, who was here before, what answers meanwhile, and what a load cannot change."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from fractions import Fraction

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from budgets.clock import FixedClock
from budgets.grants import Grant, Terms
from budgets.ledger import Ledger
from engine.backends import duckdb as backend
from engine.compile import compile_batch
from engine.district import District
from engine.epochs import pending_file
from engine.folder import owner_key
from engine.froms import OWNER, RESEARCH
from engine.intake import load as load_room
from engine.intake.persons import owner_hashes
from engine.intake.report import RETIRED
from engine.loading import Wishes, load_next
from engine.office import Office
from engine.parse import parse
from engine.planning import make_plan
from engine.refusals import AccessRefused, CatalogRefused
from engine.source import Source

AS_OF = datetime(2025, 9, 15, 12, tzinfo=UTC)
COUNT = "SELECT COUNT(*) AS n FROM student WHERE cohort_year = 2031"
BY_SEX = "SELECT sex, COUNT(*) AS n FROM student GROUP BY sex"
EVERYBODY = "SELECT COUNT(*) AS n FROM student"
JOINED = "SELECT COUNT(*) AS n FROM student s JOIN student_year y USING (student_key) WHERE y.school_year = 2025"
LEFT = "SELECT COUNT(*) AS n, COUNT(DISTINCT g.student_key) AS m FROM student s LEFT JOIN graduation g USING (student_key)"
STUDY = Grant(
    "study",
    "research",
    Fraction(1),
    Terms("researcher", "State University", "a study", {"student": None, "student_year": None, "graduation": None},
          tuple(range(2020, 2040)), None, date(2099, 1, 1), "A. Officer"),
)  # fmt: skip


@pytest.fixture
def clock():
    return FixedClock(AS_OF)


@pytest.fixture
def brought(pilot, clock):
    """Loads tables into the district in its pilot."""
    return lambda tables, **wishes: load_next(pilot, tables, clock=clock, wishes=Wishes(**wishes))


def without(tables, *ids):
    """The tables without some students' rows."""
    gone = pa.array(ids)
    return {
        name: table.filter(pc.invert(pc.is_in(table["student_key"], gone))) if "student_key" in table.column_names else table
        for name, table in tables.items()
    }  # fmt: skip


def ids_of(tables, cohort=2031):
    """The students of a class."""
    rows = tables["student"].filter(pc.equal(tables["student"]["cohort_year"], cohort))
    return rows["student_key"].to_pylist()


def exact(district, sql, population="mandated"):
    """What a question measures, before noise."""
    plan = make_plan(Source(sql), parse(sql, district.catalog), district.catalog, frozenset(district.catalog.cohorts))
    compiled = compile_batch(district.catalog, plan.statistics, population)
    vectors = backend.run(district._house.vault.cursor(), compiled, plan.statistics[0].keys, len(plan.statistics))
    return [vector.tolist() for vector in vectors]


def owners(district, table="student", where="TRUE"):
    text = f"SELECT {OWNER} FROM {table} WHERE {where}"
    return {owner.bytes for (owner,) in district._house.vault.cursor().execute(text).fetchall()}


def person(folder, one):
    (found,) = {hashes[0] for hashes in owner_hashes([one], owner_key(folder)).values()}
    return found


# -- replacing the records


@pytest.mark.slow
def test_an_open_district_answers_from_the_records_of_the_newest_load(pilot, tables, brought):
    """The old files are gone, a report is written, and a question asked before the load stays with its answer."""
    one, *_ = ids_of(tables)
    with District.open(pilot) as district:
        first = district.ask(COUNT, request_id="first")
        before = exact(district, COUNT)
        loaded = brought(without(tables, one))
        assert exact(district, COUNT) == [[before[0][0] - 1]]
        second = district.ask(COUNT, request_id="second")
        assert (first.epoch, second.epoch) != (second.epoch, first.epoch)
        assert second.epoch == loaded.epoch
        assert not second.replayed, "other records are another statistic"
        with pytest.raises(AccessRefused) as caught:
            district.ask(COUNT, request_id="first")
        assert caught.value.code == "answer_lost"
    assert {file.name for file in (pilot / "vault").iterdir()} == {loaded.file, f"epoch-{loaded.epoch}.public.json"}
    assert len(list((pilot / "reports").glob("load-*.html"))) == 2


@pytest.mark.slow
def test_a_question_that_has_begun_keeps_the_records_it_began_with(pilot, tables, brought):
    """Though their file is removed meanwhile."""
    with District.open(pilot) as district:
        house = district._house.at_now()
        before = house.vault.cursor().execute("SELECT COUNT(*) FROM student").fetchall()
        brought(without(tables, *ids_of(tables)))
        assert house.vault.cursor().execute("SELECT COUNT(*) FROM student").fetchall() == before
        assert house.at_now().vault.cursor().execute("SELECT COUNT(*) FROM student").fetchall() < before


@pytest.mark.slow
def test_a_load_while_a_question_is_planned_makes_it_plan_again(pilot, tables, brought, monkeypatch):
    """It is charged on the new records, or not at all."""
    with District.open(pilot) as district:
        charge, loads = Ledger.charge, []

        def late(ledger, question, basis):
            if not loads:
                loads.append(brought(without(tables, *ids_of(tables))))
            return charge(ledger, question, basis)

        monkeypatch.setattr(Ledger, "charge", late)
        assert district.ask(COUNT).epoch == loads[0].epoch


@pytest.mark.slow
def test_budgets_are_untouched_by_loads(pilot, tables, brought):
    """What was spent stays spent, and no cap moves."""
    with District.open(pilot) as district:
        district.ask(COUNT)
        before = district.balances()
        brought(without(tables, *ids_of(tables)))
        brought(tables)
        assert district.balances() == before


@pytest.mark.slow
def test_a_refused_load_changes_nothing(pilot, tables, brought):
    """The old records answer on, and nothing of the new ones stays."""
    with District.open(pilot) as district:
        epoch = district.ask(COUNT).epoch
        files = sorted(file.name for file in (pilot / "vault").iterdir())
        with pytest.raises(CatalogRefused, match="have no source"):
            brought({"student": tables["student"]})
        with pytest.raises(CatalogRefused, match="time zone"):
            brought(tables, catalog=changed(pilot, "America/New_York", "America/Chicago"))
        assert sorted(file.name for file in (pilot / "vault").iterdir()) == files
        assert district.ask(COUNT).epoch == epoch


@pytest.mark.slow
def test_one_load_at_a_time(tables, brought):
    """A second one is refused; the first goes on."""

    class Slow(dict):
        def items(self):
            with pytest.raises(CatalogRefused, match="at work"):
                brought(tables)
            return super().items()

    assert brought(Slow(tables)).persons > 0


def test_no_records_come_into_a_district_of_invented_ones(folder, tables, clock):
    """It has a fixed clock and no pilot."""
    with pytest.raises(CatalogRefused, match="invented"):
        load_next(folder, tables, clock=clock)


@pytest.mark.slow
def test_what_a_dead_load_left_is_swept_away(pilot, tables, brought):
    """Its folder, and a vault that no ledger names."""
    (pilot / "vault" / ".loading-dead").mkdir()
    (pilot / "vault" / ".loading-dead" / "work.duckdb").write_bytes(b"half")
    (pilot / "vault" / "epoch-dead.duckdb").write_bytes(b"whole, and nobody's")
    loaded = brought(tables)
    assert {file.name for file in (pilot / "vault").iterdir()} == {loaded.file, f"epoch-{loaded.epoch}.public.json"}


# -- persons


@pytest.mark.slow
def test_who_leaves_and_comes_back_has_the_old_class_and_its_budget(pilot, tables, brought):
    """Leave, opt out, come back, repeat a grade: the register knows the class of the first sight."""
    one = ids_of(tables)[0]
    with District.open(pilot) as district:
        district.ask(COUNT)
        spent = district.balances()[2031].lifetime_spent
        brought(without(tables, one))
        assert person(pilot, one) not in owners(district)
        later = retained(tables, one)
        brought(later, opted_out=(one,))
        assert person(pilot, one) in owners(district, where="cohort_year = 2031")
        assert person(pilot, one) not in owners(district, where=RESEARCH)
        with Office.open(pilot) as office:
            office.opt_out([one], out=False)
        brought(later)
        assert person(pilot, one) in owners(district, where=f"cohort_year = 2031 AND {RESEARCH}")
        assert owners(district, "student_year", f"cohort_year = 2032 AND {OWNER} IS NOT NULL") >= set()
        assert person(pilot, one) not in owners(district, "student_year", "cohort_year <> 2031")
        assert district.balances()[2031].lifetime_spent == spent


def retained(tables, one):
    """The tables as they are when a student's class is reckoned anew."""
    student = tables["student"]
    mine = pc.equal(student["student_key"], one)
    cohort = pc.if_else(mine, pa.scalar(2032, pa.int16()), student["cohort_year"])
    return {
        **tables,
        "student": student.set_column(student.schema.get_field_index("cohort_year"), "cohort_year", cohort),
    }


@pytest.mark.slow
def test_an_opt_out_leaves_research_and_stays_in_what_the_law_demands(pilot, tables, brought):
    """In one table, in a join and in a LEFT JOIN; from the next load on."""
    gone = ids_of(tables)[:3]
    years = tables["student_year"].filter(pc.is_in(tables["student_year"]["student_key"], pa.array(gone)))
    in_2025 = pc.sum(pc.equal(years["school_year"], 2025)).as_py()
    with District.open(pilot) as district:
        before = {sql: exact(district, sql) for sql in (COUNT, JOINED, LEFT)}
        with Office.open(pilot) as office:
            office.opt_out(gone)
        assert exact(district, COUNT, "research") == before[COUNT], "the records are still those of before"
        brought(tables)
        assert {sql: exact(district, sql) for sql in before} == before
        assert exact(district, COUNT, "research") == [[before[COUNT][0][0] - 3]]
        assert exact(district, JOINED, "research") == [[before[JOINED][0][0] - in_2025]]
        left = dict(zip(("n", "m"), (cells[0] for cells in exact(district, LEFT, "research")), strict=True))
        assert max(left.values()) == max(cells[0] for cells in before[LEFT]) - 3


@pytest.mark.slow
def test_a_grant_counts_its_population(pilot, tables, brought):
    """Research questions read nobody who opted out, whatever the class they ask about."""
    gone = tables["student"]["student_key"].to_pylist()
    with Office.open(pilot) as office:
        office.opt_out(gone)
        office.add_grant(STUDY)
        office.open_district(("A. Officer", "B. Officer"), "the board")
    brought(tables)
    with District.open(pilot) as district:
        research = district.ask(EVERYBODY, grant="study", epsilon=0.5)
        mandated = district.ask(EVERYBODY, epsilon=0.14)
        assert (research.population, mandated.population) == ("research", "mandated")
        assert abs(research.rows[0][0]) < 5 * research.se[0][0]
        assert 10 * research.se[0][0] < len(gone)
        assert mandated.rows[0][0] > 5 * mandated.se[0][0]
        assert not mandated.replayed
        assert RESEARCH in district.explain(COUNT, grant="study", epsilon=0.6).statement
        assert RESEARCH not in district.explain(COUNT, epsilon=0.4).statement


@pytest.mark.slow
def shape(told):
    """What is told, with every number but the estimates and their margins."""
    if isinstance(told, dict):
        apart = ("rows", "release_id", "request_id", "epoch", "draws")
        return {name: shape(part) for name, part in told.items() if name not in apart}
    return [shape(part) for part in told] if isinstance(told, list) else told


@pytest.mark.slow
def test_two_epochs_that_differ_by_an_opt_out_look_alike(pilot, tables, clock, tmp_path):
    """Previews, explanations, answers without their numbers, budgets, events and files: nothing tells of it."""
    told = []
    for opted_out in ((), tuple(ids_of(tables)[:1])):
        copy = tmp_path / f"copy{len(opted_out)}"
        shutil.copytree(pilot, copy)
        loaded = load_next(copy, tables, clock=clock, wishes=Wishes(opted_out=opted_out))
        assert loaded.report.students.opted_out == len(opted_out)
        with Office.open(copy) as office:
            office.add_grant(STUDY)
            office.open_district(("A. Officer", "B. Officer"), "the board")
            events = [(event.kind, sorted(event.body)) for event in office.events()]
        with District.open(copy) as district:
            asked = [
                getattr(district, verb)(sql, grant=grant, **({"request_id": f"r{grant}"} if verb == "ask" else {}))
                for verb in ("preview", "explain", "ask")
                for grant in ("study", "district")
                for sql in (COUNT,)
            ]
            answers = [shape(each.to_dict()) for each in asked]
            balances = [district.balances(grant) for grant in ("study", "district")]
        told.append((events, answers, balances, sorted(file.suffix for file in (copy / "vault").iterdir())))
    assert told[0] == told[1]


@pytest.mark.slow
def test_a_sealed_class_is_no_longer_kept(pilot, tables):
    """Its rows are left out with a reason, everybody else's stay; the report says until when each class is kept."""
    with Ledger.open(pilot / "ledger.sqlite", FixedClock(datetime(2027, 1, 1, tzinfo=UTC))) as ledger:
        ledger.accept_clock("A. Officer")
    loaded = load_next(pilot, tables, clock=FixedClock(datetime(2027, 1, 2, tzinfo=UTC)))
    with District.open(pilot, clock=FixedClock(datetime(2027, 1, 3, tzinfo=UTC))) as district:
        kept = {
            c
            for (c,) in district._house.vault.cursor().execute("SELECT DISTINCT cohort_year FROM student").fetchall()
        }
    there = set(tables["student"]["cohort_year"].to_pylist())
    assert there - kept == {2020}
    assert loaded.report.tables["student"].dropped[RETIRED] > 0
    assert loaded.report.kept_until[2021] == "2027-06-30"
    assert 2020 not in loaded.report.kept_until


@pytest.mark.slow
def test_a_load_of_strangers_is_refused(pilot, tables, brought):
    """Ids of another form would make every student new, and a retained one would be in two classes."""

    def renamed(table):
        if "student_key" not in table.column_names:
            return table
        place = table.schema.get_field_index("student_key")
        return table.set_column(place, "student_key", pc.binary_join_element_wise("x", table["student_key"], ""))

    strange = {name: renamed(table) for name, table in tables.items()}
    with pytest.raises(CatalogRefused, match="another form"):
        brought(strange)
    with pytest.raises(CatalogRefused, match="would be gone"):
        brought(strange, strangers=True)
    assert len(list((pilot / "vault").glob("epoch-*.duckdb"))) == 1
    assert brought(strange, strangers=True, fewer=True).report.students.new > 0


def test_an_id_means_a_person_however_its_kind_is_written(pilot):
    """Space around it does not count; blank ones mean nobody."""
    found = owner_hashes([" 7 ", "7", "", "\0", "8"], owner_key(pilot))
    assert list(found) == ["7", "8"]
    assert len({one for hashes in found.values() for one in hashes}) == 10


# -- another catalog


def changed(folder, *pairs):
    """The district's catalog with some words replaced."""
    text = (folder / "district.yaml").read_text(encoding="utf-8")
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    path = folder.parent / "next.yaml"
    path.write_text(text, encoding="utf-8")
    return path


NEXT_YEAR = ("{from: 2020, to: 2039}", "{from: 2020, to: 2040}", "{from: 2020, to: 2026}", "{from: 2020, to: 2027}")


@pytest.mark.slow
def test_the_next_school_year_comes_with_its_catalog(pilot, tables, brought):
    """Lists are extended before the load; the new class begins with its own budget."""
    path = changed(pilot, *NEXT_YEAR)
    brought(tables, catalog=path)
    assert (pilot / "district.yaml").read_bytes() == path.read_bytes()
    with District.open(pilot) as district:
        assert district.balances()[2040].lifetime_spent == 0
        assert (
            district.ask("SELECT school_year, COUNT(*) AS n FROM student_year GROUP BY school_year").rows[-1][0]
            == 2027
        )
    with Office.open(pilot) as office:
        assert [event.kind for event in office.events()][-2:] == ["classes_added", "load"]


@pytest.mark.slow
def test_a_load_that_died_before_its_catalog_was_in_place_is_whole(pilot, tables, brought):
    """Until the next load puts it there, everybody reads it beside the vault."""
    before = (pilot / "district.yaml").read_bytes()
    path = changed(pilot, *NEXT_YEAR)
    loaded = brought(tables, catalog=path)
    (pilot / "district.yaml").write_bytes(before)
    pending = pilot / "vault" / pending_file(loaded.file)
    pending.write_bytes(path.read_bytes())
    with District.open(pilot) as district, Office.open(pilot) as office:
        assert 2040 in district.catalog.cohorts
        assert 2040 in office.catalog.cohorts
    with pytest.raises(CatalogRefused, match="have no source"):
        brought({})
    assert (pilot / "district.yaml").read_bytes() == path.read_bytes()
    assert not pending.exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("us-xx-demo", "us-yy-demo"), "another district"),
        (("America/New_York", "America/Chicago"), "time zone"),
        (("student_key", "pupil"), "another owner"),
        (("{from: 2020, to: 2039}", "{from: 2020, to: 2038}"), "no longer lists classes of 2039"),
    ],
)
def test_a_catalog_of_another_district_is_refused(words, part, pilot, tables, brought):
    """The ledger has one district, and forgets no class that can still be asked about."""
    with pytest.raises(CatalogRefused, match=part):
        brought(tables, catalog=changed(pilot, *words))


NAMES = ["discipline.is_expelled", "discipline.iss_days", "discipline.oss_days", "discipline.school_year"]
DISCIPLINE = ("    sensitive: true\n    on: false\n", "    sensitive: true\n    on: true\n")


@pytest.mark.slow
def test_what_is_sensitive_is_switched_on_by_two_people(pilot, tables, brought):
    """Once: a later load of the same catalog needs them no more. What they decide is an event."""
    path = changed(pilot, *DISCIPLINE)
    rows = {"student_key": ids_of(tables)[:2], "school_year": ["2025"] * 2, "iss_days": ["1", "2"],
            "oss_days": ["0"] * 2, "is_expelled": [""] * 2}  # fmt: skip
    given = {**tables, "discipline": pa.table(rows)}
    for by, reason in ((), ""), (("A. Officer",), "a study"), (("A. Officer", "B. Officer"), ""):
        with pytest.raises(AccessRefused):
            brought(given, catalog=path, approved_by=by, reason=reason)
    brought(given, catalog=path, approved_by=("A. Officer", "B. Officer"), reason="a study of suspensions")
    brought(given)
    with Office.open(pilot) as office:
        decided = [event.body for event in office.events() if event.kind == "sensitive_on"]
    assert decided == [
        {"names": NAMES, "approved_by": ["A. Officer", "B. Officer"], "reason": "a study of suspensions"}
    ]


@pytest.mark.slow
def test_the_report_tells_the_officer_what_was_taken_and_what_was_not(pilot, tables, brought):
    """As a page without anything from elsewhere, and for programs; markup in a name stays text."""
    strange = tables["student"].append_column("<script>alert(1)</script>", pa.array(["x"] * len(tables["student"])))
    loaded = brought({**tables, "student": strange})
    page = loaded.page.read_text(encoding="utf-8")
    told = json.loads(loaded.page.with_suffix(".json").read_text(encoding="utf-8"))
    assert loaded.page == pilot / "reports" / f"load-2025-09-15-{loaded.epoch}.html"
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "src=" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert set(told["taken"]["student"]) == {"cohort_year", "sex", "race_ethnicity", "entry_year"}
    assert told["off"] == NAMES
    assert told["students"]["all"] == loaded.persons
    for part in (
        "What was taken",
        "Declared, sensitive, and switched off: discipline.is_expelled",
        f"{loaded.persons:,} students",
    ):
        assert part in page


def discipline_of(tables):
    """Rows of the sensitive table for two students."""
    rows = {"student_key": ids_of(tables)[:2], "school_year": ["2025"] * 2, "iss_days": ["1", "2"],
            "oss_days": ["0"] * 2, "is_expelled": [""] * 2}  # fmt: skip
    return {**tables, "discipline": pa.table(rows)}


def test_a_catalog_edited_in_its_place_needs_the_two_people_too(pilot, tables, brought):
    """What was on before is what the records were verified against, whatever the file says now."""
    (pilot / "district.yaml").write_bytes(changed(pilot, *DISCIPLINE).read_bytes())
    with pytest.raises(AccessRefused, match=r"discipline\.oss_days"):
        brought(discipline_of(tables))
    (pilot / "district.yaml").write_text((pilot / "district.yaml").read_text().replace("to: 2039", "to: 2038"))
    with pytest.raises(CatalogRefused, match="no longer lists classes of 2039"):
        brought(discipline_of(tables), approved_by=("A. Officer", "B. Officer"), reason="a study")


@pytest.mark.slow
def test_a_column_more_of_an_approved_table_is_approved_too(pilot, tables, brought):
    """Each one by its name."""
    two = {"approved_by": ("A. Officer", "B. Officer"), "reason": "a study"}
    brought(discipline_of(tables), catalog=changed(pilot, *DISCIPLINE), **two)
    more = changed(pilot, "      iss_days:", "      in_court: {type: boolean, default: false}\n      iss_days:")
    given = discipline_of(tables)
    given["discipline"] = given["discipline"].append_column("in_court", pa.array(["true", ""]))
    with pytest.raises(AccessRefused, match=r"discipline\.in_court"):
        brought(given, catalog=more)


def test_free_text_about_students_is_not_loaded(pilot, tables, brought):
    """Nobody has read what stands in it."""
    path = changed(pilot, "      sex: ", "      remark: {type: text, nullable: true}\n      sex: ")
    with pytest.raises(CatalogRefused, match=r"student\.columns\.remark: free text"):
        brought(tables, catalog=path)


@pytest.mark.slow
def test_a_load_that_keeps_nobody_or_few_is_refused(pilot, tables, brought):
    """A file that was cut off, or lists that were not extended; with the reasons, and the old records stay."""
    epoch = brought(tables).epoch
    empty = {
        name: table.slice(0, 0) if "student_key" in table.column_names else table for name, table in tables.items()
    }
    with pytest.raises(CatalogRefused, match="No student would be kept"):
        brought(empty)
    students = tables["student"]["student_key"].to_pylist()
    with pytest.raises(CatalogRefused, match=r"Of \d+ students \d+ would be gone"):
        brought(without(tables, *students[: 2 * len(students) // 3]))
    with Office.open(pilot) as office:
        assert [event.body["epoch"] for event in office.events() if event.kind == "load"][-1] == epoch


@pytest.mark.slow
def test_an_opt_out_is_not_lost_with_the_id_it_was_given_for(pilot, tables, brought):
    """A student who opted out and is gone, while others are new, may be one of them."""
    one, other = ids_of(tables)[:2]
    brought(tables, opted_out=(one,))
    again = {name: renamed_one(table, one) for name, table in tables.items()}
    for given in (again, without(tables, one)):
        with pytest.raises(CatalogRefused, match="1 students who opted out are not in these records"):
            brought(given)
    with District.open(pilot) as district:
        assert person(pilot, one) not in owners(district, where=RESEARCH)
    assert brought(again, opted_out=(one + "x",), opt_outs_left=True).report.students.opted_out == 1
    brought(again)  # asked once
    with Office.open(pilot) as office:
        office.opt_out([other])
    with pytest.raises(CatalogRefused, match="1 students who opted out"):
        brought(without(again, other))
    brought(tables, opt_outs_left=True)
    with pytest.raises(CatalogRefused, match="2 students who opted out"):
        brought(without(again, other))


@pytest.mark.slow
def test_a_word_less_switches_nothing_on(pilot, tables, brought):
    """What was ever called sensitive is so, whatever the catalog calls it now."""
    quiet = changed(
        pilot,
        "      has_iep:          {type: boolean, default: false}",
        "      has_iep: {type: boolean, default: false, sensitive: true, on: false}",
    )
    brought(tables, catalog=quiet)
    plain = changed(pilot, ", sensitive: true, on: false}", "}")
    with pytest.raises(AccessRefused, match=r"student_year\.has_iep"):
        brought(tables, catalog=plain)


@pytest.mark.slow
def test_a_table_that_is_all_but_empty_is_asked_after(tables, brought):
    """Its ids may have another form though the students' have not."""
    with pytest.raises(CatalogRefused, match=r"The table student_year would have 0 rows"):
        brought({**tables, "student_year": tables["student_year"].slice(0, 0)})


@pytest.mark.slow
def renamed_one(table, one):
    """The table in which a student's id is written otherwise."""
    if "student_key" not in table.column_names:
        return table
    keys = pc.if_else(pc.equal(table["student_key"], one), one + "x", table["student_key"])
    return table.set_column(table.schema.get_field_index("student_key"), "student_key", keys)


@pytest.mark.slow
def test_an_opt_out_during_a_load_undoes_it(pilot, tables, brought, monkeypatch):
    """It would hold from the next load on, and this one would have come after it."""
    opened = Ledger.open_epoch

    def late(ledger, *given):
        with Office.open(pilot) as office:
            office.opt_out(ids_of(tables)[:1])
        return opened(ledger, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "open_epoch", late)
        with pytest.raises(AccessRefused, match="while the records were loaded"):
            brought(tables)
    assert brought(tables).report.students.opted_out == 1


@pytest.mark.slow
def test_a_district_with_a_wrong_catalog_can_be_closed_and_healed(pilot, tables, brought):
    """Whatever stands in its place: the stop button works, and a load with a right one puts it in order."""
    good = changed(pilot)
    (pilot / "district.yaml").write_text("not: [valid", encoding="utf-8")
    with Office.open(pilot) as office:
        assert office.events()
        office.close_district("A. Officer", "a mistake")
    with pytest.raises(CatalogRefused):
        brought(tables)
    brought(tables, catalog=good)
    assert (pilot / "district.yaml").read_bytes() == good.read_bytes()


@pytest.mark.slow
def test_the_catalog_that_is_kept_is_the_one_that_was_verified(pilot, tables, brought, monkeypatch):
    """Though its file changes while records are loaded."""
    path = changed(pilot, *NEXT_YEAR)
    text = path.read_text(encoding="utf-8")
    real = load_room.load

    def slow(*given, **more):
        path.write_text("changed meanwhile", encoding="utf-8")
        return real(*given, **more)

    monkeypatch.setattr("engine.loading.load", slow)
    brought(tables, catalog=path)
    assert (pilot / "district.yaml").read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_a_report_of_a_load_that_never_was_is_removed(pilot, tables, brought):
    """As one that died between its report and its epoch leaves it."""
    strange = pilot / "reports" / f"load-2025-09-15-{'d' * 32}.html"
    notes = pilot / "reports" / "load-notes.txt"
    for file in (strange, notes):
        file.write_text("x", encoding="utf-8")
    brought(tables)
    assert not strange.exists()
    assert notes.exists(), "what an officer wrote there is the officer's"


# -- answers that were given before


@pytest.mark.slow
def test_an_answer_is_written_out_again_after_a_load(pilot, tables, brought):
    """From what is stored, not from the records: the same rows, the old epoch, nothing charged."""
    with District.open(pilot) as district:
        given = district.ask(BY_SEX, request_id="one")
        spent = district.balances()
    brought(without(tables, *tables["student"]["student_key"].to_pylist()[:40]))
    with District.open(pilot) as district:
        again = district.released(given.release_id)
        assert district.balances() == spent
        assert district.catalog.digest
    assert again.epoch == given.epoch
    assert (again.rows, again.se, again.moe90, again.draws, again.charges) == (
        given.rows, given.se, given.moe90, given.draws, given.charges,
    )  # fmt: skip
    assert again.replayed


@pytest.mark.slow
def test_an_answer_is_not_written_out_by_another_catalog(pilot, tables, brought):
    """Its groups would be others: it is refused, not answered with other names."""
    with District.open(pilot) as district:
        given = district.ask(BY_SEX, request_id="one")
        other = district.ask(COUNT, request_id="two")
    brought(tables, catalog=changed(pilot, "[F, M, X, unknown]", "[F, M, X, Y, unknown]"))
    with District.open(pilot) as district:
        with pytest.raises(AccessRefused) as caught:
            district.released(given.release_id)
        assert caught.value.code == "answer_lost"
        assert district.released(other.release_id).rows == other.rows


def test_only_an_answer_is_written_out(pilot):
    """Neither what was lost nor what was never there, nor another grant's."""
    with District.open(pilot) as district:
        given = district.ask(COUNT, request_id="one")
        for name, grant in (("nothing", None), (given.release_id, "study"), ("", None), ("\0", None)):
            with pytest.raises(AccessRefused) as caught:
                district.released(name, grant)
            assert caught.value.code == "release_missing"
