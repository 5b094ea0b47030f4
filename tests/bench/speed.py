"""Speed of `ask` beside plain DuckDB and beside a hand-written DuckDB + OpenDP plan, in one run.

    python tests/bench/speed.py [STUDENTS …]  one table for each size, 100,000 if none is named
    python tests/bench/speed.py --growth      10,000 to 1,000,000 students; writes README.md and growth.svg

Each question is asked with fresh literals, so that nothing is answered from a stored measurement; the ledger is on
disk. Medians of 20. The bound: ask <= plain + 15 ms (20 ms for the long key list) + 1.3 x OpenDP's own time for the
same vectors and threads.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import duckdb
import numpy as np
from questions import QUESTIONS, by_hand

from budgets.clock import FixedClock
from budgets.loss import nanorho_for
from engine import mechanisms
from engine.district import District
from engine.founding import INVENTED, Terms, found
from engine.intake.demo import generate
from engine.preparation import planned

AS_OF = datetime(2025, 9, 15, 12, tzinfo=UTC)
RUNS, WARM = 20, 3
EPSILON = 0.02
SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
TABLE_AT = 100_000
README = Path(__file__).parents[2] / "README.md"
START, END = "<!-- bench: written by make bench -->\n", "<!-- end of bench -->\n"


@dataclass(frozen=True)
class Figures:
    """Medians for one question at one size, in milliseconds."""

    name: str
    students: int
    cells: int
    plain: float
    opendp: float
    by_hand: float
    plan: float
    ask: float
    slack: float
    plan_max: float

    @property
    def bound(self) -> float:
        return self.plain + self.slack + 1.3 * self.opendp

    @property
    def kept(self) -> bool:
        return self.ask <= self.bound and self.plan <= self.plan_max


def timed(work):
    start = time.perf_counter()
    found_value = work()
    return (time.perf_counter() - start) * 1000, found_value


def sampling(plan, release):
    """OpenDP's own time for the same vectors, scales and threads: measurements made before, nothing checked after."""
    total = 0.0
    with ThreadPoolExecutor(mechanisms.THREADS) as pool:
        for noise in release.noise:
            measurement = mechanisms._measurement(noise.scale)
            vector = np.zeros(len(plan.keys.rows), dtype=np.int64)
            if vector.size < mechanisms.THREAD_CELLS_MIN:
                total += timed(lambda m=measurement, v=vector: m(v))[0]
            else:
                parts = np.array_split(vector, mechanisms.THREADS)
                total += timed(lambda m=measurement, p=parts: list(pool.map(m, p)))[0]
    return total


def tables_of(students):
    """An invented district; above 190,000 students out of several, whose students are other students."""
    parts = [generate(min(students, 100_000), seed=2025 + part) for part in range(max(1, students // 100_000))]
    if len(parts) == 1:
        return parts[0]
    import pyarrow as pa  # noqa: PLC0415 - for the largest sizes alone

    merged = {}
    for name in parts[0]:
        if "student_key" not in parts[0][name].column_names:
            merged[name] = parts[0][name]
            continue
        renamed = []
        for number, part in enumerate(parts):
            keys = pa.array([f"{number}-{key}" for key in part[name]["student_key"].to_pylist()])
            where = part[name].column_names.index("student_key")
            renamed.append(part[name].set_column(where, "student_key", keys))
        merged[name] = pa.concat_tables(renamed)
    return merged


def measure(students):
    """The figures of every question in a district of this size."""
    tables = tables_of(students)
    plain = duckdb.connect()
    plain.execute("SET threads = 2")
    for name, table in tables.items():
        plain.register("arriving", table)
        plain.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving")
        plain.unregister("arriving")
    with tempfile.TemporaryDirectory() as scratch:
        catalog, folder = Path(scratch) / "district.yaml", Path(scratch) / "district"
        text = files("engine").joinpath("starter.yaml").read_text(encoding="utf-8")
        catalog.write_text(text.replace("max_students: 200_000", "max_students: 2_000_000"), encoding="utf-8")
        loading, _ = timed(
            lambda: found(
                folder, catalog, tables, clock=FixedClock(AS_OF), terms=Terms(Fraction(1), AS_OF, policy=INVENTED)
            )
        )
        print(f"\n{students:,} students, loaded in {loading / 1000:.1f} s; medians of {RUNS}, milliseconds")
        print(f"{'question':<38}{'cells':>6}{'plain':>8}{'OpenDP':>8}{'by hand':>8}{'plan':>7}{'ask':>8}{'bound':>8}")
        with District.open(folder) as district:
            return [one(district, plain, question, students) for question in QUESTIONS]


def one(district, plain, question, students):
    rho = nanorho_for(EPSILON) / 1e9
    rows = []
    for i in range(RUNS + WARM):
        text = question.sql.format(i=i)
        asking, release = timed(lambda t=text: district.ask(t, epsilon=EPSILON))
        planning, plan = timed(lambda t=text: planned(district.catalog, t, district.catalog.cohorts))
        exact, _ = timed(lambda t=text: plain.execute(t).fetchall())
        expert, _ = timed(lambda i=i: by_hand(plain, question, i, rho))
        rows.append((exact, sampling(plan, release), expert, planning, asking))
    cells = len(plan.keys.rows) * len(plan.statistics)
    medians = [statistics.median(column) for column in zip(*rows[WARM:], strict=True)]
    figures = Figures(question.name, students, cells, *medians, question.slack_ms, question.plan_ms_max)
    f = figures
    print(f"{f.name:<38}{f.cells:>6}{f.plain:>8.1f}{f.opendp:>8.1f}{f.by_hand:>8.1f}{f.plan:>7.2f}{f.ask:>8.1f}"
          f"{f.bound:>8.1f}{'' if f.kept else '   above its bound'}", flush=True)  # fmt: skip
    return figures


def markdown(figures):
    """The README's section on speed."""
    lines = [
        f"Medians of {RUNS} in milliseconds at {TABLE_AT:,} students (half a million student-years) on two cores, in one",
        "run, every question new: parsed, proved, charged on disk, run, drawn, stored and answered with margins. *By hand*",
        "is the same DuckDB query and OpenDP noise written by an expert, without proof, ledger, key list or margins.",
        "",
        "| question | cells | plain DuckDB | by hand | Homeroom |",
        "|---|---:|---:|---:|---:|",
    ]
    at = [f for f in figures if f.students == TABLE_AT]
    lines += [f"| {f.name} | {f.cells} | {f.plain:.1f} | {f.by_hand:.1f} | {f.ask:.1f} |" for f in at]
    return "\n".join([*lines, "", "![Time to answer by number of students](tests/bench/growth.svg)", ""])


def write(figures):
    """The README's section and the chart."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    README.write_text(before + START + markdown(figures) + END + after, encoding="utf-8")
    from chart import draw  # noqa: PLC0415 - the chart's libraries are needed here alone

    draw(figures, Path(__file__).with_name("growth.svg"))


def main(sizes, *, writes: bool) -> bool:
    """Whether each question keeps its bound."""
    figures = list(itertools.chain.from_iterable(map(measure, sizes)))
    if writes:
        write(figures)
    return all(f.kept for f in figures if f.students == TABLE_AT)


if __name__ == "__main__":
    given = sys.argv[1:]
    growing = given == ["--growth"]
    chosen = SIZES if growing else tuple(map(int, given)) or (TABLE_AT,)
    sys.exit(0 if main(chosen, writes=growing) else 1)
