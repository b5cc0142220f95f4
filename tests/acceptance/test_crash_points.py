"""A process that is killed at any step loses nothing, doubles nothing without cause, and leaves nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from support.history import History, Journal, Sink
from support.nursery import Nursery, Spec
from support.postgres import shared_server
from tocsin.crashpoints import VARIABLE, Point
from tocsin.store.open import open_store
from tocsin.store.protocol import Store

EVENTS = ("a@load", "b@load", "c", "d@load")
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("nursery") / "log") as nursery:
        yield nursery


@dataclass
class Place:
    """A store, a sink, and the history of what happens there."""

    nursery: Nursery
    spec: Spec
    refusing: dict[str, str]
    sink: Sink
    store: Store
    history: History = field(init=False)

    def __post_init__(self) -> None:
        self.history = History(self.sink, Journal(Path(self.spec.journal)), self.spec.channels)

    def dies(self, point: Point | str, role: str, **more: Any) -> None:
        """Run a process that is killed at a point."""
        assert self.nursery.run(replace(self.spec, role=role, crash=str(point), **more)) == KILLED
        self.history.died(self.store)

    def does(self, role: str, **more: Any) -> None:
        assert self.nursery.run(replace(self.spec, role=role, **more)) == 0, self.nursery.log.read_text()

    def ends_well(self) -> None:
        """A fresh hub delivers what is left, and all promises have been kept."""
        self.does("hub")
        self.history.check(self.store)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path, nursery: Nursery) -> Iterator[Place]:
    (tmp_path / "file").write_text("in the way of a folder")
    if request.param == "sqlite":
        where = {"path": str(tmp_path / "tocsin.db")}
        refusing = {"path": str(tmp_path / "file" / "tocsin.db")}
    else:
        where = {"url": shared_server().url(tmp_path)}
        refusing = {"url": "postgresql://127.0.0.1:1/none"}
    store = open_store(Path(where["path"]) if "path" in where else None, where.get("url"))
    with Sink() as sink:
        spec = Spec(
            "", str(tmp_path / "journal"), str(tmp_path / "spill.jsonl"), sink.port, channels=("ops", "log"), **where
        )
        refused = {"path": None, "url": None} | refusing
        yield Place(nursery, spec, refused, sink, store)  # type: ignore[arg-type]
    store.close()


def publishing(place: Place, point: Point) -> None:
    place.dies(f"{point}:2", "publisher", publish=EVENTS)
    assert place.history.journal.said("returned") == ["a@load"]
    assert place.history.journal.said("begun") == ["a@load", "b@load"]


def spilling(place: Place, point: Point) -> None:
    place.dies(f"{point}:2", "publisher", publish=EVENTS, **place.refusing)
    assert place.history.journal.said("returned") == ["a@load"]


def replaying(place: Place, point: Point) -> None:
    place.does("publisher", publish=EVENTS, **place.refusing)
    assert place.store.deliveries() == []
    place.dies(point, "hub")


def delivering(place: Place, point: Point) -> None:
    place.does("publisher", publish=EVENTS)
    place.dies(point, "hub")


def ticking(place: Place, point: Point) -> None:
    place.does("publisher", publish=("a", "b", "c"), grouped=True)
    place.spec = replace(place.spec, grouped=True)
    place.dies(point, "hub")


def supervising(place: Place, point: Point) -> None:
    place.dies(point, "supervisor", publish=["r1"])
    assert_announced_once(place)


def burying(place: Place, point: Point) -> None:
    assert place.nursery.run(replace(place.spec, role="run that dies", publish=["r1"])) == KILLED
    place.dies(point, "hub")
    assert_announced_once(place)


def assert_announced_once(place: Place) -> None:
    place.does("hub")
    place.does("hub")
    crashes = [each for each in place.store.deliveries(limit=None) if each.event.state == "Crashed"]
    assert sorted((each.channel, each.event.run_id) for each in crashes) == [("log", "r1"), ("ops", "r1")]
    for each in crashes:
        place.history.journal.write("begun", each.event.id)


WAYS: dict[str, Callable[[Place, Point], None]] = {
    "publish": publishing,
    "spill": spilling,
    "replay": replaying,
    "worker": delivering,
    "send": delivering,
    "record": delivering,
    "tick": ticking,
    "supervisor": supervising,
    "bury": burying,
}


@pytest.mark.parametrize("point", Point)
def test_whoever_is_killed_at_a_point_leaves_all_promises_kept(place: Place, point: Point) -> None:
    WAYS[point.partition(".")[0]](place, point)
    place.ends_well()


@pytest.mark.parametrize("point", [Point.SEND_DONE, Point.RECORD_INSIDE])
def test_what_was_sent_and_not_written_down_is_sent_once_more_with_the_same_key(place: Place, point: Point) -> None:
    place.does("publisher", publish=["a"])
    place.dies(point, "hub")
    sent = [arrival.key for arrival in place.sink.arrivals]
    assert sent
    place.ends_well()
    keys = [arrival.key for arrival in place.sink.arrivals]
    assert len(set(keys)) == 2
    assert all(keys.count(key) == 2 for key in sent if key not in place.history.deaths[0].settled)


@pytest.mark.parametrize("point", [Point.CLAIMED, Point.RECORD_DONE])
def test_what_was_not_in_flight_is_sent_once(place: Place, point: Point) -> None:
    place.does("publisher", publish=["a"], channels=["ops"])
    place.spec = replace(place.spec, channels=["ops"])
    place.history.channels = ["ops"]
    place.dies(point, "hub")
    place.ends_well()
    assert len(place.sink.arrivals) == 1


@pytest.mark.parametrize(("point", "stored"), [(Point.PUBLISH_INSIDE, 0), (Point.PUBLISH_COMMITTED, 1)])
def test_an_event_is_stored_with_all_its_deliveries_or_not_at_all(place: Place, point: Point, stored: int) -> None:
    place.dies(point, "publisher", publish=["a"])
    assert sorted(each.channel for each in place.store.deliveries()) == ["log", "ops"][: 2 * stored]
    place.ends_well()


def test_threads_that_share_a_commit_are_killed_without_loss(place: Place) -> None:
    names = [f"e{n}@t{n % 5}" for n in range(60)]
    for count in (7, 21):
        place.dies(f"{Point.PUBLISH_COMMITTED}:{count}", "publisher", publish=names, threads=8)
    place.ends_well()


def test_the_variable_kills_a_process_at_the_counted_passing(tmp_path: Path) -> None:
    program = (
        "from tocsin.crashpoints import Point, reached\n"
        "for n in range(5):\n    print(n, flush=True)\n    reached(Point.SEND_DONE)\n    reached(Point.SEND_BEGUN)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {VARIABLE: "send.done:3"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (KILLED, "0\n1\n2\n")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("send.don", "names no point 'send.don'; did you mean 'send.done'?"),
        ("send.done:0", "has the count '0'; write 'send.done', or 'send.done:2'"),
        ("send.done:x", "has the count 'x'"),
        ("send.done:", "has the count ''"),
    ],
)
def test_a_point_that_there_is_not_is_refused(wanted: str, told: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import tocsin.crashpoints"],
        env=os.environ | {VARIABLE: wanted}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert told in ended.stderr
