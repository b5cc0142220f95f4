"""What people do about incidents: acknowledge them, and silence what they know of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from tocsin.errors import did_you_mean
from tocsin.hub import escalating, silencing
from tocsin.hub.groups import GROUP, MEMBER, write_member
from tocsin.hub.intake import resume, tell_all
from tocsin.hub.outbox import Outbox
from tocsin.hub.turn import Result, Turn, silences_of
from tocsin.routing.grouping import Group, Member
from tocsin.routing.silences import Silence, SilenceIndex, edited, new_silence
from tocsin.store.protocol import Transaction
from tocsin.store.records import Incident, Planned
from tocsin_hooks.channels import Capability
from tocsin_hooks.errors import FilterError, TocsinError
from tocsin_hooks.filters import Filter, when
from tocsin_hooks.messages import Action, Why

T = TypeVar("T")


def _turn(outbox: Outbox, now: datetime, work: Callable[[Turn], T]) -> tuple[Result, T]:
    """Do `work` in one transaction, then tell whatever it made due."""

    def inside(tx: Any) -> tuple[Result, T]:
        turn = outbox.engine.turn(tx, now)
        value = work(turn)
        tell_all(turn)
        return turn.result(), value

    result, value = outbox.store.transact(inside)
    if result.sent:
        outbox.wake()
    return result, value


# ---------------------------------------------------------------- incidents


def open_incidents(outbox: Outbox) -> list[Incident]:
    """The open incidents, oldest first."""
    return outbox.store.transact(lambda tx: tx.open_incidents(), keep=False)


def latest_incidents(outbox: Outbox, limit: int) -> list[Incident]:
    """The newest `limit` incidents, open or over, oldest first."""
    return outbox.store.transact(lambda tx: tx.incidents(limit), keep=False)


def incidents_matching(outbox: Outbox, incidents: Sequence[Incident], wanted: Filter) -> list[Incident]:
    """Those of `incidents` whose last event matches."""

    def look(tx: Transaction) -> list[Incident]:
        return [i for i in incidents if (event := tx.event(i.event)) is not None and wanted.matches(event)]

    return outbox.store.transact(look, keep=False)


def silenced_by(outbox: Outbox, incidents: Sequence[Incident], *, now: datetime) -> dict[int | None, Silence]:
    """The silence that is in force on each of `incidents`, by their numbers; on most there is none."""

    def look(turn: Turn) -> dict[int | None, Silence]:
        events = ((incident.number, turn.event(incident.event)) for incident in incidents)
        found = ((number, turn.silences.matching(event, now)) for number, event in events if event is not None)
        return {number: silence for number, silence in found if silence is not None}

    return outbox.store.transact(lambda tx: look(outbox.engine.turn(tx, now)), keep=False)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Incidents that somebody took on: those that nobody had before, and those that somebody had."""

    now: tuple[Incident, ...]
    before: tuple[Incident, ...]


def acknowledge(outbox: Outbox, what: str, *, by: str, now: datetime) -> tuple[Result, int]:
    """Acknowledge open incidents, of a number, of a key or of which the last event matches a filter; how many.

    What was acknowledged before stays with whoever did. Raises TocsinError where there is none, or for a filter that
    cannot be read.
    """
    result, done = acknowledge_all(outbox, [what], by=by, now=now)
    return result, len(done.now) + len(done.before)


def acknowledge_all(outbox: Outbox, whats: Sequence[str], *, by: str, now: datetime) -> tuple[Result, Acknowledged]:
    """As `acknowledge`, for several: all of them, or none where one of them means nothing."""

    def work(turn: Turn) -> Acknowledged:
        found = {incident.number: incident for what in whats for incident in _meant(turn, what)}
        fresh = tuple(incident for incident in found.values() if not incident.acked_at)
        for incident in fresh:
            _acknowledge(turn, incident, by)
        return Acknowledged(fresh, tuple(incident for incident in found.values() if incident.acked_at))

    return _turn(outbox, now, work)


def _meant(turn: Turn, what: str) -> list[Incident]:
    opened = turn.tx.open_incidents()
    if named := _named(opened, what):
        return named
    if not opened:
        raise TocsinError(f"no open incident is '{what}': none is open")
    if any(char in what for char in "=<>@~!() ") or what.startswith("is_"):
        wanted = _filter(what, turn.policy.filters)
        if not (matching := [i for i in opened if (event := turn.event(i.event)) and wanted.matches(event)]):
            raise TocsinError(f"no open incident matches '{what}'; 'tocsin incidents' shows those that are open")
        return matching
    hint = did_you_mean(what, [incident.key for incident in opened]) or "; 'tocsin incidents' shows those that are open"
    raise TocsinError(f"no open incident is '{what}'{hint}")


