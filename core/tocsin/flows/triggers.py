"""Whether a task runs, given how the tasks before it ended.

A trigger takes `{edge: state of its upstream task}` and returns whether to run. It may also raise a signal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from tocsin.flows.edge import Edge
from tocsin.flows.signals import PAUSE, SKIP, TRIGGERFAIL
from tocsin_hooks.states import Failed, Mapped, Skipped, State, Success, run_context

Upstream = Mapping[Edge, State]
Trigger = Callable[[Upstream], bool]


def _states(upstream: Upstream) -> Iterator[State]:
    """The upstream states, those of mapped tasks replaced by their children's."""
    for state in upstream.values():
        if isinstance(state, Mapped):
            yield from state.map_states
        else:
            yield state


def _count(upstream: Upstream, kind: type[State]) -> tuple[int, int]:
    states = list(_states(upstream))
    return sum(isinstance(state, kind) for state in states), len(states)


def _names(edges: Iterable[Edge]) -> str:
    return ", ".join(f"'{name}'" for name in sorted({edge.upstream_task.name for edge in edges}))


def all_successful(upstream: Upstream) -> bool:
    """Run if every upstream task succeeded; skipping counts as success. The default."""
    for state in upstream.values():
        if isinstance(state, Mapped) or not isinstance(state, Success):
            break
    else:
        return True  # the common case, without a generator
    if all(isinstance(state, Success) for state in _states(upstream)):
        return True
    bad = [edge for edge, state in upstream.items() if not succeeded(state)]
    raise TRIGGERFAIL(f"upstream did not succeed: {_names(bad)}")


def succeeded(state: State) -> bool:
    """Whether a state is a success, and its children, if it is mapped, are too.

    >>> succeeded(Mapped(map_states=[Success(), Failed()]))
    False
    """
    if isinstance(state, Mapped):
        return all(isinstance(child, Success) for child in state.map_states)
    return isinstance(state, Success)


def all_failed(upstream: Upstream) -> bool:
    """Run if every upstream task failed."""
    failed, total = _count(upstream, Failed)
    if failed < total:
        raise TRIGGERFAIL(f"{total - failed} of {total} upstream tasks did not fail")
    return True


def all_finished(upstream: Upstream) -> bool:
    """Run once every upstream task has ended, however it did."""
    unfinished = [edge for edge, state in upstream.items() if not state.is_finished()]
    if unfinished:
        raise TRIGGERFAIL(f"upstream has not finished: {_names(unfinished)}")
    return True


always_run = all_finished


def any_successful(upstream: Upstream) -> bool:
    """Run if an upstream task succeeded, or there is none."""
    successes, total = _count(upstream, Success)
    if total and not successes:
        raise TRIGGERFAIL(f"none of {total} upstream tasks succeeded")
    return True


def any_failed(upstream: Upstream) -> bool:
    """Run if an upstream task failed, or there is none."""
    failed, total = _count(upstream, Failed)
    if total and not failed:
        raise TRIGGERFAIL(f"none of {total} upstream tasks failed")
    return True


def not_all_skipped(upstream: Upstream) -> bool:
    """Run if every upstream task succeeded and one of them was not skipped; skip if all of them were."""
    successes, total = _count(upstream, Success)
    skipped, _ = _count(upstream, Skipped)
    if skipped == total:
        raise SKIP("all upstream tasks were skipped")
    if successes < total:
        raise TRIGGERFAIL(f"{total - successes} of {total} upstream tasks did not succeed")
    return True


def manual_only(upstream: Upstream) -> bool:  # noqa: ARG001
    """Run once somebody says so: pause, unless the context says `resume`."""
    if run_context.get().get("resume"):
        return True
    raise PAUSE("waits for somebody: the trigger is manual_only")


class _Some:
    """A trigger that wants between `at_least` and `at_most` upstream tasks in one kind of state; it can be pickled."""

    def __init__(self, kind: type[State], at_least: float | None, at_most: float | None) -> None:
        self.kind = kind
        self.at_least = at_least
        self.at_most = at_most
        self.__name__ = f"some_{'failed' if kind is Failed else 'successful'}"

    def __call__(self, upstream: Upstream) -> bool:
        if not upstream:
            return True
        found, total = _count(upstream, self.kind)
        least, most = bound(self.at_least, total, otherwise=0), bound(self.at_most, total, otherwise=total)
        if not least <= found <= most:
            verb = "failed" if self.kind is Failed else "succeeded"
            raise TRIGGERFAIL(f"{found} of {total} upstream tasks {verb}; wanted {least:g} to {most:g}")
        return True


def bound(limit: float | None, total: int, *, otherwise: float) -> float:
    """A limit as a number of tasks: one below 1 is a share of `total`.

    >>> bound(0.5, 8, otherwise=0), bound(3, 8, otherwise=0), bound(None, 8, otherwise=8)
    (4.0, 3, 8)
    """
    if limit is None:
        return otherwise
    return limit * total if 0 < limit < 1 else limit


def some_failed(at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """Run if between `at_least` and `at_most` upstream tasks failed; a bound below 1 is a share of them."""
    return _Some(Failed, at_least, at_most)


def some_successful(at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """Run if between `at_least` and `at_most` upstream tasks succeeded; a bound below 1 is a share of them."""
    return _Some(Success, at_least, at_most)
