"""The hub: one state change at a time, from proposal to observers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from tocsin.clock import Clock
from tocsin.crashpoints import Point, reached
from tocsin.hub import heartbeats
from tocsin.hub.engine import POSTPONED, Engine
from tocsin.hub.heart import Heart
from tocsin.hub.incidents import ends_incident, incident_key
from tocsin.hub.policy import Policy
from tocsin.hub.relevance import may_match
from tocsin.hub.spill import Spill, SpillError, spill_path
from tocsin.hub.turn import Result
from tocsin.identity import Process
from tocsin.plugins.calls import Hooks
from tocsin.routing.router import Route
from tocsin.settings import Config
from tocsin.settings.alerts import RouteOptions
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import StoreError
from tocsin_hooks.errors import FilterError
from tocsin_hooks.events import Event, event_id
from tocsin_hooks.filters import Filter
from tocsin_hooks.secrets import redact
from tocsin_hooks.states import State, family

_log = logging.getLogger("tocsin.hub")

REPLAY_EVERY = timedelta(seconds=5)
"""How often it is tried at most to store what waits in the spill file."""


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
    """Where routed events go: the store, who decides, the file beside it for when it refuses, and whom to wake."""

    store: Store
    engine: Engine
    spill: Spill
    wake: Callable[[], None]

    @property
    def policy(self) -> Policy:
        """What the config asks for."""
        return self.engine.policy


def _nothing() -> None:
    """Do nothing."""


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
        self.on_timer: Callable[[], None] = _nothing
        """Called when something may have to be done at another time than before."""
        self.heart: Heart | None = None
        """Tells others that the runs of this process are under way."""
        self._relevant: dict[tuple[str, type[State]], bool] = {}
        self._replays_at: datetime = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    @classmethod
    def from_config(cls, config: Config, *, hooks: Hooks, store: Store, clock: Clock, wake: Callable[[], None]) -> Hub:
        """The hub that a config describes. `wake` is called when deliveries were committed."""
        spill = Spill(spill_path(config.store.spill_name))
        return cls(hooks, clock, Outbox(store, Engine(Policy.of(config)), spill, wake))

    @property
    def filters(self) -> Mapping[str, Filter]:
        """The named filters of the config."""
        return {} if self.outbox is None else self.outbox.policy.filters

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
        if self.heart is not None and task is None and (state.is_running() or state.is_finished()):
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
        policy, names = self.outbox.policy, family(kind)
        filters = [route.filter for route in policy.router.routes]
        if policy.tracks:
            filters.append(policy.router.opens)
        if policy.keep_all or (subject == "flow" and policy.watches):
            return True
        return any(f is None or may_match(f, names, subject) for f in filters)

    def publish(self, event: Event, state: State, notes: Sequence[Note] = ()) -> State:
        """Settle a change, commit what routes make of it, then tell the observers. Returns the settled state.

        When this returns, the deliveries planned for the event are on disk; none has been waited for.
        """
        settled = state
        if self.hooks.proposes and (settled := self.hooks.propose(event, state)) is not state:
            event = settled_event(event, settled)
        event = self.enriched(event)
        if self.heart is not None and not event.task:
            self._beat_for(self.heart, event)
        if self.outbox is not None and not event.will_retry:
            event = self._route(self.outbox, event, notes)
        self.hooks.observe(event)
        reached(Point.PUBLISH_DONE)
        return settled

    def live_by(self, heart: Heart) -> None:
        """Let others know, from now on, which runs of this process are under way."""
        self.heart, heart.on_lost = heart, self._say_once

    @staticmethod
    def _beat_for(heart: Heart, event: Event) -> None:
        if event.is_a("Running"):
            heart.begin(event)
        elif heartbeats.ends(event):
            heart.end(event)

    def enriched(self, event: Event) -> Event:
        """The event with the config's project and the labels that plugins add."""
        if self.outbox is not None and self.outbox.policy.project and not event.project:
            event = event.replace(project=self.outbox.policy.project)
        if self.hooks.enriches and (labels := self.hooks.enrich(event)):
            event = event.replace(labels={**labels, **event.labels})
        return event

    def _route(self, outbox: Outbox, event: Event, notes: Sequence[Note]) -> Event:
        try:
            result = self.store_event(outbox, event, notes)
        except Exception as error:
            if not isinstance(error, StoreError):
                _log.exception("event '%s %s' could not be routed", event.subject, event.state)
            self._spill(outbox, event, notes, error)
            return event
        return result.event or event

    def store_event(self, outbox: Outbox, event: Event, notes: Sequence[Note] = (), *, late: bool = False) -> Result:
        """Decide where an event goes and commit it. Raises StoreError when the store refuses.

        `late` says that it happened some time ago, perhaps in another process.
        """
        extra = self._code_routes(notes)
        token = None if self.heart is None else self.heart.token(event.run_id)
        ends = heartbeats.ends(event) and (late or token is not None)
        if not (ends or self._matters(outbox, event, extra)):
            return Result(event, kept=False)
        now = self.clock.now()
        reached(Point.PUBLISH_BEGUN)

        def take(tx: Transaction) -> Result:
            taken = outbox.engine.take(tx, event, extra, now=now, token=token)
            reached(Point.PUBLISH_INSIDE)
            return taken

        result = outbox.store.transact(take)
        reached(Point.PUBLISH_COMMITTED)
        if ends and self.heart is not None:
            self.heart.forget(event)
        self._settled(outbox, result)
        return result

    def bury(self, key: str, process: Process, how: str = "") -> bool:
        """Declare dead, and announce, the run of that key, whose `process` has ended, as `how` says.

        False where somebody else did. Raises StoreError when the store refuses.
        """
        if self.outbox is None:
            return False
        outbox, now = self.outbox, self.clock.now()

        def declare(tx: Transaction) -> Result:
            declared = outbox.engine.bury(tx, key, process, how, now=now)
            reached(Point.BURY_INSIDE)
            return declared

        result = outbox.store.transact(declare)
        reached(Point.BURY_DONE)
        self._settled(outbox, result)
        return bool(result.crashed)

    def _matters(self, outbox: Outbox, event: Event, extra: Sequence[Route]) -> bool:
        """Whether an event has to be taken to the store at all: most successes need not."""
        policy = outbox.policy
        if policy.keep_all or (policy.watches and not event.task):
            return True
        opens = policy.router.opens
        if policy.tracks and opens is not None and opens.matches(event):
            return True
        if policy.router.decide(event, extra).matched:
            return True
        return ends_incident(event) and outbox.store.is_open(incident_key(event, policy.key))

    def _settled(self, outbox: Outbox, result: Result) -> None:
        for suppression in result.suppressed:
            _log.debug("not sent: %s %s", suppression.stage, suppression.reason)
        if result.sent:
            outbox.wake()
        if result.timers:
            self.on_timer()
        if result.refused:
            self._say_once(result.refused)
        for event in result.crashed:
            self.hooks.observe(event)
        if result.suppressed and self.hooks.hears_suppressed:
            self._tell_suppressed(outbox, result)

    def _tell_suppressed(self, outbox: Outbox, result: Result) -> None:
        events = {} if result.event is None else {result.event.id: result.event}
        if wanted := {each.event for each in result.suppressed} - set(events):
            try:
                found = outbox.store.transact(lambda tx: [tx.event(event_id) for event_id in wanted], keep=False)
            except StoreError as error:
                _log.warning("observers are not told of all that is not sent: %s", error)
                found = []
            events |= {event.id: event for event in found if event is not None}
        for each in result.suppressed:
            if (event := events.get(each.event)) is not None:
                self.hooks.suppressed(event, each.stage, each.reason, route=each.route, channel=each.channel)

    # ------------------------------------------------------------ time

    def adopt(self, policy: Policy) -> None:
        """Go on with another config. Raises StoreError, and goes on with the present one, where the store refuses."""
        if self.outbox is None:
            return
        engine, now = Engine(policy), self.clock.now()
        result = self.outbox.store.transact(lambda tx: engine.prepare(tx, now))
        self.outbox = replace(self.outbox, engine=engine)
        self._settled(self.outbox, result)
        self._relevant = {}
        self.on_timer()

    def owed_at(self) -> datetime | None:
        """When there is next a message to tell that was held back, other than a reminder. Raises StoreError."""
        if self.outbox is None:
            return None
        return self.outbox.store.transact(self.outbox.engine.owed_at, keep=False)

    def prepare(self) -> None:
        """Make what is stored fit the config. Raises StoreError."""
        if self.outbox is not None:
            outbox, now = self.outbox, self.clock.now()
            self._settled(outbox, outbox.store.transact(lambda tx: outbox.engine.prepare(tx, now)))

    def next_due(self) -> datetime | None:
        """When there is next something to do because time passed; None when nothing waits. Raises StoreError."""
        if self.outbox is None:
            return None
        due = self.outbox.store.next_cell_due()
        again = self._replays_at if self.outbox.spill.holds_any else None
        return min((at for at in (due, again) if at is not None), default=None)

    def tick(self) -> list[Result]:
        """Do everything that is due now: what came of it. Raises StoreError."""
        results: list[Result] = []
        if self.outbox is None:
            return results
        outbox, now = self.outbox, self.clock.now()
        if outbox.spill.holds_any and self._replays_at <= now:
            self._replays_at = now + REPLAY_EVERY
            self.prepare()  # the store that answers now may be a new one
            self.replay_spill()
        while True:
            try:
                result = outbox.store.transact(lambda tx: outbox.engine.tick(tx, now=now))
            except StoreError:
                raise
            except Exception:
                results += self._tick_one_by_one(outbox, now)
                return results
            if result is None:
                return results
            reached(Point.TICK_DONE)
            self._settled(outbox, result)
            results.append(result)

    def _tick_one_by_one(self, outbox: Outbox, now: datetime) -> list[Result]:
        """Do what is due, each thing by itself, so that one that cannot be done holds up no other."""
        results = []
        for cell in outbox.store.transact(lambda tx: tx.due_cells(now=now, limit=1000), keep=False):
            try:
                result = outbox.store.transact(lambda tx, cell=cell: outbox.engine.look(tx, cell, now=now))  # type: ignore[misc]
            except StoreError:
                raise
            except Exception:
                _log.exception("a timer of '%s' failed; it is tried again in a minute", cell.kind)
                later = replace(cell, due_at=now + POSTPONED)
                outbox.store.transact(lambda tx, later=later: tx.put(later))  # type: ignore[misc]
            else:
                self._settled(outbox, result)
                results.append(result)
        return results

    def end_of_run(self) -> Result:
        """Tell what waits for more of its group: there may be nobody to do it later. Raises StoreError."""
        if self.outbox is None:
            return Result()
        outbox, now = self.outbox, self.clock.now()
        result = outbox.store.transact(lambda tx: outbox.engine.end_of_run(tx, now=now))
        self._settled(outbox, result)
        return result

    # ------------------------------------------------------------ routes from code

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
            options = RouteOptions() if self.outbox is None else self.outbox.policy.router.default_options
            routes.append(Route(f"code:{note.channel}", wanted, (note.channel,), options=options))
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
        self.on_timer()
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
                self.store_event(outbox, event, [_SpilledNote(channel) for channel in channels], late=True)
            except StoreError:
                raise  # it may answer later
            except Exception:
                self.counters.lost += 1  # it never will: kept, this event would hold up all behind it
                _log.critical("event '%s %s' is LOST", event.subject, event.state, exc_info=True)
                return
            count += 1

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
        causes=event.causes if "Failed" in names else (),
        blocks=event.blocks if "Failed" in names else 0,
        blocked=event.blocked if "Failed" in names else (),
    )
