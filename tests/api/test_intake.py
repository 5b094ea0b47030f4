"""The commands with which records come in, as an officer types them."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from pathlib import Path

import pytest

from budgets.clock import SystemClock
from engine.district import District
from engine.office import Office

SHARED = Path(os.environ.get("HOMEROOM_SHARED_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not beside the repository")

CATALOG = """\
district: {id: us-xx-tiny, name: Tiny, time_zone: America/New_York}
privacy: {owner: sid, cohort: cls, cohorts: {from: 2024, to: 2032}, delta: 1e-7}
tables:
  pupil:
    unique: [sid]
    columns:
      cls: {type: integer}
      sex: {type: text, values: [F, M, unknown], default: unknown}
  lunch:
    sensitive: true
    on: false
    unique: [sid]
    columns: {is_free: {type: boolean, default: false}}
"""
MAPPING = """\
tables:
  pupil:
    from: sis.csv
    owner: Student Number
    columns:
      cls: Class Of
      sex: {column: Gender, codes: {f: F, m: M}}
"""
COUNT = "SELECT COUNT(*) AS n FROM pupil"


@pytest.fixture
def catalog(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG, encoding="utf-8")
    return path


def pupils(path, count=30, first=0, prefix="S"):
    """A file that is called as its table is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sid", "cls", "sex", "Last Name"])
        rows.writerows((f"{prefix}{n}", 2030, "F", "CANARY") for n in range(first, first + count))
    return path


def bundle(folder, students=30):
    """A OneRoster bundle of one school."""
    files = {
        "manifest": ["propertyName,value", "oneroster.version,1.1"],
        "orgs": ["sourcedId,name,type,identifier,parentSourcedId", "d,Alder District,district,7,", "a,Ash High,school,11,d"],
        "academicSessions": ["sourcedId,type,startDate,schoolYear", "y,schoolYear,2025-08-15,2026"],
        "users": [
            "sourcedId,role,orgSourcedIds,grades,givenName,identifier",
            *(f"u{n},student,a,09,CANARY,{n}" for n in range(students)),
            "t,teacher,a,,CANARY,",
        ],
        "demographics": ["sourcedId,sex,birthDate", *(f"u{n},female,2010-01-01" for n in range(students))],
        "classes": ["sourcedId,title,grades,schoolSourcedId,termSourcedIds", "c,One,09,a,y"],
        "enrollments": ["userSourcedId,classSourcedId,schoolSourcedId,role", *(f"u{n},c,a,student" for n in range(students))],
    }  # fmt: skip
    folder.mkdir(parents=True)
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def persons(folder, where="TRUE"):
    """How many students the vault has."""
    with District.open(folder, clock=SystemClock()) as district:
        home = district.catalog.cohort_table
        return district._house.vault.cursor().execute(f"SELECT COUNT(*) FROM {home} WHERE {where}").fetchall()[0][0]


@pytest.mark.slow
def test_a_district_from_a_oneroster_bundle(homeroom, tmp_path):
    """Without a catalog or a mapping; what was taken and left behind is told by name, and no name of a child is."""
    done = homeroom("init", tmp_path / "d", "--from", bundle(tmp_path / "bundle"), "--time-zone", "America/Chicago")
    assert done.returncode == 0, done.stderr
    told = done.stderr.decode()
    assert "student: cohort_year, entry_year, race_ethnicity, sex" in told
    assert "30 students, 30 of them new, 0 opted out." in told
    (page,) = (tmp_path / "d" / "reports").glob("load-*.html")
    assert str(page) in told
    for left in ("givenName", "birthDate"):
        assert left in page.read_text(encoding="utf-8")
    assert persons(tmp_path / "d") == 30
    for file in (tmp_path / "d").rglob("*"):
        assert not file.is_file() or b"CANARY" not in file.read_bytes(), file
    assert "CANARY" not in told + done.stdout.decode()
    assert homeroom("preview", tmp_path / "d", "SELECT COUNT(*) AS n FROM student").returncode == 0


@pytest.mark.slow
def test_a_bundle_may_be_zipped_and_the_next_load_needs_its_name_alone(homeroom, tmp_path):
    """`homeroom load DIR SOURCE`."""
    folder = bundle(tmp_path / "bundle")
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    zone = ("--time-zone", "America/Chicago", "--id", "us-xx-alder", "--name", "Alder")
    assert homeroom("init", tmp_path / "d", "--from", tmp_path / "bundle.zip", *zone).returncode == 0
    assert "us-xx-alder" in (tmp_path / "d" / "district.yaml").read_text(encoding="utf-8")
    assert homeroom("load", tmp_path / "d", folder).returncode == 0
    with Office.open(tmp_path / "d") as office:
        assert [event.kind for event in office.events()] == ["init", "load", "load"]


