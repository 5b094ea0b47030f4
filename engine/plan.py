"""Query → Plan: which statistics are measured, how sensitive they are, and how the answer is made of them.

A pure function of the question, the catalog and the cohorts that may be asked; no record is read.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from engine import forms, tree
from engine.analysis.cohorts import touched
from engine.analysis.contribution import Contribution, contribution, proof
from engine.analysis.frames import frame_of
from engine.analysis.intervals import Range, assume, evaluate, fitting, rounded
from engine.keysets import KeyList, key_list, partial_cells
from engine.refusals import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from engine.analysis.frames import Frame
    from engine.analysis.intervals import Number
    from engine.catalog import Catalog
    from engine.forms import Form
    from engine.source import Source

CELL_MAX = 2**62
CELLS_MAX = 1_000_000
COEFFICIENT_MAX = 10**60
JOINED_ROWS_MAX = 10_000
"""Most rows of one student that joins may make."""

WIDTH_MIN = 2.0**-200
"""The narrowest range of doubles that is measured."""

DOUBLE_STEPS = 20
"""A sum of doubles is measured in steps of at most 2**-20 of the declared range."""


@dataclass(frozen=True, slots=True)
class Centred:
    """The exact integer one row contributes to a sum; NULL contributes 0, after centring.

    The value is `multiplier · clamp(whole) − centre` for exact numbers, `floor((x − centre)·2**shift + 0.5)`
    for doubles, clamped to ±bound.

    Attributes:
        low: least whole number (exact) or number (double) of the argument.
        high: greatest, likewise.
        unit: size of one integer step in the column's unit.
        offset: the centre in the column's unit: argument = integer · unit + offset.
        bound: B, the greatest magnitude of the integer.
    """

    arg: tree.Expr
    low: int | float
    high: int | float
    multiplier: int
    centre: int | float
    shift: int
    unit: Fraction
    offset: Fraction
    bound: int


FINE = 2**10
"""What a limit leaves of a student's total is measured in so many parts of its unit, so rounding loses little."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a student a question asks for, where that is less than all.

    Attributes:
        rows: most rows of one student; who has more counts in proportion.
        groups: most groups of one student, likewise.
    """

    rows: int | None = None
    groups: int | None = None


NO_LIMITS = Limits()
"""All of every student."""


@dataclass(frozen=True, slots=True)
class Limited:
    """A limit that bears on a statistic: a student beyond it contributes that part of each exact total.

    Attributes:
        rows: c; None where no student can have more rows.
        groups: likewise.
        base: the conditions on the rows and groups that are counted for it: those of the statistic, but for that its
            argument is there, so that a sum and its count shrink alike.
    """

    rows: int | None
    groups: int | None
    base: tuple[tree.Expr, ...]


@dataclass(frozen=True)
class Statistic:
    """One vector of exact integers, one for each group, measured once.

    Attributes:
        conditions: the conjuncts a row must fulfil (WHERE, FILTER, and for counts that the argument is there).
        centred: what a row contributes; None for 1.
        cohorts: the cohorts whose rows are scanned, and which are charged.
        contribution: what one student can bring.
        keys: the groups it is counted in.
        students: whether each student counts once in a group, whatever the rows.
        limited: the part of a student that is asked for; then the integers are in parts of `FINE`.
        label: what it is, in words a researcher knows.
    """

    relation: tree.Relation
    conditions: tuple[tree.Expr, ...]
    centred: Centred | None
    cohorts: tuple[int, ...]
    contribution: Contribution
    keys: KeyList = field(compare=False)
    keys_digest: str
    students: bool
    label: str = field(compare=False)
    limited: Limited | None = None

    @property
    def bound(self) -> int:
        """B, the greatest magnitude of one row's integer."""
        return (1 if self.centred is None else self.centred.bound) * self.parts

    @property
    def parts(self) -> int:
        """How many integers make one unit of the exact total."""
        return 1 if self.limited is None else FINE

    @cached_property
    def l2_squared(self) -> int:
        """The squared L2 sensitivity; 0 means the vector is the constant 0."""
        return self.contribution.l2_squared(self.bound) if self.cohorts else 0

    @cached_property
    def shape(self) -> str:
        """A text that two statistics share only if they measure the same over the same cohorts."""
        measure = "student" if self.students else "1"
        if self.centred is not None:
            c = self.centred
            measure = f"{tree.canonical(c.arg)} {c.low!r} {c.high!r} {c.multiplier} {c.centre!r} {c.shift} {c.bound}"
        conditions = " ".join(tree.canonical(condition) for condition in self.conditions)
        if self.limited is not None:
            base = " ".join(tree.canonical(condition) for condition in self.limited.base)
            measure += f" of {FINE} at most {self.limited.rows} {self.limited.groups} of [{base}]"
        return (
            f"{tree.canonical_relation(self.relation)} [{conditions}] <{measure}> {self.keys_digest} {self.cohorts}"
        )

    def digest(self, epoch: str, population: str) -> str:
        """SHA-256 by which the ledger knows the measurement."""
        return _sha256(f"{self.shape} {epoch} {population}")


