"""Where a load takes its tables from: plain files and frames here; other kinds have rooms of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from engine.intake.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import duckdb
    import pandas as pd

    from engine.catalog import Catalog
    from engine.intake.report import FileReport
    from engine.intake.rows import Rows

    Progress = Callable[[str, float], None]
    Given = Path | pd.DataFrame | Rows | Any  # Any: a pyarrow.Table, which has no types


class Sources(Protocol):
    """The sources of one load."""

    def tables(
        self, catalog: Catalog, connection: duckdb.DuckDBPyConnection, work: Path, progress: Progress
    ) -> Mapping[str, Rows]:
        """The rows of each table they bring, under the catalog's names.

        What is made of one student's source rows depends on these and on public rows alone.

        Args:
            catalog: as declared.
            connection: a private database on the disk, in which tables whose names begin with `raw_` are theirs; rows
                that are still read while the load goes on need a cursor of their own, and no temporary tables.
            work: a folder only its owner can enter, removed when the load ends.
            progress: called with what is being done and how much of it, 0 to 1.

        Raises:
            CatalogRefused: they cannot be read.
        """
        ...

    def files(self) -> tuple[FileReport, ...]:
        """What was done with each file, once the tables have been read; plain tables have their own report."""
        ...


@dataclass(frozen=True)
class Plain:
    """A file or a table in memory for each table of the vault."""

    given: Mapping[str, Given] = field(default_factory=dict)

    def tables(
        self,
        catalog: Catalog,  # noqa: ARG002 - as `Sources.tables`
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
        work: Path,  # noqa: ARG002
        progress: Progress,  # noqa: ARG002
    ) -> Mapping[str, Rows]:
        """As `Sources.tables`."""
        return {name: rows_of(source, name) for name, source in self.given.items()}

    def files(self) -> tuple[FileReport, ...]:
        """As `Sources.files`."""
        return ()


@dataclass(frozen=True)
class Together:
    """Several sources of one load, each of other tables; where two bring one table, the last one does."""

    parts: Sequence[Sources]

    def tables(
        self, catalog: Catalog, connection: duckdb.DuckDBPyConnection, work: Path, progress: Progress
    ) -> Mapping[str, Rows]:
        """As `Sources.tables`."""
        found: dict[str, Rows] = {}
        for part in self.parts:
            found |= part.tables(catalog, connection, work, progress)
        return found

    def files(self) -> tuple[FileReport, ...]:
        """As `Sources.files`."""
        return tuple(report for part in self.parts for report in part.files())
