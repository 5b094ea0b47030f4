"""How a ledger begins: inside one write transaction, with an event. Events never count students."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from budgets.clock import in_utc
from budgets.grants import district_grant
from budgets.stores import balances, district, governance
from budgets.stores.district import IdentityRow
from budgets.stores.times import to_micros

if TYPE_CHECKING:
    from datetime import datetime
    from fractions import Fraction

    from budgets.policy import Policy
    from budgets.stores.sqlite import Database

CAP_MAX = 2**62
"""Caps are smaller, so that sums of a balance and a cost that fits cannot leave the integers of the store."""


@dataclass(frozen=True, slots=True)
class Founding:
    """The terms a district starts with.

    Attributes:
        district_id: of the district.
        time_zone: IANA name; budget years begin by its calendar.
        cohorts: the cohorts the ledger keeps, each once.
        lifetime_nanorho: what each may lose, ever, in 1e-9.
        lifetime_attodelta: what each may lose by thresholds, ever, in 1e-18.
        district_year_fraction: what the built-in grant may use of each cohort's year.
        policy: who is answered, and what each population may use of a year.
        as_of: the moment a district of invented records lives in; None for a real one.

    Raises:
        ValueError: terms that say nothing, twice, or too much.
    """

    district_id: str
    time_zone: str
    cohorts: tuple[int, ...]
    lifetime_nanorho: int
    lifetime_attodelta: int
    district_year_fraction: Fraction
    policy: Policy
    as_of: datetime | None

    def __post_init__(self) -> None:
        if not self.district_id or not self.cohorts or len(set(self.cohorts)) < len(self.cohorts):
            raise ValueError("a district has an id, and cohorts, each of them once")
        check_cap(self.lifetime_nanorho, least=1)
        check_cap(self.lifetime_attodelta, least=0)
        district_grant(self.district_year_fraction)
        _check_time(self.time_zone, self.as_of)


def check_cap(cap: int, least: int) -> None:
    """Make sure that a number can be a cap.

    Raises:
        ValueError: it cannot.
    """
    if type(cap) is not int or not least <= cap < CAP_MAX:
        raise ValueError(f"a cap is a whole number from {least} to {CAP_MAX - 1}")


def _check_time(time_zone: str, as_of: datetime | None) -> None:
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(f"no time zone is called {time_zone!r}") from None
    if as_of is not None:
        in_utc(as_of)


def write_founding(database: Database, terms: Founding, ledger_id: str, at_us: int) -> None:
    """The first rows of a ledger."""
    as_of_us = None if terms.as_of is None else to_micros(terms.as_of)
    district.add_identity(database, IdentityRow(terms.district_id, ledger_id, terms.time_zone, as_of_us))
    balances.add_cohorts(database, terms.cohorts, terms.lifetime_nanorho, terms.lifetime_attodelta)
    governance.add_policy(database, terms.policy)
    governance.add_grant(database, district_grant(terms.district_year_fraction), at_us)
    body = {
        "district_id": terms.district_id,
        "ledger_id": ledger_id,
        "time_zone": terms.time_zone,
        "cohorts": sorted(terms.cohorts),
        "lifetime_nanorho": terms.lifetime_nanorho,
        "lifetime_attodelta": terms.lifetime_attodelta,
        "district_year_fraction": str(terms.district_year_fraction),
        "state": terms.policy.state,
        "research": str(terms.policy.research),
        "mandated": str(terms.policy.mandated),
        "as_of": None if terms.as_of is None else terms.as_of.isoformat(),
    }
    district.add_event(database, at_us, "init", body)
