"""Statements as other people wrote them: sqlglot's own test fixtures.

They are in no wheel and not in this tree. The source distribution of the pinned version is fetched by package
name, kept in a cache folder of the environment, and read from the archive.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

FETCH_S = 240


class NotHadError(Exception):
    """The archive cannot be had here; says why."""


def archive() -> Path:
    """The source distribution, fetched once."""
    if sys.prefix == sys.base_prefix:
        raise NotHadError("no virtual environment to keep a cache in")
    kept = Path(sys.prefix) / "cache" / f"sqlglot-{version('sqlglot')}.tar.gz"
    if not kept.is_file():
        kept.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            _fetched(Path(scratch)).replace(kept)
    return kept


def _fetched(folder: Path) -> Path:
    wanted = ["--no-deps", "--no-binary", "sqlglot", "--dest", str(folder), f"sqlglot=={version('sqlglot')}"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *wanted]
    try:
        done = subprocess.run(command, capture_output=True, timeout=FETCH_S, check=False)
    except subprocess.TimeoutExpired:
        raise NotHadError("pip took too long to fetch sqlglot's source distribution") from None
    found = list(folder.glob("sqlglot-*.tar.gz"))
    if done.returncode or not found:
        raise NotHadError("pip cannot fetch sqlglot's source distribution here")
    return found[0]


def statements() -> list[str]:
    """Every statement of the fixtures, and every text in the dialects' tests that could be one, each once."""
    found: dict[str, None] = {}
    with tarfile.open(archive()) as opened:
        for member in opened.getmembers():
            inside = Path(member.name).parts[1:]
            if inside[:1] != ("tests",) or member.name.rsplit(".", 1)[-1] not in ("sql", "py"):
                continue
            file = opened.extractfile(member)
            if file is not None:
                text = file.read().decode("utf-8")
                found |= dict.fromkeys(_of_sql(text) if inside[1] == "fixtures" else _of_python(text))
    return list(found)


def _of_sql(text: str) -> list[str]:
    """One a line, and one up to each semicolon."""
    lines = [line.removesuffix(";") for line in text.splitlines() if line and not line.startswith("--")]
    return lines + [part.strip() for part in text.split(";") if "\n" in part.strip()]


def _of_python(text: str) -> list[str]:
    constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str) and " " in value.strip()]
