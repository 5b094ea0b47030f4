"""Files of every kind as rows, and what becomes of strange ones."""

from __future__ import annotations

import datetime as dt
import gzip
import random
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.intake import kinds
from engine.intake.kinds import file_rows
from engine.intake.rows import CsvRows, ParquetRows
from engine.refusals import CatalogRefused
from tests.engine.intake.mapping_cases import drained


def workbook(path, *lines, sheet=None):
    book = openpyxl.Workbook()
    page = book.active if sheet is None else book.create_sheet(sheet)
    for line in lines:
        page.append(line)
    book.save(path)
    return path


def refused(path):
    with pytest.raises(CatalogRefused) as caught:
        drained(file_rows(path))
    assert "CANARY" not in f"{caught.value.message} {caught.value.accepted}"
    assert caught.value.accepted
    return caught.value.message


def test_a_workbook_is_read_as_text(tmp_path):
    """Whole numbers, flags, dates and texts, as a person sees them; blank rows and errors are blank."""
    moment = dt.datetime(2025, 1, 2, 3, 4, 5)  # noqa: DTZ001 - a workbook knows no zones
    day = dt.datetime(2025, 1, 2)  # noqa: DTZ001
    path = workbook(
        tmp_path / "b.xlsx",
        ["sid", " x ", None, "when"],
        [1.0, True, None, day],
        [],
        [None, "", None, None],
        ["a", "#N/A", None, dt.time(3, 4)],
        [12345678901, 0.1, "y", moment],
        ["01", 1e300, "é🎒", dt.date(1899, 12, 30)],
        ["#DIV/0!", -0.0, None, dt.timedelta(hours=30)],
    )
    found = file_rows(path)
    assert found.names == ("sid", "x", "", "when")
    cells = [column.to_pylist() for column in next(iter(found.batches([0, 1, 3]))).columns]
    assert cells[0] == ["1", "a", "12345678901", "01", None]
    assert cells[1] == ["true", None, "0.1", "1.00000000000000e+300", "0"]
    assert cells[2][:3] == ["2025-01-02", "03:04:00", "2025-01-02T03:04:05"]
    assert all(isinstance(cell, str | None) for cell in cells[2])
    drained(found)
    assert found.share == 1.0


def edited(path, old, new):
    """A workbook whose first sheet's XML is changed by hand."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    assert old in sheet
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(old, new)
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "new", [b"<v>1e300</v>", b"<v>-5</v>", b"<v>CANARY</v>", b"<v></v>", b"", b"<v>nan</v>", b"<v>99999999999</v>"]
)
def test_a_strange_number_under_a_date_is_text_blank_or_refused(new, tmp_path):
    """No number that stands for no day ends a load with a traceback, or with what it holds."""
    day = dt.datetime(2025, 1, 2)  # noqa: DTZ001
    path = edited(workbook(tmp_path / "b.xlsx", ["a", "b"], ["x", day]), b"<v>45659</v>", new)
    try:
        (cell,) = drained(file_rows(path))["b"]
    except CatalogRefused as one:
        assert "CANARY" not in f"{one.message} {one.accepted}"  # noqa: PT017
    else:
        assert cell is None or isinstance(cell, str)


def test_a_sheet_is_named_behind_a_hash(tmp_path):
    """The first one else; a file whose own name has a # comes first."""
    path = workbook(tmp_path / "b.xlsx", ["q"], ["1"], sheet="Two")
    assert drained(file_rows(tmp_path / "b.xlsx#Two")) == {"q": ["1"]}
    assert "There is no sheet Nope" in refused(tmp_path / "b.xlsx#Nope")
    assert "There is no header" in refused(path)
    odd = workbook(tmp_path / "a#b.xlsx", ["z"], ["1"])
    assert file_rows(odd).names == ("z",)
    (tmp_path / "c.csv").write_text("a\n1\n")
    assert "Only a workbook has sheets" in refused(tmp_path / "c.csv#One")


def test_a_workbook_that_does_not_fit_its_header_is_refused(tmp_path):
    """A cell beyond the header belongs to no column; a name twice could be either."""
    long = workbook(tmp_path / "b.xlsx", ["a", "b"], ["1", "2"], ["1", "2", None], ["1", "2", "CANARY"])
    assert refused(long) == "Row 3 under the header has cells beyond it."
    assert "twice" in refused(workbook(tmp_path / "c.xlsx", ["a", "a"], ["1", "2"]))


def test_batches_of_a_workbook_are_all_its_rows(tmp_path, monkeypatch):
    """However few rows a batch has."""
    monkeypatch.setattr(kinds, "BATCH_ROWS", 3)
    path = workbook(tmp_path / "b.xlsx", ["a"], *([str(number)] for number in range(10)))
    assert drained(file_rows(path)) == {"a": [str(number) for number in range(10)]}
    frame = pd.DataFrame({"a": range(10)})
    frame.to_stata(tmp_path / "b.dta", write_index=False)
    assert drained(file_rows(tmp_path / "b.dta")) == {"a": [str(number) for number in range(10)]}


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """What a workbook holds unpacked is known before it is unpacked."""
    path = workbook(tmp_path / "b.xlsx", ["a"], ["1"])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/bomb.xml", b"0" * 3_000_000)
    monkeypatch.setattr(kinds, "UNPACKED_BYTES_MAX", 2_000_000)
    assert path.stat().st_size < 100_000
    assert "too large once it is unpacked" in refused(path)


