"""Whether a filter asks for anything at all, or holds for events of any sort."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

from tocsin_hooks.events import Event
from tocsin_hooks.filters import And, Filter, Not, Opaque, Or, Ref

_KIND = frozenset({"is_flow", "is_task"})


def holds_for_anything(filter_: Filter) -> bool:
    """Whether `filter_` holds for an event that has none of its labels, be it of a flow or of a task.

    That is Alertmanager's "at least one matcher must not accept the empty value", for expressions. What only says what
    events must not have is found out too, and so is what the numbers that every event has always fulfil. What a Python
    predicate would say is not known: it may be either.

    >>> from tocsin_hooks.filters import when
    >>> [holds_for_anything(when(text)) for text in ("", "flow!=etl", "not flow=etl", "attempt>=1", "not is_failed")]
    [True, True, True, True, True]
    >>> [holds_for_anything(when(text)) for text in ("flow=etl, task!=load", 'flow=~".+"', "is_flow", "attempt=1")]
    [False, False, False, False]
    """
    return any(
        all(
            _holds(filter_, blank, kind, opaque)
            for blank, kind, opaque in product(blanks, (_blank(task=""), _blank(task="?")), (True, False))
        )
        for blanks in ([_blank(number=None)], [_blank(number=1), _blank(number=1000)])
    )


def _holds(filter_: Filter, blank: Event, kind: Event, opaque: bool) -> bool:
    """The verdict on `blank`; on `kind`, where it is asked whether the event is of a flow or of a task."""
    match filter_:
        case And(terms):
            return all(_holds(term, blank, kind, opaque) for term in terms)
        case Or(terms):
            return any(_holds(term, blank, kind, opaque) for term in terms)
        case Not(term):
            return not _holds(term, blank, kind, opaque)
        case Ref(_, target) if target is not None:
            return _holds(target, blank, kind, opaque)
        case Opaque():
            return opaque
    return filter_.matches(kind if filter_.labels() & _KIND else blank)


@cache
def _blank(task: str = "", number: int | None = 1) -> Event:
    import pendulum

    numbers: dict[str, Any] = dict.fromkeys(("attempt", "max_attempts", "loop_count"), number)  # None: no such label
    return Event(
        id="", time=pendulum.datetime(1970, 1, 1), flow="", run_id="", state="", state_family=(), source="", task=task,
        **numbers,
    )  # fmt: skip
