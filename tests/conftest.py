from __future__ import annotations

import shutil
import zlib
from datetime import UTC, datetime
from fractions import Fraction
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from budgets.clock import FixedClock
from engine.district import District
from engine.founding import INVENTED, Terms, found
from engine.intake.demo import generate

if TYPE_CHECKING:
    from pathlib import Path

AS_OF = datetime(2025, 9, 15, 12, tzinfo=UTC)
STUDENTS = 400


@pytest.fixture(scope="session")
def tables():
    """The tables of a small invented district."""
    return generate(STUDENTS, seed=7)


@pytest.fixture(scope="session")
def starter(tmp_path_factory) -> Path:
    """The starter catalog as a file."""
    path = tmp_path_factory.mktemp("catalog") / "district.yaml"
    path.write_bytes(files("engine").joinpath("starter.yaml").read_bytes())
    return path


@pytest.fixture(scope="session")
def pristine(tmp_path_factory, tables, starter) -> Path:
    """A small district nobody has asked anything yet."""
    folder = tmp_path_factory.mktemp("district") / "small"
    found(folder, starter, tables, clock=FixedClock(AS_OF), terms=Terms(Fraction(1), AS_OF, policy=INVENTED))
    return folder


@pytest.fixture(scope="session")
def pristine_pilot(tmp_path_factory, tables, starter) -> Path:
    """The same records in a real district, whose pilot has just begun."""
    folder = tmp_path_factory.mktemp("pilot") / "small"
    found(folder, starter, tables, clock=FixedClock(AS_OF))
    return folder


@pytest.fixture
def pilot(pristine_pilot, tmp_path, monkeypatch) -> Path:
    """A fresh copy of the district in its pilot, on the day it was founded."""
    for module in ("district", "doctor", "office"):
        monkeypatch.setattr(f"engine.{module}.SystemClock", lambda: FixedClock(AS_OF))
    copy = tmp_path / "pilot"
    shutil.copytree(pristine_pilot, copy)
    return copy


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    """A fresh copy of the small district."""
    copy = tmp_path / "small"
    shutil.copytree(pristine, copy)
    return copy


@pytest.fixture
def district(folder):
    """A fresh copy of the small district, opened."""
    with District.open(folder) as opened:
        yield opened


MANY = (
    "tests/engine/functions/",
    "tests/attendance/",
    "tests/engine/test_names.py",
    "tests/engine/test_parse.py",
    "tests/engine/test_step_claims.py",
)
"""Rooms with hundreds of tests that differ in one value: a sixth of these is tried often, all of them before a change."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Leave most of many like tests to the slow lane, the same ones every time."""
    for item in items:
        if item.nodeid.startswith(MANY) and "[" in item.nodeid and zlib.crc32(item.nodeid.encode()) % 6:
            item.add_marker(pytest.mark.slow)
