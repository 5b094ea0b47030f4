from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest

from api import present
from budgets.clock import FixedClock
from engine.founding import INVENTED, Terms, found

COUNT = "SELECT grade_level, COUNT(*) AS n FROM student_year WHERE school_year = 2025 GROUP BY grade_level"


@pytest.mark.slow
def test_the_installed_command_answers(folder):
    """`homeroom` as installed answers and ends with 0."""
    command = [Path(sys.executable).with_name("homeroom"), "ask", folder, COUNT, "--format", "csv"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(b"grade_level,n,n_se,n_moe90,n_moe95")


def test_explain_shows_the_proof(folder, homeroom):
    """In words and as JSON; it costs nothing."""
    shown = homeroom("explain", folder, COUNT, "--moe", "40").stdout.decode()
    for word in ("rows of one student", "at most 1: unique (student_key, school_year)", "SELECT", "sharper"):
        assert word in shown
    body = json.loads(homeroom("explain", folder, COUNT, "--moe", "40", "--format", "json").stdout)
    assert list(body) == ["preview", "keys", "groups", "statistics", "statement", "early", "advice"]
    assert body["preview"]["expected"][0]["moe90"] == 40


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["ask", "DIR", "SELECT MAX(gpa) FROM student_year"], 3, "Refused (unsupported)"),
        (["ask", "DIR", "SELECT student_key FROM student"], 3, "owner_exposed"),
        (["ask", "DIR", COUNT, "--epsilon", "3"], 4, "budget_year"),
        (["ask", "DIR", COUNT, "--cohorts", "1999"], 3, "unknown_name"),
        (["ask", "DIR", COUNT, "--grant", "nobody"], 5, "grant_missing"),
        (["ask", "DIR", COUNT, "--moe", "nobody=5"], 3, "nobody"),
        (["ask", "DIR", COUNT, "--moe", "-5"], 3, "margin of error"),
        (["ask", "DIR", COUNT, "--moe", "few"], 2, "no margin"),
        (["ask", "DIR", COUNT, "--moe", "5", "--moe", "6"], 2, "COLUMN=MARGIN"),
        (["ask", "DIR", COUNT, "--moe", "5", "--epsilon", "1"], 3, "one of them"),
        (["ask", "DIR", COUNT, "--moe-at-n", "5"], 3, "moe_at_n"),
        (["ask", "nowhere", COUNT], 6, "no district"),
        (["ask", "DIR"], 2, "SQL"),
        (["ask", "DIR", COUNT, "--cohorts", "20x"], 2, "no class"),
        (["frobnicate"], 2, "frobnicate"),
        (["init", "DIR", "--catalog", "missing.yaml", "--table", "student=x.csv"], 6, "not empty"),
        (["init", "new", "--catalog", "missing.yaml", "--table", "student=x.csv"], 6, "missing.yaml"),
        (["init", "new", "--catalog", "missing.yaml", "--table", "student"], 2, "NAME=PATH"),
        (["budget", "set", "DIR", "--lifetime-epsilon", "5", "--by", "A", "--cohorts", "2030"], 4, "lower"),
        (["budget", "set", "DIR", "--lifetime-epsilon", "5", "--by", "A", "--cohorts", "2030"], 4, "to 3.99 at δ"),
        (
            ["budget", "set", "DIR", "--lifetime-epsilon", "2", "--by", "A", "--cohorts", "1999"],
            2,
            "no class of 1999",
        ),
        (["budget", "set", "DIR", "--lifetime-epsilon", "2", "--by", "A", "--cohorts", "1999"], 2, "2020-20"),
        (["budget", "set", "DIR", "--lifetime-epsilon", "2", "--by", " ", "--cohorts", "2030"], 2, "nobody"),
        (["ask", "DIR", COUNT, "--cohorts", "[2030"], 2, "no class"),
    ],
)
def test_exit_codes_and_refusals(arguments, code, word, folder, homeroom, monkeypatch, tmp_path):
    """Each kind of refusal has its exit code and goes to standard error; standard output stays empty."""
    monkeypatch.chdir(tmp_path)
    done = homeroom(*[folder if part == "DIR" else part for part in arguments])
    assert done.returncode == code
    assert word in done.stderr.decode()
    assert done.stdout == b""


