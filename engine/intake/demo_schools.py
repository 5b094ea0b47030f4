"""The invented district's schools: their names, their neighbourhoods, and which school feeds which.

A neighbourhood is the zone of one elementary school. It has a share of the district's families and a level of
poverty; its children go on to one middle and one high school. Public facts only: no student comes in here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.intake.demo_arrow import text

if TYPE_CHECKING:
    from engine.intake.demo_arrow import Flags, Floats, Ints

LEVELS = ("elementary", "middle", "high", "other")
LOCALES = ("city", "suburb", "town", "rural")
FIRST_MIDDLE_GRADE = 6
FIRST_HIGH_GRADE = 9

_WORDS = (
    "Alder", "Aspen", "Birch", "Cedar", "Cherry", "Chestnut", "Cypress", "Dogwood", "Elm", "Fern",
    "Hawthorn", "Hazel", "Hickory", "Holly", "Juniper", "Laurel", "Linden", "Magnolia", "Maple", "Oak",
    "Pine", "Poplar", "Redwood", "Rowan", "Spruce", "Sumac", "Sycamore", "Tamarack", "Walnut", "Willow",
)  # fmt: skip
_ENDINGS = ("", " Creek", " Hill", " Ridge", " Grove", " Park", " Valley", " Point", " Meadow", " Bend")
_SUFFIX = ("Elementary", "Middle School", "High School", "Academy")
_FIRST_ID = (1001, 2001, 3001, 9001)
_FULL_SIZE = 2_000  # students from which the district has all its schools
_FULL_SCHOOLS = (15, 5, 4)
_ACADEMY_SIZE = 600
_LARGEST = (800, 1_150, 1_600)  # mean students of a school before another one is built, by level
_SHARE = (0.54, 0.22, 0.295)  # of all students, by level


@dataclass(frozen=True, slots=True)
class Schools:
    """All schools, as arrays over schools, and all neighbourhoods, as arrays over neighbourhoods.

    Attributes:
        level: index into `LEVELS` of each school.
        weight: share of the district's families in each neighbourhood.
        poverty: poverty of each neighbourhood, in standard deviations.
        feeds: for elementary, middle and high the school of each neighbourhood.
        academy: the school for all grades that some families choose, if there is one.
        academy_share: the share of families that choose it.
    """

    ids: Ints
    names: tuple[str, ...]
    level: Ints
    locale: Ints
    is_charter: Flags
    is_title_i: Flags
    weight: Floats
    poverty: Floats
    feeds: tuple[Ints, Ints, Ints]
    academy: int | None
    academy_share: float

    def of(self, grade: Ints, zone: Ints, at_academy: Flags) -> Ints:
        """The school (an index) of students by grade, neighbourhood and choice of the academy."""
        elementary, middle, high = self.feeds
        upper = np.where(grade >= FIRST_HIGH_GRADE, high[zone], middle[zone])
        school = np.where(grade < FIRST_MIDDLE_GRADE, elementary[zone], upper)
        return school if self.academy is None else np.where(at_academy, self.academy, school)

    def table(self) -> Any:
        """The public table `school`."""
        return pa.table(
            {
                "school_id": self.ids,
                "school_name": pa.array(self.names, pa.string()),
                "school_level": text(self.level, LEVELS),
                "locale": text(self.locale, LOCALES),
                "is_charter": self.is_charter,
                "is_title_i": self.is_title_i,
            }
        )


def build(students: int, rng: np.random.Generator) -> Schools:
    """Schools for a district of `students`: 25 up to some 20,000 students, fewer below 2,000, more above."""
    counts = _counts(students)
    zones = counts[0]
    weight = rng.uniform(0.8, 1.2, zones)
    weight /= weight.sum()
    poverty = np.sort(rng.normal(size=zones))  # near neighbourhoods are alike, so middle and high schools differ too
    poverty = (poverty - poverty.mean()) / max(poverty.std(), 1.0)
    level = np.repeat(np.arange(4), counts)
    feeds = _feeds(weight, counts)
    school_poverty = np.zeros(len(level))
    for schools in feeds:
        np.add.at(school_poverty, schools, poverty * weight)
        share = np.bincount(schools, weight, len(level))
        school_poverty = np.where(share > 0, school_poverty / np.maximum(share, 1e-12), school_poverty)
    return Schools(
        ids=np.concatenate([_FIRST_ID[kind] + np.arange(count) for kind, count in enumerate(counts)]),
        names=_names(counts, rng),
        level=level,
        locale=rng.choice(4, len(level), p=[0.45, 0.35, 0.12, 0.08]),
        is_charter=level == LEVELS.index("other"),
        is_title_i=(school_poverty > 0) & (level < LEVELS.index("high")),
        weight=weight,
        poverty=poverty,
        feeds=feeds,
        academy=len(level) - 1 if counts[3] else None,
        academy_share=min(0.03, _ACADEMY_SIZE / students) if counts[3] else 0.0,
    )


def _counts(students: int) -> tuple[int, int, int, int]:
    """How many schools there are of each level."""
    part = min(1.0, students / _FULL_SIZE)
    elementary, middle, high = (
        max(1, round(full * part), math.ceil(students * share / largest))
        for full, share, largest in zip(_FULL_SCHOOLS, _SHARE, _LARGEST, strict=True)
    )
    return elementary, middle, high, int(students >= _FULL_SIZE // 2)


def _feeds(weight: Floats, counts: tuple[int, int, int, int]) -> tuple[Ints, Ints, Ints]:
    """The school of each neighbourhood at each level: neighbours share one, and schools are of like size."""
    middle_of_zone = np.cumsum(weight) - weight / 2
    elementary, middle, high, _ = counts
    return (
        np.arange(elementary),
        elementary + (middle_of_zone * middle).astype(np.int64),
        elementary + middle + (middle_of_zone * high).astype(np.int64),
    )


def _names(counts: tuple[int, int, int, int], rng: np.random.Generator) -> tuple[str, ...]:
    """Plain names, no two schools of a level alike."""
    names: list[str] = []
    for count, suffix in zip(counts, _SUFFIX, strict=True):
        words = [_WORDS[i] for i in rng.permutation(len(_WORDS))]
        ending = math.ceil(count / len(words))
        pool = [f"{word}{_ENDINGS[e % len(_ENDINGS)]}" for e in range(ending) for word in words]
        names += [f"{name} {suffix}" for name in pool[:count]]
    return tuple(names)
