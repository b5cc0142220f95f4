"""What a message looks like in Slack: Block Kit blocks, the text beside them, and the plain text instead of them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tocsin_hooks.durations import format_duration
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Link, Message
from tocsin_slack.text import clean, cut, cut_escaped, cut_start, escape, one_line

Block = dict[str, Any]

BUDGET = 12_000  # of all blocks as JSON: Slack refuses somewhat more than this, and says nowhere how much
_HEADER = 150
_FIELDS = 10
_FIELD = 1900
_LABEL = 60
_PARAGRAPH = 2900
_LISTED = 1900  # of a text that is a list, where blocks may not be shown
_TRACEBACK = 4000
_LINKS = 5
_LINK_URL = 3000
_INLINE_URL = 1000
_BUTTON = 75
_SMALL = 100
_TEXT = 3900  # chat.update refuses a text of more than 4,000 characters

_SIGNS = {
    "Crashed": "💥",
    "TimedOut": "⏰",
    "Failed": "🔴",
    "Retrying": "🔁",
    "Skipped": "⏭️",
    "Success": "✅",
    "Cancelled": "🚫",
    "Cancelling": "🚫",
    "Running": "▶️",
    "Paused": "⏸️",
    "Pending": "⏳",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What a channel's settings say about the look of its messages: whom to mention, and the zone of times."""

    mention: tuple[str, ...] = ()
    zone: dt.tzinfo = dt.UTC


def delivery_mark(message: Message) -> str:
    """What tells one delivery from another in the small print; Slack itself knows no repetition.

    >>> from tocsin_hooks.testing import sample_message
    >>> delivery_mark(sample_message())
    'delivery 5f3e2a10'
    """
    return f"delivery {one_line(message.id)[:8]}"


def headline(message: Message) -> str:
    """The message in one line: a sign, the state as a word, and the title.

    >>> from tocsin_hooks.testing import sample_message
    >>> headline(sample_message()), headline(sample_message(title="etl/load"))
    ('🔴 Failed: etl/load', '🔴 Failed: etl/load')
    """
    title = one_line(message.title) or one_line(message.event.subject)
    word = _word(message)
    if not (message.templated or message.tells_of_several) and word.lower() not in title.lower():
        title = f"{word}: {title}"
    return f"{_sign(message)} {title}"


def mention_markup(name: str) -> str:
    """The markup that calls somebody: a user or user group by id, or everybody in the channel.

    >>> [mention_markup(name) for name in ("U012AB3CD", "S0614TZR7", "here")]
    ['<@U012AB3CD>', '<!subteam^S0614TZR7>', '<!here>']
    """
    if name in ("here", "channel", "everyone"):
        return f"<!{name}>"
    return f"<!subteam^{name}>" if name.startswith("S") else f"<@{name}>"


def blocks(message: Message, layout: Layout = Layout()) -> list[Block]:
    """`message` as at most seven blocks, each within Slack's limits and all together within `BUDGET`.

    What is too long loses its end, a traceback its beginning; a link whose address is too long is left out.
    """
    for divisor in (1, 2, 4, 8, 16, 32):
        found = [block for block in _blocks(message, layout, divisor) if block]
        if len(json.dumps(found, ensure_ascii=False)) <= BUDGET:
            break
    return found


def text(message: Message, layout: Layout = Layout()) -> str:
    """`message` as mrkdwn: what notifications and screen readers say, and what services without blocks show."""
    parts = [*_calls(message, layout), cut_escaped(headline(message), 300)]
    if paragraph := clean(message.text).strip():
        parts.append(cut_escaped(paragraph, _LISTED if message.tells_of_several else 1200))
    parts += [f"<{_address(link.url)}|{_label(link)}>" for link in _links(message, 1000, _escaped_length)]
    if message.may_repeat:
        parts.append("(may be a repeat)")
    return "\n".join(parts)


def plain(message: Message, layout: Layout = Layout()) -> str:
    """`message` without any markup but mentions: what is sent when Slack refuses the blocks."""
    head = "\n".join([*_calls(message, layout), cut_escaped(headline(message), 300)])
    links = "\n".join(f"{_label(link)}: {escape(link.url)}" for link in _links(message, 800, _escaped_length))
    fields = [] if message.templated else _fields(message, 8)
    trace = cut_escaped(_traceback(message, 600), 800)
    small = cut_escaped(" · ".join(_small_print(message, layout)), 400)
    paragraph = cut(clean(message.text).strip(), _PARAGRAPH if message.tells_of_several else 1000)
    told = "\n".join([paragraph, *(f"{label}: {value}" for label, value in fields)])
    room = _TEXT - sum(map(len, (head, links, trace, small))) - 5
    return "\n".join(filter(None, [head, links, cut_escaped(told.strip(), room), trace, small]))


# ---------------------------------------------------------------- the blocks, each None when it would be empty


def _blocks(message: Message, layout: Layout, divisor: int) -> Iterator[Block | None]:
    yield {"type": "header", "text": _plain_text(cut(headline(message), _HEADER))}
    yield _state(message, layout, divisor)
    yield _facts(message, divisor)
    yield _prose(message, divisor)
    yield _buttons(message, divisor)
    yield _context(message, layout)


def _state(message: Message, layout: Layout, divisor: int) -> Block | None:
    parts = [" ".join(_calls(message, layout))]
    if message.tells_of_several and not message.templated:
        parts.append(_down(message))
    elif not message.templated:
        parts += [f"*{cut_escaped(_word(message), _SMALL)}*", _subject(message.event, divisor), _down(message)]
    line = " · ".join(filter(None, parts))
    return {"type": "section", "text": _mrkdwn(line)} if line else None


