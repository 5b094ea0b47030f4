"""Speed of `ask` beside the same plain SQL in DuckDB and beside OpenDP's own sampling, in one run.

    python tests/bench.py [STUDENTS]

Each question is asked with fresh literals, so that nothing is answered from a stored measurement; the ledger is on
disk. Medians of 20. The bound: ask <= plain + 15 ms + 1.3 x OpenDP's time for the same vectors and threads.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import duckdb
import numpy as np

from budgets.clock import FixedClock
from engine import mechanisms
from engine.district import District
from engine.founding import Terms, found
from engine.intake.demo import generate
from engine.mechanisms import Gaussian
from engine.preparation import planned

AS_OF = datetime(2025, 9, 15, 12, tzinfo=UTC)
RUNS = 20
EPSILON = 0.02
QUESTIONS = {
    "Q01 enrolment by grade": "SELECT grade_level, COUNT(*) AS students FROM student_year "
    "WHERE school_year = 2025 AND days_enrolled >= {i} GROUP BY grade_level",
    "Q03 share econ. disadvantaged by school": "SELECT school_id, AVG(CASE WHEN econ_disadv THEN 1.0 ELSE 0.0 END) AS share "
    "FROM student_year WHERE school_year = 2025 AND days_enrolled >= {i} GROUP BY school_id",
    "Q04 chronic absenteeism": "SELECT COUNT(*) AS students, "
    "SUM(CASE WHEN days_absent >= 0.10 * days_enrolled THEN 1 ELSE 0 END) AS chronic "
    "FROM student_year WHERE school_year = 2025 AND days_enrolled >= {i}",
    "Q05 chronic rate by grade and EL": "SELECT grade_level, english_learner, "
    "AVG(CASE WHEN days_absent >= 0.10 * days_enrolled THEN 1.0 ELSE 0.0 END) AS rate FROM student_year "
    "WHERE school_year = 2025 AND days_enrolled >= {i} GROUP BY grade_level, english_learner",
    "Q10 four-year graduation": "SELECT COUNT(*) AS cohort, "
    "SUM(CASE WHEN outcome = 'regular_diploma' AND years_to_outcome <= 4 AND grad_cohort > {i} THEN 1 ELSE 0 END) AS graduates "
    "FROM graduation WHERE grad_cohort = 2025 AND cohort_status = 'in_cohort'",
    "trend of GPA by year and grade": "SELECT school_year, grade_level, AVG(gpa) AS gpa FROM student_year "
    "WHERE days_enrolled >= {i} GROUP BY school_year, grade_level",
}


def timed(work):
    start = time.perf_counter()
    found_value = work()
    return (time.perf_counter() - start) * 1000, found_value


def sampling(plan, release):
    """OpenDP's own time for the same vectors, scales and threads."""
    total = 0.0
    for statistic, noise in zip(plan.statistics, release.noise, strict=True):
        vector = np.zeros(len(plan.keys.rows), dtype=np.int64)
        d_in = mechanisms.d_in_of(statistic.l2_squared)
        gaussian = Gaussian(noise.scale, d_in, mechanisms.loss_nanorho(noise.scale, d_in))
        total += timed(lambda v=vector, g=gaussian: mechanisms.draw(v, g, 1))[0]
    return total


def main(students: int) -> bool:
    tables = generate(students, seed=2025)
    plain = duckdb.connect()
    plain.execute("SET threads = 2")
    for name, table in tables.items():
        plain.register("arriving", table)
        plain.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving")
        plain.unregister("arriving")
    with tempfile.TemporaryDirectory() as scratch:
        catalog, folder = Path(scratch) / "district.yaml", Path(scratch) / "district"
        catalog.write_bytes(files("engine").joinpath("starter.yaml").read_bytes())
        loading, _ = timed(
            lambda: found(folder, catalog, tables, clock=FixedClock(AS_OF), terms=Terms(Fraction(1), AS_OF))
        )
        print(f"{students:,} students; loaded in {loading / 1000:.1f} s; medians of {RUNS}, milliseconds\n")
        print(f"{'question':<42}{'cells':>6}{'plain':>8}{'OpenDP':>8}{'plan':>7}{'ask':>8}{'bound':>8}")
        with District.open(folder) as district:
            kept = [run(district, plain, name, sql) for name, sql in QUESTIONS.items()]
            return all(kept)


def run(district, plain, name, sql) -> bool:
    figures = []
    for i in range(RUNS + 2):
        text = sql.format(i=i)
        asking, release = timed(lambda t=text: district.ask(t, epsilon=EPSILON))
        planning, plan = timed(lambda t=text: planned(district.catalog, t, district.catalog.cohorts))
        exact, _ = timed(lambda t=text: plain.execute(t).fetchall())
        figures.append((exact, sampling(plan, release), planning, asking))
    exact, noise, planning, asking = (statistics.median(column) for column in zip(*figures[2:], strict=True))
    bound = exact + 15 + 1.3 * noise
    cells = len(plan.keys.rows) * len(plan.statistics)
    print(f"{name:<42}{cells:>6}{exact:>8.1f}{noise:>8.1f}{planning:>7.2f}{asking:>8.1f}{bound:>8.1f}"
          f"{'' if asking <= bound and planning <= 3 else '   above its bound'}")  # fmt: skip
    return asking <= bound and planning <= 3


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000) else 1)
