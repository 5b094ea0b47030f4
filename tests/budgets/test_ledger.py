"""Founding, time, balances, loads: what a ledger knows before anybody asks."""

import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from budgets.epochs import EpochTerms, SwitchedOn
from budgets.ledger import Epoch, Founding, Ledger
from budgets.loss import nanorho_for
from budgets.policy import DistrictState, Policy, Standing
from budgets.refusals import AccessRefused, BudgetRefused, Refusal

LIFETIME = 100_000_000
NIGHT = timedelta(hours=12)


def events(ledger: Ledger) -> list[tuple[str, dict[str, Any]]]:
    return [(k, json.loads(b)) for k, b in ledger._database.rows("SELECT kind, body FROM events ORDER BY seq")]


def test_a_new_ledger_has_spent_nothing(ledger: Ledger) -> None:
    """Every cohort starts with its whole lifetime; the year's caps follow from the cohort's age."""
    balances = ledger.balances("district")
    assert [*balances] == [*range(2018, 2040)]
    assert {b.lifetime_spent + b.year_spent + b.allowance_spent + b.attodelta_spent for b in balances.values()} == {0}
    assert {b.lifetime_cap for b in balances.values()} == {100_000_000}
    assert (balances[2030].year_cap, balances[2020].year_cap, balances[2018].year_cap) == (6_000_000, 2_000_000, 0)
    assert (balances[2030].standing, balances[2018].standing) == (Standing.OPEN, Standing.SEALED)
    assert balances[2030].left == 6_000_000


def test_balances_of_another_year(ledger: Ledger) -> None:
    """The caps of any year can be looked up; they are not this year's."""
    assert ledger.balances("district", 2033)[2030].year_cap == 2_000_000
    assert ledger.balances("district", 2040)[2030].left == 0


def test_the_allowance_of_a_real_district(empty_desk: Any) -> None:
    """A tenth of the year is a tenth of each cohort's year."""
    ledger = empty_desk.create(district_year_fraction=Fraction(1, 10))
    assert ledger.balances("district")[2030].left == 600_000
    assert ledger.grant("district").year_fraction == Fraction(1, 10)


def test_no_balances_under_an_unknown_grant(ledger: Ledger) -> None:
    """Only the built-in grant exists."""
    with pytest.raises(AccessRefused) as refused:
        ledger.balances("rutgers")
    assert refused.value.code == "grant_missing"


def test_one_ledger_for_ever(desk: Any, founded: Any) -> None:
    """A second founding on the same file is refused and changes nothing."""
    before = founded.read_bytes()
    with pytest.raises(Refusal) as refused:
        desk.create()
    assert refused.value.code == "load"
    assert desk.path.read_bytes() == before
    assert [p.name for p in desk.path.parent.iterdir() if p.name.startswith(".")] == []


