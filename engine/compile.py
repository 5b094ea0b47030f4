"""Plan → the one SQL statement that runs over the vault, generated from our own tree.

The researcher's text is never executed. Every construct written here is total: no value of a record can make
it fail, so a question ends the same way on neighbouring databases. Exact numbers are BIGINT counts of their
last decimal place, as the vault stores them; the analysis has proved that each stays below 2**62.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from engine import tree
from engine.analysis.intervals import aligned
from engine.expressions import MAGNITUDE_MAX
from engine.refusals import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.catalog import Catalog
    from engine.plan import Centred, Plan, Statistic

KEYS_TABLE = "homeroom_keys"
OWNER = "homeroom_owner"
"""The owner column as every private table of the vault has it."""

OWNER = "homeroom_owner"
"""The owner column as every private table of the vault has it."""

PLACED_GROUPS_MAX = 1_000
"""Up to so many groups are put in their places after the rows are fetched, which saves the database a join."""

SQL_CHARACTERS_MAX = 200_000

_SQL_TYPES = {
    "exact": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "text": "VARCHAR",
    "null": "BIGINT",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """One statement.

    Attributes:
        sql: the text; its output has one BIGINT column per statistic, s0, s1, …
        tables: every relation it reads.
        layout: what its rows are: `one` row; `placed`, one for each key row, in order, by way of the key list as a
            registered relation with columns i, k0, k1, …; or `loose`, one for each group that has records, in any
            order, with the group's key in the columns k0, k1, … before the statistics.
    """

    sql: str
    tables: frozenset[str]
    layout: Literal["one", "placed", "loose"]


def compile_plan(plan: Plan, catalog: Catalog, statistics: Sequence[Statistic]) -> Compiled:
    """The statement that computes the exact integers of some of a plan's statistics.

    Every scan is restricted to the cohorts its statistics touch, which are those that are charged for them.
    """
    common = _common(statistics)
    cohorts = sorted({cohort for statistic in statistics for cohort in statistic.cohorts})
    inner = [f"{sql(column)} AS k{i}" for i, column in enumerate(plan.keys.columns)]
    outer = [f"k{i}" for i in range(len(plan.keys.columns))]
    for position, statistic in enumerate(statistics):
        flag = _flag(statistic, common, cohorts, catalog.cohort)
        if flag is not None:
            inner.append(f"{flag} AS f{position}")
        keep = "" if flag is None else f" FILTER (WHERE f{position})"
        if statistic.centred is None:
            counted = "DISTINCT owner" if statistic.students else "*"
            outer.append(f"COUNT({counted}){keep} AS s{position}")
            continue
        term = folded(statistic.centred)
        if term is None:
            inner.append(f"{sql(statistic.centred.arg)} AS x{position}")
            term = centred(statistic.centred, f"x{position}")
        else:
            inner.append(f"{term} AS x{position}")
            term = f"x{position}"
        outer.append(f"CAST(COALESCE(SUM({term}){keep}, 0) AS BIGINT) AS s{position}")
    conditions = [_in_cohorts(catalog.cohort, cohorts), *(sql(condition) for condition in common)]
    if any(statistic.students for statistic in statistics):
        inner.append(f"{owner_of(catalog, plan.relation)} AS owner")
    source = from_clause(catalog, plan.relation, cohorts)
    scan = f"SELECT {', '.join(inner) or '1 AS one'} FROM {source} WHERE {' AND '.join(conditions)}"
    aggregated = f"SELECT {', '.join(outer)} FROM ({scan}) AS scan"
    layout: Literal["one", "placed", "loose"] = "one"
    if plan.keys.columns:
        aggregated += f" GROUP BY {', '.join(outer[: len(plan.keys.columns)])}"
        layout = "placed" if len(plan.keys.rows) > PLACED_GROUPS_MAX else "loose"
    text = _placed(aggregated, len(plan.keys.columns), len(statistics)) if layout == "placed" else aggregated
    return Compiled(_bounded(text), _tables(plan.relation), layout)


# -- what is read


def from_clause(catalog: Catalog, relation: tree.Relation, cohorts: Sequence[int]) -> str:
    """The FROM of a relation, every private table of it restricted to some cohorts.

    Columns have the names that expressions know them by. Of inner joins only the owner's equality stands here.
    """
    if not relation.scans[0].prefix:
        return quoted(relation.scans[0].table)
    parts: list[str] = []
    for scan in _owned_first(catalog, relation):
        own = _scan(catalog, relation, scan, cohorts)
        if not parts:
            parts.append(own)
        elif catalog.tables[scan.table].public:
            parts.append(f"CROSS JOIN {own}")
        else:
            parts.append(f"JOIN {own} ON {quoted(f'{scan.name}.{OWNER}')} = {owner_of(catalog, relation)}")
    for position, left in enumerate(relation.lefts):
        on = _on(left, owner_of(catalog, relation))
        parts.append(f"LEFT JOIN {_right(catalog, left, cohorts)} AS right{position} ON {on}")
    return " ".join(parts)


def _owned_first(catalog: Catalog, relation: tree.Relation) -> list[tree.Scan]:
    return sorted(relation.scans, key=lambda scan: catalog.tables[scan.table].public)


def _home(catalog: Catalog, relation: tree.Relation) -> tree.Scan:
    """The first private table, whose owner is the relation's."""
    return _owned_first(catalog, relation)[0]


