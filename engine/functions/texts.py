"""Functions of texts: each computed in Python, once for each value on a public list, as DuckDB would.

Where Python and DuckDB may differ (letters whose case depends on the version of Unicode, characters that are drawn as
one), the value is refused. Nothing here makes a text longer than `LENGTH_MAX`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from engine.functions.patterns import compiled, like
from engine.functions.shape import Function, Misfit, Reading, Shown, Tabulated
from engine.tree import BOOLEAN, INTEGER, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.tree import Scalar, Type

LENGTH_MAX = 1_000
"""Most characters of a text that is made, or a pattern is tried on."""

PAD_MAX = 100
"""Longest text that LPAD and RPAD fill up to."""

_UNCASED = frozenset("µßİıŉſǅǈǋǰǲȺȾɐɑɒɛɜɡɥɦɪɫɱɽʇʝʞʂͅΐΰςϐϑϕϖϰϱϴϵẞ")
_CASED_MAX = 0x24F
"""Beyond the Latin letters the case of a letter is not told."""


SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""What TRIM takes away: Unicode's space separators, which a tab is not."""


def _bounded(text: str) -> str:
    if len(text) > LENGTH_MAX:
        raise Misfit("A text would grow too long.", f"texts of at most {LENGTH_MAX} characters", code="too_large")
    return text


