"""Functions of texts are worked out on the list, as DuckDB would, or refused."""

from __future__ import annotations

import math
import random
import time
from fractions import Fraction

import duckdb
import pytest

from engine import tree
from engine.analysis.intervals import evaluate
from engine.functions import FUNCTIONS, Misfit, Tabulated
from engine.functions.patterns import compiled, like
from engine.functions.texts import SPACES, lower, upper
from engine.parse import parse
from engine.planning import make_plan
from engine.ranges import Range, listed
from engine.refusals import QueryRefused
from engine.source import Source
from engine.sql import sql

HOSTILE = [
    "", " ", "a", "A", "ab", " a b ", "it's", "%", "_", "\\", "a%b", "a_b", "a\\b", "100%", "ß", "ẞ", "É", "é", "e\u0301", "ŉ", "İ", "\u0131",
    "ﬁ", "Ω", "µ", "日本語", "👩‍👧", "🇫🇷", "\t", "a\nb", "\u00a0", "a" * 50, "aXbXc", "XX", "-a-b-", "07", "7", "-3", "2.5", "+5", "1e3", "0x10",
    "1_000", ".5", "5.", "--5", "inf", "nan", "NaN", "true", "T", "yes", "no", "off", "on", "KG", "9" * 18, "9" * 19, " 7", "7 ", "\t7", "(a)", "[a]", "a.b",
]  # fmt: skip
EXPRESSIONS = [
    "t LIKE 'a%'", "t LIKE '%b'", "t LIKE '_'", "t LIKE '%_%'", "t LIKE ''", "t NOT LIKE '%a%'", "t LIKE 'a!%b' ESCAPE '!'", "t LIKE 'a\\%b'", "t LIKE 'a\\\\b'",
    "t LIKE '%é'", "t ILIKE 'A%'", "t NOT ILIKE '%É%'", "t ~ 'b'", "t ~ '^a'", "REGEXP_MATCHES(t, '^[0-9.]+$')", "t SIMILAR TO 'a.*'", "REGEXP_FULL_MATCH(t, '\\w+')",
    "t ~ '^\\s'", "t ~ '[^a-z]'", "REGEXP_EXTRACT(t, '[a-z]+')", "REGEXP_EXTRACT(t, '(a)(b)?', 2)", "REGEXP_REPLACE(t, 'a', '<>')", "REGEXP_REPLACE(t, '^', 'x')",
    "STARTS_WITH(t, 'a')", "PREFIX(t, '')", "t ^@ ' '", "ENDS_WITH(t, 'b')", "SUFFIX(t, 'é')", "CONTAINS(t, 'X')", "CONTAINS(t, '')", "UPPER(t)", "LOWER(t)", "UCASE(t)",
    "TRIM(t)", "LTRIM(t)", "RTRIM(t)", "TRIM(t, 'aX')", "LTRIM(t, '-')", "RTRIM(t, 'c-')", "TRIM(t, '')", "TRIM(BOTH 'a' FROM t)", "TRIM(LEADING 'a' FROM t)", "TRIM(TRAILING 'b' FROM t)",
    "LENGTH(t)", "LEN(t)", "CHAR_LENGTH(t)", "LEFT(t, 2)", "LEFT(t, 0)", "LEFT(t, -1)", "LEFT(t, -90)", "RIGHT(t, 2)", "RIGHT(t, 0)", "RIGHT(t, -1)", "RIGHT(t, 90)",
    "SUBSTRING(t, 1)", "SUBSTRING(t, 2)", "SUBSTR(t, 2, 1)", "SUBSTRING(t, 3, 0)", "SUBSTRING(t, 90, 2)", "SUBSTRING(t FROM 1 FOR 2)", "REPLACE(t, 'X', '')", "REPLACE(t, '', 'x')",
    "REPLACE(t, 'a', 'bb')", "LPAD(t, 4, '0')", "LPAD(t, 3, 'xyz')", "LPAD(t, 0, 'x')", "RPAD(t, 4, 'é')", "REVERSE(t)", "CONCAT(t, '-', NULL, 7)", "CONCAT(t)", "t || 'x'", "1 || t",
    "t || NULL", "CONCAT_WS('/', t, 'a', NULL)", "CONCAT_WS('', 'a', t)", "SPLIT_PART(t, 'X', 2)", "SPLIT_PART(t, '-', 1)", "SPLIT_PART(t, '-', 9)", "STRPOS(t, 'b')", "STRPOS(t, '')",
    "INSTR(t, 'é')", "POSITION('a' IN t)", "TRANSLATE(t, 'ab', 'x')", "TRANSLATE(t, 'X', '')", "TRANSLATE(t, 'é', 'e')", "CAST(t AS INTEGER)", "TRY_CAST(t AS BIGINT)", "CAST(t AS TINYINT)",
    "CAST(t AS DECIMAL(4, 1))", "CAST(t AS DECIMAL(18, 9))", "CAST(t AS DOUBLE)", "CAST(t AS BOOLEAN)", "LENGTH(UPPER(LEFT(t, 3)))", "LEFT(LOWER(t), 1) || RIGHT(t, 1)",
    "UPPER(t) = 'AB'", "LENGTH(t) > 2", "LEFT(t, 1) IN ('a', 'b')", "LENGTH(t) BETWEEN 1 AND 2", "CASE LENGTH(t) WHEN 1 THEN 'one' ELSE UPPER(LEFT(t, 1)) END",
    "COALESCE(TRY_CAST(t AS INTEGER), -1)", "NULLIF(TRIM(t), 'a')", "LENGTH(t) % 2 = 0", "TRIM(t) = t", "t LIKE '%' AND LENGTH(t) = 1",
]  # fmt: skip
FOLLOWS = {"a", "b", "ab", "AB"}


