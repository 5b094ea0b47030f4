"""The transaction that pays: all cohorts and the grant, or nobody; once for each request."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest

from budgets.entries import charges_of
from budgets.ledger import Epoch, Ledger, PrivacyLoss, StaleBasis, State
from budgets.refusals import AccessRefused, BudgetRefused, LedgerDamaged

YEAR_CAP = 6_000_000


def spent(ledger: Ledger, cohort: int) -> tuple[int, int, int, int]:
    b = ledger.balances("district")[cohort]
    return b.lifetime_spent, b.year_spent, b.allowance_spent, b.attodelta_spent


def test_every_touched_cohort_pays_all_of_each_draw(ledger: Ledger, kit: Any) -> None:
    """A cohort pays the sum over the draws that scan it, in its lifetime, its year, its allowance and its δ."""
    draws = kit.draw("a", 500, (2025, 2026)), kit.draw("b", 70, (2026, 2027), attodelta=9)
    entry = kit.pay(ledger, kit.question("r", *draws))
    assert [(c.cohort, c.year, c.loss) for c in entry.charges] == [
        (2025, 2025, PrivacyLoss(500)),
        (2026, 2025, PrivacyLoss(570, 9)),
        (2027, 2025, PrivacyLoss(70, 9)),
    ]
    assert ledger.charges(entry.id) == entry.charges
    assert spent(ledger, 2025) == (500, 500, 500, 0)
    assert spent(ledger, 2026) == (570, 570, 570, 9)
    assert spent(ledger, 2028) == (0, 0, 0, 0)


def test_the_entry_keeps_the_question(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A retry, in whatever process, finds plan, epoch, population, draws and charges as they were paid."""
    asked = kit.question("r", kit.draw("b"), kit.draw("a", 7, (2030,)), plan='{"x": 1}')
    entry = kit.pay(ledger, asked)
    assert entry.state == State.CHARGED
    assert entry.at == desk.clock.at
    for field in ("grant", "request_id", "request_hash", "plan_hash", "plan", "epoch", "population", "year"):
        assert getattr(entry, field) == getattr(asked, field)
    assert entry.draws == asked.draws
    assert entry.measurements == {}
    assert desk.open().find("district", "r") == entry
    assert ledger.find("district", "other") is None


def test_the_same_request_pays_once(ledger: Ledger, kit: Any) -> None:
    """Charging the same request again returns its entry and takes nothing, in whatever state it is."""
    asked = kit.question("r", kit.draw("a", 500, (2025,)))
    first = kit.pay(ledger, asked)
    assert kit.pay(ledger, asked) == first
    assert ledger.start_drawing(first.id)
    assert kit.pay(ledger, asked).state == State.DRAWING
    ledger.finish(first.id, kit.noise(first))
    assert kit.pay(ledger, asked).state == State.MEASURED
    assert spent(ledger, 2025) == (500, 500, 500, 0)


def test_a_lost_answer_is_not_paid_again_under_its_id(ledger: Ledger, kit: Any) -> None:
    """The id of a lost answer stays lost; only a new id pays again."""
    asked = kit.question("r", kit.draw("a", 500, (2025,)))
    entry = kit.pay(ledger, asked)
    ledger.start_drawing(entry.id)
    ledger.lose(entry.id)
    assert kit.pay(ledger, asked).state == State.LOST
    kit.pay(ledger, replace(asked, request_id="r2"))
    assert spent(ledger, 2025)[0] == 1_000


def test_a_request_id_belongs_to_one_question(ledger: Ledger, kit: Any) -> None:
    """The same id with another question is refused, and takes nothing."""
    kit.pay(ledger, kit.question("r", kit.draw("a")))
    with pytest.raises(AccessRefused) as refused:
        kit.pay(ledger, kit.question("r", kit.draw("b"), request_hash="other"))
    assert refused.value.code == "request_id_reused"
    assert spent(ledger, 2025)[0] == 1_000


