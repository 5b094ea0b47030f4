"""Questions built from one value per student."""

from __future__ import annotations

import pytest

from tests.engine.counting import counted, plainly

QUESTIONS = [
    # groups
    "SELECT n, COUNT(*) FROM (SELECT student_key, COUNT(*) AS n FROM course_grade WHERE school_year = 2025 GROUP BY student_key) GROUP BY n",
    "SELECT y, a, COUNT(*) FROM (SELECT student_key, school_year AS y, COUNT(*) FILTER (WHERE course_level = 'ap_ib') AS a FROM course_grade GROUP BY student_key, school_year) GROUP BY ALL",
    "SELECT s.sex, f.ever, COUNT(*) FROM student s LEFT JOIN (SELECT student_key, BOOL_OR(has_iep) AS ever FROM student_year GROUP BY 1) f USING (student_key) GROUP BY ALL",
    "SELECT b, e, COUNT(*) FROM (SELECT student_key, BOOL_AND(econ_disadv) AS b, BOOL_OR(english_learner) AS e FROM student_year GROUP BY student_key) GROUP BY ALL",
    "SELECT lo, hi, COUNT(*) FROM (SELECT student_key, MIN(grade_level) AS lo, MAX(grade_level) AS hi FROM student_year GROUP BY student_key) GROUP BY ALL",
    "SELECT k, COUNT(*) FROM (SELECT student_key, COUNT(DISTINCT school_id) AS k FROM student_year GROUP BY student_key HAVING COUNT(*) >= 2) GROUP BY k",
    "SELECT t, COUNT(*) FROM (SELECT student_key, SUM(schools_attended) AS t FROM student_year GROUP BY student_key) GROUP BY t",
    "SELECT t > 1.25, COUNT(*) FROM (SELECT student_key, AVG(schools_attended) AS t FROM student_year GROUP BY student_key) GROUP BY 1",
    "SELECT m >= 1.5, COUNT(*) FROM (SELECT student_key, MEDIAN(schools_attended) AS m FROM student_year GROUP BY student_key) GROUP BY 1",
    "SELECT COUNT(*), COUNT(d), COUNT_IF(d > 0.4), COUNT_IF(p > 0.4), COUNT_IF(v > 0.2), COUNT_IF(w > 0.2) FROM (SELECT student_key, STDDEV(schools_attended) AS d, STDDEV_POP(schools_attended) AS p, VARIANCE(schools_attended) AS v, VAR_POP(schools_attended) AS w FROM student_year GROUP BY student_key)",
    "SELECT last, COUNT(*) FROM (SELECT student_key, ARG_MAX(grade_level, school_year) AS last FROM student_year GROUP BY student_key) GROUP BY last",
    "SELECT a = b, COUNT(*) FROM (SELECT student_key, FIRST(school_id ORDER BY school_year) AS a, LAST(school_id ORDER BY school_year) AS b FROM student_year GROUP BY student_key) GROUP BY 1",
    "SELECT c, x, COUNT(*) FROM (SELECT student_key, cohort_year AS c, ANY_VALUE(sex) AS x, COUNT(*) AS n FROM student GROUP BY student_key, cohort_year) WHERE n = 1 GROUP BY ALL",
    "SELECT level, COUNT(*) FROM (SELECT y.student_key, c.school_level AS level, COUNT(*) AS years FROM student_year y JOIN school c USING (school_id) GROUP BY y.student_key, c.school_level HAVING COUNT(*) > 1) GROUP BY level",
    "SELECT big, COUNT(*) FROM (SELECT student_key, schools_attended > 1 AS big, COUNT(*) FROM student_year GROUP BY student_key, schools_attended > 1) GROUP BY big".replace(
        "COUNT(*) FROM student_year", "COUNT(*) AS n FROM student_year"
    ),
    # distinct
    "SELECT school_id, COUNT(*) FROM (SELECT DISTINCT student_key, school_id FROM student_year) GROUP BY school_id",
    "SELECT g.cohort_status, p.student_key IS NULL AS no, COUNT(*) FROM graduation g LEFT JOIN (SELECT DISTINCT student_key FROM program WHERE program_type = 'cte') p ON p.student_key = g.student_key GROUP BY ALL",
    "SELECT COUNT(*) FROM (SELECT DISTINCT * FROM course_grade)",
    # windows
    "SELECT grade_level, COUNT(*) FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year DESC) AS rn FROM student_year) WHERE rn = 1 GROUP BY grade_level",
    "SELECT grade_level, COUNT(*) FROM (SELECT student_key, grade_level FROM student_year QUALIFY ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year DESC) = 1) GROUP BY grade_level",
    "SELECT school_year, school_id = before AS same, COUNT(*) FROM (SELECT student_key, school_year, school_id, LAG(school_id) OVER (PARTITION BY student_key ORDER BY school_year) AS before FROM student_year) GROUP BY ALL",
    "SELECT a, b, COUNT(*) FROM (SELECT student_key, grade_level AS a, LEAD(grade_level, 2, 'none') OVER (PARTITION BY student_key ORDER BY school_year) AS b FROM student_year) GROUP BY ALL",
    "SELECT r, d, COUNT(*) FROM (SELECT student_key, RANK() OVER (PARTITION BY student_key ORDER BY schools_attended) AS r, DENSE_RANK() OVER (PARTITION BY student_key ORDER BY schools_attended DESC) AS d FROM student_year) GROUP BY ALL",
    "SELECT q, COUNT(*) FROM (SELECT student_key, NTILE(3) OVER (PARTITION BY student_key ORDER BY school_year) AS q FROM student_year) GROUP BY q",
    "SELECT COUNT_IF(p > 0.5), COUNT_IF(c > 0.5) FROM (SELECT student_key, PERCENT_RANK() OVER (PARTITION BY student_key ORDER BY school_year) AS p, CUME_DIST() OVER (PARTITION BY student_key ORDER BY school_year) AS c FROM student_year)",
    "SELECT run, COUNT(*) FROM (SELECT student_key, SUM(schools_attended) OVER (PARTITION BY student_key ORDER BY school_year) AS run FROM student_year) GROUP BY run",
    "SELECT run, n, COUNT(*) FROM (SELECT student_key, SUM(schools_attended) OVER (PARTITION BY student_key ORDER BY school_year ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS run, COUNT(*) OVER (PARTITION BY student_key) AS n FROM student_year) GROUP BY ALL",
    "SELECT f, l, COUNT(*) FROM (SELECT student_key, FIRST_VALUE(grade_level) OVER (PARTITION BY student_key ORDER BY school_year) AS f, LAST_VALUE(grade_level) OVER (PARTITION BY student_key ORDER BY school_year ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS l FROM student_year) GROUP BY ALL",
    "SELECT second, COUNT(*) FROM (SELECT student_key, NTH_VALUE(grade_level, 2) OVER (PARTITION BY student_key ORDER BY school_year) AS second FROM student_year) GROUP BY 1",
    # frames to the last of the row's peers, or from the first of them
    "SELECT COUNT(*), COUNT(second) FROM (SELECT student_key, NTH_VALUE(subject_area, 2) OVER (PARTITION BY student_key ORDER BY school_year) AS second FROM course_grade)",
    "SELECT COUNT(*) FROM (SELECT DISTINCT student_key, school_year, LAST_VALUE(subject_area) OVER (PARTITION BY student_key ORDER BY school_year) AS l FROM course_grade)",
    "SELECT COUNT(*) FROM (SELECT DISTINCT student_key, school_year, FIRST_VALUE(subject_area) OVER (PARTITION BY student_key ORDER BY school_year DESC RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS f FROM course_grade)",
    "SELECT COUNT(third) FROM (SELECT student_key, NTH_VALUE(subject_area, 3) OVER (PARTITION BY student_key ORDER BY school_year RANGE BETWEEN CURRENT ROW AND CURRENT ROW) AS third FROM course_grade)",
    "SELECT m, b, COUNT(*) FROM (SELECT student_key, MAX(schools_attended) OVER (PARTITION BY student_key ORDER BY school_year ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS m, BOOL_OR(has_iep) OVER (PARTITION BY student_key) AS b FROM student_year) GROUP BY ALL",
    "SELECT x, COUNT(*) FROM (SELECT student_key, COUNT(*) FILTER (WHERE has_iep) OVER (PARTITION BY student_key) AS x FROM student_year) GROUP BY x",
    "SELECT a > 1.2, COUNT(*) FROM (SELECT student_key, AVG(schools_attended) OVER (PARTITION BY student_key ORDER BY school_year) AS a FROM student_year) GROUP BY 1",
    # windows over groups
    "SELECT y, n > before AS more, COUNT(*) FROM (SELECT student_key, school_year AS y, COUNT(*) AS n, LAG(COUNT(*)) OVER (PARTITION BY student_key ORDER BY school_year) AS before FROM course_grade GROUP BY student_key, school_year) GROUP BY ALL",
    # unions
    "SELECT t, COUNT(*), COUNT(DISTINCT student_key) FROM (SELECT student_key, program_type AS t FROM program UNION ALL SELECT student_key, course_level FROM course_grade WHERE course_level = 'ap_ib') GROUP BY t",
    "SELECT y, COUNT(*) FROM (SELECT student_key, school_year AS y FROM program UNION SELECT student_key, school_year FROM course_grade) GROUP BY y",
    "SELECT k, COUNT(*) FROM (SELECT student_key, COUNT(*) AS k FROM (SELECT student_key, school_year FROM program UNION ALL SELECT student_key, school_year FROM assessment UNION ALL SELECT student_key, NULL FROM student) GROUP BY student_key) GROUP BY k",
    # subqueries
    "SELECT grade_level, COUNT(*) FROM student_year y WHERE EXISTS (SELECT 1 FROM program p WHERE p.student_key = y.student_key AND p.school_year = y.school_year) GROUP BY grade_level",
    "SELECT grade_level, COUNT(*) FROM student_year y WHERE NOT EXISTS (SELECT * FROM program p WHERE p.student_key = y.student_key AND p.school_year < y.school_year) GROUP BY grade_level",
    "SELECT grade_level, COUNT(*) FROM student_year WHERE student_key IN (SELECT student_key FROM graduation WHERE outcome = 'regular_diploma') GROUP BY grade_level",
    "SELECT COUNT(*) FROM student WHERE student_key NOT IN (SELECT student_key FROM course_grade GROUP BY student_key HAVING COUNT(*) > 4)",
    "SELECT (student_key, school_year) IN (SELECT student_key, school_year FROM program WHERE program_type = 'cte') AS cte, COUNT(*) FROM student_year GROUP BY 1",
    "SELECT school_year, COUNT(*) FROM student_year WHERE school_id IN (SELECT school_id FROM school WHERE school_level = 'high') GROUP BY school_year",
    "SELECT CASE WHEN EXISTS (SELECT 1 FROM program p WHERE p.student_key = g.student_key AND p.program_type = 'cte') THEN 'cte' ELSE 'other' END AS grp, COUNT(*), COUNT_IF(outcome = 'regular_diploma') FROM graduation g GROUP BY 1",
    "SELECT COUNT(*) FROM student s WHERE EXISTS (SELECT 1 FROM student_year y JOIN school c USING (school_id) WHERE y.student_key = s.student_key AND c.school_level = 'high' AND EXISTS (SELECT 1 FROM course_grade g WHERE g.student_key = y.student_key AND g.school_year = y.school_year))",
    "SELECT sex, COUNT(*) FILTER (WHERE student_key IN (SELECT student_key FROM assessment)) FROM student GROUP BY sex",
    # nesting, one CTE several times
    "WITH n AS (SELECT student_key, school_year, COUNT(*) AS c FROM course_grade GROUP BY ALL), m AS (SELECT student_key, MAX(c) AS most FROM n GROUP BY student_key) SELECT n.c, COUNT(*) FROM n JOIN m ON m.student_key = n.student_key AND m.most = n.c GROUP BY n.c",
    "WITH b AS (SELECT DISTINCT student_key, school_year, schools_attended > 1 AS moved FROM student_year) SELECT a.moved, c.moved AS later, COUNT(*) FROM b a JOIN b c ON c.student_key = a.student_key AND c.school_year = a.school_year + 1 GROUP BY ALL",
    "SELECT deep, COUNT(*) FROM (SELECT student_key, MAX(total) AS deep FROM (SELECT student_key, y, SUM(n) AS total FROM (SELECT student_key, school_year AS y, subject_area, COUNT(*) AS n FROM course_grade GROUP BY ALL) GROUP BY student_key, y) GROUP BY student_key) GROUP BY deep",
    "SELECT COUNT(*) FROM (SELECT y.student_key FROM student_year y LEFT JOIN (SELECT student_key, school_year, ROW_NUMBER() OVER (PARTITION BY student_key, school_year ORDER BY program_type) AS k FROM program) p ON p.student_key = y.student_key AND p.school_year = y.school_year AND p.k = 1 WHERE p.k IS NULL)",
]


@pytest.mark.parametrize("sql", QUESTIONS)
def test_our_sql_counts_what_the_researchers_sql_counts(sql, vault):
    """Group by group the numbers before noise are those of the text as it was written."""
    assert counted(vault, sql) == plainly(vault, sql)
    assert counted(vault, sql)
