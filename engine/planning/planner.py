"""Query → Plan: which statistics are measured, how sensitive they are, and how the answer is made of them.

A pure function of the question, the catalog and the cohorts that may be asked; no record is read.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from engine import forms, tree
from engine.analysis.cohorts import touched
from engine.analysis.frames import frame_of
from engine.analysis.intervals import Range, assume, evaluate
from engine.keysets import KeyList, key_list, partial_cells
from engine.plan import Bounds, Output, Plan, Sorting
from engine.planning.collected import Collected
from engine.planning.measuring import Measuring
from engine.planning.proofs import Proofs
from engine.refusals import QueryRefused
from engine.statistic import NO_LIMITS, Centred, Limits

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from engine.analysis.frames import Frame
    from engine.catalog import Catalog
    from engine.forms import Form
    from engine.source import Source

CELLS_MAX = 1_000_000
COEFFICIENT_MAX = 10**60


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
    """Plans the parts of one question one after the other."""

    query: tree.Query
    frame: Frame
    keys: KeyList
    measuring: Measuring

    def __init__(
        self, source: Source, catalog: Catalog, askable: Collection[int], filters: int, limits: Limits
    ) -> None:
        self.source, self.catalog, self.askable, self.filters = source, catalog, askable, filters
        self.limits = limits
        self.collected, self.proofs = Collected(), Proofs(source)
        self.bounds: dict[str, Bounds] = {}

    def part(self, query: tree.Query) -> Plan:
        """The plan of one aggregate SELECT; what it measures is collected for the whole."""
        with self.source.placing():
            self.query, self.frame = query, frame_of(self.catalog, query.relation)
        self.proofs.query(query, self.frame)
        touched_by_where = touched(self.frame, query.where)
        cohorts = tuple(cohort for cohort in touched_by_where if cohort in self.askable)
        self.keys = key_list(self.frame, query, cohorts, self.source.refusal)
        self.measuring = Measuring(
            self.collected, self.frame, query.where, self.keys, self.askable, self.limits, self.filters
        )
        self.measuring.pair(list(_aggregates(query)))
        outputs = tuple(self.output(item) for item in query.items)
        order = self.order()
        cells = len(self.keys.rows) * (len(outputs) + len(order))
        if cells > CELLS_MAX:
            message = f"The answer would have {cells:,} cells, the terms of ORDER BY counted too."
            raise QueryRefused("too_large", message, accepted=f"at most {CELLS_MAX:,}: fewer columns or fewer groups")
        left_out = [cohort for cohort in sorted(self.collected.touched) if cohort not in self.askable]
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
        touched_all = tuple(sorted(self.collected.touched))
        return replace(
            shown,
            statistics=tuple(self.collected.statistics),
            weights=self.collected.weights(),
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
            role: Literal["key", "estimate", "derived"]
            role = "key" if column.public else "estimate" if column.margins else "derived"
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
        counted, per_row = self.measuring.count_in(form.denominator)
        if per_row <= 0:
            return form
        rows = set(counted)
        least = greatest = Fraction(0)
        for position, coefficient in form.numerator.terms:
            part = self.collected.statistics[position]
            if not rows <= set(part.conditions):
                return form
            bound = 1 if part.centred is None else part.centred.bound
            ends = (Fraction(0 if part.centred is None else -bound), Fraction(bound))
            if part.centred is None and set(part.conditions) == rows:
                ends = (Fraction(1), Fraction(1))
            low, high = sorted(coefficient * part.parts * end / per_row for end in ends)
            least, greatest = least + low, greatest + high
        return replace(form, within=(least, greatest), per_row=per_row)

    def aggregate(self, asked: tree.Aggregate) -> Form:
        condition = () if asked.condition is None else (asked.condition,)
        argument = () if asked.arg is None else (asked.arg,)
        self.proofs.fit((*condition, *argument), asked.span, self.frame.known)
        conditions = tree.conjuncts((*self.query.where, *condition))
        count = self.measuring.count
        if asked.function == "students":
            return count(conditions, f"COUNT(DISTINCT {self.catalog.owner})", explicit=True, students=True)
        if asked.arg is None:
            return count(conditions, "COUNT(*)", explicit=True)
        known = assume(conditions, self.frame.known)
        argument_range = Range(values=frozenset()) if known is None else evaluate(asked.arg, known)
        counted = conditions
        if argument_range.nullable:
            counted = tree.conjuncts((*conditions, tree.Not(tree.IsNull(asked.arg))))
        if asked.function == "count":
            label = _count_label(asked.arg, argument_range)
            return count(counted, label, explicit=True, base=conditions)
        return self.sum_or_average(asked, conditions, counted, argument_range)

    def sum_or_average(
        self,
        asked: tree.Aggregate,
        conditions: tuple[tree.Expr, ...],
        counted: tuple[tree.Expr, ...],
        found: Range,
    ) -> Form:
        measuring, argument = self.measuring, tree.shown(asked.arg)
        ends = self.centred(asked, found)
        if ends is None:
            nothing = forms.Linear()
            return forms.Ratio(nothing, nothing, of_count=True) if asked.function == "avg" else nothing
        total = forms.Linear()
        position = None
        if ends.bound:
            position = measuring.add(conditions, ends, f"SUM({argument}) centred at {float(ends.offset):g}")
            total = forms.Linear.of({} if position is None else {position: ends.unit / measuring.parts(position)})
        average = asked.function == "avg"
        if ends.offset or average:
            count = measuring.count(counted, _count_label(asked.arg, found), explicit=average, base=conditions)
            total = total.plus(count, ends.offset)
            if position is not None and len(count.terms) == 1:
                half = ends.bound * ends.unit
                self.collected.sums[position, count.terms[0][0]] = abs(ends.offset) / half
        if not average:
            return total
        half = ends.bound * ends.unit
        within = (ends.offset - half, ends.offset + half) if count.terms else None
        return forms.Ratio(total, count, of_count=True, within=within)

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
        return Centred.of(arg, found)


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
        if found[1] is None:
            return found[0]
        p, k, q, m = (int(number) for number in found.groups())
        one, other = (set(forms.used(parts[x].outputs[y].form)) for x, y in ((p, k), (q, m)))
        return "FALSE" if one & other else "TRUE"

    return re.sub(r"'(?:[^']|'')*'|disjoint_(\d+)_(\d+)_(\d+)_(\d+)", apart, sql)  # texts stay what they are


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


def _count_label(arg: tree.Expr | None, found: Range) -> str:
    """COUNT(*) where the argument cannot be NULL."""
    return f"COUNT({tree.shown(arg)})" if found.nullable else "COUNT(*)"
