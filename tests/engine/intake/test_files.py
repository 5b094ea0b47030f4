from __future__ import annotations

import csv
import io
import random
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.catalog_file import catalog_of, owner_source
from engine.intake import rows as reading
from engine.intake.header import SOURCE, header_of
from engine.intake.rows import CsvRows, rows_of
from engine.refusals import CatalogRefused

CATALOG = """\
district: {id: us-xx-test, name: Test, time_zone: America/New_York}
privacy: {owner: sid, cohort: cls, cohorts: {from: 2020, to: 2030}, delta: 1e-7}
tables:
  pupil:
    unique: [sid]
    columns:
      cls: {type: integer}
      sex: {type: text, values: [F, M, unknown], default: unknown, source: Gender}
"""
DECLARED = catalog_of(CATALOG, "district.yaml")
PUPIL = DECLARED.tables["pupil"]
LINES = "sid,cls,Gender,nickname\na,2024,F,x\nb,2025,M,y\n"


def csv_file(tmp_path, text, name="pupil.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(source, declared=DECLARED):
    """The catalogued columns of a source under their names, and the names of the others."""
    rows = rows_of(source, "pupil")
    header = header_of(rows, declared, declared.tables["pupil"])
    batches = list(rows.batches(list(header.places.values())))
    columns = [pa.chunked_array([batch.column(i) for batch in batches], pa.string() if not batches else None)
               for i in range(len(header.places))]  # fmt: skip
    return Read(pa.table(dict(zip(header.places, columns, strict=True))), header.left_behind)


class Read(NamedTuple):
    rows: pa.Table
    left_behind: tuple[str, ...]


def pupil_of(tmp_path, text):
    return read(csv_file(tmp_path, text))


def cells(batches, width):
    batches = list(batches)
    return [[cell for batch in batches for cell in batch.column(i).to_pylist()] for i in range(width)]


@pytest.mark.parametrize(
    "text",
    [
        LINES,
        "\ufeff" + LINES,
        LINES.replace("\n", "\r\n"),
        LINES.removesuffix("\n"),
        LINES + "\n\n",
        '"sid","cls","Gender","nickname"\n"a","2024","F","x, ""y"" z"\n"b",2025,"M",\n',
        'sid,cls,Gender,nickname\na,2024,F,6" tall\nb,2025,M,\n',
        "nickname,CLS,gender,SID\n,2024,F,a\n,2025,M,b\n",
        " sid ,cls,Gender,\na,2024,F,\nb,2025,M,\n",
    ],
    ids=["plain", "bom", "crlf", "no last newline", "blank lines", "quoted", "inch", "letters", "unnamed"],
)
def test_csv_as_it_is_found(text, tmp_path):
    """A byte-order mark, either newline, quoted newlines and quotes, other capital letters and extra columns."""
    found = pupil_of(tmp_path, text)
    assert [column.to_pylist() for column in found.rows.columns] == [["a", "b"], ["2024", "2025"], ["F", "M"]]
    assert len(found.left_behind) == 1


REFUSED = {
    "": ("no header", 1),
    "\n": ("no header", 1),
    "sid,cls,cls,Gender\n": ("twice", 1),
    "sid,CLS,Cls,Gender\n": ("capital letters", None),
    "sid,Gender,Zebra\nCANARY,F,1\n": ("sid, Gender, Zebra", 1),
    "cls,Gender\n2024,F\n": ("owner column", 1),
    "CANARY,2024,F\nb,2024,M\n": ("first line names none", 1),
    "sid;cls;Gender\nCANARY;2024;F\n": ("first line names none", 1),
    "sid,cls,Gender\na,2024\nCANARY,2024,F\n": ("Row 1 ", None),
    "sid,cls,Gender\na,2024,F\nCANARY,2024,F,x\n": ("Row 2 ", None),
    'sid,cls,Gender\na,2024,"F\nCANARY,2024,M\n': ("quotes", 3),
    'sid,cls,Gender\na,2024,"F"x\nCANARY,2024,M\n': ("quotes", 2),
    'sid,cls,Gender\na,"20"24","F"\nCANARY,2024,M\n': ("quotes", 2),
    "sid,cls,Gender\na,2024,F\nCANARY,20\x0024,M\n": ("NUL", 3),
    b"sid,cls,Gender\na,2024,\xe9\nCANARY,2024,M\n": ("UTF-8", 2),
    b"sid,cls,Gender\na,2024,\xe2\x82": ("UTF-8", 2),
    'sid,cls,Gender\nCANARY,2024,"F\nb,2025,M\nCANARY,2024,F"\n': ("goes on in the next line", 2),
    'sid,cls,Gender,n\nCANARY,2024,F,"x\nb,2025,M,y"\n': ("goes on in the next line", 2),
    'sid,cls,Gender,n\na,2024,F,5" tall\nCANARY,2024,F,"x\nb,2025,M,5ft6"\n': ("goes on in the next line", 3),
    "sid;cls;Gender\tx\n": ("semicolons and no commas", 1),
    b"PAR1 this is no Parquet file": ("cannot be read", None),
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:30])
def test_a_file_that_cannot_be_trusted_is_refused_whole(text, tmp_path):
    """By line or row, with what the header has, and never with a value of a record."""
    part, line = REFUSED[text]
    with pytest.raises(CatalogRefused) as caught:
        pupil_of(tmp_path, text)
    one = caught.value
    assert part in one.message
    assert (one.code, one.line, one.file) == ("load", line, str(tmp_path / "pupil.csv"))
    assert one.accepted
    assert "CANARY" not in f"{one.message} {one.accepted}"


