"""What the outbox in a file promises of it: synced, private, and refused with a reason where it cannot be used."""

import sqlite3
import threading
from pathlib import Path

import pytest

from support.outboxes import KEY, Writing
from tocsin.store.records import StoreError
from tocsin.store.sqlite import SqliteStore


@pytest.fixture
def outbox(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "folder" / "tocsin.db")


def test_every_commit_is_synced_and_the_file_is_its_owners_alone(outbox: SqliteStore, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    with outbox._connection.read() as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert outbox.path.stat().st_mode & 0o077 == 0


def test_a_store_written_by_a_newer_tocsin_is_refused_and_left_alone(outbox: SqliteStore) -> None:
    outbox.path.parent.mkdir()
    with sqlite3.connect(outbox.path) as db:
        db.execute("PRAGMA user_version = 999")
    with pytest.raises(StoreError, match=r"written by a newer tocsin \(schema 999"):
        outbox.is_open(KEY)


def test_a_folder_that_cannot_be_made_is_told_with_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"set \[store\] path to a place that can be written"):
        SqliteStore(tmp_path / "file" / "tocsin.db").is_open(KEY)


def test_a_locked_database_is_waited_for_a_bounded_time_and_then_refused(outbox: SqliteStore, write: Writing) -> None:
    write.add(outbox, "e1", "ops")
    with outbox._connection.read() as db:
        db.execute("PRAGMA busy_timeout = 50")
    blocker = sqlite3.connect(outbox.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="database is locked"):
        write.add(outbox, "e2", "ops")
    blocker.execute("ROLLBACK")
    blocker.close()
    write.add(outbox, "e2", "ops")
    assert len(outbox.deliveries()) == 2


def test_a_new_file_that_several_open_at_once_is_opened_by_all(tmp_path: Path, write: Writing) -> None:
    for attempt in range(8):
        stores = [SqliteStore(tmp_path / str(attempt) / "tocsin.db") for _ in range(4)]
        start = threading.Barrier(len(stores))

        def publish(n: int, stores: list[SqliteStore] = stores, start: threading.Barrier = start) -> None:
            start.wait()
            write.add(stores[n], f"e{n}", "ops", thread="")

        threads = [threading.Thread(target=publish, args=(n,)) for n in range(len(stores))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(d.event.id for d in stores[0].deliveries()) == ["e0", "e1", "e2", "e3"]
        for store in stores:
            store.close()
