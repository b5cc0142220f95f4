"""What the rows of deliveries say to those who claim and settle them, whatever database they come from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple

from tocsin.store.coalescing import Waiting
from tocsin.store.coding import load
from tocsin.store.records import Leased, Outcome, Planned, Status, storable, to_micros
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Receipt

TURN = "coalesce(d.held_until, d.due_at)"
"""When it is to be seen whether `d` can be claimed."""

SET_BACK = timedelta(minutes=2)
"""Times that lie further ahead than this were written before the clock was set back."""

CLAIMED = (
    "d.number, d.id, d.token, d.channel, d.route, d.thread, d.template, d.attempts, d.created_at, d.may_repeat,"
    " d.action, d.body, e.body, e.sequence, r.receipt"
)
"""What `leased` reads, of deliveries `d`, events `e` and receipts `r`."""
_TOLD = 10  # columns, before those that tell something

_MICRO = timedelta(microseconds=1)
_LATE = (Status.LEASED, Status.PENDING, Status.DEAD)  # a late receipt is one nevertheless


class Stored:
    """What one row tells, read piece by piece when it is asked for."""

    def __init__(self, action: str, planned: str, event: str, sequence: int, receipt: str | None) -> None:
        self._action = action
        self._planned = planned
        self._event = event
        self._sequence = sequence
        self._receipt = receipt

    @cached_property
    def action(self) -> Action:
        """See `Told.action`."""
        return Action(self._action)

    @cached_property
    def event(self) -> Event:
        """See `Told.event`."""
        return event_of(self._event, self._sequence)

    @cached_property
    def planned(self) -> Planned:
        """See `Told.planned`."""
        return load(Planned, self._planned)

    @cached_property
    def previous(self) -> Receipt | None:
        """See `Told.previous`."""
        return None if self._receipt is None else Receipt.from_dict(json.loads(self._receipt))


def event_of(body: str, sequence: int) -> Event:
    """The event of a row. Raises ValueError, KeyError or TypeError for what is none."""
    return Event.from_dict({**json.loads(body), "sequence": sequence})


def leased(row: Sequence[Any]) -> Leased:
    """The claim that a row of `CLAIMED` is."""
    return Leased._make((*row[:_TOLD], Stored(*row[_TOLD:])))


def waiting(number: int, planned: str, event: str, *, may_have_arrived: bool) -> Waiting | None:
    """A delivery in its lane; None when it cannot be read: its turn will come, and its end."""
    try:
        told, plan = Event.from_json(event), load(Planned, planned)
    except Exception:
        return None
    return Waiting(number, plan, told.is_a("Failed") and not told.will_retry, may_have_arrived)


# ---------------------------------------------------------------- how attempts end


def holds(outcome: Outcome, token: int, status: str) -> bool:
    """Whether an outcome is that of the claim under which its row stands."""
    return token == outcome.delivery.token and status in (_LATE if outcome.receipt is not None else (Status.LEASED,))


class Ending(NamedTuple):
    """What is written of an attempt that has ended."""

    outcome: Outcome
    status: str
    at: int
    due: int
    finished: int | None
    reason: str
    took: int
    place: tuple[str, str, int]
    """The thread, channel and number of its delivery."""


def ending(outcome: Outcome) -> Ending:
    """What is written of `outcome`."""
    delivery, at = outcome.delivery, to_micros(outcome.at)
    due, finished = (at, at) if outcome.retry_at is None else (to_micros(outcome.retry_at), None)
    reason = "" if outcome.reason is None else outcome.reason.value
    place = (delivery.thread, delivery.channel, delivery.number)
    return Ending(outcome, outcome.status.value, at, due, finished, reason, outcome.took // _MICRO, place)


def settled(ending: Ending) -> tuple[Any, ...]:
    """`status, due_at, wait, finished_at, reason, detail, may_repeat, number, token` of its delivery after it."""
    outcome, due, at = ending.outcome, ending.due, ending.at
    detail = outcome.detail if outcome.receipt is None else outcome.receipt.detail
    number, token = outcome.delivery.number, outcome.delivery.token
    wait = due - at if due > at else 0
    return ending.status, due, wait, ending.finished, ending.reason, storable(detail), outcome.unknown, number, token


def attempt(ending: Ending, *, held: bool) -> tuple[Any, ...]:
    """`delivery, token, at, took, outcome, reason, detail` of it in history."""
    outcome, delivery = ending.outcome, ending.outcome.delivery
    word = "lease lost" if not held else "unknown" if outcome.unknown else ending.status
    return delivery.number, delivery.token, ending.at, ending.took, word, ending.reason, storable(outcome.detail)


def receipts(held: Iterable[Ending]) -> list[tuple[str, str, str, int]]:
    """`thread, channel, receipt, at` of what is to be kept for the next message of a thread."""
    kept = {}
    for ending in held:
        receipt, (thread, channel, _) = ending.outcome.receipt, ending.place
        # one that sent nothing, and remembers nothing, must not take the place of one that did
        if receipt is not None and thread and (receipt.sent or receipt.reference):
            kept[thread, channel] = (thread, channel, json.dumps(receipt.to_dict()), ending.at)
    return [kept[place] for place in sorted(kept)]


def ended(held: Iterable[Ending]) -> list[tuple[str, str, int]]:
    """`thread, channel, number` of the deliveries that have ended and may have held up others, in a fixed order."""
    return sorted(
        (ending.place for ending in held if ending.finished is not None and ending.place[0]), key=itemgetter(2)
    )
