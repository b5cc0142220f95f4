"""Hearing from the store at once what other processes planned, where it can tell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, runtime_checkable

from tocsin.clock import Clock
from tocsin.masked import logger
from tocsin.store.records import StoreError
from tocsin.threads import Begin, Threads

_log = logger("tocsin.delivery")

_PATIENCE = 2.0  # seconds of one wait: how long the end of the thread may take
_STORE_PAUSE = 5.0


@runtime_checkable
class Hinting(Protocol):
    """A store that can tell when some process has planned something. What it tells is a hint; nothing hangs on it."""

    def wait_hint(self, timeout: float) -> bool:
        """Wait for news for at most `timeout` seconds; False when there were none. Raises StoreError."""


class Listener:
    """Calls `on_news` whenever a store has news, on a daemon thread; does nothing for a store that gives no hints.

    Nor where no thread can be had: then news is found when somebody looks.
    """

    def __init__(
        self, store: object, clock: Clock, on_news: Callable[[], None], *, begin: Begin = threading.Thread.start
    ) -> None:
        self._store = store if isinstance(store, Hinting) else None
        self._clock = clock
        self._on_news = on_news
        self._stop = threading.Event()
        self._threads = Threads("what others plan is found later, without the thread that listens", _log, begin)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen."""
        if self._store is not None and self._thread is None:
            self._thread = self._threads.begin(self._listen, "tocsin-listen")

    def stop(self, within: timedelta = timedelta(seconds=5)) -> None:
        """Listen no more, and wait a bounded time for the last wait to end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(within.total_seconds())

    def _listen(self) -> None:
        assert self._store is not None, "started only for a store that gives hints"
        while not self._stop.is_set():
            try:
                if self._store.wait_hint(_PATIENCE):
                    self._on_news()
            except StoreError as error:
                _log.debug("no hints for a while: %s", error)
                self._clock.wait(self._stop, _STORE_PAUSE)
