"""Tokens: by which a server knows who asks, and what they may do there.

A token is `hr_<id>_<secret>`. The ledger keeps its id and a hash of its secret; the token itself is shown once, to
whoever makes it. Its secret has 256 random bits, so that a hash without salt or delay is enough.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from budgets.refusals import AccessRefused

if TYPE_CHECKING:
    from datetime import date

Role = Literal["researcher", "agency", "officer", "auditor"]
Scope = Literal["read", "preview", "ask", "audit", "decide"]

SCOPES: dict[Role, frozenset[Scope]] = {
    "researcher": frozenset({"read", "preview", "ask"}),
    "agency": frozenset({"read", "preview", "ask"}),
    "officer": frozenset({"read", "audit", "decide"}),
    "auditor": frozenset({"read", "audit"}),
}
"""What each role may do at most; a token may be given less."""

_TOKEN = re.compile(r"hr_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """Who asks.

    Attributes:
        id: its public name.
        role: what its holder is; a researcher or an agency asks under a grant.
        grant: the grant it asks under; None for an officer or auditor.
        holder: the person who has it.
        scopes: what it may do.
        expires: its last day, by the district's calendar.
        approved_by: who gave it.
        revoked: the reason for which it was ended before its last day; None if it was not.

    Raises:
        ValueError: a role that is bound to a grant without one, or the other way round; scopes it cannot have.
    """

    id: str
    role: Role
    grant: str | None
    holder: str
    scopes: frozenset[Scope]
    expires: date
    approved_by: str
    revoked: str | None = None

    def __post_init__(self) -> None:
        if (self.role in ("researcher", "agency")) != (self.grant is not None):
            raise ValueError("researchers and agencies have a grant, officers and auditors have none")
        if not self.scopes or not self.scopes <= SCOPES[self.role]:
            raise ValueError("a token may do something, and no more than its role")


def parts(text: str) -> tuple[str, str] | None:
    """The id and the secret of a token; None where the text is none.

    >>> parts("hr_" + 12 * "a" + "_" + 64 * "0") == (12 * "a", 64 * "0"), parts("hr_x_y")
    (True, None)
    """
    found = _TOKEN.fullmatch(text)
    return None if found is None else (found[1], found[2])


def hashed(secret: str) -> bytes:
    """What of a secret is kept."""
    return hashlib.sha256(b"homeroom token " + secret.encode("ascii")).digest()


def unknown(message: str = "This token is not known here.") -> AccessRefused:
    """The refusal of every token that is not known: it does not say what is wrong with it."""
    accepted = "one header `Authorization: Bearer hr_…` with a token that the district gave"
    return AccessRefused("unauthenticated", message, accepted=accepted)


def check_standing(token: Token, today: date) -> None:
    """Make sure that a token is in force.

    Raises:
        AccessRefused: its last day is over, or it was revoked (`unauthenticated`).
    """
    if token.revoked is not None:
        message = f"The token {token.id} was revoked: {token.revoked}"
    elif today > token.expires:
        message = f"The last day of the token {token.id} was {token.expires.isoformat()}."
    else:
        return
    raise AccessRefused("unauthenticated", message, accepted="a new token; the district decides about it")
