"""What a webhook's body says, and how it is made to fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Message
from tocsin_hooks.specs import OBSERVED_STATES
from tocsin_hooks.text import cut, to_json

BODY_VERSION = 1
"""Grows when a part of the body changes its meaning or goes. New parts do not count."""
_STEPS = ((16_384, 200), (4096, 100), (1024, 50), (256, 20))
"""Longest text and longest list, step by step until the body fits."""
_OPTIONAL: dict[str, Any] = {"parameters": {}, "labels": {}, "tags": [], "causes": [], "blocked": [], "exception": None}


def body_of(message: Message, limit: int) -> bytes:
    """The body for `message`: at most `limit` bytes of JSON, marked `truncated` where that meant leaving out."""
    data = document(message)
    encoded = to_json(data)
    if len(encoded) <= limit:
        return encoded
    data["truncated"] = True
    for longest_text, longest_list in _STEPS:
        encoded = to_json(shortened(data, longest_text, longest_list))
        if len(encoded) <= limit:
            return encoded
    data["data"]["event"] |= _OPTIONAL
    data["data"]["message"] |= {"group": {}, "items": []}
    return to_json(shortened(data, 64, 20))


def document(message: Message) -> dict[str, Any]:
    """All that is to be said about `message`."""
    event = message.event
    return {
        "type": type_of(event, message.action),
        "timestamp": event.time.isoformat(),
        "version": BODY_VERSION,
        "truncated": False,
        "data": {
            "event": event.to_dict(),
            "message": {
                "title": message.title,
                "text": message.text,
                "action": message.action.value,
                "severity": message.severity,
                "reason": message.reason,
                "silent": message.silent,
                "acknowledged_by": message.acknowledged_by,
                "group": dict(message.group),
                "items": [dataclasses.asdict(item) for item in message.items],
                "count": message.count,
            },
            "incident": _incident(message),
            "delivery": {
                "id": message.id,
                "channel": message.channel,
                "route": message.route,
                "attempt": message.attempt,
            },
        },
    }


def _incident(message: Message) -> dict[str, str] | None:
    return {"key": message.incident, "opened_at": message.incident_opened_at} if message.incident else None


def type_of(event: Event, action: Action) -> str:
    """The type of a body, by which its reader can choose.

    >>> from tocsin_hooks.testing import sample_event
    >>> type_of(sample_event(state="TimedOut"), Action.OPEN), type_of(sample_event(task=""), Action.OPEN)
    ('tocsin.task.timed_out', 'tocsin.flow.failed')
    """
    if action is Action.TEST:
        return "tocsin.test"
    known = OBSERVED_STATES.get(event.state)
    state = known[0] if known else _snake(event.state)
    return f"tocsin.{'task' if event.task else 'flow'}.{state}"


def _snake(name: str) -> str:
    """A state's name in the way of the others.

    >>> _snake("AwaitingRetry!")
    'awaiting_retry'
    """
    parted = "".join(f"_{char.lower()}" if char.isupper() else char for char in name if char.isalnum() or char == "_")
    return parted.strip("_") or "unknown"


def shortened(value: Any, longest_text: int, longest_list: int) -> Any:
    """`value` with no text and no list in it longer than that.

    >>> shortened({"a": ["xxxx"] * 3, "b": 1}, 3, 2)
    {'a': ['xx…', 'xx…'], 'b': 1}
    """
    match value:
        case str():
            return cut(value, longest_text)
        case Mapping():
            items = list(value.items())[:longest_list] if len(value) > _FIELDS else value.items()
            return {cut(str(key), longest_text): shortened(item, longest_text, longest_list) for key, item in items}
        case list() | tuple():
            return [shortened(item, longest_text, longest_list) for item in value[:longest_list]]
        case _:
            return value


_FIELDS = 40  # more keys than any part of our own has: only what the user brought along is left out
