from __future__ import annotations

import struct
import zipfile

import duckdb
import pytest

from engine.catalog_file import catalog_of
from engine.intake.oneroster import OneRoster, bundle, is_bundle
from engine.intake.oneroster.layout import PRIVATE, PUBLIC, ROLES
from engine.intake.oneroster.reading import RosterRows
from engine.refusals import CatalogRefused
from tests.engine.intake.bundles import (
    CLASSES,
    MANIFEST,
    ORGS,
    SESSIONS,
    SHARED,
    draft,
    enrolled,
    load,
    needs_shared,
    public,
    refused,
    user,
    write,
    zipped,
)
from tests.seeds import generator

pytestmark = pytest.mark.slow

USERS = [user("x", **dict.fromkeys(("givenName", "password", "email"), "CANARY"))]
CATALOG = """\
district: {id: us-xx-test, name: Test, time_zone: America/New_York}
privacy: {owner: student_key, cohort: cohort_year, cohorts: {from: 2020, to: 2045}, delta: 1e-7}
tables:
  student: {unique: [student_key], columns: {cohort_year: {type: integer}}}
"""


def small(tmp_path, name="bundle", **files):
    return write(tmp_path / name, **public(users=USERS, enrollments=[enrolled("x")], **files))


def persons(made):
    return made.of("student", "student_key")


# -- where a bundle is found


def test_a_bundle_is_told_by_its_files(tmp_path):
    """A folder or a zip file; at the top or one folder deep; with a manifest, or users beside orgs."""
    folder = small(tmp_path)
    above = small(tmp_path / "above", "inside").parent
    bare = small(tmp_path, "bare", manifest=None)
    zips = [zipped(folder, tmp_path / "flat.zip"), zipped(folder, tmp_path / "deep.zip", "export 2026/")]
    for path in (folder, above, bare, *zips):
        assert is_bundle(path)
        assert persons(load(tmp_path, path)) == [("s:x",)]


