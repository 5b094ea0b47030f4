"""What a statement reads: tables, joins, and steps within each student, as the SQL of a FROM.

Every private table is restricted to the cohorts that are charged and to the population. Everything inside a student
is a function of the multiset of that student's rows: whatever an ORDER BY leaves in doubt, all else that is used of
the rows decides, so that rows which are still exchangeable are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import tree
from engine.analysis.frames import frame_of
from engine.analysis.intervals import Range, assume, evaluate
from engine.analysis.stepping import shift_of
from engine.sql import bounded, double, quoted, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from budgets.policy import Population
    from engine.catalog import Catalog

OWNER = "homeroom_owner"
"""The owner column as every private table of the vault has it."""

RESEARCH = "homeroom_research"
"""Whether a student is in research statistics, as every private table of the vault has it: false after an opt-out."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a statement may read.

    Attributes:
        cohorts: those that are charged, in order.
        population: `research`, or `mandated` for everybody.
    """

    cohorts: tuple[int, ...]
    population: Population

    def condition(self, catalog: Catalog) -> str:
        """SQL: whether a row of a private table is within it."""
        everybody = self.population == "mandated"
        return in_cohorts(catalog.cohort, self.cohorts) + ("" if everybody else f" AND {RESEARCH}")


def in_cohorts(cohort: str, cohorts: Iterable[int]) -> str:
    """SQL: whether a row is of one of some cohorts."""
    years = sorted(cohorts)
    if years == list(range(years[0], years[-1] + 1)):
        return f"{quoted(cohort)} BETWEEN {years[0]} AND {years[-1]}"
    return f"{quoted(cohort)} IN ({', '.join(map(str, years))})"


def scans_of(relation: tree.Relation) -> list[tree.Scan]:
    """Every table of a relation, those of steps and LEFT JOINs as well."""
    inside = [part for scan in relation.scans if isinstance(scan, tree.Derived) for part in relations_of(scan.step)]
    inside += [left.relation for left in relation.lefts]
    own = [scan for scan in relation.scans if isinstance(scan, tree.Scan)]
    return [*own, *(scan for part in inside for scan in scans_of(part))]


def relations_of(step: tree.Step) -> list[tree.Relation]:
    """What a step is made of."""
    return [branch.relation for branch in step.branches] if isinstance(step, tree.Union) else [step.relation]


def read_inside(relation: tree.Relation, above: frozenset[str]) -> frozenset[str]:
    """Names of the columns that the LEFT JOINs of a relation use, given those that are used above it."""
    on = [condition for left in relation.lefts for condition in left.on]
    found = above.union(*map(tree.columns_of, on))
    for left in relation.lefts:
        inside = [*left.where, *(expr for name, expr in left.columns if name in found)]
        found |= frozenset().union(*map(tree.columns_of, inside))
        found |= read_inside(left.relation, found)
    for scan in relation.scans:
        if isinstance(scan, tree.Derived):
            found |= frozenset().union(*map(tree.columns_of, _used_within(scan, found)))
            for part in relations_of(scan.step):
                found |= read_inside(part, found)
    return found


def _used_within(derived: tree.Derived, above: frozenset[str]) -> list[tree.Expr]:
    """The expressions of a step that are computed, given what is used above it."""

    def used(name: str) -> bool:
        return f"{derived.prefix}{name}" in above

    match derived.step:
        case tree.Grouped(_, where, keys, values):
            made = [part for name, value in values if used(name) for part in tree.within_parts(value)]
            return [*where, *(key for _, key in keys), *made]
        case tree.Windowed(_, where, columns, windows):
            made = [part for _, value in windows for part in tree.rolling_parts(value)]
            return [*where, *(column for _, column in columns), *made]
        case tree.Union(names, branches):
            pairs = [pair for branch in branches for pair in zip(names, branch.columns, strict=True)]
            return [*(w for branch in branches for w in branch.where), *(e for name, e in pairs if used(name))]


def from_clause(
    catalog: Catalog,
    relation: tree.Relation,
    scope: Scope,
    read: Collection[str] | None = None,
    where: Iterable[tree.Expr] = (),
) -> str:
    """The FROM of a relation, every private table of it restricted to a scope, but for one that stands alone.

    Columns have the names that expressions know them by. Of inner joins only the owner's equality stands here.

    Args:
        catalog: declares the tables.
        relation: what is read.
        scope: whose rows are read.
        read: names of the columns that are used; all if not given.
        where: conditions that stand above it too; those that can be are met before EXISTS is tried, so that it is
            not tried for every row of a public table.
    """
    alone = plain_table(relation)
    if alone is not None:
        return quoted(alone)
    text = ""
    for scan in _owned_first(catalog, relation):
        own = _source(catalog, relation, scan, scope, read)
        if not text:
            text = own
        elif catalog.is_public(scan):
            text += f" CROSS JOIN {own}"
        else:
            text += f" JOIN {own} ON {quoted(owner_name(scan.name))} = {owner_of(catalog, relation)}"
    if any(left.once for left in relation.lefts):
        above = {name for left in relation.lefts for name in (left.presence, *(name for name, _ in left.columns))}
        first = " AND ".join(sql(condition) for condition in where if tree.columns_of(condition).isdisjoint(above))
        text = f"(SELECT * FROM {text} WHERE {first}) AS chosen" if first else text
    for position, left in enumerate(relation.lefts):
        right, name = _right(catalog, left, scope, read), f"right{position}"
        on = _on(left, owner_of(catalog, relation))
        if not left.once:
            text += f" LEFT JOIN {right} AS {name} ON {on}"
        elif _equalities(left):
            text += f" LEFT JOIN {right} AS {name} ON {on}"
            found = f"{name}.{HIT} IS NOT NULL AS {quoted(left.presence or '')}"
            text = f"(SELECT *, {found} FROM {text}) AS marked{position}"
        else:
            found = f"EXISTS (SELECT 1 FROM {right} AS {name} WHERE {on}) AS {quoted(left.presence or '')}"
            text = f"(SELECT *, {found} FROM {text}) AS marked{position}"
    return text


def _equalities(left: tree.Left) -> bool:
    """Whether ON compares columns of a right side with something left of it by = alone.

    Then each left row meets at most one of its distinct rows, and joining them is faster than looking for one.
    """
    own = {name for name, _ in left.columns}
    return all(
        isinstance(conjunct, tree.Compare)
        and conjunct.op == "="
        and any(
            isinstance(one, tree.Column) and one.name in own and own.isdisjoint(tree.columns_of(other))
            for one, other in ((conjunct.left, conjunct.right), (conjunct.right, conjunct.left))
        )
        for conjunct in left.on
    ) and own <= frozenset().union(*map(tree.columns_of, left.on))


def plain_table(relation: tree.Relation) -> str | None:
    """The only table of a question that reads nothing else: its columns have their own names."""
    first = relation.scans[0]
    if isinstance(first, tree.Derived) or first.prefix:
        return None
    if len(relation.scans) > 1 or relation.lefts:
        raise AssertionError  # whoever reads a question gives prefixes as soon as it reads more than one table
    return first.table


def _owned_first(catalog: Catalog, relation: tree.Relation) -> list[tree.Scan | tree.Derived]:
    return sorted(relation.scans, key=catalog.is_public)


def _home(catalog: Catalog, relation: tree.Relation) -> tree.Scan | tree.Derived:
    """The first private table or step, whose owner is the relation's."""
    return _owned_first(catalog, relation)[0]


