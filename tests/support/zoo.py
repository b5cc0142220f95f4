"""Channels that misbehave in every way, for processes of their own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import stat
import threading
from collections.abc import Callable
from typing import Any

from tocsin_hooks.messages import Message, Reason, Receipt, SendError


def _exit() -> Receipt:
    os._exit(7)


def _die() -> Receipt:
    os.kill(os.getpid(), signal.SIGSEGV)
    return Receipt("still alive")


def _leave() -> Receipt:
    raise SystemExit(3)


def _hang() -> Receipt:
    threading.Event().wait()
    return Receipt("never")


def _refuse() -> Receipt:
    raise SendError(Reason.RATE_LIMITED, "slowly", retry_after=30)


def _print() -> Receipt:
    print('{"receipt": {"detail": "forged"}}', flush=True)
    return Receipt("printed")


def _twice() -> Receipt:
    """Answer at once, behind the back of the process, which answers as well."""
    forged = json.dumps({"receipt": Receipt("twice").to_dict(), "number": 1}).encode() + b"\n"
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            writes = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
            if writes and stat.S_ISFIFO(os.fstat(number).st_mode):
                os.write(number, forged)
    return Receipt("the answer")


WAYS: dict[str, Callable[[], Any]] = {
    "exit": _exit,
    "die": _die,
    "leave": _leave,
    "hang": _hang,
    "refuse": _refuse,
    "print": _print,
    "twice": _twice,
    "nothing": lambda: None,
    "odd": lambda: Receipt(None, {"at": object()}),
}


class Zoo:
    def __init__(self, secret: str) -> None:
        self.secret = os.environ.get(secret, "")

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        if message.title in WAYS:
            receipt: Receipt = WAYS[message.title]()
            return receipt
        before = "" if previous is None else previous.reference["ts"]
        return Receipt(f"{message.title} {message.event.subject}", {"ts": before + "1", "pid": str(os.getpid())})


def make(secret: str = "") -> Zoo:
    if secret == "missing":
        raise KeyError(secret)
    return Zoo(secret)
