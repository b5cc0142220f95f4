"""Notifications and state hooks for Python pipelines.

The names a pipeline author needs live here; each loads its module when it is first asked for, so that importing
tocsin costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tocsin.flows import ports as _ports

if TYPE_CHECKING:
    from tocsin.flows.apply_map import apply_map as apply_map
    from tocsin.flows.context import context as context
    from tocsin.flows.control_flow import case as case, ifelse as ifelse, merge as merge, switch as switch
    from tocsin.flows.edge import Edge as Edge
    from tocsin.flows.flow import Flow as Flow
    from tocsin.flows.gathering import as_task as as_task
    from tocsin.flows.handlers import callback_factory as callback_factory, notify as notify
    from tocsin.flows.helpers import defaults_from_attrs as defaults_from_attrs, pause_task as pause_task, tags as tags
    from tocsin.flows.logs import get_logger as get_logger
    from tocsin.flows.marks import flatten as flatten, mapped as mapped, unmapped as unmapped
    from tocsin.flows.parameter import DateTimeParameter as DateTimeParameter, Parameter as Parameter
    from tocsin.flows.resource_manager import resource_manager as resource_manager
    from tocsin.flows.task import FunctionTask as FunctionTask, Task as Task, task as task
    from tocsin.options import config as config
    from tocsin.plugins.catalog import register as register
    from tocsin_hooks.errors import TocsinError as TocsinError
    from tocsin_hooks.events import Event as Event
    from tocsin_hooks.filters import F as F, when as when
    from tocsin_hooks.specs import hookimpl as hookimpl

__version__ = "0.1.0"

_HOMES = {
    "tocsin.flows.apply_map": ("apply_map",),
    "tocsin.flows.context": ("context",),
    "tocsin.flows.control_flow": ("case", "ifelse", "merge", "switch"),
    "tocsin.flows.edge": ("Edge",),
    "tocsin.flows.flow": ("Flow",),
    "tocsin.flows.gathering": ("as_task",),
    "tocsin.flows.handlers": ("callback_factory", "notify"),
    "tocsin.flows.helpers": ("defaults_from_attrs", "pause_task", "tags"),
    "tocsin.flows.logs": ("get_logger",),
    "tocsin.flows.marks": ("flatten", "mapped", "unmapped"),
    "tocsin.flows.parameter": ("DateTimeParameter", "Parameter"),
    "tocsin.flows.resource_manager": ("resource_manager",),
    "tocsin.flows.task": ("FunctionTask", "Task", "task"),
    "tocsin.options": ("config",),
    "tocsin.plugins.catalog": ("register",),
    "tocsin_hooks.errors": ("TocsinError",),
    "tocsin_hooks.events": ("Event",),
    "tocsin_hooks.filters": ("F", "when"),
    "tocsin_hooks.specs": ("hookimpl",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = frozenset(
    {
        "cache_validators",
        "client",
        "core",
        "debug",
        "executors",
        "notifications",
        "results",
        "runs",
        "schedules",
        "secrets",
        "serializers",
        "signals",
        "states",
        "tasks",
        "triggers",
        "utilities",
    }
)

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
