"""The whole history of publishing, dying and delivering, and what has to be true of it afterwards.

Each publisher writes a journal, the sink notes what arrives, and whoever kills notes how things stood at each death.
"""

from __future__ import annotations

import json
import os
import threading
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tocsin.store.coalescing import COALESCED
from tocsin.store.protocol import Store
from tocsin.store.reading import BEGINNING
from tocsin.store.records import DeliveryRecord, Status


@dataclass(frozen=True)
class Arrival:
    """What one request brought."""

    key: str
    event: str
    channel: str


class Sink:
    """A service on loopback that notes what arrives, in order, before it answers that it accepts."""

    def __enter__(self) -> Sink:
        self.arrivals: list[Arrival] = []
        self._changed = threading.Condition()
        self._under_way = 0
        self.gate = threading.Event()
        self.gate.set()
        self._http = _server(self)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def add(self, arrival: Arrival) -> None:
        with self._changed:
            self.arrivals.append(arrival)
            self._changed.notify_all()

    def wait(self, count: int, seconds: float = 60) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.arrivals) >= count, seconds), len(self.arrivals)

    def settle(self) -> int:
        """Let what the dead have sent arrive, then count it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=20):  # taken after all that came before
            pass
        with self._changed:
            assert self._changed.wait_for(lambda: self._under_way == 0, 60)
            return len(self.arrivals)

    def begun(self, count: int) -> None:
        with self._changed:
            self._under_way += count
            self._changed.notify_all()


def _server(sink: Sink) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        """Counts a request from the moment that its connection is taken: the thread that reads it may begin late."""

        daemon_threads = True
        request_queue_size = 128  # what comes while others are taken is taken in turn, and not a second later

        def process_request(self, request: Any, client_address: Any) -> None:
            sink.begun(1)
            super().process_request(request, client_address)

        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            sink.begun(-1)

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: whoever sends may be killed at any moment."""

    return Server(("127.0.0.1", 0), _handler(sink))


def _handler(sink: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 20

        def do_POST(self) -> None:
            try:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                said = json.loads(body) if body.endswith(b"}") else None  # whoever died in the middle has sent nothing
                if said is not None:
                    sink.add(Arrival(**said) if "key" in said else Arrival(self.headers["webhook-id"], "", ""))
                    sink.gate.wait(120)
                self.send_response(204)
                self.end_headers()
            except OSError:
                pass

        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


class Journal:
    """What publishers say: one line before each publish, one after it. A line is written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def write(self, *words: str) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, (" ".join(words) + "\n").encode())
        finally:
            os.close(handle)

    def said(self, word: str) -> list[str]:
        lines = (line.split(maxsplit=1) for line in self.path.read_text().splitlines())
        return [rest[0] for first, *rest in lines if first == word]


@dataclass(frozen=True)
class Death:
    """How things stood when a process had been killed: how much had arrived, and what was written down as delivered."""

    arrived: int
    settled: frozenset[str]


@dataclass
class History:
    """All of it."""

    sink: Sink
    journal: Journal
    channels: Sequence[str]
    deaths: list[Death] = field(default_factory=list)

    def died(self, store: Store) -> None:
        """Note how things stand after a death."""
        arrived = self.sink.settle()
        self.deaths.append(Death(arrived, frozenset(each.id for each in _of(store) if each.status is Status.DELIVERED)))

    def check(self, store: Store, lost: Sequence[str] = ()) -> None:
        """Everything that is promised, when all that waits was delivered. `lost` was said to be lost."""
        deliveries = _of(store)
        self._nothing_is_lost(deliveries, set(lost))
        self._nothing_is_half_there(store, deliveries)
        self._nothing_is_doubled_without_cause(deliveries)
        self._all_is_in_order(deliveries)

    def _nothing_is_lost(self, deliveries: Sequence[DeliveryRecord], lost: set[str]) -> None:
        waiting = [each.id for each in deliveries if each.status is not Status.DELIVERED]
        assert not waiting, f"not delivered: {waiting}"
        arrived = {(each.event, each.channel) for each in self.sink.arrivals}
        spared = {(each.event.id, each.channel) for each in deliveries if each.reason == COALESCED}
        returned = set(self.journal.said("returned")) - lost
        missing = {(event, channel) for event in returned for channel in self.channels} - arrived - spared
        assert not missing, f"published, and never delivered: {sorted(missing)}"
        invented = {event for event, _ in arrived} - set(self.journal.said("begun"))
        assert not invented, f"delivered, and never published: {sorted(invented)}"

    def _nothing_is_half_there(self, store: Store, deliveries: Sequence[DeliveryRecord]) -> None:
        planned: dict[str, list[str]] = defaultdict(list)
        for each in deliveries:
            planned[each.event.id].append(each.channel)
        for event in store.events(since=BEGINNING):
            assert sorted(planned.pop(event.id, [])) == sorted(self.channels), f"of '{event.id}' a part is stored"
        assert not planned, f"deliveries without their events: {planned}"

    def _nothing_is_doubled_without_cause(self, deliveries: Sequence[DeliveryRecord]) -> None:
        known = {each.id for each in deliveries}
        before: dict[str, int] = {}
        for place, arrival in enumerate(self.sink.arrivals):
            assert arrival.key in known, f"a key that no delivery has: {arrival}"
            if (last := before.get(arrival.key)) is not None:
                between = [death for death in self.deaths if last < death.arrived <= place]
                assert between, f"sent twice, and nobody died in between: {arrival}"
                # it was in flight at the death: sent, and not written down
                assert any(arrival.key not in death.settled for death in between), f"sent again once settled: {arrival}"
            before[arrival.key] = place
        times = Counter(each.key for each in self.sink.arrivals)
        assert max(times.values(), default=0) <= 1 + len(self.deaths)

    def _all_is_in_order(self, deliveries: Sequence[DeliveryRecord]) -> None:
        first: dict[str, int] = {}
        for place, arrival in enumerate(self.sink.arrivals):
            first.setdefault(arrival.key, place)
        lanes: dict[tuple[str, str], list[DeliveryRecord]] = defaultdict(list)
        for each in sorted(deliveries, key=lambda each: each.number):
            if each.id in first:
                lanes[each.event.task or each.event.run_id, each.channel].append(each)
        for lane, members in lanes.items():
            places = [first[each.id] for each in members]
            assert places == sorted(places), f"out of order in {lane}: {[each.event.id for each in members]}"


def _of(store: Store) -> list[DeliveryRecord]:
    return store.deliveries(limit=None)
