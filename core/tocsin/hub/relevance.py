"""Which changes of state a set of filters could match, before there is an event."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from tocsin.hub.incidents import may_end
from tocsin_hooks.events import Event
from tocsin_hooks.filters import FLAG_LABELS, And, Filter, Not, Or, Ref

_DECIDED_BY_KIND = FLAG_LABELS - {"will_retry", "has_cause"} | {"state"}
_NAMES = frozenset({"flow", "task"})
_FLOWS, _TASKS = 256, 4096  # of which it is remembered whether they will do


def may_match(
    filter_: Filter, state_family: tuple[str, ...], subject: str, flow: str | None = None, task: str | None = None
) -> bool:
    """Whether `filter_` can match a change of a flow or task into such a state, whatever else the event holds.

    The names count where they are given; without them any will do.

    >>> from tocsin_hooks.filters import when
    >>> may_match(when("is_failed and tags=prod"), ("TimedOut", "Failed", "Finished"), "task")
    True
    >>> may_match(when("is_failed and tags=prod"), ("Running",), "task")
    False
    >>> may_match(when("flow=etl"), ("Running",), "task"), may_match(when("flow=etl"), ("Running",), "task", "sales")
    (True, False)
    """
    known = {label for label, name in (("flow", flow), ("task", task)) if name is not None}
    can_hold, _ = _possible(filter_, _probe(state_family, subject, flow, task), _DECIDED_BY_KIND | known)
    return can_hold


def _possible(filter_: Filter, probe: Event, known: frozenset[str]) -> tuple[bool, bool]:
    """Whether the filter can hold, and whether it can fail to hold, for events like the probe."""
    match filter_:
        case And(terms):
            parts = [_possible(term, probe, known) for term in terms]
            return all(holds for holds, _ in parts), any(fails for _, fails in parts)
        case Or(terms):
            parts = [_possible(term, probe, known) for term in terms]
            return any(holds for holds, _ in parts), all(fails for _, fails in parts)
        case Not(term):
            holds, fails = _possible(term, probe, known)
            return fails, holds
        case Ref(_, target) if target is not None:
            return _possible(target, probe, known)
    labels = filter_.labels()
    if labels and labels <= known:
        holds = filter_.matches(probe)
        return holds, not holds
    return True, True


def _probe(state_family: tuple[str, ...], subject: str, flow: str | None, task: str | None) -> Event:
    state = state_family[0] if state_family else ""
    is_task = subject == "task"
    return Event(
        id="", time=_some_time(), flow="flow" if flow is None else flow, run_id="", state=state,
        state_family=state_family, task=("task" if task is None else task) if is_task else "",
    )  # fmt: skip


@cache
def _some_time() -> Any:
    import pendulum

    return pendulum.datetime(1970, 1, 1)


class Interest:
    """Which changes, of a flow or of tasks, into one kind of state some of `filters` could match.

    Asked for every change of every task: what holds for any of them is found out once, what holds for a flow once a
    flow.
    """

    def __init__(self, filters: Iterable[Filter | None], state_family: tuple[str, ...], subject: str) -> None:
        self._change = state_family, subject
        possible = [f for f in filters if f is None or may_match(f, state_family, subject)]
        self.ends = may_end(state_family)
        """Whether such a change may end an incident."""
        self.never = not possible
        """Whether no change will do."""
        self._always = any(f is None or not f.labels() & _NAMES for f in possible)
        self._of_any_flow: list[Filter] = []
        self._by_flow: dict[str, list[Filter]] = {}
        for filter_ in possible:
            if filter_ is not None and not self._always:
                for names in filter_.required().get("flow", (None,)):
                    (self._of_any_flow if names is None else self._by_flow.setdefault(names, [])).append(filter_)
        self._of_flow = lru_cache(maxsize=_FLOWS)(self._find_of_flow)
        self._of_task = lru_cache(maxsize=_TASKS)(self._find_of_task)

    def covers(self, flow: str, task: str) -> bool:
        """Whether a change of that flow, or of that task in it, will do."""
        if self.never or self._always:
            return self._always
        certain, possible = self._of_flow(flow)
        return certain or (bool(possible) and self._of_task(flow, task))

    def _find_of_flow(self, flow: str) -> tuple[bool, list[Filter]]:
        """Whether all changes of a flow will do, and the filters for which some might."""
        near = [*self._of_any_flow, *self._by_flow.get(flow, ())]
        possible = [f for f in near if may_match(f, *self._change, flow)]
        return any("task" not in f.labels() for f in possible), possible

    def _find_of_task(self, flow: str, task: str) -> bool:
        _, possible = self._of_flow(flow)
        return any(
            may_match(f, *self._change, flow, task) for f in possible if task in f.required().get("task", (task,))
        )
