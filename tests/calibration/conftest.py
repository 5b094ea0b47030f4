from __future__ import annotations

import duckdb
import pytest

from budgets.clock import FixedClock
from engine.backends import duckdb as backend
from engine.compile import compile_batch
from engine.district import District
from engine.preparation import planned
from tests.conftest import AS_OF

TIMES = 50
"""Each record is taken so many times: groups are large beside a noise that is itself many integers wide."""


class Records:
    """The small district's records, read in two ways: by the product, and by plain SQL that knows nothing of it."""

    def __init__(self, vault):
        self.vault, self.catalog = vault, vault.catalog
        self.plain = duckdb.connect()
        cursor = vault.cursor()
        for table in self.catalog.private_tables:
            columns = ", ".join(
                f"{name} / {10**column.type.scale}.0 AS {name}" if column.type.scale else name
                for name, column in table.columns.items()
                if column.on
            )
            stored = cursor.sql(f"SELECT {columns} FROM {table.name}").to_arrow_table()
            self.plain.register("stored", stored)
            self.plain.execute(f"CREATE TABLE {table.name} AS SELECT stored.* FROM stored, range({TIMES})")
            self.plain.unregister("stored")

    def plan(self, sql):
        return planned(self.catalog, sql, self.catalog.cohorts)

    def exact(self, plan):
        compiled = compile_batch(self.catalog, plan.statistics)
        vectors = backend.run(self.vault.cursor(), compiled, plan.statistics[0].keys, len(plan.statistics))
        return [vector * TIMES for vector in vectors]

    def truth(self, sql, keys):
        """The last column by plain DuckDB, by its key columns."""
        return {row[:keys]: row[-1] for row in self.plain.execute(sql).fetchall()}


@pytest.fixture(scope="session")
def records(pristine):
    with District.open(pristine, clock=FixedClock(AS_OF)) as district:
        found = Records(district._house.vault)
        yield found
        found.plain.close()
