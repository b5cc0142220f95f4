"""A look at the index of the log tells of every commit, and costs no connection its locks."""

import gc
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tocsin.clock import ManualClock
from tocsin.store import log_index
from tocsin.store.connection import Connection
from tocsin.store.records import Incident
from tocsin.store.sqlite import SqliteStore

LOCKED = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)
    except OSError:
        print("locked")
    else:
        print("free")
"""
COMMITTING = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS mine (a)")
db.execute("INSERT INTO mine VALUES (1)")
"""


def other_process(code: str, path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def index_of(path: Path) -> Path:
    return path.with_name(path.name + "-shm")


def open_files(path: Path) -> int:
    """How often this process has the file open."""
    found = 0
    for each in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):
            found += str(each.readlink()).removesuffix(" (deleted)") == str(path)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tocsin.db"


def opened(path: Path) -> Connection:
    connection = Connection(path)
    with connection.read() as db:
        db.execute("SELECT 1")
    return connection


def test_it_changes_with_each_commit_of_whoever_makes_it_and_with_nothing_else(path: Path) -> None:
    one, two = opened(path), opened(path)
    seen = [one.commits()]
    assert len(seen[0]) > 0
    with one.write() as db:
        db.execute("CREATE TABLE mine (a)")
    seen.append(one.commits())
    with two.write() as db:
        db.execute("INSERT INTO mine VALUES (1)")
    seen.append(one.commits())
    other_process(COMMITTING, path)
    seen.append(one.commits())
    assert len(set(seen)) == 4
    with one.read() as db:
        assert db.execute("SELECT count(*) FROM mine").fetchone() == (2,)
    with two.write(keep=False) as db:
        db.execute("INSERT INTO mine VALUES (2)")
    assert one.commits() == two.commits() == seen[-1]
    one.close()
    two.close()


def test_what_is_still_uncommitted_is_not_told_of(path: Path) -> None:
    one, two = opened(path), opened(path)
    before = one.commits()
    with two.write() as db:
        db.execute("CREATE TABLE mine (a)")
        assert one.commits() == before
    assert one.commits() != before


def test_nobody_can_tell_of_a_database_in_memory_or_of_one_that_is_closed(path: Path) -> None:
    assert opened(Path(":memory:")).commits() == b""
    connection = opened(path)
    connection.close()
    assert connection.commits() == b""


def test_to_close_one_connection_leaves_the_locks_of_another_in_place(path: Path) -> None:
    one, two = opened(path), opened(path)
    assert other_process(LOCKED, index_of(path)) == "locked"
    one.close()
    assert other_process(LOCKED, index_of(path)) == "locked"
    assert two.commits()
    two.close()


def test_it_is_let_go_of_with_the_last_connection(path: Path) -> None:
    other = sqlite3.connect(path)
    for _ in range(5):
        one, two = opened(path), opened(path)
        one.close()
        two.close()
    assert open_files(index_of(path)) == 0
    other.close()


def test_a_connection_that_nobody_closed_leaves_nothing_open(path: Path) -> None:
    opened(path)
    gc.collect()
    assert open_files(index_of(path)) == 0


def test_a_forked_child_sees_what_others_open(path: Path) -> None:
    store, now = SqliteStore(path), ManualClock().now()
    store.transact(lambda tx: tx.put_incident(Incident("a", now)))
    assert store.is_open("a")
    readable, writable = os.pipe()
    going, gone = os.pipe()
    if (child := os.fork()) == 0:
        os.read(going, 1)
        os.write(writable, b"ab" if store.is_open("a") and store.is_open("b") else b"no")
        os._exit(0)
    other = SqliteStore(path)
    other.transact(lambda tx: tx.put_incident(Incident("b", now)))
    os.write(gone, b"!")
    assert os.read(readable, 2) == b"ab"
    assert os.waitpid(child, 0)[1] == 0
    assert store.is_open("b")
    other.close()
    store.close()


def test_to_close_the_last_connection_of_a_store_leaves_the_locks_of_others_in_place(path: Path) -> None:
    one = opened(path)
    stranger = sqlite3.connect(path)
    assert stranger.execute("SELECT count(*) FROM events").fetchone() == (0,)
    one.close()
    assert other_process(LOCKED, index_of(path)) == "locked"
    stranger.close()
    opened(path).close()
    assert open_files(index_of(path)) == 0


def test_a_child_whose_parent_closes_the_store_sees_what_others_write(path: Path) -> None:
    store, now = SqliteStore(path), ManualClock().now()
    store.transact(lambda tx: tx.put_incident(Incident("a", now)))
    assert store.is_open("a")
    readable, writable = os.pipe()
    going, gone = os.pipe()
    if (child := os.fork()) == 0:
        os.read(going, 1)
        seen = store.is_open("a") and store.is_open("b")
        store.transact(lambda tx: tx.put_incident(Incident("c", now)))
        os.write(writable, b"ab" if seen else b"no")
        os._exit(0)
    store.close()
    other = SqliteStore(path)
    other.transact(lambda tx: tx.put_incident(Incident("b", now)))
    os.write(gone, b"!")
    assert os.read(readable, 2) == b"ab"
    assert os.waitpid(child, 0)[1] == 0
    assert other.is_open("c")
    other.close()


def test_a_fork_amid_a_transaction_of_another_thread_waits_for_its_end(path: Path) -> None:
    connection, begun, done = opened(path), threading.Event(), threading.Event()

    def write() -> None:
        with connection.write() as db:
            db.execute("CREATE TABLE mine (a)")
            begun.set()
            done.wait(20)
            db.execute("INSERT INTO mine VALUES (1)")

    thread = threading.Thread(target=write)
    thread.start()
    assert begun.wait(20)
    threading.Timer(0.05, done.set).start()
    if (child := os.fork()) == 0:
        with connection.read() as db:
            os._exit(db.execute("SELECT count(*) FROM mine").fetchone()[0])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    thread.join()
    connection.close()


def test_what_is_in_memory_outlives_a_fork() -> None:
    connection = opened(Path(":memory:"))
    with connection.write() as db:
        db.execute("CREATE TABLE mine (a)")
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with connection.read() as db:
        assert db.execute("SELECT count(*) FROM mine").fetchone() == (0,)


def test_a_file_that_takes_the_place_of_the_one_in_use_is_seen(path: Path) -> None:
    store, now = SqliteStore(path), ManualClock().now()
    store.transact(lambda tx: tx.put_incident(Incident("a", now)))
    assert store.is_open("a")
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()
    store.transact(lambda tx: tx.put_incident(Incident("b", now)))
    other = SqliteStore(path)
    other.transact(lambda tx: tx.put_incident(Incident("c", now)))
    assert [store.is_open(key) for key in "abc"] == [False, True, True]
    other.close()
    store.close()


def test_a_connection_that_is_collected_amid_the_opening_of_another_waits_for_nothing(path: Path) -> None:
    opened(path)
    with log_index._indices._guard:  # as while one is opened, when a collection may begin at any step
        gc.collect()
        assert open_files(index_of(path)) > 0
    opened(path).close()
    assert open_files(index_of(path)) == 0
