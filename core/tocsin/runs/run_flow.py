"""How a flow is run to its end: pass after pass, asleep until the next task is due; and run after run on a schedule."""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tocsin.clock import Clock, SystemClock
from tocsin.errors import FlowError
from tocsin.flows.context import context as current
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import StateHandler
from tocsin.flows.parameter import check_names
from tocsin.flows.task import Task
from tocsin.masked import logger
from tocsin.runs import stopping
from tocsin.runs.executors import Executor
from tocsin.runs.flow_runner import FlowRunner
from tocsin.runs.mapping import Child
from tocsin.runs.passes import Progress
from tocsin.runs.publishing import OnChange, Publisher
from tocsin.runs.task_runner import TaskRunner
from tocsin_hooks.states import Cached, Mapped, Pending, Resume, Scheduled, State, run_context

if TYPE_CHECKING:
    import datetime as dt

_log = logger("tocsin.runs")

Ask = Callable[[str], str]
"""Asks somebody a question; EOFError or OSError says that nobody is there."""


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
    run_on_schedule: bool | None = None,
    state: State | None = None,
    task_states: Mapping[Task, State] | None = None,
    task_contexts: Mapping[Task, Mapping[str, Any]] | None = None,
    task_runner_state_handlers: Iterable[StateHandler] | None = None,
    runner_cls: type[Any] = FlowRunner,
    task_runner_cls: type[TaskRunner] | None = None,
    ask: Ask | None = None,
) -> State:
    """Return the flow's final state, whose `result` maps every task to its state.

    A flow with a schedule is run at each of its times, until there are no more; the last run's state is returned.
    `run_on_schedule=False` runs it once and now, and so does `tocsin.config.flows.run_on_schedule`. What a clock of
    the schedule says of parameters holds for that run, before `parameters`.

    `ask` is asked whether to resume each task that waits for somebody (`Paused`), until it says `y`; without one, the
    user is, if there is a terminal. With nobody to ask the flow comes back `Running` once nothing else is left to do.

    Raises ParameterError for an unknown or missing parameter, CycleError for a flow that has no order, FlowError when
    the schedule has no more times to begin with.
    """
    flow.validate()
    clock = clock or SystemClock()
    runner_options = {} if task_runner_cls is None else {"task_runner_cls": task_runner_cls}

    def runner() -> Any:
        made = runner_cls(flow=flow, **runner_options)
        if isinstance(made, FlowRunner):
            made.watched_by(publisher, clock, on_change)
            made.at_once = True
        return made

    options: dict[str, Any] = {"executor": executor, "task_runner_state_handlers": task_runner_state_handlers}
    options = {name: value for name, value in options.items() if value is not None}
    run = _Run(flow, clock, runner, options, ask or _ask_user)
    given, values = dict(parameters or {}), {"flow_run_name": run_name, **(context or {})}
    schedule = getattr(flow, "schedule", None)
    if run_on_schedule is None:
        run_on_schedule = bool(current.config.flows.run_on_schedule)
    first: dict[str, Any] = {"state": state, "states": task_states, "task_contexts": task_contexts}
    if schedule is None or not run_on_schedule:
        check_names(flow.name, flow.parameters(), given)
        return run.once(given, values, clock.now(), **first)
    return _on_schedule(schedule, run, given, values, first)


def _on_schedule(
    schedule: Any, run: _Run, given: dict[str, Any], values: dict[str, Any], first: dict[str, Any]
) -> State:
    end: State | None = None
    while True:
        after = {} if isinstance(run.clock, SystemClock) else {"after": run.clock.now()}
        events = schedule.next(1, return_events=True, **after)
        if not events:
            if end is None:
                raise FlowError(f"flow '{run.flow.name}' has no more scheduled runs")
            return end
        event = events[0]
        parameters = {**given, **(event.parameter_defaults or {})}
        check_names(run.flow.name, run.flow.parameters(), parameters)
        end = run.once(parameters, values, event.start_time, **first)
        first = {}
        values.pop("flow_run_id", None)  # of the first run: each later one is a run of its own


