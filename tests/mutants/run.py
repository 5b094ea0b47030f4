"""Plants each known privacy bug in a copy of the tree and demands that the test it names turns red.

Each `*.patch` here is one bug. To write one: plant the bug, try tests until the cheapest one that is about it turns
red, and keep two lines and the diff:

    test: tests/…/test_x.py::test_y      which must fail; one id of pytest, to the end of the line
    bug: what the bug is, in one line

    --- a/engine/…                       from `git diff -U3`, without its lines `diff --git` and `index`

Prefer a test without the fixture `district` or a subprocess: it takes a tenth of a second, the others a whole one.

The named tests must pass on an unharmed copy first. A bug counts as caught only where a named test runs and fails:
not where the patch does not apply, a patched module cannot be imported, or a test cannot be collected or set up.
Every run is a process of its own, forked from one that has imported the libraries and nothing of the house.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORKERS = 2
TIMEOUT_S = 300
PARTS = ("engine", "budgets", "api", "tests", "pyproject.toml", "README.md")
LIBRARIES = (
    "duckdb",
    "fastapi",
    "httpx2",
    "hypothesis.stateful",
    "hypothesis.strategies",
    "numpy",
    "opendp.prelude",
    "pandas",
    "pyarrow.csv",
    "pyarrow.parquet",
    "pydantic",
    "rich.console",
    "ruamel.yaml",
    "sqlglot",
    "starlette.testclient",
    "typer",
)
PLAIN = (
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
    "-p",
    "no:unraisableexception",
    "-p",
    "no:threadexception",
)
"""Plugins are imported before pytest looks for them, and those that collect garbage after every run are left out."""

NOT_TRIED = 99
"""Of a run that never came to its tests; pytest itself ends with 0 to 5."""


def copied(source: Path, folder: Path, copy: Callable[[str, str], object] = shutil.copy2) -> Path:
    """A copy of what tests need; times are kept, so that what Python has compiled stays good."""
    for part in PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, folder / part, copy_function=copy)
        else:
            copy(str(source / part), str(folder / part))
    return folder


@dataclass(eq=False)
class Seen:
    """What pytest tells: which tests failed while they ran, which could not be set up or were left out."""

    failed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a failure of the test itself apart from one of its fixtures."""
        if report.failed:
            (self.failed if report.when == "call" else self.broken).append(report.nodeid)


def imported(tree: Path, files: list[str]) -> str:
    """Import the packages and their changed modules from the copy; why that fails, if it does."""
    for name in ("engine/__init__.py", "budgets/__init__.py", *files):
        if not name.endswith(".py"):
            continue
        module = ".".join(Path(name).with_suffix("").parts).removesuffix(".__init__")
        try:
            found = Path(str(importlib.import_module(module).__file__))
        except Exception as error:  # noqa: BLE001 - whatever it is, the bug is not the one that was meant
            return f"{module} cannot be imported: {error!r}"
        if tree not in found.parents:
            return f"{module} does not come from the copy"
    return ""


