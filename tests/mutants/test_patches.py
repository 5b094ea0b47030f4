"""The planted bugs keep up with the code: their run comes last and takes minutes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="no git checkout")
def test_every_patch_applies_and_names_a_test_that_is_there():
    """What no longer applies plants nothing."""
    wrong = {}
    for patch in sorted(HERE.glob("*.patch")):
        command = ["git", "apply", "--check", "-C1", str(patch)]
        applied = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        file, _, test = patch.read_text(encoding="utf-8").partition("\n")[0].removeprefix("test: ").partition("::")
        named = f"def {test.partition('[')[0].rpartition('::')[2]}(" if test else ""
        if applied.returncode:
            wrong[patch.stem] = applied.stderr
        elif not (ROOT / file).is_file() or named not in (ROOT / file).read_text(encoding="utf-8"):
            wrong[patch.stem] = f"there is no {file}::{test}"
    assert not wrong
