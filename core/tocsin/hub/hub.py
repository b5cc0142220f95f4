"""The hub: one state change at a time, from proposal to observers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tocsin.clock import Clock
from tocsin.hub.incidents import ends_incident, incident_key, plan
from tocsin.hub.relevance import may_match
from tocsin.hub.spill import Spill, SpillError, spill_path
from tocsin.plugins.calls import Hooks
from tocsin.routing.compile import router_of
from tocsin.routing.router import Route, Router
from tocsin.settings import Config
from tocsin.store.protocol import Store
from tocsin.store.records import OpenIncident, Plan, Stored, StoreError
from tocsin_hooks.errors import FilterError
from tocsin_hooks.events import Event, event_id
from tocsin_hooks.filters import Filter
from tocsin_hooks.secrets import redact
from tocsin_hooks.states import State, family

_log = logging.getLogger("tocsin.hub")

DEFAULT_KEY = ("project", "flow", "task")


class Note(Protocol):
    """A durable notification asked for in code: `notify(channel, when=...)`."""

    @property
    def channel(self) -> str:
        """Where to send."""

    @property
    def filter(self) -> Filter | None:
        """What to send; None: every settled change."""


@dataclass(slots=True)
class Counters:
    """What went wrong beside the runs, since the hub was started."""

    spilled: int = 0
    """Events that the store refused and that wait in the spill file."""
    lost: int = 0
    """Events that neither the store nor the spill file took."""
    callbacks_failed: int = 0
    failures: list[str] = field(default_factory=list)
    """The first of them, in words."""

    def note(self, text: str) -> None:
        """Remember what happened, once each, up to a bound."""
        if len(self.failures) < 20 and text not in self.failures:
            self.failures.append(text)


@dataclass(frozen=True, slots=True)
class Outbox:
    """Where routed events go: the store, the file beside it for when it refuses, and whom to wake."""

    store: Store
    router: Router
    spill: Spill
    wake: Callable[[], None]
    key: tuple[str, ...] = DEFAULT_KEY
    tell_recovery: bool = True
    project: str = ""
    filters: Mapping[str, Filter] = field(default_factory=dict)
    """The named filters of the config, for expressions in code that refer to them."""


class Hub:
    """Publishes state changes: propose, settle, route, store, observe.

    Without an `outbox` it only asks and tells the plugins. Nothing that a plugin, a route or the store does can fail
    the run that publishes.
    """

    def __init__(self, hooks: Hooks, clock: Clock, outbox: Outbox | None = None) -> None:
        self.hooks = hooks
        self.clock = clock
        self.outbox = outbox
        self.counters = Counters()
        self._relevant: dict[tuple[str, type[State]], bool] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_config(cls, config: Config, *, hooks: Hooks, store: Store, clock: Clock, wake: Callable[[], None]) -> Hub:
        """The hub that a config describes. `wake` is called when deliveries were committed."""
        outbox = Outbox(
            store=store,
            router=router_of(config),
            spill=Spill(spill_path(config.store.path)),
            wake=wake,
            key=tuple(config.defaults.key),
            tell_recovery=config.defaults.recover.notice,
            project=config.project,
            filters=config.filters,
        )
        return cls(hooks, clock, outbox)

    @property
    def filters(self) -> Mapping[str, Filter]:
        """The named filters of the config."""
        return {} if self.outbox is None else self.outbox.filters

    @property
    def spill_path(self) -> Path | None:
        """Where events wait that the store refuses."""
        return None if self.outbox is None else self.outbox.spill.path

    # ------------------------------------------------------------ publishing

    def wants(self, state: State, task: object | None) -> bool:
        """Whether a change into `state` can interest anybody: if not, no event need be built."""
        subject = "flow" if task is None else "task"
        kind = type(state)
        if (relevant := self._relevant.get((subject, kind))) is None:
            relevant = self._routes_want(subject, kind)
            self._relevant[subject, kind] = relevant
        if relevant or self.hooks.observes(subject, family(kind)):
            return True
        return self._ends_incidents(kind) and self._any_open()

    def _ends_incidents(self, kind: type[State]) -> bool:
        return self.outbox is not None and "Success" in family(kind)

    def _any_open(self) -> bool:
        try:
            return self.outbox is not None and self.outbox.store.any_open()
        except StoreError:
            return True  # nobody can tell: publish, and let the spill file keep it

    def _routes_want(self, subject: str, kind: type[State]) -> bool:
        if self.outbox is None:
            return False
        router, names = self.outbox.router, family(kind)
        filters = [route.filter for route in router.routes]
        if router.default_send:
            filters.append(router.opens)
        return any(f is None or may_match(f, names, subject) for f in filters)

    def publish(self, event: Event, state: State, notes: Sequence[Note] = ()) -> State:
        """Settle a change, commit what routes make of it, then tell the observers. Returns the settled state.

        When this returns, the deliveries planned for the event are on disk; none has been waited for.
        """
        settled = state
        if self.hooks.proposes and (settled := self.hooks.propose(event, state)) is not state:
            event = settled_event(event, settled)
        if self.outbox is not None and self.outbox.project and not event.project:
            event = event.replace(project=self.outbox.project)
        if self.hooks.enriches and (labels := self.hooks.enrich(event)):
            event = event.replace(labels={**labels, **event.labels})
        if self.outbox is not None and not event.will_retry:
            event = self._route(self.outbox, event, notes)
        self.hooks.observe(event)
        return settled

    def _route(self, outbox: Outbox, event: Event, notes: Sequence[Note]) -> Event:
        try:
            stored = self.store_event(outbox, event, notes)
        except Exception as error:
            if not isinstance(error, StoreError):
                _log.exception("event '%s %s' could not be routed", event.subject, event.state)
            self._spill(outbox, event, notes, error)
            return event
        if stored.deliveries:
            outbox.wake()
        return stored.event

    def store_event(self, outbox: Outbox, event: Event, notes: Sequence[Note] = ()) -> Stored:
        """Decide where an event goes and commit it. Raises StoreError when the store refuses."""
        decision = outbox.router.decide(event, self._code_routes(notes))
        opens = outbox.router.opens is not None and outbox.router.opens.matches(event)
        key = incident_key(event, outbox.key)
        if not (decision.matched or opens or ends_incident(event)):
            return Stored(event)
        if not decision.matched and not outbox.store.is_open(key):
            return Stored(event)

        def planner(incident: OpenIncident | None) -> Plan:
            return plan(event, decision, incident, opens=opens, tell_recovery=outbox.tell_recovery)

        return outbox.store.append(event, key, planner, now=self.clock.now())

    def _code_routes(self, notes: Sequence[Note]) -> list[Route]:
        """The routes that code asked for, with their `@names` bound to the filters of the config."""
        routes = []
        for note in notes:
            try:
                wanted = (
                    note.filter.bind(self.filters) if note.filter is not None and note.filter.refs() else note.filter
                )
            except FilterError as error:
                self._say_once(f"notify('{note.channel}') sends nothing: {error}")
                continue
            routes.append(Route(f"code:{note.channel}", wanted, (note.channel,)))
        return routes

    def _say_once(self, text: str) -> None:
        with self._lock:
            known = text in self.counters.failures
            self.counters.note(text)
        if not known:
            _log.error("%s", text)

    def callback_failed(self, name: str, subject: str, error: Exception) -> None:
        """Count a notification callback that raised; the run goes on."""
        with self._lock:
            self.counters.callbacks_failed += 1
            self.counters.note(f"callback '{name}' of '{subject}' raised {type(error).__name__}: {redact(str(error))}")

    # ------------------------------------------------------------ when the store refuses

    def _spill(self, outbox: Outbox, event: Event, notes: Sequence[Note], error: Exception) -> None:
        routes = self._code_routes(notes)
        channels = [channel for r in routes if r.filter is None or r.filter.matches(event) for channel in r.send or ()]
        with self._lock:
            try:
                outbox.spill.add(event, channels)
            except SpillError as second:
                self.counters.lost += 1
                self.counters.note(f"event '{event.subject} {event.state}' is lost: {error}; {second}")
                _log.critical("event '%s %s' is LOST: %s; %s", event.subject, event.state, error, second)
                return
            self.counters.spilled += 1
            self.counters.note(f"event '{event.subject} {event.state}' waits in '{outbox.spill.path}': {error}")
            first = self.counters.spilled == 1
        _log.log(
            logging.ERROR if first else logging.INFO,  # a store that is down refuses every event alike
            "event '%s %s' could not be stored and waits in '%s' for the next run or 'tocsin hub': %s",
            event.subject,
            event.state,
            outbox.spill.path,
            error,
        )

    def replay_spill(self) -> int:
        """Store the events that wait in the spill file; how many. What the store still refuses stays there."""
        if self.outbox is None:
            return 0
        outbox, count = self.outbox, 0

        def store(event: Event, channels: Sequence[str]) -> None:
            nonlocal count
            try:
                stored = self.store_event(outbox, event, [_SpilledNote(channel) for channel in channels])
            except StoreError:
                raise  # it may answer later
            except Exception:
                self.counters.lost += 1  # it never will: kept, this event would hold up all behind it
                _log.critical("event '%s %s' is LOST", event.subject, event.state, exc_info=True)
                return
            count += 1
            if stored.deliveries:
                outbox.wake()

        try:
            outbox.spill.replay(store)
        except (StoreError, SpillError) as error:
            _log.error("the spill file '%s' could not be replayed whole: %s", outbox.spill.path, error)
        return count


@dataclass(frozen=True, slots=True)
class _SpilledNote:
    channel: str
    filter: Filter | None = None


def settled_event(event: Event, state: State) -> Event:
    """The event of a change whose state was replaced."""
    names = family(type(state))
    return event.replace(
        id=event_id(
            event.source,
            event.run_id,
            event.task_run_id,
            event.map_index,
            event.attempt,
            event.loop_count,
            names[0] if names else type(state).__name__,
        ),
        state=type(state).__name__,
        state_family=names,
        message=state.message or "",
        exception=event.exception if "Failed" in names or "Retrying" in names else None,
        will_retry=event.will_retry and "Failed" in names,  # another failure in its place is retried as well
        next_attempt_at=getattr(state, "start_time", None) if "Retrying" in names else None,
    )
