"""Columns that are never read from a source about students, by the words in their names.

Names, ids, addresses, birth, guardians and log-ins identify a person and serve no statistic; only the column a
mapping names as the owner is read, and of it nothing but a keyed hash is kept.
"""

from __future__ import annotations

from engine.catalog_file.never import words_of

_WORDS = frozenset((
    "address", "addresses", "birthdate", "birthday", "citizenship", "dob", "email", "emails", "father", "fingerprint",
    "guardian", "guardians", "immigration", "login", "mail", "mobile", "mother", "parent", "parents", "passport",
    "password", "phone", "phones", "photo", "religion", "residence", "signature", "sms", "ssn", "street", "surname",
    "telephone", "username", "zip", "zipcode",
))  # fmt: skip
_NAMES = frozenset((
    "alias", "bdate", "fname", "forename", "lname", "mname", "name", "names", "nickname", "pupilname",
    "socialsecurity", "socialsecuritynumber",
))  # fmt: skip
_IDS = frozenset((
    "identifier", "localid", "personid", "pupilid", "ssid", "stateid", "statestudentid", "studentid", "studentkey",
    "studentlocalid", "studentnumber", "studentstateid", "studentuniqueid", "studentusi", "stuid", "userids",
    "usermasteridentifier", "usersourcedid",
))  # fmt: skip
_KINDS_OF_NAME = frozenset((
    "family", "first", "full", "given", "last", "legal", "maiden", "middle", "nick", "preferred", "student", "user",
))  # fmt: skip


def joined(header: str) -> str:
    """A column's name without what stands between its words.

    >>> joined("Student_ID"), joined("student id")
    ('studentid', 'studentid')
    """
    return "".join(words_of(header))


def never_read(header: str) -> bool:
    """Whether a column's name says that it identifies a person, or that it is none of a school's business.

    >>> [never_read(name) for name in ("First Name", "dob", "birthq", "emailAddress", "name", "Student ID")]
    [True, True, True, True, True, True]
    >>> [never_read(name) for name in ("school_name", "grade", "phoneme_score", "school_id", "program_name")]
    [False, False, False, False, False]
    """
    words = words_of(header)
    if any(word in _WORDS or word.startswith("birth") for word in words):
        return True
    whole = "".join(words)
    naming = bool({"name", "names"} & set(words)) and bool(_KINDS_OF_NAME & set(words))
    return naming or whole in _NAMES | _IDS or whole in {f"{kind}name" for kind in _KINDS_OF_NAME}