def test_a_refusal_underlines_its_place(folder, homeroom):
    """The excerpt stands under its line, underlined where the refusal points."""
    done = homeroom("ask", folder, "SELECT grade_level,\n  AVG(gpaa) FROM student_year GROUP BY 1")
    lines = done.stderr.decode().splitlines()
    assert "  line 2, column 7" in lines
    place = lines.index("      AVG(gpaa) FROM student_year GROUP BY 1")
    assert lines[place + 1] == "          ^^^^"
    assert any(line.startswith("  accepted: ") and "gpa" in line for line in lines)


def test_an_answer_in_every_format(folder, homeroom, tmp_path):
    """Table, CSV, JSON and Parquet hold the same numbers; only the first asking costs."""
    table = homeroom("ask", folder, COUNT)
    assert table.returncode == 0, table.stderr.decode()
    assert " ± " in table.stdout.decode()
    assert "Charged" in table.stdout.decode()
    body = json.loads(homeroom("ask", folder, COUNT, "--format", "json").stdout)
    assert body["replayed"]
    assert body["charges"] == []
    csv = pd.read_csv(io.BytesIO(homeroom("ask", folder, "-", "--format", "csv", given=COUNT).stdout), dtype={0: str})
    assert list(csv.columns) == ["grade_level", "n", "n_se", "n_moe90", "n_moe95"]
    assert csv["n"].tolist() == [row[1] for row in body["rows"]]
    path = tmp_path / "answer.parquet"
    assert homeroom("ask", folder, COUNT, "--format", "parquet", "-o", path).returncode == 0
    assert pd.read_parquet(path)["n"].tolist() == csv["n"].tolist()


@pytest.mark.parametrize(
    ("place", "form"),
    [("nowhere/x.csv", "csv"), (".", "json"), ("file/x.txt", "table"), ("x" * 300, "parquet")],
)
def test_a_file_that_cannot_be_written_costs_nothing(place, form, folder, homeroom, tmp_path):
    """The place of the answer is made before the question is charged; a wrong one is named."""
    (tmp_path / "file").write_text("")
    done = homeroom("ask", folder, COUNT, "--format", form, "-o", tmp_path / place)
    assert (done.returncode, done.stdout) == (2, b"")
    assert str(tmp_path / place)[:60] in done.stderr.decode().replace("\n", "")
    shown = json.loads(homeroom("budget", "show", folder, "--format", "json").stdout)
    assert {cohort["lifetime_spent_nanorho"] for cohort in shown["cohorts"]} == {0}


def test_a_refused_question_leaves_the_file_as_it_was(folder, homeroom, tmp_path):
    """The answer takes the file's place at the end, through links and with its mode, and nothing stays beside it."""
    path, link = tmp_path / "out" / "answer.csv", tmp_path / "link.csv"
    path.parent.mkdir()
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path)
    assert homeroom("ask", folder, "SELECT student_key FROM student", "-o", link).returncode == 3
    assert path.read_text() == "before"
    assert homeroom("ask", folder, COUNT, "--format", "csv", "-o", link).returncode == 0
    assert path.read_text().startswith("grade_level,n")
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in path.parent.iterdir()] == ["answer.csv"]
    assert homeroom("ask", folder, COUNT, "-o", "/dev/null").returncode == 0


def test_the_wire_shape_is_the_designs(folder, homeroom):
    """Ask gives these fields and no other."""
    body = json.loads(homeroom("ask", folder, COUNT, "--format", "json").stdout)
    assert list(body) == [
        "release_id", "request_id", "sql", "plan_hash", "engine_version", "epoch", "population", "grant", "rehearsal",
        "replayed", "columns", "rows", "se", "moe90", "moe95", "partial", "independent", "draws", "charges", "cohorts_left_out",
        "noise", "bounds", "notes",
    ]  # fmt: skip
    assert list(body["columns"][0]) == ["name", "role", "type", "unit", "moe_reason"]
    assert list(body["charges"][0]) == ["cohort", "loss_nanorho", "delta_atto", "epsilon"]
    assert list(body["noise"][0]) == ["statistic", "distribution", "scale", "sensitivity_l2"]
    foretold = json.loads(homeroom("preview", folder, COUNT, "--format", "json").stdout)
    assert list(foretold["expected"][0]) == ["column", "moe90", "moe90_at_n"]


