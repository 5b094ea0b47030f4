from __future__ import annotations

import logging
from importlib.resources import files

import pytest
import sqlglot
from sqlglot import exp

from engine import above, steps
from engine import parse as parsing
from engine.catalog_file import catalog_of
from engine.expressions.convert import _CONVERTERS
from engine.parse import parse
from engine.refusals import QueryRefused
from engine.source import Source
from engine.text import DEPTH_MAX, TEXT_BYTES_MAX, TOKENS_MAX

EVERYTHING = """
WITH c AS (SELECT student_key, school_year AS term, gpa * 1 AS points FROM student_year WHERE has_iep)
SELECT grade_level, COUNT(DISTINCT y.student_key) AS people, COUNT(*) AS n, COUNT(gpa) AS c, COUNT_IF(gpa > 3) AS i, 100.0 * SUM(gpa) / COUNT(*) - 1 AS r,
  AVG(CASE WHEN days_absent BETWEEN 0 AND 10 THEN days_absent ELSE 0 END) FILTER (WHERE has_iep) AS a,
  SUM(CASE grade_level WHEN '09' THEN 1 ELSE 0 END) AS s, -COUNT(*) AS m, (SUM(gpa)), y.cohort_year + 1,
  AVG(COALESCE(NULLIF(gpa, 0), IF(is_dropout, 1, 2), -(gpa))
    + CAST(days_enrolled AS DOUBLE) * TRY_CAST(gpa AS DECIMAL(4, 1)) / 2 - schools_attended) AS x
FROM student_year AS y JOIN (SELECT s.*, sex AS gender FROM student AS s) AS p ON (p.student_key) = y.student_key
  JOIN (SELECT * FROM school) USING (school_id) LEFT JOIN c ON c.student_key = y.student_key AND c.term = school_year
WHERE y.school_year = 2025 AND (gpa IS NOT NULL OR NOT is_retained) AND school_id IN (1001, 1002)
  AND DATE_ADD(DATE '2025-01-31', INTERVAL 1 MONTH) <> DATE '2025-01-31' AND gpa <> 4 AND gpa < 5 AND gpa <= 5 AND gpa > 0 AND gpa >= 0 AND TRUE AND NULL IS NULL AND has_iep IS TRUE
  AND (has_iep AND gpa > 1) AND gpa IS DISTINCT FROM 2 AND gpa IS NOT DISTINCT FROM 3 AND grade_level LIKE '0!_' ESCAPE '!'
GROUP BY grade_level, (y.cohort_year), 1 ORDER BY n DESC, 1, (grade_level), COUNT(*) + 1, cohort_year LIMIT 5 OFFSET 1
"""
WITHIN = """
WITH c AS (SELECT student_key, school_year AS term, gpa AS points FROM student_year WHERE has_iep),
  g AS (SELECT student_key, term, COUNT(*) AS n, SUM(points) FILTER (WHERE points > 0) AS total, COUNT(DISTINCT points) AS d, ARG_MAX(points, term) AS a,
      ARG_MIN(points, term) AS z, FIRST(points ORDER BY term DESC, points) AS f, LAST(points ORDER BY term) AS l, ANY_VALUE(points) AS v, BOOL_OR(points > 1) AS o, BOOL_AND(points > 1) AS w,
      COUNT_IF(points > 1) AS i, AVG(points) AS m, MIN(points) AS lo, MAX(points) AS hi, MEDIAN(points) AS h, STDDEV(points) AS s1, STDDEV_SAMP(points) AS s2, STDDEV_POP(points) AS s3,
      VARIANCE(points) AS s4, VAR_POP(points) AS s5
    FROM c GROUP BY student_key, term HAVING COUNT(*) > 0 AND n > 0),
  w AS (SELECT *, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY term DESC) AS rn, LAG(n, 1, 0) OVER (PARTITION BY student_key ORDER BY term) AS before,
      RANK() OVER (PARTITION BY student_key, n ORDER BY term) AS r1, DENSE_RANK() OVER (PARTITION BY student_key ORDER BY term) AS r2, PERCENT_RANK() OVER (PARTITION BY student_key ORDER BY term) AS r3,
      CUME_DIST() OVER (PARTITION BY student_key ORDER BY term) AS r4, NTILE(4) OVER (PARTITION BY student_key ORDER BY term) AS r5, LEAD(n) OVER (PARTITION BY student_key ORDER BY term) AS after,
      FIRST_VALUE(n) OVER (PARTITION BY student_key ORDER BY term) AS f1, LAST_VALUE(n) OVER (PARTITION BY student_key ORDER BY term) AS f2, NTH_VALUE(n, 2) OVER (PARTITION BY student_key ORDER BY term) AS f3,
      SUM(n) FILTER (WHERE n > 1) OVER (PARTITION BY student_key ORDER BY term ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS run
    FROM g QUALIFY rn <= 3 AND ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY n) < 9)
SELECT rn, EXISTS (SELECT 1 FROM program AS p WHERE p.student_key = u.student_key AND p.school_year = u.term) AS there, COUNT(*) AS people, AVG(total + a + z + f + l + v + m + lo + hi + h + s1 + s2 + s3 + s4 + s5) AS x,
  SUM(before + r1 + r2 + r3 + r4 + r5 + after + f1 + f2 + f3 + run + d + i) AS y
FROM (SELECT student_key, term, rn, n, total, a, z, f, l, v, m, lo, hi, h, s1, s2, s3, s4, s5, before, r1, r2, r3, r4, r5, after, f1, f2, f3, run, d, i FROM w WHERE o AND w
    UNION ALL SELECT DISTINCT student_key, 2025, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 FROM student AS s WHERE s.cohort_year > 2020) AS u
WHERE u.student_key IN (SELECT student_key FROM graduation) AND NOT (u.student_key, u.term) IN (SELECT student_key, school_year FROM program)
GROUP BY ALL
"""
EXCUSED = {
    ("Div", "typed"): "how another dialect would divide; ours is one division, on doubles",
    ("Div", "safe"): "as typed",
    ("Cast", "safe"): "every cast is a safe one here",
    ("DataType", "nested"): "set for every type; a nested one has expressions too",
    ("Identifier", "quoted"): "names are compared without regard to case either way",
    ("Case", "this"): "consumed: the operand",
    ("Ordered", "desc"): "consumed",
    ("Ordered", "nulls_first"): "consumed",
    ("Column", "table"): "consumed",
    ("Literal", "is_string"): "consumed",
    ("Select", "joins"): "consumed, where it is a list of joins",
    ("Group", "all"): "consumed",
    ("Union", "distinct"): "consumed",
    ("WindowSpec", "end_side"): "consumed: of which side CURRENT ROW is nobody asks",
    ("Join", "on"): "consumed",
    ("Join", "side"): "consumed, where it is a word",
    ("Join", "kind"): "consumed, where it is a word",
    ("Join", "using"): "consumed, where it is a list",
    ("Join", "method"): "consumed, where it is a word",
    ("Table", "alias"): "consumed, where it is an alias",
    ("Subquery", "alias"): "consumed, where it is an alias",
    ("Like", "negate"): "consumed, where it is true",
}
"""Empty args that may be filled without a refusal, and why."""

