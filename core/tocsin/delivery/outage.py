"""What is said of a store that does not answer: when it begins, and when it is over."""

from __future__ import annotations

import logging

from tocsin.clock import Clock
from tocsin.store.records import StoreError
from tocsin_hooks.durations import format_duration


class Outage:
    """Tells that `what` waits for the store, once, and that it goes on. Told from one thread."""

    def __init__(self, what: str, log: logging.Logger, clock: Clock) -> None:
        self._what = what
        self._log = log
        self._clock = clock
        self._since: float | None = None
        self._last: StoreError | None = None

    def refusal(self, after: float) -> StoreError | None:
        """What the store last said, where it has not answered for `after` seconds; asked from any thread."""
        since, last = self._since, self._last
        return last if since is not None and self._clock.monotonic() - since >= after else None

    def refused(self, error: StoreError) -> None:
        """The store did not answer."""
        level = logging.ERROR if self._since is None else logging.DEBUG
        self._since = self._clock.monotonic() if self._since is None else self._since
        self._last = error
        self._log.log(level, "%s wait: %s", self._what, error)

    def over(self) -> None:
        """It answered; does nothing where it had before."""
        if self._since is not None:
            away = format_duration(self._clock.monotonic() - self._since)
            self._since = None
            self._log.warning("the store answers again after %s; %s go on", away, self._what)
