"""OneRoster bundles as the sources of a load."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from engine.intake.oneroster.canonical import fillable, headers, made_rows
from engine.intake.oneroster.marks import make_marks
from engine.intake.oneroster.opening import open_bundle
from engine.intake.oneroster.people import find_people
from engine.intake.oneroster.public import find_classes, find_schools, find_years
from engine.intake.oneroster.reading import create_tables, drop_tables, read
from engine.intake.oneroster.roster import make_roster
from engine.intake.oneroster.supplements import make_supplements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import duckdb

    from engine.catalog import Catalog
    from engine.intake.oneroster.opening import Opened
    from engine.intake.report import FileReport
    from engine.intake.rows import Rows
    from engine.intake.sources import Progress


class OneRoster:
    """One bundle for each school year, or several: the rows of all are taken together."""

    def __init__(self, paths: Sequence[Path], *, skip_unusable: bool = False) -> None:
        """Name the bundles.

        Args:
            paths: folders and zip files; their order means nothing.
            skip_unusable: leave out files that not every load needs and that are missing although the manifest
                promises them, or lack a needed column, instead of refusing the bundle.
        """
        self._paths, self._skip = tuple(paths), skip_unusable
        self._bundles: tuple[Opened, ...] = ()

    def tables(
        self, catalog: Catalog, connection: duckdb.DuckDBPyConnection, work: Path, progress: Progress
    ) -> Mapping[str, Rows]:
        """As `Sources.tables`: school, student, student_year and of course_grade, graduation what there is."""
        self._bundles = opened_bundles(self._paths, work, skip_unusable=self._skip, headers=False)
        name = ", ".join(path.name for path in self._paths)
        wanted = headers(catalog, fillable(self._bundles), name)
        create_tables(connection)
        for one in self._bundles:
            for reading in one.readings.values():
                read(connection, reading, progress)
            shutil.rmtree(_folder(work, one.number))  # an unpacked file has names and passwords that nobody reads
        progress("the tables", 0.0)
        find_years(connection, self._bundles)
        find_schools(connection, self._bundles)
        find_classes(connection)
        find_people(connection, self._bundles)
        make_supplements(connection, self._bundles)
        make_roster(connection)
        if "course_grade" in wanted:
            make_marks(connection)
        drop_tables(connection)
        progress("the tables", 1.0)
        return made_rows(connection, wanted, name)

    def files(self) -> tuple[FileReport, ...]:
        """As `Sources.files`."""
        return tuple(
            report
            for one in self._bundles
            for report in (*one.reports, *(reading.report() for reading in one.readings.values()))
        )


def opened_bundles(paths: Sequence[Path], folder: Path, *, skip_unusable: bool, headers: bool) -> tuple[Opened, ...]:
    """All bundles, opened.

    Args:
        paths: folders and zip files.
        folder: gets a folder for each bundle.
        skip_unusable: as `open_bundle`.
        headers: as `open_bundle`.

    Raises:
        CatalogRefused: one cannot be used.
    """
    found = []
    depth = 1 if len({path.name for path in paths}) == len(paths) else 2
    for number, path in enumerate(paths):
        name = "/".join(path.absolute().parts[-depth:])
        place = _folder(folder, number)
        place.mkdir(mode=0o700, exist_ok=True)
        found.append(open_bundle(path, name, number, place, skip_unusable=skip_unusable, headers=headers))
    return tuple(found)


def _folder(work: Path, number: int) -> Path:
    """Where the files of a bundle are unpacked."""
    return work / f"oneroster-{number}"
