"""Helps for writing flows, where Prefect 1 had them."""

from tocsin.flows.apply_map import apply_map
from tocsin.flows.context import context
from tocsin.flows.debug import is_serializable, raise_on_exception
from tocsin.flows.gathering import as_task
from tocsin.flows.helpers import defaults_from_attrs, pause_task, tags
from tocsin.flows.logs import get_logger
from tocsin.flows.marks import EdgeAnnotation, flatten, mapped, unmapped
from tocsin.flows.task import task

__all__ = [
    "EdgeAnnotation",
    "apply_map",
    "as_task",
    "context",
    "defaults_from_attrs",
    "flatten",
    "get_logger",
    "is_serializable",
    "mapped",
    "pause_task",
    "raise_on_exception",
    "tags",
    "task",
    "unmapped",
]
