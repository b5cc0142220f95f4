"""A log that ends in the middle, as after a loss of power, holds what was committed before its end, and all of that."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.outboxes import Writing
from tocsin.store.reading import BEGINNING
from tocsin.store.records import Status
from tocsin.store.sqlite import SqliteStore

CHANNELS = ("ops", "mail")
EVENTS = 7
HEADER, FRAME_HEADER = 32, 24
"""Bytes before the frames of a log, and before the page in each of them."""


@dataclass(frozen=True)
class Written:
    """A database and its log as they were, and where in the log each commit ends."""

    base: bytes
    log: bytes
    page: int
    ends: dict[str, int]

    @property
    def boundaries(self) -> range:
        """Where one frame of the log ends, and the next begins."""
        return range(HEADER, len(self.log) + 1, FRAME_HEADER + self.page)

    def committed(self, size: int) -> list[str]:
        """What is to be found in a log of which `size` bytes are left."""
        return [name for name, end in self.ends.items() if end <= size]


@dataclass
class Copies:
    """Copies of a database in one folder after the other."""

    folder: Path
    write: Writing
    made: int = 0

    def path(self, base: bytes, log: bytes) -> Path:
        self.made += 1
        path = self.folder / str(self.made) / "tocsin.db"
        path.parent.mkdir()
        path.write_bytes(base)
        path.with_name("tocsin.db-wal").write_bytes(log)
        return path

    def found(self, base: bytes, log: bytes) -> list[str]:
        """The events that tocsin finds in a copy, once it is sure that the copy is sound and goes on working."""
        path = self.path(base, log)
        store = SqliteStore(path)
        try:
            names = [event.id for event in store.events(since=BEGINNING)]
            planned = sorted((each.event.id, each.channel) for each in store.deliveries(limit=None))
            assert planned == sorted((name, channel) for name in names for channel in CHANNELS), "a part of it is there"
            self.write.add(store, "later", *CHANNELS, thread="")
            assert len(store.deliveries(limit=None)) == len(planned) + 2
            with store._connection.read() as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert list(path.parent.glob("*.corrupt-*")) == [], "set aside, though it is sound"
        finally:
            store.close()
            shutil.rmtree(path.parent)
        return names


@pytest.fixture
def copies(tmp_path: Path, write: Writing) -> Copies:
    (tmp_path / "copies").mkdir()
    return Copies(tmp_path / "copies", write)


@pytest.fixture(params=["new", "in use"])
def written(request: pytest.FixtureRequest, tmp_path: Path, write: Writing) -> Iterator[Written]:
    """What was written since the store was made, or since its log was last taken into the database."""
    path = tmp_path / "tocsin.db"
    wal, store, ends = path.with_name("tocsin.db-wal"), SqliteStore(path), {}
    if request.param == "in use":
        write.add(store, "before", *CHANNELS)
        ends["before"] = 0
        store.close()
        assert not wal.exists()
    for n in range(EVENTS):
        name = f"e{n}"
        write.add(store, name, *CHANNELS, thread=f"i{n % 3}")
        ends[name] = wal.stat().st_size
    with store._connection.read() as db:
        [page] = db.execute("PRAGMA page_size").fetchone()
    assert list(ends.values()) == sorted(set(ends.values())), "each commit makes the log longer"
    yield Written(path.read_bytes(), wal.read_bytes(), page, ends)
    store.close()


def test_a_log_that_is_cut_at_any_frame_holds_what_was_committed_up_to_there(written: Written, copies: Copies) -> None:
    seen = set()
    for size in [0, *written.boundaries]:
        found = copies.found(written.base, written.log[:size])
        assert found == written.committed(size), size
        seen.add(len(found))
    assert len(seen) == EVENTS + 1, "no cut was between some of the commits"


def test_a_frame_of_which_only_a_part_was_written_counts_as_none(written: Written, copies: Copies) -> None:
    parts = (1, FRAME_HEADER, FRAME_HEADER + written.page // 2, FRAME_HEADER + written.page - 1)
    tails = (b"", b"\0", b"\xa5")  # what a disk may show in place of what it has not written
    for n, size in enumerate(written.boundaries[:-1]):
        cut = size + parts[n % 4]
        torn = written.log[:cut] + tails[n % 3] * (len(written.log) - cut)
        alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(torn[cut:], written.log[cut:], strict=False))
        as_written = cut + len(list(alike))  # a page may end with zeros anyway
        assert copies.found(written.base, torn) == written.committed(as_written), size


def test_a_log_that_was_being_taken_into_the_database_still_tells_all(written: Written, copies: Copies) -> None:
    path = copies.path(written.base, written.log)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    taken, page = path.read_bytes(), written.page
    for pages in range(0, len(taken) // page + 1, 3):
        begun = taken[: pages * page] + written.base[pages * page :]
        assert copies.found(begun, written.log) == list(written.ends)


def test_what_was_claimed_and_settled_before_the_end_of_the_log_stands(tmp_path: Path, write: Writing) -> None:
    path = tmp_path / "tocsin.db"
    store, wal = SqliteStore(path), path.with_name("tocsin.db-wal")
    write.add(store, "e1", "ops")
    stands = {wal.stat().st_size: Status.PENDING}
    [held] = write.lease(store)
    stands[wal.stat().st_size] = Status.LEASED
    assert store.record([write.delivered(held)]) == [True]
    stands[wal.stat().st_size] = Status.DELIVERED
    base, log = path.read_bytes(), wal.read_bytes()
    store.close()
    copies = Copies(tmp_path, write)
    for cut in (size - less for size in stands for less in (0, 1)):
        copy = SqliteStore(copies.path(base, log[:cut]))
        expected = [status for size, status in stands.items() if size <= cut][-1:]
        assert [each.status for each in copy.deliveries()] == expected
        copy.close()
