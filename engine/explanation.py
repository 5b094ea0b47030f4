"""Explanation: why a question costs what it costs, and what would make it sharper.

Made of plan and prices alone, like a preview: it touches no record and is free.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from budgets.loss import SHOWN_DELTA, epsilon_of
from engine import compile as compiling
from engine import tree
from engine.analysis.contribution import contribution, proof
from engine.analysis.frames import frame_of
from engine.analysis.intervals import assume, listed
from engine.forms import used

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.accuracy import Priced
    from engine.analysis.contribution import Basis, Proof
    from engine.analysis.frames import Frame
    from engine.analysis.intervals import Number, Range
    from engine.catalog import Catalog
    from engine.plan import Plan
    from engine.release import Preview
    from engine.statistic import Centred, Statistic
    from engine.tree import Scalar

GAIN_MIN = 1.2
"""Advice that would narrow a margin by less is not given."""


@dataclass(frozen=True, slots=True)
class ExplainedStatistic:
    """One measured vector and the proof of its sensitivity.

    Attributes:
        statistic: what it is, in words.
        cohorts: whose records it scans; each is charged all of its loss.
        pins: what the conditions leave of columns, as far as the proof may use it.
        rows: m, most rows of one student, and why.
        rows_per_group: m_g, most rows of one student in one group, and why.
        groups: g, most groups one student can be in.
        bound: B, the greatest magnitude of one row's integer.
        unit: size of one integer step in the column's unit.
        sensitivity_l2: how far one student can move the vector, in integer units.
        scale: standard deviation of the noise, likewise.
        loss_nanorho: what it costs; 0 where a stored measurement is used.
        clamping: what else than noise moves it: bounds that cut values off, limits on a student's rows and groups;
            by how much depends on the records.
    """

    statistic: str
    cohorts: tuple[int, ...]
    pins: list[str]
    rows: int
    rows_because: str
    rows_per_group: int
    rows_per_group_because: str
    groups: int
    bound: int
    unit: float
    sensitivity_l2: float
    scale: float
    loss_nanorho: int
    clamping: list[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a question would be answered.

    Attributes:
        preview: what it would cost and how sharp it would be.
        keys: the GROUP BY columns.
        groups: how many rows the answer has before LIMIT, whatever the records hold.
        statistics: what is measured.
        statement: the SQL that will run over the vault; None where nothing is drawn.
        early: whether students' rows are counted in it before they are joined with public tables.
        advice: what would narrow the margins, the most first.
    """

    preview: Preview
    keys: tuple[str, ...]
    groups: int
    statistics: list[ExplainedStatistic]
    statement: str | None
    early: bool
    advice: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The explanation as it goes over the wire."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a question was asked, for the advice.

    Attributes:
        moe: whether by margins; then advice speaks of the cost.
        left_nanorho: what every charged cohort could still pay.
    """

    moe: bool
    left_nanorho: int


def explain(catalog: Catalog, plan: Plan, priced: Priced, preview: Preview, terms: Terms) -> Explanation:
    """The explanation of a question that has been priced."""
    losses = {position: noise.nanorho for position, noise in priced.drawn}
    statistics = [
        _statistic(catalog, statistic, scale, losses.get(position, 0))
        for position, (statistic, scale) in enumerate(zip(plan.statistics, priced.scales, strict=True))
    ]
    drawn = [plan.statistics[position] for position in losses]
    statements = [
        compiling.compile_batch(catalog, [drawn[p] for p in batch], preview.population)
        for batch in compiling.batches(drawn)
    ]
    parts = plan.parts or (plan,)
    return Explanation(
        preview=preview,
        keys=tuple(name for part in parts for name in part.keys.names),
        groups=sum(len(part.keys.rows) for part in parts),
        statistics=statistics,
        statement=";\n".join(each.sql for each in statements) or None,
        early=any(each.early for each in statements),
        advice=_advice(catalog, plan, priced, terms),
    )


def _statistic(catalog: Catalog, statistic: Statistic, scale: float, loss_nanorho: int) -> ExplainedStatistic:
    frame, known = _narrowed(catalog, statistic)
    conditions = (*statistic.conditions, *frame.checks)
    bare = [key.name for key in statistic.keys.columns if isinstance(key, tree.Column)]
    each = statistic.contribution
    return ExplainedStatistic(
        statistic=statistic.label,
        cohorts=statistic.cohorts,
        pins=[*_pins(frame, known)],
        rows=each.rows,
        rows_because=_because(frame, proof(frame, conditions, known)),
        rows_per_group=each.rows_per_group,
        rows_per_group_because=_because(frame, proof(frame, conditions, known, bare)),
        groups=each.groups,
        bound=statistic.bound // statistic.parts,
        unit=1.0 if statistic.centred is None else float(statistic.centred.unit),
        sensitivity_l2=math.sqrt(statistic.l2_squared) / statistic.parts,
        scale=scale / statistic.parts,
        loss_nanorho=loss_nanorho,
        clamping=[*_clamping(frame, statistic)],
    )


def _clamping(frame: Frame, statistic: Statistic) -> Iterator[str]:
    """What moves a statistic besides its noise."""
    if statistic.limited is None:
        return
    known = assume(statistic.limited.base, frame.known)
    if known is None:
        raise AssertionError
    whole = contribution(frame, statistic.limited.base, known, statistic.keys)
    limits = ((statistic.limited.rows, whole.rows, "rows"), (statistic.limited.groups, whole.groups, "groups"))
    for most, possible, what in limits:
        if most is not None:
            yield f"of up to {possible:,} {what} of one student {most:,} count: who has more counts in proportion"


def _narrowed(catalog: Catalog, statistic: Statistic) -> tuple[Frame, dict[str, Range]]:
    frame = frame_of(catalog, statistic.relation)
    known = assume(statistic.conditions, frame.known)
    if known is None:
        raise AssertionError
    return frame, known


def _pins(frame: Frame, known: Mapping[str, Range]) -> Iterator[str]:
    declared = frame.known
    types = {name: column.type for name, column in frame.columns.items()}
    types |= {name: expr.type for left in frame.relation.lefts for name, expr in left.columns}
    for name, left in known.items():
        whole = declared[name]
        of = types.get(name)
        if left == whole:
            continue
        if left.values is not None and len(left.values) == 1:
            yield f"{name} = {_shown(next(iter(left.values)), of)}"
        elif left.values is not None and whole.values is not None and len(left.values) < len(whole.values):
            yield f"{name} has {len(left.values)} of {len(whole.values)} values"
        elif (left.low, left.high) != (whole.low, whole.high) and left.low is not None and left.high is not None:
            yield f"{name} from {_end(left.low, of)} to {_end(left.high, of)}"
        elif whole.nullable and not left.nullable:
            yield f"{name} is not NULL"


def _shown(value: Scalar, of: tree.Type | None) -> str:
    value = value if of is None else tree.told(value, of)
    return f"'{value}'" if isinstance(value, str) else str(value)


def _end(value: Number, of: tree.Type | None) -> str:
    return str(tree.told(value, of)) if of == tree.DATE else f"{float(value):g}"


def _because(frame: Frame, found: Proof) -> str:
    owner = frame.catalog.owner
    if len(found.parts) == 1 and not found.lefts:
        return _basis(owner, found.parts[0][1])
    told = [f"{name} {basis.rows} by {_basis(owner, basis)}" for name, basis in found.parts]
    told += [f"at most {max(1, rows)} for each row left of a LEFT JOIN" for rows in found.lefts]
    return "; ".join(told)


def _basis(owner: str, basis: Basis) -> str:
    left = [f"{name} has {n} left" for name, n in zip(basis.columns, basis.values_left, strict=True) if n > 1]
    named = ", ".join((owner, *basis.columns)) + (f"; {', '.join(left)}" if left else "")
    match basis.kind:
        case "unique":
            return f"unique ({named})"
        case "cap":
            return f"cap of {basis.rows // math.prod(basis.values_left)} rows per ({named})"
        case "rows_per_student_max":
            return f"the catalog's cap of {basis.rows:,} rows per {owner}"
        case "contradiction":
            return "no row fulfils the conditions"


# -- advice


def _advice(catalog: Catalog, plan: Plan, priced: Priced, terms: Terms) -> list[str]:
    """What would narrow the margins or, where they are given, lower the cost; by factors that are computed."""
    if not priced.drawn:
        return ["Nothing is drawn: everything has been measured already, or no student can be in it."]
    found = [*_one_value(catalog, plan, priced), *_alone(plan, priced), *_narrower(plan, priced)]
    found += _fewer_rows(plan, priced)
    told = [f"{text}, {_worth(gain, terms)}." for gain, text in found if gain >= GAIN_MIN]
    four, one = (epsilon_of(times * priced.nanorho) for times in (4, 1))
    if not terms.moe and 4 * priced.nanorho <= terms.left_nanorho:
        told.append(
            f"Half the margins cost four times the loss: epsilon={four:.3g}, not {one:.3g}, at δ {SHOWN_DELTA:g}."
        )
    if terms.moe:
        told.append("Twice as wide margins cost a quarter.")
    return told


def _worth(gain: float, terms: Terms) -> str:
    return f"it costs {gain**2:.3g} times less" if terms.moe else f"margins are up to {gain:.3g} times narrower"


def _one_value(catalog: Catalog, plan: Plan, priced: Priced) -> Iterator[tuple[float, str]]:
    """Columns of which one value alone might be asked; the gain is that of the statistic which gains least."""
    least: dict[str, list[float]] = {}
    for position, _ in priced.drawn:
        for name, gain in _gains(catalog, plan.statistics[position]):
            least.setdefault(name, []).append(gain)
    for name, gains in least.items():
        if len(gains) == len(priced.drawn):
            yield min(gains), f"Asked of one {name} alone (WHERE {name} = …)"


def _narrower(plan: Plan, priced: Priced) -> Iterator[tuple[float, str]]:
    """Sums whose bounds could be narrower: all but those of 0 and 1."""
    widest = [
        centred
        for position, _ in priced.drawn
        if (centred := plan.statistics[position].centred) is not None and centred.high - centred.low > 1
    ]
    if widest:
        told = {tree.canonical(each.arg): _ends(each) for each in widest}
        yield 2.0, f"With half as wide bounds ({', '.join(told.values())}; CASE WHEN x BETWEEN … AND … THEN x END)"


def _ends(centred: Centred) -> str:
    """The argument of a sum and its bounds, in the column's unit."""
    low, high = (float(end) / 10.0**centred.arg.type.scale for end in (centred.low, centred.high))
    return f"{tree.shown(centred.arg)} from {low:g} to {high:g}"


