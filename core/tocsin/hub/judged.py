"""Whether the filters written in Python work: one that raises is an incident of tocsin's own until it answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.clock import Clock
from tocsin.hub.incidents import OWN, incident_key
from tocsin.hub.outbox import Outbox
from tocsin.hub.turn import Result
from tocsin.masked import logger
from tocsin.routing.moments import utc
from tocsin.routing.router import DEFAULTS, Target
from tocsin.store.protocol import Transaction
from tocsin.store.records import StoreError
from tocsin_hooks.events import Event, event_id
from tocsin_hooks.filters import predicates
from tocsin_hooks.masking import mask
from tocsin_hooks.states import Failed, State, Success, family

_log = logger("tocsin.hub")

CALM = timedelta(hours=1)
"""A filter that has raised for nothing that long works again, whatever it raised for."""

_RAISED_FOR = "raised_for"
_MOST = 100  # sorts of events that are remembered of one filter


@dataclass(frozen=True, slots=True)
class Verdict:
    """That a filter answered, or raised, for an event."""

    name: str
    sort: str
    """Which sort of event: a filter that trips over one may well answer for others."""
    raised: str = ""


@dataclass
class _Trouble:
    """The sorts of events for which a filter raises, and when it last did."""

    sorts: set[str] = field(default_factory=set)
    last: datetime | None = None


class Judged:
    """What the filters written in Python did for the events of a hub."""

    def __init__(self) -> None:
        self._troubles: dict[str, _Trouble] = {}
        self._lock = threading.Lock()

    @contextmanager
    def heard(self) -> Iterator[list[Verdict]]:
        """The verdicts that are of interest of all that is asked within a `with` block."""
        verdicts: dict[Verdict, None] = {}
        found: list[Verdict] = []

        def note(name: str, event: Event, error: BaseException | None) -> None:
            trouble = self._troubles.get(name)
            if error is not None or trouble is None or trouble.sorts:
                verdict = Verdict(name, f"{event.subject} {event.state}", predicates.said(error) if error else "")
                verdicts.setdefault(verdict)

        with predicates.heard_by(note):
            yield found
        found += verdicts

    def tell(self, verdicts: list[Verdict], outbox: Outbox, clock: Clock) -> list[Result]:
        """Announce which filters raise now that did not before, and which work again; what came of it."""
        with self._lock:
            try:
                told = [self._told(verdict, outbox, clock) for verdict in verdicts]
            except StoreError as error:
                _log.error("whether the filters written in Python work cannot be announced: %s", error)
                return []
        return [result for result in told if result is not None]

    def _told(self, verdict: Verdict, outbox: Outbox, clock: Clock) -> Result | None:
        now = clock.now()
        if (trouble := self._troubles.get(verdict.name)) is None:
            trouble = self._troubles[verdict.name] = _known(verdict.name, outbox, now)
        had_any = bool(trouble.sorts)
        if verdict.raised:
            if len(trouble.sorts) < _MOST:
                trouble.sorts.add(verdict.sort)
            trouble.last = utc(now)
            return None if had_any else _announced(verdict, Failed, outbox, clock)
        trouble.sorts.discard(verdict.sort)
        if trouble.last is not None and utc(now) - trouble.last >= CALM:
            trouble.sorts.clear()
        return _announced(verdict, Success, outbox, clock) if had_any and not trouble.sorts else None


def _known(name: str, outbox: Outbox, now: datetime) -> _Trouble:
    """What an earlier process left word of."""
    key = incident_key(_event(Verdict(name, ""), Failed, "", now, outbox), outbox.policy.key)

    def look(tx: Transaction) -> _Trouble:
        incident = tx.incident(key)
        event = None if incident is None else tx.event(incident.event)
        if incident is None or event is None:
            return _Trouble()
        return _Trouble({event.labels.get(_RAISED_FOR, "")}, utc(event.time))

    return outbox.store.transact(look, keep=False)


def _announced(verdict: Verdict, kind: type[State], outbox: Outbox, clock: Clock) -> Result | None:
    event = _event(verdict, kind, clock.new_id(), clock.now(), outbox)
    is_open = outbox.store.is_open(incident_key(event, outbox.policy.key))
    if is_open == (kind is Failed):
        return None  # another process was quicker
    router = outbox.policy.router
    targets = [
        Target(channel, DEFAULTS, router.default_template, router.default_options) for channel in router.default_send
    ]
    return outbox.take(event, (), now=clock.now(), targets=None if kind is Failed and not targets else targets)


def _event(verdict: Verdict, kind: type[State], new_id: str, now: datetime, outbox: Outbox) -> Event:
    import pendulum

    trouble = f"filter '{verdict.name}' {mask(verdict.raised)} for {verdict.sort}; it counts as false"
    return Event(
        id=event_id("tocsin", f"predicate {verdict.name} {new_id}", "", None, 1, 1, kind.__name__),
        time=pendulum.instance(now),
        flow="tocsin",
        task=f"predicate {verdict.name}",
        run_id="",
        state=kind.__name__,
        state_family=family(kind),
        message=trouble if kind is Failed else f"filter '{verdict.name}' works again",
        severity="error" if kind is Failed else "",
        source=OWN,
        project=outbox.policy.project,
        labels={_RAISED_FOR: verdict.sort},
    )
