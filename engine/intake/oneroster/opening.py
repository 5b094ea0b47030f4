"""A bundle opened: which of its files are used, whose columns are where, and whether that is enough to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.intake.oneroster.bundle import Copier, bundle_of
from engine.intake.oneroster.layout import LAYOUTS, ROLES, USERS
from engine.intake.oneroster.manifest import MANIFEST, read_manifest
from engine.intake.oneroster.reading import RosterRows, located
from engine.intake.report import FileReport
from engine.intake.rows import refusal
from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.intake.oneroster.bundle import Bundle
    from engine.intake.oneroster.layout import Layout
    from engine.intake.oneroster.reading import Reading


@dataclass(frozen=True, slots=True)
class Opened:
    """One bundle, opened.

    Attributes:
        bundle: where it is.
        number: its place among those given; no rule depends on it.
        readings: its files by their name in small letters.
        reports: of what is no table: the manifest, and files that were left out.
        by_roles: whether `roles.csv` tells who is a student (1.2), and not `users.csv` (1.1).
    """

    bundle: Bundle
    number: int
    readings: Mapping[str, Reading]
    reports: tuple[FileReport, ...]
    by_roles: bool

    def has(self, layout: Layout, *columns: str) -> bool:
        """Whether a file is there, and has some columns, by our names."""
        reading = self.readings.get(layout.member)
        return reading is not None and all(column in reading.places for column in columns)


def open_bundle(path: Path, name: str, number: int, folder: Path, *, skip_unusable: bool, headers: bool) -> Opened:
    """Open a bundle.

    Args:
        path: of the folder or zip file.
        name: what it is called in refusals and reports.
        number: its place among those given.
        folder: where zip files are unpacked; only its owner can enter it.
        skip_unusable: leave out a file that is not needed by every load, if it is missing or its header cannot be
            used, instead of refusing the bundle. What stands in the rows never decides it.
        headers: of the files about students, unpack and look at the first line alone.

    Raises:
        CatalogRefused: it is no bundle, holds changes only, or a file is missing or cannot be used.
    """
    bundle = bundle_of(path, name)
    copier = Copier(bundle, folder)
    there = MANIFEST.member in bundle.members
    manifest = read_manifest(bundle, copier.whole(MANIFEST.member) if there else None)
    label = bundle.label(MANIFEST.member)
    reports = [manifest.report or FileReport(label, 0, (), (), {"no manifest; the files tell what they are": 1})]
    readings: dict[str, Reading] = {}
    for layout in LAYOUTS:
        # Outside the try: what is wrong with the rows of one student must not take away the rows of others.
        source = _source(bundle, copier, layout, headers=headers)
        try:
            if source is None:
                _require(bundle, layout, promised=layout in manifest.missing)
            else:
                readings[layout.member] = located(source, layout, number)
        except CatalogRefused as one:
            if layout.core or not skip_unusable:
                raise
            reports.append(FileReport(one.file, 0, (), (), {f"left out. {one.message}": 1}))
    by_roles = _tells_by_roles(bundle, manifest.version, readings)
    return Opened(bundle, number, readings, tuple(reports), by_roles)


def _source(bundle: Bundle, copier: Copier, layout: Layout, *, headers: bool) -> RosterRows | None:
    """A file, ready to be read; None if it is not there."""
    if layout.member not in bundle.members:
        return None
    copied = copier.header if headers and not layout.public else copier.whole
    return RosterRows(copied(layout.member), bundle.label(layout.member))


def _require(bundle: Bundle, layout: Layout, *, promised: bool) -> None:
    if not layout.core and not promised:
        return
    message = f"There is no {layout.file}{', which manifest.csv promises' if promised else ''}."
    raise refusal(bundle.label(layout.member), message, f"a bundle with {layout.file}")


def _tells_by_roles(bundle: Bundle, version: str, readings: Mapping[str, Reading]) -> bool:
    """Whether roles are told by `roles.csv`; by `users.csv` in 1.1, and wherever that is the only one to tell."""
    in_users, in_roles = "role" in readings[USERS.member].places, ROLES.member in readings
    if not in_users and not in_roles:
        message = "Nothing tells who is a student."
        accepted = "a column role (OneRoster 1.1), or roles.csv (OneRoster 1.2)"
        raise refusal(bundle.label(USERS.member), message, accepted, line=1)
    return in_roles and (version == "1.2" or not in_users)
