"""The notebooks: they run, and what stands in them is what a reader gets."""

from __future__ import annotations

import re
import subprocess

import nbformat
import pytest

from tests.notebooks.running import FOLDER, HOMEROOM, NOTEBOOKS, run


@pytest.mark.services
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_within_its_grant(path, served, tmp_path):
    """Every cell, against a server and under the grant that the notebook itself names; twice, since repeats are free."""
    url, token_file = served
    for _ in range(2):
        notebook = run(path, url, token_file, tmp_path)
    assert not [
        output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"
    ]


@pytest.mark.slow
def test_the_command_asks_the_same_server(served):
    """By its address and the token's file, in another process."""
    url, token_file = served
    sql = "SELECT sex, COUNT(*) AS students FROM student GROUP BY sex"
    command = [HOMEROOM, "ask", url, sql, "--token-file", token_file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert " ± " in done.stdout
    assert "of this year used" in done.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_its_outputs(path):
    """They are of one run, in order, with charts that a web page can show, and nothing of a machine or a token."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"execute_result", "stream"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"hr_[0-9a-f]{12}_|/home/|/work/|/tmp/|/root/", text)


def test_links_lead_somewhere():
    """From page to page within the folder."""
    for page in FOLDER.iterdir():
        if page.suffix in {".md", ".ipynb"}:
            for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
                assert (page.parent / target).exists(), (page.name, target)
