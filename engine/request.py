"""What an asker may ask for, the same on every face."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass

from budgets.grants import DISTRICT
from budgets.loss import nanorho_for
from engine.refusals import QueryRefused

REQUEST_ID_CHARACTERS_MAX = 100
EPSILON_MAX = 100.0

_NOT_BUILT = ("moe", "rows_per_student_max", "groups_per_student_max", "rehearse")


@dataclass(frozen=True, slots=True)
class Request:
    """One question and how it is asked.

    Attributes:
        sql: the question.
        request_id: the asker's own id: asking again under it gives the same answer and costs nothing more.
        grant: under which grant; the district's own if none is named.
        cohorts: ask only of these cohorts.
        epsilon: spend so much that this question alone is (ε, 5e-8)-differentially private for each student.
        moe, rows_per_student_max, groups_per_student_max, rehearse: refused, see `checked`.
    """

    sql: str
    request_id: str | None = None
    grant: str | None = None
    cohorts: tuple[int, ...] | None = None
    moe: object = None
    epsilon: float | None = None
    rows_per_student_max: int | None = None
    groups_per_student_max: int | None = None
    rehearse: bool = False

    def checked(self) -> Asked:
        """The request with its defaults.

        Raises:
            QueryRefused: a field that cannot be answered, or is not what it should be.
        """
        for field in _NOT_BUILT:
            if getattr(self, field) not in (None, False):
                raise QueryRefused(
                    "unsupported",
                    f"The field {field} is not answered by this version.",
                    accepted="sql, request_id, grant, cohorts, epsilon",
                )
        if not isinstance(self.sql, str):
            raise QueryRefused("syntax", "The question is not a text.", accepted="one SELECT")
        return Asked(
            sql=self.sql,
            request_id=_request_id(self.request_id),
            grant=DISTRICT if self.grant is None else self.grant,
            cohorts=_cohorts(self.cohorts),
            nanorho=_nanorho(self.epsilon),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has been checked.

    Attributes:
        nanorho: the loss asked for; None for the default share.
    """

    sql: str
    request_id: str
    grant: str
    cohorts: tuple[int, ...] | None
    nanorho: int | None


def _request_id(given: str | None) -> str:
    if given is None:
        return uuid.uuid4().hex
    fits = isinstance(given, str) and 0 < len(given) <= REQUEST_ID_CHARACTERS_MAX
    if not fits or not given.isascii() or not given.isprintable():
        raise QueryRefused(
            "unsupported",
            "This request id cannot be used.",
            accepted=f"1 to {REQUEST_ID_CHARACTERS_MAX} printable ASCII characters",
        )
    return given


def _cohorts(given: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if given is None:
        return None
    if isinstance(given, str) or not all(type(cohort) is int for cohort in given) or not given:
        raise QueryRefused("unsupported", "Cohorts are whole numbers.", accepted="a list such as [2030, 2031]")
    return tuple(sorted(set(given)))


def _nanorho(epsilon: float | None) -> int | None:
    if epsilon is None:
        return None
    fits = type(epsilon) in (int, float) and math.isfinite(epsilon) and 0 < epsilon <= EPSILON_MAX
    nanorho = nanorho_for(float(epsilon)) if fits else 0
    if nanorho <= 0:
        raise QueryRefused(
            "unsupported",
            "This epsilon cannot be spent.",
            accepted=f"a number between 0.001 and {EPSILON_MAX:g}",
        )
    return nanorho
