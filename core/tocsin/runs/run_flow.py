"""How a flow is run to its end: pass after pass, asleep until the next task is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tocsin.clock import Clock, SystemClock
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import StateHandler
from tocsin.flows.parameter import check_names
from tocsin.flows.task import Task
from tocsin.runs.executors import Executor
from tocsin.runs.flow_runner import FlowRunner
from tocsin.runs.publishing import OnChange, Publisher
from tocsin.runs.task_runner import TaskRunner
from tocsin_hooks.states import Pending, Scheduled, State


def run_flow(
    flow: Flow,
    parameters: Mapping[str, Any] | None = None,
    *,
    publisher: Publisher | None = None,
    clock: Clock | None = None,
    executor: Executor | None = None,
    on_change: OnChange | None = None,
    context: Mapping[str, Any] | None = None,
    run_name: str = "",
    state: State | None = None,
    task_states: Mapping[Task, State] | None = None,
    task_contexts: Mapping[Task, Mapping[str, Any]] | None = None,
    task_runner_state_handlers: Iterable[StateHandler] | None = None,
    runner_cls: type[FlowRunner] = FlowRunner,
    task_runner_cls: type[TaskRunner] | None = None,
) -> State:
    """Return the flow's final state, whose `result` maps every task to its state.

    A flow with tasks that wait for somebody (`Paused`) comes back `Running` once nothing else is left to do. Raises
    ParameterError for an unknown or missing parameter, CycleError for a flow that has no order.
    """
    given = dict(parameters or {})
    check_names(flow.name, flow.parameters(), given)
    flow.validate()
    clock = clock or SystemClock()
    values: dict[str, Any] = {"flow_run_name": run_name, "scheduled_start_time": clock.now(), **(context or {})}
    values.setdefault("flow_run_id", clock.new_id())
    runner = runner_cls(flow, task_runner_cls, publisher=publisher, clock=clock, on_change=on_change)
    tasks = flow.sorted_tasks()
    state = Scheduled("flow run scheduled", start_time=clock.now()) if state is None else state
    known = task_states
    while True:
        state = runner.run(
            state, known, tasks, given, task_runner_state_handlers, executor, values, task_contexts=task_contexts
        )
        progress = runner.progress
        wait = None if progress is None or state.is_finished() else progress.due_in()
        if progress is None or wait is None:
            break
        known = progress.states
        clock.sleep(wait)
    found = progress.states if progress is not None else {}
    state.result = {task: found.get(task) or Pending("not run") for task in tasks}
    return state
