from __future__ import annotations

import logging
from importlib.resources import files

import pytest
import sqlglot
from sqlglot import exp

from engine import parse as parsing
from engine.catalog_file import catalog_of
from engine.parse import DEPTH_MAX, TEXT_BYTES_MAX, TOKENS_MAX, parse
from engine.refusals import QueryRefused
from engine.source import Source

EVERYTHING = """
SELECT grade_level, COUNT(*) AS n, COUNT(gpa) AS c, COUNT_IF(gpa > 3) AS i, 100.0 * SUM(gpa) / COUNT(*) - 1 AS r,
  AVG(CASE WHEN days_absent BETWEEN 0 AND 10 THEN days_absent ELSE 0 END) FILTER (WHERE has_iep) AS a,
  SUM(CASE grade_level WHEN '09' THEN 1 ELSE 0 END) AS s, -COUNT(*) AS m,
  AVG(COALESCE(NULLIF(gpa, 0), IF(is_dropout, 1, 2))
    + CAST(days_enrolled AS DOUBLE) * TRY_CAST(gpa AS DECIMAL(4, 1))) AS x
FROM student_year AS y
WHERE y.school_year = 2025 AND (gpa IS NOT NULL OR NOT is_retained) AND school_id IN (1001, 1002)
  AND gpa <> 4 AND gpa < 5 AND gpa <= 5 AND gpa > 0 AND gpa >= 0 AND TRUE AND NULL IS NULL AND has_iep IS TRUE
GROUP BY grade_level ORDER BY n DESC, 1 LIMIT 5 OFFSET 1
"""
HARMLESS = {
    ("Div", "typed"),  # how another dialect would divide; ours is one division, on doubles
    ("Div", "safe"),
    ("Count", "big_int"),  # a spelling of COUNT
    ("Cast", "safe"),  # every cast is a safe one here
    ("TryCast", "safe"),
    ("DataType", "nested"),  # set for every type; a nested one has expressions too
    ("Identifier", "quoted"),  # names are compared without regard to case either way
    ("Order", "siblings"),
    ("Group", "all"),  # adds the groups that stand there already
}


def _arg_cases():
    tree = sqlglot.parse_one(EVERYTHING, read="duckdb")
    seen = set()
    for node in tree.walk():
        for key in type(node).arg_types:
            if (type(node), key) not in seen and node.args.get(key) in (None, False, [], ""):
                seen.add((type(node), key))
                yield type(node).__name__, key


def _planted(kind, key):
    tree = sqlglot.parse_one(EVERYTHING, read="duckdb")
    node = next(n for n in tree.walk() if type(n).__name__ == kind and n.args.get(key) in (None, False, [], ""))
    for value in (exp.column("gpa"), [exp.column("gpa")], True):
        node.args[key] = value
        yield tree


@pytest.mark.parametrize(("kind", "key"), sorted(set(_arg_cases())))
def test_an_arg_nobody_consumes_refuses(kind, key, canonical):
    """Each class of node we handle, times each of its args that the question does not use: refused when filled."""
    original = parse(EVERYTHING, canonical)
    for tree in _planted(kind, key):
        try:
            found = parsing._select(Source(EVERYTHING), tree, canonical)
        except QueryRefused:
            continue
        except (AttributeError, TypeError, ValueError):
            continue  # a value no parser would put there; it is not an answer either
        assert (kind, key) in HARMLESS or found != original, "an arg was dropped in silence"
        assert (kind, key) in HARMLESS or _means_something(kind, key), f"{kind}.{key} was accepted"


def _means_something(kind, key):
    """Args that the converter consumes though the question leaves them empty."""
    return (kind, key) in {
        ("Case", "this"),
        ("Select", "offset"),
        ("Ordered", "desc"),
        ("Ordered", "nulls_first"),
        ("Column", "table"),
        ("If", "false"),
        ("Case", "default"),
        ("Group", "all"),
        ("Table", "alias"),
        ("Coalesce", "expressions"),
        ("DataType", "expressions"),
        ("Alias", "alias"),
        ("Literal", "is_string"),
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("school_year = 2025 AND gpa > 3", "gpa > 3 AND (2025 = school_year)"),
        ("gpa BETWEEN 1 AND 2", "gpa <= 2 AND gpa >= 1"),
        ("NOT (NOT has_iep)", "has_iep"),
        ("grade_level IN ('10', '09', '10')", "grade_level IN ('09', '10')"),
        ("grade_level IN ('09')", "grade_level = '09'"),
        ("gpa > 1 + 1", "gpa > 2.0"),
        ("days_enrolled * 2 > 9", "2 * days_enrolled > 9"),
        ("TRUE AND has_iep", "has_iep /* a comment */"),
    ],
)
def test_equal_conditions_have_one_form(one, other, canonical):
    """Writing the same condition another way gives the same tree."""
    first, second = (parse(f"SELECT COUNT(*) FROM student_year WHERE {text}", canonical) for text in (one, other))
    assert first == second


def test_names_are_found_whatever_their_case(canonical):
    """Identifiers are compared without regard to case, quoted or not; aliases keep theirs."""
    query = parse('SELECT Count(*) AS "How Many", AVG(GPA) g FROM Student_Year GROUP BY "Grade_Level"', canonical)
    assert [item.name for item in query.items] == ["How Many", "g"]
    assert [key.name for key in query.keys] == ["grade_level"]


