"""Plants each known privacy bug in a copy of the tree and demands that the test it names turns red.

Each `*.patch` here is one bug: its first line names the test that must fail, its second says what the bug is.
The named tests must pass on an unharmed copy first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORKERS = 2
PARTS = ("engine", "budgets", "api", "tests", "pyproject.toml", "README.md")


def copied(folder: Path) -> Path:
    """A copy of what tests need."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    return folder


def run(tree: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    """Run tests on a copy, whose packages go before the installed ones."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "", "-p", "no:cacheprovider", "--no-header", *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def named(patch: Path) -> tuple[str, str]:
    """The test that must fail, and what the bug is."""
    test, bug, *_ = patch.read_text(encoding="utf-8").splitlines()
    return test.removeprefix("test: "), bug.removeprefix("bug: ")


def caught(patch: Path) -> tuple[Path, bool, str]:
    """Whether the named test turns red where the bug is planted."""
    test, _ = named(patch)
    with tempfile.TemporaryDirectory() as scratch:
        tree = copied(Path(scratch))
        applied = subprocess.run(
            ["git", "apply", "-C1", "--unsafe-paths", "--directory", str(tree), str(patch)],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if applied.returncode:
            return patch, False, f"the patch does not apply: {applied.stderr.strip()}"
        done = run(tree, [test])
    return patch, done.returncode == 1, done.stdout.strip().splitlines()[-1] if done.stdout else done.stderr[-300:]


def main() -> int:
    patches = sorted(HERE.glob("*.patch"))
    with tempfile.TemporaryDirectory() as scratch:
        healthy = run(copied(Path(scratch)), sorted({named(patch)[0] for patch in patches}))
    if healthy.returncode:
        print(healthy.stdout[-3000:], "\nthe named tests do not pass without a bug")
        return 1
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(caught, patches))
    for patch, red, last in results:
        print(f"{'caught ' if red else 'MISSED '}{patch.stem:<44}{named(patch)[1]}{'' if red else '  <- ' + last}")
    print(f"{sum(red for _, red, _ in results)} passed, {sum(not red for _, red, _ in results)} failed")
    return 0 if all(red for _, red, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