def _named(opened: Sequence[Incident], what: str) -> list[Incident]:
    """The incidents of that number or key; a key without project may be written without its slash at the front."""
    number = what.removeprefix("#")
    exact = [incident for incident in opened if what == incident.key or number == str(incident.number)]
    plain = what.strip("/")
    return exact or [incident for incident in opened if plain and plain == incident.key.strip("/")]


def _filter(text: str, named: Any) -> Filter:
    try:
        return when(text).bind(named)
    except FilterError as error:
        raise TocsinError(
            f"'{text}' is neither the number nor the key of an open incident, nor a filter: {error}"
        ) from error


def _acknowledge(turn: Turn, incident: Incident, by: str) -> None:
    turn.tx.put_incident(replace(incident, acked_at=turn.now, acked_by=by))
    for member in turn.memories(Member, MEMBER, subject=incident.key):
        acked = replace(member, acked_by=by)
        write_member(turn, acked)
        group = turn.memory(Group, GROUP, member.group)
        event = turn.event(member.event)
        if group is None or event is None or member.recovered:
            continue
        turn.flush.append(group.key)
        for channel, to in member.targets.items():
            shows = turn.policy.can(channel, Capability.EDIT) or turn.policy.can(channel, Capability.ACK)
            if channel in member.told and shows:
                planned = Planned(
                    channel, to.route, Action.UPDATE, to.template, Why.ACKNOWLEDGED, group.thread, group.name,
                    member.since, nonce=f"acknowledged {turn.now.isoformat()}", group=group.labels, silent=True,
                    acknowledged_by=by,
                )  # fmt: skip
                turn.plan(event, planned, incident.number)
        escalating.acknowledged(turn, group, by)


# ---------------------------------------------------------------- silences


def silences(outbox: Outbox) -> list[Silence]:
    """All silences that are remembered, oldest first."""
    return outbox.store.transact(silences_of, keep=False)


def find_silence(outbox: Outbox, prefix: str) -> Silence:
    """The silence whose id begins with `prefix`. Raises TocsinError where that is none, or several."""
    return outbox.store.transact(lambda tx: silencing.find(tx, prefix), keep=False)


def broken_silences(outbox: Outbox, known: Sequence[Silence]) -> dict[str, str]:
    """Why a silence hides nothing though it should, by its id."""
    return SilenceIndex(known, outbox.policy.filters).broken


def incidents_of(outbox: Outbox, silence: Silence) -> list[Incident]:
    """The open incidents that a silence is for, be it in force now or not."""
    index = SilenceIndex([silence], outbox.policy.filters)

    def look(tx: Transaction) -> list[Incident]:
        opened = tx.open_incidents()
        return [i for i in opened if (event := tx.event(i.event)) is not None and index.covers(silence.id, event)]

    return outbox.store.transact(look, keep=False)


def add_silence(outbox: Outbox, text: str, *, now: datetime, **given: Any) -> Silence:
    """Add a silence, as `new_silence` makes it."""
    silence = new_silence(text, now=now, named=outbox.policy.filters, **given)
    outbox.store.transact(lambda tx: silencing.write(tx, silence))
    return silence


def edit_silence(
    outbox: Outbox, prefix: str, *, now: datetime, new_id: str, **changes: Any
) -> tuple[Result, Sequence[Silence]]:
    """Change a silence, as `edited` does; the silences that there are in its place."""

    def work(turn: Turn) -> Sequence[Silence]:
        before = silencing.find(turn.tx, prefix)
        after = edited(before, now=now, id=new_id, named=outbox.policy.filters, **changes)
        for each in after:
            silencing.write(turn.tx, each)
        turn.refresh()
        silencing.speak(turn, before.id, resume)
        return after

    return _turn(outbox, now, work)


def expire_silence(outbox: Outbox, prefix: str, *, by: str, now: datetime) -> tuple[Result, Silence]:
    """End a silence now; what it muted and is not over is told."""
    result, [ended] = expire_silences(outbox, [prefix], by=by, now=now)
    return result, ended


def expire_silences(
    outbox: Outbox, prefixes: Sequence[str], *, by: str, now: datetime
) -> tuple[Result, Sequence[Silence]]:
    """As `expire_silence`, for several: all of them, or none where one of them is none or has ended."""

    def work(turn: Turn) -> Sequence[Silence]:
        found = {silence.id: silence for prefix in prefixes for silence in [silencing.find(turn.tx, prefix)]}
        return [silencing.end(turn, silence, by=by, resume=resume) for silence in found.values()]

    return _turn(outbox, now, work)


# ---------------------------------------------------------------- time


def timers_due(outbox: Outbox, now: datetime) -> int:
    """How many things are due because time has passed."""
    return outbox.store.transact(lambda tx: len(tx.due_cells(now=now, limit=_ALL)), keep=False)


_ALL = 1_000_000