def _source(
    catalog: Catalog,
    relation: tree.Relation,
    scan: tree.Scan | tree.Derived,
    scope: Scope,
    read: Collection[str] | None,
) -> str:
    """One table or step with its columns under their names in the question."""
    if isinstance(scan, tree.Scan):
        return scan_sql(catalog, relation, scan, scope, read)
    cohort = relation.cohort if scan == _home(catalog, relation) else None
    return f"({bounded(step_sql(catalog, scan, cohort, scope, read))}) AS {quoted(scan.name)}"


def owner_of(catalog: Catalog, relation: tree.Relation) -> str:
    """The owner of a relation's rows."""
    home = _home(catalog, relation)
    return quoted(owner_name(home.name) if home.prefix else OWNER)


def owner_name(name: str) -> str:
    """The owner of a table's or step's rows in a question: no column can be called so, as no dot stands in it."""
    return f"{name}:owner"


def scan_sql(
    catalog: Catalog,
    relation: tree.Relation,
    scan: tree.Scan,
    scope: Scope,
    read: Collection[str] | None,
) -> str:
    """One table with its columns under their names in the question."""
    table = catalog.tables[scan.table]
    own = [name for name, column in table.columns.items() if column.on and (table.public or name != catalog.cohort)]
    full = {name: f"{scan.prefix}{name}" for name in own}
    names = {name: found for name, found in full.items() if read is None or found in read}
    where = ""
    if not table.public:
        first = scan == _home(catalog, relation)
        names |= {OWNER: owner_name(scan.name)}
        names |= {catalog.cohort: relation.cohort} if first else {}
        where = f" WHERE {scope.condition(catalog)}"
    columns = ", ".join(f"{quoted(name)} AS {quoted(full)}" for name, full in names.items())
    return f"(SELECT {columns or '1 AS one'} FROM {quoted(table.name)}{where}) AS {quoted(scan.name)}"


