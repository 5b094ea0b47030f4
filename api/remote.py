"""A district behind a server, asked as one in a folder is: the wire's answers become the engine's own again.

So the command shows and writes what a server answers with the same hands.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import typer

from api.client import Client, NotAnswered, Refused
from api.client.errors import LATER
from api.terminal import ServerRefused, ServerUnanswering
from engine.explanation import ExplainedStatistic, Explanation
from engine.refusals import QueryRefused
from engine.release import (
    ClampingBounds,
    CohortCharge,
    CohortLeftOut,
    Expected,
    Noise,
    Preview,
    Release,
    ReleaseColumn,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

    from api import schemas
    from engine.refusals import RefusalBody


@dataclass(frozen=True, slots=True)
class YearSpent:
    """What a class has lost of its budget year, in nano-ρ."""

    cohort: int
    year_cap: int
    year_spent: int


class RemoteDistrict:
    """A district behind a server.

    Refusals are those of a folder, as `ServerRefused`; anything else is `ServerUnanswering`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    def open(cls, url: str, token_file: str, **given: Any) -> Self:
        """A server's district; nothing is sent yet.

        Raises:
            typer.BadParameter: the address or the token's file cannot be used.
        """
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            client = _client(url, token_file, given)
        for each in said:
            typer.echo(str(each.message), err=True)
        return cls(client)

    def ask(self, sql: str, **fields: Any) -> Release:
        """Answer a question, charging the cohorts it touches."""
        with _as_here():
            return release_of(self._client.ask(sql, **fields))

    def preview(self, sql: str, **fields: Any) -> Preview:
        """What a question would cost and how sharp it would be; free."""
        with _as_here():
            return preview_of(self._client.preview(sql, **fields))

    def explain(self, sql: str, **fields: Any) -> Explanation:
        """Why a question would cost what it costs; free."""
        with _as_here():
            return explanation_of(self._client.explain(sql, **fields))

    def balances(self) -> dict[int, YearSpent]:
        """What each class has spent; none where the server does not say, since an answer is there already."""
        try:
            told = self._client.budget()
        except NotAnswered:
            return {}
        return {
            each.cohort: YearSpent(each.cohort, each.year_cap_nanorho, each.year_spent_nanorho)
            for each in told.cohorts
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def _client(url: str, token_file: str, given: dict[str, Any]) -> Client:
    try:
        return Client(url, token_file=token_file, **given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except OSError as error:
        why = error.strerror or "the system refused"
        raise typer.BadParameter(f"{Path(token_file)} cannot be read: {why}", param_hint="--token-file") from None


@contextmanager
def _as_here() -> Iterator[None]:
    """What the client raises, as the command knows it."""
    try:
        yield
    except Refused as error:
        raise _refused(error) from None
    except NotAnswered as error:
        raise ServerUnanswering(error.message, request_id=error.request_id) from None
    except ValueError as error:
        raise QueryRefused("unsupported", str(error)) from None


def _refused(error: Refused) -> ServerRefused:
    """The server's refusal; its code may be one that no folder has, such as `unauthenticated`."""
    code: Any = error.code
    body: RefusalBody = {
        "code": code,
        "message": error.message,
        "line": error.line,
        "column": error.column,
        "excerpt": error.excerpt,
        "accepted": error.accepted,
    }
    again = error.request_id if error.code in LATER else None
    return ServerRefused(body, status=error.status, request_id=again)


# -- the wire's words as the engine's


def release_of(told: schemas.Release) -> Release:
    """An answer."""
    return Release(
        release_id=told.release_id,
        request_id=told.request_id,
        replayed=told.replayed,
        rows=[tuple(row) for row in told.rows],
        se=[tuple(row) for row in told.se],
        moe90=[tuple(row) for row in told.moe90],
        moe95=[tuple(row) for row in told.moe95],
        independent=told.independent,
        draws=told.draws,
        **_answered(told),
    )


def preview_of(told: schemas.Preview) -> Preview:
    """A preview."""
    expected = [Expected(each.column, each.moe90, each.moe90_at_n) for each in told.expected]
    return Preview(expected=expected, **_answered(told))


def explanation_of(told: schemas.Explanation) -> Explanation:
    """An explanation."""
    return Explanation(
        preview=preview_of(told.preview),
        keys=tuple(told.keys),
        groups=told.groups,
        statistics=[
            ExplainedStatistic(**{**each.model_dump(), "cohorts": tuple(each.cohorts)}) for each in told.statistics
        ],
        statement=told.statement,
        early=told.early,
        advice=told.advice,
    )


def _answered(told: schemas.Release | schemas.Preview) -> dict[str, Any]:
    """What a preview and an answer have in common."""
    return {
        "sql": told.sql,
        "plan_hash": told.plan_hash,
        "engine_version": told.engine_version,
        "epoch": told.epoch,
        "population": told.population,
        "grant": told.grant,
        "rehearsal": told.rehearsal,
        "columns": [ReleaseColumn(**each.model_dump()) for each in told.columns],
        "partial": [tuple(cohorts) for cohorts in told.partial],
        "charges": [CohortCharge(**each.model_dump()) for each in told.charges],
        "cohorts_left_out": [CohortLeftOut(**each.model_dump()) for each in told.cohorts_left_out],
        "noise": [Noise(**each.model_dump()) for each in told.noise],
        "bounds": [ClampingBounds(**each.model_dump()) for each in told.bounds],
        "notes": told.notes,
    }
