"""What sqlglot hangs on a node that the table reads is consumed, or refuses."""

from __future__ import annotations

import pytest
from sqlglot import exp

from engine.expressions import Named, Scope, convert
from engine.functions import BY_NODE, FUNCTIONS
from engine.refusals import QueryRefused
from engine.source import Source
from engine.text import DIALECT
from engine.tree import DATE, Column

EXCUSED = {
    ("Greatest", "ignore_nulls"): "set for DuckDB's, which passes NULLs over; ours does",
    ("Least", "ignore_nulls"): "as in GREATEST",
    ("Like", "negate"): "consumed: NOT LIKE",
    ("ILike", "negate"): "as in LIKE",
    ("RegexpExtract", "null_if_pos_overflow"): "of another dialect's position, which is refused",
    ("RegexpReplace", "single_replace"): "set for DuckDB's, which replaces the first match; ours does",
    ("Concat", "safe"): "set for DuckDB's, which takes whole numbers; ours does",
    ("Concat", "coalesce"): "set for DuckDB's, which leaves NULLs out; ours does",
    ("ConcatWs", "safe"): "as in CONCAT",
    ("ConcatWs", "coalesce"): "as in CONCAT",
    ("DPipe", "safe"): "as in CONCAT",
    ("Trim", "position"): "consumed: LTRIM, RTRIM",
    ("Pad", "is_left"): "consumed: LPAD",
    ("DateTrunc", "input_type_preserved"): "set for DuckDB's, which may give a time; ours gives a date",
    ("TimestampTrunc", "input_type_preserved"): "as in DateTrunc",
    ("DateDiff", "date_part_boundary"): "set for DuckDB's, which counts as ours does",
}
VALUES = {
    "a node": exp.column("i"),
    "a list": [exp.column("i")],
    "true": True,
    "a word": "i",
    "a name": exp.to_identifier("i"),
}


def nodes():
    """One node of each class and reading of the table, from what its row shows."""
    found = {}
    for row in FUNCTIONS:
        for text in (*(shown.text for shown in row.shows), row.example):
            whole = f"SELECT {text}"
            (statement,) = DIALECT.parser().parse(list(DIALECT.tokenize(whole)), whole)
            for node in statement.walk():
                if type(node) in BY_NODE:
                    filled = tuple(key for key, value in node.args.items() if value not in (None, False, [], ""))
                    found.setdefault((type(node), filled), (whole, node))
    return found


NODES = nodes()


def converted(tools, text, node):
    names = {
        **tools.names,
        "race_ethnicity": tools.names["t"],
        "grade_level": tools.names["t"],
        "sex": tools.names["t"],
    }
    names |= dict.fromkeys(("days_absent", "days_enrolled", "school_year", "gpa"), tools.names["i"])
    names |= {"event_date": Column("event_date", DATE)}
    return convert(Scope(Source(text), [Named("", names)], owner="", known=tools.known()), node)


def test_every_reading_is_tried():
    """Each class that the table reads stands in what some row shows."""
    assert {kind for kind, _ in NODES} == set(BY_NODE)


@pytest.mark.parametrize(
    ("kind", "args"), NODES, ids=lambda part: part.__name__ if isinstance(part, type) else "-".join(part)
)
def test_an_arg_nobody_consumes_refuses(kind, args, tools):
    """Each class times each arg that is empty: refused when filled with anything but what another reading takes."""
    text, node = NODES[kind, args]
    converted(tools, text, node)
    taken = {name for reading, _ in BY_NODE[kind] for name in reading.args}
    for key in kind.arg_types:
        if node.args.get(key) not in (None, False, [], ""):
            continue
        before = node.args.get(key)
        for value in VALUES.values():
            node.args[key] = value
            try:
                converted(tools, text, node)
            except QueryRefused:
                continue
            finally:
                node.args[key] = before
            assert key in taken or (kind.__name__, key) in EXCUSED, (key, value)


@pytest.mark.parametrize(
    ("kind", "args"), NODES, ids=lambda part: part.__name__ if isinstance(part, type) else "-".join(part)
)
def test_an_arg_that_is_missing_breaks_nothing(kind, args, tools):
    """Where an arg is absent, it is a refusal or an answer."""
    text, node = NODES[kind, args]
    for key in args:
        before = node.args[key]
        for missing in (None, []):
            node.args[key] = missing
            try:
                converted(tools, text, node)
            except QueryRefused:
                pass
            finally:
                node.args[key] = before
