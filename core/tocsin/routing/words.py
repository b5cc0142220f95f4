"""The turns of phrase that messages of one event and of several share."""

from __future__ import annotations

from datetime import datetime

from tocsin.routing.envelope import Envelope
from tocsin_hooks.durations import format_duration
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Item
from tocsin_hooks.text import cut

_NAME = 60
_BLOCKED = 5
_LABELS = 4


def one_line(text: str) -> str:
    r"""`text` on one line.

    >>> one_line(" a\n b ")
    'a b'
    """
    return " ".join(text.split())


def subject_of(event: Event) -> str:
    """What an event is about: its flow and task; of one that has none, such as an alert from elsewhere, its labels.

    >>> from tocsin_hooks.testing import sample_event
    >>> subject_of(sample_event(flow="", task="", map_index=None, labels={"instance": "a", "alertname": "DiskFull"}))
    'alertname=DiskFull, instance=a'
    """
    if event.subject:
        return event.subject
    named = [f"{name}={cut(one_line(value), _NAME)}" for name, value in sorted(event.labels.items()) if value]
    return ", ".join(named[:_LABELS])


def reason_of(event: Event) -> str:
    """Why, as the event says it: the exception where there is one, else the state's message."""
    if event.exception is not None:
        return f"{event.exception.type}: {event.exception.message}"
    return event.message


def blocked_tasks(event: Event) -> str:
    """How many tasks cannot run because of this failure, and the first of them; empty where there are none.

    >>> from tocsin_hooks.testing import sample_event
    >>> blocked_tasks(sample_event(blocks=500, blocked=("a", "b", "c"))), blocked_tasks(sample_event(blocks=1))
    ('500 tasks: a, b, c, ...', '1 task')
    """
    if event.blocks <= 0:
        return ""
    names = [name for name in (cut(one_line(name), _NAME) for name in event.blocked[:_BLOCKED]) if name]
    if names and len(names) < event.blocks:
        names.append("...")
    return f"{counted(event.blocks, 'task')}{': ' if names else ''}{', '.join(names)}"


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "problem"), counted(12, "problem")
    ('1 problem', '12 problems')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def after(event: Event, envelope: Envelope) -> str:
    """How long an incident lasted that is over, for the end of a title; empty where its beginning is not known."""
    if envelope.incident_opened_at is None:
        return ""
    ends = [event.time.timestamp(), *(time.timestamp() for time in map(time_of, envelope.items) if time is not None)]
    return f" after {format_duration(max(max(ends) - envelope.incident_opened_at.timestamp(), 0))}"


def outage(event: Event, envelope: Envelope, *, at_least: float = 0) -> str:
    """How long an incident has been open; empty where that is not known, or is less than `at_least` seconds."""
    if envelope.incident_opened_at is None:
        return ""
    seconds = (envelope.at or event.time).timestamp() - envelope.incident_opened_at.timestamp()
    return format_duration(seconds) if seconds >= at_least else ""


def time_of(item: Item) -> datetime | None:
    """When an item happened, if it says so in a form that can be read; a time without a zone is none."""
    try:
        found = datetime.fromisoformat(item.at)
    except ValueError:
        return None
    return found if found.tzinfo else None
