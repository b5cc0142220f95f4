"""Whether the options of a task make sense, alone and together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from tocsin.errors import FlowError
from tocsin.options import config

RetryOn = type[BaseException] | Iterable[type[BaseException]]


def checked_tags(name: str, tags: Iterable[str] | None) -> set[str]:
    """The tags as a set; TypeError for a bare string, whose letters would become tags."""
    if isinstance(tags, str):
        raise TypeError(f"'{name}': tags is '{tags}'; give a set: {{'{tags}'}}")
    return set(tags or ())


def checked_retries(
    name: str, max_retries: int | None, retry_delay: timedelta | None, defaults: Any = None
) -> tuple[int, timedelta | None]:
    """Retries and the delay before each; they need each other. What is None is taken from the `defaults`.

    >>> checked_retries("load", 2, timedelta(seconds=5))
    (2, datetime.timedelta(seconds=5))
    """
    if retry_delay is not None and not isinstance(retry_delay, timedelta):
        raise TypeError(f"task '{name}': retry_delay is {retry_delay!r}; give a timedelta")
    retries = (getattr(defaults, "max_retries", 0) if max_retries is None else max_retries) or 0
    if retries < 0:
        raise FlowError(f"task '{name}': max_retries is {retries}; give 0 or more")
    if not retries:
        if retry_delay is not None:
            raise FlowError(f"task '{name}' has a retry_delay but no max_retries above 0; give both")
        return 0, None
    delay = as_delay(getattr(defaults, "retry_delay", None)) if retry_delay is None else retry_delay
    if delay is None:
        raise FlowError(f"task '{name}' has max_retries but no retry_delay; give both")
    return retries, delay


def as_delay(value: Any) -> timedelta | None:
    """A delay from the config: a timedelta, or seconds.

    >>> as_delay(1.5), as_delay(None)
    (datetime.timedelta(seconds=1, microseconds=500000), None)
    """
    return timedelta(seconds=value) if isinstance(value, int | float) else value


def checked_retry_on(name: str, retry_on: RetryOn | None, max_retries: int) -> tuple[type[BaseException], ...] | None:
    """The exceptions after which to retry, None for all."""
    if retry_on is None:
        return None
    kinds = (retry_on,) if isinstance(retry_on, type) else tuple(retry_on)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"task '{name}': retry_on has {kind!r}, which is no exception class")
    if not max_retries:
        raise FlowError(f"task '{name}' has retry_on but no max_retries above 0; give both")
    return kinds


def checked_timeout(name: str, timeout: float | timedelta | None) -> int | None:
    """The seconds after which a task is stopped: whole ones.

    >>> checked_timeout("load", timedelta(minutes=1))
    60
    """
    if isinstance(timeout, timedelta):
        if timeout.microseconds:
            text = f"task '{name}': timeout is {timeout}; only its whole seconds count"
            warnings.warn(text, stacklevel=4)
        return int(timeout.total_seconds())
    if timeout is not None and not isinstance(timeout, int):
        raise TypeError(f"task '{name}': timeout is {timeout!r}; give whole seconds or a timedelta")
    return timeout


def checked_validator(name: str, cache_for: timedelta | None, validator: Callable[..., bool] | None) -> Any:
    """What decides whether a cached result may be used; it may never when there is no `cache_for`."""
    from tocsin.cache_validators import duration_only, never_use

    if validator is None:
        return never_use if cache_for is None else duration_only
    if cache_for is None and validator is not never_use:
        warnings.warn(f"task '{name}' has a cache_validator but no cache_for: nothing is cached", stacklevel=4)
    return validator


def settled_result(name: str, result: Any, target: Any) -> Any:
    """The result of a task that may have a target: the target takes the place of the result's location."""
    if result is None or not target:
        return result
    location = getattr(result, "location", None)
    if location is not None and location != target:
        warnings.warn(
            f"task '{name}' has a target, and a result with another location: the target counts", stacklevel=4
        )
    if not isinstance(target, str) or not hasattr(result, "copy"):
        return result
    result = result.copy()
    result.location = target
    return result


def defaults() -> Any:
    """The options of tasks that the config sets for all of them."""
    return config.tasks.defaults