def test_a_repeat_is_recognised_in_another_year_and_epoch(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A retry is answered from its entry even when a new question would be stale."""
    asked = kit.question("r", kit.draw("a"))
    entry = kit.pay(ledger, asked)
    ledger.open_epoch(Epoch("epoch-2", "f", "d"), [])
    desk.clock.at = datetime(2027, 1, 1, tzinfo=UTC)
    assert kit.pay(ledger, replace(asked, year=2027, epoch="epoch-2")) == entry


def test_release_ids_differ(ledger: Ledger, kit: Any) -> None:
    """Every answer has a public name of its own."""
    names = {kit.pay(ledger, kit.question(str(n), kit.draw(str(n)))).release_id for n in range(5)}
    assert len(names) == 5


def test_the_last_nanorho_may_be_spent_and_no_more(ledger: Ledger, kit: Any) -> None:
    """A year is spent to its end exactly; one nano-ρ more is refused and nothing moves."""
    kit.pay(ledger, kit.question("r1", kit.draw("a", YEAR_CAP - 1, (2025, 2026))))
    kit.pay(ledger, kit.question("r2", kit.draw("b", 1, (2025,))))
    with pytest.raises(BudgetRefused) as refused:
        kit.pay(ledger, kit.question("r3", kit.draw("c", 1, (2025, 2026))))
    assert (refused.value.code, refused.value.accepted) == ("budget_year", "cohorts=[2026]")
    assert spent(ledger, 2025)[:3] == (YEAR_CAP, YEAR_CAP, YEAR_CAP)
    assert spent(ledger, 2026)[:3] == (YEAR_CAP - 1, YEAR_CAP - 1, YEAR_CAP - 1)
    assert ledger.find("district", "r3") is None


def test_one_cohort_that_cannot_pay_stops_all(ledger: Ledger, kit: Any) -> None:
    """Where one of many cohorts falls short, none is charged, whichever it is."""
    cohorts = tuple(range(2022, 2036))
    kit.pay(ledger, kit.question("r1", kit.draw("a", YEAR_CAP, (2029,))))
    with pytest.raises(BudgetRefused) as refused:
        kit.pay(ledger, kit.question("r2", kit.draw("b", 1, cohorts)))
    assert refused.value.accepted == f"cohorts={[c for c in cohorts if c != 2029]}"
    assert {spent(ledger, c) for c in cohorts if c != 2029} == {(0, 0, 0, 0)}


def test_the_sum_of_the_draws_is_what_must_fit(ledger: Ledger, kit: Any) -> None:
    """Draws that would fit one by one are refused where their sum does not."""
    half = YEAR_CAP // 2 + 1
    with pytest.raises(BudgetRefused):
        kit.pay(ledger, kit.question("r", kit.draw("a", half, (2025,)), kit.draw("b", half, (2025, 2026))))
    kit.pay(ledger, kit.question("r", kit.draw("a", half, (2025,)), kit.draw("b", half, (2026,))))


def test_a_year_ends_and_the_lifetime_goes_on(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A new budget year has its own cap; the lifetime remembers both."""
    kit.pay(ledger, kit.question("r1", kit.draw("a", YEAR_CAP, (2027,))))
    desk.clock.at = datetime(2025, 7, 2, tzinfo=UTC)
    ledger.accept_clock("A. Officer")
    kit.pay(ledger, kit.question("r2", kit.draw("b", YEAR_CAP, (2027,)), year=2026))
    assert spent(ledger, 2027) == (2 * YEAR_CAP, YEAR_CAP, YEAR_CAP, 0)
    assert ledger.balances("district", 2025)[2027].year_spent == YEAR_CAP


def test_the_lifetime_binds(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Where the year has room and the lifetime has none, the question is refused for ever, not until July."""
    kit.pay(ledger, kit.question("r1", kit.draw("a", YEAR_CAP, (2027,))))
    ledger.lower_cap([2027], YEAR_CAP + 5, "A. Officer")
    desk.clock.at = datetime(2025, 7, 2, tzinfo=UTC)
    ledger.accept_clock("A. Officer")
    with pytest.raises(BudgetRefused) as refused:
        kit.pay(ledger, kit.question("r2", kit.draw("b", 6, (2027, 2028)), year=2026))
    assert (refused.value.code, refused.value.accepted) == ("budget_lifetime", "cohorts=[2028]")
    kit.pay(ledger, kit.question("r3", kit.draw("b", 5, (2027, 2028)), year=2026))
    assert spent(ledger, 2027)[0] == YEAR_CAP + 5


def test_delta_has_its_own_lifetime(ledger: Ledger, kit: Any) -> None:
    """δ of thresholds is spent to its cap exactly, whatever ρ is left."""
    kit.pay(ledger, kit.question("r1", kit.draw("a", 1, (2027,), attodelta=999)))
    with pytest.raises(BudgetRefused) as refused:
        kit.pay(ledger, kit.question("r2", kit.draw("b", 1, (2027, 2028), attodelta=2)))
    assert (refused.value.code, refused.value.accepted) == ("budget_lifetime", "cohorts=[2028]")
    kit.pay(ledger, kit.question("r3", kit.draw("b", 1, (2027,), attodelta=1)))
    assert spent(ledger, 2027)[3] == 1_000


def test_the_allowance_of_a_grant_binds(empty_desk: Any, kit: Any) -> None:
    """A grant stops at its own part of the year, and the refusal says so."""
    ledger = empty_desk.create(district_year_fraction=Fraction(1, 10))
    kit.pay(ledger, kit.question("r1", kit.draw("a", YEAR_CAP // 10, (2027,))))
    with pytest.raises(BudgetRefused) as refused:
        kit.pay(ledger, kit.question("r2", kit.draw("b", 1, (2027,))))
    assert refused.value.code == "budget_year"
    assert refused.value.accepted == "a question about other cohorts, or in another budget year"
    assert "grant 'district'" in refused.value.message


@pytest.mark.parametrize("amount", [2**62, 2**63 - 1, 2**63, 2**64, 10**30])
def test_a_cost_beyond_the_numbers_of_the_store_is_refused(ledger: Ledger, kit: Any, amount: int) -> None:
    """However absurd the accuracy asked for, the answer is a refusal, not a failure or a wrapped sum."""
    kit.pay(ledger, kit.question("r1", kit.draw("a", 5, (2027,), attodelta=5)))
    with pytest.raises(BudgetRefused):
        kit.pay(ledger, kit.question("r2", kit.draw("b", amount, (2027,))))
    with pytest.raises(BudgetRefused):
        kit.pay(ledger, kit.question("r2", kit.draw("b", 1, (2027,), attodelta=amount)))
    assert spent(ledger, 2027) == (5, 5, 5, 5)


@pytest.mark.parametrize(("cohort", "accepted"), [(2018, "cohorts=[2030]"), (2039, "cohorts=[2030]")])
def test_closed_cohorts_are_not_asked(ledger: Ledger, kit: Any, cohort: int, accepted: str) -> None:
    """A sealed cohort, or one whose first year has not come, is refused before anything is charged."""
    with pytest.raises(BudgetRefused) as refused:
        kit.pay(ledger, kit.question("r", kit.draw("a", 1, (cohort, 2030))))
    assert (refused.value.code, refused.value.accepted) == ("cohort_sealed", accepted)
    assert spent(ledger, 2030) == (0, 0, 0, 0)


def test_late_years_are_for_mandated_statistics(ledger: Ledger, kit: Any) -> None:
    """Two years after its class graduated, a cohort pays for mandated statistics out of 2 %."""
    kit.pay(ledger, kit.question("r", kit.draw("a", 2_000_000, (2022,))))
    with pytest.raises(BudgetRefused):
        kit.pay(ledger, kit.question("r2", kit.draw("b", 1, (2022,))))


def test_a_grant_counts_its_own_population(ledger: Ledger, kit: Any) -> None:
    """The built-in grant counts the mandated population, and nobody borrows it for another."""
    with pytest.raises(AccessRefused) as refused:
        kit.pay(ledger, kit.question("r", kit.draw("a"), population="research"))
    assert (refused.value.code, refused.value.accepted) == ("grant_scope", "population=mandated")


def test_no_question_without_a_grant(ledger: Ledger, kit: Any) -> None:
    """A question under an unknown grant is refused."""
    with pytest.raises(AccessRefused) as refused:
        kit.pay(ledger, kit.question("r", kit.draw("a"), grant="rutgers"))
    assert refused.value.code == "grant_missing"


def test_cohorts_the_ledger_does_not_keep(ledger: Ledger, kit: Any) -> None:
    """A plan that touches an unknown cohort is a mistake of the house, and charges nobody."""
    with pytest.raises(ValueError, match="no cohort 1999"):
        kit.pay(ledger, kit.question("r", kit.draw("a", 1, (1999, 2030))))
    assert spent(ledger, 2030) == (0, 0, 0, 0)


@pytest.mark.parametrize("fields", [{"year": 2024}, {"year": 2026}, {"epoch": "epoch-0"}])
def test_a_plan_of_another_year_or_epoch_is_stale(ledger: Ledger, kit: Any, fields: dict[str, Any]) -> None:
    """The year and the epoch a plan was made for are checked in the transaction that pays."""
    with pytest.raises(StaleBasis):
        kit.pay(ledger, kit.question("r", kit.draw("a"), **fields))
    assert ledger.find("district", "r") is None


def test_a_load_makes_plans_stale(ledger: Ledger, kit: Any) -> None:
    """Records that were replaced are not asked any more."""
    ledger.open_epoch(Epoch("epoch-2", "f", "d"), [])
    with pytest.raises(StaleBasis):
        kit.pay(ledger, kit.question("r", kit.draw("a")))


def test_july_makes_plans_stale(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A plan made on 30 June is not charged on 1 July."""
    asked = kit.question("r", kit.draw("a"))
    desk.clock.at = datetime(2025, 7, 1, 12, tzinfo=UTC)
    with pytest.raises(StaleBasis):
        kit.pay(ledger, asked)


def test_a_measurement_in_between_makes_plans_stale(ledger: Ledger, kit: Any) -> None:
    """Who planned to draw what was measured meanwhile plans again, and pays nothing."""
    kit.answer(ledger, kit.question("r1", kit.draw("a")))
    with pytest.raises(StaleBasis):
        kit.pay(ledger, kit.question("r2", kit.draw("a")))
    assert spent(ledger, 2025)[0] == 1_000


def test_a_better_measurement_in_between_makes_plans_stale(ledger: Ledger, kit: Any) -> None:
    """The basis names the best measurement; a sharper one since is noticed, the known one is not."""
    statistic = kit.digest("a")
    first = kit.answer(ledger, kit.question("r1", kit.draw("a", 10))).measurements[statistic]
    second = kit.answer(ledger, kit.question("r2", kit.draw("a", 20)), {statistic: first}).measurements[statistic]
    with pytest.raises(StaleBasis):
        kit.pay(ledger, kit.question("r3", kit.draw("a", 30)), {statistic: first})
    with pytest.raises(StaleBasis):
        kit.pay(ledger, kit.question("r3", reused={statistic: first}), {statistic: first})
    assert kit.pay(ledger, kit.question("r3", kit.draw("a", 30)), {statistic: second}).state == State.CHARGED


def test_a_believed_measurement_that_is_none_makes_plans_stale(ledger: Ledger, kit: Any) -> None:
    """A basis that names a measurement nobody made is not trusted."""
    with pytest.raises(StaleBasis):
        kit.pay(ledger, kit.question("r", kit.draw("a")), {kit.digest("a"): 7})


def test_a_draw_needs_a_basis(ledger: Ledger, kit: Any) -> None:
    """Nothing is drawn of which the plan did not look what is measured."""
    with pytest.raises(ValueError, match="basis"):
        kit.pay(ledger, kit.question("r", kit.draw("a")), {})


def test_what_is_in_flight_is_waited_for(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A statistic another living caller paid for is not paid again; it is waited for."""
    entry = kit.pay(ledger, kit.question("r1", kit.draw("a"), kit.draw("b")))
    other = desk.open()
    statistics = [kit.digest(name) for name in "abc"]
    for state in (State.CHARGED, State.DRAWING):
        assert entry.state == state
        assert other.in_flight(statistics) == {kit.digest("a"), kit.digest("b")}
        with pytest.raises(StaleBasis):
            kit.pay(other, kit.question("r2", kit.draw("b")))
        ledger.start_drawing(entry.id)
        entry = ledger.find("district", "r1")
    ledger.finish(entry.id, kit.noise(entry))
    assert other.in_flight(statistics) == frozenset()


def test_the_dead_are_not_waited_for(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A charge whose holder died does not block its statistic."""
    kit.pay(ledger, kit.question("r1", kit.draw("a")))
    other = desk.open()
    desk.die(ledger)
    assert other.in_flight([kit.digest("a")]) == frozenset()
    assert kit.pay(other, kit.question("r2", kit.draw("a"))).state == State.CHARGED


def test_a_question_that_draws_nothing_is_free(ledger: Ledger, kit: Any) -> None:
    """Answered from stored measurements, it is entered as measured, and no cohort pays."""
    statistic = kit.digest("a")
    first = kit.answer(ledger, kit.question("r1", kit.draw("a", 500, (2025,))))
    entry = kit.pay(ledger, kit.question("r2", reused=first.measurements), first.measurements)
    assert (entry.state, entry.charges, entry.draws) == (State.MEASURED, (), ())
    assert entry.measurements == {statistic: first.measurements[statistic]}
    assert spent(ledger, 2025)[0] == 500
    assert kit.pay(ledger, kit.question("r3")).state == State.MEASURED


@pytest.mark.parametrize("number", [1, 99])
def test_a_reused_measurement_is_one_of_its_statistic(ledger: Ledger, kit: Any, number: int) -> None:
    """An answer never reuses a measurement of something else, or one that does not exist."""
    kit.answer(ledger, kit.question("r1", kit.draw("a")))
    with pytest.raises(ValueError, match="reused"):
        kit.pay(ledger, kit.question("r2", reused={kit.digest("b"): number}), {})


def test_an_interrupted_charge_takes_nothing(ledger: Ledger, kit: Any, monkeypatch: Any) -> None:
    """Whatever fails inside the transaction undoes all of it; the ledger goes on working."""
    asked = kit.question("r", kit.draw("a"))
    with monkeypatch.context() as patched:
        patched.setattr("budgets.stores.releases.begin", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            kit.pay(ledger, asked)
    assert spent(ledger, 2025) == (0, 0, 0, 0)
    assert kit.pay(ledger, asked).state == State.CHARGED


def test_charges_are_compared_with_the_draws_before_the_commit(ledger: Ledger, kit: Any, monkeypatch: Any) -> None:
    """Were the sum over the draws computed wrongly, the database's own sum would stop it."""
    asked = kit.question("r", kit.draw("a", 500, (2025,)), kit.draw("b", 70, (2025,)))
    with monkeypatch.context() as patched:
        patched.setattr("budgets.charging.charges_of", lambda draws, year: charges_of(draws[:1], year))
        with pytest.raises(LedgerDamaged):
            kit.pay(ledger, asked)
    assert spent(ledger, 2025) == (0, 0, 0, 0)
