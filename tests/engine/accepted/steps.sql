-- Steps within each student: each golden question stands under what it measures.

-- seven years, one row for each student: the step has one row per student, whatever is made of it
-- COUNT(*) | 1 | 2020-2039 | 1
SELECT n, COUNT(*) FROM (SELECT student_key, COUNT(*) AS n FROM student_year GROUP BY student_key) GROUP BY n;

-- a key besides the owner: seven rows, one in each year
-- COUNT(*) | 7 | 2020-2039 | 1
SELECT school_year, COUNT(*) FROM (SELECT student_key, school_year, COUNT(*) AS n FROM course_grade GROUP BY student_key, school_year) GROUP BY school_year;

-- pinned above the step: one
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT COUNT(*) FROM (SELECT student_key, school_year, COUNT(*) AS n FROM course_grade GROUP BY ALL) WHERE school_year = 2025;

-- at most 16 courses a year: their number is 0 to 16 once some are left out, centred at 8
-- SUM(per_student.rows) centred at 8 | 64 | 2022-2038 | 1
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT SUM(ap) FROM (SELECT student_key, COUNT(*) FILTER (WHERE course_level = 'ap_ib') AS ap FROM course_grade WHERE school_year = 2025 GROUP BY student_key);

-- 112 courses of 0 to 2 credits: 0 to 224 credits, in hundredths
-- SUM(per_student.sum_credits_earned) centred at 112 | 125440000 | 2020-2039 | 1
-- COUNT(per_student.sum_credits_earned) | 1 | 2020-2039 | 1
SELECT AVG(credits) FROM (SELECT student_key, SUM(credits_earned) AS credits FROM course_grade GROUP BY student_key);

-- how many rows there can be is known, so their number can be written out
-- COUNT(*) | 1 | 2020-2039 | 1
SELECT CASE WHEN n >= 5 THEN '5+' ELSE CAST(n AS VARCHAR) END AS years, COUNT(*) FROM (SELECT student_key, COUNT(*) AS n FROM student_year GROUP BY student_key) GROUP BY years;

-- two counts decide between two groups: what a key can be follows from the branches, not from 12,656 pairs of counts
-- COUNT(*) | 1 | 2020-2039 | 1
SELECT CASE WHEN n >= 20 AND maths >= 3 THEN 'on track' ELSE 'off track' END AS track, COUNT(*) FROM (SELECT student_key, COUNT(*) AS n, COUNT_IF(subject_area = 'math') AS maths FROM course_grade GROUP BY student_key) GROUP BY track;

-- HAVING is WHERE above the step
-- COUNT(*) | 1 | 2020-2039 | 1
SELECT COUNT(*) FROM (SELECT student_key, COUNT(*) AS n FROM student_year GROUP BY student_key HAVING COUNT(*) >= 3);

-- a student has at most nine subject areas in a year
-- COUNT(*) | 81 | 2022-2038 | 1
SELECT COUNT(*) FROM (SELECT DISTINCT student_key, subject_area FROM course_grade WHERE school_year = 2025);

-- and two values of a flag
-- COUNT(*) | 2 | 2020-2039 | 1
SELECT has_iep, COUNT(*) FROM (SELECT DISTINCT student_key, has_iep FROM student_year) GROUP BY has_iep;

-- the first row by an order is one
-- COUNT(*) | 1 | 2020-2039 | 1
SELECT grade_level, COUNT(*) FROM (SELECT student_key, grade_level, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year DESC) AS rn FROM student_year) WHERE rn = 1 GROUP BY grade_level;

-- two of them
-- COUNT(*) | 4 | 2020-2039 | 1
SELECT grade_level, COUNT(*) FROM (SELECT student_key, grade_level, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year DESC) AS rn FROM student_year) WHERE rn <= 2 GROUP BY grade_level;

-- one in each of seven years, as rows are numbered within a year
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT COUNT(*) FROM (SELECT student_key, school_year, ROW_NUMBER() OVER (PARTITION BY student_key, school_year ORDER BY credits_earned) AS rn FROM course_grade) WHERE rn = 1;

-- ranks may be shared: a pin on one leaves all seven
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT COUNT(*) FROM (SELECT student_key, RANK() OVER (PARTITION BY student_key ORDER BY schools_attended) AS r FROM student_year) WHERE r = 1;

