"""A clock that leaps ahead into another budget year is not believed until somebody vouches for it.

A wrong clock would open a new year's budget before its time, and for good: ledger time never runs backwards. The
ordinary cause is a district that was idle over the summer, so one command settles it. Pure: moments come in, a
refusal goes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from budgets.policy import budget_year
from budgets.refusals import AccessRefused

if TYPE_CHECKING:
    from datetime import datetime

AHEAD_MAX = timedelta(days=7)
"""A new year opens by itself if the ledger was used within so long before."""


@dataclass(frozen=True, slots=True)
class Leap:
    """A clock ahead of the newest row of the ledger, in another budget year.

    Attributes:
        clock: what the clock says, in UTC.
        newest: the moment of the newest row, in UTC.
        time_zone: IANA name, of the district.
    """

    clock: datetime
    newest: datetime
    time_zone: str

    def refusal(self) -> AccessRefused:
        """What is told to whoever wants to write a row at that moment (`clock`)."""
        clock, newest = (moment.astimezone(ZoneInfo(self.time_zone)).date() for moment in (self.clock, self.newest))
        message = (
            f"The clock of the machine says {clock}, and the newest entry of the ledger is of {newest}. The budget "
            f"year {budget_year(self.clock, self.time_zone)} is opened only once somebody has looked at the clock."
        )
        accepted = "`homeroom doctor DIR --accept-clock` if the clock is right, and a clock that is set right if not"
        return AccessRefused("clock", message, accepted=accepted)


def leap(clock: datetime, newest: datetime, time_zone: str) -> Leap | None:
    """The leap, if the clock is more than `AHEAD_MAX` ahead of the newest row and in another budget year.

    >>> from datetime import UTC, datetime
    >>> june, july, august = (datetime(2025, *day, 12, tzinfo=UTC) for day in ((6, 28), (7, 5), (8, 1)))
    >>> leap(july, june, "UTC") is None, leap(august, july, "UTC") is None, leap(august, june, "UTC") is None
    (True, True, False)
    """
    if clock - newest <= AHEAD_MAX or budget_year(clock, time_zone) == budget_year(newest, time_zone):
        return None
    return Leap(clock, newest, time_zone)
