"""What PagerDuty is told about a message: which event, under which key, in which words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tocsin_hooks.durations import format_duration
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Message
from tocsin_hooks.text import cut, one_line, to_json, whole
from tocsin_pagerduty.config import PagerDutyConfig

LARGEST = 512 * 1000
"""Bytes of an event; PagerDuty says 512 KB, and the smaller reading is safe."""
KEY_LENGTH = 255
SUMMARY_LENGTH = 1024
_NAME_LENGTH = 255
_LINKS = 50
_URL_LENGTH = 2000
_SEVERITIES = ("critical", "error", "warning", "info")
_HASHED = 32  # hexadecimal digits: 128 bits tell any number of incidents apart


def trigger(message: Message, routing_key: str, dedup_key: str, config: PagerDutyConfig) -> bytes:
    """The event that opens or updates an alert."""
    event = message.event
    body: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "client": config.client,
        "payload": {
            "summary": summary_of(message),
            "source": _name(config.source or event.host or event.flow) or "tocsin",
            "severity": severity_of(message, config.severity),
            "timestamp": event.time.isoformat(),
            "component": "" if message.tells_of_several else _name(event.task),
            "group": _name(event.flow),
            "class": ""
            if message.tells_of_several
            else _name(event.exception.type if event.exception else event.state),
            "custom_details": details_of(message),
        },
    }
    body["payload"] = {name: value for name, value in body["payload"].items() if value != ""}
    if client_url := config.client_url or _https(event.url):
        body["client_url"] = client_url
    if links := links_of(message):
        body["links"] = links
    return _fitting(body, message)


def acknowledge(routing_key: str, dedup_key: str) -> bytes:
    """The event that says that somebody has taken an alert on.

    >>> acknowledge("R" * 3, "etl/load")
    b'{"routing_key":"RRR","event_action":"acknowledge","dedup_key":"etl/load"}'
    """
    return to_json({"routing_key": routing_key, "event_action": "acknowledge", "dedup_key": dedup_key})


def resolve(routing_key: str, dedup_key: str) -> bytes:
    """The event that closes an alert.

    >>> resolve("R" * 3, "etl/load")
    b'{"routing_key":"RRR","event_action":"resolve","dedup_key":"etl/load"}'
    """
    return to_json({"routing_key": routing_key, "event_action": "resolve", "dedup_key": dedup_key})


def _fitting(body: dict[str, Any], message: Message) -> bytes:
    encoded = to_json(body)
    if len(encoded) <= LARGEST:
        return encoded
    note = f"left out: with its details the event has {len(encoded)} bytes, and PagerDuty takes {LARGEST}"
    body["payload"]["custom_details"] = {"details": note, "text": cut(message.text, 10_000)}
    return to_json(body)


def dedup_key_of(message: Message) -> str:
    """The key of the alert: it names the problem, never the attempt, the state or the time.

    >>> from tocsin_hooks.testing import sample_message
    >>> dedup_key_of(sample_message()), dedup_key_of(sample_message(Action.TEST))
    ('warehouse/etl/load', 'tocsin test ops')
    >>> len(dedup_key_of(sample_message(incident="x" * 1000)))
    255
    """
    if message.action is Action.TEST:  # not the subject: a test must not touch a real alert
        key = f"tocsin test {message.channel}"
    elif message.tells_of_several and not message.incident:  # a digest must not touch the alert of its event
        key = " ".join(filter(None, ("tocsin", message.reason, message.route or message.channel)))
    else:
        key = message.incident or message.event.subject
    key = whole(key)
    tidy = one_line(key)
    if tidy == key and 0 < len(key) <= KEY_LENGTH:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()[:_HASHED]
    return f"{tidy[: KEY_LENGTH - _HASHED - 1]}-{digest}"


def summary_of(message: Message) -> str:
    """What is read out on the telephone: one line that begins with state and flow, unless the operator worded it.

    >>> from tocsin_hooks.testing import sample_message
    >>> summary_of(sample_message()), summary_of(sample_message(title="bad rows"))
    ('Failed: etl/load', 'Failed etl/load: bad rows')
    """
    title, event = one_line(message.title), message.event
    told = message.word.casefold() in title.casefold() and event.flow in title
    if told or message.templated or message.tells_of_several or message.action is Action.TEST:
        return cut(title, SUMMARY_LENGTH) or "tocsin"
    return cut(one_line(f"{message.word} {event.subject}: {title}").rstrip(": "), SUMMARY_LENGTH)


def severity_of(message: Message, by_state: Mapping[str, str]) -> str:
    """The severity set for the nearest of the state's classes, else the message's own.

    >>> from tocsin_hooks.testing import sample_event, sample_message
    >>> timed_out = sample_event(state="TimedOut", state_family=("TimedOut", "Failed", "Finished"))
    >>> severity_of(sample_message(event=timed_out), {"Failed": "critical", "Success": "info"})
    'critical'
    """
    own = message.severity if message.severity in _SEVERITIES else "error"
    if message.action is Action.TEST:
        return "info"
    return next((by_state[state] for state in message.event.state_family if state in by_state), own)


def details_of(message: Message) -> dict[str, Any]:
    """What the alert shows below its summary: always an object, nothing empty in it."""
    shown = {"text": message.text, "route": message.route, "event_id": message.event.id}
    fields = {label: value for label, value in message.fields if label not in shown}
    facts = {} if message.templated or message.tells_of_several else _facts(message.event)
    named = {label.casefold() for label in fields}
    details = shown | fields | {label: fact for label, fact in facts.items() if label not in named}
    return {label: value for label, value in details.items() if value not in ("", [], {})}


def _facts(event: Event) -> dict[str, Any]:
    return {
        "project": event.project,
        "run": event.run_name,
        "run_id": event.run_id,
        "attempt": f"{event.attempt} of {event.max_attempts}",
        "duration": "" if event.duration is None else format_duration(event.duration),
        "traceback": event.exception.traceback if event.exception else "",
        "parameters": dict(event.parameters),
        "tags": sorted(event.tags),
        "labels": dict(event.labels),
    }


def links_of(message: Message) -> list[dict[str, str]]:
    """The links PagerDuty takes: https, each address once.

    >>> from tocsin_hooks import Link
    >>> from tocsin_hooks.testing import sample_message
    >>> links_of(sample_message(links=(Link("Logs", "https://logs.example.org/7"), Link("Old", "http://old"))))
    [{'href': 'https://logs.example.org/7', 'text': 'Logs'}]
    """
    texts: dict[str, str] = {}
    for link in message.links:
        if _https(link.url):
            texts.setdefault(link.url, _name(link.text) or link.url)
    return [{"href": url, "text": text} for url, text in texts.items()][:_LINKS]


def _https(url: str) -> str:
    fit = url.startswith("https://") and len(url) <= _URL_LENGTH and url.isprintable() and " " not in url
    return url if fit else ""


def _name(text: str) -> str:
    return cut(one_line(text), _NAME_LENGTH)
