"""Keyring: the tokens of a district, as its ledger keeps them. Giving, renewing and ending one leaves an event."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from budgets.decisions import named
from budgets.grants import DISTRICT, find_grant
from budgets.grants import check_standing as check_grant
from budgets.refusals import AccessRefused
from budgets.stores import district, governance
from budgets.stores import tokens as store
from budgets.stores.times import MICROSECOND, to_micros
from budgets.tokens import SCOPES, Token, check_standing, hashed, parts, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import date, datetime

    from budgets.decisions import Moment
    from budgets.stores.sqlite import Database
    from budgets.tokens import Role

OVERLAP_MAX = timedelta(days=31)
TERM = timedelta(days=365)


class Keyring:
    """The tokens of an open ledger; `Ledger.keyring` makes it."""

    def __init__(
        self, database: Database, moment: Callable[[], Moment], now: Callable[[], tuple[datetime, date]]
    ) -> None:
        """Use the ledger's file and its clock.

        Args:
            database: of the ledger.
            moment: of a decision, inside its transaction.
            now: ledger time in UTC, and the district's date.
        """
        self._database = database
        self._moment = moment
        self._now = now

    def add(
        self,
        holder: str,
        approved_by: str,
        *,
        grant: str | None = None,
        role: Role | None = None,
        scopes: Collection[str] | None = None,
        expires: date | None = None,
    ) -> str:
        """Give a token.

        Args:
            holder: the person who gets it.
            approved_by: who gives it.
            grant: the grant it asks under; its role is the grant's kind.
            role: officer or auditor, without a grant.
            scopes: what it may do; everything its role may if not named.
            expires: its last day; the grant's if not named, or a year from now.

        Returns:
            The token. It is shown this once.

        Raises:
            AccessRefused: there is no such grant, or it has ended (`grant_missing`, `grant_expired`); a name or day
                that cannot be, the built-in grant, scopes the role does not have, or both or neither of grant and
                role (`approval`).
        """
        secret = secrets.token_hex(32)
        with self._database.writing():
            moment = self._moment()
            token = self._new(grant, role, scopes, expires, moment)
            token = replace(token, holder=named(holder, "The holder"), approved_by=named(approved_by, "A name"))
            store.add(self._database, token, moment.at_us)
            store.add_secret(self._database, token.id, store.Secret(hashed(secret), moment.at_us), moment.at_us)
            body = {"token": token.id, "role": token.role, "grant": token.grant, "scopes": sorted(token.scopes)}
            body |= {"expires": token.expires.isoformat(), "approved_by": token.approved_by}
            district.add_event(self._database, moment.at_us, "token_added", body)
        return f"hr_{token.id}_{secret}"

    def _new(
        self,
        grant: str | None,
        role: Role | None,
        scopes: Collection[str] | None,
        expires: date | None,
        moment: Moment,
    ) -> Token:
        given, last = self._bound(grant, role, moment.today)
        chosen = SCOPES[given] if scopes is None else frozenset(each for each in SCOPES[given] if each in scopes)
        if not chosen or not set(scopes or ()) <= chosen:
            message = f"A token of this kind ({given}) cannot do that."
            raise AccessRefused("approval", message, accepted=f"scopes: {', '.join(sorted(SCOPES[given]))}")
        last = last if expires is None else expires
        if last < moment.today:
            message = f"The token would have ended on {last.isoformat()}."
            raise AccessRefused("approval", message, accepted=f"a last day from {moment.today.isoformat()} on")
        return Token(secrets.token_hex(6), given, grant, "", chosen, last, "")

    def _bound(self, grant: str | None, role: Role | None, today: date) -> tuple[Role, date]:
        """The role of a new token, and its last day if none is named."""
        if grant is not None and role is None:
            found = find_grant(governance.grants(self._database), grant)
            if found.terms is None:
                message = f"The grant {DISTRICT!r} is asked under by whoever holds the folder, not over a server."
                raise AccessRefused("approval", message, accepted="a grant of a researcher or an agency")
            check_grant(found, today)
            return found.terms.kind, found.terms.expires
        if grant is None and role in ("officer", "auditor"):
            return role, today + TERM
        message = "A token is for a grant, whose kind is its role, or for an officer or an auditor."
        raise AccessRefused("approval", message, accepted="a grant; or the role officer or auditor")

    def rotate(self, token_id: str, by: str, overlap: timedelta = timedelta(0)) -> str:
        """Give a token a new secret; the one before it counts for `overlap` more, every older one no longer.

        Returns:
            The token with its new secret. It is shown this once.

        Raises:
            AccessRefused: there is no such token, it has ended, nobody is named, or the overlap is too long
                (`approval`).
        """
        if not timedelta(0) <= overlap <= OVERLAP_MAX:
            message = "The old secret cannot count for so long."
            raise AccessRefused("approval", message, accepted=f"at most {OVERLAP_MAX.days} days")
        secret = secrets.token_hex(32)
        with self._database.writing():
            moment = self._moment()
            token = self._found(token_id)
            if token.revoked is not None or moment.today > token.expires:
                raise AccessRefused("approval", f"The token {token.id} has ended.", accepted="a new token")
            older_until_us = moment.at_us + overlap // MICROSECOND
            store.add_secret(self._database, token.id, store.Secret(hashed(secret), older_until_us), moment.at_us)
            body = {"token": token.id, "by": named(by, "A name")}
            district.add_event(self._database, moment.at_us, "token_rotated", body)
        return f"hr_{token.id}_{secret}"

    def revoke(self, token_id: str, by: str, reason: str) -> None:
        """End a token, from the next request on.

        Raises:
            AccessRefused: there is no such token, it is revoked already, nobody is named or no reason given
                (`approval`).
        """
        with self._database.writing():
            moment = self._moment()
            token = self._found(token_id)
            who, why = named(by, "A name"), named(reason, "The reason")
            if token.revoked is not None:
                message = f"The token {token.id} is revoked already."
                raise AccessRefused("approval", message, accepted="nothing more is needed")
            store.revoke(self._database, token.id, who, why, moment.at_us)
            body = {"token": token.id, "by": who, "reason": why}
            district.add_event(self._database, moment.at_us, "token_revoked", body)

    def tokens(self) -> tuple[Token, ...]:
        """All tokens there are and were."""
        with self._database.reading():
            return store.listed(self._database)

    def holder_of(self, text: str) -> Token:
        """The token of a text, if it is in force at this moment.

        Raises:
            AccessRefused: it is not (`unauthenticated`).
        """
        found = parts(text)
        if found is None:
            raise unknown()
        token_id, secret = found
        with self._database.reading():
            now, today = self._now()
            token = store.find(self._database, token_id)
            kept = store.secrets_of(self._database, token_id)
        live = [each.hash for each in kept[:1]]
        live += [each.hash for each in kept[1:] if to_micros(now) < kept[0].older_until_us]
        # every hash is compared, so that the time tells nothing
        matches = [hmac.compare_digest(hashed(secret), each) for each in live]
        if token is None or not any(matches):
            raise unknown()
        check_standing(token, today)
        return token

    def _found(self, token_id: str) -> Token:
        token = store.find(self._database, token_id) if token_id.isprintable() else None
        if token is None:
            message = f"There is no token {token_id!r}."
            raise AccessRefused("approval", message, accepted="an id that `homeroom token list` shows")
        return token
