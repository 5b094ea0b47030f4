"""The catalog to start from: the canonical schema, in standard codes."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from engine.catalog_file import catalog_of

if TYPE_CHECKING:
    from engine.catalog import Catalog

STARTER_FILE = "starter.yaml"


def starter_text() -> str:
    """The file as it stands."""
    return files("engine").joinpath(STARTER_FILE).read_text(encoding="utf-8")


def starter_catalog() -> Catalog:
    """The catalog it declares."""
    return catalog_of(starter_text(), STARTER_FILE)
