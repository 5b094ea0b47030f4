"""Statistics → the SQL statement that runs over the vault, generated from our own tree.

The researcher's text is never executed. Every construct written here is total (see `engine.sql`), so a question ends
the same way on neighbouring databases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine import tree
from engine.early import early
from engine.froms import Scope, from_clause, in_cohorts, owner_of, plain_table, read_inside, scan_sql, scans_of
from engine.sql import bounded, double, quoted, sql, units, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from budgets.policy import Population
    from engine.catalog import Catalog
    from engine.early import Early
    from engine.keysets import KeyList
    from engine.statistic import Centred, Statistic

KEYS_TABLE = "homeroom_keys"
FLAG, VALUE, COUNTED = "homeroom_flag", "homeroom_value", "homeroom_counted"
"""What stands beside columns of students in a statement, under names that no catalog can declare."""

PLACED_GROUPS_MAX = 1_000
"""Up to so many groups are put in their places after the rows are fetched, which saves the database a join."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One statement.

    Attributes:
        sql: the text; its output has one BIGINT column per statistic, s0, s1, …
        tables: every relation it reads.
        layout: what its rows are: `one` row; `placed`, one for each key row, in order, by way of the key list as a
            registered relation with columns i, k0, k1, …; or `loose`, one for each group that has records, in any
            order, with the group's key in the columns k0, k1, … before the statistics.
        early: whether students' rows are counted before they are joined with public tables.
    """

    sql: str
    tables: frozenset[str]
    layout: Literal["one", "placed", "loose"]
    early: bool = False


def batches(statistics: Sequence[Statistic]) -> list[tuple[int, ...]]:
    """Positions of the statistics that one statement can compute: of one relation, in the same groups."""
    found: dict[tuple[str, str, bool], list[int]] = {}
    for position, statistic in enumerate(statistics):
        key = tree.canonical_relation(statistic.relation), statistic.keys_digest, statistic.limited is not None
        found.setdefault(key, []).append(position)
    return [tuple(positions) for positions in found.values()]


def compile_batch(catalog: Catalog, statistics: Sequence[Statistic], population: Population = "research") -> Compiled:
    """The statement that computes the exact integers of some statistics of one relation in the same groups.

    Every scan is restricted to the cohorts its statistics touch, which are those that are charged for them, and to
    the students of the population.
    """
    relation, keys = statistics[0].relation, statistics[0].keys
    common = _common(statistics)
    scope = Scope(tuple(sorted({cohort for statistic in statistics for cohort in statistic.cohorts})), population)
    read = _read(relation, keys, statistics)
    first = early(catalog, statistics, common)
    if statistics[0].limited is not None:
        aggregated = _limited(catalog, statistics, scope, read)
    elif first is None:
        aggregated = _joined(catalog, statistics, common, scope, read)
    else:
        aggregated = _counted(catalog, statistics, common, scope, read, first)
    layout: Literal["one", "placed", "loose"] = "one"
    if keys.columns:
        aggregated += f" GROUP BY {', '.join(f'k{i}' for i in range(len(keys.columns)))}"
        layout = "placed" if len(keys.rows) > PLACED_GROUPS_MAX else "loose"
    text = _placed(aggregated, len(keys.columns), len(statistics)) if layout == "placed" else aggregated
    return Compiled(bounded(text), _tables(relation), layout, early=first is not None)


def _joined(
    catalog: Catalog,
    statistics: Sequence[Statistic],
    common: tuple[tree.Expr, ...],
    scope: Scope,
    read: frozenset[str],
) -> str:
    """Rows are joined, then aggregated; GROUP BY is still to come."""
    relation, keys = statistics[0].relation, statistics[0].keys
    inner = [f"{sql(column)} AS k{i}" for i, column in enumerate(keys.columns)]
    own, measured = _measured(catalog, statistics, common, scope.cohorts)
    outer = [*(f"k{i}" for i in range(len(keys.columns))), *(f"{text} AS s{p}" for p, text in enumerate(measured))]
    inner += own
    if any(statistic.students for statistic in statistics):
        inner.append(f"{owner_of(catalog, relation)} AS owner")
    scan = f"SELECT {', '.join(inner) or '1 AS one'} {_from(catalog, relation, common, scope, read)}"
    return f"SELECT {', '.join(outer)} FROM ({scan}) AS scan"


def _from(
    catalog: Catalog, relation: tree.Relation, common: Sequence[tree.Expr], scope: Scope, read: frozenset[str]
) -> str:
    """FROM and WHERE, restricted to the scope."""
    alone = plain_table(relation) is not None
    within = scope.condition(catalog) if alone else in_cohorts(relation.cohort, scope.cohorts)
    conditions = " AND ".join([within, *(sql(condition) for condition in common)])
    return f"FROM {from_clause(catalog, relation, scope, read, common)} WHERE {conditions}"


def _limited(
    catalog: Catalog,
    statistics: Sequence[Statistic],
    scope: Scope,
    read: frozenset[str],
) -> str:
    """Rows are added up for each student and group, cut to the limits, then over students; GROUP BY is still to come.

    Of each exact total a student contributes the part that the limit leaves of all the student's rows, in whole
    `parts`, rounded toward zero.
    """
    relation, keys = statistics[0].relation, statistics[0].keys
    inner = [f"{sql(column)} AS k{i}" for i, column in enumerate(keys.columns)]
    # a limit counts the rows of its base, whatever else is measured beside it
    common = _shared(s.limited.base for s in statistics if s.limited is not None)
    own, measured = _measured(catalog, statistics, common, scope.cohorts)
    bases = list(dict.fromkeys(s.limited.base for s in statistics if s.limited is not None))
    shared = {tree.canonical(condition) for condition in common}
    for number, base in enumerate(bases):
        conditions = [sql(condition) for condition in base if tree.canonical(condition) not in shared]
        own.append(f"{' AND '.join(conditions) or 'TRUE'} AS b{number}")
    inner += [*own, f"{owner_of(catalog, relation)} AS owner"]
    scan = f"SELECT {', '.join(inner)} {_from(catalog, relation, common, scope, read)}"
    by = ["owner", *(f"k{i}" for i in range(len(keys.columns)))]
    totals = [f"{text} AS t{position}" for position, text in enumerate(measured)]
    totals += [f"COUNT(*) FILTER (WHERE b{number}) AS c{number}" for number in range(len(bases))]
    each = f"SELECT {', '.join([*by, *totals])} FROM ({scan}) AS scan GROUP BY {', '.join(by)}"
    student = "OVER (PARTITION BY owner)"
    counts = [f"CAST(SUM(c{n}) {student} AS BIGINT) AS n{n}" for n in range(len(bases))]
    counts += [f"COUNT(*) FILTER (WHERE c{n} > 0) {student} AS g{n}" for n in range(len(bases))]
    beside = f"SELECT *, {', '.join(counts)} FROM ({each}) AS each"
    parts = [_part(statistic, position, bases) for position, statistic in enumerate(statistics)]
    outer = [f"k{i}" for i in range(len(keys.columns))]
    outer += [f"TRY_CAST(COALESCE(SUM({part}), 0) AS BIGINT) AS s{position}" for position, part in enumerate(parts)]
    return f"SELECT {', '.join(outer)} FROM ({beside}) AS limited"


def _part(statistic: Statistic, position: int, bases: Sequence[tuple[tree.Expr, ...]]) -> str:
    """The part of a student's total in a group that the limits leave."""
    limit = statistic.limited
    if limit is None:
        raise AssertionError
    number = bases.index(limit.base)
    total = f"CAST(t{position} AS HUGEINT) * {whole(statistic.parts)}"
    rows = None if limit.rows is None else (whole(limit.rows), f"n{number}")
    groups = None if limit.groups is None else (whole(limit.groups), f"g{number}")
    whens = []
    if rows is not None and groups is not None:
        fewer = f"CAST({rows[0]} AS HUGEINT) * {groups[1]} <= CAST({groups[0]} AS HUGEINT) * {rows[1]}"
        whens.append(f"WHEN {rows[1]} > {rows[0]} AND {fewer} THEN ({total} * {rows[0]}) // {rows[1]}")
        whens.append(f"WHEN {groups[1]} > {groups[0]} AND NOT ({fewer}) THEN ({total} * {groups[0]}) // {groups[1]}")
    else:
        most, count = rows or groups or ("", "")
        whens.append(f"WHEN {count} > {most} THEN ({total} * {most}) // {count}")
    return f"CASE {' '.join(whens)} ELSE {total} END"


