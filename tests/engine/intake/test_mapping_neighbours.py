"""One person's source rows make that person's output rows and nothing else: mappings on neighbouring files."""

from __future__ import annotations

import pytest

from engine.catalog_file import catalog_of
from engine.intake import kinds, rows
from tests.engine.intake.mapping_cases import made, tuples
from tests.seeds import PROVE, generator

CATALOG = catalog_of(
    """\
district: {id: us-xx-test, name: Test, time_zone: America/New_York}
privacy: {owner: sid, cohort: cohort_year, cohorts: {from: 2020, to: 2039}, delta: 1e-7}
tables:
  pupil:
    unique: [sid]
    columns:
      cohort_year: {type: integer}
      kind:   {type: text, nullable: true}
      other:  {type: text, values: [a, b, c], nullable: true}
      whole:  {type: integer, bounds: [0, 99], nullable: true}
      days:   {type: "decimal(4,1)", bounds: [0, 200], nullable: true}
      ratio:  {type: double, nullable: true}
      flag:   {type: boolean, nullable: true}
""",
    "district.yaml",
)
READ = """
    read:
      n: {type: integer, bounds: [0, 99]}
      d: {type: "decimal(3,1)"}
      day: {column: when, date: "%m/%d/%Y"}
"""
FIXED = "cohort_year: {value: 2020}"
TAKES = {
    "first and last": """
      kind: {column: k, take: first, by: n}
      other: {column: k, codes: {A: a, b: b, "": c}, take: last, by: day}
      whole: {column: n, take: last, by: d}
      days: {column: d, take: first, by: n}
      ratio: {formula: d / n, take: last, by: n}
      flag: {column: f, take: last, by: n}""",
    "lowest, highest, only": """
      kind: {column: k, take: only}
      other: {column: k, codes: {a: a, b: b, C: c}, take: highest}
      whole: {column: n, take: lowest}
      days: {formula: d + n, take: highest}
      ratio: {column: r, take: lowest}
      flag: {formula: n > d, take: only}""",
    "any, all, sum, counts": """
      kind: {column: when, date: "%m/%d/%Y", part: month, take: highest}
      other: {value: a}
      whole: {column: k, take: distinct}
      days: {column: d, take: sum}
      ratio: {column: r, take: highest}
      flag: {column: f, take: all}""",
    "counts of dates, any": """
      kind: {blank: true}
      other: {column: k, codes: {a: b}, else: c, take: first, by: day}
      whole: {column: when, date: "%m/%d/%Y", take: count}
      days: {formula: n * 2 - d, take: sum}
      ratio: {formula: n / 3, take: first, by: d}
      flag: {formula: day IS NULL OR n = 3, take: any}""",
}
AS_THEY_ARE = """
      kind: k
      other: {column: k, codes: {a: a, B: b}, else: c}
      whole: {formula: n + 1}
      days: d
      ratio: {formula: d / n}
      flag: {formula: CASE WHEN k2 = 'a' THEN n > 3 ELSE f END}"""
HEADS = {
    "one row per student": "    one_row_per: [student]\n",
    "one row per kind": "    one_row_per: [student, kind]\n    only: {f: [Yes, no, '']}\n",
}


def mapping(head, columns):
    text = f"tables:\n  pupil:\n    from: rows.csv\n    owner: id\n{head}{READ}    columns:\n      {FIXED}{columns}\n"
    if "kind]" in head:
        start, _, end = text.partition("      kind: ")
        text = f"{start}      kind: {{column: k}}\n{end.partition(chr(10))[2]}"
    return text


MAPPINGS = {f"{one}: {name}": mapping(head, takes) for one, head in HEADS.items() for name, takes in TAKES.items()}
PLAIN = mapping("", AS_THEY_ARE).replace(
    "    read:\n", "    read:\n      k2: {column: k, type: text}\n      f: {type: boolean}\n"
)
MAPPINGS["rows as they are"] = PLAIN
MAPPINGS["one row from several files"] = "tables:\n  pupil:\n" + "".join(
    "    - " + mapping(head, TAKES["first and last"]).partition("  pupil:\n    ")[2].replace("\n    ", "\n      ")
    for head in HEADS.values()
)
HEADER = "id,n,name,k,d,r,f,when\n"


def source_row(rng, person):
    """A row with many ties, blanks and cells that are not accepted."""
    return ",".join(
        (
            rng.choice((person, person, f" {person}", f"{person} ")),
            rng.choice(("1", "2", "10", "9", "", "x", "100", "3.0")),
            "CANARY",
            rng.choice(("a", "A ", "b", "c", "é", "Z", "", "10", "9")),
            rng.choice(("1.5", "1.50", "10", "9", "", "1.55", "0")),
            rng.choice(("0.1", "0.2", "0.30000000000000004", "1e300", "nan", "-0", "")),
            rng.choice(("yes", "No", "t", "", "2")),
            rng.choice(("1/2/2024", "12/31/2023", "2/30/2024", "", "1/1/0000")),
        )
    )


def invented(rng, people):
    """Each person's source rows; one of them has no id."""
    names = [f"p{number}" for number in range(people - 1)] + [""]
    return {name: [source_row(rng, name) for _ in range(rng.randrange(1, 7))] for name in names}


def outcome(tmp_path, text, persons, rng):
    """The output rows for each owner, as a multiset, of a file with these persons' rows in any order."""
    lines = [line for own in persons.values() for line in own]
    rng.shuffle(lines)
    (tmp_path / "rows.csv").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    found, _ = made(tmp_path, text, tmp_path, CATALOG, threads=4)
    by_owner = {}
    for owner, *rest in tuples(found["pupil"]):
        by_owner.setdefault((owner or "").strip(), []).append(repr(rest))
    return by_owner


