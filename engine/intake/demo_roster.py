# ruff: noqa: PLR2004 - the chances of an invented life stand where they are used
"""Who is in the invented district in which year, grade and neighbourhood, and how each of them leaves.

The years 2020 to 2025 are walked through once: students are promoted, retained, move, leave, drop out or
finish, and newcomers fill each grade up to its natural size. What a student does in a year is drawn in
`demo_records` and the rooms it uses.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from engine.intake.demo_schools import FIRST_HIGH_GRADE

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.intake.demo_arrow import Flags, Floats, Ints
    from engine.intake.demo_schools import Schools

YEARS = range(2020, 2026)
RACES = ("AM7", "AS7", "BL7", "HI7", "MU7", "PI7", "WH7", "unknown")
SEXES = ("F", "M", "X", "unknown")
STAYS, LEAVES, DROPS_OUT, DIPLOMA, ALT_DIPLOMA, EQUIVALENCY, CERTIFICATE, EMIGRATES, PRISON, DIES, LOST = range(11)

_LAST_GRADE = 12
_RETENTIONS_MAX = 3
_HIGH_SCHOOL_YEARS_MAX = 7
_SIZE = (1.01, 0.985, 0.985, 0.99, 0.995, 1.0)  # of the last year, by year
_SHARE = np.array([2.0, 7.35, 7.4, *[7.3] * 7, 7.8, 7.45, 7.1, 6.9])  # of all students, PK to 12, in percent
_RETAINED = np.array([0, 4.2, 3, 1.8, *[1.4] * 6, 4.4, 2.2, 1.8, 0]) / 100  # by grade, PK to 12
_DROPOUT = np.array([*[0.0] * 10, 0.55, 0.9, 1.1, 1.3]) / 100
_RACE_SHARE = np.array([1.2, 6, 17, 27, 5, 0.6, 42.7, 0.5])
_RACE_POVERTY = np.array([0.4, -0.4, 0.5, 0.5, 0.0, 0.2, -0.5, 0.0])  # pull of a poor neighbourhood, log scale
_RACE_ECON = np.array([0.5, -0.4, 0.5, 0.45, 0.0, 0.4, -0.4, 0.0])  # log odds
_RACE_LEARNER = np.array([0.05, 0.34, 0.06, 0.6, 0.05, 0.3, 0.03, 0.12])  # in kindergarten


class _Columns:
    """Arrays of one length, one element for each row."""

    __slots__ = ()

    def take(self, rows: Ints | Flags) -> Self:
        """The chosen rows."""
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))  # type: ignore[arg-type]

    @classmethod
    def stack(cls, parts: list[Self]) -> Self:
        """All rows of all parts, in order."""
        names = [column.name for column in fields(cls)]  # type: ignore[arg-type]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True)
class People(_Columns):
    """What stays with a person; `ability` and `absence` are latent, in standard deviations or so."""

    sex: Ints
    race: Ints
    econ_odds: Floats
    ability: Floats
    absence: Floats
    at_academy: Flags
    entry_year: Ints
    cohort: Ints


@dataclass(frozen=True, slots=True)
class Pupils(_Columns):
    """The students of one year; `person` is a row of `People`, `first_ninth` is 0 below grade 9.

    `unseen` counts the years of high school before the data begin.
    """

    person: Ints
    grade: Ints
    zone: Ints
    econ: Flags
    learner: Flags
    iep: Flags
    repeats: Flags
    arrives: Flags
    unseen: Ints
    first_ninth: Ints


@dataclass(frozen=True, slots=True)
class Years(_Columns):
    """One row for each person and school year; `held` and `exit` say how that year ended."""

    person: Ints
    year: Ints
    grade: Ints
    school: Ints
    econ: Flags
    learner: Flags
    iep: Flags
    repeats: Flags
    days: Ints
    schools_attended: Ints
    first_ninth: Ints
    held: Flags
    exit: Ints


def walk(
    schools: Schools, students: int, rng: np.random.Generator, progress: Callable[[float], None]
) -> tuple[People, Years]:
    """All persons ever seen and all their years; in the last year exactly `students` are enrolled."""
    sizes = [round(students * size) for size in _SIZE]
    people, pupils = _arrive(schools, rng, YEARS[0], _by_grade(sizes[0]), 0)
    crowd, book = [people], []
    for step, year in enumerate(YEARS):
        pupils = _live(pupils, people, schools, rng)
        size_next = sizes[step + 1] if step + 1 < len(sizes) else None
        exits, grade_next = _year_end(pupils, people, year, size_next, rng)
        held = (exits == STAYS) & (grade_next == pupils.grade)
        book.append(_record(pupils, people, year, held, exits, schools, rng))
        progress((step + 1) / len(YEARS))
        if size_next is None:
            break
        staying = _advance(pupils, exits, grade_next, year + 1)
        newcomers, arrived = _arrive(
            schools, rng, year + 1, _vacancies(staying.grade, size_next, rng), len(people.cohort)
        )
        crowd.append(newcomers)
        people, pupils = People.stack([people, newcomers]), Pupils.stack([staying, arrived])
    return people, Years.stack(book)


def _by_grade(size: int) -> Ints:
    """How many students each grade should have, PK first."""
    edges = np.round(np.cumsum(_SHARE) / _SHARE.sum() * size).astype(np.int64)
    return np.asarray(np.diff(edges, prepend=0), dtype=np.int64)


def _vacancies(grades: Ints, size: int, rng: np.random.Generator) -> Ints:
    """How many newcomers each grade takes, so that the district has exactly `size` students."""
    wanted: Ints = np.maximum(_by_grade(size) - np.bincount(grades + 1, minlength=len(_SHARE)), 0)
    surplus = len(grades) + int(wanted.sum()) - size
    if surplus > 0:
        wanted -= rng.multivariate_hypergeometric(wanted, surplus)
    return wanted


def _arrive(
    schools: Schools, rng: np.random.Generator, year: int, count_by_grade: Ints, first_person: int
) -> tuple[People, Pupils]:
    """Newcomers of one year; cohort = spring year of first sight + 12 - grade."""
    grade = np.repeat(np.arange(len(count_by_grade)) - 1, count_by_grade)
    n = len(grade)
    zone = rng.choice(len(schools.weight), n, p=schools.weight)
    poverty = schools.poverty[zone]
    race = _races(poverty, rng)
    econ_odds = -0.16 + 0.85 * poverty + _RACE_ECON[race]
    econ = rng.random(n) < _sigmoid(econ_odds)
    sex = rng.choice(4, n, p=[0.485, 0.508, 0.004, 0.003])
    iep = rng.random(n) < np.where(grade < 0, 0.3, 0.122) * np.where(sex == 0, 0.72, 1.28)
    own = rng.normal(size=n)
    ability = 0.3 + 0.85 * own - 0.5 * econ - 0.7 * iep - 0.12 * poverty
    absence = 0.62 * rng.normal(size=n) - 0.12 * own + 0.38 * econ + 0.1 * iep + 0.08 * poverty - 0.22
    starts = year == YEARS[0]
    learner_odds = _RACE_LEARNER[race] * np.maximum(0.92 ** np.maximum(grade, 0), 0.3)
    people = People(
        sex=sex,
        race=race,
        econ_odds=econ_odds,
        ability=ability,
        absence=absence,
        at_academy=rng.random(n) < schools.academy_share,
        entry_year=np.full(n, year),
        cohort=year + _LAST_GRADE - grade,
    )
    pupils = Pupils(
        person=first_person + np.arange(n),
        grade=grade,
        zone=zone,
        econ=econ,
        learner=rng.random(n) < learner_odds,
        iep=iep,
        repeats=(rng.random(n) < _RETAINED[grade + 1]) & starts,
        arrives=(grade > 0) & (not starts),
        unseen=np.maximum(grade - FIRST_HIGH_GRADE, 0) * starts,
        first_ninth=np.where(grade >= FIRST_HIGH_GRADE, year - (grade - FIRST_HIGH_GRADE), 0),
    )
    return people, pupils


def _races(poverty: Floats, rng: np.random.Generator) -> Ints:
    """A race code for each newcomer, by neighbourhood."""
    weight = _RACE_SHARE * np.exp(poverty[:, None] * _RACE_POVERTY)
    edges = np.cumsum(weight, axis=1)
    drawn = rng.random(len(poverty)) * edges[:, -1]
    return np.asarray(np.minimum((drawn[:, None] >= edges).sum(axis=1), len(RACES) - 1), dtype=np.int64)


def _live(pupils: Pupils, people: People, schools: Schools, rng: np.random.Generator) -> Pupils:
    """What changes from one year to the next whatever the grade: home, income, language, support."""
    n = len(pupils.person)
    moves = rng.random(n) < 0.02 + 0.03 * pupils.econ
    redrawn = rng.random(n) < _sigmoid(people.econ_odds[pupils.person])
    leaves_el = rng.random(n) < np.where(pupils.grade > 0, 0.105, 0)
    found = rng.random(n) < np.where((pupils.grade > 0) & (pupils.grade < FIRST_HIGH_GRADE), 0.007, 0.0015)
    return replace(
        pupils,
        zone=np.where(moves, rng.choice(len(schools.weight), n, p=schools.weight), pupils.zone),
        econ=np.where(rng.random(n) < 0.06, redrawn, pupils.econ),
        learner=pupils.learner & ~leaves_el,
        iep=(pupils.iep & (rng.random(n) >= 0.04)) | found,
    )


def _year_end(
    pupils: Pupils, people: People, year: int, size_next: int | None, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """How each student's year ends, and the grade each would go on to."""
    ability, absence = people.ability[pupils.person], people.absence[pupils.person]
    risk = 0.9 * absence - 0.6 * ability
    exits = _early_exits(pupils, risk, rng)
    seniors = (pupils.grade == _LAST_GRADE) & (exits == STAYS)
    exits[seniors] = _finish(pupils.take(seniors), risk[seniors], rng)
    on_time = people.cohort[pupils.person] == year + _LAST_GRADE - pupils.grade
    grade_next = _promote(pupils, on_time & (ability > 1), risk, year, rng)
    behind = year + 1 - (people.cohort[pupils.person] - _LAST_GRADE + grade_next)
    long_in_high = (pupils.first_ninth > 0) & (year + 2 - pupils.first_ninth > _HIGH_SCHOOL_YEARS_MAX)
    exits[(exits == STAYS) & ((behind > _RETENTIONS_MAX) | long_in_high)] = LEAVES
    if size_next is not None:
        staying = np.flatnonzero(exits == STAYS)
        crowded = max(0, len(staying) - size_next)
        exits[rng.choice(staying, crowded, replace=False)] = LEAVES
    return exits, grade_next