def own_known(value):
    return {"t": Range(values=frozenset(), nullable=True) if value is None else listed([value])}


def converted(text, value, tools):
    """The expression over a list of one value beside which comparisons find theirs; None where it is refused."""
    known = own_known(value)
    if value is not None and any(word in text for word in ("= 'AB'", "IN (", "NULLIF", "= t")):
        known = {"t": listed([value, *FOLLOWS])}
    try:
        return tools.tree(text, known)
    except QueryRefused as refused:
        assert refused.code in ("unsupported", "too_large")  # noqa: PT017 - a value that may differ is refused
        return None


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as opened:
        yield opened


@pytest.mark.parametrize(
    "text",
    [pytest.param(t, marks=() if i % 6 == 0 else pytest.mark.slow) for i, t in enumerate(EXPRESSIONS)],
)
def test_it_is_what_duckdb_gives(text, tools, connection):
    """For every hostile text by itself, and NULL, our look-up is worth what DuckDB's own function is, or is refused."""
    refused = 0
    texts = [*HOSTILE, None]
    theirs = connection.execute(f"SELECT TRY({text}) FROM (SELECT unnest($1::VARCHAR[]) AS t)", [texts]).fetchall()
    for value, (given,) in zip(texts, theirs, strict=True):
        expr = converted(text, value, tools)
        if expr is None:
            refused += 1
            continue
        ((one,),) = connection.execute(f"SELECT {sql(expr)} FROM (SELECT $1::VARCHAR AS t)", [value]).fetchall()
        worth = tools.unscaled(one, expr.type)
        two = None if isinstance(given, float) and not math.isfinite(given) else given
        assert (worth is None) == (two is None), (value, worth, two)
        assert (
            worth is None or isinstance(two, str | bool) or abs(Fraction(worth) - Fraction(two)) < Fraction(1, 10**10)
        )
        assert not isinstance(two, str | bool) or worth == two, (value, worth, two)
        found = evaluate(expr, own_known(value))
        assert tools.within(worth, found)
    assert refused < len(HOSTILE) / 2


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(t, marks=() if i % 12 == 0 or t == "CONTAINS(t, '')" else pytest.mark.slow)
        for i, t in enumerate(EXPRESSIONS)
    ],
)
def test_a_look_up_of_a_whole_list_is_one_of_its_values(text, tools, connection):
    """Over a list of many, the database looks up what each value is worth alone; what it can be is listed."""
    alone = {value: converted(text, value, tools) for value in [*HOSTILE, None]}
    accepted = [value for value, expr in alone.items() if expr is not None and value is not None]
    known = {"t": listed({*accepted, *FOLLOWS}, nullable=True)}
    expr = tools.tree(text, known)
    cells = connection.execute(
        f"SELECT t, {sql(expr)} FROM (SELECT unnest($1::VARCHAR[]) AS t)", [[*accepted, None]]
    ).fetchall()
    found = evaluate(expr, known)
    for value, cell in cells:
        single = alone[value]
        ((one,),) = connection.execute(f"SELECT {sql(single)} FROM (SELECT $1::VARCHAR AS t)", [value]).fetchall()
        assert cell == one
        assert tools.within(tools.unscaled(cell, expr.type), found)


