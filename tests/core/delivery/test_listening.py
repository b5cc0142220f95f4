"""A hub hears of what other processes planned as soon as its store can tell."""

import threading
from pathlib import Path

import pytest

from support.outboxes import Writing
from support.postgres import shared_server
from tocsin.clock import SystemClock
from tocsin.delivery.listening import Hinting, Listener
from tocsin.store.postgres import PostgresStore
from tocsin.store.sqlite import SqliteStore


@pytest.mark.timeout(60)
def test_what_another_process_plans_in_a_database_is_heard_of(tmp_path: Path) -> None:
    url = shared_server().url(tmp_path)
    ours, theirs, heard = PostgresStore(lambda: url), PostgresStore(lambda: url), threading.Event()
    theirs.any_open()
    listener = Listener(ours, SystemClock(), heard.set)
    listener.start()
    try:
        for n in range(20):  # what is planned before the other side listens is not told of
            Writing().add(theirs, f"e{n}", "ops", thread="")
            if heard.wait(1.0):
                break
        assert heard.is_set()
    finally:
        listener.stop()
        ours.close()
        theirs.close()


def test_a_file_gives_no_hints_and_nobody_waits_for_any(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tocsin.db")
    assert not isinstance(store, Hinting)
    listener = Listener(store, SystemClock(), lambda: None)
    listener.start()
    listener.stop()
