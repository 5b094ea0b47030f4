"""Tiny OneRoster bundles, written by hand and taken apart again."""

from __future__ import annotations

import csv
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from engine.catalog_file import catalog_of
from engine.intake.header import header_of
from engine.intake.oneroster import OneRoster, drafted_catalog
from engine.refusals import CatalogRefused

SHARED = Path(os.environ.get("HOMEROOM_SHARED_DATA", Path(__file__).parents[3] / "../shared/data"))
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not beside the repository")

MANIFEST = [
    {"propertyName": "manifest.version", "value": "1.0"},
    {"propertyName": "oneroster.version", "value": "1.1"},
]
ORGS = [
    {"sourcedId": "d", "name": "Alder District", "type": "district", "identifier": "7", "parentSourcedId": ""},
    {"sourcedId": "a", "name": "Ash High", "type": "school", "identifier": "11", "parentSourcedId": "d"},
    {"sourcedId": "b", "name": "Birch Middle", "type": "school", "identifier": "12", "parentSourcedId": "d"},
    {"sourcedId": "a-art", "name": "Arts", "type": "department", "identifier": "", "parentSourcedId": "a"},
]
SESSIONS = [
    {"sourcedId": "y26", "type": "schoolYear", "startDate": "2025-08-15", "schoolYear": "2026"},
    {"sourcedId": "t26", "type": "term", "startDate": "2025-08-15", "schoolYear": "2026"},
]
CLASSES = [
    {"sourcedId": "c1", "title": "One", "grades": "09,10", "schoolSourcedId": "a", "termSourcedIds": "t26"},
    {"sourcedId": "c2", "title": "Two", "grades": "11,12", "schoolSourcedId": "a", "termSourcedIds": "t26"},
    {"sourcedId": "c3", "title": "Three", "grades": "07", "schoolSourcedId": "b", "termSourcedIds": "t26"},
]


def user(sourced_id, grades="09", **cells):
    """A users row of a student."""
    return {"sourcedId": sourced_id, "role": "student", "orgSourcedIds": "a", "grades": grades, **cells}


def enrolled(sourced_id, lesson="c1", school="a", **cells):
    """An enrolment."""
    return {
        "userSourcedId": sourced_id,
        "classSourcedId": lesson,
        "schoolSourcedId": school,
        "role": "student",
        **cells,
    }


def public(**changed):
    """The files of a bundle without its students."""
    files = {"manifest": MANIFEST, "orgs": ORGS, "academicSessions": SESSIONS, "classes": CLASSES}
    return {**files, **changed}


def write(folder, **files):
    """Write a bundle's files: lists of rows, or a whole text; None for no file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        if rows is None:
            continue
        path = folder / f"{name}.csv"
        if isinstance(rows, str | bytes):
            path.write_bytes(rows if isinstance(rows, bytes) else rows.encode())
            continue
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, columns, restval="")
            out.writeheader()
            out.writerows(rows)
    return folder


def zipped(folder, path, inside=""):
    """The files of a folder as a zip file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in sorted(folder.glob("*.csv")):
            archive.write(one, f"{inside}{one.name}")
    return path


@dataclass
class Made:
    """What became of bundles: rows as dictionaries, and the reports by file name."""

    tables: dict
    files: dict
    catalog: object

    def of(self, table, *columns):
        """Some columns of a table, in order."""
        return sorted(tuple(row[column] for column in columns) for row in self.tables[table])

    def one(self, table, **where):
        """The one row with some values."""
        (row,) = [row for row in self.tables[table] if all(row[name] == value for name, value in where.items())]
        return row


def draft(*paths, **given):
    """The drafted catalog, as text."""
    return drafted_catalog(paths, **{"district_id": None, "name": None, "time_zone": "America/New_York", **given})


def load(tmp_path, *paths, catalog=None, skip_unusable=False):
    """Drain the tables that bundles give, as the loader asks for them."""
    catalog = catalog_of(catalog or draft(*paths), "district.yaml")
    work = tmp_path / f"work-{len(list(tmp_path.iterdir()))}"
    work.mkdir()
    sources = OneRoster(paths, skip_unusable=skip_unusable)
    tables = {}
    with duckdb.connect() as connection:
        for name, rows in sources.tables(catalog, connection, work, lambda _what, _share: None).items():
            header_of(rows, catalog, catalog.tables[name])
            tables[name] = [
                dict(zip(rows.names, cells, strict=True))
                for batch in rows.batches(range(len(rows.names)))
                for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True)
            ]
            assert rows.share == 1.0
    return Made(tables, {report.file.rsplit("/", 1)[-1]: report for report in sources.files()}, catalog)


def refused(tmp_path, *paths, **given):
    """The refusal of a load."""
    with pytest.raises(CatalogRefused) as caught:
        load(tmp_path, *paths, **given)
    assert caught.value.code == "load"
    assert caught.value.accepted
    return caught.value
