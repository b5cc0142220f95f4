"""Each test of an outbox, on every sort of outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.outboxes import KINDS, Database, Writing
from support.postgres import Server, shared_server
from tocsin.store.postgres import PostgresStore
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


@pytest.fixture
def server() -> Server:
    return shared_server()


@pytest.fixture
def open_store(server: Server, tmp_path: Path) -> Iterator[Callable[..., PostgresStore]]:
    """Opens handles on one database of PostgreSQL; all are closed in the end."""
    stores = []

    def open_one(**more: str) -> PostgresStore:
        url = server.url(tmp_path, **more)
        stores.append(PostgresStore(lambda: url))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()
