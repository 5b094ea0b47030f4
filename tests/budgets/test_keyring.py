"""Tokens: given, renewed, ended; of a secret nothing is kept that could be used."""

from __future__ import annotations

import threading
import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from budgets.keyring import OVERLAP_MAX
from budgets.refusals import AccessRefused
from budgets.tokens import SCOPES, Token

if TYPE_CHECKING:
    from budgets.keyring import Keyring
    from budgets.ledger import Ledger


@pytest.fixture
def keyring(ledger: Ledger, kit: Any) -> Keyring:
    ledger.add_grant(kit.grant("study"))
    return ledger.keyring


def refused(keyring: Keyring, text: str) -> str:
    with pytest.raises(AccessRefused) as caught:
        keyring.holder_of(text)
    assert caught.value.code == "unauthenticated"
    return caught.value.message


def id_of(text: str) -> str:
    return text.split("_")[1]


def test_a_token_says_who_asks_and_under_what(keyring: Keyring) -> None:
    """Role and last day are the grant's; its holder is named."""
    token = keyring.holder_of(keyring.add("R. Searcher", "A. Officer", grant="study"))
    assert (token.role, token.grant, token.holder) == ("researcher", "study", "R. Searcher")
    assert token.scopes == SCOPES["researcher"]
    assert keyring.tokens() == (token,)


def test_officers_and_auditors_have_no_grant(keyring: Keyring) -> None:
    """And end after a year if no day is named."""
    officer = keyring.holder_of(keyring.add("B. Officer", "A. Officer", role="officer"))
    auditor = keyring.holder_of(keyring.add("P. Auditor", "A. Officer", role="auditor", scopes=["read"]))
    assert (officer.grant, auditor.scopes) == (None, {"read"})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"grant": "study", "role": "officer"},
        {"role": "researcher"},
        {"grant": "district"},
        {"grant": "nobody's"},
        {"grant": "study", "scopes": ["decide"]},
        {"grant": "study", "scopes": []},
        {"role": "auditor", "scopes": ["decide"]},
        {"role": "auditor", "scopes": ["ask"]},
        {"grant": "study", "expires": date(2020, 1, 1)},
        {"grant": "study", "holder": " "},
        {"grant": "study", "holder": "R.\x1bS."},
        {"grant": "study", "approved_by": ""},
    ],
)
def test_what_no_token_is_given_for(keyring: Keyring, fields: dict[str, Any]) -> None:
    """The built-in grant least of all: it is asked under by whoever holds the folder."""
    whose = {"holder": "R. Searcher", "approved_by": "A. Officer"} | fields
    with pytest.raises(AccessRefused):
        keyring.add(**whose)
    assert keyring.tokens() == ()


def test_no_token_is_given_for_a_grant_that_has_ended(keyring: Keyring, ledger: Ledger) -> None:
    """It could not be used."""
    ledger.revoke_grant("study", "A. Officer", "over")
    with pytest.raises(AccessRefused) as caught:
        keyring.add("R. Searcher", "A. Officer", grant="study")
    assert caught.value.code == "grant_expired"


def test_a_role_holds_its_token_to_its_scopes() -> None:
    """A row that says more than its role may is refused when it is read."""
    day = date(2030, 1, 1)
    for role, grant, scope in (
        ("auditor", None, "decide"),
        ("researcher", None, "ask"),
        ("officer", "study", "read"),
    ):
        with pytest.raises(ValueError, match=r"token|grant"):
            Token("a" * 12, role, grant, "R", frozenset({scope}), day, "A")  # type: ignore[arg-type]


def test_every_wrong_token_is_refused_in_the_same_words(keyring: Keyring) -> None:
    """Nobody learns which ids there are."""
    text = keyring.add("R. Searcher", "A. Officer", grant="study")
    head, name, secret = text.split("_")
    other = keyring.add("S. Other", "A. Officer", grant="study")
    wrong = [
        "", "hr", secret, f"hr_{name}_", f"hr_{name}_{secret[:-1]}", f"hr_{name}_{secret}0", f" {text}", f"{text}\n",
        f"hr_{name}_{'0' * 64}", f"hr_{'0' * 12}_{secret}", f"hr_{id_of(other)}_{secret}", f"{head}_{name}_{secret.upper()}",
        f"hr_{name}_{secret[:-1]}\u0660", text.replace("hr", "HR"), text + "\0", "\ud800" * 80,
    ]  # fmt: skip
    assert len({refused(keyring, each) for each in wrong}) == 1