def owner_of(catalog: Catalog, relation: tree.Relation) -> str:
    """The owner of a relation's rows."""
    home = _home(catalog, relation)
    return quoted(f"{home.name}.{OWNER}" if home.prefix else OWNER)


def _scan(catalog: Catalog, relation: tree.Relation, scan: tree.Scan, cohorts: Sequence[int]) -> str:
    """One table with its columns under their names in the question."""
    table = catalog.tables[scan.table]
    names = {name: f"{scan.prefix}{name}" for name, column in table.columns.items() if column.on}
    where = ""
    if not table.public:
        first = scan == _home(catalog, relation)
        names.pop(catalog.cohort)
        names |= {OWNER: f"{scan.name}.{OWNER}"} | ({catalog.cohort: relation.cohort} if first else {})
        where = f" WHERE {_in_cohorts(catalog.cohort, cohorts)}"
    columns = ", ".join(f"{quoted(name)} AS {quoted(full)}" for name, full in names.items())
    return f"(SELECT {columns} FROM {quoted(table.name)}{where}) AS {quoted(scan.name)}"


def _right(catalog: Catalog, left: tree.Left, cohorts: Sequence[int]) -> str:
    """The right side of a LEFT JOIN, with what is visible of it above."""
    columns = [f"{sql(expr)} AS {quoted(name)}" for name, expr in left.columns]
    if left.presence is not None:
        columns.append(f"{owner_of(catalog, left.relation)} AS {quoted(left.presence)}")
    where = " AND ".join(sql(condition) for condition in left.where) or "TRUE"
    source = from_clause(catalog, left.relation, cohorts)
    return f"(SELECT {', '.join(columns) or '1 AS one'} FROM {source} WHERE {where})"


def _on(left: tree.Left, owner: str) -> str:
    """The ON of a LEFT JOIN: of students it joins each to none but themselves."""
    own = [] if left.presence is None else [f"{quoted(left.presence)} = {owner}"]
    return " AND ".join([*own, *(sql(condition) for condition in left.on)]) or "TRUE"


def _tables(relation: tree.Relation) -> frozenset[str]:
    """Every table a relation reads."""
    rights = (_tables(left.relation) for left in relation.lefts)
    return frozenset(scan.table for scan in relation.scans).union(*rights)


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
    shared: dict[str, tree.Expr] | None = None
    for statistic in statistics:
        own = {tree.canonical(condition): condition for condition in statistic.conditions}
        shared = own if shared is None else {key: shared[key] for key in shared if key in own}
    return tuple((shared or {}).values())


