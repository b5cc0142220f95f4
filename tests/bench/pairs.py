"""What is measured against what: each pair does the same work, once by tocsin and once by the plainest means.

A goal is a ratio of the two, so that a slow or busy machine counts for both sides.
"""

from __future__ import annotations

import contextlib
import graphlib
import logging
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
import pluggy
import requests

from tocsin import runs
from tocsin.clock import SystemClock
from tocsin.delivery.sender import Destination, Sender
from tocsin.delivery.worker import Worker, WorkerSettings
from tocsin.flows.flow import Flow
from tocsin.flows.task import task
from tocsin.hub.engine import Engine
from tocsin.hub.hub import Hub
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.spill import Spill
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.routing.router import Route, Router
from tocsin.store.protocol import Transaction
from tocsin.store.records import Outcome, Planned
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks import specs
from tocsin_hooks.filters import when
from tocsin_hooks.messages import Action, Receipt
from tocsin_hooks.specs import hookimpl
from tocsin_hooks.testing import Receiver, sample_event
from tocsin_webhook import WebhookChannel, WebhookConfig

Work = Callable[[], object]

logging.getLogger("tocsin").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Pair:
    """Two ways to do the same `units` of work, and what their ratio should be."""

    name: str
    goal: str
    ours: str
    floor: str
    sides: Callable[[], contextlib.AbstractContextManager[tuple[Work, Work]]]
    units: int = 1
    floor_units: int | None = None
    """How many units the other side does, where that is not as many."""
    reciprocal: bool = False
    """Whether the goal is put as speed (floor time / our time) rather than as cost."""
    slow: bool = False


# ---------------------------------------------------------------- the runner


@task
def no_op() -> None:
    """Do nothing."""


def chain(n: int) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(n - 1)]


def diamond(n: int) -> list[tuple[int, int]]:
    return [(0, i) for i in range(1, n - 1)] + [(i, n - 1) for i in range(1, n - 1)]


def flow_of(n: int, edges: list[tuple[int, int]]) -> Flow:
    flow = Flow("bench")
    tasks = [no_op.copy(name=f"t{i}") for i in range(n)]
    for each in tasks:
        flow.add_task(each)
    for upstream, downstream in edges:
        flow.add_edge(tasks[upstream], tasks[downstream])
    return flow


class Listener:
    """One subscriber that hears every change."""

    @hookimpl
    def tocsin_state_changed(self, event: Any) -> None:
        """Hear."""


def runner_pair(shape: Callable[[int], list[tuple[int, int]]], n: int, *, subscriber: bool) -> Any:
    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        edges = shape(n)
        flow = flow_of(n, edges)
        catalog = Catalog()
        if subscriber:
            catalog.register(Listener())
        hub = Hub(Hooks(catalog), SystemClock()) if subscriber else None
        graph: dict[int, set[int]] = {i: set() for i in range(n)}
        for upstream, downstream in edges:
            graph[downstream].add(upstream)

        def floor() -> None:
            function = no_op.run
            for _ in graphlib.TopologicalSorter(graph).static_order():
                function()

        yield lambda: runs.run_flow(flow, publisher=hub), floor

    return sides


def flat_pair(shape: Callable[[int], list[tuple[int, int]]]) -> Any:
    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        large, small = flow_of(100_000, shape(100_000)), flow_of(1000, shape(1000))
        yield lambda: runs.run_flow(large), lambda: [runs.run_flow(small) for _ in range(10)]

    return sides


@task
def same(item: int) -> int:
    """Give it back."""
    return item


def map_pair(n: int) -> Any:
    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        with Flow("map") as flow:
            same.map(list(range(n)))
        graph: dict[int, set[int]] = {i: {-1} for i in range(n)}

        def floor() -> None:
            function = same.run
            for item in graphlib.TopologicalSorter(graph).static_order():
                function(item)

        yield lambda: runs.run_flow(flow), floor

    return sides


# ---------------------------------------------------------------- hooks


