"""Which task, or which child of a mapped one, is tried when: one pass over a flow."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from tocsin.clock import Clock
from tocsin.flows.debug import raising
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import Constant
from tocsin.flows.task import Task
from tocsin.flows.triggers import Upstream
from tocsin.runs import stopping
from tocsin.runs.executors import Executor, LocalExecutor, Outcome
from tocsin.runs.mapping import Child, Inputs, MapRun, NotMappable, ended, flattened
from tocsin_hooks.states import Cached, Finished, Mapped, Pending, Scheduled, State, Success

Unit = Task | Child
"""What is tried."""


class Attempts(Protocol):
    """What makes the attempts that are due."""

    executor: Executor

    def submit(self, task: Task, state: State | None, upstream: Upstream) -> None:
        """Have one made at a task."""
        ...

    def submit_child(self, child: Child, state: State | None, upstream: Upstream) -> None:
        """Have one made at a child of a mapped task."""
        ...

    def map(self, task: Task, state: State | None, upstream: Upstream) -> State:
        """Bring a task that is to be mapped to where it has children, or will have none."""
        ...

    def lose(self, unit: Unit, state: State, error: Exception) -> State:
        """The state of an attempt that the executor has lost."""
        ...


class Progress:
    """How far a flow run has come: the state of each task, which may start, and which wait for a time.

    A task may start once all before it have ended; the end of one releases those after it, so that no task is looked
    at twice. When a pass begins, what is due is tried before any task that has not been tried; and `at_once`, also
    what comes due while the pass goes on. A child of a mapped task may start once the children of the same index
    before it have ended, and goes first: depth before breadth.
    """

    def __init__(self, flow: Flow, states: Mapping[Task, State], clock: Clock, *, at_once: bool = False) -> None:
        self.flow = flow
        self.at_once = at_once
        self.states: dict[Task, State] = dict(states)
        self.left = 0
        """How many tasks have not ended; a mapped one has when its children have."""
        self.paused: dict[Unit, None] = {}
        """What waits for somebody."""
        self._clock = clock
        self._waiting: dict[Task, int] = {}  # how many edges into a task come from tasks that have not ended
        self._ready: deque[Unit | MapRun] = deque()
        self._later: list[tuple[float, int, Unit]] = []  # a heap, by the clock's monotonic()
        self._pushed = 0
        self._again: list[Unit] = []  # came back without having ended; the next pass tries them
        self._special: set[Task] = set()  # tasks that are mapped, or take something flattened
        self._maps: dict[Task, MapRun] = {}
        self._filled = False
        for task in flow.sorted_tasks():
            self._take_up(task)

    def _take_up(self, task: Task) -> None:
        states = self.states
        count = 0
        for before, _, _, mapped, flat in self.flow.inputs_of(task):
            known = states.get(before)
            if known is None or not self._has_ended(before, known):
                count += 1
            if mapped or flat:
                self._special.add(task)
        state = states.get(task)
        if state is None and type(task) is Constant:
            state = states[task] = Success(result=task.value)
        if state is not None and self._has_ended(task, state):
            return
        self.left += 1
        if count:
            self._waiting[task] = count
        elif isinstance(state, Scheduled) and state.start_time is not None:
            self._put_off(task, state.start_time)
        else:
            self._ready.append(task)

    def _has_ended(self, task: Task, state: State) -> bool:
        """Whether there is nothing to do for a task that comes with this state. A mapped one is always looked at."""
        if not isinstance(state, Finished) or isinstance(state, Cached):
            return False
        return not isinstance(state, Mapped) or (task not in self._special and all(map(ended, state.map_states)))

    def _put_off(self, unit: Unit, start_time: Any) -> None:
        wait: float = (start_time - self._clock.now()).total_seconds()
        self._pushed += 1
        heapq.heappush(self._later, (self._clock.monotonic() + wait, self._pushed, unit))

    # ---------------------------------------------------------------- asked by the runner

    def due_in(self) -> float | None:
        """Seconds until the next task is due, None when none waits for a time."""
        return self._later[0][0] - self._clock.monotonic() if self._later else None

    def fill(self) -> None:
        """Give each task without a state `Pending`."""
        if not self._filled:
            self._filled = True
            for task in self.flow.sorted_tasks():
                if task not in self.states:
                    self.states[task] = Pending("not run")

    def resume(self, unit: Unit, state: State) -> None:
        """Let what is paused go on from `state`."""
        del self.paused[unit]
        self.settle_on(unit, state)
        self._ready.append(unit)

    def state_of(self, unit: Unit) -> State | None:
        """The state from which an attempt would start."""
        return unit.map_run.state_of(unit.index) if isinstance(unit, Child) else self.states.get(unit)

    def settle_on(self, unit: Unit, state: State) -> None:
        """Note a state, and nothing else."""
        if isinstance(unit, Child):
            unit.map_run.states[unit.index] = state
        else:
            self.states[unit] = state

    def unfinished(self) -> Iterator[Unit]:
        """What has not ended, each after all it waits for."""
        for task in self.flow.sorted_tasks():
            map_run = self._maps.get(task)
            if map_run is not None:
                yield from map_run.unfinished()
                map_run.close()
            elif not isinstance(self.states.get(task), Finished):
                yield task

    # ---------------------------------------------------------------- a pass

    def work(self, attempts: Attempts) -> None:
        """Try everything that can be tried; return when all have ended or wait."""
        self._ready.extend(self._again)
        self._again.clear()
        ready, executor = self._ready, attempts.executor
        slots, under_way = executor.slots, 0
        here = isinstance(executor, LocalExecutor)  # which does not wait: it makes the call
        if self._later:
            self._wake()
        while True:
            if self._later and self.at_once:
                self._wake()
            while ready and (slots is None or under_way < slots):
                if self._start(ready.popleft(), attempts):
                    under_way += 1
            if not under_way:
                return
            for unit, value, error in executor.completed(None) if here else self._completed(executor):
                under_way -= 1
                state = value if error is None else self._lost(unit, error, attempts)
                if type(unit) is Child:
                    self._child_ended(unit, state)
                else:
                    self._ended(unit, state)

    @stopping.interruptible
    def _completed(self, executor: Executor) -> Any:
        if stopping.watch.pending:
            stopping.watch.strike()
        soon = self._later and self.at_once
        return executor.completed(self._later[0][0] - self._clock.monotonic() if soon else None)

    def _wake(self) -> None:
        now = self._clock.monotonic()
        due = []
        while self._later and self._later[0][0] <= now:
            due.append(heapq.heappop(self._later)[2])
        self._ready.extendleft(reversed(due))

    def _start(self, unit: Any, attempts: Attempts) -> bool:
        """Start an attempt; False when there was none to be started."""
        if self._special:
            if type(unit) is MapRun:
                return self._start_next(unit, attempts)
            if type(unit) is Child:
                self._start_child(unit, attempts)
                return True
        states = self.states
        upstream = {edge: states[edge.upstream_task] for edge in self.flow.inputs_of(unit)}
        if self._special and unit in self._special:
            if self._expand(unit, upstream, attempts):
                return False
            upstream = {edge: flattened(state) if edge.flattened else state for edge, state in upstream.items()}
        attempts.submit(unit, states.get(unit), upstream)
        return True

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
        else:
            self._wait(task, state)

    def _wait(self, unit: Unit, state: State) -> None:
        if not isinstance(state, Scheduled):
            self._again.append(unit)
        elif state.start_time is None:
            self.paused[unit] = None
        else:
            self._put_off(unit, state.start_time)

    def _lost(self, unit: Unit, error: BaseException, attempts: Attempts) -> State:
        if isinstance(error, Exception) and not raising():
            return attempts.lose(unit, self.state_of(unit) or Pending(), error)
        state = stopping.state_left_by(error)
        if state is not None:
            self.settle_on(unit, state)
        raise error

    def take(self, outcomes: Iterable[Outcome]) -> None:
        """Note what came of attempts that were told to stop."""
        for unit, state, error in outcomes:
            found = state if error is None else stopping.state_left_by(error)
            if found is not None:
                self.settle_on(unit, found)

    # ---------------------------------------------------------------- mapped tasks

    def _expand(self, task: Task, upstream: Upstream, attempts: Attempts) -> bool:
        """Make children of a task; False when it is none to be mapped."""
        if not any(edge.mapped for edge in upstream):
            return False
        before = self.states.get(task)
        state = attempts.map(task, before, upstream)
        if not isinstance(state, Mapped):
            self._ended(task, state)
            return True
        above = [(edge, self._maps[edge.upstream_task]) for edge in upstream if edge.upstream_task in self._maps]
        depth = 1 + max((map_run.depth for _, map_run in above), default=0)
        try:
            map_run = MapRun(task, state, Inputs(upstream), before, depth)
        except NotMappable as error:
            self._ended(task, attempts.lose(task, state, error))
            return True
        self.states[task] = state
        self._maps[task] = map_run
        for edge, each in above:
            if edge.mapped and not edge.flattened and each.left:
                map_run.wait_for(each)
        if map_run.left:
            self._ready.appendleft(map_run)
        self._release(task, of_children=True)  # and so to the left of it: they must know of its children as they end
        if not map_run.left:
            self._close(map_run)
        return True

    def _release(self, task: Task, *, of_children: bool) -> None:
        """Let go those that wait for the children of `task` one by one, or those that wait for all of them."""
        waiting = self._waiting
        for edge in self.flow.outputs_of(task):
            if (edge.mapped and not edge.flattened) is of_children:
                after = edge.downstream_task
                if waiting[after] == 1:
                    del waiting[after]
                    self._ready.append(after) if not of_children else self._ready.appendleft(after)
                else:
                    waiting[after] -= 1

    def _start_next(self, map_run: MapRun, attempts: Attempts) -> bool:
        child = map_run.next_child()
        if child is None:
            return False
        self._ready.appendleft(map_run)
        state = map_run.states[child.index]
        if isinstance(state, Scheduled) and state.start_time is not None and state.start_time > self._clock.now():
            self._put_off(child, state.start_time)
            return False
        self._start_child(child, attempts)
        return True

    def _start_child(self, child: Child, attempts: Attempts) -> None:
        map_run = child.map_run
        attempts.submit_child(child, map_run.state_of(child.index), map_run.inputs.of(child.index))

    def _child_ended(self, child: Child, state: State) -> None:
        map_run, index = child.map_run, child.index
        map_run.states[index] = state
        if not isinstance(state, Finished):
            self._wait(child, state)
            return
        map_run.end(index)
        for edge in self.flow.outputs_of(map_run.task):
            if edge.mapped and not edge.flattened:
                after = self._maps.get(edge.downstream_task)
                if after is not None and (released := after.released(index)) is not None:
                    self._ready.appendleft(released)
        if not map_run.left:
            self._close(map_run)

    def _close(self, map_run: MapRun) -> None:
        task = map_run.task
        map_run.close()
        self.left -= 1
        self._release(task, of_children=False)
