"""What all tests share, wherever they stand: they know nothing of each other, and run beside each other."""

import gc
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tocsin import masked
from tocsin_hooks.masking import known


def pytest_collection_finish() -> None:
    """Let collections of garbage pass over what was there before the first test: hundreds of tests ask for one."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _secrets_of_others_are_not_known() -> Iterator[None]:
    """Forget the secrets that a test revealed: to mask them would change what another reads."""
    before = frozenset(known)
    yield
    if known != before:
        known.intersection_update(before)
        masked._masked_text.cache_clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Let what tests print and log travel between processes: half characters cannot be encoded."""
    report = yield
    report.sections = [(name, _encodable(text)) for name, text in report.sections]
    return report


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
