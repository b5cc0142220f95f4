"""What of the messages that have piled up for one thread and channel still has to be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tocsin.store.records import Planned
from tocsin_hooks.messages import Action, Why

COALESCED = "coalesced"
"""What history gives as the reason, and as the outcome, of a delivery that was put together with another."""

OVER = "coalesced: it was over before it was told"
NEWER = "coalesced: a newer message tells the same"

_TELLING = (Action.OPEN, Action.UPDATE)
_NEWS = ("", Why.FIRST, Why.NEW, Why.CHANGED, Why.AGAIN)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that waits in its lane: one thread and channel, in the order in which they were planned."""

    number: int
    planned: Planned
    final: bool = False
    """Whether its event is a failure that is not tried again."""
    may_have_arrived: bool = False


def coalesce(lane: Sequence[Waiting], *, told: bool) -> Mapping[int, str]:
    """The deliveries of a lane that need not be sent, by number, with the reason in words.

    `lane` begins with the oldest that waits, all of it due; `told`: the channel has accepted something of the thread.
    What was never told and is over is not sent at all. Of updates that follow one another the newest is sent, unless
    it says less: an acknowledgement, a silent or a milder one does not stand for an alarm. Reminders, escalations, and
    what stands by itself are never touched.

    >>> opened, over = Planned("ops", "pages", Action.OPEN), Planned("ops", "pages", Action.RECOVER)
    >>> coalesce([Waiting(1, opened), Waiting(2, over)], told=False)
    {1: 'coalesced: it was over before it was told', 2: 'coalesced: it was over before it was told'}
    >>> coalesce([Waiting(1, opened), Waiting(2, over)], told=True)
    {}
    >>> updates = [Waiting(n, Planned("ops", "pages", Action.UPDATE)) for n in (1, 2, 3)]
    >>> coalesce(updates, told=True)
    {1: 'coalesced: a newer message tells the same', 2: 'coalesced: a newer message tells the same'}
    """
    dropped: dict[int, str] = {} if told else _over_before_told(lane)
    rest = [each for each in lane if each.number not in dropped]
    for earlier, later in pairwise(rest):
        if _says_all_of(later, earlier):
            dropped[earlier.number] = NEWER
    return dropped


def may_coalesce(actions: Iterable[str]) -> bool:
    """Whether a lane of these actions can hold anything that need not be sent; quick to ask.

    >>> may_coalesce(["open", "recover"]), may_coalesce(["update", "update"]), may_coalesce(["open", "event", "update"])
    (True, True, False)
    """
    counts = Counter(actions)
    return counts[Action.UPDATE] > 1 or (counts[Action.RECOVER] > 0 and counts.total() > 1)


def _over_before_told(lane: Sequence[Waiting]) -> dict[int, str]:
    """All up to the last recovery of a thread of which nothing can have arrived."""
    begun, end = False, 0
    for place, each in enumerate(lane):
        if each.may_have_arrived:
            break
        if each.planned.action is Action.RECOVER and begun:
            end, begun = place + 1, False
        elif _is_news(each.planned):
            begun = True
        else:
            break
    return {each.number: OVER for each in lane[:end]}


def _says_all_of(later: Waiting, earlier: Waiting) -> bool:
    both = (earlier.planned, later.planned)
    if any(planned.action is not Action.UPDATE or not _is_news(planned) for planned in both):
        return False
    if earlier.may_have_arrived:
        return False  # a channel that edits goes on from what it may have got
    quieter = later.planned.silent and not earlier.planned.silent
    milder = earlier.final and not later.final
    return not quieter and not milder


def _is_news(planned: Planned) -> bool:
    told_by_itself = planned.say or planned.acknowledged_by
    return planned.action in _TELLING and planned.reason in _NEWS and not told_by_itself