@dataclass
class _Run:
    """What all runs of one call share."""

    flow: Flow
    clock: Clock
    runner: Callable[[], Any]
    options: Mapping[str, Any]
    ask: Ask
    task_contexts: dict[Task, dict[str, Any]] = field(default_factory=dict)

    @stopping.shielded
    def once(
        self,
        parameters: Mapping[str, Any],
        values: Mapping[str, Any],
        start: dt.datetime,
        state: State | None = None,
        states: Mapping[Task, State] | None = None,
        task_contexts: Mapping[Task, Mapping[str, Any]] | None = None,
    ) -> State:
        """Run the flow once, from `start` on."""
        self.task_contexts = {task: dict(own) for task, own in (task_contexts or {}).items()}
        context = {"scheduled_start_time": start, "caches": _caches(), **values}
        context.setdefault("flow_run_id", self.clock.new_id())
        if state is None:
            state = Scheduled("flow run scheduled", start_time=start)
        if states is None and isinstance(state.result, Mapping):
            states = state.result
        tasks, runner = self.flow.sorted_tasks(), self.runner()
        with stopping.watch():
            self._sleep((start - self.clock.now()).total_seconds())
            with self._kept():
                end = self._to_the_end(runner, state, states, tasks, parameters, context)
        return _complete(end, tasks, runner)

    def _kept(self) -> AbstractContextManager[None]:
        executor = self.options.get("executor") or self.flow.executor
        return executor.keep() if isinstance(executor, Executor) else nullcontext()

    def _to_the_end(
        self,
        runner: Any,
        state: State,
        known: Mapping[Task, State] | None,
        tasks: Collection[Task],
        parameters: Mapping[str, Any],
        context: Mapping[str, Any],
    ) -> State:
        while True:
            more = {**self.options, **({"task_contexts": self.task_contexts} if self.task_contexts else {})}
            state = runner.run(
                state=state, task_states=known, return_tasks=tasks, parameters=parameters, context=context, **more
            )
            known = state.result
            if not isinstance(known, dict):
                return state
            if state.is_finished():
                _keep(known, context["caches"], self.clock)
                return state
            if not self._goes_on(runner, state):
                return state

    def _goes_on(self, runner: Any, state: State) -> bool:
        """Wait until another pass makes sense; False when none will."""
        if not isinstance(runner, FlowRunner) or runner.progress is None:  # a runner of another kind
            starts = [each.start_time for each in _each(state.result) if isinstance(each, Scheduled)]
            known = [start for start in starts if start is not None]
            self._sleep((min(known) - self.clock.now()).total_seconds() if known else 0.0)
            return True
        try:
            wait = runner.progress.due_in()
            if wait is None:
                return self._resume(runner.progress)
            self._sleep(wait)
        except stopping.STOPS as error:
            runner.cancel(state, error)
            raise
        return True

    @stopping.interruptible
    def _sleep(self, seconds: float) -> None:
        if stopping.watch.pending:
            stopping.watch.strike()
        self.clock.sleep(seconds)

    @stopping.interruptible
    def _resume(self, progress: Progress) -> bool:
        """Ask about what is paused; whether anything goes on."""
        resumed = False
        for unit in list(progress.paused):
            try:
                while self.ask(f"'{unit.name}' is paused; enter 'y' to resume it: ").strip().lower() not in (
                    "y",
                    "yes",
                ):
                    pass
            except (EOFError, OSError):  # nobody there
                break
            before = progress.state_of(unit)
            progress.resume(unit, Resume("resumed", context=before.context if before else None))
            task = unit.task if isinstance(unit, Child) else unit
            self.task_contexts.setdefault(task, {})["resume"] = True
            resumed = True
        return resumed


def _complete(state: State, tasks: Collection[Task], runner: Any) -> State:
    """The state, with a state for each task in its result."""
    found = state.result
    if isinstance(found, dict) and len(found) == len(tasks):
        return state
    if not isinstance(found, Mapping):
        progress = runner.progress if isinstance(runner, FlowRunner) else None
        if progress is None and isinstance(found, BaseException):
            return state
        found = {} if progress is None else progress.states
    state.result = {task: found.get(task) or Pending("not run") for task in tasks}
    return state


def _each(states: Mapping[Task, State]) -> Iterable[State]:
    for state in states.values():
        if isinstance(state, Mapped):
            yield from state.map_states
        yield state


# ---------------------------------------------------------------- caches


def _caches() -> dict[str, list[State]]:
    """Results that later runs of this process may use, by cache key; they live in the context outside of runs."""
    found: dict[str, list[State]] | None = run_context.get().get("caches")
    return {} if found is None else found


def _keep(states: Mapping[Task, State], caches: dict[str, list[State]], clock: Clock) -> None:
    """Put results of a run that later ones may use into `caches`, and that where they find it."""
    for task, state in states.items():
        if task.cache_for is None:
            continue
        key, now = task.cache_key or task.name, clock.now()
        new = [each for each in _each({task: state}) if isinstance(each, Cached)]
        known = [each for each in caches.get(key, []) if not any(each is one for one in new)] + new
        fresh = [each for each in known if (end := getattr(each, "cached_result_expiration", None)) and end > now]
        if fresh or key in caches:
            caches[key] = fresh
    if caches and "caches" not in run_context.get():
        current["caches"] = caches


# ---------------------------------------------------------------- asking


def _ask_user(question: str) -> str:
    """Ask on the terminal; a notebook, which has none, puts an `input` of its own in place."""
    ours = isinstance(builtins.input, types.BuiltinFunctionType)
    if ours and not (sys.stdin is not None and sys.stdin.isatty()):
        raise EOFError
    return input(question)
