-- Each question stands under its refusal: code | line:column | a piece of what would be accepted.

-- unsupported | 1:8 | COUNT(*)
SELECT * FROM student_year WHERE school_year = 2025;

-- owner_exposed | 1:57 | groups of students
SELECT student_key, COUNT(*) FROM course_grade GROUP BY student_key;

-- owner_exposed | 1:41 | groups of students
SELECT COUNT(*) FROM student_year WHERE student_key = 604821;

-- owner_exposed | 1:12 | groups of students
SELECT SUM(student_key) FROM student_year;

-- owner_exposed | 1:44 | groups of students
SELECT COUNT(*) FROM student_year GROUP BY STUDENT_KEY;

-- unsupported | 1:12 | share beyond a threshold
SELECT MAX(gpa), MIN(days_absent) FROM student_year WHERE school_year = 2025;

-- unsupported | 1:30 | in GROUP BY
SELECT RANK() OVER (ORDER BY gpa) FROM student_year;

-- unsupported | 1:15 | student_year
SELECT * FROM read_csv('/etc/passwd');

-- crosses_students | 1:22 | a.student_key = b.student_key
SELECT COUNT(*) FROM student JOIN student_year ON TRUE;

-- crosses_students | 1:22 | a.student_key = b.student_key
SELECT COUNT(*) FROM student, student_year;

-- unsupported | 1:19 | without it
WITH x AS (SELECT 1) SELECT COUNT(*) FROM student;

-- unsupported | 1:17 | in GROUP BY
SELECT DISTINCT grade_level FROM student_year;

-- crosses_students | 1:22 | all rows
SELECT COUNT(*) FROM student TABLESAMPLE 10%;

-- crosses_students | 1:43 | all rows
SELECT COUNT(*) FROM student USING SAMPLE 10%;

-- syntax | - | one SELECT
SELECT COUNT(*) FROM student; SELECT COUNT(*) FROM student;

-- unsupported | 1:1 | one SELECT
DROP TABLE student;

-- unsupported | 1:1 | one SELECT
EXPLAIN SELECT COUNT(*) FROM student;

-- unsupported | 1:1 | one SELECT
PRAGMA database_list;

-- unknown_name | 1:22 | student
SELECT COUNT(*) FROM studnt;

-- unknown_name | 1:12 | gpa
SELECT AVG(gpaa) FROM student_year;

-- unknown_name | 1:12 | y
SELECT AVG(x.gpa) FROM student_year y;

-- unsupported | 1:22 | the table's name alone
SELECT COUNT(*) FROM other.student_year;

-- column_off | 1:22 | student
SELECT COUNT(*) FROM discipline;

-- unsupported | 1:22 | student
SELECT COUNT(*) FROM school;

-- keys_undeclared | 1:57 | AS INTEGER
SELECT days_absent, COUNT(*) FROM student_year GROUP BY days_absent;

-- keys_undeclared | 1:44 | AS INTEGER
SELECT COUNT(*) FROM student_year GROUP BY school_year / 2;

-- unsupported | 1:8 | in GROUP BY
SELECT grade_level, COUNT(*) FROM student_year;

-- unsupported | 1:8 | such as AVG
SELECT gpa FROM student_year;

-- unsupported | 1:8 | aggregate
SELECT 1 FROM student_year;

-- syntax | 1:8 | FROM
SELECT COUNT(*);

-- unsupported | 1:36 | comparison
SELECT COUNT(*) FROM student WHERE cohort_year;

-- unsupported | 1:41 | single quotes
SELECT COUNT(*) FROM student_year WHERE grade_level = 9;

-- unsupported | 1:12 | COUNT
SELECT AVG(grade_level) FROM student_year;

-- unsupported | 1:8 | a subquery SELECT DISTINCT student_key, school_year
SELECT COUNT(DISTINCT (student_key, school_year)) FROM student_year;

-- syntax | 1:8 | LIMIT
SELECT TOP 5 grade_level, COUNT(*) FROM student_year GROUP BY grade_level;

-- unsupported | 1:12 | COALESCE(x, y)
SELECT AVG(ISNULL(gpa, 0)) FROM student_year;

-- unknown_name | 1:49 | CAST
SELECT COUNT(*) FROM student_year WHERE CONVERT(INT, grade_level) > 3;

-- unsupported | 1:71 | without PERCENT
SELECT school_year, COUNT(*) FROM student_year GROUP BY 1 FETCH FIRST 5 PERCENT ROWS ONLY;

