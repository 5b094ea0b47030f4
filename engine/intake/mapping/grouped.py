"""One row of several rows of one student: their cells, typed, wait in a table on the disk and are taken in SQL.

Every take is a function of the multiset of the cells of one student's rows: ties are broken by the values
themselves, so neither the order of rows nor anybody else's rows matter.
"""
# ruff: noqa: S608 - statements are made of quoted catalog names and our own; values of records never stand in them

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from engine.intake.cleaning import MACROS
from engine.intake.mapping.document import Fixed
from engine.intake.mapping.formulas import unit_text
from engine.intake.rows import BATCH_ROWS
from engine.sql import quoted, text_literal
from engine.vault import storage_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from engine import tree
    from engine.intake.mapping.fit import Filled
    from engine.intake.mapping.opened import Opened
    from engine.intake.sources import Progress

_BATCH = "raw_mapping_batch"
_OWNER = "homeroom_owner"


def stage(connection: duckdb.DuckDBPyConnection, name: str, opened: Opened, progress: Progress) -> None:
    """Bring the typed cells of a part into the table `name`, batch by batch; rows without an owner stay behind.

    Args:
        connection: the load's database on the disk.
        name: of the table, made anew.
        opened: the part.
        progress: as `Sources.tables` has it.
    """
    part = opened.part
    by = sorted({target.by for target in part.targets.values() if target.by is not None})
    kept = {one: filled for one, filled in opened.fitted.filled.items() if not isinstance(filled.target.given, Fixed)}
    columns = [f"{_OWNER} VARCHAR"]
    columns += [f"{quoted(one)} {storage_type(filled.cleaned.type)}" for one, filled in kept.items()]
    columns += [f"{_by(one)} {storage_type(part.reads[one].column.type)}" for one in by]
    with connection.cursor() as cursor:
        cursor.execute(MACROS)
        cursor.execute(f"CREATE OR REPLACE TABLE {quoted(name)} ({', '.join(columns)})")
        for batch in opened.batches():
            texts = opened.texts(cursor, batch)
            made = [opened.ids(cursor, batch)]
            made += [opened.accepted(cursor, one, filled.cleaned, texts[one]) for one, filled in kept.items()]
            made += [opened.typed(cursor, batch, one) for one in by]
            cursor.register(_BATCH, pa.table(made, names=[f"c{place}" for place in range(len(made))]))
            cursor.execute(f"INSERT INTO {quoted(name)} SELECT * FROM {_BATCH} WHERE c0 IS NOT NULL")
            cursor.unregister(_BATCH)
            progress(f"{part.file} for {part.table}", opened.rows.share)


def _by(name: str) -> str:
    """The staged column of a typed name, apart from those of the table."""
    return quoted(f"homeroom_by_{name}")


class GroupedRows:
    """The rows that a staged part becomes: one of a student, or one for each value of some columns."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, name: str, opened: Opened, names: tuple[str, ...]
    ) -> None:
        self.file = opened.rows.file
        self.names = names
        self.share = 0.0
        self._connection = connection
        self._table = name
        self._opened = opened

    def batches(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """As `Rows.batches`."""
        self.share = 0.0
        per = self._opened.part.one_row_per or ()
        filled = self._opened.fitted.filled
        every = [_OWNER, *(_taken(one, grouping=name in per) for name, one in filled.items())]
        chosen = ", ".join(f"{every[place]} AS c{place}" for place in places)
        group = ", ".join([_OWNER, *map(quoted, per)])
        with self._connection.cursor() as cursor:
            made = cursor.sql(f"SELECT {chosen} FROM {quoted(self._table)} GROUP BY {group}")
            yield from made.to_arrow_reader(BATCH_ROWS)
        self.share = 1.0


def _taken(filled: Filled, *, grouping: bool) -> str:
    """SQL: the cell of one column of one row that is made of several."""
    target, of = filled.target, filled.cleaned.type
    if isinstance(target.given, Fixed):
        return "CAST(NULL AS VARCHAR)" if target.given.value is None else text_literal(target.given.value)
    value = quoted(target.name)
    if grouping:
        return _own_unit(value, of)
    taken = _TAKES[str(target.take)].format(value=value, by=_by(str(target.by)))
    return unit_text(taken, of) if target.take == "sum" else _own_unit(taken, filled.column.type)


_TAKES = {
    "first": "arg_min({value}, row({by} IS NULL, {by}, {value})) FILTER (WHERE {value} IS NOT NULL)",
    "last": "arg_max({value}, row({by} IS NOT NULL, {by}, {value})) FILTER (WHERE {value} IS NOT NULL)",
    "lowest": "MIN({value})",
    "highest": "MAX({value})",
    "only": "CASE WHEN MIN({value}) = MAX({value}) THEN MIN({value}) END",
    "any": "bool_or({value})",
    "all": "bool_and({value})",
    "sum": "SUM({value})",
    "count": "COUNT({value})",
    "distinct": "COUNT(DISTINCT {value})",
}
"""SQL of each take of typed cells; each is NULL, or 0 where it counts, if no cell was accepted."""


def _own_unit(value: str, of: tree.Type) -> str:
    """SQL: a stored value as the source of a table may have it: decimals and dates as text in their own unit."""
    return unit_text(value, of) if of.scale or of.kind == "date" else value
