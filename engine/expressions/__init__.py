"""Scalar expressions: sqlglot nodes → our typed tree, an allow-list by construction.

A class of node that is not named in `convert` is refused, and so is any arg of a named one that is not consumed.
Every form made here is total: no value can make it fail (see `engine.sql`).
"""

from engine.exact import MAGNITUDE_MAX, PRECISION_MAX, SCALE_MAX, as_double, cast
from engine.expressions.comparisons import both, comparison, connective
from engine.expressions.convert import ARITHMETIC, COMPARISONS, condition, convert
from engine.expressions.numbers import exact, fold
from engine.expressions.scope import LookUp, Named, Scope

__all__ = [
    "ARITHMETIC",
    "COMPARISONS",
    "MAGNITUDE_MAX",
    "PRECISION_MAX",
    "SCALE_MAX",
    "LookUp",
    "Named",
    "Scope",
    "as_double",
    "both",
    "cast",
    "comparison",
    "condition",
    "connective",
    "convert",
    "exact",
    "fold",
]
