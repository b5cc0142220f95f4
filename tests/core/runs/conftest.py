"""What the tests of the runner share: a log of transitions, and a publisher that keeps what it is given."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from tocsin.clock import ManualClock
from tocsin.executors import DaskExecutor, Executor, LocalDaskExecutor, LocalExecutor, ThreadExecutor
from tocsin.flows.handlers import Notify
from tocsin.flows.task import Task
from tocsin_hooks.events import Event
from tocsin_hooks.states import State


class Seen(list[str]):
    """A state handler that writes down each transition as `Old>New`."""

    def __call__(self, subject: Any, old: State, new: State) -> State:
        self.append(f"{type(old).__name__}>{type(new).__name__}")
        return new


class Told:
    """A publisher that keeps what it is given, and answers as `answer` says."""

    def __init__(self, answer: Callable[[Event, State], State] = lambda _, state: state, wanted: bool = True) -> None:
        self.answer = answer
        self.wanted = wanted
        self.events: list[Event] = []
        self.notes: list[Sequence[Notify]] = []
        self.failures: list[tuple[str, str, str]] = []

    def wants(self, state: State, task: Task | None, context: Mapping[str, Any]) -> bool:
        return self.wanted

    def publish(self, event: Event, state: State, notes: Sequence[Notify]) -> State:
        self.events.append(event)
        self.notes.append(notes)
        return self.answer(event, state)

    def callback_failed(self, name: str, subject: str, error: Exception) -> None:
        self.failures.append((name, subject, repr(error)))

    def of(self, task: str) -> list[Event]:
        return [event for event in self.events if event.task == task]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def told() -> type[Told]:
    return Told


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="module")
def dask_address() -> Iterator[str]:
    """The address of a Dask cluster of two processes, of which one offers a `GPU`."""
    from dask import config
    from distributed import Nanny, Scheduler, SpecCluster

    def worker(**resources: int) -> dict[str, Any]:
        return {"cls": Nanny, "options": {"nthreads": 2, "resources": resources, "silence_logs": logging.CRITICAL}}

    scheduler = {"cls": Scheduler, "options": {"dashboard": False, "dashboard_address": ":0", "host": "127.0.0.1"}}
    with (
        config.set({"distributed.comm.timeouts.connect": "10s"}),
        SpecCluster({0: worker(), 1: worker(GPU=1)}, scheduler, silence_logs=logging.CRITICAL) as cluster,
    ):
        yield cluster.scheduler_address


MAKERS: dict[str, Callable[[str], Executor]] = {
    "local": lambda _: LocalExecutor(),
    "threads": lambda _: ThreadExecutor(workers=3),
    "dask threads": lambda _: LocalDaskExecutor(num_workers=3),
    "dask processes": lambda _: LocalDaskExecutor("processes", num_workers=2),
    "dask synchronous": lambda _: LocalDaskExecutor("synchronous"),
    "dask cluster": DaskExecutor,
}


@pytest.fixture(params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def executor(kind: str, request: pytest.FixtureRequest) -> Executor:
    return MAKERS[kind](request.getfixturevalue("dask_address") if kind == "dask cluster" else "")
