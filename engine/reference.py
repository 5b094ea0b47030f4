"""The SQL page, written from the tables that the engine reads: `python -m engine.reference > notebooks/sql.md`.

What is accepted within each student, the functions, the limits, and what is refused with what it says: every line is
tried by a test, and the refusals stand as the engine makes them.
"""

from __future__ import annotations

import sys

from engine.functions.page import page as functions
from engine.keysets import GROUPS_MAX
from engine.parse import parse
from engine.planning import CELLS_MAX, JOINED_ROWS_MAX, make_plan
from engine.refusals import QueryRefused
from engine.relations import SCANS_MAX, TABLES_MAX
from engine.released import PARTS_MAX
from engine.selected import COLUMNS_MAX
from engine.source import Source
from engine.starter import starter_catalog
from engine.steps import OFFSET_MAX
from engine.text import DEPTH_MAX, TEXT_BYTES_MAX, TOKENS_MAX

AGGREGATES: tuple[tuple[str, str], ...] = (
    ("COUNT(*)", "How many rows."),
    ("COUNT(grade_points)", "How many rows in which it is not NULL."),
    ("COUNT(DISTINCT subject_area)", "How many different values."),
    ("COUNT_IF(is_passed)", "How many rows in which it is true."),
    ("SUM(credits_earned)", "The sum; exact, whatever the order of rows."),
    ("AVG(grade_points)", "The mean."),
    ("MIN(grade_points)", "The least value."),
    ("MAX(grade_points)", "The greatest value."),
    ("BOOL_OR(is_passed)", "Whether it is true in some row."),
    ("BOOL_AND(is_passed)", "Whether it is true in every row where it is not NULL."),
    ("MEDIAN(grade_points)", "The value in the middle, or the mean of the two."),
    ("STDDEV(grade_points)", "The sample standard deviation; also STDDEV_SAMP. NULL of one row."),
    ("STDDEV_POP(grade_points)", "The standard deviation of the rows themselves."),
    ("VARIANCE(grade_points)", "The sample variance; also VAR_SAMP. NULL of one row."),
    ("VAR_POP(grade_points)", "The variance of the rows themselves."),
    ("ARG_MAX(course_level, grade_points)", "The first argument where the second is greatest; also MAX_BY."),
    ("ARG_MIN(course_level, grade_points)", "The first argument where the second is least; also MIN_BY."),
    ("FIRST(course_level ORDER BY grade_points)", "The value of the first row by an order."),
    ("LAST(course_level ORDER BY grade_points)", "The value of the last row by an order."),
    ("ANY_VALUE(school_id)", "A value that is the same in all rows; else the least."),
)
"""What can be made of a student's rows, each as it stands in a subquery with GROUP BY the owner; all take FILTER."""

WINDOWS: tuple[tuple[str, str], ...] = (
    ("ROW_NUMBER()", "The place of a row: 1, 2, 3, …"),
    ("RANK()", "The place of a row, the same for rows that the order leaves alike."),
    ("DENSE_RANK()", "The same without gaps."),
    ("PERCENT_RANK()", "RANK from 0 to 1."),
    ("CUME_DIST()", "The share of rows up to this one and those alike."),
    ("NTILE(4)", "In which of n parts of about equal size a row is."),
    ("LAG(gpa)", "The value of the row before; also LAG(x, 2) and LAG(x, 2, 0) with a constant in its place."),
    ("LEAD(gpa)", "The value of the row after, likewise."),
    ("FIRST_VALUE(gpa)", "The value of the first row of the frame."),
    ("LAST_VALUE(gpa)", "The value of the last row of the frame."),
    ("NTH_VALUE(gpa, 2)", "The value of the n-th row of the frame, or NULL."),
    ("COUNT(*)", "How many rows the frame has; also COUNT(x) and FILTER."),
    ("SUM(days_absent)", "A running sum; without ORDER BY the student's total."),
    ("AVG(gpa)", "A running mean."),
    ("MIN(gpa)", "The least value so far."),
    ("MAX(gpa)", "The greatest value so far."),
    ("BOOL_OR(has_iep)", "Whether it has been true so far."),
    ("BOOL_AND(has_iep)", "Whether it has always been true so far."),
)
"""What can stand beside a student's rows, each before OVER (PARTITION BY the owner ORDER BY …)."""

