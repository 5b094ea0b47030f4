"""What this machine remembers of the districts begun on it: a district has one ledger, and it is never begun again.

A note of each, outside the districts' folders, in the user's state folder (XDG Base Directory): a second beginning
would give every class a second budget, and is refused though it be in another folder. The note is written before the
ledger, so that of two beginnings at once one is refused, and one that died leaves its note.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.folder import LEDGER_FILE
from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def first_beginning(district_id: str, path: Path) -> Iterator[None]:
    """Note that a district is begun here, for ever; the note goes again where the beginning fails.

    Args:
        district_id: of the district.
        path: its folder.

    Raises:
        CatalogRefused: one of this id was begun on this machine, or nothing can be noted.
    """
    note = _note(district_id)
    text = json.dumps({"district_id": district_id, "path": str(path.absolute())}) + "\n"
    try:
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _begun(district_id, note) from None
    except OSError:
        message = "It cannot be noted that this district is begun, so that it could be begun twice."
        accepted = f"a folder {note.parent} that can be written to, or XDG_STATE_HOME naming another"
        raise CatalogRefused(message, file=district_id, accepted=accepted, load=True) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield
    except BaseException:
        if not (path / LEDGER_FILE).is_file():  # what failed after the district stood does not unmake it
            note.unlink(missing_ok=True)
        raise


def _begun(district_id: str, note: Path) -> CatalogRefused:
    try:
        path = Path(json.loads(note.read_text(encoding="utf-8"))["path"])
    except (OSError, ValueError, KeyError, TypeError):
        path = None
    again = f"or, if nobody ever had an answer of it, delete the file {note} and begin again"
    if path is None:
        message, accepted = f"A district {district_id} was begun on this machine.", f"its folder; {again}"
    elif (path / LEDGER_FILE).is_file():
        message, accepted = (
            f"The district {district_id} was begun in {path}.",
            f"homeroom load {path} SOURCE; {again}",
        )
    else:
        message = f"The district {district_id} was begun in {path}, and there is none in that folder now."
        accepted = f"the folder where it is, or from a backup; {again}"
    return CatalogRefused(f"{message} Its classes have one budget.", file=district_id, accepted=accepted, load=True)


def _note(district_id: str) -> Path:
    home = os.path.expanduser("~/.local/state")  # noqa: PTH111 - Path.home() may fail
    state = os.environ.get("XDG_STATE_HOME") or home
    state = state if os.path.isabs(state) else home  # noqa: PTH117 - as the specification has it
    name = hashlib.sha256(district_id.encode()).hexdigest()[:32]
    return Path(state) / "homeroom" / "districts" / f"{name}.json"
