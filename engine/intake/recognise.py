"""What kind of source somebody points at: OneRoster bundles, mapped files, or a folder of tables' files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.intake.kinds import file_rows
from engine.intake.mapping import Mapped
from engine.intake.oneroster import OneRoster, is_bundle
from engine.intake.sources import Plain
from engine.refusals import CatalogRefused
from engine.vault import stored_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from engine.catalog import Catalog
    from engine.intake.sources import Sources

ACCEPTED = (
    "a OneRoster folder or zip file; a folder with a file for each table of the catalog, such as student.csv; or any "
    "CSV, Parquet, Excel or Stata file with --mapping, which `homeroom map FILE` drafts"
)


def are_bundles(given: Sequence[Path]) -> bool:
    """Whether all of some sources are OneRoster bundles."""
    return bool(given) and all(is_bundle(path) for path in given)


def require_there(given: Sequence[Path]) -> None:
    """Refuse a source that is not there, by its name.

    Raises:
        CatalogRefused: one is not.
    """
    for path in given:
        if not path.exists():
            message = "There is no such file or folder."
            raise CatalogRefused(message, file=str(path), accepted="a path that is there", load=True)


def sources_of(given: Sequence[Path], catalog: Catalog, mapping: Path | None) -> Sources:
    """The sources of a load.

    Args:
        given: files or folders; of OneRoster bundles several, one for each school year, say.
        catalog: whose tables they bring.
        mapping: how the columns of other files become those of the tables.

    Raises:
        CatalogRefused: no kind is recognised, or the source or mapping cannot be read.
    """
    require_there(given)
    if are_bundles(given):
        return OneRoster(given)
    if len(given) != 1:
        raise _refusal(given, "Several sources are read together only where all are OneRoster bundles.")
    (source,) = given
    if mapping is not None:
        return Mapped.read(mapping, source)
    named = _named(source, catalog) if source.is_dir() else {}
    if not named:
        raise _refusal(given, "It is not clear what this source is.")
    return Plain({name: file_rows(file) for name, file in named.items()})


def named_sources(given: Mapping[str, Path]) -> Sources:
    """Sources of which each is named after its table."""
    return Plain({name: file_rows(file) for name, file in given.items()})


def _named(folder: Path, catalog: Catalog) -> dict[str, Path]:
    """The files of a folder that are called as tables are."""
    tables = {table.name for table in stored_tables(catalog)}
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.stem in tables:
            if file.stem in found:
                message = f"{found[file.stem].name} and {file.name} are both called as the table {file.stem}."
                raise CatalogRefused(message, file=str(folder), accepted="one file for each table", load=True)
            found[file.stem] = file
    return found


def _refusal(given: Iterable[Path], message: str) -> CatalogRefused:
    return CatalogRefused(message, file=", ".join(map(str, given)) or "--from", accepted=ACCEPTED, load=True)
