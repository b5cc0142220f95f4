"""States as JSON data: everything but the value, of which only the place is told where it is stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from tocsin_hooks.results import NoResult, Result
from tocsin_hooks.states import Mapped, State

_TIMES = ("start_time", "cached_result_expiration")
_FIELDS = (*_TIMES, "run_count", "loop_count", "n_map_states", "hashed_inputs", "cached_parameters")


def as_json(state: State) -> dict[str, Any]:
    """A state as data that `json.dumps` takes, if its context and parameters are such data.

    >>> from tocsin_hooks.states import Success
    >>> as_json(Success("done", Result(5, location="x.txt")))["_result"]
    {'type': 'Result', 'location': 'x.txt'}
    """
    data: dict[str, Any] = {
        "type": type(state).__name__,
        "message": None if state.message is None else str(state.message),
        "context": state.context,
        "cached_inputs": {key: _result_as_json(result) for key, result in state.cached_inputs.items()},
        "_result": _result_as_json(state._result),
    }
    for name in _FIELDS:
        if hasattr(state, name):
            value = getattr(state, name)
            data[name] = value.isoformat() if isinstance(value, dt.datetime) else value
    inner = getattr(state, "state", None)
    return data if inner is None else {**data, "state": as_json(inner)}


def _result_as_json(result: Any) -> dict[str, Any]:
    wrapped = result if isinstance(result, Result) else Result(result)
    return {"type": type(wrapped).__name__, "location": wrapped.location}


def from_json(data: Mapping[str, Any]) -> State:
    """The state that `as_json` told of.

    >>> from tocsin_hooks.states import Retrying
    >>> retrying = Retrying("later", run_count=2)
    >>> from_json(as_json(retrying)) == retrying
    True
    """
    kinds = {kind.__name__: kind for kind in State.children(include_self=True) if not isinstance(kind, str)}
    name = data.get("type")
    if name not in kinds:
        raise ValueError(f"no state is called '{name}'; known: {', '.join(sorted(kinds))}")
    fields = {key: data[key] for key in _FIELDS if key in data}
    for key in _TIMES:
        if isinstance(fields.get(key), str):
            fields[key] = dt.datetime.fromisoformat(fields[key])
    if "state" in data:
        fields["state"] = from_json(data["state"])
    children = fields.get("n_map_states")
    state = kinds[name](
        data.get("message"),
        _result_from_json(data.get("_result")),
        context=data.get("context"),
        cached_inputs={key: _result_from_json(each) for key, each in (data.get("cached_inputs") or {}).items()},
        **fields,
    )
    if isinstance(state, Mapped) and children:
        state.map_states = [State() for _ in range(children)]
    return state


def _result_from_json(data: Mapping[str, Any] | None) -> Result:
    if data is None or data.get("type") == type(NoResult).__name__:
        return NoResult
    return Result(location=data.get("location"))
