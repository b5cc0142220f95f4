"""How a call under way in another thread is ended, and which exceptions come from outside of it.

The main thread is struck by a signal, SIGURG, which ends waits in C as well. A handler that a program has for it is
left alone. By default it is ignored, so that one which comes where tocsin's handler is not does nothing. Any other
thread, and the main one where the signal cannot be had, is struck by an exception that Python raises when it next runs
Python code there. What Python's own library waits for there is made to come: a condition, under events and queues, is
waited for no longer, and a connection that is read, by an HTTP client for one, is shut.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

SIGNAL: signal.Signals | None = getattr(signal, "SIGURG", None)
"""What strikes the main thread; None on systems that have no such signal."""


class HungError(BaseException):
    """Raised in a call of a plugin that takes too long, to end it."""


_targets: set[FrameType] = set()
"""The frames that the signal may strike: what was called, never who called it."""


def listen() -> None:
    """Let the main thread be struck; does nothing in another, or where somebody else takes the signal."""
    if SIGNAL is None or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(SIGNAL) in (signal.SIG_DFL, signal.SIG_IGN):
        with contextlib.suppress(ValueError):  # in an interpreter that is not the main one
            signal.signal(SIGNAL, _come)


def strike(thread: int, target: FrameType) -> None:
    """Raise HungError in a thread.

    In the main thread it is raised only while `target` is on its stack. In any other it may come later: whoever made
    the call must `forgive` when it is over.
    """
    if thread == threading.main_thread().ident and SIGNAL is not None and signal.getsignal(SIGNAL) is _come:
        _targets.add(target)
        signal.pthread_kill(thread, SIGNAL)
    else:
        _raise_in(thread, HungError)
        if (top := sys._current_frames().get(thread)) is not None:
            _wake(top)


def forgive(thread: int, target: FrameType) -> None:
    """Take back what has not struck yet. Called in that thread."""
    _targets.discard(target)
    if thread != threading.main_thread().ident or SIGNAL is None or signal.getsignal(SIGNAL) is not _come:
        _raise_in(thread, None)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    import ctypes  # needed by few

    given = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), given)


def _wake(top: FrameType) -> None:
    """Let a thread run on that waits in code of Python's own library; what strikes it is there already."""
    code, held = top.f_code, top.f_locals
    with contextlib.suppress(Exception):  # it came back by itself, or is made in another way than we know
        if code is code_of(threading.Condition.wait):
            held["waiter"].release()
        elif code is code_of(socket.SocketIO.readinto):
            held["self"]._sock.shutdown(socket.SHUT_RDWR)
        elif (ssl := sys.modules.get("ssl")) is not None and code is code_of(ssl.SSLSocket.read):
            socket.socket.shutdown(held["self"], socket.SHUT_RDWR)  # not its own, which begins by talking


def _come(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    others = set(_handlers())
    for each in stack(frame):
        if each in _targets:
            raise HungError
        if each.f_code in others:
            return  # what another signal has begun is not cut short; this one is sent again


@contextlib.contextmanager
def frames_of_others() -> Iterator[None]:
    """Let the frames of other threads be looked at within.

    Up to Python 3.11 a frame that is looked at for the first time is made for it. If garbage is collected just then,
    and what is collected lets other threads run, that frame may be gone, and the process dies of it. Or it hangs for
    good: to list the frames Python holds a lock which a thread that begins waits for, without letting others run.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def stack(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame, the one that called it, and so on."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def is_from_outside(error: BaseException) -> bool:
    """Whether an exception that left a call was not raised by what was called, but by the handler of a signal.

    A KeyboardInterrupt in the main thread is the user's wherever Python itself turns the signal into one: then the two
    look alike.

    >>> is_from_outside(KeyboardInterrupt()), is_from_outside(SystemExit(3))
    (True, False)
    """
    if threading.current_thread() is not threading.main_thread():
        return False  # signals come to the main thread only
    if isinstance(error, KeyboardInterrupt):
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler) and code_of(handler) is None:
            return True
    if isinstance(error, KeyboardInterrupt | SystemExit) and getattr(error, "tocsin_at_once", False):
        return True  # asked for twice; by now its handler is no longer there to be recognized
    handlers, trace = set(_handlers()), error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _handlers() -> Iterator[CodeType]:
    """The code of the handlers of signals, but for the one here."""
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and handler is not _come and (code := code_of(handler)) is not None:
            yield code


def code_of(function: Callable[..., Any]) -> CodeType | None:
    """The Python code that runs when `function` is called; None where it is not known, or not in Python.

    >>> code_of(code_of) is code_of.__code__, code_of(print)
    (True, None)
    """
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, MethodType):
        function = function.__func__
    return function.__code__ if isinstance(function, FunctionType) else None
