"""What another config would have sent for the events of the past, beside what the present one would have."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.hub import silencing
from tocsin.hub.incidents import OWN, WATCH
from tocsin.routing.router import DEFAULTS
from tocsin.routing.silences import Silence
from tocsin.settings import Config
from tocsin.settings.implies import implies
from tocsin.simulate import Sent, Simulation
from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter, any_of
from tocsin_hooks.messages import Why

LAST_STRETCH = timedelta(hours=24)
"""How long after the end what waits is still told, such as groups and digests; no reminders, and no missed runs."""


@dataclass(frozen=True, slots=True)
class Row:
    """How many messages a route would have sent to a channel."""

    route: str
    channel: str
    present: int
    new: int

    @property
    def difference(self) -> int:
        """How many more the new config would have sent."""
        return self.new - self.present


@dataclass(frozen=True)
class Comparison:
    """What two configs would have sent for the same events."""

    events: int
    rows: tuple[Row, ...]
    """By route, in the order of the configs, and by channel."""
    less: tuple[Sent, ...] = ()
    """Messages that only the present config would have sent."""
    more: tuple[Sent, ...] = ()
    """Messages that only the new one would have sent."""
    elsewhere: tuple[tuple[Sent, Sent], ...] = ()
    """The same message by the present and by the new config, on another channel or by another route."""
    retimed: int = 0
    """How many messages are sent by both at different times."""

    @property
    def present(self) -> int:
        """How many messages the present config would have sent."""
        return sum(row.present for row in self.rows)

    @property
    def new(self) -> int:
        """How many messages the new config would have sent."""
        return sum(row.new for row in self.rows)


def backtest(
    events: Iterable[Event],
    present: Config,
    new: Config,
    *,
    since: datetime,
    until: datetime | None = None,
    silences: Sequence[Silence] = (),
    route: str | None = None,
    channel: str | None = None,
) -> Comparison:
    """Replay `events`, which come in the order of their times, through both configs, and compare what they send.

    It begins `since` a time with nothing open, and ends `until` another, by default with the last event; what waits
    then is told. What watches reported is left out, and what tocsin said of itself: the watches of the configs report
    by themselves. With `route` or `channel`, only messages of it count. Memory grows with
    what differs, and with the events that are routed, not with all of them.
    """
    before, after = _Replay(present, since, silences), _Replay(new, since, silences)
    differences, count = _Differences(), 0
    try:
        for event in events:
            if event.source not in (WATCH, OWN):
                count += 1
                differences.note(before.take(event), after.take(event))
        differences.note(before.finish(until), after.finish(until))
    finally:
        before.close()
        after.close()
    order = [route.name for config in (present, new) for route in config.routes]
    return differences.comparison(count, order, route, channel)


class _Replay(Simulation):
    """A simulation of the past, which gives away what it has sent."""

    def __init__(self, config: Config, since: datetime, silences: Sequence[Silence]) -> None:
        super().__init__(config, start=since)
        for silence in silences:
            self._store.transact(lambda tx, silence=silence: silencing.write(tx, silence))  # type: ignore[misc]

    def take(self, event: Event) -> list[Sent]:
        """Let an event happen at its own time; what was sent until then, and for it."""
        self.advance_to(event.time)
        self.publish(event)
        return self._given_away()

    def finish(self, until: datetime | None) -> list[Sent]:
        """What is sent until then, and what waits at that time."""
        if until is not None and until > self.now:
            self.advance_to(until)
        sent = self._given_away()
        self.advance(LAST_STRETCH)
        late = self._given_away()
        return sent + [each for each in late if each.reason != Why.REPEAT and each._stored.event.source != WATCH]

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def _given_away(self) -> list[Sent]:
        sent, self.sent = self.sent, []
        self.suppressed.clear()
        return sent


Key = tuple[str, str, str, frozenset[str]]


def _key(sent: Sent) -> Key:
    """By what a message is known in both simulations, in which ids and numbers differ."""
    return sent.channel, sent.route, sent.action, frozenset(sent.events)


@dataclass
class _Differences:
    """The messages of two simulations, matched as they come; only those without a match are held."""

    counts: tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]] = field(
        default_factory=lambda: (Counter(), Counter())
    )
    alone: tuple[dict[Key, deque[Sent]], dict[Key, deque[Sent]]] = field(default_factory=lambda: ({}, {}))
    retimed: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, present: Iterable[Sent], new: Iterable[Sent]) -> None:
        """Take in what was sent since the last time."""
        for side, messages in enumerate((present, new)):
            for sent in messages:
                self.counts[side][sent.route, sent.channel] += 1
                self._match(side, sent)

    def _match(self, side: int, sent: Sent) -> None:
        key, others = _key(sent), self.alone[1 - side]
        if (waiting := others.get(key)) is None:
            self.alone[side].setdefault(key, deque()).append(sent)
            return
        other = waiting.popleft()
        if not waiting:
            del others[key]
        if other.time != sent.time:
            self.retimed[sent.route, sent.channel] += 1

    def comparison(self, events: int, order: Sequence[str], route: str | None, channel: str | None) -> Comparison:
        """What was found, of a route or a channel only where one is given."""

        def wanted(of_route: str, of_channel: str) -> bool:
            return route in (None, of_route) and channel in (None, of_channel)

        present, new = self.counts
        places = {name: place for place, name in reversed(list(enumerate(order)))}
        known = sorted({*present, *new}, key=lambda at: (places.get(at[0], len(order)), at[0] == DEFAULTS, at))
        less, more, elsewhere = self._elsewhere()
        return Comparison(
            events,
            tuple(Row(*at, present[at], new[at]) for at in known if wanted(*at)),
            tuple(sent for sent in less if wanted(sent.route, sent.channel)),
            tuple(sent for sent in more if wanted(sent.route, sent.channel)),
            tuple(both for both in elsewhere if any(wanted(sent.route, sent.channel) for sent in both)),
            sum(count for at, count in self.retimed.items() if wanted(*at)),
        )

    def _elsewhere(self) -> tuple[list[Sent], list[Sent], list[tuple[Sent, Sent]]]:
        """The messages that only the present config sends, those that only the new one does, and pairs of the same."""
        less, more = (sorted((s for q in side.values() for s in q), key=_in_time) for side in self.alone)
        moved: dict[tuple[str, frozenset[str]], deque[Sent]] = {}
        for sent in more:
            moved.setdefault((sent.action, frozenset(sent.events)), deque()).append(sent)
        pairs, rest = [], []
        for sent in less:
            same = moved.get((sent.action, frozenset(sent.events)))
            if same:
                pairs.append((sent, same.popleft()))
            else:
                rest.append(sent)
        return rest, sorted((s for q in moved.values() for s in q), key=_in_time), pairs


def _in_time(sent: Sent) -> tuple[datetime, str, str]:
    return sent.time, sent.route, sent.channel


# ---------------------------------------------------------------- what history cannot tell


def unkept(present: Config, new: Config) -> list[str]:
    """What of the new config could act on events that the present one does not keep, as words for people.

    Whether a filter asks for no more than another does is seen only where that is plain: this may name too much.
    """
    if present.store.history == "all":
        return []
    kept = list(_asked_for(present).values())
    some = [filter_ for filter_ in kept if filter_ is not None]
    named = []
    if len(some) == len(kept):
        for name, filter_ in _asked_for(new).items():
            if filter_ is None or not some or not implies(filter_, any_of(*some)):
                named.append(name)
    watches = [f"watch '{watch.name}'" for watch in new.watches if watch not in present.watches]
    return [*named, *watches]


def _asked_for(config: Config) -> dict[str, Filter | None]:
    """What is routed, by the name of what asks for it; None: everything."""
    asked: dict[str, Filter | None] = {
        f"route '{route.name}'": route.filter for route in config.routes if route.under is None
    }
    if config.routes or config.defaults.send:
        asked[f"[{DEFAULTS}]"] = config.defaults.opens
    return asked
