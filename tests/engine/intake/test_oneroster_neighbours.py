from __future__ import annotations

import csv
import random
from collections import Counter

import duckdb
import pytest

from engine.catalog_file import catalog_of
from engine.intake.oneroster import OneRoster
from tests.engine.intake.bundles import (
    CLASSES,
    MANIFEST,
    ORGS,
    SHARED,
    draft,
    enrolled,
    load,
    needs_shared,
    public,
    user,
    write,
    zipped,
)
from tests.seeds import generator

SPRINGS = (2024, 2025, 2026)
GRADES = ("PK", "KG", "03", "08", "09,10", "11", "12", "13", "UG", "", "Other")
MARKS = ("A", "B-", "F", "P", "88", "12", "", "3.5")


def common(rng, spring):
    """The public files of one year's bundle: two years of classes, orgs below schools, final line items."""
    terms = [{"sourcedId": f"t{year}", "type": "term", "schoolYear": f"{year}"} for year in (spring - 1, spring)]
    lessons = [
        {
            "sourcedId": f"c{n}",
            "title": rng.choice(["Algebra", "AP Art", "x"]),
            "termSourcedIds": f"t{spring - n % 2}",
        }
        for n in range(8)
    ]
    items = [
        {
            "sourcedId": f"i{n}",
            "title": rng.choice(["Final Grade", "Quiz"]),
            "classSourcedId": f"c{n}",
            "resultValueMax": "100",
        }
        for n in range(8)
    ]
    return {
        "orgs": ORGS,
        "academicSessions": terms,
        "classes": [*CLASSES, *({**one, "schoolSourcedId": rng.choice("ab")} for one in lessons)],
        "lineItems": items,
    }


def rows_of(rng, person, by_roles):
    """The rows of one person in one year's bundle: several users rows, and what hangs on each of them."""
    found = {name: [] for name in PRIVATE}
    for copy in range(rng.choice([0, 1, 1, 2, 3])):
        key = f"{person}-{copy}"
        orgs = ",".join(rng.sample(["a", "b", "d", "a-art", "gone"], rng.choice([0, 1, 2])))
        cells = {
            "identifier": person,
            "primaryOrgSourcedId": rng.choice(["", "a", "d"]) if by_roles else "",
        }
        one = user(
            key, rng.choice(GRADES), orgSourcedIds=orgs, **cells, status=rng.choice(["", "", "", "tobedeleted"])
        )
        found["users"] += [one] * rng.choice([1, 1, 2])
        for _ in range(rng.choice([0, 1, 3])):
            role = rng.choice(["student", "student", "teacher"])
            kind = {"roleType": rng.choice(["primary", "secondary"]), "orgSourcedId": rng.choice(["a", "b", "d"])}
            found["roles"].append({"userSourcedId": key, "role": role, **kind})
            found["enrollments"].append(enrolled(key, f"c{rng.randrange(8)}", rng.choice(["a", "b", "d", ""])))
            flags = {
                name: rng.choice(["true", "false", ""]) for name in ("asian", "white", "hispanicOrLatinoEthnicity")
            }
            found["demographics"].append({"sourcedId": key, "sex": rng.choice(["male", "female", ""]), **flags})
            mark = {"studentSourcedId": key, "score": rng.choice(MARKS), "scoreStatus": "fully graded"}
            found["results"].append({"lineItemSourcedId": f"i{rng.randrange(8)}", **mark})
            days = {"daysEnrolled": f"{rng.randrange(90)}", "daysAbsent": rng.choice(["1", "0.5", ""])}
            found["attendance_summary"].append({"userSourcedId": key, "schoolYear": f"{rng.choice(SPRINGS)}", **days})
            end = {"schoolSourcedId": rng.choice("ab"), "cohortStatus": "in_cohort", "yearsToOutcome": "4"}
            result = rng.choice(["dropout", "regular_diploma", "still_enrolled"])
            found["outcomes"].append(
                {"userSourcedId": key, "gradCohort": f"{rng.choice(SPRINGS)}", "outcome": result, **end}
            )
    return found


PRIVATE = ("users", "roles", "enrollments", "demographics", "results", "attendance_summary", "outcomes")
EMPTY = {
    "users": user("", ""),
    "roles": {"userSourcedId": "", "role": "", "roleType": "", "orgSourcedId": ""},
    "enrollments": enrolled(""),
    "demographics": {"sourcedId": "", "sex": "", "asian": "", "white": "", "hispanicOrLatinoEthnicity": ""},
    "results": {"lineItemSourcedId": "", "studentSourcedId": "", "score": "", "scoreStatus": ""},
    "attendance_summary": {"userSourcedId": "", "schoolYear": "", "daysEnrolled": "", "daysAbsent": ""},
    "outcomes": {
        "userSourcedId": "",
        "gradCohort": "",
        "schoolSourcedId": "",
        "cohortStatus": "",
        "outcome": "",
        "yearsToOutcome": "",
    },
}
"""A row of nobody, so that each file has its header whoever is in it."""


def bundles(rng, folder, shared, private, persons):
    """Write the bundles of some persons, all rows shuffled, in a shuffled order."""
    paths = []
    for spring, files in shared.items():
        version = "1.2" if spring % 2 else "1.1"
        manifest = [*MANIFEST[:1], {"propertyName": "oneroster.version", "value": version}]
        rows = {name: [EMPTY[name]] for name in PRIVATE}
        for person in persons:
            for name, own in private[person, spring].items():
                rows[name] += own
        mixed = {name: rng.sample(one, len(one)) for name, one in {**files, **rows}.items()}
        paths.append(write(folder / f"{spring}", manifest=manifest, **mixed))
    return rng.sample(paths, len(paths))


