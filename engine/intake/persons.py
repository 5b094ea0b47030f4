"""Persons by the ids that people know them by: the owner hashes a load may have made of them."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from engine.intake.cleaning import OWNER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = ("", "m:", "u:", "i:", "s:")
"""What may stand before an id: nothing in plain files, the kind of id in OneRoster (`engine.intake.oneroster`)."""

_SPACE = "\t\n\v\f\r \xa0"


def owner_hashes(ids: Iterable[str], key: bytes) -> dict[str, tuple[bytes, ...]]:
    """For each id, trimmed, the hashes of all persons it may mean; blank ones and those with a NUL mean nobody.

    Args:
        ids: as the source has them.
        key: the district's.
    """
    plain = dict.fromkeys(one.strip(_SPACE) for one in ids)
    return {one: tuple(_owner(kind + one, key) for kind in KINDS) for one in plain if one and "\0" not in one}


def _owner(text: str, key: bytes) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")[:OWNER_BYTES]
