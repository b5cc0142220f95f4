"""How a runner tells of a change of state: through a publisher that it is given, or to nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from tocsin.flows.flow import Flow
from tocsin.flows.handlers import Notify
from tocsin.flows.task import Task
from tocsin_hooks.events import Event
from tocsin_hooks.states import State


class Publisher(Protocol):
    """Takes the changes of a run: the hub, or a stand-in. Called on the thread that runs the task."""

    def wants(self, state: State, task: Task | None, context: Mapping[str, Any]) -> bool:
        """Whether anybody would hear of this change; no event is built for one that nobody would. Quick.

        `context` is that of the run: at least its `flow_name`, and the `map_index` of a child of a mapped task.
        """
        ...

    def publish(self, event: Event, state: State, notes: Sequence[Notify]) -> State:
        """Settle a change and return the state in which it ends: `state`, or another in its place.

        `notes` are the `notify` handlers of the task or flow; they are asked for whatever `wants` says. Raises
        nothing but what ends the run.
        """
        ...

    def callback_failed(self, name: str, subject: str, error: Exception) -> None:
        """Record that a callback raised for `subject`, a flow or `flow/task`."""
        ...


OnChange = Callable[[Task | Flow, State, State], None]
"""Sees each settled change, `(task or flow, old, new)`, on the thread that runs it; for progress displays."""


def notes_among(handlers: Iterable[Any]) -> tuple[Notify, ...]:
    """The `notify` handlers among others."""
    return tuple(handler for handler in handlers if isinstance(handler, Notify))
