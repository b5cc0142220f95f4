"""How it is said on another channel that a message did not arrive on its own."""

from __future__ import annotations

from dataclasses import replace

from tocsin.store.records import Leased, Planned
from tocsin_hooks.messages import Action, Message

UNDELIVERED = "undelivered"
"""The reason of such an announcement. One that does not arrive either is not announced again."""

_TITLE_CAP = 300


def announcement(delivery: Leased, fallback: str, title: str, why: str) -> Planned | None:
    """What to plan on the channel `fallback` when a delivery is dead; None when nothing may be.

    It is the same however often the delivery dies of the same claim, so that it is stored once.
    """
    planned = delivery.planned
    if not fallback or fallback == delivery.channel or planned.reason == UNDELIVERED:
        return None
    what = " ".join(title.split())
    head = f"Not delivered to '{delivery.channel}' ({' '.join(why.split())}): {what}"[:_TITLE_CAP]
    how = f"Nothing more is tried by itself; 'tocsin deliveries retry {delivery.id[:8]}' tries again."
    return replace(
        planned,
        channel=fallback,
        action=Action.EVENT,
        template="",
        reason=UNDELIVERED,
        thread="",
        incident="",
        opened_at=None,
        nonce=f"{UNDELIVERED} {delivery.id} {delivery.created_at.isoformat()}",
        silent=False,
        say=f"{head}\n{how}",
    )


def retitled(message: Message, planned: Planned) -> Message:
    """The message of an announcement: what did not arrive, where and why, is its title."""
    if planned.reason != UNDELIVERED or not planned.say:
        return message
    title = planned.say.partition("\n")[0]
    return replace(message, title=title, text=message.text.removeprefix(title).lstrip("\n"))
