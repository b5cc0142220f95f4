"""The reasons that the stages give: what `tocsin explain` prints."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """What one stage made of an event, or of a message."""

    stage: str
    verdict: str
    """`passes`, `suppressed`, `waits`, `collected`, `sent` or `notes`."""
    reason: str
    route: str = ""
    channel: str = ""
    rule: str = ""