QUESTIONS: tuple[tuple[str, str], ...] = (
    (
        "Students by grade, and the share of them that is chronically absent",
        """SELECT grade_level, COUNT(*) AS students,
  AVG(CASE WHEN days_absent >= 0.10 * days_enrolled THEN 1 ELSE 0 END) AS chronic
FROM student_year WHERE school_year = 2025 GROUP BY grade_level""",
    ),
    (
        "One value per student: who was ever proficient",
        """SELECT s.race_ethnicity, AVG(CASE WHEN f.ever THEN 1 ELSE 0 END) AS share
FROM (SELECT student_key, BOOL_OR(is_proficient) AS ever
      FROM assessment WHERE subject = 'math' GROUP BY student_key) f
JOIN student s USING (student_key) WHERE s.cohort_year = 2030 GROUP BY s.race_ethnicity""",
    ),
    (
        "The last row of each student",
        """SELECT grade_level, COUNT(*) AS students
FROM (SELECT student_key, grade_level FROM student_year
      QUALIFY ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year DESC) = 1)
GROUP BY grade_level""",
    ),
    (
        "Change from one year to the next, within bounds that keep the noise small",
        """SELECT AVG(CASE WHEN change BETWEEN -40 AND 40 THEN change END) AS change
FROM (SELECT student_key, school_year,
        days_absent - LAG(days_absent) OVER (PARTITION BY student_key ORDER BY school_year) AS change
      FROM student_year)
WHERE school_year = 2025""",
    ),
    (
        "Either of two records, and never a third",
        """SELECT COUNT(DISTINCT o.student_key) AS students
FROM (SELECT student_key, school_year FROM course_grade WHERE course_level = 'ap_ib'
      UNION ALL SELECT student_key, school_year FROM program WHERE program_type = 'gifted') o
WHERE o.school_year = 2025
  AND NOT EXISTS (SELECT 1 FROM program p WHERE p.student_key = o.student_key AND p.program_type = 'tutoring')""",
    ),
    (
        "The same CTE twice: from one year to the next",
        """WITH y AS (SELECT student_key, school_year, days_absent >= 18 AS often FROM student_year)
SELECT a.often, b.often AS later, COUNT(*) AS students
FROM y a JOIN y b ON b.student_key = a.student_key AND b.school_year = a.school_year + 1
WHERE a.school_year = 2024 GROUP BY ALL""",
    ),
)

REFUSED: tuple[str, ...] = (
    "SELECT gpa FROM student_year WHERE school_year = 2025",
    "SELECT student_key, COUNT(*) FROM course_grade GROUP BY student_key",
    "SELECT COUNT(*) FROM student WHERE student_key = 604821",
    "SELECT MAX(gpa) FROM student_year",
    "SELECT MEDIAN(gpa) FROM student_year WHERE school_year = 2025",
    "SELECT COUNT(*) FROM student_year CROSS JOIN school",
    "SELECT AVG(gpa) FROM student_year y JOIN course_grade g ON y.school_id = g.school_id",
    "SELECT COUNT(*) FROM (SELECT DISTINCT grade_level FROM student_year)",
    "SELECT AVG(r) FROM (SELECT student_key, RANK() OVER (ORDER BY gpa) AS r FROM student_year)",
    "SELECT AVG(f) FROM (SELECT student_key, FIRST(gpa) AS f FROM student_year GROUP BY student_key)",
    "SELECT COUNT(*) FROM (SELECT * FROM student_year LIMIT 100)",
    "SELECT gpa, COUNT(*) FROM student_year GROUP BY gpa",
    "SELECT COUNT(*) FROM student WHERE sex = 'Female'",
    "SELECT SOUNDEX(sex), COUNT(*) FROM student GROUP BY 1",
    "SELECT COUNT(*) FROM studnt",
    "SELECT COUNT(*) FROM discipline",
    "SELECT COUNT(*) FROM student_year y WHERE (student_key, gpa) IN (SELECT student_key, gpa FROM student_year)",
    "SELECT SUM(days_absent * days_absent * days_absent * days_enrolled * 1000000000) FROM student_year",
    "SELECT COUNT(*) FROM student_year WHERE",
    "DROP TABLE student",
)
"""Questions that are refused, one for each reason that researchers meet first."""

