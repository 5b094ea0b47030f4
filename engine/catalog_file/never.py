"""What no catalog takes of students, and what it takes only as sensitive, by the words in columns' names.

A name is no proof of what a column holds; this catches the honest mistake. Whoever wants a statistic that one of
these names stands in the way of gives the column another name, and reads this sentence.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_IDENTIFIERS = frozenset((
    "address", "birthdate", "birthday", "birthdt", "dob", "email", "emails", "emailaddress", "fax", "fingerprint",
    "guardian", "guardians", "homephone", "latitude", "login", "longitude", "medicaid", "mobile", "passport",
    "password", "phone", "phones", "photo", "signature", "sms", "ssid", "ssn", "street", "surname", "telephone",
    "username", "zip", "zipcode",
))  # fmt: skip
_IDENTIFYING_NAMES = frozenset((
    "bdate", "dateofbirth", "fname", "forename", "lname", "mname", "nickname", "pupilname", "socialsecurity",
    "socialsecuritynumber", "statestudentid", "studentid", "studentnumber",
))  # fmt: skip
_KINDS_OF_NAME = frozenset((
    "family", "father", "first", "full", "given", "guardian", "last", "legal", "maiden", "middle", "mother", "parent",
    "preferred", "pupil", "student",
))  # fmt: skip
_NEVER = ("biometr", "citizen", "immigra", "religio", "undocumented")
_SENSITIVE = (
    "asylee", "disabil", "disabled", "disciplin", "expelled", "expulsion", "foster", "handicap", "health", "homeless",
    "juvenile",
    "medical", "migrant", "military", "parenting", "pregnan", "refugee", "suspen",
)  # fmt: skip
"""Beginnings of words."""
_SENSITIVE_WORDS = frozenset(("iss", "oss"))


def words_of(name: str) -> tuple[str, ...]:
    """The words of a column's name, in small letters.

    >>> words_of("preferredGivenName"), words_of("BIRTH_DATE"), words_of("studentSSN")
    (('preferred', 'given', 'name'), ('birth', 'date'), ('student', 'ssn'))
    """
    return tuple(word.lower() for word in _WORD.findall(name))


def never_taken(name: str) -> bool:
    """Whether a column's name says that it identifies a person, or is refused for ever.

    >>> [never_taken(name) for name in ("birth_date", "lastName", "student_phone", "citizenship", "first name")]
    [True, True, True, True, True]
    >>> [never_taken(name) for name in ("school_name", "phoneme_score", "grade_level", "birth_quarter", "first_year")]
    [False, False, False, False, False]
    """
    words = words_of(name)
    whole = "".join(words)
    naming = any(whole == f"{kind}name" for kind in _KINDS_OF_NAME) or (
        bool({"name", "names"} & set(words)) and bool(_KINDS_OF_NAME & set(words))
    )
    birth = "birth" in words and bool({"date", "day"} & set(words))
    listed = bool(_IDENTIFIERS & set(words)) or whole in _IDENTIFYING_NAMES
    return naming or birth or listed or _begins(words, _NEVER)


def taken_as_sensitive(name: str) -> bool:
    """Whether a column's or table's name says that it is sensitive.

    >>> [taken_as_sensitive(name) for name in ("homelessness", "oss_days", "disability_category", "has_iep", "gpa")]
    [True, True, True, False, False]
    >>> taken_as_sensitive("econ_disadv")
    False
    """
    words = words_of(name)
    return bool(_SENSITIVE_WORDS & set(words)) or _begins(words, _SENSITIVE)


def _begins(words: tuple[str, ...], beginnings: tuple[str, ...]) -> bool:
    return any(word.startswith(beginnings) for word in words)
