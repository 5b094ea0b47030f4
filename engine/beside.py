"""The rows of the public tables, beside the vault they were loaded with.

With them a catalog is resolved, and a rehearsal made, without the records. The file holds public knowledge alone;
the digest in the ledger tells whether it is the one that the records were verified against.
"""

from __future__ import annotations

import json
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from engine.catalog_file import catalog_of_document, resolve
from engine.refusals import CatalogRefused
from engine.vault import scaled, stored_columns, unscaled

if TYPE_CHECKING:
    from pathlib import Path

    from engine.catalog import Catalog, Table

FORMAT = 1
SUFFIX = ".public.json"


def file_of(vault: str) -> str:
    """The name of the file beside a vault's.

    >>> file_of("epoch-1f.duckdb")
    'epoch-1f.public.json'
    """
    return PurePath(vault).stem + SUFFIX


def write(path: Path, catalog: Catalog) -> None:
    """Write the public rows of a resolved catalog into a new file, mode 0600, each value as the vault stores it."""
    tables = {table.name: _stored(table) for table in catalog.public_tables}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, "tables": tables}, file, allow_nan=False)


def read(path: Path, declared: Catalog, digest: str) -> Catalog:
    """The catalog that records were verified against, made without them.

    Args:
        path: the file beside the vault.
        declared: the catalog as its file declares it.
        digest: of the resolved catalog, as the ledger knows it.

    Raises:
        CatalogRefused: the file is missing or damaged, or this is another catalog.
    """
    if not path.is_file():
        raise _refusal(path, "The rows of the public tables are missing.")
    stored = catalog_of_document(declared.document, path.name)  # in the order that the vault's own copy has
    try:
        resolved = resolve(stored, _rows(path, stored))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, CatalogRefused):
        raise _refusal(
            path, "The rows of the public tables cannot be read, or are those of another catalog."
        ) from None
    if resolved.digest != digest:
        raise _refusal(path, "The records were verified against another catalog than the declared one.")
    return resolved


def _refusal(path: Path, message: str) -> CatalogRefused:
    accepted = "load again, or the catalog and public tables as they were at the load"
    return CatalogRefused(message, file=path.name, accepted=accepted, load=True)


def _stored(table: Table) -> dict[str, Any]:
    columns = stored_columns(table)
    rows = [[scaled(row[column.name], column.type) for column in columns] for row in table.rows]
    return {"columns": [column.name for column in columns], "rows": rows}


def _rows(path: Path, declared: Catalog) -> dict[str, list[dict[str, Any]]]:
    """The rows by table, each value in its column's own unit."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["format"] != FORMAT:
        raise ValueError
    rows = {}
    for table in declared.public_tables:
        told, columns = found["tables"][table.name], stored_columns(table)
        if told["columns"] != [column.name for column in columns]:
            raise ValueError
        rows[table.name] = [
            {column.name: unscaled(value, column.type) for column, value in zip(columns, row, strict=True)}
            for row in told["rows"]
        ]
    return rows
