"""What the tests of the runner share: a log of transitions, and a publisher that keeps what it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tocsin.clock import ManualClock
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

    def wants(self, state: State, task: Task | None) -> bool:
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