@pytest.mark.slow
def test_a_mapping_is_kept_for_the_next_load(homeroom, tmp_path, catalog):
    """Given once, beside the catalog; codes are crossed over."""
    source, mapping = tmp_path / "sis.csv", tmp_path / "m.yaml"
    source.write_text("Student Number,Class Of,Gender,SSN\n" + "".join(f"{n},2030,f,CANARY\n" for n in range(1, 26)))
    mapping.write_text(MAPPING, encoding="utf-8")
    begun = homeroom("init", tmp_path / "d", "--from", source, "--catalog", catalog, "--mapping", mapping)
    assert begun.returncode == 0, begun.stderr
    assert persons(tmp_path / "d", "sex = 'F'") == 25
    assert "not read: 1 columns" in begun.stderr.decode()
    mapping.unlink()
    assert homeroom("load", tmp_path / "d", source).returncode == 0
    source.write_text("Other\n1\n")
    assert homeroom("load", tmp_path / "d", source).returncode == 6
    assert persons(tmp_path / "d", "sex = 'F'") == 25


@pytest.mark.slow
def test_a_folder_of_files_named_after_tables(homeroom, tmp_path, catalog):
    """And the same file by --table."""
    pupils(tmp_path / "export" / "pupil.csv")
    done = homeroom("init", tmp_path / "d", "--from", tmp_path / "export", "--catalog", catalog)
    assert done.returncode == 0, done.stderr
    assert persons(tmp_path / "d") == 30
    one = homeroom("load", tmp_path / "d", "--table", f"pupil={pupils(tmp_path / 'more.csv', 31)}")
    assert one.returncode == 0, one.stderr
    assert persons(tmp_path / "d") == 31


def test_a_second_beginning_is_refused(homeroom, tmp_path, catalog):
    """In the same folder, in another one, and after the folder is gone: a class has one budget."""
    source = pupils(tmp_path / "export" / "pupil.csv").parent
    begin = ("--from", source, "--catalog", catalog)
    assert homeroom("init", tmp_path / "d", *begin).returncode == 0
    assert "not empty" in homeroom("init", tmp_path / "d", *begin).stderr.decode()
    again = homeroom("init", tmp_path / "e", *begin)
    assert again.returncode == 6
    assert b"homeroom load" in again.stderr
    assert not (tmp_path / "e").exists()
    (tmp_path / "d").rename(tmp_path / "gone")
    lost = " ".join(homeroom("init", tmp_path / "e", *begin).stderr.decode().split())
    assert "none in that folder now" in lost
    assert "backup" in lost
    (note,) = (tmp_path / "state").rglob("*.json")
    note.write_text("torn", encoding="utf-8")
    assert homeroom("init", tmp_path / "e", *begin).returncode == 6


@pytest.mark.slow
def test_a_beginning_that_failed_may_be_tried_again(homeroom, tmp_path, catalog):
    """It leaves no note, and no folder."""
    source = pupils(tmp_path / "export" / "pupil.csv", 0).parent
    begin = ("init", tmp_path / "d", "--from", source, "--catalog", catalog)
    done = homeroom(*begin)
    assert done.returncode == 6
    assert b"No student would be kept" in done.stderr
    assert not list((tmp_path / "state").rglob("*.json"))
    pupils(tmp_path / "export" / "pupil.csv")
    assert homeroom(*begin).returncode == 0


@pytest.mark.slow
def test_a_district_is_not_begun_where_that_cannot_be_noted(homeroom, tmp_path, catalog, monkeypatch):
    """Else it could be begun twice."""
    (tmp_path / "blocked").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "blocked"))
    source = pupils(tmp_path / "export" / "pupil.csv").parent
    done = homeroom("init", tmp_path / "d", "--from", source, "--catalog", catalog)
    assert done.returncode == 6
    assert b"XDG_STATE_HOME" in done.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.slow
def test_opting_out_and_taking_it_back(homeroom, tmp_path, catalog):
    """By id or from a file; it holds from the next load on; an id nobody has is asked after."""
    source = pupils(tmp_path / "export" / "pupil.csv").parent
    (tmp_path / "out.txt").write_text("S1\n\n S2 \n", encoding="utf-8")
    begin = ("--from", source, "--catalog", catalog, "--opt-outs", tmp_path / "out.txt")
    assert homeroom("init", tmp_path / "d", *begin).returncode == 0
    assert persons(tmp_path / "d", "NOT homeroom_research") == 2
    noted = homeroom("opt-out", "add", tmp_path / "d", "S3", "nobody")
    assert noted.returncode == 6
    assert "Noted." in noted.stderr.decode()
    assert "NOT noted: the district has never seen nobody." in noted.stderr.decode()
    assert homeroom("opt-out", "list", tmp_path / "d").stdout.decode().startswith("3 students")
    assert persons(tmp_path / "d", "NOT homeroom_research") == 2, "the records are still those of before"
    assert homeroom("load", tmp_path / "d", source).returncode == 0
    assert persons(tmp_path / "d", "NOT homeroom_research") == 3
    assert homeroom("opt-out", "withdraw", tmp_path / "d", "--file", tmp_path / "out.txt").returncode == 0
    assert homeroom("load", tmp_path / "d", source).returncode == 0
    assert persons(tmp_path / "d", "NOT homeroom_research") == 1
    assert homeroom("opt-out", "add", tmp_path / "d").returncode == 5


