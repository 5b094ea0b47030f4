from __future__ import annotations

import dataclasses
import hmac
import random
import uuid

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from engine.catalog_file import catalog_of
from engine.intake.load import load
from engine.refusals import CatalogRefused
from engine.vault import Vault, audit

KEY = b"k" * 32
TEXT = """
district: {id: us-xx-tiny, name: Tiny, time_zone: UTC}
privacy: {owner: pupil, owner_source: id, cohort: cohort, cohorts: [2030, 2031, 2032], delta: 1e-7, max_students: 6}
tables:
  span:
    public: true
    unique: [exam]
    columns:
      exam: {type: text, values: [sat, act, ap]}
      low: {type: integer, bounds: [0, 999]}
      high: {type: integer, bounds: [0, 999]}
  person:
    unique: [pupil]
    columns:
      cohort: {type: integer}
      sex: {type: text, values: [F, M, unknown], default: unknown}
  score:
    unique: [pupil, year, exam]
    keep: {highest: points}
    rows_per_student_max: 4
    caps: [{rows: 2, per: [year]}]
    checks: ["year <= cohort", "weight < 5"]
    columns:
      year: {type: integer, bounds: [2020, 2040], source: School Year}
      exam: {type: text, values: [sat, act, ap]}
      points: {type: integer, bounds: {table: span, low: low, high: high}, nullable: true}
      weight: {type: "decimal(3,1)", bounds: [0, 9], nullable: true}
      origin: {type: text, constant: file}
"""
SPAN = [("sat", 400, 800), ("act", 1, 36)]
PEOPLE = [("a", "2030", "F"), ("b", "2031", "M")]
COLUMNS = {"span": ["exam", "low", "high"], "person": ["id", "cohort", "sex"]}
COLUMNS["score"] = ["id", "School Year", "exam", "points", "weight"]


@pytest.fixture(scope="module")
def catalog():
    return catalog_of(TEXT, "tiny.yaml")


def owner(source):
    return hmac.digest(KEY, source.encode(), "sha256")[:16]


def arrow(name, rows):
    cells = zip(*rows, strict=True) if rows else [[] for _ in COLUMNS[name]]
    texts = [pa.array([None if cell is None else str(cell) for cell in column], pa.string()) for column in cells]
    return pa.table(dict(zip(COLUMNS[name], texts, strict=True)))


def sources(people=PEOPLE, scores=(), span=SPAN):
    return {name: arrow(name, list(rows)) for name, rows in (("span", span), ("person", people), ("score", scores))}


@pytest.fixture
def loaded(catalog, tmp_path):
    """Loads, and gives the sorted rows of the private tables with source ids for owners."""

    def run(given, known=None, threads=1):
        done = load(catalog, given, tmp_path / "v", owner_key=KEY, known_cohorts=known or {}, threads=threads)
        names = {uuid.UUID(bytes=owner(one)): one for one in "abcdefghij"}
        with duckdb.connect(str(tmp_path / "v" / done.file), read_only=True) as connection:
            return {
                name: sorted(
                    ((names[row[0]], *row[1:]) for row in connection.execute(f"SELECT * FROM {name}").fetchall()),
                    key=repr,
                )
                for name in ("person", "score")
            }

    return run


# cohort and sex; then of a score: cohort, exam, origin, points, weight (in tenths), year


def test_cells_and_owners(loaded):
    """Without an owner or a needed cell a row goes; other cells become the default or NULL; constants are filled in."""
    rows = loaded(
        sources(
            [*PEOPLE, (None, "2030", "F"), (" ", "2030", "F"), (" c ", "2032", "Q")],
            [
                ("a", "2025", "sat", "900", "1.25"),
                ("a", "2026", "ap", "500", "1"),
                ("b", "2019", "sat", "500", "1"),
                ("b", "2025", "gre", "500", "1"),
                ("b", "2025", "act", "36", "1.5"),
                (None, "2025", "act", "36", "1"),
                ("z", "2025", "act", "36", "1"),
            ],
        )
    )
    assert rows["person"] == [("a", 2030, "F"), ("b", 2031, "M"), ("c", 2032, "unknown")]
    # `1.25` is NULL, so that its check is not TRUE; `ap` has no range, so that its points are NULL
    assert rows["score"] == [("a", 2030, "ap", "file", None, 10, 2026), ("b", 2031, "act", "file", 36, 15, 2025)]


