"""What is sent to a Dask cluster for one call, and how it sees to it that the call is not made twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tocsin.errors import FlowError
from tocsin.flows.task import Task
from tocsin.runs.relay import perform

RESOURCE_TAG = "dask-resource:"
"""Begins a tag that asks for a worker with a resource: `dask-resource:GPU=1`."""

_LARGE = 5_000_000  # bytes of one call; dask warns from 10 MB, but has no advice that a flow could follow


def attempt(data: bytes, mark: str, stop: str | None) -> bytes | None:
    """Make a call on a worker; None when it is not to begin, mostly because it has begun before, on a lost worker."""
    from distributed import get_client

    client = get_client()
    return perform(data) if client.sync(_may_begin, client.scheduler, mark, stop) else None


async def _may_begin(scheduler: Any, mark: str, stop: str | None) -> bool:
    begun, stopped = await asyncio.gather(scheduler.event_is_set(name=mark), _is_stopped(scheduler, stop))
    if begun or stopped:
        return False
    await scheduler.event_set(name=mark)
    return True


async def _is_stopped(scheduler: Any, stop: str | None) -> bool:
    try:
        return stop is not None and bool(await scheduler.event_is_set(name=stop))
    except Exception:  # nobody can say that the run is to stop
        return False


def how_it_was_lost(error: BaseException | None) -> str:
    """Why there is no result, for people.

    >>> how_it_was_lost(None)
    'its worker died'
    """
    if error is None:
        return "its worker died"
    if (deaths := getattr(error, "allowed_failures", None)) is not None:
        return f"its worker died {deaths + 1} times"
    return f"the cluster lost it: {type(error).__name__}: {error}"


def resources(tags: Iterable[str]) -> dict[str, float]:
    """What the tags of a task ask for.

    >>> resources({"prod", "dask-resource:GPU=1", "dask-resource:MEM=2e9"})
    {'GPU': 1.0, 'MEM': 2000000000.0}
    """
    found = {}
    for tag in sorted(tag for tag in tags if tag.startswith(RESOURCE_TAG)):
        name, equals, amount = tag.removeprefix(RESOURCE_TAG).partition("=")
        try:
            found[name] = float(amount)
        except ValueError:
            equals = ""
        if not name or not equals:
            raise FlowError(f"tag '{tag}' asks for no resource; write '{RESOURCE_TAG}NAME=NUMBER'")
    return found


def dask_key(task: Task | None, key: Any, random: str) -> str:
    """What a call is called on Dask's dashboard: the task, the index of a mapped one, and something of its own.

    >>> from tocsin.flows.task import Task
    >>> dask_key(Task("load"), None, "0b1c"), dask_key(None, None, "0b1c")
    ('load-0b1c', 'call-0b1c')
    """
    index = getattr(key, "index", None)  # it is a child of a mapped task
    name = task.name if task is not None else "call"
    return "-".join([name, *([] if index is None else [str(index)]), random.replace("-", "")])


@contextmanager
def no_word_on_size(size: int) -> Iterator[None]:
    """Keep Dask, for the length of a `with` block, from warning of a call of so many bytes."""
    if size < _LARGE:
        yield
        return
    from dask import config

    with config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
        yield
