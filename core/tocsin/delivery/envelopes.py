"""From a planned delivery to what its message carries beside the event."""

from __future__ import annotations

from datetime import datetime

from tocsin.routing.envelope import Envelope
from tocsin.store.records import Planned


def envelope_of(
    planned: Planned,
    delivery_id: str,
    *,
    at: datetime,
    timezone: str = "UTC",
    attempt: int = 1,
    may_repeat: bool = False,
) -> Envelope:
    """What the message of a delivery carries, which was planned at a time; times in it are told in `timezone`."""
    return Envelope(
        id=delivery_id,
        channel=planned.channel,
        route=planned.route,
        action=planned.action,
        attempt=attempt,
        may_repeat=may_repeat,
        incident=planned.incident,
        incident_opened_at=planned.opened_at,
        reason=planned.reason,
        group=planned.group,
        items=planned.items,
        count=planned.count,
        recovered=planned.recovered,
        silent=planned.silent,
        acknowledged_by=planned.acknowledged_by,
        say=planned.say,
        hides=planned.hides,
        at=at,
        within=planned.within,
        timezone=timezone,
    )
