"""What is kept of a task's result, and when what was kept makes running it needless: caches, targets, checkpoints."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tocsin.results.hashing import hash_inputs
from tocsin_hooks.results import NoResult, Result
from tocsin_hooks.states import Cached, Skipped, State, Success

if TYPE_CHECKING:
    from tocsin.flows.task import Task

Inputs = Mapping[str, Result]


def raw(inputs: Inputs) -> dict[str, Any]:
    """The values of a task's inputs.

    >>> raw({"x": Result(5)})
    {'x': 5}
    """
    return {key: result.value for key, result in inputs.items()}


def words(context: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """What templates of locations and names may mention: parameters, what the context holds, and inputs, which win.

    >>> found = words({"parameters": {"day": 1, "x": 1}, "task_name": "load"}, {"x": Result(2)})
    >>> found["day"], found["task_name"], found["x"]
    (1, 'load', 2)
    """
    return {**(context.get("parameters") or {}), **context, **raw(inputs)}


def filled(template: Any, values: Mapping[str, Any]) -> str:
    """A template with its places filled; a function is called with the values by name.

    >>> filled("{task_name}.txt", {"task_name": "load"}), filled(lambda task_name: task_name, {"task_name": "load"})
    ('load.txt', 'load')
    """
    if isinstance(template, str):
        return template.format(**values)
    return str(call_with(template, values))


def call_with(fn: Any, values: Mapping[str, Any]) -> Any:
    """Call `fn` with the values whose names it takes; with all of them if it takes any name."""
    import inspect

    parameters = inspect.signature(fn).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return fn(**values)
    return fn(**{each.name: values[each.name] for each in parameters if each.name in values})


# ---------------------------------------------------------------- writing


def result_of(task: Task, flow_result: Result | None) -> Result | None:
    """How a task's result is kept: as the task says, else as the flow does; None when neither does."""
    found: Result | None = flow_result if task.result is None else task.result
    return found if found is None or task.target is None else aimed(found, task.target)


def aimed(result: Result, target: Any) -> Result:
    """A result like this one whose location is the target.

    >>> aimed(Result(location="a.txt"), "{task_name}.txt").format(task_name="load").location
    'load.txt'
    """
    new = result.copy()
    new.location = target if isinstance(target, str) else None
    new._formatter = None if isinstance(target, str) else (lambda **values: filled(target, values))
    return new


def written(result: Result, value: Any, values: Mapping[str, Any]) -> Result:
    """The value as a result that is stored; one that is not, if this sort of result stores nothing."""
    try:
        return result.write(value, **values)
    except NotImplementedError:
        return result.from_value(value)


def is_to_be_written(task: Task, value: Any, context: Mapping[str, Any]) -> bool:
    """Whether a task's result is stored: where checkpointing is on, the task does not opt out, and there is one."""
    return bool(context.get("checkpointing")) and task.checkpoint is not False and value is not None


# ---------------------------------------------------------------- using what is there


def at_target(task: Task, result: Result, inputs: Inputs, context: Mapping[str, Any]) -> Cached | None:
    """`Cached` with what is stored at the task's target; None when nothing is."""
    target = filled(task.target, words(context, inputs))
    try:
        if not result.exists(target):
            return None
    except NotImplementedError:  # this sort of result stores nothing
        return None
    return Cached(
        f"found at the target '{target}'",
        result.read(target),
        hashed_inputs=hash_inputs(inputs),
        cached_parameters=context.get("parameters"),
    )


def usable(
    task: Task, state: State, result: Result | None, inputs: Inputs, context: Mapping[str, Any]
) -> Cached | None:
    """The state that spares the task its run, by its cache validator: the one it starts from, or one in the caches."""
    found: list[State] = [state] if isinstance(state, Cached) else []
    if task.cache_for is not None:
        found += (context.get("caches") or {}).get(task.cache_key or task.name, [])
    if len(found) > 1 and context.get("map_index") is not None:  # the other children left theirs there, too
        hashes = hash_inputs(inputs)
        found.sort(key=lambda each: getattr(each, "hashed_inputs", None) != hashes)
    values, parameters = raw(inputs), context.get("parameters")
    for each in found:
        assert isinstance(each, Cached)
        if task.cache_validator(each, values, parameters):
            each.load_result(result)
            return each
    return None


def is_to_be_cached(task: Task, state: State) -> bool:
    """Whether a success is kept for later runs.

    >>> from tocsin.flows.task import Task
    >>> is_to_be_cached(Task(), Success())
    False
    """
    return isinstance(state, Success) and not isinstance(state, Skipped) and task.cache_for is not None


def cached(state: State, inputs: Inputs, expiration: dt.datetime, context: Mapping[str, Any]) -> Cached:
    """A success as it is kept for later runs.

    >>> cached(Success(result=5), {}, dt.datetime(2024, 1, 1), {}).result
    5
    """
    return Cached(
        state.message,
        state._result,
        cached_parameters=context.get("parameters"),
        cached_result_expiration=expiration,
        hashed_inputs=hash_inputs(inputs),
    )


def is_kept_elsewhere(state: State) -> bool:
    """Whether a state's value has to be read back from where it is stored.

    >>> is_kept_elsewhere(Success(result=5)), is_kept_elsewhere(Success(result=Result(location="x.txt")))
    (False, True)
    """
    result = state._result
    return result is not NoResult and result.value is None and result.location is not None
