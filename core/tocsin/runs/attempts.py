"""How the attempts at the tasks of one flow run are made: what each is given, and by whom it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.flows.flow import Flow
from tocsin.flows.task import Task
from tocsin.flows.triggers import Upstream
from tocsin.runs import transitions
from tocsin.runs.executors import Executor
from tocsin.runs.mapping import Child
from tocsin.runs.settling import Surroundings
from tocsin.runs.task_runner import TaskRunner, run_task
from tocsin_hooks.states import State

_NOTHING: Mapping[str, Any] = {}


class TaskAttempts:
    """Has attempts at tasks made by an executor, in the context of one flow run."""

    def __init__(
        self,
        flow: Flow,
        runner_class: type[TaskRunner],
        executor: Executor,
        values: Mapping[str, Any],
        shared: Surroundings,
        task_contexts: Mapping[Task, Mapping[str, Any]],
    ) -> None:
        self.executor = executor
        self._call = executor.call
        self.values = values
        """The context of the flow run."""
        self._runner_class = runner_class
        self._shared = shared
        self._slugs, self._constants = flow.slugs, flow.constants
        self._task_contexts = task_contexts

    def _context(self, task: Task) -> Mapping[str, Any]:
        own = self._task_contexts.get(task)
        return {**self.values, **own} if own else self.values

    def submit(self, task: Task, state: State | None, upstream: Upstream) -> None:
        """Have an attempt made at a task."""
        given = self._context(task) if self._task_contexts else self.values
        fixed = self._constants.get(task, _NOTHING)
        self._call(
            task, run_task, self._runner_class, task, self._slugs[task], fixed, state, upstream, given, self._shared
        )

    def submit_child(self, child: Child, state: State | None, upstream: Upstream) -> None:
        """Have an attempt made at a child of a mapped task."""
        task = child.task
        given = {**self._context(task), "map_index": child.index}
        fixed = self._constants.get(task, _NOTHING)
        self.executor.call(
            child, run_task, self._runner_class, task, self._slugs[task], fixed, state, upstream, given, self._shared
        )

    def map(self, task: Task, state: State | None, upstream: Upstream) -> State:
        """Bring a task that is to be mapped to where it has children, or will have none. Done here and now."""
        runner = self._runner(task, self._constants.get(task, _NOTHING))
        return runner.run(state, upstream, is_mapped_parent=True, context=self._context(task))

    def lose(self, unit: Task | Child, state: State, error: Exception) -> State:
        """The state of an attempt that the executor has lost, after telling everybody."""
        attempt, now = transitions.attempt_number(state), self._shared.clock.now()
        return self.conclude(unit, state, transitions.lost(error, attempt, now, state.cached_inputs))

    def conclude(self, unit: Task | Child, old: State, new: State) -> State:
        """The state of something that ends without another attempt, after telling everybody."""
        if isinstance(unit, Child):
            values: Mapping[str, Any] = {**self._context(unit.task), "map_index": unit.index}
            return self._runner(unit.task).conclude(old, values, new)
        return self._runner(unit).conclude(old, self._context(unit), new)

    def _runner(self, task: Task, constants: Mapping[str, Any] = _NOTHING) -> TaskRunner:
        shared, slug = self._shared, self._slugs[task]
        return self._runner_class(
            task, shared.runner_handlers, shared.flow_result, slug=slug, constants=constants, surroundings=shared
        )
