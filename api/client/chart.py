"""An answer as a chart: points with their 90 % margins. The only room of the client that needs altair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.client.answers import REHEARSED, is_uncertain, text_of

try:
    import altair as alt
except ImportError:
    raise ImportError("A chart needs altair. Install it with: pip install 'homeroom[plot]'") from None

if TYPE_CHECKING:
    from api.client.answers import Answer

TITLE = "90 % margin of the noise added for privacy"
WIDTH_MIN, WIDTH_MAX, STEP = 120, 720, 36


def chart(answer: Answer, x: str | None, y: str | None, color: str | None) -> alt.LayerChart:
    """The chart of one estimate over its groups."""
    estimate = _chosen(y, [each.name for each in answer.columns if is_uncertain(each)], "estimate")
    groups = [each.name for each in answer.columns if not is_uncertain(each)]
    across = _chosen(x, groups, "group") if x is not None or groups else None
    others = [name for name in groups if name != across]
    apart = [_chosen(color, groups, "group")] if color is not None else others
    points = _points(answer, estimate, across, apart)
    data: Any = alt.InlineData(values=points)
    base = alt.Chart(data).encode(**_places(answer, estimate, across, apart))
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, opacity=0.7)
    marks = base.mark_point(filled=True, size=50).encode(opacity=_pale_without_margin())
    layers: alt.LayerChart = bars.encode(y=alt.Y("low:Q"), y2="high:Q") + marks
    sized: alt.LayerChart = layers.properties(width=_width(points), title=_title(answer))
    return sized


def _pale_without_margin() -> Any:
    return alt.condition("isValid(datum.low)", alt.value(1), alt.value(0.35))


def _chosen(name: str | None, known: list[str], what: str) -> str:
    """A column that there is; the first one if none is named."""
    if name is None and known:
        return known[0]
    if name not in known or name is None:
        raise ValueError(f"There is no {what} called {name}. Accepted: {', '.join(known) or 'there is none here'}.")
    return name


def _points(answer: Answer, estimate: str, across: str | None, apart: list[str]) -> list[dict[str, Any]]:
    """A record for each cell that has a value, under names that are ours: a column may be called anything."""
    place = {column.name: position for position, column in enumerate(answer.columns)}
    points: list[dict[str, Any]] = []
    for row, margins in zip(answer.rows, answer.moe90, strict=True):
        value, margin = row[place[estimate]], margins[place[estimate]]
        if not isinstance(value, int | float):
            continue
        point: dict[str, Any] = {
            "x": "" if across is None else text_of(row[place[across]]),
            "color": ", ".join(text_of(row[place[name]]) for name in apart),
            "value": value,
            "margin": "not known" if margin is None else f"± {margin:.4g}",
        }
        if margin is not None:
            point |= {"low": value - margin, "high": value + margin}
        points.append(point)
    return points


def _places(answer: Answer, estimate: str, across: str | None, apart: list[str]) -> dict[str, Any]:
    """What stands where; groups keep the order of the answer."""
    unit = next((each.unit for each in answer.columns if each.name == estimate and each.role == "estimate"), None)
    title = f"{estimate} ({unit})" if unit else estimate
    order, colours = _groups(answer, across, apart)
    places: dict[str, Any] = {
        "x": alt.X("x:N", title=across or "", sort=order, scale=alt.Scale(domain=order) if order else alt.Undefined),
        "y": alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
        "tooltip": [
            *([alt.Tooltip("x:N", title=across)] if across else []),
            *([alt.Tooltip("color:N", title=", ".join(apart))] if apart else []),
            alt.Tooltip("value:Q", title=title),
            alt.Tooltip("margin:N", title="90 % margin"),
        ],
    }
    if apart:
        places["color"] = alt.Color("color:N", title=", ".join(apart), sort=colours)
        places["xOffset"] = alt.XOffset("color:N", sort=colours)
    return places


def _groups(answer: Answer, across: str | None, apart: list[str]) -> tuple[list[str], list[str]]:
    """All groups of the answer in its order, those without a value too."""
    names = [column.name for column in answer.columns]
    order = [] if across is None else [text_of(row[names.index(across)]) for row in answer.rows]
    colours = [", ".join(text_of(row[names.index(name)]) for name in apart) for row in answer.rows]
    return list(dict.fromkeys(order)), list(dict.fromkeys(colours))


def _width(points: list[dict[str, Any]]) -> int:
    """Wide enough for every group to have its own place, and no wider than a page."""
    marks = len({(point["x"], point["color"]) for point in points})
    return min(WIDTH_MAX, max(WIDTH_MIN, STEP * marks))


def _title(answer: Answer) -> alt.TitleParams:
    return alt.TitleParams(TITLE, subtitle=[REHEARSED] if answer.rehearsal else [], anchor="start")
