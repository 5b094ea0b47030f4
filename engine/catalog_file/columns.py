"""Columns: names, types, value lists and bounds as they are declared."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from engine import tree
from engine.catalog import Column
from engine.catalog_file.document import is_reference
from engine.days import FIRST_STORED, LAST_STORED, days_of, iso
from engine.expressions import MAGNITUDE_MAX, PRECISION_MAX, SCALE_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.catalog_file.document import ColumnSpec
    from engine.catalog_file.reader import Reader

LIST_VALUES_MAX = 100_000
DOUBLE_BOUND_MAX = 2.0**60

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_RESERVED = ("homeroom_",)


def require_name(reader: Reader, path: Sequence[str | int], name: str) -> None:
    """Refuse what SQL, files and our own columns could take for something else."""
    if not _NAME.fullmatch(name) or name.startswith(_RESERVED):
        raise reader.refusal(
            path,
            f"{name!r} is not a name.",
            "small letters, digits and _, at most 63, not beginning with homeroom_",
        )


def value_list(reader: Reader, path: Sequence[str | int], declared: Any) -> tuple[Any, ...]:
    """A declared value list: a list, or {from, to} of whole numbers."""
    accepted = "a list of distinct values, or {from: 2020, to: 2026}"
    if isinstance(declared, dict) and set(declared) == {"from", "to"}:
        low, high = declared["from"], declared["to"]
        if type(low) is not int or type(high) is not int or not 0 <= high - low < LIST_VALUES_MAX:
            raise reader.refusal(path, "from and to are not a range of whole numbers.", accepted)
        return tuple(range(low, high + 1))
    if not isinstance(declared, list) or not declared or len(declared) > LIST_VALUES_MAX:
        raise reader.refusal(path, "this is not a value list.", accepted)
    if len({(type(value), value) for value in declared if not isinstance(value, list | dict)}) != len(declared):
        raise reader.refusal(path, "a value stands there twice, or is no single value.", accepted)
    return tuple(declared)


def read_column(reader: Reader, path: Sequence[str | int], name: str, spec: ColumnSpec) -> Column:
    """A column as it is declared; lists and bounds by a public table are still to come."""
    of, low, high = _type(reader, path, spec.type)
    values: tuple[Any, ...] | None = None
    if of == tree.BOOLEAN:
        values = (False, True)
    elif spec.values is not None and not is_reference(spec.values, {"table", "column"}):
        values = value_list(reader, (*path, "values"), spec.values)
        _typed(reader, (*path, "values"), of, values)
        values = _stored(values, of)
    if spec.values is not None and of not in _LISTED:
        raise reader.refusal((*path, "values"), f"{of} takes no value list.", "integer, text or date columns")
    if isinstance(spec.bounds, list):
        low, high = _bounds(reader, (*path, "bounds"), of, spec.bounds)
    elif spec.bounds is not None and not is_reference(spec.bounds, {"table", "low", "high"}):
        raise reader.refusal((*path, "bounds"), "these are not bounds.", "[least, greatest] or {table, low, high}")
    if values and of in (tree.INTEGER, tree.DATE):
        low, high = min(values), max(values)
    if of == tree.DATE and spec.values is None and spec.bounds is None:
        raise reader.refusal(path, "between which dates does it lie?", _DATES)
    chosen = {}
    for key in ("default", "constant"):
        chosen[key] = _chosen(reader, (*path, key), of, getattr(spec, key), (values, low, high))
        if chosen[key] is not None and isinstance(spec.bounds, dict):
            raise reader.refusal((*path, key), "a column with bounds by a table takes none.", "nullable: true")
    return Column(
        name=name,
        type=of,
        values=values,
        low=low,
        high=high,
        nullable=spec.nullable,
        default=chosen["default"],
        constant=chosen["constant"],
        unit=spec.unit,
        source=spec.source,
        on=not spec.sensitive if spec.on is None else spec.on,
    )


_SIMPLE = {
    "integer": tree.INTEGER,
    "boolean": tree.BOOLEAN,
    "text": tree.TEXT,
    "double": tree.DOUBLE,
    "date": tree.DATE,
}
_LISTED = (tree.INTEGER, tree.TEXT, tree.DATE)
_DATES = f"bounds: ['2020-07-01', '2030-06-30'], or values: [dates]; from {iso(FIRST_STORED)} to {iso(LAST_STORED)}"


def _stored(values: Sequence[Any], of: tree.Type) -> tuple[Any, ...]:
    """Values that are of a type as the catalog holds them: dates as numbers of days."""
    return tuple(values) if of != tree.DATE else tuple(days_of(value) for value in values)


def _chosen(
    reader: Reader, path: Sequence[str | int], of: tree.Type, value: Any, accepted: tuple[Any, Any, Any]
) -> Any:
    """A default or constant, which must be on the list and within the bounds."""
    if value is None:
        return None
    values, low, high = accepted
    _typed(reader, path, of, (value,))
    (stored,) = _stored((value,), of)
    if values is not None and stored not in values:
        shown = ", ".join(str(tree.told(one, of)) for one in values[:20])
        raise reader.refusal(path, "this is not on the value list.", shown)
    if of.has_ends and ((low is not None and stored < low) or (high is not None and stored > high)):
        raise reader.refusal(path, "this is outside the bounds.", f"{tree.told(low, of)} to {tree.told(high, of)}")
    return stored


def _type(reader: Reader, path: Sequence[str | int], text: str) -> tuple[tree.Type, Fraction | None, Fraction | None]:
    if text in _SIMPLE:
        return _SIMPLE[text], None, None
    found = _DECIMAL.fullmatch(text)
    if found is not None:
        precision, scale = int(found[1]), int(found[2])
        if 1 <= precision <= PRECISION_MAX and scale <= min(precision, SCALE_MAX):
            most = Fraction(10**precision - 1, 10**scale)
            return tree.Type("exact", scale), -most, most
    raise reader.refusal(
        (*path, "type"),
        f"{text!r} is not a type.",
        f"integer, boolean, text, date, double, or decimal(p, s) with p up to 18 and s up to {SCALE_MAX}",
    )


def _typed(reader: Reader, path: Sequence[str | int], of: tree.Type, values: Sequence[Any]) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "boolean": (bool,),
        "text": (str,),
        "date": (str,),
        "double": (int, float),
        "exact": (int,),
    }
    for value in values:
        fits = type(value) in kinds[of.kind] or (of.scale > 0 and type(value) is float)
        if not fits or not _representable(value, of):
            hint = f'"{value}" in quotes' if of == tree.TEXT else f"values of type {of}"
            hint = _DATES if of == tree.DATE else hint
            raise reader.refusal(path, f"{value!r} is not {of}.", hint)
        if isinstance(value, int) and abs(value) >= MAGNITUDE_MAX:
            raise reader.refusal(path, f"{value} is too large.", "numbers below 4.6e18")


def _representable(value: Any, of: tree.Type) -> bool:
    """Whether a value can be stored exactly: finite, with no more decimal places, as proper text.

    >>> _representable(12.5, tree.Type("exact", 1)), _representable(12.55, tree.Type("exact", 1))
    (True, False)
    """
    if of == tree.DATE:
        days = days_of(value)
        return days is not None and FIRST_STORED <= days <= LAST_STORED
    if isinstance(value, str):
        return "\0" not in value and value.encode("utf-8", "replace").decode() == value
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return of.kind != "exact" or (Fraction(str(value)) * 10**of.scale).denominator == 1


def _bounds(reader: Reader, path: Sequence[str | int], of: tree.Type, declared: list[Any]) -> tuple[Any, Any]:
    if of == tree.DATE:
        _typed(reader, path, of, declared)
        ends = _stored(declared, of)
        if len(ends) != 2 or ends[0] > ends[1]:  # noqa: PLR2004 - a least and a greatest
            raise reader.refusal(path, "these are not bounds.", "[least, greatest], two dates such as '2025-06-30'")
        return ends[0], ends[1]
    accepted = "[least, greatest], two numbers of the column's type"
    if not of.is_number or len(declared) != 2 or not all(type(v) in (int, float) for v in declared):  # noqa: PLR2004
        raise reader.refusal(path, "these are not bounds.", accepted)
    if of == tree.DOUBLE:
        if not -DOUBLE_BOUND_MAX <= declared[0] <= declared[1] <= DOUBLE_BOUND_MAX:
            raise reader.refusal(path, "these are not bounds.", "finite numbers below 1e18, least first")
        return float(declared[0]), float(declared[1])
    if not all(isinstance(value, int) or math.isfinite(value) for value in declared):
        raise reader.refusal(path, "these are not bounds.", accepted)
    bounds = [Fraction(str(value)) for value in declared]
    if any((bound * 10**of.scale).denominator != 1 or abs(bound * 10**of.scale) >= MAGNITUDE_MAX for bound in bounds):
        raise reader.refusal(path, f"a bound does not fit {of}.", accepted)
    if bounds[0] > bounds[1]:
        raise reader.refusal(path, "the least is above the greatest.", accepted)
    low_bound, high_bound = (int(bound) if bound.denominator == 1 else bound for bound in bounds)
    return low_bound, high_bound
