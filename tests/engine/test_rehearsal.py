from __future__ import annotations

import json
import random
import shutil
import time

import pytest
from neighbours.catalogs import any_catalog
from neighbours.compare import ask, fits, run
from neighbours.joins import any_joined
from neighbours.questions import any_question

from engine import beside, rehearsal
from engine.catalog_file import catalog_of, read_catalog, resolve
from engine.refusals import CatalogRefused
from engine.vault import OWNER, audit, public_rows
from tests.seeds import PROVE

CATALOGS, CATALOGS_MANY = 12, 80 if PROVE else 20
QUESTIONED, QUESTIONS = 25 if PROVE else 8, 40
STUDENTS_MIN = 900


def any_resolved(seed):
    """A random catalog of the fuzz with its public tables."""
    declared = any_catalog(random.Random(f"rehearsal {seed}"))
    spans = [{"exam": exam, "low": low, "high": high} for exam, low, high in declared.spans]
    places = [{"place_id": place, **more} for place, more in zip(declared.places, declared.attributes, strict=True)]
    return resolve(declared.catalog, {"span": spans, "place": places})


def students_of(vault, table):
    cursor = vault.cursor()
    return cursor.execute(f'SELECT COUNT(DISTINCT {OWNER}) FROM "{table}"').fetchall()[0][0]


def alike(rows):
    """Rows in one order, whatever the order they and their columns came in."""
    return sorted(sorted(row.items()) for row in ({k: repr(v) for k, v in row.items()} for row in rows))


def contents(vault):
    tables = (*vault.catalog.private_tables, *vault.catalog.public_tables)
    return {one.name: vault.cursor().execute(f'SELECT * FROM "{one.name}"').fetchall() for one in tables}


@pytest.fixture(scope="module")
def starter_vault(canonical):
    made = rehearsal.invented(canonical, "an epoch")
    yield made
    made.close()


# -- invented records


def test_invented_records_keep_every_rule_of_the_starter_catalog(canonical, starter_vault):
    """Held against the vault's own audit; a thousand students in every table, over all cohorts that can be there."""
    assert list(audit(starter_vault.cursor(), canonical)) == []
    assert (starter_vault.catalog, starter_vault.epoch) == (canonical, "an epoch")
    for table in canonical.private_tables:
        assert STUDENTS_MIN <= students_of(starter_vault, table.name) <= rehearsal.STUDENTS
        cohorts = starter_vault.cursor().execute(f"SELECT DISTINCT cohort_year FROM {table.name}").fetchall()
        assert {cohort for (cohort,) in cohorts} == set(canonical.cohorts)


def test_invented_records_have_what_questions_are_about(starter_vault):
    """Rows per student differ, what may be NULL sometimes is, scores lie in many ranges, decimals have all places."""
    cursor = starter_vault.cursor()
    per_student = cursor.execute(f"SELECT DISTINCT COUNT(*) FROM student_year GROUP BY {OWNER}").fetchall()
    assert len(per_student) > 3
    nulls = cursor.execute(
        "SELECT AVG(CASE WHEN gpa IS NULL THEN 1 ELSE 0 END), COUNT(DISTINCT gpa % 10) FROM student_year"
    )
    ((share, last_places),) = nulls.fetchall()
    assert 0.05 < share < 0.2
    assert last_places == 10
    scored = cursor.execute("SELECT COUNT(scale_score), COUNT(DISTINCT test_program) FROM assessment").fetchall()
    assert scored[0][0] > 1_000
    assert scored[0][1] == 6


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=() if seed < 4 else pytest.mark.slow) for seed in range(CATALOGS)]
)
def test_invented_records_keep_every_rule_of_any_catalog(seed):
    """Keys, caps, checks, ranges, constants, doubles, lists with quotes in them."""
    catalog = any_resolved(seed)
    made = rehearsal.invented(catalog, "an epoch")
    try:
        assert list(audit(made.cursor(), catalog)) == []
        assert students_of(made, catalog.cohort_table) == min(rehearsal.STUDENTS, catalog.max_students)
        found = public_rows(made.cursor(), catalog)
        assert {name: alike(rows) for name, rows in found.items()} == {
            table.name: alike(table.rows) for table in catalog.public_tables
        }
    finally:
        made.close()


@pytest.mark.slow
def test_invented_records_keep_every_rule_of_many_catalogs():
    """The same of many, and nearly every table has students."""
    empty = tables = 0
    for seed in range(CATALOGS, CATALOGS + CATALOGS_MANY):
        catalog = any_resolved(seed)
        made = rehearsal.invented(catalog, "an epoch")
        assert list(audit(made.cursor(), catalog)) == [], seed
        for table in catalog.private_tables:
            tables += 1
            empty += students_of(made, table.name) == 0
        made.close()
    assert empty < tables / 20


