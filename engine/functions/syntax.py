"""What `engine.expressions` reads by itself: operators, conditions and choices, described for the reference page."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from engine.functions.shape import Function, Shown

if TYPE_CHECKING:
    from engine.functions.shape import Family
    from engine.tree import Scalar


def _row(
    family: Family, name: str, about: str, example: str, shows: dict[str, Scalar], names: tuple[str, ...] = ()
) -> Function:
    shown = tuple(Shown(text, value, own=text in _OWN) for text, value in shows.items())
    return Function(name, family, about, example, shows=shown, most=None, names=names)


_OWN = frozenset({"CAST('ten' AS INTEGER)", "CAST(300 AS TINYINT)"})

ROWS = (
    _row("conditions", "=", "Whether two values are equal.", "grade_level = '09'", {"1 = 1.0": True, "1 = NULL": None}, ("==",)),
    _row("conditions", "<>", "Whether two values differ.", "sex <> 'unknown'", {"1 <> 2": True}, ("!=",)),
    _row("conditions", "<", "Whether a value is below another.", "gpa < 2", {"1 < 2": True}),
    _row("conditions", "<=", "Whether a value is not above another.", "gpa <= 2", {"2 <= 2": True}),
    _row("conditions", ">", "Whether a value is above another.", "gpa > 2", {"1 > 2": False}),
    _row("conditions", ">=", "Whether a value is not below another.", "gpa >= 2", {"2 >= 2.5": False}),
    _row("conditions", "AND", "Whether both conditions are true.", "has_iep AND econ_disadv", {"TRUE AND NULL": None, "FALSE AND NULL": False}),
    _row("conditions", "OR", "Whether one of two conditions is true.", "has_iep OR econ_disadv", {"TRUE OR NULL": True}),
    _row("conditions", "NOT", "Whether a condition is false.", "NOT has_iep", {"NOT FALSE": True, "NOT NULL": None}),
    _row("conditions", "BETWEEN", "Whether a value is at or between two ends.", "gpa BETWEEN 2 AND 3", {"2 BETWEEN 2 AND 3": True, "1 NOT BETWEEN 2 AND 3": True}),
    _row("conditions", "IN", "Whether a value is on a list of constants.", "grade_level IN ('09', '10')", {"1 IN (1, 2)": True, "3 NOT IN (1, 2)": True, "3 IN (1, NULL)": None}),
    _row("conditions", "IS NULL", "Whether a value is missing; IS NOT NULL is whether it is there.", "gpa IS NULL", {"1 IS NULL": False, "NULL IS NULL": True}, ("IS NOT NULL", "ISNULL", "NOTNULL")),
    _row("conditions", "IS TRUE", "Whether a condition is certainly true; IS FALSE whether it is certainly false.", "(gpa > 2) IS TRUE", {"(NULL > 1) IS TRUE": False, "(1 > 2) IS FALSE": True}, ("IS FALSE", "IS NOT TRUE", "IS NOT FALSE", "IS UNKNOWN")),
    _row("conditions", "IS DISTINCT FROM", "Whether two values differ, where NULL is a value like any other.", "gpa IS DISTINCT FROM 4", {"1 IS DISTINCT FROM NULL": True, "NULL IS DISTINCT FROM NULL": False}),
    _row("conditions", "IS NOT DISTINCT FROM", "Whether two values are equal, where NULL is a value like any other.", "gpa IS NOT DISTINCT FROM 4", {"1 IS NOT DISTINCT FROM NULL": False, "1 IS NOT DISTINCT FROM 1": True}),
    _row("numbers", "+", "A sum.", "days_absent + 1", {"1 + 0.5": Fraction(3, 2)}),
    _row("numbers", "-", "A difference, or a number with its sign changed.", "200 - days_absent", {"1 - 0.5": Fraction(1, 2), "-(3)": -3}),
    _row("numbers", "*", "A product.", "gpa * 25", {"3 * 0.5": Fraction(3, 2)}),
    _row("numbers", "/", "A quotient of doubles; NULL where the divisor is 0.", "days_absent / days_enrolled", {"1 / 2": 0.5, "1 / NULL": None}),
    _row("choices", "CASE", "The value beside the first condition that is true, or beside the first value that is equal.", "CASE WHEN gpa >= 3 THEN 1 ELSE 0 END", {"CASE WHEN 1 > 2 THEN 1 ELSE 0 END": 0, "CASE 2 WHEN 1 THEN 'a' WHEN 2 THEN 'b' END": "b"}, ("WHEN",)),
    _row("choices", "IF", "The second argument where the first is true, else the third.", "IF(has_iep, 1, 0)", {"IF(1 > 2, 1, 0)": 0}),
    _row("choices", "COALESCE", "The first argument that is not NULL.", "COALESCE(gpa, 0)", {"COALESCE(NULL, 2)": 2, "IFNULL(NULL, 1)": 1}, ("IFNULL", "NVL")),
    _row("choices", "NULLIF", "The first argument, but NULL where it equals the second.", "NULLIF(days_enrolled, 0)", {"NULLIF(1, 1)": None, "NULLIF(2, 1)": 2}),
    _row("choices", "CAST", "A value as another type, NULL where it does not fit; a text is read as a number only of a listed column.", "CAST(gpa AS INTEGER)", {"CAST(2.5 AS INTEGER)": 3, "CAST(300 AS TINYINT)": None, "CAST('07' AS INTEGER)": 7, "CAST('ten' AS INTEGER)": None, "CAST(7 AS VARCHAR)": "7"}, ("::",)),
    _row("choices", "TRY_CAST", "The same as CAST, which never fails here.", "TRY_CAST(grade_level AS INTEGER)", {"TRY_CAST('ten' AS INTEGER)": None, "TRY_CAST('2.5' AS DECIMAL(2, 1))": Fraction(5, 2)}),
)  # fmt: skip