def _flag(statistic: Statistic, common: tuple[tree.Expr, ...], cohorts: list[int], cohort: str) -> str | None:
    """What else a row must fulfil to count for this statistic; None where that is nothing."""
    shared = {tree.canonical(condition) for condition in common}
    own = [sql(condition) for condition in statistic.conditions if tree.canonical(condition) not in shared]
    if list(statistic.cohorts) != cohorts:
        own.insert(0, _in_cohorts(cohort, statistic.cohorts))
    return " AND ".join(own) if own else None


def _in_cohorts(cohort: str, cohorts: Iterable[int]) -> str:
    years = sorted(cohorts)
    if years == list(range(years[0], years[-1] + 1)):
        return f"{quoted(cohort)} BETWEEN {years[0]} AND {years[-1]}"
    return f"{quoted(cohort)} IN ({', '.join(map(str, years))})"


# -- what a row contributes


def centred(measure: Centred, name: str) -> str:
    """The integer a row contributes, from its argument under `name`; NULL contributes 0, after centring."""
    if measure.arg.type == tree.DOUBLE:
        steps = f"floor(({name} - {_double(float(measure.centre))}) * {_double(2.0**measure.shift)} + 0.5)"
        most = _double(float(measure.bound))
        clamped = f"LEAST(GREATEST({steps}, -{most}), {most})"
        return f"CASE WHEN {name} IS NULL THEN 0 ELSE CAST({clamped} AS BIGINT) END"
    low, high = _whole(int(measure.low)), _whole(int(measure.high))
    clamped = f"LEAST(GREATEST({name}, {low}), {high})"
    times = "" if measure.multiplier == 1 else f"{_whole(measure.multiplier)} * "
    value = f"{times}{clamped} - {_whole(int(measure.centre))}"
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
        branches.append(f"WHEN {sql(when)} THEN {_whole(_integer(measure, then))}")
    if not isinstance(arg.default, tree.Constant):
        return None
    return f"CASE {' '.join(branches)} ELSE {_whole(_integer(measure, arg.default))} END"


def _integer(measure: Centred, constant: tree.Constant) -> int:
    if constant.value is None:
        return 0
    whole = _units(constant, measure.arg.type.scale)
    return measure.multiplier * min(max(whole, int(measure.low)), int(measure.high)) - int(measure.centre)


# -- expressions


def sql(expr: tree.Expr) -> str:
    """The SQL of one expression.

    Raises:
        QueryRefused: `too_large` where the text would grow beyond its limit.
    """
    return _bounded(_sql(expr))


def _bounded(text: str) -> str:
    if len(text) > SQL_CHARACTERS_MAX:
        raise QueryRefused("too_large", "The question is too long once it is written out.", accepted="a shorter one")
    return text


def _sql(expr: tree.Expr) -> str:  # noqa: C901, PLR0911 - one line for each kind of node
    match expr:
        case tree.Column(name, _):
            return quoted(name)
        case tree.Constant():
            return _constant(expr, expr.type.scale)
        case tree.Arithmetic(op, left, right, of):
            if op == "/":
                return f"({sql(left)} / NULLIF({sql(right)}, {_double(0.0)}))"
            if of == tree.DOUBLE:
                return f"({sql(left)} {op} {sql(right)})"
            if op == "*":
                return _total(sql(left), op, sql(right))
            return _total(_at_scale(left, of.scale), op, _at_scale(right, of.scale))
        case tree.Compare(op, left, right, _):
            return f"({_part(expr, left)} {op} {_part(expr, right)})"
        case tree.Logic(op, args, _):
            return "(" + f" {op.upper()} ".join(sql(arg) for arg in args) + ")"
        case tree.Not(arg, _):
            return f"(NOT {sql(arg)})"
        case tree.IsNull(arg, _):
            return f"({sql(arg)} IS NULL)"
        case tree.InList(arg, values, _):
            return f"({_part(expr, arg)} IN ({', '.join(_part(expr, value) for value in values)}))"
        case tree.Case(branches, default, _):
            written = " ".join(f"WHEN {sql(when)} THEN {_part(expr, then)}" for when, then in branches)
            return f"(CASE {written} ELSE {_part(expr, default)} END)"
        case tree.Coalesce(args, _):
            return f"COALESCE({', '.join(_part(expr, arg) for arg in args)})"
        case tree.Cast():
            return _cast(expr)