def test_cohorts(loaded):
    """The register's cohort prevails, then the smallest; who has none on the list has rows nowhere."""
    people = [
        ("a", "2032", "F"),
        ("b", "2032", "M"),
        ("b", "2031", "M"),
        ("c", "1999", "F"),
        ("d", "", "F"),
        ("e", "2030", "F"),
    ]
    scores = [(one, "2025", "act", "5", "1") for one in "abcde"]
    rows = loaded(
        sources(people, scores), known={owner("a"): 2030, owner("d"): 2031, owner("e"): 2050, owner("f"): 2030}
    )
    assert [row[:2] for row in rows["person"]] == [("a", 2030), ("b", 2031), ("d", 2031)]
    assert [row[:2] for row in rows["score"]] == [("a", 2030), ("b", 2031), ("d", 2031)]


def test_who_has_no_row_left_in_the_cohort_table_has_rows_nowhere(tmp_path):
    """Where a check takes a student's only row there, the student's other rows go too, and the load goes on."""
    strict = catalog_of(
        TEXT.replace("unique: [pupil]\n", "unique: [pupil]\n    checks: [\"sex <> 'M'\"]\n", 1), "tiny.yaml"
    )
    given = sources(scores=[(one, "2025", "act", "5", "1") for one in "ab"])
    done = load(strict, given, tmp_path, owner_key=KEY, known_cohorts={}, threads=1)
    assert done.persons == ((owner("a"), 2030),)
    with duckdb.connect(str(tmp_path / done.file), read_only=True) as connection:
        for table in ("person", "score"):
            found = connection.execute(f"SELECT homeroom_owner FROM {table}").fetchall()
            assert found == [(uuid.UUID(bytes=owner("a")),)]


def test_checks_keys_and_caps(loaded):
    """A row whose check is not TRUE goes; a key keeps its highest row; caps and the most rows of a student hold."""
    scores = [
        ("a", "2031", "act", "5", "1"),
        ("a", "2024", "act", "5", "9"),
        ("a", "2025", "act", "5", "1"),
        ("a", "2025", "act", "7", "2"),
        ("a", "2025", "act", "", "1"),
        *[("b", "2025", exam, "", "1") for exam in ("sat", "act", "ap")],
        *[("b", str(year), "act", "5", "1") for year in range(2026, 2031)],
        *[("c", "2025", exam, "", "1") for exam in ("sat", "act", "ap")],
    ]
    rows = loaded(sources([*PEOPLE, ("c", "2032", "F")], scores))["score"]
    assert [row for row in rows if row[0] == "a"] == [("a", 2030, "act", "file", 7, 20, 2025)]
    mine = [row for row in rows if row[0] == "b"]
    assert len(mine) == 4
    assert sum(row[-1] == 2025 for row in mine) <= 2
    assert [row[2] for row in rows if row[0] == "c"] == ["act", "ap"]  # the cap alone, no more than the year's two


def test_the_order_of_the_vault_says_nothing_of_the_sources(catalog, tmp_path):
    """Rows stand by class, hash and value: who came first in a file, a roll or an alphabet, does not show."""
    people = [(one, "2030", "F") for one in "abcdef"]
    scores = [(one, str(year), "act", "5", "1") for one in "fdbace" for year in (2026, 2024, 2025)]
    stored = []
    for given in (sources(people, scores), sources(people[::-1], scores[::-1])):
        done = load(catalog, given, tmp_path / "v", owner_key=KEY, known_cohorts={}, threads=1)
        with duckdb.connect(str(tmp_path / "v" / done.file), read_only=True) as connection:
            stored.append([connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("person", "score")])
    assert stored[0] == stored[1]
    assert stored[0] == [sorted(rows) for rows in stored[0]]


def test_max_students(loaded):
    """More students than declared are refused by the declared number alone."""
    with pytest.raises(CatalogRefused, match="max_students, 6") as refused:
        loaded(sources([(one, "2030", "F") for one in "abcdefgh"]))
    assert "8" not in refused.value.message


def test_missing_tables(catalog, tmp_path):
    """A table without a source, and a source without a table, are refused."""
    for given in ({"person": sources()["person"]}, {**sources(), "other": sources()["person"]}):
        with pytest.raises(CatalogRefused):
            load(catalog, given, tmp_path, owner_key=KEY, known_cohorts={})
    assert list(tmp_path.iterdir()) == []


