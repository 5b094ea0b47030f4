"""District: the folder of one district, opened. The composition root; everything is put together here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from budgets.clock import SystemClock
from budgets.ledger import Ledger
from engine import pipeline
from engine.catalog_file import read_catalog
from engine.pipeline import House
from engine.refusals import CatalogRefused
from engine.request import Request
from engine.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from budgets.clock import Clock
    from budgets.leaps import Leap
    from budgets.ledger import Balance
    from engine.catalog import Catalog
    from engine.explanation import Explanation
    from engine.release import Preview, Release

CATALOG_FILE = "district.yaml"
LEDGER_FILE = "ledger.sqlite"
VAULT_FOLDER = "vault"
REPORTS_FOLDER = "reports"
KEYS_FOLDER = "keys"
INCIDENTS_FILE = "incidents.jsonl"


class District:
    """An open district.

    Example:
        `with District.open(Path("homeroom-demo")) as district: district.ask("SELECT COUNT(*) FROM student")`
    """

    def __init__(self, house: House) -> None:
        self._house = house

    @classmethod
    def open(cls, path: Path, *, clock: Clock | None = None) -> Self:
        """Open the folder of a district.

        Args:
            path: the folder that `homeroom init` or `homeroom demo` made.
            clock: tells the time the budget year is taken from; the machine's if none is given.

        Raises:
            CatalogRefused: no district is there, or its catalog is not the one its records were verified against.
            LedgerDamaged: the ledger contradicts itself.
        """
        if not (path / LEDGER_FILE).is_file():
            raise CatalogRefused(
                "There is no district in this folder.",
                file=str(path),
                accepted="a folder made by `homeroom demo` or `homeroom init`",
                load=True,
            )
        declared = read_catalog(path / CATALOG_FILE)
        ledger = Ledger.open(path / LEDGER_FILE, clock or SystemClock())
        try:
            vault = _vault(path, declared, ledger)
        except BaseException:
            ledger.close()
            raise
        return cls(House(vault, ledger, path / REPORTS_FOLDER / INCIDENTS_FILE))

    @property
    def catalog(self) -> Catalog:
        """The catalog the records were verified against."""
        return self._house.catalog

    def preview(self, sql: str, **fields: object) -> Preview:
        """What a question would cost and how sharp it would be; free. Takes what `ask` takes."""
        return pipeline.preview(self._house, _request(sql, fields))

    def explain(self, sql: str, **fields: object) -> Explanation:
        """Why a question would cost what it costs, and what would make it sharper; free. Takes what `ask` takes."""
        return pipeline.explain(self._house, _request(sql, fields))

    def ask(self, sql: str, **fields: object) -> Release:
        """Answer a question, charging the cohorts it touches.

        Args:
            sql: one SELECT.
            **fields: the other fields of `engine.request.Request`: request_id, grant, cohorts, moe,
                moe_at_n, epsilon.

        Raises:
            Refusal: a decision not to answer, with its reason and what would be accepted.
            InternalFailure: anything else.
        """
        return pipeline.ask(self._house, _request(sql, fields))

    def balances(self, grant: str = "district") -> dict[int, Balance]:
        """What each cohort has spent and has left, in nano-ρ."""
        return self._house.ledger.balances(self._house.ledger.grant(grant).id)

    def budget_year(self) -> int:
        """The budget year it is now."""
        return self._house.ledger.year()

    def lower_cap(self, cohorts: Iterable[int], lifetime_nanorho: int, by: str) -> None:
        """Lower the lifetime cap of some cohorts; it may only go down."""
        self._house.ledger.lower_cap(tuple(cohorts), lifetime_nanorho, by)

    def clock_leap(self) -> Leap | None:
        """How the machine's clock leapt ahead into another budget year; None if it did not."""
        return self._house.ledger.clock_leap()

    def accept_clock(self, by: str) -> bool:
        """Vouch for a clock that leapt, so that the new budget year opens; False if it did not leap."""
        return self._house.ledger.accept_clock(by)

    def close(self) -> None:
        """Close records and ledger."""
        self._house.vault.close()
        self._house.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _request(sql: str, fields: dict[str, object]) -> Request:
    return Request(sql, **fields)  # type: ignore[arg-type]  # Request.checked judges every field


def _vault(path: Path, declared: Catalog, ledger: Ledger) -> Vault:
    epoch = ledger.current_epoch()
    if epoch is None:
        raise CatalogRefused("No records have been loaded.", file=str(path), accepted="homeroom init", load=True)
    return Vault.open(path / VAULT_FOLDER / epoch.file, declared)