def tested(tree: Path, tests: list[str], changed: list[str]) -> int:
    """Run tests on a copy, in this process: 0 all passed, 1 a test failed; else nothing is known of the bug."""
    sys.path.insert(0, str(tree))
    os.environ |= {"PYTHONPATH": str(tree), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    os.chdir(tree)
    wrong = imported(tree, changed)
    if wrong:
        print(wrong)
        return NOT_TRIED
    seen = Seen()
    options = [
        "-q",
        "-x",
        "-m",
        "",
        "-p",
        "no:cacheprovider",
        "--no-header",
        "--tb=line",
        "--show-capture=no",
        *PLAIN,
    ]
    code = int(pytest.main([*options, *tests], plugins=[seen]))
    if code == pytest.ExitCode.TESTS_FAILED and not seen.failed:
        print(f"could not be set up: {seen.broken}")
        return NOT_TRIED
    return code


def started(tree: Path, tests: list[str], changed: list[str], log: Path) -> int:
    """Fork a process that runs tests on a copy and writes to a file; its id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = NOT_TRIED
    try:
        signal.alarm(TIMEOUT_S)
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(written, 1)
        os.dup2(written, 2)
        code = tested(tree, tests, changed)
    except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def last_line(tree: Path) -> str:
    """What a run said last."""
    lines = (tree / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


@dataclass
class Mutant:
    """One bug: its patch, the test that must fail, the files it changes, and how its run ended."""

    patch: Path
    test: str
    bug: str
    changed: list[str]
    caught: bool = False
    said: str = ""

    @classmethod
    def read(cls, patch: Path) -> Mutant:
        """A mutant from its file."""
        text = patch.read_text(encoding="utf-8")
        test, bug, *_ = text.splitlines()
        changed = re.findall(r"^\+\+\+ b/(\S+)", text, flags=re.MULTILINE)
        return cls(patch, test.removeprefix("test: "), bug.removeprefix("bug: "), changed)

    def plant(self, healthy: Path, folder: Path) -> bool:
        """Copy the tree and harm the copy; False, and why, where the patch does not fit."""
        copied(healthy, folder, os.link)  # git and Python write new files in the place of old ones
        for name in self.changed:  # what was compiled of the healthy file is not looked at
            for stale in (folder / name).parent.glob(f"__pycache__/{Path(name).stem}.*"):
                stale.unlink()
        command = ["git", "apply", "-C1", "--unsafe-paths", "--directory", str(folder), str(self.patch)]
        applied = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if applied.returncode or not self.changed:
            self.said = f"the patch does not apply: {applied.stderr.strip()}"
            return False
        return True

    def judge(self, tree: Path, status: int) -> None:
        """Caught where a named test failed."""
        code = os.waitstatus_to_exitcode(status)
        self.caught = code == pytest.ExitCode.TESTS_FAILED
        self.said = f"{last_line(tree)} (ended with {code})"


def prepared(folder: Path, mutants: list[Mutant]) -> bool:
    """Make an unharmed copy, and everything compiled in it; whether all named tests pass there."""
    folder.mkdir()
    for cache in copied(ROOT, folder).rglob("__pycache__"):
        shutil.rmtree(cache)
    tests = sorted({one.test for one in mutants})
    share = -(-len(tests) // WORKERS)
    runs = {}
    for first in range(0, len(tests), share):
        log = folder / f"log{first}"
        runs[started(folder, tests[first : first + share], [], log)] = log
    sound = True
    while runs:
        child, status = os.wait()
        log = runs.pop(child)
        if status:
            print(log.read_text(encoding="utf-8", errors="replace")[-3000:])
            print("the named tests do not pass without a bug")
            sound = False
    return sound


def hunted(mutants: list[Mutant], scratch: Path, healthy: Path) -> None:
    """Run the mutants, a few at a time."""
    waiting, running = list(reversed(mutants)), {}
    while waiting or running:
        while waiting and len(running) < WORKERS:
            mutant = waiting.pop()
            tree = scratch / mutant.patch.stem
            tree.mkdir()
            if mutant.plant(healthy, tree):
                running[started(tree, [mutant.test], mutant.changed, tree / "log")] = mutant, tree
        if running:
            child, status = os.wait()
            mutant, tree = running.pop(child)
            mutant.judge(tree, status)
            shutil.rmtree(tree)


def main() -> int:
    """Hunt all mutants, or those that are named."""
    began = time.monotonic()
    chosen = sys.argv[1:]
    mutants = [Mutant.read(patch) for patch in sorted(HERE.glob("*.patch")) if not chosen or patch.stem in chosen]
    for library in LIBRARIES:
        importlib.import_module(library)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name).resolve()
        if not prepared(scratch / "healthy", mutants):
            return 1
        hunted(mutants, scratch, scratch / "healthy")
    for one in mutants:
        print(f"{'caught' if one.caught else 'MISSED'} {one.patch.stem:<36} {one.bug}")
        if not one.caught:
            print(f"       {one.said}")
    passed = sum(one.caught for one in mutants)
    print(f"in {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {len(mutants) - passed} failed")
    return 0 if passed == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