def test_nothing_is_computed_from_a_text_by_the_database(tools):
    """What is compiled of a function of texts are comparisons with the list and constants, and no call."""
    known = {"t": listed(["a", "b", "7"], nullable=True)}
    for text in EXPRESSIONS:
        expr = tools.tree(text, known) if "'AB'" not in text else tools.tree(text.replace("'AB'", "'A'"), known)
        parts = [
            part for part in tree.walk(expr) if isinstance(part, tree.Call | tree.Cast) and part.type.kind == "text"
        ]
        assert not parts, text
        texts = [part for part in tree.walk(expr) if isinstance(part, tree.Column) and part.type == tree.TEXT]
        assert texts or isinstance(expr, tree.Constant) or text == "t LIKE '%' AND LENGTH(t) = 1", text


def test_what_is_trimmed_is_what_duckdb_trims(connection):
    """Of every character."""
    everything = [f"{chr(code)}a" for code in range(1, 0x3100)]
    rows = connection.execute("SELECT t, ltrim(t) FROM (SELECT unnest($1::VARCHAR[]) AS t)", [everything]).fetchall()
    assert [text for text, trimmed in rows if text.lstrip(SPACES) != trimmed] == []


def test_case_of_letters_is_told_where_it_is_the_same(connection):
    """Of every character, capitals and small letters are those of DuckDB, or refused; all Latin letters but a few are told."""
    told = 0
    everything = [chr(code) for code in range(1, 0x1F000) if not 0xD800 <= code < 0xE000]
    rows = connection.execute(
        "SELECT c, upper(c), lower(c) FROM (SELECT unnest($1::VARCHAR[]) AS c)", [everything]
    ).fetchall()
    for char, up, down in rows:
        if ord(char) > 0x250 and char == up == down == char.upper() == char.lower():
            continue
        try:
            own = upper(char), lower(char)
        except Misfit:
            continue
        assert own == (up, down), hex(ord(char))
        told += ord(char) < 0x250
    assert told > 570


def test_every_row_of_texts_is_tried():
    """No row of the table is left out of the expressions above."""
    for row in FUNCTIONS:
        if isinstance(row.how, Tabulated):
            assert any(name in text for name in (row.name, *row.names) for text in EXPRESSIONS), row.name


# -- patterns


def random_pattern(rng, depth=0):
    dice = rng.random()
    if depth > 3 or dice < 0.45:
        return rng.choice(["a", "b", "c", ".", "[ab]", "[^a]", r"\d", r"\w", "1", "[a-c1]", r"\.", r"\S"])
    if dice < 0.6:
        return random_pattern(rng, depth + 1) + random_pattern(rng, depth + 1)
    if dice < 0.7:
        return f"({random_pattern(rng, depth + 1)}|{random_pattern(rng, depth + 1)})"
    if dice < 0.8:
        return f"{rng.choice(['(', '(?:'])}{random_pattern(rng, depth + 1)})"
    if dice < 0.97:
        return f"(?:{random_pattern(rng, depth + 1)}){rng.choice(['*', '+', '?', '{2}', '{1,2}', '{0,3}', '{2,}'])}"
    return rng.choice(["^", "$"])


