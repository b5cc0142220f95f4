"""Threads that write at the same moment share a sync, and notice nothing else of each other."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
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
        self.writers = Writers(self.transact)
        self.results: dict[str, Any] = {}
        self.entered, self.open = threading.Event(), threading.Event()

    def transact(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        def done_or_not(db: sqlite3.Connection) -> Any:
            result = work(db)
            self.fail()
            return result

        result = self.connection.transact(done_or_not)
        self.commits += 1
        return result

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


def test_what_another_one_raised_leaves_no_trace_in_what_is_done_again(bench: Bench) -> None:
    rounds: list[str] = []

    def work(name: str) -> Callable[[sqlite3.Connection], int]:
        def count(db: sqlite3.Connection) -> int:
            rounds.append(name)
            db.execute("INSERT INTO notes VALUES (?)", (name,))
            [number] = db.execute("SELECT count(*) FROM notes").fetchone()
            return int(number)

        return count

    bench.together(a=work("a"), b=raising(ValueError("no"), work("b")), c=work("c"))
    assert sorted((bench.results["a"], bench.results["c"])) == [1, 2], "nothing of the first round was left to count"
    assert bench.notes() == {"a", "c"}
    assert all(1 <= rounds.count(name) <= 2 for name in "abc")


def test_a_thread_that_is_interrupted_while_its_work_is_done_holds_up_none_that_waits_behind_it(bench: Bench) -> None:
    doing, go_on, gone = threading.Event(), threading.Event(), threading.Event()
    results: list[str] = []

    def slowly(db: sqlite3.Connection) -> None:
        doing.set()
        assert go_on.wait(10)

    def wait_for(waiting: int) -> None:
        while bench.writers.waiting() != waiting:
            doing.wait(0)

    def hold(db: sqlite3.Connection) -> None:
        bench.entered.set()
        assert bench.open.wait(10)

    behind = threading.Thread(target=lambda: results.append(bench.writers.do(bench.note("behind"))))

    def direct() -> None:
        wait_for(2)  # the slow one, and the thread of this test
        behind.start()
        wait_for(3)
        bench.open.set()
        assert doing.wait(10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert gone.wait(10)
        go_on.set()

    others = [threading.Thread(target=bench.writers.do, args=(work,)) for work in (hold, slowly)]
    others[0].start()
    assert bench.entered.wait(10)
    others[1].start()
    wait_for(1)
    others.append(threading.Thread(target=direct))
    others[2].start()
    with pytest.raises(KeyboardInterrupt):
        bench.writers.do(bench.note("interrupted"))
    gone.set()
    for thread in (*others, behind):
        thread.join(10)
        assert not thread.is_alive()
    assert results == ["behind"]
    assert bench.notes() == {"interrupted", "behind"}
    assert bench.writers.do(bench.note("later")) == "later"


class Forgetful(Writers):
    """Writers of which one thread is struck down before it has woken the next."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.transact, patience=0.01)
        self.struck = 0

    def _wake(self, piece: Any) -> None:
        if self.struck == 1:
            self.struck = 2
            return
        super()._wake(piece)

    def _pass_on(self) -> None:
        if self.struck == 3:
            self.struck = 4
            self._led = True
            return
        super()._pass_on()


@pytest.mark.parametrize("struck", [1, 3], ids=["what is done", "what is still to be done"])
def test_a_thread_that_is_struck_where_it_stands_leaves_none_waiting_for_ever(bench: Bench, struck: int) -> None:
    bench.writers = writers = Forgetful(bench)
    writers.struck = struck
    names = [f"n{n}" for n in range(8)]
    bench.together(**{name: bench.note(name) for name in names})
    assert writers.struck == struck + 1
    assert {bench.results[name] for name in names} == bench.notes() == set(names)
    assert writers.do(bench.note("later")) == "later"


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
