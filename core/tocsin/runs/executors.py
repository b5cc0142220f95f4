"""Where attempts at tasks are made: in the calling thread, on threads, later on other machines.

An executor is given plain functions with plain arguments and hands back what became of them; it knows no flow. Nothing
is shared but the arguments, so that they may be sent elsewhere.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from tocsin.clock import Clock, SystemClock
from tocsin.errors import FlowError
from tocsin.masked import logger
from tocsin.plugins.interrupts import frames_of_others
from tocsin.runs import stopping
from tocsin.threads import Begin, Threads

_log = logger("tocsin.runs")

_GLANCE = 0.02  # seconds between two looks at threads that are to stop


class Outcome(NamedTuple):
    """What became of a call: its value, or the exception that left it."""

    key: Any
    value: Any
    error: BaseException | None = None


class AttemptLost(Exception):
    """The process in which an attempt was being made is gone; nobody knows how far the attempt had come.

    `again` says that the executor would make another one.
    """

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(AttemptLost, again=self.again), self.args


class Executor(ABC):
    """Makes calls, one or more at a time. An executor serves one pass of one flow run at a time."""

    slots: int | None = None
    """How many calls it wants to be given before it hands one back; None for all there are."""

    @abstractmethod
    def start(self, clock: Clock | None = None) -> AbstractContextManager[None]:
        """Be ready for calls for the length of a `with` block. When it ends in an exception nothing is waited for."""

    def keep(self) -> AbstractContextManager[None]:
        """Keep from one `start` to the next, for the length of a `with` block, what takes long to make."""
        return nullcontext()

    @abstractmethod
    def call(self, key: Any, fn: Callable[..., Any], *args: Any) -> None:
        """Have `fn(*args)` called; its outcome is handed back under `key`."""

    @abstractmethod
    def completed(self, timeout: float | None) -> Sequence[Outcome]:
        """Wait for at least one call to end, at most `timeout` seconds, and hand back those that have."""

    def cancel(self) -> Sequence[Outcome]:
        """Begin none of the calls that wait, and ask those under way to stop; hand back those that did, in a while.

        Called when a run is stopped, once, before the `start` block ends. What cannot be stopped is left behind.
        """
        return ()

    # ---------------------------------------------------------------- as in Prefect 1, for code that calls it itself

    def submit(self, fn: Callable[..., Any], *args: Any, extra_context: Any = None, **kwargs: Any) -> Any:  # noqa: ARG002
        """Hand back something for which `wait` gives what `fn` returned; here it is that already."""
        return fn(*args, **kwargs)

    def wait(self, futures: Any) -> Any:
        """What became of one or more things that `submit` handed back."""
        return futures


class LocalExecutor(Executor):
    """Makes one call after the other, in the thread that waits for them."""

    slots = 1

    def __init__(self) -> None:
        self._calls: deque[tuple[Any, Callable[..., Any], tuple[Any, ...]]] = deque()

    def start(self, clock: Clock | None = None) -> AbstractContextManager[None]:  # noqa: ARG002
        """Be ready for calls; there is nothing to prepare."""
        return self._started()

    @contextmanager
    def _started(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._calls.clear()

    def call(self, key: Any, fn: Callable[..., Any], *args: Any) -> None:
        """Have `fn(*args)` called by the next `completed`."""
        self._calls.append((key, fn, args))

    def completed(self, timeout: float | None) -> Sequence[Outcome]:  # noqa: ARG002
        """Make the call that was submitted first."""
        key, fn, args = self._calls.popleft()
        try:
            return (Outcome(key, fn(*args)),)
        except BaseException as error:  # raised again, where it is known what was interrupted
            return (Outcome(key, None, error),)


class ThreadExecutor(Executor):
    """Makes calls on `workers` threads, for work that waits for others: files, networks, databases.

    The threads live for one pass. They are daemons: a program that is told to end does not wait for a task that hangs.
    A run that is stopped raises an exception in the tasks under way, and waits at most `stop_within` seconds for them
    to end. It reaches Python code at once, and what waits in C when that returns. Where fewer threads can be had, these
    do the work; without any, the thread does it that runs the flow.
    """

    def __init__(self, workers: int = 8, *, stop_within: float = 5.0, begin: Begin = threading.Thread.start) -> None:
        if workers < 1:
            raise FlowError(f"ThreadExecutor has {workers} workers; give 1 or more")
        self.workers = workers
        self.stop_within = stop_within
        self._begin = begin
        self._alone = False  # no thread can be had
        self.slots = 2 * workers  # so that no thread idles while the next call is prepared
        self._calls: SimpleQueue[tuple[Any, Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._done: list[Outcome] = []
        self._busy: set[int] = set()  # threads that make a call
        self._change = threading.Condition()
        self._clock: Clock | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(ThreadExecutor, stop_within=self.stop_within), (self.workers,)

    @contextmanager
    def start(self, clock: Clock | None = None) -> Iterator[None]:
        """Start the threads; they end with the block."""
        self._clock = clock or SystemClock()
        self._calls, self._done, self._busy, self._change = SimpleQueue(), [], set(), threading.Condition()
        threads = self._threads()
        self._alone = not threads
        ended_well = False
        try:
            yield
            ended_well = True
        finally:
            if not ended_well:
                _drain(self._calls)
            for _ in threads:
                self._calls.put(None)
            if ended_well:
                for thread in threads:
                    thread.join()

    def _threads(self) -> list[threading.Thread]:
        """As many threads as can be had, at work."""
        serve = partial(_serve, self._calls, self._done, self._busy, self._change)
        source, threads = Threads("fewer tasks run at once than there should", _log, self._begin), []
        for number in range(1, self.workers + 1):
            if (thread := source.begin(serve, f"tocsin-task-{number}")) is None:
                break
            threads.append(thread)
        return threads

    def call(self, key: Any, fn: Callable[..., Any], *args: Any) -> None:
        """Have `fn(*args)` called by the next free thread."""
        self._calls.put((key, fn, args))

    def completed(self, timeout: float | None) -> Sequence[Outcome]:
        """Wait for at least one call to end, at most `timeout` seconds."""
        assert self._clock is not None, "start() comes first"
        if self._alone and not self._calls.empty():
            _make(self._calls.get(), self._done, self._busy, self._change)
        with self._change:
            if not self._done:
                self._clock.wait(self._change, timeout)
            done = list(self._done)
            self._done.clear()
        return done

    def cancel(self) -> Sequence[Outcome]:
        """Stop the calls under way, as far as they can be stopped in time; hand back those that have ended."""
        _drain(self._calls)

        class TaskStopped(stopping.TaskStopped):
            """Of this run, to be silenced by itself."""

        struck: set[int] = set()
        deadline = time.monotonic() + self.stop_within
        while self._busy and time.monotonic() < deadline:
            with frames_of_others():  # where they are: not in the midst of a state handler
                frames = sys._current_frames()
                for thread in self._busy - struck:
                    if stopping.may_strike(frames.get(thread)):
                        stop = ctypes.py_object(TaskStopped)
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), stop)
                        struck.add(thread)
            with self._change:
                self._change.wait(_GLANCE)
        TaskStopped.silent = True
        with self._change:
            return list(self._done)


def _serve(calls: SimpleQueue[Any], done: list[Outcome], busy: set[int], change: threading.Condition) -> None:
    while (call := calls.get()) is not None:
        _make(call, done, busy, change)
        del call


def _make(call: Any, done: list[Outcome], busy: set[int], change: threading.Condition) -> None:
    thread, (key, fn, args) = threading.get_ident(), call
    busy.add(thread)
    try:
        outcome = Outcome(key, fn(*args))
    except BaseException as error:  # handed to the thread that waits, which raises what must be raised
        outcome = Outcome(key, None, error)
    del call, args
    with change:
        busy.discard(thread)
        done.append(outcome)
        change.notify()


def _drain(calls: SimpleQueue[Any]) -> None:
    try:
        while True:
            calls.get_nowait()
    except Empty:
        return