VALUES = {
    "a node": exp.column("gpa"),
    "a list": [exp.column("gpa")],
    "true": True,
    "a word": "gpa",
    "a name": exp.to_identifier("gpa"),
}


def place(node):
    """What a node is and where it hangs: a class is converted in several places, by different code."""
    parent = node.parent
    return type(node).__name__, "" if parent is None else f"{type(parent).__name__}.{node.arg_key}"


def empty(node, key):
    return node.args.get(key) in (None, False, [], "")


TREES = [sqlglot.parse_one(text, read="duckdb") for text in (EVERYTHING, WITHIN)]
FEW = 2
"""So many nodes of one class in one place are tried often, all of them before a change."""

CASES: dict[tuple[str, str], list[exp.Expr]] = {}
for _node in TREES[0].walk():
    CASES.setdefault(place(_node), []).append(_node)
for _node in TREES[1].walk():  # a long question: of each class in each place one node
    CASES.setdefault(place(_node), [_node])


PLACES = [
    pytest.param(*key, few, marks=pytest.mark.slow if nodes[0].root() is TREES[1] or few is None else ())
    for key, nodes in CASES.items()
    for few in ((FEW, None) if len(nodes) > FEW else (FEW,))
]


def reparsed(node, canonical):
    """Read once more what a node stands in."""
    root = node.root()
    parsing._select(Source(EVERYTHING if root is TREES[0] else WITHIN), root, canonical)


