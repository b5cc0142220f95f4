"""The examples in docstrings hold."""

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import tocsin
import tocsin_hooks


def modules() -> list[str]:
    return [
        info.name
        for package in (tocsin, tocsin_hooks)
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not info.name.endswith("__main__")
    ]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_hold(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    failed, _ = doctest.testmod(module)
    assert failed == 0