@pytest.mark.parametrize("seed", range(4))
def test_regular_expressions_are_read_as_duckdb_reads_them(seed, connection):
    """Random patterns of the accepted subset on random texts: found, matched as a whole, and extracted alike."""
    rng = random.Random(seed)
    tried = 0
    for _ in range(150):
        pattern = random_pattern(rng)
        try:
            regex = compiled(pattern)
        except Misfit:
            continue
        texts = ["".join(rng.choice("abc1. ") for _ in range(rng.randrange(9))) for _ in range(20)]
        rows = connection.execute(
            "SELECT t, regexp_matches(t, $1), regexp_full_match(t, $1), regexp_extract(t, $1, 0), regexp_extract(t, $1, $3) FROM (SELECT unnest($2::VARCHAR[]) AS t)",
            [pattern, texts, min(regex.groups, 1)],
        ).fetchall()
        for text, found, full, whole, first in rows:
            places = regex.search(text)
            assert (places is not None, regex.full(text)) == (found, full), (pattern, text)
            if places is not None:
                assert text[places[0] : places[1]] == whole, (pattern, text)
                group = places[2:4] if regex.groups else places[0:2]
                assert ("" if group[0] is None else text[group[0] : group[1]]) == first, (pattern, text)
            tried += 1
    assert tried > 1_500


