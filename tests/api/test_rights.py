"""Who may use which route: every route, with every token there can be."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from fastapi import APIRouter
from served import WHOLE, give, serving
from starlette.routing import Route

from api.app import ROUTERS, require_rights, routes_of
from api.rights import RIGHTS
from budgets.clock import FixedClock
from engine.office import Office

ASKERS = {"researcher", "agency"}
READERS = {"researcher", "agency", "officer", "auditor"}
WATCHERS = {"officer", "auditor"}

MATRIX = {
    ("POST", "/v1/ask"): ASKERS,
    ("POST", "/v1/preview"): ASKERS,
    ("POST", "/v1/explain"): ASKERS,
    ("GET", "/v1/schema"): READERS,
    ("GET", "/v1/cohorts"): READERS,
    ("GET", "/v1/releases/{release_id}"): READERS,
    ("GET", "/v1/policy"): WATCHERS,
    ("POST", "/v1/policy/closing"): {"officer"},
    ("POST", "/v1/policy/lowering"): {"officer"},
    ("GET", "/v1/grants"): WATCHERS,
    ("POST", "/v1/grants"): {"officer"},
    ("GET", "/v1/grants/{name}"): WATCHERS,
    ("POST", "/v1/grants/{name}/revocation"): {"officer"},
    ("GET", "/v1/health"): READERS | {None},
}
"""Written by hand: who is meant to use which route."""

ROUTES = sorted(routes_of(ROUTERS))
LATER = timedelta(days=10)


@pytest.fixture(scope="module")
def gate(pristine_pilot, tmp_path_factory):
    """A district ten days after it gave its tokens, some of which have ended since."""
    folder = tmp_path_factory.mktemp("gate") / "small"
    shutil.copytree(pristine_pilot, folder)
    with pytest.MonkeyPatch.context() as patch:
        begun = at = _founded(folder)
        patch.setattr("engine.office.SystemClock", lambda: FixedClock(at))
        patch.setattr("engine.district.SystemClock", lambda: FixedClock(at))
        tokens = give(folder)
        with Office.open(folder) as office:
            keyring = office.keyring
            tokens["expired"] = keyring.add("R", "A", grant="study", expires=(begun + timedelta(days=2)).date())
            for name in ("revoked", "rotated", "overlapped"):
                tokens[name] = keyring.add("R", "A", role="officer")
            keyring.revoke(tokens["revoked"].split("_")[1], "A", "over")
            keyring.rotate(tokens["rotated"].split("_")[1], "A")
            keyring.rotate(tokens["overlapped"].split("_")[1], "A", timedelta(days=9))
            tokens["narrow"] = keyring.add("R", "A", grant="study", scopes=["preview"])
            other = keyring.add("R", "A", grant="study")
        tokens["wrong"] = tokens["officer"][:-1] + ("0" if tokens["officer"][-1] != "0" else "1")
        tokens["foreign"] = "hr_" + "0" * 12 + "_" + "f" * 64
        tokens["mixed"] = f"hr_{other.split('_')[1]}_{tokens['officer'].split('_')[2]}"
        at = begun + LATER
        with serving(folder, tokens) as found:
            yield found


def _founded(folder):
    with Office.open(folder) as office:
        return max(event.at for event in office.events())


def code_of(gate, route, who):
    """What is said to a token on a route; None where it is let in."""
    method, path = route
    filled = path.replace("{release_id}", "0" * 32).replace("{name}", "study")
    reply = gate.send(method, filled, who, json={} if method == "POST" else None)
    if reply.status_code in (401, 403):
        assert reply.json()["status"] == reply.status_code
        assert reply.headers["content-type"] == "application/problem+json"
        return reply.json()["code"]
    return None


def test_every_route_is_in_the_matrix_and_in_the_table():
    """A new route without its rows fails here, and is not served."""
    assert set(ROUTES) == set(RIGHTS) == set(MATRIX)


@pytest.mark.parametrize("route", ROUTES, ids="{0[0]} {0[1]}".format)
def test_each_role_uses_its_routes_and_no_other(gate, route):
    """Whatever the body: a token that may not is told so before its body is read."""
    for role in ("researcher", "agency", "officer", "auditor"):
        assert code_of(gate, route, role) == (None if role in MATRIX[route] else "forbidden"), role


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if None not in MATRIX[route]], ids="{0[0]} {0[1]}".format
)
@pytest.mark.parametrize(
    "who", [None, "", "wrong", "foreign", "mixed", "expired", "revoked", "rotated", "overlapped", "hr_x_y", "\x7f"]
)
def test_no_token_that_is_not_in_force_is_let_in(gate, route, who):
    """Missing, wrong, another's, ended: the same 401, and how to do it right."""
    assert code_of(gate, route, who) == "unauthenticated"


def test_the_401_says_how(gate):
    """RFC 9110, section 11.6.1."""
    reply = gate.send("GET", "/v1/cohorts", None)
    assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("route", ROUTES, ids="{0[0]} {0[1]}".format)
def test_a_narrow_token_does_no_more(gate, route):
    """What its role could do besides is refused."""
    let_in = RIGHTS[route] in (None, "preview")
    assert (code_of(gate, route, "narrow") is None) == let_in


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer {0}"), ("Authorization", "Bearer {0}")],
        [("Authorization", "Basic {0}")],
        [("Authorization", "{0}")],
        [("X-Authorization", "Bearer {0}")],
        [("Cookie", "Authorization=Bearer {0}")],
    ],
)
def test_a_token_comes_in_one_header_of_one_form(gate, headers):
    """Two headers might be read differently by two programs."""
    filled = [(name, value.format(gate.tokens["officer"])) for name, value in headers]
    assert gate.client.get("/v1/policy", headers=filled).status_code == 401


def test_a_token_in_the_address_is_not_read(gate):
    """Addresses stand in logs and histories."""
    assert gate.client.get(f"/v1/policy?token={gate.tokens['officer']}").status_code == 401


def _records():
    return {}


def test_a_route_without_a_row_is_not_served():
    """The server does not start with one; nor with a kind of route that has no dependencies."""
    stray = APIRouter()
    stray.add_api_route("/v1/records", _records, methods=["GET"])
    with pytest.raises(RuntimeError, match="/v1/records"):
        require_rights([*ROUTERS, stray])
    with pytest.raises(RuntimeError, match="differ"):
        require_rights(ROUTERS[:-1])
    bare = APIRouter(routes=[Route("/v1/records", lambda _: None)])
    with pytest.raises(RuntimeError, match="dependencies"):
        require_rights([*ROUTERS, bare])


def test_in_the_pilot_the_server_rehearses_only(gate):
    """Under every grant; the district's own is not asked under over the server."""
    assert gate.ask(WHOLE).json()["code"] == "district_pilot"
    assert gate.ask(WHOLE, rehearse=True).json()["rehearsal"] is True
    assert gate.ask(WHOLE, grant="district").json()["code"] == "grant_scope"
    assert gate.spent() == 0
