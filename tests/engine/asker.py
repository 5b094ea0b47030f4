"""A process that asks a district question after question: `asker.py DIR`, a line with the epoch of each answer."""

from __future__ import annotations

import itertools
import sys
from datetime import UTC, datetime
from pathlib import Path

from budgets.clock import FixedClock
from engine.district import District

AS_OF = datetime(2025, 9, 15, 12, tzinfo=UTC)


def main() -> None:
    with District.open(Path(sys.argv[1]), clock=FixedClock(AS_OF)) as district:
        for number in itertools.count():
            release = district.ask(
                f"SELECT COUNT(*) AS n FROM student_year WHERE days_absent > {number % 100}.{number // 100 % 10}",
                epsilon=0.001,
            )
            print(release.epoch, flush=True)


if __name__ == "__main__":
    main()
