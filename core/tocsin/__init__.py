"""Notifications and state hooks for Python pipelines.

The names a pipeline author needs live here; each loads its module when it is first asked for, so that importing
tocsin costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tocsin.flows import ports as _ports

if TYPE_CHECKING:
    from tocsin.flows.context import context as context
    from tocsin.flows.flow import Flow as Flow
    from tocsin.flows.handlers import callback_factory as callback_factory, notify as notify
    from tocsin.flows.parameter import Parameter as Parameter
    from tocsin.flows.task import Task as Task, task as task
    from tocsin.plugins.catalog import register as register
    from tocsin_hooks.errors import TocsinError as TocsinError
    from tocsin_hooks.events import Event as Event
    from tocsin_hooks.filters import F as F, when as when
    from tocsin_hooks.specs import hookimpl as hookimpl

__version__ = "0.1.0"

_HOMES = {
    "tocsin.flows.context": ("context",),
    "tocsin.flows.flow": ("Flow",),
    "tocsin.flows.handlers": ("callback_factory", "notify"),
    "tocsin.flows.parameter": ("Parameter",),
    "tocsin.flows.task": ("Task", "task"),
    "tocsin.plugins.catalog": ("register",),
    "tocsin_hooks.errors": ("TocsinError",),
    "tocsin_hooks.events": ("Event",),
    "tocsin_hooks.filters": ("F", "when"),
    "tocsin_hooks.specs": ("hookimpl",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = frozenset({"executors", "notifications", "runs", "signals", "states", "triggers"})

__all__ = sorted((*_HOME_OF, *_MODULES))  # noqa: PLE0605  (a list of names, made rather than written)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"tocsin.{name}")
    if home := _HOME_OF.get(name):
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'tocsin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _run_flow(*args: Any, **options: Any) -> Any:
    from tocsin.assembly import run_flow

    return run_flow(*args, **options)


_ports.run_flow = _run_flow
