"""Runs started with plain Python, hubs beside them, and what becomes of runs that die or are stopped, as processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from support.beasts import is_there, until
from support.history import Sink
from support.postgres import shared_server
from tocsin.hub.heartbeats import HEARTBEAT, Beat, beat_in
from tocsin.store.open import open_store
from tocsin.store.protocol import Store
from tocsin.store.records import Cell

LONG = bool(os.environ.get("TOCSIN_LONG"))
"""Whether to try all; the rest is tried in `tests/core/runs/test_heartbeats.py`, without processes."""

CONFIG = """
[delivery]
heartbeat = "500ms"
dead_after = "{dead_after}"

{store}

[channels.ops]
{webhook}
[channels.boss]
{webhook}

[[routes]]
when = "is_failed"
send = ["ops", "boss"]
"""
WEBHOOK = """type = "webhook"
url = "http://127.0.0.1:{port}/"
allow_http = true
allow_private = ["127.0.0.1/32"]
allow_ports = [{port}]
"""

FLOW = """
import os, sys
from datetime import timedelta
from tocsin import Flow, task
from tocsin.assembly import run_flow
from tocsin.clock import SystemClock

class Clock(SystemClock):
    def now(self):
        return super().now() + timedelta(seconds=int(os.environ.get("AHEAD", "0")))

@task
def load():
    print("loading", flush=True)
    if sys.stdin.readline() == "fail\\n":
        raise ValueError("bad row")

with Flow("etl") as flow:
    load()

if __name__ == "__main__":
    run_flow(flow, clock=Clock())
"""
CLUSTER_FLOW = """
import os, time
from tocsin import Flow, task
from tocsin.executors import DaskExecutor, LocalDaskExecutor

@task
def load():
    with open("pids", "a") as file:
        file.write(f"{os.getpid()}\\n")
    while not os.path.exists("gate"):
        time.sleep(0.02)

with Flow("etl") as flow:
    load()

if __name__ == "__main__":
    print("loading", flush=True)
    flow.run(executor=EXECUTOR)
