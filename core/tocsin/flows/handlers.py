"""How code attached to a task or flow hears of its transitions, and what becomes of its mistakes.

A state handler is `(task or flow, old state, new state) -> state`. It is part of the pipeline: one that raises fails
the run. What `callback_factory` and `notify` make is not: notifying never breaks a run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tocsin.masked import logger
from tocsin_hooks.states import State, run_context

if TYPE_CHECKING:
    from tocsin.flows.flow import Flow
    from tocsin.flows.task import Task
    from tocsin_hooks.events import Event
    from tocsin_hooks.filters import Filter

StateHandler = Callable[[Any, State, State], State | None]
StateCheck = Callable[[State], bool]

_log = logger("tocsin.handlers")


class EventFilter(Protocol):
    """What `tocsin_hooks.filters.Filter` offers here."""

    def matches(self, event: Event) -> bool:
        """Whether the event passes."""
        ...


class _Tally:
    """How many callbacks raised in this process, and whether it was said that a `notify` goes nowhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.failures = 0
        self._said = False

    def count(self) -> None:
        with self._lock:
            self.failures += 1

    def say_once(self, text: str, channel: str) -> None:
        with self._lock:
            said, self._said = self._said, True
        if not said:
            _log.warning(text, channel)


_tally = _Tally()


def callback_failures() -> int:
    """How many calls of callbacks have raised in this process."""
    return _tally.failures


@dataclass(frozen=True)
class Callback:
    """A state handler that calls `fn(task or flow, new state)` when `check` holds; made by `callback_factory`."""

    fn: Callable[[Any, State], Any]
    check: StateCheck | EventFilter
    strict: bool = False

    def __call__(self, subject: Task | Flow, old_state: State, new_state: State) -> State:
        """Call the function if it is to be called; the state stays as it is."""
        try:
            if self._applies(subject, old_state, new_state):
                self.fn(subject, new_state)
        except Exception as error:
            if self.strict:
                raise
            report_failure(handler_name(self.fn), subject, error)
        return new_state

    def _applies(self, subject: Task | Flow, old_state: State, new_state: State) -> bool:
        matches = getattr(self.check, "matches", None)
        if matches is None:
            return self.check(new_state) is True  # type: ignore[operator]  # it is a StateCheck
        from tocsin.flows.events import event_of  # only filters need events

        context = run_context.get()
        if (bind := getattr(self.check, "bind", None)) is not None and self.check.refs():  # type: ignore[union-attr]
            matches = bind(getattr(getattr(context.get("attempt"), "publisher", None), "filters", {})).matches
        return bool(matches(event_of(subject, old_state, new_state, context)))


def report_failure(name: str, subject: Task | Flow, error: Exception) -> None:
    """Log, count and record that what notifies has raised; the run goes on."""
    path = subject_path(subject)
    _tally.count()
    _log.error("callback '%s' raised for '%s'; the run goes on", name, path, exc_info=error)
    publisher = getattr(run_context.get().get("attempt"), "publisher", None)
    if publisher is None:
        return
    try:
        publisher.callback_failed(name, path, error)
    except Exception:
        _log.exception("the failed callback '%s' could not be recorded", name)


def callback_factory(
    fn: Callable[[Any, State], Any], check: StateCheck | EventFilter, *, strict: bool = False
) -> Callback:
    """A state handler that calls `fn(task or flow, new_state)` when `check` holds.

    `check` is a predicate over the new state, which must return True itself, or a filter made by `when`. If either
    raises, that is logged, counted and recorded, and the run goes on; `strict` lets it fail the run instead.
    """
    return Callback(fn, check, strict)


def _has_failed(state: State) -> bool:
    return state.is_failed()


def on_failed(fn: Callable[[Any, State], Any]) -> Callback:
    """The handler behind `on_failure`: it calls `fn` on every failed attempt, also one that will be retried."""
    return Callback(fn, _has_failed)


@dataclass(frozen=True)
class Notify:
    """A state handler that sends to a channel, through the outbox, what passes its filter; made by `notify`.

    It does nothing when called: the hub finds it among the handlers and stores its deliveries with the event.
    """

    channel: str
    filter: Filter | None = None
    respect_routes: bool = False

    def __call__(self, subject: Task | Flow, old_state: State, new_state: State) -> State:  # noqa: ARG002
        """Leave the state as it is."""
        if getattr(run_context.get().get("attempt"), "publisher", None) is None:
            _tally.say_once("notify('%s') sends nothing: no tocsin.toml was found for this run", self.channel)
        return new_state


def notify(channel: str, when: str | Filter | None = None, *, respect_routes: bool = False) -> Notify:
    """A state handler that sends state changes durably to `channel`, only those that pass `when` if it is given.

    It sends whatever the routes of the config do. With `respect_routes` it does not where one of them stops.
    """
    if isinstance(when, str):
        from tocsin_hooks import filters

        return Notify(channel, filters.when(when), respect_routes)
    return Notify(channel, when, respect_routes)


def checked_handlers(owner: str, handlers: Iterable[StateHandler] | None) -> list[StateHandler]:
    """The handlers as a list; TypeError when something else was given."""
    if callable(handlers):
        raise TypeError(f"{owner}: state_handlers is one function; give a list: [{handler_name(handlers)}]")
    found = list(handlers or ())
    for handler in found:
        if not callable(handler):
            raise TypeError(f"{owner}: state_handlers has {handler!r}, which cannot be called")
    return found


def handler_name(handler: Any) -> str:
    """What a handler is called, for people.

    >>> handler_name(handler_name), handler_name(on_failed(print))
    ('handler_name', 'print')
    """
    if isinstance(handler, Callback):
        return handler_name(handler.fn)
    return getattr(handler, "__qualname__", None) or type(handler).__name__


def subject_path(subject: Any) -> str:
    """`flow` for a flow, `flow/task` for a task in a run."""
    name: str = getattr(subject, "name", "") or type(subject).__name__
    values = run_context.get()
    if "task_slug" not in values:
        return name
    return f"{values.get('flow_name', '')}/{values.get('task_full_name', name)}"
