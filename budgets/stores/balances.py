"""SQL of what cohorts may lose and have lost: lifetimes, budget years, allowances."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from budgets.stores.sqlite import Database

SQL_INTEGER_MAX = 2**63 - 1
"""The greatest number a column holds. Caps are far below: a cost cut down to it is still beyond them."""

SELECT_BALANCES = """
SELECT c.cohort, c.cap_nanorho, c.spent_nanorho, c.cap_attodelta, c.spent_attodelta,
  y.cap_nanorho, coalesce(y.spent_nanorho, 0), a.cap_nanorho, coalesce(a.spent_nanorho, 0),
  p.cap_nanorho, coalesce(p.spent_nanorho, 0),
  EXISTS (SELECT 1 FROM decisions d WHERE d.cohort = c.cohort AND d.kind = 'unsealed' AND d.year = :year)
FROM cohorts c
LEFT JOIN cohort_years y ON y.cohort = c.cohort AND y.year = :year
LEFT JOIN allowances a ON a.cohort = c.cohort AND a.year = :year AND a.grant_id = :grant
LEFT JOIN population_years p ON p.cohort = c.cohort AND p.year = :year AND p.population = :population
ORDER BY c.cohort
"""

NEWCOMERS_CAPS = """
SELECT min(max(c.cap_nanorho), json_extract(e.body, '$.lifetime_nanorho')),
  min(max(c.cap_attodelta), json_extract(e.body, '$.lifetime_attodelta'))
FROM cohorts c CROSS JOIN (SELECT body FROM events WHERE kind = 'init') e
"""

OPEN_YEAR = """
INSERT INTO cohort_years (cohort, year, cap_nanorho) VALUES (?, ?, ?) ON CONFLICT (cohort, year) DO NOTHING
"""

OPEN_ALLOWANCE = """
INSERT INTO allowances (grant_id, cohort, year, cap_nanorho) VALUES (?, ?, ?, ?)
ON CONFLICT (grant_id, cohort, year) DO NOTHING
"""

OPEN_POPULATION = """
INSERT INTO population_years (cohort, year, population, cap_nanorho) VALUES (?, ?, ?, ?)
ON CONFLICT (cohort, year, population) DO NOTHING
"""

SPEND_LIFETIME = """
UPDATE cohorts SET spent_nanorho = spent_nanorho + ?1, spent_attodelta = spent_attodelta + ?2
WHERE cohort = ?3 AND spent_nanorho + ?1 <= cap_nanorho AND spent_attodelta + ?2 <= cap_attodelta
"""

SPEND_YEAR = """
UPDATE cohort_years SET spent_nanorho = spent_nanorho + ?1
WHERE cohort = ?2 AND year = ?3 AND spent_nanorho + ?1 <= cap_nanorho
"""

SPEND_POPULATION = """
UPDATE population_years SET spent_nanorho = spent_nanorho + ?1
WHERE cohort = ?2 AND year = ?3 AND population = ?4 AND spent_nanorho + ?1 <= cap_nanorho
"""

SPEND_ALLOWANCE = """
UPDATE allowances SET spent_nanorho = spent_nanorho + ?1
WHERE cohort = ?2 AND year = ?3 AND grant_id = ?4 AND spent_nanorho + ?1 <= cap_nanorho
"""

WRONG_BALANCES = """
WITH paid AS MATERIALIZED (
  SELECT r.grant_id, r.population, c.cohort, c.year, sum(c.nanorho) AS nanorho, sum(c.attodelta) AS attodelta
  FROM charges c JOIN releases r ON r.id = c.entry GROUP BY r.grant_id, r.population, c.cohort, c.year),
balances (kind, name, cohort, year, nanorho, attodelta) AS (
  SELECT 'lifetime', '', cohort, 0, spent_nanorho, spent_attodelta FROM cohorts
  UNION ALL SELECT 'lifetime', '', cohort, 0, -nanorho, -attodelta FROM paid
  UNION ALL SELECT 'year', '', cohort, year, spent_nanorho, 0 FROM cohort_years
  UNION ALL SELECT 'year', '', cohort, year, -nanorho, 0 FROM paid
  UNION ALL SELECT 'population', population, cohort, year, spent_nanorho, 0 FROM population_years
  UNION ALL SELECT 'population', population, cohort, year, -nanorho, 0 FROM paid
  UNION ALL SELECT 'allowance', grant_id, cohort, year, spent_nanorho, 0 FROM allowances
  UNION ALL SELECT 'allowance', grant_id, cohort, year, -nanorho, 0 FROM paid)
