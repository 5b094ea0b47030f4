"""The command, run in this process."""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import dataclass

import pytest
from served import serving

from api.cli import main


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def homeroom(monkeypatch, capfdbinary, tmp_path):
    """The command, run in this process."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*arguments, given=""):
        monkeypatch.setattr(sys, "argv", ["homeroom", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        captured = capfdbinary.readouterr()
        return Done(ended.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def served(folder):
    """The small district, open to all, with a token of every role."""
    with serving(folder) as found:
        yield found


@pytest.fixture(scope="module")
def shared(pristine, tmp_path_factory):
    """The same for tests that change nothing another test of the module could notice."""
    folder = tmp_path_factory.mktemp("shared") / "small"
    shutil.copytree(pristine, folder)
    with serving(folder) as found:
        yield found
