"""How a task is stopped that takes longer than its `timeout`.

Three ways, of which the first that can be had is taken:

- in the main thread an alarm (SIGALRM) stops the task wherever it is; limits may be nested;
- in another thread the task is moved to a process of its own, which is killed: function, inputs and result must
  survive cloudpickle, what of the context does not is left behind, and what the task changes in memory stays there;
- in a daemonic process, which may have no children, the task goes on in the background and its result is dropped.

Code that does not return to the interpreter, in C for instance, is stopped by the second way only.
"""

from __future__ import annotations

import contextvars
import logging
import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tocsin.flows.signals import TaskTimeoutSignal

Work = Callable[..., Any]


def call_within(seconds: float, work: Work, arguments: Mapping[str, Any], logger: logging.Logger) -> Any:
    """Return `work(**arguments)`, or raise TaskTimeoutSignal once `seconds` have passed."""
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        return _Alarm(seconds, work).call(arguments)
    if not multiprocessing.current_process().daemon:
        from tocsin.runs import elsewhere  # brings cloudpickle, which few need

        try:
            return elsewhere.call(seconds, work, arguments)
        except elsewhere.ExpiredError:
            raise _too_long(seconds, work) from None
    logger.warning(
        "this process is daemonic and may have no children: a task that takes longer than %g s ends as TimedOut "
        "but goes on in the background",
        seconds,
    )
    return _in_the_background(seconds, work, arguments)


def is_foreign(timeout: TaskTimeoutSignal, work: Work) -> bool:
    """Whether a timeout belongs to a task around the one whose work this is.

    >>> is_foreign(TaskTimeoutSignal(), print), is_foreign(TaskTimeoutSignal(limit=len), print)
    (False, True)
    """
    return timeout.limit is not None and timeout.limit != work


class _Alarm:
    """Stops a call in the main thread; leaves the alarm of whoever set one before as it was."""

    def __init__(self, seconds: float, work: Work) -> None:
        self.seconds = seconds
        self.work = work
        self.begun = 0.0
        self.outer: Any = None
        self.outer_left: float | None = None
        """Seconds until the alarm that was set before; None when there is none, or it has rung."""

    def call(self, arguments: Mapping[str, Any]) -> Any:
        self.begun = time.monotonic()
        self.outer_left = signal.getitimer(signal.ITIMER_REAL)[0] or None
        self.outer = signal.signal(signal.SIGALRM, self._ring)
        try:
            try:
                self._set(self.seconds if self.outer_left is None else min(self.seconds, self.outer_left))
                return self.work(**arguments)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        finally:  # a second one, because the alarm may ring in the first
            signal.signal(signal.SIGALRM, self.outer)
            if self.outer_left is not None:
                self._set(self.outer_left)

    def _set(self, seconds: float) -> None:
        """Have the alarm ring `seconds` after the call began; a moment from now at least, since 0 would disarm it."""
        signal.setitimer(signal.ITIMER_REAL, max(self.begun + seconds - time.monotonic(), 0.001))

    def _ring(self, signum: int, frame: Any) -> None:
        if self.outer_left is not None and self.outer_left <= time.monotonic() - self.begun:
            self.outer_left = None
            if callable(self.outer):
                self.outer(signum, frame)  # mostly raises
            elif self.outer == signal.SIG_DFL:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.raise_signal(signum)
            self._set(self.seconds)
            return
        raise _too_long(self.seconds, self.work)


def _too_long(seconds: float, work: Work) -> TaskTimeoutSignal:
    return TaskTimeoutSignal(f"the task took longer than its timeout of {seconds:g} s", work)


def _in_the_background(seconds: float, work: Work, arguments: Mapping[str, Any]) -> Any:
    ended: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    values = contextvars.copy_context()

    def run() -> None:
        try:
            ended.put((values.run(work, **arguments), None))
        except BaseException as error:  # raised where the task is waited for
            ended.put((None, error))

    threading.Thread(target=run, name="tocsin-timeout", daemon=True).start()
    try:
        value, error = ended.get(timeout=seconds)
    except queue.Empty:
        raise _too_long(seconds, work) from None
    if error is not None:
        raise error
    return value
