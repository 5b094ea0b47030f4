"""What may be asked about, and what is left: made of catalog and ledger, never of a record."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import schemas
from api.asking import Caller, Desk, OneDesk, reply
from api.openapi import ANSWERED
from api.present_office import budget_json
from budgets.grants import DISTRICT, check_standing
from budgets.tokens import Token
from engine import tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from budgets.grants import Grant
    from engine.catalog import Catalog, Table

router = APIRouter(tags=["reading"])


@router.get("/v1/schema", responses=ANSWERED, response_model=schemas.Schema)
async def schema(token: Caller, desk: OneDesk) -> Response:
    """The tables the token's grant covers, with every value and bound that is declared, and the public tables."""
    return await run_in_threadpool(lambda: reply(_schema(desk.district.catalog, _grant(desk, token))))


@router.get("/v1/cohorts", responses=ANSWERED, response_model=schemas.Cohorts)
async def cohorts(token: Caller, desk: OneDesk) -> Response:
    """What every class of the token's grant has spent and has left under it."""
    return await run_in_threadpool(_cohorts, desk, token)


def _cohorts(desk: Desk, token: Token) -> Response:
    grant, office = _grant(desk, token), desk.office
    balances = {each: balance for each, balance in office.balances(grant.id).items() if grant.allows_cohort(each)}
    found = budget_json(balances, office.outlooks(grant.id), office.budget_year())
    return reply({"grant": grant.id, "population": grant.population, **found})


@router.get("/v1/health", responses=ANSWERED, response_model=schemas.Health)
async def health(desk: OneDesk) -> Response:
    """Whether the server answers and reads its ledger."""
    await run_in_threadpool(desk.office.policy)
    return reply({"status": "ok", "engine_version": version("homeroom")})


def _grant(desk: Desk, token: Token) -> Grant:
    """Whose sight it is: the token's grant while it lasts, or for officers and auditors the district's own."""
    grant = desk.office.grant(token.grant or DISTRICT)
    check_standing(grant, desk.office.today())
    return grant


def _schema(catalog: Catalog, grant: Grant) -> dict[str, Any]:
    scope = None if grant.terms is None else grant.terms.scope
    private = [table for table in catalog.private_tables if scope is None or table.name in scope]
    cohorts = [cohort for cohort in catalog.cohorts if grant.allows_cohort(cohort)]
    return {
        "district_id": catalog.district_id,
        "district_name": catalog.district_name,
        "grant": grant.id,
        "population": grant.population,
        "owner": catalog.owner,
        "cohort": catalog.cohort,
        "cohorts": cohorts,
        "tables": [_table(each, None if scope is None else scope[each.name]) for each in private]
        + [_table(each, None) for each in catalog.public_tables],
    }


def _table(table: Table, allowed: frozenset[str] | None) -> dict[str, Any]:
    columns = [
        {
            "name": column.name,
            "type": str(column.type),
            "values": None if column.values is None else [tree.told(value, column.type) for value in column.values],
            "low": _end(column.low, column.type),
            "high": _end(column.high, column.type),
            "bounded_by": None if column.ranges is None else column.ranges.table,
            "unit": column.unit,
            "nullable": column.nullable,
        }
        for column in table.columns.values()
        if column.on and (allowed is None or column.name in allowed)
    ]
    names = [str(column["name"]) for column in columns]
    return {
        "name": table.name,
        "public": table.public,
        "unique": [list(key) for key in table.unique],
        "rows_per_student_max": table.rows_per_student_max,
        "checks": list(table.check_texts),
        "columns": columns,
        "rows": [_row(table, row, names) for row in table.rows] if table.public else None,
    }


def _end(end: Fraction | float | None, of: tree.Type) -> float | str | None:
    """A bound of a column: a number, or of a date its ISO text."""
    if end is None:
        return None
    return str(tree.told(end, of)) if of == tree.DATE else float(end)


def _row(table: Table, row: Mapping[str, Any], names: list[str]) -> list[Any]:
    """A row of a public table; its dates are ISO texts."""
    return [tree.told(row[name], table.columns[name].type) for name in names]