def _fewer_rows(plan: Plan, priced: Priced) -> Iterator[tuple[float, str]]:
    """What a limit on rows would gain, where a student may have many: at an eighth of them."""
    gains = []
    for position, _ in priced.drawn:
        statistic = plan.statistics[position]
        fewer = statistic.contribution.rows // 8
        if statistic.students or statistic.limited is not None or fewer < 2:  # noqa: PLR2004 - one row is another question
            return
        less = statistic.contribution.limited(fewer, None).l2_squared(statistic.bound)
        gains.append(((statistic.l2_squared / less) ** 0.5, fewer))
    if gains:
        gain, fewer = min(gains)
        yield gain, f"With rows_per_student_max={fewer}, where a student with more counts in proportion"


def _alone(plan: Plan, priced: Priced) -> Iterator[tuple[float, str]]:
    """Several estimates share a loss: what the one with the smallest share would gain."""
    losses = {position: noise.nanorho for position, noise in priced.drawn}
    shares = [
        sum(losses.get(position, 0) for position in set(used(output.form))) / priced.nanorho
        for output in plan.outputs
        if output.role != "key"
    ]
    parts = [share for share in shares if 0 < share < 1]
    if parts:
        yield (1 / min(parts)) ** 0.5, "Asked in questions of their own, estimates share no loss: asked alone"


def _gains(catalog: Catalog, statistic: Statistic) -> Iterator[tuple[str, float]]:
    """By how much a statistic would be sharper if a listed column were pinned to one value."""
    frame, known = _narrowed(catalog, statistic)
    for name, left in known.items():
        if left.values is None or len(left.values) <= 1:
            continue
        one = {**known, name: listed([next(iter(left.values))])}
        found = contribution(frame, statistic.conditions, one, statistic.keys)
        limit = statistic.limited
        found = found if limit is None else found.limited(limit.rows, limit.groups)
        alone = (found.of_students() if statistic.students else found).l2_squared(statistic.bound)
        if alone:
            gain = math.sqrt(statistic.l2_squared / alone)
            if gain >= GAIN_MIN:
                yield name, gain
