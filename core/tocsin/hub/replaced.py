"""The event of a change whose state a plugin replaced."""

from __future__ import annotations

from tocsin_hooks.events import Event, event_id
from tocsin_hooks.masking import mask
from tocsin_hooks.states import State, family


def settled_event(event: Event, state: State) -> Event:
    """The event of a change whose state was replaced."""
    names = family(type(state))
    return event.replace(
        id=event_id(
            event.source,
            event.run_id,
            event.task_run_id,
            event.map_index,
            event.attempt,
            event.loop_count,
            names[0] if names else type(state).__name__,
        ),
        state=type(state).__name__,
        state_family=names,
        message=mask(state.message or ""),
        exception=event.exception if "Failed" in names or "Retrying" in names else None,
        will_retry=event.will_retry and "Failed" in names,  # another failure in its place is retried as well
        next_attempt_at=getattr(state, "start_time", None) if "Retrying" in names else None,
        causes=event.causes if "Failed" in names else (),
        blocks=event.blocks if "Failed" in names else 0,
        blocked=event.blocked if "Failed" in names else (),
    )
