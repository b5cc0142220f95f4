"""Each test of an outbox, on every sort of outbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.outboxes import KINDS, Database, Writing
from tocsin.store.protocol import Store


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = request.param.open(tmp_path)
    yield store
    store.close()


@pytest.fixture(params=[kind for kind in KINDS if kind.shared], ids=lambda kind: kind.name)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return Database(request.param, tmp_path)


@pytest.fixture
def write() -> Writing:
    return Writing()
