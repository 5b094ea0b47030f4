"""What the server says of itself at /openapi.json: bodies, answers in all their forms, problems, examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from api import problems, schemas
from api.media import Media
from api.rights import RIGHTS

if TYPE_CHECKING:
    from fastapi import FastAPI
    from pydantic import BaseModel

REFERENCE = "#/components/schemas/{model}"
DETAIL = {"content": {problems.MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model="Problem")}}}}

EXAMPLES: dict[str, dict[str, Any]] = {
    "Question": {
        "chronic absence": {
            "sql": "SELECT grade_level, AVG(CASE WHEN days_absent >= 0.1 * days_enrolled THEN 1.0 ELSE 0.0 END) "
            "AS chronic_rate FROM student_year WHERE school_year = 2025 AND days_enrolled >= 10 GROUP BY grade_level",
            "request_id": "chronic-2025",
        },
        "a margin": {
            "sql": "SELECT COUNT(*) AS students FROM student_year WHERE school_year = 2025",
            "moe": 60,
            "rehearse": True,
        },
    },
    "Closing": {"a complaint": {"reason": "A complaint is being looked into."}},
    "Lowering": {"one class": {"cohorts": [2030], "lifetime_epsilon": 2.0}},
    "NewGrant": {
        "a study": {
            "grant": "absence-study",
            "kind": "researcher",
            "organisation": "State University",
            "purpose": "Which grades miss most school",
            "tables": {"student_year": ["school_year", "grade_level", "days_absent", "days_enrolled"]},
            "cohorts": [2030, 2031],
            "allowance_percent": 5,
            "expires": "2099-06-30",
        }
    },
    "Revocation": {"its end": {"reason": "The study is over."}},
}
"""Bodies that the server takes, by model; the tests send each of them."""

DESCRIPTION = """
Private answers to SQL questions about students: every estimate comes with the margin of error of the noise that was
added, and every class of students has a budget that each question is charged to. Losses are counted in nano-ρ (zCDP);
ε is always at δ = 5e-8. Ask for a token from the district; send it as `Authorization: Bearer hr_…`.
"""

_WORDS = {
    400: "The body cannot be read.",
    401: "No token, or none that is in force.",
    403: "The token, its grant or the district does not allow it.",
    404: "There is nothing of this name.",
    405: "The route has other methods.",
    406: "No form that the request accepts.",
    409: "The budget does not cover it, or the request is taken.",
    410: "The answer is lost, or cannot be written out again.",
    413: "The body is too long.",
    415: "The body is not JSON.",
    422: "The question, or what is to be decided, cannot be answered as it is written.",
    429: "Too many requests in a time.",
    500: "It failed inside; nothing more is said.",
    503: "The district cannot answer now.",
}

ANSWERED: dict[int | str, dict[str, Any]] = {
    status: {"description": words, **DETAIL} for status, words in _WORDS.items()
}

_TABLES = {Media.CSV: "string", Media.PARQUET: "string", Media.ARROW: "string"}
RELEASED: dict[str, Any] = {
    "response_model": schemas.Release,
    "responses": ANSWERED
    | {
        200: {
            "description": "The answer; as a table its columns, then for each estimate its _se, _moe90 and _moe95.",
            "content": {
                media.value: {"schema": {"type": kind} | ({} if media is Media.CSV else {"format": "binary"})}
                for media, kind in _TABLES.items()
            },
            "headers": {
                name: {"schema": {"type": "string"}, "description": words}
                for name, words in (
                    ("Homeroom-Release-Id", "By which the answer is found again."),
                    ("Homeroom-Request-Id", "Of the question, for another try."),
                    ("Homeroom-Replayed", "Whether it was stored already."),
                )
            },
        }
    },
}


def asks(model: type[BaseModel]) -> dict[str, Any]:
    """The body of a route in its description."""
    name = model.__name__
    examples = {title: {"value": body} for title, body in EXAMPLES[name].items()}
    reference = {"$ref": REFERENCE.format(model=name)}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": reference, "examples": examples}},
        }
    }


def described(app: FastAPI) -> dict[str, Any]:
    """The description of the server, made once."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes, description=DESCRIPTION)
        components = found.setdefault("components", {})
        known = components.setdefault("schemas", {})
        for name in ("Problem", *EXAMPLES):
            model: type[BaseModel] = getattr(schemas, name)
            body = model.model_json_schema(ref_template=REFERENCE)
            known |= body.pop("$defs", {}) | {name: body}
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "hr_<id>_<secret>"}
        }
        for (method, path), scope in RIGHTS.items():
            operation = found["paths"][path][method.lower()]
            operation["responses"] = {
                status: told for status, told in operation["responses"].items() if _applies(status, scope, operation)
            }
            if scope is not None:
                operation["security"] = [{"token": []}]
        app.openapi_schema = found
    return app.openapi_schema


def _applies(status: str, scope: str | None, operation: dict[str, Any]) -> bool:
    """Whether a reply of this status can come: those about tokens and bodies only where there are any."""
    if scope is None and status in ("401", "403"):
        return False
    return "requestBody" in operation or status not in ("400", "413", "415")
