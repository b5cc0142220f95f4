"""A SQLite file that is damaged, replaced or gone: nothing is deleted, nothing is lost that is still to come."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from support.outboxes import KEY, Writing
from tocsin.store import log_watch
from tocsin.store.log_watch import LogWatch
from tocsin.store.records import StoreError
from tocsin.store.sqlite import SqliteStore

RUBBISH = b"not a database at all, but long enough to be looked at" * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tocsin.db"


def aside(path: Path) -> list[Path]:
    return sorted(each for each in path.parent.glob("*.corrupt-*") if not each.name.endswith(("-wal", "-shm")))


def ids(store: SqliteStore) -> list[str]:
    return sorted(each.event.id for each in store.deliveries())


def filled(path: Path, write: Writing, count: int = 40) -> None:
    store = SqliteStore(path)
    for n in range(count):
        write.add(store, f"e{n}", "ops", thread="")
    store.close()


def until_it_is_taken(store: SqliteStore, write: Writing, name: str) -> int:
    """Write, as a hub does that spills what is refused; how often it was refused."""
    for refused in range(5):
        try:
            write.add(store, name, "ops", thread="")
        except StoreError:
            continue
        return refused
    raise AssertionError("it is never taken")


def test_a_file_that_is_no_database_is_set_aside_whole_and_a_new_one_is_begun(
    path: Path, write: Writing, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(RUBBISH)
    store = SqliteStore(path)
    write.add(store, "new", "ops")
    assert ids(store) == ["new"]
    [kept] = aside(path)
    assert kept.read_bytes() == RUBBISH
    [said] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert str(path) in said.getMessage()
    assert kept.name in said.getMessage()
    store.close()


def test_a_file_with_damaged_pages_is_set_aside_when_they_are_met(path: Path, write: Writing) -> None:
    filled(path, write)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    store = SqliteStore(path)
    assert until_it_is_taken(store, write, "new") <= 1
    assert ids(store) == ["new"]
    [kept] = aside(path)
    assert kept.stat().st_size == size
    store.close()


def test_a_file_that_was_cut_short_is_set_aside(path: Path, write: Writing) -> None:
    filled(path, write)
    os.truncate(path, 3 * 4096)
    store = SqliteStore(path)
    until_it_is_taken(store, write, "new")
    assert ids(store) == ["new"]
    assert [kept.stat().st_size for kept in aside(path)] == [3 * 4096]
    store.close()


def test_damage_that_comes_while_the_file_is_in_use_is_survived(path: Path, write: Writing) -> None:
    filled(path, write)
    store = SqliteStore(path)
    assert len(ids(store)) == 40
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
    until_it_is_taken(store, write, "new")
    with SqliteStore(path)._connection.read() as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert "new" in ids(store)
    store.close()


def test_a_file_that_is_deleted_while_open_is_begun_anew_and_nothing_counts_as_stored_that_is_not_there(
    path: Path, write: Writing, caplog: pytest.LogCaptureFixture
) -> None:
    store, other = SqliteStore(path), SqliteStore(path)
    write.add(store, "old", "ops")
    assert ids(other) == ["old"]
    for each in path.parent.glob("tocsin.db*"):
        each.unlink()
    write.add(store, "new", "ops")
    write.add(other, "newer", "ops", thread="")
    assert ids(store) == ids(other) == ["new", "newer"]
    assert any("was moved or deleted while in use" in record.getMessage() for record in caplog.records)
    store.close()
    other.close()
    assert ids(SqliteStore(path)) == ["new", "newer"]


def test_a_file_that_is_deleted_while_it_is_written_refuses_what_it_took(path: Path, write: Writing) -> None:
    store = SqliteStore(path)
    write.add(store, "old", "ops")

    def work(tx: object) -> None:
        for each in path.parent.glob("tocsin.db*"):
            each.unlink()

    with pytest.raises(StoreError, match="was moved or deleted while it was written"):
        store.transact(work)
    write.add(store, "new", "ops")
    assert ids(SqliteStore(path)) == ["new"]
    store.close()


def test_processes_that_find_the_damage_at_once_set_it_aside_once(path: Path, write: Writing) -> None:
    path.write_bytes(RUBBISH)
    children = []
    for n in range(6):
        if (pid := os.fork()) == 0:
            code = 1
            try:
                write.add(store := SqliteStore(path), f"e{n}", "ops", thread="")
                store.close()
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 6
    assert ids(SqliteStore(path)) == [f"e{n}" for n in range(6)]
    assert len(aside(path)) == 1


def test_files_that_are_set_aside_do_not_replace_one_another(path: Path, write: Writing) -> None:
    for n in range(3):
        for each in path.parent.glob("tocsin.db*"):
            if ".corrupt-" not in each.name:
                each.unlink()
        path.write_bytes(RUBBISH + bytes([n]))
        store = SqliteStore(path)
        assert store.deliveries() == []
        store.close()
    assert sorted(each.read_bytes()[-1] for each in aside(path)) == [0, 1, 2]


def test_a_newer_or_a_locked_store_is_not_taken_for_a_damaged_one(path: Path, write: Writing) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    with pytest.raises(StoreError, match="newer tocsin"):
        SqliteStore(path).is_open(KEY)
    assert aside(path) == []


def test_a_reader_that_does_not_end_lets_the_log_grow_and_that_is_said_once(
    path: Path, write: Writing, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(path)
    store._connection._watch = LogWatch(path, long=100_000)
    write.add(store, "e", "ops", thread="")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    for n in range(3 * log_watch._LOOK_EVERY):
        write.add(store, f"e{n}", "ops", thread="")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "tocsin.db-wal' has grown" in said[0]
    summary = store.summary(now=write.event("e").time)
    assert summary.wal is not None
    assert summary.wal > 100_000
    reader.close()
    store.close()


def test_a_forked_child_leaves_its_parents_connection_alone(path: Path, write: Writing) -> None:
    store = SqliteStore(path)
    write.add(store, "parent", "ops", thread="")
    if (pid := os.fork()) == 0:
        try:
            write.add(store, "child", "ops", thread="")
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    write.add(store, "after", "ops", thread="")
    assert ids(store) == ["after", "child", "parent"]
    store.close()
