"""The steps of a task run: what each makes of the state it is given."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from tocsin.flows.context import context as current
from tocsin.flows.debug import raising
from tocsin.flows.events import Standing
from tocsin.flows.signals import ENDRUN, LOOP, SUCCESS, TRIGGERFAIL, StateSignal, TaskTimeoutSignal
from tocsin.flows.task import Task
from tocsin.flows.triggers import Upstream
from tocsin.runs import keeping, stopping, transitions
from tocsin.runs.mapping import ready_to_map
from tocsin.runs.settling import Settler, call_state_handlers
from tocsin_hooks.results import Result
from tocsin_hooks.states import (
    Cached,
    Cancelled,
    Failed,
    Mapped,
    Paused,
    Pending,
    Running,
    Scheduled,
    Skipped,
    State,
    Success,
    TimedOut,
    TriggerFailed,
    run_context,
)

Inputs = dict[str, Result]


class TaskSteps(Settler):
    """What a task run goes through, in order. A step takes a state and returns one; raising ENDRUN ends the run."""

    task: Task
    constants: Mapping[str, Any]
    """Arguments that are known beforehand."""
    flow_result: Result | None
    result: Result | None
    """How the task's result is kept; None when neither it nor the flow says so."""
    attempt: int
    """The number of the attempt under way, from 1."""

    def foresee(self, state: State) -> bool:
        """Whether a retry follows this state."""
        task = self.task
        return transitions.will_retry(state, self.attempt, task.max_retries, task.retry_on)

    def standing(self, state: State) -> Standing:
        """How a failure for good stands to others of the run."""
        if self.standings is None:
            return Standing()
        return self.standings.of_task(self.task, run_context.get().get("map_index"), state)

    # ---------------------------------------------------------------- whether it may run

    @call_state_handlers
    def check_task_is_ready(self, state: State) -> State:
        """End the run unless the state is one from which to start."""
        if state.is_pending() or isinstance(state, Cached | Mapped):
            return state
        raise ENDRUN(state)

    @call_state_handlers
    def check_task_reached_start_time(self, state: State) -> State:
        """End the run if its time has not come; what is paused may go on when it is resumed, too."""
        if not isinstance(state, Scheduled) or transitions.is_due(state.start_time, self.clock.now()):
            return state
        if isinstance(state, Paused) and run_context.get().get("resume"):
            return state
        raise ENDRUN(state)

    @call_state_handlers
    def check_upstream_finished(self, state: State, upstream_states: Upstream) -> State:
        """End the run if a task before it has not ended."""
        if transitions.unfinished(transitions.each_state(upstream_states)):
            raise ENDRUN(state)
        return state

    @call_state_handlers
    def check_upstream_skipped(self, state: State, upstream_states: Upstream) -> State:
        """Skip the task if one before it was skipped, unless it has `skip_on_upstream_skip=False`."""
        if self.task.skip_on_upstream_skip and any(
            isinstance(each, Skipped) for each in transitions.each_state(upstream_states)
        ):
            text = "an upstream task was skipped; skip_on_upstream_skip=False runs this one all the same"
            raise ENDRUN(Skipped(text))
        return state

    def load_results(self, state: State, upstream_states: Upstream) -> tuple[State, Upstream]:
        """Read back the results of the tasks before it that are kept elsewhere and not here."""
        try:
            for edge, each in upstream_states.items():
                if edge.key is not None and keeping.is_kept_elsewhere(each):
                    each.load_result(edge.upstream_task.result or self.flow_result)
        except Exception as error:
            if raising():
                raise
            text = f"the result of an upstream task could not be read back: {error!r}"
            raise ENDRUN(self.settle(state, Failed(text, error), last=True)) from error
        return state, upstream_states

    @call_state_handlers
    def check_task_ready_to_map(self, state: State, upstream_states: Upstream) -> State:
        """End the run as `Mapped`, for children to follow, or as `Failed` when there is nothing to map over."""
        raise ENDRUN(state if isinstance(state, Mapped) else ready_to_map(upstream_states))

    def get_task_inputs(self, state: State, upstream_states: Upstream) -> Inputs:
        """The arguments of the task, wrapped."""
        return transitions.inputs(upstream_states, self.constants, state.cached_inputs)

    def set_task_run_name(self, task_inputs: Inputs) -> None:
        """Put the task run's name into the context, if the task says how to make one."""
        if self.task.task_run_name is not None:
            name = keeping.filled(self.task.task_run_name, keeping.words(current.to_dict(), task_inputs))
            run_context.set({**run_context.get(), "task_run_name": name})

    @call_state_handlers
    def check_target(self, state: State, inputs: Inputs) -> State:
        """`Cached`, if there is something at the task's target."""
        if self.result is None or self.task.target is None:
            return state
        return keeping.at_target(self.task, self.result, inputs, current.to_dict()) or state

    @call_state_handlers
    def check_task_is_cached(self, state: State, inputs: Inputs) -> State:
        """`Cached`, if there is a result that the task's cache validator lets it use."""
        found = keeping.usable(self.task, state, self.result, inputs, run_context.get())
        if found is not None:
            return found
        return Pending("the cache is no longer valid") if isinstance(state, Cached) else state

    @call_state_handlers
    def check_task_trigger(self, state: State, upstream_states: Upstream) -> State:
        """End the run as `TriggerFailed`, or as the trigger signals, unless the trigger is satisfied."""
        trigger = self.task.trigger
        try:
            if not trigger(upstream_states):
                raise TRIGGERFAIL(f"trigger '{getattr(trigger, '__name__', trigger)}' was not satisfied")
        except StateSignal as signal:
            if raising():
                raise
            raise ENDRUN(signal.state) from signal
        except Exception as error:
            if raising():
                raise
            text = f"Unexpected error in the trigger: {error!r}"
            raise ENDRUN(TriggerFailed(text, error)) from error
        return state

    # ---------------------------------------------------------------- running it

    @call_state_handlers
    def set_task_to_running(self, state: State, inputs: Inputs | None = None) -> State:  # noqa: ARG002
        """`Running`, or the end of the run if a result was found."""
        if not state.is_pending():
            raise ENDRUN(state)
        self.started = self.clock.monotonic()
        return Running("task run started")

    @call_state_handlers
    def get_task_run_state(self, state: State, inputs: Inputs) -> State:
        """Do the task's work; the state says what became of it."""
        if not state.is_running():
            raise ENDRUN(state)
        ended: State | None = None
        try:
            value = self._work(keeping.raw(inputs)) if inputs else self._work({})
        except TaskTimeoutSignal as timeout:
            return self._timed_out(timeout)
        except (LOOP, SUCCESS) as signal:
            if raising() and isinstance(signal, SUCCESS):
                raise
            ended, value = signal.state, signal.state.result
            ended.message = ended.message or f"round {run_context.get().get('task_loop_count') or 1} of the loop ended"
        except Exception as error:
            return self._raised(error)
        except stopping.STOPS as error:
            self._stopped(state, error)
            raise
        if self.result is not None:
            context = run_context.get()
            if keeping.is_to_be_written(self.task, value, context):
                value = keeping.written(self.result, value, keeping.words(current.to_dict(), inputs))
            else:
                value = self.result.from_value(value)
        if ended is None:
            return Success("task run succeeded", value)
        ended.result = value
        return ended

    @stopping.interruptible
    def _work(self, arguments: Mapping[str, Any]) -> Any:
        if stopping.watch.pending:
            stopping.watch.strike()
        task = self.task
        if not task.log_stdout and not task.timeout:
            return task.run(**arguments) if arguments else task.run()
        from tocsin.runs import printing, timeouts  # needed by few

        with printing.redirected(current.logger) if task.log_stdout else nullcontext():
            if not task.timeout:
                return task.run(**arguments)
            return timeouts.call_within(task.timeout, task.run, arguments, task.logger)

    def _timed_out(self, timeout: TaskTimeoutSignal) -> State:
        from tocsin.runs import timeouts

        if raising() or timeouts.is_foreign(timeout, self.task.run):
            raise timeout
        timeout.limit = None  # the task's function need not travel with the state
        return TimedOut(str(timeout), timeout)

    def _stopped(self, running: State, error: BaseException) -> None:
        """Settle on `Cancelled`, and leave that for the flow runner to find."""
        if getattr(error, "silent", False):
            return
        try:
            state = self.settle(running, Cancelled(f"task run {stopping.reason(error)}"), last=True)
        except ENDRUN as signal:
            state = signal.state
        stopping.leave_state(error, state)

    def _raised(self, error: Exception) -> State:
        if raising():
            raise error
        state = transitions.failed(error)
        level = logging.WARNING if self.foresee(state) else logging.ERROR
        self.task.logger.log(level, "attempt %d of task '%s' raised", self.attempt, self.task.name, exc_info=error)
        return state

    # ---------------------------------------------------------------- what follows

    @call_state_handlers
    def cache_result(self, state: State, inputs: Inputs) -> State:
        """`Cached` in place of a success that later runs may use."""
        if not keeping.is_to_be_cached(self.task, state):
            return state
        assert self.task.cache_for is not None
        return keeping.cached(state, inputs, self.clock.now() + self.task.cache_for, run_context.get())

    @call_state_handlers
    def check_for_retry(self, state: State, inputs: Inputs) -> State:
        """`Retrying` in place of a failure after which the task is tried again."""
        if not self.foresee(state):
            return state
        delay, context = self.task.retry_delay, run_context.get()
        assert delay is not None  # a task with retries has one
        kept = {**transitions.loop_kept(context, self._loop_result(context)), **inputs}
        return transitions.retrying(state, self.attempt, self.task.max_retries, self.clock.now() + delay, kept)

    def _loop_result(self, context: Mapping[str, Any]) -> Result | None:
        value = context.get("task_loop_result")
        if self.result is None or not keeping.is_to_be_written(self.task, value, context):
            return None
        return keeping.written(self.result, value, keeping.words(current.to_dict(), {}))


STEPS = (
    "check_task_is_ready",
    "check_task_reached_start_time",
    "check_upstream_finished",
    "check_upstream_skipped",
    "load_results",
    "get_task_inputs",
    "set_task_run_name",
    "check_target",
    "check_task_is_cached",
    "check_task_trigger",
    "cache_result",
    "check_for_retry",
)
"""The steps that may be left out when they have nothing to do."""
