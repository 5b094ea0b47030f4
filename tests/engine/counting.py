"""What a question measures, before noise, by our statement and by the researcher's own."""

from __future__ import annotations

from engine.backends import duckdb as backend
from engine.compile import compile_batch
from engine.forms import Key
from engine.froms import OWNER
from engine.preparation import planned


def exact_vectors(vault, plan):
    """The exact integers of a plan's statistics, as our statement finds them: one vector for each, a cell a group."""
    compiled = compile_batch(vault.catalog, plan.statistics)
    with vault.cursor() as cursor:
        return backend.run(cursor, compiled, plan.keys, len(plan.statistics))


def counted(vault, sql):
    """The groups that have records and their exact counts, as our statement finds them."""
    plan = planned(vault.catalog, sql, vault.catalog.cohorts)
    vectors = exact_vectors(vault, plan)
    asked = [exactly(output.form, vectors) for output in plan.outputs if not isinstance(output.form, Key)]
    rows = zip(plan.keys.rows, *asked, strict=True)
    return sorted(((*key, *cells) for key, *cells in rows if any(cells)), key=repr)


def exactly(form, vectors):
    """The numbers of a count or sum before noise."""
    size = len(vectors[0])
    return [form.constant + sum(c * int(vectors[p][cell]) for p, c in form.terms) for cell in range(size)]


def plainly(vault, sql):
    """The same by the researcher's own SQL."""
    rows = vault.cursor().execute(sql.replace("student_key", OWNER)).fetchall()
    return sorted((row for row in rows if any(row)), key=repr)
