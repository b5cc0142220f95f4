"""Whether a filter could match any event of a kind, before there is an event."""

from __future__ import annotations

from functools import cache

from tocsin_hooks.events import Event
from tocsin_hooks.filters import And, Filter, Not, Or, Ref

_DECIDED_BY_KIND = frozenset({"state", "is_flow", "is_task"})


def may_match(filter_: Filter, state_family: tuple[str, ...], subject: str) -> bool:
    """Whether `filter_` can match a change of a flow or task into such a state, whatever else the event holds.

    >>> from tocsin_hooks.filters import when
    >>> may_match(when("is_failed and tags=prod"), ("TimedOut", "Failed", "Finished"), "task")
    True
    >>> may_match(when("is_failed and tags=prod"), ("Running",), "task")
    False
    """
    can_hold, _ = _possible(filter_, _probe(state_family, subject))
    return can_hold


def _possible(filter_: Filter, probe: Event) -> tuple[bool, bool]:
    """Whether the filter can hold, and whether it can fail to hold, for events like the probe."""
    match filter_:
        case And(terms):
            parts = [_possible(term, probe) for term in terms]
            return all(holds for holds, _ in parts), any(fails for _, fails in parts)
        case Or(terms):
            parts = [_possible(term, probe) for term in terms]
            return any(holds for holds, _ in parts), all(fails for _, fails in parts)
        case Not(term):
            holds, fails = _possible(term, probe)
            return fails, holds
        case Ref(_, target) if target is not None:
            return _possible(target, probe)
    labels = filter_.labels()
    if labels and all(label in _DECIDED_BY_KIND or label.startswith("is_") for label in labels):
        holds = filter_.matches(probe)
        return holds, not holds
    return True, True


@cache
def _probe(state_family: tuple[str, ...], subject: str) -> Event:
    import pendulum

    return Event(
        id="",
        time=pendulum.datetime(1970, 1, 1),
        flow="flow",
        run_id="",
        state=state_family[0] if state_family else "",
        state_family=state_family,
        task="task" if subject == "task" else "",
    )