def _part(expr: tree.Expr, part: tree.Expr) -> str:
    """An argument, brought to the decimal places its expression works in."""
    scale = max((scale for _, scale in aligned(expr)), default=part.type.scale)
    return _at_scale(part, scale) if part.type.kind == "exact" else sql(part)


def _at_scale(expr: tree.Expr, scale: int) -> str:
    if isinstance(expr, tree.Constant):
        return _constant(expr, scale)
    factor = 10 ** (scale - expr.type.scale)
    return sql(expr) if factor == 1 else _total(sql(expr), "*", _whole(factor))


def _total(left: str, op: str, right: str) -> str:
    """Arithmetic on BIGINT that cannot fail: the analysis has proved that it fits; if it were wrong, NULL."""
    if op == "*" and _ONE in (left, right):
        return right if left == _ONE else left
    return f"TRY_CAST(CAST({left} AS HUGEINT) {op} CAST({right} AS HUGEINT) AS BIGINT)"


def _cast(expr: tree.Cast) -> str:
    arg, source, of = sql(expr.arg), expr.arg.type, expr.type
    if of == tree.DOUBLE:
        as_double = f"CAST({arg} AS DOUBLE)"
        return as_double if source.scale == 0 else f"({as_double} / {_double(float(10**source.scale))})"
    if source == tree.BOOLEAN and of.kind == "exact":
        return _limited(_total(f"CAST({arg} AS BIGINT)", "*", _whole(10**of.scale)), expr)
    if source == tree.DOUBLE:
        limit = _double(float(MAGNITUDE_MAX))
        steps = f"round({arg} * {_double(float(10**of.scale))})"
        whole = f"(CASE WHEN {steps} > -{limit} AND {steps} < {limit} THEN TRY_CAST({steps} AS BIGINT) END)"
        return _limited(whole, expr)
    if of.kind != "exact":
        return arg
    if of.scale >= source.scale:
        return _limited(_at_scale(expr.arg, of.scale), expr)
    factor = 10 ** (source.scale - of.scale)
    away = f"(CAST({arg} AS HUGEINT) + sign({arg}) * {_whole(factor // 2)})"
    return _limited(f"TRY_CAST({away} // {_whole(factor)} AS BIGINT)", expr)  # // truncates toward zero


def _limited(text: str, expr: tree.Cast) -> str:
    """NULL where a number does not fit the type it is cast to."""
    if expr.low is None or expr.high is None:
        return text
    return f"(CASE WHEN {_bounded(text)} BETWEEN {_whole(expr.low)} AND {_whole(expr.high)} THEN {text} END)"


def _constant(constant: tree.Constant, scale: int) -> str:
    match constant.value:
        case None:
            return f"CAST(NULL AS {_SQL_TYPES[constant.type.kind]})"
        case bool():
            return "TRUE" if constant.value else "FALSE"
        case str():
            return "'" + constant.value.replace("'", "''") + "'"
        case float():
            return _double(constant.value)
        case _:
            return _whole(_units(constant, scale))


def _units(constant: tree.Constant, scale: int) -> int:
    value = Fraction(constant.value if isinstance(constant.value, int | Fraction) else 0) * 10**scale
    if value.denominator != 1:
        raise AssertionError
    return int(value)


def _whole(value: int) -> str:
    return f"{value}::BIGINT" if value >= 0 else f"({value}::BIGINT)"


_ONE = _whole(1)


def _double(value: float) -> str:
    return f"'{value!r}'::DOUBLE"


def quoted(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'
