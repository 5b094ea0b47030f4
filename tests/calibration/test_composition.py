"""What the ledger charges, beside an accountant of another house.

dp-accounting (Google) sees each draw as a Gaussian mechanism of its noise multiplier, composes them by its own
code, and knows nothing of our map, our rounding or OpenDP's profile. No chance is in these tests but the choice
of cases, which follows the seed.
"""

from __future__ import annotations

import json
import math
import sqlite3
from fractions import Fraction

import dp_accounting
import opendp.prelude as dp
import pytest
from dp_accounting.pld.pld_privacy_accountant import PLDAccountant
from dp_accounting.rdp.rdp_privacy_accountant import RdpAccountant

from budgets.clock import FixedClock
from budgets.loss import NANO, SHOWN_DELTA, epsilon_of
from engine.district import LEDGER_FILE, District
from engine.mechanisms import gaussian_for
from engine.preparation import digests, planned
from engine.refusals import BudgetRefused
from tests.conftest import AS_OF
from tests.seeds import PROVE, generator

pytestmark = pytest.mark.statistical

SEQUENCES = 120 if PROVE else 12
QUESTIONS = 30
DISCRETISATION = 1e-4
FLOAT = 1e-12
"""Room for rounding where theirs are floats."""

LOOSE_MAX = 1.15
"""Our ε is that of any mechanism with this rho; a Gaussian's own is a little less. How much, measured: 4 to 10 %."""


def gaussians(draws):
    """The same draws as dp-accounting sees them: sensitivity over scale is all it is told."""
    return dp_accounting.ComposedDpEvent(
        [dp_accounting.GaussianDpEvent(scale / math.sqrt(l2_squared)) for l2_squared, scale in draws]
    )


def their_rho(event):
    """The zCDP that their Rényi accountant sees: the greatest divergence over its order."""
    accountant = RdpAccountant()
    accountant.compose(event)
    return float((accountant._rdp / accountant._orders).max())


def their_epsilon(accountant, event):
    accountant.compose(event)
    return accountant.get_epsilon(SHOWN_DELTA)


def sequence(random):
    """Up to 40 charges, from a shared default question to a whole year spent at once."""
    found = []
    for _ in range(random.choice([1, 2, 5, 12, 40])):
        l2_squared = random.choice([1, 3, 7, 49, random.randrange(1, 10**6), random.randrange(1, 2**60)])
        noise = gaussian_for(l2_squared, round(10 ** random.uniform(3, 7.2)))
        assert noise is not None
        found.append((l2_squared, noise))
    return found


@pytest.mark.parametrize("number", range(SEQUENCES))
def test_what_is_charged_covers_what_another_accountant_sees(number):
    """For random sequences: our nano-rho is at least their rho and hardly more; our ε is between their tight and their Rényi one."""
    charged = sequence(generator(f"composition {number}"))
    event = gaussians([(l2_squared, noise.scale) for l2_squared, noise in charged])
    total = sum(noise.nanorho for _, noise in charged)
    exact = sum(Fraction(l2_squared) / (2 * Fraction(noise.scale) ** 2) for l2_squared, noise in charged)
    assert exact <= Fraction(total, NANO) <= exact * (1 + Fraction(1, 10**9)) + Fraction(2 * len(charged), NANO)
    assert their_rho(event) * (1 - FLOAT) <= total / NANO

    ours = epsilon_of(total)
    tight = their_epsilon(PLDAccountant(value_discretization_interval=DISCRETISATION), event)
    renyi = their_epsilon(RdpAccountant(), event)
    print(
        f"{len(charged)} draws, rho {total / NANO:.6f}: ε {ours:.4f}, {ours / tight:.4f} of PLD, {ours / renyi:.4f} of RDP"
    )
    assert tight <= ours <= LOOSE_MAX * tight
    assert ours <= renyi * (1 + FLOAT)


