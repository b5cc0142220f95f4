"""What would come of an event: the engine's own answer, in transactions that are undone.

Everything that is stored counts: open incidents, groups, silences, throttles. What is looked at later is only what the
event has touched, and told only where it is not the same without the event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tocsin.hub.engine import Engine
from tocsin.hub.escalating import ESCALATION, Escalating
from tocsin.hub.facts import FLAP
from tocsin.hub.groups import GROUP, MEMBER
from tocsin.hub.incidents import incident_key
from tocsin.hub.muting import MUTED
from tocsin.hub.policy import Policy
from tocsin.hub.rerouting import Rerouting
from tocsin.hub.turn import Result, Turn, silences_of
from tocsin.routing.grouping import Group, Member
from tocsin.routing.moments import later, utc
from tocsin.routing.silences import Silence
from tocsin.routing.trace import Step
from tocsin.store.coding import dump
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell, Incident, Sent
from tocsin_hooks.events import Event

MOST_LOOKS = 1000
"""How many timers are looked at before an event, and after it: a rehearsal holds up whoever wants to write."""


@dataclass(frozen=True, slots=True)
class Wait:
    """That more comes of an event, and when: with a `group` or digest, as a `reminder` or by an `escalation`."""

    kind: str
    name: str
    route: str
    channels: tuple[str, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """What was sent, and why or why not, at one time."""

    at: datetime
    sent: tuple[Sent, ...] = ()
    trace: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would come of an event."""

    event: Event
    at: datetime
    key: str
    """Of its incident."""
    result: Result
    before: Incident | None = None
    """The incident that was open."""
    after: Incident | None = None
    """That incident, or the one that the event opened, after it."""
    knowing: frozenset[str] = frozenset()
    """The channels that were told of the incident before."""
    silences: tuple[Silence, ...] = ()
    """Those that are for events like this, in force or to come."""
    waits: tuple[Wait, ...] = ()
    later: tuple[Moment, ...] = ()
    """What follows in the time that was asked for, and would not without the event."""
    prevented: tuple[Moment, ...] = ()
    """What would be sent in that time without the event, and is not."""
    complete: bool = True
    """Whether every timer was looked at."""

    @property
    def step(self) -> str:
        """What the event is to its incident: `open`, `update`, `close` or `none`."""
        if self.after is None:
            return "none"
        if self.before is None:
            return "open"
        if self.after.closed_at is not None:
            return "close"
        return "update" if self.after.event == self.event.id else "none"


def rehearse(
    store: Store,
    policy: Policy,
    event: Event,
    *,
    now: datetime,
    at: datetime,
    ahead: timedelta,
    moved: Rerouting | None = None,
) -> Rehearsal:
    """What would come of `event`, were it published `at` a time; followed for the time `ahead` of that.

    `moved` is what a plugin wants.
    What is due between `now` and `at` is done first. Nothing is kept. Raises StoreError.
    """
    at, until = utc(at), later(utc(at), ahead)
    start = min(utc(now), at)
    if event.will_retry:  # routes see settled states
        key = incident_key(event, policy.key)
        incident = store.transact(lambda tx: tx.incident(key), keep=False)
        return Rehearsal(event, at, key, Result(event, kept=False), incident, incident)

    def with_it(tx: Transaction) -> tuple[Rehearsal, list[Moment], list[tuple[str, str]]]:
        dry = _Dry(tx, policy)
        dry.arrive(start, at)
        found, touched = dry.take(event, at, moved)
        moments = list(dry.follow(touched, at, until))
        return replace(found, complete=dry.complete), moments, touched

    def without_it(tx: Transaction, touched: Sequence[tuple[str, str]]) -> list[Moment]:
        dry = _Dry(tx, policy)
        dry.arrive(start, at)
        return list(dry.follow(touched, at, until))

    found, moments, touched = store.transact(with_it, keep=False)
    anyway = store.transact(lambda tx: without_it(tx, touched), keep=False)
    prevented = tuple(Moment(moment.at, moment.sent) for moment in _only(anyway, moments) if moment.sent)
    return replace(found, later=tuple(_only(moments, anyway)), prevented=prevented)


