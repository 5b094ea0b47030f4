-- Over released tables nothing more is measured than what their aggregates ask for.

-- B10: the groups are left out by their noisy counts
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT school_id FROM student_year GROUP BY school_id HAVING COUNT(*) < 5;

-- B14: so are all but the first
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT school_id, COUNT(*) c FROM student_year GROUP BY school_id ORDER BY c DESC LIMIT 1;

-- B15: one statistic, measured and charged once
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT COUNT(*) FROM student_year UNION ALL SELECT COUNT(*) FROM student_year;

-- a rank and a share are of the same counts
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT grade_level, RANK() OVER (ORDER BY COUNT(*) DESC), COUNT(*) / SUM(COUNT(*)) OVER () FROM student_year WHERE school_year = 2025 GROUP BY grade_level;

-- two years of one CTE are one vector of seven cells
-- COUNT(*) | 7 | 2020-2039 | 1
WITH y AS (SELECT school_year, COUNT(*) AS n FROM student_year GROUP BY 1) SELECT a.school_year, b.n - a.n FROM y a JOIN y b ON b.school_year = a.school_year + 1;

-- two parts with conditions of their own are two
-- COUNT(*) | 1 | 2021-2037 | 1
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT a.n - b.n FROM (SELECT COUNT(*) AS n FROM student_year WHERE school_year = 2025) a, (SELECT COUNT(*) AS n FROM student_year WHERE school_year = 2024) b;

-- a share of the total and the total of a year are of the same counts, whatever is done with them
-- COUNT(*) | 2 | 2021-2038 | 1
SELECT school_year, grade_level, COUNT(*) / SUM(COUNT(*)) OVER (PARTITION BY school_year), AVG(COUNT(*)) OVER () FROM student_year WHERE school_year IN (2024, 2025) GROUP BY ALL ORDER BY SUM(COUNT(*)) OVER (PARTITION BY grade_level) DESC;

-- top-k is sorted by what was drawn
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT school_id, COUNT(*) c FROM student_year GROUP BY school_id ORDER BY c DESC LIMIT 1;

-- HAVING measures what it asks for
-- COUNT(*) | 1 | 2022-2038 | 1/2
-- SUM(gpa) centred at 2.5 | 62500 | 2022-2038 | 1
-- COUNT(gpa) beside COUNT(*) | 1 | 2022-2038 | 1/2
SELECT school_id, CASE WHEN COUNT(*) > 100 THEN 'large' ELSE 'small' END FROM student_year WHERE school_year = 2025 GROUP BY school_id HAVING ROUND(AVG(gpa), 1) >= 3 OR school_id = 1001;
