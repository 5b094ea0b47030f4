"""The demo: an invented district, real questions answered, and what is refused."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax

from api import present
from budgets.clock import FixedClock
from budgets.grants import DEMO_YEAR_FRACTION
from engine.district import District
from engine.founding import INVENTED, Terms, found, require_new
from engine.intake.demo import generate
from engine.refusals import Refusal
from engine.starter import starter_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

AS_OF = datetime(2025, 9, 15, 12, tzinfo=UTC)
"""The fixed time of every demo district: its newest school year is 2024-25."""

QUESTIONS = (
    (
        "Enrolment by grade, one year (EDFacts C052)",
        "SELECT grade_level, COUNT(*) AS students FROM student_year WHERE school_year = 2025 GROUP BY grade_level",
    ),
    (
        "Chronic absenteeism (EDFacts C195)",
        (
            "SELECT COUNT(*) AS students, SUM(CASE WHEN days_absent >= 0.10 * days_enrolled THEN 1 ELSE 0 END) "
            "AS chronically_absent FROM student_year WHERE school_year = 2025 AND days_enrolled >= 10"
        ),
    ),
    (
        "Chronic absenteeism rate by grade and English learner status",
        (
            "SELECT grade_level, english_learner, "
            "AVG(CASE WHEN days_absent >= 0.10 * days_enrolled THEN 1.0 ELSE 0.0 END) AS chronic_rate "
            "FROM student_year WHERE school_year = 2025 AND days_enrolled >= 10 GROUP BY grade_level, english_learner"
        ),
    ),
    (
        "Four-year graduation rate of one cohort (EDFacts C150/C151)",
        (
            "SELECT COUNT(*) AS cohort, "
            "SUM(CASE WHEN outcome = 'regular_diploma' AND years_to_outcome <= 4 THEN 1 ELSE 0 END) AS graduates "
            "FROM graduation WHERE grad_cohort = 2025 AND cohort_status = 'in_cohort'"
        ),
    ),
)
GREEDY = "SELECT school_id, AVG(days_absent) AS absent FROM student_year WHERE school_year = 2025 GROUP BY school_id"
GREEDY_EPSILON = 3.0
TREND = "SELECT school_year, COUNT(*) AS students FROM student_year GROUP BY school_year"
NOSY = "SELECT student_key, gpa FROM student_year WHERE school_year = 2025"


def make(console: Console, folder: Path, students: int, seed: int) -> None:
    """Generate an invented district and found it in a folder, with a progress bar.

    Raises:
        CatalogRefused: the folder is not empty; nothing was invented.
    """
    require_new(folder)
    with progress_bar(console) as step, tempfile.TemporaryDirectory() as scratch:
        catalog = Path(scratch) / "district.yaml"
        catalog.write_text(starter_text(), encoding="utf-8")
        tables = generate(students, seed, progress=lambda what, part: step(f"inventing {what}", part / 2))
        found(
            folder,
            catalog,
            tables,
            clock=FixedClock(AS_OF),
            terms=Terms(DEMO_YEAR_FRACTION, AS_OF, policy=INVENTED),
            progress=lambda what, part: step(f"loading {what}", 0.5 + part / 2),
        )
        step("done", 1.0)


@contextmanager
def progress_bar(console: Console) -> Iterator[Callable[[str, float], None]]:
    """A progress bar, as a function of what is being done and how much of it, 0 to 1."""
    columns = (TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=1.0)
        yield lambda what, part: progress.update(task, description=what, completed=part)


def show(console: Console, folder: Path) -> None:
    """Ask the demo's questions, repeat one for free, and show two refusals."""
    with District.open(folder) as district:
        for number, (title, sql) in enumerate(QUESTIONS, 1):
            _ask(console, district, f"{number}. {title}", sql)
        _ask(console, district, "5. The first question again: measured already, so it is free", QUESTIONS[0][1])
        _ask(
            console,
            district,
            f"6. A greedy question: ε {GREEDY_EPSILON:g} at once is more than a class may lose in a year",
            GREEDY,
            epsilon=GREEDY_EPSILON,
        )
        _ask(console, district, "7. A nosy question: rows never leave the district", NOSY)
    console.rule("What to try next", align="left")
    for command in _next(folder):
        console.print(command, markup=False, highlight=False, soft_wrap=True)


def _ask(console: Console, district: District, title: str, sql: str, epsilon: float | None = None) -> None:
    console.rule(title, align="left")
    console.print(Syntax(sql, "sql", word_wrap=True, background_color="default"))
    try:
        release = district.ask(sql, epsilon=epsilon)
    except Refusal as refused:
        present.refusal(console, refused, sql)
    else:
        present.answer(console, release, district.balances())
    console.print()


def _next(folder: Path) -> tuple[str, ...]:
    return (
        present.command("preview", str(folder), TREND),
        present.command("ask", str(folder), TREND, "--format", "csv"),
        present.command("budget", "show", str(folder)),
        present.command("--help"),
    )
