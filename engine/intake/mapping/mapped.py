"""A mapping as the source of a load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from engine.catalog_file import owner_source
from engine.intake.cleaning import MACROS
from engine.intake.kinds import file_of, file_rows
from engine.intake.mapping.fit import fitted
from engine.intake.mapping.grouped import GroupedRows, stage
from engine.intake.mapping.opened import Opened
from engine.intake.mapping.reading import read_document
from engine.intake.rows import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb

    from engine.catalog import Catalog
    from engine.intake.mapping.document import Part
    from engine.intake.mapping.fit import Fitted
    from engine.intake.report import FileReport
    from engine.intake.rows import Rows
    from engine.intake.sources import Progress


class Mapped:
    """Files that a mapping makes the tables of a catalog of; the `Sources` of one load."""

    def __init__(self, parts: tuple[Part, ...], source: Path) -> None:
        self._parts = parts
        self._source = source
        self._opened: list[Opened] = []

    @classmethod
    def read(cls, mapping_file: Path, source: Path) -> Mapped:
        """The mapping of a file, over a source.

        Args:
            mapping_file: the mapping, as `engine.intake.mapping.document` shows it.
            source: the folder its files are in, or the one file it names.

        Raises:
            CatalogRefused: the mapping is wrong, with its line; or there is no such source.
        """
        try:
            text = mapping_file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            raise refusal(str(mapping_file), "The mapping cannot be read.", "a readable UTF-8 YAML file") from None
        parts = read_document(str(mapping_file), text)
        if not source.exists():
            raise refusal(str(source), "There is no such file or folder.", "the folder of the mapping's files")
        return cls(parts, source)

    def tables(
        self,
        catalog: Catalog,
        connection: duckdb.DuckDBPyConnection,
        work: Path,  # noqa: ARG002 - as `Sources.tables`
        progress: Progress,
    ) -> Mapping[str, Rows]:
        """As `Sources.tables`."""
        fits = fitted(self._parts, catalog)
        self._opened = [Opened(one, file_rows(self._path(one.part))) for one in fits]
        found: dict[str, list[Rows]] = {}
        for number, opened in enumerate(self._opened):
            names = _names(opened.fitted, catalog)
            if opened.part.one_row_per is None:
                rows: Rows = MappedRows(connection, opened, names)
            else:
                stage(connection, f"raw_mapping_{number}", opened, progress)
                rows = GroupedRows(connection, f"raw_mapping_{number}", opened, names)
            found.setdefault(opened.part.table, []).append(rows)
        return {table: rows[0] if len(rows) == 1 else JoinedRows(rows) for table, rows in found.items()}

    def files(self) -> tuple[FileReport, ...]:
        """As `Sources.files`."""
        return tuple(opened.report() for opened in self._opened)

    def _path(self, part: Part) -> Path:
        """Where a part's file is.

        Raises:
            CatalogRefused: it is not there; with the mapping's line.
        """
        if self._source.is_dir():
            path = self._source / part.file
            if not file_of(path)[0].is_file():
                raise part.place.at("from").refusal("there is no such file in the source.", "the name of one")
            return path
        named = {file_of(Path(one.file))[0].name for one in self._parts}
        if len(named) > 1:
            raise part.place.at("from").refusal(
                f"the mapping names {len(named)} files, and the source is one.",
                "the folder of all of them as the source",
            )
        sheet = file_of(Path(part.file))[1]
        return self._source if sheet is None else self._source.with_name(f"{self._source.name}#{sheet}")


def _names(fit: Fitted, catalog: Catalog) -> tuple[str, ...]:
    """What the columns of a filled table are called: as a source of this catalog calls them, the owner first.

    Raises:
        CatalogRefused: two columns have one name in sources.
    """
    names = tuple(one.column.source or one.column.name for one in fit.filled.values())
    every = names if fit.table.public else (owner_source(catalog), *names)
    if len({name.lower() for name in every}) < len(every):
        raise fit.part.place.refusal("two of the table's columns have one `source:` name.", "a catalog without them")
    return every


class MappedRows:
    """The rows that a part becomes whose rows stay as they are, batch by batch; nothing is kept."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, opened: Opened, names: tuple[str, ...]) -> None:
        self.file = opened.rows.file
        self.names = names
        self._connection = connection
        self._opened = opened

    @property
    def share(self) -> float:
        """As `Rows.share`."""
        return self._opened.rows.share

    def batches(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """As `Rows.batches`."""
        opened = self._opened
        with self._connection.cursor() as cursor:
            cursor.execute(MACROS)
            for batch in opened.batches():
                texts = opened.texts(cursor, batch)
                owners = [] if opened.part.owner is None else [opened.owners(batch)]
                every: list[Any] = [*owners, *(texts[name] for name in opened.fitted.filled)]
                made = pa.table([every[place] for place in places], names=[f"c{place}" for place in places])
                yield from made.combine_chunks().to_batches()


class JoinedRows:
    """The rows of a table that several parts fill, one part after the other, all as text."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.file = ", ".join(dict.fromkeys(part.file for part in parts))
        self.names = parts[0].names
        self._parts = parts

    @property
    def share(self) -> float:
        """As `Rows.share`."""
        return sum(part.share for part in self._parts) / len(self._parts)

    def batches(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """As `Rows.batches`."""
        schema = pa.schema([(f"c{place}", pa.string()) for place in places])
        for part in self._parts:
            for batch in part.batches(places):
                yield batch.cast(schema)
