"""How a long history is read without holding it all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tocsin.store.protocol import Store
from tocsin_hooks.events import Event

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = timedelta(microseconds=1)  # as exactly as a store keeps times


def events_between(store: Store, since: datetime, until: datetime, *, at_a_time: int = 1000) -> Iterator[Event]:
    """The events from `since` to before `until` in the order of their times, about `at_a_time` of them in memory."""
    spans = [(since, until)]
    while spans:
        start, end = spans.pop()
        found = store.events(since=start, until=end, limit=at_a_time + 1)
        if len(found) <= at_a_time:
            yield from _ordered(found)
            continue
        last = max(event.time for event in found).astimezone(UTC)
        if last > start:  # up to there it is about as many as are wanted: history is stored nearly in the order of time
            spans += [(last, end), (start, last)]
        else:
            yield from _ordered(store.events(since=start, until=start + _MOMENT))
            spans.append((start + _MOMENT, end))


def _ordered(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.time, event.sequence or 0))


def newest_event(store: Store, now: datetime) -> Event | None:
    """The event of the latest time; None for an empty history."""
    for minutes in (1, 10, 60, 6 * 60, 24 * 60, 7 * 24 * 60):
        if found := store.events(since=now - timedelta(minutes=minutes)):
            return _ordered(found)[-1]
    latest = None
    for event in events_between(store, BEGINNING, now):
        latest = event
    return latest
