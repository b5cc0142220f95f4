"""What a hub answers to those who ask how it is: `/healthz` for whoever restarts it, `/metrics` for Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from tocsin import __version__
from tocsin.assembly import Assembly
from tocsin.clock import Clock
from tocsin.delivery.breaker import Standing
from tocsin.errors import TocsinError
from tocsin.health.condition import Condition, condition_of, is_neglected
from tocsin.health.metrics import Metrics, Now
from tocsin.health.server import Answer, Server
from tocsin.hub.outbox import Outbox
from tocsin.masked import logger
from tocsin.settings.listening import Address
from tocsin.store.open import open_store

_log = logger("tocsin.health")

SILENT = timedelta(seconds=60)
"""How long the thread that keeps time may not be heard of."""

THREADS = {"worker": "tocsin-dispatch", "timekeeper": "tocsin-timers"}
"""The threads of a hub by what they are: those that claim, and those that keep time."""

_FRESH = 2.0  # seconds for which what the store said is said again
_SHARE = 10.0  # and ten times as long as the store took: asking must not become its main work
_JSON = "application/json"


@dataclass(slots=True)
class Pulse:
    """What the hub tells of itself from within."""

    started_at: datetime
    looked_at: float
    """When the thread that keeps time was last heard of, by a clock that never goes back."""
    stopping: bool = False
    threads: Mapping[str, str] = field(default_factory=lambda: THREADS)
    """The names of the threads that the hub cannot do without, by what they are."""


class Store:
    """How things stand, asked of the store by a connection of its own and remembered for a moment."""

    def __init__(self, assembly: Assembly, clock: Clock) -> None:
        outbox = assembly.hub.outbox
        assert outbox is not None, "a hub made from a config has one"
        self._settings = assembly.config.store  # a new config does not move the store either
        url, path = self._settings.url, self._settings.path
        self._store = open_store(path) if url is None else open_store(url=url)
        self._assembly = assembly
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0
        self._found: Condition | TocsinError | None = None

    def condition(self) -> Condition:
        """How things stand. Raises TocsinError where that cannot be told."""
        with self._lock:
            if self._found is None or self._clock.monotonic() >= self._until:
                self._found = self._look()
            found = self._found
        if isinstance(found, TocsinError):
            raise found
        return found

    def _look(self) -> Condition | TocsinError:
        began = self._clock.monotonic()
        try:
            return self._asked()
        except TocsinError as error:
            return error
        finally:
            ended = self._clock.monotonic()
            self._until = ended + max(_FRESH, _SHARE * (ended - began))

    def _asked(self) -> Condition:
        if not self._settings.is_there:  # to look must not make a new one
            raise TocsinError(f"the store '{self._settings.place}' is gone")
        outbox = self._assembly.hub.outbox
        assert outbox is not None
        own: Outbox = replace(outbox, store=self._store)
        return condition_of(own, replace(self._assembly.config, store=self._settings), self._clock.now())

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._store.close()


class Answers:
    """What is said on each page."""

    def __init__(self, assembly: Assembly, pulse: Pulse, store: Callable[[], Condition]) -> None:
        self._assembly = assembly
        self._pulse = pulse
        self._store = store
        self.metrics: Metrics | None = None
        try:
            started = pulse.started_at.timestamp()
            self.metrics = Metrics(lambda: assembly.config.channels, self._now, started_at=started)
        except ImportError:
            _log.info("no metrics: 'prometheus-client' is not installed")

    def healthz(self, accept: str = "") -> Answer:  # noqa: ARG002  (every page is told what is accepted)
        """200 while all is well, else 503 with the reasons."""
        try:
            condition, reasons = self._store(), []
        except TocsinError as error:
            condition, reasons = None, [str(error)]
        reasons += self._of_threads()
        if condition is not None:
            reasons += neglected(condition, but=self._excused())
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        told = as_data(condition, reasons, self._pulse.started_at, self._standings())
        return Answer(status, json.dumps(told, indent=2).encode() + b"\n", _JSON)

    def metrics_page(self, accept: str = "") -> Answer:
        """The figures; 501 where they cannot be had."""
        if self.metrics is None:
            text = "metrics need a package that is not installed: pip install 'tocsin[metrics]'"
            return Answer.text(HTTPStatus.NOT_IMPLEMENTED, text)
        kind, body = self.metrics.text(accept)
        return Answer(HTTPStatus.OK, body, kind)

    def _of_threads(self) -> list[str]:
        reasons = ["the hub is stopping"] if self._pulse.stopping else []
        if self._pulse.stopping:
            return reasons
        living = {thread.name for thread in threading.enumerate()}
        reasons += [f"the {what} has ended" for what, name in self._pulse.threads.items() if name not in living]
        silent = self._assembly.clock.monotonic() - self._pulse.looked_at
        if silent > SILENT.total_seconds():
            reasons.append(f"the timekeeper was last heard of {silent:.0f} s ago")
        return reasons

    def _standings(self) -> dict[str, str]:
        standings = self._assembly.worker.standings()
        return {channel: str(standing) for channel, standing in standings.items() if standing is not Standing.CLOSED}

    def _excused(self) -> set[str]:
        """The channels that may make deliveries wait: those left alone, and those with a promise how often to send."""
        rated = {name for name, channel in self._assembly.config.channels.items() if channel.sending.rate}
        return rated | set(self._standings())

    def _now(self) -> Now:
        counters = self._assembly.hub.counters
        try:
            condition: Condition | None = self._store()
        except TocsinError:
            condition = None
        return Now(condition, counters.spilled, counters.lost, self._standings())


def neglected(condition: Condition, *, but: Collection[str] = ()) -> list[str]:
    """The reasons to think that nobody delivers; a service that refuses is none."""
    now = condition.at
    return [
        f"{channel.due} due to '{channel.name}', and "
        + (f"nothing was tried since {channel.last_try:%Y-%m-%d %H:%M:%S} UTC" if channel.last_try else "nobody tries")
        for channel in condition.summary.channels
        if channel.name not in but and is_neglected(channel, now)
    ]


def as_data(
    condition: Condition | None, reasons: list[str], started_at: datetime, standings: Mapping[str, str]
) -> dict[str, Any]:
    """What `/healthz` says, for programs."""
    told: dict[str, Any] = {
        "status": "failing" if reasons else "ok",
        "reasons": reasons,
        "version": __version__,
        "started_at": started_at.isoformat(),
    }
    if condition is None:
        return told
    summary = condition.summary
    return told | {
        "channels": {
            each.name: {
                "pending": each.pending,
                "due": each.due,
                "leased": each.leased,
                "dead": each.dead,
                "breaker": standings.get(each.name, str(Standing.CLOSED)),
            }
            for each in summary.channels
        },
        "incidents_open": summary.incidents_open,
        "timers_due": summary.timers_due,
        "spilled": condition.spilled.events,
    }


@contextmanager
def answering(assembly: Assembly, pulse: Pulse) -> Iterator[Address | None]:
    """Answer at the address of the config, for the length of a `with` block; None where the config names none.

    Raises TocsinError where the address cannot be had.
    """
    settings = assembly.config.hub
    if settings.listen is None:
        yield None
        return
    store = Store(assembly, assembly.clock)
    answers = Answers(assembly, pulse, store.condition)
    pages = {"/healthz": answers.healthz, "/metrics": answers.metrics_page}
    server = Server(settings.listen, pages, assembly.clock, remote=settings.allow_remote)
    catalog = assembly.hooks.catalog
    try:
        server.start()
        if answers.metrics is not None:
            catalog.register(answers.metrics, _PLUGIN)
        yield server.address
    finally:
        catalog.unregister(_PLUGIN)
        server.stop()
        store.close()


_PLUGIN = "tocsin.metrics"
