"""The catalog a file or a document declares."""

from __future__ import annotations

import json
import zoneinfo
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.catalog import Catalog
from engine.catalog_file.columns import require_name, value_list
from engine.catalog_file.document import structure_of
from engine.catalog_file.public import check_references
from engine.catalog_file.reader import Reader
from engine.catalog_file.tables import read_table
from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.catalog_file.document import Document

COHORTS_MAX = 200
PROMISED_DELTA = Decimal("1e-7")
"""Of the sentence a district signs, and of every ε shown; another one would need other sentences."""


def read_catalog(path: Path, file: str | None = None) -> Catalog:
    """The catalog a file declares, its public tables still without rows.

    Raises:
        CatalogRefused: with the file's name, the line, and what would be accepted.
    """
    file = file or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise CatalogRefused("The file cannot be read.", file=file, accepted="a readable UTF-8 YAML file") from None
    return catalog_of(text, file)


def catalog_of(text: str, file: str) -> Catalog:
    """The catalog a text declares; `file` is its name in refusals."""
    return _catalog(Reader.of_yaml(file, text))


@lru_cache(maxsize=8)
def catalog_of_document(document: str, file: str) -> Catalog:
    """The catalog of a `Catalog.document`, through the same checks as the YAML it came from.

    Args:
        document: canonical JSON; not read as YAML, which would tear apart characters beyond U+FFFF.
        file: its name in refusals.

    Raises:
        CatalogRefused: the document is damaged.
    """
    try:
        root = json.loads(document)
    except (ValueError, RecursionError):
        raise CatalogRefused("The catalog in it cannot be read.", file=file, accepted="a new load") from None
    return _catalog(Reader(file, root))


def owner_source(catalog: Catalog) -> str:
    """The name of the owner column in the source files."""
    named = json.loads(catalog.document)["privacy"].get("owner_source")
    return catalog.owner if named is None else str(named)


def _catalog(reader: Reader) -> Catalog:
    document = reader.document()
    cohorts = _years(reader, ("privacy", "cohorts"), document.privacy.cohorts)
    _head(reader, document)
    tables = {
        name: read_table(reader, name, spec, document.privacy, cohorts) for name, spec in document.tables.items()
    }
    cohort_table = _cohort_table(reader, document)
    if not tables[cohort_table].on:
        raise reader.refusal(
            ("tables", cohort_table),
            f"this table brings {document.privacy.cohort} and is off.",
            "the cohort column in a table that is on",
        )
    check_references(reader, document)
    return Catalog(
        district_id=document.district.id,
        district_name=document.district.name,
        time_zone=document.district.time_zone,
        owner=document.privacy.owner,
        cohort=document.privacy.cohort,
        cohort_table=cohort_table,
        cohorts=cohorts,
        delta_atto=int(document.privacy.delta * 10**18),
        max_students=document.privacy.max_students,
        tables=tables,
        document=structure_of(document),
        digest="",
    )


def _cohort_table(reader: Reader, document: Document) -> str:
    cohort = document.privacy.cohort
    found = [name for name, spec in document.tables.items() if not spec.public and cohort in spec.columns]
    if len(found) != 1:
        raise reader.refusal(
            ("privacy", "cohort"),
            f"the column {cohort} stands in {len(found)} private tables.",
            "the cohort column in exactly one private table, with one row per student",
        )
    return found[0]


def _head(reader: Reader, document: Document) -> None:
    try:
        zoneinfo.ZoneInfo(document.district.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise reader.refusal(
            ("district", "time_zone"), "this time zone is not known.", "such as America/New_York"
        ) from None
    if document.privacy.preset != "standard":
        raise reader.refusal(("privacy", "preset"), "this preset is not known.", "standard")
    if document.privacy.delta != PROMISED_DELTA:
        raise reader.refusal(
            ("privacy", "delta"), "the promise to the students names one chance in ten million as δ.", "1e-7"
        )
    for key in ("owner", "cohort"):
        require_name(reader, ("privacy", key), getattr(document.privacy, key))
    if document.privacy.owner == document.privacy.cohort:
        raise reader.refusal(("privacy", "cohort"), "owner and cohort are one column.", "two columns")


def _years(reader: Reader, path: Sequence[str | int], declared: Any) -> tuple[int, ...]:
    years = value_list(reader, path, declared)
    if not all(type(year) is int and 1900 <= year <= 2200 for year in years):  # noqa: PLR2004 - calendar years
        raise reader.refusal(path, "cohorts are calendar years.", "{from: 2020, to: 2042} or a list of years")
    if not 1 <= len(years) <= COHORTS_MAX:
        raise reader.refusal(path, f"there are {len(years)} cohorts.", f"1 to {COHORTS_MAX} cohorts")
    return tuple(sorted(years))
