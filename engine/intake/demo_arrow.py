"""Columns of the demo district as Arrow arrays: codes become text, units become exact decimals.

Only array building: nothing is drawn and nothing is known of schools here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

GRADE_NAMES = ("PK", "KG", *(f"{grade:02}" for grade in range(1, 13)))


def text(codes: Ints, values: Sequence[str]) -> Any:
    """The texts that integer codes stand for.

    >>> text(np.array([1, 0, 1]), ["F", "M"]).to_pylist()
    ['M', 'F', 'M']
    """
    indices = pa.array(codes.astype(np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(values), pa.string())).cast(pa.string())


def grade_text(grades: Ints) -> Any:
    """Grade names of grade numbers, where PK is -1 and KG is 0.

    >>> grade_text(np.array([-1, 0, 9])).to_pylist()
    ['PK', 'KG', '09']
    """
    return text(grades + 1, GRADE_NAMES)


def whole(values: Ints, arrow_type: Any, missing: Flags | None = None) -> Any:
    """Whole numbers of a given Arrow type, NULL where `missing`."""
    return pa.array(values, mask=missing).cast(arrow_type)


def decimal(units: Ints, precision: int, scale: int, missing: Flags | None = None) -> Any:
    """Exact decimals, `units` / 10**`scale`, NULL where `missing`.

    >>> [str(value) for value in decimal(np.array([15, -5]), 4, 1).to_pylist()]
    ['1.5', '-0.5']
    """
    words = np.empty((len(units), 2), dtype=np.int64)  # a decimal128 is two words, the low one first
    words[:, 0] = units
    words[:, 1] = units >> 63
    present = None if missing is None else pa.array(~missing).buffers()[1]
    return pa.Array.from_buffers(pa.decimal128(precision, scale), len(units), [present, pa.py_buffer(words)])
