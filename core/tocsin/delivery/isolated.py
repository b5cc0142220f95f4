"""What the process of an isolated channel does.

It reads requests and writes answers, one line of JSON each. The first request names what makes the channel. It ends,
with all that it has started, when nobody is there to ask, even in the middle of a send.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import queue
import select
import signal
import sys
import threading
from typing import IO, Any

from tocsin.delivery.sound import plain_receipt, sound
from tocsin.delivery.wire import error_to_dict, message_from_dict
from tocsin_hooks.channels import Channel
from tocsin_hooks.messages import Reason, Receipt, SendError


def made(reference: str, given: dict[str, Any]) -> Channel:
    """The channel that the function `module:name` makes of what it is given."""
    module, _, name = reference.partition(":")
    channel: Channel = getattr(importlib.import_module(module), name)(**given)
    return channel


def answer(channel: Channel, request: dict[str, Any]) -> dict[str, Any]:
    """Make one attempt, and say what came of it."""
    previous = request.get("previous")
    try:
        message = message_from_dict(request["message"])
        receipt = channel.send(message, None if previous is None else Receipt.from_dict(previous))
        if not isinstance(receipt, Receipt):
            raise SendError(Reason.PLUGIN, f"the channel returned {type(receipt).__name__}, not a Receipt")
    except SendError as error:
        return {"error": error_to_dict(sound(error))}
    except BaseException as error:
        return {"error": error_to_dict(sound(SendError(Reason.PLUGIN, _described(error))))}
    return {"receipt": plain_receipt(receipt).to_dict()}


def _described(error: BaseException) -> str:
    """What was raised, in words.

    >>> _described(ValueError("bad row")), _described(KeyboardInterrupt())
    ('ValueError: bad row', 'KeyboardInterrupt: ')
    """
    try:
        text = str(error)
    except BaseException as second:
        text = f"<its text cannot be had: {type(second).__name__}>"
    return f"{type(error).__name__}: {text}"


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer until nobody asks any more."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        try:
            for line in requests:
                lines.put(line)
        finally:
            _end_all()  # whoever asked is gone: a send that hangs must not outlive it

    threading.Thread(target=listen, name="tocsin-isolated", daemon=True).start()
    first = json.loads(lines.get())
    try:
        channel = made(first["make"], first["with"])
    except BaseException as error:
        problem = SendError(Reason.CONFIG, f"the channel cannot be made: {_described(error)}")
        _say(answers, first, {"error": error_to_dict(sound(problem))})
        return
    _say(answers, first, {"ready": True})
    while True:
        request = json.loads(lines.get())
        _say(answers, request, answer(channel, request))


def _say(answers: IO[str], request: dict[str, Any], said: dict[str, Any]) -> None:
    answers.write(json.dumps({**said, "number": request["number"]}) + "\n")
    answers.flush()


def _die_with(life: int) -> None:
    """Let the kernel kill this group once the other end of the pipe `life` is closed, or its process dead.

    The thread that listens cannot be relied on: code that hangs and holds the interpreter's lock stops all threads.
    """
    os.set_inheritable(life, False)
    if sys.platform == "linux":
        fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([life], [], [], 0)[0]:  # closed before that
        _end_all()


def _end_all() -> None:
    os.killpg(0, signal.SIGKILL)


def _pass_over(number: int, frame: object) -> None:
    """Go on: who asked is told to end as well, and ends this process in its own time."""


def main(life: int) -> None:
    """Serve on the standard streams, which what the channel prints does not reach."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _pass_over)  # not ignored: what the channel starts would ignore it as well
    _die_with(life)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    serve(requests, answers)
