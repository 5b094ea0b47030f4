"""What people decide: opening and closing, grants and their limits, raised caps, unsealed classes."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from budgets.decisions import TEXT_CHARACTERS_MAX
from budgets.policy import PRESETS, DistrictState, Policy, Standing, year_cap_nanorho
from budgets.refusals import AccessRefused, BudgetRefused

if TYPE_CHECKING:
    from budgets.ledger import Ledger

TWO = ("A. Officer", "B. Board")
REAL = Policy(DistrictState.PILOT)
YEAR_CAP = 6_000_000


def under(kit: Any, grant: str, name: str = "r", nanorho: int = 1_000, **fields: Any) -> Any:
    """A research question under a grant."""
    cohorts = fields.pop("scans", (2025, 2026))
    return kit.question(name, kit.draw(name, nanorho, cohorts), grant=grant, population="research", **fields)


def code_of(caught: Any) -> str:
    return str(caught.value.code)


# -- pilot, open, closed


def test_the_pilot_answers_the_district_alone(empty_desk: Any, kit: Any) -> None:
    """Every other grant waits for two people and a group that signed off; then it is answered."""
    ledger = empty_desk.create(policy=REAL)
    ledger.add_grant(kit.grant("study"))
    kit.pay(ledger, kit.question("own", kit.draw("own")))
    for refused in (lambda: ledger.admit("study"), lambda: kit.pay(ledger, under(kit, "study"))):
        with pytest.raises(AccessRefused) as caught:
            refused()
        assert code_of(caught) == "district_pilot"
    ledger.open_district(TWO, "the school board")
    kit.pay(ledger, under(kit, "study"))
    assert ledger.policy().state is DistrictState.OPEN


def test_a_closed_district_answers_nobody(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Neither new questions nor old ones; other processes know it at once; two people may open it again."""
    other = desk.open()
    answered = kit.question("r", kit.draw("a"))
    kit.answer(ledger, answered)
    ledger.close_district("A. Officer", "a complaint")
    for asked in (answered, kit.question("r2", kit.draw("b"))):
        with pytest.raises(AccessRefused) as caught:
            kit.pay(other, asked)
        assert code_of(caught) == "district_closed"
    with pytest.raises(AccessRefused, match="closed already"):
        ledger.close_district("A. Officer", "again")
    other.open_district(TWO, "the school board")
    assert kit.pay(ledger, answered).state == "measured"


@pytest.mark.parametrize(
    ("by", "signed_off_by"),
    [
        (("A. Officer",), "board"),
        (("A. Officer", "a. officer "), "board"),
        (("A. Officer", ""), "board"),
        (("A", "B", "C"), "board"),
        (("A", "B\0"), "board"),
        (("A", "B" * (TEXT_CHARACTERS_MAX + 1)), "board"),
        (TWO, " "),
    ],
)
def test_opening_takes_two_people_and_a_group(empty_desk: Any, by: tuple[str, ...], signed_off_by: str) -> None:
    """Nobody, one person twice, or an empty name is refused, and the pilot goes on."""
    ledger = empty_desk.create(policy=REAL)
    with pytest.raises(AccessRefused) as caught:
        ledger.open_district(by, signed_off_by)
    assert code_of(caught) == "approval"
    assert ledger.policy().state is DistrictState.PILOT


def test_the_pilot_ends_once(ledger: Ledger) -> None:
    """Not even a hand-written statement brings it back."""
    with pytest.raises(AccessRefused, match="open already"):
        ledger.open_district(TWO, "the school board")
    for change in ("state = 'pilot'", "state = state", "state = 'closed', mandated_denominator = 2"):
        with pytest.raises(sqlite3.IntegrityError, match="the pilot ends once"):
            ledger._database.change(f"UPDATE policy SET {change}")


# -- populations


def test_research_cannot_use_what_the_law_needs(empty_desk: Any, kit: Any) -> None:
    """Of a school year 70 % are for research and 30 % for mandated statistics, to the last nano-ρ."""
    ledger = empty_desk.create(policy=Policy(DistrictState.OPEN))
    ledger.add_grant(kit.grant("study", year_fraction=Fraction(1)))
    with pytest.raises(BudgetRefused, match="research statistics may use") as caught:
        kit.pay(ledger, under(kit, "study", nanorho=4_200_001))
    assert code_of(caught) == "budget_year"
    with pytest.raises(BudgetRefused, match="mandated statistics may use"):
        kit.pay(ledger, kit.question("m", kit.draw("m", 1_800_001)))
    kit.pay(ledger, under(kit, "study", nanorho=4_200_000))
    with pytest.raises(BudgetRefused):
        kit.pay(ledger, under(kit, "study", "r2", 1))
    kit.pay(ledger, kit.question("m", kit.draw("m", 1_800_000)))
    assert ledger.balances("district")[2025].year_spent == YEAR_CAP


