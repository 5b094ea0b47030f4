-- Steps within each student: each question stands under its refusal, code | line:column | what would be accepted.

-- a product that may not fit, inside a step
-- too_large | 1:43 | columns with smaller bounds, or a CAST to DOUBLE
SELECT COUNT(*) FROM (SELECT student_key, SUM(days_absent * days_absent * 1000000000 * 1000000) AS t FROM student_year GROUP BY student_key) WHERE t > 1;

-- joined with itself without a year, a student has too many rows
-- too_large | 1:30 | at most 10,000: an equality on more columns, such as school_year
SELECT COUNT(*) FROM (SELECT a.student_key, COUNT(*) AS n FROM course_grade a JOIN course_grade b USING (student_key) GROUP BY a.student_key) WHERE n > 1;

-- groups without the student below the line
-- unsupported | 1:22 | the question asked by itself first, then its number written in
SELECT COUNT(*) FROM student s LEFT JOIN (SELECT school_year, COUNT(*) AS n FROM program GROUP BY school_year) p ON p.n = s.cohort_year;

-- windows across students
-- crosses_students | 1:41 | PARTITION BY student_key: a window over one student's rows
SELECT AVG(r) FROM (SELECT student_key, ROW_NUMBER() OVER (ORDER BY gpa) AS r FROM student_year);

-- partitioned by something else
-- crosses_students | 1:41 | PARTITION BY student_key: a window over one student's rows
SELECT AVG(r) FROM (SELECT student_key, RANK() OVER (PARTITION BY school_id ORDER BY gpa) AS r FROM student_year);

-- DISTINCT without the student
-- crosses_students | 1:39 | SELECT DISTINCT student_key, …
SELECT COUNT(*) FROM (SELECT DISTINCT school_id, grade_level FROM student_year);

-- sides that carry the student in different places
-- crosses_students | 1:30 | student_key in the same place on both sides
SELECT COUNT(*) FROM (SELECT student_key, school_year FROM program UNION ALL SELECT school_year, student_key FROM student_year);

-- sides of different lengths
-- syntax | 1:30 | as many
SELECT COUNT(*) FROM (SELECT student_key FROM program UNION ALL SELECT student_key, school_year FROM student_year);

-- sides of different types
-- unsupported | 1:30 | one type
SELECT COUNT(*) FROM (SELECT student_key, school_year FROM program UNION ALL SELECT student_key, grade_level FROM student_year);

-- EXCEPT
-- unsupported | 1:30 | EXISTS or NOT EXISTS in WHERE
SELECT COUNT(*) FROM (SELECT student_key FROM program EXCEPT SELECT student_key FROM course_grade);

-- a subquery that is not tied to the student
-- crosses_students | 1:51 | x.student_key = y.student_key AND … in its WHERE
SELECT COUNT(*) FROM student WHERE EXISTS (SELECT 1 FROM program WHERE program_type = 'cte');

-- the owner compared with something else
-- owner_exposed | 1:41 | student_key IN (SELECT student_key FROM …)
SELECT COUNT(*) FROM student_year WHERE student_key IN (SELECT school_year FROM program);

-- the owner as a value
-- owner_exposed | 1:45 | a question about groups of students, such as COUNT(*) with GROUP BY on a listed column
SELECT SUM(o) FROM (SELECT student_key, MAX(student_key) AS o FROM student_year GROUP BY student_key);

-- the owner of another row
-- owner_exposed | 1:47 | a question about groups of students, such as COUNT(*) with GROUP BY on a listed column
SELECT COUNT(*) FROM (SELECT student_key, LAG(student_key) OVER (PARTITION BY student_key ORDER BY school_year) AS o FROM student_year);

-- the right side's owner makes no step
-- owner_exposed | 1:136 | IS NULL or IS NOT NULL on it, or student_key of the left side
SELECT COUNT(*) FROM (SELECT p.student_key, COUNT(*) AS n FROM student s LEFT JOIN program p ON p.student_key = s.student_key GROUP BY p.student_key);

-- NOT IN with what may be NULL
-- unsupported | 1:44 | EXISTS (SELECT 1 FROM … WHERE …) with the comparison written out, or IS NOT NULL
SELECT COUNT(*) FROM student_year y WHERE (student_key, gpa) NOT IN (SELECT student_key, gpa FROM student_year);