@dataclass(frozen=True, slots=True)
class Output:
    """One column of the answer."""

    name: str
    role: Literal["key", "estimate", "derived"]
    type: str
    unit: str | None
    form: Form


@dataclass(frozen=True, slots=True)
class Sorting:
    """One term of ORDER BY over forms."""

    form: Form
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """Clamping bounds that were used, in the column's unit."""

    expression: str
    low: Number
    high: Number


@dataclass(frozen=True)
class Plan:
    """How a question is answered.

    Attributes:
        statistics: what is measured; one of sensitivity 0 is the constant 0 and stands in no plan.
        weights: relative shares of the loss, one for each statistic.
        touched: every cohort the question touches, asked or not.
        cohorts: those it is asked of.
        partial: for each group the left-out cohorts that can occur in it.
        parts: of a question over released tables the plans of these, whose forms use the statistics of the whole.
        made: how its answer is made of them.
    """

    relation: tree.Relation
    keys: KeyList
    statistics: tuple[Statistic, ...]
    weights: tuple[Fraction, ...]
    outputs: tuple[Output, ...]
    order: tuple[Sorting, ...]
    limit: int | None
    offset: int
    touched: tuple[int, ...]
    cohorts: tuple[int, ...]
    partial: tuple[tuple[int, ...], ...]
    bounds: tuple[Bounds, ...]
    parts: tuple[Plan, ...] = ()
    made: tree.Combined | None = None

    @property
    def left_out(self) -> tuple[int, ...]:
        """Touched cohorts the question is not asked of."""
        return tuple(cohort for cohort in self.touched if cohort not in self.cohorts)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what is measured and how the answer is made of it; names of columns do not matter."""
        made: list[object] = [[output.form for output in self.outputs], self.order, self.limit, self.offset]
        if self.made is not None:
            parts = [([output.form for output in part.outputs], part.keys.digest) for part in self.parts]
            made += [self.made.sql, parts]
        return _sha256(repr([[s.shape for s in self.statistics], self.keys.digest, made]))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_plan(
    source: Source,
    query: tree.Query | tree.Combined,
    catalog: Catalog,
    askable: Collection[int],
    limits: Limits = NO_LIMITS,
) -> Plan:
    """The plan of a question asked of the `askable` cohorts it touches, and of no more of a student than `limits`.

    Raises:
        QueryRefused: where a bound, a key list or a size cannot be proved.
    """
    parts = (query,) if isinstance(query, tree.Query) else query.parts
    filters = {item.condition for part in parts for item in _aggregates(part)} - {None}
    planner = _Planner(source, catalog, askable, len(filters), limits)
    if isinstance(query, tree.Query):
        return planner.whole(planner.part(query), (), None)
    return planner.combined(query)


class _Planner:
    """Collects the statistics of one question."""

    query: tree.Query
    frame: Frame
    known: Mapping[str, Range]
    keys: KeyList

    def __init__(
        self, source: Source, catalog: Catalog, askable: Collection[int], filters: int, limits: Limits
    ) -> None:
        self.source, self.catalog, self.askable, self.filters = source, catalog, askable, filters
        self.limits = limits
        self.touched: set[int] = set()
        self.found: OrderedDict[str, Statistic] = OrderedDict()
        self.sums: dict[tuple[int, int], Fraction] = {}
        self.explicit: set[int] = set()
        self.counted: dict[forms.Linear, tuple[tree.Expr, ...]] = {}
        self.bounds: dict[str, Bounds] = {}

    def part(self, query: tree.Query) -> Plan:
        """The plan of one aggregate SELECT; what it measures is collected for the whole."""
        with self.source.placing():
            self.query, self.frame = query, frame_of(self.catalog, query.relation)
        self.known = self.frame.known
        self.contributions: dict[tuple[tree.Expr, ...], Contribution] = {}
        self.prove_relation()
        for key, span in zip(query.keys, query.key_spans, strict=True):
            self.prove((key,), span)
        touched_by_where = touched(self.frame, query.where)
        cohorts = tuple(cohort for cohort in touched_by_where if cohort in self.askable)
        self.keys = key_list(self.frame, query, cohorts, self.source.refusal)
        self.pairs = self.paired(query)
        outputs = tuple(self.output(item) for item in query.items)
        order = self.order()
        cells = len(self.keys.rows) * (len(outputs) + len(order))
        if cells > CELLS_MAX:
            message = f"The answer would have {cells:,} cells, the terms of ORDER BY counted too."
            raise QueryRefused("too_large", message, accepted=f"at most {CELLS_MAX:,}: fewer columns or fewer groups")
        left_out = [cohort for cohort in sorted(self.touched) if cohort not in self.askable]
        return Plan(
            relation=query.relation,
            keys=self.keys,
            statistics=(),
            weights=(),
            outputs=outputs,
            order=order,
            limit=query.limit,
            offset=query.offset,
            touched=(),
            cohorts=(),
            partial=partial_cells(self.frame, query.where, self.keys, left_out),
            bounds=(),
        )

    def whole(self, shown: Plan, parts: tuple[Plan, ...], made: tree.Combined | None) -> Plan:
        """A plan with everything that was collected."""
        touched_all = tuple(sorted(self.touched))
        return replace(
            shown,
            statistics=tuple(self.found.values()),
            weights=self.weights(),
            touched=touched_all,
            cohorts=tuple(cohort for cohort in touched_all if cohort in self.askable),
            bounds=tuple(self.bounds.values()),
            parts=parts,
            made=made,
        )

    def combined(self, query: tree.Combined) -> Plan:
        """The plan of a question over released tables."""
        parts = tuple(self.part(part) for part in query.parts)
        cells = _rows(query.size, parts) * max(len(query.columns), 1)
        if cells > CELLS_MAX:
            message = f"Joined so, the released tables could have {cells:,} cells."
            raise QueryRefused("too_large", message, accepted=f"at most {CELLS_MAX:,}: an equality, or fewer groups")
        query = replace(query, sql=_told_apart(query.sql, parts))
        outputs = tuple(self.shown(parts, column, place) for place, column in enumerate(query.columns))
        nothing = KeyList((), ((),))
        first = replace(parts[0], keys=nothing, outputs=outputs, order=(), limit=None, offset=0, partial=((),))
        return self.whole(first, parts, query)

    def shown(self, parts: Sequence[Plan], column: tree.Made, place: int) -> Output:
        """A column of the answer: one of a part's, or computed."""
        if column.base is None:
            role: Literal["estimate", "derived"] = "estimate" if column.margins else "derived"
            return Output(column.name, role, column.kind, None, forms.Computed(place))
        part, item = column.base
        output = parts[part].outputs[item]
        form = output.form if column.margins or output.role == "key" else forms.Computed(place)
        return replace(output, name=column.name, form=form)

    def order(self) -> tuple[Sorting, ...]:
        """The terms of ORDER BY; one that was there before sorts nothing any more."""
        found: dict[Form, Sorting] = {}
        for term in self.query.order:
            form = self.output(tree.Item("ORDER BY", term.value)).form
            found.setdefault(form, Sorting(form, term.descending, term.nulls_first))
        return tuple(found.values())

    def prove_relation(self) -> None:
        """Prove WHERE and ON, and that a student has a number of rows that is known and can be worked with."""
        self.prove(self.query.where, None)
        self.prove_inside(self.frame)
        self.prove_rows(self.frame, self.query.where, self.known)

    def prove_rows(
        self, frame: Frame, where: Sequence[tree.Expr], known: Mapping[str, Range], span: tree.Span | None = None
    ) -> None:
        """Prove that a student has not too many rows to be worked with."""
        rows = proof(frame, where, known).rows
        if rows > JOINED_ROWS_MAX:
            raise self.source.refusal(
                "too_large",
                f"Joined so, one student could have {rows:,} rows.",
                span,
                accepted=f"at most {JOINED_ROWS_MAX:,}: an equality on more columns, such as school_year",
            )

    def prove_inside(self, frame: Frame) -> None:
        """Prove what stands inside steps and LEFT JOINs."""
        for scan in frame.relation.scans:
            if isinstance(scan, tree.Derived):
                self.prove_step(scan, frame.inside[scan.name])
        self.prove_rights(frame)

    def prove_step(self, derived: tree.Derived, frames: Sequence[Frame]) -> None:
        """Prove that what a step computes fits on every row it is made of, and above it."""
        match derived.step:
            case tree.Grouped(_, where, keys, values):
                exprs = [*(key for _, key in keys), *(part for _, v in values for part in tree.within_parts(v))]
                sides = [(where, exprs)]
            case tree.Windowed(_, where, columns, windows):
                exprs = [*(c for _, c in columns), *(part for _, w in windows for part in tree.rolling_parts(w))]
                sides = [(where, exprs)]
            case tree.Union(_, branches):
                sides = [(branch.where, list(branch.columns)) for branch in branches]
        for (where, exprs), frame in zip(sides, frames, strict=True):
            self.prove_inside(frame)
            self.prove((*where, *exprs), derived.span, frame.known)
            self.prove_rows(frame, where, frame.known, derived.span)

    def prove_rights(self, frame: Frame) -> None:
        """Prove what stands inside LEFT JOINs, on every row that their ON is tried on."""
        for left, matched in zip(frame.relation.lefts, frame.lefts, strict=True):
            inside = matched.frame.known
            self.prove_inside(matched.frame)
            self.prove((*left.where, *(expr for _, expr in left.columns)), left.span, inside)
            visible = {name: evaluate(expr, inside) for name, expr in left.columns}
            self.prove(left.on, left.span, {**frame.known, **inside, **visible})
            if left.once and len(left.relation.scans) + len(left.relation.lefts) > 1:
                self.prove_rows(matched.frame, left.where, inside)  # of which one is looked for
            for compared in left.never_null:
                if evaluate(compared, {**frame.known, **inside, **visible}).nullable:
                    raise self.source.refusal(
                        "unsupported",
                        "IN over a subquery compares what can be NULL, and then is neither true nor false.",
                        left.span,
                        accepted="EXISTS (SELECT 1 FROM … WHERE …) with the comparison written out, or IS NOT NULL",
                    )

    def prove(
        self, exprs: Sequence[tree.Expr], span: tree.Span | None, known: Mapping[str, Range] | None = None
    ) -> None:
        """Prove that every number in the expressions fits, on every record whatever its cohort or group."""
        with self.source.placing(span):
            for expr in exprs:
                fitting(expr, self.known if known is None else known)

    # -- forms

    def output(self, item: tree.Item) -> Output:
        form = self.form(item.value)
        finest, greatest = forms.extent(form)
        if greatest > COEFFICIENT_MAX or finest * COEFFICIENT_MAX < 1:
            message = f"The factors of {item.name} are too large or too small."
            raise QueryRefused("too_large", message, accepted="factors nearer to 1")
        match form:
            case forms.Key(index):
                return Output(item.name, "key", str(self.keys.columns[index].type), None, form)
            case forms.Linear(terms, constant):
                whole = constant.denominator == 1 and all(c.denominator == 1 for _, c in terms)
                return Output(item.name, "estimate", "integer" if whole else "double", self.unit(item.value), form)
            case forms.Total(of, _, mean, _):
                whole = not mean and of.step.denominator == of.constant.denominator == 1
                return Output(item.name, "estimate", "integer" if whole else "double", self.unit(item.value), form)
            case forms.Ratio():
                return Output(item.name, "estimate", "double", self.unit(item.value), form)
            case forms.Smooth() | forms.Computed():
                return Output(item.name, "derived", "double", None, form)

    def unit(self, value: tree.Outer) -> str | None:
        match value:
            case tree.Aggregate("count"):
                return "rows"
            case tree.Aggregate("students"):
                return "students"
            case tree.Aggregate(_, tree.Column(name, _)) if name in self.frame.columns:
                return self.frame.columns[name].unit
            case tree.Total(of, _, _):
                return self.unit(of)
        return None

    def form(self, value: tree.Outer) -> Form:
        match value:
            case tree.KeyRef(index):
                return forms.Key(index)
            case tree.Constant(number, _):
                return forms.Linear(constant=Fraction(number if isinstance(number, int | Fraction) else 0))
            case tree.OuterArithmetic(op, left, right):
                return self.with_ends(forms.combine(op, self.form(left), self.form(right)))
            case tree.Aggregate():
                return self.aggregate(value)
            case tree.Total():
                return self.total(value)

    def total(self, asked: tree.Total) -> Form:
        """A sum or mean over groups; over one group each it is the number itself."""
        of = self.form(asked.value)
        sizes = Counter(tuple(row[key] for key in asked.keys) for row in self.keys.rows).values()
        if max(sizes, default=1) == 1:
            return of
        if isinstance(of, forms.Linear):
            return forms.Total(of, asked.keys, asked.mean, (min(sizes), max(sizes)))
        raise AssertionError

    def with_ends(self, form: Form) -> Form:
        """A new ratio with its ends: of sums over some of the rows that are counted by its divisor.

        Each such row adds between the ends of its integer to the numerator, or nothing.
        """
        if not isinstance(form, forms.Ratio) or form.within is not None or form.numerator.constant:
            return form
        statistics = tuple(self.found.values())
        counted, per_row = self.count_in(form.denominator)
        if per_row <= 0:
            return form
        rows = set(counted)
        least = greatest = Fraction(0)
        for position, coefficient in form.numerator.terms:
            part = statistics[position]
            if not rows <= set(part.conditions):
                return form
            bound = 1 if part.centred is None else part.centred.bound
            ends = (Fraction(0 if part.centred is None else -bound), Fraction(bound))
            if part.centred is None and set(part.conditions) == rows:
                ends = (Fraction(1), Fraction(1))
            low, high = sorted(coefficient * part.parts * end / per_row for end in ends)
            least, greatest = least + low, greatest + high
        return replace(form, within=(least, greatest), per_row=per_row)

    def count_in(self, divisor: forms.Linear) -> tuple[tuple[tree.Expr, ...], Fraction]:
        """The rows that a divisor counts, and what one adds to it; 0 where it is no multiple of one count."""
        for count, conditions in self.counted.items():
            factor = divisor.terms[0][1] / count.terms[0][1] if divisor.terms else Fraction(0)
            if count.times(factor) == divisor:
                return conditions, factor
        return (), Fraction(0)

    def aggregate(self, asked: tree.Aggregate) -> Form:
        condition = () if asked.condition is None else (asked.condition,)
        argument = () if asked.arg is None else (asked.arg,)
        self.prove((*condition, *argument), asked.span)
        conditions = tree.conjuncts((*self.query.where, *condition))
        if asked.function == "students":
            return self.count(conditions, f"COUNT(DISTINCT {self.catalog.owner})", explicit=True, students=True)
        if asked.arg is None:
            return self.count(conditions, "COUNT(*)", explicit=True)
        known = assume(conditions, self.known)
        argument_range = Range(values=frozenset()) if known is None else evaluate(asked.arg, known)
        counted = conditions
        if argument_range.nullable:
            counted = tree.conjuncts((*conditions, tree.Not(tree.IsNull(asked.arg))))
        if asked.function == "count":
            label = _count_label(asked.arg, argument_range)
            return self.count(counted, label, explicit=True, base=conditions)
        return self.sum_or_average(asked, conditions, counted, argument_range)

    def sum_or_average(
        self,
        asked: tree.Aggregate,
        conditions: tuple[tree.Expr, ...],
        counted: tuple[tree.Expr, ...],
        found: Range,
    ) -> Form:
        argument = tree.shown(asked.arg)
        centred = self.centred(asked, found)
        if centred is None:
            nothing = forms.Linear()
            return forms.Ratio(nothing, nothing, of_count=True) if asked.function == "avg" else nothing
        total = forms.Linear()
        position = None
        if centred.bound:
            position = self.add(conditions, centred, f"SUM({argument}) centred at {float(centred.offset):g}")
            total = forms.Linear.of({} if position is None else {position: centred.unit / self.parts(position)})
        average = asked.function == "avg"
        if centred.offset or average:
            count = self.count(counted, _count_label(asked.arg, found), explicit=average, base=conditions)
            total = total.plus(count, centred.offset)
            if position is not None and len(count.terms) == 1:
                half = centred.bound * centred.unit
                self.sums[position, count.terms[0][0]] = abs(centred.offset) / half
        if not average:
            return total
        half = centred.bound * centred.unit
        ends = (centred.offset - half, centred.offset + half) if count.terms else None
        return forms.Ratio(total, count, of_count=True, within=ends)

    def centred(self, asked: tree.Aggregate, found: Range) -> Centred | None:
        """The integers of a sum; None where the argument is always NULL."""
        arg = asked.arg
        if arg is None or found.empty:
            return None
        argument = tree.shown(arg)
        if found.low is None or found.high is None:
            raise self.source.refusal(
                "bounds_missing",
                f"{asked.function.upper()} needs to know how large {argument} can be.",
                asked.span,
                accepted=f"bounds in the question, such as {asked.function.upper()}"
                f"(CASE WHEN {argument} BETWEEN 0 AND 100 THEN {argument} END), or in the catalog",
            )
        self.bounds[tree.canonical(arg)] = Bounds(argument, found.low, found.high)
        return _centred_double(arg, found) if arg.type == tree.DOUBLE else _centred_exact(arg, found)

    def count(
        self,
        conditions: tuple[tree.Expr, ...],
        label: str,
        *,
        explicit: bool,
        students: bool = False,
        base: tuple[tree.Expr, ...] | None = None,
    ) -> forms.Linear:
        whole = None if students else self.pairs.get(conditions)
        if whole is not None:
            found = self.beside(conditions, whole, label)
        else:
            position = self.add(conditions, None, label, students=students, base=base)
            if position is None:
                return forms.Linear()
            if explicit:
                self.explicit.add(position)
            found = forms.Linear.of({position: Fraction(1, self.parts(position))})
        if not students:
            self.counted.setdefault(found, conditions)
        return found

    # -- counts of rows that are among the rows of another count

    def paired(self, query: tree.Query) -> dict[tuple[tree.Expr, ...], tuple[tree.Expr, ...]]:
        """Of each count that is asked for, one of more rows that is asked for too.

        Then the fewer rows are measured as +1 or −1 beside the count of the more, which makes them twice as sharp in
        variance and leaves the other as it is: the same as measuring both exclusive parts at once. Only where one
        student can do as much to one as to the other, and the same cohorts pay.
        """
        asked = dict.fromkeys(rows for item in _aggregates(query) if (rows := self.rows_counted(item)) is not None)
        found = {}
        for rows in asked:
            more = [other for other in asked if set(other) < set(rows) and self.alike(other, rows)]
            if more:
                found[rows] = max(more, key=lambda other: (len(other), *map(tree.canonical, other)))
        return found

    def rows_counted(self, asked: tree.Aggregate) -> tuple[tree.Expr, ...] | None:
        """The conditions on the rows that an aggregate counts; None where it counts none for itself."""
        if asked.function in ("students", "sum"):
            return None
        conditions = tree.conjuncts((*self.query.where, *(() if asked.condition is None else (asked.condition,))))
        known = assume(conditions, self.known)
        if asked.arg is None or known is None:
            return conditions
        try:
            nullable = evaluate(asked.arg, known).nullable
        except QueryRefused:  # to be refused where it is proved
            return None
        return tree.conjuncts((*conditions, tree.Not(tree.IsNull(asked.arg)))) if nullable else conditions

    def alike(self, one: tuple[tree.Expr, ...], other: tuple[tree.Expr, ...]) -> bool:
        """Whether counts of rows touch the same cohorts, and one student can do as much to one as to the other."""
        try:
            known = [assume(conditions, self.known) for conditions in (one, other)]
            if self.limits != NO_LIMITS or None in known or touched(self.frame, one) != touched(self.frame, other):
                return False
            shares = [self.contribution(c, k) for c, k in zip((one, other), known, strict=True) if k is not None]
        except QueryRefused:
            return False
        return shares[0] == shares[1]

    def beside(self, conditions: tuple[tree.Expr, ...], whole: tuple[tree.Expr, ...], label: str) -> forms.Linear:
        """A count by way of one of more rows: half of that, and half of what these rows are more than the others."""
        count = self.count(whole, "COUNT(*)", explicit=True)
        extra = tuple(condition for condition in conditions if condition not in whole)
        inside = extra[0] if len(extra) == 1 else tree.Logic("and", extra)
        one, nothing = tree.Constant(1, tree.INTEGER), tree.Constant(0, tree.INTEGER)
        indicator = tree.Case(((inside, one),), nothing, tree.INTEGER)
        centred = _centred_exact(indicator, Range(0, 1))
        position = self.add(whole, centred, f"{label} beside COUNT(*)")
        if position is None or not count.terms:
            return forms.Linear()
        return forms.Linear.of({position: centred.unit}).plus(count, centred.offset)

    def parts(self, position: int) -> int:
        """How many integers of a statistic make one unit of its exact total."""
        return list(self.found.values())[position].parts

    # -- statistics

    def add(
        self,
        conditions: tuple[tree.Expr, ...],
        centred: Centred | None,
        label: str,
        *,
        students: bool = False,
        base: tuple[tree.Expr, ...] | None = None,
    ) -> int | None:
        """The position of a statistic, new or known; None where it is the constant 0.

        Args:
            conditions: which rows are in it.
            centred: what a row contributes; None for 1.
            label: what it is.
            students: whether each student counts once in a group.
            base: which rows a limit on rows is about, if others than those that are in it.
        """
        every = touched(self.frame, conditions)
        self.touched |= set(every)
        cohorts = tuple(cohort for cohort in every if cohort in self.askable)
        known = assume(conditions, self.known)
        if known is None or not cohorts or not self.keys.rows:
            return None
        found = self.contribution(conditions, known)
        if students and found.rows_per_group <= 1:
            students, label = False, f"COUNT(*), as {label}"  # a student has one row in a group: rows are students
        limited = self.limited(conditions if base is None else base, students=students)
        if students:
            found = found.of_students()
        if limited is not None:
            found = found.limited(limited.rows, limited.groups)
        statistic = Statistic(
            relation=self.query.relation,
            conditions=conditions,
            centred=centred,
            cohorts=cohorts,
            contribution=found,
            keys=self.keys,
            keys_digest=self.keys.digest,
            students=students,
            label=label,
            limited=limited,
        )
        if statistic.l2_squared == 0:
            return None
        if self.catalog.max_students * statistic.contribution.rows * statistic.bound >= CELL_MAX:
            raise QueryRefused(
                "too_large",
                f"{label} over {self.catalog.max_students:,} students could grow too large to be held exactly.",
                accepted="narrower bounds, such as CASE WHEN x BETWEEN 0 AND 100 THEN x END",
            )
        self.found.setdefault(statistic.shape, statistic)
        return list(self.found).index(statistic.shape)

    def contribution(self, conditions: tuple[tree.Expr, ...], known: Mapping[str, Range]) -> Contribution:
        """What one student can contribute to a statistic of all rows that fulfil some conditions."""
        found = self.contributions.get(conditions)
        if found is None:
            found = contribution(self.frame, conditions, known, self.keys, 1 + self.filters)
            self.contributions[conditions] = found
        return found

    def limited(self, base: tuple[tree.Expr, ...], *, students: bool) -> Limited | None:
        """The limits that a student can be beyond; None where there are none.

        A student counts once in a group whatever the rows, so a limit of rows leaves counts of students as they are.
        """
        if self.limits == NO_LIMITS:
            return None
        known = assume(base, self.known)
        if known is None:
            return None
        whole = self.contribution(base, known)
        rows, groups = self.limits.rows, self.limits.groups
        rows = None if rows is None or students or whole.rows <= rows else rows
        groups = None if groups is None or whole.groups <= groups else groups
        return None if rows is None and groups is None else Limited(rows, groups, base)

    def weights(self) -> tuple[Fraction, ...]:
        """Equal shares, but for a count that only serves to undo a sum's centring.

        Such a count and its sum share |c| : h, which gives the sum the noise it would have had uncentred. A count and
        the only one that is measured beside it are together one: two exclusive parts of the same rows.
        """
        weights = [Fraction(1)] * len(self.found)
        implicit: dict[int, Fraction] = {}
        for (total, count), ratio in self.sums.items():
            if count not in self.explicit:
                weights[total] = 2 / (1 + ratio)
                implicit[count] = max(implicit.get(count, Fraction(0)), 2 - weights[total])
        for one, other in self.halves():
            weights[one] = weights[other] = Fraction(1, 2)
        return tuple(implicit.get(position, weight) for position, weight in enumerate(weights))

    def halves(self) -> list[tuple[int, int]]:
        """Counts with the only statistic that is measured beside them, where there are others to share with."""
        statistics = list(self.found.values())
        if len(statistics) <= 2:  # noqa: PLR2004 - the two share equally
            return []
        found = []
        for position in self.explicit:
            rows = statistics[position]
            beside = [
                other
                for other, each in enumerate(statistics)
                if each.centred is not None
                and each.bound == each.parts
                and each.centred.multiplier == 2  # noqa: PLR2004 - 0 or 1, centred to ±1
                and (each.conditions, each.relation, each.keys_digest)
                == (rows.conditions, rows.relation, rows.keys_digest)
            ]
            if len(beside) == 1 and position not in {count for _, count in self.sums if count not in self.explicit}:
                found.append((position, beside[0]))
        return found


