-- Joins that would let one student's rows meet another's, or that have no bound.

-- crosses_students | 1:22 | a.student_key = b.student_key
SELECT COUNT(*) FROM student JOIN student_year USING (cohort_year);

-- owner_exposed | 1:55 | groups of students
SELECT COUNT(*) FROM student s JOIN student_year y ON s.student_key <> y.student_key;

-- owner_exposed | 1:55 | groups of students
SELECT COUNT(*) FROM student s JOIN student_year y ON s.student_key = y.student_key OR TRUE;

-- crosses_students | 1:22 | a.student_key = b.student_key
SELECT COUNT(*) FROM student s CROSS JOIN student_year y;

-- crosses_students | 1:22 | a.student_key = b.student_key
SELECT COUNT(*) FROM student s JOIN (SELECT school_year FROM student_year) y ON TRUE;

-- the right side's owner is no owner: neither to join, nor to group, nor to carry on
-- owner_exposed | 1:122 | left side
SELECT COUNT(*) FROM student s LEFT JOIN program p ON p.student_key = s.student_key JOIN graduation g ON g.student_key = p.student_key;

-- owner_exposed | 1:96 | left side
SELECT p.student_key, COUNT(*) FROM student s LEFT JOIN program p USING (student_key) GROUP BY p.student_key;

-- owner_exposed | 1:78 | left side
SELECT COUNT(*) FROM student s LEFT JOIN program p USING (student_key) WHERE p.student_key = s.student_key;

-- owner_exposed | 1:30 | left side
SELECT COUNT(*) FROM (SELECT p.student_key FROM student s LEFT JOIN program p USING (student_key)) q JOIN student t ON t.student_key = q.student_key;

-- crosses_students | 1:41 | JOIN
SELECT COUNT(*) FROM school c LEFT JOIN student_year y ON y.school_id = c.school_id;

-- crosses_students | 1:42 | a.student_key = b.student_key
SELECT COUNT(*) FROM student s LEFT JOIN program p ON p.cohort_year = s.cohort_year;

-- unsupported | 1:43 | sides exchanged
SELECT COUNT(*) FROM student s RIGHT JOIN student_year y USING (student_key);

-- unsupported | 1:42 | by UNION ALL
SELECT COUNT(*) FROM student s FULL JOIN student_year y USING (student_key);

-- unsupported | 1:42 | EXISTS or IN
SELECT COUNT(*) FROM student s SEMI JOIN student_year y USING (student_key);

-- unsupported | 1:45 | USING the columns
SELECT COUNT(*) FROM student s NATURAL JOIN student_year y;

-- a public table without its key
-- unsupported | - | school on school_id
SELECT COUNT(*) FROM student_year y JOIN school c ON c.is_charter;

-- unsupported | - | school on school_id
SELECT COUNT(*) FROM student_year y LEFT JOIN school c ON c.locale = 'city';

-- too_large | - | such as school_year
SELECT COUNT(*) FROM course_grade a JOIN course_grade b USING (student_key);

-- unsupported | 1:22 | joined with it
SELECT COUNT(*) FROM school;

-- a name for each, and one meaning
-- unknown_name | 1:22 | student_year.school_year
SELECT COUNT(*), AVG(school_year) FROM student_year JOIN program USING (student_key);

-- syntax | 1:35 | alias
SELECT COUNT(*) FROM student JOIN student ON student.student_key = student.student_key;

-- unsupported | 1:24 | the question without it
WITH unused AS (SELECT * FROM student) SELECT COUNT(*) FROM student_year;

-- subqueries without aggregation
-- crosses_students | 1:30 | ROW_NUMBER
SELECT COUNT(*) FROM (SELECT * FROM student_year LIMIT 10) y;

-- crosses_students | 1:39 | SELECT DISTINCT student_key
SELECT COUNT(*) FROM (SELECT DISTINCT grade_level FROM student_year) y;

-- syntax | 1:30 | AS name
SELECT COUNT(*) FROM (SELECT gpa + 1 FROM student_year) y;

-- owner_exposed | 1:30 | groups of students
SELECT COUNT(*) FROM (SELECT student_key + 1 AS k FROM student_year) y;