def _right(catalog: Catalog, left: tree.Left, scope: Scope, read: Collection[str] | None) -> str:
    """The right side of a LEFT JOIN, with what is visible of it above."""
    visible = [(name, expr) for name, expr in left.columns if read is None or name in read]
    columns = [f"{sql(expr)} AS {quoted(name)}" for name, expr in visible]
    if left.once:
        columns += [f"{owner_of(catalog, left.relation)} AS {quoted(owner_name(left.presence or ''))}"] * left.owned
    elif left.presence is not None:
        columns.append(f"{owner_of(catalog, left.relation)} AS {quoted(left.presence)}")
    where = " AND ".join(sql(condition) for condition in left.where) or "TRUE"
    source = from_clause(catalog, left.relation, scope, read, left.where)
    if left.once and _equalities(left):
        return f"(SELECT DISTINCT {', '.join([*columns, f'1 AS {HIT}'])} FROM {source} WHERE {where})"
    return f"(SELECT {', '.join(columns) or '1 AS one'} FROM {source} WHERE {where})"


def _on(left: tree.Left, owner: str) -> str:
    """The ON of a LEFT JOIN or EXISTS: of students it joins each to none but themselves."""
    own = []
    if left.owned:
        right = owner_name(left.presence or "") if left.once else left.presence or ""
        own = [f"{quoted(right)} = {owner}"]
    return " AND ".join([*own, *(sql(condition) for condition in left.on)]) or "TRUE"


# -- steps within each student

PERSON, CLASS, KEY, TIE, HIT = "homeroom_person", "homeroom_class", "homeroom_key", "homeroom_tie", "homeroom_hit"
"""What rows within a step have besides what is read of them, under names that no catalog can declare: whose they are,
the values of its GROUP BY, which of its student's rows one is by all that is used of it; and of EXISTS that a row is
there."""


def step_sql(
    catalog: Catalog, derived: tree.Derived, cohort: str | None, scope: Scope, read: Collection[str] | None
) -> str:
    """The SELECT of a step: its columns under their names in the question, the owner, and the cohort if it is asked.

    Args:
        catalog: declares the tables.
        derived: the step.
        cohort: the name the cohort has above.
        scope: whose rows are read.
        read: names of the columns that are used above and within; all if not given.
    """

    def full(name: str) -> str:
        return f"{derived.prefix}{name}"

    def used(name: str) -> bool:
        return read is None or full(name) in read

    owner_above = quoted(owner_name(derived.name))
    cohort_above = "" if cohort is None else f", {CLASS} AS {quoted(cohort)}"
    carried = f"{PERSON} AS {owner_above}{cohort_above}"
    match derived.step:
        case tree.Grouped(relation, where, keys, values):
            rows = _rows(catalog, relation, where, scope, read, [(f"{KEY}{i}", k) for i, (_, k) in enumerate(keys)])
            known = _known(catalog, relation, where, (value for _, value in values))
            made = [f"{KEY}{i} AS {quoted(full(name))}" for i, (name, _) in enumerate(keys) if used(name)]
            made += [f"{aggregate_sql(v, known)} AS {quoted(full(name))}" for name, v in values if used(name)]
            columns = ", ".join([carried, *made])
            by = ", ".join([PERSON, CLASS, *(f"{KEY}{i}" for i in range(len(keys)))])
            return f"SELECT {columns} FROM ({rows}) AS rows GROUP BY {by}"
        case tree.Windowed(relation, where, shown, windows):
            rows = _rows(catalog, relation, where, scope, read, [])
            known = _known(catalog, relation, where, (value for _, value in windows))
            ties = _ties(shown, [value for _, value in windows])
            if sum(map(_orders_in_doubt, (value for _, value in windows))) > 1:
                rows, ties = _numbered(rows, ties), (quoted(TIE),)
            made = [f"{sql(column)} AS {quoted(full(name))}" for name, column in shown if used(name)]
            made += [f"{rolling_sql(v, ties, known)} AS {quoted(full(name))}" for name, v in windows if used(name)]
            return f"SELECT {', '.join([carried, *made])} FROM ({rows}) AS rows"
        case tree.Union(names, branches):
            sides = []
            for branch in branches:
                pairs = zip(names, branch.columns, strict=True)
                shown_here = [(full(name), expr) for name, expr in pairs if used(name)]
                rows = _rows(catalog, branch.relation, branch.where, scope, read, shown_here)
                columns = ", ".join([carried, *(quoted(name) for name, _ in shown_here)])
                sides.append(f"SELECT {columns} FROM ({rows}) AS rows")
            return " UNION ALL ".join(sides)