def test_the_years_after_school_belong_to_mandated_statistics(empty_desk: Any, kit: Any) -> None:
    """All of a late year may be used for them, and none of it for research."""
    ledger = empty_desk.create(policy=Policy(DistrictState.OPEN))
    ledger.add_grant(kit.grant("study"))
    late = ledger.balances("district")[2022]
    assert (late.standing, late.year_cap, late.population_cap) == (Standing.MANDATED_ONLY, 2_000_000, 2_000_000)
    assert ledger.balances("study")[2022].population_cap == 0
    with pytest.raises(BudgetRefused) as caught:
        kit.pay(ledger, under(kit, "study", scans=(2022,)))
    assert code_of(caught) == "cohort_sealed"


# -- grants


def test_a_grant_comes_back_as_it_was_given(ledger: Ledger, desk: Any, kit: Any) -> None:
    """All of its terms, in another process too; and it is an event."""
    given = kit.grant("study", ceiling_nanorho=5_000, kind="agency", cohorts=(2025, 2026))
    ledger.add_grant(given)
    assert desk.open().grant("study") == given
    event = ledger.events()[-1]
    assert (event.kind, event.body["grant"], event.body["purpose"]) == ("grant_added", "study", given.terms.purpose)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "district"}, "taken"),
        ({"name": "STUDY"}, "taken"),
        ({"name": "stu\u034fdy"}, "taken"),
        ({"name": "\uff53tudy"}, "taken"),
        ({"name": "x" * 61}, "longer"),
        ({"name": "late", "expires": date(2025, 2, 28)}, "ended"),
        ({"name": "far", "cohorts": (2025, 2050)}, "2050"),
    ],
)
def test_a_grant_that_cannot_be_given(ledger: Ledger, kit: Any, fields: dict[str, Any], told: str) -> None:
    """A name that was used, a day that is over, a class that is not kept: said, and nothing is written."""
    ledger.add_grant(kit.grant("study"))
    before = ledger.events()
    with pytest.raises(AccessRefused, match=told) as caught:
        ledger.add_grant(kit.grant(**fields))
    assert code_of(caught) == "approval"
    assert ledger.events() == before
    assert [grant.id for grant in ledger.grants()] == ["district", "study"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reads": {"discipline": ("kind",)}}, "table discipline"),
        ({"reads": {"student_year": ("gpa", "days_absent")}}, r"student_year\.days_absent"),
        ({"cohorts": (2024, 2025, 2026)}, "class 2024"),
        ({"population": "mandated"}, "research population"),
    ],
)
def test_a_question_outside_its_grant(ledger: Ledger, kit: Any, fields: dict[str, Any], told: str) -> None:
    """Another table, another column, another class or population: refused inside the charge, nothing is paid."""
    ledger.add_grant(kit.grant("study", cohorts=(2025, 2026)))
    asked = kit.question("r", kit.draw("a"), **({"grant": "study", "population": "research"} | fields))
    with pytest.raises(AccessRefused, match=told) as caught:
        kit.pay(ledger, asked)
    assert code_of(caught) == "grant_scope"
    assert ledger.balances("study")[2025].lifetime_spent == 0


def test_what_is_reused_must_be_inside_the_grant(ledger: Ledger, kit: Any) -> None:
    """A stored measurement is no way around the columns or the classes of a grant."""
    ledger.add_grant(kit.grant("study", cohorts=(2025, 2026)))
    ledger.add_grant(kit.grant("wide"))
    first = kit.answer(ledger, under(kit, "wide", scans=(2024,), reads={"student_year": ("gpa",)}))
    for fields in ({"cohorts": (2024,)}, {"reads": {"student_year": ("days_absent",)}}):
        asked = kit.question("r2", grant="study", population="research", reused=first.measurements, **fields)
        with pytest.raises(AccessRefused) as caught:
            kit.pay(ledger, asked, first.measurements)
        assert code_of(caught) == "grant_scope"


