from __future__ import annotations

import pytest

from api.client import Client
from tests.api.wire import TOKEN, Wire


@pytest.fixture
def wire(request):
    """A server in this process; most tests never need its district."""
    return Wire(lambda: request.getfixturevalue("district"))


@pytest.fixture
def client(wire):
    """A client of it."""
    with Client("https://homeroom.example", TOKEN, transport=wire.transport) as opened:
        yield opened


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where somebody waits: the waits, in seconds."""
    waits: list[float] = []
    monkeypatch.setattr("api.client.sending.time.monotonic", lambda: 1000.0 + sum(waits))
    monkeypatch.setattr("api.client.sending.time.sleep", waits.append)
    return waits
