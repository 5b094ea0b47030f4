"""What columns are usually called, and how their values are usually coded: a start for a draft, never a decision."""

from __future__ import annotations

from engine.intake.mapping.identifiers import joined

OWNERS = (
    "studentkey",
    "studentid",
    "studentnumber",
    "stuid",
    "sid",
    "pupilid",
    "personid",
    "localid",
    "usermasteridentifier",
    "studentuniqueid",
    "usersourcedid",
    "identifier",
    "sourcedid",
    "id",
)
"""Names of the column with a person's id, the surest first."""

YEARS = ("schoolyear", "academicyear", "schyear", "syear", "sy", "year", "yr")

_COLUMNS = {
    "sex": ("sex", "gender", "male", "female", "sx"),
    "race_ethnicity": ("raceethnicity", "raceeth", "racecode", "federalrace", "race", "ethnicity", "eth"),
    "cohort_year": ("cohortyear", "classof", "graduationyear", "gradyear", "expectedgraduationyear", "cohort"),
    "entry_year": ("entryyear", "firstyear"),
    "school_year": YEARS,
    "school_id": ("schoolid", "schid", "schoolcode", "schoolnumber", "school", "sch", "buildingid"),
    "grade_level": ("gradelevel", "gradelvl", "currentgrade", "grade", "gr"),
    "econ_disadv": (
        "econdisadv",
        "economicallydisadvantaged",
        "economicdisadvantage",
        "freereducedlunch",
        "frpl",
        "frl",
        "econ",
        "lunchstatus",
        "lunch",
    ),
    "english_learner": ("englishlearner", "englishlanguagelearner", "ell", "lep", "el"),
    "has_iep": ("hasiep", "iep", "sped", "specialeducation", "swd"),
    "days_enrolled": ("daysenrolled", "membershipdays", "daysmembership", "membership", "daysmember"),
    "days_absent": ("daysabsent", "absences", "absent", "daysmissed"),
    "schools_attended": ("schoolsattended", "numberofschools", "nschools"),
    "is_retained": ("isretained", "retained", "retention"),
    "is_dropout": ("isdropout", "dropout", "droppedout"),
    "gpa": ("gpa", "gradepointaverage", "cumgpa", "cumulativegpa"),
    "subject_area": ("subjectarea", "subject", "department"),
    "course_level": ("courselevel",),
    "grade_points": ("gradepoints", "points"),
    "credits_earned": ("creditsearned", "credits", "credit"),
    "is_passed": ("ispassed", "passed", "pass"),
    "test_program": ("testprogram", "testname", "assessmentname", "assessment", "test"),
    "subject": ("subject", "testsubject", "contentarea"),
    "grade_tested": ("gradetested", "testgrade", "testedgrade", "gradelevel", "grade"),
    "participated": ("participated", "tested", "participation"),
    "scale_score": ("scalescore", "scaledscore", "ss", "score"),
    "performance_level": ("performancelevel", "proficiencylevel", "perflevel", "achievementlevel"),
    "is_proficient": ("isproficient", "proficient", "proficiency"),
    "program_type": ("programtype", "program", "programname"),
    "grad_cohort": ("gradcohort", "graduationcohort", "acgrcohort", "ninthgradecohort"),
    "cohort_status": ("cohortstatus",),
    "outcome": ("outcome", "diplomatype", "hsdiplomatype", "exittype", "exitreason", "diploma", "hsdiploma"),
    "years_to_outcome": ("yearstooutcome", "yearstograduate"),
    "school_name": ("schoolname", "name"),
    "school_level": ("schoollevel", "level"),
    "is_charter": ("ischarter", "charter"),
    "is_title_i": ("istitlei", "titlei", "title1"),
}

_RACES: dict[str, tuple[str, ...]] = {
    "AM7": ("AM7", "I", "American Indian"),
    "AS7": ("AS7", "A", "Asian"),
    "BL7": ("BL7", "B", "Black"),
    "HI7": ("HI7", "H", "Hispanic"),
    "MU7": ("MU7", "M", "Multiple"),
    "PI7": ("PI7", "P", "Pacific Islander"),
    "WH7": ("WH7", "W", "White"),
}
_SEXES: dict[str, tuple[str, ...]] = {"F": ("F", "Female"), "M": ("M", "Male"), "X": ("X",)}
_USUAL = {"sex": _SEXES, "race_ethnicity": _RACES}


def names_of(column: str) -> tuple[str, ...]:
    """What a column of a catalog may be called in a source, as `joined`, the surest first.

    >>> names_of("has_iep")[:3], names_of("Shoe_Size")
    (('hasiep', 'iep', 'sped'), ('shoesize',))
    """
    return tuple(dict.fromkeys((joined(column), *_COLUMNS.get(column, ()))))


def codes_of(column: str, header: str, values: frozenset[str]) -> dict[str, str]:
    """How the texts of a source are usually coded; none where nothing is usual.

    Args:
        column: of the catalog.
        header: the source column's name.
        values: the catalog's list.

    >>> codes_of("sex", "male", frozenset({"F", "M"}))
    {'1': 'M', '0': 'F'}
    """
    flag = {"male": {"1": "M", "0": "F"}, "female": {"1": "F", "0": "M"}}.get(joined(header))
    if column == "sex" and flag is not None:
        return flag if values.issuperset(flag.values()) else {}
    if column in _USUAL:
        return {text: value for value, texts in _USUAL[column].items() if value in values for text in texts}
    if column in ("grade_level", "grade_tested"):
        return _grades(values)
    return {}


def _grades(values: frozenset[str]) -> dict[str, str]:
    """Grades with one digit or two, and kindergarten by its letter."""
    found: dict[str, str] = {}
    for value in sorted(values):
        found[value] = value
        if value.startswith("0") and value[1:].isdecimal():
            found[value[1:]] = value
        if value == "KG":
            found["K"] = value
    return found
