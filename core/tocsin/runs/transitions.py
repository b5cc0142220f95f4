"""Which state comes next: pure functions from what happened to the state entered.

Nothing here reads the time, calls a handler or knows a flow.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tocsin.flows.triggers import Upstream
from tocsin.runs.executors import AttemptLost
from tocsin_hooks.results import NoResult, Result
from tocsin_hooks.states import (
    Crashed,
    Failed,
    Looped,
    Mapped,
    Pending,
    Queued,
    Retrying,
    State,
    Submitted,
    Success,
)

RetryKinds = tuple[type[BaseException], ...] | None

_LOOP_KEYS = ("_loop_count", "_loop_result")


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


def all_succeeded_plainly(upstream: Upstream) -> bool:
    """Whether nothing needs a closer look: all before the task are plain successes.

    >>> all_succeeded_plainly({})
    True
    """
    for state in upstream.values():  # noqa: SIM110  (three times as fast as `all`, and run for every task)
        if type(state) is not Success:
            return False
    return True


def any_key(upstream: Upstream) -> bool:
    """Whether the result of a task before it is an argument.

    >>> any_key({})
    False
    """
    for edge in upstream:  # noqa: SIM110  (as above)
        if edge.key is not None:
            return True
    return False


def each_state(upstream: Upstream) -> Iterator[State]:
    """The upstream states, those of mapped tasks replaced by their children's; where a child sees one of them, not."""
    for edge, state in upstream.items():
        if isinstance(state, Mapped) and state.map_states and not edge.mapped:
            yield from state.map_states
        else:
            yield state


def inputs(
    upstream: Upstream, constants: Mapping[str, Any], kept: Mapping[str, Result] | None = None
) -> dict[str, Result]:
    """The arguments of a task, wrapped: its constants, and the results of the upstream tasks whose edges name one.

    What is `kept` from an earlier attempt fills gaps.

    >>> from tocsin.flows.edge import Edge
    >>> from tocsin.flows.task import Task
    >>> found = inputs({Edge(Task("a"), Task("b"), "rows"): Success(result=[1])}, {"limit": 5})
    >>> {key: result.value for key, result in found.items()}
    {'limit': 5, 'rows': [1]}
    """
    found = {key: Result(value) for key, value in constants.items()}
    for edge, state in upstream.items():
        if edge.key is not None:
            found[edge.key] = state._result
    for key, result in (kept or {}).items():
        if key not in _LOOP_KEYS and found.get(key, NoResult) is NoResult:
            found[key] = result
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


def retrying(
    state: State, attempt: int, limit: int, start_time: dt.datetime, kept: dict[str, Any] | None = None
) -> Retrying:
    """The state in which a failed run waits for its next attempt; it carries what the failed one did.

    >>> retrying(Failed("no rows"), 1, 3, dt.datetime(2024, 1, 1)).message
    'attempt 1 of 4 failed: no rows'
    """
    message = f"attempt {attempt} of {limit + 1} failed"
    if state.message:
        message += f": {state.message}"
    return Retrying(message, state.result, start_time, cached_inputs=kept, run_count=attempt)


def lost(error: Exception, attempt: int, now: dt.datetime, kept: dict[str, Any] | None = None) -> State:
    """The state of an attempt that an executor has lost: a `Retrying` that is due if it makes another one.

    >>> lost(AttemptLost("its worker died", again=True), 1, dt.datetime(2024, 1, 1))
    <Retrying: "attempt 1 was lost, its worker died; trying again">
    >>> lost(AttemptLost("its worker died"), 2, dt.datetime(2024, 1, 1))
    <Crashed: "attempt 2 was lost: its worker died">
    """
    if not isinstance(error, AttemptLost):
        return failed(error)
    if not error.again:
        return Crashed(f"attempt {attempt} was lost: {error}", error)
    text = f"attempt {attempt} was lost, {error}; trying again"
    return Retrying(text, error, start_time=now, cached_inputs=kept, run_count=attempt)


def next_round(state: Looped) -> tuple[Pending, dict[str, Any]]:
    """The state in which the next round of a loop starts, and what its context says of the one before.

    >>> next_round(Looped(result=5, loop_count=2))
    (<Pending: "round 3 of the loop">, {'task_loop_count': 3, 'task_loop_result': 5})
    """
    count = state.loop_count + 1
    return Pending(f"round {count} of the loop"), {"task_loop_count": count, "task_loop_result": state.result}


def loop_kept(context: Mapping[str, Any], result: Result | None = None) -> dict[str, Result]:
    """What a run that waits keeps of the loop it is in, to go on with the same round; nothing outside a loop.

    `result` is what the round before returned, if that is stored.

    >>> kept = loop_kept({"task_loop_count": 3, "task_loop_result": "c"})
    >>> loop_resumed(Retrying(cached_inputs=kept))
    {'task_loop_count': 3, 'task_loop_result': 'c'}
    """
    count = context.get("task_loop_count")
    if count is None:
        return {}
    return {
        "_loop_count": Result(count, location=json.dumps(count)),
        "_loop_result": result or Result(context.get("task_loop_result")),
    }


def loop_resumed(state: State, reader: Result | None = None) -> dict[str, Any]:
    """What the context says of a loop that goes on from this state; the inverse of `loop_kept`.

    `reader` reads back what is stored.
    """
    kept = state.cached_inputs or {}
    if "_loop_count" not in kept:
        return {}
    count, result = kept["_loop_count"], kept.get("_loop_result", NoResult)
    if result.value is None and result.location is not None and reader is not None:
        result = reader.read(result.location)
    return {
        "task_loop_count": json.loads(count.location or "1") if count.value is None else count.value,
        "task_loop_result": result.value,
    }


def unfinished(states: Iterable[State]) -> bool:
    """Whether any of the states is not an end."""
    return any(not state.is_finished() for state in states)


def has_ended(state: State | None) -> bool:
    """Whether a task with this state, and each of its children, has ended.

    >>> has_ended(Success()), has_ended(Mapped(map_states=[Success(), Pending()])), has_ended(None)
    (True, False, False)
    """
    if isinstance(state, Mapped):
        return all(child.is_finished() for child in state.map_states)
    return state is not None and state.is_finished()


def flow_end(reference: Collection[State], failed_names: Iterable[str] = ()) -> State:
    """The state a flow ends in, from those of its reference tasks; `failed_names` are of tasks among them that failed.

    >>> flow_end([Success(), Failed()], ["load"])
    <Failed: "some reference tasks failed: 'load'">
    """
    if any(isinstance(state, Failed) for state in reference):
        bad = list(dict.fromkeys(failed_names))
        names = ", ".join(f"'{name}'" for name in bad[:3])
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        return Failed(f"some reference tasks failed{': ' if bad else ''}{names}{more}")
    if all(isinstance(state, Success) for state in reference):
        return Success("all reference tasks succeeded")
    return Success("no reference tasks failed")
