"""How a server is started, as its workers are told: one environment variable, without a secret."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import Self

from pydantic import TypeAdapter

from engine.vault import THREADS

VARIABLE = "HOMEROOM_SERVE"
LOGGER = "homeroom.requests"

GRID_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""When an answer may leave, in seconds after its request came; later, at every multiple of the last."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a server.

    Attributes:
        folder: of the district.
        limits_file: that the workers share; in a folder of its own.
        grid_s: when answers may leave after their request came, in seconds; empty for at once.
        requests_per_minute: of one token.
        charges_per_minute: questions that may charge one class, over all tokens.
        questions_max: that one worker answers at once.
        threads: that a worker takes for the records of one question.
        secure: whether clients come over TLS.
        parent: process id of the supervisor, without which a worker stops; None where there is none.
    """

    folder: Path
    limits_file: Path
    grid_s: tuple[float, ...] = GRID_S
    requests_per_minute: int = 120
    charges_per_minute: int = 30
    questions_max: int = 32
    threads: int = THREADS
    secure: bool = False
    parent: int | None = None

    def tell(self) -> None:
        """Put the settings where processes that are started from here on find them."""
        os.environ[VARIABLE] = TypeAdapter(dict[str, object]).dump_json(asdict(self)).decode()

    @classmethod
    def told(cls) -> Self:
        """The settings of the process that started this one."""
        return TypeAdapter(cls).validate_json(os.environ[VARIABLE])
