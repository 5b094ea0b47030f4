from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import duckdb
import pyarrow as pa
import pytest

from engine.catalog_file import catalog_of, read_catalog
from engine.intake.load import load
from engine.intake.rules import Standing
from engine.refusals import CatalogRefused
from engine.vault import OWNER, Vault, audit, locks, public_rows

KEY = b"k" * 32


@pytest.fixture(scope="module")
def declared(starter):
    return read_catalog(starter)


@pytest.fixture
def path(loaded, tmp_path):
    """A copy of the vault's file, to be damaged."""
    copy = tmp_path / loaded[0].name
    shutil.copy(loaded[0], copy)
    return copy


@pytest.fixture
def vault(loaded, declared):
    opened = Vault.open(loaded[0], declared)
    yield opened
    opened.close()


def change(path, *statements):
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)


def refusal(path, declared):
    with pytest.raises(CatalogRefused) as caught:
        Vault.open(path, declared)
    assert (caught.value.code, caught.value.file) == ("load", path.name)
    assert caught.value.accepted
    for word in ("duckdb.", "Error", "Exception", str(path.parent), "main."):
        assert word not in caught.value.message
    return caught.value.message


def test_a_vault_of_another_load_refuses_to_open(loaded, declared, vault):
    """The ledger says which load it answers from, whatever file stands under its name."""
    Vault.open(loaded[0], declared, vault.epoch).close()
    with pytest.raises(CatalogRefused, match="another load"):
        Vault.open(loaded[0], declared, "another")


def test_a_vault_carries_its_resolved_catalog_and_its_epoch(vault, loaded):
    """Value lists and ranges come from the public tables inside the file, in the columns' own units."""
    _, done = loaded
    assert vault.epoch == done.epoch
    assert vault.catalog.digest == done.catalog.digest
    assert vault.catalog.document == done.catalog.document
    score = vault.catalog.tables["assessment"].columns["scale_score"]
    assert score.ranges is not None
    assert all(type(end) is int for row in score.ranges.rows for end in row[1:])
    schools = vault.catalog.tables["student_year"].columns["school_id"].values
    assert schools
    assert all(type(one) is int for one in schools)


def test_decimals_are_stored_as_counts_of_their_last_place(vault):
    """decimal(4,1) 12.5 is 125, integers are as they are, flags and texts too."""
    found = vault.cursor().execute(
        "SELECT DISTINCT typeof(days_absent), typeof(school_year), typeof(has_iep), typeof(grade_level), "
        f"typeof({OWNER}) FROM student_year"
    )
    assert found.fetchall() == [("BIGINT", "BIGINT", "BOOLEAN", "VARCHAR", "UUID")]
    most = vault.cursor().execute("SELECT MAX(days_absent) FROM student_year").fetchall()[0][0]
    assert 200 < most <= 2000


def test_every_private_table_carries_the_cohort(vault):
    """One cohort per student over all tables."""
    for table in vault.catalog.private_tables:
        assert vault.cursor().execute(f"SELECT COUNT(cohort_year) FROM {table.name}").fetchall()[0][0] > 0
    assert list(audit(vault.cursor(), vault.catalog)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bounds: [0, 200], nullable: true, unit: days}\n      schools_attended", None),
        ("rows: 16, per", "rows: 17, per"),
        ("rows_per_student_max: 15", "rows_per_student_max: 14"),
        ("cohorts: {from: 2020, to: 2039}", "cohorts: {from: 2020, to: 2038}"),
        ("cohort_year + 3", "cohort_year + 4"),
        ("max_students: 200_000", "max_students: 200_001"),
    ],
)
def test_a_changed_declaration_refuses_to_open(old, new, loaded, starter):
    """The records were verified against the old bounds, caps and lists; the new ones may be false of them."""
    text = starter.read_text(encoding="utf-8")
    assert old in text
    changed = text.replace(old, new or old.replace("200", "100"), 1)
    assert "another catalog" in refusal(loaded[0], catalog_of(changed, "district.yaml"))


