"""A store, a worker and channels that answer what they are told, for tests of delivery."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tocsin.clock import Clock, ManualClock
from tocsin.delivery.backoff import Backoff
from tocsin.delivery.sender import Destination, Sender
from tocsin.delivery.worker import Worker, WorkerSettings
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.store.protocol import Transaction
from tocsin.store.records import DeliveryRecord, Planned, Sent
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.messages import Action, Message, Receipt
from tocsin_hooks.specs import hookimpl
from tocsin_hooks.testing import sample_event

POLICY = Backoff(first=timedelta(seconds=10), attempts=3)


class Pager:
    """A channel that answers what it is told, in order, and then accepts."""

    def __init__(self, *answers: Exception | Receipt | Callable[[], Receipt]) -> None:
        self.answers = list(answers)
        self.messages: list[Message] = []
        self.previous: list[Receipt | None] = []

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        self.messages.append(message)
        self.previous.append(previous)
        answer = self.answers.pop(0) if self.answers else Receipt("ok")
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


class Told:
    """A plugin that notes what became of messages."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    @hookimpl
    def tocsin_delivered(self, message, receipt):
        self.heard.append(("delivered", receipt.detail))

    @hookimpl
    def tocsin_delivery_failed(self, message, error, retry_in):
        self.heard.append(("failed", f"{error.reason} again in {retry_in:.1f}"))

    @hookimpl
    def tocsin_delivery_dead(self, message, error):
        self.heard.append(("dead", error.reason))


class World:
    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        make: Callable[[], Pager] | None = None,
        threads: int = 4,
        promises: Mapping[str, Mapping[str, Any]] | None = None,
        **channels: Pager,
    ) -> None:
        self.clock = clock or ManualClock(chance=0.0)
        self.store = SqliteStore(folder / "tocsin.db")
        self.told = Told()
        self._pause = threading.Event()
        catalog = Catalog()
        catalog.register(self.told)
        destinations = {name: Destination(lambda c=channel: c, POLICY) for name, channel in channels.items()}
        if make is not None:
            destinations["ops"] = Destination(make, POLICY)
        self.destinations = {
            name: replace(each, **(promises or {}).get(name, {})) for name, each in destinations.items()
        }
        self.sender = Sender(self.destinations, Hooks(catalog), self.clock)
        self.worker = Worker(self.store, self.sender, self.clock, WorkerSettings(threads=threads))

    def store_plan(
        self, name: str, *channels: str, action: Action = Action.OPEN, thread: str = "i1", **more: Any
    ) -> None:
        def work(tx: Transaction) -> list[Sent | None]:
            event = tx.add_event(sample_event(id=name, sequence=None))
            planned = [Planned(channel, "pages", action, thread=thread, **more) for channel in channels]
            return [tx.deliver(event, None, each, now=self.clock.now()) for each in planned]

        self.store.transact(work)

    def plan(self, name: str, *channels: str, action: Action = Action.OPEN, thread: str = "i1", **more: Any) -> None:
        self.store_plan(name, *channels, action=action, thread=thread, **more)
        self.worker.wake()

    def drain(self, seconds: float = 5) -> int:
        return self.worker.drain(timedelta(seconds=seconds))

    def only(self) -> DeliveryRecord:
        [delivery] = self.store.deliveries()
        return delivery

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened; fails when it does not."""
        for _ in range(2000):
            if happened():
                return
            self._pause.wait(0.005)
        raise AssertionError("it has not happened")

    def settle(self) -> None:
        """Let the worker's threads do what can be done without the clock."""
        self.worker.wake()  # so that it looks once more after what was said to it before

        def rests() -> bool:
            with self.worker._changed:
                return self.worker._is_quiet(self.clock.now())

        self.until(rests)
