"""Refusals of what many write: what they call it, where they point, and that what they advise is answered."""

from __future__ import annotations

import duckdb
import pytest

from engine import tree
from engine.froms import aggregate_sql
from engine.parse import parse, parse_check
from engine.preparation import planned
from engine.refusals import QueryRefused

ROWS = "FROM student_year"
GRADES = f"WITH g AS (SELECT grade_level, COUNT(*) AS n {ROWS} GROUP BY 1)"
SCHOOLS = f"WITH g AS (SELECT school_id, COUNT(*) AS n {ROWS} GROUP BY 1)"


def refused(sql, catalog):
    with pytest.raises(QueryRefused) as caught:
        planned(catalog, sql, catalog.cohorts)
    return caught.value


@pytest.mark.parametrize(
    ("sql", "word", "column"),
    [
        (f"SELECT VAR(gpa) {ROWS}", "VAR", 8),
        (f"SELECT COVAR_POP(gpa, days_absent) {ROWS}", "COVAR_POP", 8),
        (f"SELECT BOOL_OR(has_iep) {ROWS}", "BOOL_OR", 8),
        (f"SELECT STRING_AGG(grade_level, ',') {ROWS}", "STRING_AGG", 19),
        (f"SELECT LIST(grade_level) {ROWS}", "LIST", 8),
        (f"SELECT ARRAY_AGG(grade_level) {ROWS}", "ARRAY_AGG", 8),
        (f"SELECT WIDTH_BUCKET(gpa, 0, 4, 4), COUNT(*) {ROWS} GROUP BY 1", "WIDTH_BUCKET", 8),
        (f"SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY gpa) {ROWS}", "PERCENTILE_CONT", 8),
        (f"SELECT school_year, FIRST_VALUE(COUNT(*)) OVER (ORDER BY school_year) {ROWS} GROUP BY 1", "FIRST_VALUE", 21),
        (f"SELECT COUNT(*) {ROWS} GROUP BY GROUPING SETS ((grade_level), ())", "GROUPING SETS", 60),
        (f"SELECT COUNT(*) {ROWS} WHERE RANDOM() < 0.5", "RANDOM", 41),
        (f"SELECT COUNT(*) {ROWS} WHERE gpa > ?", "A parameter", 47),
        (f"SELECT COUNT(*) {ROWS} WHERE gpa AT TIME ZONE 'UTC' = 1", "AT TIME ZONE", 41),
        (f"SELECT COUNT(*) {ROWS} PIVOT (COUNT(*) FOR grade_level IN ('09'))", "PIVOT is not accepted in FROM", 22),
        (f"SELECT AVG(v) FROM (SELECT student_key, VAR_POP(grade_level) AS v {ROWS} GROUP BY 1)", "VAR_POP", 49),
        (f"SELECT AVG(v) FROM (SELECT student_key, STRING_AGG(grade_level) AS v {ROWS} GROUP BY 1)", "STRING_AGG", 52),
        ("SELECT COUNT(*) FROM (SELECT student_key FROM student EXCEPT SELECT student_key FROM program)", "EXCEPT", 30),
    ],
)  # fmt: skip
def test_a_construct_is_called_what_it_is_called_in_sql(sql, word, column, canonical):
    """Never by the name of a class of the parser."""
    found = refused(sql, canonical)
    assert word in found.message
    assert (found.line, found.column) == (1, column)