-- unsupported | 1:8 | GROUP BY grade_level
SELECT COUNT(DISTINCT grade_level) FROM student_year;

-- unsupported | 1:41 | UPPER
SELECT COUNT(*) FROM student_year WHERE uppper(grade_level) = 'KG';

-- a function of which no total form is accepted
-- unsupported | 1:41 | CASE
SELECT COUNT(*) FROM student_year WHERE factorial(schools_attended) = 6;

-- unsupported | 1:41 | HAVING COUNT(*) > 5
SELECT COUNT(*) FROM student_year WHERE COUNT(*) > 5;

-- unsupported | 1:55 | asked by itself
SELECT COUNT(*) FROM student_year WHERE gpa > (SELECT 3);

-- syntax | 1:41 | FROM a table
SELECT COUNT(*) FROM student_year WHERE gpa IN (SELECT 3);

-- unsupported | 1:49 | list such as
SELECT COUNT(*) FROM student_year WHERE gpa IN (gpa, 3);

-- unsupported | 1:36 | LIMIT 10
SELECT COUNT(*) FROM student LIMIT ALL;

-- unsupported | 1:36 | LIMIT 10
SELECT COUNT(*) FROM student LIMIT 1 + 1;

-- syntax | 1:68 | a number
SELECT grade_level, COUNT(*) FROM student_year GROUP BY 1 ORDER BY 7;

-- too_large | 1:47 | 4.6e18
SELECT COUNT(*) FROM student_year WHERE gpa > 1e30;

-- unsupported | 1:17 | cast
SELECT AVG(CAST(gpa AS VARCHAR)) FROM student_year;

-- unsupported | 1:17 | TINYINT
SELECT AVG(CAST(gpa AS TIMESTAMP)) FROM student_year;

-- bounds_missing | 1:8 | leaves out 0
SELECT AVG(CAST(gpa AS DOUBLE) / (CAST(gpa AS DOUBLE) - 1)) FROM student_year;

-- unsupported | 1:8 | such as AVG
SELECT gpa, COUNT(*) FROM student_year;

-- too_large | 1:12 | decimal places
SELECT AVG(gpa * gpa * gpa * gpa * gpa) FROM student_year;

-- too_large | 1:8 | smaller bounds
SELECT AVG(school_id * school_id * school_id * school_id * school_id * school_id * school_id) FROM student_year;

-- keys_undeclared | - | at most 100,000
SELECT COUNT(*) FROM student_year GROUP BY school_year, school_id, grade_level, cohort_year, econ_disadv, has_iep;

-- too_large | - | smaller bounds
SELECT COUNT(*) FROM student_year WHERE COALESCE(gpa, 4000000000000000000) > 0;

-- too_large | - | narrower bounds
SELECT SUM(CASE WHEN econ_disadv THEN 1000000000000000 ELSE 0 END) FROM student_year WHERE school_year = 2025;

-- unsupported | 1:32 | a number
SELECT grade_level, COUNT(*) + grade_level FROM student_year GROUP BY grade_level;

-- syntax | 1:13 | COUNT(*)
SELECT FROM student_year;

-- syntax | 1:15 | COUNT(*)
SELECT + FROM student_year GROUP BY grade_level;

-- syntax | 1:41 | IN ('09', '10')
SELECT COUNT(*) FROM student_year WHERE gpa IN;

-- syntax | 1:41 | IN ('09', '10')
SELECT COUNT(*) FROM student_year WHERE gpa IN ();

-- keys_undeclared | 1:61 | AS INTEGER
SELECT days_absent * 2, COUNT(*) FROM student_year GROUP BY 1;

-- unsupported | 1:83 | QUALIFY instead
SELECT sex, RANK() OVER (ORDER BY COUNT(*)) AS r FROM student GROUP BY sex HAVING r < 3;

-- unsupported | 1:56 | HAVING
SELECT sex, COUNT(*) FROM student GROUP BY sex QUALIFY COUNT(*) > 5;

-- unsupported | 1:13 | without ROWS
SELECT sex, SUM(COUNT(*)) OVER (ORDER BY sex ROWS 1 PRECEDING) FROM student GROUP BY sex;

-- unsupported | 1:46 | share beyond a threshold
SELECT COUNT(*) FROM student_year HAVING MAX(gpa) > 3;

-- unsupported | 1:16 | single rows
SELECT SUM(AVG(COUNT(*))) OVER () FROM student GROUP BY sex;

-- unsupported | 1:63 | such as AVG
SELECT COUNT(*) FROM student_year GROUP BY grade_level HAVING gpa > 3;