def _rows(
    catalog: Catalog,
    relation: tree.Relation,
    where: Iterable[tree.Expr],
    scope: Scope,
    read: Collection[str] | None,
    more: Sequence[tuple[str, tree.Expr]],
) -> str:
    """The rows that a step is made of, with the owner, the cohort, and some expressions under names of their own."""
    if plain_table(relation) is not None:
        raise AssertionError  # a table without prefix is restricted by nobody but a whole question
    columns = [f"{owner_of(catalog, relation)} AS {PERSON}", f"{quoted(relation.cohort)} AS {CLASS}", "*"]
    columns += [f"{sql(expr)} AS {quoted(name)}" for name, expr in more]
    where = tuple(where)
    conditions = [in_cohorts(relation.cohort, scope.cohorts), *(sql(condition) for condition in where)]
    source = from_clause(catalog, relation, scope, read, where)
    return f"SELECT {', '.join(columns)} FROM {source} WHERE {' AND '.join(conditions)}"


def _known(
    catalog: Catalog,
    relation: tree.Relation,
    where: Iterable[tree.Expr],
    values: Iterable[tree.Within | tree.Rolling],
) -> Mapping[str, Range] | None:
    """What is known of the rows that a step is made of, as the proof has it; None where there are none.

    None as well where nothing is made of doubles: these alone are added in steps that depend on their range.
    """
    if all(value.arg is None or value.arg.type != tree.DOUBLE for value in values):
        return None
    frame = frame_of(catalog, relation)
    return assume((*where, *frame.checks), frame.known)


def _ties(shown: Sequence[tuple[str, tree.Expr]], windows: Sequence[tree.Rolling]) -> tuple[str, ...]:
    """All that is used of a row: two rows that agree in it cannot be told apart above."""
    used = [column for _, column in shown]
    used += [part for value in windows for part in tree.rolling_parts(value) if not isinstance(part, tree.Constant)]
    return tuple(dict.fromkeys(sql(expr) for expr in used))


def _orders_in_doubt(value: tree.Rolling) -> int:
    """In how many of the orders that a window is written with rows can be in doubt: a mean is two aggregates."""
    if not _in_doubt(value):
        return 0
    return 2 if value.function == "avg" else 1


def _in_doubt(value: tree.Rolling) -> bool:
    """Whether it matters which of two rows comes first that an ORDER BY leaves in doubt."""
    by_rows = value.frame is not None and value.frame[0] == "rows"
    return by_rows or value.function in (
        "row_number", "ntile", "lag", "lead", "first_value", "last_value", "nth_value"
    )  # fmt: skip


def _picks_among_peers(value: tree.Rolling) -> bool:
    """Whether a value is picked by position from a frame that ends, or begins, with the row's peers.

    The frame must then be made of the order as it is written, or it would end with the row itself; what decides
    between peers only orders the rows within it.
    """
    if value.function not in ("first_value", "last_value", "nth_value") or not value.order:
        return False
    unit, first, last = value.frame or ("range", None, 0)
    ends = {"first_value": (first,), "last_value": (last,), "nth_value": (first, last)}[value.function]
    return unit == "range" and 0 in ends


def _numbered(rows: str, ties: Sequence[str]) -> str:
    """The rows with numbers that all windows sort by: of equal rows each is the same one in every window.

    Otherwise one window may take two equal rows in one order and the next in the other, as threads and other
    students' rows have it, and what the two say together of a row would depend on these.
    """
    by = f" ORDER BY {_order((), ties)}" if ties else ""
    return f"SELECT *, ROW_NUMBER() OVER (PARTITION BY {PERSON}{by}) AS {TIE} FROM ({rows}) AS told"


def _order(terms: Iterable[tree.Sort], ties: Iterable[str] = ()) -> str:
    """An ORDER BY in which every direction is written out."""
    written = [
        f"{sql(term.value)} {'DESC' if term.descending else 'ASC'} NULLS {'FIRST' if term.nulls_first else 'LAST'}"
        for term in terms
    ]
    return ", ".join([*written, *(f"{tie} ASC NULLS LAST" for tie in ties)])


_BOOLEANS = {"any": "bool_or", "all": "bool_and"}


