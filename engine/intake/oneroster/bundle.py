"""A OneRoster bundle on the disk: a folder or a zip file, its members told by their base names alone.

A zip is met with distrust: no member's path is ever used to write, encrypted ones are refused, and what is
unpacked is counted while it is copied, whatever the archive says of its size.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from engine.intake.rows import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUNDLE_BYTES_MAX = 20 * 10**9
HEADER_BYTES_MAX = 1 << 20
_CHUNK_BYTES = 1 << 20
_ENCRYPTED = 0x1
_ACCEPTED = "a folder or zip file with manifest.csv, or with users.csv beside orgs.csv, at the top or one folder deep"
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle.

    Attributes:
        path: of the folder or zip file.
        name: what it is called in refusals and reports.
        members: base name in small letters → the path below the folder, or the member's name in the zip.
        zipped: whether it is a zip file.
    """

    path: Path
    name: str
    members: Mapping[str, str]
    zipped: bool

    def label(self, name: str) -> str:
        """What a member is called in refusals and reports, by its name in small letters."""
        return f"{self.name}/{Path(self.members.get(name, name)).name}"


def is_bundle(path: Path) -> bool:
    """Whether a path is a folder or zip file that holds a OneRoster bundle, to judge by the names in it."""
    try:
        groups = _groups(_names(path))
    except (OSError, *_BROKEN):
        return False
    return any(_is_whole(names) for names in groups.values())


def bundle_of(path: Path, name: str) -> Bundle:
    """The one bundle of a path.

    Args:
        path: of a folder or zip file.
        name: what it is to be called.

    Raises:
        CatalogRefused: there is none, or there are two, or a name stands in it twice.
    """
    try:
        groups = _groups(_names(path))
    except (OSError, *_BROKEN):
        raise refusal(str(path), "The bundle cannot be read.", _ACCEPTED) from None
    whole = (
        [""] if _is_whole(groups.get("", [])) else sorted(key for key, names in groups.items() if _is_whole(names))
    )
    if not whole:
        raise refusal(str(path), "There is no OneRoster bundle in it.", _ACCEPTED)
    if len(whole) > 1:
        raise refusal(str(path), f"There are {len(whole)} OneRoster bundles in it.", "each bundle given by itself")
    return Bundle(path, name, _members(path, groups[whole[0]]), path.is_file())


def _names(path: Path) -> list[str]:
    """The names of all files at the top and one folder deep; of a zip, of all members."""
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]
    found = [*path.glob("*.[cC][sS][vV]"), *path.glob("*/*.[cC][sS][vV]")]
    return [str(one.relative_to(path)) for one in found if one.is_file()]


def _groups(names: list[str]) -> dict[str, list[str]]:
    """CSV names by the folder they stand in, "" for the top; steps upwards and hidden files count for nothing."""
    groups: dict[str, list[str]] = {}
    for name in names:
        parts = [part for part in name.replace("\\", "/").split("/") if part not in {"", ".", ".."}]
        if not 1 <= len(parts) <= 2 or parts[0] == "__MACOSX":  # noqa: PLR2004 - a folder and a file in it
            continue
        if parts[-1].startswith(".") or not parts[-1].lower().endswith(".csv"):
            continue
        groups.setdefault("/".join(parts[:-1]), []).append(name)
    return groups


def _base(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1].lower()


def _is_whole(names: list[str]) -> bool:
    bases = {_base(name) for name in names}
    return "manifest.csv" in bases or {"users.csv", "orgs.csv"} <= bases


def _members(path: Path, names: list[str]) -> dict[str, str]:
    members: dict[str, str] = {}
    for name in sorted(names):
        if _base(name) in members:
            raise refusal(str(path), f"The file {_base(name)} stands in it twice.", "each file once")
        members[_base(name)] = name
    return members


class Copier:
    """Brings members of a bundle to where they can be read, within a limit for all of them together."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        """Begin.

        Args:
            bundle: whose members are read.
            folder: only its owner can enter; members of a zip are unpacked into it.
        """
        self._bundle, self._folder, self._left = bundle, folder, BUNDLE_BYTES_MAX

    def whole(self, name: str) -> Path:
        """The file of a member, by its name in small letters.

        Raises:
            CatalogRefused: it is encrypted, damaged, or too large.
        """
        if not self._bundle.zipped:
            return self._bundle.path / self._bundle.members[name]
        target = self._folder / name
        with self._opened(name) as member, _private(target) as file:
            while chunk := member.read(_CHUNK_BYTES):
                self._left -= len(chunk)
                if self._left < 0:
                    raise self._too_large()
                file.write(chunk)
        return target

    def header(self, name: str) -> Path:
        """A file that has a member's first line alone; no other byte of it is kept.

        Raises:
            CatalogRefused: it is encrypted or damaged, or its first line has no end.
        """
        target = self._folder / f"header-{name}"
        with self._opened(name) as member:
            line = member.readline(HEADER_BYTES_MAX)
        if len(line) == HEADER_BYTES_MAX:
            raise refusal(self._bundle.label(name), "The first line has no end.", "a header of ordinary length", 1)
        with _private(target) as file:
            file.write(line.partition(b"\r")[0].rstrip(b"\n") + b"\n")
        return target

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        """A member as a stream of bytes."""
        label = self._bundle.label(name)
        try:
            if not self._bundle.zipped:
                with (self._bundle.path / self._bundle.members[name]).open("rb") as file:
                    yield file
                return
            with zipfile.ZipFile(self._bundle.path) as archive:
                self._trusted(archive, name)
                with archive.open(self._bundle.members[name]) as member:
                    yield member
        except (OSError, *_BROKEN):
            raise refusal(label, "The file cannot be unpacked.", "a zip file that is whole, or a folder") from None

    def _trusted(self, archive: zipfile.ZipFile, name: str) -> None:
        info = archive.getinfo(self._bundle.members[name])
        if info.flag_bits & _ENCRYPTED:
            raise refusal(self._bundle.label(name), "The zip file is encrypted.", "a zip file without a password")
        if info.file_size > self._left:
            raise self._too_large()

    def _too_large(self) -> Exception:
        message = f"The bundle is larger than {BUNDLE_BYTES_MAX:,} bytes once it is unpacked."
        return refusal(str(self._bundle.path), message, "smaller bundles, or a folder of the unpacked files")


def _private(target: Path) -> IO[bytes]:
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
