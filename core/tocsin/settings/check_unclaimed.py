"""Which failures no route of a config takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tocsin_hooks import states
from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter
from tocsin_hooks.filters.tree import Opaque, Ref
from tocsin_hooks.states import State


def unclaimed(opens: Filter, routes: Sequence[Filter | None]) -> list[str]:
    """The states of failure that open an incident and that none of the routes at the top takes.

    A route takes a state if it takes a task or a flow that enters it and of which nothing else is known. What a filter
    written in Python takes cannot be told, so it takes everything here.

    >>> from tocsin_hooks.filters import parse
    >>> unclaimed(parse("state=Failed or state=TimedOut"), [parse("state=Failed")])
    ['TimedOut']
    >>> unclaimed(parse("is_failed"), [parse("is_failed or is_retrying")])
    []
    """
    if any(route is None or _is_opaque(route) for route in [opens, *routes]):
        return []
    taking = [route for route in routes if route is not None]
    return [
        state
        for state, samples in _failures()
        if any(map(opens.matches, samples)) and not any(route.matches(sample) for route in taking for sample in samples)
    ]


def _is_opaque(tree: Filter) -> bool:
    return any(
        isinstance(node, Opaque) or (isinstance(node, Ref) and node.target is not None and _is_opaque(node.target))
        for node in tree.walk()
    )


def _failures() -> Iterable[tuple[str, tuple[Event, ...]]]:
    """Each state of failure, with a task and a flow that enters it."""
    import pendulum

    now = pendulum.datetime(2026, 1, 1)
    for name, kind in sorted(vars(states).items()):
        if not isinstance(kind, type) or not issubclass(kind, states.Failed) or name in _TOLD_WITH_OTHERS:
            continue
        family = tuple(above.__name__ for above in kind.__mro__ if issubclass(above, State) and above is not State)
        yield (
            name,
            tuple(
                Event(id="", time=now, flow="", run_id="", state=name, state_family=family, task=task)
                for task in ("task", "")
            ),
        )


_TOLD_WITH_OTHERS = ("TriggerFailed",)
"""What follows from another failure is told with that."""
