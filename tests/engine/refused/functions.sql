-- Functions that are not in the table, arguments that do not fit, values that no list holds.

-- unsupported | 1:41 | ROUND
SELECT COUNT(*) FROM student_year WHERE ROUNDED(gpa) = 3;

-- size by a value
-- unsupported | 1:36 | REPLACE
SELECT COUNT(*) FROM student WHERE REPEAT(sex, 3) = 'FFF';

-- unsupported | 1:36 | CASE
SELECT COUNT(*) FROM student WHERE MD5(sex) = 'x';

-- unsupported | 1:45 | a text
SELECT COUNT(*) FROM student WHERE sex LIKE 7;

-- unsupported | 1:52 | -9 to 9
SELECT COUNT(*) FROM student_year WHERE ROUND(gpa, gpa) = 3;

-- unsupported | 1:50 | from 0 to 10
SELECT COUNT(*) FROM student_year WHERE POWER(2, days_enrolled) > 3;

-- unsupported | 1:41 | FLOOR(a / b)
SELECT COUNT(*) FROM student_year WHERE gpa // 2 = 1;

-- unsupported | 1:42 | characters
SELECT COUNT(*) FROM student WHERE sex ~ '(?i)f';

-- what a record's text is like is not worked out
-- keys_undeclared | 1:44 | value list
SELECT COUNT(*) FROM assessment WHERE CAST(scale_score AS VARCHAR) LIKE '%5';

-- unknown_name | 1:42 | F, M, X
SELECT COUNT(*) FROM student WHERE sex = 'Female';

-- unknown_name | 1:57 | 09
SELECT COUNT(*) FROM student_year WHERE grade_level IN ('9', '10');

-- unknown_name | 1:108 | tutoring
SELECT COUNT(*) FROM student s LEFT JOIN program p ON p.student_key = s.student_key WHERE p.program_type = 'tutor';

-- too large, or without bounds
-- too_large | 1:8 | smaller bounds
SELECT SUM(POWER(POWER(POWER(POWER(days_absent, 10), 10), 10), 10)) FROM student_year;

-- of a group's value
-- unsupported | 1:21 | the same in GROUP BY
SELECT school_year, MOD(school_year, 2) AS odd, COUNT(*) FROM student_year GROUP BY school_year;

-- unsupported | 1:12 | DATE_DIFF('day', earlier, later)
SELECT AVG(AGE(DATE '2026-01-01', DATE '2025-01-01')) FROM student;
