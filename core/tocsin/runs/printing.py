"""What becomes of what a task prints when it has `log_stdout=True`.

`contextlib.redirect_stdout` would take what all threads print. Here a stand-in for `sys.stdout` asks, at each write,
whether the run that writes has its output logged; everybody else's goes where it always went.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO, cast


class LogLines:
    """Logs at INFO each line that is written to it; lines of nothing but white space are left out."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._rest = ""
        self._lock = threading.Lock()  # threads that a task starts with a copy of its context share this

    def write(self, text: str) -> int:
        """Log the lines that this completes."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def end(self) -> None:
        """Log what is left without a line break at its end."""
        with self._lock:
            rest, self._rest = self._rest, ""
        self._log(rest)

    def _log(self, line: str) -> None:
        if not line.strip():
            return
        token = _lines.set(None)  # a handler that writes to stdout must not come back here
        try:
            self._logger.info(line)
        finally:
            _lines.reset(token)


_lines: ContextVar[LogLines | None] = ContextVar("tocsin_log_stdout", default=None)


class _Stdout:
    """Stands in for `sys.stdout`."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def write(self, text: str) -> int:
        lines = _lines.get()
        if lines is not None:
            return lines.write(text)
        written: int = self.real.write(text)
        return written

    def writelines(self, texts: Any) -> None:
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        self.real.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


_lock = threading.Lock()
_users = 0


@contextmanager
def redirected(logger: logging.Logger) -> Iterator[None]:
    """Log what code in the `with` block prints, line by line; other threads print as before."""
    lines = LogLines(logger)
    _enter()
    token = _lines.set(lines)
    try:
        yield
    finally:
        _lines.reset(token)
        _leave()
        lines.end()


def _enter() -> None:
    global _users  # noqa: PLW0603  (as sys.stdout is one for the process)
    with _lock:
        _users += 1
        if not isinstance(sys.stdout, _Stdout) and sys.stdout is not None:
            sys.stdout = cast("TextIO", _Stdout(sys.stdout))


def _leave() -> None:
    global _users  # noqa: PLW0603
    with _lock:
        _users -= 1
        if not _users and isinstance(sys.stdout, _Stdout):
            sys.stdout = sys.stdout.real