def aggregate_sql(value: tree.Within, known: Mapping[str, Range] | None) -> str:
    """An aggregate over a student's rows, exact whatever their order.

    Args:
        value: what is made.
        known: of the columns of the rows; None where there is no row, or nothing is made of doubles.
    """
    keep = "" if value.condition is None else f" FILTER (WHERE {sql(value.condition)})"
    if value.arg is None:
        return f"COUNT(*){keep}"
    arg = sql(value.arg)
    match value.function:
        case "count":
            return f"COUNT({arg}){keep}"
        case "distinct":
            return f"COUNT(DISTINCT {arg}){keep}"
        case "min" | "max":
            return f"{value.function.upper()}({arg}){keep}"
        case "any" | "all":
            return f"{_BOOLEANS[value.function]}({arg}){keep}"
        case "first":
            return f"first({arg} ORDER BY {_order(value.order, [arg])}){keep}"
        case "median":
            middle = f"median({arg}){keep}"
            return middle if value.arg.type == tree.DOUBLE else f"({middle} / {double(10.0**value.arg.type.scale)})"
    return exact_sql(value.function, value.arg, known, lambda made: f"{made}{keep}")


def exact_sql(function: str, arg: tree.Expr, known: Mapping[str, Range] | None, over: Callable[[str], str]) -> str:
    """A sum, mean or spread by way of whole numbers, which add up to the same in any order.

    Args:
        function: which.
        arg: of what.
        known: of the columns of the rows.
        over: puts FILTER or OVER behind an aggregate.
    """
    text, unit = sql(arg), double(10.0**arg.type.scale)
    if arg.type == tree.DOUBLE:
        shift = 0 if known is None else shift_of(evaluate(arg, known))
        unit = double(2.0**shift)
        text = f"TRY_CAST(floor({text} * {unit} + 0.5) AS BIGINT)"
    total, count = over(f"SUM({text})"), over(f"COUNT({text})")
    if function == "sum":
        whole_total = f"TRY_CAST({total} AS BIGINT)"
        return whole_total if arg.type != tree.DOUBLE else f"(CAST({total} AS DOUBLE) / {unit})"
    if function == "avg":
        return f"(CAST({total} AS DOUBLE) / (CAST({count} AS DOUBLE) * {unit}))"
    squares = over(f"SUM(CAST({text} AS HUGEINT) * CAST({text} AS HUGEINT))")
    spread = f"CAST({count} * {squares} - CAST({total} AS HUGEINT) * CAST({total} AS HUGEINT) AS DOUBLE)"
    less = " - 1" if function.endswith("_samp") else ""
    pairs = f"NULLIF(CAST({count} * ({count}{less}) AS DOUBLE), {double(0.0)})"
    variance = f"({spread} / {pairs} / {unit} / {unit})"
    return f"sqrt({variance})" if function.startswith("stddev") else variance


def rolling_sql(value: tree.Rolling, ties: Sequence[str], known: Mapping[str, Range] | None) -> str:
    """A window over a student's rows."""
    parts = ", ".join([PERSON, *(sql(part) for part in value.partition)])
    order = _order(value.order, ties if _in_doubt(value) else ())
    within = ""
    if _picks_among_peers(value):
        order, within = _order(value.order), f" ORDER BY {order}"
    over = f"OVER (PARTITION BY {parts}{f' ORDER BY {order}' if value.order else ''}{_frame_sql(value)})"
    if value.arg is None:
        argument = {"rows": "*", "ntile": str(value.number)}.get(value.function, "")
        name = "COUNT" if value.function == "rows" else value.function.upper()
        return f"{name}({argument}) {over}"
    arg = sql(value.arg)
    match value.function:
        case "lag" | "lead":
            default = "" if value.default is None else f", {sql(value.default)}"
            return f"{value.function.upper()}({arg}, {value.number}{default}) {over}"
        case "nth_value":
            return f"NTH_VALUE({arg}, {value.number}{within}) {over}"
        case "any" | "all":
            return f"{_BOOLEANS[value.function]}({arg}) {over}"
        case "sum" | "avg":
            return exact_sql(value.function, value.arg, known, lambda made: f"{made} {over}")
    return f"{value.function.upper()}({arg}{within}) {over}"


def _frame_sql(value: tree.Rolling) -> str:
    if value.frame is None:
        return ""
    unit, first, last = value.frame

    def end(offset: int | None, unbounded: str) -> str:
        if offset is None:
            return f"UNBOUNDED {unbounded}"
        if offset == 0:
            return "CURRENT ROW"
        return f"{abs(offset)} {'PRECEDING' if offset < 0 else 'FOLLOWING'}"

    return f" {unit.upper()} BETWEEN {end(first, 'PRECEDING')} AND {end(last, 'FOLLOWING')}"
