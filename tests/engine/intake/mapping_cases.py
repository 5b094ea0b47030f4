"""Mappings at work in tests: a database on the disk, the rows they make, and the shared example files."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from engine.intake.mapping import Mapped

DATA = Path(os.environ.get("HOMEROOM_SHARED_DATA") or Path(__file__).parents[3] / "../shared/data")


def shared(*parts):
    """A file or folder of the shared examples, or the test is skipped."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip("the example data are not here: set HOMEROOM_SHARED_DATA to their folder")
    return path


def mapping_file(tmp_path, text):
    path = tmp_path / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def made(tmp_path, text, source, catalog, threads=2):
    """Every table a mapping makes, each as column → list of cells; and the reports by file."""
    mapped = Mapped.read(mapping_file(tmp_path, text), source)
    path = tmp_path / "work.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path), config={"threads": threads, "python_enable_replacements": False}) as connection:
        tables = mapped.tables(catalog, connection, tmp_path, lambda *_: None)
        found = {name: drained(rows) for name, rows in tables.items()}
    return found, {report.file: report for report in mapped.files()}


def drained(rows):
    """All cells of some rows, by column."""
    cells = {name: [] for name in rows.names}
    for batch in rows.batches(range(len(rows.names))):
        for name, column in zip(rows.names, batch.columns, strict=True):
            cells[name] += column.to_pylist()
    return cells


def tuples(table):
    """Its rows, in a canonical order."""
    return sorted(zip(*table.values(), strict=True), key=repr)