def _rows(size: tree.Size, parts: Sequence[Plan]) -> int:
    """How many rows a statement over parts may have."""
    match size:
        case int():
            return len(parts[size].keys.rows)
        case ("+", of):
            return sum(_rows(each, parts) for each in of)
        case (_, of):
            return math.prod(_rows(each, parts) for each in of)


def _told_apart(sql: str, parts: Sequence[Plan]) -> str:
    """A statement over parts that knows which of their columns share no statistic."""

    def apart(found: re.Match[str]) -> str:
        p, k, q, m = (int(number) for number in found.groups())
        one, other = (set(forms.used(parts[x].outputs[y].form)) for x, y in ((p, k), (q, m)))
        return "FALSE" if one & other else "TRUE"

    return re.sub(r"disjoint_(\d+)_(\d+)_(\d+)_(\d+)", apart, sql)


def _aggregates(query: tree.Query) -> Iterator[tree.Aggregate]:
    """Every aggregate a question asks for."""
    pending = [item.value for item in query.items] + [term.value for term in query.order]
    while pending:
        value = pending.pop()
        if isinstance(value, tree.Aggregate):
            yield value
        elif isinstance(value, tree.OuterArithmetic):
            pending += [value.left, value.right]
        elif isinstance(value, tree.Total):
            pending.append(value.value)