def test_a_refused_load_leaves_nothing(loaded, tmp_path):
    """A refused load leaves no file behind, and tells no value of a record."""
    broken = tmp_path / "score.csv"
    broken.write_text("id,School Year,exam,points,weight\nSECRET,2025\n", encoding="utf-8")
    with pytest.raises(CatalogRefused) as refused:
        loaded({**sources(), "score": broken})
    assert "SECRET" not in refused.value.message
    assert list((tmp_path / "v").iterdir()) == []


def test_a_public_table_must_be_right(loaded):
    """A public table with a wrong cell, a key twice or a range reversed is refused."""
    for span in ([("sat", 400, 8000)], [("sat", 1, 2), ("sat", 1, 3)], [("sat", 3, 2)], [("gre", 1, 2)], []):
        with pytest.raises(CatalogRefused):
            loaded(sources(span=span))


def invented(rng):
    people = [
        (one, rng.choice(["2030", "2031", "2032", "1999", ""]), rng.choice("FMQ")) for one in "abcdef" for _ in (1, 2)
    ]
    scores = [
        (rng.choice("abcdef"), rng.choice(["2024", "2025", "2026", "2031", "x"]), rng.choice(["sat", "act", "ap", ""]),
         rng.choice(["5", "7", "400", "800", "", "NaN"]), rng.choice(["1", "1.5", "6", "", "1e0"]))
        for _ in range(60)
    ]  # fmt: skip
    return people, scores


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(15))
def test_neighbours(seed, loaded):
    """Without one student's source rows, shuffled and on other threads, only that student's vault rows are gone."""
    rng = random.Random(seed)
    people, scores = invented(rng)
    known = {owner("a"): 2031, owner("b"): 2032}
    whole = loaded(sources(people, scores), known)
    gone = rng.choice("abcdef")
    fewer = [[row for row in rng.sample(rows, len(rows)) if row[0] != gone] for rows in (people, scores)]
    part = loaded(sources(*fewer, span=SPAN[::-1]), known, threads=3)
    assert part == {name: [row for row in rows if row[0] != gone] for name, rows in whole.items()}


@pytest.mark.slow
def test_one_vault_from_every_format(loaded, tmp_path):
    """CSV, Parquet and tables in memory give the same rows."""
    given = sources(*invented(random.Random(99)))
    csvs, parquets = {}, {}
    for name, table in given.items():
        csvs[name], parquets[name] = tmp_path / f"{name}.csv", tmp_path / f"{name}.parquet"
        pa.csv.write_csv(table, csvs[name])
        pa.parquet.write_table(table, parquets[name])
    assert loaded(given) == loaded(csvs) == loaded(parquets)


TAMPERED = {
    "value list": "UPDATE person SET sex = 'Q'",
    "bounds": "UPDATE score SET weight = 99",
    "range": "UPDATE score SET points = 37 WHERE exam = 'act'",
    "unique": "INSERT INTO score SELECT * REPLACE (weight + 1 AS weight) FROM score LIMIT 1",
    "unique pupil": "INSERT INTO person SELECT * REPLACE ('unknown' AS sex) FROM person LIMIT 1",
    "cap": "INSERT INTO score SELECT * FROM score, range(3)".replace("*", "score.*"),
    "rows_per_student_max": "INSERT INTO score SELECT score.* REPLACE (2020 + i AS year) FROM score, range(5) t(i)",
    "cohort": "UPDATE score SET cohort = 2032",
    "check": "UPDATE score SET year = 2040",
    "max_students": "INSERT INTO person SELECT uuid(), 2030, 'F' FROM range(9)",
    "NUL": "UPDATE score SET origin = 'a' || chr(0)",
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", TAMPERED)
def test_the_audit_names_the_broken_rule(rule, catalog, tmp_path):
    """The audit keeps still on a finished vault and names the rule that a tampered one breaks."""
    scores = [("a", "2025", "act", "5", "1"), ("b", "2025", "sat", "500", "1")]
    done = load(catalog, sources(scores=scores), tmp_path, owner_key=KEY, known_cohorts={}, threads=1)
    with duckdb.connect(str(tmp_path / done.file)) as connection:
        assert list(audit(connection, done.catalog)) == []
        connection.execute(TAMPERED[rule])
        assert any(rule in broken for broken in audit(connection, done.catalog))


def test_persons(catalog, tmp_path):
    """A load tells the owner hash and cohort of everybody in the vault, and the vault opens."""
    done = load(catalog, sources(), tmp_path, owner_key=KEY, known_cohorts={})
    assert sorted(done.persons) == sorted([(owner("a"), 2030), (owner("b"), 2031)])
    Vault.open(tmp_path / done.file, dataclasses.replace(catalog)).close()
