"""Statements as they come: an answer or a refusal, never a crash, none of them slow or large.

About 5,000 statements in `make prove`, a sixth in `make check`, chosen by the seed.
"""

from __future__ import annotations

import json
import resource
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest

from engine.district import INCIDENTS_FILE, REPORTS_FOLDER
from engine.preparation import planned
from engine.refusals import BudgetRefused, InternalFailure, Refusal, RefusalCode
from tests.robustness import fetched, statements
from tests.seeds import PROVE, generator

pytestmark = pytest.mark.slow

SECONDS_MAX = 2.0
MEGABYTES_MAX = 200
GIVE_UP_S = 60
SECONDS_A_ROW = 1e-4
"""Each of 60,000 groups is drawn and written by itself, whatever becomes of them; what is said beforehand is not."""

EPSILON = 0.01
PARTS = 4 if PROVE else 1
SIZE = {
    "fetched": 2_000 if PROVE else 250,
    "mutated": 1_200 if PROVE else 250,
    "random": 1_200 if PROVE else 250,
    "joined": 1_200 if PROVE else 200,
    "stepped": 1_200 if PROVE else 200,
    "garbage": 300 if PROVE else 50,
}
MONSTERS = statements.TIMES if PROVE else (3, 61, 333, 4_400)


class Peak:
    """The most memory this process has held since it was last asked, in megabytes."""

    CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")

    def __enter__(self):
        if self.CLEAR.exists():
            self.CLEAR.write_text("5", encoding="ascii")
        self.before = self.held("VmRSS")
        return self

    def held(self, what):
        if not self.STATUS.exists():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        lines = dict(line.split(":", 1) for line in self.STATUS.read_text(encoding="ascii").splitlines())
        return int(lines[what].split()[0]) / 1024

    def __exit__(self, *_):
        self.grown = self.held("VmHWM") - self.before


def wrong(refusal, sql):
    """What is not as it should be about a refusal."""
    if refusal.code not in get_args(RefusalCode):
        yield f"the code {refusal.code}"
    for text in (refusal.message, refusal.excerpt, refusal.accepted):
        if text is not None and (not text.strip() or not text.isprintable() or len(text) > 1_000):
            yield f"the text {text!r}"
    if refusal.accepted is None and not isinstance(refusal, BudgetRefused):
        yield f"nothing accepted beside {refusal.message!r}"
    if (refusal.line is None) != (refusal.column is None):
        yield f"half a place: {refusal.line}:{refusal.column}"
    if refusal.line is not None:
        lines = sql.split("\n")
        if not 1 <= refusal.line <= len(lines) or not 1 <= refusal.column <= len(lines[refusal.line - 1]) + 1:
            yield f"a place outside: {refusal.line}:{refusal.column}"
            return
        line = "".join(c if c.isprintable() else "·" for c in lines[refusal.line - 1])
        if not line[refusal.column - 1 :].startswith((refusal.excerpt or "").split(" … ")[0]):
            yield f"an excerpt that is not there: {refusal.line}:{refusal.column} {refusal.excerpt!r}"


def frames(district):
    log = Path(district._house.incidents)
    assert log.parts[-2:] == (REPORTS_FOLDER, INCIDENTS_FILE)
    return log.read_text(encoding="utf-8").splitlines()[-1]


def judged(district, sql, verb):
    """The refusal or the answer, and what is wrong with it."""
    try:
        answer = verb(sql)
    except Refusal as refusal:
        return refusal, list(wrong(refusal, sql))
    except InternalFailure:
        return None, [f"InternalFailure {frames(district)}"]
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None, [f"{type(error).__name__}: {error}"]
    try:
        json.dumps(asdict(answer), allow_nan=False)
    except ValueError:
        return answer, ["a number that is none"]
    return answer, []


def drawn(district, sql, answer):
    """How many groups were drawn for an answer: its own, or those of the parts that it was made of."""
    plan = planned(district.catalog, sql, {charge.cohort for charge in answer.charges})
    return max(len(answer.rows), sum(len(part.keys.rows) for part in plan.parts))


def too_slow(_signal, _frame):
    raise TimeoutError


