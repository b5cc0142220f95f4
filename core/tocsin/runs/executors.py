"""Where attempts at tasks are made: in the calling thread, on threads, later on other machines.

An executor is given plain functions with plain arguments and hands back what became of them; it knows no flow. Nothing
is shared but the arguments, so that they may be sent elsewhere.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from tocsin.clock import Clock
from tocsin.errors import FlowError


class Outcome(NamedTuple):
    """What became of a call: its value, or the exception that left it."""

    key: Any
    value: Any
    error: BaseException | None = None


class Executor(ABC):
    """Makes calls, one or more at a time. An executor serves one pass of one flow run at a time."""

    slots: int | None = None
    """How many calls it wants to be given before it hands one back; None for all there are."""

    @abstractmethod
    def start(self, clock: Clock) -> AbstractContextManager[None]:
        """Be ready for calls for the length of a `with` block. When it ends in an exception nothing is waited for."""

    @abstractmethod
    def submit(self, key: Any, fn: Callable[..., Any], *args: Any) -> None:
        """Have `fn(*args)` called; its outcome is handed back under `key`."""

    @abstractmethod
    def completed(self, timeout: float | None) -> Sequence[Outcome]:
        """Wait for at least one call to end, at most `timeout` seconds, and hand back those that have."""


class LocalExecutor(Executor):
    """Makes one call after the other, in the thread that waits for them."""

    slots = 1

    def __init__(self) -> None:
        self._calls: deque[tuple[Any, Callable[..., Any], tuple[Any, ...]]] = deque()

    def start(self, clock: Clock) -> AbstractContextManager[None]:  # noqa: ARG002
        """Be ready for calls; there is nothing to prepare."""
        return self._started()

    @contextmanager
    def _started(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._calls.clear()

    def submit(self, key: Any, fn: Callable[..., Any], *args: Any) -> None:
        """Have `fn(*args)` called by the next `completed`."""
        self._calls.append((key, fn, args))

    def completed(self, timeout: float | None) -> Sequence[Outcome]:  # noqa: ARG002
        """Make the call that was submitted first."""
        key, fn, args = self._calls.popleft()
        try:
            return (Outcome(key, fn(*args)),)
        except Exception as error:
            return (Outcome(key, None, error),)


class ThreadExecutor(Executor):
    """Makes calls on `workers` threads, for work that waits for others: files, networks, databases.

    The threads live for one pass. They are daemons: a program that is told to end does not wait for a task that hangs.
    """

    def __init__(self, workers: int = 8) -> None:
        if workers < 1:
            raise FlowError(f"ThreadExecutor has {workers} workers; give 1 or more")
        self.workers = workers
        self.slots = 2 * workers  # so that no thread idles while the next call is prepared
        self._calls: SimpleQueue[tuple[Any, Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._done: list[Outcome] = []
        self._change = threading.Condition()
        self._clock: Clock | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return ThreadExecutor, (self.workers,)

    @contextmanager
    def start(self, clock: Clock) -> Iterator[None]:
        """Start the threads; they end with the block."""
        self._clock = clock
        self._calls, self._done, self._change = SimpleQueue(), [], threading.Condition()
        args = (self._calls, self._done, self._change)
        threads = [
            threading.Thread(target=_serve, args=args, name=f"tocsin-task-{number}", daemon=True)
            for number in range(1, self.workers + 1)
        ]
        for thread in threads:
            thread.start()
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

    def submit(self, key: Any, fn: Callable[..., Any], *args: Any) -> None:
        """Have `fn(*args)` called by the next free thread."""
        self._calls.put((key, fn, args))

    def completed(self, timeout: float | None) -> Sequence[Outcome]:
        """Wait for at least one call to end, at most `timeout` seconds."""
        assert self._clock is not None, "start() comes first"
        with self._change:
            if not self._done:
                self._clock.wait(self._change, timeout)
            done = list(self._done)
            self._done.clear()
        return done


def _serve(calls: SimpleQueue[Any], done: list[Outcome], change: threading.Condition) -> None:
    while (call := calls.get()) is not None:
        key, fn, args = call
        try:
            outcome = Outcome(key, fn(*args))
        except BaseException as error:  # handed to the thread that waits, which raises what must be raised
            outcome = Outcome(key, None, error)
        del call, args
        with change:
            done.append(outcome)
            change.notify()


def _drain(calls: SimpleQueue[Any]) -> None:
    try:
        while True:
            calls.get_nowait()
    except Empty:
        return
