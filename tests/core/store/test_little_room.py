"""On a small or nearly full disk the write-ahead log leaves the database the room that it needs to take it up."""

from __future__ import annotations

from pathlib import Path

from tocsin.store.connection import Connection
from tocsin.store.migrating import pages_of_log, room_at

_PAGE = 4096


def test_the_log_takes_no_more_than_an_eighth_of_the_room_there_is_and_never_none() -> None:
    assert pages_of_log(700_000) * _PAGE <= 700_000 // 6
    assert pages_of_log(40_000_000) * _PAGE <= 40_000_000 // 8
    assert pages_of_log(0) > 0
    assert pages_of_log(100_000_000_000) == pages_of_log(None) == 2000


def test_a_store_asks_for_its_log_to_be_taken_up_as_the_room_on_its_disk_demands(tmp_path: Path) -> None:
    store = Connection(tmp_path / "t.db")
    with store.read() as db:
        assert db.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == pages_of_log(room_at(tmp_path / "t.db"))
    store.close()
