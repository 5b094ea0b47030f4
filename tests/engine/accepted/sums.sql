-- Sums and averages: the centred sum, and the count of rows whose argument is not NULL.

-- Q04: the count is asked for, so count and centred indicator share equally; ±1 has bound 1
-- COUNT(*) | 1 | 2022-2038 | 1
-- SUM(CASE …) centred at 0.5 | 1 | 2022-2038 | 1
SELECT COUNT(*) AS students, SUM(CASE WHEN days_absent >= 0.10 * days_enrolled THEN 1 ELSE 0 END) AS chronic FROM student_year WHERE school_year = 2025 AND days_enrolled >= 10;

-- Q03: an average of 0/1 written with decimals is the same indicator
-- SUM(CASE …) centred at 0.5 | 1 | 2022-2038 | 1
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT school_id, AVG(CASE WHEN econ_disadv THEN 1.0 ELSE 0.0 END) AS pct_econ FROM student_year WHERE school_year = 2025 GROUP BY school_id;

-- a flag is averaged as it is
-- SUM(expression of econ_disadv) centred at 0.5 | 1 | 2022-2038 | 1
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT AVG(econ_disadv) FROM student_year WHERE school_year = 2025;

-- gpa 0 … 5 in hundredths, centred at 2.5: bound 250; count and sum of one column are two statistics, AVG is free
-- SUM(gpa) centred at 2.5 | 62500 | 2022-2038 | 1
-- COUNT(gpa) | 1 | 2022-2038 | 1
SELECT AVG(gpa), SUM(gpa), COUNT(gpa) FROM student_year WHERE school_year = 2025;

-- SUM alone: the count only undoes the centring; |c| : h is 450 : 250, the score ranges of the pins being narrower still
-- SUM(CASE …) centred at 450 | 62500 | 2022-2038 | 5/7
-- COUNT(CASE …) | 1 | 2022-2038 | 9/7
SELECT SUM(CASE WHEN scale_score BETWEEN 200 AND 800 THEN scale_score END) AS total FROM assessment WHERE school_year = 2025 AND test_program = 'state_summative' AND subject = 'math';

-- the researcher's own bounds tighten: 0 … 100 days, bound 500 tenths, a student has at most seven rows
-- SUM(CASE …) centred at 50 | 12250000 | 2020-2039 | 1
-- COUNT(CASE …) | 49 | 2020-2039 | 1
SELECT AVG(CASE WHEN days_absent BETWEEN 0 AND 100 THEN days_absent END) AS absent FROM student_year;

-- WHERE tightens as well; tenths of a day from 0 to 9: bound 45 of them
-- SUM(days_absent) centred at 4.5 | 2025 | 2022-2038 | 1
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT AVG(days_absent) FROM student_year WHERE school_year = 2025 AND days_absent <= 9;

-- a symmetrical range needs no centring, and no count
-- SUM(expression of gpa) centred at 0 | 62500 | 2022-2038 | 1
SELECT SUM(gpa - 2.5) FROM student_year WHERE school_year = 2025;

-- one branch without ELSE: a sum of ones is a count
-- COUNT(CASE …) | 1 | 2022-2038 | 1
SELECT SUM(CASE WHEN gpa >= 3 THEN 1 END) FROM student_year WHERE school_year = 2025;

-- arithmetic over aggregates costs nothing more
-- SUM(CASE …) centred at 0.5 | 1 | 2022-2038 | 1
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT 100.0 * SUM(CASE WHEN has_iep THEN 1 ELSE 0 END) / COUNT(*) AS pct FROM student_year WHERE school_year = 2025;

-- bounds by a public table are those of the rows that the pins leave: maths from 200 to 700
-- SUM(scale_score) centred at 450 | 62500 | 2022-2038 | 1
-- COUNT(scale_score) | 1 | 2022-2038 | 1
SELECT AVG(scale_score) FROM assessment WHERE school_year = 2025 AND test_program = 'state_summative' AND subject = 'math';

-- of both subjects: from 200 to 800, and one student may have both
-- SUM(scale_score) centred at 500 | 360000 | 2022-2038 | 1
-- COUNT(scale_score) | 4 | 2022-2038 | 1
SELECT AVG(scale_score) FROM assessment WHERE school_year = 2025 AND test_program = 'state_summative' AND subject IN ('math', 'ela');

-- FILTER pins its own statistic
-- SUM(scale_score) centred at 1000 | 360000 | 2022-2038 | 1
-- COUNT(scale_score) | 1 | 2022-2038 | 1
SELECT AVG(scale_score) FILTER (WHERE test_program = 'sat') FROM assessment WHERE school_year = 2025 AND subject = 'composite';

-- a branch pins its own value: 0 or 250 … 800, centred at 400; of the two subjects a student may have both
-- SUM(CASE …) centred at 400 | 640000 | 2022-2038 | 1
-- COUNT(CASE …) | 4 | 2022-2038 | 1
SELECT AVG(CASE WHEN subject = 'ela' THEN scale_score ELSE 0 END) FROM assessment WHERE school_year = 2025 AND test_program = 'state_summative' AND subject IN ('math', 'ela');

-- no row of the table is left: there can be no such score, and its sum and count are the constant 0
-- COUNT(*) | 1 | 2022-2038 | 1
SELECT COUNT(*), COUNT(scale_score), SUM(scale_score) FROM assessment WHERE school_year = 2025 AND test_program = 'sat' AND subject = 'math';
