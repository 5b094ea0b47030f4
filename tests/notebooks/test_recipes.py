"""The recipes for other programs: what stands on the page is run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pandas as pd
import pytest

from tests.notebooks.running import FOLDER

PAGE = (FOLDER / "recipes.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL))
PLACE = "https://homeroom.district.example"
NEEDED = {"Rscript": "R with httr (Debian: r-base-core, r-cran-httr)", "curl": "curl"}
INSISTED = os.environ.get("HOMEROOM_SERVICES") == "1"

pytestmark = pytest.mark.services


def needs(program: str) -> None:
    """Skip where a program is missing, or fail where the environment insists on it."""
    if shutil.which(program) is None:
        what = f"{program} is missing: install {NEEDED[program]}"
        (pytest.fail if INSISTED else pytest.skip)(what)


def rscript(text: str, served, folder) -> subprocess.CompletedProcess[str]:
    url, token_file = served
    script = folder / "recipe.R"
    script.write_text(text.replace(PLACE, url).replace("study.token", str(token_file)), encoding="utf-8")
    spoken = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(["Rscript", script], capture_output=True, text=True, check=False, cwd=folder, env=spoken)


def test_r_asks_and_reads_its_answer(served, tmp_path):
    """Estimates with margins; logical columns are logical, NULL is NA, and a grade keeps its zero."""
    needs("Rscript")
    done = rscript(BLOCKS["r"] + "str(absence)\n", served, tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^01 FALSE: (-?\d+\.\d{3}|NA) ± (\d+\.\d{3}|NA)$", done.stdout, flags=re.MULTILINE)
    assert re.search(r"\$ english_learner +: logi", done.stdout)
    assert re.search(r"\$ chronic_rate +: num", done.stdout)
    assert re.search(r"\$ rehearsal +: logi", done.stdout)


def test_r_reads_null_as_na_and_years_as_numbers(served, tmp_path):
    """A NULL key, a NULL margin and a whole number come as R has them; a repeat under the same id is the same answer."""
    needs("Rscript")
    more = """
sql <- "SELECT schools_attended, school_year, COUNT(*) AS n, AVG(gpa) AS gpa FROM student_year
        WHERE school_year = 2025 AND grade_level = 'PK' GROUP BY schools_attended, school_year"
one <- ask(sql, "na", cohorts = c(2030, 2031, 2037, 2038), moe = list(n = 200, gpa = 5))
two <- ask(sql, "na", cohorts = c(2030, 2031, 2037, 2038), moe = list(n = 200, gpa = 5))
stopifnot(identical(one, two), is.character(one$school_year), is.numeric(one$n), is.numeric(one$gpa_moe90))
stopifnot(anyNA(one$schools_attended), anyNA(one$gpa_moe90), !anyNA(one$n))
"""
    done = rscript(BLOCKS["r"] + more, served, tmp_path)
    assert done.returncode == 0, done.stderr


def test_r_shows_why_not(served, tmp_path):
    """The server's own words, and what it would accept."""
    needs("Rscript")
    done = rscript(BLOCKS["r"] + 'ask("SELECT MEDIAN(gpa) FROM student_year", "no")\n', served, tmp_path)
    assert done.returncode != 0
    assert "MEDIAN over students is not answered" in done.stderr
    assert "Accepted: AVG(gpa)" in done.stderr


def curl(served, folder, question: str) -> subprocess.CompletedProcess[str]:
    """The line with which Stata asks, run by a shell."""
    url, token_file = served
    (line,) = (line for line in BLOCKS["stata"].splitlines() if line.startswith("shell curl"))
    (folder / "question.json").write_text(question, encoding="utf-8")
    (folder / "token.header").write_text(f"Authorization: Bearer {token_file.read_text()}", encoding="ascii")
    command = line.removeprefix("shell ").replace(PLACE, url)
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S602


def test_stata_s_line_brings_the_answer(served, tmp_path):
    """A CSV with the columns that the recipe goes on with."""
    needs("curl")
    done = curl(served, tmp_path, BLOCKS["json"])
    assert done.returncode == 0, done.stderr
    answer = pd.read_csv(tmp_path / "answer.csv", dtype={"grade_level": str})
    named = set(re.findall(r"\b(?:grade_level|english_learner|chronic_rate(?:_moe90)?)\b", BLOCKS["stata"]))
    assert named <= set(answer.columns)
    assert set(answer["english_learner"]) == {True, False}


def test_stata_s_line_brings_the_reason(served, tmp_path):
    """Where there is no answer, the file holds the problem, and no column of the recipe."""
    needs("curl")
    done = curl(served, tmp_path, json.dumps({"sql": "SELECT MEDIAN(gpa) FROM student_year"}))
    assert done.returncode == 22
    problem = json.loads((tmp_path / "answer.csv").read_text(encoding="utf-8"))
    assert problem["accepted"].startswith("AVG(gpa)")
