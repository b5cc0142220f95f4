"""How a thread is begun where there may be none to be had."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

Begin = Callable[[threading.Thread], None]
"""What lets a thread run, as `threading.Thread.start` does. Raises RuntimeError where none can be had."""

REMEDY = "let this process have more threads: see 'ulimit -u', and the limit of pids of its container"


class Threads:
    """Begins threads for one purpose. That none can be had ends nobody: it is said once, at ERROR, until one can.

    >>> def refuse(thread):
    ...     raise RuntimeError("can't start new thread")
    >>> Threads("deliveries wait", logging.getLogger("quiet"), refuse).begin(print, "tocsin-send") is None
    True
    """

    def __init__(self, otherwise: str, log: logging.Logger, begin: Begin = threading.Thread.start) -> None:
        self._otherwise = otherwise
        self._log = log
        self._begin = begin
        self._refused = False

    def begin(self, target: Callable[[], None], name: str) -> threading.Thread | None:
        """A daemon thread that runs `target`; None where it cannot be had."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        try:
            self._begin(thread)
        except RuntimeError as error:
            level = logging.DEBUG if self._refused else logging.ERROR
            self._log.log(level, "%s: %s; %s", self._otherwise, error, REMEDY)
            self._refused = True
            return None
        if self._refused:
            self._refused = False
            self._log.warning("threads can be had again; before that: %s", self._otherwise)
        return thread
