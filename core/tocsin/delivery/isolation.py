"""How a channel that may hang, crash or leak is kept out of this process."""

from __future__ import annotations

import json
import os
import signal
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tocsin.delivery.outside import JunkError, Outside
from tocsin.delivery.wire import error_from_dict, message_to_dict
from tocsin_hooks.durations import format_duration
from tocsin_hooks.messages import Message, Reason, Receipt, SendError

START_WITHIN = timedelta(seconds=30)
"""How long the process of a channel may take to be ready."""

RENEWED_AFTER = 500
"""Sends after which the process is replaced by a fresh one: what it leaks is gone with it."""


class CutOffError(SendError):
    """The process of the channel was ended from here, in the middle of a send or before it: that is no fault of it."""

    def __init__(self, *, unknown: bool) -> None:
        super().__init__(Reason.TIMEOUT, "no answer before tocsin ended the channel's process", unknown=unknown)


@dataclass(frozen=True, slots=True)
class Reference:
    """What makes the channel in its process: a function `module:name`, and plain values to call it with."""

    make: str
    given: Mapping[str, Any] = field(default_factory=dict)


class IsolatedChannel:
    """A channel that sends from a process of its own, started when first needed, killed past its deadline.

    Whatever it does there (exits, crashes, answers junk), here it is a `SendError`, and the next message gets a new
    process. Only plain data passes between the two; secrets are read over there. The process, and whatever it has
    started, ends with this one, even if this one is killed.
    """

    def __init__(
        self,
        reference: Reference,
        deadline: timedelta,
        *,
        renewed_after: int = RENEWED_AFTER,
        start: Callable[[], Outside] = Outside,
    ) -> None:
        self._reference = reference
        self._deadline = deadline
        self._renewed_after = renewed_after
        self._start = start
        self._lock = threading.Lock()
        self._process: Outside | None = None
        self._sent = 0
        self._closed = False
        _all.add(self)

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        """Make one attempt over there."""
        request = {"message": message_to_dict(message), "previous": None if previous is None else previous.to_dict()}
        with self._lock:
            if self._closed:
                raise CutOffError(unknown=False)
            process = self._running()
            self._sent += 1
            try:
                return self._told(self._ask(process, request, self._deadline))
            finally:
                if self._sent >= self._renewed_after or self._closed:
                    self._end()

    def close(self) -> bool:
        """End the process, if there is one, even in the middle of a send; whether it was in one."""
        self._closed, at_work = True, self._lock.locked()
        if (process := self._process) is not None:
            process.kill()
        if self._lock.acquire(timeout=1):
            self._end()
            self._lock.release()
        return at_work

    def forked(self) -> None:
        """Let go of the process: it is that of another one, of which this one is a copy."""
        process, self._process = self._process, None
        self._lock = threading.Lock()  # some other thread may have held the old one
        if process is not None:
            process.abandon()

    def _running(self) -> Outside:
        if self._process is None or self._process.has_ended:
            self._end()
            self._process, self._sent = self._started(), 0
            first = {"make": self._reference.make, "with": dict(self._reference.given)}
            answer = self._ask(self._process, first, START_WITHIN, unknown=False)
            if "error" in answer:
                self._end()
                raise error_from_dict(answer["error"])
        return self._process

    def _started(self) -> Outside:
        try:
            return self._start()
        except OSError as error:  # no more processes, memory or files can be had: that says nothing of the channel
            raise SendError(Reason.CONFIG, f"the channel's process cannot be started: {error}") from error

    def _ask(
        self, process: Outside, request: Mapping[str, Any], within: timedelta, *, unknown: bool = True
    ) -> dict[str, Any]:
        line = json.dumps({**request, "number": self._sent}).encode() + b"\n"
        try:
            return _checked(process.ask(line, within.total_seconds()), self._sent)
        except TimeoutError:
            self._end()
            text = f"no answer within {format_duration(within.total_seconds())}; the channel's process was killed"
            raise SendError(Reason.TIMEOUT, text, unknown=unknown) from None
        except (OSError, EOFError):
            if self._closed:
                self._end()
                raise CutOffError(unknown=unknown) from None
            text = f"the channel's process {_in_words(process.end())}"
            self._end()
            raise SendError(Reason.PLUGIN, text, unknown=unknown) from None
        except JunkError:
            self._end()
            raise SendError(Reason.PLUGIN, "the channel's process answered junk", unknown=unknown) from None

    def _told(self, answer: Mapping[str, Any]) -> Receipt:
        try:
            result = error_from_dict(answer["error"]) if "error" in answer else Receipt.from_dict(answer["receipt"])
        except (AttributeError, LookupError, TypeError, ValueError):
            self._end()
            raise SendError(Reason.PLUGIN, "the channel's process answered junk", unknown=True) from None
        if isinstance(result, SendError):
            raise result
        return result

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.close()


def _checked(line: bytes, number: int) -> dict[str, Any]:
    """The answer to the request of that number. Raises JunkError for anything else.

    >>> _checked(b'{"number": 2, "ready": true}', 2)
    {'number': 2, 'ready': True}
    """
    try:
        answer = json.loads(line)
    except ValueError:
        raise JunkError from None
    if not isinstance(answer, dict) or not {"ready", "receipt", "error"} & answer.keys():
        raise JunkError
    if answer.get("number") != number:  # what answers twice would be believed for the next message
        raise JunkError
    return answer


def _in_words(code: int | None) -> str:
    """How a process has ended.

    >>> _in_words(7), _in_words(-9), _in_words(-99), _in_words(None)
    ('exited with 7', 'was killed by SIGKILL', 'was killed by signal 99', 'closed its pipe')
    """
    if code is None:
        return "closed its pipe"
    try:
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
    except ValueError:
        return f"was killed by signal {-code}"


_all: weakref.WeakSet[IsolatedChannel] = weakref.WeakSet()


def _after_fork() -> None:
    for channel in list(_all):
        channel.forked()


os.register_at_fork(after_in_child=_after_fork)
