"""Whether the cached result of a task may be used instead of running it.

A validator is given the `Cached` state and the inputs and parameters of this run, and says True or False. All but
`never_use` say False once the cache has expired.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, overload

from tocsin.clock import Clock, SystemClock
from tocsin.results.hashing import hash_value
from tocsin_hooks.results import Result
from tocsin_hooks.states import State, run_context

Values = Mapping[str, Any] | None
Validator = Callable[[State, Values, Values], bool]

_ABSENT = object()


def never_use(state: State, inputs: Values, parameters: Values) -> bool:  # noqa: ARG001
    """Never."""
    return False


def duration_only(state: State, inputs: Values, parameters: Values) -> bool:  # noqa: ARG001
    """Until the cache expires; for ever when it has no expiration."""
    expiration = getattr(state, "cached_result_expiration", None)
    return expiration is None or bool(expiration > _clock().now())


def all_inputs(state: State, inputs: Values, parameters: Values) -> bool:
    """While all inputs are what they were."""
    return duration_only(state, inputs, parameters) and _same_inputs(state, inputs, None)


def all_parameters(state: State, inputs: Values, parameters: Values) -> bool:
    """While all parameters of the flow are what they were."""
    return duration_only(state, inputs, parameters) and _parameters_of(state) == dict(parameters or {})


@overload
def partial_inputs_only(*, validate_on: Iterable[str] | None = None) -> Validator: ...
@overload
def partial_inputs_only(
    state: State, inputs: Values, parameters: Values, validate_on: Iterable[str] | None = None
) -> bool: ...
def partial_inputs_only(
    state: State | None = None,
    inputs: Values = None,
    parameters: Values = None,
    validate_on: Iterable[str] | None = None,
) -> bool | Validator:
    """While the inputs named in `validate_on` are what they were. Without a state it returns the validator.

    >>> from tocsin_hooks.states import Cached
    >>> from tocsin.results.hashing import hash_inputs
    >>> by_day = partial_inputs_only(validate_on=["day"])
    >>> by_day(Cached(hashed_inputs=hash_inputs({"day": 1, "limit": 5})), {"day": 1, "limit": 9}, None)
    True
    """
    if state is None:
        validator: Validator = partial(_on_inputs, _names(validate_on))
        return validator
    return _on_inputs(_names(validate_on), state, inputs, parameters)


@overload
def partial_parameters_only(*, validate_on: Iterable[str] | None = None) -> Validator: ...
@overload
def partial_parameters_only(
    state: State, inputs: Values, parameters: Values, validate_on: Iterable[str] | None = None
) -> bool: ...
def partial_parameters_only(
    state: State | None = None,
    inputs: Values = None,
    parameters: Values = None,
    validate_on: Iterable[str] | None = None,
) -> bool | Validator:
    """While the parameters named in `validate_on` are what they were. Without a state it returns the validator."""
    if state is None:
        validator: Validator = partial(_on_parameters, _names(validate_on))
        return validator
    return _on_parameters(_names(validate_on), state, inputs, parameters)


def _on_inputs(names: tuple[str, ...], state: State, inputs: Values, parameters: Values) -> bool:
    return duration_only(state, inputs, parameters) and _same_inputs(state, inputs, names)


def _on_parameters(names: tuple[str, ...], state: State, inputs: Values, parameters: Values) -> bool:
    known, given = _parameters_of(state), parameters or {}
    return duration_only(state, inputs, parameters) and all(
        known.get(name, _ABSENT) == given.get(name, _ABSENT) for name in names
    )


def _clock() -> Clock:
    """The clock of the run under way, else the system's."""
    clock: Clock | None = getattr(run_context.get().get("attempt"), "clock", None)
    return clock or SystemClock()


def _names(validate_on: Iterable[str] | None) -> tuple[str, ...]:
    if isinstance(validate_on, str):
        raise TypeError(f"validate_on is '{validate_on}'; give a list: ['{validate_on}']")
    return tuple(validate_on or ())


def _parameters_of(state: State) -> dict[str, Any]:
    return dict(getattr(state, "cached_parameters", None) or {})


def _same_inputs(state: State, inputs: Values, names: tuple[str, ...] | None) -> bool:
    """Whether the inputs of these names, or of all, are those of the cached state."""
    given = dict(inputs or {})
    hashes = getattr(state, "hashed_inputs", None)
    known: Mapping[str, Any] = (state.cached_inputs or {}) if hashes is None else hashes
    if names is None:
        if known.keys() != given.keys():
            return False
        names = tuple(given)
    same = _same_value if hashes is None else _is_hash_of
    return all(
        same(known[name], given[name]) if name in known and name in given else (name in known) == (name in given)
        for name in names
    )


def _same_value(known: Any, given: Any) -> bool:
    one, other = (each.value if isinstance(each, Result) else each for each in (known, given))
    return one is other or bool(one == other)


def _is_hash_of(known: str, given: Any) -> bool:
    """Whether `known` is the hash of `given`, ours or the one that Prefect 1 takes: Dask's, where that is loaded."""
    if known == hash_value(given):
        return True
    dask = sys.modules.get("dask.base")
    return dask is not None and known == dask.tokenize(given.value if isinstance(given, Result) else given)
