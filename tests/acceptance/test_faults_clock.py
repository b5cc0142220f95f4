"""The clock of a host is set by a day while its processes deliver: no lease is lost, nothing is stuck, none storms."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tocsin.store.records import Status
from tocsin.store.sqlite import SqliteStore

SUPPORT = Path(__file__).parents[1] / "support"
DAY = 86_400
MANY = 16
CHANNELS = 4  # so that none fails often enough in a row to be left alone


class Service:
    """Refuses each message once, but those of `held`, which it keeps waiting until the gate is open."""

    def __enter__(self) -> Service:
        self.seen: Counter[str] = Counter()
        self.gate = threading.Event()
        self._changed = threading.Condition()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.gate.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def status(self, event: str, channel: str) -> int:
        with self._changed:
            self.seen[event] += 1
            first = self.seen[event] == 1
            self._changed.notify_all()
        if channel == "held":
            self.gate.wait(60)
            return 204
        return 503 if first else 204

    def wait(self, event: str, times: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.seen[event] >= times, 30), (event, self.seen)


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(service.status(said["event"], said["channel"]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What sets the clock of a process, and of no other."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    library = tmp_path_factory.mktemp("shim") / "clock_shim.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, SUPPORT / "clock_shim.c", "-ldl"], check=True, timeout=60
    )
    return library


class Hubs:
    """Two processes that deliver out of one store, and whose clock is set by a file."""

    def __init__(self, folder: Path, shim: Path, port: int) -> None:
        self.path, self._offset = folder / "tocsin.db", folder / "offset"
        self.set(0)
        environ = os.environ | {"LD_PRELOAD": str(shim), "CLOCK_SHIM": str(self._offset)}
        self.processes = [
            subprocess.Popen(
                [sys.executable, SUPPORT / "clocked.py", self.path, str(port)],
                env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(2)
        ]  # fmt: skip
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def set(self, seconds: int) -> None:
        new = self._offset.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._offset)  # never half written

    def add(self, event: str, channel: str) -> None:
        stdin = self.processes[0].stdin
        assert stdin is not None
        stdin.write(f"{event} {channel}\n")
        stdin.flush()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(60)
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def end(self) -> list[int]:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        return [process.wait(60) for process in self.processes]


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


@pytest.fixture
def hubs(tmp_path: Path, shim: Path, service: Service) -> Iterator[Hubs]:
    running = Hubs(tmp_path, shim, service.port)
    yield running
    running.close()


@pytest.mark.parametrize(
    "steps", [[DAY], [-DAY], [DAY, 0], [-DAY, 0]], ids=["ahead", "back", "ahead and back", "back and ahead"]
)
def test_a_clock_that_is_set_by_a_day_loses_no_lease_and_leaves_nothing_stuck_or_sent_in_a_storm(
    hubs: Hubs, service: Service, steps: list[int]
) -> None:
    hubs.add("held", "held")
    service.wait("held", 1)
    for round_, seconds in enumerate(steps):
        names = [f"e{round_}-{n}" for n in range(MANY)]
        for number, name in enumerate(names):
            hubs.add(name, f"flaky{number % CHANNELS}")
        for name in names:
            service.wait(name, 1)
        hubs.set(seconds)  # while all of them wait for their second try
        for name in names:
            service.wait(name, 2)
    hubs.add("after", "flaky0")
    service.wait("after", 2)
    service.gate.set()
    assert hubs.end() == [0, 0]
    store = SqliteStore(hubs.path)
    found = {each.event.id: (each.status, each.attempts) for each in store.deliveries(limit=None)}
    store.close()
    assert found.pop("held") == (Status.DELIVERED, 1), "whoever had claimed it has recorded it"
    assert set(found.values()) == {(Status.DELIVERED, 2)}
    assert service.seen["held"] == 1, "and nobody else has sent it"
    assert {service.seen[name] for name in found} == {2}