def test_what_is_no_bundle_is_said_to_be_none(tmp_path):
    """Never a traceback: an empty folder or zip, a CSV file, a path that is not there, a zip too deep or broken."""
    folder = small(tmp_path)
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    whole = zipped(folder, tmp_path / "whole.zip").read_bytes()
    (tmp_path / "broken.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "users.csv").write_text("sourcedId\n")
    zipped(folder, tmp_path / "deep.zip", "one/two/")
    for name in ("empty", "empty.zip", "broken.zip", "users.csv", "missing", "deep.zip"):
        assert not is_bundle(tmp_path / name)
        assert "bundle" in refused(tmp_path, tmp_path / name, catalog=CATALOG).message


def test_two_bundles_in_one_folder_are_refused(tmp_path):
    """Each is given by itself: a folder of years may hold one year twice."""
    small(tmp_path / "both", "2025")
    small(tmp_path / "both", "2026")
    assert is_bundle(tmp_path / "both")
    assert "2 OneRoster bundles" in refused(tmp_path, tmp_path / "both", catalog=CATALOG).message


def test_a_file_that_stands_there_twice_is_refused(tmp_path):
    """Nobody knows which one is meant."""
    path = zipped(small(tmp_path), tmp_path / "twice.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("USERS.csv", "sourcedId\n")
    assert "users.csv stands in it twice" in refused(tmp_path, path, catalog=CATALOG).message


def test_what_other_systems_leave_in_a_zip_is_passed_over(tmp_path):
    """Hidden copies of a Mac, and files that are no CSV."""
    path = zipped(small(tmp_path), tmp_path / "mac.zip")
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("__MACOSX/._users.csv", "._users.csv", "readme.txt"):
            archive.writestr(name, "CANARY")
    assert persons(load(tmp_path, path)) == [("s:x",)]


# -- zip files that mean harm


def test_names_that_climb_out_of_the_zip_are_base_names(tmp_path):
    """Nothing is written outside the work folder."""
    path = zipped(small(tmp_path / "plain"), tmp_path / "climb.zip", "../")
    before = {one for one in tmp_path.rglob("*") if one.is_file()}
    assert persons(load(tmp_path, path)) == [("s:x",)]
    after = {one for one in tmp_path.rglob("*") if one.is_file()} - before
    assert all(one.relative_to(tmp_path).parts[0].startswith("work-") for one in after)


def test_an_unpacked_file_is_its_owners_alone(tmp_path, monkeypatch):
    """It holds names and passwords that are never read, and is gone once the rows have been."""
    path = zipped(small(tmp_path), tmp_path / "bundle.zip")
    batches, modes = RosterRows.batches, set()

    def spied(self, places):
        if self._path.parent.name == "oneroster-0":
            modes.add((self._path.stat().st_mode & 0o777, self._path.parent.stat().st_mode & 0o777))
        return batches(self, places)

    monkeypatch.setattr(RosterRows, "batches", spied)
    load(tmp_path, path)
    assert modes == {(0o600, 0o700)}
    assert not list(tmp_path.glob("work-*/oneroster*"))


def flagged(path):
    """Mark every member of a zip file as encrypted."""
    damaged = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := damaged.find(mark, start + 1)) >= 0:
            damaged[start + place] |= 1
    path.write_bytes(damaged)
    return path


def test_an_encrypted_zip_is_refused(tmp_path):
    """With what to bring instead."""
    one = refused(tmp_path, flagged(zipped(small(tmp_path), tmp_path / "locked.zip")), catalog=CATALOG)
    assert "encrypted" in one.message
    assert "without a password" in one.accepted


class Opener:
    """Opens files to be written, and remembers them."""

    def __init__(self):
        self.paths = []
        self._open = bundle._private

    def __call__(self, path):
        self.paths.append(path)
        return self._open(path)


CODES = "sourcedId,title\n" + "x,y\n" * 37_500


def test_a_zip_that_is_too_large_is_refused(tmp_path, monkeypatch):
    """By what it says of itself before it is unpacked, all files together."""
    monkeypatch.setattr(bundle, "BUNDLE_BYTES_MAX", 200_000)
    monkeypatch.setattr(bundle, "_private", spied := Opener())
    bomb = zipped(small(tmp_path, results="x" * 300_000), tmp_path / "bomb.zip")
    assert bomb.stat().st_size < 5_000
    assert "larger than 200,000 bytes" in refused(tmp_path, bomb, catalog=CATALOG).message
    many = zipped(small(tmp_path, "many", **dict.fromkeys(("categories", "courses"), CODES)), tmp_path / "many.zip")
    assert many.stat().st_size < 10_000
    assert "larger than 200,000 bytes" in refused(tmp_path, many, catalog=CATALOG).message
    assert not {path.name for path in spied.paths} & {"results.csv", "categories.csv"}
    assert {path.name for path in spied.paths} > {"courses.csv", "orgs.csv"}


def test_what_comes_out_of_a_zip_is_counted(tmp_path, monkeypatch):
    """Whatever it says of itself."""
    monkeypatch.setattr(bundle, "BUNDLE_BYTES_MAX", 100_000)
    monkeypatch.setattr(bundle.Copier, "_trusted", lambda *_: None)
    path = zipped(small(tmp_path, courses=CODES), tmp_path / "bomb.zip")
    assert "larger than 100,000 bytes" in refused(tmp_path, path, catalog=CATALOG).message


def test_a_zip_that_lies_about_its_size_is_refused(tmp_path):
    """It says 100 bytes; what comes out is another file than the one it speaks of."""
    path = zipped(small(tmp_path, demographics="sourcedId,sex\n" + "x,male\n" * 40_000), tmp_path / "liar.zip")
    with zipfile.ZipFile(path) as archive:
        (size,) = [one.file_size for one in archive.infolist() if one.filename == "demographics.csv"]
    lying = path.read_bytes().replace(struct.pack("<I", size), struct.pack("<I", 100))
    path.write_bytes(lying)
    assert "cannot be unpacked" in refused(tmp_path, path, catalog=CATALOG).message


def test_a_damaged_zip_is_refused(tmp_path):
    """Where its bytes are not what they were."""
    path = zipped(small(tmp_path), tmp_path / "bad.zip")
    bad = bytearray(path.read_bytes())
    place = bad.find(b"users.csv") + 30
    bad[place : place + 8] = b"\xff" * 8
    path.write_bytes(bad)
    assert "cannot be unpacked" in refused(tmp_path, path, catalog=CATALOG).message


# -- the manifest


def said(*pairs, version="1.1"):
    rows = [MANIFEST[0], {"propertyName": "oneroster.version", "value": version}]
    return [*rows, *({"propertyName": name, "value": value} for name, value in pairs)]


@pytest.mark.parametrize("version", ["1.0", "2.0", "latest", "1.10"])
def test_an_unknown_version_is_refused(version, tmp_path):
    """With those that are known."""
    one = refused(tmp_path, small(tmp_path, manifest=said(version=version)), catalog=CATALOG)
    assert "version" in one.message
    assert "1.1 or 1.2" in one.accepted


def test_no_manifest_is_forgiven(tmp_path):
    """And told."""
    made = load(tmp_path, small(tmp_path, manifest=None))
    assert made.files["manifest.csv"].repaired == {"no manifest; the files tell what they are": 1}


def test_a_delta_is_refused(tmp_path):
    """It holds changes only: everybody else would be missing."""
    one = refused(tmp_path, small(tmp_path, manifest=said(("file.users", "Delta"))), catalog=CATALOG)
    assert "users.csv is a delta" in one.message
    assert "bulk" in one.accepted


def test_a_promised_file_that_is_missing_is_refused(tmp_path):
    """Unless it is not needed, or unusable files are to be left out; both are told."""
    folder = small(tmp_path, manifest=said(("file.demographics", "bulk")))
    assert "no demographics.csv, which manifest.csv promises" in refused(tmp_path, folder).message
    made = load(tmp_path, folder, skip_unusable=True)
    (left,) = made.files["demographics.csv"].repaired
    assert left.startswith("left out. There is no demographics.csv")
    made = load(
        tmp_path, small(tmp_path, "other", manifest=said(("file.resources", "bulk"), ("file.roles", "absent")))
    )
    assert made.files["manifest.csv"].repaired == {"resources.csv is promised and missing; it is not needed": 1}


def test_a_file_called_absent_is_read_and_told(tmp_path):
    """The file is there; the manifest is what is wrong."""
    made = load(tmp_path, small(tmp_path, manifest=said(("file.enrollments", "absent"))))
    assert made.files["manifest.csv"].repaired == {"enrollments.csv is called absent, and was read": 1}


@pytest.mark.parametrize("name", ["orgs", "academicSessions", "users"])
def test_without_its_core_a_bundle_is_refused(name, tmp_path):
    """Whatever is to be left out."""
    folder = small(tmp_path, **{name: None}) if name != "users" else write(tmp_path / "bundle", **public())
    one = refused(tmp_path, folder, catalog=CATALOG, skip_unusable=True)
    assert f"There is no {name}.csv" in one.message


def test_without_a_school_or_a_role_a_bundle_is_refused(tmp_path):
    """Nobody could be placed, or known as a student."""
    folder = small(tmp_path, orgs=[{**ORGS[3], "parentSourcedId": "gone"}])
    assert "No org is a school" in refused(tmp_path, folder, catalog=CATALOG).message
    plain = [{"sourcedId": "x", "grades": "09"}]
    for version in ("1.1", "1.2"):
        folder = write(tmp_path / version, **public(users=plain, manifest=said(version=version)))
        assert "Nothing tells who is a student" in refused(tmp_path, folder, catalog=CATALOG).message


def test_the_files_tell_a_version_that_the_manifest_does_not(tmp_path):
    """A role in users.csv is 1.1; roles.csv without one is 1.2."""
    roles = [{"userSourcedId": "x", "role": "student", "roleType": "primary", "orgSourcedId": "b"}]
    plain = [{"sourcedId": "x", "grades": "09"}]
    made = load(tmp_path, write(tmp_path / "roles", **public(users=plain, roles=roles, manifest=[MANIFEST[0]])))
    assert made.of("student_year", "school_id") == [("12",)]
    made = load(tmp_path, write(tmp_path / "users", **public(users=USERS, roles=roles, manifest=[MANIFEST[0]])))
    assert made.of("student_year", "school_id") == [("11",)]


# -- dialects


def test_other_names_of_columns_and_files_are_put_right_and_told(tmp_path):
    """Known misspellings, other letters, extra columns, and columns without a name."""
    folder = write(
        tmp_path / "bundle",
        **public(
            users="SourcedId,dataLastModified,prefferedGivenName,role,orgSourcedIds,grade,ext_x,metadata.y,\n"
            "x,1/05/2023,CANARY,student,a,09,CANARY,CANARY,\n",
            demographics="userSourcedId,birthdate,sex,nativeAmericanOrOtherPacificIslander,stateofBirthAbbreviation\n"
            "x,CANARY,female,true,CANARY\n",
            classes="sourcedId,grade,schoolSourcedId,termSourcedId\nc1,07,b,t26\n",
            Enrollments="userId,classSourcedId,schoolSourcedId,role\nx,c1,b,student\n",
        ),
    )
    made = load(tmp_path, folder)
    assert made.of("student", "sex", "race_ethnicity") == [("F", "PI7")]
    assert made.of("student_year", "grade_level", "schools_attended") == [("09", "2")]
    assert made.files["users.csv"].repaired == {
        "SourcedId for sourcedId": 1,
        "dataLastModified for dateLastModified": 1,
        "prefferedGivenName for preferredGivenName": 1,
        "grade for grades": 1,
        "columns without a name, not read": 1,
    }
    assert made.files["demographics.csv"].repaired == {
        "userSourcedId for sourcedId": 1,
        "birthdate for birthDate": 1,
        "stateofBirthAbbreviation for stateOfBirthAbbreviation": 1,
        "nativeAmericanOrOtherPacificIslander for nativeHawaiianOrOtherPacificIslander": 1,
    }
    assert made.files["classes.csv"].repaired == {"grade for grades": 1, "termSourcedId for termSourcedIds": 1}
    assert made.files["Enrollments.csv"].repaired == {
        "the file name Enrollments.csv for enrollments.csv": 1,
        "userId for userSourcedId": 1,
    }
    assert "CANARY" not in f"{made.files}{made.tables}"


def test_columns_without_a_name_may_be_absent_from_rows(tmp_path):
    """At the end of the header only: any other row that is too short or too long refuses the file, by its number."""
    header = "sourcedId,role,orgSourcedIds,grades,,\n"
    made = load(tmp_path, write(tmp_path / "b", **public(users=f"{header}x,student,a,09\ny,student,a,09,,\n")))
    assert persons(made) == [("s:x",), ("s:y",)]
    assert made.files["users.csv"].repaired["rows without the columns that have no name"] == 1
    assert made.files["users.csv"].rows == 2
    for place, row in enumerate(("CANARY,student,a", "CANARY,student,a,09,,,")):
        folder = write(tmp_path / f"{place}", **public(users=f"{header}x,student,a,09\n{row}\n"))
        one = refused(tmp_path, folder, catalog=CATALOG)
        assert "Row 2 under the header" in one.message
        assert "CANARY" not in f"{one.message} {one.accepted}"


MALFORMED = {
    b"sourcedId,role,grades\nx,student,09\nCANARY,stu\0dent,09\n": ("NUL byte", 3),
    b"sourcedId,role,grades\nx,student,09\nCANARY,student\n": ("Row 2", None),
    b"sourcedId,role,grades\nx,student,\xe9\n": ("UTF-8", 2),
    b'sourcedId,role,grades\nCANARY,"student,09\n': ("quotes", 2),
    b"sourcedId,role,sourcedId,grades\nCANARY,student,y,09\n": ("twice", 1),
    b"SourcedId,role,sourcedid,grades\nCANARY,student,y,09\n": ("Two columns are called sourcedId", 1),
    b"role,grades\nCANARY,09\n": ("no column sourcedId", 1),
    b"sourcedId,role\nCANARY,student\n": ("no column grades", 1),
    b"CANARY,student,09\n": ("no column sourcedId", 1),
    b"": ("no header", 1),
}


@pytest.mark.parametrize("text", MALFORMED, ids=ascii)
def test_a_file_that_cannot_be_trusted_refuses_the_bundle(text, tmp_path):
    """By file and line or row, never with a value of a record."""
    part, line = MALFORMED[text]
    one = refused(tmp_path, write(tmp_path / "bundle", **public(users=text)), catalog=CATALOG, skip_unusable=True)
    assert part in one.message
    assert (one.file, one.line) == ("bundle/users.csv", line)
    assert "CANARY" not in f"{one.message} {one.accepted}"


def test_only_a_header_can_leave_a_file_out(tmp_path):
    """What stands in one student's rows must never take away the rows of others: such a file refuses the bundle."""
    lacking = small(tmp_path, demographics="sex\nmale\n")
    assert "no column sourcedId" in refused(tmp_path, lacking).message
    made = load(tmp_path, lacking, skip_unusable=True)
    assert "left out. There is no column sourcedId." in made.files["demographics.csv"].repaired
    for place, rows in enumerate(("x,ma\0le\n", "x\n", 'x,"male\n')):
        folder = small(tmp_path, f"{place}", demographics=f"sourcedId,sex\n{rows}")
        refused(tmp_path, folder, skip_unusable=True)


# -- what is never read


IDENTIFIERS = (
    "givenname",
    "familyname",
    "middlename",
    "username",
    "preferred",
    "mail",
    "phone",
    "sms",
    "password",
    "birth",
    "agent",
    "pronoun",
    "userids",
    "address",
    "comment",
)


@pytest.fixture
def asked(monkeypatch):
    """File and name of every column that is asked for."""
    seen = set()
    batches = RosterRows.batches

    def spied(self, places):
        seen.update((self.file.rsplit("/", 1)[-1], self.names[place]) for place in places)
        return batches(self, places)

    monkeypatch.setattr(RosterRows, "batches", spied)
    return seen


@needs_shared
@pytest.mark.parametrize("name", ["oneroster-small", "oneroster-large"])
def test_no_identifying_column_is_asked_for(name, asked, tmp_path):
    """Names, contacts, passwords, birth dates and places stay in the file; so does each column of no use."""
    load(tmp_path, SHARED / name)
    assert {column for file, column in asked if file == "users.csv"} == {
        "sourcedId",
        "status",
        "role",
        "orgSourcedIds",
        "grades",
        "identifier",
    }
    private = {column for file, column in asked if file not in {"orgs.csv", "manifest.csv"}}
    assert not [column for column in private if any(word in column.lower() for word in IDENTIFIERS)]


def test_of_demographics_sex_and_races_are_asked_for(asked, tmp_path):
    """The day and the place of birth stay in the file."""
    rows = [{"sourcedId": "1", "sex": "female", "birthDate": "2010-01-01", "cityOfBirth": "X", "white": "true"}]
    load(tmp_path, small(tmp_path, demographics=rows))
    assert {column for file, column in asked if file == "demographics.csv"} == {"sourcedId", "sex", "white"}


def test_a_draft_reads_no_row_about_a_student(asked, tmp_path):
    """Nor does a file about students get further than its first line."""
    folder = small(tmp_path, demographics="sourcedId,sex\nCANARY,\0\n", results="lineItemSourcedId\n\0")
    text = draft(folder, zipped(folder, tmp_path / "bundle.zip"))
    assert {file for file, _ in asked} == {"manifest.csv", "orgs.csv", "academicSessions.csv"}
    assert "CANARY" not in text


# -- bundles of others


MESSY = {
    # A department whose school is not in the bundle is all there is; the manifest is in order.
    "Test_full_data_set": "No org is a school",
    "Test_minimal_data_set": "No org is a school",
    # Semester rows tell the year, and the one org is a school, but every file is a delta.
    "oneroster_test_data": "is a delta",
    # roles.csv, with columns that have no name and are absent from rows, is put right; there is no school.
    "v1p2_full_dataset": "No org is a school",
}


@needs_shared
@pytest.mark.parametrize("ending", ["", ".zip"])
@pytest.mark.parametrize("name", MESSY)
def test_bundles_made_for_moodle(name, ending, tmp_path):
    """None can be loaded as it is, and each is told why."""
    path = SHARED / "oneroster-messy/moodle-fixtures" / f"{name}{ending}"
    assert is_bundle(path)
    assert MESSY[name] in refused(tmp_path, path, catalog=CATALOG).message


def mended(tmp_path, path, **files):
    """A copy of a bundle in which some files are others."""
    copied = {one.stem: one.read_bytes() for one in path.glob("*.csv")}
    return write(tmp_path / path.name, **{**copied, **files})


@needs_shared
@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("Test_full_data_set", {"i:mary.jones": "2023", "i:mmichel.jones": "2023", "i:anna.brown": "2024"}),
        (
            "Test_minimal_data_set",
            {"s:usr-222-66778899": None, "s:usr-222-1234561232": None, "s:usr-222-567891": None},
        ),
        ("v1p2_full_dataset", {"i:mary.jones": "2023", "i:mmichel.jones": "2023", "i:anna.brown": "2024"}),
    ],
)
def test_with_a_school_they_load(name, classes, tmp_path):
    """The one fault mended, their other oddities do no harm: teachers, parents, orphans, day-first dates, short rows."""
    path = SHARED / "oneroster-messy/moodle-fixtures" / name
    school = "sourcedId,name,type\norg-sch-222-456,Granite High,school\n"
    folder = mended(tmp_path, path, orgs=school)
    made = load(tmp_path, folder, catalog=draft(folder, name="Granite"))
    assert dict(made.of("student", "student_key", "cohort_year")) == classes
    assert {row["school_id"] for row in made.tables["student_year"]} == {"1"}
    if name == "v1p2_full_dataset":
        assert made.files["roles.csv"].repaired["rows without the columns that have no name"] == 7
        assert "userprofiles.csv" not in made.files


