"""The store, and who decides what goes into it: one transaction for an event, for a moment, for a change of config."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from tocsin.crashpoints import Point, reached
from tocsin.hub.engine import POSTPONED, Engine
from tocsin.hub.incidents import ends_incident, incident_key, key_by_names
from tocsin.hub.policy import Policy
from tocsin.hub.rerouting import Rerouting
from tocsin.hub.spill import Spill
from tocsin.hub.turn import Result
from tocsin.identity import Process
from tocsin.masked import logger
from tocsin.routing.router import Route, Target
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell, StoreError
from tocsin_hooks.events import Event

_log = logger("tocsin.hub")

_AT_A_TIME = 1000  # documents looked at one by one


@dataclass(frozen=True, slots=True)
class Outbox:
    """Where routed events go: the store, who decides, the file beside it for when it refuses, and whom to wake.

    Whatever is written raises StoreError when the store refuses.
    """

    store: Store
    engine: Engine
    spill: Spill
    wake: Callable[[], None]
    policy: Policy = field(init=False)
    """What the config asks for."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", self.engine.policy)

    def matters(self, event: Event, extra: Sequence[Route]) -> bool:
        """Whether an event has to be taken to the store at all: most successes need not."""
        policy = self.policy
        if policy.keep_all or (policy.watches and not event.task):
            return True
        opens = policy.router.opens
        if policy.tracks and opens is not None and opens.matches(event):
            return True
        if policy.router.decide(event, extra).matched:
            return True
        return ends_incident(event, opens) and self.store.is_open(incident_key(event, policy.key))

    def may_be_open(self, flow: str, task: str, map_index: int | None) -> bool:
        """Whether an incident may be open that a success of that flow, or of that task in it, would end."""
        policy = self.policy
        key = key_by_names(policy.key, project=policy.project, flow=flow, task=task, map_index=map_index)
        return self.store.any_open() if key is None else self.store.is_open(key)

    def take(
        self,
        event: Event,
        extra: Sequence[Route],
        *,
        now: datetime,
        token: str | None = None,
        moved: Rerouting | None = None,
        targets: Sequence[Target] | None = None,
    ) -> Result:
        """Decide where an event goes and commit it."""
        reached(Point.PUBLISH_BEGUN)

        def work(tx: Transaction) -> Result:
            taken = self.engine.take(tx, event, extra, now=now, token=token, moved=moved, targets=targets)
            reached(Point.PUBLISH_INSIDE)
            return taken

        result = self.store.transact(work)
        reached(Point.PUBLISH_COMMITTED)
        return result

    def bury(self, key: str, process: Process, how: str, *, now: datetime) -> Result:
        """Declare the run of that key dead, if nobody did."""

        def work(tx: Transaction) -> Result:
            declared = self.engine.bury(tx, key, process, how, now=now)
            reached(Point.BURY_INSIDE)
            return declared

        result = self.store.transact(work)
        reached(Point.BURY_DONE)
        return result

    # ------------------------------------------------------------ time

    def prepare(self, now: datetime, engine: Engine | None = None) -> Result:
        """Make what is stored fit the config, or another one's engine."""
        chosen = engine or self.engine
        return self.store.transact(lambda tx: chosen.prepare(tx, now))

    def tick(self, now: datetime) -> Iterator[Result]:
        """Do everything that is due, a bounded number of things in a transaction: what came of each."""
        while True:
            try:
                result = self.store.transact(lambda tx: self.engine.tick(tx, now=now))
            except StoreError:
                raise
            except Exception:
                yield from self._one_by_one(now)
                return
            if result is None:
                return
            reached(Point.TICK_DONE)
            yield result

    def _one_by_one(self, now: datetime) -> Iterator[Result]:
        """Do what is due, each thing by itself, so that one that cannot be done holds up no other."""
        for cell in self.store.transact(lambda tx: tx.due_cells(now=now, limit=_AT_A_TIME), keep=False):
            try:
                result = self._look(cell, now)
            except StoreError:
                raise
            except Exception:
                _log.exception("a timer of '%s' failed; it is tried again in a minute", cell.kind)
                self._put(replace(cell, due_at=now + POSTPONED))
            else:
                yield result

    def _look(self, cell: Cell, now: datetime) -> Result:
        return self.store.transact(lambda tx: self.engine.look(tx, cell, now=now))

    def _put(self, cell: Cell) -> None:
        self.store.transact(lambda tx: tx.put(cell))

    def end_of_run(self, now: datetime) -> Result:
        """Tell what waits for more of its group."""
        return self.store.transact(lambda tx: self.engine.end_of_run(tx, now=now))

    def owed_at(self) -> datetime | None:
        """When there is next a message to tell that was held back, other than a reminder."""
        return self.store.transact(self.engine.owed_at, keep=False)

    # ------------------------------------------------------------ looking

    def events(self, ids: Sequence[str]) -> list[Event]:
        """The events of these ids that are in history."""
        found = self.store.transact(lambda tx: [tx.event(each) for each in ids], keep=False)
        return [event for event in found if event is not None]