def test_every_class_that_is_handled_stands_in_the_question(canonical):
    """The questions have each node there is a converter for, and are accepted."""
    parse(EVERYTHING, canonical)
    parse(WITHIN, canonical)
    classes = {type(node) for tree in TREES for node in tree.walk()}
    assert classes >= {
        *_CONVERTERS,
        *above._AGGREGATES,
        *above.ARITHMETIC,
        *steps.AGGREGATES,
        *steps.RANKS,
        *steps.PLACES,
        exp.Filter,
        exp.TableAlias,
        exp.DataTypeParam,
    }


def filled(node, canonical, only=None):
    """Each empty arg of a node that may be filled without a refusal, and with what; or only some args."""
    for key in type(node).arg_types:
        if not empty(node, key) or (only is not None and key not in only):
            continue
        before = node.args.get(key)
        for name, value in VALUES.items():
            node.args[key] = value
            try:
                reparsed(node, canonical)
            except QueryRefused:
                continue
            except (AttributeError, TypeError, ValueError, KeyError):
                yield key, f"{name}, and broke"
            else:
                yield key, name
            finally:
                node.args[key] = before


@pytest.mark.parametrize(("kind", "where", "few"), PLACES, ids=lambda part: part or "root")
def test_an_arg_nobody_consumes_refuses(kind, where, few, canonical):
    """Each class of node, wherever it is handled, times each arg the question leaves empty: refused when filled with anything."""
    found = {key: name for node in CASES[kind, where][:few] for key, name in filled(node, canonical)}
    assert {(kind, key) for key in found} <= EXCUSED.keys(), found


def emptied(node, canonical):
    """Each arg of a node that breaks the converter where it is missing, and how."""
    for key, required in type(node).arg_types.items():
        if empty(node, key) or required:
            continue
        before = node.args[key]
        for missing in (None, []) if isinstance(before, list) else (None,):
            node.args[key] = missing
            try:
                reparsed(node, canonical)
            except QueryRefused:
                continue
            except Exception as error:  # noqa: BLE001 - whatever is no refusal is what is looked for
                yield key, repr(error)
            finally:
                node.args[key] = before


@pytest.mark.parametrize(("kind", "where", "few"), PLACES, ids=lambda part: part or "root")
def test_an_arg_that_is_missing_breaks_nothing(kind, where, few, canonical):
    """sqlglot reads `x IN` and `SELECT FROM t`: an arg that it does not require may be absent, and then it is a refusal or an answer."""
    assert not {key: error for node in CASES[kind, where][:few] for key, error in emptied(node, canonical)}