@pytest.mark.slow
def test_a_rehearsal_is_marked_on_every_face(folder, homeroom, tmp_path):
    """The first line of what is shown, a column of every table, a field of every document; with no vault, for nothing."""
    next((folder / "vault").glob("*.duckdb")).unlink()
    output = tmp_path / "answer"
    for verb in ("ask", "preview", "explain"):
        done = homeroom(verb, folder, COUNT, "--rehearse")
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.decode().splitlines()[0] == "REHEARSAL: invented records, not this district's"
        assert "As a real question this would cost at most ε" in done.stdout.decode()
        body = json.loads(homeroom(verb, folder, COUNT, "--rehearse", "--format", "json").stdout)
        assert body.get("preview", body)["rehearsal"] is True
    assert homeroom("ask", folder, COUNT, "--rehearse", "-o", output).returncode == 0
    assert output.read_text(encoding="utf-8").startswith("REHEARSAL: ")
    lines = homeroom("ask", folder, COUNT, "--rehearse", "--format", "csv").stdout.decode().splitlines()
    assert lines[0] == "grade_level,n,n_se,n_moe90,n_moe95,rehearsal"
    assert len(lines) == 16
    assert all(line.endswith(",True") for line in lines[1:])
    assert homeroom("ask", folder, COUNT, "--rehearse", "--format", "parquet", "-o", output).returncode == 0
    table = pd.read_parquet(output)
    assert table.columns[-1] == "rehearsal"
    assert table["rehearsal"].all()
    shown = json.loads(homeroom("budget", "show", folder, "--format", "json").stdout)
    assert {cohort["lifetime_spent_nanorho"] for cohort in shown["cohorts"]} == {0}
    refused = homeroom("ask", folder, COUNT)
    assert refused.returncode == 6
    assert "The vault file is missing" in refused.stderr.decode()


@pytest.mark.slow
def test_a_real_answer_is_not_marked(folder, homeroom):
    """Nothing of a rehearsal is in it."""
    for verb in ("ask", "preview", "explain"):
        assert b"REHEARSAL" not in homeroom(verb, folder, COUNT).stdout
        body = json.loads(homeroom(verb, folder, COUNT, "--format", "json").stdout)
        assert body.get("preview", body)["rehearsal"] is False


def test_a_preview_costs_nothing(folder, homeroom):
    """Preview shows margin and price, and what will have no margin; the budget stays whole."""
    done = homeroom("preview", folder, COUNT.replace("COUNT(*) AS n", "COUNT(*) AS n, FLOOR(AVG(gpa)) AS g"))
    assert done.returncode == 0, done.stderr.decode()
    assert "±" in done.stdout.decode()
    assert "g: no margin" in done.stdout.decode()
    shown = json.loads(homeroom("budget", "show", folder, "--format", "json").stdout)
    assert {cohort["lifetime_spent_nanorho"] for cohort in shown["cohorts"]} == {0}


@pytest.mark.parametrize("text", ["2030,2031", "2030-2031", "[2030, 2031]", "cohorts=[2030, 2031]", " 2030 - 2031 "])
def test_classes_are_taken_as_refusals_write_them(text, folder, homeroom):
    """Whatever a refusal accepts can be typed back."""
    sql = "SELECT COUNT(*) AS n FROM student_year WHERE school_year = 2025"
    body = json.loads(homeroom("preview", folder, sql, "--cohorts", text, "--format", "json").stdout)
    assert [charge["cohort"] for charge in body["charges"]] == [2030, 2031]


def test_a_budget_can_only_be_lowered(folder, homeroom):
    """Lowered once, it cannot be raised again, and it shows."""
    arguments = ["budget", "set", folder, "--by", "A. Officer", "--cohorts", "2030-2031", "--lifetime-epsilon"]
    assert homeroom(*arguments, "2").returncode == 0
    assert homeroom(*arguments, "3").returncode == 4
    shown = json.loads(homeroom("budget", "show", folder, "--format", "json").stdout)
    caps = {cohort["cohort"]: cohort["lifetime_cap_nanorho"] for cohort in shown["cohorts"]}
    assert caps[2030] == caps[2031] < caps[2032]
    assert "2030" in homeroom("budget", "show", folder).stdout.decode()


