"""What happens between entering a state and going on from it: state handlers, then the publisher, then progress.

The order, which is Prefect 1's: the task's or flow's own handlers, then the flow's handlers for all tasks, then the
runner's. Each sees what the one before it made of the state. A handler that raises ends the run as `Failed`; no later
handler is called, for that state either.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.clock import Clock, SystemClock
from tocsin.flows.events import event_of
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import StateHandler, handler_name
from tocsin.flows.signals import ENDRUN, PAUSE, StateSignal
from tocsin.flows.task import Task
from tocsin.runs.publishing import OnChange, Publisher, notes_among
from tocsin_hooks.states import Failed, State, run_context

log = logging.getLogger("tocsin.runs")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all task runs of one flow run share."""

    flow_handlers: Sequence[StateHandler] = ()
    """The flow's `task_state_handlers`."""
    runner_handlers: Sequence[StateHandler] = ()
    publisher: Publisher | None = None
    clock: Clock = field(default_factory=SystemClock)
    on_change: OnChange | None = None


ALONE = Surroundings()
"""A run that nobody watches."""


class Settler:
    """Base of the runners: brings each change to those who want to know, and returns what they made of it."""

    def __init__(
        self, subject: Task | Flow, runner_handlers: Sequence[StateHandler], surroundings: Surroundings
    ) -> None:
        own, shared = subject.state_handlers, surroundings.flow_handlers
        self.subject = subject
        self.state_handlers = runner_handlers
        self.clock = surroundings.clock
        self.publisher = surroundings.publisher
        self.started: float | None = None
        self.will_retry = False
        self._on_change = surroundings.on_change
        self._subject_handlers: Sequence[StateHandler] = [*own, *shared] if own and shared else own or shared
        self._unwatched = not (
            self._subject_handlers
            or runner_handlers
            or self.publisher is not None
            or self._on_change is not None
            or log.isEnabledFor(logging.INFO)
        )

    def settle(self, old: State, new: State, *, last: bool = False) -> State:
        """Return the state to go on from, after everybody has seen `new`.

        Raises ENDRUN with that state when a handler ended the run. `last` says that no retry may follow.
        """
        if self._unwatched or new is old:
            return new
        ends = False
        try:
            self.will_retry = not last and self.foresee(new)
            new = self._call_handlers(old, new)
        except (PAUSE, ENDRUN) as signal:
            new, ends = signal.state, True
        except StateSignal as signal:
            new = signal.state
        except Exception as error:
            new, ends = self._handler_failed(error), True
        if new is not old:
            self.will_retry = not last and not ends and self.foresee(new)
            new = self._tell(old, new)
        if ends:
            raise ENDRUN(new)
        return new

    def foresee(self, state: State) -> bool:  # noqa: ARG002
        """Whether a retry follows this state."""
        return False

    def _call_handlers(self, old: State, new: State) -> State:
        for handlers, subject in ((self._subject_handlers, self.subject), (self.state_handlers, self)):
            for handler in handlers:
                answer: Any = handler(subject, old, new)
                if answer is new or not answer:
                    continue
                if not isinstance(answer, State):
                    raise TypeError(f"state handler '{handler_name(handler)}' returned {answer!r}, which is no State")
                new = answer
        return new

    def _handler_failed(self, error: Exception) -> Failed:
        log.error("a state handler of '%s' raised", self.subject.name, exc_info=error)
        return Failed(f"Unexpected error while calling state handlers: {error!r}", result=error)

    def _tell(self, old: State, new: State) -> State:
        try:
            if self.publisher is not None:
                new = self._publish(self.publisher, old, new)
            if self._on_change is not None:
                self._on_change(self.subject, old, new)
        except Exception:
            log.exception("a change of '%s' could not be told; the run goes on", self.subject.name)
        if log.isEnabledFor(logging.INFO):
            log.info("'%s' went from %s to %s", self.subject.name, type(old).__name__, type(new).__name__)
        return new

    def _publish(self, publisher: Publisher, old: State, new: State) -> State:
        task = self.subject if isinstance(self.subject, Task) else None
        notes = notes_among(self._subject_handlers) if self._subject_handlers else ()
        if not notes and not publisher.wants(new, task):
            return new
        return publisher.publish(event_of(self.subject, old, new, run_context.get()), new, notes)
