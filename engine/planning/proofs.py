"""Before anything is measured: that every number fits on every record, and that a student has not too many rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import tree
from engine.analysis.contribution import proof
from engine.analysis.intervals import assume, evaluate, fitting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.analysis.frames import Frame
    from engine.analysis.intervals import Range
    from engine.source import Source

JOINED_ROWS_MAX = 10_000
"""Most rows of one student that joins may make."""


class Proofs:
    """What must be proved of a question, whatever is measured of it; what cannot be is refused where it stands."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def query(self, query: tree.Query, frame: Frame) -> None:
        """Prove FROM, WHERE and the groups of one aggregate SELECT."""
        self.fit(query.where, None, frame.known)
        self.inside(frame)
        self.rows(frame, query.where)
        for key, span in zip(query.keys, query.key_spans, strict=True):
            self.fit((key,), span, frame.known)

    def fit(self, exprs: Sequence[tree.Expr], span: tree.Span | None, known: Mapping[str, Range]) -> None:
        """Prove that every number in the expressions fits, on every record whatever its cohort or group."""
        with self.source.placing(span):
            for expr in exprs:
                fitting(expr, known)

    def rows(self, frame: Frame, where: Sequence[tree.Expr], span: tree.Span | None = None) -> None:
        """Prove that a student has not too many rows to be worked with."""
        known = assume(where, frame.known)
        rows = proof(frame, where, frame.known if known is None else known).rows
        if rows > JOINED_ROWS_MAX:
            raise self.source.refusal(
                "too_large",
                f"Joined so, one student could have {rows:,} rows.",
                span,
                accepted=f"at most {JOINED_ROWS_MAX:,}: an equality on more columns, such as school_year",
            )

    def inside(self, frame: Frame) -> None:
        """Prove what stands inside steps and LEFT JOINs."""
        for scan in frame.relation.scans:
            if isinstance(scan, tree.Derived):
                self.step(scan, frame.inside[scan.name])
        self.rights(frame)

    def step(self, derived: tree.Derived, frames: Sequence[Frame]) -> None:
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
            self.inside(frame)
            self.fit((*where, *exprs), derived.span, frame.known)
            self.rows(frame, where, derived.span)

    def rights(self, frame: Frame) -> None:
        """Prove what stands inside LEFT JOINs, on every row that their ON is tried on."""
        for left, matched in zip(frame.relation.lefts, frame.lefts, strict=True):
            known = matched.frame.known
            self.inside(matched.frame)
            self.fit((*left.where, *(expr for _, expr in left.columns)), left.span, known)
            beside = {**frame.known, **known, **{name: evaluate(expr, known) for name, expr in left.columns}}
            self.fit(left.on, left.span, beside)
            if left.once and len(left.relation.scans) + len(left.relation.lefts) > 1:
                self.rows(matched.frame, left.where)  # of which one is looked for
            if any(evaluate(compared, beside).nullable for compared in left.never_null):
                raise self.source.refusal(
                    "unsupported",
                    "IN over a subquery compares what can be NULL, and then is neither true nor false.",
                    left.span,
                    accepted="EXISTS (SELECT 1 FROM … WHERE …) with the comparison written out, or IS NOT NULL",
                )
