"""What it costs to deliver, and how long it takes from a state change to the bytes at a service."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import requests

from tocsin.clock import SystemClock
from tocsin.delivery.sender import Destination, Sender
from tocsin.delivery.worker import Worker, WorkerSettings
from tocsin.hub.engine import Engine
from tocsin.hub.hub import Hub
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.spill import Spill
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.routing.router import Route, Router
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.channels import Channel
from tocsin_hooks.events import Event
from tocsin_hooks.filters import when
from tocsin_hooks.states import Failed
from tocsin_hooks.testing import Receiver, sample_event
from tocsin_webhook import WebhookChannel, WebhookConfig

from .pair import Pair, Row, Sides, Work, holds
from .sink import Sink

FAILED = Failed()
DELIVERIES = 200
ANSWERS_AFTER = 0.1  # seconds
EACH = 8  # deliveries of each thread to a sink that takes its time


class Service(Protocol):
    """A local service to post to."""

    port: int

    @property
    def url(self) -> str:
        """Where it listens."""


@dataclass(frozen=True)
class Site:
    """A hub with one route to one channel, and the worker that delivers."""

    hub: Hub
    worker: Worker


@contextlib.contextmanager
def site(folder: Path, make: Callable[[], Channel], threads: int) -> Iterator[Site]:
    """A site on a store in `folder`; all that waits is delivered when it ends well."""
    store, hooks, clock = SqliteStore(folder / "tocsin.db"), Hooks(Catalog()), SystemClock()
    sender = Sender({"ops": Destination(make)}, hooks, clock)
    worker = Worker(store, sender, clock, WorkerSettings(threads=threads))
    router = Router((Route("pages", when("is_failed"), ("ops",)),))
    hub = Hub(hooks, clock, Outbox(store, Engine(Policy(router)), Spill(folder / "spill"), worker.wake))
    try:
        yield Site(hub, worker)
    finally:
        worker.stop()
        store.close()


def webhook(service: Service) -> Callable[[], WebhookChannel]:
    loopback = {"allow_http": True, "allow_private": "127.0.0.1/32", "allow_ports": service.port}
    config = WebhookConfig.model_validate({"url": service.url, **loopback})
    return lambda: WebhookChannel(config)


def session() -> requests.Session:
    plain = requests.Session()
    plain.trust_env = False
    return plain


# ---------------------------------------------------------------- many at once


def delivery_pair(threads: int, deliveries: int, service: Callable[[], AbstractContextManager[Service]]) -> Sides:
    """So many deliveries from `publish` to the service, beside as many posts from as many threads."""

    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        with (
            tempfile.TemporaryDirectory() as folder,
            service() as sink,
            site(Path(folder), webhook(sink), threads) as place,
        ):
            count, body = iter(range(10**9)), sample_event().to_json().encode()

            def ours() -> None:
                for _ in range(deliveries):
                    place.hub.publish(sample_event(id=f"e{next(count)}", sequence=None), FAILED)
                assert place.worker.drain(timedelta(minutes=1)) == 0

            def floor() -> None:
                local = threading.local()

                def post(_: int) -> None:
                    if not hasattr(local, "session"):
                        local.session = session()
                    local.session.post(sink.url, data=body, timeout=30)

                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(post, range(deliveries)))

            yield ours, floor

    return sides


DELIVERING: tuple[Pair, ...] = (
    Pair(
        "end to end, 4 threads",
        ">= 0.75",
        "publish to sink",
        "requests.Session",
        delivery_pair(4, DELIVERIES, Receiver),
        DELIVERIES,
        reciprocal=True,
    ),
    *(
        Pair(
            f"end to end, a sink that answers after 100 ms, {threads} thread{'s'[: threads > 1]}",
            ">= 0.75",
            "publish to sink",
            "requests.Session",
            delivery_pair(threads, EACH * threads, lambda: Sink(ANSWERS_AFTER)),
            EACH * threads,
            reciprocal=True,
            slow=True,
            rounds=3,
        )
        for threads in (1, 4, 16)
    ),
)


# ---------------------------------------------------------------- one, while nothing else is done

_AT_REST = 0.06  # seconds after which a hub that delivered has nothing left to do
_BLOCK = 20


@dataclass(frozen=True)
class Latencies:
    """Microseconds of each round: a state change to the bytes at the sink, a write that is synced, a post."""

    ours: list[float]
    synced: list[float]
    posted: list[float]

    def plain(self, of: Callable[[list[float]], float]) -> float:
        return of(self.synced) + of(self.posted)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / self.plain(statistics.median)

    def blocks(self) -> list[float]:
        """The ratio of each few rounds."""
        starts = range(0, len(self.ours), _BLOCK)
        parts = [[each[start : start + _BLOCK] for each in (self.ours, self.synced, self.posted)] for start in starts]
        return [Latencies(*part).ratio for part in parts]


def latencies(rounds: int) -> Latencies:
    """Alternately: an idle hub is told of a change; the same bytes are written, synced and posted."""
    found = Latencies([], [], [])
    with (
        tempfile.TemporaryDirectory() as folder,
        Sink() as sink,
        site(Path(folder), webhook(sink), WorkerSettings().threads) as place,
        (Path(folder) / "plain").open("ab", buffering=0) as file,
        session() as plain,
    ):
        for number in range(-3, rounds):  # a few before any counts: connections, caches
            event = sample_event(id=f"e{number}", sequence=None)
            body = event.to_json().encode()
            assert place.worker.drain(timedelta(minutes=1)) == 0
            time.sleep(_AT_REST)
            synced, posted = _synced(file.fileno(), body), _posted(plain, sink, body)
            times = _told(place.hub, event, sink), synced, posted
            if number >= 0:
                for each, took in zip((found.ours, found.synced, found.posted), times, strict=True):
                    each.append(took)
    return found


def _told(hub: Hub, event: Event, sink: Sink) -> float:
    start = time.monotonic_ns()
    hub.publish(event, FAILED)
    return (sink.moment() - start) / 1000


def _synced(file: int, body: bytes) -> float:
    start = time.monotonic_ns()
    os.write(file, body)
    os.fdatasync(file)
    return (time.monotonic_ns() - start) / 1000


def _posted(plain: requests.Session, sink: Sink, body: bytes) -> float:
    start = time.monotonic_ns()
    plain.post(sink.url, data=body, timeout=30)
    took = time.monotonic_ns() - start
    sink.skip(1)
    return took / 1000


def latency_row(rounds: int = 200) -> Row:
    """From a state change to the bytes at the sink of an idle hub."""
    found, goal = latencies(rounds), "<= 3"
    blocks = found.blocks()

    def p99(times: list[float]) -> float:
        return statistics.quantiles(times, n=100, method="inclusive")[98]

    return Row(
        "state change to bytes at the sink, an idle hub",
        f"publish to sink: p50 {statistics.median(found.ours):,.0f} us, p99 {p99(found.ours):,.0f} us",
        f"fdatasync and POST: p50 {found.plain(statistics.median):,.0f} us, p99 {found.plain(p99):,.0f} us",
        f"{found.ratio:.2f}",
        f"{min(blocks):.2f} to {max(blocks):.2f}",
        goal,
        holds(found.ratio, goal),
    )