def _early_exits(pupils: Pupils, risk: Floats, rng: np.random.Generator) -> Ints:
    """Transfers, dropouts and the rare rest; early diplomas in grade 11."""
    n = len(pupils.person)
    exits = np.where(rng.random(n) < 0.044 + 0.022 * pupils.econ, LEAVES, STAYS)
    kind = rng.random(n)
    high = pupils.grade >= FIRST_HIGH_GRADE
    gone = high & (exits == LEAVES)
    exits[gone & (kind < 0.08)] = LOST
    exits[gone & (kind > 0.93)] = EMIGRATES
    exits[gone & (kind > 0.97)] = PRISON
    exits[gone & (kind > 0.985)] = DIES
    early = (pupils.grade == _LAST_GRADE - 1) & (exits == STAYS) & (risk < 0)
    exits[early & (rng.random(n) < 0.02)] = DIPLOMA
    behind = (pupils.first_ninth > 0) & pupils.repeats
    # Those first seen late in high school carry some of the dropouts of the years before the data begin.
    odds = _logit(_DROPOUT[pupils.grade + 1] * (1 + 0.15 * pupils.unseen)) + 1.2 * risk + 0.9 * behind
    exits[high & (exits == STAYS) & (rng.random(n) < _sigmoid(odds))] = DROPS_OUT
    return exits