LONGEST = 131_072


@pytest.mark.parametrize(
    ("text", "part", "line"),
    [
        ('sid,cls,Gender\na,2024,6" tall\n\nCANARY,2025,' + "x" * (LONGEST + 1), "Row 2 under the header has", None),
        (
            'sid,cls,Gender\na,2024,F\nCANARY,2024,"F\n' + "CANARY,2024,M\n" * 10_000,
            "Row 2 under the header has",
            None,
        ),
        ("sid,cls," + "x" * (LONGEST + 1) + "\n", "The header has", 1),
    ],
    ids=["long", "open quote", "header"],
)
def test_a_cell_too_long_for_the_reader_is_called_that(text, part, line, tmp_path):
    """By row; an open quote in a large file makes such a cell too, and is hinted at."""
    with pytest.raises(CatalogRefused) as caught:
        pupil_of(tmp_path, text)
    assert f"{part} a cell of more than 131,072 characters." in caught.value.message
    assert "quote that is never closed" in caught.value.accepted
    assert caught.value.line == line
    assert "CANARY" not in f"{caught.value.message} {caught.value.accepted}"


def test_a_cell_as_long_as_the_reader_takes_is_read(tmp_path):
    """No character less."""
    found = pupil_of(tmp_path, 'sid,cls,Gender\na,2024,6" tall\nb,2025,' + "x" * LONGEST)
    assert found.rows.column("sex").to_pylist() == ['6" tall', "x" * LONGEST]


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    """Without a traceback of the system."""
    for path in (tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(CatalogRefused, match="cannot be read"):
            read(path)


def test_both_ways_of_reading_csv_agree(tmp_path, monkeypatch):
    """Whichever reader a file gets, because of whatever line in it, all other lines are read the same."""
    rng = random.Random(5)
    monkeypatch.setattr(reading, "_CHUNK_BYTES", 7)
    for _ in range(40):
        rows = [
            [rng.choice(("a", "", " b", "x,y", 'q"', '""', "n l", "é", "🎒")) for _ in range(3)] for _ in range(4)
        ]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n", quoting=rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
        writer.writerows([["h0", "h1", "h2"], *rows])
        path = csv_file(tmp_path, text.getvalue())
        source = CsvRows(path)
        assert source._well_quoted
        strict, fast = cells(source._strict(range(3), 0), 3), cells(source._arrow(range(3)), 3)
        assert fast == strict == [list(c) for c in zip(*rows, strict=True)]


def test_quotes_are_well_placed_only_where_both_readers_agree(tmp_path, monkeypatch):
    """Random quotes: whatever passes is read by the strict reader, to the same cells."""
    rng = random.Random(6)
    passed = 0
    for chunk in (3, 1 << 20):
        monkeypatch.setattr(reading, "_CHUNK_BYTES", chunk)
        for _ in range(120):
            body = "".join(rng.choice('"""a,,\n') for _ in range(rng.randrange(14)))
            path = csv_file(tmp_path, f"h0,h1\n{body}")
            try:
                source = CsvRows(path)
            except CatalogRefused:
                continue
            if not source._well_quoted:
                continue
            lines = list(csv.reader(io.StringIO(f"h0,h1\n{body}"), strict=True))[1:]
            if all(len(line) in (0, 2) for line in lines):
                passed += 1
                filled = [line for line in lines if line]
                fast = cells(source._arrow(range(2)), 2) if filled else [[], []]
                assert fast == [[row[i] for row in filled] for i in range(2)], body
    assert passed > 5


def test_the_owner_may_have_another_name_in_the_sources():
    """privacy.owner_source names it for every file."""
    other = catalog_of(CATALOG.replace("owner: sid,", "owner: sid, owner_source: rownames,"), "f")
    assert (owner_source(other), owner_source(DECLARED)) == ("rownames", "sid")
    given = pa.table({"rownames": ["a"], "cls": ["2024"], "Gender": [""]})
    assert read(given, other).rows.column(SOURCE).to_pylist() == ["a"]


def test_parquet_is_read_as_the_same_table_in_memory(tmp_path):
    """Types and values come through a file unchanged, and so do the columns left behind."""
    given = pa.table({"sid": ["a"], "cls": pa.array([2024], pa.int16()), "gender": ["F"], "nickname": ["x"]})
    path = tmp_path / "pupil.parquet"
    pyarrow.parquet.write_table(given, path)
    one, other = (read(source) for source in (given, path))
    assert one.rows.equals(other.rows)
    assert one.left_behind == other.left_behind == ("nickname",)
