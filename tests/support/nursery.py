"""Processes that publish and deliver, to be killed: made quickly, by forking one that has loaded all it takes.

As a script this is the one that is forked; tests use `Nursery`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tocsin.clock import SystemClock
from tocsin.crashpoints import crash_at
from tocsin.delivery.backoff import Backoff
from tocsin.delivery.sender import Destination, Sender
from tocsin.delivery.timekeeper import Timekeeper
from tocsin.delivery.worker import Worker, WorkerSettings
from tocsin.hub.engine import Engine
from tocsin.hub.heart import Heart
from tocsin.hub.hub import Hub
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.rounds import Rounds
from tocsin.hub.spill import Spill
from tocsin.identity import process_of
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.routing.router import Route, Router
from tocsin.settings.alerts import Grouping, RouteOptions
from tocsin.store.open import open_store
from tocsin.store.records import StoreError
from tocsin_hooks.events import Event
from tocsin_hooks.filters import when
from tocsin_hooks.messages import Message, Reason, Receipt, SendError
from tocsin_hooks.states import Failed, Running, State, family
from tocsin_hooks.testing import sample_event

sys.path.append(str(Path(__file__).parents[1]))
from support.history import Journal

PROBLEMS = when("is_failed or is_retrying")


@dataclass(frozen=True)
class Spec:
    """One process: what it does, and with what."""

    role: str
    journal: str
    spill: str
    port: int = 0
    path: str | None = None
    url: str | None = None
    channels: Sequence[str] = ("ops",)
    publish: Sequence[str] = ()
    """The events to publish, each `id`, or `id@task`."""
    threads: int = 1
    """How many threads publish."""
    grouped: bool = False
    crash: str = ""
    nobody: bool = False
    """Whether it gives up the rights of root, if it has them."""
    lease: float = 60.0
    pace: float = 0.0
    """Seconds between two events."""
    forever: bool = False


@dataclass
class Post:
    """A channel that posts to the sink."""

    port: int
    name: str

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        said = {"key": message.id, "event": message.event.id, "channel": self.name}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", json.dumps(said).encode())
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return Receipt(f"HTTP {answer.status}")
        except OSError as error:
            raise SendError(Reason.NETWORK, str(error), unknown=True) from error


class Site:
    """A hub and a worker on one store, as a run or `tocsin hub` has them."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.clock = SystemClock()
        self.journal = Journal(Path(spec.journal))
        self.store = open_store(None if spec.path is None else Path(spec.path), spec.url)
        hooks = Hooks(Catalog())
        backoff = Backoff(first=timedelta(milliseconds=20), cap=timedelta(seconds=1), attempts=50)
        deadline = timedelta(seconds=spec.lease / 2)
        destinations = {
            name: Destination(partial(Post, spec.port, name), backoff, deadline=deadline) for name in spec.channels
        }
        sender = Sender(destinations, hooks, self.clock)
        settings = WorkerSettings(4, timedelta(seconds=spec.lease), timedelta(milliseconds=100))
        self.worker = Worker(self.store, sender, self.clock, settings)
        options = RouteOptions(group=Grouping(("*",), timedelta(milliseconds=300))) if spec.grouped else RouteOptions()
        route = Route("pages", PROBLEMS, tuple(spec.channels), options=options)
        engine = Engine(Policy(Router((route,), opens=PROBLEMS)))
        self.hub = Hub(hooks, self.clock, Outbox(self.store, engine, Spill(Path(spec.spill)), self.worker.wake))
        self.hub.live_by(Heart(self.store, self.clock))
        self.rounds = Rounds(self.hub)
        self.timekeeper = Timekeeper(self.hub, self.clock, look_every=timedelta(milliseconds=100))
        self.hub.on_timer = self.timekeeper.wake

    def publish_all(self) -> None:
        threads = [
            threading.Thread(target=self._publish, args=(self.spec.publish[n :: self.spec.threads],))
            for n in range(self.spec.threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _publish(self, names: Sequence[str]) -> None:
        for name in names:
            self.publish(name)
            self.clock.sleep(self.spec.pace)

    def publish(self, name: str) -> None:
        self.journal.write("begun", name)
        lost = self.hub.counters.lost
        self.hub.publish(failure(name), Failed())
        self.journal.write("lost" if self.hub.counters.lost > lost else "returned", name)

    def serve(self) -> None:
        """Deliver what there is, as a hub does."""
        self.hub.replay_spill()
        self.rounds.look()
        self.hub.tick()
        self.timekeeper.wake()
        self.worker.wake()

    def settle(self) -> None:
        """Go on until nothing is left to do that is due soon."""
        for _ in range(200):
            self.hub.replay_spill()
            self.rounds.look(now_and_then=False)
            self.hub.tick()
            if self._is_drained() and not self._soon():
                return
            self.clock.sleep(0.02)
        raise AssertionError("it does not settle")

    def _is_drained(self) -> bool:
        try:
            return self.worker.drain(timedelta(seconds=20)) == 0
        except StoreError:  # the next round may do better
            return False

    def _soon(self) -> bool:
        due = self.hub.next_due()
        return due is not None and due <= self.clock.now() + timedelta(seconds=2)

    def close(self) -> None:
        self.timekeeper.stop()
        self.worker.stop()
        self.store.close()


def failure(name: str) -> Event:
    """A failed task: of the run of the same name, so that each event is one of its own."""
    task = name.partition("@")[2] or name
    return sample_event(id=name, run_id=f"run-{name}", time=SystemClock().now(), task=task, sequence=None)


def begin_run(hub: Hub, run_id: str) -> None:
    kind: type[State] = Running
    hub.publish(
        sample_event(
            id=f"{run_id}-began", run_id=run_id, task="", task_run_id="", state="Running",
            state_family=family(kind), sequence=None, exception=None,
        ),
        kind(),
    )  # fmt: skip


# ---------------------------------------------------------------- roles


def flow(site: Site) -> None:
    """Publish, delivering meanwhile, and deliver the rest."""
    site.publish_all()
    site.settle()
    site.close()


def publisher(site: Site) -> None:
    """Publish, and leave the rest to others."""
    assert site.hub.outbox is not None
    site.hub.outbox = replace(site.hub.outbox, wake=lambda: None)
    site.hub.on_timer = lambda: None
    site.publish_all()


def hub(site: Site) -> None:
    """Deliver until killed, or until all is done."""
    site.serve()
    if site.spec.forever:
        threading.Event().wait()
    site.settle()
    site.close()


def run_that_dies(site: Site) -> None:
    """A run that begins, and whose process is killed."""
    begin_run(site.hub, site.spec.publish[0])
    os.kill(os.getpid(), signal.SIGKILL)


def supervisor(site: Site) -> None:
    """What `tocsin run` does once its child has died."""
    from tocsin.supervision.announcing import announce
    from tocsin.supervision.child import Ended
    from tocsin.supervision.endings import Ending
    from tocsin.supervision.link import Told

    [run_id] = site.spec.publish
    told, ready = os.pipe()
    if (pid := os.fork()) == 0:
        child = Site(replace(site.spec, crash=""))
        begin_run(child.hub, run_id)
        os.write(ready, b"1")
        threading.Event().wait()
    os.read(told, 1)
    process = process_of(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assembly: Any = SimpleNamespace(hub=site.hub, store=site.store, clock=site.clock)
    announce(assembly, Ended(process, Ending(-9), Told(flow="etl", run_id=run_id, known=True)), "killed by SIGKILL")
    site.settle()
    site.close()


ROLES = {"flow": flow, "publisher": publisher, "hub": hub, "run that dies": run_that_dies, "supervisor": supervisor}


# ---------------------------------------------------------------- making processes


@dataclass
class Nursery:
    """Starts processes; all that are left die with it. `log` has what they say."""

    log: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    pids: list[int] = field(default_factory=list)

    def __enter__(self) -> Nursery:
        self._out = self.log.open("ab")
        self._mother = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._out, text=True, env=os.environ | self.environ,
        )  # fmt: skip
        return self

    def __exit__(self, *exc: object) -> None:
        for pid in list(self.pids):
            self.kill(pid)
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        self._mother.stdin.close()
        self._mother.wait(60)
        self._mother.stdout.close()
        self._out.close()

    def start(self, spec: Spec) -> int:
        """The pid of a new process."""
        pid = self._ask({"start": asdict(spec)})
        self.pids.append(pid)
        return pid

    def kill(self, pid: int) -> int:
        """Kill a process, if it is still there; how it ended."""
        os.kill(pid, signal.SIGKILL)  # nobody else has its id before it is waited for
        return self.wait(pid)

    def wait(self, pid: int) -> int:
        """Wait for the end of a process; how it ended, as `subprocess` has it."""
        code = self._ask({"wait": pid})
        self.pids.remove(pid)
        return code

    def run(self, spec: Spec) -> int:
        return self.wait(self.start(spec))

    def _ask(self, what: dict[str, Any]) -> int:
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        self._mother.stdin.write(json.dumps(what) + "\n")
        self._mother.stdin.flush()
        answer = self._mother.stdout.readline()
        assert answer, self.log.read_text()
        return int(answer)


def _mother() -> None:
    for line in sys.stdin:
        wanted = json.loads(line)
        if "wait" in wanted:
            answer = os.waitstatus_to_exitcode(os.waitpid(wanted["wait"], 0)[1])
        elif (answer := os.fork()) == 0:
            _child(Spec(**wanted["start"]))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _child(spec: Spec) -> None:
    code = 1
    try:
        crash_at(spec.crash)
        site = Site(spec)
        if spec.nobody and os.getuid() == 0:
            failure("warm")  # loads what may be out of reach then
            os.setuid(65534)
        ROLES[spec.role](site)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    with contextlib.suppress(ImportError):
        importlib.import_module("tocsin.store.postgres")
    _mother()