@pytest.mark.parametrize(
    ("sql", "place", "excerpt"),
    [
        (f"SELECT CURRENT_DATE, COUNT(*) {ROWS} GROUP BY 1", 8, "CURRENT_DATE"),
        (f"SELECT 'CURRENT_DATE', COUNT(*) {ROWS} WHERE school_year = YEAR(current_date) GROUP BY 1", 76, "current_date"),
        (f"SELECT COUNT(*) {ROWS} WHERE TODAY() > DATE '2025-01-01'", 41, "TODAY"),
        (f"SELECT COUNT(*) {ROWS} LIMIT ALL", 41, "ALL"),
        ("SELEC COUNT(*) FROM student", 1, "SELEC"),
        ("PIVOT student_year ON grade_level USING COUNT(*)", 1, "PIVOT"),
        ("UPDATE student SET sex = 'F'", 1, "UPDATE"),
        (f"SELECT RANK() OVER (ORDER BY ALL) {ROWS} GROUP BY grade_level", 30, "ALL"),
        (f"SELECT grade_level {ROWS} GROUP BY 1 ORDER BY ALL, 1", 58, "ALL"),
    ],
)  # fmt: skip
def test_a_bare_word_has_a_place(sql, place, excerpt, canonical):
    """Also where the parser keeps none."""
    found = refused(sql, canonical)
    assert (found.line, found.column, found.excerpt) == (1, place, excerpt)


