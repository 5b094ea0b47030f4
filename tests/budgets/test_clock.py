"""A clock that leaps into another budget year: asked about once, and never taken silently."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budgets.ledger import Epoch, Ledger, StaleBasis, State
from budgets.refusals import AccessRefused

MARCH_2025 = datetime(2025, 3, 1, 12, tzinfo=UTC)
AUGUST_2025 = datetime(2025, 8, 20, 12, tzinfo=UTC)


def events(ledger: Ledger) -> list[tuple[str, dict[str, Any]]]:
    return [(k, json.loads(b)) for k, b in ledger._database.rows("SELECT kind, body FROM events ORDER BY seq")]


def test_a_year_ahead_is_not_believed(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Neither a question nor a load nor a lowered cap opens a new year after a leap; the refusal says both dates."""
    desk.clock.at = MARCH_2025 + timedelta(days=365)
    assert ledger.year() == 2026
    for step in (
        lambda: kit.pay(ledger, kit.question("r", kit.draw("a"), year=2026)),
        lambda: kit.pay(ledger, kit.question("r", year=2026)),
        lambda: ledger.open_epoch(Epoch("epoch-2", "f", "d"), []),
        lambda: ledger.lower_cap([2030], 10, "A. Officer"),
    ):
        with pytest.raises(AccessRefused) as refused:
            step()
        assert refused.value.code == "clock"
        assert "says 2026-03-01" in refused.value.message
        assert "is of 2025-03-01" in refused.value.message
        assert "budget year 2026" in refused.value.message
        assert "`homeroom doctor DIR --accept-clock`" in str(refused.value.accepted)
    assert [kind for kind, _ in events(ledger)] == ["init", "load"]
    desk.clock.at = MARCH_2025
    assert ledger.year() == 2025
    kit.pay(ledger, kit.question("r", kit.draw("a")))


def test_a_summer_is_over_with_one_word(ledger: Ledger, desk: Any, kit: Any) -> None:
    """After the clock is accepted the new year is open for everybody; the event says who accepted it, once."""
    other = desk.open()
    desk.clock.at = AUGUST_2025
    assert ledger.clock_leap() is not None
    assert ledger.accept_clock("A. Officer")
    assert not ledger.accept_clock("A. Officer")
    assert other.clock_leap() is None
    kit.pay(other, kit.question("r", kit.draw("a"), year=2026))
    assert events(ledger)[-1] == ("clock_accepted", {"by": "A. Officer"})
    assert len(events(ledger)) == 3


def test_what_was_paid_is_answered_whatever_the_clock_says(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A repeat writes nothing that is dated: it goes on after a leap, from charge to answer."""
    asked = kit.question("r", kit.draw("a"))
    kit.pay(ledger, asked)
    desk.clock.at = AUGUST_2025
    entry = kit.pay(ledger, asked)
    assert ledger.start_drawing(entry.id)
    assert ledger.finish(entry.id, kit.noise(entry)).state == State.MEASURED


def test_a_plan_of_the_old_year_is_stale_first(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Who planned before the leap plans again, and is told of the clock then."""
    desk.clock.at = AUGUST_2025
    with pytest.raises(StaleBasis):
        kit.pay(ledger, kit.question("r", kit.draw("a")))


@pytest.mark.parametrize(
    ("last", "clock"),
    [
        (datetime(2025, 6, 28, 12, tzinfo=UTC), datetime(2025, 7, 5, 12, tzinfo=UTC)),
        (datetime(2025, 7, 2, tzinfo=UTC), datetime(2026, 6, 30, tzinfo=UTC)),
        (datetime(2025, 6, 20, tzinfo=UTC), datetime(2025, 7, 1, 3, 59, tzinfo=UTC)),
    ],
)
def test_no_leap(ledger: Ledger, desk: Any, last: datetime, clock: datetime) -> None:
    """Seven days at most, or the same budget year by the district's own calendar: nobody is asked."""
    desk.clock.at = last
    ledger.accept_clock("A. Officer")
    ledger.open_epoch(Epoch("epoch-2", "f", "d"), [])
    desk.clock.at = clock
    assert ledger.clock_leap() is None
    ledger.open_epoch(Epoch("epoch-3", "f", "d"), [])


def test_a_leap_is_seven_days_and_a_bit(ledger: Ledger, desk: Any) -> None:
    """A microsecond more than seven days, and another year."""
    desk.clock.at = datetime(2025, 6, 28, 12, tzinfo=UTC)
    ledger.open_epoch(Epoch("epoch-2", "f", "d"), [])
    desk.clock.at += timedelta(days=7, microseconds=1)
    assert ledger.clock_leap() is not None


def test_a_year_back_spends_from_the_year_of_the_newest_row(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A clock set back is not believed either: the year stays, what is spent in it stays spent."""
    kit.pay(ledger, kit.question("r1", kit.draw("a", 6_000_000, (2027,))))
    desk.clock.at = MARCH_2025 - timedelta(days=365)
    assert (ledger.year(), ledger.now(), ledger.clock_leap()) == (2025, MARCH_2025, None)
    entry = kit.pay(ledger, kit.question("r2", kit.draw("b", 1, (2028,))))
    assert (entry.year, entry.at) == (2025, MARCH_2025)
    with pytest.raises(Exception, match="year 2025"):
        kit.pay(ledger, kit.question("r3", kit.draw("c", 1, (2027,))))


def test_invented_records_have_no_clock(empty_desk: Any, kit: Any) -> None:
    """A district with a fixed moment is never asked, however old it is."""
    ledger = empty_desk.create(as_of=MARCH_2025)
    empty_desk.clock.at = datetime(2031, 1, 1, tzinfo=UTC)
    assert ledger.clock_leap() is None
    kit.pay(ledger, kit.question("r", kit.draw("a")))
    assert not ledger.accept_clock("A. Officer")


def test_nobody_accepts_no_clock(ledger: Ledger) -> None:
    """An acceptance has a name."""
    with pytest.raises(ValueError, match="somebody"):
        ledger.accept_clock("")
