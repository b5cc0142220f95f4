"""Who may read what a store writes: its owner alone, from the first byte on, beside it as well as in it."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tocsin.store.open import open_store
from tocsin.store.records import Cell, StoreError


@pytest.fixture(autouse=True)
def _a_lenient_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


def put(path: Path) -> None:
    open_store(path).transact(lambda tx: tx.put(Cell("kind", "key", "{}")))


def test_a_new_store_its_log_and_the_index_of_it_are_their_owners_alone(tmp_path: Path) -> None:
    put(tmp_path / "t.db")
    assert modes(tmp_path) == {"t.db": 0o600, "t.db-wal": 0o600, "t.db-shm": 0o600}


def test_a_store_whose_first_opening_fails_is_its_owners_alone_as_well(tmp_path: Path) -> None:
    (tmp_path / "t.db-wal").mkdir()  # no log can be begun
    with pytest.raises(StoreError, match="cannot be opened"):
        put(tmp_path / "t.db")
    assert modes(tmp_path)["t.db"] == 0o600


def test_a_store_that_is_begun_anew_where_one_was_deleted_is_its_owners_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "t.db")
    store.transact(lambda tx: tx.put(Cell("kind", "key", "{}")))
    for each in list(tmp_path.iterdir()):
        each.unlink()
    store.transact(lambda tx: tx.put(Cell("kind", "key", "{}")))
    assert modes(tmp_path) == {"t.db": 0o600, "t.db-wal": 0o600, "t.db-shm": 0o600}


def test_a_store_at_the_end_of_a_link_is_begun_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "t.db").symlink_to(tmp_path / "real" / "t.db")
    put(tmp_path / "t.db")
    assert modes(tmp_path / "real")["t.db"] == 0o600


def test_who_may_read_a_file_that_was_there_is_left_as_it_was(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "t.db")) as handle:
        handle.execute("PRAGMA user_version = 0")
    (tmp_path / "t.db").chmod(0o640)
    put(tmp_path / "t.db")
    assert modes(tmp_path)["t.db"] == 0o640
