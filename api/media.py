"""In which form an answer is sent: what the request accepts of what there is. Decided before anything is asked."""

from __future__ import annotations

import io
from enum import StrEnum
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet
from pydantic_core import to_json

from api.problems import NotUnderstood

if TYPE_CHECKING:
    from engine.release import Release


class Media(StrEnum):
    """The forms of an answer, the first one where any will do."""

    JSON = "application/json"
    CSV = "text/csv"
    PARQUET = "application/vnd.apache.parquet"
    ARROW = "application/vnd.apache.arrow.stream"


def chosen(accept: str | None) -> Media:
    """The form that a request likes best (RFC 9110, section 12.5.1).

    >>> str(chosen("text/csv, */*;q=0.1")), str(chosen(None)), str(chosen("application/*"))
    ('text/csv', 'application/json', 'application/json')

    Raises:
        NotUnderstood: it accepts none there is.
    """
    if accept is None or not accept.strip():
        return Media.JSON
    ranges = [_range(part) for part in accept.split(",")]
    best = max(Media, key=lambda media: _quality(media, ranges))  # the first of the best
    if _quality(best, ranges) <= 0:
        accepted = "Accept: " + ", ".join(Media)
        raise NotUnderstood("not_acceptable", "There is no answer in a form that this request accepts.", accepted)
    return best


def _range(part: str) -> tuple[str, float]:
    """A media range and its weight; 0 where it cannot be read."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
            return name, weight if 0 <= weight <= 1 else 0.0
    return name, 1.0


def _quality(media: Media, ranges: list[tuple[str, float]]) -> float:
    """How well a form is liked: by the most exact range that names it."""
    kind = media.split("/")[0]
    for pattern in (media.value, f"{kind}/*", "*/*"):
        found = [weight for name, weight in ranges if name == pattern]
        if found:
            return max(found)
    return 0.0


def written(release: Release, media: Media) -> bytes:
    """An answer in one form."""
    if media is Media.JSON:
        return to_json(release)
    if media is Media.CSV:
        return release.to_pandas().to_csv(index=False).encode()
    target, arrow = io.BytesIO(), release.to_arrow()
    if media is Media.PARQUET:
        pyarrow.parquet.write_table(arrow, target)
        return target.getvalue()
    with pa.ipc.new_stream(target, arrow.schema) as stream:
        stream.write_table(arrow)
    return target.getvalue()