@pytest.mark.parametrize(
    ("sql", "message", "accepted", "followed"),
    [
        (
            f"SELECT MEDIAN(days_absent) {ROWS}", "MEDIAN over students",
            "AVG(CASE WHEN days_absent >= … THEN 1 ELSE 0 END)", f"SELECT AVG(CASE WHEN days_absent >= 18 THEN 1 ELSE 0 END) {ROWS}",
        ),
        (
            f"SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY gpa) {ROWS}", "PERCENTILE_CONT over students",
            "AVG(gpa), a share", f"SELECT AVG(gpa) {ROWS}",
        ),
        (
            f"SELECT STDDEV(gpa) {ROWS}", "STDDEV over students",
            "SQRT(AVG(gpa * gpa) - AVG(gpa) * AVG(gpa))", f"SELECT SQRT(AVG(gpa * gpa) - AVG(gpa) * AVG(gpa)) AS sd {ROWS}",
        ),
        (
            f"SELECT VAR_POP(days_absent / 2) {ROWS}", "VAR_POP over students",
            "AVG((days_absent / 2) * (days_absent / 2)) - AVG((days_absent / 2)) * AVG((days_absent / 2))",
            f"SELECT AVG((days_absent / 2) * (days_absent / 2)) - AVG((days_absent / 2)) * AVG((days_absent / 2)) AS v {ROWS}",
        ),
        (
            f"SELECT MEDIAN(CASE WHEN has_iep THEN days_absent END) {ROWS}", "MEDIAN over students",
            "AVG(x), a share", f"SELECT AVG(CASE WHEN has_iep THEN days_absent END) {ROWS}",
        ),
        (
            "SELECT (SELECT COUNT(*) FROM student) AS a, (SELECT COUNT(*) FROM program) AS b", "A subquery",
            "in WITH, and CROSS JOIN",
            "WITH x AS (SELECT COUNT(*) AS a FROM student), y AS (SELECT COUNT(*) AS b FROM program) SELECT a, b FROM x CROSS JOIN y",
        ),
        (
            "SELECT COUNT(*) FROM student UNION ALL SELECT 1", "names no table",
            "FROM one of the district's tables", "SELECT COUNT(*) FROM student UNION ALL SELECT COUNT(*) FROM program",
        ),
        (
            "SELECT COUNT(*) FROM student WHERE sex = F", "no column F",
            "'F' in single quotes, which is a value of sex", "SELECT COUNT(*) FROM student WHERE sex = 'F'",
        ),
        (
            f"SELECT MODE(grade_level) {ROWS}", "MODE over students",
            "COUNT(*) with GROUP BY grade_level ORDER BY 2 DESC LIMIT 1", f"SELECT grade_level, COUNT(*) {ROWS} GROUP BY grade_level ORDER BY 2 DESC LIMIT 1",
        ),
        (
            f"SELECT MAX(days_absent) {ROWS}", "value of a single student",
            "AVG(CASE WHEN days_absent >= …", f"SELECT AVG(CASE WHEN days_absent >= 100 THEN 1 ELSE 0 END) {ROWS}",
        ),
        (
            f"SELECT COUNT(*) * 1.0 / (SELECT COUNT(*) {ROWS}) {ROWS} WHERE has_iep", "A subquery",
            "in WITH, and CROSS JOIN", f"WITH a AS (SELECT COUNT(*) AS n {ROWS} WHERE has_iep), b AS (SELECT COUNT(*) AS n {ROWS}) SELECT a.n * 1.0 / b.n FROM a CROSS JOIN b",
        ),
        (
            f"SELECT grade_level, COUNT(*) / (SELECT COUNT(*) {ROWS}) {ROWS} GROUP BY 1", "A subquery",
            "SUM(COUNT(*)) OVER ()", f"SELECT grade_level, COUNT(*) / SUM(COUNT(*)) OVER () {ROWS} GROUP BY 1",
        ),
        (
            f"{GRADES} SELECT n FROM g WHERE n > (SELECT AVG(n) FROM g)", "A subquery",
            "in WITH, and CROSS JOIN", f"{GRADES}, m AS (SELECT AVG(n) AS mean FROM g) SELECT n FROM g CROSS JOIN m WHERE n > mean",
        ),
        (
            f"{GRADES} SELECT n FROM g WHERE n IN (SELECT n FROM g)", "A subquery",
            "JOIN … ON with its name", f"{GRADES} SELECT a.n FROM g a JOIN g b ON a.n = b.n",
        ),
        (
            "SELECT AVG((SELECT COUNT(*) FROM program p WHERE p.student_key = s.student_key)) FROM student s", "A subquery",
            "LEFT JOIN (SELECT student_key, COUNT(*) AS n FROM program p GROUP BY student_key) t USING (student_key)",
            "SELECT AVG(COALESCE(n, 0)) FROM student s LEFT JOIN (SELECT student_key, COUNT(*) AS n FROM program p GROUP BY student_key) t USING (student_key)",
        ),
        (
            "SELECT COUNT(*) FROM student_year y WHERE (SELECT COUNT(*) FROM program p WHERE p.student_key = y.student_key AND p.school_year = y.school_year) < 2", "A subquery",
            "GROUP BY student_key, school_year) t USING (student_key, school_year), and COALESCE(n, 0)",
            "SELECT COUNT(*) FROM student_year y LEFT JOIN (SELECT student_key, school_year, COUNT(*) AS n FROM program p GROUP BY student_key, school_year) t USING (student_key, school_year) WHERE COALESCE(n, 0) < 2",
        ),
        (
            "SELECT COUNT(*) FROM student s WHERE (SELECT MAX(has_iep::int) FROM student_year y WHERE y.student_key = s.student_key) = 1", "A subquery",
            "(SELECT student_key, MAX(…) AS n FROM student_year y GROUP BY student_key) t USING (student_key), and n in its place",
            "SELECT COUNT(*) FROM student s LEFT JOIN (SELECT student_key, MAX(has_iep::int) AS n FROM student_year y GROUP BY student_key) t USING (student_key) WHERE n = 1",
        ),
        (
            "SELECT COUNT(*) FROM student_year y WHERE y.school_year = (SELECT MAX(z.school_year) FROM student_year z WHERE z.student_key = y.student_key)", "A subquery",
            "(SELECT student_key, MAX(school_year) AS n FROM student_year z GROUP BY student_key) t USING (student_key), and n in its place",
            "SELECT COUNT(*) FROM student_year y LEFT JOIN (SELECT student_key, MAX(school_year) AS n FROM student_year z GROUP BY student_key) t USING (student_key) WHERE y.school_year = n",
        ),
        (
            "SELECT COUNT(DISTINCT (student_key, school_year)) FROM program", "DISTINCT inside an aggregate",
            "COUNT(*) over a subquery SELECT DISTINCT student_key, school_year FROM …", "SELECT COUNT(*) FROM (SELECT DISTINCT student_key, school_year FROM program)",
        ),
        (
            "SELECT COUNT(*) FROM student_year y WHERE (SELECT sex FROM student s WHERE s.student_key = y.student_key) = 'F'", "A subquery",
            "JOIN student s ON its student_key", "SELECT COUNT(*) FROM student_year y JOIN student s ON s.student_key = y.student_key WHERE sex = 'F'",
        ),
        (
            f"SELECT COUNT(*) {ROWS} WHERE school_year = (SELECT MAX(school_year) {ROWS})", "public: 2020, 2021",
            "such as 2026", f"SELECT COUNT(*) {ROWS} WHERE school_year = 2026",
        ),
        (
            f"SELECT COUNT(*) {ROWS} WHERE school_year = (SELECT MIN(school_year) {ROWS})", "public: 2020, 2021",
            "such as 2020", f"SELECT COUNT(*) {ROWS} WHERE school_year = 2020",
        ),
        (
            f"SELECT grade_level, COUNT(*) {ROWS} GROUP BY ROLLUP (grade_level)", "ROLLUP is not answered",
            "UNION ALL, with NULL", f"SELECT grade_level, COUNT(*) {ROWS} GROUP BY grade_level UNION ALL SELECT NULL, COUNT(*) {ROWS}",
        ),
        (
            f"{GRADES} SELECT grade_level, SUM(n) FROM g GROUP BY CUBE (grade_level)", "CUBE is not answered",
            "UNION ALL, with NULL", f"{GRADES} SELECT grade_level, SUM(n) FROM g GROUP BY grade_level UNION ALL SELECT NULL, SUM(n) FROM g",
        ),
        (
            "SELECT COUNT(*) FROM student RIGHT JOIN program USING (student_key)", "RIGHT JOIN",
            "sides exchanged", "SELECT COUNT(*) FROM program LEFT JOIN student USING (student_key)",
        ),
        (
            "SELECT COUNT(*) FROM graduation FULL OUTER JOIN program USING (student_key)", "FULL OUTER JOIN",
            "by UNION ALL", "SELECT COUNT(DISTINCT o.student_key) FROM (SELECT student_key FROM graduation UNION ALL SELECT student_key FROM program) o",
        ),
        (
            "SELECT COUNT(*) FROM student NATURAL JOIN program", "NATURAL JOIN",
            "JOIN … USING", "SELECT COUNT(*) FROM student JOIN program USING (student_key)",
        ),
        (
            "SELECT COUNT(*) FROM student s ANTI JOIN program p USING (student_key)", "ANTI JOIN",
            "NOT EXISTS", "SELECT COUNT(*) FROM student s WHERE NOT EXISTS (SELECT 1 FROM program p WHERE p.student_key = s.student_key)",
        ),
        (
            f"SELECT grade_level, COUNT(*) {ROWS} WHERE school_year = 2025 AND COUNT(*) > 5 GROUP BY 1", "before groups",
            "HAVING COUNT(*) > 5", f"SELECT grade_level, COUNT(*) {ROWS} WHERE school_year = 2025 GROUP BY 1 HAVING COUNT(*) > 5",
        ),
        (
            f"{SCHOOLS} SELECT school_level, SUM(n) FROM g JOIN school USING (school_id) GROUP BY 1", "school, a public table",
            "JOIN school among the records", f"SELECT school_level, COUNT(*) {ROWS} JOIN school USING (school_id) GROUP BY 1",
        ),
        (
            f"SELECT COUNT(*) {ROWS} WHERE is_proficient", "no column is_proficient here; assessment has it",
            "JOIN assessment USING (student_key, school_year)", f"SELECT COUNT(*) {ROWS} JOIN assessment USING (student_key, school_year) WHERE is_proficient",
        ),
        (
            f"SELECT school_level, COUNT(*) {ROWS} GROUP BY 1", "no column school_level here; school has it",
            "JOIN school USING (school_id)", f"SELECT school_level, COUNT(*) {ROWS} JOIN school USING (school_id) GROUP BY 1",
        ),
        (
            f"SELECT COUNT(*) {ROWS} y JOIN student s USING (student_key) WHERE y.sex = 'F'", "no column sex in y; s has it",
            "s.sex", f"SELECT COUNT(*) {ROWS} y JOIN student s USING (student_key) WHERE s.sex = 'F'",
        ),
        (
            'SELECT COUNT(*) FROM student WHERE sex = "F"', "no column F",
            "'F' in single quotes, which is a value of sex", "SELECT COUNT(*) FROM student WHERE sex = 'F'",
        ),
        (
            'WITH g AS (SELECT sex, COUNT(*) AS n FROM student GROUP BY 1) SELECT n FROM g WHERE sex = "F"', "no column F",
            "a text stands in single quotes: 'F'", "WITH g AS (SELECT sex, COUNT(*) AS n FROM student GROUP BY 1) SELECT n FROM g WHERE sex = 'F'",
        ),
        (
            f"SELECT COUNT(*) {ROWS} WHERE grade_level BETWEEN '3' AND '8'", "no value '3'",
            "03, or IN with the values", f"SELECT COUNT(*) {ROWS} WHERE grade_level IN ('03', '04', '05', '06', '07', '08')",
        ),
        (
            f"SELECT COUNT(*) {ROWS} WHERE grade_level >= '9'", "no value '9'",
            "09, or IN with the values", f"SELECT COUNT(*) {ROWS} WHERE grade_level IN ('09', '10', '11', '12')",
        ),
        (
            f"SELECT COUNT(*) {ROWS} WHERE '9' <= grade_level", "no value '9'",
            "09, or IN with the values", f"SELECT COUNT(*) {ROWS} WHERE grade_level >= '09'",
        ),
        (
            f"SELECT COUNT(*) {ROWS} WHERE has_iep = 'yes'", "with the text 'yes'",
            "TRUE or FALSE without quotes", f"SELECT COUNT(*) {ROWS} WHERE has_iep = TRUE",
        ),
        (
            f"SELECT COUNT(*) {ROWS} WHERE gpa >= 'high'", "with the text 'high'",
            "a number without quotes", f"SELECT COUNT(*) {ROWS} WHERE gpa >= 3",
        ),
        (
            f"SELECT COUNT(*) {ROWS} WHERE school_year > '2024.5'", "with the text '2024.5'",
            "2024.5 without quotes", f"SELECT COUNT(*) {ROWS} WHERE school_year > 2024.5",
        ),
        (
            f"{GRADES} SELECT n FROM g WHERE n > 'many'", "with the text 'many'",
            "a number without quotes", f"{GRADES} SELECT n FROM g WHERE n > 5",
        ),
        (
            f"SELECT has_iep, COUNT(*) {ROWS} GROUP BY 1 HAVING has_iep = '1'", "with the text '1'",
            "TRUE or FALSE without quotes", f"SELECT has_iep, COUNT(*) {ROWS} GROUP BY 1 HAVING has_iep = TRUE",
        ),
    ],
)  # fmt: skip
def test_what_a_refusal_advises_is_answered(sql, message, accepted, followed, canonical):
    """It has a place, names what was written, and the question written as it says is planned."""
    found = refused(sql, canonical)
    assert found.line == 1
    assert message in found.message
    assert accepted in (found.accepted or "")
    assert planned(canonical, followed, canonical.cohorts)


