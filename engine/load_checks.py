"""What a load must be before it takes the place of another: of this district, without free text, of its students.

Decisions that are made before anything is replaced; their messages may count records, as whoever loads has them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from budgets.cohorts import years_text
from budgets.grants import DISTRICT
from budgets.policy import Standing as MayBeAsked
from engine import tree
from engine.intake.former import change, present
from engine.refusals import CatalogRefused

if TYPE_CHECKING:
    from pathlib import Path

    from budgets.ledger import Ledger
    from engine.catalog import Catalog
    from engine.intake.load import Loaded
    from engine.intake.rules import Standing
    from engine.loading import Bringing, Wishes

STRANGERS_MIN = 20
"""Of fewer students nothing is concluded from how many are new."""


def check_same_district(ledger: Ledger, former: Catalog | None, catalog: Catalog) -> None:
    """Make sure that a catalog declares the district of this ledger, with all classes that can still be asked about.

    Raises:
        CatalogRefused: it does not.
    """

    def refusal(message: str, accepted: str) -> CatalogRefused:
        return CatalogRefused(message, file=catalog.district_id, accepted=accepted)

    identity = ledger.identity
    if (catalog.district_id, catalog.time_zone) != (identity.district_id, identity.time_zone):
        message = "The catalog is of another district, or has another time zone; neither ever changes."
        raise refusal(message, f"{identity.district_id} in {identity.time_zone}")
    if former is not None and (catalog.owner, catalog.cohort) != (former.owner, former.cohort):
        message = "The catalog has another owner or cohort column than before."
        raise refusal(message, f"owner: {former.owner}, cohort: {former.cohort}")
    kept = [c for c, balance in ledger.balances(DISTRICT).items() if balance.standing is not MayBeAsked.SEALED]
    gone = [cohort for cohort in kept if cohort not in catalog.cohorts]
    if gone:
        message = f"The catalog no longer lists classes of {years_text(gone)}, which are not sealed yet."
        raise refusal(message, f"classes of {years_text({*gone, *catalog.cohorts})}")


def check_no_free_text(catalog: Catalog) -> None:
    """Refuse texts without a list: nobody has read what stands in them.

    Raises:
        CatalogRefused: a table of students has such a column that is on.
    """
    declared = json.loads(catalog.document)["tables"]
    for table in catalog.private_tables:
        for column in table.columns.values():
            free = column.on and column.type == tree.TEXT and column.values is None and column.constant is None
            if free and declared[table.name]["columns"][column.name]["values"] is None:
                message = f"tables.{table.name}.columns.{column.name}: free text about students is never loaded."
                accepted = "values: [each, text, that, may, stand, there]"
                raise CatalogRefused(message, file=catalog.district_id, accepted=accepted)


def check_students(vault: Path, loaded: Loaded, standing: Standing, bringing: Bringing, wishes: Wishes) -> None:
    """Refuse a load whose students are not those of the district, unless somebody said that it is so.

    Ids of another form make every student new, and an opt-out is lost with the id it was given for; a file that was
    cut off makes students gone.

    Raises:
        CatalogRefused: nobody is left, most are new or gone, or somebody who opted out is gone.
    """

    def refusal(message: str, accepted: str) -> CatalogRefused:
        why = loaded.report.why(loaded.catalog.cohort_table)
        return CatalogRefused(f"{message}{why}", file=loaded.catalog.district_id, accepted=accepted, load=True)

    if not loaded.persons:
        raise refusal("No student would be kept.", "sources whose students have a class and accepted cells")
    known = bool(standing.register) and loaded.persons >= STRANGERS_MIN
    if known and not wishes.strangers and 2 * len(loaded.newcomers) > loaded.persons:
        message = f"Of {loaded.persons:,} students {len(loaded.newcomers):,} are new: their ids have another form."
        raise refusal(message, "the ids of the loads before; or --new-students, if most are new indeed")
    if bringing.former is None or bringing.vault is None:
        return
    found = change(bringing.vault, bringing.former, vault, loaded.catalog)
    if found is None or wishes.fewer or found.before < STRANGERS_MIN:
        return
    if 2 * found.gone > found.before:
        message = f"Of {found.before:,} students {found.gone:,} would be gone."
        raise refusal(message, "the whole of the records; or --fewer-students, if most have left indeed")
    for table, (before, now) in sorted(found.rows.items()):
        if 2 * now < before:
            message = f"The table {table} would have {now:,} rows, of {before:,}.{loaded.report.why(table)}"
            accepted = "the whole of the records; or --fewer-students, if that is so"
            raise CatalogRefused(message, file=loaded.catalog.district_id, accepted=accepted, load=True)


def check_opted_out(
    vault: Path, loaded: Loaded, standing: Standing, left: frozenset[bytes], wishes: Wishes
) -> Missing:
    """Refuse a load in which somebody who opted out is missing: with another id the child would be counted again.

    Asked once of each; whoever was said to have left and is back is asked after anew.

    Args:
        vault: the records.
        loaded: what was loaded.
        standing: the register, and who opted out.
        left: who was said to have left before.
        wishes: whether it was said now.

    Raises:
        CatalogRefused: somebody is missing, and nobody said that they have left.
    """
    retired = set(standing.retired)
    asked = {one for one in standing.opted_out if standing.register.get(one, None) not in {None, *retired}}
    there = present(vault, loaded.catalog.cohort_table, asked)
    missing = frozenset(asked - there)
    if missing - left and not wishes.opt_outs_left:
        message = (
            f"{len(missing - left):,} students who opted out are not in these records. If one of them has another id "
            "now, research would count the child again."
        )
        accepted = (
            "--opt-outs-left, if all of them have left; with --opt-outs FILE of the new ids of those who have not"
        )
        raise CatalogRefused(message, file=loaded.catalog.district_id, accepted=accepted, load=True)
    return Missing(missing - left, frozenset(left & there))


class Missing(NamedTuple):
    """Who opted out and is gone for the first time, and who was and is back."""

    left: frozenset[bytes]
    back: frozenset[bytes]
