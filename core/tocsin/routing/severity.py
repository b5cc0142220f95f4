"""How urgent a message is: what its event says, else by state; of several the worst that is not over."""

from __future__ import annotations

from functools import cache

from tocsin.routing.envelope import Envelope
from tocsin_hooks import states
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action

_ORDER = ("critical", "error", "warning", "info")
_BY_STATE = (("Crashed", "critical"), ("Failed", "error"), ("Retrying", "warning"), ("Cancelled", "warning"))


def severity(event: Event, envelope: Envelope) -> str:
    """One of critical, error, warning and info.

    >>> from tocsin_hooks.testing import sample_event
    >>> crashed = sample_event(state="Crashed", state_family=("Crashed", "Failed", "Finished"), severity="")
    >>> [severity(crashed, Envelope("1", "ops", "r", action)) for action in (Action.OPEN, Action.RECOVER)]
    ['critical', 'info']
    """
    if envelope.action in (Action.RECOVER, Action.TEST) or envelope.acknowledges:
        return "info"
    own = event.severity if event.severity in _ORDER else _of_family(event.state_family)
    if not envelope.several or not envelope.items:
        return own
    found = [_of_family(_family(item.state, event)) for item in envelope.items if not item.recovered]
    if found and not event.is_a("Success"):  # where all are over, so is the event
        found.append(own)
    return min(found, key=_ORDER.index, default="info")


def is_trouble(state: str, event: Event) -> bool:
    """Whether a state of that name is a problem rather than news; one that is not known here may be.

    >>> from tocsin_hooks.testing import sample_event
    >>> [is_trouble(state, sample_event()) for state in ("TimedOut", "Cached", "OutOfStock")]
    [True, False, True]
    """
    family = _family(state, event)
    return not family or _of_family(family) != "info"


def _of_family(family: tuple[str, ...]) -> str:
    return next((level for name, level in _BY_STATE if name in family), "info")


def _family(state: str, event: Event) -> tuple[str, ...]:
    """The state and its ancestors; nothing for one of a class that is neither tocsin's nor the event's."""
    return event.state_family if state == event.state else _known_family(state)


@cache
def _known_family(state: str) -> tuple[str, ...]:
    found = getattr(states, state, None) if state.isidentifier() else None
    return states.family(found) if isinstance(found, type) and issubclass(found, states.State) else ()
