"""How to see a mistake where it is made, instead of the state that a runner makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tocsin.flows.context import context
from tocsin_hooks.states import run_context


@contextmanager
def raise_on_exception() -> Iterator[None]:
    """Let runners raise what tasks, triggers and state handlers raise, signals too, for the length of a `with` block.

    >>> with raise_on_exception():
    ...     raising()
    True
    """
    with context(raise_on_exception=True):
        yield


def raising() -> bool:
    """Whether errors are to be raised rather than to become states."""
    return bool(run_context.get().get("raise_on_exception"))


def is_serializable(obj: Any, raise_on_error: bool = False) -> bool:
    """Whether an object survives cloudpickle, and so can be sent to another process.

    >>> is_serializable(lambda: 1), is_serializable(item for item in [])
    (True, False)
    """
    import cloudpickle  # needed by those who debug only

    try:
        cloudpickle.loads(cloudpickle.dumps(obj))
    except Exception:  # whatever the object's own reduce raises
        if raise_on_error:
            raise
        return False
    return True
