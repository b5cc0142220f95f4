"""Alerting, from events and moments to deliveries: the same code for production, simulation and explanation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from tocsin.crashpoints import Point, reached
from tocsin.hub import escalating, flapping, heartbeats, throttling, watching
from tocsin.hub.draft import Draft
from tocsin.hub.facts import FLAP, SOURCE, standing
from tocsin.hub.flush import flush
from tocsin.hub.groups import GROUP
from tocsin.hub.intake import resume, take, tell_all
from tocsin.hub.muting import MUTED
from tocsin.hub.policy import Policy
from tocsin.hub.rerouting import Rerouting
from tocsin.hub.silencing import META, VERSION, version_of
from tocsin.hub.turn import SILENCE, Result, Turn, join, silences_of
from tocsin.identity import Process
from tocsin.routing.grouping import Group, Kind
from tocsin.routing.moments import END_OF_TIME, utc
from tocsin.routing.router import Route, Target
from tocsin.routing.silences import SilenceIndex
from tocsin.store.coding import load
from tocsin.store.protocol import Transaction
from tocsin.store.records import Cell
from tocsin_hooks.events import Event

_AT_A_TIME = 100  # documents in one transaction: other writers get their turn
_ALL = 1_000_000
_SOURCES = "sources"
POSTPONED = timedelta(minutes=1)
"""How long a timer waits that raised: it must not hold up the others."""

Look = Callable[[Turn, str], None]


def _forget_silence(turn: Turn, key: str) -> None:
    turn.tx.drop(SILENCE, key)


TIMERS: Mapping[str, Look] = {
    MUTED: resume,
    FLAP: flapping.look,
    flapping.MARK: flapping.mark,
    GROUP: lambda turn, key: flush(turn, key, timed=True),
    throttling.THROTTLE: throttling.look,
    escalating.ESCALATION: escalating.look,
    watching.WATCH: watching.look,
    watching.RUN: watching.look_at_run,
    heartbeats.HEARTBEAT: heartbeats.look,
    SILENCE: _forget_silence,
}
"""What is done with each sort of document when its time comes."""


class Engine:
    """Decides, inside transactions that others open. Holds the policy and what it has read of the silences."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.attended_since: datetime | None = None
        """Since when this process has looked at the store all the time, if it has."""
        self._silences = SilenceIndex((), policy.filters)
        self._version: str | None = None

    def turn(self, tx: Transaction, now: datetime, names: Sequence[tuple[str, str]] = ()) -> Turn:
        """The work on one moment, for which the documents of these kinds and keys are needed in any case."""
        draft = Draft(tx)
        draft.documents([(META, VERSION), *names])
        return Turn(draft, self.policy, utc(now), self._index(draft), attended_since=self.attended_since)

    def _index(self, tx: Transaction) -> SilenceIndex:
        version = version_of(tx)
        if version != self._version:
            self._silences = SilenceIndex(silences_of(tx), self.policy.filters)
            self._version = version
        return self._silences

    def prepare(self, tx: Transaction, now: datetime) -> Result:
        """Make what is stored fit the policy: what open incidents hide, and what watches wait for."""
        digest = self.policy.inhibitors.digest()
        known = tx.cell(META, _SOURCES)
        if known is None or known.body != digest:
            self._stand_anew(tx)
            tx.put(Cell(META, _SOURCES, digest))
        turn = self.turn(tx, now)
        watching.prepare(turn)
        heartbeats.forget_old(turn)
        tell_all(turn)
        return turn.result()

    def _stand_anew(self, tx: Transaction) -> None:
        for cell in tx.cells(SOURCE):
            tx.drop(SOURCE, cell.key)
        for incident in tx.open_incidents():
            event = tx.event(incident.event)
            for cell in standing(self.policy.inhibitors, event, incident) if event is not None else ():
                tx.put(cell)

    def take(
        self,
        tx: Transaction,
        event: Event,
        extra: Sequence[Route] = (),
        *,
        now: datetime,
        token: str | None = None,
        moved: Rerouting | None = None,
        targets: Sequence[Target] | None = None,
    ) -> Result:
        """Decide what an event means and plan what follows; nothing does from a run that was declared dead.

        `token` is that of the run in this process, if it runs here. `moved` is what a plugin wants; with `targets` no
        route is asked.
        """
        turn = self.turn(tx, now, [(heartbeats.HEARTBEAT, join(event.run_id))])
        if refused := heartbeats.refusal(turn, event, token):
            return Result(event, kept=False, refused=refused)
        result = take(turn, event, extra, targets, moved)
        if heartbeats.ends(event):
            heartbeats.forget(turn, event, token)
            turn.tx.write()
        return result

    def bury(self, tx: Transaction, key: str, process: Process, how: str = "", *, now: datetime) -> Result:
        """Declare the run of that key dead: its process has ended, as `how` says."""
        turn = self.turn(tx, now)
        heartbeats.bury(turn, key, process=process, how=how)
        return turn.result()

    def tick(self, tx: Transaction, *, now: datetime) -> Result | None:
        """Do what is due, a bounded number of things; None when nothing was."""
        due = tx.due_cells(now=now, limit=_AT_A_TIME)
        if not due:
            return None
        turn = self.turn(tx, now)
        for cell in due:
            if cell.kind == MUTED:  # what may be told again at one time is told in one message
                _handle(turn, cell, tell=False)
        tell_all(turn)
        for cell in due:
            _handle(turn, cell)
        reached(Point.TICK_INSIDE)
        return turn.result()

    def look(self, tx: Transaction, cell: Cell, *, now: datetime) -> Result:
        """Do what is due with one document only."""
        turn = self.turn(tx, now)
        _handle(turn, cell)
        return turn.result()

    def end_of_run(self, tx: Transaction, *, now: datetime) -> Result:
        """Tell the groups that wait for more, and decide what waits for a source: nobody may do it later."""
        turn = self.turn(tx, now)
        for cell in turn.tx.cells(MUTED, parent="hold"):
            resume(turn, cell.key)
        tell_all(turn)
        for key in sorted(cell.key for cell in _waiting(turn.tx) if cell.kind == GROUP):
            group, due = turn.memory(Group, GROUP, key), turn.tx.due(GROUP, key)
            if due is not None and group is not None and group.kind is not Kind.DIGEST:
                flush(turn, key, timed=True)
        for cell in turn.tx.cells(flapping.MARK):
            flapping.mark(turn, cell.key)
        tell_all(turn)
        return turn.result()

    def owed_at(self, tx: Transaction) -> datetime | None:
        """When the next message is told that was held back: by a digest, a mute or a throttle."""
        for cell in _waiting(tx):
            if cell.kind == MUTED or (cell.kind == GROUP and load(Group, cell.body).kind is Kind.DIGEST):
                return cell.due_at
        return None


def _waiting(tx: Transaction) -> list[Cell]:
    """All documents whose time will come, the first due first: few of those there are."""
    return tx.due_cells(now=END_OF_TIME, limit=_ALL)


def _handle(turn: Turn, cell: Cell, *, tell: bool = True) -> None:
    current = turn.tx.cell(cell.kind, cell.key)
    if current is None or current.due_at != cell.due_at:
        return  # what was handled before it has settled it
    look = TIMERS.get(cell.kind)
    if look is None:  # of a later tocsin: left for it
        turn.tx.put(Cell(cell.kind, cell.key, cell.body, cell.parent, cell.subject))
        return
    look(turn, cell.key)
    if tell:
        tell_all(turn)
    left = turn.tx.cell(cell.kind, cell.key)
    if left is not None and left.due_at is not None and left.due_at <= turn.now:
        # whatever it waits for has not come: asked again in a while, never at once and for ever
        turn.tx.put(Cell(left.kind, left.key, left.body, left.parent, left.subject, turn.now + POSTPONED))
