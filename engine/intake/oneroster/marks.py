"""The table `course_grade`: results of line items that stand for a final mark, and of no other.

A line item does so if its title, or that of its category, is one of `FINAL_TITLES`, but for letters' case and space.
A bare "Final" is not among them: it is often an examination. Only results that are fully graded count, and only
those that can be read as a pass or a fail: a letter, or a number whose highest value (`resultValueMax`) is told.
On a scale up to 5 a number is grade points and 1 is a pass; on a longer one 60 % is a pass and points are not known.
Line items and categories are a school's and not a student's: like classes, they are taken as public.

Of several results of one person in one line item the best stays. The subject is told by SCED codes (five digits),
else by the words of the subjects, of the class first, then of the course; the level by words of the titles.
"""
# ruff: noqa: S608 - statements are made of our own names and of `words`

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.intake.oneroster.words import cells, letter_passed, letter_points, live, number, word

if TYPE_CHECKING:
    import duckdb

FINAL_TITLES = (
    "final grade",
    "final mark",
    "final course grade",
    "course grade",
    "term grade",
    "semester grade",
    "year grade",
    "report card grade",
)
POINTS_MAX = 5

_SCED = {
    "ela": (1,),
    "math": (2,),
    "science": (3,),
    "social": (4,),
    "arts": (5,),
    "world_lang": (6, 24),
    "pe_health": (8,),
    "cte": tuple(range(10, 22)),
}
_SCED_PRIMARY = 50
_WORDS = (
    ("cte", r"career|technical|business|computer|engineering|agricultur\w*|cte|vocational"),
    ("ela", r"english|language arts|ela|reading|literature|writing"),
    ("math", r"math\w*|algebra|geometry|calculus|statistics|trigonometry"),
    ("social", r"social \w+|history|geography|economics|government|civics"),
    ("science", r"sciences?|biology|chemistry|physics"),
    ("world_lang", r"(world|foreign) languages?|spanish|french|german|latin|chinese|mandarin|japanese|arabic"),
    ("pe_health", r"physical education|pe|health"),
    ("arts", r"arts?|music|theat(er|re)|drama|dance|band|choir|chorus|orchestra"),
)
_LEVELS = (
    ("ap_ib", r"ap|advanced placement|ib|international baccalaureate"),
    ("dual_credit", r"dual (credit|enrollment)"),
    ("honors", r"honou?rs|hon"),
    ("remedial", r"remedial|remediation"),
)


def _by_words(text: str, rules: tuple[tuple[str, str], ...], otherwise: str) -> str:
    r"""SQL: the first rule whose words stand in a text."""
    cases = " ".join(
        f"WHEN regexp_matches(lower({text}), '\\b({words})\\b') THEN '{value}'" for value, words in rules
    )
    return f"CASE {cases} ELSE {otherwise} END"


def _by_code(codes: str) -> str:
    """SQL: the subject of the first cell that is a SCED code; those for the lower grades are 50 higher."""
    cases = " ".join(
        f"WHEN {one} THEN '{subject}' WHEN {one + _SCED_PRIMARY} THEN '{subject}'"
        for subject, numbers in _SCED.items()
        for one in numbers
    )
    found = f"list_filter({cells(codes)}, lambda one: regexp_full_match(one, '[0-9]{{5}}([^0-9].*)?'))"
    return f"CASE TRY_CAST(left({found}[1], 2) AS INTEGER) {cases} END"


_SUBJECT = (
    f"COALESCE({_by_code('codes')}, {_by_code('course_codes')}, {_by_words('subjects', _WORDS, 'NULL')}, "
    f"{_by_words('course_subjects', _WORDS, 'NULL')}, 'other')"
)

_COURSES = f"""
CREATE OR REPLACE TABLE raw_subject AS
SELECT bundle, id, MIN({{'subject': {_SUBJECT}, 'level': {_by_words("titles", _LEVELS, "'regular'")}}}) AS taught
FROM (SELECT c.bundle, c.id, c.codes, c.subjects, k.codes AS course_codes, k.subjects AS course_subjects,
             concat_ws(' ', c.title, k.title) AS titles
      FROM raw_classes AS c LEFT JOIN raw_courses AS k ON k.bundle = c.bundle AND k.id = c.course
      WHERE c.id IS NOT NULL)
GROUP BY bundle, id
"""

_FINAL = ", ".join(f"'{title.replace(' ', '')}'" for title in FINAL_TITLES)
_FINALS = f"""
CREATE OR REPLACE TABLE raw_final AS
SELECT i.bundle, i.id, MIN({{'class': i.class, 'least': {number("i.least")}, 'most': {number("i.most")},
       'year': t.year}}) AS item
FROM raw_lineitems AS i
LEFT JOIN raw_categories AS k ON k.bundle = i.bundle AND k.id = i.category AND {live("k.status")}
LEFT JOIN raw_term AS t ON t.bundle = i.bundle AND t.id = i.period
WHERE {live("i.status")} AND ({word("i.title")} IN ({_FINAL}) OR {word("k.title")} IN ({_FINAL}))
GROUP BY i.bundle, i.id
"""

_READ = f"""
SELECT m.person, f.id AS item, COALESCE(f.item.year, l.year, m.year) AS school_year, l.school_id,
    COALESCE(s.taught.subject, 'other') AS subject_area, COALESCE(s.taught.level, 'regular') AS course_level,
    COALESCE({letter_points("r.text")}, {letter_points("r.score")}) AS of_letter,
    COALESCE({letter_passed("r.text")}, {letter_passed("r.score")}) AS by_letter,
    {number("r.score")} AS score,
    CASE WHEN COALESCE(f.item.least, 0) = 0 AND f.item.most > 0 THEN f.item.most END AS most
FROM raw_results AS r JOIN raw_member AS m ON m.bundle = r.bundle AND m.id = r."user"
JOIN raw_final AS f ON f.bundle = r.bundle AND f.id = r.item
LEFT JOIN raw_lesson AS l ON l.bundle = f.bundle AND l.id = f.item.class
LEFT JOIN raw_subject AS s ON s.bundle = f.bundle AND s.id = f.item.class
WHERE {live("r.status")} AND {word("r.state")} = 'fullygraded'
"""

_JUDGED = f"""
SELECT person, item, school_year, school_id, subject_area, course_level,
    COALESCE(of_letter, CASE WHEN by_letter IS NULL AND most <= {POINTS_MAX} THEN round(score, 2) END)
        AS grade_points,
    COALESCE(by_letter, CASE WHEN most <= {POINTS_MAX} THEN score >= 1 ELSE score >= most * 0.6 END) AS is_passed
FROM ({_READ})
"""

_MARKS = f"""
CREATE OR REPLACE TABLE raw_made_course_grade AS
SELECT p.person, j.school_year, j.mark.school_id, j.mark.subject_area, j.mark.course_level, j.mark.grade_points,
    j.mark.is_passed
FROM (SELECT person, item, school_year, MAX({{'is_passed': is_passed, 'best': COALESCE(grade_points, -1),
             'grade_points': grade_points, 'school_id': school_id, 'subject_area': subject_area,
             'course_level': course_level}}) AS mark
      FROM ({_JUDGED}) WHERE is_passed IS NOT NULL GROUP BY person, item, school_year) AS j
JOIN raw_person AS p ON p.number = j.person
"""


def make_marks(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `raw_made_course_grade`; after `find_people`."""
    for statement in (_COURSES, _FINALS, _MARKS):
        connection.execute(statement)
