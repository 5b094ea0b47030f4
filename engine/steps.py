"""Aggregates and windows within each student: sqlglot nodes → our tree, an allow-list by construction.

Everything inside a student is a function of the multiset of that student's rows: where an order leaves rows in doubt,
what is read of them decides (see `engine.froms`), and what depends on no order that is written is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import tree
from engine.expressions import both, condition, convert
from engine.source import span_of
from engine.tree import BOOLEAN, DOUBLE, INTEGER, Column, Constant, Rolling, Sort, Type, Within

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.expressions import Scope

OFFSET_MAX = 1_000
"""Most rows that LAG, LEAD, NTH_VALUE, NTILE and frames may reach."""

AGGREGATES: dict[type[exp.Expr], Any] = {
    exp.Count: "count",
    exp.CountIf: "rows",
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
    exp.LogicalOr: "any",
    exp.LogicalAnd: "all",
    exp.Median: "median",
    exp.Stddev: "stddev_samp",
    exp.StddevSamp: "stddev_samp",
    exp.StddevPop: "stddev_pop",
    exp.Variance: "var_samp",
    exp.VariancePop: "var_pop",
    exp.ArgMax: "first",
    exp.ArgMin: "first",
    exp.First: "first",
    exp.Last: "first",
    exp.AnyValue: "min",
}
"""Exact classes only."""

RANKS: dict[type[exp.Expr], Any] = {
    exp.RowNumber: "row_number",
    exp.Rank: "rank",
    exp.DenseRank: "dense_rank",
    exp.PercentRank: "percent_rank",
    exp.CumeDist: "cume_dist",
    exp.Ntile: "ntile",
}
PLACES: dict[type[exp.Expr], Any] = {
    exp.Lag: "lag",
    exp.Lead: "lead",
    exp.FirstValue: "first_value",
    exp.LastValue: "last_value",
    exp.NthValue: "nth_value",
}
FRAMED = ("rows", "count", "sum", "avg", "min", "max", "any", "all")

NUMBERS = ("sum", "avg", "median", "stddev_samp", "stddev_pop", "var_samp", "var_pop")
DOUBLES = ("avg", "median", "stddev_samp", "stddev_pop", "var_samp", "var_pop")


@dataclass(slots=True)
class Stage:
    """One SELECT with aggregates or windows within each student: what they are, as columns of its steps.

    Attributes:
        grouped: the name of the step that groups; None where the SELECT does not group.
        windowed: the name of the step with windows; None where none may stand.
        keys: the GROUP BY expressions, as columns of the grouped step; the cohort stays what it is.
        values: what is made of each group, by its name in the step.
        windows: what is made beside each row, likewise.
        reserved: names that no column of a step may have.
    """

    grouped: str | None
    windowed: str | None
    keys: Mapping[tree.Expr, Column] = field(default_factory=dict)
    values: dict[str, Within] = field(default_factory=dict)
    windows: dict[str, Rolling] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()

    def __call__(self, scope: Scope, node: exp.Expr) -> tree.Expr | None:
        """The column of an aggregate or a window; None for any other node."""
        plain = replace(scope, stage=None, aliases={})
        if type(node) is exp.Window:
            if self.windowed is None:
                raise scope.source.refusal(
                    "unsupported",
                    "A window cannot stand here.",
                    node,
                    accepted="a window among the columns of a subquery, and a condition on its name above it",
                )
            inside = replace(plain, stage=replace(self, windowed=None, windows={}))
            return self._column(self.windowed, self.windows, rolling(self, inside, node))
        if self.grouped is None or not is_aggregate(node):
            return None
        return self._column(self.grouped, self.values, within(plain, node))

    def _column(self, step: str, found: dict[str, Any], value: Within | Rolling) -> Column:
        for name, known in found.items():
            if known == value:
                return Column(f"{step}.{name}", value.type)
        used = sorted(tree.columns_of(value.arg)) if value.arg is not None else []
        hint = "_".join([value.function, *(name.rpartition(".")[2] for name in used[:1] if name.isascii())])
        keys = (column.name.rpartition(".")[2] for column in self.keys.values())
        name = own_name(hint, {*found, *keys, *self.reserved})
        found[name] = value
        return Column(f"{step}.{name}", value.type)

    def settled(self, expr: tree.Expr) -> tree.Expr:
        """An expression above the grouping: its GROUP BY expressions are columns."""
        return expr if self.grouped is None else tree.substituted(expr, self.keys)

    def loose(self, expr: tree.Expr) -> list[str]:
        """Columns of single rows in an expression above the grouping."""
        if self.grouped is None:
            return []
        steps = tuple(f"{step}." for step in (self.grouped, self.windowed) if step is not None)
        through = {column.name for column in self.keys.values()}
        return sorted(n for n in tree.columns_of(expr) if n not in through and not n.startswith(steps))


def own_name(hint: str, taken: Iterable[str]) -> str:
    """A name that is not taken."""
    name, number, known = hint, 2, set(taken)
    while name in known:
        name, number = f"{hint}_{number}", number + 1
    return name


def is_aggregate(node: exp.Expr) -> bool:
    """Whether a node is an aggregate, with or without FILTER, accepted or not."""
    while isinstance(node, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
        node = node.this
    return isinstance(node, exp.AggFunc) and type(node) not in (*RANKS, *PLACES)


def has_aggregate(node: exp.Expr) -> bool:
    """Whether an expression has an aggregate that is no window, outside subqueries."""
    pending = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, exp.Query | exp.Subquery):
            continue
        if isinstance(part, exp.Window):
            own = part.this
            while isinstance(own, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
                pending += [child for child in own.iter_expressions() if child is not own.this]
                own = own.this
            pending += own.iter_expressions()
            pending += [child for child in part.iter_expressions() if child is not part.this]
            continue
        if is_aggregate(part):
            return True
        pending += part.iter_expressions()
    return False


def has_window(node: exp.Expr) -> bool:
    """Whether an expression has a window, outside subqueries."""
    if isinstance(node, exp.Query | exp.Subquery):
        return False
    return isinstance(node, exp.Window) or any(has_window(part) for part in node.iter_expressions())


# -- aggregates


def within(scope: Scope, node: exp.Expr) -> Within:
    """An aggregate over the rows of one student and group.

    Raises:
        QueryRefused: it is not accepted, or depends on an order that is not written.
    """
    source, span = scope.source, span_of(node)
    filtered = None
    if type(node) is exp.Filter:
        node, clause = source.consume(node, "this", "expression")
        (this,) = source.consume(clause, "this")
        filtered = condition(scope, this)
    if type(node) is exp.IgnoreNulls and type(node.this) is exp.AnyValue:
        (node,) = source.consume(node, "this")
    function = AGGREGATES.get(type(node))
    if function is None:
        raise _unaccepted(scope, node)
    order: tuple[Sort, ...] = ()
    arg: tree.Expr | None
    if function == "first":
        arg, order, filtered = _first(scope, node, filtered)
    else:
        function, arg, filtered = _plain(scope, node, function, filtered)
    return Within(function, arg, order, filtered, _type(function, arg), span)


def _unaccepted(scope: Scope, node: exp.Expr) -> Exception:
    name = scope.source.called(node)
    return scope.source.refusal(
        "unsupported",
        f"{name} is not accepted within a student.",
        node,
        accepted="COUNT, COUNT(DISTINCT …), SUM, AVG, MIN, MAX, BOOL_OR, BOOL_AND, MEDIAN, STDDEV, VARIANCE, "
        "ARG_MAX, ARG_MIN, FIRST and LAST with ORDER BY",
    )


def _plain(
    scope: Scope, node: exp.Expr, function: Any, filtered: tree.Expr | None
) -> tuple[Any, tree.Expr | None, tree.Expr | None]:
    """Function, argument and condition of an aggregate that depends on no order."""
    source = scope.source
    this, _big = source.consume(node, "this", "big_int")
    if type(node) is exp.CountIf:
        return "rows", None, both(condition(scope, this), filtered)
    if isinstance(this, exp.Star) or this is None:
        if function != "count":
            raise _unaccepted(scope, node)
        if this is not None:
            source.consume(this)
        return "rows", None, filtered
    if isinstance(this, exp.Distinct):
        function, this = _distinct(scope, node, this, function)
    carrier = scope.carrier(this) if function in ("count", "distinct") else None
    if carrier is None:
        return function, _argument(scope, node, this, function), filtered
    if function == "distinct":
        raise source.refusal(
            "unsupported", f"Within a student there is one {scope.owner}.", node, accepted="COUNT(*), or MAX of 1"
        )
    matched = filtered if carrier.presence is None else both(tree.Not(tree.IsNull(carrier.presence)), filtered)
    return "rows", None, matched


def _distinct(scope: Scope, node: exp.Expr, distinct: exp.Distinct, function: Any) -> tuple[Any, exp.Expr]:
    """COUNT(DISTINCT x); of MIN and MAX the word changes nothing."""
    (expressions,) = scope.source.consume(distinct, "expressions")
    if len(expressions or ()) != 1 or function not in ("count", "min", "max"):
        raise scope.source.refusal(
            "unsupported",
            "DISTINCT is accepted in COUNT of one expression.",
            node,
            accepted="COUNT(DISTINCT x), or a subquery with SELECT DISTINCT",
        )
    return ("distinct" if function == "count" else function), expressions[0]


def _argument(scope: Scope, node: exp.Expr, this: exp.Expr, function: Any) -> tree.Expr:
    """What is aggregated, in a type that it can be."""
    if function in ("any", "all"):
        return condition(scope, this)
    arg = _typed(scope, this)
    if function in NUMBERS and arg.type == BOOLEAN:
        return tree.Cast(arg, INTEGER)
    if function in NUMBERS and not arg.type.is_number:
        raise scope.source.refusal(
            "unsupported",
            f"{scope.source.called(node)} needs a number, and this is {arg.type}.",
            this,
            accepted="COUNT, MIN or MAX",
        )
    return arg


def _first(
    scope: Scope, node: exp.Expr, filtered: tree.Expr | None
) -> tuple[tree.Expr, tuple[Sort, ...], tree.Expr | None]:
    """FIRST and LAST by an order; ARG_MAX and ARG_MIN, of rows where neither argument is NULL."""
    source = scope.source
    if type(node) in (exp.ArgMax, exp.ArgMin):
        this, by = source.consume(node, "this", "expression")
        arg, key = _typed(scope, this), _typed(scope, by)
        for there in (arg, key):
            filtered = both(tree.Not(tree.IsNull(there)), filtered)
        return arg, (Sort(key, type(node) is exp.ArgMax, nulls_first=False),), filtered
    (this,) = source.consume(node, "this")
    if type(this) is not exp.Order:
        name = source.called(node)
        raise source.refusal(
            "unsupported",
            f"{name} depends on an order, and none is written.",
            node,
            accepted=f"{name}(x ORDER BY school_year), or ARG_MAX(x, school_year)",
        )
    inner, terms = source.consume(this, "this", "expressions")
    order = sorting(scope, exp.Order(expressions=terms), backwards=type(node) is exp.Last)
    return _typed(scope, inner), order, filtered


def _own(scope: Scope, node: exp.Expr) -> bool:
    """Whether a name stands for the owner of the rows; of a LEFT JOIN's right side it is refused."""
    carrier = scope.carrier(node)
    if carrier is not None and carrier.presence is not None:
        convert(replace(scope, stage=None), node)
    return carrier is not None


