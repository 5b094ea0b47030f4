"""Reads golden SQL files: blocks of comment lines over one statement."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Golden:
    place: str
    expected: tuple[tuple[str, ...], ...]
    sql: str


def read(folder: str) -> list[Golden]:
    found = []
    for path in sorted((HERE / folder).glob("*.sql")):
        comments: list[str] = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("--"):
                comments.append(line[2:].strip())
            elif line:
                rows = [
                    tuple(part.strip() for part in comment.split(" | ")) for comment in comments if " | " in comment
                ]
                found.append(Golden(f"{path.stem}:{number}", tuple(rows), line.removesuffix(";")))
                comments = []
            else:
                comments = []
    return found
