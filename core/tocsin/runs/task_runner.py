"""How one attempt at a task is made."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from tocsin.flows.handlers import StateHandler, checked_handlers
from tocsin.flows.signals import ENDRUN, StateSignal
from tocsin.flows.task import Task
from tocsin.flows.triggers import Upstream
from tocsin.runs import transitions
from tocsin.runs.settling import ALONE, Settler, Surroundings, log
from tocsin_hooks.states import Pending, Running, Scheduled, State, Success, run_context

_NOTHING: Mapping[str, Any] = {}


class TaskRunner(Settler):
    """Makes one attempt at a task: from `Pending`, or a `Retrying` that is due, to where it ends or has to wait.

    `state_handlers` see its transitions after the task's own and the flow's, with the runner as first argument.
    """

    def __init__(
        self,
        task: Task,
        state_handlers: Iterable[StateHandler] | None = None,
        *,
        slug: str | None = None,
        constants: Mapping[str, Any] = _NOTHING,
        surroundings: Surroundings = ALONE,
    ) -> None:
        self.task = task
        self.slug = slug or task.slug or task.name
        self.constants = constants
        self.attempt = 1
        handlers = checked_handlers("task runner", state_handlers) if state_handlers else ()
        super().__init__(task, handlers, surroundings)

    def run(
        self,
        state: State | None = None,
        upstream_states: Upstream | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> State:
        """Return the state in which the task ends, or the one in which it has to wait."""
        state = transitions.initial(state)
        self.attempt = 1 if type(state) is Pending and not state.context else transitions.attempt_number(state)
        self.started = None
        token = run_context.set(self._context(run_context.get() if context is None else context))
        try:
            return self._advance(state, upstream_states or {})
        except ENDRUN as signal:
            return signal.state
        except Exception as error:
            log.exception("the run of task '%s' broke", self.task.name)
            return transitions.failed(error)
        finally:
            run_context.reset(token)

    def lose(self, state: State, context: Mapping[str, Any], error: Exception) -> State:
        """Return `Failed` for an attempt that an executor has lost, after telling everybody."""
        self.attempt = transitions.attempt_number(state)
        token = run_context.set(self._context(context))
        try:
            return self.settle(state, transitions.failed(error), last=True)
        except ENDRUN as signal:
            return signal.state
        finally:
            run_context.reset(token)

    def foresee(self, state: State) -> bool:
        """Whether a retry follows this state."""
        task = self.task
        return transitions.will_retry(state, self.attempt, task.max_retries, task.retry_on)

    def _context(self, values: Mapping[str, Any]) -> dict[str, Any]:
        task = self.task
        return {
            **values,
            "task_name": task.name,
            "task_full_name": task.name,
            "task_slug": self.slug,
            "task_tags": task.tags,
            "task_run_id": f"{values.get('flow_run_id', '')}/{self.slug}",
            "task_run_count": self.attempt,
            "attempt": self,
        }

    def _advance(self, state: State, upstream: Upstream) -> State:
        if type(state) is not Pending and not self._may_start(state):
            return state
        if not transitions.plainly_ready(self.task, upstream):
            if transitions.unfinished(upstream.values()):
                return state
            refused = transitions.refuse(self.task, upstream)
            if refused is not None:
                return self.settle(state, refused, last=True)
        self.started = self.clock.monotonic()
        running = self.settle(state, Running("task run started"))
        if not isinstance(running, Running):
            return running
        try:
            ended = self._work(upstream)
        except ENDRUN as signal:
            return self.settle(running, signal.state, last=True)
        ended = self.settle(running, ended)
        return self.settle(ended, self._retrying(ended)) if self.foresee(ended) else ended

    def _may_start(self, state: State) -> bool:
        if isinstance(state, Scheduled):
            return transitions.is_due(state.start_time, self.clock.now())
        return state.is_pending()

    def _work(self, upstream: Upstream) -> State:
        try:
            if upstream or self.constants:
                result = self.task.run(**transitions.inputs(upstream, self.constants))
            else:
                result = self.task.run()
        except StateSignal as signal:
            return signal.state
        except Exception as error:
            state = transitions.failed(error)
            level = logging.WARNING if self.foresee(state) else logging.ERROR
            self.task.logger.log(level, "attempt %d of task '%s' raised", self.attempt, self.task.name, exc_info=error)
            return state
        return Success("task run succeeded", result)

    def _retrying(self, state: State) -> State:
        delay = self.task.retry_delay
        assert delay is not None  # a task with retries has one
        return transitions.retrying(state, self.attempt, self.task.max_retries, self.clock.now() + delay)


def run_task(
    runner_class: type[TaskRunner],
    task: Task,
    slug: str,
    constants: Mapping[str, Any],
    state: State | None,
    upstream_states: Upstream,
    context: Mapping[str, Any],
    surroundings: Surroundings,
) -> State:
    """Make one attempt: the unit that executors are given. All it needs comes in its arguments."""
    runner = runner_class(task, surroundings.runner_handlers, slug=slug, constants=constants, surroundings=surroundings)
    return runner.run(state, upstream_states, context)