@pytest.mark.parametrize("seed", range(2))
def test_like_is_read_as_duckdb_reads_it(seed, connection):
    """Random patterns and texts of few characters."""
    rng = random.Random(seed)
    pairs = [
        ("".join(rng.choices("ab%_é", k=rng.randrange(7))), "".join(rng.choices("%_abé", k=rng.randrange(6))))
        for _ in range(3_000)
    ]
    theirs = connection.execute(
        "SELECT t LIKE p FROM (SELECT unnest($1::VARCHAR[]) AS t, unnest($2::VARCHAR[]) AS p)",
        [[t for t, _ in pairs], [p for _, p in pairs]],
    ).fetchall()
    assert [like(text, pattern) for text, pattern in pairs] == [found for (found,) in theirs]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(a*)*b", "(a?){25}a{25}", "(.*)(.*)(.*)(.*)(.*)x", "((a+)+)+$", "a{50}{50}", "(((((((a{9}){9}){9}){9}){9}){9}){9})", "(" * 500 + ")" * 500, "[" * 500, "a|" * 400, "%" * 900])  # fmt: skip
def test_no_pattern_takes_long(pattern, tools):
    """What makes a backtracking matcher try for ever, and what would make a large program, is matched or refused at once."""
    began = time.process_time()
    for form in ("t ~ '{}'", "t LIKE '{}'", "REGEXP_EXTRACT(t, '{}')"):
        try:
            tools.tree(
                form.format(pattern), {"t": listed(["a" * 60, "a" * 60 + "!", *(f"v{i}" for i in range(200))])}
            )
        except QueryRefused as refused:
            assert refused.code in ("unsupported", "too_large")  # noqa: PT017 - in time, that is
    assert time.process_time() - began < 2


def test_long_lists_are_too_much_work_before_they_are(tools):
    """The work of all functions of texts of one question has an end."""
    known = {"t": listed([f"value number {i}" for i in range(900)])}
    began = time.process_time()
    with pytest.raises(QueryRefused) as caught:
        tools.tree(" OR ".join(f"t ~ '{i}.*(a|b)+{i}'" for i in range(200)), known)
    assert caught.value.code == "too_large"
    assert time.process_time() - began < 3
    with pytest.raises(QueryRefused) as caught:
        tools.tree("UPPER(t)", {"t": listed([f"{i}" for i in range(1_001)])})
    assert caught.value.code == "too_large"


# -- lists


def test_without_a_list_a_text_is_worked_on_by_nobody(tools):
    """The refusal says why, and what has a list."""
    for known in ({}, {"t": Range(nullable=True)}):
        for text in ("UPPER(t)", "t LIKE 'a%'", "CAST(t AS INTEGER)", "t || 'x'"):
            with pytest.raises(QueryRefused) as caught:
                tools.tree(text, known)
            assert caught.value.code == "keys_undeclared"
            assert "list" in caught.value.accepted


def test_close_bounds_are_a_list_of_whole_numbers(tools):
    """A number between near ends becomes a text by the same look-up; one between far ends does not."""
    expr = tools.tree("CAST(i AS VARCHAR)", {"i": Range(-2, 3, None, nullable=True)})
    assert evaluate(expr, {"i": Range(-2, 3, None, nullable=True)}).values == {"-2", "-1", "0", "1", "2", "3"}
    with pytest.raises(QueryRefused):
        tools.tree("CAST(i AS VARCHAR)", {"i": Range(0, 10**6)})


def planned(text, catalog):
    return make_plan(Source(text), parse(text, catalog), catalog, frozenset(catalog.cohorts))


def test_what_is_said_of_a_look_up_pins_the_column(canonical):
    """LEFT(…) = …, LIKE and a cast are lists of the column's values: they leave the rows that the list leaves."""
    listed_ = planned("SELECT COUNT(*) FROM student_year WHERE school_year IN (2025)", canonical)
    for text in (
        "CAST(school_year AS VARCHAR) LIKE '%25'",
        "RIGHT(CAST(school_year AS VARCHAR), 1) = '5'",
        "LENGTH(CAST(school_year AS VARCHAR)) = 4 AND school_year = 2025",
    ):
        found = planned(f"SELECT COUNT(*) FROM student_year WHERE {text}", canonical)
        assert (found.statistics[0].l2_squared, found.statistics[0].cohorts) == (1, listed_.statistics[0].cohorts), (
            text
        )


# -- misspelt values


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("sex = «Female»", "F"), ("«Female» <> sex", "F"), ("sex IN ('F', «unknwon»)", "unknown"), ("CASE sex WHEN «f» THEN 1 END = 1", "F"),
        ("UPPER(sex) = «f»", "F"), ("NULLIF(sex, «none») = 'F'", "unknown"), ("sex IS DISTINCT FROM «n/a»", "unknown"), ("NOT (sex = «male»)", "M"),
    ],
)  # fmt: skip
def test_a_misspelt_value_is_refused(text, near, canonical):
    """At the value, by the name of the column, with the nearest of its list."""
    whole = f"SELECT COUNT(*) FROM student WHERE {text}"
    with pytest.raises(QueryRefused) as caught:
        parse(whole.replace("«", "'").replace("»", "'"), canonical)
    refused = caught.value
    assert (refused.code, refused.line, refused.column) == ("unknown_name", 1, whole.index("«") + 1)
    assert refused.excerpt == whole[whole.index("«") : whole.index("»") + 1].replace("«", "'").replace("»", "'")
    assert near in refused.accepted
    assert "has no value" in refused.message


def test_of_what_has_no_list_nothing_is_known(canonical):
    """Where a column could have any text, every comparison is accepted; so is how listed texts are ordered."""
    parse("SELECT COUNT(*) FROM student WHERE sex < 'M' OR sex >= 'F'", canonical)


def test_above_a_left_join_a_list_has_null_too(canonical):
    """A row without a match is like no text: what every value of the list fulfils is not true of it."""
    text = "SELECT COUNT(*) FROM student s LEFT JOIN program p ON p.student_key = s.student_key WHERE p.program_type LIKE '%'"
    (condition,) = parse(text, canonical).where
    assert not isinstance(condition, tree.Constant)
    assert tree.columns_of(condition) == {"program.program_type"}
