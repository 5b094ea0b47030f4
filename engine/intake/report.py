"""What one load did with its sources, in exact counts: for the officer's eyes, in a file nobody else reads.

Exact counts of records stay in the report; nothing else prints, logs or journals them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

OUTSIDE = "no cohort, or no row in the cohort table"
RETIRED = "the class is sealed: its records are no longer kept"


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table of a load.

    Attributes:
        rows_read: rows the source has.
        rows_kept: rows the vault has.
        dropped: reason → rows left out for it; each row under the first reason that applies.
        replaced: column → what was taken instead of what → cells, among the rows with an owner.
        left_behind: columns of the source that the catalog does not name; they were not read.
    """

    rows_read: int
    rows_kept: int
    dropped: dict[str, int]
    replaced: dict[str, dict[str, int]]
    left_behind: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "rows_read": self.rows_read,
            "rows_kept": self.rows_kept,
            "dropped": self.dropped,
            "replaced": self.replaced,
            "left_behind": list(self.left_behind),
        }


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was done with one file of a bundle or mapping, before its rows became those of tables.

    Attributes:
        file: its name.
        rows: rows it has.
        read: columns that were read.
        left_behind: columns that were not.
        repaired: what was put right → how many cells, rows or names.
        dropped: why rows were left out → how many.
    """

    file: str
    rows: int
    read: tuple[str, ...]
    left_behind: tuple[str, ...]
    repaired: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """One load, table by table."""

    epoch: str
    tables: dict[str, TableReport] = field(default_factory=dict)
    files: list[FileReport] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        """Write `load-<epoch>.json`, readable by its owner alone, into a folder only its owner can enter.

        Raises:
            OSError: the file cannot be written, or is there already.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"load-{self.epoch}.json"
        tables = {name: table.document() for name, table in self.tables.items()}
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"epoch": self.epoch, "tables": tables}, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        return path
