"""How an attempt is made in another process, and how what happened there is told here.

State handlers run where the task runs. The publisher and `on_change` stay in the process that runs the flow: in the
other one a relay stands in for them, which writes down what it is told. That comes back with the state, and is told
here in the same order, under the same event ids. If the other process dies first, nothing comes back, and the runner
here announces the loss.

A state that the publisher proposes for one entered elsewhere cannot change what the task did meanwhile. It counts from
the moment at which the task had ended: then it is the state in which the attempt ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.clock import SystemClock
from tocsin.errors import FlowError
from tocsin.flows.handlers import Notify
from tocsin.flows.logs import show_logs
from tocsin.flows.task import Task
from tocsin.masked import logger
from tocsin.runs.publishing import OnChange, Publisher
from tocsin.runs.sending import can_be_sent, dumps, loads, sendable
from tocsin.runs.settling import Surroundings
from tocsin.runs.standings import Standings
from tocsin_hooks.events import Event
from tocsin_hooks.states import Failed, Running, State

_log = logger("tocsin.runs")


@dataclass(slots=True)
class Change:
    """One settled change of state, as it was told elsewhere."""

    new: State
    old: State | None = None
    event: Event | None = None
    notes: Sequence[Notify] = ()


@dataclass(frozen=True, slots=True)
class CallbackFailure:
    """A callback that raised elsewhere."""

    name: str
    subject: str
    error: Exception


Told = Sequence[Change | CallbackFailure]


@dataclass(slots=True)
class Relay:
    """Stands in for the publisher, and for `on_change`, in the process that runs the task."""

    filters: Mapping[str, Any] = field(default_factory=dict)
    told: list[Change | CallbackFailure] = field(default_factory=list)

    def wants(self, state: State, task: Task | None, context: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Everything: the publisher itself is asked when it is told."""
        return True

    def publish(self, event: Event, state: State, notes: Sequence[Notify]) -> State:
        """Write the change down."""
        self.told.append(Change(state, None, event, notes))
        return state

    def callback_failed(self, name: str, subject: str, error: Exception) -> None:
        """Write the failure down."""
        self.told.append(CallbackFailure(name, subject, sendable(error)))

    def changed(self, subject: Any, old: State, new: State) -> None:  # noqa: ARG002
        """Write down where the change began, beside what `publish` wrote down."""
        last = self.told[-1] if self.told else None
        if isinstance(last, Change) and last.new is new and last.old is None:
            last.old = old
        else:
            self.told.append(Change(new, old))


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back: what the call returned or raised, and what was told on the way."""

    value: Any
    error: BaseException | None = None
    told: Told = ()


@dataclass(frozen=True, slots=True)
class Home:
    """Who is told, in this process, of what happened to a task elsewhere."""

    task: Task | None = None
    publisher: Publisher | None = None
    on_change: OnChange | None = None
    standings: Standings | None = None

    def take(self, answer: bytes) -> tuple[Any, BaseException | None]:
        """Tell what `perform` sent back; return the value and the error of the call."""
        try:
            reply: Reply = loads(answer)
        except Exception as error:  # a module that is there and not here, say
            return None, FlowError(f"what the task returned cannot be read here: {type(error).__name__}: {error}")
        ended = last_start(reply.told)
        for number, note in enumerate(reply.told):
            settled = self._tell(note)
            if settled is not None and number > ended:
                return settled, reply.error  # what was made there of the state it replaces has not happened
        return reply.value, reply.error

    def _tell(self, note: Change | CallbackFailure) -> State | None:
        """Tell one thing; return the state that the publisher puts in the place of the new one, if it does."""
        try:
            if isinstance(note, CallbackFailure):
                if self.publisher is not None:
                    self.publisher.callback_failed(note.name, note.subject, note.error)
                return None
            settled = self._publish(note)
            if self.on_change is not None and self.task is not None and note.old is not None:
                self.on_change(self.task, note.old, settled)
        except Exception:
            name = self.task.name if self.task else "a call"
            _log.exception("a change of '%s' could not be told; the run goes on", name)
            return None
        return None if settled is note.new else settled

    def _publish(self, change: Change) -> State:
        if self.publisher is None or change.event is None:
            return change.new
        event = change.event
        context = {"flow_name": event.flow, "map_index": event.map_index}
        if not change.notes and not self.publisher.wants(change.new, self.task, context):
            return change.new
        return self.publisher.publish(self._placed(event, change.new), change.new, change.notes)

    def _placed(self, event: Event, state: State) -> Event:
        """The event of a failure with its causes, or what it blocks: the other process does not know the flow."""
        if self.standings is None or self.task is None or event.will_retry or not isinstance(state, Failed):
            return event
        return event.replace(**self.standings.of_task(self.task, event.map_index, state).facts(event.flow))


def last_start(told: Told) -> int:
    """Where the task entered `Running` for the last time; -1 when it never did.

    >>> from tocsin_hooks.states import Failed, Retrying
    >>> last_start([Change(Running()), Change(Failed()), Change(Retrying())]), last_start([Change(Failed())])
    (0, -1)
    """
    starts = [n for n, note in enumerate(told) if isinstance(note, Change) and isinstance(note.new, Running)]
    return starts[-1] if starts else -1


def pack(fn: Callable[..., Any], args: Iterable[Any]) -> tuple[bytes, Home]:
    """A call as bytes for `perform`, and who is to be told of what comes back. Raises whatever pickling raises."""
    given = list(args)
    task = next((arg for arg in given if isinstance(arg, Task)), None)
    home, relay = Home(task), Relay()
    for place, arg in enumerate(given):
        if isinstance(arg, Surroundings):
            home = Home(task, arg.publisher, arg.on_change, arg.standings)
            relay = Relay(getattr(arg.publisher, "filters", {}))
            given[place] = relayed(arg, relay)
        elif task is not None and isinstance(arg, dict) and arg.get("caches"):
            given[place] = {**arg, "caches": caches_of(task, arg["caches"])}
    return dumps((fn, given, relay)), home


def relayed(surroundings: Surroundings, relay: Relay) -> Surroundings:
    """The surroundings of a task run in another process; a clock that cannot be sent is replaced by the system's."""
    clock = surroundings.clock
    return replace(
        surroundings,
        publisher=None if surroundings.publisher is None else relay,
        on_change=None if surroundings.on_change is None else relay.changed,
        standings=None,
        clock=clock if isinstance(clock, SystemClock) or can_be_sent(clock) else SystemClock(),
    )


def caches_of(task: Task, caches: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the cached results that a task may look at: the others need not travel with it.

    >>> caches_of(Task("a"), {"a": [1], "b": [2]})
    {'a': [1]}
    """
    key = task.cache_key or task.name
    return {key: caches[key]} if key in caches else {}


def perform(call: bytes) -> bytes:
    """Make the call that `pack` wrote down; return a `Reply` as bytes, whatever happens."""
    try:
        fn, args, relay = loads(call)
    except Exception as error:  # a module that is there and not here, say
        text = f"the worker that was to run the task cannot read it: {type(error).__name__}: {error}"
        return dumps(Reply(None, FlowError(text)))
    show_logs()
    try:
        reply = Reply(fn(*args), None, relay.told)
    except BaseException as error:  # the process that waits raises what must be raised
        reply = Reply(None, sendable(error), relay.told)
    try:
        return dumps(reply)
    except Exception as error:
        text = f"what the task returned cannot be sent back: {type(error).__name__}: {error}"
        started = relay.told[: last_start(relay.told) + 1]  # the end that it told is not the one it comes to
        return dumps(Reply(None, TypeError(text), started))
