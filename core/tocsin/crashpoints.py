"""Where a process can be made to die, so that what is promised of a death can be tried at every step.

`TOCSIN_CRASH_AT=NAME` kills the process with SIGKILL when it passes the point of that name, `NAME:3` when it does so
for the third time. Where the variable is not set, passing a point does nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from enum import StrEnum

from tocsin.errors import TocsinError, did_you_mean

VARIABLE = "TOCSIN_CRASH_AT"


class Point(StrEnum):
    """The points there are."""

    PUBLISH_BEGUN = "publish.begun"
    """An event is about to be stored; nothing of it is written."""
    PUBLISH_INSIDE = "publish.inside"
    """The event and its deliveries are written, and not committed."""
    PUBLISH_COMMITTED = "publish.committed"
    """They are committed; the publisher has not heard of it."""
    PUBLISH_DONE = "publish.done"
    """All is done that `publish` does; it is about to return."""

    SPILL_BEGUN = "spill.begun"
    """The store has refused an event; nothing is in the spill file."""
    SPILL_DONE = "spill.done"
    """The event is in the spill file, synced."""
    REPLAY_ASIDE = "replay.aside"
    """The spill file is set aside; nothing of it is stored."""
    REPLAY_STORED = "replay.stored"
    """All events of the spill file are stored; the file is still there."""

    CLAIMED = "worker.claimed"
    """Deliveries are claimed; none is tried."""
    SEND_BEGUN = "send.begun"
    """A message is about to be sent."""
    SEND_DONE = "send.done"
    """The service has accepted it; nothing of that is written."""
    RECORD_BEGUN = "record.begun"
    """Attempts are about to be recorded; what is said of dead letters on other channels is committed."""
    RECORD_INSIDE = "record.inside"
    """An attempt is written, and not committed."""
    RECORD_DONE = "record.done"
    """Attempts are recorded; observers have not heard of them."""

    TICK_INSIDE = "tick.inside"
    """What was due is done, and not committed."""
    TICK_DONE = "tick.done"
    """It is committed; the worker has not been woken."""

    CHILD_ENDED = "supervisor.ended"
    """A supervised process has died; its supervisor has said nothing of it."""
    CHILD_ANNOUNCED = "supervisor.announced"
    """The supervisor has announced it; the message is not sent."""
    BURY_INSIDE = "bury.inside"
    """A run is declared dead, and not committed."""
    BURY_DONE = "bury.done"
    """It is committed; nobody was told."""


def reached(point: Point) -> None:
    """Die here, if that was asked for."""
    if _crash is not None:
        _crash(point)


def crash_at(wanted: str) -> None:
    """Let this process die at a point, `NAME` or `NAME:COUNT`; with an empty text, at none.

    >>> crash_at("send.don:2")
    Traceback (most recent call last):
    tocsin_hooks.errors.TocsinError: TOCSIN_CRASH_AT names no point 'send.don'; did you mean 'send.done'?
    """
    global _crash  # noqa: PLW0603  (one process dies once)
    _crash = _after(*_parsed(wanted)) if wanted else None


def _parsed(wanted: str) -> tuple[Point, int]:
    name, colon, count = wanted.partition(":")
    if name not in set(Point):
        raise TocsinError(f"{VARIABLE} names no point '{name}'{did_you_mean(name, Point)}")
    if colon and not (count.isascii() and count.isdigit() and int(count)):
        raise TocsinError(f"{VARIABLE} has the count '{count}'; write '{name}', or '{name}:2' for the second time")
    return Point(name), int(count or 1)


def _after(point: Point, times: int) -> Callable[[Point], None]:
    lock, left = threading.Lock(), times

    def passed(here: Point) -> None:
        nonlocal left
        if here is not point:
            return
        with lock:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return passed


_crash: Callable[[Point], None] | None = None
crash_at(os.environ.get(VARIABLE, ""))