@needs_shared
def test_a_bulk_copy_of_the_delta_loads(tmp_path):
    """Semester rows tell the school year where no row is of the type schoolYear."""
    path = SHARED / "oneroster-messy/moodle-fixtures/oneroster_test_data"
    manifest = (path / "manifest.csv").read_text().replace("delta", "bulk")
    folder = mended(tmp_path, path, manifest=manifest)
    made = load(tmp_path, folder, catalog=draft(folder, name="Gotham"))
    assert made.of("student_year", "student_key", "school_year", "school_id") == [("i:bruce.wayne", "2023", "1")]


@needs_shared
def test_the_bundle_of_oat(tmp_path):
    """No grades in users.csv, then no school year: told one after the other; with both it loads."""
    path = SHARED / "oneroster-messy/oat-1.1"
    assert is_bundle(path)
    assert "no column grades" in refused(tmp_path, path, catalog=CATALOG).message
    users = (path / "users.csv").read_text().replace("ext_imagineLearning_studentGrade", "grade")
    folder = mended(tmp_path / "users", path, users=users)
    assert "No row tells a school year" in refused(tmp_path, folder, catalog=CATALOG).message
    sessions = "sourcedId,type,schoolYear\n1,schoolYear,2018\n"
    folder = mended(tmp_path / "both", path, users=users, academicSessions=sessions)
    made = load(tmp_path, folder, catalog=draft(folder, name="Oat"))
    assert made.of("student_year", "student_key", "school_year", "school_id") == [
        ("i:user identifier", "2018", "1"),
        ("i:user identifier 2", "2018", "2"),
    ]