-- a window beside the rows keeps their keys: one row in 2025
-- SUM(expression of along.days_absent, along.lag_days_absent) centred at 0 | 4000000 | 2022-2038 | 1
-- COUNT(expression of along.days_absent, along.lag_days_absent) | 1 | 2022-2038 | 1
SELECT AVG(change) FROM (SELECT student_key, school_year, days_absent - LAG(days_absent) OVER (PARTITION BY student_key ORDER BY school_year) AS change FROM student_year) WHERE school_year = 2025;

-- seven rows of a program in a year and 16 of courses: 42 and 112, and no key tells them apart
-- COUNT(*) | 23716 | 2020-2039 | 1
SELECT COUNT(*) FROM (SELECT student_key FROM program UNION ALL SELECT student_key FROM course_grade);

-- in one year 6 and 16
-- COUNT(*) | 484 | 2020-2039 | 1
SELECT COUNT(*) FROM (SELECT student_key, school_year AS y FROM program UNION ALL SELECT student_key, school_year FROM course_grade) WHERE y = 2025;

-- once in each year
-- COUNT(*) | 7 | 2020-2039 | 1
SELECT y, COUNT(*) FROM (SELECT student_key, school_year AS y FROM program UNION SELECT student_key, school_year FROM course_grade) GROUP BY y;

-- EXISTS adds no row
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT COUNT(*) FROM student_year y WHERE y.school_year = 2025 AND EXISTS (SELECT 1 FROM program p WHERE p.student_key = y.student_key);

-- and as a conjunct spares who cannot be in the subquery: of classes 2022 to 2026 some graduate in 2025
-- COUNT(*) | 1 | 2022-2026 | 1
SELECT COUNT(*) FROM student WHERE student_key IN (SELECT student_key FROM graduation WHERE grad_cohort = 2025);

-- NOT IN spares nobody
-- COUNT(*) | 1 | 2020-2039 | 1
SELECT COUNT(*) FROM student WHERE student_key NOT IN (SELECT student_key FROM graduation WHERE grad_cohort = 2025);

-- nor does EXISTS among others
-- COUNT(*) | 1 | 2020-2039 | 1
SELECT COUNT(*) FROM student WHERE sex = 'F' OR student_key IN (SELECT student_key FROM graduation WHERE grad_cohort = 2025);

-- of a student it is one value: all seven years are in one group
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT EXISTS (SELECT 1 FROM program p WHERE p.student_key = y.student_key) AS ever, COUNT(*) FROM student_year y GROUP BY 1;

-- by the year it may change from year to year, but all seven may be alike
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT EXISTS (SELECT 1 FROM program p WHERE p.student_key = y.student_key AND p.school_year = y.school_year) AS e, COUNT(*) FROM student_year y GROUP BY 1;

-- a step joined with seven years: its value is the student's, seven rows in one group
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT f.n, COUNT(*) FROM student_year y JOIN (SELECT student_key, COUNT(*) AS n FROM course_grade GROUP BY student_key) f USING (student_key) GROUP BY f.n;

-- a public subquery is a condition on the row
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT COUNT(*) FROM student_year WHERE school_id IN (SELECT school_id FROM school);

-- steps on steps, to one row of a student
-- COUNT(*) | 1 | 2020-2039 | 1
SELECT COUNT(*) FROM (SELECT student_key, MAX(n) AS most FROM (SELECT student_key, school_year, COUNT(*) AS n FROM course_grade GROUP BY ALL) GROUP BY student_key) WHERE most >= 8;

-- one CTE twice, met on its key
-- COUNT(*) | 49 | 2020-2039 | 1
WITH c AS (SELECT student_key, school_year, COUNT(*) AS n FROM course_grade GROUP BY ALL) SELECT COUNT(*) FROM c a JOIN c b ON b.student_key = a.student_key AND b.school_year = a.school_year + 1;

-- a standard deviation within a student of grades between 0 and 5 is at most 5 / √2
-- SUM(per_student.stddev_samp_grade_points) centred at 1.76777 | 858993458761 | 2022-2038 | 1
-- COUNT(per_student.stddev_samp_grade_points) | 1 | 2022-2038 | 1
SELECT AVG(spread) FROM (SELECT student_key, STDDEV(grade_points) AS spread FROM course_grade WHERE school_year = 2025 GROUP BY student_key);
