"""A server in this process, as its contract says: what a client is tried against without a network."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic_core import to_json

from api.schemas import Problem
from engine.refusals import AccessRefused, BudgetRefused, QueryRefused, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.district import District

TOKEN = "hr_" + "0123456789ab" + "_" + "c0ffee42" * 8
STATUSES = {QueryRefused: 422, BudgetRefused: 409, AccessRefused: 403}
CODES = {"grant_missing": 404, "request_id_reused": 409, "in_progress": 409, "answer_lost": 410}

Step = Any  # a response, an error to raise, or None for the district's own answer


@dataclass
class Wire:
    """Answers with a district, opened when it is needed; what stands in `steps` comes first, one for each request."""

    opened: Callable[[], District]
    steps: list[Step] = field(default_factory=list)
    seen: list[httpx2.Request] = field(default_factory=list)

    @property
    def district(self) -> District:
        """The district behind it."""
        return self.opened()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """What the server does with a request."""
        self.seen.append(request)
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, Exception):
            raise step
        return step or self.answered(request)

    def answered(self, request: httpx2.Request) -> httpx2.Response:
        """The district's own answer."""
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return problem(401, "unauthenticated")
        try:
            return told(self._told(request))
        except Refusal as refused:
            status = CODES.get(refused.code) or next(s for kind, s in STATUSES.items() if isinstance(refused, kind))
            return problem(status, **refused.body())

    def _told(self, request: httpx2.Request) -> object:
        route = request.url.path.rsplit("/v1/", maxsplit=1)[-1]
        if route == "cohorts":
            return cohorts(self.district)
        if route == "schema":
            return schema(self.district)
        return getattr(self.district, route)(**json.loads(request.content))

    @property
    def transport(self) -> httpx2.MockTransport:
        """The way to it."""
        return httpx2.MockTransport(self)

    def bodies(self) -> list[dict[str, Any]]:
        """What was sent, as JSON."""
        return [json.loads(request.content) for request in self.seen if request.content]


def told(body: object) -> httpx2.Response:
    """An answer as the server writes it."""
    return httpx2.Response(200, content=to_json(body), headers={"Content-Type": "application/json"})


def problem(
    status: int, code: str, message: str = "No.", *, retry_after: str | None = None, **more: Any
) -> httpx2.Response:
    """A problem as the server writes it."""
    of = Problem(type="about:blank", title="No", status=status, detail=message, code=code, message=message, **more)
    headers = {"Content-Type": "application/problem+json", **({"Retry-After": retry_after} if retry_after else {})}
    return httpx2.Response(status, content=to_json(of), headers=headers)


def cohorts(district: District) -> dict[str, Any]:
    """The balances of every class."""
    balances = district.balances().values()
    return {
        "grant": "district",
        "population": "research",
        "budget_year": district.budget_year(),
        "cohorts": [
            {
                "cohort": each.cohort,
                "standing": "open",
                **{
                    f"{name}_nanorho": getattr(each, name)
                    for part in ("year", "lifetime", "allowance", "population")
                    for name in (f"{part}_cap", f"{part}_spent")
                },
                "year_epsilon_spent": 0.1,
                "lifetime_epsilon_spent": 0.1,
                "questions_this_year": 1,
                "median_question_nanorho": 1,
                "more_questions": 12,
                "dry_on": "2027-01-31",
            }
            for each in balances
        ],
    }


def schema(district: District) -> dict[str, Any]:
    """The tables there are, two columns of each kind being enough."""
    grade = {"name": "grade_level", "type": "text", "values": ["KG", "01"], "low": None, "high": None, "unit": None}
    gpa = {"name": "gpa", "type": "decimal(3,2)", "values": None, "low": 0, "high": 5, "unit": "grade points"}
    return {
        "district_id": "us-xx-demo",
        "district_name": "Demo <Unified>",
        "grant": "district",
        "population": "research",
        "owner": "student_key",
        "cohort": "cohort_year",
        "cohorts": sorted(district.balances()),
        "tables": [
            {
                "name": "student_year",
                "public": False,
                "unique": [["student_key", "school_year"]],
                "rows_per_student_max": 15,
                "checks": [],
                "columns": [{**grade, "nullable": False}, {**gpa, "nullable": True}],
            }
        ],
    }
