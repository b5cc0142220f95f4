"""How messages, receipts and errors are written as JSON, for a channel that runs in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Item, Link, Message, Reason, SendError


def message_to_dict(message: Message) -> dict[str, Any]:
    """The message as plain JSON data.

    >>> from tocsin_hooks.testing import sample_message
    >>> message_from_dict(message_to_dict(sample_message())) == sample_message()
    True
    """
    data = {each.name: getattr(message, each.name) for each in fields(Message)}
    return data | {
        "event": message.event.to_dict(),
        "links": [asdict(link) for link in message.links],
        "items": [asdict(item) for item in message.items],
        "fields": [list(pair) for pair in message.fields],
        "group": dict(message.group),
    }


def message_from_dict(data: Mapping[str, Any]) -> Message:
    """The message that `message_to_dict` wrote."""
    known = dict(data)
    known["event"] = Event.from_dict(known["event"])
    known["action"] = Action(known["action"])
    known["links"] = tuple(Link(**link) for link in known["links"])
    known["items"] = tuple(Item(**item) for item in known["items"])
    known["fields"] = tuple((label, value) for label, value in known["fields"])
    return Message(**known)


def error_to_dict(error: SendError) -> dict[str, Any]:
    """The error as plain JSON data."""
    names = ("reason", "detail", "retry_after", "permanent", "disable", "unknown")
    return {name: getattr(error, name) for name in names}


def error_from_dict(data: Mapping[str, Any]) -> SendError:
    """The error that `error_to_dict` wrote."""
    known = dict(data)
    return SendError(Reason(known.pop("reason")), known.pop("detail"), **known)
