"""Examples in docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import budgets

MODULES = sorted(module.name for module in pkgutil.walk_packages(budgets.__path__, "budgets."))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    """Every example in a docstring of the package gives what it says."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0
