"""SQL of what the ledger knows of its district: identity, events, epochs, the register."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from budgets.entries import Epoch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from budgets.stores.sqlite import Database

NEWEST = """
SELECT max(at_us) FROM (
  SELECT * FROM (SELECT at_us FROM events ORDER BY seq DESC LIMIT 1)
  UNION ALL SELECT * FROM (SELECT at_us FROM releases ORDER BY id DESC LIMIT 1))
"""


OPTED_OUT = """
SELECT person, has_left FROM opt_outs o WHERE is_out
  AND NOT EXISTS (SELECT 1 FROM opt_outs later WHERE later.person = o.person AND later.seq > o.seq)
"""


class IdentityRow(NamedTuple):
    """Who this ledger is, as stored."""

    district_id: str
    ledger_id: str
    time_zone: str
    as_of_us: int | None


def add_identity(database: Database, identity: IdentityRow) -> None:
    """Write down who this ledger is; once."""
    sql = "INSERT INTO identity (only, district_id, ledger_id, time_zone, as_of_us) VALUES (1, ?, ?, ?, ?)"
    database.change(sql, identity)


def identity(database: Database) -> IdentityRow | None:
    """Who this ledger is."""
    rows = database.rows("SELECT district_id, ledger_id, time_zone, as_of_us FROM identity")
    return IdentityRow(*rows[0]) if rows else None


def add_event(database: Database, at_us: int, kind: str, body: Mapping[str, Any]) -> None:
    """Append an event; its body never counts students."""
    sql = "INSERT INTO events (at_us, kind, body) VALUES (?, ?, ?)"
    database.change(sql, (at_us, kind, json.dumps(body, sort_keys=True)))


def events(database: Database) -> list[tuple[int, int, str, Mapping[str, Any]]]:
    """Number, time, kind and body of every event, in their order."""
    rows = database.rows("SELECT seq, at_us, kind, body FROM events ORDER BY seq")
    return [(seq, at_us, kind, json.loads(body)) for seq, at_us, kind, body in rows]


def newest_us(database: Database) -> int:
    """The time of the newest event or question; a ledger has its founding at least."""
    return int(database.rows(NEWEST)[0][0])


def add_epoch(database: Database, epoch: Epoch) -> None:
    """Append an epoch, which makes it the current one."""
    sql = "INSERT INTO epochs (id, file, catalog_digest) VALUES (?, ?, ?)"
    database.change(sql, (epoch.id, epoch.file, epoch.catalog_digest))


def epoch(database: Database, name: str) -> Epoch | None:
    """The epoch of this id."""
    rows = database.rows("SELECT id, file, catalog_digest FROM epochs WHERE id = ?", (name,))
    return Epoch(*rows[0]) if rows else None


def epochs(database: Database) -> frozenset[str]:
    """The ids of all epochs there were."""
    return frozenset(name for (name,) in database.rows("SELECT id FROM epochs"))


def current_epoch(database: Database) -> Epoch | None:
    """The newest epoch, if anything was loaded."""
    rows = database.rows("SELECT id, file, catalog_digest FROM epochs ORDER BY seq DESC LIMIT 1")
    return Epoch(*rows[0]) if rows else None


def cohorts(database: Database) -> frozenset[int]:
    """The cohorts this ledger keeps."""
    return frozenset(cohort for (cohort,) in database.rows("SELECT cohort FROM cohorts"))


def known_cohorts(database: Database, persons: Sequence[bytes] | None = None) -> dict[bytes, int]:
    """Person → cohort, of everybody or of the `persons` who are known."""
    if persons is None:
        return dict(database.rows("SELECT person, cohort FROM register"))
    sql = "SELECT cohort FROM register WHERE person = ?"
    found = ((person, database.rows(sql, (person,))) for person in persons)
    return {person: rows[0][0] for person, rows in found if rows}


def add_opt_outs(database: Database, persons: Iterable[bytes], *, out: bool, left: bool = False) -> None:
    """Append that persons opted out or took it back, and whether somebody said that they have left."""
    rows = [(each, int(out), int(left)) for each in persons]
    database.change_each("INSERT INTO opt_outs (person, is_out, has_left) VALUES (?, ?, ?)", rows)


def opted_out(database: Database) -> frozenset[bytes]:
    """Who is out of research, as last noted."""
    return frozenset(person for person, _ in database.rows(OPTED_OUT))


def left(database: Database) -> frozenset[bytes]:
    """Who is out of research and was said to have left, as last noted."""
    return frozenset(person for person, has_left in database.rows(OPTED_OUT) if has_left)


def add_persons(database: Database, persons: Iterable[tuple[bytes, int]]) -> None:
    """Append persons with their cohorts; in the order of their keys this is fastest."""
    database.change_each("INSERT INTO register (person, cohort) VALUES (?, ?)", persons)
