"""What has happened in a run so far: each task's state, tries and time, as the run reports them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.clock import Clock
from tocsin.flows.flow import Flow
from tocsin.flows.parameter import Parameter
from tocsin.flows.task import Task
from tocsin.masked import masked
from tocsin_hooks.states import Finished, Pending, Running, State, run_context


@dataclass(slots=True)
class TaskRecord:
    """One task of a run, or one child of a mapped task."""

    name: str
    slug: str
    map_index: int | None = None
    state: str = "Pending"
    message: str = ""
    attempts: int = 0
    max_attempts: int = 1
    seconds: float = 0.0
    """The time its attempts took, without the waits between them."""
    finished: bool = False
    hidden: bool = False
    """Whether it is a parameter, and went well so far: nothing that a person needs to see."""
    began: float | None = None

    @property
    def title(self) -> str:
        """The task's name, with the child's number."""
        return self.name if self.map_index is None else f"{self.name}[{self.map_index}]"

    @property
    def tries(self) -> str:
        """How many attempts were made, of how many."""
        return str(self.attempts) + (f" of {self.max_attempts}" if self.max_attempts > 1 else "")


Tell = Callable[[TaskRecord], None]


class RunRecord:
    """The tasks of one run, in the order in which they can run. May be told of changes from any thread."""

    def __init__(self, flow: Flow, clock: Clock, tell: Tell | None = None) -> None:
        self.flow = flow
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._tasks: dict[tuple[str, int | None], TaskRecord] = {}
        self._ordered: list[TaskRecord] | None = None
        for task in flow.sorted_tasks():
            self._tasks[flow.slugs[task], None] = _new(flow, task, None)

    def change(self, subject: Task | Flow, old: State, new: State) -> None:  # noqa: ARG002
        """Take in a change of state; to be given to the run as `on_change`."""
        if not isinstance(subject, Task):
            return
        values = run_context.get()
        index = values.get("map_index")
        with self._lock:
            record = self._record(subject, index)
            self._take(record, new, values)
        if self._tell is not None and not _passing(new, values):
            self._tell(record)

    def _record(self, task: Task, index: int | None) -> TaskRecord:
        key = (self.flow.slugs.get(task, task.name), index)
        if key not in self._tasks:
            self._tasks[key] = _new(self.flow, task, index)
            self._ordered = None
        return self._tasks[key]

    def _take(self, record: TaskRecord, new: State, values: Mapping[str, Any]) -> None:
        now = self._clock.monotonic()
        if record.began is not None:
            record.seconds += now - record.began
            record.began = None
        if isinstance(new, Running):
            record.began = now
            record.attempts = max(record.attempts, values.get("task_run_count") or 1)
        if not _passing(new, values):
            _settle(record, new)

    def finish(self, states: Mapping[Task, State]) -> None:
        """Take in the states in which the run left its tasks."""
        with self._lock:
            for task, state in states.items():
                record = self._record(task, None)
                _settle(record, state)

    def tasks(self) -> list[TaskRecord]:
        """The tasks, the children of a mapped one after it."""
        with self._lock:
            if self._ordered is None:
                place = {slug: number for number, slug in enumerate(dict.fromkeys(slug for slug, _ in self._tasks))}
                keys = sorted(self._tasks, key=lambda key: (place[key[0]], -1 if key[1] is None else key[1]))
                self._ordered = [self._tasks[key] for key in keys]
            return list(self._ordered)


def _new(flow: Flow, task: Task, index: int | None) -> TaskRecord:
    return TaskRecord(
        task.name,
        flow.slugs.get(task, task.name),
        index,
        max_attempts=task.max_retries + 1,
        hidden=isinstance(task, Parameter),
    )


def _settle(record: TaskRecord, state: State) -> None:
    record.state = type(state).__name__
    record.message = masked(state.message)
    record.finished = isinstance(state, Finished)
    record.hidden = record.hidden and not state.is_failed()
    if type(state) is Pending:
        record.message = ""


def _passing(state: State, values: Mapping[str, Any]) -> bool:
    """Whether this is a failure on the way to a retry."""
    return state.is_failed() and bool(getattr(values.get("attempt"), "will_retry", False))
