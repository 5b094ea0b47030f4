"""The nouns of the ledger: what a question asks for, what it was charged, what was measured.

Frozen values without effects. A statistic is known here by the SHA-256 of its canonical form, nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from budgets.loss import PrivacyLoss

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from budgets.policy import Population


class State(StrEnum):
    """How far the answer to a paid question has come.

    `charged → drawing → measured`, or `drawing → lost`. Nothing leads back, and nothing is paid back.
    """

    CHARGED = "charged"
    DRAWING = "drawing"
    MEASURED = "measured"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Draw:
    """One vector of noise to be drawn for one statistic.

    Attributes:
        statistic: SHA-256 of the canonical statistic, hexadecimal.
        scale: of the noise, in units of the integer statistic.
        loss: what the privacy map says, rounded up; every touched cohort pays all of it.
        cohorts: the cohorts whose records the statistic scans, each once.

    Raises:
        ValueError: a draw that would cost nothing, touch nobody or release exact numbers.
    """

    statistic: str
    scale: float
    loss: PrivacyLoss
    cohorts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.statistic or not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError("a draw has a statistic and a finite scale above 0")
        if self.loss.nanorho < 1:
            raise ValueError("a draw costs at least one nano-rho")
        if not self.cohorts or len(set(self.cohorts)) < len(self.cohorts):
            raise ValueError("a draw touches at least one cohort, and each of them once")


@dataclass(frozen=True, slots=True)
class Charge:
    """What one cohort paid for one question.

    Attributes:
        cohort: graduation year by which the cohort is known.
        year: the budget year it was taken from.
        loss: the sum over the draws that scan the cohort.
    """

    cohort: int
    year: int
    loss: PrivacyLoss


@dataclass(frozen=True, slots=True)
class Measurement:
    """One draw as it was stored, noise included.

    Attributes:
        id: by which an entry names it.
        statistic: SHA-256 of the canonical statistic, hexadecimal.
        scale: of the noise, in units of the integer statistic.
        loss: the loss of this draw alone.
        values: the noisy integers, one for each group in the order of the key list; read-only.
    """

    id: int
    statistic: str
    scale: float
    loss: PrivacyLoss
    values: NDArray[np.int64] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be charged: a plan, reduced to what the ledger needs to know.

    Attributes:
        grant: the grant it is asked under.
        request_id: the asker's own name for it, unique in the grant.
        request_hash: of everything the asker sent; the same id with another hash is refused.
        plan_hash: of the canonical plan.
        plan: the plan as JSON text; a retry is answered from it.
        epoch: id of the epoch whose records are read.
        population: `research` or `mandated`.
        year: the budget year the plan was made for.
        draws: what is drawn anew, one for each statistic.
        reused: statistic → measurement that answers it without a draw.
        reads: the private tables it reads, each with its columns; what its grant must cover.
        cohorts: those it is asked of, drawn or reused; what its grant must cover.

    Raises:
        ValueError: a statistic is drawn twice, or both drawn and reused, or scans a cohort that is not asked.
    """

    grant: str
    request_id: str
    request_hash: str
    plan_hash: str
    plan: str
    epoch: str
    population: Population
    year: int
    draws: tuple[Draw, ...]
    reused: Mapping[str, int]
    reads: Mapping[str, Collection[str]]
    cohorts: tuple[int, ...]

    def __post_init__(self) -> None:
        statistics = [draw.statistic for draw in self.draws] + list(self.reused)
        if len(set(statistics)) < len(statistics):
            raise ValueError("each statistic of a question is either drawn once or reused")
        if not self.request_id:
            raise ValueError("a question has a request id")
        if not {cohort for draw in self.draws for cohort in draw.cohorts} <= set(self.cohorts):
            raise ValueError("a question is asked of every cohort it draws from")


@dataclass(frozen=True, slots=True)
class Entry:
    """A question as the ledger holds it.

    Attributes:
        id: of the entry.
        release_id: public name of its answer.
        grant: the grant it was asked under.
        request_id: the asker's own name for it.
        request_hash: of everything the asker sent.
        plan_hash: of the canonical plan.
        plan: the plan as JSON text.
        epoch: id of the epoch whose records are read.
        population: `research` or `mandated`.
        year: the budget year it was charged to.
        state: how far it has come.
        holder: token of the ledger instance that charged it or draws for it; None if nobody does.
        at: ledger time of the charge, in UTC.
        charges: one for each touched cohort, in their order; empty if nothing is drawn.
        draws: what it paid for.
        measurements: statistic → measurement; of the reused alone until the state is `measured`.
    """

    id: int
    release_id: str
    grant: str
    request_id: str
    request_hash: str
    plan_hash: str
    plan: str
    epoch: str
    population: Population
    year: int
    state: State
    holder: str | None
    at: datetime
    charges: tuple[Charge, ...]
    draws: tuple[Draw, ...]
    measurements: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One load of records: a vault file, verified against one catalog.

    Attributes:
        id: random name of the epoch.
        file: name of the vault file inside the district's folder.
        catalog_digest: of the catalog the records were verified against.
    """

    id: str
    file: str
    catalog_digest: str


def charges_of(draws: Iterable[Draw], year: int) -> tuple[Charge, ...]:
    """What each cohort pays: the sum of the losses of all draws that scan it.

    >>> two = Draw("a", 1.0, PrivacyLoss(5), (2030, 2031)), Draw("b", 1.0, PrivacyLoss(2, 1), (2031,))
    >>> [(charge.cohort, charge.loss.nanorho, charge.loss.attodelta) for charge in charges_of(two, 2025)]
    [(2030, 5, 0), (2031, 7, 1)]
    """
    nanorho: Counter[int] = Counter()
    attodelta: Counter[int] = Counter()
    for draw in draws:
        for cohort in draw.cohorts:
            nanorho[cohort] += draw.loss.nanorho
            attodelta[cohort] += draw.loss.attodelta
    return tuple(Charge(cohort, year, PrivacyLoss(nanorho[cohort], attodelta[cohort])) for cohort in sorted(nanorho))
