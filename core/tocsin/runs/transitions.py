"""Which state comes next: pure functions from what happened to the state entered.

Nothing here reads the time, calls a handler or knows a flow.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tocsin.flows.signals import ENDRUN, TRIGGERFAIL, StateSignal
from tocsin.flows.triggers import Trigger, Upstream, all_successful
from tocsin_hooks.states import (
    Failed,
    Mapped,
    Pending,
    Queued,
    Retrying,
    Skipped,
    State,
    Submitted,
    Success,
    TriggerFailed,
)

if TYPE_CHECKING:
    from tocsin.flows.task import Task

RetryKinds = tuple[type[BaseException], ...] | None


def initial(state: State | None) -> State:
    """The state from which a run starts: `Pending` when there is none, what is inside when it is wrapped.

    >>> initial(Submitted(state=Pending("again")))
    <Pending: "again">
    """
    if state is None:
        return Pending()
    if isinstance(state, Submitted | Queued):
        return state.state or Pending()
    return state


def attempt_number(state: State) -> int:
    """Which attempt starts from this state: 1 for the first.

    >>> attempt_number(Pending()), attempt_number(Retrying(run_count=2))
    (1, 3)
    """
    if isinstance(state, Retrying):
        return state.run_count + 1
    counted = state.context.get("task_run_count")
    return counted if isinstance(counted, int) else 1


def is_due(start_time: dt.datetime | None, now: dt.datetime) -> bool:
    """Whether something that starts at `start_time` may start; never when it waits for somebody (None)."""
    return start_time is not None and start_time <= now


def plainly_ready(task: Task, upstream: Upstream) -> bool:
    """Whether nothing needs a closer look: plain successes before a task with the default trigger.

    >>> from tocsin.flows.task import Task
    >>> plainly_ready(Task(), {})
    True
    """
    if task.trigger is not all_successful:
        return False
    for state in upstream.values():  # noqa: SIM110  (three times as fast as `all`, and run for every task)
        if type(state) is not Success:
            return False
    return True


def refuse(task: Task, upstream: Upstream) -> State | None:
    """The state of a task that does not run because of what came before it; None when it runs.

    `Skipped` with a skipped upstream task, unless the task has `skip_on_upstream_skip=False`; else what its trigger
    says: `TriggerFailed`, or the state of the signal that the trigger raised.
    """
    if task.skip_on_upstream_skip and any(isinstance(state, Skipped) for state in upstream.values()):
        return Skipped("an upstream task was skipped; skip_on_upstream_skip=False runs this one all the same")
    return _ask(task.trigger, upstream)


def _ask(trigger: Trigger, upstream: Upstream) -> State | None:
    try:
        if not trigger(upstream):
            raise TRIGGERFAIL(f"trigger '{getattr(trigger, '__name__', trigger)}' was not satisfied")
    except (StateSignal, ENDRUN) as signal:
        return signal.state
    except Exception as error:
        return TriggerFailed(f"Unexpected error in the trigger: {error!r}", result=error)
    return None


def inputs(upstream: Upstream, constants: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a task: its constants, and the results of the upstream tasks whose edges name one.

    >>> from tocsin.flows.edge import Edge
    >>> from tocsin.flows.task import Task
    >>> edge = Edge(Task("a"), Task("b"), "rows")
    >>> inputs({edge: Success(result=[1])}, {"limit": 5})
    {'limit': 5, 'rows': [1]}
    """
    found = dict(constants)
    for edge, state in upstream.items():
        if edge.key is not None:
            found[edge.key] = state.result
    return found


def failed(error: BaseException) -> Failed:
    """The state of a run whose code raised.

    >>> failed(ValueError("no rows"))
    <Failed: "Unexpected error: ValueError('no rows')">
    """
    return Failed(f"Unexpected error: {error!r}", result=error)


def will_retry(state: State, attempt: int, limit: int, kinds: RetryKinds) -> bool:
    """Whether attempt number `attempt`, which ended in `state`, is followed by another.

    >>> will_retry(Failed(), 1, 1, None), will_retry(Failed(), 2, 1, None)
    (True, False)
    >>> will_retry(Failed(result=ValueError()), 1, 3, (OSError,))
    False
    """
    if attempt > limit or not isinstance(state, Failed):
        return False
    return kinds is None or isinstance(state.result, kinds)


def retrying(state: State, attempt: int, limit: int, start_time: dt.datetime) -> Retrying:
    """The state in which a failed run waits for its next attempt; it carries what the failed one did.

    >>> retrying(Failed("no rows"), 1, 3, dt.datetime(2024, 1, 1)).message
    'attempt 1 of 4 failed: no rows'
    """
    message = f"attempt {attempt} of {limit + 1} failed"
    if state.message:
        message += f": {state.message}"
    return Retrying(message, result=state.result, start_time=start_time, run_count=attempt)


def unfinished(states: Iterable[State]) -> bool:
    """Whether any of the states is not an end."""
    return any(not state.is_finished() for state in states)


def flow_end(reference: Iterable[tuple[str, State]]) -> State:
    """The state a flow ends in, from the names and states of its reference tasks, all of which have ended.

    >>> flow_end([("extract", Success()), ("load", Failed())])
    <Failed: "some reference tasks failed: 'load'">
    """
    bad: dict[str, None] = {}
    all_succeeded = True
    for name, state in reference:
        for each in state.map_states if isinstance(state, Mapped) else (state,):
            if isinstance(each, Failed):
                bad[name] = None
            all_succeeded = all_succeeded and isinstance(each, Success)
    if bad:
        names = ", ".join(f"'{name}'" for name in list(bad)[:3])
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        return Failed(f"some reference tasks failed: {names}{more}")
    return Success("all reference tasks succeeded" if all_succeeded else "no reference tasks failed")
