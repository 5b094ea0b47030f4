from __future__ import annotations

import shutil
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from attendance_records import tables

from budgets.clock import FixedClock
from engine.catalog_file import read_catalog
from engine.combination import answer
from engine.district import District
from engine.founding import INVENTED, Terms, found
from engine.intake.load import load
from engine.intake.rules import Standing
from engine.postprocess import Draws
from engine.preparation import planned
from engine.vault import Vault
from tests.engine.counting import exact_vectors

HERE = Path(__file__).parent
AS_OF = datetime(2025, 9, 15, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def catalog_file():
    """The attendance catalog."""
    return HERE / "district.yaml"


@pytest.fixture(scope="session")
def vault(catalog_file, tmp_path_factory):
    """The records of the attendance district, open for reading."""
    folder = tmp_path_factory.mktemp("events")
    declared = read_catalog(catalog_file)
    done = load(declared, tables(), folder, owner_key=b"k" * 32, standing=Standing({}))
    opened = Vault.open(folder / done.file, declared)
    yield opened
    opened.close()


@pytest.fixture
def exactly(vault):
    """The exact integers of a question, by its groups, one tuple with a number for each statistic."""

    def run(sql):
        plan = planned(vault.catalog, sql, vault.catalog.cohorts)
        vectors = exact_vectors(vault, plan)
        return dict(zip(plan.keys.rows, zip(*(vector.tolist() for vector in vectors), strict=True), strict=True))

    return run


@pytest.fixture
def without_noise(vault):
    """The rows of a question's answer, were there no noise."""

    def run(sql):
        plan = planned(vault.catalog, sql, vault.catalog.cohorts)
        vectors = exact_vectors(vault, plan)
        return answer(plan, Draws(tuple(vectors), (1.0,) * len(vectors))).rows

    return run


@pytest.fixture(scope="session")
def pristine_events(catalog_file, tmp_path_factory):
    """The attendance district, that nobody has asked anything yet."""
    folder = tmp_path_factory.mktemp("district") / "events"
    terms = Terms(Fraction(1), AS_OF, policy=INVENTED)
    found(folder, catalog_file, tables(), clock=FixedClock(AS_OF), terms=terms)
    return folder


@pytest.fixture
def events_folder(pristine_events, tmp_path):
    """A fresh copy of it."""
    copy = tmp_path / "events"
    shutil.copytree(pristine_events, copy)
    return copy


@pytest.fixture
def district(events_folder):
    """A fresh copy of it, opened."""
    with District.open(events_folder) as opened:
        yield opened
