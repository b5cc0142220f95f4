"""How a run is asked to stop, by Ctrl-C or SIGTERM, and where in it that strikes.

While a flow runs in the main thread, both signals stop it cleanly. They strike only where a run waits or where code of
a task runs; anywhere else, in a state handler or while an event is being stored, they wait until that is done. Where
is read off the frames that the signal finds, so that a run which nobody stops pays nothing for it.

A second signal, half a second later or more, strikes at once wherever it finds the run. A program that has a handler
of its own for one of the signals keeps it: what that handler raises stops the run as well.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, TypeVar

from tocsin_hooks.states import State

Function = TypeVar("Function", bound=Callable[..., Any])

PATIENCE = 0.5
"""Seconds within which a second signal counts as the same one: a terminal and a supervisor may both send it."""

_open: set[CodeType] = set()
_shut: set[CodeType] = set()


def interruptible(function: Function) -> Function:
    """Mark a function in which a run may be struck, and in what it calls up to a `shielded` one.

    It asks `watch.pending` first, for a signal that came just before it.
    """
    _open.add(function.__code__)
    return function


def shielded(function: Function) -> Function:
    """Mark a function that is not struck, but for what it calls down from an `interruptible` one."""
    _shut.add(function.__code__)
    return function


def may_strike(frame: FrameType | None) -> bool:
    """Whether a run may be struck in this frame: the nearest mark around it decides."""
    while frame is not None:
        if frame.f_code in _open:
            return True
        if frame.f_code in _shut:
            return False
        frame = frame.f_back
    return False


class TaskStopped(BaseException):
    """Raised in a thread to stop the task it runs."""

    silent = False
    """Whether the task was given up before it noticed; then its end has been told already."""


STOPS = (KeyboardInterrupt, SystemExit, TaskStopped)
"""What ends a run that is under way."""


class Watch:
    """Takes the signals while a flow runs in the main thread."""

    def __init__(self) -> None:
        self.pending = 0
        """A signal that came and has not struck yet."""
        self._first: float | None = None  # when the first signal came
        self._before: dict[int, Any] = {}

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Watch for the length of a `with` block; does nothing in other threads, nor when already watching."""
        if threading.current_thread() is not threading.main_thread() or self._before:
            yield
            return
        self.pending, self._first = 0, None
        for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) is default:
                self._before[number] = signal.signal(number, self._come)
        try:
            yield
        finally:
            self._restore()
        if self.pending:  # the run had ended before it could be struck
            self.strike()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _come(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif now - self._first < PATIENCE:
            return
        else:
            self._restore()
            self.pending = 0
            raise stop_for(number, at_once=True)
        if may_strike(frame):
            raise stop_for(number)
        self.pending = number

    def strike(self) -> None:
        """Raise what the pending signal asks for; in the main thread only, where signals come."""
        if self.pending and threading.current_thread() is threading.main_thread():
            number, self.pending = self.pending, 0
            raise stop_for(number)


watch = Watch()
"""The one of this process, as signals are."""


def stop_for(number: int, *, at_once: bool = False) -> BaseException:
    """What is raised for a signal: what Python raises for Ctrl-C, and for SIGTERM the exit that shells expect.

    >>> stop_for(signal.SIGTERM)
    SystemExit(143)
    """
    error = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
    error.__dict__["tocsin_at_once"] = at_once
    error.__dict__["tocsin_reason"] = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    return error


def is_at_once(error: BaseException | None) -> bool:
    """Whether nothing more is to be waited for: somebody asked twice.

    >>> is_at_once(KeyboardInterrupt()), is_at_once(stop_for(signal.SIGINT, at_once=True))
    (False, True)
    """
    return bool(getattr(error, "tocsin_at_once", False))


def reason(error: BaseException) -> str:
    """What stopped a run, for people.

    >>> reason(stop_for(signal.SIGTERM)), reason(KeyboardInterrupt()), reason(SystemExit(3))
    ('stopped by SIGTERM', 'stopped by KeyboardInterrupt', 'stopped by SystemExit(3)')
    """
    if isinstance(error, TaskStopped):
        return "stopped with the flow run"
    known = getattr(error, "tocsin_reason", None)
    if known is None:
        known = repr(error) if error.args else type(error).__name__
    return f"stopped by {known}"


def exit_code(error: BaseException) -> int:
    """With which code a program ends that was stopped: never 0, since its work is not done.

    >>> exit_code(KeyboardInterrupt()), exit_code(SystemExit(143)), exit_code(SystemExit(0)), exit_code(SystemExit("x"))
    (130, 143, 1, 1)
    """
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    code = getattr(error, "code", None)
    return code if isinstance(code, int) and code else 1


def leave_state(error: BaseException, state: State) -> None:
    """Note on what stops a run in which state it left."""
    error.__dict__["tocsin_state"] = state


def state_left_by(error: BaseException | None) -> State | None:
    """The state in which a stopped run left, if it came so far as to say."""
    return getattr(error, "tocsin_state", None)