def _finish(seniors: Pupils, risk: Floats, rng: np.random.Generator) -> Ints:
    """How a year in grade 12 ends: mostly with a diploma; those who miss it repeat the grade."""
    n = len(risk)
    odds = 4.15 - 1.1 * risk - 0.5 * seniors.unseen
    kind = rng.random(n)
    missed = np.select([kind < 0.1, kind < 0.2], [EQUIVALENCY, CERTIFICATE], STAYS)
    exits = np.where(rng.random(n) < _sigmoid(odds), DIPLOMA, missed)
    exits[seniors.iep & (rng.random(n) < 0.03)] = ALT_DIPLOMA
    return exits


def _promote(pupils: Pupils, bright: Flags, risk: Floats, year: int, rng: np.random.Generator) -> Ints:
    """The grade of the next year: the next one, the same, or, rarely, the one after."""
    n = len(risk)
    grade = pupils.grade
    retained = rng.random(n) < _sigmoid(_logit(_RETAINED[grade + 1]) + risk)
    retained |= grade == _LAST_GRADE
    behind = (pupils.first_ninth > 0) & (year - pupils.first_ninth > grade - FIRST_HIGH_GRADE)
    recovers = behind & (grade < _LAST_GRADE - 1) & (rng.random(n) < 0.5)
    skips = bright & (grade > 0) & (grade < FIRST_HIGH_GRADE - 2) & (rng.random(n) < 0.006)
    return np.where(retained, grade, grade + 1 + (recovers | skips))


