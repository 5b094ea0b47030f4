"""Wrong rules to plant: each is a bug that once was, or could be, and that the fuzz must find.

A bug is planted by a function that is given pytest's monkeypatch.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from engine import compile, froms, keysets, tree  # noqa: A004 - the room's name
from engine.analysis import cohorts, contribution, frames, intervals, stepping
from engine.intake import rules
from engine.planning import measuring, planner, proofs

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    Plant = Callable[[pytest.MonkeyPatch], None]


def in_counts_one(patch: pytest.MonkeyPatch) -> None:
    """A column pinned by IN leaves one value."""
    real = intervals.assume

    def assume(conditions: Any, known: Any) -> Any:
        found = real(conditions, known)
        for conjunct in tree.conjuncts(conditions):
            if found is not None and isinstance(conjunct, tree.InList) and isinstance(conjunct.arg, tree.Column):
                values = sorted(found[conjunct.arg.name].values or (), key=repr)
                found[conjunct.arg.name] = intervals.listed(values[:1])
        return found

    patch.setattr(measuring, "assume", assume)
    patch.setattr(planner, "assume", assume)


def null_group_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The group of NULL is not among those a student can be in."""
    real = measuring.contribution

    def forgetful(catalog: Any, table: Any, known: Any, *rest: Any) -> Any:
        never = {name: dataclasses.replace(found, nullable=False) for name, found in known.items()}
        return real(catalog, table, never, *rest)

    patch.setattr(measuring, "contribution", forgetful)


def not_squared(patch: pytest.MonkeyPatch) -> None:
    """Rows per group are not squared."""

    def l2_squared(self: Any, bound: int) -> int:
        return bound * bound * min(self.rows, self.rows_per_group * self.groups)

    patch.setattr(contribution.Contribution, "l2_squared", l2_squared)


def rest_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The rows that fill no whole group are left out."""

    def l2_squared(self: Any, bound: int) -> int:
        if not self.rows or not self.groups:
            return 0
        per_group = min(self.rows, self.rows_per_group)
        return bound * bound * min(self.rows // per_group, self.groups) * per_group * per_group

    patch.setattr(contribution.Contribution, "l2_squared", l2_squared)


def cap_once(patch: pytest.MonkeyPatch) -> None:
    """A cap per key value is taken for a cap over all values."""
    real = contribution.rows_basis

    def rows_basis(catalog: Any, table: Any, known: Any, fixed: Any = ()) -> Any:
        basis = real(catalog, table, known, fixed)
        return dataclasses.replace(basis, rows=min(basis.rows, *(cap.rows for cap in table.caps), 10**9))

    patch.setattr(contribution, "rows_basis", rows_basis)


def cohorts_not_restricted(patch: pytest.MonkeyPatch) -> None:
    """The scan is not restricted to the cohorts that are charged."""
    patch.setattr(compile, "in_cohorts", lambda _cohort, _cohorts: "TRUE")
    patch.setattr(froms, "in_cohorts", lambda _cohort, _cohorts: "TRUE")


def opt_outs_counted(patch: pytest.MonkeyPatch) -> None:
    """Research reads the rows of those who opted out."""
    patch.setattr(froms.Scope, "condition", lambda scope, catalog: froms.in_cohorts(catalog.cohort, scope.cohorts))


def overflow_raises(patch: pytest.MonkeyPatch) -> None:
    """Arithmetic is neither proved to fit nor done in wider integers."""
    patch.setattr("engine.sql._total", lambda left, op, right: f"({left} {op} {right})")
    patch.setattr(intervals, "fits", lambda found, _of: found)
    patch.setattr(proofs, "fitting", lambda _expr, _known: None)


def nullif_ignored(patch: pytest.MonkeyPatch) -> None:
    """A branch that gives NULL is not seen, so that NULLIF seems to give its argument."""
    real = intervals._case

    def case(branches: Any, default: Any, known: Any) -> Any:
        branches = tuple(branches)
        if all(isinstance(then, tree.Constant) and then.value is None for _, then in branches):
            return intervals.evaluate(default, known)
        return real(branches, default, known)

    patch.setattr(intervals, "_case", case)


def mixed_lists(patch: pytest.MonkeyPatch) -> None:
    """The constants of an IN list keep their own types: doubles stand beside scaled integers."""
    module = importlib.import_module("engine.expressions.convert")  # its name is a function's too

    def mixed(scope: Any, node: Any) -> Any:
        this, elements = scope.source.consume(node, "this", "expressions")
        arg = module.convert(scope, this)
        constants = [module.convert(scope, element) for element in elements]
        numbers = [constant for constant in constants if constant.type.is_number]
        if not arg.type.is_number or len(numbers) < 2 or any(c.type == tree.TEXT for c in constants):
            return real(scope, node)
        values = {tree.canonical(constant): constant for constant in numbers}
        return tree.InList(arg, tuple(values[key] for key in sorted(values)))

    real = module._in
    patch.setitem(module._CONVERTERS, exp.In, mixed)


def strict_is_inclusive(patch: pytest.MonkeyPatch) -> None:
    """An inclusive comparison spares a cohort at its end."""
    real = intervals._below
    patch.setattr(intervals, "_below", lambda a, b, **_strict: real(a, b, strict=True))


def spared_by_or(patch: pytest.MonkeyPatch) -> None:
    """A statistic spares each cohort that one side of an OR spares."""
    real = tree.conjuncts

    def conjuncts(exprs: Any) -> Any:
        taken = [arg for e in exprs for arg in (e.args if isinstance(e, tree.Logic) and e.op == "or" else (e,))]
        return real(taken)

    patch.setattr(intervals.tree, "conjuncts", conjuncts)
    patch.setattr(cohorts.tree, "conjuncts", conjuncts)


def caps_over_students(patch: pytest.MonkeyPatch) -> None:
    """The loader keeps the first rows of a key value, whoever's they are."""
    real = rules._beyond

    def beyond(per: Any, order: Any, rows: int) -> str:
        return real(per, order, rows).replace(f"PARTITION BY {rules.STAGED_OWNER}, ", "PARTITION BY ")

    patch.setattr(rules, "_beyond", beyond)


