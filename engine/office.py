"""Office: the folder of a district, opened to decide. It sees catalog and ledger, never a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from budgets.clock import SystemClock
from budgets.cohorts import years_text
from budgets.grants import DISTRICT, Grant
from budgets.ledger import Ledger
from engine.epochs import declared
from engine.folder import LEDGER_FILE, VAULT_FOLDER, owner_key, require_district
from engine.intake.load import sweep
from engine.intake.persons import owner_hashes
from engine.loading import unknown
from engine.refusals import AccessRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime
    from pathlib import Path
    from types import TracebackType

    from budgets.clock import Clock
    from budgets.keyring import Keyring
    from budgets.ledger import Balance, Event, Outlook, Policy
    from engine.catalog import Catalog


class Office:
    """A district's policy, grants and budgets.

    Example:
        `with Office.open(Path("homeroom-demo")) as office: office.close_district("A. Officer", "a complaint")`
    """

    def __init__(self, path: Path, ledger: Ledger) -> None:
        self._path = path
        self._ledger = ledger

    @classmethod
    def open(cls, path: Path, *, clock: Clock | None = None) -> Self:
        """Open the folder of a district.

        Raises:
            CatalogRefused: no district is there.
            LedgerDamaged: the ledger contradicts itself.
        """
        require_district(path)
        sweep(path / VAULT_FOLDER)
        return cls(path, Ledger.open(path / LEDGER_FILE, clock or SystemClock()))

    @property
    def catalog(self) -> Catalog:
        """The declared catalog; nothing but grants needs it, so that a district with a wrong one can be closed.

        Raises:
            CatalogRefused: it cannot be read.
        """
        return declared(self._path, self._ledger.current_epoch())

    @property
    def keyring(self) -> Keyring:
        """The tokens of those who ask over a server."""
        return self._ledger.keyring

    # -- what is so

    def policy(self) -> Policy:
        """Who is answered, and what each population may use of a year."""
        return self._ledger.policy()

    def events(self) -> tuple[Event, ...]:
        """Everything that was decided or loaded, in order."""
        return self._ledger.events()

    def grants(self) -> tuple[Grant, ...]:
        """All grants there are and were."""
        return self._ledger.grants()

    def grant(self, name: str) -> Grant:
        """One grant.

        Raises:
            AccessRefused: there is none (`grant_missing`).
        """
        return self._ledger.grant(name)

    def as_of(self) -> datetime | None:
        """The moment in which a district of invented records stands still; None for a real one."""
        return self._ledger.identity.as_of

    def today(self) -> date:
        """The date, by the district's calendar."""
        return self._ledger.today()

    def budget_year(self) -> int:
        """The budget year it is now."""
        return self._ledger.year()

    def balances(self, grant: str = DISTRICT) -> dict[int, Balance]:
        """What each cohort has spent and has left, in nano-ρ."""
        return self._ledger.balances(grant)

    def outlooks(self, grant: str = DISTRICT) -> dict[int, Outlook]:
        """How far each cohort's budget year will reach."""
        return self._ledger.outlooks(grant)

    # -- what is decided

    def accept_clock(self, by: str) -> bool:
        """Vouch for a clock that leapt, so that the new budget year opens; False if it did not leap."""
        return self._ledger.accept_clock(by)

    def add_grant(self, grant: Grant) -> None:
        """Give a grant.

        Raises:
            AccessRefused: it names what the catalog or the ledger does not have, or cannot be given (`approval`).
        """
        tables = {table.name: table for table in self.catalog.private_tables}
        for name, columns in (grant.terms.scope if grant.terms else {}).items():
            if name not in tables:
                message = f"The catalog has no students' table {name!r} that is switched on."
                raise AccessRefused("approval", message, accepted=f"tables: {', '.join(sorted(tables))}")
            known = {column.name for column in tables[name].columns.values() if column.on}
            unknown = sorted((columns or frozenset()) - known)
            if unknown:
                message = f"The table {name} has no column {unknown[0]!r} that is switched on."
                raise AccessRefused("approval", message, accepted=f"columns of {name}: {', '.join(sorted(known))}")
        self._ledger.add_grant(grant)

    def revoke_grant(self, name: str, by: str, reason: str) -> None:
        """End a grant before its last day."""
        self._ledger.revoke_grant(name, by, reason)

    def opt_out(self, ids: Iterable[str], *, out: bool = True) -> tuple[str, ...]:
        """Note that students opted out of research, or that they take part again; from the next load on.

        Args:
            ids: of students, as the source has them.
            out: whether they are out.

        Returns:
            The ids that are not noted, as no load has brought a student of them.

        Raises:
            AccessRefused: nobody is named (`approval`).
            CatalogRefused: the district's key is missing.
        """
        persons = owner_hashes(ids, owner_key(self._path))
        strange = unknown(self._ledger, persons)
        known = [one for name, hashes in persons.items() if name not in strange for one in hashes]
        if known or not strange:
            self._ledger.note_opt_outs(known, out=out)
        return strange

    def opted_out(self) -> int:
        """How many students the register knows of those who opted out; for the officer alone."""
        return len(self._ledger.known_cohorts(sorted(self._ledger.opted_out())))

    def open_district(self, by: Sequence[str], signed_off_by: str) -> None:
        """End the pilot, or open again after a closing: two people, and the group that signed off."""
        self._ledger.open_district(by, signed_off_by)

    def close_district(self, by: str, reason: str) -> None:
        """Stop all answers."""
        self._ledger.close_district(by, reason)

    def lower_cap(self, cohorts: Iterable[int], lifetime_nanorho: int, by: str) -> None:
        """Lower the lifetime cap of some cohorts."""
        self._ledger.lower_cap(self._kept(cohorts), lifetime_nanorho, by)

    def raise_cap(self, cohorts: Iterable[int], lifetime_nanorho: int, by: Sequence[str], reason: str) -> None:
        """Raise the lifetime cap of some cohorts: two people and a reason."""
        self._ledger.raise_cap(self._kept(cohorts), lifetime_nanorho, by, reason)

    def unseal(self, cohorts: Iterable[int], by: Sequence[str], reason: str) -> None:
        """Let mandated statistics of sealed cohorts be drawn this budget year: two people and a reason."""
        self._ledger.unseal(self._kept(cohorts), by, reason)

    def _kept(self, cohorts: Iterable[int]) -> tuple[int, ...]:
        named, kept = tuple(cohorts), self._ledger.balances(DISTRICT)
        unknown = [cohort for cohort in named if cohort not in kept]
        if unknown or not named:
            message = f"The district keeps no class of {years_text(unknown)}." if unknown else "No class is named."
            raise AccessRefused("approval", message, accepted=f"classes of {years_text(kept)}")
        return named

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