@pytest.mark.parametrize(
    ("quoted", "plain"),
    [
        ("school_year = '2025'", "school_year = 2025"),
        ("'2025' <> school_year", "school_year <> 2025"),
        ("school_year IN ('2024', 2025, NULL)", "school_year IN (2024, 2025, NULL)"),
        ("school_year BETWEEN '2024' AND '2025'", "school_year BETWEEN 2024 AND 2025"),
        ("gpa >= '3.5'", "gpa >= 3.5"),
        ("gpa / 2 < '-1.25'", "gpa / 2 < -1.25"),
        ("has_iep = 'true'", "has_iep = TRUE"),
        ("has_iep IN ('False')", "has_iep IN (FALSE)"),
        ("has_iep IS DISTINCT FROM 'true'", "has_iep IS DISTINCT FROM TRUE"),
        ("CASE school_year WHEN '2025' THEN has_iep END", "CASE school_year WHEN 2025 THEN has_iep END"),
        ("YEAR(DATE '2025-01-31') = '2025'", "YEAR(DATE '2025-01-31') = 2025"),
    ],
)
def test_a_quoted_number_is_the_number(quoted, plain, canonical):
    """Beside a number or a boolean a text that is written out is what it says, so that it pins as that does."""
    one, other = (parse(f"SELECT COUNT(*) {ROWS} WHERE {condition}", canonical) for condition in (quoted, plain))
    assert one.where == other.where


