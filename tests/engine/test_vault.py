from __future__ import annotations

import stat
import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest

from engine.catalog_file import catalog_of
from engine.intake.load import load
from engine.refusals import CatalogRefused
from engine.vault import Vault

TEXT = """
district: {id: us-xx-tiny, name: Tiny, time_zone: UTC}
privacy: {owner: pupil, cohort: cohort, cohorts: [2030, 2031], delta: 1e-7}
tables:
  person:
    unique: [pupil]
    columns: {cohort: {type: integer}, age: {type: integer, bounds: [0, 99], nullable: true}}
  visit:
    rows_per_student_max: 9
    caps: [{rows: 2, per: [year]}]
    columns: {year: {type: integer, values: [2024, 2025]}}
"""


@pytest.fixture(scope="module")
def declared():
    return catalog_of(TEXT, "tiny.yaml")


@pytest.fixture(scope="module")
def path(declared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "vault"
    tables = {
        "person": pa.table({"pupil": ["a", "b"], "cohort": [2030, 2031], "age": [7, None]}),
        "visit": pa.table({"pupil": ["a"], "year": [2024]}),
    }
    return folder / load(declared, tables, folder, owner_key=b"k" * 32, known_cohorts={}, threads=1).file


@pytest.fixture(scope="module")
def vault(path, declared):
    opened = Vault.open(path, declared)
    yield opened
    opened.close()


def test_only_its_owner_may_read_it(path):
    """The vault's file is its owner's alone, as is its folder."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("old", "new"), [("[0, 99]", "[0, 98]"), ("rows: 2", "rows: 3"), ("1e-7", "1e-8"), ("max: 9", "max: 10")]
)
def test_another_catalog_is_refused(old, new, path):
    """A vault opens with no other catalog than the one its records were verified against."""
    with pytest.raises(CatalogRefused, match="another catalog"):
        Vault.open(path, catalog_of(TEXT.replace(old, new), "tiny.yaml"))


@pytest.mark.parametrize("damage", ["missing", "empty", "noise", "cut", "other", "meta", "table"])
def test_a_damaged_file_is_refused(damage, path, declared, tmp_path):
    """A missing or damaged file is refused in our own words."""
    copy = tmp_path / "copy.duckdb"
    if damage in ("meta", "table"):
        copy.write_bytes(path.read_bytes())
        with duckdb.connect(str(copy)) as connection:
            connection.execute({"meta": "DELETE FROM homeroom_meta", "table": "DROP TABLE visit"}[damage])
    elif damage == "other":
        duckdb.connect(str(copy)).close()
    elif damage != "missing":
        copy.write_bytes({"empty": b"", "noise": b"x" * 9999, "cut": path.read_bytes()[:9000]}[damage])
    with pytest.raises(CatalogRefused, match=r"^The vault file (is missing|cannot be read)") as refused:
        Vault.open(copy, declared)
    assert refused.value.__cause__ is None
    assert refused.value.file == "copy.duckdb"


def test_two_processes_read_at_once(vault, path):
    """Another process may read an open vault."""
    code = "import sys, duckdb; print(duckdb.connect(sys.argv[1], read_only=True).sql('FROM person').shape[0])"
    other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == "2"
    assert vault.cursor().execute("SELECT COUNT(*) FROM person").fetchall() == [(2,)]


@pytest.mark.parametrize(
    "statement",
    [
        "COPY person TO '{0}/out.csv'", "ATTACH '{0}/new.duckdb' AS other", "ATTACH ':memory:' AS other; CREATE TABLE other.t (i INT)",
        "SELECT * FROM read_csv('{0}/in.csv')", "SELECT * FROM '{0}/in.csv'", "SET threads = 9", "SET enable_external_access = true",
        "CREATE TABLE t (i INT)", "DELETE FROM person", "INSTALL httpfs", "LOAD httpfs", "EXPORT DATABASE '{0}/out'",
        "SELECT * FROM glob('{0}/*')",
    ],
)  # fmt: skip
def test_the_vault_is_locked(statement, vault, tmp_path):
    """No statement on the vault's cursor writes, reads another file or changes a setting."""
    (tmp_path / "in.csv").write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(duckdb.Error):
        vault.cursor().execute(statement.format(tmp_path))
    assert [one.name for one in tmp_path.iterdir()] == ["in.csv"]
