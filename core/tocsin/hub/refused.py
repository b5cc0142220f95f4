"""What becomes of events that the store refuses: they wait in the spill file, and are stored when it answers again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from tocsin.hub.counters import Counters
from tocsin.hub.spill import Spill, SpillError
from tocsin.masked import logger
from tocsin.store.records import StoreError
from tocsin_hooks.events import Event

_log = logger("tocsin.hub")


def set_aside(spill: Spill, event: Event, channels: Sequence[str], error: Exception, counters: Counters) -> bool:
    """Let an event wait that the store has refused, for `channels` that code asked for; False when it is lost."""
    with counters.lock:
        try:
            spill.add(event, channels)
        except SpillError as second:
            counters.lost += 1
            counters.note(f"event '{event.subject} {event.state}' is lost: {error}; {second}")
            _log.critical("event '%s %s' is LOST: %s; %s", event.subject, event.state, error, second)
            return False
        counters.spilled += 1
        counters.note(f"event '{event.subject} {event.state}' waits in '{spill.path}': {error}")
        first = counters.spilled == 1
    _log.log(
        logging.ERROR if first else logging.INFO,  # a store that is down refuses every event alike
        "event '%s %s' could not be stored and waits in '%s' for the next run or 'tocsin hub': %s",
        event.subject,
        event.state,
        spill.path,
        error,
    )
    return True


def replay(spill: Spill, store: Callable[[Event, Sequence[str]], object], counters: Counters) -> int:
    """Let `store` take the events that wait; how many. What is still refused stays there."""
    count = 0

    def take(event: Event, channels: Sequence[str]) -> None:
        nonlocal count
        try:
            store(event, channels)
        except StoreError:
            raise  # it may answer later
        except Exception:
            counters.lost += 1  # it never will: kept, this event would hold up all behind it
            _log.critical("event '%s %s' is LOST", event.subject, event.state, exc_info=True)
            return
        count += 1

    try:
        spill.replay(take)
    except (StoreError, SpillError) as error:
        _log.error("the spill file '%s' could not be replayed whole: %s", spill.path, error)
    return count