def test_a_column_that_is_off_cannot_be_named():
    """It is in no vault; the refusal says that it is switched off, and costs nothing."""
    text = files("engine").joinpath("starter.yaml").read_text(encoding="utf-8")
    declared = catalog_of(
        text.replace("gpa:              {", "gpa:              {sensitive: true, ", 1), "starter.yaml"
    )
    with pytest.raises(QueryRefused) as caught:
        parse("SELECT AVG(gpa) FROM student_year", declared)
    assert caught.value.code == "column_off"


def test_the_answers_columns_have_distinct_names(canonical):
    """Two columns of one name, or one that would collide with a margin's, are told apart."""
    sql = "SELECT COUNT(*) AS a, SUM(gpa) AS a, AVG(gpa) AS a_se, COUNT(*), AVG(gpa) FROM student_year"
    assert [item.name for item in parse(sql, canonical).items] == ["a", "a_2", "a_se_2", "count_star", "avg_gpa"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT COUNT(*) FROM student\0", "syntax"),
        ("SELECT COUNT(*) FROM student WHERE " + "(" * 100 + "TRUE" + ")" * 100, "too_large"),
        ("SELECT COUNT(*) FROM student WHERE " + "NOT " * 3000 + "TRUE", "too_large"),
        ("SELECT COUNT(*) FROM student WHERE sex IN (" + ",".join(["'F'"] * TOKENS_MAX) + ")", "too_large"),
        ("SELECT COUNT(*) FROM student -- " + "x" * TEXT_BYTES_MAX, "too_large"),
        ("SELECT " + "CASE WHEN TRUE THEN " * (DEPTH_MAX + 1) + "1" + " END" * (DEPTH_MAX + 1), "too_large"),
        ("", "syntax"),
        (";;", "syntax"),
        ("SELECT 'open", "syntax"),
        ("SELECT COUNT(*) FROM student WHERE \ud800", "syntax"),
        ("🦆", "unsupported"),
        ("SELECT", "syntax"),
        ("SELECT COUNT(*) FROM", "syntax"),
        ("SELEC COUNT(*) FROM student", "syntax"),
        ("SELECT COUNT(*) FROM student WHERE", "syntax"),
        (
            "SELECT COUNT(*) FROM student WHERE cohort_year = 9999999999999999999999999999999999999999999",
            "unsupported",
        ),
        ("SELECT COUNT(*) FROM student WHERE cohort_year = 0.00000000001", "too_large"),
        ("SELECT COUNT(*) FROM student WHERE cohort_year = ?", "unsupported"),
        ("SELECT COUNT(*) FROM student WHERE cohort_year = $1", "unsupported"),
        ("FROM student SELECT COUNT(*) ORDER BY ALL", "unsupported"),
        ("COPY student TO '/tmp/x'", "unsupported"),
        ("SELECT COUNT(*) FROM 'student.csv'", "unknown_name"),
        ("SELECT COUNT(*) FROM student PIVOT (COUNT(*) FOR sex IN ('F'))", "unsupported"),
        ("SELECT COLUMNS('.*') FROM student", "unsupported"),
        ("SELECT COUNT(*) FROM duckdb_settings()", "unsupported"),
        ("SELECT COUNT(*) FROM information_schema.tables", "unsupported"),
        ("SELECT getenv('HOME'), COUNT(*) FROM student", "unsupported"),
        ("SELECT COUNT(*) FROM student WHERE error('x')", "unsupported"),
        ("SELECT COUNT(*) OVER () FROM student", "crosses_students"),
        ("SELECT FIRST(sex) FROM student", "unsupported"),
        ("SELECT LIST(sex) FROM student", "unsupported"),
        ("SELECT COUNT(*) FROM student GROUP BY ROLLUP (sex)", "keys_undeclared"),
        ("SELECT COUNT(*) FROM student GROUP BY GROUPING SETS ((sex), ())", "keys_undeclared"),
        ("SELECT COUNT(*) FROM student WHERE sex LIKE 'F%'", "unsupported"),
        ("SELECT COUNT(student) FROM student", "unknown_name"),
        ("SELECT SUM(DISTINCT cohort_year) FROM student", "unsupported"),
        ("SELECT COUNT(sex, cohort_year) FROM student", "unsupported"),
        ("SELECT SUM(cohort_year ORDER BY sex) FROM student", "unsupported"),
        ("SELECT COUNT(*) FROM student LIMIT 5%", "unsupported"),
        ("SELECT COUNT(*) FROM student LIMIT -1", "unsupported"),
        ("SELECT COUNT(*) FROM student FOR UPDATE", "unsupported"),
        ("SELECT sex, COUNT(*) FROM student GROUP BY sex ORDER BY sex COLLATE nocase", "unsupported"),
        ("SELECT cohort_year BETWEEN 1 AND 2, COUNT(*) FROM student GROUP BY 1", "keys_undeclared"),
        ("SELECT COUNT(*) FROM student WHERE homeroom_owner = 1", "unknown_name"),
        ("SELECT COUNT(*) FROM homeroom_meta", "unknown_name"),
    ],
)
def test_odd_text_is_refused_clearly(text, code, canonical):
    """Whatever comes in, the answer is a refusal with a code, never a crash."""
    with pytest.raises(QueryRefused) as caught:
        parse(text, canonical)
    assert caught.value.code == code
    assert "\x1b" not in caught.value.message


def test_no_text_of_a_question_is_logged(canonical, caplog):
    """sqlglot logs fragments of what it cannot read; they go nowhere."""
    with caplog.at_level(logging.DEBUG), pytest.raises(QueryRefused):
        parse("EXPLAIN SELECT secret_fragment FROM student", canonical)
    assert "secret_fragment" not in caplog.text
