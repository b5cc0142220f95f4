"""Whether two values are the same, told by a short text each: what caches keep of a task's inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tocsin.clock import SystemClock
from tocsin_hooks.results import Result


def hash_inputs(inputs: Mapping[str, Any] | None) -> dict[str, str]:
    """The hashes of a task's inputs by name, as `Cached.hashed_inputs` holds them; a `Result` counts as its value.

    This is the one function by which the runner hashes when it caches, and the cache validators when they compare.

    >>> hash_inputs({"x": {1, 2}}) == hash_inputs({"x": Result({2, 1})}), hash_inputs({"x": 1}) == hash_inputs({"x": 2})
    (True, False)
    """
    return {name: hash_value(value) for name, value in (inputs or {}).items()}


def hash_value(value: Any) -> str:
    """The hash of a value: equal for equal plain data, in this process and any other.

    Plain data is hashed by what it holds, in whatever order dicts and sets keep it; other objects by their pickle. An
    object that cannot be pickled has a hash that nothing else has, so that it is never taken for another.
    """
    if isinstance(value, Result):
        value = value.value
    try:
        return _digest(value).hex()
    except Exception:  # whatever the object's own reduce raises
        return SystemClock().new_id()


def _digest(value: Any) -> bytes:
    kind = type(value)
    if kind is str:
        data = value.encode("utf-8", "surrogatepass")
    elif kind is bytes:
        data = value
    elif value is None or kind in (bool, int, float, complex):
        data = repr(value).encode()
    elif kind in (list, tuple):
        data = b"".join(_digest(item) for item in value)
    elif kind in (set, frozenset):
        data = b"".join(sorted(_digest(item) for item in value))
    elif kind is dict:
        data = b"".join(sorted(_digest(key) + _digest(item) for key, item in value.items()))
    else:
        import cloudpickle  # needed by few, and not quick to load

        data = cloudpickle.dumps(value)
    return hashlib.sha256(kind.__qualname__.encode() + b"\0" + data).digest()
