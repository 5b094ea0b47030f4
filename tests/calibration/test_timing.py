"""When an answer comes tells nothing of its noise.

Rank correlation of reply time and noise over n answers: where the two are independent, it is normal about 0 with
standard error 1/sqrt(n - 1). The noise of an answer is the sum of its magnitudes over all cells: what its draw takes
longer for. In `make prove` 20,000 answers stay below 0.02, which chance alone breaks in 0.5 % of runs; in `make check`
2,000 stay below 4.9 standard errors, which it breaks in one of a million.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import time
from datetime import date
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from api.app import create
from api.settings import GRID_S, Settings
from budgets.clock import FixedClock
from budgets.grants import Grant
from budgets.grants import Terms as GrantTerms
from budgets.policy import Preset
from engine import mechanisms
from engine.founding import INVENTED, Terms, found
from engine.office import Office
from tests.conftest import AS_OF
from tests.seeds import PROVE

pytestmark = pytest.mark.slow

ANSWERS = 20_000 if PROVE else 2_000
BOUND = 0.02 if PROVE else 4.9 / math.sqrt(ANSWERS - 1)
TOGETHER = 32
EPSILON = 0.01
LEAK_S = 0.2
LEAK_FROM = 0.5
"""A planted draw takes so much longer for each mean magnitude of its noise, in scales, above what all have."""

LEAKED = 200
SEEN = 0.5
"""The least correlation that the planted leak shows: 7 standard errors over `LEAKED` answers."""

CELLS = 105
QUESTION = (
    "SELECT school_year, grade_level, COUNT(*) AS students FROM student_year WHERE days_absent <= {bound:.6f} "
    "GROUP BY school_year, grade_level"
)
"""Every bound is above all absences: the exact counts are always the same, and every question is new."""


class Asker:
    """Sends questions to the application in this process and takes the time as a client sees it."""

    def __init__(self, folder, token, grid_s):
        limits = folder.with_name(f"limits-{len(grid_s)}.sqlite")
        free = {"requests_per_minute": 10**6, "charges_per_minute": 10**6, "questions_max": 10**3}
        self.app = create(Settings(folder, limits, grid_s, **free))
        self.headers = [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/json")]

    def close(self):
        self.app.app.state.desk.close()

    async def ask(self, bound):
        """Seconds until the answer came, and its noisy counts."""
        body = json.dumps({"sql": QUESTION.format(bound=bound), "epsilon": EPSILON}).encode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/v1/ask",
        }
        scope |= {"raw_path": b"/v1/ask", "root_path": "", "scheme": "http", "query_string": b""}
        came, sent = [{"type": "http.request", "body": body, "more_body": False}], []

        async def receive():
            return came.pop() if came else await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        start = time.perf_counter()
        await self.app(scope | {"headers": self.headers}, receive, send)
        took_s = time.perf_counter() - start
        answer = json.loads(sent[1]["body"])
        assert sent[0]["status"] == 200, answer
        assert not answer["replayed"]
        return took_s, [row[-1] for row in answer["rows"]]

    async def asked(self, bounds, answers, together):
        """So many answers, so many at once: times, shape (answers,), and noisy counts, shape (answers, cells)."""
        found = []

        async def client():
            while len(found) < answers:
                found.append(await self.ask(next(bounds)))

        await asyncio.gather(*(client() for _ in range(together)))
        times_s, counts = zip(*found, strict=True)
        return np.array(times_s), np.array(counts)


@pytest.fixture(scope="module")
def rich(tables, starter, tmp_path_factory):
    """The small district with a budget that does not end, a token of it, and bounds that nobody asked with."""
    folder = tmp_path_factory.mktemp("rich") / "small"
    terms = Terms(Fraction(1), AS_OF, preset=Preset("bench", 100.0), policy=INVENTED)
    found(folder, starter, tables, clock=FixedClock(AS_OF), terms=terms)
    with Office.open(folder) as office:
        cohorts = office.catalog.cohorts
        given = GrantTerms("agency", "A", "a", {"student_year": None}, cohorts, None, date(2099, 1, 1), "A")
        office.add_grant(Grant("rich", "mandated", Fraction(1), given))
        return folder, office.keyring.add("R", "A", grant="rich"), (200 + i / 10**6 for i in itertools.count(1))


def correlation(rich, grid_s, answers, together):
    """Of reply times with the noise of what was replied, by ranks."""
    folder, token, bounds = rich
    asker = Asker(folder, token, grid_s)
    try:
        times_s, counts = asyncio.run(asker.asked(bounds, answers, together))
    finally:
        asker.close()
    assert counts.shape[1] == CELLS
    noise = np.abs(counts - counts.mean(axis=0)).sum(axis=1)
    found = float(np.corrcoef(pd.Series(times_s).rank(), pd.Series(noise).rank())[0, 1])
    rate = f"median {1000 * np.median(times_s):.0f} ms"
    print(f"{len(times_s):,} answers, {together} at once, grid {bool(grid_s)}: correlation {found:+.4f}, {rate}")
    return found


def test_when_an_answer_comes_tells_nothing_of_its_noise(rich):
    """On the grid, with a loaded server: within what chance gives."""
    assert abs(correlation(rich, GRID_S, ANSWERS, TOGETHER)) < BOUND


def test_without_the_grid_a_slow_draw_of_great_noise_is_seen(rich, monkeypatch):
    """The same measurement sees a draw whose time depends on its noise, planted, where answers leave at once."""
    draw = mechanisms.draw

    def slow(values, noise, limit):
        drawn = draw(values, noise, limit)
        time.sleep(LEAK_S * max(0.0, float(np.abs(drawn - values).mean()) / noise.scale - LEAK_FROM))
        return drawn

    monkeypatch.setattr(mechanisms, "draw", slow)
    assert correlation(rich, (), LEAKED, 1) > SEEN