SELECT cohort FROM balances GROUP BY kind, name, cohort, year HAVING sum(nanorho) <> 0 OR sum(attodelta) <> 0
"""

WRONG_CAPS = """
SELECT cohort FROM cohorts WHERE NOT (spent_nanorho BETWEEN 0 AND cap_nanorho)
  OR NOT (spent_attodelta BETWEEN 0 AND cap_attodelta)
UNION ALL SELECT cohort FROM cohort_years WHERE NOT (spent_nanorho BETWEEN 0 AND cap_nanorho)
UNION ALL SELECT cohort FROM population_years WHERE NOT (spent_nanorho BETWEEN 0 AND cap_nanorho)
UNION ALL SELECT cohort FROM allowances WHERE NOT (spent_nanorho BETWEEN 0 AND cap_nanorho)
"""

LOWER_LIFETIME = """
UPDATE cohorts SET cap_nanorho = :cap
WHERE cohort = :cohort AND cap_nanorho > :cap AND spent_nanorho <= :cap
"""


class BalanceRow(NamedTuple):
    """One cohort as stored; a budget year nobody paid from yet has no caps of its own."""

    cohort: int
    lifetime_cap: int
    lifetime_spent: int
    attodelta_cap: int
    attodelta_spent: int
    year_cap: int | None
    year_spent: int
    allowance_cap: int | None
    allowance_spent: int
    population_cap: int | None
    population_spent: int
    unsealed: int


class Payer(NamedTuple):
    """From whose parts of a cohort's year a question is paid."""

    grant: str
    population: str


class Cost(NamedTuple):
    """What a cohort is to pay, and the caps of its year and of the parts of it where this payment opens them."""

    cohort: int
    year: int
    nanorho: int
    attodelta: int
    year_cap: int | None
    population_cap: int | None
    allowance_cap: int | None


def add_cohorts(database: Database, cohorts: Iterable[int], nanorho: int, attodelta: int) -> None:
    """Enter cohorts with their lifetime caps, nothing spent."""
    sql = "INSERT INTO cohorts (cohort, cap_nanorho, cap_attodelta) VALUES (?, ?, ?)"
    database.change_each(sql, [(cohort, nanorho, attodelta) for cohort in cohorts])


def newcomers_caps(database: Database) -> tuple[int, int]:
    """The lifetime caps of a class that comes later: the founding's, but at most the greatest of any class now."""
    nanorho, attodelta = database.rows(NEWCOMERS_CAPS)[0]
    return int(nanorho), int(attodelta)


def select(database: Database, payer: Payer, year: int) -> list[BalanceRow]:
    """All cohorts in their order, with their budget year and the payer's parts of it."""
    return [BalanceRow(*row) for row in database.rows(SELECT_BALANCES, {**payer._asdict(), "year": year})]


def spend(database: Database, payer: Payer, costs: list[Cost]) -> bool:
    """Add the costs to every balance they touch; False if one of them does not cover its cost.

    Where it says False the balances are half changed: the transaction must be undone.
    """
    years = [(cost.cohort, cost.year, cost.year_cap) for cost in costs if cost.year_cap is not None]
    database.change_each(OPEN_YEAR, years)
    populations = [
        (cost.cohort, cost.year, payer.population, cost.population_cap)
        for cost in costs
        if cost.population_cap is not None
    ]
    database.change_each(OPEN_POPULATION, populations)
    opened = [cost for cost in costs if cost.allowance_cap is not None]
    allowances = [(payer.grant, cost.cohort, cost.year, cost.allowance_cap) for cost in opened]
    database.change_each(OPEN_ALLOWANCE, allowances)
    rho = [(min(cost.nanorho, SQL_INTEGER_MAX), cost.cohort, cost.year) for cost in costs]
    lifetimes = [
        (nanorho, min(cost.attodelta, SQL_INTEGER_MAX), cohort)
        for (nanorho, cohort, _), cost in zip(rho, costs, strict=True)
    ]
    updates = (
        (SPEND_LIFETIME, lifetimes),
        (SPEND_YEAR, rho),
        (SPEND_POPULATION, [(*each, payer.population) for each in rho]),
        (SPEND_ALLOWANCE, [(*each, payer.grant) for each in rho]),
    )
    return all(database.change_each(update, values) == len(costs) for update, values in updates)


