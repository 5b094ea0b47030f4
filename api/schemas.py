"""What goes over the wire: requests, answers and problems, as the server takes and gives them.

Nothing of the house is imported here: the researcher's client reads these models and no other room. A request is
strict (no unknown field, no number that is a text or a yes, nothing infinite); an answer is read leniently, so that
an older client understands a newer server.
"""

from __future__ import annotations

from datetime import date  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

TEXT_BYTES_MAX = 20_000
YEAR_MAX = 999_999
COHORTS_MAX = 10_000
COLUMNS_MAX = 200
NAME_MAX = 60
WORDS_MAX = 500

Cell = str | int | float | bool | None
Number = float | int | None
Year = Annotated[int, Field(ge=-YEAR_MAX, le=YEAR_MAX)]
Margin = Annotated[float, Field(ge=1e-9, le=1e15)]
Epsilon = Annotated[float, Field(gt=0, le=100)]
Words = Annotated[str, Field(min_length=1, max_length=WORDS_MAX)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
Role = Literal["researcher", "agency", "officer", "auditor"]
Population = Literal["research", "mandated"]


class Asked(BaseModel):
    """What is sent to the server."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Told(BaseModel):
    """What the server sends."""

    model_config = ConfigDict(extra="ignore", frozen=True)


# -- questions


class Question(Asked):
    """One question and how it is asked."""

    sql: Annotated[str, Field(min_length=1, max_length=TEXT_BYTES_MAX, description="One SELECT.")]
    request_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=100,
            pattern=r"^[!-~]([ -~]*[!-~])?$",
            description="Your own id: the same question asked again under it gives the same answer, for nothing.",
        ),
    ] = None
    grant: Annotated[
        str | None, Field(min_length=1, max_length=100, description="The token's own grant; no other is answered.")
    ] = None
    cohorts: Annotated[
        list[Year] | None,
        Field(min_length=1, max_length=COHORTS_MAX, description="Ask only of these classes."),
    ] = None
    moe: Annotated[
        Margin | Annotated[dict[str, Margin], Field(min_length=1, max_length=COLUMNS_MAX)] | None,
        Field(description="The 90 % margin to keep, in the column's unit; one for each of several estimates."),
    ] = None
    moe_at_n: Annotated[
        int | None,
        Field(ge=1, le=10**9, description="Ratios keep the margin in cells of so many rows; 100 if not named."),
    ] = None
    epsilon: Annotated[
        Epsilon | None, Field(description="Spend so much (at δ 5e-8) instead of the default share.")
    ] = None
    rows_per_student_max: Annotated[
        int | None,
        Field(ge=1, le=10_000, description="Less noise: who has more rows than this counts in proportion."),
    ] = None
    groups_per_student_max: Annotated[
        int | None,
        Field(ge=1, le=10_000, description="Likewise for who is in more groups than this."),
    ] = None
    rehearse: Annotated[bool, Field(description="Ask invented records instead; free.")] = False


class Column(Told):
    """One column of an answer; the values of a `date` are ISO texts, such as 2025-01-31."""

    name: str
    role: Literal["key", "estimate", "derived"]
    type: Literal["integer", "double", "boolean", "text", "date"]
    unit: str | None
    moe_reason: str | None


class Charge(Told):
    """What a question cost one cohort; ε is at δ = 5e-8."""

    cohort: int
    loss_nanorho: int
    delta_atto: int
    epsilon: float


class LeftOut(Told):
    """A cohort that a question touches but was not asked of."""

    cohort: int
    reason: str


class Noise(Told):
    """The noise of one statistic, in its integer units."""

    statistic: str
    distribution: Literal["discrete_gaussian", "mean_of_discrete_gaussians"]
    scale: float
    sensitivity_l2: float


class Bounds(Told):
    """The bounds within which an argument was summed."""

    expression: str
    low: float
    high: float


class Expected(Told):
    """A margin foretold: of any cell, or of a ratio over so many rows; null where the noise leaves none."""

    column: str
    moe90: float | None
    moe90_at_n: dict[str, float | None] | None


class _Answered(Told):
    """What a preview and an answer have in common."""

    sql: str
    plan_hash: str
    engine_version: str
    epoch: str
    population: Population
    grant: str
    rehearsal: bool
    columns: list[Column]
    partial: list[list[int]]
    charges: list[Charge]
    cohorts_left_out: list[LeftOut]
    noise: list[Noise]
    bounds: list[Bounds]
    notes: list[str]


class Preview(_Answered):
    """What a question would cost and how wide its margins would be."""

    expected: list[Expected]


class Release(_Answered):
    """A private answer; `se`, `moe90` and `moe95` have the shape of `rows`."""

    release_id: str
    request_id: str
    replayed: bool
    rows: list[list[Cell]]
    se: list[list[Number]]
    moe90: list[list[Number]]
    moe95: list[list[Number]]
    independent: list[bool]
    draws: list[int]


class ExplainedStatistic(Told):
    """One measured vector and the proof of its sensitivity."""

    statistic: str
    cohorts: list[int]
    pins: list[str]
    rows: int
    rows_because: str
    rows_per_group: int
    rows_per_group_because: str
    groups: int
    bound: int
    unit: float
    sensitivity_l2: float
    scale: float
    loss_nanorho: int
    clamping: list[str]


class Explanation(Told):
    """Why a question costs what it costs, and what would make it sharper."""

    preview: Preview
    keys: list[str]
    groups: int
    statistics: list[ExplainedStatistic]
    statement: str | None
    early: bool
    advice: list[str]


# -- what may be asked about


class SchemaColumn(Told):
    """A column that may be read; `values` lists all there can be, `low` and `high` bound a number or a date.

    Dates are ISO texts, such as 2025-01-31.

    Attributes:
        bounded_by: the public table that has the bounds of each kind of row instead.
    """

    name: str
    type: str
    values: list[Cell] | None
    low: float | str | None
    high: float | str | None
    bounded_by: str | None = None
    unit: str | None
    nullable: bool


class SchemaTable(Told):
    """A table that may be read; `rows_per_student_max` is null for public tables and where a key leaves one row.

    Attributes:
        rows: of a public table all of them, in the order of its columns; null for a table of students.
    """

    name: str
    public: bool
    unique: list[list[str]]
    rows_per_student_max: int | None
    checks: list[str]
    columns: list[SchemaColumn]
    rows: list[list[Cell]] | None = None


class Schema(Told):
    """The tables a grant covers, and the public ones."""

    district_id: str
    district_name: str
    grant: str
    population: Population
    owner: str
    cohort: str
    cohorts: list[int]
    tables: list[SchemaTable]


class Cohort(Told):
    """What a class has spent and has left, in nano-ρ, and how far it reaches at the median question of this year."""

    cohort: int
    standing: Literal["open", "mandated_only", "not_yet", "sealed"]
    year_cap_nanorho: int
    year_spent_nanorho: int
    lifetime_cap_nanorho: int
    lifetime_spent_nanorho: int
    allowance_cap_nanorho: int
    allowance_spent_nanorho: int
    population_cap_nanorho: int
    population_spent_nanorho: int
    year_epsilon_spent: float
    lifetime_epsilon_spent: float
    questions_this_year: int
    median_question_nanorho: int
    more_questions: int
    dry_on: date | None


class Cohorts(Told):
    """The budget of every class, under a grant."""

    grant: str
    population: Population
    budget_year: int
    cohorts: list[Cohort]


class Health(Told):
    """Whether the server answers."""

    status: Literal["ok"]
    engine_version: str


# -- what officers decide


class Promise(Told):
    """The sentences that hold for one class."""

    cohort: int
    sentences: list[str]


class Event(Told):
    """Something that was decided, or a load."""

    seq: int
    at: str
    kind: str
    body: dict[str, Any]


class Policy(Told):
    """Who is answered, what is promised, and everything that was decided."""

    state: Literal["pilot", "open", "closed"]
    research_share: str
    mandated_share: str
    promises: list[Promise]
    events: list[Event]


class Closing(Asked):
    """Why all answers stop."""

    reason: Words


class Lowering(Asked):
    """Lower lifetime budgets."""

    cohorts: Annotated[list[Year], Field(min_length=1, max_length=1000)]
    lifetime_epsilon: Annotated[float, Field(ge=0, le=100, description="The new lifetime ε (at δ 5e-8).")]


class NewGrant(Asked):
    """A grant to be given; who gives it is the holder of the token."""

    grant: Annotated[Name, Field(description="What it is asked under; never given again.")]
    kind: Literal["researcher", "agency"]
    organisation: Words
    purpose: Annotated[Words, Field(description="What the answers are for; everybody may read it.")]
    tables: Annotated[
        dict[str, list[str] | None],
        Field(min_length=1, max_length=200, description="What it may read; null for all columns of a table."),
    ]
    cohorts: Annotated[list[Year], Field(min_length=1, max_length=1000)]
    allowance_percent: Annotated[float, Field(ge=1e-7, le=100, description="Of each class's budget year.")]
    population: Population = "research"
    ceiling_epsilon: Annotated[
        Epsilon | None, Field(description="The most one question may cost a class (at δ 5e-8).")
    ] = None
    expires: Annotated[date, Field(description="Its last day.")]


class Used(Told):
    """What a grant has used of a class's year, in nano-ρ."""

    cohort: int
    allowance_cap_nanorho: int
    spent_nanorho: int


class Grant(Told):
    """One grant; the built-in one has no terms."""

    grant: str
    state: Literal["in force", "ended", "revoked"]
    population: Population
    year_fraction: str
    revoked: str | None
    used: list[Used]
    kind: Literal["researcher", "agency"] | None = None
    organisation: str | None = None
    purpose: str | None = None
    scope: dict[str, list[str] | None] | None = None
    cohorts: list[int] | None = None
    ceiling_nanorho: int | None = None
    expires: date | None = None
    approved_by: str | None = None


class Grants(Told):
    """All grants there are and were."""

    grants: list[Grant]


class Revocation(Asked):
    """Why a grant ends before its last day."""

    reason: Words


# -- why not


class Problem(Told):
    """Why there is no answer (RFC 9457); `code` is one word for programs, `accepted` what would be answered.

    Attributes:
        request_id: of the question; the same request may be sent again under it, and is never paid twice.
        incident: of a failure inside, for whoever asks the district about it.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    message: str
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None
    accepted: str | None = None
    request_id: str | None = None
    incident: str | None = None
