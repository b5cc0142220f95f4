"""What an append, a claim and its settling cost, on both databases."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta

import pendulum

from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Outcome, Planned
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Receipt
from tocsin_hooks.testing import sample_event

from .databases import POSTGRES, SQLITE, Database
from .pair import Pair, Sides, Work

ALONE, TOGETHER, CLAIMED = 200, 640, 500
_AT_ONCE = 100
_ROUNDS = 11
_AHEAD = _ROUNDS + 1  # rounds for which everything is made before any is measured


def append_pair(database: Database, producers: int, batch: int, units: int, ahead: int = _AHEAD) -> Sides:
    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        with database.place() as place:
            body, count = sample_event().to_json(), iter(range(10**9))
            ready: deque[Event] = deque()

            def make(events: int) -> None:
                ready.extend(sample_event(id=f"e{next(count)}", sequence=None) for _ in range(events))

            def produce() -> None:
                for _ in range(units // producers):
                    _append(place.store, ready.popleft())

            def ours() -> None:
                if len(ready) < units:
                    make(units)
                if producers == 1:
                    produce()
                    return
                threads = [threading.Thread(target=produce) for _ in range(producers)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            def floor() -> None:
                for _ in range(units // batch):
                    place.table.append(body, batch)

            make(units * ahead)
            yield ours, floor

    return sides


def _append(store: Store, event: Event) -> None:
    now = pendulum.now("UTC")

    def work(tx: Transaction) -> None:
        if tx.sequence_of(event.id) is None:
            tx.deliver(tx.add_event(event), None, Planned("ops", "pages", Action.EVENT), now=now)

    store.transact(work)


def claim_pair(database: Database, ahead: int = _AHEAD) -> Sides:
    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        with database.place() as place:
            store, table = place.store, place.table
            body, count, now = sample_event().to_json(), iter(range(10**9)), pendulum.now("UTC")

            def fill(tx: Transaction) -> None:
                for _ in range(CLAIMED):
                    event = tx.add_event(sample_event(id=f"e{next(count)}", sequence=None))
                    tx.deliver(event, None, Planned("ops", "pages", Action.EVENT), now=now)

            def prepare() -> None:
                if not table.count():
                    table.append(body, CLAIMED * ahead)
                    for _ in range(ahead):
                        store.transact(fill)

            def ours() -> None:
                prepare()
                outcomes: list[Outcome] = []
                for _ in range(CLAIMED // _AT_ONCE):
                    leased = store.exchange(outcomes, now=now, ttl=timedelta(minutes=9), limit=_AT_ONCE, owner="bench")[
                        1
                    ]
                    outcomes = [Outcome(each, now, timedelta(0), receipt=Receipt("ok")) for each in leased]
                store.record(outcomes)

            def floor() -> None:
                prepare()
                for _ in range(CLAIMED // _AT_ONCE):
                    table.take(_AT_ONCE)

            yield ours, floor

    return sides


def flat_claim_pair(database: Database, waiting: int) -> Sides:
    """Claims out of a long queue beside claims out of a short one."""
    return _claims(database, {waiting: {"ops": waiting}, 1000: {"ops": 1000}}, but=())


def busy_claim_pair(database: Database, waiting: int) -> Sides:
    """Claims past so many deliveries to a channel that takes nothing now, beside claims past few."""
    return _claims(database, {n: {"busy": n, "ops": 1000} for n in (waiting, 1000)}, but=("busy",))


def _claims(database: Database, crowds: dict[int, dict[str, int]], but: tuple[str, ...]) -> Sides:
    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        with contextlib.ExitStack() as stack:
            now = pendulum.now("UTC")
            works = []
            for crowd in crowds.values():
                place = stack.enter_context(database.place())
                for channel, count in crowd.items():
                    place.fill(channel, count, now)
                works.append(claiming(place.store, now))
            many, few = works
            yield many, few

    def claiming(store: Store, now: datetime) -> Work:
        def work() -> None:
            for _ in range(10):
                leased = store.lease(now=now, ttl=timedelta(minutes=9), limit=8, owner="bench", but=but)
                assert len(leased) == 8, leased
                store.give_back(leased, now=now)

        return work

    return sides


def _storing(database: Database) -> tuple[Pair, ...]:
    prefix = "" if database is SQLITE else f"{database.name}: "
    slow = database is not SQLITE
    return (
        Pair(
            f"{prefix}durable append, 1 producer",
            ">= 0.8",
            "outbox",
            database.one,
            append_pair(database, 1, 1, ALONE),
            ALONE,
            reciprocal=True,
            slow=slow,
            rounds=_ROUNDS,
        ),
        Pair(
            f"{prefix}durable append, 64 producers",
            ">= 0.25",
            "outbox",
            database.many,
            append_pair(database, 64, 100, TOGETHER),
            TOGETHER,
            floor_units=TOGETHER // 100 * 100,
            reciprocal=True,
            slow=slow,
            rounds=_ROUNDS,
        ),
        Pair(
            f"{prefix}claim and settle, 100 at once",
            ">= 0.5",
            "outbox",
            database.claimed,
            claim_pair(database),
            CLAIMED,
            reciprocal=True,
            slow=slow,
            rounds=_ROUNDS,
        ),
        Pair(
            f"{prefix}a claim out of 1,000,000",
            "<= 1.5",
            "1,000,000 wait",
            "1,000 wait",
            flat_claim_pair(database, 1_000_000),
            units=10,
            slow=True,
            rounds=25,
        ),
        Pair(
            f"{prefix}a claim past 500,000 of a busy channel",
            "<= 1.5",
            "500,000 wait",
            "1,000 wait",
            busy_claim_pair(database, 500_000),
            units=10,
            slow=True,
            rounds=25,
        ),
    )


STORING = (*_storing(SQLITE), *_storing(POSTGRES))
