"""A process that loads a district again and again until it is killed: `loader.py DIR TABLES`, one word a line."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet

from budgets.clock import FixedClock
from engine.loading import load_next

AS_OF = datetime(2025, 9, 15, 12, tzinfo=UTC)


def main() -> None:
    folder, files = map(Path, sys.argv[1:])
    tables = {file.stem: pyarrow.parquet.read_table(file) for file in sorted(files.glob("*.parquet"))}
    for line in sys.stdin:
        print("begins", flush=True)
        loaded = load_next(folder, tables, clock=FixedClock(AS_OF))
        print(f"{line.strip()} {loaded.epoch}", flush=True)


if __name__ == "__main__":
    main()
