"""How long a process waits for a SQLite file that another one keeps: a bounded time, and hardly any after that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tocsin.store.connection import Connection
from tocsin.store.migrating import write_ahead
from tocsin.store.records import StoreError


def test_a_file_that_was_emptied_under_another_process_is_waited_for_no_longer_than_for_any_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as holder, closing(sqlite3.connect(path, isolation_level=None)) as opener:
        holder.execute("PRAGMA journal_mode = WAL")
        holder.execute("CREATE TABLE kept (x)")
        path.write_bytes(b"")
        opener.execute("PRAGMA busy_timeout = 20")
        asked: list[str] = []
        opener.set_trace_callback(asked.append)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write_ahead(opener)
    assert 1 <= asked.count("PRAGMA journal_mode = WAL") <= 3


def waits_for(connection: Connection) -> int:
    with connection.read() as db:
        return int(db.execute("PRAGMA busy_timeout").fetchone()[0])


def test_after_one_wait_in_vain_a_lock_is_hardly_waited_for_until_it_is_had_again(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = Connection(path, patience=200)
    store.transact(lambda db: db.execute("CREATE TABLE mine (x)"))
    assert waits_for(store) == 200
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.transact(lambda db: db.execute("INSERT INTO mine VALUES (1)"))
        assert waits_for(store) == 100, "every event would wait as long for a lock that nobody gives up"
        with pytest.raises(StoreError, match="locked"):
            store.transact(lambda db: db.execute("INSERT INTO mine VALUES (2)"))
    store.transact(lambda db: db.execute("INSERT INTO mine VALUES (3)"))
    assert waits_for(store) == 200
    with store.read() as db:
        assert db.execute("SELECT x FROM mine").fetchall() == [(3,)]
    store.close()


def test_a_new_store_that_cannot_be_begun_for_a_lock_says_so_and_blames_no_disk(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        store = Connection(path, patience=20)
        with pytest.raises(StoreError, match="another process keeps it locked") as refused:
            store.transact(lambda db: db.execute("CREATE TABLE mine (x)"))
    assert "local disk" not in str(refused.value)