class _Touched:
    """A transaction that knows which documents were written in it, and which of others depend on them."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.touched: dict[tuple[str, str], None] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def put(self, cell: Cell) -> None:
        """See `Transaction.put`."""
        self._touch(cell)
        self._tx.put(cell)

    def drop(self, kind: str, key: str) -> None:
        """See `Transaction.drop`."""
        if (cell := self._tx.cell(kind, key)) is not None:
            self._touch(cell)
        self._tx.drop(kind, key)

    def touch_all_of(self, subject: str) -> None:
        """Count the documents about a subject as written."""
        for kind in (FLAP, MUTED, MEMBER):
            for cell in self._tx.cells(kind, subject=subject):
                self._touch(cell)

    def _touch(self, cell: Cell) -> None:
        self.touched[cell.kind, cell.key] = None
        group = self._tx.cell(GROUP, cell.parent) if cell.kind == MEMBER else cell if cell.kind == GROUP else None
        if group is not None:  # what it tells, and to whom that escalates, is another now
            self.touched[GROUP, group.key] = None
            for escalation in self._tx.cells(ESCALATION, parent=group.key):
                self.touched[ESCALATION, escalation.key] = None


class _Dry:
    """One run of the engine in a transaction that will be undone."""

    def __init__(self, tx: Transaction, policy: Policy) -> None:
        self._tx = _Touched(tx)
        self._engine = Engine(policy)
        self.complete = True
        """Whether every timer was looked at that was due."""

    def arrive(self, start: datetime, at: datetime) -> None:
        """Do what is due by then."""
        self._engine.prepare(self._tx, start)
        now = start
        for _ in range(MOST_LOOKS):
            if not (due := self._tx.due_cells(now=at, limit=1)):
                return
            now = max(now, due[0].due_at or now)
            self._engine.look(self._tx, due[0], now=now)
        self.complete = False

    def take(
        self, event: Event, at: datetime, moved: Rerouting | None = None
    ) -> tuple[Rehearsal, list[tuple[str, str]]]:
        """Let the event happen; what came of it, and which documents it touched."""
        key = incident_key(event, self._engine.policy.key)
        turn = self._engine.turn(self._tx, at)
        before = self._tx.incident(key)
        members = turn.memories(Member, MEMBER, subject=key)
        silences = [s for s in silences_of(self._tx) if turn.silences.covers(s.id, event) and s.status(at) != "expired"]
        self._tx.touched.clear()
        result = self._engine.take(self._tx, event, now=at, moved=moved)
        if result.kept:  # what an incident is told of later tells of its newest event, though the document is the same
            self._tx.touch_all_of(key)
        touched = list(self._tx.touched)
        after = self._tx.incident(key) if before is None else self._tx.incident_numbered(before.number or 0)
        told = frozenset({channel for member in members for channel in member.told} if before is not None else ())
        waits = tuple(_waits(self._engine.turn(self._tx, at), (key, event.id), result.sent)) if result.kept else ()
        return Rehearsal(event, at, key, result, before, after, told, tuple(silences), waits), touched

    def follow(self, touched: Sequence[tuple[str, str]], at: datetime, until: datetime) -> Iterator[Moment]:
        """What comes of these documents, and of those that are written because of them."""
        self._tx.touched = dict.fromkeys(touched)
        now = at
        for _ in range(MOST_LOOKS):
            if (cell := self._next(until)) is None:
                return
            now = max(now, cell.due_at or now)
            result = self._engine.look(self._tx, cell, now=now)
            yield Moment(now, tuple(result.sent), tuple(result.trace))
        self.complete = False

    def _next(self, until: datetime) -> Cell | None:
        cells = (self._tx.cell(kind, key) for kind, key in self._tx.touched)
        due = [(cell.due_at, cell.kind, cell.key, cell) for cell in cells if cell is not None and cell.due_at]
        first = min(due, default=None, key=lambda entry: entry[:3])
        return None if first is None or first[0] > until else first[3]


def _waits(turn: Turn, subjects: Sequence[str], sent: Sequence[Sent]) -> Iterator[Wait]:
    told = {each.planned.channel for each in sent}
    for member in (m for subject in subjects for m in turn.memories(Member, MEMBER, subject=subject)):
        group, cell = turn.memory(Group, GROUP, member.group), turn.tx.cell(GROUP, member.group)
        if group is None or cell is None:
            continue
        waiting = tuple(sorted(channel for channel in member.targets if channel not in told))
        if cell.due_at is not None:
            kind = str(group.kind) if waiting else "reminder"
            yield Wait(kind, group.name, group.route, waiting or tuple(sorted(member.targets)), cell.due_at)
        for step in turn.tx.cells(ESCALATION, parent=group.key):
            begun = turn.memory(Escalating, ESCALATION, step.key)
            if step.due_at is not None and begun is not None:
                yield Wait("escalation", begun.name, begun.route, (), step.due_at)


# ---------------------------------------------------------------- what differs


def _only(moments: Sequence[Moment], others: Sequence[Moment]) -> Iterator[Moment]:
    """What there is in `moments` and not, at the same time, in `others`."""
    steps = {(moment.at, step) for moment in others for step in moment.trace}
    sent = {_identity(moment, each) for moment in others for each in moment.sent}
    for moment in moments:
        own = tuple(each for each in moment.sent if _identity(moment, each) not in sent)
        trace = tuple(step for step in moment.trace if (moment.at, step) not in steps)
        if own or trace:
            yield Moment(moment.at, own, trace)


def _identity(moment: Moment, sent: Sent) -> tuple[datetime, str, str]:
    return moment.at, sent.id, dump(sent.planned)
