"""Examples in docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import api
import budgets
import engine

MODULES = sorted(
    module.name
    for package in (api, budgets, engine)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    """Every example in a docstring of the house gives what it says."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0