def _counted(
    catalog: Catalog,
    statistics: Sequence[Statistic],
    common: tuple[tree.Expr, ...],
    scope: Scope,
    read: frozenset[str],
    first: Early,
) -> str:
    """Rows are counted by the students' own columns, and the counts joined; GROUP BY is still to come."""
    keys = statistics[0].keys
    by = [quoted(name) for name in first.by]
    own, measured = _measured(catalog, statistics, common, scope.cohorts)
    conditions = [in_cohorts(first.owned.cohort, scope.cohorts), *(sql(condition) for condition in first.within)]
    source = from_clause(catalog, first.owned, scope, read)
    scan = f"SELECT {', '.join([*by, *own]) or '1 AS one'} FROM {source} WHERE {' AND '.join(conditions)}"
    counts = [*by, *(f"{text} AS {COUNTED}{position}" for position, text in enumerate(measured))]
    grouped = f" GROUP BY {', '.join(by)}" if by else ""
    counted = f"(SELECT {', '.join(counts)} FROM ({scan}) AS scan{grouped}) AS counted"
    public = [scan_sql(catalog, first.owned, scan, scope, read) for scan in first.public]
    inner = [f"{sql(column)} AS k{i}" for i, column in enumerate(keys.columns)]
    inner += [f"{COUNTED}{position}" for position in range(len(statistics))]
    above = " AND ".join(sql(condition) for condition in first.above) or "TRUE"
    joined = f"SELECT {', '.join(inner)} FROM {' CROSS JOIN '.join([counted, *public])} WHERE {above}"
    outer = [f"k{i}" for i in range(len(keys.columns))]
    outer += [f"CAST(COALESCE(SUM({COUNTED}{p}), 0) AS BIGINT) AS s{p}" for p in range(len(statistics))]
    return f"SELECT {', '.join(outer)} FROM ({joined}) AS joined"


