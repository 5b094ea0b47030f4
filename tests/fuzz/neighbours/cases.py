"""Runs many cases and counts them; a failure is shrunk, and printed so that it can be repeated."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.statistic import Limits

from .compare import BrokenError, examine, rows_of_others
from .joins import any_joined
from .pairs import any_pairs
from .questions import any_question
from .shrink import script, shrunk
from .steps import any_stepped

if TYPE_CHECKING:
    from collections.abc import Callable

    from .joins import Joined
    from .pairs import Pairs
    from .questions import Question

AGAIN, DEEP, STEPPED, LIMITED = 21, 3, 5, 7
"""Each so-manieth question is planned anew on each neighbour; is held against the records in depth; has steps
within each student; asks for no more than a part of a student."""

ROOT = Path(__file__).parents[3]


def prove() -> bool:
    """Whether tests run at full size."""
    return os.environ.get("HOMEROOM_PROVE") == "1"


def questions_per_catalog() -> int:
    """Loading a catalog's databases takes as long as a hundred questions of it."""
    return 600 if prove() else 300


def base_seed() -> str:
    """HOMEROOM_SEED, or the commit, or a fixed one outside a checkout."""
    given = os.environ.get("HOMEROOM_SEED")
    if given:
        return given
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:12] if done.returncode == 0 else "1"


@dataclass
class Tally:
    """What was asked: `cases` are measured questions on neighbours, each neighbour counted."""

    cases: int = 0
    questions: int = 0
    refused: int = 0
    constant: int = 0
    reached: Counter[bool] = field(default_factory=Counter)

    def __str__(self) -> str:
        measured = self.questions - self.refused - self.constant
        share = self.reached[True] / max(1, sum(self.reached.values()))
        return (
            f"{self.cases} cases: {self.questions} questions, {self.refused} refused, {self.constant} of nobody, "
            f"{measured} measured; {share:.0%} of {sum(self.reached.values())} claims reached by some student"
        )


def question_of(seed: str, catalog: int, number: int, pairs: Pairs) -> Question | Joined:
    """The question of a case: some have steps; of the others every other one is of several relations."""
    rng = random.Random(f"{seed} {catalog} question {number}")
    question: Question | Joined
    if number % STEPPED == STEPPED - 1:
        question = any_stepped(rng, pairs.catalog)
    else:
        question = any_joined(rng, pairs.catalog) if number % 2 else any_question(rng, pairs.catalog)
    if number % LIMITED == LIMITED - 1:
        rows, groups = (rng.choice([None, 1, 1, 2, 3, 5]) for _ in range(2))
        question = replace(question, limits=Limits(rows, groups))
    return question


def made_pairs(seed: str, catalog: int, folder: Path) -> Pairs:
    """The databases of a catalog's number."""
    return any_pairs(f"{seed} {catalog}", folder)


def campaign(
    seed: str,
    first: int,
    cases: int,
    tally: Tally,
    make: Callable[[str, int, Path], Pairs] = made_pairs,
    questions: int | None = None,
) -> None:
    """Run at least so many cases, from a catalog's number on.

    Raises:
        AssertionError: a rule is broken; the message has the case, shrunk.
    """
    catalog = first
    while tally.cases < cases:
        with tempfile.TemporaryDirectory() as folder:
            pairs = make(seed, catalog, Path(folder) / "vault")
            try:
                records(seed, catalog, pairs)
                for number in range(questions or questions_per_catalog()):
                    one(seed, catalog, number, pairs, tally)
                    if tally.cases >= cases:
                        break
            finally:
                pairs.close()
        catalog += 1


def records(seed: str, catalog: int, pairs: Pairs) -> None:
    """Compare what the loader made of the neighbours."""
    try:
        rows_of_others(pairs)
    except BrokenError as broken:
        message = f"{broken}\nrepeat: HOMEROOM_SEED={seed} HOMEROOM_CASE={catalog}.0 make fuzz"
        raise AssertionError(message) from None


def one(seed: str, catalog: int, number: int, pairs: Pairs, tally: Tally) -> None:
    """Run one question's cases."""
    question = question_of(seed, catalog, number, pairs)
    tally.questions += 1
    try:
        found = examine(pairs, question, again=number % AGAIN == 0, deep=number % DEEP == 0)
    except BrokenError as broken:
        raise AssertionError(told(seed, catalog, number, pairs, question, broken)) from None
    if found is None:
        tally.refused += 1
    elif not found:
        tally.constant += 1
    else:
        tally.cases += len(pairs.others)
        tally.reached.update(reached.fully for reached in found)


def told(seed: str, catalog: int, number: int, pairs: Pairs, question: Question | Joined, broken: BrokenError) -> str:
    """A failure: how to repeat it, and the smallest case found, as plain SQL."""
    small = shrunk(pairs, question, broken.kind)
    repeat = f"HOMEROOM_SEED={seed} HOMEROOM_CASE={catalog}.{number} make fuzz"
    shown = f"(not shrunk)\n{question.sql}\nof {question.cohorts}" if small is None else script(small)
    return f"{broken}\nrepeat: {repeat}\n{shown}"