def test_a_token_ends_with_its_last_day(keyring: Keyring, desk: Any) -> None:
    """By the district's calendar, and says so to whoever has its secret."""
    text = keyring.add("R. Searcher", "A. Officer", grant="study", expires=desk.clock.at.date() + timedelta(days=1))
    desk.clock.at += timedelta(days=1)
    keyring.holder_of(text)
    desk.clock.at += timedelta(days=1)
    assert "last day" in refused(keyring, text)
    with pytest.raises(AccessRefused):
        keyring.rotate(id_of(text), "A. Officer")


def test_a_revoked_token_is_refused_at_once(keyring: Keyring, desk: Any) -> None:
    """In every process that has the ledger open; it cannot be renewed or revoked again."""
    text = keyring.add("R. Searcher", "A. Officer", grant="study")
    other = desk.open().keyring
    other.holder_of(text)
    keyring.revoke(id_of(text), "A. Officer", "the study is over")
    assert "the study is over" in refused(other, text)
    for again in (lambda: keyring.revoke(id_of(text), "A", "b"), lambda: keyring.rotate(id_of(text), "A")):
        with pytest.raises(AccessRefused):
            again()


def test_a_new_secret_ends_the_old_one(keyring: Keyring, desk: Any) -> None:
    """At once, or after the time that is named; and never more than one old one counts."""
    first = keyring.add("R. Searcher", "A. Officer", grant="study")
    second = keyring.rotate(id_of(first), "A. Officer")
    refused(keyring, first)
    third = keyring.rotate(id_of(first), "A. Officer", timedelta(hours=2))
    desk.clock.at += timedelta(hours=1)
    assert keyring.holder_of(second) == keyring.holder_of(third)
    desk.clock.at += timedelta(hours=1)
    refused(keyring, second)
    fourth = keyring.rotate(id_of(first), "A. Officer", timedelta(hours=2))
    keyring.rotate(id_of(first), "A. Officer", timedelta(hours=2))
    keyring.holder_of(fourth)
    for old in (first, second, third):
        refused(keyring, old)
    for overlap in (timedelta(seconds=-1), OVERLAP_MAX + timedelta(seconds=1)):
        with pytest.raises(AccessRefused):
            keyring.rotate(id_of(first), "A. Officer", overlap)


def test_no_secret_is_in_the_ledger(keyring: Keyring, ledger: Ledger, desk: Any) -> None:
    """Neither in the file nor in what is told to everybody; the holder's name is not public either."""
    text = keyring.add("R. Searcher", "A. Officer", grant="study")
    keyring.revoke(id_of(text), "A. Officer", "over")
    secret = text.split("_")[2]
    files = [each for each in desk.path.parent.iterdir() if each.is_file()]
    assert files
    assert not any(
        secret.encode() in each.read_bytes() or bytes.fromhex(secret) in each.read_bytes() for each in files
    )
    told = str([event for event in ledger.events() if event.kind.startswith("token")])
    assert "token_added" in told
    assert "token_revoked" in told
    assert "Searcher" not in told


def test_a_token_is_known_while_a_decision_waits_to_be_written(keyring: Keyring, ledger: Ledger, desk: Any) -> None:
    """Who is let in does not wait for the lock of whoever writes."""
    text = keyring.add("R. Searcher", "A. Officer", grant="study")
    deciding = threading.Thread(target=lambda: ledger.close_district("A. Officer", "a complaint"))
    with desk.open()._database.writing():
        deciding.start()
        time.sleep(0.1)
        began = time.monotonic()
        assert keyring.holder_of(text).grant == "study"
        assert time.monotonic() - began < 0.5
        assert deciding.is_alive()
    deciding.join()
