"""What time it is. Nothing else in this package asks the machine.

The budget year of a charge depends on the time, so time is handed in: the system's, or a fixed one for tests
and for a district of invented records.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Something that knows the time."""

    def now(self) -> datetime:
        """The present moment, with a time zone."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class FixedClock:
    """A clock that stands still.

    Attributes:
        at: the moment it shows, with a time zone.

    Raises:
        ValueError: `at` has no time zone.
    """

    at: datetime

    def __post_init__(self) -> None:
        in_utc(self.at)

    def now(self) -> datetime:
        """The moment it was set to, in UTC."""
        return in_utc(self.at)


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC.

    Raises:
        ValueError: `moment` has no time zone, so nobody knows which moment it is.
    """
    if moment.utcoffset() is None:
        raise ValueError("a moment needs a time zone")
    return moment.astimezone(UTC)
