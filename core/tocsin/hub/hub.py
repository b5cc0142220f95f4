"""The hub: one state change at a time, from proposal to observers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tocsin.clock import Clock
from tocsin.crashpoints import Point, reached
from tocsin.hub import heartbeats
from tocsin.hub.counters import Counters
from tocsin.hub.engine import Engine
from tocsin.hub.heart import Heart
from tocsin.hub.judged import Judged
from tocsin.hub.notes import Note, Plain, channels_of, routes_of
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.refused import replay, set_aside
from tocsin.hub.replaced import settled_event
from tocsin.hub.rerouting import Rerouting, rerouting
from tocsin.hub.spill import Spill, spill_path
from tocsin.hub.turn import Result
from tocsin.identity import Process
from tocsin.masked import logger
from tocsin.plugins.calls import Hooks
from tocsin.routing.router import Route
from tocsin.settings import Config
from tocsin.store.protocol import Store
from tocsin.store.records import StoreError
from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter
from tocsin_hooks.states import State, family

_log = logger("tocsin.hub")

_NO_CONTEXT: Mapping[str, Any] = {}

REPLAY_EVERY = timedelta(seconds=5)
"""How often it is tried at most to store what waits in the spill file."""


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
        hooks.on_hung = self.counters.note
        self.on_timer: Callable[[], None] = _nothing
        """Called when something may have to be done at another time than before."""
        self.heart: Heart | None = None
        """Tells others that the runs of this process are under way."""
        self._judged = Judged()
        self._replays_at: datetime = datetime.min.replace(tzinfo=UTC)

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

    def wants(self, state: State, task: object | None, context: Mapping[str, Any] = _NO_CONTEXT) -> bool:
        """Whether a change into `state` can interest anybody: if not, no event need be built.

        `context` is that of the run; without it, it may be a change of any flow and task.
        """
        subject, names = "flow" if task is None else "task", family(type(state))
        if self.hooks.observes(subject, names):
            return True
        if task is None and self.heart is not None and (state.is_running() or state.is_finished()):
            return True
        outbox = self.outbox
        if outbox is None:
            return False
        interest = outbox.policy.interest(subject, names)
        if interest.never and not interest.ends:
            return False
        flow, name = context.get("flow_name"), "" if task is None else getattr(task, "name", None)
        try:
            if not flow or name is None:
                return not interest.never or outbox.store.any_open()
            if interest.covers(flow, name):
                return True
            return interest.ends and outbox.may_be_open(flow, name, context.get("map_index"))
        except StoreError:
            return True  # nobody can tell: publish, and let the spill file keep it

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
        self.heart, heart.on_lost = heart, self.counters.say_once

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
        if not outbox.policy.asks_python:
            return self._taken(outbox, event, extra, token, ends=ends)
        with self._judged.heard() as verdicts:
            result = self._taken(outbox, event, extra, token, ends=ends)
        own = self._judged.tell(verdicts, outbox, self.clock)
        for each in own:
            self._settled(outbox, each)
        return result.along_with(own)

    def _taken(self, outbox: Outbox, event: Event, extra: Sequence[Route], token: str | None, *, ends: bool) -> Result:
        moved = self.rerouting(event, extra)
        if not (ends or moved or outbox.matters(event, extra)):
            return Result(event, kept=False)
        result = outbox.take(event, extra, now=self.clock.now(), token=token, moved=moved)
        if ends and self.heart is not None:
            self.heart.forget(event)
        self._settled(outbox, result)
        return result

    def rerouting(self, event: Event, extra: Sequence[Route] = ()) -> Rerouting | None:
        """What a plugin wants of where an event goes, if one does."""
        if self.outbox is None or not self.hooks.routes:
            return None
        return rerouting(self.hooks, self.outbox.policy, event, extra, self.counters.say_once)

    def bury(self, key: str, process: Process, how: str = "") -> bool:
        """Declare dead, and announce, the run of that key, whose `process` has ended, as `how` says.

        False where somebody else did. Raises StoreError when the store refuses.
        """
        if self.outbox is None:
            return False
        outbox = self.outbox
        result = outbox.bury(key, process, how, now=self.clock.now())
        self._settled(outbox, result)
        return bool(result.crashed)

    def _settled(self, outbox: Outbox, result: Result) -> None:
        for suppression in result.suppressed:
            _log.debug("not sent: %s %s", suppression.stage, suppression.reason)
        if result.sent:
            outbox.wake()
        if result.timers:
            self.on_timer()
        if result.refused:
            self.counters.say_once(result.refused)
        for event in result.crashed:
            _log.warning("%s", heartbeats.declared(event, result.sent, result.suppressed))
            self.hooks.observe(event)
        if result.suppressed and self.hooks.hears_suppressed:
            self._tell_suppressed(outbox, result)

    def _tell_suppressed(self, outbox: Outbox, result: Result) -> None:
        events = {} if result.event is None else {result.event.id: result.event}
        if wanted := {each.event for each in result.suppressed} - set(events):
            try:
                events |= {event.id: event for event in outbox.events(sorted(wanted))}
            except StoreError as error:
                _log.warning("observers are not told of all that is not sent: %s", error)
        for each in result.suppressed:
            if (event := events.get(each.event)) is not None:
                self.hooks.suppressed(event, each.stage, each.reason, route=each.route, channel=each.channel)

    # ------------------------------------------------------------ time

    def adopt(self, policy: Policy) -> None:
        """Go on with another config. Raises StoreError, and goes on with the present one, where the store refuses."""
        if self.outbox is None:
            return
        engine = Engine(policy)
        result = self.outbox.prepare(self.clock.now(), engine)
        self.outbox = replace(self.outbox, engine=engine)
        self._settled(self.outbox, result)
        self.on_timer()

    def owed_at(self) -> datetime | None:
        """When there is next a message to tell that was held back, other than a reminder. Raises StoreError."""
        return None if self.outbox is None else self.outbox.owed_at()

    def prepare(self) -> None:
        """Make what is stored fit the config. Raises StoreError."""
        if self.outbox is not None:
            self._settled(self.outbox, self.outbox.prepare(self.clock.now()))

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
        for result in outbox.tick(now):
            self._settled(outbox, result)
            results.append(result)
        return results

    def end_of_run(self) -> Result:
        """Tell what waits for more of its group: there may be nobody to do it later. Raises StoreError."""
        if self.outbox is None:
            return Result()
        result = self.outbox.end_of_run(self.clock.now())
        self._settled(self.outbox, result)
        return result

    def _code_routes(self, notes: Sequence[Note]) -> list[Route]:
        if not notes:
            return []
        return routes_of(notes, None if self.outbox is None else self.outbox.policy, self.counters.say_once)

    def callback_failed(self, name: str, subject: str, error: Exception) -> None:
        """Count a notification callback that raised; the run goes on."""
        self.counters.callback_failed(name, subject, error)

    # ------------------------------------------------------------ when the store refuses

    def _spill(self, outbox: Outbox, event: Event, notes: Sequence[Note], error: Exception) -> None:
        stopped = bool(notes) and outbox.policy.router.stops(event)
        own = [route for route in self._code_routes(notes) if not (stopped and route.respects)]
        channels = channels_of(own, lambda wanted: wanted.matches(event))
        if set_aside(outbox.spill, event, channels, error, self.counters):
            self.on_timer()

    def replay_spill(self) -> int:
        """Store the events that wait in the spill file; how many. What the store still refuses stays there."""
        if self.outbox is None:
            return 0
        outbox = self.outbox

        def store(event: Event, channels: Sequence[str]) -> None:
            self.store_event(outbox, event, [Plain(channel) for channel in channels], late=True)

        return replay(outbox.spill, store, self.counters)
