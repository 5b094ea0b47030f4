"""Random catalogs: several private tables, keys, caps, checks, and columns of every type."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from engine.catalog_file import catalog_of_document

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from engine.catalog import Catalog

    Predicate = Callable[[Mapping[str, Any]], bool]

OWNER, COHORT = "pupil", "class_of"
EXAMS = ["sat", "act", "O'Brien", "état", "a;b--"]
WORDS = ["F", "M", "x y", "", "''", "Ω", "NULL", "true", "1", '"q"']
INTEGER_BOUNDS: list[list[int]] = [
    [0, 1],
    [-5, 5],
    [0, 200],
    [-3, 4],
    [7, 7],
    [1, 999],
    [-(2**31), 2**31],
    [0, 2**40],
    [-(2**52), 1],
]
DATE_BOUNDS = [["2024-02-28", "2024-03-01"], ["2025-01-31", "2025-01-31"], ["1900-01-01", "2199-12-31"]]
DOUBLE_BOUNDS = [[0.0, 1.0], [-1e6, 1e6], [0.1, 0.3], [-1e-12, 1e-12], [0.0, 2.0**60], [1.5, 1.5], [-0.75, 12.25]]


@dataclass(frozen=True)
class Declared:
    """A catalog as declared, and its row checks as functions, so that students can be made who keep them.

    Attributes:
        spans: of each exam the least and greatest points, the rows of the public table `span`.
        places: the keys of the public table `place`.
        attributes: the other columns of its rows.
    """

    catalog: Catalog
    checks: Mapping[str, Sequence[Predicate]]
    spans: Sequence[tuple[str, int, int]]
    places: Sequence[int]
    attributes: Sequence[Mapping[str, Any]]


def any_catalog(rng: random.Random) -> Declared:
    """A random catalog."""
    exams = rng.sample(EXAMS, rng.randint(2, 4))
    first = rng.choice([2024, 2027])
    cohorts = sorted(rng.sample(range(first, first + 9), rng.randint(2, 5)))
    tables: dict[str, Any] = {
        "span": {
            "public": True,
            "unique": ["exam"],
            "columns": {
                "exam": {"type": "text", "values": exams},
                "low": {"type": "integer", "bounds": [-100, 100]},
                "high": {"type": "integer", "bounds": [-100, 2000]},
            },
        },
        "place": {
            "public": True,
            "unique": [["place_id"], ["code"]],
            "columns": {
                "place_id": {"type": "integer", "bounds": [1, 9999]},
                "code": {"type": "integer", "bounds": [-1, 9999]},
                "level": {"type": "integer", "values": {"from": 1, "to": 3}, "nullable": True},
                "flag": {"type": "boolean"},
                "word": {"type": "text", "values": WORDS, "nullable": True},
                "year": {"type": "integer", "values": {"from": 2020, "to": 2032}},
            },
        },
        "person": {
            "unique": [OWNER],
            "columns": {COHORT: {"type": "integer"}, **_few(rng, ["sex", "flag", "level"])},
        },
    }
    checks: dict[str, list[Predicate]] = {"person": []}
    for name in ("score", "visit", "award")[: rng.choice([2, 2, 2, 3])]:
        tables[name], checks[name] = _private(rng, exams)
    document = {
        "district": {"id": "us-xx-fuzz", "name": "Fuzz", "time_zone": "UTC"},
        "privacy": {
            "owner": OWNER,
            "cohort": COHORT,
            "cohorts": cohorts,
            "delta": "1e-7",
            "max_students": rng.choice([64, 5_000, 200_000]),
        },
        "tables": tables,
    }
    spans = [(exam, low := rng.randint(-20, 60), low + rng.choice([0, 1, 35, 800])) for exam in exams]
    places = rng.sample(range(1, 9999), rng.choice([3, 6, 6, 120, 1_100]))
    attributes = [_place(rng, number) for number in range(len(places))]
    return Declared(catalog_of_document(json.dumps(document), "fuzz.yaml"), checks, spans, places, attributes)


def _place(rng: random.Random, number: int) -> dict[str, Any]:
    """The attributes of a place; its second key is what a year, a term or a level may be."""
    return {
        "code": number - 1 if number < 9 else 2016 + number,
        "level": rng.choice([1, 2, 3, None]),
        "flag": rng.random() < 0.5,
        "word": rng.choice([*WORDS[:4], None]),
        "year": rng.randint(2021, 2026),
    }


def _columns(rng: random.Random, exams: Sequence[str]) -> dict[str, Any]:
    """Every column there may be, each as the dice would have it."""
    year = rng.choice([2022, 2025])
    scale = rng.randint(0, 4)
    return {
        "year": {"type": "integer", "values": {"from": year, "to": year + rng.randint(1, 6)}},
        "term": {"type": "integer", "values": rng.choice([[1, 2], [1, 2, 3], [0, -1, 7], [5]])},
        "exam": {"type": "text", "values": list(exams)},
        "flag": {"type": "boolean", **rng.choice([{}, {"default": False}])},
        "early": {"type": "boolean"},
        "place_id": {"type": "integer", "values": {"table": "place", "column": "place_id"}},
        "sex": {"type": "text", "values": ["F", "M", "unknown"], "default": "unknown"},
        "maybe": {"type": "boolean", "nullable": True},
        "level": {"type": "integer", "values": {"from": 1, "to": rng.randint(2, 5)}, "nullable": True},
        "word": {"type": "text", "values": rng.sample(WORDS, 4), "nullable": True},
        "note": {"type": "text", "nullable": True},
        "points": {"type": "integer", "bounds": {"table": "span", "low": "low", "high": "high"}, "nullable": True},
        "whole": {"type": "integer", "bounds": rng.choice(INTEGER_BOUNDS), "nullable": rng.random() < 0.5},
        "free": {"type": "integer", "nullable": rng.random() < 0.5},
        "small": {"type": f"decimal({scale + 2},{scale})", "nullable": rng.random() < 0.5},
        "money": {
            "type": f"decimal(12,{scale})",
            "bounds": _decimal_bounds(rng, scale),
            "nullable": rng.random() < 0.5,
        },
        "real": {"type": "double", "bounds": rng.choice(DOUBLE_BOUNDS), "nullable": rng.random() < 0.5},
        "wild": {"type": "double", "nullable": rng.random() < 0.5},
        "day": {"type": "date", "values": ["2024-02-29", "2024-12-31", "2025-01-01"]},
        "on_day": {"type": "date", "bounds": rng.choice(DATE_BOUNDS), "nullable": rng.random() < 0.5},
        "origin": {"type": "text", "values": ["file", "other"], "constant": "file"},
        "secret": {"type": "integer", "bounds": [0, 9], "sensitive": True},
    }


KEYABLE = ["year", "term", "exam", "flag", "early", "place_id", "sex", "day"]


def _decimal_bounds(rng: random.Random, scale: int) -> list[float]:
    low, high = sorted(rng.sample(range(-(10 ** (scale + 1)), 10 ** (scale + 2)), 2))
    return [float(Fraction(low, 10**scale)), float(Fraction(high, 10**scale))]


def _few(rng: random.Random, names: Sequence[str]) -> dict[str, Any]:
    every = _columns(rng, ["sat"])
    return {name: every[name] for name in names}


def _private(rng: random.Random, exams: Sequence[str]) -> tuple[dict[str, Any], list[Predicate]]:
    """A random private table and its checks."""
    every = _columns(rng, exams)
    chosen = {"year", *rng.sample(sorted(set(every) - {"year"}), rng.randint(5, 9))}
    chosen |= {"exam"} if "points" in chosen else set()
    columns = {name: spec for name, spec in every.items() if name in chosen}
    keyable = [name for name in KEYABLE if name in columns]
    table: dict[str, Any] = {"columns": columns}
    if rng.random() < 0.8:
        size = rng.choice([0, 1, 1, 2, 2, 3])
        keys = [[OWNER, *rng.sample(keyable, min(size, len(keyable)))]]
        if rng.random() < 0.2:
            keys.append([OWNER, *rng.sample(keyable, min(2, len(keyable)))])
        table["unique"] = keys
    if rng.random() < 0.5:
        per = [rng.choice(keyable)] if rng.random() < 0.8 else rng.sample(keyable, min(2, len(keyable)))
        table["caps"] = [{"rows": rng.choice([1, 2, 3]), "per": per}]
    table["rows_per_student_max"] = rng.choice([1, 2, 3, 5, 8, 12, 40])
    numbers = [name for name in ("points", "whole", "real", "money") if name in columns]
    if numbers and rng.random() < 0.3:
        table["keep"] = {"highest": rng.choice(numbers)}
    table["checks"], predicates = _checks(rng, columns)
    return table, predicates


def _checks(rng: random.Random, columns: Mapping[str, Any]) -> tuple[list[str], list[Predicate]]:
    before, after = rng.randint(1, 6), rng.randint(1, 6)
    every: list[tuple[str, str, Predicate]] = [
        (
            "year",
            f"year BETWEEN {COHORT} - {before} AND {COHORT} + {after}",
            lambda row: row[COHORT] - before <= row["year"] <= row[COHORT] + after,
        ),
        (
            "level",
            "level IS NULL OR level * 2 <> 4",
            lambda row: row["level"] is None or row["level"] != 2,
        ),
        ("flag", f"flag OR year > {COHORT} - 4", lambda row: row["flag"] or row["year"] > row[COHORT] - 4),
        ("early", "NOT early OR term <= 2", lambda row: not row["early"] or row.get("term", 0) <= 2),
    ]
    chosen = [
        check
        for check in every
        if check[0] in columns and ("term" in columns or check[0] != "early") and rng.random() < 0.3
    ]
    return [text for _, text, _ in chosen], [predicate for _, _, predicate in chosen]