def _measured(
    catalog: Catalog, statistics: Sequence[Statistic], common: tuple[tree.Expr, ...], cohorts: tuple[int, ...]
) -> tuple[list[str], list[str]]:
    """What is computed of each row, and the aggregate of it for each statistic."""
    inner: list[str] = []
    outer: list[str] = []
    for position, statistic in enumerate(statistics):
        flag = _flag(statistic, common, cohorts, catalog.cohort)
        if flag is not None:
            inner.append(f"{flag} AS {FLAG}{position}")
        keep = "" if flag is None else f" FILTER (WHERE {FLAG}{position})"
        if statistic.centred is None:
            counted = "DISTINCT owner" if statistic.students else "*"
            outer.append(f"COUNT({counted}){keep}")
            continue
        term = folded(statistic.centred)
        if term is None:
            inner.append(f"{sql(statistic.centred.arg)} AS {VALUE}{position}")
            term = centred(statistic.centred, f"{VALUE}{position}")
        else:
            inner.append(f"{term} AS {VALUE}{position}")
            term = f"{VALUE}{position}"
        outer.append(f"CAST(COALESCE(SUM({term}){keep}, 0) AS BIGINT)")
    return inner, outer


# -- what is read


def reads(catalog: Catalog, statistics: Sequence[Statistic]) -> dict[str, frozenset[str]]:
    """The private tables some statistics read, each with its columns.

    The owner and the cohort are no columns here: they join a student's rows and choose who is charged.
    """
    found: dict[str, frozenset[str]] = {}
    for statistic in statistics:
        used = _read(statistic.relation, statistic.keys, [statistic])
        for scan in scans_of(statistic.relation):
            table = catalog.tables[scan.table]
            if not table.public:
                names = {name for name in table.columns if f"{scan.prefix}{name}" in used}
                found[scan.table] = found.get(scan.table, frozenset()) | names - {catalog.owner, catalog.cohort}
    return found