"""
EXECUTORS = {
    "processes": "LocalDaskExecutor('processes', num_workers=1)",
    "cluster": "DaskExecutor(cluster_kwargs=dict(n_workers=1, threads_per_worker=1, dashboard_address=None))",
}

UNSHARE = ["unshare", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child"]
ELSEWHERE = [*UNSHARE, "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]


def _can_be_elsewhere() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*ELSEWHERE, "true"], check=False).returncode == 0


class Run:
    """`python flow.py` under way, perhaps `elsewhere`: as on another host, no other process can look at it."""

    def __init__(self, place: Place, *, elsewhere: bool = False, **environ: str) -> None:
        if elsewhere and not _can_be_elsewhere():
            pytest.skip("a namespace of process ids cannot be made here")
        self.process = subprocess.Popen(
            [*(ELSEWHERE if elsewhere else []), sys.executable, "flow.py"], cwd=place.folder,
            env=place.environ | environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "loading\n", place.said(self.process)
        if elsewhere:
            [self.pid] = map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self, line: str = "") -> str:
        """Let it go on, to its end; what it says on stderr."""
        _, err = self.process.communicate(line, timeout=60)
        return err

    def die(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait(60)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()  # workers may hold the other ends


class Place:
    """A folder with a flow and a config, a store, and a service that its two channels post to."""

    def __init__(self, folder: Path, environ: dict[str, str], sink: Sink, store: Store, url: str | None) -> None:
        self.folder, self.environ, self.sink, self.store = folder, environ, sink, store
        self.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._store = ""
        if url is not None:
            self.environ["ALERTS_DATABASE"], self._store = url, '[store]\nurl = { env = "ALERTS_DATABASE" }'
        (folder / "flow.py").write_text(FLOW)
        self.configure("60s")

    def configure(self, dead_after: str) -> None:
        webhook = WEBHOOK.format(port=self.sink.port)
        text = CONFIG.format(dead_after=dead_after, store=self._store, webhook=webhook)
        (self.folder / "tocsin.toml").write_text(text)

    @contextmanager
    def hub(self) -> Iterator[subprocess.Popen[bytes]]:
        """`tocsin hub` under way."""
        command = [sys.executable, "-m", "tocsin.cli", "hub"]
        with subprocess.Popen(command, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline().startswith(b"tocsin hub: ")
                yield process
            finally:
                process.terminate()
                process.communicate(timeout=60)

    def cell(self) -> tuple[Cell, Beat] | None:
        """The heartbeat of the one run."""
        cells = self.store.transact(lambda tx: tx.cells(HEARTBEAT), keep=False)
        found = [(cell, beat) for cell in cells if (beat := beat_in(cell)) is not None]
        return found[0] if found else None

    def beat(self) -> Beat:
        found = self.cell()
        assert found is not None
        return found[1]

    def arrived(self) -> list[tuple[str, str, str]]:
        """What arrived at the service: state, action and channel of each message, in order of channels."""
        known = {each.id: each for each in self.store.deliveries(limit=None)}
        self.sink.settle()
        found = [known[arrival.key] for arrival in self.sink.arrivals]
        return sorted((each.event.state, str(each.action), each.channel) for each in found)

    @staticmethod
    def said(process: subprocess.Popen[str]) -> str:
        process.kill()
        return process.communicate()[1]


CRASHED = [("Crashed", "open", "boss"), ("Crashed", "open", "ops")]
RECOVERED = [("Success", "recover", "boss"), ("Success", "recover", "ops")]


def stores(one: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", ["sqlite", "postgres"] if LONG else [one], indirect=True)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path, environ: dict[str, str]) -> Iterator[Place]:
    url = shared_server().url(tmp_path) if request.param == "postgres" else None
    store = open_store(tmp_path / "tocsin.db" if url is None else None, url)
    with Sink() as sink:
        yield Place(tmp_path, environ, sink, store, url)
    store.close()


def test_two_hubs_announce_a_run_that_was_killed_once_and_so_do_those_that_come_later(place: Place) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(place.hub())
        run = Run(place)
        assert place.beat().process.pid == run.pid
        run.die()
        place.sink.wait(2)
    with place.hub():
        until(lambda: place.beat().declared_at)
    assert place.arrived() == CRASHED
    [event] = place.store.events(since=place.beat().at - timedelta(hours=1))
    assert event.message.startswith(f"its process is gone without a word (pid {run.pid} on ")


@stores("postgres")
def test_a_run_elsewhere_that_dies_while_no_hub_is_there_is_announced_once_after_a_time_of_grace(
    place: Place,
) -> None:
    place.configure("2s")
    with place.hub() as first:
        run = Run(place, elsewhere=True)
        first.kill()
    run.die()
    seen = place.beat()
    until(lambda: place.beat() == seen)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(place.hub())
        place.sink.wait(2)
    assert place.arrived() == CRASHED
    [event] = place.store.events(since=seen.at - timedelta(hours=1))
    assert event.message.startswith("no heartbeat for ")
    assert event.time - seen.at >= seen.dead_after


@stores("sqlite")
def test_a_run_that_is_stopped_here_is_left_alone_however_late_it_is(place: Place) -> None:
    place.configure("1500ms")
    with place.hub():
        run = Run(place)
        run.signal(signal.SIGSTOP)
        for _ in range(2):
            before = place.cell()
            assert before is not None
            until(lambda before=before: (now := place.cell()) is not None and now[0].due_at != before[0].due_at)
        assert place.cell()[1].declared_at is None
        run.signal(signal.SIGCONT)
        assert run.end("on\n") == ""
    assert place.cell() is None
    assert place.arrived() == []


@stores("postgres")
@pytest.mark.parametrize("line", ["on\n", "fail\n"][: 1 + LONG])
def test_a_run_elsewhere_that_was_stopped_is_dead_once_and_only_its_success_is_told_after_that(
    place: Place, line: str
) -> None:
    place.configure("1500ms")
    with place.hub(), place.hub():
        run = Run(place, elsewhere=True)
        run.signal(signal.SIGSTOP)
        until(lambda: place.beat().declared_at)
        place.sink.wait(2)
        run.signal(signal.SIGCONT)
        said = run.end(line)
        assert said.count("was declared dead at ") == 1, said
        assert "nobody is notified of what it does now, but of its success" in said
        if line == "on\n":
            place.sink.wait(4)
    assert place.arrived() == CRASHED + (RECOVERED if line == "on\n" else [])


@stores("postgres")
@pytest.mark.parametrize("ahead", [-3600, 3600][: 1 + LONG])
def test_the_clock_of_another_host_neither_kills_a_run_nor_keeps_it_alive(place: Place, ahead: int) -> None:
    place.configure("2s")
    with place.hub():
        run = Run(place, elsewhere=True, AHEAD=str(ahead))
        first = place.beat()
        until(lambda: place.beat().at - first.at > 3 * first.dead_after)
        assert place.beat().declared_at is None
        assert place.arrived() == []
        run.die()
        place.sink.wait(2)
    assert place.arrived() == CRASHED


# ---------------------------------------------------------------- on clusters


def pids(place: Place) -> list[int]:
    """The processes in which the task was begun, one after the other."""
    path = place.folder / "pids"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


@stores("sqlite")
@pytest.mark.parametrize("executor", EXECUTORS if LONG else ["processes"])
def test_a_run_whose_worker_is_killed_is_alive_and_has_one_heartbeat(place: Place, executor: str) -> None:
    (place.folder / "flow.py").write_text(CLUSTER_FLOW.replace("EXECUTOR", EXECUTORS[executor]))
    with place.hub():
        run = Run(place)
        until(lambda: pids(place), 60)
        os.kill(pids(place)[0], signal.SIGKILL)
        until(lambda: len(pids(place)) == 2, 60)
        assert place.beat().process.pid == run.pid
        (place.folder / "gate").touch()
        run.end()
    assert run.process.returncode == 0
    assert place.cell() is None
    assert place.arrived() == []


@stores("postgres")
@pytest.mark.parametrize("executor", EXECUTORS if LONG else ["cluster"])
def test_a_run_with_workers_that_is_killed_is_announced_once_and_its_workers_end(place: Place, executor: str) -> None:
    (place.folder / "flow.py").write_text(CLUSTER_FLOW.replace("EXECUTOR", EXECUTORS[executor]))
    with place.hub():
        run = Run(place)
        until(lambda: pids(place), 60)
        run.die()
        place.sink.wait(2)
        if executor == "processes":
            (place.folder / "gate").touch()  # such a worker ends with its task
        until(lambda: not any(map(is_there, pids(place))), 60)
    assert place.arrived() == CRASHED
