"""What runs, hooks, routes and imports cost: the part that needs no disk, and a flow whose failures are told."""

from __future__ import annotations

import contextlib
import graphlib
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pluggy

from tocsin import runs
from tocsin.clock import SystemClock
from tocsin.flows.flow import Flow
from tocsin.flows.task import task
from tocsin.hub.hub import Hub
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.routing.router import Route, Router
from tocsin_hooks import specs
from tocsin_hooks.filters import when
from tocsin_hooks.specs import hookimpl
from tocsin_hooks.testing import sample_event

from .pair import Pair, Sides, Work


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


def runner_pair(shape: Callable[[int], list[tuple[int, int]]], n: int, *, subscriber: bool) -> Sides:
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


def flat_pair(shape: Callable[[int], list[tuple[int, int]]]) -> Sides:
    @contextlib.contextmanager
    def sides() -> Iterator[tuple[Work, Work]]:
        large, small = flow_of(100_000, shape(100_000)), flow_of(1000, shape(1000))
        yield lambda: runs.run_flow(large), lambda: [runs.run_flow(small) for _ in range(10)]

    return sides


@task
def same(item: int) -> int:
    """Give it back."""
    return item


def map_pair(n: int) -> Sides:
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


def hooks_pair(subscribers: int) -> Sides:
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


def routing_pair(routes: int) -> Sides:
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


# ---------------------------------------------------------------- imports


def import_pair(ours: str, floor: str) -> Sides:
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


def alerts_pair(n: int) -> Sides:
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


RUNNING: tuple[Pair, ...] = (
    *(
        Pair(
            f"no-op task, {n:,} in a {shape.__name__}, {told}",
            "<= 6" if told == "1 subscriber" else "-",
            "flow.run",
            "graphlib loop",
            runner_pair(shape, n, subscriber=told == "1 subscriber"),
            units=n,
            slow=n > 1000,
            rounds=5 if n > 1000 else 15,
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
            rounds=3,
        )
        for shape in (chain, diamond)
    ),
    Pair("no-op child, a map of 10,000, no hub", "-", "flow.run", "graphlib loop", map_pair(10_000), units=10_000),
    *(
        Pair(f"state change told to {n}", goal, "isolated calls", "raw pluggy", hooks_pair(n), units=1000)
        for n, goal in ((0, "<= 0.1"), (1, "-"), (5, "-"), (20, "<= 0.4"))
    ),
    Pair("routing 10,000 routes", "<= 1.25", "10,000 routes", "10 routes", routing_pair(10_000), units=20),
)

FLOWS: tuple[Pair, ...] = (
    Pair(
        "10,000 tasks of which 1 % fail",
        "<= 1.3",
        "alerts on",
        "alerts off",
        alerts_pair(10_000),
        units=10_000,
        slow=True,
        rounds=5,
    ),
    Pair("import", "<= 3", "import tocsin", "import pluggy", import_pair("tocsin", "pluggy")),
)