def test_comments_and_layout_of_the_declaration_do_not_matter(loaded, starter):
    """What is compared is the meaning."""
    text = "# a comment\n" + starter.read_text(encoding="utf-8").replace("200_000", "200000")
    Vault.open(loaded[0], catalog_of(text, "district.yaml")).close()


@pytest.mark.parametrize(
    "statements",
    [
        ("UPDATE scale_range SET high = high + 1",),
        ("DELETE FROM school WHERE school_id = (SELECT MAX(school_id) FROM school)",),
        ("UPDATE homeroom_meta SET value = 'x' WHERE key = 'digest'",),
        ("UPDATE homeroom_meta SET value = '1' WHERE key = 'format'",),
        ("UPDATE homeroom_meta SET value = '{}' WHERE key = 'catalog'",),
        ("DELETE FROM homeroom_meta",),
        ("DROP TABLE homeroom_meta",),
        ("DROP TABLE school",),
        ("DROP TABLE program",),
        ("CREATE TABLE more (a BIGINT)",),
        ("ALTER TABLE program ADD COLUMN more BIGINT",),
        ("ALTER TABLE program ALTER program_type DROP NOT NULL",),
        ("ALTER TABLE student_year ALTER gpa TYPE DOUBLE",),
        ("ALTER TABLE student_year RENAME gpa TO gpa2",),
    ],
)
def test_a_vault_that_contradicts_itself_refuses_to_open(statements, path, declared):
    """Its public tables, layout and catalog must be those it was verified with."""
    change(path, *statements)
    assert refusal(path, declared)


