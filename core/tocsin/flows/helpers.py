"""Small helps for writing flows and tasks: tags for a whole block, defaults from attributes, pausing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from tocsin.flows.context import context
from tocsin.flows.signals import PAUSE


@contextmanager
def tags(*tags: str) -> Iterator[None]:
    """Give these tags to all tasks that are made, copied or put into a flow in a `with` block.

    >>> from tocsin.flows.task import Task
    >>> with tags("nightly"), tags("slow"):
    ...     sorted(Task().tags)
    ['nightly', 'slow']
    """
    with context(tags={*context.get("tags", ()), *tags}):
        yield


def defaults_from_attrs(*attr_args: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a task's `run` so that these arguments, when they are not given, are the task's attributes of that name.

    >>> class Greeting:
    ...     name = "you"
    ...     @defaults_from_attrs("name")
    ...     def run(self, name=None):
    ...         return f"hello {name}"
    >>> Greeting().run(), Greeting().run("me")
    ('hello you', 'hello me')
    """

    def decorate(run: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(run)

        @wraps(run)
        def run_with_defaults(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = signature.bind_partial(self, *args, **kwargs).arguments
            missing = {name: getattr(self, name) for name in attr_args if name not in given and name not in kwargs}
            return run(self, *args, **kwargs, **missing)

        return run_with_defaults

    return decorate


def pause_task(message: str | None = None) -> None:
    """Pause the task that calls this until somebody resumes it; it then runs again from its start."""
    if not context.get("resume"):
        raise PAUSE(message or "paused by the task itself")
