-- Each question stands under what it must measure: label | squared L2 sensitivity | cohorts | weight of its share.
-- Derivations: a student has one student_year row a school year (unique key), at most 16 course grades a year (cap).

-- Q01: one row in the pinned year, in one group; only classes 2022-2038 can be enrolled in 2025 (declared check)
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT grade_level, COUNT(*) AS students FROM student_year WHERE school_year = 2025 GROUP BY grade_level;

-- the pin the other way round
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT COUNT(*) FROM student_year WHERE 2025 = school_year;

-- IN leaves three rows in one cell: 3²
-- COUNT(*) | 9 | 2020-2038 | 1
SELECT COUNT(*) FROM student_year WHERE school_year IN (2023, 2024, 2025);

-- grouping by the year puts them into three cells: 3 · 1²
-- COUNT(*) | 3 | 2020-2038 | 1
SELECT school_year, COUNT(*) FROM student_year WHERE school_year IN (2023, 2024, 2025) GROUP BY school_year;

-- BETWEEN on a listed column pins too; 2020 … 2022 are three years
-- COUNT(*) | 9 | 2020-2035 | 1
SELECT COUNT(*) FROM student_year WHERE school_year BETWEEN 1990 AND 2022;

-- a one-sided comparison pins to 2025 and 2026
-- COUNT(*) | 4 | 2022-2039 | 1
SELECT COUNT(*) FROM student_year WHERE school_year > 2024;

-- no pin: the seven listed years, the table's own cap is 15
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT COUNT(*) FROM student_year;

-- a trend: one row in each of seven cells
-- COUNT(*) | 7 | 2020-2039 | 1
SELECT school_year, COUNT(*) FROM student_year GROUP BY 1;

-- grouping by another column too: seven rows in seven different years, each in its own cell
-- COUNT(*) | 7 | 2020-2039 | 1
SELECT school_year, grade_level, COUNT(*) FROM student_year GROUP BY ALL;

-- grouping by a column that is no key: all seven rows may be in one cell
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT grade_level, COUNT(*) FROM student_year GROUP BY 1;

-- sixteen course grades in the pinned year
-- COUNT(*) | 256 | 2022-2038 | 1
SELECT COUNT(*) FROM course_grade WHERE school_year = 2025;

-- sixteen in each of seven years: 7 · 16²
-- COUNT(*) | 1792 | 2020-2039 | 1
SELECT school_year, COUNT(*) FROM course_grade GROUP BY school_year;

-- the student table has one row; three classes are named
-- COUNT(*) | 1 | 2025-2027 | 1
SELECT COUNT(*) FROM student WHERE cohort_year BETWEEN 2025 AND 2027;

-- the frozen cohort can be asked for in every private table
-- COUNT(*) | 1 | 2030-2031 | 1
SELECT COUNT(*) FROM student_year WHERE cohort_year IN (2030, 2031) AND school_year = 2024;

-- groups by class: a student is in one class, so its rows stay together
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT cohort_year, COUNT(*) FROM student_year GROUP BY cohort_year;

-- a FILTER pins and spares for its own statistic alone; WHERE does for all
-- COUNT(*) | 49 | 2020-2039 | 1
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT COUNT(*) AS everyone, COUNT(*) FILTER (WHERE school_year = 2025) AS now FROM student_year;

-- OR over the key pins nothing, and IS NULL never does
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT COUNT(*) FROM student_year WHERE school_year = 2025 OR gpa IS NULL;

-- a CASE spares nobody
-- SUM(CASE …) centred at 0.5 | 49 | 2020-2039 | 1
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT SUM(CASE WHEN school_year = 2025 THEN 1 ELSE 0 END) AS n FROM student_year;

-- equal statistics are one, whatever they are called and however they are written
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT COUNT(*) AS a, COUNT(1) AS b, COUNT(grade_level) AS c, COUNT_IF(TRUE) AS d FROM student_year WHERE school_year = 2025;

-- a condition that cannot be true: nothing is measured, nothing is charged
SELECT COUNT(*) FROM student_year WHERE school_year = 1985;

-- only keys: public knowledge
SELECT grade_level FROM student_year GROUP BY grade_level;

-- COUNT_IF keeps its FILTER: one row, in the classes that can be enrolled in 2025
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT COUNT_IF(has_iep) FILTER (WHERE school_year = 2025) FROM student_year;

-- three keys that make up the unique key: one row in each of 56 cells (8 a year by the cap) out of 7 · 6 · 5
-- COUNT(*) | 56 | 2020-2039 | 1
SELECT school_year, test_program, subject, COUNT(*) FROM assessment GROUP BY ALL;

-- FETCH is LIMIT
-- COUNT(*) | 1 | 2020-2039 | 1
SELECT sex, COUNT(*) FROM student GROUP BY sex ORDER BY 2 DESC FETCH FIRST 2 ROWS ONLY;
