"""One event, or one moment, in the hub: what is read and written for it in one transaction, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from tocsin.hub.draft import Draft
from tocsin.hub.policy import Policy
from tocsin.masked import logger
from tocsin.routing.router import Target
from tocsin.routing.silences import Silence, SilenceIndex
from tocsin.routing.trace import Step
from tocsin.store.protocol import Transaction
from tocsin.store.records import Incident, Planned, Sent, Suppression
from tocsin_hooks.events import Event

T = TypeVar("T")

_log = logger("tocsin.hub")


@lru_cache(maxsize=1024)
def join(*parts: str) -> str:
    r"""One key of several parts, whatever stands in them.

    >>> join("a", "b") != join("a\\x1fb")
    True
    """
    key = "\x1f".join(parts)
    if key.isascii() and "\\" not in key and key.count("\x1f") < len(parts):  # as most keys, and many are made
        return key
    key = "\x1f".join(part.replace("\\", "\\\\").replace("\x1f", "\\u") for part in parts)
    return key.encode("utf-8", "backslashreplace").decode()  # half characters, which no database takes


@dataclass
class Turn:
    """The work on one event or moment: a transaction, the policy, the time, and what was sent and suppressed.

    Documents that it writes are in the store when its `result` was asked for.
    """

    tx: Draft
    policy: Policy
    now: datetime
    silences: SilenceIndex
    sent: list[Sent] = field(default_factory=list)
    suppressed: list[Suppression] = field(default_factory=list)
    trace: list[Step] = field(default_factory=list)
    flush: list[str] = field(default_factory=list)
    """The keys of groups that are to be told now."""
    escalate: list[str] = field(default_factory=list)
    """The keys of escalations that are to be looked at after that."""
    alarms: list[tuple[Event, tuple[Target, ...]]] = field(default_factory=list)
    """Events of watches, to be taken after that, and whom to tell."""
    events: dict[str, Event] = field(default_factory=dict)
    """Events that were looked up."""
    hidden: set[tuple[str, str]] = field(default_factory=set)
    """The keys of sources and the ids of the events counted as hidden by them."""
    crashed: list[Event] = field(default_factory=list)
    """Events of runs that were declared dead."""
    attended_since: datetime | None = None
    """Since when this process has looked at the store all the time, if it has."""

    # ------------------------------------------------------------ what is known

    def event(self, event_id: str) -> Event | None:
        """An event of history."""
        if event_id not in self.events and (found := self.tx.event(event_id)) is not None:
            self.events[event_id] = found
        return self.events.get(event_id)

    def memory(self, kind: type[T], name: str, key: str) -> T | None:
        """The document of that name and key, as a `kind`."""
        return self.tx.value(kind, name, key)

    def memories(self, kind: type[T], name: str, **where: str) -> list[T]:
        """The documents of that name, of a parent or about a subject."""
        return self.tx.values(kind, name, **where)

    def remember(
        self, name: str, key: str, value: Any, *, due: datetime | None = None, parent: str = "", subject: str = ""
    ) -> None:
        """Write a document."""
        self.tx.put_value(name, key, value, parent, subject, due)

    def result(self, event: Event | None = None) -> Result:
        """What has come of it so far, all of it written."""
        self.tx.write()
        return Result(event, False, True, self.sent, self.suppressed, self.trace, self.tx.timed, self.crashed)

    # ------------------------------------------------------------ what comes of it

    def note(
        self, stage: str, verdict: str, reason: str, *, route: str = "", channel: str = "", rule: str = ""
    ) -> None:
        """Keep a reason."""
        self.trace.append(Step(stage, verdict, reason, route, channel, rule))

    def suppress(
        self,
        event: str,
        stage: str,
        reason: str,
        *,
        rule: str = "",
        route: str = "",
        channel: str = "",
        verdict: str = "suppressed",
    ) -> None:
        """Keep that something is not sent, and why."""
        suppression = Suppression(self.now, event, stage, rule, reason, route, channel)
        self.tx.suppress(suppression)
        self.suppressed.append(suppression)
        self.note(stage, verdict, reason, route=route, channel=channel, rule=rule)

    def plan(self, event: Event, planned: Planned, incident: int | None = None) -> bool:
        """Plan a delivery; False if the very same one was planned before."""
        if not planned.events:
            planned = replace(planned, events=(event.id,))
        sent = self.tx.deliver(event, incident, planned, now=self.now)
        if sent is None:
            return False
        self.sent.append(sent)
        self.note("plan", "sent", f"{planned.action}: {planned.reason}", route=planned.route, channel=planned.channel)
        return True

    def refresh(self) -> None:
        """Read the silences again."""
        self.silences = SilenceIndex(silences_of(self.tx), self.policy.filters)

    def incident(self, number: int | None) -> Incident | None:
        """The incident of that number."""
        return None if number is None else self.tx.incident_numbered(number)


SILENCE = "silence"


def silences_of(tx: Transaction) -> list[Silence]:
    """The silences of a store, oldest first; one that a later tocsin wrote in another form hides nothing here."""
    import json

    found = []
    for cell in tx.cells(SILENCE):
        try:
            found.append(Silence.from_dict(json.loads(cell.body)))
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("silence '%s' hides nothing: %s", cell.key[:8], error)
    return sorted(found, key=lambda silence: (silence.created_at, silence.id))


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one event or moment."""

    event: Event | None = None
    known: bool = False
    """Whether the event was in history before: then nothing was done."""
    kept: bool = True
    """Whether the event is in history."""
    sent: Sequence[Sent] = ()
    suppressed: Sequence[Suppression] = ()
    trace: Sequence[Step] = ()
    timers: bool = False
    """Whether something is to be done at a time."""
    crashed: Sequence[Event] = ()
    """The runs that were declared dead, for those who observe."""
    refused: str = ""
    """Why an event was not taken: its run was declared dead before."""

    def along_with(self, others: Sequence[Result]) -> Result:
        """The same, with what was sent and suppressed in the same breath."""
        if not others:
            return self
        sent = [each for result in (self, *others) for each in result.sent]
        return replace(self, sent=sent, suppressed=[each for result in (self, *others) for each in result.suppressed])