def _centred_exact(arg: tree.Expr, found: Range) -> Centred:
    unit = 10**arg.type.scale
    low, high = (math.floor(Fraction(found.low or 0) * unit), math.ceil(Fraction(found.high or 0) * unit))
    multiplier = 1 if (low + high) % 2 == 0 else 2
    centre = (low + high) * multiplier // 2
    step = Fraction(1, unit * multiplier)
    return Centred(arg, low, high, multiplier, centre, 0, step, centre * step, (high - low) * multiplier // 2)


def _centred_double(arg: tree.Expr, found: Range) -> Centred:
    low, high = float(found.low or 0), float(found.high or 0)
    centre = low + (high - low) / 2
    width = high - low
    if 0 < width < WIDTH_MIN:
        raise QueryRefused("too_large", "These numbers are too close to 0 to be summed.", accepted="larger numbers")
    shift = DOUBLE_STEPS - math.floor(math.log2(width)) if width > 0 else 0
    unit = Fraction(2) ** -shift
    half = max(Fraction(high) - Fraction(centre), Fraction(centre) - Fraction(low))
    return Centred(arg, low, high, 1, centre, shift, unit, Fraction(centre), rounded(half / unit, 0))


def _count_label(arg: tree.Expr | None, found: Range) -> str:
    """COUNT(*) where the argument cannot be NULL."""
    return f"COUNT({tree.shown(arg)})" if found.nullable else "COUNT(*)"
