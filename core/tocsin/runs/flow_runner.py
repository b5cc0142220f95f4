"""How one pass over a flow is made, and what the flow's own state becomes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tocsin.clock import Clock, SystemClock
from tocsin.errors import ParameterError
from tocsin.flows.debug import raising
from tocsin.flows.events import Standing
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import StateHandler, checked_handlers
from tocsin.flows.logs import show_logs
from tocsin.flows.signals import ENDRUN
from tocsin.flows.task import Task
from tocsin.runs import stopping, transitions
from tocsin.runs.attempts import TaskAttempts
from tocsin.runs.executors import Executor, LocalExecutor
from tocsin.runs.passes import Progress
from tocsin.runs.publishing import OnChange, Publisher
from tocsin.runs.settling import Settler, Surroundings, call_state_handlers, log
from tocsin.runs.standings import Standings
from tocsin.runs.surroundings import flow_context
from tocsin.runs.task_runner import TaskRunner
from tocsin_hooks.states import Cancelled, Mapped, Pending, Running, Scheduled, State, run_context


class Beginning(NamedTuple):
    """From what a run of a flow starts."""

    state: State
    task_states: Mapping[Task, State]
    context: Mapping[str, Any]
    task_contexts: Mapping[Task, Mapping[str, Any]]


class FlowRunner(Settler):
    """Makes passes over a flow.

    `state_handlers` see the flow's transitions after the flow's own, with the runner as first argument. What `run`
    goes through are methods of their own: each takes the flow's state, and when it returns another, handlers see that.
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
        self.at_once = False
        """Whether a retry that comes due during a pass is made in it; else, as in Prefect 1, in the next pass."""
        self._decided = False  # whether the reference tasks have said how the flow ends
        self._attempts: TaskAttempts | None = None
        self._wanted: Collection[Task] = ()
        self._own_handlers = checked_handlers("flow runner", state_handlers)
        self.watched_by(publisher, clock or SystemClock(), on_change)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.flow.name}>"

    def watched_by(self, publisher: Publisher | None, clock: Clock, on_change: OnChange | None) -> None:
        """Tell these of what happens, and take the time from this clock."""
        super().__init__(self.flow, self._own_handlers, Surroundings((), (), publisher, clock, on_change))

    @stopping.shielded
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

        Its `result` maps the `return_tasks` to their states; passing it back as `task_states` goes on where the pass
        stopped. Ctrl-C, SIGTERM and `sys.exit()` cancel the run: tasks that have not ended end as `Cancelled`, and so
        does the flow, and then what stopped it is raised again.
        """
        show_logs()
        known: Mapping[Task, State] = {} if task_states is None else task_states
        start = self.initialize_run(state, known, context or {}, task_contexts or {}, parameters or {})
        token = run_context.set({**start.context, "attempt": self})
        try:
            with stopping.watch():
                return self._through_steps(
                    start.state,
                    task_states=start.task_states,
                    task_contexts=start.task_contexts,
                    return_tasks=return_tasks,
                    task_runner_state_handlers=task_runner_state_handlers,
                    executor=executor,
                )
        finally:
            run_context.reset(token)

    def _through_steps(self, state: State, **options: Any) -> State:
        try:
            try:
                state = self.check_flow_is_pending_or_running(state)
                state = self.check_flow_reached_start_time(state)
                state = self.set_flow_to_running(state)
                return self.get_flow_run_state(state, **options)
            except Exception as error:
                if raising():
                    raise
                log.exception("the run of flow '%s' broke", self.flow.name)
                return self.settle(state, transitions.failed(error))
        except ENDRUN as signal:
            return signal.state
        except stopping.STOPS as error:
            self._cancel(state, error)
            raise

    def initialize_run(
        self,
        state: State | None,
        task_states: Mapping[Task, State],
        context: Mapping[str, Any],
        task_contexts: Mapping[Task, Mapping[str, Any]],
        parameters: Mapping[str, Any],
    ) -> Beginning:
        """From what the run starts: the state unwrapped, the context completed."""
        values = flow_context(self.flow, parameters, context, self.clock)
        return Beginning(transitions.initial(state), task_states, values, task_contexts)

    # ---------------------------------------------------------------- steps

    @call_state_handlers
    def check_flow_is_pending_or_running(self, state: State) -> State:
        """Return the state if the flow can be run from it; ENDRUN if it has ended, or is none to run from."""
        if state.is_pending() or state.is_running():
            return state
        raise ENDRUN(state)

    @call_state_handlers
    def check_flow_reached_start_time(self, state: State) -> State:
        """Return the state if its time to start has come; ENDRUN otherwise."""
        if isinstance(state, Scheduled) and not transitions.is_due(state.start_time, self.clock.now()):
            raise ENDRUN(state)
        return state

    @call_state_handlers
    def set_flow_to_running(self, state: State) -> State:
        """Return `Running` for a flow that is pending; the state itself if it is running; ENDRUN otherwise."""
        if self.started is None:
            self.started = self.clock.monotonic()
        if state.is_pending():
            return Running("flow run started")
        if state.is_running():
            return state
        raise ENDRUN(state)

    @call_state_handlers
    def get_flow_run_state(
        self,
        state: State,
        task_states: Mapping[Task, State] | None = None,
        task_contexts: Mapping[Task, Mapping[str, Any]] | None = None,
        return_tasks: Iterable[Task] | None = None,
        task_runner_state_handlers: Iterable[StateHandler] | None = None,
        executor: Executor | None = None,
    ) -> State:
        """Try all tasks that can be tried; return what becomes of the flow, the state itself if tasks are left."""
        if not state.is_running():
            raise ENDRUN(state)
        self._wanted = self._checked(return_tasks)
        progress = self.progress
        if progress is None or task_states is not progress.states:
            progress = self.progress = Progress(self.flow, task_states or {}, self.clock, at_once=self.at_once)
            self.standings = Standings(self.flow, progress.states)
        executor = executor or self.flow.executor or LocalExecutor()
        handlers = checked_handlers("task runner", task_runner_state_handlers)
        self._attempts = self._attempts_with(executor, handlers, task_contexts or {})
        with executor.start(self.clock):
            try:
                progress.work(self._attempts)
            except stopping.STOPS:
                progress.take(executor.cancel())
                raise
        return self._ended_as(state, progress)

    def _checked(self, tasks: Iterable[Task] | None) -> Collection[Task]:
        wanted = tasks if isinstance(tasks, list | tuple) else list(tasks or ())
        if wanted is not self._wanted:
            strange = ", ".join(
                sorted(f"'{getattr(task, 'name', task)}'" for task in wanted if task not in self.flow.slugs)
            )
            if strange:
                raise ParameterError(f"return_tasks of flow '{self.flow.name}' has tasks that it has not: {strange}")
        return wanted

    def _attempts_with(
        self,
        executor: Executor,
        handlers: list[StateHandler],
        task_contexts: Mapping[Task, Mapping[str, Any]],
    ) -> TaskAttempts:
        flow_result = getattr(self.flow, "result", None)
        own, publisher, clock = self.flow.task_state_handlers, self.publisher, self.clock
        shared = Surroundings(own, handlers, publisher, clock, self._on_change, flow_result, self.standings)
        values = {key: value for key, value in run_context.get().items() if key != "attempt"}
        return TaskAttempts(self.flow, self.task_runner_cls, executor, values, shared, task_contexts)

    # ---------------------------------------------------------------- how it ends

    def standing(self, state: State) -> Standing:  # noqa: ARG002
        """From which failures of tasks that of the flow follows."""
        return self.standings.of_flow() if self._decided and self.standings is not None else Standing()

    def _ended_as(self, state: State, progress: Progress) -> State:
        states = progress.states
        if progress.left:
            progress.fill()
            terminal = self.flow.terminal_tasks()
            if not all(transitions.has_ended(states[task]) for task in terminal):
                state.result = self._returned(progress)
                return state
        self._decided = True
        reference = set(_with_children(states[task] for task in self.flow.reference_tasks()))
        end = self.determine_final_state(state, reference, self._returned(progress), set())
        handler = self.flow.terminal_state_handler
        return end if handler is None else handler(self.flow, end, reference) or end

    def determine_final_state(
        self,
        state: State,
        key_states: set[State],
        return_states: dict[Task, State],
        terminal_states: set[State],
    ) -> State:
        """The state a flow ends in, given those of its reference tasks; `state` itself if a terminal one has not."""
        if not all(each.is_finished() for each in terminal_states):
            state.result = return_states
            return state
        end = transitions.flow_end(key_states, self._failed_names(key_states))
        end.result = return_states
        return end

    def _failed_names(self, states: set[State]) -> Iterator[str]:
        known = self.progress.states if self.progress is not None else {}
        for task in self.flow.sorted_tasks():
            state = known.get(task)
            if state is not None and any(each.is_failed() and each in states for each in _with_children([state])):
                yield task.name

    def _returned(self, progress: Progress) -> dict[Task, State]:
        states = progress.states
        if progress.left and len(self._wanted) == len(states):
            return states  # as they stand and change: copying them in every pass would cost more than the passes
        return {task: states[task] for task in self._wanted}

    # ---------------------------------------------------------------- when it is stopped

    def cancel(self, state: State, error: BaseException) -> State:
        """Return `Cancelled` for a run that is stopped between two passes, after its tasks have become it, too."""
        values = {} if self._attempts is None else self._attempts.values
        token = run_context.set({**values, "attempt": self})
        try:
            return self._cancel(state, error)
        finally:
            run_context.reset(token)

    def _cancel(self, state: State, error: BaseException) -> State:
        if state.is_finished() or stopping.is_at_once(error):
            return state
        progress, attempts, why = self.progress, self._attempts, stopping.reason(error)
        states: dict[Task, State] = {}
        if progress is not None and attempts is not None:
            for unit in progress.unfinished():
                old = progress.state_of(unit) or Pending()
                progress.settle_on(unit, attempts.conclude(unit, old, Cancelled(f"task run {why}")))
            states = {task: progress.states[task] for task in self._wanted}
        try:
            end = self.settle(state, Cancelled(f"flow run {why}", result=states), last=True)
        except ENDRUN as signal:
            end = signal.state
        stopping.leave_state(error, end)
        return end


def _with_children(states: Iterable[State]) -> Iterator[State]:
    """The states, those of mapped tasks replaced by their children's."""
    for state in states:
        if isinstance(state, Mapped):
            yield from state.map_states
        else:
            yield state
