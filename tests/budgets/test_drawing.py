"""From charged to measured or lost: one draw on one charge, whoever lives or dies."""

from typing import Any

import numpy as np
import pytest

from budgets.holders import Holder
from budgets.ledger import Ledger, NotDrawing, State


def state(ledger: Ledger, request_id: str = "r") -> State:
    entry = ledger.find("district", request_id)
    assert entry is not None
    return entry.state


def test_one_draw_on_one_charge(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Only one caller is told to draw, and nobody afterwards, in whatever state the entry is."""
    entry, other = kit.pay(ledger, kit.question("r", kit.draw("a"))), desk.open()
    assert ledger.start_drawing(entry.id)
    assert not ledger.start_drawing(entry.id)
    assert not other.start_drawing(entry.id)
    ledger.finish(entry.id, kit.noise(entry))
    assert not ledger.start_drawing(entry.id)
    assert not other.start_drawing(entry.id)


def test_nothing_is_drawn_that_was_not_charged(ledger: Ledger) -> None:
    """There is no draw for an entry that does not exist."""
    assert not ledger.start_drawing(1)


def test_what_was_drawn_is_stored(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Noisy integers come back to the last bit, with their own scale and loss, read-only."""
    entry = kit.pay(ledger, kit.question("r", kit.draw("a", 7), kit.draw("b", 9)))
    a, b = (each.statistic for each in entry.draws)
    values = {b: np.array([2**63 - 1, -(2**63), 0, -1]), a: np.zeros(0, dtype=np.int64)}
    ledger.start_drawing(entry.id)
    done = ledger.finish(entry.id, values)
    assert done.state == State.MEASURED
    assert set(done.measurements) == {a, b}
    stored = desk.open().measurements(done.measurements.values())
    (found,) = stored[done.measurements[b]]
    assert (found.statistic, found.scale, found.loss) == (b, 3.5, entry.draws[1].loss)
    assert found.values.tolist() == values[b].tolist()
    assert stored[done.measurements[a]][0].values.tolist() == []
    with pytest.raises(ValueError, match="read-only"):
        found.values[0] = 0


def test_all_measurements_of_a_statistic_are_found(ledger: Ledger, kit: Any) -> None:
    """In the order of their drawing; by the id of one, it and those before it, whatever is drawn later."""
    statistic = kit.digest("a")
    assert ledger.measured([statistic]) == {}
    basis: dict[str, int | None] = {statistic: None}
    ids: list[int] = []
    for number, nanorho in enumerate((10, 30, 20)):
        entry = kit.answer(ledger, kit.question(str(number), kit.draw("a", nanorho)), basis)
        ids.append(entry.measurements[statistic])
        basis[statistic] = ids[-1]
    found = ledger.measured([statistic, kit.digest("b")])
    assert [(each.id, each.loss.nanorho) for each in found[statistic]] == list(zip(ids, (10, 30, 20), strict=True))
    assert found.keys() == {statistic}
    assert [each.id for each in ledger.measurements([ids[1]])[ids[1]]] == ids[:2]
    assert ledger.measurements([99]) == {}


def test_only_who_draws_may_finish(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Noise drawn by anybody else, before the start or after the end is thrown away."""
    entry, other = kit.pay(ledger, kit.question("r", kit.draw("a"))), desk.open()
    with pytest.raises(NotDrawing):
        ledger.finish(entry.id, kit.noise(entry))
    ledger.start_drawing(entry.id)
    with pytest.raises(NotDrawing):
        other.finish(entry.id, kit.noise(entry))
    assert ledger.measured([kit.digest("a")]) == {}
    ledger.finish(entry.id, kit.noise(entry))
    with pytest.raises(NotDrawing):
        ledger.finish(entry.id, kit.noise(entry))


def test_all_that_was_paid_is_stored_and_no_more(ledger: Ledger, kit: Any) -> None:
    """An answer with a statistic missing, or one too many, is not stored, and the drawing goes on."""
    entry = kit.pay(ledger, kit.question("r", kit.draw("a"), kit.draw("b")))
    ledger.start_drawing(entry.id)
    whole = kit.noise(entry)
    for wrong in ({}, {kit.digest("a"): whole[kit.digest("a")]}, whole | {kit.digest("c"): np.arange(3)}):
        with pytest.raises(ValueError, match="no other"):
            ledger.finish(entry.id, wrong)
        assert state(ledger) == State.DRAWING
    assert ledger.finish(entry.id, whole).state == State.MEASURED


@pytest.mark.parametrize(
    "vector", [np.arange(3.0), np.arange(3, dtype=np.int32), np.ones((2, 2), dtype=np.int64), np.array([True])]
)
def test_measurements_are_vectors_of_whole_numbers(ledger: Ledger, kit: Any, vector: Any) -> None:
    """Floats, booleans, short integers and matrices are refused before anything is stored."""
    entry = kit.pay(ledger, kit.question("r", kit.draw("a")))
    ledger.start_drawing(entry.id)
    with pytest.raises(ValueError, match="int64"):
        ledger.finish(entry.id, {kit.digest("a"): vector})
    assert state(ledger) == State.DRAWING


def test_a_failed_draw_is_lost_for_good(ledger: Ledger, kit: Any) -> None:
    """A drawing given up is spent, never drawn again, and keeps its charges."""
    entry = kit.pay(ledger, kit.question("r", kit.draw("a", 500, (2025,))))
    ledger.start_drawing(entry.id)
    ledger.lose(entry.id)
    assert state(ledger) == State.LOST
    assert not ledger.start_drawing(entry.id)
    with pytest.raises(NotDrawing):
        ledger.finish(entry.id, kit.noise(entry))
    found = ledger.balances("district")[2025]
    assert {found.lifetime_spent, found.year_spent, found.population_spent, found.allowance_spent} == {500}


def test_only_drawings_of_ones_own_are_given_up(ledger: Ledger, desk: Any, kit: Any) -> None:
    """`lose` touches neither a charge, nor an answer, nor what somebody else draws."""
    entry, other = kit.pay(ledger, kit.question("r", kit.draw("a"))), desk.open()
    ledger.lose(entry.id)
    assert state(ledger) == State.CHARGED
    ledger.start_drawing(entry.id)
    other.lose(entry.id)
    assert state(ledger) == State.DRAWING
    ledger.finish(entry.id, kit.noise(entry))
    ledger.lose(entry.id)
    assert state(ledger) == State.MEASURED


def test_the_drawings_of_the_dead_are_lost(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A drawing whose holder is gone becomes lost when anybody looks; what it paid stays paid."""
    entry, other = kit.pay(ledger, kit.question("r", kit.draw("a", 500, (2025,)))), desk.open()
    ledger.start_drawing(entry.id)
    assert other.reap() == 0
    desk.die(ledger)
    assert other.reap() == 1
    assert other.reap() == 0
    assert state(other) == State.LOST
    assert other.balances("district")[2025].year_spent == 500
    with pytest.raises(NotDrawing):
        ledger.finish(entry.id, kit.noise(entry))


def test_looking_for_a_request_reaps(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Who asks for the entry of a dead caller is told at once that it is lost."""
    entry, other = kit.pay(ledger, kit.question("r", kit.draw("a"))), desk.open()
    ledger.start_drawing(entry.id)
    desk.die(ledger)
    assert state(other) == State.LOST


def test_opening_reaps(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A ledger that is opened gives up the drawings of those before."""
    entry = kit.pay(ledger, kit.question("r", kit.draw("a")))
    ledger.start_drawing(entry.id)
    ledger.close()
    rows = desk.open()._database.rows("SELECT state FROM progress")
    assert rows == [("lost",)]


def test_the_charge_of_the_dead_is_taken_over(ledger: Ledger, desk: Any, kit: Any) -> None:
    """What the dead paid is not lost while nothing was drawn: the same request draws it, and pays nothing."""
    asked = kit.question("r", kit.draw("a", 500, (2025,)))
    kit.pay(ledger, asked)
    ledger.close()
    other = desk.open()
    entry = kit.pay(other, asked)
    assert entry.state == State.CHARGED
    assert other.start_drawing(entry.id)
    assert other.finish(entry.id, kit.noise(entry)).state == State.MEASURED
    assert other.balances("district")[2025].year_spent == 500


def test_a_charge_passes_between_the_living(ledger: Ledger, desk: Any, kit: Any) -> None:
    """Of two living callers of one request the second may draw; the first is told no."""
    asked, other = kit.question("r", kit.draw("a")), desk.open()
    entry = kit.pay(ledger, asked)
    assert kit.pay(other, asked) == entry
    assert other.start_drawing(entry.id)
    assert not ledger.start_drawing(entry.id)
    assert other.finish(entry.id, kit.noise(entry)).state == State.MEASURED


def test_a_charge_that_is_let_go_blocks_nobody(ledger: Ledger, desk: Any, kit: Any) -> None:
    """A caller that failed before drawing lets go: others may measure, and the same request still draws."""
    asked, other = kit.question("r", kit.draw("a")), desk.open()
    entry = kit.pay(ledger, asked)
    other.let_go(entry.id)
    assert ledger.in_flight([kit.digest("a")])
    ledger.let_go(entry.id)
    assert not ledger.in_flight([kit.digest("a")])
    assert kit.pay(other, kit.question("r2", kit.draw("a"))).state == State.CHARGED
    found = ledger.find("district", "r")
    assert found is not None
    assert (found.state, found.holder) == (State.CHARGED, None)
    assert other.start_drawing(entry.id)
    for each in (ledger, other):
        each.let_go(entry.id)
    assert state(other) == State.DRAWING
    assert other.finish(entry.id, kit.noise(entry)).state == State.MEASURED


def test_a_closed_ledger_is_dead(ledger: Ledger, kit: Any) -> None:
    """Nothing is charged or drawn by a ledger that was closed; closing twice is no failure."""
    ledger.close()
    ledger.close()
    with pytest.raises(Exception, match="closed"):
        kit.pay(ledger, kit.question("r", kit.draw("a")))


def test_a_holder_lives_until_it_is_dropped(tmp_path: Any) -> None:
    """Alive is who holds the lock; a file alone proves nothing, and no file means dead."""
    one, two = Holder(tmp_path / "locks"), Holder(tmp_path / "locks")
    assert one.lives(two.token)
    assert one.lives(one.token)
    assert not one.lives(None)
    assert not one.lives("nobody")
    two.drop()
    assert (tmp_path / "locks" / two.token).exists()
    assert not one.lives(two.token)
    assert not two.lives(two.token)
    one.close()
    assert not two.lives(one.token)


def test_many_may_look_at_the_dead_at_once(tmp_path: Any) -> None:
    """Who looks whether a holder lives is not taken for the holder."""
    one, dead = Holder(tmp_path / "locks"), Holder(tmp_path / "locks")
    dead.drop()
    with (tmp_path / "locks" / dead.token).open() as looking:
        import fcntl  # noqa: PLC0415 - only here: what `lives` itself does

        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not one.lives(dead.token)


def test_the_files_of_the_dead_are_swept(desk: Any, ledger: Ledger) -> None:
    """Opening removes the lock files of the dead and nobody else's."""
    other = desk.open()
    desk.die(other)
    third = desk.open()
    names = {path.name for path in (desk.path.parent / "locks").iterdir()}
    assert names == {ledger._holder.token, third._holder.token}
    assert (desk.path.parent / "locks").stat().st_mode & 0o777 == 0o700
