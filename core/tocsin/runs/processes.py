"""Calls made in processes of this machine, each of which may die without taking the others' work along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection, Pipe, wait as wait_for
from types import FrameType
from typing import Any, NamedTuple

from tocsin.clock import Clock, SystemClock
from tocsin.errors import FlowError
from tocsin.runs import stopping
from tocsin.runs.executors import AttemptLost, Executor, Outcome
from tocsin.runs.relay import Home, pack, perform

_GLANCE = 0.05  # seconds between two looks at processes that are to stop
_SERVE = "import sys; from tocsin.runs.processes import serve; serve(int(sys.argv[1]))"


class Waiting(NamedTuple):
    """A call that has not been handed to a worker."""

    key: Any
    data: bytes
    home: Home


class Worker:
    """A process that makes one call after the other. The main module is not run again in it."""

    def __init__(self) -> None:
        self.pipe, far = Pipe()
        with far:
            self.process = subprocess.Popen(  # noqa: S603  (this interpreter, and a constant)
                [sys.executable, "-c", _SERVE, str(far.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
            )
        self.call: Waiting | None = None

    def give(self, call: Waiting) -> bool:
        """Hand over a call; False when the process is gone, so that the call has not begun."""
        try:
            self.pipe.send_bytes(call.data)
        except OSError:
            return False
        self.call = call
        return True

    def end(self, *, now: bool) -> int:
        """Let the process end, or kill it; return its exit code."""
        self.pipe.close()
        if now:
            self.process.kill()
        return self.process.wait()


class _Readable(NamedTuple):
    """What a clock can wait for: an answer on one of the pipes, or the end of one."""

    pipes: Sequence[Connection]

    def wait(self, timeout: float | None = None) -> bool:
        return bool(wait_for(self.pipes, timeout))


class ProcessExecutor(Executor):
    """Makes calls in `workers` processes, for work that computes. Tasks and results must survive cloudpickle.

    State handlers run in the process of their task. An attempt whose process dies is announced as lost, and made again
    at most `retries_on_worker_loss` times for each task. A run that is stopped raises an exception in the tasks under
    way; processes that have not answered `stop_within` seconds later are killed.
    """

    def __init__(self, workers: int, *, retries_on_worker_loss: int = 1, stop_within: float = 5.0) -> None:
        if workers < 1:
            raise FlowError(f"ProcessExecutor has {workers} workers; give 1 or more")
        self.workers = workers
        self.retries_on_worker_loss = retries_on_worker_loss
        self.stop_within = stop_within
        self.slots = 2 * workers  # so that the next call is packed when a worker gets free
        self._begin(SystemClock())

    def __reduce__(self) -> tuple[Any, ...]:
        losses, patience = self.retries_on_worker_loss, self.stop_within
        return partial(ProcessExecutor, retries_on_worker_loss=losses, stop_within=patience), (self.workers,)

    def _begin(self, clock: Clock) -> None:
        self._clock = clock
        self._all: dict[Connection, Worker] = {}
        self._idle: list[Worker] = []
        self._waiting: deque[Waiting] = deque()
        self._done: list[Outcome] = []
        self._losses: Counter[Any] = Counter()

    @contextmanager
    def start(self, clock: Clock | None = None) -> Iterator[None]:
        """Be ready; processes start when they are needed and end with the block."""
        self._begin(clock or SystemClock())
        ended_well = False
        try:
            yield
            ended_well = True
        finally:
            for worker in self._all.values():
                worker.end(now=not ended_well)
            self._begin(self._clock)

    def call(self, key: Any, fn: Any, *args: Any) -> None:
        """Have `fn(*args)` called by the next free process."""
        try:
            data, home = pack(fn, args)
        except Exception as error:  # whatever the reduce of something in it raises
            self._done.append(Outcome(key, None, cannot_be_sent(error)))
            return
        self._waiting.append(Waiting(key, data, home))
        self._hand_out()

    @stopping.shielded
    def _hand_out(self) -> None:
        while self._waiting:
            if self._idle:
                worker = self._idle.pop()
            elif len(self._all) < self.workers:
                worker = Worker()
                self._all[worker.pipe] = worker
            else:
                return
            if worker.give(self._waiting[0]):
                self._waiting.popleft()
            else:
                self._bury(worker)

    def _bury(self, worker: Worker) -> str:
        del self._all[worker.pipe]
        return f"worker process {worker.process.pid} {how_it_ended(worker.end(now=False))}"

    def _busy(self) -> list[Connection]:
        return [pipe for pipe, worker in self._all.items() if worker.call is not None]

    def completed(self, timeout: float | None) -> Sequence[Outcome]:
        """Wait for at least one call to end, at most `timeout` seconds."""
        if not self._done:
            busy = self._busy()
            if self._clock.wait(_Readable(busy), timeout):
                self._take_from(wait_for(busy, 0))
                self._hand_out()
        done, self._done = self._done, []
        return done

    def cancel(self) -> Sequence[Outcome]:
        """Stop the calls under way, as far as they can be stopped in time; hand back those that have ended."""
        self._waiting.clear()
        deadline = time.monotonic() + self.stop_within
        while (busy := self._busy()) and time.monotonic() < deadline:
            for pipe in busy:
                self._all[pipe].process.terminate()  # ignored by one in the midst of a state handler: so, again
            self._take_from(wait_for(busy, _GLANCE))
        done, self._done = self._done, []
        return done

    @stopping.shielded
    def _take_from(self, pipes: Iterable[Any]) -> None:
        for pipe in pipes:
            self._take(self._all[pipe])

    def _take(self, worker: Worker) -> None:
        call, worker.call = worker.call, None
        assert call is not None  # only busy workers are waited for
        try:
            answer = worker.pipe.recv_bytes()
        except (EOFError, OSError):
            self._losses[call.key] += 1
            again = self._losses[call.key] <= self.retries_on_worker_loss
            self._done.append(Outcome(call.key, None, AttemptLost(self._bury(worker), again=again)))
            return
        self._idle.append(worker)
        self._done.append(Outcome(call.key, *call.home.take(answer)))


def serve(descriptor: int) -> None:
    """Make the calls that come over a pipe until it is closed: what a worker process does."""
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the process that runs the flow
    signal.signal(signal.SIGTERM, _stop)
    with Connection(descriptor) as pipe:
        while True:
            try:
                call = pipe.recv_bytes()
            except EOFError:
                return
            pipe.send_bytes(perform(call))


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    if stopping.may_strike(frame):
        raise stopping.TaskStopped


def cannot_be_sent(error: Exception) -> FlowError:
    """Why a call could not be handed to another process."""
    return FlowError(f"the task cannot be sent to another process: {type(error).__name__}: {error}")


def how_it_ended(code: int) -> str:
    """The end of a process, for people.

    >>> how_it_ended(-9), how_it_ended(3)
    ('was killed by SIGKILL', 'ended with code 3')
    """
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
