"""What a mail says: as plain text for every reader, and as HTML below Gmail's limit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tocsin_email.texts import clean, head, one_line, tail
from tocsin_hooks.messages import Action, Message

if TYPE_CHECKING:
    import jinja2

# Together with the template they stay below 90 kB: Gmail shows no more than 102 kB of a message.
_TEXT_BYTES = 18_000
_TRACEBACK_BYTES = 30_000
_ROW_BYTES = 500
_MOST_ROWS = 16
_LINK_BYTES = 2_000
_MOST_LINKS = 5

COLOURS = {"bad": "#b3261e", "warn": "#7a4d00", "good": "#1b6e3c", "info": "#1f4e79"}
"""Behind the state word, which is white: a contrast of 4.5 at least."""


@dataclass(frozen=True, slots=True)
class Body:
    """The parts of a mail, cleaned and cut, not yet escaped."""

    badge: str
    colour: str
    title: str
    preheader: str
    text: str
    rows: tuple[tuple[str, str], ...] = ()
    traceback: str = ""
    links: tuple[tuple[str, str], ...] = ()
    footer: str = ""


def state_word(message: Message) -> str:
    """The word that says at a glance what has happened.

    >>> from tocsin_hooks.testing import sample_event, sample_message
    >>> state_word(sample_message(event=sample_event(state="TriggerFailed"))), state_word(sample_message("recover"))
    ('TRIGGER FAILED', 'RECOVERED')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", one_line(message.word, 40)).upper()


def short_reason(message: Message) -> str:
    """Why, in one line; empty when there is nothing to explain."""
    event = message.event
    if message.action is Action.RECOVER:
        return ""
    if message.is_acknowledgement:
        return f"by {one_line(message.acknowledged_by, 80)}"
    if event.exception:
        return one_line(f"{event.exception.type}: {event.exception.message}".removesuffix(": "), 200)
    return one_line(event.message, 200)


def body_of(message: Message, timezone: str) -> Body:
    """What the mail about `message` says, with times as they are in `timezone`."""
    title = one_line(message.title, 300)
    text = head(clean(message.text).strip("\n"), _TEXT_BYTES)
    preheader = one_line(text, 140)
    badge, colour = state_word(message), _colour(message)
    if message.templated:
        return Body(badge, colour, title, preheader, text)
    alone = message.action is not Action.RECOVER and not message.tells_of_several
    exception = message.event.exception if alone else None  # of many, one would pass for that of all
    traceback = clean(exception.traceback).strip("\n") if exception else ""
    return Body(
        badge,
        colour,
        title,
        preheader,
        text,
        _rows(message, timezone),
        tail(traceback, _TRACEBACK_BYTES),
        _links(message),
        _footer(message),
    )


def _colour(message: Message) -> str:
    if message.action is Action.RECOVER:
        return COLOURS["good"]
    return COLOURS[{"critical": "bad", "error": "bad", "warning": "warn"}.get(message.severity, "info")]


def _rows(message: Message, timezone: str) -> tuple[tuple[str, str], ...]:
    when = message.time.astimezone(ZoneInfo(timezone))
    offset = f"{when:%z}"
    facts = (
        ("Subject", "" if message.tells_of_several else message.event.subject),
        *message.fields[:_MOST_ROWS],
        ("When", f"{when:%Y-%m-%d %H:%M:%S} {when.tzname()} (UTC{offset[:3]}:{offset[3:]})"),
    )
    return tuple((one_line(label, 60), head(one_line(value, 400), _ROW_BYTES)) for label, value in facts if value)


def _links(message: Message) -> tuple[tuple[str, str], ...]:
    sound = (
        (one_line(link.text, 100) or link.url, link.url)
        for link in message.links
        if re.fullmatch(r"(https?://|mailto:)[\x21-\x7e]+", link.url) and len(escape(link.url)) <= _LINK_BYTES
    )
    return tuple(sound)[:_MOST_LINKS]


def _footer(message: Message) -> str:
    because = f"route '{message.route}'" if message.route else "no route: it was sent by hand"
    channel = f" on channel '{message.channel}'" if message.channel else ""
    return one_line(f"Sent by tocsin{channel}, because of {because}. Change it in tocsin.toml.", 300)


def plain_text(body: Body) -> str:
    """The mail as plain text, complete by itself."""
    parts = [body.title, body.text]
    if body.rows:
        width = max(len(label) for label, _ in body.rows) + 1
        parts.append("\n".join(f"{label + ':':<{width}} {value}" for label, value in body.rows))
    parts += [body.traceback, "\n".join(f"{text}: {url}" for text, url in body.links)]
    if body.footer:
        parts.append(f"-- \n{body.footer}")
    return "\n\n".join(part for part in parts if part) + "\n"


def html_text(body: Body) -> str:
    """The mail as an HTML page, everything escaped."""
    return _template().render(body=body)


@cache
def _template() -> jinja2.Template:
    import jinja2

    source = resources.files("tocsin_email").joinpath("mail.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(source)
