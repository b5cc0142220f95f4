"""What a config would send, and when: the hub itself, under a clock that is moved by hand, with nothing sent.

>>> from tocsin.simulate import Simulation
>>> sim = Simulation('''
... [channels.ops]
... type = "inbox"
... [[routes]]
... when = "is_failed"
... send = ["ops"]
... ''', start="2026-03-01 12:00")
>>> sim.publish({"state": "Failed", "flow": "etl", "task": "load"})
>>> sim.advance("10m")
>>> sim.publish({"state": "Success", "flow": "etl", "task": "load"})
>>> [(f"{sent.time:%H:%M}", sent.channel, sent.action, sent.reason) for sent in sim.sent]
[('12:00', 'ops', 'open', 'first'), ('12:10', 'ops', 'recover', 'all recovered')]
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pendulum

from tocsin.assembly import facts, templates
from tocsin.bare_labels import Moment, Span, duration, event_of, family_of, moment
from tocsin.clock import ManualClock
from tocsin.delivery.envelopes import envelope_of
from tocsin.hub import operations
from tocsin.hub.engine import Engine
from tocsin.hub.hub import Hub
from tocsin.hub.incidents import incident_key
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.spill import Spill
from tocsin.hub.turn import Result
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.routing.compose import compose
from tocsin.routing.silences import Silence
from tocsin.settings import Config, load, plugin_settings
from tocsin.settings.plain import toml_of
from tocsin.settings.source import Source, find, source_of_text
from tocsin.store.records import Incident, Sent as StoredSent, StoreError, Suppression
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Message


@dataclass(frozen=True)
class Sent:
    """A message that would leave."""

    time: dt.datetime
    channel: str
    route: str
    incident: str
    """The key of the incident of the event that it is sent for; of an event that stands by itself, what it would be."""
    incidents: tuple[str, ...]
    """The keys of all that it tells of."""
    group: Mapping[str, str]
    """The labels that its events share, where they were grouped."""
    reason: str
    action: str
    """`open`, `update`, `repeat`, `recover` or `event`."""
    events: tuple[str, ...]
    """The ids of the events in it."""
    silent: bool
    id: str
    """The idempotency key."""
    _stored: StoredSent = field(repr=False)
    _simulation: Simulation = field(repr=False, compare=False)

    @property
    def at(self) -> dt.datetime:
        """The same as `time`."""
        return self.time

    @property
    def incident_key(self) -> str:
        """The same as `incident`."""
        return self.incident

    @property
    def key(self) -> str:
        """The same as `incident`."""
        return self.incident

    @property
    def group_labels(self) -> Mapping[str, str]:
        """The same as `group`."""
        return self.group

    @property
    def event_ids(self) -> tuple[str, ...]:
        """The same as `events`."""
        return self.events

    @cached_property
    def message(self) -> Message:
        """What the channel would be given."""
        return self._simulation.message_of(self._stored, self.time)


class Simulation:
    """The hub of a config, with a store in memory and a clock of its own: deterministic, sleeps never, sends nothing.

    `config` is the text of a config, a `Path` to one (a text of one line counts as a path), a dictionary that says the
    same, or a `Config`. Labels that no event of tocsin has may be used. Raises ConfigError with all mistakes of the
    config.
    """

    def __init__(
        self, config: Config | Source | Mapping[str, Any] | str | Path, start: Moment = "2024-01-01T12:00:00Z"
    ) -> None:
        self.clock = ManualClock(moment(start))
        self.config = config if isinstance(config, Config) else _load(config)
        self.sent: list[Sent] = []
        self.suppressed: list[Suppression] = []
        self._store = SqliteStore(Path(":memory:"))
        self._engine = Engine(Policy.of(self.config))
        outbox = Outbox(self._store, self._engine, Spill(Path(os.devnull, "unused")), lambda: None)
        self._outbox = outbox
        self._hub = Hub(Hooks(Catalog()), self.clock, outbox)
        self._templates = templates(self.config)
        self._hub.prepare()

    @property
    def now(self) -> pendulum.DateTime:
        """The time on the simulation's clock."""
        return self.clock.now()

    def publish(self, event: Event | Mapping[str, Any] | None = None, /, **labels: Any) -> None:
        """Let an event happen now: an `Event`, or bare labels, of which none is needed.

        What is due by now is done first.
        """
        self._tick()
        if not isinstance(event, Event):
            event = event_of({**(event or {}), **labels}, self.clock)
        if event.will_retry:
            return  # routes see settled states
        self._do([self._hub.store_event(self._outbox, self._hub.enriched(event))])

    def advance(self, span: Span) -> None:
        """Move the clock on; whatever is due on the way is done at its time."""
        self.advance_to(self.now + duration(span))

    def advance_to(self, time: Moment) -> None:
        """Move the clock on to a time."""
        target: dt.datetime = moment(time)
        if target < self.now:
            raise ValueError(f"the clock stands at {self.now.isoformat()} and never goes back to {target.isoformat()}")
        while (due := self._hub.next_due()) is not None and due <= target:
            self.clock.advance(max(due.timestamp() - self.now.timestamp(), 0.0))
            self._tick()
        self.clock.advance(max(target.timestamp() - self.now.timestamp(), 0.0))
        self._tick()

    def end_run(self) -> None:
        """Do what the end of a run does where no hub runs: groups are told at once."""
        self._do([self._hub.end_of_run()])

    # ------------------------------------------------------------ operators

    def acknowledge(self, what: str, *, by: str = "somebody") -> int:
        """Acknowledge the open incidents of a key, or that a filter matches; how many."""
        result, count = operations.acknowledge(self._outbox, what, by=by, now=self.now)
        self._do([result])
        return count

    ack = acknowledge

    def silence(
        self,
        matching: str,
        span: Span | None = None,
        *,
        until: Moment | None = None,
        until_recovered: bool = False,
        start: Moment | None = None,
        window: str | None = None,
        comment: str = "",
        by: str = "somebody",
    ) -> str:
        """Add a silence; its id."""
        added = operations.add_silence(
            self._outbox,
            matching,
            now=self.now,
            id=self.clock.new_id(),
            by=by,
            comment=comment,
            duration=None if span is None else duration(span),
            ends_at=None if until is None else moment(until),
            until_recovered=until_recovered,
            starts_at=None if start is None else moment(start),
            window=None if window is None else self.config.windows[window],
        )
        return added.id

    def edit_silence(
        self,
        silence: str,
        *,
        matching: str | None = None,
        start: Moment | None = None,
        until: Moment | None = None,
        comment: str | None = None,
    ) -> str:
        """Change a silence; the id of the one that holds now: another, where what it has hidden would have changed."""
        result, after = operations.edit_silence(
            self._outbox,
            silence,
            now=self.now,
            new_id=self.clock.new_id(),
            filter_text=matching,
            starts_at=None if start is None else moment(start),
            ends_at=None if until is None else moment(until),
            comment=comment,
        )
        self._do([result])
        return after[-1].id

    def expire(self, silence: str, *, by: str = "somebody") -> None:
        """End a silence now."""
        self._do([operations.expire_silence(self._outbox, silence, by=by, now=self.now)[0]])

    @property
    def silences(self) -> list[Silence]:
        """The silences, oldest first."""
        return operations.silences(self._outbox)

    @property
    def incidents(self) -> list[Incident]:
        """The open incidents, oldest first."""
        return self._store.transact(lambda tx: tx.open_incidents(), keep=False)

    # ------------------------------------------------------------ what came of it

    def message_of(self, sent: StoredSent, at: dt.datetime) -> Message:
        """The message of a delivery."""
        envelope = envelope_of(sent.planned, sent.id, at=at, timezone=self.config.timezone)
        return compose(sent.event, envelope, self._templates.get(sent.planned.template))

    def _tick(self) -> None:
        if (due := self._hub.next_due()) is not None and due <= self.now:
            self._do(self._hub.tick())

    def _do(self, results: Iterable[Result]) -> None:
        for result in results:
            self.sent += [self._sent(each) for each in result.sent]
            self.suppressed += result.suppressed

    def _sent(self, sent: StoredSent) -> Sent:
        planned, own = sent.planned, incident_key(sent.event, self._engine.policy.key)
        others = [event for event in planned.events if event != sent.event.id]
        return Sent(
            self.now, planned.channel, planned.route, own, self._keys(others, own), planned.group,
            str(planned.reason), str(planned.action), planned.events, planned.silent, sent.id, sent, self,
        )  # fmt: skip

    def _keys(self, events: Sequence[str], own: str) -> tuple[str, ...]:
        """The key `own`, and those of the incidents of events."""
        if not events:
            return (own,)
        found = self._store.transact(lambda tx: [tx.event(each) for each in events], keep=False)
        keys = (incident_key(event, self._engine.policy.key) for event in found if event is not None)
        return tuple(dict.fromkeys((own, *keys)))


def _load(config: Source | Mapping[str, Any] | str | Path) -> Config:
    source = _source(config)
    known = facts(ManualClock(), _no_store, plugin_settings(source))
    return load(
        source,
        channel_types=known.channel_types,
        filters=known.filters,
        broken_plugins=known.broken,
        check_template=known.check_template,
        template_filters=known.template_filters,
        any_label=True,
    )


def _source(config: Source | Mapping[str, Any] | str | Path) -> Source:
    if isinstance(config, Source):
        return config
    if isinstance(config, Mapping):
        return source_of_text(toml_of(config))
    if isinstance(config, str) and ("\n" in config or "=" in config or not config.strip()):
        return source_of_text(config)
    source = find(config, environ={}, cwd=Path.cwd())
    assert source is not None, "a config that is named is found, or said to be missing"
    return source


def _no_store() -> SqliteStore:
    raise StoreError("a simulation has no inbox")


__all__ = ["Moment", "Sent", "Simulation", "Span", "Suppression", "duration", "event_of", "family_of", "moment"]