def test_a_grant_ends_on_its_last_day_by_the_district_calendar(ledger: Ledger, desk: Any, kit: Any) -> None:
    """At half past eleven in the evening it still answers; an hour later it does not."""
    ledger.add_grant(kit.grant("study", expires=date(2025, 3, 31)))
    desk.clock.at = datetime(2025, 4, 1, 3, 30, tzinfo=UTC)
    kit.pay(ledger, under(kit, "study"))
    desk.clock.at = datetime(2025, 4, 1, 4, 30, tzinfo=UTC)
    for refused in (lambda: ledger.admit("study"), lambda: kit.pay(ledger, under(kit, "study", "r2"))):
        with pytest.raises(AccessRefused, match="2025-03-31") as caught:
            refused()
        assert code_of(caught) == "grant_expired"


def test_a_revoked_grant_answers_nothing_more(ledger: Ledger, desk: Any, kit: Any) -> None:
    """From the next question on, in every process; its name is not given again, and it is revoked once."""
    ledger.add_grant(kit.grant("study"))
    other = desk.open()
    ledger.revoke_grant("study", "A. Officer", "the study moved")
    with pytest.raises(AccessRefused, match="the study moved") as caught:
        kit.pay(other, under(kit, "study"))
    assert code_of(caught) == "grant_expired"
    with pytest.raises(AccessRefused, match="taken"):
        ledger.add_grant(kit.grant("study"))
    for name in ("study", "district"):
        with pytest.raises(AccessRefused):
            ledger.revoke_grant(name, "A. Officer", "why")
    with pytest.raises(AccessRefused) as caught:
        ledger.revoke_grant("nobody", "A. Officer", "why")
    assert code_of(caught) == "grant_missing"


def test_a_ceiling_holds_for_each_question(ledger: Ledger, kit: Any) -> None:
    """One nano-ρ above it is refused, with an ε that is accepted."""
    ledger.add_grant(kit.grant("study", ceiling_nanorho=50_000))
    with pytest.raises(BudgetRefused, match="one question under the grant 'study'") as caught:
        kit.pay(ledger, under(kit, "study", nanorho=50_001))
    assert "a smaller epsilon" in str(caught.value.accepted)
    kit.pay(ledger, under(kit, "study", nanorho=50_000))


# -- what takes two people


def test_a_cap_is_raised_by_two_people(ledger: Ledger, desk: Any, kit: Any) -> None:
    """The lifetime rises, with it this year, its parts and allowances; other years are as they were."""
    kit.pay(ledger, kit.question("r", kit.draw("a", 5_000_000)))
    ledger.raise_cap((2025,), 200_000_000, TWO, "the board extends the study")
    raised, other = ledger.balances("district")[2025], ledger.balances("district")[2026]
    assert (raised.lifetime_cap, raised.year_cap, raised.population_cap, raised.allowance_cap) == (
        200_000_000,
        12_000_000,
        12_000_000,
        12_000_000,
    )
    assert (other.lifetime_cap, other.year_cap) == (100_000_000, YEAR_CAP)
    kit.pay(ledger, kit.question("r2", kit.draw("b", 7_000_000, (2025,))))
    desk.open()
    assert ledger.events()[-1].body["by"] == list(TWO)


def test_a_cap_is_not_raised_by_one_or_without_reason(ledger: Ledger, kit: Any) -> None:
    """Nor to what it is; and nothing of it is left behind."""
    before = ledger.events()
    for by, reason in ((("A", "a"), "why"), (("A",), "why"), (TWO, "")):
        with pytest.raises(AccessRefused) as caught:
            ledger.raise_cap((2025,), 200_000_000, by, reason)
        assert code_of(caught) == "approval"
    with pytest.raises(BudgetRefused, match="already"):
        ledger.raise_cap((2025, 2026), 100_000_000, TWO, "why")
    assert ledger.events() == before
    with pytest.raises(sqlite3.IntegrityError, match="by a decision"):
        ledger._database.change("UPDATE cohorts SET cap_nanorho = cap_nanorho + 1 WHERE cohort = 2025")
    kit.pay(ledger, kit.question("r", kit.draw("a", YEAR_CAP)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A. Officer", "a officer"),
        ("Jos\u00e9", "Jose\u0301"),
        ("A. Officer", "A. Off\u034ficer"),
        ("A. Officer", "A. Officer\ufe0f"),
        ("A. Officer", "\uff21. Officer"),
        ("A. Officer", "\u3164"),
        ("A. Officer", "-"),
        ("A. Officer", "\udcff"),
    ],
)
def test_one_person_is_not_two(ledger: Ledger, one: str, other: str) -> None:
    """However a name is spelt, composed or padded with what nobody sees; and what is no name is nobody."""
    before = ledger.events()
    for decide in (
        lambda: ledger.raise_cap((2025,), 200_000_000, (one, other), "why"),
        lambda: ledger.unseal((2018,), (one, other), "why"),
    ):
        with pytest.raises(AccessRefused) as caught:
            decide()
        assert code_of(caught) == "approval"
    assert ledger.events() == before


