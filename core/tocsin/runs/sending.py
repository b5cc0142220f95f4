"""How calls, states and what they carry travel to another process and back."""

from __future__ import annotations

import io
from typing import Any, TypeVar

import cloudpickle

from tocsin.flows.context import Context, context

Error = TypeVar("Error", bound=BaseException)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # untyped
    """Sends `tocsin.context`, which refuses to be pickled, by its name: functions of a script may use it."""

    def reducer_override(self, obj: Any) -> Any:
        return (_the_context, ()) if isinstance(obj, Context) else super().reducer_override(obj)


def _the_context() -> Context:
    return context


def dumps(value: Any) -> bytes:
    """A value as bytes, functions that no module offers included. Raises whatever pickling raises."""
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


def loads(data: bytes) -> Any:
    """The value that `dumps` wrote, in a process that has the same modules."""
    return cloudpickle.loads(data)


def can_be_sent(value: Any) -> bool:
    """Whether a value survives the journey to another process.

    >>> import threading
    >>> can_be_sent(ValueError("no rows")), can_be_sent(ValueError(threading.Lock()))
    (True, False)
    """
    try:
        loads(dumps(value))
    except Exception:  # whatever its own reduce or init raises
        return False
    return True


def sendable(error: Error) -> Error | RuntimeError:
    """An exception as it can be sent: itself, or its text.

    >>> import threading
    >>> sendable(ValueError("no rows", threading.Lock()))  # doctest: +ELLIPSIS
    RuntimeError("ValueError: ('no rows', <unlocked _thread.lock object at ...>)")
    """
    return error if can_be_sent(error) else RuntimeError(f"{type(error).__name__}: {error}")
