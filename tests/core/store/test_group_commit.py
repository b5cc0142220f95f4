"""Threads that write at the same moment share a sync, and notice nothing else of each other."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.outboxes import NOON, Writing
from tocsin.store.connection import Connection
from tocsin.store.group_commit import Writers
from tocsin.store.records import StoreError
from tocsin.store.sqlite import SqliteStore


class Bench:
    """A table, writers over it, and a gate that keeps the first of them in its transaction until more have come."""

    def __init__(self, path: Path) -> None:
        self.commits = 0
        self.connection = Connection(path)
        with self.connection.write() as db:
            db.execute("CREATE TABLE notes (text TEXT NOT NULL UNIQUE)")
        self.fail: Callable[[], None] = lambda: None
        self.writers = Writers(self.transaction)
        self.results: dict[str, Any] = {}
        self.entered, self.open = threading.Event(), threading.Event()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self.connection.write() as db:
            yield db
            self.fail()
        self.commits += 1

    def note(self, text: str) -> Callable[[sqlite3.Connection], str]:
        def work(db: sqlite3.Connection) -> str:
            db.execute("INSERT INTO notes VALUES (?)", (text,))
            return text

        return work

    def notes(self) -> set[str]:
        with self.connection.read() as db:
            return {text for (text,) in db.execute("SELECT text FROM notes")}

    def together(self, **works: Callable[[sqlite3.Connection], Any]) -> None:
        """Do the works in threads of their own, all of them waiting while another transaction is held open."""

        def hold(db: sqlite3.Connection) -> None:
            self.entered.set()
            self.open.wait()

        def run(name: str, work: Callable[[sqlite3.Connection], Any]) -> None:
            try:
                self.results[name] = self.writers.do(work)
            except BaseException as error:
                self.results[name] = error

        threads = [threading.Thread(target=run, args=("hold", hold))]
        threads[0].start()
        assert self.entered.wait(10)
        threads += [threading.Thread(target=run, args=each) for each in works.items()]
        for thread in threads[1:]:
            thread.start()
        while self.writers.waiting() < len(works):
            self.entered.wait(0)
        self.open.set()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "t.db")
    yield bench
    bench.connection.close()


def raising(error: BaseException, before: Callable[[sqlite3.Connection], Any]) -> Callable[[sqlite3.Connection], Any]:
    def work(db: sqlite3.Connection) -> None:
        before(db)
        raise error

    return work


def test_what_waits_is_committed_at_once_and_each_gets_its_own_result(bench: Bench) -> None:
    names = [f"n{n}" for n in range(20)]
    bench.together(**{name: bench.note(name) for name in names})
    assert {bench.results[name] for name in names} == bench.notes() == set(names)
    assert bench.commits == 2, "the one that was held open, and one for all the others"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(2)], ids=["an exception", "an exit"])
def test_what_one_raises_is_its_own_and_undoes_nothing_else(bench: Bench, error: BaseException) -> None:
    bench.together(a=bench.note("a"), b=raising(error, bench.note("b")), c=bench.note("c"))
    assert bench.results["b"] is error
    assert bench.notes() == {"a", "c"}
    assert bench.commits == 2


def test_a_row_that_is_refused_concerns_its_writer_only(bench: Bench) -> None:
    bench.together(a=bench.note("same"), b=bench.note("same"), c=bench.note("c"))
    refused = [name for name in "abc" if isinstance(bench.results[name], sqlite3.IntegrityError)]
    assert len(refused) == 1
    assert refused != ["c"]
    assert bench.notes() == {"same", "c"}


def test_a_statement_that_the_database_refuses_concerns_its_writer_only(bench: Bench) -> None:
    bench.together(a=bench.note("a"), b=lambda db: db.execute("SELECT no_such_function()"), c=bench.note("c"))
    assert isinstance(bench.results["b"], StoreError)
    assert bench.notes() == {"a", "c"}


def test_a_commit_that_fails_fails_for_all_of_it(bench: Bench) -> None:
    def full() -> None:
        if bench.commits:  # the transaction of all, not the one that was held open
            raise sqlite3.OperationalError("database or disk is full")

    bench.fail = full
    bench.together(a=bench.note("a"), b=bench.note("b"))
    errors = [bench.results["a"], bench.results["b"]]
    assert all(isinstance(error, StoreError) and "disk is full" in str(error) for error in errors)
    assert errors[0] is not errors[1]
    assert bench.notes() == set()
    bench.fail = lambda: None
    assert bench.writers.do(bench.note("later")) == "later"


def test_an_interrupt_of_the_leader_leaves_the_others_their_work(bench: Bench) -> None:
    interrupts = iter([KeyboardInterrupt()])

    def interrupted(db: sqlite3.Connection) -> str:
        for error in interrupts:
            raise error
        return "again"

    bench.together(a=interrupted, b=bench.note("b"), c=bench.note("c"))
    assert isinstance(bench.results["a"], KeyboardInterrupt) or bench.results["a"] == "again"
    assert bench.notes() >= {"b", "c"} - {name for name in "bc" if isinstance(bench.results[name], KeyboardInterrupt)}
    assert [type(result) for result in bench.results.values()].count(KeyboardInterrupt) == 1


def test_a_transaction_inside_another_is_refused(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match="cannot begin inside another"):
        bench.writers.do(lambda _: bench.writers.do(bench.note("a")))
    assert bench.writers.do(bench.note("b")) == "b"


def test_many_threads_lose_nothing_and_mix_nothing_up(bench: Bench) -> None:
    found: list[tuple[str, str]] = []

    def produce(producer: int) -> None:
        for n in range(20):
            text = f"{producer}/{n}"
            if n % 5 == 4:
                with pytest.raises(ValueError, match=text):
                    bench.writers.do(raising(ValueError(text), bench.note(text)))
            else:
                found.append((text, bench.writers.do(bench.note(text))))

    threads = [threading.Thread(target=produce, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12 * 16
    assert all(asked == got for asked, got in found)
    assert bench.notes() == {text for text, _ in found}


def test_claims_results_and_events_share_commits_without_harm(tmp_path: Path, write: Writing) -> None:
    store = SqliteStore(tmp_path / "t.db")
    threads = [
        threading.Thread(target=lambda p=p: [write.add(store, f"{p}.{n}", "ops", thread="") for n in range(10)])
        for p in range(6)
    ]
    for thread in threads:
        thread.start()
    claimed: list[str] = []
    while any(thread.is_alive() for thread in threads) or len(claimed) < 60:
        leased = write.lease(store, NOON, limit=7)
        claimed += [each.id for each in leased]
        assert store.record([write.delivered(each) for each in leased]) == [True] * len(leased)
    assert len(set(claimed)) == len(claimed) == 60
    store.close()
