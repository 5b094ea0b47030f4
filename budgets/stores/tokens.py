"""SQL of tokens: who holds which, the hashes of their secrets, and their ends."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from budgets.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from budgets.stores.sqlite import Database

SELECT_TOKENS = """
SELECT t.id, t.role, t.grant_id, t.holder, t.scopes, t.expires, t.approved_by, r.reason
FROM tokens t LEFT JOIN token_revocations r ON r.token = t.id
"""

SELECT_SECRETS = """
SELECT hash, older_until_us FROM token_secrets WHERE token = ? ORDER BY seq DESC LIMIT 2
"""


class Secret(NamedTuple):
    """A hash of a secret, and until when the one before it counts beside it."""

    hash: bytes
    older_until_us: int


def add(database: Database, token: Token, at_us: int) -> None:
    """Write down a token; it is never changed."""
    sql = """
    INSERT INTO tokens (id, role, grant_id, holder, scopes, expires, approved_by, at_us)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    """
    named = (token.id, token.role, token.grant, token.holder, json.dumps(sorted(token.scopes)))
    database.change(sql, (*named, token.expires.isoformat(), token.approved_by, at_us))


def add_secret(database: Database, token: str, secret: Secret, at_us: int) -> None:
    """Give a token a new secret."""
    sql = "INSERT INTO token_secrets (token, hash, at_us, older_until_us) VALUES (?, ?, ?, ?)"
    database.change(sql, (token, secret.hash, at_us, secret.older_until_us))


def secrets_of(database: Database, token: str) -> list[Secret]:
    """The newest secret of a token and the one before it, the newest first."""
    return [Secret(*row) for row in database.rows(SELECT_SECRETS, (token,))]


def revoke(database: Database, token: str, by: str, reason: str, at_us: int) -> None:
    """End a token; once."""
    sql = "INSERT INTO token_revocations (token, by_whom, reason, at_us) VALUES (?, ?, ?, ?)"
    database.change(sql, (token, by, reason, at_us))


def find(database: Database, token: str) -> Token | None:
    """The token of this id."""
    rows = database.rows(f"{SELECT_TOKENS} WHERE t.id = ?", (token,))
    return _token(rows[0]) if rows else None


def listed(database: Database) -> tuple[Token, ...]:
    """All tokens there are and were, in the order in which they were given."""
    return tuple(_token(row) for row in database.rows(f"{SELECT_TOKENS} ORDER BY t.at_us, t.id"))


def _token(row: Sequence[Any]) -> Token:
    id_, role, grant, holder, scopes, expires, approved_by, revoked = row
    return Token(
        id_, role, grant, holder, frozenset(json.loads(scopes)), date.fromisoformat(expires), approved_by, revoked
    )
