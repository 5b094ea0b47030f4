-- Joins: rows of one student are counted table by table; what an equality fixes is one value.

-- Q07: unique (student, year, program, subject), all three pinned: one row, so one cell moves by 1; the 0/1 sum is ±1
-- COUNT(*) | 1 | 2022-2038 | 1
-- SUM(CASE …) centred at 0.5 | 1 | 2022-2038 | 1
SELECT grade_tested, COUNT(*) AS tested, SUM(CASE WHEN is_proficient THEN 1 ELSE 0 END) AS proficient FROM assessment WHERE school_year = 2025 AND test_program = 'state_summative' AND subject = 'math' AND participated GROUP BY grade_tested;

-- Q08: that one row, times the one row of student; race and level are functions of it
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT s.race_ethnicity, a.performance_level, COUNT(*) AS n FROM assessment a JOIN student s ON s.student_key = a.student_key WHERE a.school_year = 2025 AND a.test_program = 'state_summative' AND a.subject = 'ela' AND a.participated GROUP BY s.race_ethnicity, a.performance_level;

-- Q22: a is one row by its pins; b.school_year = 2024 + 1, its subject and program are a's, so b is one row too.
-- Maths scores lie in 200 … 700, so a gain lies in ±500: centred at 0, bound 500. A student has one cohort.
-- SUM(expression of assessment.scale_score, assessment_2.scale_score) centred at 0 | 250000 | 2022-2037 | 1
-- The scores that are there are measured as +1 or −1 beside all rows, and both together as one: half a share each.
-- COUNT(expression of assessment.scale_score, assessment_2.scale_score) beside COUNT(*) | 1 | 2022-2037 | 1/2
-- COUNT(*) | 1 | 2022-2037 | 1/2
SELECT s.cohort_year, AVG(b.scale_score - a.scale_score) AS mean_gain, COUNT(*) AS n FROM assessment a JOIN assessment b ON b.student_key = a.student_key AND b.school_year = a.school_year + 1 AND b.subject = a.subject AND b.test_program = a.test_program JOIN student s ON s.student_key = a.student_key WHERE a.school_year = 2024 AND a.subject = 'math' AND a.test_program='state_summative' AND a.participated AND b.participated GROUP BY s.cohort_year;

-- all years of two tables with seven years each, joined on the year: seven rows, not forty-nine
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT COUNT(*) FROM student_year y JOIN student_year z ON z.student_key = y.student_key AND z.school_year = y.school_year;

-- without it each year meets each other
-- COUNT(*) | 2401 | 2020-2039 | 1
SELECT COUNT(*) FROM student_year y JOIN student_year z ON z.student_key = y.student_key;

-- one row of a public table, named by its key alone, adds no row either
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT COUNT(*) FROM student_year y JOIN school c ON c.school_id = 1001;

-- a public table met on its key adds no row; seven years may all be at schools of one level
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT c.school_level, COUNT(*) FROM student_year y JOIN school c USING (school_id) GROUP BY c.school_level;

-- LEFT JOIN: a student has one row here, and program one row for each of seven years and six types
-- COUNT(*) | 1764 | 2020-2039 | 1
SELECT COUNT(*) FROM student s LEFT JOIN program p ON p.student_key = s.student_key;

-- pinned in ON a year has six; the left row is there even where none matches
-- COUNT(*) | 36 | 2020-2039 | 1
SELECT COUNT(*) FROM student s LEFT JOIN program p ON p.student_key = s.student_key AND p.school_year = 2025;

-- pinned above the LEFT JOIN the right side keeps nothing but its number of rows
-- COUNT(*) | 1764 | 2020-2039 | 1
SELECT COUNT(*) FROM student s LEFT JOIN program p ON p.student_key = s.student_key WHERE p.school_year = 2025 AND p.program_type = 'cte';

-- nor do keys of the right side tell groups apart: all 42 rows may lie in one
-- COUNT(*) | 1764 | 2020-2039 | 1
SELECT p.program_type, COUNT(*) FROM student s LEFT JOIN program p ON p.student_key = s.student_key GROUP BY p.program_type;

-- both keys equated: at most one row for each left row
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT COUNT(*) FROM student_year y LEFT JOIN program p ON p.student_key = y.student_key AND p.school_year = y.school_year AND p.program_type = 'cte' WHERE y.school_year = 2025 AND p.student_key IS NULL;

-- each student once in each of nine areas, whatever the grades
-- COUNT(DISTINCT student_key) | 9 | 2022-2038 | 1
SELECT subject_area, COUNT(DISTINCT student_key) FROM course_grade WHERE school_year = 2025 GROUP BY 1;

-- each student once
-- COUNT(DISTINCT student_key) | 1 | 2022-2038 | 1
SELECT COUNT(DISTINCT g.student_key) FROM course_grade g WHERE g.school_year = 2025;

-- where a student has one row, students are rows, and both are one measurement
-- COUNT(*), as COUNT(DISTINCT student_key) | 1 | 2022-2038 | 1
SELECT COUNT(DISTINCT student_key), COUNT(*), COUNT(student_key) FROM student_year WHERE school_year = 2025;

-- seven years, two values: at most seven rows in either group
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT has_iep AND english_learner, COUNT(*) FROM student_year GROUP BY 1;

-- of the seven years 2020 to 2026 three are before 2023, and four not: 3² + 4²
-- COUNT(*) | 25 | 2020-2039 | 1
SELECT school_year < 2023, COUNT(*) FROM student_year GROUP BY 1;

-- one year in each group, as by school_year itself
-- COUNT(*) | 7 | 2020-2039 | 1
SELECT school_year + 1, COUNT(*) FROM student_year GROUP BY 1;

-- a class is a function of the student, and so is what is made of it: all seven years in one group
-- COUNT(*) | 49 | 2020-2039 | 1
SELECT cohort_year >= 2028, COUNT(*) FROM student_year GROUP BY 1;

-- a score band: scores are too many to be tried one by one, the branches are the groups; all rows may be in one
-- COUNT(*) | 64 | 2022-2038 | 1
SELECT CASE WHEN scale_score >= 500 THEN 'high' ELSE 'low' END, COUNT(*) FROM assessment WHERE school_year = 2025 GROUP BY 1;
