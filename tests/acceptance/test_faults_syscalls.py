"""A process that is killed in any sync or write, or whose syncs and writes fail, keeps what it promised."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from support.history import History, Journal, Sink
from support.nursery import Nursery, Spec
from support.outboxes import Writing
from support.syscalls import INJECTED, Fault, Run, counted, needs_strace, struck, traced
from tocsin.hub.spill import Spill
from tocsin.store.reading import BEGINNING
from tocsin.store.sqlite import SqliteStore

LONG = bool(os.environ.get("TOCSIN_LONG"))
KILLED = -signal.SIGKILL
pytestmark = pytest.mark.timeout(900 if LONG else 300)
MOST = 400
"""Calls after which a process has to have got through."""


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    needs_strace()
    with Nursery(tmp_path_factory.mktemp("nursery") / "log") as nursery:
        yield nursery


@dataclass
class Place:
    """A store, a sink, and the history of what happens there."""

    nursery: Nursery
    spec: Spec
    sink: Sink
    history: History = field(init=False)
    published: int = 0

    def __post_init__(self) -> None:
        self.store = SqliteStore(Path(self.spec.path or ""))
        self.history = History(self.sink, Journal(Path(self.spec.journal)), self.spec.channels)

    def names(self, count: int) -> list[str]:
        """Events that are new; every other one is of the same task as others."""
        self.published += count
        return [f"e{n}@load" if n % 2 else f"e{n}" for n in range(self.published - count, self.published)]

    def does(self, role: str, **more: Any) -> None:
        assert self.nursery.run(replace(self.spec, role=role, **more)) == 0, self.nursery.log.read_text()

    def suffers(self, fault: Fault, role: str, **more: Any) -> Run:
        """Run a process that a fault strikes. One that refuses to go on ends with 1, as one that is killed."""
        run = struck(self.nursery, replace(self.spec, role=role, **more), fault)
        assert run.code in (0, 1, KILLED), self.nursery.log.read_text()
        self.history.died(self.store)
        self.store.close()
        return run

    def stored(self) -> set[str]:
        events = {event.id for event in self.store.events(since=BEGINNING)}
        self.store.close()
        return events

    def spilled(self) -> set[str]:
        path = Path(self.spec.spill)
        lines = path.read_text().splitlines() if path.exists() else []
        found = {name for name in self.history.journal.said("begun") for line in lines if f'"id": "{name}"' in line}
        assert len(found) == Spill(path).waiting().events
        return found

    def ends_well(self) -> None:
        """A fresh hub delivers what is left, and all promises have been kept."""
        self.does("hub")
        self.history.check(self.store)
        with self.store._connection.read() as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert self.spilled() == set()


@pytest.fixture
def place(tmp_path: Path, nursery: Nursery) -> Iterator[Place]:
    (tmp_path / "file").write_text("in the way of a folder")
    with Sink() as sink:
        spec = Spec(
            "", str(tmp_path / "journal"), str(tmp_path / "spill" / "events.jsonl"), sink.port,
            str(tmp_path / "tocsin.db"), channels=("ops", "log"),
        )  # fmt: skip
        place = Place(nursery, spec, sink)
        yield place
        place.store.close()


def calls(step: int) -> Iterator[int]:
    """The first call, and further ones: each, where there is time."""
    return itertools.chain([1], range(2, MOST, 1 if LONG else step))


@pytest.mark.parametrize(("call", "step"), [("fdatasync", 1), ("pwrite64", 3), ("ftruncate", 1)])
def test_a_publisher_that_is_killed_in_any_sync_or_write_has_lost_nothing_of_what_returned(
    place: Place, call: str, step: int
) -> None:
    deaths = 0
    for n in calls(step):
        run = place.suffers(Fault(call, "signal=KILL", n), "publisher", publish=place.names(3))
        if run.code == 0:
            break
        deaths += 1
        missing = set(place.history.journal.said("returned")) - place.stored()
        assert not missing, f"returned, and not in the store: {missing}"
    assert not run.struck
    assert deaths >= (1 if call == "ftruncate" else 3)
    place.ends_well()


def test_a_publisher_that_is_killed_in_any_sync_of_its_spill_file_has_lost_nothing_of_what_returned(
    place: Place, tmp_path: Path
) -> None:
    refusing = str(tmp_path / "file" / "tocsin.db")
    for n in calls(1):
        run = place.suffers(Fault("fsync", "signal=KILL", n), "publisher", publish=place.names(2), path=refusing)
        missing = set(place.history.journal.said("returned")) - place.spilled()
        assert not missing, f"returned, and not in the spill file: {missing}"
        if run.code == 0:
            break
    assert n >= 3  # the file, twice, and its folder when it was new
    place.ends_well()


@pytest.mark.parametrize(("call", "step"), [("fdatasync", 1), ("pwrite64", 20)])
def test_a_hub_that_is_killed_in_any_sync_or_write_delivers_all_and_repeats_only_what_was_in_flight(
    place: Place, call: str, step: int
) -> None:
    deaths = 0
    for n in calls(step):
        place.does("publisher", publish=place.names(2))
        run = place.suffers(Fault(call, "signal=KILL", n), "hub")
        if run.code == 0:
            break
        deaths += 1
    assert not run.struck
    assert deaths >= 2
    place.ends_well()


@pytest.mark.parametrize(
    ("call", "error", "on", "step"),
    [
        ("fdatasync", "EIO", "", 1),
        ("fdatasync", "EIO", "+", 3),
        ("pwrite64", "ENOSPC", "+", 8),
        ("pwrite64", "EIO", "", 8),
    ],
)
def test_what_could_not_be_synced_or_written_is_not_reported_stored_but_spilled_and_delivered_later(
    place: Place, call: str, error: str, on: str, step: int
) -> None:
    place.does("publisher", publish=place.names(1))
    spilled_any, opened = False, []
    for n in calls(step):
        before, names = place.spilled(), place.names(3)
        run = place.suffers(Fault(call, f"error={error}", f"{n}{on}"), "publisher", publish=names)
        assert run.code == 0, "a disk that fails ends no run"
        spilled = place.spilled() - before
        assert set(names) <= place.stored() | spilled, "it returned, and is nowhere"
        if not on:  # what comes after it is stored
            assert len(spilled) <= 1
        spilled_any |= bool(spilled)
        if spilled and names[-1] not in spilled:
            opened.append(run.opened)
        if not run.struck:
            break
    assert not run.struck
    assert spilled_any
    assert all(times > run.opened for times in opened), "a handle that failed was trusted again"
    assert opened or on
    assert place.history.journal.said("lost") == []
    place.ends_well()


@pytest.mark.parametrize(("call", "step"), [("fdatasync", 1), ("pwrite64", 15)])
def test_a_hub_whose_disk_fails_once_delivers_all_and_doubles_nothing(place: Place, call: str, step: int) -> None:
    went_on = 0
    for n in calls(step):
        place.does("publisher", publish=place.names(2))
        run = place.suffers(Fault(call, "error=EIO", n), "hub")
        if run.code == 0:  # nobody died: so nothing would explain a second arrival
            place.history.deaths.pop()
            went_on += run.struck
        if not run.struck:
            break
    assert run.code == 0
    assert not run.struck
    assert went_on >= 1
    place.ends_well()


FLOW = """
from tocsin import Flow, task

