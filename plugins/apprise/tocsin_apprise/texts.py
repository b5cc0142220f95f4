"""What a service is given to show: title, text and kind, cut to its size."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from tocsin_hooks.messages import Action, Message

Kind = Literal["info", "success", "warning", "failure"]
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>])")
_MOST_PIECES = 10  # of a text that is split


@dataclass(frozen=True, slots=True)
class Room:
    """How many characters a service takes; `title` 0 means that the title goes into the body."""

    body: int
    title: int
    lines: int = 0


def kind_of(message: Message) -> Kind:
    """What Apprise calls the type of a notification: the colour or sign that a service shows.

    >>> from tocsin_hooks.testing import sample_message
    >>> [kind_of(sample_message(action)) for action in ("open", "recover", "test")]
    ['failure', 'success', 'info']
    """
    event = message.event
    match message.action:
        case Action.RECOVER:
            return "success"
        case Action.EVENT | Action.TEST:
            return "info"
    if message.is_acknowledgement:
        return "info"
    if event.is_a("Failed"):
        return "failure"
    if event.is_a("Retrying"):
        return "warning"
    kinds: dict[str, Kind] = {"critical": "failure", "error": "failure", "warning": "warning"}
    return kinds.get(message.severity, "info")


def title_of(message: Message) -> str:
    r"""The title, in one line.

    >>> from tocsin_hooks.testing import sample_message
    >>> title_of(sample_message(title="Failed:\r\n etl/load"))
    'Failed: etl/load'
    """
    return " ".join(_clean(message.title).split())


def body_of(message: Message, *, markdown: bool) -> str:
    """The text below the title: the operator's own as it is, else text, fields and links."""
    text = _clean(message.text)
    if message.templated:
        return text
    show = _escape if markdown else str
    label = "**{}:** {}" if markdown else "{}: {}"
    parts = [show(text)]
    if not message.tells_of_several and message.event.subject not in f"{message.title}\n{message.text}":
        parts.append(show(_clean(message.event.subject)))
    parts.append("\n".join(label.format(show(_clean(n)), show(_clean(v))) for n, v in message.fields if v))
    links = ((_clean(link.text), _clean(link.url)) for link in message.links)
    parts.append("\n".join(f"[{show(t)}]({url})" if markdown else f"{t}: {url}" for t, url in links))
    return "\n\n".join(part for part in parts if part)


def fit(title: str, body: str, room: Room, *, pieces: int = 1) -> tuple[str, str]:
    """`title` and `body` cut to what a service takes, in so many pieces; a cut is marked.

    >>> fit("Failed", "x" * 100, Room(body=50, title=250))
    ('Failed', 'xxxxxxxxxxxxxxxxxxxxxxxxx… (75 more characters)')
    """
    title = _cut(title, room.title or max(room.body // 4, 1), "…")
    taken = len(title) + 4 if room.title == 0 else 0  # with a heading's mark and a line's end
    if room.lines and (lines := body.split("\n")) and len(lines) > room.lines:
        body = "\n".join([*lines[: room.lines - 1], f"… ({len(lines) - room.lines + 1} more lines)"])
    return title, _cut(body, max((room.body - taken) * min(pieces, _MOST_PIECES), 1), "… ({} more characters)")


def _cut(text: str, limit: int, mark: str) -> str:
    if len(text) <= limit:
        return text
    if limit < 40:
        mark = "…"
    end = limit - len(mark) - (len(str(len(text))) if "{}" in mark else 0)
    while end > 0 and (_continues(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return text[:end] + mark.format(len(text) - end)


def _continues(character: str) -> bool:
    return bool(unicodedata.combining(character)) or character in "\u200d\ufe0e\ufe0f"


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _LONE_SURROGATE.sub("\ufffd", _UNWANTED.sub("", text))


def _escape(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)
