"""A district that is served over HTTP as the notebook says, by its own commands."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import nbformat
import pytest

from tests.notebooks.running import HOMEROOM, NOTEBOOKS


def commands(path) -> list[list[str]]:
    """The commands of a notebook's first page, by which its server is started."""
    first = nbformat.read(path, as_version=4).cells[0].source
    (block,) = re.findall(r"```bash\n(.*?)```", first, flags=re.DOTALL)
    return [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]


@pytest.fixture(scope="session")
def served(pristine, tmp_path_factory):
    """The address of a server, and the file of a token for it."""
    work = tmp_path_factory.mktemp("served")
    shutil.copytree(pristine, work / "homeroom-demo")
    (made, *given, serve) = commands(NOTEBOOKS[0])
    assert made == ["make", "demo"]
    for program, *arguments in given:
        assert program == ".venv/bin/homeroom"
        subprocess.run([HOMEROOM, *arguments], cwd=work, check=True, capture_output=True)
    command = [HOMEROOM, *serve[1:], "--port", "0", "--deadlines", "none"]
    with subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            url = re.search(r"http://\S+:\d+", server.stdout.readline())
            assert url
            yield url[0], work / "study.token"
        finally:
            server.terminate()
