"""SQL of questions and their answers: entries, their progress, draws, measurements."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from budgets.entries import Charge, Draw, Entry, Measurement, Question, State
from budgets.loss import PrivacyLoss
from budgets.refusals import LedgerDamaged
from budgets.stores.times import from_micros

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from budgets.stores.sqlite import Database

INSERT_RELEASE = """
INSERT INTO releases
  (release_id, grant_id, request_id, request_hash, plan_hash, plan, epoch, population, year, at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

INSERT_DRAW = """
INSERT INTO draws (entry, statistic, scale, nanorho, attodelta, cohorts, position)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""

SELECT_RELEASE = """
SELECT r.id, r.release_id, r.grant_id, r.request_id, r.request_hash, r.plan_hash, r.plan, r.epoch,
  r.population, r.year, r.at_us, p.state, p.holder
FROM releases r JOIN progress p ON p.entry = r.id WHERE r.id = ?
"""

STORED_FIELDS = (
    "id",
    "release_id",
    "grant",
    "request_id",
    "request_hash",
    "plan_hash",
    "plan",
    "epoch",
    "population",
    "year",
)
"""Of an entry, as the first columns of `SELECT_RELEASE` give them."""

SELECT_MEASURED = """
SELECT statistic, measurement FROM reuses WHERE entry = :entry
UNION ALL SELECT statistic, id FROM measurements WHERE entry = :entry
"""

UNPAID = """
SELECT cohort FROM (
  SELECT cohort, nanorho, attodelta FROM charges WHERE entry = :entry
  UNION ALL
  SELECT touched.value, -d.nanorho, -d.attodelta
  FROM draws d, json_each(d.cohorts) touched WHERE d.entry = :entry)
GROUP BY cohort HAVING sum(nanorho) <> 0 OR sum(attodelta) <> 0
"""

START = "UPDATE progress SET state = 'drawing', holder = :holder WHERE entry = :entry AND state = 'charged'"
FINISH = "UPDATE progress SET state = 'measured' WHERE entry = :entry AND state = 'drawing' AND holder = :holder"
LOSE = "UPDATE progress SET state = 'lost' WHERE entry = :entry AND state = 'drawing' AND holder = :holder"
LOSE_ALL = "UPDATE progress SET state = 'lost' WHERE state = 'drawing' AND holder = ?"
LET_GO = "UPDATE progress SET holder = NULL WHERE entry = :entry AND state = 'charged' AND holder = :holder"
DRAWING_HOLDERS = "SELECT DISTINCT holder FROM progress WHERE state = 'drawing'"

NEWEST = """
SELECT m.statistic, max(m.id) FROM json_each(?) asked JOIN measurements m ON m.statistic = asked.value
GROUP BY m.statistic
"""

SELECT_MEASUREMENTS = """
SELECT own.id, m.id, m.statistic, d.scale, d.nanorho, d.attodelta, m.vector
FROM json_each(?) asked
JOIN measurements own ON own.id = asked.value
JOIN measurements m ON m.statistic = own.statistic AND m.id <= own.id
JOIN draws d ON d.entry = m.entry AND d.statistic = m.statistic
ORDER BY own.id, m.id
"""

UNFINISHED = """
SELECT d.statistic, p.holder
FROM json_each(?) asked
CROSS JOIN draws d ON d.statistic = asked.value
CROSS JOIN progress p ON p.entry = d.entry
WHERE p.state IN ('charged', 'drawing')
"""
"""CROSS JOIN keeps SQLite to this order: few draws share a statistic, but many charges may lie unfinished."""


def insert(database: Database, question: Question, release_id: str, at_us: int) -> int:
    """Enter a question without its progress; the id of the entry."""
    q = question
    named = (release_id, q.grant, q.request_id, q.request_hash, q.plan_hash, q.plan, q.epoch, q.population)
    entry = database.insert(INSERT_RELEASE, (*named, q.year, at_us))
    draws = [
        (entry, d.statistic, d.scale, d.loss.nanorho, d.loss.attodelta, json.dumps(d.cohorts), position)
        for position, d in enumerate(q.draws)
    ]
    database.change_each(INSERT_DRAW, draws)
    reuses = [(entry, statistic, measurement) for statistic, measurement in q.reused.items()]
    database.change_each("INSERT INTO reuses (entry, statistic, measurement) VALUES (?, ?, ?)", reuses)
    return entry


def add_charges(database: Database, entry: int, charges: Iterable[Charge]) -> None:
    """Write down what each cohort pays for the entry."""
    rows = [(entry, c.cohort, c.year, c.loss.nanorho, c.loss.attodelta) for c in charges]
    sql = "INSERT INTO charges (entry, cohort, year, nanorho, attodelta) VALUES (?, ?, ?, ?, ?)"
    database.change_each(sql, rows)


def begin(database: Database, entry: int, state: State, holder: str | None) -> None:
    """Give the entry its first state; nothing can be added to what it paid for from now on."""
    database.change("INSERT INTO progress (entry, state, holder) VALUES (?, ?, ?)", (entry, state, holder))


def move(database: Database, sql: str, entry: int, holder: str) -> bool:
    """Compare-and-set of the state (START, FINISH, LOSE, LET_GO); False where the statement found no row."""
    return database.change(sql, {"entry": entry, "holder": holder}) == 1


def lose_all(database: Database, holders: Iterable[str]) -> int:
    """Give up every drawing of these holders; how many there were."""
    return database.change_each(LOSE_ALL, [(holder,) for holder in holders])


def drawing_holders(database: Database) -> list[str]:
    """Tokens of those who draw."""
    return [holder for (holder,) in database.rows(DRAWING_HOLDERS)]


def states(database: Database) -> dict[State, int]:
    """How many entries are in each state."""
    rows = database.rows("SELECT state, count(*) FROM progress GROUP BY state")
    return {State(state): number for state, number in rows}


def unfinished(database: Database, statistics: Collection[str]) -> list[tuple[str, str | None]]:
    """(statistic, holder) of each paid draw that is not measured and not lost."""
    return [(statistic, holder) for statistic, holder in database.rows(UNFINISHED, (json.dumps(list(statistics)),))]


def add_measurements(database: Database, entry: int, values: Mapping[str, NDArray[np.int64]]) -> None:
    """Store what was drawn, as little-endian 64-bit integers."""
    rows = [(entry, statistic, vector.astype("<i8").tobytes()) for statistic, vector in values.items()]
    database.change_each("INSERT INTO measurements (entry, statistic, vector) VALUES (?, ?, ?)", rows)


def newest(database: Database, statistics: Collection[str]) -> dict[str, int]:
    """The newest measurement of each statistic that has one."""
    return dict(database.rows(NEWEST, (json.dumps(list(statistics)),)))


def measurements(database: Database, ids: Collection[int]) -> dict[int, tuple[Measurement, ...]]:
    """Stored measurements by id, each behind the older ones of its statistic; unknown ids are left out."""
    found: dict[int, tuple[Measurement, ...]] = {}
    for own, *row in database.rows(SELECT_MEASUREMENTS, (json.dumps(list(ids)),)):
        found[own] = (*found.get(own, ()), _measurement(*row))
    return found


def statistics_of(database: Database, ids: Collection[int]) -> dict[int, str]:
    """Of which statistic each stored measurement is; unknown ids are left out."""
    sql = "SELECT m.id, m.statistic FROM json_each(?) asked JOIN measurements m ON m.id = asked.value"
    return dict(database.rows(sql, (json.dumps(list(ids)),)))


def _measurement(
    number: int, statistic: str, scale: float, nanorho: int, attodelta: int, vector: bytes
) -> Measurement:
    values = np.frombuffer(vector, dtype="<i8").astype(np.int64)
    values.flags.writeable = False
    return Measurement(number, statistic, scale, PrivacyLoss(nanorho, attodelta), values)


def find(database: Database, grant: str, request_id: str) -> int | None:
    """The entry of a request, if there is one."""
    sql = "SELECT id FROM releases WHERE grant_id = ? AND request_id = ?"
    found = database.rows(sql, (grant, request_id))
    return found[0][0] if found else None


def find_release(database: Database, release_id: str) -> int | None:
    """The entry of an answer, by its public name."""
    found = database.rows("SELECT id FROM releases WHERE release_id = ?", (release_id,))
    return found[0][0] if found else None


def charges(database: Database, entry: int) -> tuple[Charge, ...]:
    """What each cohort paid for the entry, by cohort."""
    sql = "SELECT cohort, year, nanorho, attodelta FROM charges WHERE entry = ? ORDER BY cohort"
    return tuple(
        Charge(cohort, year, PrivacyLoss(nanorho, attodelta))
        for cohort, year, nanorho, attodelta in database.rows(sql, (entry,))
    )


def draws(database: Database, entry: int) -> tuple[Draw, ...]:
    """What the entry pays for, in the order of its plan."""
    sql = "SELECT statistic, scale, nanorho, attodelta, cohorts FROM draws WHERE entry = ? ORDER BY position"
    return tuple(
        Draw(statistic, scale, PrivacyLoss(nanorho, attodelta), tuple(json.loads(cohorts)))
        for statistic, scale, nanorho, attodelta, cohorts in database.rows(sql, (entry,))
    )


def entered(
    database: Database, number: int, question: Question, charges: tuple[Charge, ...], release_id: str, at_us: int
) -> Entry:
    """The entry of a question that was entered in this transaction, checked as `entry` checks it.

    Raises:
        LedgerDamaged: some cohort paid something else than the draws that scan it.
    """
    q = question
    if database.rows(UNPAID, {"entry": number}):
        raise LedgerDamaged(f"entry {number} was charged something else than its draws cost")
    ((state, holder),) = database.rows("SELECT state, holder FROM progress WHERE entry = ?", (number,))
    return Entry(
        id=number,
        release_id=release_id,
        grant=q.grant,
        request_id=q.request_id,
        request_hash=q.request_hash,
        plan_hash=q.plan_hash,
        plan=q.plan,
        epoch=q.epoch,
        population=q.population,
        year=q.year,
        state=State(state),
        holder=holder,
        at=from_micros(at_us),
        charges=charges,
        draws=q.draws,
        measurements=dict(q.reused),
    )


def entry(database: Database, number: int) -> Entry:
    """The entry, checked: every cohort paid the sum of the draws that scan it, and an answer is whole.

    Raises:
        LedgerDamaged: it is not so.
        LookupError: there is no such entry.
    """
    found = database.rows(SELECT_RELEASE, (number,))
    if not found:
        raise LookupError(number)
    made = _entry(database, found[0])
    if database.rows(UNPAID, {"entry": number}):
        raise LedgerDamaged(f"entry {number} was charged something else than its draws cost")
    answered = all(draw.statistic in made.measurements for draw in made.draws)
    if (made.state is State.MEASURED) != answered and made.draws:
        raise LedgerDamaged(f"entry {number} is {made.state}, and its measurements say otherwise")
    return made


def _entry(database: Database, row: tuple[Any, ...]) -> Entry:
    number, *_, at_us, state, holder = row
    measured: dict[str, int] = dict(database.rows(SELECT_MEASURED, {"entry": number}))
    return Entry(
        **dict(zip(STORED_FIELDS, row, strict=False)),
        state=State(state),
        holder=holder,
        at=from_micros(at_us),
        charges=charges(database, number),
        draws=draws(database, number),
        measurements=measured,
    )