def test_the_same_sources_can_be_read_twice(tmp_path):
    """A load that is tried again begins anew, on the same connection."""
    folder = small(tmp_path)
    catalog = catalog_of(draft(folder), "district.yaml")
    sources = OneRoster([folder])
    with duckdb.connect(tmp_path / "work.duckdb") as connection:
        for _ in range(2):
            rows = sources.tables(catalog, connection, tmp_path, lambda _what, _share: None)["student"]
            assert sum(batch.num_rows for batch in rows.batches([0])) == 1


def test_the_way_is_told(tmp_path):
    """Every file, from none of it to all of it."""
    folder = small(tmp_path)
    told = []
    catalog = catalog_of(draft(folder), "district.yaml")
    with duckdb.connect(tmp_path / "work.duckdb") as connection:
        OneRoster([folder]).tables(catalog, connection, tmp_path, lambda what, share: told.append((what, share)))
    assert ("bundle/users.csv", 0.0) in told
    assert ("bundle/users.csv", 1.0) in told
    assert all(0 <= share <= 1 for _, share in told)


def test_a_refusal_is_no_other_error(tmp_path, monkeypatch):
    """A folder that cannot be looked into is a refusal too."""

    def fail(_path):
        raise PermissionError

    monkeypatch.setattr(bundle, "_names", fail)
    assert not is_bundle(tmp_path)
    with pytest.raises(CatalogRefused, match="cannot be read"):
        bundle.bundle_of(tmp_path, "it")


