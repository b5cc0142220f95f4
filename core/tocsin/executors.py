"""Executors, where pipeline authors look for them. Those on Dask load it when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tocsin.runs.executors import AttemptLost, Executor, LocalExecutor, ThreadExecutor

if TYPE_CHECKING:
    from tocsin.runs.dask import DaskExecutor
    from tocsin.runs.local_dask import LocalDaskExecutor

__all__ = ["AttemptLost", "DaskExecutor", "Executor", "LocalDaskExecutor", "LocalExecutor", "ThreadExecutor"]

_HOMES = {"DaskExecutor": "tocsin.runs.dask", "LocalDaskExecutor": "tocsin.runs.local_dask"}


def __getattr__(name: str) -> Any:
    if home := _HOMES.get(name):
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'tocsin.executors' has no attribute {name!r}")
