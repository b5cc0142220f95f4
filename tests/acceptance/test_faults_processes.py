"""Several processes at once, stopped ones and ones that are asked to end: all is delivered, and once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from support.history import History, Journal, Sink
from support.nursery import Nursery, Site, Spec
from support.postgres import shared_server
from tocsin.store.open import open_store
from tocsin.store.protocol import Store

PLAIN, LONG = 1_500, 20_000
BURST = LONG if os.environ.get("TOCSIN_LONG") else PLAIN
BOUND = 96 * 1024  # kB that a hub may take beyond one that is idle
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("nursery") / "log") as nursery:
        yield nursery


class Place:
    def __init__(self, folder: Path, sink: Sink, store: Store, **where: Any) -> None:
        self.sink, self.store = sink, store
        self.spec = Spec("publisher", str(folder / "journal"), str(folder / "spill"), sink.port, **where)
        self.history = History(sink, Journal(Path(self.spec.journal)), self.spec.channels)

    def ends_well(self, nursery: Nursery, count: int) -> None:
        assert nursery.run(replace(self.spec, role="hub")) == 0, nursery.log.read_text()
        self.history.check(self.store)
        assert len(self.history.journal.said("returned")) == count


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    path = str(tmp_path / "tocsin.db") if request.param == "sqlite" else None
    url = shared_server().url(tmp_path) if request.param == "postgres" else None
    store = open_store(None if path is None else Path(path), url)
    with Sink() as sink:
        yield Place(tmp_path, sink, store, path=path, url=url)
    store.close()


def publish_here(spec: dict[str, Any]) -> None:
    """Publish, in a process that somebody else has made."""
    site = Site(Spec(**spec))
    assert site.hub.outbox is not None
    site.hub.outbox = replace(site.hub.outbox, wake=lambda: None)
    site.publish_all()
    site.store.close()


def test_forked_processes_and_threads_publish_at_once(place: Place, nursery: Nursery) -> None:
    pids = [
        nursery.start(replace(place.spec, publish=[f"p{p}-{n}@t{n % 3}" for n in range(20)], threads=4))
        for p in range(4)
    ]
    assert [nursery.wait(pid) for pid in pids] == [0] * 4, nursery.log.read_text()
    place.ends_well(nursery, 80)


def test_spawned_processes_publish_at_once(place: Place, nursery: Nursery) -> None:
    context = multiprocessing.get_context("spawn")
    specs = [asdict(replace(place.spec, publish=[f"s{p}-{n}" for n in range(10)])) for p in range(2)]
    children = [context.Process(target=publish_here, args=(spec,)) for spec in specs]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    place.ends_well(nursery, 20)


def test_workers_of_a_dask_cluster_publish_at_once(place: Place, nursery: Nursery) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        specs = [asdict(replace(place.spec, publish=[f"d{p}-{n}" for n in range(5)])) for p in range(6)]
        client.gather(client.map(publish_here, specs, pure=False))
    place.ends_well(nursery, 30)


def test_hubs_that_deliver_at_once_send_each_message_once(place: Place, nursery: Nursery) -> None:
    names = [f"e{n}@t{n % 7}" for n in range(60)]
    assert nursery.run(replace(place.spec, publish=names, threads=4)) == 0
    hubs = [nursery.start(replace(place.spec, role="hub")) for _ in range(3)]
    assert [nursery.wait(pid) for pid in hubs] == [0] * 3, nursery.log.read_text()
    place.ends_well(nursery, 60)
    keys = [arrival.key for arrival in place.sink.arrivals]
    assert len(keys) == len(set(keys))


def test_a_hub_that_was_stopped_past_its_lease_is_refused_when_it_comes_back(place: Place, nursery: Nursery) -> None:
    place.spec = replace(place.spec, lease=1.0)
    assert nursery.run(replace(place.spec, publish=["a"])) == 0
    place.sink.gate.clear()
    stopped = nursery.start(replace(place.spec, role="hub"))
    place.sink.wait(1)
    os.kill(stopped, signal.SIGSTOP)
    place.sink.gate.set()
    other = nursery.start(replace(place.spec, role="hub", forever=True))
    place.sink.wait(2)  # once the lease is over
    os.kill(stopped, signal.SIGCONT)
    assert nursery.wait(stopped) == 0, nursery.log.read_text()
    nursery.kill(other)
    place.history.died(place.store)
    [delivery] = place.store.deliveries()
    assert (delivery.status, delivery.attempts) == ("delivered", 2)
    assert {each.outcome for each in place.store.attempts(delivery.number)} == {"delivered", "lease lost"}
    assert len({arrival.key for arrival in place.sink.arrivals}) == 1
    assert len(place.sink.arrivals) == 2


def test_a_burst_is_delivered_whole_by_a_hub_whose_memory_is_bounded(place: Place, nursery: Nursery) -> None:
    names = [f"e{n}" for n in range(BURST)]
    assert nursery.run(replace(place.spec, publish=names, threads=16)) == 0
    idle = nursery.start(replace(place.spec, role="hub", forever=True, path=f"{place.spec.journal}.none", url=None))
    busy = nursery.start(replace(place.spec, role="hub", forever=True))
    place.sink.wait(BURST, 100)
    grown = _peak(busy) - _peak(idle)
    nursery.kill(idle)
    nursery.kill(busy)
    place.history.died(place.store)
    assert grown < BOUND
    place.ends_well(nursery, BURST)


def _peak(pid: int) -> int:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


CONFIG = """
[channels.hook]
type = "webhook"
url = "http://127.0.0.1:{port}/"
allow_http = true
allow_private = ["127.0.0.1/32"]
allow_ports = [{port}]

[[routes]]
when = "is_failed"
send = ["hook"]
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_hub_that_is_told_to_end_waits_for_what_is_under_way_and_ends_at_once_when_told_again(
    number: signal.Signals, tmp_path: Path, environ: dict[str, str], tocsin: Any
) -> None:
    with Sink() as sink:
        (tmp_path / "tocsin.toml").write_text(CONFIG.format(port=sink.port))
        (tmp_path / "flow.py").write_text(
            "from tocsin import Flow, task\n\n@task\ndef load():\n    raise ValueError('bad row')\n\n"
            "with Flow('etl') as flow:\n    load()\n"
        )
        sink.gate.clear()
        ran = tocsin("run", "flow.py", TOCSIN__DELIVERY__DRAIN="100ms")
        assert ran.returncode == 1, ran.stderr
        hub = subprocess.Popen(
            [sys.executable, "-m", "tocsin.cli", "hub"], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True
        )
        assert hub.stdout is not None
        before = len(sink.arrivals)
        sink.wait(before + 1)
        hub.send_signal(number)
        assert any("stopping" in line for line in hub.stdout)
        assert hub.poll() is None
        hub.send_signal(number)
        assert hub.wait(60) == -number
        hub.stdout.close()
        sink.gate.set()
        sink.settle()
        ended = tocsin("hub", "--once")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert len({arrival.key for arrival in sink.arrivals}) == 1


def test_a_thread_that_never_ends_does_not_keep_a_process_from_ending(place: Place) -> None:
    site = Site(place.spec)
    site.worker.start()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("tocsin"))
    site.close()
