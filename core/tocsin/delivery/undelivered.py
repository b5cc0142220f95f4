"""How it is said on another channel that messages did not arrive on their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tocsin.routing.words import one_line, reason_of
from tocsin.store.records import Leased, Planned
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Item, Message

UNDELIVERED = "undelivered"
"""The reason of such an announcement. One that does not arrive either is not announced again."""

MOST = 50
"""Messages of which one announcement tells."""

_TITLE_CAP = 300
_NAMED = 5  # ids that fit into one command


@dataclass(frozen=True, slots=True)
class Dead:
    """A delivery that is given up: what its message was called, and why it did not arrive."""

    delivery: Leased
    title: str
    why: str


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is planned elsewhere, with the event that it hangs on."""

    event: Event
    planned: Planned


def may_be_announced(delivery: Leased, fallback: str) -> bool:
    """Whether the channel `fallback` may be told that a delivery is dead."""
    return bool(fallback) and fallback != delivery.channel and delivery.planned.reason != UNDELIVERED


def announcements(dead: Iterable[tuple[Dead, str]]) -> list[Announcement]:
    """What to plan when deliveries are dead, each with the channel where to say so.

    What dies together of one channel is said together. An announcement is the same however often the same deliveries
    die of the same claims, so that it is stored once.
    """
    bundles: dict[tuple[str, str], list[Dead]] = {}
    for each, fallback in dead:
        if may_be_announced(each.delivery, fallback):
            bundles.setdefault((each.delivery.channel, fallback), []).append(each)
    return [
        _announcement(bundle[start : start + MOST], fallback)
        for (_, fallback), bundle in bundles.items()
        for start in range(0, len(bundle), MOST)
    ]


def _announcement(bundle: Sequence[Dead], fallback: str) -> Announcement:
    if len(bundle) > 1:
        return _of_several(bundle, fallback)
    [dead] = bundle
    delivery = dead.delivery
    head = f"Not delivered to '{delivery.channel}' ({one_line(dead.why)}): {one_line(dead.title)}"[:_TITLE_CAP]
    return Announcement(delivery.event, _plain(dead, fallback, f"{head}\n{_how(delivery.id[:8])}"))


def _of_several(bundle: Sequence[Dead], fallback: str) -> Announcement:
    last = next((each for each in reversed(bundle) if each.delivery.event.is_a("Failed")), bundle[-1])
    channel, reasons = last.delivery.channel, list(dict.fromkeys(one_line(each.why) for each in bundle))
    why = f"({reasons[0]})" if len(reasons) == 1 else f"for {len(reasons)} reasons ({reasons[0]})"
    head = f"{len(bundle)} messages not delivered to '{channel}' {why}"[:_TITLE_CAP]
    ids = " ".join(each.delivery.id[:8] for each in bundle)
    chosen = ids if len(bundle) <= _NAMED else f"--all-dead --channel {channel}"
    planned = replace(
        _plain(last, fallback, f"{head}\n{_how(chosen)}"),
        nonce=_key(each.delivery for each in bundle),
        group={},
        events=tuple(dict.fromkeys(event for each in bundle for event in _events(each.delivery))),
        items=tuple(map(_item, bundle)),
        count=len(bundle),
        recovered=0,
        within=None,
        hides=0,
        acknowledged_by="",
    )
    return Announcement(last.delivery.event, planned)


def _how(chosen: str) -> str:
    return f"Nothing more is tried by itself; 'tocsin deliveries retry {chosen}' tries again."


def _plain(dead: Dead, fallback: str, say: str) -> Planned:
    """The delivery itself, as a message that stands alone on another channel."""
    return replace(
        dead.delivery.planned,
        channel=fallback,
        action=Action.EVENT,
        template="",
        reason=UNDELIVERED,
        thread="",
        incident="",
        opened_at=None,
        nonce=_named(dead.delivery),
        silent=False,
        say=say,
    )


def _named(delivery: Leased) -> str:
    return f"{UNDELIVERED} {delivery.id} {delivery.created_at.isoformat()}"


def _key(deliveries: Iterable[Leased]) -> str:
    names = "\n".join(sorted(map(_named, deliveries)))
    return f"{UNDELIVERED} {hashlib.sha256(names.encode()).hexdigest()}"


def _events(delivery: Leased) -> tuple[str, ...]:
    return delivery.event.id, *delivery.planned.events


def _item(dead: Dead) -> Item:
    """One line of an announcement: what the message was about, or, if it told of several things, its title."""
    event, planned = dead.delivery.event, dead.delivery.planned
    text = dead.title if planned.count > 1 or planned.items else reason_of(event)
    over = planned.action is Action.RECOVER
    return Item(event.subject, event.state, event.time.isoformat(), one_line(text), recovered=over)


def retitled(message: Message, planned: Planned) -> Message:
    """The message of an announcement: what did not arrive, where and why, is its title."""
    if planned.reason != UNDELIVERED or not planned.say:
        return message
    title = planned.say.partition("\n")[0]
    return replace(message, title=title, text=message.text.removeprefix(title).lstrip("\n"))
