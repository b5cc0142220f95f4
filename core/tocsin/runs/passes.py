"""Which task is tried when: one pass over a flow."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tocsin.clock import Clock
from tocsin.flows.flow import Flow
from tocsin.flows.task import Task
from tocsin.flows.triggers import Upstream
from tocsin.runs.executors import Executor
from tocsin_hooks.states import Finished, Pending, Scheduled, State

Submit = Callable[[Task, State | None, Upstream], None]
Lose = Callable[[Task, State, Exception], State]


class Progress:
    """How far a flow run has come: the state of each task, which may start, and which wait for a time.

    A task may start once all before it have ended; the end of one releases those after it, so that no task is looked
    at twice. A task whose retry is due while others run is tried again before any that has not been tried.
    """

    def __init__(self, flow: Flow, states: Mapping[Task, State], clock: Clock) -> None:
        self.flow = flow
        self.states: dict[Task, State] = dict(states)
        self.left = 0
        """How many tasks have not ended."""
        self._clock = clock
        self._waiting: dict[Task, int] = {}  # how many edges into a task come from tasks that have not ended
        self._ready: deque[Task] = deque()
        self._later: list[tuple[float, int, Task]] = []  # a heap, by the clock's monotonic()
        self._pushed = 0
        self._again: list[Task] = []  # came back without having ended; the next pass tries them
        for task in flow.sorted_tasks():
            self._take_up(task)

    def _take_up(self, task: Task) -> None:
        states = self.states
        if isinstance(states.get(task), Finished):
            return
        self.left += 1
        count = 0
        for edge in self.flow.inputs_of(task):
            if not isinstance(states.get(edge.upstream_task), Finished):
                count += 1
        if count:
            self._waiting[task] = count
        else:
            self._admit(task, states.get(task))

    def _admit(self, task: Task, state: State | None) -> None:
        if not isinstance(state, Scheduled):
            self._ready.append(task)
        elif state.start_time is not None:  # else it waits for somebody
            self._put_off(task, state.start_time)

    def _put_off(self, task: Task, start_time: Any) -> None:
        wait: float = (start_time - self._clock.now()).total_seconds()
        self._pushed += 1
        heapq.heappush(self._later, (self._clock.monotonic() + wait, self._pushed, task))

    def due_in(self) -> float | None:
        """Seconds until the next task is due, None when none waits for a time."""
        return self._later[0][0] - self._clock.monotonic() if self._later else None

    def work(self, executor: Executor, submit: Submit, lose: Lose) -> None:
        """Try every task that can be tried; return when all have ended or wait."""
        self._ready.extend(self._again)
        self._again.clear()
        ready, slots = self._ready, executor.slots
        under_way = 0
        while True:
            if self._later:
                self._wake()
            while ready and (slots is None or under_way < slots):
                self._start(ready.popleft(), submit)
                under_way += 1
            if not under_way:
                return
            for task, state, error in executor.completed(self.due_in()):
                under_way -= 1
                self._ended(task, state if error is None else self._lost(task, error, lose))

    def _wake(self) -> None:
        now = self._clock.monotonic()
        due = []
        while self._later and self._later[0][0] <= now:
            due.append(heapq.heappop(self._later)[2])
        self._ready.extendleft(reversed(due))

    def _start(self, task: Task, submit: Submit) -> None:
        states = self.states
        upstream = {edge: states[edge.upstream_task] for edge in self.flow.inputs_of(task)}
        submit(task, states.get(task), upstream)

    def _ended(self, task: Task, state: State) -> None:
        self.states[task] = state
        if isinstance(state, Finished):
            self.left -= 1
            waiting = self._waiting
            for edge in self.flow.outputs_of(task):
                after = edge.downstream_task
                if waiting[after] == 1:
                    del waiting[after]
                    self._ready.append(after)
                else:
                    waiting[after] -= 1
        elif isinstance(state, Scheduled):
            self._admit(task, state)
        else:
            self._again.append(task)

    def _lost(self, task: Task, error: BaseException, lose: Lose) -> State:
        if not isinstance(error, Exception):
            raise error
        return lose(task, self.states.get(task) or Pending(), error)
