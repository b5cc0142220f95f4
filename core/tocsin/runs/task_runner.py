"""How one attempt at a task is made: the steps of Prefect 1's pipeline, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from tocsin.flows.context import context as current
from tocsin.flows.debug import raising
from tocsin.flows.handlers import StateHandler, checked_handlers
from tocsin.flows.signals import ENDRUN, PAUSE
from tocsin.flows.task import Task
from tocsin.flows.triggers import Upstream, all_successful
from tocsin.runs import keeping, stopping, transitions
from tocsin.runs.settling import ALONE, Surroundings, log
from tocsin.runs.steps import STEPS, Inputs, TaskSteps
from tocsin_hooks.results import Result
from tocsin_hooks.states import Cached, Looped, Pending, Resume, State, Success, run_context

_NOTHING: Mapping[str, Any] = {}


class TaskRunner(TaskSteps):
    """Makes one attempt at a task: from `Pending`, or a `Retrying` that is due, to where it ends or has to wait.

    `state_handlers` see its transitions after the task's own and the flow's, with the runner as first argument.
    `flow_result` says how the result is kept if the task does not. A subclass may replace any of the steps.
    """

    _plain: ClassVar[bool] = True
    """Whether all steps are these here, so that one with nothing to do may be left out."""

    def __init_subclass__(cls) -> None:
        cls._plain = all(getattr(cls, name) is getattr(TaskRunner, name) for name in STEPS)

    def __init__(
        self,
        task: Task,
        state_handlers: Iterable[StateHandler] | None = None,
        flow_result: Result | None = None,
        *,
        slug: str | None = None,
        constants: Mapping[str, Any] = _NOTHING,
        surroundings: Surroundings = ALONE,
    ) -> None:
        self.task = task
        found = self.flow_result = surroundings.flow_result if flow_result is None else flow_result
        self.result = None if found is None and task.result is None else keeping.result_of(task, found)
        self.slug = slug or task.slug or task.name
        self.constants = constants
        self.attempt = 1
        handlers = checked_handlers("task runner", state_handlers) if state_handlers else ()
        super().__init__(task, handlers, surroundings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.task.name}>"

    # ---------------------------------------------------------------- a run

    @stopping.shielded
    def run(
        self,
        state: State | None = None,
        upstream_states: Upstream | None = None,
        is_mapped_parent: bool = False,
        context: Mapping[str, Any] | None = None,
    ) -> State:
        """Return the state in which the task ends, or the one in which it has to wait.

        A parent of mapped tasks ends `Mapped`, without running. A task that loops is run again at once.
        """
        around = run_context.get()
        if context is None:
            given = around
        elif not around or around.get("flow_run_id") is context.get("flow_run_id", _NOTHING):
            given = context  # that of the flow run, which is around it already
        else:
            given = {**around, **context}
        self.attempt = 1
        token = run_context.set(given)
        try:
            state, values = self.initialize_run(state, given)
            while True:
                run_context.set(values)
                state = self._pipeline(state, upstream_states or {}, is_mapped_parent)
                if not isinstance(state, Looped):
                    return state
                state, more = transitions.next_round(state)
                state, values = self.initialize_run(state, {**values, **more})
        except Exception as error:
            if raising():
                raise
            log.exception("the run of task '%s' broke", self.task.name)
            return self._settled(state or Pending(), transitions.failed(error))
        finally:
            run_context.reset(token)

    def _settled(self, state: State, end: State) -> State:
        """The end of a run that no step has told of."""
        try:
            return self.settle(state, end, last=True)
        except ENDRUN as signal:
            return signal.state

    def conclude(self, state: State, context: Mapping[str, Any], end: State) -> State:
        """Return `end`, or what handlers make of it, for a run that ends without another attempt."""
        token = run_context.set(context)
        try:
            state, values = self.initialize_run(state, context)
            run_context.set(values)
            return self._settled(state, end)
        finally:
            run_context.reset(token)

    def initialize_run(self, state: State | None, context: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
        """Return the state from which the run starts, and what the context holds while it lasts."""
        task = self.task
        plain, resumed = state is None, isinstance(state, Resume)
        state = Pending() if state is None else transitions.initial(state)
        self.attempt = 1 if plain else transitions.attempt_number(state)
        self.started = None
        index = context.get("map_index")
        full_name = task.name if index is None else f"{task.name}[{index}]"
        values: dict[str, Any] = {
            "map_index": None,
            **context,
            "task_name": task.name,
            "task_full_name": full_name,
            "task_slug": self.slug,
            "task_tags": task.tags,
            "task_run_id": f"{context.get('flow_run_id', '')}/{self.slug}",
            "task_run_count": self.attempt,
            "attempt": self,
        }
        if "checkpointing" not in values:
            values["checkpointing"] = bool(current.config.flows.checkpointing)
        if resumed:
            values["resume"] = True
        if not plain:
            values.update(transitions.loop_resumed(state, self.result))
        return state, values

    def _pipeline(self, state: State, upstream: Upstream, is_mapped_parent: bool) -> State:
        inputs: Inputs = {}
        try:
            plain = self._plain and type(state) is Pending  # nothing to check, but what came before it
            if not plain:
                state = self.check_task_is_ready(state)
                state = self.check_task_reached_start_time(state)
            smooth = plain and transitions.all_succeeded_plainly(upstream)
            if not smooth:
                state = self.check_upstream_finished(state, upstream)
                state = self.check_upstream_skipped(state, upstream)
            if is_mapped_parent:
                state, upstream = self.load_results(state, upstream)
                return self.check_task_ready_to_map(state, upstream)
            if self.constants or state.cached_inputs or transitions.any_key(upstream) or not self._plain:
                state, upstream = self.load_results(state, upstream)
                inputs = self.get_task_inputs(state, upstream)
            return self._attempt(state, upstream, inputs, smooth)
        except (ENDRUN, PAUSE) as signal:
            return self._with_inputs(signal.state, inputs)

    def _attempt(self, state: State, upstream: Upstream, inputs: Inputs, smooth: bool) -> State:
        task, every = self.task, not self._plain
        if task.task_run_name is not None or every:
            self.set_task_run_name(inputs)
        if task.target is not None:
            state = self.check_target(state, inputs)
        elif task.cache_for is not None or every or isinstance(state, Cached):
            state = self.check_task_is_cached(state, inputs)
        if not smooth or task.trigger is not all_successful:
            state = self.check_task_trigger(state, upstream)
        state = self.set_task_to_running(state, inputs)
        state = self.get_task_run_state(state, inputs)
        if task.cache_for is not None or every:
            state = self.cache_result(state, inputs)
        if type(state) is not Success or every:
            state = self.check_for_retry(state, inputs)
            return self._with_inputs(state, inputs)
        return state

    def _with_inputs(self, state: State, inputs: Inputs) -> State:
        """A state in which the task waits keeps its inputs, and which round of a loop it is in."""
        if isinstance(state, Pending):
            kept = {**transitions.loop_kept(run_context.get()), **inputs}
            if kept:
                state.cached_inputs = {**kept, **(state.cached_inputs or {})}
        return state


def run_task(
    runner_class: type[TaskRunner],
    task: Task,
    slug: str,
    constants: Mapping[str, Any],
    state: State | None,
    upstream_states: Upstream,
    context: Mapping[str, Any],
    surroundings: Surroundings,
    is_mapped_parent: bool = False,
) -> State:
    """Make one attempt: the unit that executors are given. All it needs comes in its arguments."""
    runner = runner_class(task, surroundings.runner_handlers, slug=slug, constants=constants, surroundings=surroundings)
    return runner.run(state, upstream_states, is_mapped_parent, context)