def _cased(function: Callable[[str], str]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        for char in text:
            if char in _UNCASED or (ord(char) > _CASED_MAX and (char.upper() != char or char.lower() != char)):
                raise Misfit(
                    f"The case of {char!r} is not the same everywhere.", "CASE with the values written out, or IN"
                )
        return function(text)

    return apply


upper = _cased(str.upper)
lower = _cased(str.lower)


def _ilike(text: str, pattern: str, escape: str = "") -> bool:
    if escape:
        raise Misfit("ILIKE takes no ESCAPE here.", "LOWER(…) LIKE … ESCAPE …", position=2)
    return like(lower(text), lower(pattern))


def _like(text: str, pattern: str, escape: str = "") -> bool:
    if len(escape) > 1:
        raise Misfit("ESCAPE takes one character.", "such as ESCAPE '!'", position=2)
    return like(_bounded(text), _bounded(pattern), escape)


def _plain(text: str) -> str:
    """A text that a pattern is tried on: how lines end in it would matter."""
    if "\n" in text or "\r" in text:
        raise Misfit("A text with a line break is tried on no regular expression.", "LIKE, or IN")
    return _bounded(text)


def _matches(text: str, pattern: str) -> bool:
    return compiled(_plain(pattern)).search(_plain(text)) is not None


def _full_match(text: str, pattern: str) -> bool:
    return compiled(_plain(pattern)).full(_plain(text))


def _extract(text: str, pattern: str, group: Scalar = 0) -> str:
    regex = compiled(_plain(pattern))
    if not isinstance(group, int) or not 0 <= group <= regex.groups:
        raise Misfit("The pattern has no such group.", f"a number from 0 to {regex.groups}", position=2)
    places = regex.search(_plain(text))
    start, end = (None, None) if places is None else places[2 * group : 2 * group + 2]
    return "" if start is None or end is None else text[start:end]


def _replace_match(text: str, pattern: str, replacement: str) -> str:
    """The first match replaced."""
    if "\\" in replacement:
        raise Misfit(r"REGEXP_REPLACE takes no \ in what it puts in.", "a plain text", position=2)
    places = compiled(_plain(pattern)).search(_plain(text))
    if places is None or places[0] is None or places[1] is None:
        return text
    return _bounded(text[: places[0]] + replacement + text[places[1] :])


def _like_steps(text: str, pattern: str, _escape: str = "") -> int:
    return (1 + len(text)) * (1 + len(pattern))


def _regex_steps(text: str, pattern: str, *_others: Scalar) -> int:
    return (1 + len(text)) * len(compiled(_plain(pattern)).program)


def _length(text: str) -> int:
    return len(text)


def _whole(name: str, value: Scalar, low: int, high: int, position: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Misfit(f"{name} takes {low} to {high} here.", f"a whole number from {low} to {high}", position=position)
    return value


def _left(text: str, count: Scalar) -> str:
    return text[: _whole("LEFT", count, -LENGTH_MAX, LENGTH_MAX, 1)]


def _right(text: str, count: Scalar) -> str:
    number = _whole("RIGHT", count, -LENGTH_MAX, LENGTH_MAX, 1)
    return text[max(0, len(text) - number) :] if number >= 0 else text[-number:]


def _substring(text: str, start: Scalar, length: Scalar = LENGTH_MAX) -> str:
    begin = _whole("SUBSTRING", start, 1, LENGTH_MAX, 1) - 1
    return text[begin : begin + _whole("SUBSTRING", length, 0, LENGTH_MAX, 2)]


def _replace(text: str, old: str, new: str) -> str:
    if not old:
        return text
    if text.count(old) * len(new) > LENGTH_MAX:
        raise Misfit("A text would grow too long.", f"texts of at most {LENGTH_MAX} characters", code="too_large")
    return _bounded(text.replace(old, new))


def _filling(name: str, text: str, size: Scalar, fill: str) -> tuple[int, str]:
    width = _whole(name, size, 0, PAD_MAX, 1)
    if not fill:
        raise Misfit(f"{name} needs something to fill up with.", "one or more characters", position=2)
    return width, (fill * width)[: max(0, width - len(text))]


def _lpad(text: str, size: Scalar, fill: str = " ") -> str:
    width, filling = _filling("LPAD", text, size, fill)
    return text[:width] if len(text) >= width else filling + text


def _rpad(text: str, size: Scalar, fill: str = " ") -> str:
    width, filling = _filling("RPAD", text, size, fill)
    return text[:width] if len(text) >= width else text + filling


def _reverse(text: str) -> str:
    for char in text:
        if not (" " <= char <= "~" or ("\xa1" <= char <= "\u02ff" and char != "\xad")):
            raise Misfit(f"{char!r} may be drawn as one with its neighbour.", "REVERSE of Latin letters")
    return text[::-1]


def as_text(value: Scalar) -> str:
    """A whole number, a truth value or a text as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value)
    raise Misfit("Only whole numbers, TRUE and FALSE become texts.", "a CAST to INTEGER first")


def _concat(*values: Scalar) -> str:
    return _bounded("".join(as_text(value) for value in values if value is not None))


def _concat_ws(between: Scalar, *values: Scalar) -> str | None:
    if between is None:
        return None
    return _bounded(as_text(between).join(as_text(value) for value in values if value is not None))


def _split_part(text: str, between: str, number: Scalar) -> str:
    if not between:
        raise Misfit("SPLIT_PART needs something to split at.", "one or more characters", position=1)
    parts, place = text.split(between), _whole("SPLIT_PART", number, 1, LENGTH_MAX, 2)
    return parts[place - 1] if place <= len(parts) else ""


def _translate(text: str, old: str, new: str) -> str:
    if len(set(old)) < len(old):
        raise Misfit("TRANSLATE is given a character twice.", "each character once", position=1)
    return text.translate({ord(char): new[place : place + 1] for place, char in enumerate(old)})


def _text_row(  # noqa: PLR0913 - the columns of the table
    name: str,
    about: str,
    example: str,
    value: Callable[..., Scalar],
    shows: dict[str, Scalar],
    *readings: Reading,
    takes: tuple[str, ...] = ("text",),
    gives: Type = TEXT,
    least: int = 1,
    most: int | None = 1,
    names: tuple[str, ...] = (),
    constants: tuple[int, ...] = (),
    strict: bool = True,
    steps: Callable[..., int] | None = None,
) -> Function:
    how = Tabulated(value, takes, gives, constants, strict, steps)
    shown = tuple(Shown(text, worth) for text, worth in shows.items())
    return Function(name, "texts", about, example, how, shown, least, most, names, readings)


_TWO = ("this", "expression")

ROWS = (
    _text_row(
        "LIKE", "Whether a text is like a pattern, in which % is any characters and _ is one.",
        "race_ethnicity LIKE '%7'", _like,
        {"'AM7' LIKE '%7'": True, "'AM7' NOT LIKE 'B_7'": True, "'a%b' LIKE 'a!%b' ESCAPE '!'": True, "NULL LIKE 'a'": None},
        Reading(exp.Like, _TWO, negates="negate"),
        takes=("text",), gives=BOOLEAN, least=2, most=3, names=("~~",), constants=(1, 2), steps=_like_steps,
    ),
    _text_row(
        "ILIKE", "LIKE without regard to the case of letters.", "sex ILIKE 'f'", _ilike,
        {"'Female' ILIKE 'f%'": True, "'Female' NOT ILIKE 'm%'": True},
        Reading(exp.ILike, _TWO, negates="negate"),
        gives=BOOLEAN, least=2, most=2, names=("~~*",), constants=(1,), steps=_like_steps,
    ),
    _text_row(
        "REGEXP_MATCHES", "Whether a regular expression is found in a text.", "grade_level ~ '^[0-9]+$'", _matches,
        {r"REGEXP_MATCHES('AM7', '\d$')": True, "'AM7' ~ '^B'": False},
        Reading(exp.RegexpLike, _TWO), gives=BOOLEAN, least=2, most=2, names=("~", "REGEXP_LIKE"), constants=(1,),
        steps=_regex_steps,
    ),
    _text_row(
        "REGEXP_FULL_MATCH", "Whether all of a text matches a regular expression; SIMILAR TO is the same.",
        "grade_level SIMILAR TO '0[1-5]'", _full_match,
        {"REGEXP_FULL_MATCH('AM7', '[A-Z]+7')": True, "'AM7' SIMILAR TO 'A'": False},
        Reading(exp.RegexpFullMatch, _TWO), Reading(exp.SimilarTo, _TWO),
        gives=BOOLEAN, least=2, most=2, names=("SIMILAR TO",), constants=(1,), steps=_regex_steps,
    ),
    _text_row(
        "REGEXP_EXTRACT", "What of a text matches a regular expression, or one of its groups; '' where none does.",
        "REGEXP_EXTRACT(race_ethnicity, '^[A-Z]+')", _extract,
        {"REGEXP_EXTRACT('AM7', '[0-9]')": "7", "REGEXP_EXTRACT('AM7', '([A-Z]+)([0-9])', 2)": "7", "REGEXP_EXTRACT('AM7', 'x')": ""},
        Reading(exp.RegexpExtract, ("this", "expression", "group"), ignored=("null_if_pos_overflow",)),
        takes=("text", "text", "exact"), least=2, most=3, constants=(1, 2), steps=_regex_steps,
    ),
    _text_row(
        "REGEXP_REPLACE", "A text with the first match of a regular expression replaced.",
        "REGEXP_REPLACE(race_ethnicity, '[0-9]', '')", _replace_match, {"REGEXP_REPLACE('AM77', '7', 'x')": "AMx7"},
        Reading(exp.RegexpReplace, ("this", "expression", "replacement"), ignored=("single_replace",)),
        least=3, most=3, constants=(1, 2), steps=_regex_steps,
    ),
    _text_row(
        "STARTS_WITH", "Whether a text begins with another.", "STARTS_WITH(grade_level, '0')", str.startswith,
        {"STARTS_WITH('AM7', 'A')": True, "PREFIX('AM7', '7')": False},
        Reading(exp.StartsWith, _TWO), gives=BOOLEAN, least=2, most=2, names=("PREFIX", "^@"),
    ),
    _text_row(
        "ENDS_WITH", "Whether a text ends with another.", "ENDS_WITH(race_ethnicity, '7')", str.endswith,
        {"ENDS_WITH('AM7', '7')": True, "SUFFIX('AM7', 'A')": False},
        Reading(exp.EndsWith, _TWO), gives=BOOLEAN, least=2, most=2, names=("SUFFIX",),
    ),
    _text_row(
        "CONTAINS", "Whether a text holds another.", "CONTAINS(race_ethnicity, '7')", str.__contains__,
        {"CONTAINS('AM7', 'M')": True, "CONTAINS('AM7', '')": True},
        Reading(exp.Contains, _TWO), gives=BOOLEAN, least=2, most=2,
    ),
    _text_row(
        "UPPER", "A text in capitals.", "UPPER(sex)", upper, {"UPPER('unknown')": "UNKNOWN"},
        Reading(exp.Upper), names=("UCASE",),
    ),
    _text_row(
        "LOWER", "A text in small letters.", "LOWER(sex)", lower, {"LOWER('UNKNOWN')": "unknown"},
        Reading(exp.Lower), names=("LCASE",),
    ),
    _text_row(
        "TRIM", "A text without the spaces, or given characters, at both ends.", "TRIM(grade_level, '0')",
        lambda text, chars=SPACES: text.strip(chars), {"TRIM(' a ')": "a", "TRIM('00700', '0')": "7"},
        Reading(exp.Trim, _TWO, {"position": None}), Reading(exp.Trim, _TWO, {"position": "BOTH"}), most=2,
    ),
    _text_row(
        "LTRIM", "A text without the spaces, or given characters, at its beginning.", "LTRIM(grade_level, '0')",
        lambda text, chars=SPACES: text.lstrip(chars), {"LTRIM(' a ')": "a ", "LTRIM('07', '0')": "7"},
        Reading(exp.Trim, _TWO, {"position": "LEADING"}), most=2,
    ),
    _text_row(
        "RTRIM", "A text without the spaces, or given characters, at its end.", "RTRIM(race_ethnicity, '7')",
        lambda text, chars=SPACES: text.rstrip(chars), {"RTRIM(' a ')": " a", "RTRIM('AM7', '7')": "AM"},
        Reading(exp.Trim, _TWO, {"position": "TRAILING"}), most=2,
    ),
    _text_row(
        "LENGTH", "How many characters a text has.", "LENGTH(grade_level)", _length, {"LENGTH('AM7')": 3, "LENGTH('')": 0},
        Reading(exp.Length), gives=INTEGER, names=("LEN", "CHAR_LENGTH", "CHARACTER_LENGTH"),
    ),
    _text_row(
        "LEFT", "The first characters of a text; all but the last n where the number is -n.", "LEFT(race_ethnicity, 2)",
        _left, {"LEFT('AM7', 2)": "AM", "LEFT('AM7', -1)": "AM"},
        Reading(exp.Left, _TWO), takes=("text", "exact"), least=2, most=2,
    ),
    _text_row(
        "RIGHT", "The last characters of a text; all but the first n where the number is -n.", "RIGHT(grade_level, 1)",
        _right, {"RIGHT('AM7', 1)": "7", "RIGHT('AM7', -1)": "M7", "RIGHT('AM7', 0)": ""},
        Reading(exp.Right, _TWO), takes=("text", "exact"), least=2, most=2,
    ),
    _text_row(
        "SUBSTRING", "The characters of a text from a place on, counted from 1, all or so many.",
        "SUBSTRING(race_ethnicity, 1, 2)", _substring, {"SUBSTRING('AM7', 2)": "M7", "SUBSTR('AM7', 1, 2)": "AM"},
        Reading(exp.Substring, ("this", "start", "length")),
        takes=("text", "exact", "exact"), least=2, most=3, names=("SUBSTR",),
    ),
    _text_row(
        "REPLACE", "A text with each occurrence of another replaced.", "REPLACE(race_ethnicity, '7', '')", _replace,
        {"REPLACE('AM7', '7', 'x')": "AMx", "REPLACE('AM7', '', 'x')": "AM7"},
        Reading(exp.Replace, ("this", "expression", "replacement")), least=3, most=3,
    ),
    _text_row(
        "LPAD", "A text filled up at its beginning, or cut, to so many characters.", "LPAD(grade_level, 3, '0')", _lpad,
        {"LPAD('7', 2, '0')": "07", "LPAD('AM7', 2, '0')": "AM"},
        Reading(exp.Pad, ("this", "expression", "fill_pattern"), {"is_left": True}),
        takes=("text", "exact", "text"), least=3, most=3,
    ),
    _text_row(
        "RPAD", "A text filled up at its end, or cut, to so many characters.", "RPAD(grade_level, 3, ' ')", _rpad,
        {"RPAD('7', 2, '0')": "70", "RPAD('AM7', 2, '0')": "AM"},
        Reading(exp.Pad, ("this", "expression", "fill_pattern"), {"is_left": None}),
        takes=("text", "exact", "text"), least=3, most=3,
    ),
    _text_row(
        "REVERSE", "A text read backwards.", "REVERSE(race_ethnicity)", _reverse, {"REVERSE('AM7')": "7MA"},
        Reading(exp.Reverse),
    ),
    _text_row(
        "CONCAT", "Texts and whole numbers one after the other; NULLs are left out.", "CONCAT(school_year - 1, '-', school_year)",
        _concat, {"CONCAT('a', NULL, 'b', 7)": "ab7"},
        Reading(exp.Concat, ("expressions",), ignored=("safe", "coalesce")),
        takes=("text exact boolean",), most=None, strict=False,
    ),
    _text_row(
        "CONCAT_WS", "Texts and whole numbers with a separator between them; NULLs are left out.",
        "CONCAT_WS('/', school_year - 1, school_year)", _concat_ws, {"CONCAT_WS('-', 'a', NULL, 'b')": "a-b"},
        Reading(exp.ConcatWs, ("expressions",), ignored=("safe", "coalesce")),
        takes=("text", "text exact boolean"), least=2, most=None, strict=False,
    ),
    _text_row(
        "||", "Two texts one after the other; NULL where one is.", "'grade ' || grade_level",
        _concat, {"'a' || 'b'": "ab", "'a' || NULL": None},
        Reading(exp.DPipe, _TWO, ignored=("safe",)), takes=("text exact boolean",), least=2, most=2,
    ),
    _text_row(
        "SPLIT_PART", "The n-th part of a text between separators; '' where there is none.",
        "SPLIT_PART(grade_level, '-', 1)", _split_part,
        {"SPLIT_PART('a-b', '-', 2)": "b", "SPLIT_PART('a-b', '-', 3)": ""},
        Reading(exp.SplitPart, ("this", "delimiter", "part_index")), takes=("text", "text", "exact"), least=3, most=3,
    ),
    _text_row(
        "STRPOS", "Where a text first holds another, counted from 1; 0 where it does not.", "STRPOS(race_ethnicity, '7')",
        lambda text, other: text.find(other) + 1,
        {"STRPOS('AM7', 'M')": 2, "POSITION('x' IN 'AM7')": 0, "INSTR('AM7', '7')": 3},
        Reading(exp.StrPosition, ("this", "substr")), gives=INTEGER, least=2, most=2, names=("INSTR", "POSITION"),
    ),
    _text_row(
        "TRANSLATE", "A text with characters replaced one by one; those without a counterpart are left out.",
        "TRANSLATE(grade_level, '0', '')", _translate, {"TRANSLATE('AM7', 'A7', 'a')": "aM"},
        Reading(exp.Translate, ("this", "from_", "to")), least=3, most=3,
    ),
)  # fmt: skip