@pytest.mark.slow
def test_any_question_can_be_asked_of_invented_records():
    """The questions of the fuzz: none fails, each cell is within what the public sizes allow, and few find nobody."""
    measured = empty = 0
    for seed in range(QUESTIONED):
        rng = random.Random(f"rehearsal questions {seed}")
        catalog = any_resolved(seed)
        made = rehearsal.invented(catalog, "an epoch")
        for number in range(QUESTIONS):
            question = any_joined(rng, catalog) if number % 2 else any_question(rng, catalog)
            asked = ask(catalog, question)
            if asked is None or asked.compiled is None:
                continue
            vectors = run(made.cursor(), asked)
            fits(catalog, asked, vectors)
            measured += 1
            empty += not any(map(any, vectors))
        made.close()
    assert measured > QUESTIONED * QUESTIONS / 2
    assert empty < measured / 4


@pytest.mark.slow
def test_the_same_catalog_gives_the_same_records_and_another_gives_others(canonical, starter_vault):
    """They are a function of the catalog's digest, on any machine."""
    again = rehearsal.invented(canonical, "another epoch")
    assert contents(again) == contents(starter_vault)
    again.close()
    other = rehearsal.invented(any_resolved(0), "an epoch")
    assert not {row[0] for row in contents(other)["person"]} & {row[0] for row in contents(starter_vault)["student"]}
    other.close()


def test_a_number_without_ends_and_a_decimal_of_one_value():
    """What is declared loosely, or nearly not at all, has invented records too."""
    text = """\
district: {id: us-xx-odd, name: Odd, time_zone: UTC}
privacy: {owner: sid, cohort: cls, cohorts: [2030], delta: 1e-7, max_students: 3}
tables:
  pupil:
    unique: [sid]
    checks: ["free > 5", "money = 2.5 OR money = 3.5", "same = 1.25"]
    columns:
      cls:   {type: integer, constant: 2030}
      free:  {type: integer}
      real:  {type: double}
      word:  {type: text}
      money: {type: "decimal(2,1)"}
      same:  {type: "decimal(3,2)", constant: 1.25}
"""
    catalog = resolve(catalog_of(text, "odd.yaml"), {})
    made = rehearsal.invented(catalog, "an epoch")
    assert list(audit(made.cursor(), catalog)) == []
    assert {row[-2] for row in contents(made)["pupil"]} <= {125}
    made.close()


def test_invented_records_are_made_at_once(canonical):
    """Half a second is allowed on an idle machine; four times as much here."""
    began = time.monotonic()
    rehearsal.invented(canonical, "an epoch").close()
    assert time.monotonic() - began < 2.0


# -- the rows of the public tables, beside the vault


@pytest.fixture
def beside_vault(loaded, starter, tmp_path):
    """A copy of the file beside a vault, with the declared catalog and the digest of the ledger."""
    path = tmp_path / beside.file_of(loaded[0].name)
    shutil.copy(loaded[0].with_name(path.name), path)
    return path, read_catalog(starter), loaded[1].catalog.digest


def test_a_catalog_is_resolved_without_the_vault(beside_vault, loaded):
    """It is the one the records were verified against, to the last value."""
    assert beside.read(*beside_vault) == loaded[1].catalog


def changed_row(found):
    found["tables"]["school"]["rows"][0][1] = "another"


def missing_table(found):
    del found["tables"]["school"]


def other_columns(found):
    found["tables"]["school"]["columns"].reverse()


def flag_as_number(found):
    place = found["tables"]["school"]["columns"].index("is_charter")
    for row in found["tables"]["school"]["rows"]:
        row[place] = int(row[place])


@pytest.mark.parametrize("change", [changed_row, missing_table, other_columns, flag_as_number, list.append])
def test_other_public_rows_than_those_of_the_load_are_refused(change, beside_vault):
    """One row changed, a table or a type that is not there; the ledger's digest decides."""
    path, declared, digest = beside_vault
    found = json.loads(path.read_text(encoding="utf-8"))
    if change is list.append:
        found = []
    else:
        change(found)
    path.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(CatalogRefused) as caught:
        beside.read(path, declared, digest)
    assert (caught.value.code, caught.value.file) == ("load", path.name)


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[" * 100_000])
def test_a_missing_or_damaged_file_is_refused(content, beside_vault):
    """The refusal names the file and what would be accepted."""
    path, declared, digest = beside_vault
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CatalogRefused) as caught:
        beside.read(path, declared, digest)
    assert "load again" in caught.value.accepted
