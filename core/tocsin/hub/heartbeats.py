"""When a run counts as dead, and what is refused of one that comes back after that.

Every run that is under way has a document in the store: its heartbeat, written anew every few seconds. When a run is
declared dead, the document becomes its tombstone, in the transaction that announces it: so it is declared once, whoever
does it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from tocsin.hub.incidents import ends_incident
from tocsin.hub.intake import take
from tocsin.hub.turn import Turn, join
from tocsin.identity import Presence, Process, presence_of
from tocsin.routing.moments import utc
from tocsin.store.coding import dump, load
from tocsin.store.protocol import Transaction
from tocsin.store.records import Cell, Sent, Suppression
from tocsin_hooks.durations import format_duration
from tocsin_hooks.events import Event, event_id
from tocsin_hooks.states import Crashed, family

HEARTBEAT = "heartbeat"
"""The name of the documents."""
DEAD = "dead"
"""Under which the tombstones are found; a living run's stands under the place of its process."""
LIVING = "living"
"""What all those of living runs are about."""
SOURCE = "tocsin"


@dataclass(frozen=True, slots=True)
class Beat:
    """What is known of a run that is under way, or of one that was declared dead."""

    event: str
    """The event with which it began, as JSON."""
    token: str
    """Drawn at its beginning: tells this run from another one that was given the same id."""
    process: Process
    at: datetime
    """When it was last heard of, by its own clock."""
    dead_after: timedelta = timedelta(seconds=60)
    kept: timedelta = timedelta(days=30)
    """How long it is remembered that the run is dead."""
    supervisor: Process | None = None
    """Who waits for the process, and knows better than anybody how it ended."""
    doubted: bool = False
    """Whether somebody has found it late before, or has seen it unchanged for too long."""
    declared_at: datetime | None = None
    """When it was declared dead; None while it is not."""


class Verdict(StrEnum):
    """What a look at a heartbeat comes to."""

    ALIVE = "alive"
    DOUBTED = "doubted"
    """It may be dead, or may have had no chance to say otherwise: looked at again."""
    DEAD = "dead"


def judge(beat: Beat, presence: Presence, *, now: datetime, attended_since: datetime | None) -> Verdict:
    """Whether a run is dead whose heartbeat is late.

    A process of this place is looked at: it is dead when it is gone, and never while it exists, stopped or not. One
    from elsewhere is dead when no beat has come since it was doubted. Somebody doubts who finds it late; but not who
    has had the store before his eyes long enough (`attended_since`), for he knows how long it has been silent, and
    need not rely on the clock of another host.

    >>> from datetime import UTC
    >>> noon, minute = datetime(2026, 1, 1, 12, tzinfo=UTC), timedelta(minutes=1)
    >>> beat = Beat("", "t", Process("db1", "b", "n", 1, "9"), noon)
    >>> for late, since in ((beat, None), (beat, noon), (replace(beat, doubted=True), noon)):
    ...     print(judge(late, Presence.ELSEWHERE, now=noon + minute, attended_since=since))
    doubted
    alive
    dead
    >>> str(judge(beat, Presence.THERE, now=noon + 60 * minute, attended_since=None))
    'alive'
    """
    if presence is Presence.GONE:
        return Verdict.DEAD
    if presence is Presence.THERE:
        return Verdict.ALIVE
    if beat.doubted:
        return Verdict.DEAD
    attended = attended_since is not None and now - attended_since >= beat.dead_after
    return Verdict.ALIVE if attended or now < beat.at + beat.dead_after else Verdict.DOUBTED


def heard_at(beat: Beat, now: datetime, last_look: datetime | None) -> datetime:
    """When a beat came that is seen for the first time, by the clock of the one who looks.

    >>> from datetime import UTC
    >>> noon, second = datetime(2026, 1, 1, 12, tzinfo=UTC), timedelta(seconds=1)
    >>> beat = Beat("", "t", Process("db1", "b", "n", 1, "9"), noon)
    >>> heard_at(beat, noon + second, noon - second) == noon
    True
    >>> heard_at(beat, noon + 3600 * second, noon + 3597 * second) == noon + 3600 * second  # a clock that is slow
    True
    """
    return beat.at if last_look is not None and last_look <= beat.at <= now else now