def _read(relation: tree.Relation, keys: KeyList, statistics: Sequence[Statistic]) -> frozenset[str]:
    """Names of every column that the statement uses."""
    used = [*keys.columns]
    for statistic in statistics:
        used += statistic.conditions
        if statistic.centred is not None:
            used.append(statistic.centred.arg)
    found = frozenset().union(*map(tree.columns_of, used))
    return found | read_inside(relation, found)


def _tables(relation: tree.Relation) -> frozenset[str]:
    """Every table a relation reads."""
    return frozenset(scan.table for scan in scans_of(relation))


def _placed(aggregated: str, keys: int, statistics: int) -> str:
    """The aggregation, one row for each row of the key list whatever the records hold."""
    columns = ", ".join(f"COALESCE(counted.s{i}, 0) AS s{i}" for i in range(statistics))
    matching = " AND ".join(f"counted.k{i} IS NOT DISTINCT FROM wanted.k{i}" for i in range(keys))
    return (
        f"SELECT {columns} FROM {KEYS_TABLE} AS wanted "
        f"LEFT JOIN ({aggregated}) AS counted ON {matching} ORDER BY wanted.i"
    )


def _common(statistics: Iterable[Statistic]) -> tuple[tree.Expr, ...]:
    """The conditions that all statistics share: the scan's WHERE."""
    return _shared(statistic.conditions for statistic in statistics)


def _shared(every: Iterable[tuple[tree.Expr, ...]]) -> tuple[tree.Expr, ...]:
    """The conditions that stand in each of several lists."""
    shared: dict[str, tree.Expr] | None = None
    for conditions in every:
        own = {tree.canonical(condition): condition for condition in conditions}
        shared = own if shared is None else {key: shared[key] for key in shared if key in own}
    return tuple((shared or {}).values())


def _flag(statistic: Statistic, common: tuple[tree.Expr, ...], cohorts: tuple[int, ...], cohort: str) -> str | None:
    """What else a row must fulfil to count for this statistic; None where that is nothing."""
    shared = {tree.canonical(condition) for condition in common}
    own = [sql(condition) for condition in statistic.conditions if tree.canonical(condition) not in shared]
    if tuple(statistic.cohorts) != cohorts:
        own.insert(0, in_cohorts(cohort, statistic.cohorts))
    return " AND ".join(own) if own else None


# -- what a row contributes


def centred(measure: Centred, name: str) -> str:
    """The integer a row contributes, from its argument under `name`; NULL contributes 0, after centring."""
    if measure.arg.type == tree.DOUBLE:
        steps = f"floor(({name} - {double(float(measure.centre))}) * {double(2.0**measure.shift)} + 0.5)"
        most = double(float(measure.bound))
        clamped = f"LEAST(GREATEST({steps}, -{most}), {most})"
        return f"CASE WHEN {name} IS NULL THEN 0 ELSE CAST({clamped} AS BIGINT) END"
    low, high = whole(int(measure.low)), whole(int(measure.high))
    clamped = f"LEAST(GREATEST({name}, {low}), {high})"
    times = "" if measure.multiplier == 1 else f"{whole(measure.multiplier)} * "
    value = f"{times}{clamped} - {whole(int(measure.centre))}"
    return f"CASE WHEN {name} IS NULL THEN 0 ELSE {value} END"


def folded(measure: Centred) -> str | None:
    """The same for a CASE between constants, with the integers written into its branches."""
    arg = measure.arg
    if not isinstance(arg, tree.Case) or arg.type.kind != "exact":
        return None
    branches = []
    for when, then in arg.branches:
        if not isinstance(then, tree.Constant):
            return None
        branches.append(f"WHEN {sql(when)} THEN {whole(_integer(measure, then))}")
    if not isinstance(arg.default, tree.Constant):
        return None
    return f"CASE {' '.join(branches)} ELSE {whole(_integer(measure, arg.default))} END"


def _integer(measure: Centred, constant: tree.Constant) -> int:
    if constant.value is None:
        return 0
    whole = units(constant, measure.arg.type.scale)
    return measure.multiplier * min(max(whole, int(measure.low)), int(measure.high)) - int(measure.centre)
