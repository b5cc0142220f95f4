"""What code inside a run can ask about it: `tocsin.context`, a dict with attributes.

It shows the values of the run in which it is read. Values are held per thread and per asynchronous task.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, NoReturn

from tocsin.errors import did_you_mean
from tocsin_hooks.states import run_context


class Context(MutableMapping[str, Any]):
    """The values of the run under way, by key or by attribute.

    >>> context = Context()
    >>> with context(task_name="load"):
    ...     context.task_name, context.get("flow_name", "none")
    ('load', 'none')
    >>> "task_name" in context
    False
    """

    __slots__ = ()

    @contextmanager
    def __call__(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> Iterator[Context]:
        """Add values for the length of a `with` block; what was there before is restored."""
        token = run_context.set({**run_context.get(), **(values or {}), **more})
        try:
            yield self
        finally:
            run_context.reset(token)

    def __getitem__(self, key: str) -> Any:
        return run_context.get()[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return run_context.get().get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        _writable()[key] = value

    def __delitem__(self, key: str) -> None:
        del _writable()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(run_context.get())

    def __len__(self) -> int:
        return len(run_context.get())

    def __getattr__(self, name: str) -> Any:
        values = run_context.get()
        try:
            return values[name]
        except KeyError:
            hint = did_you_mean(name, values) if values else "; it is empty outside a run"
            raise AttributeError(f"the context has no '{name}'{hint}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"the context has no '{name}'") from None

    def __repr__(self) -> str:
        return f"<Context: {', '.join(sorted(self))}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("the context cannot be pickled: pass the values that are needed instead")

    def to_dict(self) -> dict[str, Any]:
        """The values as a dict of their own."""
        return dict(run_context.get())


def _writable() -> dict[str, Any]:
    values = run_context.get()
    if not isinstance(values, dict) or not values:  # the empty default is shared by all threads
        values = dict(values)
        run_context.set(values)
    return values


context = Context()


def dates(now: dt.datetime) -> dict[str, Any]:
    """The context's date and the days around it, as text with and without dashes.

    >>> found = dates(dt.datetime(2024, 3, 1))
    >>> found["yesterday"], found["today_nodash"], found["tomorrow"]
    ('2024-02-29', '20240301', '2024-03-02')
    """
    found: dict[str, Any] = {"date": now}
    for name, shift in (("yesterday", -1), ("today", 0), ("tomorrow", 1)):
        day = f"{now + dt.timedelta(days=shift):%Y-%m-%d}"
        found[name] = day
        found[f"{name}_nodash"] = day.replace("-", "")
    return found
