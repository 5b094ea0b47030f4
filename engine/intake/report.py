"""What one load did with its sources, in exact counts: for the officer's eyes, in a file nobody else reads.

Exact counts of records stay in the report; nothing else prints, logs or journals them.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import jinja2

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REPORT_PREFIX = "load-"
REPORT_NAME = re.compile(r"load-\d{4}-\d{2}-\d{2}-([0-9a-f]{32})\.(?:json|html)")
OUTSIDE = "no class: none in the cohort table, or one that is not on the catalog's list"
RETIRED = "the class is sealed: nothing of it is loaded any more"
EXPECTED = frozenset(("not a student", "to be deleted or inactive", "deleted, inactive, or not of a student"))
"""Reasons that every roster has rows for."""


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
        unread: what was not understood and left blank → how many cells.
    """

    file: str
    rows: int
    read: tuple[str, ...]
    left_behind: tuple[str, ...]
    repaired: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Students:
    """Of whom the records are.

    Attributes:
        all: everybody in the vault.
        new: those the district had never seen.
        opted_out: those of them who are in no research statistic.
    """

    all: int = 0
    new: int = 0
    opted_out: int = 0


@dataclass(slots=True)
class Report:
    """One load, table by table.

    Attributes:
        epoch: its id.
        district: the district's name.
        day: of the load, by the district's calendar.
        students: of whom the records are.
        tables: what was done with each table.
        files: what was done with each file before.
        taken: table → the columns the vault has.
        off: sensitive tables and columns, as `table.column`, that the catalog declares and does not switch on.
        kept_until: class → the last day of its last budget year, after which no load keeps its records.
    """

    epoch: str
    district: str = ""
    day: str = ""
    students: Students = field(default_factory=Students)
    tables: dict[str, TableReport] = field(default_factory=dict)
    files: list[FileReport] = field(default_factory=list)
    taken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    off: tuple[str, ...] = ()
    kept_until: Mapping[int, str] = field(default_factory=dict)

    @property
    def left_behind(self) -> dict[str, tuple[str, ...]]:
        """File or table → the columns of its source that nobody read; those without any are left out."""
        found = {file.file: file.left_behind for file in self.files}
        found |= {name: table.left_behind for name, table in self.tables.items()}
        return {name: columns for name, columns in found.items() if columns}

    def why(self, table: str) -> str:
        """Why rows of a table were left out, the most frequent reasons first, as the end of a message."""
        found = sorted(self.tables[table].dropped.items(), key=lambda pair: -pair[1])[:3]
        reasons = "; ".join(f"{rows:,}: {reason}" for reason, rows in found)
        return f" Rows of {table} that were left out: {reasons}." if found else ""

    def warnings(self, share: float) -> list[str]:
        """What the officer should look at: more than a share of a table or file was left out or not understood."""
        found = [
            f"{name}: {sum(table.dropped.values()):,} of {table.rows_read:,} rows were left out.{self.why(name)}"
            for name, table in self.tables.items()
            if sum(table.dropped.values()) > share * table.rows_read
        ]
        for name, table in self.tables.items():
            for column, counts in table.replaced.items():
                if counts["not accepted"] > share * table.rows_read:
                    found.append(f"{name}.{column}: {counts['not accepted']:,} cells were not accepted.")
        for file in self.files:
            for what, cells in (file.unread | file.dropped).items():
                if cells > share * file.rows and what not in EXPECTED:
                    found.append(f"{file.file}: {cells:,} of {file.rows:,}: {what}.")
        return found

    def document(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)

    def page(self) -> str:
        """The report as a page that needs nothing beside it."""
        loader = jinja2.PackageLoader("engine.intake", ".")
        environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
        environment.filters["count"] = lambda number: f"{number:,}"
        return environment.get_template("report.html").render(report=self)

    def write(self, folder: Path) -> Path:
        """Write `load-<day>-<epoch>.json` and `.html` for their owner alone, into a folder only the owner enters.

        Returns:
            The page.

        Raises:
            OSError: a file cannot be written, or is there already.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n"
        name = f"{REPORT_PREFIX}{self.day}-{self.epoch}" if self.day else f"{REPORT_PREFIX}{self.epoch}"
        _write(folder / f"{name}.json", text)
        page = folder / f"{name}.html"
        _write(page, self.page())
        return page


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