def hooks_pair(subscribers: int) -> Any:
    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        raw = pluggy.PluginManager("tocsin")
        raw.add_hookspecs(specs)
        catalog = Catalog()
        for n in range(subscribers):
            plugin = Listener()
            raw.register(plugin, str(n))
            catalog.register(plugin, str(n))
        hooks, event = Hooks(catalog), sample_event()

        def ours() -> None:
            for _ in range(1000):
                if hooks.observes("task", event.state_family):
                    hooks.observe(event)

        def floor() -> None:
            for _ in range(1000):
                raw.hook.tocsin_state_changed(event=event)

        yield ours, floor

    return sides


# ---------------------------------------------------------------- routing


def routing_pair(routes: int) -> Any:
    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        def router(n: int) -> Router:
            return Router(tuple(Route(f"r{i}", when(f"flow=flow{i} and is_failed"), ("ops",)) for i in range(n)))

        many, few, event = router(routes), router(10), sample_event(flow="flow3")

        def decide(router: Router) -> Work:
            def work() -> None:
                for _ in range(20):
                    router.decide(event)

            return work

        yield decide(many), decide(few)

    return sides


# ---------------------------------------------------------------- the store

_TABLE = "CREATE TABLE queue (id INTEGER PRIMARY KEY, body TEXT)"


