"""What this machine remembers of the districts begun on it: a district has one ledger, and it is never begun again.

A note of each, outside the districts' folders, in the user's state folder (XDG Base Directory): a second beginning
would give every class a second budget, and is refused though it be in another folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from engine.folder import LEDGER_FILE
from engine.refusals import CatalogRefused


def require_first(district_id: str) -> None:
    """Make sure that no district of this id was begun here.

    Raises:
        CatalogRefused: one was.
    """
    note = _note(district_id)
    try:
        path = Path(json.loads(note.read_text(encoding="utf-8"))["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if (path / LEDGER_FILE).is_file():
        message, accepted = (
            f"The district {district_id} was begun in {path}.",
            f"homeroom load {path}, for its next records",
        )
    else:
        message = f"The district {district_id} was begun in {path}, and that folder is gone."
        accepted = (
            f"the folder from a backup; or, if nobody ever had an answer of it, begin again without the note {note}"
        )
    raise CatalogRefused(f"{message} Its classes have one budget.", file=district_id, accepted=accepted, load=True)


def remember(district_id: str, path: Path) -> None:
    """Note that a district was begun; where the state folder cannot be written to, nothing is noted."""
    note = _note(district_id)
    try:
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        note.write_text(
            json.dumps({"district_id": district_id, "path": str(path.resolve())}) + "\n", encoding="utf-8"
        )
    except OSError:
        return


def _note(district_id: str) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - Path.home() may fail
    name = hashlib.sha256(district_id.encode()).hexdigest()[:32]
    return Path(state) / "homeroom" / "districts" / f"{name}.json"
