"""Whatever is no question about students is refused, whichever kind of statement the database takes it for."""

from __future__ import annotations

import duckdb
import pytest

from engine.preparation import planned
from engine.refusals import QueryRefused

STATEMENTS = [
    "INSERT INTO student VALUES (1)",
    "INSERT INTO student SELECT * FROM student",
    "UPDATE student SET sex = 'F'",
    "DELETE FROM student",
    "TRUNCATE student",
    "MERGE INTO student t USING student s ON t.sex = s.sex WHEN MATCHED THEN DELETE",
    "CREATE TABLE t (a INTEGER)",
    "CREATE TABLE t AS SELECT COUNT(*) FROM student",
    "CREATE VIEW v AS SELECT COUNT(*) FROM student",
    "CREATE MACRO m(a) AS a + 1",
    "CREATE SCHEMA s",
    "CREATE SEQUENCE s",
    "CREATE TYPE t AS ENUM ('a')",
    "CREATE SECRET s (TYPE s3)",
    "ALTER TABLE student ADD COLUMN b INTEGER",
    "COMMENT ON TABLE student IS 'x'",
    "DROP TABLE student",
    "BEGIN TRANSACTION",
    "COMMIT",
    "ROLLBACK",
    "COPY student TO 'x.csv'",
    "COPY (SELECT COUNT(*) FROM student) TO 'x.csv'",
    "COPY student FROM 'x.csv'",
    "COPY FROM DATABASE a TO b",
    "EXPORT DATABASE 'x'",
    "IMPORT DATABASE 'x'",
    "ATTACH 'x.duckdb' AS y",
    "DETACH y",
    "USE y",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "SET VARIABLE a = 1",
    "RESET threads",
    "PRAGMA version",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "PREPARE p AS SELECT COUNT(*) FROM student",
    "EXECUTE p",
    "DEALLOCATE p",
    "EXPLAIN SELECT COUNT(*) FROM student",
    "EXPLAIN ANALYZE SELECT COUNT(*) FROM student",
    "DESCRIBE student",
    "SHOW TABLES",
    "SUMMARIZE student",
    "PIVOT student ON sex",
    "UNPIVOT student ON sex",
    "VALUES (1)",
    "TABLE student",
    "SELECT COUNT(*) FROM student; SELECT COUNT(*) FROM student",
    "SELECT 1",
    "",
    ";",
    "-- nothing",
]
NOT_WRITTEN = {"INVALID", "SELECT", "ANALYZE", "VARIABLE_SET", "CREATE_FUNC", "EXTENSION", "LOGICAL_PLAN", "RELATION",
               "COPY_DATABASE"}  # fmt: skip
"""Kinds that DuckDB's parser gives no text of ours."""


@pytest.mark.parametrize("sql", STATEMENTS)
def test_a_statement_that_is_no_question_is_refused(sql, canonical):
    """With a code and what would be accepted."""
    with pytest.raises(QueryRefused) as caught:
        planned(canonical, sql, canonical.cohorts)
    assert caught.value.code in ("syntax", "unsupported")
    assert caught.value.accepted


def test_every_kind_of_statement_that_the_database_knows_is_tried():
    """Each member of its list of kinds but those that no text comes to."""
    kinds = set()
    with duckdb.connect() as connection:
        for sql in STATEMENTS:
            kinds |= {statement.type.name for statement in connection.extract_statements(sql)}
    assert set(duckdb.StatementType.__members__) - kinds <= NOT_WRITTEN