def test_names_of_different_people_are_told_apart(ledger: Ledger) -> None:
    """Marks are letters in many scripts."""
    ledger.raise_cap((2025,), 200_000_000, ("\u0930\u093e\u092e", "\u0930\u092e\u093e"), "why")
    ledger.raise_cap((2026,), 200_000_000, ("Jos\u00e9", "Jose"), "why")


@pytest.mark.parametrize("by", ["\udcff", "A\x1b[31m", "\u034f", "A" * 1_001])
def test_whoever_decides_has_a_name_in_plain_text(ledger: Ledger, by: str) -> None:
    """It is written down and public."""
    before = ledger.events()
    for decide in (lambda: ledger.lower_cap((2025,), 10, by), lambda: ledger.accept_clock(by)):
        with pytest.raises(AccessRefused) as caught:
            decide()
        assert code_of(caught) == "approval"
    assert ledger.events() == before


def test_no_grant_has_a_name_that_cannot_be_written(ledger: Ledger) -> None:
    """As bytes of a command line that are no text."""
    for ask in (ledger.grant, ledger.admit, ledger.balances):
        with pytest.raises(AccessRefused) as caught:
            ask("\udcff")
        assert code_of(caught) == "grant_missing"


def test_after_a_decision_caps_rise_no_further(ledger: Ledger, kit: Any) -> None:
    """A hand-written statement cannot use a decision for more than was decided."""
    kit.pay(ledger, kit.question("r", kit.draw("a")))
    ledger.raise_cap((2025,), 200_000_000, TWO, "a longer study")
    for table in ("cohorts", "cohort_years", "population_years", "allowances"):
        with pytest.raises(sqlite3.IntegrityError, match="by a decision"):
            ledger._database.change(f"UPDATE {table} SET cap_nanorho = cap_nanorho + 7 WHERE cohort = 2025")


def test_a_raised_cap_may_be_lowered_again(ledger: Ledger, kit: Any) -> None:
    """To what is spent, and all its parts with it."""
    kit.pay(ledger, kit.question("r", kit.draw("a", 5_000_000)))
    ledger.raise_cap((2025,), 200_000_000, TWO, "a longer study")
    ledger.lower_cap((2025,), 90_000_000, "A. Officer")
    found = ledger.balances("district")[2025]
    assert (found.year_cap, found.population_cap, found.allowance_cap) == (5_400_000, 5_400_000, 5_400_000)


def test_a_sealed_class_is_unsealed_for_one_year(ledger: Ledger, desk: Any, kit: Any) -> None:
    """For mandated statistics, within its lifetime, until the end of the budget year."""
    asked = kit.question("r", kit.draw("a", 1_000, (2018,)))
    with pytest.raises(BudgetRefused):
        kit.pay(ledger, asked)
    ledger.unseal((2018,), TWO, "a late graduation report")
    found = ledger.balances("district")[2018]
    assert (found.standing, found.year_cap) == (Standing.MANDATED_ONLY, year_cap_nanorho(100_000_000, 2022, 2025))
    kit.pay(ledger, asked)
    with pytest.raises(BudgetRefused):
        kit.pay(ledger, kit.question("r2", kit.draw("b", 2_000_000, (2018,))))
    with pytest.raises(AccessRefused, match="not sealed"):
        ledger.unseal((2018,), TWO, "again")
    desk.clock.at = datetime(2025, 7, 2, tzinfo=UTC)
    assert ledger.accept_clock("A. Officer")
    assert ledger.balances("district")[2018].standing is Standing.SEALED
    with pytest.raises(BudgetRefused):
        kit.pay(ledger, kit.question("r3", kit.draw("c", 1, (2018,)), year=2026))


def test_only_sealed_classes_are_unsealed(ledger: Ledger) -> None:
    """Not one that is open, nor one whose first year has not come."""
    for cohort in (2025, 2022, 2039):
        with pytest.raises(AccessRefused, match="not sealed"):
            ledger.unseal((cohort,), TWO, "why")


def test_the_presets_are_those_of_the_design() -> None:
    """Careful, standard and generous, as lifetimes an officer can choose by name."""
    assert {name: preset.epsilon for name, preset in PRESETS.items()} == {"careful": 2, "standard": 4, "generous": 8}
