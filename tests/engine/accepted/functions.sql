-- Functions: bounds and value lists flow through them, so that sensitivities and groups are those of their values.

-- whole grade points, 0 … 5: centred at 2.5, ±5 halves
-- SUM(expression of gpa) centred at 2.5 | 25 | 2022-2038 | 1
-- COUNT(expression of gpa) | 1 | 2022-2038 | 1
SELECT AVG(ROUND(gpa)) FROM student_year WHERE school_year = 2025;

-- GREATEST passes NULLs over: no row is missing, and 10 … 200 days in tenths are ±950 around 105
-- SUM(expression of days_absent) centred at 105 | 902500 | 2022-2038 | 1
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT AVG(GREATEST(days_absent, 10)) FROM student_year WHERE school_year = 2025;

-- what the question says of a difference holds for it: ±0.5 grade points are 50 hundredths
-- SUM(CASE …) centred at 0 | 2500 | 2022-2037 | 1
-- COUNT(CASE …) | 1 | 2022-2037 | 1
SELECT AVG(CASE WHEN b.gpa - a.gpa BETWEEN -0.5 AND 0.5 THEN b.gpa - a.gpa END) FROM student_year a JOIN student_year b ON b.student_key = a.student_key AND b.school_year = a.school_year + 1 WHERE a.school_year = 2024;

-- a text function of a pinned column is a list of its values: one year
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT COUNT(*) FROM student_year WHERE CAST(school_year AS VARCHAR) LIKE '%25';

-- all seven years begin alike: one group with a row of each
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT LEFT(CAST(school_year AS VARCHAR), 3) AS decade, COUNT(*) FROM student_year GROUP BY 1;

-- a year has one text: one row in each of seven cells
-- COUNT(*) | 7 | 2020-2039 | 1
SELECT CONCAT(school_year - 1, '-', RIGHT(CAST(school_year AS VARCHAR), 2)) AS year, COUNT(*) FROM student_year GROUP BY 1;

-- grades that are numbers, 1 … 12, read from the list: centred at 6.5, ±11 halves
-- SUM(CASE …) centred at 6.5 | 121 | 2022-2038 | 1
-- COUNT(CASE …) | 1 | 2022-2038 | 1
SELECT AVG(TRY_CAST(grade_level AS INTEGER)) FROM student_year WHERE school_year = 2025;

-- a condition on texts, and its NULLs, are those of the list
-- COUNT(*) | 1 | 2020-2039 | 1
SELECT race_ethnicity LIKE '%7' AS told, COUNT(*) FROM student GROUP BY 1;

-- a remainder of a listed number makes as many groups as it has values
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT school_id % 7, COUNT(*) FROM student_year WHERE school_year = 2025 GROUP BY 1;

-- a quotient by 0 is NULL on every row: only the rows are measured
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT COUNT(*), SUM(days_absent / 0), AVG(days_absent / 0) FROM student_year;
