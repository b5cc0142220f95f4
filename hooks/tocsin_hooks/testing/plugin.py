"""Fixtures of the plugin test kit, for pytest.

Loaded by every pytest run of an environment that has tocsin: it imports nothing but pytest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tocsin_hooks.testing.http import Receiver

pytest.register_assert_rewrite("tocsin_hooks.testing.conformance")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A local HTTP server that accepts everything, and keeps what it was sent."""
    from tocsin_hooks.testing.http import Receiver

    with Receiver() as receiver:
        yield receiver
