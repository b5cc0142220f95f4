"""How a child process is started, how signals reach it, and how its end is waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.identity import Process, process_of
from tocsin.supervision import memory
from tocsin.supervision.endings import Ending, signal_name
from tocsin.supervision.link import VARIABLE, Told
from tocsin.threads import Begin

POSSIBLE = hasattr(signal, "sigtimedwait")
"""Whether this system lets a supervisor see where a signal comes from."""

_PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
_ENDING = {signal.SIGINT, signal.SIGTERM}
_WATCHED = _PASSED_ON | {signal.SIGCHLD}
_LAST_WORDS = 2.0  # seconds for what is left in the pipe, in case somebody else holds it open

# The child finds modules where this process does, and takes the signals that its parent holds back for itself.
_START = (
    "import signal, sys; signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals()); "
    "sys.argv[0] = sys.argv.pop(1); sys.path[:1] = [sys.argv.pop(1)]; from tocsin.cli import main; main()"
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a child has to end that was asked to: the first time, and again."""

    first: float = 90.0
    again: float = 10.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that has ended."""

    process: Process
    ending: Ending
    told: Told = field(default_factory=Told)


class UnsupervisedError(Exception):
    """There can be no child beside this process, or nothing that listens to one: none was started."""


def tocsin_command(arguments: Sequence[str]) -> list[str]:
    """The command that runs `tocsin ARGUMENTS` with this interpreter, as this process was started."""
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    return [sys.executable, *flags, "-c", _START, sys.argv[0], sys.path[0], *arguments]


def supervise(
    command: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    patience: Patience | None = None,
    begin: Begin = threading.Thread.start,
) -> Ended:
    """Run a command to its end; it has the terminal, the input and the outputs of this process.

    Signals are passed on to it, but for those that the terminal sends to both. To be called in the main thread. Raises
    UnsupervisedError where threads or processes cannot be had.
    """
    before = memory.kills()
    told = Told()
    with _held_back():
        child, listener = _started(command, os.environ if environ is None else environ, told, begin)
        process = process_of(child.pid)
        overdue = _wait(child, patience or Patience())
        listener.join(_LAST_WORDS)
    after = memory.kills()
    starved = before is not None and after is not None and after > before
    return Ended(process, Ending(child.returncode, out_of_memory=starved, overdue=overdue), told)


def _started(
    command: Sequence[str], environ: Mapping[str, str], told: Told, begin: Begin
) -> tuple[subprocess.Popen[bytes], threading.Thread]:
    """The child, and the thread that listens to it: that comes first, for a child could not be called back."""
    reading, writing = os.pipe()
    try:
        pipe = os.fdopen(reading, "rb")
        listener = threading.Thread(target=told.listen, args=(pipe,), daemon=True)
        try:
            begin(listener)
        except RuntimeError as error:
            pipe.close()
            raise UnsupervisedError(str(error)) from error
        try:
            child = subprocess.Popen(  # noqa: S603  (this interpreter)
                command, env={**environ, VARIABLE: str(writing)}, pass_fds=[writing]
            )
        except BlockingIOError as error:
            raise UnsupervisedError(f"no process can be had: {error.strerror}") from error
        return child, listener
    finally:
        os.close(writing)


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keep signals for `_wait`. Those that come too late for the child have no effect."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    chld = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, nobody learns how a child ended
    try:
        yield
    finally:
        while signal.sigtimedwait(_WATCHED, 0) is not None:
            pass
        signal.signal(signal.SIGCHLD, chld)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _wait(child: subprocess.Popen[Any], patience: Patience) -> str:
    """Wait for the end of the child; why it was killed, if it had to be."""
    deadline, asked, overdue = None, 0, ""
    while child.poll() is None:
        wait = 3600.0 if deadline is None else max(deadline - time.monotonic(), 0.0)
        came = signal.sigtimedwait(_WATCHED, wait)
        if came is None and deadline is not None and time.monotonic() >= deadline:
            child.kill()
            overdue, deadline = f"it had not ended after it was asked to by {signal_name(asked)}", None
        elif came is not None and came.si_signo != signal.SIGCHLD:
            if came.si_code <= 0:  # sent by a process, to this one; what the kernel sends for a terminal, all get
                child.send_signal(came.si_signo)
            if came.si_signo in _ENDING and not overdue:
                deadline = time.monotonic() + (patience.again if asked else patience.first)
                asked = came.si_signo
    return overdue