def costs(database: Database, year: int) -> list[tuple[int, int]]:
    """(cohort, nano-rho) of every charge of a budget year, in the order of the questions."""
    sql = "SELECT cohort, nanorho FROM charges WHERE year = ? ORDER BY entry, cohort"
    return [(cohort, nanorho) for cohort, nanorho in database.rows(sql, (year,))]


def wrong(database: Database) -> list[int]:
    """The cohorts of which a balance is not the sum of its charges, or is beyond its cap."""
    return sorted({cohort for check in (WRONG_BALANCES, WRONG_CAPS) for (cohort,) in database.rows(check)})


def lower_lifetime(database: Database, cohort: int, nanorho: int) -> bool:
    """Lower a lifetime cap; False if it is not above `nanorho`, or more than that is spent."""
    return database.change(LOWER_LIFETIME, {"cohort": cohort, "cap": nanorho}) == 1


def raise_lifetime(database: Database, cohort: int, nanorho: int) -> bool:
    """Raise a lifetime cap to what was decided; False if it is not below `nanorho`."""
    sql = "UPDATE cohorts SET cap_nanorho = ? WHERE cohort = ? AND cap_nanorho < ?"
    return database.change(sql, (nanorho, cohort, nanorho)) == 1


def lifetime(database: Database, cohort: int) -> tuple[int, int]:
    """Lifetime cap and what is spent of it, in nano-rho."""
    sql = "SELECT cap_nanorho, spent_nanorho FROM cohorts WHERE cohort = ?"
    ((cap, spent),) = database.rows(sql, (cohort,))
    return cap, spent


def years(database: Database, cohort: int) -> list[int]:
    """The budget years the cohort has paid from."""
    return [year for (year,) in database.rows("SELECT year FROM cohort_years WHERE cohort = ?", (cohort,))]


def parts(database: Database, cohort: int, year: int) -> tuple[list[str], list[str]]:
    """The populations and the grants that have paid from a cohort's budget year."""
    key = (cohort, year)
    populations = database.rows("SELECT population FROM population_years WHERE cohort = ? AND year = ?", key)
    grants = database.rows("SELECT grant_id FROM allowances WHERE cohort = ? AND year = ?", key)
    return [name for (name,) in populations], [name for (name,) in grants]


LOWERED, RAISED = "lowered", "raised"

MOVE_YEAR = """
UPDATE cohort_years
SET cap_nanorho = iif(:how = 'raised', max(cap_nanorho, :cap), min(cap_nanorho, max(spent_nanorho, :cap)))
WHERE cohort = :cohort AND year = :year
"""

MOVE_POPULATION = """
UPDATE population_years
SET cap_nanorho = iif(:how = 'raised', max(cap_nanorho, :cap), min(cap_nanorho, max(spent_nanorho, :cap)))
WHERE population = :population AND cohort = :cohort AND year = :year
"""

MOVE_ALLOWANCE = """
UPDATE allowances
SET cap_nanorho = iif(:how = 'raised', max(cap_nanorho, :cap), min(cap_nanorho, max(spent_nanorho, :cap)))
WHERE grant_id = :grant AND cohort = :cohort AND year = :year
"""


def move_year(database: Database, how: str, cohort: int, year: int, cap: int) -> None:
    """Move the cap of a budget year: LOWERED, to what is spent at least, or RAISED."""
    database.change(MOVE_YEAR, {"how": how, "cap": cap, "cohort": cohort, "year": year})


def move_population(database: Database, how: str, population: str, cohort: int, year: int, cap: int) -> None:
    """Move what a population may use of a budget year, likewise."""
    values = {"how": how, "cap": cap, "population": population, "cohort": cohort, "year": year}
    database.change(MOVE_POPULATION, values)


def move_allowance(database: Database, how: str, grant: str, cohort: int, year: int, cap: int) -> None:
    """Move what a grant may use of a budget year, likewise."""
    database.change(MOVE_ALLOWANCE, {"how": how, "cap": cap, "grant": grant, "cohort": cohort, "year": year})
