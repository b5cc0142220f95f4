"""How the process of an isolated channel is started, asked and ended, so that nothing of it is left over."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import IO

_LONGEST_ANSWER = 1_000_000  # bytes
_LAST_BREATH = 1.0  # seconds for a process that has closed its pipe to end
_KILLED_WITHIN = 5.0  # seconds; a disk that hangs may keep a killed process for longer

# It finds modules where this process does, whatever lies in the folder where both were started.
_START = (
    "import json, sys; sys.argv[0], life, path = 'tocsin', *sys.argv[1:]; del sys.argv[1:]; "
    "sys.path[:] = dict.fromkeys([*json.loads(path), *sys.path]); "
    "from tocsin.delivery.isolated import main; main(int(life))"
)


class JunkError(Exception):
    """The process said what is no answer."""


class Outside:
    """A process that answers lines with lines, in a group of its own with all that it starts.

    The pipe `life` tells it that this process is there: the kernel ends the group when that is closed, and so with
    this process, however it dies.
    """

    def __init__(self) -> None:
        reading, self._life = os.pipe()
        flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
        path = json.dumps([str(folder) for folder in sys.path])
        try:
            self._process = subprocess.Popen(  # noqa: S603  (this interpreter)
                [sys.executable, *flags, "-P", "-c", _START, str(reading), path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=[reading],
                start_new_session=True,
            )
        except BaseException:
            os.close(self._life)
            raise
        finally:
            os.close(reading)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stdout: IO[bytes] = self._process.stdout
        self._more = b""
        os.set_blocking(self._stdin.fileno(), False)  # it may read nothing any more

    @property
    def has_ended(self) -> bool:
        """Whether it is there no more."""
        return self._process.poll() is not None

    def ask(self, line: bytes, seconds: float) -> bytes:
        """Its answer to a line. Raises TimeoutError when that takes too long, EOFError or OSError when it has ended."""
        deadline = time.monotonic() + seconds
        self._write(line, deadline)
        return self._read(deadline)

    def end(self) -> int | None:
        """Wait a moment for its end; how it ended, as `subprocess` has it, or None where it did not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(_LAST_BREATH)
        return None

    def kill(self) -> None:
        """Kill it, and whatever it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of it once it is killed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_WITHIN)
        self._close_pipes()

    def abandon(self) -> None:
        """Let go of it as a copy of the process that has started it: it stays with that one alone."""
        self._process.returncode = 0  # not ours to wait for
        self._close_pipes()

    def _close_pipes(self) -> None:
        self._stdin.close()
        self._stdout.close()
        if self._life >= 0:
            os.close(self._life)
            self._life = -1

    def _write(self, line: bytes, deadline: float) -> None:
        left = memoryview(line)
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdin, selectors.EVENT_WRITE)
            while left:
                _wait(selector, deadline)
                with contextlib.suppress(BlockingIOError):
                    left = left[os.write(self._stdin.fileno(), left) :]

    def _read(self, deadline: float) -> bytes:
        """The next line; what comes after it is left for the next time."""
        said, self._more = self._more, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while b"\n" not in said:
                _wait(selector, deadline)
                if not (chunk := os.read(self._stdout.fileno(), 65536)):
                    raise EOFError
                said += chunk
                if len(said) > _LONGEST_ANSWER:
                    raise JunkError
        line, _, self._more = said.partition(b"\n")
        return line


def _wait(selector: selectors.BaseSelector, deadline: float) -> None:
    if not selector.select(max(deadline - time.monotonic(), 0.0)):
        raise TimeoutError
