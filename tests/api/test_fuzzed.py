"""The whole API under invented requests: schemathesis reads /openapi.json and tries what it says, and what it does not."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
import schemathesis
from schemathesis import engine
from schemathesis.engine import events
from served import give

from api.app import create
from api.rights import RIGHTS
from api.settings import Settings
from tests.seeds import PROVE, seed

EXAMPLES = 200 if PROVE else 15
"""Requests of a route, phase and kind, besides those that lie at the ends of the description."""

TAKEN = ["2xx", "401", "403", "404", "409", "422"]
"""What a valid body may come to: the description cannot say which text is SQL, or which name is known."""


def always(app):
    """The application without its end: schemathesis would close the district after each request."""

    async def living(scope, receive, send):
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        while (message := await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": message["type"] + ".complete"})

    return living


@pytest.fixture(scope="module", params=["researcher", "agency", "officer", "auditor", "nobody"])
def described(request, pristine, tmp_path_factory):
    """A district of its own for each kind of token, since an officer may close it, as it describes itself."""
    folder = tmp_path_factory.mktemp("fuzzed") / "small"
    shutil.copytree(pristine, folder)
    token = give(folder).get(request.param)
    limits = folder.with_name("limits.sqlite")
    app = create(Settings(folder, limits, grid_s=(), requests_per_minute=10**6, charges_per_minute=10**6))
    config = {
        "seed": seed() % 2**32,
        "headers": {} if token is None else {"Authorization": f"Bearer {token}"},
        "continue-on-failure": True,
        "generation": {"mode": "all", "max-examples": EXAMPLES},
        "checks": {"positive_data_acceptance": {"expected-statuses": TAKEN}},
    }
    yield schemathesis.openapi.from_asgi("/openapi.json", always(app), config=schemathesis.Config.from_dict(config))
    app.app.state.desk.close()


@pytest.mark.slow
def test_the_server_keeps_to_its_description(described):
    """Whoever asks, whatever is sent: no failure inside, no status, type or shape that is not described."""
    print(f"HOMEROOM_SEED={seed()} (schemathesis)")
    wrong, statuses, tried = [], Counter(), set()
    for event in engine.from_schema(described).execute():
        if isinstance(event, events.NonFatalError):
            wrong.append(f"{event.label}: {event.value}")
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.ScenarioFinished):
            recorder = event.recorder
            tried.add(recorder.label)
            statuses.update(each.response.status_code for each in recorder.interactions.values() if each.response)
            for checks in recorder.checks.values():
                wrong += [
                    f"{recorder.label}: {each.name}: {each.failure_info.failure} {each.failure_info.code_sample}"
                    for each in checks
                    if each.failure_info
                ]
    print(dict(statuses))
    assert not wrong, "\n\n".join(dict.fromkeys(wrong))
    assert {f"{method} {path}" for method, path in RIGHTS} <= tried
