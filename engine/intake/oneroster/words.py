"""SQL of what a text of a bundle means: states, years, grades, marks. Each expression sees one text, and is total.

Letters' case and space are forgiven in enumerations. A text that stands for nothing is NULL, never a guess.
"""

from __future__ import annotations

_DELETED = "'tobedeleted', 'inactive', 'deleted'"
_TRUE = "'true', 't', 'yes', 'y', '1'"
_YEAR = "(19|20|21)[0-9]{2}"
_SPAN = _YEAR + " ?[-/] ?([0-9]{2}|[0-9]{4})"
_DATE = _YEAR + "-[0-9]{2}-[0-9]{2}.*"
_NUMBER = "[0-9]{1,6}([.][0-9]{1,4})?"
_FIRST_AUTUMN_MONTH = 7

UNGRADED = -9
_GRADES = {
    "ug": UNGRADED,
    # Preschool is PK here. Transitional kindergarten is the year before kindergarten: as PK, the class year is right.
    **dict.fromkeys(("pr", "pk", "tk"), -1),
    **dict.fromkeys(("kg", "k"), 0),
    **{f"{grade}": grade for grade in range(1, 13)},
    **{f"{grade:02}": grade for grade in range(1, 10)},
    "13": 12,  # a further year of high school
}
"""CEDS entry grade codes → grade numbers, KG 0. IT (infants), PS (after high school) and Other are none of ours."""

LETTERS = {
    "a+": "4.00",
    "a": "4.00",
    "a-": "3.70",
    "b+": "3.30",
    "b": "3.00",
    "b-": "2.70",
    "c+": "2.30",
    "c": "2.00",
    "c-": "1.70",
    "d+": "1.30",
    "d": "1.00",
    "d-": "0.70",
    "f": "0.00",
}
_PASSED, _FAILED = ("p", "pass", "s"), ("f", "fail", "u", "np", "nc")


def word(text: str) -> str:
    """SQL: a text of an enumeration, in small letters and without space."""
    return f"replace(lower({text}), ' ', '')"


def live(status: str) -> str:
    """SQL: whether a row is to be kept, by its status; bulk files usually leave it blank."""
    return f"(COALESCE({word(status)}, '') NOT IN ({_DELETED}))"


def truth(text: str) -> str:
    """SQL: whether a text says yes; never NULL."""
    return f"(COALESCE({word(text)}, '') IN ({_TRUE}))"


def said(text: str) -> str:
    """SQL: whether a text says yes; NULL where it is blank."""
    return f"CASE WHEN {text} IS NOT NULL THEN {truth(text)} END"


def school_year(text: str) -> str:
    """SQL: the spring year of 2025-2026, 2025-26 or 2026."""
    first, last = f"TRY_CAST(left({text}, 4) AS INTEGER)", f"TRY_CAST(regexp_extract({text}, '[0-9]+$') AS INTEGER)"
    return (
        f"CASE WHEN regexp_full_match({text}, '{_YEAR}') THEN {first} "
        f"WHEN regexp_full_match({text}, '{_SPAN}') AND {last} IN ({first} + 1, ({first} + 1) % 100) "
        f"THEN {first} + 1 END"
    )


def year_of_start(date: str) -> str:
    """SQL: the spring year in which something that begins on an ISO date ends, where years begin in July."""
    month = f"TRY_CAST(substr({date}, 6, 2) AS INTEGER)"
    return (
        f"CASE WHEN regexp_full_match({date}, '{_DATE}') AND {month} BETWEEN 1 AND 12 THEN "
        f"TRY_CAST(left({date}, 4) AS INTEGER) + ({month} >= {_FIRST_AUTUMN_MONTH})::INTEGER END"
    )


def cells(text: str) -> str:
    """SQL: the list of texts in one cell, comma between them."""
    return f"list_transform(string_split({text}, ','), lambda one: trim(one))"


def grade(text: str) -> str:
    """SQL: the highest grade number that a cell of grades names: -1 PK, 0 KG, 1 to 12; `UNGRADED` if only that."""
    return f"list_max({grade_numbers(text)})"


def grade_numbers(text: str) -> str:
    """SQL: the list of the grade numbers that a cell names."""
    cases = " ".join(f"WHEN '{code}' THEN {number}" for code, number in _GRADES.items())
    return f"list_transform(string_split({text}, ','), lambda one: CASE {word('one')} {cases} END)"


def grade_code(number: str) -> str:
    """SQL: the canonical code of a grade number."""
    return (
        f"CASE WHEN {number} = {UNGRADED} THEN 'UG' WHEN {number} = -1 THEN 'PK' WHEN {number} = 0 THEN 'KG' "
        f"ELSE lpad(CAST({number} AS VARCHAR), 2, '0') END"
    )


def number(text: str) -> str:
    """SQL: a plain number that is not negative, exact."""
    return f"CASE WHEN regexp_full_match({text}, '{_NUMBER}') THEN TRY_CAST({text} AS DECIMAL(12, 4)) END"


def sex(text: str) -> str:
    """SQL: the canonical sex; unspecified says nothing."""
    return f"CASE {word(text)} WHEN 'female' THEN 'F' WHEN 'f' THEN 'F' WHEN 'male' THEN 'M' WHEN 'm' THEN 'M' WHEN 'other' THEN 'X' WHEN 'x' THEN 'X' END"  # noqa: E501


def letter_points(text: str) -> str:
    """SQL: the grade points of a letter."""
    cases = " ".join(f"WHEN '{letter}' THEN {points}" for letter, points in LETTERS.items())
    return f"CAST(CASE {word(text)} {cases} END AS DECIMAL(12, 4))"


def letter_passed(text: str) -> str:
    """SQL: whether a letter is a pass."""
    passed = ", ".join(f"'{one}'" for one in (*(letter for letter in LETTERS if letter != "f"), *_PASSED))
    failed = ", ".join(f"'{one}'" for one in _FAILED)
    return f"CASE WHEN {word(text)} IN ({passed}) THEN TRUE WHEN {word(text)} IN ({failed}) THEN FALSE END"