def left_adds_no_row(patch: pytest.MonkeyPatch) -> None:
    """A LEFT JOIN is taken to find at most one match."""
    patch.setattr(contribution, "_matches", lambda _left, _side: 1)


def join_adds_no_row(patch: pytest.MonkeyPatch) -> None:
    """A join has as many rows as the longest of its tables."""
    real = contribution.proof

    def proof(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        return dataclasses.replace(found, rows=max((basis.rows for _, basis in found.parts), default=found.rows))

    patch.setattr(contribution, "proof", proof)


def right_never_null(patch: pytest.MonkeyPatch) -> None:
    """The columns of a LEFT JOIN's right side are never NULL."""
    real = frames._above
    patch.setattr(
        frames, "_above", lambda *given: [(n, dataclasses.replace(r, nullable=False)) for n, r in real(*given)]
    )


def students_once(patch: pytest.MonkeyPatch) -> None:
    """A student is counted in one group only."""
    patch.setattr(
        contribution.Contribution, "of_students", lambda self: contribution.Contribution(min(self.rows, 1), 1, 1)
    )


def equal_in_any_branch(patch: pytest.MonkeyPatch) -> None:
    """Columns equated in one branch of an OR are equal."""
    real = intervals.equated

    def equated(conjunct: Any) -> Any:
        if isinstance(conjunct, tree.Logic):
            for arg in conjunct.args:
                yield from equated(arg)
        yield from real(conjunct)

    patch.setattr(intervals, "equated", equated)
    patch.setattr(contribution, "equated", equated)


def right_owner_is_an_owner(patch: pytest.MonkeyPatch) -> None:
    """The owner of a LEFT JOIN's right side is taken for the row's: every row has it."""
    patch.setattr("engine.above._present", lambda _carrier, where: where)


def right_joined_to_anybody(patch: pytest.MonkeyPatch) -> None:
    """The right side of a LEFT JOIN is matched whoever's it is."""
    patch.setattr(froms, "_on", lambda left, _owner: " AND ".join(map(froms.sql, left.on)) or "TRUE")


def right_pin_survives(patch: pytest.MonkeyPatch) -> None:
    """A column that is pinned on a right side has that one value above it."""
    real = frames._above

    def above(*given: Any) -> Any:
        for name, found in real(*given):
            yield name, dataclasses.replace(found, nullable=found.nullable and len(found.values or ()) != 1)

    patch.setattr(frames, "_above", above)


def on_narrows(patch: pytest.MonkeyPatch) -> None:
    """What the ON of a LEFT JOIN says is true of every row."""
    real = measuring.contribution

    def narrowed(frame: Any, conditions: Any, known: Any, *rest: Any) -> Any:
        more = tuple(condition for left in frame.relation.lefts for condition in left.on)
        return real(frame, (*conditions, *more), intervals.assume(more, known) or known, *rest)

    patch.setattr(measuring, "contribution", narrowed)


def public_on_any_column(patch: pytest.MonkeyPatch) -> None:
    """A row meets one row of a public table, on whatever column they are joined."""
    patch.setattr(contribution, "lookup_rows", lambda _table, _known, _fixed: 1)


def expression_as_bare_key(patch: pytest.MonkeyPatch) -> None:
    """In a group of an expression the columns in it have one value."""
    real = measuring.contribution

    def as_bare(frame: Any, conditions: Any, known: Any, keys: Any, *rest: Any) -> Any:
        found = real(frame, conditions, known, keys, *rest)
        fixed = frozenset().union(*map(tree.columns_of, keys.columns))
        inside = contribution.proof(frame, (*conditions, *frame.checks), known, fixed).rows
        return dataclasses.replace(found, rows_per_group=min(found.rows_per_group, inside))

    patch.setattr(measuring, "contribution", as_bare)


def expression_of_one_group(patch: pytest.MonkeyPatch) -> None:
    """An expression that reads a column of the student is one of the student's own."""
    real = keysets.Block.groups_of
    patch.setattr(keysets.Block, "groups_of", lambda self, own: 1 if self.reads & own else real(self, own))


def joins_of_the_select_alone(patch: pytest.MonkeyPatch) -> None:
    """Joins in the CTEs that a released table reads are not seen: two tables' columns have one name."""

    def many(_source: Any, node: Any, _ctes: Any) -> bool:
        return any(select.args.get("joins") for select in node.find_all(exp.Select))

    patch.setattr("engine.relations.reading.many", many)


# -- steps within each student


def union_of_its_longest_side(patch: pytest.MonkeyPatch) -> None:
    """A union has as many rows as its longest side."""
    real = stepping.united

    def united(*given: Any) -> Any:
        made = real(*given)
        most = max(inner.rows for inner in given[3])
        table = made.table
        rows = min(table.rows_per_student_max or 1, most)
        return dataclasses.replace(made, table=dataclasses.replace(table, rows_per_student_max=rows))

    patch.setattr(stepping, "united", united)


def number_of_any_partition(patch: pytest.MonkeyPatch) -> None:
    """A row number is one row's of the student, whatever its window is partitioned by."""
    real = stepping.windowed

    def windowed(catalog: Any, name: Any, step: Any, inner: Any, types: Any) -> Any:
        made = real(catalog, name, step, inner, types)
        numbers = [own for own, value in step.windows if value.function == "row_number"]
        unique = (*made.table.unique, *((catalog.owner, own) for own in numbers))
        return dataclasses.replace(made, table=dataclasses.replace(made.table, unique=unique))

    patch.setattr(stepping, "windowed", windowed)


def one_row_of_a_group(patch: pytest.MonkeyPatch) -> None:
    """A group has one row: what is made of it is of one value."""
    patch.setattr(stepping, "rows_in", lambda _inner, _keys: 1)


def filter_finds_a_row(patch: pytest.MonkeyPatch) -> None:
    """FILTER leaves a row in each group."""
    real = stepping.within
    patch.setattr(stepping, "within", lambda value, *rest: real(dataclasses.replace(value, condition=None), *rest))


def all_of_a_step_is_the_students(patch: pytest.MonkeyPatch) -> None:
    """What a step makes has one value per student."""
    real = stepping._table

    def table(*given: Any) -> Any:
        made = real(*given)
        return dataclasses.replace(made, constants=frozenset(made.columns))

    patch.setattr(stepping, "_table", table)


def exists_spares_anywhere(patch: pytest.MonkeyPatch) -> None:
    """EXISTS spares a class under NOT, OR and CASE too."""
    real = cohorts.touched

    def touched(frame: Any, conditions: Any, *rest: Any) -> Any:
        found = set(real(frame, conditions, *rest))
        used = frozenset().union(*map(tree.columns_of, conditions))
        for side, matched in zip(frame.relation.lefts, frame.lefts, strict=True):
            found &= set(matched.cohorts) if side.once and side.presence in used else found
        return tuple(sorted(found))

    patch.setattr(measuring, "touched", touched)
    patch.setattr(planner, "touched", touched)
    patch.setattr(frames, "touched", touched)


def steps_of_everybody(patch: pytest.MonkeyPatch) -> None:
    """Steps are made of the rows of those who opted out too."""
    real = froms.step_sql

    def step_sql(catalog: Any, derived: Any, cohort: Any, scope: Any, read: Any) -> str:
        return real(catalog, derived, cohort, dataclasses.replace(scope, population="mandated"), read)

    patch.setattr(froms, "step_sql", step_sql)


def limit_of_everybody(patch: pytest.MonkeyPatch) -> None:
    """A limit counts the rows of all students together."""
    real = compile._limited

    def limited(*asked: Any) -> str:
        return real(*asked).replace("OVER (PARTITION BY owner)", "OVER ()")

    patch.setattr(compile, "_limited", limited)


def limit_not_kept(patch: pytest.MonkeyPatch) -> None:
    """A limit is claimed, and nobody is cut to it."""
    patch.setattr(compile, "_part", lambda statistic, position, _bases: f"(t{position} * {statistic.parts}::HUGEINT)")


PLANTED: tuple[Plant, ...] = (
    in_counts_one,
    null_group_forgotten,
    not_squared,
    rest_forgotten,
    cap_once,
    cohorts_not_restricted,
    opt_outs_counted,
    overflow_raises,
    nullif_ignored,
    mixed_lists,
    strict_is_inclusive,
    spared_by_or,
    caps_over_students,
    left_adds_no_row,
    join_adds_no_row,
    right_never_null,
    students_once,
    equal_in_any_branch,
    right_owner_is_an_owner,
    right_joined_to_anybody,
    right_pin_survives,
    on_narrows,
    public_on_any_column,
    expression_as_bare_key,
    expression_of_one_group,
    joins_of_the_select_alone,
    union_of_its_longest_side,
    number_of_any_partition,
    one_row_of_a_group,
    filter_finds_a_row,
    all_of_a_step_is_the_students,
    exists_spares_anywhere,
    steps_of_everybody,
    limit_of_everybody,
    limit_not_kept,
)