class Runner:
    """Previews each statement, asks those that are accepted, and keeps count."""

    def __init__(self, district):
        self.district, self.found = district, []
        self.asked = self.answered = 0
        self.slowest = self.largest = (0.0, "")

    def run(self, texts):
        before = signal.signal(signal.SIGALRM, too_slow)
        try:
            for sql in texts:
                self.one(sql)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def one(self, sql):
        found, problems = self.measured(sql, self.district.preview)
        self.asked += 1
        if not isinstance(found, Refusal) and not problems:
            found, problems = self.measured(sql, lambda text: self.district.ask(text, epsilon=EPSILON))
            self.answered += hasattr(found, "rows")
        self.found += [f"{problem}\n    in {sql[:300]!r}" for problem in problems]

    def measured(self, sql, verb):
        signal.setitimer(signal.ITIMER_REAL, GIVE_UP_S)
        with Peak() as peak:
            start = time.process_time()
            found, problems = judged(self.district, sql, verb)
            spent = time.process_time() - start
        rows = drawn(self.district, sql, found) if hasattr(found, "rows") else 0  # planned again: not their time
        self.slowest = max(self.slowest, (spent, sql[:120]))
        self.largest = max(self.largest, (peak.grown, sql[:120]))
        if spent > SECONDS_MAX + rows * SECONDS_A_ROW:
            problems.append(f"{spent:.1f} s")
        if peak.grown > MEGABYTES_MAX:
            problems.append(f"{peak.grown:.0f} MB")
        return found, problems

    def verdict(self):
        print(f"{self.asked} statements, {self.answered} answered")
        print(
            f"slowest {self.slowest[0]:.2f} s of {self.slowest[1]!r}; largest {self.largest[0]:.0f} MB of {self.largest[1]!r}"
        )
        assert not self.found, f"{len(self.found)} of {self.asked}:\n" + "\n".join(self.found[:20])


@pytest.fixture
def runner(district):
    found = Runner(district)
    found.run(["SELECT COUNT(*) FROM student"])  # what is loaded once is nobody's memory
    return Runner(district)


@pytest.mark.parametrize("part", range(PARTS))
def test_statements_of_other_people(part, runner):
    """sqlglot's fixtures in every dialect, as they are and with our names in them."""
    try:
        texts = fetched.statements()
    except fetched.NotHadError as reason:
        pytest.skip(str(reason))
    assert len(texts) > 5_000
    random = generator(f"fetched {part}")
    chosen = random.sample(texts, SIZE["fetched"] // PARTS)
    runner.run(random.choice([text, statements.ours(random, text)]) for text in chosen)
    runner.verdict()


@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_questions(part, runner):
    """Golden and real questions with tokens lost, doubled, swapped, replaced and spoilt."""
    random, texts = generator(f"mutated {part}"), statements.seeds()
    runner.run(statements.mutated(random, texts) for _ in range(SIZE["mutated"] // PARTS))
    runner.verdict()
    assert runner.answered > 0


@pytest.mark.parametrize("part", range(PARTS))
def test_random_statements(part, runner):
    """Every class of statement, and SELECTs of random grammar."""
    random = generator(f"random {part}")
    runner.run(statements.question(random) for _ in range(SIZE["random"] // PARTS))
    runner.verdict()


@pytest.mark.parametrize("part", range(PARTS))
def test_questions_over_several_relations(part, runner):
    """Joins, groups by expressions, and what is made of their answers."""
    random = generator(f"joined {part}")
    runner.run(statements.joined(random) for _ in range(SIZE["joined"] // PARTS))
    runner.verdict()
    assert runner.answered > 0


@pytest.mark.parametrize("part", range(PARTS))
def test_questions_over_steps_within_each_student(part, runner):
    """Groups, windows, unions and subqueries on each other, many of them wrong."""
    random = generator(f"stepped {part}")
    runner.run(statements.stepped(random) for _ in range(SIZE["stepped"] // PARTS))
    runner.verdict()
    assert runner.answered > 0


def test_bytes_that_are_no_question(runner):
    """Random bytes, however they are decoded."""
    random = generator("garbage")
    runner.run(statements.garbage(random) for _ in range(SIZE["garbage"]))
    runner.verdict()
    assert runner.answered == 0


@pytest.mark.parametrize("part", range(2))
def test_deep_long_and_wide_statements(part, runner):
    """Every shape that can be nested or repeated, at sizes around each limit."""
    runner.run(statements.monsters(MONSTERS)[part::2])
    runner.verdict()
