"""Runs a notebook against a server, as a reader would; as a program, writes its outputs into it.

python -m tests.notebooks.running URL TOKEN_FILE
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
HOMEROOM = Path(sys.executable).with_name("homeroom")
TIMEOUT_S = 120


def run(path: Path, url: str, token_file: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of this run; its working folder is `folder`.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    variables = {"HOMEROOM_URL": url, "HOMEROOM_TOKEN_FILE": str(token_file), "PYTHONPATH": str(FOLDER.parent)}
    runner = NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    with patch.dict(os.environ, variables):
        runner.execute()
    return notebook


def normalised(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what differs from machine to machine: versions, and the address of this run."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def main(url: str, token_file: str) -> None:
    """Write every notebook anew, with its outputs."""
    for path in NOTEBOOKS:
        nbformat.write(normalised(run(path, url, Path(token_file).resolve(), FOLDER)), path)


if __name__ == "__main__":
    main(*sys.argv[1:])
