"""The table: every row, and how it is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.functions import dates, numbers, syntax, texts
from engine.functions.shape import Function, Native, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlglot import exp

FUNCTIONS: tuple[Function, ...] = (*syntax.ROWS, *numbers.ROWS, *texts.ROWS, *dates.ROWS)
"""Every function and operator that is accepted."""

BY_NAME: Mapping[str, Function] = {name: row for row in FUNCTIONS for name in (row.name, *row.names)}
"""Rows by each of their names, in capitals."""

NATIVE: Mapping[str, Native] = {row.name.lower(): row.how for row in FUNCTIONS if isinstance(row.how, Native)}
"""What the database computes, by the name it has in the tree."""


def _by_node() -> dict[type[exp.Expr], list[tuple[Reading, Function]]]:
    found: dict[type[exp.Expr], list[tuple[Reading, Function]]] = {}
    for row in FUNCTIONS:
        for reading in row.nodes:
            found.setdefault(reading.node, []).append((reading, row))
    return found


BY_NODE: Mapping[type[exp.Expr], list[tuple[Reading, Function]]] = _by_node()
"""How each of sqlglot's classes is read: the first reading whose fixed args agree."""

if len(BY_NAME) != sum(1 + len(row.names) for row in FUNCTIONS):
    raise AssertionError  # one name for two functions
