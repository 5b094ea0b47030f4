"""District: the folder of one district, opened. The composition root; everything is put together here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from budgets.clock import SystemClock
from budgets.ledger import Ledger
from engine import pipeline
from engine.epochs import Epochs
from engine.folder import INCIDENTS_FILE, LEDGER_FILE, REPORTS_FOLDER, VAULT_FOLDER, require_district
from engine.intake.load import sweep
from engine.pipeline import House
from engine.request import Request
from engine.vault import THREADS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from budgets.clock import Clock
    from budgets.ledger import Balance
    from engine.catalog import Catalog
    from engine.explanation import Explanation
    from engine.refusals import InternalFailure
    from engine.release import Preview, Release


class District:
    """An open district.

    Example:
        `with District.open(Path("homeroom-demo")) as district: district.ask("SELECT COUNT(*) FROM student")`
    """

    def __init__(self, house: House, epochs: Epochs) -> None:
        self._house = house
        self._epochs = epochs

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Clock | None = None,
        gate: Callable[[str, Sequence[int]], None] = lambda _, __: None,
        grid_s: tuple[float, ...] = (),
        threads: int = THREADS,
    ) -> Self:
        """Open the folder of a district.

        Args:
            path: the folder that `homeroom init` or `homeroom demo` made; its records are opened by the first
                question that is no rehearsal.
            clock: tells the time the budget year is taken from; the machine's if none is given.
            gate: called with the grant and the cohorts of a question that would be charged; it may refuse.
            grid_s: when a measurement may be seen, in seconds after its question came; empty for at once.
            threads: that the database of records takes for one question.

        Raises:
            CatalogRefused: no district is there, or its catalog is not the one its records were verified against.
            LedgerDamaged: the ledger contradicts itself.
        """
        require_district(path)
        sweep(path / VAULT_FOLDER)
        ledger = Ledger.open(path / LEDGER_FILE, clock or SystemClock())
        try:
            epochs = Epochs(path, ledger, threads)
            epochs.catalog()  # refused now, not at the first question
            incidents = path / REPORTS_FOLDER / INCIDENTS_FILE
            house = House(epochs.records, epochs.invented, ledger, incidents, gate=gate, grid_s=grid_s)
            return cls(house, epochs)
        except BaseException:
            ledger.close()
            raise

    @property
    def catalog(self) -> Catalog:
        """The catalog the present records were verified against."""
        return self._epochs.catalog()

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
                moe_at_n, epsilon, rows_per_student_max, groups_per_student_max, rehearse.

        Raises:
            Refusal: a decision not to answer, with its reason and what would be accepted.
            InternalFailure: anything else.
        """
        return pipeline.ask(self._house, _request(sql, fields))

    def released(self, release_id: str, grant: str | None = None) -> Release:
        """An answer that was given, written out again; free. Of one grant, or of all if none is named."""
        return pipeline.released(self._house, release_id, grant)

    def noted(self, error: Exception) -> InternalFailure:
        """What is answered of a failure outside the engine; where it happened is noted with the incidents."""
        return pipeline.noted(self._house.incidents, error)

    def balances(self, grant: str = "district") -> dict[int, Balance]:
        """What each cohort has spent and has left, in nano-ρ."""
        return self._house.ledger.balances(self._house.ledger.grant(grant).id)

    def budget_year(self) -> int:
        """The budget year it is now."""
        return self._house.ledger.year()

    def close(self) -> None:
        """Close records and ledger."""
        self._epochs.close()
        self._house.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _request(sql: str, fields: dict[str, object]) -> Request:
    return Request(sql, **fields)  # type: ignore[arg-type]  # Request.checked judges every field
