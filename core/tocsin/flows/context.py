"""What code inside a run can ask about it: `tocsin.context`, a dict with attributes.

It shows the values of the run in which it is read. Values are held per thread and per asynchronous task: what one
writes no other sees. Under them lie the options of this process: `config`, and what its table `context` holds, such as
`secrets`. They are looked up when asked for, so that a run copies none of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from tocsin.errors import did_you_mean
from tocsin.flows.logs import get_logger
from tocsin.masked import logger
from tocsin.options import Options, config, merged
from tocsin_hooks.states import run_context

if TYPE_CHECKING:
    import pendulum

_log = logger("tocsin.runs")


class Context(MutableMapping[str, Any]):
    """The values of the run under way, by key or by attribute.

    >>> context = Context()
    >>> with context(task_name="load"):
    ...     context.task_name, context.get("flow_name", "none")
    ('load', 'none')
    >>> "task_name" in context
    False
    """

    __slots__ = ("_values",)
    _values: ContextVar[Mapping[str, Any]]

    def __init__(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        own: Mapping[str, Any] = {**(values or {}), **more}
        object.__setattr__(self, "_values", ContextVar("tocsin_own_context", default=own))

    @classmethod
    def over(cls, values: ContextVar[Mapping[str, Any]]) -> Context:
        """A context that shows, and changes, these values."""
        made = cls.__new__(cls)
        object.__setattr__(made, "_values", values)
        return made

    @contextmanager
    def __call__(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> Iterator[Context]:
        """Add values for the length of a `with` block, whose end restores all; `config` adds to the one there."""
        new = {**(values or {}), **more}
        if isinstance(new.get("config"), Mapping):
            new["config"] = Options(merged(self["config"], new["config"]))
        token = self._values.set({**self._values.get(), **new})
        try:
            yield self
        finally:
            self._values.reset(token)

    def __getitem__(self, key: str) -> Any:
        values = self._values.get()
        return values[key] if key in values else _beneath(values)[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        values = self._values.get()
        return values[key] if key in values else _beneath(values).get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        self._values.set({**self._values.get(), key: value})  # in a dict of its own: other tasks may hold the old one

    def __delitem__(self, key: str) -> None:
        values = dict(self._values.get())
        del values[key]
        self._values.set(values)

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())

    def __contains__(self, key: object) -> bool:
        values = self._values.get()
        return key in values or key in _beneath(values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by copy and pickle
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            values = self._values.get()
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
        return f"<Context: {', '.join(sorted(self._values.get()))}>"  # values may be secrets

    def __reduce__(self) -> NoReturn:
        raise TypeError("the context cannot be pickled: pass the values that are needed instead")

    def to_dict(self) -> dict[str, Any]:
        """The values as a dict of their own."""
        values = self._values.get()
        return {**_beneath(values), **values}

    copy = to_dict


def _beneath(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the context shows where the run says nothing."""
    own = values.get("config", config)
    found = {**own.get("context", {}), "config": own}
    subject = getattr(values.get("attempt"), "subject", None)  # the task, or else the flow, that is running
    if subject is not None:
        index = values.get("map_index")
        found["logger"] = subject.logger if index is None else get_logger(f"{subject.name}[{index}]")
    return found


context = Context.over(run_context)


# ---------------------------------------------------------------- dates


def dates(now: dt.datetime, given: object = None) -> dict[str, Any]:
    """The context's date and the days around it, as text with and without dashes.

    The days follow a date that is `given`: a date, or text in ISO 8601. With anything else there is a warning, and
    they follow `now`.

    >>> found = dates(dt.datetime(2024, 5, 5), given="2024-03-01")
    >>> found["yesterday"], found["today_nodash"], found["tomorrow"]
    ('2024-02-29', '20240301', '2024-03-02')
    """
    day = now if given is None else _parsed(given) or now
    found: dict[str, Any] = {"date": now if given is None else given}
    for name, shift in (("yesterday", -1), ("today", 0), ("tomorrow", 1)):
        text = f"{day + dt.timedelta(days=shift):%Y-%m-%d}"
        found[name] = text
        found[f"{name}_nodash"] = text.replace("-", "")
    return found


def _parsed(given: object) -> dt.date | pendulum.DateTime | None:
    if isinstance(given, dt.date):
        return given
    if isinstance(given, str):
        import pendulum  # heavy: only those who set a date need it

        try:
            found = pendulum.parse(given)
        except ValueError:
            found = None
        if isinstance(found, dt.date):
            return found
    text = "the context's date is %r, which is no date; 'today' and the days around it follow the clock"
    _log.warning(text, given)
    return None