def _facts(message: Message, divisor: int) -> Block | None:
    fields = [] if message.templated else _fields(message, divisor)
    found = [_mrkdwn(f"*{cut_escaped(label, _LABEL)}*\n{cut_escaped(value, _FIELD)}") for label, value in fields]
    return {"type": "section", "fields": found} if found else None


def _prose(message: Message, divisor: int) -> Block | None:
    """Text from elsewhere: rich text is the one form in which Slack looks for no markup at all."""
    elements: list[Block] = []
    if paragraph := cut(clean(message.text).strip(), _PARAGRAPH // divisor):
        elements.append({"type": "rich_text_section", "elements": [{"type": "text", "text": paragraph}]})
    if traceback := _traceback(message, _TRACEBACK // divisor):
        elements.append({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": traceback}]})
    return {"type": "rich_text", "elements": elements} if elements else None


def _buttons(message: Message, divisor: int) -> Block | None:
    found = [
        {
            "type": "button",
            "text": _plain_text(cut(one_line(link.text) or "Open", _BUTTON)),
            "url": link.url,
            "action_id": f"link-{number}",
        }
        for number, link in enumerate(_links(message, 4000 // divisor))
    ]
    return {"type": "actions", "elements": found} if found else None


def _context(message: Message, layout: Layout) -> Block:
    seconds = int(message.time.timestamp())
    when, *others = [escape(part) for part in _small_print(message, layout)]
    date = f"<!date^{seconds}^{{date_short_pretty}} {{time_secs}}|{when}>"
    return {"type": "context", "elements": [_mrkdwn(part) for part in (date, *others)]}


# ---------------------------------------------------------------- what they say


def _word(message: Message) -> str:
    return one_line(message.word) or "Event"


def _sign(message: Message) -> str:
    if message.action is Action.TEST:
        return "🧪"
    if message.action is Action.RECOVER:
        return "✅"
    if message.is_acknowledgement:
        return "👀"
    return next((_SIGNS[state] for state in message.event.state_family if state in _SIGNS), "🔔")


def _calls(message: Message, layout: Layout) -> list[str]:
    return [" ".join(map(mention_markup, layout.mention))] if layout.mention and message.is_alarm else []


def _subject(event: Event, divisor: int) -> str:
    name = cut_escaped(one_line(event.subject), 1200 // divisor)
    if _openable(event.url) and _escaped_length(event.url) <= _INLINE_URL // divisor:
        return f"<{_address(event.url)}|{name}>"
    return name


def _down(message: Message) -> str:
    """How long the incident lasted, of a recovery whose beginning is known."""
    if message.action is not Action.RECOVER or not message.incident_opened_at:
        return ""
    try:
        opened = dt.datetime.fromisoformat(message.incident_opened_at)
    except ValueError:
        return ""
    opened = opened if opened.tzinfo else opened.replace(tzinfo=dt.UTC)
    seconds = message.event.time.timestamp() - opened.timestamp()
    return f"down for {format_duration(seconds)}" if seconds >= 0 else ""


def _fields(message: Message, divisor: int) -> list[tuple[str, str]]:
    cleaned = [(one_line(label), clean(value).strip()) for label, value in message.fields]
    shown = [(label, cut(value, _FIELD // divisor)) for label, value in cleaned if label and value]
    return shown[:_FIELDS]


def _links(message: Message, room: int, cost: Callable[[str], int] = len) -> list[Link]:
    """The first links that Slack opens and that have room: `room` is for their addresses together."""
    found: dict[str, Link] = {}
    for link in message.links:
        used = cost(link.url)
        if _openable(link.url) and used <= min(_LINK_URL, room) and link.url not in found and len(found) < _LINKS:
            found[link.url] = link
            room -= used
    return list(found.values())


def _openable(url: str) -> bool:
    if not url.isprintable() or any(character in url for character in ' <>"\\'):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _address(url: str) -> str:
    return escape(url).replace("|", "%7C")


def _escaped_length(url: str) -> int:
    return len(_address(url))


def _label(link: Link) -> str:
    return cut_escaped(one_line(link.text) or "Open", _BUTTON)


def _traceback(message: Message, limit: int) -> str:
    exception = message.event.exception
    if exception is None or message.action in (Action.RECOVER, Action.TEST):
        return ""
    if message.templated or message.tells_of_several:  # of many, one traceback would pass for that of all
        return ""
    return cut_start(clean(exception.traceback).strip("\n"), limit) if exception.traceback.strip() else ""


def _small_print(message: Message, layout: Layout) -> list[str]:
    time = message.time.astimezone(layout.zone)
    parts = [f"{time:%Y-%m-%d %H:%M:%S} {time.tzname()}"]
    if message.route and not message.templated:
        parts.append(f"route {cut(one_line(message.route), _SMALL)}")
    parts += [f"event {cut(one_line(message.event.id), _SMALL)}", delivery_mark(message)]
    return [*parts, "(may be a repeat)"] if message.may_repeat else parts


def _plain_text(content: str) -> Block:
    return {"type": "plain_text", "text": content, "emoji": False}  # a ":name:" in a title stays what it is


def _mrkdwn(content: str) -> Block:
    return {"type": "mrkdwn", "text": content, "verbatim": True}  # no links made of what looks like one
