"""The chart of the bench: time to answer by number of students."""

from __future__ import annotations

import statistics
from itertools import groupby

import altair as alt

WAYS = {"plain": "plain DuckDB", "by_hand": "by hand: DuckDB + OpenDP", "ask": "Homeroom"}
COLOURS = ["#8a8a8a", "#d98a1f", "#1f5fa8"]


def draw(figures, path) -> None:
    """Medians over the questions at each size, on logarithmic axes."""
    rows = []
    for students, group in groupby(sorted(figures, key=lambda f: f.students), key=lambda f: f.students):
        each = list(group)
        for way, words in WAYS.items():
            rows.append({"students": students, "ms": statistics.median(getattr(f, way) for f in each), "way": words})
    sizes = sorted({row["students"] for row in rows})
    chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("students:Q", scale=alt.Scale(type="log"), axis=alt.Axis(values=sizes, format="~s"), title="students"),
            y=alt.Y("ms:Q", scale=alt.Scale(type="log"), title="milliseconds, median question"),
            color=alt.Color("way:N", sort=list(WAYS.values()), title=None,
                            scale=alt.Scale(domain=list(WAYS.values()), range=COLOURS)),
        )
        .properties(width=520, height=260)
    )  # fmt: skip
    chart.save(path)
