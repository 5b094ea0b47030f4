-- A01 | Attendance researcher | Chronic absence of a year, counted from events: absent on a tenth of the days in session
WITH absences AS (SELECT e.student_key, COUNT(*) AS days_absent FROM attendance_event e JOIN calendar c ON c.day = e.event_date WHERE c.school_year = 2025 AND c.in_session AND e.code IN ('absent', 'excused') GROUP BY e.student_key) SELECT s.sex, COUNT(*) AS students, COUNT(*) FILTER (WHERE COALESCE(a.days_absent, 0) >= 18) AS chronically_absent FROM student s LEFT JOIN absences a ON a.student_key = s.student_key GROUP BY s.sex;
-- A02 | Attendance office | Events of each month of a school year
SELECT DATE_TRUNC('month', event_date) AS month, code, COUNT(*) AS events, COUNT(DISTINCT student_key) AS students FROM attendance_event WHERE event_date BETWEEN DATE '2024-09-01' AND DATE '2025-06-30' GROUP BY month, code ORDER BY month, code;
-- A03 | Attendance office | Events of each school year, without a calendar
SELECT CASE WHEN MONTH(event_date) >= 7 THEN YEAR(event_date) + 1 ELSE YEAR(event_date) END AS school_year, COUNT(*) AS events FROM attendance_event GROUP BY school_year;