def test_two_bundles_of_one_name_are_told_apart(tmp_path):
    """By the folders they stand in."""
    paths = [small(tmp_path / spring) for spring in ("2025", "2026")]
    made = OneRoster(paths)
    catalog = catalog_of(draft(*paths), "district.yaml")
    with duckdb.connect(tmp_path / "work.duckdb") as connection:
        made.tables(catalog, connection, tmp_path, lambda _what, _share: None)
    assert {report.file for report in made.files()} > {"2025/bundle/users.csv", "2026/bundle/users.csv"}


NASTY = (
    "",
    " ",
    "9" * 40,
    "-1",
    "1e308",
    "NaN",
    "0000-99-99",
    "2025-2026",
    "é,ü,,",
    "a,b",
    'say "no"',
    "\u202e",
    "x" * 999,
    "TRUE",
    "09",
)


def test_no_cell_makes_it_fail(tmp_path):
    """Whatever stands in a cell is a value, or is none; it is never an error."""
    rng = generator("oneroster cells")
    layouts = [one for one in PRIVATE if one is not ROLES]
    files = {
        one.file.removesuffix(".csv"): [
            {name: rng.choice(NASTY) for name in one.columns.values()} for _ in range(200)
        ]
        for one in layouts
    }
    for number, row in enumerate(files["users"]):
        row |= {
            "sourcedId": f"s{number % 150}",
            "role": "student",
            "status": "",
            "userMasterIdentifier": f"m{number % 150}",
            "metadata.edfi.naturalKey.studentUniqueId": "",
            "identifier": "",
        }
    for name, column in (("demographics", "sourcedId"), ("results", "studentSourcedId")):
        for number, row in enumerate(files[name]):
            row[column] = f"s{number}"
    for name in ("enrollments", "attendance_summary", "outcomes"):
        for number, row in enumerate(files[name]):
            row["userSourcedId"] = f"s{number}"
    for row in files["results"]:
        row |= {"lineItemSourcedId": "i", "scoreStatus": "fully graded", "status": ""}
    items = [{"sourcedId": "i", "title": "Final grade", "classSourcedId": "c1", "resultValueMax": "100"}]
    made = load(tmp_path, write(tmp_path / "bundle", **public(lineItems=items, **files)))
    assert len(made.tables["student"]) == 150
    for name in ("orgs", "academicSessions", "classes", "lineItems"):
        layout = next(one for one in PUBLIC if one.file == f"{name}.csv")
        odd = [{column: rng.choice(NASTY) for column in layout.columns.values()} for _ in range(200)]
        base = {"orgs": ORGS, "academicSessions": SESSIONS, "classes": CLASSES, "lineItems": items}[name]
        folder = write(tmp_path / name, **public(**{**files, "lineItems": items, name: [*base, *odd]}))
        assert len(load(tmp_path, folder).tables["student"]) == 150
