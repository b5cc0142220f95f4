"""How a channel that may hang, crash or leak is kept out of this process."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tocsin.delivery.wire import error_from_dict, message_to_dict
from tocsin_hooks.durations import format_duration
from tocsin_hooks.messages import Message, Reason, Receipt, SendError

START_WITHIN = timedelta(seconds=30)
"""How long the process of a channel may take to be ready."""

RENEWED_AFTER = 500
"""Sends after which the process is replaced by a fresh one: what it leaks is gone with it."""

_LONGEST_ANSWER = 1_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Reference:
    """What makes the channel in its process: a function `module:name`, and plain values to call it with."""

    make: str
    given: Mapping[str, Any] = field(default_factory=dict)


class IsolatedChannel:
    """A channel that sends from a process of its own, started when first needed, killed past its deadline.

    Whatever it does there (exits, crashes, answers junk), here it is a `SendError`, and the next message gets a new
    process. Only plain data passes between the two; secrets are read over there.
    """

    def __init__(self, reference: Reference, deadline: timedelta, *, renewed_after: int = RENEWED_AFTER) -> None:
        self._reference = reference
        self._deadline = deadline
        self._renewed_after = renewed_after
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0  # of the process that started it: a forked child has none
        self._sent = 0

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        """Make one attempt over there."""
        request = {"message": message_to_dict(message), "previous": None if previous is None else previous.to_dict()}
        with self._lock:
            process = self._running()
            self._sent += 1
            answer = self._ask(process, request, self._deadline)
            if self._sent >= self._renewed_after:
                self._end()
        return _told(answer)

    def close(self) -> None:
        """End the process, if there is one, even in the middle of a send."""
        if (process := self._process) is not None and self._pid == os.getpid():
            process.kill()
            if self._lock.acquire(timeout=1):
                self._end()
                self._lock.release()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._pid != os.getpid() or self._process.poll() is not None:
            self._process, self._pid, self._sent = None, os.getpid(), 0
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "tocsin.delivery.isolated"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            first = {"make": self._reference.make, "with": dict(self._reference.given), "path": sys.path}
            answer = self._ask(process, first, START_WITHIN, unknown=False)
            if "error" in answer:
                self._end()
                raise error_from_dict(answer["error"])
        return self._process

    def _ask(
        self, process: subprocess.Popen[bytes], request: Mapping[str, Any], within: timedelta, *, unknown: bool = True
    ) -> dict[str, Any]:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = _line(process, within)
        except TimeoutError:
            self._end()
            text = f"no answer within {format_duration(within.total_seconds())}; the channel's process was killed"
            raise SendError(Reason.TIMEOUT, text, unknown=unknown) from None
        except (OSError, EOFError):
            raise SendError(Reason.PLUGIN, f"the channel's process {self._death()}", unknown=unknown) from None
        try:
            answer = json.loads(line)
            if not isinstance(answer, dict) or not {"ready", "receipt", "error"} & answer.keys():
                raise ValueError(line)
        except ValueError:
            self._end()
            raise SendError(Reason.PLUGIN, "the channel's process answered junk", unknown=unknown) from None
        return answer

    def _death(self) -> str:
        """How the process has ended, in words."""
        assert self._process is not None
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            code = None
        self._end()
        if code is None:
            return "closed its pipe"
        try:
            return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        except ValueError:
            return f"was killed by signal {-code}"

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was not written yet has no reader any more
                    stream.close()


def _told(answer: Mapping[str, Any]) -> Receipt:
    if "error" in answer:
        raise error_from_dict(answer["error"])
    return Receipt.from_dict(answer["receipt"])


def _line(process: subprocess.Popen[bytes], within: timedelta) -> bytes:
    """The next line of the process. Raises EOFError when it has ended, TimeoutError when it is silent too long."""
    assert process.stdout is not None
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(within.total_seconds()):
                raise TimeoutError
            if not (chunk := os.read(process.stdout.fileno(), 65536)):
                raise EOFError
            line += chunk
            if len(line) > _LONGEST_ANSWER:
                return b""
    return line
