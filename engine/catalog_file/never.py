"""What no catalog takes of students, and what it takes only as sensitive, by the words in columns' names.

A name is no proof of what a column holds; this catches the honest mistake. Whoever wants a statistic that one of
these names stands in the way of gives the column another name, and reads this sentence.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_IDENTIFIERS = frozenset((
    "address", "birthdate", "birthday", "dob", "email", "fingerprint", "login", "passport", "password", "phone",
    "photo", "sms", "ssn", "street", "surname", "telephone", "username",
))  # fmt: skip
_IDENTIFYING_NAMES = frozenset((
    "bdate", "birthdate", "dateofbirth", "familyname", "firstname", "fname", "forename", "fullname", "givenname",
    "guardianname", "lastname", "legalname", "lname", "maidenname", "middlename", "mname", "nickname", "parentname",
    "preferredname", "pupilname", "socialsecurity", "socialsecuritynumber", "studentname",
))  # fmt: skip
_NEVER = frozenset(("biometric", "biometrics", "citizenship", "immigration", "religion"))
_SENSITIVE = frozenset((
    "asylee", "discipline", "disciplinary", "disability", "expelled", "foster", "health", "homeless", "iss",
    "migrant", "military", "oss", "pregnant", "refugee", "suspension", "suspensions",
))  # fmt: skip


def words_of(name: str) -> tuple[str, ...]:
    """The words of a column's name, in small letters.

    >>> words_of("preferredGivenName"), words_of("BIRTH_DATE"), words_of("studentSSN")
    (('preferred', 'given', 'name'), ('birth', 'date'), ('student', 'ssn'))
    """
    return tuple(word.lower() for word in _WORD.findall(name))


def never_taken(name: str) -> bool:
    """Whether a column's name says that it identifies a person, or is refused for ever.

    >>> [never_taken(name) for name in ("birth_date", "lastName", "student_phone", "citizenship_status")]
    [True, True, True, True]
    >>> [never_taken(name) for name in ("school_name", "phoneme_score", "grade_level", "birth_quarter")]
    [False, False, False, False]
    """
    words = words_of(name)
    return bool((_IDENTIFIERS | _NEVER) & set(words)) or "".join(words) in _IDENTIFYING_NAMES


def taken_as_sensitive(name: str) -> bool:
    """Whether a column's or table's name says that it is sensitive.

    >>> [taken_as_sensitive(name) for name in ("homeless", "oss_days", "disability_category", "has_iep", "gpa")]
    [True, True, True, False, False]
    """
    return bool(_SENSITIVE & set(words_of(name)))