def _typed(scope: Scope, node: exp.Expr) -> tree.Expr:
    """An expression that is NULL of some type, if it is NULL."""
    return tree.of_type(convert(scope, node), INTEGER)


def sorting(scope: Scope, order: exp.Order | None, *, backwards: bool = False) -> tuple[Sort, ...]:
    """The terms of an ORDER BY within a student."""
    if order is None:
        return ()
    (terms,) = scope.source.consume(order, "expressions")
    found = []
    for term in terms:
        this, descending, nulls_first = scope.source.consume(term, "this", "desc", "nulls_first")
        if _own(scope, this):
            continue  # one student's rows have one owner
        if isinstance(this, exp.Literal):
            raise scope.source.refusal(
                "unsupported", "A number orders nothing here.", this, accepted="ORDER BY a column"
            )
        found.append(Sort(_typed(scope, this), bool(descending) != backwards, bool(nulls_first) != backwards))
    return tuple(found)


def _type(function: str, arg: tree.Expr | None) -> Type:
    if function in DOUBLES or function in ("percent_rank", "cume_dist"):
        return DOUBLE
    if function in ("any", "all"):
        return BOOLEAN
    if arg is None or function in ("rows", "count", "distinct"):
        return INTEGER
    return arg.type


# -- windows


def rolling(stage: Stage, scope: Scope, node: exp.Window) -> Rolling:
    """A window over the rows of one student.

    Raises:
        QueryRefused: it is not over one student's rows, or is not accepted.
    """
    source = scope.source
    this, partition, order, spec, _over = source.consume(node, "this", "partition_by", "order", "spec", "over")
    inner = [part for part in partition or () if not _own(scope, part)]
    if len(inner) == len(partition or ()):
        raise source.refusal(
            "crosses_students",
            "A window lets one student's row change another's.",
            node,
            accepted=f"PARTITION BY {scope.owner}: a window over one student's rows",
        )
    filtered = None
    if type(this) is exp.Filter:
        this, clause = source.consume(this, "this", "expression")
        (when,) = source.consume(clause, "this")
        filtered = condition(scope, when)
    window = _Window(
        stage=stage,
        scope=scope,
        node=node,
        partition=tuple(_typed(scope, part) for part in inner),
        order=sorting(scope, order),
        frame=None if spec is None else _frame(scope, spec),
    )
    if type(this) in RANKS and filtered is None:
        return window.settled(window.ranked(this))
    if type(this) in PLACES and filtered is None:
        return window.settled(window.placed(this))
    return window.settled(window.framed(this, filtered))