def _raw_sqlite(folder: Path) -> sqlite3.Connection:
    db = sqlite3.connect(folder / "raw.db", isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(_TABLE)
    return db


def _append(store: SqliteStore, name: str) -> None:
    event, now = sample_event(id=name, sequence=None), pendulum.now("UTC")

    def work(tx: Transaction) -> None:
        if tx.sequence_of(event.id) is None:
            tx.deliver(tx.add_event(event), None, Planned("ops", "pages", Action.EVENT), now=now)

    store.transact(work)


def append_pair(producers: int, floor_batch: int) -> Any:
    each = 200 if producers == 1 else 10

    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        with tempfile.TemporaryDirectory() as folder:
            store, raw = SqliteStore(Path(folder) / "tocsin.db"), _raw_sqlite(Path(folder))
            body, count = sample_event().to_json(), iter(range(10**9))

            def ours() -> None:
                def produce() -> None:
                    for _ in range(each):
                        _append(store, f"e{next(count)}")

                if producers == 1:
                    produce()
                    return
                threads = [threading.Thread(target=produce) for _ in range(producers)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            def floor() -> None:
                for _ in range(each * producers // floor_batch):
                    raw.execute("BEGIN IMMEDIATE")
                    raw.executemany("INSERT INTO queue (body) VALUES (?)", [(body,)] * floor_batch)
                    raw.execute("COMMIT")

            yield ours, floor
            store.close()
            raw.close()

    return sides


CLAIMED = 500


@contextlib.contextmanager
def claim_sides() -> Iterator[tuple[Work, Work]]:
    with tempfile.TemporaryDirectory() as folder:
        store, raw = SqliteStore(Path(folder) / "tocsin.db"), _raw_sqlite(Path(folder))
        body, count, now = sample_event().to_json(), iter(range(10**9)), pendulum.now("UTC")

        def fill(tx: Transaction) -> None:
            for _ in range(CLAIMED):
                event = tx.add_event(sample_event(id=f"e{next(count)}", sequence=None))
                tx.deliver(event, None, Planned("ops", "pages", Action.EVENT), now=now)

        def prepare() -> None:
            if not raw.execute("SELECT count(*) FROM queue").fetchone()[0]:
                raw.executemany("INSERT INTO queue (body) VALUES (?)", [(body,)] * CLAIMED * 30)
                for _ in range(30):
                    store.transact(fill)

        def ours() -> None:
            prepare()
            outcomes: list[Outcome] = []
            for _ in range(CLAIMED // 100):
                leased = store.exchange(outcomes, now=now, ttl=timedelta(minutes=9), limit=100, owner="bench")[1]
                outcomes = [Outcome(each, now, timedelta(0), receipt=Receipt("ok")) for each in leased]
            store.record(outcomes)

        def floor() -> None:
            prepare()
            for _ in range(CLAIMED // 100):
                raw.execute("BEGIN IMMEDIATE")
                rows = raw.execute("SELECT id, body FROM queue ORDER BY id LIMIT 100").fetchall()
                raw.execute("COMMIT")
                raw.execute("BEGIN IMMEDIATE")
                raw.executemany("DELETE FROM queue WHERE id = ?", [(number,) for number, _ in rows])
                raw.execute("COMMIT")

        yield ours, floor
        store.close()
        raw.close()


def flat_claim_pair(waiting: int) -> Any:
    """Claims out of a long queue beside claims out of a short one."""

    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        with tempfile.TemporaryDirectory() as folder:
            stores = {n: SqliteStore(Path(folder) / f"{n}.db") for n in (1000, waiting)}
            now = pendulum.now("UTC")
            for n, store in stores.items():
                _fill_up(store, n, now)

            def claim(store: SqliteStore) -> Work:
                def work() -> None:
                    for _ in range(10):
                        leased = store.lease(now=now, ttl=timedelta(minutes=9), limit=8, owner="bench")
                        store.give_back(leased, now=now)

                return work

            yield claim(stores[waiting]), claim(stores[1000])
            for store in stores.values():
                store.close()

    return sides


def _fill_up(store: SqliteStore, count: int, now: Any) -> None:
    def one(tx: Transaction) -> None:
        event = tx.add_event(sample_event(sequence=None))
        tx.deliver(event, None, Planned("ops", "pages", Action.OPEN, thread="i0"), now=now.subtract(minutes=1))

    store.transact(one)
    with sqlite3.connect(store.path) as db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO deliveries (id, event, channel, route, action, template, status, created_at, due_at, thread,"
            " body) SELECT lower(hex(randomblob(16))), event, channel, route, action, template, status, created_at,"
            " due_at, 'i' || i, body FROM n, (SELECT * FROM deliveries LIMIT 1)",
            (count - 1,),
        )
    db.close()


# ---------------------------------------------------------------- delivery

DELIVERIES = 200


@contextlib.contextmanager
def delivery_sides(threads: int = 4) -> Iterator[tuple[Work, Work]]:
    with tempfile.TemporaryDirectory() as folder, Receiver() as sink:
        store, count = SqliteStore(Path(folder) / "tocsin.db"), iter(range(10**9))
        loopback = {"allow_http": True, "allow_private": "127.0.0.1/32", "allow_ports": sink.port}
        config = WebhookConfig.model_validate({"url": sink.url, **loopback})
        hooks = Hooks(Catalog())
        clock = SystemClock()
        sender = Sender({"ops": Destination(lambda: WebhookChannel(config))}, hooks, clock)
        worker = Worker(store, sender, clock, WorkerSettings(threads=threads))
        router = Router((Route("pages", when("is_failed"), ("ops",)),))
        hub = Hub(hooks, clock, Outbox(store, Engine(Policy(router)), Spill(Path(folder) / "spill"), worker.wake))
        from tocsin_hooks.states import Failed

        state, body = Failed(), sample_event().to_json().encode()

        def ours() -> None:
            for _ in range(DELIVERIES):
                hub.publish(sample_event(id=f"e{next(count)}", sequence=None), state)
            worker.drain(timedelta(minutes=1))

        def floor() -> None:
            local = threading.local()

            def post(_: int) -> None:
                if not hasattr(local, "session"):
                    local.session = requests.Session()
                    local.session.trust_env = False
                local.session.post(sink.url, data=body, timeout=30)

            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(post, range(DELIVERIES)))

        yield ours, floor
        worker.stop()
        store.close()


# ---------------------------------------------------------------- imports


def import_pair(ours: str, floor: str) -> Any:
    def importing(name: str) -> Work:
        return lambda: subprocess.run([sys.executable, "-c", f"import {name}"], check=True)

    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        yield importing(ours), importing(floor)

    return sides


# ---------------------------------------------------------------- alerts

_ALERTS = """
[channels.home]
type = "inbox"

[[routes]]
when = "is_failed"
send = ["home"]
"""


def alerts_pair(n: int) -> Any:
    """A flow of which one task in a hundred fails: with a config that tells of each, and without one."""

    @task
    def one_in_a_hundred(number: int) -> None:
        if number % 100 == 99:
            raise ValueError(number)

    with Flow("alerts") as flow:
        for number in range(n):
            one_in_a_hundred.copy(name=f"t{number}")(number)

    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        with tempfile.TemporaryDirectory() as alerting, tempfile.TemporaryDirectory() as quiet:
            (Path(alerting) / "tocsin.toml").write_text(_ALERTS, encoding="utf-8")
            logging.getLogger("tocsin").setLevel(logging.CRITICAL + 1)

            def run_in(folder: str) -> Work:
                def work() -> None:
                    with contextlib.chdir(folder):
                        flow.run()

                return work

            try:
                yield run_in(alerting), run_in(quiet)
            finally:
                logging.getLogger("tocsin").setLevel(logging.NOTSET)

    return sides


PAIRS: tuple[Pair, ...] = (
    *(
        Pair(
            f"no-op task, {n:,} in a {shape.__name__}, {told}",
            "<= 6" if told == "1 subscriber" else "-",
            "flow.run",
            "graphlib loop",
            runner_pair(shape, n, subscriber=told == "1 subscriber"),
            units=n,
            slow=n > 1000,
        )
        for shape in (chain, diamond)
        for n in (100, 1000, 10_000)
        for told in ("no hub", "1 subscriber")
    ),
    *(
        Pair(
            f"100,000 tasks in a {shape.__name__}, beside 1,000",
            "<= 1.3",
            "100,000",
            "1,000",
            flat_pair(shape),
            units=100_000,
            floor_units=10_000,
            slow=True,
        )
        for shape in (chain, diamond)
    ),
    Pair("no-op child, a map of 10,000, no hub", "-", "flow.run", "graphlib loop", map_pair(10_000), units=10_000),
    *(
        Pair(f"state change told to {n}", goal, "isolated calls", "raw pluggy", hooks_pair(n), units=1000)
        for n, goal in ((0, "<= 0.1"), (1, "-"), (5, "-"), (20, "<= 0.4"))
    ),
    Pair("routing 10,000 routes", "<= 1.25", "10,000 routes", "10 routes", routing_pair(10_000), units=20),
    Pair(
        "durable append, 1 producer", ">= 0.8", "outbox", "SQLite FULL, 1 row", append_pair(1, 1), 200, reciprocal=True
    ),
    Pair(
        "durable append, 64 producers",
        ">= 0.25",
        "outbox",
        "SQLite FULL, 100 rows",
        append_pair(64, 100),
        640,
        floor_units=600,
        reciprocal=True,
    ),
    Pair("claim and settle, 100 at once", ">= 0.5", "outbox", "SQLite FULL", claim_sides, CLAIMED, reciprocal=True),
    Pair(
        "a claim out of 1,000,000",
        "<= 1.5",
        "1,000,000 wait",
        "1,000 wait",
        flat_claim_pair(1_000_000),
        units=10,
        slow=True,
    ),
    Pair(
        "end to end, 4 threads",
        ">= 0.75",
        "publish to sink",
        "requests.Session",
        delivery_sides,
        DELIVERIES,
        reciprocal=True,
    ),
    Pair(
        "10,000 tasks of which 1 % fail",
        "<= 1.3",
        "alerts on",
        "alerts off",
        alerts_pair(10_000),
        units=10_000,
        slow=True,
    ),
    Pair("import", "<= 3", "import tocsin", "import pluggy", import_pair("tocsin", "pluggy")),
)
