"""What a config says of alerts beyond where they go: grouping, muting, escalation, watches; complete, inherited, bound.

Nothing here decides anything: `tocsin.routing` reads these values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from tocsin_hooks.filters import Filter


class Mode(StrEnum):
    """How a route takes what opens an incident."""

    INCIDENT = "incident"
    """One story from the first failure to the recovery."""
    EVENT = "event"
    """Each event stands by itself."""


class Over(StrEnum):
    """What becomes of messages that a throttle cuts."""

    DROP = "drop"
    SUMMARY = "summary"
    """They are counted, and one message says how many there were."""


class Then(StrEnum):
    """What becomes of messages that a window mutes."""

    DROP = "drop"
    HOLD = "hold"
    """They wait for the end of the window; what is over by then is not sent."""
    DIGEST = "digest"
    """One message at the end of the window lists them all."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """`group`: which events share a message, and when it is sent. `by = ["*"]` keeps every incident apart."""

    by: tuple[str, ...] = ("project", "flow")
    wait: timedelta = timedelta(seconds=10)
    """From the first event of a group to its first message."""
    interval: timedelta = timedelta(minutes=2)
    """From one message with news to the next."""
    repeat: timedelta | None = timedelta(hours=4)
    """From the last message to a reminder that something is still wrong; None: no reminders."""


@dataclass(frozen=True, slots=True)
class Digest:
    """`digest`: what is collected leaves in one message; what is `urgent` leaves at once."""

    every: timedelta
    max: int = 50
    """With so many items it leaves early."""
    urgent: Filter | None = None


@dataclass(frozen=True, slots=True)
class Throttle:
    """`throttle`: at most `limit` messages within `within`, counted apart for each value of the labels `per`."""

    limit: int
    within: timedelta
    per: tuple[str, ...] = ()
    over: Over = Over.DROP


@dataclass(frozen=True, slots=True)
class Flap:
    """`flap`: `changes` within `within` are told as one "is flapping"; then quiet until `calm` passed without one."""

    changes: int = 4
    within: timedelta = timedelta(hours=1)
    calm: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class OpenAfter:
    """`open_after`: an incident is told from its `failures`-th failure on, all of them within `within`."""

    failures: int
    within: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Mute:
    """`mute`: what is not `urgent` is quiet while one of the windows is open."""

    windows: tuple[str, ...]
    then: Then = Then.DROP
    urgent: Filter | None = None


@dataclass(frozen=True, slots=True)
class Recover:
    """`recover`: whether the end of a problem is told, and after which sort of success."""

    notice: bool = True
    on: frozenset[str] = frozenset({"retry", "next_run"})
    """`retry`: a success in the run that failed; `next_run`: one in a later run."""


@dataclass(frozen=True, slots=True)
class RouteOptions:
    """How a route sends, everything it inherits filled in. None: the option is off."""

    send: tuple[str, ...] = ()
    template: str | None = None
    mode: Mode = Mode.INCIDENT
    silent: bool = False
    """Updates an open message, never starts one or pings."""
    group: Grouping | None = None
    digest: Digest | None = None
    throttle: Throttle | None = None
    flap: Flap | None = None
    open_after: OpenAfter | None = None
    mute: Mute | None = None
    """Not inherited."""
    escalate: str | None = None
    """The name of an escalation."""
    recover: Recover = field(default_factory=Recover)


Range = tuple[int, int]
"""From and to, both included."""


@dataclass(frozen=True, slots=True)
class Window:
    """`[windows.NAME]`: open when every list that is given holds the moment. An empty list holds every moment.

    `times` are minutes of the day, from (included) to (not included, up to 1440); one whose end is not after its start
    crosses midnight, and belongs to the day on which it began. `weekdays` are 1 (Monday) to 7, `months` 1 to 12,
    `days` those of the month, negative ones counted from its end (-1 is the last). Ranges of weekdays, days and months
    may wrap.
    """

    name: str
    times: tuple[Range, ...] = ()
    weekdays: tuple[Range, ...] = ()
    days: tuple[Range, ...] = ()
    months: tuple[Range, ...] = ()
    years: tuple[Range, ...] = ()
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Inhibition:
    """One of `[[inhibit]]`: while an incident matching `source` is open, events matching `target` are not sent.

    Both must have the same value of every label in `equal` (absent on both sides is the same). An event that matches
    both sides is not muted by a source that matches both sides.
    """

    name: str
    source: Filter
    target: Filter
    equal: tuple[str, ...] = ()
    hold: timedelta = timedelta(0)
    """How long an event without a source waits for one that arrives a little later."""
    mark: bool = False
    """Whether the source's message says how many it hides."""
    builtin: bool = False
    """Whether it is tocsin's own, drawn from the task graph."""


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """One step: `after` is counted from the first message."""

    after: timedelta
    send: tuple[str, ...]
    condition: str = "always"
    """One of `CONDITIONS`."""
    say: str = ""


CONDITIONS = ("always", "not acked", "acked")
"""What `if` of a step can be."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """`[escalations.NAME]`: whom to tell when nobody acts."""

    name: str
    steps: tuple[EscalationStep, ...]
    repeat_every: timedelta | None = None
    """From the last step to the first of the next round."""
    repeat_times: int = 0
    ack_lasts: timedelta | None = None
    """An acknowledged incident that is still open speaks again after this long."""
    outside_window: str | None = None
    """Outside this window every step sends to `outside_send` instead."""
    outside_send: tuple[str, ...] = ()


class WatchKind(StrEnum):
    """What a watch waits for."""

    MISSED = "missed"
    """A run that did not come."""
    TOO_LONG = "too_long"
    """A run that does not end."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One of `[[watch]]`.

    `missed`: a run of `flow` is expected at each time of `cron` in `timezone`, or every `every`, and told of once
    `grace` has passed without one. `too_long`: a run of a matching flow is told of after `fixed`, or after
    `times_median` times the median of its last runs once there are `min_runs` of them, whichever comes first.
    """

    name: str
    kind: WatchKind
    flow: str | None = None
    filter: Filter | None = None
    cron: str | None = None
    every: timedelta | None = None
    grace: timedelta = timedelta(0)
    fixed: timedelta | None = None
    times_median: float | None = None
    min_runs: int = 10
    timezone: str = "UTC"
    send: tuple[str, ...] | None = None
    """None: as `[defaults]`."""