@dataclass(frozen=True, slots=True)
class _Window:
    """A window without what stands before OVER."""

    stage: Stage
    scope: Scope
    node: exp.Window
    partition: tuple[tree.Expr, ...]
    order: tuple[Sort, ...]
    frame: tuple[Any, int | None, int | None] | None

    def made(self, function: Any, arg: tree.Expr | None, number: int = 0, default: Constant | None = None) -> Rolling:
        of, span = _type(function, arg), span_of(self.node)
        return Rolling(function, arg, number, default, self.partition, self.order, self.frame, of, span)

    def settled(self, found: Rolling) -> Rolling:
        """Above a grouping: its GROUP BY expressions are columns, and no column of single rows is left."""
        settled = self.stage.settled
        found = replace(
            found,
            arg=None if found.arg is None else settled(found.arg),
            partition=tuple(map(settled, found.partition)),
            order=tuple(replace(term, value=settled(term.value)) for term in found.order),
        )
        loose = [name for part in tree.rolling_parts(found) for name in self.stage.loose(part)]
        if loose:
            raise self.scope.source.refusal(
                "unsupported",
                f"{loose[0]} is not in GROUP BY, and windows come after it.",
                self.node,
                accepted="a GROUP BY expression or an aggregate",
            )
        return found

    def ordered(self, name: str) -> None:
        if not self.order:
            raise self.scope.source.refusal(
                "unsupported",
                f"{name} depends on an order, and none is written.",
                self.node,
                accepted=f"OVER (PARTITION BY {self.scope.owner} ORDER BY school_year)",
            )

    def ranked(self, node: exp.Expr) -> Rolling:
        """ROW_NUMBER, RANK and the like."""
        function: Any = RANKS[type(node)]
        number = 0
        if function == "ntile":
            (this,) = self.scope.source.consume(node, "this")
            number = _number(self.scope, this, least=1)
        else:
            self.scope.source.consume(node)
        self.ordered(self.scope.source.called(node))
        if self.frame is not None:
            raise _unaccepted_window(self.scope, self.node)
        return self.made(function, None, number)

    def placed(self, node: exp.Expr) -> Rolling:
        """The value of another row."""
        source, function = self.scope.source, PLACES[type(node)]
        self.ordered(self.scope.source.called(node))
        if function in ("lag", "lead"):
            this, offset, default = source.consume(node, "this", "offset", "default")
            if self.frame is not None:
                raise _unaccepted_window(self.scope, self.node)
            number = 1 if offset is None else _number(self.scope, offset, least=0)
            arg = _typed(self.scope, this)
            return self.made(function, arg, number, None if default is None else self.default(default, arg))
        if function == "nth_value":
            this, offset = source.consume(node, "this", "offset")
            return self.made(function, _typed(self.scope, this), _number(self.scope, offset, least=1))
        (this,) = source.consume(node, "this")
        return self.made(function, _typed(self.scope, this))

    def default(self, node: exp.Expr, arg: tree.Expr) -> Constant | None:
        """What LAG and LEAD give where there is no such row: a constant of the argument's type."""
        found = convert(self.scope, node)
        if isinstance(found, Constant) and found.value is None:
            return None
        if not isinstance(found, Constant) or found.type.kind != arg.type.kind or found.type.scale > arg.type.scale:
            raise self.scope.source.refusal(
                "unsupported",
                f"The default must be a constant, and {arg.type} as the argument is.",
                node,
                accepted="such as 0 or NULL",
            )
        return Constant(found.value, arg.type)

    def framed(self, node: exp.Expr, filtered: tree.Expr | None) -> Rolling:
        """An aggregate over a frame; FILTER is a CASE."""
        function: Any = AGGREGATES.get(type(node))
        if function not in FRAMED:
            raise _unaccepted_window(self.scope, node)
        function, arg, when_true = _plain(self.scope, node, function, None)
        if function not in FRAMED:
            raise _unaccepted_window(self.scope, node)
        for counted in (when_true, filtered):
            if counted is not None:
                then = Constant(1, INTEGER) if arg is None else arg
                arg = tree.Case(((counted, then),), Constant(None, then.type), then.type)
                function = "count" if function == "rows" else function
        if self.frame is not None and self.frame[0] == "rows":
            self.ordered("A frame of rows")
        return self.made(function, arg)