def by_person(made):
    """Table → person → multiset of rows; the public table under no person."""
    found = {}
    for table, rows in made.tables.items():
        for row in rows:
            person = row.get("student_key", "")
            found.setdefault((table, person), Counter())[tuple(row.items())] += 1
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_a_person_changes_only_their_own_rows(seed, tmp_path):
    """Without one person's rows, and with all rows and bundles in another order, all others' rows are the same."""
    rng = generator(f"oneroster persons {seed}")
    persons = [f"p{n}" for n in range(12)]
    shared = {spring: common(rng, spring) for spring in SPRINGS}
    private = {(one, spring): rows_of(rng, one, spring % 2 == 1) for one in persons for spring in SPRINGS}
    whole = bundles(rng, tmp_path / "whole", shared, private, persons)
    text = draft(*whole)
    before = by_person(load(tmp_path, *whole, catalog=text))
    assert {table for table, _ in before} == {"school", "student", "student_year", "course_grade", "graduation"}
    for one in rng.sample(persons, 3):
        others = [other for other in persons if other != one]
        paths = bundles(rng, tmp_path / one, shared, private, others)
        assert draft(*paths) == text, "a draft knows no student"
        after = by_person(load(tmp_path, *paths, catalog=text))
        assert after == {key: rows for key, rows in before.items() if key[1] != f"i:{one}"}


def copied(folder, target, without, rng):
    """A copy of a bundle without one user's rows, all rows shuffled."""
    target.mkdir()
    for path in folder.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        key = {"users.csv": "sourcedId", "demographics.csv": "sourcedId", "enrollments.csv": "userSourcedId"}.get(
            path.name
        )
        if key:
            rows = [row for row in rows if row[header.index(key)] not in without]
        rng.shuffle(rows)
        with (target / path.name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
    return target


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("name", ["oneroster-small", pytest.param("oneroster-large", marks=pytest.mark.slow)])
def test_in_a_generated_district_too(name, tmp_path):
    """With thousands of students and several threads."""
    rng = generator("oneroster neighbours") if name == "oneroster-large" else random.Random(1)
    folder = SHARED / name
    before = by_person(load(tmp_path, folder))
    with (folder / "users.csv").open(newline="", encoding="utf-8") as file:
        students = [row for row in csv.DictReader(file) if row["role"] == "student"]
    for place in range(2):
        one = rng.choice(students)
        after = by_person(load(tmp_path, copied(folder, tmp_path / f"{place}", {one["sourcedId"]}, rng)))
        assert after == {key: rows for key, rows in before.items() if key[1] != f"i:{one['identifier']}"}


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(
    ("name", "count"), [("oneroster-small", 248), pytest.param("oneroster-large", 4225, marks=pytest.mark.slow)]
)
def test_every_student_is_one_person_with_one_year(name, count, tmp_path):
    """As many persons as distinct students of users.csv, each with a class, a school, and a grade; a zip gives the same."""
    with (SHARED / name / "users.csv").open(newline="", encoding="utf-8") as file:
        students = {f"i:{row['identifier']}": row for row in csv.DictReader(file) if row["role"] == "student"}
    assert len(students) == count
    made = load(tmp_path, SHARED / name)
    assert {row["student_key"] for row in made.tables["student"]} == set(students)
    assert len(made.tables["student"]) == len(made.tables["student_year"]) == count
    for row in made.tables["student_year"]:
        assert row["grade_level"] == students[row["student_key"]]["grades"]
        assert row["school_id"]
    grades = {row["student_key"]: row["grade_level"] for row in made.tables["student_year"]}
    for row in made.tables["student"]:
        number = {"PK": -1, "KG": 0}.get(grades[row["student_key"]]) or int(
            grades[row["student_key"]].replace("KG", "0")
        )
        assert int(row["cohort_year"]) == 2026 + 12 - number
    packed = load(tmp_path, zipped(SHARED / name, tmp_path / "bundle.zip", "export/"))
    assert by_person(packed) == by_person(made)


@pytest.mark.slow
def test_threads_do_not_matter(tmp_path):
    """One thread or four: the same rows, from 40,000 users with ties everywhere."""
    rng = random.Random(3)
    rows = [
        user(f"{n}-{copy}", "09", identifier=f"{n}", orgSourcedIds=rng.choice("ab"))
        for n in range(20_000)
        for copy in "xy"
    ]
    lessons = [enrolled(one["sourcedId"], rng.choice(["c1", "c3"]), rng.choice("ab")) for one in rows]
    folder = write(tmp_path / "bundle", **public(users=rows, enrollments=lessons))
    catalog = catalog_of(draft(folder), "district.yaml")
    found = []
    for threads in (1, 4):
        work = tmp_path / f"{threads}"
        work.mkdir()
        with duckdb.connect(work / "work.duckdb", config={"threads": threads}) as connection:
            made = OneRoster([folder]).tables(catalog, connection, work, lambda _what, _share: None)
            batches = [batch.to_pylist() for batch in made["student_year"].batches([0, 1, 2, 3])]
        found.append(Counter(tuple(row.values()) for batch in batches for row in batch))
    assert found[0] == found[1]