def test_a_damaged_file_is_refused_and_never_a_traceback(tmp_path):
    """Random bytes of a workbook and of a Stata file changed: rows, or a refusal in our own words."""
    rng = random.Random(3)
    book = workbook(tmp_path / "b.xlsx", ["a", "b"], *(["CANARY", number] for number in range(50)))
    frame = pd.DataFrame({"a": ["CANARY"] * 50, "b": np.arange(50.0)})
    frame.to_stata(tmp_path / "b.dta", write_index=False)
    seen = set()
    for whole in (book.read_bytes(), (tmp_path / "b.dta").read_bytes()):
        for trial in range(60):
            damaged = bytearray(whole)
            for _ in range(rng.randrange(1, 30)):
                damaged[rng.randrange(4, len(damaged))] = rng.randrange(256)
            if trial % 3 == 0:
                damaged = damaged[: rng.randrange(8, len(damaged))]
            path = tmp_path / ("d.xlsx" if whole[:2] == b"PK" else "d.dta")
            path.write_bytes(bytes(damaged))
            try:
                drained(file_rows(path))
            except CatalogRefused as one:
                assert "CANARY" not in f"{one.message} {one.accepted}"  # noqa: PT017
                seen.add(path.name)
    assert seen == {"d.xlsx", "d.dta"}


def test_a_stata_file_is_read_as_text(tmp_path):
    """Codes stay numbers, missing is blank, floats of four bytes keep their digits, dates are ISO texts."""
    frame = pd.DataFrame(
        {
            "sid": [1.0, 123456789012.0, np.nan],
            "f": np.array([0.1, 1, 2.5], np.float32),
            "d": pd.to_datetime(["1890-01-02", None, "2025-06-30"]),
            "s": ["a", "", "é"],
            "c": pd.Categorical(["CANARY", "two", None]),
            "i": np.array([1, 2, 3], np.int8),
        }
    )
    frame.to_stata(tmp_path / "b.dta", convert_dates={"d": "td"}, write_index=False, version=118)
    assert drained(file_rows(tmp_path / "b.dta")) == {
        "sid": ["1", "123456789012", None],
        "f": ["0.1", "1", "2.5"],
        "d": ["1890-01-02", None, "2025-06-30"],
        "s": ["a", "", "é"],
        "c": ["0", "1", None],
        "i": ["1", "2", "3"],
    }
    some = next(iter(file_rows(tmp_path / "b.dta").batches([5, 0])))
    assert [column.to_pylist() for column in some.columns] == [["1", "2", "3"], ["1", "123456789012", None]]


def test_csv_and_parquet_are_told_by_what_they_begin_with(tmp_path):
    """Whatever they are called."""
    (tmp_path / "a.txt").write_text("a\n1\n")
    assert isinstance(file_rows(tmp_path / "a.txt"), CsvRows)
    pyarrow.parquet.write_table(pa.table({"a": [1]}), tmp_path / "b.csv")
    assert isinstance(file_rows(tmp_path / "b.csv"), ParquetRows)


def gzipped(path):
    with gzip.open(path, "wb") as file:
        file.write(b"CANARY\n1\n")


def zipped(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("CANARY.csv", "CANARY\n")


STRANGE = {
    "a.csv.gz": (gzipped, "compressed"),
    "b.csv": (gzipped, "compressed"),
    "a.zip": (zipped, "archive"),
    "a.xlsx": (zipped, "archive"),
    "b.xlsx": (lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1CANARY"), "with a password"),
    "a.xls": (lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1CANARY"), "old Excel"),
    "c.xlsx": (lambda path: path.write_bytes(b"CANARY"), "no workbook"),
    "a.sav": (lambda path: path.write_bytes(b"$FL2@(#) CANARY"), "SPSS"),
    "a.json": (lambda path: path.write_text('{"a": "CANARY"}'), "JSON"),
    "a.tsv": (lambda path: path.write_text("a\tb\n"), "tabs"),
    "a.dta": (lambda path: path.write_text("CANARY,1\n"), "no Stata"),
    "a.pdf": (lambda path: path.write_bytes(b"%PDF-1.7"), "PDF"),
    "folder": (lambda path: path.mkdir(), "cannot be read"),
    "nowhere.csv": (lambda _: None, "cannot be read"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_other_kinds_are_refused_with_what_to_do(name, tmp_path):
    """Each by its own name."""
    write, part = STRANGE[name]
    write(tmp_path / name)
    assert part in refused(tmp_path / name)