@pytest.mark.slow
def test_every_excuse_is_needed(canonical):
    """No arg is excused that would refuse anyway."""
    found = set()
    for (kind, _), nodes in CASES.items():
        wanted = {key for name, key in EXCUSED if name == kind and (name, key) not in found}
        found |= {(kind, key) for node in nodes for key, _ in filled(node, canonical, wanted)}
    assert found == EXCUSED.keys()


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
        ("FROM student SELECT COUNT(*) ORDER BY ALL, 1", "syntax"),
        ("COPY student TO '/tmp/x'", "unsupported"),
        ("SELECT COUNT(*) FROM 'student.csv'", "unknown_name"),
        ("SELECT COUNT(*) FROM student PIVOT (COUNT(*) FOR sex IN ('F'))", "unsupported"),
        ("SELECT COLUMNS('.*') FROM student", "unsupported"),
        ("SELECT COUNT(*) FROM duckdb_settings()", "unsupported"),
        ("SELECT COUNT(*) FROM information_schema.tables", "unsupported"),
        ("SELECT getenv('HOME'), COUNT(*) FROM student", "unsupported"),
        ("SELECT COUNT(*) FROM student WHERE error('x')", "unsupported"),
        ("SELECT COUNT(*) OVER () FROM student", "unsupported"),
        ("SELECT FIRST(sex) FROM student", "unsupported"),
        ("SELECT LIST(sex) FROM student", "unsupported"),
        ("SELECT COUNT(*) FROM student GROUP BY ROLLUP (sex)", "unsupported"),
        ("SELECT COUNT(*) FROM student GROUP BY GROUPING SETS ((sex), ())", "unsupported"),
        ("SELECT COUNT(*) FROM student WHERE sex LIKE sex", "unsupported"),
        ("SELECT COUNT(student) FROM student", "unknown_name"),
        ("SELECT SUM(DISTINCT cohort_year) FROM student", "unsupported"),
        ("SELECT COUNT(sex, cohort_year) FROM student", "unsupported"),
        ("SELECT SUM(cohort_year ORDER BY sex) FROM student", "unsupported"),
        ("SELECT COUNT(*) FROM student LIMIT 5%", "unsupported"),
        ("SELECT COUNT(*) FROM student LIMIT -1", "unsupported"),
        ("SELECT COUNT(*) FROM student FOR UPDATE", "unsupported"),
        ("SELECT sex, COUNT(*) FROM student GROUP BY sex ORDER BY sex COLLATE nocase", "unsupported"),
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


@pytest.mark.parametrize(
    ("text", "place", "excerpt"),
    [
        ("SELECT C\rOUNT(*) FROM student", (1, 14), "("),
        ("SELECT\r\nnobody, COUNT(*)\r\nFROM student", (2, 1), "nobody"),
        ('SELECT SUM("\x1b[31m") FROM student', (1, 12), '"·[31m"'),
        ("      FROM student", (1, 1), None),
    ],
)
def test_a_refusal_points_into_the_text(text, place, excerpt, canonical):
    """Lines end at a line feed and nowhere else; the excerpt stands at the place, printable, and is never blank."""
    with pytest.raises(QueryRefused) as caught:
        parse(text, canonical)
    assert (caught.value.line, caught.value.column) == place
    assert caught.value.excerpt == excerpt
    assert caught.value.message.isprintable()


NESTED = {
    "equalities": "has_iep" + " = has_iep" * 330,
    "IS NULL": "gpa" + " IS NULL" * 330,
    "casts": "gpa" + "::DOUBLE::DECIMAL(5, 2)" * 199 + " > 1",
    "subscripts": "gpa" + "[1]" * 500 + " = 1",
    "a size": f"CAST(gpa AS DECIMAL({'1' * 4_400}, 2)) > 1",
    "an ordinal": "TRUE GROUP BY " + "1" * 4_400,
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED.keys())
def test_what_is_deep_or_long_is_refused_before_it_breaks_anything(text, canonical):
    """Each of these once ended in an internal failure, or took seconds."""
    with pytest.raises(QueryRefused):
        parse(f"SELECT COUNT(*) FROM student_year WHERE {text}", canonical)


def test_a_long_chain_of_conditions_is_not_deep(canonical):
    """Four hundred conditions joined by AND, or by OR, are one level."""
    for word in (" AND ", " OR "):
        chain = word.join(f"days_enrolled <> {day}" for day in range(400))
        parse(f"SELECT COUNT(*) FROM student_year WHERE {chain}", canonical)


def test_no_text_of_a_question_is_logged(canonical, caplog):
    """sqlglot logs fragments of what it cannot read; they go nowhere."""
    with caplog.at_level(logging.DEBUG), pytest.raises(QueryRefused):
        parse("EXPLAIN SELECT secret_fragment FROM student", canonical)
    assert "secret_fragment" not in caplog.text


def test_no_column_takes_the_name_of_anothers_margin(canonical):
    """In the answer's table an estimate has three columns more, and `partial` is one of its own."""
    sql = "SELECT COUNT(*) AS n_se, COUNT(gpa) AS n, COUNT(*) AS partial, COUNT(*) AS n FROM student_year"
    assert [item.name for item in parse(sql, canonical).items] == ["n_se", "n_2", "partial_2", "n_3"]
