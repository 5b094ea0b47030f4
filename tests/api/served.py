"""A district that is served in this process, with a token of every kind."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from api.app import create
from api.settings import Settings
from budgets.grants import Grant, Terms
from engine.office import Office

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COHORTS = tuple(range(2026, 2039))
WHOLE = "SELECT COUNT(*) AS students FROM student_year WHERE school_year = 2025"
BY_GRADE = "SELECT grade_level, COUNT(*) AS students FROM student_year WHERE school_year = 2025 GROUP BY grade_level"


def grant(name: str, **changes: Any) -> Grant:
    """A grant of half of each year."""
    terms = {
        "kind": "researcher",
        "organisation": "State University",
        "purpose": "attendance",
        "scope": {"student": None, "student_year": None},
        "cohorts": COHORTS,
        "ceiling_nanorho": None,
        "expires": date(2099, 6, 30),
        "approved_by": "A. Officer",
    } | changes
    population = terms.pop("population", "research")
    return Grant(name, population, Fraction(1, 2), Terms(**terms))


def give(folder: Path) -> dict[str, str]:
    """Grants, and a token of every role."""
    with Office.open(folder) as office:
        office.add_grant(grant("study"))
        office.add_grant(grant("other"))
        office.add_grant(grant("report", kind="agency", population="mandated"))
        given = office.keyring.add
        return {
            "researcher": given("R. Searcher", "A. Officer", grant="study"),
            "other": given("S. Other", "A. Officer", grant="other"),
            "agency": given("G. Agency", "A. Officer", grant="report"),
            "officer": given("B. Officer", "A. Officer", role="officer"),
            "auditor": given("P. Auditor", "A. Officer", role="auditor"),
        }


@dataclass(frozen=True)
class Served:
    client: TestClient
    tokens: dict[str, str]
    folder: Path

    def send(self, method: str, path: str, who: str | None = "researcher", **given: Any) -> Any:
        headers = dict(given.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(who, who)}"
        return self.client.request(method, path, headers=headers, **given)

    def ask(self, sql: str = WHOLE, who: str | None = "researcher", accept: str | None = None, **fields: Any) -> Any:
        headers = {} if accept is None else {"Accept": accept}
        return self.send("POST", "/v1/ask", who, json={"sql": sql, **fields}, headers=headers)

    def spent(self) -> int:
        with Office.open(self.folder) as office:
            return sum(balance.lifetime_spent for balance in office.balances().values())


@contextmanager
def serving(folder: Path, tokens: dict[str, str] | None = None, **settings: Any) -> Iterator[Served]:
    """The server of a folder; its answers leave at once unless a grid is given."""
    limits = folder.with_name(f"{folder.name}-limits.sqlite")
    limits.unlink(missing_ok=True)
    tokens = give(folder) if tokens is None else tokens
    given = {"grid_s": (), "requests_per_minute": 100_000, "charges_per_minute": 100_000} | settings
    with TestClient(create(Settings(folder, limits, **given))) as client:
        yield Served(client, tokens, folder)
