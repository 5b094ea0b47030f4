"""Questions with steps whose claim a student can reach, and students who would.

Not among them, for no student can: rows that have no later one (NOT EXISTS with an inequality) are counted as all
rows, and a LAG as any value beside any other.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from engine import tree

from .catalogs import OWNER
from .joins import Piece
from .questions import literal
from .tight_joins import Aim, Aimer

if TYPE_CHECKING:
    from engine.catalog import Column, Table

STEPS = (
    "groups",
    "count",
    "filtered count",
    "sum",
    "distinct",
    "distinct values",
    "greatest",
    "row number",
    "row number of a key",
    "running count",
    "lag",
    "union all",
    "union",
    "exists",
    "not exists",
    "left join of a step",
    "step on a step",
    "CTE of a step twice",
)


class StepAimer(Aimer):
    """Plain questions with one kind of step."""

    def step(self, kind: str) -> Aim | None:  # noqa: C901, PLR0911, PLR0912, PLR0915 - some lines for each kind
        """A question with one kind of step."""
        rng = self.rng
        table, other = rng.choice(self.tables), rng.choice(self.tables)
        listed = [c for c in self.told(table) if c.type != tree.BOOLEAN and 1 < len(c.values or ()) < 50]
        if not listed:
            return None
        column = rng.choice(listed)
        name, owner = column.name, OWNER
        over = f"OVER (PARTITION BY {owner} ORDER BY {name}"
        where, pinned = self.inside(column) if rng.random() < 0.4 else ("", {})
        match kind:
            case "groups":
                text = f"SELECT {owner}, {name} AS m FROM {table.name}{where} GROUP BY {owner}, {name}"
                return self.of(kind, table, text, pinned, keys=("a.m",) if rng.random() < 0.5 else ())
            case "count":
                text = f"SELECT {owner}, COUNT(*) AS n FROM {table.name}{where} GROUP BY {owner}"
                return self.of(kind, table, text, pinned, output="SUM(a.n)")
            case "filtered count":
                told = literal(rng.choice(column.values or ())).sql
                text = f"SELECT {owner}, COUNT(*) FILTER (WHERE {name} <> {told}) AS n FROM {table.name}{where} GROUP BY {owner}"
                return self.of(kind, table, text, pinned, keys=("a.n",))
            case "sum":
                numbers = [c for c in listed if c.type == tree.INTEGER]
                if not numbers:
                    return None
                column = rng.choice(numbers)
                where, pinned = self.inside(column)
                text = f"SELECT {owner}, SUM({column.name}) AS n FROM {table.name}{where} GROUP BY {owner}"
                return self.of(kind, table, text, pinned, output="SUM(a.n)")
            case "distinct":
                text = f"SELECT DISTINCT {owner}, {name} AS m FROM {table.name}{where}"
                return self.of(kind, table, text, pinned, keys=("a.m",) if rng.random() < 0.5 else ())
            case "distinct values":
                text = f"SELECT {owner}, COUNT(DISTINCT {name}) AS n FROM {table.name}{where} GROUP BY {owner}"
                return self.of(kind, table, text, pinned, output="SUM(a.n)")
            case "greatest":
                text = f"SELECT {owner}, MAX({name}) AS m FROM {table.name}{where} GROUP BY {owner}"
                return self.of(kind, table, text, pinned, keys=("a.m",))
            case "row number":
                text = f"SELECT {owner}, ROW_NUMBER() {over}) AS n FROM {table.name}{where}"
                return self.of(kind, table, text, pinned, pin=rng.choice(["a.n = 1", "a.n <= 2", "a.n IN (1, 3)"]))
            case "row number of a key":
                by = f"OVER (PARTITION BY {owner}, {name} ORDER BY {rng.choice(listed).name})"
                text = f"SELECT {owner}, {name} AS m, ROW_NUMBER() {by} AS n FROM {table.name}{where}"
                return self.of(kind, table, text, pinned, pin="a.n = 1", keys=("a.m",) if rng.random() < 0.5 else ())
            case "running count":
                text = f"SELECT {owner}, ROW_NUMBER() {over}) AS n FROM {table.name}{where}"
                return self.of(kind, table, text, pinned, keys=("a.n",))
            case "lag":
                text = f"SELECT {owner}, {name} AS m, LAG({name}) {over}) AS l FROM {table.name}{where}"
                return self.of(kind, table, text, pinned, keys=("a.m",) if rng.random() < 0.5 else ())
            case "union all" | "union":
                shared = [c for c in listed if any(c.name == d.name and c.type == d.type for d in self.told(other))]
                if not shared:
                    return None
                name = rng.choice(shared).name
                one = f"SELECT {owner}, {name} AS m FROM {table.name}"
                two = f"SELECT {owner}, {name} FROM {other.name}"
                both = [v for v in table.columns[name].values or () if v in (other.columns[name].values or ())]
                if len(both) < 2:
                    return None
                first, second = rng.sample(both, 2)
                if kind == "union all":
                    text = f"{one} WHERE {name} = {literal(first).sql} UNION ALL {two} WHERE {name} = {literal(first).sql}"
                    return self.of(kind, table, text, {name: [first]}, keys=("a.m",) if rng.random() < 0.5 else ())
                # of a student with both values each side has its own
                text = f"{one} WHERE {name} = {literal(first).sql} UNION {two} WHERE {name} = {literal(second).sql}"
                return self.of(kind, table, text, {name: [first, second]}, keys=("a.m",))
            case "exists":
                some = f"EXISTS (SELECT 1 FROM {other.name} AS e WHERE e.{owner} = a.{owner})"
                return self.of(kind, table, table.name, {}, pin=some)
            case "not exists":
                where, pinned = self.inside(column)
                none = f"NOT EXISTS (SELECT 1 FROM {table.name} AS e WHERE e.{owner} = a.{owner} AND e.{name} <> a.{name})"
                return self.of(kind, table, f"SELECT * FROM {table.name}{where}", pinned, pin=none)
            case "left join of a step":
                text = (
                    f"(SELECT {owner}, {name} AS m, COUNT(*) AS n FROM {table.name}{where} GROUP BY {owner}, {name})"
                )
                on = (f"b.{owner} = a.{owner}",)
                pieces = (Piece("", other.name, "a"), Piece("LEFT JOIN", text, "b", on))
                return self.aim(kind, other, pieces, pinned)
            case "step on a step":
                inner = (
                    f"SELECT {owner}, {name} AS m, COUNT(*) AS n FROM {table.name}{where} GROUP BY {owner}, {name}"
                )
                text = f"SELECT {owner}, COUNT(*) AS k FROM ({inner}) AS x GROUP BY {owner}"
                return self.of(kind, table, text, pinned, output="SUM(a.k)")
            case "CTE of a step twice":
                few = f"SELECT DISTINCT {owner}, {name} AS m FROM {table.name}{where}"
                on = (f"b.{owner} = a.{owner}",)
                pieces = (Piece("", "few", "a"), Piece("JOIN", "few", "b", on))
                aim = self.aim(kind, table, pieces, pinned, ctes=(("few", few),))
                return dataclasses.replace(aim, question=dataclasses.replace(aim.question, where=()))
        return None

    def inside(self, column: Column) -> tuple[str, dict[str, list[Any]]]:
        """A WHERE that pins a column, and what it leaves."""
        value = self.rng.choice(column.values or ())
        return f" WHERE {column.name} = {literal(value).sql}", {column.name: [value]}

    def of(
        self,
        kind: str,
        table: Table,
        text: str,
        pinned: dict[str, list[Any]],
        *,
        keys: tuple[str, ...] = (),
        output: str = "COUNT(*)",
        pin: str = "",
    ) -> Aim:
        """A question about one step."""
        source = f"({text})" if text.startswith("SELECT") else text
        aim = self.aim(kind, table, (Piece("", source, "a"),), pinned, keys=keys)
        question = dataclasses.replace(aim.question, outputs=(output,), where=(pin,) if pin else ())
        return dataclasses.replace(aim, question=question)
