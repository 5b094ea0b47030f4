"""One seed for all that is drawn at random in tests, and the size they are run at.

The seed is the commit's, so that every commit tries other cases and can be tried again; HOMEROOM_SEED names
another. It is printed by whatever asks for a generator, and pytest shows what a failing test printed.
"""

from __future__ import annotations

import os
import random
import subprocess
from functools import cache
from pathlib import Path

PROVE = os.environ.get("HOMEROOM_PROVE") == "1"
FALLBACK = 20_250_915
"""Where there is no repository, as in an unpacked archive."""


@cache
def seed() -> int:
    given = os.environ.get("HOMEROOM_SEED")
    if given is not None:
        return int(given)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return int(head.stdout[:12], 16) if head.returncode == 0 else FALLBACK


def generator(name: str) -> random.Random:
    """A generator of its own for each use, so that one test's draws do not shift another's."""
    print(f"HOMEROOM_SEED={seed()} ({name})")
    return random.Random(f"{seed()} {name}")