def test_a_founding_that_fails_leaves_nothing(empty_desk: Any, monkeypatch: Any) -> None:
    """Either the whole ledger stands there or no file at all."""
    monkeypatch.setattr("budgets.stores.district.add_event", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        empty_desk.create()
    assert [*empty_desk.path.parent.iterdir()] == []


def test_identity(desk: Any) -> None:
    """A ledger knows whose it is, and says the same when opened again."""
    first, second = desk.open().identity, desk.open().identity
    assert first == second
    assert (first.district_id, first.time_zone, first.as_of) == ("us-xx-test", "America/New_York", None)
    assert re.fullmatch("[0-9a-f]{32}", first.ledger_id)


@pytest.mark.parametrize(
    "terms",
    [
        {"district_id": ""},
        {"cohorts": ()},
        {"cohorts": (2025, 2025)},
        {"lifetime_nanorho": 0},
        {"lifetime_nanorho": 0.25},
        {"lifetime_nanorho": 2**62},
        {"lifetime_attodelta": -1},
        {"lifetime_attodelta": True},
        {"district_year_fraction": Fraction(2)},
        {"time_zone": "America/Nowhere"},
        {"as_of": datetime(2025, 3, 1)},  # noqa: DTZ001 - that is the point
    ],
)
def test_terms_that_make_no_sense(empty_desk: Any, terms: dict[str, Any]) -> None:
    """A district cannot start with terms nobody can keep."""
    with pytest.raises(ValueError, match=r"."):
        empty_desk.create(**terms)


def test_time_never_runs_backwards(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Ledger time is the clock's, but never earlier than the newest row, of a load or of a question."""
    start = desk.clock.at
    assert ledger.now() == start
    desk.clock.at = start - NIGHT
    assert ledger.now() == start
    desk.clock.at = start + NIGHT
    kit.pay(ledger, kit.question("r", kit.draw("a")))
    desk.clock.at = start - NIGHT
    assert ledger.now() == start + NIGHT
    desk.clock.at = start + 2 * NIGHT
    ledger.open_epoch(Epoch("epoch-2", "f", "d"), [])
    desk.clock.at = start
    assert desk.open().now() == start + 2 * NIGHT


def test_a_clock_that_is_set_back_opens_no_earlier_year(ledger: Ledger, desk: Any) -> None:
    """After a row of the new year, the old year is over whatever the clock says."""
    desk.clock.at = datetime(2025, 7, 2, tzinfo=UTC)
    ledger.accept_clock("A. Officer")
    ledger.open_epoch(Epoch("epoch-2", "f", "d"), [])
    desk.clock.at = datetime(2025, 6, 1, tzinfo=UTC)
    assert ledger.year() == 2026


def test_invented_records_live_in_their_own_time(empty_desk: Any) -> None:
    """`as_of` replaces the clock wholly, also when the ledger is opened again."""
    as_of = datetime(2024, 10, 1, 9, tzinfo=UTC)
    ledger = empty_desk.create(as_of=as_of)
    empty_desk.clock.at = datetime(2031, 1, 1, tzinfo=UTC)
    for each in (ledger, empty_desk.open()):
        assert (each.now(), each.year(), each.identity.as_of) == (as_of, 2025, as_of)


def person(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_a_load_registers_who_is_new(ledger: Ledger) -> None:
    """A load appends persons, makes its epoch current, and remembers the ones before."""
    ledger.open_epoch(Epoch("epoch-2", "epoch-2.duckdb", "aa"), [(person(1), 2030), (person(2), 2031)])
    ledger.open_epoch(Epoch("epoch-3", "epoch-3.duckdb", "bb"), [(person(2), 2031), (person(3), 2031)])
    assert ledger.current_epoch() == Epoch("epoch-3", "epoch-3.duckdb", "bb")
    assert ledger.epoch("epoch-2") == Epoch("epoch-2", "epoch-2.duckdb", "aa")
    assert ledger.epoch("epoch-9") is None
    assert ledger.known_cohorts() == {person(1): 2030, person(2): 2031, person(3): 2031}
    assert ledger.known_cohorts([person(3), person(4)]) == {person(3): 2031}


@pytest.mark.parametrize(
    "persons",
    [
        [(person(2), 2030), (person(1), 2031)],
        [(person(2), 2030), (person(2), 2031)],
        [(person(2), 1999)],
    ],
)
def test_a_person_keeps_the_cohort_of_the_first_sight(ledger: Ledger, persons: list[tuple[bytes, int]]) -> None:
    """A load that moves a person, or names a cohort the ledger does not keep, changes nothing at all."""
    ledger.open_epoch(Epoch("epoch-2", "f", "d"), [(person(1), 2030)])
    with pytest.raises(ValueError, match="cohort"):
        ledger.open_epoch(Epoch("epoch-3", "f", "d"), persons)
    assert ledger.known_cohorts() == {person(1): 2030}
    assert ledger.current_epoch() == Epoch("epoch-2", "f", "d")
    assert [kind for kind, _ in events(ledger)] == ["init", "load", "load"]


def test_an_epoch_is_opened_once(ledger: Ledger) -> None:
    """An old epoch never becomes the current one again."""
    with pytest.raises(ValueError, match="once"):
        ledger.open_epoch(Epoch("epoch-1", "f", "d"), [])


def test_events_do_not_count_students(ledger: Ledger) -> None:
    """The event of a load names the epoch, its file and its catalog, and no number at all."""
    ledger.open_epoch(Epoch("epoch-x", "f", "d"), [(person(n), 2030) for n in range(7)])
    kind, body = events(ledger)[-1]
    assert (kind, body) == ("load", {"epoch": "epoch-x", "file": "f", "catalog_digest": "d"})


def test_a_class_that_comes_later_begins_with_what_the_founding_gave(ledger: Ledger) -> None:
    """Nothing spent, no more than the classes of the founding had, and no more than any class has now."""
    ledger.open_epoch(Epoch("epoch-2", "f", "d"), [(person(1), 2040)], EpochTerms((2030, 2040, 2041)))
    found = ledger.balances("district")
    assert {(found[c].lifetime_cap, found[c].lifetime_spent) for c in (2040, 2041)} == {(LIFETIME, 0)}
    assert ("classes_added", {"cohorts": [2040, 2041], "lifetime_nanorho": LIFETIME}) in events(ledger)
    ledger.lower_cap(tuple(found), LIFETIME // 2, "A. Officer")
    ledger.raise_cap((2030,), 2 * LIFETIME, ("A. Officer", "B. Officer"), "a study")
    ledger.open_epoch(Epoch("epoch-3", "f", "d"), [], EpochTerms((2042,)))
    assert ledger.balances("district")[2042].lifetime_cap == LIFETIME, "a raise is of the classes it names"
    ledger.lower_cap((2030, 2042), LIFETIME // 2, "A. Officer")
    ledger.open_epoch(Epoch("epoch-4", "f", "d"), [], EpochTerms((2043,)))
    assert ledger.balances("district")[2043].lifetime_cap == LIFETIME // 2
    for cap, spent in ((LIFETIME + 1, 0), (LIFETIME, 1)):
        with pytest.raises(sqlite3.IntegrityError, match="founding"):
            ledger._database.change(
                "INSERT INTO cohorts (cohort, cap_nanorho, spent_nanorho, cap_attodelta) VALUES (2050, ?, ?, 0)",
                (cap, spent),
            )


def test_what_is_sensitive_comes_with_two_people_and_a_reason(ledger: Ledger) -> None:
    """Or the load changes nothing at all."""
    for by, reason in ((("A. Officer",), "why"), (("A. Officer", "a officer"), "why"), (("A", "B"), " ")):
        with pytest.raises(AccessRefused):
            ledger.open_epoch(
                Epoch("epoch-2", "f", "d"), [], EpochTerms(switched_on=SwitchedOn(("discipline",), by, reason))
            )
    assert ledger.current_epoch() == Epoch("epoch-1", "epoch-1.duckdb", "digest")
    ledger.open_epoch(
        Epoch("epoch-2", "f", "d"), [], EpochTerms(switched_on=SwitchedOn(("discipline",), ("A", "B"), "why"))
    )
    assert ("sensitive_on", {"names": ["discipline"], "approved_by": ["A", "B"], "reason": "why"}) in events(ledger)


def test_an_opt_out_holds_until_it_is_taken_back_and_leaves_no_event(ledger: Ledger) -> None:
    """The newest word of a person counts; nobody needs to be known for it."""
    ledger.note_opt_outs([person(1), person(2), person(1)], out=True)
    assert ledger.opted_out() == {person(1), person(2)}
    ledger.note_opt_outs([person(2)], out=False)
    assert ledger.opted_out() == {person(1)}
    ledger.note_opt_outs([person(2)], out=True)
    assert ledger.opted_out() == {person(1), person(2)}
    with pytest.raises(AccessRefused):
        ledger.note_opt_outs([], out=True)
    assert [kind for kind, _ in events(ledger)] == ["init", "load"]


def test_an_opt_out_during_a_load_undoes_it(ledger: Ledger) -> None:
    """The records were read without it: they are not put in place."""
    before = ledger.opted_out()
    ledger.note_opt_outs([person(1)], out=True)
    with pytest.raises(AccessRefused, match="while the records were loaded"):
        ledger.open_epoch(Epoch("epoch-2", "f", "d"), [], EpochTerms(opted_out=before))
    assert ledger.current_epoch() == Epoch("epoch-1", "epoch-1.duckdb", "digest")
    ledger.open_epoch(Epoch("epoch-2", "f", "d"), [], EpochTerms(opted_out=frozenset({person(1)})))


def test_founding_is_written_down(ledger: Ledger) -> None:
    """The first event holds the terms, in whole numbers."""
    kind, body = events(ledger)[0]
    assert kind == "init"
    assert (body["lifetime_nanorho"], body["district_year_fraction"]) == (100_000_000, "1")


def test_a_cap_may_fall(ledger: Ledger, kit: Any) -> None:
    """Lowering a lifetime lowers the years with it, also those begun; what is spent stays within."""
    kit.pay(ledger, kit.question("r", kit.draw("a", 1_000_000, (2025, 2026))))
    ledger.lower_cap([2026, 2030], 10_000_000, "A. Officer")
    balances = ledger.balances("district")
    assert balances[2025].lifetime_cap == 100_000_000
    assert (balances[2030].lifetime_cap, balances[2030].year_cap) == (10_000_000, 600_000)
    assert (balances[2026].year_cap, balances[2026].year_spent) == (1_000_000, 1_000_000)
    assert (balances[2026].allowance_cap, balances[2026].left) == (1_000_000, 0)
    body = {"cohorts": [2026, 2030], "lifetime_nanorho": 10_000_000, "by": "A. Officer"}
    assert events(ledger)[-1] == ("cap_lowered", body)


@pytest.mark.parametrize("cap", [100_000_000, 100_000_001, 999_999, 0])
def test_a_cap_never_rises_nor_undercuts_what_is_spent(ledger: Ledger, kit: Any, cap: int) -> None:
    """A cap that would rise, stay, or fall below what is spent is refused for all cohorts named."""
    kit.pay(ledger, kit.question("r", kit.draw("a", 1_000_000, (2025,))))
    with pytest.raises(BudgetRefused) as refused:
        ledger.lower_cap([2024, 2025], cap, "A. Officer")
    assert refused.value.code == "budget_lifetime"
    assert refused.value.accepted is not None
    assert {b.lifetime_cap for b in ledger.balances("district").values()} == {100_000_000}
    assert [kind for kind, _ in events(ledger)] == ["init", "load"]


def test_a_cap_may_fall_to_what_is_spent(ledger: Ledger, kit: Any) -> None:
    """The lowest cap accepted is what is spent: then the cohort is done."""
    kit.pay(ledger, kit.question("r", kit.draw("a", 1_000_000, (2025,))))
    ledger.lower_cap([2025], 1_000_000, "A. Officer")
    assert ledger.balances("district")[2025].left == 0
    with pytest.raises(BudgetRefused) as refused:
        ledger.lower_cap([2025], 999_999, "A. Officer")
    assert refused.value.accepted is None


def test_the_caps_that_are_accepted_are_told_in_epsilon(ledger: Ledger, kit: Any) -> None:
    """Both ends of what a refusal accepts are accepted when typed, by all cohorts named."""
    kit.pay(ledger, kit.question("r", kit.draw("a", 1_000_000, (2025,))))
    with pytest.raises(BudgetRefused) as refused:
        ledger.lower_cap([2024, 2025], 100_000_001, "A. Officer")
    assert "nano" not in f"{refused.value.message} {refused.value.accepted}"
    ends = re.fullmatch(r"ε from ([\d.]+) to ([\d.]+) at δ 5e-08", str(refused.value.accepted))
    assert ends is not None
    for end in (ends[2], ends[1]):
        ledger.lower_cap([2024, 2025], nanorho_for(float(end)), "A. Officer")


@pytest.mark.parametrize(
    ("cohorts", "cap", "by"), [([], 5, "A"), ([1999], 5, "A"), ([2025], 5, ""), ([2025], -1, "A"), ([2025], 0.5, "A")]
)
def test_a_cap_is_lowered_by_somebody_for_somebody(ledger: Ledger, cohorts: Any, cap: Any, by: str) -> None:
    """A nameless decision, or one about nobody, is no decision."""
    with pytest.raises(ValueError, match=r"cap"):
        ledger.lower_cap(cohorts, cap, by)


@pytest.mark.slow
def test_two_hundred_thousand_persons(ledger: Ledger) -> None:
    """A large district's load is registered in seconds."""
    persons = [(person(7 * n), 2025 + n % 13) for n in range(200_000)]
    ledger.open_epoch(Epoch("epoch-2", "f", "d"), persons)
    assert len(ledger.known_cohorts()) == 200_000


def test_the_terms_are_values() -> None:
    """Two districts with the same terms have equal terms."""
    terms: dict[str, Any] = {
        "district_id": "a",
        "time_zone": "UTC",
        "cohorts": (2025,),
        "lifetime_nanorho": 1,
        "lifetime_attodelta": 0,
        "district_year_fraction": Fraction(1),
        "policy": Policy(DistrictState.PILOT),
        "as_of": None,
    }
    assert Founding(**terms) == Founding(**terms)
