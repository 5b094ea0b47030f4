"""District: the folder of one district, opened. The composition root; everything is put together here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from budgets.clock import SystemClock
from budgets.ledger import Ledger
from engine import beside, pipeline, rehearsal
from engine.catalog_file import read_catalog
from engine.pipeline import House
from engine.refusals import CatalogRefused
from engine.request import Request
from engine.vault import Later, Vault

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from budgets.clock import Clock
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


def require_district(path: Path) -> None:
    """Make sure that a folder has a district.

    Raises:
        CatalogRefused: it has none.
    """
    if not (path / LEDGER_FILE).is_file():
        raise CatalogRefused(
            "There is no district in this folder.",
            file=str(path),
            accepted="a folder made by `homeroom demo` or `homeroom init`",
            load=True,
        )


class District:
    """An open district.

    Example:
        `with District.open(Path("homeroom-demo")) as district: district.ask("SELECT COUNT(*) FROM student")`
    """

    def __init__(self, house: House, catalog: Catalog) -> None:
        self._house = house
        self._catalog = catalog

    @classmethod
    def open(cls, path: Path, *, clock: Clock | None = None) -> Self:
        """Open the folder of a district.

        Args:
            path: the folder that `homeroom init` or `homeroom demo` made; its records are opened by the first
                question that is no rehearsal.
            clock: tells the time the budget year is taken from; the machine's if none is given.

        Raises:
            CatalogRefused: no district is there, or its catalog is not the one its records were verified against.
            LedgerDamaged: the ledger contradicts itself.
        """
        require_district(path)
        declared = read_catalog(path / CATALOG_FILE)
        ledger = Ledger.open(path / LEDGER_FILE, clock or SystemClock())
        try:
            return cls(*_house(path, declared, ledger))
        except BaseException:
            ledger.close()
            raise

    @property
    def catalog(self) -> Catalog:
        """The catalog the records were verified against."""
        return self._catalog

    def preview(self, sql: str, **fields: object) -> Preview:
        """What a question would cost and how sharp it would be; free. Takes what `ask` takes."""
        return pipeline.preview(self._house, _request(sql, fields))

    def explain(self, sql: str, **fields: object) -> Explanation:
        """Why a question would cost what it costs, and what would make it sharper; free. Takes what `ask` takes."""
        return pipeline.explain(self._house, _request(sql, fields))

    def ask(self, sql: str, **fields: object) -> Release:
        """Answer a question, charging the cohorts it touches; a rehearsal is free.

        Args:
            sql: one SELECT.
            **fields: the other fields of `engine.request.Request`: request_id, grant, cohorts, moe,
                moe_at_n, epsilon, rehearse.

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

    def close(self) -> None:
        """Close records and ledger."""
        self._house.records.close()
        self._house.invented.close()
        self._house.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _request(sql: str, fields: dict[str, object]) -> Request:
    return Request(sql, **fields)  # type: ignore[arg-type]  # Request.checked judges every field


def _house(path: Path, declared: Catalog, ledger: Ledger) -> tuple[House, Catalog]:
    """The house, and the catalog the records were verified against: the one beside them, or else their own."""
    epoch = ledger.current_epoch()
    if epoch is None:
        raise CatalogRefused("No records have been loaded.", file=str(path), accepted="homeroom init", load=True)
    file = path / VAULT_FOLDER / epoch.file
    public, digest = file.with_name(beside.file_of(epoch.file)), epoch.catalog_digest
    known = beside.read(public, declared, digest) if public.is_file() else None
    records = Later(lambda: Vault.open(file, declared, epoch.id))
    invented = Later(lambda: rehearsal.invented(known or beside.read(public, declared, digest), epoch.id))
    house = House(records, invented, ledger, path / REPORTS_FOLDER / INCIDENTS_FILE)
    return house, known or house.catalog