_INTRODUCTION = """# The SQL that is answered

A question is one SELECT in DuckDB's dialect that gives aggregates over students. This page is written from the tables
that the engine reads. `homeroom explain DIR "…"` shows for any question what one student can do to it, what it costs
and what would make it sharper.

"""
_ABOVE = """
Above the aggregates everything works on noisy numbers and costs nothing more: HAVING, QUALIFY, CASE, arithmetic,
ROUND, GREATEST, ORDER BY, LIMIT, windows over groups, joins and unions of answers, WITH.

## Across students

`COUNT(*)`, `COUNT(x)`, `COUNT(DISTINCT student_key)`, `COUNT_IF`, `SUM`, `AVG`, each with `FILTER`. Sums need bounds:
those of the catalog, or `CASE WHEN x BETWEEN 0 AND 100 THEN x END`. `rows_per_student_max` and
`groups_per_student_max` ask of no more than so much of one student, for less noise: who has more counts in
proportion. A count of rows that are among the rows of another count is measured beside it, twice as sharp.

## Within each student

A subquery or CTE that groups by `student_key` (and more), says `SELECT DISTINCT student_key, …`, or has windows
`PARTITION BY student_key` makes one value or row of a student's rows. Such steps can stand on each other, be joined
on `student_key`, and be named several times. Values keep their bounds and lists, so they can be grouped by, summed
and pinned: `WHERE place = 1` leaves one row of a student.

Nothing in a step depends on the order in which records lie: where an ORDER BY leaves rows in doubt, the rest of what
is used of them decides.

"""
_ALSO = """
Frames are `ROWS BETWEEN … AND …` with constants, or `RANGE` between the partition's ends and the row.

`UNION ALL` and `UNION` put rows of the same columns under each other, `student_key` among them. `EXISTS`,
`NOT EXISTS`, `IN` and `NOT IN` over a subquery that is tied to the student (`p.student_key = y.student_key`, or
`student_key IN (SELECT student_key …)`) tell whether some row matches; over a public table they need no student.
`LEFT JOIN` keeps students without a match; above it the right side's `student_key` only tells whether there was one.

"""
_OTHERWISE = """
## Where DuckDB answers otherwise

- `COUNT_IF` of nothing but NULL, or of no row, is 0; DuckDB 2.0 makes it NULL.
- A quotient or a remainder by 0 is NULL, and so is a cast that cannot be done; DuckDB gives infinity or fails.
- `d + INTERVAL 1 MONTH` and `DATE_TRUNC` are dates; DuckDB's are times.
- Where an ORDER BY within a student leaves rows in doubt, the rest of what is used of them decides; in DuckDB any may
  come first.
- A quoted number or boolean, as in `school_year = '2025'`, is read where it is plainly one, and else refused.
- A text that is on no value list is refused also beside <, <=, >, >= and BETWEEN, as in `grade_level >= '9'`.
"""


def refusal(text: str) -> QueryRefused:
    """What the engine says of a question over the starter catalog."""
    catalog = starter_catalog()
    try:
        make_plan(Source(text), parse(text, catalog), catalog, frozenset(catalog.cohorts))
    except QueryRefused as refused:
        return refused
    raise AssertionError


def page() -> str:
    """The page, in Markdown."""
    asked = [f"{title}:\n\n```sql\n{sql}\n```\n" for title, sql in QUESTIONS]
    limits = (
        ("bytes of a question", TEXT_BYTES_MAX),
        ("tokens", TOKENS_MAX),
        ("levels of parentheses and CASE", DEPTH_MAX),
        ("columns of an answer", COLUMNS_MAX),
        ("groups of an answer", GROUPS_MAX),
        ("cells of an answer", CELLS_MAX),
        ("tables joined on one level", SCANS_MAX),
        ("tables, steps and sides of a UNION in a question", TABLES_MAX),
        ("aggregate SELECTs in a question", PARTS_MAX),
        ("rows of one student that joins make", JOINED_ROWS_MAX),
        ("rows that LAG, LEAD, NTILE and frames reach", OFFSET_MAX),
    )
    return "".join(
        [
            _INTRODUCTION,
            "\n".join(asked),
            _ABOVE,
            "Of the rows of a group:\n\n",
            _table(AGGREGATES),
            "\nBeside each row, `OVER (PARTITION BY student_key ORDER BY school_year)`:\n\n",
            _table(WINDOWS),
            _ALSO,
            functions()
            .replace("\n## ", "\n### ")
            .replace("# Functions and operators", "## Functions and operators", 1),
            _OTHERWISE,
            "\n## Limits\n\n| at most | |\n|---|---:|\n",
            "".join(f"| {what} | {most:,} |\n" for what, most in limits),
            "\n## What is refused\n\nA refusal costs nothing and says where, why, and what would be accepted.\n",
            *(_refused(sql) for sql in REFUSED),
        ]
    )


def _table(rows: tuple[tuple[str, str], ...]) -> str:
    return "| | |\n|---|---|\n" + "".join(f"| `{sql}` | {about} |\n" for sql, about in rows)


def _refused(sql: str) -> str:
    refused = refusal(sql)
    place = "" if refused.line is None else f" at column {refused.column}"
    return f"\n```sql\n{sql}\n```\n\n`{refused.code}`{place}: {refused.message} Accepted: {refused.accepted}.\n"


if __name__ == "__main__":
    sys.stdout.write(page())
