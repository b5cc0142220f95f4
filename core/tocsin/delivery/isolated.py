"""The process in which an isolated channel runs: `python -m tocsin.delivery.isolated`.

It reads requests and writes answers, one line of JSON each. Its first line names what makes the channel. It ends when
nobody is there to ask, even in the middle of a send.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
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
        return {"error": error_to_dict(sound(SendError(Reason.PLUGIN, f"{type(error).__name__}: {error}")))}
    return {"receipt": plain_receipt(receipt).to_dict()}


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer until nobody asks any more."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in requests:
            lines.put(line)
        os._exit(0)  # whoever asked is gone: a send that hangs must not outlive it

    threading.Thread(target=listen, name="tocsin-isolated", daemon=True).start()
    first = json.loads(lines.get())
    sys.path += [each for each in first["path"] if each not in sys.path]
    try:
        channel = made(first["make"], first["with"])
    except BaseException as error:
        problem = SendError(Reason.CONFIG, f"the channel cannot be made: {type(error).__name__}: {error}")
        _say(answers, {"error": error_to_dict(sound(problem))})
        return
    _say(answers, {"ready": True})
    while True:
        _say(answers, answer(channel, json.loads(lines.get())))


def _say(answers: IO[str], said: dict[str, Any]) -> None:
    answers.write(json.dumps(said) + "\n")
    answers.flush()


def main() -> None:
    """Serve on the standard streams, which what the channel prints does not reach."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is meant for whoever asks, and ends this one with it
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    serve(requests, answers)


if __name__ == "__main__":
    main()