def test_what_is_no_vault_is_refused_without_a_word_of_the_database(path, declared, tmp_path):
    """Missing, a folder, empty, text, cut short, scrambled, or another database."""
    whole = path.read_bytes()
    assert "missing" in refusal(tmp_path / "nowhere.duckdb", declared)
    assert "missing" in refusal(tmp_path, declared)
    for body in (b"", b"no vault", whole[: len(whole) // 3], b"\x00" * 4096 + whole[4096:]):
        path.write_bytes(body)
        assert "cannot be read" in refusal(path, declared)
    path.unlink()
    change(path, "CREATE TABLE t (a BIGINT)")
    assert "cannot be read" in refusal(path, declared)


FORBIDDEN = [
    "COPY student TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.parquet' (FORMAT parquet)",
    "EXPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/other.duckdb' AS other",
    "ATTACH ':memory:' AS other",
    "SELECT * FROM read_csv('{folder}/in.csv')",
    "SELECT * FROM read_text('{folder}/in.csv')",
    "SELECT * FROM '{folder}/in.csv'",
    "SELECT * FROM glob('{folder}/*')",
    "SET threads = 8",
    "SET memory_limit = '1TB'",
    "RESET lock_configuration",
    "SET enable_external_access = true",
    "SET GLOBAL lock_configuration = false",
    "PRAGMA enable_profiling",
    "INSTALL httpfs",
    "LOAD httpfs",
    "INSERT INTO program SELECT * FROM program",
    "UPDATE student SET sex = 'X'",
    "DELETE FROM student",
    "DROP TABLE student",
    "CREATE TABLE copied AS SELECT * FROM student",
    "SELECT * FROM hidden",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_cursor_is_locked_down(statement, vault, tmp_path):
    """No file is read or written, no setting changed, no row written, no Python variable seen."""
    hidden = tmp_path / "in.csv"
    hidden.write_text("a\n1\n", encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(duckdb.Error):
        vault.cursor().execute(statement.format(folder=tmp_path)).fetchall()
    assert sorted(tmp_path.iterdir()) == before


def test_every_lock_is_on(vault):
    """Each setting has the value declared for it."""
    for name, value in locks().items():
        found = vault.cursor().execute(f"SELECT current_setting('{name}')").fetchall()[0][0]
        if name == "memory_limit":
            assert str(found).endswith("GiB")
        elif name == "disabled_optimizers":
            assert sorted(str(found).split(",")) == sorted(str(value).split(","))
        else:
            assert str(found).lower() == value


def test_a_plan_is_not_made_from_the_extremes_on_record(vault):
    """A year that nobody has is looked for, and not known from the database's statistics to be absent."""
    statement = "EXPLAIN SELECT COUNT(*) FROM student_year WHERE school_year > 1000000"
    assert "Empty Result" not in str(vault.cursor().execute(statement).fetchall())
    with duckdb.connect(":memory:") as unlocked:
        unlocked.execute("CREATE TABLE student_year AS SELECT 2025 AS school_year")
        assert "Empty Result" in str(unlocked.execute(statement).fetchall())


def test_reading_changes_nothing_on_the_disk(path, declared):
    """Neither the file nor its folder."""
    before = path.read_bytes()
    opened = Vault.open(path, declared)
    opened.cursor().execute("SELECT COUNT(*) FROM student_year").fetchall()
    opened.close()
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_one_process_opens_a_vault_twice_and_reads_from_many_threads(loaded, declared):
    """Each thread on its own cursor; closing one opening leaves the other."""
    first, second = Vault.open(loaded[0], declared), Vault.open(loaded[0], declared)

    def count(_):
        return second.cursor().execute("SELECT COUNT(*) FROM student_year").fetchall()[0][0]

    first.close()
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(count, range(32)))) == 1
    second.close()


READER = """
import sys
from pathlib import Path
from engine.catalog_file import read_catalog
from engine.vault import Vault
vault = Vault.open(Path(sys.argv[1]), read_catalog(Path(sys.argv[2])))
print(vault.cursor().execute("SELECT COUNT(*) FROM student").fetchall()[0][0], flush=True)
sys.stdin.read()
vault.close()
"""


@pytest.mark.slow
def test_two_processes_read_one_vault_at_once(loaded, vault, starter):
    """While this process has it open, another opens it too and sees the same."""
    command = [sys.executable, "-c", READER, str(loaded[0]), str(starter)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        count = int(other.stdout.readline())
        assert vault.cursor().execute("SELECT COUNT(*) FROM student").fetchall() == [(count,)]
        other.communicate(timeout=30)
    assert other.returncode == 0


TAMPERED = {
    "student: unique student_key": "INSERT INTO student SELECT * FROM student LIMIT 1",
    "student_year: unique student_key, school_year": (
        "INSERT INTO student_year SELECT * REPLACE ('XX' AS grade_level) FROM student_year LIMIT 1"
    ),
    "student_year: grade_level value list": "UPDATE student_year SET grade_level = '13'",
    "student_year: school_id value list": "UPDATE student_year SET school_id = 7",
    "student_year: cohort_year value list": "UPDATE student_year SET cohort_year = 1999",
    "student_year: gpa bounds": "UPDATE student_year SET gpa = 501 WHERE gpa IS NOT NULL",
    "student_year: days_absent bounds": "UPDATE student_year SET days_absent = -1",
    "assessment: scale_score range": "UPDATE assessment SET scale_score = 9000 WHERE scale_score IS NOT NULL",
    "course_grade: cap per school_year": (
        "INSERT INTO course_grade SELECT * EXCLUDE (i) FROM (SELECT * FROM course_grade LIMIT 1), range(20) AS r(i)"
    ),
    "course_grade: rows_per_student_max": (
        "INSERT INTO course_grade SELECT * EXCLUDE (i) FROM (SELECT * FROM course_grade LIMIT 1), range(300) AS r(i)"
    ),
    "student_year: check school_year BETWEEN cohort_year - 13 AND cohort_year + 3": (
        "UPDATE student_year SET school_year = 2026, cohort_year = 2020 WHERE rowid = 0"
    ),
    "program: every row of a student in the student's cohort and population": "UPDATE program SET cohort_year = cohort_year + 1",
    "graduation: every row of a student in the student's cohort and population": f"UPDATE graduation SET {OWNER} = gen_random_uuid()",
    "one cohort and population per student": (
        "INSERT INTO student SELECT * REPLACE (cohort_year - 1 AS cohort_year) FROM student LIMIT 1"
    ),
}


@pytest.fixture(scope="module")
def copied(loaded):
    """The stored rows in a database that can be written to."""
    path, done = loaded
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS stored (READ_ONLY)")
        for table in (table for table in done.catalog.tables.values() if table.on):
            connection.execute(f"CREATE TABLE {table.name} AS SELECT * FROM stored.{table.name}")
        connection.execute("DETACH stored")
        yield connection


@pytest.mark.parametrize("rule", TAMPERED)
def test_the_audit_names_each_broken_rule(rule, copied, loaded):
    """Lists, bounds, ranges, keys, caps, checks and cohorts are all held against the stored rows."""
    copied.execute("BEGIN")
    copied.execute(TAMPERED[rule])
    found = list(audit(copied, loaded[1].catalog))
    copied.execute("ROLLBACK")
    assert rule in found


SPECIAL = """\
district: {id: us-xx-test, name: Test, time_zone: America/New_York}
privacy: {owner: sid, cohort: cls, cohorts: [2024], delta: 1e-7, max_students: 2}
tables:
  rate: {public: true, unique: [low], columns: {low: {type: "decimal(4,1)", bounds: [0, 9]}, label: {type: text, values: [🎒, b]}}}
  pupil: {unique: [sid], columns: {cls: {type: integer}, x: {type: double}, n: {type: integer}, t: {type: text}}}
"""


def test_a_public_column_that_may_be_null_and_never_is(tmp_path):
    """What was declared is loaded and opened, though no row of the public table makes use of it."""
    text = SPECIAL.replace("values: [🎒, b]}", "values: [🎒, b], nullable: true}")
    given = {
        "rate": pa.table({"low": ["2.5"], "label": ["b"]}),
        "pupil": pa.table({"sid": ["a"], "cls": ["2024"], "x": ["1"], "n": ["1"], "t": ["t"]}),
    }
    done = load(catalog_of(text, "c"), given, tmp_path, owner_key=KEY, standing=Standing({}))
    opened = Vault.open(tmp_path / done.file, catalog_of(text, "c"))
    assert not opened.catalog.tables["rate"].columns["label"].nullable
    opened.close()


def test_the_audit_sees_what_no_list_or_bound_forbids(tmp_path):
    """NaN, infinity, negative zero, whole numbers of 2**62 and more, NUL in a text, too many students."""
    catalog = catalog_of(SPECIAL, "c")
    given = {
        "rate": pa.table({"low": ["2.5", "3.0"], "label": ["🎒", "b"]}),
        "pupil": pa.table({"sid": ["a"], "cls": ["2024"], "x": ["1"], "n": ["1"], "t": ["t"]}),
    }
    done = load(catalog, given, tmp_path, owner_key=KEY, standing=Standing({}))
    opened = Vault.open(tmp_path / done.file, catalog)
    rows = opened.cursor().execute("SELECT low, label FROM rate ORDER BY low").fetchall()
    assert rows == [(25, "🎒"), (30, "b")]
    opened.close()
    with duckdb.connect(str(tmp_path / done.file)) as connection:
        assert {row["low"] for row in public_rows(connection, catalog)["rate"]} == {Fraction(5, 2), 3}
        for change_, rule in (
            ("x = 'NaN'", "pupil: x bounds"),
            ("x = '-inf'", "pupil: x bounds"),
            ("x = CAST('-0.0' AS DOUBLE)", "pupil: x negative zero"),
            (f"n = {2**62}", "pupil: n bounds"),
            ("t = 'a' || chr(0)", "pupil: t NUL"),
        ):
            connection.execute("BEGIN")
            connection.execute(f"UPDATE pupil SET {change_}")
            assert list(audit(connection, done.catalog)) == [rule]
            connection.execute("ROLLBACK")
        for _ in range(2):
            connection.execute(f"INSERT INTO pupil SELECT * REPLACE (uuid() AS {OWNER}) FROM pupil LIMIT 1")
        assert list(audit(connection, done.catalog)) == ["max_students"]