@pytest.mark.parametrize("text", ["2025 ", "+2025", "2_025", "1e3", "0x10", "", "NaN", "inf", "2025.0.0", "٢٠٢٥"])
def test_what_is_not_plainly_a_number_is_none(text, canonical):
    """How DuckDB would read it is nobody's guess."""
    assert "without quotes" in (
        refused(f"SELECT COUNT(*) {ROWS} WHERE school_year = '{text}'", canonical).accepted or ""
    )
    above = f"{GRADES} SELECT n FROM g WHERE n = '{text}'"
    assert "without quotes" in (refused(above, canonical).accepted or "")


def test_a_column_of_texts_is_no_number(canonical):
    """Only what is written out is read; of a column a CAST is asked for."""
    assert refused(f"SELECT COUNT(*) {ROWS} WHERE grade_level = 9", canonical).code == "unsupported"
    assert refused(f"SELECT COUNT(*) {ROWS} WHERE grade_level < gpa", canonical).code == "unsupported"


@pytest.mark.parametrize("words", ["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
def test_order_by_all_is_by_every_column(words, canonical):
    """In their order, each sorted as ALL is."""
    for text, count in (
        (f"SELECT grade_level, COUNT(*) AS n {ROWS} GROUP BY ALL", 2),
        (f"SELECT grade_level, COUNT(*) AS n {ROWS} GROUP BY ALL HAVING n > 3", 2),
        (f"{GRADES} SELECT * FROM g", 2),
        (f"SELECT 5 AS a, COUNT(*) AS n {ROWS} UNION ALL SELECT 4, COUNT(*) FROM student", 2),
    ):
        listed = ", ".join(f"{place}{words}" for place in range(1, count + 1))
        one, other = (
            planned(canonical, f"{text} ORDER BY {order}", canonical.cohorts) for order in (f"ALL{words}", listed)
        )
        assert one.digest == other.digest


@pytest.mark.parametrize(
    "order",
    [
        '"all"',
        "'ALL'",
        "g.all",
        "all::BIGINT",
        "CAST(all AS BIGINT)",
        'CAST("all" AS BIGINT)',
        "all(n)",
        '"all", ALL',
        'ALL, "all"',
        'n) AS r, RANK() OVER (ORDER BY "all") FROM g ORDER BY ALL',
    ],
)
def test_what_is_only_called_all_is_not_all_columns(order, canonical):
    """The parser takes it for the word, so it is refused rather than sorted by something else."""
    window = order.startswith("n)")
    columns = f"grade_level, RANK() OVER (ORDER BY {order}" if window else f"* FROM g ORDER BY {order}"
    for text in (
        f"{GRADES} SELECT {columns}",
        f'SELECT sex, COUNT(*) AS "all" FROM student GROUP BY 1 ORDER BY {order}',
    ):
        if not (window and text.startswith("SELECT")):
            assert refused(text, canonical).line == 1


def test_a_check_of_the_catalog_reads_quoted_numbers_alike(canonical):
    """A condition of the catalog is told nothing of where a question begins."""
    table = canonical.tables["student_year"]
    columns = {name: tree.Column(name, column.type) for name, column in table.columns.items()}
    assert parse_check("school_year > '2019'", columns) == parse_check("school_year > 2019", columns)
    with pytest.raises(QueryRefused, match="at this place"):
        parse_check("school_year > )", columns)


def test_count_if_of_nothing_but_null_is_zero():
    """DuckDB makes it NULL; here a count is a count."""
    rows = "(VALUES (NULL::BOOLEAN)) AS rows (met)"
    value = tree.Within("rows", None, (), tree.Column("met", tree.BOOLEAN), tree.INTEGER, None)
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {aggregate_sql(value, {})} FROM {rows}").fetchone() == (0,)
        assert connection.execute(f"SELECT COUNT_IF(met) FROM {rows}").fetchone() == (None,)
