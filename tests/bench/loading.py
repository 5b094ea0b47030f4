"""How fast rows are loaded, beside plain COPY: `loading.py FOLDER ROWS`, one JSON object on standard output.

Student years of ten a student, with the students and forty schools, as CSV files made by another process, with two
columns that nobody reads. Both sides run in this one process, COPY first and three times, the load once; the memory is
the greatest of the process, COPY included.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import duckdb

from engine.catalog_file import catalog_of
from engine.intake.load import load
from engine.intake.rules import Standing

CATALOG = """\
district: {id: us-xx-speed, name: Speed, time_zone: America/New_York}
privacy: {owner: student_key, cohort: cohort_year, cohorts: {from: 2024, to: 2034}, delta: 1e-7}
tables:
  school:
    public: true
    unique: [school_id]
    columns: {school_id: {type: integer, bounds: [1, 999]}, school_level: {type: text, values: [middle, high]}}
  student:
    unique: [student_key]
    columns:
      cohort_year: {type: integer}
      sex: {type: text, values: [F, M, X, unknown], default: unknown}
  student_year:
    unique: [student_key, school_year]
    rows_per_student_max: 15
    checks: ["school_year BETWEEN cohort_year - 13 AND cohort_year + 3"]
    columns:
      school_year:      {type: integer, values: {from: 2017, to: 2026}}
      school_id:        {type: integer, values: {table: school, column: school_id}}
      grade_level:      {type: text, values: ["03", "04", "05", "06", "07", "08", "09", "10", "11", "12"]}
      econ_disadv:      {type: boolean, default: false}
      english_learner:  {type: boolean, default: false}
      has_iep:          {type: boolean, default: false}
      days_enrolled:    {type: integer, bounds: [0, 200], nullable: true}
      days_absent:      {type: "decimal(4,1)", bounds: [0, 200], nullable: true}
      schools_attended: {type: integer, values: {from: 1, to: 6}, nullable: true}
      gpa:              {type: "decimal(3,2)", bounds: [0, 5], nullable: true}
"""
YEARS = """
SELECT 'S' || (i // 10) AS student_key, 2017 + i % 10 AS school_year, 1 + hash(i) % 40 AS school_id,
  lpad((3 + i % 10)::VARCHAR, 2, '0') AS grade_level, hash(i, 1) % 2 = 0 AS econ_disadv, hash(i, 5) % 8 = 0 AS english_learner,
  hash(i, 2) % 9 = 0 AS has_iep, 180 AS days_enrolled, (hash(i, 3) % 400) / 10.0 AS days_absent,
  1 + hash(i, 6) % 2 AS schools_attended, CASE WHEN i % 10 > 5 THEN (hash(i, 4) % 400) / 100.0 END AS gpa,
  'Given ' || i AS given_name, 'Street ' || i AS street
FROM range({rows}) AS r(i) ORDER BY hash(i, 9)
"""
STUDENTS = "SELECT 'S' || i AS student_key, 2026 AS cohort_year, 'F' AS sex FROM range({rows} // 10) AS r(i)"
SCHOOLS = "SELECT i + 1 AS school_id, 'high' AS school_level FROM range(40) AS r(i)"


MADE = {"student_year": YEARS, "student": STUDENTS, "school": SCHOOLS}


def main() -> None:
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    files = {name: folder / f"{name}.csv" for name in MADE}
    if sys.argv[3:] == ["make"]:
        with duckdb.connect() as connection:
            for name, text in MADE.items():
                connection.execute(f"COPY ({text.format(rows=rows)}) TO '{files[name]}' (HEADER)")
        return
    subprocess.run([sys.executable, *sys.argv, "make"], check=True)  # its memory is its own
    copied = []
    for number in range(3):
        plain = folder / f"plain{number}.duckdb"
        with duckdb.connect(str(plain)) as connection:
            connection.execute(f"CREATE TABLE t AS SELECT * FROM read_csv('{files['student_year']}') LIMIT 0")
            begun = time.perf_counter()
            connection.execute(f"COPY t FROM '{files['student_year']}' (HEADER)")
            copied.append(time.perf_counter() - begun)
        plain.unlink()
    told = []
    begun = time.perf_counter()
    done = load(
        catalog_of(CATALOG, "speed.yaml"), files, folder / "vault", owner_key=bytes(32), standing=Standing({}),
        progress=lambda what, part: told.append((what, part)),
    )  # fmt: skip
    took_s = time.perf_counter() - begun
    assert done.report.tables["student_year"].rows_kept == rows
    print(
        json.dumps(
            {
                "rows": rows,
                "copy_rows_per_s": round(rows / statistics.median(copied)),
                "load_rows_per_s": round((rows + rows // 10) / took_s),
                "load_s": round(took_s, 2),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "steps_told": len(told),
            }
        )
    )


if __name__ == "__main__":
    main()