-- FIRST without an order
-- unsupported | 1:43 | FIRST(x ORDER BY school_year), or ARG_MAX(x, school_year)
SELECT COUNT(*) FROM (SELECT student_key, FIRST(gpa) AS f FROM student_year GROUP BY student_key);

-- LAG without an order
-- unsupported | 1:43 | OVER (PARTITION BY student_key ORDER BY school_year)
SELECT COUNT(*) FROM (SELECT student_key, LAG(gpa) OVER (PARTITION BY student_key) AS f FROM student_year);

-- a frame by values
-- unsupported | 1:118 | ROWS BETWEEN … PRECEDING AND … FOLLOWING, or RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
SELECT COUNT(*) FROM (SELECT student_key, SUM(gpa) OVER (PARTITION BY student_key ORDER BY school_year RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS f FROM student_year);

-- how many rows LAG looks back is no column
-- unsupported | 1:52 | from 0 to 1,000
SELECT COUNT(*) FROM (SELECT student_key, LAG(gpa, schools_attended) OVER (PARTITION BY student_key ORDER BY school_year) AS f FROM student_year);

-- an aggregate with the size of its rows
-- unsupported | 1:54 | COUNT, COUNT(DISTINCT …), SUM, AVG, MIN, MAX, BOOL_OR, BOOL_AND, MEDIAN, STDDEV, VARIANCE, ARG_MAX, ARG_MIN, FIRST and LAST with ORDER BY
SELECT COUNT(*) FROM (SELECT student_key, STRING_AGG(grade_level) AS f FROM student_year GROUP BY student_key);

-- a column outside GROUP BY
-- unsupported | 1:30 | it in GROUP BY or in an aggregate; ANY_VALUE where it is the same for a student
SELECT COUNT(*) FROM (SELECT student_key, school_id, COUNT(*) AS n FROM student_year GROUP BY student_key);

-- HAVING on a window
-- unsupported | 1:186 | QUALIFY instead of HAVING
SELECT COUNT(*) FROM (SELECT student_key, school_year, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY school_year) AS r FROM course_grade GROUP BY student_key, school_year HAVING r = 1);

-- QUALIFY without one
-- unsupported | 1:104 | WHERE
SELECT COUNT(*) FROM (SELECT student_key, COUNT(*) AS n FROM course_grade GROUP BY student_key QUALIFY n = 1);

-- groups by a mean
-- keys_undeclared | 1:109 | CAST(… AS INTEGER), or CASE WHEN … THEN … END
SELECT m, COUNT(*) FROM (SELECT student_key, AVG(gpa) AS m FROM student_year GROUP BY student_key) GROUP BY m;

-- no such column of a step
-- unknown_name | 1:12 | one of m
SELECT AVG(mean) FROM (SELECT student_key, AVG(gpa) AS m FROM student_year GROUP BY student_key);

-- what is switched off stays so inside
-- column_off | 1:60 | one of student, student_year, course_grade, assessment, program, graduation, school, scale_range
SELECT COUNT(*) FROM student s WHERE EXISTS (SELECT 1 FROM discipline d WHERE d.student_key = s.student_key);

-- names of a SELECT further out
-- unsupported | 1:125 | a join in the subquery
SELECT COUNT(*) FROM student s WHERE EXISTS (SELECT 1 FROM program p WHERE p.student_key = s.student_key AND EXISTS (SELECT 1 FROM course_grade g WHERE g.student_key = p.student_key AND g.school_year = s.entry_year));

-- the first row of each
-- unsupported | 1:56 | QUALIFY ROW_NUMBER()
SELECT grade_level, COUNT(*) FROM (SELECT DISTINCT ON (student_key) student_key, grade_level FROM student_year ORDER BY student_key, school_year DESC) GROUP BY 1;

-- ORDER BY in a step says nothing
-- unsupported | 1:30 | a subquery without it; ORDER BY at the end of the question
SELECT COUNT(*) FROM (SELECT student_key, COUNT(*) AS n FROM student_year GROUP BY student_key ORDER BY n);

-- a subquery with groups stands by itself
-- unsupported | 1:97 | student_key IN (SELECT student_key
SELECT COUNT(*) FROM student s WHERE EXISTS (SELECT 1 FROM student_year y WHERE y.student_key = s.student_key GROUP BY y.student_key HAVING COUNT(*) > 2);
