from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from engine.catalog_file import catalog_of, read_catalog, resolve
from engine.intake.load import load
from engine.intake.rules import Standing
from engine.vault import Vault

if TYPE_CHECKING:
    from engine.catalog import Catalog

SCHOOLS = [
    {
        "school_id": 1001 + i,
        "school_name": f"School {i}",
        "school_level": "high",
        "locale": "city",
        "is_charter": False,
        "is_title_i": False,
    }
    for i in range(25)
]
RANGES = [
    {"test_program": "state_summative", "subject": "math", "grade_tested": "03", "low": 200, "high": 700},
    {"test_program": "state_summative", "subject": "ela", "grade_tested": "03", "low": 250, "high": 800},
    {"test_program": "sat", "subject": "composite", "grade_tested": "11", "low": 400, "high": 1600},
]


@pytest.fixture(scope="session")
def canonical() -> Catalog:
    """The starter catalog with 25 schools and three score ranges."""
    declared = catalog_of(files("engine").joinpath("starter.yaml").read_text(encoding="utf-8"), "starter.yaml")
    return resolve(declared, {"school": SCHOOLS, "scale_range": RANGES})


@pytest.fixture(scope="session")
def loaded(tables, starter, tmp_path_factory):
    """A vault of the small invented district: its path, and what the load said."""
    folder = tmp_path_factory.mktemp("vault")
    done = load(read_catalog(starter), tables, folder, owner_key=b"k" * 32, standing=Standing({}))
    return folder / done.file, done


@pytest.fixture(scope="module")
def vault(loaded, starter):
    """The records of the small invented district, open for reading."""
    opened = Vault.open(loaded[0], read_catalog(starter))
    yield opened
    opened.close()