@task
def breaks():
    raise ValueError("it breaks")

with Flow("etl") as flow:
    breaks()
state = flow.run()
print("the run ends as", type(state).__name__)
"""
CONFIG = """
[store]
path = "tocsin.db"
[channels.ops]
type = "inbox"
[[routes]]
name = "problems"
when = "is_failed"
send = ["ops"]
"""


def test_a_flow_whose_store_cannot_be_read_at_some_moment_ends_as_its_tasks_do(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    needs_strace()
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "tocsin.toml").write_text(CONFIG)
    paths = [word for end in ("", "-wal", "-shm") for word in ("-P", str(tmp_path / f"tocsin.db{end}"))]
    for n in calls(30):
        fault = Fault("pread64", "error=EIO", n)
        tracing = ["-o", str(tmp_path / "log"), "-e", f"trace={fault.call}", "-e", f"inject={fault}"]
        command = ["strace", "-f", *paths, *tracing, sys.executable, "flow.py"]
        ended = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "the run ends as Failed" in ended.stdout
        if INJECTED not in (tmp_path / "log").read_text():
            break
    assert n > 1, "no call failed"
    assert not list(tmp_path.glob("*.corrupt-*")), "a disk that fails once has damaged nothing"


def test_a_publish_that_is_alone_takes_one_sync(place: Place) -> None:
    place.does("publisher", publish=place.names(1))
    syncs = []
    for count in (1, 11):
        spec = replace(place.spec, role="publisher", publish=place.names(count))
        syncs.append(counted(place.nursery, spec, "fdatasync", "fsync"))
    few, many = syncs
    assert len(many) - len(few) == 10
    assert sum("tocsin.db-wal" in line for line in many) >= 11
    place.ends_well()


def test_a_hundred_deliveries_that_are_claimed_and_settled_together_take_two_syncs(tmp_path: Path) -> None:
    needs_strace()
    store, write, log = SqliteStore(tmp_path / "tocsin.db"), Writing(), tmp_path / "log"
    for n in range(100):
        write.add(store, f"e{n}", "ops", thread="")
    with traced(os.getpid(), log, "-e", "trace=fdatasync,fsync"):
        held = write.lease(store, limit=100)
        settled = store.record([write.delivered(each) for each in held])
    assert settled == [True] * 100
    assert log.read_text().count("sync(") == 2
    store.close()