def how_it_died(beat: Beat, presence: Presence, now: datetime) -> str:
    """The same for people."""
    process = beat.process
    if presence is Presence.GONE:
        return f"its process is gone without a word (pid {process.pid} on '{process.host}')"
    silence = format_duration(max(now - beat.at, beat.dead_after).total_seconds())  # its clock may be ahead
    return f"no heartbeat for {silence} from pid {process.pid} on '{process.host}': the process or its host is gone"


def crashed(began: Event, message: str, *, at: datetime, heard_at: datetime, host: str = "") -> Event:
    """The event that tells of a dead run, given the one with which it began. It has one id, whoever declares it."""
    import pendulum

    return began.replace(
        id=event_id(began.source, began.run_id, "", None, 1, 1, "Crashed"),
        time=pendulum.instance(at),
        state="Crashed",
        state_family=family(Crashed),
        old_state="Running",
        sequence=None,
        message=message,
        duration=max((heard_at - began.time).total_seconds(), 0.0),
        host=host or began.host,
    )


# ---------------------------------------------------------------- in the store


def cell_of(beat: Beat, run_id: str) -> Cell:
    """A living run's heartbeat as a document, due when it is late."""
    return Cell(HEARTBEAT, join(run_id), dump(beat), beat.process.place, LIVING, beat.at + beat.dead_after)


def beat_in(cell: Cell | None) -> Beat | None:
    """What a document says."""
    return None if cell is None else _read(cell.body)


@lru_cache(maxsize=64)
def _read(body: str) -> Beat:
    """A heartbeat is asked for with every event of its run, and written anew every few seconds."""
    return load(Beat, body)


def look(turn: Turn, key: str) -> None:
    """See whether a run is dead whose heartbeat is late."""
    beat = turn.memory(Beat, HEARTBEAT, key)
    if beat is None or beat.declared_at is not None:
        return
    presence = presence_of(beat.process)
    verdict = judge(beat, presence, now=turn.now, attended_since=turn.attended_since)
    if verdict is Verdict.DEAD:
        _declare(turn, key, beat, how_it_died(beat, presence, turn.now), heard_at=beat.at)
        return
    again = replace(beat, doubted=verdict is Verdict.DOUBTED)
    turn.remember(HEARTBEAT, key, again, due=turn.now + beat.dead_after, parent=beat.process.place, subject=LIVING)


def doubt(tx: Transaction, key: str, seen: Beat, now: datetime) -> None:
    """Let a run be looked at that was `seen` so for too long, unless it has been heard of since."""
    cell = tx.cell(HEARTBEAT, key)
    if cell is not None and beat_in(cell) == seen:
        tx.put(replace(cell, body=dump(replace(seen, doubted=True)), due_at=now))


def bury(turn: Turn, key: str, *, process: Process, how: str = "") -> bool:
    """Declare a run dead whose `process` is known to have ended; False when it is not that process's any more.

    `how` says how it ended, where somebody knows: then it ended just now.
    """
    beat = turn.memory(Beat, HEARTBEAT, key)
    if beat is None or beat.declared_at is not None or beat.process != process:
        return False
    heard_at = turn.now if how else beat.at
    _declare(turn, key, beat, how or how_it_died(beat, Presence.GONE, turn.now), heard_at=heard_at)
    return True


def _declare(turn: Turn, key: str, beat: Beat, message: str, *, heard_at: datetime) -> None:
    began = Event.from_json(beat.event)
    event = crashed(began, message, at=turn.now, heard_at=utc(heard_at), host=beat.process.host)
    forget_old(turn)
    turn.remember(HEARTBEAT, key, replace(beat, declared_at=turn.now, event=""), parent=DEAD)
    known = turn.tx.sequence_of(event.id) is not None
    taken = take(turn, event).event
    if not known:
        turn.crashed.append(taken or event)