@pytest.fixture(autouse=True)
def _messy(monkeypatch):
    """Most cells of these files are wrong on purpose."""
    monkeypatch.setattr("engine.intake.mapping.opened.UNDERSTOOD_MIN", 10**9)


QUICK = ("rows as they are", "one row per student: lowest, highest, only")
NAMED = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in MAPPINGS]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_a_person_removed_changes_only_that_persons_rows(name, tmp_path, monkeypatch):
    """In whatever order the rows stand, however they fall into batches, with four threads."""
    rng = generator(f"mappings {name}")
    for _ in range(8 if PROVE else 1):
        monkeypatch.setattr(rows, "_BLOCK_BYTES", rng.choice((700, 2_000)))
        persons = invented(rng, 40)
        whole = outcome(tmp_path, MAPPINGS[name], persons, rng)
        removed = rng.choice(sorted(persons))
        less = outcome(tmp_path, MAPPINGS[name], {one: own for one, own in persons.items() if one != removed}, rng)
        assert {owner: made_of for owner, made_of in whole.items() if owner != removed} == less
        alone = outcome(tmp_path, MAPPINGS[name], {removed: persons[removed]}, rng)
        assert alone.get(removed, []) == whole.get(removed, [])


def accepted(text, least, most, places):
    """A decimal as the catalog takes it, in units; None if it is not accepted."""
    try:
        units = round(float(text) * 10**places, 9)
    except ValueError:
        return None
    return int(units) if units == int(units) and least <= units / 10**places <= most else None


def expected_of(lines):
    """What "first and last" makes of one person's rows, worked out by hand."""
    rows_of = []
    for line in lines:
        _, n, _, k, d, _, f, _ = line.split(",")
        number = accepted(n, 0, 99, 0)
        rows_of.append((number, k.strip(), accepted(d, -99.9, 99.9, 1), f.strip().lower()))

    def first(pairs, *, last=False):
        """Of (by, value): values of rows without `by` come last in either order."""
        pairs = [(by, value) for by, value in pairs if value is not None]
        ordered = [pair for pair in pairs if pair[0] is not None] or [(0, value) for _, value in pairs]
        return (max if last else min)(ordered)[1] if ordered else None

    flags = {"yes": True, "t": True, "no": False}
    days = first([(n, d) for n, _, d, _ in rows_of if d is None or d >= 0])
    return {
        "days": None if days is None else f"{days}e-1",
        "flag": first([(n, flags.get(f)) for n, _, _, f in rows_of], last=True),
        "kind": first([(n, k or None) for n, k, _, _ in rows_of]),
        "whole": first([(d, n) for n, _, d, _ in rows_of], last=True),
    }


def test_takes_are_what_they_say(tmp_path):
    """First and last by a number, ties by the value, rows without the number after all others."""
    rng = generator("takes")
    persons = invented(rng, 60)
    lines = [line for own in persons.values() for line in own]
    rng.shuffle(lines)
    (tmp_path / "rows.csv").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    found = made(tmp_path, MAPPINGS["one row per student: first and last"], tmp_path, CATALOG)[0]["pupil"]
    assert sorted(found["sid"]) == sorted(name for name in persons if name)
    for place, owner in enumerate(found["sid"]):
        expected = expected_of(persons[owner])
        assert {name: found[name][place] for name in expected} == expected


def test_no_value_of_a_record_is_in_a_refusal(tmp_path):
    """A ragged line is told by its row; what it holds is not."""
    (tmp_path / "rows.csv").write_text(HEADER + "CANARY,1\n", encoding="utf-8")
    with pytest.raises(Exception, match="Row 1 under the header has 2 cells") as caught:
        made(tmp_path, MAPPINGS["rows as they are"], tmp_path, CATALOG)
    assert "CANARY" not in f"{caught.value.message} {caught.value.accepted}"
    assert kinds.file_rows(tmp_path / "rows.csv").names[0] == "id"


LARGE = """\
tables:
  pupil:
    from: rows.csv
    owner: id
    one_row_per: [student]
    read: {n: {type: integer, bounds: [0, 99]}}
    columns:
      cohort_year: {value: 2020}
      kind: {column: k, take: first, by: n}
      other: {column: k, codes: {a: a, b: b, c: c}, take: last, by: n}
      whole: {column: k, take: distinct}
      days: {column: n, take: sum}
      ratio: {formula: n / 7, take: last, by: n}
      flag: {formula: n > 3, take: all}
"""


@pytest.mark.slow
def test_ties_in_a_large_file_are_broken_by_values(tmp_path):
    """A hundred thousand rows, most of them tied, in two orders with four threads: nobody else's row moves."""
    rng = generator("a large file")
    lines = [f"{rng.randrange(20_000)},{rng.randrange(3)},{rng.choice('abc')}" for _ in range(100_000)]

    def pupils(kept):
        rng.shuffle(kept)
        (tmp_path / "rows.csv").write_text("id,n,k\n" + "\n".join(kept) + "\n", encoding="utf-8")
        return made(tmp_path, LARGE, tmp_path, CATALOG, threads=4)[0]["pupil"]

    whole = set(zip(*pupils(list(lines)).values(), strict=True))
    less = set(zip(*pupils([line for line in lines if not line.startswith("7,")]).values(), strict=True))
    assert {row[0] for row in whole - less} == {"7"}
    assert not less - whole