def test_the_accountant_would_notice_a_cheaper_charge():
    """At a charge a quarter too small the ε we show falls below theirs: the comparison has teeth."""
    charged = sequence(generator("composition, too cheap"))
    event = gaussians([(l2_squared, noise.scale) for l2_squared, noise in charged])
    tight = their_epsilon(PLDAccountant(value_discretization_interval=DISCRETISATION), event)
    total = sum(noise.nanorho for _, noise in charged)
    assert epsilon_of(total * 3 // 4) < tight


# -- the ledger after a day of questions

TABLES = {
    "student_year": (
        ["school_year", "grade_level", "econ_disadv", "cohort_year"],
        ["gpa", "days_absent", "CASE WHEN english_learner THEN 1 ELSE 0 END"],
        ["school_year = 2025", "school_year >= 2024", "has_iep", "cohort_year IN (2030, 2031)", "gpa > 2"],
    ),
    "assessment": (
        ["school_year", "subject", "performance_level"],
        ["performance_level", "is_proficient"],
        ["school_year = 2025", "subject = 'math'", "participated"],
    ),
    "graduation": (["outcome"], ["years_to_outcome"], ["grad_cohort = 2025", "grad_cohort BETWEEN 2024 AND 2027"]),
}


def question(random):
    keys, numbers, conditions = TABLES[table := random.choice(list(TABLES))]
    chosen = random.sample(keys, random.choice([0, 1, 1, 2]) if len(keys) > 1 else 1)
    aggregates = [
        random.choice(["COUNT(*)", f"COUNT({number})", f"SUM({number})", f"AVG({number})"])
        + random.choice(["", "", f" FILTER (WHERE {random.choice(conditions)})"])
        for number in random.choices(numbers, k=random.choice([1, 2, 3]))
    ]
    where = random.sample(conditions, random.choice([0, 1, 2]))
    return (
        f"SELECT {', '.join(chosen + aggregates)} FROM {table}"
        + (f" WHERE {' AND '.join(where)}" if where else "")
        + (f" GROUP BY {', '.join(chosen)}" if chosen else "")
    )


def ask(district, random):
    """Thirty questions that were answered, by release id; some are asked again, some of few classes, some sharper."""
    answered = {}
    while len(answered) < QUESTIONS:
        repeats = answered and random.random() < 0.3
        sql = random.choice(list(answered.values())) if repeats else question(random)
        fields = random.choice(
            [{}, {}, {"epsilon": random.choice([0.01, 0.02, 0.05])}, {"cohorts": [2030, 2031, 2032]}]
        )
        try:
            answered[district.ask(sql, **fields).release_id] = sql
        except BudgetRefused as refusal:
            if refusal.code != "cohort_sealed":
                raise
    return answered


def rows(folder, sql):
    with sqlite3.connect(folder / LEDGER_FILE) as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


def charged_by_opendp(scale, l2_squared):
    """The map asked of OpenDP afresh, for a sensitivity that is not too small, rounded up."""
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    d_in = math.nextafter(math.sqrt(l2_squared), math.inf)
    assert Fraction(d_in) ** 2 >= l2_squared
    return math.ceil(Fraction(dp.m.make_gaussian(*space, scale=scale).map(d_in)) * NANO)


def test_each_cohort_has_spent_what_its_draws_cost(folder):
    """After 30 random questions each balance is the sum of OpenDP's maps over the draws that scan the cohort, by the plans made anew."""
    with District.open(folder, clock=FixedClock(AS_OF)) as district:
        answered = ask(district, generator("a day of questions"))
        catalog, epoch = district.catalog, district._house.vault.epoch
    entries = rows(folder, "SELECT id, release_id, plan, population FROM releases")
    assert {release for _, release, _, _ in entries} == answered.keys()
    draws = rows(folder, "SELECT entry, statistic, scale, nanorho, cohorts FROM draws")
    assert len(draws) >= QUESTIONS / 3
    owed, events = dict.fromkeys(catalog.cohorts, 0), {cohort: [] for cohort in catalog.cohorts}
    for entry, release, stored, population in entries:
        plan = planned(catalog, answered[release], json.loads(stored)["askable"])
        statistics = dict(zip(digests(plan, epoch, population), plan.statistics, strict=True))
        for _, digest, scale, nanorho, cohorts in (draw for draw in draws if draw[0] == entry):
            statistic = statistics[digest]
            assert nanorho == charged_by_opendp(scale, statistic.l2_squared)
            assert tuple(json.loads(cohorts)) == statistic.cohorts
            for cohort in statistic.cohorts:
                owed[cohort] += nanorho
                events[cohort].append((statistic.l2_squared, scale))
    for table in ("cohorts", "cohort_years", "allowances"):
        spent = dict(rows(folder, f"SELECT cohort, SUM(spent_nanorho) FROM {table} GROUP BY cohort"))
        assert {cohort: spent.get(cohort, 0) for cohort in owed} == owed
    assert sum(map(bool, owed.values())) > 10
    for cohort in (min(owed, key=owed.get), max(owed, key=owed.get)):
        if events[cohort]:
            tight = their_epsilon(
                PLDAccountant(value_discretization_interval=DISCRETISATION), gaussians(events[cohort])
            )
            print(
                f"class {cohort}: {len(events[cohort])} draws, ε {epsilon_of(owed[cohort]):.4f}, {epsilon_of(owed[cohort]) / tight:.4f} of PLD"
            )
            assert tight <= epsilon_of(owed[cohort])
