"""One question written in many ways is one question: accepted, with the same plan, so that it is measured once."""

from __future__ import annotations

import random
import re

import pytest

from engine.preparation import planned
from engine.refusals import QueryRefused

REWRITES = 500

# FROM tables with their ON conditions, WHERE, GROUP BY and SELECT; {a}, {b}, … stand for the tables
BASES = [
    (
        [("student_year", []), ("student", ["{b}.student_key = {a}.student_key"])],
        ["{a}.school_year = 2025", "{a}.days_enrolled >= 10"],
        ["{b}.race_ethnicity", "{b}.sex"],
        ["COUNT(*)"],
    ),
    (
        [("student_year", []), ("school", ["{b}.school_id = {a}.school_id"])],
        ["{a}.school_year = 2025", "NOT {b}.is_charter"],
        ["{b}.school_level"],
        ["AVG(CASE WHEN {a}.schools_attended > 1 THEN 1.0 ELSE 0.0 END)", "COUNT(*)"],
    ),
    (
        [
            ("assessment", []),
            (
                "assessment",
                [
                    "{b}.student_key = {a}.student_key",
                    "{b}.school_year = {a}.school_year + 1",
                    "{b}.subject = {a}.subject",
                    "{b}.test_program = {a}.test_program",
                ],
            ),
            ("student", ["{c}.student_key = {a}.student_key"]),
        ],
        [
            "{a}.school_year = 2024",
            "{a}.subject = 'math'",
            "{a}.test_program = 'state_summative'",
            "{a}.participated",
        ],
        ["{c}.cohort_year"],
        ["AVG({b}.scale_score - {a}.scale_score)", "COUNT(*)"],
    ),
    (
        [("graduation", []), ("student", ["{b}.student_key = {a}.student_key"])],
        ["{a}.grad_cohort = 2025", "{a}.cohort_status = 'in_cohort'"],
        ["{b}.race_ethnicity"],
        [
            "COUNT(*)",
            "SUM(CASE WHEN {a}.outcome = 'regular_diploma' AND {a}.years_to_outcome <= 4 THEN 1 ELSE 0 END)",
        ],
    ),
    (
        [("course_grade", []), ("student", ["{b}.student_key = {a}.student_key"])],
        ["{a}.school_year = 2025", "{a}.course_level = 'ap_ib'"],
        ["CASE WHEN {b}.sex = 'F' THEN 1 ELSE 0 END"],
        ["COUNT(DISTINCT {a}.student_key)"],
    ),
    ([("student_year", [])], ["{a}.school_year IN (2024, 2025)"], ["{a}.grade_level"], ["AVG({a}.gpa)", "COUNT(*)"]),
]


def flipped(rng, condition):
    """An equality with its sides exchanged, half of the time."""
    found = re.fullmatch(r"(\S+) = (\S+( \+ 1)?)", condition)
    return f"{found[2]} = {found[1]}" if found and rng.random() < 0.5 else condition


def shuffled(rng, items):
    return rng.sample(items, len(items))


def written(rng, base):
    """The question in one of its many ways."""
    tables, where, groups, selected = base
    letters = "abc"[: len(tables)]
    names = dict(zip(letters, rng.sample(["x", "y", "z", "T1", '"q r"', "mine"], len(tables)), strict=True))
    ctes, parts = [], []
    for letter, (table, on) in zip(letters, tables, strict=True):
        source, name = table, names[letter]
        if rng.random() < 0.25:
            source = f"(SELECT * FROM {table})"
        elif rng.random() < 0.25:
            ctes.append(f"made_{letter} AS (SELECT inside.* FROM {table} AS inside)")
            source = f"made_{letter}"
        source += rng.choice([" AS ", " "]) + name
        if not on:
            parts.append(source)
            continue
        keys = [re.fullmatch(r"\{(\w)\}\.(\w+) = \{(\w)\}\.\2", condition) for condition in on]
        if len(tables) == 2 and all(keys) and rng.random() < 0.3:
            parts.append(f"JOIN {source} USING ({', '.join(key[2] for key in shuffled(rng, keys))})")
        elif rng.random() < 0.2:
            parts.append(f"CROSS JOIN {source}")
            where = [*where, *on]
        else:
            parts.append(f"JOIN {source} ON " + " AND ".join(flipped(rng, c) for c in shuffled(rng, on)))
    conditions = [flipped(rng, condition) for condition in shuffled(rng, where)]
    columns = [f"{g} AS g{i}" for i, g in enumerate(groups)] + [
        f"{s} AS {rng.choice('uvw')}{i}" for i, s in enumerate(selected)
    ]
    by = rng.choice([groups, [str(i + 1) for i in range(len(groups))], [f"g{i}" for i in range(len(groups))]])
    text = f"SELECT {', '.join(columns)} FROM {' '.join(parts)} WHERE {' AND '.join(conditions)} GROUP BY {', '.join(by)}"
    with_ = f"WITH {', '.join(ctes)} " if ctes else ""
    return (with_ + text).format(**names)


@pytest.mark.slow
@pytest.mark.parametrize("position", range(len(BASES)))
def test_rewrites_are_one_question(position, canonical):
    """Aliases, a CTE or subquery for a table, the order of conjuncts, the sides of an equality, ordinals, USING for ON, WHERE for ON."""
    rng = random.Random(position)
    base = BASES[position]
    plain = written(random.Random(0), base)
    digest = planned(canonical, plain, canonical.cohorts).digest
    other = []
    for _ in range(REWRITES // len(BASES) + 1):
        text = written(rng, base)
        try:
            if planned(canonical, text, canonical.cohorts).digest != digest:
                other.append(f"another plan: {text}")
        except QueryRefused as refusal:
            other.append(f"{refusal.message} {refusal.excerpt}: {text}")
    assert not other
