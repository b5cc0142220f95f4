"""How one pass over a flow is made, and what the flow's own state becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from tocsin.clock import Clock, SystemClock
from tocsin.flows.context import dates
from tocsin.flows.events import plain_parameters
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import StateHandler, checked_handlers
from tocsin.flows.signals import ENDRUN
from tocsin.flows.task import Task
from tocsin.flows.triggers import Upstream
from tocsin.runs import transitions
from tocsin.runs.executors import Executor, LocalExecutor
from tocsin.runs.passes import Progress
from tocsin.runs.publishing import OnChange, Publisher
from tocsin.runs.settling import Settler, Surroundings, log
from tocsin.runs.task_runner import TaskRunner, run_task
from tocsin_hooks.states import Running, Scheduled, State, run_context

_NOTHING: Mapping[str, Any] = {}
_TASK_KEYS = frozenset({"attempt", "map_index", "flow", "unused_tasks"})


class FlowRunner(Settler):
    """Makes passes over a flow.

    `state_handlers` see the flow's transitions after the flow's own, with the runner as first argument.
    """

    def __init__(
        self,
        flow: Flow,
        task_runner_cls: type[TaskRunner] | None = None,
        state_handlers: Iterable[StateHandler] | None = None,
        *,
        publisher: Publisher | None = None,
        clock: Clock | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        self.flow = flow
        self.task_runner_cls = task_runner_cls or TaskRunner
        self.progress: Progress | None = None
        """How far the last pass came; None before the first."""
        surroundings = Surroundings((), (), publisher, clock or SystemClock(), on_change)
        super().__init__(flow, checked_handlers("flow runner", state_handlers), surroundings)

    def run(
        self,
        state: State | None = None,
        task_states: Mapping[Task, State] | None = None,
        return_tasks: Iterable[Task] | None = None,
        parameters: Mapping[str, Any] | None = None,
        task_runner_state_handlers: Iterable[StateHandler] | None = None,
        executor: Executor | None = None,
        context: Mapping[str, Any] | None = None,
        task_contexts: Mapping[Task, Mapping[str, Any]] | None = None,
    ) -> State:
        """Make one pass and return the flow's state: `Running` when tasks are left that wait for a time.

        Given `return_tasks`, its `result` maps them to their states; that of a `Running` maps all tasks tried so far,
        and passing it back as `task_states` goes on where the pass stopped. Other states are taken up anew.
        """
        values = flow_context(self.flow, parameters or {}, context or {}, self.clock)
        handlers = checked_handlers("task runner", task_runner_state_handlers)
        shared = Surroundings(self.flow.task_state_handlers, handlers, self.publisher, self.clock, self._on_change)
        token = run_context.set({**values, "attempt": self})
        try:
            running = self._begin(transitions.initial(state))
            if not isinstance(running, Running):
                return running
            try:
                end = self._pass(running, task_states, executor, values, shared, task_contexts or {}, return_tasks)
            except Exception as error:
                log.exception("the run of flow '%s' broke", self.flow.name)
                end = transitions.failed(error)
            return self.settle(running, end)
        except ENDRUN as signal:
            return signal.state
        finally:
            run_context.reset(token)

    def _begin(self, state: State) -> State:
        if isinstance(state, Scheduled) and not transitions.is_due(state.start_time, self.clock.now()):
            return state
        if self.started is None:
            self.started = self.clock.monotonic()
        return self.settle(state, Running("flow run started")) if state.is_pending() else state

    def _pass(
        self,
        running: Running,
        task_states: Mapping[Task, State] | None,
        executor: Executor | None,
        values: Mapping[str, Any],
        shared: Surroundings,
        task_contexts: Mapping[Task, Mapping[str, Any]],
        return_tasks: Iterable[Task] | None,
    ) -> State:
        flow, progress = self.flow, self.progress
        if progress is None or task_states is not progress.states:
            progress = self.progress = Progress(flow, task_states or {}, self.clock)
        executor = executor or flow.executor or LocalExecutor()
        runner_class, slugs, constants = self.task_runner_cls, flow.slugs, flow.constants

        def submit(task: Task, state: State | None, upstream: Upstream) -> None:
            given = {**values, **task_contexts[task]} if task in task_contexts else values
            fixed = constants.get(task, _NOTHING)
            executor.submit(task, run_task, runner_class, task, slugs[task], fixed, state, upstream, given, shared)

        with executor.start(self.clock):
            progress.work(executor, submit, partial(self._lose, values, shared))
        end = self._end(running, progress)
        if end is running:  # as they stand and change: copying them in every pass would cost more than the passes
            running.result = progress.states if return_tasks is not None else None
            return running
        if return_tasks is not None:
            end.result = {task: progress.states[task] for task in return_tasks if task in progress.states}
        return self._finally(end, progress)

    def _end(self, running: Running, progress: Progress) -> State:
        if progress.left:
            return running  # a task that has not ended means a terminal one that has not
        return transitions.flow_end((task.name, progress.states[task]) for task in self.flow.reference_tasks())

    def _finally(self, end: State, progress: Progress) -> State:
        handler = self.flow.terminal_state_handler
        if handler is None:
            return end
        return handler(self.flow, end, {progress.states[task] for task in self.flow.reference_tasks()}) or end

    def _lose(
        self, values: Mapping[str, Any], shared: Surroundings, task: Task, state: State, error: Exception
    ) -> State:
        slug = self.flow.slugs[task]
        runner = self.task_runner_cls(task, shared.runner_handlers, slug=slug, surroundings=shared)
        return runner.lose(state, values, error)


def flow_context(flow: Flow, parameters: Mapping[str, Any], given: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """What code in a run of `flow` finds in the context; values that are `given` win."""
    import logging

    outer = run_context.get()
    now = clock.now()
    effective = {each.name: each.default for each in flow.parameters() if not each.required} | dict(parameters)
    return {
        **{key: value for key, value in outer.items() if key not in _TASK_KEYS and not key.startswith("task_")},
        **dates(given.get("date") or now),
        "flow_name": flow.name,
        "flow_tags": frozenset(flow.tags),
        "flow_run_id": given.get("flow_run_id") or clock.new_id(),
        "flow_run_name": "",
        "scheduled_start_time": now,
        "parameters": effective,
        "plain_parameters": plain_parameters(effective),
        "logger": logging.getLogger(f"tocsin.flow.{flow.name}"),
        **given,
    }