def _unaccepted_window(scope: Scope, node: exp.Expr) -> Exception:
    return scope.source.refusal(
        "unsupported",
        "This window is not accepted.",
        node,
        accepted="ROW_NUMBER, RANK, DENSE_RANK, PERCENT_RANK, CUME_DIST, NTILE, LAG, LEAD, FIRST_VALUE, LAST_VALUE, "
        "NTH_VALUE, and COUNT, SUM, AVG, MIN, MAX, BOOL_OR, BOOL_AND with a frame",
    )


def _number(scope: Scope, node: exp.Expr, least: int) -> int:
    value = convert(scope, node)
    if not isinstance(value, Constant) or type(value.value) is not int or not least <= value.value <= OFFSET_MAX:
        raise scope.source.refusal(
            "unsupported", "A whole number is needed here.", node, accepted=f"from {least} to {OFFSET_MAX:,}"
        )
    return value.value


def _frame(scope: Scope, spec: exp.WindowSpec) -> tuple[Any, int | None, int | None]:
    """ROWS or RANGE BETWEEN …; RANGE reaches to an end or to the row and its peers alone."""
    source = scope.source
    names = ("kind", "start", "start_side", "end", "end_side")
    kind, start, start_side, end, end_side = source.consume(spec, *names)
    unit = str(kind).lower()
    ends: list[int | None] = []
    for place, side in ((start, start_side), (end if end is not None else "CURRENT ROW", end_side)):
        if place == "CURRENT ROW":
            ends.append(0)
        elif place == "UNBOUNDED":
            ends.append(None)
        elif isinstance(place, exp.Expr) and unit == "rows":
            number = _number(scope, place, least=0)
            ends.append(-number if side == "PRECEDING" else number)
        else:
            unit = "other"
    first, last = (*ends, 0, 0)[:2]
    backwards = (start == "UNBOUNDED" and start_side != "PRECEDING") or (
        end == "UNBOUNDED" and end_side != "FOLLOWING"
    )
    disordered = first is not None and last is not None and first > last
    if unit not in ("rows", "range") or backwards or disordered:
        raise source.refusal(
            "unsupported",
            "This frame is not accepted.",
            spec,
            accepted="ROWS BETWEEN … PRECEDING AND … FOLLOWING, or RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
        )
    return unit, first, last
