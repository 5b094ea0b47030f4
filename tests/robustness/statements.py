"""Statements of our own making: mutations of good and bad questions, random grammar, monsters, noise of bytes."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ("tests/engine/accepted", "tests/engine/refused", "tests/questions")
SHARED = ROOT.parent / "shared" / "queries"

TABLES = [
    "student",
    "student_year",
    "assessment",
    "course_grade",
    "graduation",
    "program",
    "school",
    "discipline",
    "nobody",
    "homeroom_meta",
    "information_schema.tables",
]
COLUMNS = [
    "gpa", "days_absent", "days_enrolled", "school_year", "grade_level", "school_id", "econ_disadv", "has_iep", "cohort_year",
    "schools_attended", "sex", "outcome", "student_key", "scale_score", "performance_level", "nothing", "y.gpa", '"GPA"', "*", "rowid",
]  # fmt: skip
LITERALS = [
    "0", "1", "-1", "2025", "3.5", "1e3", "1e-9", "1e400", "9" * 30, "0.1234567890123", "0x1F", "1_000", "'09'", "''", "'it''s'", "E'\\n'", "$$x$$", "$tag$y$tag$",
    "NULL", "TRUE", "FALSE", "'2025-01-01'", "DATE '2025-01-01'", "INTERVAL 1 DAY", "TIMESTAMP 'now'", "X'00'", "?", "$1", ":name", "@v", "{{ jinja }}",
    "'🦆'", "[1, 2]", "{'a': 1}", "MAP {1: 2}", "(1, 2)", "NaN", "Infinity", "CURRENT_DATE", "'\u202egnp'",
]  # fmt: skip
BINARY = [
    "+", "-", "*", "/", "//", "%", "**", "^", "||", "&", "|", "<<", ">>", "=", "==", "<>", "!=", "<", "<=", ">", ">=", "<=>", "AND", "OR", "XOR",
    "IS", "IS NOT", "IS DISTINCT FROM", "IS NOT DISTINCT FROM", "LIKE", "ILIKE", "NOT LIKE", "GLOB", "SIMILAR TO", "~", "!~", "->", "->>", "@>", "::", "COLLATE", "AT TIME ZONE", ",",
]  # fmt: skip
FUNCTIONS = [
    "COUNT", "SUM", "AVG", "COUNT_IF", "MIN", "MAX", "MEDIAN", "STDDEV", "ARG_MAX", "FIRST", "LIST", "STRING_AGG", "QUANTILE_CONT", "COALESCE", "NULLIF", "IF", "IFNULL", "ABS",
    "ROUND", "GREATEST", "LEAST", "SQRT", "LN", "UPPER", "SUBSTRING", "REGEXP_MATCHES", "STRPTIME", "DATE_TRUNC", "EXTRACT", "ERROR", "GETENV", "READ_CSV", "QUERY", "CURRENT_SETTING",
    "SLEEP", "HASH", "RANDOM", "UUID", "NEXTVAL", "ROW_NUMBER", "RANK", "LAG", "GROUPING", "UNNEST", "RANGE", "COLUMNS", "TRY", "STRUCT_PACK", "NO_SUCH_FUNCTION", "PG_SLEEP",
]  # fmt: skip
TYPES = [
    "INTEGER",
    "BIGINT",
    "TINYINT",
    "UTINYINT",
    "HUGEINT",
    "DOUBLE",
    "FLOAT",
    "DECIMAL(4, 1)",
    "DECIMAL(38, 37)",
    "DECIMAL",
    "VARCHAR",
    "VARCHAR(3)",
    "BOOLEAN",
    "DATE",
    "INTEGER[]",
    "STRUCT(a INTEGER)",
    "ENUM('a')",
    "JSON",
    "no_such_type",
]
CLAUSES = [
    "HAVING COUNT(*) > 5", "QUALIFY ROW_NUMBER() OVER () = 1", "WINDOW w AS (ORDER BY gpa)", "USING SAMPLE 10%", "TABLESAMPLE RESERVOIR(10 ROWS)", "FOR UPDATE", "FETCH FIRST 5 ROWS ONLY",
    "LIMIT ALL", "LIMIT 10 PERCENT", "LIMIT (SELECT 1)", "OFFSET 3", "ORDER BY ALL", "ORDER BY RANDOM()", "ORDER BY 99", "ORDER BY 1 DESC NULLS FIRST", "ORDER BY COUNT(*)", "LIMIT 3",
    "GROUP BY ALL", "GROUP BY CUBE (sex)", "GROUP BY GROUPING SETS ((), (sex))", "GROUP BY ROLLUP (school_year)", "INTO OUTFILE 'x'", "POSITIONAL JOIN student", "ASOF JOIN student ON TRUE",
]  # fmt: skip
OTHERS = [
    "INSERT INTO {t} VALUES ({e})", "INSERT INTO {t} SELECT * FROM {t} RETURNING *", "UPDATE {t} SET gpa = {e} WHERE {e}", "DELETE FROM {t} WHERE {e}", "TRUNCATE {t}",
    "MERGE INTO {t} USING {t} ON {e} WHEN MATCHED THEN DELETE", "CREATE TABLE x AS SELECT * FROM {t}", "CREATE OR REPLACE VIEW v AS SELECT {e}", "CREATE MACRO f(a) AS a", "CREATE INDEX i ON {t} (gpa)",
    "CREATE SECRET s (TYPE s3)", "CREATE SCHEMA s", "CREATE SEQUENCE q", "CREATE TYPE t AS ENUM ('a')", "DROP TABLE {t}", "ALTER TABLE {t} ADD COLUMN c INT", "COPY {t} TO 'x.csv'", "COPY {t} FROM PROGRAM 'id'",
    "ATTACH 'x.db' AS x", "DETACH x", "USE x", "PRAGMA database_list", "PRAGMA storage_info('{t}')", "SET memory_limit = '1TB'", "RESET ALL", "EXPLAIN ANALYZE SELECT * FROM {t}", "DESCRIBE {t}", "SHOW TABLES", "SUMMARIZE {t}",
    "CALL pragma_version()", "PREPARE p AS SELECT * FROM {t}", "EXECUTE p(1)", "DEALLOCATE p", "VACUUM", "ANALYZE", "CHECKPOINT", "EXPORT DATABASE 'x'", "IMPORT DATABASE 'x'", "INSTALL httpfs", "LOAD httpfs", "BEGIN", "COMMIT", "ROLLBACK",
    "GRANT ALL ON {t} TO PUBLIC", "COMMENT ON TABLE {t} IS 'x'", "KILL 1", "CACHE TABLE {t}", "REFRESH TABLE {t}", "LOCK TABLES {t} READ", "DECLARE x INT", "RETURN 1", "IF 1=1 SELECT 1",
    "VALUES ({e}), ({e})", "TABLE {t}", "FROM {t}", "FROM {t} SELECT {e}", "PIVOT {t} ON sex USING COUNT(*)", "UNPIVOT {t} ON gpa", "SELECT * FROM {t} UNION ALL BY NAME SELECT * FROM {t}", "SELECT {e} EXCEPT SELECT {e}",
    "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT * FROM r) SELECT COUNT(*) FROM r", "WITH a AS MATERIALIZED (SELECT * FROM {t}) SELECT COUNT(*) FROM a, {t}", "SELECT COUNT(*) FROM {t}; DROP TABLE {t}",
    "SELECT * FROM {t} MATCH_RECOGNIZE (PATTERN (a) DEFINE a AS TRUE)", "SELECT COUNT(*) FROM {t}, LATERAL (SELECT {e})", "SELECT COUNT(*) FROM {t} WHERE EXISTS (SELECT 1 FROM {t} WHERE {e})", "SELECT (SELECT COUNT(*) FROM {t})",
    "SELECT COUNT(*) FROM {t} WHERE gpa > (SELECT AVG(gpa) FROM {t})", "SELECT COUNT(*) FROM {t} WHERE gpa = ANY (SELECT 1)", "SELECT COUNT(*) FROM {t} WHERE (gpa, sex) IN ((1, 'F'))", "SELECT * EXCLUDE (gpa) REPLACE (1 AS sex) FROM {t}",
    "SELECT COUNT(*) FROM {t} AT (VERSION => 1)", "SELECT COUNT(*) FROM '{t}.parquet'", "SELECT COUNT(*) FROM {t} AS a(b, c)", "SELECT DISTINCT ON (sex) COUNT(*) FROM {t}", "SELECT SUM(DISTINCT gpa) FROM {t}", "SELECT SUM(gpa ORDER BY sex) FROM {t}",
    "SELECT COUNT(*) WITHIN GROUP (ORDER BY gpa) FROM {t}", "SELECT AVG(gpa) IGNORE NULLS FROM {t}", "SELECT COUNT(*) OVER (PARTITION BY sex) FROM {t}", "SELECT a: COUNT(*), b: {e} FROM {t}", "SELECT COUNT(*) AS 'x' FROM {t}", "DO $$ BEGIN END $$",
]  # fmt: skip
ODD = [
    "\0", "\x07", "\x1b[31m", "\x7f", "\x85", "\u00a0", "\u200b", "\u2028", "\u202e", "\ufeff", "\ud800", "\udfff", "🦆", "é", "e\u0301", "\U000e0001", "ﬀ", "\r\n", "\r", "\x0c", "\t", "'", '"', "`", "''", '"" ', "$$", "--", "/*", "*/", "/**/", "#", ";", "\\", "(", ")", "[", "]", "{", "}",
    "{{", "}}", "{%", "%}", "$1", "?", ":x", "@", "@@", "~", "^", "|", "&", "!", "::", "->", "=>", "..", "...", "\uff07", "\u0661", "²",
]  # fmt: skip
TOKENS = re.compile(r"\w+|'[^']*'|\"[^\"]*\"|\s+|--[^\n]*|[^\w\s]")
WORD = re.compile(r"(?<![\w'])[a-z_][a-z0-9_]*(?![\w'(])")


def seeds() -> list[str]:
    """The golden questions, and the shared ones where they lie beside the checkout."""
    files = [file for folder in GOLDEN for file in sorted((ROOT / folder).glob("*.sql"))]
    files += sorted(SHARED.glob("*.sql")) if SHARED.is_dir() else []
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [line.removesuffix(";") for line in lines if line and not line.startswith("--")]


def mutated(random, texts) -> str:
    """A text with one to four of its tokens lost, doubled, swapped, replaced or spoilt."""
    tokens = TOKENS.findall(random.choice(random.choice([texts, texts[: len(texts) // 3]])))
    for _ in range(random.choice([1, 1, 2, 4])):
        place, other = random.randrange(len(tokens)), random.randrange(len(tokens))
        spare = random.choice([*TOKENS.findall(random.choice(texts)), *COLUMNS, *LITERALS, *BINARY])
        match random.randrange(8):
            case 0 if len(tokens) > 1:
                del tokens[place]
            case 1:
                tokens[place] += " " + tokens[place]
            case 2:
                tokens[place], tokens[other] = tokens[other], tokens[place]
            case 3:
                tokens[place] = spare
            case 4:
                tokens.insert(place, f" {spare} ")
            case 5:
                tokens.insert(place, random.choice(ODD))
            case 6:
                cut = random.randrange(len(tokens[place]) + 1)
                tokens[place] = tokens[place][:cut] + random.choice(ODD) + tokens[place][cut:]
            case _:
                tokens[place] = random.choice(
                    [f"({tokens[place]})", f"-{tokens[place]}", f"NOT {tokens[place]}", tokens[place].upper()]
                )
    return "".join(tokens)


def ours(random, text) -> str:
    """A text of somebody else with our names for many of its names, so that it comes further."""
    names = {}

    def named(found):
        if random.random() < 0.3:
            return found.group()
        before = text[: found.start()].rstrip().lower()
        pool = TABLES[:6] if before.endswith(("from", "join", "into", "table", "update")) else COLUMNS[:12]
        return names.setdefault(found.group(), random.choice(pool))

    return WORD.sub(named, text)


def expression(random, depth) -> str:  # noqa: C901, PLR0911 - one branch for each form
    """A random expression, mostly nonsense, often nearly right."""
    if depth <= 0 or random.random() < 0.15:
        return random.choice(
            [
                random.choice(COLUMNS[:12]),
                random.choice(COLUMNS),
                random.choice(LITERALS),
                random.choice(LITERALS[:5]),
            ]
        )

    def inner():
        return expression(random, depth - 1)

    match random.randrange(16):
        case 0 | 1 | 2:
            return f"{inner()} {random.choice(BINARY[:4] + BINARY[13:23])} {inner()}"
        case 3:
            return f"{inner()} {random.choice(BINARY)} {inner()}"
        case 4:
            return f"({inner()})"
        case 5:
            return f"{random.choice(['NOT', '-', '+', '~', '!', 'EXISTS', 'DISTINCT', 'ALL'])} {inner()}"
        case 6 | 7:
            arguments = ", ".join(inner() for _ in range(random.choice([0, 1, 1, 2, 3])))
            return f"{random.choice(FUNCTIONS[:4] + FUNCTIONS)}({arguments})"
        case 8:
            return f"CASE {random.choice(['', inner()])} WHEN {inner()} THEN {inner()} {random.choice(['', 'ELSE ' + inner()])} END"
        case 9:
            return f"{random.choice(['CAST', 'TRY_CAST'])}({inner()} AS {random.choice(TYPES)})"
        case 10:
            return f"{inner()} {random.choice(['', 'NOT'])} BETWEEN {inner()} AND {inner()}"
        case 11:
            return f"{inner()} {random.choice(['', 'NOT'])} IN ({', '.join(inner() for _ in range(random.choice([0, 1, 3])))})"
        case 12:
            return f"{inner()} IS {random.choice(['', 'NOT'])} {random.choice(['NULL', 'TRUE', 'FALSE', 'UNKNOWN', inner()])}"
        case 13:
            return (
                f"{random.choice(FUNCTIONS[:4])}({inner()}) {random.choice(['', 'OVER ()'])} FILTER (WHERE {inner()})"
            )
        case 14:
            return f"{inner()}{random.choice(['[1]', '.a', '::' + random.choice(TYPES), ' OVER (ORDER BY gpa)', ' COLLATE nocase'])}"
        case _:
            return f"(SELECT {inner()} FROM {random.choice(TABLES)})"


CONDITIONS = [
    "gpa > 2",
    "school_year = 2025",
    "grade_level IN ('09', '10')",
    "NOT has_iep",
    "cohort_year BETWEEN 2025 AND 2030",
    "days_absent >= 0.1 * days_enrolled",
    "gpa IS NULL",
    "gpa / 0 > 1",
]
NUMBERS = [
    "gpa",
    "days_absent",
    "school_year - 2000",
    "gpa * days_absent",
    "CASE WHEN has_iep THEN 1 ELSE 0 END",
    "NULLIF(gpa, 0)",
    "CAST(gpa AS DOUBLE) / 3",
    "COALESCE(gpa, 1)",
]


def sensible(random) -> str:
    """A question that would be answered, but for one place that is random."""
    keys = random.sample(["grade_level", "econ_disadv", "school_year", "cohort_year"], random.choice([0, 1, 2]))
    aggregates = [
        f"{random.choice(FUNCTIONS[:3])}({random.choice(NUMBERS)})" for _ in range(random.choice([1, 2, 3]))
    ]
    where = random.sample(CONDITIONS, random.choice([1, 2, 3]))
    parts = random.choice([aggregates, where])
    parts[random.randrange(len(parts))] = random.choice([expression(random, 2), parts[0]])
    text = f"SELECT {', '.join([*keys, f' {random.choice(BINARY[:4])} '.join(aggregates)])} FROM student_year WHERE {' AND '.join(where)}"
    return text + (f" GROUP BY {', '.join(keys)}" if keys else "")


def above(random, aggregates, keys, depth) -> str:
    """A random number over aggregates and keys, mostly one that is accepted."""
    if random.random() < 0.02:
        return expression(random, 1)
    if depth <= 0 or random.random() < 0.2:
        return random.choice([*aggregates * 3, "school_year", "3", "0", "0.5", "1e300", "NULL"])

    def inner():
        return above(random, aggregates, keys, depth - 1)

    match random.randrange(10):
        case 0 | 1 | 2:
            return f"({inner()} {random.choice(BINARY[:4])} {inner()})"
        case 3:
            met = condition_above(random, aggregates, keys, depth)
            return f"CASE WHEN {met} THEN {inner()} {random.choice(['', 'ELSE ' + inner()])} END"
        case 4:
            name = random.choice(["ROUND", "ABS", "FLOOR", "CEIL", "SQRT", "LN", "EXP"])
            return f"{name}({inner()})"
        case 5:
            return f"{random.choice(['POWER', 'GREATEST', 'LEAST', 'COALESCE', 'NULLIF'])}({inner()}, {inner()})"
        case 6:
            return (
                f"{random.choice(['CAST', 'TRY_CAST'])}({inner()} AS {random.choice(TYPES[:3] + TYPES[5:6] + TYPES)})"
            )
        case 7:
            name = random.choice(["RANK", "DENSE_RANK", "ROW_NUMBER", "PERCENT_RANK", "CUME_DIST"])
            return f"{name}() OVER ({random.choice(['', 'PARTITION BY ' + keys[0]])} ORDER BY {inner()})"
        case _:
            name = random.choice(["SUM", "SUM", "AVG", "MIN", "MAX", "COUNT", "LAG", "LEAD"])
            by, frame = random.choice([*keys, "COUNT(*) > 9"]), random.choice(["", "", "", " ROWS 1 PRECEDING"])
            over = random.choice(["", f"PARTITION BY {by}", f"ORDER BY {random.choice(aggregates)}{frame}"])
            return f"{name}({random.choice([*aggregates * 2, inner()])}) OVER ({over})"


def condition_above(random, aggregates, keys, depth) -> str:
    """A random condition over aggregates and keys."""
    one, other = (above(random, aggregates, keys, depth - 1) for _ in range(2))
    match random.randrange(6):
        case 0 | 1 | 2:
            return f"{one} {random.choice(['=', '<>', '<', '<=', '>', '>=', 'IS DISTINCT FROM'])} {other}"
        case 3:
            return f"{random.choice(['NOT ', ''])}({one} > 1 {random.choice(['AND', 'OR'])} {other} > 2)"
        case 4:
            return f"{one} {random.choice(['BETWEEN 0 AND 9', 'IN (1, 2)', 'IS NULL', 'NOT IN (0)', 'IS NOT NULL'])}"
        case _:
            return f"{keys[0]} = '09'"


def outer(random) -> str:
    """A question whose aggregates are worked on: in SELECT, HAVING, QUALIFY and ORDER BY."""
    keys = [*random.sample(["grade_level", "econ_disadv", "school_year"], random.choice([1, 2])), "school_year"]
    keys = list(dict.fromkeys(keys))
    made = ["COUNT(*)", "SUM(days_absent)", "AVG(gpa)", "COUNT(*) FILTER (WHERE has_iep)"]
    aggregates = random.sample(made, random.choice([1, 2]))

    def one():
        return above(random, aggregates, keys, random.choice([1, 2, 3]))

    text = f"SELECT {', '.join(keys)}, {one()} AS x, {one()} FROM student_year WHERE school_year >= 2024 GROUP BY {', '.join(keys)}"
    plain = [random.choice(aggregates), "x"]
    text += random.choice(["", "", f" HAVING {condition_above(random, plain, keys, 1)}"])
    text += random.choice(["", "", f" QUALIFY {condition_above(random, aggregates, keys, 2)}"])
    return text + random.choice(["", f" ORDER BY {one()} DESC, x NULLS FIRST LIMIT 5", " ORDER BY 3, x"])


def question(random) -> str:
    """A random SELECT, or a statement of another class."""
    if random.random() < 0.3:
        return sensible(random)
    if random.random() < 0.3:
        return outer(random)
    if random.random() < 0.25:
        return random.choice(OTHERS).format(t=random.choice(TABLES), e=expression(random, 2))
    aggregates = [
        f"{random.choice(FUNCTIONS[:4])}({expression(random, random.randrange(3))})"
        for _ in range(random.choice([0, 1, 2]))
    ]
    columns = [expression(random, random.randrange(4)) for _ in range(random.choice([0, 0, 1]))]
    keys = random.sample(COLUMNS[:10], random.choice([0, 0, 1, 2]))
    selected = ", ".join([*keys, *columns, *aggregates, *random.choice([[], ["COUNT(*)"]])]) or "1"
    text = f"SELECT {selected} FROM {random.choice(TABLES[:5] * 3 + TABLES)}{random.choice(['', '', ' y', ' AS y'])}"
    if random.random() < 0.6:
        text += f" WHERE {expression(random, random.randrange(4))}"
    if keys:
        text += f" GROUP BY {', '.join(random.choice([keys, keys, ['ALL'], [str(i + 1) for i in range(len(keys))]]))}"
    return text + "".join(f" {random.choice(CLAUSES)}" for _ in range(random.choice([0, 0, 1, 2])))


JOINABLE = {
    "student_year": ["school_year", "school_id", "grade_level", "has_iep", "days_enrolled", "days_absent", "schools_attended", "gpa"],
    "assessment": ["school_year", "test_program", "subject", "scale_score", "performance_level", "is_proficient"],
    "course_grade": ["school_year", "school_id", "subject_area", "grade_points", "credits_earned", "is_passed"],
    "student": ["sex", "race_ethnicity", "entry_year"],
    "graduation": ["grad_cohort", "school_id", "outcome", "years_to_outcome"],
    "program": ["school_year", "program_type"],
}  # fmt: skip
LOOKUP = ["school_id", "school_name", "school_level", "locale", "is_charter"]
WHOLE = ["school_year", "school_id", "days_enrolled", "days_absent", "schools_attended", "gpa", "cohort_year", "scale_score",
         "performance_level", "grade_points", "entry_year", "grad_cohort", "years_to_outcome"]  # fmt: skip


def reckoned(random, columns, depth) -> str:
    """An expression over columns of several relations, mostly of numbers."""
    numbers = [column for column in columns if column.split(".")[-1] in WHOLE] or ["1"]
    if depth <= 0:
        return random.choice(numbers)
    one, two, three = (reckoned(random, columns, depth - 1) for _ in range(3))
    forms = [
        f"({one} {random.choice('+-*')} {two})",
        f"CASE WHEN {one} > {random.randrange(2_000)} THEN {two} ELSE {three} END",
        f"COALESCE({one}, {two})",
        f"CAST({one} AS INTEGER)",
        f"({one} > {two})",
        f"NULLIF({one}, {random.randrange(50)})",
        random.choice(columns),
    ]
    return random.choice(forms)


def joined(random) -> str:
    """A question over several relations, grouped by expressions, often worked on once more."""
    base = random.choice(list(JOINABLE))
    parts, text = [("a", base)], f"{base} a"
    for alias in "bcdefg"[: random.choice([0, 0, 1, 1, 2, 3, 6])]:
        side = random.choice(["", "", "LEFT "])
        keyed = [name for name, table in parts if table != "school" and "school_id" in JOINABLE[table]]
        if keyed and random.random() < 0.3:
            text += f" {side}JOIN school {alias} ON {alias}.school_id = {random.choice(keyed)}.school_id"
            parts.append((alias, "school"))
            continue
        table = random.choice(list(JOINABLE))
        on = [f"{alias}.student_key = {random.choice(['a', 'a', 'a', alias, 'b'])}.student_key"]
        if "school_year" in JOINABLE[table] and "school_year" in JOINABLE[base] and random.random() < 0.8:
            on.append(f"{alias}.school_year = a.school_year + {random.choice([0, 1])}")
        text += f" {side}JOIN {table} {alias} ON {' AND '.join(on)}"
        parts.append((alias, table))
    columns = [
        f"{a}.{c}" for a, table in parts for c in (LOOKUP if table == "school" else [*JOINABLE[table], "cohort_year"])
    ]
    keys = [reckoned(random, columns, random.choice([0, 0, 1, 2, 3])) for _ in range(random.choice([0, 1, 1, 2, 4]))]
    outputs = [
        random.choice(
            [
                "COUNT(*)",
                f"SUM({reckoned(random, columns, 2)})",
                f"AVG({reckoned(random, columns, 1)})",
                f"COUNT(DISTINCT {random.choice(parts)[0]}.student_key)",
                f"COUNT(*) FILTER (WHERE {reckoned(random, columns, 1)} > 3)",
                "ROUND(COUNT(*) / SUM(COUNT(*)) OVER (), 3)",
                "RANK() OVER (ORDER BY COUNT(*) DESC)",
                "CASE WHEN COUNT(*) > 100 THEN 'many' ELSE 'few' END",
            ]
        )
        for _ in range(random.choice([1, 1, 3, 12]))
    ]
    selected = [*(f"{key} AS k{i}" for i, key in enumerate(keys)), *(f"{o} AS o{i}" for i, o in enumerate(outputs))]
    sql = f"SELECT {', '.join(selected)} FROM {text}"
    if "school_year" in JOINABLE[base]:
        sql += random.choice(["", " WHERE a.school_year = 2025", " WHERE a.school_year IN (2024, 2025)"])
    if keys:
        sql += f" GROUP BY {', '.join(str(i + 1) for i in range(len(keys)))}{random.choice(['', ' HAVING COUNT(*) > 50'])}"
    match random.randrange(6):
        case 0:
            return f"SELECT COUNT(*), SUM(o0), MAX(o0) FROM ({sql}) q"
        case 1:
            return f"WITH q AS ({sql}) SELECT x.o0 - y.o0 AS change, x.* FROM q x JOIN q y ON x.o0 > y.o0 LIMIT 5"
        case 2:
            return f"{sql} UNION ALL {sql}"
        case _:
            return sql


def stepped(random) -> str:
    """A question over steps within each student, on each other, beside each other, or broken in some way."""
    source, columns = step(random, random.choice([1, 1, 2, 3]))
    keys = random.sample(columns, min(len(columns), random.choice([0, 1, 1, 2])))
    picked = random.choice(columns or ["1"])
    outputs = random.choice(
        [
            "COUNT(*)",
            f"SUM({picked})",
            f"AVG(CASE WHEN {picked} BETWEEN 0 AND 50 THEN {picked} END), COUNT(*)",
            f"COUNT(DISTINCT student_key), COUNT(*) FILTER (WHERE {picked} > 1)",
        ]
    )
    where = random.choice(
        ["", "", f" WHERE {picked} = 1", f" WHERE {picked} BETWEEN 1 AND 3", f" WHERE {apart(random)}"]
    )
    grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
    return f"SELECT {', '.join([*keys, outputs])} FROM {source} q{where}{grouped}"


def step(random, depth) -> tuple[str, list[str]]:
    """A source of rows that carry the student, and its columns."""
    if depth == 0:
        table = random.choice([name for name in JOINABLE if "school_year" in JOINABLE[name]])
        return table, random.sample(JOINABLE[table], min(3, len(JOINABLE[table])))
    source, columns = step(random, depth - 1)
    other, others = step(random, random.randrange(depth))
    one, two = (random.choice(columns or ["1"]) for _ in range(2))
    filtered = random.choice(["", "", f" FILTER (WHERE {one} > 1)"])
    owner = random.choice(["student_key"] * 9 + ["x.student_key", "1", one])
    where = random.choice(["", "", f" WHERE {one} IS NOT NULL", f" WHERE {apart(random)}"])
    match random.randrange(7):
        case 0 | 1:
            made = f"{random.choice(STEP_AGGREGATES).format(x=one, y=two)}{filtered}"
            having = random.choice(["", "", " HAVING COUNT(*) > 1", f" HAVING MAX({one}) > 1"])
            return f"(SELECT {owner}, {two}, {made} AS m FROM {source} x{where} GROUP BY ALL{having})", [two, "m"]
        case 2 | 3:
            frame = random.choice(["", "", " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", " RANGE 1 PRECEDING"])
            order = random.choice([f" ORDER BY {two}", f" ORDER BY {two} DESC, {one}", ""])
            window = f"{random.choice(STEP_WINDOWS).format(x=one)} OVER (PARTITION BY {owner}{order}{frame})"
            qualify = random.choice(["", "", " QUALIFY w = 1"])
            return f"(SELECT student_key, {one}, {window} AS w FROM {source} x{where}{qualify})", [one, "w"]
        case 4:
            return f"(SELECT DISTINCT {owner}, {one} FROM {source} x{where})", [one]
        case 5:
            union = random.choice(["UNION ALL", "UNION ALL", "UNION", "EXCEPT", "INTERSECT"])
            there = random.choice(others or ["1"])
            return (
                f"(SELECT student_key, {one} FROM {source} x {union} SELECT student_key, {there} FROM {other} y)",
                [one],
            )
        case _:
            join = random.choice(["JOIN", "LEFT JOIN", "FULL JOIN"])
            on = random.choice(["USING (student_key)", "ON x.student_key = y.student_key", f"ON x.{one} = y.{one}"])
            there = random.choice(others or ["1"])
            return f"(SELECT x.student_key, x.{one} AS a, y.{there} AS b FROM {source} x {join} {other} y {on})", [
                "a",
                "b",
            ]


def apart(random) -> str:
    """A condition on a subquery."""
    table = random.choice(list(JOINABLE))
    word = random.choice(["", "NOT "])
    return random.choice(
        [
            f"{word}EXISTS (SELECT 1 FROM {table} e WHERE e.student_key = student_key)",
            f"student_key {word}IN (SELECT student_key FROM {table})",
            f"student_key {word}IN (SELECT student_key FROM {table} GROUP BY student_key HAVING COUNT(*) > 2)",
            f"school_id {word}IN (SELECT school_id FROM school WHERE is_charter)",
            f"gpa > (SELECT AVG(gpa) FROM {table})",
        ]
    )


STEP_AGGREGATES = [
    "COUNT(*)", "COUNT({x})", "COUNT(DISTINCT {x})", "SUM({x})", "AVG({x})", "MIN({x})", "MAX({x})", "MEDIAN({x})", "STDDEV({x})", "VAR_POP({x})", "BOOL_OR({x} > 1)", "BOOL_AND({x} > 1)",
    "ARG_MAX({x}, {y})", "ARG_MIN({x}, {y})", "FIRST({x} ORDER BY {y})", "LAST({x} ORDER BY {y} DESC)", "ANY_VALUE({x})", "COUNT_IF({x} > 1)", "FIRST({x})", "MODE({x})", "STRING_AGG({x})", "SUM(SUM({x}))", "LIST({x})",
    "QUANTILE_CONT({x}, 0.5)", "MAX(student_key)", "COUNT(DISTINCT student_key)", "SUM(DISTINCT {x})",
]  # fmt: skip
STEP_WINDOWS = [
    "ROW_NUMBER()", "RANK()", "DENSE_RANK()", "PERCENT_RANK()", "CUME_DIST()", "NTILE(3)", "NTILE(0)", "LAG({x})", "LEAD({x}, 2, 0)", "LAG({x}, {x})", "FIRST_VALUE({x})", "LAST_VALUE({x})", "NTH_VALUE({x}, 2)", "SUM({x})",
    "AVG({x})", "COUNT(*)", "COUNT(*) FILTER (WHERE {x} > 1)", "MIN({x})", "MAX({x})", "MEDIAN({x})", "LAG(student_key)", "STDDEV({x})", "SUM(LAG({x}))",
]  # fmt: skip


def garbage(random) -> str:
    """Random bytes as text, alone or behind the start of a question."""
    raw = bytes(random.choices(range(256), k=random.choice([1, 3, 30, 300, 3_000])))
    codec, errors = random.choice(
        [
            ("latin-1", "strict"),
            ("cp437", "strict"),
            ("utf-8", "surrogateescape"),
            ("utf-16-le", "replace"),
            ("utf-8", "replace"),
        ]
    )
    text = raw.decode(codec, errors)
    return random.choice(["", "SELECT ", "SELECT COUNT(*) FROM student WHERE "]) + text


# -- monsters

WHERE = "SELECT COUNT(*) FROM student_year WHERE "
REPEATED = {
    "NOT": lambda n: WHERE + "NOT " * n + "TRUE",
    "minus signs": lambda n: WHERE + "- " * n + "gpa > 1",
    "plus signs": lambda n: WHERE + "+ " * n + "gpa > 1",
    "tildes": lambda n: WHERE + "~" * n + "1",
    "a sum": lambda n: WHERE + "gpa" + " + days_absent" * n + " > 1",
    "a quotient": lambda n: WHERE + "gpa" + " / days_absent" * n + " > 1",
    "a product": lambda n: WHERE + "days_absent" + " * 1" * n + " > 1",
    "equalities": lambda n: WHERE + "has_iep" + " = has_iep" * n,
    "IS NULL": lambda n: WHERE + "gpa" + " IS NULL" * n,
    "AND": lambda n: WHERE + " AND ".join(f"gpa > {i}" for i in range(n)),
    "OR": lambda n: WHERE + " OR ".join(f"gpa > {i}" for i in range(n)),
    "AND and OR": lambda n: WHERE + "".join(f"gpa > {i} {'AND' if i % 2 else 'OR'} " for i in range(n)) + "TRUE",
    "casts": lambda n: WHERE + "gpa" + "::DOUBLE::DECIMAL(5, 2)" * n + " > 1",
    "subscripts": lambda n: WHERE + "gpa" + "[1]" * n + " = 1",
    "dots": lambda n: WHERE + "gpa" + ".a" * n + " = 1",
    "arrows": lambda n: WHERE + "gpa" + " -> gpa" * n,
    "COLLATE": lambda n: WHERE + "grade_level" + " COLLATE x" * n + " = ''",
    "AT TIME ZONE": lambda n: WHERE + "gpa" + " AT TIME ZONE 'x'" * n,
    "concatenation": lambda n: WHERE + "grade_level" + " || 'x'" * n + " = ''",
    "CASE in CASE": lambda n: WHERE + "CASE WHEN has_iep THEN " * n + "1" + " END" * n + " > 0",
    "branches": lambda n: WHERE + "CASE " + " ".join(f"WHEN gpa > {i} THEN {i}" for i in range(n)) + " END > 0",
    "branches of an operand": lambda n: WHERE + "CASE grade_level " + " ".join(f"WHEN '{i}' THEN {i}" for i in range(n)) + " END > 0",
    "COALESCE": lambda n: WHERE + "COALESCE(" + ", ".join(["gpa"] * n) + ") > 0",
    "COALESCE in COALESCE": lambda n: WHERE + "COALESCE(" * n + "gpa" + ", 1)" * n + " > 0",
    "NULLIF in NULLIF": lambda n: WHERE + "NULLIF(" * n + "gpa" + ", 1)" * n + " > 0",
    "BETWEEN": lambda n: WHERE + "gpa" + " BETWEEN 0 AND 1" * n,
    "IN, numbers": lambda n: WHERE + f"school_id IN ({', '.join(map(str, range(n)))})",
    "IN, texts": lambda n: WHERE + "grade_level IN (" + ", ".join(f"'{i}'" for i in range(n)) + ")",
    "IN, years": lambda n: WHERE + "school_year IN (" + ", ".join(["2025"] * n) + ")",
    "parentheses": lambda n: WHERE + "(" * n + "TRUE" + ")" * n,
    "open parentheses": lambda n: WHERE + "(" * n,
    "closed parentheses": lambda n: WHERE + "TRUE" + ")" * n,
    "brackets": lambda n: "SELECT " + "[" * n + "]" * n,
    "braces": lambda n: "SELECT " + "{'a': " * n + "1" + "}" * n,
    "subqueries": lambda n: "SELECT * FROM " + "(SELECT * FROM " * n + "student" + ")" * n,
    "EXISTS": lambda n: WHERE + "EXISTS (SELECT 1 FROM student WHERE " * n + "TRUE" + ")" * n,
    "joins": lambda n: "SELECT COUNT(*) FROM student" + " JOIN student USING (x)" * n,
    "steps in steps": lambda n: "SELECT COUNT(*) FROM " + "(SELECT student_key, COUNT(*) AS n FROM " * n + "program" + " GROUP BY student_key)" * n,
    "windows in steps": lambda n: "SELECT COUNT(*) FROM " + "(SELECT student_key, ROW_NUMBER() OVER (PARTITION BY student_key ORDER BY 1 + 1) AS n FROM " * n + "program" + ")" * n,
    "windows beside windows": lambda n: "SELECT SUM(w0) FROM (SELECT student_key, " + ", ".join(f"SUM(gpa + {i}) OVER (PARTITION BY student_key ORDER BY school_year) AS w{i}" for i in range(n)) + " FROM student_year)",
    "values beside values": lambda n: "SELECT " + " + ".join(f"SUM(w{i})" for i in range(n)) + " FROM (SELECT student_key, " + ", ".join(f"STDDEV(gpa + {i}) AS w{i}" for i in range(n)) + " FROM student_year GROUP BY student_key)",
    "keys of a step": lambda n: "SELECT COUNT(*) FROM (SELECT student_key, " + ", ".join(f"school_year + {i} AS k{i}" for i in range(n)) + " FROM student_year GROUP BY ALL)",
    "CTEs that double": lambda n: "WITH c0 AS (SELECT student_key, COUNT(*) AS n FROM program GROUP BY student_key)" + "".join(f", c{i + 1} AS (SELECT a.student_key, SUM(a.n + b.n) AS n FROM c{i} a JOIN c{i} b USING (student_key) GROUP BY a.student_key)" for i in range(n)) + f" SELECT COUNT(*) FROM c{n}",
    "sums that grow": lambda n: "SELECT SUM(x) FROM " + "(SELECT student_key, SUM(x * 1000) AS x FROM " * n + "(SELECT student_key, gpa AS x FROM student_year)" + " GROUP BY student_key)" * n,
    "EXISTS beside EXISTS": lambda n: WHERE + " AND ".join(["EXISTS (SELECT 1 FROM program p WHERE p.student_key = student_year.student_key)"] * n),
    "EXISTS of each year": lambda n: WHERE + " OR ".join(f"EXISTS (SELECT 1 FROM program p WHERE p.student_key = student_year.student_key AND p.school_year > student_year.school_year + {i})" for i in range(n)),
    "sides of a UNION": lambda n: "SELECT COUNT(*) FROM (" + " UNION ALL ".join(["SELECT student_key FROM program"] * n) + ")",
    "functions in functions": lambda n: WHERE + "ABS(" * n + "gpa" + ")" * n + " > 1",
    "texts in texts": lambda n: WHERE + "UPPER(" * n + "grade_level" + ")" * n + " = '09'",
    "a pattern": lambda n: WHERE + "grade_level LIKE '" + "%0" * n + "'",
    "a regular expression": lambda n: WHERE + "regexp_matches(grade_level, '" + "(0|" * n + "9" + ")*" * n + "')",
    "unions": lambda n: " UNION ".join(["SELECT 1"] * n),
    "CTEs": lambda n: "WITH " + ", ".join(f"a{i} AS (SELECT 1)" for i in range(n)) + " SELECT COUNT(*) FROM student",
    "columns": lambda n: "SELECT " + ", ".join(f"SUM(gpa + {i})" for i in range(n)) + " FROM student_year",
    "one alias": lambda n: "SELECT " + ", ".join(["COUNT(*) AS a"] * n) + " FROM student",
    "filters": lambda n: "SELECT " + ", ".join(f"COUNT(*) FILTER (WHERE gpa > {i})" for i in range(n)) + " FROM student_year",
    "outer sum": lambda n: "SELECT COUNT(*)" + " + COUNT(*)" * n + " FROM student",
    "outer product": lambda n: "SELECT COUNT(*)" + " * COUNT(*)" * n + " FROM student",
    "outer quotient": lambda n: "SELECT COUNT(*)" + " / SUM(cohort_year)" * n + " FROM student",
    "HAVING AND": lambda n: "SELECT COUNT(*) FROM student HAVING " + " AND ".join(f"COUNT(*) <> {i}" for i in range(n)),
    "outer CASE in CASE": lambda n: "SELECT " + "CASE WHEN COUNT(*) > 1 THEN " * n + "1" + " END" * n + " FROM student",
    "outer BETWEEN": lambda n: "SELECT COUNT(*) FROM student HAVING COUNT(*)" + " BETWEEN 0 AND 1" * n,
    "outer ROUND in ROUND": lambda n: "SELECT " + "ROUND(" * n + "COUNT(*)" + ")" * n + " FROM student",
    "outer NULLIF in NULLIF": lambda n: "SELECT " + "NULLIF(" * n + "COUNT(*)" + ", 1)" * n + " FROM student",
    "windows in windows": lambda n: "SELECT " + "SUM(" * n + "COUNT(*)" + ") OVER ()" * n + " FROM student",
    "ranks": lambda n: "SELECT " + ", ".join(f"RANK() OVER (ORDER BY COUNT(*) + {i})" for i in range(n)) + " FROM student GROUP BY sex",
    "shares": lambda n: "SELECT sex, COUNT(*)" + " / SUM(COUNT(*)) OVER ()" * n + " FROM student GROUP BY sex",
    "totals": lambda n: "SELECT sex" + ", SUM(COUNT(*)) OVER () - COUNT(*)" * n + " FROM student GROUP BY sex",
    "outer minus": lambda n: "SELECT " + "- " * n + "COUNT(*) FROM student",
    "ORDER BY": lambda n: "SELECT COUNT(*) FROM student ORDER BY " + ", ".join(["1"] * n),
    "GROUP BY": lambda n: "SELECT COUNT(*) FROM student GROUP BY " + ", ".join(["sex"] * n),
    "semicolons": lambda n: ";" * n + "SELECT COUNT(*) FROM student" + ";" * n,
    "comments": lambda n: "SELECT " + "/* */" * n + " COUNT(*) FROM student",
    "nested comments": lambda n: "SELECT " + "/*" * n + "*/" * n + " COUNT(*) FROM student",
    "line comments": lambda n: "SELECT COUNT(*) " + "--\n" * n + " FROM student",
    "a long number": lambda n: WHERE + "gpa > " + "9" * n,
    "a fine number": lambda n: WHERE + "gpa > 0." + "0" * n + "1",
    "a large exponent": lambda n: WHERE + "gpa > 1e" + "9" * n,
    "a small exponent": lambda n: WHERE + "gpa > 1e-" + "9" * n,
    "a hexadecimal": lambda n: WHERE + "gpa = 0x" + "f" * n,
    "an ordinal": lambda n: "SELECT COUNT(*) FROM student GROUP BY " + "1" * n,
    "an ordinal to sort by": lambda n: "SELECT COUNT(*) FROM student ORDER BY " + "1" * n,
    "a limit": lambda n: "SELECT COUNT(*) FROM student LIMIT " + "1" * n,
    "a parameter": lambda n: WHERE + "gpa = $" + "1" * n,
    "a precision": lambda n: WHERE + f"CAST(gpa AS DECIMAL({'1' * n}, 2)) > 1",
    "a length": lambda n: WHERE + f"CAST(grade_level AS VARCHAR({'1' * n})) = ''",
    "a column's name": lambda n: WHERE + "a" * n + " > 1",
    "a table's name": lambda n: "SELECT COUNT(*) FROM " + "a" * n,
    "an alias": lambda n: "SELECT COUNT(*) AS " + "a" * n + " FROM student",
    "a quoted alias": lambda n: 'SELECT COUNT(*) AS "' + "🦆\x1b" * n + '" FROM student',
    "a text": lambda n: WHERE + "grade_level = '" + "🦆" * n + "'",
    "quotes": lambda n: WHERE + "grade_level = '" + "''" * n + "'",
    "an open text": lambda n: WHERE + "grade_level = '" + "a" * n,
    "a dollar text": lambda n: WHERE + "grade_level = $" + "a" * n + "$x$" + "a" * n + "$",
    "jinja": lambda n: "SELECT COUNT(*) FROM student WHERE " + "{{ x }} {% if y %}" * n,
    "spaces": lambda n: " " * n + "SELECT" + "\u00a0" * n + "COUNT(*) FROM student",
    "lines": lambda n: "\r\n" * n + "SELECT nobody\r\n, COUNT(*)\rFROM\x0cstudent",
}  # fmt: skip
TIMES = (1, 3, 17, 59, 61, 99, 149, 200, 333, 600, 999, 1_900, 3_900, 4_400, 9_000, 19_000)
GROUPED = [
    "SELECT COUNT(*) FROM student_year GROUP BY school_year, school_id, grade_level, econ_disadv, english_learner, has_iep, schools_attended",
    "SELECT AVG(gpa), SUM(days_absent) / COUNT(*), COUNT(*) * AVG(gpa) FROM student_year GROUP BY cohort_year, school_year, school_id, grade_level, econ_disadv ORDER BY 3 DESC, 1",
    "SELECT COUNT(*) FROM student_year WHERE school_year * 3 > cohort_year + 4000 OR grade_level > '05' GROUP BY cohort_year, school_year, school_id, grade_level, schools_attended",
    "SELECT COUNT(*) FROM assessment GROUP BY ALL",
    "SELECT COUNT(*) / SUM(COUNT(*)) OVER (PARTITION BY school_id), SUM(COUNT(*)) OVER (), RANK() OVER (PARTITION BY school_year ORDER BY COUNT(*)) FROM student_year GROUP BY school_year, school_id, grade_level, econ_disadv",
    "SELECT school_year, school_id, test_program, subject, grade_tested, performance_level, is_proficient, participated, COUNT(*) FROM assessment GROUP BY ALL",
    "SELECT cohort_year, grad_cohort, school_id, cohort_status, outcome, years_to_outcome, COUNT(*) FROM graduation GROUP BY ALL",
]


def monsters(sizes=TIMES) -> list[str]:
    """Each shape at each size it may have; a little over the limit on bytes too."""
    texts = [shape(times) for shape in REPEATED.values() for times in sizes]
    return [text for text in texts if len(text) < 40_000] + GROUPED
