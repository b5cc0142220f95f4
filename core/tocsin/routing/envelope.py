"""What a delivery tells beside its event: where it goes, of which incident, why, and on behalf of which others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from tocsin_hooks.messages import Action, Item, Why


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a message carries beside its event."""

    id: str
    channel: str
    route: str
    action: Action
    attempt: int = 1
    may_repeat: bool = False
    incident: str = ""
    incident_opened_at: datetime | None = None
    reason: str = ""
    """One of `Why`, or another word for people and logs."""
    group: Mapping[str, str] = field(default_factory=dict)
    """The labels that the events of a group share, with their values."""
    items: tuple[Item, ...] = ()
    """The problems of a group, or what a digest collected, the newest first; of one event: nothing."""
    count: int = 1
    """How many there are, where `items` does not hold them all; of flapping, how often it changed."""
    recovered: int = 0
    """How many of them are over, where `items` does not hold them all."""
    silent: bool = False
    acknowledged_by: str = ""
    say: str = ""
    """The words of an escalation's step: they come first in the text."""
    hides: int = 0
    """How many events are not told because of this one."""
    at: datetime | None = None
    """When it was decided to send this; None: at the time of the event."""
    within: timedelta | None = None
    """The span that a summary, a notice of flapping or of calm speaks of."""
    timezone: str = "UTC"
    """The zone of times in the words."""

    @property
    def several(self) -> bool:
        """Whether this tells of more than one event; what flaps is one, however often it changed."""
        if self.reason == Why.FLAPPING:
            return False
        return self.count > 1 or len(self.items) > 1 or self.reason in (Why.DIGEST, Why.SUMMARY)

    @property
    def acknowledges(self) -> bool:
        """Whether all there is to tell is that somebody has taken the incident on."""
        told = self.reason in ("", Why.ACKNOWLEDGED)
        return bool(self.acknowledged_by) and told and self.action is Action.UPDATE

    @property
    def reminds(self) -> bool:
        """Whether what it tells is known to somebody already, and not over."""
        return self.action is Action.REPEAT or self.reason in (Why.REPEAT, Why.ESCALATION)


def local_time(time: datetime, timezone: str) -> str:
    """`time` in `timezone`, with the abbreviation that is used there; in UTC where there is no such zone.

    >>> noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    >>> local_time(noon, "Europe/Berlin"), local_time(noon, "UTC")
    ('2026-07-01 14:00:00 CEST', '2026-07-01 12:00:00 UTC')
    """
    there = datetime.fromtimestamp(time.timestamp(), _zone(timezone))  # whatever zone `time` is in
    return f"{there:%Y-%m-%d %H:%M:%S %Z}"


def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return UTC