def forget_old(turn: Turn) -> None:
    """Forget which runs were declared dead so long ago that nothing is kept of them."""
    for cell in turn.tx.cells(HEARTBEAT, parent=DEAD):
        beat = beat_in(cell)
        if beat is not None and beat.declared_at is not None and beat.declared_at + beat.kept < turn.now:
            turn.tx.drop(HEARTBEAT, cell.key)


# ---------------------------------------------------------------- events of runs


def ends(event: Event) -> bool:
    """Whether the event is the end of a run that may have a heartbeat."""
    return event.source == SOURCE and not event.task and bool(event.run_id) and event.is_a("Finished")


def forget(turn: Turn, event: Event, token: str | None) -> None:
    """Remove the heartbeat of a run that has ended."""
    key = join(event.run_id)
    beat = beat_in(turn.tx.cell(HEARTBEAT, key))
    if beat is not None and beat.declared_at is None and token in (None, beat.token):
        turn.tx.drop(HEARTBEAT, key)


def refusal(turn: Turn, event: Event, token: str | None) -> str:
    """Why an event is not taken: it is of a run that was declared dead; empty when it is taken.

    `token` is that of the run in the process that publishes; without one, as for what waited in the spill file, an
    event counts that happened before the run was declared dead. That the run ended well counts in any case: it ends
    the alarm.
    """
    if event.source != SOURCE or not event.run_id or _is_the_announcement(event):
        return ""
    beat = beat_in(turn.tx.cell(HEARTBEAT, join(event.run_id)))
    if beat is None:
        return ""
    if token is not None and token != beat.token:
        return taken_over(event, beat)
    if beat.declared_at is None or ends_well(event):
        return ""
    if token is None and utc(event.time) <= utc(beat.declared_at):
        return ""
    return too_late(event, beat)


def _is_the_announcement(event: Event) -> bool:
    """Whether the event says that its run is dead; told twice, it is one event."""
    return not event.task and event.is_a("Crashed")


def ends_well(event: Event) -> bool:
    """Whether the event shows that its run was not dead after all, and that all is well."""
    return not event.task and ends_incident(event)


def too_late(event: Event, beat: Beat) -> str:
    """What the log says once of a run that was declared dead and goes on."""
    at = "" if beat.declared_at is None else f" at {beat.declared_at:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"run '{_named(event)}' was declared dead{at}: it had not been heard of for {_seconds(beat.dead_after)}; "
        "nobody is notified of what it does now, but of its success; "
        "let [delivery] dead_after be longer than the longest pause"
    )


def declared(event: Event, sent: Iterable[Sent], suppressed: Iterable[Suppression]) -> str:
    """What the log says of a run that was declared dead: which, why, and who is told.

    >>> from tocsin_hooks.testing import sample_event
    >>> dead = sample_event(flow="etl", run_name="brave-fox", message="killed by SIGKILL")
    >>> declared(dead, [], [Suppression(dead.time, dead.id, "silence", "s1", "silenced by ann")])
    "run 'etl/brave-fox' is declared dead: killed by SIGKILL; nobody is told now (silence: silenced by ann)"
    """
    channels = [each.planned.channel for each in sent if event.id in (each.event.id, *each.planned.events)]
    if channels:
        told = "told to " + ", ".join(f"'{channel}'" for channel in dict.fromkeys(channels))
    else:
        why = dict.fromkeys(f"{each.stage}: {each.reason}" for each in suppressed if each.event == event.id)
        told = "nobody is told now" + (f" ({'; '.join(why)})" if why else "")
    return f"run '{_named(event)}' is declared dead: {event.message}; {told}"


def taken_over(event: Event, beat: Beat) -> str:
    """The same of one whose id another process has taken."""
    process = beat.process
    return (
        f"run '{_named(event)}' was taken over by pid {process.pid} on '{process.host}'; "
        "nobody is notified of what this process does with it; give each run an id of its own"
    )


def _named(event: Event) -> str:
    return f"{event.flow}/{event.run_name or event.run_id[:8]}"


def _seconds(span: timedelta) -> str:
    return format_duration(span.total_seconds())
