"""What an asker may ask for, the same on every face."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from budgets.grants import DISTRICT
from budgets.loss import nanorho_for
from engine.refusals import QueryRefused
from engine.statistic import NO_LIMITS, Limits

REQUEST_ID_CHARACTERS_MAX = 100
EPSILON_MAX = 100.0

COHORTS_MAX = 10_000
YEAR_MAX = 10**6
MOE_MIN, MOE_MAX = 1e-9, 1e15
MOE_AT_N = 100
MOE_AT_N_MAX = 10**9
COLUMNS_MAX = 200

PER_STUDENT_MAX = 10_000
"""Most rows or groups of one student that a limit may name."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question and how it is asked.

    Attributes:
        sql: the question.
        request_id: the asker's own id: asking again under it gives the same answer and costs nothing more.
        grant: under which grant; the district's own if none is named.
        cohorts: ask only of these cohorts.
        moe: spend as little as keeps this 90 % margin of error in every cell, in the column's unit; a mapping from
            columns to margins where there are several estimates.
        moe_at_n: for averages and other ratios the margin holds in cells of at least so many rows; 100 if not named.
        epsilon: spend so much that this question alone is (ε, 5e-8)-differentially private for each student.
        rehearse: ask invented records instead of the district's: free, and no number of it is about a student.
        rows_per_student_max: ask of no more than so many rows of one student, for less noise; who has more counts in
            proportion.
        groups_per_student_max: likewise of no more than so many groups.
    """

    sql: str
    request_id: str | None = None
    grant: str | None = None
    cohorts: Sequence[int] | None = None
    moe: float | Mapping[str, float] | None = None
    moe_at_n: int | None = None
    epsilon: float | None = None
    rows_per_student_max: int | None = None
    groups_per_student_max: int | None = None
    rehearse: bool = False

    def checked(self) -> Asked:
        """The request with its defaults.

        Raises:
            QueryRefused: a field that cannot be answered, or is not what it should be.
        """
        if not isinstance(self.sql, str):
            raise QueryRefused("syntax", "The question is not a text.", accepted="one SELECT")
        if type(self.rehearse) is not bool:
            raise QueryRefused("unsupported", "rehearse is a yes or a no.", accepted="true or false")
        if self.moe is not None and self.epsilon is not None:
            raise QueryRefused(
                "unsupported", "moe and epsilon both fix the loss.", accepted="one of them, or neither"
            )
        return Asked(
            sql=self.sql,
            request_id=_request_id(self.request_id),
            grant=_grant(self.grant),
            cohorts=_cohorts(self.cohorts),
            nanorho=_nanorho(self.epsilon),
            moe=_moe(self.moe),
            moe_at_n=_moe_at_n(self.moe_at_n, self.moe),
            rehearse=self.rehearse,
            limits=Limits(
                _per_student("rows_per_student_max", self.rows_per_student_max),
                _per_student("groups_per_student_max", self.groups_per_student_max),
            ),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has been checked.

    Attributes:
        nanorho: the loss asked for; None for the default share, or where margins are asked for.
        moe: (column, margin), in the order of the columns' names; None for the column stands for the only estimate.
        moe_at_n: least number of rows of a cell whose ratio keeps its margin.
        limits: how much of a student is asked for.
        rehearse: whether invented records are asked; then nothing is charged, stored or reused.
    """

    sql: str
    request_id: str
    grant: str
    cohorts: tuple[int, ...] | None
    nanorho: int | None
    moe: tuple[tuple[str | None, float], ...] = ()
    moe_at_n: int = MOE_AT_N
    rehearse: bool = False
    limits: Limits = NO_LIMITS


def _per_student(field: str, given: int | None) -> int | None:
    if given is None:
        return None
    if type(given) is not int or not 1 <= given <= PER_STUDENT_MAX:
        raise QueryRefused(
            "unsupported", f"This {field} cannot be used.", accepted=f"a whole number from 1 to {PER_STUDENT_MAX:,}"
        )
    return given


def _request_id(given: str | None) -> str:
    if given is None:
        return uuid.uuid4().hex
    fits = isinstance(given, str) and 0 < len(given) <= REQUEST_ID_CHARACTERS_MAX
    if not fits or not given.isascii() or not given.isprintable() or given != given.strip():
        raise QueryRefused(
            "unsupported",
            "This request id cannot be used.",
            accepted=f"1 to {REQUEST_ID_CHARACTERS_MAX} printable ASCII characters, no space at either end",
        )
    return given


def _grant(given: str | None) -> str:
    if given is None:
        return DISTRICT
    if not isinstance(given, str) or not 0 < len(given) <= REQUEST_ID_CHARACTERS_MAX:
        raise QueryRefused("unsupported", "A grant is named by a text.", accepted="the name of a grant")
    return given


def _cohorts(given: Sequence[int] | None) -> tuple[int, ...] | None:
    if given is None:
        return None
    listed = isinstance(given, list | tuple | range) and 0 < len(given) <= COHORTS_MAX
    if not listed or not all(type(cohort) is int and abs(cohort) < YEAR_MAX for cohort in given):
        raise QueryRefused("unsupported", "Cohorts are whole numbers.", accepted="a list such as [2030, 2031]")
    return tuple(sorted(set(given)))


def _nanorho(epsilon: float | None) -> int | None:
    if epsilon is None:
        return None
    fits = type(epsilon) in (int, float) and 0 < epsilon <= EPSILON_MAX  # NaN is not, and an int may be any
    nanorho = nanorho_for(float(epsilon)) if fits else 0
    if nanorho <= 0:
        raise QueryRefused(
            "unsupported",
            "This epsilon cannot be spent.",
            accepted=f"a number from 0.0002 to {EPSILON_MAX:g}",
        )
    return nanorho


def _moe(given: float | Mapping[str, float] | None) -> tuple[tuple[str | None, float], ...]:
    if given is None:
        return ()
    margins: list[tuple[str | None, float]] = [(None, given)] if not isinstance(given, Mapping) else [*given.items()]
    named = all(name is None or isinstance(name, str) for name, _ in margins)
    numbers = all(type(margin) in (int, float) and MOE_MIN <= margin <= MOE_MAX for _, margin in margins)
    if not named or not numbers or not 0 < len(margins) <= COLUMNS_MAX:
        raise QueryRefused(
            "unsupported",
            "This margin of error cannot be asked for.",
            accepted=f"a number between {MOE_MIN:g} and {MOE_MAX:g}, or one for each of several columns",
        )
    return tuple(sorted(((name, float(margin)) for name, margin in margins), key=lambda each: each[0] or ""))


def _moe_at_n(given: int | None, moe: object) -> int:
    if given is None:
        return MOE_AT_N
    if moe is None or type(given) is not int or not 1 <= given <= MOE_AT_N_MAX:
        raise QueryRefused(
            "unsupported",
            "This moe_at_n cannot be used.",
            accepted=f"beside moe, a whole number of rows from 1 to {MOE_AT_N_MAX:,}",
        )
    return given