def test_the_commands_shown_can_be_typed(monkeypatch, tmp_path):
    """By the name the program was called by where the shell does not know it, with folders in quotes."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [".venv/bin/homeroom", "demo"])
    assert present.command("budget", "show", "my demo") == ".venv/bin/homeroom budget show 'my demo'"
    monkeypatch.setattr(sys, "argv", ["-c"])
    assert present.command("--help") == "homeroom --help"
    (tmp_path / "homeroom").touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "homeroom")])
    assert present.command("--help") == "homeroom --help"


def test_a_demo_is_refused_before_anything_is_invented(homeroom, tmp_path):
    """A folder with something in it is no place for a district."""
    (tmp_path / "note.txt").touch()
    done = homeroom("demo", "--dir", tmp_path)
    assert (done.returncode, done.stdout) == (6, b"")
    assert "not empty" in done.stderr.decode()


def test_terminal_codes_in_a_question_are_not_passed_on(folder, homeroom):
    """A question cannot rewrite the terminal it is refused on."""
    done = homeroom("ask", folder, "SELECT \x1b[2J FROM student")
    assert done.returncode == 3
    assert b"\x1b" not in done.stderr


CANARY = "CANARY4711"


def test_no_piece_of_a_record_leaves_the_vault(homeroom, tmp_path):
    """A canary in ids, in values that are not accepted and in columns nobody declared is in no output or file."""
    catalog = tmp_path / "district.yaml"
    catalog.write_text(
        "district: {id: us-xx-canary, name: Canary, time_zone: UTC}\n"
        "privacy: {owner: id, cohort: class, cohorts: {from: 2026, to: 2030}, delta: 1e-7, max_students: 1000}\n"
        "tables:\n"
        "  pupil:\n"
        "    unique: [id]\n"
        "    columns:\n"
        "      class: {type: integer}\n"
        "      sex: {type: text, values: [F, M, unknown], default: unknown}\n"
        "      score: {type: 'decimal(6,2)', bounds: [0, 9999], nullable: true}\n",
        encoding="utf-8",
    )
    rows = [
        f"{CANARY}{i},{2026 + i % 5},{CANARY if i % 3 else 'F'},{CANARY if i % 2 else 4711.25},{CANARY}"
        for i in range(200)
    ]
    source = tmp_path / "pupil.csv"
    source.write_text("id,class,sex,score,note\n" + "\n".join(rows) + "\n", encoding="utf-8")
    folder = tmp_path / "district"
    outputs = [homeroom("init", folder, "--catalog", catalog, "--table", f"pupil={source}")]
    assert outputs[0].returncode == 0, outputs[0].stderr.decode()
    assert outputs[0].stderr.decode().endswith(f"preview {folder} 'SELECT COUNT(*) AS students FROM pupil'\n")
    for sql in (
        "SELECT sex, COUNT(*), AVG(score) FROM pupil GROUP BY sex",
        "SELECT MAX(sex) FROM pupil",
        "SELECT COUNT(*) FROM pupil WHERE CAST(sex AS INTEGER) = 1",
        "SELECT SUM(score / (score - 4711.25)) FROM pupil",
    ):
        outputs += [homeroom(verb, folder, sql) for verb in ("preview", "ask")]
    outputs.append(homeroom("budget", "show", folder))
    for done in outputs:
        assert CANARY.encode() not in done.stdout + done.stderr
        assert b"4711.25" not in done.stdout + done.stderr.replace(b"4711.25) FROM pupil", b"").replace(
            b"(score - 4711.25", b""
        )
    for path in folder.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path
            assert path.stat().st_mode & 0o077 == 0 or path.name == "district.yaml", path
    assert {path.name for path in Path(folder).iterdir()} == {
        "district.yaml", "keys", "ledger.sqlite", "locks", "reports", "vault",
    }  # fmt: skip


def test_what_is_made_of_estimates_is_shown_as_what_it_is(folder, homeroom):
    """A text stands as it is, a rank without a margin says so, and neither has columns of margins it cannot have."""
    sql = "SELECT sex, COUNT(*) AS n, CASE WHEN COUNT(*) > -9999 THEN 'more' END AS word, RANK() OVER (ORDER BY COUNT(*)) AS r FROM student GROUP BY sex"
    shown = homeroom("ask", folder, sql).stdout.decode()
    assert "more" in shown
    assert "no margin" in shown
    head, *_ = homeroom("ask", folder, sql, "--format", "csv").stdout.decode().splitlines()
    assert head == "sex,n,word,r,n_se,n_moe90,n_moe95,r_se,r_moe90,r_moe95"


@pytest.mark.slow
def test_the_doctor_asks_about_the_clock(starter, tables, tmp_path, homeroom, monkeypatch):
    """A district that was idle over the summer takes a question again after one command."""
    folder, sql = tmp_path / "real", "SELECT COUNT(*) AS students FROM student"
    found(
        folder,
        starter,
        tables,
        clock=FixedClock(datetime(2026, 3, 1, tzinfo=UTC)),
        terms=Terms(Fraction(1, 10), policy=INVENTED),
    )
    monkeypatch.setattr("engine.district.SystemClock", lambda: FixedClock(datetime(2026, 9, 1, tzinfo=UTC)))
    for module in ("doctor", "office"):
        monkeypatch.setattr(f"engine.{module}.SystemClock", lambda: FixedClock(datetime(2026, 9, 1, tzinfo=UTC)))
    done = homeroom("ask", folder, sql)
    assert (done.returncode, "--accept-clock" in done.stderr.decode()) == (5, True)
    done = homeroom("doctor", folder)
    assert (done.returncode, "--accept-clock" in done.stdout.decode()) == (6, True)
    assert homeroom("doctor", folder, "--accept-clock", "--by", " ").returncode == 2
    done = homeroom("doctor", folder, "--accept-clock")
    assert (done.returncode, "budget year 2027" in done.stdout.decode()) == (0, True)
    assert homeroom("ask", folder, sql).returncode == 0
    assert homeroom("doctor", folder).returncode == 0


def test_a_ledger_that_cannot_be_used_is_told_in_words(folder, homeroom, monkeypatch):
    """A lock that another program keeps ends the command with 70 and says what to wait for."""
    monkeypatch.setattr("budgets.stores.sqlite.BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    done = homeroom("ask", folder, COUNT)
    other.close()
    assert done.returncode == 70
    assert "Another program" in done.stderr.decode()
    assert homeroom("ask", folder, COUNT).returncode == 0


@pytest.mark.parametrize("place", ["ledger.sqlite", "reports/new.csv", "link/district.yaml"])
def test_no_answer_is_written_into_the_district(homeroom, folder, place):
    """Under the name of the ledger it would be the end of it; nothing is asked."""
    (folder / "link").symlink_to(folder)
    before = {path: path.read_bytes() for path in (folder / "ledger.sqlite", folder / "district.yaml")}
    refused = homeroom("ask", folder, COUNT, "--format", "csv", "-o", folder / place)
    assert (refused.returncode, b"in the folder of the district" in refused.stderr) == (2, True)
    assert {path: path.read_bytes() for path in before} == before
    assert not (folder / "reports" / "new.csv").exists()


def test_a_district_may_lie_in_a_folder_with_brackets(homeroom, tmp_path):
    """They might be taken for markup, after the district was made."""
    catalog, source, folder = tmp_path / "c.yaml", tmp_path / "pupil.csv", tmp_path / "[" / "b]"
    catalog.write_text(
        "district: {id: us-xx-b, name: B, time_zone: UTC}\n"
        "privacy: {owner: id, cohort: class, cohorts: {from: 2026, to: 2030}, delta: 1e-7, max_students: 1000}\n"
        "tables: {pupil: {unique: [id], columns: {class: {type: integer}}}}\n",
        encoding="utf-8",
    )
    source.write_text("id,class\n1,2030\n", encoding="utf-8")
    done = homeroom("init", folder, "--catalog", catalog, "--table", f"pupil={source}")
    assert done.returncode == 0, done.stderr.decode()
    assert str(folder) in done.stderr.decode().replace("\n", "")
