"""What a bundle says of itself: its version, and which files it has in full."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.intake.oneroster.layout import LAYOUTS, Layout
from engine.intake.oneroster.reading import RosterRows, located
from engine.intake.rows import refusal

if TYPE_CHECKING:
    from pathlib import Path

    from engine.intake.oneroster.bundle import Bundle
    from engine.intake.report import FileReport

MANIFEST = Layout("manifest.csv", {"property": "propertyName", "value": "value"}, ("property", "value"), public=True)
_VERSION = re.compile(r"v?(1\.[12])(\.\d+)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself.

    Attributes:
        version: 1.1 or 1.2; "" where it does not say.
        missing: files it promises in full and does not have.
        report: of the file, if there is one.
    """

    version: str = ""
    missing: tuple[Layout, ...] = ()
    report: FileReport | None = field(default=None)


def read_manifest(bundle: Bundle, path: Path | None) -> Manifest:
    """Read and hold against the files that are there.

    Args:
        bundle: whose manifest it is.
        path: of the file; None where the bundle has none, which is forgiven.

    Raises:
        CatalogRefused: the version is another one, or a file holds changes only.
    """
    if path is None:
        return Manifest()
    label = bundle.label(MANIFEST.member)
    reading = located(RosterRows(path, label), MANIFEST, 0)
    said: dict[str, str] = {}
    for batch in reading.source.batches([reading.places["property"], reading.places["value"]]):
        reading.rows += batch.num_rows
        names, values = (column.to_pylist() for column in batch.columns)
        said |= {name.strip().lower(): value.strip().lower() for name, value in zip(names, values, strict=True)}
    modes = {layout.member: said.get(f"file.{layout.member.removesuffix('.csv')}", "") for layout in LAYOUTS}
    for layout in LAYOUTS:
        if modes[layout.member] == "delta":
            message = f"{layout.file} is a delta: it holds only what has changed."
            raise refusal(label, message, "a bulk export, which holds every row")
    _note_strays(bundle, said, modes, reading.repaired)
    missing = tuple(one for one in LAYOUTS if modes[one.member] == "bulk" and one.member not in bundle.members)
    return Manifest(_version(label, said), missing, reading.report())


def _version(label: str, said: dict[str, str]) -> str:
    text = said.get("oneroster.version", "")
    known = _VERSION.fullmatch(text)
    if text and known is None:
        raise refusal(label, "The version of OneRoster is not known.", "oneroster.version 1.1 or 1.2")
    return known[1] if known else ""


def _note_strays(bundle: Bundle, said: dict[str, str], modes: dict[str, str], repaired: dict[str, int]) -> None:
    """Tell of files that are there though called absent, and of unread ones that are promised and not there."""
    for member, mode in modes.items():
        if mode == "absent" and member in bundle.members:
            repaired[f"{bundle.members[member]} is called absent, and was read"] = 1
    for name, mode in said.items():
        member = f"{name.removeprefix('file.')}.csv"
        if name.startswith("file.") and mode == "bulk" and member not in {*modes, *bundle.members}:
            repaired[f"{member} is promised and missing; it is not needed"] = 1