@pytest.mark.slow
def test_a_bundles_students_opt_out_by_any_id_they_are_known_by(homeroom, tmp_path):
    """The student's number, where it has one; an id that means nobody is asked after."""
    (tmp_path / "out.txt").write_text("u1\n2\n", encoding="utf-8")
    begin = ("--from", bundle(tmp_path / "b"), "--time-zone", "America/Chicago", "--opt-outs", tmp_path / "out.txt")
    done = homeroom("init", tmp_path / "d", *begin)
    assert done.returncode == 0
    assert "never seen u1." in done.stderr.decode()
    assert persons(tmp_path / "d", "NOT homeroom_research") == 1


@pytest.mark.slow
def test_what_is_sensitive_takes_two_people_at_the_beginning_too(homeroom, tmp_path, catalog):
    """Nothing is left of a beginning that was refused."""
    catalog.write_text(CATALOG.replace("on: false", "on: true"), encoding="utf-8")
    source = pupils(tmp_path / "export" / "pupil.csv").parent
    (source / "lunch.csv").write_text("sid,is_free\nS1,true\n", encoding="utf-8")
    begin = ("init", tmp_path / "d", "--from", source, "--catalog", catalog)
    refused = homeroom(*begin)
    assert refused.returncode == 5
    assert b"switches on what is sensitive: lunch" in refused.stderr
    assert not (tmp_path / "d").exists()
    two = ("--approved-by", "A. Officer", "--approved-by", "B. Officer", "--reason", "school meals")
    assert homeroom(*begin, *two).returncode == 0
    with Office.open(tmp_path / "d") as office:
        assert [event.kind for event in office.events()] == ["init", "sensitive_on", "load"]


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("nothing.csv", "There is no such file or folder"),
        ("strange.csv", "--mapping"),
        ("empty", "It is not clear what this source is"),
    ],
)
def test_a_source_that_is_not_recognised_is_told_what_would_be(source, part, homeroom, tmp_path, catalog):
    """Without a traceback, and nothing is begun."""
    (tmp_path / "strange.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    done = homeroom("init", tmp_path / "d", "--from", tmp_path / source, "--catalog", catalog)
    assert done.returncode == 6
    assert part in done.stderr.decode()
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--table", "pupil", "--catalog", "c.yaml"],
        ["--from", "x.csv", "--catalog", "c.yaml", "--opt-outs", "missing.txt"],
    ],
)
def test_init_says_what_is_missing(words, homeroom, tmp_path):
    """As a usage error."""
    assert homeroom("init", tmp_path / "d", *words).returncode == 2


@pytest.mark.slow
def test_a_drafted_mapping_comes_from_headers_alone(homeroom, tmp_path, catalog):
    """No cell of a row is in it, and what identifies a student is said to be never read."""
    (tmp_path / "sis.csv").write_text("Student ID,Gender,Grad Year,Last Name\nCANARY,CANARY,CANARY,CANARY\n")
    done = homeroom("map", tmp_path / "sis.csv", "--catalog", catalog)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "CANARY" not in text
    assert "Student ID" in text
    assert "Last Name" in text
    assert homeroom("map", tmp_path / "sis.csv").returncode == 0
    assert homeroom("map", tmp_path / "missing.csv").returncode == 6


@pytest.mark.slow
def test_two_persons_under_one_id_are_refused_by_row(homeroom, tmp_path):
    """Whose the other files' rows are would be a guess."""
    folder = bundle(tmp_path / "b")
    with (folder / "users.csv").open("a", encoding="utf-8") as file:
        file.write("u1,student,a,09,CANARY,99\n")
    done = homeroom("init", tmp_path / "d", "--from", folder, "--time-zone", "America/Chicago")
    assert done.returncode == 6
    assert b"CANARY" not in done.stderr
    assert not (tmp_path / "d").exists()


@needs_shared
@pytest.mark.slow
def test_the_shared_bundles_answer_within_seconds(homeroom, tmp_path):
    """From the folder of a district of 4,225 students to the first answer."""
    for name in ("oneroster-small", "oneroster-large"):
        folder = tmp_path / name
        begun = homeroom(
            "init", folder, "--from", SHARED / name, "--time-zone", "America/New_York", "--id", f"us-{name}"
        )
        assert begun.returncode == 0, begun.stderr
        asked = homeroom("ask", folder, "SELECT COUNT(*) AS n FROM student", "--format", "json")
        (row,) = json.loads(asked.stdout)["rows"]
        assert row[0] > 0
