"""What happens between entering a state and going on from it: state handlers, then the publisher, then progress.

The order, which is Prefect 1's: the task's or flow's own handlers, then the flow's handlers for all tasks, then the
runner's. Each sees what the one before it made of the state. A handler that raises ends the run as `Failed`; no later
handler is called, for that state either. Inside `raise_on_exception()` what is raised stays raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast

from tocsin.clock import Clock, SystemClock
from tocsin.flows.debug import raising
from tocsin.flows.events import Standing, event_of
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import StateHandler, handler_name
from tocsin.flows.signals import ENDRUN, PAUSE, StateSignal
from tocsin.flows.task import Task
from tocsin.masked import logger
from tocsin.runs.publishing import OnChange, Publisher, notes_among
from tocsin.runs.standings import Standings
from tocsin.runs.transitions import failed
from tocsin_hooks.results import Result
from tocsin_hooks.states import Failed, State, run_context

log = logger("tocsin.runs")

Step = TypeVar("Step", bound=Callable[..., State])


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all task runs of one flow run share."""

    flow_handlers: Sequence[StateHandler] = ()
    """The flow's `task_state_handlers`."""
    runner_handlers: Sequence[StateHandler] = ()
    publisher: Publisher | None = None
    clock: Clock = field(default_factory=SystemClock)
    on_change: OnChange | None = None
    flow_result: Result | None = None
    """How the results of tasks are kept that do not say so themselves."""
    standings: Standings | None = None
    """How failures stand to one another; it stays in the process that runs the flow."""


ALONE = Surroundings()
"""A run that nobody watches."""


def call_state_handlers(method: Step) -> Step:
    """Make a method of a runner a step: it takes a state and returns one, and if that is another, everybody hears.

    A signal that the step raises becomes its state, another exception a `Failed`. ENDRUN goes on to the caller, with
    what became of its state.
    """

    @wraps(method)
    def step(self: Settler, state: State, *args: Any, **kwargs: Any) -> State:
        ends = False
        try:
            new = method(self, state, *args, **kwargs)
        except ENDRUN as signal:
            new, ends = signal.state, True
        except StateSignal as signal:
            if raising():
                raise
            new = signal.state
        except Exception as error:
            if raising():
                raise
            log.exception("a step of the run of '%s' broke", self.subject.name)
            new = failed(error)
        if new is not state and not self._unwatched:
            new = self.settle(state, new, last=ends)
        if ends:
            raise ENDRUN(new)
        return new

    return cast("Step", step)


class Settler:
    """Base of the runners: brings each change to those who want to know, and returns what they made of it."""

    def __init__(
        self, subject: Task | Flow, runner_handlers: Sequence[StateHandler], surroundings: Surroundings
    ) -> None:
        own, shared = subject.state_handlers, surroundings.flow_handlers
        self.subject = subject
        self._task = subject if isinstance(subject, Task) else None
        self.state_handlers = runner_handlers
        self.clock = surroundings.clock
        self.publisher = surroundings.publisher
        self.standings = surroundings.standings
        self.started: float | None = None
        self.will_retry = False
        self._on_change = surroundings.on_change
        self._debug = log.isEnabledFor(logging.DEBUG)
        self._subject_handlers: Sequence[StateHandler] = [*own, *shared] if own and shared else own or shared
        self._asks = bool(
            self._subject_handlers
            or runner_handlers
            or type(self).call_runner_target_handlers is not Settler.call_runner_target_handlers
        )
        self._unwatched = not (self._asks or self.publisher is not None or self._on_change is not None or self._debug)

    @property
    def logger(self) -> logging.Logger:
        """The logger of the runner, for its handlers."""
        return log

    def handle_state_change(self, old_state: State, new_state: State) -> State:
        """Return what everybody who is told of a change made of it; Prefect 1's name for `settle`."""
        return self.settle(old_state, new_state)

    def settle(self, old: State, new: State, *, last: bool = False) -> State:
        """Return the state to go on from, after everybody has seen `new`.

        Raises ENDRUN with that state when a handler ended the run. `last` says that no retry may follow.
        """
        if self._unwatched or new is old:
            return new
        if not self._asks:
            return self._tell(old, new, last=last)
        ends = False
        try:
            self.will_retry = not last and self.foresee(new)
            new = self._call_handlers(old, new)
        except (PAUSE, ENDRUN) as signal:
            new, ends = signal.state, True
        except StateSignal as signal:
            if raising():
                raise
            new = signal.state
        except Exception as error:
            if raising():
                raise
            new, ends = self._handler_failed(error), True
        if new is not old:
            new = self._tell(old, new, last=last or ends)
        if ends:
            raise ENDRUN(new)
        return new

    def foresee(self, state: State) -> bool:  # noqa: ARG002
        """Whether a retry follows this state."""
        return False

    def standing(self, state: State) -> Standing:  # noqa: ARG002
        """How a failure for good stands to others of the run."""
        return Standing()

    def _call_handlers(self, old: State, new: State) -> State:
        new = self.call_runner_target_handlers(old, new)
        for handler in self.state_handlers:
            new = _ask(handler, self, old, new)
        return new

    def call_runner_target_handlers(self, old_state: State, new_state: State) -> State:
        """Return what the handlers of the task or flow itself make of `new_state`."""
        for handler in self._subject_handlers:
            new_state = _ask(handler, self.subject, old_state, new_state)
        return new_state

    def _handler_failed(self, error: Exception) -> Failed:
        log.error("a state handler of '%s' raised", self.subject.name, exc_info=error)
        return Failed(f"Unexpected error while calling state handlers: {error!r}", result=error)

    def _tell(self, old: State, new: State, *, last: bool) -> State:
        try:
            if self.publisher is not None:
                new = self._publish(self.publisher, old, new, last)
            if self._on_change is not None:
                self._on_change(self.subject, old, new)
        except Exception:
            log.exception("a change of '%s' could not be told; the run goes on", self.subject.name)
        if self._debug:
            log.debug("'%s' went from %s to %s", self.subject.name, type(old).__name__, type(new).__name__)
        return new

    def _publish(self, publisher: Publisher, old: State, new: State, last: bool) -> State:
        subject, context = self.subject, run_context.get()
        notes = notes_among(self._subject_handlers) if self._subject_handlers else ()
        if not notes and not publisher.wants(new, self._task, context):
            return new
        self.will_retry = not last and self.foresee(new)
        return publisher.publish(event_of(subject, old, new, context), new, notes)


def _ask(handler: StateHandler, subject: Any, old: State, new: State) -> State:
    answer: Any = handler(subject, old, new)
    if answer is new or not answer:
        return new
    if not isinstance(answer, State):
        raise TypeError(f"state handler '{handler_name(handler)}' returned {answer!r}, which is no State")
    return answer