def _advance(pupils: Pupils, exits: Ints, grade_next: Ints, year: int) -> Pupils:
    """The students who come back, in their new grades."""
    stays = exits == STAYS
    grade = grade_next[stays]
    back = pupils.take(stays)
    return replace(
        back,
        grade=grade,
        repeats=grade == back.grade,
        arrives=np.zeros(len(grade), dtype=np.bool_),
        first_ninth=np.where((grade >= FIRST_HIGH_GRADE) & (back.first_ninth == 0), year, back.first_ninth),
    )


def _record(
    pupils: Pupils,
    people: People,
    year: int,
    held: Flags,
    exits: Ints,
    schools: Schools,
    rng: np.random.Generator,
) -> Years:
    """The rows of one year, with days enrolled out of 180."""
    n = len(exits)
    moved = rng.random(n) < np.where(pupils.econ, 0.115, 0.052)
    often = moved & (rng.random(n) < 0.13)
    days = np.where(moved, 180 - rng.integers(0, 9, n), 180)
    late = pupils.arrives & (rng.random(n) < 0.45)
    days = np.where(late, days - rng.integers(5, 150, n), days)
    part = np.where(exits == DROPS_OUT, 0.75, 0.4) * np.isin(
        exits, (LEAVES, DROPS_OUT, EMIGRATES, PRISON, DIES, LOST)
    )
    days = np.where(rng.random(n) < part, (days * rng.uniform(0.06, 0.97, n)).astype(np.int64), days)
    return Years(
        person=pupils.person,
        year=np.full(n, year),
        grade=pupils.grade,
        school=schools.of(pupils.grade, pupils.zone, people.at_academy[pupils.person]),
        econ=pupils.econ,
        learner=pupils.learner,
        iep=pupils.iep,
        repeats=pupils.repeats,
        days=np.maximum(days, 1),
        schools_attended=1 + moved + often,
        first_ninth=pupils.first_ninth,
        held=held,
        exit=exits,
    )


def _sigmoid(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float64)


def _logit(chance: Floats) -> Floats:
    bounded = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(bounded / (1 - bounded)), dtype=np.float64)
