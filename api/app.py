"""The server of one district, put together: desk, routes, handlers, outermost layer."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api import problems
from api.asking import Desk, admitted
from api.envelope import Envelope
from api.limits import Limits
from api.openapi import described
from api.problems import NotUnderstood
from api.rights import RIGHTS
from api.routes import deciding, questions, reading
from api.settings import Settings
from engine.district import District
from engine.office import Office
from engine.refusals import InternalFailure, LedgerDamaged, Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from fastapi import APIRouter
    from starlette.responses import Response

PARENT_POLL_S = 1.0
ROUTERS = (questions.router, reading.router, deciding.router)


def create(settings: Settings) -> Envelope:
    """The server of a district, which it opens.

    Raises:
        CatalogRefused: no district is there, or its catalog is not the one its records were verified against.
        LedgerDamaged: its ledger contradicts itself.
    """
    limits = Limits(settings.limits_file)
    gate = partial(_gate, limits, settings.charges_per_minute)
    seen_s = tuple(each / 2 for each in settings.grid_s)  # so that what is seen at one moment leaves at the next
    district = District.open(settings.folder, gate=gate, threads=settings.threads, grid_s=seen_s)
    desk = Desk(district, Office.open(settings.folder), limits, settings)
    return Envelope(application(desk), desk.district.noted, settings.grid_s, settings.secure)


def told() -> Envelope:
    """The server of a worker process, as its supervisor told it."""
    return create(Settings.told())


def _gate(limits: Limits, per_minute: int, grant: str, cohorts: Sequence[int]) -> None:
    """Count a question for its classes; one grant has half of what a class has, so that others come to theirs."""
    rates = {f"class {cohort}": per_minute for cohort in cohorts}
    rates |= {f"grant {grant} class {cohort}": max(1, per_minute // 2) for cohort in cohorts}
    limits.take(rates, "Questions that charge one of these classes")


def application(desk: Desk) -> FastAPI:
    """The routes, with what stands before and behind each of them."""
    app = FastAPI(
        title="Homeroom",
        version=version("homeroom"),
        dependencies=[Depends(admitted)],
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.desk = desk
    require_rights(ROUTERS)
    for router in ROUTERS:
        app.include_router(router)
    for kind in (Refusal, InternalFailure, LedgerDamaged, NotUnderstood):
        app.add_exception_handler(kind, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _unrouted)
    app.openapi = partial(described, app)  # type: ignore[method-assign]  # FastAPI's way to replace it
    return app


def routes_of(routers: Iterable[APIRouter]) -> set[tuple[str, str]]:
    """(method, path) of every route.

    Raises:
        RuntimeError: one of another kind, which would be served without a look at the rights.
    """
    found = [route for router in routers for route in router.routes]
    if not all(isinstance(route, APIRoute) for route in found):
        raise RuntimeError("a route that is no APIRoute has no dependencies")
    return {(method, route.path) for route in found if isinstance(route, APIRoute) for method in route.methods or ()}


def require_rights(routers: Iterable[APIRouter]) -> None:
    """Make sure that every route has its row in the table of rights, and every row its route.

    Raises:
        RuntimeError: one is missing.
    """
    routed = routes_of(routers)
    if routed != set(RIGHTS):
        raise RuntimeError(f"routes and rights differ: {sorted(routed ^ set(RIGHTS))}")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Close the district when the last answer has left; stop when the supervisor is gone."""
    desk: Desk = app.state.desk
    watch = asyncio.create_task(_watch(desk.settings.parent))
    try:
        yield
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        desk.close()


async def _watch(parent: int | None) -> None:
    """A worker whose supervisor was killed would hold the port for ever."""
    while parent is not None:
        await asyncio.sleep(PARENT_POLL_S)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return


async def _refused(request: Request, error: Exception) -> Response:
    return problems.of(error, getattr(request.state, "request_id", None))


async def _malformed(_: Request, __: Exception) -> Response:
    return problems.of(NotUnderstood("malformed", "A part of the path cannot be read.", "what /openapi.json says"))


async def _unrouted(request: Request, error: Exception) -> Response:
    """No such route, or no such method of it; everything else that the framework refuses is a body it cannot read."""
    status = getattr(error, "status_code", None)
    if status == problems.CODES["method_not_allowed"]:
        path = getattr(request.scope.get("route"), "path", None)
        allowed = ", ".join(method for method, routed in RIGHTS if routed == path) or "GET"
        message = "This route has other methods."
        return problems.of(NotUnderstood("method_not_allowed", message, allowed, {"Allow": allowed}))
    if status == problems.CODES["not_found"]:
        return problems.of(NotUnderstood("not_found", "There is nothing at this path.", "a path of /openapi.json"))
    return problems.of(NotUnderstood("unreadable", "The request cannot be read.", "what /openapi.json says"))
