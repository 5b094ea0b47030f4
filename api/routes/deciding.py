"""What an officer decides alone, and what an auditor may read of it.

What takes two people (opening, raising, unsealing, switching on) has no route: it is done at the district's machine,
where both of them are. Who decides is the holder of the token, whatever the body says.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool

from api import schemas
from api.asking import Caller, OneDesk, body, reply
from api.openapi import ANSWERED, asks
from api.present_office import grant_json, policy_json
from budgets.decisions import named
from budgets.grants import Grant, Terms
from budgets.loss import nanorho_for
from engine.refusals import AccessRefused

if TYPE_CHECKING:
    from starlette.responses import Response

    from engine.office import Office

router = APIRouter(tags=["deciding"])


@router.get("/v1/policy", responses=ANSWERED, response_model=schemas.Policy)
async def policy(_: Caller, desk: OneDesk) -> Response:
    """Who is answered, what is promised to each child, and everything that was decided."""
    return await run_in_threadpool(lambda: reply(_policy(desk.office)))


@router.post(
    "/v1/policy/closing", responses=ANSWERED, response_model=schemas.Policy, openapi_extra=asks(schemas.Closing)
)
async def closing(
    token: Caller, desk: OneDesk, asked: Annotated[schemas.Closing, Depends(body(schemas.Closing))]
) -> Response:
    """Stop all answers, at once and for everybody. Two people at the district's machine open it again."""

    def work() -> Response:
        desk.office.close_district(token.holder, asked.reason)
        return reply(_policy(desk.office))

    return await run_in_threadpool(work)


@router.post(
    "/v1/policy/lowering", responses=ANSWERED, response_model=schemas.Policy, openapi_extra=asks(schemas.Lowering)
)
async def lowering(
    token: Caller, desk: OneDesk, asked: Annotated[schemas.Lowering, Depends(body(schemas.Lowering))]
) -> Response:
    """Lower the lifetime budget of some classes, for good: raising it again takes two people."""

    def work() -> Response:
        nanorho = nanorho_for(asked.lifetime_epsilon) if asked.lifetime_epsilon > 0 else 0
        desk.office.lower_cap(asked.cohorts, nanorho, token.holder)
        return reply(_policy(desk.office))

    return await run_in_threadpool(work)


@router.get("/v1/grants", responses=ANSWERED, response_model=schemas.Grants)
async def grants(_: Caller, desk: OneDesk) -> Response:
    """All grants there are and were."""
    return await run_in_threadpool(
        lambda: reply({"grants": [_grant(desk.office, each) for each in desk.office.grants()]})
    )


@router.get("/v1/grants/{name}", responses=ANSWERED, response_model=schemas.Grant)
async def grant(name: str, _: Caller, desk: OneDesk) -> Response:
    """One grant with its terms, and what it has used this year."""
    return await run_in_threadpool(lambda: reply(_grant(desk.office, desk.office.grant(name))))


@router.post("/v1/grants", responses=ANSWERED, response_model=schemas.Grant, openapi_extra=asks(schemas.NewGrant))
async def give(
    token: Caller, desk: OneDesk, asked: Annotated[schemas.NewGrant, Depends(body(schemas.NewGrant))]
) -> Response:
    """Give a grant."""

    def work() -> Response:
        given = _new(asked, token.holder)
        desk.office.add_grant(given)
        return reply(_grant(desk.office, given))

    return await run_in_threadpool(work)


@router.post(
    "/v1/grants/{name}/revocation",
    responses=ANSWERED,
    response_model=schemas.Grant,
    openapi_extra=asks(schemas.Revocation),
)
async def revoke(
    name: str, token: Caller, desk: OneDesk, asked: Annotated[schemas.Revocation, Depends(body(schemas.Revocation))]
) -> Response:
    """End a grant before its last day, from the next question on."""

    def work() -> Response:
        desk.office.revoke_grant(name, token.holder, asked.reason)
        return reply(_grant(desk.office, desk.office.grant(name)))

    return await run_in_threadpool(work)


def _policy(office: Office) -> dict[str, Any]:
    return policy_json(office.policy(), office.balances(), office.events())


def _grant(office: Office, found: Grant) -> dict[str, Any]:
    return grant_json(found, office.balances(found.id), office.today())


def _new(asked: schemas.NewGrant, holder: str) -> Grant:
    """The grant of a body; who gives it is the holder of the token."""
    ceiling = None if asked.ceiling_epsilon is None else max(1, nanorho_for(asked.ceiling_epsilon))
    try:
        terms = Terms(
            kind=asked.kind,
            organisation=named(asked.organisation, "The organisation"),
            purpose=named(asked.purpose, "The purpose"),
            scope={name: None if columns is None else frozenset(columns) for name, columns in asked.tables.items()},
            cohorts=tuple(dict.fromkeys(asked.cohorts)),
            ceiling_nanorho=ceiling,
            expires=asked.expires,
            approved_by=holder,
        )
        fraction = Fraction(Decimal(str(asked.allowance_percent))) / 100
        return Grant(named(asked.grant, "The grant's name"), asked.population, fraction, terms)
    except ValueError as error:
        raise AccessRefused("approval", f"This grant cannot be given: {error}.", accepted="other terms") from None
